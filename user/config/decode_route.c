/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VirtualService, DestinationRule, Gateway and ServiceMeshMemberRoll to the model. Everything is copied into the
 * object's arena.
 */
#include "config/columns.h"
#include "config/decode.h"
#include "config/decode_json.h"
#include "core/mem.h"

#include <errno.h>

/* ---- VirtualService ---- */

static struct mesh_string_match string_match(struct mesh_arena *a, const json_t *v)
{
	static const struct {
		const char *key;
		enum mesh_match_type type;
	} types[] = {{"exact", MESH_MATCH_EXACT}, {"prefix", MESH_MATCH_PREFIX}, {"regex", MESH_MATCH_REGEX}};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(types); i++) {
		const char *s = mesh_json_text(v, types[i].key);

		/* "*" as an expression asks for presence, as in Istio. */
		if (s && types[i].type == MESH_MATCH_REGEX && strcmp(s, "*") == 0)
			break;
		if (s)
			return (struct mesh_string_match){types[i].type, mesh_arena_strdup(a, s)};
	}
	return (struct mesh_string_match){MESH_MATCH_ANY, ""};
}

/* A match without exact, prefix or regex asks for nothing, except of a header or a parameter: there it asks for
 * presence. */
static const struct mesh_string_match *optional_match(struct mesh_arena *a, const json_t *v)
{
	struct mesh_string_match m = string_match(a, v), *out;

	if (m.type == MESH_MATCH_ANY)
		return NULL;
	out = mesh_arena_new(a, struct mesh_string_match);
	*out = m;
	return out;
}

static const struct mesh_header_match *header_matches(struct mesh_arena *a, const json_t *map, size_t *count)
{
	struct mesh_header_match *out;
	const char *key;
	json_t *v;

	*count = 0;
	if (json_object_size(map) == 0)
		return NULL;
	out = mesh_arena_array(a, struct mesh_header_match, json_object_size(map));
	json_object_foreach((json_t *)map, key, v) out[(*count)++] =
		(struct mesh_header_match){mesh_arena_strdup(a, key), string_match(a, v)};
	return out;
}

static void http_match(struct mesh_arena *a, const json_t *v, struct mesh_http_match *m)
{
	m->name = mesh_json_copy(a, json_object_get(v, "name"));
	m->uri = optional_match(a, json_object_get(v, "uri"));
	m->scheme = optional_match(a, json_object_get(v, "scheme"));
	m->method = optional_match(a, json_object_get(v, "method"));
	m->authority = optional_match(a, json_object_get(v, "authority"));
	m->ignore_uri_case = json_is_true(json_object_get(v, "ignoreUriCase"));
	m->headers = header_matches(a, json_object_get(v, "headers"), &m->header_count);
	m->without_headers = header_matches(a, json_object_get(v, "withoutHeaders"), &m->without_header_count);
	m->query = header_matches(a, json_object_get(v, "queryParams"), &m->query_count);
	m->port = mesh_json_port(json_object_get(v, "port"));
	m->gateways = mesh_json_copies(a, json_object_get(v, "gateways"), &m->gateway_count);
	m->source_labels = mesh_json_labels(a, json_object_get(v, "sourceLabels"));
	m->source_namespace = mesh_json_copy(a, json_object_get(v, "sourceNamespace"));
}

static const struct mesh_route_dest *destinations(struct mesh_arena *a, const json_t *list, size_t *count)
{
	struct mesh_route_dest *out;
	size_t i;
	json_t *v;

	*count = 0;
	if (json_array_size(list) == 0)
		return NULL;
	out = mesh_arena_array(a, struct mesh_route_dest, json_array_size(list));
	json_array_foreach(list, i, v)
	{
		const json_t *d = json_object_get(v, "destination"), *weight = json_object_get(v, "weight");
		const char *host = mesh_json_copy(a, json_object_get(d, "host"));
		json_int_t w = json_is_real(weight) ? (json_int_t)json_real_value(weight) : json_integer_value(weight);

		if (!host)
			continue;
		out[(*count)++] = (struct mesh_route_dest){
			.host = host,
			.subset = mesh_json_copy(a, json_object_get(d, "subset")),
			.port = mesh_json_port(mesh_json_at(d, "port", "number", NULL)),
			.weight = w > 0 && w <= INT32_MAX ? (uint32_t)w : 0,
		};
	}
	/* Istio: a destination that is alone gets everything. */
	if (*count == 1)
		out[0].weight = out[0].weight ? out[0].weight : 100;
	return out;
}

