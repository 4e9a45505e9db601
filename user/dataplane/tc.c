/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs where packets come in and go out of a device: by tcx (kernel 6.6), which costs a packet next to nothing, or
 * as filters of a clsact qdisc, which cost it as much as our programs do. Both hang on the device alone and outlive us.
 * Everything here is in the namespace that the caller is in.
 */
#include "dataplane/bypass.h"

#include <errno.h>
#include <netlink/netlink.h>
#include <netlink/route/classifier.h>

/* Of tcx, which libbpf 1.1 does not name; how many programs it takes; more maps than a program of ours has. */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47, TCX_PROGRAMS = 64, PROGRAM_MAPS = 64 };

struct point {
	enum bpf_tc_attach_point clsact;
	int tcx;
	uint32_t parent; /* of the qdisc's filters */
	const char *name;
};

static const struct point points[MESH_DP_POINT_COUNT] = {
	[MESH_DP_INGRESS] = {BPF_TC_INGRESS, TCX_INGRESS, TC_H_MIN_INGRESS, "ingress"},
	[MESH_DP_EGRESS] = {BPF_TC_EGRESS, TCX_EGRESS, TC_H_MIN_EGRESS, "egress"},
};

/* Its maps, to a caller's room for them: how many. */
static uint32_t maps_of(int program, uint32_t ids[PROGRAM_MAPS])
{
	uint32_t len = sizeof(struct bpf_prog_info);
	struct bpf_prog_info info = {.nr_map_ids = PROGRAM_MAPS, .map_ids = (uintptr_t)ids};

	if (program < 0 || bpf_obj_get_info_by_fd(program, &info, &len) < 0)
		return 0;
	return MESH_MIN(info.nr_map_ids, (uint32_t)PROGRAM_MAPS);
}

/* Whether a program is this node's: its map flows is the one with that id. */
static bool is_of_node(int program, uint32_t flows_map)
{
	uint32_t ids[PROGRAM_MAPS], n = maps_of(program, ids);

	for (uint32_t i = 0; i < n; i++)
		if (ids[i] == flows_map)
			return true;
	return false;
}

static bool is_map_flows(uint32_t id)
{
	mesh_auto_fd int fd = bpf_map_get_fd_by_id(id);
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && strcmp(info.name, "flows") == 0;
}

