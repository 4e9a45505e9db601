/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "config/condition.h"
#include "control/reconcile.h"
#include "mesh_api.h"

#include <time.h>

struct world {
	struct api api;
	struct mesh_cache *cache;
	struct mesh_control_force *force;
	struct mesh_control_opts opts;
	struct mesh_timer round;
	int rounds;
	/* What is waited for. */
	const char *path, *want;
	json_t *seen;
};

static void on_round(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct world *w = mesh_container_of(timer, struct world, round);

	(void)loop;
	w->rounds++;
	mesh_control_namespaces(w->cache);
	mesh_control_planes(w->cache, &w->opts);
	mesh_control_members(w->cache, w->force);
	mesh_control_in_force(w->force, w->cache);
	mesh_control_leases(w->cache);
}

static void on_changed(void *arg)
{
	struct world *w = arg;

	mesh_timer_set(w->api.loop, &w->round, 0);
}

static bool world_new(struct world *w)
{
	*w = (struct world){.round.fn = on_round, .opts = {.image = "img", .route_host = "127.0.0.9"}};
	w->force = mesh_control_force_new();
	return api_new(&w->api) && mesh_cache_new(&w->cache, w->api.loop, w->api.kube, on_changed, w) == 0;
}

static void world_free(struct world *w)
{
	json_decref(w->seen);
	mesh_cache_free(w->cache);
	mesh_control_force_free(w->force);
	if (w->api.loop)
		mesh_timer_remove(w->api.loop, &w->round);
	api_free(&w->api);
}

#define WORLD mesh_auto(world_free) struct world w

/* Whether the object at path covers want (JSON), or is absent (want NULL). */
static bool looks(void *arg)
{
	struct world *w = arg;
	struct mesh_errs errs = {0};
	json_t *want = w->want ? json_loads(w->want, 0, NULL) : NULL;
	int status;
	bool ok;

	json_decref(w->seen);
	w->seen = NULL;
	status = mesh_kube_call(w->api.kube, "GET", w->path, NULL, NULL, &w->seen, &errs);
	mesh_errs_free(&errs);
	ok = want ? mesh_json_covers(w->seen, want) : status == 404;
	json_decref(want);
	return ok;
}

static bool comes(struct world *w, const char *path, const char *want)
{
	char *text;

	w->path = path;
	w->want = want;
	if (api_until(&w->api, looks, w))
		return true;
	text = json_dumps(w->seen, JSON_SORT_KEYS);
	printf("  %s is\n    %s\n  and does not have\n    %s\n", path, text, want ? want : "(absent)");
	free(text);
	return false;
}

/* Lets the rounds run dry. Returns how many objects' resourceVersions moved meanwhile: none should. */
static bool settles(struct world *w)
{
	int before;

	for (int i = 0; i < 10; i++)
		mesh_loop_once(w->api.loop, 20);
	before = w->rounds;
	for (int i = 0; i < 10; i++)
		mesh_loop_once(w->api.loop, 20);
	return w->rounds == before;
}

#define MAISTRA "/apis/maistra.io/v1/namespaces/istio-system/"
#define DEPLOY  "/apis/apps/v1/namespaces/istio-system/deployments/"

static int make_plane(struct world *w, const char *gateways)
{
	mesh_auto_free char *body = mesh_xasprintf(
		"{\"apiVersion\": \"maistra.io/v1\", \"kind\": \"ServiceMeshControlPlane\", \"metadata\": {\"name\": "
		"\"m\"}, \"spec\": {\"istio\": {\"kiali\": {}, \"global\": {\"mtls\": false}, \"gateways\": {%s}}}}",
		gateways);

	return api_do(&w->api, "POST", MAISTRA "servicemeshcontrolplanes", body);
}

static int make_namespace(struct world *w, const char *name)
{
	mesh_auto_free char *body = mesh_xasprintf(
		"{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"%s\"}}", name);

	return api_do(&w->api, "POST", "/api/v1/namespaces", body);
}

static bool started(struct world *w)
{
	return comes(w, "/api/v1/namespaces/istio-system", "{\"status\": {\"phase\": \"Active\"}}");
}

