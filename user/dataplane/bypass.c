/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/bypass.h"

#include "core/netns.h"

#include <errno.h>
#include <netlink/netlink.h>

static struct mesh_slice key_of(const uint32_t *ifindex)
{
	return mesh_slice_of((const char *)ifindex, sizeof(*ifindex));
}

/* What is in the maps */

static void write_pod_ips(const struct mesh_dp *dp, const struct mesh_pod *pod, uint32_t ifindex, bool there)
{
	int fd = dp->maps[MESH_DP_MAP_PODIP];
	struct mesh_addr ips[2];
	size_t n = mesh_dp_ips_of(pod->ip4, pod->ip6, ips);

	for (size_t i = 0; i < n; i++)
		if (there)
			bpf_map_update_elem(fd, &ips[i].ip, &ifindex, BPF_ANY);
		else
			bpf_map_delete_elem(fd, &ips[i].ip);
}

static bool leads_to(void *arg, const void *ip, const void *ifindex)
{
	(void)ip;
	return *(const uint32_t *)ifindex == *(const uint32_t *)arg;
}

/* Deletes the addresses that lead to a device. */
static void drop_pod_ips(const struct mesh_dp *dp, uint32_t ifindex)
{
	mesh_dp_drop(dp->maps[MESH_DP_MAP_PODIP], sizeof(struct mesh_pod_ip), sizeof(uint32_t), leads_to, &ifindex);
}

static bool is_with(void *arg, const void *key, const void *flow)
{
	const struct mesh_flow_key *k = key;
	const struct mesh_dp_ips *ips = arg;

	(void)flow;
	for (size_t i = 0; i < ips->count; i++)
		if (memcmp(k->src, &ips->items[i].ip, 16) == 0 || memcmp(k->dst, &ips->items[i].ip, 16) == 0)
			return true;
	return false;
}

void mesh_dp_bypass_forget(struct mesh_dp *dp, const struct mesh_addr *ips, size_t count)
{
	struct mesh_dp_ips all = {ips, count};

	if (dp->bypass && dp->bypass->loaded)
		mesh_dp_drop(dp->maps[MESH_DP_MAP_FLOWS], sizeof(struct mesh_flow_key), sizeof(struct mesh_flow),
			     is_with, &all);
}

void mesh_dp_bypass_doubt(struct mesh_dp *dp)
{
	uint32_t which = MESH_SWITCH_EPOCH, epoch = 0;

	bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_SWITCHES], &which, &epoch);
	epoch++;
	bpf_map_update_elem(dp->maps[MESH_DP_MAP_SWITCHES], &which, &epoch, BPF_ANY);
}

/* Devices */

static void device_free(struct mesh_dp_device *d)
{
	free(d->pod);
	free(d->why_not);
	free(d);
}

static void remember(struct mesh_dp *dp, const struct mesh_dp_end *end, const char *pod, const char *why_not)
{
	struct mesh_dp_device *d = mesh_xcalloc(1, sizeof(*d)), *old;

	d->ifindex = end->ifindex;
	d->netns = end->veth.netns;
	memcpy(d->name, end->name, sizeof(d->name));
	d->pod = mesh_xstrndup(pod, MESH_NAME_LEN);
	d->why_not = why_not ? mesh_xstrdup(why_not) : NULL;
	/* One that has none is known by its namespace. */
	old = mesh_map_put(&dp->bypass->devices,
			   d->ifindex ? key_of(&d->ifindex) : mesh_slice_of((const char *)&d->netns, sizeof(d->netns)),
			   d);
	if (old)
		device_free(old);
}

static void programs_of(const struct mesh_dp_bypass *b, bool uplink, int ret[MESH_DP_POINT_COUNT])
{
	ret[MESH_DP_INGRESS] = b->programs[uplink ? MESH_DP_WIRE_IN : MESH_DP_POD_OUT];
	ret[MESH_DP_EGRESS] = b->programs[uplink ? MESH_DP_WIRE_OUT : MESH_DP_POD_IN];
}

