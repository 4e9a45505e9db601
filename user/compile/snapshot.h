/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that is known of the cluster, as compile/ reads it. The owner (agent, gateway, a test)
 * puts decoded objects in and takes them out; the maps own their values. One thread.
 */
#ifndef MESH_COMPILE_SNAPSHOT_H
#define MESH_COMPILE_SNAPSHOT_H

#include "core/map.h"
#include "model/names.h"
#include "model/route.h"
#include "model/workload.h"

/**
 * What was put in and taken out since this was last cleared, as far as a compilation must know. Values of the maps say
 * nothing.
 */
struct mesh_changes {
	struct mesh_map services;  /* "NS/NAME" of Services */
	struct mesh_map endpoints; /* "NS/NAME" of Services whose endpoints are others */
	struct mesh_map pods;      /* "NS/NAME" */
	struct mesh_map rules;     /* "NS/NAME" of VirtualServices */
	struct mesh_map hosts; /* resolved hosts of VirtualServices of "mesh" and DestinationRules, before and now */
	bool index;            /* VirtualServices, DestinationRules, ServiceEntries or members are others */
	bool machines;         /* Nodes are others */
	bool all;              /* anything may be other: members, ServiceEntries, wildcard hosts, our own Node */
	bool members;
	bool splice; /* what namespaces ask of the splice tier: of no compilation, but for pods */
};

/** Nothing is changed. */
void mesh_changes_clear(struct mesh_changes *changes);

struct mesh_snapshot {
	struct mesh_map workloads;         /* "NS/NAME" -> struct mesh_workload * */
	struct mesh_map services;          /* "NS/NAME" -> struct mesh_service * */
	struct mesh_map endpoints;         /* "NS/SERVICE/PORTNAME" -> struct mesh_endpoints *, merged over slices */
	struct mesh_map virtual_services;  /* "NS/NAME" -> struct mesh_virtual_service * */
	struct mesh_map destination_rules; /* "NS/NAME" -> struct mesh_destination_rule * */
	struct mesh_map gateways;          /* "NS/NAME" -> struct mesh_gateway * */
	struct mesh_map machines;          /* Node name -> struct mesh_machine * */
	struct mesh_map service_entries;   /* "NS/NAME" -> struct mesh_service_entry * */
	struct mesh_map members;           /* namespaces in the mesh; the value says nothing */
	struct mesh_map splice;            /* namespace -> its annotation sockmesh.io/splice, char * */
	const char *node;                  /* where this is compiled for, borrowed; NULL: no node, nothing is local */
	struct mesh_changes *changes;      /* noted here, borrowed; NULL: nowhere */
};

void mesh_snapshot_free(struct mesh_snapshot *snap);

/** "A/B" or "A/B/C" (c may be NULL) in buf; a key too long is cut, which no valid Kubernetes name is. */
struct mesh_slice mesh_snapshot_key(char *buf, size_t size, const char *a, const char *b, const char *c);
enum { MESH_SNAPSHOT_KEY = 640 };

const struct mesh_workload *mesh_snapshot_workload(const struct mesh_snapshot *snap, const char *ns, const char *name);
const struct mesh_service *mesh_snapshot_service(const struct mesh_snapshot *snap, struct mesh_slice ns,
						 struct mesh_slice name);
const struct mesh_endpoints *mesh_snapshot_endpoints(const struct mesh_snapshot *snap, const struct mesh_service *svc,
						     const struct mesh_service_port *port);
/** The Node that this is compiled for, or NULL. */
const struct mesh_machine *mesh_snapshot_here(const struct mesh_snapshot *snap);
/** A member, or the mesh's own namespace. */
bool mesh_snapshot_in_mesh(const struct mesh_snapshot *snap, const char *ns);

/**
 * Whether a VirtualService of ns names the gateway, which is "mesh" or "NS/NAME"; "NAME" is relative to ns. count 0:
 * mesh alone.
 */
bool mesh_gateways_have(const char *const *gateways, size_t count, const char *ns, const char *gateway);

/* Put an object in (taking it over) or, with NULL, take out what has that name. They free what was there before. */
void mesh_snapshot_set_workload(struct mesh_snapshot *snap, const char *ns, const char *name, struct mesh_workload *w);
void mesh_snapshot_set_service(struct mesh_snapshot *snap, const char *ns, const char *name, struct mesh_service *s);
void mesh_snapshot_set_endpoints(struct mesh_snapshot *snap, const char *ns, const char *service, const char *port_name,
				 struct mesh_endpoints *e);
void mesh_snapshot_set_virtual_service(struct mesh_snapshot *snap, const char *ns, const char *name,
				       struct mesh_virtual_service *vs);
void mesh_snapshot_set_destination_rule(struct mesh_snapshot *snap, const char *ns, const char *name,
					struct mesh_destination_rule *dr);
void mesh_snapshot_set_gateway(struct mesh_snapshot *snap, const char *ns, const char *name, struct mesh_gateway *gw);
/** A Node has no namespace: ns says nothing. */
void mesh_snapshot_set_machine(struct mesh_snapshot *snap, const char *ns, const char *name, struct mesh_machine *m);
void mesh_snapshot_set_service_entry(struct mesh_snapshot *snap, const char *ns, const char *name,
				     struct mesh_service_entry *se);
/** text: of the annotation, copied; NULL: it has none. Returns whether that is new. */
bool mesh_snapshot_set_splice(struct mesh_snapshot *snap, const char *ns, const char *text);
void mesh_snapshot_set_member(struct mesh_snapshot *snap, const char *ns, bool member);

#endif
