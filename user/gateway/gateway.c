/* SPDX-License-Identifier: Apache-2.0 */
/* A change walks forward: feed -> gateway_publish(): compile, listen, proxy -> lease. The end: drain.h. */
#include "gateway/gateway.h"

#include "agent/feed.h"
#include "agent/lease.h"
#include "compile/compile.h"
#include "core/daemon.h"
#include "core/mem.h"
#include "core/opts.h"
#include "gateway/drain.h"
#include "obs/probe.h"
#include "proxy/proxy.h"

#include <errno.h>
#include <stddef.h>

enum { REPORT_SECONDS = 5 };

struct gateway_opts {
	const char *ns, *pod, *kubeconfig;
	enum mesh_log_level log_level;
	unsigned workers;
	uint16_t ready_port;
};

struct gateway {
	struct gateway_opts opts;
	struct mesh_loop *loop;
	struct mesh_kube *kube;
	struct mesh_feed *feed;
	struct mesh_lease *lease;
	struct mesh_proxy *proxy;
	struct mesh_probe *probe;
	struct mesh_drain *drain; /* while we are on our way out */
	struct mesh_l7_states states;
	struct mesh_timer publish, report;
	char *reported;            /* what is in the way of a configuration, as said last */
	struct mesh_map listeners; /* port as text -> struct mesh_proxy_listener * */
	struct mesh_map refused;   /* port as text -> why it cannot be listened on, as said last */
	struct mesh_errs warnings;
	MESH_VEC(struct mesh_addr) gone; /* addresses of pods that are no more, since the last publish */
	bool dirty, published;
};

static void log_warnings(struct gateway *g, struct mesh_errs *now)
{
	mesh_vec_each (e, &now->list) {
		bool known = false;

		mesh_vec_each (old, &g->warnings.list)
			known |= strcmp(old->text, e->text) == 0 && strcmp(old->object, e->object) == 0;
		if (!known)
			mesh_warn("%s: %s", e->object, e->text);
	}
	mesh_errs_free(&g->warnings);
	g->warnings = *now;
	*now = (struct mesh_errs){0};
}

static int open_listener(struct gateway *g, const char *port, struct mesh_proxy_listener **ret)
{
	struct mesh_addr addr = {.port = (uint16_t)atoi(port)};
	struct mesh_proxy_listen listen = {.upstream_netns_fd = -1, .gateway_port = addr.port};
	int r;

	listen.fd = mesh_probe_listen(&addr);
	if (listen.fd < 0)
		return listen.fd;
	r = mesh_proxy_listen(g->proxy, &listen, ret);
	if (r < 0)
		close(listen.fd);
	return r;
}

/* A port that cannot be had is tried again with each publication; the reason is said once. */
static void listen_on(struct gateway *g, const char *port)
{
	struct mesh_proxy_listener *l = NULL;
	int r = open_listener(g, port, &l);
	const char *why = r < 0 ? strerror(-r) : NULL;
	char *before = mesh_map_get_str(&g->refused, port);

	if (why && (!before || strcmp(before, why) != 0)) {
		mesh_error("port %s: %s", port, why);
		free(mesh_map_put_str(&g->refused, port, mesh_xstrdup(why)));
	}
	if (why)
		return;
	free(mesh_map_remove_str(&g->refused, port));
	mesh_map_put_str(&g->listeners, port, l);
	mesh_info("listening on port %s", port);
}

/* Ports that nothing is served on any more close after the configuration without them is in force. */
static void close_unused(struct gateway *g, const struct mesh_pmap *tables)
{
	mesh_map_each (e, &g->listeners) {
		struct mesh_slice port = mesh_slice_of(e->key, e->key_len);

		if (mesh_pmap_get(tables, port))
			continue;
		mesh_info("port %s is closed", e->key);
		mesh_proxy_listener_free(mesh_map_remove(&g->listeners, port), false);
	}
}

static void on_gone(void *arg, const struct mesh_addr *ip)
{
	mesh_vec_push(&((struct gateway *)arg)->gone, *ip);
}

static void on_pod(void *arg, const struct mesh_workload *before, const struct mesh_workload *after)
{
	for (size_t i = 0; before && !after && !before->host_network && i < before->ip_count; i++)
		on_gone(arg, &before->ips[i]);
}

/* An address that is another pod's by now has requests of its own. */
static bool is_reused(const struct gateway *g, const struct mesh_addr *ip)
{
	mesh_map_each (e, &mesh_feed_snapshot(g->feed)->endpoints) {
		const struct mesh_endpoints *list = e->value;

		for (size_t i = 0; i < list->count; i++)
			if (mesh_addr_ip_eq(&list->items[i].addr, ip))
				return true;
	}
	return false;
}

static void end_gone(struct gateway *g)
{
	mesh_vec_each (ip, &g->gone)
		if (!is_reused(g, ip))
			mesh_proxy_gone(g->proxy, ip);
	g->gone.count = 0;
}

