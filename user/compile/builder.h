/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside compile/: what one compilation works with. Rules and policies are looked up in an index, which may serve
 * many compilations. What is compiled of one host goes into a part, with its own memory; what it is found by are
 * its claims, which whoever puts parts together settles. Without a part (L4) all is in the scratch arena.
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

struct mesh_rule_list {
	MESH_VEC(const struct mesh_rule *) list; /* oldest first */
};

/** A DestinationRule with its host resolved. */
struct mesh_policy {
	const struct mesh_destination_rule *dr;
	const char *host;
};

struct mesh_policies {
	MESH_VEC(struct mesh_policy) list; /* oldest first */
};

/** VirtualServices, DestinationRules and ServiceEntries of the mesh, found by host. */
struct mesh_index {
	struct mesh_arena arena;
	MESH_VEC(struct mesh_rule) rules; /* oldest first */
	struct mesh_map rules_of;         /* exact host -> struct mesh_rule_list * */
	struct mesh_map by_name;          /* "NS/NAME" -> struct mesh_rule *, of rules */
	struct mesh_map routing_to;       /* host that rules of "mesh" route to -> struct mesh_rule_list * */
	struct mesh_rule_list wildcards;  /* rules with a wildcard host */
	struct mesh_map entries;          /* host -> struct mesh_entry_host *, in the arena; oldest first */
	struct mesh_map policies;         /* namespace -> struct mesh_policies * */
};

void mesh_index_make(struct mesh_index *index, const struct mesh_snapshot *snap, struct mesh_errs *warnings);
void mesh_index_free(struct mesh_index *index);

/** By what a virtual host (or, with CLAIM_VIP, a cluster) is found in a table. */
enum mesh_claim_kind { MESH_CLAIM_EXACT = 'e', MESH_CLAIM_SUFFIX = 's', MESH_CLAIM_ANY = 'a', MESH_CLAIM_VIP = 'v' };

struct mesh_claim {
	enum mesh_claim_kind kind;
	const char *table; /* "NAMESPACE|PORT"; "" with CLAIM_VIP */
	const char *name;  /* domain, ".suffix", "*" or "IP:PORT" */
	void *value;       /* struct mesh_l7_vhost or, with CLAIM_VIP, struct mesh_l7_cluster; not counted */
};

struct mesh_claims {
	MESH_VEC(struct mesh_claim) list; /* of two for the same, the first counts */
};

/** A part with what only its destruction needs. */
struct mesh_compiled {
	struct mesh_l7_part part; /* first: destroy() gets its address */
	struct mesh_arena arena;
	struct mesh_l7_states *states;
	struct mesh_l7_state **turns;
	struct mesh_l7_active **actives;
	regex_t **regexes;
	const struct mesh_l7_cluster **clusters;
	size_t turn_count, active_count, regex_count, cluster_count;
	const void *owner;  /* who made it: compiler.c's unit */
	const char *claims; /* what it is found by: compiler.c packs them. In the arena */
	size_t claims_len;
};

struct mesh_builder {
	const struct mesh_snapshot *snap;
	struct mesh_l7_states *states; /* NULL: L4 only */
	const struct mesh_index *index;
	struct mesh_index own;     /* where there is no other */
	struct mesh_compiled *out; /* the part being made; NULL: L4 */
	struct mesh_arena *arena;
	struct mesh_arena scratch; /* until the end of the part */
	struct mesh_errs *warnings;
	struct mesh_claims claims; /* of the part; in scratch */
	struct mesh_map clusters;  /* name and policy -> struct mesh_l7_cluster *; these four are of the part */
	struct mesh_map turns;     /* name -> struct mesh_l7_state * */
	struct mesh_map actives;   /* address -> struct mesh_l7_active * */
	struct mesh_map regexes;   /* pattern -> regex_t * */
	MESH_VEC(struct mesh_l7_vhost *) defaults; /* of the part: virtual hosts that every request passes */
};

/** index NULL: makes its own. */
void mesh_builder_init(struct mesh_builder *b, const struct mesh_snapshot *snap, const struct mesh_index *index,
		       struct mesh_l7_states *states, struct mesh_errs *warnings);
void mesh_builder_free(struct mesh_builder *b);
/** From now on everything goes into a new part, which has about so many endpoints. */
void mesh_builder_part_begin(struct mesh_builder *b, size_t endpoints);
/** The part, with one reference; b->claims are valid until the next begin. */
struct mesh_compiled *mesh_builder_part_end(struct mesh_builder *b);
struct mesh_l7_state *mesh_builder_turn(struct mesh_builder *b, const char *name);
/** The names are copied. */
void mesh_builder_claim(struct mesh_builder *b, enum mesh_claim_kind kind, const char *table, const char *name,
			void *value);
/** Adds a warning about an object: kind, namespace, name, field path. */
void mesh_builder_warn(struct mesh_builder *b, const char *kind, const char *ns, const char *name, const char *path,
		       const char *fmt, ...) __attribute__((format(printf, 6, 7)));
void mesh_compile_warn(struct mesh_errs *warnings, const char *kind, const char *ns, const char *name, const char *path,
		       const char *text);

/* tables.c: configurations put together of parts */

