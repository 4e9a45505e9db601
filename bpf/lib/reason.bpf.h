/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counting: tiers, and every refusal with its reason, by pod and destination. */
#ifndef MESH_REASON_BPF_H
#define MESH_REASON_BPF_H

#include "lib/flow.bpf.h"

static __always_inline void count_tier(__u32 tier)
{
	__u64 *n = bpf_map_lookup_elem(&tiers, &tier);

	if (n)
		(*n)++;
}

static __always_inline void count_reason(__u64 netns, const struct addr *to, __u8 proto, __u32 reason)
{
	struct mesh_refused key = {.netns = netns, .port = to->port, .proto = proto, .reason = reason};
	__u64 *all = bpf_map_lookup_elem(&reasons, &reason), *n, one = 1;

	if (all)
		(*all)++;
	__builtin_memcpy(key.ip, to->ip, sizeof(key.ip));
	n = bpf_map_lookup_elem(&refused, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&refused, &key, &one, BPF_ANY);
}

#endif
