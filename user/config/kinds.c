/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows: every kind that is served. Names, short names and categories are those of Kubernetes, OpenShift, Istio and
 * Maistra, so that what people type and what clients discover is the same.
 */
#include "config/check.h"
#include "config/columns.h"
#include "config/schema.h"

#include <strings.h>

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

#define NAMESPACED MESH_KIND_NAMESPACED
#define STATUS     MESH_KIND_STATUS
#define SCALE      MESH_KIND_SCALE
#define GENERATION MESH_KIND_GENERATION
#define BUILTIN    MESH_KIND_BUILTIN
#define CRD        MESH_KIND_CRD
#define OPENSHIFT  MESH_KIND_OPENSHIFT
#define CUSTOM     (NAMESPACED | STATUS | GENERATION | CRD)

#define V1       WORDS("v1")
#define V1ALPHA1 WORDS("v1alpha1")
#define V1ALL    WORDS("v1", "v1beta1", "v1alpha3")
#define V1BETA   WORDS("v1", "v1beta1")

#define NETWORKING "networking.istio.io", V1ALL, "v1"
#define SECURITY   "security.istio.io", V1BETA, "v1"
#define EXTENSIONS "extensions.istio.io", V1ALPHA1, "v1alpha1"
#define MAISTRA    "maistra.io", V1, "v1"
#define RBAC       "rbac.authorization.k8s.io", V1, "v1"

#define IN_NETWORKING WORDS("istio-io", "networking-istio-io")
#define IN_SECURITY   WORDS("istio-io", "security-istio-io")
#define IN_EXTENSIONS WORDS("istio-io", "extensions-istio-io")
#define ALL           WORDS("all")

