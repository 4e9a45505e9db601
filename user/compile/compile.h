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

/** Which pod a gateway runs in: its labels choose Gateways, the Services that select it translate their ports. */
struct mesh_gateway_pod {
	const char *ns, *name;
	const struct mesh_labels *labels;
};

void mesh_compile_gateway(const struct mesh_snapshot *snap, const struct mesh_gateway_pod *pod,
			  struct mesh_l7_states *states, struct mesh_l7_config **ret, struct mesh_errs *warnings);

#endif
