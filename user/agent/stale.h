/* SPDX-License-Identifier: Apache-2.0 */
/*
 * L4 connections that outlive what they were placed by. One whose pod is gone is ended, always: also if its endpoint
 * was never seen ending, as when a pod elsewhere is deleted by force (left.c), or was deleted while no agent ran. One
 * whose pod lives, but to which its service sends nothing new any more (a weight of 0, another subset, not ready), is
 * kept or ended by the service's annotation sockmesh.io/drain ("keep" or "end"), else by the agent's --drain. Loop
 * thread only.
 */
#ifndef MESH_AGENT_STALE_H
#define MESH_AGENT_STALE_H

#include "core/addr.h"

#include <jansson.h>

struct mesh_agent;
struct mesh_stale;

struct mesh_stale *mesh_stale_new(struct mesh_agent *a);
/** Before mesh_kube_free(). NULL is allowed. */
void mesh_stale_free(struct mesh_stale *s);
/** A configuration was put in force: looks at what it took away. */
void mesh_stale_published(struct mesh_stale *s);
/** {"ended": N, "doubts": N}. New reference. */
json_t *mesh_stale_status(const struct mesh_stale *s);

#endif
