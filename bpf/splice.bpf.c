/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The splice tier: splice_ops puts both ends of a flow that the mesh placed between two sockets of this node into a
 * sockmap, splice_msg gives what one sends to the other while that is safe, splice_leave helps the agent to take a
 * flow out again. Whatever cannot be proven goes by TCP: each of them passes on failure, and counts why.
 */
#include "lib/sock.bpf.h"
#include "lib/splice.bpf.h"
#include "lib/tuple.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* ---- splice_ops: who is whose other end ---- */

static __always_inline int is_spliced(__u64 netns)
{
	struct mesh_pod *p = bpf_map_lookup_elem(&pods, &netns);

	return p && p->splice & MESH_POD_SPLICED;
}

static __always_inline int is_agents(const struct tcp_sock *tcp)
{
	__u32 zero = 0;
	struct mesh_node *n = bpf_map_lookup_elem(&node, &zero);

	__u64 cgroup = BPF_CORE_READ(tcp, inet_conn.icsk_inet.sk.sk_cgrp_data.cgroup, kn, id);

	return n && cgroup && (cgroup == n->agent_cgroup || cgroup == n->agent_before);
}

/* The namespace that the other end of a client's connection is in, if both ends want to be spliced; 0: they do not. */
static __always_inline __u64 server_netns(__u64 cookie, const struct tcp_sock *tcp, const struct mesh_tuple *t)
{
	struct mesh_sock *s = sock_find(cookie);
	struct mesh_node_ip ip;
	__u64 *netns;

	if (s && !is_spliced(t->netns))
		return 0;
	if (s && s->tier == MESH_TIER_L7)
		return t->netns; /* the agent's listener is in the pod's namespace */
	if (s ? s->tier != MESH_TIER_L4 : !is_agents(tcp))
		return 0;
	__builtin_memcpy(ip.ip, t->dst, sizeof(ip.ip));
	netns = bpf_map_lookup_elem(&splice_ip, &ip);
	return netns ? *netns : 0;
}

