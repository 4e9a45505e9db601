/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect() and accept(). Over plain TCP and the L4 tier only: in the L7 tier the agent accepts, and what becomes of
 * the server is told in HTTP.
 */
#include "sock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

static void see_dial(const struct sc *x, const char *key, int fd, int family, uint16_t port)
{
	sc_see(x, key, "%s", sc_error_name(-sc_dial(x, fd, family, port)));
}

static void see_works(const struct sc *x, const char *key, int c, int s)
{
	bool works = sc_put(c, x->seed, 0, 3000) && sc_take(s, x->seed, 0, 3000) && sc_put(s, x->seed, 1, 3000) &&
		     sc_take(c, x->seed, 1, 3000);

	sc_see(x, key, "%s", works ? "works" : "does not work");
}

static void blocking(const struct sc *x)
{
	int l = sc_listener(x), c = sc_socket(x, AF_INET), s;

	see_dial(x, "connect", c, AF_INET, x->port);
	s = sc_accept(x, l);
	see_dial(x, "connect again", c, AF_INET, x->port);
	see_works(x, "connection", c, s);
	see_dial(x, "of an accepted one", s, AF_INET, x->port);
	see_dial(x, "of a listener", l, AF_INET, x->port);
	sc_result(x, "accept of no listener", accept(c, NULL, NULL));
	sc_result(x, "listen on a connection", listen(c, 1));
}

static void non_blocking(const struct sc *x)
{
	int l = sc_listener(x), c = sc_socket(x, AF_INET), s;

	sc_nonblocking(c, true);
	see_dial(x, "connect", c, AF_INET, x->port);
	sc_see(x, "poll", "%s", sc_events(sc_until(c, POLLOUT)));
	sc_see(x, "SO_ERROR", "%s", sc_so_error(c));
	see_dial(x, "connect when it is there", c, AF_INET, x->port);
	see_dial(x, "and again", c, AF_INET, x->port);
	s = sc_accept(x, l);
	sc_nonblocking(c, false);
	see_works(x, "connection", c, s);
}

static void refused(const struct sc *x)
{
	int c = sc_socket(x, AF_INET), n = sc_socket(x, AF_INET), l, s;
	char b;

	see_dial(x, "connect", c, AF_INET, x->port);
	sc_see(x, "SO_ERROR", "%s", sc_so_error(c));
	sc_result(x, "send", send(c, "x", 1, MSG_NOSIGNAL));
	sc_result(x, "recv", recv(c, &b, 1, 0));
	sc_nonblocking(n, true);
	see_dial(x, "not blocking", n, AF_INET, x->port);
	sc_see(x, "poll", "%s", sc_events(sc_until(n, POLLHUP)));
	sc_see(x, "SO_ERROR then", "%s", sc_so_error(n));
	sc_see(x, "SO_ERROR again", "%s", sc_so_error(n));
	l = sc_listener(x);
	see_dial(x, "the same socket, once somebody listens", c, AF_INET, x->port);
	s = sc_accept(x, l);
	see_works(x, "connection", c, s);
}

/* A listener that takes no more: SYNs go unanswered. */
static int full_listener(const struct sc *x, int *fill, int count)
{
	int l = sc_listen(x, &(struct sc_listen){.port = x->port, .backlog = -1});

	sc_need(x, l >= 0, "no listener: %s", strerror(-l));
	for (int i = 0; i < count; i++) {
		fill[i] = sc_socket(x, AF_INET);
		sc_nonblocking(fill[i], true);
		sc_dial(x, fill[i], AF_INET, x->port);
		sc_sleep_ms(5);
	}
	return l;
}

