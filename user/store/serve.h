/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTPS/1.1 server on the loop. Each request goes to one function, which answers now or
 * later, streams (chunked), or takes the connection over as a tunnel. A connection serves
 * one request at a time; everything it may hold has a limit, and each phase has an end: a
 * handshake 20 s, a head 30 s, a body 60 s, idleness 300 s. When all connections are taken, the
 * one that has been without a request for longest makes room. One thread.
 */
#ifndef MESH_STORE_SERVE_H
#define MESH_STORE_SERVE_H

#include "core/arena.h"
#include "store/tls.h"

enum {
	MESH_SERVE_HEAD_MAX = 64 << 10,
	MESH_SERVE_BODY_MAX = 3 << 20,
	MESH_SERVE_CONNECTIONS = 4000,
	MESH_SERVE_HEADERS = 100,
	MESH_SERVE_PARAMS = 1024,           /* "command" comes once for each word of an exec */
	MESH_SERVE_BODY_UNKNOWN = 64 << 10, /* from who has not been recognised */
	MESH_SERVE_BODIES = 256 << 20,      /* of all connections together, while they come in */
	MESH_SERVE_OUT_MAX = 256 << 10,     /* while a client leaves that much unread, its next request waits */
};

struct mesh_server;
struct mesh_conn;

struct mesh_pair {
	const char *name, *value;
};

struct mesh_request {
	struct mesh_arena arena; /* all that follows lives here; freed with the request */
	struct mesh_conn *conn;
	const char *method, *target, *path; /* path: percent-decoded, without the query */
	struct mesh_pair *params, *headers;
	size_t param_count, header_count;
	struct mesh_slice body;
	const char *cert_user;           /* CN of the client's certificate, or NULL */
	const char **cert_groups;        /* its Os, NULL-ended */
	struct mesh_buf extra;           /* header lines added to the answer */
	bool streaming, http10, upgrade; /* upgrade: the client asks for another protocol */
	/* Called when the connection ends before the answer does; the request is freed after it. */
	void (*closed)(struct mesh_request *req);
	/* Tunnel: called for bytes, room or eof on the connection. */
	void (*tunnel)(struct mesh_request *req);
	/* Stream: called when the client has taken some of what was sent; may be NULL. May end the request. */
	void (*drained)(struct mesh_request *req);
	void *data; /* the handler's */
};

typedef void mesh_request_fn(void *arg, struct mesh_request *req);
/** Is it known who sends this? Asked with the head alone, before a large body is taken in. */
typedef bool mesh_request_known_fn(void *arg, struct mesh_request *req);

/** known NULL: everyone may send large bodies. */
int mesh_server_new(struct mesh_server **ret, struct mesh_loop *loop, SSL_CTX *ctx, mesh_request_fn *handle,
		    mesh_request_known_fn *known, void *arg);
/** How large a request's body may be from now on, instead of MESH_SERVE_BODY_MAX. */
void mesh_server_limit_body(struct mesh_server *server, size_t bytes);
/** Time limits are divided by n from now on: for tests. */
void mesh_server_hurry(struct mesh_server *server, unsigned n);
/** Ends all connections. */
void mesh_server_free(struct mesh_server *server);
/** Accepts on fd, which the server owns from now on. */
int mesh_server_listen(struct mesh_server *server, int fd);
/** A listening TCP socket. Returns it or -errno. */
int mesh_listen_tcp(const struct mesh_addr *addr);

/** Header (any case) or query parameter; NULL if absent. */
const char *mesh_request_header(const struct mesh_request *req, const char *name);
const char *mesh_request_param(const struct mesh_request *req, const char *name);

void mesh_request_add(struct mesh_request *req, const char *name, const char *value); /* a header of the answer */
/** Answers and ends the request: it is freed. */
void mesh_request_answer(struct mesh_request *req, int status, const char *type, struct mesh_slice body);
/** Begins a stream, adds to it, ends it (frees). A chunk is -EPIPE when the connection failed: then call
 * mesh_request_drop(). */
void mesh_request_stream(struct mesh_request *req, int status, const char *type);
int mesh_request_chunk(struct mesh_request *req, struct mesh_slice bytes);
void mesh_request_end(struct mesh_request *req);
/** Bytes of the stream that the client has not taken yet. */
size_t mesh_request_pending(const struct mesh_request *req);
/** Ends the connection without more words; .closed is not called. */
void mesh_request_drop(struct mesh_request *req);
/** Takes the connection over: its bytes are the caller's from now on. .tunnel and .closed must be set. */
struct mesh_tls *mesh_request_take(struct mesh_request *req);

#endif
