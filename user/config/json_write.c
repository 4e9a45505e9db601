/* SPDX-License-Identifier: Apache-2.0 */
#include "config/json_write.h"

#include "core/mem.h"

#include <math.h>
#include <stdio.h>

struct writer {
	struct mesh_buf *out;
	const struct mesh_json_style *style;
};

/* What a byte becomes: its letter after a backslash, 'u' for \u00xx, 0 as it is. */
static char escape_of(unsigned char c, bool html)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '<':
	case '>':
	case '&':
		return html ? 'u' : 0;
	default:
		return c < 0x20 ? 'u' : 0;
	}
}

/* U+2028 or U+2029 at s in UTF-8? */
static bool is_separator(const char *s, size_t left)
{
	return left >= 3 && (unsigned char)s[0] == 0xe2 && (unsigned char)s[1] == 0x80 &&
	       ((unsigned char)s[2] | 1) == 0xa9;
}

static void write_string(const struct writer *w, const char *s, size_t len)
{
	bool html = w->style->html;
	size_t from = 0;

	mesh_buf_char(w->out, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		char escape = escape_of(c, html);
		bool separator = html && c == 0xe2 && is_separator(s + i, len - i);

		if (!escape && !separator)
			continue;
		mesh_buf_add(w->out, s + from, i - from);
		if (separator) {
			mesh_buf_printf(w->out, "\\u%04x", 0x2028U + ((unsigned char)s[i + 2] & 1U));
			i += 2;
		} else if (escape == 'u') {
			mesh_buf_printf(w->out, "\\u%04x", c);
		} else {
			mesh_buf_char(w->out, '\\');
			mesh_buf_char(w->out, escape);
		}
		from = i + 1;
	}
	mesh_buf_add(w->out, s + from, len - from);
	mesh_buf_char(w->out, '"');
}

/* The shortest digits that read back as the same double. */
static void write_real(struct mesh_buf *out, double d)
{
	char text[64], plain[400];
	double size = fabs(d);
	int digits = 1, exponent, decimals;

	for (; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*e", digits - 1, d);
		if (strtod(text, NULL) == d)
			break;
	}
	digits = digits > 17 ? 17 : digits;
	exponent = atoi(strchr(text, 'e') + 1);
	if (size != 0 && (size < 1e-6 || size >= 1e21)) {
		*strchr(text, 'e') = '\0';
		mesh_buf_printf(out, "%se%+d", text, exponent);
		return;
	}
	decimals = digits - 1 - exponent;
	snprintf(plain, sizeof(plain), "%.*f", decimals > 0 ? decimals : 0, d);
	mesh_buf_str(out, plain);
}

void mesh_json_write_number(struct mesh_buf *out, const json_t *number)
{
	if (json_is_integer(number))
		mesh_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
	else
		write_real(out, json_real_value(number));
}

static void new_line(const struct writer *w, int depth)
{
	if (w->style->indent)
		mesh_buf_printf(w->out, "\n%*s", w->style->indent * depth, "");
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_value(const struct writer *w, const json_t *v, int depth);

static void write_member(const struct writer *w, const char *key, const json_t *value, bool first, int depth)
{
	if (!first)
		mesh_buf_char(w->out, ',');
	new_line(w, depth + 1);
	write_string(w, key, strlen(key));
	mesh_buf_str(w->out, w->style->indent ? ": " : ":");
	write_value(w, value, depth + 1);
}

static void write_sorted(const struct writer *w, const json_t *object, int depth)
{
	size_t count = json_object_size(object), n = 0;
	mesh_auto_free const char **keys = mesh_xcalloc(count + 1, sizeof(*keys));
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) keys[n++] = key;
	qsort(keys, n, sizeof(*keys), by_bytes);
	for (size_t i = 0; i < n; i++)
		write_member(w, keys[i], json_object_get(object, keys[i]), i == 0, depth);
}

static void write_object(const struct writer *w, const json_t *object, int depth)
{
	bool first = true;
	const char *key;
	json_t *value;

	mesh_buf_char(w->out, '{');
	if (w->style->sorted) {
		write_sorted(w, object, depth);
	} else {
		json_object_foreach((json_t *)object, key, value)
		{
			write_member(w, key, value, first, depth);
			first = false;
		}
	}
	if (json_object_size(object))
		new_line(w, depth);
	mesh_buf_char(w->out, '}');
}

static void write_array(const struct writer *w, const json_t *array, int depth)
{
	json_t *item;
	size_t i;

	mesh_buf_char(w->out, '[');
	json_array_foreach((json_t *)array, i, item)
	{
		if (i)
			mesh_buf_char(w->out, ',');
		new_line(w, depth + 1);
		write_value(w, item, depth + 1);
	}
	if (json_array_size(array))
		new_line(w, depth);
	mesh_buf_char(w->out, ']');
}

static void write_value(const struct writer *w, const json_t *v, int depth)
{
	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_OBJECT:
		write_object(w, v, depth);
		break;
	case JSON_ARRAY:
		write_array(w, v, depth);
		break;
	case JSON_STRING:
		write_string(w, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
	case JSON_REAL:
		mesh_json_write_number(w->out, v);
		break;
	case JSON_TRUE:
		mesh_buf_str(w->out, "true");
		break;
	case JSON_FALSE:
		mesh_buf_str(w->out, "false");
		break;
	case JSON_NULL:
		mesh_buf_str(w->out, "null");
		break;
	}
}

void mesh_json_write(struct mesh_buf *out, const json_t *v, const struct mesh_json_style *style)
{
	write_value(&(struct writer){out, style}, v, 0);
}
