/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubectl's JSONPath templates: text, {.a.b}, {.list[0]}, [*], [-1], [1:3], ['key'], [?(@.a=="b")], {..name},
 * {"text\n"}, {range .items[*]}...{end}, {.a.x,.b.y}. Compiled once, run on many objects. Any thread.
 */
#ifndef MESH_CTL_JSONPATH_H
#define MESH_CTL_JSONPATH_H

#include "core/err.h"

#include <jansson.h>

struct mesh_jsonpath;

/** Returns 0; -EINVAL with one error. */
int mesh_jsonpath_new(struct mesh_jsonpath **ret, const char *template, struct mesh_errs *errs);
void mesh_jsonpath_free(struct mesh_jsonpath *p);
/** Appends what the template gives for value. Fields that are not there give nothing. */
void mesh_jsonpath_run(const struct mesh_jsonpath *p, const json_t *value, struct mesh_buf *out);
/** A path as custom-columns and wait take it, ".spec.x", "spec.x" or "{.spec.x}", as a template. Caller frees. */
char *mesh_jsonpath_relaxed(const char *path);
/** What a template's first path finds; a new array. */
json_t *mesh_jsonpath_find(const struct mesh_jsonpath *p, const json_t *value);

#endif
