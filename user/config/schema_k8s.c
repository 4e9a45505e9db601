/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of the kinds of apps, discovery, events, coordination, rbac and apiextensions.
 */
#include "config/schema.h"
#include "config/schema_rows.h"

static const struct mesh_schema json_schema_props_schema;

static const char *const values_recreate_rolling_update[] = {"Recreate", "RollingUpdate", NULL};
static const char *const values_sctp_tcp_udp[] = {"SCTP", "TCP", "UDP", NULL};
static const char *const values_fqdn_i_pv4_i_pv6[] = {"FQDN", "IPv4", "IPv6", NULL};
static const char *const values_field_value_duplicate_field_value_forbidd[] = {
	"FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired", NULL};

static const struct mesh_field rolling_update_deployment_fields[] = {
	FIELD("maxSurge", INT_OR_STRING),
	FIELD("maxUnavailable", INT_OR_STRING),
	{.name = NULL},
};

static const struct mesh_schema rolling_update_deployment_schema = {
	.name = "io.k8s.api.apps.v1.RollingUpdateDeployment", .fields = rolling_update_deployment_fields};

static const struct mesh_field deployment_strategy_fields[] = {
	OBJECT("rollingUpdate", &rolling_update_deployment_schema),
	FIELD("type", STRING, .values = values_recreate_rolling_update),
	{.name = NULL},
};

static const struct mesh_schema deployment_strategy_schema = {.name = "io.k8s.api.apps.v1.DeploymentStrategy",
							      .fields = deployment_strategy_fields};

