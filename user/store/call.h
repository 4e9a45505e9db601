/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the embedded API: one request with what it means to Kubernetes, and the store that
 * its handlers share. A handler ends each call exactly once, with one of the reply functions,
 * or keeps it (watch, tunnel). One thread.
 */
#ifndef MESH_STORE_CALL_H
#define MESH_STORE_CALL_H

#include "config/document.h"
#include "store/json.h"
#include "store/pki.h"
#include "store/selector.h"
#include "store/serve.h"
#include "store/state.h"
#include "store/status.h"
#include "store/store.h"

#define MESH_VERSION_GIT "v1.34.0+sockmesh"

enum mesh_verb {
	MESH_VERB_GET,
	MESH_VERB_LIST,
	MESH_VERB_WATCH,
	MESH_VERB_CREATE,
	MESH_VERB_UPDATE,
	MESH_VERB_PATCH,
	MESH_VERB_DELETE,
	MESH_VERB_DELETE_COLLECTION,
};

enum mesh_shape {
	MESH_SHAPE_OBJECT,
	MESH_SHAPE_TABLE,
	MESH_SHAPE_PARTIAL, /* PartialObjectMetadata and its List */
};

struct mesh_watcher;
struct mesh_held;

struct mesh_store {
	struct mesh_loop *loop;
	struct mesh_pki *pki;
	struct mesh_state *state;
	struct mesh_server *server;
	SSL_CTX *server_ctx, *client_ctx;
	char *route_host;
	struct mesh_addr service_base; /* first address of the Service range */
	unsigned service_bits;         /* prefix length */
	MESH_VEC(struct mesh_addr) addrs;
	/* Group commit: answers wait here until the changes they speak of are on disk. */
	MESH_VEC(struct mesh_held *) held;
	MESH_VEC(struct mesh_request *) waiting; /* reads that came while changes were not on disk */
	struct mesh_timer commit;
	struct mesh_watcher *watchers;
	uint64_t dispatched; /* resourceVersion up to which watchers were told */
	/* Work that follows from changes: uids whose dependents to look at, namespaces to empty. */
	struct mesh_map gone_uids, new_dependents, ending_namespaces, new_namespaces;
	struct mesh_timer chores;
	MESH_VEC(void *) old_kinds; /* of definitions that were replaced */
};

struct mesh_identity {
	const char *name, *uid;
	const char **groups; /* NULL-ended */
	bool master;         /* system:masters */
};

struct mesh_call {
	struct mesh_store *store;
	struct mesh_request *req;
	struct mesh_arena *arena; /* the request's */
	struct mesh_identity user;
	enum mesh_verb verb;
	const char *group, *version, *plural, *ns, *name, *sub; /* ns "": all or none; name, sub NULL if absent */
	struct mesh_resource *res;
	const struct mesh_kind *kind; /* what is served: res->kind, or the view of it (Project) */
	enum mesh_shape shape;
	const char *include_object;
	bool dry_run;
	struct mesh_errs *duplicates; /* keys that the body has twice; NULL: not asked for */
};

/* --- replies: each ends the call --- */

/** Takes body (a reference). */
void mesh_call_json(struct mesh_call *call, int status, json_t *body);
/** A Status; details is taken and may be NULL. */
void mesh_call_status(struct mesh_call *call, int code, const char *reason, json_t *details, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void mesh_call_text(struct mesh_call *call, int status, const char *type, struct mesh_slice body);
/** The object as the client asked to see it (version, Table, metadata only). obj is borrowed. */
void mesh_call_object(struct mesh_call *call, int status, const json_t *obj);

/** {name, group, kind: plural} of the call; name may be NULL. */
json_t *mesh_call_details(const struct mesh_call *call, const char *name);
void mesh_call_bad_request(struct mesh_call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mesh_call_not_found(struct mesh_call *call, const char *name);
void mesh_call_conflict(struct mesh_call *call, const char *name);
void mesh_call_method_not_allowed(struct mesh_call *call);
/** 422 with one cause for each error. */
void mesh_call_invalid(struct mesh_call *call, const char *name, const struct mesh_errs *errs);
/** Adds a Warning header (299). */
void mesh_call_warn(struct mesh_call *call, const char *text);

/** "plural.group" or "plural" of what is served. */
const char *mesh_call_id(const struct mesh_call *call);
/** A new reference to obj in the call's version (and view). */
json_t *mesh_call_present(const struct mesh_call *call, const json_t *obj);
/** autoscaling/v1 Scale of an object with replicas (new). */
json_t *mesh_scale_of(struct mesh_call *call, const json_t *obj);
json_t *mesh_partial_metadata(const json_t *obj);
/** A Table of items (array, taken). */
json_t *mesh_call_table(struct mesh_call *call, json_t *items, const char *rv, bool columns);
/** The body as an object, or NULL after having replied. Keys that are there twice go to call->duplicates. */
json_t *mesh_call_body(struct mesh_call *call);

/* --- handlers --- */

void mesh_call_get(struct mesh_call *call);
void mesh_call_list(struct mesh_call *call);
void mesh_call_watch(struct mesh_call *call);
void mesh_call_create(struct mesh_call *call);
void mesh_call_update(struct mesh_call *call);
void mesh_call_patch(struct mesh_call *call);
void mesh_call_delete(struct mesh_call *call);
void mesh_call_delete_collection(struct mesh_call *call);
/** Other subresources of pods and service accounts. Returns false if it is none. */
bool mesh_call_special(struct mesh_call *call);
/** What is not a resource: discovery, OpenAPI, health. Returns false if the path is none of them. */
bool mesh_discovery_serve(struct mesh_call *call);
/** /apis/authorization.k8s.io and authentication.k8s.io reviews. Returns false if it is none. */
bool mesh_review_serve(struct mesh_call *call);

/** Serves one request. */
void mesh_api_serve(void *arg, struct mesh_request *req);
/** Commits what is pending and lets answers and events go. */
void mesh_api_commit(struct mesh_store *store);
/** Something changed: a commit will follow. */
void mesh_api_changed(struct mesh_store *store);

/** Selectors, limits and versions of list and watch, parsed; returns false after having replied. */
struct mesh_list_opts {
	struct mesh_selector labels, fields;
	bool selective;
	const char *resource_version, *match, *cont;
	uint64_t rv, limit;
};
bool mesh_call_list_opts(struct mesh_call *call, struct mesh_list_opts *ret);

/** Tells watchers of all committed changes. */
void mesh_watch_dispatch(struct mesh_store *store);
void mesh_watch_free_all(struct mesh_store *store);

#endif
