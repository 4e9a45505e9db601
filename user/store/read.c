/* SPDX-License-Identifier: Apache-2.0 */
/* get and list: selectors, pages at one resourceVersion, Tables. */
#include "store/call.h"

#include "core/mem.h"

#include <errno.h>
#include <openssl/evp.h>

static const char *selector_text(struct mesh_call *call, const json_t *labels)
{
	const char *key, *text = "";
	json_t *value;

	json_object_foreach((json_t *)labels, key, value) text =
		mesh_arena_printf(call->arena, "%s%s%s=%s", text, text[0] ? "," : "", key, json_string_value(value));
	return text;
}

json_t *mesh_scale_of(struct mesh_call *call, const json_t *obj)
{
	json_t *meta = json_object();
	static const char *const keys[] = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(keys); i++)
		if (mesh_js_at(json_object_get(obj, "metadata"), keys[i]))
			json_object_set(meta, keys[i], mesh_js_at(json_object_get(obj, "metadata"), keys[i]));
	return json_pack("{s:s,s:s,s:o,s:{s:I},s:{s:I,s:s}}", "kind", "Scale", "apiVersion", "autoscaling/v1",
			 "metadata", meta, "spec", "replicas", (json_int_t)mesh_js_int(obj, "spec.replicas", 1),
			 "status", "replicas", (json_int_t)mesh_js_int(obj, "status.replicas", 0), "selector",
			 selector_text(call, mesh_js_at(obj, "spec.selector.matchLabels")));
}

void mesh_call_get(struct mesh_call *call)
{
	struct mesh_entry *e = mesh_state_get(call->res, call->ns, call->name);

	if (!e)
		mesh_call_not_found(call, call->name);
	else if (call->sub && strcmp(call->sub, "scale") == 0)
		mesh_call_json(call, 200, mesh_scale_of(call, e->obj));
	else
		mesh_call_object(call, 200, e->obj);
}

static bool parse_version(struct mesh_call *call, const char *text, uint64_t *ret)
{
	*ret = 0;
	if (!text || !text[0] || mesh_slice_to_u64(mesh_slice_str(text), INT64_MAX, ret) == 0)
		return true;
	mesh_call_status(
		call, 422, "Invalid", NULL,
		"ListOptions.meta.k8s.io \"\" is invalid: resourceVersion: Invalid value: \"%s\": strconv.ParseUint: "
		"parsing \"%s\": invalid syntax",
		text, text);
	return false;
}

bool mesh_call_list_opts(struct mesh_call *call, struct mesh_list_opts *o)
{
	const char *labels = mesh_request_param(call->req, "labelSelector"), *error = NULL;
	const char *fields = mesh_request_param(call->req, "fieldSelector");
	const char *limit = mesh_request_param(call->req, "limit");

	*o = (struct mesh_list_opts){0};
	if (labels && mesh_selector_parse_labels(call->arena, labels, &o->labels, &error) < 0) {
		mesh_call_bad_request(call, "%s", error);
		return false;
	}
	if (fields && mesh_selector_parse_fields(call->arena, call->res->kind, fields, &o->fields, &error) < 0) {
		mesh_call_bad_request(call, "%s", error);
		return false;
	}
	o->selective = o->labels.first || o->fields.first;
	if (limit && mesh_slice_to_u64(mesh_slice_str(limit), INT64_MAX, &o->limit) < 0) {
		mesh_call_bad_request(call, "strconv.ParseInt: parsing \"%s\": invalid syntax", limit);
		return false;
	}
	o->resource_version = mesh_request_param(call->req, "resourceVersion");
	o->match = mesh_request_param(call->req, "resourceVersionMatch");
	o->cont = mesh_request_param(call->req, "continue");
	return parse_version(call, o->resource_version, &o->rv);
}

/* Where a page ended: "v1\nRV\nNAMESPACE\nNAME" in base64url without padding. */
static char *cursor_make(uint64_t rv, const char *ns, const char *name)
{
	mesh_auto_free char *text = mesh_xasprintf("v1\n%llu\n%s\n%s", (unsigned long long)rv, ns, name);
	size_t n = strlen(text);
	char *out = mesh_xcalloc(1, n * 4 / 3 + 8);

	EVP_EncodeBlock((unsigned char *)out, (unsigned char *)text, (int)n);
	for (char *p = out; *p; p++)
		*p = (char)(*p == '+' ? '-' : *p == '/' ? '_' : *p);
	out[strcspn(out, "=")] = '\0';
	return out;
}

