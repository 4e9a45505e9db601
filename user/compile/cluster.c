/* SPDX-License-Identifier: Apache-2.0 */
/* Destinations: which service, which subset, which endpoints. */
#include "compile/builder.h"

#include "core/mem.h"

const struct mesh_service *mesh_builder_service(struct mesh_builder *b, const char *host)
{
	const struct mesh_service *svc;
	struct mesh_slice name, ns;

	if (!mesh_host_service(host, &name, &ns))
		return mesh_builder_entry(b, host);
	svc = mesh_snapshot_service(b->snap, ns, name);
	if (!svc)
		return mesh_builder_entry(b, host);
	return mesh_snapshot_in_mesh(b->snap, svc->ns) ? svc : NULL;
}

const struct mesh_service_port *mesh_service_port_at(const struct mesh_service *svc, uint16_t port)
{
	for (size_t i = 0; i < svc->port_count; i++)
		if (svc->ports[i].port == port && svc->ports[i].protocol != MESH_PROTOCOL_UDP)
			return &svc->ports[i];
	return NULL;
}

const char *mesh_builder_service_host(struct mesh_builder *b, const struct mesh_service *svc)
{
	if (svc->entry)
		return mesh_arena_strdup(&b->scratch, svc->name);
	return mesh_arena_printf(&b->scratch, "%s.%s.svc." MESH_CLUSTER_DOMAIN, svc->name, svc->ns);
}

/* Istio: within a namespace the exact host, else the longest wildcard; the oldest rule of that host leads. */
static struct mesh_host_policy policy_in(struct mesh_builder *b, const char *ns, const char *client_ns,
					 const char *host)
{
	const struct mesh_policies *of_ns = mesh_map_get_str(&b->index->policies, ns);
	struct mesh_host_policy best = {0};

	if (!of_ns)
		return best;
	mesh_vec_each (p, &of_ns->list) {
		if (!mesh_host_within(host, p->host))
			continue;
		if (!mesh_exported(p->dr->export_to, p->dr->export_to_count, p->dr->ns, client_ns))
			continue;
		if (best.rule && (!mesh_host_is_wildcard(best.host) || strlen(p->host) <= strlen(best.host)) &&
		    (mesh_host_is_wildcard(p->host) || !mesh_host_is_wildcard(best.host)))
			continue;
		best = (struct mesh_host_policy){.rule = p->dr, .within = of_ns, .host = p->host};
	}
	return best;
}

struct mesh_host_policy mesh_builder_policy(struct mesh_builder *b, const char *client_ns, const char *host,
					    const char *service_ns)
{
	const char *order[] = {client_ns, service_ns, MESH_ROOT_NAMESPACE};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(order); i++) {
		struct mesh_host_policy p = {0};

		if (order[i])
			p = policy_in(b, order[i], client_ns, host);
		if (p.rule)
			return p;
	}
	return (struct mesh_host_policy){0};
}

const struct mesh_subset *mesh_host_policy_subset(const struct mesh_host_policy *p, const char *name)
{
	if (!p->rule)
		return NULL;
	mesh_vec_each (policy, &p->within->list) {
		if (strcmp(policy->host, p->host) != 0)
			continue;
		for (size_t i = 0; i < policy->dr->subset_count; i++)
			if (strcmp(policy->dr->subsets[i].name, name) == 0)
				return &policy->dr->subsets[i];
	}
	return NULL;
}

const struct mesh_endpoints *mesh_builder_all_endpoints(struct mesh_builder *b, const struct mesh_service *svc,
							const struct mesh_service_port *port)
{
	if (svc->entry)
		return mesh_builder_entry_endpoints(svc, port);
	return mesh_snapshot_endpoints(b->snap, svc, port);
}

enum mesh_family mesh_family_of(const struct mesh_addr *addr)
{
	return mesh_addr_is_v4(addr) ? MESH_FAMILY_V4 : MESH_FAMILY_V6;
}

