/* SPDX-License-Identifier: Apache-2.0 */
/* core/time: text and back. */
#include "test.h"

#include "core/time.h"

#include <errno.h>
#include <time.h>

TEST(text_and_back)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {
		{0, "1970-01-01T00:00:00Z"},
		{1700000000, "2023-11-14T22:13:20Z"},
		{4102444799, "2099-12-31T23:59:59Z"},
	};
	char out[MESH_TIME_TEXT];
	int64_t back;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_STR(mesh_time_text(cases[i].seconds, out), cases[i].text);
		CHECK_INT(mesh_time_parse(out, &back), 0);
		CHECK_INT(back, cases[i].seconds);
	}
	CHECK_STR(mesh_time_text(INT64_MAX, out), "9999-12-31T23:59:59Z");
	CHECK_INT(strlen(mesh_time_text(INT64_MIN, out)), 20);
	CHECK_INT(mesh_time_parse("2023-11-14T22:13:20.123456Z", &back), 0);
	CHECK_INT(back, 1700000000);
}

TEST(micro)
{
	char out[MESH_TIME_TEXT];
	int64_t back;

	CHECK_INT(strlen(mesh_time_text_micro(out)), 27);
	CHECK(out[19] == '.' && out[26] == 'Z');
	CHECK_INT(mesh_time_parse(out, &back), 0);
	CHECK(time(NULL) - back <= 1);
}

TEST(what_is_no_time)
{
	static const char *const cases[] = {"", "soon", "2023-11-14", "2023-13-14T22:13:20Z", "2023-11-14T22:13"};
	int64_t back = 7;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK_INT(mesh_time_parse(cases[i], &back), -EINVAL);
	CHECK_INT(mesh_time_parse(NULL, &back), -EINVAL);
	CHECK_INT(back, 7);
}

TEST_MAIN()
