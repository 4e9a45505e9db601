/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/xdp.h"

#include "core/netdev.h"
#include "dataplane/bypass.h"
#include "uplink.skel.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <stdio.h>

#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

/* The link that is pinned */

static char *link_pin(const struct mesh_dp *dp)
{
	return mesh_xasprintf("%s/links/uplink_in", dp->pin_dir);
}

static struct bpf_link *open_link(const struct mesh_dp *dp, struct bpf_link_info *info)
{
	mesh_auto_free char *pin = link_pin(dp);
	struct bpf_link *link = access(pin, F_OK) == 0 ? bpf_link__open(pin) : NULL;
	uint32_t len = sizeof(*info);

	*info = (struct bpf_link_info){0};
	if (link)
		bpf_obj_get_info_by_fd(bpf_link__fd(link), info, &len);
	return link;
}

static void drop_link(const struct mesh_dp *dp)
{
	mesh_auto_free char *pin = link_pin(dp);
	struct bpf_link_info info;
	struct bpf_link *link = open_link(dp, &info);

	if (!link)
		return;
	bpf_link__detach(link);
	bpf_link__destroy(link);
	unlink(pin);
}

static bool is_attached(const struct mesh_dp *dp)
{
	struct bpf_link_info info;
	struct bpf_link *link = open_link(dp, &info);

	if (!link)
		return false;
	bpf_link__destroy(link);
	return info.type == BPF_LINK_TYPE_XDP && info.xdp.ifindex == dp->xdp->ifindex && dp->xdp->ifindex;
}

/* In the node's namespace: who is on the device. */
static int query(uint32_t ifindex, uint32_t *native, uint32_t *generic, uint32_t *hardware)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	int r = bpf_xdp_query((int)ifindex, 0, &q);

	*native = q.drv_prog_id ? q.drv_prog_id : q.attach_mode == XDP_ATTACHED_DRV ? q.prog_id : 0;
	*generic = q.skb_prog_id ? q.skb_prog_id : q.attach_mode == XDP_ATTACHED_SKB ? q.prog_id : 0;
	*hardware = q.hw_prog_id;
	return r;
}

/* Gives the link that an earlier agent pinned the new program. False: there is none, or not on this device and in this
 * mode. */
static bool adopt(struct mesh_dp *dp, uint32_t ifindex)
{
	uint32_t native, generic, hardware;
	struct bpf_link_info info;
	struct bpf_link *link = open_link(dp, &info);
	bool good = link && info.type == BPF_LINK_TYPE_XDP && info.xdp.ifindex == ifindex && info.prog_id &&
		    query(ifindex, &native, &generic, &hardware) == 0 &&
		    info.prog_id == (dp->xdp->want.mode == MESH_XDP_NATIVE ? native : generic) &&
		    bpf_link__update_program(link, dp->xdp->skel->progs.uplink_in) == 0;

	if (link)
		bpf_link__destroy(link);
	return good;
}

/* Attaching, in the node's namespace. Each returns why not (caller frees), or NULL. */

static char *other_program(uint32_t ifindex)
{
	static const char *const modes[] = {"native", "generic", "hardware"};
	uint32_t ids[3];

	if (query(ifindex, &ids[0], &ids[1], &ids[2]) < 0)
		return NULL; /* attaching says what is wrong */
	for (size_t i = 0; i < MESH_ARRAY_SIZE(ids); i++) {
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);
		mesh_auto_fd int fd = ids[i] ? bpf_prog_get_fd_by_id(ids[i]) : -1;

		if (!ids[i])
			continue;
		if (fd >= 0)
			bpf_obj_get_info_by_fd(fd, &info, &len);
		return mesh_xasprintf("another XDP program is attached to it: %s (id %u, %s)",
				      info.name[0] ? info.name : "without a name", ids[i], modes[i]);
	}
	return NULL;
}

static char *refused(const struct mesh_dp_xdp *x, int r)
{
	bool native = x->want.mode == MESH_XDP_NATIVE;

	if (native && r == -EOPNOTSUPP)
		return mesh_xasprintf("its driver%s%s runs no XDP programs (mode=generic works with any, and saves "
				      "little)",
				      x->driver[0] ? " " : "", x->driver);
	return mesh_xasprintf("attaching to it in %s mode: %s%s", mesh_xdp_mode_text(x->want.mode), strerror(-r),
			      native ? " (its driver may not take frames that large, LRO, or so few queues)" : "");
}

