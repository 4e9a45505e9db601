/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who is asking (a captured pod, or nobody of ours) and for which service. */
#ifndef MESH_LOOKUP_BPF_H
#define MESH_LOOKUP_BPF_H

#include "lib/flow.bpf.h"

/* The captured pod whose namespace the socket is in; NULL: not the mesh's business. */
static __always_inline struct mesh_pod *pod_of(void *ctx, __u64 *netns)
{
	__u32 zero = 0;
	struct mesh_node *n = bpf_map_lookup_elem(&node, &zero);

	if (!n || n->off)
		return NULL;
	*netns = bpf_get_netns_cookie(ctx);
	return bpf_map_lookup_elem(&pods, netns);
}

/* The agent works in its pods' namespaces; what it connects to is its own decision. */
static __always_inline int by_agent(void)
{
	__u32 zero = 0;
	struct mesh_node *n = bpf_map_lookup_elem(&node, &zero);
	__u64 who;

	if (!n)
		return 0;
	who = bpf_get_current_cgroup_id();
	return who == n->agent_cgroup || who == n->agent_before;
}

/* A service entry as it was at one moment. */
struct service {
	__u64 set;
	__u32 total;
	__u32 dests;
	__u32 tier;
	__u32 reason;
	__u32 affinity;
	union mesh_near near[MESH_NEAR];
	struct mesh_svc *entry; /* itself: its turn, and endpoints that have a seal of their own */
};

enum found { FOUND_NONE, FOUND_SERVICE, FOUND_TORN };

static __always_inline int copy_sealed(struct mesh_svc *v, const __u32 *key, int words, struct service *s)
{
	s->set = *(volatile __u64 *)&v->set;
	s->total = *(volatile __u32 *)&v->total;
	s->dests = *(volatile __u32 *)&v->dests;
	s->tier = *(volatile __u32 *)&v->tier;
	s->reason = *(volatile __u32 *)&v->reason;
	s->affinity = *(volatile __u32 *)&v->affinity;
	for (int i = 0; i < MESH_NEAR; i++)
		s->near[i].word = *(volatile __u64 *)&v->near[i].word;
	s->entry = v;
	return v->seal == mesh_seal(key, words, s->set, s->total, s->dests, s->tier, s->reason, s->affinity, s->near);
}

static __always_inline enum found service4(const struct addr *to, __u8 proto, __u8 kind, struct service *s)
{
	struct mesh_key4 key = {.port = to->port, .proto = proto, .kind = kind};

	*(__u32 *)key.ip = to->ip[3];
	for (int i = 0; i < MESH_READ_TRIES; i++) {
		struct mesh_svc *v = bpf_map_lookup_elem(&svc4, &key);

		if (!v)
			return FOUND_NONE;
		if (copy_sealed(v, (__u32 *)&key, sizeof(key) / 4, s))
			return FOUND_SERVICE;
	}
	return FOUND_TORN;
}

static __always_inline enum found service6(const struct addr *to, __u8 proto, __u8 kind, struct service *s)
{
	struct mesh_key6 key = {.port = to->port, .proto = proto, .kind = kind};

	__builtin_memcpy(key.ip, to->ip, sizeof(key.ip));
	for (int i = 0; i < MESH_READ_TRIES; i++) {
		struct mesh_svc *v = bpf_map_lookup_elem(&svc6, &key);

		if (!v)
			return FOUND_NONE;
		if (copy_sealed(v, (__u32 *)&key, sizeof(key) / 4, s))
			return FOUND_SERVICE;
	}
	return FOUND_TORN;
}

static __always_inline enum found service_at(const struct addr *to, __u8 proto, __u8 kind, struct service *s)
{
	return is_v4(to->ip) ? service4(to, proto, kind, s) : service6(to, proto, kind, s);
}

/* Loopback, link-local and multicast addresses are nobody's service. */
static __always_inline int is_near(const struct addr *to)
{
	__u32 ip = bpf_ntohl(to->ip[is_v4(to->ip) ? 3 : 0]);

	if (is_v4(to->ip))
		return ip >> 24 == 127 || ip >> 16 == 0xa9fe || ip >> 28 == 0xe || ip == 0;
	return ip >> 22 == 0xfe80 >> 6 || ip >> 24 == 0xff || (!ip && !to->ip[1] && !to->ip[2]);
}

/* What is no VIP: a node's port, or a port that something serves at every address. */
static __noinline int elsewhere(const struct addr *to, __u8 proto, struct service *s)
{
	struct addr all = {.port = to->port};
	__u32 zero = 0;
	struct mesh_node *n = bpf_map_lookup_elem(&node, &zero);
	__u64 look = n ? n->elsewhere : 0;
	enum found f;

	if (is_v4(to->ip))
		set_v4(all.ip, 0);
	if (to->port >= (__u16)look && to->port <= (__u16)(look >> 16) && bpf_map_lookup_elem(&nodeip, to->ip)) {
		f = service_at(&all, proto, MESH_KEY_NODE, s);
		if (f != FOUND_NONE)
			return f;
	}
	if ((look & MESH_ELSEWHERE_ANY) && !is_near(to))
		return service_at(&all, proto, MESH_KEY_ANY, s);
	return FOUND_NONE;
}

static __always_inline enum found service_of(const struct addr *to, __u8 proto, struct service *s)
{
	enum found f = service_at(to, proto, MESH_KEY_VIP, s);

	return f == FOUND_NONE ? (enum found)elsewhere(to, proto, s) : f;
}

#endif
