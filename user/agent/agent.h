/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `meshd agent`: one for each node. Watches the API, compiles, publishes to the proxy and the
 * kernel, captures the node's pods that are in the mesh. Everything but requests runs on one loop.
 */
#ifndef MESH_AGENT_AGENT_H
#define MESH_AGENT_AGENT_H

/** Returns the exit status. */
int mesh_agent_main(int argc, char **argv);

#endif
