/* SPDX-License-Identifier: Apache-2.0 */
/* A response on its way from the upstream connection, or from the proxy itself, to the client. */
#include "core/mem.h"
#include "proxy/engine.h"

#include <errno.h>
#include <sys/uio.h>

enum { SMALL = 1024, SURELY_SENT = 16384 };

/* Takes what is here of a request that is answered without being sent on. */
static void discard_body(struct mesh_request *r)
{
	struct mesh_pipe *in = &r->down->in;

	if (r->refused || r->phase != MESH_PHASE_BODY)
		return;
	if (mesh_http1_body_done(&r->body) ||
	    (mesh_pipe_unread(in) && mesh_pipe_decode(in, &r->body, false) == MESH_HTTP1_DONE))
		r->phase = MESH_PHASE_DONE;
	in->sent = in->ready;
	mesh_pipe_forget(in);
}

static bool may_keep(const struct mesh_request *r)
{
	const struct mesh_down *d = r->down;

	return r->keep && !r->refused && r->phase == MESH_PHASE_DONE && !d->worker->draining &&
	       !atomic_load_explicit(&d->listener->closing, memory_order_relaxed);
}

void mesh_response_reply(struct mesh_request *r, int status, const char *text)
{
	if (r->up)
		mesh_up_close(r->up);
	discard_body(r);
	r->local = true;
	r->status = status;
	r->keep = may_keep(r);
	mesh_message_reply(r, status, text);
	r->answer_phase = MESH_PHASE_DONE;
	mesh_response_pump(r);
}

/* "timeout=5" of Keep-Alive, less a little, so that the upstream does not close under a request. */
static void take_keep_alive(struct mesh_request *r)
{
	const struct mesh_http1_field *f = mesh_http1_head_find(&r->answer, "keep-alive");
	struct mesh_slice list = f ? f->value : mesh_slice_of(NULL, 0), part;
	uint64_t seconds;

	r->up->keep_ns = 0;
	while (mesh_slice_split(&list, ',', &part)) {
		part = mesh_slice_trim(part);
		if (part.len <= 8 || !mesh_slice_eq_nocase(mesh_slice_of(part.ptr, 8), MESH_SLICE("timeout=")))
			continue;
		if (mesh_slice_to_u64(mesh_slice_of(part.ptr + 8, part.len - 8), 86400, &seconds) == 0)
			r->up->keep_ns = seconds > 1 ? MESH_SEC(seconds - 1) : MESH_MS(200);
	}
}

static void begin_tunnel(struct mesh_request *r)
{
	r->tunnel = true;
	r->phase = MESH_PHASE_BODY;
	r->body = (struct mesh_http1_body){.framing = MESH_HTTP1_CLOSE};
}

/* A final head. */
static void take_head(struct mesh_request *r)
{
	struct mesh_slice method = r->is_head      ? MESH_SLICE("HEAD")
				   : r->is_connect ? MESH_SLICE("CONNECT")
						   : MESH_SLICE("");

	mesh_http1_body_response(&r->answer_body, &r->answer, method);
	r->status = r->answer.status;
	r->plain = r->old && r->answer.framing == MESH_HTTP1_CHUNKED;
	if (r->status == 101 || (r->is_connect && r->status / 100 == 2))
		begin_tunnel(r);
	r->keep = may_keep(r) && r->answer_body.framing != MESH_HTTP1_CLOSE && !r->plain;
	if (r->answer.seen & (1u << MESH_HTTP1_KEEP_ALIVE))
		take_keep_alive(r);
	mesh_message_response(r);
	mesh_pipe_skip(&r->out, r->answer.size);
	r->answer_phase = MESH_PHASE_BODY;
	mesh_pipe_forget(&r->down->in);
	if (r->tunnel)
		mesh_request_pump(r);
}

enum heads { HEADS_WAIT, HEADS_READY, HEADS_GONE };

/* 1xx heads and the final one. After GONE the request is not to be touched: it was answered, or is tried again. */
static enum heads read_heads(struct mesh_request *r)
{
	struct mesh_worker *w = r->down->worker;
	struct mesh_down *d = r->down;

