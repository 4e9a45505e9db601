/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The webhook's own CA. It lives in a Secret that the leader makes, rotates and mends; every replica
 * reads it and signs its own certificate with it. The leader also keeps the caBundle of the
 * ValidatingWebhookConfiguration. A rotation overlaps: for one overlap the bundle has the new CA
 * while the old one still signs, for another the new one signs while the bundle has both. Every
 * write names the resourceVersion that it was decided on. Loop thread only.
 *
 * The Secret's data: ca.crt, ca.key; while a rotation is under way also previous.crt, previous.key.
 * Its annotation sockmesh.io/rotate, with any value, asks for a rotation now.
 */
#ifndef MESH_CONTROL_CA_H
#define MESH_CONTROL_CA_H

#include "core/loop.h"
#include "identity/cert.h"
#include "kube/kube.h"

struct mesh_ca;

/** Strings are copied. */
struct mesh_ca_opts {
	const char *ns, *secret;          /* where it lives */
	const char *configuration;        /* name of the ValidatingWebhookConfiguration */
	int64_t seconds, overlap_seconds; /* 0: ten years, an hour. Rotated when a fifth of its time is left */
	/** Certificates are to be signed by this pair from now on (borrowed). From the loop. */
	void (*signer)(void *arg, const struct mesh_key_pair *ca);
	void *arg;
};

int mesh_ca_new(struct mesh_ca **ret, struct mesh_loop *loop, struct mesh_kube *kube, const struct mesh_ca_opts *opts);
/** Whether we are the one who writes. False at first. */
void mesh_ca_lead(struct mesh_ca *ca, bool leads);
/** NULL is allowed. */
void mesh_ca_free(struct mesh_ca *ca);

#endif
