/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy/move: connections that one proxy gives to another between two requests. Both are in this process; what one
 * sends is taken by the other at once. "old" and "new" name the upstream that each would route to, so that an answer
 * says who routed it.
 */
#include "proxy_lab.h"

#include <fcntl.h>

static struct lab_proxy older, younger;
static struct lab_upstream old_up, new_up;
static struct lab_message m;
static int fd = -1;
static atomic_int refusals; /* so many times there is no room */
static atomic_int taken;
static size_t last_len;

static int give(void *arg, int from, const struct mesh_proxy_moved *c)
{
	(void)arg;
	if (atomic_load(&refusals) > 0) {
		atomic_fetch_sub(&refusals, 1);
		return -EAGAIN;
	}
	last_len = c->len;
	if (c->netns_cookie != 1 || c->origdst.port != older.origdst.port || c->peer.port == 0)
		return -EINVAL;
	mesh_proxy_move_in(younger.listener, fcntl(from, F_DUPFD_CLOEXEC, 3), c);
	atomic_fetch_add(&taken, 1);
	return 0;
}

static struct mesh_l7_config *config_for(const struct lab_upstream *up)
{
	struct mesh_l7_config *cfg = lab_config();
	struct mesh_l7_table *t = lab_table(cfg, &cfg->outbound, "ns|80", MESH_L7_NOT_FOUND);

	lab_host(cfg, t, "*", lab_cluster(cfg, NULL, (uint16_t[]){up->port, 0}));
	return cfg;
}

static void start(unsigned workers)
{
	static const struct mesh_proxy_client client = {.ns = "ns", .pod = "pod-1", .workload = "pod"};
	struct mesh_proxy_opts opts = {.workers = workers};

	atomic_store(&refusals, 0);
	atomic_store(&taken, 0);
	lab_upstream_start(&old_up, "old");
	lab_upstream_start(&new_up, "new");
	lab_proxy_start(&older, &opts, config_for(&old_up));
	lab_proxy_start(&younger, &opts, config_for(&new_up));
	older.origdst = younger.origdst = lab_addr(80);
	lab_listen_pod(&older, &client);
	lab_listen_pod(&younger, &client);
	younger.origdst.port = 0; /* what comes there by itself is refused: connections keep what they had */
	fd = lab_connect(older.port);
}

static void stop(void)
{
	lab_proxy_stop(&older);
	lab_proxy_stop(&younger);
	lab_upstream_stop(&old_up);
	lab_upstream_stop(&new_up);
	mesh_cleanup_fd(&fd);
	lab_message_free(&m);
	m = (struct lab_message){0};
}

