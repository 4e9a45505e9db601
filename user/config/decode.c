/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durations, times, port protocols; Pods, Services and EndpointSlices to the model.
 */
#include "config/decode.h"

#include "config/columns.h"
#include "config/decode_json.h"
#include "core/buf.h"
#include "core/mem.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>

int mesh_decode_duration(const char *s, uint64_t *ret)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"ns", 1},   {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"\xce\xbcs", 1e3},
		     {"ms", 1e6}, {"s", 1e9},  {"m", 60e9},        {"h", 3600e9}};
	double total = 0;

	if (strcmp(s, "0") == 0) {
		*ret = 0;
		return 0;
	}
	if (!*s)
		return -EINVAL;
	while (*s) {
		size_t digits = strspn(s, "0123456789."), u, len;
		char number[40];
		double v;

		if (digits == 0 || digits >= sizeof(number) || strspn(s, ".") == digits)
			return -EINVAL;
		memcpy(number, s, digits);
		number[digits] = '\0';
		if (strchr(number, '.') != strrchr(number, '.'))
			return -EINVAL;
		v = strtod(number, NULL);
		s += digits;
		len = 0;
		while (s[len] && !isdigit((unsigned char)s[len]) && s[len] != '.')
			len++;
		for (u = 0; u < MESH_ARRAY_SIZE(units); u++)
			if (strlen(units[u].unit) == len && memcmp(units[u].unit, s, len) == 0)
				break;
		if (u == MESH_ARRAY_SIZE(units))
			return -EINVAL;
		s += len;
		total += v * units[u].ns;
	}
	if (total > (double)INT64_MAX)
		return -EINVAL;
	*ret = (uint64_t)llround(total);
	return 0;
}

static int two(const char *s)
{
	if (!isdigit((unsigned char)s[0]) || !isdigit((unsigned char)s[1]))
		return -1;
	return (s[0] - '0') * 10 + s[1] - '0';
}

/* Days from 1970-01-01 of a date in the proleptic Gregorian calendar. */
static int64_t days_of(int y, int m, int d)
{
	int64_t era, doe;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	doe = (int64_t)(y - era * 400) * 365 + (y - era * 400) / 4 - (y - era * 400) / 100 +
	      (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + doe - 719468;
}

int mesh_decode_time(const char *s, int64_t *ret)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	int y, mo, d, h, mi, se, offset = 0;

	for (size_t i = 0; form[i]; i++) {
		bool digit = isdigit((unsigned char)s[i]) != 0;

		if (form[i] == 'd' ? !digit : (s[i] != form[i] && !(form[i] == 'T' && s[i] == 't')))
			return -EINVAL;
	}
	y = two(s) * 100 + two(s + 2);
	mo = two(s + 5);
	d = two(s + 8);
	h = two(s + 11);
	mi = two(s + 14);
	se = two(s + 17);
	s += 19;
	if (mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || se > 60)
		return -EINVAL;
	if (*s == '.') {
		size_t n = strspn(s + 1, "0123456789");

		if (!n)
			return -EINVAL;
		s += 1 + n;
	}
	if (*s == '+' || *s == '-') {
		if (two(s + 1) < 0 || s[3] != ':' || two(s + 4) < 0 || s[6])
			return -EINVAL;
		offset = (two(s + 1) * 60 + two(s + 4)) * (*s == '-' ? -60 : 60);
	} else if ((*s != 'Z' && *s != 'z') || s[1]) {
		return -EINVAL;
	}
	*ret = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + se - offset;
	return 0;
}

enum mesh_protocol mesh_decode_protocol(const char *name, const char *app, const char *transport, bool *is_http2)
{
	static const struct {
		const char *word;
		enum mesh_protocol protocol;
		bool http2;
	} words[] = {
		{"http", MESH_PROTOCOL_HTTP, false},
		{"http2", MESH_PROTOCOL_HTTP, true},
		{"grpc", MESH_PROTOCOL_HTTP, true},
		{"grpc-web", MESH_PROTOCOL_HTTP, false},
		{"h2c", MESH_PROTOCOL_HTTP, true},
		{"kubernetes.io/h2c", MESH_PROTOCOL_HTTP, true},
		{"kubernetes.io/ws", MESH_PROTOCOL_HTTP, false},
		{"https", MESH_PROTOCOL_HTTPS, false},
		{"tls", MESH_PROTOCOL_HTTPS, false},
		{"kubernetes.io/wss", MESH_PROTOCOL_HTTPS, false},
	};
	struct mesh_slice word = mesh_slice_str(app && *app ? app : name);

