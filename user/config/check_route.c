/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VirtualService, as Istio's webhook sees it.
 */
#include "config/at.h"
#include "config/at_istio.h"
#include "config/check.h"
#include "config/check_http.h"
#include "config/names.h"

#include <ctype.h>

struct route_check {
	bool to_mesh, to_gateway, delegate;
	const json_t *spec;
};

/* ---- gateways and hosts ---- */

static void gateway_name(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *s = json_string_value(v) ? json_string_value(v) : "", *slash = strchr(s, '/'), *why;

	(void)arg;
	if (mesh_is(s, "mesh"))
		return;
	if (slash) {
		if (!mesh_name_is_label(mesh_slice_of(s, (size_t)(slash - s))) ||
		    !mesh_name_is_label(mesh_slice_str(slash + 1)))
			mesh_at_err(at, "\"%s\" is not the name of a gateway (\"NAME\" or \"NAMESPACE/NAME\")", s);
		return;
	}
	if (!mesh_text_is_fqdn(s, &why))
		mesh_at_err(at, "gateway \"%s\" %s", s, why);
	else if (strchr(s, '.'))
		mesh_at_warn(at, "\"%s\" is the old form of a gateway's name: write \"NAMESPACE/NAME\"", s);
}

/* Istio's own names of passed-through services: "outbound_.80_.v1_.catalog.ns.svc.cluster.local". */
static bool is_outbound_name(const char *s)
{
	const char *why;

	if (strncmp(s, "outbound_.", 10) != 0)
		return false;
	s += 10;
	if (!isdigit((unsigned char)*s))
		return false;
	s += strspn(s, "0123456789");
	if (strncmp(s, "_.", 2) != 0)
		return false;
	s += 2;
	while (isalnum((unsigned char)*s) || *s == '-')
		s++;
	return strncmp(s, "_.", 2) == 0 && mesh_text_is_fqdn(s + 2, &why);
}

static void host(struct mesh_at *at, const json_t *v, void *arg)
{
	const struct route_check *rc = arg;
	const char *s = json_string_value(v) ? json_string_value(v) : "", *why;

	if (mesh_is(s, "*") && rc->to_mesh)
		mesh_at_err(at, "\"*\" is not allowed for clients in the mesh: name the hosts, or a gateway");
	else if (!mesh_text_is_ip(s) && !mesh_text_is_wildcard_host(s, &why) &&
		 !(rc->to_gateway && is_outbound_name(s)))
		mesh_at_err(at, "host \"%.80s\" %s", s, why);
}

static bool host_covers(const char *wide, const char *narrow)
{
	size_t n = strlen(narrow), w;

	if (wide[0] != '*')
		return mesh_is(wide, narrow);
	w = strlen(wide + 1);
	return n >= w && mesh_is(narrow + n - w, wide + 1);
}

static void duplicate_hosts(struct mesh_at *at, const json_t *spec)
{
	const json_t *hosts = json_object_get(spec, "hosts");
	size_t count = json_array_size(hosts);

	for (size_t i = 0; i < count && count <= 1000; i++)
		for (size_t j = i + 1; j < count; j++) {
			const char *a = json_string_value(json_array_get(hosts, i));
			const char *b = json_string_value(json_array_get(hosts, j));

			if (a && b && (host_covers(a, b) || host_covers(b, a)))
				mesh_at_err_key(at, "hosts", "\"%s\" and \"%s\" overlap", a, b);
		}
}

/* ---- matches ---- */

/* An exact of "" is a value; a prefix or regex of "" matches everything, which is never meant. */
void mesh_at_string_match(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (json_object_get(v, "prefix") && !*mesh_text(v, "prefix"))
		mesh_at_err_key(at, "prefix", "is empty");
	if (json_object_get(v, "regex") && !*mesh_text(v, "regex"))
		mesh_at_err_key(at, "regex", "is empty");
	else if (json_object_get(v, "regex") && !mesh_text_is_regex(mesh_text(v, "regex")))
		mesh_at_err_key(at, "regex", "\"%s\" is not a regular expression", mesh_text(v, "regex"));
}

bool mesh_text_is_token(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("!#$%&'*+-.^_`|~", *s))
			return false;
	return true;
}

static bool is_claim(const char *name)
{
	return strncmp(name, "@request.auth.claims", 20) == 0;
}

static void header_match(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	const struct route_check *rc = arg;
	const char *plain = *name == ':' ? name + 1 : name;

	if (is_claim(name)) {
		if (!rc->to_gateway && !rc->delegate)
			mesh_at_err(at, "claims are matched only at a gateway");
	} else if (!mesh_text_is_token(plain)) {
		mesh_at_err(at, "\"%s\" is not the name of a header field", name);
	}
	/* "*" stands for presence there, though it is no expression. */
	if (json_is_object(v) && !mesh_is(mesh_text(v, "regex"), "*"))
		mesh_at_string_match(at, v, NULL);
}

