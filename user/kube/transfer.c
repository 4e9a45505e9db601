/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/transfer.h"

#include "core/mem.h"
#include "core/netns.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

struct mesh_kube_socket {
	struct mesh_io io;
	struct mesh_kube *kube;
	LIST_ENTRY(mesh_kube_socket) link;
};

static void mark_ready(struct mesh_transfer *t)
{
	if (t->ready)
		return;
	t->ready = true;
	TAILQ_INSERT_TAIL(&t->kube->ready, t, by_ready);
}

/* libcurl says how long a connect took to fail: without it the same trouble is the same text, and is logged once. */
static void forget_time(char *error)
{
	char *at = strstr(error, " after "), *end = at;

	if (!at)
		return;
	end += strcspn(at, "0123456789");
	end += strspn(end, "0123456789");
	if (strncmp(end, " ms", 3) == 0)
		memmove(at, end + 3, strlen(end + 3) + 1);
}

static void drain(struct mesh_kube *kube)
{
	struct mesh_transfer *t;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(kube->multi, &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		t->finished = true;
		t->result = msg->data.result;
		forget_time(t->error);
		mark_ready(t);
	}
	while ((t = TAILQ_FIRST(&kube->ready))) {
		TAILQ_REMOVE(&kube->ready, t, by_ready);
		t->ready = false;
		t->fn(t);
	}
}

static void socket_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_kube_socket *s = mesh_container_of(io, struct mesh_kube_socket, io);
	struct mesh_kube *kube = s->kube;
	int running, what = 0;

	(void)loop;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
		what |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		what |= CURL_CSELECT_OUT;
	if (events & EPOLLERR)
		what |= CURL_CSELECT_ERR;
	curl_multi_socket_action(kube->multi, io->fd, what, &running);
	drain(kube);
}

static void timer_due(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_kube *kube = mesh_container_of(timer, struct mesh_kube, timer);
	int running;

	(void)loop;
	curl_multi_socket_action(kube->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	drain(kube);
}

static void socket_free(struct mesh_kube_socket *s)
{
	mesh_io_remove(s->kube->loop, &s->io);
	LIST_REMOVE(s, link);
	free(s);
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct mesh_kube *kube = arg;
	struct mesh_kube_socket *s = of_socket;
	uint32_t events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s)
			socket_free(s);
		return 0;
	}
	if (!s) {
		s = mesh_xcalloc(1, sizeof(*s));
		s->kube = kube;
		s->io.fd = fd;
		s->io.fn = socket_ready;
		LIST_INSERT_HEAD(&kube->sockets, s, link);
		curl_multi_assign(kube->multi, fd, s);
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	return mesh_io_set(kube->loop, &s->io, events) < 0 ? -1 : 0;
}

static int want_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct mesh_kube *kube = arg;

	(void)multi;
	if (timeout_ms < 0)
		mesh_timer_remove(kube->loop, &kube->timer);
	else
		mesh_timer_set(kube->loop, &kube->timer, MESH_MS(timeout_ms));
	return 0;
}

/* A peer that vanished without a word is noticed by probes (idle) or by what it does not acknowledge (busy). */
static void set_dead_timeout(int fd)
{
	int on = 1, idle = 15, every = 5, count = 4, user_ms = MESH_KUBE_DEAD_MS;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_ms, sizeof(user_ms));
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct mesh_kube *kube = arg;
	int fd;

	(void)purpose;
	fd = mesh_netns_socket(kube->netns_fd, a->family, a->socktype, a->protocol);
	if (fd < 0) {
		errno = -fd;
		return CURL_SOCKET_BAD;
	}
	if (a->family == AF_INET || a->family == AF_INET6)
		set_dead_timeout(fd);
	return fd;
}

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

