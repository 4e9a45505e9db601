/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/transfer.h"

#include "core/mem.h"
#include "core/version.h"

#include <errno.h>
#include <openssl/crypto.h>

struct mesh_kube_request {
	struct mesh_kube *kube;
	struct mesh_transfer *transfer;
	mesh_kube_data_fn *data; /* NULL: the body is kept for done() */
	mesh_kube_done_fn *done;
	void *arg;
	bool *gone; /* set when freed from within data() */
	LIST_ENTRY(mesh_kube_request) link;
};

int mesh_kube_new(struct mesh_kube **ret, struct mesh_loop *loop, const struct mesh_kube_opts *opts,
		  struct mesh_errs *errs)
{
	struct mesh_kube *kube = mesh_xcalloc(1, sizeof(*kube));
	int r;

	kube->loop = loop;
	kube->netns_fd = opts->netns_fd;
	kube->user_agent = mesh_xasprintf("%s/%s", opts->program ? opts->program : "sockmesh", mesh_version);
	r = mesh_kubeconfig_find(opts->kubeconfig, opts->context, &kube->config, errs);
	if (r == 0) {
		r = mesh_kube_engine_new(kube);
		if (r < 0)
			mesh_errs_add(errs, "cannot start libcurl");
	}
	if (r < 0) {
		mesh_kube_free(kube);
		return r;
	}
	*ret = kube;
	return 0;
}

static void request_free(struct mesh_kube_request *q)
{
	if (q->gone)
		*q->gone = true;
	mesh_transfer_free(q->transfer);
	LIST_REMOVE(q, link);
	free(q);
}

void mesh_kube_requests_free(struct mesh_kube *kube)
{
	while (!LIST_EMPTY(&kube->requests))
		request_free(LIST_FIRST(&kube->requests));
}

void mesh_kube_free(struct mesh_kube *kube)
{
	if (!kube)
		return;
	mesh_kube_watches_free(kube);
	mesh_kube_requests_free(kube);
	mesh_kube_engine_free(kube);
	mesh_kubeconfig_free(&kube->config);
	if (kube->file_token)
		OPENSSL_cleanse(kube->file_token, strlen(kube->file_token));
	free(kube->file_token);
	free(kube->user_agent);
	free(kube);
}

const char *mesh_kube_namespace(const struct mesh_kube *kube)
{
	return kube->config.namespace;
}

const struct mesh_kubeconfig *mesh_kube_config(const struct mesh_kube *kube)
{
	return &kube->config;
}

char *mesh_kube_escape(const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	struct mesh_buf out = {0};

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool plain = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
			     strchr("-._~", *p);

		if (plain) {
			mesh_buf_char(&out, (char)*p);
			continue;
		}
		mesh_buf_char(&out, '%');
		mesh_buf_char(&out, hex[*p >> 4]);
		mesh_buf_char(&out, hex[*p & 15]);
	}
	return mesh_buf_steal(&out);
}

static bool looks_like_json(struct mesh_slice s)
{
	s = mesh_slice_trim(s);
	return s.len && (s.ptr[0] == '{' || s.ptr[0] == '[');
}

/* What a failed answer says of itself: its Status object, else its text, else its number. */
static const char *explain(const struct mesh_kube_response *r, char *number, size_t size)
{
	const char *message = json_string_value(json_object_get(r->body, "message"));

	if (message && message[0])
		return message;
	if (!r->body && r->raw.len && r->raw.len < 1024)
		return r->raw.ptr;
	snprintf(number, size, "the server answered with status %d", r->status);
	return number;
}

