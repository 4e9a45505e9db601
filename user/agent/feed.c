/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/feed.h"

#include "agent/slices.h"
#include "config/decode.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>

/* One kind. set() decodes and puts in (0, or -EINVAL); 1 from set() says that nothing of interest changed. */
struct feed_kind {
	const char *resource; /* plural and group, as in the in-force annotation */
	const char *kind;
	const char *path;
	bool generation; /* an unchanged metadata.generation means unchanged content */
	enum { FEED_BOTH, FEED_GATEWAY, FEED_AGENT } who;
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
	bool synced;
};

enum { FEED_MAX = 16 };

struct mesh_feed {
	struct mesh_feed_opts opts;
	struct mesh_snapshot snap;
	struct mesh_slices *slices;
	struct feed_watch watches[FEED_MAX];
	size_t watch_count, synced_count;
};

static const char *meta(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(json_object_get(obj, "metadata"), key));

	return s ? s : "";
}

static bool text_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool labels_same(const struct mesh_labels *a, const struct mesh_labels *b)
{
	return a->count == b->count && mesh_labels_match(a, b);
}

static bool workload_same(const struct mesh_workload *a, const struct mesh_workload *b)
{
	if (!a || !text_same(a->uid, b->uid) || !text_same(a->node, b->node) || a->ip_count != b->ip_count)
		return false;
	for (size_t i = 0; i < a->ip_count; i++)
		if (!mesh_addr_eq(&a->ips[i], &b->ips[i]))
			return false;
	return a->host_network == b->host_network && a->ready == b->ready && a->terminating == b->terminating &&
	       a->finished == b->finished && labels_same(&a->labels, &b->labels) &&
	       labels_same(&a->annotations, &b->annotations);
}

static int set_pod(struct mesh_feed *feed, const json_t *obj)
{
	const struct mesh_workload *before;
	struct mesh_workload *w;
	int r = mesh_decode_pod(obj, &w);

	if (r < 0)
		return r;
	before = mesh_snapshot_workload(&feed->snap, w->ns, w->name);
	if (workload_same(before, w)) {
		mesh_workload_free(w);
		return 1;
	}
	if (feed->opts.pod)
		feed->opts.pod(feed->opts.arg, before, w);
	mesh_snapshot_set_workload(&feed->snap, w->ns, w->name, w);
	return 0;
}

static void remove_pod(struct mesh_feed *feed, const char *ns, const char *name)
{
	const struct mesh_workload *before = mesh_snapshot_workload(&feed->snap, ns, name);

	if (before && feed->opts.pod)
		feed->opts.pod(feed->opts.arg, before, NULL);
	mesh_snapshot_set_workload(&feed->snap, ns, name, NULL);
}

static int set_slice(struct mesh_feed *feed, const json_t *obj)
{
	struct mesh_endpoint_pieces *pieces;
	int r = mesh_decode_endpoint_slice(obj, &pieces);

	if (r < 0)
		return r;
	mesh_slices_set(feed->slices, &feed->snap, pieces);
	return 0;
}

static void remove_slice(struct mesh_feed *feed, const char *ns, const char *name)
{
	mesh_slices_remove(feed->slices, &feed->snap, ns, name);
}

#define SIMPLE_KIND(word, type)                                                                                        \
	static int set_##word(struct mesh_feed *feed, const json_t *obj)                                               \
	{                                                                                                              \
		struct type *v;                                                                                        \
		int r = mesh_decode_##word(obj, &v);                                                                   \
                                                                                                                       \
		if (r < 0)                                                                                             \
			return r;                                                                                      \
		mesh_snapshot_set_##word(&feed->snap, v->ns, v->name, v);                                              \
		return 0;                                                                                              \
	}                                                                                                              \
	static void remove_##word(struct mesh_feed *feed, const char *ns, const char *name)                            \
	{                                                                                                              \
		mesh_snapshot_set_##word(&feed->snap, ns, name, NULL);                                                 \
	}

SIMPLE_KIND(service, mesh_service)
SIMPLE_KIND(virtual_service, mesh_virtual_service)
SIMPLE_KIND(destination_rule, mesh_destination_rule)
SIMPLE_KIND(gateway, mesh_gateway)

static bool machine_same(const struct mesh_machine *a, const struct mesh_machine *b)
{
	if (!a || !text_same(a->zone, b->zone) || a->ip_count != b->ip_count)
		return false;
	for (size_t i = 0; i < a->ip_count; i++)
		if (!mesh_addr_ip_eq(&a->ips[i], &b->ips[i]))
			return false;
	return true;
}

