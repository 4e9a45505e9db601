/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http1.h"

#include "core/mem.h"
#include "test.h"

enum { FIELDS = 16 };

static struct mesh_http1_field fields[FIELDS];

/* Parses whole, then cut at every place, then byte by byte, with the buffer moving each time; all must agree. */
static enum mesh_http1_result parse(struct mesh_http1_head *h, enum mesh_http1_kind kind, const char *text, size_t len,
				    const struct mesh_http1_limits *limits)
{
	enum mesh_http1_result whole, r;
	struct mesh_http1_head cut;

	for (size_t at = 0; at <= len; at++) {
		struct mesh_http1_field f2[FIELDS];
		char *a = mesh_xmalloc(at + 1), *b = mesh_xmalloc(len + 1);

		memcpy(a, text, at);
		memcpy(b, text, len);
		mesh_http1_head_init(&cut, kind, f2, FIELDS, limits);
		r = mesh_http1_head_parse(&cut, a, at);
		free(a);
		if (r == MESH_HTTP1_MORE)
			r = mesh_http1_head_parse(&cut, b, len);
		mesh_http1_head_init(h, kind, fields, FIELDS, limits);
		whole = mesh_http1_head_parse(h, text, len);
		free(b);
		if (r != whole || cut.error != h->error || cut.field_count != h->field_count ||
		    (r == MESH_HTTP1_DONE && (cut.size != h->size || cut.framing != h->framing))) {
			printf("  cut at %zu of %zu: %d/%d, not %d/%d\n", at, len, r, cut.error, whole, h->error);
			abort();
		}
	}
	mesh_http1_head_init(&cut, kind, fields, FIELDS, limits);
	r = MESH_HTTP1_MORE;
	for (size_t i = 1; i <= len && r == MESH_HTTP1_MORE; i++)
		r = mesh_http1_head_parse(&cut, text, i);
	if (r != whole || cut.error != h->error || (r == MESH_HTTP1_DONE && cut.size != h->size))
		abort();
	return whole;
}

static enum mesh_http1_result request(struct mesh_http1_head *h, const char *text)
{
	return parse(h, MESH_HTTP1_REQUEST, text, strlen(text), NULL);
}

static enum mesh_http1_result response(struct mesh_http1_head *h, const char *text)
{
	return parse(h, MESH_HTTP1_RESPONSE, text, strlen(text), NULL);
}

static const char *text_of(struct mesh_slice s)
{
	static char out[8][256];
	static unsigned at;
	char *o = out[at++ % 8];

	snprintf(o, sizeof(out[0]), "%.*s", (int)s.len, s.ptr);
	return o;
}

TEST(request_plain)
{
	struct mesh_http1_head h;
	const char *text = "GET /a/b?c=d HTTP/1.1\r\nHost: catalog:8080\r\nX-One:  two words \t\r\nEmpty:\r\n\r\nrest";

	CHECK_INT(request(&h, text), MESH_HTTP1_DONE);
	CHECK_STR(text_of(h.method), "GET");
	CHECK_STR(text_of(h.target), "/a/b?c=d");
	CHECK_STR(text_of(h.path), "/a/b?c=d");
	CHECK_STR(text_of(h.authority), "catalog:8080");
	CHECK_INT(h.minor, 1);
	CHECK_INT(h.field_count, 3);
	CHECK_STR(text_of(h.fields[1].name), "X-One");
	CHECK_STR(text_of(h.fields[1].value), "two words");
	CHECK_STR(text_of(h.fields[2].value), "");
	CHECK_INT(h.fields[0].id, MESH_HTTP1_HOST);
	CHECK_INT(h.fields[1].id, MESH_HTTP1_OTHER);
	CHECK_INT(h.size, strlen(text) - 4);
	CHECK(h.keep_alive && !h.close && !h.upgrade && !h.expect_continue && !h.nominates && !h.absolute);
	CHECK_INT(h.framing, MESH_HTTP1_NO_BODY);
	CHECK_STR(text_of(mesh_http1_head_find(&h, "x-ONE")->value), "two words");
	CHECK(mesh_http1_head_find(&h, "x-on") == NULL);
}