	while (r->answer_phase == MESH_PHASE_HEAD) {
		switch (mesh_http1_head_parse(&r->answer, r->out.data + r->out.scan, mesh_pipe_unread(&r->out))) {
		case MESH_HTTP1_MORE:
			if (r->up_eof) {
				mesh_request_lost(r, "connection closed", false);
				return HEADS_GONE;
			}
			if (mesh_pipe_room(&r->out) == 0)
				mesh_pipe_grow(&r->out, &w->buffers, w->proxy->limits.head_bytes + w->buffers.size);
			return HEADS_WAIT;
		case MESH_HTTP1_ERROR:
			mesh_response_reply(r, 502, "upstream sent a response that is not HTTP/1.1\n");
			return HEADS_GONE;
		case MESH_HTTP1_DONE:
			break;
		}
		if (r->answer.status == 101 && !mesh_message_switch_allowed(r)) {
			mesh_response_reply(r, 502, "upstream switched protocols without being asked\n");
			return HEADS_GONE;
		}
		if (r->answer.status / 100 != 1 || r->answer.status == 101) {
			take_head(r);
			return d->dead ? HEADS_GONE : HEADS_READY;
		}
		if (!r->old)
			mesh_message_informational(r);
		if (r->down_head.len >
		    w->proxy->limits.head_bytes) { /* 1xx without end, and the client does not read */
			mesh_request_abort(r);
			return HEADS_GONE;
		}
		mesh_pipe_skip(&r->out, r->answer.size);
		mesh_http1_head_reset(&r->answer);
	}
	return HEADS_READY;
}

/* Whether another request may follow on the upstream connection. */
static bool up_reusable(const struct mesh_request *r)
{
	return r->answer.keep_alive && !r->tunnel && !r->up_eof && !r->up_shut && r->phase == MESH_PHASE_DONE &&
	       r->up_head_sent == r->up_head.len && mesh_pipe_pending(&r->down->in) == 0 &&
	       r->answer_phase == MESH_PHASE_DONE && mesh_pipe_unread(&r->out) == 0;
}

/* The last byte is with the client. */
static void complete(struct mesh_request *r)
{
	struct mesh_down *d = r->down;
	bool keep = r->keep, partial = r->phase != MESH_PHASE_DONE, asked = !r->head.keep_alive && !r->refused;
	bool more = mesh_pipe_unread(&d->in) || r->answer_bytes > SURELY_SENT;

	if (r->up)
		mesh_up_release(r->up, up_reusable(r));
	if (partial)
		keep = false;
	mesh_request_finish(r);
	if (keep)
		mesh_down_run(d);
	else if (asked && !partial && !more) /* or bytes that nobody asked for would reset what is still on its way */
		mesh_down_close(d, false);
	else
		mesh_down_linger(d);
}

static void end_tunnel_down(struct mesh_request *r)
{
	if (!r->up_eof)
		return;
	if (!r->down_shut)
		shutdown(r->down->io.fd, SHUT_WR);
	r->down_shut = true;
	if (r->up_shut && r->up_error) /* a write that failed was what ended that side */
		mesh_request_abort(r);
	else if (r->up_shut)
		mesh_request_hang_up(r);
}

/* A small body is copied to its head: one piece is cheaper to send than two. */
static void join_small(struct mesh_request *r)
{
	size_t body = mesh_pipe_pending(&r->out);

	if (r->down->blocked || r->down_head.len == 0 || body == 0 || body > SMALL)
		return;
	mesh_buf_add(&r->down_head, r->out.data + r->out.sent, body);
	mesh_pipe_sent(&r->out, body, false);
}

/* One write of what is left of the head and of what of the body is here. Returns false if the client is gone. */
static bool write_down(struct mesh_request *r)
{
	struct mesh_down *d = r->down;
	size_t head = r->down_head.len - r->down_head_sent, body = mesh_pipe_pending(&r->out);
	struct iovec iov[2] = {{r->down_head.data + r->down_head_sent, head}, {r->out.data + r->out.sent, body}};
	struct msghdr msg = {.msg_iov = head ? iov : iov + 1, .msg_iovlen = head && body ? 2 : 1};
	bool last =
		r->answer_phase == MESH_PHASE_DONE && !r->keep; /* complete() closes: the end goes with these bytes */
	int flags = MSG_NOSIGNAL | (last ? MSG_MORE : 0);
	ssize_t n;

	if (head + body == 0)
		return true;
	n = msg.msg_iovlen == 1 ? send(d->io.fd, msg.msg_iov->iov_base, msg.msg_iov->iov_len, flags)
				: sendmsg(d->io.fd, &msg, flags);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		mesh_request_abort(r);
		return false;
	}
	n = n < 0 ? 0 : n;
	mesh_count(&d->worker->counts.out, (uint64_t)n);
	d->blocked = (size_t)n < head + body;
	r->down_head_sent += MESH_MIN((size_t)n, head);
	if (r->down_head_sent == r->down_head.len) {
		mesh_buf_clear(&r->down_head);
		r->down_head_sent = 0;
	}
	if ((size_t)n > head)
		mesh_pipe_sent(&r->out, (size_t)n - head, false);
	return true;
}

