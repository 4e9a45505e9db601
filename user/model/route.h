/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people configure: Istio's VirtualService, DestinationRule and Gateway, and Maistra's member roll, as plain
 * data, read by config/decode.h and compiled by compile/. Each object owns all it points to (its arena) and is
 * immutable once decoded. Only what this mesh acts on is here; host names are as written (short names unresolved).
 */
#ifndef MESH_MODEL_ROUTE_H
#define MESH_MODEL_ROUTE_H

#include "core/arena.h"
#include "model/l7.h"

/** Istio StringMatch, not compiled. MESH_MATCH_ANY: only presence is asked. */
struct mesh_string_match {
	enum mesh_match_type type;
	const char *value; /* "" with MESH_MATCH_ANY */
};

struct mesh_header_match {
	const char *name; /* as written */
	struct mesh_string_match match;
};

/** Istio HTTPMatchRequest: all that is set must hold. */
struct mesh_http_match {
	const char *name;                                                  /* may be NULL */
	const struct mesh_string_match *uri, *scheme, *method, *authority; /* NULL: any */
	bool ignore_uri_case;
	const struct mesh_header_match *headers, *without_headers, *query;
	size_t header_count, without_header_count, query_count;
	uint16_t port;               /* 0: any */
	const char *const *gateways; /* count 0: those of the VirtualService */
	size_t gateway_count;
	struct mesh_labels source_labels; /* empty: any */
	const char *source_namespace;     /* NULL: any */
};

/** Istio Destination with its weight. */
struct mesh_route_dest {
	const char *host;   /* as written: "catalog", "catalog.ns", "*.example.com" never */
	const char *subset; /* NULL: none */
	uint16_t port;      /* 0: the port that the request came for, or the service's only one */
	uint32_t weight;    /* as written; a lone destination without a weight has 100 */
};

/** Istio HTTPRoute. */
struct mesh_http_route {
	const char *name; /* may be NULL */
	const struct mesh_http_match *matches;
	size_t match_count; /* 0: always; else any of them */
	const struct mesh_route_dest *dests;
	size_t dest_count;
	uint64_t timeout_ns; /* 0: none */
};

/** Istio L4MatchAttributes (tcp) and TLSMatchAttributes (tls, with sni_hosts). */
struct mesh_tcp_match {
	uint16_t port;                /* 0: any */
	const char *const *sni_hosts; /* tls only */
	size_t sni_host_count;
	const char *const *gateways;
	size_t gateway_count;
	const char *const *destination_subnets;
	size_t destination_subnet_count;
	struct mesh_labels source_labels;
	const char *source_namespace;
};

/** Istio TCPRoute and TLSRoute. */
struct mesh_tcp_route {
	const struct mesh_tcp_match *matches;
	size_t match_count;
	const struct mesh_route_dest *dests;
	size_t dest_count;
};

/** Istio VirtualService. */
struct mesh_virtual_service {
	struct mesh_arena arena;
	const char *ns, *name;
	uint64_t created;          /* metadata.creationTimestamp, Unix seconds: the oldest wins a host */
	uint64_t resource_version; /* 0 if it is not a number */
	const char *const *hosts;
	size_t host_count;
	const char *const *gateways; /* as written; none: "mesh" alone */
	size_t gateway_count;
	const char *const *export_to; /* none: everywhere ("*") */
	size_t export_to_count;
	const struct mesh_http_route *http;
	size_t http_count;
	const struct mesh_tcp_route *tcp;
	size_t tcp_count;
	const struct mesh_tcp_route *tls;
	size_t tls_count;
};

struct mesh_subset {
	const char *name;
	struct mesh_labels labels;
	bool has_lb; /* lb is the subset's own, else the rule's */
	enum mesh_lb lb;
};