static void name_of(int program, char ret[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	ret[0] = '\0';
	if (program >= 0 && bpf_obj_get_info_by_fd(program, &info, &len) == 0)
		memcpy(ret, info.name, BPF_OBJ_NAME_LEN);
}

/* Whether it is one of the mesh's, also of another version, whose maps were others. */
static bool is_ours(int program)
{
	uint32_t ids[PROGRAM_MAPS], n = maps_of(program, ids);
	char name[BPF_OBJ_NAME_LEN];
	bool known = false;

	name_of(program, name);
	for (size_t i = 0; i < MESH_DP_FILTER_COUNT; i++)
		known |= strcmp(name, mesh_dp_filter_name((enum mesh_dp_filter)i)) == 0;
	for (uint32_t i = 0; known && i < n; i++)
		if (is_map_flows(ids[i]))
			return true;
	return false;
}

/* By tcx */

static int query_tcx(uint32_t ifindex, const struct point *at, uint32_t ids[TCX_PROGRAMS])
{
	uint32_t count = TCX_PROGRAMS, flags = 0;

	if (bpf_prog_query((int)ifindex, (enum bpf_attach_type)at->tcx, 0, &flags, ids, &count) < 0)
		return errno == ENOENT ? 0 : -errno;
	return (int)count;
}

/* Ours there, or (flows_map) this node's: a new descriptor, or -1. */
static int find_tcx(uint32_t ifindex, const struct point *at, const uint32_t *flows_map)
{
	uint32_t ids[TCX_PROGRAMS];
	int n = query_tcx(ifindex, at, ids);

	for (int i = 0; i < n; i++) {
		int fd = bpf_prog_get_fd_by_id(ids[i]);

		if (flows_map ? is_of_node(fd, *flows_map) : is_ours(fd))
			return fd;
		mesh_cleanup_fd(&fd);
	}
	return -1;
}

static int attach_tcx(uint32_t ifindex, const struct point *at, int program)
{
	mesh_auto_fd int old = find_tcx(ifindex, at, NULL);
	LIBBPF_OPTS(bpf_prog_attach_opts, opts, .flags = old >= 0 ? BPF_F_REPLACE : 0, .replace_prog_fd = old);

	if (old < 0)
		opts.replace_prog_fd = 0;
	else if (mesh_dp_program_id(old) == mesh_dp_program_id(program))
		return 0;
	return bpf_prog_attach_opts(program, (int)ifindex, (enum bpf_attach_type)at->tcx, &opts) < 0 ? -errno : 0;
}

static void detach_tcx(uint32_t ifindex, const struct point *at, const uint32_t *flows_map)
{
	mesh_auto_fd int fd = find_tcx(ifindex, at, flows_map);

	if (fd >= 0)
		bpf_prog_detach2(fd, (int)ifindex, (enum bpf_attach_type)at->tcx);
}

static void note_tcx(uint32_t ifindex, const struct point *at, struct mesh_buf *out)
{
	uint32_t ids[TCX_PROGRAMS];
	int n = query_tcx(ifindex, at, ids);

	for (int i = 0; i < n; i++) {
		mesh_auto_fd int fd = bpf_prog_get_fd_by_id(ids[i]);
		char name[BPF_OBJ_NAME_LEN];

		if (is_ours(fd))
			continue;
		name_of(fd, name);
		mesh_buf_printf(out, "%s%s tcx program %s", out->len ? ", " : "", at->name, name[0] ? name : "?");
	}
}

/* Whether ours are on both points. */
static bool has_tcx_on(uint32_t ifindex)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(points); i++) {
		mesh_auto_fd int fd = find_tcx(ifindex, &points[i], NULL);

		if (fd < 0)
			return false;
	}
	return true;
}

bool mesh_dp_has_tcx(void)
{
	uint32_t ids[TCX_PROGRAMS];

	return query_tcx(1, &points[MESH_DP_INGRESS], ids) >= 0;
}

/* As filters */

/* Whether what is in our place is this node's: its programs have the map flows. */
static bool has_our_filter(uint32_t ifindex, const struct point *at, uint32_t flows_map)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = at->clsact);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = MESH_BYPASS_HANDLE, .priority = MESH_BYPASS_PRIORITY);
	mesh_auto_fd int fd = -1;

	if (bpf_tc_query(&hook, &opts) < 0)
		return false;
	fd = bpf_prog_get_fd_by_id(opts.prog_id);
	return is_of_node(fd, flows_map);
}

static int make_qdisc(uint32_t ifindex, bool *made)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	int r = bpf_tc_hook_create(&hook);

	*made = r == 0;
	return r == -EEXIST ? 0 : r;
}

static int attach_filter(uint32_t ifindex, const struct point *at, int program)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = at->clsact);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = MESH_BYPASS_HANDLE, .priority = MESH_BYPASS_PRIORITY,
		    .prog_fd = program, .flags = BPF_TC_F_REPLACE);

	return bpf_tc_attach(&hook, &opts);
}

static bool has_filters(struct nl_sock *route, uint32_t ifindex)
{
	bool any = false;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(points); i++) {
		struct nl_cache *all = NULL;

		if (rtnl_cls_alloc_cache(route, (int)ifindex, TC_H_MAKE(TC_H_CLSACT, points[i].parent), &all) < 0)
			continue;
		any |= nl_cache_nitems(all) > 0;
		nl_cache_free(all);
	}
	return any;
}

static void detach_filters(uint32_t ifindex, uint32_t flows_map)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(points); i++) {
		LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = points[i].clsact);
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = MESH_BYPASS_HANDLE, .priority = MESH_BYPASS_PRIORITY);

		if (has_our_filter(ifindex, &points[i], flows_map))
			bpf_tc_detach(&hook, &opts);
	}
}

