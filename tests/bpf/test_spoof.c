/* SPDX-License-Identifier: Apache-2.0 */
/* What a pod may send, packet by packet (BPF_PROG_TEST_RUN), and on the wire with its count. */
#include "bypass.skel.h"
#include "dataplane/bypass.h"
#include "flows.h"
#include "frames.h"

enum { PASSES = -1, DROPPED = 2 };

/* Neighbour discovery of a type about a target, behind n extension headers of 8 bytes. */
static struct frame with_nd(const char *src, const char *dst, uint8_t type, const char *target, int n)
{
	struct frame f = with_ip6(src, dst, n ? 60 : IPPROTO_ICMPV6, 255);
	uint8_t icmp[8] = {type};
	struct in6_addr a;

	for (int i = 0; i < n; i++)
		add(&f, (uint8_t[8]){i + 1 < n ? 60 : IPPROTO_ICMPV6, 0, 1, 4}, 8);
	add(&f, icmp, sizeof(icmp));
	inet_pton(AF_INET6, target, &a);
	add(&f, &a, 16);
	f.len += 8;
	return f;
}

static struct frame with_arp(const char *sender, unsigned protocol)
{
	struct frame f = eth(0x0806);
	struct in_addr a;

	add16(&f, 1);
	add16(&f, protocol);
	add(&f, (uint8_t[]){6, 4, 0, 1, 2, 0, 0, 0, 0, 1}, 10);
	inet_pton(AF_INET, sender, &a);
	add(&f, &a, 4);
	f.len += 10 + 20;
	return f;
}

/* What pod_out says of a frame that comes out of device e1. */
static int verdict(struct world *w, uint32_t ifindex, const struct frame *f)
{
	struct __sk_buff ctx = {.ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = f->bytes, .data_size_in = (uint32_t)f->len, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);
	int home = -1, r = mesh_netns_enter(w->hub.netns_fd, &home);

	if (r < 0)
		return r;
	r = bpf_prog_test_run_opts(bpf_program__fd(w->dp->bypass->skel->progs.pod_out), &o);
	mesh_netns_leave(&home);
	return r < 0 ? r : (int)o.retval;
}

static uint32_t device_of_pod1(struct world *w)
{
	uint32_t ifindex = 0;

	return bpf_map_get_next_key(w->dp->maps[MESH_DP_MAP_VETH], NULL, &ifindex) == 0 ? ifindex : 0;
}

#define OWN_LL "fe80::5aff:fe00:1" /* of the MAC below */

static int one_pod(struct world *w)
{
	int r = world_new(w);

	if (r < 0)
		return r;
	world_pod(w);
	in_ns(&w->pods[0], "ip link set eth0 down; ip link set eth0 address 02:00:5a:00:00:01; ip link set eth0 up; "
			   "ip addr add fd77::1/64 dev eth0 nodad; ip -6 route replace default via fd77::fe; "
			   "ip route replace default via 10.77.0.254");
	return world_capture(w, &w->pods[0]);
}

