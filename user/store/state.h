/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All objects in memory, in order, with the disk behind them: changes are made here and on
 * disk in one transaction, and count only after mesh_state_commit(). JSON of an object is
 * never changed in place once it is stored: readers may keep references. One thread.
 */
#ifndef MESH_STORE_STATE_H
#define MESH_STORE_STATE_H

#include "config/kind.h"
#include "core/map.h"
#include "store/db.h"

enum mesh_change {
	MESH_CHANGE_ADDED,
	MESH_CHANGE_MODIFIED,
	MESH_CHANGE_DELETED,
};

struct mesh_resource;

struct mesh_entry {
	struct mesh_resource *resource;
	char *ns; /* "" if the kind is not namespaced */
	char *name, *uid;
	uint64_t rv;
	json_t *obj; /* immutable */
};

/** The objects of one kind. */
struct mesh_resource {
	const struct mesh_kind *kind;
	char *id;                              /* "plural.group", or "plural" */
	bool dynamic;                          /* kind was made from a CustomResourceDefinition */
	bool gone;                             /* its definition was deleted: no longer served */
	MESH_VEC(struct mesh_entry *) entries; /* by namespace, then name */
};

/** A change, kept so that a watch can go on from an old resourceVersion. */
struct mesh_event {
	enum mesh_change type;
	uint64_t rv;
	struct mesh_resource *resource;
	char *ns, *name;
	json_t *obj;    /* after it; of a deletion: its last state, with the deletion's resourceVersion */
	json_t *before; /* NULL for ADDED */
	size_t size;
};

struct mesh_state {
	struct mesh_db *db;
	uint64_t rv;        /* of the newest change */
	uint64_t committed; /* of the newest change that is on disk */
	uint64_t oldest;    /* changes after this one are in the log */
	MESH_VEC(struct mesh_resource *) resources;
	struct mesh_map by_uid;          /* -> struct mesh_entry */
	MESH_VEC(struct mesh_event) log; /* oldest first */
	size_t log_bytes;
	size_t log_limit; /* in number; set by tests */
	bool failed;      /* a write failed: the commit will */
	bool broken;      /* what is in memory is not what is on disk, which could not be read again */
	/* Told of each row loaded at start and of each change; may be NULL. Makes dynamic kinds. */
	void (*changed)(void *arg, enum mesh_change type, struct mesh_resource *resource, const json_t *obj);
	void *changed_arg;
};

/** Opens path; objects are not there before mesh_state_load(). */
int mesh_state_open(struct mesh_state **ret, const char *path, struct mesh_errs *errs);
/** Also again, to forget what was not committed. A failure sets .broken, success clears it. */
int mesh_state_load(struct mesh_state *state, struct mesh_errs *errs);
void mesh_state_free(struct mesh_state *state);

struct mesh_resource *mesh_state_resource(struct mesh_state *state, const char *group, const char *plural);
/** Adds one (kind is borrowed). */
struct mesh_resource *mesh_state_add_resource(struct mesh_state *state, const struct mesh_kind *kind, bool dynamic);

struct mesh_entry *mesh_state_get(const struct mesh_resource *resource, const char *ns, const char *name);
/** Index of the first entry at or after (ns, name). */
size_t mesh_state_seek(const struct mesh_resource *resource, const char *ns, const char *name);
struct mesh_entry *mesh_state_by_uid(const struct mesh_state *state, const char *uid);

/**
 * Stores obj (a new reference, taken; its metadata is the caller's to change until now) as the new state of its
 * metadata.namespace and name. Sets its resourceVersion. Returns the entry; a failure of the disk shows at commit.
 */
struct mesh_entry *mesh_state_put(struct mesh_state *state, struct mesh_resource *resource, json_t *obj);
/** Removes an entry and frees it. Returns the resourceVersion of the deletion. */
uint64_t mesh_state_remove(struct mesh_state *state, struct mesh_entry *entry);

/** Are there changes that are not on disk? */
bool mesh_state_dirty(const struct mesh_state *state);
/** Returns 0 with everything on disk; or -EIO, and then all is again as at the last commit. */
int mesh_state_commit(struct mesh_state *state);
/** Index into log of the first change after rv. */
size_t mesh_state_after(const struct mesh_state *state, uint64_t rv);

#endif
