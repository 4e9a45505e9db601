/* SPDX-License-Identifier: Apache-2.0 */
/* The tiers and the names that sockets see, each with real pods and real connections. */
#include "traffic.h"

#include "mesh/abi.h"

#include <bpf/bpf.h>

static struct world w;
static struct pod *client, *one, *two, *outsider;

/* The image that most tests use: L4, L7, refused and UDP services in both families. */
static int apply_all(uint64_t version)
{
	struct mesh_addr a4 = with_port(one->ip4, 8080), b4 = with_port(two->ip4, 8080);
	struct mesh_addr a6 = with_port(one->ip6, 8080), b6 = with_port(two->ip6, 8080);
	struct mesh_addr u4 = with_port(one->ip4, 53), u6 = with_port(one->ip6, 53);
	struct mesh_l4_image image = {.version = version};
	struct mesh_l4_service *s;

	s = add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4);
	add_dest(s, 0, 1, &b4);
	add_dest(s, 70, 1, &a4);
	add_dest(s, 0, 0, NULL);
	add_dest(s, 30, 1, &b4);
	add_service(&image, "10.99.0.2:80", IPPROTO_TCP, MESH_TIER_L7);
	s = add_service(&image, "10.99.0.3:80", IPPROTO_TCP, MESH_TIER_REFUSE);
	s->refuse_reason = MESH_REASON_POLICY;
	s = add_service(&image, "10.99.0.4:80", IPPROTO_TCP, MESH_TIER_L4);
	add_dest(s, 100, 0, NULL);
	s = add_service(&image, "10.99.0.5:80", IPPROTO_TCP, MESH_TIER_L4);
	add_dest(s, 1, 2, (struct mesh_addr[]){a4, b4});
	add_service(&image, "10.99.0.6:80", IPPROTO_TCP, MESH_TIER_L4);
	s = add_service(&image, "10.99.0.10:53", IPPROTO_UDP, MESH_TIER_L4);
	add_dest(s, 1, 1, &u4);
	s = add_service(&image, "10.99.0.11:53", IPPROTO_UDP, MESH_TIER_REFUSE);
	s->refuse_reason = MESH_REASON_POLICY;
	s = add_service(&image, "[fd99::1]:80", IPPROTO_TCP, MESH_TIER_L4);
	add_dest(s, 1, 2, (struct mesh_addr[]){a6, b6});
	add_service(&image, "[fd99::2]:80", IPPROTO_TCP, MESH_TIER_L7);
	s = add_service(&image, "[fd99::3]:80", IPPROTO_TCP, MESH_TIER_REFUSE);
	s->refuse_reason = MESH_REASON_NO_SUBSET;
	s = add_service(&image, "[fd99::10]:53", IPPROTO_UDP, MESH_TIER_L4);
	add_dest(s, 1, 1, &u6);
	return world_apply(w.dp, &image);
}

TEST_SETUP(world)
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
	pod_serve_udp(one, with_port(one->ip4, 53), 'a');
	pod_serve_udp(one, with_port(one->ip6, 53), 'a');
	CHECK_INT(world_capture(&w, client), 0);
	CHECK_INT(client->listener_count, 4);
	CHECK_INT(apply_all(1), 0);
}

TEST(no_image_touches_nothing)
{
	struct mesh_l4_image empty = {.version = 1};

	CHECK_INT(world_apply(w.dp, &empty), 0);
	CHECK_INT(pod_burst(client, "10.77.0.2:8080", 5).by_name['a'], 5);
	CHECK(pod_burst(client, "10.99.0.1:80", 1).failed == 1);
	CHECK_INT(apply_all(2), 0);
}

TEST(pod_that_is_not_captured)
{
	struct tally t = pod_burst(outsider, "10.99.0.1:80", 1);

	CHECK_INT(t.failed, 1);
	CHECK(t.last_error == EHOSTUNREACH || t.last_error == ENETUNREACH || t.last_error == EINPROGRESS);
	CHECK_INT(pod_burst(outsider, "10.77.0.2:8080", 5).by_name['a'], 5);
}

TEST(destination_that_is_no_service)
{
	CHECK_INT(pod_burst(client, "10.77.0.2:8080", 5).by_name['a'], 5);
	CHECK_INT(pod_burst(client, "10.77.0.2:8081", 1).last_error, ECONNREFUSED);
}

