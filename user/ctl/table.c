/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/print.h"

#include "config/get.h"
#include "core/mem.h"
#include "ctl/json_out.h"
#include "ctl/resource.h"

#include <ctype.h>

const char mesh_accept_table[] = "application/json;as=Table;v=v1;g=meta.k8s.io,"
				 "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

static bool shown(const json_t *column, const struct mesh_table_opts *o)
{
	return o->wide || json_integer_value(json_object_get(column, "priority")) == 0;
}

static void head_cell(struct mesh_buf *out, const char *name)
{
	for (; *name; name++)
		mesh_buf_char(out, (char)toupper((unsigned char)*name));
}

/* The label's own name: "sockmesh.io/component" gives COMPONENT. */
static void label_head(struct mesh_buf *out, struct mesh_slice label)
{
	const char *slash = memrchr(label.ptr, '/', label.len);
	const char *from = slash ? slash + 1 : label.ptr;
	mesh_auto_free char *name = mesh_xstrndup(from, (size_t)(label.ptr + label.len - from));

	mesh_buf_char(out, '\t');
	head_cell(out, name);
}

static void heads(struct mesh_tabs *tabs, const json_t *columns, const struct mesh_table_opts *o)
{
	struct mesh_buf *out = &tabs->text;
	const json_t *column;
	bool first = true;
	size_t i;

	if (o->flags->output_watch_events)
		mesh_buf_str(out, "EVENT\t");
	if (o->flags->all_namespaces)
		mesh_buf_str(out, "NAMESPACE\t");
	json_array_foreach(columns, i, column)
	{
		if (!shown(column, o))
			continue;
		mesh_buf_str(out, first ? "" : "\t");
		first = false;
		head_cell(out, mesh_text(column, "name"));
	}
	mesh_vec_each (names, &o->flags->label_columns.list) {
		struct mesh_slice rest = mesh_slice_str(*names), one;

		while (mesh_slice_split(&rest, ',', &one))
			label_head(out, one);
	}
	if (o->flags->show_labels)
		mesh_buf_str(out, "\tLABELS");
	mesh_buf_char(out, '\n');
}

/* Only the first line of a cell that has several, and no tab that would end it. */
static void add_text(struct mesh_buf *out, const char *s)
{
	size_t len = strcspn(s, "\r\n");

	for (size_t i = 0; i < len; i++)
		mesh_buf_char(out, s[i] == '\t' ? ' ' : s[i]);
	if (s[len])
		mesh_buf_str(out, "...");
}

static void cell_text(struct mesh_buf *out, const json_t *cell)
{
	if (json_is_string(cell))
		add_text(out, json_string_value(cell));
	else if (!json_is_null(cell))
		mesh_json_out(out, cell, 0);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void labels_cell(struct mesh_buf *out, const json_t *labels)
{
	mesh_auto_free const char **keys = mesh_xcalloc(json_object_size(labels) + 1, sizeof(*keys));
	const char *key;
	json_t *value;
	size_t n = 0;

	json_object_foreach((json_t *)labels, key, value) keys[n++] = key;
	qsort(keys, n, sizeof(*keys), by_name);
	if (n == 0)
		mesh_buf_str(out, "<none>");
	for (size_t i = 0; i < n; i++)
		mesh_buf_printf(out, "%s%s=%s", i ? "," : "", keys[i], mesh_text(labels, keys[i]));
}

static void label_cells(struct mesh_buf *out, const json_t *labels, const struct mesh_flags *flags)
{
	mesh_vec_each (names, &flags->label_columns.list) {
		struct mesh_slice rest = mesh_slice_str(*names), one;

		while (mesh_slice_split(&rest, ',', &one)) {
			mesh_auto_free char *name = mesh_xstrndup(one.ptr, one.len);

			mesh_buf_printf(out, "\t%s", mesh_text(labels, name));
		}
	}
	if (flags->show_labels) {
		mesh_buf_char(out, '\t');
		labels_cell(out, labels);
	}
}

static void row_cells(struct mesh_buf *out, const json_t *row, const json_t *columns, const struct mesh_table_opts *o)
{
	const json_t *cells = json_object_get(row, "cells"), *cell;
	bool first = true;
	size_t i;

	json_array_foreach(cells, i, cell)
	{
		const json_t *column = json_array_get(columns, i);

		if (!shown(column, o))
			continue;
		mesh_buf_str(out, first ? "" : "\t");
		first = false;
		if (o->with_kind && strcmp(mesh_text(column, "format"), "name") == 0) {
			mesh_auto_free char *name = mesh_object_name(o->group, o->kind, json_string_value(cell));

			add_text(out, name);
		} else {
			cell_text(out, cell);
		}
	}
}

void mesh_table_rows(struct mesh_tabs *tabs, const json_t *table, const json_t *columns,
		     const struct mesh_table_opts *o)
{
	const json_t *row;
	size_t i;

	if (!o->no_headers)
		heads(tabs, columns, o);
	json_array_foreach(json_object_get(table, "rows"), i, row)
	{
		const json_t *obj = json_object_get(row, "object");

		if (o->flags->output_watch_events)
			mesh_buf_printf(&tabs->text, "%s\t", o->event ? o->event : "ADDED");
		if (o->flags->all_namespaces)
			mesh_buf_printf(&tabs->text, "%s\t", mesh_meta(obj, "namespace"));
		row_cells(&tabs->text, row, columns, o);
		label_cells(&tabs->text, json_object_get(json_object_get(obj, "metadata"), "labels"), o->flags);
		mesh_buf_char(&tabs->text, '\n');
	}
}
