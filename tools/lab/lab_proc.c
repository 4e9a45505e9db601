/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab_proc.h"

#include "core/buf.h"
#include "core/loop.h"
#include "core/mem.h"
#include "lab/lab_state.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int mesh_lab_cgroup_make(const char *path)
{
	return mesh_lab_mkdir(path);
}

static int write_file(const char *dir, const char *name, const char *text)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, name);
	mesh_auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

int mesh_lab_cgroup_enter(const char *path)
{
	return write_file(path, "cgroup.procs", "0");
}

/* 1: has processes; 0: has none; or -errno. */
static int cgroup_populated(const char *path)
{
	mesh_auto_free char *file = mesh_xasprintf("%s/cgroup.events", path);
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	int r = mesh_file_read(file, 4096, &text);

	return r < 0 ? r : strstr(text.data, "populated 1") != NULL;
}

int mesh_lab_cgroup_kill(const char *path)
{
	int r = write_file(path, "cgroup.kill", "1");

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	for (int i = 0; i < 1000; i++) {
		if (cgroup_populated(path) != 1)
			return 0;
		usleep(5000);
	}
	return -ETIMEDOUT;
}

static int remove_cgroup(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type != FTW_DP)
		return 0;
	for (int i = 0; rmdir(path) < 0; i++) {
		if (errno == ENOENT)
			return 0;
		if (errno != EBUSY || i == 200)
			return -errno;
		usleep(5000);
	}
	return 0;
}

int mesh_lab_cgroup_remove(const char *path)
{
	int r = nftw(path, remove_cgroup, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);

	return r == -1 ? (errno == ENOENT ? 0 : -errno) : r;
}

static int try_remove_cgroup(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_DP && rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

int mesh_lab_cgroup_try_remove(const char *path)
{
	int r = nftw(path, try_remove_cgroup, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);

	return r == -1 ? (errno == ENOENT ? 0 : -errno) : r;
}

int mesh_lab_pid_of(pid_t pid, struct mesh_lab_pid *ret)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	char path[64], state;
	unsigned long long start;
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (pid <= 0 || mesh_file_read(path, 4096, &text) < 0)
		return -ESRCH;
	p = strrchr(text.data, ')');
	if (!p || sscanf(p + 2, "%c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			 &state, &start) != 2)
		return -ESRCH;
	if (state == 'Z' || state == 'X')
		return -ESRCH;
	ret->pid = pid;
	ret->start = start;
	return 0;
}

bool mesh_lab_pid_alive(const struct mesh_lab_pid *p)
{
	struct mesh_lab_pid now;

	return p->pid > 0 && mesh_lab_pid_of(p->pid, &now) == 0 && now.start == p->start;
}

int mesh_lab_pid_open(const struct mesh_lab_pid *p)
{
	int fd = p->pid > 0 ? (int)syscall(SYS_pidfd_open, p->pid, 0) : -1;
	struct mesh_lab_pid now;

	if (fd < 0)
		return -ESRCH;
	/* A child that has ended already is a zombie until it is waited for: its pidfd is good. */
	if (mesh_lab_pid_of(p->pid, &now) == 0 && now.start != p->start) {
		close(fd);
		return -ESRCH;
	}
	return fd;
}

int mesh_lab_pid_write(const char *path, const struct mesh_lab_pid *p)
{
	char text[64];

	snprintf(text, sizeof(text), "%d %llu\n", (int)p->pid, (unsigned long long)p->start);
	return mesh_file_write(path, mesh_slice_str(text), 0644);
}

int mesh_lab_pid_read(const char *path, struct mesh_lab_pid *ret)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	unsigned long long start;
	int pid, r = mesh_file_read(path, 128, &text);

	if (r < 0)
		return r;
	if (sscanf(text.data, "%d %llu", &pid, &start) != 2)
		return -EINVAL;
	ret->pid = pid;
	ret->start = start;
	return 0;
}

/* In the child: says errno into the pipe and ends, or becomes the program. */
static void __attribute__((noreturn)) child(const struct mesh_lab_spawn *s, int report)
{
	sigset_t none;
	int null, e;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (s->cgroup && mesh_lab_cgroup_enter(s->cgroup) < 0)
		goto fail;
	if (s->netns_fd >= 0 && setns(s->netns_fd, CLONE_NEWNET) < 0)
		goto fail;
	if (s->log) {
		int fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND, 0644);

		if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
			goto fail;
		if (fd > 2)
			close(fd);
	}
	null = open("/dev/null", O_RDONLY);
	if (null > 0) {
		dup2(null, 0);
		close(null);
	}
	if (s->envp)
		execve(s->argv[0], s->argv, s->envp);
	else
		execv(s->argv[0], s->argv);
fail:
	e = errno ? errno : EINVAL;
	if (write(report, &e, sizeof(e)) < 0)
		_exit(126);
	_exit(127);
}

int mesh_lab_spawn(const struct mesh_lab_spawn *spawn, struct mesh_lab_pid *ret)
{
	int report[2], e = 0, r;
	pid_t pid;

	if (spawn->cgroup) {
		r = mesh_lab_cgroup_make(spawn->cgroup);
		if (r < 0)
			return r;
	}
	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		child(spawn, report[1]);
	close(report[1]);
	if (pid < 0) {
		close(report[0]);
		return -EAGAIN;
	}
	while ((r = (int)read(report[0], &e, sizeof(e))) < 0 && errno == EINTR)
		;
	close(report[0]);
	if (r == sizeof(e)) {
		waitpid(pid, NULL, 0);
		return -e;
	}
	if (mesh_lab_pid_of(pid, ret) < 0) { /* it has ended already; whoever waits for it will see */
		ret->pid = pid;
		ret->start = 0;
	}
	return 0;
}

int mesh_lab_run(char *const *argv, int netns_fd, const char *input)
{
	int in[2], status;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		close(in[0]);
		close(in[1]);
		return -EAGAIN;
	}
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		dup2(in[0], 0);
		if (netns_fd < 0 || setns(netns_fd, CLONE_NEWNET) == 0)
			execv(argv[0], argv);
		_exit(127);
	}
	close(in[0]);
	for (size_t at = 0, len = input ? strlen(input) : 0; at < len;) {
		ssize_t n = write(in[1], input + at, len - at);

		if (n < 0 && errno != EINTR)
			break;
		at += n > 0 ? (size_t)n : 0;
	}
	close(in[1]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
