/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change walks forward: feed -> agent_publish(): compile, proxy, kernel, pods -> lease. The proxy
 * is first, so that no flow the kernel sends to it finds a configuration that does not know it.
 */
#include "agent/agent.h"

#include "agent/ctlsock.h"
#include "agent/feed.h"
#include "agent/keeper.h"
#include "agent/lease.h"
#include "agent/pods.h"
#include "compile/compile.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

struct agent_waiter {
	struct mesh_ctlsock_conn *conn;
	struct mesh_addr ip;
	uint64_t until_ns;
};

struct agent_opts {
	const char *node, *kubeconfig, *cgroup_root, *pin_dir, *socket, *log_level;
	unsigned workers;
	bool detach, keep;
};

struct agent {
	struct agent_opts opts;
	struct mesh_loop *loop;
	struct mesh_kube *kube;
	struct mesh_feed *feed;
	struct mesh_lease *lease;
	struct mesh_dp *dp;
	struct mesh_proxy *proxy;
	struct mesh_pods *pods;
	struct mesh_ctlsock *sock;
	struct mesh_keeper *keeper;
	struct mesh_l7_states states;
	struct mesh_timer publish, waiting;
	MESH_VEC(struct agent_waiter) waiters;
	MESH_VEC(struct mesh_addr) gone; /* addresses of pods that are no more, since the last publish */
	struct mesh_errs warnings;       /* of the configuration in force */
	bool dirty, published;
	uint64_t publishes, publish_ns, publish_ns_max, changed_ns, apply_failures;
};

/* Once for each distinct text: a rule compiled for many tables says the same each time. */
static void log_warnings(struct agent *a, struct mesh_errs *now)
{
	mesh_vec_each (e, &now->list) {
		bool known = false;

		mesh_vec_each (old, &a->warnings.list)
			known |= strcmp(old->text, e->text) == 0 && strcmp(old->object, e->object) == 0;
		if (!known)
			mesh_warn("%s: %s", e->object, e->text);
	}
	mesh_errs_free(&a->warnings);
	a->warnings = *now;
	*now = (struct mesh_errs){0};
}

/* Namespaces that have a pod here to be captured: the clients that tables are made for. */
static size_t client_namespaces(struct agent *a, const struct mesh_snapshot *snap, const char ***ret)
{
	struct mesh_map seen = {0};
	MESH_VEC(const char *) list = {0};

	mesh_map_each (e, &snap->workloads) {
		const struct mesh_workload *w = e->value;

		if (mesh_pods_wants(a->pods, snap, w) && !mesh_map_put_str(&seen, w->ns, a))
			mesh_vec_push(&list, w->ns);
	}
	mesh_map_free(&seen);
	*ret = list.items;
	return list.count;
}

static int apply_kernel(struct agent *a, const struct mesh_snapshot *snap, struct mesh_errs *warnings)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	struct mesh_l4_image image = {.version = a->states.version};
	int r;

	mesh_compile_l4(snap, &image, warnings);
	r = mesh_dp_apply(a->dp, &image, &errs);
	mesh_l4_image_free(&image);
	if (r == 0)
		return 0;
	a->apply_failures++;
	mesh_vec_each (e, &errs.list)
		mesh_error("kernel tables: %s", e->text);
	if (errs.list.count == 0)
		mesh_error("kernel tables: %s", strerror(-r));
	return r;
}

static void end_gone_flows(struct agent *a, const struct mesh_snapshot *snap)
{
	(void)snap;
	mesh_vec_each (ip, &a->gone)
		mesh_pods_end_flows(a->pods, ip);
	a->gone.count = 0;
}

static void answer_waiters(struct agent *a);

