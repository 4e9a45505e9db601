/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of a gateway's pod: servers of the Gateways that select it, filled by the rules bound to them. */
#include "compile/builder.h"

#include "core/mem.h"

struct gateway_host {
	const char *host;
	struct mesh_routes routes;
	struct mesh_map seen; /* VirtualService -> anything: each adds its routes once */
	MESH_VEC(uint16_t) ports;
};

struct gateway_port {
	struct mesh_l7_table *table;
	struct mesh_map hosts; /* host -> struct gateway_host * */
};

struct gateway {
	struct mesh_builder *b;
	const struct mesh_gateway_pod *pod;
	struct mesh_l7_config *cfg;
	struct mesh_map ports; /* container port -> struct gateway_port * */
};

/* The port the pod's containers have behind a Service's port: from its own endpoint, else a numeric targetPort. */
static uint16_t container_port(struct gateway *g, const struct mesh_service *svc, const struct mesh_service_port *port)
{
	const struct mesh_endpoints *all = mesh_snapshot_endpoints(g->b->snap, svc, port);
	uint64_t n;

	for (size_t i = 0; all && i < all->count; i++)
		if (all->items[i].pod && strcmp(all->items[i].pod, g->pod->name) == 0)
			return all->items[i].addr.port;
	if (!port->target)
		return port->port;
	return mesh_slice_to_u64(mesh_slice_str(port->target), 65535, &n) == 0 ? (uint16_t)n : 0;
}

static struct gateway_port *port_at(struct gateway *g, uint16_t number)
{
	struct gateway_port *port;
	char key[8];

	snprintf(key, sizeof(key), "%u", number);
	port = mesh_map_get_str(&g->ports, key);
	if (!port) {
		port = mesh_xcalloc(1, sizeof(*port));
		port->table = mesh_table_new(MESH_L7_NOT_FOUND);
		mesh_pmap_put_str(&g->cfg->gateway, key, port->table);
		mesh_map_put_str(&g->ports, key, port);
	}
	return port;
}

static struct gateway_host *host_at(struct gateway_port *port, const char *host)
{
	struct gateway_host *h = mesh_map_get_str(&port->hosts, host);

	if (!h) {
		h = mesh_xcalloc(1, sizeof(*h));
		h->host = host;
		mesh_map_put_str(&port->hosts, host, h);
	}
	return h;
}

/* "NS/HOST" or "HOST": the host if a rule of rule_ns may use it, else NULL. */
static const char *server_host(const char *text, const char *gateway_ns, const char *rule_ns)
{
	const char *slash = strchr(text, '/');
	struct mesh_slice ns;

	if (!slash)
		return text;
	ns = mesh_slice_of(text, (size_t)(slash - text));
	if (mesh_slice_eq(ns, MESH_SLICE("*")))
		return slash + 1;
	if (mesh_slice_eq(ns, MESH_SLICE(".")))
		ns = mesh_slice_str(gateway_ns);
	return mesh_slice_eq(ns, mesh_slice_str(rule_ns)) ? slash + 1 : NULL;
}

static void add_rule(struct gateway *g, struct gateway_port *port, const struct mesh_gateway *gw,
		     const struct mesh_gateway_server *server, const struct mesh_rule *rule, const char *host)
{
	struct gateway_host *h = host_at(port, host);
	struct mesh_route_scope scope = {.client_ns = g->pod->ns, .port = server->port};
	char name[MESH_SNAPSHOT_KEY], key[MESH_SNAPSHOT_KEY];

	scope.gateway = mesh_snapshot_key(name, sizeof(name), gw->ns, gw->name, NULL).ptr;
	if (mesh_map_put(&h->seen, mesh_snapshot_key(key, sizeof(key), rule->vs->ns, rule->vs->name, NULL), h))
		return;
	mesh_builder_routes(g->b, rule->vs, &scope, &h->routes);
	mesh_vec_push(&h->ports, server->port);
}

static void add_rules(struct gateway *g, struct gateway_port *port, const struct mesh_gateway *gw,
		      const struct mesh_gateway_server *server)
{
	char name[MESH_SNAPSHOT_KEY];

	mesh_snapshot_key(name, sizeof(name), gw->ns, gw->name, NULL);
	mesh_vec_each (rule, &g->b->index->rules) {
		const struct mesh_virtual_service *vs = rule->vs;

		if (vs->gateway_count == 0 || !mesh_gateways_have(vs->gateways, vs->gateway_count, vs->ns, name) ||
		    !mesh_exported(vs->export_to, vs->export_to_count, vs->ns, g->pod->ns))
			continue;
		for (size_t i = 0; i < server->host_count; i++) {
			const char *allowed = server_host(server->hosts[i], gw->ns, vs->ns);

			for (size_t k = 0; allowed && k < vs->host_count; k++) {
				const char *both = mesh_host_intersect(rule->hosts[k], allowed);

				if (both)
					add_rule(g, port, gw, server, rule, both);
			}
		}
	}
}

