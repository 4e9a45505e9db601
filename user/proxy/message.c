/* SPDX-License-Identifier: Apache-2.0 */
/* Heads as they are sent on: end-to-end fields in order and as they came, hop-by-hop fields removed (RFC 9110 7.6.1).
 */
#include "proxy/engine.h"
#include "proxy/router.h"

/* What Connection may not take away: the message would be framed or routed differently without it. */
static bool nominable(enum mesh_http1_name id)
{
	return id != MESH_HTTP1_HOST && id != MESH_HTTP1_CONTENT_LENGTH && id != MESH_HTTP1_TRANSFER_ENCODING &&
	       id != MESH_HTTP1_UPGRADE && id != MESH_HTTP1_TE; /* they have rules of their own */
}

static bool nominated(const struct mesh_http1_head *h, const struct mesh_http1_field *f)
{
	if (!h->nominates || !nominable(f->id))
		return false;
	for (size_t i = 0; i < h->field_count; i++)
		if (h->fields[i].id == MESH_HTTP1_CONNECTION && mesh_http1_list_has(h->fields[i].value, f->name))
			return true;
	return false;
}

/* Copies all field lines but those that drop() names, in runs. */
static void copy_fields(struct mesh_buf *out, const struct mesh_request *r, const struct mesh_http1_head *h,
			bool (*drop)(const struct mesh_request *r, const struct mesh_http1_field *f))
{
	const char *run, *end = h->base + h->size - 2;

	if (h->field_count == 0)
		return;
	run = h->fields[0].name.ptr;
	for (size_t i = 0; i < h->field_count; i++) {
		const struct mesh_http1_field *f = &h->fields[i];

		if ((f->id == MESH_HTTP1_OTHER || !drop(r, f)) && !nominated(h, f))
			continue;
		mesh_buf_add(out, run, (size_t)(f->name.ptr - run));
		run = i + 1 < h->field_count ? f[1].name.ptr : end;
	}
	mesh_buf_add(out, run, (size_t)(end - run));
}

static bool seen(const struct mesh_http1_head *h, enum mesh_http1_name id)
{
	return h->seen & (1u << id);
}

static const struct mesh_http1_field *last_of(const struct mesh_http1_head *h, enum mesh_http1_name id)
{
	for (size_t i = h->field_count; i-- > 0;)
		if (h->fields[i].id == id)
			return &h->fields[i];
	return NULL;
}

static bool gateway(const struct mesh_request *r)
{
	return r->down->listener->origdst == NULL;
}

/* Of what TE may say, the one thing that is true of every hop here. */
static bool only_trailers(const struct mesh_http1_field *f)
{
	return mesh_slice_eq_nocase(f->value, MESH_SLICE("trailers"));
}

static bool drop_of_request(const struct mesh_request *r, const struct mesh_http1_field *f)
{
	switch (f->id) {
	case MESH_HTTP1_CONNECTION:
	case MESH_HTTP1_KEEP_ALIVE:
	case MESH_HTTP1_PROXY_CONNECTION:
	case MESH_HTTP1_HTTP2_SETTINGS:
		return true;
	case MESH_HTTP1_UPGRADE:
		return !r->upgrade || r->upgrade_cut;
	case MESH_HTTP1_TE:
		return !only_trailers(f);
	case MESH_HTTP1_HOST:
		return r->head.absolute;
	case MESH_HTTP1_X_FORWARDED_PROTO:
		return gateway(r);
	case MESH_HTTP1_X_FORWARDED_FOR:
		return gateway(r) && f == last_of(&r->head, f->id);
	default:
		return false;
	}
}

/* A random UUID (RFC 9562 section 5.4). */
static void add_request_id(struct mesh_buf *out, uint64_t *seed)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t half[2] = {mesh_random_next(seed), mesh_random_next(seed)};
	char text[36];

	half[0] = (half[0] & ~0xF000ULL) | 0x4000ULL;
	half[1] = (half[1] & ~(3ULL << 62)) | (2ULL << 62);
	for (unsigned i = 0, n = 0; i < sizeof(text); i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			text[i] = '-';
			continue;
		}
		text[i] = digits[(half[n / 16] >> (60 - n % 16 * 4)) & 15];
		n++;
	}
	mesh_buf_add(out, "x-request-id: ", 14);
	mesh_buf_add(out, text, sizeof(text));
	mesh_buf_add(out, "\r\n", 2);
}

static void add_line(struct mesh_buf *out, struct mesh_slice name, struct mesh_slice value)
{
	mesh_buf_slice(out, name);
	mesh_buf_slice(out, value);
	mesh_buf_add(out, "\r\n", 2);
}

