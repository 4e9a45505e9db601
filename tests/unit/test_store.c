/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded API over real TLS sockets: REST semantics, one server for all tests of this program. */
#include "store_client.h"

static struct server srv;

#define CM "/api/v1/namespaces/default/configmaps"
#define VS "/apis/networking.istio.io/v1beta1/namespaces/default/virtualservices"
#define VS_BODY(name, weight)                                                                                          \
	"{\"apiVersion\":\"networking.istio.io/v1beta1\",\"kind\":\"VirtualService\",\"metadata\":{\"name\":\"" name   \
	"\"},\"spec\":{\"hosts\":[\"a\"],\"http\":[{\"route\":[{\"destination\":{\"host\":\"a\"},\"weight\":" weight   \
	"}]}]}}"

static char *cm(const char *name, const char *extra)
{
	return mesh_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\"%s}}", name,
			      extra);
}

static long make_cm(const char *name, const char *extra)
{
	mesh_auto_free char *body = cm(name, extra);

	return status_of(&srv, "POST", CM, body);
}

TEST(server_starts)
{
	server_start(&srv);
	CHECK_STATUS(&srv, "GET", "/readyz", NULL, 200);
}

TEST(create_get_delete)
{
	struct answer a;

	CHECK_INT(make_cm("one", ""), 201);
	a = call(&srv, "GET", CM "/one", NULL);
	CHECK_INT(a.status, 200);
	CHECK_INT(strlen(mesh_js_str(a.body, "metadata.uid")), 36);
	CHECK_INT(strlen(mesh_js_str(a.body, "metadata.creationTimestamp")), 20);
	CHECK_STR(mesh_js_str(a.body, "metadata.namespace"), "default");
	CHECK(mesh_js_at(a.body, "metadata.managedFields") == NULL);
	answer_free(&a);
	CHECK_TEXT(&srv, "DELETE", CM "/one", NULL, 200, "status", "Success");
	CHECK_TEXT(&srv, "GET", CM "/one", NULL, 404, "message", "configmaps \"one\" not found");
	CHECK_TEXT(&srv, "DELETE", CM "/one", NULL, 404, "reason", "NotFound");
}

TEST(second_create_conflicts)
{
	mesh_auto_free char *body = cm("twice", "");

	CHECK_INT(make_cm("twice", ""), 201);
	CHECK_TEXT(&srv, "POST", CM, body, 409, "message", "configmaps \"twice\" already exists");
	CHECK_TEXT(&srv, "POST", CM, body, 409, "reason", "AlreadyExists");
}

TEST(names_are_checked)
{
	mesh_auto_free char *bad = cm("Not_A_Name", ""), *ns = cm("x", ",\"namespace\":\"other\""), *none = cm("", "");

	CHECK_TEXT(&srv, "POST", CM, bad, 422, "reason", "Invalid");
	CHECK_TEXT(&srv, "POST", CM, ns, 400, "message",
		   "the namespace of the provided object does not match the namespace sent on the request");
	CHECK_TEXT(&srv, "POST", CM, none, 422, "message",
		   "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required");
	CHECK_TEXT(&srv, "POST", "/api/v1/namespaces/nowhere/configmaps", bad, 404, "message",
		   "namespaces \"nowhere\" not found");
}

TEST(generated_names)
{
	struct answer a = call(&srv, "POST", CM, "{\"metadata\":{\"generateName\":\"gen-\"}}");

	CHECK_INT(a.status, 201);
	CHECK_INT(strlen(mesh_js_str(a.body, "metadata.name")), 9);
	CHECK(strspn(mesh_js_str(a.body, "metadata.name") + 4, "bcdfghjklmnpqrstvwxz2456789") == 5);
	answer_free(&a);
}

