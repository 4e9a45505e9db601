/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Service's endpoints come in several EndpointSlices, which may overlap while endpoints move
 * from one to another: merged here into one sorted list for each Service port. Loop thread only.
 */
#ifndef MESH_AGENT_SLICES_H
#define MESH_AGENT_SLICES_H

#include "compile/snapshot.h"
#include "config/decode.h"

struct mesh_slices;

struct mesh_slices *mesh_slices_new(void);
void mesh_slices_free(struct mesh_slices *slices);
/** Takes pieces over and brings snap->endpoints up to date. */
void mesh_slices_set(struct mesh_slices *slices, struct mesh_snapshot *snap, struct mesh_endpoint_pieces *pieces);
/** The slice as it was set last, or NULL. Borrowed until the next change. */
const struct mesh_endpoint_pieces *mesh_slices_get(const struct mesh_slices *slices, const char *ns, const char *name);
void mesh_slices_remove(struct mesh_slices *slices, struct mesh_snapshot *snap, const char *ns, const char *name);

#endif