static void unanswered(const struct sc *x)
{
	int fill[3], n = sc_socket(x, AF_INET), t = sc_socket(x, AF_INET);
	uint64_t began;

	full_listener(x, fill, 3);
	sc_nonblocking(n, true);
	see_dial(x, "not blocking", n, AF_INET, x->port);
	see_dial(x, "again", n, AF_INET, x->port);
	sc_see(x, "poll", "%s", sc_events(sc_poll(n, POLLOUT, 50)));
	sc_see(x, "state", "%s", sc_state(n));
	sc_result(x, "send", send(n, "x", 1, MSG_NOSIGNAL));
	sc_timeouts(t, 0, 100);
	began = sc_now_ms();
	see_dial(x, "SO_SNDTIMEO", t, AF_INET, x->port);
	sc_must(x, sc_now_ms() - began >= 95, "connect came back after %llu ms of 100",
		(unsigned long long)(sc_now_ms() - began));
	see_dial(x, "after that", t, AF_INET, x->port);
}

static void timed_out(const struct sc *x)
{
	int fill[3], c = sc_socket(x, AF_INET), u = sc_socket(x, AF_INET);

	full_listener(x, fill, 3);
	sc_set(c, IPPROTO_TCP, TCP_SYNCNT, 1);
	see_dial(x, "TCP_SYNCNT", c, AF_INET, x->port);
	sc_see(x, "SO_ERROR", "%s", sc_so_error(c));
	sc_set(u, IPPROTO_TCP, TCP_USER_TIMEOUT, 1500);
	see_dial(x, "TCP_USER_TIMEOUT", u, AF_INET, x->port);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void interrupted(const struct sc *x)
{
	struct itimerval soon = {.it_value.tv_usec = 50000};
	struct sigaction act = {.sa_handler = on_alarm};
	int fill[3], l = full_listener(x, fill, 3), c = sc_socket(x, AF_INET), got = 0;

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	see_dial(x, "connect", c, AF_INET, x->port);
	for (int i = 0; i < 4 && sc_poll(l, POLLIN, got < 2 ? 3000 : 100); i++, got++) /* now there is room */
		close(sc_accept(x, l));
	sc_see(x, "poll", "%s", sc_poll(c, POLLOUT, 10000) & POLLOUT ? "OUT" : "-");
	sc_see(x, "SO_ERROR", "%s", sc_so_error(c));
}

/* connect(AF_UNSPEC) ends a connection; the socket can be used again, also for somewhere else. */
static void unspecified(const struct sc *x)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int l = sc_listener(x), c = sc_socket(x, AF_INET), s;
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	char b;

	sc_result(x, "before", connect(c, &none, sizeof(none)));
	see_dial(x, "connect", c, AF_INET, x->port);
	s = sc_accept(x, l);
	sc_result(x, "AF_UNSPEC", connect(c, &none, sizeof(none)));
	sc_result(x, "getpeername", getpeername(c, (struct sockaddr *)&at, &len));
	sc_see(x, "the peer", "%s", sc_events(sc_until(s, POLLHUP)));
	sc_result(x, "the peer's recv", recv(s, &b, 1, 0));
	see_dial(x, "connect again", c, AF_INET, x->port);
	s = sc_accept(x, l);
	see_works(x, "connection", c, s);
	sc_result(x, "AF_UNSPEC again", connect(c, &none, sizeof(none)));
	see_dial(x, "where nobody listens", c, AF_INET, (uint16_t)(x->port + 1));
	see_dial(x, "and back", c, AF_INET, x->port);
	see_works(x, "connection then", c, sc_accept(x, l));
}

