/* SPDX-License-Identifier: Apache-2.0 */
/* What has to be compiled again after which change, and doing so. */
#include "compile/compiler.h"

#include "compile/unit.h"
#include "core/mem.h"

struct mesh_compiler *mesh_compiler_new(const struct mesh_snapshot *snap, struct mesh_l7_states *states)
{
	struct mesh_compiler *c = mesh_xcalloc(1, sizeof(*c));

	c->snap = snap;
	c->states = states;
	c->whole = true;
	c->indexing = mesh_xcalloc(1, sizeof(*c->indexing) + 1);
	c->outbound = mesh_pmap_of_tables();
	c->by_vip = mesh_pmap_of_clusters();
	mesh_vec_push(&c->by_id, NULL); /* there is no 0 */
	mesh_builder_init(&c->b, snap, &c->index, states, NULL);
	return c;
}

/* Units */

static struct mesh_unit *unit_at(struct mesh_compiler *c, enum mesh_unit_kind kind, const char *key, bool make)
{
	struct mesh_unit *u = mesh_map_get_str(&c->units[kind], key);

	if (u || !make)
		return u;
	u = mesh_xcalloc(1, sizeof(*u) + strlen(key) + 1);
	u->kind = kind;
	memcpy(u->key, key, strlen(key) + 1);
	if (c->free_ids.count) {
		u->id = c->free_ids.items[--c->free_ids.count];
		c->by_id.items[u->id] = u;
	} else {
		u->id = (uint32_t)c->by_id.count;
		mesh_vec_push(&c->by_id, u);
	}
	mesh_map_put_str(&c->units[kind], key, u);
	return u;
}

static void warning_drop(struct mesh_compiler *c, const char *text)
{
	struct mesh_warning *w = mesh_map_get_str(&c->warnings, text);

	w->units--;
}

static void forget_warnings(struct mesh_compiler *c, char **warnings, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		warning_drop(c, warnings[i]);
		free(warnings[i]);
	}
	free(warnings);
}

/* Those that stay are counted before the old ones go. */
static void set_warnings(struct mesh_compiler *c, struct mesh_unit *u, struct mesh_errs *errs)
{
	char **old = u->warnings;
	uint32_t old_count = u->warning_count;

	u->warnings = errs->list.count ? mesh_xcalloc(errs->list.count, sizeof(*u->warnings)) : NULL;
	u->warning_count = 0;
	mesh_vec_each (e, &errs->list) {
		char *text = mesh_xasprintf("%s: %s", e->object ? e->object : "", e->text);
		struct mesh_warning *w = mesh_map_get_str(&c->warnings, text);

		if (!w) {
			w = mesh_xcalloc(1, sizeof(*w));
			mesh_map_put_str(&c->warnings, text, w);
		}
		w->units++;
		u->warnings[u->warning_count++] = text;
	}
	forget_warnings(c, old, old_count);
	mesh_errs_free(errs);
}

static void forget_pods(struct mesh_compiler *c, struct mesh_unit *u)
{
	for (uint32_t i = 0; i < u->pod_count; i++)
		mesh_refs_remove(&c->pods, u->pods[i], u->id);
	free(mesh_steal(u->pods));
	u->pod_count = 0;
}

static void unit_free(struct mesh_compiler *c, struct mesh_unit *u)
{
	forget_warnings(c, u->warnings, u->warning_count);
	forget_pods(c, u);
	c->by_id.items[u->id] = NULL;
	mesh_vec_push(&c->free_ids, u->id);
	mesh_map_remove_str(&c->units[u->kind], u->key);
	free(u);
}

static uint32_t pod_hash(const char *ns, const char *pod)
{
	char buf[MESH_SNAPSHOT_KEY];
	struct mesh_slice key = mesh_snapshot_key(buf, sizeof(buf), ns, pod, NULL);

	return (uint32_t)mesh_hash(key.ptr, key.len);
}

static int by_number(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return a < b ? -1 : a > b;
}

static size_t endpoint_count(const struct mesh_compiler *c, const struct mesh_service *svc)
{
	size_t n = 0;

	for (size_t i = 0; !svc->entry && i < svc->port_count; i++) {
		const struct mesh_endpoints *list = mesh_snapshot_endpoints(c->snap, svc, &svc->ports[i]);

		n += list ? list->count : 0;
	}
	return n;
}

