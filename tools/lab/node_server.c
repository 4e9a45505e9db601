/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/node_server.h"

#include "core/log.h"
#include "core/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

enum { IO_TIMEOUT_S = 20, KEY_DAYS = 365 };

static SSL_CTX *tls;

int mesh_serving_send(struct mesh_serving *s, const void *data, size_t len)
{
	size_t n;

	return len == 0 || SSL_write_ex(s->ssl, data, len, &n) == 1 ? 0 : -EPIPE;
}

int mesh_serving_refuse(struct mesh_serving *s, int status, const char *fmt, ...)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0}, out = {0};
	va_list ap;

	va_start(ap, fmt);
	mesh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	mesh_buf_printf(
		&out, "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
		status, mesh_app_status_text(status), text.len);
	mesh_buf_slice(&out, mesh_buf_view(&text));
	mesh_serving_send(s, out.data, out.len);
	return -1;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static char *url_decode(struct mesh_slice in, bool query)
{
	struct mesh_buf out = {0};

	for (size_t i = 0; i < in.len; i++) {
		if (in.ptr[i] == '%' && i + 2 < in.len && hex(in.ptr[i + 1]) >= 0 && hex(in.ptr[i + 2]) >= 0) {
			mesh_buf_char(&out, (char)(hex(in.ptr[i + 1]) << 4 | hex(in.ptr[i + 2])));
			i += 2;
		} else {
			mesh_buf_char(&out, query && in.ptr[i] == '+' ? ' ' : in.ptr[i]);
		}
	}
	return mesh_buf_steal(&out);
}

char *mesh_serving_query(const struct mesh_serving *s, const char *name, unsigned n)
{
	struct mesh_slice rest = mesh_slice_str(s->query), part, key;

	while (mesh_slice_split(&rest, '&', &part)) {
		mesh_slice_split(&part, '=', &key);
		if (mesh_slice_eq(key, mesh_slice_str(name)) && n-- == 0)
			return url_decode(part.ptr ? part : MESH_SLICE(""), true);
	}
	return NULL;
}

bool mesh_serving_flag(const struct mesh_serving *s, const char *name)
{
	mesh_auto_free char *v = mesh_serving_query(s, name, 0);

	return v && (strcmp(v, "1") == 0 || strcmp(v, "true") == 0);
}

struct mesh_container *mesh_serving_container(struct mesh_serving *s)
{
	struct mesh_slice rest = mesh_slice_str(s->path + 1), part[4] = {0};
	mesh_auto_free char *ns = NULL, *name = NULL;
	struct mesh_pod *pod;

	for (int i = 0; i < 4; i++)
		if (!mesh_slice_split(&rest, '/', &part[i]))
			return NULL;
	ns = mesh_xstrndup(part[1].ptr, part[1].len);
	name = mesh_xstrndup(part[2].ptr, part[2].len);
	pod = mesh_pod_find(s->node, ns, name);
	for (size_t i = 0; pod && i < pod->count; i++)
		if (mesh_slice_eq(part[3], mesh_slice_str(pod->containers[i].name)))
			return &pod->containers[i];
	return NULL;
}

static void route(struct mesh_serving *s)
{
	if (strncmp(s->path, "/containerLogs/", 15) == 0)
		mesh_serving_logs(s);
	else if (strncmp(s->path, "/exec/", 6) == 0)
		mesh_serving_exec(s, false);
	else if (strncmp(s->path, "/attach/", 8) == 0)
		mesh_serving_exec(s, true);
	else if (strcmp(s->path, "/healthz") == 0)
		mesh_serving_refuse(s, 200, "ok");
	else
		mesh_serving_refuse(s, 404, "a lab's node has no %s", s->path);
}

static void serve(struct mesh_serving *s)
{
	mesh_auto(mesh_buf_free) struct mesh_buf head = {0};
	mesh_auto_free char *path = NULL, *query = NULL;
	struct mesh_slice target, part;
	ssize_t len;
	size_t n;

	while ((len = mesh_app_head_length(mesh_buf_view(&s->in))) == 0) {
		if (SSL_read_ex(s->ssl, mesh_buf_room(&s->in, 4096), 4096, &n) != 1)
			return;
		s->in.len += n;
	}
	if (len < 0 || mesh_app_head_parse(mesh_slice_of(s->in.data, (size_t)len), false, &s->head) < 0) {
		mesh_serving_refuse(s, 400, "bad request");
		return;
	}
	/* The head's slices point into what was read: keep it, and read on elsewhere. */
	mesh_buf_add(&head, s->in.data, (size_t)len);
	mesh_app_head_parse(mesh_buf_view(&head), false, &s->head);
	mesh_buf_consume(&s->in, (size_t)len);
	target = s->head.target;
	mesh_slice_split(&target, '?', &part);
	path = url_decode(part, false);
	query = mesh_xstrndup(target.ptr ? target.ptr : "", target.len);
	s->path = path;
	s->query = query;
	route(s);
}

