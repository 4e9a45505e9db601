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
	const char *uplink; /* of the data planes that are made from now on, and ... */
	const struct mesh_xdp *xdp;
	bool watch_stale;
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

/*
 * Pods are forked by a process that has one thread for ever. The test itself has more (the data plane's sweeper), and
 * a fork beside a thread that just starts may copy a lock that is held: the sanitizers' own are, and the pod's next
 * pthread_create() never returned.
 */
struct nursery_call {
	pid_t stop; /* 0: start one */
	char cgroup[400];
};

static int nursery = -1;

/* The pod's own process, until its end. */
static inline void pod_run(int sock, const char *cgroup)
{
	char procs[420];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	mkdir(cgroup, 0755);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup);
	write_file(procs, "0");
	if (unshare(CLONE_NEWNET) < 0)
		_exit(1);
	write_file("/proc/sys/net/ipv6/conf/all/accept_dad", "0");
	write_file("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
	write_file("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535");
	if (write(sock, "", 1) != 1)
		_exit(1);
	pod_main(sock);
}

/* A message of one pid, with one descriptor. */
union fd_room {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static inline void nursery_answer(int sock, pid_t pid, int fd)
{
	union fd_room room = {0};
	struct iovec iov = {.iov_base = &pid, .iov_len = sizeof(pid)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof(room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(sock, &m, 0) < 0)
		_exit(1);
}

static inline void nursery_main(int sock)
{
	struct nursery_call c;

	while (read(sock, &c, sizeof(c)) == sizeof(c)) {
		int pair[2];
		pid_t pid;

		if (c.stop) {
			kill(c.stop, SIGKILL);
			waitpid(c.stop, NULL, 0);
			if (write(sock, &c.stop, sizeof(c.stop)) < 0)
				break;
			continue;
		}
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
			break;
		pid = fork();
		if (pid == 0) {
			close(sock);
			close(pair[0]);
			pod_run(pair[1], c.cgroup);
		}
		close(pair[1]);
		nursery_answer(sock, pid, pair[0]);
		close(pair[0]);
	}
	_exit(0);
}

/* Before the first data plane, and so before the first thread. */
static inline void nursery_start(void)
{
	int pair[2];

	if (nursery >= 0)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		exit(1);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		nursery_main(pair[1]);
	}
	close(pair[1]);
	nursery = pair[0];
}

/* A process in a new namespace and the given cgroup. */
static inline void pod_start(struct pod *p, const char *cgroup)
{
	struct nursery_call c = {0};
	union fd_room room = {0};
	struct iovec iov = {.iov_base = &p->pid, .iov_len = sizeof(p->pid)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof(room)};
	char path[64], ready;

	snprintf(c.cgroup, sizeof(c.cgroup), "%s", cgroup);
	if (write(nursery, &c, sizeof(c)) != sizeof(c) || recvmsg(nursery, &m, MSG_CMSG_CLOEXEC) != sizeof(p->pid) ||
	    !CMSG_FIRSTHDR(&m))
		exit(1);
	memcpy(&p->sock, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(p->sock));
	if (read(p->sock, &ready, 1) != 1)
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

/* What the data plane says that changed of its uplink and its XDP device; "" for nothing. */
static inline const char *follow_devices(struct mesh_dp *dp)
{
	mesh_auto(mesh_errs_free) struct mesh_errs news = {0};
	static char text[512];

	mesh_dp_follow_devices(dp, &news);
	text[0] = '\0';
	mesh_vec_each (line, &news.list)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", text[0] ? "; " : "", line->text);
	return text;
}

static inline void print_errs(const struct mesh_errs *errs)
{
	struct mesh_buf text = {0};

	mesh_errs_format(errs, &text);
	printf("%.*s", (int)text.len, text.data ? text.data : "");
	mesh_buf_free(&text);
}

/* Sizes of the next world's tables. */
static uint32_t world_services = 256, world_endpoints = 4096;
/* How its programs are on devices. */
static bool world_clsact;

static inline int world_dp(struct world *w, struct mesh_dp **ret)
{
	struct mesh_dp_opts opts = {.pin_dir = w->pin,
				    .cgroup_root = w->pods_cgroup,
				    .agent_cgroup = w->agent_cgroup,
				    .host_netns = w->hub.netns_fd,
				    .uplink = w->uplink,
				    .clsact = world_clsact,
				    .xdp = w->xdp,
				    .watch_stale = w->watch_stale,
				    .max_services = world_services,
				    .max_endpoints = world_endpoints,
				    .max_pods = 64};
	struct mesh_errs errs = {0};
	int r = mesh_dp_new(ret, &opts, &errs);

	print_errs(&errs);
	mesh_errs_free(&errs);
	return r;
}

/* The agent ends; what is pinned stays in force. */
static inline void world_dp_end(struct world *w)
{
	mesh_dp_free(w->dp);
	w->dp = NULL;
}

/* And another begins. Returns 0 or -errno. */
static inline int world_dp_again(struct world *w)
{
	world_dp_end(w);
	return world_dp(w, &w->dp);
}

/* A world without pods, with a data plane. Returns 0 or -errno. */
static inline int world_new(struct world *w)
{
	static int worlds;

	memset(w, 0, sizeof(*w));
	nursery_start();
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
	struct nursery_call c = {0};

	if (!p->pid)
		return;
	c.stop = p->pid;
	if (write(nursery, &c, sizeof(c)) != sizeof(c) || read(nursery, &p->pid, sizeof(p->pid)) != sizeof(p->pid))
		exit(1);
	close(p->sock);
	close(p->netns_fd);
	for (size_t i = 0; i < p->listener_count; i++)
		close(p->listeners[i]);
	memset(p, 0, sizeof(*p));
}

static inline void world_free(struct world *w)
{
	mesh_dp_free(w->dp);
	mesh_dp_detach_from(w->pin, w->hub.netns_fd, NULL);
	for (int i = 0; i < w->pod_count; i++)
		pod_stop(&w->pods[i]);
	pod_stop(&w->hub);
	remove_cgroup(w->cgroup);
}

/* Frees what is in found. */
static inline int world_capture_found(struct world *w, struct pod *p, struct mesh_dp_found *found)
{
	struct mesh_errs errs = {0};
	char name[32];
	int r;

	snprintf(name, sizeof(name), "test/pod%d", p->number);
	r = mesh_dp_capture(w->dp, found, (struct mesh_addr[]){p->ip4, p->ip6}, 2, name, p->listeners,
			    &p->listener_count, &errs);
	print_errs(&errs);
	mesh_errs_free(&errs);
	if (found->netns_cookie != p->cookie)
		r = -EINVAL;
	mesh_dp_found_free(found);
	return r;
}

/* One that runs. */
static inline int world_capture(struct world *w, struct pod *p)
{
	struct mesh_dp_found found = {0};
	int r = mesh_dp_find(w->dp, &p->ip4, NULL, &found);

	if (r < 0) {
		printf("  pod %d is not found: %s\n", p->number, strerror(-r));
		return r;
	}
	if (found.pid != p->pid) {
		mesh_dp_found_free(&found);
		return -EINVAL;
	}
	return world_capture_found(w, p, &found);
}

/* One that does not run yet: somebody named its namespace. */
static inline int world_capture_new(struct world *w, struct pod *p)
{
	const struct mesh_addr ips[] = {p->ip4, p->ip6};
	struct mesh_dp_found found = {0};
	struct mesh_errs errs = {0};
	int r = mesh_dp_look(w->dp, p->netns_fd, ips, 2, &found, &errs);

	print_errs(&errs);
	mesh_errs_free(&errs);
	return r < 0 ? r : world_capture_found(w, p, &found);
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

static inline int image_apply(struct mesh_dp *dp, const struct mesh_l4_image *image, struct mesh_errs *errs)
{
	struct mesh_l4_delta delta = {.version = image->version, .whole = true};

	delta.set.items = image->services.items;
	delta.set.count = image->services.count;
	delta.node_ips.items = image->node_ips.items;
	delta.node_ips.count = image->node_ips.count;
	return mesh_dp_change(dp, &delta, errs);
}

/* Applies an image and frees it. */
static inline int world_apply(struct mesh_dp *dp, struct mesh_l4_image *image)
{
	struct mesh_errs errs = {0};
	int r = image_apply(dp, image, &errs);

	print_errs(&errs);
	mesh_errs_free(&errs);
	mesh_l4_image_free(image);
	return r;
}

static inline json_t *status_step(json_t *at, const char *key)
{
	json_t *row;
	size_t i;

	if (!json_is_array(at))
		return json_object_get(at, key);
	json_array_foreach(at, i, row)
	{
		const char *first = json_string_value(json_object_iter_value(json_object_iter(row)));

		if (first && strcmp(first, key) == 0)
			return row;
	}
	return NULL;
}

/* A number of the status, "maps/svc4/entries": below a list stands what comes first in one of its rows. -1: none. */
static inline long status_number(struct mesh_dp *dp, const char *fmt, ...)
{
	json_t *status = mesh_dp_status(dp), *at = status;
	char path[128], *rest = path, *key;
	va_list ap;
	long n;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	while ((key = strsep(&rest, "/")))
		at = status_step(at, key);
	n = json_is_integer(at) ? (long)json_integer_value(at) : -1;
	json_decref(status);
	return n;
}

static inline long map_entries(struct mesh_dp *dp, const char *name)
{
	return status_number(dp, "maps/%s/entries", name);
}

/* Of all pods. */
static inline long reason_count(struct mesh_dp *dp, const char *reason)
{
	return status_number(dp, "reasons/%s/count", reason);
}

#endif
