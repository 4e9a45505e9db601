/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of the mesh: loads, pins and attaches the BPF programs of one node, feeds
 * their maps, adopts what an earlier agent pinned. One per agent. Control calls on one thread;
 * mesh_dp_origdst() from any.
 */
#ifndef MESH_DATAPLANE_DATAPLANE_H
#define MESH_DATAPLANE_DATAPLANE_H

#include "core/err.h"
#include "mesh/abi.h"
#include "model/l4.h"
#include "model/xdp.h"

#include <jansson.h>

struct mesh_dp;
struct mesh_dp_pod;

struct mesh_dp_opts {
	const char *pin_dir;      /* "/sys/fs/bpf/sockmesh/<cluster>-<node>"; made if missing */
	const char *cgroup_root;  /* v2 cgroup whose pods are this node's: programs attach here */
	const char *agent_cgroup; /* the agent's own cgroup, exempt; NULL: that of this process */
	bool listeners_held;      /* an earlier agent's, see mesh_dp_recapture() */
	bool watch_stale;         /* mesh_dp_stale() is called after each mesh_dp_change() */
	bool beside;              /* that agent still serves: until mesh_dp_alone() */
	const char *uplink; /* device there by which packets to other nodes leave; NULL: flows between nodes are left
			       alone */
	bool clsact;        /* programs on devices are filters of a clsact qdisc even where the kernel has tcx */
	const struct mesh_xdp *xdp; /* device on which packets from impossible addresses end; NULL: none */
	int host_netns; /* the network namespace that has the node's ends of pods' devices; 0: this process's */
	uint32_t max_services, max_endpoints, max_pods; /* map sizes; 0: 16384, 131072, 1024 */
};

/** Loads or adopts, also what an older layout pinned (migrate.c). Returns 0; -errno with errs saying which step failed
 * and what would help. */
int mesh_dp_new(struct mesh_dp **ret, const struct mesh_dp_opts *opts, struct mesh_errs *errs);
/**
 * Changes nothing from now on and lets another process do it: mesh_dp_origdst() and mesh_dp_free() are all that may
 * follow.
 */
void mesh_dp_yield(struct mesh_dp *dp);
/** The earlier agent that served beside this one is gone. */
void mesh_dp_alone(struct mesh_dp *dp);
/** Whether the programs that were pinned are this build's own and go on as they are, rather than being loaded again. */
bool mesh_dp_kept(const struct mesh_dp *dp);
/** Closes our handles; programs, links and maps stay pinned and in force. */
void mesh_dp_free(struct mesh_dp *dp);
/** Removes every program, link and pin of this node (uninstall, lab down). Works without mesh_dp_new(). */
int mesh_dp_detach(const char *pin_dir, struct mesh_errs *errs);
/** The same, with the filters on devices of that namespace (mesh_dp_opts.host_netns). */
int mesh_dp_detach_from(const char *pin_dir, int host_netns, struct mesh_errs *errs);

/** Off: from now on every program lets everything pass, until on again, also over restarts. Returns 0 or -errno. */
int mesh_dp_set_off(struct mesh_dp *dp, bool off);

/**
 * Sets switches of include/mesh/switches.h: {"bypass": "off", ...}. In force at the next packet, and over restarts.
 * Returns 0; -errno with errs, and nothing is changed.
 */
int mesh_dp_switch_set(struct mesh_dp *dp, const json_t *set, struct mesh_errs *errs);
/** [{"name", "word", "words", "inUse", "why", "what", "help"}], a row for each switch. New reference. */
json_t *mesh_dp_switches(const struct mesh_dp *dp);

/** Readable when the programs have something to tell, which mesh_dp_events() then sees to. -1: they never have. */
int mesh_dp_events_fd(const struct mesh_dp *dp);
void mesh_dp_events(struct mesh_dp *dp);

/** Returns when programs are on pods' devices as they are to be, and off those that are not captured any more; else
 * that takes some hundred ms from when pods stopped coming and going. */
void mesh_dp_settle(struct mesh_dp *dp);

/**
 * Uplink and XDP device (mesh_dp_opts) are known by name: puts the programs on one that came late, or went and came. To
 * be called every few seconds; costs two system calls where nothing changed. What did is added to news.
 */
void mesh_dp_follow_devices(struct mesh_dp *dp, struct mesh_errs *news);

/**
 * Puts in force what changed since the last delta that was put in force (a whole one: everything): each service
 * switches atomically from its old version to the new. delta is read, not kept. If this fails, part of it may be in
 * force: the next has to be a whole one.
 */
int mesh_dp_change(struct mesh_dp *dp, const struct mesh_l4_delta *delta, struct mesh_errs *errs);

/** What finds a running pod: one of its addresses, among the processes below cgroup_root. */
struct mesh_dp_found {
	int netns_fd;
	uint64_t netns_cookie;
	char *cgroup; /* NULL: not found by a process */
	int pid;
};

/** Closes and frees what is in it, not found itself. */
void mesh_dp_found_free(struct mesh_dp_found *found);

/**
 * uid: the pod's, as its cgroups are named by kubelets; processes in cgroups of another pod do not count. NULL or ""
 * accepts all. Returns 0 with *ret for mesh_dp_found_free(), -ENOENT while there is no process with that address
 * (or its address is not yet up), or -EACCES if there is a process of that uid whose namespace may not be read (no
 * SYS_PTRACE).
 */