static void note_pods(struct mesh_compiler *c, struct mesh_unit *u, const struct mesh_service *svc, size_t at_most)
{
	uint32_t n = 0;

	if (at_most)
		u->pods = mesh_xcalloc(at_most, sizeof(*u->pods));
	for (size_t i = 0; at_most && i < svc->port_count; i++) {
		const struct mesh_endpoints *list = mesh_snapshot_endpoints(c->snap, svc, &svc->ports[i]);

		for (size_t k = 0; list && k < list->count; k++)
			if (list->items[k].pod)
				u->pods[n++] = pod_hash(svc->ns, list->items[k].pod);
	}
	if (n > 1)
		qsort(u->pods, n, sizeof(*u->pods), by_number);
	for (uint32_t i = 0; i < n; i++)
		if (u->pod_count == 0 || u->pods[u->pod_count - 1] != u->pods[i])
			u->pods[u->pod_count++] = u->pods[i];
	for (uint32_t i = 0; i < u->pod_count; i++)
		mesh_refs_add(&c->pods, u->pods[i], u->id);
}

/* The Service or host that a unit is of, or NULL: it is no more. */
static const struct mesh_service *service_of(const struct mesh_compiler *c, const struct mesh_unit *u)
{
	switch (u->kind) {
	case MESH_UNIT_SERVICE:
		return mesh_map_get_str(&c->snap->services, u->key);
	case MESH_UNIT_ENTRY:
		return mesh_map_get_str(&c->index.entries, u->key);
	case MESH_UNIT_RULE:
	case MESH_UNIT_KINDS:
		break;
	}
	return NULL;
}

static void build_l4(struct mesh_compiler *c, struct mesh_unit *u)
{
	struct mesh_l4_image image = {0};

	mesh_builder_l4(&c->b, service_of(c, u), &image);
	mesh_claims_rebuilt(c, u, &image);
}

static void build(struct mesh_compiler *c, struct mesh_unit *u)
{
	struct mesh_clients clients = {.namespaces = (const char *const *)c->clients.items, .count = c->clients.count};
	const struct mesh_service *svc = service_of(c, u);
	const struct mesh_rule *rule = u->kind == MESH_UNIT_RULE ? mesh_map_get_str(&c->index.by_name, u->key) : NULL;
	struct mesh_l4_image image = {0};
	struct mesh_errs warnings = {0};
	struct mesh_compiled *part;
	size_t endpoints = svc ? endpoint_count(c, svc) : 0;

	u->dirty = false;
	mesh_claims_withdraw(c, u);
	forget_pods(c, u);
	if (!svc && !rule) {
		set_warnings(c, u, &warnings);
		return;
	}
	c->compiled++;
	c->b.warnings = &warnings;
	mesh_builder_part_begin(&c->b, endpoints);
	if (svc)
		mesh_builder_outbound_service(&c->b, svc, &clients);
	else
		mesh_builder_outbound_rule(&c->b, rule, &clients);
	part = mesh_builder_part_end(&c->b);
	if (c->b.claims.list.count == 0) {
		mesh_l7_part_unref(&part->part);
		part = NULL;
	}
	if (svc)
		mesh_builder_l4(&c->b, svc, &image);
	if (rule)
		u->order = rule->vs->created;
	mesh_claims_make(c, u, part, &image);
	if (svc && u->kind == MESH_UNIT_SERVICE)
		note_pods(c, u, svc, endpoints);
	set_warnings(c, u, &warnings);
	c->b.warnings = NULL;
}

/* What changes reach */

static void dirty(struct mesh_compiler *c, struct mesh_unit *u)
{
	if (!u || u->dirty)
		return;
	u->dirty = true;
	mesh_vec_push(&c->dirty, u);
}

static void dirty_service(struct mesh_compiler *c, const char *key)
{
	dirty(c, unit_at(c, MESH_UNIT_SERVICE, key, mesh_map_get_str(&c->snap->services, key) != NULL));
}

static void dirty_host(struct mesh_compiler *c, const char *host)
{
	struct mesh_slice name, ns;
	char key[MESH_SNAPSHOT_KEY];

	if (mesh_host_service(host, &name, &ns) && ns.len + name.len + 2 <= sizeof(key)) {
		snprintf(key, sizeof(key), "%.*s/%.*s", (int)ns.len, ns.ptr, (int)name.len, name.ptr);
		dirty_service(c, key);
	}
	dirty(c, unit_at(c, MESH_UNIT_ENTRY, host, false));
}