static void http_route(struct mesh_arena *a, const json_t *v, struct mesh_http_route *r)
{
	const json_t *list = json_object_get(v, "match");
	const char *timeout = mesh_json_text(v, "timeout");
	struct mesh_http_match *matches = mesh_arena_array(a, struct mesh_http_match, json_array_size(list) + 1);
	size_t i;
	json_t *m;

	r->name = mesh_json_copy(a, json_object_get(v, "name"));
	json_array_foreach(list, i, m) http_match(a, m, &matches[i]);
	r->matches = matches;
	r->match_count = json_array_size(list);
	r->dests = destinations(a, json_object_get(v, "route"), &r->dest_count);
	if (timeout)
		mesh_decode_duration(timeout, &r->timeout_ns);
}

static void tcp_match(struct mesh_arena *a, const json_t *v, struct mesh_tcp_match *m)
{
	m->port = mesh_json_port(json_object_get(v, "port"));
	m->sni_hosts = mesh_json_copies(a, json_object_get(v, "sniHosts"), &m->sni_host_count);
	m->gateways = mesh_json_copies(a, json_object_get(v, "gateways"), &m->gateway_count);
	m->destination_subnets =
		mesh_json_copies(a, json_object_get(v, "destinationSubnets"), &m->destination_subnet_count);
	m->source_labels = mesh_json_labels(a, json_object_get(v, "sourceLabels"));
	m->source_namespace = mesh_json_copy(a, json_object_get(v, "sourceNamespace"));
}

static const struct mesh_tcp_route *tcp_routes(struct mesh_arena *a, const json_t *list, size_t *count)
{
	struct mesh_tcp_route *out = mesh_arena_array(a, struct mesh_tcp_route, json_array_size(list) + 1);
	size_t i, j;
	json_t *v, *m;

	*count = json_array_size(list);
	json_array_foreach(list, i, v)
	{
		const json_t *ms = json_object_get(v, "match");
		struct mesh_tcp_match *matches = mesh_arena_array(a, struct mesh_tcp_match, json_array_size(ms) + 1);

		json_array_foreach(ms, j, m) tcp_match(a, m, &matches[j]);
		out[i].matches = matches;
		out[i].match_count = json_array_size(ms);
		out[i].dests = destinations(a, json_object_get(v, "route"), &out[i].dest_count);
	}
	return out;
}

int mesh_decode_virtual_service(const json_t *obj, struct mesh_virtual_service **ret)
{
	struct mesh_virtual_service *vs = mesh_xcalloc(1, sizeof(*vs));
	const json_t *spec = json_object_get(obj, "spec"), *http = json_object_get(spec, "http");
	struct mesh_arena *a = &vs->arena;
	struct mesh_http_route *routes;
	struct mesh_json_meta m;
	size_t i;
	json_t *v;

	if (mesh_json_meta(a, obj, &m) < 0) {
		mesh_virtual_service_free(vs);
		return -EINVAL;
	}
	vs->ns = m.ns;
	vs->name = m.name;
	vs->created = m.created;
	vs->resource_version = m.resource_version;
	vs->hosts = mesh_json_copies(a, json_object_get(spec, "hosts"), &vs->host_count);
	vs->gateways = mesh_json_copies(a, json_object_get(spec, "gateways"), &vs->gateway_count);
	vs->export_to = mesh_json_copies(a, json_object_get(spec, "exportTo"), &vs->export_to_count);
	routes = mesh_arena_array(a, struct mesh_http_route, json_array_size(http) + 1);
	json_array_foreach(http, i, v) http_route(a, v, &routes[i]);
	vs->http = routes;
	vs->http_count = json_array_size(http);
	vs->tcp = tcp_routes(a, json_object_get(spec, "tcp"), &vs->tcp_count);
	vs->tls = tcp_routes(a, json_object_get(spec, "tls"), &vs->tls_count);
	*ret = vs;
	return 0;
}

