/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/app.h"

#include "core/addr.h"
#include "core/loop.h"
#include "core/vec.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>

enum {
	CALL_TIMEOUT_S = 60,
	RESOLVE_TTL_S = 30,
	IDLE_MAX = 256, /* pooled connections of one worker */
};

/* Where a name was last found. */
struct target {
	char *host;
	unsigned port;
	struct sockaddr_storage addr;
	socklen_t addr_len; /* 0: not known */
	uint64_t until_ns;
};

/* A connection to a target: in use by a call, or idle in the pool. */
struct peer {
	struct mesh_io io; /* first */
	struct mesh_app_client *client;
	struct target *target;
	struct mesh_app_call *call; /* NULL: idle */
	bool connecting;
	struct peer *next_idle;
};

struct mesh_app_call {
	struct mesh_timer timer; /* first: times out, or delivers a failure from the loop */
	struct mesh_app_client *client;
	struct target *target;
	struct peer *peer;
	bool reused, retried, have_head;
	int fail; /* an error to deliver */
	const char *fail_text;
	struct mesh_buf out, in, body, head_text;
	size_t sent;
	struct mesh_app_head head;
	struct mesh_app_body body_state;
	mesh_app_client_fn *fn; /* NULL: cancelled */
	void *arg;
};

struct mesh_app_client {
	struct mesh_loop *loop;
	MESH_VEC(struct target *) targets;
	struct peer *idle; /* last used first */
	unsigned idle_count;
};

struct mesh_app_client *mesh_app_client_new(struct mesh_loop *loop)
{
	struct mesh_app_client *client = mesh_xcalloc(1, sizeof(*client));

	client->loop = loop;
	return client;
}

static struct target *target_of(struct mesh_app_client *client, const char *host, unsigned port)
{
	struct target *t;

	mesh_vec_each (item, &client->targets)
		if ((*item)->port == port && strcmp((*item)->host, host) == 0)
			return *item;
	t = mesh_xcalloc(1, sizeof(*t));
	t->host = mesh_xstrdup(host);
	t->port = port;
	mesh_vec_push(&client->targets, t);
	return t;
}

static int resolve(struct target *t)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	char port[16];
	int r;

	if (t->addr_len && mesh_now_ns() < t->until_ns)
		return 0;
	snprintf(port, sizeof(port), "%u", t->port);
	r = getaddrinfo(t->host, port, &hints, &list);
	if (r != 0)
		return r;
	memcpy(&t->addr, list->ai_addr, list->ai_addrlen);
	t->addr_len = list->ai_addrlen;
	t->until_ns = mesh_now_ns() + MESH_SEC(RESOLVE_TTL_S);
	freeaddrinfo(list);
	return 0;
}

static void peer_free(struct peer *p)
{
	struct mesh_app_client *client = p->client;

	for (struct peer **at = &client->idle; *at; at = &(*at)->next_idle) {
		if (*at == p) {
			*at = p->next_idle;
			client->idle_count--;
			break;
		}
	}
	mesh_io_remove(client->loop, &p->io);
	mesh_cleanup_fd(&p->io.fd);
	free(p);
}

static void call_free(struct mesh_app_call *call)
{
	mesh_timer_remove(call->client->loop, &call->timer);
	mesh_buf_free(&call->out);
	mesh_buf_free(&call->in);
	mesh_buf_free(&call->body);
	mesh_buf_free(&call->head_text);
	free(call);
}

static void call_done(struct mesh_app_call *call, int status, const char *error)
{
	if (call->peer)
		peer_free(call->peer);
	if (call->fn)
		call->fn(call->arg, status, mesh_buf_view(&call->body), error);
	call_free(call);
}

static void peer_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events);

static int peer_connect(struct mesh_app_call *call)
{
	struct target *t = call->target;
	struct peer *p;
	int one = 1, fd = socket(t->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&t->addr, t->addr_len) < 0 && errno != EINPROGRESS) {
		int r = -errno;

		close(fd);
		t->addr_len = 0;
		return r;
	}
	p = mesh_xcalloc(1, sizeof(*p));
	p->io.fd = fd;
	p->io.fn = peer_ready;
	p->client = call->client;
	p->target = t;
	p->call = call;
	p->connecting = true;
	call->peer = p;
	call->reused = false;
	return mesh_io_set(call->client->loop, &p->io, EPOLLOUT);
}

static bool take_idle(struct mesh_app_call *call)
{
	for (struct peer **at = &call->client->idle; *at; at = &(*at)->next_idle) {
		struct peer *p = *at;

		if (p->target != call->target)
			continue;
		*at = p->next_idle;
		call->client->idle_count--;
		p->call = call;
		call->peer = p;
		call->reused = true;
		return true;
	}
	return false;
}

static void call_fail(struct mesh_app_call *call, int err);

static void call_send(struct mesh_app_call *call)
{
	struct peer *p = call->peer;

	while (call->sent < call->out.len) {
		ssize_t n = send(p->io.fd, call->out.data + call->sent, call->out.len - call->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			mesh_io_set(p->client->loop, &p->io, EPOLLIN | EPOLLOUT);
			return;
		}
		if (n < 0) {
			call_fail(call, errno);
			return;
		}
		call->sent += (size_t)n;
	}
	mesh_io_set(p->client->loop, &p->io, EPOLLIN);
}

/* The connection failed: once more on a new one if it was an old one that had gone, else say so. */
static void call_fail(struct mesh_app_call *call, int err)
{
	struct peer *p = call->peer;
	bool again = call->reused && !call->retried && !call->have_head && call->in.len == 0;

	if (p) {
		if (p->connecting)
			p->target->addr_len = 0;
		call->peer = NULL;
		peer_free(p);
	}
	if (again) {
		call->retried = true;
		call->sent = 0;
		err = resolve(call->target) == 0 ? -peer_connect(call) : EHOSTUNREACH;
		if (err == 0)
			return;
	}
	call_done(call, 0, strerror(err));
}

