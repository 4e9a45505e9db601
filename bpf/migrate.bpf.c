/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What sockets asked for, from layout 2, which had it in their local storage, into the table. An iterator over the
 * older map, not attached to anything: user space opens it and reads it to its end, once before the programs that read
 * the table are attached and once after. What the table knows already stays.
 */
#include "lib/sock.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct sock_2 {
	__u8 from[16];
	__u8 to[16];
	__u16 from_port;
	__u16 to_port;
	__u8 tier;
	__u8 zero[3];
} __attribute__((aligned(8)));

_Static_assert(sizeof(struct sock_2) == 40, "map value of layout 2");

/* Not in vmlinux.h: the context of an iterator over a map of local storage. */
struct bpf_iter__bpf_sk_storage_map {
	union {
		struct bpf_iter_meta *meta;
	};
	union {
		struct bpf_map *map;
	};
	union {
		struct sock *sk;
	};
	union {
		void *value;
	};
};

__u32 carried;

SEC("iter/bpf_sk_storage_map")
int carry_sock(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock_2 *was = ctx->value;
	struct sock *sk = ctx->sk;
	struct addr from, to;
	__u64 cookie;

	if (!sk || !was)
		return 0;
	cookie = bpf_get_socket_cookie(sk);
	if (sock_find(cookie))
		return 0;
	__builtin_memcpy(from.ip, was->from, sizeof(from.ip));
	__builtin_memcpy(to.ip, was->to, sizeof(to.ip));
	from.port = was->from_port;
	to.port = was->to_port;
	if (sock_keep(cookie, &from, &to, was->tier) == 0)
		carried++;
	return 0;
}
