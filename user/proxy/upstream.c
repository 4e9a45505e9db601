/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream connections: made in the pod's namespace, kept and shared per worker, namespace and endpoint. */
#include "core/mem.h"
#include "core/netns.h"
#include "proxy/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>

enum { UNACKED_MS = 20000 }; /* a pod that is gone without a word fails the request, not the client's patience */

static struct mesh_up *up_of(struct mesh_timeout *item)
{
	return (struct mesh_up *)((char *)item - offsetof(struct mesh_up, timeout));
}

struct mesh_space *mesh_space_get(struct mesh_worker *w, uint64_t cookie, int netns_fd)
{
	struct mesh_slice key = mesh_slice_of((const char *)&cookie, sizeof(cookie));
	struct mesh_space *s = mesh_map_get(&w->spaces, key);

	if (!s) {
		s = mesh_xcalloc(1, sizeof(*s));
		s->cookie = cookie;
		s->netns_fd = netns_fd >= 0 ? fcntl(netns_fd, F_DUPFD_CLOEXEC, 3) : -1;
		mesh_map_put(&w->spaces, key, s);
	}
	s->refs++;
	return s;
}

/* A pool without connections is freed: addresses outside every cluster come and go without end. */
static void pool_unref(struct mesh_worker *w, struct mesh_pool *p)
{
	if (--p->ups > 0)
		return;
	if (p->space)
		mesh_map_remove(&p->space->pools, mesh_addr_key(&p->addr));
	mesh_count(&w->counts.pools_freed, 1);
	free(p);
}

static void close_idle(struct mesh_worker *w, struct mesh_pool *p)
{
	p->ups++; /* keeps p while its last connection goes */
	while (p->idle)
		mesh_up_close(p->idle);
	pool_unref(w, p);
}

void mesh_space_unref(struct mesh_worker *w, struct mesh_space *s)
{
	if (--s->refs > 0)
		return;
	mesh_map_remove(&w->spaces, mesh_slice_of((const char *)&s->cookie, sizeof(s->cookie)));
	mesh_map_each (e, &s->pools) {
		struct mesh_pool *p = e->value;

		p->space = NULL;
		close_idle(w, p);
	}
	mesh_map_free(&s->pools);
	mesh_cleanup_fd(&s->netns_fd);
	free(s);
}

static struct mesh_pool *pool_get(struct mesh_worker *w, struct mesh_space *s, const struct mesh_addr *addr)
{
	struct mesh_pool *p = mesh_map_get(&s->pools, mesh_addr_key(addr));

	if (p)
		return p;
	p = mesh_xcalloc(1, sizeof(*p));
	p->space = s;
	p->addr = *addr;
	mesh_map_put(&s->pools, mesh_addr_key(addr), p);
	mesh_count(&w->counts.pools, 1);
	return p;
}

static void idle_remove(struct mesh_up *u)
{
	assert(u->pool); /* until it is dead */
	if (u->prev)
		u->prev->next = u->next;
	else
		u->pool->idle = u->next;
	if (u->next)
		u->next->prev = u->prev;
	u->prev = u->next = NULL;
	u->worker->idle_ups--;
}

void mesh_up_close(struct mesh_up *u)
{
	struct mesh_worker *w = u->worker;

	if (u->dead)
		return;
	if (u->request)
		u->request->up = NULL;
	else
		idle_remove(u);
	u->dead = true;
	mesh_timeout_clear(&u->timeout);
	mesh_io_remove(w->loop, &u->io);
	close(u->io.fd);
	u->io.fd = -1;
	mesh_count(&w->counts.ups_closed, 1);
	pool_unref(w, u->pool);
	u->pool = NULL;
	u->request = NULL;
	u->next = w->dead_ups;
	w->dead_ups = u;
}

