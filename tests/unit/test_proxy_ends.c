/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How connections end, on purpose or not: nothing is lost that was whole, what was cut is seen as cut, no worker spins
 * on a socket that has only an end to report, and nothing is left behind. The upstreams are sockets of the test.
 */
#include "proxy_raw.h"

#include <fcntl.h>
#include <semaphore.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* CPU time in ms that the process, whose only busy thread could be the worker, takes in that time. */
static long cpu_ms_in(unsigned ms)
{
	struct rusage a, b;

	getrusage(RUSAGE_SELF, &a);
	lab_sleep_ms(ms);
	getrusage(RUSAGE_SELF, &b);
	return (b.ru_utime.tv_sec - a.ru_utime.tv_sec + b.ru_stime.tv_sec - a.ru_stime.tv_sec) * 1000 +
	       (b.ru_utime.tv_usec - a.ru_utime.tv_usec + b.ru_stime.tv_usec - a.ru_stime.tv_usec) / 1000;
}

/* In 300 ms a worker that spins takes far more than this, also on a machine that is shared. */
#define CHECK_IDLE() CHECK(cpu_ms_in(300) < 40)

/* Sends zeros until the other side takes no more for a while. Returns how many. */
static size_t send_until_stuck(int to)
{
	static const char zeros[65536];
	struct timeval brief = {.tv_usec = 200000};
	size_t sent = 0;
	ssize_t n;

	setsockopt(to, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof(brief));
	while ((n = send(to, zeros, sizeof(zeros), MSG_NOSIGNAL)) > 0)
		sent += (size_t)n;
	return sent;
}

/* Reads on to the end of the connection. Returns how many bytes; *cut: it was a reset. */
static size_t drain(int from, bool *cut)
{
	static char buf[65536];
	size_t got = 0;
	ssize_t n;

	while ((n = recv(from, buf, sizeof(buf), 0)) > 0)
		got += (size_t)n;
	*cut = n < 0 && errno == ECONNRESET;
	return got;
}

static sem_t paused, resumed;

static void stand_still(void *arg)
{
	(void)arg;
	sem_post(&paused);
	sem_wait(&resumed);
}

/* From here to worker_resume() the worker stands still, however busy the machine is: what comes meanwhile arrives in
 * one round of its loop, in that order. */
static void worker_pause(void)
{
	sem_init(&paused, 0, 0);
	sem_init(&resumed, 0, 0);
	mesh_loop_post(px.proxy->workers[0].loop, stand_still, NULL);
	sem_wait(&paused);
}

static void worker_resume(void)
{
	lab_sleep_ms(10); /* the kernel delivers what was sent on loopback at once, but for a moment */
	sem_post(&resumed);
}

/* ---- endpoints that reset ---- */

