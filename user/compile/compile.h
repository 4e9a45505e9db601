/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model turned into what is routed by: HTTP tables for the proxy, a map image for the
 * kernel. Pure but for the balancer states, which are found by name so that turns and counts
 * go on from one configuration to the next. What cannot take effect is told as a warning.
 */
#ifndef MESH_COMPILE_COMPILE_H
#define MESH_COMPILE_COMPILE_H

#include "compile/snapshot.h"
#include "compile/states.h"
#include "core/err.h"
#include "model/l4.h"

/**
 * The outbound tables of an agent, for clients of each of the namespaces given. Never fails: what is wrong
 * in an object makes that object's part answer 503 or 404 and adds to warnings (may be NULL).
 * *ret has one reference, the caller's.
 */
void mesh_compile_outbound(const struct mesh_snapshot *snap, const char *const *client_namespaces, size_t count,
			   struct mesh_l7_states *states, struct mesh_l7_config **ret, struct mesh_errs *warnings);

/** Which pod a gateway runs in: its labels choose Gateways, the Services that select it translate their ports. */
struct mesh_gateway_pod {
	const char *ns, *name;
	const struct mesh_labels *labels;
};

void mesh_compile_gateway(const struct mesh_snapshot *snap, const struct mesh_gateway_pod *pod,
			  struct mesh_l7_states *states, struct mesh_l7_config **ret, struct mesh_errs *warnings);

/** Every Service address of the cluster. *image is zeroed; freed by mesh_l4_image_free(). */
void mesh_compile_l4(const struct mesh_snapshot *snap, struct mesh_l4_image *image, struct mesh_errs *warnings);

#endif
