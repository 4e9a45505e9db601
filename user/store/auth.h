/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and may they: client certificates of our CA (CN, O), service account tokens that
 * we signed, and Roles. system:masters may do everything. One thread.
 */
#ifndef MESH_STORE_AUTH_H
#define MESH_STORE_AUTH_H

#include "store/call.h"

/** Fills call->user: who asks, or whom it asks to be taken for. Returns false after having replied 400, 401 or 403. */
bool mesh_auth_identify(struct mesh_call *call);
/** Does the request's head say who sends it (a certificate of ours, a token that is good)? arg: the store. */
bool mesh_auth_known(void *arg, struct mesh_request *req);
/**
 * No one may hand out by a Role or a binding (obj, about to be written) what it may not do itself, unless it may
 * "escalate" or "bind". Returns false after having replied 403. Objects of other kinds pass.
 */
bool mesh_auth_no_escalation(struct mesh_call *call, const json_t *obj);
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

/** What tokens are for where nothing else is said: the API itself. */
#define MESH_TOKEN_AUDIENCE "https://kubernetes.default.svc.cluster.local"

/** A signed token for a service account object, valid for seconds. pod: the Pod it is bound to, or NULL. Caller frees.
 */
char *mesh_token_new(struct mesh_store *store, const json_t *account, const json_t *audiences, int64_t seconds,
		     const json_t *pod);

struct mesh_token {
	const char *ns, *name, *uid; /* of the service account; in the arena */
	json_t *audiences;           /* for which it was issued and is asked for (new reference) */
};

/**
 * Is token one of ours, in time, of an account (and pod) that still exists, for one of audiences (array of strings;
 * NULL: for this API)?
 */
bool mesh_token_check(struct mesh_store *store, struct mesh_arena *arena, const char *token, const json_t *audiences,
		      struct mesh_token *ret);

#endif
