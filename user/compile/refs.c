/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/refs.h"

#include "core/mem.h"

#include <stdbool.h>

enum { MIN_SLOTS = 64 };
#define EMPTY   0u
#define REMOVED UINT32_MAX

void mesh_refs_free(struct mesh_refs *r)
{
	free(r->slots);
	*r = (struct mesh_refs){0};
}

static size_t begin_of(const struct mesh_refs *r, uint32_t hash)
{
	return (size_t)((hash * 0x9e3779b97f4a7c15ULL) >> 20) & (r->slot_count - 1);
}

static void insert(struct mesh_refs *r, uint32_t hash, uint32_t user)
{
	size_t i = begin_of(r, hash);

	while (r->slots[i].user != EMPTY && r->slots[i].user != REMOVED)
		i = (i + 1) & (r->slot_count - 1);
	r->used += r->slots[i].user == EMPTY;
	r->count++;
	r->slots[i] = (struct mesh_refs_slot){hash, user};
}

/* Without what was removed, and with room for half as many more. */
static void rebuild(struct mesh_refs *r)
{
	struct mesh_refs old = *r;

	r->slot_count = MIN_SLOTS;
	while (r->slot_count * 5 < (old.count + 1) * 8)
		r->slot_count *= 2;
	r->slots = mesh_xcalloc(r->slot_count, sizeof(*r->slots));
	r->count = r->used = 0;
	for (size_t i = 0; i < old.slot_count; i++)
		if (old.slots[i].user != EMPTY && old.slots[i].user != REMOVED)
			insert(r, old.slots[i].hash, old.slots[i].user);
	free(old.slots);
}

void mesh_refs_add(struct mesh_refs *r, uint32_t hash, uint32_t user)
{
	if ((r->used + 1) * 8 > r->slot_count * 7)
		rebuild(r);
	insert(r, hash, user);
}

void mesh_refs_remove(struct mesh_refs *r, uint32_t hash, uint32_t user)
{
	size_t i = r->slot_count ? begin_of(r, hash) : 0;

	while (r->slot_count && r->slots[i].user != EMPTY) {
		if (r->slots[i].user == user && r->slots[i].hash == hash) {
			r->slots[i].user = REMOVED;
			r->count--;
			return;
		}
		i = (i + 1) & (r->slot_count - 1);
	}
}

uint32_t mesh_refs_next(const struct mesh_refs *r, uint32_t hash, size_t *at)
{
	if (!r->slot_count)
		return 0;
	for (;;) {
		const struct mesh_refs_slot *s = &r->slots[(begin_of(r, hash) + (*at)++) & (r->slot_count - 1)];

		if (s->user == EMPTY)
			return 0;
		if (s->user != REMOVED && s->hash == hash)
			return s->user;
	}
}
