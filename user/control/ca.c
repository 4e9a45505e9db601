/* SPDX-License-Identifier: Apache-2.0 */
#include "control/ca.h"

#include "control/cache.h"
#include "core/base64.h"
#include "core/log.h"
#include "core/mem.h"
#include "model/names.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <time.h>

#define ROTATE         "sockmesh.io/rotate"
#define CONFIGURATIONS "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"

enum { CA_SECONDS = 3650 * 86400, OVERLAP_SECONDS = 3600, TICK_MAX_SECONDS = 30, RETRY_SECONDS = 2 };

/* One object that is watched by name, and at most one write to it. */
struct ca_object {
	struct mesh_ca *ca;
	struct mesh_kube_watch *watch;
	struct mesh_kube_request *request;
	json_t *obj; /* NULL: it is not there */
	bool synced;
	uint64_t not_before_ns; /* a write failed: none before this */
	char *error;            /* said once */
	const char *what;
};

struct mesh_ca {
	struct mesh_loop *loop;
	struct mesh_kube *kube;
	struct mesh_ca_opts opts;
	char *ns, *secret_name, *configuration, *secret_path, *secrets_path, *configuration_path;
	struct ca_object secret, config;
	struct mesh_key_pair newest, previous;
	struct mesh_buf bundle; /* PEM of both, base64 */
	X509 *signer;           /* whom signer() was told of last */
	struct mesh_timer tick;
	bool leads, foreign_said;
};

static void maintain(struct mesh_ca *ca);

static int64_t age(X509 *cert)
{
	return (int64_t)time(NULL) - mesh_cert_begins(cert) - MESH_CERT_BACKDATE_SECONDS;
}

static int64_t left(X509 *cert)
{
	return mesh_cert_ends(cert) - (int64_t)time(NULL);
}

/* --- what the Secret holds --- */

static int read_pair(const json_t *data, const char *crt, const char *key, struct mesh_key_pair *ret)
{
	const char *cert_text = json_string_value(json_object_get(data, crt));
	const char *key_text = json_string_value(json_object_get(data, key));
	mesh_auto(mesh_buf_free) struct mesh_buf cert = {0}, secret = {0};
	int r = -EINVAL;

	if (cert_text && key_text && mesh_base64_decode(mesh_slice_str(cert_text), &cert) == 0 &&
	    mesh_base64_decode(mesh_slice_str(key_text), &secret) == 0)
		r = mesh_key_pair_parse(mesh_buf_view(&cert), mesh_buf_view(&secret), ret);
	if (r == 0 && (X509_check_ca(ret->cert) < 1 || left(ret->cert) <= 0)) {
		mesh_key_pair_free(ret);
		r = -EINVAL;
	}
	if (secret.data)
		OPENSSL_cleanse(secret.data, secret.len);
	return r;
}

static void add_pem(struct mesh_buf *out, X509 *cert)
{
	mesh_auto(mesh_buf_free) struct mesh_buf pem = {0};

	if (cert && mesh_cert_pem(cert, &pem) == 0)
		mesh_buf_slice(out, mesh_buf_view(&pem));
}

static void make_bundle(struct mesh_ca *ca)
{
	mesh_auto(mesh_buf_free) struct mesh_buf pem = {0};

	add_pem(&pem, ca->newest.cert);
	add_pem(&pem, ca->previous.cert);
	mesh_buf_clear(&ca->bundle);
	mesh_base64_encode(mesh_buf_view(&pem), &ca->bundle);
}

/* Takes over what the Secret says. What cannot be read changes nothing: the leader will mend it from what it has. */
static int load(struct mesh_ca *ca)
{
	const json_t *data = json_object_get(ca->secret.obj, "data");
	struct mesh_key_pair newest = {0}, previous = {0};

	if (!ca->secret.obj || read_pair(data, "ca.crt", "ca.key", &newest) < 0)
		return -EINVAL;
	read_pair(data, "previous.crt", "previous.key", &previous);
	mesh_key_pair_free(&ca->newest);
	mesh_key_pair_free(&ca->previous);
	ca->newest = newest;
	ca->previous = previous;
	make_bundle(ca);
	return 0;
}

static bool set_pair(json_t *data, const char *crt, const char *key, const struct mesh_key_pair *pair)
{
	mesh_auto(mesh_buf_free) struct mesh_buf cert = {0}, secret = {0}, cert_text = {0}, key_text = {0};

	if (!pair->cert)
		return true;
	if (mesh_cert_pem(pair->cert, &cert) < 0 || mesh_key_pem(pair->key, &secret) < 0)
		return false;
	mesh_base64_encode(mesh_buf_view(&cert), &cert_text);
	mesh_base64_encode(mesh_buf_view(&secret), &key_text);
	json_object_set_new(data, crt, json_string(cert_text.data));
	json_object_set_new(data, key, json_string(key_text.data));
	OPENSSL_cleanse(secret.data, secret.len);
	OPENSSL_cleanse(key_text.data, key_text.len);
	return true;
}

