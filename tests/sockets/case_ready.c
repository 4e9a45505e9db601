/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told, and when, that a socket can be read or written; and how much is taken that nobody reads. */
#include "sock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { KIB = 1 << 10, MIB = 1 << 20, ALL = POLLIN | POLLOUT | POLLPRI | POLLRDHUP };

static void polls(const struct sc *x)
{
	struct sc_pair p;
	char buf[10];

	sc_pair(x, &p);
	sc_see(x, "client, idle", "%s", sc_events(sc_poll(p.c, ALL, 0)));
	sc_see(x, "server, idle", "%s", sc_events(sc_poll(p.s, ALL, 0)));
	sc_put(p.c, x->seed, 0, 10);
	sc_see(x, "bytes there", "%s", sc_events(sc_until(p.s, POLLIN)));
	sc_see(x, "and again", "%s", sc_events(sc_poll(p.s, ALL, 0)));
	recv(p.s, buf, 9, 0);
	sc_see(x, "one byte left", "%s", sc_events(sc_poll(p.s, ALL, 0)));
	recv(p.s, buf, 1, 0);
	sc_see(x, "none left", "%s", sc_events(sc_poll(p.s, ALL, 0)));
	sc_put(p.s, x->seed, 0, 10);
	sc_see(x, "answer there", "%s", sc_events(sc_until(p.c, POLLIN)));
	recv(p.c, buf, 10, 0);
	if (x->via == SC_BODY)
		return;
	shutdown(p.c, SHUT_WR);
	sc_see(x, "server, client's half closed", "%s", sc_events(sc_until(p.s, POLLRDHUP)));
	sc_see(x, "client, its half closed", "%s", sc_events(sc_poll(p.c, ALL, 0)));
	sc_put(p.s, x->seed, 10, 10);
	sc_see(x, "client, bytes there", "%s", sc_events(sc_until(p.c, POLLIN)));
	recv(p.c, buf, 10, 0);
	shutdown(p.s, SHUT_WR);
	sc_see(x, "client, both closed", "%s", sc_events(sc_until(p.c, POLLHUP)));
	sc_see(x, "server, both closed", "%s", sc_events(sc_until(p.s, POLLHUP)));
}

static const char *selected(int fd, int ms)
{
	struct timeval t = {.tv_sec = ms / 1000, .tv_usec = (long)(ms % 1000) * 1000};
	fd_set in, out, except;
	int n;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&except);
	FD_SET(fd, &in);
	FD_SET(fd, &except);
	n = select(fd + 1, &in, NULL, &except, &t);
	if (n < 0)
		return sc_error_name(errno);
	t = (struct timeval){0};
	FD_SET(fd, &out);
	select(fd + 1, NULL, &out, NULL, &t);
	return FD_ISSET(fd, &in) && n ? FD_ISSET(fd, &out) ? "read write" : "read"
	       : FD_ISSET(fd, &out)   ? "write"
				      : "none";
}

static void selects(const struct sc *x)
{
	struct sc_pair p;
	char buf[10];

	sc_pair(x, &p);
	sc_see(x, "idle", "%s", selected(p.s, 30));
	sc_put(p.c, x->seed, 0, 10);
	sc_see(x, "bytes there", "%s", selected(p.s, 3000));
	recv(p.s, buf, 10, 0);
	sc_see(x, "read", "%s", selected(p.s, 30));
	sc_stuff(p.c, x->seed, 10, 64 * KIB, 64 * MIB);
	sc_see(x, "full", "%s", selected(p.c, 30));
	if (x->via == SC_BODY)
		return;
	shutdown(p.s, SHUT_WR);
	sc_see(x, "full, and the peer's half closed", "%s", selected(p.c, 3000));
}

static const char *waited(int ep, int ms)
{
	struct epoll_event e;
	int n;

	while ((n = epoll_wait(ep, &e, 1, ms)) < 0 && errno == EINTR)
		;
	return n > 0 ? sc_events((int)e.events) : "nothing";
}

static int epoll_on(int fd, uint32_t events)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = {.events = events};

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	return ep;
}