TEST(l4_weights_are_exact)
{
	struct tally t = pod_burst(client, "10.99.0.1:80", 3000);

	CHECK_INT(t.failed, 0);
	CHECK_INT(t.by_name['a'] + t.by_name['b'], 3000);
	/* 3 sigma of a 70 % draw of 3000: 3 * sqrt(3000 * 0.7 * 0.3) = 75.3 */
	CHECK(t.by_name['a'] >= 2100 - 76 && t.by_name['a'] <= 2100 + 76);
}

TEST(l4_weight_zero_gets_nothing)
{
	struct mesh_addr a = with_port(one->ip4, 8080), b = with_port(two->ip4, 8080);

	for (int zero = 0; zero < 2; zero++) {
		struct mesh_l4_image image = {.version = 1};
		struct mesh_l4_service *s = add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4);
		struct tally t;

		add_dest(s, zero ? 1 : 0, 1, &a);
		add_dest(s, zero ? 0 : 1, 1, &b);
		CHECK_INT(world_apply(w.dp, &image), 0);
		t = pod_burst(client, "10.99.0.1:80", 300);
		CHECK_INT(t.by_name[zero ? 'a' : 'b'], 300);
	}
	CHECK_INT(apply_all(2), 0);
}

TEST(l4_many_groups)
{
	struct mesh_addr a = with_port(one->ip4, 8080), b = with_port(two->ip4, 8080);
	struct mesh_l4_image image = {.version = 1};
	struct mesh_l4_service *s = add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4);
	struct tally t;

	/* All 256 groups; only the first, one in the middle and the last have weight: 1 : 2 : 1. */
	for (int i = 0; i < 256; i++)
		add_dest(s, i == 0 || i == 255 ? 1 : i == 131 ? 2 : 0, 1, i == 131 ? &a : &b);
	CHECK_INT(world_apply(w.dp, &image), 0);
	t = pod_burst(client, "10.99.0.1:80", 1000);
	CHECK_INT(t.failed, 0);
	/* 3 * sqrt(1000 * 0.5 * 0.5) = 47.4 */
	CHECK(t.by_name['a'] >= 500 - 48 && t.by_name['a'] <= 500 + 48);
	CHECK_INT(apply_all(3), 0);
}

TEST(l4_endpoints_in_turn)
{
	struct tally t = pod_burst(client, "10.99.0.5:80", 20);

	CHECK_INT(t.by_name['a'], 10);
	CHECK_INT(t.by_name['b'], 10);
	for (int i = 1; i < 20; i++)
		CHECK(t.first[i] != t.first[i - 1]);
}

/* As many as are in the service's entry, one more, and so on: each has its turn, in order, as often as the others. */
TEST(l4_endpoints_near_and_far)
{
	static const int counts[] = {1, 3, 4, 5, 10, 11, 12, 17};
	enum { FIRST_PORT = 9000, MOST = 17, ROUNDS = 3 };
	struct mesh_addr list[MOST];

	for (int i = 0; i < MOST; i++) {
		list[i] = with_port(one->ip4, (uint16_t)(FIRST_PORT + i));
		pod_serve(one, list[i], (char)('A' + i));
	}
	for (size_t k = 0; k < MESH_ARRAY_SIZE(counts); k++) {
		struct mesh_l4_image image = {.version = 1};
		struct mesh_l4_service *s = add_service(&image, "10.99.0.20:80", IPPROTO_TCP, MESH_TIER_L4);
		int n = counts[k];
		struct tally t;

		add_dest(s, 1, (size_t)n, list);
		CHECK_INT(world_apply(w.dp, &image), 0);
		t = pod_burst(client, "10.99.0.20:80", n * ROUNDS);
		CHECK_INT(t.failed, 0);
		for (int i = 0; i < n; i++)
			CHECK_INT(t.by_name['A' + i], ROUNDS);
		for (int i = 1; i < n * ROUNDS; i++)
			CHECK_INT(t.first[i], 'A' + (t.first[i - 1] - 'A' + 1) % n);
	}
	CHECK_INT(apply_all(5), 0);
}

