/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which namespaces are in the mesh, written where the CNI plugin reads it while no agent answers:
 * {"policy": "refuse"|"plain", "namespaces": [...]}. One copy in the socket's directory, one in the snapshot's,
 * which outlives a reboot. Loop thread only.
 */
#ifndef MESH_AGENT_MEMBERS_H
#define MESH_AGENT_MEMBERS_H

#include "agent/options.h"
#include "core/map.h"

struct mesh_members {
	char *files[2]; /* NULL: none */
	char *written;  /* what is in them */
};

void mesh_members_init(struct mesh_members *m, const struct mesh_agent_opts *opts);
/** Writes the files if they differ. namespaces: the keys of a snapshot's members. */
void mesh_members_write(struct mesh_members *m, const struct mesh_map *namespaces, const char *policy);
/** Removes the files. */
void mesh_members_remove(struct mesh_members *m);
void mesh_members_free(struct mesh_members *m);

#endif
