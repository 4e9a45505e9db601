/* SPDX-License-Identifier: Apache-2.0 */
#include "core/mem.h"
#include "proxy/http1.h"
#include "proxy/http1_chars.h"

enum {
	EXTENSION_MAX = 1024, /* of one chunk's line */
	TRAILER_MAX = 8192,
};

/* Where the walk over a chunked body is. RFC 9112 section 7.1. */
enum {
	CHUNK_SIZE_FIRST,
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	TRAILER_FIRST,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	TRAILER_END_LF,
};

enum mesh_http1_error mesh_http1_body_request(struct mesh_http1_body *b, const struct mesh_http1_head *head)
{
	memset(b, 0, sizeof(*b));
	b->framing = head->framing;
	b->left = head->framing == MESH_HTTP1_LENGTH ? head->content_length : 0;
	b->max = head->limits.body_bytes;
	if (b->framing == MESH_HTTP1_LENGTH && b->max && b->left > b->max)
		return b->error = MESH_HTTP1_ERROR_BODY_LARGE;
	if (b->framing == MESH_HTTP1_LENGTH && b->left == 0)
		b->framing = MESH_HTTP1_NO_BODY;
	return MESH_HTTP1_ERROR_NONE;
}

/* RFC 9112 section 6.3. */
void mesh_http1_body_response(struct mesh_http1_body *b, const struct mesh_http1_head *head, struct mesh_slice method)
{
	int s = head->status;
	bool tunnel = s == 101 || (s / 100 == 2 && mesh_slice_eq(method, MESH_SLICE("CONNECT")));

	memset(b, 0, sizeof(*b));
	b->framing = head->framing;
	b->left = head->framing == MESH_HTTP1_LENGTH ? head->content_length : 0;
	b->max = head->limits.body_bytes;
	if (tunnel)
		b->framing = MESH_HTTP1_CLOSE;
	else if (s / 100 == 1 || s == 204 || s == 304 || mesh_slice_eq(method, MESH_SLICE("HEAD")))
		b->framing = MESH_HTTP1_NO_BODY;
	else if (b->framing == MESH_HTTP1_LENGTH && b->left == 0)
		b->framing = MESH_HTTP1_NO_BODY;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum mesh_http1_error size_char(struct mesh_http1_body *b, char c)
{
	int digit = hex(c);

	if (digit >= 0) {
		if (b->left >> 59)
			return MESH_HTTP1_ERROR_CHUNK_SIZE;
		b->left = b->left * 16 + (unsigned)digit;
		b->state = CHUNK_SIZE;
		return ++b->line > 16 ? MESH_HTTP1_ERROR_CHUNK_SIZE : MESH_HTTP1_ERROR_NONE;
	}
	if (b->state == CHUNK_SIZE_FIRST || (c != ';' && c != '\r'))
		return MESH_HTTP1_ERROR_CHUNK_SIZE;
	if (b->max && (b->left > b->max || b->total > b->max - b->left))
		return MESH_HTTP1_ERROR_BODY_LARGE;
	b->state = c == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
	b->line = 0;
	return MESH_HTTP1_ERROR_NONE;
}

/* Fields that would change how the message is framed, routed or allowed must not come late. RFC 9110 section 6.5.1. */
static bool trailer_allowed(const struct mesh_http1_body *b)
{
	static const struct mesh_slice refused[] = {
		{"content-length", 14},
		{"transfer-encoding", 17},
		{"host", 4},
		{"connection", 10},
		{"authorization", 13},
		{"upgrade", 7},
		{"trailer", 7},
		{"te", 2},
	};
	struct mesh_slice name = {b->name, b->name_len};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(refused); i++)
		if (mesh_slice_eq_nocase(name, refused[i]))
			return false;
	return true;
}

static enum mesh_http1_error trailer_name_char(struct mesh_http1_body *b, char c)
{
	if (b->state == TRAILER_FIRST && c == '\r') {
		b->state = TRAILER_END_LF;
		return MESH_HTTP1_ERROR_NONE;
	}
	if (b->state == TRAILER_FIRST && (c == ' ' || c == '\t'))
		return MESH_HTTP1_ERROR_FOLD;
	if (mesh_http1_chars[(uint8_t)c] & MESH_HTTP1_TOKEN) {
		if (b->state == TRAILER_FIRST)
			b->name_len = 0;
		if (b->name_len < sizeof(b->name))
			b->name[b->name_len++] = c;
		b->state = TRAILER_NAME;
		return MESH_HTTP1_ERROR_NONE;
	}
	if (b->state == TRAILER_NAME && (c == ' ' || c == '\t'))
		return MESH_HTTP1_ERROR_NAME_SPACE;
	if (b->state != TRAILER_NAME || c != ':')
		return c == '\n' && b->state == TRAILER_FIRST ? MESH_HTTP1_ERROR_BARE_LF : MESH_HTTP1_ERROR_NAME;
	b->state = TRAILER_VALUE;
	return trailer_allowed(b) ? MESH_HTTP1_ERROR_NONE : MESH_HTTP1_ERROR_TRAILER;
}

