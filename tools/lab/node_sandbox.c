/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/node_sandbox.h"

#include "core/mem.h"
#include "core/netns.h"
#include "lab/lab_net.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
		return bind_fd(fd, path);
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

static int enter_namespaces(const struct mesh_lab_pid *pause, const struct mesh_lab_pid *beside)
{
	static const struct {
		const char *name;
		int type;
	} kinds[] = {{"net", CLONE_NEWNET}, {"uts", CLONE_NEWUTS}, {"mnt", CLONE_NEWNS}};
	int fds[3] = {-1, -1, -1};
	int r = mesh_lab_pid_alive(pause) ? 0 : -ESRCH;

	for (size_t i = 0; r == 0 && i < MESH_ARRAY_SIZE(kinds); i++) {
		char path[64];

		bool own = kinds[i].type == CLONE_NEWNS && mesh_lab_pid_alive(beside);

		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)(own ? beside->pid : pause->pid), kinds[i].name);
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			r = -errno;
	}
	for (size_t i = 0; r == 0 && i < MESH_ARRAY_SIZE(kinds); i++)
		if (setns(fds[i], kinds[i].type) < 0)
			r = -errno;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(kinds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return r;
}

static int mount_volume(const struct mesh_lab_mount *m)
{
	struct stat st;
	int r = 0;

	if (stat(m->source, &st) < 0)
		return -errno;
	if (access(m->target, F_OK) < 0 && S_ISDIR(st.st_mode)) {
		r = mesh_lab_mkdir(m->target);
	} else if (access(m->target, F_OK) < 0) {
		int fd = open(m->target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0)
			return -errno;
		close(fd);
	}
	if (r == 0 && mount(m->source, m->target, NULL, MS_BIND, NULL) < 0)
		r = -errno;
	if (r == 0 && m->read_only && mount(NULL, m->target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0)
		r = -errno;
	return r;
}

/* The container gets mounts of its own, beside those of its pod. */
static int mount_volumes(const struct mesh_lab_mounts *mounts)
{
	int r = unshare(CLONE_NEWNS) < 0 ? -errno : 0;

	mesh_vec_each (m, &mounts->list)
		if (r == 0)
			r = mount_volume(m);
	return r;
}

int mesh_lab_drop_privileges(long uid, long gid, bool privileged)
{
	static const int kept[] = {CAP_CHOWN,   CAP_DAC_OVERRIDE, CAP_FSETID,           CAP_FOWNER,
				   CAP_MKNOD,   CAP_NET_RAW,      CAP_SETGID,           CAP_SETUID,
				   CAP_SETFCAP, CAP_SETPCAP,      CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT,
				   CAP_KILL,    CAP_AUDIT_WRITE};
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2] = {0};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(kept); i++)
		caps[kept[i] / 32].permitted |= 1U << kept[i] % 32;
	for (int cap = 0; !privileged && cap <= CAP_LAST_CAP; cap++)
		if (!(caps[cap / 32].permitted & 1U << cap % 32) && prctl(PR_CAPBSET_DROP, cap) < 0 && errno != EINVAL)
			return -errno;
	if (gid >= 0 && (setgroups(0, NULL) < 0 || setresgid((gid_t)gid, (gid_t)gid, (gid_t)gid) < 0))
		return -errno;
	if (uid > 0)
		return setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) < 0 ? -errno : 0;
	if (privileged)
		return 0;
	for (int i = 0; i < 2; i++) {
		struct __user_cap_data_struct now[2];

		if (syscall(SYS_capget, &head, now) < 0)
			return -errno;
		caps[i].permitted &= now[i].permitted;
		caps[i].effective = caps[i].permitted;
	}
	return syscall(SYS_capset, &head, caps) < 0 ? -errno : 0;
}

