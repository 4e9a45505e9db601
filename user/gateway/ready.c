/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ready.h"

#include "core/buf.h"
#include "core/mem.h"
#include "core/vec.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

enum { REQUEST_MAX = 4096, CONNS_MAX = 64 };

struct ready_conn {
	struct mesh_io io;
	struct mesh_ready *ready;
	struct mesh_timer timeout;
	struct mesh_buf in;
};

struct mesh_ready {
	struct mesh_loop *loop;
	struct mesh_io io;
	bool is_ready;
	MESH_VEC(struct ready_conn *) conns;
};

int mesh_listen_any(uint16_t port)
{
	int one = 1, zero = 0;
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
	struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	mesh_auto_fd int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool v6 = fd >= 0;

	if (!v6)
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, v6 ? (struct sockaddr *)&any6 : (struct sockaddr *)&any4, v6 ? sizeof(any6) : sizeof(any4)) < 0 ||
	    listen(fd, 4096) < 0)
		return -errno;
	return mesh_steal_fd(&fd);
}

static void conn_close(struct ready_conn *conn)
{
	struct mesh_ready *ready = conn->ready;

	for (size_t i = 0; i < ready->conns.count; i++)
		if (ready->conns.items[i] == conn) {
			mesh_vec_remove(&ready->conns, i);
			break;
		}
	mesh_timer_remove(ready->loop, &conn->timeout);
	mesh_io_remove(ready->loop, &conn->io);
	close(conn->io.fd);
	mesh_buf_free(&conn->in);
	free(conn);
}

/* One request, one answer, close: a probe needs no more. */
static void answer(struct ready_conn *conn)
{
	struct mesh_slice in = mesh_buf_view(&conn->in);
	bool known = mesh_slice_starts(in, MESH_SLICE("GET /healthz/ready ")) ||
		     mesh_slice_starts(in, MESH_SLICE("GET /healthz/ready?"));
	const char *status = !known ? "404 Not Found" : conn->ready->is_ready ? "200 OK" : "503 Service Unavailable";
	char text[160];
	int n = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", status);

	if (send(conn->io.fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n)
		shutdown(conn->io.fd, SHUT_WR);
}

static void on_conn(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct ready_conn *conn = mesh_container_of(io, struct ready_conn, io);
	ssize_t n = recv(io->fd, mesh_buf_room(&conn->in, 1024), 1024, MSG_DONTWAIT);

	(void)loop;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		conn->in.len += (size_t)n;
		conn->in.data[conn->in.len] = '\0';
		if (!strstr(conn->in.data, "\r\n\r\n") && conn->in.len < REQUEST_MAX)
			return;
		answer(conn);
	}
	conn_close(conn);
}

static void on_timeout(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	conn_close(mesh_container_of(timer, struct ready_conn, timeout));
}

static void on_accept(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_ready *ready = mesh_container_of(io, struct mesh_ready, io);
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ready_conn *conn;

	(void)events;
	if (fd < 0)
		return;
	if (ready->conns.count >= CONNS_MAX) {
		close(fd);
		return;
	}
	conn = mesh_xcalloc(1, sizeof(*conn));
	*conn = (struct ready_conn){.io = {.fd = fd, .fn = on_conn}, .ready = ready, .timeout.fn = on_timeout};
	mesh_vec_push(&ready->conns, conn);
	mesh_timer_set(loop, &conn->timeout, MESH_SEC(5));
	if (mesh_io_set(loop, &conn->io, EPOLLIN) < 0)
		conn_close(conn);
}

int mesh_ready_new(struct mesh_ready **ret, struct mesh_loop *loop, uint16_t port)
{
	int fd = mesh_listen_any(port), r;
	struct mesh_ready *ready;

	if (fd < 0)
		return fd;
	ready = mesh_xcalloc(1, sizeof(*ready));
	*ready = (struct mesh_ready){.loop = loop, .io = {.fd = fd, .fn = on_accept}};
	r = mesh_io_set(loop, &ready->io, EPOLLIN);
	if (r < 0) {
		mesh_ready_free(ready);
		return r;
	}
	*ret = ready;
	return 0;
}

void mesh_ready_set(struct mesh_ready *ready, bool is_ready)
{
	ready->is_ready = is_ready;
}

void mesh_ready_free(struct mesh_ready *ready)
{
	if (!ready)
		return;
	while (ready->conns.count)
		conn_close(ready->conns.items[0]);
	mesh_vec_free(&ready->conns);
	mesh_io_remove(ready->loop, &ready->io);
	close(ready->io.fd);
	free(ready);
}
