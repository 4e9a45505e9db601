/* SPDX-License-Identifier: Apache-2.0 */
/* A request on its way from the client to an upstream connection. */
#include "core/mem.h"
#include "proxy/engine.h"
#include "proxy/router.h"

#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>

enum {
	FREE_MAX = 256,
	PICKS = 16, /* for an endpoint that was not tried before */
};

static void route_timeout(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_request *r = (struct mesh_request *)((char *)timer - offsetof(struct mesh_request, timer));

	(void)loop;
	if (r->answer_phase == MESH_PHASE_HEAD)
		mesh_response_reply(r, 504, "upstream request timeout");
	else
		mesh_request_abort(r);
}

struct mesh_request *mesh_request_new(struct mesh_down *d)
{
	struct mesh_worker *w = d->worker;
	struct mesh_request *r = w->free_requests;

	if (r) {
		w->free_requests = r->next;
		w->free_request_count--;
	} else {
		r = mesh_xcalloc(1, sizeof(*r));
		r->timer.fn = route_timeout;
	}
	mesh_http1_head_init(&r->head, MESH_HTTP1_REQUEST, r->fields, MESH_REQUEST_FIELDS, &w->proxy->limits);
	r->down = d;
	d->request = r;
	mesh_count(&w->counts.requests, 1);
	return r;
}

/* For reuse: all but the memory it has, and the fields, which a parse overwrites. */
static void forget(struct mesh_request *r)
{
	struct mesh_arena arena = r->arena;
	struct mesh_buf up_head = r->up_head, down_head = r->down_head;

	memset(r, 0, offsetof(struct mesh_request, fields));
	r->timer.fn = route_timeout;
	r->arena = arena;
	r->up_head = up_head;
	r->down_head = down_head;
}

void mesh_request_finish(struct mesh_request *r)
{
	struct mesh_down *d = r->down;
	struct mesh_worker *w = d->worker;
	unsigned class = r->status >= 100 && r->status < 600 ? (unsigned)r->status / 100 : 0;

	mesh_count(&w->counts.status[class], 1);
	mesh_count(&w->counts.requests_ended, 1);
	if (r->endpoint && r->endpoint->active)
		atomic_fetch_sub_explicit(r->endpoint->active, 1, memory_order_relaxed);
	mesh_timer_remove(w->loop, &r->timer);
	mesh_pipe_drop(&r->out, &w->buffers);
	mesh_bulk_drop(r);
	mesh_l7_unref(r->cfg);
	mesh_arena_reset(&r->arena);
	d->in.sent = d->in.ready;
	mesh_pipe_forget(&d->in);
	d->request = NULL;
	if (w->free_request_count >= FREE_MAX || r->up_head.capacity + r->down_head.capacity > 32768) {
		mesh_buf_free(&r->up_head);
		mesh_buf_free(&r->down_head);
		mesh_arena_free(&r->arena);
		free(r);
		return;
	}
	mesh_buf_clear(&r->up_head);
	mesh_buf_clear(&r->down_head);
	forget(r);
	r->next = w->free_requests;
	w->free_requests = r;
	w->free_request_count++;
}

void mesh_request_withdraw(struct mesh_request *r)
{
	struct mesh_worker *w = r->down->worker;

	mesh_request_finish(r);
	mesh_count(&w->counts.status[0], (uint64_t)-1);
	mesh_count(&w->counts.requests_ended, (uint64_t)-1);
	mesh_count(&w->counts.requests, (uint64_t)-1);
}

void mesh_request_abort(struct mesh_request *r)
{
	struct mesh_down *d = r->down;
	bool reset = r->answer_phase != MESH_PHASE_HEAD;

	if (r->up && r->tunnel) /* it has no framing that would tell the endpoint that something is missing */
		mesh_up_reset(r->up);
	else if (r->up)
		mesh_up_close(r->up);
	mesh_request_finish(r);
	mesh_down_close(d, reset);
}

void mesh_request_hang_up(struct mesh_request *r)
{
	struct mesh_down *d = r->down;

	if (r->up)
		mesh_up_close(r->up);
	mesh_request_finish(r);
	mesh_down_close(d, false);
}

