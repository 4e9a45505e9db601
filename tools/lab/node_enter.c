/* SPDX-License-Identifier: Apache-2.0 */
/* Processes in a pod's sandbox: how one gets in, and the shim that a container's process has for a parent. */
#include "lab/node_sandbox.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

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
