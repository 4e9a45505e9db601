/* SPDX-License-Identifier: Apache-2.0 */
/* The engine over real sockets: what HTTP/1.1 asks of an intermediary, message by message. */
#include "proxy_lab.h"

static struct lab_upstream up;
static struct lab_proxy px;
static struct lab_message m;
static int fd = -1;

static void start_opts(const struct mesh_proxy_opts *opts)
{
	lab_upstream_start(&up, "upstream");
	lab_proxy_start(&px, opts, lab_config_any(NULL, (uint16_t[]){up.port, 0}));
	lab_listen_gateway(&px);
	fd = lab_connect(px.port);
}

static void start(void)
{
	start_opts(&(struct mesh_proxy_opts){.workers = 1});
}

static void stop(void)
{
	mesh_cleanup_fd(&fd);
	fd = -1;
	lab_proxy_stop(&px);
	lab_upstream_stop(&up);
	lab_message_free(&m);
	m = (struct lab_message){0};
}

static const char *body(void)
{
	return m.body.data ? m.body.data : "";
}

WORLD(keep_alive_on_both_sides)
{
	for (int i = 0; i < 20; i++) {
		CHECK(lab_say(fd, GET("/")));
		CHECK(lab_response(fd, &m));
		CHECK_INT(m.head.status, 200);
		CHECK_STR(body(), "upstream");
		CHECK(m.head.keep_alive);
	}
	CHECK_INT(up.connections, 1);
	CHECK_INT(up.requests, 20);
	for (int i = 0; i < 400 && lab_stats(&px).requests_active; i++) /* counted after the last byte is out */
		lab_sleep_ms(5);
	CHECK_INT(lab_stats(&px).requests_total, 20);
	CHECK_INT(lab_stats(&px).status[2], 20);
	CHECK_INT(lab_stats(&px).upstream_connections_active, 1);
}

WORLD(pool_is_shared_by_connections)
{
	for (int i = 0; i < 5; i++)
		CHECK_INT(lab_get(px.port, &m, "a", "/"), 200);
	CHECK_INT(up.connections, 1);
}

WORLD(pipelined_answers_in_order)
{
	CHECK(lab_say(fd, GET("/slow/60") GET("/chunked") GET("/zeros/3") "POST /body HTTP/1.1\r\nHost: a\r\n"
									  "Content-Length: 4\r\n\r\nfour" GET("/")));
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "upstream");
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "hello world");
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.body.len, 3);
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "four");
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "upstream");
}

WORLD(cut_at_every_byte)
{
	static const char text[] = GET("/raw") "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
					       "3\r\nabc\r\n0\r\n\r\n";

	for (size_t at = 1; at < sizeof(text) - 1; at++) {
		CHECK(lab_send(fd, text, at));
		sched_yield();
		CHECK(lab_say(fd, text + at));
		CHECK(lab_response(fd, &m));
		CHECK_INT(m.head.status, 200);
		CHECK(lab_response(fd, &m));
		CHECK_STR(body(), "abc");
	}
}

WORLD(one_byte_at_a_time)
{
	static const char text[] = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		CHECK(lab_send(fd, text + i, 1));
		lab_sleep_ms(1);
	}
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "abc");
}

WORLD(chunks_and_trailers_pass_as_they_are)
{
	CHECK(lab_say(fd, GET("/chunked")));
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "hello world");
	CHECK_STR(m.raw.data, "5;x=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n");
	CHECK_STR(lab_field(&m, "trailer"), "X-Sum");
}

WORLD(messages_without_body)
{
	CHECK(lab_say(fd, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" GET("/204") GET("/304") GET("/")));
	CHECK(lab_response_to(fd, &m, "HEAD"));
	CHECK_STR(lab_field(&m, "content-length"), "7");
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 204);
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 304);
	CHECK_STR(lab_field(&m, "content-length"), "99");
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "upstream");
	CHECK_INT(up.connections, 1);
}

