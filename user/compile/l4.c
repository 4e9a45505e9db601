/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's tables: every Service address, what to do with a connection to it, and among which endpoints. */
#include "compile/builder.h"

#include "core/mem.h"
#include "mesh/reasons.h"

static void add_dest(struct mesh_builder *b, const struct mesh_target *t, uint32_t weight, struct mesh_l4_service *ret)
{
	mesh_auto_free const struct mesh_endpoint **list = NULL;
	struct mesh_l4_dest *dest = mesh_vec_add(&ret->dests);

	dest->weight = weight;
	dest->endpoint_count = mesh_builder_endpoints(b, t, &list);
	dest->endpoints = mesh_xcalloc(dest->endpoint_count + 1, sizeof(*dest->endpoints));
	for (size_t i = 0; i < dest->endpoint_count; i++)
		dest->endpoints[i] = list[i]->addr;
}

static void add_dests(struct mesh_builder *b, const struct mesh_virtual_service *vs, const struct mesh_service *svc,
		      uint16_t port, const struct mesh_route_dest *dests, size_t count, struct mesh_l4_service *ret)
{
	for (size_t i = 0; i < count; i++) {
		const char *host = mesh_host_resolve(b->arena, dests[i].host, vs->ns);
		struct mesh_target target;

		mesh_builder_target(b, svc->ns, host, dests[i].port, port, dests[i].subset, &target);
		target.family = mesh_family_of(&ret->vip);
		add_dest(b, &target, count == 1 ? 1 : dests[i].weight, ret);
	}
}

/* Whether a connection can be known to match, or not to, by its port alone. */
static bool tcp_match_decidable(const struct mesh_tcp_match *m)
{
	return m->destination_subnet_count == 0 && m->sni_host_count == 0 && m->source_labels.count == 0 &&
	       !m->source_namespace;
}

static bool tcp_route_taken(struct mesh_builder *b, const struct mesh_virtual_service *vs,
			    const struct mesh_tcp_route *r, uint16_t port)
{
	for (size_t i = 0; i < r->match_count; i++) {
		const struct mesh_tcp_match *m = &r->matches[i];

		if (!tcp_match_decidable(m))
			mesh_builder_warn(b, "VirtualService", vs->ns, vs->name, "spec.tcp.match",
					  "only port and gateways are supported yet: this match never holds");
		else if ((!m->port || m->port == port) &&
			 (!m->gateway_count || mesh_gateways_have(m->gateways, m->gateway_count, vs->ns, "mesh")))
			return true;
	}
	return r->match_count == 0;
}

static bool http_match_port_only(const struct mesh_http_match *m)
{
	return !m->uri && !m->scheme && !m->method && !m->authority && m->header_count == 0 &&
	       m->without_header_count == 0 && m->query_count == 0 && m->source_labels.count == 0 &&
	       !m->source_namespace;
}

static bool http_route_taken(struct mesh_builder *b, const struct mesh_virtual_service *vs,
			     const struct mesh_http_route *r, uint16_t port)
{
	for (size_t i = 0; i < r->match_count; i++) {
		const struct mesh_http_match *m = &r->matches[i];

		if (!http_match_port_only(m))
			mesh_builder_warn(b, "VirtualService", vs->ns, vs->name, "spec.http.match",
					  "the service is balanced by connection: a request's content is not seen, "
					  "this match never holds");
		else if ((!m->port || m->port == port) &&
			 (!m->gateway_count || mesh_gateways_have(m->gateways, m->gateway_count, vs->ns, "mesh")))
			return true;
	}
	return r->match_count == 0;
}

/* The first route that a connection takes; returns false when no rule decides. */
static bool add_rule_dests(struct mesh_builder *b, const struct mesh_service *svc, const struct mesh_service_port *port,
			   const char *host, struct mesh_l4_service *ret)
{
	const struct mesh_rule *rule = mesh_builder_rule_for(b, host, svc->ns);
	const struct mesh_virtual_service *vs = rule ? rule->vs : NULL;

	if (!vs || !mesh_snapshot_in_mesh(b->snap, svc->ns) || port->protocol == MESH_PROTOCOL_UDP)
		return false;
	if (port->protocol != MESH_PROTOCOL_HTTP) {
		for (size_t i = 0; i < vs->tcp_count; i++) {
			if (!tcp_route_taken(b, vs, &vs->tcp[i], port->port))
				continue;
			add_dests(b, vs, svc, port->port, vs->tcp[i].dests, vs->tcp[i].dest_count, ret);
			return true;
		}
		return false;
	}
	for (size_t i = 0; i < vs->http_count; i++) {
		if (!http_route_taken(b, vs, &vs->http[i], port->port))
			continue;
		add_dests(b, vs, svc, port->port, vs->http[i].dests, vs->http[i].dest_count, ret);
		return true;
	}
	return false;
}