static enum mesh_http1_error value_char(struct mesh_http1_body *b, char c, uint8_t after)
{
	if (c == '\r') {
		b->state = after;
		return MESH_HTTP1_ERROR_NONE;
	}
	if (mesh_http1_chars[(uint8_t)c] & MESH_HTTP1_FIELDCHAR)
		return MESH_HTTP1_ERROR_NONE;
	return c == '\n' ? MESH_HTTP1_ERROR_BARE_LF : MESH_HTTP1_ERROR_VALUE;
}

static enum mesh_http1_error expect_char(struct mesh_http1_body *b, char c, char want, uint8_t next,
					 enum mesh_http1_error error)
{
	b->state = next;
	return c == want ? MESH_HTTP1_ERROR_NONE : error;
}

static enum mesh_http1_error size_end(struct mesh_http1_body *b, char c)
{
	b->line = 0;
	return expect_char(b, c, '\n', b->left ? CHUNK_DATA : TRAILER_FIRST, MESH_HTTP1_ERROR_BARE_CR);
}

/* One byte of the framing around chunks. */
static enum mesh_http1_error frame_char(struct mesh_http1_body *b, char c)
{
	enum mesh_http1_error e;

	if (b->state >= TRAILER_FIRST && ++b->line > TRAILER_MAX)
		return MESH_HTTP1_ERROR_TRAILER_LARGE;
	switch (b->state) {
	case CHUNK_SIZE_FIRST:
	case CHUNK_SIZE:
		return size_char(b, c);
	case CHUNK_EXTENSION:
		e = value_char(b, c, CHUNK_SIZE_LF);
		return e || ++b->line > EXTENSION_MAX ? MESH_HTTP1_ERROR_CHUNK_EXTENSION : e;
	case CHUNK_SIZE_LF:
		return size_end(b, c);
	case CHUNK_DATA_CR:
		return expect_char(b, c, '\r', CHUNK_DATA_LF, MESH_HTTP1_ERROR_CHUNK_END);
	case CHUNK_DATA_LF:
		return expect_char(b, c, '\n', CHUNK_SIZE_FIRST, MESH_HTTP1_ERROR_CHUNK_END);
	case TRAILER_FIRST:
	case TRAILER_NAME:
		return trailer_name_char(b, c);
	case TRAILER_VALUE:
		return value_char(b, c, TRAILER_LF);
	case TRAILER_LF:
		return expect_char(b, c, '\n', TRAILER_FIRST, MESH_HTTP1_ERROR_BARE_CR);
	default: /* TRAILER_END_LF */
		b->framing = MESH_HTTP1_NO_BODY;
		return c == '\n' ? MESH_HTTP1_ERROR_NONE : MESH_HTTP1_ERROR_BARE_CR;
	}
}

static void take_payload(struct mesh_http1_body *b, const char *data, size_t len, size_t *used,
			 struct mesh_slice *payload)
{
	size_t n = len < b->left ? len : (size_t)b->left;

	*payload = mesh_slice_of(data, n);
	*used += n;
	b->left -= n;
	b->total += n;
}

void mesh_http1_body_pass(struct mesh_http1_body *b, uint64_t n)
{
	b->left -= n;
	b->total += n;
	if (b->left == 0)
		b->framing = MESH_HTTP1_NO_BODY;
}

static enum mesh_http1_result chunked_next(struct mesh_http1_body *b, const char *data, size_t len, size_t *used,
					   struct mesh_slice *payload)
{
	while (*used < len) {
		if (b->state == CHUNK_DATA) {
			take_payload(b, data + *used, len - *used, used, payload);
			if (b->left == 0)
				b->state = CHUNK_DATA_CR;
			return MESH_HTTP1_MORE;
		}
		b->error = frame_char(b, data[*used]);
		if (b->error)
			return MESH_HTTP1_ERROR;
		++*used;
		if (mesh_http1_body_done(b))
			return MESH_HTTP1_DONE;
	}
	return MESH_HTTP1_MORE;
}

enum mesh_http1_result mesh_http1_body_next(struct mesh_http1_body *b, const char *data, size_t len, size_t *used,
					    struct mesh_slice *payload)
{
	*used = 0;
	*payload = mesh_slice_of(data, 0);
	if (b->error)
		return MESH_HTTP1_ERROR;
	switch (b->framing) {
	case MESH_HTTP1_NO_BODY:
		return MESH_HTTP1_DONE;
	case MESH_HTTP1_CLOSE:
		*payload = mesh_slice_of(data, len);
		*used = len;
		b->total += len;
		return MESH_HTTP1_MORE;
	case MESH_HTTP1_LENGTH:
		take_payload(b, data, len, used, payload);
		if (b->left)
			return MESH_HTTP1_MORE;
		b->framing = MESH_HTTP1_NO_BODY;
		return MESH_HTTP1_DONE;
	case MESH_HTTP1_CHUNKED:
		break;
	}
	return chunked_next(b, data, len, used, payload);
}
