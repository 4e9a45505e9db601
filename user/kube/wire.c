/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/wire.h"

#include "core/addr.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>

enum { OPEN_MS = 10000 };

static const char *after_scheme(const char *server)
{
	const char *p = strstr(server, "://");

	return p ? p + 3 : server;
}

char *mesh_wire_host(const struct mesh_kubeconfig *config)
{
	const char *host = after_scheme(config->server);

	return mesh_xstrndup(host, strcspn(host, "/"));
}

/* "[::1]:6443", "api.example:443", "10.0.0.1" */
static void split_host(const char *text, char **host, char **port, const char *usual)
{
	const char *colon = strrchr(text, ':'), *bracket = strchr(text, ']');

	if (text[0] == '[' && bracket) {
		*host = mesh_xstrndup(text + 1, (size_t)(bracket - text) - 1);
		*port = mesh_xstrdup(bracket[1] == ':' ? bracket + 2 : usual);
		return;
	}
	*host = colon ? mesh_xstrndup(text, (size_t)(colon - text)) : mesh_xstrdup(text);
	*port = mesh_xstrdup(colon ? colon + 1 : usual);
}

static int wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	int r = poll(&p, 1, OPEN_MS);

	return r > 0 ? 0 : r == 0 ? -ETIMEDOUT : -errno;
}

static int connect_one(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, error = 0;
	socklen_t len = sizeof(error);

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return fd;
	error = errno;
	if (error == EINPROGRESS) {
		error = -wait_for(fd, POLLOUT);
		if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			error = errno;
	}
	if (error == 0)
		return fd;
	close(fd);
	return -error;
}

static int connect_host(const char *host, const char *port, struct mesh_errs *errs)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	int r = getaddrinfo(host, port, &hints, &found), fd = -EHOSTUNREACH;

	if (r != 0) {
		mesh_errs_add(errs, "cannot find %s: %s", host, gai_strerror(r));
		return -EIO;
	}
	for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
		fd = connect_one(a);
	freeaddrinfo(found);
	if (fd < 0)
		mesh_errs_add(errs, "cannot connect to %s:%s: %s", host, port, strerror(-fd));
	return fd < 0 ? -EIO : fd;
}

static int tls_error(struct mesh_errs *errs, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *why = code ? ERR_reason_error_string(code) : NULL;

	mesh_errs_add(errs, "%s: %s", what, why ? why : "unknown error");
	ERR_clear_error();
	return -EIO;
}

static int use_ca(SSL_CTX *ctx, const struct mesh_kubeconfig *c)
{
	BIO *bio;
	X509 *x;
	int n = 0;

	if (c->ca_file)
		return SSL_CTX_load_verify_file(ctx, c->ca_file);
	if (!c->ca_data)
		return SSL_CTX_set_default_verify_paths(ctx);
	bio = BIO_new_mem_buf(c->ca_data, -1);
	while ((x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		n += X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x);
		X509_free(x);
	}
	BIO_free(bio);
	ERR_clear_error();
	return n > 0;
}

