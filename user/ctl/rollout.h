/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what was installed runs, node by node, and if not, why: the pod's waiting reason, the last line of its log,
 * the event that kept it from being made. One thread.
 */
#ifndef MESH_CTL_ROLLOUT_H
#define MESH_CTL_ROLLOUT_H

#include "ctl/ctl.h"

#include <time.h>

/** Items of a list at path (with query); a new array, NULL with an error in *why (caller frees) if it cannot be read.
 */
json_t *mesh_list(struct mesh_ctl *ctl, const char *path, char **why);

/** Pure: whether its kubelet answers. *why as below. */
bool mesh_node_ready(const json_t *node, const char **why);
/** Pure: a Ready node that takes pods. *why gets a reason (static) if not. */
bool mesh_node_schedulable(const json_t *node, const char **why);
/** Pure: why a pod is not ready ("ErrImagePull: ..."). Caller frees; NULL: it is ready. */
char *mesh_pod_trouble(const json_t *pod);
/** The same with the last line of its log, where it has one. */
char *mesh_pod_why(struct mesh_ctl *ctl, const json_t *pod);
/** What would help against a trouble; static, or NULL. */
const char *mesh_trouble_remedy(const char *trouble);
/** Pure: whether a Deployment's or DaemonSet's pods are all of its newest generation and enough are available. */
bool mesh_deployment_ready(const json_t *deployment);
/** Pure: the agent pod on this node, newest first; borrowed or NULL. */
json_t *mesh_pod_on(const json_t *pods, const char *node);
/** Pure: whether the Lease is live and was renewed after the pod started (not one that an older agent left). */
bool mesh_lease_of_pod(const json_t *lease, const json_t *pod, time_t now);

struct mesh_steps;
/**
 * Waits until control is available, its webhook answers and every schedulable node has an agent of the newest version
 * in force; a line for each, also for what is missing when the time is over. Returns 0, or 1 if anything is missing.
 */
int mesh_rollout_wait(struct mesh_ctl *ctl, struct mesh_steps *steps, double seconds);
/** Whether the validating webhook answers (asked with a dry run). *why as above if not. */
bool mesh_webhook_answers(struct mesh_ctl *ctl, char **why);

#endif
