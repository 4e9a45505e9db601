/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a scripted server on loopback: each connection gets the next answer of the script. */
#include "test.h"

#include "core/mem.h"
#include "core/version.h"
#include "kube/kube.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

struct step {
	const char *want;   /* the request line starts so */
	const char *answer; /* sent as it is, then the connection closes */
	bool hold;          /* the connection stays open */
	size_t cut;         /* sent in two parts, cut here (0: whole) */
};

struct server {
	int listener, port;
	const struct step *steps;
	size_t count, at;
	int held[16];
	size_t held_count;
	char seen[8192]; /* the last request's head */
	char wrong[512]; /* the first request that was not the script's */
	pthread_t thread;
};

static void read_head(int fd, char *to, size_t size)
{
	size_t n = 0;

	while (n + 1 < size) {
		ssize_t r = read(fd, to + n, size - n - 1);

		if (r <= 0)
			break;
		n += (size_t)r;
		to[n] = '\0';
		if (strstr(to, "\r\n\r\n"))
			break;
	}
	to[n] = '\0';
}

static void send_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

static void *serve(void *arg)
{
	struct server *s = arg;

	while (s->at < s->count) {
		int fd = accept(s->listener, NULL, NULL);
		const struct step *step = &s->steps[s->at++];
		size_t len = strlen(step->answer);

		if (fd < 0)
			break;
		read_head(fd, s->seen, sizeof(s->seen));
		if (strncmp(s->seen, step->want, strlen(step->want)) != 0 && !s->wrong[0])
			snprintf(s->wrong, sizeof(s->wrong), "step %zu: %.200s", s->at - 1, s->seen);
		send_all(fd, step->answer, step->cut ? step->cut : len);
		if (step->cut) {
			usleep(2000);
			send_all(fd, step->answer + step->cut, len - step->cut);
		}
		if (step->hold)
			s->held[s->held_count++] = fd;
		else
			close(fd);
	}
	return NULL;
}

static void server_start(struct server *s, const struct step *steps, size_t count)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	memset(s, 0, sizeof(*s));
	s->steps = steps;
	s->count = count;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->listener, (struct sockaddr *)&a, len) < 0 || listen(s->listener, 16) < 0 ||
	    getsockname(s->listener, (struct sockaddr *)&a, &len) < 0)
		abort();
	s->port = ntohs(a.sin_port);
	pthread_create(&s->thread, NULL, serve, s);
}

static void server_stop(struct server *s)
{
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
	for (size_t i = 0; i < s->held_count; i++)
		close(s->held[i]);
}

static struct mesh_kube *client(struct mesh_loop *loop, int port)
{
	char path[] = "/tmp/test_kube.XXXXXX";
	int fd = mkstemp(path);
	struct mesh_kube *kube = NULL;
	struct mesh_kube_opts opts = {.kubeconfig = path, .program = "test", .netns_fd = -1};

	dprintf(fd,
		"current-context: x\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n"
		"users: [{name: x, user: {token: secret}}]\nclusters: [{name: x, cluster: {server: "
		"'http://127.0.0.1:%d'}}]\n",
		port);
	close(fd);
	if (mesh_kube_new(&kube, loop, &opts, NULL) < 0)
		abort();
	unlink(path);
	return kube;
}

struct log {
	struct mesh_buf text; /* "SET a 5; DELETE b 6; SYNCED 7; " */
	size_t count;
	struct mesh_kube_watch **free_at; /* freed from the callback at the event number stop_at */
	size_t stop_at;
};

static void on_event(void *arg, enum mesh_kube_event event, const json_t *obj, const char *rv)
{
	static const char *const names[] = {"SET", "DELETE", "SYNCED"};
	struct log *log = arg;
	const json_t *meta = json_object_get(obj, "metadata");

	mesh_buf_printf(&log->text, "%s ", names[event]);
	if (obj)
		mesh_buf_printf(&log->text, "%s/%s ", json_string_value(json_object_get(obj, "kind")),
				json_string_value(json_object_get(meta, "name")));
	mesh_buf_printf(&log->text, "%s; ", rv);
	if (++log->count == log->stop_at) {
		mesh_kube_watch_free(*log->free_at);
		*log->free_at = NULL;
	}
}

