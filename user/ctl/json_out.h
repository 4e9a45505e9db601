/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON and YAML as kubectl prints them: keys in order, numbers in their shortest form,
 * a string quoted in YAML exactly when it would otherwise be read as something else. Any thread.
 */
#ifndef MESH_CTL_JSON_OUT_H
#define MESH_CTL_JSON_OUT_H

#include "core/buf.h"

#include <jansson.h>

/** indent: blanks a level, 0: all on one line. '<', '>' and '&' are escaped as \u003c does, which kubectl does too. */
void mesh_json_out(struct mesh_buf *out, const json_t *value, int indent);
/** One document, without "---". */
void mesh_yaml_out(struct mesh_buf *out, const json_t *value);
/** A number in its shortest form that reads back the same. */
void mesh_number_out(struct mesh_buf *out, const json_t *number);

#endif
