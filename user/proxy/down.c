/* SPDX-License-Identifier: Apache-2.0 */
/* A client's connection: reads heads, one request at a time, so that pipelined ones are answered in order. */
#include "core/mem.h"
#include "proxy/engine.h"

#include <errno.h>
#include <stdio.h>

static struct mesh_down *down_of(struct mesh_timeout *item)
{
	return (struct mesh_down *)((char *)item - offsetof(struct mesh_down, timeout));
}

static void link_down(struct mesh_down *d)
{
	d->prev = NULL;
	d->next = d->worker->downs;
	if (d->next)
		d->next->prev = d;
	d->worker->downs = d;
}

static void unlink_down(struct mesh_down *d)
{
	if (d->prev)
		d->prev->next = d->next;
	else
		d->worker->downs = d->next;
	if (d->next)
		d->next->prev = d->prev;
}

/* Comes back to d at the end of the round, when nobody further up holds it. */
static void postpone(struct mesh_down *d)
{
	if (d->postponed)
		return;
	d->postponed = true;
	d->later = d->worker->later;
	d->worker->later = d;
}

void mesh_down_close(struct mesh_down *d, bool reset)
{
	struct mesh_worker *w = d->worker;

	if (d->dead)
		return;
	d->dead = true;
	mesh_timeout_clear(&d->timeout);
	mesh_timeout_clear(&d->unwatched);
	mesh_io_remove(w->loop, &d->io);
	if (reset)
		setsockopt(d->io.fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	close(d->io.fd);
	d->io.fd = -1;
	mesh_pipe_drop(&d->in, &w->buffers);
	unlink_down(d);
	d->next = w->dead_downs;
	w->dead_downs = d;
	atomic_fetch_sub_explicit(&w->active, 1, memory_order_relaxed);
	mesh_count(&w->counts.downs_closed, 1);
	mesh_space_unref(w, d->space);
	mesh_listener_unref(d->listener);
	d->space = NULL;
	d->listener = NULL;
}

/*
 * A connection that was never in epoll need not be while its first request is out and nothing more is expected of the
 * client: most are closed after it, or idle soon. If the answer takes its time, it is watched for a client that leaves.
 */
static bool may_wait_unwatched(const struct mesh_down *d)
{
	const struct mesh_request *r = d->request;

	return !d->watch && !d->blocked && !d->lingering && r && r->up && r->phase == MESH_PHASE_DONE && !r->tunnel;
}

void mesh_down_update(struct mesh_down *d)
{
	uint32_t events = d->blocked ? EPOLLOUT : 0;

	if (d->dead || d->fresh)
		return;
	if (may_wait_unwatched(d)) {
		if (!d->unwatched.in)
			mesh_timeout_set(&d->worker->unwatched, &d->unwatched);
		return;
	}
	d->watch = true;
	mesh_timeout_clear(&d->unwatched);
	if (mesh_pipe_full(&d->in) && d->request && d->in.start < d->in.sent) {
		d->request->kept = false;
		mesh_pipe_forget(&d->in);
	}
	if (!d->eof && (d->lingering || !mesh_pipe_full(&d->in)))
		events |= EPOLLIN;
	if (!events && d->hup) {
		mesh_io_remove(d->worker->loop, &d->io); /* or epoll would say so for ever */
	} else if (mesh_io_set(d->worker->loop, &d->io, events) < 0) {
		d->failed = true;
		postpone(d);
	}
}

void mesh_down_linger(struct mesh_down *d)
{
	if (d->dead)
		return;
	if (d->eof || shutdown(d->io.fd, SHUT_WR) < 0) {
		mesh_down_close(d, false);
		return;
	}
	d->lingering = true;
	d->blocked = false;
	mesh_pipe_drop(&d->in, &d->worker->buffers);
	mesh_timeout_set(&d->worker->linger, &d->timeout);
	mesh_down_update(d);
}

void mesh_down_unwatched_timeout(struct mesh_timeout *item)
{
	struct mesh_down *d = (struct mesh_down *)((char *)item - offsetof(struct mesh_down, unwatched));

	d->watch = true;
	mesh_down_update(d);
}

void mesh_down_idle_timeout(struct mesh_timeout *item)
{
	mesh_down_close(down_of(item), false);
}

void mesh_down_head_timeout(struct mesh_timeout *item)
{
	struct mesh_down *d = down_of(item);

	d->request->refused = true;
	mesh_response_reply(d->request, 408, "the request head did not arrive in time\n");
}

void mesh_down_stream_timeout(struct mesh_timeout *item)
{
	struct mesh_request *r = down_of(item)->request;

	if (r->answer_phase != MESH_PHASE_HEAD)
		mesh_request_abort(r);
	else if (r->phase == MESH_PHASE_BODY)
		mesh_response_reply(r, 408, "the request body did not arrive in time\n");
	else
		mesh_response_reply(r, 504, "stream timeout\n");
}

/* Nothing is asked for: waits for the next request, without a buffer. */
static void go_idle(struct mesh_down *d)
{
	struct mesh_worker *w = d->worker;

	if (d->eof || w->draining || atomic_load_explicit(&d->listener->closing, memory_order_relaxed)) {
		mesh_down_close(d, false);
		return;
	}
	mesh_pipe_drop(&d->in, &w->buffers);
	if (d->timeout.in != &w->idle || d->spoke)
		mesh_timeout_set(&w->idle, &d->timeout);
	if (w->give && d->spoke)
		postpone(d);
	d->spoke = false;
}

/* The head is incomplete: false when the connection is over. */
static void need_more(struct mesh_down *d)
{
	struct mesh_worker *w = d->worker;

	if (d->eof) {
		mesh_request_abort(d->request);
		return;
	}
	if (mesh_pipe_room(&d->in) == 0)
		mesh_pipe_grow(&d->in, &w->buffers, w->proxy->limits.head_bytes + w->buffers.size);
	if (d->timeout.in != &w->head)
		mesh_timeout_set(&w->head, &d->timeout);
}

/* HTTP/2 with prior knowledge begins like this (RFC 9113 section 3.4). */
static bool is_http2(const struct mesh_request *r)
{
	return r->head.error == MESH_HTTP1_ERROR_VERSION && mesh_slice_eq(r->head.method, MESH_SLICE("PRI")) &&
	       mesh_slice_eq(r->head.target, MESH_SLICE("*")) && r->down->listener->origdst;
}

static void refuse(struct mesh_request *r)
{
	struct mesh_worker *w = r->down->worker;
	char text[128];

	if (is_http2(r)) {
		mesh_request_raw(r);
		return;
	}
	mesh_count(&w->counts.dpe, 1);
	r->refused = true;
	snprintf(text, sizeof(text), "%s\n", mesh_http1_error_text(r->head.error));
	mesh_response_reply(r, mesh_http1_error_status(r->head.error), text);
}

/* Reads on in the head of the next request. Returns true if another may be there after it. */
static bool step(struct mesh_down *d)
{
	struct mesh_request *r = d->request;

	if (d->worker->moving && mesh_down_move(d))
		return false;
	if (!r && mesh_pipe_unread(&d->in) == 0) {
		go_idle(d);
		return false;
	}
	if (!r)
		r = mesh_request_new(d);
	if (r->phase != MESH_PHASE_HEAD)
		return false;
	switch (mesh_http1_head_parse(&r->head, d->in.data + d->in.scan, mesh_pipe_unread(&d->in))) {
	case MESH_HTTP1_MORE:
		need_more(d);
		break;
	case MESH_HTTP1_ERROR:
		refuse(r);
		break;
	case MESH_HTTP1_DONE:
		d->spoke = true;
		mesh_request_begin(r);
		break;
	}
	return !d->request;
}

void mesh_down_run(struct mesh_down *d)
{
	if (d->busy || d->dead)
		return;
	d->busy = true;
	while (!d->dead && !d->lingering && step(d))
		;
	d->busy = false;
	mesh_down_update(d);
}

static void down_read(struct mesh_down *d)
{
	struct mesh_worker *w = d->worker;
	ssize_t n;

	mesh_pipe_hold(&d->in, &w->buffers);
	mesh_pipe_widen(&d->in, &w->buffers);
	if (mesh_pipe_room(&d->in) == 0)
		return;
	n = recv(d->io.fd, d->in.data + d->in.end, d->in.capacity - d->in.end, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		if (d->request)
			mesh_request_abort(d->request);
		mesh_down_close(d, false);
		return;
	}
	d->eof = n == 0;
	if (d->lingering)
		return;
	mesh_pipe_took(&d->in, (size_t)n);
	mesh_count(&w->counts.in, (uint64_t)n);
	if (d->request && d->request->phase == MESH_PHASE_BODY)
		mesh_request_pump(d->request);
}

static void down_event(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_down *d = (struct mesh_down *)io;

	(void)loop;
	d->hup = events & EPOLLHUP;
	if (events & EPOLLERR) {
		if (d->request)
			mesh_request_abort(d->request);
		mesh_down_close(d, false);
		return;
	}
	if (events & EPOLLOUT) {
		d->blocked = false;
		if (d->request)
			mesh_response_pump(d->request);
	}
	if (!d->dead && !d->eof && (events & (EPOLLIN | EPOLLHUP)))
		down_read(d);
	if (!d->dead && d->lingering && d->eof)
		mesh_down_close(d, false);
	if (!d->dead && !d->lingering)
		mesh_down_run(d);
	else
		mesh_down_update(d);
}

static bool find_origdst(struct mesh_down *d)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct mesh_addr local;
	struct mesh_proxy_listener *l = d->listener;

	if (!l->origdst)
		return true;
	return getsockname(d->io.fd, (struct sockaddr *)&ss, &len) == 0 && mesh_addr_from_sock(&ss, &local) == 0 &&
	       l->origdst(l->origdst_arg, d->io.fd, &local, &d->peer, &d->origdst) == 0;
}