/* The entry has the endpoints that the other maps have; an address of zeros is looked up there. */
TEST(l4_the_entry_says_what_the_maps_say)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/svc4", w.pin);
	mesh_auto_fd int fd = bpf_obj_get(pin);
	struct mesh_key4 key = {.ip = {10, 99, 0, 5}, .port = 80, .proto = IPPROTO_TCP};
	uint32_t words[2];
	struct mesh_svc v;

	CHECK_INT(bpf_map_lookup_elem(fd, &key, &v), 0);
	memcpy(words, &key, sizeof(words));
	CHECK_INT(v.reason, 2);
	CHECK(memcmp(v.near[0].ep.ip, &one->ip4.ip.s6_addr[12], 4) == 0 && v.near[0].ep.port == 8080);
	CHECK(memcmp(v.near[1].ep.ip, &two->ip4.ip.s6_addr[12], 4) == 0 && v.near[1].ep.port == 8080);
	CHECK(!v.near[2].word && !v.near[3].word && !v.more[0].word);
	CHECK(v.seal == mesh_seal(words, 2, v.set, v.total, v.dests, v.tier, v.reason, v.affinity, v.near));
	CHECK(v.more_seal == mesh_seal_more(v.set, v.more));
	/* Whatever is changed of it, the seal is another. */
	for (int i = 0; i < MESH_NEAR; i++) {
		v.near[i].word ^= 1ULL << (17 * i);
		CHECK(v.seal != mesh_seal(words, 2, v.set, v.total, v.dests, v.tier, v.reason, v.affinity, v.near));
		v.near[i].word ^= 1ULL << (17 * i);
	}
	for (int i = 0; i < MESH_NEAR_MORE; i++) {
		v.more[i].word ^= 1ULL << (9 * i);
		CHECK(v.more_seal != mesh_seal_more(v.set, v.more));
		v.more[i].word ^= 1ULL << (9 * i);
	}
	CHECK(mesh_seal_more(v.set, v.more) != mesh_seal_more(v.set + 1, v.more));
	/* Weights are drawn by: its endpoints are in the other maps alone. */
	key.ip[3] = 1;
	CHECK_INT(bpf_map_lookup_elem(fd, &key, &v), 0);
	CHECK(v.reason == 0 && !v.near[0].word);
}

/* A second part that is being replaced is not believed: the endpoint is looked up, and the turn is the one drawn. */
TEST(l4_a_torn_second_part_is_looked_up)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/svc4", w.pin);
	mesh_auto_fd int fd = bpf_obj_get(pin);
	struct mesh_key4 key = {.ip = {10, 99, 0, 20}, .port = 80, .proto = IPPROTO_TCP};
	struct mesh_l4_image image = {.version = 1};
	struct mesh_l4_service *s = add_service(&image, "10.99.0.20:80", IPPROTO_TCP, MESH_TIER_L4);
	struct mesh_addr list[6];
	struct mesh_svc v;
	struct tally t;

	for (int i = 0; i < 6; i++) {
		list[i] = with_port(two->ip4, (uint16_t)(9100 + i));
		pod_serve(two, list[i], (char)('A' + i));
	}
	add_dest(s, 1, 6, list);
	CHECK_INT(world_apply(w.dp, &image), 0);
	CHECK_INT(bpf_map_lookup_elem(fd, &key, &v), 0);
	v.more[0] = v.near[0]; /* would get the fifth's connections as well */
	CHECK_INT(bpf_map_update_elem(fd, &key, &v, BPF_EXIST), 0);
	t = pod_burst(client, "10.99.0.20:80", 12);
	CHECK_INT(t.failed, 0);
	for (int i = 0; i < 6; i++)
		CHECK_INT(t.by_name['A' + i], 2);
	CHECK_INT(apply_all(6), 0);
}

TEST(l4_turn_goes_on_over_versions)
{
	char last = pod_burst(client, "10.99.0.5:80", 1).first[0];

	for (int i = 0; i < 6; i++) {
		struct mesh_addr a = with_port(one->ip4, 8080), b = with_port(two->ip4, 8080);
		struct mesh_l4_image image = {.version = 1};
		struct mesh_l4_service *s = add_service(&image, "10.99.0.5:80", IPPROTO_TCP, MESH_TIER_L4);
		char name;

		add_dest(s, (uint32_t)i + 2, 2, (struct mesh_addr[]){a, b});
		CHECK_INT(world_apply(w.dp, &image), 0);
		name = pod_burst(client, "10.99.0.5:80", 1).first[0];
		CHECK(name != last);
		last = name;
	}
	CHECK_INT(apply_all(4), 0);
}

TEST(l4_names_are_honest)
{
	struct dial d = {.to = at("10.99.0.1:80")};
	struct conn c = pod_dial(client, &d);

	CHECK_INT(c.error, 0);
	CHECK(mesh_addr_eq(&c.peer, &d.to));
	CHECK(mesh_addr_ip_eq(&c.self, &client->ip4));
	CHECK(pod_name(client, c.fd) != 0);
	CHECK(pod_echo(client, c.fd));
	pod_close(client, c.fd);
}

