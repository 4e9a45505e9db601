/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec and attach: channels of a WebSocket (v4.channel.k8s.io, and v5 which can also close one): 0 stdin, 1 stdout,
 * 2 stderr, 3 the result as a Status, 4 the terminal's size; 255 closes the channel that follows it.
 */
#include "lab/node_server.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <wslay/wslay.h>

enum {
	CHANNEL_STDIN,
	CHANNEL_STDOUT,
	CHANNEL_STDERR,
	CHANNEL_ERROR,
	CHANNEL_RESIZE,
	CHANNEL_CLOSE = 255,
	STDIN_MAX = 4 << 20,
};

struct session {
	struct mesh_serving *s;
	wslay_event_context_ptr ws;
	pid_t pid;
	int pidfd, in, out, err; /* -1: closed or not asked for */
	bool tty, v5, broken, close_in;
	struct mesh_buf to_stdin;
};

void mesh_websocket_accept(struct mesh_slice key, char *out)
{
	mesh_auto_free char *text = mesh_xasprintf("%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)key.len, key.ptr);
	unsigned char sum[SHA_DIGEST_LENGTH];

	SHA1((unsigned char *)text, strlen(text), sum);
	EVP_EncodeBlock((unsigned char *)out, sum, sizeof(sum));
}

static ssize_t ws_recv(wslay_event_context_ptr ws, uint8_t *data, size_t len, int flags, void *arg)
{
	struct session *x = arg;
	size_t n;

	(void)flags;
	if (x->s->in.len) { /* read ahead with the handshake */
		n = x->s->in.len < len ? x->s->in.len : len;
		memcpy(data, x->s->in.data, n);
		mesh_buf_consume(&x->s->in, n);
		return (ssize_t)n;
	}
	if (SSL_read_ex(x->s->ssl, data, len, &n) == 1)
		return (ssize_t)n;
	if (SSL_get_error(x->s->ssl, 0) == SSL_ERROR_WANT_READ) {
		wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
	} else {
		x->broken = true;
		wslay_event_set_error(ws, WSLAY_ERR_CALLBACK_FAILURE);
	}
	return -1;
}

static ssize_t ws_send(wslay_event_context_ptr ws, const uint8_t *data, size_t len, int flags, void *arg)
{
	struct session *x = arg;
	size_t n;

	(void)flags;
	if (SSL_write_ex(x->s->ssl, data, len, &n) == 1)
		return (ssize_t)n;
	if (SSL_get_error(x->s->ssl, 0) == SSL_ERROR_WANT_WRITE) {
		wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
	} else {
		x->broken = true;
		wslay_event_set_error(ws, WSLAY_ERR_CALLBACK_FAILURE);
	}
	return -1;
}

static void resize(const struct session *x, const uint8_t *text, size_t len)
{
	json_t *o = json_loadb((const char *)text, len, 0, NULL);
	struct winsize size = {.ws_col = (unsigned short)mesh_lab_int(o, "Width", 80),
			       .ws_row = (unsigned short)mesh_lab_int(o, "Height", 24)};

	if (x->tty && x->out >= 0)
		ioctl(x->out, TIOCSWINSZ, &size);
	json_decref(o);
}

static void ws_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
	struct session *x = arg;

	(void)ws;
	if (wslay_is_ctrl_frame(m->opcode)) {
		x->broken |= m->opcode == WSLAY_CONNECTION_CLOSE;
		return;
	}
	if (m->msg_length == 0)
		return;
	if (m->msg[0] == CHANNEL_STDIN && x->in >= 0 && x->to_stdin.len < STDIN_MAX)
		mesh_buf_add(&x->to_stdin, m->msg + 1, m->msg_length - 1);
	else if (m->msg[0] == CHANNEL_RESIZE)
		resize(x, m->msg + 1, m->msg_length - 1);
	else if (m->msg[0] == CHANNEL_CLOSE && m->msg_length > 1 && m->msg[1] == CHANNEL_STDIN)
		x->close_in = true;
}

static void send_channel(struct session *x, int channel, const void *data, size_t len)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	struct wslay_event_msg msg = {.opcode = WSLAY_BINARY_FRAME};

	mesh_buf_char(&text, (char)channel);
	mesh_buf_add(&text, data, len);
	msg.msg = (const uint8_t *)text.data;
	msg.msg_length = text.len;
	wslay_event_queue_msg(x->ws, &msg);
	while (!x->broken && wslay_event_want_write(x->ws)) {
		struct pollfd p = {.fd = x->s->fd, .events = POLLOUT};

		if (wslay_event_send(x->ws) != 0)
			x->broken = true;
		if (!x->broken && wslay_event_want_write(x->ws) && poll(&p, 1, 20000) <= 0)
			x->broken = true;
	}
}

