/* SPDX-License-Identifier: Apache-2.0 */
/* Exec's WebSocket client against a small server on loopback that echoes, refuses or breaks off. */
#include "test.h"

#include "core/mem.h"
#include "kube/exec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

struct server {
	int listener, port, fd;
	const char *protocol; /* the one it chooses */
	const char *refusal;  /* instead of the handshake */
	const char *outcome;  /* on channel 3 once channel 0 has ended (v5) or "bye" came (v4) */
	bool wrong_key, breaks_off;
	char head[4096];
	wslay_event_context_ptr ws;
	bool over;
	pthread_t thread;
};

static void send_text(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return;
}

static void read_head(struct server *s)
{
	size_t n = 0;

	while (n + 1 < sizeof(s->head) && read(s->fd, s->head + n, 1) == 1) {
		s->head[++n] = '\0';
		if (n >= 4 && strcmp(s->head + n - 4, "\r\n\r\n") == 0)
			break;
	}
}

static void handshake(struct server *s)
{
	const char *key = strstr(s->head, "Sec-WebSocket-Key: ") + 19;
	mesh_auto_free char *text =
		mesh_xasprintf("%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)strcspn(key, "\r"), key);
	mesh_auto_free char *answer = NULL;
	unsigned char digest[SHA_DIGEST_LENGTH];
	char accept[64];

	SHA1((const unsigned char *)text, strlen(text), digest);
	EVP_EncodeBlock((unsigned char *)accept, digest, sizeof(digest));
	answer = mesh_xasprintf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
				s->wrong_key ? "AAAA" : accept, s->protocol);
	send_text(s->fd, answer);
}

static ssize_t on_recv(wslay_event_context_ptr ws, uint8_t *data, size_t len, int flags, void *arg)
{
	struct server *s = arg;
	ssize_t n = recv(s->fd, data, len, MSG_DONTWAIT);

	(void)flags;
	if (n <= 0)
		wslay_event_set_error(ws, n < 0 && errno == EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
	return n <= 0 ? -1 : n;
}

static ssize_t on_send(wslay_event_context_ptr ws, const uint8_t *data, size_t len, int flags, void *arg)
{
	struct server *s = arg;
	ssize_t n = send(s->fd, data, len, MSG_NOSIGNAL);

	(void)flags;
	if (n <= 0)
		wslay_event_set_error(ws, WSLAY_ERR_CALLBACK_FAILURE);
	return n <= 0 ? -1 : n;
}

static void say(struct server *s, uint8_t channel, const void *data, size_t len)
{
	mesh_auto_free uint8_t *bytes = mesh_xmalloc(len + 1);
	struct wslay_event_msg m = {WSLAY_BINARY_FRAME, bytes, len + 1};

	bytes[0] = channel;
	memcpy(bytes + 1, data, len);
	wslay_event_queue_msg(s->ws, &m);
}

static void on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
	struct server *s = arg;
	bool end;

	if (m->opcode != WSLAY_BINARY_FRAME)
		return;
	end = (m->msg[0] == 255 && m->msg_length == 2 && m->msg[1] == 0) ||
	      (m->msg_length >= 4 && memcmp(m->msg + 1, "bye", 3) == 0);
	if (m->msg[0] == 0)
		say(s, 1, m->msg + 1, m->msg_length - 1);
	if (!end)
		return;
	say(s, 2, "gone", 4);
	say(s, 3, s->outcome, strlen(s->outcome));
	wslay_event_send(ws); /* a close would overtake what is queued */
	wslay_event_queue_close(ws, 1000, NULL, 0);
	s->over = true;
}

static bool wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 10000) > 0;
}

static void *serve(void *arg)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_message};
	struct server *s = arg;

	s->fd = accept(s->listener, NULL, NULL);
	read_head(s);
	if (s->refusal) {
		send_text(s->fd, s->refusal);
	} else {
		handshake(s);
		wslay_event_context_server_init(&s->ws, &callbacks, s);
		say(s, 1, "hello ", 6);
		wslay_event_send(s->ws);
		while (!s->over && !s->breaks_off && wait_readable(s->fd) && wslay_event_recv(s->ws) == 0)
			wslay_event_send(s->ws);
		wslay_event_send(s->ws);
		wslay_event_context_free(s->ws);
	}
	close(s->fd);
	return NULL;
}

struct result {
	int r, code;
	char out[1 << 20], err[256];
	size_t out_len;
	char *reason;
	struct mesh_errs errs;
};

static void drain(int fd, char *to, size_t size, size_t *len)
{
	size_t n = (size_t)MESH_MAX(pread(fd, to, size - 1, 0), (ssize_t)0);

	to[n] = '\0';
	if (len)
		*len = n;
}

