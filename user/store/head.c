/* SPDX-License-Identifier: Apache-2.0 */
#include "store/head.h"

#include <ctype.h>

static bool is_token(struct mesh_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.ptr[i]) && !strchr("!#$%&'*+-.^_`|~", s.ptr[i]))
			return false;
	return s.len > 0;
}

static bool is_text(struct mesh_slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool has_word(struct mesh_slice list, const char *word)
{
	struct mesh_slice part;

	while (mesh_slice_split(&list, ',', &part))
		if (mesh_slice_eq_nocase(mesh_slice_trim(part), mesh_slice_str(word)))
			return true;
	return false;
}

static int field_meaning(struct mesh_head *h, struct mesh_slice name, struct mesh_slice value, bool *has_length)
{
	uint64_t n;

	if (mesh_slice_eq_nocase(name, MESH_SLICE("content-length"))) {
		if (mesh_slice_to_u64(value, UINT32_MAX, &n) < 0 || (*has_length && n != h->content_length))
			return 400;
		*has_length = true;
		h->content_length = n;
	} else if (mesh_slice_eq_nocase(name, MESH_SLICE("transfer-encoding"))) {
		if (!mesh_slice_eq_nocase(value, MESH_SLICE("chunked")) || h->chunked)
			return 501;
		h->chunked = true;
	} else if (mesh_slice_eq_nocase(name, MESH_SLICE("connection"))) {
		if (has_word(value, "close"))
			h->keep_alive = false;
		if (has_word(value, "upgrade"))
			h->upgrade = true;
	} else if (mesh_slice_eq_nocase(name, MESH_SLICE("expect"))) {
		h->expect_continue = mesh_slice_eq_nocase(value, MESH_SLICE("100-continue"));
	}
	return 200;
}

static int request_line(struct mesh_slice line, struct mesh_head *h)
{
	struct mesh_slice version;

	if (!mesh_slice_split(&line, ' ', &h->method) || !mesh_slice_split(&line, ' ', &h->target) ||
	    !mesh_slice_split(&line, ' ', &version) || line.len || !is_token(h->method) || h->target.len == 0 ||
	    h->target.ptr[0] != '/' || !is_text(h->target))
		return 400;
	h->http10 = mesh_slice_eq(version, MESH_SLICE("HTTP/1.0"));
	h->keep_alive = !h->http10;
	if (!h->http10 && !mesh_slice_eq(version, MESH_SLICE("HTTP/1.1")))
		return mesh_slice_starts(version, MESH_SLICE("HTTP/")) ? 505 : 400;
	return 200;
}

/* One line without its CRLF, taken off *in; false when there is a bare CR or LF. */
static bool next_line(struct mesh_slice *in, struct mesh_slice *line)
{
	ssize_t lf = mesh_slice_find(*in, '\n');

	if (lf < 1 || in->ptr[lf - 1] != '\r')
		return false;
	*line = mesh_slice_of(in->ptr, (size_t)lf - 1);
	*in = mesh_slice_of(in->ptr + lf + 1, in->len - (size_t)lf - 1);
	return mesh_slice_find(*line, '\r') < 0;
}

int mesh_head_parse(struct mesh_slice in, size_t max, struct mesh_head *h, const char **text)
{
	const char *end = memmem(in.ptr, MESH_MIN(in.len, max), "\r\n\r\n", 4);
	bool has_length = false;
	struct mesh_slice line;
	int status;

	*text = "400 Bad Request\n";
	if (!end) {
		if (in.len < max)
			return 0;
		*text = "the request's head is too large\n";
		return 431;
	}
	memset(h, 0, offsetof(struct mesh_head, fields));
	h->count = h->content_length = 0;
	h->chunked = h->expect_continue = h->upgrade = false;
	h->length = (size_t)(end - in.ptr) + 4;
	in.len = h->length - 2;
	if (!next_line(&in, &line))
		return 400;
	status = request_line(line, h);
	while (status == 200 && in.len) {
		ssize_t colon;

		if (!next_line(&in, &line) || (colon = mesh_slice_find(line, ':')) < 1)
			return 400;
		if (h->count == MESH_SERVE_HEADERS)
			return 431;
		h->fields[h->count].name = mesh_slice_of(line.ptr, (size_t)colon);
		h->fields[h->count].value =
			mesh_slice_trim(mesh_slice_of(line.ptr + colon + 1, line.len - (size_t)colon - 1));
		if (!is_token(h->fields[h->count].name) || !is_text(h->fields[h->count].value))
			return 400;
		status = field_meaning(h, h->fields[h->count].name, h->fields[h->count].value, &has_length);
		h->count++;
	}
	return status == 200 && has_length && h->chunked ? 400 : status;
}

static int chunk_size(struct mesh_slice line, size_t *size)
{
	struct mesh_slice digits;
	size_t n = 0;

	mesh_slice_split(&line, ';', &digits);
	if (digits.len == 0 || digits.len > 7)
		return -1;
	for (size_t i = 0; i < digits.len; i++) {
		unsigned char c = (unsigned char)digits.ptr[i];

		if (!isxdigit(c))
			return -1;
		n = n * 16 + (size_t)(isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	*size = n;
	return 0;
}

int mesh_head_unchunk(struct mesh_slice in, size_t max, struct mesh_buf *out, size_t *used)
{
	const char *start = in.ptr;

	for (;;) {
		struct mesh_slice line;
		size_t size;

		if (mesh_slice_find(in, '\n') < 0)
			return in.len > 4096 ? 400 : 0;
		if (!next_line(&in, &line) || chunk_size(line, &size) < 0)
			return 400;
		if (size == 0)
			break;
		if (size > max - out->len)
			return 413;
		if (in.len < size + 2)
			return 0;
		if (memcmp(in.ptr + size, "\r\n", 2) != 0)
			return 400;
		mesh_buf_add(out, in.ptr, size);
		in = mesh_slice_of(in.ptr + size + 2, in.len - size - 2);
	}
	for (;;) { /* trailers are read and dropped */
		struct mesh_slice line;

		if (mesh_slice_find(in, '\n') < 0)
			return in.len > 4096 ? 400 : 0;
		if (!next_line(&in, &line))
			return 400;
		if (line.len == 0)
			break;
	}
	*used += (size_t)(in.ptr - start);
	return 200;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *decode(struct mesh_arena *arena, struct mesh_slice s, bool plus)
{
	char *out = mesh_arena_alloc(arena, s.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '%' && i + 2 < s.len && hex(s.ptr[i + 1]) >= 0 && hex(s.ptr[i + 2]) >= 0) {
			c = (char)(hex(s.ptr[i + 1]) * 16 + hex(s.ptr[i + 2]));
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		if (c)
			out[n++] = c;
	}
	out[n] = '\0';
	return out;
}

void mesh_head_to_request(const struct mesh_head *h, struct mesh_request *req)
{
	struct mesh_arena *a = &req->arena;
	struct mesh_slice query = h->target, path, part;

	req->method = mesh_arena_slice(a, h->method);
	req->target = mesh_arena_slice(a, h->target);
	req->http10 = h->http10;
	req->upgrade = h->upgrade;
	mesh_slice_split(&query, '?', &path);
	req->path = decode(a, path, false);
	req->params = mesh_arena_array(a, struct mesh_pair, MESH_SERVE_PARAMS);
	while (req->param_count < MESH_SERVE_PARAMS && mesh_slice_split(&query, '&', &part)) {
		struct mesh_slice name;

		if (part.len == 0)
			continue;
		mesh_slice_split(&part, '=', &name);
		req->params[req->param_count].name = decode(a, name, true);
		req->params[req->param_count++].value = decode(a, part, true);
	}
	req->headers = mesh_arena_array(a, struct mesh_pair, h->count);
	for (size_t i = 0; i < h->count; i++)
		req->headers[i] = (struct mesh_pair){mesh_arena_slice(a, h->fields[i].name),
						     mesh_arena_slice(a, h->fields[i].value)};
	req->header_count = h->count;
}

const char *mesh_head_reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} table[] = {
		{101, "Switching Protocols"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{406, "Not Acceptable"},
		{409, "Conflict"},
		{410, "Gone"},
		{413, "Request Entity Too Large"},
		{415, "Unsupported Media Type"},
		{422, "Unprocessable Entity"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(table); i++)
		if (table[i].status == status)
			return table[i].text;
	return "Unknown";
}
