/* SPDX-License-Identifier: Apache-2.0 */
/* Places pods on nodes, and takes away those of nodes that are lost. */
#include "lab/controllers.h"

#include "core/mem.h"

#include <stdio.h>

enum { NODE_LOST_S = 40 };

static bool node_alive(const struct mesh_controllers *c, const json_t *node)
{
	const json_t *lease = mesh_lab_cache_get(&c->leases, "kube-node-lease", mesh_lab_text(node, "metadata.name"));

	if (!mesh_lab_condition(node, "Ready"))
		return false;
	return !lease || time(NULL) - mesh_lab_time_parse(mesh_lab_text(lease, "spec.renewTime")) < NODE_LOST_S;
}

static bool tolerates_all(const json_t *pod, const json_t *node)
{
	json_t *taint, *t;
	size_t i, k;

	json_array_foreach(mesh_lab_at(node, "spec.taints"), i, taint)
	{
		/* Whether a node is ready is seen from its conditions and lease; nobody takes these taints away here.
		 */
		bool ok = mesh_lab_is(taint, "effect", "PreferNoSchedule") ||
			  mesh_lab_is(taint, "key", "node.kubernetes.io/not-ready") ||
			  mesh_lab_is(taint, "key", "node.kubernetes.io/unreachable");

		json_array_foreach(mesh_lab_at(pod, "spec.tolerations"), k, t)
		{
			const char *key = mesh_lab_text(t, "key");

			ok |= (!*key || mesh_lab_is(taint, "key", key)) &&
			      (!*mesh_lab_text(t, "effect") ||
			       mesh_lab_is(taint, "effect", mesh_lab_text(t, "effect"))) &&
			      (mesh_lab_is(t, "operator", "Exists") ||
			       mesh_lab_is(taint, "value", mesh_lab_text(t, "value")));
		}
		if (!ok)
			return false;
	}
	return true;
}

static bool node_fits(const struct mesh_controllers *c, const json_t *pod, const json_t *node)
{
	const json_t *selector = mesh_lab_at(pod, "spec.nodeSelector");

	if (!node_alive(c, node) || json_is_true(mesh_lab_at(node, "spec.unschedulable")) || !tolerates_all(pod, node))
		return false;
	return json_object_size(selector) == 0 || mesh_lab_labels_match(selector, mesh_lab_at(node, "metadata.labels"));
}

struct load {
	unsigned kin, all; /* pods with the same owner or labels; all pods */
};

static struct load load_of(const struct mesh_controllers *c, const json_t *pod, const char *node)
{
	const json_t *owner = mesh_lab_controller_of(pod);
	struct load l = {0, 0};

	mesh_lab_cache_each(e, &c->pods)
	{
		const json_t *other = e->value, *theirs = mesh_lab_controller_of(other);

		if (!mesh_lab_is(other, "spec.nodeName", node) || mesh_lab_deleting(other))
			continue;
		l.all++;
		l.kin += owner && theirs && strcmp(mesh_lab_text(owner, "uid"), mesh_lab_text(theirs, "uid")) == 0;
	}
	return l;
}

/* The node with the fewest of its kin, then the fewest pods. */
static const json_t *choose(struct mesh_controllers *c, const json_t *pod)
{
	const json_t *best = NULL;
	struct load least = {0, 0};

	mesh_lab_cache_each(e, &c->nodes)
	{
		const json_t *node = e->value;
		struct load l;

		if (!node_fits(c, pod, node))
			continue;
		l = load_of(c, pod, mesh_lab_text(node, "metadata.name"));
		if (!best || l.kin < least.kin || (l.kin == least.kin && l.all < least.all)) {
			best = node;
			least = l;
		}
	}
	return best;
}

