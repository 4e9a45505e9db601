/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy's answers of its own, where requests go, limits, timeouts and listeners; over real sockets. */
#include "proxy/engine.h"
#include "proxy_lab.h"

static struct lab_upstream v1, v2;
static struct lab_proxy px;
static struct lab_message m;

static const char *body(void)
{
	return m.body.data ? m.body.data : "";
}

static void start(const struct mesh_proxy_opts *opts)
{
	lab_upstream_start(&v1, "v1");
	lab_upstream_start(&v2, "v2");
	lab_proxy_start(&px, opts, NULL);
}

static void stop(void)
{
	lab_proxy_stop(&px);
	lab_upstream_stop(&v1);
	lab_upstream_stop(&v2);
	lab_message_free(&m);
	m = (struct lab_message){0};
}

#define ROUTED(id, ...) WORLD(id, &(struct mesh_proxy_opts){__VA_ARGS__})

static const uint16_t *ports(uint16_t a, uint16_t b)
{
	static uint16_t out[3];

	out[0] = a;
	out[1] = b;
	return out;
}

/* A port nobody listens on. */
static uint16_t closed_port(void)
{
	uint16_t port;

	close(lab_listen(&port));
	return port;
}

/* Says text on a new connection; the status of the answer, which ends in a close. */
static int refused_with(const char *text)
{
	mesh_auto_fd int fd = lab_connect(px.port);

	m.in.len = 0;
	if (!lab_say(fd, text) || !lab_response(fd, &m) || !m.head.close)
		return -1;
	return lab_more(fd, &m) || !m.eof ? -2 : m.head.status;
}

ROUTED(answers_of_the_mesh, .workers = 2)
{
	struct mesh_l7_config *cfg = lab_config();
	struct mesh_l7_table *t = lab_table(cfg, &cfg->gateway, "80", MESH_L7_NOT_FOUND);
	struct mesh_l7_string other = {MESH_MATCH_EXACT, "/only", 5, NULL};
	struct mesh_l7_match match = {.uri = &other};
	struct mesh_l7_route *r = lab_host(cfg, t, "routed", lab_cluster(cfg, NULL, ports(v1.port, 0)));
	mesh_auto_fd int fd = -1;

	r->matches = &match;
	r->match_count = 1;
	lab_host(cfg, t, "nosubset", NULL);
	lab_host(cfg, t, "nopods", lab_cluster(cfg, NULL, NULL));
	mesh_proxy_publish(px.proxy, cfg);
	lab_listen_gateway(&px);
	CHECK_INT(lab_get(px.port, &m, "routed", "/only"), 200);
	CHECK_INT(lab_get(px.port, &m, "routed", "/other"), 404);
	CHECK_STR(body(), "");
	CHECK_STR(lab_field(&m, "content-length"), "0");
	CHECK_STR(lab_field(&m, "server"), "sockmesh");
	CHECK_INT(lab_get(px.port, &m, "nosubset", "/"), 503);
	CHECK_STR(body(), "");
	CHECK_STR(lab_field(&m, "content-length"), "0");
	CHECK_STR(lab_field(&m, "content-type"), "-");
	CHECK_INT(lab_get(px.port, &m, "nopods", "/"), 503);
	CHECK_STR(body(), "no healthy upstream");
	CHECK_STR(lab_field(&m, "content-length"), "19");
	CHECK_STR(lab_field(&m, "content-type"), "text/plain");
	CHECK_INT(lab_get(px.port, &m, "unknown", "/"), 404);
	CHECK_INT(lab_stats(&px).flags_nr, 2);
	CHECK_INT(lab_stats(&px).flags_nc, 1);
	CHECK_INT(lab_stats(&px).flags_uh, 1);
	/* They do not end the connection, and a body that is there is taken. */
	fd = lab_connect(px.port);
	for (int i = 0; i < 3; i++) {
		CHECK(lab_say(fd, "POST /x HTTP/1.1\r\nHost: nosubset\r\nContent-Length: 2\r\n\r\nab"
				  "HEAD / HTTP/1.1\r\nHost: nopods\r\n\r\n"));
		CHECK(lab_response(fd, &m));
		CHECK_INT(m.head.status, 503);
		CHECK(lab_response_to(fd, &m, "HEAD"));
		CHECK_STR(lab_field(&m, "content-length"), "19");
	}
	/* A body that is not there yet does. */
	CHECK_INT(refused_with("POST /x HTTP/1.1\r\nHost: nosubset\r\nContent-Length: 2\r\n\r\n"), 503);
}