	*is_http2 = false;
	if (transport && strcmp(transport, "UDP") == 0)
		return MESH_PROTOCOL_UDP;
	if (!(app && *app) && !mesh_slice_starts(word, MESH_SLICE("grpc-web"))) {
		ssize_t dash = mesh_slice_find(word, '-');

		if (dash >= 0)
			word.len = (size_t)dash;
	} else if (!(app && *app)) {
		word.len = 8;
	}
	for (size_t i = 0; i < MESH_ARRAY_SIZE(words); i++)
		if (mesh_slice_eq_nocase(word, mesh_slice_str(words[i].word))) {
			*is_http2 = words[i].http2;
			return words[i].protocol;
		}
	return MESH_PROTOCOL_TCP;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct mesh_label *)a)->key, ((const struct mesh_label *)b)->key);
}

struct mesh_labels mesh_json_labels(struct mesh_arena *arena, const json_t *map)
{
	size_t size = json_object_size(map);
	struct mesh_labels l = {0};
	const char *key;
	json_t *v;

	if (!size)
		return l;
	l.items = arena ? mesh_arena_array(arena, struct mesh_label, size) : mesh_xcalloc(size, sizeof(*l.items));
	json_object_foreach((json_t *)map, key, v)
	{
		const char *s = json_string_value(v);
		struct mesh_label *item = &l.items[l.count];

		if (!s)
			continue;
		item->key = arena ? mesh_arena_strdup(arena, key) : mesh_xstrdup(key);
		item->value = arena ? mesh_arena_strdup(arena, s) : mesh_xstrdup(s);
		l.count++;
	}
	qsort(l.items, l.count, sizeof(*l.items), by_key);
	return l;
}

static char *text_copy(const json_t *v)
{
	const char *s = json_string_value(v);

	return s && *s ? mesh_xstrdup(s) : NULL;
}

static bool condition_true(const json_t *list, const char *type)
{
	size_t i;
	json_t *c;

	json_array_foreach(list, i, c)
	{
		const char *t = mesh_json_text(c, "type"), *s = mesh_json_text(c, "status");

		if (t && s && strcmp(t, type) == 0)
			return strcmp(s, "True") == 0;
	}
	return false;
}

/* status.podIPs, else podIP. */
static void pod_addresses(struct mesh_workload *w, const json_t *status)
{
	const json_t *list = json_object_get(status, "podIPs");
	const char *only = mesh_json_text(status, "podIP");
	size_t i;
	json_t *v;

	w->ips = mesh_xcalloc(json_array_size(list) + 1, sizeof(*w->ips));
	json_array_foreach(list, i, v)
	{
		const char *ip = mesh_json_text(v, "ip");

		if (ip && mesh_addr_parse(mesh_slice_str(ip), 0, &w->ips[w->ip_count]) == 0)
			w->ip_count++;
	}
	if (!w->ip_count && only && mesh_addr_parse(mesh_slice_str(only), 0, &w->ips[0]) == 0)
		w->ip_count = 1;
}

