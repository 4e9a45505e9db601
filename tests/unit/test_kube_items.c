/* SPDX-License-Identifier: Apache-2.0 */
/* A list cut into items, whole and at every split point; what is no list; what is too large. */
#include "test.h"

#include "core/mem.h"
#include "kube/items.h"

#include <errno.h>

struct got {
	struct mesh_buf text; /* items, each with a newline behind it */
	int left;             /* items that are still taken */
};

static bool take(void *arg, struct mesh_slice item)
{
	struct got *got = arg;

	mesh_buf_slice(&got->text, item);
	mesh_buf_char(&got->text, '\n');
	return got->left == 0 || --got->left > 0;
}

static const char list[] =
	"{\"kind\":\"PodList\", \"metadata\": {\"items\": [1], \"continue\":\"x\\\"]}\"},\n"
	"\"items\" : [{\"a\":\"}{\"}, {\"b\":[{\"c\":\"\\\\\"}, []]},\n{}], \"z\":[{\"items\":[]}]}\n";
static const char items[] = "{\"a\":\"}{\"}\n{\"b\":[{\"c\":\"\\\\\"}, []]}\n{}\n";
static const char head[] = "{\"kind\":\"PodList\", \"metadata\": {\"items\": [1], \"continue\":\"x\\\"]}\"},\n"
			   "\"items\" : [], \"z\":[{\"items\":[]}]}\n";

TEST(items_and_the_rest_at_every_split_point)
{
	for (size_t cut = 0; cut < sizeof(list); cut++) {
		struct mesh_items p = {0};
		struct got got = {0};

		CHECK_INT(mesh_items_take(&p, mesh_slice_of(list, cut), take, &got), 0);
		CHECK(!p.whole || cut >= sizeof(list) - 2);
		CHECK_INT(mesh_items_take(&p, mesh_slice_of(list + cut, sizeof(list) - 1 - cut), take, &got), 0);
		CHECK_STR(got.text.data, items);
		CHECK_STR(p.head.data, head);
		CHECK(p.whole);
		mesh_buf_free(&got.text);
		mesh_items_free(&p);
	}
}

TEST(items_byte_by_byte)
{
	struct mesh_items p = {0};
	struct got got = {0};

	for (size_t i = 0; i < sizeof(list) - 1; i++)
		CHECK_INT(mesh_items_take(&p, mesh_slice_of(list + i, 1), take, &got), 0);
	CHECK_STR(got.text.data, items);
	CHECK_STR(p.head.data, head);
	mesh_buf_free(&got.text);
	mesh_items_free(&p);
}

TEST(who_takes_may_stop)
{
	struct mesh_items p = {0};
	struct got got = {.left = 2};

	CHECK_INT(mesh_items_take(&p, MESH_SLICE(list), take, &got), -ECANCELED);
	CHECK_STR(got.text.data, "{\"a\":\"}{\"}\n{\"b\":[{\"c\":\"\\\\\"}, []]}\n");
	mesh_buf_free(&got.text);
	mesh_items_free(&p);
}

TEST(a_list_without_items_is_one)
{
	static const char *const texts[] = {"{\"kind\":\"PodList\",\"items\":null}", "{\"items\":[]}", "{}"};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(texts); i++) {
		struct mesh_items p = {0};
		struct got got = {0};

		CHECK_INT(mesh_items_take(&p, mesh_slice_str(texts[i]), take, &got), 0);
		CHECK(p.whole && got.text.len == 0);
		mesh_items_free(&p);
	}
}

TEST(what_is_no_list_is_refused)
{
	static const char *const texts[] = {"x", "{}}", "{\"items\":[1]}", "{\"items\":[{}}", "[]]"};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(texts); i++) {
		struct mesh_items p = {0};
		struct got got = {0};

		CHECK_INT(mesh_items_take(&p, mesh_slice_str(texts[i]), take, &got), -EINVAL);
		mesh_buf_free(&got.text);
		mesh_items_free(&p);
	}
}

TEST(an_item_has_a_limit)
{
	struct mesh_items p = {0};
	struct got got = {0};
	char *much = mesh_xmalloc(MESH_ITEM_MAX + 1);

	memset(much, 'x', MESH_ITEM_MAX + 1);
	CHECK_INT(mesh_items_take(&p, MESH_SLICE("{\"items\":[{\"a\":\""), take, &got), 0);
	CHECK_INT(mesh_items_take(&p, mesh_slice_of(much, MESH_ITEM_MAX + 1), take, &got), -EFBIG);
	free(much);
	mesh_items_free(&p);
}

TEST_MAIN()
