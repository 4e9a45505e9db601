/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/json_out.h"

#include "core/mem.h"
#include "core/vec.h"

#include <ctype.h>
#include <errno.h>
#include <yaml.h>

struct writer {
	yaml_emitter_t emitter;
	struct mesh_buf *out;
};

static int write_bytes(void *arg, unsigned char *bytes, size_t len)
{
	mesh_buf_add(arg, bytes, len);
	return 1;
}

static void emit(struct writer *w, yaml_event_t *ev)
{
	if (!yaml_emitter_emit(&w->emitter, ev))
		abort();
}

static bool is_word(const char *s)
{
	static const char *const words[] = {
		"y",     "Y",     "yes",   "Yes",   "YES",   "on",    "On",    "ON",    "n",    "N",
		"no",    "No",    "NO",    "off",   "Off",   "OFF",   "true",  "True",  "TRUE", "false",
		"False", "FALSE", "~",     "null",  "Null",  "NULL",  ".nan",  ".NaN",  ".NAN", ".inf",
		".Inf",  ".INF",  "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", "<<",
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(words); i++)
		if (strcmp(s, words[i]) == 0)
			return true;
	return false;
}

static size_t digits(const char *s, const char *set)
{
	return strspn(s, set);
}

/* 12, 1_000, 0x1f, 0b1, 0o7, 1.5, .5, 1e9 */
static bool is_number(const char *text)
{
	mesh_auto_free char *plain = mesh_xmalloc(strlen(text) + 1);
	const char *p = plain;
	size_t n = 0, before, after = 0;

	for (const char *c = text; *c; c++)
		if (*c != '_' || c == text)
			plain[n++] = *c;
	plain[n] = '\0';
	p += *p == '+' || *p == '-';
	if (p[0] == '0' && strchr("xXbBoO", p[1]) && p[1]) {
		const char *set = strchr("xX", p[1])   ? "0123456789abcdefABCDEF"
				  : strchr("bB", p[1]) ? "01"
						       : "01234567";

		return p[2] && p[2 + digits(p + 2, set)] == '\0';
	}
	before = digits(p, "0123456789");
	p += before;
	if (*p == '.') {
		after = digits(p + 1, "0123456789");
		p += 1 + after;
	}
	if (before + after == 0)
		return false;
	if (*p == 'e' || *p == 'E') {
		p++;
		p += *p == '+' || *p == '-';
		if (!isdigit((unsigned char)*p))
			return false;
		p += digits(p, "0123456789");
	}
	return *p == '\0';
}

/* 190:20:30 was a number in YAML 1.1. */
static bool is_base60(const char *s)
{
	bool colon = false;

	s += *s == '+' || *s == '-';
	if (!isdigit((unsigned char)*s))
		return false;
	s += digits(s, "0123456789_");
	while (*s == ':') {
		size_t n = digits(s + 1, "0123456789");

		if (n == 0 || n > 2 || (n == 2 && s[1] > '5'))
			return false;
		s += 1 + n;
		colon = true;
	}
	if (*s == '.')
		s += 1 + digits(s + 1, "0123456789_");
	return colon && *s == '\0';
}

static const char *number_up_to(const char *s, size_t max)
{
	size_t n = s ? digits(s, "0123456789") : 0;

	return n && n <= max ? s + n : NULL;
}

static const char *after_char(const char *s, const char *any)
{
	return s && *s && strchr(any, *s) ? s + 1 : NULL;
}

/* 2026-01-02, 2026-01-02T03:04:05.6Z, 2026-01-02 03:04:05 */
static bool is_timestamp(const char *s)
{
	const char *p;

	if (digits(s, "0123456789") != 4 || s[4] != '-')
		return false;
	p = number_up_to(after_char(number_up_to(s + 5, 2), "-"), 2);
	if (!p || *p == '\0')
		return p != NULL;
	p = number_up_to(after_char(p, "Tt "), 2);
	p = number_up_to(after_char(number_up_to(after_char(p, ":"), 2), ":"), 2);
	if (p && *p == '.')
		p += 1 + digits(p + 1, "0123456789");
	if (!p)
		return false;
	if (*p == 'Z')
		return p[1] == '\0';
	if (*p == '+' || *p == '-')
		p = number_up_to(after_char(number_up_to(p + 1, 2), ":"), 2);
	return p && *p == '\0';
}

static bool reads_as_string(const char *s)
{
	return s[0] && !is_word(s) && !is_number(s) && !is_base60(s) && !is_timestamp(s);
}

