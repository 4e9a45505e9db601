/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One walk over an object beside its schema: types, ranges, enums, what is required, what is unknown.
 */
#include "config/check.h"
#include "config/decode.h"
#include "config/document.h"
#include "config/schema.h"
#include "config/schema_walk.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>

struct walk {
	const struct mesh_kind *kind;
	struct mesh_errs *errs, *warnings, *unknown;
	struct mesh_buf path;
	bool builtin, in_status;
};

static struct mesh_err *at_path(const struct walk *w, struct mesh_err *e)
{
	if (e)
		e->path = mesh_xstrndup(w->path.data ? w->path.data : "", w->path.len);
	return e;
}

static size_t enter(struct walk *w, const char *key)
{
	size_t len = w->path.len;

	if (len)
		mesh_buf_char(&w->path, '.');
	mesh_buf_str(&w->path, key);
	return len;
}

static void leave(struct walk *w, size_t len)
{
	w->path.len = len;
	if (w->path.data)
		w->path.data[len] = '\0';
}

const char *mesh_json_type(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "object";
	case JSON_ARRAY:
		return "array";
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
		return "integer";
	case JSON_REAL:
		return "number";
	case JSON_NULL:
		return "null";
	default:
		return "boolean";
	}
}

static const char *const wanted_types[] = {
	[MESH_TYPE_OBJECT] = "object",   [MESH_TYPE_ARRAY] = "array",   [MESH_TYPE_MAP] = "object",
	[MESH_TYPE_STRING] = "string",   [MESH_TYPE_BOOL] = "boolean",  [MESH_TYPE_INT32] = "integer",
	[MESH_TYPE_INT64] = "integer",   [MESH_TYPE_NUMBER] = "number", [MESH_TYPE_DURATION] = "string",
	[MESH_TYPE_TIME] = "string",     [MESH_TYPE_BYTES] = "string",  [MESH_TYPE_INT_OR_STRING] = "integer,string",
	[MESH_TYPE_QUANTITY] = "string", [MESH_TYPE_ANY] = "object",
};

static bool is_whole(const json_t *v)
{
	double d = json_real_value(v);

	return json_is_integer(v) || (json_is_real(v) && d >= -9e18 && d <= 9e18 && d == (double)(int64_t)d);
}

bool mesh_type_fits(enum mesh_type type, const json_t *v)
{
	switch (type) {
	case MESH_TYPE_OBJECT:
	case MESH_TYPE_MAP:
		return json_is_object(v);
	case MESH_TYPE_ARRAY:
		return json_is_array(v);
	case MESH_TYPE_BOOL:
		return json_is_boolean(v);
	case MESH_TYPE_INT32:
	case MESH_TYPE_INT64:
		return is_whole(v);
	case MESH_TYPE_NUMBER:
		return json_is_number(v);
	case MESH_TYPE_INT_OR_STRING:
		return json_is_string(v) || is_whole(v);
	case MESH_TYPE_QUANTITY:
		return json_is_string(v) || json_is_number(v);
	case MESH_TYPE_ANY:
		return true;
	default:
		return json_is_string(v);
	}
}

static int64_t whole(const json_t *v)
{
	return json_is_real(v) ? (int64_t)json_real_value(v) : json_integer_value(v);
}

