/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does bpf_redirect_peer() do here what the bypass wants of it? A node and two pods of namespaces alone, a frame from
 * the one pod, and it must arrive at the other as one that is for it. All goes with the namespaces.
 */
#include "dataplane/bypass.h"

#include "bypass.skel.h"
#include "core/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

enum { ETHERTYPE_TRY = 0x88b5 /* IEEE: for local experiments */, ARRIVAL_MS = 500, TRIES = 5 };

struct scene {
	int node, pods[2]; /* namespaces */
	struct nl_sock *route;
	uint32_t ends[2];
	int sockets[2];
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

static int make_pair(struct scene *s, int pod)
{
	struct rtnl_link *link = rtnl_link_veth_alloc(), *peer = rtnl_link_veth_get_peer(link);
	const char *name = pod == 0 ? "try0" : "try1";
	struct nl_sock *inside = NULL;
	uint32_t ifindex;
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
	nl_socket_free(inside);
	if (r < 0)
		return r;
	{
		struct sockaddr_ll at = {
			.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE_TRY), .sll_ifindex = (int)ifindex};

		s->sockets[pod] = mesh_netns_socket(s->pods[pod], AF_PACKET, SOCK_RAW, 0);
		if (s->sockets[pod] < 0)
			return s->sockets[pod];
		return bind(s->sockets[pod], (struct sockaddr *)&at, sizeof(at)) < 0 ? -errno : 0;
	}
}

static int attach(const struct scene *s, struct bypass_bpf *skel)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)s->ends[0], .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(skel->progs.probe_peer));
	int home = -1, r = mesh_netns_enter(s->node, &home);

	if (r < 0)
		return r;
	r = bpf_tc_hook_create(&hook);
	if (r == 0)
		r = bpf_tc_attach(&hook, &opts);
	mesh_netns_leave(&home);
	return r;
}

/* Whether the frame comes out at the other pod, as one that is for it. */
static int try_frame(const struct scene *s)
{
	/* To an address that nobody has: only the program's word makes it for the pod. */
	static const uint8_t frame[60] = {
		2,   0x5a, 1,   2,   3,   4,   2,   0x5a, 5, 6, 7, 8, ETHERTYPE_TRY >> 8, ETHERTYPE_TRY & 0xff,
		's', 'o',  'c', 'k', 'm', 'e', 's', 'h'};
	struct pollfd p = {.fd = s->sockets[1], .events = POLLIN};
	struct sockaddr_ll from = {0};
	socklen_t len = sizeof(from);
	uint8_t got[sizeof(frame)];

	for (int i = 0; i < TRIES; i++) {
		if (send(s->sockets[0], frame, sizeof(frame), 0) < 0)
			return -errno;
		if (poll(&p, 1, ARRIVAL_MS / TRIES) > 0)
			break;
	}
	if (recvfrom(s->sockets[1], got, sizeof(got), MSG_DONTWAIT, (struct sockaddr *)&from, &len) != sizeof(frame))
		return -ETIMEDOUT;
	return memcmp(got, frame, sizeof(frame)) == 0 && from.sll_pkttype == PACKET_HOST ? 0 : -EBADMSG;
}

static int play(struct scene *s, struct bypass_bpf *skel)
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
	s->step = "attaching a filter to a veth";
	values.probe_to = s->ends[1];
	r = bpf_map_update_elem(bpf_map__fd(skel->maps.bss), &zero, &values, BPF_ANY) < 0 ? -errno : 0;
	if (r == 0)
		r = attach(s, skel);
	if (r < 0)
		return r;
	s->step = "bpf_redirect_peer";
	return try_frame(s);
}

char *mesh_dp_probe_peer(struct bypass_bpf *skel)
{
	struct scene s = {.node = -1, .pods = {-1, -1}, .sockets = {-1, -1}};
	int r = play(&s, skel);

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