static int attach(const struct mesh_dp *dp, const struct mesh_dp_end *end, bool fresh, bool *made)
{
	struct mesh_dp_bypass *b = dp->bypass;
	int programs[MESH_DP_POINT_COUNT];

	programs_of(b, end->veth.flags & MESH_VETH_UPLINK, programs);
	if (fresh && b->tcx && b->later && mesh_dp_tc_attach_soon(end->ifindex, programs, made)) {
		mesh_dp_later_go_over(b->later, end->ifindex);
		return 0;
	}
	return mesh_dp_tc_attach(end->ifindex, programs, dp->map_ids[MESH_DP_MAP_FLOWS], b->tcx, made);
}

int mesh_dp_bypass_go_over(const struct mesh_dp *dp, uint32_t ifindex)
{
	int home = -1, r = mesh_dp_host_enter(dp->host_netns, &home);
	int programs[MESH_DP_POINT_COUNT];
	bool made = false;

	if (r < 0)
		return r;
	programs_of(dp->bypass, false, programs);
	r = mesh_dp_tc_attach(ifindex, programs, dp->map_ids[MESH_DP_MAP_FLOWS], true, &made);
	mesh_dp_host_leave(&home);
	return r;
}

int mesh_dp_bypass_put_on(struct mesh_dp *dp, struct mesh_dp_end *end, bool fresh, char **why)
{
	int home = -1, r = mesh_dp_host_enter(dp->host_netns, &home);
	struct mesh_veth old = {0};
	bool made = false;

	if (r < 0)
		return r;
	if (dp->bypass->later)
		mesh_dp_later_forget(dp->bypass->later, end->ifindex);
	end->veth.flags &= MESH_VETH_UPLINK | MESH_VETH_EDGE;
	end->veth.flags |= !end->why_not && !dp->bypass->why_not ? MESH_VETH_BYPASS : 0;
	if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_VETH], &end->ifindex, &old) == 0)
		end->veth.flags |= old.flags & MESH_VETH_QDISC;
	/* Before the programs: without an entry they pass everything. */
	r = mesh_dp_veth_write(dp, end->ifindex, &end->veth);
	if (r == 0)
		r = attach(dp, end, fresh, &made);
	mesh_dp_host_leave(&home);
	end->veth.flags |= made ? MESH_VETH_QDISC : 0;
	if (r == 0 && made)
		r = mesh_dp_veth_write(dp, end->ifindex, &end->veth);
	if (r < 0)
		*why = mesh_xasprintf("putting programs on its device %s: %s", end->name, strerror(-r));
	return r;
}

void mesh_dp_bypass_add(struct mesh_dp *dp, const struct mesh_dp_found *found, const struct mesh_pod *pod,
			enum mesh_veth_flag edge)
{
	struct mesh_dp_bypass *b = dp->bypass;
	mesh_auto_free char *why = NULL;
	struct mesh_dp_end end = {.veth = {.netns = found->netns_cookie, .flags = edge}};
	int r;

	if (!b->loaded)
		return;
	memcpy(end.veth.ip4, pod->ip4, sizeof(end.veth.ip4));
	memcpy(end.veth.ip6[0], pod->ip6, sizeof(end.veth.ip6[0]));
	r = mesh_dp_end_find(dp, found->netns_fd, pod->ifindex, &end, &why);
	if (r == 0)
		r = mesh_dp_bypass_put_on(dp, &end, !found->pid, &why);
	if (r == 0)
		write_pod_ips(dp, pod, end.ifindex, !end.why_not);
	mesh_dp_bypass_doubt(dp);
	remember(dp, &end, pod->name, r < 0 ? (why ? why : strerror(-r)) : end.why_not);
	free(end.why_not);
}

void mesh_dp_bypass_clear(const struct mesh_dp *dp, struct nl_sock *route, uint32_t ifindex, const struct mesh_veth *v)
{
	int home = -1;

	if (mesh_dp_host_enter(dp->host_netns, &home) == 0) {
		mesh_dp_tc_detach(route, ifindex, dp->map_ids[MESH_DP_MAP_FLOWS], v->flags & MESH_VETH_QDISC);
		mesh_dp_host_leave(&home);
	}
	mesh_dp_veth_delete(dp, ifindex);
}

