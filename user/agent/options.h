/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of meshd agent. All texts are borrowed from argv or the environment. */
#ifndef MESH_AGENT_OPTIONS_H
#define MESH_AGENT_OPTIONS_H

#include "core/addr.h"
#include "core/daemon.h"
#include "model/workload.h"
#include "model/xdp.h"

enum mesh_cni_policy { MESH_CNI_REFUSE, MESH_CNI_PLAIN };

struct mesh_agent_opts {
	const char *node, *kubeconfig, *cgroup_root, *pin_dir, *socket, *health_listen;
	struct mesh_addr health_addr; /* of health_listen; port 0: none */
	bool clsact;                  /* programs on devices are filters even where there is tcx */
	const char *uplink;           /* NULL: flows between nodes are left alone */
	const char *xdp_text;         /* NULL: none */
	struct mesh_xdp xdp;          /* of xdp_text; device "": none */
	const char *snapshot_dir;     /* NULL: no local snapshot */
	const char *cni_bin_dir, *cni_conf_dir,
		*cni_file; /* as this process sees them; the program that is installed */
	enum mesh_cni_policy cni_policy;
	enum mesh_splice_wish splice; /* of pods that say nothing, nor their namespaces */
	enum mesh_log_level log_level;
	unsigned workers;
	enum { MESH_DRAIN_KEEP, MESH_DRAIN_END } drain_end; /* flows that their service does not use any more */
	unsigned drain_s; /* how long connections that another agent cannot get are served on */
	enum { MESH_STOP_KEEP, MESH_STOP_DETACH } stop_detach; /* what pre_stop does */
	bool keep;
	bool detach, health, alive, status, leave, pre_stop; /* at most one: what is asked for instead of running */
};

/** Returns -1 to go on with *ret, else an exit status (help was printed, or what is wrong). */
int mesh_agent_options(int argc, char **argv, struct mesh_agent_opts *ret);
/** How many of the questions to a running agent are asked; 0: this one is to run, or to detach. */
unsigned mesh_agent_asks(const struct mesh_agent_opts *o);
/** "refuse" or "plain". */
const char *mesh_cni_policy_text(enum mesh_cni_policy policy);

#endif
