/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/vec.h"
#include "store/store.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

struct options {
	bool embedded;
	const char *data, *kubeconfig_out, *kubeconfig_server, *service_cidr, *route_host;
	MESH_VEC(struct mesh_store_listen) listen;
	MESH_VEC(const char *) names;
};

static const struct option table[] = {
	{"embedded", no_argument, NULL, 'e'},
	{"data", required_argument, NULL, 'd'},
	{"listen", required_argument, NULL, 'l'},
	{"san", required_argument, NULL, 's'},
	{"kubeconfig-out", required_argument, NULL, 'o'},
	{"kubeconfig-server", required_argument, NULL, 'k'},
	{"service-cidr", required_argument, NULL, 'c'},
	{"route-host", required_argument, NULL, 'r'},
	{"no-reconcile", no_argument, NULL, 'n'},
	{NULL, 0, NULL, 0},
};

static int parse(int argc, char **argv, struct options *o)
{
	struct mesh_store_listen l = {.fd = -1};
	int c;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1)
		switch (c) {
		case 'e':
			o->embedded = true;
			break;
		case 'd':
			o->data = optarg;
			break;
		case 'l':
			if (mesh_addr_parse_port(mesh_slice_str(optarg), &l.addr) < 0) {
				fprintf(stderr, "meshd control: --listen %s: not IP:PORT\n", optarg);
				return -EINVAL;
			}
			mesh_vec_push(&o->listen, l);
			break;
		case 's':
			mesh_vec_push(&o->names, optarg);
			break;
		case 'o':
			o->kubeconfig_out = optarg;
			break;
		case 'k':
			o->kubeconfig_server = optarg;
			break;
		case 'c':
			o->service_cidr = optarg;
			break;
		case 'r':
			o->route_host = optarg;
			break;
		case 'n':
			break;
		default:
			return -EINVAL;
		}
	mesh_vec_push(&o->names, NULL);
	if (o->embedded && o->data && o->listen.count)
		return 0;
	fputs("usage: meshd control --embedded --data DIR --listen IP:PORT [--listen IP:PORT]... [--san NAME]...\n"
	      "                     [--kubeconfig-out FILE] [--kubeconfig-server URL] [--service-cidr CIDR] "
	      "[--route-host HOST]\n",
	      stderr);
	return -EINVAL;
}

static int write_kubeconfig(const struct mesh_store *store, const struct options *o)
{
	struct mesh_addr addr = mesh_store_addr(store, 0);
	struct mesh_buf text = {0};
	char ip[MESH_ADDR_TEXT];
	mesh_auto_free char *url = o->kubeconfig_server ? mesh_xstrdup(o->kubeconfig_server)
							: mesh_xasprintf("https://%s", mesh_addr_text(&addr, ip));
	int r;

	mesh_store_kubeconfig(store, url, &text);
	r = mesh_file_write(o->kubeconfig_out, mesh_buf_view(&text), 0600);
	mesh_buf_free(&text);
	if (r < 0)
		mesh_error("control: %s: %s", o->kubeconfig_out, strerror(-r));
	return r;
}

static void stop(void *arg)
{
	mesh_loop_stop(arg);
}

static int serve(struct mesh_loop *loop, const struct options *o)
{
	const struct mesh_store_opts opts = {.data_dir = o->data,
					     .listen = o->listen.items,
					     .listen_count = o->listen.count,
					     .names = o->names.items,
					     .service_cidr = o->service_cidr,
					     .route_host = o->route_host};
	struct mesh_store *store = NULL;
	struct mesh_errs errs = {0};
	struct mesh_buf text = {0};
	int r = mesh_store_new(&store, loop, &opts, &errs);

	mesh_errs_format(&errs, &text);
	if (text.len)
		fprintf(stderr, "meshd control: %s", text.data);
	mesh_buf_free(&text);
	mesh_errs_free(&errs);
	if (r == 0 && o->kubeconfig_out)
		r = write_kubeconfig(store, o);
	if (r == 0)
		r = mesh_loop_run(loop);
	mesh_store_free(store);
	return r;
}

int mesh_control_main(int argc, char **argv)
{
	struct options o = {0};
	struct mesh_loop *loop = NULL;
	int r = parse(argc, argv, &o);

	if (r == 0) {
		mesh_log_init("control", MESH_LOG_INFO);
		r = mesh_loop_new(&loop);
		if (r == 0)
			r = mesh_loop_on_term(loop, stop, loop);
		if (r == 0)
			r = serve(loop, &o);
		mesh_loop_free(loop);
	}
	mesh_vec_free(&o.listen);
	mesh_vec_free(&o.names);
	return r == -EINVAL ? 2 : r < 0 ? 1 : 0;
}
