/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many timeouts of one length: a list in the order in which they run out, and one timer of
 * the loop for its first. Setting one again costs a few stores, not a heap operation. The
 * caller embeds the item and owns it. One thread.
 */
#ifndef MESH_PROXY_TIMEOUT_H
#define MESH_PROXY_TIMEOUT_H

#include "core/loop.h"

struct mesh_timeouts;

struct mesh_timeout {
	struct mesh_timeout *prev, *next;
	struct mesh_timeouts *in; /* NULL: not set */
	uint64_t due_ns;
};

typedef void mesh_timeout_fn(struct mesh_timeout *item);

struct mesh_timeouts {
	struct mesh_timer timer;
	struct mesh_timeout ends; /* prev: last, next: first */
	struct mesh_loop *loop;
	mesh_timeout_fn *fn;
	uint64_t delay_ns;
};

void mesh_timeouts_init(struct mesh_timeouts *list, struct mesh_loop *loop, uint64_t delay_ns, mesh_timeout_fn *fn);
/** (Re)starts: fn runs once, the list's delay after the loop's now; another list's timeout is ended by that. */
void mesh_timeout_set(struct mesh_timeouts *list, struct mesh_timeout *item);
void mesh_timeout_clear(struct mesh_timeout *item);

#endif
