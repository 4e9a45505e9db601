/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "core/base64.h"
#include "core/mem.h"

#include <errno.h>

static const struct {
	const char *bytes, *text;
} rows[] = {
	/* RFC 4648 section 10 */
	{"", ""},
	{"f", "Zg=="},
	{"fo", "Zm8="},
	{"foo", "Zm9v"},
	{"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="},
	{"foobar", "Zm9vYmFy"},
	{"\xfb\xff\xbf", "+/+/"},
};

TEST(examples)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		mesh_auto(mesh_buf_free) struct mesh_buf text = {0}, bytes = {0};

		mesh_base64_encode(mesh_slice_str(rows[i].bytes), &text);
		CHECK_STR(text.data ? text.data : "", rows[i].text);
		CHECK_INT(mesh_base64_decode(mesh_slice_str(rows[i].text), &bytes), 0);
		CHECK_STR(bytes.data ? bytes.data : "", rows[i].bytes);
	}
}

TEST(all_bytes_come_back)
{
	char all[256];

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	for (size_t len = 0; len <= sizeof(all); len++) {
		mesh_auto(mesh_buf_free) struct mesh_buf text = {0}, bytes = {0};

		mesh_base64_encode(mesh_slice_of(all, len), &text);
		CHECK_INT(mesh_base64_decode(mesh_buf_view(&text), &bytes), 0);
		CHECK_INT(bytes.len, len);
		CHECK(len == 0 || memcmp(bytes.data, all, len) == 0);
	}
}

TEST(line_ends_are_passed_over)
{
	mesh_auto(mesh_buf_free) struct mesh_buf bytes = {0};

	CHECK_INT(mesh_base64_decode(MESH_SLICE("Zm9v\r\nYm\nFy\n"), &bytes), 0);
	CHECK_STR(bytes.data, "foobar");
}

TEST(anything_else_is_refused)
{
	static const char *const bad[] = {"Z",    "Zg",   "Zg=",      "Zg===", "=",     "====", "Z===", "Zm9v=",
					  "Zh==", "Zm9=", "Zg==Zg==", "Zm-v",  "Zm9v ", "Zg=A", "Zm8=A"};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(bad); i++) {
		mesh_auto(mesh_buf_free) struct mesh_buf bytes = {0};

		mesh_buf_str(&bytes, "kept");
		CHECK_INT(mesh_base64_decode(mesh_slice_str(bad[i]), &bytes), -EINVAL);
		CHECK_STR(bytes.data, "kept");
	}
	{
		mesh_auto(mesh_buf_free) struct mesh_buf bytes = {0};

		CHECK_INT(mesh_base64_decode(mesh_slice_of("Zm9\0", 4), &bytes), -EINVAL);
	}
}

TEST_MAIN()
