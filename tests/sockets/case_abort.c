/* SPDX-License-Identifier: Apache-2.0 */
/* Ends out of order: RST each way, close with unread bytes, what is seen then. */
#include "sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t pipes;

static void on_pipe(int sig)
{
	(void)sig;
	pipes++;
}

/* What is left of a connection whose peer sent RST. */
static void see_reset(const struct sc *x, int fd)
{
	char c;

	signal(SIGPIPE, on_pipe);
	sc_see(x, "poll", "%s", sc_events(sc_until(fd, POLLHUP)));
	sc_result(x, "recv", recv(fd, &c, 1, 0));
	sc_result(x, "recv again", recv(fd, &c, 1, 0));
	sc_result(x, "send", send(fd, "x", 1, 0));
	sc_see(x, "SIGPIPE", "%s", pipes ? "yes" : "no");
	sc_see(x, "state", "%s", sc_state(fd));
}

static void reset_by_client(const struct sc *x)
{
	struct sc_pair p;

	sc_pair(x, &p);
	sc_put(p.c, x->seed, 0, 10);
	sc_take(p.s, x->seed, 0, 10);
	sc_reset(p.c);
	see_reset(x, p.s);
}

static void reset_by_server(const struct sc *x)
{
	struct sc_pair p;

	sc_pair(x, &p);
	sc_put(p.c, x->seed, 0, 10);
	sc_take(p.s, x->seed, 0, 10);
	sc_reset(p.s);
	see_reset(x, p.c);
}

static void reset_error(const struct sc *x)
{
	struct sc_pair p, q;

	sc_pair(x, &p);
	sc_pair_from(x, p.listener, &q);
	sc_reset(p.c);
	sc_until(p.s, POLLHUP);
	sc_see(x, "server, SO_ERROR", "%s", sc_so_error(p.s));
	sc_see(x, "server, SO_ERROR again", "%s", sc_so_error(p.s));
	sc_reset(q.s);
	sc_until(q.c, POLLHUP);
	sc_see(x, "client, SO_ERROR", "%s", sc_so_error(q.c));
	sc_see(x, "client, SO_ERROR again", "%s", sc_so_error(q.c));
	sc_result(x, "shutdown", shutdown(q.c, SHUT_RDWR));
}

/* RST behind bytes that have not been read yet. */
static void reset_after_bytes(const struct sc *x)
{
	struct sc_pair p;
	char buf[2000];

	sc_pair(x, &p);
	sc_put(p.c, x->seed, 0, 1000);
	sc_settle(p.s, 1000);
	sc_reset(p.c);
	sc_see(x, "poll", "%s", sc_events(sc_until(p.s, POLLHUP)));
	sc_result(x, "recv", recv(p.s, buf, sizeof(buf), 0));
	sc_result(x, "recv again", recv(p.s, buf, sizeof(buf), 0));
	sc_result(x, "and again", recv(p.s, buf, sizeof(buf), 0));
}

/* Closed with unread bytes: that is RST, too. */
static void close_unread(const struct sc *x, int closer, int other)
{
	char c;

	sc_put(other, x->seed, 0, 1000);
	sc_see(x, "there", "%zu", sc_settle(closer, 1000));
	sc_result(x, "close", close(closer));
	sc_see(x, "poll", "%s", sc_events(sc_until(other, POLLHUP)));
	sc_result(x, "recv", recv(other, &c, 1, 0));
	sc_result(x, "recv again", recv(other, &c, 1, 0));
}

static void close_unread_client(const struct sc *x)
{
	struct sc_pair p;

	sc_pair(x, &p);
	close_unread(x, p.c, p.s);
}

static void close_unread_server(const struct sc *x)
{
	struct sc_pair p;

	sc_pair(x, &p);
	close_unread(x, p.s, p.c);
}

/* The peer closed in order; who goes on sending is told by RST. */
static void send_after_close(const struct sc *x)
{
	struct sc_pair p;
	char c;

	signal(SIGPIPE, on_pipe);
	sc_pair(x, &p);
	close(p.s);
	sc_until(p.c, POLLRDHUP);
	sc_result(x, "first send", send(p.c, "x", 1, 0));
	sc_see(x, "poll", "%s", sc_events(sc_until(p.c, POLLHUP)));
	sc_result(x, "second send", send(p.c, "x", 1, 0));
	sc_see(x, "SIGPIPE", "%s", pipes ? "yes" : "no");
	sc_result(x, "recv", recv(p.c, &c, 1, MSG_DONTWAIT));
	sc_see(x, "SO_ERROR", "%s", sc_so_error(p.c));
	pipes = 0;
	sc_result(x, "with MSG_NOSIGNAL", send(p.c, "x", 1, MSG_NOSIGNAL));
	sc_see(x, "no SIGPIPE then", "%s", pipes ? "there is" : "none");
}

