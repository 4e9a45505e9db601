/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Lease in the mesh's namespace by which an agent or gateway says that it lives and how far
 * the configuration is in force there. Writes are coalesced: one at a time, the newest wins.
 * Loop thread only.
 */
#ifndef MESH_AGENT_LEASE_H
#define MESH_AGENT_LEASE_H

#include "core/loop.h"
#include "kube/kube.h"
#include "model/names.h"

struct mesh_lease;

struct mesh_lease_opts {
	const char *name;      /* "sockmesh-agent-node-1" */
	const char *component; /* "agent" or "gateway" */
	const char *holder;    /* node or pod */
};

int mesh_lease_new(struct mesh_lease **ret, struct mesh_loop *loop, struct mesh_kube *kube,
		   const struct mesh_lease_opts *opts);
/** Reports versions (taken over; see mesh_feed_versions()), at once, or within 50 ms with what else comes. */
void mesh_lease_report(struct mesh_lease *lease, json_t *versions, bool at_once);
/** Removes the Lease from the API, running the loop for at most one second, so that nobody waits for us. */
void mesh_lease_withdraw(struct mesh_lease *lease);
/** Leaves the Lease to expire. NULL is allowed. */
void mesh_lease_free(struct mesh_lease *lease);

#endif
