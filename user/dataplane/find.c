/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding a pod by its address: the processes below the cgroup root, their distinct network
 * namespaces, and the addresses in each. A namespace's addresses are kept by its inode number and
 * read again only when no kept one matches.
 */
#include "core/netns.h"
#include "dataplane/dp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/stat.h>

enum { IFINDEX_LOOPBACK = 1, CGROUP_DEPTH = 16 };

struct ns_entry {
	ino_t inode;
	int pid; /* a process in it */
	bool seen;
	struct mesh_dp_ifaddrs addrs;
};

struct mesh_dp_addr_cache {
	MESH_VEC(struct ns_entry) list;
	ino_t own; /* the agent's namespace: host-network pods are in it */
};

void mesh_dp_cache_free(struct mesh_dp_addr_cache *cache)
{
	if (!cache)
		return;
	mesh_vec_each (e, &cache->list)
		mesh_vec_free(&e->addrs.list);
	mesh_vec_free(&cache->list);
	free(cache);
}

static void add_address(void *arg, const struct nlmsghdr *h)
{
	struct mesh_dp_ifaddrs *ret = arg;
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	const struct rtattr *a = IFA_RTA(m), *address = NULL, *local = NULL;
	int left = (int)IFA_PAYLOAD(h);
	struct mesh_dp_ifaddr *e;
	uint32_t v4;

	if (h->nlmsg_type != RTM_NEWADDR || m->ifa_index == IFINDEX_LOOPBACK)
		return;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFA_ADDRESS)
			address = a;
		else if (a->rta_type == IFA_LOCAL)
			local = a;
	}
	/* IFA_ADDRESS is the peer's on a point-to-point link. */
	address = local ? local : address;
	if (!address || (m->ifa_family == AF_INET6 && m->ifa_scope == RT_SCOPE_LINK))
		return;
	e = mesh_vec_add(&ret->list);
	e->ifindex = m->ifa_index;
	e->tentative = m->ifa_family == AF_INET6 && (m->ifa_flags & IFA_F_TENTATIVE);
	if (m->ifa_family == AF_INET) {
		memcpy(&v4, RTA_DATA(address), sizeof(v4));
		e->addr = mesh_addr_from_v4(v4, 0);
	} else {
		memcpy(&e->addr.ip, RTA_DATA(address), sizeof(e->addr.ip));
	}
}

int mesh_dp_addresses(int netns_fd, struct mesh_dp_ifaddrs *ret)
{
	mesh_auto_fd int fd = mesh_netns_socket(netns_fd, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg m;
	} ask = {.h = {.nlmsg_len = sizeof(ask), .nlmsg_type = RTM_GETADDR, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	struct mesh_dp_ifaddrs got = {0};
	int r;

	if (fd < 0)
		return fd;
	r = mesh_dp_netlink_dump(fd, &ask, sizeof(ask), add_address, &got);
	if (r < 0)
		mesh_vec_free(&got.list);
	else
		*ret = got;
	return r;
}

static int open_netns(int pid, ino_t *inode)
{
	char path[64];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	*inode = st.st_ino;
	return fd;
}

static int netns_inode(int pid, ino_t *ret)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	if (stat(path, &st) < 0)
		return -errno;
	*ret = st.st_ino;
	return 0;
}

static void note_pid(struct mesh_dp_addr_cache *cache, int pid)
{
	struct ns_entry *e;
	ino_t inode = 0;

	if (netns_inode(pid, &inode) < 0 || inode == cache->own)
		return;
	mesh_vec_each (known, &cache->list)
		if (known->inode == inode) {
			known->pid = pid;
			known->seen = true;
			return;
		}
	e = mesh_vec_add(&cache->list);
	e->inode = inode;
	e->pid = pid;
	e->seen = true;
}

static void note_cgroup(struct mesh_dp_addr_cache *cache, const char *dir)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/cgroup.procs", dir);
	FILE *f = fopen(path, "re");
	int pid;

	if (!f)
		return;
	while (fscanf(f, "%d", &pid) == 1)
		if (pid > 0)
			note_pid(cache, pid);
	fclose(f);
}

static void walk(struct mesh_dp_addr_cache *cache, const char *dir, int depth)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return;
	note_cgroup(cache, dir);
	while (depth < CGROUP_DEPTH && (e = readdir(d))) {
		mesh_auto_free char *sub = NULL;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		sub = mesh_xasprintf("%s/%s", dir, e->d_name);
		walk(cache, sub, depth + 1);
	}
	closedir(d);
}

static void rescan(struct mesh_dp *dp)
{
	struct mesh_dp_addr_cache *cache = dp->cache;

	mesh_vec_each (e, &cache->list)
		e->seen = false;
	walk(cache, dp->cgroup_root, 0);
	for (size_t i = cache->list.count; i-- > 0;)
		if (!cache->list.items[i].seen) {
			mesh_vec_free(&cache->list.items[i].addrs.list);
			mesh_vec_remove(&cache->list, i);
		}
}

static bool has_address(const struct mesh_dp_ifaddrs *addrs, const struct mesh_addr *ip)
{
	mesh_vec_each (a, &addrs->list)
		if (!a->tentative && mesh_addr_ip_eq(&a->addr, ip))
			return true;
	return false;
}

/* Whether the namespace has the address now; reads its addresses anew. On 1 *ret is filled. */
static int try_entry(struct ns_entry *e, const struct mesh_addr *ip, struct mesh_dp_found *ret)
{
	struct mesh_dp_ifaddrs now = {0};
	mesh_auto_fd int fd = -1;
	uint64_t cookie;
	char *cgroup;
	ino_t inode = 0;

	fd = open_netns(e->pid, &inode);
	if (fd < 0 || inode != e->inode || mesh_dp_addresses(fd, &now) < 0)
		return 0;
	mesh_vec_free(&e->addrs.list);
	e->addrs = now;
	if (!has_address(&now, ip) || mesh_netns_cookie(fd, &cookie) < 0 || mesh_cgroup_of_pid(e->pid, &cgroup) < 0)
		return 0;
	*ret = (struct mesh_dp_found){
		.netns_fd = mesh_steal_fd(&fd), .netns_cookie = cookie, .cgroup = cgroup, .pid = e->pid};
	return 1;
}

int mesh_dp_find(struct mesh_dp *dp, const struct mesh_addr *pod_ip, struct mesh_dp_found *ret)
{
	struct mesh_dp_addr_cache *cache = dp->cache;

	if (!cache) {
		cache = dp->cache = mesh_xcalloc(1, sizeof(*cache));
		if (netns_inode(getpid(), &cache->own) < 0)
			return -ENOENT;
	}
	mesh_vec_each (e, &cache->list)
		if (has_address(&e->addrs, pod_ip) && try_entry(e, pod_ip, ret))
			return 0;
	rescan(dp);
	/* The newest first: an address that was given again is the younger pod's. */
	for (size_t i = cache->list.count; i-- > 0;)
		if (try_entry(&cache->list.items[i], pod_ip, ret))
			return 0;
	return -ENOENT;
}
