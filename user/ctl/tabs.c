/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/tabs.h"

#include "core/mem.h"

struct line {
	size_t first, count; /* cells */
};

struct layout {
	struct mesh_tabs *tabs;
	struct mesh_buf *out;
	MESH_VEC(struct mesh_slice) cells;
	MESH_VEC(struct line) lines;
	MESH_VEC(size_t) widths; /* of the columns around the lines at hand */
};

size_t mesh_text_width(struct mesh_slice s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return n;
}

static struct mesh_slice cell(const struct layout *l, size_t line, size_t column)
{
	return l->cells.items[l->lines.items[line].first + column];
}

static bool has_column(const struct layout *l, size_t line, size_t column)
{
	return column + 1 < l->lines.items[line].count;
}

static void pad(struct layout *l, size_t n)
{
	while (n--)
		mesh_buf_char(l->out, ' ');
}

static void put_lines(struct layout *l, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		for (size_t c = 0; c < l->lines.items[i].count; c++) {
			struct mesh_slice text = cell(l, i, c);
			size_t width = mesh_text_width(text);

			mesh_buf_slice(l->out, text);
			if (c < l->widths.count && has_column(l, i, c))
				pad(l, l->widths.items[c] > width ? l->widths.items[c] - width : 0);
		}
		mesh_buf_char(l->out, '\n');
	}
}

static size_t column_width(struct layout *l, size_t from, size_t to, size_t column)
{
	struct mesh_tabs *t = l->tabs;
	size_t width = t->min_width;

	for (size_t i = from; i < to; i++)
		width = MESH_MAX(width, mesh_text_width(cell(l, i, column)) + t->padding);
	if (!t->remember)
		return width;
	while (t->widths.count <= column)
		mesh_vec_push(&t->widths, 0);
	width = MESH_MAX(width, t->widths.items[column]);
	t->widths.items[column] = width;
	return width;
}

/* Lines from..to share the columns in l->widths; a run of them that has one more gets its width, then its own rest. */
static void format(struct layout *l, size_t from, size_t to)
{
	size_t column = l->widths.count, done = from;

	for (size_t at = from; at < to;) {
		size_t end = at;

		if (!has_column(l, at, column)) {
			at++;
			continue;
		}
		put_lines(l, done, at);
		while (end < to && has_column(l, end, column))
			end++;
		mesh_vec_push(&l->widths, column_width(l, at, end, column));
		format(l, at, end);
		l->widths.count--;
		at = done = end;
	}
	put_lines(l, done, to);
}

void mesh_tabs_flush(struct mesh_tabs *t, struct mesh_buf *out)
{
	struct layout l = {.tabs = t, .out = out};
	struct mesh_slice rest = mesh_buf_view(&t->text), text, one;

	while (rest.len && mesh_slice_split(&rest, '\n', &text)) {
		struct line line = {.first = l.cells.count};

		while (mesh_slice_split(&text, '\t', &one))
			mesh_vec_push(&l.cells, one);
		line.count = l.cells.count - line.first;
		mesh_vec_push(&l.lines, line);
	}
	format(&l, 0, l.lines.count);
	mesh_vec_free(&l.cells);
	mesh_vec_free(&l.lines);
	mesh_vec_free(&l.widths);
	mesh_buf_clear(&t->text);
}

void mesh_tabs_free(struct mesh_tabs *t)
{
	mesh_buf_free(&t->text);
	mesh_vec_free(&t->widths);
}
