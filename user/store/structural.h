/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schemas of CustomResourceDefinitions (apiextensions.k8s.io/v1, openAPIV3Schema): what of an object they do not
 * know, what they fill in, and what they refuse. They are read as they stand. Not looked at: allOf, anyOf, oneOf, not,
 * format, x-kubernetes-validations. apiVersion, kind and metadata of the object are not theirs. Any thread.
 */
#ifndef MESH_STORE_STRUCTURAL_H
#define MESH_STORE_STRUCTURAL_H

#include "core/err.h"

#include <jansson.h>

/** The paths of fields that the schema does not have, in order, one error each. schema NULL: it has all. */
void mesh_structural_unknown(const json_t *schema, const json_t *obj, struct mesh_errs *unknown);
/** Removes those fields, and nulls where null is no value; then sets the defaults of what is missing. */
void mesh_structural_fill(const json_t *schema, json_t *obj);
/** Types, required, enum, pattern, ranges and lengths: errors with paths, worded as a kube-apiserver does. */
void mesh_structural_check(const json_t *schema, const json_t *obj, struct mesh_errs *errs);
/** Names what stands in a schema (found at path) and is not looked at. */
void mesh_structural_ignored(const json_t *schema, const char *path, struct mesh_errs *warnings);
/** What is wrong with a schema itself (found at path): types, patterns. */
void mesh_structural_check_schema(const json_t *schema, const char *path, struct mesh_errs *errs);

#endif