static void add_forwarded(struct mesh_buf *out, const struct mesh_request *r)
{
	const struct mesh_http1_field *f = last_of(&r->head, MESH_HTTP1_X_FORWARDED_FOR);
	char peer[MESH_ADDR_TEXT];

	mesh_buf_str(out, "x-forwarded-for: ");
	if (f && f->value.len) {
		mesh_buf_slice(out, f->value);
		mesh_buf_str(out, ", ");
	}
	mesh_buf_str(out, mesh_addr_ip_text(&r->down->peer, peer));
	mesh_buf_str(out, "\r\n");
}

/* "h2c", "HTTP/2.0" and their like. */
static bool is_http(struct mesh_slice protocol)
{
	static const char *const names[] = {"http", "h2", "h2c", "h3"};
	struct mesh_slice name;

	mesh_slice_split(&protocol, '/', &name);
	name = mesh_slice_trim(name);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(names); i++)
		if (mesh_slice_eq_nocase(name, mesh_slice_str(names[i])))
			return true;
	return name.len > 4 && mesh_slice_eq_nocase(mesh_slice_of(name.ptr, 4), MESH_SLICE("h2c-"));
}

/* Calls fn with each protocol of every Upgrade field. */
static void each_protocol(const struct mesh_http1_head *h, void (*fn)(void *arg, struct mesh_slice protocol), void *arg)
{
	struct mesh_slice list, part;

	for (size_t i = 0; i < h->field_count; i++) {
		if (h->fields[i].id != MESH_HTTP1_UPGRADE)
			continue;
		list = h->fields[i].value;
		while (mesh_slice_split(&list, ',', &part)) {
			part = mesh_slice_trim(part);
			if (part.len)
				fn(arg, part);
		}
	}
}

struct protocols {
	struct mesh_buf *out; /* may be NULL */
	size_t http, others;
};

static void take_protocol(void *arg, struct mesh_slice protocol)
{
	struct protocols *p = arg;

	if (is_http(protocol)) {
		p->http++;
		return;
	}
	if (p->out) {
		mesh_buf_str(p->out, p->others ? ", " : "upgrade: ");
		mesh_buf_slice(p->out, protocol);
	}
	p->others++;
}

void mesh_message_upgrade(struct mesh_request *r)
{
	struct protocols p = {0};

	each_protocol(&r->head, take_protocol, &p);
	r->upgrade = p.others > 0;
	r->upgrade_cut = r->upgrade && p.http > 0;
}

bool mesh_message_switch_allowed(const struct mesh_request *r)
{
	struct protocols p = {0};

	each_protocol(&r->answer, take_protocol, &p);
	return r->upgrade && p.http == 0;
}

static void add_upgrade(struct mesh_buf *out, const struct mesh_http1_head *h)
{
	struct protocols p = {.out = out};

	each_protocol(h, take_protocol, &p);
	mesh_buf_str(out, "\r\n");
}

/* For the origin server: RFC 9112 sections 3.2.1 and 3.2.4. */
static struct mesh_slice target_of(const struct mesh_http1_head *h)
{
	bool no_path = h->path.ptr < h->target.ptr || h->path.ptr >= h->target.ptr + h->target.len;

	if (!h->absolute)
		return h->target;
	return no_path && mesh_slice_eq(h->method, MESH_SLICE("OPTIONS")) ? MESH_SLICE("*") : h->path;
}

/* TE goes with an option of its name: RFC 9110 section 10.1.4. */
static void add_options(struct mesh_buf *out, const struct mesh_request *r)
{
	bool te = false;

	for (size_t i = 0; seen(&r->head, MESH_HTTP1_TE) && i < r->head.field_count; i++)
		te |= r->head.fields[i].id == MESH_HTTP1_TE && only_trailers(&r->head.fields[i]);
	if (r->upgrade)
		mesh_buf_str(out, te ? "connection: upgrade, te\r\n" : "connection: upgrade\r\n");
	else if (te)
		mesh_buf_str(out, "connection: te\r\n");
}

