/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What becomes of a connect() or sendmsg(): the walk from the socket to its tier. */
#ifndef MESH_ROUTE_BPF_H
#define MESH_ROUTE_BPF_H

#include "lib/balance.bpf.h"
#include "lib/mptcp.bpf.h"
#include "lib/reason.bpf.h"
#include "lib/sock.bpf.h"

enum { IFINDEX_LOOPBACK = 1 };

enum verdict { VERDICT_OFF, VERDICT_REWRITE, VERDICT_REFUSE };

/* Set before loading: whether the kernel has bpf_set_retval. Without it a refusal is EPERM. */
const volatile __u32 can_set_retval = 1;

/* Refuses the call: every refusal of the data plane ends here. Returns what the program returns. */
static __always_inline int refuse(void)
{
	if (can_set_retval)
		bpf_set_retval(-ECONNREFUSED);
	return 0;
}

/*
 * The agent's listener as this socket can reach it. Loopback destinations differ in their low bits,
 * so that the source ports of all HTTP connections of a pod are not those of one 4-tuple. A socket
 * bound to a device cannot reach loopback: for it, the listener on the pod's own address.
 */
static __always_inline __u32 to_listener(const struct mesh_pod *pod, __u32 bound_dev, struct addr *to)
{
	int v4 = is_v4(to->ip), lo = bound_dev == 0 || bound_dev == IFINDEX_LOOPBACK;
	__u16 port = v4 ? pod->port4 : pod->port6;

	if (!port || (!lo && bound_dev != pod->ifindex))
		return MESH_REASON_NO_LISTENER;
	if (v4 && lo) {
		set_v4(to->ip, bpf_htonl(0x7f400000 | (bpf_get_prandom_u32() & 0x3fffff)));
	} else if (v4) {
		set_v4(to->ip, *(__u32 *)pod->ip4);
	} else if (lo) {
		to->ip[0] = to->ip[1] = to->ip[2] = 0;
		to->ip[3] = bpf_htonl(1);
	} else {
		__builtin_memcpy(to->ip, pod->ip6, sizeof(to->ip));
	}
	to->port = port;
	return MESH_REASON_NONE;
}

/* Decides for a captured pod; on VERDICT_REWRITE *to, which was as asked, is where to go instead. cookie: of an
 * unconnected socket, else 0. */
static __always_inline enum verdict decide(struct bpf_sock_addr *ctx, const struct mesh_pod *pod, __u64 netns,
					   __u64 cookie, const struct addr *asked, struct addr *to, __u8 *tier)
{
	__u8 proto = ctx->protocol;
	struct service s = {};
	__u32 why = MESH_REASON_BAD_CONFIG;

	switch (service_of(to, proto, &s)) {
	case FOUND_NONE:
		return VERDICT_OFF;
	case FOUND_SERVICE:
		if (s.tier == MESH_TIER_L4)
			why = s.affinity || cookie ? draw_sticky(&s, netns, cookie, proto, to) : draw(&s, to);
		else if (s.tier == MESH_TIER_L7 && proto == IPPROTO_TCP)
			why = to_listener(pod, ctx->sk->bound_dev_if, to);
		else if (s.tier == MESH_TIER_REFUSE)
			why = s.reason;
		break;
	case FOUND_TORN:
		break;
	}
	if (why != MESH_REASON_NONE) {
		count_tier(MESH_TIER_REFUSE);
		count_reason(netns, asked, proto, why);
		return VERDICT_REFUSE;
	}
	count_tier(s.tier);
	*tier = s.tier;
	return VERDICT_REWRITE;
}

/* connect(): fails closed for what the image refuses; passes what it does not name. */
static __always_inline enum verdict route_connect(struct bpf_sock_addr *ctx, struct addr *to)
{
	struct addr asked = *to;
	struct mesh_pod *pod;
	__u64 netns;
	__u8 tier = 0;
	enum verdict v;

	if (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP)
		return VERDICT_OFF;
	pod = pod_of(ctx, &netns);
	if (!pod || by_agent())
		return VERDICT_OFF;
	v = decide(ctx, pod, netns, 0, &asked, to, &tier);
	if (v != VERDICT_REWRITE) {
		sock_forget(bpf_get_socket_cookie(ctx));
		return v;
	}
	if (sock_keep(bpf_get_socket_cookie(ctx), &asked, to, tier) == 0)
		return v;
	/* Without it the agent would not know where to; another flow only has the endpoint's name for its peer's. */
	count_reason(netns, &asked, ctx->protocol, MESH_REASON_MAP_FULL);
	return tier == MESH_TIER_L7 ? VERDICT_REFUSE : v;
}

