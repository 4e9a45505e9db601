/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of the kinds of maistra.io/v1.
 */
#include "config/schema.h"
#include "config/schema_rows.h"

static const struct mesh_field service_mesh_control_plane_spec_fields[] = {
	OBJECT("istio", &mesh_schema_open, .help = "Settings of the mesh and its gateways."),
	FIELD("networkType", STRING),
	LIST("profiles", STRING, .help = "Names of profiles."),
	FIELD("template", STRING, .help = "Name of a template."),
	OBJECT("threeScale", &mesh_schema_open, .help = "Settings of the 3scale adapter."),
	FIELD("version", STRING, .help = "Version of the mesh."),
	{.name = NULL},
};

static const struct mesh_schema service_mesh_control_plane_spec_schema = {
	.name = "ServiceMeshControlPlaneSpec", .fields = service_mesh_control_plane_spec_fields};

static const struct mesh_field conditions_fields[] = {
	FIELD("lastTransitionTime", TIME), FIELD("message", STRING), FIELD("reason", STRING),
	FIELD("status", STRING),           FIELD("type", STRING),    {.name = NULL},
};

static const struct mesh_schema conditions_schema = {.name = "Conditions", .fields = conditions_fields};

static const struct mesh_field children_fields[] = {
	LIST_OF("conditions", &conditions_schema),
	{.name = NULL},
};

static const struct mesh_schema children_schema = {.name = "Children", .fields = children_fields};

static const struct mesh_field components_fields[] = {
	LIST_OF("children", &children_schema),
	LIST_OF("conditions", &conditions_schema),
	FIELD("resource", STRING),
	{.name = NULL},
};

static const struct mesh_schema components_schema = {.name = "Components", .fields = components_fields};

static const struct mesh_field last_applied_configuration_fields[] = {
	OBJECT("istio", &mesh_schema_open),
	FIELD("networkType", STRING),
	LIST("profiles", STRING),
	FIELD("template", STRING),
	OBJECT("threeScale", &mesh_schema_open),
	FIELD("version", STRING),
	{.name = NULL},
};

static const struct mesh_schema last_applied_configuration_schema = {.name = "LastAppliedConfiguration",
								     .fields = last_applied_configuration_fields};

static const struct mesh_field status_fields[] = {
	MAP("annotations", STRING),
	LIST_OF("components", &components_schema),
	LIST_OF("conditions", &conditions_schema),
	OBJECT("lastAppliedConfiguration", &last_applied_configuration_schema),
	FIELD("observedGeneration", INT64),
	FIELD("reconciledVersion", STRING),
	{.name = NULL},
};

static const struct mesh_schema status_schema = {.name = "Status", .fields = status_fields};

