/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients' connections that go to another process between two requests, and such as come from one. A request that is
 * under way ends here; then its connection goes. One that cannot go at the moment is served on.
 */
#include "core/mem.h"
#include "proxy/engine.h"

#include <errno.h>

#define AGAIN_NS MESH_MS(5)

/* Nothing of the last request is left to be sent, and of the next at most a part of its head was read. */
static bool at_boundary(const struct mesh_down *d)
{
	const struct mesh_request *r = d->request;

	if (d->dead || d->lingering || d->failed || d->blocked || atomic_load(&d->listener->closing))
		return false;
	return !r || (r->phase == MESH_PHASE_HEAD && r->answer_phase == MESH_PHASE_HEAD && !r->refused);
}

bool mesh_down_move(struct mesh_down *d)
{
	struct mesh_worker *w = d->worker;
	struct mesh_proxy_moved c = {.netns_cookie = d->listener->cookie, .peer = d->peer, .origdst = d->origdst};
	int r;

	if (!at_boundary(d))
		return false;
	if (d->in.data) {
		c.data = d->in.data + d->in.scan;
		c.len = mesh_pipe_unread(&d->in);
	}
	r = w->proxy->move_fn(w->proxy->move_arg, d->io.fd, &c);
	if (r < 0) {
		if (r == -EAGAIN && !w->move_again.heap_at)
			mesh_timer_set(w->loop, &w->move_again, AGAIN_NS);
		return false;
	}
	if (d->request)
		mesh_request_withdraw(d->request);
	mesh_count(&w->counts.moved_out, 1);
	mesh_down_close(d, false);
	return true;
}

static void move_all(struct mesh_worker *w)
{
	for (struct mesh_down *d = w->downs, *next; d && !w->move_again.heap_at; d = next) {
		next = d->next;
		mesh_down_move(d);
	}
}

static void on_again(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	move_all(mesh_container_of(timer, struct mesh_worker, move_again));
}

static void begin(struct mesh_worker *w, void *arg)
{
	const struct mesh_proxy *p = arg;

	for (struct mesh_proxy_listener *l = p->listeners; l; l = l->next) {
		mesh_io_remove(w->loop, &l->per[w->index].io);
		mesh_timer_remove(w->loop, &l->per[w->index].pause);
	}
	w->moving = true;
	w->move_again.fn = on_again;
	move_all(w);
}

void mesh_proxy_move_out(struct mesh_proxy *proxy, mesh_proxy_move_fn *fn, void *arg)
{
	proxy->move_fn = fn;
	proxy->move_arg = arg;
	mesh_workers_run(proxy, begin, proxy);
}

/* What is on its way to the worker that is to serve it. */
struct moved {
	struct mesh_worker *worker;
	struct mesh_proxy_listener *listener; /* a reference */
	struct mesh_proxy_moved c;
	int fd;
	char data[];
};

static void enter(void *arg)
{
	struct moved *m = arg;
	struct mesh_worker *w = m->worker;
	struct mesh_proxy_listener *l = m->listener;

	if (!l->per[w->index].space || atomic_load(&l->closing)) {
		atomic_fetch_sub(&w->active, 1);
		close(m->fd);
	} else {
		mesh_count(&w->counts.moved_in, 1);
		mesh_down_adopt(w, l, m->fd, &m->c);
	}
	mesh_listener_unref(l);
	free(m);
}

void mesh_proxy_move_in(struct mesh_proxy_listener *l, int fd, const struct mesh_proxy_moved *c)
{
	struct moved *m = mesh_xcalloc(1, sizeof(*m) + c->len);

	m->worker = mesh_place_pick(l->proxy);
	m->listener = l;
	m->c = *c;
	m->fd = fd;
	if (c->len)
		memcpy(m->data, c->data, c->len);
	m->c.data = m->data;
	atomic_fetch_add(&l->refs, 1);
	atomic_fetch_add(&m->worker->active, 1);
	mesh_loop_post(m->worker->loop, enter, m);
}

/* What is left, of one worker. */
struct left {
	struct mesh_buf text;
	size_t count, lines_max;
};

static const char *kind_of(const struct mesh_request *r)
{
	if (!r)
		return "idle connection";
	if (r->tunnel)
		return "tunnel";
	if (r->answer_phase != MESH_PHASE_HEAD)
		return "response";
	return r->phase == MESH_PHASE_BODY ? "request that is still being sent" : "request that is not answered yet";
}

static void note_left(struct mesh_worker *w, void *arg)
{
	struct left *l = (struct left *)arg + w->index;
	uint64_t now = mesh_now_ns();
	char to[MESH_ADDR_TEXT];

	for (struct mesh_down *d = w->downs; d; d = d->next) {
		const struct mesh_request *r = d->request;
		const struct mesh_proxy_client *who = atomic_load(&d->listener->client);

		if (l->count++ >= l->lines_max)
			continue;
		mesh_buf_printf(&l->text, "%s of %s/%s", kind_of(r), who ? who->ns : "", who ? who->pod : "gateway");
		if (r && r->to.port)
			mesh_buf_printf(&l->text, " to %s", mesh_addr_text(&r->to, to));
		if (r && r->begin_ns)
			mesh_buf_printf(&l->text, ", %llu s old, %llu bytes answered",
					(unsigned long long)((now - r->begin_ns) / MESH_SEC(1)),
					(unsigned long long)r->answer_bytes);
		mesh_buf_char(&l->text, '\n');
	}
}

size_t mesh_proxy_left(struct mesh_proxy *proxy, struct mesh_buf *text, size_t lines_max)
{
	mesh_auto_free struct left *all = mesh_xcalloc(proxy->worker_count, sizeof(*all));
	size_t count = 0;

	for (unsigned i = 0; i < proxy->worker_count; i++)
		all[i].lines_max = text ? lines_max : 0;
	mesh_workers_run(proxy, note_left, all);
	for (unsigned i = 0; i < proxy->worker_count; i++) {
		count += all[i].count;
		if (text)
			mesh_buf_slice(text, mesh_buf_view(&all[i].text));
		mesh_buf_free(&all[i].text);
	}
	return count;
}
