/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/cert.h"

#include "core/addr.h"
#include "core/mem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <time.h>

int mesh_cert_error(struct mesh_errs *errs, const char *what)
{
	char text[200];

	ERR_error_string_n(ERR_get_error(), text, sizeof(text));
	mesh_errs_add(errs, "%s: %s", what, text);
	return -EIO;
}

static int take_pem(BIO *bio, int ok, struct mesh_buf *out)
{
	char *data;
	long len;

	if (ok) {
		len = BIO_get_mem_data(bio, &data);
		mesh_buf_clear(out);
		mesh_buf_add(out, data, (size_t)len);
	}
	BIO_free(bio);
	return ok ? 0 : -EIO;
}

int mesh_cert_pem(X509 *cert, struct mesh_buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return take_pem(bio, PEM_write_bio_X509(bio, cert), out);
}

int mesh_key_pem(EVP_PKEY *key, struct mesh_buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return take_pem(bio, PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), out);
}

X509 *mesh_cert_parse(struct mesh_slice pem)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr ? pem.ptr : "", (int)pem.len);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	ERR_clear_error();
	return cert;
}

/* A key that wants a password is no key of ours: nobody is asked at a terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return -1;
}

static EVP_PKEY *parse_key(struct mesh_slice pem)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr ? pem.ptr : "", (int)pem.len);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);

	BIO_free(bio);
	ERR_clear_error();
	return key;
}

int mesh_key_pair_parse(struct mesh_slice cert_pem, struct mesh_slice key_pem, struct mesh_key_pair *ret)
{
	struct mesh_key_pair pair = {.cert = mesh_cert_parse(cert_pem), .key = parse_key(key_pem)};

	if (!pair.cert || !pair.key || X509_check_private_key(pair.cert, pair.key) != 1) {
		mesh_key_pair_free(&pair);
		ERR_clear_error();
		return -EINVAL;
	}
	*ret = pair;
	return 0;
}

void mesh_key_pair_free(struct mesh_key_pair *pair)
{
	X509_free(pair->cert);
	EVP_PKEY_free(pair->key);
	*pair = (struct mesh_key_pair){0};
}

bool mesh_cert_signed_by(X509 *cert, const struct mesh_key_pair *ca)
{
	bool ok = X509_check_ca(ca->cert) >= 1 && X509_verify(cert, ca->key) == 1;

	ERR_clear_error();
	return ok;
}

static int64_t seconds_of(const ASN1_TIME *time)
{
	struct tm tm;

	return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

int64_t mesh_cert_begins(X509 *cert)
{
	return seconds_of(X509_get0_notBefore(cert));
}

int64_t mesh_cert_ends(X509 *cert)
{
	return seconds_of(X509_get0_notAfter(cert));
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
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};

	for (; *names; names++) {
		struct mesh_addr addr;
		bool ip = mesh_addr_parse(mesh_slice_str(*names), 0, &addr) == 0;

		mesh_buf_printf(&text, "%s%s:%s", text.len ? "," : "", ip ? "IP" : "DNS", *names);
	}
	return text.len ? add_extension(cert, issuer, NID_subject_alt_name, text.data) : 0;
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

static int add_extensions(X509 *cert, X509 *issuer, const struct mesh_cert_spec *s)
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

static int fill_cert(X509 *cert, EVP_PKEY *key, const struct mesh_cert_spec *s, const struct mesh_key_pair *issuer)
{
	X509_NAME *name = X509_get_subject_name(cert);
	time_t now = time(NULL);

	if (!X509_set_version(cert, 2) || set_serial(cert) < 0)
		return -EIO;
	if (s->org)
		X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)s->org, -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)s->cn, -1, -1, 0);
	X509_time_adj_ex(X509_getm_notBefore(cert), 0, -MESH_CERT_BACKDATE_SECONDS, &now);
	X509_time_adj_ex(X509_getm_notAfter(cert), (int)(s->seconds / 86400), (long)(s->seconds % 86400), &now);
	X509_set_pubkey(cert, key);
	X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer->cert) : name);
	if (add_extensions(cert, issuer ? issuer->cert : cert, s) < 0 ||
	    !X509_sign(cert, issuer ? issuer->key : key, EVP_sha256()))
		return -EIO;
	return 0;
}

int mesh_key_pair_new(const struct mesh_cert_spec *spec, const struct mesh_key_pair *issuer, struct mesh_key_pair *ret)
{
	struct mesh_key_pair pair = {.cert = X509_new(), .key = EVP_EC_gen("P-256")};
	int r = pair.cert && pair.key ? fill_cert(pair.cert, pair.key, spec, issuer) : -EIO;

	if (r < 0)
		mesh_key_pair_free(&pair);
	else
		*ret = pair;
	return r;
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

int mesh_cert_context_use(SSL_CTX *ctx, const struct mesh_key_pair *pair)
{
	return SSL_CTX_use_cert_and_key(ctx, pair->cert, pair->key, NULL, 1) == 1 ? 0 : -EIO;
}

SSL_CTX *mesh_cert_context(const SSL_METHOD *method, const struct mesh_key_pair *pair, struct mesh_errs *errs)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (!ctx || mesh_cert_context_use(ctx, pair) < 0) {
		mesh_cert_error(errs, "TLS set-up");
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL); /* a client's never calls it */
	return ctx;
}
