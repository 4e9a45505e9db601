/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ServiceEntry, WorkloadEntry, WorkloadGroup and Sidecar, as Istio's webhook sees them.
 */
#include "config/at.h"
#include "config/at_istio.h"
#include "config/check.h"
#include "config/names.h"

#include <strings.h>

/* ---- ServiceEntry ---- */

struct entry {
	const json_t *spec;
	const char *resolution;
	bool wildcard, cidr, https_or_tls;
};

static void entry_host(struct mesh_at *at, const json_t *v, void *arg)
{
	struct entry *e = arg;
	const char *s = json_string_value(v) ? json_string_value(v) : "", *why;

	if (mesh_is(s, "*"))
		mesh_at_err(at, "\"*\" alone is not allowed as hostname");
	else if (!mesh_text_is_wildcard_host(s, &why))
		mesh_at_err(at, "host \"%.80s\" %s", s, why);
	else if (s[0] == '*' && s[1] != '.')
		mesh_at_warn(at, "\"%s\": a wildcard that is only a part of a label is used for TLS server names alone",
			     s);
	e->wildcard |= s[0] == '*';
}

static void entry_address(struct mesh_at *at, const json_t *v, void *arg)
{
	struct entry *e = arg;
	const char *s = json_string_value(v) ? json_string_value(v) : "";

	e->cidr |= strchr(s, '/') != NULL;
	if (!mesh_text_is_subnet(s))
		mesh_at_err(at, "\"%s\" is neither an address nor a subnet", s);
	else if (mesh_is(e->resolution, "DYNAMIC_DNS"))
		mesh_at_err(at, "no addresses are allowed with resolution DYNAMIC_DNS");
}

static bool is_static(const struct entry *e)
{
	return mesh_is(e->resolution, "STATIC") || mesh_is(e->resolution, "NONE");
}

static void entry_port(struct mesh_at *at, const json_t *v, void *arg)
{
	struct entry *e = arg;
	const json_t *ports = json_object_get(e->spec, "ports"), *other;
	const char *protocol = mesh_text(v, "protocol");

	mesh_at_named_port(at, v, true, true);
	if (mesh_number(v, "targetPort") < 0 || mesh_number(v, "targetPort") > 65535)
		mesh_at_err_key(at, "targetPort", "%" JSON_INTEGER_FORMAT " is out of range 1..65535",
				mesh_number(v, "targetPort"));
	if (mesh_has(v, "targetPort") && (is_static(e) && !mesh_is(e->resolution, "STATIC")) &&
	    mesh_number(v, "targetPort"))
		mesh_at_warn_key(at, "targetPort", "has no effect with resolution NONE");
	e->https_or_tls |= strcasecmp(protocol, "HTTPS") == 0 || strcasecmp(protocol, "TLS") == 0;
	if (mesh_is(e->resolution, "DYNAMIC_DNS") && strncasecmp(protocol, "HTTP", 4) != 0 &&
	    strncasecmp(protocol, "TLS", 3) != 0 && strncasecmp(protocol, "GRPC", 4) != 0)
		mesh_at_err_key(at, "protocol", "\"%s\" is not allowed with resolution DYNAMIC_DNS", protocol);
	for (size_t i = 0; (other = json_array_get(ports, i)) && other != v; i++) {
		if (mesh_is(mesh_text(other, "name"), mesh_text(v, "name")))
			mesh_at_err_key(at, "name", "Duplicate value: \"%s\"", mesh_text(v, "name"));
		if (mesh_number(other, "number") == mesh_number(v, "number"))
			mesh_at_err_key(at, "number", "port number cannot be duplicated");
	}
}

static void endpoint_port(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	const json_t *ports = json_object_get(arg, "ports");
	bool known = !arg;

	for (size_t i = 0; i < json_array_size(ports); i++)
		known |= mesh_is(mesh_text(json_array_get(ports, i), "name"), name);
	if (!known)
		mesh_at_err(at, "port \"%s\" is not one of the service's", name);
	if (!mesh_name_is_label(mesh_slice_str(name)))
		mesh_at_err(at, "\"%s\" is not the name of a port", name);
	mesh_at_port(at, json_integer_value(v));
}

