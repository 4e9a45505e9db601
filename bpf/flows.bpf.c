/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ends the established flows of one network namespace to an endpoint that is gone. Iterators, not
 * attached to anything: user space sets what to look for, opens them in that namespace and reads them to
 * their end. Never touches a listener or a connection of the agent. Loads only where the kernel has
 * bpf_sock_destroy (6.5).
 */
#include "lib/sock.bpf.h"

#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

extern int bpf_sock_destroy(struct sock_common *sk) __ksym;

/* Set by user space before each run; ended is the result. */
__u8 endpoint_ip[16];
__u8 via_ip[16];
__u64 agent_cgroup;
__u64 agent_before;
__u32 ended;
__u32 via;     /* not 0: only what connect() was called for with via_ip and via_port */
__u32 via_any; /* not 0: whatever the address was */
__u16 endpoint_port;
__u16 via_port;

static __always_inline int is_live(struct sock_common *skc)
{
	__u8 state = skc->skc_state;

	return state <= BPF_TCP_CLOSING && state != BPF_TCP_TIME_WAIT && state != BPF_TCP_CLOSE &&
	       state != BPF_TCP_LISTEN;
}

static __always_inline int is_to_endpoint(struct sock_common *skc)
{
	/* Port 0 asks for all of an address's. */
	struct addr to = {.port = endpoint_port ? bpf_ntohs(skc->skc_dport) : 0};

	if (skc->skc_family == AF_INET) {
		set_v4(to.ip, skc->skc_daddr);
	} else {
		to.ip[0] = skc->skc_v6_daddr.in6_u.u6_addr32[0];
		to.ip[1] = skc->skc_v6_daddr.in6_u.u6_addr32[1];
		to.ip[2] = skc->skc_v6_daddr.in6_u.u6_addr32[2];
		to.ip[3] = skc->skc_v6_daddr.in6_u.u6_addr32[3];
	}
	return same(&to, endpoint_ip, endpoint_port);
}

/* s: of the socket, or NULL: then connect() named the endpoint itself. */
static __always_inline int is_via(const struct mesh_sock *s)
{
	const __u32 *asked, *wanted = (const __u32 *)via_ip;

	if (!via)
		return 1;
	if (!s || s->tier != MESH_TIER_L4 || s->from_port != via_port)
		return 0;
	asked = (const __u32 *)s->from;
	return via_any ||
	       (asked[0] == wanted[0] && asked[1] == wanted[1] && asked[2] == wanted[2] && asked[3] == wanted[3]);
}

SEC("iter/tcp")
int end_flows(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	__u64 cgroup;

	if (!skc || !is_live(skc) || !is_to_endpoint(skc))
		return 0;
	cgroup = BPF_CORE_READ((struct sock *)skc, sk_cgrp_data.cgroup, kn, id);
	if (cgroup == agent_cgroup || (cgroup && cgroup == agent_before))
		return 0;
	if ((!via || is_via(sock_find(bpf_get_socket_cookie(skc)))) && bpf_sock_destroy(skc) == 0)
		ended++;
	return 0;
}

/*
 * A UDP socket that connect() was sent to an endpoint stays with it, for no program sees its datagrams: it gets an
 * error (ECONNABORTED) and its owner connects again. One that was connected to the endpoint itself is left alone.
 */
SEC("iter/udp")
int end_udp(struct bpf_iter__udp *ctx)
{
	struct udp_sock *usk = ctx->udp_sk;
	struct sock_common *skc = (struct sock_common *)usk;
	struct mesh_sock *s;

	if (!usk || !is_live(&usk->inet.sk.__sk_common) || !is_to_endpoint(&usk->inet.sk.__sk_common))
		return 0;
	s = sock_find(bpf_get_socket_cookie(skc));
	if (s && is_via(s) && bpf_sock_destroy(skc) == 0)
		ended++;
	return 0;
}