TEST(a_control_plane_gets_its_gateways)
{
	WORLD;

	CHECK(world_new(&w) && started(&w));
	CHECK_INT(make_plane(&w, ""), 201);
	CHECK(comes(&w, DEPLOY "istio-ingressgateway",
		    "{\"metadata\": {\"labels\": {\"app\": \"istio-ingressgateway\"}}, \"spec\": {\"replicas\": 1, "
		    "\"template\": {\"metadata\": {\"labels\": {\"istio\": \"ingressgateway\"}}}}}"));
	CHECK(comes(&w, DEPLOY "istio-egressgateway", "{\"spec\": {\"replicas\": 1}}"));
	CHECK(comes(&w, "/api/v1/namespaces/istio-system/services/istio-ingressgateway",
		    "{\"spec\": {\"type\": \"LoadBalancer\", \"selector\": {\"istio\": \"ingressgateway\"}}}"));
	CHECK(comes(&w, "/apis/route.openshift.io/v1/namespaces/istio-system/routes/istio-ingressgateway",
		    "{\"spec\": {\"host\": \"127.0.0.9\"}}"));
	CHECK(comes(&w, "/api/v1/namespaces/istio-system/serviceaccounts/istio-ingressgateway",
		    "{\"metadata\": {\"name\": \"istio-ingressgateway\"}}"));
	CHECK(comes(&w,
		    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/"
		    "sockmesh-istio-ingressgateway-istio-system",
		    "{\"roleRef\": {\"name\": \"sockmesh-gateway\"}}"));
	CHECK(comes(&w, MAISTRA "servicemeshcontrolplanes/m",
		    "{\"status\": {\"observedGeneration\": 1, \"annotations\": {\"readyComponentCount\": \"0/2\"}}}"));
	CHECK(strstr(json_string_value(json_object_get(mesh_condition_find(w.seen, "Reconciled"), "message")),
		     "without effect in this mesh: spec.istio.kiali"));
	CHECK_STR(json_string_value(json_object_get(mesh_condition_find(w.seen, "Ready"), "status")), "False");
	api_do(&w.api, "PATCH", DEPLOY "istio-ingressgateway/status",
	       "{\"status\": {\"observedGeneration\": 1, \"replicas\": 1, \"readyReplicas\": 1}}");
	api_do(&w.api, "PATCH", DEPLOY "istio-egressgateway/status",
	       "{\"status\": {\"observedGeneration\": 1, \"replicas\": 1, \"readyReplicas\": 1}}");
	CHECK(comes(&w, MAISTRA "servicemeshcontrolplanes/m",
		    "{\"status\": {\"annotations\": {\"readyComponentCount\": \"2/2\"}}}"));
	CHECK_STR(json_string_value(json_object_get(mesh_condition_find(w.seen, "Ready"), "status")), "True");
	CHECK(settles(&w));
}

TEST(what_people_break_is_mended_and_what_they_scale_stays)
{
	WORLD;

	CHECK(world_new(&w) && started(&w));
	make_plane(&w, "\"istio-egressgateway\": {\"enabled\": false}");
	CHECK(comes(&w, DEPLOY "istio-ingressgateway", "{\"spec\": {\"replicas\": 1}}"));
	CHECK_INT(api_do(&w.api, "PATCH", DEPLOY "istio-ingressgateway", "{\"spec\": {\"replicas\": 3}}"), 200);
	CHECK_INT(api_do(&w.api, "DELETE", "/api/v1/namespaces/istio-system/services/istio-ingressgateway", NULL), 200);
	CHECK(comes(&w, "/api/v1/namespaces/istio-system/services/istio-ingressgateway", "{}"));
	CHECK(settles(&w));
	CHECK(comes(&w, DEPLOY "istio-ingressgateway", "{\"spec\": {\"replicas\": 3}}"));
	CHECK(comes(&w, DEPLOY "istio-egressgateway", NULL));
}

TEST(a_second_control_plane_is_refused)
{
	WORLD;

	CHECK(world_new(&w) && started(&w));
	make_plane(&w, "");
	CHECK(comes(&w, DEPLOY "istio-egressgateway", "{}"));
	CHECK_INT(api_do(&w.api, "POST", MAISTRA "servicemeshcontrolplanes",
			 "{\"apiVersion\": \"maistra.io/v1\", \"kind\": \"ServiceMeshControlPlane\", \"metadata\": "
			 "{\"name\": \"z\"}, \"spec\": {\"istio\": {}}}"),
		  201);
	CHECK(comes(&w, MAISTRA "servicemeshcontrolplanes/z", "{\"status\": {\"observedGeneration\": 1}}"));
	CHECK_STR(json_string_value(json_object_get(mesh_condition_find(w.seen, "Reconciled"), "reason")),
		  "MultipleControlPlanes");
	CHECK(settles(&w));
	CHECK(comes(&w, DEPLOY "istio-egressgateway", "{\"metadata\": {\"ownerReferences\": [{\"name\": \"m\"}]}}"));
}