/* Moves what a stream has. Returns false at its end. */
static bool pump(struct session *x, int fd, int channel)
{
	char block[16384];
	ssize_t n = read(fd, block, sizeof(block));

	if (n > 0)
		send_channel(x, channel, block, (size_t)n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void send_result(struct session *x, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	mesh_auto_free char *text = NULL, *number = mesh_xasprintf("%d", code),
			    *why = mesh_xasprintf("command terminated with non-zero exit code: exit status %d", code);
	json_t *o = code == 0 ? json_pack("{s:{}, s:s}", "metadata", "status", "Success")
			      : json_pack("{s:{}, s:s, s:s, s:s, s:{s:[{s:s, s:s}]}}", "metadata", "status", "Failure",
					  "message", why, "reason", "NonZeroExitCode", "details", "causes", "reason",
					  "ExitCode", "message", number);

	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	send_channel(x, CHANNEL_ERROR, text, strlen(text));
	wslay_event_queue_close(x->ws, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
	if (!x->broken)
		wslay_event_send(x->ws);
}

static void feed_stdin(struct session *x)
{
	if (x->in >= 0 && x->to_stdin.len) {
		ssize_t n = write(x->in, x->to_stdin.data, x->to_stdin.len);

		if (n > 0)
			mesh_buf_consume(&x->to_stdin, (size_t)n);
		else if (errno != EAGAIN)
			x->close_in = true;
	}
	if (x->close_in && x->in >= 0 && (x->to_stdin.len == 0 || errno == EPIPE)) {
		char eot = 4; /* a terminal's end of input */

		if (x->tty && write(x->in, &eot, 1) < 0)
			x->broken = true;
		if (!x->tty)
			close(x->in);
		x->in = -1;
	}
}

static void converse(struct session *x)
{
	int status = 0;

	for (bool ended = false; !ended && !x->broken;) {
		struct pollfd p[5] = {{.fd = x->s->fd, .events = POLLIN},
				      {.fd = x->out, .events = POLLIN},
				      {.fd = x->err, .events = POLLIN},
				      {.fd = x->pidfd, .events = POLLIN},
				      {.fd = x->to_stdin.len ? x->in : -1, .events = POLLOUT}};

		if (SSL_pending(x->s->ssl) == 0 && x->s->in.len == 0 && poll(p, 5, -1) < 0 && errno != EINTR)
			return;
		if (p[0].revents || SSL_pending(x->s->ssl) || x->s->in.len)
			x->broken |= wslay_event_recv(x->ws) != 0;
		feed_stdin(x);
		if (x->out >= 0 && p[1].revents && !pump(x, x->out, CHANNEL_STDOUT))
			x->out = -1;
		if (x->err >= 0 && p[2].revents && !pump(x, x->err, CHANNEL_STDERR))
			x->err = -1;
		ended = p[3].revents != 0;
	}
	if (x->broken) {
		kill(-x->pid, SIGHUP);
		kill(x->pid, SIGKILL);
		return;
	}
	waitpid(x->pid, &status, 0);
	for (struct pollfd p = {.fd = x->out, .events = POLLIN}; x->out >= 0 && poll(&p, 1, 0) > 0;)
		if (!pump(x, x->out, CHANNEL_STDOUT))
			break;
	for (struct pollfd p = {.fd = x->err, .events = POLLIN}; x->err >= 0 && poll(&p, 1, 0) > 0;)
		if (!pump(x, x->err, CHANNEL_STDERR))
			break;
	send_result(x, status);
}

static void __attribute__((noreturn)) exec_child(const struct mesh_lab_launch *l, int in, int out, int err, bool tty)
{
	int r;

	setsid();
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	if (tty)
		ioctl(0, TIOCSCTTY, 0);
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	signal(SIGPIPE, SIG_DFL);
	r = mesh_lab_enter(l);
	dprintf(2, "exec: \"%s\": %s\n", l->argv[0], strerror(-r));
	_exit(r == -ENOENT ? 127 : 126);
}

/* The command's ends of the streams go to the child, ours stay. */
static int start(struct session *x, const struct mesh_lab_launch *l)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
	struct mesh_lab_pid pid = {0};

	if (x->tty) {
		if (openpty(&out[0], &out[1], NULL, NULL, NULL) < 0)
			return -errno;
		in[0] = err[1] = out[1];
		in[1] = out[0];
	} else if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) {
		return -errno;
	}
	x->pid = fork();
	if (x->pid == 0)
		exec_child(l, in[0], out[1], err[1], x->tty);
	close(out[1]);
	if (!x->tty) {
		close(in[0]);
		close(err[1]);
	}
	if (x->pid < 0)
		return -EAGAIN;
	pid.pid = x->pid;
	mesh_lab_pid_of(x->pid, &pid);
	x->pidfd = mesh_lab_pid_open(&pid);
	x->in = in[1];
	x->out = out[0];
	x->err = x->tty ? -1 : err[0];
	fcntl(x->in, F_SETFL, O_NONBLOCK);
	fcntl(x->out, F_SETFL, O_NONBLOCK);
	if (x->err >= 0)
		fcntl(x->err, F_SETFL, O_NONBLOCK);
	if (!mesh_serving_flag(x->s, "input") && !mesh_serving_flag(x->s, "stdin"))
		x->close_in = !x->tty;
	return x->pidfd < 0 ? x->pidfd : 0;
}

static bool offers(struct mesh_slice list, const char *protocol)
{
	struct mesh_slice part;

	while (mesh_slice_split(&list, ',', &part))
		if (mesh_slice_eq(mesh_slice_trim(part), mesh_slice_str(protocol)))
			return true;
	return false;
}

/* Answers the handshake. Returns false if it is none that we can take. */
static bool handshake(struct session *x)
{
	struct mesh_slice key = mesh_app_header_get(&x->s->head, "sec-websocket-key");
	struct mesh_slice protocols = mesh_app_header_get(&x->s->head, "sec-websocket-protocol");
	mesh_auto_free char *answer = NULL;
	char accept[32];

	x->v5 = offers(protocols, "v5.channel.k8s.io");
	if (!key.ptr || (!x->v5 && !offers(protocols, "v4.channel.k8s.io"))) {
		mesh_serving_refuse(x->s, 400,
				    "only WebSocket with v4.channel.k8s.io or v5.channel.k8s.io is spoken here");
		return false;
	}
	mesh_websocket_accept(key, accept);
	answer = mesh_xasprintf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
				accept, x->v5 ? "v5.channel.k8s.io" : "v4.channel.k8s.io");
	return mesh_serving_send(x->s, answer, strlen(answer)) == 0;
}

