/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of clients in the mesh: a virtual host for each HTTP service, and for hosts that only rules know. */
#include "compile/builder.h"

#include "core/mem.h"

struct outbound {
	struct mesh_builder *b;
	const char *client_ns;
};

static struct mesh_l7_table *table_at(struct outbound *o, uint16_t port)
{
	char key[MESH_SNAPSHOT_KEY];
	struct mesh_l7_table *table;

	snprintf(key, sizeof(key), "%s|%u", o->client_ns, port);
	table = mesh_builder_table(o->b, &o->b->out->cfg.outbound, key);
	table->fallback = MESH_L7_PASSTHROUGH;
	return table;
}

/* With and without the port; the first virtual host that asks for a name has it. */
static void add_domain(struct mesh_l7_table *table, const char *domain, uint16_t port, struct mesh_l7_vhost *vhost)
{
	char with_port[MESH_SNAPSHOT_KEY];

	snprintf(with_port, sizeof(with_port), "%s:%u", domain, port);
	if (!mesh_map_get_str(&table->exact, domain))
		mesh_map_put_str(&table->exact, domain, vhost);
	if (!mesh_map_get_str(&table->exact, with_port))
		mesh_map_put_str(&table->exact, with_port, vhost);
}

static void add_suffix(struct mesh_l7_table *table, const char *suffix, struct mesh_l7_vhost *vhost)
{
	if (!mesh_map_get_str(&table->suffix, suffix))
		mesh_map_put_str(&table->suffix, suffix, vhost);
}

static void add_service_domains(struct outbound *o, struct mesh_l7_table *table, const struct mesh_service *svc,
				uint16_t port, struct mesh_l7_vhost *vhost)
{
	/* The last is the same name as DNS writes it in full. */
	static const char *const tails[] = {".svc." MESH_CLUSTER_DOMAIN, ".svc", "", ".svc." MESH_CLUSTER_DOMAIN "."};
	char domain[MESH_SNAPSHOT_KEY];

	if (svc->entry)
		add_domain(table, svc->name, port, vhost);
	for (size_t i = 0; !svc->entry && i < MESH_ARRAY_SIZE(tails); i++) {
		snprintf(domain, sizeof(domain), "%s.%s%s", svc->name, svc->ns, tails[i]);
		add_domain(table, domain, port, vhost);
	}
	if (!svc->entry && strcmp(svc->ns, o->client_ns) == 0)
		add_domain(table, svc->name, port, vhost);
	for (size_t i = 0; i < svc->cluster_ip_count; i++) {
		char ip[MESH_ADDR_TEXT];

		mesh_addr_ip_text(&svc->cluster_ips[i], domain);
		snprintf(ip, sizeof(ip), mesh_addr_is_v4(&svc->cluster_ips[i]) ? "%s" : "[%s]", domain);
		add_domain(table, ip, port, vhost);
	}
}

bool mesh_builder_headless_routed(struct mesh_builder *b, const struct mesh_service *svc,
				  const struct mesh_service_port *port)
{
	const struct mesh_rule *rule;

	if (!svc->headless || port->protocol != MESH_PROTOCOL_HTTP || port->is_http2 || svc->balance_connection ||
	    !mesh_snapshot_in_mesh(b->snap, svc->ns))
		return false;
	rule = mesh_builder_rule_for(b, mesh_builder_service_host(b, svc), svc->ns);
	return rule && rule->vs->http_count;
}

/* The pods of a headless Service have names below its own. */
static void add_pod_domains(struct outbound *o, struct mesh_l7_table *table, const struct mesh_service *svc,
			    struct mesh_l7_vhost *vhost)
{
	static const char *const tails[] = {".svc." MESH_CLUSTER_DOMAIN, ".svc", ""};
	char domain[MESH_SNAPSHOT_KEY];

	for (size_t i = 0; i <= MESH_ARRAY_SIZE(tails); i++) {
		if (i < MESH_ARRAY_SIZE(tails))
			snprintf(domain, sizeof(domain), ".%s.%s%s", svc->name, svc->ns, tails[i]);
		else if (strcmp(svc->ns, o->client_ns) == 0)
			snprintf(domain, sizeof(domain), ".%s", svc->name);
		add_suffix(table, domain, vhost);
	}
}

