/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces and the cgroup v2 mount. A socket belongs to the namespace its
 * thread is in when it is made and stays there, so the mesh enters a pod's namespace
 * only around socket(). setns() affects the calling thread only.
 */
#ifndef MESH_CORE_NETNS_H
#define MESH_CORE_NETNS_H

#include <stdint.h>

/** Enters the namespace of netns_fd; *home gets a descriptor of the one left. Returns 0 or -errno. */
int mesh_netns_enter(int netns_fd, int *home);
/** Back to *home, which is closed and set to -1. Aborts if the kernel refuses: going on would act in the wrong
 * namespace. */
void mesh_netns_leave(int *home);
/** socket(2) with SOCK_CLOEXEC in another namespace (netns_fd -1: this one). Returns the descriptor or -errno. */
int mesh_netns_socket(int netns_fd, int domain, int type, int protocol);
/** The namespace's cookie (SO_NETNS_COOKIE): unique for the machine's uptime, what BPF sees. Returns 0 or -errno. */
int mesh_netns_cookie(int netns_fd, uint64_t *ret);

/** Where cgroup v2 is mounted ("/sys/fs/cgroup" or ".../unified", from /proc/self/mounts). Static storage; NULL if
 * nowhere. */
const char *mesh_cgroup2_mount(void);
/** The id BPF sees (bpf_get_current_cgroup_id) of a cgroup directory. Returns 0 or -errno. */
int mesh_cgroup_id(const char *path, uint64_t *ret);
/** The v2 cgroup of a process as an absolute path below the mount. Caller frees *ret. Returns 0 or -errno. */
int mesh_cgroup_of_pid(int pid, char **ret);

#endif
