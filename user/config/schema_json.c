/* SPDX-License-Identifier: Apache-2.0 */
#include "config/openapi.h"

#include <string.h>

static void set(json_t *o, const char *key, json_t *v)
{
	json_object_set_new(o, key, v);
}

static bool is_named(const struct mesh_schema *s)
{
	return strchr(s->name, '.') != NULL;
}

json_t *mesh_schema_ref(enum mesh_dialect dialect, const struct mesh_schema *schema, struct mesh_refs *refs)
{
	bool known = false;

	mesh_vec_each (s, &refs->list)
		known |= *s == schema;
	if (!known)
		mesh_vec_push(&refs->list, schema);
	return json_pack("{s:o}", "$ref",
			 json_sprintf("#/%s/%s", dialect == MESH_DIALECT_V2 ? "definitions" : "components/schemas",
				      schema->name));
}

static json_t *int_or_string(enum mesh_dialect dialect)
{
	if (dialect == MESH_DIALECT_V2)
		return json_pack("{s:s,s:s}", "type", "string", "format", "int-or-string");
	return json_pack("{s:[{s:s},{s:s}],s:b}", "anyOf", "type", "integer", "type", "string",
			 "x-kubernetes-int-or-string", 1);
}

static json_t *type_json(enum mesh_dialect dialect, enum mesh_type type, const struct mesh_field *f,
			 struct mesh_refs *refs)
{
	static const struct {
		const char *type, *format;
	} simple[] = {
		[MESH_TYPE_STRING] = {"string", NULL},      [MESH_TYPE_BOOL] = {"boolean", NULL},
		[MESH_TYPE_INT32] = {"integer", "int32"},   [MESH_TYPE_INT64] = {"integer", "int64"},
		[MESH_TYPE_NUMBER] = {"number", "double"},  [MESH_TYPE_DURATION] = {"string", NULL},
		[MESH_TYPE_TIME] = {"string", "date-time"}, [MESH_TYPE_BYTES] = {"string", "byte"},
	};
	json_t *o;

	switch (type) {
	case MESH_TYPE_OBJECT:
		if (refs && is_named(f->of))
			return mesh_schema_ref(dialect, f->of, refs);
		return mesh_schema_json(dialect, f->of, refs);
	case MESH_TYPE_ARRAY:
		return json_pack("{s:s,s:o}", "type", "array", "items", type_json(dialect, f->item, f, refs));
	case MESH_TYPE_MAP:
		return json_pack("{s:s,s:o}", "type", "object", "additionalProperties",
				 type_json(dialect, f->item, f, refs));
	case MESH_TYPE_INT_OR_STRING:
		return int_or_string(dialect);
	case MESH_TYPE_QUANTITY:
		return dialect == MESH_DIALECT_V2 ? json_pack("{s:s}", "type", "string") : int_or_string(dialect);
	case MESH_TYPE_ANY:
		return dialect == MESH_DIALECT_V2 ? json_object()
						  : json_pack("{s:b}", "x-kubernetes-preserve-unknown-fields", 1);
	default:
		o = json_pack("{s:s}", "type", simple[type].type);
		if (simple[type].format)
			set(o, "format", json_string(simple[type].format));
		return o;
	}
}

static void set_range(json_t *o, const struct mesh_field *f)
{
	static const struct {
		const char *min, *max;
	} words[] = {
		[MESH_TYPE_STRING] = {"minLength", "maxLength"},
		[MESH_TYPE_ARRAY] = {"minItems", "maxItems"},
		[MESH_TYPE_MAP] = {"minProperties", "maxProperties"},
		[MESH_TYPE_INT32] = {"minimum", "maximum"},
		[MESH_TYPE_INT64] = {"minimum", "maximum"},
		[MESH_TYPE_NUMBER] = {"minimum", "maximum"},
		[MESH_TYPE_DURATION] = {NULL, NULL},
		[MESH_TYPE_ANY] = {NULL, NULL},
	};

	if (!(f->flags & MESH_FIELD_RANGE) || !words[f->type].min)
		return;
	if (f->min != INT64_MIN && !(f->min == 0 && words[f->type].min[3] != 'i'))
		set(o, words[f->type].min, json_integer(f->min));
	if (f->max != INT64_MAX)
		set(o, words[f->type].max, json_integer(f->max));
}

