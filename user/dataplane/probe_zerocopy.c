/* SPDX-License-Identifier: Apache-2.0 */
/* The probe of sends without copying: a sender has to learn, call by call, when its memory is its own again. */
#include "dataplane/probe_pair.h"

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { SENDS = 4 };

/* Sends that the error queue tells of, until it is quiet. */
static int completions(int fd)
{
	struct pollfd p = {.fd = fd};
	int told = 0;

	while (poll(&p, 1, PATIENCE_MS) > 0) {
		union {
			char room[256];
			struct cmsghdr align;
		} control = {0};
		struct msghdr m = {.msg_control = control.room, .msg_controllen = sizeof(control.room)};

		if (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			break;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			struct sock_extended_err e;

			memcpy(&e, CMSG_DATA(c), sizeof(e));
			if (e.ee_origin == SO_EE_ORIGIN_ZEROCOPY)
				told += (int)(e.ee_data - e.ee_info + 1);
		}
	}
	return told;
}

struct ring {
	int fd;
	size_t size;
	char *at;
	struct io_uring_sqe *sqes;
	struct io_uring_params p;
};

static bool ring_open(struct ring *r)
{
	memset(r, 0, sizeof(*r));
	r->fd = (int)syscall(__NR_io_uring_setup, 2, &r->p);
	if (r->fd < 0)
		return false;
	r->size = r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe);
	if (r->size < r->p.sq_off.array + r->p.sq_entries * sizeof(unsigned))
		r->size = r->p.sq_off.array + r->p.sq_entries * sizeof(unsigned);
	if (r->p.features & IORING_FEAT_SINGLE_MMAP) {
		r->at = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
		r->sqes = mmap(NULL, r->p.sq_entries * sizeof(*r->sqes), PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
			       IORING_OFF_SQES);
		if (r->at != MAP_FAILED && r->sqes != MAP_FAILED)
			return true;
	}
	mesh_cleanup_fd(&r->fd);
	return false;
}

/* What SEND_ZC of io_uring returns; 0: this kernel has none, or keeps it from us. */
static int send_zc(int fd, const void *buf, size_t len)
{
	struct ring r;
	int result = 0;

	if (!ring_open(&r))
		return 0;
	r.sqes[0] = (struct io_uring_sqe){
		.opcode = IORING_OP_SEND_ZC, .fd = fd, .addr = (uintptr_t)buf, .len = (uint32_t)len};
	*(unsigned *)(r.at + r.p.sq_off.array) = 0;
	__atomic_store_n((unsigned *)(r.at + r.p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, r.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1)
		result = ((struct io_uring_cqe *)(r.at + r.p.cq_off.cqes))[0].res;
	munmap(r.at, r.size);
	munmap(r.sqes, r.p.sq_entries * sizeof(*r.sqes));
	close(r.fd);
	return result == -EINVAL ? 0 : result;
}

void mesh_probe_zerocopy(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	static char buf[TCP_SIZE];
	int one = 1, told, zc, zc_tcp = 0;
	struct pair plain;

	zc = send_zc(p->a, buf, SMALL);
	if (zc > 0 && !read_all(p->b, buf, (size_t)zc))
		return; /* bytes are missing */
	if (pair_open(lab, &plain) == 0) {
		zc_tcp = send_zc(plain.a, buf, SMALL);
		pair_close(&plain);
	}
	if (setsockopt(p->a, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) < 0) {
		SAW(row, false, "SO_ZEROCOPY: %s", strerror(errno));
		return;
	}
	for (int i = 0; i < SENDS; i++)
		if (send(p->a, buf, sizeof(buf), MSG_ZEROCOPY) != (ssize_t)sizeof(buf) ||
		    !read_all(p->b, buf, sizeof(buf))) {
			SAW(row, false, "sending: %s", strerror(errno));
			return;
		}
	told = completions(p->a);
	SAW(row, told == SENDS && zc == zc_tcp, "%d completions of %d sends; io_uring's SEND_ZC: %s%s", told, SENDS,
	    zc == zc_tcp ? "as over TCP"
	    : zc < 0     ? strerror(-zc)
			 : "other than over TCP",
	    zc_tcp ? "" : " (not tried)");
}
