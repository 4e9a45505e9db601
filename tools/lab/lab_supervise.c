/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab_internal.h"

#include "core/log.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/netns.h"
#include "lab/lab_net.h"
#include "lab/lab_proc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/vfs.h>
#include <sys/wait.h>

enum {
	ROLES_MAX = 4 + 2 * MESH_LAB_NODES_MAX,
	ARGS_MAX = 48,
	BACKOFF_FIRST_MS = 50,
	BACKOFF_MAX_MS = 5000,
	STEADY_S = 10, /* who ran that long starts again without delay */
};

struct supervisor;

/* A process that is to run. */
struct role {
	struct supervisor *sup;
	char name[24];
	char *argv[ARGS_MAX + 1];
	unsigned argc;
	char *cgroup, *log, *pid_file, *netns;
	bool needs_api; /* waits for the API's kubeconfig */
	struct mesh_lab_pid pid;
	struct mesh_io gone; /* its pidfd */
	struct mesh_timer start;
	uint64_t started_ns;
	unsigned backoff_ms;
};

struct supervisor {
	struct mesh_loop *loop;
	struct mesh_lab lab;
	struct role roles[ROLES_MAX];
	unsigned count;
	bool api;
	struct mesh_timer api_poll;
	struct mesh_io children; /* SIGCHLD */
};

static void role_arg(struct role *r, char *arg)
{
	if (r->argc < ARGS_MAX)
		r->argv[r->argc++] = arg;
}

static void role_args(struct role *r, const char *const *args)
{
	for (; *args; args++)
		role_arg(r, mesh_xstrdup(*args));
}

static struct role *role_add(struct supervisor *sup, const char *name, char *program, char *cgroup, const char *netns)
{
	struct role *r = &sup->roles[sup->count++];
	char text[MESH_LAB_TEXT];

	r->sup = sup;
	snprintf(r->name, sizeof(r->name), "%s", name);
	role_arg(r, program);
	r->cgroup = cgroup;
	r->log = mesh_lab_path(&sup->lab, "logs/%s.log", name);
	r->pid_file = mesh_lab_path(&sup->lab, "pids/%s", name);
	r->netns = netns ? mesh_xstrdup(mesh_lab_netns_name(&sup->lab, netns, text)) : NULL;
	r->backoff_ms = BACKOFF_FIRST_MS;
	return r;
}

static void add_control(struct supervisor *sup, char *meshd)
{
	struct mesh_lab *lab = &sup->lab;
	char fabric[MESH_LAB_TEXT], host[MESH_LAB_TEXT], service[MESH_LAB_TEXT];
	struct role *r = role_add(sup, "control", meshd, mesh_lab_cgroup_path(lab, "control"), "fabric");

	mesh_lab_fabric_ip(lab, MESH_LAB_CONTROL_HOST, fabric);
	mesh_lab_host_ip(lab, host);
	mesh_lab_service_ip(lab, MESH_LAB_SERVICE_KUBERNETES, service);
	role_args(r, (const char *const[]){"control", "--embedded", "--data", NULL});
	role_arg(r, mesh_lab_path(lab, "data"));
	role_arg(r, mesh_xstrdup("--listen"));
	role_arg(r, mesh_xasprintf("%s:%d", fabric, MESH_LAB_API_PORT));
	role_args(r, (const char *const[]){"--san", fabric, "--san", host, "--san", service, "--san",
					   "kubernetes.default.svc", "--san", "kubernetes.default.svc.cluster.local",
					   "--san", "kubernetes.default", "--san", "kubernetes", NULL});
	role_arg(r, mesh_xstrdup("--kubeconfig-out"));
	role_arg(r, mesh_lab_path(lab, "kubeconfig"));
	role_arg(r, mesh_xstrdup("--kubeconfig-server"));
	role_arg(r, mesh_xasprintf("https://%s:%d", host, MESH_LAB_API_PORT));
	role_args(r, (const char *const[]){"--route-host", host, NULL});
	role_arg(r, mesh_xstrdup("--service-cidr"));
	role_arg(r, mesh_xasprintf("10.%u.0.0/16", 128 + lab->index));
}