/* --- the webhook configuration --- */

static const json_t *webhooks_of(const struct mesh_ca *ca)
{
	return json_object_get(ca->config.obj, "webhooks");
}

static const char *bundle_of(const json_t *webhook)
{
	const char *s = json_string_value(json_object_get(json_object_get(webhook, "clientConfig"), "caBundle"));

	return s ? s : "";
}

/* Whether API servers know all of our CAs: a certificate of any of them will do. */
static bool bundle_is_there(const struct mesh_ca *ca)
{
	json_t *webhook;
	size_t i;

	json_array_foreach(webhooks_of(ca), i,
			   webhook) if (strcmp(bundle_of(webhook), ca->bundle.data) != 0) return false;
	return true;
}

/* The new one signs once API servers have had the time to learn of it. */
static const struct mesh_key_pair *signer_of(const struct mesh_ca *ca)
{
	if (!ca->previous.cert)
		return &ca->newest;
	return age(ca->newest.cert) >= ca->opts.overlap_seconds && bundle_is_there(ca) ? &ca->newest : &ca->previous;
}

static void tell_signer(struct mesh_ca *ca)
{
	const struct mesh_key_pair *pair = signer_of(ca);

	if (!pair->cert || (ca->signer && X509_cmp(ca->signer, pair->cert) == 0))
		return;
	X509_free(ca->signer);
	X509_up_ref(pair->cert);
	ca->signer = pair->cert;
	ca->opts.signer(ca->opts.arg, pair);
}

/* --- writes --- */

static void write_done(struct ca_object *o, const struct mesh_kube_response *r)
{
	bool ok = r->status >= 200 && r->status < 300;
	const char *why = r->error ? r->error : "refused";

	o->request = NULL;
	if (ok) {
		free(o->error);
		o->error = NULL;
		return;
	}
	o->not_before_ns = mesh_now_ns() + MESH_SEC(RETRY_SECONDS);
	mesh_timer_set(o->ca->loop, &o->ca->tick, MESH_SEC(RETRY_SECONDS));
	if (o->error && strcmp(o->error, why) == 0)
		return;
	mesh_warn("%s: %s", o->what, why);
	free(o->error);
	o->error = mesh_xstrdup(why);
}

static bool newer(const json_t *a, const json_t *b)
{
	const char *av = json_string_value(json_object_get(json_object_get(a, "metadata"), "resourceVersion"));
	const char *bv = json_string_value(json_object_get(json_object_get(b, "metadata"), "resourceVersion"));

	return strtoull(av ? av : "0", NULL, 10) > strtoull(bv ? bv : "0", NULL, 10);
}

static void on_secret_written(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_ca *ca = arg;

	write_done(&ca->secret, r);
	if ((r->status == 200 || r->status == 201) && (!ca->secret.obj || newer(r->body, ca->secret.obj))) {
		json_decref(ca->secret.obj);
		ca->secret.obj = json_incref(r->body);
		load(ca);
	}
	maintain(ca);
}

static void on_config_written(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_ca *ca = arg;

	write_done(&ca->config, r);
	if (r->status == 200 && ca->config.obj && newer(r->body, ca->config.obj)) {
		json_decref(ca->config.obj);
		ca->config.obj = json_incref(r->body);
	}
	maintain(ca);
}

static bool may_write(const struct ca_object *o)
{
	return !o->request && mesh_now_ns() >= o->not_before_ns;
}

/* Writes these two: a new Secret, or the one we know at the version we know. */
static void write_secret(struct mesh_ca *ca, const struct mesh_key_pair *newest, const struct mesh_key_pair *previous)
{
	static const char labels[] = "{\"app.kubernetes.io/name\": \"sockmesh\", \"app.kubernetes.io/component\": "
				     "\"control\", \"app.kubernetes.io/managed-by\": \"sockmesh-control\"}";
	json_t *body = ca->secret.obj
			       ? json_deep_copy(ca->secret.obj)
			       : json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "Secret",
					   "type", "Opaque", "metadata", "name", ca->secret_name, "namespace", ca->ns);
	json_t *meta = json_object_get(body, "metadata"), *data = json_object();

	if (!ca->secret.obj)
		json_object_set_new(meta, "labels", mesh_json_format("%s", labels));
	if (newest != &ca->newest)
		json_object_del(json_object_get(meta, "annotations"), ROTATE);
	if (set_pair(data, "ca.crt", "ca.key", newest) && set_pair(data, "previous.crt", "previous.key", previous)) {
		json_object_set(body, "data", data);
		ca->secret.request = mesh_kube_send(ca->kube, ca->secret.obj ? "PUT" : "POST",
						    ca->secret.obj ? ca->secret_path : ca->secrets_path, body, NULL,
						    NULL, on_secret_written, ca);
	}
	json_decref(data);
	json_decref(body);
}

