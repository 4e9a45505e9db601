/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the proxy over real sockets on loopback: upstream servers (a thread each and one
 * for each connection) that behave as the path asks, configurations made in code, and a
 * client that sends bytes as given. Everything waits at most five seconds.
 */
#ifndef MESH_PROXY_LAB_H
#define MESH_PROXY_LAB_H

#include "core/buf.h"
#include "core/loop.h"
#include "core/mem.h"
#include "proxy/http1.h"
#include "proxy/proxy.h"
#include "test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>

#define LAB __attribute__((unused)) static

LAB void lab_sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

LAB int lab_listen(uint16_t *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, 128) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		abort();
	*port = ntohs(sa.sin_port);
	return fd;
}

LAB int lab_connect(uint16_t port)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval five = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &five, sizeof(five));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &five, sizeof(five));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		abort();
	return fd;
}

LAB bool lab_send(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

LAB bool lab_say(int fd, const char *text)
{
	return lab_send(fd, text, strlen(text));
}

/* One message as it was received; body without its framing, raw with it. */
struct lab_message {
	struct mesh_http1_head head;
	struct mesh_http1_field fields[64];
	struct mesh_buf in; /* bytes not used yet */
	struct mesh_buf text, body, raw;
	bool eof;
};

LAB void lab_message_free(struct lab_message *m)
{
	mesh_buf_free(&m->in);
	mesh_buf_free(&m->text);
	mesh_buf_free(&m->body);
	mesh_buf_free(&m->raw);
}

LAB bool lab_more(int fd, struct lab_message *m)
{
	ssize_t n = recv(fd, mesh_buf_room(&m->in, 65536), 65536, 0);

	m->eof = n == 0;
	if (n > 0)
		m->in.len += (size_t)n;
	m->in.data[m->in.len] = '\0';
	return n > 0;
}

LAB bool lab_read_body(int fd, struct lab_message *m, struct mesh_http1_body *b)
{
	for (;;) {
		struct mesh_slice part;
		size_t used;
		enum mesh_http1_result r = mesh_http1_body_next(b, m->in.data, m->in.len, &used, &part);

		if (m->body.len < 1 << 20)
			mesh_buf_slice(&m->body, part);
		if (m->raw.len < 1 << 20)
			mesh_buf_add(&m->raw, m->in.data, used);
		mesh_buf_consume(&m->in, used);
		if (r != MESH_HTTP1_MORE)
			return r == MESH_HTTP1_DONE;
		if (m->in.len == 0 && !lab_more(fd, m))
			return b->framing == MESH_HTTP1_CLOSE && m->eof;
	}
}

LAB bool lab_read_head(int fd, struct lab_message *m, enum mesh_http1_kind kind)
{
	enum mesh_http1_result r;

	mesh_buf_clear(&m->text);
	mesh_buf_clear(&m->body);
	mesh_buf_clear(&m->raw);
	mesh_http1_head_init(&m->head, kind, m->fields, 64, NULL);
	while ((r = mesh_http1_head_parse(&m->head, m->in.data, m->in.len)) == MESH_HTTP1_MORE)
		if (!lab_more(fd, m))
			return false;
	if (r != MESH_HTTP1_DONE)
		return false;
	/* Parsed again where it stays: m->in moves on. */
	mesh_buf_add(&m->text, m->in.data, m->head.size);
	mesh_buf_consume(&m->in, m->head.size);
	mesh_http1_head_init(&m->head, kind, m->fields, 64, NULL);
	return mesh_http1_head_parse(&m->head, m->text.data, m->text.len) == MESH_HTTP1_DONE;
}

/* The next response; false at the end of the connection, a timeout, or if it is bad. */
LAB bool lab_response_to(int fd, struct lab_message *m, const char *method)
{
	struct mesh_http1_body b;

	if (!lab_read_head(fd, m, MESH_HTTP1_RESPONSE))
		return false;
	mesh_http1_body_response(&b, &m->head, mesh_slice_str(method));
	if (m->head.status == 101 || (strcmp(method, "CONNECT") == 0 && m->head.status == 200))
		return true;
	return lab_read_body(fd, m, &b);
}

LAB bool lab_response(int fd, struct lab_message *m)
{
	return lab_response_to(fd, m, "GET");
}

/* The value of a response field, or "-". Valid until the next call. */
LAB const char *lab_field(const struct lab_message *m, const char *name)
{
	static char out[512];
	const struct mesh_http1_field *f = mesh_http1_head_find(&m->head, name);

	snprintf(out, sizeof(out), "%.*s", f ? (int)f->value.len : 1, f ? f->value.ptr : "-");
	return out;
}

/* A request of its own on a connection of its own: the status, with the body in m->body. */
LAB int lab_get(uint16_t port, struct lab_message *m, const char *host, const char *path)
{
	mesh_auto_free char *text = mesh_xasprintf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
	mesh_auto_fd int fd = lab_connect(port);

	m->in.len = 0;
	return lab_say(fd, text) && lab_response(fd, m) ? m->head.status : -1;
}

/* ---- upstreams ---- */

struct lab_upstream {
	const char *name;
	uint16_t port;
	int fd;
	pthread_t thread;
	atomic_uint connections, open, requests;
	atomic_uint_fast64_t sent, received;
	atomic_bool stopping;
};

struct lab_connection {
	struct lab_upstream *up;
	struct lab_message m;
	unsigned served;
	int fd;
};

LAB bool lab_answer(struct lab_connection *c, const char *status, const char *fields, const char *body)
{
	mesh_auto_free char *text =
		mesh_xasprintf("HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, fields, strlen(body), body);

	return lab_say(c->fd, text);
}

LAB bool lab_send_zeros(struct lab_connection *c, size_t n)
{
	static const char zeros[65536];
	mesh_auto_free char *head = mesh_xasprintf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);

	if (!lab_say(c->fd, head))
		return false;
	while (n) {
		size_t part = n < sizeof(zeros) ? n : sizeof(zeros);

		if (!lab_send(c->fd, zeros, part))
			return false;
		n -= part;
		atomic_fetch_add(&c->up->sent, part);
	}
	return true;
}

LAB void lab_echo_bytes(struct lab_connection *c)
{
	lab_send(c->fd, c->m.in.data, c->m.in.len);
	mesh_buf_clear(&c->m.in);
	while (lab_more(c->fd, &c->m)) {
		lab_send(c->fd, c->m.in.data, c->m.in.len);
		mesh_buf_clear(&c->m.in);
	}
	lab_say(c->fd, "bye");
}

LAB bool lab_take_body(struct lab_connection *c)
{
	struct mesh_http1_body b;

	mesh_http1_body_request(&b, &c->m.head);
	if (!lab_read_body(c->fd, &c->m, &b))
		return false;
	atomic_fetch_add(&c->up->received, b.total);
	return true;
}

LAB bool lab_path_is(const struct lab_connection *c, const char *path)
{
	return mesh_slice_starts(c->m.head.path, mesh_slice_str(path));
}

LAB unsigned long lab_path_number(const struct lab_connection *c, const char *path)
{
	return strtoul(c->m.head.path.ptr + strlen(path), NULL, 10);
}

/* What is answered before the request's body is read. Returns -1: not one of these; else whether to go on. */
LAB int lab_serve_early(struct lab_connection *c)
{
	if (mesh_slice_eq(c->m.head.method, MESH_SLICE("CONNECT")) || lab_path_is(c, "/upgrade")) {
		lab_say(c->fd, lab_path_is(c, "/upgrade") ? "HTTP/1.1 101 Switching Protocols\r\nConnection: "
							    "upgrade\r\nUpgrade: echo\r\n\r\nhi!"
							  : "HTTP/1.1 200 OK\r\n\r\n");
		lab_echo_bytes(c);
		return false;
	}
	if (lab_path_is(c, "/early"))
		return lab_answer(c, "413 Payload Too Large", "", "too large") && false;
	if (lab_path_is(c, "/stale") && c->served > 1)
		return false;
	if (c->m.head.expect_continue)
		lab_say(c->fd, "HTTP/1.1 100 Continue\r\n\r\n");
	return -1;
}

LAB bool lab_serve_late(struct lab_connection *c)
{
	if (lab_path_is(c, "/zeros/"))
		return lab_send_zeros(c, lab_path_number(c, "/zeros/"));
	if (lab_path_is(c, "/slow/"))
		lab_sleep_ms((unsigned)lab_path_number(c, "/slow/"));
	if (lab_path_is(c, "/chunked"))
		return lab_say(c->fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
				      "5;x=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n");
	if (lab_path_is(c, "/204"))
		return lab_say(c->fd, "HTTP/1.1 204 No Content\r\n\r\n");
	if (lab_path_is(c, "/304"))
		return lab_say(c->fd, "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n");
	if (lab_path_is(c, "/close"))
		return lab_say(c->fd, "HTTP/1.1 200 OK\r\n\r\nuntil the end") && false;
	if (lab_path_is(c, "/cut"))
		return lab_say(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort") && false;
	if (lab_path_is(c, "/garbage"))
		return lab_say(c->fd, "SSH-2.0-OpenSSH\r\n") && false;
	if (lab_path_is(c, "/drop"))
		return false;
	if (lab_path_is(c, "/hops"))
		return lab_answer(c, "200 OK",
				  "Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nX-End: 2\r\nKeep-Alive: timeout=1\r\n"
				  "X-Envoy-Upstream-Service-Time: 9\r\n",
				  "hops");
	if (lab_path_is(c, "/raw") || mesh_slice_eq(c->m.head.method, MESH_SLICE("OPTIONS")))
		return lab_answer(c, "200 OK", "", c->m.text.data);
	if (lab_path_is(c, "/body"))
		return lab_answer(c, "200 OK", "", c->m.body.data ? c->m.body.data : "");
	if (mesh_slice_eq(c->m.head.method, MESH_SLICE("HEAD")))
		return lab_say(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
	return lab_answer(c, "200 OK", "", c->up->name);
}

LAB void *lab_serve(void *arg)
{
	struct lab_connection *c = arg;
	int go = 1;

	while (go > 0 && lab_read_head(c->fd, &c->m, MESH_HTTP1_REQUEST)) {
		c->served++;
		atomic_fetch_add(&c->up->requests, 1);
		go = lab_serve_early(c);
		if (go < 0)
			go = lab_take_body(c) && lab_serve_late(c);
	}
	atomic_fetch_sub(&c->up->open, 1);
	close(c->fd);
	lab_message_free(&c->m);
	free(c);
	return NULL;
}

LAB void *lab_accept(void *arg)
{
	struct lab_upstream *up = arg;

	for (;;) {
		int fd = accept(up->fd, NULL, NULL);
		struct timeval ten = {.tv_sec = 10};
		struct lab_connection *c;
		pthread_t t;

		if (fd < 0 || atomic_load(&up->stopping)) {
			if (fd >= 0)
				close(fd);
			return NULL;
		}
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &ten, sizeof(ten));
		c = mesh_xcalloc(1, sizeof(*c));
		c->up = up;
		c->fd = fd;
		atomic_fetch_add(&up->connections, 1);
		atomic_fetch_add(&up->open, 1);
		pthread_create(&t, NULL, lab_serve, c);
		pthread_detach(t);
	}
}

LAB void lab_upstream_start(struct lab_upstream *up, const char *name)
{
	*up = (struct lab_upstream){.name = name};
	up->fd = lab_listen(&up->port);
	pthread_create(&up->thread, NULL, lab_accept, up);
}

/* After the proxy is gone, so that connections end. */
LAB void lab_upstream_stop(struct lab_upstream *up)
{
	atomic_store(&up->stopping, true);
	close(lab_connect(up->port));
	pthread_join(up->thread, NULL);
	close(up->fd);
	for (int i = 0; i < 2000 && atomic_load(&up->open); i++)
		lab_sleep_ms(5);
}

/* ---- configurations ---- */

LAB void lab_config_destroy(struct mesh_l7_config *cfg)
{
	mesh_pmap_each(e, &cfg->gateway) mesh_pmap_free(&((struct mesh_l7_table *)e->value)->exact);
	mesh_pmap_each(e, &cfg->outbound) mesh_pmap_free(&((struct mesh_l7_table *)e->value)->exact);
	mesh_pmap_free(&cfg->gateway);
	mesh_pmap_free(&cfg->outbound);
	mesh_pmap_free(&cfg->by_vip);
	mesh_arena_free(&cfg->arena);
	free(cfg);
}

LAB struct mesh_l7_config *lab_config(void)
{
	struct mesh_l7_config *cfg = mesh_xcalloc(1, sizeof(*cfg));

	atomic_store(&cfg->refs, 1);
	cfg->destroy = lab_config_destroy;
	return cfg;
}

LAB struct mesh_addr lab_addr(uint16_t port)
{
	return mesh_addr_from_v4(htonl(INADDR_LOOPBACK), port);
}

/* Endpoints on loopback at the ports given, up to the first 0. state: kept by the caller, NULL: of the configuration.
 */
LAB struct mesh_l7_cluster *lab_cluster(struct mesh_l7_config *cfg, struct mesh_l7_state *state, const uint16_t *ports)
{
	struct mesh_l7_cluster *c = mesh_arena_new(&cfg->arena, struct mesh_l7_cluster);
	struct mesh_l7_endpoint *e;
	size_t n = 0;

	while (ports && ports[n])
		n++;
	e = mesh_arena_array(&cfg->arena, struct mesh_l7_endpoint, n + 1);
	for (size_t i = 0; i < n; i++) {
		e[i].addr = lab_addr(ports[i]);
		e[i].active = mesh_arena_new(&cfg->arena, atomic_uint_fast32_t);
	}
	c->name = "cluster";
	c->endpoints = e;
	c->endpoint_count = n;
	c->state = state ? state : mesh_arena_new(&cfg->arena, struct mesh_l7_state);
	return c;
}

/* A host of a table whose requests all go to one cluster (NULL: NC). Returns its one route. */
LAB struct mesh_l7_route *lab_host(struct mesh_l7_config *cfg, struct mesh_l7_table *t, const char *host,
				   const struct mesh_l7_cluster *c)
{
	struct mesh_l7_vhost *v = mesh_arena_new(&cfg->arena, struct mesh_l7_vhost);
	struct mesh_l7_route *r = mesh_arena_new(&cfg->arena, struct mesh_l7_route);
	struct mesh_l7_dest *d = mesh_arena_new(&cfg->arena, struct mesh_l7_dest);

	*d = (struct mesh_l7_dest){.name = "cluster", .cluster = c, .weight = 100};
	*r = (struct mesh_l7_route){.dests = d, .dest_count = 1, .total_weight = 100};
	r->state = mesh_arena_new(&cfg->arena, struct mesh_l7_state);
	*v = (struct mesh_l7_vhost){.name = host, .routes = r, .route_count = 1};
	if (strcmp(host, "*") == 0)
		t->any = v;
	else
		mesh_pmap_put_str(&t->exact, host, v);
	return r;
}

LAB struct mesh_l7_table *lab_table(struct mesh_l7_config *cfg, struct mesh_pmap *in, const char *key,
				    enum mesh_l7_default fallback)
{
	struct mesh_l7_table *t = mesh_arena_new(&cfg->arena, struct mesh_l7_table);

	t->fallback = fallback;
	mesh_pmap_put_str(in, key, t);
	return t;
}

/* A gateway's configuration: everything goes to the endpoints. */
LAB struct mesh_l7_config *lab_config_any(struct mesh_l7_state *state, const uint16_t *ports)
{
	struct mesh_l7_config *cfg = lab_config();

	lab_host(cfg, lab_table(cfg, &cfg->gateway, "80", MESH_L7_NOT_FOUND), "*", lab_cluster(cfg, state, ports));
	return cfg;
}

/* ---- the proxy under test ---- */

struct lab_proxy {
	struct mesh_proxy *proxy;
	struct mesh_proxy_listener *listener;
	struct mesh_addr origdst;
	uint16_t port;
};

LAB int lab_origdst(void *arg, int fd, const struct mesh_addr *local, const struct mesh_addr *peer,
		    struct mesh_addr *ret)
{
	struct lab_proxy *p = arg;

	(void)fd;
	if (local->port != p->port || peer->port == 0 || p->origdst.port == 0)
		return -ENOENT;
	*ret = p->origdst;
	return 0;
}

LAB void lab_listen_gateway(struct lab_proxy *p)
{
	struct mesh_proxy_listen l = {.upstream_netns_fd = -1, .gateway_port = 80, .fd = lab_listen(&p->port)};

	if (mesh_proxy_listen(p->proxy, &l, &p->listener) < 0)
		abort();
}

LAB void lab_listen_pod(struct lab_proxy *p, const struct mesh_proxy_client *client)
{
	struct mesh_proxy_listen l = {.upstream_netns_fd = -1,
				      .netns_cookie = 1,
				      .client = client,
				      .origdst = lab_origdst,
				      .origdst_arg = p,
				      .fd = lab_listen(&p->port)};

	if (mesh_proxy_listen(p->proxy, &l, &p->listener) < 0)
		abort();
}

LAB void lab_proxy_start(struct lab_proxy *p, const struct mesh_proxy_opts *opts, struct mesh_l7_config *cfg)
{
	*p = (struct lab_proxy){0};
	if (mesh_proxy_new(&p->proxy, opts) < 0)
		abort();
	if (cfg)
		mesh_proxy_publish(p->proxy, cfg);
}

LAB void lab_proxy_stop(struct lab_proxy *p)
{
	mesh_proxy_free(p->proxy, 0);
}

LAB struct mesh_proxy_stats lab_stats(const struct lab_proxy *p)
{
	struct mesh_proxy_stats s;

	mesh_proxy_stats(p->proxy, &s);
	return s;
}

/* TEST() with a world around it, which start(...) and stop() of the including file make; taken down also when a CHECK
 * fails. */
#define WORLD(id, ...)                                                                                                 \
	static void world_##id(void);                                                                                  \
	TEST(id)                                                                                                       \
	{                                                                                                              \
		start(__VA_ARGS__);                                                                                    \
		world_##id();                                                                                          \
		stop();                                                                                                \
	}                                                                                                              \
	static void world_##id(void)

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

#endif
