/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tls.h"

#include "core/mem.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>

enum { READ_CHUNK = 16384, OUT_KEEP = 65536 };

static void arm(struct mesh_tls *tls)
{
	uint32_t events = 0;

	if (tls->io.fd < 0)
		return;
	if (tls->connecting || mesh_tls_pending(tls) || tls->read_wants_write)
		events |= EPOLLOUT;
	if (!tls->connecting && !tls->eof && (tls->in.len < tls->in_limit || tls->write_wants_read))
		events |= EPOLLIN;
	if (tls->failed)
		events = 0;
	if (mesh_io_set(tls->loop, &tls->io, events) < 0)
		tls->failed = true;
}

/* Sorts the result of an SSL call that did not succeed: returns true to wait, and else sets eof or failed. */
static bool must_wait(struct mesh_tls *tls, int r, bool *wants_other, int other)
{
	int error = SSL_get_error(tls->ssl, r);

	*wants_other = error == other;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return true;
	if (error == SSL_ERROR_ZERO_RETURN)
		tls->eof = true;
	else
		tls->failed = true;
	ERR_clear_error();
	return false;
}

static void handshake(struct mesh_tls *tls)
{
	int r;

	ERR_clear_error();
	r = tls->client ? SSL_connect(tls->ssl) : SSL_accept(tls->ssl);
	if (r == 1) {
		tls->open = true;
		tls->read_wants_write = false;
		return;
	}
	must_wait(tls, r, &tls->read_wants_write, SSL_ERROR_WANT_WRITE);
	if (tls->eof)
		tls->failed = true;
}

void mesh_tls_fill(struct mesh_tls *tls)
{
	while (tls->open && !tls->eof && !tls->failed && tls->in.len < tls->in_limit) {
		int r;

		ERR_clear_error();
		r = SSL_read(tls->ssl, mesh_buf_room(&tls->in, READ_CHUNK), READ_CHUNK);
		if (r <= 0) {
			must_wait(tls, r, &tls->read_wants_write, SSL_ERROR_WANT_WRITE);
			break;
		}
		tls->in.len += (size_t)r;
		tls->in.data[tls->in.len] = '\0';
		tls->read_wants_write = false;
	}
	arm(tls);
}

int mesh_tls_flush(struct mesh_tls *tls)
{
	while (tls->open && !tls->failed && mesh_tls_pending(tls)) {
		size_t n = mesh_tls_pending(tls);
		int r;

		ERR_clear_error();
		r = SSL_write(tls->ssl, tls->out.data + tls->out_at, (int)MESH_MIN(n, (size_t)1 << 20));
		if (r <= 0) {
			must_wait(tls, r, &tls->write_wants_read, SSL_ERROR_WANT_READ);
			if (tls->eof)
				tls->failed = true;
			break;
		}
		tls->out_at += (size_t)r;
		tls->write_wants_read = false;
	}
	if (!mesh_tls_pending(tls)) {
		if (tls->out.capacity > OUT_KEEP)
			mesh_buf_free(&tls->out);
		mesh_buf_clear(&tls->out);
		tls->out_at = 0;
	} else if (tls->out_at > OUT_KEEP && tls->out_at >= mesh_tls_pending(tls)) { /* each byte moves once at most */
		mesh_buf_consume(&tls->out, tls->out_at);
		tls->out_at = 0;
	}
	arm(tls);
	return tls->failed ? -EPIPE : 0;
}

static void connected(struct mesh_tls *tls)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(tls->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error)
		tls->failed = true;
	tls->connecting = false;
}

static void ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_tls *tls = mesh_container_of(io, struct mesh_tls, io);

	(void)loop;
	if (tls->connecting) {
		connected(tls);
	} else if (!tls->open) {
		handshake(tls);
	} else {
		mesh_tls_flush(tls);
		mesh_tls_fill(tls);
		if ((events & (EPOLLHUP | EPOLLERR)) && !(events & EPOLLIN))
			tls->failed = true;
	}
	if (!tls->connecting && !tls->open && !tls->failed)
		handshake(tls);
	if (tls->open && !tls->failed) {
		mesh_tls_flush(tls);
		mesh_tls_fill(tls);
	}
	arm(tls);
	if (tls->open || tls->failed)
		tls->event(tls);
}

static int start(struct mesh_tls *tls, struct mesh_loop *loop, SSL_CTX *ctx, int fd, mesh_tls_fn *event, void *arg)
{
	int one = 1;

	tls->loop = loop;
	tls->io = (struct mesh_io){.fd = fd, .fn = ready};
	tls->event = event;
	tls->arg = arg;
	tls->ssl = SSL_new(ctx);
	if (!tls->ssl || SSL_set_fd(tls->ssl, fd) != 1) {
		mesh_tls_close(tls);
		return -ENOMEM;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	return 0;
}

int mesh_tls_accept(struct mesh_tls *tls, struct mesh_loop *loop, SSL_CTX *ctx, int fd, mesh_tls_fn *event, void *arg)
{
	int r = start(tls, loop, ctx, fd, event, arg);

	if (r < 0)
		return r;
	arm(tls);
	return 0;
}

int mesh_tls_connect(struct mesh_tls *tls, struct mesh_loop *loop, SSL_CTX *ctx, const struct mesh_addr *addr,
		     const char *name, mesh_tls_fn *event, void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = mesh_addr_to_sock(addr, &ss);
	char ip[MESH_ADDR_TEXT];
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = start(tls, loop, ctx, fd, event, arg);
	if (r < 0)
		return r;
	tls->client = true;
	X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), mesh_addr_ip_text(addr, ip));
	if (name)
		SSL_set_tlsext_host_name(tls->ssl, name);
	if (connect(fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS) {
		r = -errno;
		mesh_tls_close(tls);
		return r;
	}
	tls->connecting = true;
	arm(tls);
	return 0;
}

void mesh_tls_close(struct mesh_tls *tls)
{
	if (tls->loop && tls->io.fd >= 0)
		mesh_io_remove(tls->loop, &tls->io);
	if (tls->ssl) {
		if (tls->open && !tls->failed)
			SSL_shutdown(tls->ssl);
		ERR_clear_error();
		SSL_free(tls->ssl);
		tls->ssl = NULL;
	}
	if (tls->loop && tls->io.fd >= 0)
		close(tls->io.fd);
	tls->io.fd = -1;
	mesh_buf_free(&tls->in);
	mesh_buf_free(&tls->out);
	tls->out_at = 0;
	tls->failed = true;
}
