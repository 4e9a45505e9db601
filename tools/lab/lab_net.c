/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab_net.h"

#include "core/mem.h"
#include "core/netns.h"
#include "lab/lab_state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#define NETNS_DIR "/run/netns"

struct mesh_lab_nl {
	struct nl_sock *sock;
};

static int nl_errno(int r)
{
	switch (-r) {
	case NLE_SUCCESS:
		return 0;
	case NLE_EXIST:
		return -EEXIST;
	case NLE_OBJ_NOTFOUND:
	case NLE_NODEV:
		return -ENODEV;
	case NLE_PERM:
		return -EPERM;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_BUSY:
		return -EBUSY;
	case NLE_RANGE:
		return -ERANGE;
	default:
		return -EINVAL;
	}
}

int mesh_lab_netns_open(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), NETNS_DIR "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int mesh_lab_netns_remove(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), NETNS_DIR "/%s", name);
	while (umount2(path, MNT_DETACH) == 0)
		;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* A new namespace bound to path; this thread ends up in its old one. */
static int make_at(const char *path)
{
	mesh_auto_fd int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int r = 0;

	if (home < 0 || unshare(CLONE_NEWNET) < 0)
		return -errno;
	if (mount("/proc/thread-self/ns/net", path, "none", MS_BIND, NULL) < 0)
		r = -errno;
	if (setns(home, CLONE_NEWNET) < 0)
		abort();
	return r;
}

static int loopback_up(int fd)
{
	struct mesh_lab_nl *nl;
	int r = mesh_lab_nl_new(&nl, fd);

	if (r < 0)
		return r;
	r = mesh_lab_nl_up(nl, "lo");
	mesh_lab_nl_free(nl);
	return r;
}

int mesh_lab_netns_make(const char *name)
{
	mesh_auto_fd int fd = -1;
	char path[128];
	int r = mesh_lab_mkdir(NETNS_DIR);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), NETNS_DIR "/%s", name);
	fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0 && errno != EEXIST)
		return -errno;
	mesh_cleanup_fd(&fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* A plain file is what a killed process left between the two steps. */
	if (ioctl(fd, _IO(0xb7, 0x3)) < 0) { /* NS_GET_NSTYPE */
		r = make_at(path);
		if (r < 0) {
			unlink(path);
			return r;
		}
		mesh_cleanup_fd(&fd);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	}
	r = loopback_up(fd);
	return r < 0 ? r : mesh_steal_fd(&fd);
}

int mesh_lab_nl_new(struct mesh_lab_nl **ret, int netns_fd)
{
	struct mesh_lab_nl *nl = mesh_xcalloc(1, sizeof(*nl));
	int home = -1, r = mesh_netns_enter(netns_fd, &home);

	if (r < 0) {
		free(nl);
		return r;
	}
	nl->sock = nl_socket_alloc();
	r = nl->sock ? nl_errno(nl_connect(nl->sock, NETLINK_ROUTE)) : -ENOMEM;
	mesh_netns_leave(&home);
	if (r < 0) {
		mesh_lab_nl_free(nl);
		return r;
	}
	*ret = nl;
	return 0;
}

void mesh_lab_nl_free(struct mesh_lab_nl *nl)
{
	if (!nl)
		return;
	nl_socket_free(nl->sock);
	free(nl);
}

static int link_index(struct mesh_lab_nl *nl, const char *name)
{
	struct rtnl_link *link = NULL;
	int r = rtnl_link_get_kernel(nl->sock, 0, name, &link);

	if (r < 0)
		return nl_errno(r);
	r = rtnl_link_get_ifindex(link);
	rtnl_link_put(link);
	return r;
}

int mesh_lab_nl_up(struct mesh_lab_nl *nl, const char *name)
{
	struct rtnl_link *link, *want;
	int r, index = link_index(nl, name);

	if (index < 0)
		return index;
	link = rtnl_link_alloc();
	want = rtnl_link_alloc();
	rtnl_link_set_ifindex(link, index);
	rtnl_link_set_flags(want, IFF_UP);
	r = nl_errno(rtnl_link_change(nl->sock, link, want, 0));
	rtnl_link_put(link);
	rtnl_link_put(want);
	return r;
}

int mesh_lab_nl_bridge(struct mesh_lab_nl *nl, const char *name, const unsigned char *mac)
{
	struct rtnl_link *link = rtnl_link_bridge_alloc();
	struct nl_addr *addr = nl_addr_build(AF_LLC, mac, 6);
	int r;

	rtnl_link_set_name(link, name);
	rtnl_link_set_flags(link, IFF_UP);
	rtnl_link_set_addr(link, addr);
	r = nl_errno(rtnl_link_add(nl->sock, link, NLM_F_CREATE | NLM_F_EXCL));
	rtnl_link_put(link);
	nl_addr_put(addr);
	return r == -EEXIST ? mesh_lab_nl_up(nl, name) : r;
}