enum outcome { TO_UPSTREAM, NOT_FOUND, NO_CLUSTER, NO_ENDPOINT, BLACKHOLE };

static enum outcome pick_endpoint(struct mesh_request *r)
{
	struct mesh_worker *w = r->down->worker;
	const struct mesh_proxy_client *client = atomic_load(&r->down->listener->client);
	struct mesh_balance_client who = {.original = r->down->listener->origdst ? &r->down->origdst : NULL,
					  .ns = client ? client->ns : NULL,
					  .pod = client ? client->pod : NULL};

	if (r->endpoint && r->endpoint->active)
		atomic_fetch_sub_explicit(r->endpoint->active, 1, memory_order_relaxed);
	r->endpoint = NULL;
	if (r->cluster->passthrough && who.original) {
		r->to = *who.original;
		return TO_UPSTREAM;
	}
	r->endpoint = mesh_balance_pick_for(r->cluster, &who, &w->seed);
	if (!r->endpoint)
		return NO_ENDPOINT;
	if (r->endpoint->active)
		atomic_fetch_add_explicit(r->endpoint->active, 1, memory_order_relaxed);
	r->to = r->endpoint->addr;
	return TO_UPSTREAM;
}

/* Where the client connected to: an endpoint of the service that it is, so that no other proxy need know it; or itself.
 */
static enum outcome to_original(struct mesh_request *r)
{
	char text[MESH_ADDR_TEXT];

	r->to = r->down->origdst;
	r->cluster = r->cfg ? mesh_pmap_get_str(&r->cfg->by_vip, mesh_addr_text(&r->to, text)) : NULL;
	return r->cluster ? pick_endpoint(r) : TO_UPSTREAM;
}

static enum outcome fall_back(struct mesh_request *r, enum mesh_l7_default fallback)
{
	switch (fallback) {
	case MESH_L7_PASSTHROUGH:
		return r->down->listener->origdst ? to_original(r) : NOT_FOUND;
	case MESH_L7_BLACKHOLE:
		return BLACKHOLE;
	case MESH_L7_NOT_FOUND:
		break;
	}
	return NOT_FOUND;
}

static const struct mesh_l7_table *table_of(struct mesh_down *d, const struct mesh_published *p,
					    const struct mesh_proxy_client *client)
{
	if (d->generation == p->generation)
		return d->table;
	d->table = d->listener->origdst ? mesh_router_outbound(p->cfg, client ? client->ns : NULL, d->origdst.port)
					: mesh_router_gateway(p->cfg, d->listener->gateway_port);
	d->generation = p->generation;
	return d->table;
}

/* The walk through the configuration that is published now; the request keeps it until it is finished. */
static enum outcome route_request(struct mesh_request *r, const struct mesh_published *p)
{
	struct mesh_down *d = r->down;
	const struct mesh_proxy_client *client = atomic_load(&d->listener->client);
	struct mesh_router_request ask = {
		.head = &r->head, .labels = client ? &client->labels : NULL, .ns = client ? client->ns : NULL};
	const struct mesh_l7_table *table;
	const struct mesh_l7_vhost *vhost;
	const struct mesh_l7_dest *dest;

	if (!p)
		return fall_back(r, MESH_L7_PASSTHROUGH);
	r->cfg = mesh_l7_ref(p->cfg);
	table = table_of(d, p, client);
	if (!table)
		return fall_back(r, MESH_L7_PASSTHROUGH);
	vhost = mesh_router_vhost(table, r->head.authority);
	if (!vhost)
		return fall_back(r, table->fallback);
	r->route = mesh_router_route(vhost, &ask);
	if (!r->route)
		return NOT_FOUND;
	dest = mesh_router_draw(r->route, &d->worker->seed);
	if (!dest || !dest->cluster)
		return NO_CLUSTER;
	r->cluster = dest->cluster;
	return pick_endpoint(r);
}

