/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's pods that are in the mesh: captures them, listens in them for the proxy, and lets them go again.
 * A pod is told by CNI before its first process runs (sandbox.c), or, when it was there before, by the API, and
 * then found by its address: one that cannot be found yet is tried again every 20 ms, later less often. Of a pod
 * that CNI told, CNI knows namespace and addresses best; the API says who it is. Loop thread only.
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
	enum mesh_splice_wish splice; /* of pods that say nothing, nor their namespaces */
	void (*settled)(void *arg);   /* a pod was captured later than in mesh_pods_update() */
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
/** Whether a pod may start to be one at any moment: it has no address yet. */
bool mesh_pods_awaits(const struct mesh_pods *pods, const struct mesh_snapshot *snap, const struct mesh_workload *w);
/** Brings what is captured in line with the snapshot; whoever is new must be in the published configuration already. */
void mesh_pods_update(struct mesh_pods *pods, const struct mesh_snapshot *snap);
/** A listener of the captured pod with this namespace, or NULL. */
struct mesh_proxy_listener *mesh_pods_listener(const struct mesh_pods *pods, uint64_t netns_cookie);
/** Changes nothing from now on: another agent does. What listens goes on. */
void mesh_pods_yield(struct mesh_pods *pods);
/** Whether the pod with this address is captured now. */
bool mesh_pods_captured(const struct mesh_pods *pods, const struct mesh_addr *ip);
/**
 * Ends the node's L4 flows to a pod address that is gone; with via, to an endpoint that what was connected to does not
 * stand for any more. Returns how many.
 */
unsigned mesh_pods_end_flows(struct mesh_pods *pods, const struct mesh_addr *ip, const struct mesh_addr *via);
/** Releases every pod and captures none from now on. Their listeners stay open for half a second. */
void mesh_pods_leave(struct mesh_pods *pods);
/** [{"namespace", "name", "ip", "captured", ...}]. New reference. */
json_t *mesh_pods_status(const struct mesh_pods *pods);

/** A pod's sandbox as CNI tells it. */
struct mesh_sandbox {
	const char *ns, *name, *uid, *container;
	int netns_fd; /* borrowed; -1: unknown (removal only) */
	const struct mesh_addr *ips;
	size_t ip_count;
};

/**
 * Captures the pod in this sandbox, before it runs. w: what the API says of it, or NULL. An earlier sandbox of the
 * same pod is let go. Returns 0; -errno with errs: the namespace is not one that has the addresses, or cannot be
 * captured.
 */
int mesh_pods_add(struct mesh_pods *pods, const struct mesh_sandbox *s, const struct mesh_workload *w,
		  struct mesh_errs *errs);
/**
 * The sandbox is gone, by its container or, where an earlier agent captured it, its namespace: its pod is released
 * and flows to it are ended. Another sandbox of the same pod stays. Returns whether there was one.
 */
bool mesh_pods_remove(struct mesh_pods *pods, const struct mesh_sandbox *s);
/** Whether the sandbox's pod is captured. */
bool mesh_pods_has(const struct mesh_pods *pods, const struct mesh_sandbox *s);
/** Removes every pod that CNI told and whose container is not among those valid. Returns how many. */
size_t mesh_pods_collect(struct mesh_pods *pods, const char *const *valid, size_t count);

#endif
