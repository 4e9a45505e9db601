/* SPDX-License-Identifier: Apache-2.0 */
#include "model/route.h"

#include <stdlib.h>

/* Everything, source and selector labels too, is in the object's arena. */
#define FREE(object)                                                                                                   \
	do {                                                                                                           \
		if (object)                                                                                            \
			mesh_arena_free(&(object)->arena);                                                             \
		free(object);                                                                                          \
	} while (0)

void mesh_virtual_service_free(struct mesh_virtual_service *vs)
{
	FREE(vs);
}

void mesh_destination_rule_free(struct mesh_destination_rule *dr)
{
	FREE(dr);
}

void mesh_gateway_free(struct mesh_gateway *gw)
{
	FREE(gw);
}

void mesh_member_roll_free(struct mesh_member_roll *roll)
{
	FREE(roll);
}

void mesh_service_entry_free(struct mesh_service_entry *se)
{
	FREE(se);
}