ROUTED(gateway_before_any_configuration, .workers = 1)
{
	lab_listen_gateway(&px);
	CHECK_INT(lab_get(px.port, &m, "a", "/"), 404);
}

ROUTED(pod_of_a_namespace, .workers = 1)
{
	struct mesh_label items[] = {{(char *)"app", (char *)"client"}};
	struct mesh_proxy_client client = {.ns = "coolapp", .pod = "p", .labels = {items, 1}};
	struct mesh_labels want = {items, 1};
	struct mesh_l7_match match = {.source_labels = &want};
	struct mesh_l7_config *cfg = lab_config();
	struct mesh_l7_table *t = lab_table(cfg, &cfg->outbound, "coolapp|8080", MESH_L7_PASSTHROUGH);
	struct mesh_l7_route *r = lab_host(cfg, t, "catalog", lab_cluster(cfg, NULL, ports(v1.port, 0)));
	mesh_auto_fd int fd = -1;

	r->matches = &match;
	r->match_count = 1;
	mesh_proxy_publish(px.proxy, cfg);
	lab_listen_pod(&px, &client);
	/* No original destination: closed, and counted. */
	fd = lab_connect(px.port);
	CHECK(!lab_more(fd, &m));
	CHECK_INT(lab_stats(&px).no_origdst, 1);
	/* A table for the port: the host decides; what is unknown goes where it was going, which nobody serves here. */
	px.origdst = lab_addr(8080);
	CHECK_INT(lab_get(px.port, &m, "catalog", "/"), 200);
	CHECK_STR(body(), "v1");
	CHECK_INT(lab_get(px.port, &m, "else", "/"), 503);
	CHECK(strncmp(body(), "upstream connect error or disconnect/reset before headers: Connection refused", 76) ==
	      0);
	CHECK_INT(lab_stats(&px).flags_uf, 1);
	t->fallback = MESH_L7_BLACKHOLE;
	CHECK_INT(lab_get(px.port, &m, "else", "/"), 502);
	/* No table for the port: as without the mesh. */
	px.origdst = lab_addr(v2.port);
	CHECK_INT(lab_get(px.port, &m, "catalog", "/raw"), 200);
	CHECK(strstr(body(), "x-forwarded-proto: http\r\n") && !strstr(body(), "x-forwarded-for"));
	CHECK_INT(lab_get(px.port, &m, "catalog", "/"), 200);
	CHECK_STR(body(), "v2");
	/* Who the client is may change. */
	px.origdst = lab_addr(8080);
	items[0].value = (char *)"other";
	CHECK_INT(lab_get(px.port, &m, "catalog", "/"), 404);
	client.labels.count = 0;
	mesh_proxy_listener_client(px.listener, &client);
	CHECK_INT(lab_get(px.port, &m, "catalog", "/"), 404);
	client.labels.count = 1;
	mesh_proxy_listener_client(px.listener, &client);
	CHECK_INT(lab_get(px.port, &m, "catalog", "/"), 200);
}

ROUTED(http2_goes_through_untouched, .workers = 1)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	struct mesh_l7_config *cfg = lab_config();
	char vip[MESH_ADDR_TEXT], got[64];
	mesh_auto_fd int raw = -1, fd = -1, c = -1;
	uint16_t port;

	raw = lab_listen(&port);
	px.origdst = lab_addr(8080);
	mesh_pmap_put_str(&cfg->by_vip, mesh_addr_text(&px.origdst, vip), lab_cluster(cfg, NULL, ports(port, 0)));
	mesh_proxy_publish(px.proxy, cfg);
	lab_listen_pod(&px, NULL);
	fd = lab_connect(px.port);
	CHECK(lab_say(fd, preface));
	c = accept(raw, NULL, NULL);
	CHECK_INT(recv(c, got, sizeof(preface) - 1, MSG_WAITALL), sizeof(preface) - 1);
	CHECK(memcmp(got, preface, sizeof(preface) - 1) == 0);
	CHECK(lab_say(c, "frames"));
	CHECK_INT(recv(fd, got, 6, MSG_WAITALL), 6);
	shutdown(c, SHUT_WR);
	CHECK_INT(recv(fd, got, sizeof(got), 0), 0);
	CHECK(lab_say(fd, "more"));
	CHECK_INT(recv(c, got, 4, MSG_WAITALL), 4);
	shutdown(fd, SHUT_WR);
	CHECK_INT(recv(c, got, sizeof(got), 0), 0);
}

