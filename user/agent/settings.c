/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/settings.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const REVISION = "SOCKMESH_REVISION", *const OWN = "SOCKMESH_";

bool mesh_agent_settings(const char *text)
{
	json_t *settings = text && *text ? json_loads(text, 0, NULL) : NULL, *value;
	const char *has = getenv(REVISION), *wanted = json_string_value(json_object_get(settings, REVISION)), *name;
	bool other = wanted && (!has || strcmp(has, wanted) != 0);

	json_object_foreach(other ? settings : NULL, name, value)
	{
		if (json_is_string(value))
			setenv(name, json_string_value(value), 1);
		else if (strncmp(name, OWN, strlen(OWN)) == 0)
			unsetenv(name); /* others, where the ConfigMap has none, are the kubelet's */
	}
	json_decref(settings);
	return other;
}
