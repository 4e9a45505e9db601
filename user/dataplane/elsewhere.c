/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a destination may be that is no VIP: the nodes' addresses (for node ports), and the word that tells programs
 * to look at all. What is new is there before the word says so; what is old goes after.
 */
#include "dataplane/dp.h"

#include <errno.h>

static struct mesh_slice ip_bytes(const struct mesh_addr *a)
{
	return mesh_slice_of((const char *)&a->ip, sizeof(a->ip));
}

static int add_ips(struct mesh_dp *dp, const struct mesh_l4_image *image)
{
	uint32_t one = 1;

	mesh_vec_each (ip, &image->node_ips) {
		if (mesh_map_get(&dp->node_ips, ip_bytes(ip)))
			continue;
		if (bpf_map_update_elem(dp->maps[MESH_DP_MAP_NODEIP], &ip->ip, &one, BPF_ANY) < 0)
			return -errno;
		mesh_map_put(&dp->node_ips, ip_bytes(ip), dp);
	}
	return 0;
}

static void remove_ips(struct mesh_dp *dp, const struct mesh_l4_image *image)
{
	struct mesh_map wanted = {0};

	mesh_vec_each (ip, &image->node_ips)
		mesh_map_put(&wanted, ip_bytes(ip), dp);
	mesh_map_each (e, &dp->node_ips) {
		struct mesh_slice key = mesh_slice_of(e->key, e->key_len);

		if (mesh_map_get(&wanted, key))
			continue;
		bpf_map_delete_elem(dp->maps[MESH_DP_MAP_NODEIP], e->key);
		mesh_map_remove(&dp->node_ips, key);
	}
	mesh_map_free(&wanted);
}

static uint64_t word_of(const struct mesh_l4_image *image)
{
	uint16_t low = UINT16_MAX, high = 0;
	bool any = false;

	mesh_vec_each (s, &image->services) {
		any |= s->kind == MESH_KEY_ANY;
		if (s->kind != MESH_KEY_NODE)
			continue;
		low = MESH_MIN(low, s->vip.port);
		high = MESH_MAX(high, s->vip.port);
	}
	return high || any ? mesh_elsewhere(low, high, any) : 0;
}

int mesh_dp_elsewhere_apply(struct mesh_dp *dp, const struct mesh_l4_image *image)
{
	uint64_t word = word_of(image);
	int r = add_ips(dp, image);

	if (r == 0 && word != dp->elsewhere) {
		dp->elsewhere = word;
		r = mesh_dp_node_write(dp);
	}
	if (r == 0)
		remove_ips(dp, image);
	return r;
}

int mesh_dp_elsewhere_adopt(struct mesh_dp *dp)
{
	struct mesh_node_ip key, *prev = NULL;

	while (bpf_map_get_next_key(dp->maps[MESH_DP_MAP_NODEIP], prev, &key) == 0) {
		prev = &key;
		mesh_map_put(&dp->node_ips, mesh_slice_of((const char *)key.ip, sizeof(key.ip)), dp);
	}
	return errno == ENOENT ? 0 : -errno;
}
