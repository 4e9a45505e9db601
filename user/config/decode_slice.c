/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EndpointSlices and Nodes to the model.
 */
#include "config/columns.h"
#include "config/decode.h"
#include "config/decode_json.h"
#include "core/buf.h"
#include "core/mem.h"

#include <errno.h>

void mesh_endpoint_pieces_free(struct mesh_endpoint_pieces *pieces)
{
	if (!pieces)
		return;
	for (size_t i = 0; i < pieces->count; i++)
		mesh_endpoints_free(pieces->items[i]);
	free(pieces); /* with all texts */
}

/* A condition that is not there: ready counts as true, serving as ready. */
static bool condition(const json_t *conditions, const char *key, bool otherwise)
{
	const json_t *v = json_object_get(conditions, key);

	return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

static void hint_names(struct mesh_buf *b, const char *kind, const json_t *list)
{
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		const char *name = mesh_json_text(v, "name");

		if (name && *name)
			mesh_buf_printf(b, "%s%s:%s", b->len ? " " : "", kind, name);
	}
}

static char *hints_of(const json_t *hints)
{
	mesh_auto(mesh_buf_free) struct mesh_buf b = {0};

	hint_names(&b, "zone", json_object_get(hints, "forZones"));
	hint_names(&b, "node", json_object_get(hints, "forNodes"));
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
		out->pod = mesh_json_strdup(json_object_get(target, "name"));
	out->node = mesh_json_strdup(json_object_get(item, "nodeName"));
	out->hints = hints_of(json_object_get(item, "hints"));
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
	mesh_endpoints_pack(e);
	return e;
}

static char *put_text(char **at, const char *text)
{
	char *ret = *at;

	*at = stpcpy(ret, text) + 1;
	return ret;
}

/* In one block, for there are as many as Services. */
static struct mesh_endpoint_pieces *pieces_new(const char *ns, const char *name, const char *service, size_t ports)
{
	size_t texts = strlen(ns) + strlen(name) + strlen(service) + 3;
	struct mesh_endpoint_pieces *p = mesh_xcalloc(1, sizeof(*p) + ports * sizeof(*p->items) + texts);
	char *at;

	p->items = (struct mesh_endpoints **)(p + 1);
	at = (char *)(p->items + ports);
	p->ns = put_text(&at, ns);
	p->name = put_text(&at, name);
	p->service = put_text(&at, service);
	return p;
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
	p = pieces_new(ns, name, service ? service : "", json_array_size(ports));
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
	m->zone = mesh_json_strdup(mesh_json_at(metadata, "labels", "topology.kubernetes.io/zone", NULL));
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
