/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and policies of the mesh, found by host. */
#include "compile/builder.h"

#include "core/mem.h"

static int rule_order(const void *pa, const void *pb)
{
	const struct mesh_virtual_service *a = ((const struct mesh_rule *)pa)->vs;
	const struct mesh_virtual_service *b = ((const struct mesh_rule *)pb)->vs;
	int c;

	if (a->created != b->created)
		return a->created < b->created ? -1 : 1;
	c = strcmp(a->name, b->name);
	return c ? c : strcmp(a->ns, b->ns);
}

static int policy_order(const void *pa, const void *pb)
{
	const struct mesh_destination_rule *a = ((const struct mesh_policy *)pa)->dr;
	const struct mesh_destination_rule *b = ((const struct mesh_policy *)pb)->dr;

	if (a->created != b->created)
		return a->created < b->created ? -1 : 1;
	return strcmp(a->name, b->name);
}

static void list_add(struct mesh_map *lists, const char *host, const struct mesh_rule *rule)
{
	struct mesh_rule_list *l = mesh_map_get_str(lists, host);

	if (!l) {
		l = mesh_xcalloc(1, sizeof(*l));
		mesh_map_put_str(lists, host, l);
	}
	if (l->list.count == 0 || l->list.items[l->list.count - 1] != rule)
		mesh_vec_push(&l->list, rule);
}

static void index_hosts(struct mesh_index *index, const struct mesh_rule *rule)
{
	bool wildcard = false;

	for (size_t i = 0; i < rule->vs->host_count; i++) {
		if (mesh_host_is_wildcard(rule->hosts[i]))
			wildcard = true;
		else
			list_add(&index->rules_of, rule->hosts[i], rule);
	}
	if (wildcard)
		mesh_vec_push(&index->wildcards.list, rule);
}

static void index_dests(struct mesh_index *index, const struct mesh_rule *rule, const struct mesh_route_dest *dests,
			size_t count)
{
	for (size_t i = 0; i < count; i++)
		list_add(&index->routing_to, mesh_host_resolve(&index->arena, dests[i].host, rule->vs->ns), rule);
}

static void index_rule(struct mesh_index *index, const struct mesh_rule *rule)
{
	const struct mesh_virtual_service *vs = rule->vs;
	char buf[MESH_SNAPSHOT_KEY];

	mesh_map_put(&index->by_name, mesh_snapshot_key(buf, sizeof(buf), vs->ns, vs->name, NULL),
		     (void *)(uintptr_t)rule);
	index_hosts(index, rule);
	if (!rule->mesh)
		return;
	for (size_t i = 0; i < vs->http_count; i++)
		index_dests(index, rule, vs->http[i].dests, vs->http[i].dest_count);
	for (size_t i = 0; i < vs->tcp_count; i++)
		index_dests(index, rule, vs->tcp[i].dests, vs->tcp[i].dest_count);
}

static void collect_rules(struct mesh_index *index, const struct mesh_snapshot *snap)
{
	mesh_map_each (e, &snap->virtual_services) {
		const struct mesh_virtual_service *vs = e->value;
		struct mesh_rule rule = {.vs = vs};

		if (!mesh_snapshot_in_mesh(snap, vs->ns))
			continue;
		rule.mesh = mesh_gateways_have(vs->gateways, vs->gateway_count, vs->ns, "mesh");
		rule.hosts = mesh_arena_alloc(&index->arena, sizeof(*rule.hosts) * (vs->host_count + 1));
		for (size_t i = 0; i < vs->host_count; i++)
			rule.hosts[i] = mesh_host_resolve(&index->arena, vs->hosts[i], vs->ns);
		mesh_vec_push(&index->rules, rule);
	}
	if (index->rules.count)
		qsort(index->rules.items, index->rules.count, sizeof(*index->rules.items), rule_order);
	mesh_vec_each (rule, &index->rules)
		index_rule(index, rule);
}

static void collect_policies(struct mesh_index *index, const struct mesh_snapshot *snap, struct mesh_errs *warnings)
{
	mesh_map_each (e, &snap->destination_rules) {
		const struct mesh_destination_rule *dr = e->value;
		struct mesh_policies *of_ns = mesh_map_get_str(&index->policies, dr->ns);
		struct mesh_policy policy = {.dr = dr};

		if (!mesh_snapshot_in_mesh(snap, dr->ns))
			continue;
		if (dr->workload_selector.count) {
			mesh_compile_warn(warnings, "DestinationRule", dr->ns, dr->name, "spec.workloadSelector",
					  "not supported yet: the rule has no effect");
			continue;
		}
		policy.host = mesh_host_resolve(&index->arena, dr->host, dr->ns);
		if (!of_ns) {
			of_ns = mesh_xcalloc(1, sizeof(*of_ns));
			mesh_map_put_str(&index->policies, dr->ns, of_ns);
		}
		mesh_vec_push(&of_ns->list, policy);
	}
	mesh_map_each (e, &index->policies) {
		struct mesh_policies *of_ns = e->value;

		qsort(of_ns->list.items, of_ns->list.count, sizeof(*of_ns->list.items), policy_order);
	}
}

void mesh_index_make(struct mesh_index *index, const struct mesh_snapshot *snap, struct mesh_errs *warnings)
{
	*index = (struct mesh_index){0};
	collect_rules(index, snap);
	collect_policies(index, snap, warnings);
	mesh_entries_make(index, snap, warnings);
}

static void lists_free(struct mesh_map *lists)
{
	mesh_map_each (e, lists) {
		struct mesh_rule_list *l = e->value;

		mesh_vec_free(&l->list);
		free(l);
	}
	mesh_map_free(lists);
}

void mesh_index_free(struct mesh_index *index)
{
	lists_free(&index->rules_of);
	lists_free(&index->routing_to);
	mesh_map_free(&index->by_name);
	mesh_map_each (e, &index->policies) {
		struct mesh_policies *of_ns = e->value;

		mesh_vec_free(&of_ns->list);
		free(of_ns);
	}
	mesh_map_free(&index->policies);
	mesh_map_free(&index->entries);
	mesh_vec_free(&index->wildcards.list);
	mesh_vec_free(&index->rules);
	mesh_arena_free(&index->arena);
}
