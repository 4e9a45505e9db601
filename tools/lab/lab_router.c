/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lab's door: the only listeners on the host, both on loopback. Port 6443 leads to the API in the
 * fabric, port 80 to a ready pod of the ingress gateway, in turn.
 */
#include "lab/lab_internal.h"

#include "core/addr.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/netns.h"
#include "kube/kube.h"
#include "lab/lab_net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

enum { PIPE_MAX = 128 << 10 };

#define INGRESS_SLICES "/apis/discovery.k8s.io/v1/namespaces/istio-system/endpointslices"
#define INGRESS_QUERY  "labelSelector=kubernetes.io%2Fservice-name%3Distio-ingressgateway"

struct router {
	struct mesh_loop *loop;
	struct mesh_lab lab;
	int fabric_ns;
	struct mesh_addr api;
	struct mesh_io api_listener, http_listener;
	struct mesh_timer http_again;
	bool http_told;
	struct mesh_map slices; /* name -> json_t * */
	MESH_VEC(struct mesh_addr) ingress;
	size_t turn;
	struct mesh_kube *kube;
};

/* One direction's bytes, on their way to an end. */
struct end {
	struct mesh_io io; /* first */
	struct link *link;
	struct mesh_buf out; /* to be written here */
	size_t sent;
	bool eof, shut;
};

/* A connection through the door. */
struct link {
	struct mesh_loop *loop;
	struct end client, server;
	bool connecting;
};

static void link_free(struct link *l)
{
	struct end *ends[] = {&l->client, &l->server};

	for (size_t i = 0; i < 2; i++) {
		mesh_io_remove(l->loop, &ends[i]->io);
		mesh_cleanup_fd(&ends[i]->io.fd);
		mesh_buf_free(&ends[i]->out);
	}
	free(l);
}

/* Reads from one end for the other. Returns -errno when the link is broken. */
static int end_read(struct end *from, struct end *to)
{
	char *room;
	ssize_t n;

	if (from->eof || to->out.len - to->sent >= PIPE_MAX)
		return 0;
	room = mesh_buf_room(&to->out, 65536);
	n = recv(from->io.fd, room, 65536, 0);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	to->out.len += (size_t)n;
	from->eof = n == 0;
	return 0;
}

static int end_write(struct end *to, const struct end *from)
{
	while (to->sent < to->out.len) {
		ssize_t n = send(to->io.fd, to->out.data + to->sent, to->out.len - to->sent, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		to->sent += (size_t)n;
	}
	mesh_buf_clear(&to->out);
	to->sent = 0;
	if (from->eof && !to->shut) {
		to->shut = true;
		shutdown(to->io.fd, SHUT_WR);
	}
	return 0;
}

static uint32_t end_wants(const struct end *e, const struct end *other)
{
	return (!e->eof && other->out.len - other->sent < PIPE_MAX ? EPOLLIN : 0) | (e->out.len ? EPOLLOUT : 0);
}

static void link_step(struct link *l, struct end *at, uint32_t events)
{
	struct end *other = at == &l->client ? &l->server : &l->client;

	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && end_read(at, other) < 0)
		goto broken;
	if (l->connecting && at == &l->server && (events & EPOLLOUT))
		l->connecting = false;
	if (end_write(&l->client, &l->server) < 0)
		goto broken;
	if (!l->connecting && end_write(&l->server, &l->client) < 0)
		goto broken;
	if (l->client.shut && l->server.shut)
		goto broken;
	if ((events & EPOLLHUP) && at->eof && !at->out.len)
		goto broken;
	mesh_io_set(l->loop, &l->client.io, end_wants(&l->client, &l->server));
	mesh_io_set(l->loop, &l->server.io, end_wants(&l->server, &l->client) | (l->connecting ? EPOLLOUT : 0));
	return;
broken:
	link_free(l);
}

static void end_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct end *e = (struct end *)io;

	(void)loop;
	link_step(e->link, e, events);
}

static void link_new(struct router *r, int client, const struct mesh_addr *to)
{
	struct link *l = mesh_xcalloc(1, sizeof(*l));
	struct sockaddr_storage ss;
	socklen_t len = mesh_addr_to_sock(to, &ss);
	int one = 1;

	l->loop = r->loop;
	l->client.link = l->server.link = l;
	l->client.io.fn = l->server.io.fn = end_ready;
	l->client.io.fd = client;
	l->server.io.fd = mesh_netns_socket(r->fabric_ns, ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (l->server.io.fd < 0 ||
	    (connect(l->server.io.fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS)) {
		link_free(l);
		return;
	}
	l->connecting = true;
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(l->server.io.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (mesh_io_set(r->loop, &l->server.io, EPOLLOUT) < 0 || mesh_io_set(r->loop, &l->client.io, EPOLLIN) < 0)
		link_free(l);
}

static void api_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct router *r = mesh_container_of(io, struct router, api_listener);
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)loop;
	(void)events;
	if (fd >= 0)
		link_new(r, fd, &r->api);
}

static void refuse(int fd)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
				   "Content-Length: 43\r\nConnection: close\r\n\r\n"
				   "no pod of istio-system/istio-ingressgateway";

	if (send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL) > 0)
		shutdown(fd, SHUT_WR);
	close(fd);
}

