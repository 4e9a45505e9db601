/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) OR Apache-2.0 */
/*
 * What the BPF programs and user space share: keys, values and limits of every map, and nothing
 * else does. Fixed-width types (and enums of 32 bits, which a dump shows by name), no hidden padding (members named
 * zero are 0), addresses in network byte order as bytes, ports in host byte order, so that a dump of a map can be read
 * as it is. A change of any layout raises MESH_ABI_VERSION, which is pinned with the maps, and adds a row to the table
 * in user/dataplane/migrate.c; a new map does not.
 */
#ifndef MESH_ABI_H
#define MESH_ABI_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include "mesh/reasons.h"
#include "mesh/switches.h"
#include "mesh/tier.h"

enum {
	MESH_ABI_VERSION = 4,
	MESH_LISTEN_PORT = 15001, /* the agent's listeners in a pod; the next free one if it is taken there */
	MESH_NAME_LEN = 48,       /* names for people, with the NUL; cut if longer */
	MESH_DEST_MAX = 256,      /* weighted groups of a service: what the draw can search in */
	MESH_DRAW_STEPS = 9,      /* halvings that reach one of MESH_DEST_MAX */
	MESH_READ_TRIES = 3,      /* reads of a service entry that is being replaced */
	MESH_NEAR = 4,            /* endpoints beside what of a service's entry is read anyway, ... */
	MESH_NEAR_MORE = 7,       /* ... and in the cache line after that */
	MESH_SOCK_PLACES = 32768, /* sockets that map sock has room for: a power of 2 */
	MESH_UDP_IDLE_S = 120,    /* datagrams further apart are of two flows; as connection tracking has it */

	/* Of a spliced flow, each direction. What a receiver holds unread beyond TCP's own buffers is at most CREDIT
	 * and one MESSAGE for each thread that sends at that moment. */
	MESH_SPLICE_MESSAGE = 32768, /* bytes; what one send has more of goes by TCP */
	MESH_SPLICE_CREDIT = 65536,  /* bytes unread, with the one that is to be given */
	MESH_SPLICE_QUEUE = 8,       /* messages unread, before it */
	MESH_SPLICE_BULK = 262144,   /* bytes in a row by TCP: it is no exchange of messages, the flow leaves */
	MESH_SPLICE_ENDS = 65536,    /* sockets of a generation */
	MESH_SPLICE_ASK = 1000,      /* in 2^20 ns: so often a message goes by TCP, to see that the node lets it pass */
};

/* Map node: one entry; what holds for all pods. */
struct mesh_node {
	__u32 abi;          /* MESH_ABI_VERSION of what is pinned */
	__u32 off;          /* not 0: every program lets everything pass */
	__u64 agent_cgroup; /* connects made by this cgroup's tasks pass untouched */
	__u64 elsewhere;    /* mesh_elsewhere(): what to look for when a destination is no VIP; 0: nothing */
	__u64 agent_before; /* as agent_cgroup, of an agent that serves on while another takes its place; 0: none */
};

/* In one word, so that it is read whole: the range that all node ports are in, and whether there are MESH_KEY_ANY. */
#define MESH_ELSEWHERE_ANY (1ULL << 32)

static inline __attribute__((always_inline)) __u64 mesh_elsewhere(__u16 low, __u16 high, int any)
{
	return low | (__u64)high << 16 | (any ? MESH_ELSEWHERE_ANY : 0);
}

/* Map pods: key is the cookie of the network namespace. An entry: this pod is captured. */
struct mesh_pod {
	__u8 ip4[4];
	__u8 ip6[16];
	__u32 ifindex; /* the device that has the addresses */
	__u16 port4;   /* listener on IPv4 loopback and on ip4; 0: none */
	__u16 port6;   /* listener on ::1 and on ip6; 0: none */
	__u32 splice;  /* enum mesh_splice_wish, and MESH_POD_SPLICED */
	char name[MESH_NAME_LEN];
};

#define MESH_SPLICE_WISH 0xff
#define MESH_POD_SPLICED 0x100 /* new flows of the pod may be spliced */

/* Maps svc4 and svc6: what clients connect to. */
struct mesh_key4 {
	__u8 ip[4];
	__u16 port;
	__u8 proto; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 kind;  /* enum mesh_key_kind */
} __attribute__((aligned(4)));

struct mesh_key6 {
	__u8 ip[16];
	__u16 port;
	__u8 proto;
	__u8 kind;
} __attribute__((aligned(4)));