static void agent_publish(struct agent *a)
{
	const struct mesh_snapshot *snap = mesh_feed_snapshot(a->feed);
	mesh_auto(mesh_errs_free) struct mesh_errs warnings = {0};
	mesh_auto_free const char **namespaces = NULL;
	struct mesh_l7_config *cfg;
	uint64_t start = mesh_now_ns();
	size_t count = client_namespaces(a, snap, &namespaces);

	mesh_compile_outbound(snap, namespaces, count, &a->states, &cfg, &warnings);
	mesh_proxy_publish(a->proxy, cfg);
	if (apply_kernel(a, snap, &warnings) < 0) {
		mesh_timer_set(a->loop, &a->publish, MESH_SEC(1)); /* dirty still: the rest waits for success */
		return;
	}
	a->dirty = false;
	a->published = true;
	mesh_pods_update(a->pods, snap);
	mesh_lease_report(a->lease, mesh_feed_versions(a->feed), true);
	end_gone_flows(a, snap);
	log_warnings(a, &warnings);
	answer_waiters(a);
	a->publishes++;
	a->publish_ns = mesh_now_ns() - start;
	a->publish_ns_max = MESH_MAX(a->publish_ns_max, a->publish_ns);
}

static void on_publish(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct agent *a = mesh_container_of(timer, struct agent, publish);

	(void)loop;
	if (a->dirty)
		agent_publish(a);
	else if (a->published)
		mesh_lease_report(a->lease, mesh_feed_versions(a->feed), false);
}

static void on_changed(void *arg, enum mesh_feed_change change)
{
	struct agent *a = arg;

	a->dirty |= change == MESH_FEED_CONTENT;
	if (!a->publish.heap_at)
		mesh_timer_set(a->loop, &a->publish, 0);
}

static void on_pod(void *arg, const struct mesh_workload *before, const struct mesh_workload *after)
{
	struct agent *a = arg;

	if (!before || (after && !after->finished && strcmp(before->uid, after->uid) == 0))
		return;
	for (size_t i = 0; !before->host_network && i < before->ip_count; i++)
		mesh_vec_push(&a->gone, before->ips[i]);
}

/* The socket. */

static const struct mesh_workload *workload_at(struct agent *a, const struct mesh_addr *ip)
{
	mesh_map_each (e, &mesh_feed_snapshot(a->feed)->workloads) {
		const struct mesh_workload *w = e->value;

		for (size_t i = 0; !w->finished && !w->host_network && i < w->ip_count; i++)
			if (mesh_addr_ip_eq(&w->ips[i], ip))
				return w;
	}
	return NULL;
}

/* Returns true once it is decided, with *captured. */
static bool pod_decided(struct agent *a, const struct mesh_addr *ip, bool *captured)
{
	const struct mesh_workload *w;

	if (!a->published || a->dirty)
		return false;
	w = workload_at(a, ip);
	*captured = mesh_pods_captured(a->pods, ip);
	return w && (*captured || !mesh_pods_wants(a->pods, mesh_feed_snapshot(a->feed), w));
}

static void answer_waiters(struct agent *a)
{
	uint64_t now = mesh_now_ns(), next = UINT64_MAX;

	for (size_t i = a->waiters.count; i > 0; i--) {
		struct agent_waiter w = a->waiters.items[i - 1];
		bool captured = false, decided = pod_decided(a, &w.ip, &captured);

		if (!decided && now < w.until_ns) {
			next = MESH_MIN(next, w.until_ns);
			continue;
		}
		mesh_vec_remove(&a->waiters, i - 1);
		if (decided)
			mesh_ctlsock_reply(w.conn, json_pack("{s:b, s:b}", "ok", 1, "captured", captured));
		else
			mesh_ctlsock_reply(w.conn, json_pack("{s:b, s:s}", "ok", 0, "error",
							     "timed out: the pod is unknown or not captured yet"));
	}
	if (next != UINT64_MAX)
		mesh_timer_set(a->loop, &a->waiting, next - now);
}

static void on_waiting(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	answer_waiters(mesh_container_of(timer, struct agent, waiting));
}

