/* SPDX-License-Identifier: Apache-2.0 */
/* What the pods of a test's world do: dial, serve, and tell what they saw. Each function runs in the pod's process. */
#ifndef MESH_TEST_TRAFFIC_H
#define MESH_TEST_TRAFFIC_H

#include "world.h"

#include <netinet/tcp.h>

/* A connection's view of itself, kept in the pod as descriptor fd. */
struct conn {
	int fd, error;
	struct mesh_addr peer, self;
};

struct dial {
	struct mesh_addr to;
	int v6_socket; /* an IPv6 socket, also for an IPv4 address */
	int udp;
	char device[16]; /* SO_BINDTODEVICE */
};

static inline int dial_fd(const struct dial *d)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = mesh_addr_to_sock(&d->to, &ss);
	struct timeval patience = {.tv_sec = 5};
	int fd;

	if (d->v6_socket && ss.ss_family == AF_INET) {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = d->to.ip};

		in6.sin6_port = htons(d->to.port);
		memcpy(&ss, &in6, sizeof(in6));
		len = sizeof(in6);
	}
	fd = socket(ss.ss_family, d->udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (d->device[0])
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, d->device, sizeof(d->device));
	if (connect(fd, (struct sockaddr *)&ss, len) < 0) {
		int e = errno;

		close(fd);
		return -e;
	}
	return fd;
}

static inline void do_dial(const void *in, void *out)
{
	struct sockaddr_storage ss;
	struct conn *c = out;
	socklen_t len = sizeof(ss);

	c->fd = dial_fd(in);
	if (c->fd < 0) {
		c->error = -c->fd;
		return;
	}
	if (getpeername(c->fd, (struct sockaddr *)&ss, &len) == 0)
		mesh_addr_from_sock(&ss, &c->peer);
	len = sizeof(ss);
	if (getsockname(c->fd, (struct sockaddr *)&ss, &len) == 0)
		mesh_addr_from_sock(&ss, &c->self);
}

static inline struct conn pod_dial(struct pod *p, const struct dial *d)
{
	struct conn c;

	pod_call(p, do_dial, d, sizeof(*d), &c, sizeof(c));
	return c;
}

static inline void do_close(const void *in, void *out)
{
	(void)out;
	close(*(const int *)in);
}

static inline void pod_close(struct pod *p, int fd)
{
	pod_call(p, do_close, &fd, sizeof(fd), NULL, 0);
}

/* A server says its name, one byte, to everyone who connects, and then what it reads. */
struct server {
	struct mesh_addr at;
	char name;
	int fd;
};

static inline void *serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[256];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) < 0)
			break;
	close(fd);
	return NULL;
}

static inline void *serve(void *arg)
{
	struct server *s = arg;

	for (;;) {
		int fd = accept(s->fd, NULL, NULL);
		pthread_t t;
		int one = 1;

		if (fd < 0 && errno == EINVAL)
			return NULL;
		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (write(fd, &s->name, 1) < 0 || pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd) != 0) {
			close(fd);
			continue;
		}
		pthread_detach(t);
	}
}

static inline void *serve_udp(void *arg)
{
	struct server *s = arg;

	for (;;) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		char buf[16];

		if (recvfrom(s->fd, buf, sizeof(buf), 0, (struct sockaddr *)&ss, &len) >= 0)
			sendto(s->fd, &s->name, 1, 0, (struct sockaddr *)&ss, len);
	}
	return NULL;
}

static inline void start_server(const struct server *in, int type, void *(*fn)(void *))
{
	struct server *s = malloc(sizeof(*s));
	struct sockaddr_storage ss;
	socklen_t len;
	pthread_t t;
	int one = 1;

	*s = *in;
	len = mesh_addr_to_sock(&s->at, &ss);
	s->fd = socket(ss.ss_family, type, 0);
	setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s->fd, (struct sockaddr *)&ss, len) < 0 || (type == SOCK_STREAM && listen(s->fd, 1024) < 0))
		printf("  no server: %m\n");
	if (pthread_create(&t, NULL, fn, s) == 0)
		pthread_detach(t);
}

static inline void do_serve(const void *in, void *out)
{
	(void)out;
	start_server(in, SOCK_STREAM, serve);
}

static inline void do_serve_udp(const void *in, void *out)
{
	(void)out;
	start_server(in, SOCK_DGRAM, serve_udp);
}

