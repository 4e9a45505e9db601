/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node (or machine) can do for an agent, seen from where the agent runs. Reads only; the programs that it
 * loads to try the kernel are gone when it returns. One thread.
 */
#ifndef MESH_CTL_NODE_CHECK_H
#define MESH_CTL_NODE_CHECK_H

#include "ctl/verdict.h"

#include <stdbool.h>
#include <stdint.h>

/** The verdicts' rows (new array). with_cni: a node of a cluster, which has CNI plugins. */
json_t *mesh_node_check(bool with_cni);

/* Parts of it, each adding rows. */
void mesh_node_check_kernel(json_t *rows, const char *release, const char *machine);
void mesh_node_check_capabilities(json_t *rows, uint64_t effective);
void mesh_node_check_bpf(json_t *rows);
/** What splicing changes for programs on this kernel, and which tier flows between a node's pods take for it. */
void mesh_node_check_splice(json_t *rows);
/** Which device leads to other nodes, and whether its driver runs XDP programs. */
void mesh_node_check_uplink(json_t *rows);
/** dirs: NULL-ended, the first that exists is looked at. */
void mesh_node_check_cni(json_t *rows, const char *const *conf_dirs, const char *const *bin_dirs);
/** seconds: this clock minus the API server's. */
void mesh_node_check_clock(json_t *rows, double seconds);

/** Pure: "5.15.0-91-generic" as 5 and 15; false if it is no release. */
bool mesh_kernel_parse(const char *release, unsigned *major, unsigned *minor);
enum { MESH_KERNEL_MAJOR = 5, MESH_KERNEL_MINOR = 15 };

#endif
