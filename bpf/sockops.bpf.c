/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The original destination of a connection to the agent: written when its source port is known and
 * before the SYN is sent, so it is there before the agent can accept. Never changes a flow; what
 * cannot be written is counted, and the agent refuses the connection.
 */
#include "lib/reason.bpf.h"
#include "lib/sock.bpf.h"
#include "lib/tuple.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void write_origdst(struct bpf_sock_ops *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct mesh_sock *s = sock_find(cookie);
	struct mesh_tuple key = {};
	struct mesh_origdst value = {};
	struct addr asked;

	if (!s || s->tier != MESH_TIER_L7)
		return;
	tuple_of(ctx, &key);
	__builtin_memcpy(value.ip, s->from, sizeof(value.ip));
	value.port = s->from_port;
	value.sock = cookie;
	if (bpf_map_update_elem(&origdst, &key, &value, BPF_ANY)) {
		__builtin_memcpy(asked.ip, s->from, sizeof(asked.ip));
		asked.port = s->from_port;
		count_reason(key.netns, &asked, IPPROTO_TCP, MESH_REASON_MAP_FULL);
		return;
	}
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/* A client that sent its request and closed may still be accepted and served: then the agent deletes. */
static __always_inline void drop_origdst(struct bpf_sock_ops *ctx)
{
	__u32 before = ctx->args[0];
	struct mesh_tuple key = {};
	struct mesh_origdst *o;

	if (ctx->args[1] != BPF_TCP_CLOSE || before == BPF_TCP_FIN_WAIT1 || before == BPF_TCP_FIN_WAIT2 ||
	    before == BPF_TCP_CLOSING)
		return;
	tuple_of(ctx, &key);
	o = bpf_map_lookup_elem(&origdst, &key);
	if (o && o->sock == bpf_get_socket_cookie(ctx))
		bpf_map_delete_elem(&origdst, &key);
}

SEC("sockops")
int sock_ops(struct bpf_sock_ops *ctx)
{
	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		write_origdst(ctx);
	else if (ctx->op == BPF_SOCK_OPS_STATE_CB)
		drop_origdst(ctx);
	return GO_ON;
}
