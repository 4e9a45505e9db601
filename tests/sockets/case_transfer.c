/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that go through, in every size and rhythm. */
#include "sock.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KIB = 1 << 10, MIB = 1 << 20 };

static void sizes(const struct sc *x)
{
	uint64_t most = x->full ? 64ULL * MIB : 1ULL * MIB, last = 0;
	struct sc_pair p;
	char key[32];

	sc_pair(x, &p);
	for (uint64_t power = 1; power <= most; power *= 2)
		for (int off = -1; off <= 1; off++) {
			uint64_t size = power + (uint64_t)off;

			if (size <= last || size > most)
				continue;
			last = size;
			snprintf(key, sizeof(key), "up %llu", (unsigned long long)size);
			sc_stream(x, key, p.c, p.s, size, size < 256 * KIB ? size : 256 * KIB);
			snprintf(key, sizeof(key), "down %llu", (unsigned long long)size);
			sc_stream(x, key, p.s, p.c, size, size < 256 * KIB ? size : 256 * KIB);
		}
}

static void both_ways(const struct sc *x)
{
	uint64_t bytes = x->full ? 256ULL * MIB : 8ULL * MIB;
	struct sc_flow flows[4];
	pthread_t threads[4];
	struct sc_pair p;

	sc_pair(x, &p);
	for (int i = 0; i < 4; i++) {
		/* 0: c sends, 1: s receives, 2: s sends, 3: c receives */
		flows[i] = (struct sc_flow){.fd = i == 0 || i == 3 ? p.c : p.s,
					    .seed = x->seed + (i < 2 ? 0 : 77),
					    .bytes = bytes,
					    .chunk = 100000};
		pthread_create(&threads[i], NULL, i % 2 ? sc_flow_recv : sc_flow_send, &flows[i]);
	}
	for (int i = 1; i < 4; i += 2) {
		pthread_join(threads[i], NULL);
		if (flows[i].at < bytes)
			shutdown(flows[i].fd, SHUT_RDWR); /* or its sender might wait for ever */
	}
	pthread_join(threads[0], NULL);
	pthread_join(threads[2], NULL);
	for (int i = 1; i < 4; i += 2)
		sc_must(x, flows[i].at == bytes && flows[i].bad < 0, "%s: %llu bytes, the first wrong one %lld, %s",
			i == 1 ? "up" : "down", (unsigned long long)flows[i].at, (long long)flows[i].bad,
			sc_error_name(flows[i].error));
	sc_see(x, "up", "%llu", (unsigned long long)flows[1].at);
	sc_see(x, "down", "%llu", (unsigned long long)flows[3].at);
}

static void ping_pong(const struct sc *x)
{
	uint64_t state = x->seed, up = 0, down = 0;
	int n = x->full ? 200000 : 4000, i;
	struct sc_pair p;

	sc_pair(x, &p);
	for (i = 0; i < n; i++) {
		size_t ask = sc_upto(&state, 2000), answer = sc_upto(&state, 2000);

		if (!sc_put(p.c, x->seed, up, ask) || !sc_take(p.s, x->seed, up, ask) ||
		    !sc_put(p.s, x->seed + 1, down, answer) || !sc_take(p.c, x->seed + 1, down, answer))
			break;
		up += ask;
		down += answer;
	}
	sc_must(x, i == n, "question or answer %d of %d is wrong", i, n);
	sc_see(x, "questions", "%d", i);
}

/* Small messages one after another, sender and receiver each stopping at random: what is queued, in whatever queue,
 * must come before what is sent after it. */
static void rhythm(const struct sc *x)
{
	uint64_t bytes = x->full ? 64ULL * MIB : 2ULL * MIB;
	struct sc_pair p;

	sc_pair(x, &p);
	for (unsigned round = 0; round < 4; round++) {
		struct sc_flow out = {.fd = round % 2 ? p.s : p.c,
				      .seed = x->seed + round,
				      .bytes = bytes / 4,
				      .chunk = 300,
				      .pause_one_in = round < 2 ? 20 : 200};
		struct sc_flow in = {.fd = round % 2 ? p.c : p.s,
				     .seed = x->seed + round,
				     .bytes = bytes / 4,
				     .chunk = round < 2 ? 5000 : 200,
				     .pause_one_in = round < 2 ? 200 : 20};
		pthread_t sender;

		pthread_create(&sender, NULL, sc_flow_send, &out);
		sc_flow_recv(&in);
		pthread_join(sender, NULL);
		sc_must(x, in.at == in.bytes && in.bad < 0, "round %u: %llu bytes, the first wrong one %lld, %s", round,
			(unsigned long long)in.at, (long long)in.bad, sc_error_name(in.error));
	}
	sc_see(x, "bytes", "%llu", (unsigned long long)bytes);
}

