/* SPDX-License-Identifier: Apache-2.0 */
/* Capture and release of pods: the agent's listeners in a pod's namespace, and the entry that switches. */
#include "core/netns.h"
#include "dataplane/bypass.h"
#include "dataplane/splice.h"
#include "dataplane/xdp.h"

#include <errno.h>
#include <linux/filter.h>
#include <sys/socket.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

enum {
	IFINDEX_LOOPBACK = 1, /* in every namespace */
	BACKLOG = 4096,
	PORT_TRIES = 16, /* an app may have taken the port before */
};

struct listeners {
	int fds[4];
	size_t count;
};

static void close_listeners(struct listeners *l)
{
	while (l->count)
		mesh_cleanup_fd(&l->fds[--l->count]);
}

/* Only what comes over loopback: the pod itself, also when it talks to its own address. */
static int accept_own_only(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)SKF_AD_OFF + SKF_AD_IFINDEX),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IFINDEX_LOOPBACK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = {.len = MESH_ARRAY_SIZE(code), .filter = code};
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one)) < 0)
		return -errno;
	return 0;
}

/* device 0: any. Returns the descriptor or -errno. */
static int listen_on(int netns_fd, const struct mesh_addr *addr, int device, bool own_only)
{
	bool v4 = mesh_addr_is_v4(addr);
	mesh_auto_fd int fd =
		mesh_netns_socket(netns_fd, v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP);
	struct sockaddr_storage ss;
	socklen_t len = mesh_addr_to_sock(addr, &ss);
	int one = 1, r;

	if (fd < 0)
		return mesh_steal_fd(&fd);
	/* Connections of an earlier agent that are in TIME_WAIT do not keep the port. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    (!v4 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    (device && setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, sizeof(device)) < 0))
		return -errno;
	r = own_only ? accept_own_only(fd) : 0;
	if (r < 0)
		return r;
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return mesh_steal_fd(&fd);
}

/* The two listeners of a family on one port: loopback and, if the pod has such an address, that one. */
static int listen_pair(int netns_fd, const struct mesh_addr *loopback, const struct mesh_addr *own, int ifindex,
		       struct listeners *l)
{
	bool v4 = mesh_addr_is_v4(loopback);
	/* IPv4: all of 127.0.0.0/8 by the device, so the other must have one too. */
	int fd = listen_on(netns_fd, loopback, v4 ? IFINDEX_LOOPBACK : 0, false);

	if (fd < 0)
		return fd;
	l->fds[l->count++] = fd;
	if (!own)
		return 0;
	fd = listen_on(netns_fd, own, v4 ? ifindex : 0, true);
	if (fd < 0)
		return fd;
	l->fds[l->count++] = fd;
	return 0;
}

/* Tries ports from MESH_LISTEN_PORT on. Returns 0 with *port, or -errno. */
static int listen_family(int netns_fd, bool v6, const struct mesh_addr *ip, int ifindex, struct listeners *l,
			 uint16_t *port)
{
	struct mesh_addr loopback = {.ip = IN6ADDR_LOOPBACK_INIT}, own = {0};
	int r = -EADDRINUSE;

	if (!v6)
		loopback = mesh_addr_from_v4(0, 0);
	if (ip)
		own = *ip;
	for (int i = 0; i < PORT_TRIES && r == -EADDRINUSE; i++) {
		struct listeners pair = {0};

		loopback.port = own.port = (uint16_t)(MESH_LISTEN_PORT + i);
		r = listen_pair(netns_fd, &loopback, ip ? &own : NULL, ifindex, &pair);
		if (r < 0) {
			close_listeners(&pair);
			continue;
		}
		*port = loopback.port;
		for (size_t k = 0; k < pair.count; k++)
			l->fds[l->count++] = pair.fds[k];
	}
	return r;
}

static const struct mesh_addr *first_of(const struct mesh_addr *ips, size_t count, bool v6)
{
	for (size_t i = 0; i < count; i++)
		if (mesh_addr_is_v4(&ips[i]) != v6)
			return &ips[i];
	return NULL;
}

static uint32_t device_of(const struct mesh_dp_ifaddrs *have, const struct mesh_addr *ip)
{
	mesh_vec_each (a, &have->list)
		if (ip && !a->tentative && mesh_addr_ip_eq(&a->addr, ip))
			return a->ifindex;
	return 0;
}

static int open_listeners(const struct mesh_dp_found *found, const struct mesh_addr *ip4, const struct mesh_addr *ip6,
			  struct mesh_pod *pod, struct listeners *l, const char *name, struct mesh_errs *errs)
{
	struct mesh_dp_ifaddrs have = {0};
	uint32_t dev6;
	int r = mesh_dp_addresses(found->netns_fd, &have);

	if (r == 0) {
		pod->ifindex = device_of(&have, ip4);
		dev6 = device_of(&have, ip6);
		mesh_vec_free(&have.list);
		if (!pod->ifindex)
			ip4 = NULL; /* not up yet: loopback serves */
		if (!dev6)
			ip6 = NULL;
		if (!pod->ifindex)
			pod->ifindex = dev6;
		r = listen_family(found->netns_fd, false, ip4, (int)pod->ifindex, l, &pod->port4);
	}
	if (r == 0) {
		r = listen_family(found->netns_fd, true, ip6, (int)pod->ifindex, l, &pod->port6);
		if (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL)
			r = 0; /* a pod without IPv6 */
	}
	if (r < 0)
		mesh_errs_add(errs, "pod %s: listening in its network namespace: %s", name, strerror(-r));
	return r;
}

static int put_pod(struct mesh_dp *dp, uint64_t netns_cookie, const struct mesh_pod *pod, struct mesh_errs *errs)
{
	int r;

	mesh_splice_lock(dp->splice);
	mesh_splice_forget(dp, netns_cookie); /* it may have had other addresses */
	r = bpf_map_update_elem(dp->maps[MESH_DP_MAP_PODS], &netns_cookie, pod, BPF_ANY) < 0 ? -errno : 0;
	mesh_splice_unlock(dp->splice);
	if (r < 0)
		mesh_errs_add(errs, "pod %s: writing map pods: %s", pod->name,
			      r == -E2BIG ? "it is full: raise max_pods" : strerror(-r));
	return r;
}

static struct mesh_pod pod_of(const struct mesh_addr *ip4, const struct mesh_addr *ip6, const char *name)
{
	struct mesh_pod pod = {.splice = MESH_SPLICE_DISABLED}; /* until mesh_dp_splice_pod() says otherwise */

	if (ip4)
		memcpy(pod.ip4, &ip4->ip.s6_addr[12], sizeof(pod.ip4));
	if (ip6)
		memcpy(pod.ip6, &ip6->ip, sizeof(pod.ip6));
	memcpy(pod.name, name, strnlen(name, MESH_NAME_LEN - 1));
	return pod;
}

int mesh_dp_capture(struct mesh_dp *dp, const struct mesh_dp_found *found, const struct mesh_addr *ips, size_t ip_count,
		    const char *pod_name, int listen_fds[4], size_t *listen_count, struct mesh_errs *errs)
{
	const struct mesh_addr *ip4 = first_of(ips, ip_count, false), *ip6 = first_of(ips, ip_count, true);
	struct mesh_pod pod = pod_of(ip4, ip6, pod_name);
	struct listeners l = {0};
	int r;

	r = open_listeners(found, ip4, ip6, &pod, &l, pod_name, errs);
	if (r == 0)
		r = put_pod(dp, found->netns_cookie, &pod, errs);
	if (r < 0) {
		close_listeners(&l);
		return r;
	}
	mesh_dp_bypass_add(dp, found, &pod, 0);
	mesh_dp_xdp_add(dp, found->netns_cookie, &pod);
	memcpy(listen_fds, l.fds, sizeof(l.fds));
	*listen_count = l.count;
	return 0;
}

/* Whether fd listens in that namespace; *port and *v6 say on what. */
static bool listens_there(int fd, uint64_t netns_cookie, uint16_t *port, bool *v6)
{
	struct sockaddr_storage ss = {0};
	struct mesh_addr addr;
	uint64_t cookie = 0;
	int listening = 0;
	socklen_t cookie_len = sizeof(cookie), listening_len = sizeof(listening), len = sizeof(ss);

	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &cookie_len) < 0 || cookie != netns_cookie ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_len) < 0 || !listening ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) < 0 || mesh_addr_from_sock(&ss, &addr) < 0)
		return false;
	*port = addr.port;
	*v6 = ss.ss_family == AF_INET6;
	return true;
}

