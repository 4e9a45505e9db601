/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/write.h"

#include "core/mem.h"
#include "ctl/apply.h"
#include "ctl/inforce.h"
#include "ctl/json_out.h"
#include "ctl/merge.h"

#include <errno.h>
#include <stdio.h>

const char *mesh_namespace_of(const json_t *obj)
{
	const char *ns = mesh_meta(obj, "namespace");

	return ns[0] ? ns : NULL;
}

static const char *validation(const struct mesh_ctl *ctl)
{
	const char *v = ctl->flags->validate;

	if (!v || strcmp(v, "true") == 0 || strcmp(v, "strict") == 0)
		return "Strict";
	return strcmp(v, "warn") == 0 ? "Warn" : "Ignore";
}

char *mesh_write_path(const struct mesh_ctl *ctl, const char *path)
{
	return mesh_xasprintf("%s?%sfieldManager=meshctl&fieldValidation=%s", path,
			      mesh_ctl_dry_server(ctl) ? "dryRun=All&" : "", validation(ctl));
}

int mesh_write(struct mesh_ctl *ctl, const struct mesh_resource *res, const char *method, const char *path,
	       const json_t *body, const char *content_type, struct mesh_answer *a)
{
	mesh_auto_free char *whole = mesh_write_path(ctl, path);
	int r;

	mesh_inforce_begin(ctl);
	r = mesh_ctl_request(ctl, method, whole, body, content_type, NULL, a);
	if (r < 0)
		return r;
	mesh_inforce_note(ctl, res, mesh_meta(a->body, "resourceVersion"));
	if (strcmp(res->kind, "ServiceMeshMemberRoll") == 0)
		mesh_inforce_settle(ctl, res, a->body);
	return 0;
}

int mesh_need_files(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	if (f->files.list.count == 0)
		return mesh_ctl_error(ctl, "must specify one of -f and -k");
	if (f->args.list.count)
		return mesh_ctl_error(ctl, "Unexpected args: [%s]", f->args.list.items[0]);
	return 0;
}

static const struct mesh_kind *kind_of(const json_t *obj)
{
	const char *version = json_string_value(json_object_get(obj, "apiVersion"));
	const char *slash = strchr(version, '/');
	mesh_auto_free char *group = slash ? mesh_xstrndup(version, (size_t)(slash - version)) : mesh_xstrdup("");
	const struct mesh_kind *kind = mesh_kind_by_name(group, json_string_value(json_object_get(obj, "kind")));

	return kind && mesh_kind_serves(kind, slash ? slash + 1 : version) ? kind : NULL;
}

int mesh_check_offline(struct mesh_ctl *ctl, const struct mesh_inputs *in)
{
	int r = 0;

	mesh_vec_each (i, &in->list) {
		const struct mesh_document *doc = &i->docs->list.items[i->doc];
		struct mesh_errs errs = {0}, warnings = {0}, strange = {0};
		const struct mesh_kind *kind = kind_of(i->obj);

		if (!kind)
			continue;
		mesh_object_check(kind, doc->value, NULL, &errs, &warnings, &strange);
		mesh_vec_each (e, &strange.list) {
			struct mesh_err *as = mesh_errs_add(&errs, "unknown field");

			as->path = mesh_xstrdup(e->path ? e->path : e->text);
		}
		mesh_errs_locate(&errs, doc);
		mesh_errs_locate(&warnings, doc);
		mesh_vec_each (w, &warnings.list) {
			mesh_auto(mesh_buf_free) struct mesh_buf text = {0};

			mesh_err_format(w, &text);
			mesh_ctl_warn(ctl, text.data);
		}
		if (errs.list.count)
			r = mesh_ctl_errors(ctl, &errs);
		mesh_errs_free(&warnings);
		mesh_errs_free(&strange);
	}
	return r;
}

/* create and replace */

static void create_one(struct mesh_ctl *ctl, struct mesh_printer *p, struct mesh_input *i)
{
	mesh_auto_free char *path = mesh_resource_path(i->resource, mesh_namespace_of(i->obj), NULL);
	mesh_auto_free char *doing = mesh_xasprintf("creating \"%s\"", i->source);
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

	if (ctl->flags->save_config)
		mesh_merge_set_note(i->obj, NULL);
	if (mesh_write(ctl, i->resource, "POST", path, i->obj, NULL, &a) < 0)
		mesh_ctl_fail(ctl, &a, doing);
	else
		mesh_print_done(ctl, p, a.body, "created");
}