static enum mesh_tier tier_of(struct mesh_builder *b, const struct mesh_service *svc,
			      const struct mesh_service_port *port)
{
	if (port->protocol != MESH_PROTOCOL_HTTP || port->is_http2 || svc->balance_connection)
		return MESH_TIER_L4;
	return mesh_snapshot_in_mesh(b->snap, svc->ns) ? MESH_TIER_L7 : MESH_TIER_L4;
}

/* Annotation sockmesh.io/drain of a Service. */
static enum mesh_l4_drain drain_of(const struct mesh_service *svc, bool *known)
{
	const char *text = mesh_labels_get(&svc->annotations, "sockmesh.io/drain");

	*known = !text || strcmp(text, "keep") == 0 || strcmp(text, "end") == 0;
	if (svc->entry)
		return MESH_L4_DRAIN_NONE;
	return !text || !*known ? MESH_L4_DRAIN_DEFAULT : *text == 'k' ? MESH_L4_DRAIN_KEEP : MESH_L4_DRAIN_END;
}

static struct mesh_l4_service *add_entry(struct mesh_l4_image *image, const struct mesh_service *svc,
					 const struct mesh_service_port *port, const struct mesh_addr *ip,
					 uint16_t number)
{
	struct mesh_l4_service *s = mesh_vec_add(&image->services);
	bool known;

	s->name = mesh_xasprintf("%s.%s:%u", svc->name, svc->ns, port->port);
	s->drain = drain_of(svc, &known);
	s->vip = *ip;
	s->vip.port = number;
	s->ip_proto = port->protocol == MESH_PROTOCOL_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	s->tier = MESH_TIER_L4;
	s->affinity_s = svc->affinity_s;
	return s;
}

/* Not by mesh_builder_target(): that knows only what is in the mesh. */
static void add_own_dest(struct mesh_builder *b, const struct mesh_service *svc, const struct mesh_service_port *port,
			 bool local, struct mesh_l4_service *s)
{
	struct mesh_target own = {.svc = svc, .port = port, .family = mesh_family_of(&s->vip), .local = local};

	add_dest(b, &own, 1, s);
	if (!local || s->dests.items[0].endpoint_count)
		return;
	s->tier = MESH_TIER_REFUSE;
	s->refuse_reason = MESH_REASON_NO_LOCAL_ENDPOINT;
}

static void add_cluster_ip(struct mesh_builder *b, const struct mesh_service *svc, const struct mesh_service_port *port,
			   const struct mesh_addr *ip, struct mesh_l4_image *image)
{
	struct mesh_l4_service *s = add_entry(image, svc, port, ip, port->port);

	s->tier = tier_of(b, svc, port);
	if (s->tier == MESH_TIER_L7)
		s->affinity_s = 0;
	else if (!add_rule_dests(b, svc, port, mesh_builder_service_host(b, svc), s))
		add_own_dest(b, svc, port, svc->internal_local, s);
}

/*
 * A node's port, and addresses that come from outside of the cluster. Rules do not say what happens to these: as in
 * Istio, they are Kubernetes' own. From a pod they reach all endpoints, externalTrafficPolicy Local or not.
 */
static void add_outside(struct mesh_builder *b, const struct mesh_service *svc, const struct mesh_service_port *port,
			struct mesh_l4_image *image)
{
	bool v4 = false, v6 = false;

	for (size_t i = 0; i < svc->external_ip_count; i++)
		add_own_dest(b, svc, port, false, add_entry(image, svc, port, &svc->external_ips[i], port->port));
	for (size_t i = 0; port->node_port && i < svc->cluster_ip_count; i++) {
		bool is_v4 = mesh_addr_is_v4(&svc->cluster_ips[i]), *done = is_v4 ? &v4 : &v6;
		struct mesh_addr all = is_v4 ? mesh_addr_from_v4(0, 0) : (struct mesh_addr){0};
		struct mesh_l4_service *s;

		if (*done)
			continue;
		*done = true;
		s = add_entry(image, svc, port, &all, port->node_port);
		s->kind = MESH_KEY_NODE;
		add_own_dest(b, svc, port, false, s);
	}
}

/*
 * A headless Service has no address of its own: its clients connect to its pods. Where a rule has its host, those
 * connections go through the agent, which finds the rule by the request's Host.
 */
static void add_headless(struct mesh_builder *b, const struct mesh_service *svc, const struct mesh_service_port *port,
			 struct mesh_l4_image *image)
{
	const struct mesh_endpoints *all = mesh_builder_all_endpoints(b, svc, port);

	if (!svc->headless || !all || !mesh_builder_headless_routed(b, svc, port))
		return;
	for (size_t i = 0; i < all->count; i++) {
		struct mesh_l4_service *s = add_entry(image, svc, port, &all->items[i].addr, all->items[i].addr.port);

		s->tier = MESH_TIER_L7;
		s->affinity_s = 0;
	}
}

