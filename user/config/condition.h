/* SPDX-License-Identifier: Apache-2.0 */
/* What an object's status says: its conditions (meta/v1 Condition and its older kin), a Pod's phase. Borrowed pointers;
 * any thread. */
#ifndef MESH_CONFIG_CONDITION_H
#define MESH_CONFIG_CONDITION_H

#include <jansson.h>
#include <stdbool.h>

/** The first of obj.status.conditions of that type, or NULL. */
const json_t *mesh_condition_find(const json_t *obj, const char *type);

/** Whether there is one and its status is "True". */
bool mesh_condition_true(const json_t *obj, const char *type);

/** Whether a Pod has ended: its phase is Succeeded or Failed. */
bool mesh_pod_over(const json_t *pod);

#endif
