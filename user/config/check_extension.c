/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telemetry, WasmPlugin, TrafficExtension, ProxyConfig and EnvoyFilter, as Istio's webhook sees them.
 */
#include "config/at.h"
#include "config/check.h"

#include <ctype.h>

/* ---- Telemetry ---- */

static void tag_override(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	bool removes = mesh_is(mesh_text(v, "operation"), "REMOVE");

	(void)name;
	(void)arg;
	if (removes && *mesh_text(v, "value"))
		mesh_at_err_key(at, "value", "value must not be set when operation is REMOVE");
	else if (!removes && !*mesh_text(v, "value"))
		mesh_at_err_key(at, "value", "value must be set when operation is UPSERT");
}

static void override(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *match = json_object_get(v, "match");

	(void)arg;
	if (mesh_has(match, "customMetric") && !*mesh_text(match, "customMetric"))
		mesh_at_err_key(at, "match.customMetric", "is empty");
	mesh_at_members(at, v, "tagOverrides", tag_override, NULL);
}

static void metrics(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	mesh_at_each(at, v, "overrides", override, NULL);
	mesh_at_duration(at, v, "reportingInterval");
}

static void custom_tag(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	static const char *const in[] = {"literal", "value", "environment", "name", "header", "name"};

	(void)arg;
	if (!*name)
		mesh_at_err(at, "the name of the tag is empty");
	for (size_t i = 0; i < MESH_ARRAY_SIZE(in); i += 2)
		if (mesh_has(v, in[i]) && !*mesh_text(json_object_get(v, in[i]), in[i + 1]))
			mesh_at_err_key(at, in[i], "%s must be set", in[i + 1]);
}

static void tracing(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	mesh_at_members(at, v, "customTags", custom_tag, NULL);
	mesh_at_in(at, v, "randomSamplingPercentage", mesh_at_percent, NULL);
	if (json_array_size(json_object_get(v, "providers")) > 1)
		mesh_at_err_key(at, "providers", "at most one is allowed");
}

/* Brackets and quotes of an expression must pair up, and it must not begin with what needs something before. */
static bool expression_is_plausible(const char *s)
{
	char open[64];
	size_t depth = 0;
	bool any = false;

	for (; *s; s++) {
		if (*s == '"' || *s == '\'') {
			const char quote = *s;

			for (s++; *s && *s != quote; s++)
				if (*s == '\\' && s[1])
					s++;
			if (!*s)
				return false;
			any = true;
		} else if (strchr("([{", *s)) {
			if (depth == sizeof(open))
				return false;
			open[depth++] = *s == '(' ? ')' : *s == '[' ? ']' : '}';
		} else if (strchr(")]}", *s)) {
			if (!depth || open[--depth] != *s)
				return false;
		} else if (isalnum((unsigned char)*s)) {
			any = true;
		}
	}
	return any && !depth;
}

static void log_filter(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *s = mesh_text(v, "expression");

	(void)arg;
	if (*s && !expression_is_plausible(s))
		mesh_at_err_key(at, "expression", "\"%s\" is not an expression", s);
}

static void access_log(struct mesh_at *at, const json_t *v, void *arg)
{
	mesh_at_in(at, v, "filter", log_filter, arg);
}

static void telemetry(struct mesh_at *at, const json_t *spec, void *arg)
{
	(void)arg;
	mesh_at_selector(at, spec, "selector", "matchLabels");
	mesh_at_targets(at, spec, "selector", true);
	mesh_at_each(at, spec, "metrics", metrics, NULL);
	if (mesh_at_each(at, spec, "tracing", tracing, NULL) > 1)
		mesh_at_warn_key(at, "tracing", "multiple tracing is not supported: only the first counts");
	mesh_at_each(at, spec, "accessLogging", access_log, NULL);
}

MESH_CHECK(telemetry)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, telemetry);
}

/* ---- WasmPlugin, TrafficExtension ---- */

static void plugin_url(struct mesh_at *at, const char *url)
{
	static const char *const schemes[] = {"http", "https", "oci", "file"};
	const char *colon = strstr(url, "://");

	for (const char *p = url; *p; p++)
		if ((unsigned char)*p <= ' ' ||
		    (*p == '%' && (!isxdigit((unsigned char)p[1]) || !isxdigit((unsigned char)p[2])))) {
			mesh_at_err_key(at, "url", "\"%s\" is not a URL", url);
			return;
		}
	if (!colon)
		return;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(schemes); i++)
		if (strlen(schemes[i]) == (size_t)(colon - url) && strncmp(url, schemes[i], (size_t)(colon - url)) == 0)
			return;
	mesh_at_err_key(at, "url", "\"%.*s\" is an unsupported scheme: http, https, oci or file is expected",
			(int)(colon - url), url);
}