/* ---- DestinationRule ---- */

static bool read_lb(const json_t *policy, enum mesh_lb *ret)
{
	static const struct {
		const char *word;
		enum mesh_lb lb;
	} words[] = {{"ROUND_ROBIN", MESH_LB_ROUND_ROBIN},
		     {"RANDOM", MESH_LB_RANDOM},
		     {"LEAST_CONN", MESH_LB_LEAST_REQUEST},
		     {"LEAST_REQUEST", MESH_LB_LEAST_REQUEST}};
	const char *s = json_string_value(mesh_json_at(policy, "loadBalancer", "simple", NULL));

	for (size_t i = 0; s && i < MESH_ARRAY_SIZE(words); i++)
		if (strcmp(s, words[i].word) == 0) {
			*ret = words[i].lb;
			return true;
		}
	return false;
}

int mesh_decode_destination_rule(const json_t *obj, struct mesh_destination_rule **ret)
{
	struct mesh_destination_rule *dr = mesh_xcalloc(1, sizeof(*dr));
	const json_t *spec = json_object_get(obj, "spec"), *list = json_object_get(spec, "subsets");
	struct mesh_arena *a = &dr->arena;
	struct mesh_subset *subsets;
	struct mesh_json_meta m;
	size_t i;
	json_t *v;

	if (mesh_json_meta(a, obj, &m) < 0 || !(dr->host = mesh_json_copy(a, json_object_get(spec, "host")))) {
		mesh_destination_rule_free(dr);
		return -EINVAL;
	}
	dr->ns = m.ns;
	dr->name = m.name;
	dr->created = m.created;
	dr->resource_version = m.resource_version;
	dr->has_lb = read_lb(json_object_get(spec, "trafficPolicy"), &dr->lb);
	dr->export_to = mesh_json_copies(a, json_object_get(spec, "exportTo"), &dr->export_to_count);
	dr->workload_selector = mesh_json_labels(a, mesh_json_at(spec, "workloadSelector", "matchLabels", NULL));
	subsets = mesh_arena_array(a, struct mesh_subset, json_array_size(list) + 1);
	json_array_foreach(list, i, v)
	{
		struct mesh_subset *s = &subsets[dr->subset_count];

		s->name = mesh_json_copy(a, json_object_get(v, "name"));
		if (!s->name)
			continue;
		s->labels = mesh_json_labels(a, json_object_get(v, "labels"));
		s->has_lb = read_lb(json_object_get(v, "trafficPolicy"), &s->lb);
		dr->subset_count++;
	}
	dr->subsets = subsets;
	*ret = dr;
	return 0;
}

/* ---- Gateway ---- */

static enum mesh_gateway_protocol gateway_protocol(const char *s)
{
	static const struct {
		const char *word;
		enum mesh_gateway_protocol protocol;
	} words[] = {{"HTTPS", MESH_GATEWAY_HTTPS}, {"TCP", MESH_GATEWAY_TCP},   {"MONGO", MESH_GATEWAY_TCP},
		     {"MYSQL", MESH_GATEWAY_TCP},   {"REDIS", MESH_GATEWAY_TCP}, {"TLS", MESH_GATEWAY_TLS}};

	for (size_t i = 0; s && i < MESH_ARRAY_SIZE(words); i++)
		if (mesh_slice_eq_nocase(mesh_slice_str(s), mesh_slice_str(words[i].word)))
			return words[i].protocol;
	return MESH_GATEWAY_HTTP;
}

