/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/fetch.h"

#include "core/mem.h"

#include <errno.h>
#include <stdio.h>

static char *list_query(const struct mesh_ctl *ctl, const char *more)
{
	const struct mesh_flags *f = ctl->flags;
	mesh_auto_free char *selector = mesh_kube_escape(f->selector ? f->selector : "");
	mesh_auto_free char *fields = mesh_kube_escape(f->field_selector ? f->field_selector : "");
	mesh_auto_free char *token = mesh_kube_escape(more);
	struct mesh_buf b = {0};

	if (f->selector)
		mesh_buf_printf(&b, "&labelSelector=%s", selector);
	if (f->field_selector)
		mesh_buf_printf(&b, "&fieldSelector=%s", fields);
	if (f->chunk > 0)
		mesh_buf_printf(&b, "&limit=%ld", f->chunk);
	if (more[0])
		mesh_buf_printf(&b, "&continue=%s", token);
	if (b.len)
		b.data[0] = '?';
	return mesh_buf_steal(&b);
}

/* An item of a typed list does not say what it is; its list does. */
static void name_items(json_t *list)
{
	const char *kind = json_string_value(json_object_get(list, "kind"));
	size_t len = kind ? strlen(kind) : 0, i;
	json_t *item;

	if (len <= 4 || strcmp(kind + len - 4, "List") != 0)
		return;
	json_array_foreach(json_object_get(list, "items"), i, item)
	{
		if (json_object_get(item, "kind"))
			continue;
		json_object_set_new(item, "kind", json_stringn(kind, len - 4));
		json_object_set(item, "apiVersion", json_object_get(list, "apiVersion"));
	}
}

static void append_page(struct mesh_answer *a, struct mesh_answer *page, const char *key)
{
	if (!a->body) {
		*a = *page;
		*page = (struct mesh_answer){0};
		return;
	}
	json_array_extend(json_object_get(a->body, key), json_object_get(page->body, key));
}

static int fetch_list(struct mesh_ctl *ctl, const char *path, bool as_table, struct mesh_answer *a)
{
	mesh_auto_free char *more = mesh_xstrdup("");

	do {
		mesh_auto_free char *query = list_query(ctl, more);
		mesh_auto_free char *whole = mesh_xasprintf("%s%s", path, query);
		mesh_auto(mesh_answer_free) struct mesh_answer page = {0};

		if (mesh_ctl_request(ctl, "GET", whole, NULL, NULL, as_table ? mesh_accept_table : NULL, &page) < 0) {
			mesh_answer_free(a);
			*a = page;
			page = (struct mesh_answer){0};
			return -EIO;
		}
		free(more);
		more = mesh_xstrdup(mesh_meta(page.body, "continue"));
		if (!as_table)
			name_items(page.body);
		append_page(a, &page, as_table ? "rows" : "items");
	} while (more[0]);
	return 0;
}

int mesh_fetch(struct mesh_ctl *ctl, const struct mesh_target *t, const char *ns, bool as_table, struct mesh_answer *a)
{
	mesh_auto_free char *path = mesh_resource_path(t->resource, ns, t->name);

	if (!t->name)
		return fetch_list(ctl, path, as_table, a);
	return mesh_ctl_request(ctl, "GET", path, NULL, NULL, as_table ? mesh_accept_table : NULL, a);
}

void mesh_fetch_all(struct mesh_ctl *ctl, const struct mesh_targets *t, json_t *ret,
		    struct mesh_targets *resources_of_each)
{
	const char *ns = ctl->flags->all_namespaces ? NULL : ctl->namespace;

	mesh_vec_each (one, &t->list) {
		mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
		json_t *item;
		size_t i;

		if (mesh_fetch(ctl, one, ns, false, &a) < 0) {
			if (a.status != 404 || !ctl->flags->ignore_not_found)
				mesh_ctl_fail(ctl, &a, NULL);
			continue;
		}
		if (one->name)
			json_array_append(ret, a.body);
		else
			json_array_foreach(json_object_get(a.body, "items"), i, item) json_array_append(ret, item);
		while (resources_of_each->list.count < json_array_size(ret))
			mesh_vec_push(&resources_of_each->list, ((struct mesh_target){one->resource, NULL}));
	}
}

/* get -w */

struct follow {
	struct mesh_ctl *ctl;
	struct mesh_printer *printer;
	const struct mesh_resource *resource;
	struct mesh_tabs tabs;
	struct mesh_buf in;
	json_t *columns;
	char *rv;
	bool headed, ended, over;
};

static void set_rv(struct follow *w, const char *rv)
{
	if (!rv[0])
		return;
	free(w->rv);
	w->rv = mesh_xstrdup(rv);
}

static void show_rows(struct follow *w, const json_t *table, const char *event)
{
	struct mesh_table_opts o = {.flags = w->ctl->flags, .wide = w->printer->wide, .event = event};
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};
	const json_t *columns = json_object_get(table, "columnDefinitions");

	if (json_array_size(columns)) {
		json_decref(w->columns);
		w->columns = json_incref((json_t *)columns);
	}
	if (json_array_size(json_object_get(table, "rows")) == 0)
		return;
	o.no_headers = w->headed || w->ctl->flags->no_headers;
	o.with_kind = w->ctl->flags->show_kind;
	o.group = w->resource->group;
	o.kind = w->resource->kind;
	w->headed = true;
	mesh_table_rows(&w->tabs, table, w->columns, &o);
	mesh_tabs_flush(&w->tabs, &out);
	fwrite(out.data ? out.data : "", 1, out.len, stdout);
	fflush(stdout);
}