/* "unix:///path" or "unix://@name". */
static void unix_address(struct mesh_at *at, const json_t *v, const char *path)
{
	size_t len = strlen(path);

	if (*path != '/' && *path != '@')
		mesh_at_err_key(at, "address", "UDS must be an absolute path or abstract socket");
	if (len && path[len - 1] == '/')
		mesh_at_err_key(at, "address", "UDS may not be a dir");
	if (json_object_size(json_object_get(v, "ports")))
		mesh_at_err_key(at, "ports", "UDS may not include ports");
}

static void entry_endpoint(struct mesh_at *at, const json_t *v, void *arg)
{
	struct entry *e = arg;
	const char *s = mesh_text(v, "address"), *why;

	if (strncmp(s, "unix://", 7) == 0) {
		unix_address(at, v, s + 7);
		if (!mesh_is(e->resolution, "STATIC"))
			mesh_at_err_key(at, "address", "a Unix socket needs resolution STATIC");
		if (json_array_size(json_object_get(e->spec, "ports")) > 1)
			mesh_at_err_key(at, "address", "a Unix socket serves only one port");
	} else if (mesh_is(e->resolution, "STATIC")) {
		if (!mesh_text_is_ip(s) && !(!*s && *mesh_text(v, "network")))
			mesh_at_err_key(at, "address", "\"%s\" is not an address: resolution is STATIC", s);
	} else if (!mesh_text_is_ip(s) && !mesh_text_is_fqdn(s, &why) && !(!*s && *mesh_text(v, "network"))) {
		mesh_at_err_key(at, "address", "host \"%.80s\" %s", s, why);
	}
	mesh_at_members(at, v, "ports", endpoint_port, (void *)e->spec);
	mesh_at_selector(at, v, "", "labels");
}

static void resolution(struct mesh_at *at, const struct entry *e)
{
	size_t endpoints = json_array_size(json_object_get(e->spec, "endpoints"));
	bool selects = mesh_has(e->spec, "workloadSelector"), dynamic = mesh_is(e->resolution, "DYNAMIC_DNS");

	if (selects && endpoints)
		mesh_at_err(at, "only one of WorkloadSelector or Endpoints can be set");
	if (mesh_is(e->resolution, "NONE") && endpoints)
		mesh_at_err_key(at, "endpoints", "NONE mode cannot set endpoints");
	if (mesh_is(e->resolution, "NONE") && selects)
		mesh_at_warn_key(at, "workloadSelector", "has no effect with resolution NONE");
	if (mesh_is(e->resolution, "STATIC") && !endpoints && !selects)
		mesh_at_warn_key(at, "endpoints",
				 "resolution is STATIC, but nothing is listed: nothing can be reached");
	if (mesh_is(e->resolution, "DNS_ROUND_ROBIN") && endpoints > 1)
		mesh_at_err_key(at, "endpoints", "DNS_ROUND_ROBIN mode cannot have multiple endpoints");
	if (dynamic && endpoints)
		mesh_at_err_key(at, "endpoints", "no endpoints are allowed with resolution DYNAMIC_DNS");
	if (strncmp(e->resolution, "DNS", 3) == 0 && !endpoints && !selects && e->wildcard)
		mesh_at_err_key(at, "hosts", "a wildcard cannot be looked up: name the endpoints");
	if (e->cidr && !is_static(e))
		mesh_at_err_key(at, "addresses", "CIDR addresses are allowed only for NONE/STATIC resolution types");
}

