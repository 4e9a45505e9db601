/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/print.h"

#include "core/mem.h"
#include "ctl/json_out.h"
#include "ctl/resource.h"

#include <errno.h>
#include <stdio.h>

static const char allowed[] = "custom-columns,json,jsonpath,name,wide,yaml";

static int unknown_format(struct mesh_ctl *ctl, const char *format)
{
	mesh_ctl_error(ctl, "unable to match a printer suitable for the output format \"%s\", allowed formats are: %s",
		       format, allowed);
	return -EINVAL;
}

static int compile(struct mesh_ctl *ctl, const char *template, struct mesh_jsonpath **ret)
{
	struct mesh_errs errs = {0};

	if (mesh_jsonpath_new(ret, template, &errs) == 0)
		return 0;
	mesh_ctl_errors(ctl, &errs);
	return -EINVAL;
}

/* NAME:.metadata.name,RV:.metadata.resourceVersion */
static int compile_columns(struct mesh_ctl *ctl, struct mesh_printer *p, const char *spec)
{
	struct mesh_slice rest = mesh_slice_str(spec), part;

	while (mesh_slice_split(&rest, ',', &part)) {
		ssize_t colon = mesh_slice_find(part, ':');
		struct mesh_column_spec *c;

		if (colon <= 0) {
			mesh_ctl_error(ctl, "unexpected custom-columns spec: %.*s, expected <header>:<json-path-expr>",
				       (int)part.len, part.ptr);
			return -EINVAL;
		}
		c = mesh_vec_add(&p->columns);
		c->head = mesh_xstrndup(part.ptr, (size_t)colon);
		{
			mesh_auto_free char *path = mesh_xstrndup(part.ptr + colon + 1, part.len - (size_t)colon - 1);
			mesh_auto_free char *template = mesh_jsonpath_relaxed(path);

			if (compile(ctl, template, &c->path) < 0)
				return -EINVAL;
		}
	}
	p->tabs = (struct mesh_tabs){.min_width = 6, .padding = 3, .remember = true};
	return 0;
}

int mesh_printer_init(struct mesh_ctl *ctl, struct mesh_printer *p)
{
	const char *o = ctl->flags->output, *eq = o ? strchr(o, '=') : NULL;
	struct mesh_slice name = eq ? mesh_slice_of(o, (size_t)(eq - o)) : mesh_slice_str(o);

	*p = (struct mesh_printer){0};
	if (!o || !o[0])
		return 0;
	if (eq && mesh_slice_eq(name, MESH_SLICE("jsonpath"))) {
		p->format = MESH_FORMAT_JSONPATH;
		return compile(ctl, eq + 1, &p->path);
	}
	if (eq && mesh_slice_eq(name, MESH_SLICE("custom-columns"))) {
		p->format = MESH_FORMAT_COLUMNS;
		return compile_columns(ctl, p, eq + 1);
	}
	if (strcmp(o, "wide") == 0)
		p->wide = true;
	else if (strcmp(o, "yaml") == 0)
		p->format = MESH_FORMAT_YAML;
	else if (strcmp(o, "json") == 0)
		p->format = MESH_FORMAT_JSON;
	else if (strcmp(o, "name") == 0)
		p->format = MESH_FORMAT_NAME;
	else if (mesh_slice_eq(name, MESH_SLICE("jsonpath")) || mesh_slice_eq(name, MESH_SLICE("custom-columns")))
		return mesh_ctl_error(ctl, "template format specified but no template given"), -EINVAL;
	else
		return unknown_format(ctl, o);
	return 0;
}

void mesh_printer_free(struct mesh_printer *p)
{
	mesh_jsonpath_free(p->path);
	mesh_vec_each (c, &p->columns) {
		free(c->head);
		mesh_jsonpath_free(c->path);
	}
	mesh_vec_free(&p->columns);
	mesh_tabs_free(&p->tabs);
}

static void drop_managed(json_t *obj)
{
	json_t *item;
	size_t i;

	json_object_del(json_object_get(obj, "metadata"), "managedFields");
	if (json_is_array(json_object_get(obj, "items")))
		json_array_foreach(json_object_get(obj, "items"), i, item) drop_managed(item);
}

