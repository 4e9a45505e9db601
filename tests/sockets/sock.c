/* SPDX-License-Identifier: Apache-2.0 */
#include "sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/tcp.h>

#include "helper.h"

enum { PATIENCE_MS = 3000, ACCEPT_MS = 5000, HEAD_MAX = 4096 };

/* ---- Records ---- */

__attribute__((format(printf, 4, 0))) static void record(const struct sc *x, const char *kind, const char *key,
							 const char *format, va_list args)
{
	char value[400], line[600];
	int n;

	vsnprintf(value, sizeof(value), format, args);
	for (char *p = value; *p; p++)
		if (*p == '\t' || *p == '\n')
			*p = ' ';
	n = snprintf(line, sizeof(line), "%s\t%s\t%s\t%s\n", x->row->name, kind, key, value);
	if (write(STDOUT_FILENO, line, n) != n) /* one write: lines of several processes stay whole */
		_exit(3);
}

void sc_see(const struct sc *x, const char *key, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	record(x, "see", key, format, args);
	va_end(args);
}

void sc_note(const struct sc *x, const char *key, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	record(x, "note", key, format, args);
	va_end(args);
}

const char *sc_error_name(int error)
{
	const char *name = error ? strerrorname_np(error) : "0";

	return name ? name : "unknown";
}

void sc_result(const struct sc *x, const char *key, ssize_t result)
{
	int e = errno;

	if (result >= 0)
		sc_see(x, key, "%zd", result);
	else
		sc_see(x, key, "%s", sc_error_name(e));
}

bool sc_must(const struct sc *x, bool holds, const char *format, ...)
{
	va_list args;

	if (holds)
		return true;
	va_start(args, format);
	record(x, "must", "", format, args);
	va_end(args);
	return false;
}

void sc_need(const struct sc *x, bool holds, const char *format, ...)
{
	va_list args;

	if (holds)
		return;
	va_start(args, format);
	record(x, "must", "", format, args);
	va_end(args);
	_exit(1);
}

void sc_skip(const struct sc *x, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	record(x, "skip", "", format, args);
	va_end(args);
	_exit(0);
}

/* ---- Connections ---- */

int sc_listen(const struct sc *x, const struct sc_listen *what)
{
	struct sc_listen w = *what;

	if (!w.family)
		w.family = AF_INET;
	if (!w.backlog)
		w.backlog = 512;
	return sc_helper_ask(x->helper, &w);
}

int sc_listener(const struct sc *x)
{
	int fd = sc_listen(x, &(struct sc_listen){.port = x->port});

	sc_need(x, fd >= 0, "no listener on port %u: %s", x->port, strerror(-fd));
	return fd;
}

socklen_t sc_address(const struct sc *x, int family, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = family;
	if (family == AF_INET) {
		in->sin_addr = x->v4;
		in->sin_port = htons(port);
		return sizeof(*in);
	}
	in6->sin6_addr = x->v6;
	in6->sin6_port = htons(port);
	return sizeof(*in6);
}

int sc_socket(const struct sc *x, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sc_need(x, fd >= 0, "socket: %m");
	return fd;
}

int sc_dial(const struct sc *x, int fd, int family, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t len = sc_address(x, family, port, &to);

	return connect(fd, (struct sockaddr *)&to, len) < 0 ? -errno : 0;
}

static int patience(const struct sc *x)
{
	return x->patience_ms ? x->patience_ms : ACCEPT_MS;
}

int sc_accept(const struct sc *x, int listener)
{
	int fd;

	sc_need(x, sc_poll(listener, POLLIN, patience(x)), "no connection arrives within %d ms", patience(x));
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	sc_need(x, fd >= 0, "accept: %m");
	return fd;
}

/* A head up to its empty line and no byte further. */
static bool read_head(const struct sc *x, int fd, char *head)
{
	size_t n = 0;

	while (n < HEAD_MAX - 1 && sc_poll(fd, POLLIN, patience(x)) && recv(fd, head + n, 1, 0) == 1) {
		head[++n] = 0;
		if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
			return true;
	}
	head[n] = 0;
	return false;
}

static const struct handshake {
	enum sc_via via;
	const char *request, *response, *status; /* what the client must see */
} handshakes[] = {
	{SC_UPGRADE, "GET /tunnel HTTP/1.1\r\nHost: %s:%u\r\nConnection: Upgrade\r\nUpgrade: bytes\r\n\r\n",
	 "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bytes\r\n\r\n", "HTTP/1.1 101 "},
	{SC_CONNECT, "CONNECT %1$s:%2$u HTTP/1.1\r\nHost: %1$s:%2$u\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
	 "HTTP/1.1 200 "},
	{SC_BODY, "POST /body HTTP/1.1\r\nHost: %s:%u\r\nContent-Length: 1099511627776\r\n\r\n",
	 "HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n", "HTTP/1.1 200 "},
};

static const struct handshake *handshake_of(enum sc_via via)
{
	for (size_t i = 0; i < sizeof(handshakes) / sizeof(handshakes[0]); i++)
		if (handshakes[i].via == via)
			return &handshakes[i];
	return NULL;
}

static void ask_tunnel(const struct sc *x, int c)
{
	const struct handshake *h = handshake_of(x->via);
	char head[HEAD_MAX];
	int n;

	if (!h)
		return;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	n = snprintf(head, sizeof(head), h->request, x->host, x->port);
#pragma GCC diagnostic pop
	sc_need(x, send(c, head, n, MSG_NOSIGNAL) == n, "the request's head cannot be sent: %m");
}

