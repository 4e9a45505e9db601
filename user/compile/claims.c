/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results of units put together. A name that one unit claims is its; where several do, all are noted in a contest,
 * which the first in rank wins, so that the next has it when that one goes.
 */
#include "compile/unit.h"

#include "core/mem.h"

/* HTTP */

struct claimant {
	struct mesh_unit *unit;
	void *value; /* lives while the unit's part does */
};

struct contest {
	MESH_VEC(struct claimant) list;
};

static int rank(const struct mesh_unit *a, const struct mesh_unit *b)
{
	const char *sa = strchr(a->key, '/'), *sb = strchr(b->key, '/');
	int c;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	c = a->kind == MESH_UNIT_RULE ? strcmp(sa, sb) : 0; /* the name counts first, as for rules in general */
	return c ? c : strcmp(a->key, b->key);
}

static struct mesh_slice contest_key(const struct mesh_claim *claim, char *buf, size_t size)
{
	int n = snprintf(buf, size, "%c %s %s", claim->kind, claim->table, claim->name);

	return mesh_slice_of(buf, MESH_MIN((size_t)n, size - 1));
}

static struct contest *contest_of(const struct mesh_compiler *c, const struct mesh_claim *claim)
{
	char buf[2 * MESH_SNAPSHOT_KEY];

	return c->contests.count ? mesh_map_get(&c->contests, contest_key(claim, buf, sizeof(buf))) : NULL;
}

static struct mesh_l7_table *own_table(struct mesh_compiler *c, const char *key)
{
	struct mesh_l7_table *t = mesh_map_get_str(&c->fresh, key), *old;

	if (t)
		return t;
	old = mesh_pmap_get_str(&c->outbound, key);
	t = old ? mesh_table_clone(old) : mesh_table_new(MESH_L7_PASSTHROUGH);
	mesh_pmap_put_str(&c->outbound, key, t);
	mesh_map_put_str(&c->fresh, key, t);
	return t;
}

static void set(struct mesh_compiler *c, const struct mesh_claim *claim, void *value)
{
	struct mesh_claim now = {.kind = claim->kind, .name = claim->name, .value = value};
	struct mesh_l7_cluster *cluster = value;

	c->l7_changed = true;
	if (claim->kind != MESH_CLAIM_VIP) {
		mesh_table_set(own_table(c, claim->table), &now);
	} else if (value) {
		mesh_l7_part_ref(cluster->part);
		mesh_pmap_put_str(&c->by_vip, claim->name, value);
	} else {
		mesh_pmap_remove(&c->by_vip, mesh_slice_str(claim->name));
	}
}

/* Whose value the name has now, with the value; NULL: nobody's. */
static struct mesh_unit *holder(const struct mesh_compiler *c, const struct mesh_claim *claim, void **value)
{
	const struct mesh_l7_table *t;
	const struct mesh_l7_vhost *v;
	struct mesh_l7_cluster *cluster;

	if (claim->kind == MESH_CLAIM_VIP) {
		*value = cluster = mesh_pmap_get_str(&c->by_vip, claim->name);
		return cluster ? (void *)(uintptr_t)((struct mesh_compiled *)cluster->part)->owner : NULL;
	}
	t = mesh_pmap_get_str(&c->outbound, claim->table);
	v = t ? mesh_table_get(t, claim) : NULL;
	*value = (void *)(uintptr_t)v;
	return v ? (void *)(uintptr_t)((struct mesh_compiled *)v->part)->owner : NULL;
}

static void award(struct mesh_compiler *c, const struct mesh_claim *claim, const struct contest *contest)
{
	const struct claimant *best = NULL;

	mesh_vec_each (one, &contest->list)
		if (!best || rank(one->unit, best->unit) < 0)
			best = one;
	set(c, claim, best ? best->value : NULL);
}

static bool takes_part(const struct contest *contest, const struct mesh_unit *u)
{
	mesh_vec_each (one, &contest->list)
		if (one->unit == u)
			return true;
	return false;
}