static char *attach(struct mesh_dp *dp, uint32_t ifindex)
{
	struct mesh_dp_xdp *x = dp->xdp;
	mesh_auto_free char *pin = link_pin(dp);
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = x->want.mode == MESH_XDP_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	mesh_auto_fd int fd = -1;
	char *other;

	if (adopt(dp, ifindex))
		return NULL;
	drop_link(dp);
	other = other_program(ifindex);
	if (other)
		return other;
	fd = bpf_link_create(bpf_program__fd(x->skel->progs.uplink_in), (int)ifindex, BPF_XDP, &opts);
	if (fd < 0)
		return refused(x, -errno);
	if (bpf_obj_pin(fd, pin) < 0) {
		int r = -errno;

		bpf_link_detach(fd);
		return mesh_xasprintf("pinning its link: %s", strerror(-r));
	}
	return NULL;
}

static char *no_such_device(const struct mesh_dp_xdp *x)
{
	mesh_auto(mesh_buf_free) struct mesh_buf names = {0};
	struct nl_cache *all = NULL;

	if (rtnl_link_alloc_cache(x->route, AF_UNSPEC, &all) == 0) {
		for (struct nl_object *o = nl_cache_get_first(all); o; o = nl_cache_get_next(o))
			mesh_buf_printf(&names, "%s%s", names.len ? ", " : "",
					rtnl_link_get_name((struct rtnl_link *)o));
		nl_cache_free(all);
	}
	return mesh_xasprintf("there is no such device; there are %s", names.data ? names.data : "none");
}

/* A device where it would be wrong. */
static char *unfit(struct mesh_dp *dp, struct rtnl_link *link)
{
	uint32_t ifindex = (uint32_t)rtnl_link_get_ifindex(link);
	const char *kind = rtnl_link_get_type(link);
	struct mesh_veth v;

	if (rtnl_link_get_flags(link) & IFF_LOOPBACK)
		return mesh_xstrdup("it is loopback, where every address is at home");
	if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_VETH], &ifindex, &v) == 0 && !(v.flags & MESH_VETH_UPLINK))
		return mesh_xstrdup("it is a pod's device, and leads to no other node");
	if (kind && strcmp(kind, "veth") == 0 && !dp->xdp->want.veth)
		return mesh_xstrdup("it is a veth, which would lose segmentation offload: veth=allow behind its name "
				    "if it is to be so");
	return NULL;
}

static char *put_on(struct mesh_dp *dp)
{
	struct mesh_dp_xdp *x = dp->xdp;
	struct rtnl_link *link = NULL;
	uint32_t ifindex;
	int home = -1, r;
	char *why;

	if (rtnl_link_get_kernel(x->route, 0, x->want.device, &link) < 0)
		return no_such_device(x);
	ifindex = (uint32_t)rtnl_link_get_ifindex(link);
	why = unfit(dp, link);
	rtnl_link_put(link);
	if (why)
		return why;
	r = mesh_dp_host_enter(dp->host_netns, &home);
	if (r < 0)
		return mesh_xasprintf("entering the node's network namespace: %s", strerror(-r));
	mesh_netdev_driver(x->want.device, x->driver);
	why = attach(dp, ifindex);
	mesh_dp_host_leave(&home);
	x->ifindex = why ? 0 : ifindex;
	return why;
}

/* Packets in several pieces (5.18): drivers with large frames take no program that has not said that it knows them. */
static int load(struct mesh_dp *dp, struct mesh_errs *errs)
{
	int r = -EINVAL;

	for (uint32_t flags = BPF_F_XDP_HAS_FRAGS; r < 0; flags = 0) {
		struct uplink_bpf *skel = uplink_bpf__open();

		r = skel ? bpf_program__set_flags(skel->progs.uplink_in, flags) : -errno;
		if (r == 0)
			r = mesh_dp_load_object(dp, skel->obj, "loading uplink.bpf.o", flags ? NULL : errs);
		if (r == 0)
			dp->xdp->skel = skel;
		else
			uplink_bpf__destroy(skel);
		if (!flags)
			break;
	}
	return r;
}

/* One that was captured since is on the device that was named. */
void mesh_dp_xdp_leave(struct mesh_dp *dp, uint64_t netns_cookie, const char *pod)
{
	struct mesh_dp_xdp *x = dp->xdp;
	struct mesh_veth v;

	if (!x->ifindex || bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_VETH], &x->ifindex, &v) < 0 ||
	    v.netns != netns_cookie)
		return;
	drop_link(dp);
	x->ifindex = 0;
	x->why_not = mesh_xasprintf("%s: it is the device of pod %s, and leads to no other node", x->want.device, pod);
}

/* Start and end */