static void bind_pod(struct mesh_controllers *c, const json_t *pod, const char *node)
{
	const char *ns = mesh_lab_text(pod, "metadata.namespace"), *name = mesh_lab_text(pod, "metadata.name");
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/pods/%s/binding", ns, name);

	mesh_controllers_write(c, MESH_CONTROLLER_POD, ns, name, "POST", path,
			       json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}}", "apiVersion", "v1", "kind",
					 "Binding", "metadata", "name", name, "namespace", ns, "uid",
					 mesh_lab_text(pod, "metadata.uid"), "target", "apiVersion", "v1", "kind",
					 "Node", "name", node),
			       NULL);
	mesh_lab_event(c->scheduler_events, pod, "Pod", "v1", "Normal", "Scheduled",
		       "Successfully assigned %s/%s to %s", ns, name, node);
	/* Until the API tells, count it as placed: the next one should go elsewhere. */
	json_t *placed = json_deep_copy(pod), *spec = json_object_get(placed, "spec");

	json_object_set_new(spec, "nodeName", json_string(node));
	mesh_lab_cache_assume(&c->pods, placed);
	json_decref(placed);
}

static void say_unschedulable(struct mesh_controllers *c, const json_t *pod)
{
	const char *ns = mesh_lab_text(pod, "metadata.namespace"), *name = mesh_lab_text(pod, "metadata.name");
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/pods/%s/status", ns, name);
	mesh_auto_free char *why = mesh_xasprintf("0/%zu nodes are available.", c->nodes.items.count);
	const json_t *was = mesh_lab_item(mesh_lab_at(pod, "status.conditions"), "type", "PodScheduled");

	if (mesh_lab_is(was, "status", "False") && mesh_lab_is(was, "message", why))
		return;
	mesh_controllers_write(c, MESH_CONTROLLER_POD, ns, name, "PATCH", path,
			       json_pack("{s:{s:[{s:s, s:s, s:s, s:s, s:o}]}}", "status", "conditions", "type",
					 "PodScheduled", "status", "False", "reason", "Unschedulable", "message", why,
					 "lastTransitionTime", mesh_lab_now()),
			       &c->pods);
	mesh_lab_event(c->scheduler_events, pod, "Pod", "v1", "Warning", "FailedScheduling", "%s", why);
}

static void delete_now(struct mesh_controllers *c, const json_t *pod)
{
	const char *ns = mesh_lab_text(pod, "metadata.namespace"), *name = mesh_lab_text(pod, "metadata.name");
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/pods/%s", ns, name);

	mesh_controllers_write(c, MESH_CONTROLLER_POD, ns, name, "DELETE", path,
			       json_pack("{s:s, s:s, s:i, s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions",
					 "gracePeriodSeconds", 0, "preconditions", "uid",
					 mesh_lab_text(pod, "metadata.uid")),
			       NULL);
}

/* Does the ReplicaSet that made it still exist? */
static bool owner_gone(const struct mesh_controllers *c, const json_t *pod, const char *ns)
{
	const json_t *owner = mesh_lab_controller_of(pod), *rs;

	if (!owner || !mesh_lab_is(owner, "kind", "ReplicaSet"))
		return false;
	rs = mesh_lab_cache_get(&c->replicasets, ns, mesh_lab_text(owner, "name"));
	return !rs || strcmp(mesh_lab_text(rs, "metadata.uid"), mesh_lab_text(owner, "uid")) != 0;
}

void mesh_pod_reconcile(struct mesh_controllers *c, const char *ns, const char *name)
{
	const json_t *pod = mesh_lab_cache_get(&c->pods, ns, name), *node;
	const char *on = mesh_lab_text(pod, "spec.nodeName");

	if (!pod)
		return;
	if (*on) {
		if (!mesh_lab_cache_get(&c->nodes, "", on))
			delete_now(c, pod);
		return;
	}
	if (mesh_lab_deleting(pod)) {
		delete_now(c, pod);
		return;
	}
	if (owner_gone(c, pod, ns)) {
		mesh_controllers_queue(c, MESH_CONTROLLER_REPLICASET, ns,
				       mesh_lab_text(mesh_lab_controller_of(pod), "name"));
		return;
	}
	node = choose(c, pod);
	if (node) {
		bind_pod(c, pod, mesh_lab_text(node, "metadata.name"));
	} else {
		say_unschedulable(c, pod);
		mesh_controllers_queue_later(c, MESH_CONTROLLER_POD, ns, name);
	}
}