/* From questions and answers to bulk and back, both ways: where a fast path hands over to another. */
static void changes(const struct sc *x)
{
	uint64_t bulk = x->full ? 64ULL * MIB : 4ULL * MIB, at = 0;
	struct sc_pair p;
	char key[32];

	sc_pair(x, &p);
	for (int round = 0; round < (x->full ? 8 : 4); round++) {
		int from = round % 2 ? p.s : p.c, to = round % 2 ? p.c : p.s;

		for (int i = 0; i < 200; i++, at += 64)
			sc_need(x,
				sc_put(from, 5, at, 64) && sc_take(to, 5, at, 64) && sc_put(to, 6, at, 64) &&
					sc_take(from, 6, at, 64),
				"round %d: small message %d is wrong", round, i);
		snprintf(key, sizeof(key), "bulk %d", round);
		sc_stream(x, key, from, to, bulk, 64 * KIB);
	}
	sc_see(x, "small", "%llu", (unsigned long long)at);
}

static size_t random_iov(struct iovec *iov, size_t count, char *buf, size_t most, uint64_t *state)
{
	size_t all = 0;

	for (size_t i = 0; i < count; i++) {
		size_t len = sc_random(state) % (most + 1); /* also none */

		iov[i] = (struct iovec){buf + all, len};
		all += len;
	}
	return all;
}

static void vectors(const struct sc *x)
{
	static const size_t counts[] = {1, 2, 7, 16, 64, 333, IOV_MAX};
	char *buf = malloc(IOV_MAX * 200), *got = malloc(IOV_MAX * 200);
	struct iovec iov[IOV_MAX + 1] = {0};
	uint64_t at = 0, state = x->seed;
	struct sc_pair p;

	sc_pair(x, &p);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		size_t all = random_iov(iov, counts[i], buf, 160, &state), have = 0;
		char key[40];

		sc_fill(x->seed, at, buf, all);
		snprintf(key, sizeof(key), "writev of %zu", counts[i]);
		sc_see(x, key, "%s", writev(p.c, iov, (int)counts[i]) == (ssize_t)all ? "all" : "not all");
		memset(got, 0, all);
		while (have < all && sc_poll(p.s, POLLIN, 5000)) {
			size_t room = random_iov(iov, counts[i], got + have, (all - have) / counts[i] + 1, &state);
			ssize_t n = room <= all - have ? readv(p.s, iov, (int)counts[i])
						       : read(p.s, got + have, all - have);

			if (n < 0 || (n == 0 && room))
				break;
			have += (size_t)n;
		}
		sc_must(x, have == all && sc_wrong(x->seed, at, got, all) < 0, "%zu pieces: %zu of %zu bytes, or wrong",
			counts[i], have, all);
		at += all;
	}
	for (int i = 0; i <= IOV_MAX; i++)
		iov[i] = (struct iovec){buf, 1};
	sc_result(x, "writev of too many", writev(p.c, iov, IOV_MAX + 1));
	sc_result(x, "writev of none", writev(p.c, iov, 0));
}

static void many_messages(const struct sc *x)
{
	struct mmsghdr out[8] = {0}, in[8] = {0};
	char data[8][1000], got[8][1000];
	struct iovec from[8], to[8];
	struct sc_pair p;
	size_t all = 0;
	int n;

	sc_pair(x, &p);
	for (int i = 0; i < 8; i++) {
		sc_fill(x->seed, (uint64_t)i * 1000, data[i], 1000);
		from[i] = (struct iovec){data[i], 1000};
		to[i] = (struct iovec){got[i], 1000};
		out[i].msg_hdr = (struct msghdr){.msg_iov = &from[i], .msg_iovlen = 1};
		in[i].msg_hdr = (struct msghdr){.msg_iov = &to[i], .msg_iovlen = 1};
	}
	sc_result(x, "sendmmsg", sendmmsg(p.c, out, 8, 0));
	for (int i = 0; i < 8; i++)
		all += out[i].msg_len;
	sc_see(x, "bytes sent", "%zu", all);
	sc_see(x, "bytes there", "%zu", sc_settle(p.s, 8000));
	n = recvmmsg(p.s, in, 8, MSG_DONTWAIT, NULL);
	sc_result(x, "recvmmsg", n);
	all = 0;
	for (int i = 0; i < n; i++) {
		sc_must(x, sc_wrong(x->seed, all, got[i], in[i].msg_len) < 0, "message %d is wrong", i);
		all += in[i].msg_len;
	}
	sc_see(x, "bytes received", "%zu", all);
	sc_result(x, "recvmmsg with nothing there", recvmmsg(p.s, in, 8, MSG_DONTWAIT, NULL));
}

