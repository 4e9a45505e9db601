/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's local socket: one JSON object a line, each answered by one line, in order. A request
 * may be answered later; the next of that connection waits. Loop thread only.
 */
#ifndef MESH_AGENT_CTLSOCK_H
#define MESH_AGENT_CTLSOCK_H

#include "core/loop.h"

#include <jansson.h>

struct mesh_ctlsock;
struct mesh_ctlsock_conn;

/** Answer with mesh_ctlsock_reply(), now or later. request is borrowed. */
typedef void mesh_ctlsock_fn(void *arg, struct mesh_ctlsock_conn *conn, const json_t *request);
/** The connection went away with a request unanswered: forget it. */
typedef void mesh_ctlsock_gone_fn(void *arg, struct mesh_ctlsock_conn *conn);

/** Listens at path (mode 0600), replacing a socket that is there. Returns 0 or -errno. */
int mesh_ctlsock_new(struct mesh_ctlsock **ret, struct mesh_loop *loop, const char *path, mesh_ctlsock_fn *fn,
		     mesh_ctlsock_gone_fn *gone, void *arg);
/** The descriptor that came with the request (SCM_RIGHTS), -1 if none did; the caller closes it. */
int mesh_ctlsock_take_fd(struct mesh_ctlsock_conn *conn);
/** Sends one line; reply is taken over. */
void mesh_ctlsock_reply(struct mesh_ctlsock_conn *conn, json_t *reply);
/** Closes all and removes the path. NULL is allowed. */
void mesh_ctlsock_free(struct mesh_ctlsock *sock);

#endif