/* Maps ep4 and ep6: one endpoint. */
struct mesh_ep4 {
	__u8 ip[4];
	__u16 port;
	__u16 zero;
} __attribute__((aligned(4)));

struct mesh_ep6 {
	__u8 ip[16];
	__u16 port;
	__u16 zero;
} __attribute__((aligned(4)));

/* An IPv4 endpoint as it is read, in one piece; word 0: none. */
union mesh_near {
	struct mesh_ep4 ep;
	__u64 word;
};

/*
 * One version of a service. All that it points to (dest, ep4, ep6) carries its set number and is never
 * changed; replacing this one entry is the switch. The kernel may give a replaced entry's memory to
 * another key while a program still reads it: the seals tell.
 *
 * With thousands of services nothing of an entry is in a CPU's cache when it is needed, and each line that is fetched
 * costs as much as all else that connect() does in the programs. In map svc4 an element of the kernel's table has 56
 * bytes before the value and is 256 long, so the usual case (one group, no affinity, IPv4) finds an endpoint in the
 * two lines that the look-up reads anyway (key and set; seal to near), or in a third (more). Beyond, and for all else,
 * there are dest, ep4 and ep6, which have every endpoint.
 */
struct mesh_svc {
	__u64 set;   /* never used twice */
	__u64 seal;  /* mesh_seal() of key and value, to near */
	__u32 total; /* sum of the weights */
	__u32 dests;
	enum mesh_tier tier;
	/* With MESH_TIER_REFUSE. With MESH_TIER_L4, one group and no affinity: how many endpoints that group has, so
	 * that a draw need not look it up; 0: look it up. */
	enum mesh_reason reason;
	__u32 affinity; /* with MESH_TIER_L4: seconds that a pod stays with an endpoint; 0: none */
	__u32 turn;     /* round robin where the group is not looked up; programs change it, the seal is without it */
	union mesh_near near[MESH_NEAR]; /* of that group, from its first endpoint on */
	__u64 more_seal;                 /* mesh_seal_more() */
	union mesh_near more[MESH_NEAR_MORE];
	char name[MESH_NAME_LEN];
	__u64 zero[2];
};

/* Key of dest (index 0), ep4 and ep6. */
struct mesh_slot {
	__u64 set;
	__u32 dest;
	__u32 index;
};

/* Map dest: one weighted group. */
struct mesh_dest {
	__u32 weight;
	__u32 upto; /* sum of the weights up to and with this one */
	__u32 endpoints;
	__u32 zero;
	__u64 turn; /* round robin; the one member that programs change */
};

