/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of clients in the mesh: a virtual host for each HTTP service, and for hosts that only rules know. */
#include "compile/builder.h"

#include "core/mem.h"

struct outbound {
	struct mesh_builder *b;
	const char *client_ns;
};

static void claim(struct outbound *o, enum mesh_claim_kind kind, uint16_t port, const char *name,
		  struct mesh_l7_vhost *vhost)
{
	char table[MESH_SNAPSHOT_KEY];

	snprintf(table, sizeof(table), "%s|%u", o->client_ns, port);
	mesh_builder_claim(o->b, kind, table, name, vhost);
}

/* A request's port says nothing about who is meant, so domains are without. */
static void add_domain(struct outbound *o, uint16_t port, const char *domain, struct mesh_l7_vhost *vhost)
{
	claim(o, MESH_CLAIM_EXACT, port, domain, vhost);
}

static void add_suffix(struct outbound *o, uint16_t port, const char *suffix, struct mesh_l7_vhost *vhost)
{
	claim(o, MESH_CLAIM_SUFFIX, port, suffix, vhost);
}

static void add_service_domains(struct outbound *o, const struct mesh_service *svc, uint16_t port,
				struct mesh_l7_vhost *vhost)
{
	/* The last is the same name as DNS writes it in full. */
	static const char *const tails[] = {".svc." MESH_CLUSTER_DOMAIN, ".svc", "", ".svc." MESH_CLUSTER_DOMAIN "."};
	char domain[MESH_SNAPSHOT_KEY];