/* Its request is mostly there by now: that saves waiting for it. */
static void first_read(struct mesh_down *d)
{
	d->fresh = false;
	down_read(d);
	if (!d->dead)
		mesh_down_run(d);
}

static void end_failed(struct mesh_down *d)
{
	if (d->request)
		mesh_request_abort(d->request);
	mesh_down_close(d, true);
}

void mesh_down_run_later(struct mesh_worker *w)
{
	while (w->later) {
		struct mesh_down *d = w->later;

		w->later = d->later;
		d->postponed = false;
		if (d->dead)
			continue;
		if (d->failed)
			end_failed(d);
		else if (d->fresh)
			first_read(d);
		else if (!d->request && !d->lingering && !w->moving)
			mesh_place_give(d);
	}
}

static void join(struct mesh_down *d)
{
	d->space = d->listener->per[d->worker->index].space;
	d->space->refs++;
	link_down(d);
	mesh_timeout_set(&d->worker->idle, &d->timeout);
}

void mesh_down_leave(struct mesh_down *d)
{
	mesh_timeout_clear(&d->timeout);
	mesh_io_remove(d->worker->loop, &d->io);
	unlink_down(d);
	mesh_space_unref(d->worker, d->space);
	d->space = NULL;
}

void mesh_down_enter(struct mesh_worker *w, struct mesh_down *d)
{
	struct mesh_proxy_listener *l = d->listener;

	d->worker = w;
	if (l->per[w->index].space && !atomic_load(&l->closing) && !w->draining) {
		join(d);
		if (!w->moving || !mesh_down_move(d))
			mesh_down_update(d);
		return;
	}
	close(d->io.fd);
	atomic_fetch_sub_explicit(&w->active, 1, memory_order_relaxed);
	mesh_count(&w->counts.downs_closed, 1);
	mesh_listener_unref(l);
	free(d);
}

