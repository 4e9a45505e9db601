/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside compile/: what one compilation works with. Everything it gives out lives in the
 * configuration's arena, or in the scratch arena when no configuration is made (L4).
 */
#ifndef MESH_COMPILE_BUILDER_H
#define MESH_COMPILE_BUILDER_H

#include "compile/compile.h"
#include "compile/hosts.h"

#include <stdio.h>

/** A VirtualService with its host names resolved. */
struct mesh_rule {
	const struct mesh_virtual_service *vs;
	const char **hosts; /* vs->host_count of them */
	bool mesh;          /* bound to "mesh" */
};

/** A DestinationRule with its host resolved. */
struct mesh_policy {
	const struct mesh_destination_rule *dr;
	const char *host;
};

struct mesh_policies {
	MESH_VEC(struct mesh_policy) list; /* oldest first */
};

/** The configuration with what only its destruction needs. */
struct mesh_compiled {
	struct mesh_l7_config cfg; /* first: destroy() gets its address */
	MESH_VEC(struct mesh_l7_state *) turns;
	MESH_VEC(struct mesh_l7_active *) actives;
	MESH_VEC(regex_t *) regexes;
};

struct mesh_builder {
	const struct mesh_snapshot *snap;
	struct mesh_l7_states *states; /* NULL: L4 only */
	struct mesh_compiled *out;     /* NULL: L4 only */
	struct mesh_arena *arena;
	struct mesh_arena scratch;
	struct mesh_errs *warnings;
	MESH_VEC(struct mesh_rule) rules; /* oldest first */
	struct mesh_map rules_of;         /* exact host -> struct mesh_rule_list * */
	struct mesh_rule_list {
		MESH_VEC(const struct mesh_rule *) list;
	} wildcards;              /* rules with a wildcard host; both oldest first */
	struct mesh_map entries;  /* host -> struct mesh_entry_host *, in scratch */
	struct mesh_map policies; /* namespace -> struct mesh_policies * */
	struct mesh_map clusters; /* name and policy -> struct mesh_l7_cluster * */
	struct mesh_map turns;    /* name -> struct mesh_l7_state *, of out->turns */
	struct mesh_map actives;  /* address -> struct mesh_l7_active *, of out->actives */
	struct mesh_map regexes;  /* pattern -> regex_t *, of out->regexes */
};

void mesh_builder_init(struct mesh_builder *b, const struct mesh_snapshot *snap, struct mesh_l7_states *states,
		       struct mesh_errs *warnings);
