/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The splice tier's maps, and when a message may be given to its receiver past TCP. All maps but splice_conf are of
 * one generation: a socket keeps the program that it was added with, and a SOCKHASH cannot be read back.
 *
 * Bytes stay in order because a message is redirected only when all that went by TCP before it was read, and because
 * a reader takes what was redirected before what is in TCP's queue. That last is not so for one that waits inside of
 * TCP's own receive (MSG_WAITALL, SO_RCVLOWAT, splice): it can only have got there by bytes that came by TCP, so it
 * is looked for when a flow comes back from TCP, and while it may be there nothing is redirected.
 */
#ifndef MESH_SPLICE_BPF_H
#define MESH_SPLICE_BPF_H

#include "lib/maps.bpf.h"

#include <bpf/bpf_core_read.h>

/* One entry. Written by the agent: the switch, and what its probes found; read by every program, every time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mesh_splice_conf);
} splice_conf SEC(".maps");

/* Socket cookie -> socket. Written by splice_ops, both ends or neither; read by splice_msg; taken out by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, MESH_SPLICE_ENDS);
	__type(key, __u64);
	__type(value, __u64);
} splice_socks SEC(".maps");

/* Socket cookie -> what is known of that end and its other. Written by splice_ops, splice_msg, splice_leave; goes when
 * the socket closes or leaves. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MESH_SPLICE_ENDS);
	__type(key, __u64);
	__type(value, struct mesh_splice_flow);
} splice_flow SEC(".maps");

/* Tuple as the client sees it, in the server's namespace -> the client's end. Written and taken by splice_ops within a
 * handshake; oldest go first. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct mesh_tuple);
	__type(value, struct mesh_splice_wait);
} splice_wait SEC(".maps");

/* Address of a pod whose new flows may be spliced -> cookie of its namespace. Written by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct mesh_node_ip);
	__type(value, __u64);
} splice_ip SEC(".maps");

/* enum mesh_splice_way -> messages, and behind all of them bytes. Written by splice_msg; read by status. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * MESH_SPLICE_WAY_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} splice_count SEC(".maps");

/* Flows that are to leave: struct mesh_splice_event. Read by the agent; one that is lost is found by its leave word. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} splice_events SEC(".maps");

/* Set before loading: the kernel's woken_wake_function(), by which a reader in a blocking call is known on a socket's
 * wait queue; 0: not known, and whoever waits there counts as one. */
const volatile __u64 reader_fn = 0;

/* Set before loading: sockets are charged to a memory cgroup's counter for TCP alone (cgroup v1), not to its memory. */
const volatile __u32 memory_v1 = 0;

static __always_inline __u32 splice_mode(void)
{
	__u32 zero = 0;
	struct mesh_splice_conf *c = bpf_map_lookup_elem(&splice_conf, &zero);

	return c ? c->mode : MESH_SPLICE_MODE_OFF;
}

/* A socket in the kernel's memory, by an address that may be stale: its cookie says whether it is still that one. */
static __always_inline struct sock *sock_at(__u64 at, __u64 cookie)
{
	struct sock *sk = (struct sock *)at;

	if (!sk || (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) != cookie)
		return NULL;
	return sk;
}

/* What makes it a socket of a sockmap; NULL if it is none. The lowest bits of the pointer are flags. */
static __always_inline struct sk_psock *psock_of(struct sock *sk)
{
	struct sk_psock *psock = (struct sk_psock *)((__u64)BPF_CORE_READ(sk, sk_user_data) & ~7ULL);

	return psock && BPF_CORE_READ(psock, sk) == sk ? psock : NULL;
}

static __always_inline struct list_head *queue_of(struct sk_psock *psock)
{
	return (struct list_head *)((char *)psock + bpf_core_field_offset(struct sk_psock, ingress_msg));
}

static __always_inline int queue_is_empty(struct sk_psock *psock)
{
	struct list_head *head = queue_of(psock);

	return BPF_CORE_READ(head, next) == head;
}

/* Whether what is unread in the queue, with size more, is within the credit. The list may change meanwhile: then the
 * answer is that of no moment, but the walk ends. */
static __always_inline int queue_takes(struct sk_psock *psock, __u32 size)
{
	struct list_head *head = queue_of(psock), *at = BPF_CORE_READ(head, next);

	for (int i = 0; i < MESH_SPLICE_QUEUE; i++) {
		struct sk_msg *m;

		if (at == head)
			return 1;
		if (!at)
			return 0;
		m = (struct sk_msg *)((char *)at - bpf_core_field_offset(struct sk_msg, list));
		size += BPF_CORE_READ(m, sg.size);
		if (size > MESH_SPLICE_CREDIT)
			return 0;
		at = BPF_CORE_READ(at, next);
	}
	return at == head;
}

enum { WAITERS_MAX = 8 };

