/* SPDX-License-Identifier: Apache-2.0 */
#include "core/netns.h"

#include "core/buf.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

int mesh_netns_enter(int netns_fd, int *home)
{
	mesh_auto_fd int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (here < 0)
		return -errno;
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return -errno;
	*home = mesh_steal_fd(&here);
	return 0;
}

void mesh_netns_leave(int *home)
{
	if (setns(*home, CLONE_NEWNET) < 0)
		abort();
	mesh_cleanup_fd(home);
}

int mesh_netns_socket(int netns_fd, int domain, int type, int protocol)
{
	int home = -1, fd, r;

	if (netns_fd >= 0) {
		r = mesh_netns_enter(netns_fd, &home);
		if (r < 0)
			return r;
	}
	fd = socket(domain, type | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		fd = -errno;
	if (home >= 0)
		mesh_netns_leave(&home);
	return fd;
}

int mesh_netns_cookie(int netns_fd, uint64_t *ret)
{
	mesh_auto_fd int fd = mesh_netns_socket(netns_fd, AF_INET, SOCK_DGRAM, 0);
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0)
		return -errno;
	*ret = cookie;
	return 0;
}

static char cgroup2_mount[256];

static void find_cgroup2(void)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	if (!f)
		return;
	while ((m = getmntent(f))) {
		if (strcmp(m->mnt_type, "cgroup2") == 0 && strlen(m->mnt_dir) < sizeof(cgroup2_mount)) {
			strcpy(cgroup2_mount, m->mnt_dir);
			break;
		}
	}
	endmntent(f);
}

const char *mesh_cgroup2_mount(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_cgroup2);
	return cgroup2_mount[0] ? cgroup2_mount : NULL;
}

int mesh_cgroup_id(const char *path, uint64_t *ret)
{
	union {
		struct file_handle h;
		char space[sizeof(struct file_handle) + 8];
	} u = {.h.handle_bytes = 8};
	int mount_id;

	if (name_to_handle_at(AT_FDCWD, path, &u.h, &mount_id, 0) < 0)
		return -errno;
	memcpy(ret, u.h.f_handle, sizeof(*ret));
	return 0;
}

int mesh_cgroup_of_pid(int pid, char **ret)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	struct mesh_slice rest, line;
	char path[64];
	int r;

	if (!mesh_cgroup2_mount())
		return -ENODEV;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	r = mesh_file_read(path, 65536, &text);
	if (r < 0)
		return r;
	rest = mesh_buf_view(&text);
	while (mesh_slice_split(&rest, '\n', &line)) {
		if (!mesh_slice_starts(line, MESH_SLICE("0::/")))
			continue;
		*ret = mesh_xasprintf("%s%.*s", mesh_cgroup2_mount(), (int)(line.len - 3), line.ptr + 3);
		return 0;
	}
	return -ENOENT;
}
