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

/* An only group's endpoint that is in the second part of the service's entry; 0: it is not there, or not any more. */
static __always_inline __u64 read_more(const struct service *s, __u32 index)
{
	union mesh_near more[MESH_NEAR_MORE];
	__u64 word = 0;

	for (int i = 0; i < MESH_NEAR_MORE; i++) {
		more[i].word = *(volatile __u64 *)&s->entry->more[i].word;
		if (index == MESH_NEAR + i)
			word = more[i].word;
	}
	return s->entry->more_seal == mesh_seal_more(s->set, more) ? word : 0;
}

/* The same of all that are in the entry. Returns 0: it is to be looked up. */
static __always_inline int read_near(const struct service *s, __u32 index, struct addr *to)
{
	union mesh_near near = {};

	for (int i = 0; i < MESH_NEAR; i++)
		if (index == i)
			near.word = s->near[i].word;
	if (index >= MESH_NEAR && index < MESH_NEAR + MESH_NEAR_MORE)
		near.word = read_more(s, index);
	if (!near.word)
		return 0;
	set_v4(to->ip, *(__u32 *)near.ep.ip);
	to->port = near.ep.port;
	return 1;
}

/*
 * Puts the endpoint drawn into *to, which is the service's address. Returns enum mesh_reason: NONE, or why not. Of an
 * only group the size and the first endpoints are in the service's entry; a turn that goes to an entry that was just
 * replaced is lost.
 */
static __always_inline __u32 draw(const struct service *s, struct addr *to)
{
	struct mesh_slot slot = {.set = s->set};
	struct mesh_dest *d;

	if (!s->total || !s->dests)
		return MESH_REASON_NO_ENDPOINT;
	if (s->reason && s->entry) {
		slot.index = __sync_fetch_and_add(&s->entry->turn, 1) % s->reason;
		if (read_near(s, slot.index, to))
			return MESH_REASON_NONE;
	} else {
		d = draw_dest(s, bpf_get_prandom_u32() % s->total, &slot);
		if (!d)
			return MESH_REASON_BAD_CONFIG;
		if (!d->endpoints)
			return MESH_REASON_NO_ENDPOINT;
		slot.index = __sync_fetch_and_add(&d->turn, 1) % d->endpoints;
	}
	return read_endpoint(&slot, is_v4(to->ip), to) ? MESH_REASON_NONE : MESH_REASON_BAD_CONFIG;
}

/* The endpoint that stick says, if the service still has it. Copied before it is believed: its memory may be given to
 * another key meanwhile. */
static __always_inline int stay(struct mesh_stick *stick, const struct service *s, __u64 now, __u64 period,
				struct addr *to)
{
	struct mesh_member m = {.set = s->set};

	if (!stick || now >= stick->until_ns)
		return 0;
	m.port = stick->port;
	__builtin_memcpy(m.ip, stick->ip, sizeof(m.ip));
	if (!bpf_map_lookup_elem(&member, &m))
		return 0;
	stick->until_ns = now + period;
	__builtin_memcpy(to->ip, m.ip, sizeof(m.ip));
	to->port = m.port;
	return 1;
}

/*
 * As draw(), but what was drawn for key is drawn again until it was not asked for so long, or the service lost it.
 * Of two that ask first at the same time, both get what one was given.
 */
static __always_inline __u32 draw_again(void *sticks, const struct mesh_stick_key *key, const struct service *s,
					__u64 period, struct addr *to)
{
	struct mesh_stick *old = bpf_map_lookup_elem(sticks, key), fresh = {};
	__u64 now = bpf_ktime_get_ns();
	__u32 why;

	if (stay(old, s, now, period, to))
		return MESH_REASON_NONE;
	why = draw(s, to);
	if (why != MESH_REASON_NONE)
		return why;
	fresh.port = to->port;
	fresh.until_ns = now + period;
	__builtin_memcpy(fresh.ip, to->ip, sizeof(fresh.ip));
	if (bpf_map_update_elem(sticks, key, &fresh, old ? BPF_ANY : BPF_NOEXIST))
		stay(bpf_map_lookup_elem(sticks, key), s, now, period, to);
	return MESH_REASON_NONE;
}

enum { SECOND = 1000000000 };

/* For a service with affinity, or (cookie not 0) a datagram of an unconnected socket. */
static __noinline __u32 draw_sticky(const struct service *s, __u64 netns, __u64 cookie, __u32 proto, struct addr *to)
{
	struct mesh_stick_key key = {.port = to->port, .proto = proto};

	__builtin_memcpy(key.ip, to->ip, sizeof(key.ip));
	if (s->affinity) {
		key.who = netns;
		return draw_again(&affinity, &key, s, (__u64)s->affinity * SECOND, to);
	}
	key.who = cookie;
	return draw_again(&udpflow, &key, s, (__u64)MESH_UDP_IDLE_S * SECOND, to);
}

#endif
