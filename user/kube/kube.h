/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one client of the Kubernetes API: requests, list+watch with resumption, over libcurl
 * on a struct mesh_loop. It cannot tell a real kube-apiserver from the embedded one. All
 * calls and callbacks on the loop's thread; callbacks may start requests and stop watches.
 */
#ifndef MESH_KUBE_KUBE_H
#define MESH_KUBE_KUBE_H

#include "core/err.h"
#include "core/loop.h"

#include <jansson.h>

struct mesh_kube;
struct mesh_kube_watch;
struct mesh_kube_request;
struct mesh_kubeconfig;

/** Where the API is and who we are. Strings are borrowed during mesh_kube_new() only. */
struct mesh_kube_opts {
	const char *kubeconfig; /* file; NULL: $KUBECONFIG, else in-cluster (service account), else ~/.kube/config */
	const char *context;    /* NULL: current-context */
	const char *program;    /* who asks: "meshd-agent", of this version */
	int netns_fd;           /* sockets are made in this namespace; -1: this one */
};

/** Returns 0; -ENOENT or -EINVAL with errs telling what is missing and where. */
int mesh_kube_new(struct mesh_kube **ret, struct mesh_loop *loop, const struct mesh_kube_opts *opts,
		  struct mesh_errs *errs);
/** Ends all requests and watches without calling back. Not from a callback. NULL is allowed. */
void mesh_kube_free(struct mesh_kube *kube);
/** The namespace of the kubeconfig's context, else "default". */
const char *mesh_kube_namespace(const struct mesh_kube *kube);
/** What was found of server and identity (kube/kubeconfig.h); borrowed. */
const struct mesh_kubeconfig *mesh_kube_config(const struct mesh_kube *kube);
/** Text for a path segment or a query's value, percent-encoded (RFC 3986 2.3). Caller frees. */
char *mesh_kube_escape(const char *text);

/** What came back. Valid during the callback. */
struct mesh_kube_response {
	int status;                  /* HTTP status; 0: no answer (error says why) */
	json_t *body;                /* parsed JSON, or NULL */
	struct mesh_slice raw;       /* as received */
	const char *error;           /* transport error, or the Status object's message; NULL on success */
	const char *reason;          /* Status object's reason ("AlreadyExists", "Conflict", ...), or NULL */
	int64_t date;                /* of the Date header, seconds since 1970; 0: none */
	const char *const *warnings; /* texts of Warning headers (RFC 9111 5.5 form that Kubernetes uses), NULL-ended */
};

typedef void mesh_kube_done_fn(void *arg, const struct mesh_kube_response *r);

/**
 * Sends a request. body is NULL or borrowed JSON; content_type NULL means application/json (PATCH:
 * application/merge-patch+json). accept NULL means application/json. Returns a handle to cancel with, valid until
 * done().
 */
struct mesh_kube_request *mesh_kube_send(struct mesh_kube *kube, const char *method, const char *path,
					 const json_t *body, const char *content_type, const char *accept,
					 mesh_kube_done_fn *done, void *arg);
/** NULL is allowed. done() is not called. */
void mesh_kube_cancel(struct mesh_kube_request *request);

/** A piece of a stream's body as it came; borrowed. */
typedef void mesh_kube_data_fn(void *arg, struct mesh_slice piece);
/** A GET without end (logs -f, a watch as Table): 2xx bodies go to data() as they come, done() is the end. */
struct mesh_kube_request *mesh_kube_stream(struct mesh_kube *kube, const char *path, const char *accept,
					   mesh_kube_data_fn *data, mesh_kube_done_fn *done, void *arg);

/** The same, running the loop until the answer is there. Caller decrefs *body (may be NULL). Returns the status, or 0.
 */
int mesh_kube_call(struct mesh_kube *kube, const char *method, const char *path, const json_t *body,
		   const char *content_type, json_t **ret_body, struct mesh_errs *errs);

enum mesh_kube_event {
	MESH_KUBE_SET,    /* added or modified: obj is the whole object */
	MESH_KUBE_DELETE, /* obj is its last state */
	MESH_KUBE_SYNCED, /* obj is NULL: the (re)list is complete; objects gone meanwhile were reported as DELETE
			     before */
};

/**
 * rv is the resourceVersion this stream has now reached; "0" for the objects of a list, which is only reached with
 * SYNCED (and at SYNCED for a kind that is not installed). obj is borrowed (json_incref() to keep it) and has no
 * metadata.managedFields.
 */
typedef void mesh_kube_watch_fn(void *arg, enum mesh_kube_event event, const json_t *obj, const char *rv);

/**
 * Lists and then watches path ("/api/v1/pods", "/apis/networking.istio.io/v1beta1/virtualservices") with optional query
 * ("fieldSelector=spec.nodeName%3Dn1"), for ever: pages, bookmarks, 410 Gone (relists, reporting what disappeared),
 * back-off with jitter up to 5 s. While the API is away nothing is reported: the last state stays good. A path
 * that answers 404 (kind not installed) is reported SYNCED empty and retried every 5 s.
 */
struct mesh_kube_watch *mesh_kube_watch_new(struct mesh_kube *kube, const char *path, const char *query,
					    mesh_kube_watch_fn *fn, void *arg);

/** A watch for those who keep what they need themselves, and of much. Strings are copied. */
struct mesh_kube_watch_opts {
	const char *path, *query; /* as above; query may be NULL */
	bool metadata;            /* only that of each object (meta.k8s.io/v1 PartialObjectMetadata) */
	unsigned page;            /* objects in a list's page; 0: 500 */
	mesh_kube_watch_fn *fn;
	void *arg;
};

/**
 * As mesh_kube_watch_new(), but keeps no object: of a list the objects are reported (if new or different) one by one as
 * they come, then what vanished, of which obj has metadata.namespace, name and uid only, then SYNCED.
 */
struct mesh_kube_watch *mesh_kube_watch_open(struct mesh_kube *kube, const struct mesh_kube_watch_opts *opts);
/**
 * For a watch just opened: fn's owner has this object already, from before; a list tells only what is different.
 * Returns false if the watch itself told of it meanwhile.
 */
bool mesh_kube_watch_know(struct mesh_kube_watch *watch, const json_t *obj);
/** The server is known to answer again: does not wait out its back-off, if it is in one. */
void mesh_kube_watch_hurry(struct mesh_kube_watch *watch);
/** Whether what was reported is what the server has, as far as can be known: listed, and the stream is open. */
bool mesh_kube_watch_in_step(const struct mesh_kube_watch *watch);
void mesh_kube_watch_free(struct mesh_kube_watch *watch);
/** Why the stream is not in step with the server at the moment, or NULL if it is. Borrowed until the loop runs. */
const char *mesh_kube_watch_error(const struct mesh_kube_watch *watch);

#endif