static enum outcome decide(struct mesh_request *r)
{
	struct mesh_worker *w = r->down->worker;
	enum outcome o;

	mesh_worker_read_begin(w);
	o = route_request(r, atomic_load(&w->proxy->published));
	mesh_worker_read_end(w);
	return o;
}

static void describe(struct mesh_request *r)
{
	static const char *const idempotent[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"};
	struct mesh_slice m = r->head.method;

	r->is_head = mesh_slice_eq(m, MESH_SLICE("HEAD"));
	r->is_connect = mesh_slice_eq(m, MESH_SLICE("CONNECT"));
	r->old = r->head.minor == 0;
	r->keep = r->head.keep_alive;
	r->kept = true;
	r->begin_ns = mesh_loop_now_ns(r->down->worker->loop);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(idempotent); i++)
		r->idempotent |= mesh_slice_eq(m, mesh_slice_str(idempotent[i]));
	if (r->head.upgrade)
		mesh_message_upgrade(r);
}

static void refuse(struct mesh_request *r, enum mesh_http1_error error)
{
	char text[128];

	mesh_count(&r->down->worker->counts.dpe, 1);
	r->refused = true;
	snprintf(text, sizeof(text), "%s\n", mesh_http1_error_text(error));
	mesh_response_reply(r, mesh_http1_error_status(error), text);
}

static void reply_outcome(struct mesh_request *r, enum outcome o)
{
	struct mesh_counts *c = &r->down->worker->counts;

	switch (o) {
	case NOT_FOUND:
		mesh_count(&c->nr, 1);
		mesh_response_reply(r, 404, "");
		break;
	case NO_CLUSTER:
		mesh_count(&c->nc, 1);
		mesh_response_reply(r, 503, "");
		break;
	case NO_ENDPOINT:
		mesh_count(&c->uh, 1);
		mesh_response_reply(r, 503, "no healthy upstream");
		break;
	case BLACKHOLE:
		mesh_response_reply(r, 502, "");
		break;
	case TO_UPSTREAM:
		break;
	}
}

static void send_request(struct mesh_request *r)
{
	int e;

	r->tries++;
	r->up_head_sent = 0;
	r->up_eof = r->up_shut = false;
	r->up_error = 0;
	mesh_pipe_rewind(&r->down->in);
	e = mesh_up_get(r);
	if (e < 0)
		mesh_request_lost(r, strerror(-e), true);
	else
		mesh_request_pump(r);
}

void mesh_request_begin(struct mesh_request *r)
{
	struct mesh_down *d = r->down;
	struct mesh_worker *w = d->worker;
	enum mesh_http1_error e;
	enum outcome o;

	describe(r);
	r->phase = MESH_PHASE_BODY;
	e = mesh_http1_body_request(&r->body, &r->head);
	if (e) {
		refuse(r, e);
		return;
	}
	o = decide(r);
	if (o == TO_UPSTREAM)
		mesh_message_request(r);
	mesh_pipe_skip(&d->in, r->head.size);
	mesh_timeout_set(&w->stream, &d->timeout);
	if (o != TO_UPSTREAM) {
		reply_outcome(r, o);
		return;
	}
	if (r->route && r->route->timeout_ns)
		mesh_timer_set(w->loop, &r->timer, r->route->timeout_ns);
	send_request(r);
}

/* The head as it was made for the endpoint, read again: the client's is not kept once it is sent on. */
static bool read_again(struct mesh_request *r)
{
	struct mesh_http1_limits limits = {.head_bytes = r->up_head.len + 1, .line_bytes = r->up_head.len + 1};
	bool keep_alive = r->head.keep_alive;

	mesh_http1_head_init(&r->head, MESH_HTTP1_REQUEST, r->fields, MESH_REQUEST_FIELDS, &limits);
	if (mesh_http1_head_parse(&r->head, r->up_head.data, r->up_head.len) != MESH_HTTP1_DONE)
		return false;
	r->head.keep_alive = keep_alive;
	return true;
}