/* A datagram with an address on a connected socket: to what it is connected to, it goes where connect() went. */
static __always_inline int as_connected(struct bpf_sock_addr *ctx, struct addr *to)
{
	struct mesh_sock *s = sock_find(bpf_get_socket_cookie(ctx));

	if (!s || !same(to, s->from, s->from_port))
		return 0;
	__builtin_memcpy(to->ip, s->to, sizeof(to->ip));
	to->port = s->to_port;
	return 1;
}

/* What came of an address, for the answers: where they come from is asked for under the name that was sent to. */
static __always_inline void remember_source(__u64 cookie, const struct addr *to, const struct addr *asked)
{
	struct mesh_udp_key key = {.sock = cookie, .port = to->port};
	struct mesh_udp_src *last, src = {.port = asked->port};

	__builtin_memcpy(key.ip, to->ip, sizeof(key.ip));
	last = bpf_map_lookup_elem(&udpsrc, &key);
	if (last && same(asked, last->ip, last->port))
		return;
	__builtin_memcpy(src.ip, asked->ip, sizeof(src.ip));
	bpf_map_update_elem(&udpsrc, &key, &src, BPF_ANY);
}

/*
 * sendmsg() with an address, of a UDP socket: all that it sends to a service goes to one endpoint while there is it.
 * Kernels before 6.8 round each frame of the stack up: what is not needed while deciding has no place on it then.
 */
static __always_inline enum verdict route_sendmsg(struct bpf_sock_addr *ctx, struct addr *to)
{
	struct addr asked = *to;
	struct mesh_pod *pod;
	__u64 netns, cookie;
	__u8 tier = 0;
	enum verdict v;

	pod = pod_of(ctx, &netns);
	if (!pod || by_agent())
		return VERDICT_OFF;
	if (as_connected(ctx, to))
		return VERDICT_REWRITE;
	cookie = bpf_get_socket_cookie(ctx);
	v = decide(ctx, pod, netns, cookie, &asked, to, &tier);
	if (v == VERDICT_REWRITE)
		remember_source(cookie, to, &asked);
	return v;
}

/* recvmsg(): *from is a datagram's source; true: *from is now the name its receiver sent to. */
static __always_inline int name_source(struct bpf_sock_addr *ctx, struct addr *from)
{
	struct mesh_udp_key key = {.port = from->port};
	struct mesh_udp_src *src;
	struct mesh_sock *s;
	__u64 netns;

	if (!pod_of(ctx, &netns))
		return 0;
	s = sock_find(bpf_get_socket_cookie(ctx));
	if (s && same(from, s->to, s->to_port)) {
		__builtin_memcpy(from->ip, s->from, sizeof(from->ip));
		from->port = s->from_port;
		return 1;
	}
	key.sock = bpf_get_socket_cookie(ctx);
	__builtin_memcpy(key.ip, from->ip, sizeof(key.ip));
	src = bpf_map_lookup_elem(&udpsrc, &key);
	if (!src)
		return 0;
	__builtin_memcpy(from->ip, src->ip, sizeof(from->ip));
	from->port = src->port;
	return 1;
}

/* Of the socket that connected, when one is asked for its name. */
static __always_inline __u64 named_cookie(struct bpf_sock_addr *ctx)
{
	__u64 inner = inner_cookie(ctx->sk, ctx->protocol);

	return inner ? inner : bpf_get_socket_cookie(ctx);
}

/* getpeername(): *peer becomes what connect() was given. */
static __always_inline int name_peer(struct bpf_sock_addr *ctx, struct addr *peer)
{
	struct mesh_sock *s = sock_find(named_cookie(ctx));

	if (!s || !same(peer, s->to, s->to_port))
		return 0;
	__builtin_memcpy(peer->ip, s->from, sizeof(peer->ip));
	peer->port = s->from_port;
	return 1;
}

/* getsockname(): a connection that was sent to loopback has the pod's address, as it would have had. */
static __always_inline int name_self(struct bpf_sock_addr *ctx, struct addr *self)
{
	struct mesh_sock *s = sock_find(named_cookie(ctx));
	struct mesh_pod *pod;
	__u64 netns;

	if (!s || s->tier != MESH_TIER_L7)
		return 0;
	pod = pod_of(ctx, &netns);
	if (!pod)
		return 0;
	if (is_v4(self->ip) && (self->ip[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000)) {
		self->ip[3] = *(__u32 *)pod->ip4;
		return 1;
	}
	if (!self->ip[0] && !self->ip[1] && !self->ip[2] && self->ip[3] == bpf_htonl(1)) {
		__builtin_memcpy(self->ip, pod->ip6, sizeof(self->ip));
		return 1;
	}
	return 0;
}

#endif
