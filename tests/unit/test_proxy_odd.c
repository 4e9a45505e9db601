/* SPDX-License-Identifier: Apache-2.0 */
/* Clients and endpoints that do what HTTP allows but few do, or what it does not: message by message, byte by byte. */
#include "proxy_raw.h"

#include <fcntl.h>

static const char *body(void)
{
	return m.body.data ? m.body.data : "";
}

/* What the endpoint has received after its head, until there is as much as want. */
static bool endpoint_gets(const char *want)
{
	char got[4096];
	size_t len = 0, size = strlen(want);

	while (len < size) {
		ssize_t n = recv(server, got + len, sizeof(got) - len, 0);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	return len == size && memcmp(got, want, len) == 0;
}

/* Nothing more comes for the client, in an order that is not a reset. */
static bool ends(void)
{
	return m.in.len == 0 && !lab_more(fd, &m) && m.eof;
}

static bool endpoint_ends(void)
{
	char c;

	return recv(server, &c, 1, 0) <= 0 && errno != EAGAIN;
}

/* The next request on the connection there is, with its answer. */
static bool next_ok(void)
{
	struct lab_message in = {0};
	bool ok = lab_read_head(server, &in, MESH_HTTP1_REQUEST) && answer_ok();

	lab_message_free(&in);
	return ok;
}

#define POST_CONTINUE "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"

WORLD(expectation_that_fails)
{
	CHECK(lab_say(fd, POST_CONTINUE));
	CHECK(accepted_any());
	CHECK(lab_say(server, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 417);
	CHECK_STR(body(), "no");
	CHECK(m.head.close); /* nobody can tell whether the body comes */
	CHECK(lab_say(fd, "GET /in-the-place-of-the-body HTTP/1.1\r\nHost: a\r\n\r\n"));
	CHECK(ends());
	CHECK(endpoint_ends());
}

WORLD(expectation_of_the_mesh_itself)
{
	mesh_proxy_publish(px.proxy, lab_config());
	CHECK(lab_say(fd, POST_CONTINUE));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 404);
	CHECK(m.head.close);
	CHECK(ends());
}

WORLD(body_before_the_go_ahead)
{
	CHECK(lab_say(fd, POST_CONTINUE "hello"));
	CHECK(accepted_any());
	CHECK(lab_say(server, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 100);
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "ok");
	CHECK(m.head.keep_alive);
}

WORLD(many_informational_responses)
{
	static const char many[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX-A: 1\r\n\r\n"
				   "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\n\r\n"
				   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	static const int statuses[] = {100, 102, 103, 200};

	for (size_t at = 1; at < sizeof(many); at += 3) {
		struct lab_message in = {0};

		CHECK(lab_say(fd, GET("/")));
		CHECK(at == 1 ? accepted(&in) : lab_read_head(server, &in, MESH_HTTP1_REQUEST));
		lab_message_free(&in);
		CHECK(lab_send(server, many, at));
		lab_sleep_ms(1);
		CHECK(lab_say(server, many + at));
		for (size_t i = 0; i < MESH_ARRAY_SIZE(statuses); i++) {
			CHECK(lab_response(fd, &m));
			CHECK_INT(m.head.status, statuses[i]);
			CHECK_STR(lab_field(&m, "link"), i == 2 ? "</a>" : "-");
		}
		CHECK_STR(body(), "ok");
	}
	new_client();
	CHECK(lab_say(fd, "GET / HTTP/1.0\r\n\r\n"));
	CHECK(accepted_any());
	CHECK(lab_say(server, many));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 200); /* an HTTP/1.0 client knows of no others: RFC 9110 section 15.2 */
	CHECK(ends());
}

WORLD(informational_responses_without_end)
{
	struct timeval brief = {.tv_sec = 1};

	CHECK(lab_say(fd, GET("/")));
	CHECK(accepted_any());
	setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof(brief));
	for (int i = 0; i < 1000000; i++) /* the client does not read: what is kept for it has an end */
		if (!lab_say(server,
			     "HTTP/1.1 103 Early Hints\r\nLink: </some/where/or/other.css>; rel=preload\r\n\r\n"))
			break;
	wait_requests_over();
	CHECK_INT(lab_stats(&px).requests_active, 0);
}

