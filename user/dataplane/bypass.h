/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of dataplane/: the bypass and what guards it. bypass_load.c loads its programs, bypass.c puts them on the
 * node's ends of captured pods' veth pairs and makes flows ready, uplink.c on the uplink; ends.c finds these ends, tc.c
 * attaches there and says who else is there, tc_later.c does what of this takes long; veths.c writes what programs know
 * of devices; conntrack.c speaks to connection tracking; probe_bypass.c tries the kernel. A failure of any of this
 * leaves pods captured and their packets on the node's own path, with a reason that status shows. Control thread only,
 * but where it says otherwise.
 */
#ifndef MESH_DATAPLANE_BYPASS_H
#define MESH_DATAPLANE_BYPASS_H

#include "dataplane/dp.h"

#include <bpf/libbpf.h>
#include <net/if.h>

struct bypass_bpf;
struct ring_buffer;
struct nl_sock;

/* Of the two filters where there is no tcx, the same on every device: hardly another's. */
enum { MESH_BYPASS_PRIORITY = 23130, MESH_BYPASS_HANDLE = 0x5a };

/* The programs on devices: where packets of a pod, or of the uplink, come in and go out. Each is pinned as
 * "bypass-NAME". */
enum mesh_dp_filter { MESH_DP_POD_OUT, MESH_DP_POD_IN, MESH_DP_WIRE_IN, MESH_DP_WIRE_OUT, MESH_DP_FILTER_COUNT };

struct mesh_dp_later;

struct mesh_dp_bypass {
	struct bypass_bpf *skel;            /* NULL: not loaded, or its programs were pinned by this very build */
	bool loaded;                        /* there are programs */
	int programs[MESH_DP_FILTER_COUNT]; /* of skel, or our own without it */
	bool tcx;                           /* how programs are put on devices */
	struct mesh_dp_later *later;        /* NULL: everything is done at once */
	struct ring_buffer *events;
	struct nl_sock *route;     /* rtnetlink in the node's namespace; there if there are programs */
	struct nl_sock *conntrack; /* NULL: there is none, or not opened yet */
	char *uplink;              /* the device that was named, or NULL */
	uint32_t uplink_ifindex;   /* 0: flows between nodes are left alone */
	char *uplink_trouble;      /* why flows between nodes are left alone although there is an uplink, or NULL */
	char *why_not;             /* why the kernel or the node cannot; NULL: it can */
	struct mesh_map devices;   /* index (bytes) -> struct mesh_dp_device * */
	uint64_t told, untracked, refused; /* flows: connection tracking was told, had none of it, would not have it */
};

/* A captured pod's veth pair. */
struct mesh_dp_device {
	uint32_t ifindex; /* in the node's namespace */
	uint64_t netns;
	char name[IF_NAMESIZE];
	char *pod;     /* its name */
	char *why_not; /* why its flows are not bypassed; NULL: they are */
};

/* What is known of the node's end of a pod's device. */
struct mesh_dp_end {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	struct mesh_veth veth; /* netns, addresses */
	char *why_not;         /* why flows must not be bypassed there, or NULL. Freed by the caller */
};

/** Opens, loads, probes, adopts. Never fails: mesh_dp_bypass.why_not says why it is not there. */
void mesh_dp_bypass_start(struct mesh_dp *dp, const char *uplink, bool clsact);
void mesh_dp_bypass_stop(struct mesh_dp *dp);
/** Puts the programs on the pod's device, or brings what is there up to date. edge: MESH_VETH_EDGE, or 0. */
void mesh_dp_bypass_add(struct mesh_dp *dp, const struct mesh_dp_found *found, const struct mesh_pod *pod,
			enum mesh_veth_flag edge);
/** Takes them off the devices of the pod with this namespace, and forgets its flows. */
void mesh_dp_bypass_remove(struct mesh_dp *dp, uint64_t netns_cookie);
/** Forgets all flows from and to these addresses. */
void mesh_dp_bypass_forget(struct mesh_dp *dp, const struct mesh_addr *ips, size_t count);
/** From now on every flow asks the node's own path anew before it is bypassed again. */
void mesh_dp_bypass_doubt(struct mesh_dp *dp);
/** Takes every filter of the node that uses the maps pinned there off; of devices in that namespace (0: this). */
int mesh_dp_bypass_detach(const char *pin_dir, int host_netns);
/** {"inUse", "why", counters, "devices"}. New reference. */
json_t *mesh_dp_bypass_status(const struct mesh_dp *dp);
/** Whether flows are bypassed where they can be; else *why (borrowed). */
bool mesh_dp_bypass_in_use(const struct mesh_dp *dp, const char **why);
bool mesh_dp_antispoof_in_use(const struct mesh_dp *dp, const char **why);

/**
 * Puts the programs on a device, or brings what is there up to date. fresh: nobody sends there yet, and whoever will
 * waits for us. Fills in *end's flags. Returns 0, or -errno with *why (caller frees).
 */
int mesh_dp_bypass_put_on(struct mesh_dp *dp, struct mesh_dp_end *end, bool fresh, char **why);
/** Flows are not bypassed there any more; the programs go soon (those of the uplink: now). */
void mesh_dp_bypass_take_off(struct mesh_dp *dp, uint32_t ifindex, const struct mesh_veth *v);
/** A pod's device that has filters goes over to tcx. Any thread. Returns 0 or -errno. */
int mesh_dp_bypass_go_over(const struct mesh_dp *dp, uint32_t ifindex);
/** Takes everything off a device, then its entry in map veth. Any thread; route: that thread's. */
void mesh_dp_bypass_clear(const struct mesh_dp *dp, struct nl_sock *route, uint32_t ifindex, const struct mesh_veth *v);

