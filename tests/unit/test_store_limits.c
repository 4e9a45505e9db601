/* SPDX-License-Identifier: Apache-2.0 */
/* What a client may cost the embedded API: time, memory, connections, disk; with a client that speaks raw TLS. */
#include "store_client.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct server srv;

#define CM "/api/v1/namespaces/default/configmaps"

enum { HURRY = 20, BIG = 900 << 10 };

struct peer {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
};

static int tcp(void)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(srv.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* A connection, as the administrator or nobody. */
static bool peer_open(struct peer *p, bool admin)
{
	mesh_auto_free char *crt = mesh_xasprintf("%s/pki/admin.crt", srv.dir),
			    *key = mesh_xasprintf("%s/pki/admin.key", srv.dir);
	struct timeval patience = {.tv_sec = 20};

	*p = (struct peer){.fd = tcp(), .ctx = SSL_CTX_new(TLS_client_method())};
	if (admin && (SSL_CTX_use_certificate_file(p->ctx, crt, SSL_FILETYPE_PEM) != 1 ||
		      SSL_CTX_use_PrivateKey_file(p->ctx, key, SSL_FILETYPE_PEM) != 1))
		return false;
	setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	p->ssl = SSL_new(p->ctx);
	SSL_set_fd(p->ssl, p->fd);
	return p->fd >= 0 && SSL_connect(p->ssl) == 1;
}

static void peer_close(struct peer *p)
{
	SSL_free(p->ssl);
	SSL_CTX_free(p->ctx);
	close(p->fd);
}

static bool peer_send(struct peer *p, const char *data, size_t len)
{
	while (len) {
		int n = SSL_write(p->ssl, data, (int)MESH_MIN(len, (size_t)65536));

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* All that comes until the server ends the connection. */
static struct mesh_buf peer_rest(struct peer *p)
{
	struct mesh_buf in = {0};
	int n;

	while ((n = SSL_read(p->ssl, mesh_buf_room(&in, 65536), 65536)) > 0)
		in.len += (size_t)n;
	mesh_buf_char(&in, '\0');
	return in;
}

/* All that comes until text was among it. */
static struct mesh_buf peer_until(struct peer *p, const char *text)
{
	struct mesh_buf in = {0};
	size_t from = 0;
	int n;

	while ((n = SSL_read(p->ssl, mesh_buf_room(&in, 65536), 65536)) > 0) {
		in.len += (size_t)n;
		in.data[in.len] = '\0';
		if (strstr(in.data + from, text))
			break;
		from = in.len > 100 ? in.len - 100 : 0;
	}
	mesh_buf_char(&in, '\0');
	return in;
}

/* What a request is answered with: the first line. Caller frees. */
static char *answered(bool admin, const char *request, size_t len)
{
	struct peer p;
	struct mesh_buf in = {0};
	char *line;

	if (peer_open(&p, admin) && peer_send(&p, request, len))
		in = peer_rest(&p);
	peer_close(&p);
	line = mesh_xstrndup(in.data ? in.data : "", in.data ? strcspn(in.data, "\r") : 0);
	mesh_buf_free(&in);
	return line;
}

#define CHECK_LINE(admin, request, len, want)                                                                          \
	do {                                                                                                           \
		mesh_auto_free char *_l = answered(admin, request, len);                                               \
		CHECK_STR(_l, want);                                                                                   \
	} while (0)

/* Kilobytes of memory that the server has. */
static long memory(void)
{
	mesh_auto_free char *path = mesh_xasprintf("/proc/%d/status", (int)srv.pid);
	struct mesh_buf text = {0};
	const char *at;
	long kb = -1;

	if (mesh_file_read(path, 1 << 16, &text) == 0 && (at = strstr(text.data, "VmRSS:")))
		kb = strtol(at + 6, NULL, 10);
	mesh_buf_free(&text);
	return kb;
}

static char *big_cm(const char *name, int n)
{
	mesh_auto_free char *x = mesh_xmalloc(BIG + 1);

	memset(x, 'x', BIG);
	x[BIG] = '\0';
	return mesh_xasprintf("{\"metadata\":{\"name\":\"%s\"},\"data\":{\"n\":\"%d\",\"x\":\"%s\"}}", name, n, x);
}

static long put_big(const char *name, int n)
{
	mesh_auto_free char *body = big_cm(name, n), *path = mesh_xasprintf(CM "/%s", name);
	long status = status_of(&srv, "PUT", path, body);

	return status == 404 ? status_of(&srv, "POST", CM, body) : status;
}

static double seconds_since(uint64_t ns)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec * 1e9 + (double)ts.tv_nsec - (double)ns) / 1e9;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

TEST(server_starts_in_a_directory_that_others_may_read)
{
	signal(SIGXFSZ, SIG_IGN); /* inherited: a limit of the file size is then an error of the write */
	signal(SIGPIPE, SIG_IGN);
	strcpy(srv.dir, "/tmp/mesh-store-XXXXXX");
	CHECK(mkdtemp(srv.dir));
	CHECK_INT(chmod(srv.dir, 0755), 0);
	srv.hurry = HURRY;
	srv.watch_log = 200;
	server_start(&srv);
	CHECK_STATUS(&srv, "GET", "/readyz", NULL, 200);
}

TEST(secrets_are_for_their_owner_alone)
{
	static const char *const names[] = {"state.db",   "state.db-wal",   "pki/ca.key", "pki/admin.key",
					    "pki/sa.key", "pki/server.key", "pki",        "pki/kubelet-client.key"};
	mesh_auto_free char *key = mesh_xasprintf("%s/pki/ca.key", srv.dir),
			    *db = mesh_xasprintf("%s/state.db", srv.dir);

	/* Also those that an earlier hand left open. */
	server_kill(&srv, SIGTERM);
	CHECK_INT(chmod(key, 0644), 0);
	CHECK_INT(chmod(db, 0644), 0);
	server_start(&srv);
	CHECK_STATUS(&srv, "GET", "/readyz", NULL, 200);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(names); i++) {
		mesh_auto_free char *path = mesh_xasprintf("%s/%s", srv.dir, names[i]);
		struct stat st;

		CHECK_INT(stat(path, &st), 0);
		CHECK_INT(st.st_mode & 077, 0);
	}
}

TEST(a_head_has_to_come_in_time_however_slowly)
{
	struct peer p;
	uint64_t begin = now_ns();
	int n = 0;

	CHECK(peer_open(&p, false));
	CHECK(peer_send(&p, "GET /readyz HTTP/1.1\r\n", 22));
	while (n < 60 && SSL_write(p.ssl, n % 2 ? ":" : "x", 1) == 1) {
		usleep(100000);
		n++;
	}
	printf("  cut off after %.1f s and %d bytes\n", seconds_since(begin), n);
	CHECK(n > 5 && n < 50);
	peer_close(&p);
}

TEST(a_body_has_to_come_in_time_however_slowly)
{
	static const char head[] = "POST " CM " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
	struct peer p;
	int n = 0;

	CHECK(peer_open(&p, true));
	CHECK(peer_send(&p, head, sizeof(head) - 1));
	while (n < 80 && SSL_write(p.ssl, " ", 1) == 1) {
		usleep(100000);
		n++;
	}
	CHECK(n > 15 && n < 70);
	peer_close(&p);
}

TEST(large_bodies_are_for_those_who_are_known)
{
	size_t n = 100 << 10;
	mesh_auto_free char *spaces = mesh_xmalloc(n + 1), *known = NULL, *chunked = NULL;

	memset(spaces, ' ', n);
	spaces[n] = '\0';
	known = mesh_xasprintf("POST " CM " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
			       n, spaces);
	chunked = mesh_xasprintf("POST " CM " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: "
				 "chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
				 n, spaces);
	CHECK_LINE(false, known, strlen(known), "HTTP/1.1 401 Unauthorized");
	CHECK_LINE(false, chunked, strlen(chunked), "HTTP/1.1 401 Unauthorized");
	CHECK_LINE(true, known, strlen(known), "HTTP/1.1 400 Bad Request");
	CHECK_LINE(true, chunked, strlen(chunked), "HTTP/1.1 400 Bad Request");
}

/* The answer must not be lost in the reset of a connection that still has bytes to read. */
TEST(who_sends_too_much_reads_why)
{
	size_t n = (3 << 20) + 100;
	mesh_auto_free char *spaces = mesh_xmalloc(n + 1), *request = NULL;

	memset(spaces, ' ', n);
	spaces[n] = '\0';
	request = mesh_xasprintf("POST " CM " HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", n, spaces);
	for (int i = 0; i < 5; i++)
		CHECK_LINE(true, request, strlen(request), "HTTP/1.1 413 Payload Too Large");
}

TEST(parameters_and_targets)
{
	struct mesh_buf b = {0};

	mesh_buf_str(&b, "GET " CM "?limit=1");
	for (int i = 0; i < 1500; i++)
		mesh_buf_printf(&b, "&a=%d", i);
	mesh_buf_str(&b, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	CHECK_LINE(true, b.data, b.len, "HTTP/1.1 414 URI Too Long");
	mesh_buf_clear(&b);
	/* The last of many still counts. */
	mesh_buf_str(&b, "GET " CM "?");
	for (int i = 0; i < 500; i++)
		mesh_buf_printf(&b, "a=%d&", i);
	mesh_buf_str(&b, "limit=x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	CHECK_LINE(true, b.data, b.len, "HTTP/1.1 400 Bad Request");
	mesh_buf_free(&b);
	CHECK_STATUS(&srv, "GET", "/api/v1/name%00spaces", NULL, 400);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces?limit=%00", NULL, 400);
	CHECK_STATUS(&srv, "GET", "/api/v1//namespaces", NULL, 404);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/default/configmaps//x", NULL, 404);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/", NULL, 404);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/default/", NULL, 200);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/%2e%2e", NULL, 404);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/a/b/c/d/e/f/g/h/i/j/k/l/m", NULL, 404);
}

TEST(pipelined_requests_wait_for_their_reader)
{
	static const char one[] = "GET " CM "/big HTTP/1.1\r\nHost: x\r\n\r\n",
			  last[] = "GET " CM "/big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	enum { COUNT = 200 };
	long before, during = 0;
	struct mesh_buf in;
	struct peer p;

	CHECK_INT(put_big("big", 0), 201);
	before = memory();
	CHECK(peer_open(&p, true));
	for (int i = 0; i < COUNT - 1; i++)
		CHECK(peer_send(&p, one, sizeof(one) - 1));
	CHECK(peer_send(&p, last, sizeof(last) - 1));
	for (int i = 0; i < 20; i++) {
		usleep(50000);
		during = MESH_MAX(during, memory());
	}
	in = peer_rest(&p);
	printf("  %ld MB more while nobody read, of %d MB\n", (during - before) / 1024, COUNT * BIG >> 20);
	CHECK(during - before < 40 << 10);
	CHECK(in.len > (size_t)COUNT * BIG);
	mesh_buf_free(&in);
	peer_close(&p);
}

static bool watch_silently(struct peer *p, uint64_t rv)
{
	mesh_auto_free char *text =
		mesh_xasprintf("GET " CM "?watch=1&timeoutSeconds=60&resourceVersion=%llu HTTP/1.1\r\nHost: x\r\n"
			       "Connection: close\r\n\r\n",
			       (unsigned long long)rv);

	return peer_open(p, true) && peer_send(p, text, strlen(text));
}

static uint64_t version_now(void)
{
	struct answer a = call(&srv, "GET", CM "?limit=1", NULL);
	uint64_t rv = strtoull(mesh_js_str(a.body, "metadata.resourceVersion"), NULL, 10);

	answer_free(&a);
	return rv;
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

TEST(slow_watchers_cost_little_and_miss_nothing)
{
	enum { WATCHERS = 8, WRITES = 30 };
	struct peer peers[WATCHERS];
	uint64_t rv;
	long before;

	for (int i = 0; i < 40; i++) /* the log holds what it may */
		CHECK_INT(put_big("big", i), 200);
	rv = version_now();
	before = memory();
	for (int i = 0; i < WATCHERS; i++)
		CHECK(watch_silently(&peers[i], rv));
	for (int i = 0; i < WRITES; i++)
		CHECK_INT(put_big("big", 100 + i), 200);
	printf("  %ld MB more for %d watchers that read nothing of %d MB\n", (memory() - before) / 1024, WATCHERS,
	       WRITES * BIG >> 20);
	CHECK(memory() - before < 60 << 10);
	for (int i = 0; i < WATCHERS; i++) {
		struct mesh_buf in = peer_until(&peers[i], "\"n\":\"129\"");

		CHECK_INT(count(in.data, "\"type\":\"MODIFIED\""), WRITES);
		CHECK(strstr(in.data, "\"n\":\"129\""));
		mesh_buf_free(&in);
		peer_close(&peers[i]);
	}
}

TEST(a_watcher_that_the_log_has_left_behind_is_told)
{
	uint64_t rv = version_now();
	struct mesh_buf in;
	struct peer p;

	CHECK(watch_silently(&p, rv));
	for (int i = 0; i < 4; i++) /* more than a socket holds */
		CHECK_INT(put_big("big", 200 + i), 200);
	for (int i = 0; i < 12; i++)
		CHECK_INT(put_big("big", 210 + i), 200);
	for (int i = 0; i < 400; i++) {
		mesh_auto_free char *body =
			mesh_xasprintf("{\"metadata\":{\"name\":\"small\"},\"data\":{\"n\":\"%d\"}}", i);

		if (status_of(&srv, "PUT", CM "/small", body) == 404)
			CHECK_STATUS(&srv, "POST", CM, body, 201);
	}
	in = peer_until(&p, "\"reason\":\"Expired\"");
	CHECK(count(in.data, "\"type\":\"MODIFIED\"") < 16);
	CHECK_INT(count(in.data, "\"type\":\"ERROR\""), 1);
	CHECK_INT(count(in.data, "\"reason\":\"Expired\""), 1);
	mesh_buf_free(&in);
	peer_close(&p);
}

TEST(taken_connections_make_room)
{
	enum { COUNT = 4200 };
	struct rlimit limit;
	static int fds[COUNT];
	int n = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < 5000)
		SKIP("the hard limit of open files is below 5000");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	prlimit(srv.pid, RLIMIT_NOFILE, &limit, NULL);
	while (n < COUNT && (fds[n] = tcp()) >= 0)
		if (++n % 64 == 0)
			usleep(10000); /* no more than the listener's queue holds */
	CHECK_INT(n, COUNT);
	CHECK_STATUS(&srv, "GET", "/readyz", NULL, 200);
	while (n)
		close(fds[--n]);
	/* Fewer files than connections: the same. */
	limit.rlim_cur = 200;
	prlimit(srv.pid, RLIMIT_NOFILE, &limit, NULL);
	while (n < 400 && (fds[n] = tcp()) >= 0)
		n++;
	CHECK_INT(n, 400);
	CHECK_STATUS(&srv, "GET", "/readyz", NULL, 200);
	while (n)
		close(fds[--n]);
	limit.rlim_cur = limit.rlim_max;
	prlimit(srv.pid, RLIMIT_NOFILE, &limit, NULL);
}

static void disk_limit(rlim_t bytes)
{
	struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};

	prlimit(srv.pid, RLIMIT_FSIZE, &limit, NULL);
}

TEST(a_write_that_the_disk_refuses_is_refused_and_forgotten)
{
	static const char crd[] =
		"{\"metadata\":{\"name\":\"lost.example.com\"},\"spec\":{\"group\":\"example.com\",\"scope\":"
		"\"Namespaced\",\"names\":{\"plural\":\"lost\",\"singular\":\"lost\",\"kind\":\"Lost\",\"listKind\":"
		"\"LostList\"},\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{"
		"\"openAPIV3Schema\":{\"type\":\"object\"}}}]}}";
	mesh_auto_free char *big = big_cm("refused", 1);
	struct answer before, after;

	CHECK_STATUS(&srv, "POST", CM, "{\"metadata\":{\"name\":\"kept\"}}", 201);
	before = call(&srv, "GET", CM "/kept", NULL);
	disk_limit(4096);
	CHECK_TEXT(&srv, "POST", CM, big, 500, "reason", "InternalError");
	CHECK_STATUS(&srv, "GET", CM "/refused", NULL, 404);
	CHECK_STATUS(&srv, "DELETE", CM "/kept", NULL, 500);
	CHECK_STATUS(&srv, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd, 500);
	CHECK_STATUS(&srv, "GET", "/apis/example.com/v1/namespaces/default/lost", NULL, 404);
	after = call(&srv, "GET", CM "/kept", NULL);
	disk_limit(RLIM_INFINITY);
	CHECK_STR(after.text.data, before.text.data);
	answer_free(&before);
	answer_free(&after);
	CHECK_STATUS(&srv, "POST", CM, big, 201);
	CHECK_STATUS(&srv, "DELETE", CM "/kept", NULL, 200);
	CHECK_STATUS(&srv, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd, 201);
	CHECK_STATUS(&srv, "GET", "/apis/example.com/v1/namespaces/default/lost", NULL, 200);
}

TEST(objects_stay_within_a_size_and_patches_within_a_cost)
{
	mesh_auto_free char *big = big_cm("grown", 1), *huge = NULL;
	struct mesh_buf b = {0};
	struct answer a;
	struct request r = {.method = "PATCH", .path = CM "/grown"};
	long status = 0;

	CHECK_STATUS(&srv, "POST", CM, big, 201);
	r.type = "application/merge-patch+json";
	for (int i = 0; i < 5; i++) {
		mesh_auto_free char *x = mesh_xmalloc(BIG + 1), *body = NULL;

		memset(x, 'y', BIG);
		x[BIG] = '\0';
		body = mesh_xasprintf("{\"data\":{\"k%d\":\"%s\"}}", i, x);
		r.body = body;
		a = request_send(&srv, &r);
		status = a.status;
		answer_free(&a);
		if (status != 200)
			break;
	}
	CHECK_INT(status, 413);
	/* Doubling itself by copies: depth and size. */
	r.type = "application/json-patch+json";
	r.body = "[";
	mesh_buf_str(&b, "[{\"op\":\"add\",\"path\":\"/data\",\"value\":{}}");
	for (int i = 0; i < 40; i++)
		mesh_buf_printf(&b, ",{\"op\":\"copy\",\"from\":\"/data\",\"path\":\"/data/a%d\"}", i);
	mesh_buf_str(&b, "]");
	r.body = b.data;
	a = request_send(&srv, &r);
	CHECK_INT(a.status, 422);
	answer_free(&a);
	mesh_buf_clear(&b);
	mesh_buf_str(&b, "[");
	for (int i = 0; i < 10001; i++)
		mesh_buf_printf(&b, "%s{\"op\":\"test\",\"path\":\"/kind\",\"value\":\"ConfigMap\"}", i ? "," : "");
	mesh_buf_str(&b, "]");
	r.body = b.data;
	a = request_send(&srv, &r);
	CHECK_INT(a.status, 413);
	answer_free(&a);
	/* A patch nested too deeply. */
	huge = mesh_xmalloc(200001);
	memset(huge, '[', 200000);
	huge[200000] = '\0';
	r.body = huge;
	a = request_send(&srv, &r);
	CHECK_INT(a.status, 400);
	answer_free(&a);
	mesh_buf_free(&b);
	CHECK_STATUS(&srv, "GET", "/readyz", NULL, 200);
}

TEST(many_warnings_are_few_headers)
{
	struct mesh_buf b = {0};
	struct answer a;

	mesh_buf_str(&b, "{\"metadata\":{\"name\":\"warned\"}");
	for (int i = 0; i < 3000; i++)
		mesh_buf_printf(&b, ",\"unknown%d\":1", i);
	mesh_buf_str(&b, "}");
	a = call(&srv, "POST", CM, b.data);
	CHECK_INT(a.status, 201);
	CHECK(a.headers.len < 8192);
	CHECK(strstr(a.headers.data, "unknown field \\\"unknown0\\\""));
	CHECK(strstr(a.headers.data, "there are more warnings than an answer has room for"));
	answer_free(&a);
	mesh_buf_free(&b);
}

TEST(server_ends)
{
	CHECK_INT(server_kill(&srv, SIGTERM), 0);
	server_end(&srv);
}

TEST_MAIN()
