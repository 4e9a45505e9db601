/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sample apps share: an HTTP/1.1 server on worker threads, each with an event loop,
 * and a client that keeps its connections and pools them for each worker, as an ordinary
 * application's client does. A request's handler runs on its worker and answers at once, later
 * (after a call or a delay), but exactly once. On SIGTERM the app serves on for the drain time,
 * telling clients to close, and ends.
 */
#ifndef MESH_LAB_APP_H
#define MESH_LAB_APP_H

#include "lab/app_http.h"

struct mesh_app_conn;
struct mesh_loop;

/** A whole request; valid until it is answered. */
struct mesh_app_request {
	const struct mesh_app_head *head;
	struct mesh_slice path, query; /* of the target, without '?' */
	struct mesh_slice body;
	const char *peer, *local; /* "10.64.1.5:40000" */
};

typedef void mesh_app_handler_fn(struct mesh_app_conn *conn, const struct mesh_app_request *req, void *arg);

struct mesh_app_opts {
	const char *ports; /* "8080" or "8080,9090" */
	unsigned drain_ms; /* after SIGTERM */
	mesh_app_handler_fn *handler;
	void *arg;
};

/** Serves until SIGTERM or SIGINT. Returns the exit status. */
int mesh_app_serve(const struct mesh_app_opts *opts);

/** The request being answered. */
const struct mesh_app_request *mesh_app_request_of(const struct mesh_app_conn *conn);
/** Answers. content_type NULL: text/plain. Extra header lines ("a: b\r\n") or NULL. */
void mesh_app_reply(struct mesh_app_conn *conn, int status, const char *content_type, const char *extra,
		    struct mesh_slice body);
void mesh_app_replyf(struct mesh_app_conn *conn, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Runs fn(conn, arg) after a delay, for it to answer. */
typedef void mesh_app_later_fn(struct mesh_app_conn *conn, void *arg);
void mesh_app_later(struct mesh_app_conn *conn, unsigned ms, mesh_app_later_fn *fn, void *arg);

/** What a call brought: status 0 and error, or an answer. */
typedef void mesh_app_called_fn(struct mesh_app_conn *conn, int status, struct mesh_slice body, const char *error);
/**
 * GET http://host:port/path for conn's request, with the header lines of extra. A pooled connection that turns out
 * to be closed by the other side before a byte of the answer is replaced once. Gives up after 60 s.
 */
void mesh_app_get(struct mesh_app_conn *conn, const char *host, unsigned port, const char *path,
		  struct mesh_slice extra, mesh_app_called_fn *fn);

/* Between app.c and app_client.c. */
struct mesh_app_client;
struct mesh_app_client *mesh_app_client_new(struct mesh_loop *loop);
void mesh_app_client_free(struct mesh_app_client *client);
typedef void mesh_app_client_fn(void *arg, int status, struct mesh_slice body, const char *error);
struct mesh_app_call;
/** Calls back exactly once unless cancelled; never before it returns. */
struct mesh_app_call *mesh_app_client_get(struct mesh_app_client *client, const char *host, unsigned port,
					  const char *path, struct mesh_slice extra, mesh_app_client_fn *fn, void *arg);
/** The answer is not wanted any more. */
void mesh_app_client_cancel(struct mesh_app_call *call);

#endif
