/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of a rolling update: how far each side may go without breaking maxSurge or maxUnavailable. */
#include "lab/controllers.h"

#include "core/mem.h"

unsigned mesh_deployment_fraction(const json_t *value, unsigned total, bool up, unsigned otherwise)
{
	struct mesh_slice text;
	uint64_t percent;

	if (json_is_integer(value))
		return json_integer_value(value) < 0 ? 0 : (unsigned)json_integer_value(value);
	text = mesh_slice_str(json_string_value(value));
	if (text.len < 2 || text.ptr[text.len - 1] != '%')
		return otherwise;
	text.len--;
	if (mesh_slice_to_u64(text, 100000, &percent) < 0)
		return otherwise;
	return (unsigned)((percent * total + (up ? 99 : 0)) / 100);
}

unsigned mesh_rollout_new(const struct mesh_rollout *r)
{
	unsigned all = r->new_wanted + r->old_wanted, most = r->replicas + r->surge;

	if (r->new_wanted >= r->replicas)
		return r->replicas;
	if (all >= most)
		return r->new_wanted;
	return r->new_wanted + MESH_MIN(most - all, r->replicas - r->new_wanted);
}

static unsigned less(unsigned a, unsigned b)
{
	return a > b ? a - b : 0;
}

unsigned mesh_rollout_old_less(const struct mesh_rollout *r)
{
	unsigned least = less(r->replicas, r->unavailable);
	unsigned new_missing = less(r->new_wanted, r->new_available);
	unsigned room = less(r->new_wanted + r->old_wanted, least + new_missing);
	unsigned sick = MESH_MIN(room, less(r->old_wanted, r->old_available));
	unsigned spare = less(r->new_available + r->old_available, least);

	if (room == 0)
		return 0;
	spare = MESH_MIN(spare, r->old_available);
	return MESH_MIN(sick + spare, r->old_wanted);
}
