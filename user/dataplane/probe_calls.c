/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of what receive calls say beside the bytes. Each is compared with the same on a pair that is not spliced. */
#include "dataplane/probe_pair.h"

#include <linux/net_tstamp.h>

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif
#ifndef TCP_CM_INQ
#define TCP_CM_INQ TCP_INQ
#endif

/* As send_small(), on a pair that is not spliced: until they are there. */
static bool send_plain(const struct pair *p)
{
	char buf[SMALL];

	for (size_t i = 0; i < SMALL; i++)
		buf[i] = (char)i;
	return send(p->a, buf, SMALL, 0) == SMALL && is_readable(p->b, PATIENCE_MS);
}

/* Byte 10 of those that send_small() sends, if the option says so. -1: this kernel has no such option for TCP. */
static int peeked_at_10(int fd)
{
	int offset = 10;
	char byte = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) < 0 ||
	    recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
		return -1;
	return byte;
}

void mesh_probe_peek_off(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	int spliced, tcp = -1;
	struct pair plain;

	if (!send_small(lab, p)) {
		PROBE_WAY(row);
		return;
	}
	spliced = peeked_at_10(p->b);
	if (pair_open(lab, &plain) == 0) {
		tcp = send_plain(&plain) ? peeked_at_10(plain.b) : -1;
		pair_close(&plain);
	}
	SAW(row, spliced == tcp, "at 10 it peeks byte %d, over TCP byte %d", spliced, tcp);
}

/* What a recv() of no bytes says while nothing is there: errno, or 0. */
static int recv_nothing(int fd)
{
	char none;

	return recv(fd, &none, 0, MSG_DONTWAIT) < 0 ? errno : 0;
}

void mesh_probe_nothing(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	int spliced = recv_nothing(p->b), tcp = -1;
	struct pair plain;

	if (pair_open(lab, &plain) == 0) {
		tcp = recv_nothing(plain.b);
		pair_close(&plain);
	}
	SAW(row, spliced == tcp, "with nothing there: %s, over TCP: %s", spliced ? strerror(spliced) : "0",
	    tcp ? strerror(tcp) : "0");
}

struct beside {
	int stamps, counts;
};

static struct beside recv_beside(int fd)
{
	union {
		char room[256];
		struct cmsghdr align;
	} control = {0};
	char buf[SMALL];
	struct iovec v = {buf, sizeof(buf)};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	struct beside b = {0};

	if (recvmsg(fd, &m, MSG_DONTWAIT) <= 0)
		return b;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		b.stamps += c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS;
		b.counts += c->cmsg_level == IPPROTO_TCP && c->cmsg_type == TCP_CM_INQ;
	}
	return b;
}

static void want_beside(int fd)
{
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_INQ, &one, sizeof(one));
}

void mesh_probe_timestamps(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	struct beside spliced, tcp = {-1, -1};
	struct pair plain;

	want_beside(p->b);
	if (!send_small(lab, p)) {
		PROBE_WAY(row);
		return;
	}
	spliced = recv_beside(p->b);
	if (pair_open(lab, &plain) == 0) {
		want_beside(plain.b);
		if (send_plain(&plain))
			tcp = recv_beside(plain.b);
		pair_close(&plain);
	}
	SAW(row, spliced.stamps == tcp.stamps && spliced.counts == tcp.counts,
	    "%d timestamps and %d counts of bytes, over TCP %d and %d", spliced.stamps, spliced.counts, tcp.stamps,
	    tcp.counts);
}
