/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leader election by a Lease, with the meaning that client-go gives its fields, so that `kubectl get
 * lease` and other tools read it right: who holds it renews it every retry_ns; a candidate takes it
 * when its record has not changed for the duration that stands in it, by the candidate's own clock;
 * a holder that has not renewed it for renew_ns stops leading, which is before another may begin.
 * Every write names the resourceVersion that it was decided on. A watch tells candidates at once. So after a kill
 * another leads within the duration (counted from the last renewal) and the time of two requests. Loop thread only.
 */
#ifndef MESH_CONTROL_LEADER_H
#define MESH_CONTROL_LEADER_H

#include "core/loop.h"
#include "kube/kube.h"

struct mesh_leader;

/** Strings are copied. */
struct mesh_leader_opts {
	const char *ns, *name; /* of the Lease */
	const char *identity;  /* unique for each process */
	const char *former; /* how identities of processes begin that ended before this one began: a Lease that one of
			       them holds is taken at once. NULL: none */
	uint64_t duration_ns, renew_ns, retry_ns; /* 0: 15 s, 10 s, 2 s; duration in whole seconds */
	void (*changed)(void *arg, bool leads);   /* from the loop, never from within a call */
	void *arg;
};

/** Begins to try at once. Never fails: an API that is away is tried again. */
int mesh_leader_new(struct mesh_leader **ret, struct mesh_loop *loop, struct mesh_kube *kube,
		    const struct mesh_leader_opts *opts);
/** Whether we lead at this moment, by the clock: also right when the loop has not run for long. */
bool mesh_leader_leads(const struct mesh_leader *leader);
/**
 * Stops leading, at once, and then gives the Lease up, so that another need not wait. done() comes from the loop, after
 * a second at most, and from within the call if there is nothing to give up. It tries for no other Lease after.
 */
void mesh_leader_release(struct mesh_leader *leader, void (*done)(void *arg), void *arg);
/** Leaves the Lease as it is. NULL is allowed. */
void mesh_leader_free(struct mesh_leader *leader);

#endif