static void make_claim(struct mesh_compiler *c, struct mesh_unit *u, const struct mesh_claim *claim)
{
	struct contest *contest = contest_of(c, claim);
	char buf[2 * MESH_SNAPSHOT_KEY];
	void *value;
	struct mesh_unit *has = holder(c, claim, &value);

	if (!has) {
		set(c, claim, claim->value);
		return;
	}
	if (contest ? takes_part(contest, u) : has == u)
		return; /* of its own claims the first counts */
	if (!contest) {
		contest = mesh_xcalloc(1, sizeof(*contest));
		mesh_vec_push(&contest->list, ((struct claimant){has, value}));
		mesh_map_put(&c->contests, contest_key(claim, buf, sizeof(buf)), contest);
	}
	mesh_vec_push(&contest->list, ((struct claimant){u, claim->value}));
	award(c, claim, contest);
}

static void withdraw_claim(struct mesh_compiler *c, struct mesh_unit *u, const struct mesh_claim *claim)
{
	struct contest *contest = contest_of(c, claim);
	char buf[2 * MESH_SNAPSHOT_KEY];
	void *value;

	if (!contest) {
		if (holder(c, claim, &value) == u)
			set(c, claim, NULL);
		return;
	}
	for (size_t i = 0; i < contest->list.count; i++) {
		if (contest->list.items[i].unit != u)
			continue;
		mesh_vec_remove(&contest->list, i);
		award(c, claim, contest);
		break;
	}
	if (contest->list.count > 1)
		return;
	mesh_map_remove(&c->contests, contest_key(claim, buf, sizeof(buf)));
	mesh_vec_free(&contest->list);
	free(contest);
}

/* Claims as a text that the part keeps: for each table a "t", its key and a NUL, then kind, name and NUL of each. */
static void pack(struct mesh_compiled *part, const struct mesh_claims *claims)
{
	mesh_auto(mesh_buf_free) struct mesh_buf b = {0};
	const char *table = NULL;
	char *copy;

	mesh_vec_each (claim, &claims->list) {
		if (!table || strcmp(table, claim->table) != 0) {
			mesh_buf_char(&b, 't');
			mesh_buf_add(&b, claim->table, strlen(claim->table) + 1);
			table = claim->table;
		}
		mesh_buf_char(&b, (char)claim->kind);
		mesh_buf_add(&b, claim->name, strlen(claim->name) + 1);
	}
	copy = mesh_arena_alloc(&part->arena, b.len);
	memcpy(copy, b.data, b.len);
	part->claims = copy;
	part->claims_len = b.len;
}

static void withdraw_claims(struct mesh_compiler *c, struct mesh_unit *u)
{
	const char *p = u->part->claims, *end = p + u->part->claims_len, *table = "";

	for (; p < end; p += strlen(p) + 1) {
		struct mesh_claim claim = {.kind = (enum mesh_claim_kind) * p, .table = table, .name = p + 1};

		if (*p == 't')
			table = p + 1;
		else
			withdraw_claim(c, u, &claim);
	}
}

static void note_endpoints(const struct mesh_compiled *part, struct mesh_map *ret)
{
	for (size_t i = 0; i < part->cluster_count; i++)
		for (size_t k = 0; k < part->clusters[i]->endpoint_count; k++)
			mesh_map_put(ret, mesh_addr_key(&part->clusters[i]->endpoints[k].addr), ret);
}

/* The kernel */

struct l4_claim {
	struct l4_claim *next;
	struct mesh_unit *unit;
	char name[]; /* of the service */
};

static struct mesh_l4_name l4_name(const struct mesh_l4_service *s)
{
	return (struct mesh_l4_name){
		.ip = s->vip.ip, .port = s->vip.port, .kind = (uint8_t)s->kind, .ip_proto = s->ip_proto};
}

static struct mesh_slice name_bytes(const struct mesh_l4_name *name)
{
	return mesh_slice_of((const char *)name, sizeof(*name));
}

static void touch(struct mesh_compiler *c, const struct mesh_l4_name *name)
{
	mesh_map_put(&c->touched, name_bytes(name), c);
}

