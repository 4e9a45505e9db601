/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tunnel.h"

#include "core/mem.h"

enum { KUBELET_PORT = 10250, CONNECT_S = 10, BACKLOG = 256 << 10, CHUNK = 64 << 10 };

struct tunnel {
	struct mesh_call call;
	struct mesh_tls kubelet, *client;
	struct mesh_timer timer; /* until the kubelet is there */
	struct mesh_addr addr;
	bool answered; /* bytes of the kubelet's answer went to the client */
	bool judged;   /* its answer is one to be handed on as it is */
};

static void tunnel_free(struct tunnel *t)
{
	mesh_timer_remove(t->call.store->loop, &t->timer);
	mesh_tls_close(&t->kubelet);
	free(t);
}

static void client_closed(struct mesh_request *req)
{
	tunnel_free(req->data);
}

/* Ends both sides. Before any answer the client is told why. */
static void end(struct tunnel *t, const char *why)
{
	struct mesh_request *req = t->call.req;
	struct mesh_call call = t->call;
	char text[MESH_ADDR_TEXT];
	struct mesh_addr addr = t->addr;
	bool tell = !t->answered && why && !t->client->failed;

	tunnel_free(t);
	req->closed = NULL;
	req->tunnel = NULL;
	if (tell)
		mesh_call_status(&call, 500, "InternalError", json_object(),
				 "Internal error occurred: kubelet at %s: %s", mesh_addr_text(&addr, text), why);
	else
		mesh_request_drop(req);
}

/* Moves what from has received to what to sends, as far as to has room. */
static void carry(struct mesh_tls *from, struct mesh_tls *to)
{
	for (int i = 0; i < 16 && mesh_tls_pending(to) < BACKLOG; i++) {
		if (from->in.len == 0)
			mesh_tls_fill(from);
		if (from->in.len == 0)
			break;
		mesh_buf_slice(&to->out, mesh_buf_view(&from->in));
		mesh_buf_clear(&from->in);
		if (mesh_tls_flush(to) < 0)
			break;
	}
	mesh_tls_fill(from);
}

/* The kubelet's refusal, a text, becomes a Status. */
static void refused(struct tunnel *t, int status, struct mesh_slice body)
{
	struct mesh_request *req = t->call.req;
	struct mesh_call call = t->call;
	const char *text = mesh_arena_slice(call.arena, mesh_slice_trim(body));

	tunnel_free(t);
	req->closed = NULL;
	req->tunnel = NULL;
	if (status == 400)
		mesh_call_bad_request(&call, "%s", text);
	else if (status == 404)
		mesh_call_status(&call, 404, "NotFound", json_object(), "%s", text);
	else
		mesh_call_status(&call, 500, "InternalError", json_object(), "Internal error occurred: %s", text);
}

/* Looks at the beginning of the answer to a request for logs. Returns true to go on, false to wait or when it was a
 * refusal, which ends the tunnel. */
static bool judge(struct tunnel *t)
{
	static const char between[] = "\r\n\r\n", field[] = "\r\nContent-Length:";
	const struct mesh_buf *in = &t->kubelet.in;
	const char *end = in->len ? memmem(in->data, in->len, between, sizeof(between) - 1) : NULL, *length;
	size_t body, want;
	int status;

	if (!end) /* not yet, or never */
		return t->kubelet.eof || t->kubelet.failed || in->len >= t->kubelet.in_limit;
	status = in->len > 12 ? atoi(in->data + 9) : 0; /* "HTTP/1.1 400" */
	if (status < 300)
		return true;
	body = (size_t)(end - in->data) + sizeof(between) - 1;
	length = strcasestr(in->data, field);
	want = length && length < end ? strtoul(length + sizeof(field) - 1, NULL, 10) : SIZE_MAX;
	if (in->len - body < want && !t->kubelet.eof && !t->kubelet.failed && in->len < t->kubelet.in_limit)
		return false;
	refused(t, status, mesh_slice_of(in->data + body, MESH_MIN(want, in->len - body)));
	return false;
}

static void pump(struct tunnel *t)
{
	struct mesh_tls *a = t->client, *b = &t->kubelet;

	if (!t->judged && b->open && !a->failed) {
		t->judged = strcmp(t->call.sub, "log") != 0;
		if (!t->judged && !judge(t))
			return;
		t->judged = true;
	}
	if (b->open && !a->failed) {
		t->answered |= b->in.len > 0;
		carry(b, a);
		if (!b->failed)
			carry(a, b);
		t->answered |= mesh_tls_pending(a) > 0;
	}
	if (a->failed || b->failed)
		end(t, "the connection failed");
	else if (b->eof && b->in.len == 0 && !mesh_tls_pending(a))
		end(t, "the connection was closed");
	else if (a->eof && a->in.len == 0 && b->open && !mesh_tls_pending(b))
		end(t, NULL);
}

