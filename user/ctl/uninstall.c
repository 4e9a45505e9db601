/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uninstall: what could refuse or catch traffic goes first, what it needs goes last, so that running pods have a
 * working network at every moment: webhook, control (it would put back what goes), gateways, agents (each leaves its
 * node: programs, pins, CNI entry), Leases, accounts and configuration, definitions, namespaces.
 */
#include "ctl/install.h"

#include "core/mem.h"
#include "ctl/manifest.h"
#include "ctl/podexec.h"
#include "ctl/rollout.h"
#include "kube/kubeconfig.h"

#include <errno.h>
#include <stdio.h>

enum { LEAVE_MS = 30000, GONE_SECONDS = 60, DETACH_SECONDS = 60 };

static const char system_pods[] = "/api/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/pods";
static const char agent_set[] = "/apis/apps/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/daemonsets/sockmesh-agent";
static const char control_deployment[] =
	"/apis/apps/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/deployments/sockmesh-control";

struct removal {
	struct mesh_ctl *ctl;
	struct mesh_steps steps;
	json_t *objects;       /* of the manifests */
	struct mesh_map shown; /* dry run: paths */
	bool dry;
};

/* What one step did. */
struct count {
	size_t deleted, failed;
	struct mesh_buf why;
};

static const char *kind_of(const json_t *obj)
{
	const char *kind = json_string_value(json_object_get(obj, "kind"));

	return kind ? kind : "";
}

static void count_failure(struct count *c, const char *what, const char *why)
{
	c->failed++;
	mesh_buf_printf(&c->why, "%s%s: %s", c->why.len ? "; " : "", what, why);
}

static void drop_path(struct removal *r, const char *path, struct count *c)
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
		count_failure(c, path, why);
	else
		c->deleted += (size_t)done;
}

static void tell(struct removal *r, const char *what, struct count *c)
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
static void drop_labelled(struct removal *r, const char *api_version, const char *kind, struct count *c,
			  bool (*want)(const json_t *obj))
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
		count_failure(c, kind, why);
		return;
	}
	json_array_foreach(items, i, obj)
	{
		const char *ns = mesh_meta(obj, "namespace");
		mesh_auto_free char *one = mesh_resource_path(res, ns[0] ? ns : NULL, mesh_meta(obj, "name"));

		if (!want || want(obj))
			drop_path(r, one, c);
	}
	json_decref(items);
}

/* The objects of the manifests that belong to a step, last first. */
static void drop_step(struct removal *r, const char *title, struct count *c)
{
	for (size_t i = json_array_size(r->objects); i > 0; i--) {
		const json_t *obj = json_array_get(r->objects, i - 1);
		mesh_auto_free char *path = NULL;

		if (strcmp(mesh_install_step_of(kind_of(obj))->title, title) != 0)
			continue;
		path = mesh_install_path(r->ctl, obj);
		if (path)
			drop_path(r, path, c);
	}
}

static void remove_webhook(struct removal *r)
{
	struct count c = {0};

	drop_step(r, "webhook", &c);
	drop_labelled(r, "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", &c, NULL);
	tell(r, "webhook", &c);
}

/* True once no pod of ours with this component is left. */
static bool pods_gone(struct removal *r, const char *component, double seconds)
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

static void remove_control(struct removal *r)
{
	struct count c = {0};

	drop_path(r, control_deployment, &c);
	if (!r->dry && c.deleted && !pods_gone(r, "control", GONE_SECONDS))
		count_failure(&c, "control", "its pods have not ended: what they made may come back");
	tell(r, "control", &c);
}

static bool of_gateway(const json_t *obj)
{
	return strcmp(mesh_label_of(obj, MESH_LABEL_COMPONENT), "gateway") == 0 ||
	       strcmp(mesh_label_of(obj, "app.kubernetes.io/managed-by"), "sockmesh-control") == 0;
}

static void remove_gateways(struct removal *r)
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
	struct count c = {0};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(kinds); i++)
		drop_labelled(r, kinds[i].version, kinds[i].kind, &c, of_gateway);
	if (!r->dry && c.deleted && !pods_gone(r, "gateway", GONE_SECONDS))
		count_failure(&c, "gateways", "their pods have not ended");
	tell(r, "gateways", &c);
}

