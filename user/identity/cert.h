/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and keys in memory: made, signed, read and written as PEM (X.509 v3, RFC 5280; keys
 * are ECDSA P-256 in PKCS #8). Nothing here touches a file or a clock other than the system's.
 * OpenSSL's objects are reference-counted; a pair owns its two. Any thread, each object on one.
 */
#ifndef MESH_IDENTITY_CERT_H
#define MESH_IDENTITY_CERT_H

#include "core/err.h"

#include <openssl/ssl.h>

/** What a certificate is for. Strings are borrowed. */
struct mesh_cert_spec {
	const char *cn, *org;     /* org may be NULL */
	bool ca, server;          /* neither: a client's */
	const char *const *names; /* of a server: DNS names and addresses, NULL-ended */
	int64_t seconds;          /* how long from now it is valid; it also was for the last five minutes */
};

/** Valid times begin this long before a certificate is made, for clocks that are behind. */
enum { MESH_CERT_BACKDATE_SECONDS = 300 };

struct mesh_key_pair {
	X509 *cert;
	EVP_PKEY *key;
};

/** Makes a key and its certificate, signed by issuer (NULL: by itself). Returns 0 or -EIO; *ret untouched then. */
int mesh_key_pair_new(const struct mesh_cert_spec *spec, const struct mesh_key_pair *issuer, struct mesh_key_pair *ret);
/**
 * Reads both from PEM and sees that they belong together. Returns 0; -EINVAL with *ret untouched.
 */
int mesh_key_pair_parse(struct mesh_slice cert_pem, struct mesh_slice key_pem, struct mesh_key_pair *ret);
/** Leaves it empty. */
void mesh_key_pair_free(struct mesh_key_pair *pair);

/** PEM into *out, replacing what it held. Returns 0 or -EIO. */
int mesh_cert_pem(X509 *cert, struct mesh_buf *out);
int mesh_key_pem(EVP_PKEY *key, struct mesh_buf *out);
/** The first certificate of PEM text, the caller's; NULL if there is none. */
X509 *mesh_cert_parse(struct mesh_slice pem);
/** Whether cert carries ca's signature and ca may sign. */
bool mesh_cert_signed_by(X509 *cert, const struct mesh_key_pair *ca);
/** notBefore and notAfter (RFC 5280 4.1.2.5) as seconds since 1970; 0 if they cannot be read. */
int64_t mesh_cert_begins(X509 *cert);
int64_t mesh_cert_ends(X509 *cert);

/**
 * A context that shows pair: TLS 1.2 or newer, no renegotiation, non-blocking writes as store/tls.h needs them.
 * A server's selects http/1.1 by ALPN. method: TLS_server_method() or TLS_client_method(). NULL with errs.
 */
SSL_CTX *mesh_cert_context(const SSL_METHOD *method, const struct mesh_key_pair *pair, struct mesh_errs *errs);
/** Connections that begin from now on show this pair. Returns 0 or -EIO. */
int mesh_cert_context_use(SSL_CTX *ctx, const struct mesh_key_pair *pair);
/** Adds "WHAT: OpenSSL's reason". Returns -EIO. */
int mesh_cert_error(struct mesh_errs *errs, const char *what);

#endif
