/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/controllers.h"

#include "core/mem.h"

#include <stdio.h>

#define HASH_LABEL "pod-template-hash"
#define REVISION   "deployment.kubernetes.io/revision"

enum { HISTORY = 10, DEADLINE_S = 600 };

struct deployment {
	struct mesh_controllers *c;
	const json_t *obj;
	const char *ns, *name;
	unsigned replicas, surge, unavailable;
	bool recreate;
	json_t *current;        /* the ReplicaSet of the template, or NULL */
	MESH_VEC(json_t *) old; /* all others, oldest first */
};

static json_t *without_hash(const json_t *template)
{
	json_t *copy = json_deep_copy(template);

	json_object_del(mesh_lab_at(copy, "metadata.labels"), HASH_LABEL);
	json_object_del(json_object_get(copy, "metadata"), "creationTimestamp");
	return copy;
}

static bool same_template(const json_t *a, const json_t *b)
{
	json_t *x = without_hash(a), *y = without_hash(b);
	bool same = json_equal(x, y);

	json_decref(x);
	json_decref(y);
	return same;
}

static long long revision_of(const json_t *o)
{
	const char *text = json_string_value(json_object_get(mesh_lab_at(o, "metadata.annotations"), REVISION));

	return text ? atoll(text) : 0;
}

static int by_age(const void *a, const void *b)
{
	long long x = revision_of(*(json_t *const *)a), y = revision_of(*(json_t *const *)b);

	return x < y ? -1 : x > y;
}

static void template_hash(const struct deployment *d, char hash[MESH_HASH_MAX])
{
	json_t *template = without_hash(mesh_lab_at(d->obj, "spec.template"));

	mesh_name_template_hash(template, (unsigned)mesh_lab_int(d->obj, "status.collisionCount", 0), hash);
	json_decref(template);
}

static void collect(struct deployment *d)
{
	mesh_auto_free char *name = NULL;
	char hash[MESH_HASH_MAX];

	template_hash(d, hash);
	name = mesh_xasprintf("%s-%s", d->name, hash);
	mesh_lab_cache_each(e, &d->c->replicasets)
	{
		json_t *rs = e->value;
		const json_t *owner = mesh_lab_controller_of(rs);

		if (!owner || strcmp(mesh_lab_text(owner, "uid"), mesh_lab_text(d->obj, "metadata.uid")) != 0 ||
		    mesh_lab_deleting(rs))
			continue;
		if (!d->current &&
		    (mesh_lab_is(rs, "metadata.name", name) ||
		     same_template(mesh_lab_at(rs, "spec.template"), mesh_lab_at(d->obj, "spec.template"))))
			d->current = rs;
		else
			mesh_vec_push(&d->old, rs);
	}
	if (d->old.count)
		qsort(d->old.items, d->old.count, sizeof(json_t *), by_age);
}

static void read_strategy(struct deployment *d)
{
	const json_t *rolling = mesh_lab_at(d->obj, "spec.strategy.rollingUpdate");

	d->replicas = (unsigned)mesh_lab_int(d->obj, "spec.replicas", 1);
	d->recreate = mesh_lab_is(d->obj, "spec.strategy.type", "Recreate");
	d->surge = mesh_deployment_fraction(json_object_get(rolling, "maxSurge"), d->replicas, true,
					    (d->replicas + 3) / 4);
	d->unavailable = mesh_deployment_fraction(json_object_get(rolling, "maxUnavailable"), d->replicas, false,
						  d->replicas / 4);
	if (d->surge == 0 && d->unavailable == 0)
		d->unavailable = 1;
}

static long long next_revision(const struct deployment *d)
{
	long long last = d->old.count ? revision_of(d->old.items[d->old.count - 1]) : 0;

	return last + 1;
}

static json_t *annotations_for(const struct deployment *d)
{
	json_t *all = json_deep_copy(mesh_lab_at(d->obj, "metadata.annotations"));

	all = all ? all : json_object();
	json_object_del(all, "kubectl.kubernetes.io/last-applied-configuration");
	json_object_set_new(all, REVISION, json_sprintf("%lld", next_revision(d)));
	json_object_set_new(all, "deployment.kubernetes.io/desired-replicas", json_sprintf("%u", d->replicas));
	json_object_set_new(all, "deployment.kubernetes.io/max-replicas", json_sprintf("%u", d->replicas + d->surge));
	return all;
}

static json_t *with_hash(const json_t *labels, const char *hash)
{
	json_t *all = json_deep_copy(labels);

	all = all ? all : json_object();
	json_object_set_new(all, HASH_LABEL, json_string(hash));
	return all;
}

static unsigned wanted(const json_t *rs)
{
	return rs ? (unsigned)mesh_lab_int(rs, "spec.replicas", 1) : 0;
}

