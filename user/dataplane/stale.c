/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints that new connections to a service do not get any more, while old ones may be there: found by comparing a
 * set that was replaced with the one in force, both as the maps have them, so also after a restart. The old set is
 * swept after that.
 */
#include "dataplane/dp.h"

#include <errno.h>

void mesh_dp_retire(struct mesh_dp *dp, const struct mesh_dp_service *s, const struct mesh_dp_garbage *g)
{
	struct mesh_dp_retired r = {.garbage = *g, .key = s->key, .drain = s->drain};

	if (dp->watch_stale && g->dests && s->drain != MESH_L4_DRAIN_NONE)
		mesh_vec_push(&dp->retired, r);
	else
		mesh_dp_sweep_add(dp, g);
}

void mesh_dp_retired_sweep(struct mesh_dp *dp)
{
	mesh_vec_each (r, &dp->retired)
		mesh_dp_sweep_add(dp, &r->garbage);
	dp->retired.count = 0;
}

static bool read_endpoint(const struct mesh_dp *dp, const struct mesh_slot *slot, bool v6, struct mesh_addr *ret)
{
	struct mesh_ep4 e4;
	struct mesh_ep6 e6;
	uint32_t ip;

	if (!v6) {
		if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_EP4], slot, &e4) < 0)
			return false;
		memcpy(&ip, e4.ip, sizeof(ip));
		*ret = mesh_addr_from_v4(ip, e4.port);
		return true;
	}
	if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_EP6], slot, &e6) < 0)
		return false;
	*ret = (struct mesh_addr){.port = e6.port};
	memcpy(&ret->ip, e6.ip, sizeof(ret->ip));
	return true;
}

/* The endpoints of a set that something may be drawn for. */
static void read_set(struct mesh_dp *dp, uint64_t set, uint32_t dests, bool v6, struct mesh_map *ret)
{
	struct mesh_slot slot = {.set = set};
	struct mesh_addr a;

	for (; slot.dest < dests; slot.dest++) {
		struct mesh_dest d;

		slot.index = 0;
		if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_DEST], &slot, &d) < 0 || d.weight == 0)
			continue;
		for (; slot.index < d.endpoints; slot.index++)
			if (read_endpoint(dp, &slot, v6, &a))
				mesh_map_put(ret, mesh_addr_key(&a), dp);
	}
}

static struct mesh_addr via_of(const struct mesh_dp_key *key)
{
	struct mesh_addr a = {.port = key->k6.port};
	uint32_t ip;

	if (key->v6) {
		memcpy(&a.ip, key->k6.ip, sizeof(a.ip));
		return a;
	}
	memcpy(&ip, key->k4.ip, sizeof(ip));
	return mesh_addr_from_v4(ip, key->k4.port);
}

static bool is_l7(const struct mesh_dp *dp, const struct mesh_dp_key *key)
{
	struct mesh_svc v;

	return bpf_map_lookup_elem(dp->maps[key->v6 ? MESH_DP_MAP_SVC6 : MESH_DP_MAP_SVC4], &key->k4, &v) == 0 &&
	       v.tier == MESH_TIER_L7;
}

static void compare(struct mesh_dp *dp, const struct mesh_dp_retired *old, struct mesh_dp_stale_list *ret)
{
	const struct mesh_dp_service *s = mesh_map_get(&dp->services, mesh_dp_key_bytes(&old->key));
	struct mesh_map was = {0}, now = {0};

	if (s && is_l7(dp, &old->key)) /* requests are routed now; what a connection was placed by is not known */
		return;
	if (s)
		read_set(dp, s->set, s->dests, old->key.v6, &now);
	read_set(dp, old->garbage.set, old->garbage.dests, old->key.v6, &was);
	mesh_map_each (e, &was) {
		struct mesh_dp_stale stale = {.via = via_of(&old->key), .drain = s ? s->drain : old->drain};

		if (mesh_map_get(&now, mesh_slice_of(e->key, e->key_len)))
			continue;
		memcpy(&stale.endpoint, e->key, e->key_len);
		mesh_vec_push(&ret->list, stale);
	}
	mesh_map_free(&was);
	mesh_map_free(&now);
}

void mesh_dp_stale(struct mesh_dp *dp, struct mesh_dp_stale_list *ret)
{
	mesh_vec_each (r, &dp->retired)
		compare(dp, r, ret);
	mesh_dp_retired_sweep(dp);
}
