/* SPDX-License-Identifier: Apache-2.0 */
#include "store/serve.h"

#include "core/log.h"
#include "core/vec.h"
#include "proxy/http1.h"
#include "store/target.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>

enum {
	LINGER_S = 2,          /* for a refused client to read why */
	DRAIN_STEP = 64 << 10, /* bytes that a client has to take in DRAIN_S */
	LINGER_MAX = 8 << 20,  /* bytes of a refused request that are read and forgotten */
	HANDSHAKE_S = 20,
	HEAD_S = 30,
	BODY_S = 60,
	IDLE_S = 300,
	DRAIN_S = 60,
};

/* What a connection is waited for at the moment: each has its time from its begin on, however many bytes come. */
enum phase { HANDSHAKE, IDLE, HEAD, BODY, DRAIN, LINGER, SERVED };

struct listener {
	struct mesh_io io;
	struct mesh_server *server;
};

struct mesh_server {
	struct mesh_loop *loop;
	SSL_CTX *ctx;
	mesh_request_fn *handle;
	mesh_request_known_fn *known;
	void *arg;
	unsigned hurry;
	size_t body_bytes; /* of bodies that are not complete */
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
	enum phase phase;
	uint64_t since_ns;   /* of the phase */
	size_t drain_mark;   /* what was unread when DRAIN began anew */
	size_t linger_bytes; /* read and forgotten */
	bool known;          /* who sends the coming request */
	bool pumping, closing, refused, dead;
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
	server->body_bytes -= c->body.len;
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

/* The connection that has been without a request for longest makes room for a new one. */
static void make_room(struct mesh_server *server)
{
	struct mesh_conn *oldest = NULL;

	for (struct mesh_conn *c = server->conns; c; c = c->next)
		if (!c->req && (!oldest || c->since_ns < oldest->since_ns))
			oldest = c;
	if (oldest)
		conn_close(oldest);
}

static void enter(struct mesh_conn *c, enum phase phase)
{
	static const unsigned seconds[] = {
		[HANDSHAKE] = HANDSHAKE_S, [IDLE] = IDLE_S,   [HEAD] = HEAD_S,
		[BODY] = BODY_S,           [DRAIN] = DRAIN_S, [LINGER] = LINGER_S,
	};

	c->phase = phase;
	c->since_ns = mesh_now_ns();
	if (phase == SERVED)
		mesh_timer_remove(c->server->loop, &c->timer);
	else
		mesh_timer_set(c->server->loop, &c->timer,
			       MESH_SEC(seconds[phase]) / (phase == LINGER ? 1 : c->server->hurry));
}

static void on_accept(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_server *server = mesh_container_of(io, struct listener, io)->server;

	(void)events;
	for (int i = 0; i < 64; i++) {
		struct mesh_conn *c;
		int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE) && server->conns) {
			make_room(server); /* else the listener would be ready for ever */
			return;
		}
		if (fd < 0)
			return;
		if (server->count >= MESH_SERVE_CONNECTIONS)
			make_room(server);
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
		enter(c, HANDSHAKE);
	}
}

