/* SPDX-License-Identifier: Apache-2.0 */
/* Ends in order: half-close each way, close with bytes on their way, lingering, the states on the way down. */
#include "sock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

/* One side says that it is done; the other goes on for a long time and is heard. */
static void half_close(const struct sc *x, int first, int second)
{
	uint64_t bytes = (x->full ? 64 : 2) * MIB, at = 0;
	struct sc_flow out = {.fd = second, .seed = x->seed, .bytes = bytes};
	pthread_t sender;
	char c;

	sc_put(first, x->seed, 0, 1000);
	sc_result(x, "shutdown", shutdown(first, SHUT_WR));
	sc_see(x, "its bytes, then", "%s", sc_error_name(sc_drain(x, second, x->seed, &at)));
	sc_see(x, "bytes", "%llu", (unsigned long long)at);
	sc_result(x, "the end again", recv(second, &c, 1, 0));
	sc_result(x, "send after shutdown", send(first, "x", 1, MSG_NOSIGNAL));
	sc_see(x, "SO_ERROR", "%s", sc_so_error(first));
	pthread_create(&sender, NULL, sc_flow_send, &out);
	at = 0;
	sc_must(x, sc_take(first, x->seed, 0, bytes), "the other direction's bytes are wrong");
	pthread_join(sender, NULL);
	sc_see(x, "the other direction", "%llu", (unsigned long long)out.at);
	sc_result(x, "close", close(second));
	sc_see(x, "and its end", "%s", sc_error_name(sc_drain(x, first, x->seed, &at)));
}

static void half_client(const struct sc *x)
{
	struct sc_pair p;

	sc_pair(x, &p);
	half_close(x, p.c, p.s);
}

static void half_server(const struct sc *x)
{
	struct sc_pair p;

	sc_pair(x, &p);
	half_close(x, p.s, p.c);
}

static void shutdown_read(const struct sc *x)
{
	struct sc_pair p;
	char buf[100];
	ssize_t n = 0;

	sc_pair(x, &p);
	sc_put(p.c, x->seed, 0, 50);
	sc_settle(p.s, 50);
	sc_result(x, "shutdown", shutdown(p.s, SHUT_RD));
	sc_result(x, "what was there", recv(p.s, buf, 100, MSG_DONTWAIT));
	sc_result(x, "then", recv(p.s, buf, 100, MSG_DONTWAIT));
	sc_result(x, "the peer sends", send(p.c, "x", 1, MSG_NOSIGNAL));
	for (int i = 0; i < 300 && (n = recv(p.s, buf, 100, MSG_DONTWAIT)) == 0; i++)
		sc_sleep_ms(10);
	sc_result(x, "which is", n);
	sc_see(x, "the other direction", "%s",
	       sc_put(p.s, x->seed, 0, 70) && sc_take(p.c, x->seed, 0, 70) ? "goes" : "ends");
}

static void shutdown_both(const struct sc *x)
{
	struct sc_pair p;
	char c;

	sc_pair(x, &p);
	sc_result(x, "shutdown", shutdown(p.c, SHUT_RDWR));
	sc_result(x, "recv", recv(p.c, &c, 1, 0));
	sc_result(x, "send", send(p.c, "x", 1, MSG_NOSIGNAL));
	sc_until(p.s, POLLRDHUP);
	sc_result(x, "the peer's recv", recv(p.s, &c, 1, MSG_DONTWAIT));
	sc_result(x, "shutdown again", shutdown(p.c, SHUT_WR));
	close(p.s);
	sc_see(x, "poll", "%s", sc_events(sc_until(p.c, POLLHUP)));
	sc_state_until(p.c, 7);
	sc_result(x, "after the end, shutdown", shutdown(p.c, SHUT_RDWR));
}

static void close_in_flight(const struct sc *x)
{
	uint64_t at = 0, taken;
	struct sc_pair p;

	sc_pair(x, &p);
	taken = sc_stuff(p.c, x->seed, 0, 16 << 10, 64ULL * MIB);
	sc_result(x, "close", close(p.c));
	sc_sleep_ms(20);
	sc_see(x, "then", "%s", sc_error_name(sc_drain(x, p.s, x->seed, &at)));
	sc_must(x, at == taken, "%llu of %llu bytes arrived", (unsigned long long)at, (unsigned long long)taken);
	sc_see(x, "all of it came", "%s", at == taken ? "yes" : "no");
}

/* An answer and close at once: the client has all of it, then the end. */
static void answer_and_close(const struct sc *x)
{
	static const size_t sizes[] = {1, 100, 5000, 70000, 300000};
	int listener = sc_listener(x), right = 0, rounds = x->full ? 200 : 20;

	for (int i = 0; i < rounds; i++) {
		size_t size = sizes[i % 5];
		struct sc_flow out = {.seed = x->seed, .bytes = size};
		pthread_t sender;
		uint64_t at = 0;
		struct sc_pair p;

		sc_pair_from(x, listener, &p);
		sc_put(p.c, x->seed, 0, 10);
		sc_take(p.s, x->seed, 0, 10);
		out.fd = p.s;
		pthread_create(&sender, NULL, sc_flow_send, &out);
		pthread_join(sender, NULL);
		close(p.s);
		right += sc_drain(x, p.c, x->seed, &at) == 0 && at == size;
		close(p.c);
	}
	sc_see(x, "answers", "%d", right);
	sc_must(x, right == rounds, "%d of %d answers came whole", right, rounds);
}

