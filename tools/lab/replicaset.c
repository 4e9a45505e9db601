/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/controllers.h"

#include "core/mem.h"

#include <stdio.h>

enum { BURST = 50 }; /* pods made or removed at a time */

struct set {
	struct mesh_controllers *c;
	const json_t *rs;
	const char *ns, *name;
	MESH_VEC(json_t *) pods; /* ours, not on their way out */
	unsigned ready, available, labelled;
};

static bool owned_by(const json_t *o, const json_t *owner)
{
	const json_t *ref = mesh_lab_controller_of(o);

	return ref && strcmp(mesh_lab_text(ref, "uid"), mesh_lab_text(owner, "metadata.uid")) == 0;
}

static bool pod_over(const json_t *pod)
{
	return mesh_lab_is(pod, "status.phase", "Succeeded") || mesh_lab_is(pod, "status.phase", "Failed");
}

/* Ready for minReadySeconds. */
static bool pod_available(const struct set *s, const json_t *pod)
{
	long long least = mesh_lab_int(s->rs, "spec.minReadySeconds", 0);
	const json_t *ready = mesh_lab_item(mesh_lab_at(pod, "status.conditions"), "type", "Ready");

	if (!mesh_lab_condition(pod, "Ready"))
		return false;
	if (least == 0 || time(NULL) - mesh_lab_time_parse(mesh_lab_text(ready, "lastTransitionTime")) >= least)
		return true;
	mesh_controllers_queue_later(s->c, MESH_CONTROLLER_REPLICASET, s->ns, s->name);
	return false;
}

static void collect(struct set *s)
{
	const json_t *labels = mesh_lab_at(s->rs, "spec.template.metadata.labels");

	mesh_lab_cache_each(e, &s->c->pods)
	{
		json_t *pod = e->value;

		if (!owned_by(pod, s->rs) || mesh_lab_deleting(pod) || pod_over(pod))
			continue;
		mesh_vec_push(&s->pods, pod);
		s->ready += mesh_lab_condition(pod, "Ready");
		s->available += pod_available(s, pod);
		s->labelled += mesh_lab_labels_match(labels, mesh_lab_at(pod, "metadata.labels"));
	}
}

static void create_pod(struct set *s)
{
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/pods", s->ns);
	mesh_auto_free char *name = mesh_name_pod(s->name), *prefix = mesh_xasprintf("%s-", s->name);
	const json_t *template = mesh_lab_at(s->rs, "spec.template");
	json_t *meta = json_deep_copy(json_object_get(template, "metadata"));
	json_t *owner = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "apiVersion", "apps/v1", "kind", "ReplicaSet",
				  "name", s->name, "uid", mesh_lab_text(s->rs, "metadata.uid"), "controller", 1,
				  "blockOwnerDeletion", 1);

	meta = meta ? meta : json_object();
	json_object_del(meta, "creationTimestamp");
	json_object_set_new(meta, "name", json_string(name));
	json_object_set_new(meta, "generateName", json_string(prefix));
	json_object_set_new(meta, "namespace", json_string(s->ns));
	json_object_set_new(meta, "ownerReferences", json_pack("[o]", owner));
	mesh_controllers_write(s->c, MESH_CONTROLLER_REPLICASET, s->ns, s->name, "POST", path,
			       json_pack("{s:s, s:s, s:o, s:O}", "apiVersion", "v1", "kind", "Pod", "metadata", meta,
					 "spec", json_object_get(template, "spec")),
			       &s->c->pods);
	mesh_lab_event(s->c->events, s->rs, "ReplicaSet", "apps/v1", "Normal", "SuccessfulCreate", "Created pod: %s",
		       name);
}

/* Who goes first: not placed, not ready, then the youngest. */
static int rank(const json_t *pod)
{
	return !*mesh_lab_text(pod, "spec.nodeName") ? 0 : !mesh_lab_condition(pod, "Ready") ? 1 : 2;
}

static int removal_order(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int d = rank(x) - rank(y);

	return d ? d
		 : strcmp(mesh_lab_text(y, "metadata.creationTimestamp"),
			  mesh_lab_text(x, "metadata.creationTimestamp"));
}

