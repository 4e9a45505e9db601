/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) OR Apache-2.0 */
/* Which way a flow takes: one list for the model, the maps and the programs. Values are in maps: stable. */
#ifndef MESH_TIER_H
#define MESH_TIER_H

enum mesh_tier {
	MESH_TIER_OFF,    /* untouched */
	MESH_TIER_L4,     /* one weighted draw per connection in the kernel */
	MESH_TIER_L7,     /* to the agent's listener in the pod's namespace */
	MESH_TIER_REFUSE, /* ECONNREFUSED with a reason of include/mesh/reasons.h */
	MESH_TIER_COUNT
};

/* What a workload asks of the splice tier. */
enum mesh_splice_wish { MESH_SPLICE_AUTO, MESH_SPLICE_ENABLED, MESH_SPLICE_DISABLED };

/* What the address of a service is. */
enum mesh_key_kind {
	MESH_KEY_VIP,  /* the one in the key */
	MESH_KEY_NODE, /* every one in map nodeip; ip is 0 */
	MESH_KEY_ANY, /* every one but near ones (loopback, link-local, multicast) that is none of the above; ip is 0 */
};

#endif
