/* SPDX-License-Identifier: Apache-2.0 */
#include "control/cache_inside.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "core/vec.h"
#include "model/names.h"

#include <time.h>

enum { REPORT_SECONDS = 10 };

const struct mesh_control_row mesh_control_rows[MESH_CONTROL_KIND_COUNT] = {
#define ROW(id, ...) [MESH_CONTROL_##id] = {__VA_ARGS__},
	MESH_CONTROL_KINDS(ROW)
#undef ROW
};

const char *mesh_control_name(const json_t *obj)
{
	return mesh_meta(obj, "name");
}

const char *mesh_control_ns(const json_t *obj)
{
	return mesh_meta(obj, "namespace");
}

const char *mesh_control_uid(const json_t *obj)
{
	return mesh_meta(obj, "uid");
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
	char text[MESH_TIME_TEXT];

	return json_string(mesh_time_text(time(NULL), text));
}

static struct mesh_slice object_key(char *buf, size_t size, const char *ns, const char *name)
{
	int n = snprintf(buf, size, "%s/%s", ns ? ns : "", name);

	return mesh_slice_of(buf, MESH_MIN((size_t)n, size - 1));
}

char *mesh_control_path(enum mesh_control_kind kind, const char *ns, const char *name)
{
	const struct mesh_control_row *row = &mesh_control_rows[kind];

	if (!(row->flags & MESH_CONTROL_NAMESPACED))
		return mesh_xasprintf("%s/%s%s%s", row->prefix, row->plural, *name ? "/" : "", name);
	return mesh_xasprintf("%s/namespaces/%s/%s%s%s", row->prefix, ns, row->plural, *name ? "/" : "", name);
}

bool mesh_cache_synced(const struct mesh_cache *cache)
{
	return cache->synced == MESH_CONTROL_KIND_COUNT;
}

bool mesh_cache_served(const struct mesh_cache *cache, enum mesh_control_kind kind)
{
	return cache->kinds[kind].served;
}

void mesh_cache_missing(const struct mesh_cache *cache, struct mesh_buf *text)
{
	for (size_t i = 0; i < MESH_CONTROL_KIND_COUNT; i++) {
		const struct mesh_cache_kind *k = &cache->kinds[i];
		const char *why = mesh_kube_watch_error(k->watch);

		if (!k->synced || (!k->served && !(mesh_control_rows[i].flags & MESH_CONTROL_EXTRA)))
			mesh_buf_printf(text, " %s (%s)", mesh_control_rows[i].kind, why ? why : "not listed yet");
	}
}

static unsigned long long version_of(const json_t *obj)
{
	return strtoull(mesh_meta(obj, "resourceVersion"), NULL, 10);
}

void mesh_cache_put(struct mesh_cache_kind *k, const json_t *obj)
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
	struct mesh_cache_kind *k = arg;
	enum mesh_control_kind kind = (enum mesh_control_kind)(k - k->cache->kinds);
	char buf[600];

	if (event == MESH_KUBE_SET) {
		mesh_cache_put(k, obj);
	} else if (event == MESH_KUBE_DELETE) {
		json_decref(mesh_map_remove(
			&k->objects, object_key(buf, sizeof(buf), mesh_control_ns(obj), mesh_control_name(obj))));
		mesh_cache_forget(k->cache, kind, obj);
	} else {
		k->served = strcmp(rv, "0") != 0;
		k->cache->synced += !k->synced;
		k->synced = true;
	}
	if (mesh_cache_synced(k->cache))
		k->cache->changed(k->cache->arg);
}

/* Says what is waited for, when that changes. */
static void on_report(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_cache *cache = mesh_container_of(timer, struct mesh_cache, report);
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};

	mesh_timer_set(loop, timer, MESH_SEC(REPORT_SECONDS));
	mesh_cache_missing(cache, &text);
	if (strcmp(text.data ? text.data : "", cache->reported ? cache->reported : "") == 0)
		return;
	if (text.len)
		mesh_warn("waiting for the API to have:%s", text.data);
	else
		mesh_info("the API has every kind that the mesh needs");
	free(cache->reported);
	cache->reported = mesh_buf_steal(&text);
}

int mesh_cache_new(struct mesh_cache **ret, struct mesh_loop *loop, struct mesh_kube *kube, void (*changed)(void *arg),
		   void *arg)
{
	struct mesh_cache *cache = mesh_xcalloc(1, sizeof(*cache));

	cache->loop = loop;
	cache->kube = kube;
	cache->changed = changed;
	cache->arg = arg;
	cache->retry.fn = mesh_cache_retry;
	cache->report.fn = on_report;
	for (size_t i = 0; i < MESH_CONTROL_KIND_COUNT; i++) {
		mesh_auto_free char *path =
			mesh_control_rows[i].flags & MESH_CONTROL_ROOT
				? mesh_control_path((enum mesh_control_kind)i, MESH_ROOT_NAMESPACE, "")
				: mesh_xasprintf("%s/%s", mesh_control_rows[i].prefix, mesh_control_rows[i].plural);

		cache->kinds[i].cache = cache;
		cache->kinds[i].watch =
			mesh_kube_watch_new(kube, path, mesh_control_rows[i].query, on_event, &cache->kinds[i]);
	}
	mesh_timer_set(loop, &cache->report, MESH_SEC(REPORT_SECONDS) / 2);
	*ret = cache;
	return 0;
}

void mesh_cache_free(struct mesh_cache *cache)
{
	if (!cache)
		return;
	mesh_timer_remove(cache->loop, &cache->retry);
	mesh_timer_remove(cache->loop, &cache->report);
	for (size_t i = 0; i < MESH_CONTROL_KIND_COUNT; i++) {
		mesh_kube_watch_free(cache->kinds[i].watch);
		mesh_map_each (e, &cache->kinds[i].objects)
			json_decref(e->value);
		mesh_map_free(&cache->kinds[i].objects);
	}
	mesh_cache_writes_free(cache);
	free(cache->reported);
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