static bool cursor_read(struct mesh_arena *arena, const char *token, uint64_t *rv, const char **ns, const char **name)
{
	size_t n = strlen(token), padded = (n + 3) / 4 * 4;
	char *text = mesh_arena_zalloc(arena, padded + 1);
	char *in = mesh_arena_zalloc(arena, padded + 1);
	struct mesh_slice rest, part;

	memset(in, '=', padded);
	for (size_t i = 0; i < n; i++)
		in[i] = (char)(token[i] == '-' ? '+' : token[i] == '_' ? '/' : token[i]);
	if (n == 0 || n > 4096 || EVP_DecodeBlock((unsigned char *)text, (unsigned char *)in, (int)padded) < 0)
		return false;
	rest = mesh_slice_str(text);
	if (!mesh_slice_split(&rest, '\n', &part) || !mesh_slice_eq(part, MESH_SLICE("v1")) ||
	    !mesh_slice_split(&rest, '\n', &part) || mesh_slice_to_u64(part, INT64_MAX, rv) < 0 ||
	    !mesh_slice_split(&rest, '\n', &part))
		return false;
	*ns = mesh_arena_slice(arena, part);
	*name = mesh_arena_slice(arena, rest);
	return true;
}

struct item {
	const char *ns, *name;
	json_t *obj; /* borrowed from the state */
};

struct items {
	MESH_VEC(struct item) list;
};

static int by_name(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int c = strcmp(x->ns, y->ns);

	return c ? c : strcmp(x->name, y->name);
}

/* The objects of res as they were at rv, by undoing the changes since. */
static void objects_at(struct mesh_state *state, const struct mesh_resource *res, uint64_t rv, struct items *out)
{
	struct mesh_map changed = {0}; /* "ns/name" -> the event that followed rv */

	for (size_t i = mesh_state_after(state, rv); i < state->log.count; i++) {
		struct mesh_event *ev = &state->log.items[i];
		mesh_auto_free char *key = NULL;

		if (ev->resource != res)
			continue;
		key = mesh_xasprintf("%s/%s", ev->ns, ev->name);
		if (!mesh_map_get_str(&changed, key))
			mesh_map_put_str(&changed, key, ev);
	}
	mesh_vec_each (entry, &res->entries) {
		mesh_auto_free char *key = changed.count ? mesh_xasprintf("%s/%s", (*entry)->ns, (*entry)->name) : NULL;

		if (!key || !mesh_map_get_str(&changed, key))
			mesh_vec_push(&out->list, ((struct item){(*entry)->ns, (*entry)->name, (*entry)->obj}));
	}
	mesh_map_each (e, &changed) {
		struct mesh_event *ev = e->value;

		if (ev->before)
			mesh_vec_push(&out->list, ((struct item){ev->ns, ev->name, ev->before}));
	}
	if (changed.count && out->list.count)
		qsort(out->list.items, out->list.count, sizeof(out->list.items[0]), by_name);
	mesh_map_free(&changed);
}

static const char *list_kind(const struct mesh_call *call)
{
	return mesh_arena_printf(call->arena, "%sList", call->kind->kind);
}

struct page {
	json_t *items;
	char *cont;
	uint64_t rv;
	int64_t remaining; /* -1: not known */
};

static void reply_page(struct mesh_call *call, struct page *page)
{
	char rv[24];
	json_t *meta, *list;

	snprintf(rv, sizeof(rv), "%llu", (unsigned long long)page->rv);
	meta = json_pack("{s:s}", "resourceVersion", rv);
	if (page->cont)
		mesh_js_set(meta, "continue", page->cont);
	if (page->cont && page->remaining >= 0)
		json_object_set_new(meta, "remainingItemCount", json_integer(page->remaining));
	free(page->cont);
	if (call->shape == MESH_SHAPE_TABLE) {
		list = mesh_call_table(call, page->items, NULL, true);
		json_object_set_new(list, "metadata", meta);
	} else if (call->shape == MESH_SHAPE_PARTIAL) {
		size_t i;
		json_t *item, *items = json_array();

		json_array_foreach(page->items, i, item) json_array_append_new(items, mesh_partial_metadata(item));
		json_decref(page->items);
		list = json_pack("{s:s,s:s,s:o,s:o}", "kind", "PartialObjectMetadataList", "apiVersion",
				 "meta.k8s.io/v1", "metadata", meta, "items", items);
	} else {
		list = json_pack("{s:s,s:s,s:o,s:o}", "kind", list_kind(call), "apiVersion",
				 call->group[0] ? mesh_arena_printf(call->arena, "%s/%s", call->group, call->version)
						: call->version,
				 "metadata", meta, "items", page->items);
	}
	mesh_call_json(call, 200, list);
}

