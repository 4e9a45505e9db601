/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keeper.h"

#include "agent/packet.h"
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
	LOOK_MS = 1000,
	YOUNGER_STARTS = 3, /* so many starts, and so much time, has an agent that is to take over */
	YOUNGER_S = 60,
};

struct mesh_keeper {
	int fd, channel;
	struct mesh_held_list untaken;
};

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
	r = mesh_packet_receive_list(k->fd, &k->untaken, &k->channel);
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
	mesh_held_free(&k->untaken);
	mesh_cleanup_fd(&k->channel);
	close(k->fd);
	free(k);
}

size_t mesh_keeper_take(struct mesh_keeper *k, uint64_t netns_cookie, int fds[MESH_KEEPER_FDS])
{
	for (size_t i = 0; k && i < k->untaken.list.count; i++) {
		struct mesh_held *h = &k->untaken.list.items[i];
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
		struct mesh_held *h = &k->untaken.list.items[0];

		mesh_packet_send(k->fd, MESH_PACKET_LISTENERS, h->netns_cookie, NULL, 0, 0);
		mesh_held_close(h);
		mesh_vec_remove(&k->untaken.list, 0);
	}
}

int mesh_keeper_put(struct mesh_keeper *k, uint64_t netns_cookie, const int *fds, size_t count)
{
	return k ? mesh_packet_send(k->fd, MESH_PACKET_LISTENERS, netns_cookie, fds,
				    MESH_MIN(count, (size_t)MESH_KEEPER_FDS), 0)
		 : 0;
}

int mesh_keeper_fd(const struct mesh_keeper *k)
{
	return k ? k->fd : -1;
}

int mesh_keeper_asks(struct mesh_keeper *k, int *channel)
{
	struct mesh_held h;
	int r = mesh_packet_receive(k->fd, &h, MSG_DONTWAIT);

	if (r == -EAGAIN || r == -EINTR)
		return 0;
	if (r <= 0)
		return r ? r : -ECONNRESET;
	if (h.kind != MESH_PACKET_YIELD) {
		mesh_held_close(&h);
		return 0;
	}
	*channel = mesh_held_only(&h);
	return *channel >= 0;
}

int mesh_keeper_yielded(struct mesh_keeper *k)
{
	return mesh_packet_send(k->fd, MESH_PACKET_YIELDED, 0, NULL, 0, 0);
}

int mesh_keeper_channel(struct mesh_keeper *k)
{
	return k ? mesh_steal_fd(&k->channel) : -1;
}

int mesh_keeper_in_force(struct mesh_keeper *k)
{
	return k ? mesh_packet_send(k->fd, MESH_PACKET_IN_FORCE, 0, NULL, 0, 0) : 0;
}

int mesh_keeper_moved(struct mesh_keeper *k)
{
	return k ? mesh_packet_send(k->fd, MESH_PACKET_MOVED, 0, NULL, 0, 0) : 0;
}

/* ---- the keeper's */

