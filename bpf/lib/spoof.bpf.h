/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether a packet that leaves a pod is from the pod: IPv4 and IPv6 sources, ARP's sender, and what IPv6 neighbour
 * discovery claims. Other protocols are passed: they have no address of the cluster.
 */
#ifndef MESH_SPOOF_BPF_H
#define MESH_SPOOF_BPF_H

#include "lib/packet.bpf.h"

enum {
	NEXT_HOP_BY_HOP = 0,
	NEXT_ROUTING = 43,
	NEXT_ICMP6 = 58,
	NEXT_DESTINATION = 60,
	EXTENSIONS_MAX = 4,
	ND_HOPS = 255, /* receivers take neighbour discovery with this alone (RFC 4861) */
	ND_ROUTER = 134,
	ND_SOLICIT = 135,
	ND_ADVERT = 136,
	ND_REDIRECT = 137,
	ND_TARGET = 8,
	ARP_ETHERNET = 1,
};

static __always_inline int is_zero6(const __u32 ip[4])
{
	return !(ip[0] | ip[1] | ip[2] | ip[3]);
}

static __always_inline int owns6(const struct mesh_veth *v, const __u32 ip[4])
{
	if (is_zero6(ip))
		return 0;
	for (int i = 0; i < MESH_VETH_IP6; i++) {
		const __u32 *own = (const __u32 *)v->ip6[i];

		if (own[3] == ip[3] && own[2] == ip[2] && own[1] == ip[1] && own[0] == ip[0])
			return 1;
	}
	return 0;
}

static __always_inline int is_own_arp(struct __sk_buff *ctx, const struct mesh_veth *v)
{
	struct arp *a = whole(ctx, sizeof(struct eth), sizeof(*a));

	if (!a || a->hardware != bpf_htons(ARP_ETHERNET) || a->protocol != bpf_htons(PROTO_IP4) ||
	    a->hardware_len != sizeof(a->sender_mac) || a->protocol_len != sizeof(a->sender))
		return 0;
	/* A probe (RFC 5227) has no sender. */
	return a->sender == 0 || a->sender == *(const __u32 *)v->ip4;
}

static __always_inline int is_own4(struct __sk_buff *ctx, const struct mesh_veth *v)
{
	struct ip4 *ip = whole(ctx, sizeof(struct eth), sizeof(*ip));

	if (!ip)
		return 0;
	if (ip->src == 0) /* who asks for an address */
		return ip->dst == 0xffffffff;
	return ip->src == *(const __u32 *)v->ip4;
}

/* Where ICMPv6 begins behind extension headers; 0: it is something else; -1: cannot be told. */
static __always_inline int icmp6_at(struct __sk_buff *ctx, __u8 next)
{
	__u32 at = sizeof(struct eth) + sizeof(struct ip6);

	for (int i = 0; i <= EXTENSIONS_MAX; i++) {
		__u8 header[2];

		if (next == NEXT_ICMP6)
			return (int)at;
		/* Fragmented neighbour discovery is ignored by who gets it (RFC 6980). */
		if (next != NEXT_HOP_BY_HOP && next != NEXT_ROUTING && next != NEXT_DESTINATION)
			return 0;
		if (bpf_skb_load_bytes(ctx, at, header, sizeof(header)))
			return -1;
		next = header[0];
		at += (header[1] + 1) * 8;
	}
	return -1;
}

/* A pod is no router, and speaks for its own addresses only. */
static __noinline int is_own_discovery(struct __sk_buff *ctx, const struct mesh_veth *v, __u32 next, __u32 nobody)
{
	int at = icmp6_at(ctx, (__u8)next);
	__u32 target[4];
	__u8 type;

	if (!v || at <= 0)
		return at == 0;
	if (bpf_skb_load_bytes(ctx, at, &type, sizeof(type)) || type == ND_ROUTER || type == ND_REDIRECT)
		return 0;
	/* Who has no address yet asks for one that is to be its own. */
	if (type != ND_ADVERT && !(type == ND_SOLICIT && nobody))
		return 1;
	if (bpf_skb_load_bytes(ctx, at + ND_TARGET, target, sizeof(target)))
		return 0;
	return owns6(v, target);
}

static __always_inline int is_own6(struct __sk_buff *ctx, const struct mesh_veth *v)
{
	struct ip6 *ip = whole(ctx, sizeof(struct eth), sizeof(*ip));
	__u32 src[4], nobody;
	__u8 first, hops, next;

	if (!ip)
		return 0;
	__builtin_memcpy(src, ip->src, sizeof(src));
	first = *(__u8 *)ip->dst;
	hops = ip->hops;
	next = ip->next;
	nobody = is_zero6(src);
	/* :: is whose address is being made sure of, and sends to groups only. */
	if (nobody ? first != 0xff : !owns6(v, src))
		return 0;
	return hops != ND_HOPS || is_own_discovery(ctx, v, next, nobody);
}

static __always_inline int is_own(struct __sk_buff *ctx, const struct mesh_veth *v)
{
	if (is_proto(ctx, PROTO_IP4))
		return is_own4(ctx, v);
	if (is_proto(ctx, PROTO_IP6))
		return is_own6(ctx, v);
	if (is_proto(ctx, PROTO_ARP))
		return is_own_arp(ctx, v);
	/* One tag is off already; what is below a second is not seen. */
	return !is_proto(ctx, PROTO_VLAN) && !is_proto(ctx, PROTO_VLAN_OUTER);
}

#endif
