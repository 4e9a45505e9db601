/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same message to our parser and to libhttp-parser. What both accept they must understand alike: method, target,
 * fields, status, body and where it ends. What only we refuse must be in stricter[]; what only they refuse is a
 * finding, and there must be none. First byte of the input: bit 0: a response.
 */
#include "proxy/http1.h"

#include <http_parser.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIELDS = 200, TEXT = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where we refuse what libhttp-parser accepts, and why. */
static const struct {
	enum mesh_http1_error error;
	const char *why;
} stricter[] = {
	{MESH_HTTP1_ERROR_METHOD, "a request that begins with CR not followed by LF; with only part of it there"},
	{MESH_HTTP1_ERROR_REQUEST_LINE,
	 "two spaces in the request line; HTTP/0.9's line without version; more than four "
	 "empty lines before; versions of two digits"},
	{MESH_HTTP1_ERROR_TARGET, "control characters or a fragment in the target; * for other methods than OPTIONS; "
				  "schemes but http and https; user information; an authority that is not host[:port]"},
	{MESH_HTTP1_ERROR_VERSION, "versions other than HTTP/1.0 and HTTP/1.1"},
	{MESH_HTTP1_ERROR_STATUS_LINE,
	 "status codes below 100; empty lines before; a minor version but 0 and 1; control "
	 "characters in the reason"},
	{MESH_HTTP1_ERROR_BARE_LF, "LF alone ends a line there"},
	{MESH_HTTP1_ERROR_BARE_CR, "CR within a value, or before something else than LF"},
	{MESH_HTTP1_ERROR_FOLD, "a field continued on the next line"},
	{MESH_HTTP1_ERROR_NAME, "a space within a name; a line without a colon"},
	{MESH_HTTP1_ERROR_NAME_SPACE, "white space before the colon"},
	{MESH_HTTP1_ERROR_VALUE, "control characters in a value"},
	{MESH_HTTP1_ERROR_HEAD_LARGE, "a head larger than 60 KiB"},
	{MESH_HTTP1_ERROR_FIELDS_MANY, "more fields than there is room for"},
	{MESH_HTTP1_ERROR_HOST_MISSING, "no Host in HTTP/1.1"},
	{MESH_HTTP1_ERROR_HOST_MANY, "two Hosts"},
	{MESH_HTTP1_ERROR_HOST, "a Host that is not host[:port]"},
	{MESH_HTTP1_ERROR_LENGTH, "an empty Content-Length; white space within it; above 2^63-1"},
	{MESH_HTTP1_ERROR_LENGTH_MANY, "Content-Length twice"},
	{MESH_HTTP1_ERROR_LENGTH_CODING, "Content-Length beside Transfer-Encoding"},
	{MESH_HTTP1_ERROR_CODING, "transfer codings but chunked; a tab after it"},
	{MESH_HTTP1_ERROR_CODING_MANY, "chunked twice, or not last"},
	{MESH_HTTP1_ERROR_CODING_OLD, "Transfer-Encoding in HTTP/1.0"},
	{MESH_HTTP1_ERROR_CHUNK_SIZE, "white space after a chunk's size; more than 16 digits"},
	{MESH_HTTP1_ERROR_CHUNK_EXTENSION, "control characters in a chunk extension"},
	{MESH_HTTP1_ERROR_CHUNK_END, "a chunk that does not end in CRLF"},
	{MESH_HTTP1_ERROR_TRAILER, "trailer fields that frame or route"},
};

struct theirs {
	struct mesh_slice url, status;
	struct mesh_slice names[FIELDS], values[FIELDS];
	size_t count, body_len;
	char body[TEXT];
	bool in_value, head_done, done, upgrade;
};

static void grow(struct mesh_slice *s, const char *at, size_t len)
{
	if (!s->ptr)
		s->ptr = at;
	s->len += len;
}

static int on_url(http_parser *p, const char *at, size_t len)
{
	grow(&((struct theirs *)p->data)->url, at, len);
	return 0;
}

static int on_field(http_parser *p, const char *at, size_t len)
{
	struct theirs *t = p->data;

	if (t->head_done) /* trailers */
		return 0;
	if (t->in_value || t->count == 0) {
		if (t->count == FIELDS)
			return 1;
		t->count++;
	}
	t->in_value = false;
	grow(&t->names[t->count - 1], at, len);
	return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
	struct theirs *t = p->data;

	if (t->head_done)
		return 0;
	t->in_value = true;
	grow(&t->values[t->count - 1], at, len);
	return 0;
}

static int on_head(http_parser *p)
{
	struct theirs *t = p->data;

	t->head_done = true;
	t->upgrade = p->upgrade;
	/* It leaves to its caller which responses have no body. */
	return p->type == HTTP_RESPONSE &&
	       (p->status_code / 100 == 1 || p->status_code == 204 || p->status_code == 304);
}

static int on_body(http_parser *p, const char *at, size_t len)
{
	struct theirs *t = p->data;

	memcpy(t->body + t->body_len, at, len);
	t->body_len += len;
	return 0;
}

