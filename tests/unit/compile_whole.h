/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything compiled at once, without anything kept: what single rules become is tested on it, and the compiler, which
 * compiles by what changed, must give the same.
 */
#ifndef MESH_TEST_COMPILE_WHOLE_H
#define MESH_TEST_COMPILE_WHOLE_H

#include "compile/builder.h"
#include "core/mem.h"

/* All of a configuration at once: of two that claim the same, the first has it. */
struct whole {
	struct mesh_builder b;
	struct mesh_l7_config *cfg;
};

static inline void settle(struct whole *w, const struct mesh_claim *c)
{
	struct mesh_l7_cluster *cluster = c->value;
	struct mesh_l7_table *t;

	if (c->kind == MESH_CLAIM_VIP) {
		if (mesh_pmap_get_str(&w->cfg->by_vip, c->name))
			return;
		mesh_l7_part_ref(cluster->part);
		mesh_pmap_put_str(&w->cfg->by_vip, c->name, cluster);
		return;
	}
	t = mesh_pmap_get_str(&w->cfg->outbound, c->table);
	if (!t) {
		t = mesh_table_new(MESH_L7_PASSTHROUGH);
		mesh_pmap_put_str(&w->cfg->outbound, c->table, t);
	}
	if (!mesh_table_get(t, c))
		mesh_table_set(t, c);
}

static inline void part_end(struct whole *w)
{
	struct mesh_compiled *part = mesh_builder_part_end(&w->b);

	mesh_vec_each (c, &w->b.claims.list)
		settle(w, c);
	mesh_l7_part_unref(&part->part);
}

static inline int by_key(const void *pa, const void *pb)
{
	return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

static inline void all_services(struct whole *w, const struct mesh_clients *clients)
{
	MESH_VEC(const char *) keys = {0};

	mesh_map_each (e, &w->b.snap->services)
		mesh_vec_push(&keys, e->key);
	if (keys.count)
		qsort(keys.items, keys.count, sizeof(*keys.items), by_key);
	mesh_vec_each (key, &keys) {
		mesh_builder_part_begin(&w->b, 4);
		mesh_builder_outbound_service(&w->b, mesh_map_get_str(&w->b.snap->services, *key), clients);
		part_end(w);
	}
	mesh_vec_free(&keys);
}

static inline void compile_outbound(const struct mesh_snapshot *snap, const char *const *client_namespaces,
				    size_t count, struct mesh_l7_states *states, struct mesh_l7_config **ret,
				    struct mesh_errs *warnings)
{
	struct mesh_clients clients = {.namespaces = client_namespaces, .count = count};
	struct whole w = {.cfg = mesh_config_new(states)};

	mesh_builder_init(&w.b, snap, NULL, states, warnings);
	all_services(&w, &clients);
	mesh_map_each (e, &w.b.index->entries) {
		mesh_builder_part_begin(&w.b, 4);
		mesh_builder_outbound_service(&w.b, e->value, &clients);
		part_end(&w);
	}
	mesh_vec_each (rule, &w.b.index->rules) {
		mesh_builder_part_begin(&w.b, 4);
		mesh_builder_outbound_rule(&w.b, rule, &clients);
		part_end(&w);
	}
	mesh_builder_free(&w.b);
	*ret = w.cfg;
	mesh_l7_states_sweep(states);
}

static inline bool has_node_ports(const struct mesh_l4_image *image)
{
	mesh_vec_each (s, &image->services)
		if (s->kind == MESH_KEY_NODE)
			return true;
	return false;
}

static inline void compile_l4(const struct mesh_snapshot *snap, struct mesh_l4_image *image, struct mesh_errs *warnings)
{
	struct mesh_builder b;

	mesh_builder_init(&b, snap, NULL, NULL, warnings);
	mesh_map_each (e, &snap->services)
		mesh_builder_l4(&b, e->value, image);
	mesh_map_each (e, &b.index->entries)
		mesh_builder_l4(&b, e->value, image);
	mesh_l4_image_settle(image);
	if (has_node_ports(image)) {
		mesh_compile_node_ips(snap, &image->node_ips.items, &image->node_ips.count);
		image->node_ips.capacity = image->node_ips.count;
	}
	mesh_builder_free(&b);
}

#endif
