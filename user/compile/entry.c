/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each host of a ServiceEntry as a service that the rest of compile/ knows how to route to. Of a host that several
 * entries name, the oldest entry has it. Names (resolution DNS) are not looked up here: without endpoints that are
 * addresses, a request goes to the address that its client looked up, which is the host's.
 */
#include "compile/builder.h"

#include "core/mem.h"

struct mesh_entry_host {
	struct mesh_service svc; /* first: what others get */
	const struct mesh_service_entry *se;
	struct mesh_endpoints *endpoints; /* one for each port of the entry */
	bool subnets;
};

static void warn(struct mesh_errs *warnings, const struct mesh_service_entry *se, const char *path, const char *text)
{
	mesh_compile_warn(warnings, "ServiceEntry", se->ns, se->name, path, text);
}

static int entry_order(const void *pa, const void *pb)
{
	const struct mesh_service_entry *a = *(const struct mesh_service_entry *const *)pa;
	const struct mesh_service_entry *b = *(const struct mesh_service_entry *const *)pb;
	int c;

	if (a->created != b->created)
		return a->created < b->created ? -1 : 1;
	c = strcmp(a->name, b->name);
	return c ? c : strcmp(a->ns, b->ns);
}

static int by_address(const void *pa, const void *pb)
{
	const struct mesh_endpoint *a = pa, *b = pb;
	int c = memcmp(&a->addr.ip, &b->addr.ip, sizeof(a->addr.ip));

	return c ? c : (int)a->addr.port - (int)b->addr.port;
}

static uint16_t endpoint_port(const struct mesh_entry_endpoint *e, const struct mesh_entry_port *port)
{
	const char *own = mesh_labels_get(&e->ports, port->name);
	uint64_t n;

	if (own && mesh_slice_to_u64(mesh_slice_str(own), UINT16_MAX, &n) == 0)
		return (uint16_t)n;
	return port->target;
}

static size_t listed(const struct mesh_service_entry *se, const struct mesh_entry_port *port, struct mesh_endpoint *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < se->endpoint_count; i++) {
		const struct mesh_entry_endpoint *e = &se->endpoints[i];
		struct mesh_addr addr;

		if (mesh_addr_parse(mesh_slice_str(e->address), endpoint_port(e, port), &addr) == 0)
			ret[n++] = (struct mesh_endpoint){
				.addr = addr, .labels = &e->labels, .ready = true, .serving = true};
	}
	return n;
}

static void add_endpoints(struct mesh_index *index, const struct mesh_service_entry *se,
			  const struct mesh_entry_port *port, struct mesh_endpoints *ret)
{
	ret->items = mesh_arena_array(&index->arena, struct mesh_endpoint, se->endpoint_count + 1);
	ret->count = listed(se, port, ret->items);
	qsort(ret->items, ret->count, sizeof(*ret->items), by_address);
}

static void add_ports(struct mesh_index *index, struct mesh_entry_host *h)
{
	const struct mesh_service_entry *se = h->se;

	h->svc.ports = mesh_arena_array(&index->arena, struct mesh_service_port, se->port_count + 1);
	h->endpoints = mesh_arena_array(&index->arena, struct mesh_endpoints, se->port_count + 1);
	for (size_t i = 0; i < se->port_count; i++) {
		h->svc.ports[i] =
			(struct mesh_service_port){.name = mesh_arena_strdup(&index->arena, se->ports[i].name),
						   .port = se->ports[i].port,
						   .protocol = se->ports[i].protocol,
						   .is_http2 = se->ports[i].is_http2};
		add_endpoints(index, se, &se->ports[i], &h->endpoints[i]);
	}
	h->svc.port_count = se->port_count;
}

static void add_addresses(struct mesh_index *index, struct mesh_entry_host *h)
{
	const struct mesh_service_entry *se = h->se;

	h->svc.cluster_ips = mesh_arena_array(&index->arena, struct mesh_addr, se->address_count + 1);
	for (size_t i = 0; i < se->address_count; i++) {
		h->subnets |= se->addresses[i].bits < 128;
		if (se->addresses[i].bits == 128)
			h->svc.cluster_ips[h->svc.cluster_ip_count++] = se->addresses[i].ip;
	}
}