static void replace_one(struct mesh_ctl *ctl, struct mesh_printer *p, struct mesh_input *i)
{
	mesh_auto_free char *path =
		mesh_resource_path(i->resource, mesh_namespace_of(i->obj), mesh_meta(i->obj, "name"));
	mesh_auto_free char *doing = mesh_xasprintf("replacing \"%s\"", i->source);
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0}, now = {0};
	json_t *meta = json_object_get(i->obj, "metadata");
	json_t *annotations = json_object_get(meta, "annotations");

	if (ctl->flags->save_config || json_object_get(annotations, MESH_LAST_APPLIED))
		mesh_merge_set_note(i->obj, NULL);
	if (!mesh_meta(i->obj, "resourceVersion")[0]) {
		if (mesh_ctl_get(ctl, path, &now) < 0) {
			mesh_ctl_fail(ctl, &now, doing);
			return;
		}
		json_object_set_new(meta, "resourceVersion", json_string(mesh_meta(now.body, "resourceVersion")));
	}
	if (mesh_write(ctl, i->resource, "PUT", path, i->obj, NULL, &a) < 0)
		mesh_ctl_fail(ctl, &a, doing);
	else
		mesh_print_done(ctl, p, a.body, "replaced");
}

static int each_input(struct mesh_ctl *ctl, const struct mesh_flags *f, const char *verb, const char *did,
		      void (*one)(struct mesh_ctl *ctl, struct mesh_printer *p, struct mesh_input *i))
{
	mesh_auto(mesh_inputs_free) struct mesh_inputs in = {0};
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};

	if (mesh_need_files(ctl, f) != 0 || mesh_printer_init(ctl, &p) < 0)
		return 1;
	if (!mesh_ctl_dry_client(ctl) && mesh_ctl_connect(ctl) != 0)
		return 1;
	mesh_inputs_read(ctl, verb, mesh_ctl_dry_client(ctl), &in);
	if (mesh_ctl_dry_client(ctl) && mesh_check_offline(ctl, &in) != 0)
		return 1;
	mesh_vec_each (i, &in.list) {
		if (mesh_ctl_dry_client(ctl))
			mesh_print_done(ctl, &p, i->obj, did);
		else
			one(ctl, &p, i);
	}
	return ctl->failed;
}

/* create namespace NAME, create serviceaccount NAME */
static int create_named(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	static const struct {
		const char *words, *kind, *version;
	} kinds[] = {
		{"namespace ns", "Namespace", "v1"},
		{"serviceaccount sa", "ServiceAccount", "v1"},
	};
	const char *what = f->args.list.items[0];
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};
	const struct mesh_resources *r;
	struct mesh_input in = {0};

	if (mesh_printer_init(ctl, &p) < 0 || mesh_ctl_connect(ctl) != 0 || !(r = mesh_resources_get(ctl)))
		return 1;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(kinds); i++) {
		const char *at = strstr(kinds[i].words, what);
		size_t len = strlen(what);

		if (at && (at == kinds[i].words || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			in.resource = mesh_resource_by_kind(r, kinds[i].version, kinds[i].kind);
	}
	if (!in.resource)
		return mesh_ctl_error(ctl, "create %s is not supported by meshctl: use create -f FILE", what);
	if (f->args.list.count != 2)
		return mesh_ctl_error(ctl, "exactly one NAME is required, got %zu", f->args.list.count - 1);
	in.obj = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", in.resource->kind, "metadata", "name",
			   f->args.list.items[1]);
	if (in.resource->namespaced)
		json_object_set_new(json_object_get(in.obj, "metadata"), "namespace", json_string(ctl->namespace));
	in.source = NULL;
	{
		mesh_auto_free char *path = mesh_resource_path(in.resource, ctl->namespace, NULL);
		mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

		if (mesh_ctl_dry_client(ctl))
			mesh_print_done(ctl, &p, in.obj, "created");
		else if (mesh_write(ctl, in.resource, "POST", path, in.obj, NULL, &a) < 0)
			mesh_ctl_fail(ctl, &a, NULL);
		else
			mesh_print_done(ctl, &p, a.body, "created");
	}
	json_decref(in.obj);
	return ctl->failed;
}

int mesh_ctl_run_create(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	if (f->files.list.count == 0 && f->args.list.count)
		return create_named(ctl, f);
	return each_input(ctl, f, "create", "created", create_one);
}

int mesh_ctl_run_replace(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	return each_input(ctl, f, "replace", "replaced", replace_one);
}