static void query_match(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	(void)arg;
	if (!*name)
		mesh_at_err(at, "the name is empty");
	if (json_is_object(v))
		mesh_at_string_match(at, v, NULL);
}

static void source_label(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	(void)arg;
	if (!mesh_name_is_label_key(mesh_slice_str(name)))
		mesh_at_err(at, "\"%s\" cannot be the key of a label", name);
	if (json_is_string(v) && !mesh_name_is_label_value(mesh_slice_str(json_string_value(v))))
		mesh_at_err(at, "\"%s\" cannot be the value of a label", json_string_value(v));
}

static void port_number(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	mesh_at_port(at, json_integer_value(v));
}

static void source_of(struct mesh_at *at, const json_t *v)
{
	mesh_at_members(at, v, "sourceLabels", source_label, NULL);
	mesh_at_each(at, v, "gateways", gateway_name, NULL);
	if (*mesh_text(v, "sourceNamespace") && !mesh_name_is_label(mesh_slice_str(mesh_text(v, "sourceNamespace"))))
		mesh_at_err_key(at, "sourceNamespace", "\"%s\" is not the name of a namespace",
				mesh_text(v, "sourceNamespace"));
}

static void http_match(struct mesh_at *at, const json_t *v, void *arg)
{
	static const char *const texts[] = {"uri", "scheme", "method", "authority"};

	if (!json_is_object(v))
		return;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(texts); i++)
		mesh_at_in(at, v, texts[i], mesh_at_string_match, NULL);
	mesh_at_members(at, v, "headers", header_match, arg);
	mesh_at_members(at, v, "withoutHeaders", header_match, arg);
	mesh_at_members(at, v, "queryParams", query_match, NULL);
	if (mesh_number(v, "port"))
		mesh_at_in(at, v, "port", port_number, NULL);
	source_of(at, v);
}

/* ---- destinations ---- */

void mesh_at_destination(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *s = mesh_text(v, "host"), *why, *subset = mesh_text(v, "subset");
	const json_t *port = json_object_get(v, "port");

	(void)arg;
	if (mesh_is(s, "*"))
		mesh_at_err_key(at, "host", "\"*\" is not a destination: name one host");
	else if (!mesh_text_is_wildcard_host(s, &why))
		mesh_at_err_key(at, "host", "host \"%.80s\" %s", s, why);
	if (*subset && !mesh_name_is_label(mesh_slice_str(subset)))
		mesh_at_err_key(at, "subset",
				"\"%s\" is not the name of a subset: lower-case letters, digits, inner '-'", subset);
	if (json_is_object(port) && (mesh_number(port, "number") < 1 || mesh_number(port, "number") > 65535))
		mesh_at_err_key(at, "port.number", "%" JSON_INTEGER_FORMAT " is out of range 1..65535",
				mesh_number(port, "number"));
}

struct weights {
	size_t count;
	json_int_t total;
};

static void route(struct mesh_at *at, const json_t *v, void *arg)
{
	struct weights *w = arg;
	json_int_t weight = mesh_number(v, "weight");

	w->count++;
	if (weight < 0)
		mesh_at_err_key(at, "weight", "%" JSON_INTEGER_FORMAT " is out of range 0..%d", weight, INT32_MAX);
	else
		w->total += weight;
	if (!mesh_at_in(at, v, "destination", mesh_at_destination, NULL))
		mesh_at_err_key(at, "destination", "Required value");
	mesh_at_in(at, v, "headers", mesh_at_headers, NULL);
}

static void routes(struct mesh_at *at, const json_t *v)
{
	struct weights w = {0};

	mesh_at_each(at, v, "route", route, &w);
	if (w.count > 1 && w.total == 0)
		mesh_at_err_key(at, "route", "all weights are 0: nothing can be routed");
}

static void delegate(struct mesh_at *at, const json_t *v, void *arg)
{
	const struct route_check *rc = arg;

	(void)v;
	if (rc->delegate)
		mesh_at_err(at, "a VirtualService without hosts cannot delegate further");
}

/* Which kinds of answer may stand together. */
static void outcomes(struct mesh_at *at, const json_t *v, const struct route_check *rc)
{
	bool routed = json_array_size(json_object_get(v, "route")) > 0, redirected = mesh_has(v, "redirect");
	bool direct = mesh_has(v, "directResponse"), delegated = mesh_has(v, "delegate");

	if (redirected && (routed || direct))
		mesh_at_err(at, "redirect allows neither route nor directResponse beside it");
	if (direct && routed)
		mesh_at_err(at, "directResponse allows no route beside it");
	if (delegated && (routed || redirected || direct))
		mesh_at_err(at, "delegate allows neither route, redirect nor directResponse beside it");
	if ((redirected || direct) && mesh_has(v, "fault"))
		mesh_at_err(at, "fault needs a route");
	if ((redirected || direct) && mesh_has(v, "rewrite"))
		mesh_at_err(at, "rewrite needs a route");
	if (!routed && !redirected && !direct && !(delegated && !rc->delegate))
		mesh_at_err(at, "one of route, redirect, directResponse, delegate must be set");
}

