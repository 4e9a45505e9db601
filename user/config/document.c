/* SPDX-License-Identifier: Apache-2.0 */
#include "config/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

void mesh_positions_free(struct mesh_map *positions)
{
	mesh_map_each (e, positions)
		free(e->value);
	mesh_map_free(positions);
}

void mesh_documents_free(struct mesh_documents *docs)
{
	mesh_vec_each (d, &docs->list) {
		free(d->file);
		json_decref(d->value);
		mesh_positions_free(&d->positions);
	}
	mesh_vec_free(&docs->list);
}

static struct mesh_slice path_of(const struct mesh_parse *p)
{
	return mesh_buf_view(&p->path);
}

void mesh_parse_position(struct mesh_parse *p, unsigned line, unsigned column)
{
	struct mesh_position *pos;

	if (!p->positions)
		return;
	pos = mesh_xmalloc(sizeof(*pos));
	*pos = (struct mesh_position){line, column};
	free(mesh_map_put(p->positions, path_of(p), pos));
}

size_t mesh_parse_path_key(struct mesh_parse *p, const char *key)
{
	size_t len = p->path.len;

	if (len)
		mesh_buf_char(&p->path, '.');
	mesh_buf_str(&p->path, key);
	return len;
}

size_t mesh_parse_path_index(struct mesh_parse *p, size_t index)
{
	size_t len = p->path.len;

	mesh_buf_printf(&p->path, "[%zu]", index);
	return len;
}

void mesh_parse_path_cut(struct mesh_parse *p, size_t len)
{
	p->path.len = len;
	if (p->path.data)
		p->path.data[len] = '\0';
}

static void place(struct mesh_parse *p, struct mesh_err *e, unsigned line, unsigned column)
{
	e->file = mesh_xstrdup(p->file);
	e->line = line;
	e->column = column;
}

void mesh_parse_error(struct mesh_parse *p, unsigned line, unsigned column, const char *fmt, ...)
{
	struct mesh_buf text = {0};
	struct mesh_err *e;
	va_list ap;

	if (!p->errs)
		return;
	va_start(ap, fmt);
	mesh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	e = mesh_errs_add(p->errs, "%s", text.data ? text.data : "");
	place(p, e, line, column);
	mesh_buf_free(&text);
}

void mesh_parse_duplicate(struct mesh_parse *p, unsigned line, unsigned column)
{
	struct mesh_err *e = mesh_errs_add(p->duplicates, "duplicate field");

	if (!e)
		return;
	place(p, e, line, column);
	e->path = mesh_xstrndup(p->path.data ? p->path.data : "", p->path.len);
}

json_t *mesh_parse_real(double d)
{
	if (fabs(d) < 1e15 && d == (double)(int64_t)d)
		return json_integer((json_int_t)d);
	return json_real(d);
}

/* Where the documents go. */
struct sink {
	const char *file;
	struct mesh_documents *docs;
	struct mesh_errs *errs;
	bool failed;
};

static void add_document(struct sink *sink, json_t *value, struct mesh_map *positions)
{
	struct mesh_document *d = mesh_vec_add(&sink->docs->list);

	d->file = mesh_xstrdup(sink->file);
	d->value = value;
	d->positions = *positions;
	*positions = (struct mesh_map){0};
}

static bool is_list(const json_t *v)
{
	const char *kind = json_string_value(json_object_get(v, "kind"));
	const char *version = json_string_value(json_object_get(v, "apiVersion"));
	size_t len = kind ? strlen(kind) : 0;

	return version && len >= 4 && strcmp(kind + len - 4, "List") == 0 && json_is_array(json_object_get(v, "items"));
}

/* The positions below items[i] for each of count items, in maps of their own. */
static struct mesh_map *item_positions(const struct mesh_map *all, size_t count)
{
	struct mesh_map *maps = mesh_xcalloc(count + 1, sizeof(*maps));

	mesh_map_each (e, all) {
		struct mesh_slice rest = mesh_slice_of(e->key, e->key_len), index;
		struct mesh_position *pos;
		uint64_t i;

		if (!mesh_slice_starts(rest, MESH_SLICE("items[")))
			continue;
		rest = mesh_slice_of(rest.ptr + 6, rest.len - 6);
		if (!mesh_slice_split(&rest, ']', &index) || mesh_slice_to_u64(index, count, &i) < 0 || i >= count ||
		    rest.len < 2 || rest.ptr[0] != '.')
			continue;
		pos = mesh_xmalloc(sizeof(*pos));
		*pos = *(const struct mesh_position *)e->value;
		free(mesh_map_put(&maps[i], mesh_slice_of(rest.ptr + 1, rest.len - 1), pos));
	}
	return maps;
}

static void not_an_object(struct sink *sink, unsigned line)
{
	struct mesh_parse p = {.file = sink->file, .errs = sink->errs};

	mesh_parse_error(&p, line, line ? 1 : 0, "not an object: apiVersion, kind and metadata are expected");
	sink->failed = true;
}