static void set_enum(json_t *o, const struct mesh_field *f)
{
	json_t *list = json_array(), *into = f->type == MESH_TYPE_ARRAY ? json_object_get(o, "items") : o;

	for (const char *const *v = f->values; *v; v++)
		json_array_append_new(list, json_string(*v));
	set(into, "enum", list);
}

/* A duration's own check, which a server with CRDs can do. */
static void set_rule(json_t *o, const struct mesh_field *f)
{
	if (f->type == MESH_TYPE_DURATION && (f->flags & MESH_FIELD_RANGE))
		set(o, "x-kubernetes-validations",
		    json_pack("[{s:s,s:s}]", "rule", "duration(self) >= duration('1ms')", "message",
			      "must be a valid duration greater than 1ms"));
}

static json_t *field_json(enum mesh_dialect dialect, const struct mesh_field *f, struct mesh_refs *refs)
{
	json_t *o = type_json(dialect, f->type, f, refs);

	/* Beside a reference nothing else may stand in v3. */
	if (json_object_get(o, "$ref") && dialect == MESH_DIALECT_V3 &&
	    (f->help || f->merge_key || (f->flags & MESH_FIELD_RETAIN_KEYS)))
		o = json_pack("{s:[o]}", "allOf", o);
	if (f->help)
		set(o, "description", json_string(f->help));
	if (json_object_get(o, "$ref"))
		return o;
	set_range(o, f);
	if (f->values)
		set_enum(o, f);
	if ((f->flags & MESH_FIELD_NULLABLE) && dialect != MESH_DIALECT_V2)
		set(o, "nullable", json_true());
	if (dialect == MESH_DIALECT_CRD)
		set_rule(o, f);
	return o;
}

/* How kubectl merges a list: only in what it reads (OpenAPI), never in CRDs. */
static void set_merge(json_t *o, const struct mesh_field *f)
{
	bool retain = f->flags & MESH_FIELD_RETAIN_KEYS;

	if (f->merge_key && *f->merge_key)
		set(o, "x-kubernetes-patch-merge-key", json_string(f->merge_key));
	if (f->merge_key)
		set(o, "x-kubernetes-patch-strategy", json_string(retain ? "merge,retainKeys" : "merge"));
	else if (retain)
		set(o, "x-kubernetes-patch-strategy", json_string("retainKeys"));
}

/* "At most one of a, b": none of them, or exactly one branch holds. */
static json_t *group_json(const char *group)
{
	json_t *branches = json_array(), *none = json_array();
	bool exactly = *group == '!';
	struct mesh_slice rest = mesh_slice_str(group + exactly), name;

	while (mesh_slice_split(&rest, '|', &name)) {
		json_t *one = json_pack("{s:[s%]}", "required", name.ptr, name.len);

		json_array_append(none, one);
		json_array_append_new(branches, one);
	}
	if (exactly)
		json_decref(none);
	else
		json_array_insert_new(branches, 0, json_pack("{s:{s:o}}", "not", "anyOf", none));
	return json_pack("{s:o}", "oneOf", branches);
}

static void set_groups(json_t *o, const struct mesh_schema *s)
{
	json_t *all = json_array();

	for (const char *const *g = s->one_of; *g; g++)
		json_array_append_new(all, group_json(*g));
	if (json_array_size(all) == 1)
		json_object_update(o, json_array_get(all, 0));
	else
		set(o, "allOf", json_incref(all));
	json_decref(all);
}

json_t *mesh_schema_json(enum mesh_dialect dialect, const struct mesh_schema *s, struct mesh_refs *refs)
{
	json_t *o = json_pack("{s:s}", "type", "object"), *properties = json_object(), *required = json_array();

	if (s->help)
		set(o, "description", json_string(s->help));
	for (const struct mesh_field *f = s->fields; f && f->name; f++) {
		json_t *v = field_json(dialect, f, refs);

		if (dialect != MESH_DIALECT_CRD)
			set_merge(v, f);
		set(properties, f->name, v);
		if (f->flags & MESH_FIELD_REQUIRED)
			json_array_append_new(required, json_string(f->name));
	}
	if (json_object_size(properties))
		set(o, "properties", json_incref(properties));
	if (json_array_size(required))
		set(o, "required", json_incref(required));
	json_decref(properties);
	json_decref(required);
	if (s->open)
		set(o, "x-kubernetes-preserve-unknown-fields", json_true());
	if (s->one_of && dialect != MESH_DIALECT_V2)
		set_groups(o, s);
	return o;
}