/* Its clients connect to pods, so a table is found by the pods' port. */
static void add_headless(struct outbound *o, const struct mesh_service *svc, const struct mesh_service_port *port,
			 struct mesh_l7_vhost *vhost)
{
	const struct mesh_endpoints *all = mesh_builder_all_endpoints(o->b, svc, port);
	uint16_t last = 0;

	if (!mesh_builder_headless_routed(o->b, svc, port))
		return;
	add_pod_domains(o, table_at(o, port->port), svc, vhost);
	for (size_t i = 0; all && i < all->count; i++) {
		uint16_t at = all->items[i].addr.port;

		if (at == port->port || at == last)
			continue;
		last = at;
		add_service_domains(o, table_at(o, at), svc, at, vhost);
		add_pod_domains(o, table_at(o, at), svc, vhost);
	}
}

static void add_service(struct outbound *o, const struct mesh_service *svc, const struct mesh_service_port *svc_port)
{
	uint16_t port = svc_port->port;
	struct mesh_l7_vhost *vhost;
	const char *host = mesh_builder_service_host(o->b, svc);
	const struct mesh_rule *rule = mesh_builder_rule_for(o->b, host, o->client_ns);
	struct mesh_route_scope scope = {.client_ns = o->client_ns, .port = port, .gateway = "mesh"};
	struct mesh_routes routes = {0};

	if (rule)
		mesh_builder_routes(o->b, rule->vs, &scope, &routes);
	/* What an ExternalName stands for is DNS' business, as is a host that is not looked up: without a rule its
	 * requests pass. */
	if (routes.list.count == 0 && (svc->external_name || svc->passthrough))
		return;
	if (routes.list.count == 0)
		mesh_builder_default_route(o->b, svc, port, o->client_ns, &routes);
	vhost = mesh_builder_vhost(o->b, host, &routes);
	if (mesh_host_is_wildcard(host)) {
		add_suffix(table_at(o, port), host + 1, vhost);
		return;
	}
	add_service_domains(o, table_at(o, port), svc, port, vhost);
	add_headless(o, svc, svc_port, vhost);
}

static void add_rule_host(struct outbound *o, const struct mesh_rule *rule, const char *host, uint16_t port)
{
	struct mesh_route_scope scope = {.client_ns = o->client_ns, .port = port, .gateway = "mesh"};
	struct mesh_l7_table *table;
	struct mesh_routes routes = {0};
	struct mesh_l7_vhost *vhost;

	mesh_builder_routes(o->b, rule->vs, &scope, &routes);
	if (routes.list.count == 0)
		return;
	table = table_at(o, port);
	vhost = mesh_builder_vhost(o->b, host, &routes);
	if (strcmp(host, "*") == 0)
		table->any = table->any ? table->any : vhost;
	else if (!mesh_host_is_wildcard(host))
		add_domain(table, host, port, vhost);
	else
		add_suffix(table, host + 1, vhost);
}

/* Services whose host the rule has, as far as clients can see them. */
static bool rule_has_service(const struct mesh_rule *rule, const char *host)
{
	for (size_t i = 0; i < rule->vs->host_count; i++)
		if (mesh_host_within(host, rule->hosts[i]))
			return true;
	return false;
}

/* Istio: hosts of no service are served on the HTTP ports of the rule's services, or on 80 if it has none. */
static void rule_ports(struct outbound *o, const struct mesh_rule *rule, bool *host_is_service, uint8_t ports[8192])
{
	bool any = false;

	memset(ports, 0, 8192);
	mesh_map_each (e, &o->b->snap->services) {
		const struct mesh_service *svc = e->value;
		char host[MESH_SNAPSHOT_KEY];

		if (!mesh_snapshot_in_mesh(o->b->snap, svc->ns))
			continue;
		snprintf(host, sizeof(host), "%s.%s.svc." MESH_CLUSTER_DOMAIN, svc->name, svc->ns);
		if (!rule_has_service(rule, host))
			continue;
		for (size_t i = 0; i < rule->vs->host_count; i++)
			host_is_service[i] |= mesh_host_within(host, rule->hosts[i]);
		for (size_t i = 0; i < svc->port_count; i++) {
			if (svc->ports[i].protocol != MESH_PROTOCOL_HTTP)
				continue;
			ports[svc->ports[i].port / 8] |= (uint8_t)(1 << svc->ports[i].port % 8);
			any = true;
		}
	}
	if (!any)
		ports[80 / 8] |= 1 << 80 % 8;
}

