/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/router.h"

#include "core/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

enum {
	AUTHORITY_MAX = 300, /* a DNS name has at most 253 bytes */
	JOINED_MAX = 4096,   /* values of a field that is there more than once */
};

uint64_t mesh_random_next(uint64_t *seed)
{
	uint64_t x = *seed;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*seed = x;
	return x * 0x2545F4914F6CDD1DULL;
}

/* A number below n, evenly enough for n far below 2^32. */
static uint64_t below(uint64_t random, uint64_t n)
{
	return (uint64_t)(((__uint128_t)random * n) >> 64);
}

const struct mesh_l7_table *mesh_router_outbound(const struct mesh_l7_config *cfg, const char *ns, uint16_t port)
{
	char key[AUTHORITY_MAX];

	snprintf(key, sizeof(key), "%s|%u", ns ? ns : "", port);
	return mesh_pmap_get_str(&cfg->outbound, key);
}

const struct mesh_l7_table *mesh_router_gateway(const struct mesh_l7_config *cfg, uint16_t port)
{
	char key[8];

	snprintf(key, sizeof(key), "%u", port);
	return mesh_pmap_get_str(&cfg->gateway, key);
}

/* Without ":port"; an IPv6 literal keeps its brackets. */
static struct mesh_slice host_only(struct mesh_slice authority)
{
	const char *colon = memrchr(authority.ptr, ':', authority.len);

	if (!colon || (authority.len && authority.ptr[authority.len - 1] == ']'))
		return authority;
	return mesh_slice_of(authority.ptr, (size_t)(colon - authority.ptr));
}

const struct mesh_l7_vhost *mesh_router_vhost(const struct mesh_l7_table *table, struct mesh_slice authority)
{
	char lower[AUTHORITY_MAX];
	struct mesh_slice full, host;
	const struct mesh_l7_vhost *v;

	if (authority.len == 0 || authority.len > sizeof(lower))
		return table->any;
	for (size_t i = 0; i < authority.len; i++)
		lower[i] = (char)tolower((unsigned char)authority.ptr[i]);
	full = mesh_slice_of(lower, authority.len);
	host = host_only(full);
	v = mesh_pmap_get(&table->exact, full);
	if (!v && host.len != full.len)
		v = mesh_pmap_get(&table->exact, host);
	for (size_t i = 1; !v && table->suffix.count && i < host.len; i++)
		if (host.ptr[i] == '.')
			v = mesh_pmap_get(&table->suffix, mesh_slice_of(host.ptr + i, host.len - i));
	return v ? v : table->any;
}

static bool regex_matches(const regex_t *regex, struct mesh_slice s)
{
	regmatch_t m = {.rm_so = 0, .rm_eo = (regoff_t)s.len};

	return regex && regexec(regex, s.ptr ? s.ptr : "", 1, &m, REG_STARTEND) == 0 && m.rm_so == 0 &&
	       m.rm_eo == (regoff_t)s.len;
}

static bool string_matches(const struct mesh_l7_string *want, struct mesh_slice s, bool nocase)
{
	switch (want->type) {
	case MESH_MATCH_ANY:
		return true;
	case MESH_MATCH_EXACT:
		if (s.len != want->len)
			return false;
		break;
	case MESH_MATCH_PREFIX:
		if (s.len < want->len)
			return false;
		break;
	case MESH_MATCH_REGEX:
		return regex_matches(want->regex, s);
	}
	if (want->len == 0)
		return true;
	return nocase ? strncasecmp(s.ptr, want->value, want->len) == 0 : memcmp(s.ptr, want->value, want->len) == 0;
}