/* Gives back what it has of the configuration that it was routed by. */
static void forget_route(struct mesh_request *r)
{
	if (r->endpoint && r->endpoint->active)
		atomic_fetch_sub_explicit(r->endpoint->active, 1, memory_order_relaxed);
	r->endpoint = NULL;
	r->cluster = NULL;
	r->route = NULL;
	mesh_l7_unref(r->cfg);
	r->cfg = NULL;
}

bool mesh_request_reroute(struct mesh_request *r)
{
	enum outcome o;

	if (r->tunnel || r->tries >= MESH_REQUEST_TRIES || !read_again(r))
		return false;
	mesh_up_close(r->up);
	forget_route(r);
	o = decide(r);
	if (o == TO_UPSTREAM)
		send_request(r);
	else
		reply_outcome(r, o);
	return true;
}

void mesh_request_raw(struct mesh_request *r)
{
	struct mesh_down *d = r->down;
	struct mesh_worker *w = d->worker;
	const struct mesh_published *p;
	enum outcome o;

	mesh_worker_read_begin(w);
	p = atomic_load(&w->proxy->published);
	r->cfg = p ? mesh_l7_ref(p->cfg) : NULL;
	o = to_original(r);
	mesh_worker_read_end(w);
	if (o != TO_UPSTREAM) {
		mesh_request_abort(r);
		return;
	}
	r->phase = r->answer_phase = MESH_PHASE_BODY;
	r->tunnel = r->fresh = r->kept = true;
	r->body.framing = r->answer_body.framing = MESH_HTTP1_CLOSE;
	mesh_timeout_set(&w->stream, &d->timeout);
	send_request(r);
}

/* What may change something is sent twice only if not one byte of it was sent before. RFC 9110 section 9.2.2. */
static bool replayable(const struct mesh_request *r)
{
	return r->kept && r->answer_bytes == 0 && (r->idempotent || r->up_head_sent == 0);
}

static bool was_tried(const struct mesh_request *r)
{
	for (unsigned i = 0; i < r->tried_count; i++)
		if (mesh_addr_eq(&r->tried[i], &r->to))
			return true;
	return false;
}

/* Another than those that failed, if that can be had: one that is ending is in the configuration for a moment still. */
static bool pick_again(struct mesh_request *r)
{
	struct mesh_worker *w = r->down->worker;
	bool found;

	if (r->tried_count < MESH_ARRAY_SIZE(r->tried))
		r->tried[r->tried_count++] = r->to;
	mesh_worker_read_begin(w); /* who the client is may change */
	found = pick_endpoint(r) == TO_UPSTREAM;
	for (int i = 0; found && was_tried(r) && i < PICKS; i++)
		found = pick_endpoint(r) == TO_UPSTREAM;
	mesh_worker_read_end(w);
	return found;
}

/*
 * A connection that was made and then ended before a byte of an answer: a server that is ending has connections in its
 * queue that it never looks at, and may do so before anybody is told. Sent once more, to another endpoint, if that is
 * safe; what was sent again and failed is not sent again. RFC 9110 section 9.2.2.
 */
static bool resend(struct mesh_request *r)
{
	if (r->resent || !r->cluster || r->tries >= MESH_REQUEST_TRIES || !replayable(r))
		return false;
	r->resent = true;
	if (!pick_again(r) || was_tried(r))
		return false;
	send_request(r);
	return true;
}

void mesh_request_lost(struct mesh_request *r, const char *why, bool connect)
{
	struct mesh_worker *w = r->down->worker;
	bool stale = r->up && r->up->reused && replayable(r);
	char text[200], addr[MESH_ADDR_TEXT];

	if (r->up)
		mesh_up_close(r->up);
	if (r->answer_phase != MESH_PHASE_HEAD) {
		mesh_request_abort(r);
		return;
	}
	if (stale) {
		r->fresh = true;
		r->tries--; /* that it was closed says nothing of the endpoint */
		send_request(r);
		return;
	}
	if (connect && r->cluster && r->tries < MESH_REQUEST_TRIES && pick_again(r)) {
		send_request(r);
		return;
	}
	if (!connect && resend(r))
		return;
	mesh_count(&w->counts.uf, 1);
	snprintf(text, sizeof(text), "upstream connect error or disconnect/reset before headers: %s (%s)", why,
		 mesh_addr_text(&r->to, addr));
	mesh_response_reply(r, 503, text);
}

