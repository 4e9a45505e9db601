/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names as Istio compares them: short names are relative to the namespace of the object
 * that says them, "*.suffix" covers every name that ends so, "*" covers all. Pure functions; any thread.
 */
#ifndef MESH_COMPILE_HOSTS_H
#define MESH_COMPILE_HOSTS_H

#include "core/arena.h"

#define MESH_CLUSTER_DOMAIN "cluster.local"

/** Lower case and, when it has no dot and no wildcard, "HOST.NS.svc.cluster.local". In the arena. */
const char *mesh_host_resolve(struct mesh_arena *arena, const char *host, const char *ns);
/** Splits "NAME.NS.svc.cluster.local". Returns false (parts untouched) for any other host. */
bool mesh_host_service(const char *host, struct mesh_slice *name, struct mesh_slice *ns);
bool mesh_host_is_wildcard(const char *host);
/** Whether every name that host stands for is covered by pattern. */
bool mesh_host_within(const char *host, const char *pattern);
/** The narrower of two hosts of which one covers the other, else NULL. Gives one of its arguments. */
const char *mesh_host_intersect(const char *a, const char *b);
/** Istio exportTo: "*", "." (the object's own namespace) or namespaces; an empty list is "*"; "~" is nobody. */
bool mesh_exported(const char *const *export_to, size_t count, const char *object_ns, const char *client_ns);

#endif