static void accepting(const struct sc *x)
{
	int l = sc_listener(x), c[4], s;
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);

	sc_nonblocking(l, true);
	sc_result(x, "nothing there", accept(l, NULL, NULL));
	for (int i = 0; i < 4; i++) {
		c[i] = sc_socket(x, AF_INET);
		sc_need(x, sc_dial(x, c[i], AF_INET, x->port) == 0, "connect");
	}
	sc_need(x, sc_poll(l, POLLIN, 3000), "nothing to accept");
	s = accept4(l, (struct sockaddr *)&at, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	sc_see(x, "accept4: O_NONBLOCK", "%d", !!(fcntl(s, F_GETFL) & O_NONBLOCK));
	sc_see(x, "accept4: FD_CLOEXEC", "%d", !!(fcntl(s, F_GETFD) & FD_CLOEXEC));
	sc_see(x, "address", "%u bytes of family %d", len, at.ss_family);
	sc_poll(l, POLLIN, 3000);
	s = accept(l, NULL, NULL);
	sc_see(x, "accept: O_NONBLOCK", "%d", !!(fcntl(s, F_GETFL) & O_NONBLOCK));
	sc_see(x, "accept: FD_CLOEXEC", "%d", !!(fcntl(s, F_GETFD) & FD_CLOEXEC));
	len = 3;
	sc_poll(l, POLLIN, 3000);
	s = accept(l, (struct sockaddr *)&at, &len);
	sc_see(x, "a short address", "%u", len);
	sc_set(l, IPPROTO_TCP, TCP_NODELAY, 1);
	sc_poll(l, POLLIN, 3000);
	sc_accept(x, l);
	sc_result(x, "bad flags", accept4(l, NULL, NULL, 1));
	sc_nonblocking(l, false);
	sc_result(x, "shutdown of the listener", shutdown(l, SHUT_RD));
	sc_result(x, "accept then", accept(l, NULL, NULL));
	see_dial(x, "connect then", sc_socket(x, AF_INET), AF_INET, x->port);
}

/* The client is gone before it is accepted: in order, and by RST. */
static void gone_before_accept(const struct sc *x)
{
	int l = sc_listener(x), c = sc_socket(x, AF_INET), s;
	uint64_t at = 0;
	char b;

	sc_need(x, sc_dial(x, c, AF_INET, x->port) == 0, "connect");
	sc_put(c, x->seed, 0, 500);
	close(c);
	sc_sleep_ms(20);
	s = sc_accept(x, l);
	sc_see(x, "bytes, then", "%s", sc_error_name(sc_drain(x, s, x->seed, &at)));
	sc_see(x, "bytes", "%llu", (unsigned long long)at);
	c = sc_socket(x, AF_INET);
	sc_need(x, sc_dial(x, c, AF_INET, x->port) == 0, "connect");
	sc_reset(c);
	sc_sleep_ms(20);
	s = sc_accept(x, l);
	sc_result(x, "after RST", recv(s, &b, 1, 0));
}

static void short_ones(const struct sc *x)
{
	int l = sc_listener(x), n = x->full ? 10000 : 500, failed = 0, wrong = 0;

	for (int i = 0; i < n; i++) {
		struct sc_pair p;
		char b;

		sc_pair_from(x, l, &p);
		failed += send(p.c, "q", 1, MSG_NOSIGNAL) != 1;
		failed += recv(p.s, &b, 1, 0) != 1;
		failed += send(p.s, "a", 1, MSG_NOSIGNAL) != 1;
		close(p.s);
		wrong += recv(p.c, &b, 1, 0) != 1 || b != 'a' || recv(p.c, &b, 1, 0) != 0;
		close(p.c);
	}
	sc_see(x, "failed", "%d", failed);
	sc_see(x, "wrong", "%d", wrong);
	sc_must(x, failed == 0 && wrong == 0, "%d calls failed, %d answers were wrong", failed, wrong);
}

static void fast_open(const struct sc *x)
{
	struct sockaddr_storage to;
	socklen_t len = sc_address(x, AF_INET, x->port, &to);
	int l = sc_listen(x, &(struct sc_listen){.port = x->port, .fastopen = 16}), c, s;

	sc_need(x, l >= 0, "no listener: %s", strerror(-l));
	for (int i = 0; i < 2; i++) { /* the second time it may have a cookie */
		c = sc_socket(x, AF_INET);
		sc_result(x, i ? "MSG_FASTOPEN again" : "MSG_FASTOPEN",
			  sendto(c, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&to, len));
		s = sc_accept(x, l);
		sc_see(x, i ? "bytes again" : "bytes", "%zu", sc_settle(s, 5));
		close(c);
		close(s);
	}
	c = sc_socket(x, AF_INET);
	sc_see(x, "TCP_FASTOPEN_CONNECT", "%s", sc_error_name(-sc_set(c, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)));
	see_dial(x, "connect", c, AF_INET, x->port);
	sc_result(x, "send", send(c, "hello", 5, MSG_NOSIGNAL));
	s = sc_accept(x, l);
	sc_see(x, "bytes then", "%zu", sc_settle(s, 5));
	c = sc_socket(x, AF_INET);
	len = sc_address(x, AF_INET, (uint16_t)(x->port + 1), &to);
	sc_result(x, "where nobody listens", sendto(c, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&to, len));
}