static const char *get(const char *path)
{
	mesh_auto_free char *text = mesh_xasprintf("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);

	if (!lab_say(fd, text) || !lab_response(fd, &m))
		return "no answer";
	return m.body.data ? m.body.data : "";
}

static bool eventually(unsigned (*count)(const struct mesh_proxy *), const struct mesh_proxy *p, unsigned want)
{
	for (int i = 0; i < 500 && count(p) != want; i++)
		lab_sleep_ms(10);
	return count(p) == want;
}

TEST(an_idle_connection_goes_and_is_served_on)
{
	struct mesh_proxy_stats s;

	start(2);
	CHECK_STR(get("/"), "old");
	mesh_proxy_move_out(older.proxy, give, NULL);
	CHECK_INT(atomic_load(&taken), 1);
	CHECK_INT(last_len, 0);
	CHECK(eventually(mesh_proxy_active, older.proxy, 0));
	CHECK_STR(get("/"), "new");
	CHECK_STR(get("/"), "new");
	s = lab_stats(&older);
	CHECK_INT(s.moved_out, 1);
	CHECK_INT(s.requests_total, 1);
	CHECK_INT(s.connections_active, 0);
	s = lab_stats(&younger);
	CHECK_INT(s.moved_in, 1);
	CHECK_INT(s.requests_total, 2);
	CHECK_INT(s.connections_active, 1);
	stop();
}

TEST(a_connection_that_never_spoke_goes)
{
	start(1);
	CHECK(eventually(mesh_proxy_active, older.proxy, 1));
	mesh_proxy_move_out(older.proxy, give, NULL);
	CHECK(eventually(mesh_proxy_active, older.proxy, 0));
	CHECK_STR(get("/"), "new");
	stop();
}

/* Each place at which a request can be cut. */
TEST(a_part_of_a_head_goes_along)
{
	static const char request[] = "GET /raw HTTP/1.1\r\nHost: a\r\nX-Long: 0123456789\r\n\r\n";

	for (size_t cut = 1; cut < sizeof(request) - 1; cut++) {
		struct mesh_proxy_stats s;

		start(1);
		CHECK(lab_send(fd, request, cut));
		for (int i = 0; i < 500 && lab_stats(&older).bytes_from_downstream < cut; i++)
			lab_sleep_ms(1);
		mesh_proxy_move_out(older.proxy, give, NULL);
		CHECK_INT(last_len, cut);
		CHECK(lab_send(fd, request + cut, sizeof(request) - 1 - cut));
		CHECK(lab_response(fd, &m));
		CHECK_INT(m.head.status, 200);
		CHECK(m.body.data && strstr(m.body.data, "GET /raw") == m.body.data);
		s = lab_stats(&older);
		CHECK_INT(s.requests_total, 0);
		CHECK_INT(s.requests_active, 0);
		CHECK_INT(s.status[0], 0);
		stop();
	}
}

/* What is under way ends in the old process, on its old rule; what was pipelined behind it is answered by the new. */
TEST(pipelined_requests_go_after_the_one_under_way)
{
	start(1);
	CHECK(lab_say(fd, "GET /slow/300 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
			  "GET /3 HTTP/1.1\r\nHost: a\r\n\r\nGET /4 HT"));
	for (int i = 0; i < 500 && atomic_load(&old_up.requests) == 0; i++)
		lab_sleep_ms(1);
	mesh_proxy_move_out(older.proxy, give, NULL);
	CHECK_INT(atomic_load(&taken), 0);
	CHECK_INT(mesh_proxy_active(older.proxy), 1);
	CHECK(lab_response(fd, &m));
	CHECK_STR(m.body.data, "old");
	CHECK(lab_field(&m, "connection") == NULL || strcmp(lab_field(&m, "connection"), "close") != 0);
	CHECK(lab_response(fd, &m));
	CHECK_STR(m.body.data, "new");
	CHECK(lab_response(fd, &m));
	CHECK_STR(m.body.data, "new");
	CHECK(lab_say(fd, "TP/1.1\r\nHost: a\r\n\r\n"));
	CHECK(lab_response(fd, &m));
	CHECK_STR(m.body.data, "new");
	CHECK_INT(atomic_load(&taken), 1);
	stop();
}

/* A head that fills more than one buffer, as large as one may be. */
TEST(a_large_part_of_a_head_goes_along)
{
	size_t size = 50000;
	mesh_auto_free char *name = mesh_xmalloc(size + 1);

	memset(name, 'x', size);
	name[size] = '\0';
	start(1);
	CHECK(lab_say(fd, "GET /body HTTP/1.1\r\nHost: a\r\nX-Long: "));
	CHECK(lab_send(fd, name, size));
	for (int i = 0; i < 500 && lab_stats(&older).bytes_from_downstream < size; i++)
		lab_sleep_ms(1);
	mesh_proxy_move_out(older.proxy, give, NULL);
	CHECK(last_len > size);
	CHECK(lab_say(fd, "\r\nContent-Length: 5\r\n\r\nhello"));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 200);
	CHECK_STR(m.body.data, "hello");
	stop();
}