static int file_of(const char *text, size_t len)
{
	char path[] = "/tmp/test_kube_exec.XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	if (write(fd, text, len) != (ssize_t)len)
		abort();
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void run(struct server *s, struct result *res, const char *input, size_t input_len)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	struct mesh_kubeconfig config = {.token = (char *)"secret"};
	struct mesh_exec_opts o = {.path = "/api/v1/namespaces/n/pods/p/exec?command=cat"};
	mesh_auto_free char *url = NULL;

	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->listener, (struct sockaddr *)&a, len) < 0 || listen(s->listener, 1) < 0 ||
	    getsockname(s->listener, (struct sockaddr *)&a, &len) < 0)
		abort();
	pthread_create(&s->thread, NULL, serve, s);
	url = mesh_xasprintf("http://127.0.0.1:%d/base", ntohs(a.sin_port));
	config.server = url;
	o.stdin_fd = input ? file_of(input, input_len) : -1;
	o.stdout_fd = file_of("", 0);
	o.stderr_fd = file_of("", 0);
	res->r = mesh_kube_exec(&config, &o, &res->code, &res->reason, &res->errs);
	pthread_join(s->thread, NULL);
	close(s->listener);
	drain(o.stdout_fd, res->out, sizeof(res->out), &res->out_len);
	drain(o.stderr_fd, res->err, sizeof(res->err), NULL);
	close(o.stdout_fd);
	close(o.stderr_fd);
	if (o.stdin_fd >= 0)
		close(o.stdin_fd);
}

static void result_free(struct result *res)
{
	free(res->reason);
	mesh_errs_free(&res->errs);
	memset(res, 0, sizeof(*res));
}

static struct result res;

TEST(carries_streams_and_success)
{
	struct server s = {.protocol = "v5.channel.k8s.io", .outcome = "{\"status\":\"Success\"}"};

	run(&s, &res, "input", 5);
	CHECK_INT(res.r, 0);
	CHECK_INT(res.code, 0);
	CHECK_STR(res.out, "hello input");
	CHECK_STR(res.err, "gone");
	CHECK(strstr(s.head, "GET /base/api/v1/namespaces/n/pods/p/exec?command=cat HTTP/1.1\r\n"));
	CHECK(strstr(s.head, "Authorization: Bearer secret\r\n"));
	CHECK(strstr(s.head, "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io\r\n"));
	result_free(&res);
}

TEST(carries_much)
{
	struct server s = {.protocol = "v5.channel.k8s.io", .outcome = "{\"status\":\"Success\"}"};
	static char big[900000];

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)('a' + i * 7 % 23);
	run(&s, &res, big, sizeof(big));
	CHECK_INT(res.r, 0);
	CHECK_INT(res.out_len, sizeof(big) + 6);
	CHECK(memcmp(res.out + 6, big, sizeof(big)) == 0);
	result_free(&res);
}

TEST(tells_the_exit_code)
{
	struct server s = {
		.protocol = "v4.channel.k8s.io",
		.outcome = "{\"status\":\"Failure\",\"reason\":\"NonZeroExitCode\",\"message\":\"command terminated\","
			   "\"details\":{\"causes\":[{\"reason\":\"ExitCode\",\"message\":\"42\"}]}}"};

	run(&s, &res, "bye", 3);
	CHECK_INT(res.r, 0);
	CHECK_INT(res.code, 42);
	CHECK_INT(res.errs.list.count, 0);
	result_free(&res);
}

TEST(tells_a_failure_to_start)
{
	struct server s = {
		.protocol = "v5.channel.k8s.io",
		.outcome = "{\"status\":\"Failure\",\"reason\":\"InternalError\",\"message\":\"no such program\"}"};

	run(&s, &res, "x", 1);
	CHECK_INT(res.r, -EIO);
	CHECK_STR(res.errs.list.items[0].text, "no such program");
	result_free(&res);
}

TEST(tells_refusals)
{
	static const struct {
		struct server s;
		const char *error, *reason;
	} rows[] = {
		{{.refusal = "HTTP/1.1 404 Not Found\r\nContent-Length: 50\r\n\r\n{\"message\":\"pods p not "
			     "found\",\"reason\":\"NotFound\"}  "},
		 "pods p not found",
		 "NotFound"},
		{{.refusal = "HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops"},
		 "unable to upgrade connection: the server answered with status 500: oops",
		 NULL},
		{{.refusal = "HTTP/1.1 10"}, "the connection to the server broke before it answered", NULL},
		{{.protocol = "v4.channel.k8s.io", .wrong_key = true},
		 "unable to upgrade connection: the server's handshake is wrong",
		 NULL},
		{{.protocol = "channel.k8s.io"},
		 "unable to upgrade connection: the server speaks neither v5 nor v4.channel.k8s.io",
		 NULL},
		{{.protocol = "v5.channel.k8s.io", .breaks_off = true},
		 "the connection ended before the program did",
		 NULL},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		struct server s = rows[i].s;

		run(&s, &res, NULL, 0);
		CHECK_INT(res.r, -EIO);
		CHECK_INT(res.errs.list.count, 1);
		CHECK_STR(res.errs.list.items[0].text, rows[i].error);
		CHECK_INT(res.reason != NULL, rows[i].reason != NULL);
		if (res.reason)
			CHECK_STR(res.reason, rows[i].reason);
		result_free(&res);
	}
}

TEST(tells_that_nobody_listens)
{
	struct mesh_kubeconfig config = {.server = (char *)"https://127.0.0.1:1"};
	struct mesh_exec_opts o = {.path = "/", .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
	struct mesh_errs errs = {0};
	int code;

	CHECK_INT(mesh_kube_exec(&config, &o, &code, NULL, &errs), -EIO);
	CHECK_STR(errs.list.items[0].text, "cannot connect to 127.0.0.1:1: Connection refused");
	mesh_errs_free(&errs);
}

TEST_MAIN()
