/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kind's row as a CustomResourceDefinition.
 */
#include "config/document.h"
#include "config/openapi.h"
#include "model/names.h"

static json_t *words(const char *const *list)
{
	json_t *a = json_array();

	for (; list && *list; list++)
		json_array_append_new(a, json_string(*list));
	return a;
}

static json_t *columns(const struct mesh_kind *kind)
{
	json_t *list = json_array();

	for (const struct mesh_column *c = kind->columns; c && c->name; c++) {
		json_t *o;

		if (!c->json_path)
			continue;
		o = json_pack("{s:s,s:s,s:s,s:s}", "name", c->name, "type", c->type, "jsonPath", c->json_path,
			      "description", c->help);
		if (c->priority)
			json_object_set_new(o, "priority", json_integer(c->priority));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *version(const struct mesh_kind *kind, const char *name)
{
	json_t *schema = mesh_schema_json(MESH_DIALECT_CRD, kind->schema, NULL), *v;

	if (kind->help)
		json_object_set_new(schema, "description", json_string(kind->help));
	v = json_pack("{s:s,s:b,s:b,s:{s:o}}", "name", name, "served", 1, "storage",
		      strcmp(name, kind->storage_version) == 0, "schema", "openAPIV3Schema", schema);
	if (kind->flags & MESH_KIND_STATUS)
		json_object_set_new(v, "subresources", json_pack("{s:{}}", "status"));
	json_object_set_new(v, "additionalPrinterColumns", columns(kind));
	return v;
}

json_t *mesh_kind_crd(const struct mesh_kind *kind)
{
	json_t *versions = json_array();
	json_t *names =
		json_pack("{s:s,s:o,s:s,s:s}", "kind", kind->kind, "listKind", json_sprintf("%sList", kind->kind),
			  "plural", kind->plural, "singular", kind->singular);

	if (kind->short_names)
		json_object_set_new(names, "shortNames", words(kind->short_names));
	if (kind->categories)
		json_object_set_new(names, "categories", words(kind->categories));
	for (const char *const *v = kind->versions; *v; v++)
		json_array_append_new(versions, version(kind, *v));
	return json_pack("{s:s,s:s,s:{s:o,s:{s:s}},s:{s:s,s:o,s:s,s:o}}", "apiVersion", "apiextensions.k8s.io/v1",
			 "kind", "CustomResourceDefinition", "metadata", "name",
			 json_sprintf("%s.%s", kind->plural, kind->group), "labels", MESH_LABEL_NAME, "sockmesh",
			 "spec", "group", kind->group, "names", names, "scope",
			 kind->flags & MESH_KIND_NAMESPACED ? "Namespaced" : "Cluster", "versions", versions);
}