/* apply */

static void apply_new(struct mesh_ctl *ctl, struct mesh_printer *p, struct mesh_input *i)
{
	mesh_auto_free char *path = mesh_resource_path(i->resource, mesh_namespace_of(i->obj), NULL);
	mesh_auto_free char *doing = mesh_xasprintf("creating \"%s\"", i->source);
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

	mesh_merge_set_note(i->obj, NULL);
	if (mesh_write(ctl, i->resource, "POST", path, i->obj, NULL, &a) < 0)
		mesh_ctl_fail(ctl, &a, doing);
	else
		mesh_print_done(ctl, p, a.body, "created");
}

static void warn_unmanaged(struct mesh_ctl *ctl, const struct mesh_input *i)
{
	mesh_auto_free char *text = mesh_xasprintf(
		"resource %s/%s is missing the " MESH_LAST_APPLIED
		" annotation which is required by meshctl apply. meshctl apply should only be used on resources "
		"created "
		"declaratively by either meshctl create --save-config or meshctl apply. The missing annotation will be "
		"patched automatically.",
		i->resource->plural, mesh_meta(i->obj, "name"));

	mesh_ctl_warn(ctl, text);
}

static void fail_apply(struct mesh_ctl *ctl, const struct mesh_input *i, const json_t *patch, struct mesh_answer *a)
{
	const struct mesh_resource *r = i->resource;
	mesh_auto_free char *version = mesh_xasprintf("%s%s%s", r->group, r->group[0] ? "/" : "", r->version);
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	mesh_auto_free char *doing = NULL;

	mesh_json_out(&text, patch, 0);
	doing = mesh_xasprintf(
		"applying patch:\n%s\nto:\nResource: \"%s, Resource=%s\", GroupVersionKind: \"%s, Kind=%s\"\n"
		"Name: \"%s\", Namespace: \"%s\"\nfor: \"%s\": error when patching \"%s\"",
		text.data, version, r->plural, version, r->kind, mesh_meta(i->obj, "name"),
		mesh_meta(i->obj, "namespace"), i->source, i->source);
	mesh_ctl_fail(ctl, a, doing);
}

enum applied { APPLIED, APPLY_AGAIN };

static enum applied apply_to(struct mesh_ctl *ctl, struct mesh_printer *p, struct mesh_input *i, const char *path,
			     json_t *live, bool last_try)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	json_t *patch = mesh_apply_patch(mesh_apply_schema(i->resource->group, i->resource->kind), i->obj, live), *sent;
	enum applied done = APPLIED;
	bool same;

	if (json_object_size(patch) == 0) {
		json_decref(patch);
		mesh_print_done(ctl, p, live, "unchanged");
		return APPLIED;
	}
	sent = mesh_apply_pinned(patch, live);
	mesh_write(ctl, i->resource, "PATCH", path, sent, "application/merge-patch+json", &a);
	json_decref(sent);
	same = !ctl->flags->dry_run &&
	       strcmp(mesh_meta(live, "resourceVersion"), mesh_meta(a.body, "resourceVersion")) == 0;
	if (a.status == 409 && !last_try && !mesh_meta(i->obj, "resourceVersion")[0])
		done = APPLY_AGAIN;
	else if (a.error)
		fail_apply(ctl, i, patch, &a);
	else
		mesh_print_done(ctl, p, a.body, same ? "unchanged" : "configured");
	json_decref(patch);
	return done;
}

enum { APPLY_TRIES = 5 };

static void apply_one(struct mesh_ctl *ctl, struct mesh_printer *p, struct mesh_input *i)
{
	mesh_auto_free char *path =
		mesh_resource_path(i->resource, mesh_namespace_of(i->obj), mesh_meta(i->obj, "name"));

	for (int try = 1; try <= APPLY_TRIES; try++) {
		mesh_auto(mesh_answer_free) struct mesh_answer live = {0};
		json_t *last;

		if (mesh_ctl_get(ctl, path, &live) < 0) {
			if (live.status == 404)
				apply_new(ctl, p, i);
			else
				mesh_ctl_fail(ctl, &live, NULL);
			return;
		}
		last = mesh_apply_last(live.body);
		if (!last)
			warn_unmanaged(ctl, i);
		json_decref(last);
		if (apply_to(ctl, p, i, path, live.body, try == APPLY_TRIES) == APPLIED)
			return;
	}
}

int mesh_ctl_run_apply(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	return each_input(ctl, f, "apply", "configured", apply_one);
}