/* A field's value; those of one given more than once are joined by commas, as RFC 9110 section 5.2 has it. */
static bool field_value(const struct mesh_http1_head *head, const char *name, char *joined, struct mesh_slice *ret)
{
	struct mesh_slice want = mesh_slice_str(name);
	size_t found = 0, len = 0;

	for (size_t i = 0; i < head->field_count; i++) {
		const struct mesh_http1_field *f = &head->fields[i];

		if (!mesh_slice_eq_nocase(f->name, want))
			continue;
		if (found++ == 0) {
			*ret = f->value;
			continue;
		}
		if (found == 2) {
			len = MESH_MIN(ret->len, (size_t)JOINED_MAX);
			memcpy(joined, ret->ptr, len);
		}
		if (len + 1 + f->value.len <= JOINED_MAX) {
			joined[len] = ',';
			memcpy(joined + len + 1, f->value.ptr, f->value.len);
			len += 1 + f->value.len;
		}
		*ret = mesh_slice_of(joined, len);
	}
	return found > 0;
}

static bool header_matches(const struct mesh_l7_header_match *want, const struct mesh_http1_head *head)
{
	char joined[JOINED_MAX];
	struct mesh_slice value;
	bool ok = field_value(head, want->name, joined, &value) && string_matches(&want->value, value, false);

	return ok != want->invert;
}

static bool query_matches(const struct mesh_l7_header_match *want, struct mesh_slice query)
{
	struct mesh_slice part, name = mesh_slice_str(want->name);
	bool ok = false;

	while (!ok && mesh_slice_split(&query, '&', &part)) {
		ssize_t eq = mesh_slice_find(part, '=');
		struct mesh_slice key = eq < 0 ? part : mesh_slice_of(part.ptr, (size_t)eq);
		struct mesh_slice value =
			eq < 0 ? MESH_SLICE("") : mesh_slice_of(part.ptr + eq + 1, part.len - (size_t)eq - 1);

		ok = mesh_slice_eq(key, name) && string_matches(&want->value, value, false);
	}
	return ok != want->invert;
}

static void split_path(struct mesh_slice target, struct mesh_slice *path, struct mesh_slice *query)
{
	ssize_t at = mesh_slice_find(target, '?');

	*path = target;
	*query = (struct mesh_slice){NULL, 0};
	if (at < 0)
		return;
	path->len = (size_t)at;
	if (at == 0)
		*path = MESH_SLICE("/"); /* http://host?query: RFC 9110 section 4.2.3 */
	*query = mesh_slice_of(target.ptr + at + 1, target.len - (size_t)at - 1);
}

static bool authority_matches(const struct mesh_l7_string *want, struct mesh_slice authority)
{
	return string_matches(want, authority, true) ||
	       (authority.len && string_matches(want, host_only(authority), true));
}

static bool client_matches(const struct mesh_l7_match *m, const struct mesh_router_request *req)
{
	static const struct mesh_labels none;

	if (m->source_labels && !mesh_labels_match(req->labels ? req->labels : &none, m->source_labels))
		return false;
	return !m->source_namespace || (req->ns && strcmp(req->ns, m->source_namespace) == 0);
}

static bool match_holds(const struct mesh_l7_match *m, const struct mesh_router_request *req)
{
	const struct mesh_http1_head *head = req->head;
	struct mesh_slice path, query;

	split_path(head->path, &path, &query);
	if (m->uri && !string_matches(m->uri, path, m->ignore_uri_case))
		return false;
	if (m->method && !string_matches(m->method, head->method, false))
		return false;
	if (m->scheme && !string_matches(m->scheme, MESH_SLICE("http"), true))
		return false;
	if (m->authority && !authority_matches(m->authority, head->authority))
		return false;
	for (size_t i = 0; i < m->header_count; i++)
		if (!header_matches(&m->headers[i], head))
			return false;
	for (size_t i = 0; i < m->query_count; i++)
		if (!query_matches(&m->query[i], query))
			return false;
	return client_matches(m, req);
}

const struct mesh_l7_route *mesh_router_route(const struct mesh_l7_vhost *vhost, const struct mesh_router_request *req)
{
	for (size_t i = 0; i < vhost->route_count; i++) {
		const struct mesh_l7_route *r = &vhost->routes[i];

		if (r->match_count == 0)
			return r;
		for (size_t k = 0; k < r->match_count; k++)
			if (match_holds(&r->matches[k], req))
				return r;
	}
	return NULL;
}

