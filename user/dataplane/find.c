/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding a pod by its address: the processes below the cgroup root, their distinct network
 * namespaces, and the addresses in each. A namespace's addresses are kept by its inode number and
 * read again only when no kept one matches. Where the runtime's cgroups are named by pods' uids (all
 * kubelets do that, with either driver), a namespace counts only if its processes are that pod's: an address
 * that was given to another pod a moment ago, or that a container outside of the cluster has too, is passed over.
 */
#include "core/netns.h"
#include "dataplane/dp.h"

#include <dirent.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { IFINDEX_LOOPBACK = 1, CGROUP_DEPTH = 16, UID_LEN = 36, UID_MIN = 32 };

struct ns_entry {
	ino_t inode;
	int pid;      /* a process in it */
	char *cgroup; /* that process's */
	bool seen;
	struct mesh_dp_ifaddrs addrs;
};

struct mesh_dp_addr_cache {
	MESH_VEC(struct ns_entry) list;
	ino_t own;   /* the agent's namespace: host-network pods are in it */
	bool denied; /* by the last look: the namespace of a process of the pod that is looked for cannot be read */
};

void mesh_dp_cache_free(struct mesh_dp_addr_cache *cache)
{
	if (!cache)
		return;
	mesh_vec_each (e, &cache->list) {
		mesh_vec_free(&e->addrs.list);
		free(e->cgroup);
	}
	mesh_vec_free(&cache->list);
	free(cache);
}

void mesh_dp_found_free(struct mesh_dp_found *found)
{
	mesh_cleanup_fd(&found->netns_fd);
	found->netns_fd = -1;
	free(mesh_steal(found->cgroup));
}

/*
 * The pod's uid in the path of a cgroup: ".../pod1b4e28ba-2fa1-..." (cgroupfs), "...-pod1b4e28ba_2fa1_....slice"
 * (systemd), or 32 digits for a static pod. Returns its length, 0 if there is none; '_' becomes '-'.
 */
static size_t uid_in_path(const char *path, char uid[UID_LEN + 1])
{
	for (const char *at = path; (at = strstr(at, "pod")); at++) {
		size_t n = 0;

		if (at == path || (at[-1] != '/' && at[-1] != '-'))
			continue;
		for (const char *c = at + 3; n < UID_LEN && (isxdigit((unsigned char)*c) || *c == '-' || *c == '_');
		     c++)
			uid[n++] = *c == '_' ? '-' : *c;
		uid[n] = '\0';
		if (n >= UID_MIN)
			return n;
	}
	return 0;
}

/* Whether a cgroup may be the pod's: it says so, or says nothing of pods. */
static bool may_be(const char *cgroup, const char *uid)
{
	char found[UID_LEN + 1];

	return !uid || !*uid || !cgroup || !uid_in_path(cgroup, found) || strcmp(found, uid) == 0;
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

/* Returns 0, or -errno: -EACCES without SYS_PTRACE, for a process of another user. */
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

static void note_pid(struct mesh_dp_addr_cache *cache, int pid, const char *cgroup, const char *wanted)
{
	char uid[UID_LEN + 1];
	struct ns_entry *e = NULL;
	ino_t inode = 0;
	int r = netns_inode(pid, &inode);

	if ((r == -EACCES || r == -EPERM) && wanted && uid_in_path(cgroup, uid) && strcmp(uid, wanted) == 0)
		cache->denied = true;
	if (r < 0 || inode == cache->own)
		return;
	mesh_vec_each (known, &cache->list)
		if (known->inode == inode)
			e = known;
	/* Somebody who looks into a pod's namespace from outside does not make it his own. */
	if (e && e->seen && uid_in_path(e->cgroup, uid) && !uid_in_path(cgroup, uid))
		return;
	if (!e) {
		e = mesh_vec_add(&cache->list);
		e->inode = inode;
	}
	e->pid = pid;
	free(e->cgroup);
	e->cgroup = mesh_xstrdup(cgroup);
	e->seen = true;
}

static void note_cgroup(struct mesh_dp_addr_cache *cache, const char *dir, const char *wanted)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/cgroup.procs", dir);
	FILE *f = fopen(path, "re");
	int pid;

	if (!f)
		return;
	while (fscanf(f, "%d", &pid) == 1)
		if (pid > 0)
			note_pid(cache, pid, dir, wanted);
	fclose(f);
}

static void walk(struct mesh_dp_addr_cache *cache, const char *dir, int depth, const char *wanted)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return;
	note_cgroup(cache, dir, wanted);
	while (depth < CGROUP_DEPTH && (e = readdir(d))) {
		mesh_auto_free char *sub = NULL;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		sub = mesh_xasprintf("%s/%s", dir, e->d_name);
		walk(cache, sub, depth + 1, wanted);
	}
	closedir(d);
}

