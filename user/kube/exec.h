/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exec and attach over a WebSocket (subprotocols v5.channel.k8s.io and v4.channel.k8s.io): a binary message
 * begins with its channel, 0 to 2 the standard streams, 3 the outcome, 4 the terminal's size, 255 (v5) the
 * end of a channel. It blocks until the remote program has ended. One call per thread.
 */
#ifndef MESH_KUBE_EXEC_H
#define MESH_KUBE_EXEC_H

#include "core/err.h"
#include "kube/kubeconfig.h"

struct mesh_exec_opts {
	const char *path; /* with query: "/api/v1/namespaces/N/pods/P/exec?command=..." */
	int stdin_fd;     /* -1: none */
	int stdout_fd, stderr_fd;
	bool tty;       /* stdin_fd is a terminal: raw while it lasts, its size is passed on */
	int timeout_ms; /* for all of it, after the connection stands; 0: none */
};

/**
 * Returns 0 with *exit_code when the remote program has ended; -EIO and an error when it could not be started or the
 * connection broke. *reason (may be NULL; caller frees) gets the Status object's reason of a refusal.
 */
int mesh_kube_exec(const struct mesh_kubeconfig *config, const struct mesh_exec_opts *opts, int *exit_code,
		   char **reason, struct mesh_errs *errs);

#endif