static uint64_t turn_of(struct mesh_l7_state *state, uint64_t *seed)
{
	return state ? atomic_fetch_add_explicit(&state->turn, 1, memory_order_relaxed) : mesh_random_next(seed);
}

const struct mesh_l7_dest *mesh_router_draw(const struct mesh_l7_route *route, uint64_t *seed)
{
	uint64_t at;

	if (route->total_weight == 0)
		return NULL;
	if (route->dest_count == 1)
		return &route->dests[0];
	/* Multiples of the golden ratio, modulo 1. */
	at = below(turn_of(route->state, seed) * 0x9E3779B97F4A7C15ULL, route->total_weight);
	for (size_t i = 0; i < route->dest_count; i++) {
		if (at < route->dests[i].weight)
			return &route->dests[i];
		at -= route->dests[i].weight;
	}
	return NULL;
}

static uint_fast32_t active_of(const struct mesh_l7_endpoint *e)
{
	return e->active ? atomic_load_explicit(e->active, memory_order_relaxed) : 0;
}

/* The less busy of two drawn. */
static const struct mesh_l7_endpoint *pick_least(const struct mesh_l7_cluster *c, uint64_t *seed)
{
	uint64_t a = below(mesh_random_next(seed), c->endpoint_count), b;

	if (c->endpoint_count == 1)
		return &c->endpoints[0];
	b = below(mesh_random_next(seed), c->endpoint_count - 1);
	b += b >= a;
	return active_of(&c->endpoints[b]) < active_of(&c->endpoints[a]) ? &c->endpoints[b] : &c->endpoints[a];
}

const struct mesh_l7_endpoint *mesh_balance_pick(const struct mesh_l7_cluster *c, uint64_t *seed)
{
	if (c->endpoint_count == 0)
		return NULL;
	switch (c->lb) {
	case MESH_LB_RANDOM:
		return &c->endpoints[below(mesh_random_next(seed), c->endpoint_count)];
	case MESH_LB_LEAST_REQUEST:
		return pick_least(c, seed);
	case MESH_LB_ROUND_ROBIN:
		break;
	}
	return &c->endpoints[turn_of(c->state, seed) % c->endpoint_count];
}

/* FNV-1a: the same in every process, so that a pod stays with its endpoint when the agent is a new one. */
static uint64_t hash_bytes(uint64_t h, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001b3ULL;
	return h;
}

/* The endpoint with the highest hash: one that goes or comes moves only its own share of the clients. */
static const struct mesh_l7_endpoint *pick_by_client(const struct mesh_l7_cluster *c,
						     const struct mesh_balance_client *client)
{
	const struct mesh_l7_endpoint *best = NULL;
	uint64_t who = 0xcbf29ce484222325ULL, most = 0;

	who = hash_bytes(who, client->ns, strlen(client->ns) + 1);
	who = hash_bytes(who, client->pod, strlen(client->pod) + 1);
	for (size_t i = 0; i < c->endpoint_count; i++) {
		uint64_t h = hash_bytes(who, &c->endpoints[i].addr, sizeof(c->endpoints[i].addr));

		h = (h ^ (h >> 32)) * 0x9E3779B97F4A7C15ULL; /* the last bytes differ most: spread them */
		h ^= h >> 29;
		if (!best || h > most) {
			best = &c->endpoints[i];
			most = h;
		}
	}
	return best;
}

const struct mesh_l7_endpoint *mesh_balance_pick_for(const struct mesh_l7_cluster *c,
						     const struct mesh_balance_client *client, uint64_t *seed)
{
	for (size_t i = 0; c->prefer_original && client->original && i < c->endpoint_count; i++)
		if (mesh_addr_eq(&c->endpoints[i].addr, client->original))
			return &c->endpoints[i];
	if (c->by_client && client->ns && client->pod)
		return pick_by_client(c, client);
	return mesh_balance_pick(c, seed);
}
