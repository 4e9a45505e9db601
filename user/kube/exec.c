/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/exec.h"

#include "core/loop.h"
#include "core/mem.h"
#include "core/vec.h"
#include "kube/wire.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <wslay/wslay.h>

enum channel { CH_STDIN, CH_STDOUT, CH_STDERR, CH_ERROR, CH_RESIZE, CH_CLOSE = 255 };

enum {
	HEAD_MAX = 65536,
	MESSAGE_MAX = 16 << 20,
	QUEUE_MAX = 256 << 10, /* more of stdin is not read before it is sent */
	ANSWER_MS = 60000,
};

struct session {
	const struct mesh_exec_opts *opts;
	struct mesh_wire wire;
	wslay_event_context_ptr ws;
	struct mesh_buf early; /* came with the head of the answer */
	bool v5;
	bool stdin_over;
	bool broken, over, late;
	uint64_t end_ns;         /* 0: no end */
	struct mesh_buf outcome; /* channel 3 */
	struct sigaction pipe;   /* what SIGPIPE does outside of this call */
};

/* The upgrade. */

static void base64(const unsigned char *in, int len, char *out)
{
	EVP_EncodeBlock((unsigned char *)out, in, len);
}

static void accept_key(const char *key, char *out)
{
	mesh_auto_free char *text = mesh_xasprintf("%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	unsigned char digest[SHA_DIGEST_LENGTH];

	SHA1((const unsigned char *)text, strlen(text), digest);
	base64(digest, sizeof(digest), out);
}

static char *authorization(const struct mesh_kubeconfig *c)
{
	mesh_auto(mesh_buf_free) struct mesh_buf token = {0};
	mesh_auto_free char *pair = NULL, *coded = NULL;
	struct mesh_slice s;

	if (c->token_file && mesh_file_read(c->token_file, 1 << 20, &token) == 0) {
		s = mesh_slice_trim(mesh_buf_view(&token));
		return mesh_xasprintf("Authorization: Bearer %.*s\r\n", (int)s.len, s.ptr);
	}
	if (c->token)
		return mesh_xasprintf("Authorization: Bearer %s\r\n", c->token);
	if (!c->username)
		return mesh_xstrdup("");
	pair = mesh_xasprintf("%s:%s", c->username, c->password ? c->password : "");
	coded = mesh_xmalloc(strlen(pair) * 2 + 8);
	base64((const unsigned char *)pair, (int)strlen(pair), coded);
	return mesh_xasprintf("Authorization: Basic %s\r\n", coded);
}

static int write_all(struct mesh_wire *w, const char *data, size_t len)
{
	while (len) {
		ssize_t n = mesh_wire_write(w, data, len);

		if (n == -EAGAIN) {
			struct pollfd p = {.fd = w->fd, .events = w->want_read ? POLLIN : POLLOUT};

			if (poll(&p, 1, ANSWER_MS) <= 0)
				return -ETIMEDOUT;
			continue;
		}
		if (n < 0)
			return (int)n;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Reads until done() says so; false when the server ended or is silent. */
static bool read_until(struct mesh_wire *w, struct mesh_buf *in, size_t max, bool (*done)(const struct mesh_buf *in))
{
	while (!done(in)) {
		ssize_t n;

		if (in->len >= max)
			return false;
		mesh_buf_room(in, 8192)[0] = '\0';
		n = mesh_wire_read(w, in->data + in->len, 8192);
		if (n == -EAGAIN) {
			struct pollfd p = {.fd = w->fd, .events = w->want_write ? POLLOUT : POLLIN};

			if (poll(&p, 1, ANSWER_MS) <= 0)
				return false;
			continue;
		}
		if (n <= 0)
			return false;
		in->len += (size_t)n;
		in->data[in->len] = '\0';
	}
	return true;
}

static bool head_complete(const struct mesh_buf *in)
{
	return in->data && strstr(in->data, "\r\n\r\n");
}

static bool header(const char *head, const char *name, struct mesh_slice *ret)
{
	size_t len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, name, len) != 0 || line[2 + len] != ':')
			continue;
		line += 2 + len + 1;
		*ret = mesh_slice_trim(mesh_slice_of(line, strcspn(line, "\r\n")));
		return true;
	}
	return false;
}

