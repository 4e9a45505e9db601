/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster as a whole: what it serves, what we may, who else is there, and what is installed. */
#include "ctl/check.h"

#include "config/get.h"
#include "core/mem.h"
#include "ctl/inforce.h"
#include "ctl/install.h"
#include "ctl/manifest.h"
#include "ctl/resource.h"
#include "ctl/rollout.h"

#include <stdio.h>
#include <time.h>

enum { VERSION_MINOR = 30, SHOWN = 5 };

void mesh_check_version(json_t *rows, const char *git_version)
{
	unsigned major = 0, minor = 0;
	bool known = sscanf(git_version, "v%u.%u", &major, &minor) == 2;
	bool good = known && (major > 1 || (major == 1 && minor >= VERSION_MINOR));

	mesh_verdict_add(
		rows, good ? MESH_VERDICT_OK : MESH_VERDICT_WARN, "Kubernetes",
		"the API's kinds and fields in the versions that the mesh uses; 1.30 to 1.34 are the ones it knows",
		"a newer Kubernetes", "%s", git_version);
}

static void check_served(struct mesh_check *c, json_t *rows)
{
	static const struct {
		const char *version, *kind, *why;
	} kinds[] = {
		{"apiextensions.k8s.io/v1", "CustomResourceDefinition", "the mesh's own kinds"},
		{"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "refusing faulty objects"},
		{"coordination.k8s.io/v1", "Lease", "saying what is in force where, and who leads"},
		{"discovery.k8s.io/v1", "EndpointSlice", "endpoints of Services"},
		{"policy/v1", "PodDisruptionBudget", "a control pod left while nodes are drained"},
		{"apps/v1", "DaemonSet", "an agent on each node"},
	};
	const struct mesh_resources *all = mesh_resources_get(c->ctl);
	size_t missing = 0;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(kinds); i++) {
		if (mesh_resource_by_kind(all, kinds[i].version, kinds[i].kind))
			continue;
		missing++;
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, kinds[i].kind, kinds[i].why, "a Kubernetes that serves it",
				 "%s is not served", kinds[i].version);
	}
	if (!missing)
		mesh_verdict_add(rows, MESH_VERDICT_OK, "API groups", "what the mesh is made of", NULL,
				 "all that are needed are served");
}

/* SelfSubjectAccessReview. */
static bool allowed(struct mesh_ctl *ctl, const char *verb, const char *group, const char *resource, const char *ns)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	json_t *body = json_pack("{s:s, s:s, s:{s:{s:s, s:s, s:s, s:s}}}", "apiVersion", "authorization.k8s.io/v1",
				 "kind", "SelfSubjectAccessReview", "spec", "resourceAttributes", "verb", verb, "group",
				 group, "resource", resource, "namespace", ns);
	int r = mesh_ctl_request(ctl, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body, NULL,
				 NULL, &a);

	json_decref(body);
	return r == 0 && json_is_true(json_object_get(json_object_get(a.body, "status"), "allowed"));
}

