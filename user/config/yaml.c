/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML to JSON values, with positions. Plain scalars are resolved as kubectl resolves them (YAML 1.1 words
 * for booleans and null, C-like integers); merge keys ("<<") are applied; dates stay strings.
 */
#include "config/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <strings.h>
#include <yaml.h>

struct reader {
	struct mesh_parse *p;
	struct mesh_slice text;
	yaml_document_t *doc;
	unsigned char *seen; /* by node: read before, so this is an alias */
	size_t alias_bytes;  /* what aliases have added */
	bool failed;
};

static unsigned line_of(const yaml_node_t *n)
{
	return (unsigned)n->start_mark.line + 1;
}

static unsigned column_of(const yaml_node_t *n)
{
	return (unsigned)n->start_mark.column + 1;
}

static json_t *fail(struct reader *r, const yaml_node_t *n, const char *what)
{
	if (!r->failed)
		mesh_parse_error(r->p, line_of(n), column_of(n), "%s", what);
	r->failed = true;
	return NULL;
}

static bool one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(s, *words) == 0)
			return true;
	return false;
}

static json_t *real(const char *s);

static json_t *integer(const char *s)
{
	char digits[72], *rest;
	size_t n = 0;
	int base = 10;
	const char *p = s;
	bool negative = *p == '-';
	unsigned long long v;

	if (*p == '-' || *p == '+')
		p++;
	if (!isdigit((unsigned char)*p))
		return NULL;
	if (p[0] == '0' && p[1]) {
		base = (p[1] | 32) == 'x' ? 16 : (p[1] | 32) == 'b' ? 2 : 8;
		p += base == 8 && (p[1] | 32) != 'o' ? 1 : 2;
	}
	for (; *p; p++) {
		if (*p == '_')
			continue;
		if (!isalnum((unsigned char)*p) || n + 1 >= sizeof(digits))
			return NULL;
		digits[n++] = *p;
	}
	digits[n] = '\0';
	if (n == 0)
		return NULL;
	errno = 0;
	v = strtoull(digits, &rest, base);
	if (*rest)
		return NULL;
	if (errno || v > (unsigned long long)INT64_MAX + (negative ? 1 : 0))
		return base == 10 ? real(s) : NULL;
	return json_integer(negative ? (json_int_t)(0 - v) : (json_int_t)v);
}

static json_t *real(const char *s)
{
	const char *p = s;
	char text[72], *rest;
	size_t n = 0;
	double d;

	if (*p == '-' || *p == '+')
		p++;
	if (!isdigit((unsigned char)*p) && !(*p == '.' && isdigit((unsigned char)p[1])))
		return NULL;
	for (const char *q = s; *q; q++) {
		if (*q == '_')
			continue;
		if ((!isdigit((unsigned char)*q) && !strchr(".eE+-", *q)) || n + 1 >= sizeof(text))
			return NULL;
		text[n++] = *q;
	}
	text[n] = '\0';
	d = strtod(text, &rest);
	return *rest || !isfinite(d) ? NULL : mesh_parse_real(d);
}

/* A plain scalar's value; NULL: it is a string. */
static json_t *resolve(const char *s)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const trues[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
					    "True", "TRUE", "on",  "On",  "ON",  NULL};
	static const char *const falses[] = {"n",     "N",     "no",  "No",  "NO",  "false",
					     "False", "FALSE", "off", "Off", "OFF", NULL};
	json_t *v;

	if (one_of(s, nulls))
		return json_null();
	if (one_of(s, trues))
		return json_true();
	if (one_of(s, falses))
		return json_false();
	v = integer(s);
	return v ? v : real(s);
}

/*
 * libyaml's tree does not tell "!!str 5" from "5". Where the node is longer than its value (so that it has a tag or
 * an anchor) the text itself is looked at.
 */
static bool tagged_string(const struct reader *r, const yaml_node_t *n)
{
	const char *s = r->text.ptr, *end = s + r->text.len, *stop;

	if (n->end_mark.index - n->start_mark.index <= n->data.scalar.length)
		return false;
	for (size_t line = 0; line < n->start_mark.line; line++) {
		s = memchr(s, '\n', (size_t)(end - s));
		if (!s)
			return false; /* other line ends than "\\n" */
		s++;
	}
	for (size_t column = 0; column < n->start_mark.column && s < end; column++)
		for (s++; s < end && (*s & 0xc0) == 0x80;)
			s++;
	stop = s + MESH_MIN((size_t)(end - s), n->end_mark.index - n->start_mark.index);
	for (; s < stop && *s == '&'; s++)
		while (s < stop && *s != ' ')
			s++;
	return s < stop && *s == '!';
}