static unsigned status_of(const json_t *rs, const char *field)
{
	return rs ? (unsigned)mesh_lab_int(json_object_get(rs, "status"), field, 0) : 0;
}

static void rollout_of(const struct deployment *d, struct mesh_rollout *r)
{
	memset(r, 0, sizeof(*r));
	r->replicas = d->replicas;
	r->surge = d->recreate ? 0 : d->surge;
	r->unavailable = d->unavailable;
	r->new_wanted = wanted(d->current);
	r->new_available = MESH_MIN(status_of(d->current, "availableReplicas"), r->new_wanted);
	mesh_vec_each (rs, &d->old) {
		r->old_wanted += wanted(*rs);
		r->old_available += MESH_MIN(status_of(*rs, "availableReplicas"), wanted(*rs));
	}
}

static bool old_pods_left(const struct deployment *d)
{
	mesh_lab_cache_each(e, &d->c->pods)
	{
		const json_t *owner = mesh_lab_controller_of(e->value);

		mesh_vec_each (rs, &d->old)
			if (owner && strcmp(mesh_lab_text(owner, "uid"), mesh_lab_text(*rs, "metadata.uid")) == 0)
				return true;
	}
	return false;
}

static unsigned first_size(const struct deployment *d)
{
	struct mesh_rollout r;

	rollout_of(d, &r);
	if (d->recreate)
		return old_pods_left(d) ? 0 : d->replicas;
	return mesh_rollout_new(&r);
}

static void event_scaled(const struct deployment *d, const char *set, unsigned from, unsigned to)
{
	mesh_lab_event(d->c->events, d->obj, "Deployment", "apps/v1", "Normal", "ScalingReplicaSet",
		       "Scaled %s replica set %s from %u to %u", to > from ? "up" : "down", set, from, to);
}

static void create_set(struct deployment *d)
{
	mesh_auto_free char *path = mesh_xasprintf("/apis/apps/v1/namespaces/%s/replicasets", d->ns), *name = NULL;
	json_t *template = without_hash(mesh_lab_at(d->obj, "spec.template"));
	json_t *selector = json_deep_copy(mesh_lab_at(d->obj, "spec.selector"));
	json_t *labels, *owner;
	unsigned size = first_size(d);
	char hash[MESH_HASH_MAX];

	template_hash(d, hash);
	name = mesh_xasprintf("%s-%s", d->name, hash);
	labels = with_hash(mesh_lab_at(template, "metadata.labels"), hash);
	json_object_set(json_object_get(template, "metadata"), "labels", labels);
	json_object_set_new(selector, "matchLabels", with_hash(json_object_get(selector, "matchLabels"), hash));
	owner = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "apiVersion", "apps/v1", "kind", "Deployment", "name",
			  d->name, "uid", mesh_lab_text(d->obj, "metadata.uid"), "controller", 1, "blockOwnerDeletion",
			  1);
	mesh_controllers_write(d->c, MESH_CONTROLLER_DEPLOYMENT, d->ns, d->name, "POST", path,
			       json_pack("{s:s, s:s, s:{s:s, s:s, s:o, s:o, s:[o]}, s:{s:i, s:o, s:o, s:o}}",
					 "apiVersion", "apps/v1", "kind", "ReplicaSet", "metadata", "name", name,
					 "namespace", d->ns, "labels", labels, "annotations", annotations_for(d),
					 "ownerReferences", owner, "spec", "replicas", (int)size, "minReadySeconds",
					 json_integer(mesh_lab_int(d->obj, "spec.minReadySeconds", 0)), "selector",
					 selector, "template", template),
			       &d->c->replicasets);
	event_scaled(d, name, 0, size);
}

static void scale(struct deployment *d, const json_t *rs, unsigned size)
{
	const char *name = mesh_lab_text(rs, "metadata.name");
	mesh_auto_free char *path = mesh_xasprintf("/apis/apps/v1/namespaces/%s/replicasets/%s", d->ns, name);
	mesh_auto_free char *desired = mesh_xasprintf("%u", d->replicas),
			    *most = mesh_xasprintf("%u", d->replicas + d->surge);

	if (wanted(rs) == size)
		return;
	mesh_controllers_write(d->c, MESH_CONTROLLER_DEPLOYMENT, d->ns, d->name, "PATCH", path,
			       json_pack("{s:{s:{s:s, s:s}}, s:{s:i}}", "metadata", "annotations",
					 "deployment.kubernetes.io/desired-replicas", desired,
					 "deployment.kubernetes.io/max-replicas", most, "spec", "replicas", (int)size),
			       &d->c->replicasets);
	event_scaled(d, name, wanted(rs), size);
}

