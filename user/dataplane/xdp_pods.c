/* SPDX-License-Identifier: Apache-2.0 */
/* What the program on the uplink knows of the node's pods: map ownip. */
#include "dataplane/xdp.h"

#include "dataplane/bypass.h"

#include <netlink/netlink.h>
#include <netlink/route/route.h>

struct own_ips {
	const struct mesh_dp *dp;
	const uint64_t *netns; /* those of this pod but what it has now; NULL: see what */
	const struct mesh_pod_ip *has;
	size_t has_count;
	enum { OF_NOBODY, UNREACHED, ALL } what;
	MESH_VEC(struct mesh_pod_ip) list;
	size_t unreached;
};

static bool is_old(const struct own_ips *all, const struct mesh_pod_ip *key, uint64_t netns)
{
	for (size_t i = 0; i < all->has_count; i++)
		if (memcmp(&all->has[i], key, sizeof(*key)) == 0)
			return false;
	return netns == *all->netns;
}

static void see_own_ip(void *arg, const void *key_bytes, const void *value)
{
	struct own_ips *all = arg;
	struct mesh_pod_ip key;
	struct mesh_own_ip own;
	struct mesh_pod pod;
	bool wanted;

	memcpy(&key, key_bytes, sizeof(key));
	memcpy(&own, value, sizeof(own));
	all->unreached += !own.ifindex;
	if (all->netns)
		wanted = is_old(all, &key, own.netns);
	else if (all->what == OF_NOBODY)
		wanted = bpf_map_lookup_elem(all->dp->maps[MESH_DP_MAP_PODS], &own.netns, &pod) < 0;
	else
		wanted = all->what == ALL || !own.ifindex;
	if (wanted)
		mesh_vec_push(&all->list, key);
}

/* Returns how many there are. */
static uint64_t see_own_ips(struct own_ips *all)
{
	return mesh_dp_each_batch(all->dp->maps[MESH_DP_MAP_OWNIP], sizeof(struct mesh_pod_ip),
				  sizeof(struct mesh_own_ip), see_own_ip, all);
}

static void delete_own_ips(struct own_ips *all)
{
	see_own_ips(all);
	mesh_vec_each (key, &all->list)
		bpf_map_delete_elem(all->dp->maps[MESH_DP_MAP_OWNIP], key);
	mesh_vec_free(&all->list);
}

/* The device by which the node reaches an address; 0: by none, by several, or by the uplink itself. */
static uint32_t way_to(const struct mesh_dp_xdp *x, const struct mesh_pod_ip *ip)
{
	struct mesh_addr a = {0};
	struct rtnl_route *found = NULL;
	struct nl_addr *to;
	uint32_t ifindex = 0;

	memcpy(&a.ip, ip->ip, sizeof(a.ip));
	to = mesh_addr_is_v4(&a) ? nl_addr_build(AF_INET, ip->ip + 12, 4) : nl_addr_build(AF_INET6, ip->ip, 16);
	if (to && rtnl_route_lookup(x->route, to, &found) == 0 && rtnl_route_get_type(found) == RTN_UNICAST &&
	    rtnl_route_get_nnexthops(found) == 1)
		ifindex = (uint32_t)rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(found, 0));
	if (found)
		rtnl_route_put(found);
	nl_addr_put(to);
	return ifindex == x->ifindex ? 0 : ifindex;
}

static void write_own_ip(const struct mesh_dp *dp, const struct mesh_pod_ip *ip, uint64_t netns)
{
	struct mesh_own_ip own = {.netns = netns, .ifindex = way_to(dp->xdp, ip)};

	dp->xdp->unreached += !own.ifindex;
	bpf_map_update_elem(dp->maps[MESH_DP_MAP_OWNIP], ip, &own, BPF_ANY);
}

void mesh_dp_xdp_look_again(const struct mesh_dp *dp)
{
	struct own_ips all = {.dp = dp, .what = UNREACHED};
	struct mesh_own_ip own;

	if (!dp->xdp->unreached)
		return;
	dp->xdp->unreached = 0;
	see_own_ips(&all);
	mesh_vec_each (ip, &all.list)
		if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_OWNIP], ip, &own) == 0)
			write_own_ip(dp, ip, own.netns);
	mesh_vec_free(&all.list);
}

static size_t addresses_of(const struct mesh_pod *pod, struct mesh_pod_ip ret[2])
{
	static const uint8_t none[16];
	struct mesh_addr a;
	size_t n = 0;
	uint32_t v4;

	memcpy(&v4, pod->ip4, sizeof(v4));
	a = mesh_addr_from_v4(v4, 0);
	if (v4)
		memcpy(ret[n++].ip, &a.ip, sizeof(a.ip));
	if (memcmp(pod->ip6, none, sizeof(none)) != 0)
		memcpy(ret[n++].ip, pod->ip6, sizeof(pod->ip6));
	return n;
}

void mesh_dp_xdp_forget(const struct mesh_dp *dp, bool all)
{
	struct own_ips own = {.dp = dp, .what = all ? ALL : OF_NOBODY};

	delete_own_ips(&own);
}

uint64_t mesh_dp_xdp_addresses(const struct mesh_dp *dp, size_t *unreached)
{
	struct own_ips all = {.dp = dp, .what = UNREACHED};
	uint64_t n = see_own_ips(&all);

	mesh_vec_free(&all.list);
	*unreached = all.unreached;
	return n;
}

void mesh_dp_xdp_add(struct mesh_dp *dp, uint64_t netns_cookie, const struct mesh_pod *pod)
{
	struct mesh_pod_ip ips[2];
	struct own_ips old = {.dp = dp, .netns = &netns_cookie, .has = ips};

	if (!dp->xdp->skel)
		return;
	mesh_dp_xdp_leave(dp, netns_cookie, pod->name);
	old.has_count = addresses_of(pod, ips);
	for (size_t i = 0; i < old.has_count; i++)
		write_own_ip(dp, &ips[i], netns_cookie);
	delete_own_ips(&old);
	mesh_dp_xdp_look_again(dp);
}

void mesh_dp_xdp_remove(struct mesh_dp *dp, uint64_t netns_cookie)
{
	struct own_ips all = {.dp = dp, .netns = &netns_cookie};

	if (!dp->xdp->skel)
		return;
	delete_own_ips(&all);
	mesh_dp_xdp_look_again(dp);
}
