/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The L7 engine alone, as one hop to fixed upstreams: hop [-w WORKERS] LISTEN-IP:PORT UPSTREAM-IP:PORT...
 * Every host goes to the upstreams in turn. For measurements and for tests by hand.
 */
#include "core/loop.h"
#include "core/mem.h"
#include "proxy/proxy.h"

#include <stdio.h>
#include <sys/socket.h>

static void destroy(struct mesh_l7_config *cfg)
{
	mesh_pmap_free(&cfg->gateway);
	mesh_arena_free(&cfg->arena);
	free(cfg);
}

static struct mesh_l7_config *config_new(char **upstreams, int count)
{
	struct mesh_l7_config *cfg = mesh_xcalloc(1, sizeof(*cfg));
	struct mesh_arena *a = &cfg->arena;
	struct mesh_l7_endpoint *endpoints = mesh_arena_array(a, struct mesh_l7_endpoint, (size_t)count);
	struct mesh_l7_cluster *cluster = mesh_arena_new(a, struct mesh_l7_cluster);
	struct mesh_l7_dest *dest = mesh_arena_new(a, struct mesh_l7_dest);
	struct mesh_l7_route *route = mesh_arena_new(a, struct mesh_l7_route);
	struct mesh_l7_vhost *vhost = mesh_arena_new(a, struct mesh_l7_vhost);
	struct mesh_l7_table *table = mesh_arena_new(a, struct mesh_l7_table);

	for (int i = 0; i < count; i++) {
		endpoints[i].active = mesh_arena_new(a, atomic_uint_fast32_t);
		if (mesh_addr_parse_port(mesh_slice_str(upstreams[i]), &endpoints[i].addr) < 0) {
			fprintf(stderr, "hop: '%s' is not IP:PORT\n", upstreams[i]);
			exit(2);
		}
	}
	*cluster = (struct mesh_l7_cluster){.name = "hop", .endpoints = endpoints, .endpoint_count = (size_t)count};
	cluster->state = mesh_arena_new(a, struct mesh_l7_state);
	*dest = (struct mesh_l7_dest){.cluster = cluster, .weight = 100};
	*route = (struct mesh_l7_route){.dests = dest, .dest_count = 1, .total_weight = 100};
	route->state = mesh_arena_new(a, struct mesh_l7_state);
	*vhost = (struct mesh_l7_vhost){.name = "any", .routes = route, .route_count = 1};
	table->any = vhost;
	mesh_pmap_put_str(&cfg->gateway, "80", table);
	atomic_store(&cfg->refs, 1);
	cfg->destroy = destroy;
	return cfg;
}

static int listen_on(const char *text)
{
	struct mesh_addr a;
	struct sockaddr_storage ss;
	socklen_t len;
	int fd, one = 1;

	if (mesh_addr_parse_port(mesh_slice_str(text), &a) < 0)
		return -1;
	len = mesh_addr_to_sock(&a, &ss);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, 4096) < 0)
		return -1;
	return fd;
}

static void stop(void *loop)
{
	mesh_loop_stop(loop);
}

int main(int argc, char **argv)
{
	struct mesh_proxy_listen listen = {.upstream_netns_fd = -1, .gateway_port = 80};
	struct mesh_proxy_opts opts = {0};
	struct mesh_proxy_listener *l;
	struct mesh_proxy *proxy;
	struct mesh_loop *loop;
	int c;

	while ((c = getopt(argc, argv, "w:")) == 'w')
		opts.workers = (unsigned)atoi(optarg);
	if (c != -1 || argc - optind < 2) {
		fprintf(stderr, "usage: hop [-w WORKERS] LISTEN-IP:PORT UPSTREAM-IP:PORT...\n");
		return 2;
	}
	listen.fd = listen_on(argv[optind]);
	if (listen.fd < 0) {
		perror(argv[optind]);
		return 1;
	}
	if (mesh_loop_new(&loop) < 0 || mesh_loop_on_term(loop, stop, loop) < 0 || mesh_proxy_new(&proxy, &opts) < 0)
		return 1;
	mesh_proxy_publish(proxy, config_new(argv + optind + 1, argc - optind - 1));
	if (mesh_proxy_listen(proxy, &listen, &l) < 0)
		return 1;
	mesh_loop_run(loop);
	mesh_proxy_free(proxy, MESH_SEC(1));
	mesh_loop_free(loop);
	return 0;
}