static bool listed_any(const struct mesh_entry_host *h)
{
	for (size_t i = 0; i < h->svc.port_count; i++)
		if (h->endpoints[i].count)
			return true;
	return false;
}

static void add_host(struct mesh_index *index, const struct mesh_service_entry *se, const char *host)
{
	struct mesh_entry_host *h;

	if (mesh_map_get_str(&index->entries, host))
		return;
	h = mesh_arena_new(&index->arena, struct mesh_entry_host);
	h->se = se;
	h->svc.ns = mesh_arena_strdup(&index->arena, se->ns);
	h->svc.name = mesh_arena_strdup(&index->arena, host);
	h->svc.entry = true;
	add_ports(index, h);
	add_addresses(index, h);
	h->svc.passthrough = se->resolution == MESH_ENTRY_NONE || (se->resolution == MESH_ENTRY_DNS && !listed_any(h));
	mesh_map_put_str(&index->entries, host, h);
}

/* What of an entry does not take effect as it is written. */
static void warn_of(struct mesh_errs *warnings, const struct mesh_service_entry *se)
{
	size_t names = 0, subnets = 0, not_http = 0;

	for (size_t i = 0; i < se->address_count; i++)
		subnets += se->addresses[i].bits < 128;
	for (size_t i = 0; i < se->port_count; i++)
		not_http += se->ports[i].protocol != MESH_PROTOCOL_HTTP;
	if (subnets && not_http && se->resolution != MESH_ENTRY_NONE)
		warn(warnings, se, "spec.addresses",
		     "of ports that are not HTTP, subnets are not routed yet: they pass");
	for (size_t i = 0; i < se->endpoint_count; i++) {
		struct mesh_addr addr;

		names += mesh_addr_parse(mesh_slice_str(se->endpoints[i].address), 0, &addr) < 0;
	}
	if (names && se->resolution == MESH_ENTRY_DNS)
		warn(warnings, se, "spec.endpoints.address",
		     "names are not looked up yet: these endpoints are left out; without any that is an address, "
		     "requests go to the address that their client looked up");
	else if (names)
		warn(warnings, se, "spec.endpoints.address",
		     "only addresses are supported yet: these endpoints are left out");
}

void mesh_entries_make(struct mesh_index *index, const struct mesh_snapshot *snap, struct mesh_errs *warnings)
{
	MESH_VEC(const struct mesh_service_entry *) list = {0};

	mesh_map_each (e, &snap->service_entries) {
		const struct mesh_service_entry *se = e->value;

		if (!mesh_snapshot_in_mesh(snap, se->ns))
			continue;
		if (se->workload_selector.count)
			warn(warnings, se, "spec.workloadSelector", "not supported yet: the entry has no effect");
		else
			mesh_vec_push(&list, se);
	}
	if (list.count)
		qsort(list.items, list.count, sizeof(*list.items), entry_order);
	mesh_vec_each (se, &list) {
		warn_of(warnings, *se);
		for (size_t i = 0; i < (*se)->host_count; i++)
			add_host(index, *se, (*se)->hosts[i]);
	}
	mesh_vec_free(&list);
}

static const struct mesh_entry_host *host_of(const struct mesh_service *svc)
{
	return (const struct mesh_entry_host *)svc;
}

const struct mesh_service *mesh_builder_entry(struct mesh_builder *b, const char *host)
{
	const struct mesh_entry_host *h = mesh_map_get_str(&b->index->entries, host);

	return h ? &h->svc : NULL;
}

const struct mesh_endpoints *mesh_builder_entry_endpoints(const struct mesh_service *svc,
							  const struct mesh_service_port *port)
{
	return &host_of(svc)->endpoints[port - svc->ports];
}

bool mesh_builder_entry_visible(const struct mesh_service *svc, const char *client_ns)
{
	const struct mesh_service_entry *se = host_of(svc)->se;

	return mesh_exported(se->export_to, se->export_to_count, se->ns, client_ns);
}

bool mesh_builder_entry_any(const struct mesh_service *svc, bool http)
{
	const struct mesh_entry_host *h = host_of(svc);

	return h->se->address_count == 0 || (http && h->subnets);
}
