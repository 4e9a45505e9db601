/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows as OpenAPI documents: what kubectl explains from, validates with, merges lists by, and learns from that
 * dryRun and fieldValidation are understood.
 */
#include "config/openapi.h"

#include "config/document.h"
#include "config/schema.h"
#include "core/version.h"

#include <inttypes.h>
#include <pthread.h>

static void set(json_t *o, const char *key, json_t *v)
{
	json_object_set_new(o, key, v);
}

/* "io.istio.networking.v1.VirtualService" */
static json_t *definition_name(const struct mesh_kind *kind, const char *version, const char *suffix)
{
	struct mesh_buf b = {0};
	const char *end = kind->group + strlen(kind->group);
	json_t *v;

	if (kind->flags & MESH_KIND_BUILTIN)
		return json_sprintf("%s%s", kind->schema->name, suffix);
	for (const char *p = end; p > kind->group;) {
		const char *start = p;

		while (start > kind->group && start[-1] != '.')
			start--;
		mesh_buf_add(&b, start, (size_t)(p - start));
		mesh_buf_char(&b, '.');
		p = start > kind->group ? start - 1 : start;
	}
	mesh_buf_printf(&b, "%s.%s%s", version, kind->kind, suffix);
	v = json_string(b.data);
	mesh_buf_free(&b);
	return v;
}

static json_t *gvk(const struct mesh_kind *kind, const char *version, const char *suffix)
{
	return json_pack("{s:s,s:o,s:s}", "group", kind->group, "kind", json_sprintf("%s%s", kind->kind, suffix),
			 "version", version);
}

static json_t *text_property(const char *help)
{
	return json_pack("{s:s,s:s}", "type", "string", "description", help);
}

static json_t *meta_property(enum mesh_dialect dialect, struct mesh_refs *refs)
{
	json_t *ref = mesh_schema_ref(dialect, &mesh_schema_object_meta, refs);

	if (dialect == MESH_DIALECT_V2)
		set(ref, "description", json_string("Name, labels and the like."));
	else
		ref = json_pack("{s:[o],s:s}", "allOf", ref, "description", "Name, labels and the like.");
	return ref;
}

static json_t *kind_definition(enum mesh_dialect dialect, const struct mesh_kind *kind, const char *version,
			       struct mesh_refs *refs)
{
	json_t *o = mesh_schema_json(dialect, kind->schema, refs), *all = json_object();

	set(all, "apiVersion", text_property("Group and version of this form of the object."));
	set(all, "kind", text_property("What the object is."));
	set(all, "metadata", meta_property(dialect, refs));
	json_object_update(all, json_object_get(o, "properties"));
	set(o, "properties", all);
	if (kind->help)
		set(o, "description", json_string(kind->help));
	set(o, "x-kubernetes-group-version-kind", json_pack("[o]", gvk(kind, version, "")));
	return o;
}

static json_t *list_definition(enum mesh_dialect dialect, const struct mesh_kind *kind, const char *version,
			       const char *item, struct mesh_refs *refs)
{
	json_t *ref = json_pack(
		"{s:o}", "$ref",
		json_sprintf("#/%s/%s", dialect == MESH_DIALECT_V2 ? "definitions" : "components/schemas", item));

	(void)refs;
	return json_pack("{s:s,s:s,s:[s],s:{s:o,s:o,s:{s:s,s:o},s:{s:s}},s:[o]}", "type", "object", "description",
			 "A list of objects.", "required", "items", "properties", "apiVersion",
			 text_property("Group and version of this form of the list."), "kind",
			 text_property("What the list is."), "items", "type", "array", "items", ref, "metadata", "type",
			 "object", "x-kubernetes-group-version-kind", gvk(kind, version, "List"));
}

static json_t *query_parameter(enum mesh_dialect dialect, const char *name, const char *type)
{
	if (dialect == MESH_DIALECT_V2)
		return json_pack("{s:s,s:s,s:s,s:b}", "name", name, "in", "query", "type", type, "uniqueItems", 1);
	return json_pack("{s:s,s:s,s:{s:s,s:b}}", "name", name, "in", "query", "schema", "type", type, "uniqueItems",
			 1);
}

static json_t *operation(enum mesh_dialect dialect, const struct mesh_kind *kind, const char *version,
			 const char *action, bool writes)
{
	json_t *o = json_pack("{s:{s:{s:s}},s:s,s:o}", "responses", "200", "description", "OK", "x-kubernetes-action",
			      action, "x-kubernetes-group-version-kind", gvk(kind, version, ""));
	json_t *parameters = json_array();

	if (writes) {
		json_array_append_new(parameters, query_parameter(dialect, "dryRun", "string"));
		json_array_append_new(parameters, query_parameter(dialect, "fieldManager", "string"));
		json_array_append_new(parameters, query_parameter(dialect, "fieldValidation", "string"));
	}
	set(o, "parameters", parameters);
	return o;
}