static void expired(struct mesh_call *call, const char *ns, const char *name)
{
	json_t *status = mesh_status_new(
		410, "Expired",
		"The provided continue parameter is too old to display a consistent list result. You can start a new "
		"list "
		"without the continue parameter, or use the continue token in this response to retrieve the remainder "
		"of the "
		"results. Continuing with the provided token results in an inconsistent list - objects that were "
		"created, "
		"modified, or deleted between the time the first chunk was returned and now may show up in the list.",
		NULL);
	char *token = cursor_make(call->store->state->rv, ns, name);

	mesh_js_set(json_object_get(status, "metadata"), "continue", token);
	free(token);
	mesh_call_json(call, 410, status);
}

/* Checks resourceVersion, resourceVersionMatch and continue; sets at which version to list. False: replied. */
static bool list_version(struct mesh_call *call, const struct mesh_list_opts *o, uint64_t *rv, const char **ns,
			 const char **name)
{
	struct mesh_state *state = call->store->state;
	bool exact = o->match && strcmp(o->match, "Exact") == 0;

	*rv = state->rv;
	if (o->cont && o->cont[0]) {
		if (!cursor_read(call->arena, o->cont, rv, ns, name)) {
			mesh_call_bad_request(call, "continue key is not valid: illegal base64 data at input byte 0");
			return false;
		}
		if (o->resource_version && o->resource_version[0] && strcmp(o->resource_version, "0") != 0) {
			mesh_call_bad_request(call, "specifying resource version is not allowed when using continue");
			return false;
		}
		if (*rv < state->oldest || *rv > state->rv) {
			expired(call, *ns, *name);
			return false;
		}
		return true;
	}
	if (o->match && o->match[0] && (!o->resource_version || !o->resource_version[0])) {
		mesh_call_status(call, 422, "Invalid", NULL,
				 "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
				 "resourceVersionMatch is "
				 "forbidden unless resourceVersion is provided");
		return false;
	}
	if (o->rv > state->rv) {
		mesh_call_status(call, 504, "Timeout",
				 json_pack("{s:[{s:s,s:s}],s:i}", "causes", "reason", "ResourceVersionTooLarge",
					   "message", "Too large resource version", "retryAfterSeconds", 1),
				 "Timeout: Too large resource version: %llu, current: %llu", (unsigned long long)o->rv,
				 (unsigned long long)state->rv);
		return false;
	}
	if (exact || (o->limit && o->rv && !(o->match && o->match[0]))) {
		if (o->rv < state->oldest) {
			mesh_call_status(call, 410, "Expired", NULL,
					 "The resourceVersion for the provided list is too old.");
			return false;
		}
		*rv = o->rv;
	}
	return true;
}

void mesh_call_list(struct mesh_call *call)
{
	struct mesh_list_opts o;
	struct items items = {0};
	struct page page = {.remaining = 0};
	const char *from_ns = NULL, *from_name = NULL;
	size_t taken = 0;
	const struct item *last = NULL;

	if (!mesh_call_list_opts(call, &o) || !list_version(call, &o, &page.rv, &from_ns, &from_name))
		return;
	page.items = json_array();
	objects_at(call->store->state, call->res, page.rv, &items);
	mesh_vec_each (item, &items.list) {
		if (call->ns[0] && strcmp(item->ns, call->ns) != 0)
			continue;
		if (from_name && by_name(item, &(struct item){from_ns, from_name, NULL}) <= 0)
			continue;
		if (!mesh_selector_labels(&o.labels, item->obj) || !mesh_selector_fields(&o.fields, item->obj))
			continue;
		if (o.limit && taken == o.limit) {
			page.remaining++;
			continue;
		}
		json_array_append_new(page.items, mesh_call_present(call, item->obj));
		taken++;
		last = item;
	}
	if (page.remaining && last)
		page.cont = cursor_make(page.rv, last->ns, last->name);
	if (o.selective)
		page.remaining = -1;
	mesh_vec_free(&items.list);
	reply_page(call, &page);
}