WORLD(answer_before_the_body_is_there)
{
	CHECK(lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"));
	CHECK(accepted_any());
	CHECK(lab_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly"));
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "early");
	CHECK(m.head.close);
	CHECK(lab_say(fd, "world"));
	CHECK(ends());
	CHECK_INT(lab_stats(&px).upstream_connections_active, 0);
}

WORLD(both_bodies_at_once)
{
	CHECK(lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
	CHECK(accepted_any());
	CHECK(lab_say(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
	CHECK(lab_read_head(fd, &m, MESH_HTTP1_RESPONSE));
	CHECK(m.head.close);           /* who answers before the body is there may never read it */
	for (int i = 0; i < 50; i++) { /* one side waits for the other's bytes each time */
		CHECK(lab_say(fd, "1\r\na\r\n"));
		CHECK(endpoint_gets("1\r\na\r\n"));
		CHECK(lab_say(server, "1\r\nb\r\n"));
		while (m.in.len < 6)
			CHECK(lab_more(fd, &m));
		CHECK(memcmp(m.in.data, "1\r\nb\r\n", 6) == 0);
		mesh_buf_consume(&m.in, 6);
	}
	CHECK(lab_say(fd, "0\r\n\r\n"));
	CHECK(endpoint_gets("0\r\n\r\n"));
	CHECK(lab_say(server, "0\r\n\r\n"));
	while (m.in.len < 5)
		CHECK(lab_more(fd, &m));
	mesh_buf_clear(&m.in);
	CHECK(ends());
}

WORLD(request_in_chunks_passes_as_it_is)
{
	static const char text[] = "5;name=\"a;b\"\r\nhello\r\n1;x\r\n!\r\n000\r\nX-Sum: 6\r\nX-More: 1\r\n\r\n";

	CHECK(lab_say(fd, "PUT / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"));
	CHECK(accepted_any());
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		CHECK(lab_send(fd, text + i, 1));
		if (i % 7 == 0)
			lab_sleep_ms(1);
	}
	CHECK(endpoint_gets(text));
	CHECK(answer_ok());
}

WORLD(body_that_a_response_must_not_have)
{
	static const char *const answers[][2] = {
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello"},
		{"GET",
		 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(answers); i++) {
		mesh_auto_free char *ask = mesh_xasprintf("%s / HTTP/1.1\r\nHost: a\r\n\r\n", answers[i][0]);

		CHECK(lab_say(fd, ask));
		CHECK(accepted_any());
		CHECK(lab_say(server, answers[i][1]));
		CHECK(lab_response_to(fd, &m, answers[i][0]));
		CHECK_STR(body(), i == 3 ? "ok" : "");
		CHECK(endpoint_ends()); /* what is left there is nobody's answer */
		CHECK(lab_say(fd, GET("/")));
		CHECK(accepted_any());
		CHECK(answer_ok());
		CHECK_STR(body(), "ok");
		new_client();
	}
}

WORLD(endpoint_that_speaks_out_of_turn)
{
	CHECK(lab_say(fd, GET("/")));
	CHECK(accepted_any());
	CHECK(answer_ok());
	CHECK(lab_say(server, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
	CHECK(endpoint_ends());
	CHECK(lab_say(fd, GET("/")));
	CHECK(accepted_any());
	CHECK(answer_ok());
}

WORLD(framing_that_is_ambiguous)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(answers); i++) {
		CHECK(lab_say(fd, GET("/")));
		CHECK(accepted_any());
		CHECK(lab_say(server, answers[i]));
		CHECK(lab_response(fd, &m));
		CHECK_INT(m.head.status, 502);
		CHECK(m.head.keep_alive);
		CHECK(endpoint_ends());
	}
}

static bool large_head(size_t size)
{
	mesh_auto_free char *value = mesh_xcalloc(1, size + 1);
	mesh_auto_free char *text = NULL;

	memset(value, 'x', size);
	text = mesh_xasprintf("HTTP/1.1 200 OK\r\nX-Large: %s\r\nContent-Length: 2\r\n\r\nok", value);
	return lab_say(fd, GET("/")) && accepted_any() && lab_say(server, text) && lab_response(fd, &m);
}

WORLD(large_heads_of_responses)
{
	CHECK(large_head(50000));
	CHECK_INT(m.head.status, 200);
	CHECK(mesh_http1_head_find(&m.head, "x-large")->value.len == 50000);
	CHECK_STR(body(), "ok");
	new_client();
	CHECK(large_head(70000));
	CHECK_INT(m.head.status, 502);
}

#define ASK_UPGRADE "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: e\r\n\r\n"

WORLD(upgrade_that_is_refused)
{
	CHECK(lab_say(fd, ASK_UPGRADE));
	CHECK(accepted_any());
	CHECK(lab_say(server, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: f/2\r\nConnection: upgrade\r\n"
			      "Content-Length: 2\r\n\r\nno"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 426);
	CHECK_STR(lab_field(&m, "upgrade"), "f/2");
	CHECK(m.head.keep_alive);
	CHECK(lab_say(fd, GET("/")));
	CHECK(next_ok());
}

WORLD(upgrade_to_what_leaves_the_routed_world)
{
	CHECK(lab_say(fd, ASK_UPGRADE));
	CHECK(accepted_any());
	CHECK(lab_say(server, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 502);
	CHECK(endpoint_ends());
}

WORLD(upgrade_cut_at_every_byte)
{
	static const char text[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: e\r\nConnection: upgrade\r\n\r\nhi!";

	for (size_t at = 1; at < sizeof(text) - 1; at += 5) {
		CHECK(lab_say(fd, ASK_UPGRADE "one"));
		CHECK(accepted_any());
		CHECK(lab_send(server, text, at));
		lab_sleep_ms(1);
		CHECK(lab_say(server, text + at));
		CHECK(lab_response(fd, &m));
		CHECK(lab_say(fd, "two"));
		while (m.in.len < 3)
			CHECK(lab_more(fd, &m));
		CHECK_STR(m.in.data, "hi!");
		CHECK(endpoint_gets("onetwo"));
		new_client();
	}
}

WORLD(tunnel_that_is_refused)
{
	CHECK(lab_say(fd, "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n"));
	CHECK(accepted_any());
	CHECK(lab_say(server, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"));
	CHECK(lab_response_to(fd, &m, "CONNECT"));
	CHECK_INT(m.head.status, 403);
	CHECK_STR(body(), "no");
	CHECK(m.head.keep_alive);
	CHECK(lab_say(fd, GET("/")));
	CHECK(next_ok());
}

WORLD(endpoint_that_closes_and_a_client_that_stays)
{
	CHECK(lab_say(fd, GET("/") GET("/")));
	CHECK(accepted_any());
	CHECK(lab_say(server, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"));
	CHECK(lab_response(fd, &m));
	CHECK(m.head.keep_alive);
	CHECK(endpoint_ends());
	CHECK(accepted_any());
	CHECK(answer_ok());
}

WORLD(empty_lines_between_requests)
{
	CHECK(lab_say(fd, "\r\n" GET("/")));
	CHECK(accepted_any());
	CHECK(answer_ok());
	CHECK(lab_say(fd, "\r\n"));
	lab_sleep_ms(5);
	CHECK(lab_say(fd, "\r\n" GET("/")));
	CHECK(next_ok());
}

/* The second request was sent before the first was answered, and is routed by what is in force when its turn comes. */
WORLD(requests_in_a_row_across_a_change)
{
	uint16_t second_port;
	mesh_auto_fd int second = lab_listen(&second_port);
	struct timeval five = {.tv_sec = 5};

	setsockopt(second, SOL_SOCKET, SO_RCVTIMEO, &five, sizeof(five));
	CHECK(lab_say(fd, GET("/1") GET("/2") GET("/3")));
	CHECK(accepted_any());
	mesh_proxy_publish(px.proxy, lab_config_any(NULL, (uint16_t[]){second_port, 0}));
	CHECK(answer_ok());
	CHECK(endpoint_ends()); /* in no cluster any more */
	close(server);
	server = accept(second, NULL, NULL);
	CHECK(server >= 0);
	setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &five, sizeof(five));
	CHECK(next_ok());
	CHECK(next_ok());
}

/* More than a close-asking client should have sent, and a response too large for its socket. */
WORLD(bytes_after_the_last_request)
{
	const size_t size = 8 << 20;
	mesh_auto_free char *zeros = mesh_xcalloc(1, size);
	mesh_auto_free char *head = mesh_xasprintf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);

	CHECK(lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab"));
	CHECK(accepted_any());
	lab_sleep_ms(20);
	CHECK(lab_say(fd, "\r\n"));
	CHECK(lab_say(server, head));
	CHECK(fcntl(server, F_SETFL, O_NONBLOCK) == 0);
	for (size_t sent = 0; sent < size;) {
		ssize_t n = send(server, zeros, size - sent, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		if (n < 0 && lab_more(fd, &m) && m.in.len > 16 << 20)
			break;
	}
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.content_length, size);
	CHECK(m.head.close);
	CHECK(ends());
}

TEST_MAIN()