/* uplink.c: flows between nodes, on the client's node alone, since only that knows who placed them. */
/** From now on that device (NULL: none) is the uplink, and none that an earlier agent had. Why not: uplink_trouble. */
void mesh_dp_uplink_take(struct mesh_dp *dp, const char *device);
/** One that went and came, or came late, is taken. What changed is added to news. */
void mesh_dp_uplink_follow(struct mesh_dp *dp, struct mesh_errs *news);
/** The index of a device in the node's namespace; 0: there is none. */
uint32_t mesh_dp_host_ifindex(const struct mesh_dp *dp, const char *device);

/* bypass_load.c */
/** Loads the programs and probes the kernel, or goes on with what is pinned. -errno with why_not if there are none. */
int mesh_dp_bypass_load(struct mesh_dp *dp);
void mesh_dp_bypass_unload(struct mesh_dp_bypass *b);
const char *mesh_dp_filter_name(enum mesh_dp_filter filter);

/* ends.c */
/** Enters the node's namespace, if it is another than this one; leave with mesh_dp_host_leave(). 0 or -errno. */
int mesh_dp_host_enter(int host_netns, int *home);
void mesh_dp_host_leave(int *home);
/** Opens netlink of that protocol, resp. rtnetlink, in a namespace (0: this one). Returns 0 or -errno. */
int mesh_dp_netlink_open(int netns, int protocol, struct nl_sock **ret);
int mesh_dp_route_open(int netns, struct nl_sock **ret);
/** Finds the node's end of device pod_ifindex in a pod's namespace. Returns 0, or -errno with *why (caller frees). */
int mesh_dp_end_find(struct mesh_dp *dp, int pod_netns, uint32_t pod_ifindex, struct mesh_dp_end *ret, char **why);

/* tc.c, all in the namespace of the device; any thread. route: rtnetlink there, of one thread; flows_map: id of the
 * node's map flows, which its programs have. */
enum mesh_dp_point { MESH_DP_INGRESS, MESH_DP_EGRESS, MESH_DP_POINT_COUNT };
/** Whether the kernel has tcx (6.6). */
bool mesh_dp_has_tcx(void);
/**
 * Puts a program (-1: none) on each of a device's points in place of ours that are there, by tcx or as filters. By tcx
 * it takes two RCU grace periods where none of ours are there yet. Our clsact qdisc stays, empty: while one comes or
 * goes, the device drops what is sent through it. *made: set if a qdisc was made. Returns 0 or -errno.
 */
int mesh_dp_tc_attach(uint32_t ifindex, const int programs[MESH_DP_POINT_COUNT], uint32_t flows_map, bool tcx,
		      bool *made);
/** As filters, for mesh_dp_tc_attach() with tcx to take their place. False: they are by tcx already, or cannot. */
bool mesh_dp_tc_attach_soon(uint32_t ifindex, const int programs[MESH_DP_POINT_COUNT], bool *made);
/** Takes the node's off, and the qdisc if we made it and nobody else uses it. */
void mesh_dp_tc_detach(struct nl_sock *route, uint32_t ifindex, uint32_t flows_map, bool qdisc);
/** Appends the names of filters and programs that are not ours. */
void mesh_dp_tc_others(struct nl_sock *route, uint32_t ifindex, struct mesh_buf *out);

/* tc_later.c: a thread, for pods' devices whose changes can wait. */
/** NULL if it cannot be had, which it logs: everything is done at once then. */
struct mesh_dp_later *mesh_dp_later_start(const struct mesh_dp *dp);
/** Ends it; what is not done is left to the next agent. NULL is fine. */
void mesh_dp_later_stop(struct mesh_dp_later *l);
/** A device's filters are to make way for tcx. */
void mesh_dp_later_go_over(struct mesh_dp_later *l, uint32_t ifindex);
/** Programs and qdisc are to go, then the entry in map veth. */
void mesh_dp_later_take_off(struct mesh_dp_later *l, uint32_t ifindex);
/** Nothing is to be done to that device any more, nor being done when this returns. */
void mesh_dp_later_forget(struct mesh_dp_later *l, uint32_t ifindex);
/** Returns when nothing is left to do. */
void mesh_dp_later_settle(struct mesh_dp_later *l);
/** How many changes are left to do. */
size_t mesh_dp_later_count(struct mesh_dp_later *l);

/* veths.c; any thread */
/** What programs know of a device: maps veth and vethplaces. Returns 0 or -errno. */
int mesh_dp_veth_write(const struct mesh_dp *dp, uint32_t ifindex, const struct mesh_veth *v);
void mesh_dp_veth_delete(const struct mesh_dp *dp, uint32_t ifindex);
/** Makes vethplaces agree with veth, which an agent that does not know it may have written. */
void mesh_dp_veth_agree(const struct mesh_dp *dp);

/* conntrack.c */
enum mesh_dp_tracked {
	MESH_DP_TRACKED,     /* it will take packets of this flow that follow others that it did not see */
	MESH_DP_NOT_TRACKED, /* it knows nothing of the flow, or there is none */
	MESH_DP_NOT_TOLD,    /* it could not be told */
};
/** Tells connection tracking of the node's namespace that it will not see every packet of a flow. */
enum mesh_dp_tracked mesh_dp_conntrack_tell(struct nl_sock **sock, int host_netns, const struct mesh_flow_key *flow);
void mesh_dp_conntrack_close(struct nl_sock **sock);

/* probe_bypass.c */
/** Sends a frame through bpf_redirect_peer() between namespaces made for it. NULL: it arrived; else why not (caller
 * frees). */
char *mesh_dp_probe_peer(struct bypass_bpf *skel, bool tcx);

#endif
