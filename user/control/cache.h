/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects that control works with, as the API last told them, and the writes that bring them
 * in line: each object has at most one write under way; one that fails is tried again by a later
 * round, after a pause that doubles up to half a minute; one whose result still differs from what
 * was asked for (a server may say the same in other words) is not repeated. Loop thread only.
 */
#ifndef MESH_CONTROL_CACHE_H
#define MESH_CONTROL_CACHE_H

#include "core/loop.h"
#include "core/map.h"
#include "kube/kube.h"

enum mesh_control_row_flag {
	MESH_CONTROL_NAMESPACED = 1 << 0,
	MESH_CONTROL_ROOT = 1 << 1,  /* namespaced, and looked at in the mesh's own namespace alone */
	MESH_CONTROL_EXTRA = 1 << 2, /* a cluster may well lack the kind; nobody waits for it */
};

/* X(ID, "kind", "path before the namespace", "group/version", "plural", flags, "query") */
#define MESH_CONTROL_MANAGED  "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dsockmesh-control"
#define MESH_CONTROL_OURS     "labelSelector=app.kubernetes.io%2Fname%3Dsockmesh"
#define MESH_CONTROL_ISTIO    "/apis/networking.istio.io/v1beta1", "networking.istio.io/v1beta1"
#define MESH_CONTROL_SECURITY "/apis/security.istio.io/v1beta1", "security.istio.io/v1beta1"
#define MESH_CONTROL_MAISTRA  "/apis/maistra.io/v1", "maistra.io/v1"
#define MESH_CONTROL_RBAC     "/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io/v1"
#define MESH_CONTROL_IN_ROOT  (MESH_CONTROL_NAMESPACED | MESH_CONTROL_ROOT)
#define MESH_CONTROL_MAY_LACK (MESH_CONTROL_NAMESPACED | MESH_CONTROL_EXTRA)
#define MESH_CONTROL_KINDS(X)                                                                                          \
	X(NAMESPACE, "Namespace", "/api/v1", "v1", "namespaces", 0, NULL)                                              \
	X(SMCP, "ServiceMeshControlPlane", MESH_CONTROL_MAISTRA, "servicemeshcontrolplanes", MESH_CONTROL_NAMESPACED,  \
	  NULL)                                                                                                        \
	X(SMMR, "ServiceMeshMemberRoll", MESH_CONTROL_MAISTRA, "servicemeshmemberrolls", MESH_CONTROL_NAMESPACED,      \
	  NULL)                                                                                                        \
	X(SMM, "ServiceMeshMember", MESH_CONTROL_MAISTRA, "servicemeshmembers", MESH_CONTROL_NAMESPACED, NULL)         \
	X(LEASE, "Lease", "/apis/coordination.k8s.io/v1", "coordination.k8s.io/v1", "leases", MESH_CONTROL_IN_ROOT,    \
	  "labelSelector=sockmesh.io%2Fcomponent")                                                                     \
	X(DEPLOYMENT, "Deployment", "/apis/apps/v1", "apps/v1", "deployments", MESH_CONTROL_IN_ROOT,                   \
	  MESH_CONTROL_MANAGED)                                                                                        \
	X(SERVICE, "Service", "/api/v1", "v1", "services", MESH_CONTROL_IN_ROOT, MESH_CONTROL_MANAGED)                 \
	X(SERVICE_ACCOUNT, "ServiceAccount", "/api/v1", "v1", "serviceaccounts", MESH_CONTROL_IN_ROOT,                 \
	  MESH_CONTROL_MANAGED)                                                                                        \
	X(ROLE, "Role", MESH_CONTROL_RBAC, "roles", MESH_CONTROL_IN_ROOT, MESH_CONTROL_MANAGED)                        \
	X(ROLE_BINDING, "RoleBinding", MESH_CONTROL_RBAC, "rolebindings", MESH_CONTROL_IN_ROOT, MESH_CONTROL_MANAGED)  \
	X(CLUSTER_ROLE, "ClusterRole", MESH_CONTROL_RBAC, "clusterroles", 0, MESH_CONTROL_OURS)                        \
	X(CLUSTER_ROLE_BINDING, "ClusterRoleBinding", MESH_CONTROL_RBAC, "clusterrolebindings", 0,                     \
	  MESH_CONTROL_MANAGED)                                                                                        \
	X(AUTOSCALER, "HorizontalPodAutoscaler", "/apis/autoscaling/v2", "autoscaling/v2", "horizontalpodautoscalers", \
	  MESH_CONTROL_IN_ROOT | MESH_CONTROL_EXTRA, NULL)                                                             \
	X(ROUTE, "Route", "/apis/route.openshift.io/v1", "route.openshift.io/v1", "routes",                            \
	  MESH_CONTROL_IN_ROOT | MESH_CONTROL_EXTRA, MESH_CONTROL_MANAGED)                                             \
	X(VIRTUAL_SERVICE, "VirtualService", MESH_CONTROL_ISTIO, "virtualservices", MESH_CONTROL_NAMESPACED, NULL)     \
	X(DESTINATION_RULE, "DestinationRule", MESH_CONTROL_ISTIO, "destinationrules", MESH_CONTROL_NAMESPACED, NULL)  \
	X(GATEWAY, "Gateway", MESH_CONTROL_ISTIO, "gateways", MESH_CONTROL_NAMESPACED, NULL)                           \
	X(SERVICE_ENTRY, "ServiceEntry", MESH_CONTROL_ISTIO, "serviceentries", MESH_CONTROL_NAMESPACED, NULL)          \
	X(SIDECAR, "Sidecar", MESH_CONTROL_ISTIO, "sidecars", MESH_CONTROL_NAMESPACED, NULL)                           \
	X(WORKLOAD_ENTRY, "WorkloadEntry", MESH_CONTROL_ISTIO, "workloadentries", MESH_CONTROL_MAY_LACK, NULL)         \
	X(WORKLOAD_GROUP, "WorkloadGroup", MESH_CONTROL_ISTIO, "workloadgroups", MESH_CONTROL_MAY_LACK, NULL)          \
	X(PROXY_CONFIG, "ProxyConfig", MESH_CONTROL_ISTIO, "proxyconfigs", MESH_CONTROL_MAY_LACK, NULL)                \
	X(ENVOY_FILTER, "EnvoyFilter", "/apis/networking.istio.io/v1alpha3", "networking.istio.io/v1alpha3",           \
	  "envoyfilters", MESH_CONTROL_MAY_LACK, NULL)                                                                 \
	X(AUTHORIZATION_POLICY, "AuthorizationPolicy", MESH_CONTROL_SECURITY, "authorizationpolicies",                 \
	  MESH_CONTROL_MAY_LACK, NULL)                                                                                 \
	X(PEER_AUTHENTICATION, "PeerAuthentication", MESH_CONTROL_SECURITY, "peerauthentications",                     \
	  MESH_CONTROL_MAY_LACK, NULL)                                                                                 \
	X(REQUEST_AUTHENTICATION, "RequestAuthentication", MESH_CONTROL_SECURITY, "requestauthentications",            \
	  MESH_CONTROL_MAY_LACK, NULL)                                                                                 \
	X(TELEMETRY, "Telemetry", "/apis/telemetry.istio.io/v1alpha1", "telemetry.istio.io/v1alpha1", "telemetries",   \
	  MESH_CONTROL_MAY_LACK, NULL)                                                                                 \
	X(WASM_PLUGIN, "WasmPlugin", "/apis/extensions.istio.io/v1alpha1", "extensions.istio.io/v1alpha1",             \
	  "wasmplugins", MESH_CONTROL_MAY_LACK, NULL)                                                                  \
	X(TRAFFIC_EXTENSION, "TrafficExtension", "/apis/extensions.istio.io/v1alpha1", "extensions.istio.io/v1alpha1", \
	  "trafficextensions", MESH_CONTROL_MAY_LACK, NULL)