/* Whether somebody waits in a blocking call on the socket; too many to be looked at count as that. */
static __always_inline int has_waiter(struct sock *sk)
{
	struct socket_wq *wq = BPF_CORE_READ(sk, sk_wq);
	struct list_head *head, *at;

	if (!wq)
		return 0; /* not accepted yet */
	head = (struct list_head *)((char *)wq + bpf_core_field_offset(struct socket_wq, wait.head));
	at = BPF_CORE_READ(head, next);
	for (int i = 0; i < WAITERS_MAX; i++) {
		struct wait_queue_entry *e;

		if (at == head)
			return 0;
		if (!at)
			return 1;
		e = (struct wait_queue_entry *)((char *)at - bpf_core_field_offset(struct wait_queue_entry, entry));
		if (!reader_fn || (__u64)BPF_CORE_READ(e, func) == reader_fn)
			return 1;
		at = BPF_CORE_READ(at, next);
	}
	return 1;
}

/* Whether somebody may be in a receive call of TCP's own: inside it now, or waiting in it. */
static __always_inline int may_have_reader(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_lock.owned) || has_waiter(sk);
}

static __always_inline int refs_of(struct sk_psock *psock)
{
	return BPF_CORE_READ(psock, refcnt.refs.counter);
}

/* The other end, once both have sent something: each leaves its own address in its entry. */
static __always_inline struct sock *other_end(struct mesh_splice_flow *f)
{
	if (!f->peer_at) {
		struct mesh_splice_flow *o = bpf_map_lookup_elem(&splice_flow, &f->peer);

		if (!o || !o->self_at)
			return NULL;
		f->peer_at = o->self_at;
	}
	return sock_at(f->peer_at, f->peer);
}

static __always_inline int is_short_of_memory(struct sock *sk)
{
	unsigned long *word = sk->__sk_common.skc_prot->memory_pressure, pressure = 0;

	return word && (bpf_probe_read_kernel(&pressure, sizeof(pressure), word) || pressure);
}

enum {
	MEMORY_LEVELS = 12, /* of cgroups, one in the other */
	MEMORY_SPARE = 256, /* pages that must be free: what senders on other CPUs may take at this moment, too */
};

static __always_inline int is_almost_full(struct page_counter *c)
{
	for (int i = 0; i < MEMORY_LEVELS; i++) {
		if (!c)
			return 0;
		if ((__u64)BPF_CORE_READ(c, usage.counter) + MEMORY_SPARE > BPF_CORE_READ(c, max))
			return 1;
		c = BPF_CORE_READ(c, parent);
	}
	return c != NULL;
}

/*
 * Whether the cgroup that pays for a socket's memory may not have what a message takes. The kernel charges a receiver
 * for what it is given past TCP, and has the sender's call fail if it cannot pay; by TCP such a receiver only is slow.
 */
static __always_inline int is_pod_short(struct sock *sk)
{
	char *m;

	if (!bpf_core_field_exists(sk->sk_memcg))
		return 0;
	m = (char *)((__u64)BPF_CORE_READ(sk, sk_memcg) & ~7ULL);
	if (!m)
		return 0;
	if (!memory_v1)
		return is_almost_full((struct page_counter *)(m + bpf_core_field_offset(struct mem_cgroup, memory)));
	if (!bpf_core_field_exists(struct mem_cgroup, tcpmem))
		return 1;
	return is_almost_full((struct page_counter *)(m + bpf_core_field_offset(struct mem_cgroup, tcpmem)));
}

/* Of the two ends, what only the receiver's side says. back: the flow comes back from TCP. */
static __always_inline enum mesh_splice_way receiver_takes(struct sock *peer, __u32 size, int back)
{
	struct tcp_sock *tcp = (struct tcp_sock *)peer;
	struct sk_psock *psock;

	if (BPF_CORE_READ(peer, __sk_common.skc_state) != BPF_TCP_ESTABLISHED)
		return MESH_SPLICE_WAY_STATE;
	if (BPF_CORE_READ(peer, sk_rcvlowat) > 1)
		return MESH_SPLICE_WAY_LOWAT;
	/* What it would make of bytes that did not come by TCP is not what its program expects. */
	if (BPF_CORE_READ(tcp, inet_conn.icsk_ulp_ops))
		return MESH_SPLICE_WAY_ULP;
	psock = psock_of(peer);
	if (!psock)
		return MESH_SPLICE_WAY_UNKNOWN;
	if (back) {
		if (BPF_CORE_READ(tcp, rcv_nxt) != BPF_CORE_READ(tcp, copied_seq))
			return MESH_SPLICE_WAY_UNREAD;
		if (may_have_reader(peer))
			return MESH_SPLICE_WAY_READER;
	}
	return queue_takes(psock, size) ? MESH_SPLICE_WAY_REDIRECTED : MESH_SPLICE_WAY_QUEUE;
}

/* Of mesh_splice_flow's steady: the rest is when the flow last took the node's path, in units of 2^20 ns. */
enum {
	STEADY_SET = 1,
	STEADY_ALONE = 2, /* it is never asked: the receiver blocks in its calls, or no node is between the two */
	STEADY_BITS = 3,
	STEADY_LOOK = 15, /* of so many messages (and 1) one is looked at for a receiver that blocks */
};

