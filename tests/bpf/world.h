/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world for data plane tests: a cgroup, pods (processes in network namespaces and cgroups
 * of their own, on one bridge in a namespace of its own) that run functions for the test, and a data
 * plane above them. All is named by the test's pid and goes with it; a killed test's remains go with
 * the next one.
 */
#ifndef MESH_TEST_WORLD_H
#define MESH_TEST_WORLD_H

#include "../unit/test.h"
#include "core/netns.h"
#include "dataplane/dataplane.h"
#include "mesh/reasons.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORLD_PODS = 12, CALL_SIZE = 1024 };

struct call {
	void (*fn)(const void *in, void *out);
	char bytes[CALL_SIZE];
};

struct pod {
	pid_t pid;
	int sock; /* calls and answers */
	int number;
	struct mesh_addr ip4, ip6;
	int listeners[4];
	size_t listener_count;
	uint64_t cookie;
	int netns_fd;
};

struct world {
	char name[32], cgroup[300], pods_cgroup[320], agent_cgroup[340], pin[64];
	struct pod hub, pods[WORLD_PODS];
	int pod_count;
	struct mesh_dp *dp;
};

static inline void run(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	if (system(cmd) != 0)
		printf("  failed: %s\n", cmd);
}

static inline void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, text, strlen(text)) < 0)
			printf("  writing %s: %m\n", path);
		close(fd);
	}
}

static inline void remove_cgroup(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.') {
			mesh_auto_free char *sub = mesh_xasprintf("%s/%s", path, e->d_name);

			remove_cgroup(sub);
		}
	if (d)
		closedir(d);
	for (int i = 0; rmdir(path) < 0 && errno == EBUSY && i < 100; i++)
		usleep(10000);
}

/* What tests that were killed left: their cgroups and pins, known by a pid that is no more. */
static inline void sweep_dead_worlds(void)
{
	const char *dirs[] = {mesh_cgroup2_mount(), "/sys/fs/bpf"};

	for (int i = 0; i < 2; i++) {
		DIR *d = opendir(dirs[i]);
		struct dirent *e;
		char path[700];
		int pid;

		while (d && (e = readdir(d))) {
			if (sscanf(e->d_name, "meshdp-%d-", &pid) != 1 || kill(pid, 0) == 0)
				continue;
			snprintf(path, sizeof(path), "%s/%s", dirs[i], e->d_name);
			if (i == 0)
				remove_cgroup(path);
			else
				mesh_dp_detach(path, NULL);
		}
		if (d)
			closedir(d);
	}
}

static inline void pod_main(int sock)
{
	struct call c;

	while (read(sock, &c, sizeof(c)) == sizeof(c)) {
		char in[CALL_SIZE];

		memcpy(in, c.bytes, sizeof(in));
		memset(c.bytes, 0, sizeof(c.bytes));
		c.fn(in, c.bytes);
		if (write(sock, &c, sizeof(c)) != sizeof(c))
			break;
	}
	_exit(0);
}

/* Runs fn in the pod; in and out are at most CALL_SIZE bytes. */
static inline void pod_call(struct pod *p, void (*fn)(const void *, void *), const void *in, size_t in_len, void *out,
			    size_t out_len)
{
	struct call c = {.fn = fn};

	if (in)
		memcpy(c.bytes, in, in_len);
	if (write(p->sock, &c, sizeof(c)) != sizeof(c) || read(p->sock, &c, sizeof(c)) != sizeof(c)) {
		printf("  a pod's process died\n");
		exit(1);
	}
	if (out)
		memcpy(out, c.bytes, out_len);
}

/* A process in a new namespace and the given cgroup. */
static inline void pod_start(struct pod *p, const char *cgroup)
{
	char procs[400], path[64];
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		exit(1);
	p->pid = fork();
	if (p->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		close(pair[0]);
		mkdir(cgroup, 0755);
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup);
		write_file(procs, "0");
		if (unshare(CLONE_NEWNET) < 0)
			_exit(1);
		write_file("/proc/sys/net/ipv6/conf/all/accept_dad", "0");
		write_file("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
		write_file("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535");
		if (write(pair[1], "", 1) != 1)
			_exit(1);
		pod_main(pair[1]);
	}
	close(pair[1]);
	p->sock = pair[0];
	if (read(p->sock, procs, 1) != 1)
		exit(1);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", p->pid);
	p->netns_fd = open(path, O_RDONLY | O_CLOEXEC);
	mesh_netns_cookie(p->netns_fd, &p->cookie);
}