/* A client's end: into the map now, for later it could not, and where the server's will look for it. */
static __always_inline void offer(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct mesh_splice_wait w = {};
	struct mesh_tuple key = {};
	struct tcp_sock *tcp;

	if (!sk || splice_mode() == MESH_SPLICE_MODE_OFF)
		return;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return;
	tuple_of(ctx, &key);
	w.cookie = bpf_get_socket_cookie(ctx);
	key.netns = server_netns(w.cookie, tcp, &key);
	if (!key.netns)
		return;
	w.at = (__u64)tcp;
	w.since_ns = bpf_ktime_get_ns();
	if (bpf_sock_hash_update(ctx, &splice_socks, &w.cookie, BPF_NOEXIST))
		return;
	if (bpf_map_update_elem(&splice_wait, &key, &w, BPF_ANY)) {
		bpf_map_delete_elem(&splice_socks, &w.cookie);
		return;
	}
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/* Only the two ends of one connection agree in both sequence numbers; neither has sent a byte by now. */
static __always_inline int is_other_end(struct tcp_sock *me, const struct mesh_splice_wait *w)
{
	struct tcp_sock *it = (struct tcp_sock *)sock_at(w->at, w->cookie);

	return it && BPF_CORE_READ(it, inet_conn.icsk_inet.sk.__sk_common.skc_state) == BPF_TCP_ESTABLISHED &&
	       BPF_CORE_READ(it, snd_una) == me->rcv_nxt && BPF_CORE_READ(it, rcv_nxt) == me->snd_nxt &&
	       me->rcv_nxt == me->copied_seq && me->write_seq == me->snd_una;
}

static __always_inline int join_both(struct bpf_sock_ops *ctx, struct tcp_sock *me, __u64 cookie,
				     const struct mesh_splice_wait *w)
{
	struct tcp_sock *it = (struct tcp_sock *)w->at;
	struct mesh_splice_flow mine = {.peer = w->cookie,
					.self_at = (__u64)me,
					.peer_at = w->at,
					.tcp_seq = me->write_seq,
					.steady = steady_now()};
	struct mesh_splice_flow its = {.peer = cookie,
				       .self_at = w->at,
				       .peer_at = (__u64)me,
				       .tcp_seq = BPF_CORE_READ(it, snd_una),
				       .steady = mine.steady};

	if (bpf_map_update_elem(&splice_flow, &cookie, &mine, BPF_ANY))
		return 0;
	if (bpf_map_update_elem(&splice_flow, &w->cookie, &its, BPF_ANY))
		goto out;
	if (bpf_sock_hash_update(ctx, &splice_socks, &cookie, BPF_NOEXIST) == 0)
		return 1;
	bpf_map_delete_elem(&splice_flow, &w->cookie);
out:
	bpf_map_delete_elem(&splice_flow, &cookie);
	return 0;
}

/* A server's end: takes the client's that waits for it. */
static __always_inline void join(struct bpf_sock_ops *ctx)
{
	struct mesh_tuple mine = {}, key = {};
	struct bpf_sock *sk = ctx->sk;
	struct mesh_splice_wait *found, w;
	struct tcp_sock *tcp;
	__u64 cookie;

	if (!sk)
		return;
	tuple_of(ctx, &mine);
	key.netns = mine.netns;
	key.family = mine.family;
	__builtin_memcpy(key.src, mine.dst, sizeof(key.src));
	__builtin_memcpy(key.dst, mine.src, sizeof(key.dst));
	key.sport = mine.dport;
	key.dport = mine.sport;
	found = bpf_map_lookup_elem(&splice_wait, &key);
	if (!found)
		return;
	w = *found;
	bpf_map_delete_elem(&splice_wait, &key);
	tcp = bpf_skc_to_tcp_sock(sk);
	cookie = bpf_get_socket_cookie(ctx);
	if (tcp && is_other_end(tcp, &w) && join_both(ctx, tcp, cookie, &w)) {
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
		return;
	}
	bpf_map_delete_elem(&splice_socks, &w.cookie); /* both ends or neither */
}

static __always_inline void forget(struct bpf_sock_ops *ctx)
{
	__u64 cookie;

	if (ctx->args[1] != BPF_TCP_CLOSE)
		return;
	cookie = bpf_get_socket_cookie(ctx);
	bpf_map_delete_elem(&splice_flow, &cookie);
}

SEC("sockops")
int splice_ops(struct bpf_sock_ops *ctx)
{
	switch (ctx->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		offer(ctx);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		join(ctx);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		forget(ctx);
		break;
	}
	return GO_ON;
}

/* ---- splice_msg: each message that a spliced socket sends ---- */

SEC("sk_msg")
int splice_msg(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	struct mesh_splice_flow *f;
	enum mesh_splice_way way;
	struct tcp_sock *tcp;
	__u32 size = msg->size;
	__u64 cookie;

	if (!sk)
		return SK_PASS;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return SK_PASS;
	cookie = (__u64)tcp->inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter;
	f = bpf_map_lookup_elem(&splice_flow, &cookie);
	if (!f)
		return SK_PASS;
	if (!f->self_at)
		f->self_at = (__u64)tcp;
	way = way_of(tcp, f, size);
	/* A redirect that fails here leaves nothing behind: the message is TCP's. */
	if (way == MESH_SPLICE_WAY_REDIRECTED &&
	    bpf_msg_redirect_hash(msg, &splice_socks, &f->peer, BPF_F_INGRESS) != SK_PASS)
		way = MESH_SPLICE_WAY_FAILED;
	count_way(way, size);
	if (way == MESH_SPLICE_WAY_REDIRECTED) {
		f->redirects++;
		f->passed = 0;
		f->tcp_seq = tcp->write_seq;
		if (!f->steady)
			f->steady = steady_now();
	} else {
		note_passed(tcp, f, cookie, way, size);
	}
	return SK_PASS;
}

/* ---- splice_leave: run by the agent ---- */

/* No redirect of this end is under way: it never had one, or nobody used its socket at one moment since. */
static __always_inline int is_clean(struct mesh_splice_flow *f, struct sock *sk)
{
	struct sk_psock *psock = sk ? psock_of(sk) : NULL;

	if (!f->clean && (!f->redirects || !psock || refs_of(psock) == 1))
		f->clean = 1;
	return f->clean;
}

static __always_inline int has_nothing_unread(struct sock *sk)
{
	struct sk_psock *psock = sk ? psock_of(sk) : NULL;

	return !psock || queue_is_empty(psock);
}

static __always_inline int may_leave(struct mesh_splice_ask *ask, struct mesh_splice_flow *a,
				     struct mesh_splice_flow *b)
{
	__u64 a_cookie = ask->cookie, b_cookie = a->peer;
	struct sock *sa = sock_at(a->self_at ? a->self_at : b ? b->peer_at : 0, a_cookie);
	struct sock *sb = sock_at(a->peer_at ? a->peer_at : b ? b->self_at : 0, b_cookie);
	int clean = is_clean(a, sa);

	/* In this order: what is clean gives the other nothing more. */
	if (b)
		clean &= is_clean(b, sb);
	return clean && has_nothing_unread(sa) && has_nothing_unread(sb);
}

static __always_inline __u64 first_waiter(struct sock *sk)
{
	struct socket_wq *wq = sk ? BPF_CORE_READ(sk, sk_wq) : NULL;
	struct list_head *head, *at;
	struct wait_queue_entry *e;

	if (!wq)
		return 0;
	head = (struct list_head *)((char *)wq + bpf_core_field_offset(struct socket_wq, wait.head));
	at = BPF_CORE_READ(head, next);
	if (!at || at == head)
		return 0;
	e = (struct wait_queue_entry *)((char *)at - bpf_core_field_offset(struct wait_queue_entry, entry));
	return (__u64)BPF_CORE_READ(e, func);
}

SEC("syscall")
int splice_leave(struct mesh_splice_ask *ask)
{
	__u64 cookie = ask->cookie, peer;
	struct mesh_splice_flow *a = bpf_map_lookup_elem(&splice_flow, &cookie), *b;

	ask->answer = 2;
	if (!a)
		return 0;
	if (ask->step == MESH_SPLICE_STEP_READER) {
		ask->peer = first_waiter(sock_at(a->self_at, cookie));
		return 0;
	}
	peer = a->peer;
	ask->peer = peer;
	ask->answer = 0;
	b = bpf_map_lookup_elem(&splice_flow, &peer);
	if (ask->step == MESH_SPLICE_STEP_CHECK) {
		ask->answer = may_leave(ask, a, b) ? 1 : 0;
		return 0;
	}
	a->leave = ask->step == MESH_SPLICE_STEP_QUIET ? MESH_SPLICE_QUIET : MESH_SPLICE_PASSES;
	if (b)
		b->leave = a->leave;
	return 0;
}