static void add_paths(json_t *paths, enum mesh_dialect dialect, const struct mesh_kind *kind, const char *version)
{
	bool namespaced = kind->flags & MESH_KIND_NAMESPACED;
	char base[128], path[256];
	json_t *item;

	if (*kind->group)
		snprintf(base, sizeof(base), "/apis/%s/%s", kind->group, version);
	else
		snprintf(base, sizeof(base), "/api/%s", version);
	if (namespaced) {
		snprintf(path, sizeof(path), "%s/%s", base, kind->plural);
		set(paths, path, json_pack("{s:o}", "get", operation(dialect, kind, version, "list", false)));
	}
	snprintf(path, sizeof(path), "%s%s/%s", base, namespaced ? "/namespaces/{namespace}" : "", kind->plural);
	set(paths, path,
	    json_pack("{s:o,s:o}", "get", operation(dialect, kind, version, "list", false), "post",
		      operation(dialect, kind, version, "post", true)));
	snprintf(path, sizeof(path), "%s%s/%s/{name}", base, namespaced ? "/namespaces/{namespace}" : "", kind->plural);
	item = json_object();
	set(item, "get", operation(dialect, kind, version, "get", false));
	set(item, "put", operation(dialect, kind, version, "put", true));
	set(item, "patch", operation(dialect, kind, version, "patch", true));
	set(item, "delete", operation(dialect, kind, version, "delete", true));
	set(paths, path, item);
}

static void add_kind(json_t *definitions, json_t *paths, enum mesh_dialect dialect, const struct mesh_kind *kind,
		     const char *version, struct mesh_refs *refs)
{
	json_t *name = definition_name(kind, version, ""), *list = definition_name(kind, version, "List");

	set(definitions, json_string_value(name), kind_definition(dialect, kind, version, refs));
	set(definitions, json_string_value(list),
	    list_definition(dialect, kind, version, json_string_value(name), refs));
	json_decref(name);
	json_decref(list);
	add_paths(paths, dialect, kind, version);
}

/* All that was referred to, and what that refers to. */
static void add_refs(json_t *definitions, enum mesh_dialect dialect, struct mesh_refs *refs)
{
	for (size_t i = 0; i < refs->list.count; i++) {
		const struct mesh_schema *s = refs->list.items[i];

		set(definitions, s->name, mesh_schema_json(dialect, s, refs));
	}
	mesh_vec_free(&refs->list);
}

json_t *mesh_openapi_v3(const char *group, const char *version)
{
	json_t *schemas = json_object(), *paths = json_object();
	struct mesh_refs refs = {0};
	size_t count, found = 0;
	const struct mesh_kind *const *kinds = mesh_kinds(&count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(kinds[i]->group, group) == 0 && mesh_kind_serves(kinds[i], version)) {
			add_kind(schemas, paths, MESH_DIALECT_V3, kinds[i], version, &refs);
			found++;
		}
	add_refs(schemas, MESH_DIALECT_V3, &refs);
	if (!found) {
		json_decref(schemas);
		json_decref(paths);
		return NULL;
	}
	return json_pack("{s:s,s:{s:s,s:s},s:o,s:{s:o}}", "openapi", "3.0.0", "info", "title", "Kubernetes", "version",
			 mesh_version, "paths", paths, "components", "schemas", schemas);
}

static uint64_t fnv(const char *s)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	return h;
}

static void add_index(json_t *paths, const struct mesh_kind *kind, const char *version)
{
	char key[128], *text;
	json_t *doc;

	snprintf(key, sizeof(key), "%s%s%s/%s", *kind->group ? "apis" : "api", *kind->group ? "/" : "", kind->group,
		 version);
	if (json_object_get(paths, key))
		return;
	doc = mesh_openapi_v3(kind->group, version);
	text = json_dumps(doc, JSON_COMPACT);
	set(paths, key,
	    json_pack("{s:o}", "serverRelativeURL", json_sprintf("/openapi/v3/%s?hash=%016" PRIX64, key, fnv(text))));
	free(text);
	json_decref(doc);
}

static char *index_text;

static void make_index(void)
{
	json_t *paths = json_object(), *index;
	size_t count;
	const struct mesh_kind *const *kinds = mesh_kinds(&count);

	for (size_t i = 0; i < count; i++)
		for (const char *const *v = kinds[i]->versions; *v; v++)
			add_index(paths, kinds[i], *v);
	index = json_pack("{s:o}", "paths", paths);
	index_text = json_dumps(index, JSON_COMPACT);
	json_decref(index);
}

json_t *mesh_openapi_v3_index(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	/* The hashes need every document: they are made once in a process. */
	pthread_once(&once, make_index);
	return json_loads(index_text, 0, NULL);
}

json_t *mesh_openapi_v2(void)
{
	json_t *definitions = json_object(), *paths = json_object();
	struct mesh_refs refs = {0};
	size_t count;
	const struct mesh_kind *const *kinds = mesh_kinds(&count);

	for (size_t i = 0; i < count; i++)
		for (const char *const *v = kinds[i]->versions; *v; v++)
			add_kind(definitions, paths, MESH_DIALECT_V2, kinds[i], *v, &refs);
	add_refs(definitions, MESH_DIALECT_V2, &refs);
	return json_pack("{s:s,s:{s:s,s:s},s:o,s:o}", "swagger", "2.0", "info", "title", "Kubernetes", "version",
			 mesh_version, "paths", paths, "definitions", definitions);
}
