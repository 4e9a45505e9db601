/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/json_out.h"

#include "core/mem.h"
#include "core/vec.h"

#include <math.h>
#include <stdio.h>

void mesh_number_out(struct mesh_buf *out, const json_t *number)
{
	char text[40];
	double v;

	if (json_is_integer(number)) {
		mesh_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
		return;
	}
	v = json_real_value(number);
	if (v == floor(v) && fabs(v) < 1e21) {
		mesh_buf_printf(out, "%.0f", v);
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	mesh_buf_str(out, text);
}

static void escape(struct mesh_buf *out, unsigned c)
{
	mesh_buf_printf(out, "\\u%04x", c);
}

static void string_out(struct mesh_buf *out, const char *s, size_t len)
{
	mesh_buf_char(out, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			mesh_buf_printf(out, "\\%c", c);
		else if (c == '\n')
			mesh_buf_str(out, "\\n");
		else if (c == '\r')
			mesh_buf_str(out, "\\r");
		else if (c == '\t')
			mesh_buf_str(out, "\\t");
		else if (c == '\b')
			mesh_buf_str(out, "\\b");
		else if (c == '\f')
			mesh_buf_str(out, "\\f");
		else if (c < 0x20 || c == '<' || c == '>' || c == '&')
			escape(out, c);
		else if (c == 0xe2 && i + 2 < len && (unsigned char)s[i + 1] == 0x80 &&
			 ((unsigned char)s[i + 2] | 1) == 0xa9) { /* U+2028, U+2029 */
			escape(out, 0x2028 + ((unsigned char)s[i + 2] & 1));
			i += 2;
		} else
			mesh_buf_char(out, (char)c);
	}
	mesh_buf_char(out, '"');
}

static void new_line(struct mesh_buf *out, int indent, int depth)
{
	if (indent == 0)
		return;
	mesh_buf_printf(out, "\n%*s", indent * depth, "");
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

typedef int order_fn(const void *a, const void *b);

/* The keys of an object in order. Caller frees; NULL-ended. */
static const char **sorted_keys(const json_t *object, order_fn *order)
{
	const char **keys = mesh_xcalloc(json_object_size(object) + 1, sizeof(*keys)), *key;
	json_t *value;
	size_t n = 0;

	json_object_foreach((json_t *)object, key, value) keys[n++] = key;
	qsort(keys, n, sizeof(*keys), order);
	return keys;
}

static void json_at(struct mesh_buf *out, const json_t *v, int indent, int depth);

static void object_at(struct mesh_buf *out, const json_t *v, int indent, int depth)
{
	mesh_auto_free const char **keys = sorted_keys(v, by_bytes);

	mesh_buf_char(out, '{');
	for (const char **k = keys; *k; k++) {
		if (k != keys)
			mesh_buf_char(out, ',');
		new_line(out, indent, depth + 1);
		string_out(out, *k, strlen(*k));
		mesh_buf_str(out, indent ? ": " : ":");
		json_at(out, json_object_get(v, *k), indent, depth + 1);
	}
	if (keys[0])
		new_line(out, indent, depth);
	mesh_buf_char(out, '}');
}

static void array_at(struct mesh_buf *out, const json_t *v, int indent, int depth)
{
	json_t *item;
	size_t i;

	mesh_buf_char(out, '[');
	json_array_foreach(v, i, item)
	{
		if (i)
			mesh_buf_char(out, ',');
		new_line(out, indent, depth + 1);
		json_at(out, item, indent, depth + 1);
	}
	if (json_array_size(v))
		new_line(out, indent, depth);
	mesh_buf_char(out, ']');
}

static void json_at(struct mesh_buf *out, const json_t *v, int indent, int depth)
{
	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_OBJECT:
		object_at(out, v, indent, depth);
		break;
	case JSON_ARRAY:
		array_at(out, v, indent, depth);
		break;
	case JSON_STRING:
		string_out(out, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
	case JSON_REAL:
		mesh_number_out(out, v);
		break;
	case JSON_TRUE:
		mesh_buf_str(out, "true");
		break;
	case JSON_FALSE:
		mesh_buf_str(out, "false");
		break;
	case JSON_NULL:
		mesh_buf_str(out, "null");
		break;
	}
}

void mesh_json_out(struct mesh_buf *out, const json_t *value, int indent)
{
	json_at(out, value, indent, 0);
}