static void on_settled(void *arg)
{
	answer_waiters(arg);
}

static void on_gone_conn(void *arg, struct mesh_ctlsock_conn *conn)
{
	struct agent *a = arg;

	for (size_t i = a->waiters.count; i > 0; i--)
		if (a->waiters.items[i - 1].conn == conn)
			mesh_vec_remove(&a->waiters, i - 1);
}

static json_t *proxy_status(struct agent *a)
{
	struct mesh_proxy_stats s;

	mesh_proxy_stats(a->proxy, &s);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:[I,I,I,I,I,I], s:{s:I, s:I, s:I, s:I, s:I, s:I}}",
			 "connections", (json_int_t)s.connections_total, "connectionsActive",
			 (json_int_t)s.connections_active, "requests", (json_int_t)s.requests_total, "requestsActive",
			 (json_int_t)s.requests_active, "upstreamConnections", (json_int_t)s.upstream_connections_total,
			 "upstreamConnectionsActive", (json_int_t)s.upstream_connections_active, "bytesFromClients",
			 (json_int_t)s.bytes_from_downstream, "bytesToClients", (json_int_t)s.bytes_to_downstream,
			 "statusClasses", (json_int_t)s.status[0], (json_int_t)s.status[1], (json_int_t)s.status[2],
			 (json_int_t)s.status[3], (json_int_t)s.status[4], (json_int_t)s.status[5], "flags", "UH",
			 (json_int_t)s.flags_uh, "NC", (json_int_t)s.flags_nc, "NR", (json_int_t)s.flags_nr, "UF",
			 (json_int_t)s.flags_uf, "DPE", (json_int_t)s.flags_dpe, "noOrigdst", (json_int_t)s.no_origdst);
}

static json_t *agent_status(struct agent *a)
{
	json_t *warnings = json_array();

	mesh_vec_each (e, &a->warnings.list)
		json_array_append_new(warnings, json_sprintf("%s: %s", e->object, e->text));
	return json_pack("{s:b, s:s, s:s, s:b, s:b, s:{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}, s:o, s:o, s:o}", "ok",
			 1, "version", MESH_VERSION, "node", a->opts.node, "synced", mesh_feed_synced(a->feed),
			 "published", a->published, "config", "version", (json_int_t)a->states.version, "publishes",
			 (json_int_t)a->publishes, "publishUs", (json_int_t)(a->publish_ns / 1000), "publishUsMax",
			 (json_int_t)(a->publish_ns_max / 1000), "applyFailures", (json_int_t)a->apply_failures,
			 "versions", mesh_feed_versions(a->feed), "bad", mesh_feed_bad(a->feed), "warnings", warnings,
			 "pods", mesh_pods_status(a->pods), "proxy", proxy_status(a), "dataplane",
			 mesh_dp_status(a->dp));
}

static void wait_pod(struct agent *a, struct mesh_ctlsock_conn *conn, const json_t *request)
{
	const char *ip = json_string_value(json_object_get(request, "ip"));
	json_t *timeout = json_object_get(request, "timeoutMs");
	struct agent_waiter w = {.conn = conn};

	if (!ip || mesh_addr_parse(mesh_slice_str(ip), 0, &w.ip) < 0) {
		mesh_ctlsock_reply(conn, json_pack("{s:b, s:s}", "ok", 0, "error", "\"ip\" is not an address"));
		return;
	}
	w.until_ns = mesh_now_ns() + MESH_MS(json_is_integer(timeout) ? json_integer_value(timeout) : 2000);
	mesh_vec_push(&a->waiters, w);
	answer_waiters(a);
}

