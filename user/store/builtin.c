/* SPDX-License-Identifier: Apache-2.0 */
/* What a kube-apiserver does to objects of its own kinds, and the objects every cluster has. */
#include "store/write.h"

#include "core/mem.h"
#include "core/map.h"
#include "store/dynamic.h"
#include "store/meta.h"

#include <arpa/inet.h>
#include <errno.h>

enum { NODE_PORT_FIRST = 30000, NODE_PORT_LAST = 32767, RESERVED_ADDRESSES = 16 };

static bool is(const struct mesh_kind *kind, const char *group, const char *plural)
{
	return strcmp(kind->plural, plural) == 0 && strcmp(kind->group, group) == 0;
}

/* --- Service: addresses and ports --- */

static bool address_used(struct mesh_store *store, const char *ip)
{
	struct mesh_resource *services = mesh_state_resource(store->state, "", "services");

	mesh_vec_each (e, &services->entries)
		if (strcmp(mesh_js_str((*e)->obj, "spec.clusterIP"), ip) == 0)
			return true;
	return false;
}

static bool in_range(struct mesh_store *store, const char *ip)
{
	struct mesh_addr a;
	uint32_t mask = store->service_bits ? ~0U << (32 - store->service_bits) : 0;

	return mesh_addr_parse(mesh_slice_str(ip), 0, &a) == 0 && mesh_addr_is_v4(&a) &&
	       (ntohl(mesh_addr_v4(&a)) & mask) == (ntohl(mesh_addr_v4(&store->service_base)) & mask);
}

/* The first free address from a place that the name decides, so that neighbours differ. */
static bool take_address(struct mesh_store *store, const char *name, char *out)
{
	uint32_t base = ntohl(mesh_addr_v4(&store->service_base)) - 1; /* the network's own */
	uint32_t size = 1U << (32 - store->service_bits);
	uint32_t first = RESERVED_ADDRESSES, span;

	if (size <= 2 * RESERVED_ADDRESSES)
		first = 1;
	span = size - first - 1;
	for (uint32_t i = 0, at = (uint32_t)(mesh_hash(name, strlen(name)) % span); i < span;
	     i++, at = (at + 1) % span) {
		struct mesh_addr a = mesh_addr_from_v4(htonl(base + first + at), 0);

		mesh_addr_ip_text(&a, out);
		if (!address_used(store, out))
			return true;
	}
	return false;
}

static bool port_used(struct mesh_store *store, const json_t *own, int64_t port)
{
	struct mesh_resource *services = mesh_state_resource(store->state, "", "services");
	size_t i;
	json_t *p;

	mesh_vec_each (e, &services->entries)
		json_array_foreach(mesh_js_at((*e)->obj, "spec.ports"), i,
				   p) if (mesh_js_int(p, "nodePort", 0) == port) return true;
	json_array_foreach((json_t *)own, i, p) if (mesh_js_int(p, "nodePort", 0) == port) return true;
	return false;
}

static void give_node_ports(struct mesh_store *store, json_t *ports)
{
	size_t i;
	json_t *p;

	json_array_foreach(ports, i, p)
	{
		int64_t port = NODE_PORT_FIRST + (int64_t)(mesh_now_ns() % (NODE_PORT_LAST - NODE_PORT_FIRST));

		if (mesh_js_int(p, "nodePort", 0))
			continue;
		while (port_used(store, ports, port))
			port = port == NODE_PORT_LAST ? NODE_PORT_FIRST : port + 1;
		json_object_set_new(p, "nodePort", json_integer(port));
	}
}

static void cluster_ip_list(json_t *spec, const char *ip)
{
	mesh_js_set(spec, "clusterIP", ip);
	json_object_set_new(spec, "clusterIPs", json_pack("[s]", ip));
}

