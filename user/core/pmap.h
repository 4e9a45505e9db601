/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash map from bytes to a pointer of which versions share what is alike: mesh_pmap_share() gives another handle in
 * no time, and a change to one copies the few nodes on its way that the other still has. Many threads may read and
 * free handles that they own while one thread changes its own. A trie over the process's seeded hash, four bits a
 * level; keys are copied. Zero-initialise; set unref when values are counted.
 */
#ifndef MESH_CORE_PMAP_H
#define MESH_CORE_PMAP_H

#include "core/slice.h"

#include <stdatomic.h>

struct mesh_pmap_node;

struct mesh_pmap_leaf {
	atomic_uint refs;
	uint32_t key_len;
	uint64_t hash;
	void *value;
	char key[]; /* key_len bytes and a NUL */
};

struct mesh_pmap {
	struct mesh_pmap_node *root;
	size_t count;
	void (*unref)(void *value); /* called once for each value that went in, when no version has it; may be NULL */
};

/** Lets go of this version. */
void mesh_pmap_free(struct mesh_pmap *m);
/** The same content, to be freed or changed on its own. */
struct mesh_pmap mesh_pmap_share(const struct mesh_pmap *m);
/** The value, or NULL. */
void *mesh_pmap_get(const struct mesh_pmap *m, struct mesh_slice key);
/** Sets key to value (not NULL), taking over one reference of it. What was there is let go of. */
void mesh_pmap_put(struct mesh_pmap *m, struct mesh_slice key, void *value);
/** Returns whether it was there. */
bool mesh_pmap_remove(struct mesh_pmap *m, struct mesh_slice key);

enum { MESH_PMAP_LEVELS = 17 }; /* 64 bits of hash, and those that are all alike */

/** Where an iteration is; zero-initialise. The map must not change meanwhile. */
struct mesh_pmap_iter {
	const struct mesh_pmap_node *nodes[MESH_PMAP_LEVELS];
	uint16_t at[MESH_PMAP_LEVELS];
	int depth; /* 0: not begun */
};

/** The next leaf, in no order that means anything, or NULL at the end. */
const struct mesh_pmap_leaf *mesh_pmap_next(const struct mesh_pmap *m, struct mesh_pmap_iter *it);

static inline void *mesh_pmap_get_str(const struct mesh_pmap *m, const char *key)
{
	return mesh_pmap_get(m, mesh_slice_str(key));
}
static inline void mesh_pmap_put_str(struct mesh_pmap *m, const char *key, void *value)
{
	mesh_pmap_put(m, mesh_slice_str(key), value);
}

#define mesh_pmap_each(leaf, m)                                                                                        \
	for (struct mesh_pmap_iter _it_##leaf = {.depth = 0}, *_go_##leaf = &_it_##leaf; _go_##leaf;                   \
	     _go_##leaf = NULL)                                                                                        \
		for (const struct mesh_pmap_leaf *leaf; (leaf = mesh_pmap_next((m), &_it_##leaf));)

#endif
