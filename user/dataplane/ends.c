/* SPDX-License-Identifier: Apache-2.0 */
/* The node's ends of pods' veth pairs: which they are, whose addresses send there, and who else is on them. */
#include "dataplane/bypass.h"

#include "core/netns.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>

enum { NSID_NONE = -1 };

int mesh_dp_host_enter(int host_netns, int *home)
{
	*home = -1;
	return host_netns > 0 ? mesh_netns_enter(host_netns, home) : 0;
}

void mesh_dp_host_leave(int *home)
{
	if (*home >= 0)
		mesh_netns_leave(home);
}

int mesh_dp_netlink_open(int netns, int protocol, struct nl_sock **ret)
{
	struct nl_sock *sock = nl_socket_alloc();
	int home = -1, r = sock ? mesh_dp_host_enter(netns, &home) : -ENOMEM;

	if (r == 0) {
		r = nl_connect(sock, protocol) < 0 ? -EIO : 0;
		mesh_dp_host_leave(&home);
	}
	if (r < 0) {
		nl_socket_free(sock);
		return r;
	}
	*ret = sock;
	return 0;
}

int mesh_dp_route_open(int netns, struct nl_sock **ret)
{
	return mesh_dp_netlink_open(netns, NETLINK_ROUTE, ret);
}

static int take_nsid(struct nl_msg *m, void *arg)
{
	struct nlattr *a = nlmsg_find_attr(nlmsg_hdr(m), sizeof(struct rtgenmsg), NETNSA_NSID);

	if (a)
		*(int *)arg = (int)nla_get_u32(a);
	return NL_OK;
}

/* The number that the node's namespace knows a pod's by. */
static int nsid_of(struct nl_sock *host, int pod_netns)
{
	struct nl_msg *m = nlmsg_alloc_simple(RTM_GETNSID, NLM_F_REQUEST);
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	struct rtgenmsg head = {.rtgen_family = AF_UNSPEC};
	int nsid = NSID_NONE;

	nlmsg_append(m, &head, sizeof(head), NLMSG_ALIGNTO);
	nla_put_u32(m, NETNSA_FD, (uint32_t)pod_netns);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, take_nsid, &nsid);
	/* An error is the acknowledgement, too. */
	if (nl_send_auto(host, m) >= 0 && nl_recvmsgs(host, cb) >= 0)
		nl_wait_for_ack(host);
	nl_cb_put(cb);
	nlmsg_free(m);
	return nsid;
}

static const char *kind_of(struct rtnl_link *link)
{
	const char *kind = rtnl_link_get_type(link);

	return kind ? kind : "a physical device";
}

static void add_ip6(struct mesh_veth *v, const uint8_t ip[16])
{
	static const uint8_t none[16];

	for (int i = 0; i < MESH_VETH_IP6; i++) {
		if (memcmp(v->ip6[i], ip, 16) == 0)
			return;
		if (memcmp(v->ip6[i], none, 16) == 0) {
			memcpy(v->ip6[i], ip, 16);
			return;
		}
	}
}

/* The link-local address that a MAC gives (RFC 4291, appendix A), which a pod may not have yet. */
static void add_eui64(struct mesh_veth *v, struct rtnl_link *link)
{
	struct nl_addr *a = rtnl_link_get_addr(link);
	uint8_t ip[16] = {0xfe, 0x80, [11] = 0xff, [12] = 0xfe};
	const uint8_t *mac;

	if (!a || nl_addr_get_len(a) != 6)
		return;
	mac = nl_addr_get_binary_addr(a);
	memcpy(ip + 8, mac, 3);
	memcpy(ip + 13, mac + 3, 3);
	ip[8] ^= 2;
	add_ip6(v, ip);
}

static void add_link_local(struct nl_sock *pod, uint32_t ifindex, struct mesh_veth *v)
{
	struct nl_cache *all = NULL;

	if (rtnl_addr_alloc_cache(pod, &all) < 0)
		return;
	for (struct nl_object *o = nl_cache_get_first(all); o; o = nl_cache_get_next(o)) {
		struct rtnl_addr *addr = (struct rtnl_addr *)o;
		struct nl_addr *local = rtnl_addr_get_local(addr);

		if (rtnl_addr_get_ifindex(addr) == (int)ifindex && rtnl_addr_get_family(addr) == AF_INET6 && local &&
		    rtnl_addr_get_scope(addr) == RT_SCOPE_LINK && nl_addr_get_len(local) == 16)
			add_ip6(v, nl_addr_get_binary_addr(local));
	}
	nl_cache_free(all);
}

/* Queues that shape or delay would be evaded. */
static bool is_plain_qdisc(const char *kind)
{
	static const char *const plain[] = {"noqueue", "mq", "pfifo_fast", "pfifo", "fq", "fq_codel"};

	for (size_t i = 0; kind && i < MESH_ARRAY_SIZE(plain); i++)
		if (strcmp(kind, plain[i]) == 0)
			return true;
	return !kind;
}

