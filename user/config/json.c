/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON (RFC 8259) with positions.
 */
#include "config/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>

static unsigned column(const struct mesh_json_text *t)
{
	return (unsigned)(t->at - t->line_start) + 1;
}

static void space(struct mesh_json_text *t)
{
	for (; t->at < t->end; t->at++) {
		if (*t->at == '\n') {
			t->line++;
			t->line_start = t->at + 1;
		} else if (*t->at != ' ' && *t->at != '\t' && *t->at != '\r') {
			return;
		}
	}
}

static json_t *bad(struct mesh_parse *p, struct mesh_json_text *t, const char *what)
{
	mesh_parse_error(p, t->line, column(t), "invalid JSON: %s", what);
	t->at = t->end;
	return NULL;
}

static bool take(struct mesh_json_text *t, char c)
{
	space(t);
	if (t->at >= t->end || *t->at != c)
		return false;
	t->at++;
	return true;
}

static int hex4(struct mesh_json_text *t, unsigned *ret)
{
	unsigned v = 0;

	if (t->end - t->at < 4)
		return -EINVAL;
	for (int i = 0; i < 4; i++) {
		unsigned char c = (unsigned char)*t->at++;

		if (!isxdigit(c))
			return -EINVAL;
		v = v << 4 | (unsigned)(isdigit(c) ? c - '0' : (c | 32) - 'a' + 10);
	}
	*ret = v;
	return 0;
}