TEST(l4_ipv6)
{
	struct dial d = {.to = at("[fd99::1]:80")};
	struct tally t = pod_burst(client, "[fd99::1]:80", 10);
	struct conn c;

	CHECK_INT(t.failed, 0);
	CHECK_INT(t.by_name['a'], 5);
	c = pod_dial(client, &d);
	CHECK_INT(c.error, 0);
	CHECK(mesh_addr_eq(&c.peer, &d.to));
	CHECK(mesh_addr_ip_eq(&c.self, &client->ip6));
	pod_close(client, c.fd);
}

TEST(l4_ipv4_from_an_ipv6_socket)
{
	struct dial d = {.to = at("10.99.0.5:80"), .v6_socket = 1};
	struct conn c = pod_dial(client, &d);

	CHECK_INT(c.error, 0);
	CHECK(mesh_addr_eq(&c.peer, &d.to));
	CHECK(mesh_addr_ip_eq(&c.self, &client->ip4));
	CHECK(pod_name(client, c.fd) != 0);
	pod_close(client, c.fd);
}

/* Dials an L7 service and checks both sides' view of it. */
static void check_l7(const char *to, int v6_socket, const char *device)
{
	struct dial d = {.to = at(to), .v6_socket = v6_socket};
	const struct mesh_addr *own = mesh_addr_is_v4(&d.to) ? &client->ip4 : &client->ip6;
	struct mesh_addr local, peer, orig;
	struct conn c;
	char byte = 0;
	int fd;

	snprintf(d.device, sizeof(d.device), "%s", device);
	c = pod_dial(client, &d);
	CHECK_INT(c.error, 0);
	fd = accept_any(client, &local, &peer);
	CHECK(fd >= 0);
	CHECK_INT(mesh_dp_origdst(w.dp, client->cookie, &local, &peer, &orig), 0);
	CHECK(mesh_addr_eq(&orig, &d.to));
	/* Taken is taken. */
	CHECK_INT(mesh_dp_origdst(w.dp, client->cookie, &local, &peer, &orig), -ENOENT);
	CHECK(mesh_addr_eq(&c.peer, &d.to));
	CHECK(mesh_addr_ip_eq(&c.self, own));
	CHECK_INT(c.self.port, peer.port);
	CHECK_INT(write(fd, "z", 1), 1);
	CHECK_INT(pod_name(client, c.fd), 'z');
	pod_close(client, c.fd);
	CHECK_INT(read(fd, &byte, 1), 0);
	close(fd);
	CHECK_INT(map_entries(w.dp, "origdst"), 0);
}

TEST(l7_ipv4)
{
	check_l7("10.99.0.2:80", 0, "");
}

TEST(l7_ipv6)
{
	check_l7("[fd99::2]:80", 0, "");
}

TEST(l7_ipv4_from_an_ipv6_socket)
{
	check_l7("10.99.0.2:80", 1, "");
}

TEST(l7_bound_to_a_device)
{
	check_l7("10.99.0.2:80", 0, "eth0");
	if (!test_failed)
		check_l7("[fd99::2]:80", 0, "eth0");
	if (!test_failed)
		check_l7("10.99.0.2:80", 1, "eth0");
}

TEST(l7_loopback_destinations_differ)
{
	struct dial d = {.to = at("10.99.0.2:80")};
	struct mesh_addr local[4], peer, orig;
	int same = 0;

	for (int i = 0; i < 4; i++) {
		struct conn c = pod_dial(client, &d);
		int fd = accept_any(client, &local[i], &peer);

		CHECK(fd >= 0);
		CHECK_INT(mesh_dp_origdst(w.dp, client->cookie, &local[i], &peer, &orig), 0);
		CHECK_INT(local[i].ip.s6_addr[12], 127);
		close(fd);
		pod_close(client, c.fd);
		same += i > 0 && mesh_addr_ip_eq(&local[i], &local[0]);
	}
	CHECK(same < 3);
}

/* Sends and closes before the agent has accepted: it is served all the same. */
TEST(l7_closed_before_accepted)
{
	struct dial d = {.to = at("10.99.0.2:80")};
	struct conn c = pod_dial(client, &d);
	struct mesh_addr orig;
	int fd;

	pod_close(client, c.fd);
	usleep(20000);
	fd = accept_origdst(w.dp, client, &orig);
	CHECK(fd >= 0);
	CHECK(mesh_addr_eq(&orig, &d.to));
	close(fd);
}

