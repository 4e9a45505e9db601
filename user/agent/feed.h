/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster as the API tells it, kept as a snapshot: watches every kind that routing needs, decodes each object
 * and puts it in. An object that cannot be decoded is remembered as bad and its last good version stays. One stream
 * for each kind; of pods a node's agent has those of its node, and, for namespaces where rules have subsets, the
 * labels of the others. While a stream is broken or lists anew, changes are held back until all are in step again
 * (for some seconds at most), so that what changed while the API was away comes as one. Used by the agent and
 * the gateway; loop thread only.
 */
#ifndef MESH_AGENT_FEED_H
#define MESH_AGENT_FEED_H

#include "compile/snapshot.h"
#include "core/buf.h"
#include "kube/kube.h"

struct mesh_feed;

/** What an event meant for routing. */
enum mesh_feed_change {
	MESH_FEED_CONTENT, /* the snapshot is different */
	MESH_FEED_VERSION, /* only a resourceVersion moved on */
};

struct mesh_feed_opts {
	struct mesh_loop *loop;
	bool gateways;    /* watch Gateway objects too */
	const char *node; /* pods of this node only (and labels of others where subsets need them); NULL: all pods */
	struct mesh_changes *changes; /* what events change is noted here, borrowed; NULL: nowhere */
	const char *saved_dir; /* keep the last good state here and start from it while the API is away; NULL: no */
	/* Called at each event once all kinds are synced, and when they first are. */
	void (*changed)(void *arg, enum mesh_feed_change change);
	/* Called just before a pod is replaced or taken out (after NULL): synced or not. May be NULL. */
	void (*pod)(void *arg, const struct mesh_workload *before, const struct mesh_workload *after);
	/* The endpoint of a pod elsewhere is gone for good. May be NULL. */
	void (*gone)(void *arg, const struct mesh_addr *ip);
	/* One left its service otherwise: its pod may be gone too, or not. May be NULL. */
	void (*left)(void *arg, const char *ns, const char *pod, const struct mesh_addr *ip);
	void *arg;
};

int mesh_feed_new(struct mesh_feed **ret, struct mesh_kube *kube, const struct mesh_feed_opts *opts);
void mesh_feed_free(struct mesh_feed *feed);
const struct mesh_snapshot *mesh_feed_snapshot(const struct mesh_feed *feed);
/** Whether every kind has been listed once: before, what is missing may only not have come yet. */
bool mesh_feed_synced(const struct mesh_feed *feed);
/** Whether the snapshot is, at least in part, what was saved by an earlier agent. */
bool mesh_feed_from_saved(const struct mesh_feed *feed);
/** Why the snapshot may not be what the API has now, or NULL. Borrowed until the loop runs. */
const char *mesh_feed_trouble(const struct mesh_feed *feed);
/** {"virtualservices.networking.istio.io": "RESOURCEVERSION", ...}: how far each kind has come; with
 * MESH_LEASE_UNUSABLE. New reference. */
json_t *mesh_feed_versions(const struct mesh_feed *feed);
/** ["VirtualService ns/name", ...] that are not in force because they cannot be read. New reference. */
json_t *mesh_feed_bad(const struct mesh_feed *feed);
/** Writes no more to saved_dir. */
void mesh_feed_saved_stop(struct mesh_feed *feed);
/** Removes what was saved. dir NULL: nothing. */
void mesh_feed_saved_remove(const char *dir);

#endif
