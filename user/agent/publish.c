/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change walks forward: feed -> mesh_agent_publish(): compile, proxy, kernel, pods -> lease. The proxy
 * is first, so that no flow the kernel sends to it finds a configuration that does not know it.
 */
#include "agent/state.h"

#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <libgen.h>

#define TRIM_NS MESH_SEC(1)

/*
 * Namespaces that have, or will have in a moment, a pod here to be captured: the clients that tables are made
 * for. *seen gets them as keys.
 */
static size_t client_namespaces(struct mesh_agent *a, const struct mesh_snapshot *snap, struct mesh_map *seen,
				const char ***ret)
{
	MESH_VEC(const char *) list = {0};

	mesh_map_each (e, &snap->workloads) {
		const struct mesh_workload *w = e->value;

		if (!w->partial && (mesh_pods_wants(a->pods, snap, w) || mesh_pods_awaits(a->pods, snap, w)))
			mesh_map_put_str(seen, w->ns, a);
	}
	mesh_map_each (e, &a->asked)
		if (mesh_map_get(&snap->members, mesh_slice_of(e->key, e->key_len)))
			mesh_map_put_str(seen, e->key, a);
	mesh_map_each (e, seen)
		mesh_vec_push(&list, e->key);
	*ret = list.items;
	return list.count;
}

static int apply_kernel(struct mesh_agent *a, const struct mesh_l4_delta *delta)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	int r = mesh_dp_change(a->dp, delta, &errs);

	if (r == 0)
		return 0;
	mesh_compiler_all(a->compiler); /* whatever of this is in force: the next brings all of it */
	a->apply_failures++;
	mesh_vec_each (e, &errs.list)
		mesh_error("kernel tables: %s", e->text);
	if (errs.list.count == 0)
		mesh_error("kernel tables: %s", strerror(-r));
	return r;
}

/* An address that is another pod's by now has flows of its own. */
static void keep_reused(struct mesh_agent *a, struct mesh_map *gone)
{
	mesh_map_each (e, gone) {
		const struct mesh_agent_gone *g = e->value;

		if (mesh_pods_captured(a->pods, &g->ip))
			mesh_map_remove(gone, mesh_slice_of(e->key, e->key_len));
	}
	mesh_map_each (e, &mesh_feed_snapshot(a->feed)->workloads) {
		const struct mesh_workload *w = e->value;

		for (size_t i = 0; !w->finished && !w->host_network && i < w->ip_count; i++)
			mesh_map_remove(gone, mesh_ip_key(&w->ips[i]));
	}
}

/* The same of addresses elsewhere: those that an EndpointSlice has, and not as one that ends. */
static void keep_listed(struct mesh_agent *a, struct mesh_map *gone)
{
	mesh_map_each (e, &mesh_feed_snapshot(a->feed)->endpoints) {
		const struct mesh_endpoints *list = e->value;

		for (size_t i = 0; i < list->count; i++) {
			const struct mesh_agent_gone *g = mesh_map_get(gone, mesh_ip_key(&list->items[i].addr));

			if (g && g->elsewhere && !list->items[i].terminating)
				mesh_map_remove(gone, mesh_ip_key(&g->ip));
		}
	}
}

void mesh_agent_end_gone(struct mesh_agent *a)
{
	mesh_auto(mesh_map_free) struct mesh_map gone = {0};
	bool elsewhere = false;

	if (!a->gone.count)
		return;
	mesh_vec_each (g, &a->gone) {
		mesh_map_put(&gone, mesh_ip_key(&g->ip), g);
		elsewhere |= g->elsewhere;
	}
	keep_reused(a, &gone);
	if (elsewhere)
		keep_listed(a, &gone);
	mesh_map_each (e, &gone) {
		const struct mesh_agent_gone *g = e->value;
		unsigned n = mesh_pods_end_flows(a->pods, &g->ip, NULL);
		char ip[MESH_ADDR_TEXT];

		if (n)
			mesh_info("%u connections to %s are ended: its pod is gone", n, mesh_addr_ip_text(&g->ip, ip));
		mesh_proxy_gone(a->proxy, &g->ip);
	}
	a->gone.count = 0;
}