static void destroy_qdisc(struct nl_sock *route, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, all, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	if (!has_filters(route, ifindex))
		bpf_tc_hook_destroy(&all);
}

struct filters {
	uint32_t ifindex;
	const struct point *at;
	struct mesh_buf *out;
};

static void note_filter(struct nl_object *o, void *arg)
{
	struct rtnl_cls *cls = (struct rtnl_cls *)o;
	uint32_t handle = rtnl_tc_get_handle((struct rtnl_tc *)cls);
	struct filters *f = arg;
	const char *kind = rtnl_tc_get_kind((struct rtnl_tc *)cls);
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)f->ifindex, .attach_point = f->at->clsact);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = rtnl_cls_get_prio(cls));
	char name[BPF_OBJ_NAME_LEN];
	mesh_auto_fd int fd = -1;

	if (handle == 0 || rtnl_cls_get_prio(cls) == MESH_BYPASS_PRIORITY)
		return; /* handle 0: the chain of a priority, not a filter */
	if (kind && strcmp(kind, "bpf") == 0 && bpf_tc_query(&hook, &opts) == 0)
		fd = bpf_prog_get_fd_by_id(opts.prog_id);
	name_of(fd, name);
	mesh_buf_printf(f->out, "%s%s filter %s (priority %u)", f->out->len ? ", " : "", f->at->name,
			name[0] ? name
			: kind  ? kind
				: "?",
			rtnl_cls_get_prio(cls));
}

static void note_filters(struct nl_sock *route, uint32_t ifindex, const struct point *at, struct mesh_buf *out)
{
	struct filters f = {ifindex, at, out};
	struct nl_cache *all = NULL;

	if (rtnl_cls_alloc_cache(route, (int)ifindex, TC_H_MAKE(TC_H_CLSACT, at->parent), &all) < 0)
		return;
	nl_cache_foreach(all, note_filter, &f);
	nl_cache_free(all);
}

/* Either way */

/* Who sees packets come out first: nothing is sent to ask before. */
static int attach_each(uint32_t ifindex, const int programs[MESH_DP_POINT_COUNT],
		       int (*attach)(uint32_t ifindex, const struct point *at, int program))
{
	int r = 0;

	for (size_t i = MESH_ARRAY_SIZE(points); r == 0 && i-- > 0;)
		if (programs[i] >= 0)
			r = attach(ifindex, &points[i], programs[i]);
	return r;
}

static int attach_filters(uint32_t ifindex, const int programs[MESH_DP_POINT_COUNT], bool *made)
{
	int r = make_qdisc(ifindex, made);

	return r < 0 ? r : attach_each(ifindex, programs, attach_filter);
}

/* What is there by the other way goes last: a packet that meets both is judged twice, which changes nothing. */
int mesh_dp_tc_attach(uint32_t ifindex, const int programs[MESH_DP_POINT_COUNT], uint32_t flows_map, bool tcx,
		      bool *made)
{
	int r = tcx ? attach_each(ifindex, programs, attach_tcx) : attach_filters(ifindex, programs, made);

	if (r < 0)
		return r;
	if (tcx)
		detach_filters(ifindex, flows_map);
	else
		for (size_t i = 0; i < MESH_ARRAY_SIZE(points); i++)
			detach_tcx(ifindex, &points[i], NULL);
	return 0;
}

bool mesh_dp_tc_attach_soon(uint32_t ifindex, const int programs[MESH_DP_POINT_COUNT], bool *made)
{
	return !has_tcx_on(ifindex) && attach_filters(ifindex, programs, made) == 0;
}

void mesh_dp_tc_detach(struct nl_sock *route, uint32_t ifindex, uint32_t flows_map, bool qdisc)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(points); i++)
		detach_tcx(ifindex, &points[i], &flows_map);
	detach_filters(ifindex, flows_map);
	if (qdisc)
		destroy_qdisc(route, ifindex);
}

void mesh_dp_tc_others(struct nl_sock *route, uint32_t ifindex, struct mesh_buf *out)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(points); i++)
		note_filters(route, ifindex, &points[i], out);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(points); i++)
		note_tcx(ifindex, &points[i], out);
}