static void dirty_rule(struct mesh_compiler *c, const struct mesh_rule *rule)
{
	char buf[MESH_SNAPSHOT_KEY];

	mesh_snapshot_key(buf, sizeof(buf), rule->vs->ns, rule->vs->name, NULL);
	dirty(c, unit_at(c, MESH_UNIT_RULE, buf, rule->mesh && rule->vs->http_count));
}

/* Whatever goes to a host by a rule. */
static void dirty_routing_to(struct mesh_compiler *c, const char *host)
{
	const struct mesh_rule_list *rules = mesh_map_get_str(&c->index.routing_to, host);

	for (size_t i = 0; rules && i < rules->list.count; i++) {
		const struct mesh_rule *rule = rules->list.items[i];

		dirty_rule(c, rule);
		for (size_t k = 0; k < rule->vs->host_count; k++) {
			c->whole |= mesh_host_is_wildcard(rule->hosts[k]);
			dirty_host(c, rule->hosts[k]);
		}
	}
}

static void host_of(const char *service, char *buf, size_t size)
{
	const char *slash = strchr(service, '/');

	snprintf(buf, size, "%s.%.*s.svc." MESH_CLUSTER_DOMAIN, slash + 1, (int)(slash - service), service);
}

/* A service's endpoints, or what is known of them. */
static void endpoints_changed(struct mesh_compiler *c, const char *service)
{
	char host[MESH_SNAPSHOT_KEY];

	dirty_service(c, service);
	host_of(service, host, sizeof(host));
	dirty_routing_to(c, host);
}

/* Also, whose host it is, and which hosts are no service's. */
static void service_changed(struct mesh_compiler *c, const char *service)
{
	const struct mesh_rule_list *rules;
	char host[MESH_SNAPSHOT_KEY];

	endpoints_changed(c, service);
	host_of(service, host, sizeof(host));
	dirty_host(c, host);
	rules = mesh_map_get_str(&c->index.rules_of, host);
	for (size_t i = 0; rules && i < rules->list.count; i++)
		dirty_rule(c, rules->list.items[i]);
	for (size_t i = 0; i < c->index.wildcards.list.count; i++)
		dirty_rule(c, c->index.wildcards.list.items[i]);
}

static void pod_changed(struct mesh_compiler *c, struct mesh_slice pod)
{
	uint32_t hash = (uint32_t)mesh_hash(pod.ptr, pod.len), id;
	size_t at = 0;

	while ((id = mesh_refs_next(&c->pods, hash, &at)))
		endpoints_changed(c, c->by_id.items[id]->key);
}

static void find_dirty(struct mesh_compiler *c, const struct mesh_changes *changes)
{
	mesh_map_each (e, &changes->services)
		service_changed(c, e->key);
	mesh_map_each (e, &changes->endpoints)
		endpoints_changed(c, e->key);
	mesh_map_each (e, &changes->pods)
		pod_changed(c, mesh_slice_of(e->key, e->key_len));
	mesh_map_each (e, &changes->hosts) {
		dirty_host(c, e->key);
		dirty_routing_to(c, e->key);
	}
	mesh_map_each (e, &changes->rules) {
		const struct mesh_rule *rule = mesh_map_get_str(&c->index.by_name, e->key);

		dirty(c, unit_at(c, MESH_UNIT_RULE, e->key, rule && rule->mesh && rule->vs->http_count));
	}
}

static void dirty_all(struct mesh_compiler *c)
{
	uint64_t order = 0;

	mesh_map_each (e, &c->snap->services)
		dirty(c, unit_at(c, MESH_UNIT_SERVICE, e->key, true));
	mesh_map_each (e, &c->index.entries) {
		struct mesh_unit *u = unit_at(c, MESH_UNIT_ENTRY, e->key, true);

		u->order = order++;
		dirty(c, u);
	}
	mesh_vec_each (rule, &c->index.rules)
		dirty_rule(c, rule);
	mesh_vec_each (u, &c->by_id)
		dirty(c, *u); /* what is there no more */
}