static void on_request(void *arg, struct mesh_ctlsock_conn *conn, const json_t *request)
{
	const char *cmd = json_string_value(json_object_get(request, "cmd"));
	struct agent *a = arg;

	if (cmd && strcmp(cmd, "status") == 0)
		mesh_ctlsock_reply(conn, agent_status(a));
	else if (cmd && strcmp(cmd, "wait-pod") == 0)
		wait_pod(a, conn, request);
	else
		mesh_ctlsock_reply(conn, json_pack("{s:b, s:s}", "ok", 0, "error", "unknown \"cmd\""));
}

/* Start and end. */

static void on_term(void *arg)
{
	mesh_loop_stop(((struct agent *)arg)->loop);
}

static void print_errs(const struct mesh_errs *errs)
{
	mesh_vec_each (e, &errs->list)
		mesh_error("%s%s%s%s", e->text, e->hint ? " (" : "", e->hint ? e->hint : "", e->hint ? ")" : "");
}

static int agent_start(struct agent *a, struct mesh_errs *errs)
{
	struct mesh_kube_opts kube = {
		.kubeconfig = a->opts.kubeconfig, .user_agent = "meshd-agent/" MESH_VERSION, .netns_fd = -1};
	struct mesh_dp_opts dp = {
		.pin_dir = a->opts.pin_dir, .cgroup_root = a->opts.cgroup_root, .listeners_held = a->keeper != NULL};
	struct mesh_proxy_opts proxy = {.workers = a->opts.workers};
	struct mesh_feed_opts feed = {.node = a->opts.node, .changed = on_changed, .pod = on_pod, .arg = a};
	mesh_auto_free char *lease_name = mesh_xasprintf("sockmesh-agent-%s", a->opts.node);
	struct mesh_lease_opts lease = {.name = lease_name, .component = "agent", .holder = a->opts.node};
	int r;

	if ((r = mesh_loop_new(&a->loop)) < 0 || (r = mesh_loop_on_term(a->loop, on_term, a)) < 0 ||
	    (r = mesh_dp_new(&a->dp, &dp, errs)) < 0 || (r = mesh_proxy_new(&a->proxy, &proxy)) < 0 ||
	    (r = mesh_kube_new(&a->kube, a->loop, &kube, errs)) < 0)
		return r;
	a->pods = mesh_pods_new(&(struct mesh_pods_opts){.loop = a->loop,
							 .dp = a->dp,
							 .proxy = a->proxy,
							 .keeper = a->keeper,
							 .node = a->opts.node,
							 .settled = on_settled,
							 .arg = a});
	if ((r = mesh_lease_new(&a->lease, a->loop, a->kube, &lease)) < 0 ||
	    (r = mesh_feed_new(&a->feed, a->kube, &feed)) < 0)
		return r;
	if (a->opts.socket &&
	    (r = mesh_ctlsock_new(&a->sock, a->loop, a->opts.socket, on_request, on_gone_conn, a)) < 0)
		mesh_errs_add(errs, "socket %s: %s", a->opts.socket, strerror(-r));
	return r;
}

static void agent_stop(struct agent *a)
{
	mesh_ctlsock_free(a->sock);
	if (a->lease)
		mesh_lease_withdraw(a->lease);
	mesh_lease_free(a->lease);
	mesh_feed_free(a->feed);
	mesh_kube_free(a->kube);
	mesh_pods_free(a->pods);
	if (a->proxy)
		mesh_proxy_free(a->proxy, MESH_SEC(2));
	mesh_pods_free_late(a->pods);
	mesh_keeper_free(a->keeper);
	if (a->dp)
		mesh_dp_free(a->dp);
	mesh_l7_states_free(&a->states);
	mesh_errs_free(&a->warnings);
	mesh_vec_free(&a->waiters);
	mesh_vec_free(&a->gone);
	if (a->loop)
		mesh_loop_free(a->loop);
}

