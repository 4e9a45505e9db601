/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and may they: client certificates of our CA (CN, O), service account tokens that
 * we signed, and Roles. system:masters may do everything. One thread.
 */
#ifndef MESH_STORE_AUTH_H
#define MESH_STORE_AUTH_H

#include "store/call.h"

/** Fills call->user. Returns false after having replied 401. */
bool mesh_auth_identify(struct mesh_call *call);
/** May the call's user do what it asks? Returns false after having replied 403. */
bool mesh_auth_allowed(struct mesh_call *call);

/** What is asked. Strings may be "" where they do not apply. */
struct mesh_access {
	const char *verb, *group, *resource, *sub, *ns, *name;
	const char *path; /* a path that is no resource; then all above but verb are unused */
};
bool mesh_access_allowed(struct mesh_store *store, const struct mesh_identity *user, const struct mesh_access *access);
/** The rules that hold for user in ns: PolicyRule objects (new array). */
json_t *mesh_access_rules(struct mesh_store *store, const struct mesh_identity *user, const char *ns);

/** A signed token for a service account object, valid for seconds. Caller frees. */
char *mesh_token_new(struct mesh_store *store, const json_t *account, const json_t *audiences, int64_t seconds,
		     const json_t *pod);

/** Is token one of ours, in time, of an account (and pod) that still exists? Strings in the arena. */
bool mesh_token_check(struct mesh_store *store, struct mesh_arena *arena, const char *token, const char **ns,
		      const char **name, const char **uid);

#endif