int mesh_server_new(struct mesh_server **ret, struct mesh_loop *loop, SSL_CTX *ctx, mesh_request_fn *handle,
		    mesh_request_known_fn *known, void *arg)
{
	struct mesh_server *server = mesh_xcalloc(1, sizeof(*server));

	server->loop = loop;
	server->ctx = ctx;
	server->handle = handle;
	server->known = known;
	server->hurry = 1;
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

void mesh_server_hurry(struct mesh_server *server, unsigned n)
{
	server->hurry = n;
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

/* A name's value as UTF-8 in the arena; NULL if it is no text, or has a zero byte: it could pass for another one. */
static const char *name_text(struct mesh_arena *arena, const ASN1_STRING *value)
{
	unsigned char *utf8 = NULL;
	int n = ASN1_STRING_to_UTF8(&utf8, value);
	const char *text = NULL;

	if (n >= 0 && !memchr(utf8, 0, (size_t)n))
		text = mesh_arena_slice(arena, mesh_slice_of((const char *)utf8, (size_t)n));
	OPENSSL_free(utf8);
	return text;
}

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
		const char *text = name_text(&req->arena, X509_NAME_ENTRY_get_data(entry));

		if (!text)
			continue;
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
	c->closing = c->refused = true;
	if (c->coming)
		request_free(c->coming);
	c->coming = NULL;
	c->server->body_bytes -= c->body.len;
	mesh_buf_free(&c->body);
}

/* May the coming request have a large body? Returns false when it was refused. */
static bool admit(struct mesh_conn *c)
{
	if (!c->known)
		c->known = c->server->known(c->server->arg, c->coming);
	if (!c->known)
		refuse(c, 401, "a body of this size needs a client certificate or a token");
	else if (c->server->body_bytes > MESH_SERVE_BODIES)
		refuse(c, 503, "too many requests are coming in");
	return !c->refused;
}

/* The head is complete: what it says is copied, and its bytes go. Returns false when it was refused. */
static bool begin_request(struct mesh_conn *c)
{
	const struct mesh_http1_head *h = &c->head;
	struct mesh_request *req = mesh_xcalloc(1, sizeof(*req));
	struct mesh_arena *a = &req->arena;
	int r;

	c->coming = req;
	req->conn = c;
	req->method = mesh_arena_slice(a, h->method);
	req->http10 = h->minor == 0;
	req->upgrade = h->upgrade;
	r = mesh_target_parse(req, h->path);
	if (r < 0) {
		refuse(c, r == -E2BIG ? 414 : 400,
		       r == -E2BIG ? "too many query parameters" : "the request target has a zero byte");
		return false;
	}
	req->headers = mesh_arena_array(a, struct mesh_pair, h->field_count);
	for (size_t i = 0; i < h->field_count; i++)
		req->headers[i] = (struct mesh_pair){mesh_arena_slice(a, h->fields[i].name),
						     mesh_arena_slice(a, h->fields[i].value)};
	req->header_count = h->field_count;
	peer_identity(req, c->tls.ssl);
	if (!h->keep_alive && !h->upgrade)
		c->closing = true;
	c->known = req->cert_user || !c->server->known;
	if (h->framing == MESH_HTTP1_LENGTH && h->content_length > MESH_SERVE_BODY_UNKNOWN && !admit(c))
		return false;
	if (h->expect_continue)
		mesh_buf_str(&c->tls.out, "HTTP/1.1 100 Continue\r\n\r\n");
	return true;
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
	if (!begin_request(c))
		return -1;
	mesh_buf_consume(&c->tls.in, c->head.size);
	mesh_http1_head_reset(&c->head);
	enter(c, BODY);
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
		c->server->body_bytes += payload.len;
		mesh_buf_consume(&c->tls.in, used);
		if (c->body.len > MESH_SERVE_BODY_UNKNOWN && !admit(c))
			return -1;
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
	c->server->body_bytes -= c->body.len;
	mesh_buf_free(&c->body);
	c->coming = NULL;
	c->req = req;
	enter(c, SERVED);
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

static bool full(const struct mesh_conn *c)
{
	return mesh_tls_pending(&c->tls) >= MESH_SERVE_OUT_MAX;
}

static void read_requests(struct mesh_conn *c)
{
	while (!c->req && (!c->closing || c->coming) && !c->dead && !c->tls.failed && !full(c)) {
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

static void set_phase(struct mesh_conn *c)
{
	size_t unread = mesh_tls_pending(&c->tls);
	enum phase phase = c->req ? SERVED : unread ? DRAIN : c->coming ? BODY : c->tls.in.len ? HEAD : IDLE;

	if (phase == DRAIN && (c->phase != DRAIN || unread + DRAIN_STEP < c->drain_mark)) {
		c->drain_mark = unread;
		enter(c, DRAIN);
	} else if (phase != c->phase) {
		enter(c, phase);
	}
}

/* The client of a refused request may still be sending it: closing now would reset the connection, and the answer be
 * lost with it. Returns false when the end has come. */
static bool linger(struct mesh_conn *c)
{
	if (!c->refused || mesh_tls_pending(&c->tls))
		return false;
	if (c->phase != LINGER) {
		SSL_shutdown(c->tls.ssl);
		ERR_clear_error();
		shutdown(c->tls.io.fd, SHUT_WR);
		enter(c, LINGER);
	}
	do {
		c->linger_bytes += c->tls.in.len;
		mesh_buf_clear(&c->tls.in);
		mesh_tls_fill(&c->tls);
	} while (c->tls.in.len && c->linger_bytes < LINGER_MAX);
	return !c->tls.eof && !c->tls.failed && c->linger_bytes < LINGER_MAX;
}

static bool is_over(const struct mesh_conn *c)
{
	bool unread = mesh_tls_pending(&c->tls);

	return c->tls.failed || (c->tls.eof && (c->req ? c->req->streaming : !unread)) ||
	       (c->closing && !c->req && !c->coming && !unread);
}

/* Serves what has come in, and sends what goes out, until one of them has to wait. */
static void turn(struct mesh_conn *c)
{
	bool was_full;

	do {
		c->pumping = true;
		read_requests(c);
		c->pumping = false;
		if (c->dead || (c->req && c->req->tunnel))
			return;
		was_full = full(c);
		mesh_tls_flush(&c->tls);
	} while (was_full && !full(c) && !c->req && !c->tls.failed);
}

static void pump(struct mesh_conn *c)
{
	if (c->pumping || c->dead)
		return;
	if (c->req && c->req->tunnel) {
		c->req->tunnel(c->req);
		return;
	}
	turn(c);
	if (c->dead || (c->req && c->req->tunnel))
		return;
	if (is_over(c)) {
		if (!linger(c))
			conn_close(c);
		return;
	}
	set_phase(c);
	if (c->req && c->req->drained)
		c->req->drained(c->req);
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
