/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TLS connection on the loop, either side: bytes in, bytes out, never blocking. The owner
 * gets one callback for whatever happened and then looks: new bytes in .in, .eof, .failed,
 * or room in .out. The callback may free the connection. One thread.
 */
#ifndef MESH_STORE_TLS_H
#define MESH_STORE_TLS_H

#include "core/addr.h"
#include "core/buf.h"
#include "core/loop.h"

#include <openssl/ssl.h>

struct mesh_tls;
typedef void mesh_tls_fn(struct mesh_tls *tls);

struct mesh_tls {
	struct mesh_loop *loop;
	struct mesh_io io;
	SSL *ssl;
	struct mesh_buf in;  /* received, not yet consumed */
	struct mesh_buf out; /* to send, from out_at */
	size_t out_at;
	size_t in_limit;               /* no more is read while in.len is at or above it */
	bool client, connecting, open; /* open: the handshake is done */
	bool eof, failed;
	bool read_wants_write, write_wants_read;
	mesh_tls_fn *event;
	void *arg;
};

/** Takes fd (closed on failure too). The callback comes when the handshake is done or has failed. */
int mesh_tls_accept(struct mesh_tls *tls, struct mesh_loop *loop, SSL_CTX *ctx, int fd, mesh_tls_fn *event, void *arg);
/** Connects to addr; the certificate must be for that address or for name (may be NULL). */
int mesh_tls_connect(struct mesh_tls *tls, struct mesh_loop *loop, SSL_CTX *ctx, const struct mesh_addr *addr,
		     const char *name, mesh_tls_fn *event, void *arg);
/** Closes and frees what tls owns, not tls. Harmless when done before. */
void mesh_tls_close(struct mesh_tls *tls);

/** Bytes waiting to be sent. */
static inline size_t mesh_tls_pending(const struct mesh_tls *tls)
{
	return tls->out.len - tls->out_at;
}

/** Sends what it can of out now, and the rest when there is room. Returns 0, or -EPIPE (failed is set). */
int mesh_tls_flush(struct mesh_tls *tls);
/** Reads what is there, up to in_limit: after in was consumed, since TLS may hold bytes that epoll does not see. */
void mesh_tls_fill(struct mesh_tls *tls);

#endif
