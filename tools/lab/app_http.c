/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/app_http.h"

#include <errno.h>

ssize_t mesh_app_head_length(struct mesh_slice text)
{
	const char *end = text.len ? memmem(text.ptr, text.len, "\r\n\r\n", 4) : NULL;

	if (!end)
		return text.len > MESH_APP_HEAD_MAX ? -EINVAL : 0;
	return end - text.ptr + 4;
}

static bool take_line(struct mesh_slice *text, struct mesh_slice *line)
{
	const char *end = memmem(text->ptr, text->len, "\r\n", 2);

	if (!end)
		return false;
	*line = mesh_slice_of(text->ptr, (size_t)(end - text->ptr));
	*text = mesh_slice_of(end + 2, text->len - line->len - 2);
	return true;
}

static int parse_version(struct mesh_slice v, struct mesh_app_head *ret)
{
	if (mesh_slice_eq(v, MESH_SLICE("HTTP/1.0")))
		ret->http10 = true;
	else if (!mesh_slice_eq(v, MESH_SLICE("HTTP/1.1")))
		return -EINVAL;
	ret->keep_alive = !ret->http10;
	return 0;
}

static int parse_start(struct mesh_slice line, bool response, struct mesh_app_head *ret)
{
	struct mesh_slice a, b, c;
	uint64_t status;

	if (!mesh_slice_split(&line, ' ', &a) || !mesh_slice_split(&line, ' ', &b))
		return -EINVAL;
	if (response) {
		if (mesh_slice_to_u64(b, 999, &status) < 0 || status < 100)
			return -EINVAL;
		ret->status = (int)status;
		return parse_version(a, ret);
	}
	if (!mesh_slice_split(&line, ' ', &c) || a.len == 0 || b.len == 0)
		return -EINVAL;
	ret->method = a;
	ret->target = b;
	return parse_version(c, ret);
}

static int note_header(const struct mesh_app_header *h, struct mesh_app_head *ret)
{
	uint64_t n;

	if (mesh_slice_eq_nocase(h->name, MESH_SLICE("content-length"))) {
		if (mesh_slice_to_u64(h->value, INT64_MAX, &n) < 0)
			return -EINVAL;
		if (ret->content_length >= 0 && (uint64_t)ret->content_length != n)
			return -EINVAL;
		ret->content_length = (int64_t)n;
	} else if (mesh_slice_eq_nocase(h->name, MESH_SLICE("transfer-encoding"))) {
		if (!mesh_slice_eq_nocase(h->value, MESH_SLICE("chunked")))
			return -EINVAL;
		ret->chunked = true;
	} else if (mesh_slice_eq_nocase(h->name, MESH_SLICE("connection"))) {
		if (mesh_slice_eq_nocase(h->value, MESH_SLICE("close")))
			ret->keep_alive = false;
		else if (mesh_slice_eq_nocase(h->value, MESH_SLICE("keep-alive")))
			ret->keep_alive = true;
	} else if (mesh_slice_eq_nocase(h->name, MESH_SLICE("expect"))) {
		ret->expects_continue = mesh_slice_eq_nocase(h->value, MESH_SLICE("100-continue"));
	}
	return 0;
}

int mesh_app_head_parse(struct mesh_slice text, bool response, struct mesh_app_head *ret)
{
	struct mesh_slice line;

	ret->method = ret->target = (struct mesh_slice){NULL, 0};
	ret->status = 0;
	ret->http10 = ret->keep_alive = ret->chunked = ret->expects_continue = false;
	ret->content_length = -1;
	ret->count = 0;
	if (!take_line(&text, &line) || parse_start(line, response, ret) < 0)
		return -EINVAL;
	while (take_line(&text, &line) && line.len) {
		struct mesh_app_header *h = &ret->headers[ret->count];
		ssize_t colon = mesh_slice_find(line, ':');

		if (colon <= 0 || ret->count == MESH_APP_HEADERS)
			return -EINVAL;
		h->name = mesh_slice_of(line.ptr, (size_t)colon);
		h->value = mesh_slice_trim(mesh_slice_of(line.ptr + colon + 1, line.len - (size_t)colon - 1));
		if (h->name.ptr[h->name.len - 1] == ' ' || note_header(h, ret) < 0)
			return -EINVAL;
		ret->count++;
	}
	return ret->chunked && ret->content_length >= 0 ? -EINVAL : 0;
}

