/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/node_sandbox.h"

#include "core/mem.h"
#include "core/netns.h"
#include "lab/lab_net.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Other pods' namespaces are bound below /run/netns: a copy of those mounts would keep them alive. */
static void drop_foreign_mounts(void)
{
	char paths[256][64];
	size_t count = 0;
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	while (f && count < 256 && (m = getmntent(f)))
		if (strncmp(m->mnt_dir, "/run/netns/", 11) == 0 && strlen(m->mnt_dir) < sizeof(paths[0]))
			strcpy(paths[count++], m->mnt_dir);
	if (f)
		endmntent(f);
	for (size_t i = 0; i < count; i++)
		umount2(paths[i], MNT_DETACH);
}

static int bind_fd(int fd, const char *target)
{
	char source[64];

	snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
	return mount(source, target, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

/*
 * Where a file of /etc really is. It may be a link into /run, of which the pod has its own, empty: then a file is
 * made there to bind to.
 */
static int bind_over(int fd, const char *path)
{
	char target[256], full[512];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	char *slash;

	if (n < 0)
		return access(path, F_OK) < 0 ? -errno : bind_fd(fd, path);
	target[n] = 0;
	snprintf(full, sizeof(full), "%s%s", target[0] == '/' ? "" : "/etc/", target);
	if (access(full, F_OK) < 0) {
		mesh_auto_free char *dir = mesh_xstrdup(full);
		int made;

		slash = strrchr(dir, '/');
		*slash = 0;
		if (!strstr(full, "/run/") || mesh_lab_mkdir(dir) < 0)
			return -ENOENT;
		made = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (made < 0)
			return -errno;
		close(made);
	}
	return bind_fd(fd, full);
}

static int pause_mounts(const struct mesh_lab_sandbox_spec *spec)
{
	mesh_auto_fd int account = -1, volumes = -1, resolv = open(spec->resolv_conf, O_PATH | O_CLOEXEC),
			 hosts = open(spec->hosts, O_PATH | O_CLOEXEC);
	int r;

	if (resolv < 0 || hosts < 0)
		return -errno;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	drop_foreign_mounts();
	account = open(spec->service_account, O_PATH | O_DIRECTORY | O_CLOEXEC);
	volumes = open(spec->volumes, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (account < 0 || volumes < 0)
		return -errno;
	if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m") < 0)
		return -errno;
	r = mesh_lab_mkdir("/run/lock");
	if (r == 0)
		r = bind_over(resolv, "/etc/resolv.conf");
	if (r == 0)
		r = bind_over(hosts, "/etc/hosts");
	if (r == -ENOENT) /* a machine may have no such file; DNS is enough */
		r = 0;
	if (r == 0)
		r = mesh_lab_mkdir("/run/secrets/kubernetes.io/serviceaccount");
	if (r == 0)
		r = bind_fd(account, "/run/secrets/kubernetes.io/serviceaccount");
	if (r == 0)
		r = mesh_lab_mkdir(MESH_LAB_VOLUMES);
	return r < 0 ? r : bind_fd(volumes, MESH_LAB_VOLUMES);
}

/* The pod's first process: makes its namespaces its own, says 0 or -errno, and waits for the end. */
static void __attribute__((noreturn)) pause_main(const struct mesh_lab_sandbox_spec *spec, int report)
{
	sigset_t none;
	int r, null;

	setsid();
	r = mesh_lab_cgroup_enter(spec->cgroup);
	if (r == 0 && unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS) < 0)
		r = -errno;
	if (r == 0 && sethostname(spec->hostname, strlen(spec->hostname)) < 0)
		r = -errno;
	if (r == 0)
		r = pause_mounts(spec);
	if (chdir("/") < 0)
		r = -errno;
	prctl(PR_SET_NAME, "pause");
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (write(report, &r, sizeof(r)) != sizeof(r) || r < 0)
		_exit(1);
	close_range(3, ~0U, 0);
	signal(SIGTERM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (;;)
		pause();
}

static int start_pause(const struct mesh_lab_sandbox_spec *spec, struct mesh_lab_pid *ret)
{
	int report[2], r = -EIO;
	ssize_t n;
	pid_t pid;

	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		pause_main(spec, report[1]);
	close(report[1]);
	if (pid < 0) {
		close(report[0]);
		return -EAGAIN;
	}
	while ((n = read(report[0], &r, sizeof(r))) < 0 && errno == EINTR)
		;
	close(report[0]);
	if (n != sizeof(r))
		r = -EIO;
	return r < 0 ? r : mesh_lab_pid_of(pid, ret);
}

/* Gives the namespace of the pause process a name, so that `ip netns` knows it. */
static int name_netns(const struct mesh_lab_sandbox *s)
{
	char path[128], source[64];
	int fd;

	mesh_lab_netns_remove(s->netns); /* what a killed kubelet left */
	snprintf(path, sizeof(path), "/run/netns/%s", s->netns);
	snprintf(source, sizeof(source), "/proc/%d/ns/net", (int)s->pause.pid);
	fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return -errno;
	close(fd);
	if (mount(source, path, NULL, MS_BIND, NULL) < 0) {
		int r = -errno;

		unlink(path);
		return r;
	}
	return 0;
}

static int pod_addresses(const struct mesh_lab *lab, const struct mesh_lab_sandbox *s, struct mesh_lab_nl *pod)
{
	char text[MESH_LAB_TEXT + 8], via[MESH_LAB_TEXT];
	int r;

	/* A host route only: pods of one node, too, talk through the node, where Services are translated both ways. */
	snprintf(text, sizeof(text), "%s/32", s->ip);
	r = mesh_lab_nl_address(pod, "eth0", text);
	if (r == 0)
		r = mesh_lab_nl_route(pod, NULL, mesh_lab_pod_ip(lab, s->node, 1, via), "eth0");
	if (r < 0 || !mesh_lab_has_ipv6())
		return r;
	snprintf(text, sizeof(text), "%s/128", s->ip6);
	if (r == 0)
		r = mesh_lab_nl_address(pod, "eth0", text);
	if (r == 0)
		r = mesh_lab_nl_route(pod, NULL, mesh_lab_pod_ip6(lab, s->node, 1, via), "eth0");
	return r;
}

static int connect_pod(const struct mesh_lab *lab, const struct mesh_lab_sandbox *s, int node_ns)
{
	mesh_auto_fd int ns = mesh_lab_netns_open(s->netns);
	struct mesh_lab_nl *node = NULL, *pod = NULL;
	int r;

	if (ns < 0)
		return ns;
	mesh_lab_sysctl(ns, "ipv6/conf/default/accept_ra", "0");
	r = mesh_lab_nl_new(&node, node_ns);
	if (r == 0)
		r = mesh_lab_nl_new(&pod, ns);
	if (r == 0)
		r = mesh_lab_nl_up(pod, "lo");
	if (r == 0) {
		mesh_lab_nl_delete(node, s->veth);
		r = mesh_lab_nl_veth(node, s->veth, "pods0", "eth0", ns);
	}
	if (r == 0)
		r = pod_addresses(lab, s, pod);
	mesh_lab_nl_free(node);
	mesh_lab_nl_free(pod);
	return r;
}

int mesh_lab_sandbox_make(const struct mesh_lab *lab, const struct mesh_lab_sandbox_spec *spec, int node_ns,
			  struct mesh_lab_sandbox *s)
{
	char what[16];
	int r;

	snprintf(what, sizeof(what), "p%.8s", spec->uid);
	mesh_lab_netns_name(lab, what, s->netns);
	mesh_lab_pod_ip(lab, s->node, s->host, s->ip);
	if (mesh_lab_has_ipv6())
		mesh_lab_pod_ip6(lab, s->node, s->host, s->ip6);
	snprintf(s->veth, sizeof(s->veth), "v%.8s", spec->uid);
	r = mesh_lab_cgroup_make(spec->cgroup);
	if (r < 0)
		return r;
	r = start_pause(spec, &s->pause);
	if (r == 0)
		r = name_netns(s);
	if (r == 0)
		r = connect_pod(lab, s, node_ns);
	if (r < 0) {
		mesh_lab_cgroup_kill(spec->cgroup);
		mesh_lab_sandbox_remove(s, spec->cgroup, node_ns);
	}
	return r;
}

int mesh_lab_sandbox_remove(const struct mesh_lab_sandbox *s, const char *cgroup, int node_ns)
{
	mesh_auto_free char *kill_file = mesh_xasprintf("%s/cgroup.kill", cgroup);
	mesh_auto_fd int fd = open(kill_file, O_WRONLY | O_CLOEXEC);
	struct mesh_lab_nl *node;
	int r = 0;

	if (fd >= 0 && write(fd, "1", 1) < 0)
		r = -errno;
	if (s->host && mesh_lab_nl_new(&node, node_ns) == 0) {
		mesh_lab_nl_delete(node, s->veth);
		mesh_lab_nl_free(node);
	}
	if (s->netns[0])
		mesh_lab_netns_remove(s->netns);
	return r;
}
