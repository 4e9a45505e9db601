/* SPDX-License-Identifier: Apache-2.0 */
/* Reading objects with few words. All is borrowed. Any thread. */
#ifndef MESH_CONFIG_GET_H
#define MESH_CONFIG_GET_H

#include <jansson.h>
#include <stdbool.h>

/** Whether obj has key and it is not null. */
bool mesh_has(const json_t *obj, const char *key);
/** The text of obj.key; "" if there is none. */
const char *mesh_text(const json_t *obj, const char *key);
/** The number of obj.key; 0 if there is none. */
json_int_t mesh_number(const json_t *obj, const char *key);
/** The text of obj.key, or NULL. */
const char *mesh_json_text(const json_t *obj, const char *key);
/** Follows keys, ended by NULL, through objects; NULL if one is missing. */
const json_t *mesh_json_walk(const json_t *obj, const char *const *keys);
#define mesh_json_at(obj, ...) mesh_json_walk((obj), (const char *const[]){__VA_ARGS__})
/** The text of obj.metadata.key; "" if there is none. */
const char *mesh_meta(const json_t *obj, const char *key);

#endif