enum mesh_control_kind {
#define MESH_CONTROL_KIND_ENUM(id, ...) MESH_CONTROL_##id,
	MESH_CONTROL_KINDS(MESH_CONTROL_KIND_ENUM)
#undef MESH_CONTROL_KIND_ENUM
		MESH_CONTROL_KIND_COUNT
};

struct mesh_cache;

/** changed: after each event, once all kinds are synced, and after each write that ended. */
int mesh_cache_new(struct mesh_cache **ret, struct mesh_loop *loop, struct mesh_kube *kube, void (*changed)(void *arg),
		   void *arg);
/** Gives up what is under way. Not from within changed(). NULL is allowed. */
void mesh_cache_free(struct mesh_cache *cache);
/** Whether every kind was listed, or is known to be missing, once. Before, nothing is to be decided. */
bool mesh_cache_synced(const struct mesh_cache *cache);
/** Whether the server has the kind. */
bool mesh_cache_served(const struct mesh_cache *cache, enum mesh_control_kind kind);
/** Appends " KIND (why)" for each kind that was not listed yet, or that the server lacks and ought to have. */
void mesh_cache_missing(const struct mesh_cache *cache, struct mesh_buf *text);

/** NULL if there is none. ns is NULL or "" for cluster-scoped kinds. Borrowed until the next event. */
const json_t *mesh_cache_get(const struct mesh_cache *cache, enum mesh_control_kind kind, const char *ns,
			     const char *name);
/** "NS/NAME" -> json_t *, borrowed. */
const struct mesh_map *mesh_cache_all(const struct mesh_cache *cache, enum mesh_control_kind kind);

/**
 * Makes the object exist with at least these fields (taken over): creates it, or merges them in if any differs.
 * "kind", "apiVersion" and, for kinds that are watched by it, the managed-by label are added. An object that has the
 * name and is not ours is left alone. Returns true when it is so already; else mesh_cache_problem() may know why not.
 */
bool mesh_cache_ensure(struct mesh_cache *cache, enum mesh_control_kind kind, json_t *want);
/** Makes status have these fields (taken over), by the status subresource. Returns true when it is so already. */
bool mesh_cache_status(struct mesh_cache *cache, enum mesh_control_kind kind, const json_t *obj, json_t *status);
void mesh_cache_delete(struct mesh_cache *cache, enum mesh_control_kind kind, const json_t *obj);
/** Why the last write to the object itself failed, as "KIND NAME: why"; NULL if it did not. Borrowed until the loop
 * runs. */
const char *mesh_cache_problem(const struct mesh_cache *cache, enum mesh_control_kind kind, const char *ns,
			       const char *name);

/* Of any object; "" or 0 when it has none. */
const char *mesh_control_name(const json_t *obj);
const char *mesh_control_ns(const json_t *obj);
const char *mesh_control_uid(const json_t *obj);
json_int_t mesh_control_generation(const json_t *obj);
/** Whether have has all of want: objects by member, arrays item by item, null as absence. */
bool mesh_json_covers(const json_t *have, const json_t *want);
/** JSON text with printf's conversions; what goes in must need no escaping. Aborts if it is no JSON: a programmer's
 * error. */
json_t *mesh_json_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Now, RFC 3339. */
json_t *mesh_json_time_now(void);

#endif
