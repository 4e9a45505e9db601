/* SPDX-License-Identifier: Apache-2.0 */
#include "core/slice.h"

#include <errno.h>
#include <strings.h>

bool mesh_slice_eq_nocase(struct mesh_slice a, struct mesh_slice b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

bool mesh_slice_starts(struct mesh_slice s, struct mesh_slice prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool mesh_slice_ends(struct mesh_slice s, struct mesh_slice suffix)
{
	return s.len >= suffix.len &&
	       (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct mesh_slice mesh_slice_trim(struct mesh_slice s)
{
	while (s.len && is_space(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	while (s.len && is_space(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

ssize_t mesh_slice_find(struct mesh_slice s, char c)
{
	const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;

	return p ? p - s.ptr : -1;
}

bool mesh_slice_split(struct mesh_slice *s, char sep, struct mesh_slice *part)
{
	ssize_t at;

	if (!s->ptr)
		return false;
	at = mesh_slice_find(*s, sep);
	if (at < 0) {
		*part = *s;
		*s = (struct mesh_slice){NULL, 0};
		return true;
	}
	*part = mesh_slice_of(s->ptr, (size_t)at);
	s->ptr += at + 1;
	s->len -= (size_t)at + 1;
	return true;
}

int mesh_slice_to_u64(struct mesh_slice s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.len == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)(s.ptr[i] - '0');

		if (digit > 9)
			return -EINVAL;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
			return -ERANGE;
	}
	if (v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}
