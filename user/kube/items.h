/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list as it comes from the API, cut into its items: {"kind": ..., "metadata": {...}, "items": [{...}, ...]} need
 * never be in memory as a whole. A pure parser: bytes in, items out. One thread.
 */
#ifndef MESH_KUBE_ITEMS_H
#define MESH_KUBE_ITEMS_H

#include "core/buf.h"

enum { MESH_ITEM_MAX = 4 << 20 };

/** Zero-initialise; mesh_items_free() when done. */
struct mesh_items {
	struct mesh_buf head; /* the list with "items": [] */
	struct mesh_buf item; /* the beginning of one that is not whole yet */
	size_t key_at, key_len;
	int depth;
	bool in_list, in_string, escaped, after_colon;
	bool whole; /* the list's end has come */
};

/** Takes an item's text, valid during the call. Returns false to stop. */
typedef bool mesh_items_fn(void *arg, struct mesh_slice item);

/**
 * Takes the next bytes. Returns 0; -ECANCELED if fn said so (items may be gone with its owner: it is not touched any
 * more); -EINVAL if it is no list; -EFBIG if an item is larger than MESH_ITEM_MAX.
 */
int mesh_items_take(struct mesh_items *items, struct mesh_slice bytes, mesh_items_fn *fn, void *arg);
void mesh_items_free(struct mesh_items *items);

#endif