static json_t *scalar(struct reader *r, const yaml_node_t *n)
{
	const char *s = (const char *)n->data.scalar.value, *tag = (const char *)n->tag;
	size_t len = n->data.scalar.length;
	json_t *v = NULL;

	if (memchr(s, '\0', len))
		return fail(r, n, "a NUL character in a text");
	if (n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && (!tag || strcmp(tag, YAML_STR_TAG) == 0))
		v = tagged_string(r, n) ? NULL : resolve(s);
	else if (tag && strcmp(tag, YAML_STR_TAG) != 0 && strncmp(tag, "tag:yaml.org,2002:", 18) == 0)
		v = resolve(s);
	if (v)
		return v;
	v = json_stringn(s, len);
	return v ? v : fail(r, n, "a text that is not UTF-8");
}

/* The text of a key. */
static bool key_text(struct reader *r, const yaml_node_t *n, struct mesh_buf *out)
{
	json_t *v;

	if (n->type != YAML_SCALAR_NODE) {
		fail(r, n, "a key must be a plain value");
		return false;
	}
	v = scalar(r, n);
	if (!v)
		return false;
	if (json_is_string(v))
		mesh_buf_str(out, json_string_value(v));
	else if (json_is_boolean(v))
		mesh_buf_str(out, json_is_true(v) ? "true" : "false");
	else if (json_is_integer(v))
		mesh_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else
		mesh_buf_add(out, n->data.scalar.value, n->data.scalar.length);
	mesh_buf_str(out, "");
	json_decref(v);
	return true;
}

static json_t *convert(struct reader *r, int index, int depth);

/* "<<": the members of the mapping(s) named, where the mapping itself has none of that name. */
static void merge_key(struct reader *r, json_t *into, int index, int depth)
{
	yaml_node_t *n = yaml_document_get_node(r->doc, index);
	struct mesh_map *positions = r->p->positions;
	const char *key;
	json_t *v, *member;

	if (n->type == YAML_SEQUENCE_NODE) {
		for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
			yaml_node_t *item = yaml_document_get_node(r->doc, *i);

			if (item->type != YAML_MAPPING_NODE)
				fail(r, item, "only mappings can be merged");
			else
				merge_key(r, into, *i, depth + 1);
			if (r->failed)
				return;
		}
		return;
	}
	if (n->type != YAML_MAPPING_NODE) {
		fail(r, n, "only mappings can be merged");
		return;
	}
	r->p->positions = NULL;
	v = convert(r, index, depth + 1);
	r->p->positions = positions;
	json_object_foreach(v, key, member)
	{
		if (!json_object_get(into, key))
			json_object_set(into, key, member);
	}
	json_decref(v);
}

static int pair(struct reader *r, json_t *o, const yaml_node_pair_t *pair, int depth)
{
	yaml_node_t *k = yaml_document_get_node(r->doc, pair->key);
	struct mesh_buf key = {0};
	json_t *v = NULL;

	if (key_text(r, k, &key)) {
		size_t cut = mesh_parse_path_key(r->p, key.data ? key.data : "");

		mesh_parse_position(r->p, line_of(k), column_of(k));
		if (json_object_get(o, key.data ? key.data : ""))
			mesh_parse_duplicate(r->p, line_of(k), column_of(k));
		v = convert(r, pair->value, depth + 1);
		if (v)
			json_object_set_new(o, key.data ? key.data : "", v);
		mesh_parse_path_cut(r->p, cut);
	}
	mesh_buf_free(&key);
	return v ? 0 : -EINVAL;
}

static bool is_merge(struct reader *r, int key)
{
	yaml_node_t *k = yaml_document_get_node(r->doc, key);

	return k->type == YAML_SCALAR_NODE && k->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       k->data.scalar.length == 2 && memcmp(k->data.scalar.value, "<<", 2) == 0;
}

