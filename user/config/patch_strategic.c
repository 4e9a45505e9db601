/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategic merge patch: lists are merged by the key that their field names, and "$" directives are obeyed.
 */
#include "config/document.h"
#include "config/schema.h"

#include <errno.h>

static void replace(json_t **doc, json_t *with)
{
	json_decref(*doc);
	*doc = with;
}

struct strategic {
	struct mesh_errs *errs;
	bool failed;
};

static bool is_directive(const char *key)
{
	return key[0] == '$';
}

static const struct mesh_field *field_of(const struct mesh_schema *s, const char *name)
{
	for (const struct mesh_field *f = s ? s->fields : NULL; f && f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

static json_t *fail(struct strategic *st, const char *text, const char *what)
{
	if (!st->failed)
		mesh_errs_add(st->errs, "%s: %s", text, what);
	st->failed = true;
	return NULL;
}

/* Whether patch says "$patch: verb". */
static bool says(const json_t *patch, const char *verb)
{
	const char *s = json_string_value(json_object_get(patch, "$patch"));

	return s && strcmp(s, verb) == 0;
}

static json_t *strategic_object(struct strategic *st, const struct mesh_schema *s, const json_t *old,
				const json_t *patch);

static ssize_t index_of(const json_t *list, const char *key, const json_t *value)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i,
			   item) if (json_equal(key ? json_object_get(item, key) : item, value)) return (ssize_t)i;
	return -1;
}

static json_t *without(const json_t *obj, const char *key)
{
	json_t *copy = json_deep_copy(obj);

	json_object_del(copy, key);
	return copy;
}

/* "$setElementOrder/x": items named there first to last; others stay after what they followed. */
static void order_list(json_t *list, const char *key, const json_t *order)
{
	json_t *sorted = json_array(), *item, *o;
	size_t i, j = 0;

	json_array_foreach(order, i, o)
	{
		ssize_t at = index_of(list, key, key ? json_object_get(o, key) : o);

		if (at < 0)
			continue;
		/* What the server has and the order does not name keeps its place before. */
		for (; j < (size_t)at; j++) {
			item = json_array_get(list, j);
			if (index_of(order, key, key ? json_object_get(item, key) : item) < 0)
				json_array_append(sorted, item);
		}
		if (j < (size_t)at + 1)
			j = (size_t)at + 1;
		json_array_append(sorted, json_array_get(list, (size_t)at));
	}
	for (; j < json_array_size(list); j++) {
		item = json_array_get(list, j);
		if (index_of(order, key, key ? json_object_get(item, key) : item) < 0)
			json_array_append(sorted, item);
	}
	json_array_clear(list);
	json_array_extend(list, sorted);
	json_decref(sorted);
}

static json_t *strategic_list(struct strategic *st, const struct mesh_field *f, const json_t *old, const json_t *patch)
{
	json_t *out, *item;
	size_t i;

	json_array_foreach(patch, i, item) if (says(item, "replace"))
	{
		out = json_deep_copy(patch);
		json_array_remove(out, i);
		return out;
	}
	out = json_is_array(old) ? json_copy((json_t *)old) : json_array();
	json_array_foreach(patch, i, item)
	{
		const json_t *key = json_object_get(item, f->merge_key);
		ssize_t at;

		if (!json_is_object(item) || !key) {
			json_decref(out);
			return fail(st, "map: map[] does not contain declared merge key", f->merge_key);
		}
		at = index_of(out, f->merge_key, key);
		if (says(item, "delete")) {
			if (at >= 0)
				json_array_remove(out, (size_t)at);
			continue;
		}
		json_t *v = strategic_object(st, f->of, at >= 0 ? json_array_get(out, (size_t)at) : NULL, item);

		if (!v) {
			json_decref(out);
			return NULL;
		}
		if (at >= 0)
			json_array_set_new(out, (size_t)at, v);
		else
			json_array_append_new(out, v);
	}
	return out;
}

static json_t *strategic_set(const json_t *old, const json_t *patch)
{
	json_t *out = json_is_array(old) ? json_copy((json_t *)old) : json_array(), *item;
	size_t i;

	json_array_foreach(patch, i, item) if (index_of(out, NULL, item) < 0) json_array_append(out, item);
	return out;
}

