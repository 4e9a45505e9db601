/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first part of a gateway's end: it serves on, and tells each client to come back by another
 * connection, until its addresses are in no EndpointSlice any more and nobody has come for a while: those who
 * act on EndpointSlices may be slow. What follows (no more accepting, requests in flight) is the proxy's. The limits
 * add up to less than the 30 s that a pod has. Loop thread only.
 */
#ifndef MESH_GATEWAY_DRAIN_H
#define MESH_GATEWAY_DRAIN_H

#include "core/loop.h"

#include <stdbool.h>

#define MESH_DRAIN_SETTLE_NS    MESH_SEC(3)  /* kube-proxy writes its rules about once a second */
#define MESH_DRAIN_MAX_NS       MESH_SEC(16) /* the API is away, or somebody comes all the time */
#define MESH_DRAIN_IN_FLIGHT_NS MESH_SEC(11)

struct mesh_drain;

struct mesh_drain_opts {
	bool (*still_named)(void *arg); /* whether some EndpointSlice still says that we are ready */
	uint64_t (*arrived)(void *arg); /* how many connections there were so far */
	void (*done)(void *arg);        /* once, from the loop */
	void *arg;
	uint64_t settle_ns, max_ns; /* 0: the above */
};

int mesh_drain_new(struct mesh_drain **ret, struct mesh_loop *loop, const struct mesh_drain_opts *opts);
/** done() is not called any more. NULL is allowed. */
void mesh_drain_free(struct mesh_drain *drain);

#endif
