/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control.h"

#include "control/ca.h"
#include "control/leader.h"
#include "control/options.h"
#include "control/webhook.h"
#include "core/log.h"
#include "core/mem.h"
#include "obs/probe.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#define LEASE_NAME "sockmesh-control"

/* Status that depends on time alone (a Lease that went stale) is looked at this often. */
#define TICK_NS MESH_SEC(2)
/* Rounds that events ask for come no faster than this; the first after a pause comes at once. */
#define ROUND_NS MESH_MS(5)
/* How long the webhook goes on after SIGTERM: API servers hear only by and by that this endpoint is gone. */
#define LINGER_NS MESH_SEC(3)

struct control {
	struct mesh_control_args args;
	struct mesh_loop *loop;
	struct mesh_store *store;
	struct mesh_kube *kube;
	struct mesh_leader *leader;
	struct mesh_webhook *webhook;
	struct mesh_ca *ca;
	struct mesh_probe *probe;
	/* While we reconcile. */
	struct mesh_cache *cache;
	struct mesh_control_force *force;
	struct mesh_timer round, tick;
	uint64_t round_ns; /* when the last round ended */
	struct mesh_timer linger, probe_again;
	bool stopping, released, lingered;
};

/* --- reconciling --- */

static void on_round(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct control *c = mesh_container_of(timer, struct control, round);

	(void)loop;
	if (!c->cache || (c->leader && !mesh_leader_leads(c->leader)))
		return;
	if (c->args.opts.embedded)
		mesh_control_namespaces(c->cache);
	mesh_control_planes(c->cache, &c->args.opts);
	mesh_control_members(c->cache, c->force);
	mesh_control_in_force(c->force, c->cache);
	mesh_control_leases(c->cache);
	c->round_ns = mesh_now_ns();
	mesh_timer_set(c->loop, &c->tick, TICK_NS);
}

static void on_changed(void *arg)
{
	struct control *c = arg;
	uint64_t now = mesh_now_ns(), due = c->round_ns + ROUND_NS;

	if (!c->round.heap_at)
		mesh_timer_set(c->loop, &c->round, due > now ? due - now : 0);
}

static void on_tick(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	on_changed(mesh_container_of(timer, struct control, tick));
}

static void reconcile_begin(struct control *c)
{
	if (c->args.no_reconcile || c->cache)
		return;
	c->force = mesh_control_force_new();
	mesh_cache_new(&c->cache, c->loop, c->kube, on_changed, c);
}

/* What is under way is given up: the next leader finds out for itself what is left to do. */
static void reconcile_end(struct control *c)
{
	mesh_cache_free(c->cache);
	mesh_control_force_free(c->force);
	c->cache = NULL;
	c->force = NULL;
	if (c->loop) {
		mesh_timer_remove(c->loop, &c->round);
		mesh_timer_remove(c->loop, &c->tick);
	}
}

static void lead(struct control *c, bool leads)
{
	if (c->ca)
		mesh_ca_lead(c->ca, leads);
	if (leads)
		reconcile_begin(c);
	else
		reconcile_end(c);
}

static void on_leads(void *arg, bool leads)
{
	lead(arg, leads);
}

/* --- probes --- */

static int answer_healthz(void *arg, struct mesh_buf *text)
{
	(void)arg;
	mesh_buf_str(text, "ok\n");
	return 200;
}

static int answer_readyz(void *arg, struct mesh_buf *text)
{
	const struct control *c = arg;
	bool ready = !c->stopping;

	if (c->stopping)
		mesh_buf_str(text, "stopping\n");
	if (c->webhook && !mesh_webhook_ready(c->webhook, text)) {
		mesh_buf_char(text, '\n');
		ready = false;
	}
	if (c->cache && !mesh_cache_synced(c->cache)) {
		mesh_buf_str(text, "waiting for the API:");
		mesh_cache_missing(c->cache, text);
		mesh_buf_char(text, '\n');
		ready = false;
	}
	if (ready)
		mesh_buf_printf(text, "ok%s\n", c->leader && !c->cache ? ", not leading" : "");
	return ready ? 200 : 503;
}

static const struct mesh_probe_path probe_paths[] = {
	{"/healthz", answer_healthz},
	{"/livez", answer_healthz},
	{"/readyz", answer_readyz},
	{"/healthz/ready", answer_readyz},
	{NULL, NULL},
};

/* --- the end --- */

