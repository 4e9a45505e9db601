/* SPDX-License-Identifier: Apache-2.0 */
#include "config/document.h"
#include "config/parse.h"

#include <errno.h>

enum { COPIED_MAX = 3 << 20 }; /* bytes that "copy" and "move" may make of one patch */

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

	unsigned depth = 0;

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
		if (++depth > MESH_PARSE_DEPTH_MAX) {
			free(ret->key);
			ret->key = NULL;
			return -E2BIG;
		}
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

/* Takes what v is as a copy (about its bytes as JSON) from *left. Returns false when there is too little, or v is too
 * deep. */
static bool afford(const json_t *v, size_t *left, unsigned depth)
{
	const char *key;
	json_t *item;
	size_t i, n = 8 + (json_is_string(v) ? json_string_length(v) : 0);

	if (n > *left || depth > MESH_PARSE_DEPTH_MAX)
		return false;
	*left -= n;
	if (json_is_array(v)) {
		json_array_foreach((json_t *)v, i, item) if (!afford(item, left, depth + 1)) return false;
		return true;
	}
	json_object_foreach((json_t *)v, key, item)
	{
		n = strlen(key);
		if (n > *left)
			return false;
		*left -= n;
		if (!afford(item, left, depth + 1))
			return false;
	}
	return true;
}

/* "move" and "copy": value is taken from elsewhere. *left: bytes that may still be copied. */
static int transfer(json_t **doc, const char *from, const char *to, bool move, size_t *left)
{
	struct place a = {0}, b = {0};
	json_t *v = NULL;
	int r = find_place(*doc, from, &a);

	if (r == 0 && !get(*doc, &a))
		r = -ENOENT;
	if (r == 0 && !afford(get(*doc, &a), left, 1))
		r = -E2BIG;
	if (r == 0)
		v = json_deep_copy(get(*doc, &a));
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

static int apply_one(json_t **doc, const char *op, const char *path, const json_t *item, size_t *left)
{
	const char *from = json_string_value(json_object_get(item, "from"));
	json_t *value = json_object_get(item, "value");
	struct place at = {0};
	int r;

	if (strcmp(op, "move") == 0 || strcmp(op, "copy") == 0)
		return from ? transfer(doc, from, path, op[0] == 'm', left) : -EINVAL;
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
	else if (r == -E2BIG)
		mesh_errs_add(errs, "%s operation makes the object too large or too deep: %s", op, path);
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
	size_t i, left = COPIED_MAX;

	if (!json_is_array(patch)) {
		mesh_errs_add(errs, "a JSON patch is a list of operations");
		return -EINVAL;
	}
	work = json_deep_copy(*doc);
	json_array_foreach(patch, i, item)
	{
		const char *op = json_string_value(json_object_get(item, "op"));
		const char *path = json_string_value(json_object_get(item, "path"));
		int r = op && path ? apply_one(&work, op, path, item, &left) : -EINVAL;

		if (r == 0)
			continue;
		json_patch_error(errs, r, op ? op : "", path ? path : "");
		json_decref(work);
		return -EINVAL;
	}
	replace(doc, work);
	return 0;
}