ROUTED(endpoints_alternate_strictly, .workers = 2)
{
	struct mesh_l7_state state = {0};
	mesh_auto_fd int fd = -1;
	const char *last = NULL;

	mesh_proxy_publish(px.proxy, lab_config_any(&state, ports(v1.port, v2.port)));
	lab_listen_gateway(&px);
	fd = lab_connect(px.port);
	for (int i = 0; i < 60; i++) { /* over connections, old and new, and so over workers */
		struct lab_message k = {0};

		if (i == 30) /* and over configurations */
			mesh_proxy_publish(px.proxy, lab_config_any(&state, ports(v1.port, v2.port)));
		if (i % 3 == 0) {
			CHECK(lab_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
			CHECK(lab_response(fd, &k));
		} else {
			CHECK_INT(lab_get(px.port, &k, "a", "/"), 200);
		}
		CHECK_STR(k.body.data, i % 2 ? "v2" : "v1");
		CHECK(!last || strcmp(last, k.body.data) != 0);
		last = i % 2 ? "v2" : "v1";
		lab_message_free(&k);
	}
	CHECK_INT(v1.requests, 30);
}

static unsigned active(unsigned worker)
{
	return atomic_load(&px.proxy->workers[worker].active);
}

/* What the workers measured, as it stays for ten seconds. */
static void set_loads(unsigned first, unsigned second)
{
	for (int i = 0; i < 2; i++) {
		atomic_store(&px.proxy->workers[i].load_at, mesh_now_ns() + MESH_SEC(10));
		atomic_store(&px.proxy->workers[i].load, i ? second : first);
	}
}

static bool ask_all(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		if (!lab_say(fds[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n") || !lab_response(fds[i], &m) ||
		    m.head.status != 200)
			return false;
	return true;
}

static void connect_all(int *fds, int count)
{
	for (int i = 0; i < count; i++)
		fds[i] = lab_connect(px.port);
}

ROUTED(workers_are_filled_one_after_another, .workers = 2)
{
	int fds[48];

	mesh_proxy_publish(px.proxy, lab_config_any(NULL, ports(v1.port, 0)));
	lab_listen_gateway(&px);
	set_loads(500, 0);
	connect_all(fds, 16);
	CHECK(ask_all(fds, 16));
	CHECK_INT(active(0), 16);
	set_loads(900, 500);
	connect_all(fds + 16, 10);
	CHECK(ask_all(fds, 26));
	CHECK_INT(active(1), 10);
	set_loads(900, 900); /* both full: where there are fewer */
	connect_all(fds + 26, 22);
	CHECK(ask_all(fds, 48));
	CHECK_INT(active(0), 24);
	CHECK_INT(active(1), 24);
	for (int i = 0; i < 48; i++)
		close(fds[i]);
}

static void give_ten(struct mesh_worker *w, void *arg)
{
	(void)arg;
	w->give = w->index == 0 ? 10 : 0;
	w->give_to = &px.proxy->workers[1];
}

ROUTED(idle_connections_move_to_another_worker, .workers = 2)
{
	int fds[16];

	mesh_proxy_publish(px.proxy, lab_config_any(NULL, ports(v1.port, v2.port)));
	lab_listen_gateway(&px);
	set_loads(500, 0);
	connect_all(fds, 16);
	CHECK(ask_all(fds, 16));
	mesh_workers_run(px.proxy, give_ten, NULL);
	CHECK_INT(active(1), 0); /* only after a request: some may be silent for ever */
	CHECK(ask_all(fds, 16));
	CHECK(ask_all(fds, 16));
	CHECK_INT(active(0), 6);
	CHECK_INT(active(1), 10);
	mesh_proxy_publish(px.proxy, lab_config_any(NULL, ports(v2.port, 0)));
	CHECK(ask_all(fds, 16));
	CHECK_STR(m.body.data, "v2");
	CHECK_INT(lab_stats(&px).connections_active, 16);
	mesh_proxy_listener_free(px.listener, false);
	for (int i = 0; i < 16; i++) {
		CHECK(!lab_more(fds[i], &m) && m.eof);
		close(fds[i]);
	}
	CHECK_INT(lab_stats(&px).connections_active, 0);
}

struct measured {
	unsigned worker, load, active; /* as it is to find itself */
	unsigned give;                 /* what it decides */
};

static void measure(struct mesh_worker *w, void *arg)
{
	struct measured *self = arg;
	unsigned before = atomic_load(&w->active);

	if (w->index != self->worker)
		return;
	atomic_store(&w->active, self->active);
	atomic_store(&w->load_at, mesh_loop_now_ns(w->loop) - MESH_SEC(1000));
	w->load_cpu = 0 - MESH_SEC(self->load);
	mesh_place_measure(w);
	self->give = w->give;
	w->give = 0;
	atomic_store(&w->active, before);
}

static unsigned gives(unsigned worker, unsigned load, unsigned other, unsigned count)
{
	struct measured self = {.worker = worker, .load = load, .active = count};

	set_loads(worker ? other : 0, worker ? 0 : other);
	mesh_workers_run(px.proxy, measure, &self);
	return self.give;
}

ROUTED(a_full_worker_gives_some_and_one_hardly_used_gives_all, .workers = 2)
{
	CHECK_INT(gives(0, 950, 100, 40), 6);
	CHECK_INT(gives(0, 950, 100, 1), 0); /* it would only be somewhere else */
	CHECK_INT(gives(0, 950, 700, 40), 0);
	CHECK_INT(gives(0, 800, 0, 40), 0);
	CHECK_INT(gives(0, 50, 100, 40), 0);
	CHECK_INT(gives(1, 950, 100, 40), 6);
	CHECK_INT(gives(1, 100, 400, 40), 40);
	CHECK_INT(gives(1, 100, 550, 40), 0);
	CHECK_INT(gives(1, 300, 100, 40), 0);
}

ROUTED(refused_endpoint_is_not_an_error_while_there_is_another, .workers = 1)
{
	mesh_proxy_publish(px.proxy, lab_config_any(NULL, ports(closed_port(), v1.port)));
	lab_listen_gateway(&px);
	for (int i = 0; i < 10; i++)
		CHECK_INT(lab_get(px.port, &m, "a", "/"), 200);
	CHECK_INT(lab_stats(&px).flags_uf, 0);
}

/* Whatever the draw says: one that refused is not asked again for the same request. */
ROUTED(refused_endpoint_is_not_tried_twice, .workers = 1)
{
	struct mesh_l7_config *cfg = lab_config();
	struct mesh_l7_cluster *c = lab_cluster(cfg, NULL, ports(closed_port(), v1.port));

	c->lb = MESH_LB_RANDOM;
	lab_host(cfg, lab_table(cfg, &cfg->gateway, "80", MESH_L7_NOT_FOUND), "*", c);
	mesh_proxy_publish(px.proxy, cfg);
	lab_listen_gateway(&px);
	for (int i = 0; i < 200; i++)
		CHECK_INT(lab_get(px.port, &m, "a", "/"), 200);
	CHECK_INT(lab_stats(&px).flags_uf, 0);
}

ROUTED(pool_of_an_endpoint_that_left, .workers = 1)
{
	mesh_auto_fd int fd = -1;

	mesh_proxy_publish(px.proxy, lab_config_any(NULL, ports(v1.port, 0)));
	lab_listen_gateway(&px);
	fd = lab_connect(px.port);
	CHECK_INT(lab_get(px.port, &m, "a", "/"), 200);
	CHECK(lab_say(fd, "GET /slow/80 HTTP/1.1\r\nHost: a\r\n\r\n"));
	lab_sleep_ms(20);
	CHECK_INT(v1.open, 1);
	mesh_proxy_publish(px.proxy, lab_config_any(NULL, ports(v2.port, 0)));
	CHECK_INT(lab_get(px.port, &m, "a", "/"), 200);
	CHECK_STR(body(), "v2");
	m.in.len = 0;
	CHECK(lab_response(fd, &m)); /* what was in flight is not disturbed */
	CHECK_STR(body(), "v1");
	for (int i = 0; i < 400 && v1.open; i++)
		lab_sleep_ms(5);
	CHECK_INT(v1.open, 0);
	for (int i = 0; i < 400 && lab_stats(&px).upstream_connections_active != 1; i++)
		lab_sleep_ms(5);
	CHECK_INT(lab_stats(&px).upstream_connections_active, 1);
}

ROUTED(limits, .workers = 1, .max_header_bytes = 4096, .max_request_line = 1024, .max_body_bytes = 100)
{
	mesh_auto_free char *text = NULL;
	char pad[8192];

	mesh_proxy_publish(px.proxy, lab_config_any(NULL, ports(v1.port, 0)));
	lab_listen_gateway(&px);
	memset(pad, 'x', sizeof(pad));
	pad[sizeof(pad) - 1] = '\0';
	CHECK_INT(refused_with("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400);
	CHECK_STR(body(), "white space between a field name and its colon\n");
	CHECK_INT(refused_with("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
		  400);
	CHECK_STR(body(), "both Content-Length and Transfer-Encoding\n");
	CHECK_INT(refused_with("GET / HTTP/2.0\r\n\r\n"), 505);
	CHECK_INT(refused_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
	CHECK_INT(refused_with("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 501);
	CHECK_INT(refused_with("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n"), 413);
	CHECK_INT(refused_with("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n"), 413);
	CHECK_INT(refused_with("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"), 400);
	CHECK_STR(body(), "a chunk's size is not a hexadecimal number\n");
	text = mesh_xasprintf("GET /%s", pad);
	CHECK_INT(refused_with(text), 414);
	free(text);
	text = mesh_xasprintf("GET / HTTP/1.1\r\nHost: a\r\nX: %s", pad);
	CHECK_INT(refused_with(text), 431);
	free(text);
	text = mesh_xasprintf("GET /raw HTTP/1.1\r\nHost: a\r\nX: %.4000s\r\n\r\n", pad);
	CHECK(strlen(text) < 4096);
	CHECK_INT(lab_get(px.port, &m, "a", "/"), 200);
	{
		mesh_auto_fd int fd = lab_connect(px.port);

		CHECK(lab_say(fd, text));
		CHECK(lab_response(fd, &m));
		CHECK_INT(m.head.status, 200);
		CHECK(m.body.len > 4000);
	}
	CHECK_INT(lab_stats(&px).flags_dpe, 10);
}

ROUTED(heads_larger_than_a_buffer, .workers = 1, .buffer_bytes = 1024)
{
	mesh_auto_fd int fd = -1;
	mesh_auto_free char *text = NULL;
	char pad[30000];

	mesh_proxy_publish(px.proxy, lab_config_any(NULL, ports(v1.port, 0)));
	lab_listen_gateway(&px);
	fd = lab_connect(px.port);
	memset(pad, 'x', sizeof(pad));
	pad[sizeof(pad) - 1] = '\0';
	text = mesh_xasprintf("GET /raw HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n", pad);
	for (int i = 0; i < 3; i++) {
		CHECK(lab_say(fd, text));
		CHECK(lab_response(fd, &m));
		CHECK_INT(m.head.status, 200);
		CHECK(m.body.len > sizeof(pad));
	}
}

ROUTED(timeouts, .workers = 1, .head_timeout_ns = 80000000, .stream_timeout_ns = 150000000,
       .idle_timeout_ns = 300000000)
{
	struct mesh_l7_config *cfg = lab_config_any(NULL, ports(v1.port, 0));
	uint64_t begin = mesh_now_ns();
	mesh_auto_fd int fd = -1;

	mesh_proxy_publish(px.proxy, cfg);
	lab_listen_gateway(&px);
	CHECK_INT(refused_with("GET / HTTP/1.1\r\nHost"), 408);
	CHECK_STR(body(), "the request head did not arrive in time\n");
	CHECK(mesh_now_ns() - begin >= MESH_MS(75));
	CHECK_INT(refused_with("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"), 408);
	CHECK_STR(body(), "the request body did not arrive in time\n");
	fd = lab_connect(px.port);
	CHECK(lab_say(fd, "GET /slow/400 HTTP/1.1\r\nHost: a\r\n\r\n"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 504);
	begin = mesh_now_ns();
	CHECK(!lab_more(fd, &m) && m.eof); /* idle */
	CHECK(mesh_now_ns() - begin >= MESH_MS(250));
}

ROUTED(timeout_of_a_route, .workers = 1)
{
	struct mesh_l7_config *cfg = lab_config();
	struct mesh_l7_table *t = lab_table(cfg, &cfg->gateway, "80", MESH_L7_NOT_FOUND);
	mesh_auto_fd int fd = -1;

	lab_host(cfg, t, "*", lab_cluster(cfg, NULL, ports(v1.port, 0)))->timeout_ns = MESH_MS(80);
	mesh_proxy_publish(px.proxy, cfg);
	lab_listen_gateway(&px);
	fd = lab_connect(px.port);
	for (int i = 0; i < 2; i++) {
		CHECK(lab_say(fd, "GET /slow/500 HTTP/1.1\r\nHost: a\r\n\r\n"));
		CHECK(lab_response(fd, &m));
		CHECK_INT(m.head.status, 504);
		CHECK_STR(body(), "upstream request timeout");
		CHECK(lab_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
		CHECK(lab_response(fd, &m));
		CHECK_INT(m.head.status, 200);
	}
}

ROUTED(listener_that_ends, .workers = 2)
{
	mesh_auto_fd int busy = -1, idle = -1;
	struct mesh_proxy_listener *first;

	mesh_proxy_publish(px.proxy, lab_config_any(NULL, ports(v1.port, 0)));
	lab_listen_gateway(&px);
	first = px.listener;
	busy = lab_connect(px.port);
	idle = lab_connect(px.port);
	CHECK(lab_say(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	CHECK(lab_response(idle, &m));
	CHECK(lab_say(busy, "GET /slow/80 HTTP/1.1\r\nHost: a\r\n\r\n"));
	lab_sleep_ms(20);
	mesh_proxy_listener_free(first, false);
	CHECK(!lab_more(idle, &m) && m.eof);
	CHECK(lab_response(busy, &m)); /* finishes what is in flight, then closes */
	CHECK_INT(m.head.status, 200);
	CHECK(m.head.close);
	CHECK(!lab_more(busy, &m) && m.eof);
	lab_listen_gateway(&px);
	busy = (close(busy), lab_connect(px.port));
	CHECK(lab_say(busy, "GET /slow/300 HTTP/1.1\r\nHost: a\r\n\r\n"));
	lab_sleep_ms(20);
	mesh_proxy_listener_free(px.listener, true);
	CHECK(!lab_response(busy, &m));
	CHECK_INT(lab_stats(&px).connections_active, 0);
	mesh_proxy_listener_free(NULL, true);
}

TEST(drain_before_the_end)
{
	mesh_auto_fd int fd = -1;
	uint64_t begin;

	start(&(struct mesh_proxy_opts){.workers = 2});
	mesh_proxy_publish(px.proxy, lab_config_any(NULL, ports(v1.port, 0)));
	lab_listen_gateway(&px);
	fd = lab_connect(px.port);
	CHECK(lab_say(fd, "GET /slow/80 HTTP/1.1\r\nHost: a\r\n\r\n"));
	lab_sleep_ms(20);
	begin = mesh_now_ns();
	mesh_proxy_free(px.proxy, MESH_SEC(5));
	px.proxy = NULL;
	CHECK(mesh_now_ns() - begin < MESH_SEC(4));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 200);
	CHECK(m.head.close);
	stop();
}

TEST_MAIN()
