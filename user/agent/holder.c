/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/holder.h"

#include "agent/packet.h"
#include "core/daemon.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/opts.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { PATIENCE_S = 5 };

struct holder {
	struct mesh_held_list held;
	int door, keeper, signals;
	uint64_t alone_ns, alone_since_ns; /* since: 0: a keeper is there, or nothing is held */
};

char *mesh_holder_path(const char *socket)
{
	return socket ? mesh_xasprintf("%s.holder", socket) : NULL;
}

static void keeper_lost(struct holder *h)
{
	mesh_cleanup_fd(&h->keeper);
	h->keeper = -1;
	if (!h->held.list.count)
		return;
	h->alone_since_ns = mesh_now_ns();
	mesh_info("the agent's keeper is gone: %zu pods' listeners are held", h->held.list.count);
}

static void on_door(struct holder *h)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = accept4(h->door, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || !mesh_packet_is_ours(fd)) {
		mesh_cleanup_fd(&fd);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	mesh_cleanup_fd(&h->keeper);
	h->keeper = fd;
	h->alone_since_ns = 0;
}

static void on_keeper(struct holder *h)
{
	struct mesh_held p;
	int r = mesh_packet_receive(h->keeper, &p, MSG_DONTWAIT);

	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r <= 0) {
		if (r == -EMFILE)
			mesh_warn("a pod's listeners cannot be held: no room for their descriptors");
		else
			keeper_lost(h);
		return;
	}
	switch (p.kind) {
	case MESH_PACKET_LISTENERS:
		mesh_held_put(&h->held, &p);
		return;
	case MESH_PACKET_RESET:
		mesh_held_drop_all(&h->held);
		break;
	case MESH_PACKET_TAKE:
		r = mesh_packet_send_list(h->keeper, &h->held, 0);
		if (r < 0 || mesh_packet_send(h->keeper, MESH_PACKET_LISTENERS, 0, NULL, 0, 0) < 0)
			keeper_lost(h);
		break;
	default: /* of a keeper of another version */
		break;
	}
	mesh_held_close(&p);
}

static int wait_ms(const struct holder *h)
{
	uint64_t now = mesh_now_ns(), until = h->alone_since_ns + h->alone_ns;

	if (!h->alone_since_ns)
		return -1;
	return now >= until ? 0 : (int)((until - now) / 1000000) + 1;
}

static void serve(struct holder *h)
{
	struct signalfd_siginfo s;

	for (;;) {
		struct pollfd ready[] = {{.fd = h->signals, .events = POLLIN},
					 {.fd = h->keeper, .events = POLLIN},
					 {.fd = h->door, .events = POLLIN}};
		int n = poll(ready, MESH_ARRAY_SIZE(ready), wait_ms(h));

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0 && ready[0].revents && read(h->signals, &s, sizeof(s)) == sizeof(s))
			return;
		if (n > 0 && ready[1].revents)
			on_keeper(h);
		if (n > 0 && ready[2].revents)
			on_door(h);
		if (h->alone_since_ns && mesh_now_ns() - h->alone_since_ns >= h->alone_ns) {
			mesh_warn("no agent came: %zu pods' listeners are let go", h->held.list.count);
			mesh_held_drop_all(&h->held);
			h->alone_since_ns = 0;
		}
	}
}

int mesh_holder_run(const char *path, uint64_t alone_ns)
{
	struct holder h = {.door = -1, .keeper = -1, .alone_ns = alone_ns};
	struct sockaddr_un at;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	h.signals = signalfd(-1, &set, SFD_CLOEXEC);
	h.door = mesh_packet_address(path, &at) == 0 ? mesh_packet_listen(&at) : -ENAMETOOLONG;
	if (h.door < 0) {
		mesh_error("%s: %s", path, strerror(-h.door));
		return EXIT_FAILURE;
	}
	serve(&h);
	/* The path stays: another holder may have its socket there by now, and one that comes replaces it. */
	mesh_held_free(&h.held);
	mesh_cleanup_fd(&h.keeper);
	mesh_cleanup_fd(&h.door);
	mesh_cleanup_fd(&h.signals);
	return EXIT_SUCCESS;
}

struct holder_opts {
	const char *socket;
	unsigned alone_s;
};

int mesh_holder_main(int argc, char **argv)
{
	static const struct mesh_opt rows[] = {
		{.name = "socket",
		 .type = MESH_OPT_STRING,
		 .at = offsetof(struct holder_opts, socket),
		 .arg = "PATH",
		 .help = "as of the agent: the holder is found beside it",
		 .required = true},
		{.name = "alone",
		 .type = MESH_OPT_UNSIGNED,
		 .at = offsetof(struct holder_opts, alone_s),
		 .arg = "SECONDS",
		 .max = 86400,
		 .initial = "60",
		 .help = "how long connects wait for an agent; then they are refused"},
	};
	static const struct mesh_opts opts = {.command = "meshd hold",
					      .about = "Holds the listeners of a node's pods while the container of "
						       "their agent is started again.",
					      .rows = rows,
					      .count = MESH_ARRAY_SIZE(rows)};
	struct holder_opts o = {0};
	mesh_auto_free char *path = NULL;
	int r = mesh_opts_main(&opts, argc, argv, &o, NULL);

	if (r >= 0)
		return r;
	mesh_daemon_init("holder", MESH_LOG_INFO);
	path = mesh_holder_path(o.socket);
	return mesh_holder_run(path, MESH_SEC(o.alone_s));
}
