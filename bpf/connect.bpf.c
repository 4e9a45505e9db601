/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Outbound, at the socket: attached once at the cgroup above all pods. connect and sendmsg pass
 * what is not the mesh's, rewrite what the image routes and refuse, with a reason counted, what it
 * refuses or cannot place. The name hooks only ever change the answer, never the flow; sock_release
 * forgets what a socket asked for.
 */
#include "lib/route.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { PASS = 1 };

/* First, so that nothing is remembered before there is something that forgets it. */
SEC("cgroup/sock_release")
int sock_release(struct bpf_sock *ctx)
{
	__u64 inner = inner_cookie(ctx, ctx->protocol);

	sock_forget(inner ? inner : bpf_get_socket_cookie(ctx));
	return PASS;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	struct addr to;

	read4(ctx, &to);
	switch (route_connect(ctx, &to)) {
	case VERDICT_REFUSE:
		return refuse();
	case VERDICT_REWRITE:
		write4(ctx, &to);
		return PASS;
	default:
		return PASS;
	}
}

/* Sees IPv4 destinations of IPv6 sockets too, as ::ffff:a.b.c.d; they stay in that form. */
SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	struct addr to;

	read6(ctx, &to);
	switch (route_connect(ctx, &to)) {
	case VERDICT_REFUSE:
		return refuse();
	case VERDICT_REWRITE:
		write6(ctx, &to);
		return PASS;
	default:
		return PASS;
	}
}

/* Also called for IPv4 destinations of IPv6 sockets. */
SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	struct addr to;

	read4(ctx, &to);
	switch (route_sendmsg(ctx, &to)) {
	case VERDICT_REFUSE:
		return refuse();
	case VERDICT_REWRITE:
		write4(ctx, &to);
		return PASS;
	default:
		return PASS;
	}
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	struct addr to;

	read6(ctx, &to);
	switch (route_sendmsg(ctx, &to)) {
	case VERDICT_REFUSE:
		return refuse();
	case VERDICT_REWRITE:
		write6(ctx, &to);
		return PASS;
	default:
		return PASS;
	}
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	struct addr from;

	read4(ctx, &from);
	if (name_source(ctx, &from))
		write4(ctx, &from);
	return PASS;
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx)
{
	struct addr from;

	read6(ctx, &from);
	if (name_source(ctx, &from))
		write6(ctx, &from);
	return PASS;
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	struct addr peer;

	read4(ctx, &peer);
	if (name_peer(ctx, &peer))
		write4(ctx, &peer);
	return PASS;
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	struct addr peer;

	read6(ctx, &peer);
	if (name_peer(ctx, &peer))
		write6(ctx, &peer);
	return PASS;
}

SEC("cgroup/getsockname4")
int getsockname4(struct bpf_sock_addr *ctx)
{
	struct addr self;

	read4(ctx, &self);
	if (name_self(ctx, &self))
		write4(ctx, &self);
	return PASS;
}

SEC("cgroup/getsockname6")
int getsockname6(struct bpf_sock_addr *ctx)
{
	struct addr self;

	read6(ctx, &self);
	if (name_self(ctx, &self))
		write6(ctx, &self);
	return PASS;
}