/* A Node changes all the time; of interest are its addresses and zone. */
static int set_node(struct mesh_feed *feed, const json_t *obj)
{
	struct mesh_machine *m;
	int r = mesh_decode_node(obj, &m);

	if (r < 0)
		return r;
	if (machine_same(mesh_map_get_str(&feed->snap.machines, m->name), m)) {
		mesh_machine_free(m);
		return 1;
	}
	mesh_snapshot_set_machine(&feed->snap, "", m->name, m);
	return 0;
}

static void remove_node(struct mesh_feed *feed, const char *ns, const char *name)
{
	mesh_snapshot_set_machine(&feed->snap, ns, name, NULL);
}

/* One roll counts: "default" of the mesh's namespace. Members that left are taken out. */
static int set_roll_members(struct mesh_feed *feed, const struct mesh_member_roll *roll)
{
	struct mesh_map gone = {0};
	int changed = 0;

	mesh_map_each (e, &feed->snap.members)
		mesh_map_put(&gone, mesh_slice_of(e->key, e->key_len), feed);
	for (size_t i = 0; roll && i < roll->configured_count; i++) {
		changed |= !mesh_map_get_str(&feed->snap.members, roll->configured[i]);
		mesh_snapshot_set_member(&feed->snap, roll->configured[i], true);
		mesh_map_remove_str(&gone, roll->configured[i]);
	}
	mesh_map_each (e, &gone) {
		mesh_snapshot_set_member(&feed->snap, e->key, false);
		changed = 1;
	}
	mesh_map_free(&gone);
	return changed ? 0 : 1;
}

static int set_roll(struct mesh_feed *feed, const json_t *obj)
{
	struct mesh_member_roll *roll;
	int r;

	if (strcmp(meta(obj, "name"), "default") != 0)
		return 1;
	r = mesh_decode_member_roll(obj, &roll);
	if (r < 0)
		return r;
	r = set_roll_members(feed, roll);
	mesh_member_roll_free(roll);
	return r;
}

static void remove_roll(struct mesh_feed *feed, const char *ns, const char *name)
{
	(void)ns;
	if (strcmp(name, "default") == 0)
		set_roll_members(feed, NULL);
}

static const struct feed_kind kinds[] = {
	{"pods", "Pod", "/api/v1/pods", false, FEED_BOTH, set_pod, remove_pod},
	{"services", "Service", "/api/v1/services", false, FEED_BOTH, set_service, remove_service},
	{"endpointslices.discovery.k8s.io", "EndpointSlice", "/apis/discovery.k8s.io/v1/endpointslices", false,
	 FEED_BOTH, set_slice, remove_slice},
	{"nodes", "Node", "/api/v1/nodes", false, FEED_AGENT, set_node, remove_node},
	{"virtualservices.networking.istio.io", "VirtualService", "/apis/networking.istio.io/v1beta1/virtualservices",
	 true, FEED_BOTH, set_virtual_service, remove_virtual_service},
	{"destinationrules.networking.istio.io", "DestinationRule",
	 "/apis/networking.istio.io/v1beta1/destinationrules", true, FEED_BOTH, set_destination_rule,
	 remove_destination_rule},
	{"gateways.networking.istio.io", "Gateway", "/apis/networking.istio.io/v1beta1/gateways", true, FEED_GATEWAY,
	 set_gateway, remove_gateway},
	{"servicemeshmemberrolls.maistra.io", "ServiceMeshMemberRoll",
	 "/apis/maistra.io/v1/namespaces/" MESH_ROOT_NAMESPACE "/servicemeshmemberrolls", false, FEED_BOTH, set_roll,
	 remove_roll},
};

_Static_assert(MESH_ARRAY_SIZE(kinds) <= FEED_MAX, "struct mesh_feed has room for all kinds");

/* Whether this uid and generation were seen before; remembers them. */
static bool seen_generation(struct feed_watch *w, struct mesh_slice key, const json_t *obj)
{
	json_t *generation = json_object_get(json_object_get(obj, "metadata"), "generation");
	char *now, *before;
	bool same;

	if (!w->kind->generation || !json_is_integer(generation))
		return false;
	now = mesh_xasprintf("%s %lld", meta(obj, "uid"), (long long)json_integer_value(generation));
	before = mesh_map_put(&w->generations, key, now);
	same = before && strcmp(before, now) == 0;
	free(before);
	return same;
}

static enum mesh_feed_change apply_set(struct feed_watch *w, struct mesh_slice key, const json_t *obj)
{
	int r;

