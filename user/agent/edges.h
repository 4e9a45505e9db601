/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's gateway pods. They are not captured, for they route by themselves; but what they send to the node's pods
 * of the mesh may take the short way (docs/bypass.md), once the filters are on their devices, which also keep them to
 * their own addresses. One that cannot be found yet is looked for again. Loop thread only.
 */
#ifndef MESH_AGENT_EDGES_H
#define MESH_AGENT_EDGES_H

#include "compile/snapshot.h"
#include "core/loop.h"
#include "dataplane/dataplane.h"

struct mesh_edges;

/** node: borrowed for good. */
struct mesh_edges *mesh_edges_new(struct mesh_loop *loop, struct mesh_dp *dp, const char *node);
/** Leaves the filters: a later agent goes on with them. */
void mesh_edges_free(struct mesh_edges *edges);
/** Brings them in line with the snapshot. */
void mesh_edges_update(struct mesh_edges *edges, const struct mesh_snapshot *snap);
/** Takes all filters off, and puts none on from now on. */
void mesh_edges_leave(struct mesh_edges *edges);

#endif
