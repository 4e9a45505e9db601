/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "agent/ctlsock.h"
#include "agent/feed.h"
#include "agent/lease.h"
#include "agent/settings.h"
#include "mesh_api.h"
#include "store/call.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The local socket. */

struct sock_world {
	struct mesh_loop *loop;
	struct mesh_ctlsock *sock;
	char path[64];
	struct mesh_ctlsock_conn *held;
	int gone;
};

static void on_request(void *arg, struct mesh_ctlsock_conn *conn, const json_t *request)
{
	struct sock_world *w = arg;
	json_t *hold = json_object_get(request, "hold");

	if (hold)
		w->held = conn;
	else
		mesh_ctlsock_reply(conn, json_pack("{s:O}", "got", json_object_get(request, "n")));
}

static void on_gone(void *arg, struct mesh_ctlsock_conn *conn)
{
	struct sock_world *w = arg;

	w->gone += conn == w->held;
	w->held = NULL;
}

static bool sock_new(struct sock_world *w)
{
	*w = (struct sock_world){0};
	snprintf(w->path, sizeof(w->path), "/tmp/mesh-sock-%d", getpid());
	return mesh_loop_new(&w->loop) == 0 &&
	       mesh_ctlsock_new(&w->sock, w->loop, w->path, on_request, on_gone, w) == 0;
}

static void sock_free(struct sock_world *w)
{
	mesh_ctlsock_free(w->sock);
	mesh_loop_free(w->loop);
}

static int sock_connect(struct sock_world *w)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, w->path);
	return connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 ? fd : -1;
}

