/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab_json.h"

#include "core/mem.h"
#include "core/time.h"

#include <openssl/evp.h>
#include <stdio.h>

json_t *mesh_lab_at(const json_t *o, const char *path)
{
	struct mesh_slice rest = mesh_slice_str(path), part;

	while (o && mesh_slice_split(&rest, '.', &part))
		o = json_object_getn(o, part.ptr, part.len);
	return (json_t *)o;
}

const char *mesh_lab_text(const json_t *o, const char *path)
{
	const char *text = json_string_value(mesh_lab_at(o, path));

	return text ? text : "";
}

long long mesh_lab_int(const json_t *o, const char *path, long long otherwise)
{
	const json_t *v = mesh_lab_at(o, path);

	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

bool mesh_lab_is(const json_t *o, const char *path, const char *text)
{
	return strcmp(mesh_lab_text(o, path), text) == 0;
}

json_t *mesh_lab_item(const json_t *array, const char *key, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach(array, i, item)
	{
		const char *value = json_string_value(json_object_get(item, key));

		if (value && strcmp(value, name) == 0)
			return item;
	}
	return NULL;
}

bool mesh_lab_labels_match(const json_t *want, const json_t *labels)
{
	const char *key;
	json_t *value;

	if (json_object_size(want) == 0)
		return false;
	json_object_foreach((json_t *)want, key, value)
	{
		const char *have = json_string_value(json_object_get(labels, key));

		if (!have || strcmp(have, json_string_value(value) ? json_string_value(value) : "") != 0)
			return false;
	}
	return true;
}

time_t mesh_lab_time_parse(const char *text)
{
	int64_t t;

	return mesh_time_parse(text, &t) < 0 ? 0 : (time_t)t;
}

json_t *mesh_lab_now(void)
{
	char text[MESH_TIME_TEXT];

	return json_string(mesh_time_text(time(NULL), text));
}

uint64_t mesh_lab_rv(const json_t *o)
{
	uint64_t rv;

	if (mesh_slice_to_u64(mesh_slice_str(mesh_lab_text(o, "metadata.resourceVersion")), UINT64_MAX, &rv) < 0)
		return 0;
	return rv;
}

bool mesh_lab_deleting(const json_t *o)
{
	return mesh_lab_text(o, "metadata.deletionTimestamp")[0] != 0;
}

json_t *mesh_lab_controller_of(const json_t *o)
{
	json_t *ref;
	size_t i;

	json_array_foreach(mesh_lab_at(o, "metadata.ownerReferences"), i, ref)
	{
		if (json_is_true(json_object_get(ref, "controller")))
			return ref;
	}
	return NULL;
}

bool mesh_lab_condition(const json_t *o, const char *type)
{
	return mesh_lab_is(mesh_lab_item(mesh_lab_at(o, "status.conditions"), "type", type), "status", "True");
}

char *mesh_lab_base64(const char *text, size_t *len)
{
	size_t in = strlen(text), pad = in && text[in - 1] == '=' ? (in > 1 && text[in - 2] == '=' ? 2 : 1) : 0;
	char *out = mesh_xmalloc(in / 4 * 3 + 4);
	int n = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, (int)in);

	if (n < 0 || (size_t)n < pad) {
		free(out);
		return NULL;
	}
	out[(size_t)n - pad] = 0;
	if (len)
		*len = (size_t)n - pad;
	return out;
}

static char *cache_key(const char *ns, const char *name)
{
	return mesh_xasprintf("%s/%s", ns, name);
}

/* Puts obj (NULL: nothing) in place of what is there and tells. */
static void cache_change(struct mesh_lab_cache *cache, const char *key, json_t *obj)
{
	json_t *old =
		obj ? mesh_map_put_str(&cache->items, key, json_incref(obj)) : mesh_map_remove_str(&cache->items, key);

	if (cache->fn && (old || obj))
		cache->fn(cache->arg, cache, old, obj);
	json_decref(old);
}

static void cache_event(void *arg, enum mesh_kube_event event, const json_t *obj, const char *rv)
{
	struct mesh_lab_cache *cache = arg;
	mesh_auto_free char *key = NULL;
	uint64_t reached;

	if (rv && mesh_slice_to_u64(mesh_slice_str(rv), UINT64_MAX, &reached) == 0 && reached > cache->rv)
		cache->rv = reached;
	if (event == MESH_KUBE_SYNCED) {
		cache->synced = true;
		if (cache->fn)
			cache->fn(cache->arg, cache, NULL, NULL);
		return;
	}
	key = cache_key(mesh_lab_text(obj, "metadata.namespace"), mesh_lab_text(obj, "metadata.name"));
	if (event == MESH_KUBE_SET) {
		const json_t *known = mesh_map_get_str(&cache->items, key);

		if (known && mesh_lab_rv(known) >= mesh_lab_rv(obj) &&
		    strcmp(mesh_lab_text(known, "metadata.uid"), mesh_lab_text(obj, "metadata.uid")) == 0)
			return; /* an answer brought it before */
		cache_change(cache, key, (json_t *)obj);
	} else {
		cache_change(cache, key, NULL);
	}
}

void mesh_lab_cache_start(struct mesh_lab_cache *cache, struct mesh_kube *kube, const char *what, const char *path,
			  const char *query, mesh_lab_cache_fn *fn, void *arg)
{
	cache->what = what;
	cache->fn = fn;
	cache->arg = arg;
	cache->watch = mesh_kube_watch_new(kube, path, query, cache_event, cache);
}