/* The kernel cannot make the peer and bring it up in one step. */
static int peer_up(int ns, const char *name)
{
	struct mesh_lab_nl *nl;
	int r = mesh_lab_nl_new(&nl, ns);

	if (r < 0)
		return r;
	r = mesh_lab_nl_up(nl, name);
	mesh_lab_nl_free(nl);
	return r;
}

int mesh_lab_nl_veth(struct mesh_lab_nl *nl, const char *name, const char *master, const char *peer, int peer_ns)
{
	struct rtnl_link *link, *other;
	int r, bridge = 0;

	if (master) {
		bridge = link_index(nl, master);
		if (bridge < 0)
			return bridge;
	}
	link = rtnl_link_veth_alloc();
	other = rtnl_link_veth_get_peer(link);
	rtnl_link_set_name(link, name);
	rtnl_link_set_flags(link, IFF_UP);
	if (bridge)
		rtnl_link_set_master(link, bridge);
	rtnl_link_set_name(other, peer);
	rtnl_link_set_ns_fd(other, peer_ns);
	r = nl_errno(rtnl_link_add(nl->sock, link, NLM_F_CREATE | NLM_F_EXCL));
	rtnl_link_put(other);
	rtnl_link_put(link);
	if (r == -EEXIST)
		r = mesh_lab_nl_up(nl, name);
	return r < 0 ? r : peer_up(peer_ns, peer);
}

int mesh_lab_nl_delete(struct mesh_lab_nl *nl, const char *name)
{
	struct rtnl_link *link = rtnl_link_alloc();
	int r;

	rtnl_link_set_name(link, name);
	r = nl_errno(rtnl_link_delete(nl->sock, link));
	rtnl_link_put(link);
	return r == -ENODEV ? 0 : r;
}

int mesh_lab_nl_address(struct mesh_lab_nl *nl, const char *name, const char *prefix)
{
	struct nl_addr *local = NULL;
	struct rtnl_addr *addr;
	int r, index = link_index(nl, name);

	if (index < 0)
		return index;
	r = nl_addr_parse(prefix, AF_UNSPEC, &local);
	if (r < 0)
		return -EINVAL;
	addr = rtnl_addr_alloc();
	rtnl_addr_set_ifindex(addr, index);
	rtnl_addr_set_local(addr, local);
	if (nl_addr_get_family(local) == AF_INET6)
		rtnl_addr_set_flags(addr, IFA_F_NODAD);
	r = nl_errno(rtnl_addr_add(nl->sock, addr, 0));
	rtnl_addr_put(addr);
	nl_addr_put(local);
	return r == -EEXIST ? 0 : r;
}

int mesh_lab_nl_route(struct mesh_lab_nl *nl, const char *dst, const char *via, const char *name)
{
	struct nl_addr *gateway = NULL, *to = NULL;
	struct rtnl_nexthop *hop;
	struct rtnl_route *route;
	int r, index = link_index(nl, name);

	if (index < 0)
		return index;
	if (nl_addr_parse(via, AF_UNSPEC, &gateway) < 0)
		return -EINVAL;
	if (nl_addr_parse(dst ? dst : "default", nl_addr_get_family(gateway), &to) < 0) {
		nl_addr_put(gateway);
		return -EINVAL;
	}
	route = rtnl_route_alloc();
	hop = rtnl_route_nh_alloc();
	rtnl_route_set_family(route, (uint8_t)nl_addr_get_family(gateway));
	rtnl_route_set_dst(route, to);
	rtnl_route_set_protocol(route, RTPROT_STATIC);
	rtnl_route_nh_set_ifindex(hop, index);
	rtnl_route_nh_set_gateway(hop, gateway);
	rtnl_route_nh_set_flags(hop, RTNH_F_ONLINK);
	rtnl_route_add_nexthop(route, hop);
	r = nl_errno(rtnl_route_add(nl->sock, route, NLM_F_CREATE | NLM_F_REPLACE));
	rtnl_route_put(route);
	nl_addr_put(to);
	nl_addr_put(gateway);
	return r == -EEXIST ? 0 : r;
}

bool mesh_lab_has_ipv6(void)
{
	return access("/proc/sys/net/ipv6", F_OK) == 0;
}

int mesh_lab_sysctl(int netns_fd, const char *path, const char *value)
{
	char full[256];
	int home = -1, fd, r = mesh_netns_enter(netns_fd, &home);

	if (r < 0)
		return r;
	snprintf(full, sizeof(full), "/proc/sys/net/%s", path);
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	mesh_netns_leave(&home);
	return r;
}