static void add_service(struct mesh_builder *b, const struct mesh_service *svc, struct mesh_l4_image *image)
{
	bool known;

	if (svc->external_name)
		return;
	drain_of(svc, &known);
	if (!known)
		mesh_builder_warn(b, "Service", svc->ns, svc->name, "metadata.annotations[sockmesh.io/drain]",
				  "the annotation sockmesh.io/drain is neither \"keep\" nor \"end\": it has no effect");
	if (svc->source_ranges)
		mesh_builder_warn(b, "Service", svc->ns, svc->name, "spec.loadBalancerSourceRanges",
				  "the load balancer's addresses are left to the node's service proxy");
	for (size_t i = 0; i < svc->port_count; i++) {
		const struct mesh_service_port *port = &svc->ports[i];

		for (size_t k = 0; k < svc->cluster_ip_count; k++)
			add_cluster_ip(b, svc, port, &svc->cluster_ips[k], image);
		add_outside(b, svc, port, image);
		add_headless(b, svc, port, image);
	}
}

static bool has_endpoints(const struct mesh_l4_service *s)
{
	size_t n = 0;

	mesh_vec_each (d, &s->dests)
		n += d->endpoint_count;
	return n > 0;
}

static void drop_last(struct mesh_l4_image *image)
{
	struct mesh_l4_image last = {0};

	mesh_vec_push(&last.services, image->services.items[--image->services.count]);
	mesh_l4_image_free(&last);
}

static void add_entry_at(struct mesh_builder *b, const struct mesh_service *svc, const struct mesh_service_port *port,
			 enum mesh_key_kind kind, const struct mesh_addr *ip, struct mesh_l4_image *image)
{
	struct mesh_l4_service *s = add_entry(image, svc, port, ip, port->port);

	s->kind = kind;
	if (port->protocol == MESH_PROTOCOL_HTTP && !port->is_http2) {
		s->tier = MESH_TIER_L7;
		return;
	}
	if (!add_rule_dests(b, svc, port, svc->name, s))
		add_own_dest(b, svc, port, false, s);
	/* A whole port of everyone is not closed for want of an endpoint of that family. */
	if (kind == MESH_KEY_ANY && !has_endpoints(s))
		drop_last(image);
}

/*
 * A host of a ServiceEntry: at its addresses; where it has none, its port at every address. What is neither routed by
 * request nor has a list of endpoints passes, and so does TLS at every address, where the name in it would have to
 * tell.
 */
static void add_entry_port(struct mesh_builder *b, const struct mesh_service *svc, const struct mesh_service_port *port,
			   struct mesh_l4_image *image)
{
	struct mesh_addr all[] = {mesh_addr_from_v4(0, 0), {.port = 0}};
	bool http = port->protocol == MESH_PROTOCOL_HTTP && !port->is_http2;

	if (!http && svc->passthrough)
		return;
	for (size_t i = 0; i < svc->cluster_ip_count; i++)
		add_entry_at(b, svc, port, MESH_KEY_VIP, &svc->cluster_ips[i], image);
	if (port->protocol == MESH_PROTOCOL_HTTPS || !mesh_builder_entry_any(svc, http))
		return;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(all); i++)
		add_entry_at(b, svc, port, MESH_KEY_ANY, &all[i], image);
}

void mesh_builder_l4(struct mesh_builder *b, const struct mesh_service *svc, struct mesh_l4_image *image)
{
	if (!svc->entry)
		add_service(b, svc, image);
	for (size_t i = 0; svc->entry && i < svc->port_count; i++)
		add_entry_port(b, svc, &svc->ports[i], image);
}

void mesh_compile_node_ips(const struct mesh_snapshot *snap, struct mesh_addr **ret, size_t *count)
{
	MESH_VEC(struct mesh_addr) ips = {0};

	mesh_map_each (e, &snap->machines) {
		const struct mesh_machine *m = e->value;

		for (size_t i = 0; i < m->ip_count; i++)
			mesh_vec_push(&ips, m->ips[i]);
	}
	*ret = ips.items;
	*count = ips.count;
}

/* Of two that ask for the same, always the same one is first. */
static int total_order(const void *pa, const void *pb)
{
	int c = mesh_l4_service_order(pa, pb);

	return c ? c : strcmp(((const struct mesh_l4_service *)pa)->name, ((const struct mesh_l4_service *)pb)->name);
}

/* Two Services may share an external address or an endpoint: one is kept. */
void mesh_l4_image_settle(struct mesh_l4_image *image)
{
	struct mesh_l4_image kept = {.version = image->version}, dropped = {0};

	if (image->services.count > 1)
		qsort(image->services.items, image->services.count, sizeof(*image->services.items), total_order);
	for (size_t i = 0; i < image->services.count; i++) {
		struct mesh_l4_service *s = &image->services.items[i];

		if (kept.services.count && mesh_l4_service_order(&kept.services.items[kept.services.count - 1], s) == 0)
			mesh_vec_push(&dropped.services, *s);
		else
			mesh_vec_push(&kept.services, *s);
	}
	mesh_vec_free(&image->services);
	mesh_l4_image_free(&dropped);
	*image = kept;
}