TEST(request_incomplete)
{
	struct mesh_http1_head h;

	CHECK_INT(request(&h, "GET / HTTP/1.1\r\nHost: a\r\n"), MESH_HTTP1_MORE);
	CHECK_INT(request(&h, "\r\n\r\n"), MESH_HTTP1_MORE);
	CHECK_INT(request(&h, ""), MESH_HTTP1_MORE);
}

TEST(request_empty_lines_before)
{
	struct mesh_http1_head h;

	CHECK_INT(request(&h, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK_INT(h.start, 4);
	CHECK_STR(text_of(h.method), "GET");
	CHECK_INT(request(&h, "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), MESH_HTTP1_ERROR);
	CHECK_INT(h.error, MESH_HTTP1_ERROR_REQUEST_LINE);
}

TEST(request_targets)
{
	struct mesh_http1_head h;

	CHECK_INT(request(&h, "GET http://Web.example:81/x?y HTTP/1.1\r\nHost: other\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK(h.absolute);
	CHECK_STR(text_of(h.authority), "Web.example:81");
	CHECK_STR(text_of(h.path), "/x?y");
	CHECK_INT(request(&h, "GET http://web HTTP/1.1\r\nHost: other\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK_STR(text_of(h.path), "/");
	CHECK_INT(request(&h, "GET http://web:81?x=/y HTTP/1.1\r\nHost: other\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK_STR(text_of(h.authority), "web:81");
	CHECK_STR(text_of(h.path), "?x=/y");
	CHECK_INT(request(&h, "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK_STR(text_of(h.authority), "db:5432");
	CHECK_STR(text_of(h.path), "");
	CHECK_INT(request(&h, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK_STR(text_of(h.path), "*");
	CHECK_INT(request(&h, "GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK_STR(text_of(h.authority), "[fd00::1]:80");
	CHECK_INT(request(&h, "GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK_INT(request(&h, "GET / HTTP/1.0\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK_INT(h.authority.len, 0);
}

static const struct {
	const char *text;
	enum mesh_http1_error error;
	int status;
} bad_requests[] = {
	{"G@T / HTTP/1.1\r\n", MESH_HTTP1_ERROR_METHOD, 400},
	{" GET / HTTP/1.1\r\n", MESH_HTTP1_ERROR_METHOD, 400},
	{"GET\r\n", MESH_HTTP1_ERROR_METHOD, 400},
	{"\x16\x03\x01\x02", MESH_HTTP1_ERROR_METHOD, 400},
	{"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", MESH_HTTP1_ERROR_BARE_LF, 400},
	{"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", MESH_HTTP1_ERROR_METHOD, 400},
	{"AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDDEEEEEEEEEEFFFFFFFFFFGGGGG / HTTP/1.1\r\n",
	 MESH_HTTP1_ERROR_METHOD_LONG, 501},
	{"QUERY / HTTP/1.1\r\n", MESH_HTTP1_ERROR_METHOD_UNKNOWN, 501},
	{"get / HTTP/1.1\r\n", MESH_HTTP1_ERROR_METHOD_UNKNOWN, 501},
	{"GET /\r\n\r\n", MESH_HTTP1_ERROR_REQUEST_LINE, 400},
	{"GET  / HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_REQUEST_LINE, 400},
	{"GET / HTTP/1.1 \r\n\r\n", MESH_HTTP1_ERROR_REQUEST_LINE, 400},
	{"GET / x HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_REQUEST_LINE, 400},
	{"GET / HTTP/1.10\r\n\r\n", MESH_HTTP1_ERROR_REQUEST_LINE, 400},
	{"GET / http/1.1\r\n\r\n", MESH_HTTP1_ERROR_REQUEST_LINE, 400},
	{"GET / HTTP/2.0\r\n\r\n", MESH_HTTP1_ERROR_VERSION, 505},
	{"GET / HTTP/1.2\r\n\r\n", MESH_HTTP1_ERROR_VERSION, 505},
	{"GET / HTTP/0.9\r\n\r\n", MESH_HTTP1_ERROR_VERSION, 505},
	{"GET a HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_TARGET, 400},
	{"GET /a#b HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_TARGET, 400},
	{"GET /\x01 HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_TARGET, 400},
	{"GET /a\rb HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_TARGET, 400},
	{"GET * HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_TARGET, 400},
	{"GET http://u@h/ HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_TARGET, 400},
	{"GET http:/// HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_TARGET, 400},
	{"GET http://?q HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_TARGET, 400},
	{"GET ftp://h/ HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_TARGET, 400},
	{"CONNECT db HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_TARGET, 400},
	{"CONNECT /x:1 HTTP/1.1\r\n\r\n", MESH_HTTP1_ERROR_TARGET, 400},
	{"GET / HTTP/1.1\nHost: a\r\n\r\n", MESH_HTTP1_ERROR_BARE_LF, 400},
	{"GET / HTTP/1.1\r\nHost: a\n\r\n", MESH_HTTP1_ERROR_BARE_LF, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\n\n", MESH_HTTP1_ERROR_BARE_LF, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", MESH_HTTP1_ERROR_BARE_CR, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", MESH_HTTP1_ERROR_BARE_CR, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", MESH_HTTP1_ERROR_FOLD, 400},
	{"GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", MESH_HTTP1_ERROR_FOLD, 400},
	{"GET / HTTP/1.1\r\nHost : a\r\n\r\n", MESH_HTTP1_ERROR_NAME_SPACE, 400},
	{"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", MESH_HTTP1_ERROR_NAME_SPACE, 400},
	{"GET / HTTP/1.1\r\nHo st: a\r\n\r\n", MESH_HTTP1_ERROR_NAME, 400},
	{"GET / HTTP/1.1\r\nHost\r\n\r\n", MESH_HTTP1_ERROR_NAME, 400},
	{"GET / HTTP/1.1\r\n: a\r\n\r\n", MESH_HTTP1_ERROR_NAME, 400},
	{"GET / HTTP/1.1\r\nX(y): a\r\n\r\n", MESH_HTTP1_ERROR_NAME, 400},
	{"GET / HTTP/1.1\r\nX: a\x01\r\n\r\n", MESH_HTTP1_ERROR_VALUE, 400},
	{"GET / HTTP/1.1\r\nX: a\x7f\r\n\r\n", MESH_HTTP1_ERROR_VALUE, 400},
	{"GET / HTTP/1.1\r\nX: a\r\n\r\n", MESH_HTTP1_ERROR_HOST_MISSING, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", MESH_HTTP1_ERROR_HOST_MANY, 400},
	{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", MESH_HTTP1_ERROR_HOST, 400},
	{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", MESH_HTTP1_ERROR_HOST, 400},
	{"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", MESH_HTTP1_ERROR_HOST, 400},
	{"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", MESH_HTTP1_ERROR_HOST, 400},
	{"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", MESH_HTTP1_ERROR_HOST, 400},
	{"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", MESH_HTTP1_ERROR_HOST, 400},
	{"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", MESH_HTTP1_ERROR_HOST, 400},
	{"GET / HTTP/1.1\r\nHost: a[b]\r\n\r\n", MESH_HTTP1_ERROR_HOST, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", MESH_HTTP1_ERROR_LENGTH_MANY,
	 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", MESH_HTTP1_ERROR_LENGTH, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", MESH_HTTP1_ERROR_LENGTH, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", MESH_HTTP1_ERROR_LENGTH, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", MESH_HTTP1_ERROR_LENGTH, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", MESH_HTTP1_ERROR_LENGTH, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 \t\r\n\r\n", MESH_HTTP1_ERROR_LENGTH, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", MESH_HTTP1_ERROR_LENGTH, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	 MESH_HTTP1_ERROR_LENGTH_CODING, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", MESH_HTTP1_ERROR_CODING, 501},
	{"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked \t\r\n\r\n", MESH_HTTP1_ERROR_CODING, 501},
	{"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", MESH_HTTP1_ERROR_CODING, 501},
	{"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", MESH_HTTP1_ERROR_CODING, 501},
	{"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", MESH_HTTP1_ERROR_CODING, 501},
	{"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", MESH_HTTP1_ERROR_CODING_MANY, 400},
	{"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	 MESH_HTTP1_ERROR_CODING_MANY, 400},
	{"GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", MESH_HTTP1_ERROR_CODING_OLD, 400},
};

TEST(request_refused)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(bad_requests); i++) {
		struct mesh_http1_head h;

		if (request(&h, bad_requests[i].text) != MESH_HTTP1_ERROR || h.error != bad_requests[i].error)
			printf("  %s\n", bad_requests[i].text);
		CHECK_STR(mesh_http1_error_text(h.error), mesh_http1_error_text(bad_requests[i].error));
		CHECK_INT(mesh_http1_error_status(h.error), bad_requests[i].status);
	}
}

TEST(request_nul_bytes)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n";
	struct mesh_http1_head h;

	CHECK_INT(parse(&h, MESH_HTTP1_REQUEST, text, sizeof(text) - 1, NULL), MESH_HTTP1_ERROR);
	CHECK_INT(h.error, MESH_HTTP1_ERROR_VALUE);
}

TEST(request_limits)
{
	const struct mesh_http1_limits limits = {.line_bytes = 100, .head_bytes = 300};
	char text[1024], pad[512];
	struct mesh_http1_head h;

	memset(pad, 'a', sizeof(pad));
	snprintf(text, sizeof(text), "GET /%.*s HTTP/1.1\r\nHost: a\r\n\r\n", 85, pad); /* 99 bytes and CR */
	CHECK_INT(parse(&h, MESH_HTTP1_REQUEST, text, strlen(text), &limits), MESH_HTTP1_DONE);
	snprintf(text, sizeof(text), "GET /%.*s HTTP/1.1\r\nHost: a\r\n\r\n", 86, pad);
	CHECK_INT(parse(&h, MESH_HTTP1_REQUEST, text, strlen(text), &limits), MESH_HTTP1_ERROR);
	CHECK_INT(mesh_http1_error_status(h.error), 414);
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: %.*s\r\n\r\n", 300 - 32, pad);
	CHECK_INT(strlen(text), 300);
	CHECK_INT(parse(&h, MESH_HTTP1_REQUEST, text, strlen(text), &limits), MESH_HTTP1_DONE);
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: %.*s\r\n\r\n", 301 - 32, pad);
	CHECK_INT(parse(&h, MESH_HTTP1_REQUEST, text, strlen(text), &limits), MESH_HTTP1_ERROR);
	CHECK_INT(mesh_http1_error_status(h.error), 431);
	strcpy(text, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < FIELDS; i++)
		strcat(text, "a: b\r\n");
	strcat(text, "\r\n");
	CHECK_INT(request(&h, text), MESH_HTTP1_ERROR);
	CHECK_INT(h.error, MESH_HTTP1_ERROR_FIELDS_MANY);
	CHECK_INT(mesh_http1_error_status(h.error), 431);
}

TEST(connection_tokens)
{
	struct mesh_http1_head h;

	CHECK_INT(request(&h, "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-a , CLOSE\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK(h.close && !h.keep_alive && h.nominates);
	CHECK_INT(request(&h, "GET / HTTP/1.0\r\nHost: a\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK(!h.keep_alive && !h.close);
	CHECK_INT(request(&h, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK(h.keep_alive && !h.nominates);
	CHECK_INT(request(&h, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
		  MESH_HTTP1_DONE);
	CHECK(h.upgrade && h.keep_alive);
	CHECK_INT(request(&h, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK(!h.upgrade);
	CHECK_INT(request(&h, "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK(h.expect_continue);
	CHECK(mesh_http1_list_has(MESH_SLICE("a, b ,c"), MESH_SLICE("B")));
	CHECK(!mesh_http1_list_has(MESH_SLICE("a, bc"), MESH_SLICE("b")));
}

TEST(response_heads)
{
	struct mesh_http1_head h;

	CHECK_INT(response(&h, "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK_INT(h.status, 404);
	CHECK_STR(text_of(h.reason), "Not Found");
	CHECK_INT(h.framing, MESH_HTTP1_LENGTH);
	CHECK_INT(h.content_length, 5);
	CHECK_INT(response(&h, "HTTP/1.0 200\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK_INT(h.framing, MESH_HTTP1_CLOSE);
	CHECK(!h.keep_alive);
	CHECK_INT(response(&h, "HTTP/1.1 200 \r\nTransfer-Encoding: Chunked\r\n\r\n"), MESH_HTTP1_DONE);
	CHECK_INT(h.framing, MESH_HTTP1_CHUNKED);
}

TEST(response_refused)
{
	static const char *const bad[] = {
		"HTTP/2 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n",       "HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1  200\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n",
		"HTTP/1.1\r\n\r\n",      "HTTP/1.1 200 a\x01\r\n",   "\r\nHTTP/1.1 200 OK\r\n"};
	struct mesh_http1_head h;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(bad); i++) {
		CHECK_INT(response(&h, bad[i]), MESH_HTTP1_ERROR);
		CHECK_STR(mesh_http1_error_text(h.error), "the status line is not 'HTTP/1.x status reason'");
	}
	CHECK_INT(response(&h, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
		  MESH_HTTP1_ERROR);
	CHECK_INT(h.error, MESH_HTTP1_ERROR_LENGTH_CODING);
}

TEST(response_framing)
{
	static const struct {
		const char *text, *method;
		enum mesh_http1_framing framing;
	} rows[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", MESH_HTTP1_LENGTH},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", MESH_HTTP1_NO_BODY},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", MESH_HTTP1_NO_BODY},
		{"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", "GET", MESH_HTTP1_NO_BODY},
		{"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", "GET", MESH_HTTP1_NO_BODY},
		{"HTTP/1.1 100 X\r\n\r\n", "POST", MESH_HTTP1_NO_BODY},
		{"HTTP/1.1 101 X\r\n\r\n", "GET", MESH_HTTP1_CLOSE},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "CONNECT", MESH_HTTP1_CLOSE},
		{"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n", "CONNECT", MESH_HTTP1_LENGTH},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", MESH_HTTP1_NO_BODY},
		{"HTTP/1.1 200 OK\r\n\r\n", "GET", MESH_HTTP1_CLOSE},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		struct mesh_http1_head h;
		struct mesh_http1_body b;

		CHECK_INT(response(&h, rows[i].text), MESH_HTTP1_DONE);
		mesh_http1_body_response(&b, &h, mesh_slice_str(rows[i].method));
		CHECK_INT(b.framing, rows[i].framing);
	}
}

static enum mesh_http1_result walk_from(struct mesh_http1_body *b, const char *text, size_t len, size_t *raw,
					char *payload, size_t *payload_len)
{
	enum mesh_http1_result r;

	do {
		struct mesh_slice part;
		size_t used;

		r = mesh_http1_body_next(b, text, len, &used, &part);
		memcpy(payload + *payload_len, part.ptr, part.len);
		*payload_len += part.len;
		*raw += used;
		text += used;
		len -= used;
	} while (r == MESH_HTTP1_MORE && len);
	return r;
}

/* Walks a chunked body whole and cut at every place; all must agree. */
static enum mesh_http1_result walk(struct mesh_http1_body *out, const char *text, uint64_t max, size_t *raw,
				   char *payload)
{
	size_t len = strlen(text), payload_len = 0;
	struct mesh_http1_body start = {.framing = MESH_HTTP1_CHUNKED, .max = max};
	enum mesh_http1_result whole;

	*out = start;
	*raw = 0;
	whole = walk_from(out, text, len, raw, payload, &payload_len);
	payload[payload_len] = '\0';
	for (size_t at = 1; at < len; at++) {
		struct mesh_http1_body b = start;
		size_t raw2 = 0, n = 0;
		char p2[512];
		enum mesh_http1_result r = walk_from(&b, text, at, &raw2, p2, &n);

		if (r == MESH_HTTP1_MORE)
			r = walk_from(&b, text + at, len - at, &raw2, p2, &n);
		if (r != whole || raw2 != *raw || b.error != out->error || n != payload_len || memcmp(p2, payload, n))
			abort();
	}
	return whole;
}

TEST(chunked)
{
	struct mesh_http1_body b;
	char payload[512];
	size_t raw;

	CHECK_INT(walk(&b, "5\r\nhello\r\n00A;x=\"y z\"\r\n0123456789\r\n0\r\n\r\nGET", 0, &raw, payload),
		  MESH_HTTP1_DONE);
	CHECK_STR(payload, "hello0123456789");
	CHECK_INT(raw, 40);
	CHECK_INT(b.total, 15);
	CHECK(mesh_http1_body_done(&b));
	CHECK_INT(walk(&b, "0;ext\r\nX-Sum: 1 2\r\nB:\r\n\r\n!", 0, &raw, payload), MESH_HTTP1_DONE);
	CHECK_STR(payload, "");
	CHECK_INT(raw, 25);
	CHECK_INT(walk(&b, "5\r\nhello\r\n", 5, &raw, payload), MESH_HTTP1_MORE);
}

TEST(chunked_refused)
{
	static const struct {
		const char *text;
		enum mesh_http1_error error;
		int status;
	} rows[] = {
		{"\r\n", MESH_HTTP1_ERROR_CHUNK_SIZE, 400},
		{"x\r\n", MESH_HTTP1_ERROR_CHUNK_SIZE, 400},
		{"0x5\r\n", MESH_HTTP1_ERROR_CHUNK_SIZE, 400},
		{"-1\r\n", MESH_HTTP1_ERROR_CHUNK_SIZE, 400},
		{"5 \r\n", MESH_HTTP1_ERROR_CHUNK_SIZE, 400},
		{" 5\r\n", MESH_HTTP1_ERROR_CHUNK_SIZE, 400},
		{"8000000000000000\r\n", MESH_HTTP1_ERROR_CHUNK_SIZE, 400},
		{"00000000000000005\r\n", MESH_HTTP1_ERROR_CHUNK_SIZE, 400},
		{"5\n", MESH_HTTP1_ERROR_CHUNK_SIZE, 400},
		{"5\rx", MESH_HTTP1_ERROR_BARE_CR, 400},
		{"5;a\n", MESH_HTTP1_ERROR_CHUNK_EXTENSION, 400},
		{"5;\x01\r\n", MESH_HTTP1_ERROR_CHUNK_EXTENSION, 400},
		{"1\r\nab\r\n", MESH_HTTP1_ERROR_CHUNK_END, 400},
		{"1\r\na\n", MESH_HTTP1_ERROR_CHUNK_END, 400},
		{"1\r\na\rx", MESH_HTTP1_ERROR_CHUNK_END, 400},
		{"3\r\nabc\r\n3\r\n", MESH_HTTP1_ERROR_BODY_LARGE, 413},
		{"6\r\n", MESH_HTTP1_ERROR_BODY_LARGE, 413},
		{"0\r\nContent-Length: 1\r\n", MESH_HTTP1_ERROR_TRAILER, 400},
		{"0\r\nHOST:", MESH_HTTP1_ERROR_TRAILER, 400},
		{"0\r\nTransfer-encoding:", MESH_HTTP1_ERROR_TRAILER, 400},
		{"0\r\n a: b\r\n", MESH_HTTP1_ERROR_FOLD, 400},
		{"0\r\na : b\r\n", MESH_HTTP1_ERROR_NAME_SPACE, 400},
		{"0\r\na\r\n", MESH_HTTP1_ERROR_NAME, 400},
		{"0\r\n:\r\n", MESH_HTTP1_ERROR_NAME, 400},
		{"0\r\n\n", MESH_HTTP1_ERROR_BARE_LF, 400},
		{"0\r\na: b\n", MESH_HTTP1_ERROR_BARE_LF, 400},
		{"0\r\na: \x02", MESH_HTTP1_ERROR_VALUE, 400},
		{"0\r\na: b\rc", MESH_HTTP1_ERROR_BARE_CR, 400},
		{"0\r\n\rx", MESH_HTTP1_ERROR_BARE_CR, 400},
	};
	struct mesh_http1_body b;
	char payload[512];
	size_t raw;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		if (walk(&b, rows[i].text, 5, &raw, payload) != MESH_HTTP1_ERROR)
			printf("  %s\n", rows[i].text);
		CHECK_STR(mesh_http1_error_text(b.error), mesh_http1_error_text(rows[i].error));
		CHECK_INT(mesh_http1_error_status(b.error), rows[i].status);
	}
}

TEST(chunked_limits)
{
	struct mesh_http1_body b = {.framing = MESH_HTTP1_CHUNKED};
	char text[10000];
	struct mesh_slice payload;
	size_t used;

	memset(text, 'a', sizeof(text));
	memcpy(text, "1;", 2);
	CHECK_INT(mesh_http1_body_next(&b, text, sizeof(text), &used, &payload), MESH_HTTP1_ERROR);
	CHECK_INT(b.error, MESH_HTTP1_ERROR_CHUNK_EXTENSION);
	b = (struct mesh_http1_body){.framing = MESH_HTTP1_CHUNKED};
	memcpy(text, "0\r\n", 3);
	CHECK_INT(mesh_http1_body_next(&b, text, sizeof(text), &used, &payload), MESH_HTTP1_ERROR);
	CHECK_INT(b.error, MESH_HTTP1_ERROR_TRAILER_LARGE);
	CHECK_INT(mesh_http1_error_status(b.error), 431);
}

TEST(body_of_request)
{
	struct mesh_http1_limits limits = {.body_bytes = 10};
	const char *text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET";
	struct mesh_http1_head h;
	struct mesh_http1_body b;
	struct mesh_slice payload;
	size_t used;

	CHECK_INT(parse(&h, MESH_HTTP1_REQUEST, text, strlen(text), &limits), MESH_HTTP1_DONE);
	CHECK_INT(mesh_http1_body_request(&b, &h), MESH_HTTP1_ERROR_NONE);
	CHECK_INT(mesh_http1_body_next(&b, text + h.size, 2, &used, &payload), MESH_HTTP1_MORE);
	CHECK_INT(used, 2);
	CHECK_INT(mesh_http1_body_next(&b, text + h.size + 2, 6, &used, &payload), MESH_HTTP1_DONE);
	CHECK_INT(used, 3);
	CHECK_STR(text_of(payload), "llo");
	CHECK_INT(mesh_http1_body_next(&b, "GET", 3, &used, &payload), MESH_HTTP1_DONE);
	CHECK_INT(used, 0);
	text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n";
	CHECK_INT(parse(&h, MESH_HTTP1_REQUEST, text, strlen(text), &limits), MESH_HTTP1_DONE);
	CHECK_INT(mesh_http1_body_request(&b, &h), MESH_HTTP1_ERROR_BODY_LARGE);
	CHECK_INT(mesh_http1_body_next(&b, "x", 1, &used, &payload), MESH_HTTP1_ERROR);
}

TEST(methods)
{
	CHECK(mesh_http1_method_known(MESH_SLICE("M-SEARCH")));
	CHECK(!mesh_http1_method_known(MESH_SLICE("GE")));
	CHECK(!mesh_http1_method_known(MESH_SLICE("")));
}

TEST(reasons)
{
	CHECK_STR(mesh_http1_reason(404), "Not Found");
	CHECK_STR(mesh_http1_reason(431), "Request Header Fields Too Large");
	CHECK_STR(mesh_http1_reason(299), "Unknown");
	CHECK_INT(mesh_http1_error_status(MESH_HTTP1_ERROR_NONE), 0);
}

TEST_MAIN()
