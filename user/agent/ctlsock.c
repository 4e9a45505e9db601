/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctlsock.h"

#include "core/buf.h"
#include "core/fds.h"
#include "core/mem.h"
#include "core/vec.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { LINE_MAX_BYTES = 64 * 1024, CONNS_MAX = 64 };
#define ACCEPT_PAUSE_NS MESH_MS(50)

struct mesh_ctlsock_conn {
	struct mesh_ctlsock *sock;
	struct mesh_io io;
	struct mesh_buf in, out;
	int fd;    /* that came along, or -1 */
	bool busy; /* a request waits for its answer */
};

struct mesh_ctlsock {
	struct mesh_loop *loop;
	struct mesh_io io;
	struct mesh_timer pause; /* of accepting */
	char *path;
	mesh_ctlsock_fn *fn;
	mesh_ctlsock_gone_fn *gone;
	void *arg;
	MESH_VEC(struct mesh_ctlsock_conn *) conns;
};

static void conn_close(struct mesh_ctlsock_conn *conn)
{
	struct mesh_ctlsock *sock = conn->sock;

	if (conn->busy && sock->gone)
		sock->gone(sock->arg, conn);
	for (size_t i = 0; i < sock->conns.count; i++)
		if (sock->conns.items[i] == conn) {
			mesh_vec_remove(&sock->conns, i);
			break;
		}
	mesh_io_remove(sock->loop, &conn->io);
	close(conn->io.fd);
	mesh_cleanup_fd(&conn->fd);
	mesh_buf_free(&conn->in);
	mesh_buf_free(&conn->out);
	free(conn);
}

/* Hands over the next whole line. Returns false when the connection must close. */
static bool conn_next(struct mesh_ctlsock_conn *conn)
{
	while (!conn->busy) {
		ssize_t end = mesh_slice_find(mesh_buf_view(&conn->in), '\n');
		json_t *request;

		if (end < 0)
			return conn->in.len <= LINE_MAX_BYTES;
		request = json_loadb(conn->in.data, (size_t)end, JSON_REJECT_DUPLICATES, NULL);
		mesh_buf_consume(&conn->in, (size_t)end + 1);
		conn->busy = true;
		if (json_is_object(request))
			conn->sock->fn(conn->sock->arg, conn, request);
		else
			mesh_ctlsock_reply(conn, json_pack("{s:b, s:s}", "ok", 0, "error", "not a JSON object"));
		json_decref(request);
	}
	return true;
}

/* Returns false when the connection is broken. */
static bool conn_flush(struct mesh_ctlsock_conn *conn)
{
	while (conn->out.len) {
		ssize_t n = send(conn->io.fd, conn->out.data, conn->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			break;
		mesh_buf_consume(&conn->out, (size_t)n);
	}
	return mesh_io_set(conn->sock->loop, &conn->io, EPOLLIN | (conn->out.len ? EPOLLOUT : 0)) == 0;
}

int mesh_ctlsock_take_fd(struct mesh_ctlsock_conn *conn)
{
	return mesh_steal_fd(&conn->fd);
}

static ssize_t receive(struct mesh_ctlsock_conn *conn)
{
	struct iovec to = {.iov_base = mesh_buf_room(&conn->in, 4096), .iov_len = 4096};
	struct msghdr m = {.msg_iov = &to, .msg_iovlen = 1};
	int fds[MESH_FDS_MAX];
	union mesh_fds_room room;
	ssize_t n;

	mesh_fds_expect(&m, &room);
	n = recvmsg(conn->io.fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	/* One descriptor is kept, the newest; what comes beside it is closed. */
	for (size_t i = 0, count = n < 0 ? 0 : mesh_fds_take(&m, fds); i < count; i++) {
		mesh_cleanup_fd(&conn->fd);
		conn->fd = fds[i];
	}
	return n;
}

static void on_conn(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_ctlsock_conn *conn = mesh_container_of(io, struct mesh_ctlsock_conn, io);
	ssize_t n;

	(void)loop;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		n = receive(conn);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			conn_close(conn);
			return;
		}
		if (n > 0)
			conn->in.len += (size_t)n;
	}
	if (!conn_next(conn) || !conn_flush(conn))
		conn_close(conn);
}

void mesh_ctlsock_reply(struct mesh_ctlsock_conn *conn, json_t *reply)
{
	char *text = json_dumps(reply, JSON_COMPACT);

	mesh_buf_str(&conn->out, text ? text : "{}");
	mesh_buf_char(&conn->out, '\n');
	free(text);
	json_decref(reply);
	conn->busy = false;
	/* The rest happens in the loop: a failed send must not free the connection under the caller. */
	mesh_io_set(conn->sock->loop, &conn->io, EPOLLIN | EPOLLOUT);
}

static void resume(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_ctlsock *sock = mesh_container_of(timer, struct mesh_ctlsock, pause);

	if (mesh_io_set(loop, &sock->io, EPOLLIN) < 0)
		mesh_timer_set(loop, timer, ACCEPT_PAUSE_NS);
}

/* What stays in the backlog (no descriptor, no memory) would be reported for ever: looks again a little later. */
static void accept_failed(struct mesh_ctlsock *sock, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	mesh_io_remove(sock->loop, &sock->io);
	mesh_timer_set(sock->loop, &sock->pause, ACCEPT_PAUSE_NS);
}

static void on_accept(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_ctlsock *sock = mesh_container_of(io, struct mesh_ctlsock, io);
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct mesh_ctlsock_conn *conn;

	(void)events;
	if (fd < 0) {
		accept_failed(sock, errno);
		return;
	}
	if (sock->conns.count >= CONNS_MAX) {
		close(fd);
		return;
	}
	conn = mesh_xcalloc(1, sizeof(*conn));
	conn->sock = sock;
	conn->fd = -1;
	conn->io = (struct mesh_io){.fd = fd, .fn = on_conn};
	mesh_vec_push(&sock->conns, conn);
	if (mesh_io_set(loop, &conn->io, EPOLLIN) < 0)
		conn_close(conn);
}

static int listen_at(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	mesh_auto_fd int fd = -1;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || chmod(path, 0600) < 0 || listen(fd, 16) < 0)
		return -errno;
	return mesh_steal_fd(&fd);
}

int mesh_ctlsock_new(struct mesh_ctlsock **ret, struct mesh_loop *loop, const char *path, mesh_ctlsock_fn *fn,
		     mesh_ctlsock_gone_fn *gone, void *arg)
{
	struct mesh_ctlsock *sock;
	int fd = listen_at(path), r;

	if (fd < 0)
		return fd;
	sock = mesh_xcalloc(1, sizeof(*sock));
	*sock = (struct mesh_ctlsock){.loop = loop,
				      .io = {.fd = fd, .fn = on_accept},
				      .pause = {.fn = resume},
				      .path = mesh_xstrdup(path),
				      .fn = fn,
				      .gone = gone,
				      .arg = arg};
	r = mesh_io_set(loop, &sock->io, EPOLLIN);
	if (r < 0) {
		mesh_ctlsock_free(sock);
		return r;
	}
	*ret = sock;
	return 0;
}

void mesh_ctlsock_free(struct mesh_ctlsock *sock)
{
	if (!sock)
		return;
	while (sock->conns.count)
		conn_close(sock->conns.items[0]);
	mesh_vec_free(&sock->conns);
	mesh_io_remove(sock->loop, &sock->io);
	mesh_timer_remove(sock->loop, &sock->pause);
	close(sock->io.fd);
	unlink(sock->path);
	free(sock->path);
	free(sock);
}