static void lingering(const struct sc *x)
{
	struct linger l = {.l_onoff = 1, .l_linger = 5};
	struct sc_flow in = {.seed = x->seed, .bytes = 300000};
	uint64_t began;
	pthread_t reader;
	struct sc_pair p;

	sc_pair(x, &p);
	setsockopt(p.c, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	in.fd = p.s;
	pthread_create(&reader, NULL, sc_flow_recv, &in);
	sc_put(p.c, x->seed, 0, 300000);
	began = sc_now_ms();
	sc_result(x, "close", close(p.c));
	sc_see(x, "as soon as it is there", "%s", sc_now_ms() - began < 4000 ? "yes" : "no");
	pthread_join(reader, NULL);
	sc_must(x, in.at == 300000 && in.bad < 0, "%llu of 300000 bytes", (unsigned long long)in.at);
	sc_see(x, "then", "%s", sc_error_name(sc_drain(x, p.s, x->seed, &in.at)));
}

static void states(const struct sc *x)
{
	enum { ESTABLISHED = 1, FIN_WAIT2 = 5, CLOSE = 7, CLOSE_WAIT = 8 };
	struct sc_pair p;

	sc_pair(x, &p);
	sc_see(x, "client, open", "%s", sc_state(p.c));
	sc_see(x, "server, open", "%s", sc_state(p.s));
	sc_put(p.c, x->seed, 0, 10);
	sc_take(p.s, x->seed, 0, 10);
	shutdown(p.c, SHUT_WR);
	sc_see(x, "server, half closed", "%s", sc_state_until(p.s, CLOSE_WAIT));
	sc_see(x, "client, half closed", "%s", sc_state_until(p.c, FIN_WAIT2));
	shutdown(p.s, SHUT_WR);
	sc_see(x, "client, closed", "%s", sc_state_until(p.c, CLOSE));
	sc_see(x, "server, closed", "%s", sc_state_until(p.s, CLOSE));
	sc_see(x, "SO_ERROR", "%s", sc_so_error(p.c));
}

/* shutdown() by another thread ends what is blocked. */
static void wakes(const struct sc *x)
{
	struct sc_call call = {.len = 100}, sender = {.len = 64 * MIB, .sending = true};
	struct sc_pair p, q;

	sc_pair(x, &p);
	call.fd = p.c;
	sc_call_begin(&call);
	sc_see(x, "recv", "%s", sc_call_end(&call, 60) ? "returns" : "waits");
	shutdown(p.c, SHUT_RD);
	sc_call_result(x, "after shutdown", &call, 3000);
	sc_pair_from(x, p.listener, &q);
	sender.fd = q.c;
	sc_call_begin(&sender);
	sc_see(x, "send", "%s", sc_call_end(&sender, 400) ? "returns" : "waits");
	shutdown(q.c, SHUT_WR);
	sc_see(x, "send after shutdown", "%s", sc_call_end(&sender, 3000) ? "returns" : "waits");
	sc_see(x, "a part was sent", "%s", sender.result > 0 && sender.result < 64 * MIB ? "yes" : "no");
	call = (struct sc_call){.fd = q.c, .len = 100};
	sc_call_begin(&call);
	sc_sleep_ms(20);
	close(q.s); /* with what it has not read */
	sc_call_result(x, "the peer is gone", &call, 3000);
}

static void killed(const struct sc *x)
{
	struct sc_pair p;
	uint64_t at = 0;
	pid_t child;

	sc_pair(x, &p);
	child = fork();
	if (child == 0) {
		struct sc_flow out = {.fd = p.c, .seed = x->seed, .bytes = UINT64_MAX / 2};

		close(p.s);
		sc_flow_send(&out);
		_exit(0);
	}
	close(p.c);
	sc_poll(p.s, POLLIN, 3000);
	sc_sleep_ms(50); /* it is blocked, with data in flight */
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	sc_see(x, "its bytes, then", "%s", sc_error_name(sc_drain(x, p.s, x->seed, &at)));
	sc_must(x, at > 0, "none of its bytes came");
	sc_note(x, "bytes", "%llu", (unsigned long long)at);
}

/* Killed with bytes that it has not read: its peer hears of it. */
static void killed_unread(const struct sc *x)
{
	struct sc_pair p;
	uint64_t at = 0;
	pid_t child;

	sc_pair(x, &p);
	sc_put(p.s, x->seed, 0, 1000);
	sc_settle(p.c, 1000);
	child = fork();
	if (child == 0)
		for (;;)
			pause();
	close(p.c);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	sc_see(x, "its peer's recv", "%s", sc_error_name(sc_drain(x, p.s, x->seed, &at)));
}

static const struct sc_case rows[] = {
	SC_CASE("half-close-client", "the client half closes, the server goes on", half_client, SC_TUNNEL,
		.limit_s = 120),
	SC_CASE("half-close-server", "the server half closes, the client goes on", half_server, SC_TUNNEL,
		.limit_s = 120),
	SC_CASE("shutdown-read", "shutdown of the reading side", shutdown_read, SC_TUNNEL),
	SC_CASE("shutdown-both", "shutdown of both sides at once", shutdown_both, SC_TUNNEL),
	SC_CASE("close-in-flight", "close with bytes on their way: all of them come", close_in_flight, SC_TUNNEL),
	SC_CASE("answer-and-close", "an answer and the end at once", answer_and_close, SC_TUNNEL),
	SC_CASE("linger", "SO_LINGER with a time", lingering, SC_TUNNEL),
	SC_CASE("states", "TCP's states on the way down", states, SC_TUNNEL),
	SC_CASE("wakes", "shutdown and the peer's end wake what is blocked", wakes, SC_TUNNEL),
	SC_CASE("killed", "a process killed while it sends", killed, SC_TUNNEL),
	SC_CASE("killed-unread", "a process killed with bytes that it has not read", killed_unread, SC_TUNNEL),
};

const struct sc_group sc_close = SC_GROUP(rows);
