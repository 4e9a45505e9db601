/* SPDX-License-Identifier: Apache-2.0 */
/* How the cache writes: one write at a time to each object, and what is remembered of how it ended. */
#include "control/cache_inside.h"

#include "core/log.h"
#include "core/mem.h"
#include "model/names.h"

enum { PAUSE_MIN_MS = 1000, PAUSE_MAX_MS = 30000, FORGET_MS = 300000 };

/* A write under way. */
struct cache_write {
	struct mesh_cache *cache;
	struct mesh_kube_request *request;
	enum mesh_control_kind kind;
	char *path;    /* of the object or its status: the key in writes */
	json_t *merge; /* of a create: what is merged in when the object turns out to exist and to be ours */
	uint64_t hash; /* of what was asked for */
	bool removal;  /* that it is gone already is as good */
};

/* How the last write to a path ended. */
struct cache_outcome {
	uint64_t hash;   /* what was asked for */
	char *version;   /* the resourceVersion that came of it; NULL: it failed */
	char *problem;   /* "KIND NAME: why", when it failed */
	uint64_t due_ns; /* failed: not again before this */
	unsigned pause_ms;
};

static void outcome_free(struct cache_outcome *o)
{
	if (!o)
		return;
	free(o->version);
	free(o->problem);
	free(o);
}

/* What was learnt about an object goes with it. */
void mesh_cache_forget(struct mesh_cache *cache, enum mesh_control_kind kind, const json_t *obj)
{
	mesh_auto_free char *path = mesh_control_path(kind, mesh_control_ns(obj), mesh_control_name(obj));
	mesh_auto_free char *status = mesh_xasprintf("%s/status", path);

	outcome_free(mesh_map_remove_str(&cache->outcomes, path));
	outcome_free(mesh_map_remove_str(&cache->outcomes, status));
}

void mesh_cache_retry(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_cache *cache = mesh_container_of(timer, struct mesh_cache, retry);
	uint64_t now = mesh_now_ns(), next = 0;

	mesh_map_each (e, &cache->outcomes) {
		struct cache_outcome *o = e->value;

		if (!o->due_ns)
			continue;
		if (o->due_ns + MESH_MS(FORGET_MS) < now) { /* nobody has asked for it again */
			mesh_map_remove(&cache->outcomes, mesh_slice_of(e->key, e->key_len));
			outcome_free(o);
		} else if (o->due_ns > now && (!next || o->due_ns < next)) {
			next = o->due_ns;
		}
	}
	if (next)
		mesh_timer_set(loop, timer, next - now);
	if (mesh_cache_synced(cache))
		cache->changed(cache->arg);
}

static void write_free(struct cache_write *w)
{
	json_decref(w->merge);
	free(w->path);
	free(w);
}

static void on_written(void *arg, const struct mesh_kube_response *r);
static void write_failed(struct cache_write *w, const char *why);

/* Ends it when it cannot even be sent. */
static void write_send(struct cache_write *w, const char *method, const char *path, const json_t *body,
		       mesh_kube_done_fn *done)
{
	w->request = mesh_kube_send(w->cache->kube, method, path, body, NULL, NULL, done, w);
	if (!w->request) {
		write_failed(w, "the request cannot be sent");
		mesh_map_remove_str(&w->cache->writes, w->path);
		write_free(w);
	}
}

static struct cache_outcome *outcome_of(struct mesh_cache *cache, const char *path)
{
	struct cache_outcome *o = mesh_map_get_str(&cache->outcomes, path);

	if (!o) {
		o = mesh_xcalloc(1, sizeof(*o));
		mesh_map_put_str(&cache->outcomes, path, o);
	}
	return o;
}

/* A write that was refused is not repeated before a pause: the reason may stay. It is said when it is another. */
static void write_failed(struct cache_write *w, const char *why)
{
	struct mesh_cache *cache = w->cache;
	struct cache_outcome *o = outcome_of(cache, w->path);
	const char *slash = strrchr(w->path, '/');
	bool is_status = slash && strcmp(slash, "/status") == 0;
	char *problem = is_status ? mesh_xasprintf("%s %s: %s", mesh_control_rows[w->kind].kind, w->path, why)
				  : mesh_xasprintf("%s %s: %s", mesh_control_rows[w->kind].kind,
						   slash ? slash + 1 : w->path, why);

	if (!o->problem || strcmp(o->problem, problem) != 0) {
		mesh_warn("%s", problem);
		o->pause_ms = 0;
	}
	free(o->problem);
	free(o->version);
	o->problem = problem;
	o->version = NULL;
	o->hash = w->hash;
	o->pause_ms = o->pause_ms ? MESH_MIN(o->pause_ms * 2, (unsigned)PAUSE_MAX_MS) : PAUSE_MIN_MS;
	o->due_ns = mesh_now_ns() + MESH_MS(o->pause_ms);
	if (!cache->retry.heap_at || cache->retry.due_ns > o->due_ns)
		mesh_timer_set(cache->loop, &cache->retry, MESH_MS(o->pause_ms));
}