/** Gives the configuration made (NULL without states) and frees the rest. */
struct mesh_l7_config *mesh_builder_finish(struct mesh_builder *b);
struct mesh_l7_state *mesh_builder_turn(struct mesh_builder *b, const char *name);
struct mesh_l7_table *mesh_builder_table(struct mesh_builder *b, struct mesh_map *tables, const char *key);
/** Adds a warning about an object: kind, namespace, name, field path. */
void mesh_builder_warn(struct mesh_builder *b, const char *kind, const char *ns, const char *name, const char *path,
		       const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* cluster.c */

/** The service that a resolved host names, if clients in the mesh may know it; else NULL. */
const struct mesh_service *mesh_builder_service(struct mesh_builder *b, const char *host);
const struct mesh_service_port *mesh_service_port_at(const struct mesh_service *svc, uint16_t port);
/** "NAME.NS.svc.cluster.local" in the arena. */
const char *mesh_builder_service_host(struct mesh_builder *b, const struct mesh_service *svc);

/** What DestinationRules say of a host for clients of a namespace. */
struct mesh_host_policy {
	const struct mesh_destination_rule *rule; /* the oldest that applies; NULL: none */
	const struct mesh_policies *within;       /* where to look for subsets: rules of the same host */
	const char *host;
};

struct mesh_host_policy mesh_builder_policy(struct mesh_builder *b, const char *client_ns, const char *host,
					    const char *service_ns);
/** NULL if none has it. */
const struct mesh_subset *mesh_host_policy_subset(const struct mesh_host_policy *p, const char *name);

/** A destination as it resolves for clients of a namespace. */
struct mesh_target {
	const char *name;                     /* of the cluster */
	const struct mesh_service *svc;       /* NULL: unknown host */
	const struct mesh_service_port *port; /* NULL: the service has no such port */
	const struct mesh_subset *subset;
	bool missing_subset;
	struct mesh_host_policy policy;
	/* Endpoints of which family: that of an address of the service; a pod of two families counts once. */
	enum mesh_family { MESH_FAMILY_ANY, MESH_FAMILY_V4, MESH_FAMILY_V6 } family;
	bool local;  /* those of this node alone; mesh_builder_target() sets it by internalTrafficPolicy */
	bool ending; /* if none is ready, those that end and still serve */
};

enum mesh_family mesh_family_of(const struct mesh_addr *addr);

void mesh_builder_target(struct mesh_builder *b, const char *client_ns, const char *host, uint16_t dest_port,
			 uint16_t listen_port, const char *subset, struct mesh_target *ret);
/** All that is known of a service port's endpoints; NULL: none. */
const struct mesh_endpoints *mesh_builder_all_endpoints(struct mesh_builder *b, const struct mesh_service *svc,
							const struct mesh_service_port *port);

/* endpoints.c */

/** Endpoints of a target for new connections, sorted by address, to be freed by the caller. Returns how many. */
size_t mesh_builder_endpoints(struct mesh_builder *b, const struct mesh_target *t, const struct mesh_endpoint ***ret);

/* cluster.c */

/** NULL if the target has no cluster (unknown host or port, subset in no rule). */
const struct mesh_l7_cluster *mesh_builder_cluster(struct mesh_builder *b, const struct mesh_target *t);

/* route.c */

/** Where routes are made for. */
struct mesh_route_scope {
	const char *client_ns;
	uint16_t port;       /* what clients connect to: the service's, or the gateway server's */
	const char *gateway; /* "mesh" or "NS/NAME" */
};

struct mesh_routes {
	MESH_VEC(struct mesh_l7_route) list;
};

/** Whether gateways names scope's gateway ("NAME" is relative to ns). count 0: mesh alone. */
bool mesh_gateways_have(const char *const *gateways, size_t count, const char *ns, const char *gateway);
/** Appends the rule's HTTP routes that can match in scope. */
void mesh_builder_routes(struct mesh_builder *b, const struct mesh_virtual_service *vs,
			 const struct mesh_route_scope *scope, struct mesh_routes *ret);
/** Appends the route that every request takes to a service. */
void mesh_builder_default_route(struct mesh_builder *b, const struct mesh_service *svc, uint16_t port,
				const char *client_ns, struct mesh_routes *ret);
/** Moves the list to the arena as a virtual host; the list is emptied. */
struct mesh_l7_vhost *mesh_builder_vhost(struct mesh_builder *b, const char *name, struct mesh_routes *routes);

/** The rule that has a service's host for clients of a namespace: most specific host, then oldest; or NULL. */
const struct mesh_rule *mesh_builder_rule_for(struct mesh_builder *b, const char *host, const char *client_ns);
/** Whether istio's scope lets clients of client_ns see it, and it is of the mesh. */
bool mesh_builder_rule_visible(const struct mesh_rule *rule, const char *client_ns);

/* entry.c: hosts of ServiceEntries, as services */

/** Makes them; mesh_builder_init() does. */
void mesh_builder_entries_init(struct mesh_builder *b);
void mesh_builder_entries_free(struct mesh_builder *b);
/** The service that a host of a ServiceEntry is, or NULL. */
const struct mesh_service *mesh_builder_entry(struct mesh_builder *b, const char *host);
const struct mesh_endpoints *mesh_builder_entry_endpoints(const struct mesh_service *svc,
							  const struct mesh_service_port *port);
/** Whether clients of a namespace may know it (exportTo). */
bool mesh_builder_entry_visible(const struct mesh_service *svc, const char *client_ns);
/** Whether it is for every address at its ports: it has none or, where the Host then tells (http), subnets. */
bool mesh_builder_entry_any(const struct mesh_service *svc, bool http);

/* outbound.c */

/** Whether connections to the endpoints of a headless Service's port go through the agent: a rule has its host. */
bool mesh_builder_headless_routed(struct mesh_builder *b, const struct mesh_service *svc,
				  const struct mesh_service_port *port);

#endif