static void http_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct router *r = mesh_container_of(io, struct router, http_listener);
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)loop;
	(void)events;
	if (fd < 0)
		return;
	if (r->ingress.count == 0)
		refuse(fd);
	else
		link_new(r, fd, &r->ingress.items[r->turn++ % r->ingress.count]);
}

static int listen_on(struct router *r, struct mesh_io *io, mesh_io_fn *fn, uint16_t port)
{
	struct sockaddr_storage ss;
	char ip[MESH_LAB_TEXT];
	struct mesh_addr a;
	socklen_t len;
	int one = 1;

	mesh_addr_parse(mesh_slice_str(mesh_lab_host_ip(&r->lab, ip)), port, &a);
	len = mesh_addr_to_sock(&a, &ss);
	io->fn = fn;
	io->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(io->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (io->fd < 0 || bind(io->fd, (struct sockaddr *)&ss, len) < 0 || listen(io->fd, 1024) < 0) {
		int e = -errno;

		mesh_cleanup_fd(&io->fd);
		return e;
	}
	return mesh_io_set(r->loop, io, EPOLLIN);
}

/* Something else may listen on port 80 of every address: the API is reached all the same. */
static void open_http(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct router *r = mesh_container_of(timer, struct router, http_again);
	int e = listen_on(r, &r->http_listener, http_ready, 80);

	if (e < 0 && !r->http_told)
		mesh_error("port 80: %s; trying again", strerror(-e));
	r->http_told = e < 0;
	if (e < 0)
		mesh_timer_set(loop, timer, MESH_SEC(1));
}

static void add_slice(struct router *r, const json_t *slice)
{
	json_t *port, *endpoint;
	json_int_t number = 0;
	size_t i;

	json_array_foreach(json_object_get(slice, "ports"), i, port)
	{
		const char *name = json_string_value(json_object_get(port, "name"));

		if (number == 0 || (name && strncmp(name, "http2", 5) == 0))
			number = json_integer_value(json_object_get(port, "port"));
	}
	json_array_foreach(json_object_get(slice, "endpoints"), i, endpoint)
	{
		const char *ip = json_string_value(json_array_get(json_object_get(endpoint, "addresses"), 0));
		json_t *ready = json_object_get(json_object_get(endpoint, "conditions"), "ready");
		struct mesh_addr a;

		if (!json_is_false(ready) && ip && mesh_addr_parse(mesh_slice_str(ip), (uint16_t)number, &a) == 0)
			mesh_vec_push(&r->ingress, a);
	}
}

static void slice_changed(void *arg, enum mesh_kube_event event, const json_t *obj, const char *rv)
{
	struct router *r = arg;
	const char *name = json_string_value(json_object_get(json_object_get(obj, "metadata"), "name"));
	json_t *old = NULL;

	(void)rv;
	if (event == MESH_KUBE_SET && name)
		old = mesh_map_put_str(&r->slices, name, json_deep_copy(obj));
	else if (event == MESH_KUBE_DELETE && name)
		old = mesh_map_remove_str(&r->slices, name);
	json_decref(old);
	r->ingress.count = 0;
	mesh_map_each (e, &r->slices)
		if (strcmp(json_string_value(json_object_get(e->value, "addressType")) ?: "", "IPv4") == 0)
			add_slice(r, e->value);
}

static void stop(void *arg)
{
	mesh_loop_stop(arg);
}

int mesh_lab_router(const struct mesh_lab_args *args)
{
	static struct router r;
	char text[MESH_LAB_TEXT];
	int e;

	mesh_log_init("router", MESH_LOG_INFO);
	if (mesh_lab_pick(args, &r.lab) < 0 || mesh_loop_new(&r.loop) < 0)
		return 1;
	r.fabric_ns = mesh_lab_netns_open(mesh_lab_netns_name(&r.lab, "fabric", text));
	mesh_addr_parse(mesh_slice_str(mesh_lab_fabric_ip(&r.lab, MESH_LAB_CONTROL_HOST, text)), MESH_LAB_API_PORT,
			&r.api);
	mesh_loop_on_term(r.loop, stop, r.loop);
	if (r.fabric_ns < 0)
		return 1;
	e = listen_on(&r, &r.api_listener, api_ready, MESH_LAB_API_PORT);
	if (e < 0) {
		mesh_error("%s:%d: %s", mesh_lab_host_ip(&r.lab, text), MESH_LAB_API_PORT, strerror(-e));
		return 1;
	}
	r.http_again.fn = open_http;
	open_http(r.loop, &r.http_again);
	if (mesh_lab_kube(&r.lab, r.loop, "meshctl-lab-router", &r.kube) < 0)
		return 1;
	mesh_kube_watch_new(r.kube, INGRESS_SLICES, INGRESS_QUERY, slice_changed, &r);
	return mesh_loop_run(r.loop) < 0;
}
