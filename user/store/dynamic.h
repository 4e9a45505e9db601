/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that CustomResourceDefinitions make: served with an open schema and the
 * definition's printer columns. A definition of a kind that is built in is stored only. One thread.
 */
#ifndef MESH_STORE_DYNAMIC_H
#define MESH_STORE_DYNAMIC_H

#include "store/call.h"

/** A definition was added, changed or deleted. */
void mesh_dynamic_changed(struct mesh_store *store, enum mesh_change type, const json_t *definition);
/** Fills the status that a new definition gets. */
void mesh_dynamic_status(json_t *definition);
void mesh_dynamic_free(struct mesh_store *store);

#endif