/* MSG_MORE holds the end of the data back for about 200 ms; a machine under load is given another chance. */
static void more(const struct sc *x)
{
	bool held = false;
	struct sc_pair p;
	uint64_t at = 0;

	sc_pair(x, &p);
	for (int i = 0; i < 5 && !held; i++, at += 200) {
		uint64_t began = sc_now_ms();
		char data[200];

		sc_fill(x->seed, at, data, 200);
		send(p.c, data, 100, MSG_MORE);
		held = !sc_poll(p.s, POLLIN, 40);
		if (!held && sc_now_ms() - began < 100)
			i = 5;
		send(p.c, data + 100, 100, 0);
		sc_must(x, sc_take(p.s, x->seed, at, 200), "200 bytes in two pieces are wrong");
	}
	sc_see(x, "held back", "%s", held ? "yes" : "no");
}

static void empty(const struct sc *x)
{
	struct iovec none = {NULL, 0};
	struct msghdr msg = {.msg_iov = &none, .msg_iovlen = 1};
	struct sc_pair p;
	char c;

	sc_pair(x, &p);
	sc_result(x, "send of nothing", send(p.c, "", 0, 0));
	sc_result(x, "write of nothing", write(p.c, "", 0));
	sc_result(x, "sendmsg of nothing", sendmsg(p.c, &msg, 0));
	sc_result(x, "recv of nothing, nothing there", recv(p.s, &c, 0, MSG_DONTWAIT));
	sc_see(x, "readable", "%s", sc_events(sc_poll(p.s, POLLIN, 50)));
	sc_put(p.c, x->seed, 0, 10);
	sc_see(x, "bytes there", "%zu", sc_settle(p.s, 10));
	sc_result(x, "recv of nothing", recv(p.s, &c, 0, MSG_DONTWAIT));
	sc_must(x, sc_take(p.s, x->seed, 0, 10), "what came afterwards is wrong");
}

/* A server that takes each connection's bytes one at a time, a client that sends them so. */
static void single_bytes(const struct sc *x)
{
	int n = x->full ? 200000 : 3000, i;
	struct sc_pair p;

	sc_pair(x, &p);
	sc_set(p.c, IPPROTO_TCP, 1, 1); /* TCP_NODELAY */
	for (i = 0; i < n; i++)
		if (!sc_put(p.c, x->seed, (uint64_t)i, 1))
			break;
	sc_see(x, "sent", "%d", i);
	for (i = 0; i < n; i++)
		if (!sc_take(p.s, x->seed, (uint64_t)i, 1))
			break;
	sc_see(x, "received", "%d", i);
	sc_must(x, i == n, "byte %d is wrong", i);
}

/* Many connections at the same time, each with bytes of its own. */
static void crowd(const struct sc *x)
{
	int n = x->full ? 1000 : 100, right = 0;
	int listener = sc_listener(x);
	struct sc_pair *p = calloc((size_t)n, sizeof(*p));

	for (int i = 0; i < n; i++)
		sc_pair_from(x, listener, &p[i]);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < n; i++)
			sc_put(p[i].c, x->seed + (uint64_t)i, (uint64_t)round * 700, 700);
	for (int i = n - 1; i >= 0; i--)
		sc_put(p[i].s, x->seed + (uint64_t)i, 0, 900);
	for (int i = 0; i < n; i++)
		right += sc_take(p[i].s, x->seed + (uint64_t)i, 0, 2100) &&
			 sc_take(p[i].c, x->seed + (uint64_t)i, 0, 900);
	sc_must(x, right == n, "%d of %d connections have the bytes that are theirs", right, n);
	sc_see(x, "connections", "%d", right);
}

static const struct sc_case rows[] = {
	SC_CASE("sizes", "every size from 1 byte to 64 MiB, in random pieces, each way", sizes, SC_ALL, .limit_s = 240),
	SC_CASE("both-ways", "both directions at once", both_ways, SC_ALL, .limit_s = 240),
	SC_CASE("ping-pong", "questions and answers of random sizes", ping_pong, SC_ALL, .limit_s = 240),
	SC_CASE("rhythm", "small messages, both sides stopping at random", rhythm, SC_ALL, .limit_s = 240),
	SC_CASE("changes", "from questions and answers to bulk and back", changes, SC_ALL, .limit_s = 240),
	SC_CASE("single-bytes", "one byte a call", single_bytes, SC_ALL, .limit_s = 240),
	SC_CASE("crowd", "many connections, each with bytes of its own", crowd, SC_ALL, .limit_s = 120),
	SC_CASE("vectors", "writev and readv of 1 to IOV_MAX pieces, some empty", vectors, SC_ALL),
	SC_CASE("mmsg", "sendmmsg and recvmmsg on a stream", many_messages, SC_ALL),
	SC_CASE("more", "MSG_MORE holds data back", more, SC_ALL),
	SC_CASE("empty", "send and recv of no bytes", empty, SC_ALL),
};

const struct sc_group sc_transfer = SC_GROUP(rows);