static void run_until(struct mesh_loop *loop, const struct log *log, size_t events)
{
	uint64_t end = mesh_now_ns() + MESH_SEC(10);

	while (log->count < events && mesh_now_ns() < end)
		mesh_loop_once(loop, 50);
}

#define OK_JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
#define STREAM  OK_JSON
#define POD(type, name, uid, rv)                                                                                       \
	"{\"type\":\"" type "\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"" name "\",\"uid\":\"" uid       \
	"\",\"resourceVersion\":\"" rv "\",\"managedFields\":[{}]}}}\n"
#define ITEM(name, uid, rv) "{\"metadata\":{\"name\":\"" name "\",\"uid\":\"" uid "\",\"resourceVersion\":\"" rv "\"}}"
#define LIST(rv, more, items)                                                                                          \
	OK_JSON "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" rv                  \
		"\",\"continue\":\"" more "\"},\"items\":[" items "]}"

struct fixture {
	struct server server;
	struct mesh_loop *loop;
	struct mesh_kube *kube;
	struct mesh_kube_watch *watch;
	struct log log;
};

static void up(struct fixture *f, const struct step *steps, size_t count)
{
	memset(f, 0, sizeof(*f));
	server_start(&f->server, steps, count);
	if (mesh_loop_new(&f->loop) < 0)
		abort();
	f->kube = client(f->loop, f->server.port);
	f->log.free_at = &f->watch;
}

static void down(struct fixture *f)
{
	mesh_kube_free(f->kube);
	mesh_loop_free(f->loop);
	server_stop(&f->server);
	mesh_buf_free(&f->log.text);
}

TEST(lists_pages_then_follows)
{
	static const struct step steps[] = {
		{"GET /api/v1/pods?limit=500 ", LIST("9", "to+ken=", ITEM("a", "1", "5")), 0, 0},
		{"GET /api/v1/pods?limit=500&continue=to%2Bken%3D ", LIST("9", "", ITEM("b", "2", "6")), 0, 0},
		{"GET /api/v1/pods?watch=1&allowWatchBookmarks=true&resourceVersion=9&timeoutSeconds=",
		 STREAM POD("MODIFIED", "a", "1", "10") POD("BOOKMARK", "", "", "20") POD("DELETED", "b", "2", "21")
			 POD("ADDED", "c", "3", "22"),
		 true, 0},
	};
	struct fixture f;

	up(&f, steps, MESH_ARRAY_SIZE(steps));
	f.watch = mesh_kube_watch_new(f.kube, "/api/v1/pods", NULL, on_event, &f.log);
	run_until(f.loop, &f.log, 6);
	CHECK_STR(f.server.wrong, "");
	CHECK_STR(f.log.text.data, "SET Pod/a 0; SET Pod/b 0; SYNCED 9; SET Pod/a 10; DELETE Pod/b 21; SET Pod/c 22; ");
	CHECK(!mesh_kube_watch_error(f.watch));
	down(&f);
}

TEST(resumes_where_the_stream_broke)
{
	static const struct step steps[] = {
		{"GET /x?labelSelector=a%3Db&limit=500 ", LIST("9", "", ""), 0, 0},
		{"GET /x?labelSelector=a%3Db&watch=1&allowWatchBookmarks=true&resourceVersion=9&",
		 STREAM POD("ADDED", "a", "1", "10") "{\"type\":\"ADD", 0, 0},
		{"GET /x?labelSelector=a%3Db&watch=1&allowWatchBookmarks=true&resourceVersion=10&",
		 STREAM POD("ADDED", "b", "2", "11"), true, 0},
	};
	struct fixture f;

	up(&f, steps, MESH_ARRAY_SIZE(steps));
	f.watch = mesh_kube_watch_new(f.kube, "/x", "labelSelector=a%3Db", on_event, &f.log);
	run_until(f.loop, &f.log, 3);
	CHECK_STR(f.server.wrong, "");
	CHECK_STR(f.log.text.data, "SYNCED 9; SET Pod/a 10; SET Pod/b 11; ");
	down(&f);
}

