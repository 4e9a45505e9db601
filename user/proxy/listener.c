/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets. The first worker accepts for all, and hands over what another is to serve. */
#include "core/mem.h"
#include "proxy/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>

enum { BURST_MAX = 64 };
#define ACCEPT_PAUSE_NS MESH_MS(50)

struct handed {
	struct mesh_worker *worker;
	struct mesh_proxy_listener *listener; /* a reference */
	struct mesh_addr peer;
	int fd;
};

static void client_free(struct mesh_proxy_client *c)
{
	if (!c)
		return;
	free((char *)c->ns);
	free((char *)c->pod);
	free((char *)c->workload);
	mesh_labels_free(&c->labels);
	free(c);
}

static struct mesh_proxy_client *client_copy(const struct mesh_proxy_client *c)
{
	struct mesh_proxy_client *n;

	if (!c)
		return NULL;
	n = mesh_xcalloc(1, sizeof(*n));
	n->ns = c->ns ? mesh_xstrdup(c->ns) : NULL;
	n->pod = c->pod ? mesh_xstrdup(c->pod) : NULL;
	n->workload = c->workload ? mesh_xstrdup(c->workload) : NULL;
	n->labels.items = mesh_xcalloc(c->labels.count + 1, sizeof(*n->labels.items));
	n->labels.count = c->labels.count;
	for (size_t i = 0; i < c->labels.count; i++) {
		n->labels.items[i].key = mesh_xstrdup(c->labels.items[i].key);
		n->labels.items[i].value = mesh_xstrdup(c->labels.items[i].value);
	}
	return n;
}