static void stop_when_done(struct control *c)
{
	if (c->released && c->lingered)
		mesh_loop_stop(c->loop);
}

static void on_released(void *arg)
{
	struct control *c = arg;

	c->released = true;
	stop_when_done(c);
}

static void on_lingered(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct control *c = mesh_container_of(timer, struct control, linger);

	(void)loop;
	c->lingered = true;
	stop_when_done(c);
}

/* Another may lead at once; the webhook serves on for a while. A second signal ends both. */
static void on_term(void *arg)
{
	struct control *c = arg;

	if (c->stopping) {
		mesh_loop_stop(c->loop);
		return;
	}
	c->stopping = true;
	c->lingered = !c->webhook;
	if (c->webhook)
		mesh_timer_set(c->loop, &c->linger, LINGER_NS);
	if (c->leader) {
		mesh_leader_release(c->leader, on_released, c);
	} else {
		lead(c, false);
		on_released(c);
	}
}

/* --- the beginning --- */

/* The API first, then the kubeconfig: who finds that file can connect. */
static int start_store(struct control *c, struct mesh_errs *errs)
{
	struct mesh_control_args *a = &c->args;
	struct mesh_store_opts opts = {.data_dir = a->data,
				       .listen = a->listen.items,
				       .listen_count = a->listen.count,
				       .service_cidr = a->service_cidr,
				       .route_host = a->opts.route_host};
	mesh_auto(mesh_buf_free) struct mesh_buf kubeconfig = {0};
	mesh_auto_free char *server = NULL;
	char text[MESH_ADDR_TEXT];
	struct mesh_addr addr;
	int r;

	mesh_vec_push(&a->sans.list, NULL);
	opts.names = a->sans.list.items;
	r = mesh_store_new(&c->store, c->loop, &opts, errs);
	a->sans.list.count--;
	if (r < 0)
		return r;
	for (size_t i = 0; i < a->listen.count; i++) {
		addr = mesh_store_addr(c->store, i);
		mesh_info("the API listens on https://%s", mesh_addr_text(&addr, text));
	}
	if (!a->kubeconfig_out)
		return 0;
	addr = mesh_store_addr(c->store, 0);
	server = a->kubeconfig_server ? mesh_xstrdup(a->kubeconfig_server)
				      : mesh_xasprintf("https://%s", mesh_addr_text(&addr, text));
	mesh_store_kubeconfig(c->store, server, &kubeconfig);
	r = mesh_file_write(a->kubeconfig_out, mesh_buf_view(&kubeconfig), 0600);
	if (r < 0)
		mesh_errs_add(errs, "%s: %s", a->kubeconfig_out, strerror(-r));
	return r;
}

/* With --embedded, its own API at its own address, whatever the kubeconfig for others says. */
static int start_client(struct control *c, struct mesh_errs *errs)
{
	struct mesh_kube_opts opts = {.kubeconfig = c->args.kubeconfig, .program = "meshd-control", .netns_fd = -1};
	mesh_auto_free char *own = NULL;

	if (c->store && !opts.kubeconfig) {
		mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
		mesh_auto_free char *server = NULL;
		char addr_text[MESH_ADDR_TEXT];
		struct mesh_addr addr = mesh_store_addr(c->store, 0);
		int r;

		server = mesh_xasprintf("https://%s", mesh_addr_text(&addr, addr_text));
		mesh_store_kubeconfig(c->store, server, &text);
		own = mesh_xasprintf("%s/control.kubeconfig", c->args.data);
		r = mesh_file_write(own, mesh_buf_view(&text), 0600);
		if (r < 0) {
			mesh_errs_add(errs, "%s: %s", own, strerror(-r));
			return r;
		}
		opts.kubeconfig = own;
	}
	return mesh_kube_new(&c->kube, c->loop, &opts, errs);
}

static void on_signer(void *arg, const struct mesh_key_pair *ca)
{
	mesh_webhook_sign(((struct control *)arg)->webhook, ca);
}