static void give_address(struct mesh_store *store, json_t *obj, json_t *spec, struct mesh_errs *errs)
{
	const char *want = mesh_js_str(spec, "clusterIP");
	char ip[MESH_ADDR_TEXT];

	if (strcmp(want, "None") == 0) {
		cluster_ip_list(spec, "None");
	} else if (want[0]) {
		if (!in_range(store, want)) {
			struct mesh_err *e = mesh_errs_add(errs,
							   "Invalid value: \"%s\": failed to allocate IP %s: the "
							   "provided network does not match the current range",
							   want, want);
			if (e)
				e->path = mesh_xstrdup("spec.clusterIPs");
		} else if (address_used(store, want)) {
			struct mesh_err *e = mesh_errs_add(
				errs,
				"Invalid value: [\"%s\"]: failed to allocate IP %s: provided IP is already allocated",
				want, want);
			if (e)
				e->path = mesh_xstrdup("spec.clusterIPs");
		} else {
			mesh_auto_free char *copy = mesh_xstrdup(want);

			cluster_ip_list(spec, copy);
		}
	} else if (take_address(store, mesh_js_str(obj, "metadata.name"), ip)) {
		cluster_ip_list(spec, ip);
	} else {
		mesh_errs_add(errs, "Internal error: failed to allocate a serviceIP: range is full");
	}
}

static void service(struct mesh_store *store, json_t *obj, const json_t *old, struct mesh_errs *errs)
{
	json_t *spec = mesh_js_make(obj, "spec");
	const char *type = mesh_js_str(spec, "type");
	bool external = strcmp(type, "ExternalName") == 0;

	if (!type[0])
		mesh_js_set(spec, "type", "ClusterIP");
	type = mesh_js_str(spec, "type");
	if (external) {
		json_object_del(spec, "clusterIP");
		json_object_del(spec, "clusterIPs");
		return;
	}
	if (old && mesh_js_str(old, "spec.clusterIP")[0]) {
		if (!mesh_js_str(spec, "clusterIP")[0])
			cluster_ip_list(spec, mesh_js_str(old, "spec.clusterIP"));
		if (strcmp(mesh_js_str(spec, "clusterIP"), mesh_js_str(old, "spec.clusterIP")) != 0) {
			struct mesh_err *e = mesh_errs_add(errs, "Invalid value: [\"%s\"]: may not change once set",
							   mesh_js_str(spec, "clusterIP"));

			if (e)
				e->path = mesh_xstrdup("spec.clusterIPs[0]");
		}
	} else {
		give_address(store, obj, spec, errs);
	}
	if (!json_object_get(spec, "ipFamilies"))
		json_object_set_new(spec, "ipFamilies", json_pack("[s]", "IPv4"));
	if (!json_object_get(spec, "ipFamilyPolicy"))
		mesh_js_set(spec, "ipFamilyPolicy", "SingleStack");
	if (strcmp(type, "NodePort") == 0 || strcmp(type, "LoadBalancer") == 0)
		give_node_ports(store, json_object_get(spec, "ports"));
}

/* --- the others --- */

static void new_namespace(json_t *obj)
{
	json_t *labels = mesh_js_make(obj, "metadata.labels");

	mesh_js_set(labels, "kubernetes.io/metadata.name", mesh_js_str(obj, "metadata.name"));
	json_object_set_new(mesh_js_make(obj, "spec"), "finalizers", json_pack("[s]", "kubernetes"));
	json_object_set_new(obj, "status", json_pack("{s:s}", "phase", "Active"));
}

static void new_route(struct mesh_store *store, json_t *obj)
{
	json_t *spec = mesh_js_make(obj, "spec");
	const char *name = mesh_js_str(obj, "metadata.name"), *ns = mesh_js_str(obj, "metadata.namespace");

	if (!mesh_js_str(spec, "host")[0]) {
		mesh_auto_free char *host = store->route_host ? mesh_xstrdup(store->route_host)
							      : mesh_xasprintf("%s-%s.apps.local", name, ns);

		mesh_js_set(spec, "host", host);
		mesh_js_set(mesh_js_make(obj, "metadata.annotations"), "openshift.io/host.generated", "true");
	}
	if (!json_object_get(spec, "wildcardPolicy"))
		mesh_js_set(spec, "wildcardPolicy", "None");
}

