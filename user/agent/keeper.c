/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keeper.h"

#include "core/log.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/vec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define VARIABLE "SOCKMESH_KEEPER_FD"

enum {
	EXIT_USAGE = 2,
	PATIENCE_S = 5, /* the keeper answers from memory: longer is a fault */
	PAUSE_MIN_MS = 50,
	PAUSE_MAX_MS = 5000,
	HEALTHY_S = 10,
	HAND_OVER_S = 15, /* the older keeper's agent may have to end its requests first */
	HELLO_MS = 200,   /* a younger keeper says hello at once; one of before it was invented does not */
	YIELD_MS = 5000,
	END_MS = 8000, /* after that it is killed */
};

/* Between keepers of different versions, too: numbers stay. */
enum kind {
	KIND_LISTENERS = 0, /* of a namespace; count 0: to the keeper, drop; from it, the end */
	KIND_HELLO = 1,     /* younger keeper to older: this one understands channels */
	KIND_YIELD = 2,     /* keeper to agent, with its end of the channel */
	KIND_YIELDED = 3,   /* the answer */
	KIND_CHANNEL = 4,   /* older keeper to younger, and that one to its agent: the other end */
	KIND_MOVED = 5,     /* agent to keeper: see mesh_keeper_moved() */
};

/* One packet on the socket between keeper and agent, or two keepers; descriptors ride along. */
struct packet {
	uint64_t netns_cookie;
	uint32_t count;
	uint32_t kind;
};

struct held {
	enum kind kind;
	uint64_t netns_cookie;
	int fds[MESH_KEEPER_FDS];
	size_t count;
};

struct held_list {
	MESH_VEC(struct held) list;
};

struct mesh_keeper {
	int fd, channel;
	struct held_list untaken;
};

static void held_close(struct held *h)
{
	for (size_t i = 0; i < h->count; i++)
		close(h->fds[i]);
	h->count = 0;
}

static void held_remove(struct held_list *l, uint64_t netns_cookie)
{
	for (size_t i = l->list.count; i > 0; i--)
		if (l->list.items[i - 1].netns_cookie == netns_cookie) {
			held_close(&l->list.items[i - 1]);
			mesh_vec_remove(&l->list, i - 1);
		}
}

static int packet_send_kind(int fd, enum kind kind, uint64_t netns_cookie, const int *fds, size_t count)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * MESH_KEEPER_FDS)];
	} control = {0};
	struct packet p = {.netns_cookie = netns_cookie, .count = (uint32_t)count, .kind = kind};
	struct iovec part = {.iov_base = &p, .iov_len = sizeof(p)};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};

	if (count) {
		m.msg_control = control.room;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * count);
	}
	return sendmsg(fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int packet_send(int fd, uint64_t netns_cookie, const int *fds, size_t count)
{
	return packet_send_kind(fd, KIND_LISTENERS, netns_cookie, fds, count);
}

/* Returns 1 with *ret (which owns its descriptors), 0 when the other side has gone, or -errno. */
static int packet_receive_flags(int fd, struct held *ret, int flags)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * MESH_KEEPER_FDS)];
	} control = {0};
	struct packet p = {0};
	struct iovec part = {.iov_base = &p, .iov_len = sizeof(p)};
	struct msghdr m = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | flags);
	struct cmsghdr *c;

	if (n <= 0)
		return n < 0 ? -errno : 0;
	*ret = (struct held){.kind = p.kind, .netns_cookie = p.netns_cookie};
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		ret->count = MESH_MIN((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), (size_t)MESH_KEEPER_FDS);
		memcpy(ret->fds, CMSG_DATA(c), ret->count * sizeof(int));
	}
	if (n == sizeof(p) && p.count == ret->count && !(m.msg_flags & MSG_CTRUNC))
		return 1;
	held_close(ret); /* descriptors were cut off: no table had room for them */
	return -EMFILE;
}

static int packet_receive(int fd, struct held *ret)
{
	return packet_receive_flags(fd, ret, 0);
}