void mesh_request_deserted(struct mesh_request *r)
{
	static const char why[] = "the endpoint is gone";

	if (r->answer_phase == MESH_PHASE_DONE) {
		mesh_up_close(r->up);
		return;
	}
	if (r->answer_phase == MESH_PHASE_HEAD && replayable(r) && mesh_request_reroute(r))
		return;
	r->up->reused = false; /* not there again */
	mesh_request_lost(r, why, false);
}

/*
 * One write of what is left of the head and of what of the body is here. Returns false when the connection takes no
 * more; there may be a response on it still, and what becomes of the request is decided by reading.
 */
static bool write_up(struct mesh_request *r)
{
	struct mesh_pipe *in = &r->down->in;
	size_t head = r->up_head.len - r->up_head_sent, body = mesh_pipe_pending(in);
	struct iovec iov[2] = {{r->up_head.data + r->up_head_sent, head}, {in->data + in->sent, body}};
	struct msghdr msg = {.msg_iov = head ? iov : iov + 1, .msg_iovlen = head && body ? 2 : 1};
	ssize_t n;

	if (head + body == 0)
		return true;
	n = msg.msg_iovlen == 1 ? send(r->up->io.fd, msg.msg_iov->iov_base, msg.msg_iov->iov_len, MSG_NOSIGNAL)
				: sendmsg(r->up->io.fd, &msg, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		r->up_shut = true;
		r->up_error = errno;
		if (r->tunnel && r->down_shut) /* all that the endpoint said was sent on */
			mesh_request_abort(r);
		else
			mesh_response_read(r);
		return false;
	}
	n = n < 0 ? 0 : n;
	r->up->blocked = (size_t)n < head + body;
	r->up_head_sent += MESH_MIN((size_t)n, head);
	if ((size_t)n > head)
		mesh_pipe_sent(in, (size_t)n - head, r->kept && !r->tunnel && r->answer_bytes == 0);
	if (r->up->blocked)
		mesh_up_update(r->up);
	return true;
}

static void end_tunnel_up(struct mesh_request *r)
{
	struct mesh_down *d = r->down;

	if (!d->eof || r->up_shut || mesh_pipe_pending(&d->in) || mesh_pipe_unread(&d->in))
		return;
	r->up_shut = true;
	if (r->up)
		shutdown(r->up->io.fd, SHUT_WR);
	if (r->down_shut)
		mesh_request_hang_up(r);
}

void mesh_request_pump(struct mesh_request *r)
{
	struct mesh_down *d = r->down;
	enum mesh_http1_result res = MESH_HTTP1_DONE;

	if (r->phase == MESH_PHASE_BODY && (mesh_pipe_unread(&d->in) || mesh_http1_body_done(&r->body)))
		res = mesh_pipe_decode(&d->in, &r->body, false);
	else if (r->phase == MESH_PHASE_BODY)
		res = MESH_HTTP1_MORE;
	if (res == MESH_HTTP1_ERROR) {
		if (r->answer_phase == MESH_PHASE_HEAD)
			refuse(r, r->body.error);
		else
			mesh_request_abort(r);
		return;
	}
	if (res == MESH_HTTP1_DONE)
		r->phase = MESH_PHASE_DONE;
	if (r->phase == MESH_PHASE_BODY && d->eof && !r->tunnel) {
		mesh_request_abort(r); /* a body that will never be complete */
		return;
	}
	if (!r->up || r->up->connecting || r->up->blocked || r->up_shut)
		return;
	if (!write_up(r))
		return;
	if (r->phase == MESH_PHASE_BODY)
		mesh_timeout_set(&d->worker->stream, &d->timeout);
	if (r->tunnel)
		end_tunnel_up(r);
	if (!d->dead && !d->busy)
		mesh_down_update(d);
}