/* Makes a CA and writes it; what signs now stays as the previous one, if that is asked for. */
static void write_new(struct mesh_ca *ca, bool overlap, const char *why)
{
	const struct mesh_cert_spec spec = {.cn = "sockmesh-webhook-ca", .ca = true, .seconds = ca->opts.seconds};
	static const struct mesh_key_pair none = {0};
	struct mesh_key_pair made = {0};

	if (mesh_key_pair_new(&spec, NULL, &made) < 0) {
		ca->secret.not_before_ns = mesh_now_ns() + MESH_SEC(RETRY_SECONDS);
		return;
	}
	mesh_info("webhook: a new CA: %s", why);
	write_secret(ca, &made, overlap ? &ca->newest : &none);
	mesh_key_pair_free(&made);
}

static bool is_ours(const json_t *obj)
{
	json_t *labels = json_object_get(json_object_get(obj, "metadata"), "labels");
	const char *by = json_string_value(json_object_get(labels, MESH_LABEL_MANAGED));

	return by && strcmp(by, "sockmesh-control") == 0;
}

static bool rotation_asked(const json_t *obj)
{
	return json_object_get(json_object_get(json_object_get(obj, "metadata"), "annotations"), ROTATE) != NULL;
}

/* The leader's part about the Secret. One that others made is used as it is, and left alone. */
static void maintain_secret(struct mesh_ca *ca, bool readable)
{
	static const struct mesh_key_pair none = {0};

	if (!ca->secret.synced || !may_write(&ca->secret))
		return;
	if (ca->secret.obj && !is_ours(ca->secret.obj)) {
		if (!readable && !ca->foreign_said)
			mesh_warn("secret %s/%s is not ours (no label app.kubernetes.io/managed-by: sockmesh-control) "
				  "and "
				  "has no CA (ca.crt, ca.key) in it: the webhook has no certificate; delete it, or put "
				  "a CA "
				  "there",
				  ca->ns, ca->secret_name);
		ca->foreign_said = !readable;
		return;
	}
	if (!readable && ca->newest.cert && left(ca->newest.cert) > 0)
		write_secret(ca, &ca->newest, &ca->previous); /* it was lost or damaged; we still have it */
	else if (!readable)
		write_new(ca, false, ca->secret.obj ? "the Secret has none that can be read" : "there was none");
	else if (!ca->previous.cert && rotation_asked(ca->secret.obj))
		write_new(ca, true, "asked for by annotation");
	else if (!ca->previous.cert && left(ca->newest.cert) < ca->opts.seconds / 5)
		write_new(ca, true, "the old one ends");
	else if (ca->previous.cert && age(ca->newest.cert) >= 2 * ca->opts.overlap_seconds && bundle_is_there(ca))
		write_secret(ca, &ca->newest, &none);
}

/* The leader's part about the configuration: level-triggered, whoever changed it. */
static void maintain_config(struct mesh_ca *ca)
{
	json_t *patch, *webhook;
	size_t i;

	if (!ca->config.obj || !ca->newest.cert || bundle_is_there(ca) || !may_write(&ca->config))
		return;
	patch = json_pack("[{s:s, s:s, s:O}]", "op", "test", "path", "/metadata/resourceVersion", "value",
			  json_object_get(json_object_get(ca->config.obj, "metadata"), "resourceVersion"));
	json_array_foreach(webhooks_of(ca), i, webhook)
	{
		if (strcmp(bundle_of(webhook), ca->bundle.data) == 0)
			continue;
		json_array_append_new(patch, json_pack("{s:s, s:o, s:s}", "op", "add", "path",
						       json_sprintf("/webhooks/%zu/clientConfig/caBundle", i), "value",
						       ca->bundle.data));
	}
	mesh_info("webhook: sets the caBundle of ValidatingWebhookConfiguration %s", ca->configuration);
	ca->config.request = mesh_kube_send(ca->kube, "PATCH", ca->configuration_path, patch,
					    "application/json-patch+json", NULL, on_config_written, ca);
	json_decref(patch);
}