static char **command_of(const struct mesh_serving *s, const struct mesh_container *c, bool attach)
{
	char **argv = mesh_xcalloc(256, sizeof(char *));

	if (attach) { /* its output from now on; its input is /dev/null */
		argv[0] = mesh_xstrdup("/usr/bin/tail");
		argv[1] = mesh_xstrdup("-fn0");
		argv[2] = mesh_container_log(c, c->restarts);
		return argv;
	}
	for (unsigned i = 0; i < 255; i++) {
		argv[i] = mesh_serving_query(s, "command", i);
		if (!argv[i])
			break;
	}
	return argv;
}

static char **env_of(const struct mesh_container *c, bool tty)
{
	char **env = mesh_xcalloc(json_array_size(c->env) + 2, sizeof(char *));
	json_t *item;
	size_t i;

	json_array_foreach(c->env, i, item) env[i] = mesh_xstrdup(json_string_value(item));
	if (tty)
		env[json_array_size(c->env)] = mesh_xstrdup("TERM=xterm");
	return env;
}

static int follow_log(struct session *x, char **argv)
{
	struct mesh_lab_pid pid = {0};
	int out[2];

	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	x->pid = fork();
	if (x->pid == 0) {
		dup2(out[1], 1);
		execv(argv[0], argv);
		_exit(127);
	}
	close(out[1]);
	pid.pid = x->pid;
	mesh_lab_pid_of(x->pid, &pid);
	x->pidfd = mesh_lab_pid_open(&pid);
	x->out = out[0];
	fcntl(x->out, F_SETFL, O_NONBLOCK);
	return x->pidfd < 0 ? x->pidfd : 0;
}

void mesh_serving_exec(struct mesh_serving *s, bool attach)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = ws_recv, .send_callback = ws_send, .on_msg_recv_callback = ws_message};
	struct session x = {.s = s, .pidfd = -1, .in = -1, .out = -1, .err = -1, .tty = mesh_serving_flag(s, "tty")};
	struct mesh_container *c = mesh_serving_container(s);
	mesh_auto_free char *cgroup = NULL;
	struct mesh_lab_launch l = {.uid = -1, .gid = -1};

	if (!c || c->state != MESH_CONTAINER_RUNNING) {
		mesh_serving_refuse(s, 404, "container not found");
		return;
	}
	cgroup = mesh_container_cgroup(c);
	l.pause = c->pod->sandbox.pause;
	l.beside = c->process;
	l.cgroup = cgroup;
	l.argv = command_of(s, c, attach);
	l.envp = env_of(c, x.tty);
	if (!l.argv[0]) {
		mesh_serving_refuse(s, 400, "you must specify at least 1 command for the container");
		return;
	}
	if (!handshake(&x))
		return;
	if ((attach ? follow_log(&x, l.argv) : start(&x, &l)) < 0)
		return;
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	wslay_event_context_server_init(&x.ws, &callbacks, &x);
	converse(&x);
}
