/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/snapshot.h"

#include "compile/hosts.h"
#include "core/mem.h"

#include <stdio.h>

static char a_member; /* what the values of snap->members point to */

struct mesh_slice mesh_snapshot_key(char *buf, size_t size, const char *a, const char *b, const char *c)
{
	int n = c ? snprintf(buf, size, "%s/%s/%s", a, b, c) : snprintf(buf, size, "%s/%s", a, b);

	return mesh_slice_of(buf, MESH_MIN((size_t)n, size - 1));
}

bool mesh_gateways_have(const char *const *gateways, size_t count, const char *ns, const char *gateway)
{
	char buf[MESH_SNAPSHOT_KEY];

	if (count == 0)
		return strcmp(gateway, "mesh") == 0;
	for (size_t i = 0; i < count; i++) {
		const char *g = gateways[i];

		if (strcmp(g, "mesh") != 0 && !strchr(g, '/')) {
			mesh_snapshot_key(buf, sizeof(buf), ns, g, NULL);
			g = buf;
		}
		if (strcmp(g, gateway) == 0)
			return true;
	}
	return false;
}

void mesh_changes_clear(struct mesh_changes *c)
{
	mesh_map_free(&c->services);
	mesh_map_free(&c->endpoints);
	mesh_map_free(&c->pods);
	mesh_map_free(&c->rules);
	mesh_map_free(&c->hosts);
	*c = (struct mesh_changes){0};
}

static void note(struct mesh_map *changed, const char *ns, const char *name)
{
	char buf[MESH_SNAPSHOT_KEY];

	mesh_map_put(changed, mesh_snapshot_key(buf, sizeof(buf), ns, name, NULL), changed);
}

static void note_host(struct mesh_changes *c, const char *host, const char *ns)
{
	mesh_auto(mesh_arena_free) struct mesh_arena scratch = {0};

	if (mesh_host_is_wildcard(host))
		c->all = true;
	else
		mesh_map_put_str(&c->hosts, mesh_host_resolve(&scratch, host, ns), c);
}

static void note_rule(struct mesh_changes *c, const struct mesh_virtual_service *vs)
{
	if (!vs || !mesh_gateways_have(vs->gateways, vs->gateway_count, vs->ns, "mesh"))
		return; /* of gateways alone */
	for (size_t i = 0; i < vs->host_count; i++)
		note_host(c, vs->hosts[i], vs->ns);
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
	if (snap->changes)
		note(&snap->changes->pods, ns, name);
	mesh_workload_free(exchange(&snap->workloads, ns, name, NULL, w));
}

void mesh_snapshot_set_service(struct mesh_snapshot *snap, const char *ns, const char *name, struct mesh_service *s)
{
	if (snap->changes)
		note(&snap->changes->services, ns, name);
	mesh_service_free(exchange(&snap->services, ns, name, NULL, s));
}

void mesh_snapshot_set_endpoints(struct mesh_snapshot *snap, const char *ns, const char *service, const char *port_name,
				 struct mesh_endpoints *e)
{
	if (snap->changes)
		note(&snap->changes->endpoints, ns, service);
	mesh_endpoints_free(exchange(&snap->endpoints, ns, service, port_name, e));
}

void mesh_snapshot_set_virtual_service(struct mesh_snapshot *snap, const char *ns, const char *name,
				       struct mesh_virtual_service *vs)
{
	struct mesh_virtual_service *old = exchange(&snap->virtual_services, ns, name, NULL, vs);

	if (snap->changes) {
		note(&snap->changes->rules, ns, name);
		note_rule(snap->changes, old);
		note_rule(snap->changes, vs);
		snap->changes->index = true;
	}
	mesh_virtual_service_free(old);
}

void mesh_snapshot_set_destination_rule(struct mesh_snapshot *snap, const char *ns, const char *name,
					struct mesh_destination_rule *dr)
{
	struct mesh_destination_rule *old = exchange(&snap->destination_rules, ns, name, NULL, dr);

	if (snap->changes) {
		if (old)
			note_host(snap->changes, old->host, old->ns);
		if (dr)
			note_host(snap->changes, dr->host, dr->ns);
		snap->changes->index = true;
	}
	mesh_destination_rule_free(old);
}

void mesh_snapshot_set_gateway(struct mesh_snapshot *snap, const char *ns, const char *name, struct mesh_gateway *gw)
{
	mesh_gateway_free(exchange(&snap->gateways, ns, name, NULL, gw));
}

void mesh_snapshot_set_service_entry(struct mesh_snapshot *snap, const char *ns, const char *name,
				     struct mesh_service_entry *se)
{
	if (snap->changes)
		snap->changes->all = snap->changes->index = true;
	mesh_service_entry_free(exchange(&snap->service_entries, ns, name, NULL, se));
}

void mesh_snapshot_set_machine(struct mesh_snapshot *snap, const char *ns, const char *name, struct mesh_machine *m)
{
	(void)ns;
	if (snap->changes) {
		snap->changes->machines = true;
		snap->changes->all |= snap->node && strcmp(name, snap->node) == 0; /* its zone, for hints */
	}
	mesh_machine_free(m ? mesh_map_put_str(&snap->machines, name, m) : mesh_map_remove_str(&snap->machines, name));
}

const struct mesh_machine *mesh_snapshot_here(const struct mesh_snapshot *snap)
{
	return snap->node ? mesh_map_get_str(&snap->machines, snap->node) : NULL;
}

void mesh_snapshot_set_member(struct mesh_snapshot *snap, const char *ns, bool member)
{
	if (snap->changes && (mesh_map_get_str(&snap->members, ns) != NULL) != member)
		snap->changes->all = snap->changes->index = snap->changes->members = true;
	if (member)
		mesh_map_put_str(&snap->members, ns, &a_member);
	else
		mesh_map_remove_str(&snap->members, ns);
}

bool mesh_snapshot_set_splice(struct mesh_snapshot *snap, const char *ns, const char *text)
{
	const char *has = mesh_map_get_str(&snap->splice, ns);

	if (has == text || (has && text && strcmp(has, text) == 0))
		return false;
	if (snap->changes)
		snap->changes->splice = true;
	free(text ? mesh_map_put_str(&snap->splice, ns, mesh_xstrdup(text)) : mesh_map_remove_str(&snap->splice, ns));
	return true;
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
	FREE_ALL(&snap->splice, char, free);
	mesh_map_free(&snap->members);
}
