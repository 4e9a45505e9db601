/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockmesh-cni: the last plugin in a node's network configuration (CNI specification 1.1). It makes no network; it
 * tells the node's agent of each pod before the pod's first process runs, and hands on what the plugins before it
 * made. Where no agent answers, pods of the mesh's namespaces are refused by name, unless the mesh's policy lets them
 * go without; all others start as if it were not there. One call, one thread.
 */
#ifndef MESH_CNI_PLUGIN_H
#define MESH_CNI_PLUGIN_H

#include "core/buf.h"

/** What the runtime gives. Texts may be NULL: not set. */
struct mesh_cni_call {
	const char *command, *container, *netns, *ifname, *args; /* CNI_COMMAND, CNI_CONTAINERID, ... */
	struct mesh_slice config;                                /* standard input */
};

/** Runs the call; *out is for standard output. Returns the exit status: 0, or 1 with a CNI error object in *out. */
int mesh_cni_run(const struct mesh_cni_call *call, struct mesh_buf *out);

/** The value of name in CNI_ARGS ("A=B;C=D"); *ret is a part of args. Returns false if it is not there. */
bool mesh_cni_arg(const char *args, const char *name, struct mesh_slice *ret);

#endif
