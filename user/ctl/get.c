/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/fetch.h"
#include "ctl/files.h"
#include "ctl/print.h"

#include "core/mem.h"

#include <errno.h>
#include <stdio.h>

/* Tables as they are asked for: one header for neighbours of one type. */
struct show {
	struct mesh_printer printer;
	struct mesh_tabs tabs;
	const struct mesh_resource *shown; /* whose table is being printed */
	size_t tables;                     /* printed so far */
	bool with_kind, all_namespaced;
	json_t *objects; /* for the other formats */
};

static const char *namespace_of(const struct mesh_ctl *ctl)
{
	return ctl->flags->all_namespaces ? NULL : ctl->namespace;
}

static void flush_table(struct show *s)
{
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};

	mesh_tabs_flush(&s->tabs, &out);
	fwrite(out.data ? out.data : "", 1, out.len, stdout);
}

static void show_table(struct mesh_ctl *ctl, struct show *s, const struct mesh_resource *res, const json_t *table)
{
	struct mesh_table_opts o = {
		.flags = ctl->flags, .wide = s->printer.wide, .group = res->group, .kind = res->kind};

	if (json_array_size(json_object_get(table, "rows")) == 0)
		return;
	if (s->shown != res) {
		flush_table(s);
		if (s->tables++ && !ctl->flags->no_headers)
			putchar('\n');
		s->shown = res;
	} else {
		o.no_headers = true;
	}
	o.no_headers |= ctl->flags->no_headers;
	o.with_kind = s->with_kind || ctl->flags->show_kind;
	mesh_table_rows(&s->tabs, table, json_object_get(table, "columnDefinitions"), &o);
}

static void show_target(struct mesh_ctl *ctl, struct show *s, const struct mesh_target *t, const char *ns)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	bool table = s->printer.format == MESH_FORMAT_TABLE;
	json_t *item;
	size_t i;

	s->all_namespaced &= t->resource->namespaced && ns;
	if (mesh_fetch(ctl, t, ns, table, &a) < 0) {
		bool missing = a.status == 404 && ctl->flags->ignore_not_found;

		if (!missing)
			mesh_ctl_fail(ctl, &a, NULL);
		return;
	}
	if (table) {
		show_table(ctl, s, t->resource, a.body);
	} else if (t->name) {
		json_array_append(s->objects, a.body);
	} else {
		json_array_foreach(json_object_get(a.body, "items"), i, item) json_array_append(s->objects, item);
	}
}

static void show_objects(struct mesh_ctl *ctl, struct show *s, bool many)
{
	json_t *list;

	if (!many) {
		if (json_array_size(s->objects))
			mesh_print(ctl, &s->printer, json_array_get(s->objects, 0));
		return;
	}
	if (ctl->failed && json_array_size(s->objects) == 0)
		return;
	list = json_pack("{s:s, s:O, s:s, s:{s:s}}", "apiVersion", "v1", "items", s->objects, "kind", "List",
			 "metadata", "resourceVersion", "");
	mesh_print(ctl, &s->printer, list);
	json_decref(list);
}

static void say_none(struct mesh_ctl *ctl, const struct show *s)
{
	if (s->tables || ctl->failed || ctl->flags->ignore_not_found)
		return;
	fflush(stdout);
	if (s->all_namespaced)
		fprintf(stderr, "No resources found in %s namespace.\n", ctl->namespace);
	else
		fputs("No resources found\n", stderr);
}

static bool several_types(const struct mesh_targets *t)
{
	mesh_vec_each (one, &t->list)
		if (one->resource != t->list.items[0].resource)
			return true;
	return false;
}

static int get_raw(struct mesh_ctl *ctl, const char *path)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

	if (mesh_ctl_get(ctl, path, &a) < 0) {
		mesh_ctl_fail(ctl, &a, NULL);
		return 1;
	}
	fwrite(a.raw.data ? a.raw.data : "", 1, a.raw.len, stdout);
	return 0;
}

static void show_files(struct mesh_ctl *ctl, struct show *s, bool *many)
{
	mesh_auto(mesh_inputs_free) struct mesh_inputs in = {0};

	mesh_inputs_read(ctl, "get", false, &in);
	*many = in.list.count > 1;
	mesh_vec_each (i, &in.list)
		s->with_kind |= i->resource != in.list.items[0].resource;
	mesh_vec_each (i, &in.list) {
		struct mesh_target t = {i->resource, mesh_meta(i->obj, "name")};
		const char *ns = mesh_meta(i->obj, "namespace");

		show_target(ctl, s, &t, ns[0] ? ns : NULL);
	}
	flush_table(s);
}

static int check_words(struct mesh_ctl *ctl, const struct mesh_targets *t)
{
	const struct mesh_flags *f = ctl->flags;

	mesh_vec_each (one, &t->list) {
		if (one->name && f->all_namespaces)
			return mesh_ctl_error(ctl, "a resource cannot be retrieved by name across all namespaces");
		if (one->name && (f->selector || f->field_selector))
			return mesh_ctl_error(ctl, "%s cannot be used when a name is given",
					      f->selector ? "selectors" : "field selectors");
	}
	if ((f->watch || f->watch_only) && several_types(t))
		return mesh_ctl_error(ctl, "you may only specify a single resource type");
	return 0;
}

static int get(struct mesh_ctl *ctl, const struct mesh_flags *f, struct show *s)
{
	mesh_auto(mesh_targets_free) struct mesh_targets t = {0};
	bool many;

	if (f->files.list.count) {
		show_files(ctl, s, &many);
	} else {
		if (mesh_targets_parse(ctl, f->args.list.items, f->args.list.count, false, &t) < 0 ||
		    check_words(ctl, &t) != 0)
			return 1;
		if (f->watch || f->watch_only)
			return mesh_watch(ctl, &s->printer, &t.list.items[0]);
		many = t.many || !t.list.items[0].name;
		s->with_kind = several_types(&t);
		mesh_vec_each (one, &t.list)
			show_target(ctl, s, one, namespace_of(ctl));
		flush_table(s);
	}
	if (s->printer.format == MESH_FORMAT_TABLE)
		say_none(ctl, s);
	else
		show_objects(ctl, s, many);
	return 0;
}

int mesh_ctl_run_get(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	struct show s = {.tabs = {.min_width = 6, .padding = 3}, .all_namespaced = true, .objects = json_array()};
	int r = 1;

	if (f->raw)
		r = get_raw(ctl, f->raw);
	else if (mesh_printer_init(ctl, &s.printer) == 0)
		r = get(ctl, f, &s);
	mesh_printer_free(&s.printer);
	mesh_tabs_free(&s.tabs);
	json_decref(s.objects);
	return r;
}