/** Istio DestinationRule. */
struct mesh_destination_rule {
	struct mesh_arena arena;
	const char *ns, *name;
	uint64_t created, resource_version;
	const char *host; /* as written; may be "*.suffix" */
	bool has_lb;
	enum mesh_lb lb;
	const struct mesh_subset *subsets;
	size_t subset_count;
	const char *const *export_to;
	size_t export_to_count;
	struct mesh_labels workload_selector; /* empty: all clients */
};

enum mesh_gateway_protocol {
	MESH_GATEWAY_HTTP, /* also HTTP2, GRPC */
	MESH_GATEWAY_HTTPS,
	MESH_GATEWAY_TCP, /* also MONGO */
	MESH_GATEWAY_TLS,
};

enum mesh_gateway_tls {
	MESH_GATEWAY_TLS_NONE, /* no tls: in the server */
	MESH_GATEWAY_TLS_PASSTHROUGH,
	MESH_GATEWAY_TLS_SIMPLE,
	MESH_GATEWAY_TLS_MUTUAL, /* also OPTIONAL_MUTUAL */
	MESH_GATEWAY_TLS_AUTO_PASSTHROUGH,
	MESH_GATEWAY_TLS_ISTIO_MUTUAL,
};

struct mesh_gateway_server {
	const char *name;      /* may be NULL */
	const char *port_name; /* may be NULL */
	uint16_t port;
	enum mesh_gateway_protocol protocol;
	const char *const *hosts; /* "host", or "NAMESPACE/host" where the namespace may be "." or "*" */
	size_t host_count;
	enum mesh_gateway_tls tls;
	bool https_redirect;
};

/** Istio Gateway. */
struct mesh_gateway {
	struct mesh_arena arena;
	const char *ns, *name;
	uint64_t created, resource_version;
	struct mesh_labels selector; /* of the gateway's pods, in every namespace; empty: all */
	const struct mesh_gateway_server *servers;
	size_t server_count;
};

enum mesh_entry_resolution {
	MESH_ENTRY_NONE,   /* the address that the client connected to */
	MESH_ENTRY_STATIC, /* the addresses listed */
	MESH_ENTRY_DNS,    /* the names listed, else the hosts, looked up */
};

struct mesh_entry_port {
	const char *name; /* "" if it has none */
	uint16_t port, target;
	enum mesh_protocol protocol;
	bool is_http2;
};

struct mesh_entry_endpoint {
	const char *address;      /* as written: an address, or with DNS a name */
	struct mesh_labels ports; /* port name -> number as text, where it is not the port's target */
	struct mesh_labels labels;
};

/** A subnet; one address with all its bits. */
struct mesh_subnet {
	struct mesh_addr ip; /* port 0 */
	uint8_t bits;        /* of 128; IPv4 counts from 96 */
};

/** Istio ServiceEntry. */
struct mesh_service_entry {
	struct mesh_arena arena;
	const char *ns, *name;
	uint64_t created, resource_version;
	const char *const *hosts; /* lower case */
	size_t host_count;
	const struct mesh_subnet *addresses;
	size_t address_count;
	const struct mesh_entry_port *ports;
	size_t port_count;
	enum mesh_entry_resolution resolution;
	const struct mesh_entry_endpoint *endpoints;
	size_t endpoint_count;
	struct mesh_labels workload_selector; /* empty: none */
	const char *const *export_to;
	size_t export_to_count;
};

/** Maistra ServiceMeshMemberRoll: both lists. */
struct mesh_member_roll {
	struct mesh_arena arena;
	const char *ns, *name;
	uint64_t resource_version;
	const char *const *members; /* spec.members */
	size_t member_count;
	const char *const *configured; /* status.configuredMembers: these are in the mesh */
	size_t configured_count;
};

/* Each accepts NULL. */
void mesh_virtual_service_free(struct mesh_virtual_service *vs);
void mesh_destination_rule_free(struct mesh_destination_rule *dr);
void mesh_gateway_free(struct mesh_gateway *gw);
void mesh_member_roll_free(struct mesh_member_roll *roll);
void mesh_service_entry_free(struct mesh_service_entry *se);

#endif
