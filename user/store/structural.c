/* SPDX-License-Identifier: Apache-2.0 */
#include "store/structural.h"

#include "compile/regex.h"
#include "core/mem.h"
#include "store/json.h"

#include <math.h>
#include <stdio.h>

enum { DEPTH_MAX = 64 };

/* --- what a schema says --- */

static bool says(const json_t *schema, const char *what)
{
	return json_is_true(json_object_get(schema, what));
}

static bool is_open(const json_t *schema)
{
	return says(schema, "x-kubernetes-preserve-unknown-fields");
}

/* The schema of a member; NULL: it has none, and *known says whether it may be there. */
static const json_t *member_schema(const json_t *schema, const char *key, bool *known)
{
	const json_t *own = json_object_get(json_object_get(schema, "properties"), key);
	const json_t *others = json_object_get(schema, "additionalProperties");

	*known = own || json_is_object(others) || json_is_true(others) || is_open(schema);
	return own ? own : json_is_object(others) ? others : NULL;
}

/* At the top, and where another object is embedded, these are not the schema's. */
static bool is_meta(const json_t *schema, bool top, const char *key)
{
	return (top || says(schema, "x-kubernetes-embedded-resource")) &&
	       (strcmp(key, "metadata") == 0 || strcmp(key, "apiVersion") == 0 || strcmp(key, "kind") == 0);
}

static char *join(const char *path, const char *key)
{
	return path[0] ? mesh_xasprintf("%s.%s", path, key) : mesh_xstrdup(key);
}

static void add(struct mesh_errs *errs, const char *path, char *text)
{
	struct mesh_err *e = mesh_errs_add(errs, "%s", text);

	if (e)
		e->path = mesh_xstrdup(path);
	free(text);
}

/* --- unknown fields --- */

static void unknown(const json_t *schema, const json_t *v, const char *path, bool top, unsigned depth,
		    struct mesh_errs *errs)
{
	const char *key;
	json_t *item;
	size_t i;

	if (!schema || depth > DEPTH_MAX)
		return;
	json_array_foreach((json_t *)v, i, item)
	{
		mesh_auto_free char *at = mesh_xasprintf("%s[%zu]", path, i);

		unknown(json_object_get(schema, "items"), item, at, false, depth + 1, errs);
	}
	json_object_foreach((json_t *)v, key, item)
	{
		mesh_auto_free char *at = join(path, key);
		bool known;
		const json_t *of = member_schema(schema, key, &known);

		if (is_meta(schema, top, key))
			continue;
		if (known)
			unknown(of, item, at, false, depth + 1, errs);
		else
			add(errs, at, mesh_xstrdup("unknown field"));
	}
}

static int by_path(const void *a, const void *b)
{
	const struct mesh_err *x = a, *y = b;

	return strcmp(x->path ? x->path : "", y->path ? y->path : "");
}

void mesh_structural_unknown(const json_t *schema, const json_t *obj, struct mesh_errs *errs)
{
	unknown(schema, obj, "", true, 0, errs);
	if (errs->list.count)
		qsort(errs->list.items, errs->list.count, sizeof(errs->list.items[0]), by_path);
}

/* --- filling in --- */

static void fill(const json_t *schema, json_t *v, bool top, unsigned depth);

static void fill_members(const json_t *schema, json_t *v, bool top, unsigned depth)
{
	const char *key;
	json_t *item;
	void *next;

	json_object_foreach_safe(v, next, key, item)
	{
		bool known;
		const json_t *of = member_schema(schema, key, &known);

		if (is_meta(schema, top, key))
			continue;
		if (!known || (json_is_null(item) && of && !says(of, "nullable")))
			json_object_del(v, key);
		else
			fill(of, item, false, depth + 1);
	}
	json_object_foreach(json_object_get(schema, "properties"), key, item)
	{
		json_t *usual = json_object_get(item, "default");

		if (!usual || json_object_get(v, key) || is_meta(schema, top, key))
			continue;
		json_object_set_new(v, key, json_deep_copy(usual));
		fill(item, json_object_get(v, key), false, depth + 1);
	}
}