/* Map member: an endpoint of a set that something may stay with. The value is its group's weight, never 0. */
struct mesh_member {
	__u64 set;
	__u8 ip[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u16 port;
	__u16 zero[3];
} __attribute__((aligned(8)));

/* Maps affinity (who: namespace cookie) and udpflow (who: socket cookie): what was drawn for them. */
struct mesh_stick_key {
	__u64 who;
	__u8 ip[16]; /* what was asked for; IPv4 as ::ffff:a.b.c.d */
	__u16 port;
	__u8 proto;
	__u8 zero[5];
} __attribute__((aligned(8)));

/* Believed only while it is a member of the set in force. */
struct mesh_stick {
	__u8 ip[16];
	__u16 port;
	__u16 zero[3];
	__u64 until_ns; /* CLOCK_MONOTONIC */
} __attribute__((aligned(8)));

/* Map nodeip: an address of a node of the cluster. IPv4 as ::ffff:a.b.c.d. The value says nothing. */
struct mesh_node_ip {
	__u8 ip[16];
} __attribute__((aligned(4)));

/* Maps sock and sockmore: what a socket's connect() named and what it was given instead. IPv4 as ::ffff:a.b.c.d. */
struct mesh_sock {
	__u64 cookie; /* of the socket; 0: the place is free */
	__u8 from[16];
	__u8 to[16];
	__u16 from_port;
	__u16 to_port;
	enum mesh_tier tier;
	__u32 crowded; /* sockets of this place that are in sockmore */
	__u32 packets; /* seen where they leave the pod; those of a flow in map flows are not counted */
};

/* Map origdst: a connection on its way to the agent's listener, as its client sees it. IPv4 as ::ffff:a.b.c.d. */
struct mesh_tuple {
	__u64 netns;
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;
	__u16 dport;
	__u16 family; /* 2: IPv4, also from an IPv6 socket; 10: IPv6 */
	__u16 zero;
} __attribute__((aligned(8)));

struct mesh_origdst {
	__u8 ip[16];
	__u16 port;
	__u16 zero[3];
	__u64 sock; /* socket cookie of the client */
} __attribute__((aligned(8)));

/* Map udpsrc: the name under which an unconnected socket knows a UDP endpoint. IPv4 as ::ffff:a.b.c.d. */
struct mesh_udp_key {
	__u64 sock; /* socket cookie */
	__u8 ip[16];
	__u16 port;
	__u16 zero[3];
} __attribute__((aligned(8)));

struct mesh_udp_src {
	__u8 ip[16];
	__u16 port;
	__u16 zero;
} __attribute__((aligned(4)));

/* Map refused: how often, by pod, destination and reason. IPv4 as ::ffff:a.b.c.d. */
struct mesh_refused {
	__u64 netns;
	__u8 ip[16];
	__u16 port;
	__u8 proto;
	__u8 zero;
	enum mesh_reason reason;
} __attribute__((aligned(8)));

/* Map veth: key is the index of the node's end of a captured pod's veth pair. */
enum {
	MESH_VETH_IP6 = 4,
};

enum mesh_veth_flag {
	MESH_VETH_BYPASS = 1, /* its flows may be bypassed */
	MESH_VETH_QDISC = 2,  /* the agent made the clsact qdisc */
	MESH_VETH_UPLINK = 4, /* no pod's: the device by which the node reaches others */
	MESH_VETH_EDGE = 8,   /* a gateway's: what it connects to pods of the mesh it has drawn by itself */
};

struct mesh_veth {
	__u64 netns;
	__u8 ip4[4];
	__u32 flags;                 /* enum mesh_veth_flag */
	__u8 ip6[MESH_VETH_IP6][16]; /* the pod's and its link-local ones; :: is none */
};

/*
 * Map vethplaces: what a packet of IPv4 needs of map veth, in the place of the device's index modulo their number. A
 * hash costs a packet as much as all else that is done for it. A device whose place another one has is in map veth
 * alone.
 */
enum { MESH_VETH_PLACES = 4096 };

struct mesh_veth_place {
	__u32 ifindex; /* 0: nobody's */
	__u32 flags;
	__u8 ip4[4]; /* not 0.0.0.0 */
	__u32 zero;
};

/* Map podip: an address of a captured pod of this node. IPv4 as ::ffff:a.b.c.d. The value is a key of map veth. */
struct mesh_pod_ip {
	__u8 ip[16];
} __attribute__((aligned(4)));

/* Map ownip: an address of a captured pod, whatever its device is. Keys as podip's. */
struct mesh_own_ip {
	__u64 netns;
	__u32 ifindex; /* of the device by which the node reached it when it was captured; 0: by none, or by the uplink
			*/
	__u32 zero;
};

/* Map flows: one direction of a connection between two pods of this node. IPv4 as ::ffff:a.b.c.d. */
struct mesh_flow_key {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;
	__u16 dport;
} __attribute__((aligned(4)));

enum {
	MESH_FLOW_RIPE = 8, /* packets that a client sends before its flow is thought of: short ones are not worth it */
	MESH_FLOW_ASK_NS = 200000000,   /* so often the node's own path is asked whether it still leads there */
	MESH_FLOW_LEASH_NS = 500000000, /* without an answer for so long, packets take that path again */
};

/* A packet's tc_index on its way through the node. */
enum {
	MESH_MARK_ASK = 0x5a11,   /* a packet of a flow: note where it comes out */
	MESH_MARK_CLONE = 0x5a12, /* the same, and it ends there: the packet itself was bypassed */
};

struct mesh_flow {
	__u64 seen_ns;               /* CLOCK_MONOTONIC (coarse): a packet that took the node's own path came out */
	__u64 asked_ns;              /* the last clone was sent */
	__u32 ifindex;               /* of the device where it came out */
	__u32 epoch;                 /* MESH_SWITCH_EPOCH at that time */
	__u8 dst_mac[6], src_mac[6]; /* that it had there */
	__u16 ready;                 /* not 0: connection tracking does not mind that it does not see every packet */
	__u16 wire;                  /* not 0: the device is the uplink, not a pod's */
};

/* Map bypassed: what was done, by CPU. */
struct mesh_bypassed {
	__u64 packets; /* given to the other pod's device */
	__u64 bytes;
	__u64 clones;  /* sent to ask the node's own path */
	__u64 seen;    /* packets and clones that came out of it */
	__u64 flows;   /* entered */
	__u64 untold;  /* not entered: the agent is behind, or dead */
	__u64 leashed; /* packets that took the node's path because it had not answered of late */
};

/* Map splice_conf: one entry, for all generations. */
enum mesh_splice_mode { MESH_SPLICE_MODE_AUTO, MESH_SPLICE_MODE_ON, MESH_SPLICE_MODE_OFF };

struct mesh_splice_conf {
	__u32 mode;   /* enum mesh_splice_mode; with OFF nothing is redirected and no flow enters */
	__u32 proven; /* by the probes on this kernel: 0: not tried, 1: all passed, 2: not all */
};

/* Why a message of a spliced flow was, or was not, given to its receiver past TCP. X(NAME, "name", "help") */
#define MESH_SPLICE_WAYS(X)                                                                                            \
	X(REDIRECTED, "redirected", "given to the receiver")                                                           \
	X(OFF, "off", "the tier is switched off")                                                                      \
	X(LEAVING, "leaving", "the flow is on its way out of the tier")                                                \
	X(ZEROCOPY, "zerocopy", "the sender uses MSG_ZEROCOPY")                                                        \
	X(ULP, "ulp", "an end has another protocol on top of TCP (TLS in the kernel)")                                 \
	X(LARGE, "large", "the message is larger than the tier takes")                                                 \
	X(STATE, "state", "an end is not, or not any more, established")                                               \
	X(UNACKED, "unacked", "the sender has bytes on their way by TCP")                                              \
	X(UNKNOWN, "unknown", "the other end is not known (yet), or gone")                                             \
	X(LOWAT, "lowat", "the receiver has set SO_RCVLOWAT")                                                          \
	X(UNREAD, "unread", "the receiver has unread bytes that came by TCP")                                          \
	X(READER, "reader", "a reader may be waiting where it sees TCP's bytes only")                                  \
	X(QUEUE, "queue", "the receiver has as much unread as it may have")                                            \
	X(PRESSURE, "pressure", "TCP or the receiver's cgroup is short of memory")                                     \
	X(FAILED, "failed", "the kernel would not redirect")                                                           \
	X(ASKED, "asked", "it goes to see that the node still lets the flow pass")

enum mesh_splice_way {
#define MESH_SPLICE_WAY_ENUM(id, name, help) MESH_SPLICE_WAY_##id,
	MESH_SPLICE_WAYS(MESH_SPLICE_WAY_ENUM)
#undef MESH_SPLICE_WAY_ENUM
		MESH_SPLICE_WAY_COUNT
};

enum mesh_splice_leave {
	MESH_SPLICE_STAYS,
	MESH_SPLICE_PASSES, /* nothing is redirected from now on */
	MESH_SPLICE_QUIET,  /* and every program that had not seen that has ended */
};

/* Map splice_flow: one end of a spliced flow, by its socket's cookie. Addresses are believed only beside the cookie. */
struct mesh_splice_flow {
	__u64 peer;      /* cookie of the other end */
	__u64 self_at;   /* the socket in the kernel's memory; 0: not known yet */
	__u64 peer_at;   /* the other end's */
	__u64 redirects; /* messages given to the other end */
	__u64 passed;    /* bytes by TCP since the last of them */
	__u32 tcp_seq;   /* with steady: no byte has gone by TCP while the socket's write_seq is this */
	__u32 steady;    /* 0: not; bpf/lib/splice.bpf.h says what else is in it */
	__u32 leave;     /* enum mesh_splice_leave */
	__u32 clean;     /* with leave QUIET: no redirect of this end is under way any more */
};

/* Map splice_wait: an end that waits for the other, by the tuple as the client sees it in the server's namespace. */
struct mesh_splice_wait {
	__u64 cookie;
	__u64 at;
	__u64 since_ns; /* CLOCK_MONOTONIC */
};

/* What program splice_leave is asked, and answers. */
enum mesh_splice_step {
	MESH_SPLICE_STEP_PASS,
	MESH_SPLICE_STEP_QUIET,
	MESH_SPLICE_STEP_CHECK,
	MESH_SPLICE_STEP_READER, /* by what function the first on the socket's wait queue is woken: answer in peer */
};

struct mesh_splice_ask {
	__u64 cookie; /* of either end */
	__u64 peer;   /* answer: of the other */
	__u32 step;   /* enum mesh_splice_step */
	__u32 answer; /* 0: not yet; 1: both may leave; 2: there is no such flow */
};

/* Map splice_events: a flow that is to leave. */
struct mesh_splice_event {
	__u64 cookie;
	__u32 way; /* enum mesh_splice_way of the message that made it */
	__u32 zero;
};

_Static_assert(sizeof(struct mesh_node) == 32, "map value");
_Static_assert(sizeof(struct mesh_pod) == 80, "map value");
_Static_assert(sizeof(struct mesh_key4) == 8, "map key");
_Static_assert(sizeof(struct mesh_key6) == 20, "map key");
_Static_assert(sizeof(struct mesh_svc) == 200, "map value");
_Static_assert(sizeof(struct mesh_slot) == 16, "map key");
_Static_assert(sizeof(struct mesh_dest) == 24, "map value");
_Static_assert(sizeof(struct mesh_ep4) == 8, "map value");
_Static_assert(sizeof(struct mesh_ep6) == 20, "map value");
_Static_assert(sizeof(struct mesh_member) == 32, "map key");
_Static_assert(sizeof(struct mesh_stick_key) == 32, "map key");
_Static_assert(sizeof(struct mesh_stick) == 32, "map value");
_Static_assert(sizeof(struct mesh_node_ip) == 16, "map key");
_Static_assert(sizeof(struct mesh_sock) == 56, "map value");
_Static_assert(sizeof(struct mesh_tuple) == 48, "map key");
_Static_assert(sizeof(struct mesh_origdst) == 32, "map value");
_Static_assert(sizeof(struct mesh_udp_key) == 32, "map key");
_Static_assert(sizeof(struct mesh_udp_src) == 20, "map value");
_Static_assert(sizeof(struct mesh_refused) == 32, "map key");
_Static_assert(sizeof(struct mesh_veth) == 80, "map value");
_Static_assert(sizeof(struct mesh_veth_place) == 16, "map value");
_Static_assert(sizeof(struct mesh_pod_ip) == 16, "map key");
_Static_assert(sizeof(struct mesh_own_ip) == 16, "map value");
_Static_assert(sizeof(struct mesh_flow_key) == 36, "map key");
_Static_assert(sizeof(struct mesh_flow) == 40, "map value");
_Static_assert(sizeof(struct mesh_bypassed) == 56, "map value");
_Static_assert(sizeof(struct mesh_splice_conf) == 8, "map value");
_Static_assert(sizeof(struct mesh_splice_flow) == 56, "map value");
_Static_assert(sizeof(struct mesh_splice_wait) == 24, "map value");
_Static_assert(sizeof(struct mesh_splice_ask) == 24, "program's context");
_Static_assert(sizeof(struct mesh_splice_event) == 16, "ring buffer");

static inline __attribute__((always_inline)) __u64 mesh_seal_step(__u64 h, __u64 word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
	return h ^ (h >> 29);
}

/** Seal of a service entry: of its key's words and of all that programs read in its value. */
static inline __attribute__((always_inline)) __u64 mesh_seal(const __u32 *key, int key_words, __u64 set, __u32 total,
							     __u32 dests, __u32 tier, __u32 reason, __u32 affinity,
							     const union mesh_near near[MESH_NEAR])
{
	__u64 h = MESH_ABI_VERSION, n = MESH_NEAR; /* two, for a CPU does them side by side */

	for (int i = 0; i < key_words; i++)
		h = mesh_seal_step(h, key[i]);
	h = mesh_seal_step(h, set);
	h = mesh_seal_step(h, ((__u64)total << 32) | dests);
	h = mesh_seal_step(h, ((__u64)tier << 32) | reason | affinity); /* no tier has both */
	for (int i = 0; i < MESH_NEAR; i++)
		n = mesh_seal_step(n, near[i].word);
	return mesh_seal_step(h, n);
}

/** Seal of the endpoints that follow: of the entry's set and them. */
static inline __attribute__((always_inline)) __u64 mesh_seal_more(__u64 set, const union mesh_near more[MESH_NEAR_MORE])
{
	__u64 h = mesh_seal_step(MESH_ABI_VERSION, set);

	for (int i = 0; i < MESH_NEAR_MORE; i++)
		h = mesh_seal_step(h, more[i].word);
	return h;
}

#endif
