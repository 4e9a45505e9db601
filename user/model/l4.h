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

/** One weighted group of endpoints (a subset). A group with weight but no endpoint refuses what is drawn for it. */
struct mesh_l4_dest {
	uint32_t weight;             /* 0 gets nothing */
	struct mesh_addr *endpoints; /* address and port */
	size_t endpoint_count;
};

/** What clients connect to: an address (ClusterIP), port and protocol. */
struct mesh_l4_service {
	char *name; /* "catalog.coolapp:8080", for people */
	struct mesh_addr vip;
	uint8_t ip_proto; /* IPPROTO_TCP or IPPROTO_UDP */
	enum mesh_tier tier;
	uint32_t refuse_reason; /* enum mesh_reason, with MESH_TIER_REFUSE */
	MESH_VEC(struct mesh_l4_dest) dests;
};

struct mesh_l4_image {
	uint64_t version;
	MESH_VEC(struct mesh_l4_service) services; /* sorted by vip, port, protocol; no two alike */
};

void mesh_l4_image_free(struct mesh_l4_image *image);

#endif
