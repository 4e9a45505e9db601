/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The L7 engine: worker threads that accept connections, speak HTTP/1.1 on both sides and
 * route each request by the published configuration. It knows nothing of YAML or BPF: who
 * owns a listener says where its connections were going (original destination) and who the
 * client is. Control calls (new, publish, listen, stats) are for one control thread.
 */
#ifndef MESH_PROXY_PROXY_H
#define MESH_PROXY_PROXY_H

#include "core/addr.h"
#include "core/buf.h"
#include "core/err.h"
#include "model/l7.h"

struct mesh_proxy;
struct mesh_proxy_listener;

/** Who connects to a listener: the pod it belongs to. Reference-counted by the proxy; strings owned by it. */
struct mesh_proxy_client {
	const char *ns, *pod, *workload; /* NULL in a gateway */
	struct mesh_labels labels;
};

/**
 * Original destination of an accepted connection. Called on a worker thread, once for each connection.
 * Returns 0 and *ret, or -ENOENT: the connection is closed with reason "no_origdst" counted.
 */
typedef int mesh_proxy_origdst_fn(void *arg, int fd, const struct mesh_addr *local, const struct mesh_addr *peer,
				  struct mesh_addr *ret);

struct mesh_proxy_opts {
	unsigned workers;            /* 0: one for each CPU */
	size_t max_header_bytes;     /* 0: 60 KiB (431 beyond; the request line alone 414) */
	size_t buffer_bytes;         /* of one direction of a connection; 0: 16 KiB; 4 times that for a bulk flow */
	uint64_t idle_timeout_ns;    /* downstream keep-alive; 0: 1 h, as Envoy's */
	uint64_t upstream_idle_ns;   /* pooled upstream; 0: 1 h (capped by an upstream's Keep-Alive: timeout=) */
	uint64_t connect_timeout_ns; /* 0: 10 s, Istio's default */
	uint64_t head_timeout_ns;    /* from a request's first byte to its complete head (408); 0: 60 s */
	uint64_t stream_timeout_ns;  /* a request or tunnel in flight without any progress (408, 504); 0: 1 h */
	size_t max_request_line;     /* 0: 8 KiB less than max_header_bytes, or half of it */
	uint64_t max_body_bytes;     /* of a request (413); 0: unlimited */
	bool (*spliced)(void *arg,
			int fd); /* whether splice(2) would miss bytes of a socket; any worker; NULL: never */
	void *spliced_arg;
	const char *server_name; /* "server:" of answers the mesh makes or passes without one; NULL: "sockmesh" */
};

int mesh_proxy_new(struct mesh_proxy **ret, const struct mesh_proxy_opts *opts);
/**
 * Stops accepting, lets requests in flight finish for at most drain_ns, then joins the workers and frees, also
 * listeners that are left. NULL is allowed.
 */
void mesh_proxy_free(struct mesh_proxy *proxy, uint64_t drain_ns);

/**
 * From now on each answer ends its connection (Connection: close), new connections included; nothing else changes.
 * For a while before the end, so that clients have gone elsewhere by then.
 */
void mesh_proxy_drain(struct mesh_proxy *proxy);

/**
 * Makes cfg the configuration of every request whose head is complete from now on, also on connections that
 * are open already; takes over the caller's reference. When it returns no worker starts a request on the old one.
 */
void mesh_proxy_publish(struct mesh_proxy *proxy, struct mesh_l7_config *cfg);

/**
 * The pod that had this address (its port does not count) is no more: requests that wait for it without hearing
 * anything for another second are sent elsewhere where that is safe, else answered 503 or cut off. After
 * mesh_proxy_publish() of what no longer names it. Its connections must not be another pod's by now.
 */
void mesh_proxy_gone(struct mesh_proxy *proxy, const struct mesh_addr *ip);

struct mesh_proxy_listen {
	int fd;                /* listening socket; taken over unless it fails */
	int upstream_netns_fd; /* upstream sockets are made in this namespace; -1: this one. Duplicated. */
	uint64_t netns_cookie; /* of that namespace: upstream pools are per namespace and endpoint */
	const struct mesh_proxy_client *client; /* copied; NULL: a gateway */
	mesh_proxy_origdst_fn *origdst;         /* NULL: a gateway; its table is that of gateway_port */
	void *origdst_arg;
	uint16_t gateway_port;
};

int mesh_proxy_listen(struct mesh_proxy *proxy, const struct mesh_proxy_listen *listen,
		      struct mesh_proxy_listener **ret);
/** Changes who the client is (labels edited). */
void mesh_proxy_listener_client(struct mesh_proxy_listener *l, const struct mesh_proxy_client *client);
/** Stops accepting. Its connections finish what is in flight and close, at once when abort is true. NULL is allowed. */
void mesh_proxy_listener_free(struct mesh_proxy_listener *l, bool abort);

/** A client's connection between two requests, as it goes from one process to another. */
struct mesh_proxy_moved {
	uint64_t netns_cookie; /* of the listener that it came by */
	struct mesh_addr peer;
	struct mesh_addr origdst; /* port 0: none, as in a gateway */
	const char *data;         /* read from it already: of a request that is not complete; borrowed */
	size_t len;
};

/**
 * Sends a connection to another process; fd is borrowed. Called on worker threads, by several at once. Returns 0, and
 * the caller closes its descriptor; or -errno: it is served on here, and with -EAGAIN tried again a moment later.
 */
typedef int mesh_proxy_move_fn(void *arg, int fd, const struct mesh_proxy_moved *c);

/**
 * Stops accepting and sends every connection elsewhere: at once where no request is under way, the others when theirs
 * is finished. What is neither (tunnels) stays to its end. Once.
 */
void mesh_proxy_move_out(struct mesh_proxy *proxy, mesh_proxy_move_fn *fn, void *arg);
/** Goes on with a connection that another process sent. Takes fd over; c is read, not kept. */
void mesh_proxy_move_in(struct mesh_proxy_listener *l, int fd, const struct mesh_proxy_moved *c);
/** Clients' connections, also such as are on their way between two workers. */
unsigned mesh_proxy_active(const struct mesh_proxy *proxy);
/** How many clients' connections are served; text (may be NULL) gets a line for each, lines_max of a worker at most. */
size_t mesh_proxy_left(struct mesh_proxy *proxy, struct mesh_buf *text, size_t lines_max);

/**
 * Closes pooled idle upstream connections to addresses that are in no cluster of the published
 * configuration any more; called by publish itself. Counters, for status and tests: */
struct mesh_proxy_stats {
	uint64_t connections_total, connections_active, requests_total, requests_active;
	uint64_t upstream_connections_total, upstream_connections_active;
	uint64_t bytes_from_downstream, bytes_to_downstream;
	uint64_t status[6]; /* [0] other, [1] 1xx .. [5] 5xx, as sent downstream */
	uint64_t flags_uh, flags_nc, flags_nr, flags_uf, flags_dpe, no_origdst;
	uint64_t moved_in, moved_out; /* connections from and to other processes */
	uint64_t shed;                /* connections closed unserved: no file descriptor was left for them */
	uint64_t upstream_pools;      /* addresses with an upstream connection, per namespace and worker */
};

void mesh_proxy_stats(const struct mesh_proxy *proxy, struct mesh_proxy_stats *ret);

#endif
