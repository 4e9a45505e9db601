/* SPDX-License-Identifier: Apache-2.0 */
#include "control/cache.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/vec.h"

#include <assert.h>
#include <time.h>

struct control_row {
	const char *kind, *prefix, *version, *plural;
	bool namespaced;
	const char *query;
};

static const struct control_row rows[MESH_CONTROL_KIND_COUNT] = {
#define ROW(id, ...) [MESH_CONTROL_##id] = {__VA_ARGS__},
	MESH_CONTROL_KINDS(ROW)
#undef ROW
};

struct cache_kind {
	struct mesh_cache *cache;
	struct mesh_kube_watch *watch;
	struct mesh_map objects; /* "NS/NAME" -> json_t * */
	bool synced;
};

/* A write under way. */
struct cache_write {
	struct mesh_cache *cache;
	struct mesh_kube_request *request;
	enum mesh_control_kind kind;
	char *path;    /* of the object or its status: the key in writes */
	json_t *merge; /* what a create merges in when the object turns out to exist */
	bool removal;  /* that it is gone already is as good */
};

struct mesh_cache {
	struct mesh_loop *loop;
	struct mesh_kube *kube;
	void (*changed)(void *arg);
	void *arg;
	struct cache_kind kinds[MESH_CONTROL_KIND_COUNT];
	size_t synced;
	struct mesh_map writes;  /* path -> struct cache_write * */
	struct mesh_map waiting; /* path -> due time: writes that failed, not to be repeated at once */
	struct mesh_timer retry;
};

static const char *meta_text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(json_object_get(obj, "metadata"), key));

	return s ? s : "";
}

const char *mesh_control_name(const json_t *obj)
{
	return meta_text(obj, "name");
}

const char *mesh_control_ns(const json_t *obj)
{
	return meta_text(obj, "namespace");
}

const char *mesh_control_uid(const json_t *obj)
{
	return meta_text(obj, "uid");
}

json_int_t mesh_control_generation(const json_t *obj)
{
	return json_integer_value(json_object_get(json_object_get(obj, "metadata"), "generation"));
}

bool mesh_json_covers(const json_t *have, const json_t *want)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_null(want))
		return !have || json_is_null(have);
	if (json_is_object(want)) {
		if (!json_is_object(have))
			return false;
		json_object_foreach((json_t *)want, key,
				    value) if (!mesh_json_covers(json_object_get(have, key), value)) return false;
		return true;
	}
	if (json_is_array(want)) {
		if (!json_is_array(have) || json_array_size(have) != json_array_size(want))
			return false;
		json_array_foreach(want, i, value) if (!mesh_json_covers(json_array_get(have, i), value)) return false;
		return true;
	}
	return have && json_equal(have, want);
}

json_t *mesh_json_format(const char *fmt, ...)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	json_error_t error;
	json_t *ret;
	va_list ap;

	va_start(ap, fmt);
	mesh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	ret = json_loads(text.data, 0, &error);
	if (!ret) {
		mesh_error("%s at %d of %s", error.text, error.position, text.data);
		abort();
	}
	return ret;
}