static void reset_while_blocked(const struct sc *x)
{
	struct sc_call receiver = {.len = 100}, sender = {.len = 64 << 20, .sending = true};
	struct sc_pair p, q;

	sc_pair(x, &p);
	sc_pair_from(x, p.listener, &q);
	receiver.fd = p.c;
	sc_call_begin(&receiver);
	sender.fd = q.c;
	sc_call_begin(&sender);
	sc_see(x, "recv", "%s", sc_call_end(&receiver, 50) ? "returns" : "waits");
	sc_see(x, "send", "%s", sc_call_end(&sender, 300) ? "returns" : "waits");
	sc_reset(p.s);
	sc_reset(q.s);
	sc_call_result(x, "recv after RST", &receiver, 3000);
	sc_see(x, "send after RST", "%s", sc_call_end(&sender, 3000) ? "returns" : "waits");
	sc_see(x, "with", "%s", sender.result > 0 ? "what was taken" : sc_error_name(sender.error));
}

/* RST while both directions are full. */
static void reset_in_flight(const struct sc *x)
{
	uint64_t at = 0;
	struct sc_pair p;
	char c;

	sc_pair(x, &p);
	sc_stuff(p.c, x->seed, 0, 16 << 10, 64 << 20);
	sc_stuff(p.s, x->seed, 0, 16 << 10, 64 << 20);
	sc_reset(p.c);
	sc_until(p.s, POLLHUP);
	sc_drain(x, p.s, x->seed, &at); /* what it may still have is right; how much is chance */
	sc_result(x, "at last", recv(p.s, &c, 1, MSG_DONTWAIT));
	sc_result(x, "send", send(p.s, "x", 1, MSG_NOSIGNAL));
}

/* TCP_USER_TIMEOUT ends a connection whose peer does not take what is sent. */
static void user_timeout(const struct sc *x)
{
	struct sc_pair p;
	char buf[1];

	sc_pair(x, &p);
	sc_see(x, "TCP_USER_TIMEOUT", "%s", sc_error_name(-sc_set(p.c, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000)));
	sc_stuff(p.c, x->seed, 0, 16 << 10, 64 << 20);
	for (uint64_t end = sc_now_ms() + 12000; sc_now_ms() < end && !(sc_poll(p.c, POLLIN, 100) & POLLERR);)
		;
	sc_result(x, "recv", recv(p.c, buf, 1, MSG_DONTWAIT));
}

static const struct sc_case rows[] = {
	SC_CASE("rst-client", "SO_LINGER 0 at the client: what the server sees", reset_by_client, SC_TUNNEL),
	SC_CASE("rst-server", "SO_LINGER 0 at the server: what the client sees", reset_by_server, SC_TUNNEL),
	SC_CASE("rst-error", "SO_ERROR after RST, once", reset_error, SC_TUNNEL),
	SC_CASE("rst-after-bytes", "RST behind bytes that were not read yet", reset_after_bytes, SC_TUNNEL),
	SC_CASE("rst-blocked", "RST while recv and send are blocked", reset_while_blocked, SC_TUNNEL),
	SC_CASE("rst-in-flight", "RST with both directions full", reset_in_flight, SC_TUNNEL),
	SC_CASE("close-unread-client", "the client closes with unread bytes", close_unread_client, SC_TUNNEL),
	SC_CASE("close-unread-server", "the server closes with unread bytes", close_unread_server, SC_TUNNEL),
	SC_CASE("send-after-close", "sending to a peer that has closed: RST, EPIPE, SIGPIPE", send_after_close,
		SC_TUNNEL),
	SC_CASE("user-timeout", "TCP_USER_TIMEOUT with a peer that does not read", user_timeout, SC_TUNNEL,
		.full_only = true),
};

const struct sc_group sc_abort = SC_GROUP(rows);
