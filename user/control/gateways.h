/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateways of a control plane as objects of the API: what spec.istio.gateways says of each, made into
 * a Deployment and all that belongs to it. Pure functions. Any thread.
 */
#ifndef MESH_CONTROL_GATEWAYS_H
#define MESH_CONTROL_GATEWAYS_H

#include "control/reconcile.h"

struct mesh_gateway_row {
	const char *name, *label;
	const char *service_type;
	bool route;
};

enum { MESH_GATEWAY_ROWS = 2 };
extern const struct mesh_gateway_row mesh_gateway_rows[MESH_GATEWAY_ROWS];

/** spec.istio.gateways.NAME of a control plane, or NULL. Borrowed. */
const json_t *mesh_gateway_settings(const json_t *smcp, const struct mesh_gateway_row *row);
bool mesh_gateway_enabled(const json_t *smcp, const struct mesh_gateway_row *row);
bool mesh_gateway_autoscaled(const json_t *smcp, const struct mesh_gateway_row *row);

/* Objects without namespace and owner; new references. */
json_t *mesh_gateway_account(const struct mesh_gateway_row *row);
json_t *mesh_gateway_role(const struct mesh_gateway_row *row);
json_t *mesh_gateway_role_binding(const struct mesh_gateway_row *row, const char *ns);
json_t *mesh_gateway_cluster_role(void);
json_t *mesh_gateway_cluster_binding(const struct mesh_gateway_row *row, const char *ns);
/**
 * have: the Deployment that is there, or NULL; scaled: a HorizontalPodAutoscaler has it. How many pods there are is set
 * when it is made, and when the control plane's number changes; who scales it keeps what they chose.
 */
json_t *mesh_gateway_deployment(const json_t *smcp, const struct mesh_gateway_row *row,
				const struct mesh_control_opts *opts, const json_t *have, bool scaled);
json_t *mesh_gateway_service(const json_t *smcp, const struct mesh_gateway_row *row);
json_t *mesh_gateway_autoscaler(const json_t *smcp, const struct mesh_gateway_row *row);
json_t *mesh_gateway_route(const struct mesh_gateway_row *row, const struct mesh_control_opts *opts);

/** Whether a setting only says that something is off (false, null, enabled: false), as it is here anyway. */
bool mesh_gateway_says_nothing(const json_t *v);
/** Appends "istio.gateways.NAME.KEY, " for each setting that has no effect here. */
void mesh_gateway_without_effect(const json_t *smcp, struct mesh_buf *out);

#endif
