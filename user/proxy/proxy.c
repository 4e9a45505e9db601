/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy.h"

#include "core/mem.h"
#include "proxy/engine.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

static void set_defaults(struct mesh_proxy *p, const struct mesh_proxy_opts *opts)
{
	struct mesh_proxy_opts *o = &p->opts;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	*o = opts ? *opts : (struct mesh_proxy_opts){0};
	if (!o->workers)
		o->workers = cpus > 0 ? (unsigned)cpus : 1;
	if (!o->max_header_bytes)
		o->max_header_bytes = 60 * 1024;
	if (!o->buffer_bytes)
		o->buffer_bytes = 16 * 1024;
	if (!o->idle_timeout_ns)
		o->idle_timeout_ns = MESH_SEC(3600);
	if (!o->upstream_idle_ns)
		o->upstream_idle_ns = MESH_SEC(3600);
	if (!o->connect_timeout_ns)
		o->connect_timeout_ns = MESH_SEC(10);
	if (!o->head_timeout_ns)
		o->head_timeout_ns = MESH_SEC(60);
	if (!o->stream_timeout_ns)
		o->stream_timeout_ns = MESH_SEC(3600);
	p->server_name = mesh_xstrdup(o->server_name ? o->server_name : "sockmesh");
	p->limits = (struct mesh_http1_limits){
		.head_bytes = o->max_header_bytes, .line_bytes = o->max_request_line, .body_bytes = o->max_body_bytes};
	p->worker_count = o->workers;
}

int mesh_proxy_new(struct mesh_proxy **ret, const struct mesh_proxy_opts *opts)
{
	struct mesh_proxy *p = mesh_xcalloc(1, sizeof(*p));
	int r = 0;

	set_defaults(p, opts);
	p->workers = mesh_xcalloc(p->worker_count, sizeof(*p->workers));
	for (unsigned i = 0; i < p->worker_count; i++)
		p->workers[i].spare_fd = -1; /* also of those that are never started */
	for (unsigned i = 0; i < p->worker_count && r == 0; i++)
		r = mesh_worker_start(&p->workers[i], p, i);
	if (r < 0) {
		for (unsigned i = 0; i < p->worker_count; i++)
			mesh_worker_stop(&p->workers[i]);
		free(p->workers);
		free(p->server_name);
		free(p);
		return r;
	}
	*ret = p;
	return 0;
}

static void begin_drain(struct mesh_worker *w, void *arg)
{
	(void)arg;
	w->draining = true;
}

void mesh_proxy_drain(struct mesh_proxy *p)
{
	mesh_workers_run(p, begin_drain, NULL);
}

unsigned mesh_proxy_active(const struct mesh_proxy *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->worker_count; i++)
		n += atomic_load(&p->workers[i].active);
	return n;
}

void mesh_proxy_free(struct mesh_proxy *p, uint64_t drain_ns)
{
	uint64_t end = mesh_now_ns() + drain_ns;
	struct mesh_published *last;

	if (!p)
		return;
	mesh_proxy_drain(p);
	while (p->listeners)
		mesh_proxy_listener_free(p->listeners, drain_ns == 0);
	while (mesh_proxy_active(p) && mesh_now_ns() < end)
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	for (unsigned i = 0; i < p->worker_count; i++)
		mesh_worker_stop(&p->workers[i]);
	last = atomic_load(&p->published);
	if (last)
		mesh_l7_unref(last->cfg);
	free(last);
	free(p->workers);
	free(p->server_name);
	free(p);
}

/* Addresses in force or, of a version that follows the one before, those that left; on their way to every worker. */
struct live {
	atomic_uint refs;
	bool left;
	struct mesh_map addrs, clusters;
};

struct purge {
	struct mesh_worker *worker;
	struct live *live;
};

static void live_unref(struct live *live)
{
	if (atomic_fetch_sub(&live->refs, 1) != 1)
		return;
	mesh_map_free(&live->addrs);
	mesh_map_free(&live->clusters);
	free(live);
}

static void add_cluster(struct live *live, const struct mesh_l7_cluster *c)
{
	if (!c || mesh_map_put(&live->clusters, mesh_slice_of((const char *)&c, sizeof(c)), live))
		return;
	for (size_t i = 0; i < c->endpoint_count; i++)
		mesh_map_put(&live->addrs, mesh_addr_key(&c->endpoints[i].addr), live);
}

static void add_vhost(struct live *live, const struct mesh_l7_vhost *v)
{
	for (size_t i = 0; v && i < v->route_count; i++)
		for (size_t k = 0; k < v->routes[i].dest_count; k++)
			add_cluster(live, v->routes[i].dests[k].cluster);
}