static void maintain(struct mesh_ca *ca)
{
	bool readable = ca->secret.obj && load(ca) == 0;

	if (ca->leads) {
		maintain_secret(ca, readable);
		maintain_config(ca);
	}
	if (ca->newest.cert)
		tell_signer(ca);
}

static void on_event(void *arg, enum mesh_kube_event event, const json_t *obj, const char *rv)
{
	struct ca_object *o = arg;

	(void)rv;
	if (event == MESH_KUBE_SET && (!o->obj || !newer(o->obj, obj))) {
		json_decref(o->obj);
		o->obj = json_incref((json_t *)(uintptr_t)obj);
	} else if (event == MESH_KUBE_DELETE) {
		json_decref(o->obj);
		o->obj = NULL;
	} else if (event == MESH_KUBE_SYNCED) {
		o->synced = true;
	}
	if (o->synced)
		maintain(o->ca);
}

static uint64_t tick_ns(const struct mesh_ca *ca)
{
	uint64_t ns = MESH_MIN(MESH_SEC((uint64_t)ca->opts.overlap_seconds) / 8, MESH_SEC(TICK_MAX_SECONDS));

	return MESH_MAX(ns, MESH_MS(200));
}

/* Steps that only time brings, and writes that failed. */
static void on_tick(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_ca *ca = mesh_container_of(timer, struct mesh_ca, tick);

	maintain(ca);
	mesh_timer_set(loop, timer, ca->secret.error || ca->config.error ? MESH_SEC(RETRY_SECONDS) : tick_ns(ca));
}

int mesh_ca_new(struct mesh_ca **ret, struct mesh_loop *loop, struct mesh_kube *kube, const struct mesh_ca_opts *opts)
{
	struct mesh_ca *ca = mesh_xcalloc(1, sizeof(*ca));
	mesh_auto_free char *secret = mesh_xasprintf("fieldSelector=metadata.name%%3D%s", opts->secret);
	mesh_auto_free char *config = mesh_xasprintf("fieldSelector=metadata.name%%3D%s", opts->configuration);

	ca->loop = loop;
	ca->kube = kube;
	ca->opts = *opts;
	if (!ca->opts.seconds)
		ca->opts.seconds = CA_SECONDS;
	if (!ca->opts.overlap_seconds)
		ca->opts.overlap_seconds = OVERLAP_SECONDS;
	ca->ns = mesh_xstrdup(opts->ns);
	ca->secret_name = mesh_xstrdup(opts->secret);
	ca->configuration = mesh_xstrdup(opts->configuration);
	ca->secrets_path = mesh_xasprintf("/api/v1/namespaces/%s/secrets", ca->ns);
	ca->secret_path = mesh_xasprintf("%s/%s", ca->secrets_path, ca->secret_name);
	ca->configuration_path = mesh_xasprintf(CONFIGURATIONS "/%s", ca->configuration);
	ca->secret = (struct ca_object){.ca = ca, .what = "secret of the webhook's CA"};
	ca->config = (struct ca_object){.ca = ca, .what = "caBundle of the webhook's configuration"};
	ca->secret.watch = mesh_kube_watch_new(kube, ca->secrets_path, secret, on_event, &ca->secret);
	ca->config.watch = mesh_kube_watch_new(kube, CONFIGURATIONS, config, on_event, &ca->config);
	ca->tick.fn = on_tick;
	mesh_timer_set(loop, &ca->tick, tick_ns(ca));
	*ret = ca;
	return 0;
}

void mesh_ca_lead(struct mesh_ca *ca, bool leads)
{
	ca->leads = leads;
	if (leads)
		mesh_timer_set(ca->loop, &ca->tick, 0);
}

static void object_free(struct ca_object *o)
{
	mesh_kube_watch_free(o->watch);
	mesh_kube_cancel(o->request);
	json_decref(o->obj);
	free(o->error);
}

void mesh_ca_free(struct mesh_ca *ca)
{
	if (!ca)
		return;
	mesh_timer_remove(ca->loop, &ca->tick);
	object_free(&ca->secret);
	object_free(&ca->config);
	mesh_key_pair_free(&ca->newest);
	mesh_key_pair_free(&ca->previous);
	mesh_buf_free(&ca->bundle);
	X509_free(ca->signer);
	free(ca->ns);
	free(ca->secret_name);
	free(ca->configuration);
	free(ca->secret_path);
	free(ca->secrets_path);
	free(ca->configuration_path);
	free(ca);
}
