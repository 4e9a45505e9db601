/* SPDX-License-Identifier: Apache-2.0 */
/* core/netns: sockets in other namespaces, cookies, cgroup paths. Namespaces are anonymous: nothing to clean up. */
#include "test.h"

#include "core/mem.h"
#include "core/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void *make_netns(void *ret)
{
	*(int *)ret = unshare(CLONE_NEWNET) < 0 ? -errno : open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return NULL;
}

/* A new namespace, made on a thread of its own so that ours stays where it is. */
static int new_netns(void)
{
	pthread_t t;
	int fd = -1;

	if (pthread_create(&t, NULL, make_netns, &fd) == 0)
		pthread_join(t, NULL);
	return fd;
}

static uint64_t inode(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : st.st_ino;
}

TEST(netns_socket_belongs_to_the_other_namespace)
{
	mesh_auto_fd int ns = new_netns();
	mesh_auto_fd int fd = -1;
	uint64_t home = inode("/proc/thread-self/ns/net"), here = 0, there = 0, of_socket = 0;
	socklen_t len = sizeof(of_socket);
	struct ifreq ifr = {.ifr_name = "lo"};

	if (ns == -EPERM)
		SKIP("needs root to make a network namespace");
	CHECK(ns >= 0);
	fd = mesh_netns_socket(ns, AF_INET, SOCK_DGRAM, 0);
	CHECK(fd >= 0);
	CHECK(inode("/proc/thread-self/ns/net") == home);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK_INT(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
	CHECK_INT(ifr.ifr_flags & IFF_UP, 0); /* loopback of a new namespace is down */
	CHECK_INT(mesh_netns_cookie(-1, &here), 0);
	CHECK_INT(mesh_netns_cookie(ns, &there), 0);
	CHECK(here != there);
	CHECK_INT(getsockopt(fd, SOL_SOCKET, 71, &of_socket, &len), 0);
	CHECK(of_socket == there);
}

TEST(netns_enter_and_leave)
{
	mesh_auto_fd int ns = new_netns();
	uint64_t before = inode("/proc/thread-self/ns/net");
	int home = -1;

	if (ns == -EPERM)
		SKIP("needs root to make a network namespace");
	CHECK_INT(mesh_netns_enter(ns, &home), 0);
	CHECK(inode("/proc/thread-self/ns/net") != before);
	mesh_netns_leave(&home);
	CHECK_INT(home, -1);
	CHECK(inode("/proc/thread-self/ns/net") == before);
}

TEST(netns_errors_change_nothing)
{
	mesh_auto_fd int not_ns = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t cookie = 5;
	int home = -7;

	CHECK_INT(mesh_netns_enter(not_ns, &home), -EINVAL);
	CHECK_INT(home, -7);
	CHECK_INT(mesh_netns_socket(not_ns, AF_INET, SOCK_STREAM, 0), -EINVAL);
	CHECK_INT(mesh_netns_cookie(not_ns, &cookie), -EINVAL);
	CHECK(cookie == 5);
	CHECK_INT(mesh_netns_socket(-1, AF_INET, 9999, 0), -EINVAL);
}

TEST(cgroup_paths_and_ids)
{
	const char *mount = mesh_cgroup2_mount();
	uint64_t id = 0, parent = 0;
	char *path = NULL;

	if (!mount)
		SKIP("no cgroup v2 is mounted");
	CHECK_INT(mesh_cgroup_of_pid((int)getpid(), &path), 0);
	CHECK(strncmp(path, mount, strlen(mount)) == 0);
	CHECK_INT(mesh_cgroup_id(path, &id), 0);
	CHECK_INT(id, inode(path));
	CHECK_INT(mesh_cgroup_id(mount, &parent), 0);
	CHECK(parent != 0);
	free(path);
	path = NULL;
	CHECK_INT(mesh_cgroup_of_pid(0x7ffffff0, &path), -ENOENT);
	CHECK(path == NULL);
	CHECK_INT(mesh_cgroup_id("/nowhere", &id), -ENOENT);
}

TEST_MAIN()
