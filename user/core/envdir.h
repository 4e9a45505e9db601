/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment from files: a container whose variables are a ConfigMap's cannot be started again while the API is
 * away, one that has the ConfigMap as a directory can. To be called first, while there is one thread.
 */
#ifndef MESH_CORE_ENVDIR_H
#define MESH_CORE_ENVDIR_H

/**
 * Each file of dir whose name is that of a variable (A-Z, 0-9, _, no digit first) sets it to what is in the file,
 * without white space around it; others are not looked at. dir NULL, or one that is not there: nothing. Returns how
 * many were set, or -errno for one that cannot be read.
 */
int mesh_envdir_read(const char *dir);

/**
 * Puts the variable's value in the place of each $(NAME) in the arguments, as a kubelet does for variables that the
 * container has; of a name that is not set it stays. Arguments that change are new strings, kept to the end.
 */
void mesh_envdir_expand(int argc, char **argv);

#endif
