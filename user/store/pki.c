/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pki.h"

#include "core/addr.h"
#include "core/mem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

enum { CA_DAYS = 3650, LEAF_DAYS = 365, RENEW_DAYS = 30, FILE_MAX = 65536 };

/* What a certificate is for. */
struct subject {
	const char *cn, *org;
	bool ca, server;
	const char *const *names; /* server only */
};

static int ssl_error(struct mesh_errs *errs, const char *what)
{
	char text[200];

	ERR_error_string_n(ERR_get_error(), text, sizeof(text));
	mesh_errs_add(errs, "%s: %s", what, text);
	return -EIO;
}

static int pem_of(struct mesh_buf *out, X509 *cert, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;
	int ok = cert ? PEM_write_bio_X509(bio, cert)
		      : PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);

	if (ok) {
		len = BIO_get_mem_data(bio, &data);
		mesh_buf_clear(out);
		mesh_buf_add(out, data, (size_t)len);
	}
	BIO_free(bio);
	return ok ? 0 : -EIO;
}

static X509 *parse_cert(const struct mesh_buf *pem)
{
	BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->len);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	return cert;
}

static EVP_PKEY *parse_key(const struct mesh_buf *pem)
{
	BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->len);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	BIO_free(bio);
	return key;
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	int ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!ext)
		return -EIO;
	ok = X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	return ok ? 0 : -EIO;
}

static int add_names(X509 *cert, X509 *issuer, const char *const *names)
{
	struct mesh_buf text = {0};
	int r;

	for (; *names; names++) {
		struct mesh_addr addr;
		bool ip = mesh_addr_parse(mesh_slice_str(*names), 0, &addr) == 0;

		mesh_buf_printf(&text, "%s%s:%s", text.len ? "," : "", ip ? "IP" : "DNS", *names);
	}
	r = add_extension(cert, issuer, NID_subject_alt_name, text.data);
	mesh_buf_free(&text);
	return r;
}

static int set_serial(X509 *cert)
{
	unsigned char bytes[16];
	BIGNUM *n;
	int ok;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return -EIO;
	bytes[0] &= 0x7f;
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
	BN_free(n);
	return ok ? 0 : -EIO;
}

static int add_extensions(X509 *cert, X509 *issuer, const struct subject *s)
{
	if (s->ca)
		return add_extension(cert, issuer, NID_basic_constraints, "critical,CA:TRUE") < 0 ||
				       add_extension(cert, issuer, NID_key_usage,
						     "critical,keyCertSign,digitalSignature") < 0 ||
				       add_extension(cert, issuer, NID_subject_key_identifier, "hash") < 0
			       ? -EIO
			       : 0;
	if (add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") < 0 ||
	    add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature") < 0 ||
	    add_extension(cert, issuer, NID_authority_key_identifier, "keyid") < 0 ||
	    add_extension(cert, issuer, NID_ext_key_usage, s->server ? "serverAuth" : "clientAuth") < 0)
		return -EIO;
	return s->server ? add_names(cert, issuer, s->names) : 0;
}

/* Makes a key and a certificate; issuer NULL: signed by itself. */
static int issue(const struct subject *s, X509 *issuer, EVP_PKEY *issuer_key, X509 **ret_cert, EVP_PKEY **ret_key)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name;
	int r = -EIO;

	if (!key || !cert || !X509_set_version(cert, 2) || set_serial(cert) < 0)
		goto out;
	name = X509_get_subject_name(cert);
	if (s->org)
		X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)s->org, -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)s->cn, -1, -1, 0);
	X509_gmtime_adj(X509_getm_notBefore(cert), -300);
	X509_gmtime_adj(X509_getm_notAfter(cert), (s->ca ? CA_DAYS : LEAF_DAYS) * 86400L);
	X509_set_pubkey(cert, key);
	X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : name);
	if (add_extensions(cert, issuer ? issuer : cert, s) < 0 ||
	    !X509_sign(cert, issuer_key ? issuer_key : key, EVP_sha256()))
		goto out;
	*ret_cert = mesh_steal(cert);
	*ret_key = mesh_steal(key);
	r = 0;
out:
	X509_free(cert);
	EVP_PKEY_free(key);
	return r;
}

static int file_load(const char *dir, const char *name, struct mesh_buf *ret)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, name);

	mesh_buf_clear(ret);
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
	X509 *cert = parse_cert(cert_pem);
	EVP_PKEY *key = parse_key(key_pem);
	time_t soon = time(NULL) + RENEW_DAYS * 86400L;
	bool good = cert && key && X509_check_private_key(cert, key) == 1 && X509_verify(cert, pki->ca_key) == 1 &&
		    X509_cmp_time(X509_get0_notAfter(cert), &soon) > 0;

	X509_free(cert);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return good;
}

/* Loads NAME.crt and NAME.key if they are good (and keep is set), else makes them. */
static int leaf(struct mesh_pki *pki, const char *dir, const char *name, const struct subject *s, bool keep,
		struct mesh_buf *cert_pem, struct mesh_buf *key_pem, struct mesh_errs *errs)
{
	mesh_auto_free char *crt = mesh_xasprintf("%s.crt", name), *key_name = mesh_xasprintf("%s.key", name);
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;
	int r;