static void names_out(struct mesh_buf *out, const json_t *obj)
{
	const json_t *items = json_object_get(obj, "items"), *item;
	size_t i;

	if (!json_is_array(items)) {
		mesh_auto_free char *name = mesh_object_name_of(obj);

		mesh_buf_printf(out, "%s\n", name);
		return;
	}
	json_array_foreach(items, i, item) names_out(out, item);
}

/* As Go prints a value: [a b], map[k:v]. */
static void go_value(struct mesh_buf *out, const json_t *v)
{
	const char *key, *between = "";
	json_t *item;
	size_t i;

	if (json_is_string(v)) {
		mesh_buf_str(out, json_string_value(v));
	} else if (json_is_null(v)) {
		mesh_buf_str(out, "<nil>");
	} else if (json_is_array(v)) {
		mesh_buf_char(out, '[');
		json_array_foreach(v, i, item)
		{
			mesh_buf_str(out, i ? " " : "");
			go_value(out, item);
		}
		mesh_buf_char(out, ']');
	} else if (json_is_object(v)) {
		mesh_buf_str(out, "map[");
		json_object_foreach((json_t *)v, key, item)
		{
			mesh_buf_printf(out, "%s%s:", between, key);
			between = " ";
			go_value(out, item);
		}
		mesh_buf_char(out, ']');
	} else {
		mesh_json_out(out, v, 0);
	}
}

static void columns_row(struct mesh_printer *p, const json_t *obj)
{
	struct mesh_buf *text = &p->tabs.text;
	const char *between = "";

	mesh_vec_each (c, &p->columns) {
		mesh_auto_free char *cell = NULL;
		json_t *found = mesh_jsonpath_find(c->path, obj), *v;
		size_t i;

		mesh_buf_str(text, between);
		between = "\t";
		if (json_array_size(found) == 0)
			mesh_buf_str(text, "<none>");
		json_array_foreach(found, i, v)
		{
			mesh_buf_str(text, i ? "," : "");
			go_value(text, v);
		}
		json_decref(found);
	}
	mesh_buf_char(text, '\n');
}

static void columns_out(struct mesh_ctl *ctl, struct mesh_printer *p, struct mesh_buf *out, const json_t *obj)
{
	const json_t *items = json_object_get(obj, "items"), *item;
	const char *between = "";
	size_t i;

	if (p->printed == 0 && !ctl->flags->no_headers) {
		mesh_vec_each (c, &p->columns) {
			mesh_buf_printf(&p->tabs.text, "%s%s", between, c->head);
			between = "\t";
		}
		mesh_buf_char(&p->tabs.text, '\n');
	}
	if (json_is_array(items))
		json_array_foreach(items, i, item) columns_row(p, item);
	else
		columns_row(p, obj);
	mesh_tabs_flush(&p->tabs, out);
}

void mesh_print(struct mesh_ctl *ctl, struct mesh_printer *p, json_t *obj)
{
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};

	if (!ctl->flags->show_managed && p->format != MESH_FORMAT_JSONPATH)
		drop_managed(obj);
	switch (p->format) {
	case MESH_FORMAT_TABLE:
		return;
	case MESH_FORMAT_YAML:
		if (p->printed)
			mesh_buf_str(&out, "---\n");
		mesh_yaml_out(&out, obj);
		break;
	case MESH_FORMAT_JSON:
		mesh_json_out(&out, obj, 4);
		mesh_buf_char(&out, '\n');
		break;
	case MESH_FORMAT_NAME:
		names_out(&out, obj);
		break;
	case MESH_FORMAT_JSONPATH:
		mesh_jsonpath_run(p->path, obj, &out);
		break;
	case MESH_FORMAT_COLUMNS:
		columns_out(ctl, p, &out, obj);
		break;
	}
	p->printed++;
	fwrite(out.data ? out.data : "", 1, out.len, stdout);
}

void mesh_print_done(struct mesh_ctl *ctl, struct mesh_printer *p, json_t *obj, const char *did)
{
	mesh_auto_free char *name = mesh_object_name_of(obj);

	if (p->format == MESH_FORMAT_TABLE)
		printf("%s %s%s\n", name, did, mesh_ctl_dry_suffix(ctl));
	else
		mesh_print(ctl, p, obj);
}