struct watch {
	const char *path;
	char *const *argv;
	struct mesh_held_list held;
	const struct sockaddr_un *at; /* of the door; NULL: none */
	struct sockaddr_un holder_at; /* family 0: none */
	pid_t child;
	int socket, signals, door;
	int holder;  /* which has all that is held here; -1: to be connected to */
	int channel; /* to the agent of the keeper before; kept, should the child have to start again */
	uint64_t started_ns, taken_ns; /* the child's start; when all was taken over from the keeper before */
	unsigned pause_ms, failed_starts;
	bool ending;
	bool yielded;  /* the child has said so */
	bool in_force; /* the child, which took over from another, has said so */
	bool done;     /* all is handed over: another keeper serves */
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

/* Everything that is held, and the channel, if there is one. Returns 0 or -errno. */
static int send_all(const struct watch *w, int fd, int channel)
{
	int r = mesh_packet_send_list(fd, &w->held, 0);

	if (r == 0 && channel >= 0)
		r = mesh_packet_send(fd, MESH_PACKET_CHANNEL, 0, &channel, 1, 0);
	return r == 0 ? mesh_packet_send(fd, MESH_PACKET_LISTENERS, 0, NULL, 0, 0) : r;
}

/* Starts a child and hands it all that is held. Returns 0 or -errno. */
static int start(struct watch *w)
{
	int pair[2];
	pid_t keeper = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	w->child = fork();
	if (w->child < 0) {
		int r = -errno;

		w->child = 0;
		close(pair[0]);
		close(pair[1]);
		return r;
	}
	if (w->child == 0)
		child_main(w, pair[1], keeper);
	close(pair[1]);
	w->socket = pair[0];
	w->started_ns = mesh_now_ns();
	send_all(w, w->socket, w->channel);
	return 0; /* a child that is gone already is seen by its end */
}

/* ---- who holds all of this should the keeper die, too: holder.h */

static void holder_lost(struct watch *w)
{
	mesh_cleanup_fd(&w->holder);
	w->holder = -1;
}

static bool holder_missing(const struct watch *w)
{
	return w->holder < 0 && w->holder_at.sun_family && !w->done;
}

static int holder_connect(struct watch *w)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};

	w->holder = mesh_packet_connect(&w->holder_at);
	if (w->holder < 0)
		return -ENOTCONN;
	setsockopt(w->holder, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(w->holder, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return 0;
}

/* What was held when the keeper before died. */
static void holder_take(struct watch *w)
{
	int r = w->holder_at.sun_family ? holder_connect(w) : -ENOTCONN;

	if (r < 0)
		return;
	r = mesh_packet_send(w->holder, MESH_PACKET_TAKE, 0, NULL, 0, 0);
	if (r == 0)
		r = mesh_packet_receive_list(w->holder, &w->held, NULL);
	if (r <= 0)
		holder_lost(w);
	else if (w->held.list.count)
		mesh_info("%zu pods' listeners were held while no agent was there", w->held.list.count);
}

/* A holder that is new, or that another keeper told last. */
static void holder_tell_all(struct watch *w)
{
	if (holder_connect(w) == 0 && (mesh_packet_send(w->holder, MESH_PACKET_RESET, 0, NULL, 0, 0) < 0 ||
				       mesh_packet_send_list(w->holder, &w->held, 0) < 0))
		holder_lost(w);
}

static void holder_tell(struct watch *w, const struct mesh_held *h)
{
	if (w->holder >= 0 &&
	    mesh_packet_send(w->holder, MESH_PACKET_LISTENERS, h->netns_cookie, h->fds, h->count, 0) < 0)
		holder_lost(w);
}

/* ---- */

static void on_packet(struct watch *w)
{
	struct mesh_held h;
	int r = mesh_packet_receive(w->socket, &h, 0);

	if (r <= 0) {
		if (r != -EMFILE) { /* gone: SIGCHLD says how */
			close(w->socket);
			w->socket = -1;
		}
		return;
	}
	switch (h.kind) {
	case MESH_PACKET_LISTENERS:
		if (!w->done)
			holder_tell(w, &h);
		mesh_held_put(&w->held, &h);
		return;
	case MESH_PACKET_YIELDED:
		w->yielded = true;
		break;
	case MESH_PACKET_IN_FORCE:
		w->in_force = true;
		break;
	case MESH_PACKET_MOVED:
		mesh_cleanup_fd(&w->channel);
		if (w->done)
			mesh_held_drop_all(&w->held);
		break;
	default:
		break;
	}
	mesh_held_close(&h);
}

static int open_door(struct watch *w);

/* The child of a keeper that has handed over. */
static int on_end_after(struct watch *w, int status)
{
	if (w->ending)
		return status;
	if (status != MESH_KEEPER_RESUME) {
		mesh_held_drop_all(&w->held);
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

/* With nothing to hold, an agent that fails to start is left to who started the keeper, and to the reasons it gives. */
static bool is_started_again(const struct watch *w, int how, bool healthy)
{
	return w->held.list.count > 0 || (WIFSIGNALED(how) && (healthy || WTERMSIG(how) == SIGKILL));
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
	if (w->ending || (WIFEXITED(how) && (status == 0 || status == EXIT_USAGE)) ||
	    !is_started_again(w, how, healthy))
		return status;
	if (healthy)
		w->pause_ms = 0;
	w->failed_starts++;
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
	struct mesh_held h;

	if (poll(&ready, 1, HELLO_MS) != 1 || mesh_packet_receive(fd, &h, MSG_DONTWAIT) <= 0)
		return false;
	mesh_held_close(&h);
	return h.kind == MESH_PACKET_HELLO;
}

/* Has the child yield. Returns the end of the channel to it that is for its successor, or -1: it does not. */
static int have_yield(struct watch *w)
{
	uint64_t until = mesh_now_ns() + MESH_MS(YIELD_MS);
	int pair[2], r;

	if (!w->child || w->socket < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	w->yielded = false;
	r = mesh_packet_send(w->socket, MESH_PACKET_YIELD, 0, &pair[0], 1, 0);
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

/* A younger keeper asks: everything goes to it. */
static void hand_over(struct watch *w)
{
	mesh_auto_fd int fd = accept4(w->door, NULL, NULL, SOCK_CLOEXEC), channel = -1;
	int r;

	if (fd < 0 || !mesh_packet_is_ours(fd))
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
		mesh_held_drop_all(&w->held);
	/* The channel of an earlier handing over is no concern of this keeper any more; its agent reads what is on it.
	 */
	mesh_cleanup_fd(&w->channel);
	mesh_cleanup_fd(&w->door);
	w->done = true;
	holder_lost(w); /* it is the younger one's now */
}

/* Takes over from the keeper that runs, if one does. Returns whether it did. */
static bool take_over(struct watch *w)
{
	mesh_auto_fd int fd = mesh_packet_connect(w->at);
	struct timeval patience = {.tv_sec = HAND_OVER_S};
	int r;

	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	mesh_packet_send(fd, MESH_PACKET_HELLO, 0, NULL, 0, 0);
	r = mesh_packet_receive_list(fd, &w->held, &w->channel);
	if (r > 0)
		mesh_info("%zu pods' listeners are taken over from the agent before", w->held.list.count);
	else
		mesh_warn("the agent before does not hand over: %s", r ? strerror(-r) : "it ended");
	w->taken_ns = mesh_now_ns();
	return r > 0;
}

static int open_door(struct watch *w)
{
	w->door = mesh_packet_listen(w->at);
	return w->door < 0 ? w->door : 0;
}

/* Whether an agent before waits for this one, by rules that become old meanwhile. */
static bool awaited(const struct watch *w)
{
	return w->channel >= 0 && !w->in_force;
}

/* And has for too long. */
static bool takes_too_long(const struct watch *w)
{
	return awaited(w) && !w->ending &&
	       (w->failed_starts >= YOUNGER_STARTS || mesh_now_ns() - w->taken_ns >= MESH_SEC(YOUNGER_S));
}

/*
 * The agent before goes by the rules that were in force when it yielded, as long as this one is there: it is better to
 * go. That one starts anew then.
 */
static int give_up(struct watch *w)
{
	mesh_error("the agent has ended %u times and is not in force after %u s: gives way to the one before",
		   w->failed_starts, (unsigned)((mesh_now_ns() - w->taken_ns) / MESH_SEC(1)));
	if (w->child) {
		kill(w->child, SIGKILL);
		waitpid(w->child, NULL, 0);
	}
	return EXIT_FAILURE;
}

/* How long to wait where nothing happens: while no child runs, the pause before the next. */
static int wait_ms(const struct watch *w)
{
	int ms = w->child || w->done ? -1 : (int)w->pause_ms;

	if ((holder_missing(w) || awaited(w)) && (ms < 0 || ms > LOOK_MS))
		ms = LOOK_MS;
	return ms;
}

static void start_again(struct watch *w)
{
	w->pause_ms = w->pause_ms ? MESH_MIN(w->pause_ms * 2, (unsigned)PAUSE_MAX_MS) : PAUSE_MIN_MS;
	if (start(w) < 0)
		mesh_error("cannot start the agent: %s", strerror(errno));
}

static int serve(struct watch *w)
{
	uint64_t looked_ns = 0, ended_ns = 0;
	int status = -1;

	while (status < 0) {
		struct pollfd ready[] = {{.fd = w->signals, .events = POLLIN},
					 {.fd = w->socket, .events = POLLIN},
					 {.fd = w->door, .events = POLLIN},
					 {.fd = w->holder, .events = POLLIN}};
		int n = poll(ready, MESH_ARRAY_SIZE(ready), wait_ms(w));
		bool ran = w->child != 0;

		if (n < 0 && errno != EINTR)
			return EXIT_FAILURE;
		if (n > 0 && ready[3].revents) { /* it never speaks unasked */
			holder_lost(w);
			looked_ns = mesh_now_ns();
		}
		if (n > 0 && ready[1].revents)
			on_packet(w);
		if (n > 0 && ready[0].revents)
			status = on_signal(w);
		if (n > 0 && status < 0 && ready[2].revents)
			hand_over(w);
		if (ran && !w->child)
			ended_ns = mesh_now_ns();
		if (status < 0 && takes_too_long(w))
			return give_up(w);
		if (n == 0 && !w->child && !w->done && mesh_now_ns() - ended_ns >= MESH_MS(w->pause_ms))
			start_again(w);
		if (holder_missing(w) && mesh_now_ns() - looked_ns >= MESH_MS(LOOK_MS)) {
			looked_ns = mesh_now_ns();
			holder_tell_all(w);
		}
	}
	return status;
}

/* The door goes before the channel: who hears of that opens one in its place. */
static void watch_end(struct watch *w)
{
	if (w->door >= 0) /* else it is a younger keeper's by now */
		unlink(w->at->sun_path);
	mesh_cleanup_fd(&w->door);
	mesh_held_free(&w->held);
	mesh_cleanup_fd(&w->socket);
	mesh_cleanup_fd(&w->channel);
	mesh_cleanup_fd(&w->holder);
	mesh_cleanup_fd(&w->signals);
}

int mesh_keeper_run(const char *path, char *const argv[], const char *door, const char *holder)
{
	struct watch w = {.path = path, .argv = argv, .socket = -1, .door = -1, .channel = -1, .holder = -1};
	struct sockaddr_un at;
	bool taken = false;
	sigset_t set;
	int status = EXIT_FAILURE;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	w.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (holder)
		mesh_packet_address(holder, &w.holder_at);
	if (door && mesh_packet_address(door, &at) == 0) {
		w.at = &at;
		taken = take_over(&w);
		if (open_door(&w) < 0)
			mesh_warn("%s: %s: an update cannot take over from this agent", door, strerror(errno));
	}
	if (!taken)
		holder_take(&w);
	if (w.signals >= 0 && start(&w) == 0)
		status = serve(&w);
	else
		mesh_error("cannot start the agent: %s", strerror(errno));
	watch_end(&w);
	return status;
}
