/* SPDX-License-Identifier: Apache-2.0 */
#include "store/json.h"

#include "config/json_write.h"
#include "core/mem.h"

void mesh_js_write(struct mesh_buf *out, const json_t *v)
{
	mesh_json_write(out, v, &(struct mesh_json_style){0});
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
