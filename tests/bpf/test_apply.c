/* SPDX-License-Identifier: Apache-2.0 */
/* Images: switched under load without a hole or a mix, compared with what is in force, refused as a whole. */
#include "traffic.h"

#include <bpf/bpf.h>
#include "mesh/abi.h"

static struct world w;
static struct pod *client, *other, *one, *two;

TEST_SETUP(world)
{
	CHECK_INT(world_new(&w), 0);
	client = world_pod(&w);
	other = world_pod(&w);
	one = world_pod(&w);
	two = world_pod(&w);
	pod_serve(one, with_port(one->ip4, 8080), 'a');
	pod_serve(two, with_port(two->ip4, 8080), 'b');
	pod_serve(one, with_port(one->ip6, 8080), 'a');
	pod_serve(two, with_port(two->ip6, 8080), 'b');
	CHECK_INT(world_capture(&w, client), 0);
	CHECK_INT(world_capture(&w, other), 0);
}

/* Two services in both families that are all on one pod, in groups that differ in number from version to version. */
static int apply_to(struct pod *p, int groups, uint64_t version)
{
	static const char *const vips[] = {"10.99.0.1:80", "10.99.0.2:80", "[fd99::1]:80"};
	struct mesh_l4_image image = {.version = version};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(vips); i++) {
		struct mesh_l4_service *s = add_service(&image, vips[i], IPPROTO_TCP, MESH_TIER_L4);
		struct mesh_addr a = with_port(vips[i][0] == '[' ? p->ip6 : p->ip4, 8080);

		for (int g = 0; g < groups; g++)
			add_dest(s, (uint32_t)(g % 3), 2, (struct mesh_addr[]){a, a});
		add_dest(s, 1, 1, &a);
	}
	/* And some that come and go. */
	for (int i = 0; i < (int)(version % 5); i++) {
		char vip[32];

		snprintf(vip, sizeof(vip), "10.99.7.%d:80", i);
		add_dest(add_service(&image, vip, IPPROTO_TCP, MESH_TIER_L4), 1, 1,
			 (struct mesh_addr[]){with_port(p->ip4, 8080)});
	}
	return world_apply(w.dp, &image);
}

/* Hundreds of switches while other pods connect all the time: none fails, the next connection is on the new version. */
TEST(switches_under_load)
{
	struct tally t[2];
	CHECK_INT(apply_to(one, 1, 1), 0);
	pod_load_start(client, "10.99.0.2:80");
	pod_load_start(other, "[fd99::1]:80");
	for (int n = 0; n < 500 && !test_failed; n++) {
		struct pod *to = n % 2 ? two : one;

		CHECK_INT(apply_to(to, n % 4, (uint64_t)n), 0);
		CHECK_INT(pod_burst(client, "10.99.0.1:80", 1).first[0], n % 2 ? 'b' : 'a');
		CHECK_INT(pod_burst(client, "[fd99::1]:80", 1).first[0], n % 2 ? 'b' : 'a');
	}
	t[0] = pod_load_stop(client);
	t[1] = pod_load_stop(other);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(t[i].failed, 0);
		CHECK(t[i].by_name['a'] > 100 && t[i].by_name['b'] > 100);
	}
	CHECK_INT(reason_count(w.dp, "bad_config"), 0);
}

/* What a version leaves is gone soon after the next. */
TEST(old_versions_are_swept)
{
	CHECK_INT(apply_to(one, 3, 10), 0);
	for (int i = 0; i < 100 && map_entries(w.dp, "dest") != 12; i++)
		usleep(20000);
	CHECK_INT(map_entries(w.dp, "dest"), 3 * 4);
	CHECK_INT(map_entries(w.dp, "ep4"), 2 * (3 * 2 + 1));
	CHECK_INT(map_entries(w.dp, "ep6"), 3 * 2 + 1);
}

/* The set number in force for an IPv4 service; 0 if there is none. */
static uint64_t set_of(const char *vip)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/svc4", w.pin);
	mesh_auto_fd int fd = bpf_obj_get(pin);
	struct mesh_addr a = at(vip);
	struct mesh_key4 key = {.port = a.port, .proto = IPPROTO_TCP};
	struct mesh_svc v;

	memcpy(key.ip, &a.ip.s6_addr[12], 4);
	return bpf_map_lookup_elem(fd, &key, &v) == 0 ? v.set : 0;
}

TEST(only_differences_are_written)
{
	uint64_t before;

	CHECK_INT(apply_to(one, 2, 10), 0);
	before = set_of("10.99.0.1:80");
	CHECK(before != 0);
	CHECK_INT(apply_to(one, 2, 15), 0);
	CHECK_INT(set_of("10.99.0.1:80"), before);
	CHECK_INT(apply_to(two, 2, 15), 0);
	CHECK(set_of("10.99.0.1:80") != before);
}