static void gateway_publish(struct gateway *g)
{
	const struct mesh_snapshot *snap = mesh_feed_snapshot(g->feed);
	const struct mesh_workload *self = mesh_snapshot_workload(snap, g->opts.ns, g->opts.pod);
	mesh_auto(mesh_errs_free) struct mesh_errs warnings = {0};
	struct mesh_gateway_pod pod = {.ns = g->opts.ns, .name = g->opts.pod};
	struct mesh_l7_config *cfg;

	if (!self)
		return; /* our own pod has not come by the watch yet: it will */
	pod.labels = &self->labels;
	mesh_compile_gateway(snap, &pod, &g->states, &cfg, &warnings);
	mesh_l7_ref(cfg);
	mesh_proxy_publish(g->proxy, cfg);
	mesh_pmap_each(e, &cfg->gateway) if (!mesh_map_get_str(&g->listeners, e->key)) listen_on(g, e->key);
	close_unused(g, &cfg->gateway);
	mesh_l7_unref(cfg);
	g->dirty = false;
	g->published = true;
	mesh_lease_report(g->lease, mesh_feed_versions(g->feed), true);
	end_gone(g);
	log_warnings(g, &warnings);
}

static void on_publish(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct gateway *g = mesh_container_of(timer, struct gateway, publish);

	(void)loop;
	if (g->dirty)
		gateway_publish(g);
	else if (g->published)
		mesh_lease_report(g->lease, mesh_feed_versions(g->feed), false);
}

static void on_changed(void *arg, enum mesh_feed_change change)
{
	struct gateway *g = arg;

	g->dirty |= change == MESH_FEED_CONTENT;
	if (!g->publish.heap_at)
		mesh_timer_set(g->loop, &g->publish, 0);
}

/* What a configuration waits for. */
static const char *missing(const struct gateway *g)
{
	const char *trouble = g->feed ? mesh_feed_trouble(g->feed) : NULL;

	return trouble ? trouble : "our own pod is not known yet";
}

/* A gateway that waits says for what, when that changes. */
static void on_report(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct gateway *g = mesh_container_of(timer, struct gateway, report);

	if (g->published)
		return;
	if (!g->reported || strcmp(g->reported, missing(g)) != 0) {
		free(g->reported);
		g->reported = mesh_xstrdup(missing(g));
		mesh_warn("waiting: %s", g->reported);
	}
	mesh_timer_set(loop, timer, MESH_SEC(REPORT_SECONDS));
}

/* --- probes --- */

static int answer_live(void *arg, struct mesh_buf *text)
{
	(void)arg;
	mesh_buf_str(text, "ok\n");
	return 200;
}

static int answer_ready(void *arg, struct mesh_buf *text)
{
	const struct gateway *g = arg;

	if (g->drain)
		mesh_buf_str(text, "stopping\n");
	else if (!g->published)
		mesh_buf_printf(text, "no configuration is in force yet: %s\n", missing(g));
	else
		mesh_buf_str(text, "ok\n");
	return g->published && !g->drain ? 200 : 503;
}

/* The first as Istio's gateways have it. */
static const struct mesh_probe_path probe_paths[] = {
	{"/healthz/ready", answer_ready},
	{"/readyz", answer_ready},
	{"/healthz", answer_live},
	{"/livez", answer_live},
	{NULL, NULL},
};

/* --- beginning and end --- */

static bool still_named(void *arg)
{
	const struct gateway *g = arg;

	mesh_map_each (e, &mesh_feed_snapshot(g->feed)->endpoints) {
		const struct mesh_endpoints *all = e->value;

		for (size_t i = 0; strcmp(all->ns, g->opts.ns) == 0 && i < all->count; i++)
			if (all->items[i].ready && all->items[i].pod && strcmp(all->items[i].pod, g->opts.pod) == 0)
				return true;
	}
	return false;
}

static uint64_t arrived(void *arg)
{
	struct mesh_proxy_stats stats;

	mesh_proxy_stats(((const struct gateway *)arg)->proxy, &stats);
	return stats.connections_total;
}

static void on_drained(void *arg)
{
	mesh_loop_stop(((struct gateway *)arg)->loop);
}

/* Serves on until nobody is sent here any more, see drain.h. A second signal ends it. */
static void on_term(void *arg)
{
	struct gateway *g = arg;
	const struct mesh_drain_opts opts = {
		.still_named = still_named, .arrived = arrived, .done = on_drained, .arg = g};

	if (g->drain || !g->published) {
		mesh_loop_stop(g->loop);
		return;
	}
	mesh_info("stopping: serves on until its endpoints are gone");
	mesh_proxy_drain(g->proxy);
	mesh_drain_new(&g->drain, g->loop, &opts);
}

