/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/states.h"

#include "core/mem.h"

struct mesh_l7_state *mesh_l7_states_turn(struct mesh_l7_states *s, const char *name)
{
	struct mesh_l7_state *state = mesh_map_get_str(&s->by_name, name);

	if (!state) {
		size_t size = strlen(name) + 1;

		state = mesh_xcalloc(1, sizeof(*state) + size);
		memcpy(state->name, name, size);
		mesh_map_put_str(&s->by_name, name, state);
	}
	atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed);
	return state;
}

struct mesh_l7_active *mesh_l7_states_active(struct mesh_l7_states *s, const struct mesh_addr *addr)
{
	struct mesh_slice key = mesh_slice_of((const char *)addr, sizeof(*addr));
	struct mesh_l7_active *active = mesh_map_get(&s->by_addr, key);

	if (!active) {
		active = mesh_xcalloc(1, sizeof(*active));
		mesh_map_put(&s->by_addr, key, active);
	}
	atomic_fetch_add_explicit(&active->refs, 1, memory_order_relaxed);
	return active;
}

/* Not one access to what it was after the count: a sweep may have freed it. */
static void unref(struct mesh_l7_states *s, atomic_uint_fast32_t *refs)
{
	if (atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1)
		atomic_fetch_add_explicit(&s->dead, 1, memory_order_relaxed);
}

void mesh_l7_states_turn_unref(struct mesh_l7_states *s, struct mesh_l7_state *state)
{
	unref(s, &state->refs);
}

void mesh_l7_states_active_unref(struct mesh_l7_states *s, struct mesh_l7_active *active)
{
	unref(s, &active->refs);
}

void mesh_l7_states_sweep_some(struct mesh_l7_states *s)
{
	if (atomic_load_explicit(&s->dead, memory_order_relaxed) > 64 + (s->by_name.count + s->by_addr.count) / 8)
		mesh_l7_states_sweep(s);
}

void mesh_l7_states_sweep(struct mesh_l7_states *s)
{
	atomic_store_explicit(&s->dead, 0, memory_order_relaxed);
	mesh_map_each (e, &s->by_name) {
		struct mesh_l7_state *state = e->value;

		if (atomic_load_explicit(&state->refs, memory_order_acquire) == 0) {
			mesh_map_remove(&s->by_name, mesh_slice_of(e->key, e->key_len));
			free(state);
		}
	}
	mesh_map_each (e, &s->by_addr) {
		struct mesh_l7_active *active = e->value;

		if (atomic_load_explicit(&active->refs, memory_order_acquire) == 0) {
			mesh_map_remove(&s->by_addr, mesh_slice_of(e->key, e->key_len));
			free(active);
		}
	}
}

void mesh_l7_states_free(struct mesh_l7_states *s)
{
	mesh_map_each (e, &s->by_name)
		free(e->value);
	mesh_map_each (e, &s->by_addr)
		free(e->value);
	mesh_map_free(&s->by_name);
	mesh_map_free(&s->by_addr);
}