TEST(a_service_that_goes_is_untouched_again)
{
	struct mesh_l4_image empty = {.version = 2};

	CHECK_INT(apply_to(one, 2, 15), 0);
	CHECK(set_of("10.99.0.1:80") != 0);
	CHECK_INT(world_apply(w.dp, &empty), 0);
	CHECK_INT(set_of("10.99.0.1:80"), 0);
	CHECK_INT(pod_burst(client, "10.99.0.1:80", 1).failed, 1);
}

/* What an image is refused with; the one before stays in force. */
static void check_refused(struct mesh_l4_image *image, int want, const char *text)
{
	mesh_auto(mesh_buf_free) struct mesh_buf said = {0};
	struct mesh_errs errs = {0};
	int r = image_apply(w.dp, image, &errs);

	mesh_errs_format(&errs, &said);
	mesh_errs_free(&errs);
	mesh_l4_image_free(image);
	CHECK_INT(r, want);
	CHECK_STR(said.data, text);
	CHECK_INT(pod_burst(client, "10.99.0.1:80", 1).first[0], 'a');
}

TEST(a_bad_image_is_refused_whole)
{
	struct mesh_addr a4 = with_port(one->ip4, 8080), a6 = with_port(one->ip6, 8080);
	struct mesh_l4_image image = {.version = 3};
	struct mesh_l4_service *s;

	CHECK_INT(apply_to(one, 1, 5), 0);
	add_dest(add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4), 1, 1, &a6);
	add_service(&image, "10.99.0.2:80", 99, MESH_TIER_L7);
	add_service(&image, "10.99.0.3:53", IPPROTO_UDP, MESH_TIER_L7);
	add_service(&image, "10.99.0.4:80", IPPROTO_TCP, MESH_TIER_REFUSE);
	s = add_service(&image, "10.99.0.5:80", IPPROTO_TCP, MESH_TIER_L4);
	add_dest(s, UINT32_MAX, 1, &a4);
	add_dest(s, 1, 1, &a4);
	s = add_service(&image, "10.99.0.6:80", IPPROTO_TCP, MESH_TIER_L4);
	for (int i = 0; i < 257; i++)
		add_dest(s, 1, 1, &a4);
	add_service(&image, "10.99.0.7:80", IPPROTO_TCP, (enum mesh_tier)77);
	check_refused(&image, -EINVAL,
		      "service 10.99.0.1:80: an endpoint is not of its address's family\n"
		      "service 10.99.0.2:80: neither TCP nor UDP\n"
		      "service 10.99.0.3:53: the HTTP tier is for TCP only\n"
		      "service 10.99.0.4:80: a refusal without a known reason\n"
		      "service 10.99.0.5:80: the weights' sum is above 4294967295\n"
		      "service 10.99.0.6:80: more than 256 weighted destinations\n"
		      "service 10.99.0.7:80: an unknown tier\n");
}

TEST(too_many_services)
{
	struct mesh_l4_image image = {.version = 3};

	CHECK_INT(apply_to(one, 1, 5), 0);
	for (int i = 0; i < 257; i++) {
		char vip[32];

		snprintf(vip, sizeof(vip), "10.98.%d.%d:80", i / 256, i % 256);
		add_service(&image, vip, IPPROTO_TCP, MESH_TIER_L7);
	}
	check_refused(&image, -E2BIG, "257 IPv4 services do not fit in the data plane's table of 256\n");
}

TEST(too_many_endpoints)
{
	struct mesh_l4_image image = {.version = 3};
	struct mesh_addr *many = mesh_xcalloc(9000, sizeof(*many));
	long before;

	CHECK_INT(apply_to(one, 1, 5), 0);
	for (int i = 0; i < 100 && map_entries(w.dp, "dest") != 6; i++)
		usleep(20000);
	before = map_entries(w.dp, "dest");
	for (int i = 0; i < 9000; i++)
		many[i] = with_port(one->ip4, (uint16_t)(i + 1));
	add_dest(add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4), 1, 1, many);
	add_dest(add_service(&image, "10.99.0.9:80", IPPROTO_TCP, MESH_TIER_L4), 1, 9000, many);
	free(many);
	check_refused(
		&image, -E2BIG,
		"writing service 10.99.0.9:80: the endpoint table is full; the last configuration stays in force\n");
	if (!test_failed)
		CHECK_INT(map_entries(w.dp, "dest"), before);
}

/* Endpoint sets near the table's size, replaced over and over: room is made by sweeping at once. */
TEST(large_sets_replaced)
{
	struct mesh_addr *many = mesh_xcalloc(3000, sizeof(*many));

	for (int version = 1; version <= 5; version++) {
		struct mesh_l4_image image = {.version = 3};

		for (int i = 0; i < 3000; i++)
			many[i] = with_port(version % 2 ? one->ip4 : two->ip4, 8080);
		add_dest(add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4), 1, 3000, many);
		CHECK_INT(world_apply(w.dp, &image), 0);
		CHECK_INT(pod_burst(client, "10.99.0.1:80", 3).by_name[version % 2 ? 'a' : 'b'], 3);
	}
	free(many);
}

TEST_TEARDOWN(end)
{
	world_free(&w);
}

TEST_MAIN_ROOT()