void mesh_dp_bypass_take_off(struct mesh_dp *dp, uint32_t ifindex, const struct mesh_veth *v)
{
	struct mesh_dp_later *later = dp->bypass->later;
	struct mesh_veth rest = *v;

	drop_pod_ips(dp, ifindex);
	if (!later || v->flags & MESH_VETH_UPLINK) {
		mesh_dp_bypass_clear(dp, dp->bypass->route, ifindex, v);
		return;
	}
	rest.flags &= ~(uint32_t)MESH_VETH_BYPASS;
	mesh_dp_later_forget(later, ifindex);
	mesh_dp_veth_write(dp, ifindex, &rest);
	mesh_dp_later_take_off(later, ifindex);
}

struct veths {
	const uint64_t *netns; /* NULL: those of namespaces that are not captured */
	const struct mesh_dp *dp;
	MESH_VEC(uint32_t) list;
};

static void see_veth(void *arg, const void *key, const void *value)
{
	struct veths *all = arg;
	struct mesh_veth v;
	struct mesh_pod pod;
	uint32_t ifindex;

	memcpy(&ifindex, key, sizeof(ifindex));
	memcpy(&v, value, sizeof(v));
	if (v.flags & MESH_VETH_UPLINK)
		return;
	if (all->netns ? v.netns == *all->netns
		       : bpf_map_lookup_elem(all->dp->maps[MESH_DP_MAP_PODS], &v.netns, &pod) < 0)
		mesh_vec_push(&all->list, ifindex);
}

static void remove_where(struct mesh_dp *dp, const uint64_t *netns)
{
	struct veths all = {.netns = netns, .dp = dp};

	mesh_dp_each_batch(dp->maps[MESH_DP_MAP_VETH], sizeof(uint32_t), sizeof(struct mesh_veth), see_veth, &all);
	mesh_vec_each (ifindex, &all.list) {
		struct mesh_dp_device *d = mesh_map_remove(&dp->bypass->devices, key_of(ifindex));
		struct mesh_addr ips[2];
		struct mesh_veth v;

		if (d)
			device_free(d);
		if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_VETH], ifindex, &v) < 0)
			continue;
		mesh_dp_bypass_take_off(dp, *ifindex, &v);
		mesh_dp_bypass_forget(dp, ips, mesh_dp_ips_of(v.ip4, v.ip6[0], ips));
	}
	mesh_vec_free(&all.list);
}

void mesh_dp_bypass_remove(struct mesh_dp *dp, uint64_t netns_cookie)
{
	struct mesh_dp_device *d;

	if (!dp->bypass->loaded)
		return;
	remove_where(dp, &netns_cookie);
	d = mesh_map_remove(&dp->bypass->devices, mesh_slice_of((const char *)&netns_cookie, sizeof(netns_cookie)));
	if (d)
		device_free(d);
	mesh_dp_bypass_doubt(dp);
}

/* Flows that have come of age */

static void make_ready(struct mesh_dp *dp, const struct mesh_flow_key *key)
{
	struct mesh_flow flow;

	if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_FLOWS], key, &flow) < 0)
		return;
	flow.ready = 1;
	bpf_map_update_elem(dp->maps[MESH_DP_MAP_FLOWS], key, &flow, BPF_EXIST);
}

/* Connection tracking knows a flow by the direction in which it was opened. */
static void tell_and_make_ready(struct mesh_dp *dp, const struct mesh_flow_key *key)
{
	struct mesh_dp_bypass *b = dp->bypass;
	struct mesh_flow_key back = {.sport = key->dport, .dport = key->sport};
	enum mesh_dp_tracked tracked = mesh_dp_conntrack_tell(&b->conntrack, dp->host_netns, key);

	memcpy(back.src, key->dst, sizeof(back.src));
	memcpy(back.dst, key->src, sizeof(back.dst));
	if (tracked == MESH_DP_NOT_TRACKED)
		tracked = mesh_dp_conntrack_tell(&b->conntrack, dp->host_netns, &back);
	b->told += tracked == MESH_DP_TRACKED;
	b->untracked += tracked == MESH_DP_NOT_TRACKED;
	b->refused += tracked == MESH_DP_NOT_TOLD;
	if (tracked == MESH_DP_NOT_TOLD)
		return;
	make_ready(dp, key);
	make_ready(dp, &back);
}