static void add_value(void *arg, json_t *value, struct mesh_map *positions, unsigned line)
{
	struct sink *sink = arg;
	json_t *item;
	size_t i;

	if (json_is_object(value) && !is_list(value)) {
		add_document(sink, value, positions);
		return;
	}
	if (json_is_object(value)) {
		const json_t *items = json_object_get(value, "items");
		struct mesh_map *maps = item_positions(positions, json_array_size(items));

		json_array_foreach(items, i, item)
		{
			if (json_is_object(item))
				add_document(sink, json_incref(item), &maps[i]);
			else
				not_an_object(sink, line);
			mesh_positions_free(&maps[i]);
		}
		free(maps);
	} else if (!json_is_null(value)) {
		not_an_object(sink, line);
	}
	json_decref(value);
	mesh_positions_free(positions);
}

static int parse_json(struct mesh_parse *p, struct mesh_slice text, struct sink *sink)
{
	struct mesh_json_text t = {text.ptr, text.ptr + text.len, text.ptr, 1};

	for (;;) {
		struct mesh_map positions = {0};
		size_t before = p->errs->list.count;
		unsigned line;
		json_t *v;

		p->positions = &positions;
		v = mesh_json_next(p, &t);
		line = t.line;
		p->positions = NULL;
		mesh_parse_path_cut(p, 0);
		if (v) {
			add_value(sink, v, &positions, line);
			continue;
		}
		mesh_positions_free(&positions);
		return p->errs->list.count > before ? -EINVAL : 0;
	}
}

static bool looks_like_json(struct mesh_slice text)
{
	text = mesh_slice_trim(text);
	return text.len && (text.ptr[0] == '{' || text.ptr[0] == '[');
}

static void errs_move(struct mesh_errs *from, struct mesh_errs *to)
{
	mesh_vec_each (e, &from->list)
		mesh_vec_push(&to->list, *e);
	mesh_vec_free(&from->list);
}

static void sink_reset(struct sink *sink)
{
	mesh_documents_free(sink->docs);
	mesh_errs_free(sink->errs);
	sink->failed = false;
}

int mesh_documents_parse(const char *file, struct mesh_slice text, struct mesh_documents *ret, struct mesh_errs *errs)
{
	struct mesh_documents docs = {0};
	struct mesh_errs found = {0};
	struct mesh_parse p = {.file = file, .errs = &found, .duplicates = &found};
	struct sink sink = {.file = file, .docs = &docs, .errs = &found};
	bool json = looks_like_json(text);
	int r = 0;

	if (text.len > MESH_PARSE_TEXT_MAX) {
		mesh_parse_error(&p, 0, 0, "longer than %d bytes", MESH_PARSE_TEXT_MAX);
		r = -EINVAL;
	} else if (json) {
		struct mesh_errs json_errs = {0};

		r = parse_json(&p, text, &sink);
		if (r < 0) { /* a flow mapping of YAML may begin like JSON */
			errs_move(&found, &json_errs);
			sink_reset(&sink);
			r = mesh_yaml_each(&p, text, add_value, &sink);
			if (r < 0) {
				mesh_errs_free(&found);
				errs_move(&json_errs, &found);
			}
			mesh_errs_free(&json_errs);
		}
	} else {
		r = mesh_yaml_each(&p, text, add_value, &sink);
	}
	mesh_buf_free(&p.path);
	if (r < 0 || sink.failed || found.list.count) {
		errs_move(&found, errs);
		mesh_documents_free(&docs);
		return -EINVAL;
	}
	*ret = docs;
	return 0;
}

/* The position of path, or of the nearest thing that holds it. */
static const struct mesh_position *find_position(const struct mesh_document *doc, const char *path)
{
	size_t len = strlen(path);

	while (len) {
		const struct mesh_position *pos = mesh_map_get(&doc->positions, mesh_slice_of(path, len));

		if (pos)
			return pos;
		while (len && path[len - 1] != '.' && path[len - 1] != '[')
			len--;
		if (len)
			len--;
	}
	return NULL;
}

void mesh_errs_locate(struct mesh_errs *errs, const struct mesh_document *doc)
{
	const char *kind = json_string_value(json_object_get(doc->value, "kind"));
	const char *name = json_string_value(json_object_get(json_object_get(doc->value, "metadata"), "name"));

	mesh_vec_each (e, &errs->list) {
		const struct mesh_position *pos;

		if (!e->object && kind)
			e->object = mesh_xasprintf("%s%s%s", kind, name ? " " : "", name ? name : "");
		if (!e->path || e->line)
			continue;
		if (!e->file)
			e->file = mesh_xstrdup(doc->file);
		pos = find_position(doc, e->path);
		if (pos) {
			e->line = pos->line;
			e->column = pos->column;
		}
	}
}
