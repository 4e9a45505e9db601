/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: what they tell, resumption from old versions, also after a restart, and when they must end. */
#include "store_client.h"

#include <pthread.h>

static struct server srv;

#define CM "/api/v1/namespaces/default/configmaps"

static uint64_t make(const char *name, const char *label)
{
	mesh_auto_free char *body =
		mesh_xasprintf("{\"metadata\":{\"name\":\"%s\",\"labels\":{\"l\":\"%s\"}}}", name, label);
	struct answer a = call(&srv, "POST", CM, body);
	uint64_t rv;

	if (a.status == 409) {
		mesh_auto_free char *path = mesh_xasprintf(CM "/%s", name);

		answer_free(&a);
		a = call(&srv, "PUT", path, body);
	}
	rv = strtoull(mesh_js_str(a.body, "metadata.resourceVersion"), NULL, 10);
	answer_free(&a);
	return rv;
}

static uint64_t version_now(void)
{
	struct answer a = call(&srv, "GET", CM "?limit=1", NULL);
	uint64_t rv = strtoull(mesh_js_str(a.body, "metadata.resourceVersion"), NULL, 10);

	answer_free(&a);
	return rv;
}

/* Watches for a second and gives what came as "TYPE name;TYPE name;". Caller frees. */
static char *watch(const char *query, uint64_t rv)
{
	mesh_auto_free char *version =
		rv ? mesh_xasprintf("&resourceVersion=%llu", (unsigned long long)rv) : mesh_xstrdup("");
	mesh_auto_free char *path = mesh_xasprintf(CM "?watch=1&timeoutSeconds=1%s%s", query, version);
	struct answer a = call(&srv, "GET", path, NULL);
	struct mesh_slice rest = mesh_buf_view(&a.text), line;
	struct mesh_buf out = {0};

	while (mesh_slice_split(&rest, '\n', &line)) {
		mesh_auto_free char *error = NULL;
		json_t *event = line.len ? mesh_js_load(line, &error) : NULL;

		if (!event)
			continue;
		mesh_buf_printf(&out, "%s %s;", mesh_js_str(event, "type"),
				mesh_js_text(event, "object.metadata.name") ? mesh_js_str(event, "object.metadata.name")
									    : mesh_js_str(event, "object.reason"));
		json_decref(event);
	}
	answer_free(&a);
	return mesh_buf_steal(&out);
}

#define CHECK_WATCH(query, rv, want)                                                                                   \
	do {                                                                                                           \
		mesh_auto_free char *_seen = watch(query, rv);                                                         \
		CHECK_STR(_seen, want);                                                                                \
	} while (0)

TEST(server_starts)
{
	srv.watch_log = 200;
	server_start(&srv);
	CHECK_STATUS(&srv, "GET", "/readyz", NULL, 200);
}

TEST(watch_from_a_version_tells_what_followed)
{
	uint64_t rv = version_now();

	make("one", "a");
	make("two", "a");
	make("one", "b");
	CHECK_STATUS(&srv, "DELETE", CM "/two", NULL, 200);
	CHECK_WATCH("", rv, "ADDED one;ADDED two;MODIFIED one;DELETED two;");
	CHECK_WATCH("&fieldSelector=metadata.name%3Dtwo", rv, "ADDED two;DELETED two;");
}

TEST(watch_without_a_version_begins_with_what_is)
{
	CHECK_WATCH("&labelSelector=l", 0, "ADDED one;");
	CHECK_WATCH("&labelSelector=l&resourceVersion=0", 0, "ADDED one;");
}

TEST(leaving_the_selection_is_a_deletion)
{
	uint64_t rv = make("mover", "in");

	make("mover", "out");
	make("mover", "in");
	CHECK_STATUS(&srv, "DELETE", CM "/mover", NULL, 200);
	CHECK_WATCH("&labelSelector=l%3Din", rv, "DELETED mover;ADDED mover;DELETED mover;");
	CHECK_WATCH("&labelSelector=l%3Dout", rv, "ADDED mover;DELETED mover;");
	CHECK_WATCH("&labelSelector=l%3Dnone", rv, "");
}

TEST(bookmarks_at_the_end_and_after_initial_events)
{
	uint64_t rv = version_now();

	CHECK_WATCH("&allowWatchBookmarks=true", rv, "BOOKMARK ;");
	CHECK_WATCH(
		"&labelSelector=l&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", 0,
		"ADDED one;BOOKMARK ;BOOKMARK ;");
	CHECK_STATUS(&srv, "GET", CM "?watch=1&sendInitialEvents=true", NULL, 422);
}

TEST(a_watch_resumes_after_a_restart)
{
	uint64_t rv = version_now();

	make("before", "r");
	server_kill(&srv, SIGKILL);
	server_start(&srv);
	make("after", "r");
	CHECK_WATCH("", rv, "ADDED before;ADDED after;");
}

TEST(tables_are_watched_too)
{
	uint64_t rv = version_now();
	mesh_auto_free char *path =
		mesh_xasprintf(CM "?watch=1&timeoutSeconds=1&resourceVersion=%llu", (unsigned long long)rv);
	struct answer a;

	make("tabled", "t");
	a = request_send(&srv,
			 &(struct request){.path = path, .accept = "application/json;as=Table;v=v1;g=meta.k8s.io"});
	CHECK_STR(mesh_js_str(a.body, "object.kind"), "Table");
	CHECK_INT(json_array_size(mesh_js_at(a.body, "object.rows")), 1);
	CHECK(json_array_size(mesh_js_at(a.body, "object.columnDefinitions")) > 1);
	answer_free(&a);
}

TEST(too_old_and_unknown_versions_expire)
{
	uint64_t rv = version_now();

	for (int i = 0; i < 300; i++)
		make("churn", i % 2 ? "x" : "y");
	CHECK_WATCH("", rv, "ERROR Expired;");
	CHECK_WATCH("", version_now() + 1000, "ERROR Expired;");
	CHECK_STATUS(&srv, "GET", CM "?resourceVersion=1&resourceVersionMatch=Exact", NULL, 410);
}

static void *write_later(void *arg)
{
	struct server other = srv;

	(void)arg;
	other.curl = NULL;
	usleep(300000);
	status_of(&other, "POST", CM, "{\"metadata\":{\"name\":\"live\"}}");
	curl_easy_cleanup(other.curl);
	return NULL;
}

TEST(changes_come_while_watching)
{
	uint64_t rv = version_now();
	pthread_t thread;

	pthread_create(&thread, NULL, write_later, NULL);
	CHECK_WATCH("", rv, "ADDED live;");
	pthread_join(thread, NULL);
}

TEST(server_ends)
{
	CHECK_INT(server_kill(&srv, SIGTERM), 0);
	server_end(&srv);
}

TEST_MAIN()
