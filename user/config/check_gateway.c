/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateway, as Istio's webhook sees it.
 */
#include "config/at.h"
#include "config/at_istio.h"
#include "config/check.h"
#include "config/names.h"

#include <ctype.h>
#include <strings.h>

static const char *const protocols[] = {"HTTP", "HTTPS", "GRPC",  "GRPC-WEB",   "HTTP2", "MONGO",        "TCP", "TLS",
					"UDP",  "MYSQL", "REDIS", "HTTP_PROXY", "HBONE", "DOUBLE-HBONE", "AUTO"};

static bool is_protocol(const char *s)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(protocols); i++)
		if (strcasecmp(s, protocols[i]) == 0)
			return true;
	return false;
}

void mesh_at_named_port(struct mesh_at *at, const json_t *v, bool number, bool named)
{
	const char *name = mesh_text(v, "name"), *protocol = mesh_text(v, "protocol");
	json_int_t n = mesh_number(v, "number");

	if (*protocol && !is_protocol(protocol))
		mesh_at_err_key(at, "protocol", "\"%s\" is not a protocol", protocol);
	if (!*name && named)
		mesh_at_err_key(at, "name", "Required value");
	else if (*name && !mesh_text_is_label(name))
		mesh_at_err_key(at, "name", "\"%s\" is not the name of a port: letters, digits, inner '-'", name);
	if (number && (n < 1 || n > 65535))
		mesh_at_err_key(at, "number", "%" JSON_INTEGER_FORMAT " is out of range 1..65535", n);
}

bool mesh_protocol_is_http(const char *protocol)
{
	return strcasecmp(protocol, "HTTP") == 0 || strcasecmp(protocol, "HTTP2") == 0 ||
	       strcasecmp(protocol, "GRPC") == 0 || strcasecmp(protocol, "GRPC-WEB") == 0 ||
	       strcasecmp(protocol, "HTTP_PROXY") == 0;
}

static bool is_tls(const char *protocol)
{
	return strcasecmp(protocol, "HTTPS") == 0 || strcasecmp(protocol, "TLS") == 0;
}

/* ---- TLS ---- */

static void pair(struct mesh_at *at, const json_t *v, const char *mode)
{
	if (!*mesh_text(v, "serverCertificate"))
		mesh_at_err_key(at, "serverCertificate", "%s needs a server certificate", mode);
	if (!*mesh_text(v, "privateKey"))
		mesh_at_err_key(at, "privateKey", "%s needs a private key", mode);
}

static void certificate(struct mesh_at *at, const json_t *v, void *arg)
{
	pair(at, v, arg);
	if (*mesh_text(v, "caCertificates"))
		mesh_at_err_key(at, "caCertificates", "is not allowed in a list of certificates");
}

static void own_tls(struct mesh_at *at, const json_t *v, const char *mode)
{
	static const char *const none[] = {"serverCertificate", "privateKey", "caCertificates", "credentialName",
					   "caCrl"};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(none); i++)
		if (*mesh_text(v, none[i]))
			mesh_at_err_key(at, none[i], "is not allowed with mode %s", mode);
	if (json_array_size(json_object_get(v, "tlsCertificates")))
		mesh_at_err_key(at, "tlsCertificates", "is not allowed with mode %s", mode);
	if (json_array_size(json_object_get(v, "credentialNames")))
		mesh_at_err_key(at, "credentialNames", "is not allowed with mode %s", mode);
}

/* How many of the ways to name a server certificate are used. */
static int ways(const json_t *v)
{
	return (*mesh_text(v, "serverCertificate") && *mesh_text(v, "privateKey")) +
	       (json_array_size(json_object_get(v, "tlsCertificates")) > 0) + (*mesh_text(v, "credentialName") != 0) +
	       (json_array_size(json_object_get(v, "credentialNames")) > 0);
}

