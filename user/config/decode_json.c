/* SPDX-License-Identifier: Apache-2.0 */
#include "config/decode_json.h"

#include "config/columns.h"
#include "config/decode.h"
#include "core/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

char *mesh_json_strdup(const json_t *v)
{
	const char *s = json_string_value(v);

	return s && *s ? mesh_xstrdup(s) : NULL;
}

const char *mesh_json_copy(struct mesh_arena *a, const json_t *v)
{
	const char *s = json_string_value(v);

	return s && *s ? mesh_arena_strdup(a, s) : NULL;
}

const char *const *mesh_json_copies(struct mesh_arena *a, const json_t *list, size_t *count)
{
	const char **out;
	size_t i;
	json_t *v;

	*count = 0;
	if (json_array_size(list) == 0)
		return NULL;
	out = mesh_arena_array(a, const char *, json_array_size(list));
	json_array_foreach(list, i, v) if (json_is_string(v)) out[(*count)++] =
		mesh_arena_strdup(a, json_string_value(v));
	return out;
}

uint16_t mesh_json_port(const json_t *v)
{
	json_int_t n = json_integer_value(v);

	return n >= 1 && n <= 65535 ? (uint16_t)n : 0;
}

int mesh_json_meta(struct mesh_arena *a, const json_t *obj, struct mesh_json_meta *ret)
{
	const json_t *m = json_object_get(obj, "metadata");
	const char *t = mesh_json_text(m, "creationTimestamp"), *rv = mesh_json_text(m, "resourceVersion");
	int64_t when;

	if (!mesh_json_text(m, "namespace") || !mesh_json_text(m, "name"))
		return -EINVAL;
	*ret = (struct mesh_json_meta){.ns = mesh_json_copy(a, json_object_get(m, "namespace")),
				       .name = mesh_json_copy(a, json_object_get(m, "name"))};
	if (!ret->ns || !ret->name)
		return -EINVAL;
	if (t && mesh_decode_time(t, &when) == 0 && when > 0)
		ret->created = (uint64_t)when;
	if (rv)
		mesh_slice_to_u64(mesh_slice_str(rv), UINT64_MAX, &ret->resource_version);
	return 0;
}