static void add_dns(struct supervisor *sup)
{
	struct mesh_lab *lab = &sup->lab;
	char ip[MESH_LAB_TEXT], ip6[MESH_LAB_TEXT];
	char *dnsmasq = mesh_lab_program("/usr/sbin/dnsmasq");
	struct role *r;

	if (!dnsmasq) {
		mesh_warn("no DNS: /usr/sbin/dnsmasq is missing (apt-get install dnsmasq-base)");
		return;
	}
	r = role_add(sup, "dns", dnsmasq, mesh_lab_cgroup_path(lab, "dns"), "fabric");
	role_args(r, (const char *const[]){"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
					   "--no-poll", "--bind-interfaces", "--except-interface=lo", "--user=root",
					   "--local=/#/", "--local-ttl=5", "--cache-size=10000", "--log-facility=-",
					   NULL});
	role_arg(r, mesh_xasprintf("--listen-address=%s", mesh_lab_fabric_ip(lab, MESH_LAB_DNS_HOST, ip)));
	if (mesh_lab_has_ipv6())
		role_arg(r, mesh_xasprintf("--listen-address=%s", mesh_lab_fabric_ip6(lab, MESH_LAB_DNS_HOST, ip6)));
	role_arg(r, mesh_xasprintf("--addn-hosts=%s/dns/hosts", lab->dir));
	role_arg(r, mesh_xasprintf("--pid-file=%s/dns/pid", lab->dir));
}

/* One of the processes that are this program itself. */
static struct role *add_own(struct supervisor *sup, const char *name, char *cgroup, const char *netns,
			    const char *command)
{
	struct role *r = role_add(sup, name, realpath("/proc/self/exe", NULL), cgroup, netns);

	role_args(r, (const char *const[]){"lab", command, "--name", sup->lab.name, NULL});
	return r;
}

static void add_node(struct supervisor *sup, unsigned n, const char *meshd, bool agent)
{
	struct mesh_lab *lab = &sup->lab;
	char name[24], netns[16];
	struct role *r;

	snprintf(netns, sizeof(netns), "n%u", n);
	if (agent) {
		snprintf(name, sizeof(name), "node-%u-agent", n);
		r = role_add(sup, name, mesh_xstrdup(meshd), mesh_lab_cgroup_path(lab, "node-%u/agent", n), netns);
		r->needs_api = true;
		role_args(r, (const char *const[]){"agent", "--node", NULL});
		role_arg(r, mesh_xasprintf("node-%u", n));
		role_arg(r, mesh_xstrdup("--kubeconfig"));
		role_arg(r, mesh_lab_path(lab, "kubeconfig.inside"));
		role_arg(r, mesh_xstrdup("--cgroup-root"));
		role_arg(r, mesh_lab_cgroup_path(lab, "node-%u/pods", n));
		role_arg(r, mesh_xstrdup("--pin-dir"));
		role_arg(r, mesh_xasprintf("%s/%s-node-%u", MESH_LAB_PINS, lab->name, n));
		role_arg(r, mesh_xstrdup("--socket"));
		role_arg(r, mesh_lab_path(lab, "node-%u.sock", n));
	}
	snprintf(name, sizeof(name), "node-%u", n);
	r = add_own(sup, name, mesh_lab_cgroup_path(lab, "node-%u/kubelet", n), netns, "node");
	r->needs_api = true;
	role_arg(r, mesh_xstrdup("--node"));
	role_arg(r, mesh_xasprintf("%u", n));
}

static void role_gone(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct role *r = mesh_container_of(io, struct role, gone);
	bool steady = mesh_now_ns() - r->started_ns > MESH_SEC(STEADY_S);

	(void)events;
	mesh_io_remove(loop, io);
	mesh_cleanup_fd(&io->fd);
	if (steady)
		r->backoff_ms = BACKOFF_FIRST_MS;
	mesh_warn("%s (pid %d) has ended; starting it again in %u ms", r->name, (int)r->pid.pid, r->backoff_ms);
	r->pid.pid = 0;
	mesh_timer_set(loop, &r->start, MESH_MS(r->backoff_ms));
	r->backoff_ms = MESH_MIN(r->backoff_ms * 2, (unsigned)BACKOFF_MAX_MS);
}

