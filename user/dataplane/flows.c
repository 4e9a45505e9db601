/* SPDX-License-Identifier: Apache-2.0 */
/* Ending flows to an endpoint that is gone: by an iterator with bpf_sock_destroy, else by sock_diag's SOCK_DESTROY. */
#include "core/netns.h"
#include "dataplane/dp.h"
#include "flows.skel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum {
	/* All but TIME_WAIT, CLOSE and LISTEN: what has a peer and can be told. */
	LIVE_STATES = (1 << TCP_ESTABLISHED) | (1 << TCP_SYN_SENT) | (1 << TCP_FIN_WAIT1) | (1 << TCP_FIN_WAIT2) |
		      (1 << TCP_CLOSE_WAIT) | (1 << TCP_LAST_ACK) | (1 << TCP_CLOSING),
};

/* Flows to an endpoint that are to end. */
struct victims {
	const struct mesh_dp *dp;
	const struct mesh_addr *endpoint, *via; /* via: NULL, or what connect() must have named */
	uint8_t protocol;
	MESH_VEC(struct inet_diag_req_v2) list;
};

static bool is_to(const struct inet_diag_msg *m, const struct mesh_addr *endpoint)
{
	struct mesh_addr dst = {.port = ntohs(m->id.idiag_dport)};
	uint32_t v4;

	if (m->idiag_family == AF_INET) {
		memcpy(&v4, m->id.idiag_dst, sizeof(v4));
		dst = mesh_addr_from_v4(v4, dst.port);
	} else {
		memcpy(&dst.ip, m->id.idiag_dst, sizeof(dst.ip));
	}
	return endpoint->port ? mesh_addr_eq(&dst, endpoint) : mesh_addr_ip_eq(&dst, endpoint);
}

/* The agent ends its own connections itself, when their requests are done. */
static bool is_agents(const struct mesh_dp *dp, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	const struct rtattr *a = (const struct rtattr *)(m + 1);
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));
	uint64_t cgroup;

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == INET_DIAG_CGROUP_ID) {
			memcpy(&cgroup, RTA_DATA(a), sizeof(cgroup));
			return cgroup == dp->agent_cgroup || (cgroup && cgroup == dp->agent_before);
		}
	return false;
}

static bool is_any(const struct mesh_addr *a)
{
	struct mesh_addr any = {0}, any4 = mesh_addr_from_v4(0, 0);

	return mesh_addr_ip_eq(a, &any) || mesh_addr_ip_eq(a, &any4);
}

/* Whether a socket was placed when connect() named via. */
static bool is_via(const struct mesh_dp *dp, const uint32_t cookie_words[2], const struct mesh_addr *via)
{
	uint64_t cookie = cookie_words[0] | (uint64_t)cookie_words[1] << 32;
	uint32_t place = (uint32_t)(cookie & (MESH_SOCK_PLACES - 1));
	struct mesh_sock s;

	if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_SOCK], &place, &s) < 0 ||
	    (s.cookie != cookie && bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_SOCKMORE], &cookie, &s) < 0))
		return false;
	return s.tier == MESH_TIER_L4 && s.from_port == via->port &&
	       (is_any(via) || memcmp(s.from, &via->ip, sizeof(s.from)) == 0);
}

static void note_victim(void *arg, const struct nlmsghdr *h)
{
	struct victims *v = arg;
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct inet_diag_req_v2 *req;

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || !is_to(m, v->endpoint) || is_agents(v->dp, h))
		return;
	if (v->via && !is_via(v->dp, m->id.idiag_cookie, v->via))
		return;
	req = mesh_vec_add(&v->list);
	req->sdiag_family = m->idiag_family;
	req->sdiag_protocol = v->protocol;
	req->idiag_states = 1U << m->idiag_state;
	req->id = m->id;
}

static int list_sockets(int fd, int family, uint8_t protocol, struct victims *v)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} ask = {
		.h = {.nlmsg_len = sizeof(ask),
		      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.r = {.sdiag_family = (uint8_t)family, .sdiag_protocol = protocol, .idiag_states = LIVE_STATES},
	};

	v->protocol = protocol;
	return mesh_dp_netlink_dump(fd, &ask, sizeof(ask), note_victim, v);
}

