/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/agent.h"

#include "core/buf.h"
#include "core/mem.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

enum { ANSWER_MAX = 1 << 20, MEMBERS_MAX = 16 << 20, RETRY_MS = 20 };

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int connect_once(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	mesh_auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	return mesh_steal_fd(&fd);
}

/* An agent that is replaced by the next is away for a moment only. */
static int connect_within(const char *path, unsigned ms)
{
	struct timespec moment = {.tv_nsec = RETRY_MS * 1000000L};
	uint64_t until = now_ms() + ms;

	for (;;) {
		int fd = connect_once(path);

		if ((fd != -ECONNREFUSED && fd != -ENOENT && fd != -EAGAIN) || now_ms() >= until)
			return fd;
		nanosleep(&moment, NULL);
	}
}

static int send_line(int to, const json_t *request, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	mesh_auto(mesh_buf_free) struct mesh_buf line = {0};
	char *text = json_dumps(request, JSON_COMPACT);
	struct iovec from;
	struct msghdr m = {.msg_iov = &from, .msg_iovlen = 1};
	ssize_t n;

	mesh_buf_str(&line, text ? text : "{}");
	mesh_buf_char(&line, '\n');
	free(text);
	from = (struct iovec){.iov_base = line.data, .iov_len = line.len};
	if (fd >= 0) {
		struct cmsghdr *c;

		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	n = sendmsg(to, &m, MSG_NOSIGNAL);
	while (n >= 0 && (size_t)n < line.len) {
		ssize_t more = send(to, line.data + n, line.len - (size_t)n, MSG_NOSIGNAL);

		if (more < 0)
			return -errno;
		n += more;
	}
	return n < 0 ? -errno : 0;
}

static int read_line(int fd, json_t **ret)
{
	mesh_auto(mesh_buf_free) struct mesh_buf in = {0};
	ssize_t end;

	while ((end = mesh_slice_find(mesh_buf_view(&in), '\n')) < 0) {
		ssize_t n = recv(fd, mesh_buf_room(&in, 4096), 4096, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n == 0)
			return -ECONNRESET;
		in.len += (size_t)n;
		if (in.len > ANSWER_MAX)
			return -EFBIG;
	}
	*ret = json_loadb(in.data, (size_t)end, 0, NULL);
	return *ret ? 0 : -EPROTO;
}

int mesh_cni_ask(const char *path, const json_t *request, int fd, unsigned connect_ms, unsigned time_ms, json_t **ret)
{
	struct timeval tv = {.tv_sec = time_ms / 1000, .tv_usec = (time_ms % 1000) * 1000};
	mesh_auto_fd int to = connect_within(path, connect_ms);
	json_t *answer = NULL;
	int r;

	if (to < 0)
		return to;
	if (setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(to, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
		return -errno;
	r = send_line(to, request, fd);
	if (r == 0)
		r = read_line(to, &answer);
	if (r == 0)
		*ret = answer;
	return r;
}

static json_t *read_members(const json_t *files)
{
	json_t *path;
	size_t i;

	json_array_foreach(files, i, path)
	{
		mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
		json_t *members = NULL;

		if (json_is_string(path) && mesh_file_read(json_string_value(path), MEMBERS_MAX, &text) == 0)
			members = json_loadb(mesh_buf_view(&text).ptr, text.len, 0, NULL);
		if (members)
			return members;
	}
	return NULL;
}

enum mesh_cni_member mesh_cni_member(const json_t *files, const char *ns)
{
	json_t *members = read_members(files), *name;
	const char *policy = json_string_value(json_object_get(members, "policy"));
	enum mesh_cni_member ret = MESH_CNI_MEMBER_NO;
	size_t i;

	json_array_foreach(json_object_get(members, "namespaces"), i,
			   name) if (json_is_string(name) && strcmp(json_string_value(name), ns) == 0) ret =
		policy && strcmp(policy, "plain") == 0 ? MESH_CNI_MEMBER_PLAIN : MESH_CNI_MEMBER_REFUSE;
	json_decref(members);
	return ret;
}
