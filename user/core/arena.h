/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena: memory of one request or one configuration, given out in pieces and
 * freed in one place. Pieces are aligned to 16 bytes and never freed singly.
 * Zero-initialise. One thread (an immutable result may be read by many).
 */
#ifndef MESH_CORE_ARENA_H
#define MESH_CORE_ARENA_H

#include "core/slice.h"

struct mesh_arena_block;

struct mesh_arena {
	struct mesh_arena_block *blocks; /* newest first */
	size_t used;                     /* bytes handed out, for limits and tests */
	size_t block;                    /* bytes of a block, where many small arenas are kept; 0: 4 KiB */
};

/** Frees everything. */
void mesh_arena_free(struct mesh_arena *a);
/** Forgets everything given out but keeps one block for reuse. */
void mesh_arena_reset(struct mesh_arena *a);
void *mesh_arena_alloc(struct mesh_arena *a, size_t size); /* not zeroed; never NULL */
void *mesh_arena_zalloc(struct mesh_arena *a, size_t size);
char *mesh_arena_strdup(struct mesh_arena *a, const char *s); /* NULL gives NULL */
/** A NUL-terminated copy. */
char *mesh_arena_slice(struct mesh_arena *a, struct mesh_slice s);
char *mesh_arena_printf(struct mesh_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define mesh_arena_new(a, type)          ((type *)mesh_arena_zalloc((a), sizeof(type)))
#define mesh_arena_array(a, type, count) ((type *)mesh_arena_zalloc((a), sizeof(type) * (count)))

#endif
