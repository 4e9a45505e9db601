/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes' protobuf encoding of request bodies (newer kubectl sends it for the kinds that it
 * has types of), decoded to the same JSON that it would have sent otherwise. Any thread.
 */
#ifndef MESH_STORE_PROTO_H
#define MESH_STORE_PROTO_H

#include "config/kind.h"

/**
 * Decodes an application/vnd.kubernetes.protobuf body. Returns a new object with apiVersion and kind, or NULL with
 * *error saying why (caller frees).
 */
json_t *mesh_proto_decode(struct mesh_slice body, char **error);
/** "1 name,2 spec": the numbers and names of a message's fields; NULL if there are none. */
const char *mesh_proto_fields(const char *message);

#endif