int mesh_dp_find(struct mesh_dp *dp, const struct mesh_addr *pod_ip, const char *uid, struct mesh_dp_found *ret);
/**
 * The same of a namespace that somebody names: netns_fd (borrowed) is one, not the agent's own, and has these
 * addresses. Returns 0 with *ret for mesh_dp_found_free(), or -errno with errs saying what is not so.
 */
int mesh_dp_look(struct mesh_dp *dp, int netns_fd, const struct mesh_addr *ips, size_t count, struct mesh_dp_found *ret,
		 struct mesh_errs *errs);

/**
 * Captures a pod: from now on its connects are decided by the image. Makes the listeners first: for
 * IPv4 all of 127.0.0.0/8 (bound to device lo), [::1], and the pod's own addresses (for sockets bound to a
 * device; only packets from the pod itself get there). The port is MESH_LISTEN_PORT or, where an app has
 * that one, one of the next 15. Then switches capture on. A pod that an earlier agent captured, or this
 * one with other addresses, is captured anew the same way. The listeners (non-blocking, 1 to 4) are the
 * caller's to use and close; a connection on any of them has its mesh_dp_origdst().
 */
int mesh_dp_capture(struct mesh_dp *dp, const struct mesh_dp_found *found, const struct mesh_addr *ips, size_t ip_count,
		    const char *pod_name, int listen_fds[4], size_t *listen_count, struct mesh_errs *errs);
/**
 * Goes on with listeners that an earlier agent's mesh_dp_capture() made, which somebody held meanwhile. Returns 0: the
 * pod is captured, by these; -ENOENT or -ESTALE: it was not, or not by these or not as it is now, so capture it anew.
 */
int mesh_dp_recapture(struct mesh_dp *dp, const struct mesh_dp_found *found, const struct mesh_addr *ips,
		      size_t ip_count, const char *pod_name, const int *listen_fds, size_t listen_count);
/** Capture off for a namespace: new connects are untouched from now on; established flows go on. */
int mesh_dp_release(struct mesh_dp *dp, uint64_t netns_cookie);
/**
 * A gateway's pod, which is not captured: it sends from its own addresses only, and established flows to captured pods
 * of this node take the short way as those of captured pods do. Until mesh_dp_unguard(), or the next mesh_dp_new().
 */
void mesh_dp_guard(struct mesh_dp *dp, const struct mesh_dp_found *found, const struct mesh_addr *ips, size_t ip_count,
		   const char *name);
void mesh_dp_unguard(struct mesh_dp *dp, uint64_t netns_cookie);
/** Cookies of the namespaces captured now (also those an earlier agent captured). Caller frees *ret. */
int mesh_dp_captured(struct mesh_dp *dp, uint64_t **ret, size_t *count);

/** Takes (and deletes) the original destination of an accepted connection. Returns 0 or -ENOENT. Any thread. */
int mesh_dp_origdst(struct mesh_dp *dp, uint64_t netns_cookie, const struct mesh_addr *local,
		    const struct mesh_addr *peer, struct mesh_addr *ret);

/**
 * Ends established flows in a namespace to an endpoint (bpf_sock_destroy, else SOCK_DESTROY); port 0 means all its
 * ports. via: only what connect() was called for with that (address 0: any) and that was placed there; NULL: all.
 * Returns how many, or -errno.
 */
int mesh_dp_end_flows(struct mesh_dp *dp, int netns_fd, const struct mesh_addr *endpoint, const struct mesh_addr *via);

/** An endpoint that new connections to a service do not get any more, while old ones may be there. */
struct mesh_dp_stale {
	struct mesh_addr via, endpoint; /* via: what clients connect to; address 0: a port of many */
	enum mesh_l4_drain drain;       /* of the service; never NONE */
};

struct mesh_dp_stale_list {
	MESH_VEC(struct mesh_dp_stale) list;
};

/** Adds to ret (the caller frees its array) what the last mesh_dp_change() took away; see watch_stale. */
void mesh_dp_stale(struct mesh_dp *dp, struct mesh_dp_stale_list *ret);

/** Forgets what is known of flows from and to an address, whose pod is gone: their packets take the node's own path. */
void mesh_dp_forget(struct mesh_dp *dp, const struct mesh_addr *ip);

/**
 * The node's switch for the splice tier (docs/splice.md), kept with what is pinned. AUTO: pods that ask for it, and
 * those that leave it open where every probe passed on this kernel. ON: all but those that refuse. OFF: none; flows
 * that are spliced go on by TCP and leave. Returns 0; -errno with errs: the tier cannot be had here.
 */
int mesh_dp_splice_set(struct mesh_dp *dp, enum mesh_splice_mode mode, struct mesh_errs *errs);
/** What a captured pod asks for; its new flows go by it. Returns 0; -ENOENT: not captured; -errno with errs. */
int mesh_dp_splice_pod(struct mesh_dp *dp, uint64_t netns_cookie, enum mesh_splice_wish wish, struct mesh_errs *errs);
/** Whether that socket is in a sockmap, or may be: what was given to it there, splice(2) would not see. Any thread. */
bool mesh_dp_spliced(struct mesh_dp *dp, int fd);
/** Mode, flows, messages by way, generations, what the probes found. New reference. */
json_t *mesh_dp_splice_status(struct mesh_dp *dp);
/** "auto", "on", "off"; -EINVAL if text is none of them. */
const char *mesh_splice_mode_text(enum mesh_splice_mode mode);
int mesh_splice_mode_parse(const char *text, enum mesh_splice_mode *ret);

/** Programs, links, maps with their fill, counters by reason, pods: for `meshctl status`. New reference. */
json_t *mesh_dp_status(struct mesh_dp *dp);

#endif