static json_t *strategic_value(struct strategic *st, const struct mesh_field *f, const json_t *old, const json_t *patch)
{
	if (json_is_object(patch))
		return strategic_object(
			st, f && (f->type == MESH_TYPE_OBJECT || f->type == MESH_TYPE_MAP) ? f->of : NULL, old, patch);
	if (json_is_array(patch) && f && f->type == MESH_TYPE_ARRAY && f->merge_key)
		return *f->merge_key ? strategic_list(st, f, old, patch) : strategic_set(old, patch);
	return json_deep_copy(patch);
}

/* "$retainKeys": nothing else stays of the old object. */
static void retain(json_t *out, const json_t *keys)
{
	const char *key;
	void *tmp;
	json_t *v;

	json_object_foreach_safe(out, tmp, key, v)
	{
		json_t *name = json_string(key);

		if (index_of(keys, NULL, name) < 0)
			json_object_del(out, key);
		json_decref(name);
	}
}

/* The directives that are about a list of this object: "$deleteFromPrimitiveList/x", "$setElementOrder/x". */
static void list_directives(const struct mesh_schema *s, json_t *out, const json_t *patch)
{
	static const char del[] = "$deleteFromPrimitiveList/", ord[] = "$setElementOrder/";
	const char *key;
	json_t *v, *item;
	size_t i;

	json_object_foreach((json_t *)patch, key, v)
	{
		json_t *list;

		if (strncmp(key, del, sizeof(del) - 1) != 0)
			continue;
		list = json_copy(json_object_get(out, key + sizeof(del) - 1));
		json_array_foreach(v, i, item)
		{
			ssize_t at = index_of(list, NULL, item);

			if (at >= 0)
				json_array_remove(list, (size_t)at);
		}
		if (list)
			json_object_set_new(out, key + sizeof(del) - 1, list);
	}
	json_object_foreach((json_t *)patch, key, v)
	{
		const struct mesh_field *f;
		json_t *list;

		if (strncmp(key, ord, sizeof(ord) - 1) != 0)
			continue;
		f = field_of(s, key + sizeof(ord) - 1);
		list = json_copy(json_object_get(out, key + sizeof(ord) - 1));
		if (f && f->merge_key && json_is_array(list))
			order_list(list, *f->merge_key ? f->merge_key : NULL, v);
		if (list)
			json_object_set_new(out, key + sizeof(ord) - 1, list);
	}
}

static json_t *strategic_object(struct strategic *st, const struct mesh_schema *s, const json_t *old,
				const json_t *patch)
{
	json_t *out, *v;
	const char *key;

	if (says(patch, "replace"))
		return without(patch, "$patch");
	if (says(patch, "delete"))
		return json_object();
	if (json_is_string(json_object_get(patch, "$patch")) && !says(patch, "merge"))
		return fail(st, "unknown patch type found", json_string_value(json_object_get(patch, "$patch")));
	out = json_is_object(old) ? json_copy((json_t *)old) : json_object();
	if (json_is_array(json_object_get(patch, "$retainKeys")))
		retain(out, json_object_get(patch, "$retainKeys"));
	json_object_foreach((json_t *)patch, key, v)
	{
		json_t *new;

		if (is_directive(key))
			continue;
		if (json_is_null(v)) {
			json_object_del(out, key);
			continue;
		}
		new = strategic_value(st, field_of(s, key), json_object_get(out, key), v);
		if (!new) {
			json_decref(out);
			return NULL;
		}
		json_object_set_new(out, key, new);
	}
	list_directives(s, out, patch);
	return out;
}

int mesh_patch_strategic(const struct mesh_kind *kind, json_t **doc, const json_t *patch, struct mesh_errs *errs)
{
	struct strategic st = {.errs = errs};
	json_t *meta_patch = json_object_get(patch, "metadata"), *rest, *out;

	if (!json_is_object(patch)) {
		mesh_errs_add(errs, "a strategic merge patch is an object");
		return -EINVAL;
	}
	rest = without(patch, "metadata");
	out = strategic_object(&st, kind->schema, *doc, rest);
	json_decref(rest);
	if (out && json_is_object(meta_patch)) {
		json_t *m =
			strategic_object(&st, &mesh_schema_object_meta, json_object_get(*doc, "metadata"), meta_patch);

		if (m)
			json_object_set_new(out, "metadata", m);
	}
	if (st.failed) {
		json_decref(out);
		return -EINVAL;
	}
	replace(doc, out);
	return 0;
}