static void terminated_tls(struct mesh_at *at, const json_t *v, const char *mode)
{
	bool mutual = !mesh_is(mode, "SIMPLE"), secret = *mesh_text(v, "credentialName") != 0;
	size_t certificates = json_array_size(json_object_get(v, "tlsCertificates"));

	secret |= json_array_size(json_object_get(v, "credentialNames")) > 0;
	if (ways(v) > 1)
		mesh_at_err(
			at,
			"only one of credentialName, credentialNames, serverCertificate, tlsCertificates may be set");
	if (mesh_is(mode, "SIMPLE") && *mesh_text(v, "caCrl") && !secret)
		mesh_at_err_key(at, "caCrl", "is not allowed with mode SIMPLE");
	if (certificates > 2 || json_array_size(json_object_get(v, "credentialNames")) > 2)
		mesh_at_warn(at, "at most 2 server certificates are used");
	if (secret)
		return;
	if (certificates)
		mesh_at_each(at, v, "tlsCertificates", certificate, (void *)mode);
	else
		pair(at, v, mode);
	if (mutual && !*mesh_text(v, "caCertificates"))
		mesh_at_err_key(at, "caCertificates", "%s needs the certificates of the clients' CA", mode);
}

static const char *const ciphers[] = {
	"ECDHE-ECDSA-AES128-GCM-SHA256",
	"ECDHE-RSA-AES128-GCM-SHA256",
	"ECDHE-ECDSA-AES256-GCM-SHA384",
	"ECDHE-RSA-AES256-GCM-SHA384",
	"ECDHE-ECDSA-CHACHA20-POLY1305",
	"ECDHE-RSA-CHACHA20-POLY1305",
	"ECDHE-ECDSA-AES128-SHA",
	"ECDHE-RSA-AES128-SHA",
	"ECDHE-ECDSA-AES256-SHA",
	"ECDHE-RSA-AES256-SHA",
	"AES128-GCM-SHA256",
	"AES256-GCM-SHA384",
	"AES128-SHA",
	"AES256-SHA",
	"DES-CBC3-SHA",
	"ECDHE-ECDSA-AES128-SHA256",
	"ECDHE-RSA-AES128-SHA256",
	"ALL",
};

static void cipher(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *s = json_string_value(v) ? json_string_value(v) : "";
	const json_t *list = arg, *other;
	bool known = false;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(ciphers); i++)
		known |= mesh_is(ciphers[i], s);
	if (!known)
		mesh_at_warn(at, "\"%s\" is not a cipher suite: it is ignored", s);
	for (size_t i = 0; (other = json_array_get(list, i)) && other != v; i++)
		if (json_equal(other, v))
			mesh_at_warn(at, "\"%s\" is there twice", s);
}

void mesh_at_server_tls(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *mode = mesh_text(v, "mode");

	(void)arg;
	mesh_at_each(at, v, "cipherSuites", cipher, json_object_get(v, "cipherSuites"));
	if (mesh_is(mode, "ISTIO_MUTUAL"))
		own_tls(at, v, mode);
	else if (mesh_is(mode, "SIMPLE") || mesh_is(mode, "MUTUAL") || mesh_is(mode, "OPTIONAL_MUTUAL"))
		terminated_tls(at, v, mode);
	else if (*mesh_text(v, "caCrl"))
		mesh_at_err_key(at, "caCrl", "needs a mode that ends TLS here");
}

/* ---- servers ---- */

static void host(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *s = json_string_value(v) ? json_string_value(v) : "", *slash = strchr(s, '/'), *why;

	(void)arg;
	if (slash) {
		struct mesh_slice ns = mesh_slice_of(s, (size_t)(slash - s));

		if (!mesh_slice_eq(ns, MESH_SLICE("*")) && !mesh_slice_eq(ns, MESH_SLICE(".")) &&
		    !mesh_name_is_label(ns))
			mesh_at_err(at, "\"%.*s\" is an invalid namespace value: a name, \".\" or \"*\" is expected",
				    (int)ns.len, ns.ptr);
		s = slash + 1;
	}
	if (!mesh_text_is_ip(s) && !mesh_text_is_wildcard_host(s, &why))
		mesh_at_err(at, "domain \"%.80s\" %s", s, why);
}