static int start_webhook(struct control *c)
{
	const struct mesh_control_args *a = &c->args;
	mesh_auto_free char *svc = mesh_xasprintf("%s.%s.svc", a->webhook_service, a->ns);
	mesh_auto_free char *full = mesh_xasprintf("%s.cluster.local", svc);
	struct mesh_ca_opts ca = {.ns = a->ns,
				  .secret = a->webhook_secret,
				  .configuration = a->webhook_configuration,
				  .seconds = a->ca_seconds,
				  .overlap_seconds = a->ca_overlap_seconds,
				  .signer = on_signer,
				  .arg = c};
	struct mesh_opt_list names = {0};
	struct mesh_webhook_opts webhook = {.listen = a->webhook, .cert_seconds = a->cert_seconds};
	int r;

	mesh_vec_push(&names.list, svc);
	mesh_vec_push(&names.list, full);
	mesh_vec_each (san, &a->sans.list)
		mesh_vec_push(&names.list, *san);
	mesh_vec_push(&names.list, NULL);
	webhook.names = names.list.items;
	r = mesh_webhook_new(&c->webhook, c->loop, &webhook);
	mesh_vec_free(&names.list);
	return r < 0 ? r : mesh_ca_new(&c->ca, c->loop, c->kube, &ca);
}

/*
 * A process is told from another by more than its pod's name: a container restarts under the same one, once the process
 * before has ended.
 */
static int start_leader(struct control *c)
{
	char host[256] = "control";
	unsigned char random[8] = {0};
	mesh_auto_free char *identity = NULL, *former = c->args.pod ? mesh_xasprintf("%s_", c->args.pod) : NULL;
	struct mesh_leader_opts opts = {.ns = c->args.ns, .name = LEASE_NAME, .changed = on_leads, .arg = c};
	uint64_t number;

	gethostname(host, sizeof(host) - 1);
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	memcpy(&number, random, sizeof(number));
	identity = mesh_xasprintf("%s_%016llx", c->args.pod ? c->args.pod : host, (unsigned long long)number);
	opts.identity = identity;
	opts.former = former;
	return mesh_leader_new(&c->leader, c->loop, c->kube, &opts);
}

/* On the host's network the place may still be an old pod's: it is waited for. */
static int start_probe(struct control *c, struct mesh_errs *errs)
{
	int r = mesh_probe_new(&c->probe, c->loop, &c->args.health, probe_paths, c);

	if (r == -EADDRINUSE) {
		if (errs)
			mesh_warn("--health-listen %s: %s; trying again", c->args.health_text, strerror(-r));
		mesh_timer_set(c->loop, &c->probe_again, MESH_SEC(1));
		return 0;
	}
	if (r < 0)
		mesh_errs_add(errs, "--health-listen %s: %s", c->args.health_text, strerror(-r));
	return r;
}

static void on_probe_again(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	start_probe(mesh_container_of(timer, struct control, probe_again), NULL);
}

static int control_start(struct control *c, struct mesh_errs *errs)
{
	const struct mesh_control_args *a = &c->args;
	int r;

	if ((r = mesh_loop_new(&c->loop)) < 0 || (r = mesh_loop_on_term(c->loop, on_term, c)) < 0)
		return r;
	if (a->health.port && (r = start_probe(c, errs)) < 0)
		return r;
	if (a->embedded && (r = start_store(c, errs)) < 0)
		return r;
	if (a->no_reconcile && !a->leader_elect && !a->webhook.port)
		return 0;
	r = start_client(c, errs);
	if (r == 0 && a->webhook.port)
		r = start_webhook(c);
	if (r < 0)
		return r;
	if (a->leader_elect)
		return start_leader(c);
	lead(c, true);
	return 0;
}

static void control_stop(struct control *c)
{
	mesh_probe_free(c->probe);
	reconcile_end(c);
	mesh_leader_free(c->leader);
	mesh_ca_free(c->ca);
	mesh_webhook_free(c->webhook);
	mesh_kube_free(c->kube);
	mesh_store_free(c->store);
	if (c->loop)
		mesh_loop_free(c->loop);
	mesh_control_args_free(&c->args);
}

int mesh_control_main(int argc, char **argv)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	struct control c = {
		.round.fn = on_round, .tick.fn = on_tick, .linger.fn = on_lingered, .probe_again.fn = on_probe_again};
	int r = mesh_control_args_parse(argc, argv, &c.args);

	if (r >= 0) {
		mesh_control_args_free(&c.args);
		return r;
	}
	mesh_daemon_init("control", c.args.log_level);
	r = control_start(&c, &errs);
	mesh_log_errs(&errs);
	if (r == 0)
		r = mesh_loop_run(c.loop);
	else
		mesh_error("cannot start: %s", strerror(-r));
	control_stop(&c);
	return r < 0 ? 1 : 0;
}
