/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiled HTTP configuration: what the proxy routes by. Built by compile/ from the
 * model, immutable once published, shared by all worker threads by reference count:
 * a request holds the configuration it began with until it is finished. What is compiled of one
 * host is a part, with its memory; versions share the parts that are alike, and the maps that lead to them.
 *
 * Walk of one request: listener (outbound of a pod, or a gateway port) -> table
 * (client namespace and port) -> virtual host (authority) -> route (first match wins)
 * -> one draw among its destinations -> cluster -> one endpoint.
 */
#ifndef MESH_MODEL_L7_H
#define MESH_MODEL_L7_H

#include "core/addr.h"
#include "core/arena.h"
#include "core/map.h"
#include "core/pmap.h"
#include "model/workload.h"

#include <regex.h>
#include <stdatomic.h>

/** Load balancing. Istio: DestinationRule trafficPolicy.loadBalancer.simple. */
enum mesh_lb {
	MESH_LB_ROUND_ROBIN, /* default; strict for sequential requests on a node */
	MESH_LB_RANDOM,
	MESH_LB_LEAST_REQUEST, /* fewer requests in flight of two drawn */
};

/**
 * What outlives a configuration: the turn of a cluster's or route's draw, and requests in flight by
 * endpoint. Kept by name in a struct mesh_l7_states that all configurations of a process share.
 */
struct mesh_l7_state {
	atomic_uint_fast64_t turn; /* of round robin, or of the weighted draw */
	atomic_uint_fast32_t refs; /* configurations that point here */
	char name[];
};

struct mesh_l7_endpoint {
	struct mesh_addr addr;
	const char *pod;              /* name, for logs and metrics; may be NULL */
	atomic_uint_fast32_t *active; /* requests in flight; shared across configurations. NULL: nobody asks */
};

/** What holds the memory of virtual hosts and clusters that belong together; lives while a configuration has one. */
struct mesh_l7_part {
	atomic_uint_fast32_t refs;
	void (*destroy)(struct mesh_l7_part *part);
};

static inline struct mesh_l7_part *mesh_l7_part_ref(struct mesh_l7_part *part)
{
	atomic_fetch_add_explicit(&part->refs, 1, memory_order_relaxed);
	return part;
}

/** NULL is allowed. */
static inline void mesh_l7_part_unref(struct mesh_l7_part *part)
{
	if (part && atomic_fetch_sub_explicit(&part->refs, 1, memory_order_acq_rel) == 1)
		part->destroy(part);
}

/** Ready endpoints of one service port and subset. Name as Istio's: "outbound|8080|v1|catalog.ns.svc.cluster.local". */
struct mesh_l7_cluster {
	const char *name; /* its state's */
	enum mesh_lb lb;
	/* Headless: the endpoint that the client connected to, if it is one of these; else by lb. */
	bool prefer_original;
	/* Session affinity, for clients that are pods: by hash of client and endpoint, so that a client stays with an
	 * endpoint while there is it, on every worker and with no state. Instead of lb. */
	bool by_client;
	/* No endpoints: what the client connected to is the endpoint. */
	bool passthrough;
	const struct mesh_l7_endpoint *endpoints; /* none: 503 "no healthy upstream", flag UH */
	size_t endpoint_count;
	struct mesh_l7_state *state;
	struct mesh_l7_part *part; /* it is in; NULL: in the configuration's arena */
};

/** A route's destination. cluster NULL: the subset is in no DestinationRule: 503 with an empty body, flag NC. */
struct mesh_l7_dest {
	const struct mesh_l7_cluster *cluster;
	uint32_t weight;  /* 0 gets nothing */
	const char *name; /* of the cluster, also when there is none: for logs and metrics; never NULL */
};

enum mesh_match_type {
	MESH_MATCH_ANY, /* presence: header exists */
	MESH_MATCH_EXACT,
	MESH_MATCH_PREFIX,
	MESH_MATCH_REGEX, /* RE2 in Istio; POSIX ERE here, the whole value must match */
};