/* Returns 1, 0 if it was gone already, or -errno. */
static int destroy(int fd, const struct inet_diag_req_v2 *victim)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} ask = {
		.h = {.nlmsg_len = sizeof(ask), .nlmsg_type = SOCK_DESTROY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.r = *victim,
	};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char rest[512];
	} answer;

	if (send(fd, &ask, sizeof(ask), 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer.h))
		return -errno;
	if (answer.h.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.e.error == -ENOENT ? 0 : answer.e.error < 0 ? answer.e.error : 1;
}

/* It shares two maps; the others are not to be made once more. */
static struct flows_bpf *open_flows(struct mesh_dp *dp)
{
	static const enum mesh_dp_map shared[] = {MESH_DP_MAP_SOCK, MESH_DP_MAP_SOCKMORE};
	struct flows_bpf *flows = flows_bpf__open();

	if (flows && mesh_dp_share_maps(dp, flows->obj, shared, MESH_ARRAY_SIZE(shared)) < 0) {
		flows_bpf__destroy(flows);
		return NULL;
	}
	return flows;
}

bool mesh_dp_flows_load(struct mesh_dp *dp)
{
	if (dp->flows_tried)
		return dp->flows;
	dp->flows_tried = true;
	dp->flows = open_flows(dp);
	if (!dp->flows)
		return false;
	if (flows_bpf__load(dp->flows) == 0) {
		dp->flows_link = bpf_program__attach_iter(dp->flows->progs.end_flows, NULL);
		dp->udp_flows_link = bpf_program__attach_iter(dp->flows->progs.end_udp, NULL);
	}
	if (!dp->flows_link || !dp->udp_flows_link)
		mesh_dp_flows_unload(dp);
	return dp->flows;
}

void mesh_dp_flows_unload(struct mesh_dp *dp)
{
	bpf_link__destroy(dp->flows_link);
	bpf_link__destroy(dp->udp_flows_link);
	flows_bpf__destroy(dp->flows);
	dp->flows_link = dp->udp_flows_link = NULL;
	dp->flows = NULL;
	dp->flows_tried = true;
}

/* An iterator is over the namespace that it is made in. Returns 0 or -errno. */
static int run_iterator(const struct bpf_link *link, int netns_fd)
{
	int home, r = mesh_netns_enter(netns_fd, &home);

	if (r < 0)
		return r;
	r = mesh_dp_iterate(link);
	mesh_netns_leave(&home);
	return r;
}

static int end_by_iterator(struct mesh_dp *dp, int netns_fd, const struct mesh_addr *endpoint,
			   const struct mesh_addr *via)
{
	struct flows_bpf__bss *in = dp->flows->bss;
	int r;

	memcpy(in->endpoint_ip, &endpoint->ip, sizeof(in->endpoint_ip));
	in->endpoint_port = endpoint->port;
	in->via = via != NULL;
	in->via_any = via && is_any(via);
	if (via) {
		memcpy(in->via_ip, &via->ip, sizeof(in->via_ip));
		in->via_port = via->port;
	}
	in->agent_cgroup = dp->agent_cgroup;
	in->agent_before = dp->agent_before;
	in->ended = 0;
	r = run_iterator(dp->flows_link, netns_fd);
	if (r == 0)
		r = run_iterator(dp->udp_flows_link, netns_fd);
	return r < 0 ? r : (int)in->ended;
}

static int end_by_diag(struct mesh_dp *dp, int netns_fd, const struct mesh_addr *endpoint, const struct mesh_addr *via)
{
	mesh_auto_fd int fd = mesh_netns_socket(netns_fd, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
	struct victims v = {.dp = dp, .endpoint = endpoint, .via = via};
	int r = 0, ended = 0;

	if (fd < 0)
		return fd;
	for (int i = 0; r == 0 && i < 4; i++)
		r = list_sockets(fd, i % 2 ? AF_INET6 : AF_INET, i / 2 ? IPPROTO_UDP : IPPROTO_TCP, &v);
	for (size_t i = 0; r == 0 && i < v.list.count; i++) {
		int one = destroy(fd, &v.list.items[i]);

		if (one < 0)
			r = one;
		else
			ended += one;
	}
	mesh_vec_free(&v.list);
	return r < 0 ? r : ended;
}

int mesh_dp_end_flows(struct mesh_dp *dp, int netns_fd, const struct mesh_addr *endpoint, const struct mesh_addr *via)
{
	return mesh_dp_flows_load(dp) ? end_by_iterator(dp, netns_fd, endpoint, via)
				      : end_by_diag(dp, netns_fd, endpoint, via);
}
