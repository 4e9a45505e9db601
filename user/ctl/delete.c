/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/fetch.h"
#include "ctl/inforce.h"
#include "ctl/write.h"

#include "core/mem.h"

#include <stdio.h>

/* Follows the one object from before its deletion on: the event that says it is gone has the version to wait for. */
struct vigil {
	struct mesh_kube_watch *watch;
	bool synced, there, gone;
	char *rv;
};

static void vigil_event(void *arg, enum mesh_kube_event event, const json_t *obj, const char *rv)
{
	struct vigil *v = arg;

	(void)obj;
	if (event == MESH_KUBE_SYNCED) {
		v->synced = true;
	} else if (event == MESH_KUBE_SET) {
		v->there = true;
	} else if (v->there) {
		v->gone = true;
		free(v->rv);
		v->rv = mesh_xstrdup(rv);
	}
}

static void vigil_begin(struct mesh_ctl *ctl, struct vigil *v, const struct mesh_resource *res, const char *ns,
			const char *name)
{
	mesh_auto_free char *path = mesh_resource_path(res, ns, NULL), *safe = mesh_kube_escape(name);
	mesh_auto_free char *query = mesh_xasprintf("fieldSelector=metadata.name%%3D%s", safe);

	v->watch = mesh_kube_watch_new(ctl->kube, path, query, vigil_event, v);
	for (uint64_t end = mesh_now_ns() + MESH_SEC(5); !v->synced && mesh_now_ns() < end;)
		mesh_loop_once(ctl->loop, 100);
}

static bool vigil_keep(struct mesh_ctl *ctl, struct vigil *v)
{
	double limit = ctl->flags->timeout > 0 ? ctl->flags->timeout : 1e9;
	uint64_t end = mesh_now_ns() + (uint64_t)(limit * 1e9);

	while (!v->gone && mesh_now_ns() < end)
		mesh_loop_once(ctl->loop, 200);
	return v->gone;
}

static void vigil_free(struct vigil *v)
{
	mesh_kube_watch_free(v->watch);
	free(v->rv);
}

static json_t *delete_options(const struct mesh_flags *f)
{
	const char *policy = !f->cascade || strcmp(f->cascade, "background") == 0 ? "Background"
			     : strcmp(f->cascade, "orphan") == 0                  ? "Orphan"
										  : "Foreground";
	json_t *o =
		json_pack("{s:s, s:s, s:s}", "apiVersion", "v1", "kind", "DeleteOptions", "propagationPolicy", policy);

	if (f->now || f->grace >= 0)
		json_object_set_new(o, "gracePeriodSeconds", json_integer(f->now ? 1 : f->grace));
	return o;
}

static void say_deleted(struct mesh_ctl *ctl, const struct mesh_resource *res, const char *name)
{
	mesh_auto_free char *full = mesh_object_name(res->group, res->kind, name);

	if (ctl->flags->output && strcmp(ctl->flags->output, "name") == 0)
		printf("%s\n", full);
	else
		printf("%.*s \"%s\" deleted%s\n", (int)(strrchr(full, '/') - full), full, name,
		       mesh_ctl_dry_suffix(ctl));
	fflush(stdout);
}

static void delete_one(struct mesh_ctl *ctl, const struct mesh_resource *res, const char *ns, const char *name,
		       const char *source)
{
	bool watched = ctl->flags->wait && !ctl->flags->dry_run;
	mesh_auto_free char *path = mesh_resource_path(res, ns, name);
	mesh_auto_free char *doing = source ? mesh_xasprintf("deleting \"%s\"", source) : NULL;
	mesh_auto_free char *whole = mesh_xasprintf("%s%s", path, mesh_ctl_dry_server(ctl) ? "?dryRun=All" : "");
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	mesh_auto(vigil_free) struct vigil v = {0};
	json_t *options;

	if (mesh_ctl_dry_client(ctl)) {
		say_deleted(ctl, res, name);
		return;
	}
	if (watched) {
		mesh_inforce_begin(ctl);
		vigil_begin(ctl, &v, res, ns, name);
	}
	options = delete_options(ctl->flags);
	mesh_ctl_request(ctl, "DELETE", whole, options, NULL, NULL, &a);
	json_decref(options);
	if (a.status == 404 && ctl->flags->ignore_not_found)
		return;
	if (a.error) {
		mesh_ctl_fail(ctl, &a, doing);
		return;
	}
	say_deleted(ctl, res, name);
	if (!watched)
		return;
	if (!vigil_keep(ctl, &v))
		mesh_ctl_error(ctl, "timed out waiting for the condition on %s/%s", res->plural, name);
	else if (strcmp(v.rv, "0") != 0)
		mesh_inforce_note(ctl, res, v.rv);
}

static void delete_list(struct mesh_ctl *ctl, const struct mesh_target *t, size_t *count)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	const json_t *item;
	size_t i;

	if (mesh_fetch(ctl, t, ctl->flags->all_namespaces ? NULL : ctl->namespace, false, &a) < 0) {
		mesh_ctl_fail(ctl, &a, NULL);
		return;
	}
	json_array_foreach(json_object_get(a.body, "items"), i, item)
	{
		delete_one(ctl, t->resource, mesh_namespace_of(item), mesh_meta(item, "name"), NULL);
		++*count;
	}
}

int mesh_ctl_run_delete(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_inputs_free) struct mesh_inputs in = {0};
	mesh_auto(mesh_targets_free) struct mesh_targets t = {0};
	size_t count = 0;

	if (f->files.list.count) {
		mesh_inputs_read(ctl, "delete", false, &in);
		mesh_vec_each (i, &in.list)
			delete_one(ctl, i->resource, mesh_namespace_of(i->obj), mesh_meta(i->obj, "name"), i->source);
		return ctl->failed;
	}
	if (mesh_targets_parse(ctl, f->args.list.items, f->args.list.count, true, &t) < 0)
		return 1;
	mesh_vec_each (one, &t.list) {
		if (one->name && f->all)
			return mesh_ctl_error(ctl, "name cannot be provided when a selector is specified");
		if (one->name)
			delete_one(ctl, one->resource, ctl->namespace, one->name, NULL);
		else
			delete_list(ctl, one, &count);
		count += one->name != NULL;
	}
	if (count == 0 && !ctl->failed)
		puts("No resources found");
	return ctl->failed;
}