static void show_event(struct follow *w, const json_t *event)
{
	const char *type = json_string_value(json_object_get(event, "type"));
	json_t *obj = json_object_get(event, "object"), *row;
	size_t i;

	if (!type || !obj)
		return;
	if (strcmp(type, "ERROR") == 0) {
		const char *message = json_string_value(json_object_get(obj, "message"));

		mesh_ctl_error(w->ctl, "%s", message ? message : "the server ended the watch");
		w->over = true;
		return;
	}
	json_array_foreach(json_object_get(obj, "rows"), i, row)
		set_rv(w, mesh_meta(json_object_get(row, "object"), "resourceVersion"));
	set_rv(w, mesh_meta(obj, "resourceVersion"));
	if (w->printer->format == MESH_FORMAT_TABLE)
		show_rows(w, obj, type);
	else
		mesh_print(w->ctl, w->printer, obj);
	fflush(stdout);
}

static void stream_came(void *arg, struct mesh_slice piece)
{
	struct follow *w = arg;
	size_t at = 0;
	char *newline;

	mesh_buf_slice(&w->in, piece);
	while (at < w->in.len && (newline = memchr(w->in.data + at, '\n', w->in.len - at))) {
		json_t *event = json_loadb(w->in.data + at, (size_t)(newline - w->in.data) - at, JSON_ALLOW_NUL, NULL);

		show_event(w, event);
		json_decref(event);
		at = (size_t)(newline - w->in.data) + 1;
	}
	mesh_buf_consume(&w->in, at);
}

static void stream_ended(void *arg, const struct mesh_kube_response *r)
{
	struct follow *w = arg;

	w->ended = true;
	if (r->status < 400 && r->status != 0)
		return;
	if (r->status)
		mesh_ctl_error(w->ctl, "%s", r->error);
	w->over = r->status != 0;
}

static char *watch_path(struct follow *w, const struct mesh_target *t, const char *ns)
{
	mesh_auto_free char *path = mesh_resource_path(t->resource, ns, NULL);
	mesh_auto_free char *query = list_query(w->ctl, "");
	mesh_auto_free char *name = mesh_kube_escape(t->name ? t->name : "");

	return mesh_xasprintf("%s%s%swatch=1&resourceVersion=%s%s%s", path, query, query[0] ? "&" : "?", w->rv,
			      t->name ? "&fieldSelector=metadata.name%3D" : "", name);
}

static int show_first(struct follow *w, const struct mesh_target *t, const char *ns)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	bool table = w->printer->format == MESH_FORMAT_TABLE;
	json_t *item;
	size_t i;

	if (mesh_fetch(w->ctl, t, ns, table, &a) < 0) {
		mesh_ctl_fail(w->ctl, &a, NULL);
		return -EIO;
	}
	set_rv(w, mesh_meta(a.body, "resourceVersion"));
	if (!w->rv)
		w->rv = mesh_xstrdup("0");
	if (table && w->ctl->flags->watch_only) {
		w->columns = json_incref(json_object_get(a.body, "columnDefinitions"));
		return 0;
	}
	if (table)
		show_rows(w, a.body, "ADDED");
	else if (t->name)
		mesh_print(w->ctl, w->printer, a.body);
	else
		json_array_foreach(json_object_get(a.body, "items"), i, item) mesh_print(w->ctl, w->printer, item);
	fflush(stdout);
	return 0;
}

int mesh_watch(struct mesh_ctl *ctl, struct mesh_printer *p, const struct mesh_target *t)
{
	struct follow w = {.ctl = ctl,
			   .printer = p,
			   .resource = t->resource,
			   .tabs = {.min_width = 6, .padding = 3, .remember = true}};
	const char *ns = ctl->flags->all_namespaces ? NULL : ctl->namespace;
	double limit = ctl->flags->request_timeout > 0 ? ctl->flags->request_timeout : 1e9;
	uint64_t end = mesh_now_ns() + (uint64_t)(limit * 1e9);

	if (show_first(&w, t, ns) < 0)
		w.over = true;
	while (!w.over && mesh_now_ns() < end) {
		mesh_auto_free char *path = watch_path(&w, t, ns);
		const char *accept = p->format == MESH_FORMAT_TABLE ? mesh_accept_table : NULL;
		struct mesh_kube_request *q;

		w.ended = false;
		q = mesh_kube_stream(ctl->kube, path, accept, stream_came, stream_ended, &w);
		while (!w.ended && !w.over && mesh_now_ns() < end)
			mesh_loop_once(ctl->loop, 200);
		if (!w.ended)
			mesh_kube_cancel(q);
		else if (!w.over)
			usleep(200000);
	}
	mesh_tabs_free(&w.tabs);
	mesh_buf_free(&w.in);
	json_decref(w.columns);
	free(w.rv);
	return ctl->failed;
}
