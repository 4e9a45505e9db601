/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"

#include <ctype.h>

void mesh_errs_free(struct mesh_errs *errs)
{
	mesh_vec_each (e, &errs->list) {
		free(e->file);
		free(e->object);
		free(e->path);
		free(e->text);
		free(e->hint);
	}
	mesh_vec_free(&errs->list);
}

struct mesh_err *mesh_errs_add(struct mesh_errs *errs, const char *fmt, ...)
{
	struct mesh_buf text = {0};
	struct mesh_err *e;
	va_list ap;

	if (!errs)
		return NULL;
	va_start(ap, fmt);
	mesh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	e = mesh_vec_add(&errs->list);
	e->text = mesh_buf_steal(&text);
	return e;
}

void mesh_err_format(const struct mesh_err *e, struct mesh_buf *out)
{
	if (e->file) {
		mesh_buf_str(out, e->file);
		if (e->line)
			mesh_buf_printf(out, ":%u", e->line);
		if (e->line && e->column)
			mesh_buf_printf(out, ":%u", e->column);
		mesh_buf_str(out, ": ");
	}
	if (e->object)
		mesh_buf_printf(out, "%s: ", e->object);
	if (e->path)
		mesh_buf_printf(out, "%s: ", e->path);
	mesh_buf_str(out, e->text);
	if (e->hint)
		mesh_buf_printf(out, " (%s)", e->hint);
}

void mesh_errs_format(const struct mesh_errs *errs, struct mesh_buf *out)
{
	mesh_vec_each (e, &errs->list) {
		mesh_err_format(e, out);
		mesh_buf_char(out, '\n');
	}
}

enum { NEAREST_MAX = 63 };

static size_t distance(const char *a, const char *b)
{
	size_t row[NEAREST_MAX + 1], la = strlen(a), lb = strlen(b);

	if (la > NEAREST_MAX || lb > NEAREST_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t up = row[j];
			size_t same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]) ? 0 : 1;

			size_t step = MESH_MIN(row[j], row[j - 1]) + 1;

			row[j] = MESH_MIN(step, diagonal + same);
			diagonal = up;
		}
	}
	return row[lb];
}

const char *mesh_nearest(const char *name, const char *const *candidates, size_t count)
{
	size_t best = strlen(name) / 3 + 1;
	const char *found = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t d = distance(name, candidates[i]);

		if (d < best) {
			best = d;
			found = candidates[i];
		}
	}
	return found;
}
