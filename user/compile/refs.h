/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses what, in eight bytes each: pairs of a 32-bit hash and a number, found by the hash. What has the same hash
 * is found too, so a user that is found may not be one. Zero-initialise. One thread.
 */
#ifndef MESH_COMPILE_REFS_H
#define MESH_COMPILE_REFS_H

#include <stddef.h>
#include <stdint.h>

struct mesh_refs {
	struct mesh_refs_slot {
		uint32_t hash, user;
	} * slots;
	size_t count, used, slot_count;
};

void mesh_refs_free(struct mesh_refs *r);
/** user is neither 0 nor UINT32_MAX. A pair may be there more than once. */
void mesh_refs_add(struct mesh_refs *r, uint32_t hash, uint32_t user);
/** Takes out one such pair, if there is one. */
void mesh_refs_remove(struct mesh_refs *r, uint32_t hash, uint32_t user);
/** The next user with that hash; *at begins with 0. Returns 0 at the end. */
uint32_t mesh_refs_next(const struct mesh_refs *r, uint32_t hash, size_t *at);

#endif