/* Returns why not (caller frees), or NULL. */
static char *begin(struct mesh_dp *dp)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	int r = load(dp, &errs);

	if (r < 0)
		return mesh_xasprintf("its program cannot be loaded: %s", errs.list.count && errs.list.items[0].hint
										  ? errs.list.items[0].hint
										  : strerror(-r));
	r = mesh_dp_route_open(dp->host_netns, &dp->xdp->route);
	if (r < 0)
		return mesh_xasprintf("rtnetlink: %s", strerror(-r));
	mesh_dp_xdp_forget(dp, false);
	return put_on(dp);
}

void mesh_dp_xdp_start(struct mesh_dp *dp, const struct mesh_xdp *want)
{
	mesh_auto_free char *why = NULL;

	dp->xdp = mesh_xcalloc(1, sizeof(*dp->xdp));
	if (!want || !want->device[0]) {
		drop_link(dp);
		mesh_dp_xdp_forget(dp, true);
		return;
	}
	dp->xdp->want = *want;
	why = begin(dp);
	if (!why)
		return;
	drop_link(dp);
	dp->xdp->why_not = mesh_xasprintf("%s: %s", want->device, why);
}

void mesh_dp_xdp_follow(struct mesh_dp *dp, struct mesh_errs *news)
{
	struct mesh_dp_xdp *x = dp->xdp;
	mesh_auto_free char *why = NULL, *trouble = NULL;

	if (!x->skel || !x->route || (x->ifindex && is_attached(dp)))
		return;
	why = put_on(dp);
	trouble = why ? mesh_xasprintf("%s: %s", x->want.device, why) : NULL;
	if (!why)
		mesh_errs_add(news, "XDP: %s is there: what comes in by it is judged", x->want.device);
	else if (!x->why_not || strcmp(trouble, x->why_not) != 0)
		mesh_errs_add(news, "XDP: %s", trouble);
	free(x->why_not);
	x->why_not = mesh_steal(trouble);
	mesh_dp_xdp_look_again(dp);
}

void mesh_dp_xdp_stop(struct mesh_dp *dp)
{
	struct mesh_dp_xdp *x = dp->xdp;

	if (!x)
		return;
	nl_socket_free(x->route);
	uplink_bpf__destroy(x->skel);
	free(x->why_not);
	free(x);
	dp->xdp = NULL;
}

/* For people */

bool mesh_dp_xdp_in_use(const struct mesh_dp *dp, const char **why)
{
	const struct mesh_dp_xdp *x = dp->xdp;

	*why = NULL;
	if (!x->want.device[0])
		*why = "no device was named: meshd agent --xdp, or meshctl install --set xdp=";
	else if (x->why_not)
		*why = x->why_not;
	else if (!is_attached(dp))
		*why = "its device is gone, or somebody took it off";
	else if (mesh_dp_switch_word(dp, MESH_SWITCH_XDP) != MESH_WORD_ON)
		*why = "it is switched off";
	return !*why;
}

static long long dropped(const struct mesh_dp *dp, enum mesh_reason reason)
{
	return (long long)mesh_dp_sum(dp->maps[MESH_DP_MAP_REASONS], reason);
}

char *mesh_dp_xdp_what(const struct mesh_dp *dp)
{
	const struct mesh_dp_xdp *x = dp->xdp;

	if (!x->ifindex)
		return NULL;
	return mesh_xasprintf("%s, %s%s%s%s: %lld spoofed, %lld martian", x->want.device,
			      mesh_xdp_mode_text(x->want.mode), x->driver[0] ? " (" : "", x->driver,
			      x->driver[0] ? ")" : "", dropped(dp, MESH_REASON_UPLINK_SPOOFED),
			      dropped(dp, MESH_REASON_UPLINK_MARTIAN));
}

json_t *mesh_dp_xdp_status(const struct mesh_dp *dp)
{
	const struct mesh_dp_xdp *x = dp->xdp;
	const char *why;
	bool in_use = mesh_dp_xdp_in_use(dp, &why);
	size_t unreached;
	uint64_t addresses;

	if (!x->want.device[0])
		return json_null();
	addresses = mesh_dp_xdp_addresses(dp, &unreached);
	return json_pack("{s:s, s:s, s:s, s:b, s:s?, s:I, s:I, s:I, s:I}", "device", x->want.device, "mode",
			 mesh_xdp_mode_text(x->want.mode), "driver", x->driver, "inUse", in_use, "why", why,
			 "addresses", (json_int_t)addresses, "unreached", (json_int_t)unreached, "spoofed",
			 (json_int_t)dropped(dp, MESH_REASON_UPLINK_SPOOFED), "martian",
			 (json_int_t)dropped(dp, MESH_REASON_UPLINK_MARTIAN));
}
