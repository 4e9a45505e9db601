/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of an object of each kind: decoded, and put into the snapshot or taken out. */
#include "agent/feed_internal.h"
#include "config/decode.h"
#include "core/mem.h"

#include <errno.h>

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
	return a->partial == b->partial && a->host_network == b->host_network && a->ready == b->ready &&
	       a->terminating == b->terminating && a->finished == b->finished && labels_same(&a->labels, &b->labels) &&
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

	if (before && before->partial)
		return;
	if (before && feed->opts.pod)
		feed->opts.pod(feed->opts.arg, before, NULL);
	mesh_snapshot_set_workload(&feed->snap, ns, name, NULL);
}

/* The labels of a pod, which is not one of this node's. */
static int set_labels(struct mesh_feed *feed, const json_t *obj)
{
	const struct mesh_workload *before;
	struct mesh_workload *w;
	int r = mesh_decode_pod(obj, &w);

	if (r < 0)
		return r;
	before = mesh_snapshot_workload(&feed->snap, w->ns, w->name);
	w->partial = true;
	w->ready = w->finished = false;
	if (before && (!before->partial || workload_same(before, w))) {
		mesh_workload_free(w);
		return 1;
	}
	mesh_snapshot_set_workload(&feed->snap, w->ns, w->name, w);
	return 0;
}

static void remove_labels(struct mesh_feed *feed, const char *ns, const char *name)
{
	const struct mesh_workload *before = mesh_snapshot_workload(&feed->snap, ns, name);

	if (before && before->partial)
		mesh_snapshot_set_workload(&feed->snap, ns, name, NULL);
}

static bool has_endpoint(const struct mesh_endpoint_pieces *pieces, const struct mesh_addr *ip)
{
	for (size_t i = 0; pieces && i < pieces->count; i++)
		for (size_t k = 0; k < pieces->items[i]->count; k++)
			if (mesh_addr_ip_eq(&pieces->items[i]->items[k].addr, ip))
				return true;
	return false;
}

/* An endpoint that was ending, or whose pod is known to be, and is not there any more, is gone; others may only have
 * left the service: who can find out is told. */
static void tell_gone(struct mesh_feed *feed, const struct mesh_endpoint_pieces *old,
		      const struct mesh_endpoint_pieces *now)
{
	for (size_t i = 0; feed->opts.gone && old && i < old->count; i++)
		for (size_t k = 0; k < old->items[i]->count; k++) {
			const struct mesh_endpoint *e = &old->items[i]->items[k];
			const struct mesh_workload *w =
				e->pod ? mesh_snapshot_workload(&feed->snap, old->ns, e->pod) : NULL;

			if (has_endpoint(now, &e->addr))
				continue;
			/* Who watches all pods knows that one is no more. */
			if (e->terminating || (w && w->terminating) || (!w && e->pod && !feed->opts.node))
				feed->opts.gone(feed->opts.arg, &e->addr);
			else if (feed->opts.left && e->pod && (!w || w->partial))
				feed->opts.left(feed->opts.arg, old->ns, e->pod, &e->addr);
		}
}

static int set_slice(struct mesh_feed *feed, const json_t *obj)
{
	struct mesh_endpoint_pieces *pieces;
	int r = mesh_decode_endpoint_slice(obj, &pieces);

	if (r < 0)
		return r;
	tell_gone(feed, mesh_slices_get(feed->slices, pieces->ns, pieces->name), pieces);
	mesh_slices_set(feed->slices, &feed->snap, pieces);
	return 0;
}

