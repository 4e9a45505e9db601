/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets by io_uring: a ring of one's own, without a library. */
#include "sock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/io_uring.h>

enum { ENTRIES = 16 };

struct ring {
	int fd;
	unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static bool ring_open(struct ring *r)
{
	struct io_uring_params p = {0};
	char *sq, *cq;

	r->fd = (int)syscall(__NR_io_uring_setup, ENTRIES, &p);
	if (r->fd < 0)
		return false;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || r->sqes == MAP_FAILED)
		return false;
	r->sq_tail = (unsigned *)(sq + p.sq_off.tail);
	r->sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
	r->sq_array = (unsigned *)(sq + p.sq_off.array);
	r->cq_head = (unsigned *)(cq + p.cq_off.head);
	r->cq_tail = (unsigned *)(cq + p.cq_off.tail);
	r->cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
	r->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	return true;
}

static void ring_submit(struct ring *r, const struct io_uring_sqe *sqe)
{
	unsigned tail = *r->sq_tail, at = tail & *r->sq_mask;

	r->sqes[at] = *sqe;
	r->sq_array[at] = at;
	__atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
	syscall(__NR_io_uring_enter, r->fd, 1, 0, 0, NULL, 0);
}

/* The next completion within ms; false: none. */
static bool ring_next(struct ring *r, struct io_uring_cqe *ret, int ms)
{
	uint64_t end = sc_now_ms() + (uint64_t)ms;

	while (*r->cq_head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE)) {
		syscall(__NR_io_uring_enter, r->fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
		if (sc_now_ms() > end)
			return false;
		sc_sleep_ms(1);
	}
	*ret = r->cqes[*r->cq_head & *r->cq_mask];
	__atomic_store_n(r->cq_head, *r->cq_head + 1, __ATOMIC_RELEASE);
	return true;
}

static void see_next(const struct sc *x, struct ring *r, const char *key, int ms)
{
	struct io_uring_cqe c;

	if (!ring_next(r, &c, ms)) {
		sc_see(x, key, "nothing");
		return;
	}
	errno = -c.res;
	sc_result(x, key, c.res < 0 ? -1 : c.res);
}

static void open_or_skip(const struct sc *x, struct ring *r)
{
	if (!ring_open(r))
		sc_skip(x, "io_uring_setup: %s", strerror(errno));
}

static void bytes(const struct sc *x)
{
	char out[3000], in[3000];
	struct sc_pair p;
	struct ring r;

	open_or_skip(x, &r);
	sc_pair(x, &p);
	sc_fill(x->seed, 0, out, sizeof(out));
	ring_submit(&r, &(struct io_uring_sqe){
				.opcode = IORING_OP_RECV, .fd = p.s, .addr = (uintptr_t)in, .len = sizeof(in)});
	see_next(x, &r, "recv, nothing there", 50);
	ring_submit(&r,
		    &(struct io_uring_sqe){.opcode = IORING_OP_SEND, .fd = p.c, .addr = (uintptr_t)out, .len = 1000});
	/* send and recv complete in either order: both are 1000. */
	see_next(x, &r, "first", 3000);
	see_next(x, &r, "second", 3000);
	sc_must(x, sc_wrong(x->seed, 0, in, 1000) < 0, "wrong bytes");
	ring_submit(&r, &(struct io_uring_sqe){.opcode = IORING_OP_RECV,
					       .fd = p.s,
					       .addr = (uintptr_t)in,
					       .len = 2000,
					       .msg_flags = MSG_WAITALL});
	sc_put(p.c, x->seed, 1000, 900);
	see_next(x, &r, "recv of all, a part there", 50);
	sc_put(p.c, x->seed, 1900, 1100);
	see_next(x, &r, "recv of all", 3000);
	sc_must(x, sc_wrong(x->seed, 1000, in, 2000) < 0, "wrong bytes in all");
	ring_submit(&r, &(struct io_uring_sqe){.opcode = IORING_OP_POLL_ADD, .fd = p.s, .poll32_events = POLLIN});
	see_next(x, &r, "poll, nothing there", 50);
	sc_put(p.c, x->seed, 0, 10);
	see_next(x, &r, "poll", 3000);
	ring_submit(&r, &(struct io_uring_sqe){
				.opcode = IORING_OP_READ, .fd = p.s, .addr = (uintptr_t)in, .len = sizeof(in)});
	see_next(x, &r, "read", 3000);
	if (x->via == SC_BODY)
		return;
	ring_submit(&r, &(struct io_uring_sqe){
				.opcode = IORING_OP_RECV, .fd = p.s, .addr = (uintptr_t)in, .len = sizeof(in)});
	shutdown(p.c, SHUT_WR);
	see_next(x, &r, "the end", 3000);
}

