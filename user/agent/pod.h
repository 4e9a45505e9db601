/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of agent/: one pod of this node that is, or is to be, captured, and what pods.c and sandbox.c share.
 * Loop thread only.
 */
#ifndef MESH_AGENT_POD_H
#define MESH_AGENT_POD_H

#include "agent/pods.h"
#include "core/map.h"
#include "core/vec.h"

enum { MESH_POD_LISTENERS_MAX = MESH_KEEPER_FDS };

/* What a worker thread needs to ask for an original destination. Outlives its pod by a while. */
struct mesh_pod_key {
	struct mesh_dp *dp;
	uint64_t netns_cookie;
	uint64_t retired_ns;
};

struct mesh_agent_pod {
	char *ns, *name, *uid, *workload;
	char *container; /* the sandbox that CNI named; NULL: found by its address */
	struct mesh_labels labels;
	struct mesh_addr *ips;
	size_t ip_count;
	bool captured;
	bool seen; /* the API has, or had, a pod with this uid */
	uint64_t since_ns, next_try_ns, captured_ns;
	char *trouble; /* why capture failed last, or NULL */
	int netns_fd;
	uint64_t netns_cookie;
	struct mesh_pod_key *key;
	struct mesh_proxy_listener *listeners[MESH_POD_LISTENERS_MAX];
	size_t listener_count;
	enum mesh_splice_wish splice; /* as it was last put in force */
	bool splice_known;
};

struct mesh_pods {
	struct mesh_pods_opts opts;
	struct mesh_map by_name; /* "NS/NAME" -> struct mesh_agent_pod * */
	struct mesh_timer retry, orphans;
	MESH_VEC(struct mesh_pod_key *) retired;
	MESH_VEC(struct mesh_agent_pod *) leaving; /* released; listeners open a moment for connects decided before */
	const struct mesh_snapshot *snap;          /* the feed's, once there was an update */
	bool updated, left;
};

/** What the kubelet, and so CNI and cgroups, call the pod: the uid, but of a static pod's mirror that of its file. */
const char *mesh_agent_pod_uid(const struct mesh_workload *w);

/** w: labels and workload; NULL: not known yet. */
struct mesh_agent_pod *mesh_agent_pod_new(const char *ns, const char *name, const char *uid,
					  const struct mesh_addr *ips, size_t ip_count, const struct mesh_workload *w);
void mesh_agent_pod_free(struct mesh_agent_pod *pod);
/** Captures the namespace found, taking over its descriptor on success. Returns 0 or -errno, with pod->trouble. */
int mesh_agent_pod_capture(struct mesh_pods *pods, struct mesh_agent_pod *pod, struct mesh_dp_found *found);
/** Tries to find and capture; sets the time of the next try if that fails. */
void mesh_agent_pod_try(struct mesh_pods *pods, struct mesh_agent_pod *pod);
/** Who it is, as far as rules ask, may have changed. */
void mesh_agent_pod_relabel(struct mesh_agent_pod *pod, const struct mesh_workload *w);
/** What it asks of the splice tier, by its annotation, its namespace's, or the node's default, is put in force. */
void mesh_agent_pod_splice(struct mesh_pods *pods, struct mesh_agent_pod *pod);
/** Lets a pod that is in no table go and frees it, now or a moment later. gone: its processes are no more. */
void mesh_agent_pod_release(struct mesh_pods *pods, struct mesh_agent_pod *pod, bool gone);
void mesh_agent_pod_stop_listening(struct mesh_pods *pods, struct mesh_agent_pod *pod, bool abort_flows);

/** Sets the timer to what is next to be done. */
void mesh_pods_arm(struct mesh_pods *pods);

#endif