static void environment(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *list = arg, *other;
	const char *name = mesh_text(v, "name");

	if (!*name)
		mesh_at_err_key(at, "name", "Required value");
	if (mesh_is(mesh_text(v, "valueFrom"), "HOST") && *mesh_text(v, "value"))
		mesh_at_err_key(at, "value", "value may only be set when valueFrom is INLINE");
	for (size_t i = 0; (other = json_array_get(list, i)) && other != v; i++)
		if (mesh_is(mesh_text(other, "name"), name))
			mesh_at_err_key(at, "name", "Duplicate value: \"%s\"", name);
}

static void machine(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	mesh_at_each(at, v, "env", environment, json_object_get(v, "env"));
}

static void plugin(struct mesh_at *at, const json_t *v)
{
	const char *sum = mesh_text(v, "sha256");

	if (!*mesh_text(v, "url"))
		mesh_at_err_key(at, "url", "Required value");
	else
		plugin_url(at, mesh_text(v, "url"));
	if (mesh_has(v, "sha256") && *sum && (strlen(sum) != 64 || strspn(sum, "0123456789abcdef") != 64))
		mesh_at_err_key(at, "sha256", "is not 64 hexadecimal digits");
	if (mesh_has(v, "imagePullSecret") && !*mesh_text(v, "imagePullSecret"))
		mesh_at_err_key(at, "imagePullSecret", "is empty");
	if (strlen(mesh_text(v, "pluginName")) > 256)
		mesh_at_err_key(at, "pluginName", "is longer than 256 characters");
	mesh_at_in(at, v, "vmConfig", machine, NULL);
}

static void match_port(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (mesh_number(v, "number") < 1 || mesh_number(v, "number") > 65535)
		mesh_at_err_key(at, "number", "%" JSON_INTEGER_FORMAT " is out of range 1..65535",
				mesh_number(v, "number"));
}

static void match(struct mesh_at *at, const json_t *v, void *arg)
{
	mesh_at_each(at, v, "ports", match_port, arg);
}

static void wasm(struct mesh_at *at, const json_t *spec, void *arg)
{
	(void)arg;
	mesh_at_selector(at, spec, "selector", "matchLabels");
	mesh_at_targets(at, spec, "selector", true);
	plugin(at, spec);
	mesh_at_each(at, spec, "match", match, NULL);
}

MESH_CHECK(wasm_plugin)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, wasm);
}

static void wasm_part(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	plugin(at, v);
}

static void lua_part(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!*mesh_text(v, "inlineCode"))
		mesh_at_err_key(at, "inlineCode", "Required value");
	else if (strlen(mesh_text(v, "inlineCode")) > 65536)
		mesh_at_err_key(at, "inlineCode", "is longer than 64 KiB");
}

static void extension(struct mesh_at *at, const json_t *spec, void *arg)
{
	(void)arg;
	mesh_at_selector(at, spec, "selector", "matchLabels");
	mesh_at_targets(at, spec, "selector", true);
	mesh_at_in(at, spec, "wasm", wasm_part, NULL);
	mesh_at_in(at, spec, "lua", lua_part, NULL);
	mesh_at_each(at, spec, "match", match, NULL);
}

MESH_CHECK(traffic_extension)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, extension);
}

/* ---- ProxyConfig, EnvoyFilter ---- */

static void proxy(struct mesh_at *at, const json_t *spec, void *arg)
{
	(void)arg;
	mesh_at_selector(at, spec, "selector", "matchLabels");
	if (mesh_number(spec, "concurrency") < 0)
		mesh_at_err_key(at, "concurrency", "concurrency must be greater than or equal to 0");
}

MESH_CHECK(proxy_config)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, proxy);
}

static void patch_match(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (mesh_is(mesh_text(v, "context"), "WAYPOINT") != mesh_has(v, "waypoint"))
		mesh_at_err(at, "only support waypointMatch when context is WAYPOINT");
}

static void config_patch(struct mesh_at *at, const json_t *v, void *arg)
{
	mesh_at_in(at, v, "match", patch_match, arg);
}

static void filter(struct mesh_at *at, const json_t *spec, void *arg)
{
	(void)arg;
	mesh_at_selector(at, spec, "workloadSelector", "labels");
	mesh_at_targets(at, spec, "workloadSelector", true);
	mesh_at_each(at, spec, "configPatches", config_patch, NULL);
}

MESH_CHECK(envoy_filter)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, filter);
}