static void do_connect_reset(const void *in, void *out)
{
	struct linger now = {.l_onoff = 1};
	int fd = dial_fd(in);

	(void)out;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

TEST(l7_reset_leaves_nothing)
{
	struct dial d = {.to = at("10.99.0.2:80")};
	struct mesh_addr local, peer;

	pod_call(client, do_connect_reset, &d, sizeof(d), NULL, 0);
	CHECK_INT(map_entries(w.dp, "origdst"), 0);
	close(accept_any(client, &local, &peer));
}

TEST(a_connection_without_origdst)
{
	struct dial d = {.to = with_port(mesh_addr_from_v4(htonl(INADDR_LOOPBACK), 0), 15001)};
	struct conn c = pod_dial(client, &d);
	struct mesh_addr orig;

	CHECK_INT(c.error, 0);
	CHECK_INT(accept_origdst(w.dp, client, &orig), -ENOENT);
	pod_close(client, c.fd);
}

TEST(listeners_are_for_the_pod_alone)
{
	struct mesh_addr ips[2] = {client->ip4, client->ip6};

	for (int i = 0; i < 2; i++) {
		struct dial d = {.to = with_port(ips[i], 15001)};
		struct mesh_addr local, peer;
		int error;

		pod_call(outsider, do_dial_briefly, &d, sizeof(d), &error, sizeof(error));
		CHECK(error != 0);
		pod_call(client, do_dial_briefly, &d, sizeof(d), &error, sizeof(error));
		CHECK_INT(error, 0);
		close(accept_any(client, &local, &peer));
	}
}

TEST(refused_with_a_reason)
{
	long policy = reason_count(w.dp, "policy"), subset = reason_count(w.dp, "no_subset");
	struct tally t = pod_burst(client, "10.99.0.3:80", 3);

	CHECK_INT(t.failed, 3);
	CHECK_INT(t.last_error, ECONNREFUSED);
	CHECK_INT(reason_count(w.dp, "policy"), policy + 3);
	CHECK_INT(pod_burst(client, "[fd99::3]:80", 2).last_error, ECONNREFUSED);
	CHECK_INT(reason_count(w.dp, "no_subset"), subset + 2);
}

TEST(no_endpoint_is_refused)
{
	long before = reason_count(w.dp, "no_endpoint");

	CHECK_INT(pod_burst(client, "10.99.0.4:80", 2).last_error, ECONNREFUSED);
	CHECK_INT(pod_burst(client, "10.99.0.6:80", 1).last_error, ECONNREFUSED);
	CHECK_INT(reason_count(w.dp, "no_endpoint"), before + 3);
}

/* The count of refusals of the client to 10.99.0.3:80 by policy; -1 if a row says other than that. */
static long refusals(void)
{
	json_t *status = mesh_dp_status(w.dp), *row;
	long n = 0;
	size_t i;

	json_array_foreach(json_object_get(status, "refused"), i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, "destination")), "10.99.0.3:80") != 0)
			continue;
		if (n != 0 || strcmp(json_string_value(json_object_get(row, "pod")), "test/pod1") != 0 ||
		    strcmp(json_string_value(json_object_get(row, "protocol")), "TCP") != 0 ||
		    strcmp(json_string_value(json_object_get(row, "reason")), "policy") != 0)
			n = -1;
		else
			n = (long)json_integer_value(json_object_get(row, "count"));
	}
	json_decref(status);
	return n;
}

TEST(refusals_by_pod_and_destination)
{
	long before = refusals();

	CHECK(before >= 0);
	CHECK_INT(pod_burst(client, "10.99.0.3:80", 3).failed, 3);
	CHECK_INT(refusals(), before + 3);
}

static void check_udp(const char *to, int v6_socket, int connected)
{
	struct dial d = {.to = at(to), .v6_socket = v6_socket, .udp = connected ? 2 : 1};
	struct exchange x = pod_exchange(client, &d);

	CHECK_INT(x.error, 0);
	CHECK_INT(x.name, 'a');
	CHECK(mesh_addr_eq(&x.from, &d.to));
	if (connected)
		CHECK(mesh_addr_eq(&x.peer, &d.to));
}

