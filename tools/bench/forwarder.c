/* SPDX-License-Identifier: Apache-2.0 */
/* The floor of any hop: bytes from one socket to the other and back, one thread, nothing read or decided. */
#include "core/addr.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct end {
	struct end *peer;
	int fd;
};

static int ep;
static struct mesh_addr upstream;

static int socket_to(const struct mesh_addr *a, int (*then)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_storage ss;
	socklen_t len = mesh_addr_to_sock(a, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd < 0 || then(fd, (struct sockaddr *)&ss, len) < 0) {
		perror("forwarder");
		exit(1);
	}
	return fd;
}

static void watch(int fd, void *ptr)
{
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = ptr});
}

static void take(int listener)
{
	struct end *a = calloc(2, sizeof(*a));

	a[0] = (struct end){&a[1], accept(listener, NULL, NULL)};
	a[1] = (struct end){&a[0], socket_to(&upstream, connect)};
	watch(a[0].fd, &a[0]);
	watch(a[1].fd, &a[1]);
}

static void move(struct end *e)
{
	static char buf[65536];
	ssize_t n;

	if (e->fd < 0)
		return;
	n = recv(e->fd, buf, sizeof(buf), 0);
	if (n > 0 && send(e->peer->fd, buf, (size_t)n, MSG_NOSIGNAL) == n)
		return;
	close(e->fd);
	close(e->peer->fd);
	e->fd = e->peer->fd = -1; /* the pair is not freed: an event for it may be waiting */
}

int main(int argc, char **argv)
{
	struct mesh_addr local;
	struct epoll_event events[256];
	int listener;

	local = mesh_addr_from_v4(0, (uint16_t)(argc == 3 ? atoi(argv[1]) : 0));
	if (argc != 3 || (strchr(argv[1], ':') && mesh_addr_parse_port(mesh_slice_str(argv[1]), &local) < 0) ||
	    mesh_addr_parse_port(mesh_slice_str(argv[2]), &upstream) < 0) {
		fprintf(stderr, "usage: forwarder [LISTEN-IP:]PORT UPSTREAM-IP:PORT\n");
		return 2;
	}
	ep = epoll_create1(0);
	listener = socket_to(&local, bind);
	listen(listener, 4096);
	watch(listener, NULL);
	for (;;) {
		int n = epoll_wait(ep, events, 256, -1);

		for (int i = 0; i < n; i++)
			events[i].data.ptr ? move(events[i].data.ptr) : take(listener);
	}
}