int mesh_kube_engine_new(struct mesh_kube *kube)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_curl);
	LIST_INIT(&kube->sockets);
	TAILQ_INIT(&kube->transfers);
	TAILQ_INIT(&kube->ready);
	kube->timer.fn = timer_due;
	kube->multi = curl_multi_init();
	if (!kube->multi)
		return -ENOMEM;
	curl_multi_setopt(kube->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(kube->multi, CURLMOPT_SOCKETDATA, kube);
	curl_multi_setopt(kube->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(kube->multi, CURLMOPT_TIMERDATA, kube);
	return 0;
}

void mesh_kube_engine_free(struct mesh_kube *kube)
{
	if (!kube->multi)
		return;
	while (!TAILQ_EMPTY(&kube->transfers))
		mesh_transfer_free(TAILQ_FIRST(&kube->transfers));
	curl_multi_cleanup(kube->multi);
	mesh_timer_remove(kube->loop, &kube->timer);
	while (!LIST_EMPTY(&kube->sockets))
		socket_free(LIST_FIRST(&kube->sockets));
}

/* Curl's callbacks: collect only. */

static size_t body_came(char *data, size_t size, size_t n, void *arg)
{
	struct mesh_transfer *t = arg;
	size_t max = t->stream ? 2 * MESH_KUBE_LINE_MAX : MESH_KUBE_BODY_MAX;

	if (t->body.len + size * n > max) {
		snprintf(t->error, sizeof(t->error), "the answer is too large");
		return 0;
	}
	mesh_buf_add(&t->body, data, size * n);
	if (t->stream)
		mark_ready(t);
	return size * n;
}

/* Warning: 299 - "text" ["date"], with \" and \\ in the text. */
static void add_warning(struct mesh_transfer *t, struct mesh_slice v)
{
	ssize_t at = mesh_slice_find(v, '"');
	struct mesh_buf text = {0};

	if (at < 0)
		return;
	for (size_t i = (size_t)at + 1; i < v.len && v.ptr[i] != '"'; i++) {
		if (v.ptr[i] == '\\' && i + 1 < v.len)
			i++;
		mesh_buf_char(&text, v.ptr[i]);
	}
	mesh_vec_push(&t->warnings, mesh_buf_steal(&text));
}

static size_t header_came(char *data, size_t size, size_t n, void *arg)
{
	struct mesh_slice line = mesh_slice_of(data, size * n);
	static const char name[] = "warning:", date[] = "date:";
	struct mesh_transfer *t = arg;

	if (line.len > sizeof(date) && strncasecmp(line.ptr, date, sizeof(date) - 1) == 0) {
		struct mesh_slice v =
			mesh_slice_trim(mesh_slice_of(line.ptr + sizeof(date) - 1, line.len - sizeof(date) + 1));
		mesh_auto_free char *text = mesh_xstrndup(v.ptr, v.len);

		t->date = MESH_MAX((int64_t)curl_getdate(text, NULL), (int64_t)0);
	}

	if (t->stream && (line.len == 2 || line.len == 1))
		mark_ready(t); /* the head has come */
	if (line.len > sizeof(name) && strncasecmp(line.ptr, name, sizeof(name) - 1) == 0)
		add_warning(t, mesh_slice_of(line.ptr + sizeof(name) - 1, line.len - sizeof(name) + 1));
	return size * n;
}

/* A service account's token is rotated on disk: read again when it is older than a few seconds. */
static const char *bearer(struct mesh_kube *kube)
{
	uint64_t now = mesh_now_ns();
	struct mesh_buf text = {0};
	struct mesh_slice s;

	if (!kube->config.token_file)
		return kube->config.token;
	if (kube->file_token && now - kube->file_token_ns < MESH_SEC(10))
		return kube->file_token;
	if (mesh_file_read(kube->config.token_file, 1 << 20, &text) == 0) {
		s = mesh_slice_trim(mesh_buf_view(&text));
		free(kube->file_token);
		kube->file_token = mesh_xstrndup(s.ptr, s.len);
		kube->file_token_ns = now;
	}
	mesh_buf_free(&text);
	return kube->file_token ? kube->file_token : kube->config.token;
}

static void add_header(struct mesh_transfer *t, const char *name, const char *value)
{
	mesh_auto_free char *line = mesh_xasprintf("%s: %s", name, value);

	t->headers = curl_slist_append(t->headers, line);
}

static void set_blob(CURL *easy, CURLoption option, const char *pem)
{
	struct curl_blob blob = {.data = (void *)pem, .len = strlen(pem), .flags = CURL_BLOB_NOCOPY};

	curl_easy_setopt(easy, option, &blob);
}

static void set_identity(struct mesh_transfer *t)
{
	const struct mesh_kubeconfig *c = &t->kube->config;
	const char *token = bearer(t->kube);

	curl_easy_setopt(t->easy, CURLOPT_CA_CACHE_TIMEOUT, (long)MESH_KUBE_CA_S);
	curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER, c->insecure ? 0L : 1L);
	curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYHOST, c->insecure ? 0L : 2L);
	if (c->ca_data || c->ca_file)
		curl_easy_setopt(t->easy, CURLOPT_CAPATH, NULL);
	if (c->ca_data)
		set_blob(t->easy, CURLOPT_CAINFO_BLOB, c->ca_data);
	else if (c->ca_file)
		curl_easy_setopt(t->easy, CURLOPT_CAINFO, c->ca_file);
	if (c->cert_data)
		set_blob(t->easy, CURLOPT_SSLCERT_BLOB, c->cert_data);
	else if (c->cert_file)
		curl_easy_setopt(t->easy, CURLOPT_SSLCERT, c->cert_file);
	if (c->key_data)
		set_blob(t->easy, CURLOPT_SSLKEY_BLOB, c->key_data);
	else if (c->key_file)
		curl_easy_setopt(t->easy, CURLOPT_SSLKEY, c->key_file);
	if (token) {
		mesh_auto_free char *value = mesh_xasprintf("Bearer %s", token);

		add_header(t, "Authorization", value);
	} else if (c->username) {
		curl_easy_setopt(t->easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(t->easy, CURLOPT_USERNAME, c->username);
		curl_easy_setopt(t->easy, CURLOPT_PASSWORD, c->password ? c->password : "");
	}
}

