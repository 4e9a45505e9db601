/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiled kernel configuration: what the BPF programs decide a connect() by.
 * Built by compile/ from the model as one image of everything a node needs; dataplane/
 * compares it with what is in force and writes the difference, each service's new
 * version beside the old, then switches. Plain data; owned by the image.
 */
#ifndef MESH_MODEL_L4_H
#define MESH_MODEL_L4_H

#include "core/addr.h"
#include "core/vec.h"
#include "mesh/tier.h"

#include <stdbool.h>

/** One weighted group of endpoints (a subset). A group with weight but no endpoint refuses what is drawn for it. */
struct mesh_l4_dest {
	uint32_t weight;             /* 0 gets nothing */
	struct mesh_addr *endpoints; /* address and port */
	size_t endpoint_count;
};

/** What becomes of connections to an endpoint that lives, when its service sends nothing new there any more. */
enum mesh_l4_drain {
	MESH_L4_DRAIN_NONE,    /* not to be asked: its endpoints are no pods */
	MESH_L4_DRAIN_DEFAULT, /* as the node says */
	MESH_L4_DRAIN_KEEP,    /* they end with their pod */
	MESH_L4_DRAIN_END,     /* they are ended */
};

/** What clients connect to: an address (ClusterIP, ...), port and protocol. */
struct mesh_l4_service {
	char *name;              /* "catalog.coolapp:8080", for people */
	enum mesh_key_kind kind; /* but MESH_KEY_VIP: vip is 0.0.0.0 or :: */
	struct mesh_addr vip;
	uint8_t ip_proto; /* IPPROTO_TCP or IPPROTO_UDP */
	enum mesh_tier tier;
	uint32_t refuse_reason; /* enum mesh_reason, with MESH_TIER_REFUSE */
	uint32_t affinity_s;    /* seconds that a pod stays with an endpoint; 0: none */
	enum mesh_l4_drain drain;
	MESH_VEC(struct mesh_l4_dest) dests;
};

struct mesh_l4_image {
	uint64_t version;
	MESH_VEC(struct mesh_l4_service) services; /* sorted by kind, vip, port, protocol; no two alike */
	MESH_VEC(struct mesh_addr) node_ips;       /* of all nodes, if there are services of MESH_KEY_NODE */
};

void mesh_l4_image_free(struct mesh_l4_image *image);

/** From one image to the next. Of what is in neither list nothing changed. */
struct mesh_l4_delta {
	uint64_t version;
	bool whole; /* set is the whole image: what is not in it goes */
	MESH_VEC(struct mesh_l4_service) set;
	MESH_VEC(struct mesh_l4_service) gone; /* kind, vip and ip_proto say which */
	bool nodes;                            /* node_ips are as in an image; else they stay */
	MESH_VEC(struct mesh_addr) node_ips;
};

void mesh_l4_delta_free(struct mesh_l4_delta *delta);
/** By kind, vip, port and protocol: by what no two of an image are alike. Of struct mesh_l4_service, as for qsort(). */
int mesh_l4_service_order(const void *a, const void *b);

#endif
