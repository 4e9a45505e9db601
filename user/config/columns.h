/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside config/: the columns of each kind, for the rows of kinds.c. Cells say what Kubernetes' own printer says;
 * ages are texts, counted from the time of the call.
 */
#ifndef MESH_CONFIG_COLUMNS_H
#define MESH_CONFIG_COLUMNS_H

#include "config/get.h"
#include "config/kind.h"

extern const struct mesh_column mesh_columns_namespace[], mesh_columns_node[], mesh_columns_pod[],
	mesh_columns_service[], mesh_columns_endpoints[], mesh_columns_endpoint_slice[], mesh_columns_service_account[],
	mesh_columns_config_map[], mesh_columns_secret[], mesh_columns_event[], mesh_columns_deployment[],
	mesh_columns_replica_set[], mesh_columns_lease[], mesh_columns_crd[], mesh_columns_role[],
	mesh_columns_role_binding[], mesh_columns_project[], mesh_columns_project_request[], mesh_columns_route[];
/* Of kinds that are custom resources elsewhere: by JSON path alone. */
extern const struct mesh_column mesh_columns_age[], mesh_columns_virtual_service[], mesh_columns_destination_rule[],
	mesh_columns_service_entry[], mesh_columns_workload_entry[], mesh_columns_authorization_policy[],
	mesh_columns_peer_authentication[], mesh_columns_control_plane[], mesh_columns_member_roll[],
	mesh_columns_member[];

/* What the cells are made from; each returns a new reference. */
json_t *mesh_cell_name(const json_t *obj);
json_t *mesh_cell_age(const json_t *obj);
json_t *mesh_cell_pod_ready(const json_t *obj);
json_t *mesh_cell_pod_status(const json_t *obj);
json_t *mesh_cell_pod_restarts(const json_t *obj);

/** A duration as Kubernetes shortens it: "5s", "2m3s", "3h", "4d2h". */
void mesh_duration_text(int64_t seconds, struct mesh_buf *out);
/** How long ago an RFC 3339 time was, or "<unknown>" (NULL) or "<invalid>". */
void mesh_since_text(const char *time, struct mesh_buf *out);
/** The values a simple JSON path (".a.b", ".c[?(@.type==\"x\")].d") finds, as one cell; null if none. */
json_t *mesh_json_path(const json_t *obj, const char *path);

#endif
