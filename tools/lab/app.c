/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/app.h"

#include "core/addr.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/mem.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

enum {
	WORKERS_MAX = 16,
	PORTS_MAX = 16,
	IN_MAX = 256 << 10, /* read ahead of one connection */
};

struct worker;

/* A listening socket as one worker sees it. */
struct listener {
	struct mesh_io io; /* first */
	struct worker *worker;
};

struct worker {
	pthread_t thread;
	struct mesh_loop *loop;
	struct mesh_app_client *client;
	struct listener listeners[PORTS_MAX];
	struct mesh_app_conn *conns;
	struct mesh_timer drain;
	unsigned drain_rounds;
};

enum conn_state {
	CONN_HEAD,
	CONN_BODY,
	CONN_HANDLER, /* waits for its answer */
};

struct mesh_app_conn {
	struct mesh_io io; /* first */
	struct worker *worker;
	struct mesh_app_conn *prev, *next;
	enum conn_state state;
	bool eof, close_after, parsing;
	struct mesh_buf in, out, body, head_text;
	size_t sent;
	struct mesh_app_head head;
	struct mesh_app_body body_state;
	struct mesh_app_request request;
	struct mesh_app_call *call;
	mesh_app_called_fn *called;
	struct mesh_timer later;
	mesh_app_later_fn *later_fn;
	void *later_arg;
	char peer[MESH_ADDR_TEXT], local[MESH_ADDR_TEXT];
};

static struct mesh_app_opts opts;
static struct worker workers[WORKERS_MAX];
static unsigned worker_count, port_count;
static int listen_fds[PORTS_MAX];
static atomic_bool draining;

static void conn_free(struct mesh_app_conn *c)
{
	if (c->call)
		mesh_app_client_cancel(c->call);
	mesh_timer_remove(c->worker->loop, &c->later);
	mesh_io_remove(c->worker->loop, &c->io);
	mesh_cleanup_fd(&c->io.fd);
	if (c->prev)
		c->prev->next = c->next;
	else
		c->worker->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	mesh_buf_free(&c->in);
	mesh_buf_free(&c->out);
	mesh_buf_free(&c->body);
	mesh_buf_free(&c->head_text);
	free(c);
}

/* Sends what is to be sent. Returns false when the connection is gone. */
static bool conn_flush(struct mesh_app_conn *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->io.fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return mesh_io_set(c->worker->loop, &c->io, EPOLLOUT) == 0;
		if (n < 0) {
			conn_free(c);
			return false;
		}
		c->sent += (size_t)n;
	}
	mesh_buf_clear(&c->out);
	c->sent = 0;
	if (c->close_after && c->state == CONN_HEAD) {
		conn_free(c);
		return false;
	}
	return mesh_io_set(c->worker->loop, &c->io, c->in.len < IN_MAX && !c->eof ? EPOLLIN : 0) == 0;
}

static void conn_handle(struct mesh_app_conn *c)
{
	struct mesh_slice rest = c->head.target;

	c->state = CONN_HANDLER;
	c->request.head = &c->head;
	mesh_slice_split(&rest, '?', &c->request.path);
	c->request.query = rest.ptr ? rest : MESH_SLICE("");
	c->request.body = mesh_buf_view(&c->body);
	c->request.peer = c->peer;
	c->request.local = c->local;
	opts.handler(c, &c->request, opts.arg);
}

static void conn_refuse(struct mesh_app_conn *c, int status)
{
	c->head.keep_alive = false;
	c->state = CONN_HANDLER;
	mesh_app_replyf(c, status, "%s\n", mesh_app_status_text(status));
}

/* A head is there if n > 0. Returns false to wait for more. */
static bool conn_parse_head(struct mesh_app_conn *c)
{
	ssize_t n = mesh_app_head_length(mesh_buf_view(&c->in));

	if (n == 0)
		return false;
	if (n > 0) {
		mesh_buf_clear(&c->head_text);
		mesh_buf_add(&c->head_text, c->in.data, (size_t)n);
		mesh_buf_consume(&c->in, (size_t)n);
	}
	if (n < 0 || mesh_app_head_parse(mesh_buf_view(&c->head_text), false, &c->head) < 0) {
		c->head.method = MESH_SLICE("GET");
		conn_refuse(c, 400);
		return false;
	}
	mesh_buf_clear(&c->body);
	c->body_state = mesh_app_body_of(&c->head, false, false);
	c->state = CONN_BODY;
	if (c->head.expects_continue && c->body_state.state != MESH_APP_BODY_DONE && c->in.len == 0)
		mesh_buf_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
	return true;
}

