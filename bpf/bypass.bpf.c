/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * On the node's end of each captured pod's veth pair. pod_out (ingress: what the pod sends) drops what is not from the
 * pod, and gives the segments of established flows between two such pods, placed by our connect program, to the other
 * pod's device. Which device that is, and that the node lets the flow pass, it never assumes: it asks the node's own
 * path, at first by packets of the flow, then five times a second by a clone of one, and pod_in (egress: what the
 * node sends to the pod) sees them come out. A flow that no longer comes out takes the node's path again. Handshakes,
 * ends and whatever is odd always do. On any failure a packet is passed.
 */
#include "lib/reason.bpf.h"
#include "lib/sock.bpf.h"
#include "lib/spoof.bpf.h"
#include "lib/switch.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { PACKET_HOST = 0 };

static __always_inline struct mesh_bypassed *counts(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&bypassed, &zero);
}

#define COUNT(member, n)                                                                                               \
	do {                                                                                                           \
		struct mesh_bypassed *_c = counts();                                                                   \
		if (_c)                                                                                                \
			_c->member += (n);                                                                             \
	} while (0)

static __always_inline int is_same_ip(const __u8 *a, const __u8 *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1];
}

static __always_inline void forget(const struct mesh_flow_key *key)
{
	struct mesh_flow_key back;

	reverse(key, &back);
	bpf_map_delete_elem(&flows, key);
	bpf_map_delete_elem(&flows, &back);
}

static __always_inline void enter(const struct mesh_flow_key *key)
{
	struct mesh_flow fresh = {};
	struct mesh_flow_key back, *event;

	event = bpf_ringbuf_reserve(&flowev, sizeof(*event), 0);
	if (!event) {
		COUNT(untold, 1);
		return;
	}
	reverse(key, &back);
	if (bpf_map_update_elem(&flows, key, &fresh, BPF_ANY) || bpf_map_update_elem(&flows, &back, &fresh, BPF_ANY)) {
		bpf_ringbuf_discard(event, 0);
		return;
	}
	*event = *key;
	bpf_ringbuf_submit(event, 0);
	COUNT(flows, 1);
}

/* What our connect program placed, and leads where it was placed. */
static __always_inline int is_placed(struct mesh_sock *s, const struct mesh_flow_key *key)
{
	/* One that could not be entered is thought of again. */
	return s->tier == MESH_TIER_L4 && (++s->packets & 0xff) == MESH_FLOW_RIPE && s->to_port == key->dport &&
	       is_same_ip(s->to, key->dst);
}

/* The agent in a pod's place, or a gateway: it drew the endpoint itself. */
static __always_inline int is_drawn(struct __sk_buff *ctx, struct bpf_sock *sk, __u32 edge)
{
	struct bpf_tcp_sock *tp;
	__u32 zero = 0;
	struct mesh_node *n = bpf_map_lookup_elem(&node, &zero);

	if (!edge && (!n || bpf_skb_cgroup_id(ctx) != n->agent_cgroup))
		return 0;
	tp = bpf_tcp_sock(sk);
	return tp && tp->data_segs_out >= MESH_FLOW_RIPE;
}

/* A packet of no flow that is known: one of our clients' whose connection has come of age is entered. */
static __always_inline void consider(struct __sk_buff *ctx, const struct mesh_flow_key *key, __u32 edge)
{
	struct bpf_sock *sk = ctx->sk;
	struct mesh_sock *s;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || sk->state != BPF_TCP_ESTABLISHED)
		return;
	s = sock_find(bpf_get_socket_cookie(ctx));
	if ((s ? is_placed(s, key) : is_drawn(ctx, sk, edge)) &&
	    (bpf_map_lookup_elem(&podip, key->dst) || switch_value(MESH_SWITCH_UPLINK)))
		enter(key);
}

/* A clone goes the node's own way in the packet's stead; pod_in ends it. */
static __always_inline void ask(struct __sk_buff *ctx)
{
	ctx->tc_index = MESH_MARK_CLONE;
	bpf_clone_redirect(ctx, ctx->ifindex, BPF_F_INGRESS);
	ctx->tc_index = 0;
	COUNT(clones, 1);
}

static __always_inline int hand_over(struct __sk_buff *ctx, struct mesh_flow *f)
{
	__u64 now = bpf_ktime_get_coarse_ns(), age = now - f->seen_ns;
	__u32 ifindex = f->ifindex, wire = f->wire;
	struct mesh_bypassed *c;
	__u8 macs[12];

	if ((__s64)age < 0) /* seen on another CPU since */
		age = 0;
	if (f->epoch != switch_value(MESH_SWITCH_EPOCH) || age > MESH_FLOW_LEASH_NS) {
		ctx->tc_index = MESH_MARK_ASK;
		COUNT(leashed, 1);
		return TC_ACT_UNSPEC;
	}
	__builtin_memcpy(macs, f->dst_mac, sizeof(f->dst_mac));
	__builtin_memcpy(macs + sizeof(f->dst_mac), f->src_mac, sizeof(f->src_mac));
	if (age > MESH_FLOW_ASK_NS && now - f->asked_ns > MESH_FLOW_ASK_NS) {
		f->asked_ns = now;
		ask(ctx);
	}
	c = counts();
	if (bpf_skb_store_bytes(ctx, 0, macs, sizeof(macs), 0) || bpf_skb_change_type(ctx, PACKET_HOST) || !c)
		return TC_ACT_UNSPEC;
	c->packets++;
	c->bytes += ctx->len;
	return wire ? bpf_redirect(ifindex, 0) : bpf_redirect_peer(ifindex, 0);
}

