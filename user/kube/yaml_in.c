/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/yaml_in.h"

#include "core/mem.h"

#include <errno.h>
#include <yaml.h>

enum { DEPTH_MAX = 32 };

struct reader {
	yaml_parser_t parser;
	const char *file;
	struct mesh_errs *errs;
};

static void fail(struct reader *r, const yaml_mark_t *at, const char *what)
{
	struct mesh_err *e = mesh_errs_add(r->errs, "%s", what);

	if (!e)
		return;
	e->file = mesh_xstrdup(r->file);
	e->line = (unsigned)at->line + 1;
	e->column = (unsigned)at->column + 1;
}

static bool next(struct reader *r, yaml_event_t *ev)
{
	if (yaml_parser_parse(&r->parser, ev))
		return true;
	fail(r, &r->parser.problem_mark, r->parser.problem ? r->parser.problem : "not YAML");
	return false;
}

static json_t *scalar(const yaml_event_t *ev)
{
	const char *s = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	char *end;
	long long n;

	if (ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return json_stringn(s, len);
	if (len == 0 || strcmp(s, "~") == 0 || strcmp(s, "null") == 0)
		return json_null();
	if (strcmp(s, "true") == 0 || strcmp(s, "false") == 0)
		return json_boolean(s[0] == 't');
	errno = 0;
	n = strtoll(s, &end, 10);
	if (*end == '\0' && errno == 0 && (s[0] != '0' || len == 1) && s[0] != '+')
		return json_integer(n);
	return json_stringn(s, len);
}

static json_t *node(struct reader *r, const yaml_event_t *ev, int depth);

static bool mapping_entry(struct reader *r, json_t *into, const yaml_event_t *key, int depth)
{
	yaml_event_t ev;
	json_t *value;

	if (key->type != YAML_SCALAR_EVENT) {
		fail(r, &key->start_mark, "a key must be a word");
		return false;
	}
	if (!next(r, &ev))
		return false;
	value = node(r, &ev, depth + 1);
	yaml_event_delete(&ev);
	return value && json_object_set_new(into, (const char *)key->data.scalar.value, value) == 0;
}

static bool sequence_item(struct reader *r, json_t *into, const yaml_event_t *ev, int depth)
{
	json_t *value = node(r, ev, depth + 1);

	return value && json_array_append_new(into, value) == 0;
}

static json_t *collection(struct reader *r, bool mapping, int depth)
{
	json_t *into = mapping ? json_object() : json_array();
	bool ok = true;

	while (ok) {
		yaml_event_t ev;

		if (!next(r, &ev))
			break;
		if (ev.type == YAML_MAPPING_END_EVENT || ev.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&ev);
			return into;
		}
		ok = mapping ? mapping_entry(r, into, &ev, depth) : sequence_item(r, into, &ev, depth);
		yaml_event_delete(&ev);
	}
	json_decref(into);
	return NULL;
}

static json_t *node(struct reader *r, const yaml_event_t *ev, int depth)
{
	if (depth > DEPTH_MAX) {
		fail(r, &ev->start_mark, "nested too deeply");
		return NULL;
	}
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return scalar(ev);
	case YAML_MAPPING_START_EVENT:
		return collection(r, true, depth);
	case YAML_SEQUENCE_START_EVENT:
		return collection(r, false, depth);
	default:
		fail(r, &ev->start_mark, "an alias is not supported here");
		return NULL;
	}
}

static json_t *document(struct reader *r)
{
	json_t *value = NULL;

	for (;;) {
		yaml_event_t ev;
		bool head;

		if (!next(r, &ev))
			return NULL;
		head = ev.type == YAML_STREAM_START_EVENT || ev.type == YAML_DOCUMENT_START_EVENT;
		if (!head) {
			if (ev.type == YAML_MAPPING_START_EVENT)
				value = node(r, &ev, 0);
			else
				fail(r, &ev.start_mark, "not a mapping");
		}
		yaml_event_delete(&ev);
		if (!head)
			return value;
	}
}

json_t *mesh_yaml_read(const char *file, struct mesh_slice text, struct mesh_errs *errs)
{
	struct reader r = {.file = file, .errs = errs};
	json_t *value;

	if (!yaml_parser_initialize(&r.parser))
		abort();
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.ptr, text.len);
	value = document(&r);
	yaml_parser_delete(&r.parser);
	return value;
}
