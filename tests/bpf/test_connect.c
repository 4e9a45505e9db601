/* SPDX-License-Identifier: Apache-2.0 */
/* The tiers, each with real pods and real connections. */
#include "world.h"

static struct world w;
static struct pod *client, *one, *two, *outsider;

TEST(world)
{
	CHECK_INT(world_new(&w), 0);
	client = world_pod(&w);
	one = world_pod(&w);
	two = world_pod(&w);
	outsider = world_pod(&w);
	pod_serve(one, with_port(one->ip4, 8080), 'a');
	pod_serve(two, with_port(two->ip4, 8080), 'b');
	pod_serve(one, with_port(one->ip6, 8080), 'a');
	pod_serve(two, with_port(two->ip6, 8080), 'b');
	CHECK_INT(world_capture(&w, client), 0);
	CHECK_INT(client->listener_count, 4);
}

TEST(not_a_service_is_untouched)
{
	CHECK_INT(pod_burst(client, "10.77.0.2:8080", 5).by_name['a'], 5);
}

TEST(l4_weights)
{
	struct mesh_addr a = with_port(one->ip4, 8080), b = with_port(two->ip4, 8080);
	struct mesh_l4_image image = {.version = 1};
	struct mesh_l4_service *s = add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4);
	struct tally t;

	add_dest(s, 0, 1, &b);
	add_dest(s, 70, 1, &a);
	add_dest(s, 0, 0, NULL);
	add_dest(s, 30, 1, &b);
	CHECK_INT(world_apply(w.dp, &image), 0);
	t = pod_burst(client, "10.99.0.1:80", 3000);
	CHECK_INT(t.failed, 0);
	CHECK_INT(t.by_name['a'] + t.by_name['b'], 3000);
	/* 3 sigma of a 70 % draw of 3000: 3 * sqrt(3000 * 0.7 * 0.3) = 75.3 */
	CHECK(t.by_name['a'] >= 2100 - 76 && t.by_name['a'] <= 2100 + 76);
}

TEST(l7_capture)
{
	struct mesh_l4_image image = {.version = 2};
	struct dial d = {.to = at("10.99.0.2:80")};
	struct mesh_addr local, peer, orig;
	struct conn c;
	int fd;

	add_service(&image, "10.99.0.2:80", IPPROTO_TCP, MESH_TIER_L7);
	CHECK_INT(world_apply(w.dp, &image), 0);
	c = pod_dial(client, &d);
	CHECK_INT(c.error, 0);
	fd = accept_any(client, &local, &peer);
	CHECK(fd >= 0);
	CHECK_INT(mesh_dp_origdst(w.dp, client->cookie, &local, &peer, &orig), 0);
	CHECK(mesh_addr_eq(&orig, &d.to));
	CHECK_INT(mesh_dp_origdst(w.dp, client->cookie, &local, &peer, &orig), -ENOENT);
	CHECK(mesh_addr_eq(&c.peer, &d.to));
	CHECK(mesh_addr_ip_eq(&c.self, &client->ip4));
	CHECK_INT(c.self.port, peer.port);
	close(fd);
	pod_close(client, c.fd);
}

TEST(end)
{
	world_free(&w);
}

TEST_MAIN()
