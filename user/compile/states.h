/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What balancing must remember from one configuration to the next: the turn of each cluster and
 * weighted route, and the requests in flight at each address, found by name. One per process.
 * Getting and sweeping are for the control thread; dropping a reference is for any thread, and
 * memory goes only in a sweep, so a reader never meets freed state.
 */
#ifndef MESH_COMPILE_STATES_H
#define MESH_COMPILE_STATES_H

#include "model/l7.h"

/** Requests in flight at one address. The proxy sees only &active. */
struct mesh_l7_active {
	atomic_uint_fast32_t active;
	atomic_uint_fast32_t refs;
};

struct mesh_l7_states {
	struct mesh_map by_name;   /* struct mesh_l7_state * */
	struct mesh_map by_addr;   /* struct mesh_l7_active *, key: the bytes of struct mesh_addr */
	uint64_t version;          /* of the newest configuration made */
	atomic_uint_fast32_t dead; /* about how many nobody refers to any more since the last sweep */
};

/** Finds or makes; takes one reference. */
struct mesh_l7_state *mesh_l7_states_turn(struct mesh_l7_states *s, const char *name);
struct mesh_l7_active *mesh_l7_states_active(struct mesh_l7_states *s, const struct mesh_addr *addr);
/** Drops a reference. Any thread. */
void mesh_l7_states_turn_unref(struct mesh_l7_states *s, struct mesh_l7_state *state);
void mesh_l7_states_active_unref(struct mesh_l7_states *s, struct mesh_l7_active *active);
/** Frees what no configuration refers to any more. */
void mesh_l7_states_sweep(struct mesh_l7_states *s);
/** The same once it is worth looking at all. */
void mesh_l7_states_sweep_some(struct mesh_l7_states *s);
/** Frees all; no configuration made with s may be left. */
void mesh_l7_states_free(struct mesh_l7_states *s);

#endif
