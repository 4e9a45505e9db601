/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that go without being copied: sendfile, splice, vmsplice, tee, MSG_ZEROCOPY. */
#include "sock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/errqueue.h>

enum { KIB = 1 << 10, MIB = 1 << 20 };

static int file_of(const struct sc *x, size_t bytes)
{
	int fd = memfd_create("sockets", MFD_CLOEXEC);
	char *buf = malloc(bytes);

	sc_fill(x->seed, 0, buf, bytes);
	sc_need(x, fd >= 0 && write(fd, buf, bytes) == (ssize_t)bytes, "a file of %zu bytes: %m", bytes);
	lseek(fd, 0, SEEK_SET);
	free(buf);
	return fd;
}

static void send_file(const struct sc *x)
{
	size_t bytes = (x->full ? 64 : 3) * MIB + 123;
	struct sc_flow in = {.seed = x->seed, .bytes = bytes};
	int file = file_of(x, bytes);
	off_t offset = 0;
	pthread_t reader;
	struct sc_pair p;
	ssize_t n;

	sc_pair(x, &p);
	in.fd = p.s;
	pthread_create(&reader, NULL, sc_flow_recv, &in);
	while ((n = sendfile(p.c, file, &offset, bytes)) > 0)
		;
	sc_result(x, "at the file's end", n);
	pthread_join(reader, NULL);
	sc_see(x, "offset", "%lld", (long long)offset);
	sc_see(x, "position of the file", "%lld", (long long)lseek(file, 0, SEEK_CUR));
	sc_must(x, in.bad < 0 && in.at == bytes, "%llu of %zu bytes, the first wrong one %lld",
		(unsigned long long)in.at, bytes, (long long)in.bad);
	sc_see(x, "received", "%llu", (unsigned long long)in.at);
	offset = 1000;
	sc_result(x, "a part", sendfile(p.c, file, &offset, 5000));
	sc_must(x, sc_take(p.s, x->seed, 1000, 5000), "the part is wrong");
	sc_result(x, "by the file's position", sendfile(p.c, file, NULL, 100));
	sc_see(x, "position after that", "%lld", (long long)lseek(file, 0, SEEK_CUR));
	sc_must(x, sc_take(p.s, x->seed, 0, 100), "what was sent by position is wrong");
}

/* To a socket that takes no more: what was taken counts, then EAGAIN. */
static void send_file_full(const struct sc *x)
{
	size_t bytes = 64 * MIB;
	int file = file_of(x, bytes);
	off_t offset = 0;
	uint64_t at = 0;
	struct sc_pair p;
	ssize_t n;

	sc_pair(x, &p);
	sc_nonblocking(p.c, true);
	do {
		while ((n = sendfile(p.c, file, &offset, 4 * MIB)) > 0)
			;
	} while (n < 0 && errno == EAGAIN && sc_poll(p.c, POLLOUT, 300));
	sc_result(x, "when it is full", n);
	sc_must(x, offset > 0 && (size_t)offset < bytes / 2, "%lld bytes were taken unread", (long long)offset);
	sc_note(x, "taken", "%lld", (long long)offset);
	if (x->via != SC_BODY) {
		shutdown(p.c, SHUT_WR);
		sc_see(x, "then", "%s", sc_error_name(sc_drain(x, p.s, x->seed, &at)));
	} else {
		at = sc_take(p.s, x->seed, 0, (size_t)offset) ? (uint64_t)offset : 0;
	}
	sc_must(x, at == (uint64_t)offset, "%llu of %lld bytes arrived", (unsigned long long)at, (long long)offset);
}

/* A thread that splices, so that one that stays blocked shows. */
struct splicing {
	pthread_t thread;
	int in, out;
	size_t bytes, moved;
	unsigned flags;
	ssize_t last;
	int error;
};

static void *splice_main(void *arg)
{
	struct splicing *s = arg;

	while (s->moved < s->bytes) {
		s->last = splice(s->in, NULL, s->out, NULL, s->bytes - s->moved, s->flags);
		s->error = s->last < 0 ? errno : 0;
		if (s->last <= 0)
			break;
		s->moved += (size_t)s->last;
	}
	return NULL;
}

static bool splice_within(struct splicing *s, int ms)
{
	struct timespec t;

	pthread_create(&s->thread, NULL, splice_main, s);
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += ms / 1000;
	return pthread_timedjoin_np(s->thread, NULL, &t) == 0;
}

static bool pipe_has(int fd, uint64_t seed, uint64_t at, size_t bytes)
{
	char *buf = malloc(bytes);
	size_t have = 0;
	ssize_t n;
	bool good;

	while (have < bytes && sc_poll(fd, POLLIN, 2000) && (n = read(fd, buf + have, bytes - have)) > 0)
		have += (size_t)n;
	good = have == bytes && sc_wrong(seed, at, buf, bytes) < 0;
	free(buf);
	return good;
}

