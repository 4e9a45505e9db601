/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked on a node itself: the agent's socket, and the node's own fitness. meshctl runs these as hidden verbs
 * inside the agents' pods (node-status, node-check, node-dataplane, node-leave) and prints JSON. Any thread.
 */
#ifndef MESH_CTL_NODE_H
#define MESH_CTL_NODE_H

#include "ctl/ctl.h"

#define MESH_AGENT_SOCKET "/run/sockmesh/agent.sock"

/**
 * One JSON line to the agent's socket, one back. request is borrowed. NULL if nobody answers within timeout_ms, with
 * *why (caller frees; may be NULL).
 */
json_t *mesh_node_ask(const char *socket, const json_t *request, int timeout_ms, char **why);
/** The request for `dataplane get` (words empty) or `set`. NULL: a word that is no SWITCH=WORD, in *bad. New reference.
 */
json_t *mesh_node_dataplane_request(const struct mesh_texts *words, size_t from, const char **bad);
/** {"cmd":"status"}. */
json_t *mesh_node_status(const char *socket, char **why);

extern const struct mesh_verb mesh_ctl_node_verbs[];
int mesh_ctl_run_node_status(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_node_check(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_node_dataplane(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_node_leave(struct mesh_ctl *ctl, const struct mesh_flags *f);

#endif
