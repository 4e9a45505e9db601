/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * On a device that leads to other nodes: ends what comes from an address of one of this node's own pods, which no wire
 * can bring, and from addresses that nobody can have, before it costs the kernel a buffer. The pods are the agent's
 * word, which may be old while there is none; so the node's routes are asked, too, and a packet is ended only if they
 * still lead to that address by the device by which they led to the pod. On any doubt a packet is passed.
 */
#include "lib/reason.bpf.h"
#include "lib/switch.bpf.h"
#include "lib/wire.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int leads_inside(struct xdp_md *ctx, const struct wire *w, int family, __u32 ifindex)
{
	struct bpf_fib_lookup fib = {.family = family, .ifindex = ctx->ingress_ifindex};
	long r;

	if (!ifindex || ifindex == ctx->ingress_ifindex)
		return 0;
	/* The way back, as the agent asked for it: from nobody in particular. */
	if (family == AF_INET)
		fib.ipv4_dst = w->src[3];
	else
		__builtin_memcpy(fib.ipv6_dst, w->src, sizeof(fib.ipv6_dst));
	r = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	return (r == BPF_FIB_LKUP_RET_SUCCESS || r == BPF_FIB_LKUP_RET_NO_NEIGH) && fib.ifindex == ifindex;
}

/* Why a packet is to end, with whose address it has; MESH_REASON_NONE: it may pass. */
static __always_inline __u32 judge(struct xdp_md *ctx, const struct wire *w, int family, __u64 *netns)
{
	const struct mesh_own_ip *own;

	if (family == AF_INET ? is_martian4(bpf_ntohl(w->src[3]), bpf_ntohl(w->dst[3])) : is_martian6(w->src))
		return MESH_REASON_UPLINK_MARTIAN;
	own = bpf_map_lookup_elem(&ownip, w->src);
	if (!own || !leads_inside(ctx, w, family, own->ifindex))
		return MESH_REASON_NONE;
	*netns = own->netns;
	return MESH_REASON_UPLINK_SPOOFED;
}

SEC("xdp")
int uplink_in(struct xdp_md *ctx)
{
	struct addr nowhere = {};
	__u64 netns = 0;
	struct wire w;
	__u32 reason;
	int family;

	if (all_off() || !SWITCHED(XDP, ON))
		return XDP_PASS;
	family = read_wire(ctx, &w);
	reason = family ? judge(ctx, &w, family, &netns) : MESH_REASON_NONE;
	if (reason == MESH_REASON_NONE)
		return XDP_PASS;
	count_reason(netns, &nowhere, 0, reason);
	return XDP_DROP;
}
