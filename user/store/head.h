/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of an HTTP/1.1 request, strictly (RFC 9112): a pure function over bytes. Any thread.
 */
#ifndef MESH_STORE_HEAD_H
#define MESH_STORE_HEAD_H

#include "core/mem.h"
#include "store/serve.h"

struct mesh_head {
	struct mesh_slice method, target;
	struct {
		struct mesh_slice name, value;
	} fields[MESH_SERVE_HEADERS];
	size_t count, length; /* length: of the head, with its blank line */
	size_t content_length;
	bool chunked, keep_alive, expect_continue, http10, upgrade;
};

/** Returns 200 with *ret filled, 0 when the head is not complete, else the status to refuse with and *text. */
int mesh_head_parse(struct mesh_slice in, size_t max, struct mesh_head *ret, const char **text);
/** Decodes a whole chunked body to out; *used grows by what it took. Returns 200, 0 (incomplete), 400 or 413. */
int mesh_head_unchunk(struct mesh_slice in, size_t max, struct mesh_buf *out, size_t *used);
/** Fills method, target, path, params and headers, copied to the request's arena. */
void mesh_head_to_request(const struct mesh_head *head, struct mesh_request *req);
/** "OK" for 200, and so on. */
const char *mesh_head_reason(int status);

#endif