/* A pod stays for five minutes on a node that went away, unless it says otherwise. */
static void give_tolerations(json_t *pod)
{
	static const char *const keys[] = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"};
	json_t *spec = mesh_js_make(pod, "spec"), *list = json_object_get(spec, "tolerations"), *t;

	list = list ? json_copy(list) : json_array();
	for (size_t k = 0; k < MESH_ARRAY_SIZE(keys); k++) {
		bool has = false;
		size_t i;

		json_array_foreach(list, i, t) has |=
			strcmp(mesh_js_str(t, "key"), keys[k]) == 0 ||
			(!mesh_js_str(t, "key")[0] && strcmp(mesh_js_str(t, "operator"), "Exists") == 0);
		if (!has)
			json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:i}", "key", keys[k], "operator", "Exists",
							      "effect", "NoExecute", "tolerationSeconds", 300));
	}
	json_object_set_new(spec, "tolerations", list);
}

void mesh_builtin_create(struct mesh_store *store, const struct mesh_kind *kind, json_t *obj, struct mesh_errs *errs)
{
	if (is(kind, "", "services")) {
		service(store, obj, NULL, errs);
		json_object_set_new(obj, "status", json_pack("{s:{}}", "loadBalancer"));
	} else if (is(kind, "", "namespaces")) {
		new_namespace(obj);
	} else if (is(kind, "", "pods")) {
		json_object_set_new(obj, "status", json_pack("{s:s}", "phase", "Pending"));
		give_tolerations(obj);
	} else if (is(kind, "apps", "deployments")) {
		json_object_set_new(obj, "status", json_object());
	} else if (is(kind, "apps", "replicasets")) {
		json_object_set_new(obj, "status", json_pack("{s:i}", "replicas", 0));
	} else if (is(kind, "apiextensions.k8s.io", "customresourcedefinitions")) {
		mesh_dynamic_status(obj);
	} else if (is(kind, "route.openshift.io", "routes")) {
		new_route(store, obj);
	}
}

void mesh_builtin_update(struct mesh_store *store, const struct mesh_kind *kind, json_t *obj, const json_t *old,
			 struct mesh_errs *errs)
{
	if (is(kind, "", "services")) {
		service(store, obj, old, errs);
	} else if (is(kind, "", "namespaces")) {
		mesh_js_set(mesh_js_make(obj, "metadata.labels"), "kubernetes.io/metadata.name",
			    mesh_js_str(obj, "metadata.name"));
		json_object_set(obj, "spec", json_object_get(old, "spec"));
	} else if (is(kind, "route.openshift.io", "routes")) {
		new_route(store, obj);
	}
}

void mesh_builtin_namespace(struct mesh_store *store, const char *ns)
{
	mesh_write_new(store, "", "serviceaccounts",
		       json_pack("{s:{s:s,s:s}}", "metadata", "name", "default", "namespace", ns));
	mesh_write_new(
		store, "", "configmaps",
		json_pack("{s:{s:s,s:s,s:{s:s}},s:{s:s%}}", "metadata", "name", "kube-root-ca.crt", "namespace", ns,
			  "annotations", "kubernetes.io/description",
			  "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
			  "endpoints such "
			  "as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
			  "distributions of Kubernetes clusters.",
			  "data", "ca.crt", store->pki->ca_pem.data, store->pki->ca_pem.len));
}

static void namespace_new(struct mesh_store *store, const char *name)
{
	mesh_write_new(store, "", "namespaces", json_pack("{s:{s:s}}", "metadata", "name", name));
	mesh_builtin_namespace(store, name);
}

static void role(struct mesh_store *store, const char *name, const char *rules)
{
	json_t *obj = json_pack("{s:{s:s,s:{s:s}}}", "metadata", "name", name, "labels", "kubernetes.io/bootstrapping",
				"rbac-defaults");

	json_object_set_new(obj, "rules", json_loads(rules, 0, NULL));
	mesh_write_new(store, "rbac.authorization.k8s.io", "clusterroles", obj);
}

