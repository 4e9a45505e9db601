/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Headers as they are on the wire, and where a packet's are. Addresses and ports in network byte order. */
#ifndef MESH_PACKET_BPF_H
#define MESH_PACKET_BPF_H

#include "lib/flow.bpf.h"

enum {
	PROTO_IP4 = 0x0800,
	PROTO_ARP = 0x0806,
	PROTO_VLAN = 0x8100,
	PROTO_IP6 = 0x86dd,
	PROTO_VLAN_OUTER = 0x88a8,
	IP4_FRAGMENT = 0x3fff, /* more fragments, or not the first */
	IP4_PLAIN = 0x45,      /* version 4, no options */
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
};

struct eth {
	__u8 dst[6], src[6];
	__be16 type;
} __attribute__((packed));

struct arp {
	__be16 hardware, protocol;
	__u8 hardware_len, protocol_len;
	__be16 op;
	__u8 sender_mac[6];
	__be32 sender;
	__u8 target_mac[6];
	__be32 target;
} __attribute__((packed));

struct ip4 {
	__u8 version_len, tos;
	__be16 len, id, fragment;
	__u8 ttl, proto;
	__be16 sum;
	__be32 src, dst;
} __attribute__((packed));

struct ip6 {
	__be32 flow;
	__be16 len;
	__u8 next, hops;
	__be32 src[4], dst[4];
} __attribute__((packed));

struct tcp {
	__be16 src, dst;
	__be32 seq, ack;
	__u8 off, flags;
	__be16 window, sum, urgent;
} __attribute__((packed));

/* The bytes of a packet from offset on, if they are there in one piece; else NULL. */
static __always_inline void *piece(struct __sk_buff *ctx, __u32 offset, __u32 len)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	return data + offset + len <= end ? data + offset : NULL;
}

/* The same, made one piece if need be: pointers got before are void. NULL: the packet is shorter. */
static __always_inline void *whole(struct __sk_buff *ctx, __u32 offset, __u32 len)
{
	void *p = piece(ctx, offset, len);

	if (p || ctx->len < offset + len || bpf_skb_pull_data(ctx, offset + len))
		return p;
	return piece(ctx, offset, len);
}

static __always_inline int is_proto(const struct __sk_buff *ctx, __u16 proto)
{
	return ctx->protocol == bpf_htons(proto);
}

/* The addresses and ports of a TCP segment without options, extensions or fragments below it. Returns 1 with its
 * flags, or 0. */
static __always_inline int read_tcp(struct __sk_buff *ctx, struct mesh_flow_key *key, __u8 *flags)
{
	struct tcp *t;

	if (is_proto(ctx, PROTO_IP4)) {
		struct ip4 *ip = piece(ctx, sizeof(struct eth), sizeof(*ip) + sizeof(*t));

		if (!ip || ip->version_len != IP4_PLAIN || ip->proto != IPPROTO_TCP ||
		    (ip->fragment & bpf_htons(IP4_FRAGMENT)))
			return 0;
		set_v4((__u32 *)key->src, ip->src);
		set_v4((__u32 *)key->dst, ip->dst);
		t = (void *)(ip + 1);
	} else if (is_proto(ctx, PROTO_IP6)) {
		struct ip6 *ip = piece(ctx, sizeof(struct eth), sizeof(*ip) + sizeof(*t));

		if (!ip || ip->next != IPPROTO_TCP)
			return 0;
		__builtin_memcpy(key->src, ip->src, sizeof(key->src));
		__builtin_memcpy(key->dst, ip->dst, sizeof(key->dst));
		t = (void *)(ip + 1);
	} else {
		return 0;
	}
	key->sport = bpf_ntohs(t->src);
	key->dport = bpf_ntohs(t->dst);
	*flags = t->flags;
	return 1;
}

static __always_inline void reverse(const struct mesh_flow_key *key, struct mesh_flow_key *back)
{
	__builtin_memcpy(back->src, key->dst, sizeof(back->src));
	__builtin_memcpy(back->dst, key->src, sizeof(back->dst));
	back->sport = key->dport;
	back->dport = key->sport;
}

#endif
