/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as they are on a wire, built piece by piece. */
#ifndef MESH_TEST_FRAMES_H
#define MESH_TEST_FRAMES_H

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME_MAX = 160 };

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t len;
};

static inline void add(struct frame *f, const void *bytes, size_t len)
{
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

static inline void add16(struct frame *f, unsigned v)
{
	add(f, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static inline struct frame eth(unsigned type)
{
	struct frame f = {0};

	add(&f, (uint8_t[]){2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1}, 12);
	add16(&f, type);
	return f;
}

static inline void add_ip(struct frame *f, int family, const char *text)
{
	uint8_t ip[16];

	inet_pton(family, text, ip);
	add(f, ip, family == AF_INET ? 4 : 16);
}

static inline struct frame with_ip4(const char *src, const char *dst)
{
	static const uint8_t head[12] = {0x45, 0, 0, 40, 0, 1, 0, 0, 64, IPPROTO_UDP};
	struct frame f = eth(0x0800);

	add(&f, head, sizeof(head));
	add_ip(&f, AF_INET, src);
	add_ip(&f, AF_INET, dst);
	f.len += 20;
	return f;
}

static inline struct frame with_ip6(const char *src, const char *dst, uint8_t next, uint8_t hops)
{
	uint8_t head[8] = {0x60, 0, 0, 0, 0, 64, next, hops};
	struct frame f = eth(0x86dd);

	add(&f, head, sizeof(head));
	add_ip(&f, AF_INET6, src);
	add_ip(&f, AF_INET6, dst);
	return f;
}

static inline struct frame cut(struct frame f, size_t len)
{
	f.len = len;
	return f;
}

/* A frame that a pod is to send through eth0; how many times it could. */
struct shot {
	struct frame frame;
	int times;
};

static inline void do_shoot(const void *in, void *out)
{
	const struct shot *s = in;
	struct sockaddr_ll to = {.sll_family = AF_PACKET};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), sent = 0;

	to.sll_ifindex = (int)if_nametoindex("eth0");
	for (int i = 0; i < s->times; i++)
		sent += sendto(fd, s->frame.bytes, s->frame.len, 0, (struct sockaddr *)&to, sizeof(to)) > 0;
	close(fd);
	*(int *)out = sent;
}

#endif