/* from: flags of map veth, of the device that the packet came from. */
static __always_inline int bypass(struct __sk_buff *ctx, __u32 from)
{
	__u32 from_wire = from & MESH_VETH_UPLINK;
	struct mesh_flow_key key;
	struct mesh_flow *f;
	__u8 flags;

	if (ctx->tc_index == MESH_MARK_CLONE || ctx->vlan_present || !read_tcp(ctx, &key, &flags))
		return TC_ACT_UNSPEC;
	if (flags & (TCP_FIN | TCP_SYN | TCP_RST)) {
		if (bpf_map_lookup_elem(&flows, &key))
			forget(&key);
		return TC_ACT_UNSPEC;
	}
	if (!SWITCHED(BYPASS, ON))
		return TC_ACT_UNSPEC;
	f = bpf_map_lookup_elem(&flows, &key);
	if (!f && !from_wire)
		consider(ctx, &key, from & MESH_VETH_EDGE);
	if (!f || !f->ready)
		return TC_ACT_UNSPEC;
	/* Nothing of the node's own pods comes by wire, whoever says so. */
	if (from_wire && (f->wire || bpf_map_lookup_elem(&podip, key.src)))
		return TC_ACT_UNSPEC;
	return hand_over(ctx, f);
}

/* The usual case alone, with no look-up in a hash: IPv4 from the pod's address. *flags are the device's. */
static __always_inline int is_plainly_own(struct __sk_buff *ctx, __u32 *flags)
{
	__u32 ifindex = ctx->ifindex, i = ifindex & (MESH_VETH_PLACES - 1);
	struct mesh_veth_place *at = bpf_map_lookup_elem(&vethplaces, &i);
	struct ip4 *ip = piece(ctx, sizeof(struct eth), sizeof(*ip));

	if (!at || at->ifindex != ifindex || !ip || !is_proto(ctx, PROTO_IP4) || ip->src != *(const __u32 *)at->ip4)
		return 0;
	*flags = at->flags;
	return 1;
}

SEC("tc")
int pod_out(struct __sk_buff *ctx)
{
	struct addr nowhere = {};
	__u32 ifindex, flags;
	struct mesh_veth *v;

	if (all_off() || !SWITCHED(ANTISPOOF, ON))
		return TC_ACT_UNSPEC;
	if (!is_plainly_own(ctx, &flags)) {
		ifindex = ctx->ifindex;
		v = bpf_map_lookup_elem(&veth, &ifindex);
		if (!v)
			return TC_ACT_UNSPEC;
		if (!is_own(ctx, v)) {
			count_reason(v->netns, &nowhere, 0, MESH_REASON_SPOOFED);
			return TC_ACT_SHOT;
		}
		flags = v->flags;
	}
	return flags & MESH_VETH_BYPASS ? bypass(ctx, flags) : TC_ACT_UNSPEC;
}

/* A packet came out of the node's own path: here is where its flow leads. A clone has done its work, and is dropped:
 * tcx takes TC_ACT_STOLEN for "go on". */
static __always_inline int came_out(struct __sk_buff *ctx, __u32 wire)
{
	struct eth *eth = piece(ctx, 0, sizeof(*eth));
	__u32 mark = ctx->tc_index;
	struct mesh_flow_key key;
	struct mesh_flow *f;
	__u8 flags;

	ctx->tc_index = 0;
	if (eth && read_tcp(ctx, &key, &flags) && (f = bpf_map_lookup_elem(&flows, &key))) {
		__builtin_memcpy(f->dst_mac, eth->dst, sizeof(f->dst_mac));
		__builtin_memcpy(f->src_mac, eth->src, sizeof(f->src_mac));
		f->ifindex = ctx->ifindex;
		f->wire = (__u16)wire;
		f->epoch = switch_value(MESH_SWITCH_EPOCH);
		f->seen_ns = bpf_ktime_get_coarse_ns();
		COUNT(seen, 1);
	}
	return mark == MESH_MARK_CLONE ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

static __always_inline int is_marked(const struct __sk_buff *ctx)
{
	return ctx->tc_index == MESH_MARK_ASK || ctx->tc_index == MESH_MARK_CLONE;
}

SEC("tc")
int pod_in(struct __sk_buff *ctx)
{
	__u32 ifindex = ctx->ifindex;
	struct mesh_veth *v;

	if (!is_marked(ctx))
		return TC_ACT_UNSPEC;
	v = bpf_map_lookup_elem(&veth, &ifindex);
	if (v && v->flags & MESH_VETH_BYPASS)
		return came_out(ctx, 0);
	return ctx->tc_index == MESH_MARK_CLONE ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/* The same on the uplink, where packets to other nodes leave ... */
SEC("tc")
int wire_out(struct __sk_buff *ctx)
{
	return is_marked(ctx) ? came_out(ctx, 1) : TC_ACT_UNSPEC;
}

/* ... and theirs come in: those of known flows go to their pod. What comes by wire never leaves by it. */
SEC("tc")
int wire_in(struct __sk_buff *ctx)
{
	if (all_off() || !SWITCHED(ANTISPOOF, ON))
		return TC_ACT_UNSPEC;
	return bypass(ctx, MESH_VETH_UPLINK);
}

/* Where probe_peer gives every packet; set by the probe, in namespaces of its own. */
__u32 probe_to;

SEC("tc")
int probe_peer(struct __sk_buff *ctx)
{
	bpf_skb_change_type(ctx, PACKET_HOST);
	return bpf_redirect_peer(probe_to, 0);
}