/* The plugin asks for members of what is in force, so it comes after the first publish. */
static void install_cni(struct mesh_agent *a)
{
	mesh_auto_free char *exe = realpath("/proc/self/exe", NULL), *beside = NULL;
	struct mesh_cni_conf_opts o = {.bin_dir = a->opts.cni_bin_dir,
				       .conf_dir = a->opts.cni_conf_dir,
				       .file = a->opts.cni_file,
				       .socket = a->opts.socket,
				       .members = {a->members.files[0], a->members.files[1]}};

	if (!o.conf_dir || a->cni || a->left)
		return;
	if (!o.file && exe) {
		beside = mesh_xasprintf("%s/" MESH_CNI_TYPE, dirname(exe));
		o.file = access(beside, R_OK) == 0 ? beside : "/usr/lib/sockmesh/" MESH_CNI_TYPE;
	}
	a->cni = mesh_cni_conf_new(a->loop, &o);
}

static void in_force(struct mesh_agent *a, const struct mesh_snapshot *snap)
{
	a->dirty = a->failing = false;
	if (!a->published)
		mesh_timer_set(a->loop, &a->trim, TRIM_NS);
	a->published = true;
	mesh_members_write(&a->members, &snap->members, mesh_cni_policy_text(a->opts.cni_policy));
	if (a->pods_changed) {
		mesh_pods_update(a->pods, snap);
		mesh_edges_update(a->edges, snap);
	}
	a->pods_changed = false;
	mesh_handover_in_force(a->handover);
	mesh_agent_report(a, true);
	mesh_agent_end_gone(a);
	mesh_stale_published(a->stale);
	mesh_agent_answer(a);
	install_cni(a);
}

/* The clients that tables are made for can be others only when pods, members or what CNI asked for are. */
static void choose_clients(struct mesh_agent *a, const struct mesh_snapshot *snap)
{
	mesh_auto_free const char **namespaces = NULL;
	struct mesh_map seen = {0};
	size_t count;

	a->pods_changed |= !a->published || a->changes.members || a->changes.splice || a->changes.pods.count > 0;
	if (!a->pods_changed && !a->asked_changed)
		return;
	a->asked_changed = false;
	count = client_namespaces(a, snap, &seen, &namespaces);
	mesh_compiler_clients(a->compiler, namespaces, count);
	mesh_map_free(&a->tables);
	a->tables = seen;
}

bool mesh_agent_publish(struct mesh_agent *a)
{
	mesh_auto(mesh_compilation_free) struct mesh_compilation done = {0};
	const struct mesh_snapshot *snap = mesh_feed_snapshot(a->feed);
	uint64_t start = mesh_now_ns();

	if (a->left)
		return true;
	choose_clients(a, snap);
	mesh_compiler_update(a->compiler, &a->changes, &done);
	if (done.cfg)
		mesh_proxy_publish(a->proxy, mesh_steal(done.cfg));
	if (apply_kernel(a, &done.l4) < 0) {
		a->failing = true;
		mesh_timer_set(a->loop, &a->publish, MESH_SEC(1)); /* dirty still: the rest waits for success */
		return false;
	}
	in_force(a, snap);
	mesh_vec_each (text, &done.news)
		mesh_warn("%s", *text);
	a->publishes++;
	a->publish_ns = mesh_now_ns() - start;
	a->publish_ns_max = MESH_MAX(a->publish_ns_max, a->publish_ns);
	a->publish_units = done.units;
	return true;
}

void mesh_agent_publish_due(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_agent *a = mesh_container_of(timer, struct mesh_agent, publish);

	(void)loop;
	if (a->left)
		return;
	if (a->dirty && mesh_agent_publish(a))
		mesh_agent_cni_run(a);
	else if (a->published && !a->dirty)
		mesh_agent_report(a, false);
}
