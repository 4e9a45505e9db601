/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "core/mem.h"
#include "obs/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

struct world {
	struct mesh_loop *loop;
	struct mesh_probe *probe;
	uint16_t port;
	bool ready;
};

static int answer(void *arg, struct mesh_buf *text)
{
	const struct world *w = arg;

	mesh_buf_str(text, w->ready ? "" : "not yet\n");
	return w->ready ? 200 : 503;
}

static const struct mesh_probe_path paths[] = {{"/readyz", answer}, {NULL, NULL}};

static void world_free(struct world *w)
{
	mesh_probe_free(w->probe);
	mesh_loop_free(w->loop);
}

/* On some free port. */
static bool world_new(struct world *w)
{
	*w = (struct world){.port = (uint16_t)(20000 + getpid() % 20000)};
	if (mesh_loop_new(&w->loop) < 0)
		return false;
	for (int i = 0; i < 50; i++, w->port++) {
		struct mesh_addr any = {.port = w->port};

		if (mesh_probe_new(&w->probe, w->loop, &any, paths, w) == 0)
			return true;
	}
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

#define READY   "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
#define HEAD(n) "\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: " #n "\r\nconnection: close\r\n\r\n"
#define OK      "HTTP/1.1 200 OK" HEAD(0)
#define NOT_YET "HTTP/1.1 503 Service Unavailable" HEAD(8) "not yet\n"

TEST(ready_is_said_once_it_is_so)
{
	mesh_auto(world_free) struct world w;

	CHECK(world_new(&w));
	CHECK_STR(ask(&w, READY, 3), NOT_YET);
	w.ready = true;
	CHECK_STR(ask(&w, READY, 3), OK);
	w.ready = false;
	CHECK_STR(ask(&w, READY, 3), NOT_YET);
}

TEST(a_request_may_come_in_pieces)
{
	mesh_auto(world_free) struct world w;

	CHECK(world_new(&w));
	w.ready = true;
	for (size_t cut = 1; cut < sizeof(READY) - 1; cut += 3)
		CHECK_STR(ask(&w, READY, cut), OK);
}

TEST(other_forms_of_it)
{
	mesh_auto(world_free) struct world w;

	CHECK(world_new(&w));
	CHECK_STR(ask(&w, "HEAD /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 1), "HTTP/1.1 503 Service Unavailable" HEAD(8));
	CHECK_STR(ask(&w, "GET /readyz?verbose HTTP/1.0\r\n\r\n", 1), NOT_YET);
	CHECK_STR(ask(&w, "GET http://x/readyz HTTP/1.1\r\nHost: x\r\n\r\n", 1), NOT_YET);
}

TEST(nothing_else_is_there)
{
	mesh_auto(world_free) struct world w;

	CHECK(world_new(&w));
	w.ready = true;
	CHECK(strncmp(ask(&w, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1), "HTTP/1.1 404 ", 13) == 0);
	CHECK(strncmp(ask(&w, "POST /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 1), "HTTP/1.1 405 ", 13) == 0);
	CHECK(strncmp(ask(&w, "GET /readyzx HTTP/1.1\r\nHost: x\r\n\r\n", 1), "HTTP/1.1 404 ", 13) == 0);
	CHECK(strncmp(ask(&w, "GET /readyz HTTP/1.1\r\n\r\n", 1), "HTTP/1.1 400 ", 13) == 0);
	CHECK(strncmp(ask(&w, "\x16\x03\x01 what is this\r\n\r\n", 1), "HTTP/1.1 ", 9) == 0);
}

TEST(a_head_without_end_is_refused)
{
	mesh_auto(world_free) struct world w;
	static char text[6000];

	CHECK(world_new(&w));
	strcpy(text, "GET /readyz HTTP/1.1\r\nHost: x\r\nA: ");
	memset(text + strlen(text), 'a', sizeof(text) - 1 - strlen(text));
	CHECK(strncmp(ask(&w, text, 100), "HTTP/1.1 431 ", 13) == 0);
}

TEST(who_holds_many_connections_shuts_nobody_out)
{
	mesh_auto(world_free) struct world w;
	int held[80];

	CHECK(world_new(&w));
	for (size_t i = 0; i < MESH_ARRAY_SIZE(held); i++) {
		held[i] = dial(&w);
		mesh_loop_once(w.loop, 5);
	}
	CHECK_STR(ask(&w, READY, 3), NOT_YET);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(held); i++)
		close(held[i]);
}

TEST(a_port_in_use_is_an_error)
{
	mesh_auto(world_free) struct world w;
	struct mesh_probe *other = NULL;
	struct mesh_addr any = {0}, loopback;

	CHECK(world_new(&w));
	any.port = w.port;
	CHECK_INT(mesh_addr_parse(MESH_SLICE("127.0.0.1"), w.port, &loopback), 0);
	CHECK_INT(mesh_probe_new(&other, w.loop, &any, paths, NULL), -EADDRINUSE);
	CHECK_INT(mesh_probe_new(&other, w.loop, &loopback, paths, NULL), -EADDRINUSE);
	CHECK(!other);
}

TEST_MAIN()
