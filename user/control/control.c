/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control.h"

#include "control/reconcile.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/vec.h"
#include "store/store.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/resource.h>

struct control_args {
	bool embedded, no_reconcile;
	const char *data, *kubeconfig, *kubeconfig_out, *kubeconfig_server, *service_cidr, *log_level;
	MESH_VEC(struct mesh_store_listen) listen;
	MESH_VEC(const char *) names;
	struct mesh_control_opts opts;
};

struct control {
	struct control_args args;
	struct mesh_loop *loop;
	struct mesh_store *store;
	struct mesh_kube *kube;
	struct mesh_cache *cache;
	struct mesh_control_force *force;
	struct mesh_timer round, tick;
};

/* Status that depends on time alone (a Lease that went stale) is looked at this often. */
#define TICK_NS MESH_SEC(2)

static void on_round(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct control *c = mesh_container_of(timer, struct control, round);

	(void)loop;
	if (c->args.opts.namespaces)
		mesh_control_namespaces(c->cache);
	mesh_control_planes(c->cache, &c->args.opts);
	mesh_control_members(c->cache);
	mesh_control_in_force(c->force, c->cache);
	mesh_control_leases(c->cache);
	mesh_timer_set(c->loop, &c->tick, TICK_NS);
}

static void on_changed(void *arg)
{
	struct control *c = arg;

	if (!c->round.heap_at)
		mesh_timer_set(c->loop, &c->round, 0);
}

static void on_tick(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	on_changed(mesh_container_of(timer, struct control, tick));
}

static void on_term(void *arg)
{
	mesh_loop_stop(((struct control *)arg)->loop);
}

/* The API first, then the kubeconfig: who finds that file can connect. */
static int start_store(struct control *c, struct mesh_errs *errs)
{
	struct control_args *a = &c->args;
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

	mesh_vec_push(&a->names, NULL);
	opts.names = a->names.items;
	r = mesh_store_new(&c->store, c->loop, &opts, errs);
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
	struct mesh_kube_opts opts = {
		.kubeconfig = c->args.kubeconfig, .user_agent = "meshd-control/" MESH_VERSION, .netns_fd = -1};
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

static int control_start(struct control *c, struct mesh_errs *errs)
{
	int r;

	if ((r = mesh_loop_new(&c->loop)) < 0 || (r = mesh_loop_on_term(c->loop, on_term, c)) < 0)
		return r;
	if (c->args.embedded && (r = start_store(c, errs)) < 0)
		return r;
	if (c->args.no_reconcile)
		return 0;
	r = start_client(c, errs);
	if (r < 0)
		return r;
	c->force = mesh_control_force_new();
	return mesh_cache_new(&c->cache, c->loop, c->kube, on_changed, c);
}

static void control_stop(struct control *c)
{
	mesh_cache_free(c->cache);
	mesh_control_force_free(c->force);
	mesh_kube_free(c->kube);
	mesh_store_free(c->store);
	if (c->loop)
		mesh_loop_free(c->loop);
	mesh_vec_free(&c->args.listen);
	mesh_vec_free(&c->args.names);
}

static const struct option long_options[] = {
	{"embedded", no_argument, NULL, 'e'},
	{"data", required_argument, NULL, 'd'},
	{"listen", required_argument, NULL, 'L'},
	{"san", required_argument, NULL, 'S'},
	{"service-cidr", required_argument, NULL, 'c'},
	{"kubeconfig", required_argument, NULL, 'k'},
	{"kubeconfig-out", required_argument, NULL, 'o'},
	{"kubeconfig-server", required_argument, NULL, 's'},
	{"route-host", required_argument, NULL, 'r'},
	{"image", required_argument, NULL, 'i'},
	{"no-reconcile", no_argument, NULL, 'n'},
	{"log-level", required_argument, NULL, 'l'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int usage(FILE *out)
{
	fputs("usage: meshd control [OPTIONS]\n\n"
	      "  --kubeconfig FILE        the API (default: KUBECONFIG, the pod's service account, ~/.kube/config)\n"
	      "  --embedded               serve the API too, and use that\n"
	      "  --data DIR               its state and certificates\n"
	      "  --listen IP:PORT         where it listens; may be repeated (default: 127.0.0.1:6443)\n"
	      "  --san NAME               another name or address that clients use for it; may be repeated\n"
	      "  --service-cidr CIDR      addresses of Services\n"
	      "  --kubeconfig-out FILE    write the administrator's kubeconfig here\n"
	      "  --kubeconfig-server URL  the server in that kubeconfig (default: the first --listen)\n"
	      "  --route-host HOST        host of the ingress gateway's Route\n"
	      "  --image IMAGE            of the gateways' pods (default: docker.io/sockmesh/meshd:dev)\n"
	      "  --no-reconcile           only serve the API\n"
	      "  --log-level LEVEL        error, warn, info (default) or debug\n",
	      out);
	return out == stderr ? 2 : 0;
}

static int add_listen(struct control_args *a, const char *text)
{
	struct mesh_store_listen l = {.fd = -1};

	if (mesh_addr_parse_port(mesh_slice_str(text), &l.addr) < 0) {
		fprintf(stderr, "meshd control: --listen %s: not IP:PORT\n", text);
		return 2;
	}
	mesh_vec_push(&a->listen, l);
	return -1;
}

/* Returns -1 to go on, else an exit status. */
static int parse_options(int argc, char **argv, struct control_args *a)
{
	int c, r;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (c) {
		case 'e':
			a->embedded = true;
			break;
		case 'd':
			a->data = optarg;
			break;
		case 'L':
			r = add_listen(a, optarg);
			if (r >= 0)
				return r;
			break;
		case 'S':
			mesh_vec_push(&a->names, optarg);
			break;
		case 'c':
			a->service_cidr = optarg;
			break;
		case 'k':
			a->kubeconfig = optarg;
			break;
		case 'o':
			a->kubeconfig_out = optarg;
			break;
		case 's':
			a->kubeconfig_server = optarg;
			break;
		case 'r':
			a->opts.route_host = optarg;
			break;
		case 'i':
			a->opts.image = optarg;
			break;
		case 'n':
			a->no_reconcile = true;
			break;
		case 'l':
			a->log_level = optarg;
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (optind < argc || (a->embedded && !a->data))
		return usage(stderr);
	if (a->embedded && a->listen.count == 0)
		add_listen(a, "127.0.0.1:6443");
	a->opts.namespaces = a->embedded;
	return -1;
}

int mesh_control_main(int argc, char **argv)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	enum mesh_log_level level = MESH_LOG_INFO;
	struct control c = {
		.args.opts.image = "docker.io/sockmesh/meshd:dev", .round.fn = on_round, .tick.fn = on_tick};
	struct rlimit files;
	int r = parse_options(argc, argv, &c.args);

	if (r >= 0)
		return r;
	if (c.args.log_level && mesh_log_level_parse(c.args.log_level, &level) < 0)
		return usage(stderr);
	mesh_log_init("control", level);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	r = control_start(&c, &errs);
	mesh_vec_each (e, &errs.list)
		mesh_error("%s%s%s%s", e->text, e->hint ? " (" : "", e->hint ? e->hint : "", e->hint ? ")" : "");
	if (r == 0)
		r = mesh_loop_run(c.loop);
	else
		mesh_error("cannot start: %s", strerror(-r));
	control_stop(&c);
	return r < 0 ? 1 : 0;
}
