/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection tracking on the node sees the handshake and the end of a bypassed flow, and a sample of the packets
 * between. By itself it takes those for out of the window, and rules that are on nearly every node drop that
 * ("ctstate INVALID"). So the flow's entry is marked as one whose window is not judged, before the first
 * packet is bypassed: what the kernel itself does to connections that it picks up half-way.
 */
#include "dataplane/bypass.h"

#include <errno.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

enum { PATIENCE_MS = 1000 };

static bool has_conntrack(void)
{
	return access("/proc/sys/net/netfilter/nf_conntrack_max", F_OK) == 0;
}

static int open_sock(struct nl_sock **ret, int host_netns)
{
	struct timeval patience = {.tv_sec = PATIENCE_MS / 1000, .tv_usec = PATIENCE_MS % 1000 * 1000};
	struct nl_sock *sock;
	int r = mesh_dp_netlink_open(host_netns, NETLINK_NETFILTER, &sock);

	if (r < 0)
		return r;
	setsockopt(nl_socket_get_fd(sock), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	*ret = sock;
	return 0;
}

static void put_tuple(struct nl_msg *m, const struct mesh_flow_key *flow, bool v4)
{
	struct nlattr *tuple = nla_nest_start(m, CTA_TUPLE_ORIG), *part = nla_nest_start(m, CTA_TUPLE_IP);

	if (v4) {
		nla_put(m, CTA_IP_V4_SRC, 4, flow->src + 12);
		nla_put(m, CTA_IP_V4_DST, 4, flow->dst + 12);
	} else {
		nla_put(m, CTA_IP_V6_SRC, 16, flow->src);
		nla_put(m, CTA_IP_V6_DST, 16, flow->dst);
	}
	nla_nest_end(m, part);
	part = nla_nest_start(m, CTA_TUPLE_PROTO);
	nla_put_u8(m, CTA_PROTO_NUM, IPPROTO_TCP);
	nla_put_u16(m, CTA_PROTO_SRC_PORT, htons(flow->sport));
	nla_put_u16(m, CTA_PROTO_DST_PORT, htons(flow->dport));
	nla_nest_end(m, part);
	nla_nest_end(m, tuple);
}

static void put_liberal(struct nl_msg *m)
{
	struct nf_ct_tcp_flags liberal = {.flags = IP_CT_TCP_FLAG_BE_LIBERAL, .mask = IP_CT_TCP_FLAG_BE_LIBERAL};
	struct nlattr *info = nla_nest_start(m, CTA_PROTOINFO), *tcp = nla_nest_start(m, CTA_PROTOINFO_TCP);

	nla_put(m, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, sizeof(liberal), &liberal);
	nla_put(m, CTA_PROTOINFO_TCP_FLAGS_REPLY, sizeof(liberal), &liberal);
	nla_nest_end(m, tcp);
	nla_nest_end(m, info);
}

/* Returns 0 or a libnl error. */
static int tell(struct nl_sock *sock, const struct mesh_flow_key *flow)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool v4 = memcmp(flow->src, mapped, sizeof(mapped)) == 0;
	struct nfgenmsg head = {.nfgen_family = v4 ? AF_INET : AF_INET6, .version = NFNETLINK_V0};
	struct nl_msg *m = nlmsg_alloc_simple(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, NLM_F_REQUEST);
	int r;

	if (!m)
		return -NLE_NOMEM;
	nlmsg_append(m, &head, sizeof(head), NLMSG_ALIGNTO);
	put_tuple(m, flow, v4);
	put_liberal(m);
	r = nl_send_sync(sock, m); /* frees m */
	return r < 0 ? r : 0;
}

void mesh_dp_conntrack_close(struct nl_sock **sock)
{
	nl_socket_free(*sock);
	*sock = NULL;
}

enum mesh_dp_tracked mesh_dp_conntrack_tell(struct nl_sock **sock, int host_netns, const struct mesh_flow_key *flow)
{
	int r;

	if (!*sock && open_sock(sock, host_netns) < 0)
		return has_conntrack() ? MESH_DP_NOT_TOLD : MESH_DP_NOT_TRACKED;
	r = tell(*sock, flow);
	if (r == 0)
		return MESH_DP_TRACKED;
	if (r == -NLE_OBJ_NOTFOUND)
		return MESH_DP_NOT_TRACKED;
	mesh_dp_conntrack_close(sock); /* an answer that comes late is not the next one's */
	return has_conntrack() ? MESH_DP_NOT_TOLD : MESH_DP_NOT_TRACKED;
}