TEST(a_gateway_switched_off_goes)
{
	WORLD;

	CHECK(world_new(&w) && started(&w));
	make_plane(&w, "");
	CHECK(comes(&w, DEPLOY "istio-egressgateway", "{}"));
	CHECK_INT(api_do(&w.api, "PATCH", MAISTRA "servicemeshcontrolplanes/m",
			 "{\"spec\": {\"istio\": {\"gateways\": {\"istio-egressgateway\": {\"enabled\": false}}}}}"),
		  200);
	CHECK(comes(&w, DEPLOY "istio-egressgateway", NULL));
	CHECK(comes(&w, "/api/v1/namespaces/istio-system/services/istio-egressgateway", NULL));
	CHECK(comes(&w, DEPLOY "istio-ingressgateway", "{}"));
}

static int make_roll(struct world *w, const char *members)
{
	mesh_auto_free char *body = mesh_xasprintf(
		"{\"apiVersion\": \"maistra.io/v1\", \"kind\": \"ServiceMeshMemberRoll\", \"metadata\": {\"name\": "
		"\"default\"}, \"spec\": {\"members\": [%s]}}",
		members);

	return api_do(&w->api, "POST", MAISTRA "servicemeshmemberrolls", body);
}

#define ROLL MAISTRA "servicemeshmemberrolls/default"

TEST(a_member_is_pending_until_its_namespace_exists)
{
	WORLD;

	CHECK(world_new(&w) && started(&w));
	make_plane(&w, "");
	CHECK_INT(make_roll(&w, "\"coolapp\""), 201);
	CHECK(comes(&w, ROLL,
		    "{\"status\": {\"observedGeneration\": 1, \"meshGeneration\": 1, \"configuredMembers\": [], "
		    "\"pendingMembers\": [\"coolapp\"], \"annotations\": {\"configuredMemberCount\": \"0/1\"}}}"));
	CHECK_STR(json_string_value(json_object_get(mesh_condition_find(w.seen, "Ready"), "reason")),
		  "NamespaceMissing");
	CHECK_INT(make_namespace(&w, "coolapp"), 201);
	CHECK(comes(&w, ROLL, "{\"status\": {\"configuredMembers\": [\"coolapp\"], \"pendingMembers\": []}}"));
	CHECK_STR(json_string_value(json_object_get(mesh_condition_find(w.seen, "Ready"), "reason")), "Configured");
	CHECK(comes(&w, "/api/v1/namespaces/coolapp",
		    "{\"metadata\": {\"labels\": {\"maistra.io/member-of\": \"istio-system\"}}}"));
	CHECK_INT(api_do(&w.api, "PATCH", ROLL, "{\"spec\": {\"members\": []}}"), 200);
	CHECK(comes(&w, ROLL, "{\"status\": {\"observedGeneration\": 2, \"configuredMembers\": []}}"));
	CHECK(comes(&w, "/api/v1/namespaces/coolapp",
		    "{\"metadata\": {\"labels\": {\"maistra.io/member-of\": null}}}"));
	CHECK(settles(&w));
}

TEST(without_a_control_plane_nobody_is_configured)
{
	WORLD;

	CHECK(world_new(&w) && started(&w));
	CHECK_INT(make_roll(&w, "\"default\""), 201);
	CHECK(comes(&w, ROLL, "{\"status\": {\"observedGeneration\": 1, \"pendingMembers\": [\"default\"]}}"));
	CHECK_STR(json_string_value(json_object_get(mesh_condition_find(w.seen, "Ready"), "reason")), "SMCPMissing");
}

TEST(a_member_object_joins_its_namespace)
{
	WORLD;

	CHECK(world_new(&w) && started(&w));
	make_plane(&w, "");
	make_namespace(&w, "shop");
	CHECK_INT(
		api_do(&w.api, "POST", "/apis/maistra.io/v1/namespaces/shop/servicemeshmembers",
		       "{\"apiVersion\": \"maistra.io/v1\", \"kind\": \"ServiceMeshMember\", \"metadata\": {\"name\": "
		       "\"default\"}, \"spec\": {\"controlPlaneRef\": {\"name\": \"m\", \"namespace\": "
		       "\"istio-system\"}}}"),
		201);
	CHECK(comes(&w, ROLL, "{\"status\": {\"configuredMembers\": [\"shop\"]}}"));
	CHECK(comes(&w, "/apis/maistra.io/v1/namespaces/shop/servicemeshmembers/default",
		    "{\"status\": {\"annotations\": {\"controlPlaneRef\": \"istio-system/m\"}}}"));
	CHECK_INT(api_do(&w.api, "DELETE", "/apis/maistra.io/v1/namespaces/shop/servicemeshmembers/default", NULL),
		  200);
	CHECK(comes(&w, ROLL, "{\"status\": {\"configuredMembers\": []}}"));
}