json_t *mesh_json_time_now(void)
{
	char text[32];
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

static struct mesh_slice object_key(char *buf, size_t size, const char *ns, const char *name)
{
	int n = snprintf(buf, size, "%s/%s", ns ? ns : "", name);

	return mesh_slice_of(buf, MESH_MIN((size_t)n, size - 1));
}

static char *object_path(enum mesh_control_kind kind, const char *ns, const char *name)
{
	const struct control_row *row = &rows[kind];

	if (!row->namespaced)
		return mesh_xasprintf("%s/%s%s%s", row->prefix, row->plural, *name ? "/" : "", name);
	return mesh_xasprintf("%s/namespaces/%s/%s%s%s", row->prefix, ns, row->plural, *name ? "/" : "", name);
}

static bool cache_synced(const struct mesh_cache *cache)
{
	return cache->synced == MESH_CONTROL_KIND_COUNT;
}

static unsigned long long version_of(const json_t *obj)
{
	return strtoull(meta_text(obj, "resourceVersion"), NULL, 10);
}

static void put_object(struct cache_kind *k, const json_t *obj)
{
	char buf[600];
	struct mesh_slice key = object_key(buf, sizeof(buf), mesh_control_ns(obj), mesh_control_name(obj));
	json_t *old = mesh_map_get(&k->objects, key);

	/* An answer to our own write may come before the watch tells of an older one. */
	if (old && version_of(old) > version_of(obj) && strcmp(mesh_control_uid(old), mesh_control_uid(obj)) == 0)
		return;
	mesh_map_put(&k->objects, key, json_incref((json_t *)(uintptr_t)obj));
	json_decref(old);
}

static void on_event(void *arg, enum mesh_kube_event event, const json_t *obj, const char *rv)
{
	struct cache_kind *k = arg;
	char buf[600];

	(void)rv;
	if (event == MESH_KUBE_SET)
		put_object(k, obj);
	else if (event == MESH_KUBE_DELETE)
		json_decref(mesh_map_remove(
			&k->objects, object_key(buf, sizeof(buf), mesh_control_ns(obj), mesh_control_name(obj))));
	else if (!k->synced) {
		k->synced = true;
		k->cache->synced++;
	}
	if (cache_synced(k->cache))
		k->cache->changed(k->cache->arg);
}

static void on_retry(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_cache *cache = mesh_container_of(timer, struct mesh_cache, retry);

	(void)loop;
	mesh_map_each (e, &cache->waiting)
		free(e->value);
	mesh_map_free(&cache->waiting);
	cache->changed(cache->arg);
}

int mesh_cache_new(struct mesh_cache **ret, struct mesh_loop *loop, struct mesh_kube *kube, void (*changed)(void *arg),
		   void *arg)
{
	struct mesh_cache *cache = mesh_xcalloc(1, sizeof(*cache));

	cache->loop = loop;
	cache->kube = kube;
	cache->changed = changed;
	cache->arg = arg;
	cache->retry.fn = on_retry;
	for (size_t i = 0; i < MESH_CONTROL_KIND_COUNT; i++) {
		mesh_auto_free char *path = mesh_xasprintf("%s/%s", rows[i].prefix, rows[i].plural);

		cache->kinds[i].cache = cache;
		cache->kinds[i].watch = mesh_kube_watch_new(kube, path, rows[i].query, on_event, &cache->kinds[i]);
	}
	*ret = cache;
	return 0;
}

static void write_free(struct cache_write *w)
{
	json_decref(w->merge);
	free(w->path);
	free(w);
}

void mesh_cache_free(struct mesh_cache *cache)
{
	if (!cache)
		return;
	mesh_timer_remove(cache->loop, &cache->retry);
	for (size_t i = 0; i < MESH_CONTROL_KIND_COUNT; i++) {
		mesh_kube_watch_free(cache->kinds[i].watch);
		mesh_map_each (e, &cache->kinds[i].objects)
			json_decref(e->value);
		mesh_map_free(&cache->kinds[i].objects);
	}
	mesh_map_each (e, &cache->writes) {
		struct cache_write *w = e->value;

		mesh_kube_cancel(w->request);
		write_free(w);
	}
	mesh_map_free(&cache->writes);
	mesh_map_each (e, &cache->waiting)
		free(e->value);
	mesh_map_free(&cache->waiting);
	free(cache);
}

const json_t *mesh_cache_get(const struct mesh_cache *cache, enum mesh_control_kind kind, const char *ns,
			     const char *name)
{
	char buf[600];

	return mesh_map_get(&cache->kinds[kind].objects, object_key(buf, sizeof(buf), ns, name));
}

const struct mesh_map *mesh_cache_all(const struct mesh_cache *cache, enum mesh_control_kind kind)
{
	return &cache->kinds[kind].objects;
}

static void on_written(void *arg, const struct mesh_kube_response *r);

static void write_send(struct cache_write *w, const char *method, const char *path, const json_t *body)
{
	w->request = mesh_kube_send(w->cache->kube, method, path, body, NULL, NULL, on_written, w);
	if (!w->request) {
		mesh_map_remove_str(&w->cache->writes, w->path);
		write_free(w);
	}
}

/* A write that was refused is not repeated before a second has passed: the reason may stay. */
static void write_failed(struct cache_write *w, const struct mesh_kube_response *r)
{
	struct mesh_cache *cache = w->cache;

	if (r->status != 404 || w->kind != MESH_CONTROL_ROUTE) /* Routes are OpenShift's: a cluster may have none */
		mesh_warn("%s %s: %s", rows[w->kind].kind, w->path, r->error ? r->error : "refused");
	free(mesh_map_put_str(&cache->waiting, w->path, mesh_xstrdup("")));
	if (!cache->retry.heap_at)
		mesh_timer_set(cache->loop, &cache->retry, r->status == 404 ? MESH_SEC(10) : MESH_SEC(1));
}

static void on_written(void *arg, const struct mesh_kube_response *r)
{
	struct cache_write *w = arg;
	struct mesh_cache *cache = w->cache;

	w->request = NULL;
	if (r->status == 409 && w->merge) {
		json_t *merge = mesh_steal(w->merge);

		write_send(w, "PATCH", w->path, merge);
		json_decref(merge);
		return;
	}
	mesh_map_remove_str(&cache->writes, w->path);
	if ((r->status < 200 || r->status >= 300) && !(w->removal && r->status == 404))
		write_failed(w, r);
	else if (!w->removal && json_object_get(r->body, "metadata") &&
		 strcmp(rows[w->kind].kind, json_string_value(json_object_get(r->body, "kind")) ?: "") == 0)
		put_object(&cache->kinds[w->kind], r->body);
	write_free(w);
	cache->changed(cache->arg);
}

/* NULL when one is under way, or failed just now. */
static struct cache_write *write_new(struct mesh_cache *cache, enum mesh_control_kind kind, const char *path)
{
	struct cache_write *w;

	if (mesh_map_get_str(&cache->writes, path) || mesh_map_get_str(&cache->waiting, path))
		return NULL;
	w = mesh_xcalloc(1, sizeof(*w));
	*w = (struct cache_write){.cache = cache, .kind = kind, .path = mesh_xstrdup(path)};
	mesh_map_put_str(&cache->writes, path, w);
	return w;
}

bool mesh_cache_ensure(struct mesh_cache *cache, enum mesh_control_kind kind, json_t *want)
{
	const char *ns = mesh_control_ns(want), *name = mesh_control_name(want);
	const json_t *have = mesh_cache_get(cache, kind, ns, name);
	mesh_auto_free char *path = object_path(kind, ns, name), *list = object_path(kind, ns, "");
	json_t *meta = json_object_get(want, "metadata"), *labels = json_object_get(meta, "labels");
	struct cache_write *w;

	if (rows[kind].query && kind != MESH_CONTROL_LEASE) {
		if (!labels)
			json_object_set_new(meta, "labels", labels = json_object());
		json_object_set_new(labels, "app.kubernetes.io/managed-by", json_string("sockmesh"));
	}
	if (have && mesh_json_covers(have, want)) {
		json_decref(want);
		return true;
	}
	json_object_set_new(want, "apiVersion", json_string(rows[kind].version));
	json_object_set_new(want, "kind", json_string(rows[kind].kind));
	w = write_new(cache, kind, path);
	if (w && have) {
		write_send(w, "PATCH", path, want);
	} else if (w) {
		w->merge = json_incref(want);
		write_send(w, "POST", list, want);
	}
	json_decref(want);
	return false;
}

bool mesh_cache_status(struct mesh_cache *cache, enum mesh_control_kind kind, const json_t *obj, json_t *status)
{
	mesh_auto_free char *path = object_path(kind, mesh_control_ns(obj), mesh_control_name(obj));
	mesh_auto_free char *status_path = mesh_xasprintf("%s/status", path);
	struct cache_write *w;
	json_t *body;

	if (mesh_json_covers(json_object_get(obj, "status"), status)) {
		json_decref(status);
		return true;
	}
	w = write_new(cache, kind, status_path);
	body = json_pack("{s:o}", "status", status);
	if (w)
		write_send(w, "PATCH", status_path, body);
	json_decref(body);
	return false;
}

void mesh_cache_delete(struct mesh_cache *cache, enum mesh_control_kind kind, const json_t *obj)
{
	mesh_auto_free char *path = object_path(kind, mesh_control_ns(obj), mesh_control_name(obj));
	json_t *body = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions", "preconditions",
				 "uid", mesh_control_uid(obj));
	struct cache_write *w = write_new(cache, kind, path);

	if (w) {
		w->removal = true;
		write_send(w, "DELETE", path, body);
	}
	json_decref(body);
}