TEST(stale_update_conflicts)
{
	mesh_auto_free char *first = NULL, *body = NULL;
	struct answer a;

	CHECK_INT(make_cm("stale", ""), 201);
	a = call(&srv, "GET", CM "/stale", NULL);
	first = mesh_xstrdup(mesh_js_str(a.body, "metadata.resourceVersion"));
	answer_free(&a);
	body = mesh_xasprintf("{\"metadata\":{\"name\":\"stale\",\"resourceVersion\":\"%s\"},\"data\":{\"a\":\"1\"}}",
			      first);
	CHECK_STATUS(&srv, "PUT", CM "/stale", body, 200);
	CHECK_TEXT(&srv, "PUT", CM "/stale", body, 409, "message",
		   "Operation cannot be fulfilled on configmaps \"stale\": the object has been modified; please apply "
		   "your changes "
		   "to the latest version and try again");
	CHECK_STATUS(&srv, "PUT", CM "/other", body, 400);
	CHECK_TEXT(&srv, "PUT", CM "/other", "{\"metadata\":{\"name\":\"other\"}}", 404, "reason", "NotFound");
}

TEST(update_that_changes_nothing_keeps_the_version)
{
	mesh_auto_free char *before = NULL;
	struct answer a;

	CHECK_INT(make_cm("same", ",\"labels\":{\"a\":\"b\"}"), 201);
	a = call(&srv, "GET", CM "/same", NULL);
	before = mesh_xstrdup(a.text.data);
	CHECK_TEXT(&srv, "PUT", CM "/same", before, 200, "metadata.resourceVersion",
		   mesh_js_str(a.body, "metadata.resourceVersion"));
	answer_free(&a);
}

TEST(generation_counts_changes_of_spec)
{
	struct request patch = {.method = "PATCH", .path = VS "/g", .type = "application/merge-patch+json"};
	struct answer a;

	CHECK_TEXT(&srv, "POST", VS, VS_BODY("g", "70"), 201, "apiVersion", "networking.istio.io/v1beta1");
	patch.body = "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}";
	a = request_send(&srv, &patch);
	CHECK_INT(mesh_js_int(a.body, "metadata.generation", 0), 1);
	answer_free(&a);
	patch.body = "{\"spec\":{\"hosts\":[\"b\"]}}";
	a = request_send(&srv, &patch);
	CHECK_INT(a.status, 200);
	CHECK_INT(mesh_js_int(a.body, "metadata.generation", 0), 2);
	answer_free(&a);
	patch.path = VS "/g/status";
	patch.body = "{\"status\":{\"observedGeneration\":2},\"spec\":{\"hosts\":[\"c\"]}}";
	a = request_send(&srv, &patch);
	CHECK_INT(a.status, 200);
	CHECK_INT(mesh_js_int(a.body, "metadata.generation", 0), 2);
	CHECK_INT(json_array_size(mesh_js_at(a.body, "spec.hosts")), 1);
	CHECK_STR(json_string_value(json_array_get(mesh_js_at(a.body, "spec.hosts"), 0)), "b");
	answer_free(&a);
}

TEST(versions_of_one_object)
{
	CHECK_TEXT(&srv, "POST", VS, VS_BODY("versions", "1"), 201, "kind", "VirtualService");
	CHECK_TEXT(&srv, "GET", "/apis/networking.istio.io/v1/namespaces/default/virtualservices/versions", NULL, 200,
		   "apiVersion", "networking.istio.io/v1");
	CHECK_TEXT(&srv, "GET", "/apis/networking.istio.io/v1alpha3/namespaces/default/virtualservices/versions", NULL,
		   200, "apiVersion", "networking.istio.io/v1alpha3");
	CHECK_STATUS(&srv, "GET", "/apis/networking.istio.io/v9/namespaces/default/virtualservices/versions", NULL,
		     404);
}

TEST(custom_resource_needs_a_version_to_be_replaced)
{
	CHECK_STATUS(&srv, "POST", VS, VS_BODY("blind", "1"), 201);
	CHECK_TEXT(&srv, "PUT", VS "/blind", VS_BODY("blind", "2"), 422, "reason", "Invalid");
}