/* wanted: the uid of the pod that is looked for, or NULL. */
static void rescan(struct mesh_dp *dp, const char *wanted)
{
	struct mesh_dp_addr_cache *cache = dp->cache;

	cache->denied = false;
	mesh_vec_each (e, &cache->list)
		e->seen = false;
	walk(cache, dp->cgroup_root, 0, wanted);
	for (size_t i = cache->list.count; i-- > 0;)
		if (!cache->list.items[i].seen) {
			mesh_vec_free(&cache->list.items[i].addrs.list);
			free(cache->list.items[i].cgroup);
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
static int try_entry(struct ns_entry *e, const struct mesh_addr *ip, const char *uid, struct mesh_dp_found *ret)
{
	struct mesh_dp_ifaddrs now = {0};
	mesh_auto_fd int fd = -1;
	uint64_t cookie;
	ino_t inode = 0;

	if (!may_be(e->cgroup, uid))
		return 0;
	fd = open_netns(e->pid, &inode);
	if (fd < 0 || inode != e->inode || mesh_dp_addresses(fd, &now) < 0)
		return 0;
	mesh_vec_free(&e->addrs.list);
	e->addrs = now;
	if (!has_address(&now, ip) || mesh_netns_cookie(fd, &cookie) < 0)
		return 0;
	*ret = (struct mesh_dp_found){.netns_fd = mesh_steal_fd(&fd),
				      .netns_cookie = cookie,
				      .cgroup = mesh_xstrdup(e->cgroup),
				      .pid = e->pid};
	return 1;
}

static struct mesh_dp_addr_cache *cache_of(struct mesh_dp *dp)
{
	ino_t own = 0;

	if (!dp->cache && netns_inode(getpid(), &own) == 0) {
		dp->cache = mesh_xcalloc(1, sizeof(*dp->cache));
		dp->cache->own = own;
	}
	return dp->cache;
}

int mesh_dp_find(struct mesh_dp *dp, const struct mesh_addr *pod_ip, const char *uid, struct mesh_dp_found *ret)
{
	struct mesh_dp_addr_cache *cache = cache_of(dp);

	if (!cache)
		return -ENOENT;
	mesh_vec_each (e, &cache->list)
		if (has_address(&e->addrs, pod_ip) && try_entry(e, pod_ip, uid, ret))
			return 0;
	rescan(dp, uid);
	/* The newest first: an address that was given again is the younger pod's. */
	for (size_t i = cache->list.count; i-- > 0;)
		if (try_entry(&cache->list.items[i], pod_ip, uid, ret))
			return 0;
	return cache->denied ? -EACCES : -ENOENT;
}

static bool is_listed(const struct mesh_dp_ifaddrs *addrs, const struct mesh_addr *ip)
{
	mesh_vec_each (a, &addrs->list)
		if (mesh_addr_ip_eq(&a->addr, ip))
			return true;
	return false;
}

static int check_addresses(int netns_fd, const struct mesh_addr *ips, size_t count, struct mesh_errs *errs)
{
	struct mesh_dp_ifaddrs have = {0};
	char text[MESH_ADDR_TEXT];
	int r = mesh_dp_addresses(netns_fd, &have);

	if (r < 0)
		mesh_errs_add(errs, "reading the namespace's addresses: %s", strerror(-r));
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (is_listed(&have, &ips[i]))
			continue;
		mesh_errs_add(errs, "the network namespace does not have the address %s",
			      mesh_addr_ip_text(&ips[i], text));
		r = -EADDRNOTAVAIL;
	}
	mesh_vec_free(&have.list);
	return r;
}

int mesh_dp_look(struct mesh_dp *dp, int netns_fd, const struct mesh_addr *ips, size_t count, struct mesh_dp_found *ret,
		 struct mesh_errs *errs)
{
	struct mesh_dp_addr_cache *cache = cache_of(dp);
	mesh_auto_fd int fd = -1;
	uint64_t cookie;
	struct stat st;
	int r;

	if (ioctl(netns_fd, NS_GET_NSTYPE) != CLONE_NEWNET || fstat(netns_fd, &st) < 0) {
		mesh_errs_add(errs, "what was given is not a network namespace");
		return -EINVAL;
	}
	if (!cache || st.st_ino == cache->own) {
		mesh_errs_add(errs, "the network namespace is the agent's own");
		return -EINVAL;
	}
	r = check_addresses(netns_fd, ips, count, errs);
	if (r < 0)
		return r;
	fd = fcntl(netns_fd, F_DUPFD_CLOEXEC, 0);
	r = fd < 0 ? -errno : mesh_netns_cookie(fd, &cookie);
	if (r < 0) {
		mesh_errs_add(errs, "the network namespace: %s", strerror(-r));
		return r;
	}
	*ret = (struct mesh_dp_found){.netns_fd = mesh_steal_fd(&fd), .netns_cookie = cookie};
	return 0;
}
