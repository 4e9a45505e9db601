/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does bpf_redirect_peer() do here what the bypass wants of it? A node and two pods of namespaces alone, with no way
 * between the pods but by the program, and a datagram from the one must arrive at the other. All goes with the
 * namespaces.
 */
#include "dataplane/bypass.h"

#include "bypass.skel.h"
#include "core/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/neighbour.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/neighbour.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

enum { ARRIVAL_MS = 500, TRIES = 5, PORT = 20009 /* one that needs no capability */ };

static const char *const addresses[] = {"169.254.90.1/30", "169.254.90.2/30"};

struct scene {
	int node, pods[2]; /* namespaces */
	struct nl_sock *route;
	uint32_t ends[2];
	int sockets[2];   /* UDP */
	const char *step; /* what is being done */
};

static int make_netns(void)
{
	mesh_auto_fd int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), fd = -1;

	if (home < 0 || unshare(CLONE_NEWNET) < 0)
		return -errno;
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (setns(home, CLONE_NEWNET) < 0)
		abort(); /* anything else would be done in the wrong namespace */
	return fd < 0 ? -errno : mesh_steal_fd(&fd);
}

static int bring_up(struct nl_sock *route, const char *name, uint32_t *ifindex)
{
	struct rtnl_link *link = NULL, *want = NULL;
	int r = rtnl_link_get_kernel(route, 0, name, &link);

	if (r == 0) {
		*ifindex = (uint32_t)rtnl_link_get_ifindex(link);
		want = rtnl_link_alloc();
		rtnl_link_set_flags(want, IFF_UP);
		r = rtnl_link_change(route, link, want, 0);
		rtnl_link_put(want);
		rtnl_link_put(link);
	}
	return r < 0 ? -EIO : 0;
}

static int add_address(struct nl_sock *inside, uint32_t ifindex, const char *text)
{
	struct rtnl_addr *addr = rtnl_addr_alloc();
	struct nl_addr *local = NULL;
	int r = nl_addr_parse(text, AF_INET, &local);

	if (r == 0) {
		rtnl_addr_set_ifindex(addr, (int)ifindex);
		rtnl_addr_set_local(addr, local);
		r = rtnl_addr_add(inside, addr, 0);
		nl_addr_put(local);
	}
	rtnl_addr_put(addr);
	return r < 0 ? -EIO : 0;
}

/* The other pod's address has a MAC that nobody has: only the program's word makes a packet one for that pod. */
static int add_neighbour(struct nl_sock *inside, uint32_t ifindex, const char *text)
{
	static const uint8_t nobody[6] = {2, 0x5a, 1, 2, 3, 4};
	struct nl_addr *mac = nl_addr_build(AF_LLC, nobody, sizeof(nobody)), *ip = NULL;
	struct rtnl_neigh *neigh = rtnl_neigh_alloc();
	int r = nl_addr_parse(text, AF_INET, &ip);

	if (r == 0) {
		nl_addr_set_prefixlen(ip, 32);
		rtnl_neigh_set_ifindex(neigh, (int)ifindex);
		rtnl_neigh_set_dst(neigh, ip);
		rtnl_neigh_set_lladdr(neigh, mac);
		rtnl_neigh_set_state(neigh, NUD_PERMANENT);
		r = rtnl_neigh_add(inside, neigh, NLM_F_CREATE | NLM_F_REPLACE);
		nl_addr_put(ip);
	}
	rtnl_neigh_put(neigh);
	nl_addr_put(mac);
	return r < 0 ? -EIO : 0;
}

static struct sockaddr_in place_of(int pod)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	char text[INET_ADDRSTRLEN];

	snprintf(text, sizeof(text), "%.*s", (int)strcspn(addresses[pod], "/"), addresses[pod]);
	inet_pton(AF_INET, text, &in.sin_addr);
	return in;
}

static int open_socket(struct scene *s, int pod)
{
	struct sockaddr_in at = place_of(pod);

	s->sockets[pod] = mesh_netns_socket(s->pods[pod], AF_INET, SOCK_DGRAM, 0);
	if (s->sockets[pod] < 0)
		return s->sockets[pod];
	return bind(s->sockets[pod], (struct sockaddr *)&at, sizeof(at)) < 0 ? -errno : 0;
}

