/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the cache: what its two parts share. cache.c watches and keeps, write.c writes. Loop thread only.
 */
#ifndef MESH_CONTROL_CACHE_INSIDE_H
#define MESH_CONTROL_CACHE_INSIDE_H

#include "config/get.h"
#include "control/cache.h"

struct mesh_control_row {
	const char *kind, *prefix, *version, *plural;
	unsigned flags;
	const char *query;
};

extern const struct mesh_control_row mesh_control_rows[MESH_CONTROL_KIND_COUNT];

struct mesh_cache_kind {
	struct mesh_cache *cache;
	struct mesh_kube_watch *watch;
	struct mesh_map objects; /* "NS/NAME" -> json_t * */
	bool synced, served;
};

struct mesh_cache {
	struct mesh_loop *loop;
	struct mesh_kube *kube;
	void (*changed)(void *arg);
	void *arg;
	struct mesh_cache_kind kinds[MESH_CONTROL_KIND_COUNT];
	size_t synced;
	struct mesh_map writes;   /* path -> struct cache_write *, of write.c */
	struct mesh_map outcomes; /* path -> struct cache_outcome *, of write.c */
	struct mesh_timer retry, report;
	char *reported; /* what mesh_cache_missing() said last */
};

/** The object's or, with name "", the list's path. Caller frees. */
char *mesh_control_path(enum mesh_control_kind kind, const char *ns, const char *name);
/** Takes in a state of an object, unless a newer one is there. */
void mesh_cache_put(struct mesh_cache_kind *k, const json_t *obj);
/** What was learnt about an object's writes goes with it. */
void mesh_cache_forget(struct mesh_cache *cache, enum mesh_control_kind kind, const json_t *obj);
/** What is due again, and what nobody asks for any more. */
void mesh_cache_retry(struct mesh_loop *loop, struct mesh_timer *timer);
/** Ends and frees all writes. */
void mesh_cache_writes_free(struct mesh_cache *cache);

#endif