static void service_entry(struct mesh_at *at, const json_t *spec, void *arg)
{
	struct entry e = {.spec = spec, .resolution = mesh_text(spec, "resolution")};
	size_t hosts;

	(void)arg;
	if (!*e.resolution)
		e.resolution = "NONE";
	hosts = mesh_at_each(at, spec, "hosts", entry_host, &e);
	if (!hosts)
		mesh_at_err_key(at, "hosts", "Required value");
	mesh_at_each(at, spec, "addresses", entry_address, &e);
	mesh_at_each(at, spec, "ports", entry_port, &e);
	mesh_at_each(at, spec, "endpoints", entry_endpoint, &e);
	mesh_at_selector(at, spec, "workloadSelector", "labels");
	resolution(at, &e);
	if (hosts > 1 && json_array_size(json_object_get(spec, "addresses")) && e.https_or_tls)
		mesh_at_warn_key(at, "hosts", "several hosts share addresses: TLS cannot tell them apart by address");
	mesh_at_export_to(at, spec, true, false);
}

MESH_CHECK(service_entry)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, service_entry);
}

/* ---- WorkloadEntry, WorkloadGroup ---- */

static void workload_label(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	(void)arg;
	if (!mesh_name_is_label_key(mesh_slice_str(name)))
		mesh_at_err(at, "\"%s\" cannot be the key of a label", name);
	if (json_is_string(v) && !mesh_name_is_label_value(mesh_slice_str(json_string_value(v))))
		mesh_at_err(at, "\"%s\" cannot be the value of a label", json_string_value(v));
}

static void workload_port(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	(void)arg;
	if (!mesh_name_is_label(mesh_slice_str(name)) && strspn(name, "0123456789") != strlen(name))
		mesh_at_err(at, "\"%s\" is not the name of a port", name);
	mesh_at_port(at, json_integer_value(v));
}

static void workload(struct mesh_at *at, const json_t *spec, void *arg)
{
	const bool *is_template = arg;
	const char *s = mesh_text(spec, "address"), *why;

	if (strncmp(s, "unix://", 7) == 0)
		unix_address(at, spec, s + 7);
	else if (!*s && !*mesh_text(spec, "network") && !*is_template)
		mesh_at_err_key(at, "address", "Address is required");
	else if (*s && !mesh_text_is_ip(s) && !mesh_text_is_fqdn(s, &why))
		mesh_at_err_key(at, "address", "host \"%.80s\" %s", s, why);
	mesh_at_members(at, spec, "labels", workload_label, NULL);
	mesh_at_members(at, spec, "ports", workload_port, NULL);
}

static void workload_entry(struct mesh_at *at, const json_t *spec, void *arg)
{
	bool is_template = false;

	(void)arg;
	workload(at, spec, &is_template);
}

MESH_CHECK(workload_entry)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, workload_entry);
}

static void probe_port(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (mesh_number(v, "port") < 1 || mesh_number(v, "port") > 65535)
		mesh_at_err_key(at, "port", "%" JSON_INTEGER_FORMAT " is out of range 1..65535",
				mesh_number(v, "port"));
}

static void probe(struct mesh_at *at, const json_t *v, void *arg)
{
	int methods = mesh_at_in(at, v, "httpGet", probe_port, NULL) +
		      mesh_at_in(at, v, "tcpSocket", probe_port, NULL) + mesh_at_in(at, v, "grpc", probe_port, NULL) +
		      mesh_has(v, "exec");

	(void)arg;
	if (!methods)
		mesh_at_err(at, "one of httpGet, tcpSocket, exec, grpc must be set");
	if (mesh_has(v, "exec") && json_array_size(json_object_get(json_object_get(v, "exec"), "command")) == 0)
		mesh_at_err_key(at, "exec.command", "Required value");
}

static void group_metadata(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	mesh_at_members(at, v, "labels", workload_label, NULL);
}

static void workload_group(struct mesh_at *at, const json_t *spec, void *arg)
{
	bool is_template = true;

	(void)arg;
	if (!mesh_at_in(at, spec, "template", workload, &is_template))
		mesh_at_err_key(at, "template", "Required value");
	mesh_at_in(at, spec, "metadata", group_metadata, NULL);
	mesh_at_in(at, spec, "probe", probe, NULL);
}

MESH_CHECK(workload_group)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, workload_group);
}
