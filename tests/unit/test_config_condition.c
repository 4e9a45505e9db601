/* SPDX-License-Identifier: Apache-2.0 */
#include "config/condition.h"

#include "test.h"

#include <string.h>

static json_t *object(const char *conditions)
{
	char text[512];

	snprintf(text, sizeof(text), "{\"status\": {\"conditions\": %s}}", conditions);
	return json_loads(text, 0, NULL);
}

TEST(a_condition_is_found_by_its_type)
{
	json_t *o =
		object("[{\"type\": \"Ready\", \"status\": \"True\"}, {\"type\": \"Synced\", \"status\": \"False\"}, "
		       "{\"type\": \"Synced\", \"status\": \"True\"}]");
	const json_t *c = mesh_condition_find(o, "Synced");

	CHECK_STR(json_string_value(json_object_get(c, "status")), "False"); /* the first of two */
	CHECK(mesh_condition_true(o, "Ready"));
	CHECK(!mesh_condition_true(o, "Synced"));
	CHECK(!mesh_condition_find(o, "ready"));
	CHECK(!mesh_condition_true(o, "Unheard"));
	json_decref(o);
}

TEST(what_is_no_condition_is_passed_over)
{
	static const char *const odd[] = {"null",
					  "{}",
					  "[]",
					  "[null, 1, \"Ready\"]",
					  "[{\"status\": \"True\"}]",
					  "[{\"type\": 1, \"status\": \"True\"}]"};
	json_t *o;

	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		o = object(odd[i]);
		CHECK(o != NULL);
		CHECK(!mesh_condition_find(o, "Ready"));
		CHECK(!mesh_condition_true(o, "Ready"));
		json_decref(o);
	}
	o = object("[{\"type\": \"Ready\"}]");
	CHECK(mesh_condition_find(o, "Ready") != NULL);
	CHECK(!mesh_condition_true(o, "Ready"));
	json_decref(o);
	CHECK(!mesh_condition_find(NULL, "Ready"));
}

TEST(pods_that_have_ended)
{
	static const struct {
		const char *text;
		bool over;
	} rows[] = {
		{"{\"status\": {\"phase\": \"Succeeded\"}}", true},
		{"{\"status\": {\"phase\": \"Failed\"}}", true},
		{"{\"status\": {\"phase\": \"Running\"}}", false},
		{"{\"status\": {\"phase\": 1}}", false},
		{"{}", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *pod = json_loads(rows[i].text, 0, NULL);

		CHECK(pod != NULL);
		CHECK_INT(mesh_pod_over(pod), rows[i].over);
		json_decref(pod);
	}
	CHECK(!mesh_pod_over(NULL));
}

TEST_MAIN()
