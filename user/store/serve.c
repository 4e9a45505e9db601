/* SPDX-License-Identifier: Apache-2.0 */
#include "store/serve.h"

#include "core/log.h"
#include "core/vec.h"
#include "proxy/http1.h"
#include "store/target.h"

#include <errno.h>
#include <openssl/x509.h>

enum { HANDSHAKE_S = 20, HEAD_S = 30, BODY_S = 60, IDLE_S = 300, DRAIN_S = 60 };

struct listener {
	struct mesh_io io;
	struct mesh_server *server;
};

struct mesh_server {
	struct mesh_loop *loop;
	SSL_CTX *ctx;
	mesh_request_fn *handle;
	void *arg;
	MESH_VEC(struct listener *) listeners;
	struct mesh_conn *conns;
	struct mesh_conn *dead;
	size_t count;
	struct mesh_timer reaper;
	struct mesh_http1_limits limits;
};

struct mesh_conn {
	struct mesh_server *server;
	struct mesh_conn *next, *prev;
	struct mesh_tls tls;
	struct mesh_timer timer;
	struct mesh_request *req;    /* being handled */
	struct mesh_request *coming; /* its head was read, its body not yet */
	struct mesh_http1_head head;
	struct mesh_http1_field fields[MESH_SERVE_HEADERS];
	struct mesh_http1_body walk;
	struct mesh_buf body; /* of the coming request, so far */
	bool pumping, closing, dead;
};

static void pump(struct mesh_conn *c);

static void reap(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_server *server = mesh_container_of(timer, struct mesh_server, reaper);

	(void)loop;
	while (server->dead) {
		struct mesh_conn *c = server->dead;

		server->dead = c->next;
		free(c);
	}
}

static void request_free(struct mesh_request *req)
{
	mesh_buf_free(&req->extra);
	mesh_arena_free(&req->arena);
	free(req);
}

/* Ends a connection; the memory goes later, since callers further up may still look at it. */
static void conn_close(struct mesh_conn *c)
{
	struct mesh_server *server = c->server;
	struct mesh_request *req = c->req;

	if (c->dead)
		return;
	if (c->coming)
		request_free(c->coming);
	c->coming = NULL;
	c->dead = true;
	mesh_timer_remove(server->loop, &c->timer);
	mesh_tls_close(&c->tls);
	mesh_buf_free(&c->body);
	c->req = NULL;
	if (c->prev)
		c->prev->next = c->next;
	else
		server->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->next = server->dead;
	server->dead = c;
	server->count--;
	mesh_timer_set(server->loop, &server->reaper, 0);
	if (req) {
		if (req->closed)
			req->closed(req);
		request_free(req);
	}
}

static void on_timeout(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_conn *c = mesh_container_of(timer, struct mesh_conn, timer);

	(void)loop;
	conn_close(c);
}

static void on_tls(struct mesh_tls *tls)
{
	pump(tls->arg);
}

static void on_accept(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_server *server = mesh_container_of(io, struct listener, io)->server;

	(void)events;
	for (int i = 0; i < 64; i++) {
		struct mesh_conn *c;
		int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		if (server->count >= MESH_SERVE_CONNECTIONS) {
			close(fd);
			continue;
		}
		c = mesh_xcalloc(1, sizeof(*c));
		c->server = server;
		c->timer.fn = on_timeout;
		c->tls.in_limit = MESH_SERVE_HEAD_MAX;
		mesh_http1_head_init(&c->head, MESH_HTTP1_REQUEST, c->fields, MESH_SERVE_HEADERS, &server->limits);
		if (mesh_tls_accept(&c->tls, loop, server->ctx, fd, on_tls, c) < 0) {
			free(c);
			continue;
		}
		c->next = server->conns;
		if (c->next)
			c->next->prev = c;
		server->conns = c;
		server->count++;
		mesh_timer_set(loop, &c->timer, MESH_SEC(HANDSHAKE_S));
	}
}