void mesh_message_request(struct mesh_request *r)
{
	const struct mesh_http1_head *h = &r->head;
	struct mesh_buf *out = &r->up_head;

	mesh_buf_clear(out);
	mesh_buf_room(out, h->size + 256);
	mesh_buf_slice(out, h->method);
	mesh_buf_char(out, ' ');
	if (h->absolute && h->path.ptr[0] == '?')
		mesh_buf_char(out, '/');
	mesh_buf_slice(out, target_of(h));
	mesh_buf_add(out, " HTTP/1.1\r\n", 11);
	if (h->absolute || (h->minor == 0 && !seen(h, MESH_HTTP1_HOST)))
		add_line(out, MESH_SLICE("host: "), h->authority);
	copy_fields(out, r, h, drop_of_request);
	if (gateway(r))
		add_forwarded(out, r);
	if (gateway(r) || !seen(h, MESH_HTTP1_X_FORWARDED_PROTO))
		mesh_buf_add(out, "x-forwarded-proto: http\r\n", 25);
	if (!seen(h, MESH_HTTP1_X_REQUEST_ID))
		add_request_id(out, &r->down->worker->seed);
	if (r->upgrade_cut)
		add_upgrade(out, h);
	add_options(out, r);
	mesh_buf_add(out, "\r\n", 2);
	r->up_head_sent = 0;
}

static bool drop_of_response(const struct mesh_request *r, const struct mesh_http1_field *f)
{
	int s = r->answer.status;

	switch (f->id) {
	case MESH_HTTP1_CONNECTION:
	case MESH_HTTP1_KEEP_ALIVE:
	case MESH_HTTP1_PROXY_CONNECTION:
	case MESH_HTTP1_X_ENVOY_UPSTREAM_SERVICE_TIME:
		return true;
	case MESH_HTTP1_UPGRADE:
		return s != 101 && s != 426;
	case MESH_HTTP1_TRANSFER_ENCODING:
		return r->plain || s / 100 == 1 || s == 204 || r->tunnel;
	case MESH_HTTP1_CONTENT_LENGTH:
		return s / 100 == 1 || s == 204 || r->tunnel;
	default:
		return false;
	}
}

static void add_status(struct mesh_buf *out, const struct mesh_http1_head *h)
{
	char line[] = "HTTP/1.1 000 ";

	line[9] = (char)('0' + h->status / 100);
	line[10] = (char)('0' + h->status / 10 % 10);
	line[11] = (char)('0' + h->status % 10);
	mesh_buf_add(out, line, 13);
	mesh_buf_slice(out, h->reason);
	mesh_buf_add(out, "\r\n", 2);
}

void mesh_message_informational(struct mesh_request *r)
{
	add_status(&r->down_head, &r->answer);
	copy_fields(&r->down_head, r, &r->answer, drop_of_response);
	mesh_buf_add(&r->down_head, "\r\n", 2);
}

static void add_connection(struct mesh_buf *out, const struct mesh_request *r)
{
	if (r->tunnel && r->status == 101)
		mesh_buf_str(out, "connection: upgrade\r\n");
	else if (!r->keep && !r->tunnel)
		mesh_buf_str(out, "connection: close\r\n");
	else if (r->old && !r->tunnel)
		mesh_buf_str(out, "connection: keep-alive\r\n");
}

static void add_number(struct mesh_buf *out, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	mesh_buf_add(out, digits + at, sizeof(digits) - at);
}

void mesh_message_response(struct mesh_request *r)
{
	const struct mesh_http1_head *h = &r->answer;
	struct mesh_worker *w = r->down->worker;
	struct mesh_buf *out = &r->down_head;

	mesh_buf_room(out, h->size + 256);
	add_status(out, h);
	copy_fields(out, r, h, drop_of_response);
	mesh_buf_add(out, "x-envoy-upstream-service-time: ", 31);
	add_number(out, (mesh_loop_now_ns(w->loop) - r->begin_ns) / 1000000);
	mesh_buf_add(out, "\r\n", 2);
	if (!seen(h, MESH_HTTP1_SERVER))
		add_line(out, MESH_SLICE("server: "), mesh_slice_str(w->proxy->server_name));
	if (!seen(h, MESH_HTTP1_DATE))
		add_line(out, MESH_SLICE("date: "), mesh_slice_str(mesh_worker_date(w)));
	add_connection(out, r);
	mesh_buf_add(out, "\r\n", 2);
}

void mesh_message_reply(struct mesh_request *r, int status, const char *text)
{
	struct mesh_worker *w = r->down->worker;
	struct mesh_buf *out = &r->down_head;

	mesh_buf_printf(out, "HTTP/1.1 %d %s\r\ncontent-length: %zu\r\n", status, mesh_http1_reason(status),
			strlen(text));
	if (text[0])
		mesh_buf_str(out, "content-type: text/plain\r\n");
	mesh_buf_printf(out, "date: %s\r\nserver: %s\r\n", mesh_worker_date(w), w->proxy->server_name);
	add_connection(out, r);
	mesh_buf_add(out, "\r\n", 2);
	if (!r->is_head)
		mesh_buf_str(out, text);
}
