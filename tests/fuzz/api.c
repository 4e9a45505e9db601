/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the embedded API, in one process: HTTP bytes are parsed, their target is taken apart, and the store
 * serves them on a database of its own, as the administrator or, with an Authorization field, as whoever its token
 * says. An input is a few requests, with "\n%%\n" between them; a request's body is all that follows its head. In place
 * of connections stand the functions below. Checked after each request: every answer has a status and, if it says that
 * it is JSON, is; header lines have no line breaks. After each input that changed something: what is in memory is what
 * can be read from disk. Then all is as before.
 */
#include "core/mem.h"
#include "proxy/http1.h"
#include "store/call.h"
#include "store/chores.h"
#include "store/target.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REQUESTS_MAX = 8 };

struct mesh_conn {
	struct mesh_tls tls;
	struct mesh_request *req; /* NULL once it was answered */
	int status;
	struct mesh_buf sent;
};

static struct mesh_loop *loop;
static struct mesh_store *store;
static struct mesh_conn conn;
static char dir[] = "/dev/shm/mesh-fuzz-XXXXXX";
static unsigned long long requests, changes, answers[6];

static void fault(const char *what)
{
	fprintf(stderr, "%s: status %d: %.*s\n", what, conn.status, (int)MESH_MIN(conn.sent.len, 2000),
		conn.sent.data ? conn.sent.data : "");
	abort();
}

/* --- in place of serve.c and tls.c --- */

static void over(struct mesh_request *req)
{
	conn.req = NULL;
	mesh_buf_free(&req->extra);
	mesh_arena_free(&req->arena);
	free(req);
}

int mesh_server_new(struct mesh_server **ret, struct mesh_loop *l, SSL_CTX *ctx, mesh_request_fn *handle,
		    mesh_request_known_fn *known, void *arg)
{
	(void)l, (void)ctx, (void)handle, (void)known, (void)arg;
	*ret = NULL;
	return 0;
}

void mesh_server_hurry(struct mesh_server *server, unsigned n)
{
	(void)server, (void)n;
}

void mesh_server_free(struct mesh_server *server)
{
	(void)server;
}

int mesh_server_listen(struct mesh_server *server, int fd)
{
	(void)server, (void)fd;
	return -ENOTSUP;
}

int mesh_listen_tcp(const struct mesh_addr *addr)
{
	(void)addr;
	return -ENOTSUP;
}

const char *mesh_request_header(const struct mesh_request *req, const char *name)
{
	for (size_t i = 0; i < req->header_count; i++)
		if (strcasecmp(req->headers[i].name, name) == 0)
			return req->headers[i].value;
	return NULL;
}

const char *mesh_request_param(const struct mesh_request *req, const char *name)
{
	for (size_t i = 0; i < req->param_count; i++)
		if (strcmp(req->params[i].name, name) == 0)
			return req->params[i].value;
	return NULL;
}

void mesh_request_add(struct mesh_request *req, const char *name, const char *value)
{
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < 0x20)
			fault("a header line with a control character");
	mesh_buf_printf(&req->extra, "%s: %s\r\n", name, value);
}

static void begin(int status)
{
	if (status < 200 || status > 599)
		fault("no status of HTTP");
	conn.status = status;
	answers[status / 100]++;
	mesh_buf_clear(&conn.sent);
}

void mesh_request_answer(struct mesh_request *req, int status, const char *type, struct mesh_slice body)
{
	begin(status);
	mesh_buf_slice(&conn.sent, body);
	if (strncmp(type, "application/json", 16) == 0) {
		json_t *v = json_loadb(body.ptr, body.len, JSON_ALLOW_NUL, NULL);

		if (!v)
			fault("the answer is not JSON");
		json_decref(v);
	}
	over(req);
}

void mesh_request_stream(struct mesh_request *req, int status, const char *type)
{
	(void)type;
	begin(status);
	req->streaming = true;
}

int mesh_request_chunk(struct mesh_request *req, struct mesh_slice bytes)
{
	json_t *v = json_loadb(bytes.ptr, bytes.len, JSON_ALLOW_NUL, NULL);

	(void)req;
	mesh_buf_clear(&conn.sent);
	mesh_buf_slice(&conn.sent, bytes);
	if (!v)
		fault("the event is not JSON");
	json_decref(v);
	return 0;
}

void mesh_request_end(struct mesh_request *req)
{
	over(req);
}

size_t mesh_request_pending(const struct mesh_request *req)
{
	(void)req;
	return 0;
}

void mesh_request_drop(struct mesh_request *req)
{
	over(req);
}

struct mesh_tls *mesh_request_take(struct mesh_request *req)
{
	(void)req;
	return &conn.tls;
}

int mesh_tls_connect(struct mesh_tls *tls, struct mesh_loop *l, SSL_CTX *ctx, const struct mesh_addr *addr,
		     const char *name, mesh_tls_fn *event, void *arg)
{
	(void)tls, (void)l, (void)ctx, (void)addr, (void)name, (void)event, (void)arg;
	return -ECONNREFUSED;
}

void mesh_tls_close(struct mesh_tls *tls)
{
	(void)tls;
}

int mesh_tls_flush(struct mesh_tls *tls)
{
	(void)tls;
	return 0;
}

void mesh_tls_fill(struct mesh_tls *tls)
{
	(void)tls;
}

/* --- the store --- */

static void copy_file(const char *from, const char *to)
{
	mesh_auto_free char *a = mesh_xasprintf("%s/%s", dir, from), *b = mesh_xasprintf("%s/%s", dir, to);
	struct mesh_buf text = {0};

	if (mesh_file_read(a, 64 << 20, &text) < 0 || mesh_file_write(b, mesh_buf_view(&text), 0600) < 0)
		abort();
	mesh_buf_free(&text);
}

