/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside config/: checks of Istio's that several of its kinds share.
 */
#ifndef MESH_CONFIG_AT_ISTIO_H
#define MESH_CONFIG_AT_ISTIO_H

#include "config/at.h"

/** Name, number and protocol of a port, as servers, entries and listeners have it. number, named: which must be there.
 */
void mesh_at_named_port(struct mesh_at *at, const json_t *v, bool number, bool named);
/** spec.key as a DestinationRule's connectionPool. */
void mesh_at_connection_pool(struct mesh_at *at, const json_t *spec, const char *key);
/** A Gateway server's tls. */
void mesh_at_server_tls(struct mesh_at *at, const json_t *v, void *arg);
/** A VirtualService's destination. */
void mesh_at_destination(struct mesh_at *at, const json_t *v, void *arg);
/** Whether a protocol's name is one of those that are HTTP. */
bool mesh_protocol_is_http(const char *protocol);

#endif
