/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AuthorizationPolicy, PeerAuthentication and RequestAuthentication, as Istio's webhook sees them.
 */
#include "config/at.h"
#include "config/check.h"

#include <ctype.h>

/* ---- AuthorizationPolicy ---- */

static void not_empty(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!json_string_value(v) || !*json_string_value(v))
		mesh_at_err(at, "is empty");
}

static void address(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!json_string_value(v) || !mesh_text_is_subnet(json_string_value(v)))
		mesh_at_err(at, "\"%s\" is neither an address nor a subnet",
			    json_string_value(v) ? json_string_value(v) : "");
}

static void port(struct mesh_at *at, const json_t *v, void *arg)
{
	uint64_t n;

	(void)arg;
	if (mesh_slice_to_u64(mesh_slice_str(json_string_value(v)), 65535, &n) < 0 || n == 0 || !json_string_length(v))
		mesh_at_err(at, "\"%s\" is not a port", json_string_value(v) ? json_string_value(v) : "");
}

static void source(struct mesh_at *at, const json_t *v, void *arg)
{
	static const char *const texts[] = {"principals", "notPrincipals", "requestPrincipals", "notRequestPrincipals",
					    "namespaces", "notNamespaces", "serviceAccounts",   "notServiceAccounts"};
	static const char *const blocks[] = {"ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks"};
	bool accounts = mesh_has(v, "serviceAccounts") || mesh_has(v, "notServiceAccounts");
	size_t any = 0;

	(void)arg;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(texts); i++)
		any += mesh_at_each(at, v, texts[i], not_empty, NULL);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(blocks); i++)
		any += mesh_at_each(at, v, blocks[i], address, NULL);
	if (!any)
		mesh_at_err(at, "says nothing: an empty source matches nothing that could be meant");
	if (accounts && (mesh_has(v, "principals") || mesh_has(v, "notPrincipals") || mesh_has(v, "namespaces") ||
			 mesh_has(v, "notNamespaces")))
		mesh_at_err(at, "Cannot set serviceAccounts with namespaces or principals");
}

static void from(struct mesh_at *at, const json_t *v, void *arg)
{
	if (!mesh_at_in(at, v, "source", source, arg))
		mesh_at_err_key(at, "source", "Required value");
}

/* "/a/{*}/b/{**}": a template stands alone in its part, and none follows the long one. */
static bool path_template_is_good(const char *s)
{
	struct mesh_slice rest = mesh_slice_str(s), part;
	bool templated = strstr(s, "{*}") || strstr(s, "{**}"), last = false;

	if (!templated)
		return true;
	while (mesh_slice_split(&rest, '/', &part)) {
		bool one = mesh_slice_eq(part, MESH_SLICE("{*}")), many = mesh_slice_eq(part, MESH_SLICE("{**}"));

		if (last && (one || many))
			return false;
		last |= many;
		if (!one && !many &&
		    (mesh_slice_find(part, '{') >= 0 || mesh_slice_find(part, '}') >= 0 ||
		     mesh_slice_find(part, '*') >= 0))
			return false;
	}
	return true;
}

static void path(struct mesh_at *at, const json_t *v, void *arg)
{
	not_empty(at, v, arg);
	if (json_is_string(v) && !path_template_is_good(json_string_value(v)))
		mesh_at_err(at, "\"%s\" is not a path template", json_string_value(v));
}

static void operation(struct mesh_at *at, const json_t *v, void *arg)
{
	static const char *const texts[] = {"hosts", "notHosts", "methods", "notMethods"};
	static const char *const paths[] = {"paths", "notPaths"};
	static const char *const ports[] = {"ports", "notPorts"};
	size_t any = 0;

	(void)arg;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(texts); i++)
		any += mesh_at_each(at, v, texts[i], not_empty, NULL);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(paths); i++)
		any += mesh_at_each(at, v, paths[i], path, NULL);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(ports); i++)
		any += mesh_at_each(at, v, ports[i], port, NULL);
	if (!any)
		mesh_at_err(at, "says nothing: an empty operation matches nothing that could be meant");
}

static void to(struct mesh_at *at, const json_t *v, void *arg)
{
	if (!mesh_at_in(at, v, "operation", operation, arg))
		mesh_at_err_key(at, "operation", "Required value");
}

static bool is_condition_key(const char *key)
{
	static const char *const keys[] = {"source.ip",
					   "remote.ip",
					   "source.namespace",
					   "source.principal",
					   "source.trustDomain",
					   "source.serviceAccount",
					   "request.auth.principal",
					   "request.auth.audiences",
					   "request.auth.presenter",
					   "destination.ip",
					   "destination.port",
					   "connection.sni"};
	static const char *const maps[] = {"request.headers[", "request.auth.claims[", "experimental."};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(keys); i++)
		if (mesh_is(key, keys[i]))
			return true;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(maps); i++) {
		size_t n = strlen(maps[i]), len = strlen(key);

		if (strncmp(key, maps[i], n) == 0 && (maps[i][n - 1] != '[' || (len > n + 1 && key[len - 1] == ']')))
			return true;
	}
	return false;
}

