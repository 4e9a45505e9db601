/* SPDX-License-Identifier: Apache-2.0 */
/* VirtualService.http to routes: what does not depend on the request is decided here. */
#include "compile/builder.h"

#include "compile/regex.h"
#include "core/mem.h"

#include <ctype.h>

bool mesh_builder_rule_visible(const struct mesh_rule *rule, const char *client_ns)
{
	return rule->mesh && mesh_exported(rule->vs->export_to, rule->vs->export_to_count, rule->vs->ns, client_ns);
}

const struct mesh_rule *mesh_builder_rule_for(struct mesh_builder *b, const char *host, const char *client_ns)
{
	const struct mesh_rule_list *exact = mesh_map_get_str(&b->index->rules_of, host);
	const struct mesh_rule *best = NULL;
	size_t best_len = 0;

	for (size_t i = 0; exact && i < exact->list.count; i++)
		if (mesh_builder_rule_visible(exact->list.items[i], client_ns))
			return exact->list.items[i];
	for (size_t i = 0; i < b->index->wildcards.list.count; i++) {
		const struct mesh_rule *rule = b->index->wildcards.list.items[i];

		if (!mesh_builder_rule_visible(rule, client_ns))
			continue;
		for (size_t k = 0; k < rule->vs->host_count; k++) {
			size_t len = strlen(rule->hosts[k]);

			if (mesh_host_is_wildcard(rule->hosts[k]) && mesh_host_within(host, rule->hosts[k]) &&
			    len > best_len) {
				best = rule;
				best_len = len;
			}
		}
	}
	return best;
}

static const regex_t *regex_of(struct mesh_builder *b, const struct mesh_virtual_service *vs, const char *pattern,
			       bool ignore_case)
{
	const char *key = mesh_arena_printf(&b->scratch, "%c%s", ignore_case ? 'i' : 's', pattern);
	regex_t *regex = mesh_map_get_str(&b->regexes, key);
	char why[128];

	if (regex)
		return regex;
	regex = mesh_arena_new(b->arena, regex_t);
	if (mesh_regex_compile(pattern, ignore_case, regex, why, sizeof(why)) < 0) {
		mesh_builder_warn(b, "VirtualService", vs->ns, vs->name, NULL,
				  "regular expression \"%s\" cannot be used and matches nothing: %s", pattern, why);
		return NULL;
	}
	mesh_map_put_str(&b->regexes, key, regex);
	return regex;
}

/* Returns false if it can never match. */
static bool string_of(struct mesh_builder *b, const struct mesh_virtual_service *vs, const struct mesh_string_match *m,
		      bool ignore_case, struct mesh_l7_string *ret)
{
	ret->type = m->type;
	ret->value = mesh_arena_strdup(b->arena, m->value ? m->value : "");
	ret->len = strlen(ret->value);
	if (m->type != MESH_MATCH_REGEX)
		return true;
	ret->regex = regex_of(b, vs, m->value, ignore_case);
	return ret->regex != NULL;
}

static bool string_new(struct mesh_builder *b, const struct mesh_virtual_service *vs, const struct mesh_string_match *m,
		       bool ignore_case, const struct mesh_l7_string **ret)
{
	struct mesh_l7_string *s;

	if (!m)
		return true;
	s = mesh_arena_new(b->arena, struct mesh_l7_string);
	*ret = s;
	return string_of(b, vs, m, ignore_case, s);
}

static bool headers_of(struct mesh_builder *b, const struct mesh_virtual_service *vs, const struct mesh_header_match *m,
		       size_t count, bool invert, bool lower, struct mesh_l7_header_match *ret)
{
	for (size_t i = 0; i < count; i++) {
		char *name = mesh_arena_strdup(b->arena, m[i].name);

		for (char *p = name; lower && *p; p++)
			*p = (char)tolower((unsigned char)*p);
		ret[i].name = name;
		ret[i].invert = invert;
		if (!string_of(b, vs, &m[i].match, false, &ret[i].value))
			return false;
	}
	return true;
}