static void check_permissions(struct mesh_check *c, json_t *rows)
{
	static const char system[] = MESH_SYSTEM_NAMESPACE;
	static const struct {
		const char *group, *resource, *ns, *verbs;
	} needs[] = {
		{"", "namespaces", "", "get create patch delete"},
		{"", "nodes", "", "list"},
		{"apiextensions.k8s.io", "customresourcedefinitions", "", "get list create patch delete"},
		{"admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "get list create patch delete"},
		{"rbac.authorization.k8s.io", "clusterroles", "", "get create patch delete escalate bind"},
		{"rbac.authorization.k8s.io", "clusterrolebindings", "", "get create patch delete"},
		{"rbac.authorization.k8s.io", "roles", system, "get create patch delete escalate bind"},
		{"rbac.authorization.k8s.io", "roles", "istio-system", "get create patch delete escalate bind"},
		{"rbac.authorization.k8s.io", "rolebindings", system, "get create patch delete"},
		{"rbac.authorization.k8s.io", "rolebindings", "istio-system", "get create patch delete"},
		{"", "serviceaccounts", system, "get create patch delete"},
		{"", "configmaps", system, "get create patch delete"},
		{"", "services", system, "get create patch delete"},
		{"apps", "deployments", system, "get create patch delete"},
		{"apps", "daemonsets", system, "get create patch delete"},
		{"policy", "poddisruptionbudgets", system, "get create patch delete"},
		{"", "pods", system, "list get"},
		{"", "pods/exec", system, "get create"},
		{"", "pods/log", system, "get"},
		{"coordination.k8s.io", "leases", "istio-system", "get list delete"},
	};
	mesh_auto(mesh_buf_free) struct mesh_buf denied = {0};
	size_t asked = 0;

	if (allowed(c->ctl, "*", "*", "*", "")) {
		mesh_verdict_add(rows, MESH_VERDICT_OK, "permissions", "install, upgrade and uninstall", NULL,
				 "everything is allowed (cluster-admin)");
		return;
	}
	for (size_t i = 0; i < MESH_ARRAY_SIZE(needs); i++) {
		struct mesh_slice rest = mesh_slice_str(needs[i].verbs), verb;

		while (mesh_slice_split(&rest, ' ', &verb)) {
			mesh_auto_free char *word = mesh_xstrndup(verb.ptr, verb.len);

			asked++;
			if (!allowed(c->ctl, word, needs[i].group, needs[i].resource, needs[i].ns))
				mesh_buf_printf(&denied, "%s%s %s%s%s%s%s", denied.len ? ", " : "", word,
						needs[i].resource, needs[i].group[0] ? "." : "", needs[i].group,
						needs[i].ns[0] ? " in " : "", needs[i].ns);
		}
	}
	if (denied.len)
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "permissions", "install, upgrade and uninstall",
				 "do it as a cluster-admin", "not allowed: %s", denied.data);
	else
		mesh_verdict_add(rows, MESH_VERDICT_OK, "permissions", "install, upgrade and uninstall", NULL,
				 "all %zu that are needed are given", asked);
}

static bool has_name(const json_t *items, const char *name)
{
	const json_t *obj;
	size_t i;

	json_array_foreach(items, i, obj) if (strcmp(mesh_meta(obj, "name"), name) == 0) return true;
	return false;
}

static void check_webhooks(json_t *rows, const json_t *webhooks)
{
	static const char *const injectors[] = {"istio-sidecar-injector",  "istio-revision-tag",
						"linkerd-proxy-injector",  "osm-webhook",
						"consul-connect-injector", "kuma-admission"};
	const json_t *hook;
	size_t i;

	json_array_foreach(webhooks, i, hook)
	{
		for (size_t j = 0; j < MESH_ARRAY_SIZE(injectors); j++) {
			if (strncmp(mesh_meta(hook, "name"), injectors[j], strlen(injectors[j])) != 0)
				continue;
			mesh_verdict_add(rows, MESH_VERDICT_WARN, "another mesh's injector",
					 "a pod with a sidecar of another mesh must not be in this one, too",
					 "keep namespaces that it injects into out of the ServiceMeshMemberRoll",
					 "MutatingWebhookConfiguration %s", mesh_meta(hook, "name"));
		}
	}
}

