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

	return n && n->agent_cgroup == bpf_get_current_cgroup_id();
}

/* A service entry as it was at one moment. */
struct service {
	__u64 set;
	__u32 total;
	__u32 dests;
	__u32 tier;
	__u32 reason;
};

enum found { FOUND_NONE, FOUND_SERVICE, FOUND_TORN };

static __always_inline int copy_sealed(struct mesh_svc *v, const __u32 *key, int words, struct service *s)
{
	s->set = *(volatile __u64 *)&v->set;
	s->total = *(volatile __u32 *)&v->total;
	s->dests = *(volatile __u32 *)&v->dests;
	s->tier = *(volatile __u32 *)&v->tier;
	s->reason = *(volatile __u32 *)&v->reason;
	return v->seal == mesh_seal(key, words, s->set, s->total, s->dests, s->tier, s->reason);
}

static __always_inline enum found service4(const struct addr *to, __u8 proto, struct service *s)
{
	struct mesh_key4 key = {.port = to->port, .proto = proto};

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

static __always_inline enum found service6(const struct addr *to, __u8 proto, struct service *s)
{
	struct mesh_key6 key = {.port = to->port, .proto = proto};

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

static __always_inline enum found service_of(const struct addr *to, __u8 proto, struct service *s)
{
	return is_v4(to->ip) ? service4(to, proto, s) : service6(to, proto, s);
}

#endif