static void splice_out(const struct sc *x)
{
	size_t bytes = 50000;
	char *buf = malloc(bytes);
	struct splicing s = {.bytes = bytes, .flags = SPLICE_F_MOVE | SPLICE_F_MORE};
	int fds[2];
	struct sc_pair p;

	sc_pair(x, &p);
	sc_need(x, pipe(fds) == 0, "pipe: %m");
	sc_fill(x->seed, 0, buf, bytes);
	sc_need(x, write(fds[1], buf, bytes) == (ssize_t)bytes, "a pipe takes 64 KiB");
	s.in = fds[0];
	s.out = p.c;
	sc_see(x, "pipe to socket", "%s", splice_within(&s, 5000) ? "done" : "blocked");
	sc_see(x, "bytes", "%zu", s.moved);
	sc_must(x, sc_take(p.s, x->seed, 0, bytes), "the bytes are wrong");
	/* From user memory, through a pipe. */
	sc_see(x, "vmsplice", "%zd", vmsplice(fds[1], &(struct iovec){buf, 20000}, 1, 0));
	s = (struct splicing){.in = fds[0], .out = p.c, .bytes = 20000};
	sc_see(x, "pages to socket", "%s", splice_within(&s, 5000) ? "done" : "blocked");
	sc_must(x, sc_take(p.s, x->seed, 0, 20000), "the bytes from memory are wrong");
}

static void splice_in(const struct sc *x)
{
	size_t bytes = 50000;
	struct splicing s = {.bytes = bytes};
	struct sc_pair p;
	int fds[2];

	sc_pair(x, &p);
	sc_need(x, pipe(fds) == 0 && fcntl(fds[1], F_SETPIPE_SZ, MIB) > 0,
		"pipe: %m"); /* a segment takes a page of it */
	sc_nonblocking(p.s, true);
	sc_result(x, "nothing there, not blocking", splice(p.s, NULL, fds[1], NULL, 100, SPLICE_F_NONBLOCK));
	sc_nonblocking(p.s, false);
	sc_put(p.c, x->seed, 0, bytes);
	s.in = p.s;
	s.out = fds[1];
	sc_see(x, "socket to pipe", "%s", splice_within(&s, 3000) ? "done" : "blocked");
	sc_see(x, "bytes", "%zu", s.moved);
	sc_must(x, pipe_has(fds[0], x->seed, 0, s.moved), "the bytes are wrong");
	if (s.moved < bytes)
		return;
	if (x->via == SC_BODY)
		return;
	shutdown(p.c, SHUT_WR);
	s = (struct splicing){.in = p.s, .out = fds[1], .bytes = 1};
	sc_see(x, "at the end", "%s", splice_within(&s, 3000) ? "done" : "blocked");
	errno = s.error;
	sc_result(x, "at the end, result", s.error ? -1 : s.last);
}

