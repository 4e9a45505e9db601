/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agents, and asking them: by their sockets where these are on this machine (a lab's, or a node's own), else by a
 * command in each one's pod, all at once. What a callback gets is borrowed during the call. One thread.
 */
#ifndef MESH_CTL_AGENTS_H
#define MESH_CTL_AGENTS_H

#include "ctl/ctl.h"
#include "ctl/podexec.h"

/** The agents' pods in the cluster; a new array, or NULL if they cannot be read. */
json_t *mesh_agents_pods(struct mesh_ctl *ctl);

typedef void mesh_agents_ran_fn(void *arg, const char *node, const struct mesh_podexec *job);

/** Runs `meshctl WORDS...` (NULL-ended) in each of these pods, for at most time_ms, and hands over what came of it. */
void mesh_agents_run(struct mesh_ctl *ctl, const json_t *pods, const char *const *words, int time_ms,
		     mesh_agents_ran_fn *fn, void *arg);

/** answer: what the agent of a node says; NULL: why not. */
typedef void mesh_agents_answer_fn(void *arg, const char *node, json_t *answer, const char *why);

/**
 * Asks each agent, or that of one node (only not NULL): at a socket by request (NULL: for its status), in a pod by
 * `meshctl WORDS...`. A socket where nobody says which node's it is does not count.
 */
void mesh_agents_ask(struct mesh_ctl *ctl, const char *only, const json_t *request, const char *const *words,
		     mesh_agents_answer_fn *fn, void *arg);

#endif