/* version: of what came of it; NULL: it is gone, and will be seen to be soon. */
static void write_succeeded(struct cache_write *w, const char *version)
{
	struct cache_outcome *o = mesh_map_remove_str(&w->cache->outcomes, w->path);

	if (o && o->problem)
		mesh_info("%s %s: written now", mesh_control_rows[w->kind].kind, w->path);
	outcome_free(o);
	o = outcome_of(w->cache, w->path);
	o->hash = w->hash;
	o->version = mesh_xstrdup(version);
	if (!version)
		o->due_ns = mesh_now_ns() + MESH_MS(PAUSE_MIN_MS);
}

static bool is_own_answer(const struct cache_write *w, const json_t *body)
{
	const char *kind = json_string_value(json_object_get(body, "kind"));

	return json_object_get(body, "metadata") && kind && strcmp(kind, mesh_control_rows[w->kind].kind) == 0;
}

static void write_over(struct cache_write *w)
{
	struct mesh_cache *cache = w->cache;

	mesh_map_remove_str(&cache->writes, w->path);
	write_free(w);
	if (mesh_cache_synced(cache))
		cache->changed(cache->arg);
}

static const char *owner_uid(const json_t *obj)
{
	json_t *list = json_object_get(json_object_get(obj, "metadata"), "ownerReferences");
	const char *uid = json_string_value(json_object_get(json_array_get(list, 0), "uid"));

	return uid ? uid : "";
}

/* Our label may have been taken off; then its owner, or what it is part of, still tells. */
static bool is_ours(const json_t *have, const json_t *want)
{
	json_t *labels = json_object_get(json_object_get(have, "metadata"), "labels");
	const char *by = json_string_value(json_object_get(labels, MESH_LABEL_MANAGED));
	const char *name = json_string_value(json_object_get(labels, MESH_LABEL_NAME));

	if (by && strcmp(by, "sockmesh-control") == 0)
		return true;
	if (owner_uid(want)[0])
		return strcmp(owner_uid(have), owner_uid(want)) == 0;
	return name && strcmp(name, "sockmesh") == 0;
}

/* The name of an object that we wanted to create is taken: by one of ours, or by somebody else's. */
static void on_looked(void *arg, const struct mesh_kube_response *r)
{
	struct cache_write *w = arg;

	w->request = NULL;
	if (r->status == 200 && is_ours(r->body, w->merge)) {
		json_t *merge = mesh_steal(w->merge);

		write_send(w, "PATCH", w->path, merge, on_written);
		json_decref(merge);
		return;
	}
	if (r->status == 200)
		write_failed(w, "there is one of that name that the mesh did not make; it is left alone");
	else
		write_failed(w, r->error ? r->error : "cannot be read");
	write_over(w);
}

static void on_written(void *arg, const struct mesh_kube_response *r)
{
	struct cache_write *w = arg;

	w->request = NULL;
	if (r->status == 409 && w->merge) {
		write_send(w, "GET", w->path, NULL, on_looked);
		return;
	}
	if ((r->status < 200 || r->status >= 300) && !(w->removal && (r->status == 404 || r->status == 409))) {
		write_failed(w, r->error ? r->error : "refused");
	} else if (w->removal) {
		write_succeeded(w, NULL);
	} else if (is_own_answer(w, r->body)) {
		mesh_cache_put(&w->cache->kinds[w->kind], r->body);
		write_succeeded(w, mesh_meta(r->body, "resourceVersion"));
	}
	write_over(w);
}

static uint64_t hash_of(const json_t *v)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
	uint64_t hash = text ? mesh_hash(text, strlen(text)) : 0;

	free(text);
	return hash;
}

/* Whether this very thing was written, and what came of it is what we have: asking again would change nothing. */
static bool was_written(const struct mesh_cache *cache, const char *path, uint64_t hash, const json_t *have)
{
	const struct cache_outcome *o = mesh_map_get_str(&cache->outcomes, path);

	return o && o->version && have && o->hash == hash &&
	       strcmp(o->version, mesh_meta(have, "resourceVersion")) == 0;
}