static void binding(struct mesh_store *store, const char *name, const char *to_role, const char *group)
{
	mesh_write_new(store, "rbac.authorization.k8s.io", "clusterrolebindings",
		       json_pack("{s:{s:s,s:{s:s}},s:{s:s,s:s,s:s},s:[{s:s,s:s,s:s}]}", "metadata", "name", name,
				 "labels", "kubernetes.io/bootstrapping", "rbac-defaults", "roleRef", "apiGroup",
				 "rbac.authorization.k8s.io", "kind", "ClusterRole", "name", to_role, "subjects",
				 "kind", "Group", "apiGroup", "rbac.authorization.k8s.io", "name", group));
}

#define MESH_GROUPS                                                                                                    \
	"\"networking.istio.io\",\"security.istio.io\",\"telemetry.istio.io\",\"maistra.io\",\"route.openshift.io\""
#define WRITE_VERBS "[\"create\",\"delete\",\"deletecollection\",\"patch\",\"update\",\"get\",\"list\",\"watch\"]"
#define READ_VERBS  "[\"get\",\"list\",\"watch\"]"
#define EDIT_RULES                                                                                                     \
	"{\"apiGroups\":[\"\"],\"resources\":[\"pods\",\"pods/attach\",\"pods/exec\",\"pods/log\",\"pods/status\","    \
	"\"pods/portforward\",\"services\",\"endpoints\",\"configmaps\",\"secrets\",\"serviceaccounts\",\"events\"],"  \
	"\"verbs\":" WRITE_VERBS "},"                                                                                  \
	"{\"apiGroups\":[\"\"],\"resources\":[\"namespaces\"],\"verbs\":" READ_VERBS "},"                              \
	"{\"apiGroups\":[\"project.openshift.io\"],\"resources\":[\"projects\"],\"verbs\":" READ_VERBS "},"            \
	"{\"apiGroups\":[\"apps\"],\"resources\":[\"deployments\",\"deployments/scale\",\"replicasets\","              \
	"\"replicasets/scale\"],\"verbs\":" WRITE_VERBS "},"                                                           \
	"{\"apiGroups\":[\"discovery.k8s.io\"],\"resources\":[\"endpointslices\"],\"verbs\":" READ_VERBS "},"          \
	"{\"apiGroups\":[" MESH_GROUPS "],\"resources\":[\"*\"],\"verbs\":" WRITE_VERBS "}"

static void roles(struct mesh_store *store)
{
	role(store, "cluster-admin",
	     "[{\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]},"
	     "{\"nonResourceURLs\":[\"*\"],\"verbs\":[\"*\"]}]");
	role(store, "admin",
	     "[" EDIT_RULES
	     ",{\"apiGroups\":[\"rbac.authorization.k8s.io\"],\"resources\":[\"roles\",\"rolebindings\"],"
	     "\"verbs\":" WRITE_VERBS "}]");
	role(store, "edit", "[" EDIT_RULES "]");
	role(store, "view",
	     "[{\"apiGroups\":[\"\"],\"resources\":[\"pods\",\"pods/log\",\"pods/status\",\"services\",\"endpoints\","
	     "\"configmaps\",\"serviceaccounts\",\"events\",\"namespaces\"],\"verbs\":" READ_VERBS "},"
	     "{\"apiGroups\":[\"apps\",\"discovery.k8s.io\",\"project.openshift.io\"," MESH_GROUPS
	     "],\"resources\":[\"*\"],"
	     "\"verbs\":" READ_VERBS "}]");
	role(store, "system:discovery",
	     "[{\"nonResourceURLs\":[\"/api\",\"/api/*\",\"/apis\",\"/apis/*\",\"/healthz\",\"/livez\",\"/openapi\","
	     "\"/openapi/*\",\"/readyz\",\"/version\",\"/version/\"],\"verbs\":[\"get\"]}]");
	role(store, "system:basic-user",
	     "[{\"apiGroups\":[\"authorization.k8s.io\"],\"resources\":[\"selfsubjectaccessreviews\","
	     "\"selfsubjectrulesreviews\"],\"verbs\":[\"create\"]},"
	     "{\"apiGroups\":[\"authentication.k8s.io\"],\"resources\":[\"selfsubjectreviews\"],\"verbs\":[\"create\"]}"
	     "]");
	binding(store, "cluster-admin", "cluster-admin", "system:masters");
	binding(store, "system:discovery", "system:discovery", "system:authenticated");
	binding(store, "system:basic-user", "system:basic-user", "system:authenticated");
}

