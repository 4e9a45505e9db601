/* SPDX-License-Identifier: Apache-2.0 */
#include "helper.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union control {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

/* A message of one int, with a descriptor if it is not negative. */
static int send_fd(int to, int result, int fd)
{
	union control control = {0};
	struct iovec iov = {&result, sizeof(result)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	return sendmsg(to, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int recv_fd(int from)
{
	union control control = {0};
	int result = -EPIPE, fd;
	struct iovec iov = {&result, sizeof(result)};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c;

	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) != sizeof(result))
		return -EPIPE;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return result < 0 ? result : -EPROTO;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static int make_listener(const struct sc_listen *w)
{
	struct sockaddr_storage at = {.ss_family = w->family};
	socklen_t len = w->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	int fd = socket(w->family, SOCK_STREAM | SOCK_CLOEXEC, 0), e;

	if (fd < 0)
		return -errno;
	/* The port is at the same place for both families. */
	((struct sockaddr_in *)&at)->sin_port = htons(w->port);
	sc_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (w->reuse_port)
		sc_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (w->family == AF_INET6)
		sc_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, w->v6_only);
	if (w->defer_s)
		sc_set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, w->defer_s);
	if (w->fastopen)
		sc_set(fd, IPPROTO_TCP, TCP_FASTOPEN, w->fastopen);
	if (w->rcvbuf)
		sc_set(fd, SOL_SOCKET, SO_RCVBUF, w->rcvbuf);
	if (bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, w->backlog < 0 ? 0 : w->backlog) == 0)
		return fd;
	e = errno;
	close(fd);
	return -e;
}

static int at_path(const char *path, struct sockaddr_un *at)
{
	*at = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(at->sun_path))
		return -ENAMETOOLONG;
	strcpy(at->sun_path, path);
	return 0;
}

static void serve(int peer)
{
	struct sc_listen what;
	int fd;

	sc_timeouts(peer, 2000, 2000);
	if (recv(peer, &what, sizeof(what), 0) != sizeof(what))
		return;
	fd = make_listener(&what);
	send_fd(peer, fd, fd);
	if (fd >= 0)
		close(fd);
}

int sc_helper_main(const char *path)
{
	struct sockaddr_un at;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), peer;

	if (at_path(path, &at) < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 64) < 0) {
		fprintf(stderr, "%s: %m\n", path);
		return 1;
	}
	for (;;) {
		struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return 1;
		if (p[1].revents) /* nobody writes there: it has ended */
			break;
		peer = p[0].revents ? accept4(fd, NULL, NULL, SOCK_CLOEXEC) : -1;
		if (peer >= 0) {
			serve(peer);
			close(peer);
		}
	}
	unlink(path);
	return 0;
}

int sc_helper_ask(const char *path, const struct sc_listen *what)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), r;
	struct sockaddr_un at;

	if (fd < 0)
		return -errno;
	r = at_path(path, &at);
	if (r == 0 && (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || send(fd, what, sizeof(*what), 0) < 0))
		r = -errno;
	if (r == 0)
		r = recv_fd(fd);
	close(fd);
	return r;
}