/* Decodes what is here. Returns false if upstream broke the framing after the head was sent on. */
static bool decode(struct mesh_request *r)
{
	enum mesh_http1_result res = MESH_HTTP1_MORE;

	if (r->answer_phase != MESH_PHASE_BODY)
		return true;
	if (mesh_pipe_unread(&r->out) || mesh_http1_body_done(&r->answer_body))
		res = mesh_pipe_decode(&r->out, &r->answer_body, r->plain);
	if (res == MESH_HTTP1_ERROR)
		return false;
	if (res == MESH_HTTP1_DONE)
		r->answer_phase = MESH_PHASE_DONE;
	else if (r->up_eof && !r->tunnel && r->answer_body.framing == MESH_HTTP1_CLOSE)
		r->answer_phase = MESH_PHASE_DONE;
	else if (r->up_eof && !r->tunnel)
		return false;
	return true;
}

/* The client takes bytes again. Returns false if the pump has nothing to do now. */
static bool flush_bulk(struct mesh_request *r)
{
	struct mesh_down *d = r->down;

	if (!r->bulk || d->blocked)
		return !r->bulk;
	switch (mesh_bulk_flush(r)) {
	case MESH_BULK_BLOCKED:
		mesh_down_update(d);
		return false;
	case MESH_BULK_GONE:
		mesh_request_abort(r);
		return false;
	default:
		return true;
	}
}

void mesh_response_pump(struct mesh_request *r)
{
	struct mesh_down *d = r->down;
	bool whole;

	if (!flush_bulk(r))
		return;
	whole = decode(r);
	join_small(r);
	if (!d->blocked && !write_down(r))
		return;
	if (!whole && !d->blocked) {
		mesh_request_abort(r);
		return;
	}
	if (d->blocked) {
		mesh_down_update(d);
	} else if (r->answer_phase == MESH_PHASE_DONE) {
		complete(r);
		return;
	} else if (r->tunnel) {
		end_tunnel_down(r);
		if (d->dead)
			return;
	}
	if (r->up)
		mesh_up_update(r->up);
	mesh_timeout_set(&d->worker->stream, &d->timeout);
}

/* Returns false if recv() is to read instead. */
static bool read_bulk(struct mesh_request *r)
{
	if (!mesh_bulk_begin(r))
		return false;
	switch (mesh_bulk_move(r)) {
	case MESH_BULK_NOTHING:
		return false;
	case MESH_BULK_GONE:
		mesh_request_abort(r);
		return true;
	case MESH_BULK_FAILED:
		mesh_request_lost(r, strerror(errno), false);
		return true;
	case MESH_BULK_BLOCKED:
		if (mesh_http1_body_done(&r->answer_body))
			r->answer_phase = MESH_PHASE_DONE;
		mesh_up_update(r->up);
		mesh_down_update(r->down);
		mesh_timeout_set(&r->down->worker->stream, &r->down->timeout);
		return true;
	case MESH_BULK_MOVED:
		mesh_response_pump(r);
		return true;
	}
	return true;
}

void mesh_response_read(struct mesh_request *r)
{
	struct mesh_worker *w = r->down->worker;
	ssize_t n;

	if (r->answer_phase == MESH_PHASE_DONE) { /* all of it is here: how the connection ends changes nothing */
		mesh_up_close(r->up);
		return;
	}
	if (read_bulk(r))
		return;
	if (!r->out.data) {
		struct mesh_http1_limits limits = {.head_bytes = w->proxy->limits.head_bytes};

		mesh_pipe_hold(&r->out, &w->buffers);
		if (r->answer_phase == MESH_PHASE_HEAD)
			mesh_http1_head_init(&r->answer, MESH_HTTP1_RESPONSE, r->fields, MESH_REQUEST_FIELDS, &limits);
	}
	mesh_pipe_widen(&r->out, &w->buffers);
	if (mesh_pipe_room(&r->out) == 0)
		return;
	n = recv(r->up->io.fd, r->out.data + r->out.end, r->out.capacity - r->out.end, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		mesh_request_lost(r, strerror(errno), false);
		return;
	}
	if (n == 0 && r->tunnel && r->up_error == ECONNRESET) { /* whose write was told of it is not told again */
		mesh_request_abort(r);
		return;
	}
	r->up_eof = n == 0;
	mesh_pipe_took(&r->out, (size_t)n);
	r->answer_bytes += (uint64_t)n;
	switch (read_heads(r)) {
	case HEADS_GONE:
		return;
	case HEADS_WAIT:
		if (r->down_head.len)
			mesh_response_pump(r);
		else
			mesh_up_update(r->up);
		return;
	case HEADS_READY:
		mesh_response_pump(r);
		return;
	}
}
