/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of dataplane/: xdp.c: the program on the device that leads to other nodes (bpf/uplink.bpf.c), put there if
 * somebody names one, and what it knows of the node's pods (xdp_pods.c). Its link is pinned: it outlives the agent, and
 * the next one gives it a new program or takes it away. A failure leaves packets to the node's own path, with a reason
 * that status shows. Control thread only.
 */
#ifndef MESH_DATAPLANE_XDP_H
#define MESH_DATAPLANE_XDP_H

#include "core/netdev.h"
#include "dataplane/dp.h"

struct uplink_bpf;
struct nl_sock;

struct mesh_dp_xdp {
	struct mesh_xdp want;    /* device "": none was asked for */
	struct uplink_bpf *skel; /* NULL: not loaded */
	struct nl_sock *route;
	uint32_t ifindex; /* 0: not attached */
	char driver[MESH_NETDEV_DRIVER];
	char *why_not;    /* NULL: attached */
	size_t unreached; /* addresses of pods that no device of the node leads to yet */
};

/** Attaches, or adopts what is pinned; want NULL: takes that off. Never fails: status says why it is not there. */
void mesh_dp_xdp_start(struct mesh_dp *dp, const struct mesh_xdp *want);
void mesh_dp_xdp_stop(struct mesh_dp *dp);
/** Puts it on a device that came late, or went and came, or that somebody took it off. What changed is added to news.
 */
void mesh_dp_xdp_follow(struct mesh_dp *dp, struct mesh_errs *news);
/** Takes it off a device that turns out to be the pod's with that namespace. */
void mesh_dp_xdp_leave(struct mesh_dp *dp, uint64_t netns_cookie, const char *pod);
/** A pod was captured: from now on its addresses come from no wire. After mesh_dp_bypass_add(). */
void mesh_dp_xdp_add(struct mesh_dp *dp, uint64_t netns_cookie, const struct mesh_pod *pod);
void mesh_dp_xdp_remove(struct mesh_dp *dp, uint64_t netns_cookie);
/** Drops the addresses of all pods, or of those that are not captured any more. */
void mesh_dp_xdp_forget(const struct mesh_dp *dp, bool all);
/** A network plugin may make a route some time after it has made the pod: looks for those that were not there. */
void mesh_dp_xdp_look_again(const struct mesh_dp *dp);
/** How many addresses are known; *unreached: how many of them no device leads to. */
uint64_t mesh_dp_xdp_addresses(const struct mesh_dp *dp, size_t *unreached);
/** Whether packets are judged; else *why (borrowed until the next call). */
bool mesh_dp_xdp_in_use(const struct mesh_dp *dp, const char **why);
/** "eth0, native (virtio_net): 2 spoofed, 0 martian", or NULL. Caller frees. */
char *mesh_dp_xdp_what(const struct mesh_dp *dp);
/** {"device", "mode", "driver", "inUse", "why", "addresses", "unreached", "spoofed", "martian"}; null: none was asked
 * for. New reference. */
json_t *mesh_dp_xdp_status(const struct mesh_dp *dp);

#endif