static void l4_claim_add(struct mesh_compiler *c, struct mesh_unit *u, const struct mesh_l4_name *name,
			 const char *service)
{
	struct l4_claim *claim = mesh_xmalloc(sizeof(*claim) + strlen(service) + 1);

	claim->unit = u;
	memcpy(claim->name, service, strlen(service) + 1);
	claim->next = mesh_map_put(&c->l4, name_bytes(name), claim);
	c->node_ports += !claim->next && name->kind == MESH_KEY_NODE;
	touch(c, name);
}

static void l4_claim_remove(struct mesh_compiler *c, struct mesh_unit *u, const struct mesh_l4_name *name)
{
	struct l4_claim *first = mesh_map_get(&c->l4, name_bytes(name)), **at = &first, *mine;

	while (*at && (*at)->unit != u)
		at = &(*at)->next;
	mine = *at;
	if (!mine)
		return;
	*at = mine->next;
	free(mine);
	if (first) {
		mesh_map_put(&c->l4, name_bytes(name), first);
	} else {
		mesh_map_remove(&c->l4, name_bytes(name));
		c->node_ports -= name->kind == MESH_KEY_NODE;
	}
	touch(c, name);
}

void mesh_claims_withdraw(struct mesh_compiler *c, struct mesh_unit *u)
{
	for (size_t i = 0; i < u->l4_count; i++)
		l4_claim_remove(c, u, &u->l4[i]);
	free(mesh_steal(u->l4));
	u->l4_count = 0;
	if (!u->part)
		return;
	withdraw_claims(c, u);
	if (!c->whole)
		note_endpoints(u->part, &c->departed);
	mesh_l7_part_unref(&u->part->part);
	u->part = NULL;
}

/* Moves the image's services to those that were built. */
static void keep_built(struct mesh_compiler *c, struct mesh_unit *u, struct mesh_l4_image *image)
{
	u->built = true;
	mesh_vec_push(&c->built_units, u);
	u->built_at = (uint32_t)c->built.count;
	u->built_count = (uint32_t)image->services.count;
	mesh_vec_each (s, &image->services)
		mesh_vec_push(&c->built, *s);
	mesh_vec_free(&image->services);
}

void mesh_claims_make(struct mesh_compiler *c, struct mesh_unit *u, struct mesh_compiled *part,
		      struct mesh_l4_image *image)
{
	mesh_l4_image_settle(image);
	if (image->services.count)
		u->l4 = mesh_xcalloc(image->services.count, sizeof(*u->l4));
	mesh_vec_each (s, &image->services) {
		u->l4[u->l4_count] = l4_name(s);
		l4_claim_add(c, u, &u->l4[u->l4_count++], s->name);
	}
	keep_built(c, u, image);
	u->part = part;
	if (!part)
		return;
	part->owner = u;
	pack(part, &c->b.claims);
	mesh_vec_each (claim, &c->b.claims.list)
		make_claim(c, u, claim);
	if (!c->whole)
		note_endpoints(part, &c->arrived);
}

void mesh_claims_rebuilt(struct mesh_compiler *c, struct mesh_unit *u, struct mesh_l4_image *image)
{
	mesh_l4_image_settle(image);
	keep_built(c, u, image);
}

/* The result */

static struct mesh_unit *l4_winner(const struct l4_claim *claim)
{
	const struct l4_claim *best = claim;

	for (; claim; claim = claim->next)
		if (strcmp(claim->name, best->name) < 0)
			best = claim;
	return best->unit;
}

static void take_built(struct mesh_compiler *c, const struct mesh_unit *u, const struct mesh_l4_service *like,
		       struct mesh_l4_delta *ret)
{
	for (uint32_t i = 0; i < u->built_count; i++) {
		struct mesh_l4_service *s = &c->built.items[u->built_at + i];

		if (mesh_l4_service_order(s, like) != 0)
			continue;
		mesh_vec_push(&ret->set, *s);
		s->name = NULL;
		memset(&s->dests, 0, sizeof(s->dests));
		return;
	}
}

