/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which characters may be where in an HTTP/1 message: bits of one table, shared by the
 * head's and the body's parser. RFC 9110 section 5.6.2, RFC 3986.
 */
#ifndef MESH_PROXY_HTTP1_CHARS_H
#define MESH_PROXY_HTTP1_CHARS_H

#include <stdint.h>

enum {
	MESH_HTTP1_TOKEN = 1,      /* names and methods */
	MESH_HTTP1_FIELDCHAR = 2,  /* field values: no control characters but tab */
	MESH_HTTP1_TARGETCHAR = 4, /* visible and not '#'; bytes above 127 as clients send them */
	MESH_HTTP1_HOSTCHAR = 8,
};

extern const uint8_t mesh_http1_chars[256];

#endif
