/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/slices.h"

#include "core/buf.h"
#include "core/mem.h"
#include "core/vec.h"

struct service_slices {
	struct mesh_endpoint_pieces *first; /* borrowed from by_name; by next */
	char *ports;                        /* port names in the snapshot now, a "/" behind each; NULL: none */
};

struct mesh_slices {
	struct mesh_map by_name;    /* "NS/SLICE" -> struct mesh_endpoint_pieces * */
	struct mesh_map by_service; /* "NS/SERVICE" -> struct service_slices * */
};

struct mesh_slices *mesh_slices_new(void)
{
	return mesh_xcalloc(1, sizeof(struct mesh_slices));
}

void mesh_slices_free(struct mesh_slices *slices)
{
	if (!slices)
		return;
	mesh_map_each (e, &slices->by_name)
		mesh_endpoint_pieces_free(e->value);
	mesh_map_each (e, &slices->by_service) {
		struct service_slices *s = e->value;

		free(s->ports);
		free(s);
	}
	mesh_map_free(&slices->by_name);
	mesh_map_free(&slices->by_service);
	free(slices);
}

/* By address; of one address first the one that can be used. */
static int endpoint_order(const void *pa, const void *pb)
{
	const struct mesh_endpoint *a = pa, *b = pb;
	int c = memcmp(&a->addr.ip, &b->addr.ip, sizeof(a->addr.ip));

	if (c)
		return c;
	if (a->addr.port != b->addr.port)
		return a->addr.port < b->addr.port ? -1 : 1;
	return (int)b->ready - (int)a->ready;
}

static void drop_doubles(struct mesh_endpoints *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->count; i++) {
		if (n && mesh_addr_eq(&e->items[n - 1].addr, &e->items[i].addr)) {
			mesh_endpoint_clear(&e->items[i]);
			continue;
		}
		e->items[n++] = e->items[i];
	}
	e->count = n;
}

/* The only piece of a port, as nearly all are: nothing to merge. NULL: there are several. */
static const struct mesh_endpoints *only_piece(const struct service_slices *s, const char *port_name)
{
	const struct mesh_endpoints *only = NULL;

	for (const struct mesh_endpoint_pieces *p = s->first; p; p = p->next)
		for (size_t i = 0; i < p->count; i++) {
			if (strcmp(p->items[i]->port_name, port_name) != 0)
				continue;
			if (only)
				return NULL;
			only = p->items[i];
		}
	for (size_t i = 1; only && i < only->count; i++)
		if (mesh_addr_eq(&only->items[i - 1].addr, &only->items[i].addr))
			return NULL;
	return only;
}

/* With all of that piece: it is in the list for as long as this is in the snapshot. */
static struct mesh_endpoints *borrow(const struct mesh_endpoints *piece)
{
	struct mesh_endpoints *ret = mesh_xcalloc(1, sizeof(*ret));

	*ret = *piece;
	ret->borrowed = true;
	return ret;
}

static struct mesh_endpoints *merge_port(const struct service_slices *s, const char *ns, const char *service,
					 const char *port_name)
{
	const struct mesh_endpoints *only = only_piece(s, port_name);
	MESH_VEC(struct mesh_endpoint) items = {0};
	struct mesh_endpoints *ret;

	if (only)
		return borrow(only);
	ret = mesh_xcalloc(1, sizeof(*ret));
	for (const struct mesh_endpoint_pieces *p = s->first; p; p = p->next) {
		for (size_t i = 0; i < p->count; i++) {
			const struct mesh_endpoints *piece = p->items[i];

			if (strcmp(piece->port_name, port_name) != 0)
				continue;
			for (size_t k = 0; k < piece->count; k++) {
				struct mesh_endpoint copy = piece->items[k];

				copy.pod = mesh_xstrdup(copy.pod);
				copy.node = mesh_xstrdup(copy.node);
				copy.hints = mesh_xstrdup(copy.hints);
				mesh_vec_push(&items, copy);
			}
		}
	}
	if (items.count)
		qsort(items.items, items.count, sizeof(*items.items), endpoint_order);
	*ret = (struct mesh_endpoints){.ns = mesh_xstrdup(ns),
				       .service = mesh_xstrdup(service),
				       .port_name = mesh_xstrdup(port_name),
				       .items = items.items,
				       .count = items.count};
	drop_doubles(ret);
	mesh_endpoints_pack(ret);
	return ret;
}

