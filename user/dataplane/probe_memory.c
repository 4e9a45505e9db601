/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe of a receiver without memory: its socket is made inside of a memory cgroup of its own (v2, or TCP's part
 * of one of v1), which is then left almost nothing to give. What is sent to it has to go by TCP, and no send may fail.
 * The cgroup is gone afterwards. Nobody is in it by then, so no process can be killed for want of its memory.
 */
#include "core/loop.h"
#include "core/netns.h"
#include "dataplane/probe_pair.h"

#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
	LEFT = 128
	       << 10, /* bytes that the cgroup may still take: more than the probe's, less than a redirect asks for */
	PLENTY = 256 << 20, /* and before that */
};

struct memory {
	char dir[256]; /* the cgroup */
	const char *limit, *usage;
};

/* Where v1's memory hierarchy is mounted. */
static bool memory_mount_v1(char *ret, size_t size)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[1024], dir[512], type[64], options[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*s %511s %63s %255s", dir, type, options) == 3 && strcmp(type, "cgroup") == 0 &&
			strstr(options, "memory") && snprintf(ret, size, "%s", dir) < (int)size;
	if (f)
		fclose(f);
	return found;
}

static int put(const char *dir, const char *name, long long value)
{
	char path[320], text[32];
	int n = snprintf(text, sizeof(text), "%lld", value), fd, r = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		r = -errno;
	mesh_cleanup_fd(&fd);
	return r;
}

static long long get(const char *dir, const char *name)
{
	char path[320], text[32] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	mesh_cleanup_fd(&fd);
	return n > 0 ? strtoll(text, NULL, 10) : -1;
}

/* A cgroup whose sockets are charged to it. Returns 0, or -errno with *step. */
static int memory_new(struct memory *m, const char **step)
{
	bool v1 = mesh_splice_memory_v1();
	char mount[200] = "";
	int r;

	*step = "finding where memory cgroups are mounted";
	if (v1 ? !memory_mount_v1(mount, sizeof(mount))
	       : !mesh_cgroup2_mount() ||
			    snprintf(mount, sizeof(mount), "%s", mesh_cgroup2_mount()) >= (int)sizeof(mount))
		return -ENOENT;
	m->limit = v1 ? "memory.kmem.tcp.limit_in_bytes" : "memory.max";
	m->usage = v1 ? "memory.kmem.tcp.usage_in_bytes" : "memory.current";
	snprintf(m->dir, sizeof(m->dir), "%s/sockmesh-probe-%d-%llx", mount, getpid(),
		 (unsigned long long)mesh_now_ns());
	*step = "a memory cgroup";
	if (mkdir(m->dir, 0755) < 0)
		return -errno;
	*step = "a limit of a memory cgroup"; /* with the first one v1 begins to charge sockets */
	r = put(m->dir, m->limit, PLENTY);
	if (r < 0)
		rmdir(m->dir);
	return r;
}

/* In a process of its own that shares nothing but descriptors: joins the cgroup, and puts a connected socket at fd. */
static int connect_inside(const struct lab *lab, const struct memory *m, int fd)
{
	int status, s;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0) {
		if (put(m->dir, "cgroup.procs", 0) < 0)
			_exit(1);
		s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (s < 0 || connect(s, (const struct sockaddr *)&lab->at, sizeof(lab->at)) < 0)
			_exit(2);
		if (dup3(s, fd, O_CLOEXEC) < 0)
			_exit(3);
		close(s);
		_exit(0);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EACCES;
}

/* a is outside, b inside. */
static int pair_of_memory(const struct lab *lab, const struct memory *m, struct pair *p)
{
	int r;

	*p = (struct pair){.a = -1, .b = open("/dev/null", O_RDONLY | O_CLOEXEC)};
	r = p->b < 0 ? -errno : connect_inside(lab, m, p->b);
	if (r == 0 && (p->a = accept4(lab->listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
		r = -errno;
	if (r == 0)
		r = pair_ready(p);
	if (r == 0)
		r = pair_enter(lab, p);
	if (r < 0)
		pair_close(p);
	return r;
}

static void try_memory(const struct lab *lab, const struct memory *m, const struct pair *p, struct mesh_splice_row *row)
{
	char buf[SMALL] = {0};
	uint64_t before;
	ssize_t n;

	if (!pair_warm(lab, p) || !send_small(lab, p) || !read_all(p->b, buf, SMALL)) {
		PROBE_WAY(row);
		return;
	}
	if (put(m->dir, m->limit, get(m->dir, m->usage) + LEFT) < 0) {
		SAW(row, false, "not tried: limiting a memory cgroup: %s", strerror(errno));
		return;
	}
	before = redirects(lab, p->ca);
	n = send(p->a, buf, SMALL, MSG_NOSIGNAL);
	if (n != SMALL || !read_all(p->b, buf, SMALL)) {
		SAW(row, false, "send() fails: %s", strerror(errno));
		return;
	}
	if (redirects(lab, p->ca) != before) {
		SAW(row, false, "the message was redirected to a receiver whose memory is almost spent");
		return;
	}
	put(m->dir, m->limit, PLENTY);
	SAW(row, pair_warm(lab, p) && send_small(lab, p), "%s",
	    "by TCP while its cgroup is almost full, redirected before and after");
}

void mesh_probe_memory(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	struct memory m = {.limit = ""};
	const char *step = "";
	struct pair inside;
	int r = memory_new(&m, &step);

	(void)p;
	if (r < 0) {
		SAW(row, false, "not tried: %s: %s", step, strerror(-r));
		return;
	}
	r = pair_of_memory(lab, &m, &inside);
	if (r < 0) {
		SAW(row, false, "not tried: a connection from inside of a memory cgroup: %s", strerror(-r));
	} else {
		SAW(row, false, "bytes are missing");
		try_memory(lab, &m, &inside, row);
		pair_close(&inside);
	}
	for (int i = 0; i < 50 && rmdir(m.dir) < 0 && errno == EBUSY; i++)
		usleep(1000);
}
