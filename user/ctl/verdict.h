/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `meshctl check` says: one row for each thing looked at, with what was seen, what it is for and what would help.
 * As JSON between a node and the terminal, as lines for people. Any thread.
 */
#ifndef MESH_CTL_VERDICT_H
#define MESH_CTL_VERDICT_H

#include "core/buf.h"

#include <jansson.h>

enum mesh_verdict {
	MESH_VERDICT_OK,
	MESH_VERDICT_WARN,
	MESH_VERDICT_FAIL,
};

/** Appends a row to rows. remedy may be NULL. what: printf. */
void mesh_verdict_add(json_t *rows, enum mesh_verdict verdict, const char *name, const char *why, const char *remedy,
		      const char *what, ...) __attribute__((format(printf, 6, 7)));
/** A row's verdict. */
enum mesh_verdict mesh_verdict_of(const json_t *row);
/** "ok    NAME: what" with why and remedy on lines of their own where it is not ok. */
void mesh_verdict_print(struct mesh_buf *out, const json_t *rows);
/** How many rows have this verdict. */
size_t mesh_verdict_count(const json_t *rows, enum mesh_verdict verdict);

#endif