static bool has_port(const struct service_slices *s, struct mesh_slice name)
{
	for (const struct mesh_endpoint_pieces *p = s->first; p; p = p->next)
		for (size_t i = 0; i < p->count; i++)
			if (mesh_slice_eq(mesh_slice_str(p->items[i]->port_name), name))
				return true;
	return false;
}

/* Takes ports out of the snapshot that no slice has any more. */
static void drop_ports(struct service_slices *s, struct mesh_snapshot *snap, const char *ns, const char *service)
{
	struct mesh_slice rest = mesh_slice_str(s->ports ? s->ports : ""), name;

	while (rest.len && mesh_slice_split(&rest, '/', &name)) {
		if (!has_port(s, name)) {
			mesh_auto_free char *port = mesh_xstrndup(name.ptr, name.len);

			mesh_snapshot_set_endpoints(snap, ns, service, port, NULL);
		}
	}
}

static bool is_noted(const struct mesh_buf *ports, const char *name)
{
	struct mesh_slice rest = mesh_buf_view(ports), one;

	while (rest.len && mesh_slice_split(&rest, '/', &one))
		if (mesh_slice_eq(one, mesh_slice_str(name)))
			return true;
	return false;
}

static void merge_service(struct service_slices *s, struct mesh_snapshot *snap, const char *ns, const char *service)
{
	struct mesh_buf ports = {0};

	drop_ports(s, snap, ns, service);
	for (const struct mesh_endpoint_pieces *p = s->first; p; p = p->next)
		for (size_t i = 0; i < p->count; i++) {
			const char *port = p->items[i]->port_name;

			if (is_noted(&ports, port))
				continue;
			mesh_buf_str(&ports, port);
			mesh_buf_char(&ports, '/');
			mesh_snapshot_set_endpoints(snap, ns, service, port, merge_port(s, ns, service, port));
		}
	free(s->ports);
	s->ports = ports.len ? mesh_xstrndup(ports.data, ports.len) : NULL;
	mesh_buf_free(&ports);
}

/* A slice of no service has no pieces; its name is kept to know it when it changes. */
static const char *service_of(const struct mesh_endpoint_pieces *pieces)
{
	return pieces->service ? pieces->service : "";
}

static void unlink_pieces(struct mesh_slices *slices, struct mesh_snapshot *snap, struct mesh_endpoint_pieces *old)
{
	char buf[MESH_SNAPSHOT_KEY];
	struct service_slices *s =
		mesh_map_get(&slices->by_service, mesh_snapshot_key(buf, sizeof(buf), old->ns, service_of(old), NULL));

	for (struct mesh_endpoint_pieces **p = s ? &s->first : NULL; p && *p; p = &(*p)->next) {
		if (*p != old)
			continue;
		*p = old->next;
		break;
	}
	if (s)
		merge_service(s, snap, old->ns, service_of(old));
	mesh_endpoint_pieces_free(old);
}

void mesh_slices_set(struct mesh_slices *slices, struct mesh_snapshot *snap, struct mesh_endpoint_pieces *pieces)
{
	char buf[MESH_SNAPSHOT_KEY];
	struct mesh_endpoint_pieces *old;
	struct service_slices *s;
	struct mesh_slice key;

	old = mesh_map_put(&slices->by_name, mesh_snapshot_key(buf, sizeof(buf), pieces->ns, pieces->name, NULL),
			   pieces);
	key = mesh_snapshot_key(buf, sizeof(buf), pieces->ns, service_of(pieces), NULL);
	s = mesh_map_get(&slices->by_service, key);
	if (!s) {
		s = mesh_xcalloc(1, sizeof(*s));
		mesh_map_put(&slices->by_service, key, s);
	}
	pieces->next = s->first;
	s->first = pieces;
	if (old)
		unlink_pieces(slices, snap, old);
	merge_service(s, snap, pieces->ns, service_of(pieces));
}

const struct mesh_endpoint_pieces *mesh_slices_get(const struct mesh_slices *slices, const char *ns, const char *name)
{
	char buf[MESH_SNAPSHOT_KEY];

	return mesh_map_get(&slices->by_name, mesh_snapshot_key(buf, sizeof(buf), ns, name, NULL));
}

void mesh_slices_remove(struct mesh_slices *slices, struct mesh_snapshot *snap, const char *ns, const char *name)
{
	char buf[MESH_SNAPSHOT_KEY];
	struct mesh_endpoint_pieces *old =
		mesh_map_remove(&slices->by_name, mesh_snapshot_key(buf, sizeof(buf), ns, name, NULL));

	if (old)
		unlink_pieces(slices, snap, old);
}