static void add_server(struct gateway *g, const struct mesh_gateway *gw, const struct mesh_gateway_server *server)
{
	bool found = false;

	if (server->protocol != MESH_GATEWAY_HTTP) {
		mesh_builder_warn(g->b, "Gateway", gw->ns, gw->name, "spec.servers.port.protocol",
				  "port %u: only HTTP servers are supported yet: it is not listened on", server->port);
		return;
	}
	mesh_map_each (e, &g->b->snap->services) {
		const struct mesh_service *svc = e->value;
		const struct mesh_service_port *port = mesh_service_port_at(svc, server->port);
		uint16_t number;

		if (!port || strcmp(svc->ns, g->pod->ns) != 0 || svc->selector.count == 0 ||
		    !mesh_labels_match(g->pod->labels, &svc->selector))
			continue;
		number = container_port(g, svc, port);
		if (!number)
			continue;
		add_rules(g, port_at(g, number), gw, server);
		found = true;
	}
	if (!found)
		add_rules(g, port_at(g, server->port), gw, server);
}

/* Istio moves routes that match everything behind the others, since several rules may share a host. */
static bool catches_all(const struct mesh_l7_route *r)
{
	for (size_t i = 0; i < r->match_count; i++) {
		const struct mesh_l7_match *m = &r->matches[i];

		if (!m->scheme && !m->method && !m->authority && m->header_count == 0 && m->query_count == 0 &&
		    (!m->uri || (m->uri->type == MESH_MATCH_PREFIX && strcmp(m->uri->value, "/") == 0)))
			return true;
	}
	return r->match_count == 0;
}

static void sort_routes(struct mesh_routes *routes)
{
	struct mesh_routes sorted = {0};

	for (int last = 0; last < 2; last++)
		mesh_vec_each (r, &routes->list)
			if (catches_all(r) == (last == 1))
				mesh_vec_push(&sorted.list, *r);
	mesh_vec_free(&routes->list);
	*routes = sorted;
}

static void put_domain(struct mesh_l7_table *table, enum mesh_claim_kind kind, const char *domain,
		       struct mesh_l7_vhost *vhost)
{
	struct mesh_claim claim = {.kind = kind, .name = domain, .value = vhost};

	if (kind == MESH_CLAIM_ANY || !mesh_table_get(table, &claim))
		mesh_table_set(table, &claim);
}

static void finish_host(struct gateway *g, struct gateway_port *port, const char *number, struct gateway_host *h)
{
	struct mesh_l7_table *table = port->table;
	struct mesh_l7_vhost *vhost;
	char domain[MESH_SNAPSHOT_KEY];

	sort_routes(&h->routes);
	if (h->routes.list.count) {
		vhost = mesh_builder_vhost(g->b, h->host, &h->routes);
		if (strcmp(h->host, "*") == 0) {
			put_domain(table, MESH_CLAIM_ANY, h->host, vhost);
		} else if (mesh_host_is_wildcard(h->host)) {
			put_domain(table, MESH_CLAIM_SUFFIX, h->host + 1, vhost);
		} else {
			put_domain(table, MESH_CLAIM_EXACT, h->host, vhost);
			snprintf(domain, sizeof(domain), "%s:%s", h->host, number);
			put_domain(table, MESH_CLAIM_EXACT, domain, vhost);
			mesh_vec_each (p, &h->ports) {
				snprintf(domain, sizeof(domain), "%s:%u", h->host, *p);
				put_domain(table, MESH_CLAIM_EXACT, domain, vhost);
			}
		}
	}
	mesh_vec_free(&h->routes.list);
	mesh_vec_free(&h->ports);
	mesh_map_free(&h->seen);
	free(h);
}

static void finish(struct gateway *g)
{
	mesh_map_each (e, &g->ports) {
		struct gateway_port *port = e->value;

		mesh_map_each (he, &port->hosts)
			finish_host(g, port, e->key, he->value);
		mesh_map_free(&port->hosts);
		free(port);
	}
	mesh_map_free(&g->ports);
}

static int gateway_order(const void *pa, const void *pb)
{
	const struct mesh_gateway *a = *(const struct mesh_gateway *const *)pa;
	const struct mesh_gateway *b = *(const struct mesh_gateway *const *)pb;
	int c;

	if (a->created != b->created)
		return a->created < b->created ? -1 : 1;
	c = strcmp(a->ns, b->ns);
	return c ? c : strcmp(a->name, b->name);
}

void mesh_compile_gateway(const struct mesh_snapshot *snap, const struct mesh_gateway_pod *pod,
			  struct mesh_l7_states *states, struct mesh_l7_config **ret, struct mesh_errs *warnings)
{
	MESH_VEC(const struct mesh_gateway *) list = {0};
	struct mesh_builder b;
	struct gateway g = {.b = &b, .pod = pod, .cfg = mesh_config_new(states)};

	mesh_builder_init(&b, snap, NULL, states, warnings);
	mesh_builder_part_begin(&b, 64);
	mesh_map_each (e, &snap->gateways) {
		const struct mesh_gateway *gw = e->value;

		if (mesh_snapshot_in_mesh(snap, gw->ns) && mesh_labels_match(pod->labels, &gw->selector))
			mesh_vec_push(&list, gw);
	}
	if (list.count)
		qsort(list.items, list.count, sizeof(*list.items), gateway_order);
	mesh_vec_each (gw, &list)
		for (size_t i = 0; i < (*gw)->server_count; i++)
			add_server(&g, *gw, &(*gw)->servers[i]);
	mesh_vec_free(&list);
	finish(&g);
	mesh_l7_part_unref(&mesh_builder_part_end(&b)->part); /* the tables have it */
	mesh_builder_free(&b);
	*ret = g.cfg;
	mesh_l7_states_sweep(states);
}