/* A name of one service, which rule_ports() need not be asked about. */
static bool only_services(struct outbound *o, const struct mesh_rule *rule)
{
	for (size_t i = 0; i < rule->vs->host_count; i++)
		if (mesh_host_is_wildcard(rule->hosts[i]) || !mesh_builder_service(o->b, rule->hosts[i]))
			return false;
	return true;
}

static void add_rule(struct outbound *o, const struct mesh_rule *rule)
{
	mesh_auto_free bool *host_is_service = NULL;
	uint8_t ports[8192];

	if (!mesh_builder_rule_visible(rule, o->client_ns) || rule->vs->http_count == 0 || only_services(o, rule))
		return;
	host_is_service = mesh_xcalloc(rule->vs->host_count + 1, sizeof(*host_is_service));
	rule_ports(o, rule, host_is_service, ports);
	for (unsigned port = 1; port < 65536; port++) {
		if (!(ports[port / 8] & 1 << port % 8))
			continue;
		for (size_t i = 0; i < rule->vs->host_count; i++)
			if (!host_is_service[i])
				add_rule_host(o, rule, rule->hosts[i], (uint16_t)port);
	}
}

static void add_vips(struct mesh_builder *b, const struct mesh_service *svc, const struct mesh_service_port *port)
{
	const char *host = mesh_builder_service_host(b, svc);
	const struct mesh_l7_cluster *cluster;
	struct mesh_target target;

	mesh_builder_target(b, svc->ns, host, port->port, port->port, NULL, &target);
	cluster = mesh_builder_cluster(b, &target);
	for (size_t i = 0; cluster && i < svc->cluster_ip_count; i++) {
		struct mesh_addr vip = svc->cluster_ips[i];
		char text[MESH_ADDR_TEXT];

		vip.port = port->port;
		mesh_map_put_str(&b->out->cfg.by_vip, mesh_addr_text(&vip, text), (void *)(uintptr_t)cluster);
	}
}

static void compile_namespace(struct mesh_builder *b, const char *client_ns)
{
	struct outbound o = {.b = b, .client_ns = client_ns};

	mesh_map_each (e, &b->snap->services) {
		const struct mesh_service *svc = e->value;

		if (!mesh_snapshot_in_mesh(b->snap, svc->ns))
			continue;
		for (size_t i = 0; i < svc->port_count; i++)
			if (svc->ports[i].protocol == MESH_PROTOCOL_HTTP)
				add_service(&o, svc, &svc->ports[i]);
	}
	mesh_map_each (e, &b->entries) {
		const struct mesh_service *svc = e->value;

		for (size_t i = 0; mesh_builder_entry_visible(svc, client_ns) && i < svc->port_count; i++)
			if (svc->ports[i].protocol == MESH_PROTOCOL_HTTP)
				add_service(&o, svc, &svc->ports[i]);
	}
	mesh_vec_each (rule, &b->rules)
		add_rule(&o, rule);
}

void mesh_compile_outbound(const struct mesh_snapshot *snap, const char *const *client_namespaces, size_t count,
			   struct mesh_l7_states *states, struct mesh_l7_config **ret, struct mesh_errs *warnings)
{
	struct mesh_builder b;

	mesh_builder_init(&b, snap, states, warnings);
	for (size_t i = 0; i < count; i++)
		compile_namespace(&b, client_namespaces[i]);
	mesh_map_each (e, &snap->services) {
		const struct mesh_service *svc = e->value;

		for (size_t i = 0; i < svc->port_count; i++)
			if (svc->ports[i].protocol == MESH_PROTOCOL_HTTP && mesh_snapshot_in_mesh(snap, svc->ns))
				add_vips(&b, svc, &svc->ports[i]);
	}
	mesh_map_each (e, &b.entries) {
		const struct mesh_service *svc = e->value;

		for (size_t i = 0; i < svc->port_count; i++)
			if (svc->ports[i].protocol == MESH_PROTOCOL_HTTP)
				add_vips(&b, svc, &svc->ports[i]);
	}
	*ret = mesh_builder_finish(&b);
	mesh_l7_states_sweep(states);
}