void mesh_check_neighbours(json_t *rows, const json_t *namespaces, const json_t *daemonsets, const json_t *webhooks)
{
	static const struct {
		const char *name, *what, *remedy;
	} spaces[] = {
		{"linkerd", "Linkerd", "keep its namespaces out of the ServiceMeshMemberRoll"},
		{"consul", "Consul", "keep its namespaces out of the ServiceMeshMemberRoll"},
		{"kuma-system", "Kuma", "keep its namespaces out of the ServiceMeshMemberRoll"},
	};
	static const struct {
		const char *name, *what, *remedy;
	} sets[] = {
		{"cilium", "Cilium (it may balance Services at connect(), before or after the mesh)",
		 "set Cilium's socketLB.hostNamespaceOnly=true"},
		{"ztunnel", "Istio's ambient mode", "keep its namespaces out of the ServiceMeshMemberRoll"},
		{"istio-cni-node", "Istio's CNI plugin", "keep its namespaces out of the ServiceMeshMemberRoll"},
	};
	size_t before = json_array_size(rows);

	for (size_t i = 0; i < MESH_ARRAY_SIZE(spaces); i++)
		if (has_name(namespaces, spaces[i].name))
			mesh_verdict_add(rows, MESH_VERDICT_WARN, "another mesh", "one mesh for each pod",
					 spaces[i].remedy, "%s: namespace %s", spaces[i].what, spaces[i].name);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(sets); i++)
		if (has_name(daemonsets, sets[i].name))
			mesh_verdict_add(rows, MESH_VERDICT_WARN, "another data plane", "one route for each connection",
					 sets[i].remedy, "%s: DaemonSet %s", sets[i].what, sets[i].name);
	check_webhooks(rows, webhooks);
	if (json_array_size(rows) == before)
		mesh_verdict_add(rows, MESH_VERDICT_OK, "other meshes", "one mesh for each pod", NULL, "none seen");
}

static bool of_mesh_group(const json_t *crd)
{
	const char *group = mesh_text(json_object_get(crd, "spec"), "group");
	size_t len = strlen(group);

	return strcmp(group, "maistra.io") == 0 || (len > 9 && strcmp(group + len - 9, ".istio.io") == 0);
}

void mesh_check_definitions(json_t *rows, const json_t *crds)
{
	mesh_auto(mesh_buf_free) struct mesh_buf names = {0};
	size_t foreign = 0, ours = 0, i;
	const json_t *crd;

	json_array_foreach(crds, i, crd)
	{
		if (!of_mesh_group(crd))
			continue;
		if (!mesh_is_foreign(crd)) {
			ours++;
			continue;
		}
		if (foreign++ < SHOWN)
			mesh_buf_printf(&names, "%s%s", names.len ? ", " : "", mesh_meta(crd, "name"));
	}
	if (foreign)
		mesh_verdict_add(rows, MESH_VERDICT_WARN, "resource definitions", "the mesh's kinds, which are Istio's",
				 "none is needed: install leaves them as they are, and uninstall too",
				 "%zu are there that another has made: %s%s", foreign, names.data,
				 foreign > SHOWN ? ", ..." : "");
	else
		mesh_verdict_add(rows, MESH_VERDICT_OK, "resource definitions", "the mesh's kinds, which are Istio's",
				 NULL, ours ? "%zu, all ours" : "none there yet", ours);
}

/* The level that a namespace enforces; our own needs "privileged". */
static void check_pod_security(struct mesh_check *c, json_t *rows)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	static const char why[] = "the agent's pod is on the host's network and has host directories";
	const char *level;

	if (mesh_ctl_get(c->ctl, "/api/v1/namespaces/" MESH_SYSTEM_NAMESPACE, &a) < 0) {
		if (a.status == 404)
			mesh_verdict_add(rows, MESH_VERDICT_OK, "pod security", why, NULL,
					 "install labels its namespace privileged");
		return;
	}
	level = mesh_label_of(a.body, "pod-security.kubernetes.io/enforce");
	if (!level[0] || strcmp(level, "privileged") == 0)
		mesh_verdict_add(rows, MESH_VERDICT_OK, "pod security", why, NULL, "namespace %s: %s",
				 MESH_SYSTEM_NAMESPACE, level[0] ? level : "the cluster's default");
	else
		mesh_verdict_add(
			rows, MESH_VERDICT_FAIL, "pod security", why,
			"kubectl label namespace sockmesh-system pod-security.kubernetes.io/enforce=privileged "
			"--overwrite",
			"namespace %s enforces %s", MESH_SYSTEM_NAMESPACE, level);
}

static void check_openshift(struct mesh_check *c, json_t *rows)
{
	if (mesh_resource_by_kind(mesh_resources_get(c->ctl), "security.openshift.io/v1", "SecurityContextConstraints"))
		mesh_verdict_add(rows, MESH_VERDICT_WARN, "OpenShift",
				 "pods start only within a SecurityContextConstraints",
				 "apply deploy/openshift before install", "SecurityContextConstraints are served");
}

