/* SPDX-License-Identifier: Apache-2.0 */
#include "store/json.h"

#include "core/mem.h"

#include <math.h>
#include <stdio.h>

static void write_string(struct mesh_buf *out, const char *s, size_t len)
{
	size_t from = 0;

	mesh_buf_char(out, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		const char *escape = NULL;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		mesh_buf_add(out, s + from, i - from);
		from = i + 1;
		switch (c) {
		case '"':
			escape = "\\\"";
			break;
		case '\\':
			escape = "\\\\";
			break;
		case '\n':
			escape = "\\n";
			break;
		case '\r':
			escape = "\\r";
			break;
		case '\t':
			escape = "\\t";
			break;
		default:
			break;
		}
		if (escape)
			mesh_buf_str(out, escape);
		else
			mesh_buf_printf(out, "\\u%04x", c);
	}
	mesh_buf_add(out, s + from, len - from);
	mesh_buf_char(out, '"');
}

/* The shortest digits that read back as the same double; plain notation between 1e-6 and 1e21. */
static void write_real(struct mesh_buf *out, double d)
{
	char text[64], plain[400];
	double size = fabs(d);
	int digits = 1;

	for (; digits < 17; digits++) {
		snprintf(text, sizeof(text), "%.*e", digits - 1, d);
		if (strtod(text, NULL) == d)
			break;
	}
	if (size != 0 && (size < 1e-6 || size >= 1e21)) {
		snprintf(text, sizeof(text), "%.*e", digits - 1, d);
		mesh_buf_str(out, text);
		return;
	}
	snprintf(text, sizeof(text), "%.*e", digits - 1, d);
	int exponent = atoi(strchr(text, 'e') + 1);
	int decimals = digits - 1 - exponent;

	snprintf(plain, sizeof(plain), "%.*f", decimals > 0 ? decimals : 0, d);
	mesh_buf_str(out, plain);
}

static void write_object(struct mesh_buf *out, const json_t *v)
{
	const char *key;
	json_t *value;
	bool first = true;

	mesh_buf_char(out, '{');
	json_object_foreach((json_t *)v, key, value)
	{
		if (!first)
			mesh_buf_char(out, ',');
		first = false;
		write_string(out, key, strlen(key));
		mesh_buf_char(out, ':');
		mesh_js_write(out, value);
	}
	mesh_buf_char(out, '}');
}

void mesh_js_write(struct mesh_buf *out, const json_t *v)
{
	size_t i;
	json_t *item;

	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_OBJECT:
		write_object(out, v);
		break;
	case JSON_ARRAY:
		mesh_buf_char(out, '[');
		json_array_foreach((json_t *)v, i, item)
		{
			if (i)
				mesh_buf_char(out, ',');
			mesh_js_write(out, item);
		}
		mesh_buf_char(out, ']');
		break;
	case JSON_STRING:
		write_string(out, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
		mesh_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		write_real(out, json_real_value(v));
		break;
	case JSON_TRUE:
		mesh_buf_str(out, "true");
		break;
	case JSON_FALSE:
		mesh_buf_str(out, "false");
		break;
	default:
		mesh_buf_str(out, "null");
		break;
	}
}

json_t *mesh_js_at(const json_t *obj, const char *path)
{
	char key[256];

	while (obj) {
		const char *dot = strchr(path, '.');
		size_t len = dot ? (size_t)(dot - path) : strlen(path);

		if (len >= sizeof(key))
			return NULL;
		memcpy(key, path, len);
		key[len] = '\0';
		obj = json_object_get(obj, key);
		if (!dot)
			break;
		path = dot + 1;
	}
	return (json_t *)obj;
}

const char *mesh_js_text(const json_t *obj, const char *path)
{
	return json_string_value(mesh_js_at(obj, path));
}

const char *mesh_js_str(const json_t *obj, const char *path)
{
	const char *s = mesh_js_text(obj, path);

	return s ? s : "";
}

int64_t mesh_js_int(const json_t *obj, const char *path, int64_t fallback)
{
	json_t *v = mesh_js_at(obj, path);

	return json_is_integer(v) ? json_integer_value(v) : fallback;
}

json_t *mesh_js_make(json_t *obj, const char *path)
{
	char key[256];

	for (;;) {
		const char *dot = strchr(path, '.');
		size_t len = dot ? (size_t)(dot - path) : strlen(path);
		json_t *next;

		if (len >= sizeof(key))
			return NULL;
		memcpy(key, path, len);
		key[len] = '\0';
		next = json_object_get(obj, key);
		if (!json_is_object(next)) {
			next = json_object();
			json_object_set_new(obj, key, next);
		}
		obj = next;
		if (!dot)
			return obj;
		path = dot + 1;
	}
}

void mesh_js_set(json_t *obj, const char *key, const char *text)
{
	json_object_set_new(obj, key, json_string(text));
}

bool mesh_js_has(const json_t *array, const char *text)
{
	size_t i;
	json_t *item;

	json_array_foreach((json_t *)array, i,
			   item) if (json_is_string(item) && strcmp(json_string_value(item), text) == 0) return true;
	return false;
}

json_t *mesh_js_load(struct mesh_slice text, char **error)
{
	json_error_t e;
	json_t *v = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);

	if (!v)
		*error = mesh_xasprintf("%s", e.text);
	return v;
}