static void answer_tunnel(const struct sc *x, int c, int s)
{
	const struct handshake *h = handshake_of(x->via);
	char head[HEAD_MAX];
	ssize_t n;

	if (!h)
		return;
	sc_need(x, read_head(x, s, head), "the server sees no whole head: %.200s", head);
	n = (ssize_t)strlen(h->response);
	sc_need(x, send(s, h->response, n, MSG_NOSIGNAL) == n, "the response's head cannot be sent: %m");
	sc_need(x, read_head(x, c, head) && strncmp(head, h->status, strlen(h->status)) == 0,
		"the client's answer is not %s: %.200s", h->status, head);
}

void sc_tunnel(const struct sc *x, const struct sc_pair *p)
{
	ask_tunnel(x, p->c);
	answer_tunnel(x, p->c, p->s);
}

void sc_pair_from(const struct sc *x, int listener, struct sc_pair *ret)
{
	int r;

	ret->listener = listener;
	ret->c = sc_socket(x, AF_INET);
	r = sc_dial(x, ret->c, AF_INET, x->port);
	sc_need(x, r == 0, "connect: %s", strerror(-r));
	ask_tunnel(x, ret->c); /* a proxy connects to the server when it has this */
	ret->s = sc_accept(x, listener);
	answer_tunnel(x, ret->c, ret->s);
}

void sc_pair(const struct sc *x, struct sc_pair *ret)
{
	sc_pair_from(x, sc_listener(x), ret);
}

/* ---- Waiting ---- */

uint64_t sc_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void sc_sleep_ms(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

int sc_poll(int fd, int events, int ms)
{
	struct pollfd p = {.fd = fd, .events = (short)events};
	int n;

	while ((n = poll(&p, 1, ms)) < 0 && errno == EINTR)
		;
	return n > 0 ? p.revents : 0;
}

int sc_until(int fd, int events)
{
	uint64_t end = sc_now_ms() + PATIENCE_MS;
	int got;

	while (((got = sc_poll(fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0)) & events) != events && sc_now_ms() < end)
		sc_sleep_ms(2);
	return got;
}

const char *sc_events(int revents)
{
	static const struct {
		int bit;
		const char *name;
	} names[] = {{POLLIN, "IN"},   {POLLPRI, "PRI"}, {POLLOUT, "OUT"},  {POLLRDHUP, "RDHUP"},
		     {POLLERR, "ERR"}, {POLLHUP, "HUP"}, {POLLNVAL, "NVAL"}};
	static char texts[4][64];
	static unsigned turn;
	char *text = texts[turn++ % 4];

	text[0] = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (revents & names[i].bit)
			sprintf(text + strlen(text), "%s%s", text[0] ? "|" : "", names[i].name);
	return text[0] ? text : "-";
}

size_t sc_settle(int fd, size_t bytes)
{
	uint64_t end = sc_now_ms() + PATIENCE_MS;
	char *buf = malloc(bytes);
	ssize_t n;

	while (((n = recv(fd, buf, bytes, MSG_PEEK | MSG_DONTWAIT)) < 0 || (size_t)n < bytes) && sc_now_ms() < end)
		sc_sleep_ms(1);
	free(buf);
	return n < 0 ? 0 : (size_t)n;
}

void sc_nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

void sc_timeouts(int fd, unsigned receive_ms, unsigned send_ms)
{
	struct timeval r = {.tv_sec = receive_ms / 1000, .tv_usec = (long)(receive_ms % 1000) * 1000};
	struct timeval s = {.tv_sec = send_ms / 1000, .tv_usec = (long)(send_ms % 1000) * 1000};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &r, sizeof(r));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &s, sizeof(s));
}

int sc_option(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

int sc_set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

const char *sc_so_error(int fd)
{
	int e = sc_option(fd, SOL_SOCKET, SO_ERROR);

	return e < 0 ? "unreadable" : sc_error_name(e);
}

void sc_reset(int fd)
{
	struct linger l = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

static int state_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? -errno : info.tcpi_state;
}

const char *sc_state(int fd)
{
	static const char *const names[] = {"?",          "ESTABLISHED", "SYN_SENT",  "SYN_RECV",
					    "FIN_WAIT1",  "FIN_WAIT2",   "TIME_WAIT", "CLOSE",
					    "CLOSE_WAIT", "LAST_ACK",    "LISTEN",    "CLOSING"};
	int state = state_of(fd);

	return state > 0 && state < (int)(sizeof(names) / sizeof(names[0])) ? names[state] : "?";
}

const char *sc_state_until(int fd, int state)
{
	uint64_t end = sc_now_ms() + PATIENCE_MS;

	while (state_of(fd) != state && sc_now_ms() < end)
		sc_sleep_ms(2);
	return sc_state(fd);
}

static void *call_main(void *arg)
{
	struct sc_call *call = arg;

	call->result = call->sending ? send(call->fd, call->buf, call->len, call->flags | MSG_NOSIGNAL)
				     : recv(call->fd, call->buf, call->len, call->flags);
	call->error = call->result < 0 ? errno : 0;
	return NULL;
}

void sc_call_begin(struct sc_call *call)
{
	call->buf = calloc(1, call->len ? call->len : 1);
	pthread_create(&call->thread, NULL, call_main, call);
}

bool sc_call_end(struct sc_call *call, int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return pthread_timedjoin_np(call->thread, NULL, &t) == 0;
}

void sc_call_result(const struct sc *x, const char *key, struct sc_call *call, int ms)
{
	if (!sc_call_end(call, ms)) {
		sc_see(x, key, "blocked");
		return;
	}
	errno = call->error;
	sc_result(x, key, call->result);
}