int mesh_dp_recapture(struct mesh_dp *dp, const struct mesh_dp_found *found, const struct mesh_addr *ips,
		      size_t ip_count, const char *pod_name, const int *listen_fds, size_t listen_count)
{
	const struct mesh_addr *ip4 = first_of(ips, ip_count, false), *ip6 = first_of(ips, ip_count, true);
	unsigned want = 0, have = 0;
	struct mesh_pod pod;

	if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_PODS], &found->netns_cookie, &pod) < 0)
		return -ENOENT;
	if (strncmp(pod.name, pod_name, MESH_NAME_LEN - 1) != 0 ||
	    (ip4 && memcmp(pod.ip4, &ip4->ip.s6_addr[12], sizeof(pod.ip4)) != 0) ||
	    (ip6 && memcmp(pod.ip6, &ip6->ip, sizeof(pod.ip6)) != 0))
		return -ESTALE;
	want += pod.port4 ? (ip4 ? 2 : 1) : 0;
	want += pod.port6 ? (ip6 ? 2 : 1) : 0;
	for (size_t i = 0; i < listen_count; i++) {
		uint16_t port;
		bool v6;

		if (!listens_there(listen_fds[i], found->netns_cookie, &port, &v6) ||
		    port != (v6 ? pod.port6 : pod.port4))
			return -ESTALE;
		have++;
	}
	if (have != want)
		return -ESTALE;
	mesh_dp_bypass_add(dp, found, &pod, 0);
	mesh_dp_xdp_add(dp, found->netns_cookie, &pod);
	return 0;
}