static bool body_complete(const struct mesh_buf *in)
{
	const char *body = strstr(in->data, "\r\n\r\n") + 4;
	struct mesh_slice length;
	uint64_t n;

	return header(in->data, "Content-Length", &length) && mesh_slice_to_u64(length, HEAD_MAX, &n) == 0 &&
	       in->len - (size_t)(body - in->data) >= n;
}

static int refused(struct session *s, struct mesh_buf *in, char **reason, struct mesh_errs *errs)
{
	int status = atoi(in->data + strcspn(in->data, " "));
	const char *body, *message;
	json_t *object;

	read_until(&s->wire, in, HEAD_MAX, body_complete);
	body = strstr(in->data, "\r\n\r\n") + 4;
	object = json_loads(body, JSON_DISABLE_EOF_CHECK, NULL);
	message = json_string_value(json_object_get(object, "message"));
	if (message)
		mesh_errs_add(errs, "%s", message);
	else
		mesh_errs_add(errs, "unable to upgrade connection: the server answered with status %d: %.200s", status,
			      body);
	if (reason)
		*reason = mesh_xstrdup(json_string_value(json_object_get(object, "reason")));
	json_decref(object);
	return -EIO;
}

static int check_upgrade(struct session *s, const struct mesh_buf *in, const char *key, struct mesh_errs *errs)
{
	struct mesh_slice accept = {0}, protocol = {0};
	char want[64];

	accept_key(key, want);
	if (!header(in->data, "Sec-WebSocket-Accept", &accept) || !mesh_slice_eq(accept, mesh_slice_str(want))) {
		mesh_errs_add(errs, "unable to upgrade connection: the server's handshake is wrong");
		return -EIO;
	}
	header(in->data, "Sec-WebSocket-Protocol", &protocol);
	s->v5 = mesh_slice_eq(protocol, MESH_SLICE("v5.channel.k8s.io"));
	if (!s->v5 && !mesh_slice_eq(protocol, MESH_SLICE("v4.channel.k8s.io"))) {
		mesh_errs_add(errs, "unable to upgrade connection: the server speaks neither v5 nor v4.channel.k8s.io");
		return -EIO;
	}
	return 0;
}

static int upgrade(struct session *s, const struct mesh_kubeconfig *c, char **reason, struct mesh_errs *errs)
{
	mesh_auto_free char *host = mesh_wire_host(c), *auth = authorization(c), *request = NULL;
	mesh_auto(mesh_buf_free) struct mesh_buf in = {0};
	unsigned char random[16];
	const char *base = strstr(c->server, "://"), *rest;
	char key[32];
	int r;

	RAND_bytes(random, sizeof(random));
	base64(random, sizeof(random), key);
	base = base ? strchr(base + 3, '/') : NULL;
	request = mesh_xasprintf("GET %s%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				 "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
				 "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io\r\n%s\r\n",
				 base ? base : "", s->opts->path, host, key, auth);
	r = write_all(&s->wire, request, strlen(request));
	if (r < 0 || !read_until(&s->wire, &in, HEAD_MAX, head_complete)) {
		mesh_errs_add(errs, "the connection to the server broke before it answered");
		return -EIO;
	}
	if (strncmp(in.data, "HTTP/1.1 101", 12) != 0)
		return refused(s, &in, reason, errs);
	r = check_upgrade(s, &in, key, errs);
	rest = strstr(in.data, "\r\n\r\n") + 4;
	mesh_buf_add(&s->early, rest, in.len - (size_t)(rest - in.data));
	return r;
}

/* wslay's callbacks */