void mesh_up_reset(struct mesh_up *u)
{
	if (!u->dead)
		setsockopt(u->io.fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	mesh_up_close(u);
}

/* An endpoint that said its last word, and resets what the client still sends: so the client is told, too. */
static bool tunnel_reset(const struct mesh_up *u, uint32_t events)
{
	return (events & EPOLLERR) && !u->dead && u->request && u->request->tunnel && u->request->down_shut;
}

void mesh_up_update(struct mesh_up *u)
{
	struct mesh_request *r = u->request;
	uint32_t events = 0;

	if (u->connecting)
		events = EPOLLOUT;
	else if (!r || (!r->up_eof && !mesh_pipe_full(&r->out) && !(r->bulk && r->bulk->held)))
		events = EPOLLIN;
	if (u->blocked)
		events |= EPOLLOUT;
	if (!events && u->hup)
		mesh_io_remove(u->worker->loop, &u->io); /* or epoll would say so for ever while the client is slow */
	else
		mesh_io_set(u->worker->loop, &u->io, events);
}

void mesh_up_release(struct mesh_up *u, bool reuse)
{
	struct mesh_pool *p = u->pool;
	struct mesh_worker *w = u->worker;

	if (!reuse || p->gone || !p->space || w->draining || w->moving) {
		mesh_up_close(u);
		return;
	}
	u->request->up = NULL;
	u->request = NULL;
	u->reused = true;
	u->blocked = false;
	u->keep_until = u->keep_ns ? mesh_loop_now_ns(w->loop) + u->keep_ns : 0;
	u->prev = NULL;
	u->next = p->idle;
	if (p->idle)
		p->idle->prev = u;
	p->idle = u;
	mesh_timeout_set(&w->pooled, &u->timeout);
	mesh_up_update(u);
	if (++w->idle_ups > w->idle_ups_max)
		mesh_up_evict(w);
}

bool mesh_up_evict(struct mesh_worker *w)
{
	struct mesh_timeout *oldest = w->pooled.ends.next;

	if (oldest == &w->pooled.ends)
		return false;
	mesh_up_close(up_of(oldest));
	return true;
}

/* The handshake is over, for better or worse. */
static void up_connected(struct mesh_up *u)
{
	struct mesh_request *r = u->request;
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(u->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error) {
		mesh_request_lost(r, strerror(error), true);
		return;
	}
	u->connecting = false;
	mesh_timeout_clear(&u->timeout);
	mesh_request_pump(r);
	if (!u->dead)
		mesh_up_update(u);
}

static void up_event(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_up *u = (struct mesh_up *)io;

	(void)loop;
	u->hup = events & (EPOLLERR | EPOLLHUP);
	if (!u->request) { /* closed by the other side, or it spoke out of turn */
		mesh_up_close(u);
		return;
	}
	if (u->connecting) {
		up_connected(u);
		return;
	}
	if (events & EPOLLOUT) {
		u->blocked = false;
		mesh_request_pump(u->request);
	}
	if (!u->dead && u->request && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		mesh_response_read(u->request);
	if (tunnel_reset(u, events))
		mesh_request_abort(u->request);
	if (!u->dead && u->hup)
		mesh_up_update(u);
}

/* Closed, reset, or spoken to out of turn since the loop last looked. */
static bool gone_stale(const struct mesh_up *u)
{
	char c;

	return recv(u->io.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR);
}

/*
 * check: the request is not to be sent twice, so the connection is looked at once more. What is left is a close that
 * is still on its way, after which nobody can know whether the request was done.
 */
static struct mesh_up *idle_get(struct mesh_worker *w, struct mesh_pool *p, bool check)
{
	while (p->idle) {
		struct mesh_up *u = p->idle;

		if ((u->keep_until && u->keep_until <= mesh_loop_now_ns(w->loop)) || (check && gone_stale(u))) {
			mesh_up_close(u);
			continue;
		}
		idle_remove(u);
		mesh_timeout_clear(&u->timeout);
		return u;
	}
	return NULL;
}

static int up_connect(struct mesh_worker *w, struct mesh_pool *p, struct mesh_up **ret)
{
	struct sockaddr_storage ss;
	socklen_t len = mesh_addr_to_sock(&p->addr, &ss);
	mesh_auto_fd int fd = mesh_netns_socket(p->space->netns_fd, ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct mesh_up *u;
	int one = 1, silent_ms = UNACKED_MS, r;

	if (fd < 0)
		return fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof(silent_ms));
	if (connect(fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS)
		return -errno;
	u = mesh_xcalloc(1, sizeof(*u));
	u->io.fd = fd;
	u->io.fn = up_event;
	u->worker = w;
	u->pool = p;
	u->connecting = true;
	r = mesh_io_set(w->loop, &u->io, EPOLLOUT);
	if (r < 0) {
		free(u);
		return r;
	}
	mesh_steal_fd(&fd);
	mesh_count(&w->counts.ups, 1);
	mesh_timeout_set(&w->connect, &u->timeout);
	*ret = u;
	return 0;
}

int mesh_up_get(struct mesh_request *r)
{
	struct mesh_worker *w = r->down->worker;
	struct mesh_pool *p = pool_get(w, r->down->space, &r->to);
	struct mesh_up *u = NULL;
	int e;

	p->gone = false;
	p->plain = !r->cluster || r->cluster->passthrough;
	p->ups++;
	if (!r->fresh)
		u = idle_get(w, p, !r->idempotent || !mesh_http1_body_done(&r->body));
	if (u) {
		pool_unref(w, p);
	} else {
		e = up_connect(w, p, &u);
		if ((e == -EMFILE || e == -ENFILE) && mesh_up_evict(w))
			e = up_connect(w, p, &u);
		if (e < 0) {
			pool_unref(w, p);
			return e;
		}
		assert(u);
	}
	u->request = r;
	r->up = u;
	return 0;
}

void mesh_up_connect_timeout(struct mesh_timeout *item)
{
	struct mesh_up *u = up_of(item);
	struct pollfd p = {.fd = u->io.fd, .events = POLLOUT};

	/* What is late may be this loop, which has so much to do that the answer waits behind it. */
	if (u->connecting && poll(&p, 1, 0) > 0) {
		up_event(u->request->down->worker->loop, &u->io, (uint32_t)p.revents);
		return;
	}
	u->request->tries = MESH_REQUEST_TRIES;
	mesh_request_lost(u->request, "connection timed out", true);
}

void mesh_up_pooled_timeout(struct mesh_timeout *item)
{
	mesh_up_close(up_of(item));
}

/* What it sent before its end may still be on its way, or be read: it has the time of the list. */
void mesh_up_gone(struct mesh_worker *w, const struct mesh_addr *ip)
{
	mesh_map_each (e, &w->spaces) {
		struct mesh_space *s = e->value;

		mesh_map_each (f, &s->pools) {
			struct mesh_pool *p = f->value;

			if (!mesh_addr_ip_eq(&p->addr, ip))
				continue;
			p->gone = true;
			close_idle(w, p);
		}
	}
	for (struct mesh_down *d = w->downs; d; d = d->next) {
		struct mesh_up *u = d->request ? d->request->up : NULL;

		if (u && mesh_addr_ip_eq(&u->pool->addr, ip))
			mesh_timeout_set(&w->gone, &u->timeout);
	}
}

void mesh_up_gone_timeout(struct mesh_timeout *item)
{
	struct mesh_up *u = up_of(item);
	char c;

	if (!u->connecting && recv(u->io.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
		mesh_timeout_set(&u->worker->gone, &u->timeout); /* the client is slow, or it is being read */
	else
		mesh_request_deserted(u->request); /* pooled, it would be in another list */
}

static bool is_live(const struct mesh_pool *p, const struct mesh_map *addrs, bool left)
{
	return p->plain || (mesh_map_get(addrs, mesh_addr_key(&p->addr)) == NULL) == left;
}

/* What is tried anew joins the list at its end, a few times at most. */
static void reroute_waiting(struct mesh_worker *w, const struct mesh_map *addrs, bool left)
{
	struct mesh_timeout *next;

	for (struct mesh_timeout *t = w->connect.ends.next; t != &w->connect.ends; t = next) {
		struct mesh_up *u = up_of(t);

		next = t->next;
		if (u->request && !is_live(u->pool, addrs, left))
			mesh_request_reroute(u->request);
	}
}

void mesh_up_purge(struct mesh_worker *w, const struct mesh_map *addrs, bool left)
{
	reroute_waiting(w, addrs, left);
	mesh_map_each (e, &w->spaces) {
		struct mesh_space *s = e->value;

		mesh_map_each (f, &s->pools) {
			struct mesh_pool *p = f->value;

			if (is_live(p, addrs, left))
				continue;
			p->gone = true;
			close_idle(w, p);
		}
	}
}
