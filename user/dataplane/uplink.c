/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/bypass.h"

#include <errno.h>

uint32_t mesh_dp_host_ifindex(const struct mesh_dp *dp, const char *device)
{
	uint32_t ifindex = 0;
	int home = -1;

	if (mesh_dp_host_enter(dp->host_netns, &home) == 0) {
		ifindex = if_nametoindex(device);
		mesh_dp_host_leave(&home);
	}
	return ifindex;
}

/* The one before, unless it is this. */
static void replace(struct mesh_dp *dp, uint32_t ifindex)
{
	uint32_t which = MESH_SWITCH_UPLINK, old = 0;
	struct mesh_veth v;

	bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_SWITCHES], &which, &old);
	if (old && old != ifindex && bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_VETH], &old, &v) == 0)
		mesh_dp_bypass_take_off(dp, old, &v);
	bpf_map_update_elem(dp->maps[MESH_DP_MAP_SWITCHES], &which, &ifindex, BPF_ANY);
	if (old != ifindex)
		mesh_dp_bypass_doubt(dp);
	dp->bypass->uplink_ifindex = ifindex;
}

/* What programs were told of a device that they could not be put on. */
static void forget(struct mesh_dp *dp, uint32_t ifindex)
{
	struct mesh_veth v;

	if (ifindex && bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_VETH], &ifindex, &v) == 0 &&
	    (v.flags & MESH_VETH_UPLINK))
		mesh_dp_bypass_take_off(dp, ifindex, &v);
}

/* Returns why not (caller frees), or NULL. */
static char *put_on(struct mesh_dp *dp, const char *device)
{
	struct mesh_dp_end end = {.ifindex = mesh_dp_host_ifindex(dp, device), .veth.flags = MESH_VETH_UPLINK};
	char *why = NULL;
	int r = end.ifindex ? 0 : -ENODEV;

	snprintf(end.name, sizeof(end.name), "%s", device);
	if (r == 0)
		r = mesh_dp_bypass_put_on(dp, &end, false, &why);
	if (r < 0 && !why)
		why = mesh_xasprintf("uplink %s: %s", device, strerror(-r));
	replace(dp, r == 0 ? end.ifindex : 0);
	if (r < 0)
		forget(dp, end.ifindex);
	return why;
}

void mesh_dp_uplink_take(struct mesh_dp *dp, const char *device)
{
	struct mesh_dp_bypass *b = dp->bypass;

	b->uplink = device ? mesh_xstrdup(device) : NULL;
	if (device)
		b->uplink_trouble = put_on(dp, device);
	else
		replace(dp, 0);
}

void mesh_dp_uplink_follow(struct mesh_dp *dp, struct mesh_errs *news)
{
	struct mesh_dp_bypass *b = dp->bypass;
	char *why;

	if (!b->loaded || !b->uplink || mesh_dp_host_ifindex(dp, b->uplink) == b->uplink_ifindex)
		return;
	why = put_on(dp, b->uplink);
	if (!why)
		mesh_errs_add(news, "uplink %s: is there: flows to pods of other nodes take their short way",
			      b->uplink);
	else if (!b->uplink_trouble || strcmp(why, b->uplink_trouble) != 0)
		mesh_errs_add(news, "%s", why);
	free(b->uplink_trouble);
	b->uplink_trouble = why;
}
