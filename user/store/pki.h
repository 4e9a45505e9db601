/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded API's certificates: a CA made once, a server certificate made at each start
 * (its names may have changed), an administrator's client certificate, and one with which
 * the API calls kubelets. Kept as PEM in a directory, keys 0600. One thread.
 */
#ifndef MESH_STORE_PKI_H
#define MESH_STORE_PKI_H

#include "identity/cert.h"

enum { MESH_PKI_SECRET = 32 };

struct mesh_pki {
	struct mesh_key_pair ca;
	struct mesh_buf ca_pem;
	struct mesh_buf admin_cert, admin_key; /* CN=kubernetes-admin, O=system:masters */
	struct mesh_buf node_cert, node_key;   /* CN=kube-apiserver-kubelet-client, O=system:masters */
	struct mesh_buf server_cert, server_key;
	unsigned char secret[MESH_PKI_SECRET]; /* signs service account tokens */
};

/**
 * Loads what dir has and makes the rest. names: what clients may call the server, addresses or DNS names,
 * NULL-ended. Returns 0, or -errno with errs filled.
 */
int mesh_pki_open(struct mesh_pki **ret, const char *dir, const char *const *names, struct mesh_errs *errs);
void mesh_pki_free(struct mesh_pki *pki);
/** For accepting: our server certificate, client certificates of our CA asked for and optional, ALPN http/1.1. */
SSL_CTX *mesh_pki_server(const struct mesh_pki *pki, struct mesh_errs *errs);
/** For calling kubelets: our client certificate; the peer's must come from our CA. */
SSL_CTX *mesh_pki_client(const struct mesh_pki *pki, struct mesh_errs *errs);

#endif
