/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `meshctl lab`: a cluster of nodes and pods on one Linux machine, in network namespaces, to
 * try and to test the mesh without Kubernetes. Its processes do a kubelet's and the controllers'
 * jobs through the Kubernetes API alone.
 */
#ifndef MESH_LAB_LAB_H
#define MESH_LAB_LAB_H

/** Runs `meshctl lab ...`; argv[0] is "lab". Returns the exit status. */
int mesh_lab_main(int argc, char **argv);

#endif
