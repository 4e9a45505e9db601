/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is switched on. */
#ifndef MESH_SWITCH_BPF_H
#define MESH_SWITCH_BPF_H

#include "lib/maps.bpf.h"

static __always_inline __u32 switch_value(__u32 which)
{
	__u32 *word = bpf_map_lookup_elem(&switches, &which);

	return word ? *(volatile __u32 *)word : 0;
}

/* Which word stands; unset: the row's own. */
static __always_inline __u32 switch_word(__u32 which, __u32 unset)
{
	__u32 word = switch_value(which);

	return word == MESH_WORD_UNSET ? unset : word;
}

#define SWITCHED(id, word) (switch_word(MESH_SWITCH_##id, MESH_SWITCH_DEFAULT_##id) == MESH_WORD_##word)

/* The agent has switched the whole mesh off. */
static __always_inline int all_off(void)
{
	__u32 zero = 0;
	struct mesh_node *n = bpf_map_lookup_elem(&node, &zero);

	return !n || n->off;
}

#endif
