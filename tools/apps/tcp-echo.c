/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends back what it gets, by TCP and UDP: tcp-echo [PORTS [PREFIX]] (else $PORT, else 9000).
 * With a prefix each line comes back behind it and a space, so that versions can be told apart.
 */
#include "core/addr.h"
#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/loop.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>

enum { OUT_MAX = 256 << 10 };

struct conn {
	struct mesh_io io; /* first */
	struct mesh_buf out;
	size_t sent;
	bool line_open, eof;
};

static const char *prefix = "";

static void conn_free(struct mesh_loop *loop, struct conn *c)
{
	mesh_io_remove(loop, &c->io);
	mesh_cleanup_fd(&c->io.fd);
	mesh_buf_free(&c->out);
	free(c);
}

static void add_echo(struct mesh_buf *out, struct mesh_slice in, bool *line_open)
{
	if (!*prefix) {
		mesh_buf_slice(out, in);
		return;
	}
	for (size_t i = 0; i < in.len; i++) {
		if (!*line_open)
			mesh_buf_printf(out, "%s ", prefix);
		*line_open = in.ptr[i] != '\n';
		mesh_buf_char(out, in.ptr[i]);
	}
}

/* Returns -errno when the connection is to be closed. */
static int conn_step(struct conn *c, uint32_t events)
{
	char in[16384];
	ssize_t n;

	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !c->eof && c->out.len - c->sent < OUT_MAX) {
		n = recv(c->io.fd, in, sizeof(in), 0);
		if (n < 0 && errno != EAGAIN)
			return -errno;
		c->eof = n == 0;
		if (n > 0)
			add_echo(&c->out, mesh_slice_of(in, (size_t)n), &c->line_open);
	}
	while (c->sent < c->out.len) {
		n = send(c->io.fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n < 0)
			break;
		c->sent += (size_t)n;
	}
	if (c->sent == c->out.len) {
		mesh_buf_clear(&c->out);
		c->sent = 0;
	}
	return c->eof && c->out.len == 0 ? -ECONNRESET : 0;
}

static void conn_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct conn *c = (struct conn *)io;
	uint32_t want;

	if (conn_step(c, events) < 0) {
		conn_free(loop, c);
		return;
	}
	want = (!c->eof && c->out.len - c->sent < OUT_MAX ? EPOLLIN : 0) | (c->out.len ? EPOLLOUT : 0);
	mesh_io_set(loop, io, want);
}

static void accept_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	int one = 1, fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct conn *c;

	(void)events;
	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c = mesh_xcalloc(1, sizeof(*c));
	c->io.fd = fd;
	c->io.fn = conn_ready;
	if (mesh_io_set(loop, &c->io, EPOLLIN) < 0)
		conn_free(loop, c);
}

static void datagram_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char in[65536];
	bool line_open = false;
	ssize_t n = recvfrom(io->fd, in, sizeof(in), 0, (struct sockaddr *)&from, &len);

	(void)loop;
	(void)events;
	if (n < 0)
		return;
	add_echo(&out, mesh_slice_of(in, (size_t)n), &line_open);
	if (sendto(io->fd, out.data, out.len, MSG_NOSIGNAL, (struct sockaddr *)&from, len) < 0)
		mesh_warn("sendto: %s", strerror(errno));
}

static int open_port(struct mesh_loop *loop, unsigned port, int type)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct mesh_io *io = mesh_xcalloc(1, sizeof(*io));
	int one = 1, zero = 0;

	io->fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	io->fn = type == SOCK_STREAM ? accept_ready : datagram_ready;
	setsockopt(io->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(io->fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (io->fd < 0 || bind(io->fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    (type == SOCK_STREAM && listen(io->fd, 4096) < 0)) {
		mesh_error("port %u: %s", port, strerror(errno));
		return -errno;
	}
	return mesh_io_set(loop, io, EPOLLIN);
}

static void stop(void *arg)
{
	mesh_loop_stop(arg);
}

int main(int argc, char **argv)
{
	const char *env = getenv("PORT");
	struct mesh_slice rest = mesh_slice_str(argc > 1 ? argv[1] : env ? env : "9000"), part;
	struct mesh_loop *loop;
	uint64_t port;

	mesh_log_init("tcp-echo", MESH_LOG_INFO);
	if (argc > 2)
		prefix = argv[2];
	if (mesh_loop_new(&loop) < 0 || mesh_loop_on_term(loop, stop, loop) < 0)
		return 1;
	while (mesh_slice_split(&rest, ',', &part)) {
		if (mesh_slice_to_u64(part, 65535, &port) < 0) {
			mesh_error("usage: tcp-echo [PORT[,PORT...] [PREFIX]]");
			return 2;
		}
		if (open_port(loop, (unsigned)port, SOCK_STREAM) < 0 || open_port(loop, (unsigned)port, SOCK_DGRAM) < 0)
			return 1;
	}
	mesh_info("listening");
	return mesh_loop_run(loop) < 0;
}