/* What comes back until it has that many bytes, or nothing more comes. */
static const char *sock_read(struct sock_world *w, int fd, size_t want)
{
	static char buf[4096];
	size_t len = 0;

	for (int i = 0; i < 50 && len < want; i++) {
		ssize_t n;

		mesh_loop_once(w->loop, 10);
		n = recv(fd, buf + len, sizeof(buf) - 1 - len, MSG_DONTWAIT);
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	buf[len] = '\0';
	return buf;
}

TEST(requests_are_answered_in_order_however_they_are_cut)
{
	static const char text[] = "{\"n\": 1}\n{\"n\": 2}\nnot json\n[]\n{\"n\": 3}\n";
	static const char answers[] = "{\"got\":1}\n{\"got\":2}\n{\"ok\":false,\"error\":\"not a JSON object\"}\n"
				      "{\"ok\":false,\"error\":\"not a JSON object\"}\n{\"got\":3}\n";
	mesh_auto(sock_free) struct sock_world w;

	CHECK(sock_new(&w));
	for (size_t cut = 1; cut < sizeof(text) - 1; cut += 5) {
		mesh_auto_fd int fd = sock_connect(&w);

		CHECK(fd >= 0);
		CHECK_INT(send(fd, text, cut, 0), cut);
		mesh_loop_once(w.loop, 10);
		mesh_loop_once(w.loop, 10);
		CHECK_INT(send(fd, text + cut, sizeof(text) - 1 - cut, 0), sizeof(text) - 1 - cut);
		CHECK_STR(sock_read(&w, fd, sizeof(answers) - 1), answers);
	}
}

TEST(an_answer_may_come_later_and_the_next_request_waits)
{
	mesh_auto(sock_free) struct sock_world w;
	mesh_auto_fd int fd = -1;

	CHECK(sock_new(&w));
	fd = sock_connect(&w);
	CHECK(send(fd, "{\"hold\": 1}\n{\"n\": 2}\n", 21, 0) == 21);
	CHECK_STR(sock_read(&w, fd, 1), "");
	CHECK(w.held);
	mesh_ctlsock_reply(w.held, json_pack("{s:i}", "late", 1));
	CHECK_STR(sock_read(&w, fd, 21), "{\"late\":1}\n{\"got\":2}\n");
}

TEST(without_descriptors_it_waits_and_does_not_spin)
{
	mesh_auto(sock_free) struct sock_world w;
	struct rlimit before, none;
	mesh_auto_fd int fd = -1;
	uint64_t end;
	int rounds = 0;

	CHECK(sock_new(&w));
	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = before;
	none.rlim_cur = 3;
	fd = sock_connect(&w);
	CHECK(send(fd, "{\"n\": 1}\n", 9, 0) == 9);
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	for (end = mesh_now_ns() + MESH_MS(300); mesh_now_ns() < end; rounds++)
		mesh_loop_once(w.loop, 300);
	setrlimit(RLIMIT_NOFILE, &before);
	CHECK(rounds < 20);
	CHECK_STR(sock_read(&w, fd, 10), "{\"got\":1}\n");
}

TEST(who_hangs_up_is_forgotten)
{
	mesh_auto(sock_free) struct sock_world w;
	int fd;

	CHECK(sock_new(&w));
	fd = sock_connect(&w);
	CHECK(send(fd, "{\"hold\": 1}\n", 12, 0) == 12);
	sock_read(&w, fd, 1);
	CHECK(w.held);
	close(fd);
	for (int i = 0; i < 5 && !w.gone; i++)
		mesh_loop_once(w.loop, 10);
	CHECK_INT(w.gone, 1);
}

TEST(a_line_without_end_is_refused)
{
	mesh_auto(sock_free) struct sock_world w;
	mesh_auto_fd int fd = -1;
	char junk[4096];
	int sent = 0;

	CHECK(sock_new(&w));
	memset(junk, 'x', sizeof(junk));
	fd = sock_connect(&w);
	for (; sent < 64; sent++) {
		if (send(fd, junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		mesh_loop_once(w.loop, 5);
	}
	CHECK(sent < 64);
}

/* The Lease. */

#define LEASE "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases/sockmesh-agent-n1"

struct lease_world {
	struct api api;
	struct mesh_lease *lease;
	const char *want;
};

static void lease_world_free(struct lease_world *w)
{
	mesh_lease_free(w->lease);
	api_free(&w->api);
}

static bool lease_says(void *arg)
{
	struct lease_world *w = arg;
	int status;
	json_t *obj = NULL, *annotations;
	const char *text;
	struct mesh_errs errs = {0};
	bool same;

	status = mesh_kube_call(w->api.kube, "GET", LEASE, NULL, NULL, &obj, &errs);
	mesh_errs_free(&errs);
	annotations = json_object_get(json_object_get(obj, "metadata"), "annotations");
	text = json_string_value(json_object_get(annotations, "sockmesh.io/in-force"));
	same = w->want ? text && strcmp(text, w->want) == 0 : status == 404;
	json_decref(obj);
	return same;
}

TEST(a_lease_is_made_kept_up_and_withdrawn)
{
	struct mesh_lease_opts opts = {.name = "sockmesh-agent-n1", .component = "agent", .holder = "n1"};
	mesh_auto(lease_world_free) struct lease_world w = {0};
	json_t *obj;

	CHECK(api_new(&w.api));
	api_do(&w.api, "POST", "/api/v1/namespaces",
	       "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"istio-system\"}}");
	CHECK_INT(mesh_lease_new(&w.lease, w.api.loop, w.api.kube, &opts), 0);
	mesh_lease_report(w.lease, json_pack("{s:s, s:s}", "pods", "5", "a", "4"), true);
	w.want = "{\"a\":\"4\",\"pods\":\"5\"}";
	CHECK(api_until(&w.api, lease_says, &w));
	/* Many at once: the last one is what counts. */
	for (int i = 6; i < 30; i++)
		mesh_lease_report(w.lease, json_pack("{s:o}", "pods", json_sprintf("%d", i)), i % 2 == 0);
	w.want = "{\"pods\":\"29\"}";
	CHECK(api_until(&w.api, lease_says, &w));
	obj = api_call(&w.api, "GET", LEASE, NULL, NULL);
	CHECK_STR(json_string_value(json_object_get(json_object_get(json_object_get(obj, "metadata"), "labels"),
						    "sockmesh.io/component")),
		  "agent");
	CHECK_STR(json_string_value(json_object_get(json_object_get(obj, "spec"), "holderIdentity")), "n1");
	json_decref(obj);
	mesh_lease_withdraw(w.lease);
	w.want = NULL;
	CHECK(lease_says(&w));
}

/* The feed. */

struct feed_world {
	struct api api;
	struct mesh_feed *feed;
	int contents, versions;
	int pods_before, pods_after;
	const char *service; /* what is waited for */
	const char *bad;
	bool member, vs;
};

static void feed_world_free(struct feed_world *w)
{
	mesh_feed_free(w->feed);
	api_free(&w->api);
}

static void on_changed(void *arg, enum mesh_feed_change change)
{
	struct feed_world *w = arg;

	if (change == MESH_FEED_CONTENT)
		w->contents++;
	else
		w->versions++;
}

static void on_pod(void *arg, const struct mesh_workload *before, const struct mesh_workload *after)
{
	struct feed_world *w = arg;

	w->pods_before += before != NULL;
	w->pods_after += after != NULL;
}

static bool feed_new(struct feed_world *w)
{
	struct mesh_feed_opts opts = {.gateways = true, .changed = on_changed, .pod = on_pod, .arg = w};

	if (!api_new(&w->api))
		return false;
	opts.loop = w->api.loop;
	return mesh_feed_new(&w->feed, w->api.kube, &opts) == 0;
}

static bool is_synced(void *arg)
{
	return mesh_feed_synced(((struct feed_world *)arg)->feed);
}

static bool has_service(void *arg)
{
	struct feed_world *w = arg;

	return mesh_map_get_str(&mesh_feed_snapshot(w->feed)->services, w->service) != NULL;
}

static bool has_no_service(void *arg)
{
	return !has_service(arg);
}

static bool has_member(void *arg)
{
	struct feed_world *w = arg;

	return (mesh_map_get_str(&mesh_feed_snapshot(w->feed)->members, "shop") != NULL) == w->member;
}

static bool has_rule(void *arg)
{
	struct feed_world *w = arg;

	return (mesh_map_get_str(&mesh_feed_snapshot(w->feed)->virtual_services, "default/r") != NULL) == w->vs;
}

static bool version_reached(void *arg)
{
	struct feed_world *w = arg;
	json_t *versions = mesh_feed_versions(w->feed);
	const char *v = json_string_value(json_object_get(versions, "servicemeshmemberrolls.maistra.io"));
	bool reached = v && strcmp(v, w->bad) == 0;

	json_decref(versions);
	return reached;
}

TEST(the_feed_follows_the_api)
{
	mesh_auto(feed_world_free) struct feed_world w = {.service = "default/s"};

	CHECK(feed_new(&w));
	CHECK(api_until(&w.api, is_synced, &w));
	CHECK_INT(api_do(&w.api, "POST", "/api/v1/namespaces/default/services",
			 "{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"s\"}, \"spec\": "
			 "{\"ports\": [{\"port\": 80, \"name\": \"http\"}]}}"),
		  201);
	CHECK(api_until(&w.api, has_service, &w));
	CHECK(w.contents > 0);
	CHECK_INT(api_do(&w.api, "DELETE", "/api/v1/namespaces/default/services/s", NULL), 200);
	CHECK(api_until(&w.api, has_no_service, &w));
}

#define RULES "/apis/networking.istio.io/v1beta1/namespaces/default/virtualservices"

TEST(a_change_of_labels_only_moves_the_version)
{
	mesh_auto(feed_world_free) struct feed_world w = {.vs = true};
	int contents;

	CHECK(feed_new(&w));
	CHECK(api_until(&w.api, is_synced, &w));
	CHECK_INT(api_do(&w.api, "POST", RULES,
			 "{\"apiVersion\": \"networking.istio.io/v1beta1\", \"kind\": \"VirtualService\", "
			 "\"metadata\": {\"name\": \"r\"}, \"spec\": {\"hosts\": [\"h\"], \"http\": [{\"route\": "
			 "[{\"destination\": {\"host\": \"h\"}}]}]}}"),
		  201);
	CHECK(api_until(&w.api, has_rule, &w));
	contents = w.contents;
	w.versions = 0;
	CHECK_INT(api_do(&w.api, "PATCH", RULES "/r", "{\"metadata\": {\"labels\": {\"a\": \"b\"}}}"), 200);
	for (int i = 0; i < 50 && !w.versions; i++)
		mesh_loop_once(w.api.loop, 20);
	CHECK_INT(w.versions, 1);
	CHECK_INT(w.contents, contents);
	w.vs = false;
	CHECK_INT(api_do(&w.api, "DELETE", RULES "/r", NULL), 200);
	CHECK(api_until(&w.api, has_rule, &w));
}

static const char *rule_host(const struct feed_world *w)
{
	const struct mesh_destination_rule *dr =
		mesh_map_get_str(&mesh_feed_snapshot(w->feed)->destination_rules, "default/d");

	return dr ? dr->host : "";
}

static bool host_is(void *arg)
{
	return strcmp(rule_host(arg), ((struct feed_world *)arg)->service) == 0;
}

static bool is_unusable(void *arg)
{
	json_t *versions = mesh_feed_versions(((struct feed_world *)arg)->feed);
	const char *what = json_string_value(json_array_get(json_object_get(versions, MESH_LEASE_UNUSABLE), 0));
	bool yes = what && strcmp(what, "destinationrules.networking.istio.io default/d") == 0;

	json_decref(versions);
	return yes;
}

static bool is_usable(void *arg)
{
	return !is_unusable(arg);
}

/* What no API would take in: past its checks. */
static void break_rule(struct feed_world *w)
{
	struct mesh_state *state = w->api.store->state;
	struct mesh_resource *res = mesh_state_resource(state, "networking.istio.io", "destinationrules");
	json_t *obj = json_deep_copy(mesh_state_get(res, "default", "d")->obj);

	json_object_del(json_object_get(obj, "spec"), "host");
	json_object_set_new(json_object_get(obj, "metadata"), "generation", json_integer(2));
	mesh_state_put(state, res, obj);
	mesh_api_changed(w->api.store);
}

TEST(what_cannot_be_read_is_named_and_the_last_good_one_stays)
{
	static const char rules[] = "/apis/networking.istio.io/v1beta1/namespaces/default/destinationrules";
	mesh_auto(feed_world_free) struct feed_world w = {.service = "h"};
	mesh_auto_free char *path = mesh_xasprintf("%s/d", rules);
	json_t *before, *after;

	CHECK(feed_new(&w));
	CHECK(api_until(&w.api, is_synced, &w));
	CHECK_INT(api_do(&w.api, "POST", rules,
			 "{\"apiVersion\": \"networking.istio.io/v1beta1\", \"kind\": \"DestinationRule\", "
			 "\"metadata\": {\"name\": \"d\"}, \"spec\": {\"host\": \"h\"}}"),
		  201);
	CHECK(api_until(&w.api, host_is, &w));
	CHECK(is_usable(&w));
	before = mesh_feed_versions(w.feed);
	break_rule(&w);
	CHECK(api_until(&w.api, is_unusable, &w));
	CHECK(host_is(&w));
	after = mesh_feed_versions(w.feed);
	/* What else of its kind comes can be in force. */
	CHECK(!json_equal(json_object_get(before, "destinationrules.networking.istio.io"),
			  json_object_get(after, "destinationrules.networking.istio.io")));
	json_decref(before);
	json_decref(after);
	CHECK_INT(api_do(&w.api, "PATCH", path,
			 "{\"metadata\": {\"labels\": {\"a\": \"b\"}}, \"spec\": {\"host\": "
			 "\"g\"}}"),
		  200);
	w.service = "g";
	CHECK(api_until(&w.api, host_is, &w));
	CHECK(is_usable(&w));
	break_rule(&w);
	CHECK(api_until(&w.api, is_unusable, &w));
	CHECK_INT(api_do(&w.api, "DELETE", path, NULL), 200);
	CHECK(api_until(&w.api, is_usable, &w));
	CHECK_STR(rule_host(&w), "");
}

#define ROLLS "/apis/maistra.io/v1/namespaces/istio-system/servicemeshmemberrolls"

TEST(members_are_those_that_status_says_and_the_version_waits_for_it)
{
	mesh_auto(feed_world_free) struct feed_world w = {.member = true};
	json_t *roll;
	mesh_auto_free char *first = NULL, *second = NULL;

	CHECK(feed_new(&w));
	api_do(&w.api, "POST", "/api/v1/namespaces",
	       "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"istio-system\"}}");
	CHECK(api_until(&w.api, is_synced, &w));
	roll = api_call(&w.api, "POST", ROLLS,
			"{\"apiVersion\": \"maistra.io/v1\", \"kind\": \"ServiceMeshMemberRoll\", \"metadata\": "
			"{\"name\": \"default\"}, \"spec\": {\"members\": [\"shop\"]}}",
			NULL);
	first = mesh_xstrdup(json_string_value(json_object_get(json_object_get(roll, "metadata"), "resourceVersion")));
	json_decref(roll);
	for (int i = 0; i < 10; i++)
		mesh_loop_once(w.api.loop, 10);
	CHECK(!mesh_map_get_str(&mesh_feed_snapshot(w.feed)->members, "shop"));
	w.bad = first;
	CHECK(!version_reached(&w));
	roll = api_call(&w.api, "PATCH", ROLLS "/default/status",
			"{\"status\": {\"observedGeneration\": 1, \"configuredMembers\": [\"shop\"]}}", NULL);
	second = mesh_xstrdup(json_string_value(json_object_get(json_object_get(roll, "metadata"), "resourceVersion")));
	json_decref(roll);
	CHECK(api_until(&w.api, has_member, &w));
	w.bad = second;
	CHECK(api_until(&w.api, version_reached, &w));
	w.member = false;
	CHECK_INT(api_do(&w.api, "DELETE", ROLLS "/default", NULL), 200);
	CHECK(api_until(&w.api, has_member, &w));
}

#define PODS "/api/v1/namespaces/default/pods"

static bool pod_gone(void *arg)
{
	return ((struct feed_world *)arg)->pods_before > 0 &&
	       mesh_feed_snapshot(((struct feed_world *)arg)->feed)->workloads.count == 0;
}

static bool pod_here(void *arg)
{
	return mesh_feed_snapshot(((struct feed_world *)arg)->feed)->workloads.count == 1;
}

TEST(pods_are_told_before_they_change_and_when_they_go)
{
	mesh_auto(feed_world_free) struct feed_world w = {0};

	CHECK(feed_new(&w));
	CHECK(api_until(&w.api, is_synced, &w));
	CHECK_INT(api_do(&w.api, "POST", PODS,
			 "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"p\"}, \"spec\": "
			 "{\"containers\": [{\"name\": \"c\", \"image\": \"x\"}]}}"),
		  201);
	CHECK(api_until(&w.api, pod_here, &w));
	CHECK_INT(w.pods_after, 1);
	CHECK_INT(api_do(&w.api, "DELETE", PODS "/p?gracePeriodSeconds=0", NULL), 200);
	CHECK(api_until(&w.api, pod_gone, &w));
}

/* What the pod's template says goes before a ConfigMap of another revision, whole, and not before its own. */
TEST(settings_of_the_template)
{
	const char *said =
		"{\"SOCKMESH_REVISION\":\"2\",\"SETTINGS_A\":\"new\",\"SOCKMESH_GONE\":null,\"SETTINGS_B\":null}";

	setenv("SETTINGS_A", "by hand", 1);
	setenv("SOCKMESH_GONE", "x", 1);
	setenv("SETTINGS_B", "the kubelet's", 1);
	setenv("SOCKMESH_REVISION", "2", 1);
	CHECK(!mesh_agent_settings(NULL));
	CHECK(!mesh_agent_settings(""));
	CHECK(!mesh_agent_settings("no JSON"));
	CHECK(!mesh_agent_settings("{\"SETTINGS_A\":\"of nobody\"}"));
	CHECK(!mesh_agent_settings(said));
	CHECK_STR(getenv("SETTINGS_A"), "by hand");
	setenv("SOCKMESH_REVISION", "1", 1);
	CHECK(mesh_agent_settings(said));
	CHECK_STR(getenv("SETTINGS_A"), "new");
	CHECK_STR(getenv("SOCKMESH_REVISION"), "2");
	CHECK(getenv("SOCKMESH_GONE") == NULL);
	CHECK_STR(getenv("SETTINGS_B"), "the kubelet's");
	/* A ConfigMap of a version before there were revisions. */
	unsetenv("SOCKMESH_REVISION");
	CHECK(mesh_agent_settings(said));
	CHECK(!mesh_agent_settings(said));
	unsetenv("SOCKMESH_REVISION");
	unsetenv("SETTINGS_A");
	unsetenv("SETTINGS_B");
}

TEST_MAIN()
