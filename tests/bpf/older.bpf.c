/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For tests alone: the connect program as an agent of layout 2 could have it, small. Of a captured pod it sends IPv4
 * connects to a service of the L4 tier to the first endpoint of its first group. Its maps are those of layout 2, where
 * they differ from today's; the test pins them and puts it into the link of today's program.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "mesh/abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { PASS = 1 };

struct node_2 {
	__u32 abi;
	__u32 off;
	__u64 agent_cgroup;
	__u64 elsewhere;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct node_2);
} node SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, struct mesh_pod);
} pods SEC(".maps");

struct svc_3 {
	__u64 set, seal;
	__u32 total, dests, tier, reason, affinity, turn;
	char name[MESH_NAME_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct mesh_key4);
	__type(value, struct svc_3);
} svc4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct mesh_key6);
	__type(value, struct svc_3);
} svc6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct mesh_slot);
	__type(value, struct mesh_ep4);
} ep4 SEC(".maps");

struct sock_2 {
	__u8 from[16];
	__u8 to[16];
	__u16 from_port;
	__u16 to_port;
	__u8 tier;
	__u8 zero[3];
} __attribute__((aligned(8)));

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sock_2);
} sock SEC(".maps");

/* How often it decided. */
__u64 decided;

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	struct mesh_key4 key = {.proto = IPPROTO_TCP, .port = bpf_ntohs((__u16)ctx->user_port)};
	__u64 netns = bpf_get_netns_cookie(ctx);
	struct mesh_slot slot = {};
	struct sock_2 *mem;
	struct mesh_ep4 *ep;
	struct svc_3 *s;
	struct node_2 *n;
	__u32 zero = 0;

	n = bpf_map_lookup_elem(&node, &zero);
	if (!n || n->abi != 2 || n->off || ctx->protocol != IPPROTO_TCP || !bpf_map_lookup_elem(&pods, &netns))
		return PASS;
	*(__u32 *)key.ip = ctx->user_ip4;
	s = bpf_map_lookup_elem(&svc4, &key);
	if (!s || s->tier != MESH_TIER_L4)
		return PASS;
	slot.set = s->set;
	ep = bpf_map_lookup_elem(&ep4, &slot);
	if (!ep)
		return PASS;
	mem = bpf_sk_storage_get(&sock, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (mem) {
		mem->from[10] = mem->from[11] = mem->to[10] = mem->to[11] = 0xff;
		*(__u32 *)(mem->from + 12) = ctx->user_ip4;
		*(__u32 *)(mem->to + 12) = *(__u32 *)ep->ip;
		mem->from_port = key.port;
		mem->to_port = ep->port;
		mem->tier = MESH_TIER_L4;
	}
	ctx->user_ip4 = *(__u32 *)ep->ip;
	ctx->user_port = bpf_htons(ep->port);
	__sync_fetch_and_add(&decided, 1);
	return PASS;
}

/* Makes svc6 part of the object. */
SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	struct mesh_key6 key = {};

	(void)ctx;
	return bpf_map_lookup_elem(&svc6, &key) ? PASS : PASS;
}
