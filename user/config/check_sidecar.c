/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sidecar, as Istio's webhook sees it.
 */
#include "config/at.h"
#include "config/at_istio.h"
#include "config/check.h"
#include "config/names.h"
#include "core/addr.h"

#include <strings.h>

struct listeners {
	json_int_t ports[256];
	size_t port_count;
	const char *binds[256];
	size_t bind_count;
	bool catch_all; /* an egress listener without a port was seen */
	size_t catch_alls;
};

static void unique(struct mesh_at *at, struct listeners *l, const json_t *v)
{
	const char *bind = mesh_text(v, "bind");
	json_int_t port = mesh_number(json_object_get(v, "port"), "number");

	if (strncmp(bind, "unix://", 7) == 0) {
		for (size_t i = 0; i < l->bind_count; i++)
			if (mesh_is(l->binds[i], bind))
				mesh_at_err_key(at, "bind", "\"%s\" is there twice", bind);
		if (l->bind_count < MESH_ARRAY_SIZE(l->binds))
			l->binds[l->bind_count++] = bind;
		return;
	}
	for (size_t i = 0; port && i < l->port_count; i++)
		if (l->ports[i] == port)
			mesh_at_err_key(at, "port", "%" JSON_INTEGER_FORMAT " is there twice", port);
	if (port && l->port_count < MESH_ARRAY_SIZE(l->ports))
		l->ports[l->port_count++] = port;
}

static void listener_port(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *bind = arg;

	mesh_at_named_port(at, v, strncmp(bind, "unix://", 7) != 0, false);
	if (strncmp(bind, "unix://", 7) == 0 && mesh_number(v, "number"))
		mesh_at_err_key(at, "number", "must be 0 where bind is a Unix socket");
}

static void bind_address(struct mesh_at *at, const json_t *v)
{
	const char *bind = mesh_text(v, "bind");

	if (strncmp(bind, "unix://", 7) == 0) {
		if (mesh_is(mesh_text(v, "captureMode"), "IPTABLES"))
			mesh_at_err_key(at, "captureMode", "IPTABLES cannot capture a Unix socket");
	} else if (*bind && !mesh_text_is_ip(bind)) {
		mesh_at_err_key(at, "bind", "\"%s\" is not an address", bind);
	}
}

/* ---- ingress ---- */

static void default_endpoint(struct mesh_at *at, const json_t *v)
{
	const char *s = mesh_text(v, "defaultEndpoint");
	static const char *const local[] = {"127.0.0.1", "0.0.0.0", "::1", "::"};
	char text[MESH_ADDR_TEXT];
	struct mesh_addr a;

	if (!*s)
		return;
	if (strncmp(s, "unix://", 7) == 0) {
		if (s[7] != '@' && (s[7] != '/' || !s[8]))
			mesh_at_err_key(at, "defaultEndpoint", "\"%s\" names no socket", s);
		return;
	}
	if (mesh_addr_parse_port(mesh_slice_str(s), &a) < 0 || a.port == 0) {
		mesh_at_err_key(at, "defaultEndpoint", "\"%s\" is not ADDRESS:PORT", s);
		return;
	}
	mesh_addr_ip_text(&a, text);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(local); i++)
		if (mesh_is(text, local[i]))
			return;
	mesh_at_err_key(at, "defaultEndpoint", "\"%s\" is none of the workload's own addresses", s);
}

static void ingress_tls(struct mesh_at *at, const json_t *v, void *arg)
{
	static const char *const no_lists[] = {"subjectAltNames", "tlsCertificates", "credentialNames"};
	const char *mode = mesh_text(v, "mode"), *protocol = mesh_text(json_object_get(arg, "port"), "protocol");

	mesh_at_server_tls(at, v, NULL);
	if (!mesh_is(mode, "SIMPLE") && !mesh_is(mode, "MUTUAL") && !mesh_is(mode, "OPTIONAL_MUTUAL"))
		mesh_at_err_key(at, "mode", "\"%s\" is neither SIMPLE nor MUTUAL", mode);
	if (strcasecmp(protocol, "HTTPS") != 0 && strcasecmp(protocol, "TLS") != 0)
		mesh_at_err(at, "needs a port of protocol HTTPS or TLS");
	if (json_is_true(json_object_get(v, "httpsRedirect")))
		mesh_at_err_key(at, "httpsRedirect", "is not allowed in a Sidecar");
	if (*mesh_text(v, "credentialName"))
		mesh_at_err_key(at, "credentialName", "is not allowed in a Sidecar");
	for (size_t i = 0; i < MESH_ARRAY_SIZE(no_lists); i++)
		if (json_array_size(json_object_get(v, no_lists[i])))
			mesh_at_err_key(at, no_lists[i], "is not allowed in a Sidecar");
}

