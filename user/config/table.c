/* SPDX-License-Identifier: Apache-2.0 */
#include "config/columns.h"
#include "config/document.h"

static bool has_name_column(const struct mesh_kind *kind)
{
	for (const struct mesh_column *c = kind->columns; c && c->name; c++)
		if (c->cell == mesh_cell_name)
			return true;
	return false;
}

static json_t *definition(const char *name, const char *type, const char *format, const char *help, int priority)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:i}", "name", name, "type", type, "format", format, "description", help,
			 "priority", priority);
}

static json_t *definitions(const struct mesh_kind *kind)
{
	json_t *list = json_array();

	if (!has_name_column(kind))
		json_array_append_new(list, definition("Name", "string", "name", "Name of the object.", 0));
	for (const struct mesh_column *c = kind->columns; c && c->name; c++)
		json_array_append_new(list, definition(c->name, c->type, c->cell == mesh_cell_name ? "name" : "",
						       c->help, c->priority));
	return list;
}

static json_t *cell(const struct mesh_column *c, const json_t *obj)
{
	struct mesh_buf age = {0};
	json_t *v;

	if (c->cell)
		return c->cell(obj);
	v = mesh_json_path(obj, c->json_path);
	if (strcmp(c->type, "date") != 0 || !json_is_string(v))
		return v;
	mesh_since_text(json_string_value(v), &age);
	json_decref(v);
	v = json_string(age.data);
	mesh_buf_free(&age);
	return v;
}

static json_t *row_object(json_t *obj, const char *include)
{
	json_t *metadata;

	if (include && strcmp(include, "None") == 0)
		return NULL;
	if (include && strcmp(include, "Object") == 0)
		return json_incref(obj);
	metadata = json_object_get(obj, "metadata");
	return json_pack("{s:s,s:s,s:o}", "kind", "PartialObjectMetadata", "apiVersion", "meta.k8s.io/v1", "metadata",
			 metadata ? json_incref(metadata) : json_object());
}

static json_t *row(const struct mesh_kind *kind, json_t *obj, const char *include)
{
	json_t *cells = json_array(), *r = json_object(), *about = row_object(obj, include);

	if (!has_name_column(kind))
		json_array_append_new(cells, mesh_cell_name(obj));
	for (const struct mesh_column *c = kind->columns; c && c->name; c++)
		json_array_append_new(cells, cell(c, obj));
	json_object_set_new(r, "cells", cells);
	if (about)
		json_object_set_new(r, "object", about);
	return r;
}

json_t *mesh_table(const struct mesh_kind *kind, const json_t *items, const char *include_object, bool with_columns)
{
	json_t *table = json_pack("{s:s,s:s,s:{}}", "kind", "Table", "apiVersion", "meta.k8s.io/v1", "metadata");
	json_t *rows = json_array(), *item;
	size_t i;

	json_object_set_new(table, "columnDefinitions", with_columns ? definitions(kind) : json_null());
	json_array_foreach(items, i, item) json_array_append_new(rows, row(kind, item, include_object));
	json_object_set_new(table, "rows", rows);
	return table;
}