/* Takes the descriptor of a packet that has one alone. */
static int only_fd(struct held *h)
{
	int fd = h->count == 1 ? h->fds[0] : -1;

	if (h->count == 1)
		h->count = 0;
	held_close(h);
	return fd;
}

/* All that another keeper, or one's own, tells at the beginning, to the end. Returns 1, or as packet_receive(). */
static int receive_all(int fd, struct held_list *ret, int *channel)
{
	struct held h;
	int r;

	while ((r = packet_receive(fd, &h)) > 0) {
		if (h.kind == KIND_CHANNEL) {
			mesh_cleanup_fd(channel);
			*channel = only_fd(&h);
		} else if (h.kind != KIND_LISTENERS) {
			held_close(&h);
		} else if (h.count) {
			mesh_vec_push(&ret->list, h);
		} else {
			return 1;
		}
	}
	return r;
}

/* ---- the agent's side */

int mesh_keeper_join(struct mesh_keeper **ret)
{
	const char *text = getenv(VARIABLE);
	struct timeval patience = {.tv_sec = PATIENCE_S}, none = {0};
	struct mesh_keeper *k;
	int r;

	*ret = NULL;
	if (!text)
		return 0;
	k = mesh_xcalloc(1, sizeof(*k));
	k->fd = atoi(text);
	k->channel = -1;
	unsetenv(VARIABLE);
	fcntl(k->fd, F_SETFD, FD_CLOEXEC);
	setsockopt(k->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	r = receive_all(k->fd, &k->untaken, &k->channel);
	if (r <= 0) {
		mesh_keeper_free(k);
		return r ? r : -ECONNRESET;
	}
	setsockopt(k->fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	*ret = k;
	return 0;
}

void mesh_keeper_free(struct mesh_keeper *k)
{
	if (!k)
		return;
	mesh_vec_each (h, &k->untaken.list)
		held_close(h);
	mesh_vec_free(&k->untaken.list);
	mesh_cleanup_fd(&k->channel);
	close(k->fd);
	free(k);
}

size_t mesh_keeper_take(struct mesh_keeper *k, uint64_t netns_cookie, int fds[MESH_KEEPER_FDS])
{
	for (size_t i = 0; k && i < k->untaken.list.count; i++) {
		struct held *h = &k->untaken.list.items[i];
		size_t count = h->count;

		if (h->netns_cookie != netns_cookie)
			continue;
		memcpy(fds, h->fds, sizeof(h->fds));
		mesh_vec_remove(&k->untaken.list, i);
		return count;
	}
	return 0;
}

void mesh_keeper_drop_rest(struct mesh_keeper *k)
{
	while (k && k->untaken.list.count) {
		struct held *h = &k->untaken.list.items[0];

		packet_send(k->fd, h->netns_cookie, NULL, 0);
		held_close(h);
		mesh_vec_remove(&k->untaken.list, 0);
	}
}

int mesh_keeper_put(struct mesh_keeper *k, uint64_t netns_cookie, const int *fds, size_t count)
{
	return k ? packet_send(k->fd, netns_cookie, fds, MESH_MIN(count, (size_t)MESH_KEEPER_FDS)) : 0;
}

int mesh_keeper_fd(const struct mesh_keeper *k)
{
	return k ? k->fd : -1;
}

int mesh_keeper_asks(struct mesh_keeper *k, int *channel)
{
	struct held h;
	int r = packet_receive_flags(k->fd, &h, MSG_DONTWAIT);

	if (r == -EAGAIN || r == -EINTR)
		return 0;
	if (r <= 0)
		return r ? r : -ECONNRESET;
	if (h.kind != KIND_YIELD) {
		held_close(&h);
		return 0;
	}
	*channel = only_fd(&h);
	return *channel >= 0;
}

int mesh_keeper_yielded(struct mesh_keeper *k)
{
	return packet_send_kind(k->fd, KIND_YIELDED, 0, NULL, 0);
}

int mesh_keeper_channel(struct mesh_keeper *k)
{
	return k ? mesh_steal_fd(&k->channel) : -1;
}

int mesh_keeper_moved(struct mesh_keeper *k)
{
	return k ? packet_send_kind(k->fd, KIND_MOVED, 0, NULL, 0) : 0;
}

/* ---- the keeper's */

struct watch {
	const char *path;
	char *const *argv;
	struct held_list held;
	const struct sockaddr_un *at; /* of the door; NULL: none */
	pid_t child;
	int socket, signals, door;
	int channel; /* to the agent of the keeper before; kept, should the child have to start again */
	uint64_t started_ns;
	unsigned pause_ms;
	bool ending;
	bool yielded; /* the child has said so */
	bool done;    /* all is handed over: another keeper serves */
};

static void child_main(struct watch *w, int fd, pid_t keeper)
{
	char text[16];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* without its keeper the agent ends as it was asked to */
	if (getppid() != keeper)
		_exit(EXIT_FAILURE);
	snprintf(text, sizeof(text), "%d", fd);
	setenv(VARIABLE, text, 1);
	fcntl(fd, F_SETFD, 0);
	execv(w->path, w->argv);
	fprintf(stderr, "%s: %s\n", w->path, strerror(errno));
	_exit(EXIT_FAILURE);
}

/* Starts a child and hands it all that is held. Returns 0 or -errno. */
static int start(struct watch *w)
{
	int pair[2], r = 0;
	pid_t keeper = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	w->child = fork();
	if (w->child < 0) {
		r = -errno;
		close(pair[0]);
		close(pair[1]);
		return r;
	}
	if (w->child == 0)
		child_main(w, pair[1], keeper);
	close(pair[1]);
	w->socket = pair[0];
	w->started_ns = mesh_now_ns();
	mesh_vec_each (h, &w->held.list)
		if (r == 0)
			r = packet_send(w->socket, h->netns_cookie, h->fds, h->count);
	if (r == 0 && w->channel >= 0)
		r = packet_send_kind(w->socket, KIND_CHANNEL, 0, &w->channel, 1);
	if (r == 0)
		packet_send(w->socket, 0, NULL, 0);
	return 0; /* a child that is gone already is seen by its end */
}

static void drop_all(struct watch *w)
{
	mesh_vec_each (h, &w->held.list)
		held_close(h);
	w->held.list.count = 0;
}

static void on_packet(struct watch *w)
{
	struct held h;
	int r = packet_receive(w->socket, &h);

	if (r <= 0) {
		if (r != -EMFILE) { /* gone: SIGCHLD says how */
			close(w->socket);
			w->socket = -1;
		}
		return;
	}
	switch (h.kind) {
	case KIND_LISTENERS:
		held_remove(&w->held, h.netns_cookie);
		if (h.count)
			mesh_vec_push(&w->held.list, h);
		return;
	case KIND_YIELDED:
		w->yielded = true;
		break;
	case KIND_MOVED:
		mesh_cleanup_fd(&w->channel);
		w->channel = -1;
		if (w->done)
			drop_all(w);
		break;
	default:
		break;
	}
	held_close(&h);
}

static int open_door(struct watch *w);

/* The child of a keeper that has handed over. */
static int on_end_after(struct watch *w, int status)
{
	if (w->ending)
		return status;
	if (status != MESH_KEEPER_RESUME) {
		drop_all(w);
		return -1; /* waits for its own end */
	}
	mesh_warn(
		"the agent that was to take over is gone: starting the one before again, %zu pods' listeners are held",
		w->held.list.count);
	w->done = false;
	w->pause_ms = 0;
	if (w->at && open_door(w) < 0)
		mesh_warn("%s: %s: an update cannot take over from this agent", w->at->sun_path, strerror(errno));
	return -1;
}

/* What to do about a child that has ended: -1 to start another, else the keeper's exit status. */
static int on_end(struct watch *w, int how)
{
	bool healthy = mesh_now_ns() - w->started_ns >= MESH_SEC(HEALTHY_S);
	int status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);

	/* What it had put before it died may still be on its way. */
	while (w->socket >= 0)
		on_packet(w);
	if (w->done)
		return on_end_after(w, status);
	if (w->ending || (WIFEXITED(how) && (status == 0 || status == EXIT_USAGE)) || w->held.list.count == 0)
		return status;
	if (healthy)
		w->pause_ms = 0;
	if (WIFSIGNALED(how))
		mesh_warn("the agent was ended by signal %d (%s): starting it again in %u ms, %zu pods' listeners are "
			  "held",
			  WTERMSIG(how), strsignal(WTERMSIG(how)), w->pause_ms, w->held.list.count);
	else
		mesh_warn("the agent ended with status %d: starting it again in %u ms, %zu pods' listeners are held",
			  status, w->pause_ms, w->held.list.count);
	return -1;
}

/* Returns the keeper's exit status, or -1. */
static int on_signal(struct watch *w)
{
	struct signalfd_siginfo s;
	int how, status;

	if (read(w->signals, &s, sizeof(s)) != sizeof(s))
		return -1;
	if (s.ssi_signo != SIGCHLD) {
		w->ending = true;
		if (!w->child)
			return 0;
		kill(w->child, (int)s.ssi_signo);
		return -1;
	}
	if (!w->child || waitpid(w->child, &how, WNOHANG) != w->child)
		return -1;
	status = on_end(w, how);
	w->child = 0;
	return status;
}

static bool is_ours(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == geteuid();
}

static void end_child(struct watch *w)
{
	int how;

	if (!w->child)
		return;
	kill(w->child, SIGTERM);
	for (unsigned ms = 0; waitpid(w->child, &how, WNOHANG) != w->child; ms += 5) {
		if (ms == END_MS)
			kill(w->child, SIGKILL);
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	w->child = 0;
	while (w->socket >= 0)
		on_packet(w);
}

static bool says_hello(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	struct held h;

	if (poll(&ready, 1, HELLO_MS) != 1 || packet_receive_flags(fd, &h, MSG_DONTWAIT) <= 0)
		return false;
	held_close(&h);
	return h.kind == KIND_HELLO;
}

/* Has the child yield. Returns the end of the channel to it that is for its successor, or -1: it does not. */
static int have_yield(struct watch *w)
{
	uint64_t until = mesh_now_ns() + MESH_MS(YIELD_MS);
	int pair[2], r;

	if (!w->child || w->socket < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	w->yielded = false;
	r = packet_send_kind(w->socket, KIND_YIELD, 0, &pair[0], 1);
	close(pair[0]);
	while (r == 0 && !w->yielded && w->socket >= 0 && mesh_now_ns() < until) {
		struct pollfd ready = {.fd = w->socket, .events = POLLIN};

		if (poll(&ready, 1, 100) > 0)
			on_packet(w);
	}
	if (w->yielded)
		return pair[1];
	close(pair[1]);
	return -1;
}

/* Everything that is held, and the channel to the child, if it has one. Returns 0 or -errno. */
static int send_all(struct watch *w, int fd, int channel)
{
	int r = 0;

	mesh_vec_each (h, &w->held.list)
		if (r == 0)
			r = packet_send(fd, h->netns_cookie, h->fds, h->count);
	if (r == 0 && channel >= 0)
		r = packet_send_kind(fd, KIND_CHANNEL, 0, &channel, 1);
	return r == 0 ? packet_send(fd, 0, NULL, 0) : r;
}

/* A younger keeper asks: everything goes to it. */
static void hand_over(struct watch *w)
{
	mesh_auto_fd int fd = accept4(w->door, NULL, NULL, SOCK_CLOEXEC), channel = -1;
	int r;

	if (fd < 0 || !is_ours(fd))
		return;
	channel = says_hello(fd) ? have_yield(w) : -1;
	if (channel < 0)
		end_child(w);
	r = send_all(w, fd, channel);
	if (r < 0) {
		mesh_warn("handing %zu pods' listeners over: %s: serves on", w->held.list.count, strerror(-r));
		end_child(w); /* no child: serve() starts one */
		return;
	}
	mesh_info("%zu pods' listeners are handed over to another agent", w->held.list.count);
	if (channel < 0)
		drop_all(w);
	/* The channel of an earlier handing over is no concern of this keeper any more; its agent reads what is on it.
	 */
	mesh_cleanup_fd(&w->channel);
	w->channel = -1;
	mesh_cleanup_fd(&w->door);
	w->door = -1;
	w->done = true;
}

static int door_address(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret->sun_path, path, strlen(path));
	return 0;
}

/* Takes over from the keeper that runs, if one does. */
static void take_over(struct watch *w, const struct sockaddr_un *at)
{
	mesh_auto_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval patience = {.tv_sec = HAND_OVER_S};
	int r;

	if (fd < 0 || connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	packet_send_kind(fd, KIND_HELLO, 0, NULL, 0);
	r = receive_all(fd, &w->held, &w->channel);
	if (r > 0)
		mesh_info("%zu pods' listeners are taken over from the agent before", w->held.list.count);
	else
		mesh_warn("the agent before does not hand over: %s", r ? strerror(-r) : "it ended");
}

static int open_door(struct watch *w)
{
	const struct sockaddr_un *at = w->at;

	w->door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	unlink(at->sun_path);
	if (w->door < 0 || bind(w->door, (const struct sockaddr *)at, sizeof(*at)) < 0 ||
	    chmod(at->sun_path, S_IRUSR | S_IWUSR) < 0 || listen(w->door, 1) < 0)
		return -errno;
	return 0;
}

/* How long to wait where nothing happens: while no child runs, the pause before the next. */
static int wait_ms(const struct watch *w)
{
	return w->child || w->done ? -1 : (int)w->pause_ms;
}

static int serve(struct watch *w)
{
	int status = -1;

	while (status < 0) {
		struct pollfd ready[] = {{.fd = w->signals, .events = POLLIN},
					 {.fd = w->socket, .events = POLLIN},
					 {.fd = w->door, .events = POLLIN}};
		int n = poll(ready, MESH_ARRAY_SIZE(ready), wait_ms(w));

		if (n < 0 && errno != EINTR)
			return EXIT_FAILURE;
		if (n > 0 && ready[1].revents)
			on_packet(w);
		if (n > 0 && ready[0].revents)
			status = on_signal(w);
		if (n > 0 && status < 0 && ready[2].revents)
			hand_over(w);
		if (n == 0 && !w->child && !w->done) {
			w->pause_ms = w->pause_ms ? MESH_MIN(w->pause_ms * 2, (unsigned)PAUSE_MAX_MS) : PAUSE_MIN_MS;
			if (start(w) < 0)
				mesh_error("cannot start the agent: %s", strerror(errno));
		}
	}
	return status;
}

int mesh_keeper_run(const char *path, char *const argv[], const char *door)
{
	struct watch w = {.path = path, .argv = argv, .socket = -1, .door = -1, .channel = -1};
	struct sockaddr_un at;
	struct rlimit files;
	sigset_t set;
	int status = EXIT_FAILURE;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	w.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (door && door_address(door, &at) == 0) {
		w.at = &at;
		take_over(&w, &at);
		if (open_door(&w) < 0)
			mesh_warn("%s: %s: an update cannot take over from this agent", door, strerror(errno));
	}
	if (w.signals >= 0 && start(&w) == 0)
		status = serve(&w);
	else
		mesh_error("cannot start the agent: %s", strerror(errno));
	mesh_vec_each (h, &w.held.list)
		held_close(h);
	mesh_vec_free(&w.held.list);
	mesh_cleanup_fd(&w.channel);
	mesh_cleanup_fd(&w.socket);
	mesh_cleanup_fd(&w.signals);
	if (w.door >= 0) /* else it is a younger keeper's by now */
		unlink(at.sun_path);
	mesh_cleanup_fd(&w.door);
	return status;
}
