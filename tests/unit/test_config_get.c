/* SPDX-License-Identifier: Apache-2.0 */
/* config/get: what is there, what is not, and what is of another type. */
#include "test.h"

#include "config/get.h"

static json_t *obj;

TEST_SETUP(object)
{
	obj = json_loads(
		"{\"metadata\": {\"name\": \"a\", \"n\": 1}, \"spec\": {\"deep\": {\"text\": \"t\", \"real\": 2.9}},"
		" \"none\": null, \"number\": 7}",
		0, NULL);
	CHECK(obj != NULL);
}

TEST(texts)
{
	CHECK_STR(mesh_meta(obj, "name"), "a");
	CHECK_STR(mesh_meta(obj, "n"), "");
	CHECK_STR(mesh_meta(NULL, "name"), "");
	CHECK_STR(mesh_text(obj, "number"), "");
	CHECK(mesh_json_text(obj, "number") == NULL);
	CHECK_STR(mesh_json_text(json_object_get(obj, "metadata"), "name"), "a");
}

TEST(paths)
{
	CHECK_STR(mesh_text(mesh_json_at(obj, "spec", "deep", NULL), "text"), "t");
	CHECK(mesh_json_at(obj, "spec", "shallow", "text", NULL) == NULL);
	CHECK(mesh_json_at(obj, "number", "text", NULL) == NULL);
	CHECK(mesh_json_at(obj, NULL) == obj);
}

TEST(numbers)
{
	CHECK_INT(mesh_number(obj, "number"), 7);
	CHECK_INT(mesh_number(mesh_json_at(obj, "spec", "deep", NULL), "real"), 2);
	CHECK_INT(mesh_number(obj, "none"), 0);
	CHECK(mesh_has(obj, "number") && !mesh_has(obj, "none") && !mesh_has(obj, "nothing"));
}

TEST_TEARDOWN(end)
{
	json_decref(obj);
}

TEST_MAIN()
