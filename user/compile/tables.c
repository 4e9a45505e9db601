/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations put together of parts: each place that leads to a part has a reference to it. */
#include "compile/builder.h"

#include "core/mem.h"

static void vhost_unref(void *value)
{
	mesh_l7_part_unref(((struct mesh_l7_vhost *)value)->part);
}

static void cluster_unref(void *value)
{
	mesh_l7_part_unref(((struct mesh_l7_cluster *)value)->part);
}

static void table_unref(void *value)
{
	struct mesh_l7_table *t = value;

	if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	mesh_pmap_free(&t->exact);
	mesh_pmap_free(&t->suffix);
	if (t->any)
		mesh_l7_part_unref(t->any->part);
	free(t);
}

struct mesh_pmap mesh_pmap_of_tables(void)
{
	return (struct mesh_pmap){.unref = table_unref};
}

struct mesh_pmap mesh_pmap_of_vhosts(void)
{
	return (struct mesh_pmap){.unref = vhost_unref};
}

struct mesh_pmap mesh_pmap_of_clusters(void)
{
	return (struct mesh_pmap){.unref = cluster_unref};
}

static void config_destroy(struct mesh_l7_config *cfg)
{
	mesh_pmap_free(&cfg->outbound);
	mesh_pmap_free(&cfg->gateway);
	mesh_pmap_free(&cfg->by_vip);
	mesh_map_free(&cfg->departed);
	mesh_arena_free(&cfg->arena);
	free(cfg);
}

struct mesh_l7_config *mesh_config_new(struct mesh_l7_states *states)
{
	struct mesh_l7_config *cfg = mesh_xcalloc(1, sizeof(*cfg));

	cfg->refs = 1;
	cfg->version = ++states->version;
	cfg->outbound = cfg->gateway = mesh_pmap_of_tables();
	cfg->by_vip = mesh_pmap_of_clusters();
	cfg->destroy = config_destroy;
	return cfg;
}

struct mesh_l7_table *mesh_table_new(enum mesh_l7_default fallback)
{
	struct mesh_l7_table *t = mesh_xcalloc(1, sizeof(*t));

	t->refs = 1;
	t->exact = t->suffix = mesh_pmap_of_vhosts();
	t->fallback = fallback;
	return t;
}

struct mesh_l7_table *mesh_table_clone(const struct mesh_l7_table *t)
{
	struct mesh_l7_table *ret = mesh_table_new(t->fallback);

	ret->exact = mesh_pmap_share(&t->exact);
	ret->suffix = mesh_pmap_share(&t->suffix);
	ret->any = t->any;
	if (ret->any && ret->any->part)
		mesh_l7_part_ref(ret->any->part);
	return ret;
}

const struct mesh_l7_vhost *mesh_table_get(const struct mesh_l7_table *t, const struct mesh_claim *claim)
{
	switch (claim->kind) {
	case MESH_CLAIM_EXACT:
		return mesh_pmap_get_str(&t->exact, claim->name);
	case MESH_CLAIM_SUFFIX:
		return mesh_pmap_get_str(&t->suffix, claim->name);
	case MESH_CLAIM_ANY:
		return t->any;
	case MESH_CLAIM_VIP:
		break;
	}
	return NULL;
}

static void set_any(struct mesh_l7_table *t, const struct mesh_l7_vhost *v)
{
	if (t->any)
		mesh_l7_part_unref(t->any->part);
	t->any = v;
}

void mesh_table_set(struct mesh_l7_table *t, const struct mesh_claim *claim)
{
	struct mesh_pmap *map = claim->kind == MESH_CLAIM_SUFFIX ? &t->suffix : &t->exact;
	struct mesh_l7_vhost *v = claim->value;

	if (v)
		mesh_l7_part_ref(v->part);
	if (claim->kind == MESH_CLAIM_ANY)
		set_any(t, v);
	else if (v)
		mesh_pmap_put_str(map, claim->name, v);
	else
		mesh_pmap_remove(map, mesh_slice_str(claim->name));
}

bool mesh_table_empty(const struct mesh_l7_table *t)
{
	return t->exact.count == 0 && t->suffix.count == 0 && !t->any;
}
