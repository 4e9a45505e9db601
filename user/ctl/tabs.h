/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text in columns, by the rules that kubectl's tables and descriptions follow: cells end with a
 * tab; the column of neighbouring lines is as wide as its widest cell; a line's last cell ends no column.
 * Zero-initialise with min_width and padding; mesh_tabs_free() when done. One thread.
 */
#ifndef MESH_CTL_TABS_H
#define MESH_CTL_TABS_H

#include "core/buf.h"
#include "core/vec.h"

struct mesh_tabs {
	size_t min_width, padding;
	bool remember;           /* columns never get narrower from one flush to the next */
	struct mesh_buf text;    /* lines with tabs, as added */
	MESH_VEC(size_t) widths; /* remembered */
};

/** Lays out what was added so far, appends it to out and forgets it. */
void mesh_tabs_flush(struct mesh_tabs *t, struct mesh_buf *out);
void mesh_tabs_free(struct mesh_tabs *t);
/** Characters (not bytes) of UTF-8 text. */
size_t mesh_text_width(struct mesh_slice s);

#endif
