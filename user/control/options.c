/* SPDX-License-Identifier: Apache-2.0 */
#include "control/options.h"

#include "core/mem.h"

#include <stddef.h>

#define AT(field) offsetof(struct mesh_control_args, field)

/* clang-format off */
static const struct mesh_opt rows[] = {
	{.name = "kubeconfig", .type = MESH_OPT_STRING, .at = AT(kubeconfig), .arg = "FILE",
	 .help = "the API (default: $KUBECONFIG, the pod's service account, ~/.kube/config)"},
	{.name = "namespace", .type = MESH_OPT_STRING, .at = AT(ns), .arg = "NS", .env = "POD_NAMESPACE",
	 .initial = "sockmesh-system", .help = "our own: where the Lease and the webhook's Service and Secret are"},
	{.name = "pod", .type = MESH_OPT_STRING, .at = AT(pod), .arg = "NAME", .env = "POD_NAME",
	 .help = "our own, for the Lease (default: the host's name)"},
	{.name = "leader-elect", .type = MESH_OPT_FLAG, .at = AT(leader_elect),
	 .help = "of several, only the holder of Lease sockmesh-control reconciles"},
	{.name = "image", .type = MESH_OPT_STRING, .at = AT(opts.image), .arg = "IMAGE", .env = "SOCKMESH_IMAGE",
	 .initial = "docker.io/sockmesh/meshd:dev", .help = "of the gateways' pods"},
	{.name = "health-listen", .type = MESH_OPT_STRING, .at = AT(health_text), .arg = "IP:PORT",
	 .help = "where GET /healthz, /livez, /readyz and /healthz/ready are answered, without TLS"},
	{.name = "webhook-listen", .type = MESH_OPT_STRING, .at = AT(webhook_text), .arg = "IP:PORT",
	 .help = "where the admission webhook is served: POST /validate"},
	{.name = "webhook-configuration", .type = MESH_OPT_STRING, .at = AT(webhook_configuration), .arg = "NAME",
	 .initial = "sockmesh", .help = "the ValidatingWebhookConfiguration whose caBundle is kept"},
	{.name = "webhook-service", .type = MESH_OPT_STRING, .at = AT(webhook_service), .arg = "NAME",
	 .initial = "sockmesh-webhook", .help = "the Service that its certificate is for"},
	{.name = "webhook-secret", .type = MESH_OPT_STRING, .at = AT(webhook_secret), .arg = "NAME",
	 .initial = "sockmesh-webhook-ca", .help = "the Secret with its CA"},
	{.name = "webhook-cert-seconds", .type = MESH_OPT_UNSIGNED, .at = AT(cert_seconds), .arg = "N", .min = 2,
	 .max = 31536000, .initial = "86400", .help = "how long its certificate is valid; renewed after two thirds"},
	{.name = "webhook-ca-seconds", .type = MESH_OPT_UNSIGNED, .at = AT(ca_seconds), .arg = "N", .min = 10,
	 .max = 3153600000, .initial = "315360000", .help = "how long its CA is valid; rotated when a fifth is left"},
	{.name = "webhook-ca-overlap-seconds", .type = MESH_OPT_UNSIGNED, .at = AT(ca_overlap_seconds), .arg = "N", .min = 1,
	 .max = 604800, .initial = "3600", .help = "how long a new CA is known before it signs, and an old one after"},
	{.name = "route-host", .type = MESH_OPT_STRING, .at = AT(opts.route_host), .arg = "HOST",
	 .help = "host of the ingress gateway's Route"},
	{.name = "no-reconcile", .type = MESH_OPT_FLAG, .at = AT(no_reconcile),
	 .help = "changes no object but those of the webhook and the Lease"},
	{.name = "embedded", .type = MESH_OPT_FLAG, .at = AT(embedded), .help = "serve the API too, and use that"},
	{.name = "data", .type = MESH_OPT_STRING, .at = AT(data), .arg = "DIR", .help = "its state and certificates"},
	{.name = "listen", .type = MESH_OPT_LIST, .at = AT(listen_texts), .arg = "IP:PORT",
	 .help = "where it listens; may be repeated (default: 127.0.0.1:6443)"},
	{.name = "san", .type = MESH_OPT_LIST, .at = AT(sans), .arg = "NAME",
	 .help = "another name or address that clients of API and webhook use; may be repeated"},
	{.name = "service-cidr", .type = MESH_OPT_STRING, .at = AT(service_cidr), .arg = "CIDR",
	 .help = "addresses of Services"},
	{.name = "kubeconfig-out", .type = MESH_OPT_STRING, .at = AT(kubeconfig_out), .arg = "FILE",
	 .help = "write the administrator's kubeconfig here"},
	{.name = "kubeconfig-server", .type = MESH_OPT_STRING, .at = AT(kubeconfig_server), .arg = "URL",
	 .help = "the server in that kubeconfig (default: the first --listen)"},
	{.name = "log-level", .type = MESH_OPT_CHOICE, .at = AT(log_level), .arg = "LEVEL", .values = MESH_LOG_LEVELS,
	 .initial = "info", .help = "what is logged"},
};
/* clang-format on */

static const struct mesh_opts opts = {.command = "meshd control", .rows = rows, .count = MESH_ARRAY_SIZE(rows)};

static void parse_addr(const char *option, const char *text, struct mesh_addr *ret, struct mesh_errs *errs)
{
	if (text && (mesh_addr_parse_port(mesh_slice_str(text), ret) < 0 || ret->port == 0))
		mesh_errs_add(errs, "--%s %s: not IP:PORT", option, text);
}

static void parse_listen(struct mesh_control_args *a, struct mesh_errs *errs)
{
	mesh_vec_each (text, &a->listen_texts.list) {
		struct mesh_store_listen l = {.fd = -1};

		if (mesh_addr_parse_port(mesh_slice_str(*text), &l.addr) < 0)
			mesh_errs_add(errs, "--listen %s: not IP:PORT", *text);
		mesh_vec_push(&a->listen, l);
	}
	if (a->embedded && a->listen.count == 0) {
		struct mesh_store_listen l = {.fd = -1};

		mesh_addr_parse_port(MESH_SLICE("127.0.0.1:6443"), &l.addr);
		mesh_vec_push(&a->listen, l);
	}
}

int mesh_control_args_parse(int argc, char **argv, struct mesh_control_args *a)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	int r = mesh_opts_main(&opts, argc, argv, a, NULL);

	if (r >= 0)
		return r;
	if (a->embedded && !a->data)
		mesh_errs_add(&errs, "--embedded needs --data DIR");
	if (a->embedded && a->leader_elect)
		mesh_errs_add(&errs, "--leader-elect: with --embedded there is only one");
	parse_listen(a, &errs);
	parse_addr("webhook-listen", a->webhook_text, &a->webhook, &errs);
	parse_addr("health-listen", a->health_text, &a->health, &errs);
	if (errs.list.count)
		return mesh_opts_refuse(&opts, &errs);
	a->opts.embedded = a->embedded;
	return -1;
}

void mesh_control_args_free(struct mesh_control_args *a)
{
	mesh_vec_free(&a->listen);
	mesh_vec_free(&a->listen_texts.list);
	mesh_vec_free(&a->sans.list);
}
