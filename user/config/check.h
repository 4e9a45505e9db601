/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside config/: what a schema cannot say about an object, one function a kind (check_*.c), and the defaults that
 * an API server fills in (fill.c). For the rows of kinds.c.
 */
#ifndef MESH_CONFIG_CHECK_H
#define MESH_CONFIG_CHECK_H

#include "config/kind.h"

#define MESH_CHECK(name)                                                                                               \
	void mesh_check_##name(const struct mesh_kind *kind, const json_t *obj, const json_t *old,                     \
			       struct mesh_errs *errs, struct mesh_errs *warnings)
#define MESH_FILL(name) void mesh_fill_##name(const struct mesh_kind *kind, json_t *obj, const json_t *old)

/* Of every kind: names, labels, annotations. */
MESH_CHECK(metadata);

/* Kubernetes' own. */
MESH_CHECK(pod);
MESH_CHECK(deployment);
MESH_CHECK(replica_set);
MESH_CHECK(service);
MESH_CHECK(endpoint_slice);
MESH_CHECK(config_map);
MESH_CHECK(role);
MESH_CHECK(role_binding);
MESH_CHECK(lease);
MESH_CHECK(crd);

/* Istio's and Maistra's. */
MESH_CHECK(virtual_service);
MESH_CHECK(destination_rule);
MESH_CHECK(gateway);
MESH_CHECK(service_entry);
MESH_CHECK(workload_entry);
MESH_CHECK(workload_group);
MESH_CHECK(sidecar);
MESH_CHECK(proxy_config);
MESH_CHECK(envoy_filter);
MESH_CHECK(authorization_policy);
MESH_CHECK(peer_authentication);
MESH_CHECK(request_authentication);
MESH_CHECK(telemetry);
MESH_CHECK(wasm_plugin);
MESH_CHECK(traffic_extension);
MESH_CHECK(control_plane);
MESH_CHECK(member_roll);
MESH_CHECK(member);

struct mesh_at;
/** Calls fn with the object's spec (an empty one if it has none) and the path "spec". */
void mesh_check_spec(const json_t *obj, struct mesh_errs *errs, struct mesh_errs *warnings,
		     void (*fn)(struct mesh_at *at, const json_t *spec, void *arg));

MESH_FILL(namespace);
MESH_FILL(pod);
MESH_FILL(service);
MESH_FILL(endpoints);
MESH_FILL(endpoint_slice);
MESH_FILL(secret);
MESH_FILL(deployment);
MESH_FILL(replica_set);
MESH_FILL(role_binding);
MESH_FILL(crd);
MESH_FILL(route);

#endif