static inline struct pod *world_pod(struct world *w)
{
	struct pod *p = &w->pods[w->pod_count];
	char cgroup[360];
	int n = p->number = ++w->pod_count;

	snprintf(cgroup, sizeof(cgroup), "%s/pod%d", w->pods_cgroup, n);
	pod_start(p, cgroup);
	run("ip link add name e%d netns %d type veth peer name eth0 netns %d && "
	    "nsenter -t %d -n sh -c 'ip link set e%d master br0 up' && "
	    "nsenter -t %d -n sh -c 'ip link set lo up; ip link set eth0 up; ip addr add 10.77.0.%d/24 dev eth0; "
	    "ip addr add fd77::%d/64 dev eth0 nodad; ip route add default via 10.77.0.254; "
	    "ip -6 route add default via fd77::fe; ip route add unreachable 10.99.0.0/16'",
	    n, w->hub.pid, p->pid, w->hub.pid, n, p->pid, n, n);
	p->ip4 = mesh_addr_from_v4(htonl(0x0a4d0000 + (uint32_t)n), 0);
	inet_pton(AF_INET6, "fd77::", &p->ip6.ip);
	p->ip6.ip.s6_addr[15] = (uint8_t)n;
	return p;
}

static inline void print_errs(const struct mesh_errs *errs)
{
	struct mesh_buf text = {0};

	mesh_errs_format(errs, &text);
	printf("%.*s", (int)text.len, text.data ? text.data : "");
	mesh_buf_free(&text);
}

static inline int world_dp(struct world *w, struct mesh_dp **ret)
{
	struct mesh_dp_opts opts = {.pin_dir = w->pin,
				    .cgroup_root = w->pods_cgroup,
				    .agent_cgroup = w->agent_cgroup,
				    .max_services = 256,
				    .max_endpoints = 4096,
				    .max_pods = 64};
	struct mesh_errs errs = {0};
	int r = mesh_dp_new(ret, &opts, &errs);

	print_errs(&errs);
	mesh_errs_free(&errs);
	return r;
}

/* A world without pods, with a data plane. Returns 0 or -errno. */
static inline int world_new(struct world *w)
{
	static int worlds;

	memset(w, 0, sizeof(*w));
	if (worlds++ == 0)
		sweep_dead_worlds();
	snprintf(w->name, sizeof(w->name), "meshdp-%d-%d", getpid(), worlds);
	snprintf(w->cgroup, sizeof(w->cgroup), "%s/%s", mesh_cgroup2_mount(), w->name);
	snprintf(w->pods_cgroup, sizeof(w->pods_cgroup), "%s/pods", w->cgroup);
	snprintf(w->agent_cgroup, sizeof(w->agent_cgroup), "%s/agent", w->pods_cgroup);
	snprintf(w->pin, sizeof(w->pin), "/sys/fs/bpf/%s", w->name);
	mkdir(w->cgroup, 0755);
	mkdir(w->pods_cgroup, 0755);
	mkdir(w->agent_cgroup, 0755);
	pod_start(&w->hub, w->cgroup);
	run("nsenter -t %d -n sh -c 'ip link set lo up; ip link add br0 type bridge; ip link set br0 up; "
	    "ip addr add 10.77.0.254/24 dev br0; ip addr add fd77::fe/64 dev br0 nodad'",
	    w->hub.pid);
	return world_dp(w, &w->dp);
}

static inline void pod_stop(struct pod *p)
{
	if (!p->pid)
		return;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	close(p->sock);
	close(p->netns_fd);
	for (size_t i = 0; i < p->listener_count; i++)
		close(p->listeners[i]);
	memset(p, 0, sizeof(*p));
}