void mesh_listener_unref(struct mesh_proxy_listener *l)
{
	if (atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	client_free(atomic_load(&l->client));
	mesh_cleanup_fd(&l->fd);
	mesh_cleanup_fd(&l->netns_fd);
	free(l);
}

static void begin_connection(struct mesh_worker *w, struct mesh_proxy_listener *l, int fd, const struct mesh_addr *peer)
{
	if (!l->per[w->index].space || atomic_load(&l->closing)) {
		atomic_fetch_sub(&w->active, 1);
		close(fd);
		return;
	}
	mesh_down_new(w, l, fd, peer);
}

static void take_handed(void *arg)
{
	struct handed *h = arg;

	begin_connection(h->worker, h->listener, h->fd, &h->peer);
	mesh_listener_unref(h->listener);
	free(h);
}

static void place(struct mesh_worker *w, struct mesh_proxy_listener *l, int fd, const struct mesh_addr *peer)
{
	struct mesh_worker *to = mesh_place_pick(w->proxy);
	struct handed *h;

	atomic_fetch_add(&to->active, 1);
	if (to == w) {
		begin_connection(w, l, fd, peer);
		return;
	}
	h = mesh_xcalloc(1, sizeof(*h));
	*h = (struct handed){to, l, *peer, fd};
	atomic_fetch_add(&l->refs, 1);
	mesh_loop_post(to->loop, take_handed, h);
}

static bool out_of_room(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

static void resume(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_listener_worker *lw =
		(struct mesh_listener_worker *)((char *)timer - offsetof(struct mesh_listener_worker, pause));

	if (mesh_io_set(loop, &lw->io, EPOLLIN) < 0)
		mesh_timer_set(loop, timer, ACCEPT_PAUSE_NS);
}

/*
 * Out of descriptors or memory, of which epoll would tell for ever. A pooled connection makes room; else the connection
 * is taken with the spare descriptor and closed; else what waits has to wait a little longer.
 */
static void shed(struct mesh_listener_worker *lw)
{
	struct mesh_worker *w = lw->worker;
	int fd, error;

	if (mesh_up_evict(w))
		return;
	mesh_cleanup_fd(&w->spare_fd);
	fd = accept4(lw->io.fd, NULL, NULL, SOCK_CLOEXEC);
	error = fd < 0 ? errno : 0;
	mesh_count(&w->counts.shed, fd >= 0);
	mesh_cleanup_fd(&fd);
	w->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (w->spare_fd >= 0 && !out_of_room(error))
		return;
	mesh_io_remove(w->loop, &lw->io);
	lw->pause.fn = resume;
	mesh_timer_set(w->loop, &lw->pause, ACCEPT_PAUSE_NS);
}

/* Returns false if there is none, or none can be taken. */
static bool accept_one(struct mesh_listener_worker *lw)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct mesh_addr peer;
	int fd = accept4(lw->io.fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (out_of_room(errno))
			shed(lw);
		return false;
	}
	if (mesh_addr_from_sock(&ss, &peer) < 0)
		close(fd);
	else
		place(lw->worker, lw->listener, fd, &peer);
	return true;
}

/* As many as last time, and one more if there were that many: looking in vain costs a call. */
static void accept_event(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_listener_worker *lw = (struct mesh_listener_worker *)io;
	unsigned n = 0;

	(void)loop;
	(void)events;
	while (n <= lw->burst && accept_one(lw))
		n++;
	lw->burst = n > lw->burst ? MESH_MIN(n * 2, (unsigned)BURST_MAX) : n ? n - 1 : 0;
}

static void listener_start(struct mesh_worker *w, void *arg)
{
	struct mesh_proxy_listener *l = arg;
	struct mesh_listener_worker *lw = &l->per[w->index];

	lw->worker = w;
	lw->listener = l;
	lw->space = mesh_space_get(w, l->cookie, l->netns_fd);
	lw->io = (struct mesh_io){.fd = l->fd, .fn = accept_event};
	if (w->index == 0 && mesh_io_set(w->loop, &lw->io, EPOLLIN) < 0)
		atomic_store(&l->closing, true);
}

static void listener_stop(struct mesh_worker *w, void *arg)
{
	struct mesh_proxy_listener *l = arg;
	struct mesh_listener_worker *lw = &l->per[w->index];

	mesh_io_remove(w->loop, &lw->io);
	mesh_timer_remove(w->loop, &lw->pause);
	for (struct mesh_down *d = w->downs, *next; d; d = next) {
		next = d->next;
		if (d->listener != l || (d->request && !atomic_load(&l->abort)))
			continue;
		if (d->request)
			mesh_request_abort(d->request);
		mesh_down_close(d, false);
	}
	if (lw->space)
		mesh_space_unref(w, lw->space);
	lw->space = NULL;
}

int mesh_proxy_listen(struct mesh_proxy *proxy, const struct mesh_proxy_listen *listen,
		      struct mesh_proxy_listener **ret)
{
	struct mesh_proxy_listener *l =
		mesh_xcalloc(1, sizeof(*l) + proxy->worker_count * sizeof(struct mesh_listener_worker));
	int one = 1, flags = fcntl(listen->fd, F_GETFL);

	*l = (struct mesh_proxy_listener){
		.proxy = proxy,
		.fd = listen->fd,
		.netns_fd = listen->upstream_netns_fd >= 0 ? fcntl(listen->upstream_netns_fd, F_DUPFD_CLOEXEC, 3) : -1,
		.cookie = listen->netns_cookie,
		.origdst = listen->origdst,
		.origdst_arg = listen->origdst_arg,
		.gateway_port = listen->gateway_port,
		.next = proxy->listeners,
	};
	atomic_store(&l->client, client_copy(listen->client));
	atomic_store(&l->refs, 1);
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* inherited by what is accepted */
	fcntl(l->fd, F_SETFL, flags | O_NONBLOCK);
	if (l->next)
		l->next->prev = l;
	proxy->listeners = l;
	mesh_workers_run(proxy, listener_start, l);
	if (atomic_load(&l->closing)) {
		l->fd = -1; /* the caller's again */
		mesh_proxy_listener_free(l, true);
		return -ENOSPC; /* fs.epoll.max_user_watches */
	}
	*ret = l;
	return 0;
}

void mesh_proxy_listener_client(struct mesh_proxy_listener *l, const struct mesh_proxy_client *client)
{
	struct mesh_proxy_client *old = atomic_exchange(&l->client, client_copy(client));

	mesh_workers_grace(l->proxy);
	client_free(old);
}

void mesh_proxy_listener_free(struct mesh_proxy_listener *l, bool abort)
{
	if (!l)
		return;
	atomic_store(&l->abort, abort);
	atomic_store(&l->closing, true);
	mesh_workers_run(l->proxy, listener_stop, l);
	if (l->prev)
		l->prev->next = l->next;
	else
		l->proxy->listeners = l->next;
	if (l->next)
		l->next->prev = l->prev;
	mesh_cleanup_fd(&l->fd);
	mesh_listener_unref(l);
}
