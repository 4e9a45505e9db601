/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/merge.h"

#include "core/mem.h"
#include "ctl/json_out.h"

#include <string.h>

static const struct mesh_field *field_of(const struct mesh_schema *schema, const char *name)
{
	if (!schema || !schema->fields)
		return NULL;
	for (const struct mesh_field *f = schema->fields; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

static const json_t *by_key(const json_t *list, const char *key, const json_t *value)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item) if (json_equal(json_object_get(item, key), value)) return item;
	return NULL;
}

static json_t *merge_objects(const struct mesh_schema *schema, const json_t *last, const json_t *local,
			     const json_t *live);

/* Live's items keep their place; those that were applied before and are not any more go; new ones come last. */
static json_t *merge_keyed(const struct mesh_field *f, const json_t *last, const json_t *local, const json_t *live)
{
	json_t *out = json_array(), *item;
	size_t i;

	json_array_foreach(live, i, item)
	{
		const json_t *key = json_object_get(item, f->merge_key);
		const json_t *mine = by_key(local, f->merge_key, key), *before = by_key(last, f->merge_key, key);

		if (mine)
			json_array_append_new(out, merge_objects(f->of, before, mine, item));
		else if (!before)
			json_array_append(out, item);
	}
	json_array_foreach(local, i, item) if (!by_key(live, f->merge_key, json_object_get(item, f->merge_key)))
		json_array_append(out, item);
	return out;
}

static bool is_keyed(const struct mesh_field *f, const json_t *list)
{
	json_t *item;
	size_t i;

	if (!f || !f->merge_key || !json_is_array(list))
		return false;
	json_array_foreach(list, i, item) if (!json_object_get(item, f->merge_key)) return false;
	return true;
}

static json_t *merge_values(const struct mesh_field *f, const json_t *last, const json_t *local, const json_t *live)
{
	if (json_is_object(local) && json_is_object(live))
		return merge_objects(f ? f->of : NULL, last, local, live);
	if (is_keyed(f, local) && is_keyed(f, live))
		return merge_keyed(f, last, local, live);
	return json_incref((json_t *)local);
}

static json_t *merge_objects(const struct mesh_schema *schema, const json_t *last, const json_t *local,
			     const json_t *live)
{
	json_t *out = json_copy((json_t *)live), *value;
	const char *key;

	json_object_foreach((json_t *)last, key, value) if (!json_object_get(local, key)) json_object_del(out, key);
	json_object_foreach((json_t *)local, key, value)
	{
		const json_t *mine = json_object_get(live, key);

		if (json_is_null(value) && !json_object_get(last, key))
			json_object_del(out, key);
		else if (json_is_null(value))
			continue;
		else if (!mine)
			json_object_set(out, key, value);
		else
			json_object_set_new(
				out, key, merge_values(field_of(schema, key), json_object_get(last, key), value, mine));
	}
	return out;
}

json_t *mesh_merge_three(const struct mesh_schema *schema, const json_t *last, const json_t *local, const json_t *live)
{
	return merge_objects(schema, last, local, live);
}

json_t *mesh_merge_diff(const json_t *from, const json_t *to)
{
	json_t *patch = json_object(), *value;
	const char *key;

	json_object_foreach((json_t *)from, key, value) if (!json_object_get(to, key))
		json_object_set_new(patch, key, json_null());
	json_object_foreach((json_t *)to, key, value)
	{
		const json_t *before = json_object_get(from, key);

		if (before && json_equal((json_t *)before, value))
			continue;
		if (json_is_object(before) && json_is_object(value))
			json_object_set_new(patch, key, mesh_merge_diff(before, value));
		else
			json_object_set(patch, key, value);
	}
	return patch;
}

char *mesh_merge_note(const json_t *local)
{
	json_t *copy = json_deep_copy(local), *meta = json_object_get(copy, "metadata");
	json_t *annotations = json_object_get(meta, "annotations");
	struct mesh_buf out = {0};

	if (!json_is_object(annotations)) {
		annotations = json_object();
		json_object_set_new(meta, "annotations", annotations);
	}
	json_object_del(annotations, MESH_LAST_APPLIED);
	mesh_json_out(&out, copy, 0);
	mesh_buf_char(&out, '\n');
	json_decref(copy);
	return mesh_buf_steal(&out);
}

void mesh_merge_set_note(json_t *obj, const char *note)
{
	mesh_auto_free char *own = note ? NULL : mesh_merge_note(obj);
	json_t *meta = json_object_get(obj, "metadata"), *annotations = json_object_get(meta, "annotations");

	if (!json_is_object(annotations)) {
		annotations = json_object();
		json_object_set_new(meta, "annotations", annotations);
	}
	json_object_set_new(annotations, MESH_LAST_APPLIED, json_string(note ? note : own));
}