static void when(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *key = mesh_text(v, "key");
	bool is_ip = mesh_is(key, "source.ip") || mesh_is(key, "remote.ip") || mesh_is(key, "destination.ip");
	mesh_at_fn *fn = is_ip ? address : mesh_is(key, "destination.port") ? port : not_empty;

	(void)arg;
	if (!*key)
		mesh_at_err_key(at, "key", "Required value");
	else if (!is_condition_key(key))
		mesh_at_err_key(at, "key", "\"%s\" is not an attribute", key);
	if (mesh_at_each(at, v, "values", fn, NULL) + mesh_at_each(at, v, "notValues", fn, NULL) == 0)
		mesh_at_err(at, "one of values, notValues must be set");
}

static bool any_set(const json_t *v, const char *const *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (json_array_size(json_object_get(v, keys[i])))
			return true;
	return false;
}

/* DENY of what only HTTP has also denies all TCP. */
static bool needs_http(const json_t *rule)
{
	static const char *const in_source[] = {"requestPrincipals", "notRequestPrincipals", "remoteIpBlocks",
						"notRemoteIpBlocks"};
	static const char *const in_operation[] = {"hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"};
	size_t i;
	json_t *v;

	json_array_foreach(json_object_get(rule, "from"), i, v) if (any_set(json_object_get(v, "source"), in_source,
									    MESH_ARRAY_SIZE(in_source))) return true;
	json_array_foreach(json_object_get(rule, "to"), i, v) if (any_set(json_object_get(v, "operation"), in_operation,
									  MESH_ARRAY_SIZE(in_operation))) return true;
	return false;
}

static bool has_ports(const json_t *rule)
{
	static const char *const ports[] = {"ports", "notPorts"};
	size_t i;
	json_t *v;

	json_array_foreach(json_object_get(rule, "to"), i,
			   v) if (any_set(json_object_get(v, "operation"), ports, MESH_ARRAY_SIZE(ports))) return true;
	return false;
}

static void custom_source(struct mesh_at *at, const json_t *v, void *arg)
{
	static const char *const none[] = {"namespaces",      "notNamespaces",     "principals",
					   "notPrincipals",   "requestPrincipals", "notRequestPrincipals",
					   "serviceAccounts", "notServiceAccounts"};

	(void)arg;
	if (any_set(json_object_get(v, "source"), none, MESH_ARRAY_SIZE(none)))
		mesh_at_err_key(at, "source", "only addresses are allowed with action CUSTOM");
}

static void rule(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *action = arg;

	if (!json_is_object(v))
		return;
	if (mesh_has(v, "from") && mesh_at_each(at, v, "from", from, NULL) == 0)
		mesh_at_err_key(at, "from", "is empty");
	if (mesh_has(v, "to") && mesh_at_each(at, v, "to", to, NULL) == 0)
		mesh_at_err_key(at, "to", "is empty");
	mesh_at_each(at, v, "when", when, NULL);
	if (mesh_is(action, "CUSTOM"))
		mesh_at_each(at, v, "from", custom_source, NULL);
	if (mesh_is(action, "DENY") && needs_http(v) && !has_ports(v))
		mesh_at_warn(at, "denies all that is not HTTP as well: name the ports");
}

static void dry_run(struct mesh_at *at, bool allowed, const char *what)
{
	const json_t *annotations = json_object_get(json_object_get(at->object, "metadata"), "annotations");
	const char *s = mesh_text(annotations, "istio.io/dry-run");

	if (!*s)
		return;
	if (!allowed)
		mesh_at_err(at, "annotation istio.io/dry-run is not supported %s", what);
	else if (!mesh_is(s, "true") && !mesh_is(s, "false") && !mesh_is(s, "1") && !mesh_is(s, "0"))
		mesh_at_err(at, "annotation istio.io/dry-run is \"%s\", neither true nor false", s);
}

static void authorization(struct mesh_at *at, const json_t *spec, void *arg)
{
	const char *action = mesh_text(spec, "action");
	bool custom = mesh_is(action, "CUSTOM"), provider = *mesh_text(json_object_get(spec, "provider"), "name") != 0;

	(void)arg;
	mesh_at_selector(at, spec, "selector", "matchLabels");
	mesh_at_targets(at, spec, "selector", true);
	dry_run(at, !custom && !mesh_is(action, "AUDIT"), "with this action");
	if (custom && !provider)
		mesh_at_err_key(at, "provider.name", "Required value: action CUSTOM needs it");
	if (!custom && mesh_has(spec, "provider"))
		mesh_at_err_key(at, "provider", "is only for action CUSTOM");
	if (mesh_is(action, "DENY") && !mesh_has(spec, "rules"))
		mesh_at_err_key(at, "rules", "Required value: action DENY without rules does nothing");
	mesh_at_each(at, spec, "rules", rule, (void *)action);
}

