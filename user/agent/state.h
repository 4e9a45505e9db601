/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of agent/: the agent as a whole. agent.c starts and ends it; publish.c puts changes in force; commands.c
 * answers at its socket; cni.c serves the CNI plugin. Loop thread only.
 */
#ifndef MESH_AGENT_STATE_H
#define MESH_AGENT_STATE_H

#include "agent/cni_conf.h"
#include "agent/ctlsock.h"
#include "agent/edges.h"
#include "agent/feed.h"
#include "agent/handover.h"
#include "agent/lease.h"
#include "agent/members.h"
#include "agent/options.h"
#include "agent/pods.h"
#include "agent/stale.h"
#include "compile/compiler.h"
#include "obs/probe.h"

struct mesh_agent_waiter {
	struct mesh_ctlsock_conn *conn;
	struct mesh_addr ip;
	uint64_t until_ns;
};

/* An address that was a pod's; elsewhere: on another node, of which only endpoints are known. */
struct mesh_agent_gone {
	struct mesh_addr ip;
	bool elsewhere;
};

/* Who asked for what is in force; answered when there is more than after. */
struct mesh_agent_asker {
	struct mesh_ctlsock_conn *conn;
	char *resource;
	uint64_t after;
};

struct mesh_agent_add;
struct mesh_agent_look;

struct mesh_agent {
	struct mesh_agent_opts opts;
	const char *cgroup_root;
	char *cgroup_own;
	struct mesh_loop *loop;
	struct mesh_kube *kube;
	struct mesh_feed *feed;
	struct mesh_lease *lease;
	struct mesh_dp *dp;
	struct mesh_proxy *proxy;
	struct mesh_pods *pods;
	struct mesh_edges *edges;
	struct mesh_ctlsock *sock;
	struct mesh_probe *probe;
	struct mesh_keeper *keeper;
	struct mesh_handover *handover;
	struct mesh_stale *stale;
	struct mesh_members members;
	struct mesh_cni_conf *cni;
	struct mesh_l7_states states;
	struct mesh_changes changes; /* of the snapshot, since the last publish */
	struct mesh_compiler *compiler;
	struct mesh_timer publish, waiting, adding, leaving, trim, devices;
	struct mesh_io events; /* of the BPF programs */
	MESH_VEC(struct mesh_agent_waiter) waiters;
	MESH_VEC(struct mesh_agent_asker) askers;
	json_t *reached;                          /* versions in force, as in the Lease; NULL: nothing is */
	uint64_t reached_ns;                      /* since when */
	MESH_VEC(struct mesh_agent_add *) adds;   /* of CNI, that wait for something */
	struct mesh_map tables;                   /* namespaces that the configuration in force has tables for */
	struct mesh_map asked;                    /* namespaces that CNI named: tables are made for them from then on */
	MESH_VEC(struct mesh_agent_gone) gone;    /* addresses of pods that are no more, since the last publish */
	MESH_VEC(struct mesh_agent_look *) looks; /* questions whether a pod elsewhere is gone; see left.c */
	struct mesh_ctlsock_conn *leaver;         /* who asked to leave and waits */
	bool asked_changed, pods_changed;         /* since the last publish that was put in force */
	bool dirty, published, failing, left;
	int exit_status;
	uint64_t publishes, publish_ns, publish_ns_max, publish_units, apply_failures, adds_total, adds_ns, adds_ns_max;
};

/** Compiles the snapshot and puts it in force. Returns whether it is. */
bool mesh_agent_publish(struct mesh_agent *a);
/** The timer publish: does so if anything changed, and tells what is in force. */
void mesh_agent_publish_due(struct mesh_loop *loop, struct mesh_timer *timer);

/** Ends flows and requests to what is gone; what is in force must know it no more. */
void mesh_agent_end_gone(struct mesh_agent *a);
/** An endpoint of a pod elsewhere left its service; for mesh_feed_opts.left. */
void mesh_agent_left(void *arg, const char *ns, const char *pod, const struct mesh_addr *ip);
void mesh_agent_left_free(struct mesh_agent *a);
/** Lets go of all but the connections that it serves: another agent is to take over. */
void mesh_agent_yield(struct mesh_agent *a);

/** A request at the socket. */
void mesh_agent_command(void *arg, struct mesh_ctlsock_conn *conn, const json_t *request);
/** What /livez and /readyz say. */
extern const struct mesh_probe_path mesh_agent_probe_paths[];
/** The connection of a request that waits went away. */
void mesh_agent_forget(void *arg, struct mesh_ctlsock_conn *conn);
/** Answers those whose pods are decided now. */
void mesh_agent_answer(struct mesh_agent *a);
/** Tells everyone what is in force now: by the Lease (at once, or when there is time) and those who asked. */
void mesh_agent_report(struct mesh_agent *a, bool at_once);
/** "in-force" */
void mesh_agent_in_force_command(struct mesh_agent *a, struct mesh_ctlsock_conn *conn, const json_t *request);
void mesh_agent_in_force_run(struct mesh_agent *a);
/** conn NULL: everyone. */
void mesh_agent_in_force_forget(struct mesh_agent *a, const struct mesh_ctlsock_conn *conn);
/** Lets go of the node: pods, plugin, Lease, programs. Done when the timer leaving was due. */
void mesh_agent_leave(struct mesh_agent *a);
/** Removes the paths at which a younger keeper finds this one, and a keeper its holder. */
void mesh_agent_door_remove(const struct mesh_agent_opts *o);

/** "cni-add", "cni-del", "cni-check" and "cni-gc". */
void mesh_agent_cni_command(struct mesh_agent *a, struct mesh_ctlsock_conn *conn, const char *cmd,
			    const json_t *request);
/** Goes on with every ADD that waits. */
void mesh_agent_cni_run(struct mesh_agent *a);
void mesh_agent_cni_forget(struct mesh_agent *a, struct mesh_ctlsock_conn *conn);

#endif
