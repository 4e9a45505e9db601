/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the proxy: not for other rooms. A worker is a thread with a loop; a downstream
 * connection, its request, and the upstream connection the request holds belong to one worker and
 * are touched by no other. What workers share: the listener (reference-counted) and the published
 * configuration. Ownership: worker -> down -> request -> up; an up without a request is its pool's.
 * Closed objects stay until the end of the loop's round (mesh_worker_reap), so callers may look at ->dead.
 */
#ifndef MESH_PROXY_ENGINE_H
#define MESH_PROXY_ENGINE_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/loop.h"
#include "proxy/pipe.h"
#include "proxy/proxy.h"
#include "proxy/timeout.h"

#include <pthread.h>

enum {
	MESH_REQUEST_FIELDS = 128,
	/* Connects for one request. Istio has two retries: a service that is scaled from five to two would lose
	   requests. */
	MESH_REQUEST_TRIES = 5,
};

/** What the stats are made of; written by one worker, read by any thread. */
struct mesh_counts {
	atomic_uint_fast64_t downs, downs_closed, requests, requests_ended, ups, ups_closed, in, out;
	atomic_uint_fast64_t status[6], uh, nc, nr, uf, dpe, no_origdst, shed, pools, pools_freed;
	atomic_uint_fast64_t moved_in, moved_out;
};

