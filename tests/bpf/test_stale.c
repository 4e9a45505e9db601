/* SPDX-License-Identifier: Apache-2.0 */
/* L4 connections whose service does not use their endpoint any more: found by what changed, ended by what they named.
 */
#include "traffic.h"
#include "dataplane/dp.h"

#include <bpf/bpf.h>

static int start(struct world *w)
{
	int r = world_of_three(w);

	w->watch_stale = true;
	if (r == 0)
		r = world_dp_again(w);
	return r ? r : world_capture(w, &w->pods[0]);
}

/* Two services, each of them with both endpoints or, where its weight is 0, with one. */
static int apply(struct world *w, uint32_t first, uint32_t second, enum mesh_l4_drain drain)
{
	struct mesh_l4_image image = {0};

	for (int i = 0; i < 2; i++) {
		struct mesh_l4_service *s =
			add_service(&image, i ? "10.99.0.2:80" : "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4);

		s->drain = i ? MESH_L4_DRAIN_DEFAULT : drain;
		add_dest(s, i ? second : first, 1, (struct mesh_addr[]){with_port(w->pods[1].ip4, 8080)});
		add_dest(s, 1, 1, (struct mesh_addr[]){with_port(w->pods[2].ip4, 8080)});
	}
	return world_apply(w->dp, &image);
}

static struct mesh_dp_stale_list stale_of(struct world *w)
{
	struct mesh_dp_stale_list l = {0};

	mesh_dp_stale(w->dp, &l);
	return l;
}

TEST(what_a_change_takes_away_is_told)
{
	struct mesh_dp_stale_list l;
	struct mesh_addr vip = at("10.99.0.1:80"), gone;
	struct world w;

	CHECK_INT(start(&w), 0);
	gone = with_port(w.pods[1].ip4, 8080);
	CHECK_INT(apply(&w, 1, 1, MESH_L4_DRAIN_END), 0);
	l = stale_of(&w);
	CHECK_INT(l.list.count, 0);
	/* Another weight takes nothing away. */
	CHECK_INT(apply(&w, 5, 1, MESH_L4_DRAIN_END), 0);
	l = stale_of(&w);
	CHECK_INT(l.list.count, 0);
	CHECK_INT(apply(&w, 0, 1, MESH_L4_DRAIN_END), 0);
	l = stale_of(&w);
	CHECK_INT(l.list.count, 1);
	CHECK(mesh_addr_eq(&l.list.items[0].via, &vip));
	CHECK(mesh_addr_eq(&l.list.items[0].endpoint, &gone));
	CHECK_INT(l.list.items[0].drain, MESH_L4_DRAIN_END);
	mesh_vec_free(&l.list);
	/* Told once. */
	l = stale_of(&w);
	CHECK_INT(l.list.count, 0);
	/* Of a service that is not asked about, nothing. */
	CHECK_INT(apply(&w, 1, 1, MESH_L4_DRAIN_NONE), 0);
	CHECK_INT(apply(&w, 0, 1, MESH_L4_DRAIN_NONE), 0);
	l = stale_of(&w);
	CHECK_INT(l.list.count, 0);
	/* A service that goes takes all with it. */
	CHECK_INT(world_apply(w.dp, &(struct mesh_l4_image){0}), 0);
	l = stale_of(&w);
	CHECK_INT(l.list.count, 2); /* of the second: the first is not asked about */
	mesh_vec_free(&l.list);
	/* What nobody asks for is swept all the same. */
	CHECK_INT(apply(&w, 1, 1, MESH_L4_DRAIN_KEEP), 0);
	CHECK_INT(apply(&w, 0, 0, MESH_L4_DRAIN_KEEP), 0);
	CHECK_INT(apply(&w, 0, 0, MESH_L4_DRAIN_KEEP), 0);
	for (int i = 0; i < 300 && map_entries(w.dp, "dest") != 4; i++)
		usleep(10000);
	CHECK_INT(map_entries(w.dp, "dest"), 4);
	world_free(&w);
}

/* netlink: without the iterator, as on an older kernel. */
static void check_end(bool netlink)
{
	struct dial d = {.to = at("10.99.0.1:80")};
	struct mesh_addr a, via = at("10.99.0.1:80"), other = at("10.99.0.9:80"), node_port = at("0.0.0.0:80");
	struct conn first, second, own;
	struct world w;

	CHECK_INT(start(&w), 0);
	if (netlink)
		mesh_dp_flows_unload(w.dp);
	{
		struct mesh_l4_image image = {0};

		add_dest(add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4), 1, 1,
			 (struct mesh_addr[]){with_port(w.pods[1].ip4, 8080)});
		add_dest(add_service(&image, "10.99.0.2:80", IPPROTO_TCP, MESH_TIER_L4), 1, 1,
			 (struct mesh_addr[]){with_port(w.pods[1].ip4, 8080)});
		CHECK_INT(world_apply(w.dp, &image), 0);
	}
	first = pod_dial(&w.pods[0], &d);
	d.to = at("10.99.0.2:80");
	second = pod_dial(&w.pods[0], &d);
	a = d.to = with_port(w.pods[1].ip4, 8080);
	own = pod_dial(&w.pods[0], &d); /* to the endpoint itself: no service placed it */
	CHECK_INT(pod_name(&w.pods[0], first.fd), 'a');
	CHECK_INT(pod_name(&w.pods[0], second.fd), 'a');
	CHECK_INT(pod_name(&w.pods[0], own.fd), 'a');
	CHECK_INT(mesh_dp_end_flows(w.dp, w.pods[0].netns_fd, &a, &other), 0);
	CHECK_INT(mesh_dp_end_flows(w.dp, w.pods[0].netns_fd, &a, &via), 1);
	CHECK_INT(pod_echo(&w.pods[0], first.fd), 0);
	CHECK_INT(pod_echo(&w.pods[0], second.fd), 1);
	CHECK_INT(pod_echo(&w.pods[0], own.fd), 1);
	/* Port 80 of whatever address. */
	CHECK_INT(mesh_dp_end_flows(w.dp, w.pods[0].netns_fd, &a, &node_port), 1);
	CHECK_INT(pod_echo(&w.pods[0], second.fd), 0);
	CHECK_INT(pod_echo(&w.pods[0], own.fd), 1);
	world_free(&w);
}

TEST(flows_are_ended_by_what_they_named)
{
	check_end(false);
}

TEST(flows_are_ended_by_what_they_named_by_netlink)
{
	check_end(true);
}

TEST_MAIN_ROOT()
