/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a destination may be that is no VIP: the nodes' addresses (for node ports), and the word that tells programs
 * to look at all. What is new is there before the word says so; what is old goes after.
 */
#include "dataplane/dp.h"

#include <errno.h>

static int add_ips(struct mesh_dp *dp, const struct mesh_dp_ips *ips)
{
	uint32_t one = 1;

	for (size_t i = 0; i < ips->count; i++) {
		const struct mesh_addr *ip = &ips->items[i];

		if (mesh_map_get(&dp->node_ips, mesh_ip_key(ip)))
			continue;
		if (bpf_map_update_elem(dp->maps[MESH_DP_MAP_NODEIP], &ip->ip, &one, BPF_ANY) < 0)
			return -errno;
		mesh_map_put(&dp->node_ips, mesh_ip_key(ip), dp);
	}
	return 0;
}

static void remove_ips(struct mesh_dp *dp, const struct mesh_dp_ips *ips)
{
	struct mesh_map wanted = {0};

	for (size_t i = 0; i < ips->count; i++)
		mesh_map_put(&wanted, mesh_ip_key(&ips->items[i]), dp);
	mesh_map_each (e, &dp->node_ips) {
		struct mesh_slice key = mesh_slice_of(e->key, e->key_len);

		if (mesh_map_get(&wanted, key))
			continue;
		bpf_map_delete_elem(dp->maps[MESH_DP_MAP_NODEIP], e->key);
		mesh_map_remove(&dp->node_ips, key);
	}
	mesh_map_free(&wanted);
}

static uint64_t word_of(const struct mesh_dp *dp)
{
	uint16_t low = UINT16_MAX, high = 0;
	bool any = false;

	mesh_map_each (e, &dp->services) {
		const struct mesh_dp_key *k = &((const struct mesh_dp_service *)e->value)->key;
		uint16_t port = k->v6 ? k->k6.port : k->k4.port;

		any |= mesh_dp_key_kind(k) == MESH_KEY_ANY;
		if (mesh_dp_key_kind(k) != MESH_KEY_NODE)
			continue;
		low = MESH_MIN(low, port);
		high = MESH_MAX(high, port);
	}
	return high || any ? mesh_elsewhere(low, high, any) : 0;
}

int mesh_dp_elsewhere_apply(struct mesh_dp *dp, const struct mesh_dp_ips *ips)
{
	uint64_t word = word_of(dp);
	int r = ips ? add_ips(dp, ips) : 0;

	if (r == 0 && word != dp->elsewhere) {
		dp->elsewhere = word;
		r = mesh_dp_node_write(dp);
	}
	if (r == 0 && ips)
		remove_ips(dp, ips);
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
