/* SPDX-License-Identifier: Apache-2.0 */
#include "model/l4.h"

static void service_free(struct mesh_l4_service *s)
{
	free(s->name);
	mesh_vec_each (d, &s->dests)
		free(d->endpoints);
	mesh_vec_free(&s->dests);
}

void mesh_l4_image_free(struct mesh_l4_image *image)
{
	mesh_vec_each (s, &image->services)
		service_free(s);
	mesh_vec_free(&image->services);
	mesh_vec_free(&image->node_ips);
}

void mesh_l4_delta_free(struct mesh_l4_delta *delta)
{
	mesh_vec_each (s, &delta->set)
		service_free(s);
	mesh_vec_free(&delta->set);
	mesh_vec_free(&delta->gone);
	mesh_vec_free(&delta->node_ips);
}

int mesh_l4_service_order(const void *pa, const void *pb)
{
	const struct mesh_l4_service *a = pa, *b = pb;
	int c = memcmp(&a->vip.ip, &b->vip.ip, sizeof(a->vip.ip));

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (c)
		return c;
	if (a->vip.port != b->vip.port)
		return a->vip.port < b->vip.port ? -1 : 1;
	return (int)a->ip_proto - (int)b->ip_proto;
}
