/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change walks forward: feed -> agent_publish(): compile, proxy, kernel, pods -> lease. The proxy
 * is first, so that no flow the kernel sends to it finds a configuration that does not know it.
 */
#include "agent/agent.h"

#include "agent/ask.h"
#include "agent/cgroup.h"
#include "agent/holder.h"
#include "agent/keeper.h"
#include "agent/state.h"
#include "core/daemon.h"
#include "core/envdir.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <libgen.h>
#include <malloc.h>
#include <stdio.h>

enum { ASK_MS = 5000 };
#define TRIM_NS MESH_SEC(1)

static struct mesh_slice ip_key(const struct mesh_addr *a)
{
	return mesh_slice_of((const char *)&a->ip, sizeof(a->ip));
}

static void add_client(struct mesh_agent *a, struct mesh_map *seen, const char *ns)
{
	mesh_map_put_str(seen, ns, a);
}

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
			add_client(a, seen, w->ns);
	}
	mesh_map_each (e, &a->asked)
		if (mesh_map_get(&snap->members, mesh_slice_of(e->key, e->key_len)))
			add_client(a, seen, e->key);
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
			mesh_map_remove(gone, ip_key(&w->ips[i]));
	}
}

/* The same of addresses elsewhere: those that an EndpointSlice has, and not as one that ends. */
static void keep_listed(struct mesh_agent *a, struct mesh_map *gone)
{
	mesh_map_each (e, &mesh_feed_snapshot(a->feed)->endpoints) {
		const struct mesh_endpoints *list = e->value;

		for (size_t i = 0; i < list->count; i++) {
			const struct mesh_agent_gone *g = mesh_map_get(gone, ip_key(&list->items[i].addr));

			if (g && g->elsewhere && !list->items[i].terminating)
				mesh_map_remove(gone, ip_key(&g->ip));
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
		mesh_map_put(&gone, ip_key(&g->ip), g);
		elsewhere |= g->elsewhere;
	}
	keep_reused(a, &gone);
	if (elsewhere)
		keep_listed(a, &gone);
	mesh_map_each (e, &gone) {
		const struct mesh_agent_gone *g = e->value;

		mesh_pods_end_flows(a->pods, &g->ip, NULL);
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

static void on_publish(struct mesh_loop *loop, struct mesh_timer *timer)
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

static void on_changed(void *arg, enum mesh_feed_change change)
{
	struct mesh_agent *a = arg;

	a->dirty |= change == MESH_FEED_CONTENT;
	if (!a->publish.heap_at)
		mesh_timer_set(a->loop, &a->publish, 0);
}

static bool has_ip(const struct mesh_workload *w, const struct mesh_addr *ip)
{
	for (size_t i = 0; i < w->ip_count; i++)
		if (mesh_addr_ip_eq(&w->ips[i], ip))
			return true;
	return false;
}

static void on_pod(void *arg, const struct mesh_workload *before, const struct mesh_workload *after)
{
	struct mesh_agent *a = arg;
	bool same = before && after && !after->finished && before->uid && after->uid &&
		    strcmp(before->uid, after->uid) == 0;

	if (!before || before->host_network)
		return;
	for (size_t i = 0; i < before->ip_count; i++)
		if (!same || (after->ip_count && !has_ip(after, &before->ips[i])))
			mesh_vec_push(&a->gone, ((struct mesh_agent_gone){.ip = before->ips[i]}));
}

static void on_gone(void *arg, const struct mesh_addr *ip)
{
	struct mesh_agent *a = arg;

	mesh_vec_push(&a->gone, ((struct mesh_agent_gone){.ip = *ip, .elsewhere = true}));
}

static void on_settled(void *arg)
{
	mesh_agent_answer(arg);
}

/* Start and end. */

static void on_term(void *arg)
{
	struct mesh_agent *a = arg;

	if (!mesh_handover_lingers(a->handover)) /* else it ends soon, with its last connection */
		mesh_loop_stop(a->loop);
}

static void on_events(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_agent *a = mesh_container_of(io, struct mesh_agent, events);

	(void)loop;
	(void)events;
	mesh_dp_events(a->dp);
}

/* What the BPF programs have to tell. Without it they do with less. */
static void listen_to_programs(struct mesh_agent *a)
{
	a->events.fd = mesh_dp_events_fd(a->dp);
	a->events.fn = on_events;
	if (a->events.fd >= 0 && mesh_io_set(a->loop, &a->events, EPOLLIN) < 0)
		mesh_warn("events of the BPF programs cannot be read: no flow is bypassed");
}

static int find_cgroups(struct mesh_agent *a, struct mesh_errs *errs)
{
	a->cgroup_root = a->opts.cgroup_root;
	if (strcmp(a->cgroup_root, "auto") != 0)
		return 0;
	a->cgroup_root = mesh_agent_cgroup_root(errs);
	if (!a->cgroup_root)
		return -ENOENT;
	if (mesh_agent_cgroup_own(a->cgroup_root, &a->cgroup_own) < 0) {
		mesh_errs_add(errs, "this process is in none of the cgroups below %s", a->cgroup_root);
		return -ENOENT;
	}
	mesh_info("cgroups: the node's root is %s, this agent is in %s", a->cgroup_root, a->cgroup_own);
	return 0;
}

static bool is_spliced(void *arg, int fd)
{
	return mesh_dp_spliced(arg, fd);
}

static int agent_start(struct mesh_agent *a, struct mesh_errs *errs)
{
	struct mesh_kube_opts kube = {
		.kubeconfig = a->opts.kubeconfig, .user_agent = "meshd-agent/" MESH_VERSION, .netns_fd = -1};
	struct mesh_dp_opts dp = {.pin_dir = a->opts.pin_dir,
				  .uplink = a->opts.uplink,
				  .xdp = &a->opts.xdp,
				  .listeners_held = a->keeper != NULL,
				  .watch_stale = true};
	struct mesh_proxy_opts proxy = {.workers = a->opts.workers};
	struct mesh_feed_opts feed = {.node = a->opts.node,
				      .changes = &a->changes,
				      .saved_dir = a->opts.snapshot_dir,
				      .changed = on_changed,
				      .pod = on_pod,
				      .gone = on_gone,
				      .left = mesh_agent_left,
				      .arg = a};
	mesh_auto_free char *lease_name = mesh_xasprintf("sockmesh-agent-%s", a->opts.node);
	struct mesh_lease_opts lease = {.name = lease_name, .component = "agent", .holder = a->opts.node};
	int r;

	r = find_cgroups(a, errs);
	if (r < 0)
		return r;
	dp.cgroup_root = a->cgroup_root;
	dp.agent_cgroup = a->cgroup_own;
	mesh_members_init(&a->members, &a->opts);
	if ((r = mesh_loop_new(&a->loop)) < 0 || (r = mesh_loop_on_term(a->loop, on_term, a)) < 0 ||
	    (r = mesh_handover_new(&a->handover, a)) < 0)
		return r;
	dp.beside = mesh_handover_has_older(a->handover);
	if ((r = mesh_dp_new(&a->dp, &dp, errs)) < 0)
		return r;
	proxy.spliced = is_spliced;
	proxy.spliced_arg = a->dp;
	if ((r = mesh_proxy_new(&a->proxy, &proxy)) < 0 || (r = mesh_kube_new(&a->kube, a->loop, &kube, errs)) < 0)
		return r;
	listen_to_programs(a);
	a->pods = mesh_pods_new(&(struct mesh_pods_opts){.loop = a->loop,
							 .dp = a->dp,
							 .proxy = a->proxy,
							 .keeper = a->keeper,
							 .node = a->opts.node,
							 .splice = a->opts.splice,
							 .settled = on_settled,
							 .arg = a});
	a->edges = mesh_edges_new(a->loop, a->dp, a->opts.node);
	a->stale = mesh_stale_new(a);
	feed.loop = a->loop;
	if ((r = mesh_lease_new(&a->lease, a->loop, a->kube, &lease)) < 0 ||
	    (r = mesh_feed_new(&a->feed, a->kube, &feed)) < 0)
		return r;
	a->compiler = mesh_compiler_new(mesh_feed_snapshot(a->feed), &a->states);
	if (a->opts.socket &&
	    (r = mesh_ctlsock_new(&a->sock, a->loop, a->opts.socket, mesh_agent_command, mesh_agent_forget, a)) < 0)
		mesh_errs_add(errs, "socket %s: %s", a->opts.socket, strerror(-r));
	if (r == 0 && a->opts.health_listen &&
	    (r = mesh_probe_new(&a->probe, a->loop, &a->opts.health_addr, mesh_agent_probe_paths, a)) < 0)
		mesh_errs_add(errs, "--health-listen %s: %s", a->opts.health_listen, strerror(-r));
	return r;
}

void mesh_agent_yield(struct mesh_agent *a)
{
	mesh_timer_remove(a->loop, &a->publish);
	mesh_timer_remove(a->loop, &a->waiting);
	mesh_timer_remove(a->loop, &a->adding);
	mesh_timer_remove(a->loop, &a->leaving);
	mesh_timer_remove(a->loop, &a->trim);
	mesh_probe_free(mesh_steal(a->probe));
	mesh_cni_conf_free(mesh_steal(a->cni));
	mesh_ctlsock_free(mesh_steal(a->sock));
	mesh_lease_free(mesh_steal(a->lease)); /* it stays: it is the next agent's */
	mesh_stale_free(mesh_steal(a->stale));
	mesh_agent_left_free(a);
	mesh_compiler_free(mesh_steal(a->compiler));
	mesh_feed_free(mesh_steal(a->feed));
	mesh_changes_clear(&a->changes);
	mesh_kube_free(mesh_steal(a->kube));
	mesh_pods_yield(a->pods);
	mesh_edges_free(mesh_steal(a->edges));
	mesh_io_remove(a->loop, &a->events);
	mesh_dp_yield(a->dp);
}

static void agent_stop(struct mesh_agent *a)
{
	bool lingered = mesh_handover_lingers(a->handover);

	mesh_probe_free(a->probe);
	mesh_cni_conf_free(a->cni);
	mesh_ctlsock_free(a->sock);
	if (a->lease && !a->left)
		mesh_lease_withdraw(a->lease);
	mesh_lease_free(a->lease);
	mesh_stale_free(a->stale);
	mesh_compiler_free(a->compiler);
	mesh_agent_left_free(a);
	mesh_feed_free(a->feed);
	mesh_changes_clear(&a->changes);
	mesh_kube_free(a->kube);
	mesh_pods_free(a->pods);
	mesh_edges_free(a->edges);
	if (a->proxy)
		mesh_proxy_free(a->proxy, lingered ? 0 : MESH_SEC(2));
	mesh_pods_free_late(a->pods);
	mesh_handover_free(a->handover);
	mesh_keeper_free(a->keeper);
	if (a->loop)
		mesh_io_remove(a->loop, &a->events);
	if (a->dp)
		mesh_dp_free(a->dp);
	mesh_l7_states_free(&a->states);
	mesh_vec_free(&a->waiters);
	mesh_vec_free(&a->adds);
	mesh_agent_in_force_forget(a, NULL);
	mesh_vec_free(&a->askers);
	json_decref(a->reached);
	mesh_vec_free(&a->gone);
	mesh_map_free(&a->tables);
	mesh_map_free(&a->asked);
	mesh_members_free(&a->members);
	free(a->cgroup_own);
	if (a->loop)
		mesh_loop_free(a->loop);
}

/* What lists and the first compilation took is given back. */
static void on_trim(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	(void)timer;
	malloc_trim(0);
}

static void on_waiting(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	mesh_agent_answer(mesh_container_of(timer, struct mesh_agent, waiting));
}

static void on_adding(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	mesh_agent_cni_run(mesh_container_of(timer, struct mesh_agent, adding));
}

static void on_leaving(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	mesh_agent_leave(mesh_container_of(timer, struct mesh_agent, leaving));
}

static int detach(const struct mesh_agent_opts *o)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	struct mesh_members members;
	int r = mesh_dp_detach(o->pin_dir, &errs);

	if (o->cni_conf_dir && mesh_cni_conf_remove(o->cni_bin_dir, o->cni_conf_dir, &errs) < 0)
		r = -EIO;
	mesh_members_init(&members, o);
	mesh_members_remove(&members);
	mesh_members_free(&members);
	mesh_feed_saved_remove(o->snapshot_dir);
	mesh_agent_door_remove(o);
	if (o->socket)
		unlink(o->socket); /* of one that was killed */
	mesh_log_errs(&errs);
	return r < 0 ? 1 : 0;
}

/* Returns the exit status of --health, --alive, --status and --leave. */
static int ask(const struct mesh_agent_opts *o)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	const char *why;
	json_t *answer;
	bool ok;

	if (mesh_agent_ask(o->socket,
			   o->status  ? "status"
			   : o->leave ? "leave"
				      : "health",
			   ASK_MS, &answer, &errs) < 0) {
		mesh_vec_each (e, &errs.list)
			fprintf(stderr, "%s\n", e->text);
		return 1;
	}
	ok = o->alive || json_is_true(json_object_get(answer, "ok"));
	why = json_string_value(json_object_get(answer, "error"));
	if (o->status) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (!ok) {
		fprintf(stderr, "%s\n", why ? why : "not in force");
	}
	json_decref(answer);
	return ok ? 0 : 1;
}

/* The same program with the same arguments, as the child of a keeper. */
static int run_kept(const struct mesh_agent_opts *o, int argc, char **argv)
{
	mesh_auto_free char *door = o->socket ? mesh_xasprintf("%s.keeper", o->socket) : NULL;
	mesh_auto_free char *holder = mesh_holder_path(o->socket);
	mesh_auto_free char **all = mesh_xcalloc((size_t)argc + 2, sizeof(*all));

	all[0] = "meshd";
	memcpy(all + 1, argv, (size_t)argc * sizeof(*all));
	return mesh_keeper_run("/proc/self/exe", all, door, holder);
}

int mesh_agent_main(int argc, char **argv)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	struct mesh_agent a = {.publish.fn = on_publish,
			       .waiting.fn = on_waiting,
			       .adding.fn = on_adding,
			       .leaving.fn = on_leaving,
			       .trim.fn = on_trim};
	int r = mesh_envdir_read(getenv("SOCKMESH_ENV_DIR"));

	if (r < 0) {
		fprintf(stderr, "meshd agent: SOCKMESH_ENV_DIR %s: %s\n", getenv("SOCKMESH_ENV_DIR"), strerror(-r));
		return 1;
	}
	mesh_envdir_expand(argc, argv);
	r = mesh_agent_options(argc, argv, &a.opts);
	if (r >= 0)
		return r;
	if (a.opts.health || a.opts.alive || a.opts.status || a.opts.leave)
		return ask(&a.opts);
	mesh_daemon_init("agent", a.opts.log_level);
	if (a.opts.detach)
		return detach(&a.opts);
	r = mesh_keeper_join(&a.keeper);
	if (r < 0)
		mesh_warn("the keeper does not answer (%s): listeners are not held", strerror(-r));
	else if (!a.keeper && a.opts.keep)
		return run_kept(&a.opts, argc, argv);
	r = agent_start(&a, &errs);
	mesh_log_errs(&errs);
	if (r == 0) {
		mesh_info("node %s: started%s", a.opts.node,
			  mesh_dp_kept(a.dp) ? " with the programs that were pinned" : "");
		r = mesh_loop_run(a.loop);
	} else {
		mesh_error("cannot start: %s", strerror(-r));
	}
	agent_stop(&a);
	return r < 0 ? 1 : a.exit_status;
}
