/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A flow's destination in one form for both families, to and from a program's context. */
#ifndef MESH_FLOW_BPF_H
#define MESH_FLOW_BPF_H

#include "lib/maps.bpf.h"

struct addr {
	__u32 ip[4]; /* network byte order; IPv4 as ::ffff:a.b.c.d */
	__u16 port;  /* host byte order */
};

#define MAPPED bpf_htonl(0xffff)

static __always_inline int is_v4(const __u32 ip[4])
{
	return ip[0] == 0 && ip[1] == 0 && ip[2] == MAPPED;
}

static __always_inline void set_v4(__u32 ip[4], __u32 v4)
{
	ip[0] = 0;
	ip[1] = 0;
	ip[2] = MAPPED;
	ip[3] = v4;
}

static __always_inline int same(const struct addr *a, const __u8 *ip, __u16 port)
{
	const __u32 *w = (const __u32 *)ip;

	return a->port == port && a->ip[3] == w[3] && a->ip[2] == w[2] && a->ip[1] == w[1] && a->ip[0] == w[0];
}

/* Reads and writes of a context, one pair a family: the verifier wants whole constant members. */
static __always_inline void read4(struct bpf_sock_addr *ctx, struct addr *a)
{
	set_v4(a->ip, ctx->user_ip4);
	a->port = bpf_ntohs((__u16)ctx->user_port);
}

static __always_inline void read6(struct bpf_sock_addr *ctx, struct addr *a)
{
	a->ip[0] = ctx->user_ip6[0];
	a->ip[1] = ctx->user_ip6[1];
	a->ip[2] = ctx->user_ip6[2];
	a->ip[3] = ctx->user_ip6[3];
	a->port = bpf_ntohs((__u16)ctx->user_port);
}

static __always_inline void write4(struct bpf_sock_addr *ctx, const struct addr *a)
{
	ctx->user_ip4 = a->ip[3];
	ctx->user_port = bpf_htons(a->port);
}

static __always_inline void write6(struct bpf_sock_addr *ctx, const struct addr *a)
{
	ctx->user_ip6[0] = a->ip[0];
	ctx->user_ip6[1] = a->ip[1];
	ctx->user_ip6[2] = a->ip[2];
	ctx->user_ip6[3] = a->ip[3];
	ctx->user_port = bpf_htons(a->port);
}

#endif