	if (svc->entry)
		add_domain(o, port, svc->name, vhost);
	for (size_t i = 0; !svc->entry && i < MESH_ARRAY_SIZE(tails); i++) {
		snprintf(domain, sizeof(domain), "%s.%s%s", svc->name, svc->ns, tails[i]);
		add_domain(o, port, domain, vhost);
	}
	if (!svc->entry && strcmp(svc->ns, o->client_ns) == 0)
		add_domain(o, port, svc->name, vhost);
	for (size_t i = 0; i < svc->cluster_ip_count; i++) {
		char ip[MESH_ADDR_TEXT];

		mesh_addr_ip_text(&svc->cluster_ips[i], domain);
		snprintf(ip, sizeof(ip), mesh_addr_is_v4(&svc->cluster_ips[i]) ? "%s" : "[%s]", domain);
		add_domain(o, port, ip, vhost);
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
static void add_pod_domains(struct outbound *o, uint16_t port, const struct mesh_service *svc,
			    struct mesh_l7_vhost *vhost)
{
	static const char *const tails[] = {".svc." MESH_CLUSTER_DOMAIN, ".svc", ""};
	char domain[MESH_SNAPSHOT_KEY];

	for (size_t i = 0; i <= MESH_ARRAY_SIZE(tails); i++) {
		if (i < MESH_ARRAY_SIZE(tails))
			snprintf(domain, sizeof(domain), ".%s.%s%s", svc->name, svc->ns, tails[i]);
		else if (strcmp(svc->ns, o->client_ns) == 0)
			snprintf(domain, sizeof(domain), ".%s", svc->name);
		else
			continue;
		add_suffix(o, port, domain, vhost);
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
	add_pod_domains(o, port->port, svc, vhost);
	for (size_t i = 0; all && i < all->count; i++) {
		uint16_t at = all->items[i].addr.port;

		if (at == port->port || at == last)
			continue;
		last = at;
		add_service_domains(o, svc, at, vhost);
		add_pod_domains(o, at, svc, vhost);
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
		vhost = mesh_builder_default_vhost(o->b, svc, port, o->client_ns);
	else
		vhost = mesh_builder_vhost(o->b, host, &routes);
	if (mesh_host_is_wildcard(host)) {
		add_suffix(o, port, host + 1, vhost);
		return;
	}
	add_service_domains(o, svc, port, vhost);
	add_headless(o, svc, svc_port, vhost);
}

static void add_rule_host(struct outbound *o, const struct mesh_rule *rule, const char *host, uint16_t port)
{
	struct mesh_route_scope scope = {.client_ns = o->client_ns, .port = port, .gateway = "mesh"};
	struct mesh_routes routes = {0};
	struct mesh_l7_vhost *vhost;

	mesh_builder_routes(o->b, rule->vs, &scope, &routes);
	if (routes.list.count == 0)
		return;
	vhost = mesh_builder_vhost(o->b, host, &routes);
	if (strcmp(host, "*") == 0)
		claim(o, MESH_CLAIM_ANY, port, host, vhost);
	else if (!mesh_host_is_wildcard(host))
		add_domain(o, port, host, vhost);
	else
		add_suffix(o, port, host + 1, vhost);
}

/* What hosts of a rule are services', and on which ports those are. */
struct rule_services {
	bool *is_service; /* by host */
	uint8_t ports[8192];
	bool any;
};

static void note_service(struct mesh_builder *b, const struct mesh_rule *rule, const struct mesh_service *svc,
			 struct rule_services *ret)
{
	char host[MESH_SNAPSHOT_KEY];
	bool has = false;

	if (!mesh_snapshot_in_mesh(b->snap, svc->ns))
		return;
	snprintf(host, sizeof(host), "%s.%s.svc." MESH_CLUSTER_DOMAIN, svc->name, svc->ns);
	for (size_t i = 0; i < rule->vs->host_count; i++) {
		if (!mesh_host_within(host, rule->hosts[i]))
			continue;
		has = ret->is_service[i] = true;
	}
	for (size_t i = 0; has && i < svc->port_count; i++) {
		if (svc->ports[i].protocol != MESH_PROTOCOL_HTTP)
			continue;
		ret->ports[svc->ports[i].port / 8] |= (uint8_t)(1 << svc->ports[i].port % 8);
		ret->any = true;
	}
}

/* Istio: hosts of no service are served on the HTTP ports of the rule's services, or on 80 if it has none. */
static void rule_services(struct mesh_builder *b, const struct mesh_rule *rule, struct rule_services *ret)
{
	bool wildcard = false;

	for (size_t i = 0; i < rule->vs->host_count; i++) {
		const struct mesh_service *svc = NULL;
		struct mesh_slice name, ns;

		wildcard |= mesh_host_is_wildcard(rule->hosts[i]);
		if (mesh_host_service(rule->hosts[i], &name, &ns))
			svc = mesh_snapshot_service(b->snap, ns, name);
		if (svc)
			note_service(b, rule, svc, ret);
	}
	if (wildcard)
		mesh_map_each (e, &b->snap->services)
			note_service(b, rule, e->value, ret);
	if (!ret->any)
		ret->ports[80 / 8] |= 1 << 80 % 8;
}

bool mesh_builder_rule_is_odd(struct mesh_builder *b, const struct mesh_rule *rule)
{
	for (size_t i = 0; i < rule->vs->host_count; i++)
		if (mesh_host_is_wildcard(rule->hosts[i]) || !mesh_builder_service(b, rule->hosts[i]))
			return true;
	return false;
}

void mesh_builder_outbound_rule(struct mesh_builder *b, const struct mesh_rule *rule,
				const struct mesh_clients *clients)
{
	mesh_auto_free bool *is_service = NULL;
	struct rule_services of = {0};

	if (!rule->mesh || rule->vs->http_count == 0 || !mesh_builder_rule_is_odd(b, rule))
		return;
	of.is_service = is_service = mesh_xcalloc(rule->vs->host_count + 1, sizeof(*is_service));
	rule_services(b, rule, &of);
	for (size_t n = 0; n < clients->count; n++) {
		struct outbound o = {.b = b, .client_ns = clients->namespaces[n]};

		for (unsigned port = 1; port < 65536 && mesh_builder_rule_visible(rule, o.client_ns); port++) {
			if (!(of.ports[port / 8] & 1 << port % 8))
				continue;
			for (size_t i = 0; i < rule->vs->host_count; i++)
				if (!is_service[i])
					add_rule_host(&o, rule, rule->hosts[i], (uint16_t)port);
		}
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
		mesh_builder_claim(b, MESH_CLAIM_VIP, "", mesh_addr_text(&vip, text), (void *)(uintptr_t)cluster);
	}
}

void mesh_builder_outbound_service(struct mesh_builder *b, const struct mesh_service *svc,
				   const struct mesh_clients *clients)
{
	if (!svc->entry && !mesh_snapshot_in_mesh(b->snap, svc->ns))
		return;
	for (size_t n = 0; n < clients->count; n++) {
		struct outbound o = {.b = b, .client_ns = clients->namespaces[n]};

		if (svc->entry && !mesh_builder_entry_visible(svc, o.client_ns))
			continue;
		for (size_t i = 0; i < svc->port_count; i++)
			if (svc->ports[i].protocol == MESH_PROTOCOL_HTTP)
				add_service(&o, svc, &svc->ports[i]);
	}
	for (size_t i = 0; i < svc->port_count; i++)
		if (svc->ports[i].protocol == MESH_PROTOCOL_HTTP)
			add_vips(b, svc, &svc->ports[i]);
}
