/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that are pinned are gone on with by the build that pinned them, as long as nobody changed anything; else
 * they are replaced. */
#include "traffic.h"
#include "dataplane/dp.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include "mesh/abi.h"

static const char vip[] = "10.99.0.1:80";
static struct world w;

static int apply(char server)
{
	struct mesh_l4_image image = {.version = (uint64_t)server};
	struct mesh_l4_service *s = add_service(&image, vip, IPPROTO_TCP, MESH_TIER_L4);

	add_dest(s, 1, 1, (struct mesh_addr[]){with_port(w.pods[server == 'a' ? 1 : 2].ip4, 8080)});
	add_service(&image, "10.99.0.2:80", IPPROTO_TCP, MESH_TIER_L7);
	return world_apply(w.dp, &image);
}

TEST_SETUP(world)
{
	CHECK_INT(world_new(&w), 0);
	for (int i = 0; i < 4; i++)
		world_pod(&w);
	pod_serve(&w.pods[1], with_port(w.pods[1].ip4, 8080), 'a');
	pod_serve(&w.pods[2], with_port(w.pods[2].ip4, 8080), 'b');
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(apply('a'), 0);
}

/* Number of the program in a link; 0: there is no such link. */
static long program_of(const char *name)
{
	json_t *status = mesh_dp_status(w.dp), *p;
	size_t i;
	long id = 0;

	json_array_foreach(json_object_get(status, "programs"), i, p)
	{
		if (strcmp(json_string_value(json_object_get(p, "name")), name) == 0)
			id = (long)json_integer_value(json_object_get(p, "programId"));
	}
	json_decref(status);
	return id;
}

/* Sums of the numbers of all programs in links: another program, another sum. */
static long programs_sum(void)
{
	json_t *status = mesh_dp_status(w.dp), *p;
	size_t i;
	long sum = 0;

	json_array_foreach(json_object_get(status, "programs"), i, p)
	{
		sum += (long)json_integer_value(json_object_get(p, "programId"));
	}
	json_decref(status);
	return sum;
}

static bool says_kept(void)
{
	json_t *status = mesh_dp_status(w.dp);
	bool kept = json_is_true(json_object_get(status, "programsKept"));

	json_decref(status);
	return kept && mesh_dp_kept(w.dp);
}

static int pinned(const char *name)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/%s", w.pin, name);

	return bpf_obj_get(pin);
}

/* All that a data plane does, by programs that it has not loaded. */
static void check_works(struct pod *another)
{
	struct dial d = {.to = at("10.99.0.2:80")};
	struct mesh_addr orig;
	struct conn c;
	int fd;

	CHECK_INT(pod_burst(&w.pods[0], vip, 20).by_name['a'], 20);
	CHECK_INT(apply('b'), 0);
	CHECK_INT(pod_burst(&w.pods[0], vip, 20).by_name['b'], 20);
	CHECK_INT(apply('a'), 0);
	for (size_t i = 0; i < another->listener_count; i++)
		close(another->listeners[i]);
	another->listener_count = 0;
	CHECK_INT(world_capture(&w, another), 0);
	c = pod_dial(another, &d);
	CHECK_INT(c.error, 0);
	fd = accept_origdst(w.dp, another, &orig);
	CHECK(fd >= 0);
	CHECK(mesh_addr_eq(&orig, &d.to));
	close(fd);
	CHECK_INT(mesh_dp_release(w.dp, another->cookie), 0);
}

TEST(the_same_build_goes_on_with_its_programs)
{
	struct dial d = {.to = at(vip)};
	long before = programs_sum();
	struct conn c = pod_dial(&w.pods[0], &d);

	CHECK_INT(c.error, 0);
	CHECK_INT(pod_name(&w.pods[0], c.fd), 'a');
	CHECK(!says_kept());
	for (int i = 0; i < 3; i++) {
		CHECK_INT(world_dp_again(&w), 0);
		CHECK(says_kept());
		CHECK_INT(programs_sum(), before);
		check_works(&w.pods[3]);
	}
	CHECK(pod_echo(&w.pods[0], c.fd));
	pod_close(&w.pods[0], c.fd);
}

/* What the programs of the bypass said before they say again, of a device that was there and of a new one. */
TEST(filters_go_on_and_are_put_on_new_devices)
{
	json_t *status;
	const char *why;

	CHECK_INT(world_dp_again(&w), 0);
	CHECK(says_kept());
	CHECK_INT(world_capture(&w, &w.pods[3]), 0);
	status = mesh_dp_status(w.dp);
	why = json_string_value(json_object_get(json_object_get(status, "bypass"), "why"));
	if (why) {
		printf("  %s\n", why);
		json_decref(status);
		SKIP("the bypass is not in use here");
	}
	CHECK_INT(json_array_size(json_object_get(json_object_get(status, "bypass"), "devices")), 1);
	json_decref(status);
	CHECK_INT(mesh_dp_release(w.dp, w.pods[3].cookie), 0);
}