static const struct option long_options[] = {
	{"node", required_argument, NULL, 'n'},
	{"kubeconfig", required_argument, NULL, 'k'},
	{"cgroup-root", required_argument, NULL, 'c'},
	{"pin-dir", required_argument, NULL, 'p'},
	{"socket", required_argument, NULL, 's'},
	{"workers", required_argument, NULL, 'w'},
	{"log-level", required_argument, NULL, 'l'},
	{"keep", no_argument, NULL, 'K'},
	{"detach", no_argument, NULL, 'd'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int usage(FILE *out)
{
	fputs("usage: meshd agent --node NAME --cgroup-root DIR --pin-dir DIR [OPTIONS]\n\n"
	      "  --node NAME         the Node whose pods this agent serves\n"
	      "  --cgroup-root DIR   cgroup v2 directory that has the node's pods below it\n"
	      "  --pin-dir DIR       bpffs directory for programs and maps\n"
	      "  --kubeconfig FILE   the API (default: KUBECONFIG, the pod's service account, ~/.kube/config)\n"
	      "  --socket PATH       local socket for status and wait-pod\n"
	      "  --workers N         proxy threads (default: one for each CPU)\n"
	      "  --log-level LEVEL   error, warn, info (default) or debug\n"
	      "  --keep              a keeper starts the agent again when it dies, and holds pods' listeners "
	      "meanwhile\n"
	      "  --detach            remove the programs and maps of --pin-dir that outlive agents, and end\n",
	      out);
	return out == stderr ? 2 : 0;
}

/* Returns -1 to go on, else an exit status. */
static int parse_options(int argc, char **argv, struct agent_opts *o)
{
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		uint64_t n;

		switch (c) {
		case 'n':
			o->node = optarg;
			break;
		case 'k':
			o->kubeconfig = optarg;
			break;
		case 'c':
			o->cgroup_root = optarg;
			break;
		case 'p':
			o->pin_dir = optarg;
			break;
		case 's':
			o->socket = optarg;
			break;
		case 'l':
			o->log_level = optarg;
			break;
		case 'w':
			if (mesh_slice_to_u64(mesh_slice_str(optarg), 256, &n) < 0)
				return usage(stderr);
			o->workers = (unsigned)n;
			break;
		case 'K':
			o->keep = true;
			break;
		case 'd':
			o->detach = true;
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (optind < argc || !o->pin_dir || (!o->detach && (!o->node || !o->cgroup_root)))
		return usage(stderr);
	return -1;
}

/* The same program with the same arguments, as the child of a keeper. */
static int run_kept(int argc, char **argv)
{
	char **all = mesh_xcalloc((size_t)argc + 2, sizeof(*all)); /* for good */

	all[0] = "meshd";
	memcpy(all + 1, argv, (size_t)argc * sizeof(*all));
	return mesh_keeper_run("/proc/self/exe", all);
}

int mesh_agent_main(int argc, char **argv)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	enum mesh_log_level level = MESH_LOG_INFO;
	struct agent a = {.publish.fn = on_publish, .waiting.fn = on_waiting};
	struct rlimit files;
	int r = parse_options(argc, argv, &a.opts);

	if (r >= 0)
		return r;
	if (a.opts.log_level && mesh_log_level_parse(a.opts.log_level, &level) < 0)
		return usage(stderr);
	mesh_log_init("agent", level);
	if (a.opts.detach) {
		r = mesh_dp_detach(a.opts.pin_dir, &errs);
		print_errs(&errs);
		return r < 0 ? 1 : 0;
	}
	r = mesh_keeper_join(&a.keeper);
	if (r < 0)
		mesh_warn("the keeper does not answer (%s): listeners are not held", strerror(-r));
	else if (!a.keeper && a.opts.keep)
		return run_kept(argc, argv);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	r = agent_start(&a, &errs);
	print_errs(&errs);
	if (r == 0) {
		mesh_info("node %s: started", a.opts.node);
		r = mesh_loop_run(a.loop);
	} else {
		mesh_error("cannot start: %s", strerror(-r));
	}
	agent_stop(&a);
	return r < 0 ? 1 : 0;
}
