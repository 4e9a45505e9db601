/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The draw: one weighted group, then one endpoint of it. Weights are exact: of total numbers
 * each group owns as many as its weight says, one of weight 0 owns none.
 */
#ifndef MESH_BALANCE_BPF_H
#define MESH_BALANCE_BPF_H

#include "lib/lookup.bpf.h"

/* The first group whose numbers reach beyond ticket. Returns it with slot at it, or NULL: inconsistent. */
static __always_inline struct mesh_dest *draw_dest(const struct service *s, __u32 ticket, struct mesh_slot *slot)
{
	__u32 low = 0, high = s->dests - 1;

	slot->set = s->set;
	slot->index = 0;
	for (int i = 0; i < MESH_DRAW_STEPS && low < high; i++) {
		struct mesh_dest *d;

		slot->dest = (low + high) / 2;
		d = bpf_map_lookup_elem(&dest, slot);
		if (!d)
			return NULL;
		if (ticket < d->upto)
			high = slot->dest;
		else
			low = slot->dest + 1;
	}
	slot->dest = low;
	return bpf_map_lookup_elem(&dest, slot);
}

static __always_inline int read_endpoint(const struct mesh_slot *slot, int v4, struct addr *to)
{
	if (v4) {
		struct mesh_ep4 *e = bpf_map_lookup_elem(&ep4, slot);

		if (!e)
			return 0;
		set_v4(to->ip, *(__u32 *)e->ip);
		to->port = e->port;
	} else {
		struct mesh_ep6 *e = bpf_map_lookup_elem(&ep6, slot);

		if (!e)
			return 0;
		__builtin_memcpy(to->ip, e->ip, sizeof(to->ip));
		to->port = e->port;
	}
	return 1;
}

/*
 * Puts the endpoint drawn into *to, which is the service's address. sticky 0: a new random ticket, and
 * endpoints in turn. Else the same sticky draws the same as long as the service stays as it is.
 * Returns enum mesh_reason: NONE, or why not.
 */
static __always_inline __u32 draw(const struct service *s, __u32 sticky, struct addr *to)
{
	__u32 ticket = sticky ? sticky : bpf_get_prandom_u32();
	struct mesh_slot slot;
	struct mesh_dest *d;
	__u64 turn;

	if (!s->total || !s->dests)
		return MESH_REASON_NO_ENDPOINT;
	d = draw_dest(s, ticket % s->total, &slot);
	if (!d)
		return MESH_REASON_BAD_CONFIG;
	if (!d->endpoints)
		return MESH_REASON_NO_ENDPOINT;
	turn = sticky ? sticky / s->total : __sync_fetch_and_add(&d->turn, 1);
	slot.index = turn % d->endpoints;
	return read_endpoint(&slot, is_v4(to->ip), to) ? MESH_REASON_NONE : MESH_REASON_BAD_CONFIG;
}

#endif
