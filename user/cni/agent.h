/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of cni/: asking the node's agent, and what it wrote down for when it does not answer. One thread. */
#ifndef MESH_CNI_AGENT_H
#define MESH_CNI_AGENT_H

#include <jansson.h>
#include <stdbool.h>

/**
 * Sends request (borrowed) with fd (-1: none) beside it, waiting up to connect_ms for somebody to listen and time_ms
 * for the answer. Returns 0 with *ret (a new reference), or -errno: -ECONNREFUSED or -ENOENT if nobody listens.
 */
int mesh_cni_ask(const char *path, const json_t *request, int fd, unsigned connect_ms, unsigned time_ms, json_t **ret);

enum mesh_cni_member {
	MESH_CNI_MEMBER_NO,
	MESH_CNI_MEMBER_REFUSE, /* in the mesh: does not start without an agent */
	MESH_CNI_MEMBER_PLAIN,  /* in the mesh, but may start without */
};

/** By the first of the files (an array of paths) that can be read; without any no namespace is in the mesh. */
enum mesh_cni_member mesh_cni_member(const json_t *files, const char *ns);

#endif