static void call_finished(struct mesh_app_call *call)
{
	struct peer *p = call->peer;
	struct mesh_app_client *client = call->client;

	if (call->head.keep_alive && call->in.len == 0 && client->idle_count < IDLE_MAX &&
	    mesh_io_set(client->loop, &p->io, EPOLLIN) == 0) {
		call->peer = NULL;
		p->call = NULL;
		p->next_idle = client->idle;
		client->idle = p;
		client->idle_count++;
	}
	call_done(call, call->head.status, NULL);
}

/* Looks at what has come. Returns true when the call is over (and freed). */
static bool call_parse(struct mesh_app_call *call, bool closed)
{
	while (!call->have_head) {
		ssize_t n = mesh_app_head_length(mesh_buf_view(&call->in));

		if (n == 0 && !closed)
			return false;
		if (n > 0) {
			mesh_buf_clear(&call->head_text);
			mesh_buf_add(&call->head_text, call->in.data, (size_t)n);
			mesh_buf_consume(&call->in, (size_t)n);
		}
		if (n <= 0 || mesh_app_head_parse(mesh_buf_view(&call->head_text), true, &call->head) < 0) {
			call_fail(call, n == 0 ? ECONNRESET : EPROTO);
			return true;
		}
		if (call->head.status / 100 == 1)
			continue;
		call->have_head = true;
		call->body_state = mesh_app_body_of(&call->head, true, false);
		if (call->body_state.state == MESH_APP_BODY_TO_CLOSE)
			call->head.keep_alive = false;
	}
	if (mesh_app_body_read(&call->body_state, &call->in, &call->body) < 0) {
		call_fail(call, EPROTO);
		return true;
	}
	if (call->body_state.state == MESH_APP_BODY_DONE ||
	    (closed && call->body_state.state == MESH_APP_BODY_TO_CLOSE)) {
		if (closed)
			call->head.keep_alive = false;
		call_finished(call);
		return true;
	}
	if (closed)
		call_fail(call, ECONNRESET);
	return closed;
}

static void call_receive(struct mesh_app_call *call)
{
	struct peer *p = call->peer;

	for (;;) {
		char *room = mesh_buf_room(&call->in, 16384);
		ssize_t n = recv(p->io.fd, room, 16384, 0);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			call_fail(call, errno);
			return;
		}
		call->in.len += (size_t)n;
		if (call_parse(call, n == 0) || n < 16384)
			return;
	}
}

static void peer_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct peer *p = (struct peer *)io;

	(void)loop;
	if (!p->call) { /* an idle connection was closed, or says what nobody asked for */
		peer_free(p);
		return;
	}
	if (p->connecting) {
		int err = 0;
		socklen_t len = sizeof(err);

		getsockopt(p->io.fd, SOL_SOCKET, SO_ERROR, &err, &len);
		if (err) {
			call_fail(p->call, err);
			return;
		}
		p->connecting = false;
		call_send(p->call);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		call_receive(p->call);
	else if (events & EPOLLOUT)
		call_send(p->call);
}

static void call_timer(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_app_call *call = (struct mesh_app_call *)timer;

	(void)loop;
	if (call->fail_text)
		call_done(call, 0, call->fail_text);
	else
		call_done(call, 0, strerror(call->fail ? call->fail : ETIMEDOUT));
}

static void call_start(struct mesh_app_call *call)
{
	int r;

	mesh_timer_set(call->client->loop, &call->timer, MESH_SEC(CALL_TIMEOUT_S));
	if (take_idle(call)) {
		ssize_t n = send(call->peer->io.fd, call->out.data, call->out.len, MSG_NOSIGNAL);

		if (n > 0)
			call->sent = (size_t)n;
		if (n == (ssize_t)call->out.len) /* the usual case: nothing to change in epoll */
			return;
		mesh_io_set(call->client->loop, &call->peer->io, EPOLLIN | EPOLLOUT);
		return;
	}
	r = resolve(call->target);
	if (r != 0)
		call->fail_text = gai_strerror(r);
	else
		call->fail = -peer_connect(call);
	if (call->fail_text || call->fail)
		mesh_timer_set(call->client->loop, &call->timer, 0);
}

struct mesh_app_call *mesh_app_client_get(struct mesh_app_client *client, const char *host, unsigned port,
					  const char *path, struct mesh_slice extra, mesh_app_client_fn *fn, void *arg)
{
	struct mesh_app_call *call = mesh_xcalloc(1, sizeof(*call));

	call->client = client;
	call->timer.fn = call_timer;
	call->target = target_of(client, host, port);
	call->fn = fn;
	call->arg = arg;
	mesh_buf_printf(&call->out, "GET %s HTTP/1.1\r\nHost: %s:%u\r\nAccept: text/plain, */*\r\n", path, host, port);
	mesh_buf_slice(&call->out, extra);
	mesh_buf_str(&call->out, "\r\n");
	call_start(call);
	return call;
}

void mesh_app_client_cancel(struct mesh_app_call *call)
{
	call->fn = NULL;
}

void mesh_app_client_free(struct mesh_app_client *client)
{
	if (!client)
		return;
	while (client->idle)
		peer_free(client->idle);
	mesh_vec_each (t, &client->targets) {
		free((*t)->host);
		free(*t);
	}
	mesh_vec_free(&client->targets);
	free(client);
}