WORLD(reset_while_the_client_does_not_read)
{
	bool cut;

	CHECK(lab_say(fd, GET("/")));
	CHECK(accepted_any());
	CHECK(lab_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"));
	CHECK(send_until_stuck(server) > 0);
	reset(&server);
	CHECK_IDLE();
	CHECK_INT(lab_stats(&px).requests_active, 1); /* what was received before is still being delivered */
	drain(fd, &cut);
	CHECK(cut);
	wait_requests_over();
	CHECK_INT(lab_stats(&px).requests_active, 0);
}

/* How many bytes go out to a client that does not read. */
static size_t absorbed(void)
{
	size_t n = 0;

	if (lab_say(fd, GET("/")) && accepted_any() &&
	    lab_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n") && send_until_stuck(server))
		n = lab_stats(&px).bytes_to_downstream;
	reset(&server);
	mesh_cleanup_fd(&fd);
	wait_requests_over();
	return n;
}

/* A response of that size, whole and acknowledged, then a reset, and only then a client that reads. */
static bool reset_after(size_t size)
{
	mesh_auto_free char *head = mesh_xasprintf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
	mesh_auto_free char *zeros = mesh_xcalloc(1, size);
	int unsent = 1;
	bool whole;

	m.in.len = 0;
	fd = lab_connect(px.port);
	if (!lab_say(fd, GET("/")) || !accepted_any() || !lab_say(server, head) || !lab_send(server, zeros, size))
		return false;
	for (int i = 0; i < 1000 && unsent; i++) {
		ioctl(server, TIOCOUTQ, &unsent);
		lab_sleep_ms(1);
	}
	lab_sleep_ms(10);
	reset(&server);
	lab_sleep_ms(10);
	whole = unsent == 0 && lab_response(fd, &m) && m.head.content_length == size;
	mesh_cleanup_fd(&fd);
	return whole;
}

WORLD(reset_after_the_whole_response)
{
	size_t most = absorbed();

	CHECK(most > 0);
	for (size_t more = 0; more < 128 << 10; more += 8 << 10) /* some of them end within the proxy's buffer */
		CHECK(reset_after(most - (32 << 10) + more));
}

#define UPGRADE "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: e\r\n\r\n"

static bool begin_tunnel(void)
{
	return lab_say(fd, UPGRADE) && accepted_any() &&
	       lab_say(server, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: e\r\n\r\n") &&
	       lab_response(fd, &m) && m.head.status == 101;
}

WORLD(tunnel_whose_endpoint_is_gone_when_the_client_writes)
{
	CHECK(begin_tunnel());
	CHECK(lab_say(server, "bye"));
	mesh_cleanup_fd(&server);
	while (!m.eof)
		lab_more(fd, &m);
	CHECK_STR(m.in.data, "bye");
	for (int i = 0; i < 5; i++) { /* the first is answered by a reset, and then a write fails */
		lab_say(fd, "hello");
		lab_sleep_ms(1);
	}
	wait_requests_over();
	CHECK_INT(lab_stats(&px).requests_active, 0);
	CHECK_IDLE();
}

/* The same, with the reset and the client's bytes in one round of the loop, so that it is the write that fails. */
WORLD(tunnel_whose_endpoint_resets_as_the_client_writes)
{
	CHECK(begin_tunnel());
	CHECK(shutdown(server, SHUT_WR) == 0);
	while (!m.eof)
		lab_more(fd, &m);
	worker_pause();
	CHECK(lab_say(fd, "hello"));
	reset(&server);
	worker_resume();
	wait_requests_over();
	CHECK_INT(lab_stats(&px).requests_active, 0);
	CHECK_IDLE();
}

/* What a reset would be without the proxy it is through it: a tunnel has no framing that shows what was cut. */
WORLD(tunnel_that_the_client_resets)
{
	bool cut;

	CHECK(begin_tunnel());
	CHECK(lab_say(fd, "hello"));
	lab_sleep_ms(20);
	reset(&fd);
	CHECK_INT(drain(server, &cut), 5);
	CHECK(cut);
	wait_requests_over();
	CHECK_INT(lab_stats(&px).requests_active, 0);
}

WORLD(tunnel_that_the_endpoint_resets)
{
	bool cut;

	CHECK(begin_tunnel());
	CHECK(lab_say(server, "hello"));
	lab_sleep_ms(20);
	reset(&server);
	CHECK_INT(drain(fd, &cut), 5 - m.in.len);
	CHECK(cut);
}

/* The endpoint has closed in order; a client that goes on sending hears of it by a reset. */
WORLD(tunnel_whose_client_sends_to_nobody)
{
	CHECK(begin_tunnel());
	mesh_cleanup_fd(&server);
	while (!m.eof)
		lab_more(fd, &m);
	CHECK(lab_say(fd, "hello"));
	wait_requests_over();
	CHECK_INT(lab_stats(&px).requests_active, 0);
	lab_sleep_ms(20);
	CHECK(send(fd, "x", 1, MSG_NOSIGNAL) < 0);
	CHECK_INT(errno, EPIPE);
}

/* ---- half-closed ---- */

/* Sends that many zeros and waits until all of them are acknowledged. */
static bool send_acknowledged(int to, size_t n)
{
	mesh_auto_free char *zeros = mesh_xcalloc(1, n);
	int unsent = 1;

	if (!lab_send(to, zeros, n))
		return false;
	for (int i = 0; i < 1000 && unsent; i++) {
		ioctl(to, TIOCOUTQ, &unsent);
		lab_sleep_ms(1);
	}
	return unsent == 0;
}

/*
 * Both sides have said their last word, but one of them does not read what the other said. *from is who wrote, *to who
 * does not read; taken counts what the proxy reads of it. More than it takes, less than its socket also holds: the end
 * arrives behind it, and all that epoll has left to report is EPOLLHUP.
 */
static void half_closed_with_bytes_left(int *from, int *to, uint64_t (*taken)(void))
{
	size_t most;
	bool cut;

	CHECK(begin_tunnel());
	most = taken();
	CHECK(send_until_stuck(*from) > 0);
	most = taken() - most + (128 << 10);
	new_client();
	CHECK(begin_tunnel());
	CHECK(shutdown(*to, SHUT_WR) == 0);
	lab_sleep_ms(20);
	CHECK(send_acknowledged(*from, most));
	CHECK(shutdown(*from, SHUT_WR) == 0);
	lab_sleep_ms(20);
	CHECK_IDLE();
	CHECK_INT(lab_stats(&px).requests_active, 1);
	CHECK_INT(drain(*to, &cut), most);
	CHECK(!cut);
	wait_requests_over();
	CHECK_INT(lab_stats(&px).requests_active, 0);
}

static uint64_t taken_from_client(void)
{
	return lab_stats(&px).bytes_from_downstream;
}

static uint64_t taken_from_endpoint(void)
{
	return lab_stats(&px).bytes_to_downstream;
}

WORLD(half_closed_while_the_endpoint_does_not_read)
{
	half_closed_with_bytes_left(&fd, &server, taken_from_client);
}

WORLD(half_closed_while_the_client_does_not_read)
{
	half_closed_with_bytes_left(&server, &fd, taken_from_endpoint);
}

WORLD(client_half_closed_while_the_answer_takes_its_time)
{
	CHECK(lab_say(fd, GET("/")));
	CHECK(accepted_any());
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK_IDLE();
	CHECK(lab_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
	CHECK(lab_response(fd, &m));
	CHECK_STR(m.body.data, "ok");
	CHECK(!lab_more(fd, &m) && m.eof);
}

WORLD(endpoint_half_closed_before_the_body_is_read)
{
	size_t sent;

	CHECK(lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n"));
	CHECK(accepted_any());
	CHECK(lab_say(server, "HTTP/1.1 200 OK\r\n\r\nthat is all"));
	sent = send_until_stuck(fd);
	CHECK(sent > 0);
	CHECK(shutdown(server, SHUT_WR) == 0);
	CHECK(lab_response(fd, &m));
	CHECK_STR(m.body.data, "that is all");
	CHECK_IDLE();
	wait_requests_over();
	CHECK_INT(lab_stats(&px).requests_active, 0);
}

/* ---- responses cut short ---- */

enum cut { BY_END, BY_RESET };

static bool seen_as_cut(const char *request, const char *response, enum cut how, unsigned wait_ms)
{
	bool cut;

	fd = lab_connect(px.port);
	if (!lab_say(fd, request) || !accepted_any() || !lab_say(server, response))
		return false;
	lab_sleep_ms(wait_ms);
	if (how == BY_RESET)
		reset(&server);
	else
		mesh_cleanup_fd(&server);
	drain(fd, &cut);
	mesh_cleanup_fd(&fd);
	wait_requests_over();
	return cut && lab_stats(&px).requests_active == 0;
}

WORLD(response_cut_short_is_reset)
{
	static const char *const responses[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
		"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: 1\r\n",
	};

	mesh_cleanup_fd(&fd);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(responses); i++)
		for (unsigned how = 0; how < 4; how++)
			CHECK(seen_as_cut(GET("/"), responses[i], how & 1 ? BY_RESET : BY_END, how & 2 ? 20 : 0));
	/* Even where an end would be one: HTTP/1.0, whose chunks are taken apart, and a body that only a reset ends. */
	CHECK(seen_as_cut("GET / HTTP/1.0\r\n\r\n", responses[2], BY_END, 20));
	CHECK(seen_as_cut("GET / HTTP/1.0\r\n\r\n", responses[2], BY_RESET, 20));
	CHECK(seen_as_cut(GET("/"), "HTTP/1.1 200 OK\r\n\r\nsome", BY_RESET, 20));
}

WORLD(response_cut_short_for_a_slow_client_is_reset)
{
	for (int how = BY_END; how <= BY_RESET; how++) {
		size_t sent;
		bool cut;

		mesh_cleanup_fd(&fd);
		fd = lab_connect(px.port);
		CHECK(lab_say(fd, GET("/")));
		CHECK(accepted_any());
		CHECK(lab_say(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3fffffff\r\n"));
		sent = send_until_stuck(server);
		CHECK(sent > 0);
		if (how == BY_RESET)
			reset(&server);
		else
			mesh_cleanup_fd(&server);
		CHECK_IDLE();
		drain(fd, &cut);
		CHECK(cut);
		wait_requests_over();
		CHECK_INT(lab_stats(&px).requests_active, 0);
	}
}

WORLD(broken_framing_in_the_middle_is_reset)
{
	mesh_cleanup_fd(&fd);
	CHECK(seen_as_cut(GET("/"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX", BY_END, 20));
}

/* ---- pooled connections that the endpoint has closed ---- */

/* The client's next request and the end of the pooled connection arrive in one round of the loop, in that order. */
static bool closed_under(const char *request, const char *last_words)
{
	bool said;

	if (!lab_say(fd, GET("/")) || !accepted_any() || !answer_ok())
		return false;
	wait_requests_over();
	worker_pause();
	said = lab_say(fd, request);
	if (last_words)
		lab_say(server, last_words);
	mesh_cleanup_fd(&server);
	worker_resume();
	return said && accepted_any() && answer_ok();
}

WORLD(request_over_a_pooled_connection_that_was_closed)
{
	CHECK(closed_under("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", NULL));
	CHECK(closed_under("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", NULL));
	CHECK(closed_under("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
			   "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
	CHECK(closed_under("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", NULL));
	CHECK(closed_under(GET("/"), NULL));
	CHECK_INT(lab_stats(&px).flags_uf, 0);
}

/* ---- addresses without end ---- */

WORLD(pools_of_unknown_hosts_are_freed)
{
	struct mesh_proxy_client client = {.ns = "a", .pod = "p", .workload = "w"};
	mesh_auto_fd int any = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);
	struct lab_proxy pod;

	CHECK(bind(any, (struct sockaddr *)&sa, len) == 0 && listen(any, 16) == 0);
	CHECK(getsockname(any, (struct sockaddr *)&sa, &len) == 0);
	lab_proxy_start(&pod, &(struct mesh_proxy_opts){.workers = 1}, NULL);
	lab_listen_pod(&pod, &client);
	for (uint32_t i = 1; i <= 300; i++) {
		mesh_auto_fd int c = -1, s = -1;

		pod.origdst = mesh_addr_from_v4(htonl(INADDR_LOOPBACK + i), ntohs(sa.sin_port));
		c = lab_connect(pod.port);
		CHECK(lab_say(c, GET("/")));
		s = accept(any, NULL, NULL);
		CHECK(s >= 0 && lab_say(s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
		CHECK(lab_response(c, &m));
		CHECK(lab_stats(&pod).upstream_pools >= 1);
	}
	for (int i = 0; i < 400 && lab_stats(&pod).upstream_pools; i++)
		lab_sleep_ms(5);
	CHECK_INT(lab_stats(&pod).upstream_connections_active, 0);
	CHECK_INT(lab_stats(&pod).upstream_pools, 0);
	lab_proxy_stop(&pod);
}

static void set_idle_max(struct mesh_worker *w, void *arg)
{
	w->idle_ups_max = *(unsigned *)arg;
}

WORLD(idle_connections_are_bounded)
{
	int ends[12], servers[12];
	unsigned max = 4;

	mesh_workers_run(px.proxy, set_idle_max, &max);
	for (size_t i = 0; i < 12; i++) { /* each has a request in flight: one connection each */
		ends[i] = lab_connect(px.port);
		CHECK(lab_say(ends[i], GET("/")));
	}
	for (size_t i = 0; i < 12; i++)
		CHECK((servers[i] = accept(listener, NULL, NULL)) >= 0);
	for (size_t i = 0; i < 12; i++)
		CHECK(lab_say(servers[i], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
	for (size_t i = 0; i < 12; i++) {
		CHECK(lab_response(ends[i], &m));
		close(ends[i]);
	}
	for (int i = 0; i < 400 && lab_stats(&px).upstream_connections_active > max; i++)
		lab_sleep_ms(5);
	CHECK_INT(lab_stats(&px).upstream_connections_active, max);
	for (size_t i = 0; i < 12; i++)
		close(servers[i]);
}

/* ---- an endpoint that is gone without a word ---- */

/* A port that answers no SYN: its backlog is full. */
static int deaf(uint16_t *at, int *fill, size_t count)
{
	int deaf_fd = lab_listen(at);
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(*at), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	listen(deaf_fd, 0);
	for (size_t i = 0; i < count; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(fill[i], (struct sockaddr *)&sa, sizeof(sa));
		lab_sleep_ms(5);
	}
	return deaf_fd;
}

WORLD(endpoint_that_left_while_it_was_connected_to)
{
	struct lab_message in = {0};
	uint16_t at;
	int fill[4], deaf_fd = deaf(&at, fill, 4);

	mesh_proxy_publish(px.proxy, lab_config_any(NULL, (uint16_t[]){at, 0}));
	CHECK(lab_say(fd, "POST /x?y HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc" GET("/next")));
	lab_sleep_ms(40);
	CHECK_INT(lab_stats(&px).upstream_connections_active, 1);
	mesh_proxy_publish(px.proxy, lab_config_any(NULL, (uint16_t[]){port, 0}));
	CHECK(accepted(&in));
	CHECK(strncmp(in.text.data, "POST /x?y HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n", 37) == 0);
	while (in.in.len < 3)
		CHECK(lab_more(server, &in));
	CHECK_STR(in.in.data, "abc");
	CHECK(answer_ok());
	CHECK(m.head.keep_alive);
	mesh_buf_clear(&in.in);
	CHECK(lab_read_head(server, &in, MESH_HTTP1_REQUEST));
	CHECK(answer_ok());
	lab_message_free(&in);
	mesh_proxy_publish(px.proxy, lab_config_any(NULL, (uint16_t[]){at, 0}));
	CHECK(lab_say(fd, GET("/")));
	lab_sleep_ms(40);
	mesh_proxy_publish(px.proxy, lab_config_any(NULL, (uint16_t[]){0}));
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 503);
	CHECK_INT(lab_stats(&px).flags_uh, 1);
	for (size_t i = 0; i < 4; i++)
		close(fill[i]);
	close(deaf_fd);
}

/* ---- an endpoint that ends with connections in its queue ---- */

/* Which of two listeners is asked within five seconds, or -1. */
static int asked(int a, int b)
{
	struct pollfd ready[] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};

	if (poll(ready, 2, 5000) <= 0)
		return -1;
	return ready[0].revents ? a : b;
}

static bool is_asked(int of)
{
	struct pollfd ready = {.fd = of, .events = POLLIN};

	return poll(&ready, 1, 100) > 0;
}

/* Has one of the two take a request; returns the other one. */
static int taken_by_one_of(int a, int b)
{
	listener = asked(a, b);
	if (listener < 0 || !accepted_any())
		return -1;
	return listener == a ? b : a;
}

/* So that the next request finds no connection that is kept. */
static bool answer_and_close(void)
{
	bool ok = lab_say(server, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");

	ok = ok && lab_response(fd, &m) && m.head.status == 200;
	mesh_cleanup_fd(&server);
	server = -1;
	return ok;
}

WORLD(request_whose_new_connection_ends_goes_to_another_endpoint_once)
{
	uint16_t other;
	int a = listener, b = lab_listen(&other), rest;
	uint16_t ports[] = {port, other, 0};

	mesh_proxy_publish(px.proxy, lab_config_any(NULL, ports));
	for (int how = BY_END; how <= BY_RESET; how++) {
		CHECK(lab_say(fd, GET("/")));
		rest = taken_by_one_of(a, b);
		CHECK(rest >= 0);
		if (how == BY_RESET)
			reset(&server);
		else
			mesh_cleanup_fd(&server);
		server = -1;
		listener = rest;
		CHECK(accepted_any());
		CHECK(answer_and_close());
	}
	CHECK_INT(lab_stats(&px).flags_uf, 0);
	/* Both: once is enough. */
	CHECK(lab_say(fd, GET("/")));
	listener = taken_by_one_of(a, b);
	reset(&server);
	CHECK(accepted_any());
	reset(&server);
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 503);
	CHECK_INT(lab_stats(&px).flags_uf, 1);
	/* What may change something and was sent, and what is being answered, is not sent again. */
	CHECK(lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
	rest = taken_by_one_of(a, b);
	reset(&server);
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 503);
	CHECK(!is_asked(rest));
	CHECK(lab_say(fd, GET("/")));
	rest = taken_by_one_of(a, b);
	CHECK(lab_say(server, "HTTP/1.1 200 O"));
	lab_sleep_ms(40);
	reset(&server);
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 503);
	CHECK(!is_asked(rest));
	CHECK_INT(lab_stats(&px).flags_uf, 3);
	close(rest == a ? b : a);
	listener = rest;
}

/* ---- out of descriptors ---- */

static struct rlimit before;

static bool limit_fds(rlim_t max)
{
	struct rlimit limit = before;

	limit.rlim_cur = max;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

WORLD(without_descriptors_accept_waits_and_does_not_spin)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(px.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	mesh_auto_fd int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	long cpu;

	CHECK(lab_say(fd, GET("/")) && accepted_any() && answer_ok());
	mesh_cleanup_fd(&server);
	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	CHECK(limit_fds(3)); /* not even the spare one can be used again */
	CHECK(connect(late, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	cpu = cpu_ms_in(300);
	CHECK(limit_fds(before.rlim_cur));
	CHECK(cpu < 40);
	mesh_cleanup_fd(&fd);
	fd = mesh_steal_fd(&late);
	CHECK(lab_say(fd, GET("/")) && accepted_any() && answer_ok());
	CHECK_INT(lab_stats(&px).shed, 0);
}

static int highest_fd(void)
{
	int max = 0;

	for (int i = 0; i < 1024; i++)
		if (fcntl(i, F_GETFD) >= 0)
			max = i;
	return max;
}

WORLD(the_spare_descriptor_sheds_and_a_pooled_connection_makes_room)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(px.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	mesh_auto_fd int second = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mesh_auto_fd int third = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fill[1024], n = 0;
	bool cut;

	CHECK(lab_say(fd, GET("/")) && accepted_any() && answer_ok()); /* leaves a pooled connection */
	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	CHECK(limit_fds((rlim_t)highest_fd() + 1));
	while (n < 1024 && (fill[n] = dup(0)) >= 0)
		n++;
	CHECK(connect(second, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	for (int i = 0; i < 400 && lab_stats(&px).connections_total < 2; i++)
		lab_sleep_ms(5);
	CHECK(connect(third, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	drain(third, &cut);
	while (n > 0)
		close(fill[--n]);
	CHECK(limit_fds(before.rlim_cur));
	CHECK_INT(lab_stats(&px).connections_total, 2);
	CHECK_INT(lab_stats(&px).shed, 1);
	CHECK_INT(lab_stats(&px).upstream_connections_active, 0);
	mesh_cleanup_fd(&fd);
	fd = mesh_steal_fd(&second);
	CHECK(lab_say(fd, GET("/")) && accepted_any() && answer_ok());
}

TEST(a_proxy_that_cannot_start_closes_only_what_is_its_own)
{
	struct mesh_proxy *p = NULL;
	int zero = fcntl(0, F_GETFD) < 0 ? open("/dev/null", O_RDONLY) : 0, failed = 0;

	CHECK_INT(zero, 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	for (int room = 1; room < 6; room++) { /* a worker has three: with this much only the first starts */
		int fill[1024], n = 0, r;

		CHECK(limit_fds((rlim_t)highest_fd() + 1 + 8));
		while (n < 1024 && (fill[n] = dup(zero)) >= 0)
			n++;
		for (int i = 0; i < room; i++)
			close(fill[--n]);
		r = mesh_proxy_new(&p, &(struct mesh_proxy_opts){.workers = 3});
		failed += r == -EMFILE;
		while (n > 0)
			close(fill[--n]);
		limit_fds(before.rlim_cur);
		CHECK(p == NULL);
		CHECK(fcntl(0, F_GETFD) >= 0);
	}
	CHECK_INT(failed, 5);
}

static atomic_bool refuse_watches;

/* In place of libc's: fs.epoll.max_user_watches is reached. */
int epoll_ctl(int epoll, int op, int of, struct epoll_event *event)
{
	if (op == EPOLL_CTL_ADD && atomic_load(&refuse_watches)) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_epoll_ctl, epoll, op, of, event);
}

WORLD(a_connection_that_cannot_be_watched_is_closed)
{
	bool cut;

	CHECK(lab_say(fd, GET("/")) && accepted_any() && answer_ok());
	atomic_store(&refuse_watches, true);
	mesh_cleanup_fd(&fd);
	fd = lab_connect(px.port);
	drain(fd, &cut);
	atomic_store(&refuse_watches, false);
	CHECK(cut);
	CHECK_INT(lab_stats(&px).connections_total, 2);
	for (int i = 0; i < 400 && lab_stats(&px).connections_active; i++)
		lab_sleep_ms(5);
	CHECK_INT(lab_stats(&px).connections_active, 0);
	new_client();
	CHECK(lab_say(fd, GET("/")) && accepted_any() && answer_ok());
}

/* ---- connections that are not watched while their first request is out ---- */

WORLD(client_that_leaves_before_the_first_answer)
{
	for (int how = BY_END; how <= BY_RESET; how++) {
		new_client();
		CHECK(lab_say(fd, GET("/")));
		CHECK(accepted_any());
		lab_sleep_ms(40);
		CHECK_INT(lab_stats(&px).requests_active, 1);
		if (how == BY_RESET)
			reset(&fd);
		else
			CHECK(shutdown(fd, SHUT_RDWR) == 0);
		wait_requests_over();
		CHECK_INT(lab_stats(&px).requests_active, how == BY_RESET ? 0 : 1); /* an end may be half of one */
		CHECK(lab_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") || how == BY_RESET);
		wait_requests_over();
		CHECK_INT(lab_stats(&px).requests_active, 0);
	}
}

TEST_MAIN()

/* ---- an endpoint whose pod is no more ---- */

static void pod_is_gone(void)
{
	struct mesh_addr ip;

	mesh_addr_parse(MESH_SLICE("127.0.0.1"), 0, &ip);
	mesh_proxy_gone(px.proxy, &ip);
}

WORLD(request_whose_pod_is_gone_goes_elsewhere)
{
	uint16_t other;
	int first = listener, silent;

	CHECK(lab_say(fd, GET("/")));
	CHECK(accepted_any());
	silent = server;
	server = -1;
	listener = lab_listen(&other);
	mesh_proxy_publish(px.proxy, lab_config_any(NULL, (uint16_t[]){other, 0}));
	pod_is_gone();
	CHECK(accepted_any());
	CHECK(answer_ok());
	close(silent);
	close(first);
}

WORLD(request_that_must_not_be_sent_twice_ends_with_its_pod)
{
	uint64_t begin = mesh_now_ns();

	CHECK(lab_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
	CHECK(accepted_any());
	pod_is_gone();
	CHECK(lab_response(fd, &m));
	CHECK_INT(m.head.status, 503);
	CHECK(strstr(m.body.data, "the endpoint is gone") != NULL);
	CHECK(mesh_now_ns() - begin < MESH_SEC(5));
	CHECK_INT(lab_stats(&px).upstream_connections_active, 0);
}

/* What the pod had sent is delivered, however long the client takes to read. */
WORLD(answer_of_a_pod_that_is_gone_is_whole)
{
	size_t sent;
	bool cut;

	CHECK(lab_say(fd, GET("/")));
	CHECK(accepted_any());
	CHECK(lab_say(server, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"));
	sent = send_until_stuck(server);
	mesh_cleanup_fd(&server);
	server = -1;
	pod_is_gone();
	lab_sleep_ms(2500);
	CHECK(drain(fd, &cut) > sent);
	CHECK(!cut);
}

WORLD(connection_that_is_pooled_goes_with_its_pod)
{
	CHECK(lab_say(fd, GET("/")));
	CHECK(accepted_any());
	CHECK(answer_ok());
	wait_requests_over();
	CHECK_INT(lab_stats(&px).upstream_connections_active, 1);
	pod_is_gone();
	for (int i = 0; i < 600 && lab_stats(&px).upstream_connections_active; i++)
		lab_sleep_ms(5);
	CHECK_INT(lab_stats(&px).upstream_connections_active, 0);
}