#define RULES  "/apis/networking.istio.io/v1beta1/namespaces/default/virtualservices"
#define LEASES "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases"

static int make_rule(struct world *w)
{
	return api_do(&w->api, "POST", RULES,
		      "{\"apiVersion\": \"networking.istio.io/v1beta1\", \"kind\": \"VirtualService\", \"metadata\": "
		      "{\"name\": \"r\"}, \"spec\": {\"hosts\": [\"h\"], \"http\": [{\"retries\": {\"attempts\": 2}, "
		      "\"route\": [{\"destination\": {\"host\": \"h\"}}]}]}}");
}

static int report_kind(struct world *w, const char *method, const char *name, const char *kind, const char *version)
{
	char now[32];
	time_t t = time(NULL);
	struct tm tm;
	mesh_auto_free char *body = NULL, *path = NULL;

	gmtime_r(&t, &tm);
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%S.000000Z", &tm);
	body = mesh_xasprintf(
		"{\"apiVersion\": \"coordination.k8s.io/v1\", \"kind\": \"Lease\", \"metadata\": {\"name\": "
		"\"%s\", \"labels\": {\"sockmesh.io/component\": \"agent\"}, \"annotations\": "
		"{\"sockmesh.io/in-force\": \"{\\\"%s\\\": \\\"%s\\\"}\"}}, \"spec\": {\"renewTime\": \"%s\"}}",
		name, kind, version, now);
	path = mesh_xasprintf(LEASES "%s%s", strcmp(method, "POST") ? "/" : "", strcmp(method, "POST") ? name : "");
	return api_do(&w->api, method, path, body);
}

static int report(struct world *w, const char *method, const char *name, const char *version)
{
	return report_kind(w, method, name, "virtualservices.networking.istio.io", version);
}

TEST(a_rule_is_in_force_when_every_agent_has_come_so_far)
{
	WORLD;

	CHECK(world_new(&w) && started(&w));
	CHECK_INT(report(&w, "POST", "sockmesh-agent-1", "1"), 201);
	CHECK_INT(report(&w, "POST", "sockmesh-agent-2", "999999"), 201);
	CHECK_INT(make_rule(&w), 201);
	CHECK(settles(&w));
	CHECK(comes(&w, RULES "/r", "{\"status\": null}"));
	CHECK_INT(report(&w, "PATCH", "sockmesh-agent-1", "999999"), 200);
	CHECK(comes(&w, RULES "/r", "{\"status\": {\"observedGeneration\": 1}}"));
	CHECK_STR(json_string_value(json_object_get(mesh_condition_find(w.seen, "InForce"), "status")), "True");
	CHECK(settles(&w));
}

static int report_roll(struct world *w, const char *method, const char *version)
{
	return report_kind(w, method, "sockmesh-agent-1", "servicemeshmemberrolls.maistra.io", version);
}

TEST(a_roll_is_in_force_when_agents_have_its_members)
{
	mesh_auto_free char *version = NULL;
	WORLD;

	CHECK(world_new(&w) && started(&w));
	make_plane(&w, "");
	CHECK_INT(make_namespace(&w, "shop"), 201);
	CHECK_INT(report_roll(&w, "POST", "1"), 201);
	CHECK_INT(make_roll(&w, "\"shop\""), 201);
	CHECK(comes(&w, ROLL, "{\"status\": {\"configuredMembers\": [\"shop\"]}}"));
	CHECK_STR(json_string_value(json_object_get(mesh_condition_find(w.seen, "InForce"), "reason")), "Pending");
	version = mesh_xstrdup(
		json_string_value(json_object_get(json_object_get(w.seen, "metadata"), "resourceVersion")));
	CHECK(settles(&w));
	CHECK_INT(report_roll(&w, "PATCH", version), 200);
	CHECK(settles(&w));
	CHECK(comes(&w, ROLL, "{\"status\": {\"configuredMembers\": [\"shop\"]}}"));
	CHECK_STR(json_string_value(json_object_get(mesh_condition_find(w.seen, "InForce"), "status")), "True");
	/* Another member: not again before agents have it. */
	CHECK_INT(make_namespace(&w, "more"), 201);
	CHECK_INT(api_do(&w.api, "PATCH", ROLL, "{\"spec\": {\"members\": [\"shop\", \"more\"]}}"), 200);
	CHECK(comes(&w, ROLL, "{\"status\": {\"configuredMembers\": [\"more\", \"shop\"]}}"));
	CHECK(settles(&w));
	CHECK(comes(&w, ROLL, "{\"status\": {\"configuredMembers\": [\"more\", \"shop\"]}}"));
	CHECK_STR(json_string_value(json_object_get(mesh_condition_find(w.seen, "InForce"), "status")), "False");
}

