/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that wait for the disk: they speak of changes that are not committed yet. One thread.
 */
#ifndef MESH_STORE_HELD_H
#define MESH_STORE_HELD_H

#include "store/call.h"

/** Copies the answer; it is sent after the commit, or replaced by a 500 if that fails. */
void mesh_held_add(struct mesh_store *store, struct mesh_request *req, int status, const char *type,
		   struct mesh_slice body);
void mesh_held_release(struct mesh_store *store, bool committed);
/** Keeps a read until the disk has what it would see. */
void mesh_held_wait(struct mesh_store *store, struct mesh_request *req);

#endif