static void remove_slice(struct mesh_feed *feed, const char *ns, const char *name)
{
	tell_gone(feed, mesh_slices_get(feed->slices, ns, name), NULL);
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

SIMPLE_KIND(virtual_service, mesh_virtual_service)
SIMPLE_KIND(gateway, mesh_gateway)
SIMPLE_KIND(service_entry, mesh_service_entry)

/* Annotations that are not ours say nothing here. */
static void keep_ours(struct mesh_labels *annotations)
{
	size_t n = 0;

	for (size_t i = 0; i < annotations->count; i++) {
		struct mesh_label *one = &annotations->items[i];

		if (strncmp(one->key, "sockmesh.io/", strlen("sockmesh.io/")) == 0) {
			annotations->items[n++] = *one;
			continue;
		}
		free(one->key);
		free(one->value);
	}
	annotations->count = n;
	if (n == 0)
		mesh_labels_free(annotations);
}

/* Of thousands of services only what routing asks for is kept. */
static int set_service(struct mesh_feed *feed, const json_t *obj)
{
	struct mesh_service *svc;
	int r = mesh_decode_service(obj, &svc);

	if (r < 0)
		return r;
	mesh_labels_free(&svc->labels);
	keep_ours(&svc->annotations);
	if (!feed->opts.gateways) /* which look for the Services of their own pod */
		mesh_labels_free(&svc->selector);
	mesh_snapshot_set_service(&feed->snap, svc->ns, svc->name, svc);
	return 0;
}

static void remove_service(struct mesh_feed *feed, const char *ns, const char *name)
{
	mesh_snapshot_set_service(&feed->snap, ns, name, NULL);
}

static int set_destination_rule(struct mesh_feed *feed, const json_t *obj)
{
	struct mesh_destination_rule *dr;
	int r = mesh_decode_destination_rule(obj, &dr);

	if (r < 0)
		return r;
	feed->rules_changed = true;
	mesh_snapshot_set_destination_rule(&feed->snap, dr->ns, dr->name, dr);
	return 0;
}

static void remove_destination_rule(struct mesh_feed *feed, const char *ns, const char *name)
{
	feed->rules_changed = true;
	mesh_snapshot_set_destination_rule(&feed->snap, ns, name, NULL);
}

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

/* Of a namespace, what it asks for its pods. */
static int set_namespace(struct mesh_feed *feed, const json_t *obj)
{
	const json_t *annotations = json_object_get(json_object_get(obj, "metadata"), "annotations");
	const char *text = json_string_value(json_object_get(annotations, MESH_SPLICE_ANNOTATION));

	return mesh_snapshot_set_splice(&feed->snap, mesh_meta(obj, "name"), text) ? 0 : 1;
}

static void remove_namespace(struct mesh_feed *feed, const char *ns, const char *name)
{
	(void)ns;
	mesh_snapshot_set_splice(&feed->snap, name, NULL);
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
	feed->rules_changed |= changed;
	return changed ? 0 : 1;
}

static int set_roll(struct mesh_feed *feed, const json_t *obj)
{
	struct mesh_member_roll *roll;
	int r;

	if (strcmp(mesh_meta(obj, "name"), "default") != 0)
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

const struct feed_kind mesh_feed_kinds[] = {
	{.resource = "pods", .kind = "Pod", .path = "/api/v1/pods", .set = set_pod, .remove = remove_pod},
	{.resource = "services",
	 .kind = "Service",
	 .path = "/api/v1/services",
	 .set = set_service,
	 .remove = remove_service},
	{.resource = "endpointslices.discovery.k8s.io",
	 .kind = "EndpointSlice",
	 .path = "/apis/discovery.k8s.io/v1/endpointslices",
	 .set = set_slice,
	 .remove = remove_slice},
	{.resource = "nodes",
	 .kind = "Node",
	 .path = "/api/v1/nodes",
	 .who = FEED_AGENT,
	 .set = set_node,
	 .remove = remove_node},
	{.resource = "namespaces",
	 .kind = "Namespace",
	 .path = "/api/v1/namespaces",
	 .who = FEED_AGENT,
	 .set = set_namespace,
	 .remove = remove_namespace},
	{.resource = "virtualservices.networking.istio.io",
	 .kind = "VirtualService",
	 .path = "/apis/networking.istio.io/v1beta1/virtualservices",
	 .generation = true,
	 .set = set_virtual_service,
	 .remove = remove_virtual_service},
	{.resource = "destinationrules.networking.istio.io",
	 .kind = "DestinationRule",
	 .path = "/apis/networking.istio.io/v1beta1/destinationrules",
	 .generation = true,
	 .set = set_destination_rule,
	 .remove = remove_destination_rule},
	{.resource = "serviceentries.networking.istio.io",
	 .kind = "ServiceEntry",
	 .path = "/apis/networking.istio.io/v1beta1/serviceentries",
	 .generation = true,
	 .set = set_service_entry,
	 .remove = remove_service_entry},
	{.resource = "gateways.networking.istio.io",
	 .kind = "Gateway",
	 .path = "/apis/networking.istio.io/v1beta1/gateways",
	 .generation = true,
	 .who = FEED_GATEWAY,
	 .set = set_gateway,
	 .remove = remove_gateway},
	{.resource = "servicemeshmemberrolls.maistra.io",
	 .kind = "ServiceMeshMemberRoll",
	 .path = "/apis/maistra.io/v1/namespaces/" MESH_ROOT_NAMESPACE "/servicemeshmemberrolls",
	 .set = set_roll,
	 .remove = remove_roll},
};
const size_t mesh_feed_kind_count = MESH_ARRAY_SIZE(mesh_feed_kinds);

const struct feed_kind mesh_feed_label_kind = {
	.resource = "pods/labels", .kind = "Pod", .set = set_labels, .remove = remove_labels};

_Static_assert(MESH_ARRAY_SIZE(mesh_feed_kinds) <= FEED_MAX, "struct mesh_feed has room for all kinds");

bool mesh_feed_is_roll(const struct feed_kind *kind)
{
	return kind->set == set_roll;
}

bool mesh_feed_is_pods(const struct feed_kind *kind)
{
	return kind->set == set_pod;
}
