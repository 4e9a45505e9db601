/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside config/: what check_route.c and check_http.c share.
 */
#ifndef MESH_CONFIG_CHECK_HTTP_H
#define MESH_CONFIG_CHECK_HTTP_H

#include "config/at.h"

/** A StringMatch. */
void mesh_at_string_match(struct mesh_at *at, const json_t *v, void *arg);
/** Operations on header fields of request and response. */
void mesh_at_headers(struct mesh_at *at, const json_t *v, void *arg);
/** An HTTP route's redirect, directResponse, headers, fault, corsPolicy, retries, rewrite and mirrors. */
void mesh_at_http_parts(struct mesh_at *at, const json_t *v);
/** Whether text is a token (RFC 9110 5.6.2): what a header field can be called. */
bool mesh_text_is_token(const char *text);

#endif
