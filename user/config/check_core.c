/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services, endpoints, configuration, roles and definitions, by Kubernetes' rules and in its words.
 */
#include "config/at.h"
#include "config/check.h"
#include "config/columns.h"
#include "config/names.h"

#include <ctype.h>

#define PORT_RANGE "must be between 1 and 65535, inclusive"

/* ---- Service ---- */

static void target_port(struct mesh_at *at, const json_t *v)
{
	/* Where there is none it is the port. */
	const json_t *t = json_object_get(v, mesh_has(v, "targetPort") ? "targetPort" : "port");
	const char *s = json_string_value(t);

	if (json_is_integer(t) && (json_integer_value(t) < 1 || json_integer_value(t) > 65535))
		mesh_at_err_key(at, "targetPort", "Invalid value: %" JSON_INTEGER_FORMAT ": " PORT_RANGE,
				json_integer_value(t));
	else if (s && strlen(s) > 15)
		mesh_at_err_key(at, "targetPort", "Invalid value: \"%s\": must be no more than 15 characters", s);
	else if (s && s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-")])
		mesh_at_err_key(
			at, "targetPort",
			"Invalid value: \"%s\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
			s);
}

static void service_port(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *ports = arg, *other;
	const char *name = mesh_text(v, "name"), *protocol = mesh_text(v, "protocol");
	json_int_t port = mesh_number(v, "port"), node = mesh_number(v, "nodePort");

	if (!*name && json_array_size(ports) > 1)
		mesh_at_err_key(at, "name", "Required value");
	else if (*name && !mesh_name_is_label(mesh_slice_str(name)))
		mesh_at_err_key(at, "name", "Invalid value: \"%s\": %s", name, mesh_name_label_rule());
	for (size_t i = 0; (other = json_array_get(ports, i)) && other != v; i++)
		if (*name && mesh_is(mesh_text(other, "name"), name)) {
			mesh_at_err_key(at, "name", "Duplicate value: \"%s\"", name);
			break;
		}
	if (port < 1 || port > 65535)
		mesh_at_err_key(at, "port", "Invalid value: %" JSON_INTEGER_FORMAT ": " PORT_RANGE, port);
	target_port(at, v);
	if (node < 0 || node > 65535)
		mesh_at_err_key(at, "nodePort", "Invalid value: %" JSON_INTEGER_FORMAT ": " PORT_RANGE, node);
	for (size_t i = 0; (other = json_array_get(ports, i)) && other != v; i++)
		if (mesh_number(other, "port") == port && mesh_is(mesh_text(other, "protocol"), protocol)) {
			mesh_at_err(at, "Duplicate value: {\"protocol\":\"%s\",\"port\":%" JSON_INTEGER_FORMAT "}",
				    protocol, port);
			break;
		}
}

static void service(struct mesh_at *at, const json_t *spec, void *arg)
{
	const char *type = mesh_text(spec, "type");
	bool headless = mesh_is(mesh_text(spec, "clusterIP"), "None"), external = mesh_is(type, "ExternalName");
	size_t ports = json_array_size(json_object_get(spec, "ports"));

	(void)arg;
	if (!ports && !headless && !external)
		mesh_at_err_key(at, "ports", "Required value");
	if (external && !*mesh_text(spec, "externalName"))
		mesh_at_err_key(at, "externalName", "Required value");
	if (headless && mesh_is(type, "LoadBalancer"))
		mesh_at_err_key(at, "clusterIPs[0]",
				"Invalid value: \"None\": may not be set to 'None' for LoadBalancer services");
	mesh_at_each(at, spec, "ports", service_port, json_object_get(spec, "ports"));
	mesh_check_labels(json_object_get(spec, "selector"), "spec.selector", at->errs);
}

MESH_CHECK(service)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, service);
}

/* ---- EndpointSlice ---- */

struct slice {
	const char *type;
};