static inline void mesh_count(atomic_uint_fast64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

/** A configuration as it was published. */
struct mesh_published {
	struct mesh_l7_config *cfg;
	uint64_t generation; /* from 1 */
};

/** The namespace upstream sockets are made in, on one worker. Held by the listener and by each connection. */
struct mesh_space {
	uint64_t cookie;
	int netns_fd;
	unsigned refs;
	struct mesh_map pools; /* address and port -> struct mesh_pool */
};

/** Upstream connections to one endpoint from one namespace, on one worker. */
struct mesh_pool {
	struct mesh_space *space; /* NULL: the space is gone, close instead of keeping */
	struct mesh_addr addr;
	struct mesh_up *idle; /* last used first */
	unsigned ups;
	bool gone;  /* in no cluster any more: close instead of keeping */
	bool plain; /* an original destination, never in a cluster */
};

struct mesh_up {
	struct mesh_io io; /* first */
	struct mesh_timeout timeout;
	struct mesh_worker *worker;
	struct mesh_pool *pool;
	struct mesh_request *request; /* NULL: idle */
	struct mesh_up *prev, *next;  /* in the pool, or among the dead */
	uint64_t keep_ns, keep_until; /* what the upstream said in Keep-Alive: timeout=; 0: nothing */
	bool reused, connecting, blocked, hup, dead;
};

struct mesh_down {
	struct mesh_io io; /* first */
	struct mesh_timeout timeout;
	struct mesh_timeout unwatched; /* until it must be in epoll all the same */
	struct mesh_worker *worker;
	struct mesh_proxy_listener *listener;
	struct mesh_space *space;
	struct mesh_down *prev, *next;
	struct mesh_down *later; /* among those to come back to at the end of the round */
	struct mesh_addr peer, origdst;
	struct mesh_pipe in;
	struct mesh_request *request;
	const struct mesh_l7_table *table; /* of the configuration of that generation */
	uint64_t generation;
	bool eof, hup, blocked, lingering, dead, busy, spoke;
	bool fresh;     /* accepted in this round: not read yet */
	bool postponed; /* in the worker's list of later ones */
	bool watch;     /* in epoll from now on */
	bool failed;    /* epoll does not take it (fs.epoll.max_user_watches): ends with the round */
};

/** A pipe in the kernel that a body goes through. */
struct mesh_bulk {
	struct mesh_bulk *next; /* among the free */
	int in, out;
	size_t held; /* bytes in it */
};

/** The phases of each direction: a head, then a body, then over. */
enum mesh_phase { MESH_PHASE_HEAD, MESH_PHASE_BODY, MESH_PHASE_DONE };

struct mesh_request {
	struct mesh_down *down;
	struct mesh_up *up;
	struct mesh_request *next; /* among the free */
	struct mesh_l7_config *cfg;
	const struct mesh_l7_cluster *cluster;
	const struct mesh_l7_endpoint *endpoint;
	const struct mesh_l7_route *route;
	struct mesh_addr to;
	struct mesh_arena arena;
	struct mesh_http1_head head, answer; /* share fields: the request's are done with when it is sent */
	struct mesh_http1_body body, answer_body;
	struct mesh_buf up_head, down_head; /* as sent on */
	size_t up_head_sent, down_head_sent;
	struct mesh_pipe out;   /* of the response */
	struct mesh_bulk *bulk; /* instead of it, in the middle of a large body; NULL: none */
	struct mesh_timer timer;
	uint64_t begin_ns, answer_bytes;
	enum mesh_phase phase, answer_phase;
	int status;
	unsigned tries, tried_count;
	struct mesh_addr tried[MESH_REQUEST_TRIES - 1]; /* endpoints that could not be connected to */
	bool is_head, is_connect, idempotent;           /* of the method */
	bool upgrade, upgrade_cut;                      /* asked for; without the versions of HTTP among it */
	bool old;                                       /* an HTTP/1.0 client */
	bool keep;                                      /* the connection may go on after it */
	bool kept;                                      /* all that was sent upstream is still there */
	bool refused;                                   /* the request itself is bad: what follows is not read */
	bool local;                                     /* answered here */
	bool plain; /* the response's chunks are taken apart, for an HTTP/1.0 client */
	bool tunnel, up_shut, down_shut, up_eof, fresh;
	bool resent;  /* to another endpoint, after the first one closed a new connection without a word */
	int up_error; /* of a write to the endpoint; 0: none */
	struct mesh_http1_field fields[MESH_REQUEST_FIELDS]; /* last: not cleared for reuse */
};

struct mesh_worker {
	struct mesh_proxy *proxy;
	struct mesh_loop *loop;
	pthread_t thread;
	unsigned index;
	bool started, stopping, draining;
	bool moving;                  /* connections go to another process as they become idle; see move.c */
	struct mesh_timer move_again; /* some could not go a moment ago */
	atomic_uint load;             /* permille of a CPU, until load_at; see place.c */
	atomic_uint_fast64_t load_at; /* on the loop's clock */
	uint64_t load_cpu;            /* CPU time of the thread then */
	struct mesh_worker *give_to;
	unsigned give;                /* connections that go there when they are idle next */
	atomic_uint active;           /* downstream connections */
	atomic_uint_fast64_t reading; /* odd while the published configuration is being read */
	struct mesh_pipe_cache buffers;
	struct mesh_request *free_requests;
	unsigned free_request_count;
	struct mesh_bulk *free_bulks;
	unsigned bulks, free_bulk_count; /* all pipes; those that no request has */
	struct mesh_down *downs, *dead_downs, *later;
	struct mesh_up *dead_ups;
	struct mesh_timeouts idle, head, stream, linger, connect, pooled, unwatched, gone;
	unsigned idle_ups, idle_ups_max; /* pooled upstream connections; what is above max is closed, oldest first */
	struct mesh_map spaces;          /* cookie -> struct mesh_space */
	uint64_t seed;
	int64_t date_at;
	char date[32];
	int spare_fd;
	struct mesh_counts counts;
};

struct mesh_listener_worker {
	struct mesh_io io; /* first */
	struct mesh_timer pause;
	struct mesh_worker *worker;
	struct mesh_proxy_listener *listener;
	struct mesh_space *space;
	unsigned burst; /* connections to accept at once */
};

struct mesh_proxy_listener {
	struct mesh_proxy *proxy;
	int fd, netns_fd;
	uint64_t cookie;
	_Atomic(struct mesh_proxy_client *) client; /* read only while worker->reading is odd */
	mesh_proxy_origdst_fn *origdst;
	void *origdst_arg;
	uint16_t gateway_port;
	atomic_uint refs;
	atomic_bool closing, abort;
	struct mesh_proxy_listener *prev, *next;
	struct mesh_listener_worker per[]; /* one for each worker */
};

struct mesh_proxy {
	struct mesh_proxy_opts opts;
	char *server_name;
	struct mesh_http1_limits limits;
	_Atomic(struct mesh_published *) published;
	uint64_t generation;
	struct mesh_proxy_listener *listeners;
	mesh_proxy_move_fn *move_fn; /* set before any worker is moving */
	void *move_arg;
	unsigned worker_count;
	struct mesh_worker *workers;
};

/* bulk.c: large bodies that are not copied */
enum mesh_bulk_result {
	MESH_BULK_NOTHING, /* there was nothing to read, although there may be for recv() */
	MESH_BULK_MOVED,   /* all that was read is sent, or the upstream has ended */
	MESH_BULK_BLOCKED, /* the client does not take it now: down->blocked is set */
	MESH_BULK_GONE,    /* the client is gone */
	MESH_BULK_FAILED,  /* the upstream's connection failed: errno */
};

/** Whether the response's next bytes are to be moved; makes r->bulk. */
bool mesh_bulk_begin(struct mesh_request *r);
/** Moves what is there, as far as the body goes. */
enum mesh_bulk_result mesh_bulk_move(struct mesh_request *r);
/** Sends what is held. */
enum mesh_bulk_result mesh_bulk_flush(struct mesh_request *r);
/** The request is over, or the body. */
void mesh_bulk_drop(struct mesh_request *r);
/** Frees what a worker keeps. */
void mesh_bulk_end(struct mesh_worker *w);

/* listener.c */
void mesh_listener_unref(struct mesh_proxy_listener *l);

/* place.c: which worker serves a connection */
/** For a connection that is new. Any worker. */
struct mesh_worker *mesh_place_pick(struct mesh_proxy *proxy);
/** Once a round: measures the worker's load now and then, and decides whether it gives connections to another. */
void mesh_place_measure(struct mesh_worker *w);
/** An idle connection may go to another worker now; it is not to be touched after. */
void mesh_place_give(struct mesh_down *d);

/* move.c: connections from and to other processes */
/** Sends d elsewhere if it is between two requests. Returns whether it is gone (closed here). */
bool mesh_down_move(struct mesh_down *d);

/* down.c: a client's connection */
/** A connection that another process served before, with what that one had read of it. */
void mesh_down_adopt(struct mesh_worker *w, struct mesh_proxy_listener *l, int fd, const struct mesh_proxy_moved *c);
void mesh_down_new(struct mesh_worker *w, struct mesh_proxy_listener *l, int fd, const struct mesh_addr *peer);
/** What was postponed to the end of the round: connections that are new, or may go to another worker. */
void mesh_down_run_later(struct mesh_worker *w);
/** Takes d, which is idle, from its worker, or gives it to one, on that one's thread. */
void mesh_down_leave(struct mesh_down *d);
void mesh_down_enter(struct mesh_worker *w, struct mesh_down *d);
void mesh_down_unwatched_timeout(struct mesh_timeout *item);
/** Reads heads and begins requests as long as there are any. */
void mesh_down_run(struct mesh_down *d);
/** Asks the loop for what the connection waits for now. */
void mesh_down_update(struct mesh_down *d);
/** After the last response: waits a little for the client to close, so that it can read the response. */
void mesh_down_linger(struct mesh_down *d);
/** At once; a request in flight must be finished before. reset: so that the client cannot take it for an end. */
void mesh_down_close(struct mesh_down *d, bool reset);
void mesh_down_idle_timeout(struct mesh_timeout *item);
void mesh_down_head_timeout(struct mesh_timeout *item);
void mesh_down_stream_timeout(struct mesh_timeout *item);

/* request.c: client to upstream */
struct mesh_request *mesh_request_new(struct mesh_down *d);
/** The head is complete: routes it and sends it on, or answers. */
void mesh_request_begin(struct mesh_request *r);
/** A connection that does not speak HTTP/1: bytes both ways to where it was going. */
void mesh_request_raw(struct mesh_request *r);
/** Sends on what there is of the request. */
void mesh_request_pump(struct mesh_request *r);
/** The upstream connection failed, why says how; connect: it never came up. Tries again if that is safe, or answers. */
void mesh_request_lost(struct mesh_request *r, const char *why, bool connect);
/**
 * The endpoint that it is being connected to is in no cluster any more: nothing was sent yet, so it goes by the
 * configuration in force now. Does nothing, and returns false, if it has been tried often enough.
 */
bool mesh_request_reroute(struct mesh_request *r);
/** Its endpoint is no more, and nothing came from there: goes elsewhere if that is safe, else ends. */
void mesh_request_deserted(struct mesh_request *r);
/** Its head is not complete and it is forgotten: another process reads it. Not counted as a request. */
void mesh_request_withdraw(struct mesh_request *r);
/** The client is gone, or the response cannot be completed: ends both sides. */
void mesh_request_abort(struct mesh_request *r);
/** A tunnel that both sides have closed. */
void mesh_request_hang_up(struct mesh_request *r);
/** The one place where a request ends: counted, its memory back. */
void mesh_request_finish(struct mesh_request *r);

/* response.c: upstream to client */
/** Answers here; text may be "". */
void mesh_response_reply(struct mesh_request *r, int status, const char *text);
/** There may be bytes to read from upstream. */
void mesh_response_read(struct mesh_request *r);
/** Sends on what there is of the response, and ends the request after its last byte. */
void mesh_response_pump(struct mesh_request *r);

/* message.c: heads as they are sent on */
/**
 * Sets r->upgrade if any protocol is asked for that may be sent on. Other versions of HTTP (h2c) may not: the requests
 * that follow would leave the routed world. RFC 9110 section 7.8.
 */
void mesh_message_upgrade(struct mesh_request *r);
/** Whether a 101 switches to what may have been asked for. */
bool mesh_message_switch_allowed(const struct mesh_request *r);
void mesh_message_request(struct mesh_request *r);
void mesh_message_informational(struct mesh_request *r);
void mesh_message_response(struct mesh_request *r);
void mesh_message_reply(struct mesh_request *r, int status, const char *text);

/* upstream.c: pools and connections */
struct mesh_space *mesh_space_get(struct mesh_worker *w, uint64_t cookie, int netns_fd);
void mesh_space_unref(struct mesh_worker *w, struct mesh_space *s);
/** Gives r a connection to r->to: an idle one unless r->fresh. Returns 0 or -errno. */
int mesh_up_get(struct mesh_request *r);
/** The request is done with it: back to its pool if reuse, else closed. */
void mesh_up_release(struct mesh_up *u, bool reuse);
void mesh_up_close(struct mesh_up *u);
/** The same, by RST. */
void mesh_up_reset(struct mesh_up *u);
void mesh_up_update(struct mesh_up *u);
/** Closes the pooled connection that was idle longest. Returns false if there is none. */
bool mesh_up_evict(struct mesh_worker *w);
void mesh_up_connect_timeout(struct mesh_timeout *item);
void mesh_up_pooled_timeout(struct mesh_timeout *item);
/** Connections to that IP, whose pod is no more: idle ones are closed, others end by mesh_up_gone_timeout(). */
void mesh_up_gone(struct mesh_worker *w, const struct mesh_addr *ip);
void mesh_up_gone_timeout(struct mesh_timeout *item);
/**
 * Idle connections to addresses (18-byte keys) that left, or with left false to others than those, are closed; who
 * waits for one to come up goes elsewhere.
 */
void mesh_up_purge(struct mesh_worker *w, const struct mesh_map *addrs, bool left);

/* worker.c */
int mesh_worker_start(struct mesh_worker *w, struct mesh_proxy *proxy, unsigned index);
/** Ends all that is open, joins the thread and frees. */
void mesh_worker_stop(struct mesh_worker *w);
/** Runs fn(worker, arg) on every worker's thread and waits for all. */
void mesh_workers_run(struct mesh_proxy *proxy, void (*fn)(struct mesh_worker *w, void *arg), void *arg);
/** Waits until no worker reads what was published before. */
void mesh_workers_grace(struct mesh_proxy *proxy);
const char *mesh_worker_date(struct mesh_worker *w);
static inline void mesh_worker_read_begin(struct mesh_worker *w)
{
	atomic_fetch_add(&w->reading, 1);
}
static inline void mesh_worker_read_end(struct mesh_worker *w)
{
	atomic_fetch_add_explicit(&w->reading, 1, memory_order_release);
}

#endif
