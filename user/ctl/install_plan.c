/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/install.h"

#include "core/mem.h"
#include "ctl/apply.h"
#include "ctl/manifest.h"
#include "ctl/merge.h"
#include "ctl/rollout.h"

#include <stdio.h>

static const char *kind_of(const json_t *obj)
{
	const char *kind = json_string_value(json_object_get(obj, "kind"));

	return kind ? kind : "";
}

/* --dry-run: what would change, asked from the server without keeping anything. */

static void drop_noise(json_t *patch)
{
	static const char *const noise[] = {"managedFields", "resourceVersion", "generation", "uid",
					    "creationTimestamp"};
	json_t *meta = json_object_get(patch, "metadata"), *annotations = json_object_get(meta, "annotations");

	for (size_t i = 0; i < MESH_ARRAY_SIZE(noise); i++)
		json_object_del(meta, noise[i]);
	json_object_del(annotations, MESH_LAST_APPLIED);
	json_object_del(annotations, "deprecated.daemonset.template.generation");
	if (annotations && json_object_size(annotations) == 0)
		json_object_del(meta, "annotations");
	if (meta && json_object_size(meta) == 0)
		json_object_del(patch, "metadata");
	json_object_del(patch, "status");
}

struct plan {
	size_t create, change, same, foreign, failed;
};

static void plan_change(struct mesh_ctl *ctl, const struct mesh_resource *res, const json_t *obj, const json_t *live,
			struct plan *plan)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	mesh_auto_free char *name = mesh_object_name_of(obj);
	json_t *patch;

	if (mesh_apply_object(ctl, res, obj, true, &a) == MESH_APPLIED_FAILED) {
		printf("failed    %s: %s\n", name, a.error);
		plan->failed++;
		return;
	}
	patch = mesh_merge_diff(live, a.body);
	drop_noise(patch);
	if (json_object_size(patch) == 0) {
		plan->same++;
	} else {
		plan->change++;
		mesh_apply_explain(&text, live, patch, 10);
		printf("change    %s\n%s", name, text.data ? text.data : "");
	}
	json_decref(patch);
}

static void plan_one(struct mesh_ctl *ctl, const json_t *obj, struct plan *plan)
{
	const struct mesh_resource *res = mesh_install_resource(ctl, obj);
	mesh_auto(mesh_answer_free) struct mesh_answer live = {0};
	mesh_auto_free char *name = mesh_object_name_of(obj);
	json_t *wanted;

	if (!res) {
		printf("failed    %s: the server has no such kind\n", name);
		plan->failed++;
		return;
	}
	if (mesh_apply_read(ctl, res, obj, &live) < 0) {
		if (live.status == 404) {
			printf("create    %s\n", name);
			plan->create++;
			return;
		}
		printf("failed    %s: %s\n", name, live.error);
		plan->failed++;
		return;
	}
	wanted = mesh_install_prepared(ctl, res, obj);
	if (!wanted) {
		printf("keep      %s: it is another's\n", name);
		plan->foreign++;
		return;
	}
	plan_change(ctl, res, wanted, live.body, plan);
	json_decref(wanted);
}

int mesh_install_plan(struct mesh_ctl *ctl, const json_t *objects)
{
	struct plan plan = {0};
	json_t *obj;
	size_t i;

	for (const struct mesh_install_step *s = mesh_install_steps; s->title; s++)
		json_array_foreach(objects, i, obj) if (mesh_install_step_of(kind_of(obj)) == s)
			plan_one(ctl, obj, &plan);
	printf("%zu to create, %zu to change, %zu unchanged", plan.create, plan.change, plan.same);
	if (plan.foreign)
		printf(", %zu of others", plan.foreign);
	puts(" (dry run)");
	return plan.failed != 0;
}

/* What suits the cluster. */

static bool is_said(const struct mesh_texts *set, const char *key)
{
	size_t len = strlen(key);

	mesh_vec_each (text, &set->list)
		if (strncmp(*text, key, len) == 0 && (*text)[len] == '=')
			return true;
	return false;
}

static bool has_label(const json_t *node, const char *key, const json_t *value)
{
	const json_t *labels = json_object_get(json_object_get(node, "metadata"), "labels");

	return json_equal(json_object_get(labels, key), value);
}

/* Whether a control pod may be placed there: not cordoned, and with no taint that the manifest does not tolerate. */
static bool takes_control(const json_t *node, const json_t *selector)
{
	const json_t *spec = json_object_get(node, "spec"), *taint;
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach((json_t *)selector, key, value) if (!has_label(node, key, value)) return false;
	json_array_foreach(json_object_get(spec, "taints"), i, taint)
	{
		const char *effect = json_string_value(json_object_get(taint, "effect"));

		key = json_string_value(json_object_get(taint, "key"));
		if (effect && strcmp(effect, "PreferNoSchedule") != 0 && strcmp(effect, "NoExecute") != 0 && key &&
		    strcmp(key, "node-role.kubernetes.io/control-plane") != 0 &&
		    strncmp(key, "node.kubernetes.io/not-ready", 28) != 0)
			return false;
	}
	return !json_is_true(json_object_get(spec, "unschedulable"));
}

char *mesh_install_fit(struct mesh_ctl *ctl, json_t *objects, const struct mesh_texts *set)
{
	json_t *control = mesh_manifest_find(objects, "Deployment", "sockmesh-control"), *spec, *nodes, *node;
	json_int_t wanted, room = 0;
	const json_t *selector;
	size_t i;

	if (!control || is_said(set, "control.replicas"))
		return NULL;
	nodes = mesh_list(ctl, "/api/v1/nodes", NULL);
	if (!nodes)
		return NULL;
	spec = json_object_get(control, "spec");
	selector = json_object_get(json_object_get(json_object_get(spec, "template"), "spec"), "nodeSelector");
	json_array_foreach(nodes, i, node) room += takes_control(node, selector);
	json_decref(nodes);
	wanted = json_integer_value(json_object_get(spec, "replicas"));
	if (room == 0 || room >= wanted)
		return NULL;
	json_object_set_new(spec, "replicas", json_integer(room));
	return mesh_xasprintf(
		"%lld replica%s, not %lld: each needs a node of its own (install or upgrade again once there "
		"are more, or --set control.replicas=%lld)",
		(long long)room, room == 1 ? "" : "s", (long long)wanted, (long long)wanted);
}
