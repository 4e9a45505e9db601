/* SPDX-License-Identifier: Apache-2.0 */
/* One socket in several hands: dup, fork, exec, SCM_RIGHTS, threads, pidfd_getfd. */
#include "sock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool echoes(const struct sc *x, int from, int to, uint64_t at)
{
	return sc_put(from, x->seed, at, 2000) && sc_take(to, x->seed, at, 2000);
}

static void duplicate(const struct sc *x)
{
	struct sc_pair p;
	uint64_t at = 0;
	int d;

	sc_pair(x, &p);
	d = dup(p.c);
	sc_see(x, "by the copy", "%s", echoes(x, d, p.s, 0) && echoes(x, p.s, d, 0) ? "works" : "broken");
	close(p.c);
	sc_see(x, "without the original", "%s", echoes(x, d, p.s, 2000) ? "works" : "broken");
	sc_see(x, "no end is seen", "%s", sc_events(sc_poll(p.s, POLLIN | POLLRDHUP, 30)));
	d = dup3(d, 900, O_CLOEXEC);
	if (x->via == SC_BODY)
		return;
	at = 4000;
	sc_see(x, "shutdown by one", "%d", shutdown(d, SHUT_WR));
	sc_see(x, "is the end for all", "%s", sc_error_name(sc_drain(x, p.s, x->seed, &at)));
}

/* A child that answers on what it inherited, and is waited for. */
static int in_child(const struct sc *x, int fd, uint64_t at)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(sc_take(fd, x->seed, at, 2000) && sc_put(fd, x->seed + 1, at, 2000) ? 0 : 1);
	waitpid(child, &status, 0);
	return status;
}

static void forked(const struct sc *x)
{
	struct sc_pair p;
	int right = 0;

	sc_pair(x, &p);
	for (uint64_t i = 0; i < 5; i++) {
		sc_put(p.c, x->seed, i * 2000, 2000);
		right += in_child(x, p.s, i * 2000) == 0 && sc_take(p.c, x->seed + 1, i * 2000, 2000);
	}
	sc_see(x, "children that answered", "%d", right);
	sc_see(x, "the parent still has it", "%s", echoes(x, p.s, p.c, 0) ? "works" : "broken");
}

/* A server that forks for each connection and closes its own copy: the last copy's end is the end. */
static void forking_server(const struct sc *x)
{
	int l = sc_listener(x), right = 0;

	for (int i = 0; i < 10; i++) {
		struct sc_pair p;
		uint64_t at = 0;
		pid_t child;

		sc_pair_from(x, l, &p);
		child = fork();
		if (child == 0) {
			close(p.c);
			_exit(sc_take(p.s, x->seed, 0, 500) && sc_put(p.s, x->seed, 0, 40000) ? 0 : 1);
		}
		close(p.s);
		sc_put(p.c, x->seed, 0, 500);
		right += sc_drain(x, p.c, x->seed, &at) == 0 && at == 40000;
		waitpid(child, NULL, 0);
		close(p.c);
	}
	sc_see(x, "answers", "%d", right);
}

/* As inetd does it: a program that knows only its standard input and output. */
static void inherited(const struct sc *x)
{
	struct sc_flow out = {.seed = x->seed, .bytes = 300000};
	pthread_t sender;
	struct sc_pair p;
	pid_t child;
	bool right;

	sc_pair(x, &p);
	child = fork();
	if (child == 0) {
		dup2(p.s, 0);
		dup2(p.s, 1);
		execlp("cat", "cat", NULL);
		_exit(127);
	}
	close(p.s);
	out.fd = p.c;
	pthread_create(&sender, NULL, sc_flow_send, &out);
	right = sc_take(p.c, x->seed, 0, 300000);
	pthread_join(sender, NULL);
	sc_see(x, "cat", "%s", right ? "echoes" : "does not");
	if (x->via != SC_BODY) {
		uint64_t at = 300000;

		shutdown(p.c, SHUT_WR);
		sc_see(x, "then", "%s", sc_error_name(sc_drain(x, p.c, x->seed, &at)));
	} else {
		kill(child, SIGKILL);
	}
	waitpid(child, NULL, 0);
}

static void pass_fd(int over, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	sendmsg(over, &msg, 0);
}