static void check_frames(struct world *w, uint32_t ifindex)
{
	const struct {
		struct frame frame;
		int want;
		const char *what;
	} rows[] = {
		{with_ip4("10.77.0.1", "10.77.0.2"), PASSES, "own IPv4"},
		{with_ip4("10.77.0.2", "10.77.0.1"), DROPPED, "another's IPv4"},
		{with_ip4("127.0.0.1", "10.77.0.2"), DROPPED, "loopback"},
		{with_ip4("0.0.0.0", "255.255.255.255"), PASSES, "asking for an address"},
		{with_ip4("0.0.0.0", "10.77.0.2"), DROPPED, "no address to somebody"},
		{with_ip6("fd77::1", "fd77::2", 17, 64), PASSES, "own IPv6"},
		{with_ip6("fd77::2", "fd77::1", 17, 64), DROPPED, "another's IPv6"},
		{with_ip6(OWN_LL, "ff02::fb", 17, 1), PASSES, "own link-local"},
		{with_ip6("fe80::1", "ff02::fb", 17, 64), DROPPED, "another's link-local"},
		{with_ip6("::", "ff02::16", 0, 1), PASSES, "group report before there is an address"},
		{with_ip6("::", "fd77::2", 17, 64), DROPPED, ":: to somebody"},
		{with_nd("fd77::1", "ff02::1:ff00:2", 135, "fd77::2", 0), PASSES, "asking for a neighbour"},
		{with_nd("::", "ff02::1:ff00:1", 135, "fd77::1", 0), PASSES, "making sure of its own"},
		{with_nd("::", "ff02::1:ff00:1", 135, OWN_LL, 0), PASSES, "making sure of its link-local"},
		{with_nd("::", "ff02::1:ff00:2", 135, "fd77::2", 0), DROPPED, "making sure of another's"},
		{with_nd("fd77::1", "ff02::1", 136, "fd77::1", 0), PASSES, "telling its own"},
		{with_nd("fd77::1", "ff02::1", 136, "fd77::2", 0), DROPPED, "telling another's"},
		{with_nd(OWN_LL, "ff02::1", 136, "fd77::1", 0), PASSES, "telling its own from link-local"},
		{with_nd(OWN_LL, "ff02::2", 133, "::", 0), PASSES, "asking for a router"},
		{with_nd(OWN_LL, "ff02::1", 134, "::", 0), DROPPED, "being a router"},
		{with_nd(OWN_LL, "ff02::1", 134, "::", 1), DROPPED, "being a router behind a header"},
		{with_nd(OWN_LL, "ff02::1", 134, "::", 4), DROPPED, "being a router behind four"},
		{with_nd(OWN_LL, "ff02::1", 134, "::", 6), DROPPED, "behind more than are looked at"},
		{with_nd("fd77::1", "fd77::2", 137, "fd77::3", 0), DROPPED, "redirecting"},
		{with_nd("fd77::1", "ff02::1", 136, "fd77::2", 2), DROPPED, "telling another's behind headers"},
		{cut(with_nd("fd77::1", "ff02::1", 136, "fd77::1", 0), 14 + 40 + 12), DROPPED, "half of what it tells"},
		{with_arp("10.77.0.1", 0x0800), PASSES, "own ARP"},
		{with_arp("0.0.0.0", 0x0800), PASSES, "ARP probe"},
		{with_arp("10.77.0.2", 0x0800), DROPPED, "another's ARP"},
		{with_arp("10.77.0.1", 0x86dd), DROPPED, "ARP of another protocol"},
		{cut(with_arp("10.77.0.1", 0x0800), 14 + 20), DROPPED, "half an ARP packet"},
		{eth(0x8100), DROPPED, "a second VLAN tag"},
		{eth(0x88a8), DROPPED, "a second VLAN tag of the other kind"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		struct frame f = rows[i].frame;
		int got;

		if (f.len < 60 && f.len == 14)
			f.len = 60;
		got = verdict(w, ifindex, &f);
		if (got != rows[i].want)
			printf("  %s: %d, not %d\n", rows[i].what, got, rows[i].want);
		test_failed |= got != rows[i].want;
	}
}

TEST(frames)
{
	struct frame foreign = with_ip4("10.77.0.2", "10.77.0.1");
	uint32_t ifindex;
	struct world w;

	CHECK_INT(one_pod(&w), 0);
	ifindex = device_of_pod1(&w);
	CHECK(ifindex > 0);
	check_frames(&w, ifindex);
	/* Each switch lets all pass, as does a device that is no captured pod's. */
	CHECK_INT(switch_to(w.dp, "antispoof", "off"), 0);
	CHECK_INT(verdict(&w, ifindex, &foreign), PASSES);
	CHECK_INT(switch_to(w.dp, "antispoof", "on"), 0);
	CHECK_INT(verdict(&w, ifindex, &foreign), DROPPED);
	CHECK_INT(mesh_dp_set_off(w.dp, true), 0);
	CHECK_INT(verdict(&w, ifindex, &foreign), PASSES);
	CHECK_INT(mesh_dp_set_off(w.dp, false), 0);
	CHECK_INT(verdict(&w, 1, &foreign), PASSES);
	world_free(&w);
}

static struct mesh_veth_place place_of(struct world *w, uint32_t ifindex)
{
	struct mesh_veth_place p = {.ifindex = UINT32_MAX};
	uint32_t i = ifindex % MESH_VETH_PLACES;

	bpf_map_lookup_elem(w->dp->maps[MESH_DP_MAP_VETHPLACES], &i, &p);
	return p;
}

static void set_place(struct world *w, uint32_t i, struct mesh_veth_place p)
{
	i %= MESH_VETH_PLACES;
	CHECK_INT(bpf_map_update_elem(w->dp->maps[MESH_DP_MAP_VETHPLACES], &i, &p, BPF_ANY), 0);
}

/* Verdicts do not depend on who has the device's place; who lost it gets it back. */
TEST(places)
{
	struct frame own = with_ip4("10.77.0.1", "10.77.0.2"), foreign = with_ip4("10.77.0.2", "10.77.0.1");
	struct mesh_veth_place place;
	struct mesh_veth v;
	struct world w;
	uint32_t ifindex, other;

	CHECK_INT(one_pod(&w), 0);
	ifindex = device_of_pod1(&w);
	other = ifindex + MESH_VETH_PLACES;
	CHECK_INT(bpf_map_lookup_elem(w.dp->maps[MESH_DP_MAP_VETH], &ifindex, &v), 0);
	place = place_of(&w, ifindex);
	CHECK_INT(place.ifindex, ifindex);
	CHECK_INT(place.flags, v.flags);
	CHECK(memcmp(place.ip4, v.ip4, sizeof(v.ip4)) == 0);
	/* Another device has the place. */
	CHECK_INT(mesh_dp_veth_write(w.dp, other, &v), 0);
	CHECK_INT(place_of(&w, ifindex).ifindex, ifindex);
	set_place(&w, ifindex, (struct mesh_veth_place){.ifindex = other, .ip4 = {10, 77, 0, 2}});
	CHECK_INT(verdict(&w, ifindex, &own), PASSES);
	CHECK_INT(verdict(&w, ifindex, &foreign), DROPPED);
	mesh_dp_veth_delete(w.dp, ifindex);
	CHECK_INT(place_of(&w, ifindex).ifindex, other);
	CHECK_INT(mesh_dp_veth_write(w.dp, ifindex, &v), 0);
	CHECK_INT(place_of(&w, ifindex).ifindex, other);
	mesh_dp_veth_delete(w.dp, other);
	CHECK_INT(place_of(&w, ifindex).ifindex, 0);
	/* Nobody has it, or somebody who is gone: an agent that knows no places changed map veth. */
	CHECK_INT(verdict(&w, ifindex, &foreign), DROPPED);
	set_place(&w, ifindex, (struct mesh_veth_place){.ifindex = other, .ip4 = {10, 77, 0, 2}});
	set_place(&w, ifindex + 1, (struct mesh_veth_place){.ifindex = ifindex + 1, .ip4 = {10, 77, 0, 2}});
	CHECK_INT(world_dp_again(&w), 0);
	CHECK_INT(place_of(&w, ifindex).ifindex, 0);
	CHECK_INT(place_of(&w, ifindex + 1).ifindex, 0);
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(place_of(&w, ifindex).ifindex, ifindex);
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	mesh_dp_settle(w.dp);
	CHECK_INT(place_of(&w, ifindex).ifindex, 0);
	world_free(&w);
}

/* On the wire */

static long per_pod(struct mesh_dp *dp, const char *pod)
{
	json_t *status = mesh_dp_status(dp), *row;
	long n = 0;
	size_t i;

	json_array_foreach(json_object_get(status, "refused"), i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, "reason")), "spoofed") == 0 &&
		    strcmp(json_string_value(json_object_get(row, "pod")), pod) == 0)
			n += (long)json_integer_value(json_object_get(row, "count"));
	}
	json_decref(status);
	return n;
}