/** Istio StringMatch. */
struct mesh_l7_string {
	enum mesh_match_type type;
	const char *value;
	size_t len;
	const regex_t *regex;
};

struct mesh_l7_header_match {
	const char *name; /* lower case */
	struct mesh_l7_string value;
	bool invert; /* withoutHeaders */
};

/** Istio HTTPMatchRequest: all that is set must hold. */
struct mesh_l7_match {
	const struct mesh_l7_string *uri, *scheme, *method, *authority; /* NULL: any */
	bool ignore_uri_case;
	const struct mesh_l7_header_match *headers, *query;
	size_t header_count, query_count;
	const struct mesh_labels *source_labels; /* NULL: any */
	const char *source_namespace;            /* NULL: any */
};

/** Istio HTTPRoute as far as it is supported. No match: always. */
struct mesh_l7_route {
	const char *name; /* may be NULL */
	const struct mesh_l7_match *matches;
	size_t match_count; /* any of them */
	const struct mesh_l7_dest *dests;
	size_t dest_count;
	uint32_t total_weight;       /* sum; > 0 unless dest_count is 0 */
	struct mesh_l7_state *state; /* the weighted draw's turn; NULL where there is one destination */
	uint64_t timeout_ns;         /* 0: none */
	/* Only weights and exact/prefix path or method: a kernel program could decide it. */
	bool simple;
};

/** Domains are matched longest first: exact, then "*.suffix", then "*". */
struct mesh_l7_vhost {
	const char *name;
	const struct mesh_l7_route *routes; /* in order */
	size_t route_count;
	struct mesh_l7_part *part; /* it is in; NULL: in the configuration's arena */
};

enum mesh_l7_default {
	MESH_L7_NOT_FOUND,   /* gateway: 404 */
	MESH_L7_PASSTHROUGH, /* outbound ALLOW_ANY: to the original destination */
	MESH_L7_BLACKHOLE,   /* outbound REGISTRY_ONLY: 502 */
};

/** What a client of one namespace gets on one port (outbound), or what a gateway port serves. */
struct mesh_l7_table {
	atomic_uint_fast32_t refs; /* of those made by compile */
	/* Lower-case authority without port -> struct mesh_l7_vhost; a gateway's also with ":port". */
	struct mesh_pmap exact;
	struct mesh_pmap suffix;         /* ".example.com" -> vhost, for "*.example.com" */
	const struct mesh_l7_vhost *any; /* "*", or NULL */
	enum mesh_l7_default fallback;
};

struct mesh_l7_config {
	atomic_uint_fast32_t refs;
	uint64_t version;          /* rises with each publish in a process */
	struct mesh_arena arena;   /* of those that are not made of parts */
	struct mesh_pmap outbound; /* "NAMESPACE|PORT" -> struct mesh_l7_table */
	struct mesh_pmap gateway;  /* "PORT" -> struct mesh_l7_table; keys are the ports to listen on */
	/* For plaintext that is not HTTP/1 on an HTTP port, by original destination "IP:PORT" -> struct mesh_l7_cluster
	 */
	struct mesh_pmap by_vip;
	/* With follows, this is the version before but for some parts, and departed (IP and port, 18 bytes; the value
	 * says nothing) are the endpoints that those parts lost. Without, departed says nothing. */
	bool follows;
	struct mesh_map departed;
	void (*destroy)(struct mesh_l7_config *cfg); /* set by compile; lets go of parts and maps */
};

static inline struct mesh_l7_config *mesh_l7_ref(struct mesh_l7_config *cfg)
{
	atomic_fetch_add_explicit(&cfg->refs, 1, memory_order_relaxed);
	return cfg;
}

/** Drops one reference; the last one destroys. NULL is allowed. */
static inline void mesh_l7_unref(struct mesh_l7_config *cfg)
{
	if (cfg && atomic_fetch_sub_explicit(&cfg->refs, 1, memory_order_acq_rel) == 1)
		cfg->destroy(cfg);
}

#endif
