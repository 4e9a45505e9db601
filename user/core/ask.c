/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ask.h"

#include "core/fds.h"
#include "core/loop.h"
#include "core/mem.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

enum { RETRY_MS = 20, PIECE = 65536 };

static int connect_once(const struct mesh_ask *ask)
{
	struct timeval tv = {.tv_sec = ask->time_ms / 1000, .tv_usec = (ask->time_ms % 1000) * 1000};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	mesh_auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (strlen(ask->path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, ask->path);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	return mesh_steal_fd(&fd);
}

static int connect_within(const struct mesh_ask *ask)
{
	struct timespec moment = {.tv_nsec = RETRY_MS * 1000000L};
	uint64_t until = mesh_now_ns() + MESH_MS(ask->connect_ms);

	for (;;) {
		int fd = connect_once(ask);

		if ((fd != -ECONNREFUSED && fd != -ENOENT && fd != -EAGAIN) || mesh_now_ns() >= until)
			return fd;
		nanosleep(&moment, NULL);
	}
}

static int send_line(int to, struct mesh_slice line, int fd)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	struct iovec from;
	struct msghdr m = {.msg_iov = &from, .msg_iovlen = 1};
	union mesh_fds_room room;
	ssize_t n;

	mesh_buf_add(&text, line.ptr, line.len);
	mesh_buf_char(&text, '\n');
	from = (struct iovec){.iov_base = text.data, .iov_len = text.len};
	mesh_fds_put(&m, &room, &fd, fd >= 0);
	n = sendmsg(to, &m, MSG_NOSIGNAL);
	while (n >= 0 && (size_t)n < text.len) {
		ssize_t more = send(to, text.data + n, text.len - (size_t)n, MSG_NOSIGNAL);

		if (more < 0)
			return -errno;
		n += more;
	}
	return n < 0 ? -errno : 0;
}

static int read_line(int fd, size_t max, struct mesh_buf *in)
{
	ssize_t end;

	while ((end = mesh_slice_find(mesh_buf_view(in), '\n')) < 0) {
		ssize_t n = recv(fd, mesh_buf_room(in, PIECE), PIECE, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n == 0)
			return -ECONNRESET;
		in->len += (size_t)n;
		if (in->len > max)
			return -EFBIG;
	}
	in->len = (size_t)end;
	return 0;
}

int mesh_ask(const struct mesh_ask *ask, struct mesh_buf *ret)
{
	mesh_auto_fd int fd = connect_within(ask);
	int r;

	if (fd < 0)
		return fd;
	r = send_line(fd, ask->line, ask->fd);
	return r < 0 ? r : read_line(fd, ask->answer_max, ret);
}
