/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of kube/: a non-blocking connection to the API server, TLS or plain, for protocols that libcurl does not
 * speak. One thread. */
#ifndef MESH_KUBE_WIRE_H
#define MESH_KUBE_WIRE_H

#include "core/err.h"
#include "kube/kubeconfig.h"

#include <openssl/ssl.h>

struct mesh_wire {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;                   /* NULL: plain */
	bool want_read, want_write; /* what the last call waits for */
};

/** Connects (blocking, 10 s at most), shakes hands, verifies. Returns 0 or -EIO with an error. */
int mesh_wire_open(struct mesh_wire *w, const struct mesh_kubeconfig *config, struct mesh_errs *errs);
void mesh_wire_close(struct mesh_wire *w);
/** Bytes read, 0 at the end, -EAGAIN or another -errno. */
ssize_t mesh_wire_read(struct mesh_wire *w, void *data, size_t len);
ssize_t mesh_wire_write(struct mesh_wire *w, const void *data, size_t len);
/** Whether bytes are there that poll() does not see. */
bool mesh_wire_pending(const struct mesh_wire *w);
/** "host:port" as it stands in the server's URL. Caller frees. */
char *mesh_wire_host(const struct mesh_kubeconfig *config);

#endif
