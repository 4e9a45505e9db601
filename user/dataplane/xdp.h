/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of dataplane/: the program on the device that leads to other nodes (bpf/uplink.bpf.c), put there if somebody
 * names one, and what it knows of the node's pods. Its link is pinned: it outlives the agent, and the next one gives it
 * a new program or takes it away. A failure leaves packets to the node's own path, with a reason that status shows.
 * Control thread only.
 */
#ifndef MESH_DATAPLANE_XDP_H
#define MESH_DATAPLANE_XDP_H

#include "dataplane/dp.h"

/** Attaches, or adopts what is pinned; want NULL: takes that off. Never fails: status says why it is not there. */
void mesh_dp_xdp_start(struct mesh_dp *dp, const struct mesh_xdp *want);
void mesh_dp_xdp_stop(struct mesh_dp *dp);
/** A pod was captured: from now on its addresses come from no wire. After mesh_dp_bypass_add(). */
void mesh_dp_xdp_add(struct mesh_dp *dp, uint64_t netns_cookie, const struct mesh_pod *pod);
void mesh_dp_xdp_remove(struct mesh_dp *dp, uint64_t netns_cookie);
/** Whether packets are judged; else *why (borrowed until the next call). */
bool mesh_dp_xdp_in_use(const struct mesh_dp *dp, const char **why);
/** "eth0, native (virtio_net): 2 spoofed, 0 martian", or NULL. Caller frees. */
char *mesh_dp_xdp_what(const struct mesh_dp *dp);
/** {"device", "mode", "driver", "inUse", "why", "addresses", "unreached", "spoofed", "martian"}; null: none was asked
 * for. New reference. */
json_t *mesh_dp_xdp_status(const struct mesh_dp *dp);

#endif
