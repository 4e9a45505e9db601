/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a request goes: pure functions over a published configuration. Nothing is changed but
 * the turns of weighted draws and of round robin, which are atomic. Source: Istio VirtualService,
 * DestinationRule; Envoy's order of virtual hosts. Any thread.
 */
#ifndef MESH_PROXY_ROUTER_H
#define MESH_PROXY_ROUTER_H

#include "model/l7.h"
#include "proxy/http1.h"

/** What of a request and its client a route can ask for. */
struct mesh_router_request {
	const struct mesh_http1_head *head;
	const struct mesh_labels *labels; /* of the client; NULL: none */
	const char *ns;                   /* of the client; NULL: none */
};

/** xorshift64*: *seed must not be 0. */
uint64_t mesh_random_next(uint64_t *seed);

/** The table of a client's namespace and the port it called. NULL: none. */
const struct mesh_l7_table *mesh_router_outbound(const struct mesh_l7_config *cfg, const char *ns, uint16_t port);
const struct mesh_l7_table *mesh_router_gateway(const struct mesh_l7_config *cfg, uint16_t port);
/** The virtual host of an authority (any case, with or without port): exact, longest "*.suffix", "*". NULL: none. */
const struct mesh_l7_vhost *mesh_router_vhost(const struct mesh_l7_table *table, struct mesh_slice authority);
/** The first route that matches, or NULL. */
const struct mesh_l7_route *mesh_router_route(const struct mesh_l7_vhost *vhost, const struct mesh_router_request *req);
/**
 * One draw by weight. Draws follow a sequence of low discrepancy over the route's shared turn: any run of them is
 * within a few of its exact share, whatever pattern callers have. NULL only if all weights are 0.
 */
const struct mesh_l7_dest *mesh_router_draw(const struct mesh_l7_route *route, uint64_t *seed);
/** One endpoint by the cluster's balancing; NULL if it has none. */
const struct mesh_l7_endpoint *mesh_balance_pick(const struct mesh_l7_cluster *cluster, uint64_t *seed);

/** Who asks for an endpoint: for clusters that prefer_original or go by_client. */
struct mesh_balance_client {
	const struct mesh_addr *original; /* what the client connected to; NULL: unknown */
	const char *ns, *pod;             /* NULL: not a pod, affinity does not hold */
};

/** As mesh_balance_pick(), for a client. */
const struct mesh_l7_endpoint *mesh_balance_pick_for(const struct mesh_l7_cluster *cluster,
						     const struct mesh_balance_client *client, uint64_t *seed);

#endif