void mesh_builder_target(struct mesh_builder *b, const char *client_ns, const char *host, uint16_t dest_port,
			 uint16_t listen_port, const char *subset, struct mesh_target *ret)
{
	uint16_t port = dest_port ? dest_port : listen_port;

	*ret = (struct mesh_target){.svc = mesh_builder_service(b, host)};
	ret->local = ret->svc && ret->svc->internal_local;
	if (ret->svc && ret->svc->entry && !mesh_builder_entry_visible(ret->svc, client_ns))
		ret->svc = NULL;
	if (ret->svc && !ret->svc->entry && ret->svc->cluster_ip_count)
		ret->family = mesh_family_of(&ret->svc->cluster_ips[0]);
	if (ret->svc && !dest_port && ret->svc->port_count == 1)
		port = ret->svc->ports[0].port;
	if (ret->svc)
		ret->port = mesh_service_port_at(ret->svc, port);
	ret->name = mesh_arena_printf(&b->scratch, "outbound|%u|%s|%s", port, subset ? subset : "", host);
	ret->policy = mesh_builder_policy(b, client_ns, host, ret->svc ? ret->svc->ns : NULL);
	if (subset) {
		ret->subset = mesh_host_policy_subset(&ret->policy, subset);
		ret->missing_subset = !ret->subset;
	}
}

static enum mesh_lb target_lb(const struct mesh_target *t)
{
	if (t->subset && t->subset->has_lb)
		return t->subset->lb;
	return t->policy.rule && t->policy.rule->has_lb ? t->policy.rule->lb : MESH_LB_ROUND_ROBIN;
}

static atomic_uint_fast32_t *active_of(struct mesh_builder *b, const struct mesh_addr *addr)
{
	struct mesh_slice key = mesh_slice_of((const char *)addr, sizeof(*addr));
	struct mesh_l7_active *active = mesh_map_get(&b->actives, key);

	if (!active) {
		active = mesh_l7_states_active(b->states, addr);
		mesh_map_put(&b->actives, key, active);
	}
	return &active->active;
}

/* Of many endpoints: names in one piece. */
static struct mesh_l7_endpoint *copy_endpoints(struct mesh_builder *b, const struct mesh_endpoint **list, size_t count)
{
	struct mesh_l7_endpoint *ret = mesh_arena_array(b->arena, struct mesh_l7_endpoint, count);
	size_t size = 0;
	char *names;

	for (size_t i = 0; i < count; i++)
		size += list[i]->pod ? strlen(list[i]->pod) + 1 : 0;
	names = size ? mesh_arena_alloc(b->arena, size) : NULL;
	for (size_t i = 0; i < count; i++) {
		ret[i].addr = list[i]->addr;
		if (!list[i]->pod)
			continue;
		ret[i].pod = names;
		names = stpcpy(names, list[i]->pod) + 1;
	}
	return ret;
}

const struct mesh_l7_cluster *mesh_builder_cluster(struct mesh_builder *b, const struct mesh_target *t)
{
	mesh_auto_free const struct mesh_endpoint **list = NULL;
	struct mesh_l7_endpoint *endpoints;
	struct mesh_l7_cluster *cluster;
	char key[MESH_SNAPSHOT_KEY + 64];

	if (!t->svc || !t->port || t->missing_subset)
		return NULL;
	snprintf(key, sizeof(key), "%s@%p", t->name, (const void *)t->policy.rule);
	cluster = mesh_map_get_str(&b->clusters, key);
	if (cluster)
		return cluster;
	cluster = mesh_arena_new(b->arena, struct mesh_l7_cluster);
	cluster->part = &b->out->part;
	cluster->lb = target_lb(t);
	cluster->prefer_original = t->svc->headless;
	cluster->passthrough = t->svc->passthrough;
	cluster->by_client =
		t->svc->affinity_s && !(t->subset && t->subset->has_lb) && !(t->policy.rule && t->policy.rule->has_lb);
	cluster->state = mesh_builder_turn(b, t->name);
	cluster->name = cluster->state->name;
	cluster->endpoint_count = mesh_builder_endpoints(b, t, &list);
	endpoints = copy_endpoints(b, list, cluster->endpoint_count);
	for (size_t i = 0; i < cluster->endpoint_count; i++)
		if (cluster->lb == MESH_LB_LEAST_REQUEST && !cluster->by_client)
			endpoints[i].active = active_of(b, &list[i]->addr);
	cluster->endpoints = endpoints;
	mesh_map_put_str(&b->clusters, key, cluster);
	return cluster;
}
