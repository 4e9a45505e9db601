/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uninstall: what could refuse or catch traffic goes first, what it needs goes last, so that running pods have a
 * working network at every moment: webhook, control (it would put back what goes), gateways, agents (each leaves its
 * node: programs, pins, CNI entry), Leases, accounts and configuration, definitions, namespaces.
 */
#include "ctl/uninstall.h"

#include "core/mem.h"
#include "ctl/manifest.h"
#include "ctl/podexec.h"
#include "ctl/rollout.h"
#include "kube/kubeconfig.h"
#include "model/names.h"

#include <errno.h>
#include <stdio.h>

static const char control_deployment[] =
	"/apis/apps/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/deployments/sockmesh-control";

static const char *kind_of(const json_t *obj)
{
	const char *kind = json_string_value(json_object_get(obj, "kind"));

	return kind ? kind : "";
}

void mesh_removal_fail(struct mesh_removal_count *c, const char *what, const char *why)
{
	c->failed++;
	mesh_buf_printf(&c->why, "%s%s: %s", c->why.len ? "; " : "", what, why);
}

void mesh_removal_drop(struct mesh_removal *r, const char *path, struct mesh_removal_count *c)
{
	mesh_auto_free char *why = NULL;
	int done;

	if (r->dry) {
		mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

		if (!mesh_map_get_str(&r->shown, path) && mesh_ctl_get(r->ctl, path, &a) == 0) {
			mesh_map_put_str(&r->shown, path, r);
			printf("delete    %s\n", path);
			c->deleted++;
		}
		return;
	}
	mesh_steps_now(&r->steps, "deleting %s", path);
	done = mesh_install_delete(r->ctl, path, &why);
	if (done < 0)
		mesh_removal_fail(c, path, why);
	else
		c->deleted += (size_t)done;
}

void mesh_removal_tell(struct mesh_removal *r, const char *what, struct mesh_removal_count *c)
{
	if (r->dry)
		;
	else if (c->failed)
		mesh_steps_done(&r->steps, what, "failed", "%s", c->why.data);
	else if (c->deleted)
		mesh_steps_done(&r->steps, what, "ok", "%zu deleted", c->deleted);
	else
		mesh_steps_done(&r->steps, what, "unchanged", "nothing there");
	mesh_buf_free(&c->why);
}

/* Everything of ours of one kind, in any namespace, for which want() says so. */
static void drop_labelled(struct mesh_removal *r, const char *api_version, const char *kind,
			  struct mesh_removal_count *c, bool (*want)(const json_t *obj))
{
	const struct mesh_resource *res = mesh_resource_by_kind(mesh_resources_get(r->ctl), api_version, kind);
	mesh_auto_free char *path = res ? mesh_resource_path(res, NULL, NULL) : NULL, *why = NULL;
	mesh_auto_free char *list =
		path ? mesh_xasprintf("%s?labelSelector=app.kubernetes.io%%2Fname%%3Dsockmesh", path) : NULL;
	json_t *items, *obj;
	size_t i;

	if (!res)
		return;
	items = mesh_list(r->ctl, list, &why);
	if (!items) {
		mesh_removal_fail(c, kind, why);
		return;
	}
	json_array_foreach(items, i, obj)
	{
		const char *ns = mesh_meta(obj, "namespace");
		mesh_auto_free char *one = mesh_resource_path(res, ns[0] ? ns : NULL, mesh_meta(obj, "name"));

		if (!want || want(obj))
			mesh_removal_drop(r, one, c);
	}
	json_decref(items);
}

/* The objects of the manifests that belong to a step, last first. */
static void drop_step(struct mesh_removal *r, const char *title, struct mesh_removal_count *c)
{
	for (size_t i = json_array_size(r->objects); i > 0; i--) {
		const json_t *obj = json_array_get(r->objects, i - 1);
		mesh_auto_free char *path = NULL;

		if (strcmp(mesh_install_step_of(kind_of(obj))->title, title) != 0)
			continue;
		path = mesh_install_path(r->ctl, obj);
		if (path)
			mesh_removal_drop(r, path, c);
	}
}

static void remove_webhook(struct mesh_removal *r)
{
	struct mesh_removal_count c = {0};

	drop_step(r, "webhook", &c);
	drop_labelled(r, "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", &c, NULL);
	mesh_removal_tell(r, "webhook", &c);
}

/* True once no pod of ours with this component is left. */
bool mesh_removal_pods_gone(struct mesh_removal *r, const char *component, double seconds)
{
	mesh_auto_free char *path =
		mesh_xasprintf("/api/v1/pods?labelSelector=app.kubernetes.io%%2Fname%%3Dsockmesh%%2C"
			       "app.kubernetes.io%%2Fcomponent%%3D%s",
			       component);
	uint64_t end = mesh_now_ns() + (uint64_t)(seconds * 1e9);
	size_t left;

	for (;;) {
		json_t *pods = mesh_list(r->ctl, path, NULL);

		left = pods ? json_array_size(pods) : 1;
		json_decref(pods);
		if (left == 0 || mesh_now_ns() >= end)
			return left == 0;
		mesh_steps_now(&r->steps, "waiting for %zu pods (%s) to end", left, component);
		mesh_install_pause(r->ctl, MESH_POLL_MS);
	}
}

