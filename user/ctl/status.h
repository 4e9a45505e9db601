/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `meshctl status`: who is there by Leases and objects, and what each agent says of itself: by its socket on this
 * machine (a lab's, or a node's own), else by a command in its pod, all at once. One thread.
 */
#ifndef MESH_CTL_STATUS_H
#define MESH_CTL_STATUS_H

#include "ctl/ctl.h"

/**
 * node -> {"status": what its agent says} or {"error": why it could not be asked} (new object). node NULL: all.
 */
json_t *mesh_status_agents(struct mesh_ctl *ctl, const char *node);

/* Pure printers of the collected document: {"members", "nodes", "control", "webhooks", "gateways"}. */
void mesh_status_members(struct mesh_buf *out, const json_t *members);
/** A line for each node: version, pods, programs, the fullest map, refusals by reason. */
void mesh_status_nodes(struct mesh_buf *out, const json_t *nodes);
void mesh_status_control(struct mesh_buf *out, const json_t *status);
/** All that an agent says, indented; lists of objects as tables. */
void mesh_status_details(struct mesh_buf *out, const json_t *agent, int depth);

#endif