static const struct mesh_field service_mesh_control_plane_fields[] = {
	OBJECT("spec", &service_mesh_control_plane_spec_schema, .flags = REQUIRED, .help = "The mesh that is wanted."),
	OBJECT("status", &status_schema, .flags = NULLABLE, .help = "What has been set up."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_service_mesh_control_plane = {.name = "ServiceMeshControlPlane",
								   .fields = service_mesh_control_plane_fields};

static const struct mesh_field match_expressions_fields[] = {
	FIELD("key", STRING, .flags = REQUIRED),
	FIELD("operator", STRING, .flags = REQUIRED),
	LIST("values", STRING),
	{.name = NULL},
};

static const struct mesh_schema match_expressions_schema = {.name = "MatchExpressions",
							    .fields = match_expressions_fields};

static const struct mesh_field member_selectors_fields[] = {
	LIST_OF("matchExpressions", &match_expressions_schema),
	MAP("matchLabels", STRING),
	{.name = NULL},
};

static const struct mesh_schema member_selectors_schema = {.name = "MemberSelectors",
							   .fields = member_selectors_fields};

static const struct mesh_field service_mesh_member_roll_spec_fields[] = {
	LIST_OF("memberSelectors", &member_selectors_schema, .flags = UNSUPPORTED),
	LIST("members", STRING, .flags = NULLABLE, .help = "Names of the namespaces."),
	{.name = NULL},
};

static const struct mesh_schema service_mesh_member_roll_spec_schema = {.name = "ServiceMeshMemberRollSpec",
									.fields = service_mesh_member_roll_spec_fields};

static const struct mesh_field member_statuses_fields[] = {
	LIST_OF("conditions", &conditions_schema, .flags = REQUIRED),
	FIELD("namespace", STRING, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema member_statuses_schema = {.name = "MemberStatuses", .fields = member_statuses_fields};

static const struct mesh_field service_mesh_member_roll_status_fields[] = {
	MAP("annotations", STRING),
	LIST_OF("conditions", &conditions_schema, .flags = NULLABLE),
	LIST("configuredMembers", STRING, .flags = NULLABLE, .help = "Namespaces that are in the mesh now."),
	LIST_OF("memberStatuses", &member_statuses_schema, .flags = NULLABLE),
	LIST("members", STRING, .flags = NULLABLE),
	FIELD("meshGeneration", INT64, .help = "Generation of the control plane that the members follow."),
	FIELD("meshReconciledVersion", STRING),
	FIELD("observedGeneration", INT64, .help = "Generation of this object that the status is about."),
	LIST("pendingMembers", STRING, .flags = NULLABLE, .help = "Namespaces that do not exist yet."),
	LIST("terminatingMembers", STRING, .flags = NULLABLE),
	{.name = NULL},
};

static const struct mesh_schema service_mesh_member_roll_status_schema = {
	.name = "Status", .fields = service_mesh_member_roll_status_fields};

static const struct mesh_field service_mesh_member_roll_fields[] = {
	OBJECT("spec", &service_mesh_member_roll_spec_schema, .flags = REQUIRED,
	       .help = "Which namespaces are in the mesh."),
	OBJECT("status", &service_mesh_member_roll_status_schema, .help = "What is in force."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_service_mesh_member_roll = {.name = "ServiceMeshMemberRoll",
								 .fields = service_mesh_member_roll_fields};

static const struct mesh_field control_plane_ref_fields[] = {
	FIELD("name", STRING, .flags = REQUIRED, .help = "Its name."),
	FIELD("namespace", STRING, .flags = REQUIRED, .help = "Its namespace."),
	{.name = NULL},
};

static const struct mesh_schema control_plane_ref_schema = {.name = "ControlPlaneRef",
							    .fields = control_plane_ref_fields};

static const struct mesh_field service_mesh_member_spec_fields[] = {
	OBJECT("controlPlaneRef", &control_plane_ref_schema, .flags = REQUIRED, .help = "The control plane."),
	{.name = NULL},
};

static const struct mesh_schema service_mesh_member_spec_schema = {.name = "ServiceMeshMemberSpec",
								   .fields = service_mesh_member_spec_fields};

static const struct mesh_field service_mesh_member_status_fields[] = {
	MAP("annotations", STRING),
	LIST_OF("conditions", &conditions_schema, .flags = REQUIRED),
	FIELD("meshGeneration", INT64),
	FIELD("meshReconciledVersion", STRING),
	FIELD("observedGeneration", INT64, .flags = REQUIRED),
	{.name = NULL},
};

static const struct mesh_schema service_mesh_member_status_schema = {.name = "Status",
								     .fields = service_mesh_member_status_fields};

static const struct mesh_field service_mesh_member_fields[] = {
	OBJECT("spec", &service_mesh_member_spec_schema, .flags = REQUIRED,
	       .help = "The mesh that this namespace joins."),
	OBJECT("status", &service_mesh_member_status_schema, .help = "What the mesh says about this object."),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_service_mesh_member = {.name = "ServiceMeshMember",
							    .fields = service_mesh_member_fields};
