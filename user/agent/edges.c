/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/edges.h"

#include "agent/pod.h"
#include "core/log.h"
#include "core/mem.h"
#include "model/names.h"

#include <errno.h>

#define RETRY_NS MESH_MS(500)

struct edge {
	char *name, *uid;
	struct mesh_addr *ips;
	size_t ip_count;
	uint64_t netns_cookie; /* 0: not found yet */
};

struct mesh_edges {
	struct mesh_loop *loop;
	struct mesh_dp *dp;
	const char *node;
	struct mesh_map by_name; /* "NS/NAME" -> struct edge * */
	struct mesh_timer retry;
	bool left;
};

static bool is_edge(const struct mesh_edges *edges, const struct mesh_snapshot *snap, const struct mesh_workload *w)
{
	const char *product = mesh_labels_get(&w->labels, MESH_LABEL_NAME);
	const char *component = mesh_labels_get(&w->labels, MESH_LABEL_COMPONENT);

	return !w->partial && !w->host_network && !w->finished && w->ip_count && w->node &&
	       strcmp(w->node, edges->node) == 0 && product && strcmp(product, "sockmesh") == 0 && component &&
	       strcmp(component, "gateway") == 0 && !mesh_map_get_str(&snap->members, w->ns); /* those are captured */
}

static bool is_same(const struct edge *e, const struct mesh_workload *w)
{
	if (strcmp(e->uid, mesh_agent_pod_uid(w)) != 0 || e->ip_count != w->ip_count)
		return false;
	for (size_t i = 0; i < w->ip_count; i++)
		if (!mesh_addr_ip_eq(&e->ips[i], &w->ips[i]))
			return false;
	return true;
}

static void edge_free(struct edge *e)
{
	free(e->name);
	free(e->uid);
	free(e->ips);
	free(e);
}

static void let_go(struct mesh_edges *edges, struct edge *e)
{
	if (e->netns_cookie)
		mesh_dp_unguard(edges->dp, e->netns_cookie);
	edge_free(e);
}

/* Returns whether it was found. */
static bool find(struct mesh_edges *edges, struct edge *e)
{
	struct mesh_dp_found found = {.netns_fd = -1};

	if (mesh_dp_find(edges->dp, &e->ips[0], e->uid, &found) < 0)
		return false;
	mesh_dp_guard(edges->dp, &found, e->ips, e->ip_count, e->name);
	e->netns_cookie = found.netns_cookie;
	mesh_dp_found_free(&found);
	mesh_info("gateway %s is on this node: its flows to pods here may be bypassed", e->name);
	return true;
}

static void try_all(struct mesh_edges *edges)
{
	bool missing = false;

	mesh_map_each (entry, &edges->by_name) {
		struct edge *e = entry->value;

		missing |= !e->netns_cookie && !find(edges, e);
	}
	if (missing)
		mesh_timer_set(edges->loop, &edges->retry, RETRY_NS);
}

static void on_retry(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	try_all(mesh_container_of(timer, struct mesh_edges, retry));
}

struct mesh_edges *mesh_edges_new(struct mesh_loop *loop, struct mesh_dp *dp, const char *node)
{
	struct mesh_edges *edges = mesh_xcalloc(1, sizeof(*edges));

	*edges = (struct mesh_edges){.loop = loop, .dp = dp, .node = node, .retry.fn = on_retry};
	return edges;
}

void mesh_edges_free(struct mesh_edges *edges)
{
	if (!edges)
		return;
	mesh_timer_remove(edges->loop, &edges->retry);
	mesh_map_each (entry, &edges->by_name)
		edge_free(entry->value);
	mesh_map_free(&edges->by_name);
	free(edges);
}

static void add(struct mesh_edges *edges, struct mesh_slice key, const struct mesh_workload *w)
{
	struct edge *e = mesh_xcalloc(1, sizeof(*e));

	e->name = mesh_xstrdup(w->name);
	e->uid = mesh_xstrdup(mesh_agent_pod_uid(w));
	e->ips = mesh_xcalloc(w->ip_count, sizeof(*e->ips));
	memcpy(e->ips, w->ips, w->ip_count * sizeof(*e->ips));
	e->ip_count = w->ip_count;
	mesh_map_put(&edges->by_name, key, e);
}

void mesh_edges_update(struct mesh_edges *edges, const struct mesh_snapshot *snap)
{
	if (edges->left)
		return;
	mesh_map_each (entry, &edges->by_name) {
		struct mesh_slice key = mesh_slice_of(entry->key, entry->key_len);
		const struct mesh_workload *w = mesh_map_get(&snap->workloads, key);

		if (!w || !is_edge(edges, snap, w) || !is_same(entry->value, w))
			let_go(edges, mesh_map_remove(&edges->by_name, key));
	}
	mesh_map_each (entry, &snap->workloads) {
		struct mesh_slice key = mesh_slice_of(entry->key, entry->key_len);

		if (is_edge(edges, snap, entry->value) && !mesh_map_get(&edges->by_name, key))
			add(edges, key, entry->value);
	}
	try_all(edges);
}

void mesh_edges_leave(struct mesh_edges *edges)
{
	edges->left = true;
	mesh_timer_remove(edges->loop, &edges->retry);
	mesh_map_each (entry, &edges->by_name)
		let_go(edges, mesh_map_remove(&edges->by_name, mesh_slice_of(entry->key, entry->key_len)));
}