static void epoll_level(const struct sc *x)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT};
	struct sc_pair p;
	char buf[100];
	int ep;

	sc_pair(x, &p);
	ep = epoll_on(p.s, EPOLLIN | EPOLLRDHUP);
	sc_see(x, "idle", "%s", waited(ep, 30));
	sc_put(p.c, x->seed, 0, 20);
	sc_see(x, "bytes there", "%s", waited(ep, 3000));
	sc_see(x, "and again", "%s", waited(ep, 30));
	recv(p.s, buf, 15, 0);
	sc_see(x, "some left", "%s", waited(ep, 30));
	recv(p.s, buf, 15, 0);
	sc_see(x, "none left", "%s", waited(ep, 30));
	epoll_ctl(ep, EPOLL_CTL_MOD, p.s, &e);
	sc_put(p.c, x->seed, 20, 5);
	sc_see(x, "one shot", "%s", waited(ep, 3000));
	sc_see(x, "only one", "%s", waited(ep, 30));
	epoll_ctl(ep, EPOLL_CTL_MOD, p.s, &e);
	sc_see(x, "armed again", "%s", waited(ep, 3000));
	e.events = EPOLLIN | EPOLLRDHUP;
	recv(p.s, buf, 100, 0);
	epoll_ctl(ep, EPOLL_CTL_MOD, p.s, &e);
	if (x->via == SC_BODY)
		return;
	shutdown(p.c, SHUT_WR);
	sc_see(x, "the end", "%s", waited(ep, 3000));
	recv(p.s, buf, 100, 0);
	sc_see(x, "stays", "%s", waited(ep, 30));
}

