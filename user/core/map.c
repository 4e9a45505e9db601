/* SPDX-License-Identifier: Apache-2.0 */
#include "core/map.h"

#include "core/mem.h"

#include <sys/random.h>

enum { MAP_MIN_SLOTS = 16 };
#define SLOT_REMOVED UINT32_MAX

static uint64_t hash_seed;

__attribute__((constructor)) static void hash_seed_init(void)
{
	if (getrandom(&hash_seed, sizeof(hash_seed), GRND_NONBLOCK) != sizeof(hash_seed))
		hash_seed = (uint64_t)(uintptr_t)&hash_seed;
}

/* Multiply-and-fold over 8-byte words: both halves of the 128-bit product go on. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	__uint128_t p = (__uint128_t)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t mesh_hash(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t h = hash_seed ^ (len * 0x9e3779b97f4a7c15ULL), w;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&w, p, 8);
		h = fold(h ^ w, 0xd6e8feb86659fd93ULL ^ hash_seed);
	}
	w = 0;
	if (len)
		memcpy(&w, p, len);
	return fold(h ^ w, 0xa0761d6478bd642fULL ^ hash_seed);
}

void mesh_map_free(struct mesh_map *m)
{
	for (size_t i = 0; i < m->used; i++)
		free(m->entries[i].key);
	free(m->entries);
	free(m->slots);
	*m = (struct mesh_map){0};
}

/* The slot that holds key, or -1; *free_slot is where it could go. */
static ssize_t find_slot(const struct mesh_map *m, struct mesh_slice key, uint64_t hash, size_t *free_slot)
{
	size_t mask = m->slot_count - 1, i = hash & mask;
	bool have_free = false;

	for (;; i = (i + 1) & mask) {
		uint32_t s = m->slots[i];
		const struct mesh_map_entry *e;

		if (s == 0) {
			if (free_slot && !have_free)
				*free_slot = i;
			return -1;
		}
		if (s == SLOT_REMOVED) {
			if (free_slot && !have_free)
				*free_slot = i;
			have_free = true;
			continue;
		}
		e = &m->entries[s - 1];
		if (e->hash == hash && mesh_slice_eq(mesh_slice_of(e->key, e->key_len), key))
			return (ssize_t)i;
	}
}

/* Packs the entries and rebuilds the slots with room for one more. */
static void rebuild(struct mesh_map *m)
{
	size_t n = 0, slots = MAP_MIN_SLOTS, cap;

	while (slots < (m->count + 1) * 2)
		slots *= 2;
	for (size_t i = 0; i < m->used; i++)
		if (m->entries[i].key)
			m->entries[n++] = m->entries[i];
	cap = slots - slots / 4;
	m->entries = mesh_xrealloc(m->entries, cap * sizeof(*m->entries));
	free(m->slots);
	m->slots = mesh_xcalloc(slots, sizeof(*m->slots));
	m->used = n;
	m->capacity = cap;
	m->slot_count = slots;
	for (size_t i = 0; i < n; i++) {
		size_t at = m->entries[i].hash & (slots - 1);

		while (m->slots[at])
			at = (at + 1) & (slots - 1);
		m->slots[at] = (uint32_t)i + 1;
	}
}

void *mesh_map_get(const struct mesh_map *m, struct mesh_slice key)
{
	ssize_t at;

	if (m->count == 0)
		return NULL;
	at = find_slot(m, key, mesh_hash(key.ptr, key.len), NULL);
	return at < 0 ? NULL : m->entries[m->slots[at] - 1].value;
}

void *mesh_map_put(struct mesh_map *m, struct mesh_slice key, void *value)
{
	uint64_t hash = mesh_hash(key.ptr, key.len);
	struct mesh_map_entry *e;
	size_t free_slot = 0;
	ssize_t at;

	if (m->used == m->capacity)
		rebuild(m);
	at = find_slot(m, key, hash, &free_slot);
	if (at >= 0) {
		void *old;

		e = &m->entries[m->slots[at] - 1];
		old = e->value;
		e->value = value;
		return old;
	}
	e = &m->entries[m->used++];
	*e = (struct mesh_map_entry){.key = mesh_xstrndup(key.ptr ? key.ptr : "", key.len),
				     .key_len = key.len,
				     .value = value,
				     .hash = hash};
	m->slots[free_slot] = (uint32_t)m->used;
	m->count++;
	return NULL;
}

void *mesh_map_remove(struct mesh_map *m, struct mesh_slice key)
{
	struct mesh_map_entry *e;
	ssize_t at;
	void *old;

	if (m->count == 0)
		return NULL;
	at = find_slot(m, key, mesh_hash(key.ptr, key.len), NULL);
	if (at < 0)
		return NULL;
	e = &m->entries[m->slots[at] - 1];
	old = e->value;
	free(e->key);
	*e = (struct mesh_map_entry){0};
	m->slots[at] = SLOT_REMOVED;
	m->count--;
	return old;
}

struct mesh_map_entry *mesh_map_next(const struct mesh_map *m, size_t *it)
{
	while (*it < m->used) {
		struct mesh_map_entry *e = &m->entries[(*it)++];

		if (e->key)
			return e;
	}
	return NULL;
}