static void scalar(struct writer *w, const char *s, size_t len, yaml_scalar_style_t style)
{
	yaml_event_t ev;

	if (!yaml_scalar_event_initialize(&ev, NULL, NULL, (const yaml_char_t *)s, (int)len, 1, 1, style)) {
		/* not UTF-8: shown with the bad bytes replaced */
		mesh_auto_free char *copy = mesh_xstrndup(s, len);

		for (size_t i = 0; i < len; i++)
			if ((unsigned char)copy[i] >= 0x80)
				copy[i] = '?';
		yaml_scalar_event_initialize(&ev, NULL, NULL, (const yaml_char_t *)copy, (int)len, 1, 1, style);
		emit(w, &ev);
		return;
	}
	emit(w, &ev);
}

static void string(struct writer *w, const char *s, size_t len)
{
	yaml_scalar_style_t style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;

	if (memchr(s, '\n', len))
		style = YAML_LITERAL_SCALAR_STYLE;
	else if (reads_as_string(s))
		style = YAML_PLAIN_SCALAR_STYLE;
	scalar(w, s, len, style);
}

/* "v2" before "v10", and what is no letter before letters. */
static int natural(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;

	for (; *x && *y; x++, y++) {
		bool lx, ly;
		unsigned long nx = 0, ny = 0;

		if (*x == *y)
			continue;
		lx = isalpha((unsigned char)*x);
		ly = isalpha((unsigned char)*y);
		if (lx != ly)
			return lx ? 1 : -1;
		if (!lx && isdigit((unsigned char)*x) && isdigit((unsigned char)*y)) {
			nx = strtoul(x, NULL, 10);
			ny = strtoul(y, NULL, 10);
		}
		if (nx != ny)
			return nx < ny ? -1 : 1;
		return (unsigned char)*x - (unsigned char)*y;
	}
	return (int)(*x != '\0') - (int)(*y != '\0');
}

static void value(struct writer *w, const json_t *v);

static void mapping(struct writer *w, const json_t *v)
{
	mesh_auto_free const char **keys = mesh_xcalloc(json_object_size(v) + 1, sizeof(*keys));
	yaml_event_t ev;
	const char *key;
	json_t *item;
	size_t n = 0;

	json_object_foreach((json_t *)v, key, item) keys[n++] = key;
	qsort(keys, n, sizeof(*keys), natural);
	yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
	emit(w, &ev);
	for (size_t i = 0; i < n; i++) {
		string(w, keys[i], strlen(keys[i]));
		value(w, json_object_get(v, keys[i]));
	}
	yaml_mapping_end_event_initialize(&ev);
	emit(w, &ev);
}

static void sequence(struct writer *w, const json_t *v)
{
	yaml_event_t ev;
	json_t *item;
	size_t i;

	yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);
	emit(w, &ev);
	json_array_foreach(v, i, item) value(w, item);
	yaml_sequence_end_event_initialize(&ev);
	emit(w, &ev);
}

static void plain(struct writer *w, const char *text)
{
	scalar(w, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
}

static void value(struct writer *w, const json_t *v)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};

	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_OBJECT:
		mapping(w, v);
		break;
	case JSON_ARRAY:
		sequence(w, v);
		break;
	case JSON_STRING:
		string(w, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
	case JSON_REAL:
		mesh_number_out(&text, v);
		plain(w, text.data);
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		plain(w, json_is_true(v) ? "true" : "false");
		break;
	case JSON_NULL:
		plain(w, "null");
		break;
	}
}

void mesh_yaml_out(struct mesh_buf *out, const json_t *v)
{
	struct writer w = {.out = out};
	yaml_event_t ev;

	if (!yaml_emitter_initialize(&w.emitter))
		abort();
	yaml_emitter_set_output(&w.emitter, write_bytes, out);
	yaml_emitter_set_unicode(&w.emitter, 1);
	yaml_emitter_set_indent(&w.emitter, 2);
	yaml_emitter_set_width(&w.emitter, 80);
	yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING);
	emit(&w, &ev);
	yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1);
	emit(&w, &ev);
	value(&w, v);
	yaml_document_end_event_initialize(&ev, 1);
	emit(&w, &ev);
	yaml_stream_end_event_initialize(&ev);
	emit(&w, &ev);
	yaml_emitter_delete(&w.emitter);
	/* libyaml ends a document so when its last scalar keeps its newlines; the next "---" does that as well. */
	if (mesh_slice_ends(mesh_buf_view(out), MESH_SLICE("\n...\n"))) {
		out->len -= 4;
		out->data[out->len] = '\0';
	}
}