/* The template's ReplicaSet carries the highest revision, and the Deployment names it. */
static bool fix_revision(struct deployment *d)
{
	mesh_auto_free char *path = NULL, *text = NULL;
	long long highest = next_revision(d), now = revision_of(d->current);

	if (now < highest) {
		path = mesh_xasprintf("/apis/apps/v1/namespaces/%s/replicasets/%s", d->ns,
				      mesh_lab_text(d->current, "metadata.name"));
		text = mesh_xasprintf("%lld", highest);
		mesh_controllers_write(d->c, MESH_CONTROLLER_DEPLOYMENT, d->ns, d->name, "PATCH", path,
				       json_pack("{s:{s:{s:s}}}", "metadata", "annotations", REVISION, text),
				       &d->c->replicasets);
		return true;
	}
	if (revision_of(d->obj) == now)
		return false;
	path = mesh_xasprintf("/apis/apps/v1/namespaces/%s/deployments/%s", d->ns, d->name);
	text = mesh_xasprintf("%lld", now);
	mesh_controllers_write(d->c, MESH_CONTROLLER_DEPLOYMENT, d->ns, d->name, "PATCH", path,
			       json_pack("{s:{s:{s:s}}}", "metadata", "annotations", REVISION, text),
			       &d->c->deployments);
	return true;
}

static void shrink_old(struct deployment *d, unsigned n)
{
	/* Those that are not available first, whichever set they are of. */
	mesh_vec_each (item, &d->old) {
		unsigned size = wanted(*item), sick = size - MESH_MIN(size, status_of(*item, "availableReplicas"));
		unsigned take = MESH_MIN(sick, n);

		if (take) {
			scale(d, *item, size - take);
			n -= take;
			if (size - take == 0 || n == 0)
				continue;
			return; /* the rest when that is written */
		}
	}
	mesh_vec_each (item, &d->old) {
		unsigned size = wanted(*item), sick = size - MESH_MIN(size, status_of(*item, "availableReplicas"));
		unsigned take = MESH_MIN(size, n);

		if (take && !sick) {
			scale(d, *item, size - take);
			n -= take;
		}
	}
}

static void roll(struct deployment *d)
{
	struct mesh_rollout r;
	unsigned size;

	rollout_of(d, &r);
	if (d->recreate) {
		mesh_vec_each (rs, &d->old)
			scale(d, *rs, 0);
		if (!old_pods_left(d))
			scale(d, d->current, d->replicas);
		return;
	}
	size = mesh_rollout_new(&r);
	if (size != r.new_wanted) {
		scale(d, d->current, size);
		return;
	}
	if (r.old_wanted)
		shrink_old(d, mesh_rollout_old_less(&r));
}

static json_t *condition(const struct deployment *d, const char *type, bool good, const char *reason,
			 const char *message, bool touched)
{
	const json_t *was = mesh_lab_item(mesh_lab_at(d->obj, "status.conditions"), "type", type);
	const char *status = good ? "True" : "False";
	bool same = was && mesh_lab_is(was, "reason", reason) && mesh_lab_is(was, "message", message) && !touched;
	json_t *now = mesh_lab_now();
	json_t *o = json_pack(
		"{s:s, s:s, s:s, s:s, s:O, s:O}", "type", type, "status", status, "reason", reason, "message", message,
		"lastUpdateTime", same ? json_object_get(was, "lastUpdateTime") : now, "lastTransitionTime",
		was && mesh_lab_is(was, "status", status) ? json_object_get(was, "lastTransitionTime") : now);

	json_decref(now);
	return o;
}

static json_t *progressing(const struct deployment *d, const json_t *status, bool touched)
{
	const json_t *was = mesh_lab_item(mesh_lab_at(d->obj, "status.conditions"), "type", "Progressing");
	const char *set = mesh_lab_text(d->current, "metadata.name");
	mesh_auto_free char *message = NULL;
	long long deadline = mesh_lab_int(d->obj, "spec.progressDeadlineSeconds", DEADLINE_S);
	bool complete = mesh_lab_int(status, "updatedReplicas", 0) == d->replicas &&
			mesh_lab_int(status, "replicas", 0) == d->replicas &&
			mesh_lab_int(status, "availableReplicas", 0) == d->replicas;

	if (complete) {
		message = mesh_xasprintf("ReplicaSet \"%s\" has successfully progressed.", set);
		return condition(d, "Progressing", true, "NewReplicaSetAvailable", message, false);
	}
	if (was && !touched && !mesh_lab_is(was, "reason", "NewReplicaSetAvailable") &&
	    time(NULL) - mesh_lab_time_parse(mesh_lab_text(was, "lastUpdateTime")) > deadline) {
		message = mesh_xasprintf("ReplicaSet \"%s\" has timed out progressing.", set);
		return condition(d, "Progressing", false, "ProgressDeadlineExceeded", message, false);
	}
	if (was && mesh_lab_is(was, "reason", "ProgressDeadlineExceeded") && !touched)
		return json_incref((json_t *)was);
	message = mesh_xasprintf("ReplicaSet \"%s\" is progressing.", set);
	mesh_controllers_queue_later(d->c, MESH_CONTROLLER_DEPLOYMENT, d->ns, d->name);
	return condition(d, "Progressing", true, "ReplicaSetUpdated", message, touched);
}

