/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durations, times, port protocols; Pods, Services and EndpointSlices to the model.
 */
#include "config/decode.h"

#include "config/columns.h"
#include "config/condition.h"
#include "config/decode_json.h"
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
	const char *account = mesh_json_text(spec, "serviceAccountName");
	struct mesh_workload *w;

	if (!ns || !name)
		return -EINVAL;
	w = mesh_xcalloc(1, sizeof(*w));
	w->ns = mesh_xstrdup(ns);
	w->name = mesh_xstrdup(name);
	w->uid = mesh_json_strdup(json_object_get(metadata, "uid"));
	w->node = mesh_json_strdup(json_object_get(spec, "nodeName"));
	w->service_account = mesh_xstrdup(account && *account ? account : "default");
	w->labels = mesh_json_labels(NULL, json_object_get(metadata, "labels"));
	w->annotations = mesh_json_labels(NULL, json_object_get(metadata, "annotations"));
	pod_addresses(w, status);
	w->host_network = json_is_true(json_object_get(spec, "hostNetwork"));
	w->ready = mesh_condition_true(obj, "Ready");
	w->terminating = json_is_string(json_object_get(metadata, "deletionTimestamp"));
	w->finished = mesh_pod_over(obj);
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
		out->name = mesh_json_strdup(json_object_get(p, "name"));
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
		s->external_name = mesh_json_strdup(json_object_get(spec, "externalName"));
	balance = mesh_labels_get(&s->annotations, "sockmesh.io/balance");
	s->balance_connection = balance && strcmp(balance, "connection") == 0;
	*ret = s;
	return 0;
}
