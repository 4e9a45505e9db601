/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside config/: what a name may look like. Pure.
 */
#ifndef MESH_CONFIG_NAMES_H
#define MESH_CONFIG_NAMES_H

#include "core/err.h"

#include <jansson.h>

bool mesh_name_is_label(struct mesh_slice s);     /* RFC 1123 label, lower case, at most 63 */
bool mesh_name_is_subdomain(struct mesh_slice s); /* such labels with dots between, at most 253 */
bool mesh_name_is_label_value(struct mesh_slice s);
bool mesh_name_is_label_key(struct mesh_slice s); /* "name" or "subdomain/name" */
/** The rule of mesh_name_is_label(), as Kubernetes says it. */
const char *mesh_name_label_rule(void);
/** Keys and values of a map of labels; errors have path. */
void mesh_check_labels(const json_t *labels, const char *path, struct mesh_errs *errs);

#endif