MESH_CHECK(authorization_policy)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, authorization);
}

/* ---- PeerAuthentication ---- */

static void port_mtls(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	uint64_t n;

	(void)v;
	(void)arg;
	if (mesh_slice_to_u64(mesh_slice_str(name), 65535, &n) < 0 || n == 0 || !*name)
		mesh_at_err(at, "\"%s\": port must be between 1-65535", name);
}

static void peer(struct mesh_at *at, const json_t *spec, void *arg)
{
	const json_t *selector = json_object_get(spec, "selector");

	(void)arg;
	mesh_at_selector(at, spec, "selector", "matchLabels");
	if (mesh_has(spec, "portLevelMtls") && mesh_at_members(at, spec, "portLevelMtls", port_mtls, NULL) == 0)
		mesh_at_err_key(at, "portLevelMtls", "is empty");
	if (mesh_has(spec, "portLevelMtls") && json_object_size(json_object_get(selector, "matchLabels")) == 0)
		mesh_at_err_key(at, "portLevelMtls", "portLevelMtls requires selector");
}

MESH_CHECK(peer_authentication)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, peer);
}

/* ---- RequestAuthentication ---- */

static bool is_url(const char *s)
{
	size_t n = strncmp(s, "http://", 7) == 0 ? 7 : strncmp(s, "https://", 8) == 0 ? 8 : 0, host;
	const char *colon;
	uint64_t port_number;

	if (!n || !s[n])
		return false;
	host = strcspn(s + n, "/?#");
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == '\\')
			return false;
	colon = memrchr(s + n, ':', host);
	if (!colon || memchr(colon, ']', (size_t)(s + n + host - colon)))
		return true;
	return mesh_slice_to_u64(mesh_slice_of(colon + 1, (size_t)(s + n + host - colon - 1)), 65535, &port_number) ==
	       0;
}

static void location(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!*mesh_text(v, "name"))
		mesh_at_err_key(at, "name", "Required value");
}

static void claim(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *header = mesh_text(v, "header");

	(void)arg;
	if (!json_is_object(v)) {
		mesh_at_err(at, "null is not a claim");
		return;
	}
	if (!*header)
		mesh_at_err_key(at, "header", "Required value");
	for (const char *p = header; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_') {
			mesh_at_err_key(at, "header", "\"%s\" is not the name of a header field", header);
			break;
		}
	if (!*mesh_text(v, "claim"))
		mesh_at_err_key(at, "claim", "Required value");
}

static void jwks(struct mesh_at *at, const char *text)
{
	static const char *const secret[] = {"d", "p", "q", "dp", "dq", "qi", "k"};
	json_t *set = json_loads(text, 0, NULL);
	const json_t *keys = json_object_get(set, "keys"), *key;

	if (!json_is_array(keys))
		mesh_at_err_key(at, "jwks", "is not a set of keys (JSON with \"keys\")");
	for (size_t i = 0; (key = json_array_get(keys, i)); i++)
		for (size_t j = 0; j < MESH_ARRAY_SIZE(secret); j++)
			if (mesh_has(key, secret[j])) {
				mesh_at_warn_key(at, "jwks", "has private keys: only public ones belong here");
				json_decref(set);
				return;
			}
	json_decref(set);
}

static void jwt_rule(struct mesh_at *at, const json_t *v, void *arg)
{
	static const char *const texts[] = {"audiences", "fromParams", "fromCookies", "spaceDelimitedClaims"};
	const char *uri = *mesh_text(v, "jwksUri") ? mesh_text(v, "jwksUri") : mesh_text(v, "jwks_uri");

	(void)arg;
	if (!json_is_object(v))
		return;
	if (!*mesh_text(v, "issuer") && !*uri && !*mesh_text(v, "jwks"))
		mesh_at_err_key(at, "issuer", "Required value");
	for (size_t i = 0; i < MESH_ARRAY_SIZE(texts); i++)
		mesh_at_each(at, v, texts[i], not_empty, NULL);
	if (*uri && !is_url(uri))
		mesh_at_err_key(at, "jwksUri", "\"%s\": url must have scheme http:// or https://", uri);
	if (*uri && *mesh_text(v, "jwks"))
		mesh_at_err(at, "only one of jwks or jwksUri can be set");
	if (*mesh_text(v, "jwks"))
		jwks(at, mesh_text(v, "jwks"));
	mesh_at_each(at, v, "fromHeaders", location, NULL);
	mesh_at_each(at, v, "outputClaimToHeaders", claim, NULL);
	mesh_at_duration(at, v, "timeout");
}

static void request(struct mesh_at *at, const json_t *spec, void *arg)
{
	(void)arg;
	dry_run(at, false, "by RequestAuthentication");
	mesh_at_selector(at, spec, "selector", "matchLabels");
	mesh_at_targets(at, spec, "selector", true);
	mesh_at_each(at, spec, "jwtRules", jwt_rule, NULL);
}

MESH_CHECK(request_authentication)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, request);
}
