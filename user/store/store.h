/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded Kubernetes API: an HTTPS server on a loop, its state in a directory (SQLite,
 * certificates). Kinds come from config/kind.h's rows and from CustomResourceDefinitions.
 * An answer to a write means that it is on disk. All on the loop's thread; the only thing
 * that blocks is the commit.
 */
#ifndef MESH_STORE_STORE_H
#define MESH_STORE_STORE_H

#include "core/addr.h"
#include "core/err.h"
#include "core/loop.h"

struct mesh_store;

struct mesh_store_listen {
	struct mesh_addr addr; /* where to listen; port 0: any */
	int fd;                /* a listening socket to use instead (taken), or -1 */
};

/** Strings are copied. */
struct mesh_store_opts {
	const char *data_dir; /* made if missing; state.db and pki/ in it */
	const struct mesh_store_listen *listen;
	size_t listen_count;
	const char *const *names; /* NULL-ended: more names and addresses that clients may use for us; may be NULL */
	const char *service_cidr; /* NULL: 10.96.0.0/16. Its first address is Service default/kubernetes */
	const char *route_host;   /* .spec.host of Routes that name none; NULL: NAME-NAMESPACE.apps.local */
	size_t watch_log;         /* changes kept for watches to resume from; 0: 20000 */
	unsigned hurry;           /* time limits of connections are divided by this (for tests); 0: 1 */
};

/** Returns 0; -errno with errs filled. The loop must outlive the store. */
int mesh_store_new(struct mesh_store **ret, struct mesh_loop *loop, const struct mesh_store_opts *opts,
		   struct mesh_errs *errs);
/** Commits, ends all connections, frees. NULL is allowed. */
void mesh_store_free(struct mesh_store *store);

/** Where it listens (the i-th of opts.listen), with the port that was chosen. */
struct mesh_addr mesh_store_addr(const struct mesh_store *store, size_t i);
/** A kubeconfig for the administrator with all certificates in it. server: "https://10.0.0.1:6443". */
void mesh_store_kubeconfig(const struct mesh_store *store, const char *server, struct mesh_buf *out);

#endif
