/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/node_server.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

enum { POLL_MS = 50 };

/* Where the last n lines begin. */
static off_t tail_offset(int fd, unsigned long lines)
{
	struct stat st;
	off_t at, end;
	char block[8192];

	if (fstat(fd, &st) < 0)
		return 0;
	end = st.st_size;
	if (lines == 0)
		return end;
	for (at = end; at > 0;) {
		size_t want = at < (off_t)sizeof(block) ? (size_t)at : sizeof(block);
		ssize_t n = pread(fd, block, want, at - (off_t)want);

		if (n <= 0)
			return 0;
		for (ssize_t i = n; i > 0; i--) {
			off_t pos = at - (off_t)want + i;

			if (block[i - 1] == '\n' && pos != end && lines-- == 1)
				return pos;
		}
		at -= (off_t)want;
	}
	return 0;
}

static int send_chunk(struct mesh_serving *s, const char *data, size_t len)
{
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};

	mesh_buf_printf(&out, "%zx\r\n", len);
	mesh_buf_add(&out, data, len);
	mesh_buf_str(&out, "\r\n");
	return mesh_serving_send(s, out.data, out.len);
}

/* Sends what is there. Returns 0 at the end of the file, -errno when the client is gone. */
static int send_rest(struct mesh_serving *s, int fd, unsigned long long *left)
{
	char block[16384];
	ssize_t n;

	while (*left > 0 && (n = read(fd, block, *left < sizeof(block) ? *left : sizeof(block))) > 0) {
		if (send_chunk(s, block, (size_t)n) < 0)
			return -EPIPE;
		*left -= (unsigned long long)n;
	}
	return 0;
}

static bool client_gone(const struct mesh_serving *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN | POLLRDHUP};

	return poll(&p, 1, POLL_MS) > 0;
}

void mesh_serving_logs(struct mesh_serving *s)
{
	struct mesh_container *c = mesh_serving_container(s);
	mesh_auto_free char *tail = mesh_serving_query(s, "tailLines", 0),
			    *limit = mesh_serving_query(s, "limitBytes", 0), *path = NULL,
			    *since = mesh_serving_query(s, "sinceSeconds", 0),
			    *since_time = mesh_serving_query(s, "sinceTime", 0);
	unsigned long long left = limit ? strtoull(limit, NULL, 10) : ~0ULL;
	bool follow = mesh_serving_flag(s, "follow"), previous = mesh_serving_flag(s, "previous");
	mesh_auto_fd int fd = -1;
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
				   "Connection: close\r\n\r\n";

	if (!c) {
		mesh_serving_refuse(s, 404, "no such container runs on this node");
		return;
	}
	if (mesh_serving_flag(s, "timestamps") || since || since_time) {
		mesh_serving_refuse(s, 400, "the lab keeps no times of log lines: %s is not served",
				    since        ? "sinceSeconds (--since)"
				    : since_time ? "sinceTime (--since-time)"
						 : "timestamps");
		return;
	}
	if (previous && c->restarts == 0) {
		mesh_serving_refuse(s, 400, "previous terminated container \"%s\" in pod \"%s\" not found", c->name,
				    c->pod->name);
		return;
	}
	/* While it waits to be started again, the last run is the one before. */
	path = mesh_container_log(c, c->restarts - (previous || (c->restarts && c->state == MESH_CONTAINER_WAITING)));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && c->state != MESH_CONTAINER_RUNNING) {
		mesh_serving_refuse(s, 400, "container \"%s\" in pod \"%s\" is waiting to start: %s", c->name,
				    c->pod->name, c->reason);
		return;
	}
	if (fd >= 0 && tail)
		lseek(fd, tail_offset(fd, strtoul(tail, NULL, 10)), SEEK_SET);
	if (mesh_serving_send(s, head, sizeof(head) - 1) < 0)
		return;
	for (;;) {
		bool running = mesh_lab_pid_alive(&c->shim);

		if (fd >= 0 && send_rest(s, fd, &left) < 0)
			return;
		if (!follow || !running || left == 0 || client_gone(s))
			break;
	}
	mesh_serving_send(s, "0\r\n\r\n", 5);
}