static inline void world_free(struct world *w)
{
	mesh_dp_free(w->dp);
	mesh_dp_detach(w->pin, NULL);
	for (int i = 0; i < w->pod_count; i++)
		pod_stop(&w->pods[i]);
	pod_stop(&w->hub);
	remove_cgroup(w->cgroup);
}

static inline int world_capture(struct world *w, struct pod *p)
{
	struct mesh_errs errs = {0};
	struct mesh_dp_found found = {0};
	char name[32];
	int r = mesh_dp_find(w->dp, &p->ip4, &found);

	if (r < 0) {
		printf("  pod %d is not found: %s\n", p->number, strerror(-r));
		return r;
	}
	snprintf(name, sizeof(name), "test/pod%d", p->number);
	r = mesh_dp_capture(w->dp, &found, (struct mesh_addr[]){p->ip4, p->ip6}, 2, name, p->listeners,
			    &p->listener_count, &errs);
	print_errs(&errs);
	mesh_errs_free(&errs);
	if (found.netns_cookie != p->cookie || found.pid != p->pid)
		r = -EINVAL;
	close(found.netns_fd);
	free(found.cgroup);
	return r;
}

static inline struct mesh_addr at(const char *text)
{
	struct mesh_addr a = {0};

	if (mesh_addr_parse_port(mesh_slice_str(text), &a) < 0)
		printf("  bad address %s\n", text);
	return a;
}

static inline struct mesh_addr with_port(struct mesh_addr a, uint16_t port)
{
	a.port = port;
	return a;
}

/* Adds a service to an image. */
static inline struct mesh_l4_service *add_service(struct mesh_l4_image *image, const char *vip, int proto,
						  enum mesh_tier tier)
{
	struct mesh_l4_service *s = mesh_vec_add(&image->services);

	s->name = mesh_xstrdup(vip);
	s->vip = at(vip);
	s->ip_proto = (uint8_t)proto;
	s->tier = tier;
	return s;
}

static inline void add_dest(struct mesh_l4_service *s, uint32_t weight, size_t count, const struct mesh_addr *endpoints)
{
	struct mesh_l4_dest *d = mesh_vec_add(&s->dests);

	d->weight = weight;
	d->endpoint_count = count;
	d->endpoints = mesh_xcalloc(count + 1, sizeof(*endpoints));
	if (count)
		memcpy(d->endpoints, endpoints, count * sizeof(*endpoints));
}

/* Applies an image and frees it. */
static inline int world_apply(struct mesh_dp *dp, struct mesh_l4_image *image)
{
	struct mesh_errs errs = {0};
	int r = mesh_dp_apply(dp, image, &errs);

	print_errs(&errs);
	mesh_errs_free(&errs);
	mesh_l4_image_free(image);
	return r;
}

/* ---- what pods do ---- */

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

		if (fd < 0 && errno == EINVAL)
			return NULL;
		if (fd < 0 || write(fd, &s->name, 1) < 0)
			continue;
		if (pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd) == 0)
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

/* The name a server says first on a connection that is open in the pod; 0: none came. */
static inline void do_name(const void *in, void *out)
{
	char byte = 0;

	*(int *)out = read(*(const int *)in, &byte, 1) == 1 ? byte : 0;
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

/* Moves the pod's process to another cgroup. */
static inline void do_move(const void *in, void *out)
{
	char procs[400];

	(void)out;
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", (const char *)in);
	write_file(procs, "0");
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

/* Entries of a map, from the status. */
static inline long map_entries(struct mesh_dp *dp, const char *name)
{
	json_t *status = mesh_dp_status(dp), *row;
	size_t i;
	long n = -1;

	json_array_foreach(json_object_get(status, "maps"), i,
			   row) if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0) n =
		(long)json_integer_value(json_object_get(row, "entries"));
	json_decref(status);
	return n;
}

/* The count of a reason, over all pods. */
static inline long reason_count(struct mesh_dp *dp, const char *reason)
{
	json_t *status = mesh_dp_status(dp), *row;
	size_t i;
	long n = -1;

	json_array_foreach(json_object_get(status, "reasons"), i,
			   row) if (strcmp(json_string_value(json_object_get(row, "reason")), reason) == 0) n =
		(long)json_integer_value(json_object_get(row, "count"));
	json_decref(status);
	return n;
}

#endif