static void remove_control(struct mesh_removal *r)
{
	struct mesh_removal_count c = {0};

	mesh_removal_drop(r, control_deployment, &c);
	if (!r->dry && c.deleted && !mesh_removal_pods_gone(r, "control", MESH_GONE_SECONDS))
		mesh_removal_fail(&c, "control", "its pods have not ended: what they made may come back");
	mesh_removal_tell(r, "control", &c);
}

static bool of_gateway(const json_t *obj)
{
	return strcmp(mesh_label_of(obj, MESH_LABEL_COMPONENT), "gateway") == 0 ||
	       strcmp(mesh_label_of(obj, MESH_LABEL_MANAGED), "sockmesh-control") == 0;
}

static void remove_gateways(struct mesh_removal *r)
{
	static const struct {
		const char *version, *kind;
	} kinds[] = {
		{"route.openshift.io/v1", "Route"},
		{"autoscaling/v2", "HorizontalPodAutoscaler"},
		{"policy/v1", "PodDisruptionBudget"},
		{"v1", "Service"},
		{"apps/v1", "Deployment"},
		{"rbac.authorization.k8s.io/v1", "RoleBinding"},
		{"rbac.authorization.k8s.io/v1", "Role"},
		{"rbac.authorization.k8s.io/v1", "ClusterRoleBinding"},
		{"rbac.authorization.k8s.io/v1", "ClusterRole"},
		{"v1", "ServiceAccount"},
		{"v1", "ConfigMap"},
		{"v1", "Secret"},
	};
	struct mesh_removal_count c = {0};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(kinds); i++)
		drop_labelled(r, kinds[i].version, kinds[i].kind, &c, of_gateway);
	if (!r->dry && c.deleted && !mesh_removal_pods_gone(r, "gateway", MESH_GONE_SECONDS))
		mesh_removal_fail(&c, "gateways", "their pods have not ended");
	mesh_removal_tell(r, "gateways", &c);
}

static void remove_leases(struct mesh_removal *r)
{
	static const char list[] = "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases";
	mesh_auto_free char *query = mesh_xasprintf("%s?labelSelector=sockmesh.io%%2Fcomponent", list), *why = NULL;
	json_t *leases = mesh_list(r->ctl, query, &why), *lease;
	struct mesh_removal_count c = {0};
	size_t i;

	if (!leases)
		mesh_removal_fail(&c, "leases", why);
	json_array_foreach(leases, i, lease)
	{
		mesh_auto_free char *path = mesh_xasprintf("%s/%s", list, mesh_meta(lease, "name"));

		mesh_removal_drop(r, path, &c);
	}
	json_decref(leases);
	mesh_removal_tell(r, "leases", &c);
}

static void remove_rest(struct mesh_removal *r)
{
	struct mesh_removal_count config = {0}, access = {0};

	drop_step(r, "configuration", &config);
	drop_labelled(r, "scheduling.k8s.io/v1", "PriorityClass", &config, NULL);
	mesh_removal_tell(r, "configuration", &config);
	drop_step(r, "accounts and permissions", &access);
	drop_labelled(r, "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", &access, NULL);
	drop_labelled(r, "rbac.authorization.k8s.io/v1", "ClusterRole", &access, NULL);
	mesh_removal_tell(r, "accounts and permissions", &access);
}

static void remove_definitions(struct mesh_removal *r)
{
	struct mesh_removal_count c = {0};

	if (r->ctl->flags->keep_crds) {
		if (!r->dry)
			mesh_steps_done(&r->steps, "resource definitions", "skipped", "kept, as --keep-crds says");
		return;
	}
	drop_labelled(r, "apiextensions.k8s.io/v1", "CustomResourceDefinition", &c, NULL);
	for (size_t i = 0; !r->dry && i < json_array_size(r->objects); i++) {
		const json_t *obj = json_array_get(r->objects, i);
		mesh_auto_free char *path = mesh_install_path(r->ctl, obj);
		mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

		if (strcmp(kind_of(obj), "CustomResourceDefinition") != 0 || mesh_ctl_get(r->ctl, path, &a) < 0 ||
		    mesh_is_foreign(a.body))
			continue;
		if (!mesh_install_gone(r->ctl, path, MESH_GONE_SECONDS))
			mesh_removal_fail(&c, mesh_meta(obj, "name"), "still there: an object of it has a finalizer");
	}
	mesh_removal_tell(r, "resource definitions", &c);
}