static void epoll_edge(const struct sc *x)
{
	struct sc_pair p;
	char buf[100];
	int ep;

	sc_pair(x, &p);
	ep = epoll_on(p.s, EPOLLIN | EPOLLRDHUP | EPOLLET);
	sc_see(x, "idle", "%s", waited(ep, 30));
	sc_put(p.c, x->seed, 0, 20);
	sc_see(x, "bytes there", "%s", waited(ep, 3000));
	sc_see(x, "no other edge", "%s", waited(ep, 40));
	sc_put(p.c, x->seed, 20, 20);
	sc_see(x, "more bytes, none read", "%s", waited(ep, 3000));
	recv(p.s, buf, 10, 0);
	sc_see(x, "some read", "%s", waited(ep, 40));
	while (recv(p.s, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	sc_put(p.c, x->seed, 40, 1);
	sc_see(x, "after EAGAIN", "%s", waited(ep, 3000));
	recv(p.s, buf, sizeof(buf), 0);
	sc_put(p.c, x->seed, 41, 1);
	sc_see(x, "after a read to the last byte", "%s", waited(ep, 3000));
	if (x->via == SC_BODY)
		return;
	shutdown(p.c, SHUT_WR);
	sc_see(x, "the end", "%s", waited(ep, 3000));
}

static void epoll_edge_write(const struct sc *x)
{
	struct sc_flow in = {.seed = x->seed};
	pthread_t reader;
	struct sc_pair p;
	uint64_t sent;
	int ep;

	sc_pair(x, &p);
	sc_nonblocking(p.c, true);
	ep = epoll_on(p.c, EPOLLOUT | EPOLLET);
	sc_see(x, "at first", "%s", waited(ep, 3000));
	sent = sc_stuff(p.c, x->seed, 0, 16 * KIB, 64 * MIB);
	while (strcmp(waited(ep, 50), "nothing") != 0)
		;
	sc_see(x, "full", "%s", waited(ep, 50));
	in.fd = p.s;
	in.bytes = sent;
	pthread_create(&reader, NULL, sc_flow_recv, &in);
	sc_see(x, "when it is read", "%s", waited(ep, 5000));
	pthread_join(reader, NULL);
	sc_must(x, in.at == sent && in.bad < 0, "%llu of %llu bytes, the first wrong one %lld",
		(unsigned long long)in.at, (unsigned long long)sent, (long long)in.bad);
	sc_result(x, "then takes", send(p.c, "x", 1, MSG_NOSIGNAL));
}

/* An event loop of many connections, edge-triggered, each echoing what it gets until it would block. */
static void epoll_loop(const struct sc *x)
{
	enum { MANY = 32 };
	int ep = epoll_create1(EPOLL_CLOEXEC), listener = sc_listener(x), right = 0;
	struct sc_pair p[MANY];
	struct sc_flow in[MANY], out[MANY];
	pthread_t threads[2 * MANY];
	size_t bytes = x->full ? MIB : 40000, echoed = 0;
	char *buf = malloc(32 * KIB);
	bool stuck = false;

	for (int i = 0; i < MANY; i++) {
		sc_pair_from(x, listener, &p[i]);
		sc_timeouts(p[i].s, 0, 20000);
		epoll_ctl(ep, EPOLL_CTL_ADD, p[i].s,
			  &(struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = p[i].s});
		out[i] = (struct sc_flow){.fd = p[i].c, .seed = x->seed + (uint64_t)i, .bytes = bytes, .chunk = 9000};
		in[i] = out[i];
		pthread_create(&threads[2 * i], NULL, sc_flow_send, &out[i]);
		pthread_create(&threads[2 * i + 1], NULL, sc_flow_recv, &in[i]);
	}
	while (echoed < bytes * MANY && !stuck) {
		struct epoll_event e;
		ssize_t n;

		if (epoll_wait(ep, &e, 1, 5000) <= 0)
			break;
		while (!stuck && (n = recv(e.data.fd, buf, 32 * KIB, MSG_DONTWAIT)) > 0) {
			stuck = send(e.data.fd, buf, (size_t)n, MSG_NOSIGNAL) != n;
			echoed += stuck ? 0 : (size_t)n;
		}
	}
	sc_must(x, echoed == bytes * MANY, "%s after %zu of %zu bytes",
		stuck ? "a client does not read" : "no event for 5 s", echoed, bytes * MANY);
	for (int i = 0; i < MANY; i++) {
		if (echoed < bytes * MANY)
			shutdown(p[i].c, SHUT_RDWR); /* or they might wait for ever */
		pthread_join(threads[2 * i], NULL);
		pthread_join(threads[2 * i + 1], NULL);
		right += in[i].at == bytes && in[i].bad < 0;
	}
	sc_see(x, "right", "%d", right);
}

static void signals(const struct sc *x)
{
	int sig = SIGRTMIN + 1;
	struct timespec patience = {.tv_sec = 3};
	siginfo_t info;
	struct sc_pair p;
	sigset_t set;
	int n;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sc_pair(x, &p);
	fcntl(p.s, F_SETOWN, getpid());
	fcntl(p.s, F_SETSIG, sig);
	fcntl(p.s, F_SETFL, fcntl(p.s, F_GETFL) | O_ASYNC);
	sc_put(p.c, x->seed, 0, 10);
	n = sigtimedwait(&set, &info, &patience);
	sc_see(x, "bytes there", "%s", n == sig ? "signal" : "none");
	sc_see(x, "of this descriptor", "%s", n == sig && info.si_fd == p.s ? "yes" : "no");
	sc_see(x, "tells", "%s", n == sig ? sc_events((int)info.si_band & ALL) : "-");
	if (x->via == SC_BODY)
		return;
	recv(p.s, &info, 10, 0);
	patience = (struct timespec){.tv_nsec = 20000000};
	while (sigtimedwait(&set, &info, &patience) == sig)
		;
	shutdown(p.c, SHUT_WR);
	patience = (struct timespec){.tv_sec = 3};
	sc_see(x, "the end", "%s", sigtimedwait(&set, &info, &patience) == sig ? "signal" : "none");
}

static void non_blocking(const struct sc *x)
{
	struct sc_pair p;
	uint64_t taken;
	int one = 1;
	char *big = calloc(1, 64 * MIB), c;
	ssize_t n;

	sc_pair(x, &p);
	sc_result(x, "MSG_DONTWAIT, nothing there", recv(p.s, &c, 1, MSG_DONTWAIT));
	sc_nonblocking(p.s, true);
	sc_result(x, "O_NONBLOCK, nothing there", recv(p.s, &c, 1, 0));
	sc_nonblocking(p.s, false);
	ioctl(p.s, FIONBIO, &one);
	sc_result(x, "FIONBIO, nothing there", read(p.s, &c, 1));
	sc_nonblocking(p.c, true);
	n = send(p.c, big, 64 * MIB, MSG_NOSIGNAL);
	sc_see(x, "64 MiB at once", "%s", n <= 0 ? sc_error_name(errno) : n < 64 * MIB ? "a part" : "all");
	taken = n > 0 ? (uint64_t)n : 0;
	do {
		n = send(p.c, big, 64 * KIB, MSG_NOSIGNAL);
		taken += n > 0 ? (uint64_t)n : 0;
	} while (n > 0 || (errno == EAGAIN && sc_poll(p.c, POLLOUT, 300)));
	sc_result(x, "full", n);
	sc_see(x, "poll, full", "%s", sc_events(sc_poll(p.c, ALL, 0)));
	for (uint64_t got = 0; got < taken; got += (uint64_t)n) {
		if (!sc_poll(p.s, POLLIN, 5000))
			break;
		n = recv(p.s, big, 64 * MIB, 0);
		if (n <= 0) {
			sc_must(x, false, "%llu of %llu bytes came", (unsigned long long)got,
				(unsigned long long)taken);
			break;
		}
	}
	sc_see(x, "read", "%s", sc_events(sc_until(p.c, POLLOUT)));
	sc_result(x, "takes again", send(p.c, big, 1, MSG_NOSIGNAL));
}

/* A reader that does not read: what is taken is bounded, and nothing of it is lost. */
static void slow(const struct sc *x, size_t chunk, uint64_t most)
{
	struct sc_call blocked = {.len = 4 * MIB, .sending = true};
	struct sc_pair p;
	uint64_t taken;

	sc_pair(x, &p);
	taken = sc_stuff(p.c, x->seed, 0, chunk, most);
	sc_note(x, "taken", "%llu", (unsigned long long)taken);
	sc_see(x, "takes without end", "%s", taken >= most ? "yes" : "no");
	sc_must(x, taken <= 32 * MIB, "%llu bytes were taken that nobody reads", (unsigned long long)taken);
	if (taken < most) {
		blocked.fd = p.c;
		sc_call_begin(&blocked);
		sc_see(x, "a sender that blocks", "%s", sc_call_end(&blocked, 200) ? "does not" : "waits");
		blocked.len = 0;
	}
	sc_see(x, "all of it comes", "%s", sc_take(p.s, x->seed, 0, taken) ? "yes" : "no");
}

static void slow_reader(const struct sc *x)
{
	slow(x, 16 * KIB, 64 * MIB);
}

static void slow_tiny(const struct sc *x)
{
	/* A hop reads what comes and sends it on in larger pieces, so by single bytes its bound is far away. */
	if (x->full && x->via != SC_TCP)
		slow(x, 64, 24 * MIB);
	else
		slow(x, 1, x->full ? 4 * MIB : 100000);
}

/* One that reads a little now and then, for longer than any queue holds. */
static void trickle(const struct sc *x)
{
	uint64_t bytes = x->full ? 64ULL * MIB : 6ULL * MIB;
	struct sc_flow out = {.seed = x->seed, .bytes = bytes, .chunk = 30000};
	struct sc_flow in = {.seed = x->seed, .bytes = bytes, .chunk = 4000, .pause_one_in = 10};
	pthread_t sender;
	struct sc_pair p;

	sc_pair(x, &p);
	out.fd = p.c;
	in.fd = p.s;
	pthread_create(&sender, NULL, sc_flow_send, &out);
	sc_flow_recv(&in);
	pthread_join(sender, NULL);
	sc_must(x, in.at == bytes && in.bad < 0, "%llu bytes, the first wrong one %lld", (unsigned long long)in.at,
		(long long)in.bad);
	sc_see(x, "bytes", "%llu", (unsigned long long)in.at);
}

static const struct sc_case rows[] = {
	SC_CASE("poll", "poll in every state of a connection", polls, SC_ALL),
	SC_CASE("select", "select: readable, full, ended", selects, SC_ALL),
	SC_CASE("epoll-level", "epoll, level-triggered and one-shot", epoll_level, SC_ALL),
	SC_CASE("epoll-edge", "epoll, edge-triggered: an edge for each arrival and no other", epoll_edge, SC_ALL),
	SC_CASE("epoll-write", "epoll, edge-triggered: writable again", epoll_edge_write, SC_ALL),
	SC_CASE("epoll-loop", "an edge-triggered echo server of many connections", epoll_loop, SC_ALL, .limit_s = 120),
	SC_CASE("sigio", "O_ASYNC and F_SETSIG", signals, SC_ALL),
	SC_CASE("nonblocking", "non-blocking calls: EAGAIN, parts, writable again", non_blocking, SC_ALL),
	SC_CASE("slow-reader", "what is taken that nobody reads is bounded; the sender waits", slow_reader, SC_ALL),
	SC_CASE("slow-tiny", "the same, one byte a call (64 through a hop)", slow_tiny, SC_ALL, .limit_s = 120),
	SC_CASE("trickle", "a reader that lags behind all the time", trickle, SC_ALL, .limit_s = 240),
};

const struct sc_group sc_ready = SC_GROUP(rows);
