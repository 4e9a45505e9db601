/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 messages for the sample apps: heads and bodies, in and out. Pure functions over
 * bytes; slices point into the caller's text. The apps stand outside the mesh and must show
 * what it does to them, so they do not share its HTTP engine. Any thread.
 */
#ifndef MESH_LAB_APP_HTTP_H
#define MESH_LAB_APP_HTTP_H

#include "core/buf.h"

#include <stdbool.h>

enum {
	MESH_APP_HEADERS = 128,
	MESH_APP_HEAD_MAX = 64 << 10,
	MESH_APP_BODY_MAX = 64 << 20,
};

struct mesh_app_header {
	struct mesh_slice name, value;
};

struct mesh_app_head {
	struct mesh_slice method, target; /* requests */
	int status;                       /* responses */
	bool http10, keep_alive, chunked, expects_continue;
	int64_t content_length; /* -1: not given */
	unsigned count;
	struct mesh_app_header headers[MESH_APP_HEADERS];
};

/** Length of the head in text up to and with its empty line; 0: need more; -EINVAL: longer than the limit. */
ssize_t mesh_app_head_length(struct mesh_slice text);
/** Parses a whole head, as mesh_app_head_length() found it. Returns 0 or -EINVAL. */
int mesh_app_head_parse(struct mesh_slice text, bool response, struct mesh_app_head *ret);
/** The first header of that name (any case), or an empty slice with ptr NULL. */
struct mesh_slice mesh_app_header_get(const struct mesh_app_head *head, const char *name);

enum mesh_app_body_state {
	MESH_APP_BODY_DONE,
	MESH_APP_BODY_LENGTH,
	MESH_APP_BODY_CHUNK_SIZE,
	MESH_APP_BODY_CHUNK_DATA,
	MESH_APP_BODY_CHUNK_END,
	MESH_APP_BODY_TRAILER,
	MESH_APP_BODY_TO_CLOSE,
};

struct mesh_app_body {
	enum mesh_app_body_state state;
	uint64_t left;
};

/** What follows head: for a response to_head says that it answers a HEAD request. */
struct mesh_app_body mesh_app_body_of(const struct mesh_app_head *head, bool response, bool to_head);
/** Takes body bytes from the front of in and appends them to out. Returns 0 (look at b->state), -EINVAL or -EFBIG. */
int mesh_app_body_read(struct mesh_app_body *b, struct mesh_buf *in, struct mesh_buf *out);
/** "Not Found" for 404; "Unknown" if it has no name. */
const char *mesh_app_status_text(int status);

#endif
