/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs: pods and services as routing needs them, read from the Kubernetes API by
 * config/ and kept by the wiring (agent, gateway). Plain data; each object owns its
 * strings and arrays and is immutable once stored. Source: core/v1 Pod, Service, Node,
 * discovery/v1 EndpointSlice.
 */
#ifndef MESH_MODEL_WORKLOAD_H
#define MESH_MODEL_WORKLOAD_H

#include "core/addr.h"
#include "mesh/tier.h"

#include <stdbool.h>
#include <stdint.h>

struct mesh_label {
	char *key, *value;
};

struct mesh_labels {
	struct mesh_label *items; /* sorted by key */
	size_t count;
};

/** Whether labels has every pair of selector (an empty selector matches all). */
bool mesh_labels_match(const struct mesh_labels *labels, const struct mesh_labels *selector);
/** The value of key, or NULL. */
const char *mesh_labels_get(const struct mesh_labels *labels, const char *key);
void mesh_labels_free(struct mesh_labels *labels);

/** The annotation of pods and namespaces that says whether their flows may be spliced. */
#define MESH_SPLICE_ANNOTATION "sockmesh.io/splice"
/** "auto", "enabled" or "disabled". Returns 0; -EINVAL with *ret untouched if text is none of them, or NULL. */
int mesh_splice_wish_parse(const char *text, enum mesh_splice_wish *ret);
const char *mesh_splice_wish_text(enum mesh_splice_wish wish);

/** A pod. */
struct mesh_workload {
	char *ns, *name, *uid;
	char *node;            /* spec.nodeName; NULL until scheduled */
	char *service_account; /* for its SPIFFE ID */
	struct mesh_labels labels, annotations;
	struct mesh_addr *ips; /* status.podIPs, port 0 */
	size_t ip_count;
	bool host_network, ready, terminating, finished;
	bool partial; /* only metadata is known: name, labels, annotations, terminating */
};

void mesh_workload_free(struct mesh_workload *w);

enum mesh_protocol {
	MESH_PROTOCOL_TCP,
	MESH_PROTOCOL_UDP,
	MESH_PROTOCOL_HTTP,  /* appProtocol or port name http, http-*; also http2/grpc until HTTP/2 is spoken: see
				is_http2 */
	MESH_PROTOCOL_HTTPS, /* TLS passed through as TCP */
};

struct mesh_service_port {
	char *name;         /* may be NULL */
	uint16_t port;      /* what clients connect to */
	uint16_t node_port; /* the same at every node's address; 0: none */
	char *target;       /* targetPort as written: number or name */
	enum mesh_protocol protocol;
	bool is_http2; /* declared http2, grpc or h2c */
};

/** A Service. Its endpoints are struct mesh_endpoints of the same namespace and name. Ports of SCTP are left out. */
struct mesh_service {
	char *ns, *name;
	struct mesh_labels labels, annotations, selector;
	struct mesh_addr *cluster_ips; /* empty when headless */
	size_t cluster_ip_count;
	struct mesh_addr *external_ips; /* externalIPs and those of its load balancer that are open to everyone */
	size_t external_ip_count;
	struct mesh_service_port *ports;
	size_t port_count;
	char *external_name; /* type ExternalName, else NULL */
	uint32_t affinity_s; /* sessionAffinity ClientIP: seconds; 0: none */
	bool headless;
	bool entry;              /* made of a ServiceEntry: name is a host of it */
	bool passthrough;        /* of a ServiceEntry: the endpoint is what the client connected to */
	bool internal_local;     /* internalTrafficPolicy Local */
	bool publish_not_ready;  /* publishNotReadyAddresses: a pod's readiness says nothing */
	bool source_ranges;      /* the load balancer's addresses are left out, for they are not open to everyone */
	bool balance_connection; /* annotation sockmesh.io/balance: connection */
};

void mesh_service_free(struct mesh_service *s);

/** One address of an EndpointSlice with the port it serves a service port on. */
struct mesh_endpoint {
	struct mesh_addr addr; /* pod address and target port */
	bool ready, serving, terminating;
	char *pod; /* targetRef name, or NULL */
	union {
		char *node;                       /* nodeName, or NULL */
		const struct mesh_labels *labels; /* of a ServiceEntry's endpoint, borrowed */
	};
	char *hints; /* "zone:a zone:b node:n1": whom it is for; NULL: no hint */
};

/** Frees what e owns, not e. */
void mesh_endpoint_clear(struct mesh_endpoint *e);
/** Whether hints has "KIND:NAME", or one of the kind if name is "*". hints and name may be NULL: then it has not. */
bool mesh_hint_has(const char *hints, const char *kind, const char *name);

/** The endpoints of one service port, merged over its EndpointSlices, sorted by address. */
struct mesh_endpoints {
	char *ns, *service, *port_name; /* port_name "" for the unnamed port */
	struct mesh_endpoint *items;
	size_t count;
	bool borrowed; /* all but this struct is another's, who outlives this */
	bool packed;   /* all texts are in the block of items */
};

void mesh_endpoints_free(struct mesh_endpoints *e);
/** Moves items and their texts, of which there are as many as pods in the cluster, into one block. */
void mesh_endpoints_pack(struct mesh_endpoints *e);

/** A Node. */
struct mesh_machine {
	char *name;
	char *zone;            /* label topology.kubernetes.io/zone, or NULL */
	struct mesh_addr *ips; /* status.addresses of type InternalIP and ExternalIP, port 0 */
	size_t ip_count;
};

void mesh_machine_free(struct mesh_machine *m);

#endif
