/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "In force": agents and gateways note in a Lease of theirs up to which resourceVersion of each kind
 * their node's data plane has got. A change returns when every live one has reached it.
 */
#ifndef MESH_CTL_INFORCE_H
#define MESH_CTL_INFORCE_H

#include "ctl/ctl.h"

#include <stdint.h>
#include <time.h>

enum { MESH_INFORCE_SECONDS = 10, MESH_LEASE_STALE_SECONDS = 30 };

struct mesh_resource;

/** Begins to follow the Leases, unless --wait=false or a dry run. Call before the write, so that the wait is short. */
void mesh_inforce_begin(struct mesh_ctl *ctl);
/** An object of this kind was written and is at rv now. */
void mesh_inforce_note(struct mesh_ctl *ctl, const struct mesh_resource *res, const char *rv);
/** obj, a member roll, was written: agents follow its status, which the control plane writes after it. */
void mesh_inforce_settle(struct mesh_ctl *ctl, const struct mesh_resource *res, const json_t *obj);
/** Waits for what was noted. Returns 0; 1 after printing which nodes lag. */
int mesh_inforce_wait(struct mesh_inforce *in, struct mesh_ctl *ctl);
void mesh_inforce_free(struct mesh_inforce *in);

/** Pure: whether lease is of a live agent (renewed within 30 s of now) and has not reached rv of the kind named key. */
bool mesh_lease_lags(const json_t *lease, const char *key, uint64_t rv, time_t now);
/** Whether its renewTime is recent. */
bool mesh_lease_live(const json_t *lease, time_t now);
/** metadata.annotations["sockmesh.io/in-force"] parsed; new reference, or NULL. */
json_t *mesh_lease_versions(const json_t *lease);

#endif