WORLD(continue_is_passed_on)
{
	CHECK(lab_say(fd, "PUT /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 100);
	CHECK(lab_say(fd, "hello"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 200);
	CHECK_STR(body(), "hello");
	CHECK(m.head.keep_alive);
}

WORLD(close_delimited_response)
{
	CHECK(lab_say(fd, GET("/close")));
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "until the end");
	CHECK(m.head.close);
	CHECK(m.eof);
}

WORLD(truncated_response_is_not_an_end)
{
	CHECK(lab_say(fd, GET("/cut")));
	CHECK(!lab_response(fd, &m));
	CHECK_STR(body(), "short");
	CHECK(!m.eof); /* reset */
}

WORLD(upgrade_and_half_close)
{
	CHECK(lab_say(fd, "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly "));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 101);
	CHECK_STR(lab_field(&m, "upgrade"), "echo");
	CHECK_STR(lab_field(&m, "connection"), "upgrade");
	CHECK(lab_say(fd, "late"));
	CHECK(shutdown(fd, SHUT_WR) == 0);
	while (lab_more(fd, &m))
		;
	CHECK(m.eof);
	CHECK_STR(m.in.data, "hi!early latebye");
}

WORLD(upgrade_that_is_declined)
{
	CHECK(lab_say(fd, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" GET("/chunked")));
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "upstream");
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "hello world");
}

WORLD(switch_that_nobody_asked_for)
{
	CHECK(lab_say(fd, GET("/upgrade")));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 502);
}

WORLD(connect_is_a_tunnel)
{
	CHECK(lab_say(fd, "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n"));
	CHECK(lab_response_to(fd, &m, "CONNECT"));
	CHECK_INT(m.head.status, 200);
	CHECK_STR(lab_field(&m, "connection"), "-");
	CHECK(lab_say(fd, "ping"));
	while (m.in.len < 4)
		CHECK(lab_more(fd, &m));
	CHECK_STR(m.in.data, "ping");
	CHECK(shutdown(fd, SHUT_WR) == 0);
	while (lab_more(fd, &m))
		;
	CHECK_STR(m.in.data, "pingbye");
}

WORLD(client_closes_its_side_and_still_gets_the_answer)
{
	CHECK(lab_say(fd, GET("/slow/50")));
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "upstream");
	CHECK(!lab_more(fd, &m) && m.eof);
}

WORLD(early_answer_while_the_body_is_sent)
{
	static const char zeros[65536];

	CHECK(lab_say(fd, "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\n"));
	for (int i = 0; i < 20; i++) /* goes on sending, as a client may, and yet reads the answer */
		CHECK(lab_send(fd, zeros, sizeof(zeros)));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 413);
	fd = (close(fd), lab_connect(px.port));
	CHECK(lab_say(fd, "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\nabc"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 413);
	CHECK_STR(body(), "too large");
	CHECK(m.head.close);
}

WORLD(client_that_goes_away)
{
	CHECK(lab_say(fd, GET("/zeros/400000000")));
	lab_sleep_ms(50);
	close(fd);
	fd = -1;
	for (int i = 0; i < 400 && (up.open || lab_stats(&px).requests_active); i++)
		lab_sleep_ms(5);
	CHECK_INT(up.open, 0);
	CHECK_INT(lab_stats(&px).requests_active, 0);
	CHECK_INT(lab_get(px.port, &m, "a", "/"), 200);
}

WORLD(body_that_never_ends)
{
	CHECK(lab_say(fd, "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"));
	lab_sleep_ms(30);
	close(fd);
	fd = -1;
	for (int i = 0; i < 400 && (up.open || lab_stats(&px).requests_active); i++)
		lab_sleep_ms(5);
	CHECK_INT(up.open, 0);
	CHECK_INT(lab_stats(&px).requests_active, 0);
}

WORLD(fields_between_two_hops)
{
	CHECK(lab_say(fd, "GET /raw HTTP/1.1\r\nhOsT: Web.Example:81\r\nConnection: X-Drop, keep-alive, Host\r\n"
			  "X-Drop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nX-Keep: 2\r\n"
			  "Upgrade: h2c\r\nX-Forwarded-For: 1.2.3.4\r\nX-Request-Id: mine\r\n\r\n"));
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "GET /raw HTTP/1.1\r\nhOsT: Web.Example:81\r\nX-Keep: 2\r\nX-Request-Id: mine\r\n"
			  "x-forwarded-for: 1.2.3.4, 127.0.0.1\r\nx-forwarded-proto: http\r\n\r\n");
	CHECK(lab_say(fd, GET("/hops")));
	CHECK(lab_response(fd, &m));
	CHECK_STR(lab_field(&m, "x-hop"), "-");
	CHECK_STR(lab_field(&m, "x-end"), "2");
	CHECK_STR(lab_field(&m, "keep-alive"), "-");
	CHECK_STR(lab_field(&m, "connection"), "-");
	CHECK_STR(lab_field(&m, "server"), "sockmesh");
	CHECK_STR(lab_field(&m, "x-envoy-upstream-service-time"), "0");
	CHECK_INT(strlen(lab_field(&m, "date")), 29);
}

