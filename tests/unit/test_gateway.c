/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "core/mem.h"
#include "gateway/ready.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

struct world {
	struct mesh_loop *loop;
	struct mesh_ready *ready;
	uint16_t port;
};

static void world_free(struct world *w)
{
	mesh_ready_free(w->ready);
	mesh_loop_free(w->loop);
}

/* On some free port. */
static bool world_new(struct world *w)
{
	*w = (struct world){.port = (uint16_t)(20000 + getpid() % 20000)};
	if (mesh_loop_new(&w->loop) < 0)
		return false;
	for (int i = 0; i < 50; i++, w->port++)
		if (mesh_ready_new(&w->ready, w->loop, w->port) == 0)
			return true;
	return false;
}

static int dial(const struct world *w)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The answer to text sent in two parts, cut at cut; "" if the connection just ends. */
static const char *ask(struct world *w, const char *text, size_t cut)
{
	static char buf[512];
	mesh_auto_fd int fd = dial(w);
	size_t len = 0;

	if (fd < 0 || send(fd, text, cut, MSG_NOSIGNAL) < 0)
		return "cannot send";
	for (int i = 0; i < 3; i++)
		mesh_loop_once(w->loop, 5);
	send(fd, text + cut, strlen(text) - cut, MSG_NOSIGNAL);
	for (int i = 0; i < 40; i++) {
		ssize_t n;

		mesh_loop_once(w->loop, 5);
		n = recv(fd, buf + len, sizeof(buf) - 1 - len, MSG_DONTWAIT);
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	buf[len] = '\0';
	return buf;
}

#define READY "GET /healthz/ready HTTP/1.1\r\nHost: x\r\n\r\n"

TEST(ready_is_said_once_it_is_so)
{
	mesh_auto(world_free) struct world w;

	CHECK(world_new(&w));
	CHECK(strncmp(ask(&w, READY, 3), "HTTP/1.1 503 ", 13) == 0);
	mesh_ready_set(w.ready, true);
	CHECK(strncmp(ask(&w, READY, 3), "HTTP/1.1 200 ", 13) == 0);
	mesh_ready_set(w.ready, false);
	CHECK(strncmp(ask(&w, READY, 3), "HTTP/1.1 503 ", 13) == 0);
}

TEST(a_request_may_come_in_pieces)
{
	mesh_auto(world_free) struct world w;

	CHECK(world_new(&w));
	mesh_ready_set(w.ready, true);
	for (size_t cut = 1; cut < sizeof(READY) - 1; cut += 3)
		CHECK_STR(ask(&w, READY, cut), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

TEST(nothing_else_is_there)
{
	mesh_auto(world_free) struct world w;

	CHECK(world_new(&w));
	mesh_ready_set(w.ready, true);
	CHECK(strncmp(ask(&w, "GET / HTTP/1.1\r\n\r\n", 1), "HTTP/1.1 404 ", 13) == 0);
	CHECK(strncmp(ask(&w, "POST /healthz/ready HTTP/1.1\r\n\r\n", 1), "HTTP/1.1 404 ", 13) == 0);
	CHECK(strncmp(ask(&w, "GET /healthz/readyx HTTP/1.1\r\n\r\n", 1), "HTTP/1.1 404 ", 13) == 0);
}

TEST(a_port_in_use_is_an_error)
{
	mesh_auto(world_free) struct world w;
	struct mesh_ready *other = NULL;

	CHECK(world_new(&w));
	CHECK_INT(mesh_ready_new(&other, w.loop, w.port), -EADDRINUSE);
	CHECK(!other);
	CHECK_INT(mesh_listen_any(w.port), -EADDRINUSE);
}

TEST_MAIN()
