/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For test_connect_cost.c alone: what the kernel's own part of a connect costs on this machine, at the same hook and
 * for the same connects. A program that does nothing; one that reads a word of its destination's place in an array, so
 * that nothing is searched; one that looks it up in a hash table with as many entries, as large as those of map svc4,
 * and reads of the value what the look-up did not fetch.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "mesh/abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { PASS = 1 };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct mesh_key4);
	__type(value, struct mesh_svc);
} table SEC(".maps");

enum { PLACES = 32768 }; /* a power of 2 */

struct place {
	__u64 words[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PLACES);
	__type(key, __u32);
	__type(value, struct place);
} places SEC(".maps");

__u64 found;

SEC("cgroup/connect4")
int floor_none(struct bpf_sock_addr *ctx)
{
	(void)ctx;
	return PASS;
}

SEC("cgroup/connect4")
int floor_touch(struct bpf_sock_addr *ctx)
{
	__u32 i = (ctx->user_ip4 * 0x9e3779b97f4a7c15ULL) >> 40 & (PLACES - 1);
	struct place *p = bpf_map_lookup_elem(&places, &i);

	if (p && *(volatile __u64 *)&p->words[0])
		found++;
	return PASS;
}

SEC("cgroup/connect4")
int floor_find(struct bpf_sock_addr *ctx)
{
	struct mesh_key4 key = {.proto = IPPROTO_TCP, .port = bpf_ntohs((__u16)ctx->user_port)};
	struct mesh_svc *v;

	*(__u32 *)key.ip = ctx->user_ip4;
	v = bpf_map_lookup_elem(&table, &key);
	if (v && *(volatile __u64 *)&v->seal)
		found++;
	return PASS;
}
