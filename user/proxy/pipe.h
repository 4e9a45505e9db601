/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one direction of a connection, in one bounded buffer:
 *
 *	start     sent      ready      scan      end     capacity
 *	  | kept   | to send  | (gap)    | not read | free  |
 *
 * What was sent is kept while it may have to be sent again; the gap is framing that was taken out.
 * Buffers come from a worker's cache and go back when a connection is idle. One thread.
 */
#ifndef MESH_PROXY_PIPE_H
#define MESH_PROXY_PIPE_H

#include "proxy/http1.h"

struct mesh_pipe {
	char *data; /* NULL while nothing is held */
	size_t capacity, start, sent, ready, scan, end;
	bool filled; /* by the last read: more is coming than fits */
};

/** Buffers of one size, kept for reuse. */
struct mesh_pipe_cache {
	void *first;
	size_t size, count, max;
};

void mesh_pipe_cache_free(struct mesh_pipe_cache *cache);
/** Makes sure that there is a buffer. */
void mesh_pipe_hold(struct mesh_pipe *p, struct mesh_pipe_cache *cache);
/** Gives the buffer back, with what is in it. */
void mesh_pipe_drop(struct mesh_pipe *p, struct mesh_pipe_cache *cache);
/** Free bytes at the end, after moving what is held to the front if that makes any. */
size_t mesh_pipe_room(struct mesh_pipe *p);
/** Doubles the buffer up to max. Returns false if it is that large already. */
bool mesh_pipe_grow(struct mesh_pipe *p, struct mesh_pipe_cache *cache, size_t max);
/** Before a read: a flow that fills the buffer each time gets a larger one (4 times the cache's), while it is empty. */
void mesh_pipe_widen(struct mesh_pipe *p, struct mesh_pipe_cache *cache);
/** n bytes were read to data + end. */
static inline void mesh_pipe_took(struct mesh_pipe *p, size_t n)
{
	p->end += n;
	p->filled = p->end == p->capacity;
}
/** Appends as much as fits; for tests and replays. Returns how much. */
size_t mesh_pipe_add(struct mesh_pipe *p, const char *data, size_t len);
/** Drops a head of n bytes that is next to read. */
void mesh_pipe_skip(struct mesh_pipe *p, size_t n);
/** n bytes were sent; keep: they stay until mesh_pipe_forget(). */
void mesh_pipe_sent(struct mesh_pipe *p, size_t n, bool keep);
/** Drops what was sent and kept. */
void mesh_pipe_forget(struct mesh_pipe *p);
/** Everything kept is to be sent again. */
void mesh_pipe_rewind(struct mesh_pipe *p);
/**
 * Reads on in the message's body: what belongs to it becomes ready to send, as it came or (plain) without its chunked
 * framing. Returns as mesh_http1_body_next().
 */
enum mesh_http1_result mesh_pipe_decode(struct mesh_pipe *p, struct mesh_http1_body *body, bool plain);

static inline size_t mesh_pipe_pending(const struct mesh_pipe *p)
{
	return p->ready - p->sent;
}

static inline size_t mesh_pipe_unread(const struct mesh_pipe *p)
{
	return p->end - p->scan;
}

static inline bool mesh_pipe_full(const struct mesh_pipe *p)
{
	return p->data && mesh_pipe_unread(p) + (p->ready - p->start) >= p->capacity;
}

#endif
