/* SPDX-License-Identifier: Apache-2.0 */
#include "obs/probe.h"

#include "core/mem.h"
#include "core/vec.h"
#include "proxy/http1.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { HEAD_MAX = 4096, FIELDS_MAX = 32, CONNS_MAX = 64, CONN_SECONDS = 5 };

struct probe_conn {
	struct mesh_io io;
	struct mesh_probe *probe;
	struct mesh_timer timeout;
	struct mesh_http1_head head;
	struct mesh_http1_field fields[FIELDS_MAX];
	struct mesh_buf in;
	bool answered; /* waits for the peer to read and hang up */
};

struct mesh_probe {
	struct mesh_loop *loop;
	struct mesh_io io;
	const struct mesh_probe_path *paths;
	void *arg;
	MESH_VEC(struct probe_conn *) conns;
};

static bool is_any(const struct mesh_addr *addr)
{
	return IN6_IS_ADDR_UNSPECIFIED(&addr->ip) || (mesh_addr_is_v4(addr) && mesh_addr_v4(addr) == INADDR_ANY);
}

/* Both families at once where the host has both. */
static int socket_any(uint16_t port, struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
	struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), zero = 0;

	if (fd >= 0) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
		memcpy(ss, &any6, *len = sizeof(any6));
		return fd;
	}
	memcpy(ss, &any4, *len = sizeof(any4));
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int mesh_probe_listen(const struct mesh_addr *addr)
{
	struct sockaddr_storage ss = {0};
	socklen_t len;
	mesh_auto_fd int fd = -1;
	int one = 1;

	if (is_any(addr)) {
		fd = socket_any(addr->port, &ss, &len);
	} else {
		len = mesh_addr_to_sock(addr, &ss);
		fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, 4096) < 0)
		return -errno;
	return mesh_steal_fd(&fd);
}

static void conn_close(struct probe_conn *conn)
{
	struct mesh_probe *probe = conn->probe;

	for (size_t i = 0; i < probe->conns.count; i++)
		if (probe->conns.items[i] == conn) {
			mesh_vec_remove(&probe->conns, i);
			break;
		}
	mesh_timer_remove(probe->loop, &conn->timeout);
	mesh_io_remove(probe->loop, &conn->io);
	close(conn->io.fd);
	mesh_buf_free(&conn->in);
	free(conn);
}

static const struct mesh_probe_path *find_path(const struct mesh_probe *probe, struct mesh_slice target)
{
	ssize_t query = mesh_slice_find(target, '?');

	if (query >= 0)
		target.len = (size_t)query;
	for (const struct mesh_probe_path *p = probe->paths; p->path; p++)
		if (mesh_slice_eq(target, mesh_slice_str(p->path)))
			return p;
	return NULL;
}

static int answer_of(const struct probe_conn *conn, struct mesh_buf *text)
{
	const struct mesh_http1_head *h = &conn->head;
	const struct mesh_probe_path *path;

	if (!mesh_slice_eq(h->method, MESH_SLICE("GET")) && !mesh_slice_eq(h->method, MESH_SLICE("HEAD"))) {
		mesh_buf_str(text, "only GET and HEAD are served here\n");
		return 405;
	}
	path = find_path(conn->probe, h->path);
	if (path)
		return path->answer(conn->probe->arg, text);
	mesh_buf_str(text, "nothing is served at this path\n");
	return 404;
}

/* The answer is far smaller than a socket's buffer: it goes at once, or the peer is no kubelet. */
static void reply(struct probe_conn *conn, int status, struct mesh_slice text)
{
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};

	mesh_buf_printf(&out,
			"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %zu\r\n"
			"connection: close\r\n\r\n",
			status, mesh_http1_reason(status), text.len);
	if (!mesh_slice_eq(conn->head.method, MESH_SLICE("HEAD")))
		mesh_buf_slice(&out, text);
	conn->answered = true;
	if (send(conn->io.fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)out.len ||
	    shutdown(conn->io.fd, SHUT_WR) < 0)
		conn_close(conn);
}

/* Takes what came; the rest of a connection that was answered is thrown away until its end. */
static void on_conn(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct probe_conn *conn = mesh_container_of(io, struct probe_conn, io);
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	ssize_t n = recv(io->fd, mesh_buf_room(&conn->in, 1024), 1024, MSG_DONTWAIT);
	int status;

	(void)loop;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(conn);
		return;
	}
	if (conn->answered)
		return;
	conn->in.len += (size_t)n;
	switch (mesh_http1_head_parse(&conn->head, conn->in.data, conn->in.len)) {
	case MESH_HTTP1_MORE:
		break;
	case MESH_HTTP1_ERROR:
		mesh_buf_printf(&text, "%s\n", mesh_http1_error_text(conn->head.error));
		reply(conn, mesh_http1_error_status(conn->head.error), mesh_buf_view(&text));
		break;
	case MESH_HTTP1_DONE:
		status = answer_of(conn, &text);
		reply(conn, status, mesh_buf_view(&text));
		break;
	}
}

static void on_timeout(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	conn_close(mesh_container_of(timer, struct probe_conn, timeout));
}

static void on_accept(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	static const struct mesh_http1_limits limits = {.head_bytes = HEAD_MAX, .line_bytes = HEAD_MAX / 2};
	struct mesh_probe *probe = mesh_container_of(io, struct mesh_probe, io);
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct probe_conn *conn;

	(void)events;
	if (fd < 0)
		return;
	if (probe->conns.count >= CONNS_MAX) /* the oldest gives way: who holds many shuts nobody out */
		conn_close(probe->conns.items[0]);
	conn = mesh_xcalloc(1, sizeof(*conn));
	conn->io = (struct mesh_io){.fd = fd, .fn = on_conn};
	conn->probe = probe;
	conn->timeout.fn = on_timeout;
	mesh_http1_head_init(&conn->head, MESH_HTTP1_REQUEST, conn->fields, FIELDS_MAX, &limits);
	mesh_vec_push(&probe->conns, conn);
	mesh_timer_set(loop, &conn->timeout, MESH_SEC(CONN_SECONDS));
	if (mesh_io_set(loop, &conn->io, EPOLLIN) < 0)
		conn_close(conn);
}

int mesh_probe_new(struct mesh_probe **ret, struct mesh_loop *loop, const struct mesh_addr *addr,
		   const struct mesh_probe_path *paths, void *arg)
{
	int fd = mesh_probe_listen(addr), r;
	struct mesh_probe *probe;

	if (fd < 0)
		return fd;
	probe = mesh_xcalloc(1, sizeof(*probe));
	*probe = (struct mesh_probe){.loop = loop, .io = {.fd = fd, .fn = on_accept}, .paths = paths, .arg = arg};
	r = mesh_io_set(loop, &probe->io, EPOLLIN);
	if (r < 0) {
		mesh_probe_free(probe);
		return r;
	}
	*ret = probe;
	return 0;
}

void mesh_probe_free(struct mesh_probe *probe)
{
	if (!probe)
		return;
	while (probe->conns.count)
		conn_close(probe->conns.items[0]);
	mesh_vec_free(&probe->conns);
	mesh_io_remove(probe->loop, &probe->io);
	close(probe->io.fd);
	free(probe);
}
