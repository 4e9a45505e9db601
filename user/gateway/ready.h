/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readiness endpoint, GET /healthz/ready on port 15021 as Istio's gateways have it: 200 once
 * a configuration is in force, 503 before. Loop thread only.
 */
#ifndef MESH_GATEWAY_READY_H
#define MESH_GATEWAY_READY_H

#include "core/loop.h"

struct mesh_ready;

/** Listens on all addresses. Returns 0 or -errno. */
int mesh_ready_new(struct mesh_ready **ret, struct mesh_loop *loop, uint16_t port);
void mesh_ready_set(struct mesh_ready *ready, bool is_ready);
/** NULL is allowed. */
void mesh_ready_free(struct mesh_ready *ready);

/** A TCP listener on all addresses, IPv4 and IPv6 (IPv4 alone where there is no IPv6); the fd or -errno. */
int mesh_listen_any(uint16_t port);

#endif
