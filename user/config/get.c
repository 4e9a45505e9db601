/* SPDX-License-Identifier: Apache-2.0 */
#include "config/get.h"

bool mesh_has(const json_t *obj, const char *key)
{
	const json_t *v = json_object_get(obj, key);

	return v && !json_is_null(v);
}

const char *mesh_text(const json_t *obj, const char *key)
{
	const char *s = mesh_json_text(obj, key);

	return s ? s : "";
}

json_int_t mesh_number(const json_t *obj, const char *key)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_real(v) ? (json_int_t)json_real_value(v) : json_integer_value(v);
}

const char *mesh_json_text(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

const json_t *mesh_json_walk(const json_t *obj, const char *const *keys)
{
	for (; obj && *keys; keys++)
		obj = json_object_get(obj, *keys);
	return obj;
}

const char *mesh_meta(const json_t *obj, const char *key)
{
	return mesh_text(json_object_get(obj, "metadata"), key);
}