struct mesh_l7_config *mesh_config_new(struct mesh_l7_states *states);
struct mesh_l7_table *mesh_table_new(enum mesh_l7_default fallback);
/** Another version of a table, with the same content. */
struct mesh_l7_table *mesh_table_clone(const struct mesh_l7_table *t);
/** What has a claim's name, or NULL: a virtual host. */
const struct mesh_l7_vhost *mesh_table_get(const struct mesh_l7_table *t, const struct mesh_claim *claim);
/** Gives the claim's name to its value, or takes it away if that is NULL. */
void mesh_table_set(struct mesh_l7_table *t, const struct mesh_claim *claim);
bool mesh_table_empty(const struct mesh_l7_table *t);
/** Values are counted as they are to be. */
struct mesh_pmap mesh_pmap_of_tables(void);
struct mesh_pmap mesh_pmap_of_vhosts(void);
struct mesh_pmap mesh_pmap_of_clusters(void);

/* cluster.c */

/** The service that a resolved host names, if clients in the mesh may know it; else NULL. */
const struct mesh_service *mesh_builder_service(struct mesh_builder *b, const char *host);
const struct mesh_service_port *mesh_service_port_at(const struct mesh_service *svc, uint16_t port);
/** "NAME.NS.svc.cluster.local" in the scratch arena. */
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
	const char *name;                     /* of the cluster; in the scratch arena */
	const struct mesh_service *svc;       /* NULL: unknown host */
	const struct mesh_service_port *port; /* NULL: the service has no such port */
	const struct mesh_subset *subset;
	bool missing_subset;
	struct mesh_host_policy policy;
	/* Endpoints of which family: that of an address of the service; a pod of two families counts once. */
	enum mesh_family { MESH_FAMILY_ANY, MESH_FAMILY_V4, MESH_FAMILY_V6 } family;
	bool local; /* those of this node alone; mesh_builder_target() sets it by internalTrafficPolicy */
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

/** Appends the rule's HTTP routes that can match in scope. */
void mesh_builder_routes(struct mesh_builder *b, const struct mesh_virtual_service *vs,
			 const struct mesh_route_scope *scope, struct mesh_routes *ret);
/** The virtual host whose requests all go to a service. The same for clients of which nothing differs. */
struct mesh_l7_vhost *mesh_builder_default_vhost(struct mesh_builder *b, const struct mesh_service *svc, uint16_t port,
						 const char *client_ns);
/** Moves the list to the arena as a virtual host; the list is emptied. */
struct mesh_l7_vhost *mesh_builder_vhost(struct mesh_builder *b, const char *name, struct mesh_routes *routes);

/** The rule that has a service's host for clients of a namespace: most specific host, then oldest; or NULL. */
const struct mesh_rule *mesh_builder_rule_for(struct mesh_builder *b, const char *host, const char *client_ns);
/** Whether istio's scope lets clients of client_ns see it, and it is of the mesh. */
bool mesh_builder_rule_visible(const struct mesh_rule *rule, const char *client_ns);

/* entry.c: hosts of ServiceEntries, as services */

/** Makes them; mesh_index_make() does. */
void mesh_entries_make(struct mesh_index *index, const struct mesh_snapshot *snap, struct mesh_errs *warnings);
/** The service that a host of a ServiceEntry is, or NULL. */
const struct mesh_service *mesh_builder_entry(struct mesh_builder *b, const char *host);
const struct mesh_endpoints *mesh_builder_entry_endpoints(const struct mesh_service *svc,
							  const struct mesh_service_port *port);
/** Whether clients of a namespace may know it (exportTo). */
bool mesh_builder_entry_visible(const struct mesh_service *svc, const char *client_ns);
/** Whether it is for every address at its ports: it has none or, where the Host then tells (http), subnets. */
bool mesh_builder_entry_any(const struct mesh_service *svc, bool http);

/* outbound.c: claims of one host, for clients of each of the namespaces */

struct mesh_clients {
	const char *const *namespaces;
	size_t count;
};

/** Of a Service or a host of a ServiceEntry. */
void mesh_builder_outbound_service(struct mesh_builder *b, const struct mesh_service *svc,
				   const struct mesh_clients *clients);
/** Of the hosts of a rule that are no service's. */
void mesh_builder_outbound_rule(struct mesh_builder *b, const struct mesh_rule *rule,
				const struct mesh_clients *clients);
/** Whether a rule has hosts that are no service's, or may have. */
bool mesh_builder_rule_is_odd(struct mesh_builder *b, const struct mesh_rule *rule);
/** Whether connections to the endpoints of a headless Service's port go through the agent: a rule has its host. */
bool mesh_builder_headless_routed(struct mesh_builder *b, const struct mesh_service *svc,
				  const struct mesh_service_port *port);

/* l4.c: what the kernel is told of a Service, or of a host of a ServiceEntry */
void mesh_builder_l4(struct mesh_builder *b, const struct mesh_service *svc, struct mesh_l4_image *image);
/** Sorts; of services that ask for the same, keeps the one whose name is first. */
void mesh_l4_image_settle(struct mesh_l4_image *image);
/** The nodes' addresses. The caller frees *ret. */
void mesh_compile_node_ips(const struct mesh_snapshot *snap, struct mesh_addr **ret, size_t *count);

#endif
