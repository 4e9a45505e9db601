/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside config/: a field table as JSON Schema, in three dialects.
 */
#ifndef MESH_CONFIG_OPENAPI_H
#define MESH_CONFIG_OPENAPI_H

#include "config/kind.h"

enum mesh_dialect {
	MESH_DIALECT_CRD, /* structural, everything inline */
	MESH_DIALECT_V3,  /* OpenAPI v3; builtin schemas by reference */
	MESH_DIALECT_V2,  /* the same for v2: no oneOf, no nullable */
};

/** What a walk collects: the schemas that were referred to, by name. */
struct mesh_refs {
	MESH_VEC(const struct mesh_schema *) list;
};

/** An object schema's JSON. refs NULL: everything inline, else schemas with a full name become references. */
json_t *mesh_schema_json(enum mesh_dialect dialect, const struct mesh_schema *schema, struct mesh_refs *refs);
/** A reference to a schema with a full name, noted in refs. */
json_t *mesh_schema_ref(enum mesh_dialect dialect, const struct mesh_schema *schema, struct mesh_refs *refs);

#endif