static void fill(const json_t *schema, json_t *v, bool top, unsigned depth)
{
	json_t *item;
	size_t i;

	if (!schema || depth > DEPTH_MAX)
		return;
	json_array_foreach(v, i, item) fill(json_object_get(schema, "items"), item, false, depth + 1);
	if (json_is_object(v))
		fill_members(schema, v, top, depth);
}

void mesh_structural_fill(const json_t *schema, json_t *obj)
{
	fill(schema, obj, true, 0);
}

/* --- checks --- */

static const char *type_of(const json_t *v)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "object", [JSON_ARRAY] = "array",  [JSON_STRING] = "string", [JSON_INTEGER] = "integer",
		[JSON_REAL] = "number",   [JSON_TRUE] = "boolean", [JSON_FALSE] = "boolean", [JSON_NULL] = "null",
	};

	return names[json_typeof(v)];
}

static bool is_whole(const json_t *v)
{
	return json_is_integer(v) || (json_is_real(v) && floor(json_real_value(v)) == json_real_value(v));
}

static bool type_fits(const char *type, const json_t *v)
{
	if (strcmp(type, "integer") == 0)
		return is_whole(v);
	if (strcmp(type, "number") == 0)
		return json_is_number(v);
	return strcmp(type, type_of(v)) == 0;
}

static char *number_text(const json_t *v)
{
	struct mesh_buf out = {0};

	mesh_js_write(&out, v);
	return mesh_buf_steal(&out);
}

/* A limit of the schema that v may have to keep: minimum, maxLength, ... Returns false if it has none. */
static bool limit(const json_t *schema, const char *name, double *ret)
{
	const json_t *v = json_object_get(schema, name);

	*ret = json_number_value(v);
	return json_is_number(v);
}

static void check_range(const json_t *schema, const json_t *v, const char *path, struct mesh_errs *errs)
{
	mesh_auto_free char *got = number_text(v), *bound = NULL;
	double n = json_number_value(v), edge;
	bool strict;

	if (limit(schema, "minimum", &edge)) {
		strict = says(schema, "exclusiveMinimum");
		bound = number_text(json_object_get(schema, "minimum"));
		if (n < edge || (strict && n <= edge))
			add(errs, path,
			    mesh_xasprintf("Invalid value: %s: %s in body should be greater than %s%s", got, path,
					   strict ? "" : "or equal to ", bound));
	}
	if (limit(schema, "maximum", &edge)) {
		strict = says(schema, "exclusiveMaximum");
		free(bound);
		bound = number_text(json_object_get(schema, "maximum"));
		if (n > edge || (strict && n >= edge))
			add(errs, path,
			    mesh_xasprintf("Invalid value: %s: %s in body should be less than %s%s", got, path,
					   strict ? "" : "or equal to ", bound));
	}
	if (limit(schema, "multipleOf", &edge) && edge > 0 && fmod(n, edge) != 0) {
		free(bound);
		bound = number_text(json_object_get(schema, "multipleOf"));
		add(errs, path,
		    mesh_xasprintf("Invalid value: %s: %s in body should be a multiple of %s", got, path, bound));
	}
}

/* Is pattern somewhere in text? A pattern that cannot be read was refused with its definition. */
static bool has_pattern(const char *pattern, const char *text)
{
	mesh_auto_free char *whole = mesh_xasprintf(".*(%s).*", pattern);
	regex_t re;
	char why[200];
	bool ok;

	if (mesh_regex_compile(whole, false, &re, why, sizeof(why)) < 0)
		return true;
	ok = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return ok;
}

