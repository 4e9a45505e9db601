/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading Kubernetes objects with few words, and keeping a watched collection. Objects in a
 * cache are shared and never changed. The loop's thread.
 */
#ifndef MESH_LAB_LAB_JSON_H
#define MESH_LAB_LAB_JSON_H

#include "core/map.h"
#include "core/vec.h"
#include "kube/kube.h"

#include <jansson.h>
#include <stdbool.h>
#include <time.h>

/** What is at a dotted path ("metadata.name"), or NULL. Keys must not have dots themselves. */
json_t *mesh_lab_at(const json_t *o, const char *path);
/** Text at a path; "" if there is none. */
const char *mesh_lab_text(const json_t *o, const char *path);
/** Integer at a path, or otherwise. */
long long mesh_lab_int(const json_t *o, const char *path, long long otherwise);
bool mesh_lab_is(const json_t *o, const char *path, const char *text);
/** The item of an array that has name at key, or NULL. */
json_t *mesh_lab_item(const json_t *array, const char *key, const char *name);
/** Does a plain map of labels (matchLabels or a Service's selector) match? An empty or missing one does not. */
bool mesh_lab_labels_match(const json_t *want, const json_t *labels);
/** Seconds since 1970 of RFC 3339 text; 0 if it is not. */
time_t mesh_lab_time_parse(const char *text);
/** Seconds of now as a JSON string; new reference. */
json_t *mesh_lab_now(void);
/** Numeric resourceVersion; 0 if none. */
uint64_t mesh_lab_rv(const json_t *o);
bool mesh_lab_deleting(const json_t *o);
/** metadata.ownerReferences: the one with controller true, or NULL. */
json_t *mesh_lab_controller_of(const json_t *o);
/** True if the condition of that type has status True. */
bool mesh_lab_condition(const json_t *o, const char *type);

/** Decodes base64 (a NUL is added); len may be NULL. The caller frees; NULL if it is not base64. */
char *mesh_lab_base64(const char *text, size_t *len);

struct mesh_lab_cache;

/** old is NULL for a new object, obj is NULL for one gone; both NULL: the list is complete. */
typedef void mesh_lab_cache_fn(void *arg, struct mesh_lab_cache *cache, json_t *old, json_t *obj);

struct mesh_lab_cache {
	const char *what; /* "pods" */
	struct mesh_kube_watch *watch;
	struct mesh_map items; /* "namespace/name" -> json_t * */
	bool synced;
	uint64_t rv; /* the stream has reached */
	mesh_lab_cache_fn *fn;
	void *arg;
};

/** Starts to watch. Strings are borrowed for as long as the cache lives. */
void mesh_lab_cache_start(struct mesh_lab_cache *cache, struct mesh_kube *kube, const char *what, const char *path,
			  const char *query, mesh_lab_cache_fn *fn, void *arg);
/** Borrowed, or NULL. ns "" for what is not in a namespace. */
json_t *mesh_lab_cache_get(const struct mesh_lab_cache *cache, const char *ns, const char *name);
/** An answer to a write, which the watch may bring later: taken if newer than what is known. Calls fn. */
void mesh_lab_cache_put(struct mesh_lab_cache *cache, json_t *obj);

/** Puts obj in place of what is known of the same version, until the API tells: what we have just asked for. */
void mesh_lab_cache_assume(struct mesh_lab_cache *cache, json_t *obj);

#define mesh_lab_cache_each(entry, cache) mesh_map_each (entry, &(cache)->items)

struct mesh_lab_events;

/** Writes Events about objects, counting repetitions. component: "kubelet"; host: node name or "". */
struct mesh_lab_events *mesh_lab_events_new(struct mesh_kube *kube, const char *component, const char *host);
void mesh_lab_event(struct mesh_lab_events *events, const json_t *about, const char *kind, const char *api_version,
		    const char *type, const char *reason, const char *fmt, ...) __attribute__((format(printf, 7, 8)));

#endif
