/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which endpoints of a service take new connections, as kube-proxy decides it: ready ones, of this node alone for
 * internalTrafficPolicy Local, those that hints keep near where every ready one has such a hint, and where none is
 * ready those that still serve while they end. A pod's own state is news before its EndpointSlice says so.
 */
#include "compile/builder.h"

#include "core/mem.h"

enum state { STATE_GONE, STATE_ENDING, STATE_READY };

static bool is_local(struct mesh_builder *b, const struct mesh_endpoint *e)
{
	return b->snap->node && e->node && strcmp(e->node, b->snap->node) == 0;
}

/* What the pod itself says, so far as it is known. */
static enum state pod_state(struct mesh_builder *b, const struct mesh_service *svc, const struct mesh_endpoint *e,
			    const struct mesh_subset *subset)
{
	const struct mesh_workload *w;

	if (svc->entry)
		return !subset || mesh_labels_match(e->labels, &subset->labels) ? STATE_READY : STATE_GONE;
	if (!e->pod)
		return subset && subset->labels.count ? STATE_GONE : STATE_READY;
	w = mesh_snapshot_workload(b->snap, svc->ns, e->pod);
	if (!w && b->snap->node && !is_local(b, e)) /* whose pods are not followed */
		return subset && subset->labels.count ? STATE_GONE : STATE_READY;
	if (!w || w->finished || (!w->ready && !w->partial && !svc->publish_not_ready))
		return STATE_GONE;
	if (subset && !mesh_labels_match(&w->labels, &subset->labels))
		return STATE_GONE;
	return w->terminating && !svc->publish_not_ready ? STATE_ENDING : STATE_READY;
}

static enum state state_of(struct mesh_builder *b, const struct mesh_target *t, const struct mesh_endpoint *e)
{
	enum state pod = pod_state(b, t->svc, e, t->subset);

	if (pod == STATE_READY && e->ready && (!e->terminating || t->svc->publish_not_ready))
		return STATE_READY;
	if (pod != STATE_GONE && e->serving)
		return STATE_ENDING;
	return STATE_GONE;
}

enum near { NEAR_ANY, NEAR_ZONE, NEAR_NODE };

static bool is_near(struct mesh_builder *b, const struct mesh_endpoint *e, enum near near)
{
	const struct mesh_machine *here = mesh_snapshot_here(b->snap);

	switch (near) {
	case NEAR_NODE:
		return mesh_hint_has(e->hints, "node", b->snap->node);
	case NEAR_ZONE:
		return here && mesh_hint_has(e->hints, "zone", here->zone);
	case NEAR_ANY:
		break;
	}
	return true;
}

/* Hints count only where every endpoint has one of that kind, and one of them is for here. */
static enum near near_of(struct mesh_builder *b, const struct mesh_endpoint **list, size_t count)
{
	bool node = false, all_nodes = true, zone = false, all_zones = true;

	for (size_t i = 0; i < count; i++) {
		if (!list[i]->hints)
			return NEAR_ANY;
		all_nodes &= mesh_hint_has(list[i]->hints, "node", "*");
		all_zones &= mesh_hint_has(list[i]->hints, "zone", "*");
		node |= is_near(b, list[i], NEAR_NODE);
		zone |= is_near(b, list[i], NEAR_ZONE);
	}
	if (all_nodes && node)
		return NEAR_NODE;
	return all_zones && zone ? NEAR_ZONE : NEAR_ANY;
}

static size_t keep_near(struct mesh_builder *b, const struct mesh_endpoint **list, size_t count)
{
	enum near near = near_of(b, list, count);
	size_t n = 0;

	if (near == NEAR_ANY)
		return count;
	for (size_t i = 0; i < count; i++)
		if (is_near(b, list[i], near))
			list[n++] = list[i];
	return n;
}

static size_t collect(struct mesh_builder *b, const struct mesh_target *t, const struct mesh_endpoints *all,
		      enum state state, const struct mesh_endpoint **list)
{
	size_t n = 0;

	for (size_t i = 0; i < all->count; i++) {
		const struct mesh_endpoint *e = &all->items[i];

		if (t->family != MESH_FAMILY_ANY && mesh_family_of(&e->addr) != t->family)
			continue;
		if ((!t->local || is_local(b, e)) && state_of(b, t, e) == state)
			list[n++] = e;
	}
	return n;
}

size_t mesh_builder_endpoints(struct mesh_builder *b, const struct mesh_target *t, const struct mesh_endpoint ***ret)
{
	const struct mesh_endpoints *all = NULL;
	const struct mesh_endpoint **list;
	size_t n;

	*ret = NULL;
	if (t->svc && t->port && !t->missing_subset)
		all = mesh_builder_all_endpoints(b, t->svc, t->port);
	if (!all || !all->count)
		return 0;
	list = mesh_xcalloc(all->count, sizeof(*list));
	n = collect(b, t, all, STATE_READY, list);
	if (n && !t->local)
		n = keep_near(b, list, n);
	else if (!n)
		n = collect(b, t, all, STATE_ENDING, list);
	*ret = list;
	return n;
}
