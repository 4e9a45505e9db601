/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small helpers over jansson: dotted paths, and text in which numbers look as Kubernetes
 * writes them (the shortest decimal that reads back the same). Borrowed references unless said. Any thread.
 */
#ifndef MESH_STORE_JSON_H
#define MESH_STORE_JSON_H

#include "core/buf.h"

#include <jansson.h>

/** Appends v as compact JSON. Key order is kept. */
void mesh_js_write(struct mesh_buf *out, const json_t *v);
/** The value at a path of object keys ("metadata.name"); NULL if there is none. */
json_t *mesh_js_at(const json_t *obj, const char *path);
/** The string at path, or NULL. */
const char *mesh_js_text(const json_t *obj, const char *path);
/** The string at path, or "". */
const char *mesh_js_str(const json_t *obj, const char *path);
/** The integer at path, or fallback. */
int64_t mesh_js_int(const json_t *obj, const char *path, int64_t fallback);
/** The object at path, made (with its parents) where missing or not an object. */
json_t *mesh_js_make(json_t *obj, const char *path);
/** Sets key of the object obj to text. */
void mesh_js_set(json_t *obj, const char *key, const char *text);
/** Is text among the strings of array? */
bool mesh_js_has(const json_t *array, const char *text);

/** A parsed text. *error gets a sentence when NULL is returned (caller frees). Duplicate keys: the last wins. */
json_t *mesh_js_load(struct mesh_slice text, char **error);

#endif
