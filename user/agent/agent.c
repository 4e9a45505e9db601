/* SPDX-License-Identifier: Apache-2.0 */
/* The agent begins, and ends: alone, or as another takes its place. */
#include "agent/agent.h"

#include "agent/ask.h"
#include "agent/cgroup.h"
#include "agent/holder.h"
#include "agent/keeper.h"
#include "agent/settings.h"
#include "agent/state.h"
#include "core/daemon.h"
#include "core/envdir.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>

#define DEVICES_NS MESH_SEC(5)

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

static void on_devices(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_agent *a = mesh_container_of(timer, struct mesh_agent, devices);
	mesh_auto(mesh_errs_free) struct mesh_errs news = {0};

	if (a->left)
		return;
	mesh_dp_follow_devices(a->dp, &news);
	mesh_vec_each (line, &news.list)
		mesh_info("data plane: %s", line->text);
	mesh_timer_set(loop, timer, DEVICES_NS);
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

/* From here on what an agent before had in force is ours. */
static int start_data_plane(struct mesh_agent *a, struct mesh_errs *errs)
{
	struct mesh_dp_opts dp = {.pin_dir = a->opts.pin_dir,
				  .cgroup_root = a->cgroup_root,
				  .agent_cgroup = a->cgroup_own,
				  .uplink = a->opts.uplink,
				  .clsact = a->opts.clsact,
				  .xdp = &a->opts.xdp,
				  .listeners_held = a->keeper != NULL,
				  .beside = mesh_handover_has_older(a->handover),
				  .watch_stale = true};
	struct mesh_proxy_opts proxy = {.workers = a->opts.workers, .spliced = is_spliced};
	int r = mesh_dp_new(&a->dp, &dp, errs);

	if (r < 0)
		return r;
	listen_to_programs(a);
	if (a->opts.uplink || a->opts.xdp.device[0])
		mesh_timer_set(a->loop, &a->devices, DEVICES_NS);
	proxy.spliced_arg = a->dp;
	r = mesh_proxy_new(&a->proxy, &proxy);
	if (r < 0)
		return r;
	a->pods = mesh_pods_new(&(struct mesh_pods_opts){.loop = a->loop,
							 .dp = a->dp,
							 .proxy = a->proxy,
							 .keeper = a->keeper,
							 .node = a->opts.node,
							 .splice = a->opts.splice,
							 .settled = on_settled,
							 .arg = a});
	a->edges = mesh_edges_new(a->loop, a->dp, a->opts.node);
	return 0;
}

/* What comes from the API and goes there. */
static int start_feed(struct mesh_agent *a, struct mesh_errs *errs)
{
	struct mesh_kube_opts kube = {.kubeconfig = a->opts.kubeconfig, .program = "meshd-agent", .netns_fd = -1};
	struct mesh_feed_opts feed = {.loop = a->loop,
				      .node = a->opts.node,
				      .changes = &a->changes,
				      .saved_dir = a->opts.snapshot_dir,
				      .changed = on_changed,
				      .pod = on_pod,
				      .gone = on_gone,
				      .left = mesh_agent_left,
				      .arg = a};
	mesh_auto_free char *name = mesh_xasprintf("sockmesh-agent-%s", a->opts.node);
	struct mesh_lease_opts lease = {.name = name, .component = "agent", .holder = a->opts.node};
	int r;

	if ((r = mesh_kube_new(&a->kube, a->loop, &kube, errs)) < 0 ||
	    (r = mesh_lease_new(&a->lease, a->loop, a->kube, &lease)) < 0 ||
	    (r = mesh_feed_new(&a->feed, a->kube, &feed)) < 0)
		return r;
	a->stale = mesh_stale_new(a);
	a->compiler = mesh_compiler_new(mesh_feed_snapshot(a->feed), &a->states);
	return 0;
}

/* Where others ask. */
static int start_answering(struct mesh_agent *a, struct mesh_errs *errs)
{
	const struct mesh_agent_opts *o = &a->opts;
	int r = 0;

	if (o->socket &&
	    (r = mesh_ctlsock_new(&a->sock, a->loop, o->socket, mesh_agent_command, mesh_agent_forget, a)) < 0)
		mesh_errs_add(errs, "socket %s: %s", o->socket, strerror(-r));
	if (r == 0 && o->health_listen &&
	    (r = mesh_probe_new(&a->probe, a->loop, &o->health_addr, mesh_agent_probe_paths, a)) < 0)
		mesh_errs_add(errs, "--health-listen %s: %s", o->health_listen, strerror(-r));
	return r;
}

static int agent_start(struct mesh_agent *a, struct mesh_errs *errs)
{
	int r = find_cgroups(a, errs);

	if (r < 0)
		return r;
	mesh_members_init(&a->members, &a->opts);
	if ((r = mesh_loop_new(&a->loop)) < 0 || (r = mesh_loop_on_term(a->loop, on_term, a)) < 0 ||
	    (r = mesh_handover_new(&a->handover, a)) < 0 || (r = start_data_plane(a, errs)) < 0 ||
	    (r = start_feed(a, errs)) < 0)
		return r;
	return start_answering(a, errs);
}

void mesh_agent_yield(struct mesh_agent *a)
{
	mesh_timer_remove(a->loop, &a->publish);
	mesh_timer_remove(a->loop, &a->waiting);
	mesh_timer_remove(a->loop, &a->adding);
	mesh_timer_remove(a->loop, &a->leaving);
	mesh_timer_remove(a->loop, &a->trim);
	mesh_timer_remove(a->loop, &a->devices);
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
	struct mesh_agent a = {.publish.fn = mesh_agent_publish_due,
			       .waiting.fn = on_waiting,
			       .adding.fn = on_adding,
			       .leaving.fn = on_leaving,
			       .devices.fn = on_devices,
			       .trim.fn = on_trim};
	int r = mesh_envdir_read(getenv("SOCKMESH_ENV_DIR"));
	bool older;

	if (r < 0) {
		fprintf(stderr, "meshd agent: SOCKMESH_ENV_DIR %s: %s\n", getenv("SOCKMESH_ENV_DIR"), strerror(-r));
		return 1;
	}
	older = mesh_agent_settings(getenv("SOCKMESH_SETTINGS"));
	mesh_envdir_expand(argc, argv);
	r = mesh_agent_options(argc, argv, &a.opts);
	if (r >= 0)
		return r;
	if (mesh_agent_asks(&a.opts))
		return mesh_agent_ask_main(&a.opts);
	mesh_daemon_init("agent", a.opts.log_level);
	if (older)
		mesh_info(
			"the ConfigMap that the pod was given is of another revision than its template: the template's "
			"settings are used");
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