#define GONE "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n"

TEST(relists_on_410_and_reports_what_vanished)
{
	static const struct step steps[] = {
		{"GET /x?limit=500 ",
		 LIST("9", "", ITEM("a", "1", "5") "," ITEM("b", "2", "6") "," ITEM("c", "3", "7")), 0, 0},
		{"GET /x?watch=1", STREAM GONE, 0, 0},
		{"GET /x?limit=500 ", LIST("30", "", ITEM("a", "1", "5") "," ITEM("c", "4", "29")), 0, 0},
		{"GET /x?watch=1&allowWatchBookmarks=true&resourceVersion=30&",
		 "HTTP/1.1 410 Gone\r\nContent-Length: "
		 "0\r\n\r\n",
		 0, 0},
		{"GET /x?limit=500 ", LIST("31", "", ""), 0, 0},
		{"GET /x?watch=1&allowWatchBookmarks=true&resourceVersion=31&", STREAM, true, 0},
	};
	struct fixture f;

	up(&f, steps, MESH_ARRAY_SIZE(steps));
	f.watch = mesh_kube_watch_new(f.kube, "/x", NULL, on_event, &f.log);
	run_until(f.loop, &f.log, 11);
	CHECK_STR(f.server.wrong, "");
	CHECK_STR(f.log.text.data, "SET Pod/a 0; SET Pod/b 0; SET Pod/c 0; SYNCED 9; "
				   "DELETE Pod/b 0; DELETE Pod/c 0; SET Pod/c 0; SYNCED 30; "
				   "DELETE Pod/a 0; DELETE Pod/c 0; SYNCED 31; ");
	down(&f);
}

/* From the same version it could be met for ever. */
TEST(lists_anew_after_any_error_of_the_stream)
{
	static const struct step steps[] = {
		{"GET /x?limit=500 ", LIST("9", "", ITEM("a", "1", "5")), 0, 0},
		{"GET /x?watch=1",
		 STREAM
		 "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500,\"reason\":\"InternalError\"}}\n",
		 0, 0},
		{"GET /x?limit=500 ", LIST("30", "", ITEM("b", "2", "29")), 0, 0},
		{"GET /x?watch=1&allowWatchBookmarks=true&resourceVersion=30&", STREAM, true, 0},
	};
	struct fixture f;

	up(&f, steps, MESH_ARRAY_SIZE(steps));
	f.watch = mesh_kube_watch_new(f.kube, "/x", NULL, on_event, &f.log);
	run_until(f.loop, &f.log, 5);
	CHECK_STR(f.server.wrong, "");
	CHECK_STR(f.log.text.data, "SET Pod/a 0; SYNCED 9; DELETE Pod/a 0; SET Pod/b 0; SYNCED 30; ");
	down(&f);
}

