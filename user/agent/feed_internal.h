/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the feed share; nobody else includes it: the kinds that are watched, and the feed itself. */
#ifndef MESH_AGENT_FEED_INTERNAL_H
#define MESH_AGENT_FEED_INTERNAL_H

#include "agent/feed.h"
#include "agent/saved.h"
#include "agent/slices.h"
#include "config/get.h"

/* One kind. set() decodes and puts in (0, or -EINVAL); 1 from set() says that nothing of interest changed. */
struct feed_kind {
	const char *resource; /* plural and group, as in the in-force annotation */
	const char *kind;
	const char *path;
	bool generation; /* an unchanged metadata.generation means unchanged content */
	enum { FEED_BOTH, FEED_GATEWAY, FEED_AGENT } who;
	unsigned page; /* objects in a page of its list; 0: as usual */
	int (*set)(struct mesh_feed *feed, const json_t *obj);
	void (*remove)(struct mesh_feed *feed, const char *ns, const char *name);
};

struct feed_watch {
	struct mesh_feed *feed;
	const struct feed_kind *kind;
	struct mesh_kube_watch *watch;
	struct mesh_map generations; /* "NS/NAME" -> strdup of "UID GENERATION" */
	struct mesh_map bad;         /* "NS/NAME" -> non-NULL */
	char *version;
	char *ns; /* labels of pods: of this namespace; else NULL */
	bool synced;
};

enum { FEED_MAX = 16 };

struct mesh_feed {
	struct mesh_feed_opts opts;
	struct mesh_kube *kube;
	struct mesh_snapshot snap;
	struct mesh_slices *slices;
	struct feed_watch watches[FEED_MAX];
	size_t watch_count, synced_count;
	struct mesh_map label_watches; /* namespace -> struct feed_watch * */
	struct mesh_saved *saved;
	bool committed, from_saved, loading;
	bool rules_changed;            /* subsets or members: other pods' labels may be needed now */
	bool pending, pending_content; /* changes that are held back */
	bool given_up;                 /* on streams that are not in step; until they are */
	uint64_t started_ns, pending_since_ns, hurried_ns;
	uint64_t heard_ns; /* when the API last said anything of an object */
	struct mesh_timer timer;
	char trouble[320];
};

/* feed_kinds.c: what the feed watches; each set() and remove() changes the snapshot. */
extern const struct feed_kind mesh_feed_kinds[];
extern const size_t mesh_feed_kind_count;
/* Labels of pods elsewhere, a watch for each namespace. */
extern const struct feed_kind mesh_feed_label_kind;
/** Is this the kind of the ServiceMeshMemberRoll, which takes effect by its status? */
bool mesh_feed_is_roll(const struct feed_kind *kind);
/** Is this the kind of the Pod, of which an agent watches its node's alone? */
bool mesh_feed_is_pods(const struct feed_kind *kind);

#endif
