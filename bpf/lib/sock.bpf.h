/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a socket asked for, by its cookie. Cookies are given in rows, so a table with a place for each is read in order
 * and stays in the cache, where a hash (and local storage, which is allocated) costs more than all else in connect(). A
 * socket whose place a longer-lived one has is in map sockmore, and its place says so.
 */
#ifndef MESH_SOCK_BPF_H
#define MESH_SOCK_BPF_H

#include "lib/flow.bpf.h"

static __always_inline struct mesh_sock *sock_place(__u64 cookie)
{
	__u32 i = cookie & (MESH_SOCK_PLACES - 1);

	return bpf_map_lookup_elem(&sock, &i);
}

/* NULL: it is none of ours. Only this socket's own calls change what it points to. */
static __always_inline struct mesh_sock *sock_find(__u64 cookie)
{
	struct mesh_sock *s = sock_place(cookie);

	if (!s || s->cookie == cookie)
		return s;
	return s->crowded ? bpf_map_lookup_elem(&sockmore, &cookie) : NULL;
}

static __always_inline void sock_fill(struct mesh_sock *s, const struct addr *from, const struct addr *to, __u32 tier)
{
	__builtin_memcpy(s->from, from->ip, sizeof(s->from));
	__builtin_memcpy(s->to, to->ip, sizeof(s->to));
	s->from_port = from->port;
	s->to_port = to->port;
	s->tier = tier;
	s->packets = 0;
}

/* Returns 0, or not: there is no room. */
static __always_inline long sock_keep(__u64 cookie, const struct addr *from, const struct addr *to, __u32 tier)
{
	struct mesh_sock *s = sock_find(cookie), more = {.cookie = cookie};
	long r;

	if (s) {
		sock_fill(s, from, to, tier);
		return 0;
	}
	s = sock_place(cookie);
	if (!s)
		return -1;
	if (__sync_val_compare_and_swap(&s->cookie, 0, cookie) == 0) {
		sock_fill(s, from, to, tier);
		return 0;
	}
	sock_fill(&more, from, to, tier);
	__sync_fetch_and_add(&s->crowded, 1);
	r = bpf_map_update_elem(&sockmore, &cookie, &more, BPF_ANY);
	if (r)
		__sync_fetch_and_add(&s->crowded, -1);
	return r;
}

static __always_inline void sock_forget(__u64 cookie)
{
	struct mesh_sock *s = sock_place(cookie);

	if (!s)
		return;
	if (s->cookie == cookie)
		*(volatile __u64 *)&s->cookie = 0;
	else if (s->crowded && bpf_map_delete_elem(&sockmore, &cookie) == 0)
		__sync_fetch_and_add(&s->crowded, -1);
}

#endif
