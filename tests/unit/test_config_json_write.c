/* SPDX-License-Identifier: Apache-2.0 */
/* config/json_write: every type and style, escapes, numbers as Kubernetes writes them. */
#include "test.h"

#include "config/json_write.h"
#include "core/mem.h"

#include <math.h>

static char *written(const char *text, const struct mesh_json_style *style)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	struct mesh_buf out = {0};

	mesh_json_write(&out, v, style);
	json_decref(v);
	return out.data;
}

#define CHECK_WRITTEN(text, want, ...)                                                                                 \
	do {                                                                                                           \
		mesh_auto_free char *got = written(text, &(struct mesh_json_style){__VA_ARGS__});                      \
		CHECK_STR(got, want);                                                                                  \
	} while (0)

TEST(compact_keeps_the_order)
{
	CHECK_WRITTEN("{\"b\":[1,true,false,null,\"x\"],\"a\":{},\"c\":[]}",
		      "{\"b\":[1,true,false,null,\"x\"],\"a\":{},\"c\":[]}", 0);
}

TEST(sorted)
{
	CHECK_WRITTEN("{\"b\":1,\"a\":{\"d\":1,\"c\":2},\"B\":3}", "{\"B\":3,\"a\":{\"c\":2,\"d\":1},\"b\":1}",
		      .sorted = true);
}

TEST(indented)
{
	CHECK_WRITTEN("{\"b\":[1,{}],\"a\":[],\"c\":{\"d\":null}}",
		      "{\n    \"b\": [\n        1,\n        {}\n    ],\n    \"a\": [],\n    \"c\": {\n        \"d\": "
		      "null\n    }\n}",
		      .indent = 4);
}

TEST(strings)
{
	static const char text[] =
		"\"q\\\" b\\\\ s/ n\\n r\\r t\\t b\\b f\\f \\u0000\\u001f\\u007f <>& \\u2028\\u2029\\u00e9 \\u202a\"";

	CHECK_WRITTEN(text,
		      "\"q\\\" b\\\\ s/ n\\n r\\r t\\t b\\b f\\f \\u0000\\u001f\x7f <>& "
		      "\xe2\x80\xa8\xe2\x80\xa9\xc3\xa9 \xe2\x80\xaa\"",
		      0);
	CHECK_WRITTEN(text,
		      "\"q\\\" b\\\\ s/ n\\n r\\r t\\t b\\b f\\f \\u0000\\u001f\x7f \\u003c\\u003e\\u0026 "
		      "\\u2028\\u2029\xc3\xa9 \xe2\x80\xaa\"",
		      .html = true);
	CHECK_WRITTEN("{\"a<b\":1}", "{\"a\\u003cb\":1}", .html = true);
}

TEST(numbers)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{0.0, "0"},
		{1.0, "1"},
		{-2.5, "-2.5"},
		{0.1, "0.1"},
		{0.3, "0.3"},
		{1e-5, "0.00001"},
		{1e-6, "0.000001"},
		{1e-7, "1e-7"},
		{1.5e-10, "1.5e-10"},
		{123456789.125, "123456789.125"},
		{1e20, "100000000000000000000"},
		{1e21, "1e+21"},
		{1.7976931348623157e308, "1.7976931348623157e+308"},
		{5e-324, "5e-324"},
		{2.0 / 3.0, "0.6666666666666666"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(cases); i++) {
		mesh_auto(mesh_buf_free) struct mesh_buf out = {0};
		json_t *v = json_real(cases[i].value);

		mesh_json_write_number(&out, v);
		json_decref(v);
		CHECK_STR(out.data, cases[i].text);
		CHECK(strtod(out.data, NULL) == cases[i].value);
	}
	CHECK_WRITTEN("-9223372036854775808", "-9223372036854775808", 0);
	CHECK_WRITTEN("9223372036854775807", "9223372036854775807", 0);
}

TEST(nothing_is_null)
{
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};

	mesh_json_write(&out, NULL, &(struct mesh_json_style){0});
	CHECK_STR(out.data, "null");
}

TEST_MAIN()
