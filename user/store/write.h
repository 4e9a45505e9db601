/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that the store makes itself (bootstrap, chores), by the same rules as a client's. One thread.
 */
#ifndef MESH_STORE_WRITE_H
#define MESH_STORE_WRITE_H

#include "store/call.h"

enum mesh_propagation {
	MESH_PROPAGATE_BACKGROUND,
	MESH_PROPAGATE_FOREGROUND,
	MESH_PROPAGATE_ORPHAN,
};

struct mesh_delete_opts {
	int64_t grace; /* -1: the object's own */
	enum mesh_propagation propagation;
	const char *uid, *rv; /* preconditions, or NULL */
	bool dry_run;
};

/** Creates obj (taken; apiVersion and kind set) unless it is there. Returns the entry, new or old; NULL: unknown kind.
 */
struct mesh_entry *mesh_write_new(struct mesh_store *store, const char *group, const char *plural, json_t *obj);
/** Replaces an entry's object by obj (taken), which keeps its metadata's identity. */
struct mesh_entry *mesh_write_replace(struct mesh_store *store, struct mesh_entry *entry, json_t *obj);
/** Deletes as DELETE would. Returns a new reference to what is left or was, and in *gone whether it is gone (entry
 * freed). */
json_t *mesh_write_delete(struct mesh_store *store, struct mesh_entry *entry, const struct mesh_delete_opts *opts,
			  bool *gone);
/** Removes the entry if it is being deleted and nothing holds it any more. Returns true if it is gone. */
bool mesh_write_settle(struct mesh_store *store, struct mesh_entry *entry);

/* builtin.c: what the API server does to objects of its own kinds. */

/** Fills in what a new object gets (addresses, status). Errors go to errs. */
void mesh_builtin_create(struct mesh_store *store, const struct mesh_kind *kind, json_t *obj, struct mesh_errs *errs);
void mesh_builtin_update(struct mesh_store *store, const struct mesh_kind *kind, json_t *obj, const json_t *old,
			 struct mesh_errs *errs);
/** POST projectrequests. */
void mesh_project_request(struct mesh_call *call);
/** The objects that every cluster has. */
void mesh_builtin_bootstrap(struct mesh_store *store);
/** What each namespace has. */
void mesh_builtin_namespace(struct mesh_store *store, const char *ns);

#endif