static void slice_address(struct mesh_at *at, const json_t *v, void *arg)
{
	const struct slice *s = arg;
	const char *text = json_string_value(v) ? json_string_value(v) : "";
	bool v6 = strchr(text, ':') != NULL;

	if (mesh_is(s->type, "FQDN"))
		return;
	if (!mesh_text_is_ip(text))
		mesh_at_err(at, "Invalid value: \"%s\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
			    text);
	else if (v6 != mesh_is(s->type, "IPv6"))
		mesh_at_err(at, "Invalid value: \"%s\": must be an %s address", text, s->type);
}

static void slice_endpoint(struct mesh_at *at, const json_t *v, void *arg)
{
	if (mesh_has(v, "addresses") && mesh_at_each(at, v, "addresses", slice_address, arg) > 100)
		mesh_at_err_key(at, "addresses", "Too many: must have at most 100 items");
}

static void slice_port(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *ports = arg, *other;

	for (size_t i = 0; (other = json_array_get(ports, i)) && other != v; i++)
		if (mesh_is(mesh_text(other, "name"), mesh_text(v, "name"))) {
			mesh_at_err_key(at, "name", "Duplicate value: \"%s\"", mesh_text(v, "name"));
			break;
		}
}

MESH_CHECK(endpoint_slice)
{
	struct mesh_at at = {.errs = errs, .warnings = warnings, .ns = "", .object = obj};
	struct slice s = {mesh_text(obj, "addressType")};

	(void)kind;
	(void)old;
	mesh_at_each(&at, obj, "ports", slice_port, json_object_get(obj, "ports"));
	mesh_at_each(&at, obj, "endpoints", slice_endpoint, &s);
	mesh_buf_free(&at.path);
}

/* ---- ConfigMap, Secret ---- */

static void check_keys(const json_t *obj, const char *field, struct mesh_errs *errs)
{
	const char *key;
	json_t *v;

	json_object_foreach(json_object_get(obj, field), key, v)
	{
		struct mesh_err *e;
		bool good = *key && strlen(key) <= 253 && !mesh_is(key, ".") && !mesh_is(key, "..");

		for (const char *p = key; *p; p++)
			good &= isalnum((unsigned char)*p) || strchr("-._", *p);
		if (good)
			continue;
		e = mesh_errs_add(errs,
				  "Invalid value: \"%s\": a valid config key must consist of alphanumeric characters, "
				  "'-', '_' or "
				  "'.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
				  "'[-._a-zA-Z0-9]+')",
				  key);
		e->path = mesh_xasprintf("%s[%s]", field, key);
	}
}

MESH_CHECK(config_map)
{
	(void)kind;
	(void)old;
	(void)warnings;
	check_keys(obj, "data", errs);
	check_keys(obj, "binaryData", errs);
}

/* ---- roles ---- */

static void rule(struct mesh_at *at, const json_t *v, void *arg)
{
	bool cluster = *(const bool *)arg, urls = json_array_size(json_object_get(v, "nonResourceURLs")) > 0;

	if (json_array_size(json_object_get(v, "verbs")) == 0)
		mesh_at_err_key(at, "verbs", "Required value: verbs must contain at least one value");
	if (urls && !cluster)
		mesh_at_err_key(at, "nonResourceURLs",
				"Invalid value: namespaced rules cannot apply to non-resource URLs");
	if (urls)
		return;
	if (json_array_size(json_object_get(v, "apiGroups")) == 0)
		mesh_at_err_key(at, "apiGroups", "Required value: resource rules must supply at least one api group");
	if (json_array_size(json_object_get(v, "resources")) == 0)
		mesh_at_err_key(at, "resources", "Required value: resource rules must supply at least one resource");
}

MESH_CHECK(role)
{
	struct mesh_at at = {.errs = errs, .warnings = warnings, .ns = "", .object = obj};
	bool cluster = !(kind->flags & MESH_KIND_NAMESPACED);

	(void)old;
	mesh_at_each(&at, obj, "rules", rule, &cluster);
	mesh_buf_free(&at.path);
}

