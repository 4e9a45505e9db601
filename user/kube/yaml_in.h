/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One YAML (or JSON) document to JSON values, for a client's own files: kubeconfigs and lab states.
 * Objects of the mesh go through config/document.h, which keeps positions and checks them. Any thread.
 */
#ifndef MESH_KUBE_YAML_IN_H
#define MESH_KUBE_YAML_IN_H

#include "core/err.h"

#include <jansson.h>

/**
 * The first document of text, which must be a mapping; file (may be NULL) is for errors. Plain true, false, null and
 * integers are typed, all else is a string. Aliases are refused. New reference; NULL with errs (file, line, column).
 */
json_t *mesh_yaml_read(const char *file, struct mesh_slice text, struct mesh_errs *errs);

#endif
