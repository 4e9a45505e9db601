/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's pods that are in the mesh: finds their namespaces, captures them, listens in them
 * for the proxy, and lets them go again. A pod that cannot be found yet is tried again every
 * 20 ms, later less often. Loop thread only.
 */
#ifndef MESH_AGENT_PODS_H
#define MESH_AGENT_PODS_H

#include "agent/keeper.h"
#include "compile/snapshot.h"
#include "core/loop.h"
#include "dataplane/dataplane.h"
#include "proxy/proxy.h"

struct mesh_pods;

struct mesh_pods_opts {
	struct mesh_loop *loop;
	struct mesh_dp *dp;
	struct mesh_proxy *proxy;
	struct mesh_keeper *keeper; /* holds the listeners while no agent runs; NULL: nobody does */
	const char *node;
	void (*settled)(void *arg); /* a pod was captured later than in mesh_pods_update() */
	void *arg;
};

/** Strings are borrowed for good. */
struct mesh_pods *mesh_pods_new(const struct mesh_pods_opts *opts);
/** Leaves the pods captured: a later agent adopts them. Before mesh_proxy_free(). */
void mesh_pods_free(struct mesh_pods *pods);
/** After mesh_proxy_free(): what its threads could still ask for goes last. */
void mesh_pods_free_late(struct mesh_pods *pods);

/** Whether a pod is one that is to be captured on this node. */
bool mesh_pods_wants(const struct mesh_pods *pods, const struct mesh_snapshot *snap, const struct mesh_workload *w);
/** Brings what is captured in line with the snapshot; whoever is new must be in the published configuration already. */
void mesh_pods_update(struct mesh_pods *pods, const struct mesh_snapshot *snap);
/** Whether the pod with this address is captured now. */
bool mesh_pods_captured(const struct mesh_pods *pods, const struct mesh_addr *ip);
/** Ends the node's L4 flows to a pod address that is gone. */
void mesh_pods_end_flows(struct mesh_pods *pods, const struct mesh_addr *ip);
/** [{"namespace", "name", "ip", "captured", ...}]. New reference. */
json_t *mesh_pods_status(const struct mesh_pods *pods);

#endif