TEST(on_the_wire)
{
	struct shot s = {.frame = with_ip4("10.77.0.2", "10.77.0.254"), .times = 50};
	struct world w;
	int sent;

	CHECK_INT(one_pod(&w), 0);
	world_pod(&w);
	CHECK_INT(world_capture(&w, &w.pods[1]), 0);
	pod_call(&w.pods[0], do_shoot, &s, sizeof(s), &sent, sizeof(sent));
	CHECK_INT(sent, 50);
	usleep(50000);
	CHECK_INT(reason_count(w.dp, "spoofed"), 50);
	CHECK_INT(per_pod(w.dp, "test/pod1"), 50);
	CHECK_INT(per_pod(w.dp, "test/pod2"), 0);
	/* Half a header, of either family. */
	s.frame = cut(with_ip4("10.77.0.1", "10.77.0.254"), 14 + 16);
	pod_call(&w.pods[0], do_shoot, &s, sizeof(s), &sent, sizeof(sent));
	s.frame = cut(with_ip6("fd77::1", "fd77::2", 17, 64), 14 + 30);
	pod_call(&w.pods[0], do_shoot, &s, sizeof(s), &sent, sizeof(sent));
	usleep(50000);
	CHECK_INT(reason_count(w.dp, "spoofed"), 150);
	/* What pods say by themselves is let through: neighbours are found over both families. */
	pod_serve(&w.pods[1], with_port(w.pods[1].ip4, 8080), 'b');
	pod_serve(&w.pods[1], with_port(w.pods[1].ip6, 8080), 'b');
	CHECK_INT(pod_burst(&w.pods[0], "10.77.0.2:8080", 5).by_name['b'], 5);
	CHECK_INT(pod_burst(&w.pods[0], "[fd77::2]:8080", 5).by_name['b'], 5);
	CHECK_INT(reason_count(w.dp, "spoofed"), 150);
	world_free(&w);
}

TEST_MAIN_ROOT()
