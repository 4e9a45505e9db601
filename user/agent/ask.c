/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ask.h"

#include "core/mem.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

enum { ANSWER_MAX = 64 << 20 };

static int connect_to(const char *path, unsigned time_ms)
{
	struct timeval tv = {.tv_sec = time_ms / 1000, .tv_usec = (time_ms % 1000) * 1000};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	mesh_auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	return mesh_steal_fd(&fd);
}

static int read_line(int fd, struct mesh_buf *in)
{
	while (mesh_slice_find(mesh_buf_view(in), '\n') < 0) {
		ssize_t n = recv(fd, mesh_buf_room(in, 65536), 65536, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n == 0)
			return -ECONNRESET;
		in->len += (size_t)n;
		if (in->len > ANSWER_MAX)
			return -EFBIG;
	}
	return 0;
}

int mesh_agent_ask(const char *socket, const char *cmd, unsigned time_ms, json_t **ret, struct mesh_errs *errs)
{
	mesh_auto_free char *line = mesh_xasprintf("{\"cmd\":\"%s\"}\n", cmd);
	mesh_auto(mesh_buf_free) struct mesh_buf in = {0};
	mesh_auto_fd int fd = connect_to(socket, time_ms);
	json_t *answer;
	int r = fd;

	if (fd >= 0)
		r = send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 ? -errno : 0;
	if (r == 0)
		r = read_line(fd, &in);
	if (r < 0) {
		mesh_errs_add(errs, "the agent at %s: %s", socket, strerror(-r));
		return r;
	}
	answer = json_loadb(in.data, (size_t)mesh_slice_find(mesh_buf_view(&in), '\n'), 0, NULL);
	if (!answer) {
		mesh_errs_add(errs, "the agent at %s: its answer is not JSON", socket);
		return -EPROTO;
	}
	*ret = answer;
	return 0;
}
