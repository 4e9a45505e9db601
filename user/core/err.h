/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as people read them: what, where, and what would be right. Libraries add
 * to a struct mesh_errs and return -errno; only mains print. A check that can go on
 * goes on, so that all errors are reported at once. The list owns its texts. One thread.
 */
#ifndef MESH_CORE_ERR_H
#define MESH_CORE_ERR_H

#include "core/buf.h"
#include "core/vec.h"

struct mesh_err {
	char *file;      /* NULL: not from a file */
	unsigned line;   /* from 1; 0: unknown */
	unsigned column; /* from 1; 0: unknown */
	char *object;    /* "VirtualService reviews", or NULL */
	char *path;      /* "spec.http[0].route[1].weight", or NULL */
	char *text;      /* what is wrong */
	char *hint;      /* what would be right, or NULL */
};

struct mesh_errs {
	MESH_VEC(struct mesh_err) list;
};

void mesh_errs_free(struct mesh_errs *errs);
/** Adds an error with text only; returns it to fill in the rest (valid until the next add). NULL errs: nothing, NULL.
 */
struct mesh_err *mesh_errs_add(struct mesh_errs *errs, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** "FILE:LINE:COLUMN: OBJECT: PATH: TEXT (HINT)", leaving out what is unknown. */
void mesh_err_format(const struct mesh_err *e, struct mesh_buf *out);
/** Every error on a line of its own. */
void mesh_errs_format(const struct mesh_errs *errs, struct mesh_buf *out);

/** The candidate nearest to name (edit distance at most a third of its length), or NULL. For "did you mean". */
const char *mesh_nearest(const char *name, const char *const *candidates, size_t count);

#endif
