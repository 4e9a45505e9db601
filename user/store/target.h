/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of a request: path and query, percent-decoded (RFC 3986). Any thread.
 */
#ifndef MESH_STORE_TARGET_H
#define MESH_STORE_TARGET_H

#include "store/serve.h"

/**
 * Fills target, path and params, copied to the request's arena. A percent sign that begins no code stays. Returns 0;
 * -EINVAL: there is a zero byte (%00) in it; -E2BIG: there are more than MESH_SERVE_PARAMS parameters.
 */
int mesh_target_parse(struct mesh_request *req, struct mesh_slice target);

#endif
