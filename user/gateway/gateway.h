/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `meshd gateway`: the HTTP engine at the edge of the mesh, in a pod of its own that nobody
 * captures. Listens on what the Gateways that select its pod ask for.
 */
#ifndef MESH_GATEWAY_GATEWAY_H
#define MESH_GATEWAY_GATEWAY_H

/** Returns the exit status. */
int mesh_gateway_main(int argc, char **argv);

#endif
