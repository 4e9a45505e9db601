/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet as an XDP program gets it: from whom it says it is, and whether anybody can be that. What cannot be read, or
 * is too short for what it says it is, is somebody else's to judge. Of what is encapsulated only the outer header is
 * looked at; fragments, options and extension headers do not matter, for the addresses stand before them.
 */
#ifndef MESH_WIRE_BPF_H
#define MESH_WIRE_BPF_H

#include "lib/packet.bpf.h"

enum { VLAN_TAGS = 2 };

struct vlan {
	__be16 tag, type;
} __attribute__((packed));

/* In the one form for both families, network byte order. */
struct wire {
	__u32 src[4], dst[4];
};

static __always_inline int is_vlan(__be16 type)
{
	return type == bpf_htons(PROTO_VLAN) || type == bpf_htons(PROTO_VLAN_OUTER);
}

static __always_inline int read_ip4(const struct ip4 *ip, const void *end, struct wire *w)
{
	if ((const void *)(ip + 1) > end || ip->version_len >> 4 != 4)
		return 0;
	set_v4(w->src, ip->src);
	set_v4(w->dst, ip->dst);
	return AF_INET;
}

static __always_inline int read_ip6(const struct ip6 *ip, const void *end, struct wire *w)
{
	if ((const void *)(ip + 1) > end || *(const __u8 *)ip >> 4 != 6)
		return 0;
	__builtin_memcpy(w->src, ip->src, sizeof(w->src));
	__builtin_memcpy(w->dst, ip->dst, sizeof(w->dst));
	return AF_INET6;
}

/* The addresses of a packet behind at most VLAN_TAGS tags. Returns its family; 0: it is none, or cut off. */
static __always_inline int read_wire(const struct xdp_md *ctx, struct wire *w)
{
	const void *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct eth *eth = at;
	__be16 type;

	if ((const void *)(eth + 1) > end)
		return 0;
	type = eth->type;
	at = eth + 1;
#pragma unroll
	for (int i = 0; i < VLAN_TAGS; i++) {
		const struct vlan *v = at;

		if (!is_vlan(type))
			break;
		if ((const void *)(v + 1) > end)
			return 0;
		type = v->type;
		at = v + 1;
	}
	if (type == bpf_htons(PROTO_IP4))
		return read_ip4(at, end, w);
	return type == bpf_htons(PROTO_IP6) ? read_ip6(at, end, w) : 0;
}

static __always_inline int is_group4(__u32 ip)
{
	return ip >> 28 == 0xe || ip == 0xffffffff;
}

/* As the kernel's routing has it (RFC 1812, 5.3.7): groups, loopback, and "this network" but to ask all for an address.
 */
static __always_inline int is_martian4(__u32 src, __u32 dst)
{
	if (is_group4(src) || src >> 24 == 127)
		return 1;
	return src >> 24 == 0 && !is_group4(dst) && (src || dst);
}

/* Groups and loopback (RFC 4291, 2.5.3 and 2.7), and IPv4 in disguise. :: is who has no address yet. */
static __always_inline int is_martian6(const __u32 src[4])
{
	if ((src[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000) || is_v4(src))
		return 1;
	return !(src[0] | src[1] | src[2]) && src[3] == bpf_htonl(1);
}

#endif