static json_t *numbers(const struct deployment *d)
{
	unsigned total = status_of(d->current, "replicas"), updated = total;
	unsigned ready = status_of(d->current, "readyReplicas"), available = status_of(d->current, "availableReplicas");

	mesh_vec_each (rs, &d->old) {
		total += status_of(*rs, "replicas");
		ready += status_of(*rs, "readyReplicas");
		available += status_of(*rs, "availableReplicas");
	}
	return json_pack("{s:I, s:i, s:i, s:i, s:i, s:i}", "observedGeneration",
			 (json_int_t)mesh_lab_int(d->obj, "metadata.generation", 0), "replicas", (int)total,
			 "updatedReplicas", (int)updated, "readyReplicas", (int)ready, "availableReplicas",
			 (int)available, "unavailableReplicas", total > available ? (int)(total - available) : 0);
}

static void write_status(struct deployment *d)
{
	mesh_auto_free char *path = mesh_xasprintf("/apis/apps/v1/namespaces/%s/deployments/%s/status", d->ns, d->name);
	json_t *status = numbers(d), *conditions = json_array(), *value;
	const json_t *was = json_object_get(d->obj, "status");
	bool touched = false, good;
	const char *key;

	json_object_foreach(status, key, value) touched |= mesh_lab_int(was, key, 0) != json_integer_value(value);
	good = mesh_lab_int(status, "availableReplicas", 0) + (d->recreate ? 0 : d->unavailable) >= d->replicas;
	json_array_append_new(conditions, good ? condition(d, "Available", true, "MinimumReplicasAvailable",
							   "Deployment has minimum availability.", false)
					       : condition(d, "Available", false, "MinimumReplicasUnavailable",
							   "Deployment does not have minimum availability.", false));
	json_array_append_new(conditions, progressing(d, status, touched));
	if (!touched && json_equal(conditions, json_object_get(was, "conditions"))) {
		json_decref(conditions);
		json_decref(status);
		return;
	}
	json_object_set_new(status, "conditions", conditions);
	mesh_controllers_write(d->c, MESH_CONTROLLER_DEPLOYMENT, d->ns, d->name, "PATCH", path,
			       json_pack("{s:o}", "status", status), &d->c->deployments);
}

/* Empty old sets are kept for `rollout undo`, but not all of them. */
static void trim_history(struct deployment *d)
{
	long long keep = mesh_lab_int(d->obj, "spec.revisionHistoryLimit", HISTORY);

	for (size_t i = 0; (long long)(d->old.count - i) > keep; i++) {
		const json_t *rs = d->old.items[i];
		mesh_auto_free char *path = NULL;

		if (wanted(rs) || status_of(rs, "replicas"))
			continue;
		path = mesh_xasprintf("/apis/apps/v1/namespaces/%s/replicasets/%s", d->ns,
				      mesh_lab_text(rs, "metadata.name"));
		mesh_controllers_write(d->c, MESH_CONTROLLER_DEPLOYMENT, d->ns, d->name, "DELETE", path, NULL, NULL);
	}
}

static void orphan_sets(struct mesh_controllers *c, const char *ns, const char *name)
{
	mesh_lab_cache_each(e, &c->replicasets)
	{
		const json_t *owner = mesh_lab_controller_of(e->value);

		if (owner && mesh_lab_is(owner, "name", name) &&
		    strcmp(mesh_lab_text(e->value, "metadata.namespace"), ns) == 0)
			mesh_controllers_queue(c, MESH_CONTROLLER_REPLICASET, ns,
					       mesh_lab_text(e->value, "metadata.name"));
	}
}

void mesh_deployment_reconcile(struct mesh_controllers *c, const char *ns, const char *name)
{
	struct deployment d = {.c = c, .ns = ns, .name = name, .obj = mesh_lab_cache_get(&c->deployments, ns, name)};

	if (!d.obj) {
		orphan_sets(c, ns, name);
		return;
	}
	if (mesh_lab_deleting(d.obj))
		return;
	read_strategy(&d);
	collect(&d);
	if (!d.current && json_is_true(mesh_lab_at(d.obj, "spec.paused"))) {
		write_status(&d);
	} else if (!d.current) {
		create_set(&d);
	} else if (!fix_revision(&d)) {
		if (!json_is_true(mesh_lab_at(d.obj, "spec.paused")))
			roll(&d);
		else if (d.old.count == 0)
			scale(&d, d.current, d.replicas);
		write_status(&d);
		trim_history(&d);
	}
	mesh_vec_free(&d.old);
}
