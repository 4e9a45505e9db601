/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the compiler: what it keeps. compiler.c finds what is to be compiled, claims.c puts the results together.
 */
#ifndef MESH_COMPILE_UNIT_H
#define MESH_COMPILE_UNIT_H

#include "compile/builder.h"
#include "compile/compiler.h"
#include "compile/refs.h"

/* What is compiled as one, and how it ranks where two ask for the same name: kinds in this order. */
enum mesh_unit_kind { MESH_UNIT_SERVICE, MESH_UNIT_ENTRY, MESH_UNIT_RULE, MESH_UNIT_KINDS };

/* The name under which the kernel knows an address: what no two services of an image have alike. */
struct mesh_l4_name {
	struct in6_addr ip;
	uint16_t port;
	uint8_t kind, ip_proto;
};

struct mesh_unit {
	enum mesh_unit_kind kind;
	uint32_t id;    /* its place in the compiler's list */
	uint64_t order; /* among its kind; then the key */
	bool dirty, built;
	struct mesh_compiled *part; /* one reference; NULL: nothing for HTTP */
	struct mesh_l4_name *l4;
	uint32_t *pods; /* hashes of the pods that its endpoints are */
	char **warnings;
	uint32_t l4_count, pod_count, warning_count;
	uint32_t built_at, built_count; /* in the compiler's built, if built */
	char key[];                     /* "NS/NAME" of a Service or VirtualService, host of a ServiceEntry */
};

struct mesh_warning {
	uint32_t units; /* that give it */
	bool old;
};

struct mesh_compiler {
	const struct mesh_snapshot *snap;
	struct mesh_l7_states *states;
	struct mesh_index index;
	struct mesh_builder b;
	bool indexed, whole;
	MESH_VEC(char *) clients;
	struct mesh_map units[MESH_UNIT_KINDS];
	MESH_VEC(struct mesh_unit *) by_id; /* from 1; NULL: free */
	MESH_VEC(uint32_t) free_ids;
	MESH_VEC(struct mesh_unit *) dirty;
	struct mesh_refs pods;      /* hash of "NS/NAME" -> unit ids */
	struct mesh_map warnings;   /* "OBJECT: TEXT" -> struct mesh_warning * */
	struct mesh_unit *indexing; /* has the index's warnings alone */
	size_t compiled;            /* units, in this update */

	/* claims.c: HTTP */
	struct mesh_pmap outbound, by_vip; /* of the version being made */
	struct mesh_map fresh;             /* tables that are this version's own: "NS|PORT" -> struct mesh_l7_table * */
	struct mesh_map contests;          /* names that several units claim: KIND TABLE NAME -> struct contest * */
	struct mesh_map departed;          /* endpoints that parts lost, and ... */
	struct mesh_map arrived;           /* ... that parts have now */
	bool l7_changed;

	/* claims.c: the kernel */
	struct mesh_map l4;                       /* struct mesh_l4_name -> struct l4_claim *: who claims it */
	MESH_VEC(struct mesh_l4_service) built;   /* of units that were built, ... */
	MESH_VEC(struct mesh_unit *) built_units; /* ... which are these */
	struct mesh_map touched;                  /* names whose claims were other, or were built anew */
	size_t node_ports;                        /* names of MESH_KEY_NODE */
	bool node_ips_given;                      /* to the kernel */
};

/** Takes the claims of a unit's part back, and those at the kernel. */
void mesh_claims_withdraw(struct mesh_compiler *c, struct mesh_unit *u);
/** Takes over what was built: the part (NULL: none) and its claims in c->b, and the services for the kernel. */
void mesh_claims_make(struct mesh_compiler *c, struct mesh_unit *u, struct mesh_compiled *part,
		      struct mesh_l4_image *image);
/** The same of a unit whose claims stay as they are. */
void mesh_claims_rebuilt(struct mesh_compiler *c, struct mesh_unit *u, struct mesh_l4_image *image);
/** The new version, after all. build() builds a unit's services for the kernel once more. */
void mesh_claims_finish(struct mesh_compiler *c, struct mesh_changes *changes, bool whole,
			void (*build)(struct mesh_compiler *c, struct mesh_unit *u), struct mesh_compilation *ret);
void mesh_claims_free(struct mesh_compiler *c);

#endif