static int role_watch(struct role *r)
{
	r->gone.fd = mesh_lab_pid_open(&r->pid);
	if (r->gone.fd < 0)
		return r->gone.fd;
	r->gone.fn = role_gone;
	r->started_ns = mesh_now_ns();
	return mesh_io_set(r->sup->loop, &r->gone, EPOLLIN);
}

static int role_spawn(struct role *r)
{
	mesh_auto_fd int ns = -1;
	struct mesh_lab_spawn spawn = {.argv = r->argv, .cgroup = r->cgroup, .netns_fd = -1, .log = r->log};
	int e;

	if (r->netns) {
		ns = mesh_lab_netns_open(r->netns);
		if (ns < 0)
			return ns;
		spawn.netns_fd = ns;
	}
	e = mesh_lab_spawn(&spawn, &r->pid);
	if (e < 0)
		return e;
	mesh_lab_pid_write(r->pid_file, &r->pid);
	mesh_info("%s: pid %d", r->name, (int)r->pid.pid);
	return role_watch(r);
}

static void role_start(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct role *r = mesh_container_of(timer, struct role, start);
	int e;

	if (r->needs_api && !r->sup->api)
		return; /* started when it is there */
	e = role_spawn(r);
	if (e < 0) {
		mesh_error("%s: %s: %s", r->name, r->argv[0], strerror(-e));
		mesh_timer_set(loop, timer, MESH_MS(r->backoff_ms));
		r->backoff_ms = MESH_MIN(r->backoff_ms * 2, (unsigned)BACKOFF_MAX_MS);
	}
}

/* Takes over a process that an earlier supervisor started. */
static bool role_adopt(struct role *r)
{
	if (mesh_lab_pid_read(r->pid_file, &r->pid) < 0 || !mesh_lab_pid_alive(&r->pid) || role_watch(r) < 0) {
		r->pid.pid = 0;
		return false;
	}
	mesh_info("%s: pid %d runs already", r->name, (int)r->pid.pid);
	return true;
}

/* The kubeconfig for those inside differs only in where the server is. */
static bool write_inside_kubeconfig(const struct mesh_lab *lab)
{
	mesh_auto_free char *in = mesh_lab_path(lab, "kubeconfig"), *out = mesh_lab_path(lab, "kubeconfig.inside");
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0}, inside = {0};
	char host[MESH_LAB_TEXT], fabric[MESH_LAB_TEXT];
	char *at, *rest;

	if (mesh_file_read(in, 1 << 20, &text) < 0 || text.len == 0)
		return false;
	mesh_lab_host_ip(lab, host);
	mesh_lab_fabric_ip(lab, MESH_LAB_CONTROL_HOST, fabric);
	rest = text.data;
	at = strstr(rest, host);
	if (at) {
		mesh_buf_add(&inside, rest, (size_t)(at - rest));
		mesh_buf_str(&inside, fabric);
		rest = at + strlen(host);
	}
	mesh_buf_str(&inside, rest);
	return mesh_file_write(out, mesh_buf_view(&inside), 0600) == 0;
}

static bool api_listens(const struct mesh_lab *lab)
{
	char ip[MESH_LAB_TEXT];
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(MESH_LAB_API_PORT)};
	mesh_auto_fd int ns = mesh_lab_netns_open(mesh_lab_netns_name(lab, "fabric", ip));
	mesh_auto_fd int fd = ns < 0 ? -1 : mesh_netns_socket(ns, AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, mesh_lab_fabric_ip(lab, MESH_LAB_CONTROL_HOST, ip), &a.sin_addr);
	return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

static void api_poll(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct supervisor *sup = mesh_container_of(timer, struct supervisor, api_poll);

	if (!api_listens(&sup->lab) || !write_inside_kubeconfig(&sup->lab)) {
		mesh_timer_set(loop, timer, MESH_MS(10));
		return;
	}
	sup->api = true;
	for (unsigned i = 0; i < sup->count; i++)
		if (sup->roles[i].needs_api && sup->roles[i].pid.pid == 0)
			mesh_timer_set(loop, &sup->roles[i].start, 0);
}

static void reap(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)loop;
	(void)events;
	while (read(io->fd, &info, sizeof(info)) == sizeof(info))
		;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* Orphans of the nodes come to us, so that none stays a zombie. */