static void bind_address(struct mesh_at *at, const json_t *v)
{
	const char *bind = mesh_text(v, "bind");
	const json_t *port = json_object_get(v, "port");

	if (strncmp(bind, "unix://", 7) == 0) {
		if (mesh_number(port, "number"))
			mesh_at_err_key(at, "port.number", "must be 0 where bind is a Unix socket");
	} else if (*bind && !mesh_text_is_ip(bind)) {
		mesh_at_err_key(at, "bind", "\"%s\" is not an address", bind);
	}
}

static void server_port(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *bind = mesh_text(arg, "bind");

	mesh_at_named_port(at, v, strncmp(bind, "unix://", 7) != 0, true);
	if (mesh_has(v, "targetPort"))
		mesh_at_warn_key(at, "targetPort", "has no effect in a Gateway");
	if (is_protocol(mesh_text(v, "protocol")) && !mesh_protocol_is_http(mesh_text(v, "protocol")))
		mesh_at_warn_key(at, "protocol", "%s is not supported yet: this server is not opened",
				 mesh_text(v, "protocol"));
}

static void tls_fits(struct mesh_at *at, const json_t *v)
{
	const char *protocol = mesh_text(json_object_get(v, "port"), "protocol");
	const json_t *tls = json_object_get(v, "tls");
	const char *mode = mesh_text(tls, "mode");

	if (is_tls(protocol) && !json_is_object(tls)) {
		mesh_at_err_key(at, "tls", "Required value: protocol %s needs it", protocol);
	} else if (mesh_protocol_is_http(protocol) && json_is_object(tls) && *mode) {
		mesh_at_err_key(at, "tls", "protocol %s cannot have TLS: only httpsRedirect may be set", protocol);
	} else if (strcasecmp(protocol, "HTTPS") == 0 && json_is_true(json_object_get(tls, "httpsRedirect"))) {
		mesh_at_warn_key(at, "tls.httpsRedirect", "has no effect on an HTTPS port");
	}
}

static void server(struct mesh_at *at, const json_t *v, void *arg)
{
	(void)arg;
	if (!json_is_object(v))
		return;
	if (!mesh_at_in(at, v, "port", server_port, (void *)v))
		mesh_at_err_key(at, "port", "Required value");
	if (mesh_at_each(at, v, "hosts", host, NULL) == 0)
		mesh_at_err_key(at, "hosts", "Required value");
	bind_address(at, v);
	tls_fits(at, v);
	mesh_at_in(at, v, "tls", mesh_at_server_tls, NULL);
}

/* Two servers on one port must not differ in protocol; names of ports must be unique. */
static void ports_agree(struct mesh_at *at, const json_t *spec)
{
	const json_t *servers = json_object_get(spec, "servers");
	size_t count = json_array_size(servers);

	for (size_t i = 0; i < count && count <= 1000; i++)
		for (size_t j = i + 1; j < count; j++) {
			const json_t *a = json_object_get(json_array_get(servers, i), "port");
			const json_t *b = json_object_get(json_array_get(servers, j), "port");
			const char *name = mesh_text(a, "name");

			if (*name && mesh_is(name, mesh_text(b, "name")) &&
			    mesh_number(a, "number") != mesh_number(b, "number"))
				mesh_at_err_key(at, "servers", "port name \"%s\" is used for two ports", name);
		}
}

static void spec_of(struct mesh_at *at, const json_t *spec, void *arg)
{
	(void)arg;
	if (json_array_size(json_object_get(spec, "servers")) == 0)
		mesh_at_err_key(at, "servers", "Required value: a gateway has at least one server");
	if (json_object_size(json_object_get(spec, "selector")) == 0)
		mesh_at_warn_key(at, "selector", "is empty: every gateway serves it");
	mesh_at_each(at, spec, "servers", server, NULL);
	ports_agree(at, spec);
}

MESH_CHECK(gateway)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, spec_of);
}