int mesh_decode_pod(const json_t *obj, struct mesh_workload **ret)
{
	const json_t *metadata = json_object_get(obj, "metadata"), *spec = json_object_get(obj, "spec");
	const json_t *status = json_object_get(obj, "status");
	const char *ns = mesh_json_text(metadata, "namespace"), *name = mesh_json_text(metadata, "name");
	const char *phase = mesh_json_text(status, "phase"), *account = mesh_json_text(spec, "serviceAccountName");
	struct mesh_workload *w;

	if (!ns || !name)
		return -EINVAL;
	w = mesh_xcalloc(1, sizeof(*w));
	w->ns = mesh_xstrdup(ns);
	w->name = mesh_xstrdup(name);
	w->uid = text_copy(json_object_get(metadata, "uid"));
	w->node = text_copy(json_object_get(spec, "nodeName"));
	w->service_account = mesh_xstrdup(account && *account ? account : "default");
	w->labels = mesh_json_labels(NULL, json_object_get(metadata, "labels"));
	w->annotations = mesh_json_labels(NULL, json_object_get(metadata, "annotations"));
	pod_addresses(w, status);
	w->host_network = json_is_true(json_object_get(spec, "hostNetwork"));
	w->ready = condition_true(json_object_get(status, "conditions"), "Ready");
	w->terminating = json_is_string(json_object_get(metadata, "deletionTimestamp"));
	w->finished = phase && (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0);
	*ret = w;
	return 0;
}

static void add_cluster_ip(struct mesh_service *s, const char *ip)
{
	if (!ip || !*ip)
		return;
	if (strcmp(ip, "None") == 0)
		s->headless = true;
	else if (mesh_addr_parse(mesh_slice_str(ip), 0, &s->cluster_ips[s->cluster_ip_count]) == 0)
		s->cluster_ip_count++;
}

static uint16_t port_number(const json_t *v)
{
	json_int_t n = json_integer_value(v);

	return n >= 1 && n <= 65535 ? (uint16_t)n : 0;
}

static void service_ports(struct mesh_service *s, const json_t *ports)
{
	size_t i;
	json_t *p;

	s->ports = mesh_xcalloc(json_array_size(ports) + 1, sizeof(*s->ports));
	json_array_foreach(ports, i, p)
	{
		struct mesh_service_port *out = &s->ports[s->port_count];
		const json_t *target = json_object_get(p, "targetPort");
		uint16_t port = port_number(json_object_get(p, "port"));
		const char *transport = mesh_json_text(p, "protocol");

		if (!port || (transport && strcmp(transport, "SCTP") == 0))
			continue;
		out->port = port;
		out->node_port = port_number(json_object_get(p, "nodePort"));
		out->name = text_copy(json_object_get(p, "name"));
		if (json_is_string(target) && *json_string_value(target))
			out->target = mesh_xstrdup(json_string_value(target));
		else
			out->target = mesh_xasprintf("%u", port_number(target) ? port_number(target) : port);
		out->protocol =
			mesh_decode_protocol(out->name, mesh_json_text(p, "appProtocol"), transport, &out->is_http2);
		s->port_count++;
	}
}

static void add_external_ip(struct mesh_service *s, const char *ip)
{
	if (ip && mesh_addr_parse(mesh_slice_str(ip), 0, &s->external_ips[s->external_ip_count]) == 0)
		s->external_ip_count++;
}

/* spec.externalIPs, and the load balancer's addresses unless it wants its traffic itself or not all may use them. */
static void service_external_ips(struct mesh_service *s, const json_t *obj)
{
	const json_t *spec = json_object_get(obj, "spec"), *ips = json_object_get(spec, "externalIPs");
	const json_t *ingress = mesh_json_at(obj, "status", "loadBalancer", "ingress", NULL);
	size_t i;
	json_t *v;

	s->external_ips = mesh_xcalloc(json_array_size(ips) + json_array_size(ingress) + 1, sizeof(*s->external_ips));
	json_array_foreach(ips, i, v) add_external_ip(s, json_string_value(v));
	s->source_ranges =
		json_array_size(ingress) && json_array_size(json_object_get(spec, "loadBalancerSourceRanges"));
	if (s->source_ranges)
		return;
	json_array_foreach(ingress, i, v)
	{
		const char *mode = mesh_json_text(v, "ipMode");

		if (!mode || strcmp(mode, "Proxy") != 0)
			add_external_ip(s, mesh_json_text(v, "ip"));
	}
}

