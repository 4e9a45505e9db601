/* SPDX-License-Identifier: Apache-2.0 */
/* Commands in pods, many at once, their output kept: how meshctl asks what only a node knows. */
#ifndef MESH_CTL_PODEXEC_H
#define MESH_CTL_PODEXEC_H

#include "core/err.h"
#include "kube/kubeconfig.h"

#include <jansson.h>

struct mesh_podexec {
	const char *namespace, *pod, *container; /* container NULL: the pod's only one */
	const char *const *command;              /* NULL-ended */
	struct mesh_buf out, err;                /* what it printed */
	int code;                                /* its exit status, when error is NULL */
	char *error;                             /* why it did not run to its end */
	double begun, ended;                     /* seconds since 1970, by this machine's clock */
};

enum { MESH_PODEXEC_AT_ONCE = 16 };

/** Runs all of them, at most MESH_PODEXEC_AT_ONCE at a time, each for at most timeout_ms. Results are in jobs. */
void mesh_podexec_run(const struct mesh_kubeconfig *config, struct mesh_podexec *jobs, size_t count, int timeout_ms);
void mesh_podexec_free(struct mesh_podexec *job);
/** The last JSON object that the command printed; NULL if there is none. New reference. */
json_t *mesh_podexec_json(const struct mesh_podexec *job);
/** Why there is no good result: the error, or the exit status with the last line of stderr. Caller frees. */
char *mesh_podexec_why(const struct mesh_podexec *job);

#endif