json_t *mesh_lab_cache_get(const struct mesh_lab_cache *cache, const char *ns, const char *name)
{
	mesh_auto_free char *key = cache_key(ns, name);

	return mesh_map_get_str(&cache->items, key);
}

void mesh_lab_cache_put(struct mesh_lab_cache *cache, json_t *obj)
{
	mesh_auto_free char *key =
		cache_key(mesh_lab_text(obj, "metadata.namespace"), mesh_lab_text(obj, "metadata.name"));
	const json_t *known = mesh_map_get_str(&cache->items, key);
	uint64_t rv = mesh_lab_rv(obj);

	if (rv == 0 || (known && mesh_lab_rv(known) >= rv) || (!known && cache->rv >= rv))
		return; /* if the stream has passed it and it is not here, it is gone */
	cache_change(cache, key, obj);
}

void mesh_lab_cache_assume(struct mesh_lab_cache *cache, json_t *obj)
{
	mesh_auto_free char *key =
		cache_key(mesh_lab_text(obj, "metadata.namespace"), mesh_lab_text(obj, "metadata.name"));

	json_decref(mesh_map_put_str(&cache->items, key, json_incref(obj)));
}

/* One kind of event about one object: further ones are counted. */
struct event {
	char *name, *ns;
	unsigned count;
};

struct mesh_lab_events {
	struct mesh_kube *kube;
	char *component, *host;
	struct mesh_map known; /* "uid/reason/message" -> struct event * */
	unsigned serial;
};

enum { EVENTS_KNOWN_MAX = 512 };

struct mesh_lab_events *mesh_lab_events_new(struct mesh_kube *kube, const char *component, const char *host)
{
	struct mesh_lab_events *events = mesh_xcalloc(1, sizeof(*events));

	events->kube = kube;
	events->component = mesh_xstrdup(component);
	events->host = mesh_xstrdup(host);
	return events;
}

static void event_written(void *arg, const struct mesh_kube_response *r)
{
	(void)arg;
	(void)r; /* events are told once; one that is lost stays lost */
}

static void forget_all(struct mesh_lab_events *events)
{
	mesh_map_each (e, &events->known) {
		struct event *known = e->value;

		free(known->name);
		free(known->ns);
		free(known);
	}
	mesh_map_free(&events->known);
}

static void repeat_event(struct mesh_lab_events *events, struct event *known)
{
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/events/%s", known->ns, known->name);
	json_t *patch = json_pack("{s:i, s:o}", "count", (int)++known->count, "lastTimestamp", mesh_lab_now());

	mesh_kube_send(events->kube, "PATCH", path, patch, NULL, NULL, event_written, NULL);
	json_decref(patch);
}

static void first_event(struct mesh_lab_events *events, const struct event *e, const json_t *about, const char *kind,
			const char *api_version, const char *type, const char *reason, const char *message)
{
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/events", e->ns);
	json_t *o = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s}, s:s, s:s, s:s, s:{s:s}, s:i, "
			      "s:o, s:o, s:s, s:s}",
			      "apiVersion", "v1", "kind", "Event", "metadata", "name", e->name, "namespace", e->ns,
			      "involvedObject", "kind", kind, "apiVersion", api_version, "namespace",
			      mesh_lab_text(about, "metadata.namespace"), "name", mesh_lab_text(about, "metadata.name"),
			      "uid", mesh_lab_text(about, "metadata.uid"), "type", type, "reason", reason, "message",
			      message, "source", "component", events->component, "count", 1, "firstTimestamp",
			      mesh_lab_now(), "lastTimestamp", mesh_lab_now(), "reportingComponent", events->component,
			      "reportingInstance", events->host);

	if (!o)
		return; /* a message that is not UTF-8 */
	if (events->host[0])
		json_object_set_new(json_object_get(o, "source"), "host", json_string(events->host));
	mesh_kube_send(events->kube, "POST", path, o, NULL, NULL, event_written, NULL);
	json_decref(o);
}

void mesh_lab_event(struct mesh_lab_events *events, const json_t *about, const char *kind, const char *api_version,
		    const char *type, const char *reason, const char *fmt, ...)
{
	const char *ns = mesh_lab_text(about, "metadata.namespace");
	mesh_auto(mesh_buf_free) struct mesh_buf message = {0};
	mesh_auto_free char *key = NULL;
	struct timespec now;
	struct event *e;
	va_list ap;

	va_start(ap, fmt);
	mesh_buf_vprintf(&message, fmt, ap);
	va_end(ap);
	if (message.len > 1000)
		message.data[message.len = 1000] = 0;
	key = mesh_xasprintf("%s/%s/%s", mesh_lab_text(about, "metadata.uid"), reason, mesh_buf_view(&message).ptr);
	e = mesh_map_get_str(&events->known, key);
	if (e) {
		repeat_event(events, e);
		return;
	}
	if (events->known.count >= EVENTS_KNOWN_MAX)
		forget_all(events);
	clock_gettime(CLOCK_REALTIME, &now);
	e = mesh_xcalloc(1, sizeof(*e));
	e->ns = mesh_xstrdup(*ns ? ns : "default");
	e->name = mesh_xasprintf("%s.%llx", mesh_lab_text(about, "metadata.name"),
				 (unsigned long long)now.tv_sec * 1000000000ULL + (unsigned long long)now.tv_nsec +
					 events->serial++);
	e->count = 1;
	mesh_map_put_str(&events->known, key, e);
	first_event(events, e, about, kind, api_version, type, reason, mesh_buf_view(&message).ptr);
}