static const struct mesh_labels *labels_of(struct mesh_builder *b, const struct mesh_labels *labels)
{
	struct mesh_labels *copy;

	if (labels->count == 0)
		return NULL;
	copy = mesh_arena_new(b->arena, struct mesh_labels);
	copy->count = labels->count;
	copy->items = mesh_arena_array(b->arena, struct mesh_label, labels->count);
	for (size_t i = 0; i < labels->count; i++) {
		copy->items[i].key = mesh_arena_strdup(b->arena, labels->items[i].key);
		copy->items[i].value = mesh_arena_strdup(b->arena, labels->items[i].value);
	}
	return copy;
}

/* Whether a match can hold in scope at all: its port, gateways and source namespace. */
static bool match_in_scope(const struct mesh_http_match *m, const struct mesh_virtual_service *vs,
			   const struct mesh_route_scope *scope)
{
	if (m->port && m->port != scope->port)
		return false;
	if (m->gateway_count && !mesh_gateways_have(m->gateways, m->gateway_count, vs->ns, scope->gateway))
		return false;
	if (strcmp(scope->gateway, "mesh") != 0)
		return true;
	return !m->source_namespace || strcmp(m->source_namespace, scope->client_ns) == 0;
}

static bool match_of(struct mesh_builder *b, const struct mesh_virtual_service *vs, const struct mesh_http_match *m,
		     const struct mesh_route_scope *scope, struct mesh_l7_match *ret)
{
	size_t headers = m->header_count + m->without_header_count;
	struct mesh_l7_header_match *h = mesh_arena_array(b->arena, struct mesh_l7_header_match, headers);
	struct mesh_l7_header_match *q = mesh_arena_array(b->arena, struct mesh_l7_header_match, m->query_count);
	bool ok;

	*ret = (struct mesh_l7_match){.ignore_uri_case = m->ignore_uri_case,
				      .headers = h,
				      .header_count = headers,
				      .query = q,
				      .query_count = m->query_count};
	if (strcmp(scope->gateway, "mesh") == 0) /* a gateway's clients have no labels: Istio ignores these there */
		ret->source_labels = labels_of(b, &m->source_labels);
	ok = string_new(b, vs, m->uri, m->ignore_uri_case, &ret->uri);
	ok &= string_new(b, vs, m->scheme, false, &ret->scheme);
	ok &= string_new(b, vs, m->method, false, &ret->method);
	ok &= string_new(b, vs, m->authority, false, &ret->authority);
	ok &= headers_of(b, vs, m->headers, m->header_count, false, true, h);
	ok &= headers_of(b, vs, m->without_headers, m->without_header_count, true, true, h + m->header_count);
	ok &= headers_of(b, vs, m->query, m->query_count, false, false, q);
	return ok;
}

static void dests_of(struct mesh_builder *b, const struct mesh_virtual_service *vs, const struct mesh_http_route *r,
		     const struct mesh_route_scope *scope, struct mesh_l7_route *ret)
{
	struct mesh_l7_dest *dests = mesh_arena_array(b->arena, struct mesh_l7_dest, r->dest_count);

	for (size_t i = 0; i < r->dest_count; i++) {
		const char *host = mesh_host_resolve(&b->scratch, r->dests[i].host, vs->ns);
		struct mesh_target target;

		mesh_builder_target(b, scope->client_ns, host, r->dests[i].port, scope->port, r->dests[i].subset,
				    &target);
		if (target.svc && target.svc->external_name)
			mesh_builder_warn(b, "VirtualService", vs->ns, vs->name, "spec.http.route.destination.host",
					  "\"%s\" is a Service of type ExternalName, which is DNS' business: requests "
					  "to it get 503; a ServiceEntry for \"%s\" can be routed to",
					  r->dests[i].host, target.svc->external_name);
		dests[i].cluster = mesh_builder_cluster(b, &target);
		dests[i].name = dests[i].cluster ? dests[i].cluster->name : mesh_arena_strdup(b->arena, target.name);
		dests[i].weight = r->dest_count == 1 ? 1 : r->dests[i].weight;
		ret->total_weight += dests[i].weight;
	}
	for (size_t i = 0; ret->total_weight == 0 && i < r->dest_count; i++)
		dests[i].weight = 1;
	if (ret->total_weight == 0)
		ret->total_weight = (uint32_t)r->dest_count;
	ret->dests = dests;
	ret->dest_count = r->dest_count;
}