	if (keep && file_load(dir, crt, cert_pem) == 0 && file_load(dir, key_name, key_pem) == 0 &&
	    still_good(pki, cert_pem, key_pem))
		return 0;
	r = issue(s, pki->ca, pki->ca_key, &cert, &key);
	if (r < 0)
		return ssl_error(errs, name);
	r = pem_of(cert_pem, cert, NULL);
	if (r == 0)
		r = pem_of(key_pem, NULL, key);
	X509_free(cert);
	EVP_PKEY_free(key);
	if (r == 0)
		r = file_save(dir, key_name, key_pem, errs);
	return r < 0 ? r : file_save(dir, crt, cert_pem, errs);
}

static int authority(struct mesh_pki *pki, const char *dir, struct mesh_errs *errs)
{
	static const struct subject subject = {.cn = "sockmesh-ca", .ca = true};
	struct mesh_buf key_pem = {0};
	int r;

	if (file_load(dir, "ca.crt", &pki->ca_pem) == 0 && file_load(dir, "ca.key", &key_pem) == 0) {
		pki->ca = parse_cert(&pki->ca_pem);
		pki->ca_key = parse_key(&key_pem);
		mesh_buf_free(&key_pem);
		if (pki->ca && pki->ca_key && X509_check_private_key(pki->ca, pki->ca_key) == 1)
			return 0;
		return ssl_error(errs, "the CA in the data directory cannot be read");
	}
	r = issue(&subject, NULL, NULL, &pki->ca, &pki->ca_key);
	if (r < 0)
		return ssl_error(errs, "making a CA");
	if (pem_of(&key_pem, NULL, pki->ca_key) < 0 || pem_of(&pki->ca_pem, pki->ca, NULL) < 0)
		r = ssl_error(errs, "writing the CA");
	if (r == 0)
		r = file_save(dir, "ca.key", &key_pem,
			      errs); /* the key first: a certificate means that both are there */
	if (r == 0)
		r = file_save(dir, "ca.crt", &pki->ca_pem, errs);
	mesh_buf_free(&key_pem);
	return r;
}

static int token_secret(struct mesh_pki *pki, const char *dir, struct mesh_errs *errs)
{
	struct mesh_buf text = {0};
	int r = 0;

	if (file_load(dir, "sa.key", &text) == 0 && text.len == MESH_PKI_SECRET) {
		memcpy(pki->secret, text.data, MESH_PKI_SECRET);
	} else {
		if (RAND_bytes(pki->secret, MESH_PKI_SECRET) != 1)
			return ssl_error(errs, "random bytes");
		mesh_buf_clear(&text);
		mesh_buf_add(&text, pki->secret, MESH_PKI_SECRET);
		r = file_save(dir, "sa.key", &text, errs);
	}
	mesh_buf_free(&text);
	return r;
}

int mesh_pki_open(struct mesh_pki **ret, const char *dir, const char *const *names, struct mesh_errs *errs)
{
	const struct subject admin = {.cn = "kubernetes-admin", .org = "system:masters"};
	const struct subject node = {.cn = "kube-apiserver-kubelet-client", .org = "system:masters"};
	const struct subject server = {.cn = "kube-apiserver", .server = true, .names = names};
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
	X509_free(pki->ca);
	EVP_PKEY_free(pki->ca_key);
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

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in,
			   unsigned inlen, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";

	(void)ssl, (void)arg;
	if (SSL_select_next_proto((unsigned char **)out, outlen, ours, sizeof(ours) - 1, in, inlen) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *context(const struct mesh_pki *pki, const SSL_METHOD *method, const struct mesh_buf *cert_pem,
			const struct mesh_buf *key_pem, struct mesh_errs *errs)
{
	SSL_CTX *ctx = SSL_CTX_new(method);
	X509 *cert = parse_cert(cert_pem);
	EVP_PKEY *key = parse_key(key_pem);

	if (!ctx || !cert || !key || SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1 ||
	    X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), pki->ca) != 1) {
		ssl_error(errs, "TLS set-up");
		SSL_CTX_free(ctx);
		ctx = NULL;
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	if (!ctx)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	return ctx;
}

SSL_CTX *mesh_pki_server(const struct mesh_pki *pki, struct mesh_errs *errs)
{
	SSL_CTX *ctx = context(pki, TLS_server_method(), &pki->server_cert, &pki->server_key, errs);

	if (!ctx)
		return NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL); /* without a certificate one is anonymous, or has a token */
	SSL_CTX_add_client_CA(ctx, pki->ca);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"mesh", 4);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	return ctx;
}

SSL_CTX *mesh_pki_client(const struct mesh_pki *pki, struct mesh_errs *errs)
{
	SSL_CTX *ctx = context(pki, TLS_client_method(), &pki->node_cert, &pki->node_key, errs);

	if (ctx)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return ctx;
}