#define ASK_UPGRADE(value)                                                                                             \
	"GET /raw HTTP/1.1\r\nHost: a\r\nX-Request-Id: i\r\nConnection: upgrade, http2-settings\r\n"                   \
	"HTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: " value "\r\n\r\n"

/* RFC 9110 section 7.8: a list, of which other versions of HTTP are not sent on. */
WORLD(upgrades_are_taken_apart)
{
	static const struct {
		const char *request, *fields;
	} cases[] = {
		{ASK_UPGRADE("h2c"), ""},
		{ASK_UPGRADE("H2C , h2c"), ""},
		{ASK_UPGRADE("HTTP/2.0"), ""},
		{ASK_UPGRADE("h2c-14,"), ""},
		{ASK_UPGRADE("h2c, websocket"), "upgrade: websocket\r\nconnection: upgrade\r\n"},
		{ASK_UPGRADE("websocket,h2c"), "upgrade: websocket\r\nconnection: upgrade\r\n"},
		{ASK_UPGRADE("websocket, IRC/6.9"), "Upgrade: websocket, IRC/6.9\r\n@connection: upgrade\r\n"},
		{ASK_UPGRADE("a\r\nUpgrade: h2c\r\nupgrade: b/1"), "upgrade: a, b/1\r\nconnection: upgrade\r\n"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(cases); i++) {
		const char *rest = strchr(cases[i].fields, '@');
		mesh_auto_free char *want = mesh_xasprintf(
			"GET /raw HTTP/1.1\r\nHost: a\r\nX-Request-Id: i\r\n%.*sx-forwarded-for: 127.0.0.1\r\n"
			"x-forwarded-proto: http\r\n%s\r\n",
			rest ? (int)(rest - cases[i].fields) : 0, cases[i].fields, rest ? rest + 1 : cases[i].fields);

		CHECK(lab_say(fd, cases[i].request));
		CHECK(lab_response(fd, &m));
		CHECK_STR(body(), want);
	}
}

WORLD(te_goes_with_its_option)
{
	static const struct {
		const char *ask, *fields;
	} cases[] = {
		{"TE: trailers\r\nConnection: TE\r\n", "TE: trailers\r\n@connection: te\r\n"},
		{"te: Trailers\r\n", "te: Trailers\r\n@connection: te\r\n"},
		{"TE: gzip\r\nConnection: te\r\n", "@"},
		{"TE: trailers\r\nUpgrade: a\r\nConnection: te, upgrade\r\n",
		 "TE: trailers\r\nUpgrade: a\r\n@connection: upgrade, te\r\n"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(cases); i++) {
		mesh_auto_free char *ask =
			mesh_xasprintf("GET /raw HTTP/1.1\r\nHost: a\r\nX-Request-Id: i\r\n%s\r\n", cases[i].ask);
		const char *rest = strchr(cases[i].fields, '@');
		mesh_auto_free char *want = mesh_xasprintf(
			"GET /raw HTTP/1.1\r\nHost: a\r\nX-Request-Id: i\r\n%.*sx-forwarded-for: 127.0.0.1\r\n"
			"x-forwarded-proto: http\r\n%s\r\n",
			(int)(rest - cases[i].fields), cases[i].fields, rest + 1);

		CHECK(lab_say(fd, ask));
		CHECK(lab_response(fd, &m));
		CHECK_STR(body(), want);
	}
}

WORLD(request_id_is_a_uuid)
{
	char first[40] = "";

	for (int i = 0; i < 2; i++) {
		const char *id;

		CHECK(lab_say(fd, GET("/raw")));
		CHECK(lab_response(fd, &m));
		id = strstr(body(), "x-request-id: ");
		CHECK(id != NULL);
		id += 14;
		CHECK_INT(strcspn(id, "\r"), 36);
		CHECK(id[8] == '-' && id[13] == '-' && id[14] == '4' && id[18] == '-' && strchr("89ab", id[19]));
		CHECK(strncmp(first, id, 36) != 0);
		memcpy(first, id, 36);
	}
}

WORLD(absolute_target_wins_over_host)
{
	CHECK(lab_say(fd, "GET http://real:81/raw?x HTTP/1.1\r\nHost: other\r\nX-Request-Id: i\r\n\r\n"));
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "GET /raw?x HTTP/1.1\r\nhost: real:81\r\nX-Request-Id: i\r\nx-forwarded-for: 127.0.0.1\r\n"
			  "x-forwarded-proto: http\r\n\r\n");
}

WORLD(absolute_target_without_a_path)
{
	CHECK(lab_say(fd, "OPTIONS http://real?x=/y HTTP/1.1\r\nHost: other\r\n\r\n"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 200);
	CHECK(strncmp(body(), "OPTIONS /?x=/y HTTP/1.1\r\nhost: real\r\n", 37) == 0);
}

WORLD(options_of_a_whole_server)
{
	static const char *const targets[][2] = {{"http://real", "*"},
						 {"http://real:81", "*"},
						 {"http://real/", "/"},
						 {"http://real/x", "/x"},
						 {"*", "*"}};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(targets); i++) {
		mesh_auto_free char *ask = mesh_xasprintf("OPTIONS %s HTTP/1.1\r\nHost: real\r\n\r\n", targets[i][0]);
		mesh_auto_free char *want = mesh_xasprintf("OPTIONS %s HTTP/1.1\r\n", targets[i][1]);

		CHECK(lab_say(fd, ask));
		CHECK(lab_response(fd, &m));
		CHECK_INT(m.head.status, 200);
		CHECK(strncmp(body(), want, strlen(want)) == 0);
	}
}

WORLD(old_clients)
{
	CHECK(lab_say(fd, "GET /chunked HTTP/1.0\r\n\r\n"));
	CHECK(lab_response(fd, &m));
	CHECK_STR(m.raw.data, "hello world");
	CHECK_STR(lab_field(&m, "transfer-encoding"), "-");
	CHECK(m.head.close && m.eof);
	fd = (close(fd), lab_connect(px.port));
	for (int i = 0; i < 3; i++) {
		CHECK(lab_say(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
		CHECK(lab_response(fd, &m));
		CHECK_STR(lab_field(&m, "connection"), "keep-alive");
		CHECK_STR(body(), "upstream");
	}
	CHECK(lab_say(fd, "GET / HTTP/1.0\r\n\r\n"));
	CHECK(lab_response(fd, &m));
	CHECK(!lab_more(fd, &m) && m.eof);
}

WORLD(connection_close_is_obeyed)
{
	CHECK(lab_say(fd, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
	CHECK(lab_response(fd, &m));
	CHECK(m.head.close);
	CHECK(!lab_more(fd, &m) && m.eof);
}

WORLD(stale_pooled_connection)
{
	for (int i = 0; i < 4; i++) { /* the upstream hangs up on each second request of a connection */
		CHECK(lab_say(fd, GET("/stale")));
		CHECK(lab_response(fd, &m));
		CHECK_INT(m.head.status, 200);
	}
	CHECK_INT(up.connections, 4);
	CHECK(lab_say(fd, "PUT /stale HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 200);
	CHECK_INT(up.received, 3);
	CHECK(lab_say(fd, "POST /stale HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 503);
	CHECK(strncmp(body(), "upstream connect error or disconnect/reset before headers: ", 59) == 0);
	CHECK_INT(up.received, 3);
	CHECK_INT(lab_stats(&px).flags_uf, 1);
	CHECK(lab_say(fd, GET("/stale"))); /* a POST without a body must not be done twice either */
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 200);
	CHECK(lab_say(fd, "POST /stale HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 503);
	CHECK_INT(lab_stats(&px).flags_uf, 2);
}

WORLD(upstream_that_hangs_up)
{
	CHECK(lab_say(fd, GET("/drop") GET("/")));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 503);
	CHECK(m.head.keep_alive);
	CHECK(lab_response(fd, &m));
	CHECK_STR(body(), "upstream");
}

WORLD(upstream_that_is_not_http)
{
	CHECK(lab_say(fd, GET("/garbage")));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 502);
	CHECK_STR(body(), "upstream sent a response that is not HTTP/1.1\n");
}

WORLD(keep_alive_timeout_of_the_upstream)
{
	CHECK(lab_say(fd, GET("/hops")));
	CHECK(lab_response(fd, &m));
	lab_sleep_ms(300);
	CHECK(lab_say(fd, GET("/")));
	CHECK(lab_response(fd, &m));
	CHECK_INT(up.connections, 2);
}

TEST_MAIN()
