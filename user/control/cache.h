/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects that control works with, as the API last told them, and the writes that bring them
 * in line: each object has at most one write under way, a write that fails is tried again by the
 * next round. Loop thread only.
 */
#ifndef MESH_CONTROL_CACHE_H
#define MESH_CONTROL_CACHE_H

#include "core/loop.h"
#include "core/map.h"
#include "kube/kube.h"

/* X(ID, "kind", "path before the namespace", "group/version", "plural", namespaced, "query") */
#define MESH_CONTROL_MANAGED "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dsockmesh"
#define MESH_CONTROL_ISTIO   "/apis/networking.istio.io/v1beta1", "networking.istio.io/v1beta1"
#define MESH_CONTROL_MAISTRA "/apis/maistra.io/v1", "maistra.io/v1"
#define MESH_CONTROL_RBAC    "/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io/v1"
#define MESH_CONTROL_KINDS(X)                                                                                          \
	X(NAMESPACE, "Namespace", "/api/v1", "v1", "namespaces", false, NULL)                                          \
	X(SMCP, "ServiceMeshControlPlane", MESH_CONTROL_MAISTRA, "servicemeshcontrolplanes", true, NULL)               \
	X(SMMR, "ServiceMeshMemberRoll", MESH_CONTROL_MAISTRA, "servicemeshmemberrolls", true, NULL)                   \
	X(SMM, "ServiceMeshMember", MESH_CONTROL_MAISTRA, "servicemeshmembers", true, NULL)                            \
	X(LEASE, "Lease", "/apis/coordination.k8s.io/v1", "coordination.k8s.io/v1", "leases", true,                    \
	  "labelSelector=sockmesh.io%2Fcomponent")                                                                     \
	X(DEPLOYMENT, "Deployment", "/apis/apps/v1", "apps/v1", "deployments", true, MESH_CONTROL_MANAGED)             \
	X(SERVICE, "Service", "/api/v1", "v1", "services", true, MESH_CONTROL_MANAGED)                                 \
	X(SERVICE_ACCOUNT, "ServiceAccount", "/api/v1", "v1", "serviceaccounts", true, MESH_CONTROL_MANAGED)           \
	X(ROLE, "Role", MESH_CONTROL_RBAC, "roles", true, MESH_CONTROL_MANAGED)                                        \
	X(ROLE_BINDING, "RoleBinding", MESH_CONTROL_RBAC, "rolebindings", true, MESH_CONTROL_MANAGED)                  \
	X(CLUSTER_ROLE, "ClusterRole", MESH_CONTROL_RBAC, "clusterroles", false, MESH_CONTROL_MANAGED)                 \
	X(CLUSTER_ROLE_BINDING, "ClusterRoleBinding", MESH_CONTROL_RBAC, "clusterrolebindings", false,                 \
	  MESH_CONTROL_MANAGED)                                                                                        \
	X(ROUTE, "Route", "/apis/route.openshift.io/v1", "route.openshift.io/v1", "routes", true,                      \
	  MESH_CONTROL_MANAGED)                                                                                        \
	X(VIRTUAL_SERVICE, "VirtualService", MESH_CONTROL_ISTIO, "virtualservices", true, NULL)                        \
	X(DESTINATION_RULE, "DestinationRule", MESH_CONTROL_ISTIO, "destinationrules", true, NULL)                     \
	X(GATEWAY, "Gateway", MESH_CONTROL_ISTIO, "gateways", true, NULL)                                              \
	X(SERVICE_ENTRY, "ServiceEntry", MESH_CONTROL_ISTIO, "serviceentries", true, NULL)                             \
	X(SIDECAR, "Sidecar", MESH_CONTROL_ISTIO, "sidecars", true, NULL)

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
void mesh_cache_free(struct mesh_cache *cache);

/** NULL if there is none. ns is NULL or "" for cluster-scoped kinds. Borrowed until the next event. */
const json_t *mesh_cache_get(const struct mesh_cache *cache, enum mesh_control_kind kind, const char *ns,
			     const char *name);
/** "NS/NAME" -> json_t *, borrowed. */
const struct mesh_map *mesh_cache_all(const struct mesh_cache *cache, enum mesh_control_kind kind);

/**
 * Makes the object exist with at least these fields (taken over): creates it, or merges them in if any differs.
 * "kind", "apiVersion" and the managed-by label are added. Returns true when it is so already.
 */
bool mesh_cache_ensure(struct mesh_cache *cache, enum mesh_control_kind kind, json_t *want);
/** Makes status have these fields (taken over), by the status subresource. Returns true when it is so already. */
bool mesh_cache_status(struct mesh_cache *cache, enum mesh_control_kind kind, const json_t *obj, json_t *status);
void mesh_cache_delete(struct mesh_cache *cache, enum mesh_control_kind kind, const json_t *obj);

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