static ssize_t ws_recv(wslay_event_context_ptr ws, uint8_t *data, size_t len, int flags, void *arg)
{
	struct session *s = arg;
	ssize_t n;

	(void)flags;
	if (s->early.len) {
		n = (ssize_t)MESH_MIN(len, s->early.len);
		memcpy(data, s->early.data, (size_t)n);
		mesh_buf_consume(&s->early, (size_t)n);
		return n;
	}
	n = mesh_wire_read(&s->wire, data, len);
	if (n > 0)
		return n;
	wslay_event_set_error(ws, n == -EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
	s->broken |= n != -EAGAIN;
	return -1;
}

static ssize_t ws_send(wslay_event_context_ptr ws, const uint8_t *data, size_t len, int flags, void *arg)
{
	struct session *s = arg;
	ssize_t n = mesh_wire_write(&s->wire, data, len);

	(void)flags;
	if (n > 0)
		return n;
	wslay_event_set_error(ws, n == -EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
	s->broken |= n != -EAGAIN;
	return -1;
}

static int ws_mask(wslay_event_context_ptr ws, uint8_t *out, size_t len, void *arg)
{
	(void)ws;
	(void)arg;
	return RAND_bytes(out, (int)len) == 1 ? 0 : -1;
}

/* Who reads our output has gone: that is for SIGPIPE to say, unlike a connection that broke. */
static void output_lost(struct session *s)
{
	if (errno != EPIPE)
		return;
	sigaction(SIGPIPE, &s->pipe, NULL);
	raise(SIGPIPE);
	signal(SIGPIPE, SIG_IGN);
}

static void put(struct session *s, int fd, const uint8_t *data, size_t len)
{
	while (len && fd >= 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};

			poll(&p, 1, -1);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			output_lost(s);
			return;
		}
		data += n;
		len -= (size_t)n;
	}
}

static void ws_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
	struct session *s = arg;
	enum channel channel;

	(void)ws;
	if (m->opcode == WSLAY_CONNECTION_CLOSE) {
		s->over = true;
		return;
	}
	if (m->opcode != WSLAY_BINARY_FRAME || m->msg_length == 0)
		return;
	channel = (enum channel)m->msg[0];
	if (channel == CH_STDOUT)
		put(s, s->opts->stdout_fd, m->msg + 1, m->msg_length - 1);
	else if (channel == CH_STDERR)
		put(s, s->opts->stderr_fd, m->msg + 1, m->msg_length - 1);
	else if (channel == CH_ERROR)
		mesh_buf_add(&s->outcome, m->msg + 1, m->msg_length - 1);
}

static void queue(struct session *s, enum channel channel, const void *data, size_t len)
{
	mesh_auto_free uint8_t *bytes = mesh_xmalloc(len + 1);
	struct wslay_event_msg m = {.opcode = WSLAY_BINARY_FRAME, .msg = bytes, .msg_length = len + 1};

	bytes[0] = (uint8_t)channel;
	if (len)
		memcpy(bytes + 1, data, len);
	wslay_event_queue_msg(s->ws, &m);
}

static volatile sig_atomic_t window_changed;

static void on_winch(int sig)
{
	(void)sig;
	window_changed = 1;
}

static void send_size(struct session *s)
{
	struct winsize w;
	char text[64];

	window_changed = 0;
	if (!s->opts->tty || ioctl(s->opts->stdin_fd, TIOCGWINSZ, &w) < 0)
		return;
	snprintf(text, sizeof(text), "{\"Width\":%u,\"Height\":%u}", w.ws_col, w.ws_row);
	queue(s, CH_RESIZE, text, strlen(text));
}

static void take_stdin(struct session *s)
{
	static const uint8_t which = CH_STDIN;
	char data[16384];
	ssize_t n = read(s->opts->stdin_fd, data, sizeof(data));

	if (n > 0) {
		queue(s, CH_STDIN, data, (size_t)n);
		return;
	}
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	s->stdin_over = true;
	if (s->v5)
		queue(s, CH_CLOSE, &which, 1);
}

/* How long poll() may wait; 0 and late once the time is over. */
static int left_ms(struct session *s)
{
	uint64_t now = mesh_now_ns();

	if (s->early.len || mesh_wire_pending(&s->wire))
		return 0;
	if (!s->end_ns)
		return -1;
	s->late = now >= s->end_ns;
	return s->late ? 0 : (int)((s->end_ns - now) / 1000000 + 1);
}

