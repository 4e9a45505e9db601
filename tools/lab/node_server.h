/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's own HTTPS server, for the API server alone (a client certificate of the cluster's CA):
 * container logs, exec and attach over WebSocket. Each connection is served by a process of its
 * own, forked from the kubelet: it sees the pods as they were then, and may block.
 */
#ifndef MESH_LAB_NODE_SERVER_H
#define MESH_LAB_NODE_SERVER_H

#include "lab/app_http.h"
#include "lab/node.h"

#include <openssl/ssl.h>

/** One connection, in its process. */
struct mesh_serving {
	struct mesh_node *node;
	SSL *ssl;
	int fd;
	struct mesh_buf in; /* read ahead */
	struct mesh_app_head head;
	const char *path, *query; /* decoded path; query as received ("" if none) */
};

/** Sends all of it, blocking. Returns 0 or -EPIPE. */
int mesh_serving_send(struct mesh_serving *s, const void *data, size_t len);
/** A whole answer with a text body; returns -1 for the caller to return. */
int mesh_serving_refuse(struct mesh_serving *s, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** The n-th (from 0) value of a query parameter, decoded; the caller frees; NULL if there is none. */
char *mesh_serving_query(const struct mesh_serving *s, const char *name, unsigned n);
/** "1" or "true". */
bool mesh_serving_flag(const struct mesh_serving *s, const char *name);
/** The container that /what/NAMESPACE/POD/CONTAINER names, or NULL. */
struct mesh_container *mesh_serving_container(struct mesh_serving *s);

void mesh_serving_logs(struct mesh_serving *s);
void mesh_serving_exec(struct mesh_serving *s, bool attach);
/** The key of a WebSocket handshake's answer (RFC 6455 4.2.2); out has 32 bytes. */
void mesh_websocket_accept(struct mesh_slice key, char *out);

#endif
