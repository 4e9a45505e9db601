/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of meta/v1 that other tables share.
 */
#include "config/schema.h"
#include "config/schema_rows.h"

static const struct mesh_field managed_fields_entry_fields[] = {
	FIELD("apiVersion", STRING), FIELD("fieldsType", STRING),  FIELD("fieldsV1", ANY), FIELD("manager", STRING),
	FIELD("operation", STRING),  FIELD("subresource", STRING), FIELD("time", TIME),    {.name = NULL},
};

static const struct mesh_schema managed_fields_entry_schema = {
	.name = "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry", .fields = managed_fields_entry_fields};

static const struct mesh_field owner_reference_fields[] = {
	FIELD("apiVersion", STRING, .flags = REQUIRED),
	FIELD("blockOwnerDeletion", BOOL),
	FIELD("controller", BOOL),
	FIELD("kind", STRING, .flags = REQUIRED),
	FIELD("name", STRING, .flags = REQUIRED),
	FIELD("uid", STRING, .flags = REQUIRED),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_owner_reference = {.name = "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
							.fields = owner_reference_fields};

static const struct mesh_field object_meta_fields[] = {
	MAP("annotations", STRING),
	FIELD("creationTimestamp", TIME),
	FIELD("deletionGracePeriodSeconds", INT64),
	FIELD("deletionTimestamp", TIME),
	LIST("finalizers", STRING, .merge_key = ""),
	FIELD("generateName", STRING),
	FIELD("generation", INT64),
	MAP("labels", STRING),
	LIST_OF("managedFields", &managed_fields_entry_schema),
	FIELD("name", STRING),
	FIELD("namespace", STRING),
	LIST_OF("ownerReferences", &mesh_schema_owner_reference, .merge_key = "uid"),
	FIELD("resourceVersion", STRING),
	FIELD("selfLink", STRING),
	FIELD("uid", STRING),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_object_meta = {.name = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
						    .fields = object_meta_fields};

static const struct mesh_field label_selector_requirement_fields[] = {
	FIELD("key", STRING, .flags = REQUIRED),
	FIELD("operator", STRING, .flags = REQUIRED),
	LIST("values", STRING),
	{.name = NULL},
};

static const struct mesh_schema label_selector_requirement_schema = {
	.name = "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement",
	.fields = label_selector_requirement_fields};

static const struct mesh_field label_selector_fields[] = {
	LIST_OF("matchExpressions", &label_selector_requirement_schema),
	MAP("matchLabels", STRING),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_label_selector = {.name = "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
						       .fields = label_selector_fields};

static const struct mesh_field condition_fields[] = {
	FIELD("lastTransitionTime", TIME, .flags = REQUIRED),
	FIELD("message", STRING, .flags = REQUIRED),
	FIELD("observedGeneration", INT64),
	FIELD("reason", STRING, .flags = REQUIRED),
	FIELD("status", STRING, .flags = REQUIRED),
	FIELD("type", STRING, .flags = REQUIRED),
	{.name = NULL},
};

const struct mesh_schema mesh_schema_condition = {.name = "io.k8s.apimachinery.pkg.apis.meta.v1.Condition",
						  .fields = condition_fields};