/* As a proxy does it: poll, then splice without blocking, one socket to another. */
static void splice_through(const struct sc *x)
{
	size_t bytes = (x->full ? 64 : 2) * MIB, moved = 0;
	struct sc_flow out = {.seed = x->seed, .bytes = bytes, .chunk = 30000};
	struct sc_flow in = {.seed = x->seed, .bytes = bytes, .chunk = 30000};
	int fds[2], listener = sc_listener(x), idle = 0;
	struct sc_pair a, b;
	pthread_t threads[2];

	sc_pair_from(x, listener, &a);
	sc_pair_from(x, listener, &b);
	sc_need(x, pipe(fds) == 0, "pipe: %m");
	sc_nonblocking(a.s, true);
	sc_timeouts(b.c, 0, 3000);
	sc_timeouts(b.s, 5000, 0);
	out.fd = a.c; /* c of a, to s of a, spliced to c of b, to s of b */
	in.fd = b.s;
	pthread_create(&threads[0], NULL, sc_flow_send, &out);
	pthread_create(&threads[1], NULL, sc_flow_recv, &in);
	while (moved < bytes && idle < 100) {
		ssize_t n, all;

		if (!sc_poll(a.s, POLLIN, 3000))
			break;
		n = splice(a.s, NULL, fds[1], NULL, 64 * KIB, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		if (n < 0) { /* poll said that there is something */
			idle++;
			sc_sleep_ms(10);
			continue;
		}
		idle = 0;
		for (all = n; n > 0 && all > 0; all -= n)
			n = splice(fds[0], NULL, b.c, NULL, (size_t)all, SPLICE_F_MOVE);
		moved += all == 0 ? (size_t)n : 0;
		if (all)
			break;
	}
	sc_see(x, "readable but nothing to splice", "%s", idle >= 100 ? "for ever" : "no");
	shutdown(a.s, SHUT_RDWR);
	shutdown(b.c, SHUT_WR);
	if (x->via == SC_BODY && in.at < bytes)
		sc_sleep_ms(100);
	pthread_join(threads[1], NULL);
	sc_must(x, in.bad < 0, "byte %lld is wrong", (long long)in.bad);
	sc_see(x, "bytes", "%llu", (unsigned long long)in.at);
}

static void tee_it(const struct sc *x)
{
	struct splicing s = {.bytes = 10000};
	int one[2], two[2];
	struct sc_pair p;

	sc_pair(x, &p);
	sc_need(x, pipe(one) == 0 && pipe(two) == 0, "pipe: %m");
	sc_put(p.c, x->seed, 0, 10000);
	sc_settle(p.s, 10000);
	s.in = p.s;
	s.out = one[1];
	if (!splice_within(&s, 3000)) { /* it holds the pipe: nothing else can be done with it */
		sc_see(x, "socket to pipe", "blocked");
		return;
	}
	sc_see(x, "socket to pipe", "done");
	sc_see(x, "tee", "%s", tee(one[0], two[1], 10000, SPLICE_F_NONBLOCK) > 0 ? "some" : "none");
	sc_see(x, "bytes", "%zu", s.moved);
	sc_must(x, pipe_has(one[0], x->seed, 0, s.moved), "the bytes are wrong");
}

/* Takes completions from the error queue until that many are told, or 3 s. Returns how many. */
static unsigned completions(int fd, unsigned most, bool *copied)
{
	uint64_t end = sc_now_ms() + 3000;
	unsigned told = 0;

	while (told < most && sc_now_ms() < end) {
		char control[256];
		struct msghdr msg = {.msg_control = control, .msg_controllen = sizeof(control)};

		if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
			sc_sleep_ms(5);
			continue;
		}
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
			struct sock_extended_err e;

			memcpy(&e, CMSG_DATA(c), sizeof(e));
			if (e.ee_origin != SO_EE_ORIGIN_ZEROCOPY)
				continue;
			told += e.ee_data - e.ee_info + 1;
			*copied |= e.ee_code & SO_EE_CODE_ZEROCOPY_COPIED;
		}
	}
	return told;
}

static void zerocopy(const struct sc *x)
{
	size_t each = 60000;
	unsigned sent = 0, told;
	bool copied = false;
	struct sc_flow in = {.seed = x->seed, .bytes = 8 * each};
	char *buf = malloc(8 * each);
	pthread_t reader;
	struct sc_pair p;
	int r;

	sc_pair(x, &p);
	r = sc_set(p.c, SOL_SOCKET, SO_ZEROCOPY, 1);
	sc_see(x, "SO_ZEROCOPY", "%s", sc_error_name(-r));
	in.fd = p.s;
	pthread_create(&reader, NULL, sc_flow_recv, &in);
	sc_fill(x->seed, 0, buf, 8 * each);
	for (size_t at = 0; at < 8 * each;) {
		ssize_t n = send(p.c, buf + at, at / each * each + each - at, MSG_ZEROCOPY | MSG_NOSIGNAL);

		if (n < 0 && errno != ENOBUFS)
			break;
		if (n > 0) {
			at += (size_t)n;
			sent++;
		}
	}
	pthread_join(reader, NULL);
	sc_must(x, in.bad < 0 && in.at == 8 * each, "%llu bytes, the first wrong one %lld", (unsigned long long)in.at,
		(long long)in.bad);
	sc_see(x, "received", "%llu", (unsigned long long)in.at);
	told = completions(p.c, sent, &copied);
	sc_see(x, "completions", "%s", told == sent ? "all" : told ? "some" : "none");
	sc_note(x, "completed", "%u of %u%s", told, sent, copied ? ", copied" : "");
	sc_result(x, "error queue afterwards", recv(p.c, buf, 1, MSG_ERRQUEUE | MSG_DONTWAIT));
}

static const struct sc_case rows[] = {
	SC_CASE("sendfile", "sendfile of a file, a part of it, by its position", send_file, SC_ALL, .limit_s = 120),
	SC_CASE("sendfile-full", "sendfile to a socket that takes no more", send_file_full, SC_ALL),
	SC_CASE("splice-out", "splice(2) of a pipe to a socket, vmsplice", splice_out, SC_ALL),
	SC_CASE("splice-in", "splice(2) of a socket to a pipe", splice_in, SC_ALL),
	SC_CASE("splice-through", "a proxy that splices one socket to another", splice_through, SC_TUNNEL,
		.limit_s = 120),
	SC_CASE("tee", "a socket to a pipe, and tee", tee_it, SC_ALL),
	SC_CASE("zerocopy", "MSG_ZEROCOPY and its completions", zerocopy, SC_ALL),
};

const struct sc_group sc_file = SC_GROUP(rows);
