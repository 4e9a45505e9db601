/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/builder.h"

#include "core/mem.h"

static void compiled_destroy(struct mesh_l7_config *cfg)
{
	struct mesh_compiled *c = (struct mesh_compiled *)cfg;
	struct mesh_map *tables[] = {&cfg->outbound, &cfg->gateway};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(tables); i++) {
		mesh_map_each (e, tables[i]) {
			struct mesh_l7_table *table = e->value;

			mesh_map_free(&table->exact);
			mesh_map_free(&table->suffix);
		}
		mesh_map_free(tables[i]);
	}
	mesh_map_free(&cfg->by_vip);
	mesh_vec_each (turn, &c->turns)
		atomic_fetch_sub_explicit(&(*turn)->refs, 1, memory_order_release);
	mesh_vec_each (active, &c->actives)
		atomic_fetch_sub_explicit(&(*active)->refs, 1, memory_order_release);
	mesh_vec_each (regex, &c->regexes)
		regfree(*regex); /* the struct is in the arena */
	mesh_vec_free(&c->turns);
	mesh_vec_free(&c->actives);
	mesh_vec_free(&c->regexes);
	mesh_arena_free(&cfg->arena);
	free(c);
}

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

static void add_rule_list(struct mesh_builder *b, const struct mesh_rule *rule, const char *host)
{
	struct mesh_rule_list *l = &b->wildcards;

	if (!mesh_host_is_wildcard(host)) {
		l = mesh_map_get_str(&b->rules_of, host);
		if (!l) {
			l = mesh_xcalloc(1, sizeof(*l));
			mesh_map_put_str(&b->rules_of, host, l);
		}
	}
	if (l->list.count == 0 || l->list.items[l->list.count - 1] != rule)
		mesh_vec_push(&l->list, rule);
}

static void index_rules(struct mesh_builder *b)
{
	mesh_vec_each (rule, &b->rules)
		for (size_t i = 0; i < rule->vs->host_count; i++)
			add_rule_list(b, rule, rule->hosts[i]);
}

static void collect_rules(struct mesh_builder *b)
{
	mesh_map_each (e, &b->snap->virtual_services) {
		const struct mesh_virtual_service *vs = e->value;
		struct mesh_rule rule = {.vs = vs};

		if (!mesh_snapshot_in_mesh(b->snap, vs->ns))
			continue;
		rule.mesh = mesh_gateways_have(vs->gateways, vs->gateway_count, vs->ns, "mesh");
		rule.hosts = mesh_arena_alloc(&b->scratch, sizeof(*rule.hosts) * (vs->host_count + 1));
		for (size_t i = 0; i < vs->host_count; i++)
			rule.hosts[i] = mesh_host_resolve(&b->scratch, vs->hosts[i], vs->ns);
		mesh_vec_push(&b->rules, rule);
	}
	if (b->rules.count)
		qsort(b->rules.items, b->rules.count, sizeof(*b->rules.items), rule_order);
	index_rules(b);
}

static void collect_policies(struct mesh_builder *b)
{
	mesh_map_each (e, &b->snap->destination_rules) {
		const struct mesh_destination_rule *dr = e->value;
		struct mesh_policies *of_ns = mesh_map_get_str(&b->policies, dr->ns);
		struct mesh_policy policy = {.dr = dr};

		if (!mesh_snapshot_in_mesh(b->snap, dr->ns))
			continue;
		if (dr->workload_selector.count) {
			mesh_builder_warn(b, "DestinationRule", dr->ns, dr->name, "spec.workloadSelector",
					  "not supported yet: the rule has no effect");
			continue;
		}
		policy.host = mesh_host_resolve(&b->scratch, dr->host, dr->ns);
		if (!of_ns) {
			of_ns = mesh_xcalloc(1, sizeof(*of_ns));
			mesh_map_put_str(&b->policies, dr->ns, of_ns);
		}
		mesh_vec_push(&of_ns->list, policy);
	}
	mesh_map_each (e, &b->policies) {
		struct mesh_policies *of_ns = e->value;

		qsort(of_ns->list.items, of_ns->list.count, sizeof(*of_ns->list.items), policy_order);
	}
}

void mesh_builder_init(struct mesh_builder *b, const struct mesh_snapshot *snap, struct mesh_l7_states *states,
		       struct mesh_errs *warnings)
{
	*b = (struct mesh_builder){.snap = snap, .states = states, .warnings = warnings};
	if (states) {
		b->out = mesh_xcalloc(1, sizeof(*b->out));
		b->out->cfg.refs = 1;
		b->out->cfg.version = ++states->version;
		b->out->cfg.destroy = compiled_destroy;
		b->arena = &b->out->cfg.arena;
	} else {
		b->arena = &b->scratch;
	}
	collect_rules(b);
	collect_policies(b);
	mesh_builder_entries_init(b);
}

struct mesh_l7_config *mesh_builder_finish(struct mesh_builder *b)
{
	mesh_builder_entries_free(b);
	mesh_map_each (e, &b->policies) {
		struct mesh_policies *of_ns = e->value;

		mesh_vec_free(&of_ns->list);
		free(of_ns);
	}
	mesh_map_each (e, &b->rules_of) {
		struct mesh_rule_list *l = e->value;

		mesh_vec_free(&l->list);
		free(l);
	}
	mesh_map_free(&b->rules_of);
	mesh_vec_free(&b->wildcards.list);
	mesh_map_free(&b->policies);
	mesh_map_free(&b->clusters);
	mesh_map_free(&b->turns);
	mesh_map_free(&b->actives);
	mesh_map_free(&b->regexes);
	mesh_vec_free(&b->rules);
	mesh_arena_free(&b->scratch);
	return b->out ? &b->out->cfg : NULL;
}

struct mesh_l7_state *mesh_builder_turn(struct mesh_builder *b, const char *name)
{
	struct mesh_l7_state *turn = mesh_map_get_str(&b->turns, name);

	if (!turn) {
		turn = mesh_l7_states_turn(b->states, name);
		mesh_vec_push(&b->out->turns, turn);
		mesh_map_put_str(&b->turns, name, turn);
	}
	return turn;
}

struct mesh_l7_table *mesh_builder_table(struct mesh_builder *b, struct mesh_map *tables, const char *key)
{
	struct mesh_l7_table *table = mesh_map_get_str(tables, key);

	if (!table) {
		table = mesh_arena_new(b->arena, struct mesh_l7_table);
		mesh_map_put_str(tables, key, table);
	}
	return table;
}

void mesh_builder_warn(struct mesh_builder *b, const char *kind, const char *ns, const char *name, const char *path,
		       const char *fmt, ...)
{
	char text[512];
	struct mesh_err *e;
	va_list ap;

	if (!b->warnings)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e = mesh_errs_add(b->warnings, "%s", text);
	e->object = mesh_xasprintf("%s %s/%s", kind, ns, name);
	e->path = path ? mesh_xstrdup(path) : NULL;
}