TEST(where_there_is_no_room_it_is_served_on_and_tried_again)
{
	start(1);
	CHECK_STR(get("/"), "old");
	atomic_store(&refusals, 3);
	mesh_proxy_move_out(older.proxy, give, NULL);
	CHECK(eventually(mesh_proxy_active, older.proxy, 0));
	CHECK_INT(atomic_load(&refusals), 0);
	CHECK_STR(get("/"), "new");
	stop();

	start(1);
	CHECK_STR(get("/"), "old");
	atomic_store(&refusals, 1 << 20);
	mesh_proxy_move_out(older.proxy, give, NULL);
	CHECK_STR(get("/"), "old");
	CHECK_STR(get("/"), "old");
	atomic_store(&refusals, 0);
	CHECK(eventually(mesh_proxy_active, older.proxy, 0));
	CHECK_STR(get("/"), "new");
	stop();
}

TEST(a_tunnel_stays_and_is_named)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	char got[16] = "", want[200], addr[MESH_ADDR_TEXT];
	struct mesh_addr to;

	start(1);
	to = lab_addr(old_up.port);
	CHECK(lab_say(fd, "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"));
	CHECK(lab_read_head(fd, &m, MESH_HTTP1_RESPONSE));
	CHECK_INT(m.head.status, 101);
	mesh_proxy_move_out(older.proxy, give, NULL);
	CHECK_INT(mesh_proxy_left(older.proxy, &text, 10), 1);
	snprintf(want, sizeof(want), "tunnel of ns/pod-1 to %s, 0 s old, ", mesh_addr_text(&to, addr));
	mesh_buf_char(&text, '\0');
	CHECK(strncmp(text.data, want, strlen(want)) == 0);
	if (m.in.len < 3)
		CHECK(lab_more(fd, &m));
	CHECK(lab_say(fd, "ping"));
	CHECK_INT(recv(fd, got, 4, MSG_WAITALL), 4);
	CHECK_STR(got, "ping");
	CHECK_INT(atomic_load(&taken), 0);
	CHECK_INT(mesh_proxy_active(older.proxy), 1);
	mesh_cleanup_fd(&fd);
	CHECK(eventually(mesh_proxy_active, older.proxy, 0));
	CHECK_INT(mesh_proxy_left(older.proxy, NULL, 0), 0);
	stop();
}

/* Who waits in the listener's queue is nobody's: it is for the next process, which has the same socket. */
TEST(nothing_is_accepted_any_more)
{
	int other;

	start(1);
	CHECK_STR(get("/"), "old");
	mesh_proxy_move_out(older.proxy, give, NULL);
	other = lab_connect(older.port);
	lab_sleep_ms(100);
	CHECK_INT(mesh_proxy_active(older.proxy), 0);
	CHECK_INT(lab_stats(&older).connections_total, 1);
	close(other);
	stop();
}

enum { MANY = 100 };

/* Under way all the time, on every connection. */
TEST(no_request_of_many_is_lost)
{
	int fds[MANY];
	unsigned by_old = 0, by_new = 0;

	start(2);
	for (int i = 0; i < MANY; i++)
		fds[i] = lab_connect(older.port);
	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < MANY; i++)
			CHECK(lab_say(fds[i], round % 2 ? "GET /slow/5 HTTP/1.1\r\nHost: a\r\n\r\n"
							: "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
		if (round == 2)
			mesh_proxy_move_out(older.proxy, give, NULL);
		for (int i = 0; i < MANY; i++) {
			CHECK(lab_response(fds[i], &m));
			CHECK_INT(m.head.status, 200);
			by_old += m.body.data && strcmp(m.body.data, "old") == 0;
			by_new += m.body.data && strcmp(m.body.data, "new") == 0;
		}
	}
	CHECK_INT(by_old + by_new, 6 * MANY);
	CHECK(by_old >= 2 * MANY);
	CHECK(by_new >= 3 * MANY);
	CHECK(eventually(mesh_proxy_active, older.proxy, 0));
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	stop();
}

TEST_MAIN()
