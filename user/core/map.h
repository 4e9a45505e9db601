/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash map from bytes to a pointer. Keys are copied and owned by the map; values
 * are borrowed. Iteration is in insertion order of what is left (removal keeps it).
 * The hash is seeded per process. Zero-initialise. One thread (or many readers).
 */
#ifndef MESH_CORE_MAP_H
#define MESH_CORE_MAP_H

#include "core/slice.h"

struct mesh_map_entry {
	char *key; /* key_len bytes and a NUL */
	size_t key_len;
	void *value;
	uint64_t hash;
};

struct mesh_map {
	struct mesh_map_entry *entries; /* key == NULL: removed */
	uint32_t *slots;                /* index + 1 into entries; 0: empty, UINT32_MAX: removed */
	size_t count, used, capacity, slot_count;
};

/** Frees keys and table; values are the caller's. */
void mesh_map_free(struct mesh_map *m);
/** The value, or NULL. */
void *mesh_map_get(const struct mesh_map *m, struct mesh_slice key);
/** Sets key to value (not NULL); returns the value it replaced, or NULL. */
void *mesh_map_put(struct mesh_map *m, struct mesh_slice key, void *value);
/** Removes key; returns its value, or NULL. Safe for the current entry while iterating. */
void *mesh_map_remove(struct mesh_map *m, struct mesh_slice key);
/** The next entry after *it (start with 0), or NULL at the end. Adding while iterating is not allowed. */
struct mesh_map_entry *mesh_map_next(const struct mesh_map *m, size_t *it);

static inline void *mesh_map_get_str(const struct mesh_map *m, const char *key)
{
	return mesh_map_get(m, mesh_slice_str(key));
}
static inline void *mesh_map_put_str(struct mesh_map *m, const char *key, void *value)
{
	return mesh_map_put(m, mesh_slice_str(key), value);
}
static inline void *mesh_map_remove_str(struct mesh_map *m, const char *key)
{
	return mesh_map_remove(m, mesh_slice_str(key));
}

#define mesh_map_each(entry, m)                                                                                        \
	for (size_t _it_##entry = 0, _go_##entry = 1; _go_##entry; _go_##entry = 0)                                    \
		for (struct mesh_map_entry * entry; (entry = mesh_map_next((m), &_it_##entry));)

/** 64-bit hash of bytes with the process's random seed. Not for storage. */
uint64_t mesh_hash(const void *data, size_t len);

#endif
