/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside config/: what every walk over an object beside its schema asks. Pure.
 */
#ifndef MESH_CONFIG_SCHEMA_WALK_H
#define MESH_CONFIG_SCHEMA_WALK_H

#include "config/kind.h"

/** The field of that name, or NULL. */
const struct mesh_field *mesh_schema_find(const struct mesh_schema *schema, const char *name);
/** JSON's word for a value: "object", "integer", ... */
const char *mesh_json_type(const json_t *v);
/** Whether a value has a type's form (a whole number where an integer is wanted). */
bool mesh_type_fits(enum mesh_type type, const json_t *v);
bool mesh_text_is_base64(const char *s);

#endif
