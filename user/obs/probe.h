/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain HTTP endpoint for those who look after a process: a kubelet's probes. GET and HEAD of a few
 * paths, one request for each connection, which has five seconds. Heads are read by the proxy's
 * HTTP/1 parser. Loop thread only.
 */
#ifndef MESH_OBS_PROBE_H
#define MESH_OBS_PROBE_H

#include "core/addr.h"
#include "core/buf.h"
#include "core/loop.h"

struct mesh_probe;

/** A path and what it says now. The table is borrowed and ends with a NULL path. */
struct mesh_probe_path {
	const char *path; /* without query */
	/** Appends a text for people (may be none) and returns the HTTP status: 200 or 503. */
	int (*answer)(void *arg, struct mesh_buf *text);
};

/**
 * Listens at addr (all addresses, IPv4 and IPv6, where addr's IP is unspecified). Returns 0 or -errno (-EADDRINUSE).
 * The loop and arg outlive it.
 */
int mesh_probe_new(struct mesh_probe **ret, struct mesh_loop *loop, const struct mesh_addr *addr,
		   const struct mesh_probe_path *paths, void *arg);
/** Ends its connections. NULL is allowed. */
void mesh_probe_free(struct mesh_probe *probe);

/**
 * A listening TCP socket at addr; where its IP is unspecified on all addresses of IPv4 and IPv6 (IPv4 alone where
 * there is no IPv6). Returns the fd or -errno.
 */
int mesh_probe_listen(const struct mesh_addr *addr);

#endif
