/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `meshctl check`: cluster and nodes beside what the mesh needs. Groups of verdicts; the parts that only judge objects
 * are pure. One thread.
 */
#ifndef MESH_CTL_CHECK_H
#define MESH_CTL_CHECK_H

#include "ctl/ctl.h"
#include "ctl/verdict.h"

struct mesh_check {
	struct mesh_ctl *ctl;
	json_t *groups; /* [{"name": "cluster", "rows": [...]}, ...] */
	double behind;  /* the API server's clock minus this machine's, in seconds */
	bool clock_known;
};

/** The rows of a group, made if it is not there; borrowed. */
json_t *mesh_check_group(struct mesh_check *c, const char *name);

/** Of the cluster: version, permissions, what else is in it. pre: nothing of ours is there yet. */
void mesh_check_cluster(struct mesh_check *c, bool pre);
/** Of each node by its Node object (name NULL: all), and by a pod there: the agent's, or with pre a short-lived one. */
void mesh_check_nodes(struct mesh_check *c, const char *name, bool pre);
/** What is installed: control, webhook, agents, gateways. */
void mesh_check_installed(struct mesh_check *c);

/* Pure. */
void mesh_check_version(json_t *rows, const char *git_version);
void mesh_check_node_object(json_t *rows, const json_t *node);
/** Another's mesh or CNI, by the names of namespaces, DaemonSets and webhooks. */
void mesh_check_neighbours(json_t *rows, const json_t *namespaces, const json_t *daemonsets, const json_t *webhooks);
void mesh_check_definitions(json_t *rows, const json_t *crds);
/** What the agent says of itself (its status). */
void mesh_check_agent(json_t *rows, const json_t *status);
/** Of that, the part "dataplane". */
void mesh_check_dataplane(json_t *rows, const json_t *dataplane);

#endif