static void store_open(void)
{
	static const char *const names[] = {NULL};
	const struct mesh_store_opts opts = {.data_dir = dir, .names = names, .watch_log = 50};
	struct mesh_errs errs = {0};

	if (mesh_store_new(&store, loop, &opts, &errs) < 0) {
		struct mesh_buf text = {0};

		mesh_errs_format(&errs, &text);
		fprintf(stderr, "%s", text.data);
		abort();
	}
}

static void at_end(void)
{
	mesh_auto_free char *command = mesh_xasprintf("rm -rf '%s'", dir);

	fprintf(stderr, "requests: %llu, inputs that changed something: %llu, answers 2xx %llu 4xx %llu 5xx %llu\n",
		requests, changes, answers[2], answers[4], answers[5]);
	mesh_store_free(store);
	store = NULL;
	if (system(command) != 0)
		fprintf(stderr, "%s: not removed\n", dir);
}

/* All that follows from a request, until nothing does. */
static void settle(void)
{
	for (int i = 0; i < 8; i++) {
		mesh_api_commit(store);
		if (!mesh_state_dirty(store->state) && !store->chores.heap_at && !store->gone_uids.count &&
		    !store->new_dependents.count && !store->ending_namespaces.count && !store->new_namespaces.count)
			return;
		mesh_chores_run(store);
	}
	mesh_api_commit(store);
}

static void set_up(void)
{
	if (mesh_loop_new(&loop) < 0 || !mkdtemp(dir))
		abort();
	store_open();
	settle();
	mesh_store_free(store); /* the write-ahead log goes into the file */
	copy_file("state.db", "template.db");
	store_open();
	atexit(at_end);
}

static void reset(void)
{
	mesh_store_free(store);
	copy_file("template.db", "state.db");
	store_open();
}

struct kept {
	struct mesh_resource *resource;
	json_t *obj;
};

/* What is in memory is what is on disk. */
static void compare_with_disk(void)
{
	MESH_VEC(struct kept) all = {0};
	size_t n = 0;

	mesh_vec_each (res, &store->state->resources)
		if (!(*res)->gone)
			mesh_vec_each (e, &(*res)->entries)
				mesh_vec_push(&all, ((struct kept){*res, json_incref((*e)->obj)}));
	conn.status = 0;
	mesh_buf_clear(&conn.sent);
	if (mesh_state_load(store->state, NULL) < 0)
		fault("the state cannot be read again");
	mesh_vec_each (res, &store->state->resources)
		if (!(*res)->gone)
			n += (*res)->entries.count;
	if (n != all.count)
		fault("memory and disk differ in number");
	mesh_vec_each (k, &all) {
		struct mesh_entry *e = mesh_state_get(k->resource, mesh_js_str(k->obj, "metadata.namespace"),
						      mesh_js_str(k->obj, "metadata.name"));

		mesh_js_write(&conn.sent, k->obj);
		if (!e || !json_equal(e->obj, k->obj))
			fault("an object is not on disk as it is in memory");
		mesh_buf_clear(&conn.sent);
		json_decref(k->obj);
	}
	mesh_vec_free(&all);
}

/* --- one input --- */

static const char *masters[] = {"system:masters", NULL}, *nobody[] = {NULL};

static void serve(struct mesh_slice text)
{
	static const struct mesh_http1_limits limits = {.head_bytes = MESH_SERVE_HEAD_MAX};
	struct mesh_http1_field fields[MESH_SERVE_HEADERS];
	struct mesh_http1_head h;
	struct mesh_request *req;

	mesh_http1_head_init(&h, MESH_HTTP1_REQUEST, fields, MESH_SERVE_HEADERS, &limits);
	if (mesh_http1_head_parse(&h, text.ptr, text.len) != MESH_HTTP1_DONE)
		return;
	req = mesh_xcalloc(1, sizeof(*req));
	conn.req = req;
	req->conn = &conn;
	req->method = mesh_arena_slice(&req->arena, h.method);
	req->upgrade = h.upgrade;
	req->headers = mesh_arena_array(&req->arena, struct mesh_pair, h.field_count);
	for (; req->header_count < h.field_count; req->header_count++)
		req->headers[req->header_count] =
			(struct mesh_pair){mesh_arena_slice(&req->arena, h.fields[req->header_count].name),
					   mesh_arena_slice(&req->arena, h.fields[req->header_count].value)};
	if (mesh_target_parse(req, h.path) < 0) {
		over(req);
		return;
	}
	if (mesh_request_header(req, "Authorization")) {
		req->cert_groups = nobody;
	} else {
		req->cert_user = "kubernetes-admin";
		req->cert_groups = masters;
	}
	req->body = mesh_slice_of(mesh_arena_slice(&req->arena, mesh_slice_of(text.ptr + h.size, text.len - h.size)),
				  text.len - h.size);
	requests++;
	mesh_api_serve(store, req);
	settle();
	req = conn.req;
	if (!req)
		return;
	if (!req->streaming && !req->tunnel)
		fault("a request without an answer");
	if (req->closed)
		req->closed(req);
	over(req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char between[] = "\n%%\n";
	const char *at = (const char *)data, *end = at + size;
	uint64_t rv;

	if (!store)
		set_up();
	rv = store->state->rv;
	for (int i = 0; i < REQUESTS_MAX && at; i++) {
		const char *cut = memmem(at, (size_t)(end - at), between, sizeof(between) - 1);

		serve(mesh_slice_of(at, (size_t)((cut ? cut : end) - at)));
		at = cut ? cut + sizeof(between) - 1 : NULL;
	}
	if (store->state->rv != rv) {
		changes++;
		compare_with_disk();
		reset();
	}
	return 0;
}