/* Agents. */

/* A pod that does what the agent's --detach does, on a node whose agent cannot be asked. New reference. */
static json_t *detach_pod(const json_t *set, const char *node)
{
	const json_t *template = json_object_get(json_object_get(set, "spec"), "template");
	json_t *spec = json_deep_copy(json_object_get(template, "spec")), *c, *args;
	static const char *const of_daemon[] = {"livenessProbe", "readinessProbe", "startupProbe", "lifecycle",
						"ports"};
	json_t *pod;

	json_object_set_new(spec, "nodeName", json_string(node));
	json_object_set_new(spec, "restartPolicy", json_string("Never"));
	json_object_set_new(spec, "activeDeadlineSeconds", json_integer(DETACH_SECONDS));
	c = json_array_get(json_object_get(spec, "containers"), 0);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(of_daemon); i++)
		json_object_del(c, of_daemon[i]);
	args = json_object_get(c, "args");
	json_array_append_new(args, json_string("--detach"));
	pod = json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s}}, s:o}", "apiVersion", "v1", "kind", "Pod", "metadata",
			"generateName", "sockmesh-detach-", "namespace", MESH_SYSTEM_NAMESPACE, "labels",
			MESH_LABEL_NAME, "sockmesh", MESH_LABEL_COMPONENT, "detach", "spec", spec);
	return pod;
}

/* Returns NULL when it has ended well, else why not (caller frees). */
static char *run_detach_pod(struct removal *r, const json_t *set, const char *node)
{
	mesh_auto(mesh_answer_free) struct mesh_answer made = {0};
	json_t *pod = detach_pod(set, node);
	uint64_t end = mesh_now_ns() + MESH_SEC(DETACH_SECONDS);
	char *why = NULL;
	bool over = false;

	if (mesh_ctl_request(r->ctl, "POST", system_pods, pod, NULL, NULL, &made) < 0)
		why = mesh_xstrdup(made.error);
	json_decref(pod);
	while (!why && !over) {
		mesh_auto_free char *path = mesh_xasprintf("%s/%s", system_pods, mesh_meta(made.body, "name"));
		mesh_auto(mesh_answer_free) struct mesh_answer now = {0};
		const char *phase;

		mesh_install_pause(r->ctl, MESH_POLL_MS);
		if (mesh_ctl_get(r->ctl, path, &now) < 0) {
			why = mesh_xstrdup(now.error);
			break;
		}
		phase = json_string_value(json_object_get(json_object_get(now.body, "status"), "phase"));
		over = phase && strcmp(phase, "Succeeded") == 0;
		if (!over && ((phase && strcmp(phase, "Failed") == 0) || mesh_now_ns() >= end))
			why = mesh_pod_why(r->ctl, now.body);
		if (over || why) {
			mesh_auto_free char *ignored = NULL;

			mesh_install_delete(r->ctl, path, &ignored);
		}
	}
	return why;
}

struct leaving {
	const char *node;
	bool left, reachable;
	char *why;
};

struct leavers {
	MESH_VEC(struct leaving) list;
};

static struct leaving *leaver(struct leavers *all, const char *node)
{
	mesh_vec_each (l, &all->list)
		if (strcmp(l->node, node) == 0)
			return l;
	return NULL;
}

/* Has each running agent take itself out of its node, all at once. */
static void ask_agents(struct removal *r, const json_t *pods, struct leavers *all)
{
	static const char *const command[] = {"/usr/bin/meshctl", "node-leave", NULL};
	size_t n = json_array_size(pods), i;
	mesh_auto_free struct mesh_podexec *jobs = mesh_xcalloc(n ? n : 1, sizeof(*jobs));
	const json_t *pod;

	json_array_foreach(pods, i, pod) jobs[i] = (struct mesh_podexec){.namespace = MESH_SYSTEM_NAMESPACE,
									 .pod = mesh_meta(pod, "name"),
									 .container = "agent",
									 .command = command};
	mesh_steps_now(&r->steps, "%zu agents leave their nodes", n);
	mesh_podexec_run(mesh_kube_config(r->ctl->kube), jobs, n, LEAVE_MS);
	json_array_foreach(pods, i, pod)
	{
		const char *node = json_string_value(json_object_get(json_object_get(pod, "spec"), "nodeName"));
		struct leaving *l = node ? leaver(all, node) : NULL;

		if (l && !jobs[i].error && jobs[i].code == 0) {
			l->left = true;
		} else if (l) {
			free(l->why);
			l->why = mesh_podexec_why(&jobs[i]);
		}
		mesh_podexec_free(&jobs[i]);
	}
}