/* With tls-server-name the URL has that name (curl verifies it and sends it as SNI) and the connection is led to the
 * real place. */
static void set_place(struct mesh_transfer *t, const char *path)
{
	const struct mesh_kubeconfig *c = &t->kube->config;
	mesh_auto_free char *url = NULL, *to = NULL, *host = NULL;
	const char *rest = strstr(c->server, "://"), *slash;

	if (!c->server_name || !rest) {
		url = mesh_xasprintf("%s%s", c->server, path);
		curl_easy_setopt(t->easy, CURLOPT_URL, url);
		return;
	}
	rest += 3;
	slash = strchr(rest, '/');
	host = slash ? mesh_xstrndup(rest, (size_t)(slash - rest)) : mesh_xstrdup(rest);
	to = mesh_xasprintf("::%s%s", host, strrchr(host, ':') > strrchr(host, ']') ? "" : ":443");
	url = mesh_xasprintf("https://%s%s%s", c->server_name, slash ? slash : "", path);
	t->connect_to = curl_slist_append(NULL, to);
	curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
	curl_easy_setopt(t->easy, CURLOPT_URL, url);
	add_header(t, "Host", host);
}

static void set_request(struct mesh_transfer *t, const struct mesh_transfer_opts *o)
{
	curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, o->method);
	add_header(t, "Accept", o->accept ? o->accept : "application/json");
	add_header(t, "Expect", "");
	if (o->payload) {
		t->payload = o->payload;
		add_header(t, "Content-Type", o->content_type ? o->content_type : "application/json");
		curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(t->payload));
		curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->payload);
	}
	if (!o->stream)
		curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)MESH_KUBE_REQUEST_MS);
}

struct mesh_transfer *mesh_transfer_new(struct mesh_kube *kube, const struct mesh_transfer_opts *o)
{
	struct mesh_transfer *t = mesh_xcalloc(1, sizeof(*t));

	t->kube = kube;
	t->fn = o->fn;
	t->arg = o->arg;
	t->stream = o->stream;
	t->easy = curl_easy_init();
	if (!t->easy)
		abort();
	curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
	curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "https,http");
	curl_easy_setopt(t->easy, CURLOPT_PROXY, kube->config.proxy ? kube->config.proxy : "");
	curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)MESH_KUBE_CONNECT_MS);
	curl_easy_setopt(t->easy, CURLOPT_USERAGENT, kube->user_agent);
	curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, kube);
	curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, body_came);
	curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, header_came);
	curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
	set_identity(t);
	set_place(t, o->path);
	set_request(t, o);
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	TAILQ_INSERT_TAIL(&kube->transfers, t, all);
	curl_multi_add_handle(kube->multi, t->easy);
	return t;
}

void mesh_transfer_free(struct mesh_transfer *t)
{
	if (!t)
		return;
	if (t->ready)
		TAILQ_REMOVE(&t->kube->ready, t, by_ready);
	TAILQ_REMOVE(&t->kube->transfers, t, all);
	curl_multi_remove_handle(t->kube->multi, t->easy);
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->connect_to);
	free(t->payload);
	mesh_buf_free(&t->body);
	mesh_vec_each (w, &t->warnings)
		free(*w);
	mesh_vec_free(&t->warnings);
	free(t);
}

int mesh_transfer_status(const struct mesh_transfer *t)
{
	long status = 0;

	if (t->finished && t->result != CURLE_OK)
		return 0;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

const char *mesh_transfer_error(const struct mesh_transfer *t)
{
	if (!t->finished || t->result == CURLE_OK)
		return NULL;
	return t->error[0] ? t->error : curl_easy_strerror(t->result);
}