void mesh_builtin_bootstrap(struct mesh_store *store)
{
	static const char *const names[] = {"default", "kube-system", "kube-public", "kube-node-lease"};
	char ip[MESH_ADDR_TEXT];

	for (size_t i = 0; i < MESH_ARRAY_SIZE(names); i++)
		namespace_new(store, names[i]);
	roles(store);
	mesh_write_new(store, "", "services",
		       json_pack("{s:{s:s,s:s,s:{s:s,s:s}},s:{s:s,s:s,s:s,s:[{s:s,s:s,s:i,s:i}]}}", "metadata", "name",
				 "kubernetes", "namespace", "default", "labels", "component", "apiserver", "provider",
				 "kubernetes", "spec", "type", "ClusterIP", "sessionAffinity", "None", "clusterIP",
				 mesh_addr_ip_text(&store->service_base, ip), "ports", "name", "https", "protocol",
				 "TCP", "port", 443, "targetPort",
				 (int)(store->addrs.count ? store->addrs.items[0].port : 6443)));
}

void mesh_project_request(struct mesh_call *call)
{
	json_t *body = mesh_call_body(call), *ns;
	const char *name;
	struct mesh_errs errs = {0};
	struct mesh_entry *e;
	struct mesh_resource *namespaces = call->res;

	if (!body)
		return;
	name = mesh_js_str(body, "metadata.name");
	json_t *probe = json_pack("{s:O?}", "metadata", json_object_get(body, "metadata"));
	mesh_object_check(namespaces->kind, probe, NULL, &errs, NULL, NULL);
	json_decref(probe);
	if (errs.list.count) {
		mesh_call_invalid(call, name, &errs);
	} else if (mesh_state_get(namespaces, "", name)) {
		mesh_call_status(
			call, 409, "AlreadyExists",
			json_pack("{s:s,s:s,s:s}", "name", name, "group", "project.openshift.io", "kind", "projects"),
			"project.project.openshift.io \"%s\" already exists", name);
	} else {
		ns = json_pack("{s:{s:s,s:{s:s,s:s,s:s}}}", "metadata", "name", name, "annotations",
			       "openshift.io/description", mesh_js_str(body, "description"),
			       "openshift.io/display-name", mesh_js_str(body, "displayName"), "openshift.io/requester",
			       call->user.name);
		if (!call->dry_run) {
			e = mesh_write_new(call->store, "", "namespaces", ns);
			mesh_write_new(call->store, "rbac.authorization.k8s.io", "rolebindings",
				       json_pack("{s:{s:s,s:s},s:{s:s,s:s,s:s},s:[{s:s,s:s,s:s}]}", "metadata", "name",
						 "admin", "namespace", name, "roleRef", "apiGroup",
						 "rbac.authorization.k8s.io", "kind", "ClusterRole", "name", "admin",
						 "subjects", "kind", "User", "apiGroup", "rbac.authorization.k8s.io",
						 "name", call->user.name));
			ns = json_incref(e->obj);
		}
		call->kind = mesh_kind_by_plural("project.openshift.io", "projects");
		mesh_call_object(call, 201, ns);
		json_decref(ns);
	}
	mesh_errs_free(&errs);
	json_decref(body);
}
