/* SPDX-License-Identifier: Apache-2.0 */
/* The conditions in an object's status (meta/v1 Condition and its older kin). Borrowed pointers; any thread. */
#ifndef MESH_CONFIG_CONDITION_H
#define MESH_CONFIG_CONDITION_H

#include <jansson.h>
#include <stdbool.h>

/** The first of obj.status.conditions of that type, or NULL. */
const json_t *mesh_condition_find(const json_t *obj, const char *type);

/** Whether there is one and its status is "True". */
bool mesh_condition_true(const json_t *obj, const char *type);

#endif