/* The certificate, and those of its issuers that stand after it. */
static int use_cert(SSL_CTX *ctx, const struct mesh_kubeconfig *c)
{
	BIO *bio;
	X509 *x;
	int ok;

	if (c->cert_file)
		return SSL_CTX_use_certificate_chain_file(ctx, c->cert_file);
	if (!c->cert_data)
		return 1;
	bio = BIO_new_mem_buf(c->cert_data, -1);
	x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	ok = x && SSL_CTX_use_certificate(ctx, x);
	X509_free(x);
	while (ok && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		ok = SSL_CTX_add1_chain_cert(ctx, x), X509_free(x);
	BIO_free(bio);
	if (ok)
		ERR_clear_error(); /* that there are no more */
	return ok;
}

static int use_key(SSL_CTX *ctx, const struct mesh_kubeconfig *c)
{
	EVP_PKEY *key;
	BIO *bio;
	int ok;

	if (c->key_file)
		return SSL_CTX_use_PrivateKey_file(ctx, c->key_file, SSL_FILETYPE_PEM);
	if (!c->key_data)
		return 1;
	bio = BIO_new_mem_buf(c->key_data, -1);
	key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	ok = key && SSL_CTX_use_PrivateKey(ctx, key);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return ok;
}

static bool is_address(const char *host)
{
	struct mesh_addr a;

	return mesh_addr_parse(mesh_slice_str(host), 0, &a) == 0;
}

static int set_peer(struct mesh_wire *w, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(w->ssl);

	if (is_address(name))
		return X509_VERIFY_PARAM_set1_ip_asc(param, name);
	return SSL_set1_host(w->ssl, name) && SSL_set_tlsext_host_name(w->ssl, name);
}

static int shake_hands(struct mesh_wire *w, struct mesh_errs *errs)
{
	for (;;) {
		int r = SSL_connect(w->ssl), e, waited;
		long verdict;

		if (r == 1)
			return 0;
		e = SSL_get_error(w->ssl, r);
		if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
			verdict = SSL_get_verify_result(w->ssl);
			if (verdict == X509_V_OK)
				return tls_error(errs, "TLS handshake failed");
			mesh_errs_add(errs, "tls: failed to verify certificate: %s",
				      X509_verify_cert_error_string(verdict));
			return -EIO;
		}
		waited = wait_for(w->fd, e == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
		if (waited < 0) {
			mesh_errs_add(errs, "TLS handshake failed: %s", strerror(-waited));
			return -EIO;
		}
	}
}

static int open_tls(struct mesh_wire *w, const struct mesh_kubeconfig *c, const char *host, struct mesh_errs *errs)
{
	w->ctx = SSL_CTX_new(TLS_client_method());
	if (!w->ctx)
		return tls_error(errs, "cannot start TLS");
	SSL_CTX_set_min_proto_version(w->ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(w->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(w->ctx, c->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	if (!c->insecure && !use_ca(w->ctx, c))
		return tls_error(errs, "cannot read the certificate authority");
	if (!use_cert(w->ctx, c) || !use_key(w->ctx, c))
		return tls_error(errs, "cannot read the client certificate or its key");
	w->ssl = SSL_new(w->ctx);
	if (!w->ssl || !SSL_set_fd(w->ssl, w->fd) || !set_peer(w, c->server_name ? c->server_name : host))
		return tls_error(errs, "cannot start TLS");
	return shake_hands(w, errs);
}

int mesh_wire_open(struct mesh_wire *w, const struct mesh_kubeconfig *c, struct mesh_errs *errs)
{
	mesh_auto_free char *place = mesh_wire_host(c), *host = NULL, *port = NULL;
	bool plain = strncmp(c->server, "http://", 7) == 0;
	int r = 0;

	*w = (struct mesh_wire){.fd = -1};
	if (c->proxy) {
		mesh_errs_add(errs, "proxy-url (%s) is not supported for exec, attach and the like", c->proxy);
		return -EIO;
	}
	split_host(place, &host, &port, plain ? "80" : "443");
	w->fd = connect_host(host, port, errs);
	if (w->fd < 0)
		return w->fd;
	if (!plain)
		r = open_tls(w, c, host, errs);
	if (r < 0)
		mesh_wire_close(w);
	return r;
}

void mesh_wire_close(struct mesh_wire *w)
{
	SSL_free(w->ssl);
	SSL_CTX_free(w->ctx);
	w->ssl = NULL;
	w->ctx = NULL;
	mesh_cleanup_fd(&w->fd);
}

static ssize_t outcome(struct mesh_wire *w, int r)
{
	int e;

	if (r > 0)
		return r;
	e = SSL_get_error(w->ssl, r);
	w->want_read = e == SSL_ERROR_WANT_READ;
	w->want_write = e == SSL_ERROR_WANT_WRITE;
	if (w->want_read || w->want_write)
		return -EAGAIN;
	ERR_clear_error();
	return e == SSL_ERROR_ZERO_RETURN || e == SSL_ERROR_SYSCALL ? 0 : -EIO;
}

ssize_t mesh_wire_read(struct mesh_wire *w, void *data, size_t len)
{
	ssize_t n;

	w->want_read = w->want_write = false;
	ERR_clear_error();
	if (w->ssl)
		return outcome(w, SSL_read(w->ssl, data, (int)len));
	n = read(w->fd, data, len);
	w->want_read = n < 0 && errno == EAGAIN;
	return n < 0 ? -errno : n;
}

ssize_t mesh_wire_write(struct mesh_wire *w, const void *data, size_t len)
{
	ssize_t n;

	w->want_read = w->want_write = false;
	ERR_clear_error();
	if (w->ssl) {
		n = outcome(w, SSL_write(w->ssl, data, (int)len));
		return n == 0 ? -EPIPE : n;
	}
	n = send(w->fd, data, len, MSG_NOSIGNAL);
	w->want_write = n < 0 && errno == EAGAIN;
	return n < 0 ? -errno : n;
}

bool mesh_wire_pending(const struct mesh_wire *w)
{
	return w->ssl && SSL_pending(w->ssl) > 0;
}
