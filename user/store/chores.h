/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows from changes, as Kubernetes' own controllers do it: dependents of deleted
 * owners go, namespaces that end are emptied first, new ones get their service account and
 * CA bundle, Services get addresses. In the store because a lab has no controller for it. One thread.
 */
#ifndef MESH_STORE_CHORES_H
#define MESH_STORE_CHORES_H

#include "store/call.h"

/** Told of each change (mesh_state.changed). */
void mesh_chores_changed(struct mesh_store *store, enum mesh_change type, struct mesh_resource *resource,
			 const json_t *obj);
/** Runs what is due soon, on the loop. */
void mesh_chores_schedule(struct mesh_store *store);
void mesh_chores_run(struct mesh_store *store);

#endif