static void utf8(struct mesh_buf *out, unsigned c)
{
	if (c < 0x80) {
		mesh_buf_char(out, (char)c);
		return;
	}
	if (c < 0x800) {
		mesh_buf_char(out, (char)(0xc0 | c >> 6));
	} else if (c < 0x10000) {
		mesh_buf_char(out, (char)(0xe0 | c >> 12));
		mesh_buf_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
	} else {
		mesh_buf_char(out, (char)(0xf0 | c >> 18));
		mesh_buf_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
		mesh_buf_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	mesh_buf_char(out, (char)(0x80 | (c & 0x3f)));
}

/* After "\u". A surrogate without its other half becomes U+FFFD, as Go reads it. */
static int unicode(struct mesh_json_text *t, struct mesh_buf *out)
{
	unsigned c, low;

	if (hex4(t, &c) < 0 || c == 0)
		return -EINVAL;
	if (c >= 0xd800 && c < 0xdc00 && t->end - t->at >= 6 && t->at[0] == '\\' && t->at[1] == 'u') {
		struct mesh_json_text ahead = *t;

		ahead.at += 2;
		if (hex4(&ahead, &low) < 0)
			return -EINVAL;
		if (low >= 0xdc00 && low < 0xe000) {
			t->at = ahead.at;
			utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
			return 0;
		}
	}
	utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
	return 0;
}

static int escape(struct mesh_json_text *t, struct mesh_buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (t->at >= t->end)
		return -EINVAL;
	if (*t->at == 'u') {
		t->at++;
		return unicode(t, out);
	}
	found = *t->at ? strchr(from, *t->at) : NULL;
	if (!found)
		return -EINVAL;
	t->at++;
	mesh_buf_char(out, to[found - from]);
	return 0;
}

/* The text of a string whose opening quote was taken. */
static int string(struct mesh_parse *p, struct mesh_json_text *t, struct mesh_buf *out)
{
	while (t->at < t->end) {
		unsigned char c = (unsigned char)*t->at;

		if (c == '"') {
			t->at++;
			return 0;
		}
		if (c < 0x20) {
			bad(p, t, "a control character in a string");
			return -EINVAL;
		}
		t->at++;
		if (c != '\\') {
			mesh_buf_char(out, (char)c);
		} else if (escape(t, out) < 0) {
			bad(p, t, "an unknown escape in a string");
			return -EINVAL;
		}
	}
	bad(p, t, "a string without end");
	return -EINVAL;
}

static json_t *number(struct mesh_parse *p, struct mesh_json_text *t)
{
	const char *start = t->at;
	bool real = false;
	char text[64];
	size_t len;

	if (t->at < t->end && *t->at == '-')
		t->at++;
	if (t->at >= t->end || !isdigit((unsigned char)*t->at))
		return bad(p, t, "an unexpected character");
	if (*t->at == '0' && t->at + 1 < t->end && isdigit((unsigned char)t->at[1]))
		return bad(p, t, "a number with a leading zero");
	for (; t->at < t->end && (isdigit((unsigned char)*t->at) || strchr(".eE+-", *t->at)) && *t->at; t->at++)
		real |= !isdigit((unsigned char)*t->at);
	len = (size_t)(t->at - start);
	if (len == 0 || len >= sizeof(text))
		return bad(p, t, len ? "a number that is too long" : "a bad number");
	memcpy(text, start, len);
	text[len] = '\0';
	if (!real) {
		errno = 0;
		long long v = strtoll(text, NULL, 10);
		if (errno == 0)
			return json_integer(v);
	}
	char *rest;
	double d = strtod(text, &rest);

	if (*rest || !isfinite(d) || text[len - 1] == '.' || strstr(text, ".e") || strstr(text, ".E"))
		return bad(p, t, "a bad number");
	return mesh_parse_real(d);
}

static json_t *value(struct mesh_parse *p, struct mesh_json_text *t, int depth);

static int member(struct mesh_parse *p, struct mesh_json_text *t, json_t *object, int depth)
{
	struct mesh_buf key = {0};
	unsigned line, col;
	int r = -EINVAL;

	space(t);
	line = t->line;
	col = column(t);
	if (!take(t, '"')) {
		bad(p, t, "a member's name was expected");
		return -EINVAL;
	}
	if (string(p, t, &key) == 0) {
		size_t cut = mesh_parse_path_key(p, key.data ? key.data : "");
		json_t *v;

		mesh_parse_position(p, line, col);
		if (json_object_get(object, key.data ? key.data : ""))
			mesh_parse_duplicate(p, line, col);
		if (!take(t, ':'))
			bad(p, t, "':' was expected");
		else if ((v = value(p, t, depth + 1)) && json_object_set_new(object, key.data ? key.data : "", v) < 0)
			bad(p, t, "a name that is not UTF-8");
		else if (v)
			r = 0;
		mesh_parse_path_cut(p, cut);
	}
	mesh_buf_free(&key);
	return r;
}

static json_t *object(struct mesh_parse *p, struct mesh_json_text *t, int depth)
{
	json_t *o = json_object();

	if (take(t, '}'))
		return o;
	do {
		if (member(p, t, o, depth) < 0)
			goto fail;
	} while (take(t, ','));
	if (take(t, '}'))
		return o;
	bad(p, t, "',' or '}' was expected");
fail:
	json_decref(o);
	return NULL;
}

static json_t *array(struct mesh_parse *p, struct mesh_json_text *t, int depth)
{
	json_t *a = json_array();

	if (take(t, ']'))
		return a;
	do {
		size_t cut = mesh_parse_path_index(p, json_array_size(a));
		json_t *v;

		space(t);
		mesh_parse_position(p, t->line, column(t));
		v = value(p, t, depth + 1);
		mesh_parse_path_cut(p, cut);
		if (!v)
			goto fail;
		json_array_append_new(a, v);
	} while (take(t, ','));
	if (take(t, ']'))
		return a;
	bad(p, t, "',' or ']' was expected");
fail:
	json_decref(a);
	return NULL;
}

static bool word(struct mesh_json_text *t, const char *w)
{
	size_t len = strlen(w);

	if ((size_t)(t->end - t->at) < len || memcmp(t->at, w, len) != 0)
		return false;
	t->at += len;
	return true;
}

static json_t *value(struct mesh_parse *p, struct mesh_json_text *t, int depth)
{
	if (depth > MESH_PARSE_DEPTH_MAX)
		return bad(p, t, "nested too deeply");
	space(t);
	if (t->at >= t->end)
		return bad(p, t, "the text ends too early");
	if (take(t, '{'))
		return object(p, t, depth);
	if (take(t, '['))
		return array(p, t, depth);
	if (take(t, '"')) {
		struct mesh_buf text = {0};
		json_t *s = NULL;

		if (string(p, t, &text) == 0) {
			s = json_stringn(text.data ? text.data : "", text.len);
			if (!s)
				bad(p, t, "a string that is not UTF-8");
		}
		mesh_buf_free(&text);
		return s;
	}
	if (word(t, "true"))
		return json_true();
	if (word(t, "false"))
		return json_false();
	if (word(t, "null"))
		return json_null();
	return number(p, t);
}

json_t *mesh_json_next(struct mesh_parse *p, struct mesh_json_text *text)
{
	space(text);
	return text->at < text->end ? value(p, text, 1) : NULL;
}

int mesh_json_parse(struct mesh_slice text, json_t **ret, struct mesh_errs *errs, struct mesh_errs *duplicates)
{
	struct mesh_json_text t = {text.ptr, text.ptr + text.len, text.ptr, 1};
	struct mesh_parse p = {.errs = errs, .duplicates = duplicates};
	json_t *v;

	v = value(&p, &t, 1);
	if (v) {
		space(&t);
		if (t.at < t.end) {
			bad(&p, &t, "something follows the value");
			json_decref(v);
			v = NULL;
		}
	}
	mesh_buf_free(&p.path);
	if (!v)
		return -EINVAL;
	*ret = v;
	return 0;
}
