/* SPDX-License-Identifier: Apache-2.0 */
#include "config/condition.h"

#include "config/get.h"

#include <string.h>

const json_t *mesh_condition_find(const json_t *obj, const char *type)
{
	const json_t *list = json_object_get(json_object_get(obj, "status"), "conditions");
	json_t *c;
	size_t i;

	json_array_foreach(list, i, c)
	{
		const char *t = json_string_value(json_object_get(c, "type"));

		if (t && strcmp(t, type) == 0)
			return c;
	}
	return NULL;
}

bool mesh_condition_true(const json_t *obj, const char *type)
{
	const char *status = json_string_value(json_object_get(mesh_condition_find(obj, type), "status"));

	return status && strcmp(status, "True") == 0;
}

bool mesh_pod_over(const json_t *pod)
{
	const char *phase = mesh_text(json_object_get(pod, "status"), "phase");

	return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}