TEST(strict_decoding)
{
	static const char body[] =
		"{\"apiVersion\":\"networking.istio.io/v1beta1\",\"kind\":\"VirtualService\",\"metadata\":"
		"{\"name\":\"strict\"},\"spec\":{\"hosts\":[\"a\"],\"http\":[{\"route\":[{\"destination\":{\"host\":"
		"\"a\"}}]}],\"foo\":1}}";
	struct answer a;

	CHECK_TEXT(&srv, "POST", VS "?fieldValidation=Strict", body, 400, "message",
		   "VirtualService in version \"v1beta1\" cannot be handled as a VirtualService: strict decoding "
		   "error: unknown "
		   "field \"spec.foo\"");
	a = call(&srv, "POST", VS "?fieldValidation=Warn", body);
	CHECK_INT(a.status, 201);
	CHECK(strstr(a.headers.data, "Warning: 299 - \"unknown field \\\"spec.foo\\\"\""));
	CHECK(mesh_js_at(a.body, "spec.foo") == NULL);
	answer_free(&a);
	CHECK_TEXT(
		&srv, "POST", CM "?fieldValidation=Strict",
		"{\"metadata\":{\"name\":\"dup\"},\"data\":{\"a\":\"1\",\"a\":\"2\"}}", 400, "message",
		"ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field "
		"\"data.a\"");
}

TEST(dry_run_changes_nothing)
{
	mesh_auto_free char *body = cm("dry", "");

	CHECK_STATUS(&srv, "POST", CM "?dryRun=All", body, 201);
	CHECK_STATUS(&srv, "GET", CM "/dry", NULL, 404);
	CHECK_STATUS(&srv, "POST", CM, body, 201);
	CHECK_STATUS(&srv, "DELETE", CM "/dry?dryRun=All", NULL, 200);
	CHECK_STATUS(&srv, "GET", CM "/dry", NULL, 200);
	CHECK_STATUS(&srv, "POST", CM "?dryRun=Some", body, 400);
}

static size_t count_of(const char *path)
{
	struct answer a = call(&srv, "GET", path, NULL);
	size_t n = a.status == 200 ? json_array_size(json_object_get(a.body, "items")) : 999;

	answer_free(&a);
	return n;
}

TEST(label_and_field_selectors)
{
	CHECK_INT(make_cm("sel-1", ",\"labels\":{\"sel\":\"x\",\"n\":\"1\"}"), 201);
	CHECK_INT(make_cm("sel-2", ",\"labels\":{\"sel\":\"x\",\"n\":\"2\"}"), 201);
	CHECK_INT(make_cm("sel-3", ",\"labels\":{\"sel\":\"x\"}"), 201);
	CHECK_INT(count_of(CM "?labelSelector=sel%3Dx"), 3);
	CHECK_INT(count_of(CM "?labelSelector=sel==x,n!=1"), 2);
	CHECK_INT(count_of(CM "?labelSelector=sel%3Dx,n%20in%20(1,2)"), 2);
	CHECK_INT(count_of(CM "?labelSelector=sel%3Dx,n%20notin%20(1,2)"), 1);
	CHECK_INT(count_of(CM "?labelSelector=sel,n"), 2);
	CHECK_INT(count_of(CM "?labelSelector=sel,!n"), 1);
	CHECK_INT(count_of(CM "?labelSelector=sel%3Dx,n%3E1"), 1);
	CHECK_INT(count_of(CM "?fieldSelector=metadata.name%3Dsel-2"), 1);
	CHECK_INT(count_of(CM "?fieldSelector=metadata.name!%3Dsel-2&labelSelector=sel"), 2);
	CHECK_STATUS(&srv, "GET", CM "?labelSelector=a%20b", NULL, 400);
	CHECK_STATUS(&srv, "GET", CM "?fieldSelector=data.a%3Db", NULL, 400);
	CHECK_TEXT(&srv, "GET", "/api/v1/namespaces/default/pods?fieldSelector=spec.nothing%3Db", NULL, 400, "message",
		   "field label not supported: spec.nothing");
}

