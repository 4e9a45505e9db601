/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs know of devices. Map veth has all of it; vethplaces repeats what IPv4 needs, and is only ever believed
 * where it says that a packet is its pod's own: a place that lags behind costs a look-up, no verdict.
 */
#include "dataplane/bypass.h"

#include <errno.h>

static uint32_t place_of(uint32_t ifindex)
{
	return ifindex % MESH_VETH_PLACES;
}

static void write_place(const struct mesh_dp *dp, uint32_t i, const struct mesh_veth_place *p)
{
	bpf_map_update_elem(dp->maps[MESH_DP_MAP_VETHPLACES], &i, p, BPF_ANY);
}

static bool read_place(const struct mesh_dp *dp, uint32_t i, struct mesh_veth_place *ret)
{
	return bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_VETHPLACES], &i, ret) == 0;
}

static bool is_known(const struct mesh_dp *dp, uint32_t ifindex)
{
	struct mesh_veth v;

	return bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_VETH], &ifindex, &v) == 0;
}

static void fill_place(const struct mesh_dp *dp, uint32_t ifindex, const struct mesh_veth *v)
{
	static const uint8_t none[sizeof(v->ip4)];
	struct mesh_veth_place p;

	if (!read_place(dp, place_of(ifindex), &p))
		return;
	if (p.ifindex && p.ifindex != ifindex && is_known(dp, p.ifindex))
		return;
	p = (struct mesh_veth_place){.ifindex = ifindex, .flags = v->flags};
	memcpy(p.ip4, v->ip4, sizeof(p.ip4));
	if (memcmp(v->ip4, none, sizeof(none)) == 0)
		p = (struct mesh_veth_place){0};
	write_place(dp, place_of(ifindex), &p);
}

int mesh_dp_veth_write(const struct mesh_dp *dp, uint32_t ifindex, const struct mesh_veth *v)
{
	if (bpf_map_update_elem(dp->maps[MESH_DP_MAP_VETH], &ifindex, v, BPF_ANY) < 0)
		return -errno;
	fill_place(dp, ifindex, v);
	return 0;
}

void mesh_dp_veth_delete(const struct mesh_dp *dp, uint32_t ifindex)
{
	static const struct mesh_veth_place nobody;
	struct mesh_veth_place p;

	if (read_place(dp, place_of(ifindex), &p) && p.ifindex == ifindex)
		write_place(dp, place_of(ifindex), &nobody);
	bpf_map_delete_elem(dp->maps[MESH_DP_MAP_VETH], &ifindex);
}

struct places {
	MESH_VEC(struct mesh_veth_place) list;
};

static void see_place(void *arg, const void *key, const void *value)
{
	struct mesh_veth_place p;
	struct places *all = arg;

	(void)key;
	memcpy(&p, value, sizeof(p));
	if (p.ifindex)
		mesh_vec_push(&all->list, p);
}

void mesh_dp_veth_agree(const struct mesh_dp *dp)
{
	static const struct mesh_veth_place nobody;
	struct places all = {0};

	mesh_dp_each_batch(dp->maps[MESH_DP_MAP_VETHPLACES], sizeof(uint32_t), sizeof(struct mesh_veth_place),
			   see_place, &all);
	mesh_vec_each (p, &all.list) {
		struct mesh_veth v;

		if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_VETH], &p->ifindex, &v) == 0)
			fill_place(dp, p->ifindex, &v);
		else
			write_place(dp, place_of(p->ifindex), &nobody);
	}
	mesh_vec_free(&all.list);
}