static void connects(const struct sc *x)
{
	struct sockaddr_storage to;
	socklen_t len = sc_address(x, AF_INET, x->port, &to);
	int l = sc_listener(x), c = sc_socket(x, AF_INET), other = sc_socket(x, AF_INET), s = -1;
	struct io_uring_cqe done;
	struct ring r;

	open_or_skip(x, &r);
	ring_submit(&r, &(struct io_uring_sqe){
				.opcode = IORING_OP_ACCEPT, .fd = l, .accept_flags = SOCK_CLOEXEC, .user_data = 1});
	ring_submit(&r,
		    &(struct io_uring_sqe){
			    .opcode = IORING_OP_CONNECT, .fd = c, .addr = (uintptr_t)&to, .off = len, .user_data = 2});
	for (int i = 0; i < 2 && ring_next(&r, &done, 3000); i++) {
		sc_see(x, done.user_data == 1 ? "accept" : "connect", "%s",
		       sc_error_name(done.res < 0 ? -done.res : 0));
		if (done.user_data == 1)
			s = done.res;
	}
	sc_need(x, s >= 0, "nothing was accepted");
	sc_see(x, "connection", "%s", sc_put(c, x->seed, 0, 2000) && sc_take(s, x->seed, 0, 2000) ? "works" : "broken");
	len = sc_address(x, AF_INET, (uint16_t)(x->port + 1), &to);
	ring_submit(&r, &(struct io_uring_sqe){
				.opcode = IORING_OP_CONNECT, .fd = other, .addr = (uintptr_t)&to, .off = len});
	see_next(x, &r, "where nobody listens", 3000);
	ring_submit(&r, &(struct io_uring_sqe){.opcode = IORING_OP_SHUTDOWN, .fd = c, .len = SHUT_WR});
	see_next(x, &r, "shutdown", 3000);
	sc_see(x, "the peer", "%s", sc_events(sc_until(s, POLLRDHUP)));
}

static void zero_copy(const struct sc *x)
{
	size_t size = 200000;
	char *out = malloc(size);
	struct io_uring_cqe c;
	struct sc_flow in = {.seed = x->seed, .bytes = size};
	struct sc_pair p;
	pthread_t reader;
	struct ring r;

	open_or_skip(x, &r);
	sc_pair(x, &p);
	sc_fill(x->seed, 0, out, size);
	in.fd = p.s;
	pthread_create(&reader, NULL, sc_flow_recv, &in);
	ring_submit(&r, &(struct io_uring_sqe){.opcode = IORING_OP_SEND_ZC,
					       .fd = p.c,
					       .addr = (uintptr_t)out,
					       .len = (unsigned)size,
					       .msg_flags = MSG_WAITALL});
	sc_need(x, ring_next(&r, &c, 5000), "SEND_ZC does not complete");
	sc_see(x, "result", "%s", c.res < 0 ? sc_error_name(-c.res) : c.res == (int)size ? "all" : "a part");
	if (c.res < 0)
		return;
	sc_see(x, "notification announced", "%s", c.flags & IORING_CQE_F_MORE ? "yes" : "no");
	if (c.flags & IORING_CQE_F_MORE)
		sc_see(x, "notification", "%s",
		       ring_next(&r, &c, 3000) && c.flags & IORING_CQE_F_NOTIF ? "comes" : "never");
	pthread_join(reader, NULL);
	sc_must(x, in.at == size && in.bad < 0, "%llu bytes, the first wrong one %lld", (unsigned long long)in.at,
		(long long)in.bad);
}

static const struct sc_case rows[] = {
	SC_CASE("uring", "io_uring: recv, send, poll, read", bytes, SC_ALL),
	SC_CASE("uring-connect", "io_uring: accept, connect, shutdown", connects, SC_TCP),
	SC_CASE("uring-zerocopy", "io_uring: SEND_ZC and its notification", zero_copy, SC_ALL),
};

const struct sc_group sc_uring = SC_GROUP(rows);