static bool string_simple(const struct mesh_l7_string *s)
{
	return !s || s->type == MESH_MATCH_EXACT || s->type == MESH_MATCH_PREFIX;
}

static bool match_simple(const struct mesh_l7_match *m)
{
	return !m->scheme && !m->authority && !m->ignore_uri_case && m->header_count == 0 && m->query_count == 0 &&
	       !m->source_labels && string_simple(m->uri) && string_simple(m->method);
}

/* Returns false if the route cannot be taken in scope. */
static bool matches_of(struct mesh_builder *b, const struct mesh_virtual_service *vs, const struct mesh_http_route *r,
		       const struct mesh_route_scope *scope, struct mesh_l7_route *ret)
{
	struct mesh_l7_match *matches = mesh_arena_array(b->arena, struct mesh_l7_match, r->match_count);

	ret->simple = true;
	for (size_t i = 0; i < r->match_count; i++) {
		if (!match_in_scope(&r->matches[i], vs, scope) ||
		    !match_of(b, vs, &r->matches[i], scope, &matches[ret->match_count]))
			continue;
		ret->simple &= match_simple(&matches[ret->match_count]);
		ret->match_count++;
	}
	ret->matches = matches;
	return r->match_count == 0 || ret->match_count > 0;
}

void mesh_builder_routes(struct mesh_builder *b, const struct mesh_virtual_service *vs,
			 const struct mesh_route_scope *scope, struct mesh_routes *ret)
{
	for (size_t i = 0; i < vs->http_count; i++) {
		const struct mesh_http_route *r = &vs->http[i];
		struct mesh_l7_route route = {.timeout_ns = r->timeout_ns};

		if (!matches_of(b, vs, r, scope, &route))
			continue;
		route.name = mesh_arena_strdup(b->arena, r->name);
		if (r->dest_count > 1)
			route.state =
				mesh_builder_turn(b, mesh_arena_printf(&b->scratch, "VirtualService %s/%s http[%zu]",
								       vs->ns, vs->name, i));
		dests_of(b, vs, r, scope, &route);
		mesh_vec_push(&ret->list, route);
		if (r->match_count == 0)
			break; /* nothing behind it can be reached */
	}
}

struct mesh_l7_vhost *mesh_builder_default_vhost(struct mesh_builder *b, const struct mesh_service *svc, uint16_t port,
						 const char *client_ns)
{
	struct mesh_l7_route route = {.name = "default", .dest_count = 1, .total_weight = 1, .simple = true};
	const char *host = mesh_builder_service_host(b, svc);
	const struct mesh_l7_cluster *cluster;
	struct mesh_routes routes = {0};
	struct mesh_target target;
	struct mesh_l7_dest *dest;

	mesh_builder_target(b, client_ns, host, port, port, NULL, &target);
	cluster = mesh_builder_cluster(b, &target);
	mesh_vec_each (v, &b->defaults)
		if (cluster && (*v)->routes[0].dests[0].cluster == cluster)
			return *v;
	dest = mesh_arena_new(b->arena, struct mesh_l7_dest);
	dest->cluster = cluster;
	dest->name = cluster ? cluster->name : mesh_arena_strdup(b->arena, target.name);
	dest->weight = 1;
	route.dests = dest;
	mesh_vec_push(&routes.list, route);
	mesh_vec_push(&b->defaults, mesh_builder_vhost(b, host, &routes));
	return b->defaults.items[b->defaults.count - 1];
}

struct mesh_l7_vhost *mesh_builder_vhost(struct mesh_builder *b, const char *name, struct mesh_routes *routes)
{
	struct mesh_l7_vhost *vhost = mesh_arena_new(b->arena, struct mesh_l7_vhost);
	struct mesh_l7_route *list = mesh_arena_array(b->arena, struct mesh_l7_route, routes->list.count);

	if (routes->list.count)
		memcpy(list, routes->list.items, sizeof(*list) * routes->list.count);
	vhost->name = mesh_arena_strdup(b->arena, name);
	vhost->routes = list;
	vhost->route_count = routes->list.count;
	vhost->part = &b->out->part;
	mesh_vec_free(&routes->list);
	return vhost;
}