TEST(pages_show_one_moment)
{
	mesh_auto_free char *next = NULL, *rv = NULL;
	struct answer a;

	for (int i = 0; i < 5; i++) {
		mesh_auto_free char *name = mesh_xasprintf("page-%d", i);

		CHECK_INT(make_cm(name, ",\"labels\":{\"page\":\"y\"}"), 201);
	}
	a = call(&srv, "GET", CM "?labelSelector=page&limit=2", NULL);
	CHECK_INT(json_array_size(json_object_get(a.body, "items")), 2);
	next = mesh_xasprintf(CM "?labelSelector=page&limit=2&continue=%s", mesh_js_str(a.body, "metadata.continue"));
	rv = mesh_xstrdup(mesh_js_str(a.body, "metadata.resourceVersion"));
	answer_free(&a);
	/* What happens between two pages is not seen in the second. */
	CHECK_STATUS(&srv, "DELETE", CM "/page-3", NULL, 200);
	CHECK_INT(make_cm("page-22", ",\"labels\":{\"page\":\"y\"}"), 201);
	a = call(&srv, "GET", next, NULL);
	CHECK_STR(mesh_js_str(json_array_get(json_object_get(a.body, "items"), 0), "metadata.name"), "page-2");
	CHECK_STR(mesh_js_str(json_array_get(json_object_get(a.body, "items"), 1), "metadata.name"), "page-3");
	CHECK_STR(mesh_js_str(a.body, "metadata.resourceVersion"), rv);
	answer_free(&a);
	CHECK_STATUS(&srv, "GET", CM "?continue=garbage!", NULL, 400);
	CHECK_STATUS(&srv, "GET", CM "?resourceVersion=99999999", NULL, 504);
}

TEST(patches)
{
	struct request r = {.method = "PATCH", .path = CM "/patched", .type = "application/json-patch+json"};
	struct answer a;

	CHECK_INT(make_cm("patched", ",\"labels\":{\"a\":\"b\"}"), 201);
	r.body = "[{\"op\":\"add\",\"path\":\"/data\",\"value\":{\"k\":\"v\"}}]";
	a = request_send(&srv, &r);
	CHECK_STR(mesh_js_str(a.body, "data.k"), "v");
	answer_free(&a);
	r.body = "[{\"op\":\"test\",\"path\":\"/data/k\",\"value\":\"w\"}]";
	a = request_send(&srv, &r);
	CHECK_INT(a.status, 422);
	answer_free(&a);
	r.type = "application/strategic-merge-patch+json";
	r.body = "{\"data\":{\"k\":null,\"l\":\"m\"}}";
	a = request_send(&srv, &r);
	CHECK_STR(mesh_js_str(a.body, "data.l"), "m");
	CHECK(mesh_js_at(a.body, "data.k") == NULL);
	answer_free(&a);
	r.type = "application/apply-patch+yaml";
	a = request_send(&srv, &r);
	CHECK_INT(a.status, 415);
	CHECK(strstr(mesh_js_str(a.body, "message"), "server-side apply"));
	answer_free(&a);
	r.type = "text/plain";
	a = request_send(&srv, &r);
	CHECK_INT(a.status, 415);
	answer_free(&a);
}

TEST(yaml_bodies)
{
	struct answer a = request_send(&srv, &(struct request){.method = "POST",
							       .path = CM,
							       .type = "application/yaml",
							       .body = "metadata: {name: from-yaml}\ndata: {a: b}\n"});

	CHECK_INT(a.status, 201);
	CHECK_STR(mesh_js_str(a.body, "data.a"), "b");
	answer_free(&a);
}

TEST(methods_and_paths)
{
	CHECK_TEXT(&srv, "POST", CM "/x", "{}", 405, "reason", "MethodNotAllowed");
	CHECK_TEXT(&srv, "PUT", CM, "{}", 405, "reason", "MethodNotAllowed");
	CHECK_STATUS(&srv, "GET", "/api/v1/nothings", NULL, 404);
	CHECK_STATUS(&srv, "GET", "/nothing", NULL, 404);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/default/configmaps/x/status", NULL, 404);
	CHECK_STATUS(&srv, "DELETE", "/api/v1/namespaces", NULL, 405);
}

TEST(tables_and_metadata)
{
	struct request r = {.path = CM "?labelSelector=sel", .accept = "application/json;as=Table;v=v1;g=meta.k8s.io"};
	struct answer a = request_send(&srv, &r);

	CHECK_STR(mesh_js_str(a.body, "kind"), "Table");
	CHECK_INT(json_array_size(json_object_get(a.body, "rows")), 3);
	answer_free(&a);
	r.accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
	a = request_send(&srv, &r);
	CHECK_STR(mesh_js_str(a.body, "kind"), "PartialObjectMetadataList");
	CHECK_STR(mesh_js_str(json_array_get(json_object_get(a.body, "items"), 0), "kind"), "PartialObjectMetadata");
	answer_free(&a);
	r.accept = "text/html";
	a = request_send(&srv, &r);
	CHECK_INT(a.status, 406);
	answer_free(&a);
}