int mesh_lab_enter(const struct mesh_lab_launch *l)
{
	const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	sigset_t none;
	int r = mesh_lab_cgroup_enter(l->cgroup);

	if (r == 0)
		r = enter_namespaces(&l->pause, &l->beside);
	if (r == 0 && l->mounts && l->mounts->list.count)
		r = mount_volumes(l->mounts);
	if (r < 0)
		return r;
	if (chdir(l->cwd ? l->cwd : "/") < 0)
		return -errno;
	r = mesh_lab_drop_privileges(l->uid, l->gid, l->privileged);
	if (r < 0)
		return r;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (char **e = l->envp; e && *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			path = *e + 5;
	setenv("PATH", path, 1);
	execvpe(l->argv[0], l->argv, l->envp);
	return -errno;
}

/* What the shim and the container's process say while starting. */
struct report {
	pid_t pid; /* of the process; 0: this is a failure */
	int error;
};

static void __attribute__((noreturn)) process_main(const struct mesh_lab_launch *l, int report)
{
	struct report say = {0};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int log = open(l->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		say.error = -errno;
	else
		say.error = mesh_lab_enter(l);
	if (write(report, &say, sizeof(say)) != sizeof(say))
		_exit(126);
	_exit(127);
}

/* Waits for the process and writes "code signal" where a kubelet finds it, also one started later. */
static void __attribute__((noreturn)) shim_main(const struct mesh_lab_launch *l, int report)
{
	struct report say = {0};
	int status = 0;
	char text[32];
	pid_t pid;

	setsid();
	prctl(PR_SET_NAME, "lab-shim");
	if (l->shim_cgroup)
		mesh_lab_cgroup_enter(l->shim_cgroup);
	pid = fork();
	if (pid == 0)
		process_main(l, report);
	say.pid = pid > 0 ? pid : 0;
	say.error = pid > 0 ? 0 : -EAGAIN;
	if (write(report, &say, sizeof(say)) != sizeof(say) || pid < 0)
		_exit(1);
	close_range(0, ~0U, 0);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	snprintf(text, sizeof(text), "%d %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
		 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	mesh_file_write(l->exit_file, mesh_slice_str(text), 0644);
	_exit(0);
}

int mesh_lab_container_start(const struct mesh_lab_launch *l, struct mesh_lab_pid *shim, struct mesh_lab_pid *process,
			     char *message)
{
	struct report got;
	int report[2], r = mesh_lab_cgroup_make(l->cgroup);
	ssize_t n;
	pid_t pid;

	if (r < 0 || pipe2(report, O_CLOEXEC) < 0)
		return r < 0 ? r : -errno;
	unlink(l->exit_file);
	pid = fork();
	if (pid == 0)
		shim_main(l, report[1]);
	close(report[1]);
	r = pid < 0 ? -EAGAIN : 0;
	memset(process, 0, sizeof(*process));
	while (pid > 0 && (n = read(report[0], &got, sizeof(got))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(got))
			break;
		if (got.pid)
			mesh_lab_pid_of(got.pid, process);
		else
			r = got.error;
	}
	close(report[0]);
	if (pid > 0 && mesh_lab_pid_of(pid, shim) < 0) {
		shim->pid = pid; /* it has ended; its pidfd will say so */
		shim->start = 0;
	}
	if (r < 0) {
		snprintf(message, 256, "exec: \"%s\": %s", l->argv[0], strerror(-r));
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	return r;
}

int mesh_lab_container_result(const char *exit_file, int *code, int *signal)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};

	if (mesh_file_read(exit_file, 64, &text) < 0 || sscanf(text.data, "%d %d", code, signal) != 2)
		return -ENOENT;
	return 0;
}

static char **string_array(const json_t *list)
{
	char **all = mesh_xcalloc(json_array_size(list) + 1, sizeof(char *));
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item) all[i] = mesh_xstrdup(json_string_value(item));
	return all;
}

int mesh_lab_sandbox_exec(const json_t *pod, const char *container, char **argv)
{
	json_t *c, *chosen = NULL, *pause = json_object_get(pod, "pauseProcess");
	struct mesh_lab_launch l = {.argv = argv, .uid = -1, .gid = -1, .privileged = true};
	size_t i;
	pid_t pid;

	json_array_foreach(json_object_get(pod, "containers"), i, c)
	{
		const char *name = json_string_value(json_object_get(c, "name"));

		if (!json_is_true(json_object_get(c, "init")) && name &&
		    (container ? strcmp(name, container) == 0 : !chosen))
			chosen = c;
	}
	if (!chosen)
		return -ENOENT;
	l.pause.pid = (pid_t)json_integer_value(json_object_get(pause, "pid"));
	l.pause.start = (uint64_t)json_integer_value(json_object_get(pause, "start"));
	l.beside.pid = (pid_t)json_integer_value(json_object_get(json_object_get(chosen, "process"), "pid"));
	l.beside.start = (uint64_t)json_integer_value(json_object_get(json_object_get(chosen, "process"), "start"));
	l.cgroup = json_string_value(json_object_get(chosen, "cgroup"));
	l.cwd = json_string_value(json_object_get(chosen, "cwd"));
	l.envp = string_array(json_object_get(chosen, "env"));
	pid = fork();
	if (pid == 0) {
		int r = mesh_lab_enter(&l);

		fprintf(stderr, "%s: %s\n", argv[0], strerror(-r));
		_exit(r == -ENOENT ? 127 : 126);
	}
	for (char **e = l.envp; *e; e++)
		free(*e);
	free(l.envp);
	return pid < 0 ? -EAGAIN : pid;
}