/* What every namespace has by itself. */
static bool is_default(const char *kind, const char *name)
{
	return strcmp(kind, "Event") == 0 || strcmp(kind, "EndpointSlice") == 0 ||
	       (strcmp(kind, "ServiceAccount") == 0 && strcmp(name, "default") == 0) ||
	       (strcmp(kind, "ServiceAccount") == 0 && strcmp(name, "builder") == 0) ||
	       (strcmp(kind, "ServiceAccount") == 0 && strcmp(name, "deployer") == 0) ||
	       (strcmp(kind, "ConfigMap") == 0 && strcmp(name, "kube-root-ca.crt") == 0) ||
	       (strcmp(kind, "ConfigMap") == 0 && strcmp(name, "openshift-service-ca.crt") == 0) ||
	       strcmp(kind, "PodMetrics") == 0;
}

/* In a dry run it is still there. */
static bool goes_anyway(const json_t *obj)
{
	return !mesh_is_foreign(obj) || mesh_label_of(obj, MESH_LEASE_COMPONENT_LABEL)[0];
}

/* The first object in a namespace that is not there by itself, as "kind/name"; NULL: it is empty. Caller frees. */
static char *left_in(struct mesh_removal *r, const char *ns)
{
	mesh_vec_each (one, &mesh_resources_get(r->ctl)->list) {
		const struct mesh_resource *res = *one;
		mesh_auto_free char *path = NULL;
		json_t *items, *obj;
		char *found = NULL;
		size_t i;

		if (!res->namespaced || !res->listable || !res->preferred || strcmp(res->kind, "Endpoints") == 0)
			continue;
		path = mesh_resource_path(res, ns, NULL);
		items = mesh_list(r->ctl, path, NULL); /* a definition that has just gone answers 404 */
		json_array_foreach(items, i, obj) if (!found && !is_default(res->kind, mesh_meta(obj, "name")) &&
						      !mesh_meta(obj, "deletionTimestamp")[0] &&
						      !(r->dry && goes_anyway(obj))) found =
			mesh_object_name(res->group, res->kind, mesh_meta(obj, "name"));
		json_decref(items);
		if (found)
			return found;
	}
	return NULL;
}

static void remove_namespace(struct mesh_removal *r, const char *name)
{
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s", name), *left = NULL;
	mesh_auto_free char *what = mesh_xasprintf("namespace %s", name);
	bool system = strcmp(name, MESH_SYSTEM_NAMESPACE) == 0;
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	struct mesh_removal_count c = {0};

	if (mesh_ctl_get(r->ctl, path, &a) < 0) {
		mesh_removal_tell(r, what, &c);
		return;
	}
	if (!system)
		left = left_in(r, name);
	if (r->ctl->flags->keep_namespaces || left ||
	    (!mesh_annotation_of(a.body, MESH_ANNOTATION_MADE)[0] && (!system || mesh_is_foreign(a.body)))) {
		const char *why = r->ctl->flags->keep_namespaces ? "as --keep-namespaces says"
				  : left                         ? left
								 : "it was there before the mesh";

		if (r->dry)
			printf("keep      %s: %s%s\n", path, why, left ? " is in it" : "");
		else
			mesh_steps_done(&r->steps, what, "skipped", "kept: %s%s", why, left ? " is in it" : "");
		return;
	}
	mesh_removal_drop(r, path, &c);
	if (!r->dry && c.deleted && !mesh_install_gone(r->ctl, path, MESH_GONE_SECONDS))
		mesh_removal_fail(&c, name, "it is still being deleted");
	mesh_removal_tell(r, what, &c);
}

static void remove_namespaces(struct mesh_removal *r)
{
	for (size_t i = json_array_size(r->objects); i > 0; i--) {
		const json_t *obj = json_array_get(r->objects, i - 1);

		if (strcmp(kind_of(obj), "Namespace") == 0)
			remove_namespace(r, mesh_meta(obj, "name"));
	}
}

static void remove_all(struct mesh_removal *r)
{
	remove_webhook(r);
	remove_control(r);
	remove_gateways(r);
	if (!mesh_removal_agents(r))
		return; /* pods that take out need what comes next */
	remove_leases(r);
	remove_rest(r);
	remove_definitions(r);
	remove_namespaces(r);
}

int mesh_ctl_run_uninstall(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	struct mesh_removal r = {.ctl = ctl, .dry = f->dry_run != NULL};
	struct mesh_errs errs = {0};

	if (f->args.list.count)
		return mesh_ctl_error(ctl, "uninstall takes no arguments, got \"%s\"", f->args.list.items[0]);
	if (f->dry_run && strcmp(f->dry_run, "client") != 0)
		return mesh_ctl_error(ctl, "--dry-run=%s is not supported here: --dry-run shows what would be deleted",
				      f->dry_run);
	if (mesh_manifest_load(NULL, NULL, &r.objects, &errs) < 0)
		return mesh_ctl_errors(ctl, &errs);
	mesh_steps_init(&r.steps);
	if (mesh_resources_get(ctl))
		remove_all(&r);
	json_decref(r.objects);
	mesh_map_free(&r.shown);
	if (r.steps.failed)
		return mesh_ctl_error(ctl, "not everything is gone: remedy what failed and run it again");
	if (r.dry)
		puts("(dry run)");
	return ctl->failed;
}