static void check_number(struct walk *w, const struct mesh_field *f, enum mesh_type type, const json_t *v)
{
	int64_t n = whole(v);

	if (type == MESH_TYPE_INT32 && (n < INT32_MIN || n > INT32_MAX)) {
		at_path(w, mesh_errs_add(w->errs, "%" PRId64 " does not fit 32 bits", n));
		return;
	}
	if (type != f->type || !(f->flags & MESH_FIELD_RANGE) || (n >= f->min && n <= f->max))
		return;
	if (f->max == INT64_MAX)
		at_path(w, mesh_errs_add(w->errs, "%" PRId64 " is less than %" PRId64, n, f->min));
	else if (f->min == INT64_MIN)
		at_path(w, mesh_errs_add(w->errs, "%" PRId64 " is more than %" PRId64, n, f->max));
	else
		at_path(w,
			mesh_errs_add(w->errs, "%" PRId64 " is out of range %" PRId64 "..%" PRId64, n, f->min, f->max));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_enum(struct walk *w, const struct mesh_field *f, const char *s)
{
	struct mesh_buf list = {0};
	const char *sorted[64] = {NULL}, *near;
	struct mesh_err *e;
	size_t n = 0;

	for (const char *const *v = f->values; *v; v++) {
		if (strcmp(*v, s) == 0)
			return;
		if (n < MESH_ARRAY_SIZE(sorted))
			sorted[n++] = *v;
	}
	if (w->builtin && !*s)
		return; /* as good as not there */
	near = mesh_nearest(s, sorted, n);
	if (w->builtin) /* of custom resources the server keeps the schema's order */
		qsort(sorted, n, sizeof(*sorted), by_text);
	for (size_t i = 0; i < n; i++)
		mesh_buf_printf(&list, "%s\"%s\"", i ? ", " : "", sorted[i]);
	e = at_path(w, mesh_errs_add(w->errs, "Unsupported value: \"%s\": supported values: %s", s,
				     list.data ? list.data : ""));
	if (e && near && !w->builtin)
		e->hint = mesh_xasprintf("did you mean \"%s\"?", near);
	mesh_buf_free(&list);
}

static void check_length(struct walk *w, const struct mesh_field *f, size_t n, const char *unit)
{
	if (!(f->flags & MESH_FIELD_RANGE))
		return;
	if ((int64_t)n < f->min)
		at_path(w, mesh_errs_add(w->errs, "has %zu %s, at least %" PRId64 " are needed", n, unit, f->min));
	else if ((int64_t)n > f->max)
		at_path(w, mesh_errs_add(w->errs, "has %zu %s, at most %" PRId64 " are allowed", n, unit, f->max));
}

static size_t characters(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

bool mesh_text_is_base64(const char *s)
{
	size_t n = 0, pad = 0;

	for (; *s; s++) {
		if (*s == '\n' || *s == '\r')
			continue;
		if (*s == '=')
			pad++;
		else if (pad || (!isalnum((unsigned char)*s) && *s != '+' && *s != '/'))
			return false;
		n++;
	}
	return n % 4 == 0 && pad <= 2;
}

static void check_text(struct walk *w, const struct mesh_field *f, enum mesh_type type, const char *s)
{
	uint64_t ns;
	int64_t t;

	if (type == MESH_TYPE_STRING && f->values)
		check_enum(w, f, s);
	else if (type == MESH_TYPE_STRING && f->type == MESH_TYPE_STRING)
		check_length(w, f, characters(s), "characters");
	else if (type == MESH_TYPE_DURATION && mesh_decode_duration(s, &ns) < 0)
		at_path(w, mesh_errs_add(w->errs, "\"%s\" is not a duration", s));
	else if (type == MESH_TYPE_DURATION && (f->flags & MESH_FIELD_RANGE) && (int64_t)ns < f->min)
		at_path(w, mesh_errs_add(w->errs, "must be a valid duration greater than 1ms"));
	else if (type == MESH_TYPE_TIME && mesh_decode_time(s, &t) < 0)
		at_path(w, mesh_errs_add(w->errs, "\"%s\" is not a time (RFC 3339)", s));
	else if (type == MESH_TYPE_BYTES && !mesh_text_is_base64(s))
		at_path(w, mesh_errs_add(w->errs, "not base64"));
}

static void walk_object(struct walk *w, const struct mesh_schema *s, const json_t *obj);

static void walk_null(struct walk *w, const struct mesh_field *f, enum mesh_type type)
{
	if (w->builtin || w->in_status || (f->flags & MESH_FIELD_NULLABLE) || type == MESH_TYPE_ANY)
		return;
	at_path(w, mesh_errs_add(w->errs, "Invalid value: \"null\": %s in body must be of type %s: \"null\"",
				 w->path.data ? w->path.data : "", wanted_types[type]));
}

static void walk_value(struct walk *w, const struct mesh_field *f, enum mesh_type type, const json_t *v);

static void walk_items(struct walk *w, const struct mesh_field *f, const json_t *v)
{
	size_t i, len = w->path.len;
	json_t *item;

	check_length(w, f, json_array_size(v), "items");
	json_array_foreach(v, i, item)
	{
		mesh_buf_printf(&w->path, "[%zu]", i);
		walk_value(w, f, f->item, item);
		leave(w, len);
	}
}

static void walk_members(struct walk *w, const struct mesh_field *f, const json_t *v)
{
	const char *key;
	json_t *item;

	check_length(w, f, json_object_size(v), "entries");
	json_object_foreach((json_t *)v, key, item)
	{
		size_t len = enter(w, key);

		walk_value(w, f, f->item, item);
		leave(w, len);
	}
}

static void walk_value(struct walk *w, const struct mesh_field *f, enum mesh_type type, const json_t *v)
{
	if (json_is_null(v)) {
		walk_null(w, f, type);
		return;
	}
	if (!mesh_type_fits(type, v)) {
		at_path(w, mesh_errs_add(w->errs, "Invalid value: \"%s\": %s in body must be of type %s: \"%s\"",
					 mesh_json_type(v), w->path.data ? w->path.data : "", wanted_types[type],
					 mesh_json_type(v)));
		return;
	}
	if (type == MESH_TYPE_OBJECT)
		walk_object(w, f->of, v);
	else if (type == MESH_TYPE_ARRAY)
		walk_items(w, f, v);
	else if (type == MESH_TYPE_MAP)
		walk_members(w, f, v);
	else if (type == MESH_TYPE_INT32 || type == MESH_TYPE_INT64)
		check_number(w, f, type, v);
	else if (type == MESH_TYPE_NUMBER && f->type == type && (f->flags & MESH_FIELD_RANGE) &&
		 (json_number_value(v) < (double)f->min || json_number_value(v) > (double)f->max))
		at_path(w, mesh_errs_add(w->errs, "%g is out of range %" PRId64 "..%" PRId64, json_number_value(v),
					 f->min, f->max));
	else if (json_is_string(v))
		check_text(w, f, type, json_string_value(v));
}

const struct mesh_field *mesh_schema_find(const struct mesh_schema *s, const char *name)
{
	for (const struct mesh_field *f = s->fields; f && f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

static void note_unknown(struct walk *w, const struct mesh_schema *s, const char *name)
{
	const char *names[512] = {NULL}, *near;
	struct mesh_err *e;
	size_t n = 0;

	if (!w->unknown)
		return;
	for (const struct mesh_field *f = s->fields; f && f->name && n < MESH_ARRAY_SIZE(names); f++)
		names[n++] = f->name;
	near = mesh_nearest(name, names, n);
	e = at_path(w, mesh_errs_add(w->unknown, "unknown field"));
	if (near)
		e->hint = mesh_xasprintf("did you mean \"%s\"?", near);
}

/* Whether a required field counts as missing: Kubernetes' own kinds take "" and [] for that too. */
static bool is_missing(const struct walk *w, const json_t *v)
{
	if (!v)
		return true;
	if (!w->builtin)
		return false;
	return json_is_null(v) || (json_is_string(v) && !*json_string_value(v)) ||
	       (json_is_array(v) && json_array_size(v) == 0);
}

static void check_groups(struct walk *w, const struct mesh_schema *s, const json_t *obj)
{
	for (const char *const *group = s->one_of; group && *group; group++) {
		bool exactly = **group == '!';
		struct mesh_slice rest = mesh_slice_str(*group + exactly), name;
		struct mesh_buf list = {0};
		int set = 0;

		while (mesh_slice_split(&rest, '|', &name)) {
			set += json_object_getn(obj, name.ptr, name.len) != NULL;
			mesh_buf_printf(&list, "%s%.*s", list.len ? ", " : "", (int)name.len, name.ptr);
		}
		if (set > 1)
			at_path(w, mesh_errs_add(w->errs, "only one of %s may be set", list.data));
		else if (exactly && !set)
			at_path(w, mesh_errs_add(w->errs, "one of %s must be set", list.data));
		mesh_buf_free(&list);
	}
}

static void walk_object(struct walk *w, const struct mesh_schema *s, const json_t *obj)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)obj, key, v)
	{
		const struct mesh_field *f = mesh_schema_find(s, key);
		size_t len = enter(w, key);

		if (!f && !s->open)
			note_unknown(w, s, key);
		else if (f) {
			if ((f->flags & MESH_FIELD_UNSUPPORTED) && !json_is_null(v))
				at_path(w, mesh_errs_add(w->warnings,
							 "accepted, but not supported yet: it has no effect"));
			else if ((f->flags & MESH_FIELD_DEPRECATED) && !json_is_null(v))
				at_path(w, mesh_errs_add(w->warnings, "deprecated"));
			if (f->flags & MESH_FIELD_UNSUPPORTED) {
				struct mesh_errs *warnings = w->warnings;

				w->warnings = NULL;
				walk_value(w, f, f->type, v);
				w->warnings = warnings;
			} else {
				walk_value(w, f, f->type, v);
			}
		}
		leave(w, len);
	}
	for (const struct mesh_field *f = s->fields; f && f->name; f++)
		if ((f->flags & MESH_FIELD_REQUIRED) && !w->in_status && is_missing(w, json_object_get(obj, f->name))) {
			size_t len = enter(w, f->name);

			at_path(w, mesh_errs_add(w->errs, "Required value"));
			leave(w, len);
		}
	check_groups(w, s, obj);
}

static void walk_top(struct walk *w, const json_t *obj)
{
	const struct mesh_schema *schema = w->kind->schema;
	json_t *rest = json_object(), *metadata = json_object_get(obj, "metadata"), *v;
	bool builtin = w->builtin;
	const char *key;

	json_object_foreach((json_t *)obj, key, v)
	{
		if (strcmp(key, "apiVersion") == 0 || strcmp(key, "kind") == 0 || strcmp(key, "metadata") == 0)
			continue;
		if (strcmp(key, "status") == 0 && (w->kind->flags & MESH_KIND_STATUS) &&
		    mesh_schema_find(schema, key)) {
			size_t len = enter(w, key);
			struct mesh_errs *warnings = w->warnings;

			w->in_status = true;
			w->warnings = NULL;
			walk_value(w, mesh_schema_find(schema, key), MESH_TYPE_OBJECT, v);
			w->warnings = warnings;
			w->in_status = false;
			leave(w, len);
			continue;
		}
		json_object_set(rest, key, v);
	}
	w->builtin = true; /* metadata is read by the same code for every kind */
	if (metadata && !json_is_null(metadata)) {
		static const struct mesh_field field = {
			.name = "metadata", .type = MESH_TYPE_OBJECT, .of = &mesh_schema_object_meta};
		size_t len = enter(w, "metadata");

		walk_value(w, &field, MESH_TYPE_OBJECT, metadata);
		leave(w, len);
	}
	w->builtin = builtin;
	walk_object(w, schema, rest);
	json_decref(rest);
}

int mesh_object_check(const struct mesh_kind *kind, const json_t *obj, const json_t *old, struct mesh_errs *errs,
		      struct mesh_errs *warnings, struct mesh_errs *unknown)
{
	struct mesh_errs found = {0};
	struct walk w = {
		.kind = kind,
		.errs = &found,
		.warnings = warnings,
		.unknown = unknown,
		.builtin = kind->flags & MESH_KIND_BUILTIN,
	};
	int r;

	walk_top(&w, obj);
	mesh_buf_free(&w.path);
	/* Kubernetes tells all errors of its own kinds at once; elsewhere what the schema says comes first. */
	if (found.list.count == 0 || w.builtin) {
		mesh_check_metadata(kind, obj, old, &found, warnings);
		if (kind->check)
			kind->check(kind, obj, old, &found, warnings);
	}
	r = found.list.count ? -EINVAL : 0;
	mesh_vec_each (e, &found.list)
		mesh_vec_push(&errs->list, *e);
	mesh_vec_free(&found.list);
	return r;
}