static size_t characters(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static void check_text(const json_t *schema, const json_t *v, const char *path, struct mesh_errs *errs)
{
	const char *s = json_string_value(v), *pattern = json_string_value(json_object_get(schema, "pattern"));
	mesh_auto_free char *quoted = number_text(v);
	double n;

	if (limit(schema, "minLength", &n) && (double)characters(s) < n)
		add(errs, path,
		    mesh_xasprintf("Invalid value: %s: %s in body should be at least %.0f chars long", quoted, path,
				   n));
	if (limit(schema, "maxLength", &n) && (double)characters(s) > n)
		add(errs, path, mesh_xasprintf("Too long: may not be more than %.0f bytes", n));
	if (pattern && !has_pattern(pattern, s))
		add(errs, path,
		    mesh_xasprintf("Invalid value: %s: %s in body should match '%s'", quoted, path, pattern));
}

static void check_count(const json_t *schema, size_t count, const char *min, const char *max, const char *unit,
			const char *path, struct mesh_errs *errs)
{
	double n;

	if (limit(schema, min, &n) && (double)count < n)
		add(errs, path,
		    mesh_xasprintf("Invalid value: %zu: %s in body should have at least %.0f %s", count, path, n,
				   unit));
	if (limit(schema, max, &n) && (double)count > n)
		add(errs, path, mesh_xasprintf("Too many: %zu: must have at most %.0f items", count, n));
}

static void check_enum(const json_t *schema, const json_t *v, const char *path, struct mesh_errs *errs)
{
	const json_t *list = json_object_get(schema, "enum"), *item;
	mesh_auto_free char *got = NULL;
	struct mesh_buf all = {0};
	size_t i;

	if (json_array_size(list) == 0)
		return;
	json_array_foreach((json_t *)list, i, item)
	{
		mesh_auto_free char *text = number_text(item);

		if (json_equal(item, v)) {
			mesh_buf_free(&all);
			return;
		}
		mesh_buf_printf(&all, "%s%s", i ? ", " : "", text);
	}
	got = number_text(v);
	add(errs, path, mesh_xasprintf("Unsupported value: %s: supported values: %s", got, all.data));
	mesh_buf_free(&all);
}

static void check(const json_t *schema, const json_t *v, const char *path, bool top, unsigned depth,
		  struct mesh_errs *errs);

static void check_members(const json_t *schema, const json_t *v, const char *path, bool top, unsigned depth,
			  struct mesh_errs *errs)
{
	const json_t *required = json_object_get(schema, "required");
	const char *key;
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)required, i, item)
	{
		const char *name = json_string_value(item);
		mesh_auto_free char *at = name ? join(path, name) : NULL;

		if (name && !json_object_get(v, name))
			add(errs, at, mesh_xstrdup("Required value"));
	}
	json_object_foreach((json_t *)v, key, item)
	{
		mesh_auto_free char *at = join(path, key);
		bool known;

		if (!is_meta(schema, top, key))
			check(member_schema(schema, key, &known), item, at, false, depth + 1, errs);
	}
}

static bool check_type(const json_t *schema, const json_t *v, const char *path, struct mesh_errs *errs)
{
	const char *type = json_string_value(json_object_get(schema, "type"));

	if (json_is_null(v) && says(schema, "nullable"))
		return false;
	if (says(schema, "x-kubernetes-int-or-string")) {
		if (is_whole(v) || json_is_string(v))
			return true;
		type = "integer,string";
	} else if (!type || type_fits(type, v)) {
		return true;
	}
	add(errs, path,
	    mesh_xasprintf("Invalid value: \"%s\": %s in body must be of type %s: \"%s\"", type_of(v), path, type,
			   type_of(v)));
	return false;
}

static void check(const json_t *schema, const json_t *v, const char *path, bool top, unsigned depth,
		  struct mesh_errs *errs)
{
	json_t *item;
	size_t i;

	if (!schema || depth > DEPTH_MAX || !check_type(schema, v, path, errs))
		return;
	check_enum(schema, v, path, errs);
	if (json_is_number(v)) {
		check_range(schema, v, path, errs);
	} else if (json_is_string(v)) {
		check_text(schema, v, path, errs);
	} else if (json_is_array(v)) {
		check_count(schema, json_array_size(v), "minItems", "maxItems", "items", path, errs);
		json_array_foreach((json_t *)v, i, item)
		{
			mesh_auto_free char *at = mesh_xasprintf("%s[%zu]", path, i);

			check(json_object_get(schema, "items"), item, at, false, depth + 1, errs);
		}
	} else if (json_is_object(v)) {
		check_count(schema, json_object_size(v), "minProperties", "maxProperties", "properties", path, errs);
		check_members(schema, v, path, top, depth, errs);
	}
}