/* The same, and that agent cannot use rule r. */
static int report_unusable(struct world *w, const char *name, const char *list)
{
	mesh_auto_free char *path = mesh_xasprintf(LEASES "/%s", name);
	mesh_auto_free char *body = mesh_xasprintf(
		"{\"metadata\": {\"annotations\": {\"sockmesh.io/in-force\": \"{\\\"virtualservices.networking.istio.io"
		"\\\": \\\"999999\\\", \\\"unusable\\\": [%s]}\"}}}",
		list);

	return api_do(&w->api, "PATCH", path, body);
}

TEST(a_rule_that_an_agent_cannot_use_is_not_in_force)
{
	const json_t *c;
	WORLD;

	CHECK(world_new(&w) && started(&w));
	CHECK_INT(report(&w, "POST", "sockmesh-agent-1", "999999"), 201);
	CHECK_INT(report(&w, "POST", "sockmesh-agent-2", "1"), 201);
	CHECK_INT(make_rule(&w), 201);
	CHECK_INT(report_unusable(&w, "sockmesh-agent-2",
				  "\\\"virtualservices.networking.istio.io default/r\\\", \\\"pods default/r\\\""),
		  200);
	CHECK(comes(&w, RULES "/r", "{\"status\": {\"observedGeneration\": 1}}"));
	c = mesh_condition_find(w.seen, "InForce");
	CHECK_STR(json_string_value(json_object_get(c, "status")), "False");
	CHECK_STR(json_string_value(json_object_get(c, "reason")), "Unusable");
	CHECK_STR(json_string_value(json_object_get(c, "message")),
		  "sockmesh-agent-2 cannot read this object: what was in force before it stays");
	CHECK(settles(&w));
	CHECK_INT(report_unusable(&w, "sockmesh-agent-2", "\\\"virtualservices.networking.istio.io default/other\\\""),
		  200);
	CHECK(comes(&w, RULES "/r", "{\"status\": {\"conditions\": [{}, {\"reason\": \"InForce\"}]}}"));
	CHECK(settles(&w));
}

TEST(what_has_no_effect_is_said_in_status)
{
	const json_t *c;
	WORLD;

	CHECK(world_new(&w) && started(&w));
	CHECK_INT(report(&w, "POST", "sockmesh-agent-1", "999999"), 201);
	CHECK_INT(make_rule(&w), 201);
	CHECK(comes(&w, RULES "/r", "{\"status\": {\"observedGeneration\": 1}}"));
	c = mesh_condition_find(w.seen, "Reconciled");
	CHECK_STR(json_string_value(json_object_get(c, "reason")), "PartlySupported");
	CHECK(strstr(json_string_value(json_object_get(c, "message")), "spec.http[0].retries"));
	CHECK_INT(json_array_size(json_object_get(json_object_get(w.seen, "status"), "validationMessages")), 1);
}

TEST(covers)
{
	static const struct {
		const char *have, *want;
		bool covers;
	} rows[] = {
		{"{\"a\": 1, \"b\": 2}", "{\"a\": 1}", true},
		{"{\"a\": 1}", "{\"a\": 2}", false},
		{"{\"a\": 1}", "{\"b\": 2}", false},
		{"{\"a\": {\"b\": 1, \"c\": 2}}", "{\"a\": {\"c\": 2}}", true},
		{"{\"a\": [{\"b\": 1, \"c\": 2}]}", "{\"a\": [{\"c\": 2}]}", true},
		{"{\"a\": [1, 2]}", "{\"a\": [1]}", false},
		{"{\"a\": 1}", "{\"b\": null}", true},
		{"{\"a\": 1}", "{\"a\": null}", false},
		{"{}", "{\"a\": {}}", false},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		json_t *have = json_loads(rows[i].have, 0, NULL), *want = json_loads(rows[i].want, 0, NULL);
		bool covers = mesh_json_covers(have, want);

		json_decref(have);
		json_decref(want);
		CHECK_INT(covers, rows[i].covers);
	}
}

TEST_MAIN()