static int on_event(void *arg, void *data, size_t len)
{
	struct mesh_flow_key key;

	if (len < sizeof(key))
		return 0;
	memcpy(&key, data, sizeof(key));
	tell_and_make_ready(arg, &key);
	return 0;
}

int mesh_dp_events_fd(const struct mesh_dp *dp)
{
	return dp->bypass && dp->bypass->events ? ring_buffer__epoll_fd(dp->bypass->events) : -1;
}

void mesh_dp_events(struct mesh_dp *dp)
{
	if (dp->bypass && dp->bypass->events)
		ring_buffer__consume(dp->bypass->events);
}

struct flow_keys {
	MESH_VEC(struct mesh_flow_key) list;
};

static void see_flow(void *arg, const void *key, const void *value)
{
	const struct mesh_flow *flow = value;
	struct flow_keys *unready = arg;

	if (!flow->ready)
		mesh_vec_push(&unready->list, *(const struct mesh_flow_key *)key);
}

/* What an earlier agent took out of the ring and was killed over. */
static void make_rest_ready(struct mesh_dp *dp)
{
	struct flow_keys unready = {0};

	mesh_dp_each_batch(dp->maps[MESH_DP_MAP_FLOWS], sizeof(struct mesh_flow_key), sizeof(struct mesh_flow),
			   see_flow, &unready);
	mesh_vec_each (key, &unready.list)
		tell_and_make_ready(dp, key);
	mesh_vec_free(&unready.list);
}

/* Start and end */

/* The node's devices can be reached. */
static bool open_route(struct mesh_dp *dp)
{
	struct mesh_dp_bypass *b = dp->bypass;
	int r = mesh_dp_route_open(dp->host_netns, &b->route);

	b->loaded = r == 0;
	if (r < 0)
		b->why_not = mesh_xasprintf("rtnetlink: %s", strerror(-r));
	return r == 0;
}

void mesh_dp_bypass_start(struct mesh_dp *dp, const char *uplink, bool clsact)
{
	dp->bypass = mesh_xcalloc(1, sizeof(*dp->bypass));
	dp->bypass->tcx = !clsact && mesh_dp_has_tcx();
	if (mesh_dp_bypass_load(dp) < 0 || !open_route(dp))
		return;
	mesh_dp_veth_agree(dp);
	dp->bypass->later = mesh_dp_later_start(dp);
	dp->bypass->events = ring_buffer__new(dp->maps[MESH_DP_MAP_FLOWEV], on_event, dp, NULL);
	if (!dp->bypass->events && !dp->bypass->why_not)
		dp->bypass->why_not = mesh_xasprintf("its events cannot be read: %s", strerror(errno));
	remove_where(dp, NULL);
	mesh_dp_uplink_take(dp, uplink);
	if (dp->adopted) {
		mesh_dp_events(dp);
		make_rest_ready(dp);
	}
}

void mesh_dp_settle(struct mesh_dp *dp)
{
	if (dp->bypass && dp->bypass->later)
		mesh_dp_later_settle(dp->bypass->later);
}

void mesh_dp_bypass_stop(struct mesh_dp *dp)
{
	struct mesh_dp_bypass *b = dp->bypass;

	if (!b)
		return;
	mesh_dp_later_stop(b->later);
	ring_buffer__free(b->events);
	nl_socket_free(b->route);
	mesh_dp_conntrack_close(&b->conntrack);
	mesh_map_each (e, &b->devices)
		device_free(e->value);
	mesh_map_free(&b->devices);
	mesh_dp_bypass_unload(b);
	free(b->uplink);
	free(b->uplink_trouble);
	free(b->why_not);
	free(b);
	dp->bypass = NULL;
}

