/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tutorial's three services in one binary: gateway calls partner, partner calls catalog,
 * and catalog answers who it is and how often it was asked. Which one it is: the first argument,
 * else $APP, else the name it was started by.
 */
#include "lab/app.h"

#include "core/log.h"
#include "core/mem.h"

#include <stdatomic.h>
#include <stdio.h>

struct service {
	const char *name;
	const char *calls;   /* host of the next service; NULL: answers itself */
	const char *version; /* catalog */
	bool entry;          /* where requests come in: turns what the client says of itself into baggage */
};

static const struct service services[] = {
	{"gateway", "partner", NULL, true},
	{"partner", "catalog", NULL, false},
	{"catalog", NULL, "v1", false},
	{"catalog-v2", NULL, "v2", false},
};

static const struct service *self;
static char id[256];
static atomic_ulong count;
static atomic_bool misbehaves;

/* Exact names, or prefixes that end in '-'. */
static const char *const forwarded[] = {
	"x-request-id",          "x-b3-",           "b3",       "traceparent",   "tracestate",
	"x-ot-span-context",     "baggage",         "baggage-", "uber-trace-id", "grpc-trace-bin",
	"x-cloud-trace-context", "user-preference",
};

static bool is_forwarded(struct mesh_slice name)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(forwarded); i++) {
		struct mesh_slice want = mesh_slice_str(forwarded[i]);
		struct mesh_slice got = name;

		if (want.ptr[want.len - 1] == '-' && got.len > want.len)
			got.len = want.len;
		if (mesh_slice_eq_nocase(got, want))
			return true;
	}
	return false;
}

static void add_header(struct mesh_buf *out, const char *name, struct mesh_slice value)
{
	if (value.ptr)
		mesh_buf_printf(out, "%s: %.*s\r\n", name, (int)value.len, value.ptr);
}

static void forward_headers(const struct mesh_app_head *head, struct mesh_buf *out)
{
	for (unsigned i = 0; i < head->count; i++) {
		const struct mesh_app_header *h = &head->headers[i];

		if (is_forwarded(h->name))
			mesh_buf_printf(out, "%.*s: %.*s\r\n", (int)h->name.len, h->name.ptr, (int)h->value.len,
					h->value.ptr);
	}
	if (!self->entry)
		return;
	if (!mesh_app_header_get(head, "baggage-user-agent").ptr)
		add_header(out, "baggage-user-agent", mesh_app_header_get(head, "user-agent"));
	if (!mesh_app_header_get(head, "baggage-user-preference").ptr)
		add_header(out, "baggage-user-preference", mesh_app_header_get(head, "user-preference"));
}

static void answer_called(struct mesh_app_conn *conn, int status, struct mesh_slice body, const char *error)
{
	struct mesh_slice text = mesh_slice_trim(body);

	if (status == 0)
		mesh_app_replyf(conn, 503, "%s => I/O error on GET request for \"http://%s:8080\": %s\n", self->name,
				self->calls, error);
	else if (status >= 400)
		mesh_app_replyf(conn, 503, "%s => %d %.*s\n", self->name, status, (int)text.len, text.ptr);
	else
		mesh_app_replyf(conn, 200, "%s => %.*s\n", self->name, (int)text.len, text.ptr);
}

static void call_next(struct mesh_app_conn *conn, const struct mesh_app_request *req)
{
	mesh_auto(mesh_buf_free) struct mesh_buf extra = {0};

	forward_headers(req->head, &extra);
	mesh_app_get(conn, self->calls, 8080, "/", mesh_buf_view(&extra), answer_called);
}

static void answer_catalog(struct mesh_app_conn *conn)
{
	if (atomic_load(&misbehaves))
		mesh_app_replyf(conn, 503, "catalog misbehavior from '%s'\n", id);
	else
		mesh_app_replyf(conn, 200, "catalog %s from '%s': %lu\n", self->version, id,
				atomic_fetch_add(&count, 1) + 1);
}

static void handle(struct mesh_app_conn *conn, const struct mesh_app_request *req, void *arg)
{
	bool catalog = self->version != NULL;

	(void)arg;
	if (mesh_slice_eq(req->path, MESH_SLICE("/health")) || mesh_slice_eq(req->path, MESH_SLICE("/health/ready"))) {
		mesh_app_replyf(conn, 200, "OK\n");
	} else if (catalog && mesh_slice_eq(req->path, MESH_SLICE("/misbehave"))) {
		atomic_store(&misbehaves, true);
		mesh_app_replyf(conn, 200, "Following requests to '/' will return a 503\n");
	} else if (catalog && mesh_slice_eq(req->path, MESH_SLICE("/behave"))) {
		atomic_store(&misbehaves, false);
		mesh_app_replyf(conn, 200, "Following requests to '/' will return a 200\n");
	} else if (!mesh_slice_eq(req->path, MESH_SLICE("/"))) {
		mesh_app_replyf(conn, 404, "%s has no %.*s\n", self->name, (int)req->path.len, req->path.ptr);
	} else if (catalog) {
		answer_catalog(conn);
	} else {
		call_next(conn, req);
	}
}

/* The pod's name less "catalog-vN-". */
static void find_id(void)
{
	const char *host = getenv("HOSTNAME");
	char own[sizeof(id)] = "unknown";
	int n = 0;

	if (!host || !*host) {
		gethostname(own, sizeof(own) - 1);
		host = own;
	}
	if (sscanf(host, "catalog-v%*[0-9]-%n", &n) < 0 || n == 0)
		n = 0;
	snprintf(id, sizeof(id), "%s", host + n);
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = argc > 1 ? argv[1] : getenv("APP");
	const char *port = getenv("PORT"), *drain = getenv("DRAIN_MS");
	struct mesh_app_opts opts = {.ports = port ? port : "8080", .handler = handle, .drain_ms = 250};

	if (!name)
		name = slash ? slash + 1 : argv[0];
	mesh_log_init(name, MESH_LOG_INFO);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(services); i++)
		if (strcmp(name, services[i].name) == 0)
			self = &services[i];
	if (!self) {
		mesh_error("usage: coolapp gateway|partner|catalog|catalog-v2 (or APP=...)");
		return 2;
	}
	if (drain)
		opts.drain_ms = (unsigned)atoi(drain);
	find_id();
	mesh_info("%s listens on port %s", self->name, opts.ports);
	return mesh_app_serve(&opts);
}