static const struct mesh_kind kinds[] = {
	/* Kubernetes */
	{"", V1, "v1", "Namespace", "namespaces", "namespace", WORDS("ns"), NULL, STATUS | BUILTIN,
	 &mesh_schema_namespace, mesh_columns_namespace, NULL, mesh_fill_namespace,
	 "A scope for names; what is in the mesh is decided by it."},
	{"", V1, "v1", "Node", "nodes", "node", WORDS("no"), NULL, STATUS | BUILTIN, &mesh_schema_node,
	 mesh_columns_node, NULL, NULL, "A machine that runs pods."},
	{"", V1, "v1", "Pod", "pods", "pod", WORDS("po"), ALL, NAMESPACED | STATUS | BUILTIN | GENERATION,
	 &mesh_schema_pod, mesh_columns_pod, mesh_check_pod, mesh_fill_pod, "Containers that share an address."},
	{"", V1, "v1", "Service", "services", "service", WORDS("svc"), ALL, NAMESPACED | STATUS | BUILTIN,
	 &mesh_schema_service, mesh_columns_service, mesh_check_service, mesh_fill_service,
	 "A name and an address for a group of pods."},
	{"", V1, "v1", "Endpoints", "endpoints", "endpoints", WORDS("ep"), NULL, NAMESPACED | BUILTIN,
	 &mesh_schema_endpoints, mesh_columns_endpoints, NULL, mesh_fill_endpoints,
	 "The addresses behind a service, in the old form."},
	{"", V1, "v1", "ServiceAccount", "serviceaccounts", "serviceaccount", WORDS("sa"), NULL, NAMESPACED | BUILTIN,
	 &mesh_schema_service_account, mesh_columns_service_account, NULL, NULL, "Who a pod is."},
	{"", V1, "v1", "ConfigMap", "configmaps", "configmap", WORDS("cm"), NULL, NAMESPACED | BUILTIN,
	 &mesh_schema_config_map, mesh_columns_config_map, mesh_check_config_map, NULL, "Texts by name."},
	{"", V1, "v1", "Secret", "secrets", "secret", NULL, NULL, NAMESPACED | BUILTIN, &mesh_schema_secret,
	 mesh_columns_secret, mesh_check_config_map, mesh_fill_secret, "Secret bytes by name."},
	{"", V1, "v1", "Event", "events", "event", WORDS("ev"), NULL, NAMESPACED | BUILTIN, &mesh_schema_core_event,
	 mesh_columns_event, NULL, NULL, "What happened to an object."},
	{"apps", V1, "v1", "Deployment", "deployments", "deployment", WORDS("deploy"), ALL,
	 NAMESPACED | STATUS | SCALE | GENERATION | BUILTIN, &mesh_schema_deployment, mesh_columns_deployment,
	 mesh_check_deployment, mesh_fill_deployment, "Pods of one template, changed by and by."},
	{"apps", V1, "v1", "ReplicaSet", "replicasets", "replicaset", WORDS("rs"), ALL,
	 NAMESPACED | STATUS | SCALE | GENERATION | BUILTIN, &mesh_schema_replica_set, mesh_columns_replica_set,
	 mesh_check_replica_set, mesh_fill_replica_set, "A number of pods of one template."},
	{"events.k8s.io", V1, "v1", "Event", "events", "event", WORDS("ev"), NULL, NAMESPACED | BUILTIN,
	 &mesh_schema_event, mesh_columns_event, NULL, NULL, "What happened to an object."},
	{RBAC, "ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding", NULL, NULL, BUILTIN,
	 &mesh_schema_cluster_role_binding, mesh_columns_role_binding, mesh_check_role_binding, mesh_fill_role_binding,
	 "Who has a role everywhere."},
	{RBAC, "ClusterRole", "clusterroles", "clusterrole", NULL, NULL, BUILTIN, &mesh_schema_cluster_role,
	 mesh_columns_role, mesh_check_role, NULL, "What may be done, everywhere."},
	{RBAC, "RoleBinding", "rolebindings", "rolebinding", NULL, NULL, NAMESPACED | BUILTIN,
	 &mesh_schema_role_binding, mesh_columns_role_binding, mesh_check_role_binding, mesh_fill_role_binding,
	 "Who has a role in a namespace."},
	{RBAC, "Role", "roles", "role", NULL, NULL, NAMESPACED | BUILTIN, &mesh_schema_role, mesh_columns_role,
	 mesh_check_role, NULL, "What may be done in a namespace."},
	{"apiextensions.k8s.io", V1, "v1", "CustomResourceDefinition", "customresourcedefinitions",
	 "customresourcedefinition", WORDS("crd", "crds"), WORDS("api-extensions"), STATUS | GENERATION | BUILTIN,
	 &mesh_schema_custom_resource_definition, mesh_columns_crd, mesh_check_crd, mesh_fill_crd,
	 "A kind that was added."},
	{"coordination.k8s.io", V1, "v1", "Lease", "leases", "lease", NULL, NULL, NAMESPACED | BUILTIN,
	 &mesh_schema_lease, mesh_columns_lease, mesh_check_lease, NULL, "A sign of life."},
	{"discovery.k8s.io", V1, "v1", "EndpointSlice", "endpointslices", "endpointslice", NULL, NULL,
	 NAMESPACED | GENERATION | BUILTIN, &mesh_schema_endpoint_slice, mesh_columns_endpoint_slice,
	 mesh_check_endpoint_slice, mesh_fill_endpoint_slice, "Some of the addresses behind a service."},
	/* OpenShift */
	{"project.openshift.io", V1, "v1", "Project", "projects", "project", NULL, NULL, OPENSHIFT,
	 &mesh_schema_project, mesh_columns_project, NULL, NULL, "A namespace, as its users see it."},
	{"project.openshift.io", V1, "v1", "ProjectRequest", "projectrequests", "projectrequest", NULL, NULL, OPENSHIFT,
	 &mesh_schema_project_request, mesh_columns_project_request, NULL, NULL, "Asks for a project."},
	{"route.openshift.io", V1, "v1", "Route", "routes", "route", NULL, ALL,
	 NAMESPACED | STATUS | GENERATION | CRD | OPENSHIFT, &mesh_schema_route, mesh_columns_route, NULL,
	 mesh_fill_route, "A service's name outside of the cluster."},
	/* Istio */
	{NETWORKING, "VirtualService", "virtualservices", "virtualservice", WORDS("vs"), IN_NETWORKING, CUSTOM,
	 &mesh_schema_virtual_service, mesh_columns_virtual_service, mesh_check_virtual_service, NULL,
	 "Where requests for some hosts go: rules, in order."},
	{NETWORKING, "DestinationRule", "destinationrules", "destinationrule", WORDS("dr"), IN_NETWORKING, CUSTOM,
	 &mesh_schema_destination_rule, mesh_columns_destination_rule, mesh_check_destination_rule, NULL,
	 "Subsets of a service, and how its endpoints are used."},
	{NETWORKING, "Gateway", "gateways", "gateway", WORDS("gw"), IN_NETWORKING, CUSTOM, &mesh_schema_gateway,
	 mesh_columns_age, mesh_check_gateway, NULL, "Ports and hosts served at the edge of the mesh."},
	{NETWORKING, "ServiceEntry", "serviceentries", "serviceentry", WORDS("se"), IN_NETWORKING, CUSTOM,
	 &mesh_schema_service_entry, mesh_columns_service_entry, mesh_check_service_entry, NULL,
	 "A service that Kubernetes does not know."},
	{NETWORKING, "Sidecar", "sidecars", "sidecar", NULL, IN_NETWORKING, CUSTOM, &mesh_schema_sidecar,
	 mesh_columns_age, mesh_check_sidecar, NULL, "What some workloads can reach."},
	{NETWORKING, "WorkloadEntry", "workloadentries", "workloadentry", WORDS("we"), IN_NETWORKING, CUSTOM,
	 &mesh_schema_workload_entry, mesh_columns_workload_entry, mesh_check_workload_entry, NULL,
	 "A workload that is not a pod."},
	{NETWORKING, "WorkloadGroup", "workloadgroups", "workloadgroup", WORDS("wg"), IN_NETWORKING, CUSTOM,
	 &mesh_schema_workload_group, mesh_columns_age, mesh_check_workload_group, NULL,
	 "A template for workloads that are not pods."},
	{"networking.istio.io", WORDS("v1beta1"), "v1beta1", "ProxyConfig", "proxyconfigs", "proxyconfig", NULL,
	 IN_NETWORKING, CUSTOM, &mesh_schema_proxy_config, mesh_columns_age, mesh_check_proxy_config, NULL,
	 "Settings of some proxies."},
	{"networking.istio.io", WORDS("v1alpha3"), "v1alpha3", "EnvoyFilter", "envoyfilters", "envoyfilter", NULL,
	 IN_NETWORKING, CUSTOM, &mesh_schema_envoy_filter, mesh_columns_age, mesh_check_envoy_filter, NULL,
	 "Changes to an Envoy's configuration; there is none in this mesh."},
	{SECURITY, "AuthorizationPolicy", "authorizationpolicies", "authorizationpolicy", WORDS("ap"), IN_SECURITY,
	 CUSTOM, &mesh_schema_authorization_policy, mesh_columns_authorization_policy, mesh_check_authorization_policy,
	 NULL, "Who may reach what."},
	{SECURITY, "PeerAuthentication", "peerauthentications", "peerauthentication", WORDS("pa"), IN_SECURITY, CUSTOM,
	 &mesh_schema_peer_authentication, mesh_columns_peer_authentication, mesh_check_peer_authentication, NULL,
	 "Whether peers must prove who they are."},
	{SECURITY, "RequestAuthentication", "requestauthentications", "requestauthentication", WORDS("ra"), IN_SECURITY,
	 CUSTOM, &mesh_schema_request_authentication, mesh_columns_age, mesh_check_request_authentication, NULL,
	 "Which tokens are believed."},
	{"telemetry.istio.io", WORDS("v1", "v1alpha1"), "v1", "Telemetry", "telemetries", "telemetry",
	 WORDS("telemetry"), WORDS("istio-io", "telemetry-istio-io"), CUSTOM, &mesh_schema_telemetry, mesh_columns_age,
	 mesh_check_telemetry, NULL, "What is measured, traced and logged."},
	{EXTENSIONS, "WasmPlugin", "wasmplugins", "wasmplugin", NULL, IN_EXTENSIONS, CUSTOM, &mesh_schema_wasm_plugin,
	 mesh_columns_age, mesh_check_wasm_plugin, NULL, "A filter that proxies load; not in this mesh."},
	{EXTENSIONS, "TrafficExtension", "trafficextensions", "trafficextension", NULL, IN_EXTENSIONS, CUSTOM,
	 &mesh_schema_traffic_extension, mesh_columns_age, mesh_check_traffic_extension, NULL,
	 "A filter that proxies load; not in this mesh."},
	/* Maistra */
	{MAISTRA, "ServiceMeshControlPlane", "servicemeshcontrolplanes", "servicemeshcontrolplane", WORDS("smcp"),
	 WORDS("maistra-io"), CUSTOM, &mesh_schema_service_mesh_control_plane, mesh_columns_control_plane,
	 mesh_check_control_plane, NULL, "The mesh that is wanted."},
	{MAISTRA, "ServiceMeshMemberRoll", "servicemeshmemberrolls", "servicemeshmemberroll", WORDS("smmr"),
	 WORDS("maistra-io"), CUSTOM, &mesh_schema_service_mesh_member_roll, mesh_columns_member_roll,
	 mesh_check_member_roll, NULL, "Which namespaces are in the mesh."},
	{MAISTRA, "ServiceMeshMember", "servicemeshmembers", "servicemeshmember", WORDS("smm"), WORDS("maistra-io"),
	 CUSTOM, &mesh_schema_service_mesh_member, mesh_columns_member, mesh_check_member, NULL,
	 "Puts its own namespace into a mesh."},
};