/* Returns how many nodes that can be reached have not been left. */
static size_t take_out(struct removal *r, struct leavers *all, const json_t *set)
{
	size_t stuck = 0;

	mesh_vec_each (l, &all->list) {
		mesh_auto_free char *what = mesh_xasprintf("node %s", l->node), *why = NULL;

		if (l->left) {
			mesh_steps_done(&r->steps, what, "ok", "its agent has left");
			continue;
		}
		if (!l->reachable) {
			mesh_steps_done(
				&r->steps, what, "failed",
				"out of reach: it is not Ready. What would help: when it is back, meshctl install "
				"and uninstall again, or on it: meshd agent --detach --pin-dir DIR");
			continue;
		}
		mesh_steps_now(&r->steps, "node %s: a pod takes out what its agent left", l->node);
		why = run_detach_pod(r, set, l->node);
		stuck += why != NULL;
		if (!why)
			mesh_steps_done(&r->steps, what, "ok", "taken out by a pod (its agent: %s)",
					l->why ? l->why : "there was none");
		else
			mesh_steps_done(&r->steps, what, "failed", "%s%s%s", why,
					mesh_trouble_remedy(why) ? ". What would help: " : "",
					mesh_trouble_remedy(why) ? mesh_trouble_remedy(why) : "");
	}
	return stuck;
}

/* What a removal that was cut short has left: the DaemonSet as it would be installed. New reference; NULL: no trace. */
static json_t *set_of_before(struct removal *r)
{
	mesh_auto(mesh_answer_free) struct mesh_answer config = {0};
	json_t *said, *set;

	if (mesh_ctl_get(r->ctl, "/api/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/configmaps/sockmesh", &config) < 0)
		return NULL;
	said = json_loads(mesh_annotation_of(config.body, MESH_ANNOTATION_SAID), 0, NULL);
	set = json_deep_copy(mesh_manifest_find(r->objects, "DaemonSet", NULL));
	if (json_string_value(json_object_get(said, "image")))
		mesh_setting_image(set, json_string_value(json_object_get(said, "image")));
	json_decref(said);
	return set;
}

/* The DaemonSet that is, or was, there; NULL: none (*c says if that is an error). New reference. */
static json_t *find_set(struct removal *r, struct count *c)
{
	mesh_auto(mesh_answer_free) struct mesh_answer set = {0};

	if (mesh_ctl_get(r->ctl, agent_set, &set) == 0)
		return json_incref(set.body);
	if (set.status == 404)
		return set_of_before(r);
	count_failure(c, "agents", set.error);
	return NULL;
}

static size_t leave_nodes(struct removal *r, const json_t *set, struct count *c)
{
	mesh_auto_free char *pods_path =
		mesh_xasprintf("%s?labelSelector=app.kubernetes.io%%2Fcomponent%%3Dagent", system_pods);
	json_t *pods = mesh_list(r->ctl, pods_path, NULL), *nodes = mesh_list(r->ctl, "/api/v1/nodes", NULL), *node;
	struct leavers all = {0};
	const char *ignored;
	size_t stuck, i;

	json_array_foreach(nodes, i, node)
	{
		const json_t *info = json_object_get(json_object_get(node, "status"), "nodeInfo");
		const char *os = json_string_value(json_object_get(info, "operatingSystem"));

		if (!os || strcmp(os, "linux") == 0)
			mesh_vec_push(&all.list, ((struct leaving){.node = mesh_meta(node, "name"),
								   .reachable = mesh_node_ready(node, &ignored)}));
	}
	ask_agents(r, pods, &all);
	drop_path(r, agent_set, c);
	if (c->deleted && !pods_gone(r, "agent", GONE_SECONDS))
		count_failure(c, "agents", "their pods have not ended");
	stuck = take_out(r, &all, set);
	mesh_vec_each (l, &all.list)
		free(l->why);
	mesh_vec_free(&all.list);
	json_decref(pods);
	json_decref(nodes);
	return stuck;
}

