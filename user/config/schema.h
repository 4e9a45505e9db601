/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The field tables of every kind (schema_*.c), for the rows of kinds.c. Field names, types, enums and what is required
 * are those of Kubernetes 1.34, of Istio's CRDs and of Maistra's. Constant data; any thread.
 */
#ifndef MESH_CONFIG_SCHEMA_H
#define MESH_CONFIG_SCHEMA_H

#include "config/kind.h"

extern const struct mesh_schema mesh_schema_open;
extern const struct mesh_schema mesh_schema_empty;
extern const struct mesh_schema mesh_schema_resource_requirements;
extern const struct mesh_schema mesh_schema_local_object_reference;
extern const struct mesh_schema mesh_schema_pod_spec;
extern const struct mesh_schema mesh_schema_pod_template_spec;
extern const struct mesh_schema mesh_schema_pod;
extern const struct mesh_schema mesh_schema_namespace;
extern const struct mesh_schema mesh_schema_node;
extern const struct mesh_schema mesh_schema_service;
extern const struct mesh_schema mesh_schema_object_reference;
extern const struct mesh_schema mesh_schema_endpoints;
extern const struct mesh_schema mesh_schema_service_account;
extern const struct mesh_schema mesh_schema_config_map;
extern const struct mesh_schema mesh_schema_secret;
extern const struct mesh_schema mesh_schema_event_source;
extern const struct mesh_schema mesh_schema_core_event;
extern const struct mesh_schema mesh_schema_deployment;
extern const struct mesh_schema mesh_schema_replica_set;
extern const struct mesh_schema mesh_schema_endpoint_slice;
extern const struct mesh_schema mesh_schema_event;
extern const struct mesh_schema mesh_schema_lease;
extern const struct mesh_schema mesh_schema_role;
extern const struct mesh_schema mesh_schema_role_binding;
extern const struct mesh_schema mesh_schema_cluster_role;
extern const struct mesh_schema mesh_schema_cluster_role_binding;
extern const struct mesh_schema mesh_schema_custom_resource_definition;
extern const struct mesh_schema mesh_schema_owner_reference;
extern const struct mesh_schema mesh_schema_object_meta;
extern const struct mesh_schema mesh_schema_label_selector;
extern const struct mesh_schema mesh_schema_condition;
extern const struct mesh_schema mesh_schema_virtual_service;
extern const struct mesh_schema mesh_schema_destination_rule;
extern const struct mesh_schema mesh_schema_gateway;
extern const struct mesh_schema mesh_schema_service_entry;
extern const struct mesh_schema mesh_schema_sidecar;
extern const struct mesh_schema mesh_schema_workload_entry;
extern const struct mesh_schema mesh_schema_workload_group;
extern const struct mesh_schema mesh_schema_proxy_config;
extern const struct mesh_schema mesh_schema_envoy_filter;
extern const struct mesh_schema mesh_schema_authorization_policy;
extern const struct mesh_schema mesh_schema_peer_authentication;
extern const struct mesh_schema mesh_schema_request_authentication;
extern const struct mesh_schema mesh_schema_telemetry;
extern const struct mesh_schema mesh_schema_wasm_plugin;
extern const struct mesh_schema mesh_schema_traffic_extension;
extern const struct mesh_schema mesh_schema_service_mesh_control_plane;
extern const struct mesh_schema mesh_schema_service_mesh_member_roll;
extern const struct mesh_schema mesh_schema_service_mesh_member;
extern const struct mesh_schema mesh_schema_project;
extern const struct mesh_schema mesh_schema_project_request;
extern const struct mesh_schema mesh_schema_route;

#endif