static void make_index(struct mesh_compiler *c)
{
	struct mesh_errs warnings = {0};

	mesh_index_free(&c->index);
	mesh_index_make(&c->index, c->snap, &warnings);
	c->indexed = true;
	set_warnings(c, c->indexing, &warnings);
}

static bool is_empty(const struct mesh_compiler *c, const struct mesh_unit *u)
{
	return u->kind == MESH_UNIT_RULE ? !u->part && !u->warning_count : !service_of(c, u);
}

static void drop_empty(struct mesh_compiler *c)
{
	mesh_vec_each (u, &c->dirty)
		if (is_empty(c, *u))
			unit_free(c, *u);
	c->dirty.count = 0;
}

static void settle_warnings(struct mesh_compiler *c, struct mesh_compilation *ret)
{
	mesh_map_each (e, &c->warnings) {
		struct mesh_warning *w = e->value;

		if (w->units == 0) {
			free(mesh_map_remove(&c->warnings, mesh_slice_of(e->key, e->key_len)));
			continue;
		}
		if (!w->old)
			mesh_vec_push(&ret->news, e->key);
		w->old = true;
	}
}

void mesh_compiler_update(struct mesh_compiler *c, struct mesh_changes *changes, struct mesh_compilation *ret)
{
	bool whole;

	*ret = (struct mesh_compilation){0};
	c->whole |= changes->all || !c->indexed;
	if (changes->index || !c->indexed)
		make_index(c);
	if (!c->whole)
		find_dirty(c, changes);
	if (c->whole)
		dirty_all(c);
	whole = c->whole;
	c->compiled = 0;
	for (size_t i = 0; i < c->dirty.count; i++)
		build(c, c->dirty.items[i]);
	mesh_claims_finish(c, changes, whole, build_l4, ret);
	drop_empty(c);
	settle_warnings(c, ret);
	ret->units = c->compiled;
	c->whole = false;
	mesh_changes_clear(changes);
	mesh_l7_states_sweep_some(c->states);
}

void mesh_compilation_free(struct mesh_compilation *done)
{
	mesh_l7_unref(mesh_steal(done->cfg));
	mesh_l4_delta_free(&done->l4);
	mesh_vec_free(&done->news);
}

static int by_text(const void *pa, const void *pb)
{
	return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

void mesh_compiler_clients(struct mesh_compiler *c, const char *const *namespaces, size_t count)
{
	mesh_auto_free const char **sorted = mesh_xcalloc(count + 1, sizeof(*sorted));
	bool same = count == c->clients.count;

	if (count)
		memcpy(sorted, namespaces, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), by_text);
	for (size_t i = 0; same && i < count; i++)
		same = strcmp(sorted[i], c->clients.items[i]) == 0;
	if (same)
		return;
	mesh_vec_each (ns, &c->clients)
		free(*ns);
	c->clients.count = 0;
	for (size_t i = 0; i < count; i++)
		mesh_vec_push(&c->clients, mesh_xstrdup(sorted[i]));
	c->whole = true;
}

void mesh_compiler_all(struct mesh_compiler *c)
{
	c->whole = true;
}

const struct mesh_map *mesh_compiler_warnings(const struct mesh_compiler *c)
{
	return &c->warnings;
}

void mesh_compiler_free(struct mesh_compiler *c)
{
	if (!c)
		return;
	mesh_vec_each (u, &c->by_id) {
		if (!*u)
			continue;
		if ((*u)->part)
			mesh_l7_part_unref(&(*u)->part->part);
		free((*u)->l4);
		unit_free(c, *u);
	}
	forget_warnings(c, c->indexing->warnings, c->indexing->warning_count);
	free(c->indexing);
	mesh_claims_free(c);
	mesh_map_each (e, &c->warnings)
		free(e->value);
	mesh_map_free(&c->warnings);
	for (size_t i = 0; i < MESH_UNIT_KINDS; i++)
		mesh_map_free(&c->units[i]);
	mesh_vec_each (ns, &c->clients)
		free(*ns);
	mesh_vec_free(&c->clients);
	mesh_vec_free(&c->by_id);
	mesh_vec_free(&c->free_ids);
	mesh_vec_free(&c->dirty);
	mesh_refs_free(&c->pods);
	mesh_builder_free(&c->b);
	mesh_index_free(&c->index);
	free(c);
}
