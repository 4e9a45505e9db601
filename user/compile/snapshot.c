/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/snapshot.h"

#include "core/mem.h"

#include <stdio.h>

static char a_member; /* what the values of snap->members point to */

struct mesh_slice mesh_snapshot_key(char *buf, size_t size, const char *a, const char *b, const char *c)
{
	int n = c ? snprintf(buf, size, "%s/%s/%s", a, b, c) : snprintf(buf, size, "%s/%s", a, b);

	return mesh_slice_of(buf, MESH_MIN((size_t)n, size - 1));
}

/* Exchanges what has the key for value (NULL: nothing); returns what was there. */
static void *exchange(struct mesh_map *map, const char *a, const char *b, const char *c, void *value)
{
	char buf[MESH_SNAPSHOT_KEY];
	struct mesh_slice key = mesh_snapshot_key(buf, sizeof(buf), a, b, c);

	return value ? mesh_map_put(map, key, value) : mesh_map_remove(map, key);
}

void mesh_snapshot_set_workload(struct mesh_snapshot *snap, const char *ns, const char *name, struct mesh_workload *w)
{
	mesh_workload_free(exchange(&snap->workloads, ns, name, NULL, w));
}

void mesh_snapshot_set_service(struct mesh_snapshot *snap, const char *ns, const char *name, struct mesh_service *s)
{
	mesh_service_free(exchange(&snap->services, ns, name, NULL, s));
}

void mesh_snapshot_set_endpoints(struct mesh_snapshot *snap, const char *ns, const char *service, const char *port_name,
				 struct mesh_endpoints *e)
{
	mesh_endpoints_free(exchange(&snap->endpoints, ns, service, port_name, e));
}

void mesh_snapshot_set_virtual_service(struct mesh_snapshot *snap, const char *ns, const char *name,
				       struct mesh_virtual_service *vs)
{
	mesh_virtual_service_free(exchange(&snap->virtual_services, ns, name, NULL, vs));
}

void mesh_snapshot_set_destination_rule(struct mesh_snapshot *snap, const char *ns, const char *name,
					struct mesh_destination_rule *dr)
{
	mesh_destination_rule_free(exchange(&snap->destination_rules, ns, name, NULL, dr));
}

void mesh_snapshot_set_gateway(struct mesh_snapshot *snap, const char *ns, const char *name, struct mesh_gateway *gw)
{
	mesh_gateway_free(exchange(&snap->gateways, ns, name, NULL, gw));
}

void mesh_snapshot_set_service_entry(struct mesh_snapshot *snap, const char *ns, const char *name,
				     struct mesh_service_entry *se)
{
	mesh_service_entry_free(exchange(&snap->service_entries, ns, name, NULL, se));
}

void mesh_snapshot_set_machine(struct mesh_snapshot *snap, const char *ns, const char *name, struct mesh_machine *m)
{
	(void)ns;
	mesh_machine_free(m ? mesh_map_put_str(&snap->machines, name, m) : mesh_map_remove_str(&snap->machines, name));
}

const struct mesh_machine *mesh_snapshot_here(const struct mesh_snapshot *snap)
{
	return snap->node ? mesh_map_get_str(&snap->machines, snap->node) : NULL;
}

void mesh_snapshot_set_member(struct mesh_snapshot *snap, const char *ns, bool member)
{
	if (member)
		mesh_map_put_str(&snap->members, ns, &a_member);
	else
		mesh_map_remove_str(&snap->members, ns);
}

const struct mesh_workload *mesh_snapshot_workload(const struct mesh_snapshot *snap, const char *ns, const char *name)
{
	char buf[MESH_SNAPSHOT_KEY];

	return mesh_map_get(&snap->workloads, mesh_snapshot_key(buf, sizeof(buf), ns, name, NULL));
}

const struct mesh_service *mesh_snapshot_service(const struct mesh_snapshot *snap, struct mesh_slice ns,
						 struct mesh_slice name)
{
	char buf[MESH_SNAPSHOT_KEY];

	if (ns.len + name.len + 2 > sizeof(buf))
		return NULL;
	memcpy(buf, ns.ptr, ns.len);
	buf[ns.len] = '/';
	memcpy(buf + ns.len + 1, name.ptr, name.len);
	return mesh_map_get(&snap->services, mesh_slice_of(buf, ns.len + 1 + name.len));
}

const struct mesh_endpoints *mesh_snapshot_endpoints(const struct mesh_snapshot *snap, const struct mesh_service *svc,
						     const struct mesh_service_port *port)
{
	char buf[MESH_SNAPSHOT_KEY];

	return mesh_map_get(&snap->endpoints,
			    mesh_snapshot_key(buf, sizeof(buf), svc->ns, svc->name, port->name ? port->name : ""));
}

bool mesh_snapshot_in_mesh(const struct mesh_snapshot *snap, const char *ns)
{
	return mesh_map_get_str(&snap->members, ns) || strcmp(ns, MESH_ROOT_NAMESPACE) == 0;
}

#define FREE_ALL(map, type, fn)                                                                                        \
	do {                                                                                                           \
		mesh_map_each (e, map)                                                                                 \
			fn((type *)e->value);                                                                          \
		mesh_map_free(map);                                                                                    \
	} while (0)

void mesh_snapshot_free(struct mesh_snapshot *snap)
{
	FREE_ALL(&snap->workloads, struct mesh_workload, mesh_workload_free);
	FREE_ALL(&snap->services, struct mesh_service, mesh_service_free);
	FREE_ALL(&snap->endpoints, struct mesh_endpoints, mesh_endpoints_free);
	FREE_ALL(&snap->virtual_services, struct mesh_virtual_service, mesh_virtual_service_free);
	FREE_ALL(&snap->destination_rules, struct mesh_destination_rule, mesh_destination_rule_free);
	FREE_ALL(&snap->gateways, struct mesh_gateway, mesh_gateway_free);
	FREE_ALL(&snap->machines, struct mesh_machine, mesh_machine_free);
	FREE_ALL(&snap->service_entries, struct mesh_service_entry, mesh_service_entry_free);
	mesh_map_free(&snap->members);
}
