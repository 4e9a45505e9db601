/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says who answered and which request it saw, as JSON. Options, for all requests or, as query
 * parameters of the same names, for one: --delay MS, --status CODE, --size BYTES (a body of that
 * many bytes instead). --port LIST (else $PORT, else 8080).
 */
#include "lab/app.h"

#include "core/log.h"
#include "core/mem.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>

struct shape {
	unsigned long delay_ms, status, size;
	bool sized;
};

static struct shape general = {.status = 200};

static json_t *text_of(struct mesh_slice s)
{
	json_t *v = json_stringn(s.ptr ? s.ptr : "", s.len);

	return v ? v : json_string("(not UTF-8)");
}

static json_t *env_text(const char *name)
{
	const char *v = getenv(name);

	return json_string(v ? v : "");
}

static json_t *headers_of(const struct mesh_app_head *head)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < head->count; i++) {
		char *name = mesh_xstrndup(head->headers[i].name.ptr, head->headers[i].name.len);
		json_t *list;

		for (char *c = name; *c; c++)
			*c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 32) : *c;
		list = json_object_get(all, name);
		if (!list) {
			list = json_array();
			json_object_set_new(all, name, list);
		}
		json_array_append_new(list, text_of(head->headers[i].value));
		free(name);
	}
	return all;
}

static char *describe(const struct mesh_app_request *req)
{
	const struct mesh_app_head *h = req->head;
	json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:s, s:s, s:o}", "pod", env_text("HOSTNAME"),
			      "namespace", env_text("NAMESPACE"), "service", env_text("SERVICE_NAME"), "method",
			      text_of(h->method), "path", text_of(h->target), "proto",
			      h->http10 ? "HTTP/1.0" : "HTTP/1.1", "host", text_of(mesh_app_header_get(h, "host")),
			      "peer", req->peer, "local", req->local, "headers", headers_of(h));
	char *text;

	json_object_set_new(o, "bodyBytes", json_integer((json_int_t)req->body.len));
	if (req->body.len && req->body.len <= 64 << 10)
		json_object_set_new(o, "body", text_of(req->body));
	text = json_dumps(o, JSON_INDENT(1));
	json_decref(o);
	return text ? text : mesh_xstrdup("{}");
}

static struct shape shape_of(struct mesh_slice query)
{
	struct shape s = general;
	struct mesh_slice part, name;
	uint64_t n;

	while (mesh_slice_split(&query, '&', &part)) {
		mesh_slice_split(&part, '=', &name);
		if (mesh_slice_ends(part, MESH_SLICE("ms")))
			part.len -= 2;
		if (mesh_slice_to_u64(part, MESH_APP_BODY_MAX, &n) < 0)
			continue;
		if (mesh_slice_eq(name, MESH_SLICE("delay"))) {
			s.delay_ms = n;
		} else if (mesh_slice_eq(name, MESH_SLICE("status"))) {
			s.status = n;
		} else if (mesh_slice_eq(name, MESH_SLICE("size"))) {
			s.size = n;
			s.sized = true;
		}
	}
	if (s.status < 200 || s.status > 599)
		s.status = 200;
	return s;
}

static void answer(struct mesh_app_conn *conn, void *arg)
{
	const struct mesh_app_request *req = mesh_app_request_of(conn);
	struct shape s = shape_of(req->query);
	mesh_auto(mesh_buf_free) struct mesh_buf body = {0};

	(void)arg;
	if (s.sized) {
		memset(mesh_buf_room(&body, s.size), 'x', s.size);
		body.len = s.size;
		mesh_app_reply(conn, (int)s.status, NULL, NULL, mesh_buf_view(&body));
		return;
	}
	char *text = describe(req);

	mesh_buf_printf(&body, "%s\n", text);
	free(text);
	mesh_app_reply(conn, (int)s.status, "application/json", NULL, mesh_buf_view(&body));
}

static void handle(struct mesh_app_conn *conn, const struct mesh_app_request *req, void *arg)
{
	struct shape s = shape_of(req->query);

	(void)arg;
	if (s.delay_ms)
		mesh_app_later(conn, (unsigned)s.delay_ms, answer, NULL);
	else
		answer(conn, NULL);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"port", required_argument, NULL, 'p'},
		{"delay", required_argument, NULL, 'd'},
		{"status", required_argument, NULL, 's'},
		{"size", required_argument, NULL, 'n'},
		{NULL, 0, NULL, 0},
	};
	const char *port = getenv("PORT"), *drain = getenv("DRAIN_MS");
	struct mesh_app_opts opts = {.ports = port ? port : "8080", .handler = handle, .drain_ms = 250};
	int c;

	mesh_log_init("echo", MESH_LOG_INFO);
	while ((c = getopt_long(argc, argv, "p:d:s:n:", options, NULL)) != -1) {
		if (c == 'p') {
			opts.ports = optarg;
		} else if (c == 'd') {
			general.delay_ms = strtoul(optarg, NULL, 10);
		} else if (c == 's') {
			general.status = strtoul(optarg, NULL, 10);
		} else if (c == 'n') {
			general.size = MESH_MIN(strtoul(optarg, NULL, 10), (unsigned long)MESH_APP_BODY_MAX);
			general.sized = true;
		} else {
			fputs("usage: echo [--port LIST] [--delay MS] [--status CODE] [--size BYTES]\n", stderr);
			return 2;
		}
	}
	if (drain)
		opts.drain_ms = (unsigned)atoi(drain);
	mesh_info("listening on port %s", opts.ports);
	return mesh_app_serve(&opts);
}