struct mesh_slice mesh_app_header_get(const struct mesh_app_head *head, const char *name)
{
	for (unsigned i = 0; i < head->count; i++)
		if (mesh_slice_eq_nocase(head->headers[i].name, mesh_slice_str(name)))
			return head->headers[i].value;
	return (struct mesh_slice){NULL, 0};
}

struct mesh_app_body mesh_app_body_of(const struct mesh_app_head *head, bool response, bool to_head)
{
	struct mesh_app_body b = {MESH_APP_BODY_DONE, 0};

	if (response && (to_head || head->status / 100 == 1 || head->status == 204 || head->status == 304))
		return b;
	if (head->chunked) {
		b.state = MESH_APP_BODY_CHUNK_SIZE;
	} else if (head->content_length > 0) {
		b.state = MESH_APP_BODY_LENGTH;
		b.left = (uint64_t)head->content_length;
	} else if (response && head->content_length < 0) {
		b.state = MESH_APP_BODY_TO_CLOSE;
	}
	return b;
}

static int chunk_size(struct mesh_slice line, uint64_t *ret)
{
	uint64_t n = 0;
	size_t digits = 0;

	for (; digits < line.len; digits++) {
		char c = line.ptr[digits];
		int v = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;

		if (v < 0)
			break;
		if (n >> 40)
			return -EINVAL;
		n = n << 4 | (uint64_t)v;
	}
	if (digits == 0)
		return -EINVAL;
	*ret = n;
	return 0;
}

/* One line of chunked framing. Returns its length with CRLF, 0: need more, or -EINVAL. */
static ssize_t framing_line(struct mesh_app_body *b, struct mesh_slice in)
{
	struct mesh_slice rest = in, line;

	if (!take_line(&rest, &line))
		return in.len > 8192 ? -EINVAL : 0;
	switch (b->state) {
	case MESH_APP_BODY_CHUNK_SIZE:
		if (chunk_size(line, &b->left) < 0)
			return -EINVAL;
		b->state = b->left ? MESH_APP_BODY_CHUNK_DATA : MESH_APP_BODY_TRAILER;
		break;
	case MESH_APP_BODY_CHUNK_END:
		if (line.len)
			return -EINVAL;
		b->state = MESH_APP_BODY_CHUNK_SIZE;
		break;
	default:
		if (line.len == 0)
			b->state = MESH_APP_BODY_DONE;
		break;
	}
	return (ssize_t)line.len + 2;
}

int mesh_app_body_read(struct mesh_app_body *b, struct mesh_buf *in, struct mesh_buf *out)
{
	size_t at = 0;
	int r = 0;

	while (at < in->len && b->state != MESH_APP_BODY_DONE) {
		struct mesh_slice rest = mesh_slice_of(in->data + at, in->len - at);
		ssize_t n;

		if (b->state == MESH_APP_BODY_TO_CLOSE || b->state == MESH_APP_BODY_LENGTH ||
		    b->state == MESH_APP_BODY_CHUNK_DATA) {
			bool open = b->state == MESH_APP_BODY_TO_CLOSE;

			n = (ssize_t)(open || rest.len < b->left ? rest.len : b->left);
			if (out->len + (size_t)n > MESH_APP_BODY_MAX) {
				r = -EFBIG;
				break;
			}
			mesh_buf_add(out, rest.ptr, (size_t)n);
			if (!open)
				b->left -= (uint64_t)n;
			if (!open && b->left == 0)
				b->state =
					b->state == MESH_APP_BODY_LENGTH ? MESH_APP_BODY_DONE : MESH_APP_BODY_CHUNK_END;
		} else {
			n = framing_line(b, rest);
			if (n <= 0) {
				r = (int)n;
				break;
			}
		}
		at += (size_t)n;
	}
	mesh_buf_consume(in, at);
	return r;
}

const char *mesh_app_status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} names[] = {
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{304, "Not Modified"},
		{307, "Temporary Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{413, "Content Too Large"},
		{418, "I'm a teapot"},
		{429, "Too Many Requests"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].status == status)
			return names[i].text;
	return "Unknown";
}
