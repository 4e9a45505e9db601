/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/slices.h"

#include "core/mem.h"
#include "core/vec.h"

struct service_slices {
	MESH_VEC(struct mesh_endpoint_pieces *) list; /* borrowed from by_name */
	struct mesh_map ports;                        /* port names in the snapshot now */
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

		mesh_vec_free(&s->list);
		mesh_map_free(&s->ports);
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

	mesh_vec_each (pieces, &s->list)
		for (size_t i = 0; i < (*pieces)->count; i++) {
			if (strcmp((*pieces)->items[i]->port_name, port_name) != 0)
				continue;
			if (only)
				return NULL;
			only = (*pieces)->items[i];
		}
	for (size_t i = 1; only && i < only->count; i++)
		if (mesh_addr_eq(&only->items[i - 1].addr, &only->items[i].addr))
			return NULL;
	return only;
}

/* With the items of that piece: it is in the list for as long as this is in the snapshot. */
static struct mesh_endpoints *borrow(const struct mesh_endpoints *piece, const char *ns, const char *service)
{
	struct mesh_endpoints *ret = mesh_xcalloc(1, sizeof(*ret));

	*ret = (struct mesh_endpoints){.ns = mesh_xstrdup(ns),
				       .service = mesh_xstrdup(service),
				       .port_name = mesh_xstrdup(piece->port_name),
				       .items = piece->items,
				       .count = piece->count,
				       .borrowed = true};
	return ret;
}

static struct mesh_endpoints *merge_port(const struct service_slices *s, const char *ns, const char *service,
					 const char *port_name)
{
	const struct mesh_endpoints *only = only_piece(s, port_name);
	MESH_VEC(struct mesh_endpoint) items = {0};
	struct mesh_endpoints *ret;

	if (only)
		return borrow(only, ns, service);
	ret = mesh_xcalloc(1, sizeof(*ret));
	mesh_vec_each (pieces, &s->list) {
		for (size_t i = 0; i < (*pieces)->count; i++) {
			const struct mesh_endpoints *piece = (*pieces)->items[i];

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
	return ret;
}

static void merge_service(struct service_slices *s, struct mesh_snapshot *snap, const char *ns, const char *service)
{
	struct mesh_map ports = {0};

	mesh_vec_each (pieces, &s->list)
		for (size_t i = 0; i < (*pieces)->count; i++)
			mesh_map_put_str(&ports, (*pieces)->items[i]->port_name, s);
	mesh_map_each (e, &s->ports)
		if (!mesh_map_get(&ports, mesh_slice_of(e->key, e->key_len)))
			mesh_snapshot_set_endpoints(snap, ns, service, e->key, NULL);
	mesh_map_each (e, &ports)
		mesh_snapshot_set_endpoints(snap, ns, service, e->key, merge_port(s, ns, service, e->key));
	mesh_map_free(&s->ports);
	s->ports = ports;
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

	for (size_t i = 0; s && i < s->list.count; i++) {
		if (s->list.items[i] != old)
			continue;
		mesh_vec_remove(&s->list, i);
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
	mesh_vec_push(&s->list, pieces);
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
