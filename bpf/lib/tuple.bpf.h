/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A connection's tuple out of a sockops context. */
#ifndef MESH_TUPLE_BPF_H
#define MESH_TUPLE_BPF_H

#include "lib/flow.bpf.h"

enum { GO_ON = 1 }; /* what a sockops program returns */

/* As this socket sees it: src is its own. *t is zeroed. */
static __always_inline void tuple_of(struct bpf_sock_ops *ctx, struct mesh_tuple *t)
{
	__u32 *src = (__u32 *)t->src, *dst = (__u32 *)t->dst;

	if (ctx->family == AF_INET6) {
		src[0] = ctx->local_ip6[0];
		src[1] = ctx->local_ip6[1];
		src[2] = ctx->local_ip6[2];
		src[3] = ctx->local_ip6[3];
		dst[0] = ctx->remote_ip6[0];
		dst[1] = ctx->remote_ip6[1];
		dst[2] = ctx->remote_ip6[2];
		dst[3] = ctx->remote_ip6[3];
	}
	/* An IPv6 socket connected to an IPv4 address sends and is accepted as IPv4. */
	if (ctx->family == AF_INET || is_v4(dst)) {
		set_v4(src, ctx->local_ip4);
		set_v4(dst, ctx->remote_ip4);
		t->family = AF_INET;
	} else {
		t->family = AF_INET6;
	}
	t->netns = bpf_get_netns_cookie(ctx);
	t->sport = ctx->local_port;
	t->dport = bpf_ntohl(ctx->remote_port);
}

#endif
