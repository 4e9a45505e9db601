/* SPDX-License-Identifier: Apache-2.0 */
#include "config/document.h"
#include "config/schema.h"
#include "config/schema_walk.h"

static void prune_value(enum mesh_type type, const struct mesh_field *f, json_t *v, bool drop_null);

static void prune_object(const struct mesh_schema *s, json_t *obj, bool drop_null)
{
	const char *key;
	json_t *v;
	void *tmp;

	json_object_foreach_safe(obj, tmp, key, v)
	{
		const struct mesh_field *f = mesh_schema_find(s, key);

		if ((!f && !s->open) || (drop_null && json_is_null(v) && !s->open))
			json_object_del(obj, key);
		else if (f)
			prune_value(f->type, f, v, drop_null);
	}
}

static void prune_value(enum mesh_type type, const struct mesh_field *f, json_t *v, bool drop_null)
{
	json_t *item;
	size_t i;
	const char *key;

	if (type == MESH_TYPE_OBJECT && json_is_object(v)) {
		prune_object(f->of, v, drop_null);
	} else if (type == MESH_TYPE_ARRAY && f->item == MESH_TYPE_OBJECT) {
		json_array_foreach(v, i, item) prune_value(MESH_TYPE_OBJECT, f, item, drop_null);
	} else if (type == MESH_TYPE_MAP && f->item == MESH_TYPE_OBJECT) {
		json_object_foreach(v, key, item) prune_value(MESH_TYPE_OBJECT, f, item, drop_null);
	}
}

void mesh_object_prune(const struct mesh_kind *kind, json_t *obj)
{
	json_t *metadata = json_object_get(obj, "metadata"), *v;
	bool builtin = kind->flags & MESH_KIND_BUILTIN;
	const char *key;
	void *tmp;

	if (json_is_object(metadata))
		prune_object(&mesh_schema_object_meta, metadata, true);
	json_object_foreach_safe(obj, tmp, key, v)
	{
		const struct mesh_field *f = mesh_schema_find(kind->schema, key);

		if (strcmp(key, "apiVersion") == 0 || strcmp(key, "kind") == 0 || strcmp(key, "metadata") == 0)
			continue;
		if ((!f && !kind->schema->open) || (builtin && json_is_null(v)))
			json_object_del(obj, key);
		else if (f)
			prune_value(f->type, f, v, builtin);
	}
}
