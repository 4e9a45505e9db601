/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a process of this machine: one line to its unix socket, one line back. Waits for the answer. Any thread. */
#ifndef MESH_CORE_ASK_H
#define MESH_CORE_ASK_H

#include "core/buf.h"

struct mesh_ask {
	const char *path;       /* of the socket */
	struct mesh_slice line; /* without its newline */
	int fd;                 /* a descriptor that goes along (SCM_RIGHTS); -1: none */
	unsigned connect_ms;    /* how long to try again while nobody listens */
	unsigned time_ms;       /* the longest wait for room to send, and for each piece of the answer */
	size_t answer_max;      /* bytes */
};

/**
 * Returns 0 with the answer, less its newline and what follows, in *ret (empty before; caller frees), or -errno:
 * -ECONNREFUSED or -ENOENT if nobody listens, -ETIMEDOUT, -ECONNRESET if the other side hung up, -EFBIG.
 */
int mesh_ask(const struct mesh_ask *ask, struct mesh_buf *ret);

#endif