static void finish_l4(struct mesh_compiler *c, void (*build)(struct mesh_compiler *c, struct mesh_unit *u),
		      struct mesh_l4_delta *ret)
{
	struct mesh_l4_image rest = {0};

	mesh_map_each (e, &c->touched) {
		const struct l4_claim *claim = mesh_map_get(&c->l4, mesh_slice_of(e->key, e->key_len));
		struct mesh_l4_service like = {0};
		struct mesh_l4_name name;
		struct mesh_unit *u;

		memcpy(&name, e->key, sizeof(name));
		like.vip = (struct mesh_addr){.ip = name.ip, .port = name.port};
		like.kind = name.kind;
		like.ip_proto = name.ip_proto;
		if (!claim) {
			mesh_vec_push(&ret->gone, like);
			continue;
		}
		u = l4_winner(claim);
		if (!u->built)
			build(c, u); /* it had lost to one that is gone */
		take_built(c, u, &like, ret);
	}
	mesh_map_free(&c->touched);
	mesh_vec_each (s, &c->built)
		mesh_vec_push(&rest.services, *s);
	mesh_l4_image_free(&rest);
	mesh_vec_free(&c->built);
	mesh_vec_each (u, &c->built_units)
		(*u)->built = false;
	mesh_vec_free(&c->built_units);
}

static void finish_nodes(struct mesh_compiler *c, bool machines, struct mesh_l4_delta *ret)
{
	bool wanted = c->node_ports > 0;

	ret->nodes = ret->whole || machines || wanted != c->node_ips_given;
	c->node_ips_given = wanted;
	if (!ret->nodes || !wanted)
		return;
	mesh_compile_node_ips(c->snap, &ret->node_ips.items, &ret->node_ips.count);
	ret->node_ips.capacity = ret->node_ips.count;
}

static void finish_l7(struct mesh_compiler *c, bool whole, struct mesh_compilation *ret)
{
	mesh_map_each (e, &c->fresh)
		if (mesh_table_empty(e->value))
			mesh_pmap_remove(&c->outbound, mesh_slice_of(e->key, e->key_len));
	mesh_map_free(&c->fresh);
	mesh_map_each (e, &c->arrived)
		mesh_map_remove(&c->departed, mesh_slice_of(e->key, e->key_len));
	mesh_map_free(&c->arrived);
	if (c->l7_changed || whole) {
		ret->cfg = mesh_config_new(c->states);
		ret->cfg->outbound = mesh_pmap_share(&c->outbound);
		ret->cfg->by_vip = mesh_pmap_share(&c->by_vip);
		ret->cfg->follows = !whole;
		ret->cfg->departed = c->departed;
		c->departed = (struct mesh_map){0};
	}
	mesh_map_free(&c->departed);
	c->l7_changed = false;
}

void mesh_claims_finish(struct mesh_compiler *c, struct mesh_changes *changes, bool whole,
			void (*build)(struct mesh_compiler *c, struct mesh_unit *u), struct mesh_compilation *ret)
{
	finish_l7(c, whole, ret);
	ret->l4.version = c->states->version;
	ret->l4.whole = whole;
	finish_l4(c, build, &ret->l4);
	if (whole && ret->l4.set.count)
		qsort(ret->l4.set.items, ret->l4.set.count, sizeof(*ret->l4.set.items), mesh_l4_service_order);
	finish_nodes(c, changes->machines, &ret->l4);
}

void mesh_claims_free(struct mesh_compiler *c)
{
	mesh_pmap_free(&c->outbound);
	mesh_pmap_free(&c->by_vip);
	mesh_map_each (e, &c->contests) {
		struct contest *contest = e->value;

		mesh_vec_free(&contest->list);
		free(contest);
	}
	mesh_map_free(&c->contests);
	mesh_map_each (e, &c->l4) {
		struct l4_claim *claim = e->value, *next;

		for (; claim; claim = next) {
			next = claim->next;
			free(claim);
		}
	}
	mesh_map_free(&c->l4);
	mesh_map_free(&c->fresh);
	mesh_map_free(&c->departed);
	mesh_map_free(&c->arrived);
	mesh_map_free(&c->touched);
}
