/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as text, numbers as Kubernetes writes them: the shortest decimal that reads back the same. Any thread.
 */
#ifndef MESH_CONFIG_JSON_WRITE_H
#define MESH_CONFIG_JSON_WRITE_H

#include "core/buf.h"

#include <jansson.h>
#include <stdbool.h>

struct mesh_json_style {
	int indent;  /* blanks a level; 0: all on one line */
	bool sorted; /* keys by their bytes; else as they are */
	bool html;   /* '<', '>', '&' and the line separators U+2028, U+2029 as \u003c does, which kubectl does too */
};

/** Appends v; NULL is null. */
void mesh_json_write(struct mesh_buf *out, const json_t *v, const struct mesh_json_style *style);
/** Appends a number: plain between 1e-6 and 1e21, else with an exponent. */
void mesh_json_write_number(struct mesh_buf *out, const json_t *number);

#endif