static struct mesh_down *make(struct mesh_worker *w, struct mesh_proxy_listener *l, int fd,
			      const struct mesh_addr *peer)
{
	struct mesh_down *d = mesh_xcalloc(1, sizeof(*d));

	d->worker = w;
	d->listener = l;
	d->peer = *peer;
	d->io.fd = fd;
	d->io.fn = down_event;
	atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
	mesh_count(&w->counts.downs, 1); /* worker->active was counted by who accepted */
	join(d);
	return d;
}

void mesh_down_adopt(struct mesh_worker *w, struct mesh_proxy_listener *l, int fd, const struct mesh_proxy_moved *c)
{
	struct mesh_down *d = make(w, l, fd, &c->peer);

	d->origdst = c->origdst;
	d->watch = true;
	if (c->len) {
		mesh_pipe_hold(&d->in, &w->buffers);
		while (mesh_pipe_room(&d->in) < c->len && mesh_pipe_grow(&d->in, &w->buffers, c->len + w->buffers.size))
			;
		mesh_pipe_add(&d->in, c->data, c->len);
	}
	mesh_down_run(d);
}

void mesh_down_new(struct mesh_worker *w, struct mesh_proxy_listener *l, int fd, const struct mesh_addr *peer)
{
	struct mesh_down *d = make(w, l, fd, peer);

	if (!find_origdst(d)) {
		mesh_count(&w->counts.no_origdst, 1);
		mesh_down_close(d, true);
		return;
	}
	d->fresh = true;
	postpone(d);
}