int mesh_dp_bypass_detach(const char *pin_dir, int host_netns)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/%s", pin_dir, mesh_dp_map_name(MESH_DP_MAP_VETH));
	mesh_auto_free char *flows_pin = mesh_xasprintf("%s/%s", pin_dir, mesh_dp_map_name(MESH_DP_MAP_FLOWS));
	mesh_auto_fd int fd = bpf_obj_get(pin), flows = bpf_obj_get(flows_pin);
	struct nl_sock *route = NULL;
	uint32_t flows_id = mesh_dp_map_id(flows), ifindex, *prev = NULL;
	struct mesh_veth v;
	int home = -1, r;

	if (fd < 0 || flows < 0)
		return 0;
	libbpf_set_print(NULL); /* devices that are gone are no news */
	r = mesh_dp_host_enter(host_netns, &home);
	if (r == 0)
		r = mesh_dp_route_open(0, &route);
	while (r == 0 && bpf_map_get_next_key(fd, prev, &ifindex) == 0) {
		prev = &ifindex;
		if (bpf_map_lookup_elem(fd, &ifindex, &v) == 0)
			mesh_dp_tc_detach(route, ifindex, flows_id, v.flags & MESH_VETH_QDISC);
	}
	nl_socket_free(route);
	mesh_dp_host_leave(&home);
	return r;
}

/* For people */

bool mesh_dp_antispoof_in_use(const struct mesh_dp *dp, const char **why)
{
	if (!dp->bypass->loaded)
		*why = dp->bypass->why_not;
	else if (mesh_dp_switch_word(dp, MESH_SWITCH_ANTISPOOF) != MESH_WORD_ON)
		*why = "it is switched off";
	else
		*why = NULL;
	return !*why;
}

bool mesh_dp_bypass_in_use(const struct mesh_dp *dp, const char **why)
{
	if (dp->bypass->why_not)
		*why = dp->bypass->why_not;
	else if (mesh_dp_switch_word(dp, MESH_SWITCH_BYPASS) != MESH_WORD_ON)
		*why = "it is switched off";
	else if (mesh_dp_switch_word(dp, MESH_SWITCH_ANTISPOOF) != MESH_WORD_ON)
		*why = "antispoof is switched off";
	else
		*why = NULL;
	return !*why;
}

static void sum_counts(const struct mesh_dp *dp, struct mesh_bypassed *total)
{
	int cpus = libbpf_num_possible_cpus();
	mesh_auto_free struct mesh_bypassed *each = cpus > 0 ? mesh_xcalloc((size_t)cpus, sizeof(*each)) : NULL;
	uint32_t zero = 0;

	if (!each || bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_BYPASSED], &zero, each) < 0)
		return;
	for (int i = 0; i < cpus; i++) {
		total->packets += each[i].packets;
		total->bytes += each[i].bytes;
		total->clones += each[i].clones;
		total->seen += each[i].seen;
		total->flows += each[i].flows;
		total->untold += each[i].untold;
		total->leashed += each[i].leashed;
	}
}

static json_t *devices_status(const struct mesh_dp *dp)
{
	json_t *list = json_array();

	mesh_map_each (e, &dp->bypass->devices) {
		const struct mesh_dp_device *d = e->value;

		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:b, s:s?}", "pod", d->pod, "device", d->name,
						      "ifindex", (json_int_t)d->ifindex, "bypass", !d->why_not, "why",
						      d->why_not));
	}
	return list;
}

json_t *mesh_dp_bypass_status(const struct mesh_dp *dp)
{
	const struct mesh_dp_bypass *b = dp->bypass;
	struct mesh_bypassed n = {0};
	const char *why;
	bool in_use = mesh_dp_bypass_in_use(dp, &why);

	sum_counts(dp, &n);
	return json_pack("{s:s?, s:b, s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:o}",
			 "uplinkTrouble", b->uplink_trouble, "inUse", in_use, "why", why, "packets",
			 (json_int_t)n.packets, "bytes", (json_int_t)n.bytes, "flows", (json_int_t)n.flows, "asked",
			 (json_int_t)n.clones, "answered", (json_int_t)n.seen, "leashed", (json_int_t)n.leashed,
			 "untold", (json_int_t)n.untold, "conntrackTold", (json_int_t)b->told, "conntrackNone",
			 (json_int_t)b->untracked, "conntrackRefused", (json_int_t)b->refused, "attached",
			 b->tcx ? "tcx" : "clsact", "changesLeft",
			 (json_int_t)(b->later ? mesh_dp_later_count(b->later) : 0), "devices", devices_status(dp));
}
