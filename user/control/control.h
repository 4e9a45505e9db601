/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `meshd control`: reconciles the control plane, the member roll and the status of the mesh's
 * objects through the Kubernetes API, which with --embedded it also serves itself. Level-triggered:
 * what to do follows from what the API holds, never from how it came to be. One thread.
 */
#ifndef MESH_CONTROL_CONTROL_H
#define MESH_CONTROL_CONTROL_H

/** Returns the exit status. */
int mesh_control_main(int argc, char **argv);

#endif
