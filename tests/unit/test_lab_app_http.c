/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/app_http.h"
#include "test.h"

static struct mesh_app_head head;

static int parse(const char *text, bool response)
{
	return mesh_app_head_parse(mesh_slice_str(text), response, &head);
}

TEST(head_length_at_every_cut)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

	for (size_t n = 0; n < sizeof(text) - 1; n++)
		CHECK_INT(mesh_app_head_length(mesh_slice_of(text, n)), 0);
	CHECK_INT(mesh_app_head_length(mesh_slice_str(text)), sizeof(text) - 1);
	char *big = calloc(1, MESH_APP_HEAD_MAX + 2);

	memset(big, 'a', MESH_APP_HEAD_MAX + 1);
	CHECK(mesh_app_head_length(mesh_slice_str(big)) < 0);
	free(big);
}

TEST(requests)
{
	CHECK_INT(parse("POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-A:  b \r\n\r\n", false), 0);
	CHECK(mesh_slice_eq(head.method, MESH_SLICE("POST")));
	CHECK(mesh_slice_eq(head.target, MESH_SLICE("/a?b")));
	CHECK_INT(head.content_length, 5);
	CHECK(head.keep_alive);
	CHECK(mesh_slice_eq(mesh_app_header_get(&head, "x-a"), MESH_SLICE("b")));
	CHECK(!mesh_app_header_get(&head, "x-b").ptr);
	CHECK_INT(parse("GET / HTTP/1.0\r\n\r\n", false), 0);
	CHECK(!head.keep_alive);
	CHECK_INT(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false), 0);
	CHECK(head.keep_alive);
	CHECK_INT(parse("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", false), 0);
	CHECK(!head.keep_alive);
}

TEST(refused)
{
	static const char *const bad[] = {
		"GET /\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"GET / HTTP/1.1\r\nno colon\r\n\r\n",
		"GET / HTTP/1.1\r\n: x\r\n\r\n",
		"GET / HTTP/1.1\r\nA : x\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(parse(bad[i], false) < 0);
	CHECK(parse("HTTP/1.1 20 OK\r\n\r\n", true) < 0);
}

TEST(bodies_of_responses)
{
	CHECK_INT(parse("HTTP/1.1 200 OK\r\n\r\n", true), 0);
	CHECK_INT(mesh_app_body_of(&head, true, false).state, MESH_APP_BODY_TO_CLOSE);
	CHECK_INT(mesh_app_body_of(&head, true, true).state, MESH_APP_BODY_DONE);
	CHECK_INT(parse("HTTP/1.1 204 No Content\r\n\r\n", true), 0);
	CHECK_INT(mesh_app_body_of(&head, true, false).state, MESH_APP_BODY_DONE);
	CHECK_INT(parse("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true), 0);
	CHECK_INT(mesh_app_body_of(&head, true, false).state, MESH_APP_BODY_DONE);
}

/* A body that comes in two pieces, cut anywhere, reads the same. */
static void check_body(const char *start, const char *text, const char *want, size_t rest)
{
	size_t len = strlen(text);

	for (size_t cut = 0; cut <= len; cut++) {
		struct mesh_buf in = {0}, out = {0};
		struct mesh_app_body b;

		CHECK_INT(parse(start, true), 0);
		b = mesh_app_body_of(&head, true, false);
		mesh_buf_add(&in, text, cut);
		CHECK_INT(mesh_app_body_read(&b, &in, &out), 0);
		mesh_buf_add(&in, text + cut, len - cut);
		CHECK_INT(mesh_app_body_read(&b, &in, &out), 0);
		CHECK_INT(b.state, MESH_APP_BODY_DONE);
		CHECK_STR(mesh_buf_view(&out).ptr, want);
		CHECK_INT(in.len, rest);
		mesh_buf_free(&in);
		mesh_buf_free(&out);
	}
}

TEST(bodies_at_every_cut)
{
	check_body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "helloNEXT", "hello", 4);
	check_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		   "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: 1\r\n\r\nNEXT", "hello", 4);
}

TEST(bad_chunks)
{
	static const char *const bad[] = {"x\r\n", "\r\n", "1\r\nab\r\n", "ffffffffffffff\r\n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mesh_app_body b = {MESH_APP_BODY_CHUNK_SIZE, 0};
		struct mesh_buf in = {0}, out = {0};

		mesh_buf_str(&in, bad[i]);
		CHECK(mesh_app_body_read(&b, &in, &out) < 0);
		mesh_buf_free(&in);
		mesh_buf_free(&out);
	}
}

TEST_MAIN()
