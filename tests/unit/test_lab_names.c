/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/controllers.h"
#include "lab/lab_state.h"
#include "test.h"

TEST(encode_maps_each_digit_as_kubernetes_does)
{
	char out[MESH_HASH_MAX];

	/* '0'..'9' are 48..57: modulo 27 they are 21..26 and 0..3 of the alphabet. */
	mesh_name_encode(123456789, out);
	CHECK_STR(out, "56789bcdf");
	mesh_name_encode(0, out);
	CHECK_STR(out, "4");
	mesh_name_encode(UINT32_MAX, out);
	CHECK_INT(strlen(out), 10);
	CHECK_INT(strspn(out, "bcdf456789"), 10);
}

TEST(suffix_is_of_the_alphabet)
{
	char out[MESH_SUFFIX_LEN + 1], other[MESH_SUFFIX_LEN + 1];
	int same = 0;

	for (int i = 0; i < 1000; i++) {
		mesh_name_suffix(out);
		mesh_name_suffix(other);
		CHECK_INT(strlen(out), 5);
		CHECK_INT(strspn(out, "bcdfghjklmnpqrstvwxz2456789"), 5);
		same += strcmp(out, other) == 0;
	}
	CHECK(same < 3);
}

TEST(pod_name_is_cut_to_63)
{
	char base[100];
	char *name = mesh_name_pod("catalog-v1-6d6b478456");

	CHECK_INT(strlen(name), strlen("catalog-v1-6d6b478456-9vsm2"));
	CHECK_INT(strncmp(name, "catalog-v1-6d6b478456-", 22), 0);
	free(name);
	memset(base, 'a', sizeof(base) - 1);
	base[sizeof(base) - 1] = 0;
	name = mesh_name_pod(base);
	CHECK_INT(strlen(name), 63);
	CHECK_INT(name[57], '-');
	free(name);
}

TEST(template_hash_sees_content_not_order)
{
	json_t *a = json_loads("{\"x\": 1, \"y\": [1, 2]}", 0, NULL),
	       *b = json_loads("{\"y\": [1, 2], \"x\": 1}", 0, NULL);
	json_t *c = json_loads("{\"x\": 1, \"y\": [2, 1]}", 0, NULL);
	char one[MESH_HASH_MAX], two[MESH_HASH_MAX];

	mesh_name_template_hash(a, 0, one);
	mesh_name_template_hash(b, 0, two);
	CHECK_STR(one, two);
	mesh_name_template_hash(c, 0, two);
	CHECK(strcmp(one, two) != 0);
	mesh_name_template_hash(a, 1, two);
	CHECK(strcmp(one, two) != 0);
	json_decref(a);
	json_decref(b);
	json_decref(c);
}

TEST(lab_names)
{
	CHECK(mesh_lab_name_valid("default"));
	CHECK(mesh_lab_name_valid("a-1"));
	CHECK(!mesh_lab_name_valid(""));
	CHECK(!mesh_lab_name_valid("-a"));
	CHECK(!mesh_lab_name_valid("a-"));
	CHECK(!mesh_lab_name_valid("A"));
	CHECK(!mesh_lab_name_valid("a/b"));
	CHECK(!mesh_lab_name_valid(".."));
	CHECK(mesh_lab_name_valid("abcdefghijklmnopqrstuvwx"));
	CHECK(!mesh_lab_name_valid("abcdefghijklmnopqrstuvwxy"));
}

static void check_key(const char *image, const char *want)
{
	char *key = mesh_lab_image_key(image);

	CHECK_STR(key, want);
	free(key);
}

TEST(image_keys)
{
	check_key("docker.io/rhtgptetraining/foundation-catalog:latest", "rhtgptetraining/foundation-catalog");
	check_key("rhtgptetraining/foundation-catalog-v2:1.2", "rhtgptetraining/foundation-catalog-v2");
	check_key("echo", "echo");
	check_key("docker.io/library/echo:1@sha256:abc", "echo");
	check_key("registry:5000/a/b", "registry:5000/a/b");
	check_key("registry:5000/a/b:c", "registry:5000/a/b");
	check_key("sockmesh/meshd:dev", "sockmesh/meshd");
}

TEST(addresses_follow_the_index)
{
	struct mesh_lab lab = {.index = 3};
	char out[MESH_LAB_TEXT];

	CHECK_STR(mesh_lab_fabric_ip(&lab, 254, out), "10.67.0.254");
	CHECK_STR(mesh_lab_fabric_ip6(&lab, 254, out), "fd5a:67::fe");
	CHECK_STR(mesh_lab_pod_ip(&lab, 2, 5, out), "10.67.2.5");
	CHECK_STR(mesh_lab_pod_ip6(&lab, 2, 17, out), "fd5a:67:2::11");
	CHECK_STR(mesh_lab_pod_ip6(&lab, 2, 0, out), "fd5a:67:2::");
	CHECK_STR(mesh_lab_service_ip(&lab, 10, out), "10.131.0.10");
	CHECK_STR(mesh_lab_host_ip(&lab, out), "127.67.0.1");
	CHECK_STR(mesh_lab_netns_name(&lab, "n1", out), "sml3-n1");
}

TEST(image_option)
{
	struct mesh_lab lab = {0};
	struct mesh_errs errs = {0};
	const struct mesh_lab_image *image;

	CHECK_INT(mesh_lab_add_image(&lab, "mine", &errs), -22);
	CHECK_STR(errs.list.items[0].text, "--image mine: not of the form NAME=PATH");
	CHECK_INT(mesh_lab_add_image(&lab, "mine=/no/such", &errs), -22);
	CHECK_STR(errs.list.items[1].text, "--image mine=/no/such: no program is at /no/such");
	CHECK_INT(mesh_lab_add_image(&lab, "mine=/bin/sh", &errs), 0);
	CHECK_INT(mesh_lab_image_find(&lab, "docker.io/mine:latest", &image), 0);
	CHECK(image->path[0] == '/');
	CHECK_INT(mesh_lab_image_find(&lab, "other", &image), -2);
	mesh_errs_free(&errs);
	mesh_lab_free(&lab);
}

TEST_MAIN()
