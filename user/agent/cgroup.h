/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where on this node cgroup v2 begins and where in it this process is, also from inside a container. Any thread.
 */
#ifndef MESH_AGENT_CGROUP_H
#define MESH_AGENT_CGROUP_H

#include "core/err.h"

/**
 * The node's own cgroup v2 root: the mount at /sys/fs/cgroup (unified) or /sys/fs/cgroup/unified (hybrid), else
 * wherever it is mounted. Static storage; NULL with errs if nowhere.
 */
const char *mesh_agent_cgroup_root(struct mesh_errs *errs);
/**
 * The cgroup below root that this process is in. In a cgroup namespace of its own /proc does not tell: then it is the
 * one that lists this process. Caller frees *ret. Returns 0 or -ENOENT.
 */
int mesh_agent_cgroup_own(const char *root, char **ret);

#endif