static int on_done(http_parser *p)
{
	((struct theirs *)p->data)->done = true;
	http_parser_pause(p, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_head,
	.on_body = on_body,
	.on_message_complete = on_done,
};

struct ours {
	struct mesh_http1_head head;
	struct mesh_http1_field fields[FIELDS];
	enum mesh_http1_error error;
	char body[TEXT];
	size_t body_len, end;
	bool head_done, done;
};

static void parse_ours(struct ours *o, bool response, const char *text, size_t len)
{
	struct mesh_http1_body b;
	enum mesh_http1_result r;

	mesh_http1_head_init(&o->head, response ? MESH_HTTP1_RESPONSE : MESH_HTTP1_REQUEST, o->fields, FIELDS, NULL);
	r = mesh_http1_head_parse(&o->head, text, len);
	o->error = o->head.error;
	if (r != MESH_HTTP1_DONE)
		return;
	o->head_done = true;
	if (response)
		mesh_http1_body_response(&b, &o->head, MESH_SLICE("GET"));
	else
		mesh_http1_body_request(&b, &o->head);
	o->end = o->head.size;
	do {
		struct mesh_slice part;
		size_t used;

		r = mesh_http1_body_next(&b, text + o->end, len - o->end, &used, &part);
		memcpy(o->body + o->body_len, part.ptr, part.len);
		o->body_len += part.len;
		o->end += used;
	} while (r == MESH_HTTP1_MORE && o->end < len);
	o->error = b.error;
	o->done = r == MESH_HTTP1_DONE;
}

static void differ(const char *what, const struct ours *o, enum http_errno e)
{
	fprintf(stderr, "differ: %s (ours: %s, theirs: %s)\n", what, mesh_http1_error_text(o->error),
		http_errno_description(e));
	abort();
}

static bool listed(enum mesh_http1_error error)
{
	for (size_t i = 0; i < sizeof(stricter) / sizeof(stricter[0]); i++)
		if (stricter[i].error == error)
			return true;
	return false;
}

static void compare_heads(const struct ours *o, const struct theirs *t, const http_parser *p, enum http_errno e)
{
	if (o->head.field_count != t->count)
		differ("number of fields", o, e);
	for (size_t i = 0; i < t->count; i++)
		if (!mesh_slice_eq(o->fields[i].name, t->names[i]) ||
		    !mesh_slice_eq(o->fields[i].value, mesh_slice_trim(t->values[i])))
			differ("a field", o, e);
	if (o->head.minor != p->http_minor || p->http_major != 1)
		differ("version", o, e);
	if (o->head.kind == MESH_HTTP1_RESPONSE && o->head.status != p->status_code)
		differ("status", o, e);
	if (o->head.kind == MESH_HTTP1_RESPONSE)
		return;
	if (!mesh_slice_eq(o->head.method, mesh_slice_str(http_method_str((enum http_method)p->method))))
		differ("method", o, e);
	if (!mesh_slice_eq(o->head.target, t->url))
		differ("target", o, e);
}

/* A name that only begins with Transfer-Encoding counts as that field for them. */
static bool their_prefix(const struct ours *o)
{
	for (size_t i = 0; i < o->head.field_count; i++)
		if (o->fields[i].name.len > 17 &&
		    mesh_slice_eq_nocase(mesh_slice_of(o->fields[i].name.ptr, 17), MESH_SLICE("transfer-encoding")))
			return true;
	return false;
}

/* They see a whole head where we wait for a line's end: with it, we must refuse. */
static void refused_later(struct ours *o, bool response, const char *text, size_t len)
{
	char more[TEXT + 4];

	memcpy(more, text, len);
	memcpy(more + len, "\r\n\r\n", 4);
	memset(o, 0, offsetof(struct ours, body));
	parse_ours(o, response, more, len + 4);
	if (!o->error || !listed(o->error))
		differ("where the head ends", o, HPE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct theirs t;
	static struct ours o;
	const char *text = (const char *)data + 1;
	bool response = size && data[0] & 1;
	enum http_errno e;
	http_parser p;
	size_t used;

	if (size < 2 || size > TEXT)
		return 0;
	memset(&o, 0, offsetof(struct ours, body));
	o.body_len = o.end = o.head_done = o.done = 0;
	memset(&t, 0, sizeof(t));
	parse_ours(&o, response, text, size - 1);
	http_parser_init(&p, response ? HTTP_RESPONSE : HTTP_REQUEST);
	p.data = &t;
	used = http_parser_execute(&p, &settings, text, size - 1);
	e = HTTP_PARSER_ERRNO(&p);
	if (their_prefix(&o))
		return 0;
	if (e == HPE_PAUSED)
		e = HPE_OK;
	if (o.error) {
		if (e == HPE_OK && !listed(o.error))
			differ("refused by us alone, not listed", &o, e);
		return 0;
	}
	if (e != HPE_OK) {
		if (o.head_done)
			differ("accepted by us alone", &o, e);
		return 0;
	}
	if (o.head_done && !t.head_done)
		differ("where the head ends", &o, e);
	if (!o.head_done && t.head_done)
		refused_later(&o, response, text, size - 1);
	if (!o.head_done)
		return 0;
	compare_heads(&o, &t, &p, e);
	if (t.upgrade || o.head.upgrade || (response && o.head.status == 101))
		return 0; /* what follows is not HTTP there */
	if (o.done != t.done && !(response && o.head.framing == MESH_HTTP1_CLOSE))
		differ("where the message ends", &o, e);
	if (o.body_len != t.body_len || memcmp(o.body, t.body, o.body_len) != 0)
		differ("the body", &o, e);
	if (o.done && t.done && o.end != used && o.end != used + 1)
		differ("the bytes of the message", &o, e);
	return 0;
}