static void check_time(struct mesh_check *c, json_t *rows)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	struct timespec before, after;

	clock_gettime(CLOCK_REALTIME, &before);
	if (mesh_ctl_get(c->ctl, "/version", &a) < 0)
		return;
	clock_gettime(CLOCK_REALTIME, &after);
	mesh_check_version(rows, mesh_text(a.body, "gitVersion"));
	if (!a.date)
		return;
	/* The header has whole seconds, cut off: half of one is the middle. */
	c->behind = (double)a.date + 0.5 - ((double)before.tv_sec + (double)after.tv_sec) / 2 -
		    (double)(before.tv_nsec + after.tv_nsec) / 2e9;
	c->clock_known = true;
}

void mesh_check_cluster(struct mesh_check *c, bool pre)
{
	json_t *rows = mesh_check_group(c, "cluster"), *namespaces, *sets, *hooks, *crds;

	check_time(c, rows);
	check_served(c, rows);
	if (pre)
		check_permissions(c, rows);
	namespaces = mesh_list(c->ctl, "/api/v1/namespaces", NULL);
	sets = mesh_list(c->ctl, "/apis/apps/v1/daemonsets", NULL);
	hooks = mesh_list(c->ctl, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", NULL);
	crds = mesh_list(c->ctl, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", NULL);
	mesh_check_neighbours(rows, namespaces, sets, hooks);
	mesh_check_definitions(rows, crds);
	check_pod_security(c, rows);
	check_openshift(c, rows);
	json_decref(namespaces);
	json_decref(sets);
	json_decref(hooks);
	json_decref(crds);
}

/* What is installed. */

static void check_control(struct mesh_check *c, json_t *rows)
{
	static const char path[] = "/apis/apps/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/deployments/sockmesh-control";
	static const char why[] = "gateways, statuses and the admission webhook";
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	mesh_auto_free char *reason = NULL;
	const json_t *status;

	if (mesh_ctl_get(c->ctl, path, &a) < 0) {
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "control", why, "meshctl install", "%s", a.error);
		return;
	}
	status = json_object_get(a.body, "status");
	mesh_verdict_add(rows,
			 mesh_deployment_ready(a.body)                                          ? MESH_VERDICT_OK
			 : json_integer_value(json_object_get(status, "availableReplicas")) > 0 ? MESH_VERDICT_WARN
												: MESH_VERDICT_FAIL,
			 "control", why, "meshctl describe pods -n sockmesh-system tells why", "%lld of %lld available",
			 (long long)json_integer_value(json_object_get(status, "availableReplicas")),
			 (long long)json_integer_value(json_object_get(json_object_get(a.body, "spec"), "replicas")));
	if (mesh_webhook_answers(c->ctl, &reason))
		mesh_verdict_add(rows, MESH_VERDICT_OK, "webhook", "refusing faulty objects", NULL,
				 "a faulty VirtualService is refused");
	else
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "webhook", "refusing faulty objects",
				 "see that the API server reaches the control pods on port 9443", "%s", reason);
}

static void check_gateways(struct mesh_check *c, json_t *rows)
{
	json_t *pods = mesh_list(c->ctl, "/api/v1/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dgateway", NULL),
	       *pod;
	size_t i;

	json_array_foreach(pods, i, pod)
	{
		mesh_auto_free char *trouble = mesh_pod_trouble(pod);
		mesh_auto_free char *name = mesh_xasprintf("gateway %s", mesh_meta(pod, "name"));

		mesh_verdict_add(rows, trouble ? MESH_VERDICT_WARN : MESH_VERDICT_OK, name, "the edge of the mesh",
				 mesh_trouble_remedy(trouble), "%s", trouble ? trouble : "ready");
	}
	json_decref(pods);
}

void mesh_check_installed(struct mesh_check *c)
{
	json_t *rows = mesh_check_group(c, "control plane");

	check_control(c, rows);
	check_gateways(c, rows);
}