static json_t *mapping(struct reader *r, const yaml_node_t *n, int depth)
{
	json_t *o = json_object();
	yaml_node_pair_t *end = n->data.mapping.pairs.top;

	for (yaml_node_pair_t *i = n->data.mapping.pairs.start; i < end && !r->failed; i++)
		if (!is_merge(r, i->key))
			pair(r, o, i, depth);
	for (yaml_node_pair_t *i = n->data.mapping.pairs.start; i < end && !r->failed; i++)
		if (is_merge(r, i->key))
			merge_key(r, o, i->value, depth);
	if (!r->failed)
		return o;
	json_decref(o);
	return NULL;
}

static json_t *sequence(struct reader *r, const yaml_node_t *n, int depth)
{
	json_t *a = json_array();

	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
		yaml_node_t *item = yaml_document_get_node(r->doc, *i);
		size_t cut = mesh_parse_path_index(r->p, json_array_size(a));
		json_t *v;

		mesh_parse_position(r->p, line_of(item), column_of(item));
		v = convert(r, *i, depth + 1);
		mesh_parse_path_cut(r->p, cut);
		if (!v) {
			json_decref(a);
			return NULL;
		}
		json_array_append_new(a, v);
	}
	return a;
}

static json_t *convert(struct reader *r, int index, int depth)
{
	yaml_node_t *n = yaml_document_get_node(r->doc, index);

	if (depth > MESH_PARSE_DEPTH_MAX)
		return fail(r, n, "nested too deeply");
	if (r->seen[index]) {
		r->alias_bytes += 16 + (n->type == YAML_SCALAR_NODE ? n->data.scalar.length : 0);
		if (r->alias_bytes > MESH_PARSE_ALIAS_MAX)
			return fail(r, n, "aliases expand to too much");
	}
	r->seen[index] = 1;
	switch (n->type) {
	case YAML_SCALAR_NODE:
		return scalar(r, n);
	case YAML_SEQUENCE_NODE:
		return sequence(r, n, depth);
	case YAML_MAPPING_NODE:
		return mapping(r, n, depth);
	default:
		return fail(r, n, "an empty node");
	}
}

static void syntax_error(struct mesh_parse *p, const yaml_parser_t *y)
{
	const yaml_mark_t *m = &y->problem_mark;

	/* Encoding errors come from the reader, which knows no line. */
	if (y->error == YAML_READER_ERROR)
		mesh_parse_error(p, 0, 0, "invalid YAML: %s", y->problem ? y->problem : "unreadable text");
	else
		mesh_parse_error(p, (unsigned)m->line + 1, (unsigned)m->column + 1, "invalid YAML: %s%s%s",
				 y->problem ? y->problem : "unreadable text", y->context ? " " : "",
				 y->context ? y->context : "");
}

static int document(struct mesh_parse *p, struct mesh_slice text, yaml_document_t *doc,
		    void (*add)(void *arg, json_t *value, struct mesh_map *positions, unsigned line), void *arg)
{
	size_t nodes = (size_t)(doc->nodes.top - doc->nodes.start);
	struct reader r = {.p = p, .text = text, .doc = doc, .seen = mesh_xcalloc(nodes + 1, 1)};
	yaml_node_t *root = yaml_document_get_root_node(doc);
	struct mesh_map positions = {0};
	json_t *v;

	p->positions = &positions;
	v = convert(&r, 1, 1);
	p->positions = NULL;
	mesh_parse_path_cut(p, 0);
	free(r.seen);
	if (v)
		add(arg, v, &positions, line_of(root));
	else
		mesh_positions_free(&positions);
	return v ? 0 : -EINVAL;
}

int mesh_yaml_each(struct mesh_parse *p, struct mesh_slice text,
		   void (*add)(void *arg, json_t *value, struct mesh_map *positions, unsigned line), void *arg)
{
	yaml_parser_t y;
	int result = 0;

	if (!yaml_parser_initialize(&y))
		return -ENOMEM;
	yaml_parser_set_input_string(&y, (const unsigned char *)text.ptr, text.len);
	for (bool more = true; more;) {
		yaml_document_t doc;

		if (!yaml_parser_load(&y, &doc)) {
			syntax_error(p, &y);
			result = -EINVAL;
			break;
		}
		more = yaml_document_get_root_node(&doc) != NULL;
		if (more && document(p, text, &doc, add, arg) < 0)
			result = -EINVAL;
		yaml_document_delete(&doc);
	}
	yaml_parser_delete(&y);
	return result;
}