#define K_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static const struct mesh_kind *pointers[K_COUNT];

__attribute__((constructor)) static void point(void)
{
	for (size_t i = 0; i < K_COUNT; i++)
		pointers[i] = &kinds[i];
}

const struct mesh_kind *const *mesh_kinds(size_t *count)
{
	*count = K_COUNT;
	return pointers;
}

const struct mesh_kind *mesh_kind_by_plural(const char *group, const char *plural)
{
	for (size_t i = 0; i < K_COUNT; i++)
		if (strcmp(kinds[i].group, group) == 0 && strcmp(kinds[i].plural, plural) == 0)
			return &kinds[i];
	return NULL;
}

const struct mesh_kind *mesh_kind_by_name(const char *group, const char *kind)
{
	for (size_t i = 0; i < K_COUNT; i++)
		if (strcmp(kinds[i].group, group) == 0 && strcmp(kinds[i].kind, kind) == 0)
			return &kinds[i];
	return NULL;
}

bool mesh_kind_serves(const struct mesh_kind *kind, const char *version)
{
	for (const char *const *v = kind->versions; *v; v++)
		if (strcmp(*v, version) == 0)
			return true;
	return false;
}

static bool is_called(const struct mesh_kind *k, const char *word, size_t len)
{
	const char *const names[] = {k->plural, k->singular, k->kind};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == len && strncasecmp(names[i], word, len) == 0)
			return true;
	for (const char *const *s = k->short_names; s && *s; s++)
		if (strlen(*s) == len && strncasecmp(*s, word, len) == 0)
			return true;
	return false;
}

/* "group", "version.group" or "version" (of core). */
static bool is_in(const struct mesh_kind *k, const char *rest)
{
	if (strcmp(rest, k->group) == 0)
		return true;
	for (const char *const *v = k->versions; *v; v++) {
		size_t len = strlen(*v);

		if (strncmp(rest, *v, len) != 0)
			continue;
		if (rest[len] == '.' && strcmp(rest + len + 1, k->group) == 0)
			return true;
		if (rest[len] == '\0' && !*k->group)
			return true;
	}
	return false;
}

const struct mesh_kind *mesh_kind_by_word(const char *word)
{
	size_t len = strcspn(word, ".");

	for (size_t i = 0; i < K_COUNT; i++)
		if (is_called(&kinds[i], word, len) && (!word[len] || is_in(&kinds[i], word + len + 1)))
			return &kinds[i];
	return NULL;
}
