/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ServiceEntry to the model. Everything is copied into the object's arena.
 */
#include "config/columns.h"
#include "config/decode.h"
#include "config/decode_json.h"
#include "core/mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

enum { ALL_BITS = 128, V4_BITS = 96 };

static const char *lower(struct mesh_arena *a, const char *s)
{
	char *ret = mesh_arena_strdup(a, s);

	for (char *c = ret; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return ret;
}

static void entry_hosts(struct mesh_service_entry *se, const json_t *list)
{
	const char **hosts = mesh_arena_array(&se->arena, const char *, json_array_size(list) + 1);
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		if (json_is_string(v) && *json_string_value(v))
			hosts[se->host_count++] = lower(&se->arena, json_string_value(v));
	}
	se->hosts = hosts;
}

/* "10.0.0.0/8" or an address. Returns false for anything else. */
static bool subnet(const char *text, struct mesh_subnet *ret)
{
	struct mesh_slice ip = mesh_slice_str(text), bits;
	ssize_t slash = mesh_slice_find(ip, '/');
	uint64_t n = ALL_BITS;
	unsigned base;

	if (slash >= 0)
		ip.len = (size_t)slash;
	if (mesh_addr_parse(ip, 0, &ret->ip) < 0)
		return false;
	base = mesh_addr_is_v4(&ret->ip) ? V4_BITS : 0;
	if (slash >= 0) {
		bits = mesh_slice_str(text + slash + 1);
		if (mesh_slice_to_u64(bits, ALL_BITS - base, &n) < 0)
			return false;
		n += base;
	}
	ret->bits = (uint8_t)n;
	return true;
}

static void entry_addresses(struct mesh_service_entry *se, const json_t *list)
{
	struct mesh_subnet *out = mesh_arena_array(&se->arena, struct mesh_subnet, json_array_size(list) + 1);
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		if (json_is_string(v) && subnet(json_string_value(v), &out[se->address_count]))
			se->address_count++;
	}
	se->addresses = out;
}

static void entry_ports(struct mesh_service_entry *se, const json_t *list)
{
	struct mesh_entry_port *out = mesh_arena_array(&se->arena, struct mesh_entry_port, json_array_size(list) + 1);
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		struct mesh_entry_port *p = &out[se->port_count];
		const char *name = mesh_json_text(v, "name"), *protocol = mesh_json_text(v, "protocol");

		p->port = mesh_json_port(json_object_get(v, "number"));
		if (!p->port)
			continue;
		p->target = mesh_json_port(json_object_get(v, "targetPort"));
		p->target = p->target ? p->target : p->port;
		p->name = mesh_arena_strdup(&se->arena, name ? name : "");
		/* The protocol as Istio names it (HTTP, HTTP2, GRPC, HTTPS, TLS, TCP, ...), else the port's name. */
		p->protocol = mesh_decode_protocol(name, protocol && *protocol ? lower(&se->arena, protocol) : NULL,
						   NULL, &p->is_http2);
		if (protocol && strcasecmp(protocol, "UDP") == 0)
			p->protocol = MESH_PROTOCOL_UDP;
		se->port_count++;
	}
	se->ports = out;
}

/* Port name to number: as text, so that it is found as a label is. */
static struct mesh_labels port_numbers(struct mesh_arena *a, const json_t *map)
{
	json_t *texts = json_object();
	struct mesh_labels ret;
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)map, key, v)
	{
		if (mesh_json_port(v))
			json_object_set_new(texts, key, json_sprintf("%u", mesh_json_port(v)));
	}
	ret = mesh_json_labels(a, texts);
	json_decref(texts);
	return ret;
}

static void entry_endpoints(struct mesh_service_entry *se, const json_t *list)
{
	struct mesh_entry_endpoint *out =
		mesh_arena_array(&se->arena, struct mesh_entry_endpoint, json_array_size(list) + 1);
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		struct mesh_entry_endpoint *e = &out[se->endpoint_count];

		e->address = mesh_json_copy(&se->arena, json_object_get(v, "address"));
		if (!e->address)
			continue;
		e->ports = port_numbers(&se->arena, json_object_get(v, "ports"));
		e->labels = mesh_json_labels(&se->arena, json_object_get(v, "labels"));
		se->endpoint_count++;
	}
	se->endpoints = out;
}

static enum mesh_entry_resolution entry_resolution(const char *word)
{
	if (word && strcmp(word, "STATIC") == 0)
		return MESH_ENTRY_STATIC;
	return word && strstr(word, "DNS") ? MESH_ENTRY_DNS : MESH_ENTRY_NONE;
}

int mesh_decode_service_entry(const json_t *obj, struct mesh_service_entry **ret)
{
	struct mesh_service_entry *se = mesh_xcalloc(1, sizeof(*se));
	const json_t *spec = json_object_get(obj, "spec");
	struct mesh_arena *a = &se->arena;
	struct mesh_json_meta m;

	if (mesh_json_meta(a, obj, &m) < 0) {
		mesh_service_entry_free(se);
		return -EINVAL;
	}
	se->ns = m.ns;
	se->name = m.name;
	se->created = m.created;
	se->resource_version = m.resource_version;
	entry_hosts(se, json_object_get(spec, "hosts"));
	entry_addresses(se, json_object_get(spec, "addresses"));
	entry_ports(se, json_object_get(spec, "ports"));
	entry_endpoints(se, json_object_get(spec, "endpoints"));
	se->resolution = entry_resolution(mesh_json_text(spec, "resolution"));
	se->workload_selector = mesh_json_labels(a, mesh_json_at(spec, "workloadSelector", "labels", NULL));
	se->export_to = mesh_json_copies(a, json_object_get(spec, "exportTo"), &se->export_to_count);
	*ret = se;
	return 0;
}
