/* SPDX-License-Identifier: Apache-2.0 */
#include "control/webhook.h"

#include "control/admission.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/vec.h"
#include "obs/probe.h"
#include "store/json.h"
#include "store/serve.h"

#include <errno.h>

enum { DAY_SECONDS = 86400 };

struct mesh_webhook {
	struct mesh_loop *loop;
	struct mesh_addr listen;
	MESH_VEC(char *) names; /* NULL-ended */
	int64_t cert_seconds;
	struct mesh_key_pair ca;
	SSL_CTX *ctx; /* NULL: no certificate yet */
	struct mesh_server *server;
	struct mesh_timer renew, listen_again;
	bool listening;
	int listen_error; /* of the last try, negative */
};

static void refuse(struct mesh_request *req, int status, const char *text)
{
	mesh_auto_free char *line = mesh_xasprintf("%s\n", text);

	mesh_request_answer(req, status, "text/plain; charset=utf-8", mesh_slice_str(line));
}

static bool is_json(const struct mesh_request *req)
{
	const char *type = mesh_request_header(req, "Content-Type");
	struct mesh_slice rest = mesh_slice_str(type), first;

	return type && mesh_slice_split(&rest, ';', &first) &&
	       mesh_slice_eq_nocase(mesh_slice_trim(first), MESH_SLICE("application/json"));
}

static void serve(void *arg, struct mesh_request *req)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	json_t *answer;
	int status;

	(void)arg;
	if (strcmp(req->path, "/validate") != 0) {
		refuse(req, 404, "only /validate is served here");
		return;
	}
	if (strcmp(req->method, "POST") != 0) {
		mesh_request_add(req, "Allow", "POST");
		refuse(req, 405, "only POST is served here");
		return;
	}
	if (!is_json(req)) {
		refuse(req, 415, "the body must be application/json");
		return;
	}
	status = mesh_admission_review(req->body, &answer, &text);
	if (status != 200) {
		refuse(req, status, text.data);
		return;
	}
	mesh_js_write(&text, answer);
	json_decref(answer);
	mesh_request_answer(req, 200, "application/json", mesh_buf_view(&text));
}

static void try_listen(struct mesh_webhook *w)
{
	char text[MESH_ADDR_TEXT];
	int fd = mesh_probe_listen(&w->listen), r = fd < 0 ? fd : mesh_server_listen(w->server, fd);

	if (r < 0) {
		if (fd >= 0)
			close(fd);
		if (r != w->listen_error)
			mesh_warn("webhook: %s: %s; trying again", mesh_addr_text(&w->listen, text), strerror(-r));
		w->listen_error = r;
		mesh_timer_set(w->loop, &w->listen_again, MESH_SEC(1));
		return;
	}
	w->listening = true;
	mesh_info("webhook: listens on %s", mesh_addr_text(&w->listen, text));
}

static void on_listen_again(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	try_listen(mesh_container_of(timer, struct mesh_webhook, listen_again));
}

static int use_certificate(struct mesh_webhook *w, const struct mesh_key_pair *pair, struct mesh_errs *errs)
{
	if (w->ctx)
		return mesh_cert_context_use(w->ctx, pair) < 0 ? mesh_cert_error(errs, "TLS set-up") : 0;
	w->ctx = mesh_cert_context(TLS_server_method(), pair, errs);
	if (!w->ctx)
		return -EIO;
	/* A session would go on with the certificate of its first connection. */
	SSL_CTX_set_session_cache_mode(w->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(w->ctx, SSL_OP_NO_TICKET);
	mesh_server_new(&w->server, w->loop, w->ctx, serve, NULL, w);
	mesh_server_limit_body(w->server, MESH_ADMISSION_BODY_MAX);
	try_listen(w);
	return 0;
}

/* A new certificate from the CA we have. When that fails the old one stays in use, and a minute later is the next try.
 */
static void renew(struct mesh_webhook *w)
{
	const struct mesh_cert_spec spec = {.cn = w->names.items[0] ? w->names.items[0] : "sockmesh-webhook",
					    .server = true,
					    .names = (const char *const *)w->names.items,
					    .seconds = w->cert_seconds};
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	struct mesh_key_pair pair = {0};
	int r;

	r = mesh_key_pair_new(&spec, &w->ca, &pair) < 0 ? mesh_cert_error(&errs, "making a certificate")
							: use_certificate(w, &pair, &errs);
	mesh_key_pair_free(&pair);
	mesh_vec_each (e, &errs.list)
		mesh_error("webhook: %s", e->text);
	mesh_timer_set(w->loop, &w->renew, r < 0 ? MESH_SEC(60) : MESH_SEC((uint64_t)w->cert_seconds) * 2 / 3);
	if (r == 0)
		mesh_info("webhook: has a new certificate, valid for %lld s", (long long)w->cert_seconds);
}

static void on_renew(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	renew(mesh_container_of(timer, struct mesh_webhook, renew));
}

int mesh_webhook_new(struct mesh_webhook **ret, struct mesh_loop *loop, const struct mesh_webhook_opts *opts)
{
	struct mesh_webhook *w = mesh_xcalloc(1, sizeof(*w));

	w->loop = loop;
	w->listen = opts->listen;
	w->cert_seconds = opts->cert_seconds ? opts->cert_seconds : DAY_SECONDS;
	w->renew.fn = on_renew;
	w->listen_again.fn = on_listen_again;
	for (const char *const *name = opts->names; *name; name++)
		mesh_vec_push(&w->names, mesh_xstrdup(*name));
	mesh_vec_push(&w->names, NULL);
	*ret = w;
	return 0;
}

void mesh_webhook_sign(struct mesh_webhook *w, const struct mesh_key_pair *ca)
{
	mesh_key_pair_free(&w->ca);
	X509_up_ref(ca->cert);
	EVP_PKEY_up_ref(ca->key);
	w->ca = *ca;
	renew(w);
}

bool mesh_webhook_ready(const struct mesh_webhook *w, struct mesh_buf *why)
{
	if (w->listening)
		return true;
	mesh_buf_printf(why, "webhook: %s", w->ctx ? strerror(-w->listen_error) : "there is no CA for its certificate");
	return false;
}

void mesh_webhook_free(struct mesh_webhook *w)
{
	if (!w)
		return;
	mesh_timer_remove(w->loop, &w->renew);
	mesh_timer_remove(w->loop, &w->listen_again);
	mesh_server_free(w->server);
	SSL_CTX_free(w->ctx);
	mesh_key_pair_free(&w->ca);
	mesh_vec_each (name, &w->names)
		free(*name);
	mesh_vec_free(&w->names);
	free(w);
}