TEST(discovery)
{
	struct answer a = request_send(
		&srv,
		&(struct request){.path = "/apis",
				  .accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"});

	CHECK_STR(mesh_js_str(a.body, "apiVersion"), "apidiscovery.k8s.io/v2");
	CHECK(strstr(a.headers.data, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"));
	answer_free(&a);
	CHECK_TEXT(&srv, "GET", "/apis", NULL, 200, "kind", "APIGroupList");
	CHECK_TEXT(&srv, "GET", "/api", NULL, 200, "kind", "APIVersions");
	CHECK_TEXT(&srv, "GET", "/apis/networking.istio.io", NULL, 200, "preferredVersion.version", "v1");
	CHECK_TEXT(&srv, "GET", "/apis/networking.istio.io/v1beta1", NULL, 200, "groupVersion",
		   "networking.istio.io/v1beta1");
	CHECK_TEXT(&srv, "GET", "/version", NULL, 200, "major", "1");
}

TEST(namespaces_come_with_content_and_end_with_it)
{
	struct answer a;

	CHECK_STATUS(&srv, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"team\"}}", 201);
	CHECK_TEXT(&srv, "GET", "/api/v1/namespaces/team", NULL, 200, "status.phase", "Active");
	for (int i = 0;
	     i < 100 && status_of(&srv, "GET", "/api/v1/namespaces/team/serviceaccounts/default", NULL) != 200; i++)
		usleep(10000);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/team/serviceaccounts/default", NULL, 200);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/team/configmaps/kube-root-ca.crt", NULL, 200);
	a = call(&srv, "GET", "/api/v1/namespaces/team", NULL);
	CHECK_STR(json_string_value(
			  json_object_get(mesh_js_at(a.body, "metadata.labels"), "kubernetes.io/metadata.name")),
		  "team");
	answer_free(&a);
	CHECK_STATUS(&srv, "POST", "/api/v1/namespaces/team/configmaps",
		     "{\"metadata\":{\"name\":\"held\",\"finalizers\":[\"example.com/hold\"]}}", 201);
	CHECK_TEXT(&srv, "DELETE", "/api/v1/namespaces/team", NULL, 200, "status.phase", "Terminating");
	CHECK_TEXT(&srv, "POST", "/api/v1/namespaces/team/configmaps", "{\"metadata\":{\"name\":\"late\"}}", 403,
		   "reason", "Forbidden");
	usleep(50000);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/team/serviceaccounts/default", NULL, 404);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/team", NULL, 200);
	a = request_send(&srv, &(struct request){.method = "PATCH",
						 .path = "/api/v1/namespaces/team/configmaps/held",
						 .type = "application/merge-patch+json",
						 .body = "{\"metadata\":{\"finalizers\":null}}"});
	CHECK_INT(a.status, 200);
	answer_free(&a);
	for (int i = 0; i < 100 && status_of(&srv, "GET", "/api/v1/namespaces/team", NULL) == 200; i++)
		usleep(10000);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/team", NULL, 404);
}

static char *make_owned(const char *owner, const char *name)
{
	struct answer a = call(&srv, "GET", owner, NULL);
	mesh_auto_free char *extra = mesh_xasprintf(
		",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"o\",\"uid\":\"%s\"}]",
		mesh_js_str(a.body, "metadata.uid"));

	answer_free(&a);
	make_cm(name, extra);
	return mesh_xasprintf(CM "/%s", name);
}

static bool gone_soon(const char *path)
{
	for (int i = 0; i < 100; i++) {
		if (status_of(&srv, "GET", path, NULL) == 404)
			return true;
		usleep(10000);
	}
	return false;
}

TEST(dependents_follow_their_owner)
{
	mesh_auto_free char *a = NULL, *b = NULL, *c = NULL, *d = NULL;

	CHECK_INT(make_cm("owner", ""), 201);
	a = make_owned(CM "/owner", "child");
	b = make_owned(a, "grandchild");
	CHECK_STATUS(&srv, "GET", b, NULL, 200);
	CHECK_STATUS(&srv, "DELETE", CM "/owner", "{\"propagationPolicy\":\"Background\"}", 200);
	CHECK(gone_soon(a) && gone_soon(b));

	CHECK_INT(make_cm("owner", ""), 201);
	c = make_owned(CM "/owner", "orphan");
	CHECK_STATUS(&srv, "DELETE", CM "/owner", "{\"propagationPolicy\":\"Orphan\"}", 200);
	CHECK(gone_soon(CM "/owner"));
	CHECK_TEXT(&srv, "GET", c, NULL, 200, "metadata.name", "orphan");

	CHECK_INT(make_cm("owner", ""), 201);
	d = make_owned(CM "/owner", "first");
	CHECK_STATUS(&srv, "DELETE", CM "/owner", "{\"propagationPolicy\":\"Foreground\"}", 200);
	CHECK(gone_soon(CM "/owner"));
	CHECK_STATUS(&srv, "GET", d, NULL, 404);
	CHECK_TEXT(&srv, "DELETE", c, "{\"propagationPolicy\":\"Sideways\"}", 422, "reason", "Invalid");
}

TEST(finalizers_hold_an_object)
{
	CHECK_INT(make_cm("fin", ",\"finalizers\":[\"example.com/x\"]"), 201);
	CHECK_TEXT(&srv, "DELETE", CM "/fin", NULL, 200, "kind", "ConfigMap");
	CHECK_STATUS(&srv, "GET", CM "/fin", NULL, 200);
	CHECK_STATUS(&srv, "PUT", CM "/fin", "{\"metadata\":{\"name\":\"fin\"}}", 200);
	CHECK_STATUS(&srv, "GET", CM "/fin", NULL, 404);
}

TEST(pods_end_gracefully)
{
	static const char pod[] =
		"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"name\":\"c\","
		"\"image\":\"i\"}]}}";
	struct answer a;

	CHECK_TEXT(&srv, "POST", "/api/v1/namespaces/default/pods", pod, 201, "status.phase", "Pending");
	a = call(&srv, "DELETE", "/api/v1/namespaces/default/pods/p", NULL);
	CHECK_INT(mesh_js_int(a.body, "metadata.deletionGracePeriodSeconds", 0), 30);
	CHECK(mesh_js_text(a.body, "metadata.deletionTimestamp"));
	answer_free(&a);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/default/pods/p", NULL, 200);
	CHECK_STATUS(&srv, "DELETE", "/api/v1/namespaces/default/pods/p", "{\"gracePeriodSeconds\":0}", 200);
	CHECK_STATUS(&srv, "GET", "/api/v1/namespaces/default/pods/p", NULL, 404);
}

TEST(preconditions_of_delete)
{
	CHECK_INT(make_cm("pre", ""), 201);
	CHECK_STATUS(&srv, "DELETE", CM "/pre", "{\"preconditions\":{\"uid\":\"another\"}}", 409);
	CHECK_STATUS(&srv, "DELETE", CM "/pre", "{\"preconditions\":{\"resourceVersion\":\"1\"}}", 409);
	CHECK_STATUS(&srv, "DELETE", CM "/pre", "{}", 200);
}

TEST(collections_are_deleted_by_selector)
{
	CHECK_INT(make_cm("col-1", ",\"labels\":{\"col\":\"a\"}"), 201);
	CHECK_INT(make_cm("col-2", ",\"labels\":{\"col\":\"b\"}"), 201);
	CHECK_STATUS(&srv, "DELETE", CM "?labelSelector=col%3Da", NULL, 200);
	CHECK_STATUS(&srv, "GET", CM "/col-1", NULL, 404);
	CHECK_STATUS(&srv, "GET", CM "/col-2", NULL, 200);
}

#define SVC "/api/v1/namespaces/default/services"

TEST(services_get_addresses)
{
	static const char ports[] = "\"ports\":[{\"port\":80}]";
	mesh_auto_free char *plain = mesh_xasprintf("{\"metadata\":{\"name\":\"plain\"},\"spec\":{%s}}", ports);
	mesh_auto_free char *none =
		mesh_xasprintf("{\"metadata\":{\"name\":\"none\"},\"spec\":{\"clusterIP\":\"None\",%s}}", ports);
	mesh_auto_free char *taken =
		mesh_xasprintf("{\"metadata\":{\"name\":\"taken\"},\"spec\":{\"clusterIP\":\"10.96.0.1\",%s}}", ports);
	mesh_auto_free char *outside =
		mesh_xasprintf("{\"metadata\":{\"name\":\"outside\"},\"spec\":{\"clusterIP\":\"10.1.0.1\",%s}}", ports);
	mesh_auto_free char *balanced =
		mesh_xasprintf("{\"metadata\":{\"name\":\"balanced\"},\"spec\":{\"type\":\"LoadBalancer\",%s}}", ports);
	struct answer a = call(&srv, "POST", SVC, plain);
	mesh_auto_free char *ip = mesh_xstrdup(mesh_js_str(a.body, "spec.clusterIP"));

	CHECK_INT(strncmp(ip, "10.96.", 6), 0);
	CHECK_STR(mesh_js_str(a.body, "spec.type"), "ClusterIP");
	answer_free(&a);
	CHECK_TEXT(&srv, "POST", SVC, none, 201, "spec.clusterIP", "None");
	CHECK_STATUS(&srv, "POST", SVC, taken, 422);
	CHECK_STATUS(&srv, "POST", SVC, outside, 422);
	a = call(&srv, "POST", SVC, balanced);
	CHECK(mesh_js_int(json_array_get(mesh_js_at(a.body, "spec.ports"), 0), "nodePort", 0) >= 30000);
	answer_free(&a);
	/* An update that leaves the address out keeps it. */
	CHECK_TEXT(&srv, "PUT", SVC "/plain", plain, 200, "spec.clusterIP", ip);
	CHECK_TEXT(&srv, "GET", SVC "/kubernetes", NULL, 200, "spec.clusterIP", "10.96.0.1");
}

TEST(scale_subresource)
{
	static const char deploy[] =
		"{\"apiVersion\":\"apps/"
		"v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\"},\"spec\":{\"replicas\":2,\"selector\":"
		"{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{"
		"\"containers\":[{\"name\":"
		"\"c\",\"image\":\"i\"}]}}}}";
	struct answer a;

	CHECK_STATUS(&srv, "POST", "/apis/apps/v1/namespaces/default/deployments", deploy, 201);
	CHECK_TEXT(&srv, "GET", "/apis/apps/v1/namespaces/default/deployments/d/scale", NULL, 200, "status.selector",
		   "a=b");
	a = request_send(&srv, &(struct request){.method = "PATCH",
						 .path = "/apis/apps/v1/namespaces/default/deployments/d/scale",
						 .type = "application/merge-patch+json",
						 .body = "{\"spec\":{\"replicas\":5}}"});
	CHECK_INT(mesh_js_int(a.body, "spec.replicas", 0), 5);
	answer_free(&a);
	a = call(&srv, "GET", "/apis/apps/v1/namespaces/default/deployments/d", NULL);
	CHECK_INT(mesh_js_int(a.body, "spec.replicas", 0), 5);
	CHECK_INT(mesh_js_int(a.body, "metadata.generation", 0), 2);
	answer_free(&a);
}

TEST(projects_are_namespaces)
{
	CHECK_TEXT(&srv, "POST", "/apis/project.openshift.io/v1/projectrequests",
		   "{\"metadata\":{\"name\":\"coolapp\"},\"displayName\":\"Cool\"}", 201, "kind", "Project");
	CHECK_STATUS(&srv, "POST", "/apis/project.openshift.io/v1/projectrequests",
		     "{\"metadata\":{\"name\":\"coolapp\"}}", 409);
	CHECK_TEXT(&srv, "GET", "/apis/project.openshift.io/v1/projects/coolapp", NULL, 200, "apiVersion",
		   "project.openshift.io/v1");
	CHECK_TEXT(&srv, "GET", "/api/v1/namespaces/coolapp", NULL, 200, "kind", "Namespace");
}

TEST(tokens_and_roles)
{
	static const char sub[] = "/api/v1/namespaces/default/serviceaccounts/robot/token";
	struct answer a;
	struct request r = {.path = CM};
	mesh_auto_free char *token = NULL, *wrong = NULL;

	CHECK_STATUS(&srv, "POST", "/api/v1/namespaces/default/serviceaccounts", "{\"metadata\":{\"name\":\"robot\"}}",
		     201);
	a = call(&srv, "POST", sub, "{\"spec\":{\"expirationSeconds\":3600}}");
	CHECK_INT(a.status, 201);
	token = mesh_xstrdup(mesh_js_str(a.body, "status.token"));
	answer_free(&a);
	r.token = token;
	a = request_send(&srv, &r);
	CHECK_INT(a.status, 403);
	CHECK_STR(mesh_js_str(a.body, "message"),
		  "configmaps is forbidden: User \"system:serviceaccount:default:robot\" cannot list resource "
		  "\"configmaps\" in API "
		  "group \"\" in the namespace \"default\"");
	answer_free(&a);
	CHECK_STATUS(&srv, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
		     "{\"metadata\":{\"name\":\"rb\"},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":"
		     "\"ClusterRole\","
		     "\"name\":\"view\"},\"subjects\":[{\"kind\":\"ServiceAccount\",\"name\":\"robot\",\"namespace\":"
		     "\"default\"}]}",
		     201);
	a = request_send(&srv, &r);
	CHECK_INT(a.status, 200);
	answer_free(&a);
	r.method = "DELETE";
	a = request_send(&srv, &r);
	CHECK_INT(a.status, 403);
	answer_free(&a);
	wrong = mesh_xstrdup(token);
	wrong[strlen(wrong) - 2] ^= 1;
	r.token = wrong;
	a = request_send(&srv, &r);
	CHECK_INT(a.status, 401);
	answer_free(&a);
	/* A token ends with its account. */
	CHECK_STATUS(&srv, "DELETE", "/api/v1/namespaces/default/serviceaccounts/robot", NULL, 200);
	r.token = token;
	a = request_send(&srv, &r);
	CHECK_INT(a.status, 401);
	answer_free(&a);
	a = request_send(&srv, &(struct request){.path = CM, .anonymous = true});
	CHECK_INT(a.status, 403);
	answer_free(&a);
}

TEST(access_reviews)
{
	struct answer a = call(&srv, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
			       "{\"spec\":{\"resourceAttributes\":{\"verb\":\"delete\",\"resource\":\"pods\"}}}");

	CHECK_INT(a.status, 201);
	CHECK(json_is_true(mesh_js_at(a.body, "status.allowed")));
	answer_free(&a);
}

TEST(definitions_make_kinds)
{
	static const char crd[] = "{\"metadata\":{\"name\":\"widgets.example.com\"},\"spec\":{\"group\":\"example."
				  "com\",\"scope\":\"Namespaced\",\"names\":{"
				  "\"plural\":\"widgets\",\"singular\":\"widget\",\"kind\":\"Widget\"},\"versions\":[{"
				  "\"name\":\"v1\",\"served\":true,"
				  "\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"x-"
				  "kubernetes-preserve-unknown-fields\":true}}}]}}";

	CHECK_STATUS(&srv, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd, 201);
	CHECK_STATUS(&srv, "POST", "/apis/example.com/v1/namespaces/default/widgets",
		     "{\"apiVersion\":\"example.com/"
		     "v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\"},\"spec\":{\"size\":0.1}}",
		     201);
	CHECK_TEXT(&srv, "GET", "/apis/example.com/v1/namespaces/default/widgets/w", NULL, 200, "kind", "Widget");
	CHECK_STATUS(&srv, "DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com",
		     NULL, 200);
	CHECK_STATUS(&srv, "GET", "/apis/example.com/v1/namespaces/default/widgets/w", NULL, 404);
}

TEST(large_bodies_are_refused)
{
	size_t n = (3 << 20) + 100;
	mesh_auto_free char *big = mesh_xmalloc(n + 1);

	memset(big, ' ', n);
	big[n] = '\0';
	CHECK_STATUS(&srv, "POST", CM, big, 413);
}

TEST(state_survives_a_restart)
{
	struct answer before = call(&srv, "GET", CM "/sel-1", NULL), after;

	server_kill(&srv, SIGTERM);
	server_start(&srv);
	after = call(&srv, "GET", CM "/sel-1", NULL);
	CHECK_INT(after.status, 200);
	CHECK_STR(after.text.data, before.text.data);
	answer_free(&before);
	answer_free(&after);
}

TEST(server_ends)
{
	CHECK_INT(server_kill(&srv, SIGTERM), 0);
	server_end(&srv);
}

TEST_MAIN()