static int gateway_start(struct gateway *g, struct mesh_errs *errs)
{
	struct mesh_kube_opts kube = {.kubeconfig = g->opts.kubeconfig, .program = "meshd-gateway", .netns_fd = -1};
	struct mesh_proxy_opts proxy = {.workers = g->opts.workers};
	struct mesh_feed_opts feed = {
		.gateways = true, .changed = on_changed, .pod = on_pod, .gone = on_gone, .arg = g};
	mesh_auto_free char *lease_name = mesh_xasprintf("sockmesh-gateway-%s", g->opts.pod);
	struct mesh_lease_opts lease = {.name = lease_name, .component = "gateway", .holder = g->opts.pod};
	struct mesh_addr ready = {.port = g->opts.ready_port};
	int r;

	if ((r = mesh_loop_new(&g->loop)) < 0 || (r = mesh_loop_on_term(g->loop, on_term, g)) < 0 ||
	    (r = mesh_proxy_new(&g->proxy, &proxy)) < 0 || (r = mesh_kube_new(&g->kube, g->loop, &kube, errs)) < 0)
		return r;
	r = mesh_probe_new(&g->probe, g->loop, &ready, probe_paths, g);
	if (r < 0) {
		mesh_errs_add(errs, "readiness port %u: %s", g->opts.ready_port, strerror(-r));
		return r;
	}
	if ((r = mesh_lease_new(&g->lease, g->loop, g->kube, &lease)) < 0)
		return r;
	feed.loop = g->loop;
	mesh_timer_set(g->loop, &g->report, MESH_SEC(REPORT_SECONDS));
	return mesh_feed_new(&g->feed, g->kube, &feed);
}

/* First nothing new comes in; then nobody waits for us to be in force; then what is in flight ends. */
static void gateway_stop(struct gateway *g)
{
	mesh_drain_free(g->drain);
	mesh_map_each (e, &g->listeners)
		mesh_proxy_listener_free(e->value, false);
	mesh_map_free(&g->listeners);
	if (g->lease)
		mesh_lease_withdraw(g->lease);
	mesh_lease_free(g->lease);
	mesh_feed_free(g->feed);
	mesh_kube_free(g->kube);
	if (g->proxy)
		mesh_proxy_free(g->proxy, MESH_DRAIN_IN_FLIGHT_NS);
	mesh_probe_free(g->probe);
	mesh_l7_states_free(&g->states);
	mesh_errs_free(&g->warnings);
	mesh_vec_free(&g->gone);
	mesh_map_each (e, &g->refused)
		free(e->value);
	mesh_map_free(&g->refused);
	free(g->reported);
	if (g->loop)
		mesh_loop_free(g->loop);
}

#define AT(field) offsetof(struct gateway_opts, field)

/* clang-format off */
static const struct mesh_opt rows[] = {
	{.name = "namespace", .type = MESH_OPT_STRING, .at = AT(ns), .arg = "NS", .env = "POD_NAMESPACE", .required = true,
	 .help = "of the gateway's own pod"},
	{.name = "pod", .type = MESH_OPT_STRING, .at = AT(pod), .arg = "NAME", .env = "POD_NAME", .required = true,
	 .help = "the gateway's own pod"},
	{.name = "kubeconfig", .type = MESH_OPT_STRING, .at = AT(kubeconfig), .arg = "FILE",
	 .help = "the API (default: $KUBECONFIG, the pod's service account, ~/.kube/config)"},
	{.name = "ready-port", .type = MESH_OPT_PORT, .at = AT(ready_port), .arg = "PORT", .initial = "15021",
	 .help = "of GET /healthz/ready, /readyz and /healthz"},
	{.name = "workers", .type = MESH_OPT_UNSIGNED, .at = AT(workers), .arg = "N", .max = 256,
	 .help = "proxy threads (default: one for each CPU)"},
	{.name = "log-level", .type = MESH_OPT_CHOICE, .at = AT(log_level), .arg = "LEVEL", .values = MESH_LOG_LEVELS,
	 .initial = "info", .help = "what is logged"},
};
/* clang-format on */

int mesh_gateway_main(int argc, char **argv)
{
	static const struct mesh_opts opts = {.command = "meshd gateway", .rows = rows, .count = MESH_ARRAY_SIZE(rows)};
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	struct gateway g = {.publish.fn = on_publish, .report.fn = on_report};
	int r = mesh_opts_main(&opts, argc, argv, &g.opts, NULL);

	if (r >= 0)
		return r;
	mesh_daemon_init("gateway", g.opts.log_level);
	r = gateway_start(&g, &errs);
	mesh_log_errs(&errs);
	if (r == 0) {
		mesh_info("pod %s/%s: started", g.opts.ns, g.opts.pod);
		r = mesh_loop_run(g.loop);
	} else {
		mesh_error("cannot start: %s", strerror(-r));
	}
	gateway_stop(&g);
	return r < 0 ? 1 : 0;
}
