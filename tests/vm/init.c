/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first and only program of a virtual machine that tests another kernel: mounts what is needed, loads the modules
 * of /modules/order, runs each line of /tests, says how it ended and powers off. Linked statically.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void mount_at(const char *type, const char *where)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, NULL) < 0)
		printf("== mounting %s on %s: %s\n", type, where, strerror(errno));
}

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
		printf("== loading %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void run(const char *path)
{
	char *argv[] = {(char *)path, NULL};
	char *envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", NULL};
	int status = 0;
	pid_t pid;

	printf("== run %s\n", path);
	pid = fork();
	if (pid == 0) {
		execve(path, argv, envp);
		printf("== %s: %s\n", path, strerror(errno));
		_exit(126);
	}
	/* Orphans come to the first process, too. */
	while (pid > 0 && waitpid(-1, &status, 0) != pid)
		;
	if (WIFSIGNALED(status))
		printf("== status %s: signal %d\n", path, WTERMSIG(status));
	else
		printf("== status %s: %d\n", path, WEXITSTATUS(status));
}

static void each_line(const char *path, void (*fn)(const char *line))
{
	FILE *f = fopen(path, "re");
	char line[256];

	if (!f)
		printf("== %s: %s\n", path, strerror(errno));
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0])
			fn(line);
	}
	if (f)
		fclose(f);
}

int main(void)
{
	struct utsname u;

	setvbuf(stdout, NULL, _IOLBF, 0);
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("devtmpfs", "/dev");
	mount_at("tmpfs", "/tmp");
	mount_at("tmpfs", "/run");
	mount_at("cgroup2", "/sys/fs/cgroup");
	mount_at("bpf", "/sys/fs/bpf");
	uname(&u);
	printf("== kernel %s\n", u.release);
	each_line("/modules/order", load_module);
	each_line("/tests", run);
	printf("== end\n");
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