static void delete_pod(struct set *s, const json_t *pod)
{
	mesh_auto_free char *path =
		mesh_xasprintf("/api/v1/namespaces/%s/pods/%s", s->ns, mesh_lab_text(pod, "metadata.name"));
	json_t *body = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions", "preconditions",
				 "uid", mesh_lab_text(pod, "metadata.uid"));

	mesh_controllers_write(s->c, MESH_CONTROLLER_REPLICASET, s->ns, s->name, "DELETE", path, body, &s->c->pods);
	mesh_lab_event(s->c->events, s->rs, "ReplicaSet", "apps/v1", "Normal", "SuccessfulDelete", "Deleted pod: %s",
		       mesh_lab_text(pod, "metadata.name"));
}

static void write_status(struct set *s)
{
	mesh_auto_free char *path = mesh_xasprintf("/apis/apps/v1/namespaces/%s/replicasets/%s/status", s->ns, s->name);
	json_t *want =
		json_pack("{s:i, s:i, s:i, s:i, s:I}", "replicas", (int)s->pods.count, "readyReplicas", (int)s->ready,
			  "availableReplicas", (int)s->available, "fullyLabeledReplicas", (int)s->labelled,
			  "observedGeneration", (json_int_t)mesh_lab_int(s->rs, "metadata.generation", 0));
	const char *key;
	json_t *value;
	bool same = true;

	json_object_foreach(want, key, value)
	{
		same &= mesh_lab_int(json_object_get(s->rs, "status"), key, 0) == json_integer_value(value);
	}
	if (same)
		json_decref(want);
	else
		mesh_controllers_write(s->c, MESH_CONTROLLER_REPLICASET, s->ns, s->name, "PATCH", path,
				       json_pack("{s:o}", "status", want), &s->c->replicasets);
}

/* A ReplicaSet whose Deployment is gone goes too, and pods go with their ReplicaSet. */
static void remove_orphans(struct mesh_controllers *c, const char *ns, const char *name)
{
	mesh_lab_cache_each(e, &c->pods)
	{
		const json_t *pod = e->value, *owner = mesh_lab_controller_of(pod);
		mesh_auto_free char *path =
			mesh_xasprintf("/api/v1/namespaces/%s/pods/%s", ns, mesh_lab_text(pod, "metadata.name"));

		if (owner && mesh_lab_is(owner, "kind", "ReplicaSet") && mesh_lab_is(owner, "name", name) &&
		    strcmp(mesh_lab_text(pod, "metadata.namespace"), ns) == 0 && !mesh_lab_deleting(pod))
			mesh_controllers_write(c, MESH_CONTROLLER_REPLICASET, ns, name, "DELETE", path, NULL, &c->pods);
	}
}

static bool owner_gone(struct mesh_controllers *c, const json_t *rs, const char *ns)
{
	const json_t *owner = mesh_lab_controller_of(rs), *d;

	if (!owner || !mesh_lab_is(owner, "kind", "Deployment"))
		return false;
	d = mesh_lab_cache_get(&c->deployments, ns, mesh_lab_text(owner, "name"));
	return !d || strcmp(mesh_lab_text(d, "metadata.uid"), mesh_lab_text(owner, "uid")) != 0;
}

void mesh_replicaset_reconcile(struct mesh_controllers *c, const char *ns, const char *name)
{
	struct set s = {.c = c, .ns = ns, .name = name, .rs = mesh_lab_cache_get(&c->replicasets, ns, name)};
	long long want = mesh_lab_int(s.rs, "spec.replicas", 1);

	if (!s.rs) {
		remove_orphans(c, ns, name);
		return;
	}
	if (mesh_lab_deleting(s.rs))
		return;
	if (owner_gone(c, s.rs, ns)) {
		mesh_auto_free char *path = mesh_xasprintf("/apis/apps/v1/namespaces/%s/replicasets/%s", ns, name);

		mesh_controllers_write(c, MESH_CONTROLLER_REPLICASET, ns, name, "DELETE", path, NULL, NULL);
		return;
	}
	collect(&s);
	write_status(&s);
	for (long long i = (long long)s.pods.count; i < want && i < (long long)s.pods.count + BURST; i++)
		create_pod(&s);
	if ((long long)s.pods.count > want) {
		size_t extra = s.pods.count - (size_t)want;

		qsort(s.pods.items, s.pods.count, sizeof(json_t *), removal_order);
		for (size_t i = 0; i < extra && i < BURST; i++)
			delete_pod(&s, s.pods.items[i]);
	}
	mesh_vec_free(&s.pods);
}