static void on_client(struct mesh_request *req)
{
	struct tunnel *t = req->data;

	mesh_tls_flush(t->client);
	pump(t);
}

static void on_kubelet(struct mesh_tls *tls)
{
	struct tunnel *t = tls->arg;

	if (tls->open)
		mesh_timer_remove(t->call.store->loop, &t->timer);
	mesh_tls_flush(tls);
	pump(t);
}

static void on_timeout(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	end(mesh_container_of(timer, struct tunnel, timer), "timed out");
}

static const json_t *named(const json_t *list, const char *name)
{
	size_t i;
	json_t *item;

	json_array_foreach((json_t *)list, i, item) if (strcmp(mesh_js_str(item, "name"), name) == 0) return item;
	return NULL;
}

/* The container that is meant; NULL after having replied. */
static const char *container_of(struct mesh_call *call, const json_t *pod)
{
	const json_t *list = mesh_js_at(pod, "spec.containers");
	const char *name = mesh_request_param(call->req, "container"), *names = "";
	size_t i;
	json_t *c;

	if (!name || !name[0]) {
		json_t *annotations = mesh_js_at(pod, "metadata.annotations");

		name = json_string_value(json_object_get(annotations, "kubectl.kubernetes.io/default-container"));
	}
	if (name && name[0]) {
		if (named(list, name) || named(mesh_js_at(pod, "spec.initContainers"), name))
			return name;
		mesh_call_bad_request(call, "container %s is not valid for pod %s", name, call->name);
		return NULL;
	}
	if (json_array_size(list) == 1)
		return mesh_js_str(json_array_get(list, 0), "name");
	json_array_foreach((json_t *)list, i, c) names =
		mesh_arena_printf(call->arena, "%s%s%s", names, i ? " " : "", mesh_js_str(c, "name"));
	mesh_call_bad_request(call, "a container name must be specified for pod %s, choose one of: [%s]", call->name,
			      names);
	return NULL;
}

/* Where the kubelet of the pod's node listens. Returns false after having replied. */
static bool kubelet_of(struct mesh_call *call, const json_t *pod, struct mesh_addr *ret)
{
	const char *node = mesh_js_str(pod, "spec.nodeName");
	struct mesh_resource *nodes = mesh_state_resource(call->store->state, "", "nodes");
	struct mesh_entry *e = nodes && node[0] ? mesh_state_get(nodes, "", node) : NULL;
	int64_t port = mesh_js_int(e ? e->obj : NULL, "status.daemonEndpoints.kubeletEndpoint.Port", KUBELET_PORT);
	size_t i;
	json_t *a;

	if (!node[0] && strcmp(call->sub, "log") == 0) { /* nothing has run: nothing was said */
		mesh_call_text(call, 200, "text/plain", mesh_slice_of("", 0));
		return false;
	}
	if (!node[0]) {
		mesh_call_bad_request(call, "pod %s does not have a host assigned", call->name);
		return false;
	}
	json_array_foreach(mesh_js_at(e ? e->obj : NULL, "status.addresses"), i,
			   a) if (strcmp(mesh_js_str(a, "type"), "InternalIP") == 0 &&
				  mesh_addr_parse(mesh_slice_str(mesh_js_str(a, "address")), (uint16_t)port, ret) ==
					  0) return true;
	mesh_call_status(call, 500, "InternalError", json_object(),
			 "Internal error occurred: node %s has no InternalIP", node);
	return false;
}

static void add_escaped(struct mesh_buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-._~", c))
			mesh_buf_char(out, (char)c);
		else
			mesh_buf_printf(out, "%%%02X", c);
	}
}

/* The API's and the kubelet's names of the same parameters. */
static const char *kubelet_param(const char *name)
{
	static const char *const table[][2] = {{"stdin", "input"}, {"stdout", "output"}, {"stderr", "error"}};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(table); i++)
		if (strcmp(table[i][0], name) == 0)
			return table[i][1];
	return strcmp(name, "container") == 0 ? NULL : name;
}

static const char *as_kubelet(const char *name, const char *value)
{
	bool stream = strcmp(name, "input") == 0 || strcmp(name, "output") == 0 || strcmp(name, "error") == 0 ||
		      strcmp(name, "tty") == 0;

	return !stream ? value : strcmp(value, "true") == 0 || strcmp(value, "1") == 0 ? "1" : "0";
}

