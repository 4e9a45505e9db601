/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pki.h"

#include "core/mem.h"

#include <errno.h>
#include <openssl/rand.h>
#include <sys/stat.h>

enum { DAY = 86400, CA_DAYS = 3650, LEAF_DAYS = 365, RENEW_DAYS = 30, FILE_MAX = 65536 };

/* Also makes sure that it is for its owner alone. */
static int file_load(const char *dir, const char *name, struct mesh_buf *ret)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, name);

	mesh_buf_clear(ret);
	if (chmod(path, 0600) < 0)
		return -errno;
	return mesh_file_read(path, FILE_MAX, ret);
}

static int file_save(const char *dir, const char *name, const struct mesh_buf *text, struct mesh_errs *errs)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, name);
	int r = mesh_file_write(path, mesh_buf_view(text), 0600);

	if (r < 0)
		mesh_errs_add(errs, "%s: %s", path, strerror(-r));
	return r;
}

static bool still_good(const struct mesh_pki *pki, const struct mesh_buf *cert_pem, const struct mesh_buf *key_pem)
{
	struct mesh_key_pair pair = {0};
	bool good = mesh_key_pair_parse(mesh_buf_view(cert_pem), mesh_buf_view(key_pem), &pair) == 0 &&
		    mesh_cert_signed_by(pair.cert, &pki->ca) &&
		    mesh_cert_ends(pair.cert) > time(NULL) + RENEW_DAYS * (int64_t)DAY;

	mesh_key_pair_free(&pair);
	return good;
}

/* Both as PEM, and as files: the key first, since a certificate means that both are there. */
static int pair_save(const struct mesh_key_pair *pair, const char *dir, const char *name, struct mesh_buf *cert_pem,
		     struct mesh_buf *key_pem, struct mesh_errs *errs)
{
	mesh_auto_free char *crt = mesh_xasprintf("%s.crt", name), *key = mesh_xasprintf("%s.key", name);
	int r;

	if (mesh_cert_pem(pair->cert, cert_pem) < 0 || mesh_key_pem(pair->key, key_pem) < 0)
		return mesh_cert_error(errs, name);
	r = file_save(dir, key, key_pem, errs);
	return r < 0 ? r : file_save(dir, crt, cert_pem, errs);
}

/* Loads NAME.crt and NAME.key if they are good (and keep is set), else makes them. */
static int leaf(struct mesh_pki *pki, const char *dir, const char *name, const struct mesh_cert_spec *s, bool keep,
		struct mesh_buf *cert_pem, struct mesh_buf *key_pem, struct mesh_errs *errs)
{
	mesh_auto_free char *crt = mesh_xasprintf("%s.crt", name), *key = mesh_xasprintf("%s.key", name);
	struct mesh_key_pair pair;
	int r;

	if (keep && file_load(dir, crt, cert_pem) == 0 && file_load(dir, key, key_pem) == 0 &&
	    still_good(pki, cert_pem, key_pem))
		return 0;
	if (mesh_key_pair_new(s, &pki->ca, &pair) < 0)
		return mesh_cert_error(errs, name);
	r = pair_save(&pair, dir, name, cert_pem, key_pem, errs);
	mesh_key_pair_free(&pair);
	return r;
}

static int authority(struct mesh_pki *pki, const char *dir, struct mesh_errs *errs)
{
	static const struct mesh_cert_spec spec = {.cn = "sockmesh-ca", .ca = true, .seconds = CA_DAYS * (int64_t)DAY};
	mesh_auto(mesh_buf_free) struct mesh_buf key_pem = {0};

	int have_cert = file_load(dir, "ca.crt", &pki->ca_pem), have_key = file_load(dir, "ca.key", &key_pem);

	if (have_cert == 0 && have_key < 0) { /* a new CA would lock out everyone who trusts this one */
		mesh_errs_add(errs, "%s/ca.crt is there, but its key %s/ca.key is not: %s", dir, dir,
			      strerror(-have_key));
		return -EINVAL;
	}
	if (have_cert == 0) {
		if (mesh_key_pair_parse(mesh_buf_view(&pki->ca_pem), mesh_buf_view(&key_pem), &pki->ca) == 0)
			return 0;
		mesh_errs_add(errs, "%s: ca.crt and ca.key are not a certificate and its key", dir);
		return -EIO;
	}
	if (mesh_key_pair_new(&spec, NULL, &pki->ca) < 0)
		return mesh_cert_error(errs, "making a CA");
	return pair_save(&pki->ca, dir, "ca", &pki->ca_pem, &key_pem, errs);
}

