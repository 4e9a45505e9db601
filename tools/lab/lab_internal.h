/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the lab's parts offer each other: its commands, and the processes that it is made of
 * (started by the supervisor as `meshctl lab <role> --name NAME`). Each main returns an exit status.
 */
#ifndef MESH_LAB_LAB_INTERNAL_H
#define MESH_LAB_LAB_INTERNAL_H

#include "core/opts.h"
#include "lab/lab_state.h"

struct mesh_kube;
struct mesh_loop;

/** Options of all commands; one struct, each command uses what it has. */
struct mesh_lab_args {
	const char *name; /* NULL: not given */
	unsigned nodes, node;
	enum { MESH_LAB_OUT_TABLE, MESH_LAB_OUT_JSON } output;
	const char *ns, *container;
	struct mesh_opt_list images;
	int rest_count; /* what is behind the options */
	char **rest;
};

int mesh_lab_up(const struct mesh_lab_args *args);
int mesh_lab_down(const struct mesh_lab_args *args);
int mesh_lab_status(const struct mesh_lab_args *args);
int mesh_lab_exec(const struct mesh_lab_args *args);

/** Keeps the lab's processes running: starts them in order, adopts those that run, restarts those that end. */
int mesh_lab_supervise(const struct mesh_lab_args *args);
/** Forwards the loopback ports on the host to the API and to the ingress gateway's pods. */
int mesh_lab_router(const struct mesh_lab_args *args);
/** A node: a kubelet's job. */
int mesh_lab_node(const struct mesh_lab_args *args);
/** The controllers: Kubernetes' own for what a lab needs. */
int mesh_lab_controllers(const struct mesh_lab_args *args);

/** Loads the lab that --name, or being the only one, names; on failure says why on stderr. Returns 0 or -errno. */
int mesh_lab_pick(const struct mesh_lab_args *args, struct mesh_lab *ret);
/** Puts fabric and nodes in place. Returns 0 or -errno with errs. */
int mesh_lab_network_make(const struct mesh_lab *lab, struct mesh_errs *errs);
/** A client of the lab's API from inside it (its own network), waiting up to 20 s for the kubeconfig. Logs failures. */
int mesh_lab_kube(const struct mesh_lab *lab, struct mesh_loop *loop, const char *program, struct mesh_kube **ret);
/** Does this meshd have that role? */
bool mesh_lab_meshd_has(const char *meshd, const char *role);

#endif