TEST(pages_that_expire_are_followed_by_a_list_without_pages)
{
	static const struct step steps[] = {
		{"GET /x?limit=500 ", LIST("9", "more", ITEM("a", "1", "5")), 0, 0},
		{"GET /x?limit=500&continue=more ",
		 "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 0, 0},
		{"GET /x?limit=0 ", LIST("30", "", ITEM("a", "1", "5") "," ITEM("b", "2", "6")), 0, 0},
		{"GET /x?watch=1&allowWatchBookmarks=true&resourceVersion=30&", STREAM GONE, 0, 0},
		{"GET /x?limit=500 ", LIST("31", "", ITEM("b", "2", "6")), 0, 0},
		{"GET /x?watch=1&allowWatchBookmarks=true&resourceVersion=31&", STREAM, true, 0},
	};
	struct fixture f;

	up(&f, steps, MESH_ARRAY_SIZE(steps));
	f.watch = mesh_kube_watch_new(f.kube, "/x", NULL, on_event, &f.log);
	run_until(f.loop, &f.log, 5);
	CHECK_STR(f.server.wrong, "");
	CHECK_STR(f.log.text.data, "SET Pod/a 0; SET Pod/b 0; SYNCED 30; DELETE Pod/a 0; SYNCED 31; ");
	down(&f);
}

TEST(reports_a_missing_kind_once)
{
	static const struct step steps[] = {
		{"GET /x?limit=500 ", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0, 0},
	};
	struct fixture f;

	up(&f, steps, MESH_ARRAY_SIZE(steps));
	f.watch = mesh_kube_watch_new(f.kube, "/x", NULL, on_event, &f.log);
	run_until(f.loop, &f.log, 1);
	CHECK_STR(f.log.text.data, "SYNCED 0; ");
	CHECK_STR(mesh_kube_watch_error(f.watch), "the server does not have this kind");
	down(&f);
}

TEST(cuts_of_the_stream_do_not_matter)
{
	static const char stream[] = STREAM POD("ADDED", "a", "1", "10") POD("DELETED", "a", "1", "11");

	for (size_t cut = sizeof(STREAM); cut < sizeof(stream) - 1; cut += 3) {
		struct step steps[] = {{"GET /x?limit=500 ", LIST("9", "", ""), 0, 0},
				       {"GET /x?watch=1", stream, true, cut}};
		struct fixture f;

		up(&f, steps, MESH_ARRAY_SIZE(steps));
		f.watch = mesh_kube_watch_new(f.kube, "/x", NULL, on_event, &f.log);
		run_until(f.loop, &f.log, 3);
		CHECK_STR(f.log.text.data, "SYNCED 9; SET Pod/a 10; DELETE Pod/a 11; ");
		down(&f);
	}
}

TEST(a_watch_may_be_freed_from_its_callback)
{
	static const struct step steps[] = {
		{"GET /x?limit=500 ", LIST("9", "", ITEM("a", "1", "5") "," ITEM("b", "2", "6")), 0, 0},
		{"GET /x?watch=1", STREAM POD("ADDED", "c", "3", "10") POD("ADDED", "d", "4", "11"), true, 0},
	};

	for (size_t stop_at = 1; stop_at <= 5; stop_at++) {
		struct fixture f;

		up(&f, steps, MESH_ARRAY_SIZE(steps));
		f.log.stop_at = stop_at;
		f.watch = mesh_kube_watch_new(f.kube, "/x", NULL, on_event, &f.log);
		run_until(f.loop, &f.log, stop_at);
		for (int i = 0; i < 3; i++)
			mesh_loop_once(f.loop, 5);
		CHECK_INT(f.log.count, stop_at);
		CHECK(!f.watch);
		down(&f);
	}
}

TEST(calls_and_tells_errors)
{
	static const struct step steps[] = {
		{"POST /y ", "HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n{\"a\": 1}\n", 0, 0},
		{"PATCH /y ",
		 "HTTP/1.1 409 Conflict\r\nConnection: close\r\n\r\n{\"reason\":\"Conflict\",\"message\":\"changed\"}",
		 0, 0},
		{"GET /y ", "HTTP/1.1 503 Gone Away\r\nContent-Length: 0\r\n\r\n", 0, 0},
		{"GET /y ", "", 0, 0},
	};
	mesh_auto_free char *user_agent = NULL;
	struct mesh_errs errs = {0};
	json_t *body = NULL, *in = json_pack("{s:i}", "x", 1);
	struct fixture f;

	up(&f, steps, MESH_ARRAY_SIZE(steps));
	CHECK_INT(mesh_kube_call(f.kube, "POST", "/y", in, NULL, &body, &errs), 201);
	CHECK_INT(json_integer_value(json_object_get(body, "a")), 1);
	CHECK_INT(errs.list.count, 0);
	CHECK(strstr(f.server.seen, "Authorization: Bearer secret\r\n"));
	CHECK(strstr(f.server.seen, "Content-Type: application/json\r\n"));
	user_agent = mesh_xasprintf("User-Agent: test/%s\r\n", mesh_version);
	CHECK(strstr(f.server.seen, user_agent));
	json_decref(body);
	CHECK_INT(mesh_kube_call(f.kube, "PATCH", "/y", in, NULL, NULL, &errs), 409);
	CHECK(strstr(f.server.seen, "Content-Type: application/merge-patch+json\r\n"));
	CHECK_STR(errs.list.items[0].text, "changed");
	CHECK_INT(mesh_kube_call(f.kube, "GET", "/y", NULL, NULL, NULL, &errs), 503);
	CHECK_STR(errs.list.items[1].text, "the server answered with status 503");
	CHECK_INT(mesh_kube_call(f.kube, "GET", "/y", NULL, NULL, &body, &errs), 0);
	CHECK(!body);
	CHECK_STR(errs.list.items[2].text, "Empty reply from server");
	CHECK_STR(f.server.wrong, "");
	json_decref(in);
	mesh_errs_free(&errs);
	down(&f);
}

struct answer {
	bool over;
	struct mesh_buf text;
};

static void on_done(void *arg, const struct mesh_kube_response *r)
{
	struct answer *a = arg;

	for (size_t i = 0; r->warnings[i]; i++)
		mesh_buf_printf(&a->text, "[%s]", r->warnings[i]);
	mesh_buf_printf(&a->text, "%d %s", r->status, r->error ? r->error : "-");
	a->over = true;
}

static void on_data(void *arg, struct mesh_slice piece)
{
	struct answer *a = arg;

	mesh_buf_slice(&a->text, piece);
}

TEST(hands_on_warnings)
{
	static const struct step steps[] = {{"GET /y ",
					     "HTTP/1.1 200 OK\r\nWarning: 299 - \"a \\\"b\\\" c\"\r\nwarning: 299 "
					     "mesh \"d\" \"date\"\r\nContent-Length: 2\r\n\r\n{}",
					     0, 0}};
	struct answer a = {0};
	struct fixture f;

	up(&f, steps, 1);
	mesh_kube_send(f.kube, "GET", "/y", NULL, NULL, NULL, on_done, &a);
	while (!a.over)
		mesh_loop_once(f.loop, 50);
	CHECK_STR(a.text.data, "[a \"b\" c][d]200 -");
	mesh_buf_free(&a.text);
	down(&f);
}

TEST(streams_pieces_and_keeps_errors)
{
	static const struct step steps[] = {
		{"GET /log ", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nline one\nline two\n", 0, 45},
		{"GET /log ", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno such container", 0, 0},
	};
	struct answer a = {0}, b = {0};
	struct fixture f;

	up(&f, steps, MESH_ARRAY_SIZE(steps));
	mesh_kube_stream(f.kube, "/log", NULL, on_data, on_done, &a);
	while (!a.over)
		mesh_loop_once(f.loop, 50);
	CHECK_STR(a.text.data, "line one\nline two\n200 -");
	mesh_kube_stream(f.kube, "/log", NULL, on_data, on_done, &b);
	while (!b.over)
		mesh_loop_once(f.loop, 50);
	CHECK_STR(b.text.data, "400 no such container");
	mesh_buf_free(&a.text);
	mesh_buf_free(&b.text);
	down(&f);
}

TEST(cancelled_requests_do_not_call_back)
{
	static const struct step steps[] = {{"GET /y ", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 0, 0}};
	struct answer a = {0};
	struct fixture f;

	up(&f, steps, 1);
	mesh_kube_cancel(mesh_kube_send(f.kube, "GET", "/z", NULL, NULL, NULL, on_done, &a));
	for (int i = 0; i < 3; i++)
		mesh_loop_once(f.loop, 5);
	CHECK(!a.over);
	CHECK_INT(mesh_kube_call(f.kube, "GET", "/y", NULL, NULL, NULL, NULL), 200);
	down(&f);
}

TEST(escapes_for_urls)
{
	mesh_auto_free char *e = mesh_kube_escape("a=b,c in (d) ~é");

	CHECK_STR(e, "a%3Db%2Cc%20in%20%28d%29%20~%C3%A9");
}

TEST_MAIN()