static inline void pod_serve(struct pod *p, struct mesh_addr where, char name)
{
	struct server s = {.at = where, .name = name};

	pod_call(p, do_serve, &s, sizeof(s), NULL, 0);
}

/* Many short connections: who answered how often. */
struct burst {
	struct dial dial;
	int count;
};

struct tally {
	int by_name[128], failed, last_error;
	char first[64]; /* the first answers, in order */
};

static inline void do_burst(const void *in, void *out)
{
	const struct burst *b = in;
	struct tally *t = out;

	for (int i = 0; i < b->count; i++) {
		struct linger now = {.l_onoff = 1};
		int fd = dial_fd(&b->dial);
		unsigned char name = 0;

		if (fd < 0 || read(fd, &name, 1) != 1 || name >= 128) {
			t->failed++;
			t->last_error = fd < 0 ? -fd : errno;
		} else {
			t->by_name[name]++;
			if (i < 63)
				t->first[i] = (char)name;
		}
		if (fd >= 0) {
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
			close(fd);
		}
	}
}

static inline struct tally pod_burst(struct pod *p, const char *to, int count)
{
	struct burst b = {.dial.to = at(to), .count = count};
	struct tally t;

	pod_call(p, do_burst, &b, sizeof(b), &t, sizeof(t));
	return t;
}

/* Accepts on the listener that has a connection within a second; gives the names the socket has. */
static inline int accept_any(struct pod *p, struct mesh_addr *local, struct mesh_addr *peer)
{
	struct pollfd fds[4];
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	for (size_t i = 0; i < p->listener_count; i++)
		fds[i] = (struct pollfd){.fd = p->listeners[i], .events = POLLIN};
	if (poll(fds, p->listener_count, 1000) <= 0)
		return -1;
	for (size_t i = 0; i < p->listener_count; i++) {
		int fd = fds[i].revents ? accept(fds[i].fd, (struct sockaddr *)&ss, &len) : -1;

		if (fd < 0)
			continue;
		mesh_addr_from_sock(&ss, peer);
		len = sizeof(ss);
		getsockname(fd, (struct sockaddr *)&ss, &len);
		mesh_addr_from_sock(&ss, local);
		return fd;
	}
	return -1;
}

/* Connections without end, on threads of the pod, until stopped: who answered, and what failed. */
struct load {
	pthread_t threads[4];
	struct dial dial;
	struct tally tally; /* under lock */
	pthread_mutex_t lock;
	atomic_int stop;
};

static struct load load; /* each pod's process has its own */

static inline void *load_thread(void *arg)
{
	(void)arg;
	while (!load.stop) {
		struct burst b = {.dial = load.dial, .count = 1};
		struct tally t = {0};

		do_burst(&b, &t);
		pthread_mutex_lock(&load.lock);
		for (int i = 0; i < 128; i++)
			load.tally.by_name[i] += t.by_name[i];
		load.tally.failed += t.failed;
		if (t.failed)
			load.tally.last_error = t.last_error;
		pthread_mutex_unlock(&load.lock);
	}
	return NULL;
}

static inline void do_load_start(const void *in, void *out)
{
	(void)out;
	memset(&load, 0, sizeof(load));
	load.dial = *(const struct dial *)in;
	pthread_mutex_init(&load.lock, NULL);
	for (int i = 0; i < 4; i++)
		pthread_create(&load.threads[i], NULL, load_thread, NULL);
}

static inline void do_load_stop(const void *in, void *out)
{
	(void)in;
	load.stop = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(load.threads[i], NULL);
	memcpy(out, &load.tally, sizeof(load.tally));
}

static inline void pod_load_start(struct pod *p, const char *to)
{
	struct dial d = {.to = at(to)};

	pod_call(p, do_load_start, &d, sizeof(d), NULL, 0);
}

static inline struct tally pod_load_stop(struct pod *p)
{
	struct tally t;

	pod_call(p, do_load_stop, NULL, 0, &t, sizeof(t));
	return t;
}

/* One byte there and back on a connection that is open in the pod. Returns 1 if it came back. */
static inline void do_echo(const void *in, void *out)
{
	int fd = *(const int *)in;
	char byte = 'x';

	*(int *)out = write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1 && byte == 'x';
}

