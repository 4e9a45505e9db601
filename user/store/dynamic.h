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

/** The schema of a version of a kind made at run time (borrowed); NULL: everything is allowed. */
const json_t *mesh_dynamic_schema(const struct mesh_kind *kind, const char *version);
/** What is wrong with a definition's schemas, and (warnings may be NULL) what in them is not looked at. */
void mesh_dynamic_check(const json_t *definition, struct mesh_errs *errs, struct mesh_errs *warnings);

#endif