static enum mesh_gateway_tls gateway_tls(const json_t *tls)
{
	static const struct {
		const char *word;
		enum mesh_gateway_tls mode;
	} words[] = {{"PASSTHROUGH", MESH_GATEWAY_TLS_PASSTHROUGH},
		     {"SIMPLE", MESH_GATEWAY_TLS_SIMPLE},
		     {"MUTUAL", MESH_GATEWAY_TLS_MUTUAL},
		     {"OPTIONAL_MUTUAL", MESH_GATEWAY_TLS_MUTUAL},
		     {"AUTO_PASSTHROUGH", MESH_GATEWAY_TLS_AUTO_PASSTHROUGH},
		     {"ISTIO_MUTUAL", MESH_GATEWAY_TLS_ISTIO_MUTUAL}};
	const char *s = mesh_json_text(tls, "mode");

	for (size_t i = 0; s && i < MESH_ARRAY_SIZE(words); i++)
		if (strcmp(s, words[i].word) == 0)
			return words[i].mode;
	/* Passthrough is the mode that has the number 0: it is meant where none is named, unless only a redirect is. */
	if (json_is_object(tls) && !json_is_true(json_object_get(tls, "httpsRedirect")))
		return MESH_GATEWAY_TLS_PASSTHROUGH;
	return MESH_GATEWAY_TLS_NONE;
}

int mesh_decode_gateway(const json_t *obj, struct mesh_gateway **ret)
{
	struct mesh_gateway *gw = mesh_xcalloc(1, sizeof(*gw));
	const json_t *spec = json_object_get(obj, "spec"), *list = json_object_get(spec, "servers");
	struct mesh_arena *a = &gw->arena;
	struct mesh_gateway_server *servers;
	struct mesh_json_meta m;
	size_t i;
	json_t *v;

	if (mesh_json_meta(a, obj, &m) < 0) {
		mesh_gateway_free(gw);
		return -EINVAL;
	}
	gw->ns = m.ns;
	gw->name = m.name;
	gw->created = m.created;
	gw->resource_version = m.resource_version;
	gw->selector = mesh_json_labels(a, json_object_get(spec, "selector"));
	servers = mesh_arena_array(a, struct mesh_gateway_server, json_array_size(list) + 1);
	json_array_foreach(list, i, v)
	{
		const json_t *port = json_object_get(v, "port"), *tls = json_object_get(v, "tls");
		struct mesh_gateway_server *s = &servers[gw->server_count];

		s->port = mesh_json_port(json_object_get(port, "number"));
		if (!s->port)
			continue;
		s->name = mesh_json_copy(a, json_object_get(v, "name"));
		s->port_name = mesh_json_copy(a, json_object_get(port, "name"));
		s->protocol = gateway_protocol(mesh_json_text(port, "protocol"));
		s->hosts = mesh_json_copies(a, json_object_get(v, "hosts"), &s->host_count);
		s->tls = gateway_tls(tls);
		s->https_redirect = json_is_true(json_object_get(tls, "httpsRedirect"));
		gw->server_count++;
	}
	gw->servers = servers;
	*ret = gw;
	return 0;
}

/* ---- ServiceMeshMemberRoll ---- */

int mesh_decode_member_roll(const json_t *obj, struct mesh_member_roll **ret)
{
	struct mesh_member_roll *roll = mesh_xcalloc(1, sizeof(*roll));
	struct mesh_arena *a = &roll->arena;
	struct mesh_json_meta m;

	if (mesh_json_meta(a, obj, &m) < 0) {
		mesh_member_roll_free(roll);
		return -EINVAL;
	}
	roll->ns = m.ns;
	roll->name = m.name;
	roll->resource_version = m.resource_version;
	roll->members = mesh_json_copies(a, mesh_json_at(obj, "spec", "members", NULL), &roll->member_count);
	roll->configured =
		mesh_json_copies(a, mesh_json_at(obj, "status", "configuredMembers", NULL), &roll->configured_count);
	*ret = roll;
	return 0;
}