static void deferred(const struct sc *x)
{
	int l = sc_listen(x, &(struct sc_listen){.port = x->port, .defer_s = 5}), c = sc_socket(x, AF_INET), s;

	sc_need(x, l >= 0, "no listener: %s", strerror(-l));
	see_dial(x, "connect", c, AF_INET, x->port);
	sc_see(x, "to accept, without bytes", "%s", sc_events(sc_poll(l, POLLIN, 100)));
	sc_put(c, x->seed, 0, 10);
	sc_see(x, "with bytes", "%s", sc_events(sc_poll(l, POLLIN, 3000)));
	s = sc_accept(x, l);
	sc_must(x, sc_take(s, x->seed, 0, 10), "the bytes are wrong");
}

/* Two servers on one port. */
static void reuse_port(const struct sc *x)
{
	struct sc_listen what = {.port = x->port, .reuse_port = true};
	int l[2] = {sc_listen(x, &what), sc_listen(x, &what)}, got[2] = {0}, works = 0;

	sc_need(x, l[0] >= 0 && l[1] >= 0, "no two listeners");
	for (int i = 0; i < 100; i++) {
		struct pollfd p[2] = {{.fd = l[0], .events = POLLIN}, {.fd = l[1], .events = POLLIN}};
		int c = sc_socket(x, AF_INET), s, which;

		if (sc_dial(x, c, AF_INET, x->port) != 0 || poll(p, 2, 3000) != 1)
			break;
		which = p[1].revents ? 1 : 0;
		s = sc_accept(x, l[which]);
		got[which]++;
		works += sc_put(c, x->seed, 0, 100) && sc_take(s, x->seed, 0, 100);
		close(c);
		close(s);
	}
	sc_see(x, "connections", "%d", works);
	sc_must(x, got[0] > 0 && got[1] > 0, "one server got all %d", got[0] + got[1]);
	close(l[0]);
	for (int i = 0; i < 5; i++)
		works += sc_dial(x, sc_socket(x, AF_INET), AF_INET, x->port) == 0;
	sc_see(x, "after one has ended", "%d", works - 100);
}

static const struct sc_case rows[] = {
	SC_CASE("connect", "blocking connect, and what comes after it", blocking, SC_TCP),
	SC_CASE("connect-nonblocking", "EINPROGRESS, 0, EISCONN", non_blocking, SC_TCP),
	SC_CASE("connect-refused", "ECONNREFUSED, blocking and not; the socket works afterwards", refused, SC_TCP),
	SC_CASE("connect-unanswered", "SYNs without answer: EALREADY, SO_SNDTIMEO", unanswered, SC_TCP),
	SC_CASE("connect-timeout", "ETIMEDOUT by TCP_SYNCNT and TCP_USER_TIMEOUT", timed_out, SC_TCP,
		.full_only = true),
	SC_CASE("connect-signal", "connect interrupted by a signal goes on", interrupted, SC_TCP),
	SC_CASE("connect-unspec", "connect(AF_UNSPEC), and connecting again", unspecified, SC_TCP),
	SC_CASE("accept", "accept4's flags, addresses, a listener shut down", accepting, SC_TCP),
	SC_CASE("gone-before-accept", "a client that is gone before it is accepted", gone_before_accept, SC_TCP),
	SC_CASE("short-connections", "10,000 short connections", short_ones, SC_TUNNEL, .limit_s = 120),
	SC_CASE("fastopen", "MSG_FASTOPEN and TCP_FASTOPEN_CONNECT", fast_open, SC_TCP),
	SC_CASE("defer-accept", "TCP_DEFER_ACCEPT", deferred, SC_TCP),
	SC_CASE("reuseport", "two servers by SO_REUSEPORT", reuse_port, SC_TCP),
};

const struct sc_group sc_connect = SC_GROUP(rows);