static void __attribute__((noreturn)) connection_main(struct mesh_node *node, int fd)
{
	struct mesh_serving s = {.node = node, .fd = fd};
	struct timeval limit = {.tv_sec = IO_TIMEOUT_S};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	fcntl(fd, F_SETFL, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	s.ssl = SSL_new(tls);
	SSL_set_fd(s.ssl, fd);
	if (SSL_accept(s.ssl) == 1) {
		serve(&s);
		SSL_shutdown(s.ssl);
	} else {
		char text[256];

		ERR_error_string_n(ERR_get_error(), text, sizeof(text));
		mesh_warn("a connection was not the API server's: %s", text);
	}
	_exit(0);
}

static void connection_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_node *node = mesh_container_of(io, struct mesh_node, server);
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)loop;
	(void)events;
	if (fd < 0)
		return;
	if (fork() == 0)
		connection_main(node, fd);
	close(fd);
}

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	if (ext)
		X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
}

/* The embedded API's CA, as whoever sets up a cluster has it: its nodes' certificates are made with it. */
static void load_ca(const struct mesh_node *node, X509 **cert, EVP_PKEY **key)
{
	mesh_auto_free char *cert_file = mesh_lab_path(&node->lab, "data/pki/ca.crt"),
			    *key_file = mesh_lab_path(&node->lab, "data/pki/ca.key");
	FILE *c = fopen(cert_file, "re"), *k = fopen(key_file, "re");

	*cert = c ? PEM_read_X509(c, NULL, NULL, NULL) : NULL;
	*key = k ? PEM_read_PrivateKey(k, NULL, NULL, NULL) : NULL;
	if (c)
		fclose(c);
	if (k)
		fclose(k);
}

/* Signed by the cluster's CA where we have it, else (another API server) by itself. */
static X509 *new_certificate(const struct mesh_node *node, EVP_PKEY *key)
{
	mesh_auto_free char *names = mesh_xasprintf("IP:%s,DNS:%s", node->ip, node->name);
	X509 *cert = X509_new(), *ca;
	EVP_PKEY *ca_key;

	load_ca(node, &ca, &ca_key);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), (long)time(NULL));
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400L * KEY_DAYS);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "O", MBSTRING_ASC,
				   (const unsigned char *)"system:nodes", -1, -1, 0);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)node->name,
				   -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(ca && ca_key ? ca : cert));
	add_extension(cert, NID_subject_alt_name, names);
	add_extension(cert, NID_ext_key_usage, "serverAuth");
	X509_sign(cert, ca && ca_key ? ca_key : key, EVP_sha256());
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	return cert;
}

/* Whom we trust: the cluster's CA, out of our kubeconfig. */
static int trust_cluster(const struct mesh_node *node)
{
	mesh_auto_free char *text = mesh_lab_ca(&node->lab);
	BIO *bio = text ? BIO_new_mem_buf(text, -1) : NULL;
	X509 *ca = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	int r = -EINVAL;

	if (ca && X509_STORE_add_cert(SSL_CTX_get_cert_store(tls), ca) == 1)
		r = 0;
	X509_free(ca);
	BIO_free(bio);
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return r;
}

static int make_tls(const struct mesh_node *node)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key ? new_certificate(node, key) : NULL;
	int r = -EINVAL;

	tls = SSL_CTX_new(TLS_server_method());
	if (tls && cert && SSL_CTX_use_certificate(tls, cert) == 1 && SSL_CTX_use_PrivateKey(tls, key) == 1)
		r = trust_cluster(node);
	if (tls)
		SSL_CTX_set_mode(tls, SSL_MODE_AUTO_RETRY | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	X509_free(cert);
	EVP_PKEY_free(key);
	return r;
}

int mesh_node_serve(struct mesh_node *node)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(MESH_LAB_KUBELET_PORT)};
	int one = 1, r = make_tls(node);

	if (r < 0) {
		mesh_error("no certificate authority in the kubeconfig: exec and logs will not work");
		return 0;
	}
	inet_pton(AF_INET, node->ip, &a.sin_addr);
	node->server.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	node->server.fn = connection_ready;
	setsockopt(node->server.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (node->server.fd < 0 || bind(node->server.fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(node->server.fd, 128) < 0) {
		mesh_error("%s:%d: %s", node->ip, MESH_LAB_KUBELET_PORT, strerror(errno));
		return -errno;
	}
	return mesh_io_set(node->loop, &node->server, EPOLLIN);
}
