/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 with padding (RFC 4648 section 4), as Kubernetes writes bytes into JSON. Pure functions; any thread.
 */
#ifndef MESH_CORE_BASE64_H
#define MESH_CORE_BASE64_H

#include "core/buf.h"

/** Appends the text of bytes. */
void mesh_base64_encode(struct mesh_slice bytes, struct mesh_buf *out);
/** Appends the bytes of text, in which line ends may be. Returns 0; -EINVAL with *out as it was. */
int mesh_base64_decode(struct mesh_slice text, struct mesh_buf *out);

#endif