static uint32_t service_affinity(const json_t *spec)
{
	enum { KUBERNETES_DEFAULT = 10800 };
	const char *affinity = mesh_json_text(spec, "sessionAffinity");
	json_int_t seconds =
		json_integer_value(mesh_json_at(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds", NULL));

	if (!affinity || strcmp(affinity, "ClientIP") != 0)
		return 0;
	return seconds >= 1 && seconds <= 86400 ? (uint32_t)seconds : KUBERNETES_DEFAULT;
}

int mesh_decode_service(const json_t *obj, struct mesh_service **ret)
{
	const json_t *metadata = json_object_get(obj, "metadata"), *spec = json_object_get(obj, "spec");
	const json_t *ips = json_object_get(spec, "clusterIPs");
	const char *ns = mesh_json_text(metadata, "namespace"), *name = mesh_json_text(metadata, "name");
	const char *type = mesh_json_text(spec, "type"), *balance;
	const char *internal = mesh_json_text(spec, "internalTrafficPolicy");
	struct mesh_service *s;
	size_t i;
	json_t *v;

	if (!ns || !name)
		return -EINVAL;
	s = mesh_xcalloc(1, sizeof(*s));
	s->ns = mesh_xstrdup(ns);
	s->name = mesh_xstrdup(name);
	s->labels = mesh_json_labels(NULL, json_object_get(metadata, "labels"));
	s->annotations = mesh_json_labels(NULL, json_object_get(metadata, "annotations"));
	s->selector = mesh_json_labels(NULL, json_object_get(spec, "selector"));
	s->cluster_ips = mesh_xcalloc(json_array_size(ips) + 1, sizeof(*s->cluster_ips));
	json_array_foreach(ips, i, v) add_cluster_ip(s, json_string_value(v));
	if (json_array_size(ips) == 0)
		add_cluster_ip(s, mesh_json_text(spec, "clusterIP"));
	service_external_ips(s, obj);
	service_ports(s, json_object_get(spec, "ports"));
	s->affinity_s = service_affinity(spec);
	s->internal_local = internal && strcmp(internal, "Local") == 0;
	s->publish_not_ready = json_is_true(json_object_get(spec, "publishNotReadyAddresses"));
	if (type && strcmp(type, "ExternalName") == 0)
		s->external_name = text_copy(json_object_get(spec, "externalName"));
	balance = mesh_labels_get(&s->annotations, "sockmesh.io/balance");
	s->balance_connection = balance && strcmp(balance, "connection") == 0;
	*ret = s;
	return 0;
}

void mesh_endpoint_pieces_free(struct mesh_endpoint_pieces *pieces)
{
	if (!pieces)
		return;
	for (size_t i = 0; i < pieces->count; i++)
		mesh_endpoints_free(pieces->items[i]);
	free(pieces->items);
	free(pieces->ns);
	free(pieces->name);
	free(pieces->service);
	free(pieces);
}

/* A condition that is not there: ready counts as true, serving as ready. */
static bool condition(const json_t *conditions, const char *key, bool otherwise)
{
	const json_t *v = json_object_get(conditions, key);

	return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

/* hints.forZones or forNodes: their names with a space between. */
static char *hint_names(const json_t *list)
{
	mesh_auto(mesh_buf_free) struct mesh_buf b = {0};
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		const char *name = mesh_json_text(v, "name");

		if (name && *name)
			mesh_buf_printf(&b, "%s%s", b.len ? " " : "", name);
	}
	return b.len ? mesh_xstrdup(b.data) : NULL;
}

static void add_endpoint(struct mesh_endpoints *e, const json_t *item, uint16_t port)
{
	const json_t *conditions = json_object_get(item, "conditions"), *target = json_object_get(item, "targetRef");
	const char *ip = json_string_value(json_array_get(json_object_get(item, "addresses"), 0));
	const char *kind = mesh_json_text(target, "kind");
	struct mesh_endpoint *out = &e->items[e->count];

	if (!ip || mesh_addr_parse(mesh_slice_str(ip), port, &out->addr) < 0)
		return;
	out->ready = condition(conditions, "ready", true);
	out->serving = condition(conditions, "serving", out->ready);
	out->terminating = condition(conditions, "terminating", false);
	if (!kind || strcmp(kind, "Pod") == 0)
		out->pod = text_copy(json_object_get(target, "name"));
	out->node = text_copy(json_object_get(item, "nodeName"));
	out->zones = hint_names(mesh_json_at(item, "hints", "forZones", NULL));
	out->nodes = hint_names(mesh_json_at(item, "hints", "forNodes", NULL));
	e->count++;
}

static int by_address(const void *a, const void *b)
{
	const struct mesh_endpoint *x = a, *y = b;
	int c = memcmp(&x->addr.ip, &y->addr.ip, sizeof(x->addr.ip));

	return c ? c : (int)x->addr.port - (int)y->addr.port;
}

static struct mesh_endpoints *piece(const struct mesh_endpoint_pieces *p, const json_t *port, const json_t *list)
{
	json_int_t number = json_integer_value(json_object_get(port, "port"));
	const char *name = mesh_json_text(port, "name");
	struct mesh_endpoints *e;
	size_t i;
	json_t *item;

	if (number < 1 || number > 65535)
		return NULL;
	e = mesh_xcalloc(1, sizeof(*e));
	e->ns = mesh_xstrdup(p->ns);
	e->service = mesh_xstrdup(p->service);
	e->port_name = mesh_xstrdup(name ? name : "");
	e->items = mesh_xcalloc(json_array_size(list) + 1, sizeof(*e->items));
	json_array_foreach(list, i, item) add_endpoint(e, item, (uint16_t)number);
	qsort(e->items, e->count, sizeof(*e->items), by_address);
	return e;
}

int mesh_decode_endpoint_slice(const json_t *obj, struct mesh_endpoint_pieces **ret)
{
	const json_t *metadata = json_object_get(obj, "metadata"), *ports = json_object_get(obj, "ports");
	const char *ns = mesh_json_text(metadata, "namespace"), *name = mesh_json_text(metadata, "name");
	const char *service = json_string_value(mesh_json_at(metadata, "labels", "kubernetes.io/service-name", NULL));
	const char *type = mesh_json_text(obj, "addressType");
	struct mesh_endpoint_pieces *p;
	size_t i;
	json_t *port;

	if (!ns || !name)
		return -EINVAL;
	p = mesh_xcalloc(1, sizeof(*p));
	p->ns = mesh_xstrdup(ns);
	p->name = mesh_xstrdup(name);
	p->service = mesh_xstrdup(service ? service : "");
	p->items = mesh_xcalloc(json_array_size(ports) + 1, sizeof(struct mesh_endpoints *));
	if (service && !(type && strcmp(type, "FQDN") == 0))
		json_array_foreach(ports, i, port)
		{
			struct mesh_endpoints *e = piece(p, port, json_object_get(obj, "endpoints"));

			if (e)
				p->items[p->count++] = e;
		}
	*ret = p;
	return 0;
}

int mesh_decode_node(const json_t *obj, struct mesh_machine **ret)
{
	const json_t *metadata = json_object_get(obj, "metadata");
	const json_t *list = mesh_json_at(obj, "status", "addresses", NULL);
	const char *name = mesh_json_text(metadata, "name");
	struct mesh_machine *m;
	size_t i;
	json_t *v;

	if (!name)
		return -EINVAL;
	m = mesh_xcalloc(1, sizeof(*m));
	m->name = mesh_xstrdup(name);
	m->zone = text_copy(mesh_json_at(metadata, "labels", "topology.kubernetes.io/zone", NULL));
	m->ips = mesh_xcalloc(json_array_size(list) + 1, sizeof(*m->ips));
	json_array_foreach(list, i, v)
	{
		const char *type = mesh_json_text(v, "type"), *ip = mesh_json_text(v, "address");

		if (type && ip && (strcmp(type, "InternalIP") == 0 || strcmp(type, "ExternalIP") == 0) &&
		    mesh_addr_parse(mesh_slice_str(ip), 0, &m->ips[m->ip_count]) == 0)
			m->ip_count++;
	}
	*ret = m;
	return 0;
}