/* Writes something else into a note. */
static int change_note(const char *name, size_t at_byte)
{
	mesh_auto_fd int fd = pinned(name);
	struct mesh_dp_build b;
	uint32_t zero = 0;

	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &b) < 0)
		return -errno;
	((char *)&b)[at_byte] ^= 1;
	return bpf_map_update_elem(fd, &zero, &b, BPF_ANY) < 0 ? -errno : 0;
}

/* After whatever is wrong all is loaded, works, and the next start keeps it. */
static void check_replaced(long before)
{
	CHECK_INT(world_dp_again(&w), 0);
	CHECK(!says_kept());
	CHECK(programs_sum() != before);
	CHECK(program_of("connect4") != 0);
	check_works(&w.pods[3]);
	before = programs_sum();
	CHECK_INT(world_dp_again(&w), 0);
	CHECK(says_kept());
	CHECK_INT(programs_sum(), before);
}

TEST(another_build_replaces_them)
{
	struct mesh_dp_build b;
	mesh_auto_fd int fd = pinned("build-main");
	uint32_t zero = 0;
	char *space;

	CHECK(fd >= 0);
	CHECK_INT(bpf_map_lookup_elem(fd, &zero, &b), 0);
	space = b.text + strcspn(b.text, " "); /* behind the version */
	CHECK(space > b.text);
	CHECK_INT(strlen(space), 2 * 65);           /* two digests, each behind a space */
	CHECK_INT(change_note("build-main", 0), 0); /* of another version */
	check_replaced(programs_sum());
	CHECK_INT(change_note("build-main", (size_t)(space - b.text) + 1), 0); /* another connect.bpf.o */
	check_replaced(programs_sum());
	CHECK_INT(change_note("build-main", (size_t)(space - b.text) + 66), 0); /* another sockops.bpf.o */
	check_replaced(programs_sum());
}

TEST(without_a_note_they_are_replaced)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/build-main", w.pin);

	CHECK_INT(unlink(pin), 0);
	check_replaced(programs_sum());
}

/* A program that passes everything. */
static int other_program(void)
{
	struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);

	return bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "other", "GPL", code, MESH_ARRAY_SIZE(code), &opts);
}

/* As by a load that was killed half-way: one link has another program, the note is as it was. */
TEST(a_program_that_somebody_replaced)
{
	mesh_auto_fd int link = pinned("links/connect4"), prog = other_program();
	long before = programs_sum();

	CHECK(link >= 0 && prog >= 0);
	CHECK_INT(bpf_link_update(link, prog, NULL), 0);
	CHECK_INT(pod_burst(&w.pods[0], vip, 1).failed, 1);
	check_replaced(before);
}

/* Programs with another map than the one that is pinned are of no use. */
TEST(a_map_that_somebody_replaced)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/udpsrc", w.pin);
	mesh_auto_fd int fd = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "udpsrc", sizeof(struct mesh_udp_key),
					     sizeof(struct mesh_udp_src), 16384, NULL);

	CHECK(fd >= 0);
	CHECK_INT(unlink(pin), 0);
	CHECK_INT(bpf_obj_pin(fd, pin), 0);
	check_replaced(programs_sum());
}

/* A migration that was begun is gone on with, which takes the objects. */
TEST(a_migration_that_was_begun)
{
	mesh_auto_free char *next = mesh_xasprintf("%s/next", w.pin);

	CHECK_INT(mkdir(next, 0700), 0);
	check_replaced(programs_sum());
	CHECK(access(next, F_OK) < 0);
}

/* A link that was taken off its cgroup. */
TEST(a_link_that_is_gone)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/links/connect6", w.pin);

	CHECK_INT(unlink(pin), 0);
	check_replaced(programs_sum());
	CHECK(program_of("connect6") != 0);
}

/* The filters' programs have a note of their own. */
TEST(filters_of_another_build)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/bypass-pod_out", w.pin);
	mesh_auto_fd int fd = bpf_obj_get(pin);
	uint32_t before = fd < 0 ? 0 : mesh_dp_program_id(fd);
	int again;

	if (fd < 0)
		SKIP("the bypass is not in use here");
	CHECK_INT(world_dp_again(&w), 0);
	again = bpf_obj_get(pin);
	CHECK_INT(mesh_dp_program_id(again), before);
	close(again);
	CHECK_INT(change_note("build-bypass", 0), 0);
	CHECK_INT(world_dp_again(&w), 0);
	CHECK(says_kept());
	again = bpf_obj_get(pin);
	CHECK(again >= 0 && mesh_dp_program_id(again) != before);
	close(again);
	check_works(&w.pods[3]);
}

TEST(detach_leaves_nothing_of_it)
{
	struct mesh_errs errs = {0};

	CHECK_INT(world_dp_again(&w), 0);
	CHECK(says_kept());
	CHECK_INT(mesh_dp_detach_from(w.pin, w.hub.netns_fd, &errs), 0);
	CHECK(access(w.pin, F_OK) < 0 && errno == ENOENT);
	CHECK_INT(pod_burst(&w.pods[0], vip, 1).failed, 1);
	CHECK_INT(world_dp_again(&w), 0);
	CHECK(!says_kept());
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(apply('a'), 0);
	check_works(&w.pods[3]);
}

TEST_TEARDOWN(end)
{
	world_free(&w);
}

TEST_MAIN_ROOT()