static int make_pair(struct scene *s, int pod)
{
	struct rtnl_link *link = rtnl_link_veth_alloc(), *peer = rtnl_link_veth_get_peer(link);
	const char *name = pod == 0 ? "try0" : "try1";
	struct nl_sock *inside = NULL;
	uint32_t ifindex = 0;
	int r;

	rtnl_link_set_name(link, name);
	rtnl_link_set_name(peer, "eth0");
	rtnl_link_set_ns_fd(peer, s->pods[pod]);
	r = rtnl_link_add(s->route, link, NLM_F_CREATE | NLM_F_EXCL) < 0 ? -EIO : 0;
	rtnl_link_put(peer);
	rtnl_link_put(link);
	if (r == 0)
		r = bring_up(s->route, name, &s->ends[pod]);
	if (r == 0)
		r = mesh_dp_route_open(s->pods[pod], &inside);
	if (r == 0)
		r = bring_up(inside, "eth0", &ifindex);
	if (r == 0)
		r = add_address(inside, ifindex, addresses[pod]);
	if (r == 0)
		r = add_neighbour(inside, ifindex, addresses[!pod]);
	nl_socket_free(inside);
	return r < 0 ? r : open_socket(s, pod);
}

static int attach(const struct scene *s, struct bypass_bpf *skel, bool tcx)
{
	const int programs[MESH_DP_POINT_COUNT] = {
		[MESH_DP_INGRESS] = bpf_program__fd(skel->progs.probe_peer),
		[MESH_DP_EGRESS] = -1,
	};
	int home = -1, r = mesh_netns_enter(s->node, &home);
	bool qdisc = false;

	if (r < 0)
		return r;
	r = mesh_dp_tc_attach(s->ends[0], programs, 0, tcx, &qdisc);
	mesh_netns_leave(&home);
	return r;
}

/* Whether a datagram arrives at the other pod. */
static int try_packet(const struct scene *s)
{
	static const char text[] = "sockmesh";
	struct sockaddr_in to = place_of(1);
	struct pollfd p = {.fd = s->sockets[1], .events = POLLIN};
	char got[sizeof(text)] = "";

	for (int i = 0; i < TRIES; i++) {
		if (sendto(s->sockets[0], text, sizeof(text), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			return -errno;
		if (poll(&p, 1, ARRIVAL_MS / TRIES) > 0)
			break;
	}
	if (recv(s->sockets[1], got, sizeof(got), MSG_DONTWAIT) != sizeof(text))
		return -ETIMEDOUT;
	return memcmp(got, text, sizeof(text)) == 0 ? 0 : -EBADMSG;
}

static int play(struct scene *s, struct bypass_bpf *skel, bool tcx)
{
	struct bypass_bpf__bss values = {0};
	uint32_t zero = 0;
	int r = 0;

	s->step = "making network namespaces";
	s->node = make_netns();
	for (int i = 0; i < 2; i++)
		s->pods[i] = make_netns();
	if (s->node < 0 || s->pods[0] < 0 || s->pods[1] < 0)
		return s->node < 0 ? s->node : s->pods[0] < 0 ? s->pods[0] : s->pods[1];
	s->step = "making veth pairs";
	r = mesh_dp_route_open(s->node, &s->route);
	for (int i = 0; r == 0 && i < 2; i++)
		r = make_pair(s, i);
	if (r < 0)
		return r;
	s->step = "attaching a program to a veth";
	values.probe_to = s->ends[1];
	r = bpf_map_update_elem(bpf_map__fd(skel->maps.bss), &zero, &values, BPF_ANY) < 0 ? -errno : 0;
	if (r == 0)
		r = attach(s, skel, tcx);
	if (r < 0)
		return r;
	s->step = "bpf_redirect_peer";
	return try_packet(s);
}

char *mesh_dp_probe_peer(struct bypass_bpf *skel, bool tcx)
{
	struct scene s = {.node = -1, .pods = {-1, -1}, .sockets = {-1, -1}};
	int r = play(&s, skel, tcx);

	nl_socket_free(s.route);
	for (int i = 0; i < 2; i++) {
		mesh_cleanup_fd(&s.sockets[i]);
		mesh_cleanup_fd(&s.pods[i]);
	}
	mesh_cleanup_fd(&s.node);
	if (r == 0)
		return NULL;
	return mesh_xasprintf("the probe failed at %s: %s", s.step,
			      r == -ETIMEDOUT ? "the packet did not arrive" : strerror(-r));
}
