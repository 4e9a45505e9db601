/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of probe_*.c: pairs of loopback connections, and putting them into the real program's sockmap. */
#ifndef MESH_DATAPLANE_PROBE_PAIR_H
#define MESH_DATAPLANE_PROBE_PAIR_H

#include "dataplane/probe_splice.h"
#include "dataplane/splice.h"
#include "splice.skel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif
#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif

enum {
	SMALL = 50,       /* bytes that are redirected */
	TCP_SIZE = 40000, /* bytes that are too many for that */
	FLOOD = 24 << 20, /* more than any receiver may be made to hold */
	PATIENCE_MS = 20, /* what comes over loopback has come by then */
	WARM_TRIES = 100,
};

_Static_assert((int)TCP_SIZE > (int)MESH_SPLICE_MESSAGE, "goes by TCP");

/* Two ends of a connection; a and b are in the map if the pair is spliced. */
struct pair {
	int a, b;
	uint64_t ca, cb;
};

struct lab {
	struct splice_bpf *obj;
	int listener;
	struct sockaddr_in at;
};

/* A thread that waits in recv() for one byte. */
struct blocked {
	int fd, error;
	atomic_int tid;
	ssize_t got;
};

/** Starts it, and waits until it sleeps. False: there is none. */
bool mesh_probe_block(struct blocked *b, pthread_t *ret);

/* Probes in files of their own; each has a fresh pair that is spliced. */
void mesh_probe_peek_off(const struct lab *lab, struct pair *p, struct mesh_splice_row *row);
void mesh_probe_nothing(const struct lab *lab, struct pair *p, struct mesh_splice_row *row);
void mesh_probe_timestamps(const struct lab *lab, struct pair *p, struct mesh_splice_row *row);
void mesh_probe_zerocopy(const struct lab *lab, struct pair *p, struct mesh_splice_row *row);
void mesh_probe_two_threads(const struct lab *lab, struct pair *p, struct mesh_splice_row *row);
void mesh_probe_reset(const struct lab *lab, struct pair *p, struct mesh_splice_row *row);
void mesh_probe_memory(const struct lab *lab, struct pair *p, struct mesh_splice_row *row);

#define PROBE_WAY(row) SAW(row, false, "the message was not redirected at all")

/* What a probe saw, in words. */
#define SAW(row, same_, ...)                                                                                           \
	do {                                                                                                           \
		(row)->same = (same_);                                                                                 \
		snprintf((row)->seen, sizeof((row)->seen), __VA_ARGS__);                                               \
	} while (0)

static inline void pair_close(struct pair *p)
{
	mesh_cleanup_fd(&p->a);
	mesh_cleanup_fd(&p->b);
}

/* Of two ends that are connected. */
static inline int pair_ready(struct pair *p)
{
	struct timeval patience = {.tv_usec = 1000 * PATIENCE_MS * 10};
	socklen_t len = sizeof(p->ca);
	int one = 1;

	if (getsockopt(p->a, SOL_SOCKET, SO_COOKIE, &p->ca, &len) < 0 ||
	    getsockopt(p->b, SOL_SOCKET, SO_COOKIE, &p->cb, &len) < 0)
		return -errno;
	setsockopt(p->a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(p->b, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(p->a, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(p->b, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return 0;
}

static inline int pair_open(const struct lab *lab, struct pair *p)
{
	int r = 0;

	*p = (struct pair){.a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .b = -1};
	if (p->a < 0 || connect(p->a, (const struct sockaddr *)&lab->at, sizeof(lab->at)) < 0 ||
	    (p->b = accept4(lab->listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
		r = -errno;
	if (r == 0)
		r = pair_ready(p);
	if (r < 0)
		pair_close(p);
	return r;
}

static inline uint64_t redirects(const struct lab *lab, uint64_t cookie)
{
	struct mesh_splice_flow f = {0};

	bpf_map_lookup_elem(bpf_map__fd(lab->obj->maps.splice_flow), &cookie, &f);
	return f.redirects;
}

static inline bool read_all(int fd, char *buf, size_t len)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = recv(fd, buf + got, len - got, 0);

		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

/* One byte there and one back, until both were redirected. */
static inline bool pair_warm(const struct lab *lab, const struct pair *p)
{
	char byte = 'w';

	for (int i = 0; i < WARM_TRIES; i++) {
		if (send(p->a, &byte, 1, 0) != 1 || !read_all(p->b, &byte, 1) || send(p->b, &byte, 1, 0) != 1 ||
		    !read_all(p->a, &byte, 1))
			return false;
		if (redirects(lab, p->ca) && redirects(lab, p->cb))
			return true;
		if (i > 10)
			usleep(1000);
	}
	return false;
}

static inline int pair_enter(const struct lab *lab, const struct pair *p)
{
	int flows = bpf_map__fd(lab->obj->maps.splice_flow), socks = bpf_map__fd(lab->obj->maps.splice_socks);
	struct mesh_splice_flow fa = {.peer = p->cb}, fb = {.peer = p->ca};
	uint64_t a = (uint64_t)p->a, b = (uint64_t)p->b;

	if (bpf_map_update_elem(flows, &p->ca, &fa, BPF_ANY) < 0 ||
	    bpf_map_update_elem(flows, &p->cb, &fb, BPF_ANY) < 0 ||
	    bpf_map_update_elem(socks, &p->ca, &a, BPF_ANY) < 0 || bpf_map_update_elem(socks, &p->cb, &b, BPF_ANY) < 0)
		return -errno;
	return 0;
}

static inline int pair_in_map(const struct lab *lab, struct pair *p)
{
	int r = pair_open(lab, p);

	if (r < 0)
		return r;
	r = pair_enter(lab, p);
	if (r < 0)
		pair_close(p);
	return r;
}

static inline int pair_spliced(const struct lab *lab, struct pair *p)
{
	int r = pair_in_map(lab, p);

	if (r < 0 || pair_warm(lab, p))
		return r;
	pair_close(p);
	return -EIO;
}

/* SMALL bytes from a to b, past TCP; whether that is the way they took. */
static inline bool send_small(const struct lab *lab, const struct pair *p)
{
	uint64_t before = redirects(lab, p->ca);
	char buf[SMALL];

	for (size_t i = 0; i < SMALL; i++)
		buf[i] = (char)i;
	return send(p->a, buf, SMALL, 0) == SMALL && redirects(lab, p->ca) == before + 1;
}

/* Sends until there is no room: how much. */
static inline size_t flood(int fd)
{
	char buf[4096] = {0};
	size_t sent = 0;
	ssize_t n;

	while (sent < FLOOD && (n = send(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	return sent;
}

static inline bool is_readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) > 0 && p.revents & POLLIN;
}

#endif