static int take_fd(int over)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	int fd = -1;

	if (recvmsg(over, &msg, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Handed to another process in the middle of a stream, with bytes queued; the giver ends. */
static void handed_over(const struct sc *x)
{
	int over[2], status = -1;
	struct sc_pair p;
	uint64_t at = 5000;
	pid_t child;
	char c;

	sc_pair(x, &p);
	sc_need(x, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, over) == 0, "socketpair: %m");
	child = fork();
	if (child == 0) {
		int fd;

		close(p.c);
		close(p.s);
		close(over[0]);
		fd = take_fd(over[1]);
		status = sc_take(fd, x->seed, 0, 5000) && sc_put(fd, x->seed, 0, 5000) ? 0 : 1;
		recv(over[1], &c, 1, 0);
		_exit(status);
	}
	close(over[1]);
	sc_put(p.c, x->seed, 0, 3000); /* queued when it changes hands */
	sc_settle(p.s, 3000);
	pass_fd(over[0], p.s);
	close(p.s);
	sc_put(p.c, x->seed, 3000, 2000);
	sc_see(x, "the taker's answer", "%s", sc_take(p.c, x->seed, 0, 5000) ? "right" : "wrong");
	close(over[0]);
	waitpid(child, &status, 0);
	sc_see(x, "the taker", "%d", WEXITSTATUS(status));
	if (x->via != SC_BODY)
		sc_see(x, "its end", "%s", sc_error_name(sc_drain(x, p.c, x->seed, &at)));
}

/* In flight between two processes that both end: then nobody has it. */
static void lost_in_passing(const struct sc *x)
{
	struct sc_pair p;
	uint64_t at = 0;
	int over[2];

	sc_pair(x, &p);
	sc_need(x, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, over) == 0, "socketpair: %m");
	sc_put(p.s, x->seed, 0, 700);
	pass_fd(over[0], p.s);
	close(p.s);
	sc_see(x, "in passing", "%s", sc_events(sc_poll(p.c, POLLRDHUP, 30)));
	close(over[0]);
	close(over[1]);
	sc_see(x, "then", "%s", sc_error_name(sc_drain(x, p.c, x->seed, &at)));
	sc_see(x, "bytes", "%llu", (unsigned long long)at);
}

enum { WRITERS = 4, MESSAGE = 512, MESSAGES = 100 };

struct writer {
	int fd;
	unsigned char tag;
};

static void *write_messages(void *arg)
{
	const struct writer *w = arg;
	unsigned char message[MESSAGE];

	memset(message, w->tag, sizeof(message));
	for (int i = 0; i < MESSAGES; i++)
		if (send(w->fd, message, sizeof(message), MSG_NOSIGNAL) != MESSAGE)
			break;
	return NULL;
}

/* Several writers on one socket: each message of theirs comes whole. */
static void see_messages(const struct sc *x, int fd)
{
	int whole = 0, torn = 0, of[WRITERS] = {0};
	unsigned char m[MESSAGE];

	for (int i = 0; i < WRITERS * MESSAGES; i++) {
		size_t have = 0, same = 0;
		ssize_t n;

		while (have < MESSAGE && sc_poll(fd, POLLIN, 3000) && (n = recv(fd, m + have, MESSAGE - have, 0)) > 0)
			have += (size_t)n;
		if (have < MESSAGE)
			break;
		while (same < MESSAGE && m[same] == m[0])
			same++;
		whole += same == MESSAGE;
		torn += same < MESSAGE;
		if (m[0] < WRITERS)
			of[m[0]]++;
	}
	sc_see(x, "whole", "%d", whole);
	sc_see(x, "torn", "%d", torn);
	for (int i = 0; i < WRITERS; i++)
		sc_must(x, of[i] == MESSAGES, "%d of %d messages of writer %d", of[i], MESSAGES, i);
}

static void threads(const struct sc *x)
{
	struct writer writers[WRITERS];
	pthread_t ids[WRITERS];
	struct sc_pair p;

	sc_pair(x, &p);
	sc_set(p.c, SOL_SOCKET, SO_SNDBUF, 1 << 20); /* none of them has to wait in the middle of a message */
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){p.c, (unsigned char)i};
		pthread_create(&ids[i], NULL, write_messages, &writers[i]);
	}
	see_messages(x, p.s);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(ids[i], NULL);
}

static void processes(const struct sc *x)
{
	struct sc_pair p;

	sc_pair(x, &p);
	sc_set(p.c, SOL_SOCKET, SO_SNDBUF, 1 << 20);
	for (int i = 0; i < WRITERS; i++)
		if (fork() == 0) {
			write_messages(&(struct writer){p.c, (unsigned char)i});
			_exit(0);
		}
	see_messages(x, p.s);
	while (wait(NULL) > 0)
		;
}

/* A debugger takes a descriptor out of another process. */
static void taken_out(const struct sc *x)
{
	struct sc_pair p;
	pid_t child;
	int pidfd, fd;

	sc_pair(x, &p);
	child = fork();
	if (child == 0)
		for (;;)
			pause();
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, p.s, 0);
	if (fd < 0)
		sc_skip(x, "pidfd_getfd: %s", strerror(errno));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(p.s);
	sc_see(x, "taken out", "%s", echoes(x, p.c, fd, 0) && echoes(x, fd, p.c, 0) ? "works" : "broken");
}

static const struct sc_case rows[] = {
	SC_CASE("dup", "dup: the last copy's close is the end", duplicate, SC_ALL),
	SC_CASE("fork", "children that answer on what they inherited", forked, SC_ALL),
	SC_CASE("forking-server", "a server that forks for each connection", forking_server, SC_TUNNEL),
	SC_CASE("inetd", "a program with a socket as standard input and output", inherited, SC_ALL),
	SC_CASE("scm-rights", "SCM_RIGHTS in the middle of a stream", handed_over, SC_ALL),
	SC_CASE("scm-rights-lost", "SCM_RIGHTS to nobody", lost_in_passing, SC_TUNNEL),
	SC_CASE("threads", "threads that write messages to one socket", threads, SC_ALL),
	SC_CASE("processes", "processes that write messages to one socket", processes, SC_ALL),
	SC_CASE("pidfd-getfd", "a socket taken out of another process", taken_out, SC_ALL),
};

const struct sc_group sc_share = SC_GROUP(rows);