static void ingress(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *bind = mesh_text(v, "bind");

	if (!mesh_at_in(at, v, "port", listener_port, (void *)bind))
		mesh_at_err_key(at, "port", "Required value");
	if (strncmp(bind, "unix://", 7) == 0)
		mesh_at_err_key(at, "bind", "a Unix socket is not allowed for ingress");
	else
		bind_address(at, v);
	unique(at, arg, v);
	default_endpoint(at, v);
	mesh_at_in(at, v, "tls", ingress_tls, (void *)v);
	mesh_at_connection_pool(at, v, "connectionPool");
}

/* ---- egress ---- */

static void egress_host(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *s = json_string_value(v) ? json_string_value(v) : "", *slash = strchr(s, '/'), *why;
	const json_t *list = arg;
	struct mesh_slice ns;

	if (!slash) {
		mesh_at_err(at, "\"%s\" is not NAMESPACE/HOST", s);
		return;
	}
	ns = mesh_slice_of(s, (size_t)(slash - s));
	/* "~NAMESPACE" leaves one out again. */
	if (ns.len > 1 && ns.ptr[0] == '~')
		ns = mesh_slice_of(ns.ptr + 1, ns.len - 1);
	if (!mesh_slice_eq(ns, MESH_SLICE("*")) && !mesh_slice_eq(ns, MESH_SLICE(".")) &&
	    !mesh_slice_eq(ns, MESH_SLICE("~")) && !mesh_name_is_label(ns))
		mesh_at_err(at, "\"%.*s\" is not the name of a namespace, \".\", \"*\" or \"~\"", (int)ns.len, ns.ptr);
	if (slash[1] == '*' && slash[2] && slash[2] != '.')
		mesh_at_err(at, "\"%s\": a wildcard must be a whole label", slash + 1);
	else if (!mesh_text_is_wildcard_host(slash + 1, &why))
		mesh_at_err(at, "host \"%.80s\" %s", slash + 1, why);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *other = json_string_value(json_array_get(list, i));
		size_t n = (size_t)(slash - s);

		/* "ns/<any>" beside "ns/a.com", or "<any>/<any>" beside anything, says nothing more. */
		if (other && other != s &&
		    (mesh_is(other, "*/*") || (strncmp(other, s, n + 1) == 0 && mesh_is(other + n + 1, "*"))))
			mesh_at_warn(at, "\"%s\" is covered by \"%s\"", s, other);
		else if (other && mesh_is(other, "./*") && mesh_slice_eq(ns, mesh_slice_str(at->ns)))
			mesh_at_warn(at, "\"%s\" is covered by \"%s\"", s, other);
	}
}

static void egress(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *bind = mesh_text(v, "bind");
	struct listeners *l = arg;

	if (l->catch_all)
		mesh_at_err(at, "a listener without a port must be the last");
	if (!mesh_at_in(at, v, "port", listener_port, (void *)bind)) {
		l->catch_all = true;
		if (*bind)
			mesh_at_err_key(at, "bind", "needs a port");
	} else {
		unique(at, l, v);
	}
	bind_address(at, v);
	if (mesh_at_each(at, v, "hosts", egress_host, json_object_get(v, "hosts")) == 0)
		mesh_at_err_key(at, "hosts", "Required value");
}

static void outbound_policy(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *proxy = json_object_get(v, "egressProxy");

	(void)arg;
	if (!json_is_object(proxy))
		return;
	if (!mesh_is(mesh_text(v, "mode"), "ALLOW_ANY"))
		mesh_at_err_key(at, "egressProxy", "needs mode ALLOW_ANY");
	if (!mesh_has(proxy, "port"))
		mesh_at_err_key(at, "egressProxy.port", "Required value");
	mesh_at_in(at, v, "egressProxy", mesh_at_destination, NULL);
}

static void spec_of(struct mesh_at *at, const json_t *spec, void *arg)
{
	struct listeners in = {0}, out = {0};

	(void)arg;
	if (mesh_at_each(at, spec, "ingress", ingress, &in) + mesh_at_each(at, spec, "egress", egress, &out) == 0 &&
	    !mesh_has(spec, "inboundConnectionPool") && !mesh_has(spec, "outboundTrafficPolicy"))
		mesh_at_err(at, "one of ingress, egress, inboundConnectionPool, outboundTrafficPolicy must be set");
	mesh_at_selector(at, spec, "workloadSelector", "labels");
	mesh_at_in(at, spec, "outboundTrafficPolicy", outbound_policy, NULL);
	mesh_at_connection_pool(at, spec, "inboundConnectionPool");
}

MESH_CHECK(sidecar)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, spec_of);
}
