/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A socket of MPTCP connects by one of TCP within it: that is what connect() sees and what is remembered. Names are
 * asked of, and the end comes to, the outer one.
 */
#ifndef MESH_MPTCP_BPF_H
#define MESH_MPTCP_BPF_H

#include "lib/maps.bpf.h"

#include <bpf/bpf_core_read.h>

/* Set before loading: whether the kernel has bpf_rdonly_cast (6.2). Without it MPTCP's peers have endpoints' names. */
const volatile __u32 can_cast = 0;

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

enum { PROTO_MPTCP = 262 };

/* Of the kernel's own types only what is read here; found by name when it is loaded. */
struct mesh_counter {
	__s64 counter;
} __attribute__((preserve_access_index));

struct mesh_common {
	struct mesh_counter skc_cookie;
} __attribute__((preserve_access_index));

struct sock___inner {
	struct mesh_common __sk_common;
} __attribute__((preserve_access_index));

struct mptcp_sock___outer {
	struct sock___inner *first;
} __attribute__((preserve_access_index));

/* Cookie of the socket that sk connected by, if sk is one of MPTCP; else 0. */
static __always_inline __u64 inner_cookie(const void *sk, __u32 protocol)
{
	struct mptcp_sock___outer *outer;
	struct sock___inner *inner;

	if (!can_cast || protocol != PROTO_MPTCP || !bpf_core_type_exists(struct mptcp_sock___outer))
		return 0;
	outer = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct mptcp_sock___outer));
	inner = outer->first;
	return inner ? (__u64)inner->__sk_common.skc_cookie.counter : 0;
}

#endif