static bool step(struct session *s)
{
	bool room = wslay_event_get_queued_msg_length(s->ws) < QUEUE_MAX;
	bool input = s->opts->stdin_fd >= 0 && !s->stdin_over && room;
	struct pollfd p[2] = {{.fd = s->wire.fd, .events = POLLIN},
			      {.fd = input ? s->opts->stdin_fd : -1, .events = POLLIN}};

	if (wslay_event_want_write(s->ws))
		p[0].events |= POLLOUT;
	if ((poll(p, 2, left_ms(s)) < 0 && errno != EINTR) || s->late)
		return false;
	if (window_changed)
		send_size(s);
	if (p[1].revents)
		take_stdin(s);
	if (wslay_event_recv(s->ws) != 0 || (wslay_event_want_write(s->ws) && wslay_event_send(s->ws) != 0))
		return false;
	return !s->broken && !s->over;
}

/* The Status object on the error channel: success, an exit code, or why there is none. */
static int read_outcome(const struct session *s, int *exit_code, struct mesh_errs *errs)
{
	json_t *status = json_loadb(s->outcome.data ? s->outcome.data : "", s->outcome.len, 0, NULL), *cause;
	const char *word = json_string_value(json_object_get(status, "status"));
	const char *message = json_string_value(json_object_get(status, "message"));
	int r = -EIO;
	size_t i;

	if (word && strcmp(word, "Success") == 0) {
		*exit_code = 0;
		r = 0;
	}
	json_array_foreach(json_object_get(json_object_get(status, "details"), "causes"), i, cause)
	{
		const char *reason = json_string_value(json_object_get(cause, "reason"));
		const char *code = json_string_value(json_object_get(cause, "message"));

		if (!reason || !code || strcmp(reason, "ExitCode") != 0)
			continue;
		*exit_code = atoi(code);
		r = 0;
	}
	if (r < 0 && message)
		mesh_errs_add(errs, "%s", message);
	else if (r < 0 && s->outcome.len)
		mesh_errs_add(errs, "%.*s", (int)s->outcome.len, s->outcome.data);
	else if (r < 0 && s->late)
		mesh_errs_add(errs, "the program has not ended after %d ms", s->opts->timeout_ms);
	else if (r < 0)
		mesh_errs_add(errs, "the connection ended before the program did");
	json_decref(status);
	return r;
}

static int converse(struct session *s, int *exit_code, struct mesh_errs *errs)
{
	struct sigaction winch = {.sa_handler = on_winch}, before;
	struct termios usual, raw;
	bool is_raw = false;

	if (s->opts->tty && tcgetattr(s->opts->stdin_fd, &usual) == 0) {
		raw = usual;
		cfmakeraw(&raw);
		is_raw = tcsetattr(s->opts->stdin_fd, TCSANOW, &raw) == 0;
		sigaction(SIGWINCH, &winch, &before);
		send_size(s);
	}
	if (s->opts->timeout_ms > 0)
		s->end_ns = mesh_now_ns() + MESH_MS(s->opts->timeout_ms);
	while (step(s))
		;
	if (is_raw) {
		tcsetattr(s->opts->stdin_fd, TCSANOW, &usual);
		sigaction(SIGWINCH, &before, NULL);
	}
	return read_outcome(s, exit_code, errs);
}

int mesh_kube_exec(const struct mesh_kubeconfig *config, const struct mesh_exec_opts *opts, int *exit_code,
		   char **reason, struct mesh_errs *errs)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = ws_recv,
		.send_callback = ws_send,
		.genmask_callback = ws_mask,
		.on_msg_recv_callback = ws_message,
	};
	struct session s = {.opts = opts};
	int r = mesh_wire_open(&s.wire, config, errs);

	if (r < 0)
		return r;
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &s.pipe);
	r = upgrade(&s, config, reason, errs);
	if (r == 0 && wslay_event_context_client_init(&s.ws, &callbacks, &s) != 0)
		r = -EIO;
	if (r == 0) {
		wslay_event_config_set_max_recv_msg_length(s.ws, MESSAGE_MAX);
		r = converse(&s, exit_code, errs);
	}
	if (s.ws)
		wslay_event_context_free(s.ws);
	mesh_wire_close(&s.wire);
	sigaction(SIGPIPE, &s.pipe, NULL);
	mesh_buf_free(&s.early);
	mesh_buf_free(&s.outcome);
	return r;
}