static inline int pod_echo(struct pod *p, int fd)
{
	int ok;

	pod_call(p, do_echo, &fd, sizeof(fd), &ok, sizeof(ok));
	return ok;
}

/*
 * The name a server says first on a connection that is open in the pod; 0: none came. It is waited for by poll(): a
 * flow whose receiver was seen to block in a call is spliced in another way.
 */
static inline void do_name(const void *in, void *out)
{
	struct pollfd p = {.fd = *(const int *)in, .events = POLLIN};
	char byte = 0;

	poll(&p, 1, 5000);
	*(int *)out = read(p.fd, &byte, 1) == 1 ? byte : 0;
}

static inline int pod_name(struct pod *p, int fd)
{
	int name;

	pod_call(p, do_name, &fd, sizeof(fd), &name, sizeof(name));
	return name;
}

/* One datagram to a server and its answer, by sendto and recvfrom. */
struct exchange {
	int error, name;
	struct mesh_addr from, peer;
};

static inline void do_exchange(const void *in, void *out)
{
	const struct dial *d = in;
	struct exchange *x = out;
	struct sockaddr_storage ss = {0};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = d->to.ip, .sin6_port = htons(d->to.port)};
	struct timeval patience = {.tv_sec = 2};
	socklen_t len = mesh_addr_to_sock(&d->to, &ss);
	char byte = '?';
	int fd;

	if (d->v6_socket) {
		memcpy(&ss, &in6, sizeof(in6));
		len = sizeof(in6);
	}
	/* d->udp 2: connected */
	fd = d->udp == 2 ? dial_fd(d) : socket(ss.ss_family, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (fd < 0 || sendto(fd, &byte, 1, 0, d->udp == 2 ? NULL : (struct sockaddr *)&ss, d->udp == 2 ? 0 : len) < 0) {
		x->error = fd < 0 ? -fd : errno;
		close(fd);
		return;
	}
	len = sizeof(ss);
	if (recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&ss, &len) != 1)
		x->error = errno;
	else
		mesh_addr_from_sock(&ss, &x->from);
	x->name = byte;
	len = sizeof(ss);
	if (d->udp == 2 && getpeername(fd, (struct sockaddr *)&ss, &len) == 0)
		mesh_addr_from_sock(&ss, &x->peer);
	close(fd);
}

static inline struct exchange pod_exchange(struct pod *p, const struct dial *d)
{
	struct exchange x;

	pod_call(p, do_exchange, d, sizeof(*d), &x, sizeof(x));
	return x;
}

static inline void pod_serve_udp(struct pod *p, struct mesh_addr where, char name)
{
	struct server s = {.at = where, .name = name};

	pod_call(p, do_serve_udp, &s, sizeof(s), NULL, 0);
}

/* A world with a client and two servers, 'a' and 'b', at port 8080 of their IPv4 addresses. Returns 0 or -errno. */
static inline int world_of_three(struct world *w)
{
	int r = world_new(w);

	if (r < 0)
		return r;
	for (int i = 0; i < 3; i++)
		world_pod(w);
	pod_serve(&w->pods[1], with_port(w->pods[1].ip4, 8080), 'a');
	pod_serve(&w->pods[2], with_port(w->pods[2].ip4, 8080), 'b');
	return 0;
}

/* Moves the pod's process to another cgroup. */
static inline void do_move(const void *in, void *out)
{
	char procs[400];

	(void)out;
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", (const char *)in);
	write_file(procs, "0");
}

/* Dials with little patience, and closes: the errno, or 0. */
static inline void do_dial_briefly(const void *in, void *out)
{
	const struct dial *d = in;
	struct sockaddr_storage ss;
	socklen_t len = mesh_addr_to_sock(&d->to, &ss);
	struct timeval patience = {.tv_usec = 300000};
	int fd = socket(ss.ss_family, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	*(int *)out = connect(fd, (struct sockaddr *)&ss, len) < 0 ? errno : 0;
	close(fd);
}

/* Accepts, takes the original destination and returns the connection's descriptor; -errno if there is none. */
static inline int accept_origdst(struct mesh_dp *dp, struct pod *p, struct mesh_addr *orig)
{
	struct mesh_addr local, peer;
	int fd = accept_any(p, &local, &peer), r;

	if (fd < 0)
		return -EAGAIN;
	r = mesh_dp_origdst(dp, p->cookie, &local, &peer, orig);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

#endif