void mesh_structural_check(const json_t *schema, const json_t *obj, struct mesh_errs *errs)
{
	check(schema, obj, "", true, 0, errs);
}

/* --- of a schema itself --- */

static void check_schema(const json_t *schema, const char *path, unsigned depth, struct mesh_errs *errs)
{
	static const char *const types[] = {"object", "array", "string", "integer", "number", "boolean"};
	const char *type = json_string_value(json_object_get(schema, "type")), *key;
	const char *pattern = json_string_value(json_object_get(schema, "pattern"));
	mesh_auto_free char *at = mesh_xasprintf("%s.type", path), *whole = NULL, *items = NULL, *others = NULL;
	json_t *item;
	char why[200];
	regex_t re;

	if (!json_is_object(schema) || depth > DEPTH_MAX)
		return;
	for (size_t i = 0; type && i < MESH_ARRAY_SIZE(types); i++)
		if (strcmp(types[i], type) == 0)
			type = NULL;
	if (type)
		add(errs, at,
		    mesh_xasprintf("Unsupported value: \"%s\": supported values: \"array\", \"boolean\", \"integer\", "
				   "\"number\", \"object\", \"string\"",
				   type));
	whole = mesh_xasprintf(".*(%s).*", pattern ? pattern : "");
	if (pattern && mesh_regex_compile(whole, false, &re, why, sizeof(why)) < 0) {
		free(at);
		at = mesh_xasprintf("%s.pattern", path);
		add(errs, at,
		    mesh_xasprintf("Invalid value: \"%s\": must be a valid regular expression, but isn't: %s", pattern,
				   why));
	} else if (pattern) {
		regfree(&re);
	}
	items = mesh_xasprintf("%s.items", path);
	check_schema(json_object_get(schema, "items"), items, depth + 1, errs);
	others = mesh_xasprintf("%s.additionalProperties", path);
	check_schema(json_object_get(schema, "additionalProperties"), others, depth + 1, errs);
	json_object_foreach(json_object_get(schema, "properties"), key, item)
	{
		mesh_auto_free char *of = mesh_xasprintf("%s.properties[%s]", path, key);

		check_schema(item, of, depth + 1, errs);
	}
}

static void ignored(const json_t *schema, const char *path, unsigned depth, struct mesh_errs *warnings)
{
	static const char *const words[] = {"allOf", "anyOf", "oneOf", "not", "x-kubernetes-validations"};
	mesh_auto_free char *items = mesh_xasprintf("%s.items", path),
			    *others = mesh_xasprintf("%s.additionalProperties", path);
	const char *key;
	json_t *item;

	if (!json_is_object(schema) || depth > DEPTH_MAX)
		return;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(words); i++) {
		bool usual = strcmp(words[i], "anyOf") == 0 && says(schema, "x-kubernetes-int-or-string");

		if (json_object_get(schema, words[i]) && !usual)
			add(warnings, path,
			    mesh_xasprintf("%s is not checked by the embedded API of Sockmesh", words[i]));
	}
	ignored(json_object_get(schema, "items"), items, depth + 1, warnings);
	ignored(json_object_get(schema, "additionalProperties"), others, depth + 1, warnings);
	json_object_foreach(json_object_get(schema, "properties"), key, item)
	{
		mesh_auto_free char *of = mesh_xasprintf("%s.properties[%s]", path, key);

		ignored(item, of, depth + 1, warnings);
	}
}

void mesh_structural_ignored(const json_t *schema, const char *path, struct mesh_errs *warnings)
{
	ignored(schema, path, 0, warnings);
}

void mesh_structural_check_schema(const json_t *schema, const char *path, struct mesh_errs *errs)
{
	check_schema(schema, path, 0, errs);
}