static void write_head(struct mesh_call *call, const char *container, struct mesh_buf *out)
{
	static const char *const passed[] = {"Upgrade",
					     "Sec-WebSocket-Key",
					     "Sec-WebSocket-Version",
					     "Sec-WebSocket-Protocol",
					     "Sec-WebSocket-Extensions",
					     "Origin"};
	bool log = strcmp(call->sub, "log") == 0;
	const struct mesh_request *req = call->req;

	mesh_buf_printf(out, "%s /%s/%s/%s", req->method, log ? "containerLogs" : call->sub, call->ns, call->name);
	mesh_buf_char(out, '/');
	add_escaped(out, container);
	for (size_t i = 0, n = 0; i < req->param_count; i++) {
		const char *name = kubelet_param(req->params[i].name);

		if (!name)
			continue;
		mesh_buf_char(out, n++ ? '&' : '?');
		add_escaped(out, name);
		mesh_buf_char(out, '=');
		add_escaped(out, as_kubelet(name, req->params[i].value));
	}
	mesh_buf_str(out, " HTTP/1.1\r\nHost: kubelet\r\n");
	for (size_t i = 0; i < MESH_ARRAY_SIZE(passed) && req->upgrade; i++)
		if (mesh_request_header(req, passed[i]))
			mesh_buf_printf(out, "%s: %s\r\n", passed[i], mesh_request_header(req, passed[i]));
	mesh_buf_printf(out, "Connection: %s\r\n\r\n", req->upgrade ? "Upgrade" : "close");
}

static void start(struct mesh_call *call, const char *container, const struct mesh_addr *addr)
{
	struct tunnel *t = mesh_xcalloc(1, sizeof(*t));
	int r;

	t->call = *call;
	t->addr = *addr;
	t->timer.fn = on_timeout;
	t->kubelet.in_limit = CHUNK;
	r = mesh_tls_connect(&t->kubelet, call->store->loop, call->store->client_ctx, addr, NULL, on_kubelet, t);
	if (r < 0) {
		char text[MESH_ADDR_TEXT];

		free(t);
		mesh_call_status(call, 500, "InternalError", json_object(),
				 "Internal error occurred: kubelet at %s: %s", mesh_addr_text(addr, text),
				 strerror(-r));
		return;
	}
	write_head(call, container, &t->kubelet.out);
	call->req->data = t;
	call->req->closed = client_closed;
	call->req->tunnel = on_client;
	t->client = mesh_request_take(call->req);
	mesh_timer_set(call->store->loop, &t->timer, MESH_SEC(CONNECT_S));
}

/* Can this request be tunneled at all? Returns false after having replied. */
static bool acceptable(struct mesh_call *call)
{
	const char *upgrade = mesh_request_header(call->req, "Upgrade");

	if (strcmp(call->sub, "log") == 0)
		return true;
	if (strcmp(call->sub, "portforward") == 0) { /* it is SPDY, also where it comes within a WebSocket */
		mesh_call_bad_request(call, "port-forward is not served by the embedded API of Sockmesh: use the pod's "
					    "address, a Service, or `meshctl exec POD -- curl`");
		return false;
	}
	if (upgrade && strncasecmp(upgrade, "SPDY", 4) == 0) {
		mesh_call_bad_request(call,
				      "SPDY is not served by the embedded API of Sockmesh: use a kubectl from 1.31 on "
				      "(WebSocket), or `meshctl exec`");
		return false;
	}
	if (!call->req->upgrade || !upgrade) {
		mesh_call_bad_request(call, "Upgrade request required");
		return false;
	}
	return true;
}

static bool method_fits(const struct mesh_call *call)
{
	const char *method = call->req->method;

	return strcmp(method, "GET") == 0 || (strcmp(method, "POST") == 0 && strcmp(call->sub, "log") != 0);
}

bool mesh_tunnel_serve(struct mesh_call *call)
{
	static const char *const subs[] = {"log", "exec", "attach", "portforward"};
	struct mesh_addr addr;
	struct mesh_entry *e;
	const char *container;
	bool ours = false;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(subs); i++)
		ours |= strcmp(subs[i], call->sub) == 0;
	if (!ours)
		return false;
	e = mesh_state_get(call->res, call->ns, call->name);
	if (!e)
		mesh_call_not_found(call, call->name);
	else if (!method_fits(call))
		mesh_call_method_not_allowed(call);
	else if ((container = container_of(call, e->obj)) && kubelet_of(call, e->obj, &addr) && acceptable(call))
		start(call, container, &addr);
	return true;
}