int mesh_server_new(struct mesh_server **ret, struct mesh_loop *loop, SSL_CTX *ctx, mesh_request_fn *handle, void *arg)
{
	struct mesh_server *server = mesh_xcalloc(1, sizeof(*server));

	server->loop = loop;
	server->ctx = ctx;
	server->handle = handle;
	server->arg = arg;
	server->reaper.fn = reap;
	server->limits =
		(struct mesh_http1_limits){.head_bytes = MESH_SERVE_HEAD_MAX, .body_bytes = MESH_SERVE_BODY_MAX};
	*ret = server;
	return 0;
}

void mesh_server_limit_body(struct mesh_server *server, size_t bytes)
{
	server->limits.body_bytes = bytes;
}

void mesh_server_free(struct mesh_server *server)
{
	if (!server)
		return;
	while (server->conns)
		conn_close(server->conns);
	mesh_vec_each (l, &server->listeners) {
		mesh_io_remove(server->loop, &(*l)->io);
		close((*l)->io.fd);
		free(*l);
	}
	mesh_vec_free(&server->listeners);
	reap(server->loop, &server->reaper);
	mesh_timer_remove(server->loop, &server->reaper);
	free(server);
}

int mesh_server_listen(struct mesh_server *server, int fd)
{
	struct listener *l = mesh_xcalloc(1, sizeof(*l));
	int r;

	l->server = server;
	l->io = (struct mesh_io){.fd = fd, .fn = on_accept};
	r = mesh_io_set(server->loop, &l->io, EPOLLIN);
	if (r < 0) {
		free(l);
		return r;
	}
	mesh_vec_push(&server->listeners, l);
	return 0;
}

int mesh_listen_tcp(const struct mesh_addr *addr)
{
	struct sockaddr_storage ss;
	socklen_t len = mesh_addr_to_sock(addr, &ss);
	mesh_auto_fd int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ss.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, 1024) < 0)
		return -errno;
	return mesh_steal_fd(&fd);
}

const char *mesh_request_header(const struct mesh_request *req, const char *name)
{
	for (size_t i = 0; i < req->header_count; i++)
		if (mesh_slice_eq_nocase(mesh_slice_str(req->headers[i].name), mesh_slice_str(name)))
			return req->headers[i].value;
	return NULL;
}

const char *mesh_request_param(const struct mesh_request *req, const char *name)
{
	for (size_t i = 0; i < req->param_count; i++)
		if (strcmp(req->params[i].name, name) == 0)
			return req->params[i].value;
	return NULL;
}

/* --- requests in --- */

static void peer_identity(struct mesh_request *req, SSL *ssl)
{
	X509 *cert = SSL_get_verify_result(ssl) == X509_V_OK ? SSL_get0_peer_certificate(ssl) : NULL;
	X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;
	size_t groups = 0;
	int n = name ? X509_NAME_entry_count(name) : 0;

	req->cert_groups = mesh_arena_array(&req->arena, const char *, (size_t)n + 1);
	for (int i = 0; i < n; i++) {
		X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
		const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);
		const char *text =
			mesh_arena_slice(&req->arena, mesh_slice_of((const char *)ASN1_STRING_get0_data(value),
								    (size_t)ASN1_STRING_length(value)));

		if (nid == NID_commonName)
			req->cert_user = text;
		else if (nid == NID_organizationName)
			req->cert_groups[groups++] = text;
	}
}

static void refuse(struct mesh_conn *c, int status, const char *text)
{
	mesh_buf_printf(&c->tls.out,
			"HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
			"Connection: close\r\n\r\n%s\n",
			status, mesh_http1_reason(status), strlen(text) + 1, text);
	c->closing = true;
	if (c->coming)
		request_free(c->coming);
	c->coming = NULL;
	mesh_timer_set(c->server->loop, &c->timer, MESH_SEC(DRAIN_S));
}