static char *master_trouble(struct nl_sock *host, struct rtnl_link *link)
{
	struct rtnl_link *master = NULL;
	char *why = NULL;

	if (!rtnl_link_get_master(link) || rtnl_link_get_kernel(host, rtnl_link_get_master(link), NULL, &master) < 0)
		return NULL;
	if (strcmp(kind_of(master), "openvswitch") == 0)
		why = mesh_xstrdup("its device is a port of an openvswitch, which tracks connections by itself");
	rtnl_link_put(master);
	return why;
}

static bool has_xdp(int netns, uint32_t ifindex)
{
	int home = -1, r = mesh_dp_host_enter(netns, &home);
	uint32_t id = 0;

	if (r < 0)
		return false;
	r = bpf_xdp_query_id((int)ifindex, 0, &id);
	mesh_dp_host_leave(&home);
	return r == 0 && id != 0;
}

static char *trouble_with(const struct mesh_dp *dp, struct rtnl_link *link, int pod_netns, uint32_t pod_ifindex)
{
	mesh_auto(mesh_buf_free) struct mesh_buf others = {0};
	uint32_t ifindex = (uint32_t)rtnl_link_get_ifindex(link);
	const char *qdisc = rtnl_link_get_qdisc(link);
	int home = -1;

	if (!is_plain_qdisc(qdisc))
		return mesh_xasprintf("its device has the queue discipline %s, which must see every packet", qdisc);
	if (has_xdp(dp->host_netns, ifindex) || has_xdp(pod_netns, pod_ifindex))
		return mesh_xstrdup("an XDP program is on its device, and must see every packet");
	if (mesh_dp_host_enter(dp->host_netns, &home) == 0) {
		mesh_dp_tc_others(dp->bypass->route, ifindex, &others);
		mesh_dp_host_leave(&home);
	}
	if (others.len)
		return mesh_xasprintf("others are on its device, and must see every packet: %s", others.data);
	return master_trouble(dp->bypass->route, link);
}

static int find_pod_link(struct nl_sock *pod, uint32_t ifindex, struct rtnl_link **ret, char **why)
{
	struct rtnl_link *link = NULL;

	if (rtnl_link_get_kernel(pod, (int)ifindex, NULL, &link) < 0) {
		*why = mesh_xstrdup("the device with its address is not there");
		return -ENODEV;
	}
	if (strcmp(kind_of(link), "veth") != 0) {
		*why = mesh_xasprintf("its device %s is no veth but %s", rtnl_link_get_name(link), kind_of(link));
		rtnl_link_put(link);
		return -EOPNOTSUPP;
	}
	*ret = link;
	return 0;
}

static int find_host_link(struct nl_sock *host, int pod_netns, struct rtnl_link *pod, struct rtnl_link **ret,
			  char **why)
{
	struct rtnl_link *link = NULL;
	int32_t nsid = NSID_NONE;
	int index = rtnl_link_get_link(pod);

	if (index && rtnl_link_get_kernel(host, index, NULL, &link) == 0 && strcmp(kind_of(link), "veth") == 0 &&
	    rtnl_link_get_link(link) == rtnl_link_get_ifindex(pod) && rtnl_link_get_link_netnsid(link, &nsid) == 0 &&
	    nsid != NSID_NONE && nsid == nsid_of(host, pod_netns)) {
		*ret = link;
		return 0;
	}
	if (link)
		rtnl_link_put(link);
	*why = mesh_xasprintf("the other end of its device %s is not in the node's network namespace",
			      rtnl_link_get_name(pod));
	return -ENODEV;
}

int mesh_dp_end_find(struct mesh_dp *dp, int pod_netns, uint32_t pod_ifindex, struct mesh_dp_end *ret, char **why)
{
	struct rtnl_link *inside = NULL, *outside = NULL;
	struct nl_sock *pod = NULL;
	int r = mesh_dp_route_open(pod_netns, &pod);

	if (r < 0) {
		*why = mesh_xasprintf("its network namespace: %s", strerror(-r));
		return r;
	}
	r = find_pod_link(pod, pod_ifindex, &inside, why);
	if (r == 0)
		r = find_host_link(dp->bypass->route, pod_netns, inside, &outside, why);
	if (r == 0) {
		ret->ifindex = (uint32_t)rtnl_link_get_ifindex(outside);
		snprintf(ret->name, sizeof(ret->name), "%s", rtnl_link_get_name(outside));
		add_link_local(pod, pod_ifindex, &ret->veth);
		add_eui64(&ret->veth, inside);
		ret->why_not = trouble_with(dp, outside, pod_netns, pod_ifindex);
	}
	if (inside)
		rtnl_link_put(inside);
	if (outside)
		rtnl_link_put(outside);
	nl_socket_free(pod);
	return r;
}
