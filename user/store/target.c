/* SPDX-License-Identifier: Apache-2.0 */
#include "store/target.h"

#include <errno.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: it has a zero byte. */
static const char *decode(struct mesh_arena *arena, struct mesh_slice s, bool plus)
{
	char *out = mesh_arena_alloc(arena, s.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '%' && i + 2 < s.len && hex(s.ptr[i + 1]) >= 0 && hex(s.ptr[i + 2]) >= 0) {
			c = (char)(hex(s.ptr[i + 1]) * 16 + hex(s.ptr[i + 2]));
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		if (!c)
			return NULL;
		out[n++] = c;
	}
	out[n] = '\0';
	return out;
}

static size_t count_params(struct mesh_slice query)
{
	struct mesh_slice part;
	size_t n = 0;

	while (mesh_slice_split(&query, '&', &part))
		n += part.len > 0;
	return n;
}

int mesh_target_parse(struct mesh_request *req, struct mesh_slice target)
{
	struct mesh_arena *a = &req->arena;
	struct mesh_slice query = target, path, part;
	size_t count;

	req->target = mesh_arena_slice(a, target);
	mesh_slice_split(&query, '?', &path);
	req->path = decode(a, path, false);
	count = count_params(query);
	if (!req->path)
		return -EINVAL;
	if (count > MESH_SERVE_PARAMS)
		return -E2BIG;
	req->params = mesh_arena_array(a, struct mesh_pair, count);
	while (mesh_slice_split(&query, '&', &part)) {
		struct mesh_slice name;
		struct mesh_pair *p = &req->params[req->param_count];

		if (part.len == 0)
			continue;
		mesh_slice_split(&part, '=', &name);
		p->name = decode(a, name, true);
		p->value = decode(a, part, true);
		if (!p->name || !p->value)
			return -EINVAL;
		req->param_count++;
	}
	return 0;
}