/* The head is complete: what it says is copied, and its bytes go. */
static void begin_request(struct mesh_conn *c)
{
	const struct mesh_http1_head *h = &c->head;
	struct mesh_request *req = mesh_xcalloc(1, sizeof(*req));
	struct mesh_arena *a = &req->arena;

	req->conn = c;
	req->method = mesh_arena_slice(a, h->method);
	req->http10 = h->minor == 0;
	req->upgrade = h->upgrade;
	mesh_target_parse(req, h->path);
	req->headers = mesh_arena_array(a, struct mesh_pair, h->field_count);
	for (size_t i = 0; i < h->field_count; i++)
		req->headers[i] = (struct mesh_pair){mesh_arena_slice(a, h->fields[i].name),
						     mesh_arena_slice(a, h->fields[i].value)};
	req->header_count = h->field_count;
	peer_identity(req, c->tls.ssl);
	c->coming = req;
	if (!h->keep_alive && !h->upgrade)
		c->closing = true;
	if (h->expect_continue)
		mesh_buf_str(&c->tls.out, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* Returns 1 when a head was read, 0 when more bytes are needed, -1 when the connection was refused. */
static int read_head(struct mesh_conn *c)
{
	enum mesh_http1_error error;

	switch (mesh_http1_head_parse(&c->head, c->tls.in.data, c->tls.in.len)) {
	case MESH_HTTP1_MORE:
		return 0;
	case MESH_HTTP1_ERROR:
		refuse(c, mesh_http1_error_status(c->head.error), mesh_http1_error_text(c->head.error));
		return -1;
	case MESH_HTTP1_DONE:
		break;
	}
	error = mesh_http1_body_request(&c->walk, &c->head);
	if (error != MESH_HTTP1_ERROR_NONE) {
		refuse(c, mesh_http1_error_status(error), mesh_http1_error_text(error));
		return -1;
	}
	begin_request(c);
	mesh_buf_consume(&c->tls.in, c->head.size);
	mesh_http1_head_reset(&c->head);
	return 1;
}

/* The same for the rest of a request. */
static int read_body(struct mesh_conn *c)
{
	while (!mesh_http1_body_done(&c->walk)) {
		struct mesh_slice payload;
		size_t used;
		enum mesh_http1_result r;

		if (c->tls.in.len == 0)
			return 0;
		r = mesh_http1_body_next(&c->walk, c->tls.in.data, c->tls.in.len, &used, &payload);
		mesh_buf_slice(&c->body, payload);
		mesh_buf_consume(&c->tls.in, used);
		if (r == MESH_HTTP1_ERROR) {
			refuse(c, mesh_http1_error_status(c->walk.error), mesh_http1_error_text(c->walk.error));
			return -1;
		}
		if (r == MESH_HTTP1_DONE)
			break;
	}
	return 1;
}

static void dispatch(struct mesh_conn *c)
{
	struct mesh_request *req = c->coming;

	req->body = mesh_slice_of(mesh_arena_slice(&req->arena, mesh_buf_view(&c->body)), c->body.len);
	mesh_buf_free(&c->body);
	c->coming = NULL;
	c->req = req;
	mesh_timer_remove(c->server->loop, &c->timer);
	c->server->handle(c->server->arg, req);
}

/* Returns 1 when a request was dispatched, 0 when more bytes are needed, -1 when the connection was refused. */
static int take_request(struct mesh_conn *c)
{
	int r = 1;

	if (!c->coming)
		r = read_head(c);
	if (r == 1)
		r = read_body(c);
	if (r == 1)
		dispatch(c);
	return r;
}

static void read_requests(struct mesh_conn *c)
{
	while (!c->req && (!c->closing || c->coming) && !c->dead && !c->tls.failed) {
		int r = c->tls.in.len || c->coming ? take_request(c) : 0;
		size_t had = c->tls.in.len;

		if (r < 0)
			break;
		if (r == 0) {
			mesh_tls_fill(&c->tls);
			if (c->tls.in.len == had)
				break;
		}
	}
}

static void set_timer(struct mesh_conn *c)
{
	unsigned seconds = c->coming ? BODY_S : c->tls.in.len ? HEAD_S : IDLE_S;

	if (mesh_tls_pending(&c->tls))
		seconds = DRAIN_S;
	if (c->req)
		mesh_timer_remove(c->server->loop, &c->timer);
	else
		mesh_timer_set(c->server->loop, &c->timer, MESH_SEC(seconds));
}

static void pump(struct mesh_conn *c)
{
	if (c->pumping || c->dead)
		return;
	if (c->req && c->req->tunnel) {
		c->req->tunnel(c->req);
		return;
	}
	c->pumping = true;
	read_requests(c);
	c->pumping = false;
	if (c->dead)
		return;
	if (c->req && c->req->tunnel)
		return;
	mesh_tls_flush(&c->tls);
	if (c->tls.failed || (c->tls.eof && (!c->req || c->req->streaming)) ||
	    (c->closing && !c->req && !mesh_tls_pending(&c->tls))) {
		conn_close(c);
		return;
	}
	set_timer(c);
}

/* --- answers out --- */

void mesh_request_add(struct mesh_request *req, const char *name, const char *value)
{
	mesh_buf_printf(&req->extra, "%s: %s\r\n", name, value);
}

static void begin(struct mesh_request *req, int status, const char *type)
{
	struct mesh_buf *out = &req->conn->tls.out;

	mesh_buf_printf(out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nCache-Control: no-cache, private\r\n", status,
			mesh_http1_reason(status), type);
	mesh_buf_slice(out, mesh_buf_view(&req->extra));
	if (req->conn->closing)
		mesh_buf_str(out, "Connection: close\r\n");
}

static void finish(struct mesh_request *req)
{
	struct mesh_conn *c = req->conn;

	c->req = NULL;
	request_free(req);
	pump(c);
}

void mesh_request_answer(struct mesh_request *req, int status, const char *type, struct mesh_slice body)
{
	struct mesh_buf *out = &req->conn->tls.out;

	begin(req, status, type);
	mesh_buf_printf(out, "Content-Length: %zu\r\n\r\n", body.len);
	if (strcmp(req->method, "HEAD") != 0)
		mesh_buf_slice(out, body);
	finish(req);
}

void mesh_request_stream(struct mesh_request *req, int status, const char *type)
{
	if (req->http10)
		req->conn->closing = true;
	begin(req, status, type);
	mesh_buf_str(&req->conn->tls.out, req->http10 ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n");
	req->streaming = true;
	if (!req->conn->pumping)
		mesh_tls_flush(&req->conn->tls);
}

int mesh_request_chunk(struct mesh_request *req, struct mesh_slice bytes)
{
	struct mesh_buf *out = &req->conn->tls.out;

	if (bytes.len == 0)
		return 0;
	if (!req->http10)
		mesh_buf_printf(out, "%zx\r\n", bytes.len);
	mesh_buf_slice(out, bytes);
	if (!req->http10)
		mesh_buf_str(out, "\r\n");
	return mesh_tls_flush(&req->conn->tls);
}

void mesh_request_end(struct mesh_request *req)
{
	if (!req->http10)
		mesh_buf_str(&req->conn->tls.out, "0\r\n\r\n");
	finish(req);
}

size_t mesh_request_pending(const struct mesh_request *req)
{
	return mesh_tls_pending(&req->conn->tls);
}

void mesh_request_drop(struct mesh_request *req)
{
	req->closed = NULL;
	conn_close(req->conn);
}

struct mesh_tls *mesh_request_take(struct mesh_request *req)
{
	mesh_timer_remove(req->conn->server->loop, &req->conn->timer);
	return &req->conn->tls;
}