/* Takes whole requests from what was read, one after the other, as far as their answers go. */
static void conn_process(struct mesh_app_conn *c)
{
	c->parsing = true;
	while (!(c->close_after && c->state == CONN_HEAD)) {
		if (c->state == CONN_HEAD && !conn_parse_head(c))
			break;
		if (c->state == CONN_BODY) {
			int r = mesh_app_body_read(&c->body_state, &c->in, &c->body);

			if (r < 0) {
				conn_refuse(c, r == -EFBIG ? 413 : 400);
				break;
			}
			if (c->body_state.state != MESH_APP_BODY_DONE)
				break;
			conn_handle(c);
		}
		if (c->state == CONN_HANDLER)
			break;
	}
	c->parsing = false;
	if (c->eof && c->state != CONN_HANDLER)
		c->close_after = true;
	if (c->eof && c->state == CONN_BODY)
		c->state = CONN_HEAD;
	if (c->eof || c->out.len || c->io.events == 0 || (c->close_after && c->state == CONN_HEAD))
		conn_flush(c);
}

static void conn_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_app_conn *c = (struct mesh_app_conn *)io;
	char *room;
	ssize_t n;

	(void)loop;
	if ((events & EPOLLOUT) && !conn_flush(c))
		return;
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	if (c->in.len >= IN_MAX) {
		mesh_io_set(loop, &c->io, 0);
		return;
	}
	room = mesh_buf_room(&c->in, 16384);
	n = recv(c->io.fd, room, 16384, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		conn_free(c);
		return;
	}
	c->in.len += (size_t)n;
	if (n == 0) {
		c->eof = true;
		mesh_io_set(loop, &c->io, 0);
	}
	if (c->state != CONN_HANDLER)
		conn_process(c);
}

static void name_ends(struct mesh_app_conn *c)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct mesh_addr a;

	if (getpeername(c->io.fd, (struct sockaddr *)&ss, &len) == 0 && mesh_addr_from_sock(&ss, &a) == 0)
		mesh_addr_text(&a, c->peer);
	len = sizeof(ss);
	if (getsockname(c->io.fd, (struct sockaddr *)&ss, &len) == 0 && mesh_addr_from_sock(&ss, &a) == 0)
		mesh_addr_text(&a, c->local);
}

static void later_due(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_app_conn *c = mesh_container_of(timer, struct mesh_app_conn, later);

	(void)loop;
	c->later_fn(c, c->later_arg);
}

static void accept_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct worker *w = ((struct listener *)io)->worker;
	int one = 1;

	(void)events;
	for (int i = 0; i < 16; i++) {
		struct mesh_app_conn *c;
		int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c = mesh_xcalloc(1, sizeof(*c));
		c->worker = w;
		c->io.fd = fd;
		c->io.fn = conn_ready;
		c->later.fn = later_due;
		name_ends(c);
		c->next = w->conns;
		if (c->next)
			c->next->prev = c;
		w->conns = c;
		if (mesh_io_set(loop, &c->io, EPOLLIN) < 0)
			conn_free(c);
	}
}

const struct mesh_app_request *mesh_app_request_of(const struct mesh_app_conn *conn)
{
	return &conn->request;
}

void mesh_app_reply(struct mesh_app_conn *c, int status, const char *content_type, const char *extra,
		    struct mesh_slice body)
{
	bool bodyless = status == 204 || status == 304 || status / 100 == 1;
	bool keep = c->head.keep_alive && !atomic_load_explicit(&draining, memory_order_relaxed);

	mesh_buf_printf(&c->out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n", status, mesh_app_status_text(status),
			content_type ? content_type : "text/plain");
	if (!bodyless)
		mesh_buf_printf(&c->out, "Content-Length: %zu\r\n", body.len);
	if (extra)
		mesh_buf_str(&c->out, extra);
	if (!keep)
		mesh_buf_str(&c->out, "Connection: close\r\n");
	else if (c->head.http10)
		mesh_buf_str(&c->out, "Connection: keep-alive\r\n");
	mesh_buf_str(&c->out, "\r\n");
	if (!bodyless && !mesh_slice_eq(c->head.method, MESH_SLICE("HEAD")))
		mesh_buf_slice(&c->out, body);
	c->close_after = !keep;
	c->state = CONN_HEAD;
	if (!c->parsing)
		conn_process(c);
}

