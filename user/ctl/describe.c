/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/describe.h"

#include "core/mem.h"
#include "ctl/fetch.h"
#include "ctl/files.h"
#include "ctl/pods.h"
#include "ctl/write.h"

#include <errno.h>
#include <stdio.h>

struct said {
	size_t all, since_gap; /* objects; those since an empty line was printed for another reason */
};

static json_t *items_at(struct mesh_ctl *ctl, const char *path)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

	if (mesh_ctl_get(ctl, path, &a) < 0)
		return NULL;
	return json_incref(json_object_get(a.body, "items"));
}

static json_t *selected(struct mesh_ctl *ctl, const json_t *obj, const char *base, const char *plural,
			const char *selector)
{
	mesh_auto_free char *ns = mesh_kube_escape(mesh_meta(obj, "namespace")), *query = mesh_kube_escape(selector);
	mesh_auto_free char *path = mesh_xasprintf("%s/namespaces/%s/%s?labelSelector=%s", base, ns, plural, query);

	return items_at(ctl, path);
}

static json_t *events_of(struct mesh_ctl *ctl, const json_t *obj)
{
	const char *ns = mesh_meta(obj, "namespace");
	mesh_auto_free char *query =
		mesh_xasprintf("involvedObject.name=%s,involvedObject.namespace=%s,"
			       "involvedObject.kind=%s,involvedObject.uid=%s",
			       mesh_meta(obj, "name"), ns, mesh_at_text(obj, "kind"), mesh_meta(obj, "uid"));
	mesh_auto_free char *safe = mesh_kube_escape(query), *safe_ns = mesh_kube_escape(ns[0] ? ns : "default");
	mesh_auto_free char *path =
		mesh_xasprintf("/api/v1/namespaces/%s/events?fieldSelector=%s&limit=500", safe_ns, safe);

	return items_at(ctl, path);
}

/* What ReplicaSets belong to a Deployment. */
static json_t *owned_by(json_t *list, const json_t *owner)
{
	json_t *mine = json_array(), *one, *ref;
	size_t i, j;

	json_array_foreach(list, i, one)
	{
		json_array_foreach(mesh_at(one, "metadata.ownerReferences"), j, ref)
		{
			if (strcmp(mesh_at_text(ref, "uid"), mesh_meta(owner, "uid")) == 0)
				json_array_append(mine, one);
		}
	}
	json_decref(list);
	return mine;
}

static json_t *by_selector(struct mesh_ctl *ctl, const json_t *obj, const char *base, const char *plural)
{
	mesh_auto_free char *selector = mesh_selector_text(mesh_at(obj, "spec.selector.matchLabels"));

	return selected(ctl, obj, base, plural, selector);
}

static void describe_kind(struct mesh_ctl *ctl, struct mesh_tabs *t, const char *kind, const json_t *obj)
{
	json_t *more = NULL;

	if (strcmp(kind, "Pod") == 0) {
		mesh_describe_pod(t, obj);
	} else if (strcmp(kind, "Service") == 0) {
		mesh_auto_free char *selector = mesh_xasprintf("kubernetes.io/service-name=%s", mesh_meta(obj, "name"));

		more = selected(ctl, obj, "/apis/discovery.k8s.io/v1", "endpointslices", selector);
		mesh_describe_service(t, obj, more);
	} else if (strcmp(kind, "Deployment") == 0) {
		more = by_selector(ctl, obj, "/apis/apps/v1", "replicasets");
		more = owned_by(more, obj);
		mesh_describe_deployment(t, obj, more);
	} else if (strcmp(kind, "ReplicaSet") == 0) {
		more = by_selector(ctl, obj, "/api/v1", "pods");
		mesh_describe_replica_set(t, obj, more);
	} else if (strcmp(kind, "Namespace") == 0) {
		mesh_describe_namespace(t, obj, mesh_resource_by_kind(ctl->resources, "v1", "ResourceQuota") != NULL);
	} else {
		mesh_describe_generic(t, obj);
	}
	json_decref(more);
}

static void describe_one(struct mesh_ctl *ctl, const json_t *obj, struct said *said)
{
	struct mesh_tabs t = {.padding = 2};
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};
	const char *kind = mesh_at_text(obj, "kind");
	json_t *events;

	describe_kind(ctl, &t, kind, obj);
	if (ctl->flags->show_events && strcmp(kind, "Namespace") != 0) {
		events = events_of(ctl, obj);
		mesh_describe_events(&t, events);
		json_decref(events);
	}
	mesh_tabs_flush(&t, &out);
	mesh_tabs_free(&t);
	said->all++;
	if (said->since_gap++)
		fputs("\n\n", stdout);
	fwrite(out.data ? out.data : "", 1, out.len, stdout);
}

/* No object has that very name: those that begin with it are meant. */
static bool describe_prefix(struct mesh_ctl *ctl, const struct mesh_target *t, const char *ns, struct said *said)
{
	struct mesh_target all = {t->resource, NULL};
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	const json_t *item;
	bool any = false;
	size_t i;

	if (mesh_fetch(ctl, &all, ns, false, &a) < 0)
		return false;
	json_array_foreach(json_object_get(a.body, "items"), i, item)
	{
		if (strncmp(mesh_meta(item, "name"), t->name, strlen(t->name)) != 0)
			continue;
		describe_one(ctl, item, said);
		said->since_gap = 0;
		putchar('\n');
		any = true;
	}
	return any;
}

static void describe_target(struct mesh_ctl *ctl, const struct mesh_target *t, const char *ns, struct said *said)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	const json_t *item;
	size_t i;

	if (mesh_fetch(ctl, t, ns, false, &a) < 0) {
		if (a.status == 404 && t->name && describe_prefix(ctl, t, ns, said))
			return;
		mesh_ctl_fail(ctl, &a, NULL);
		return;
	}
	if (t->name)
		describe_one(ctl, a.body, said);
	else
		json_array_foreach(json_object_get(a.body, "items"), i, item) describe_one(ctl, item, said);
}

int mesh_ctl_run_describe(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_targets_free) struct mesh_targets t = {0};
	mesh_auto(mesh_inputs_free) struct mesh_inputs in = {0};
	const char *ns = f->all_namespaces ? NULL : ctl->namespace;
	struct said said = {0};

	if (f->files.list.count) {
		mesh_inputs_read(ctl, "describe", false, &in);
		mesh_vec_each (i, &in.list) {
			struct mesh_target one = {i->resource, mesh_meta(i->obj, "name")};

			describe_target(ctl, &one, mesh_namespace_of(i->obj), &said);
		}
		return ctl->failed;
	}
	if (mesh_targets_parse(ctl, f->args.list.items, f->args.list.count, false, &t) < 0)
		return 1;
	mesh_vec_each (one, &t.list)
		describe_target(ctl, one, ns, &said);
	if (said.all == 0 && !ctl->failed) {
		if (f->all_namespaces || !t.list.items[0].resource->namespaced)
			fputs("No resources found\n", stderr);
		else
			fprintf(stderr, "No resources found in %s namespace.\n", ctl->namespace);
	}
	return ctl->failed;
}