static const struct mesh_field deployment_spec_fields[] = {
	FIELD("minReadySeconds", INT32),
	FIELD("paused", BOOL),
	FIELD("progressDeadlineSeconds", INT32),
	FIELD("replicas", INT32),
	FIELD("revisionHistoryLimit", INT32),
	OBJECT("selector", &mesh_schema_label_selector, .flags = REQUIRED),
	OBJECT("strategy", &deployment_strategy_schema, .flags = RETAIN_KEYS),
	OBJECT("template", &mesh_schema_pod_template_spec, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema deployment_spec_schema = {.name = "io.k8s.api.apps.v1.DeploymentSpec",
							  .fields = deployment_spec_fields};

static const struct mesh_field deployment_condition_fields[] = {
	FIELD("lastTransitionTime", TIME),
	FIELD("lastUpdateTime", TIME),
	FIELD("message", STRING),
	FIELD("reason", STRING),
	FIELD("status", STRING, .flags = REQUIRED),
	FIELD("type", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema deployment_condition_schema = {.name = "io.k8s.api.apps.v1.DeploymentCondition",
							       .fields = deployment_condition_fields};

static const struct mesh_field deployment_status_fields[] = {
	FIELD("availableReplicas", INT32),
	FIELD("collisionCount", INT32),
	LIST_OF("conditions", &deployment_condition_schema, .merge_key = "type"),
	FIELD("observedGeneration", INT64),
	FIELD("readyReplicas", INT32),
	FIELD("replicas", INT32),
	FIELD("terminatingReplicas", INT32),
	FIELD("unavailableReplicas", INT32),
	FIELD("updatedReplicas", INT32),
	{.name = NULL},
};

static const struct mesh_schema deployment_status_schema = {.name = "io.k8s.api.apps.v1.DeploymentStatus",
							    .fields = deployment_status_fields};

static const struct mesh_field deployment_fields[] = {
	OBJECT("spec", &deployment_spec_schema),
	OBJECT("status", &deployment_status_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_deployment = {.name = "io.k8s.api.apps.v1.Deployment",
						   .fields = deployment_fields};

static const struct mesh_field replica_set_spec_fields[] = {
	FIELD("minReadySeconds", INT32),
	FIELD("replicas", INT32),
	OBJECT("selector", &mesh_schema_label_selector, .flags = REQUIRED),
	OBJECT("template", &mesh_schema_pod_template_spec),
	{.name = NULL},
};

static const struct mesh_schema replica_set_spec_schema = {.name = "io.k8s.api.apps.v1.ReplicaSetSpec",
							   .fields = replica_set_spec_fields};

static const struct mesh_field replica_set_condition_fields[] = {
	FIELD("lastTransitionTime", TIME),
	FIELD("message", STRING),
	FIELD("reason", STRING),
	FIELD("status", STRING, .flags = REQUIRED),
	FIELD("type", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema replica_set_condition_schema = {.name = "io.k8s.api.apps.v1.ReplicaSetCondition",
								.fields = replica_set_condition_fields};

static const struct mesh_field replica_set_status_fields[] = {
	FIELD("availableReplicas", INT32),    LIST_OF("conditions", &replica_set_condition_schema, .merge_key = "type"),
	FIELD("fullyLabeledReplicas", INT32), FIELD("observedGeneration", INT64),
	FIELD("readyReplicas", INT32),        FIELD("replicas", INT32),
	FIELD("terminatingReplicas", INT32),  {.name = NULL},
};

static const struct mesh_schema replica_set_status_schema = {.name = "io.k8s.api.apps.v1.ReplicaSetStatus",
							     .fields = replica_set_status_fields};

static const struct mesh_field replica_set_fields[] = {
	OBJECT("spec", &replica_set_spec_schema),
	OBJECT("status", &replica_set_status_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_replica_set = {.name = "io.k8s.api.apps.v1.ReplicaSet",
						    .fields = replica_set_fields};

static const struct mesh_field endpoint_conditions_fields[] = {
	FIELD("ready", BOOL),
	FIELD("serving", BOOL),
	FIELD("terminating", BOOL),
	{.name = NULL},
};

static const struct mesh_schema endpoint_conditions_schema = {.name = "io.k8s.api.discovery.v1.EndpointConditions",
							      .fields = endpoint_conditions_fields};

static const struct mesh_field for_node_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema for_node_schema = {.name = "io.k8s.api.discovery.v1.ForNode",
						   .fields = for_node_fields};

static const struct mesh_field for_zone_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema for_zone_schema = {.name = "io.k8s.api.discovery.v1.ForZone",
						   .fields = for_zone_fields};

static const struct mesh_field endpoint_hints_fields[] = {
	LIST_OF("forNodes", &for_node_schema),
	LIST_OF("forZones", &for_zone_schema),
	{.name = NULL},
};

static const struct mesh_schema endpoint_hints_schema = {.name = "io.k8s.api.discovery.v1.EndpointHints",
							 .fields = endpoint_hints_fields};

static const struct mesh_field endpoint_fields[] = {
	LIST("addresses", STRING, .flags = REQUIRED),
	OBJECT("conditions", &endpoint_conditions_schema),
	MAP("deprecatedTopology", STRING),
	OBJECT("hints", &endpoint_hints_schema),
	FIELD("hostname", STRING),
	FIELD("nodeName", STRING),
	OBJECT("targetRef", &mesh_schema_object_reference),
	FIELD("zone", STRING),
	{.name = NULL},
};

static const struct mesh_schema endpoint_schema = {.name = "io.k8s.api.discovery.v1.Endpoint",
						   .fields = endpoint_fields};

static const struct mesh_field discovery_endpoint_port_fields[] = {
	FIELD("appProtocol", STRING),
	FIELD("name", STRING),
	FIELD("port", INT32),
	FIELD("protocol", STRING, .values = values_sctp_tcp_udp),
	{.name = NULL},
};

static const struct mesh_schema discovery_endpoint_port_schema = {.name = "io.k8s.api.discovery.v1.EndpointPort",
								  .fields = discovery_endpoint_port_fields};

static const struct mesh_field endpoint_slice_fields[] = {
	FIELD("addressType", STRING, .flags = REQUIRED, .values = values_fqdn_i_pv4_i_pv6),
	LIST_OF("endpoints", &endpoint_schema),
	LIST_OF("ports", &discovery_endpoint_port_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_endpoint_slice = {.name = "io.k8s.api.discovery.v1.EndpointSlice",
						       .fields = endpoint_slice_fields};

static const struct mesh_field events_event_series_fields[] = {
	FIELD("count", INT32, .flags = REQUIRED),
	FIELD("lastObservedTime", TIME, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema events_event_series_schema = {.name = "io.k8s.api.events.v1.EventSeries",
							      .fields = events_event_series_fields};

static const struct mesh_field event_fields[] = {
	FIELD("action", STRING),
	FIELD("deprecatedCount", INT32),
	FIELD("deprecatedFirstTimestamp", TIME),
	FIELD("deprecatedLastTimestamp", TIME),
	OBJECT("deprecatedSource", &mesh_schema_event_source),
	FIELD("eventTime", TIME),
	FIELD("note", STRING),
	FIELD("reason", STRING),
	OBJECT("regarding", &mesh_schema_object_reference),
	OBJECT("related", &mesh_schema_object_reference),
	FIELD("reportingController", STRING),
	FIELD("reportingInstance", STRING),
	OBJECT("series", &events_event_series_schema),
	FIELD("type", STRING),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_event = {.name = "io.k8s.api.events.v1.Event", .fields = event_fields};

static const struct mesh_field lease_spec_fields[] = {
	FIELD("acquireTime", TIME),
	FIELD("holderIdentity", STRING),
	FIELD("leaseDurationSeconds", INT32),
	FIELD("leaseTransitions", INT32),
	FIELD("preferredHolder", STRING),
	FIELD("renewTime", TIME),
	FIELD("strategy", STRING),
	{.name = NULL},
};

static const struct mesh_schema lease_spec_schema = {.name = "io.k8s.api.coordination.v1.LeaseSpec",
						     .fields = lease_spec_fields};

static const struct mesh_field lease_fields[] = {
	OBJECT("spec", &lease_spec_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_lease = {.name = "io.k8s.api.coordination.v1.Lease", .fields = lease_fields};

static const struct mesh_field policy_rule_fields[] = {
	LIST("apiGroups", STRING), LIST("nonResourceURLs", STRING), LIST("resourceNames", STRING),
	LIST("resources", STRING), LIST("verbs", STRING),           {.name = NULL},
};

static const struct mesh_schema policy_rule_schema = {.name = "io.k8s.api.rbac.v1.PolicyRule",
						      .fields = policy_rule_fields};

static const struct mesh_field role_fields[] = {
	LIST_OF("rules", &policy_rule_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_role = {.name = "io.k8s.api.rbac.v1.Role", .fields = role_fields};

static const struct mesh_field role_ref_fields[] = {
	FIELD("apiGroup", STRING),
	FIELD("kind", STRING, .flags = REQUIRED),
	FIELD("name", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema role_ref_schema = {.name = "io.k8s.api.rbac.v1.RoleRef", .fields = role_ref_fields};

static const struct mesh_field subject_fields[] = {
	FIELD("apiGroup", STRING),
	FIELD("kind", STRING, .flags = REQUIRED),
	FIELD("name", STRING, .flags = REQUIRED),
	FIELD("namespace", STRING),
	{.name = NULL},
};

static const struct mesh_schema subject_schema = {.name = "io.k8s.api.rbac.v1.Subject", .fields = subject_fields};

static const struct mesh_field role_binding_fields[] = {
	OBJECT("roleRef", &role_ref_schema, .flags = REQUIRED),
	LIST_OF("subjects", &subject_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_role_binding = {.name = "io.k8s.api.rbac.v1.RoleBinding",
						     .fields = role_binding_fields};

static const struct mesh_field aggregation_rule_fields[] = {
	LIST_OF("clusterRoleSelectors", &mesh_schema_label_selector),
	{.name = NULL},
};

static const struct mesh_schema aggregation_rule_schema = {.name = "io.k8s.api.rbac.v1.AggregationRule",
							   .fields = aggregation_rule_fields};

static const struct mesh_field cluster_role_fields[] = {
	OBJECT("aggregationRule", &aggregation_rule_schema),
	LIST_OF("rules", &policy_rule_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_cluster_role = {.name = "io.k8s.api.rbac.v1.ClusterRole",
						     .fields = cluster_role_fields};

static const struct mesh_field cluster_role_binding_fields[] = {
	OBJECT("roleRef", &role_ref_schema, .flags = REQUIRED),
	LIST_OF("subjects", &subject_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_cluster_role_binding = {.name = "io.k8s.api.rbac.v1.ClusterRoleBinding",
							     .fields = cluster_role_binding_fields};

static const struct mesh_field service_reference_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED),
	FIELD("namespace", STRING, .flags = REQUIRED),
	FIELD("path", STRING),
	FIELD("port", INT32),
	{.name = NULL},
};

static const struct mesh_schema service_reference_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ServiceReference",
	.fields = service_reference_fields};

static const struct mesh_field webhook_client_config_fields[] = {
	FIELD("caBundle", BYTES),
	OBJECT("service", &service_reference_schema),
	FIELD("url", STRING),
	{.name = NULL},
};

static const struct mesh_schema webhook_client_config_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.WebhookClientConfig",
	.fields = webhook_client_config_fields};

static const struct mesh_field webhook_conversion_fields[] = {
	OBJECT("clientConfig", &webhook_client_config_schema),
	LIST("conversionReviewVersions", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema webhook_conversion_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.WebhookConversion",
	.fields = webhook_conversion_fields};

static const struct mesh_field custom_resource_conversion_fields[] = {
	FIELD("strategy", STRING, .flags = REQUIRED),
	OBJECT("webhook", &webhook_conversion_schema),
	{.name = NULL},
};

static const struct mesh_schema custom_resource_conversion_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceConversion",
	.fields = custom_resource_conversion_fields};

static const struct mesh_field custom_resource_definition_names_fields[] = {
	LIST("categories", STRING),
	FIELD("kind", STRING, .flags = REQUIRED),
	FIELD("listKind", STRING),
	FIELD("plural", STRING, .flags = REQUIRED),
	LIST("shortNames", STRING),
	FIELD("singular", STRING),
	{.name = NULL},
};

static const struct mesh_schema custom_resource_definition_names_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionNames",
	.fields = custom_resource_definition_names_fields};

static const struct mesh_field custom_resource_column_definition_fields[] = {
	FIELD("description", STRING),
	FIELD("format", STRING),
	FIELD("jsonPath", STRING, .flags = REQUIRED),
	FIELD("name", STRING, .flags = REQUIRED),
	FIELD("priority", INT32),
	FIELD("type", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema custom_resource_column_definition_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceColumnDefinition",
	.fields = custom_resource_column_definition_fields};

static const struct mesh_field external_documentation_fields[] = {
	FIELD("description", STRING),
	FIELD("url", STRING),
	{.name = NULL},
};

static const struct mesh_schema external_documentation_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ExternalDocumentation",
	.fields = external_documentation_fields};

static const struct mesh_field validation_rule_fields[] = {
	FIELD("fieldPath", STRING),
	FIELD("message", STRING),
	FIELD("messageExpression", STRING),
	FIELD("optionalOldSelf", BOOL),
	FIELD("reason", STRING, .values = values_field_value_duplicate_field_value_forbidd),
	FIELD("rule", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema validation_rule_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ValidationRule",
	.fields = validation_rule_fields};

static const struct mesh_field json_schema_props_fields[] = {
	FIELD("$ref", STRING),
	FIELD("$schema", STRING),
	FIELD("additionalItems", ANY),
	FIELD("additionalProperties", ANY),
	LIST_OF("allOf", &json_schema_props_schema),
	LIST_OF("anyOf", &json_schema_props_schema),
	FIELD("default", ANY),
	MAP_OF("definitions", &json_schema_props_schema),
	MAP("dependencies", ANY),
	FIELD("description", STRING),
	LIST("enum", ANY),
	FIELD("example", ANY),
	FIELD("exclusiveMaximum", BOOL),
	FIELD("exclusiveMinimum", BOOL),
	OBJECT("externalDocs", &external_documentation_schema),
	FIELD("format", STRING),
	FIELD("id", STRING),
	FIELD("items", ANY),
	FIELD("maxItems", INT64),
	FIELD("maxLength", INT64),
	FIELD("maxProperties", INT64),
	FIELD("maximum", NUMBER),
	FIELD("minItems", INT64),
	FIELD("minLength", INT64),
	FIELD("minProperties", INT64),
	FIELD("minimum", NUMBER),
	FIELD("multipleOf", NUMBER),
	OBJECT("not", &json_schema_props_schema),
	FIELD("nullable", BOOL),
	LIST_OF("oneOf", &json_schema_props_schema),
	FIELD("pattern", STRING),
	MAP_OF("patternProperties", &json_schema_props_schema),
	MAP_OF("properties", &json_schema_props_schema),
	LIST("required", STRING),
	FIELD("title", STRING),
	FIELD("type", STRING),
	FIELD("uniqueItems", BOOL),
	FIELD("x-kubernetes-embedded-resource", BOOL),
	FIELD("x-kubernetes-int-or-string", BOOL),
	LIST("x-kubernetes-list-map-keys", STRING),
	FIELD("x-kubernetes-list-type", STRING),
	FIELD("x-kubernetes-map-type", STRING),
	FIELD("x-kubernetes-preserve-unknown-fields", BOOL),
	LIST_OF("x-kubernetes-validations", &validation_rule_schema, .merge_key = "rule"),
	{.name = NULL},
};

static const struct mesh_schema json_schema_props_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
	.fields = json_schema_props_fields};

static const struct mesh_field custom_resource_validation_fields[] = {
	OBJECT("openAPIV3Schema", &json_schema_props_schema),
	{.name = NULL},
};

static const struct mesh_schema custom_resource_validation_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceValidation",
	.fields = custom_resource_validation_fields};

static const struct mesh_field selectable_field_fields[] = {
	FIELD("jsonPath", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema selectable_field_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.SelectableField",
	.fields = selectable_field_fields};

static const struct mesh_field custom_resource_subresource_scale_fields[] = {
	FIELD("labelSelectorPath", STRING),
	FIELD("specReplicasPath", STRING, .flags = REQUIRED),
	FIELD("statusReplicasPath", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema custom_resource_subresource_scale_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceScale",
	.fields = custom_resource_subresource_scale_fields};

static const struct mesh_field custom_resource_subresource_status_fields[] = {
	{.name = NULL},
};

static const struct mesh_schema custom_resource_subresource_status_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceStatus",
	.fields = custom_resource_subresource_status_fields};

static const struct mesh_field custom_resource_subresources_fields[] = {
	OBJECT("scale", &custom_resource_subresource_scale_schema),
	OBJECT("status", &custom_resource_subresource_status_schema),
	{.name = NULL},
};

static const struct mesh_schema custom_resource_subresources_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresources",
	.fields = custom_resource_subresources_fields};

static const struct mesh_field custom_resource_definition_version_fields[] = {
	LIST_OF("additionalPrinterColumns", &custom_resource_column_definition_schema),
	FIELD("deprecated", BOOL),
	FIELD("deprecationWarning", STRING),
	FIELD("name", STRING, .flags = REQUIRED),
	OBJECT("schema", &custom_resource_validation_schema),
	LIST_OF("selectableFields", &selectable_field_schema),
	FIELD("served", BOOL, .flags = REQUIRED),
	FIELD("storage", BOOL, .flags = REQUIRED),
	OBJECT("subresources", &custom_resource_subresources_schema),
	{.name = NULL},
};

static const struct mesh_schema custom_resource_definition_version_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion",
	.fields = custom_resource_definition_version_fields};

static const struct mesh_field custom_resource_definition_spec_fields[] = {
	OBJECT("conversion", &custom_resource_conversion_schema),
	FIELD("group", STRING, .flags = REQUIRED),
	OBJECT("names", &custom_resource_definition_names_schema, .flags = REQUIRED),
	FIELD("preserveUnknownFields", BOOL),
	FIELD("scope", STRING, .flags = REQUIRED),
	LIST_OF("versions", &custom_resource_definition_version_schema, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema custom_resource_definition_spec_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionSpec",
	.fields = custom_resource_definition_spec_fields};

static const struct mesh_field custom_resource_definition_condition_fields[] = {
	FIELD("lastTransitionTime", TIME),
	FIELD("message", STRING),
	FIELD("reason", STRING),
	FIELD("status", STRING, .flags = REQUIRED),
	FIELD("type", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema custom_resource_definition_condition_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionCondition",
	.fields = custom_resource_definition_condition_fields};

static const struct mesh_field custom_resource_definition_status_fields[] = {
	OBJECT("acceptedNames", &custom_resource_definition_names_schema),
	LIST_OF("conditions", &custom_resource_definition_condition_schema),
	LIST("storedVersions", STRING),
	{.name = NULL},
};

static const struct mesh_schema custom_resource_definition_status_schema = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus",
	.fields = custom_resource_definition_status_fields};

static const struct mesh_field custom_resource_definition_fields[] = {
	OBJECT("spec", &custom_resource_definition_spec_schema, .flags = REQUIRED),
	OBJECT("status", &custom_resource_definition_status_schema),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_custom_resource_definition = {
	.name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
	.fields = custom_resource_definition_fields};