static int watch_children(struct supervisor *sup)
{
	sigset_t set;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sup->children.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	sup->children.fn = reap;
	return sup->children.fd < 0 ? -errno : mesh_io_set(sup->loop, &sup->children, EPOLLIN);
}

bool mesh_lab_meshd_has(const char *meshd, const char *role)
{
	mesh_auto_free char *command = mesh_xasprintf("'%s' --help", meshd);
	FILE *f = popen(command, "re");
	char line[256], word[64];
	bool found = false;

	while (f && fgets(line, sizeof(line), f))
		found |= sscanf(line, "%63s", word) == 1 && strcmp(word, role) == 0;
	if (f)
		pclose(f);
	return found;
}

static int add_roles(struct supervisor *sup)
{
	char *meshd = mesh_lab_program("meshd");
	bool agent;

	if (!meshd) {
		mesh_error("meshd is not beside this program");
		return -ENOENT;
	}
	if (mesh_lab_meshd_has(meshd, "control"))
		add_control(sup, meshd);
	else
		mesh_warn("no API: this meshd has no role 'control'");
	agent = mesh_lab_meshd_has(meshd, "agent");
	if (!agent)
		mesh_warn("no mesh on the nodes: this meshd has no role 'agent'");
	add_own(sup, "router", mesh_lab_cgroup_path(&sup->lab, "router"), NULL, "router");
	add_dns(sup);
	add_own(sup, "controllers", mesh_lab_cgroup_path(&sup->lab, "controllers"), "fabric", "controllers")
		->needs_api = true;
	for (unsigned n = 1; n <= sup->lab.nodes; n++)
		add_node(sup, n, meshd, agent);
	return 0;
}

/* Agents pin there; a plain machine may not have it mounted. */
static void mount_bpffs(void)
{
	struct statfs fs;

	if (statfs("/sys/fs/bpf", &fs) == 0 && fs.f_type != 0xcafe4a11 &&
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") < 0)
		mesh_warn("/sys/fs/bpf: %s", strerror(errno));
}

static int prepare(struct supervisor *sup)
{
	static const char *const dirs[] = {"logs", "pids", "data", "dns"};
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	mesh_auto_free char *hosts = mesh_lab_path(&sup->lab, "dns/hosts");
	int fd, r = 0;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(dirs) && r == 0; i++) {
		mesh_auto_free char *path = mesh_lab_path(&sup->lab, "%s", dirs[i]);

		r = mesh_lab_mkdir(path);
	}
	for (unsigned n = 1; n <= sup->lab.nodes && r == 0; n++) {
		mesh_auto_free char *pods = mesh_lab_cgroup_path(&sup->lab, "node-%u/pods", n);

		r = mesh_lab_cgroup_make(pods);
	}
	if (r < 0) {
		mesh_error("%s: %s", sup->lab.dir, strerror(-r));
		return r;
	}
	fd = open(hosts, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd >= 0)
		close(fd);
	mount_bpffs();
	r = mesh_lab_network_make(&sup->lab, &errs);
	mesh_vec_each (e, &errs.list)
		mesh_error("%s", e->text);
	return r;
}

static void stop(void *arg)
{
	mesh_loop_stop(arg);
}

int mesh_lab_supervise(const struct mesh_lab_args *args)
{
	static struct supervisor sup;
	int r;

	mesh_log_init("lab", MESH_LOG_INFO);
	if (mesh_lab_pick(args, &sup.lab) < 0)
		return 1;
	r = mesh_loop_new(&sup.loop);
	if (r == 0)
		r = mesh_loop_on_term(sup.loop, stop, sup.loop);
	if (r == 0)
		r = watch_children(&sup);
	if (r == 0)
		r = prepare(&sup);
	if (r == 0)
		r = add_roles(&sup);
	if (r < 0) {
		mesh_error("lab %s: %s", sup.lab.name, strerror(-r));
		return 1;
	}
	for (unsigned i = 0; i < sup.count; i++) {
		sup.roles[i].start.fn = role_start;
		if (!role_adopt(&sup.roles[i]))
			mesh_timer_set(sup.loop, &sup.roles[i].start, 0);
	}
	sup.api_poll.fn = api_poll;
	mesh_timer_set(sup.loop, &sup.api_poll, 0);
	return mesh_loop_run(sup.loop) < 0;
}