static void http_route(struct mesh_at *at, const json_t *v, void *arg)
{
	if (!json_is_object(v))
		return;
	outcomes(at, v, arg);
	mesh_at_each(at, v, "match", http_match, arg);
	routes(at, v);
	mesh_at_in(at, v, "delegate", delegate, arg);
	mesh_at_http_parts(at, v);
	mesh_at_duration(at, v, "timeout");
}

/* ---- tcp and tls ---- */

static void subnet(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (json_is_string(v) && !mesh_text_is_subnet(json_string_value(v)))
		mesh_at_err(at, "\"%s\" is neither an address nor a subnet", json_string_value(v));
}

static void sni_host(struct mesh_at *at, const json_t *v, void *arg)
{
	const struct route_check *rc = arg;
	const char *s = json_string_value(v) ? json_string_value(v) : "", *why;
	const json_t *hosts = json_object_get(rc->spec, "hosts");
	bool covered = json_array_size(hosts) == 0;
	size_t i;
	json_t *h;

	if (mesh_text_is_ip(s)) {
		mesh_at_warn(at, "\"%s\" is an address: clients send none as server name", s);
	} else if (!mesh_text_is_wildcard_host(s, &why) && !(rc->to_gateway && is_outbound_name(s))) {
		mesh_at_err(at, "host \"%.80s\" %s", s, why);
		return;
	}
	json_array_foreach(hosts, i, h) covered |= json_is_string(h) && host_covers(json_string_value(h), s);
	if (!covered && !mesh_text_is_ip(s))
		mesh_at_err(at, "\"%s\" is none of the hosts", s);
}

static void tcp_match(struct mesh_at *at, const json_t *v, void *arg)
{
	mesh_at_each(at, v, "destinationSubnets", subnet, NULL);
	mesh_at_each(at, v, "sniHosts", sni_host, arg);
	if (mesh_number(v, "port"))
		mesh_at_in(at, v, "port", port_number, NULL);
	source_of(at, v);
}

static void tls_match(struct mesh_at *at, const json_t *v, void *arg)
{
	if (json_array_size(json_object_get(v, "sniHosts")) == 0)
		mesh_at_err_key(at, "sniHosts", "Required value");
	tcp_match(at, v, arg);
}

static void tcp_route(struct mesh_at *at, const json_t *v, void *arg)
{
	if (json_array_size(json_object_get(v, "route")) == 0)
		mesh_at_err_key(at, "route", "Required value");
	mesh_at_each(at, v, "match", tcp_match, arg);
	routes(at, v);
}

static void tls_route(struct mesh_at *at, const json_t *v, void *arg)
{
	if (json_array_size(json_object_get(v, "match")) == 0)
		mesh_at_err_key(at, "match", "Required value");
	if (json_array_size(json_object_get(v, "route")) == 0)
		mesh_at_err_key(at, "route", "Required value");
	mesh_at_each(at, v, "match", tls_match, arg);
	routes(at, v);
}

/* ---- the whole ---- */

static void bound_to(struct route_check *rc, const json_t *spec)
{
	const json_t *gateways = json_object_get(spec, "gateways");
	size_t i;
	json_t *g;

	rc->spec = spec;
	rc->delegate = json_array_size(json_object_get(spec, "hosts")) == 0;
	rc->to_mesh = json_array_size(gateways) == 0;
	json_array_foreach(gateways, i, g)
	{
		if (json_is_string(g) && mesh_is(json_string_value(g), "mesh"))
			rc->to_mesh = true;
		else
			rc->to_gateway = true;
	}
}

static void spec_of(struct mesh_at *at, const json_t *spec, void *arg)
{
	static const char *const rules[] = {"http", "tcp", "tls"};
	struct route_check rc = {0};
	size_t before = at->errs->list.count, any = 0;

	(void)arg;
	bound_to(&rc, spec);
	mesh_at_each(at, spec, "gateways", gateway_name, NULL);
	mesh_at_each(at, spec, "hosts", host, &rc);
	if (at->errs->list.count == before)
		duplicate_hosts(at, spec);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(rules); i++)
		any += json_array_size(json_object_get(spec, rules[i]));
	if (!any)
		mesh_at_err(at, "one of http, tcp, tls must be set");
	if (rc.delegate && json_array_size(json_object_get(spec, "gateways")))
		mesh_at_err_key(at, "gateways", "must not be set without hosts");
	if (rc.delegate && (mesh_has(spec, "tcp") || mesh_has(spec, "tls")))
		mesh_at_err(at, "without hosts only http may be set");
	mesh_at_each(at, spec, "http", http_route, &rc);
	mesh_at_each(at, spec, "tcp", tcp_route, &rc);
	mesh_at_each(at, spec, "tls", tls_route, &rc);
	mesh_at_export_to(at, spec, false, false);
}

MESH_CHECK(virtual_service)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, spec_of);
}