	if (seen_generation(w, key, obj))
		return MESH_FEED_VERSION;
	r = w->kind->set(w->feed, obj);
	if (r < 0) {
		mesh_warn("%s %.*s cannot be used; what was in force for it stays", w->kind->kind, (int)key.len,
			  key.ptr);
		mesh_map_put(&w->bad, key, w);
		return MESH_FEED_VERSION;
	}
	mesh_map_remove(&w->bad, key);
	return r == 0 ? MESH_FEED_CONTENT : MESH_FEED_VERSION;
}

static enum mesh_feed_change apply_delete(struct feed_watch *w, struct mesh_slice key, const json_t *obj)
{
	free(mesh_map_remove(&w->generations, key));
	mesh_map_remove(&w->bad, key);
	w->kind->remove(w->feed, meta(obj, "namespace"), meta(obj, "name"));
	return MESH_FEED_CONTENT;
}

/* A roll takes effect by the status that control writes: until then its change is not in force here. */
static bool awaits_control(const struct feed_watch *w, enum mesh_kube_event event, const json_t *obj)
{
	json_t *observed = json_object_get(json_object_get(obj, "status"), "observedGeneration");
	json_t *generation = json_object_get(json_object_get(obj, "metadata"), "generation");

	return event == MESH_KUBE_SET && w->kind->set == set_roll &&
	       json_integer_value(observed) < json_integer_value(generation);
}

static void on_event(void *arg, enum mesh_kube_event event, const json_t *obj, const char *rv)
{
	struct feed_watch *w = arg;
	struct mesh_feed *feed = w->feed;
	enum mesh_feed_change change = MESH_FEED_VERSION;
	char buf[MESH_SNAPSHOT_KEY];
	struct mesh_slice key = {0};

	if (rv && *rv && !awaits_control(w, event, obj)) {
		free(w->version);
		w->version = mesh_xstrdup(rv);
	}
	if (obj)
		key = mesh_snapshot_key(buf, sizeof(buf), meta(obj, "namespace"), meta(obj, "name"), NULL);
	if (event == MESH_KUBE_SET)
		change = apply_set(w, key, obj);
	else if (event == MESH_KUBE_DELETE)
		change = apply_delete(w, key, obj);
	else if (!w->synced) {
		w->synced = true;
		feed->synced_count++;
		change = MESH_FEED_CONTENT;
	}
	if (mesh_feed_synced(feed))
		feed->opts.changed(feed->opts.arg, change);
}

int mesh_feed_new(struct mesh_feed **ret, struct mesh_kube *kube, const struct mesh_feed_opts *opts)
{
	struct mesh_feed *feed = mesh_xcalloc(1, sizeof(*feed));

	feed->opts = *opts;
	feed->snap.node = opts->node;
	feed->slices = mesh_slices_new();
	for (size_t i = 0; i < MESH_ARRAY_SIZE(kinds); i++) {
		struct feed_watch *w = &feed->watches[feed->watch_count];

		if (kinds[i].who == FEED_GATEWAY ? !opts->gateways : kinds[i].who == FEED_AGENT && !opts->node)
			continue;
		feed->watch_count++;
		w->feed = feed;
		w->kind = &kinds[i];
		w->watch = mesh_kube_watch_new(kube, kinds[i].path, NULL, on_event, w);
	}
	*ret = feed;
	return 0;
}

void mesh_feed_free(struct mesh_feed *feed)
{
	if (!feed)
		return;
	for (size_t i = 0; i < feed->watch_count; i++) {
		struct feed_watch *w = &feed->watches[i];

		mesh_kube_watch_free(w->watch);
		mesh_map_each (e, &w->generations)
			free(e->value);
		mesh_map_free(&w->generations);
		mesh_map_free(&w->bad);
		free(w->version);
	}
	mesh_slices_free(feed->slices);
	mesh_snapshot_free(&feed->snap);
	free(feed);
}

const struct mesh_snapshot *mesh_feed_snapshot(const struct mesh_feed *feed)
{
	return &feed->snap;
}

bool mesh_feed_synced(const struct mesh_feed *feed)
{
	return feed->synced_count == feed->watch_count && feed->watch_count > 0;
}

json_t *mesh_feed_versions(const struct mesh_feed *feed)
{
	json_t *ret = json_object();

	for (size_t i = 0; i < feed->watch_count; i++)
		if (feed->watches[i].version)
			json_object_set_new(ret, feed->watches[i].kind->resource,
					    json_string(feed->watches[i].version));
	return ret;
}

json_t *mesh_feed_bad(const struct mesh_feed *feed)
{
	json_t *ret = json_array();

	for (size_t i = 0; i < feed->watch_count; i++)
		mesh_map_each (e, &feed->watches[i].bad)
			json_array_append_new(ret, json_sprintf("%s %s", feed->watches[i].kind->kind, e->key));
	return ret;
}