static void role_ref(struct mesh_at *at, const json_t *v, void *arg)
{
	bool cluster = *(const bool *)arg;
	const char *k = mesh_text(v, "kind"), *group = mesh_text(v, "apiGroup");

	if (*group && !mesh_is(group, "rbac.authorization.k8s.io"))
		mesh_at_err_key(at, "apiGroup",
				"Unsupported value: \"%s\": supported values: \"rbac.authorization.k8s.io\"", group);
	if (*k && !mesh_is(k, "ClusterRole") && (cluster || !mesh_is(k, "Role")))
		mesh_at_err_key(at, "kind", "Unsupported value: \"%s\": supported values: %s\"ClusterRole\"", k,
				cluster ? "" : "\"Role\", ");
}

static void subject(struct mesh_at *at, const json_t *v, void *arg)
{
	bool cluster = *(const bool *)arg;
	const char *k = mesh_text(v, "kind");

	if (*k && !mesh_is(k, "ServiceAccount") && !mesh_is(k, "User") && !mesh_is(k, "Group"))
		mesh_at_err_key(at, "kind",
				"Unsupported value: \"%s\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
				k);
	if (mesh_is(k, "ServiceAccount") && cluster && !*mesh_text(v, "namespace"))
		mesh_at_err_key(at, "namespace", "Required value");
}

MESH_CHECK(role_binding)
{
	struct mesh_at at = {.errs = errs, .warnings = warnings, .ns = "", .object = obj};
	const json_t *now = json_object_get(obj, "roleRef"), *before = json_object_get(old, "roleRef");
	bool cluster = !(kind->flags & MESH_KIND_NAMESPACED);

	mesh_at_in(&at, obj, "roleRef", role_ref, &cluster);
	mesh_at_each(&at, obj, "subjects", subject, &cluster);
	if (before && now && !json_equal(before, now)) {
		mesh_auto_free char *text = json_dumps(now, JSON_COMPACT | JSON_SORT_KEYS);

		mesh_at_err_key(&at, "roleRef", "Invalid value: %s: cannot change roleRef", text ? text : "");
	}
	mesh_buf_free(&at.path);
}

/* ---- the rest ---- */

static void lease(struct mesh_at *at, const json_t *spec, void *arg)
{
	(void)arg;
	if (mesh_has(spec, "leaseDurationSeconds") && mesh_number(spec, "leaseDurationSeconds") <= 0)
		mesh_at_err_key(at, "leaseDurationSeconds",
				"Invalid value: %" JSON_INTEGER_FORMAT ": must be greater than 0",
				mesh_number(spec, "leaseDurationSeconds"));
}

MESH_CHECK(lease)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, lease);
}

static void definition(struct mesh_at *at, const json_t *spec, void *arg)
{
	const char *plural = mesh_text(json_object_get(spec, "names"), "plural"), *group = mesh_text(spec, "group");
	const char *name = mesh_text(json_object_get(at->object, "metadata"), "name");
	mesh_auto_free char *want = mesh_xasprintf("%s.%s", plural, group);
	size_t stored = 0;
	size_t i;
	json_t *v;

	(void)arg;
	if (!mesh_is(name, want)) {
		struct mesh_err *e = mesh_errs_add(
			at->errs, "Invalid value: \"%s\": must be spec.names.plural+\".\"+spec.group", name);

		e->path = mesh_xstrdup("metadata.name");
	}
	json_array_foreach(json_object_get(spec, "versions"), i, v) stored +=
		json_is_true(json_object_get(v, "storage"));
	if (stored != 1 && json_array_size(json_object_get(spec, "versions")))
		mesh_at_err_key(at, "versions",
				"Invalid value: must have exactly one version marked as storage version");
}

MESH_CHECK(crd)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, definition);
}