/* NULL when one is under way, or the same failed just now. */
static struct cache_write *write_new(struct mesh_cache *cache, enum mesh_control_kind kind, const char *path,
				     uint64_t hash)
{
	const struct cache_outcome *o = mesh_map_get_str(&cache->outcomes, path);
	struct cache_write *w;

	if (mesh_map_get_str(&cache->writes, path) || (o && o->hash == hash && o->due_ns > mesh_now_ns()))
		return NULL;
	w = mesh_xcalloc(1, sizeof(*w));
	*w = (struct cache_write){.cache = cache, .kind = kind, .path = mesh_xstrdup(path), .hash = hash};
	mesh_map_put_str(&cache->writes, path, w);
	return w;
}

static void add_label(json_t *want)
{
	json_t *meta = json_object_get(want, "metadata"), *labels = json_object_get(meta, "labels");

	if (!labels)
		json_object_set_new(meta, "labels", labels = json_object());
	json_object_set_new(labels, MESH_LABEL_MANAGED, json_string("sockmesh-control"));
}

bool mesh_cache_ensure(struct mesh_cache *cache, enum mesh_control_kind kind, json_t *want)
{
	const char *ns = mesh_control_ns(want), *name = mesh_control_name(want);
	const json_t *have = mesh_cache_get(cache, kind, ns, name);
	mesh_auto_free char *path = mesh_control_path(kind, ns, name), *list = mesh_control_path(kind, ns, "");
	struct cache_write *w;
	uint64_t hash;
	bool same;

	if (mesh_control_rows[kind].query || kind == MESH_CONTROL_AUTOSCALER)
		add_label(want);
	same = have && mesh_json_covers(have, want);
	hash = same ? 0 : hash_of(want);
	if (same || was_written(cache, path, hash, have)) {
		json_decref(want);
		return true;
	}
	json_object_set_new(want, "apiVersion", json_string(mesh_control_rows[kind].version));
	json_object_set_new(want, "kind", json_string(mesh_control_rows[kind].kind));
	w = write_new(cache, kind, path, hash);
	if (w && have) {
		write_send(w, "PATCH", path, want, on_written);
	} else if (w) {
		w->merge = json_incref(want);
		write_send(w, "POST", list, want, on_written);
	}
	json_decref(want);
	return false;
}

bool mesh_cache_status(struct mesh_cache *cache, enum mesh_control_kind kind, const json_t *obj, json_t *status)
{
	mesh_auto_free char *path = mesh_control_path(kind, mesh_control_ns(obj), mesh_control_name(obj));
	mesh_auto_free char *status_path = mesh_xasprintf("%s/status", path);
	struct cache_write *w;
	uint64_t hash;
	json_t *body;

	if (mesh_json_covers(json_object_get(obj, "status"), status)) {
		json_decref(status);
		return true;
	}
	hash = hash_of(status);
	if (was_written(cache, status_path, hash, obj)) {
		json_decref(status);
		return true;
	}
	w = write_new(cache, kind, status_path, hash);
	body = json_pack("{s:o}", "status", status);
	if (w)
		write_send(w, "PATCH", status_path, body, on_written);
	json_decref(body);
	return false;
}

void mesh_cache_delete(struct mesh_cache *cache, enum mesh_control_kind kind, const json_t *obj)
{
	mesh_auto_free char *path = mesh_control_path(kind, mesh_control_ns(obj), mesh_control_name(obj));
	json_t *body = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions", "preconditions",
				 "uid", mesh_control_uid(obj));
	struct cache_write *w = NULL;

	if (!mesh_meta(obj, "deletionTimestamp")[0])
		w = write_new(cache, kind, path, hash_of(body));
	if (w) {
		w->removal = true;
		write_send(w, "DELETE", path, body, on_written);
	}
	json_decref(body);
}

const char *mesh_cache_problem(const struct mesh_cache *cache, enum mesh_control_kind kind, const char *ns,
			       const char *name)
{
	mesh_auto_free char *path = mesh_control_path(kind, ns, name);
	const struct cache_outcome *o = mesh_map_get_str(&cache->outcomes, path);

	return o ? o->problem : NULL;
}

void mesh_cache_writes_free(struct mesh_cache *cache)
{
	mesh_map_each (e, &cache->writes) {
		struct cache_write *w = e->value;

		mesh_kube_cancel(w->request);
		write_free(w);
	}
	mesh_map_free(&cache->writes);
	mesh_map_each (e, &cache->outcomes)
		outcome_free(e->value);
	mesh_map_free(&cache->outcomes);
}
