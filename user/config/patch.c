/* SPDX-License-Identifier: Apache-2.0 */
#include "config/document.h"
#include "config/schema.h"

#include <errno.h>

/* ---- RFC 7386 ---- */

static json_t *merged(const json_t *target, const json_t *patch)
{
	const char *key;
	json_t *v, *out;

	if (!json_is_object(patch))
		return json_deep_copy(patch);
	out = json_is_object(target) ? json_copy((json_t *)target) : json_object();
	json_object_foreach((json_t *)patch, key, v)
	{
		if (json_is_null(v))
			json_object_del(out, key);
		else
			json_object_set_new(out, key, merged(json_object_get(out, key), v));
	}
	return out;
}

static void replace(json_t **doc, json_t *with)
{
	json_decref(*doc);
	*doc = with;
}

int mesh_patch_merge(json_t **doc, const json_t *patch)
{
	if (!json_is_object(patch))
		return -EINVAL;
	replace(doc, merged(*doc, patch));
	return 0;
}

/* ---- RFC 6902, pointers by RFC 6901 ---- */

struct place {
	json_t *parent;
	char *key; /* last reference token, unescaped; NULL: the whole document */
};

static char *unescape(struct mesh_slice token)
{
	char *out = mesh_xmalloc(token.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < token.len; i++) {
		if (token.ptr[i] == '~' && i + 1 < token.len && (token.ptr[i + 1] == '0' || token.ptr[i + 1] == '1'))
			out[n++] = token.ptr[++i] == '0' ? '~' : '/';
		else
			out[n++] = token.ptr[i];
	}
	out[n] = '\0';
	return out;
}

/* An array index without sign or leading zero, at most max. */
static int array_index(const char *key, size_t max, size_t *ret)
{
	uint64_t v;

	if ((key[0] == '0' && key[1]) || mesh_slice_to_u64(mesh_slice_str(key), max, &v) < 0)
		return -EINVAL;
	*ret = (size_t)v;
	return 0;
}

static json_t *child(json_t *v, const char *key)
{
	size_t i;

	if (json_is_object(v))
		return json_object_get(v, key);
	if (json_is_array(v) && json_array_size(v) && array_index(key, json_array_size(v) - 1, &i) == 0)
		return json_array_get(v, i);
	return NULL;
}

static int find_place(json_t *doc, const char *pointer, struct place *ret)
{
	struct mesh_slice rest = mesh_slice_str(pointer), token;

	ret->parent = doc;
	ret->key = NULL;
	if (!*pointer)
		return 0;
	if (*pointer != '/')
		return -EINVAL;
	rest = mesh_slice_of(rest.ptr + 1, rest.len - 1);
	for (;;) {
		const char *slash = rest.len ? memchr(rest.ptr, '/', rest.len) : NULL;

		token = mesh_slice_of(rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len);
		ret->key = unescape(token);
		if (!slash)
			return 0;
		rest = mesh_slice_of(slash + 1, rest.len - token.len - 1);
		ret->parent = child(ret->parent, ret->key);
		free(ret->key);
		ret->key = NULL;
		if (!ret->parent)
			return -ENOENT;
	}
}

static int put(json_t **doc, const struct place *at, json_t *value, bool insert)
{
	size_t i, size;

	if (!at->key) {
		replace(doc, json_incref(value));
		return 0;
	}
	if (json_is_object(at->parent))
		return json_object_set(at->parent, at->key, value) < 0 ? -EINVAL : 0;
	if (!json_is_array(at->parent))
		return -ENOENT;
	size = json_array_size(at->parent);
	if (insert && strcmp(at->key, "-") == 0)
		return json_array_append(at->parent, value);
	if (!insert && size == 0)
		return -ENOENT;
	if (array_index(at->key, insert ? size : size - 1, &i) < 0)
		return -ENOENT;
	return insert ? json_array_insert(at->parent, i, value) : json_array_set(at->parent, i, value);
}