static void finish(struct mesh_kube_request *q)
{
	struct mesh_transfer *t = q->transfer;
	struct mesh_kube_response r = {.status = mesh_transfer_status(t), .raw = mesh_buf_view(&t->body)};
	char number[64];

	mesh_vec_push(&t->warnings, NULL);
	r.warnings = (const char *const *)t->warnings.items;
	r.date = t->date;
	r.error = mesh_transfer_error(t);
	if (!r.error && looks_like_json(r.raw))
		r.body = json_loadb(r.raw.ptr, r.raw.len, JSON_ALLOW_NUL, NULL);
	if (!r.error && r.status >= 400) {
		r.error = explain(&r, number, sizeof(number));
		r.reason = json_string_value(json_object_get(r.body, "reason"));
	}
	/* The handle is dead before done() runs, its answer lives until after. */
	LIST_REMOVE(q, link);
	q->done(q->arg, &r);
	json_decref(r.body);
	mesh_transfer_free(t);
	free(q);
}

static void request_ready(struct mesh_transfer *t)
{
	struct mesh_kube_request *q = t->arg;
	bool gone = false;

	if (q->data && t->body.len && mesh_transfer_status(t) < 400 && !mesh_transfer_error(t)) {
		struct mesh_buf piece = t->body;

		t->body = (struct mesh_buf){0};
		q->gone = &gone;
		q->data(q->arg, mesh_buf_view(&piece));
		mesh_buf_free(&piece);
		if (gone)
			return;
		q->gone = NULL;
	}
	if (t->finished)
		finish(q);
}

static struct mesh_kube_request *start(struct mesh_kube *kube, const struct mesh_transfer_opts *o,
				       mesh_kube_data_fn *data, mesh_kube_done_fn *done, void *arg)
{
	struct mesh_kube_request *q = mesh_xcalloc(1, sizeof(*q));
	struct mesh_transfer_opts opts = *o;

	q->kube = kube;
	q->data = data;
	q->done = done;
	q->arg = arg;
	opts.fn = request_ready;
	opts.arg = q;
	q->transfer = mesh_transfer_new(kube, &opts);
	LIST_INSERT_HEAD(&kube->requests, q, link);
	return q;
}

struct mesh_kube_request *mesh_kube_send(struct mesh_kube *kube, const char *method, const char *path,
					 const json_t *body, const char *content_type, const char *accept,
					 mesh_kube_done_fn *done, void *arg)
{
	struct mesh_transfer_opts o = {.method = method, .path = path, .content_type = content_type, .accept = accept};

	if (body)
		o.payload = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!content_type && strcmp(method, "PATCH") == 0)
		o.content_type = "application/merge-patch+json";
	return start(kube, &o, NULL, done, arg);
}

struct mesh_kube_request *mesh_kube_stream(struct mesh_kube *kube, const char *path, const char *accept,
					   mesh_kube_data_fn *data, mesh_kube_done_fn *done, void *arg)
{
	struct mesh_transfer_opts o = {.method = "GET", .path = path, .accept = accept, .stream = true};

	return start(kube, &o, data, done, arg);
}

void mesh_kube_cancel(struct mesh_kube_request *q)
{
	if (q)
		request_free(q);
}

struct call {
	bool over;
	int status;
	json_t *body;
	struct mesh_errs *errs;
};

static void call_done(void *arg, const struct mesh_kube_response *r)
{
	struct call *c = arg;

	c->over = true;
	c->status = r->status;
	c->body = json_incref(r->body);
	if (r->error)
		mesh_errs_add(c->errs, "%s", r->error);
}

int mesh_kube_call(struct mesh_kube *kube, const char *method, const char *path, const json_t *body,
		   const char *content_type, json_t **ret_body, struct mesh_errs *errs)
{
	struct call c = {.errs = errs};
	struct mesh_kube_request *q = mesh_kube_send(kube, method, path, body, content_type, NULL, call_done, &c);

	while (!c.over) {
		int r = mesh_loop_once(kube->loop, -1);

		if (r < 0) {
			mesh_kube_cancel(q);
			mesh_errs_add(errs, "waiting failed: %s", strerror(-r));
			break;
		}
	}
	if (ret_body)
		*ret_body = c.body;
	else
		json_decref(c.body);
	return c.status;
}
