/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the store: a server in a child process with its own data directory, and a
 * client (libcurl over TLS with the administrator's certificate).
 */
#ifndef MESH_TEST_STORE_CLIENT_H
#define MESH_TEST_STORE_CLIENT_H

#include "core/mem.h"
#include "store/json.h"
#include "store/store.h"
#include "test.h"

#include <curl/curl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct server {
	char dir[64];
	uint16_t port;
	pid_t pid;
	size_t watch_log;
	unsigned hurry;
	CURL *curl;
};

struct answer {
	long status;       /* 0: none came whole */
	const char *error; /* then: why */
	struct mesh_buf text, headers;
	json_t *body;
};

static void server_run(const struct server *s, int fd)
{
	struct mesh_store_listen listen = {.fd = fd};
	const struct mesh_store_opts opts = {
		.data_dir = s->dir, .listen = &listen, .listen_count = 1, .watch_log = s->watch_log, .hurry = s->hurry};
	struct mesh_loop *loop = NULL;
	struct mesh_store *store = NULL;
	struct mesh_errs errs = {0};
	struct mesh_buf text = {0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	mesh_addr_parse(MESH_SLICE("127.0.0.1"), s->port, &listen.addr);
	if (mesh_loop_new(&loop) < 0 || mesh_store_new(&store, loop, &opts, &errs) < 0) {
		mesh_errs_format(&errs, &text);
		fprintf(stderr, "%s", text.data ? text.data : "no loop\n");
		_exit(1);
	}
	mesh_loop_on_term(loop, (mesh_post_fn *)mesh_loop_stop, loop);
	mesh_loop_run(loop);
	mesh_store_free(store);
	mesh_loop_free(loop);
	exit(0);
}

/* Starts (again) on the same port and directory. */
static void server_start(struct server *s)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (!s->dir[0]) {
		strcpy(s->dir, "/tmp/mesh-store-XXXXXX");
		if (!mkdtemp(s->dir))
			abort();
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 1024) < 0)
		abort();
	getsockname(fd, (struct sockaddr *)&sa, &len);
	s->port = ntohs(sa.sin_port);
	fflush(stdout);
	s->pid = fork();
	if (s->pid == 0)
		server_run(s, fd);
	close(fd);
}

static int server_kill(struct server *s, int sig)
{
	int status = 0;

	if (s->pid > 0) {
		kill(s->pid, sig);
		waitpid(s->pid, &status, 0);
	}
	s->pid = 0;
	return status;
}

static void server_end(struct server *s)
{
	mesh_auto_free char *command = mesh_xasprintf("rm -rf '%s'", s->dir);

	server_kill(s, SIGTERM);
	if (s->curl)
		curl_easy_cleanup(s->curl);
	s->curl = NULL;
	if (s->dir[0] && system(command) != 0)
		printf("  %s: not removed\n", s->dir);
}

static void answer_free(struct answer *a)
{
	json_decref(a->body);
	mesh_buf_free(&a->text);
	mesh_buf_free(&a->headers);
	*a = (struct answer){0};
}

static size_t take(char *data, size_t size, size_t n, void *arg)
{
	mesh_buf_add(arg, data, size * n);
	return size * n;
}

struct request {
	const char *method, *path, *body, *type, *accept, *token;
	const char *headers[4]; /* more of them, whole lines */
	bool anonymous;
	long timeout_ms;
};

static void add_header(struct curl_slist **list, const char *name, const char *value)
{
	mesh_auto_free char *line = mesh_xasprintf("%s: %s", name, value);

	*list = curl_slist_append(*list, line);
}

static struct answer request_send(struct server *s, const struct request *r)
{
	mesh_auto_free char *url = mesh_xasprintf("https://127.0.0.1:%u%s", s->port, r->path);
	mesh_auto_free char *ca = mesh_xasprintf("%s/pki/ca.crt", s->dir),
			    *crt = mesh_xasprintf("%s/pki/admin.crt", s->dir);
	mesh_auto_free char *key = mesh_xasprintf("%s/pki/admin.key", s->dir),
			    *last = mesh_xasprintf("%s/pki/server.crt", s->dir), *error = NULL;
	struct curl_slist *headers = NULL;
	struct answer a = {0};
	CURLcode result;
	CURL *c;

	for (int i = 0; i < 3000 && access(last, R_OK) < 0; i++)
		usleep(10000);
	if (!s->curl)
		s->curl = curl_easy_init();
	c = s->curl;
	curl_easy_reset(c);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method ? r->method : "GET");
	curl_easy_setopt(c, CURLOPT_CAINFO, ca);
	if (!r->anonymous && !r->token) {
		curl_easy_setopt(c, CURLOPT_SSLCERT, crt);
		curl_easy_setopt(c, CURLOPT_SSLKEY, key);
	}
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, r->timeout_ms ? r->timeout_ms : 20000L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &a.text);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, &a.headers);
	add_header(&headers, "Content-Type", r->type ? r->type : "application/json");
	add_header(&headers, "Accept", r->accept ? r->accept : "application/json");
	if (r->token) {
		mesh_auto_free char *bearer = mesh_xasprintf("Bearer %s", r->token);

		add_header(&headers, "Authorization", bearer);
	}
	for (size_t i = 0; i < MESH_ARRAY_SIZE(r->headers) && r->headers[i]; i++)
		headers = curl_slist_append(headers, r->headers[i]);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	if (r->body) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)strlen(r->body));
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body);
	}
	result = curl_easy_perform(c);
	if (result != CURLE_OK)
		a.error = curl_easy_strerror(result);
	if (result == CURLE_OK || r->timeout_ms)
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a.status);
	curl_slist_free_all(headers);
	a.body = mesh_js_load(mesh_buf_view(&a.text), &error);
	return a;
}

static inline struct answer call(struct server *s, const char *method, const char *path, const char *body)
{
	return request_send(s, &(struct request){.method = method, .path = path, .body = body});
}

/* The status alone. */
static inline long status_of(struct server *s, const char *method, const char *path, const char *body)
{
	struct answer a = call(s, method, path, body);
	long status = a.status;

	answer_free(&a);
	return status;
}

#define CHECK_STATUS(s, method, path, body, want) CHECK_INT(status_of(s, method, path, body), want)

/* Sends, checks the status, and checks the text at a path of the answer. */
#define CHECK_TEXT(s, method, path, sent, want, at, expected)                                                          \
	do {                                                                                                           \
		struct answer _a = call(s, method, path, sent);                                                        \
		mesh_auto_free char *_t = mesh_xstrdup(mesh_js_str(_a.body, at));                                      \
		long _s = _a.status;                                                                                   \
		answer_free(&_a);                                                                                      \
		CHECK_INT(_s, want);                                                                                   \
		CHECK_STR(_t, expected);                                                                               \
	} while (0)

#endif