TEST(udp)
{
	static const struct {
		const char *to;
		int v6_socket, connected;
	} cases[] = {
		{"10.99.0.10:53", 0, 0}, {"10.99.0.10:53", 0, 1}, {"10.99.0.10:53", 1, 0},
		{"10.99.0.10:53", 1, 1}, {"[fd99::10]:53", 0, 0}, {"[fd99::10]:53", 0, 1},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(cases) && !test_failed; i++) {
		check_udp(cases[i].to, cases[i].v6_socket, cases[i].connected);
		if (test_failed)
			printf("  case %zu\n", i);
	}
}

/* Gives every free place of map sock to a socket that is none (take), or frees those again. */
static void take_places(int take)
{
	struct mesh_sock s;
	char pin[96];
	int map;

	snprintf(pin, sizeof(pin), "%s/sock", w.pin);
	map = bpf_obj_get(pin);
	CHECK(map >= 0);
	for (uint32_t i = 0; i < MESH_SOCK_PLACES; i++) {
		uint64_t nobody = (1ULL << 40) + i;

		if (bpf_map_lookup_elem(map, &i, &s) < 0 || s.cookie != (take ? 0 : nobody))
			continue;
		s.cookie = take ? nobody : 0;
		if (bpf_map_update_elem(map, &i, &s, BPF_ANY) < 0)
			CHECK(0);
		if (!take)
			CHECK_INT(s.crowded, 0);
	}
	close(map);
}

TEST(a_closed_socket_is_forgotten)
{
	struct dial l4 = {.to = at("10.99.0.1:80")}, udp = {.to = at("10.99.0.10:53"), .udp = 1};
	long before = map_entries(w.dp, "sock");
	struct conn a = pod_dial(client, &l4), b = pod_dial(client, &udp);

	CHECK_INT(map_entries(w.dp, "sock"), before + 2);
	pod_close(client, a.fd);
	pod_close(client, b.fd);
	CHECK_INT(map_entries(w.dp, "sock"), before);
	CHECK_INT(pod_burst(client, "10.99.0.1:80", 100).failed, 0);
	CHECK_INT(map_entries(w.dp, "sock"), before);
	CHECK_INT(map_entries(w.dp, "sockmore"), 0);
}

/* Long-lived sockets have the places of those that come: nothing differs for these. */
TEST(sockets_without_a_place)
{
	struct dial l4 = {.to = at("10.99.0.1:80")}, l4_v6 = {.to = at("[fd99::1]:80")};
	struct conn a, b;

	take_places(1);
	a = pod_dial(client, &l4);
	b = pod_dial(client, &l4_v6);
	CHECK_INT(map_entries(w.dp, "sockmore"), 2);
	CHECK(mesh_addr_eq(&a.peer, &l4.to));
	CHECK(mesh_addr_eq(&b.peer, &l4_v6.to));
	check_l7("10.99.0.2:80", 0, "");
	check_l7("[fd99::2]:80", 0, "");
	CHECK_INT(pod_burst(client, "10.99.0.1:80", 100).failed, 0);
	pod_close(client, a.fd);
	pod_close(client, b.fd);
	CHECK_INT(map_entries(w.dp, "sockmore"), 0);
	take_places(0);
}

TEST(udp_to_no_service)
{
	struct dial d = {.to = with_port(one->ip4, 53), .udp = 1};
	struct exchange x = pod_exchange(client, &d);

	CHECK_INT(x.error, 0);
	CHECK(mesh_addr_eq(&x.from, &d.to));
}

TEST(udp_refused)
{
	struct dial d = {.to = at("10.99.0.11:53"), .udp = 1};

	CHECK_INT(pod_exchange(client, &d).error, ECONNREFUSED);
	d.udp = 2;
	CHECK_INT(pod_exchange(client, &d).error, ECONNREFUSED);
}

TEST(the_agent_is_exempt)
{
	char home[360];
	int error = pod_burst(client, "10.99.0.3:80", 1).last_error;

	CHECK_INT(error, ECONNREFUSED);
	snprintf(home, sizeof(home), "%s/pod1", w.pods_cgroup);
	pod_call(client, do_move, w.agent_cgroup, strlen(w.agent_cgroup) + 1, NULL, 0);
	error = pod_burst(client, "10.99.0.3:80", 1).last_error;
	pod_call(client, do_move, home, strlen(home) + 1, NULL, 0);
	CHECK(error != ECONNREFUSED);
	CHECK_INT(pod_burst(client, "10.99.0.3:80", 1).last_error, ECONNREFUSED);
}

TEST_TEARDOWN(end)
{
	world_free(&w);
}

TEST_MAIN_ROOT()