static int cut(const struct place *at)
{
	size_t i;

	if (!at->key)
		return -EINVAL;
	if (json_is_object(at->parent))
		return json_object_del(at->parent, at->key) < 0 ? -ENOENT : 0;
	if (!json_is_array(at->parent) || json_array_size(at->parent) == 0 ||
	    array_index(at->key, json_array_size(at->parent) - 1, &i) < 0)
		return -ENOENT;
	return json_array_remove(at->parent, i);
}

static json_t *get(json_t *doc, const struct place *at)
{
	return at->key ? child(at->parent, at->key) : doc;
}

static int equal_numbers(const json_t *a, const json_t *b)
{
	return json_equal(a, b) ||
	       (json_is_number(a) && json_is_number(b) && json_number_value(a) == json_number_value(b));
}

/* "move" and "copy": value is taken from elsewhere. */
static int transfer(json_t **doc, const char *from, const char *to, bool move)
{
	struct place a = {0}, b = {0};
	json_t *v = NULL;
	int r = find_place(*doc, from, &a);

	if (r == 0)
		v = json_deep_copy(get(*doc, &a));
	if (r == 0 && !v)
		r = -ENOENT;
	if (r == 0 && move)
		r = cut(&a);
	if (r == 0)
		r = find_place(*doc, to, &b);
	if (r == 0)
		r = put(doc, &b, v, true);
	free(a.key);
	free(b.key);
	json_decref(v);
	return r;
}

static int apply_one(json_t **doc, const char *op, const char *path, const json_t *item)
{
	const char *from = json_string_value(json_object_get(item, "from"));
	json_t *value = json_object_get(item, "value");
	struct place at = {0};
	int r;

	if (strcmp(op, "move") == 0 || strcmp(op, "copy") == 0)
		return from ? transfer(doc, from, path, op[0] == 'm') : -EINVAL;
	r = find_place(*doc, path, &at);
	if (r == 0 && strcmp(op, "add") == 0) {
		json_t *copy = json_deep_copy(value);

		r = copy ? put(doc, &at, copy, true) : -EINVAL;
		json_decref(copy);
	} else if (r == 0 && strcmp(op, "replace") == 0) {
		json_t *copy = json_deep_copy(value);

		r = !copy ? -EINVAL : !get(*doc, &at) ? -ENOENT : put(doc, &at, copy, false);
		json_decref(copy);
	} else if (r == 0 && strcmp(op, "remove") == 0) {
		r = cut(&at);
	} else if (r == 0 && strcmp(op, "test") == 0) {
		r = get(*doc, &at) && value && equal_numbers(get(*doc, &at), value) ? 0 : -EBADMSG;
	} else if (r == 0) {
		r = -ENOSYS;
	}
	free(at.key);
	return r;
}

static void json_patch_error(struct mesh_errs *errs, int r, const char *op, const char *path)
{
	if (r == -EBADMSG)
		mesh_errs_add(errs, "testing value %s failed", path);
	else if (r == -ENOSYS)
		mesh_errs_add(errs, "Unexpected kind: %s", op);
	else if (r == -EINVAL)
		mesh_errs_add(errs, "%s operation is malformed: %s", op, path);
	else if (strcmp(op, "remove") == 0)
		mesh_errs_add(errs, "remove operation does not apply: doc is missing path: \"%s\": missing value",
			      path);
	else
		mesh_errs_add(errs, "%s operation does not apply: doc is missing %s: %s: missing value", op,
			      strcmp(op, "replace") == 0 ? "path" : "key", path);
}

int mesh_patch_json(json_t **doc, const json_t *patch, struct mesh_errs *errs)
{
	json_t *work, *item;
	size_t i;

	if (!json_is_array(patch)) {
		mesh_errs_add(errs, "a JSON patch is a list of operations");
		return -EINVAL;
	}
	work = json_deep_copy(*doc);
	json_array_foreach(patch, i, item)
	{
		const char *op = json_string_value(json_object_get(item, "op"));
		const char *path = json_string_value(json_object_get(item, "path"));
		int r = op && path ? apply_one(&work, op, path, item) : -EINVAL;

		if (r == 0)
			continue;
		json_patch_error(errs, r, op ? op : "", path ? path : "");
		json_decref(work);
		return -EINVAL;
	}
	replace(doc, work);
	return 0;
}

/* ---- strategic merge ---- */

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