static int token_secret(struct mesh_pki *pki, const char *dir, struct mesh_errs *errs)
{
	struct mesh_buf text = {0};
	int r = 0;

	if (file_load(dir, "sa.key", &text) == 0 && text.len == MESH_PKI_SECRET) {
		memcpy(pki->secret, text.data, MESH_PKI_SECRET);
	} else {
		if (RAND_bytes(pki->secret, MESH_PKI_SECRET) != 1)
			return mesh_cert_error(errs, "random bytes");
		mesh_buf_clear(&text);
		mesh_buf_add(&text, pki->secret, MESH_PKI_SECRET);
		r = file_save(dir, "sa.key", &text, errs);
	}
	mesh_buf_free(&text);
	return r;
}

int mesh_pki_open(struct mesh_pki **ret, const char *dir, const char *const *names, struct mesh_errs *errs)
{
	const int64_t seconds = LEAF_DAYS * (int64_t)DAY;
	const struct mesh_cert_spec admin = {.cn = "kubernetes-admin", .org = "system:masters", .seconds = seconds};
	const struct mesh_cert_spec node = {
		.cn = "kube-apiserver-kubelet-client", .org = "system:masters", .seconds = seconds};
	const struct mesh_cert_spec server = {
		.cn = "kube-apiserver", .server = true, .names = names, .seconds = seconds};
	struct mesh_pki *pki = mesh_xcalloc(1, sizeof(*pki));
	int r;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		r = -errno;
		mesh_errs_add(errs, "%s: %s", dir, strerror(-r));
		free(pki);
		return r;
	}
	r = authority(pki, dir, errs);
	if (r == 0)
		r = token_secret(pki, dir, errs);
	if (r == 0)
		r = leaf(pki, dir, "admin", &admin, true, &pki->admin_cert, &pki->admin_key, errs);
	if (r == 0)
		r = leaf(pki, dir, "kubelet-client", &node, true, &pki->node_cert, &pki->node_key, errs);
	if (r == 0)
		r = leaf(pki, dir, "server", &server, false, &pki->server_cert, &pki->server_key, errs);
	if (r < 0) {
		mesh_pki_free(pki);
		return r;
	}
	*ret = pki;
	return 0;
}

void mesh_pki_free(struct mesh_pki *pki)
{
	if (!pki)
		return;
	mesh_key_pair_free(&pki->ca);
	mesh_buf_free(&pki->ca_pem);
	mesh_buf_free(&pki->admin_cert);
	mesh_buf_free(&pki->admin_key);
	mesh_buf_free(&pki->node_cert);
	mesh_buf_free(&pki->node_key);
	mesh_buf_free(&pki->server_cert);
	mesh_buf_free(&pki->server_key);
	OPENSSL_cleanse(pki->secret, sizeof(pki->secret));
	free(pki);
}

/* Shows that certificate; the peer's is checked with our CA. */
static SSL_CTX *context(const struct mesh_pki *pki, const SSL_METHOD *method, const struct mesh_buf *cert_pem,
			const struct mesh_buf *key_pem, struct mesh_errs *errs)
{
	struct mesh_key_pair pair;
	SSL_CTX *ctx;

	if (mesh_key_pair_parse(mesh_buf_view(cert_pem), mesh_buf_view(key_pem), &pair) < 0) {
		mesh_errs_add(errs, "TLS set-up: a certificate cannot be read");
		return NULL;
	}
	ctx = mesh_cert_context(method, &pair, errs);
	mesh_key_pair_free(&pair);
	if (ctx && X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), pki->ca.cert) != 1) {
		mesh_cert_error(errs, "TLS set-up");
		SSL_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

SSL_CTX *mesh_pki_server(const struct mesh_pki *pki, struct mesh_errs *errs)
{
	SSL_CTX *ctx = context(pki, TLS_server_method(), &pki->server_cert, &pki->server_key, errs);

	if (!ctx)
		return NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL); /* without a certificate one is anonymous, or has a token */
	SSL_CTX_add_client_CA(ctx, pki->ca.cert);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"mesh", 4);
	return ctx;
}

SSL_CTX *mesh_pki_client(const struct mesh_pki *pki, struct mesh_errs *errs)
{
	SSL_CTX *ctx = context(pki, TLS_client_method(), &pki->node_cert, &pki->node_key, errs);

	if (ctx)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return ctx;
}
