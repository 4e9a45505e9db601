/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside config/: the making of cells, for columns*.c.
 */
#ifndef MESH_CONFIG_CELLS_H
#define MESH_CONFIG_CELLS_H

#include "core/buf.h"

#include <jansson.h>

/** The text that was built, as a new string; the buffer is empty after. */
json_t *mesh_cell_steal(struct mesh_buf *b);
/** s, or the other text where s is NULL or "". */
json_t *mesh_cell_text(const char *s, const char *otherwise);
/** Appends part, after sep unless it is the first. */
void mesh_cell_add(struct mesh_buf *b, const char *sep, const char *part);
/** "a=b,c=d" by key, or "<none>". */
json_t *mesh_cell_labels(const json_t *labels);
/** How long ago a time was. */
json_t *mesh_cell_since(const char *time);

#endif