static void add_tables(struct live *live, const struct mesh_pmap *tables)
{
	mesh_pmap_each(e, tables)
	{
		const struct mesh_l7_table *t = e->value;

		mesh_pmap_each(v, &t->exact) add_vhost(live, v->value);
		mesh_pmap_each(v, &t->suffix) add_vhost(live, v->value);
		add_vhost(live, t->any);
	}
}

static void run_purge(void *arg)
{
	struct purge *p = arg;

	mesh_up_purge(p->worker, &p->live->addrs, p->live->left);
	live_unref(p->live);
	free(p);
}

static void purge(struct mesh_proxy *proxy, const struct mesh_l7_config *cfg)
{
	struct live *live = mesh_xcalloc(1, sizeof(*live));

	live->left = cfg->follows;
	if (cfg->follows) {
		mesh_map_each (e, &cfg->departed)
			mesh_map_put(&live->addrs, mesh_slice_of(e->key, e->key_len), live);
	} else {
		add_tables(live, &cfg->outbound);
		add_tables(live, &cfg->gateway);
		mesh_pmap_each(e, &cfg->by_vip) add_cluster(live, e->value);
	}
	atomic_store(&live->refs, proxy->worker_count);
	for (unsigned i = 0; i < proxy->worker_count; i++) {
		struct purge *p = mesh_xcalloc(1, sizeof(*p));

		*p = (struct purge){&proxy->workers[i], live};
		mesh_loop_post(proxy->workers[i].loop, run_purge, p);
	}
}

/* Whether anything can hold an address; a request does before its connection is counted. */
static bool in_use(const struct mesh_proxy *p)
{
	struct mesh_proxy_stats s;

	mesh_proxy_stats(p, &s);
	return s.upstream_connections_active || s.requests_active;
}

void mesh_proxy_publish(struct mesh_proxy *proxy, struct mesh_l7_config *cfg)
{
	struct mesh_published *p = mesh_xcalloc(1, sizeof(*p)), *old;

	*p = (struct mesh_published){cfg, ++proxy->generation};
	old = atomic_exchange(&proxy->published, p);
	mesh_workers_grace(proxy);
	if ((!cfg->follows || cfg->departed.count) && in_use(proxy))
		purge(proxy, cfg);
	if (old)
		mesh_l7_unref(old->cfg);
	free(old);
}

struct farewell {
	struct mesh_worker *worker;
	struct mesh_addr ip;
};

static void run_gone(void *arg)
{
	struct farewell *f = arg;

	mesh_up_gone(f->worker, &f->ip);
	free(f);
}

void mesh_proxy_gone(struct mesh_proxy *proxy, const struct mesh_addr *ip)
{
	for (unsigned i = 0; in_use(proxy) && i < proxy->worker_count; i++) {
		struct farewell *f = mesh_xcalloc(1, sizeof(*f));

		*f = (struct farewell){&proxy->workers[i], *ip};
		mesh_loop_post(proxy->workers[i].loop, run_gone, f);
	}
}

static uint64_t get(const atomic_uint_fast64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

void mesh_proxy_stats(const struct mesh_proxy *proxy, struct mesh_proxy_stats *ret)
{
	struct mesh_proxy_stats s = {0};

	for (unsigned i = 0; i < proxy->worker_count; i++) {
		const struct mesh_counts *c = &proxy->workers[i].counts;

		s.connections_total += get(&c->downs);
		s.connections_active += get(&c->downs) - get(&c->downs_closed);
		s.requests_total += get(&c->requests);
		s.requests_active += get(&c->requests) - get(&c->requests_ended);
		s.upstream_connections_total += get(&c->ups);
		s.upstream_connections_active += get(&c->ups) - get(&c->ups_closed);
		s.bytes_from_downstream += get(&c->in);
		s.bytes_to_downstream += get(&c->out);
		for (int k = 0; k < 6; k++)
			s.status[k] += get(&c->status[k]);
		s.flags_uh += get(&c->uh);
		s.flags_nc += get(&c->nc);
		s.flags_nr += get(&c->nr);
		s.flags_uf += get(&c->uf);
		s.flags_dpe += get(&c->dpe);
		s.no_origdst += get(&c->no_origdst);
		s.shed += get(&c->shed);
		s.moved_in += get(&c->moved_in);
		s.moved_out += get(&c->moved_out);
		s.upstream_pools += get(&c->pools) - get(&c->pools_freed);
	}
	*ret = s;
}
