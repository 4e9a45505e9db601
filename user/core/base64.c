/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base64.h"

#include <errno.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void mesh_base64_encode(struct mesh_slice bytes, struct mesh_buf *out)
{
	const unsigned char *p = (const unsigned char *)bytes.ptr;

	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t v =
			(uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);

		mesh_buf_char(out, digits[v >> 18]);
		mesh_buf_char(out, digits[v >> 12 & 63]);
		mesh_buf_char(out, left > 1 ? digits[v >> 6 & 63] : '=');
		mesh_buf_char(out, left > 2 ? digits[v & 63] : '=');
	}
}

static int value_of(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int refuse(struct mesh_buf *out, size_t len)
{
	out->len = len;
	if (out->data)
		out->data[len] = '\0';
	return -EINVAL;
}

int mesh_base64_decode(struct mesh_slice text, struct mesh_buf *out)
{
	size_t before = out->len;
	uint32_t v = 0;
	unsigned count = 0, pads = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		int digit = value_of(c);

		if (c == '\n' || c == '\r')
			continue;
		if (c == '=' ? count < 2 || pads == 2 : digit < 0 || pads)
			return refuse(out, before);
		pads += c == '=';
		v = v << 6 | (c == '=' ? 0 : (uint32_t)digit);
		if (++count < 4)
			continue;
		for (unsigned k = 0; k < 3 - pads; k++)
			mesh_buf_char(out, (char)(v >> (16 - 8 * k)));
		if (v & ((1U << 8 * pads) - 1)) /* bits that stand for nothing */
			return refuse(out, before);
		v = count = 0;
	}
	return count ? refuse(out, before) : 0;
}