/* Returns false if what follows must stay, for another try. */
static bool remove_agents(struct removal *r)
{
	struct count c = {0};
	json_t *set = find_set(r, &c);
	size_t stuck = 0;

	if (set && r->dry) {
		printf("leave     every node, then\n");
		drop_path(r, agent_set, &c);
	} else if (set) {
		stuck = leave_nodes(r, set, &c);
	}
	tell(r, "agents", &c);
	json_decref(set);
	return stuck == 0;
}

static void remove_leases(struct removal *r)
{
	static const char list[] = "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases";
	mesh_auto_free char *query = mesh_xasprintf("%s?labelSelector=sockmesh.io%%2Fcomponent", list), *why = NULL;
	json_t *leases = mesh_list(r->ctl, query, &why), *lease;
	struct count c = {0};
	size_t i;

	if (!leases)
		count_failure(&c, "leases", why);
	json_array_foreach(leases, i, lease)
	{
		mesh_auto_free char *path = mesh_xasprintf("%s/%s", list, mesh_meta(lease, "name"));

		drop_path(r, path, &c);
	}
	json_decref(leases);
	tell(r, "leases", &c);
}

static void remove_rest(struct removal *r)
{
	struct count config = {0}, access = {0};

	drop_step(r, "configuration", &config);
	drop_labelled(r, "scheduling.k8s.io/v1", "PriorityClass", &config, NULL);
	tell(r, "configuration", &config);
	drop_step(r, "accounts and permissions", &access);
	drop_labelled(r, "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", &access, NULL);
	drop_labelled(r, "rbac.authorization.k8s.io/v1", "ClusterRole", &access, NULL);
	tell(r, "accounts and permissions", &access);
}

static void remove_definitions(struct removal *r)
{
	struct count c = {0};

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
		if (!mesh_install_gone(r->ctl, path, GONE_SECONDS))
			count_failure(&c, mesh_meta(obj, "name"), "still there: an object of it has a finalizer");
	}
	tell(r, "resource definitions", &c);
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
	return !mesh_is_foreign(obj) || mesh_label_of(obj, "sockmesh.io/component")[0];
}

/* The first object in a namespace that is not there by itself, as "kind/name"; NULL: it is empty. Caller frees. */
static char *left_in(struct removal *r, const char *ns)
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

static void remove_namespace(struct removal *r, const char *name)
{
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s", name), *left = NULL;
	mesh_auto_free char *what = mesh_xasprintf("namespace %s", name);
	bool system = strcmp(name, MESH_SYSTEM_NAMESPACE) == 0;
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	struct count c = {0};

	if (mesh_ctl_get(r->ctl, path, &a) < 0) {
		tell(r, what, &c);
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
	drop_path(r, path, &c);
	if (!r->dry && c.deleted && !mesh_install_gone(r->ctl, path, GONE_SECONDS))
		count_failure(&c, name, "it is still being deleted");
	tell(r, what, &c);
}

static void remove_namespaces(struct removal *r)
{
	for (size_t i = json_array_size(r->objects); i > 0; i--) {
		const json_t *obj = json_array_get(r->objects, i - 1);

		if (strcmp(kind_of(obj), "Namespace") == 0)
			remove_namespace(r, mesh_meta(obj, "name"));
	}
}

static void remove_all(struct removal *r)
{
	remove_webhook(r);
	remove_control(r);
	remove_gateways(r);
	if (!remove_agents(r))
		return; /* pods that take out need what comes next */
	remove_leases(r);
	remove_rest(r);
	remove_definitions(r);
	remove_namespaces(r);
}

int mesh_ctl_run_uninstall(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	struct removal r = {.ctl = ctl, .dry = f->dry_run != NULL};
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