static __always_inline __u32 steady_now(void)
{
	return ((__u32)(bpf_ktime_get_coarse_ns() >> 20) & ~STEADY_BITS) | STEADY_SET;
}

/*
 * Packets that are not sent cannot be stopped, so about once a second a message of a flow between two pods goes by TCP:
 * if the node lets it pass no more, it waits there with all that follow, as over TCP. A flow does not come back from
 * TCP to a receiver that blocks in its calls, so one with such a receiver is not asked.
 */
static __always_inline int is_to_ask(struct mesh_splice_flow *f, struct sock *sk, struct sock *peer)
{
	__u32 now;

	if (!f->steady || f->steady & STEADY_ALONE)
		return 0;
	now = steady_now();
	if (now - f->steady < MESH_SPLICE_ASK) {
		if (!(f->redirects & STEADY_LOOK) && has_waiter(peer))
			f->steady |= STEADY_ALONE;
		return 0;
	}
	if (BPF_CORE_READ(peer, __sk_common.skc_net.net) == sk->__sk_common.skc_net.net || has_waiter(peer)) {
		f->steady |= STEADY_ALONE;
		return 0;
	}
	f->steady = now;
	return 1;
}

/* A sender that alone uses its socket has no other redirect of this end beside it. */
static __always_inline void note_clean(struct sock *sk, struct mesh_splice_flow *f)
{
	struct sk_psock *psock;

	if (f->leave != MESH_SPLICE_QUIET || f->clean)
		return;
	psock = psock_of(sk);
	if (psock && refs_of(psock) == 2) /* the map's, and this call's */
		f->clean = 1;
}

/* Which way a message goes that tcp is about to send. */
static __always_inline enum mesh_splice_way way_of(struct tcp_sock *tcp, struct mesh_splice_flow *f, __u32 size)
{
	struct sock *sk = &tcp->inet_conn.icsk_inet.sk, *peer;
	int back = !f->steady || f->tcp_seq != tcp->write_seq;
	enum mesh_splice_way way;

	if (f->leave) {
		note_clean(sk, f);
		return MESH_SPLICE_WAY_LEAVING;
	}
	if (splice_mode() == MESH_SPLICE_MODE_OFF)
		return MESH_SPLICE_WAY_OFF;
	if (sk->__sk_common.skc_flags >> bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY) & 1)
		return MESH_SPLICE_WAY_ZEROCOPY;
	if (tcp->inet_conn.icsk_ulp_ops)
		return MESH_SPLICE_WAY_ULP;
	if (size > MESH_SPLICE_MESSAGE)
		return MESH_SPLICE_WAY_LARGE;
	if (sk->__sk_common.skc_state != BPF_TCP_ESTABLISHED)
		return MESH_SPLICE_WAY_STATE;
	if (back && tcp->write_seq != tcp->snd_una)
		return MESH_SPLICE_WAY_UNACKED;
	peer = other_end(f);
	if (!peer)
		return MESH_SPLICE_WAY_UNKNOWN;
	way = receiver_takes(peer, size, back);
	if (way != MESH_SPLICE_WAY_REDIRECTED)
		return way;
	if (is_short_of_memory(sk) || is_pod_short(peer))
		return MESH_SPLICE_WAY_PRESSURE;
	return is_to_ask(f, sk, peer) ? MESH_SPLICE_WAY_ASKED : way;
}

static __always_inline void count_way(enum mesh_splice_way way, __u32 size)
{
	__u32 messages = way, bytes = MESH_SPLICE_WAY_COUNT + way;
	__u64 *n = bpf_map_lookup_elem(&splice_count, &messages);

	if (n)
		(*n)++;
	n = bpf_map_lookup_elem(&splice_count, &bytes);
	if (n)
		*n += size;
}

/* From now on nothing is redirected, either way; the agent does the rest. */
static __always_inline void begin_to_leave(struct mesh_splice_flow *f, __u64 cookie, enum mesh_splice_way way)
{
	struct mesh_splice_event e = {.cookie = cookie, .way = way};
	struct mesh_splice_flow *o = bpf_map_lookup_elem(&splice_flow, &f->peer);

	f->leave = MESH_SPLICE_PASSES;
	if (o && !o->leave)
		o->leave = MESH_SPLICE_PASSES;
	bpf_ringbuf_output(&splice_events, &e, sizeof(e), 0);
}

/*
 * A message goes by TCP. One thread that blocks in a receive while another sends is not for this tier: its call may be
 * woken by what only the other waited for, and then fails with EAGAIN.
 */
static __always_inline void note_passed(struct tcp_sock *tcp, struct mesh_splice_flow *f, __u64 cookie,
					enum mesh_splice_way way, __u32 size)
{
	if (way == MESH_SPLICE_WAY_LEAVING || way == MESH_SPLICE_WAY_OFF)
		return;
	f->passed += size;
	if (f->passed >= MESH_SPLICE_BULK || way == MESH_SPLICE_WAY_ZEROCOPY || way == MESH_SPLICE_WAY_ULP ||
	    (reader_fn && has_waiter(&tcp->inet_conn.icsk_inet.sk)))
		begin_to_leave(f, cookie, way);
}

#endif
