/* SPDX-License-Identifier: Apache-2.0 */
#include "model/l4.h"

void mesh_l4_image_free(struct mesh_l4_image *image)
{
	mesh_vec_each (s, &image->services) {
		free(s->name);
		mesh_vec_each (d, &s->dests)
			free(d->endpoints);
		mesh_vec_free(&s->dests);
	}
	mesh_vec_free(&image->services);
	mesh_vec_free(&image->node_ips);
}
