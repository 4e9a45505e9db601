/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large bodies of responses, from the upstream's socket to the client's by way of a pipe in the kernel: pages move and
 * nothing is copied to here. Only for a body whose length is known, once its head and all before it are sent.
 */
#include "core/mem.h"
#include "proxy/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

enum {
	BULK_MIN = 64 << 10, /* bytes still to come, from which it pays */
	BULK_PIPE =
		512 << 10, /* what a pipe may hold: the most memory that a slow client costs, besides socket buffers */
	BULK_MAX = 64,     /* pipes of a worker; further bodies are copied */
	BULK_KEEP = 8,     /* of them, those kept for the next body */
	BULK_TURNS = 4,    /* pipes full in a row, before others have their turn */
};

static void bulk_close(struct mesh_worker *w, struct mesh_bulk *b)
{
	close(b->in);
	close(b->out);
	free(b);
	w->bulks--;
}

static struct mesh_bulk *bulk_get(struct mesh_worker *w)
{
	struct mesh_bulk *b = w->free_bulks;
	int fds[2];

	if (b) {
		w->free_bulks = b->next;
		w->free_bulk_count--;
		return b;
	}
	if (w->bulks >= BULK_MAX || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return NULL;
	fcntl(fds[1], F_SETPIPE_SZ, BULK_PIPE); /* else it is as large as it is */
	b = mesh_xcalloc(1, sizeof(*b));
	b->out = fds[0];
	b->in = fds[1];
	w->bulks++;
	return b;
}

void mesh_bulk_drop(struct mesh_request *r)
{
	struct mesh_worker *w = r->down->worker;
	struct mesh_bulk *b = r->bulk;

	if (!b)
		return;
	r->bulk = NULL;
	if (b->held || w->free_bulk_count >= BULK_KEEP) {
		bulk_close(w, b);
		return;
	}
	b->next = w->free_bulks;
	w->free_bulks = b;
	w->free_bulk_count++;
}

void mesh_bulk_end(struct mesh_worker *w)
{
	while (w->free_bulks) {
		struct mesh_bulk *next = w->free_bulks->next;

		bulk_close(w, w->free_bulks);
		w->free_bulks = next;
	}
	w->free_bulk_count = 0;
}

/* By now a socket has entered a sockmap, or never will. */
static bool is_spliced(const struct mesh_request *r)
{
	const struct mesh_proxy_opts *o = &r->down->worker->proxy->opts;

	return o->spliced && (o->spliced(o->spliced_arg, r->up->io.fd) || o->spliced(o->spliced_arg, r->down->io.fd));
}

bool mesh_bulk_begin(struct mesh_request *r)
{
	const struct mesh_down *d = r->down;

	if (r->answer_phase != MESH_PHASE_BODY || r->answer_body.framing != MESH_HTTP1_LENGTH || r->tunnel ||
	    d->blocked || r->down_head.len || mesh_pipe_pending(&r->out) || mesh_pipe_unread(&r->out))
		return false;
	if (!r->bulk && r->answer_body.left >= BULK_MIN && !is_spliced(r))
		r->bulk = bulk_get(d->worker);
	return r->bulk;
}

static enum mesh_bulk_result flush(struct mesh_request *r, unsigned flags)
{
	struct mesh_down *d = r->down;
	struct mesh_bulk *b = r->bulk;

	while (b->held) {
		ssize_t n = splice(b->out, NULL, d->io.fd, NULL, b->held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE | flags);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			d->blocked = true;
			return MESH_BULK_BLOCKED;
		}
		if (n <= 0)
			return MESH_BULK_GONE;
		b->held -= (size_t)n;
		mesh_count(&d->worker->counts.out, (uint64_t)n);
	}
	return MESH_BULK_MOVED;
}

enum mesh_bulk_result mesh_bulk_flush(struct mesh_request *r)
{
	return flush(r, 0);
}

/* What waits for more to fill a packet is sent: the server may think for long before it goes on. */
static void push(const struct mesh_request *r)
{
	int one = 1;

	setsockopt(r->down->io.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

enum mesh_bulk_result mesh_bulk_move(struct mesh_request *r)
{
	struct mesh_bulk *b = r->bulk;
	enum mesh_bulk_result res = MESH_BULK_NOTHING;

	for (int i = 0; i < BULK_TURNS && r->answer_body.framing == MESH_HTTP1_LENGTH; i++) {
		size_t want = (size_t)MESH_MIN(r->answer_body.left, (uint64_t)BULK_PIPE);
		ssize_t n = splice(r->up->io.fd, NULL, b->in, NULL, want, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		bool more;

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			if (res == MESH_BULK_MOVED)
				push(r);
			return res;
		}
		if (n < 0)
			return MESH_BULK_FAILED;
		if (n == 0) {
			r->up_eof = true;
			return MESH_BULK_MOVED;
		}
		mesh_http1_body_pass(&r->answer_body, (uint64_t)n);
		r->answer_bytes += (uint64_t)n;
		b->held = (size_t)n;
		more = i + 1 < BULK_TURNS && r->answer_body.framing == MESH_HTTP1_LENGTH;
		res = flush(r, more ? SPLICE_F_MORE : 0);
		if (res != MESH_BULK_MOVED)
			return res;
	}
	return res;
}