void mesh_app_replyf(struct mesh_app_conn *c, int status, const char *fmt, ...)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	va_list ap;

	va_start(ap, fmt);
	mesh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	mesh_app_reply(c, status, NULL, NULL, mesh_buf_view(&text));
}

void mesh_app_later(struct mesh_app_conn *c, unsigned ms, mesh_app_later_fn *fn, void *arg)
{
	c->later_fn = fn;
	c->later_arg = arg;
	mesh_timer_set(c->worker->loop, &c->later, MESH_MS(ms));
}

static void call_over(void *arg, int status, struct mesh_slice body, const char *error)
{
	struct mesh_app_conn *c = arg;

	c->call = NULL;
	c->called(c, status, body, error);
}

void mesh_app_get(struct mesh_app_conn *c, const char *host, unsigned port, const char *path, struct mesh_slice extra,
		  mesh_app_called_fn *fn)
{
	c->called = fn;
	c->call = mesh_app_client_get(c->worker->client, host, port, path, extra, call_over, c);
}

static bool busy(const struct worker *w)
{
	for (const struct mesh_app_conn *c = w->conns; c; c = c->next)
		if (c->state != CONN_HEAD || c->out.len)
			return true;
	return false;
}

/* After the drain time: no new connections, and an end as soon as nothing is under way (10 s at most). */
static void drain_due(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct worker *w = mesh_container_of(timer, struct worker, drain);

	for (unsigned i = 0; i < port_count; i++)
		mesh_io_remove(loop, &w->listeners[i].io);
	if (busy(w) && w->drain_rounds++ < 1000)
		mesh_timer_set(loop, timer, MESH_MS(10));
	else
		mesh_loop_stop(loop);
}

static void start_drain(void *arg)
{
	struct worker *w = arg;

	w->drain.fn = drain_due;
	mesh_timer_set(w->loop, &w->drain, MESH_MS(opts.drain_ms));
}

static int worker_start(struct worker *w)
{
	int r = mesh_loop_new(&w->loop);

	if (r < 0)
		return r;
	w->client = mesh_app_client_new(w->loop);
	for (unsigned i = 0; i < port_count; i++) {
		w->listeners[i].worker = w;
		w->listeners[i].io.fd = listen_fds[i];
		w->listeners[i].io.fn = accept_ready;
		r = mesh_io_set(w->loop, &w->listeners[i].io, EPOLLIN | EPOLLEXCLUSIVE);
		if (r < 0)
			return r;
	}
	return 0;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	mesh_loop_run(w->loop);
	while (w->conns)
		conn_free(w->conns);
	mesh_app_client_free(w->client);
	mesh_loop_free(w->loop);
	return NULL;
}

/* An IPv6 socket takes IPv4 too; where there is no IPv6, IPv4 alone. */
static int listen_on(unsigned port)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int one = 1, zero = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool six = fd >= 0;

	if (!six)
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, six ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, six ? sizeof(a6) : sizeof(a4)) < 0 ||
	    listen(fd, 4096) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static int open_ports(void)
{
	struct mesh_slice rest = mesh_slice_str(opts.ports), part;

	while (mesh_slice_split(&rest, ',', &part)) {
		uint64_t port;

		if (port_count == PORTS_MAX || mesh_slice_to_u64(mesh_slice_trim(part), 65535, &port) < 0) {
			mesh_error("'%s' is not a list of ports", opts.ports);
			return -EINVAL;
		}
		listen_fds[port_count] = listen_on((unsigned)port);
		if (listen_fds[port_count] < 0) {
			mesh_error("port %u: %s", (unsigned)port, strerror(-listen_fds[port_count]));
			return listen_fds[port_count];
		}
		port_count++;
	}
	return 0;
}

int mesh_app_serve(const struct mesh_app_opts *o)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	sigset_t set;
	int sig;

	opts = *o;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (open_ports() < 0)
		return 1;
	worker_count = (unsigned)(cpus < 1 ? 1 : cpus > WORKERS_MAX ? WORKERS_MAX : cpus);
	for (unsigned i = 0; i < worker_count; i++) {
		int r = worker_start(&workers[i]);

		if (r < 0 || pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
			mesh_error("cannot start a worker: %s", strerror(r < 0 ? -r : EAGAIN));
			return 1;
		}
	}
	sigwait(&set, &sig);
	atomic_store(&draining, true);
	for (unsigned i = 0; i < worker_count; i++)
		mesh_loop_post(workers[i].loop, start_drain, &workers[i]);
	for (unsigned i = 0; i < worker_count; i++)
		pthread_join(workers[i].thread, NULL);
	return 0;
}
