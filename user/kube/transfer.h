/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of kube/: one HTTP exchange over libcurl's multi interface on the loop. libcurl's
 * own callbacks only collect bytes; what is ready is handed on from mesh_kube_drain(), outside of
 * libcurl, so that every callback of this module may start, cancel and free exchanges.
 */
#ifndef MESH_KUBE_TRANSFER_H
#define MESH_KUBE_TRANSFER_H

#include "core/buf.h"
#include "core/vec.h"
#include "kube/kube.h"
#include "kube/kubeconfig.h"

#include <curl/curl.h>
#include <sys/queue.h>

enum {
	MESH_KUBE_LINE_MAX = 4 << 20,   /* an object (3 MiB) in its watch event */
	MESH_KUBE_BODY_MAX = 256 << 20, /* a whole answer */
	MESH_KUBE_CONNECT_MS = 5000,
	MESH_KUBE_REQUEST_MS = 60000,
	MESH_KUBE_CA_S = 60,       /* a rotated CA file counts after so long */
	MESH_KUBE_DEAD_MS = 30000, /* a peer that acknowledges nothing for so long is gone */
};

struct mesh_transfer;
typedef void mesh_transfer_fn(struct mesh_transfer *t);

struct mesh_transfer {
	struct mesh_kube *kube;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	char error[CURL_ERROR_SIZE];
	char *payload;
	struct mesh_buf body; /* what came and was not taken yet */
	MESH_VEC(char *) warnings;
	int64_t date;  /* as in struct mesh_kube_response */
	bool stream;   /* the body is taken piece by piece: no limit on its whole, none on its time */
	bool finished; /* result and status are final */
	CURLcode result;
	bool ready;           /* is in kube->ready */
	mesh_transfer_fn *fn; /* bytes came or the end: called from drain; may free t */
	void *arg;
	TAILQ_ENTRY(mesh_transfer) all, by_ready;
};

struct mesh_kube_socket;

struct mesh_kube {
	struct mesh_loop *loop;
	struct mesh_kubeconfig config;
	CURLM *multi;
	struct mesh_timer timer;
	int netns_fd;
	char *user_agent;
	char *file_token; /* of config.token_file */
	uint64_t file_token_ns;
	LIST_HEAD(, mesh_kube_socket) sockets;
	TAILQ_HEAD(, mesh_transfer) transfers, ready;
	LIST_HEAD(, mesh_kube_request) requests;
	LIST_HEAD(, mesh_kube_watch) watches;
};

/** Sets up the multi handle. Returns 0 or -errno. */
int mesh_kube_engine_new(struct mesh_kube *kube);
void mesh_kube_engine_free(struct mesh_kube *kube);

struct mesh_transfer_opts {
	const char *method, *path; /* path with query, from the server's root */
	const char *content_type;  /* of payload; NULL: application/json */
	const char *accept;        /* NULL: application/json */
	char *payload;             /* or NULL; taken over */
	bool stream;
	mesh_transfer_fn *fn;
	void *arg;
};
/** Starts an exchange. Never NULL. */
struct mesh_transfer *mesh_transfer_new(struct mesh_kube *kube, const struct mesh_transfer_opts *opts);
/** Ends it without calling back. NULL is allowed. */
void mesh_transfer_free(struct mesh_transfer *t);
/** The HTTP status once the head is there, else 0. */
int mesh_transfer_status(const struct mesh_transfer *t);
/** Why there is no answer; NULL if there is one. */
const char *mesh_transfer_error(const struct mesh_transfer *t);

/* What the two users of exchanges free at mesh_kube_free(). */
void mesh_kube_requests_free(struct mesh_kube *kube);
void mesh_kube_watches_free(struct mesh_kube *kube);

#endif
