/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admission webhook: POST /validate over HTTPS, on store's server, with a certificate that lives
 * in this process alone, made from the CA it is given and made again before it expires; connections
 * that are open stay. Loop thread only.
 */
#ifndef MESH_CONTROL_WEBHOOK_H
#define MESH_CONTROL_WEBHOOK_H

#include "core/addr.h"
#include "core/loop.h"
#include "identity/cert.h"

struct mesh_webhook;

/** Strings are copied. */
struct mesh_webhook_opts {
	struct mesh_addr listen;  /* an unspecified IP: all addresses of both families */
	const char *const *names; /* by which the API server calls us: NULL-ended */
	int64_t cert_seconds;     /* how long a certificate is valid; renewed after two thirds. 0: a day */
};

int mesh_webhook_new(struct mesh_webhook **ret, struct mesh_loop *loop, const struct mesh_webhook_opts *opts);
/**
 * Certificates come from ca from now on (the pair is shared, not taken). With the first one it begins to listen; a
 * port in use is tried again each second.
 */
void mesh_webhook_sign(struct mesh_webhook *webhook, const struct mesh_key_pair *ca);
/** Whether it serves; else why appends the reason. */
bool mesh_webhook_ready(const struct mesh_webhook *webhook, struct mesh_buf *why);
/** NULL is allowed. */
void mesh_webhook_free(struct mesh_webhook *webhook);

#endif