void mesh_dp_guard(struct mesh_dp *dp, const struct mesh_dp_found *found, const struct mesh_addr *ips, size_t ip_count,
		   const char *name)
{
	const struct mesh_addr *ip4 = first_of(ips, ip_count, false), *ip6 = first_of(ips, ip_count, true);
	struct mesh_pod pod = pod_of(ip4, ip6, name);
	struct mesh_dp_ifaddrs have = {0};

	if (mesh_dp_addresses(found->netns_fd, &have) == 0) {
		pod.ifindex = device_of(&have, ip4);
		if (!pod.ifindex)
			pod.ifindex = device_of(&have, ip6);
	}
	mesh_vec_free(&have.list);
	mesh_dp_bypass_add(dp, found, &pod, MESH_VETH_EDGE);
	mesh_dp_xdp_add(dp, found->netns_cookie, &pod);
}

void mesh_dp_unguard(struct mesh_dp *dp, uint64_t netns_cookie)
{
	mesh_dp_xdp_remove(dp, netns_cookie);
	mesh_dp_bypass_remove(dp, netns_cookie);
}

static bool is_of_none(void *arg, const void *key, const void *value)
{
	const struct mesh_tuple *t = key;
	const struct mesh_dp *dp = arg;
	struct mesh_pod pod;

	(void)value;
	return bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_PODS], &t->netns, &pod) < 0;
}

int mesh_dp_release(struct mesh_dp *dp, uint64_t netns_cookie)
{
	int r;

	/* What clients that had closed left in pods released before, never accepted; this one's may still be. */
	mesh_dp_origdst_drop(dp, is_of_none);
	mesh_dp_xdp_remove(dp, netns_cookie);
	mesh_dp_bypass_remove(dp, netns_cookie);
	mesh_splice_lock(dp->splice);
	mesh_splice_forget(dp, netns_cookie);
	r = bpf_map_delete_elem(dp->maps[MESH_DP_MAP_PODS], &netns_cookie) < 0 ? -errno : 0;
	mesh_splice_unlock(dp->splice);
	return r;
}

int mesh_dp_captured(struct mesh_dp *dp, uint64_t **ret, size_t *count)
{
	MESH_VEC(uint64_t) cookies = {0};
	uint64_t key, *prev = NULL;

	while (bpf_map_get_next_key(dp->maps[MESH_DP_MAP_PODS], prev, &key) == 0) {
		mesh_vec_push(&cookies, key);
		prev = &key;
	}
	*ret = cookies.items;
	*count = cookies.count;
	return 0;
}
