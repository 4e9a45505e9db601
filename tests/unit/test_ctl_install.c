/* SPDX-License-Identifier: Apache-2.0 */
/* Installing: the manifests that are part of meshctl, --set, versions, what a change is, why a pod does not run. */
#include "test.h"

#include "core/mem.h"
#include "ctl/apply.h"
#include "ctl/install.h"
#include "ctl/manifest.h"
#include "ctl/rollout.h"

static json_t *load(const char *text)
{
	json_t *v = json_loads(text, 0, NULL);

	if (!v)
		abort();
	return v;
}

static json_t *at(const json_t *obj, const char *path)
{
	struct mesh_slice rest = mesh_slice_str(path), part;

	while (obj && mesh_slice_split(&rest, '/', &part)) {
		mesh_auto_free char *name = mesh_xstrndup(part.ptr, part.len);

		obj = json_is_array(obj) ? json_array_get(obj, (size_t)atoi(name)) : json_object_get(obj, name);
	}
	return (json_t *)obj;
}

static bool has_text(const json_t *list, const char *text)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v) if (json_is_string(v) && strcmp(json_string_value(v), text) == 0) return true;
	return false;
}

/* Loads the manifests with one setting; NULL with *error (caller frees) if that is refused. */
static json_t *with(const char *image, const char *setting, char **error)
{
	struct mesh_texts set = {0};
	struct mesh_errs errs = {0};
	json_t *objects = NULL;

	if (setting)
		mesh_vec_push(&set.list, setting);
	if (mesh_manifest_load(image, &set, &objects, &errs) < 0 && error) {
		mesh_auto(mesh_buf_free) struct mesh_buf text = {0};

		mesh_err_format(&errs.list.items[0], &text);
		*error = mesh_buf_steal(&text);
	}
	mesh_errs_free(&errs);
	mesh_vec_free(&set.list);
	return objects;
}

static const char container[] = "spec/template/spec/containers/0";

static json_t *in_container(const json_t *objects, const char *kind, const char *path)
{
	mesh_auto_free char *whole = mesh_xasprintf("%s/%s", container, path);

	return at(mesh_manifest_find(objects, kind, NULL), whole);
}

TEST(manifests_are_whole)
{
	static const char *const kinds[] = {"Namespace",  "CustomResourceDefinition",       "ClusterRole", "DaemonSet",
					    "Deployment", "ValidatingWebhookConfiguration", "ConfigMap",   "Service"};
	json_t *objects = with(NULL, NULL, NULL), *obj;
	size_t i;

	CHECK(objects);
	for (i = 0; i < MESH_ARRAY_SIZE(kinds); i++)
		CHECK(mesh_manifest_find(objects, kinds[i], NULL));
	json_array_foreach(objects, i, obj)
	{
		CHECK_STR(mesh_label_of(obj, MESH_LABEL_NAME), "sockmesh");
		CHECK_STR(mesh_label_of(obj, "app.kubernetes.io/managed-by"), "meshctl");
	}
	CHECK(mesh_annotation_of(mesh_manifest_find(objects, "DaemonSet", "sockmesh-agent"), MESH_ANNOTATION_ABI)[0]);
	CHECK(!mesh_manifest_find(objects, "DaemonSet", "other"));
	json_decref(objects);
}

TEST(image_everywhere)
{
	json_t *objects = with("registry.example/mesh:7", NULL, NULL);
	mesh_auto_free char *text = NULL;
	json_t *env, *one;
	size_t i;
	bool passed_on = false;

	CHECK(objects);
	CHECK_STR(json_string_value(in_container(objects, "DaemonSet", "image")), "registry.example/mesh:7");
	CHECK_STR(json_string_value(in_container(objects, "Deployment", "image")), "registry.example/mesh:7");
	env = in_container(objects, "Deployment", "env");
	json_array_foreach(env, i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));
		const char *value = json_string_value(json_object_get(one, "value"));

		passed_on |= name && value && strcmp(name, "SOCKMESH_IMAGE") == 0 &&
			     strcmp(value, "registry.example/mesh:7") == 0;
	}
	CHECK(passed_on);
	text = json_dumps(objects, 0);
	CHECK(!strstr(text, MESH_DEFAULT_IMAGE));
	json_decref(objects);
}

TEST(settings_change_what_they_say)
{
	json_t *o = with(NULL, "agent.resources.requests.cpu=25m", NULL);

	CHECK_STR(json_string_value(in_container(o, "DaemonSet", "resources/requests/cpu")), "25m");
	CHECK(strcmp(json_string_value(in_container(o, "Deployment", "resources/requests/cpu")), "25m") != 0);
	json_decref(o);
	o = with(NULL, "control.resources.limits.memory=1Gi", NULL);
	CHECK_STR(json_string_value(in_container(o, "Deployment", "resources/limits/memory")), "1Gi");
	json_decref(o);
	o = with(NULL, "control.replicas=3", NULL);
	CHECK_INT(json_integer_value(at(mesh_manifest_find(o, "Deployment", NULL), "spec/replicas")), 3);
	json_decref(o);
	o = with(NULL, "agent.workers=2", NULL);
	CHECK(has_text(in_container(o, "DaemonSet", "args"), "--workers=2"));
	json_decref(o);
	o = with(NULL, "agent.logLevel=debug", NULL);
	CHECK(has_text(in_container(o, "DaemonSet", "args"), "--log-level=debug"));
	CHECK(!has_text(in_container(o, "DaemonSet", "args"), "--log-level=$(LOG_LEVEL)"));
	json_decref(o);
	o = with(NULL, "logLevel=warn", NULL);
	CHECK_STR(json_string_value(at(mesh_manifest_find(o, "ConfigMap", NULL), "data/logLevel")), "warn");
	json_decref(o);
	o = with(NULL, "xdp=eth0,mode=generic", NULL);
	CHECK_STR(json_string_value(at(mesh_manifest_find(o, "ConfigMap", NULL), "data/xdp")), "eth0,mode=generic");
	json_decref(o);
	o = with(NULL, "uplink=eth0", NULL);
	CHECK_STR(json_string_value(at(mesh_manifest_find(o, "ConfigMap", NULL), "data/uplink")), "eth0");
	json_decref(o);
	o = with(NULL, "apiServer.port=6443", NULL);
	CHECK_STR(json_string_value(at(mesh_manifest_find(o, "ConfigMap", NULL), "data/apiServerPort")), "6443");
	json_decref(o);
	o = with(NULL, "agent.nodeSelector.disk/kind=fast", NULL);
	CHECK_STR(
		json_string_value(json_object_get(
			at(mesh_manifest_find(o, "DaemonSet", NULL), "spec/template/spec/nodeSelector"), "disk/kind")),
		"fast");
	json_decref(o);
	o = with(NULL, "image.pullPolicy=Never", NULL);
	CHECK_STR(json_string_value(in_container(o, "Deployment", "imagePullPolicy")), "Never");
	json_decref(o);
	o = with(NULL, "image.pullSecret=reg", NULL);
	CHECK_STR(json_string_value(
			  at(mesh_manifest_find(o, "DaemonSet", NULL), "spec/template/spec/imagePullSecrets/0/name")),
		  "reg");
	json_decref(o);
	o = with(NULL, "webhook.failurePolicy=Ignore", NULL);
	CHECK_STR(json_string_value(at(mesh_manifest_find(o, "ValidatingWebhookConfiguration", NULL),
				       "webhooks/0/failurePolicy")),
		  "Ignore");
	json_decref(o);
}

TEST(setting_cni)
{
	json_t *o = with(NULL, "cni.enabled=false", NULL);
	char *text = json_dumps(mesh_manifest_find(o, "DaemonSet", NULL), 0);

	CHECK(!strstr(text, "--cni-"));
	CHECK(!strstr(text, "cni/bin"));
	CHECK(!strstr(text, "cni/net.d"));
	CHECK(!strstr(text, "\"cni-"));
	free(text);
	json_decref(o);
	o = with(NULL, "cni.binDir=/usr/libexec/cni", NULL);
	text = json_dumps(mesh_manifest_find(o, "DaemonSet", NULL), 0);
	CHECK(strstr(text, "\"path\": \"/usr/libexec/cni\""));
	CHECK(!strstr(text, "\"path\": \"/opt/cni/bin\""));
	CHECK(strstr(text, "\"mountPath\": \"/host/opt/cni/bin\""));
	free(text);
	json_decref(o);
	o = with(NULL, "cni.policy=plain", NULL);
	CHECK_STR(json_string_value(at(mesh_manifest_find(o, "ConfigMap", NULL), "data/cniPolicy")), "plain");
	json_decref(o);
	o = with(NULL, "drain=end", NULL);
	CHECK_STR(json_string_value(at(mesh_manifest_find(o, "ConfigMap", NULL), "data/drain")), "end");
	json_decref(o);
	o = with(NULL, "onStop=detach", NULL);
	CHECK_STR(json_string_value(at(mesh_manifest_find(o, "ConfigMap", NULL), "data/onStop")), "detach");
	json_decref(o);
	/* The kubelet waits longer than the agent. */
	o = with(NULL, "upgrade.drainTime=300", NULL);
	CHECK_STR(json_string_value(at(mesh_manifest_find(o, "ConfigMap", NULL), "data/drainTime")), "300");
	CHECK_INT(json_integer_value(at(mesh_manifest_find(o, "DaemonSet", NULL),
					"spec/template/spec/terminationGracePeriodSeconds")),
		  310);
	json_decref(o);
}

TEST(settings_refused)
{
	static const struct {
		const char *setting, *error;
	} rows[] = {
		{"agent.resource.requests.cpu=1", "--set agent.resource.requests.cpu: no setting is named so (did you "
						  "mean agent.resources.requests.cpu?)"},
		{"zzz=1", "--set zzz: no setting is named so (meshctl install --help lists them)"},
		{"logLevel", "--set logLevel: must be KEY=VALUE"},
		{"logLevel=loud", "--set logLevel: \"loud\" must be one of error|warn|info|debug"},
		{"onStop=leave", "--set onStop: \"leave\" must be one of keep|detach"},
		{"control.replicas=many", "--set control.replicas: \"many\" must be a whole number from 0 to 1000"},
		{"control.replicas=", "--set control.replicas: \"\" must be a whole number from 0 to 1000"},
		{"agent.resources.limits.memory=1 G",
		 "--set agent.resources.limits.memory: \"1 G\" must be a quantity such as 100m or 64Mi"},
		{"agent.resources.limits.memory=G",
		 "--set agent.resources.limits.memory: \"G\" must be a quantity such as 100m or 64Mi"},
		{"agent.resources.limits.memory=1.2.3",
		 "--set agent.resources.limits.memory: \"1.2.3\" must be a quantity such as 100m or 64Mi"},
		{"apiServer.port=0", "--set apiServer.port: \"0\" must be a port, 1 to 65535"},
		{"apiServer.host=", "--set apiServer.host: \"\" must not be empty"},
		{"cluster=A/b", "--set cluster: \"A/b\" must be a name of lower-case letters, digits and '-'"},
		{"uplink=eth0,eth1", "--set uplink: \"eth0,eth1\" must be the name of a network device"},
		{"xdp=", "--set xdp: \"\" must begin with the name of a network device"},
		{"xdp=eth0,mode=fast", "--set xdp: \"eth0,mode=fast\" must have mode=native or mode=generic"},
		{"cni.enabled=yes", "--set cni.enabled: \"yes\" must be true or false"},
		{"cni.binDir=opt", "--set cni.binDir: \"opt\" must be an absolute path"},
		{"agent.nodeSelector.=x",
		 "--set agent.nodeSelector.: no setting is named so (meshctl install --help lists them)"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		mesh_auto_free char *error = NULL;

		CHECK(!with(NULL, rows[i].setting, &error));
		CHECK_STR(error, rows[i].error);
	}
}

TEST(settings_are_remembered_and_restart_pods)
{
	json_t *o = with("x:1", "logLevel=warn", NULL), *plain = with(NULL, NULL, NULL);
	const json_t *config = mesh_manifest_find(o, "ConfigMap", NULL);
	const char *a = json_string_value(
		json_object_get(at(mesh_manifest_find(o, "DaemonSet", NULL), "spec/template/metadata/annotations"),
				"sockmesh.io/config"));
	const char *b = json_string_value(
		json_object_get(at(mesh_manifest_find(plain, "DaemonSet", NULL), "spec/template/metadata/annotations"),
				"sockmesh.io/config"));

	CHECK_STR(mesh_annotation_of(config, MESH_ANNOTATION_SAID), "{\"image\":\"x:1\",\"set\":[\"logLevel=warn\"]}");
	CHECK(a && b && strcmp(a, b) != 0);
	json_decref(o);
	json_decref(plain);
}

/* What a template says for where its ConfigMap is an older one: every variable that is from there, and what is not set.
 */
TEST(template_has_its_settings)
{
	json_t *o = with(NULL, "onStop=detach", NULL), *plain = with(NULL, NULL, NULL);
	const json_t *set = mesh_manifest_find(o, "DaemonSet", NULL);
	const json_t *data = json_object_get(mesh_manifest_find(o, "ConfigMap", NULL), "data");
	const json_t *before = json_object_get(mesh_manifest_find(plain, "ConfigMap", NULL), "data");
	json_t *said = json_loads(json_string_value(json_object_get(at(set, "spec/template/metadata/annotations"),
								    "sockmesh.io/settings")),
				  0, NULL);
	const char *revision = json_string_value(json_object_get(data, "revision"));

	CHECK_STR(json_string_value(json_object_get(said, "SOCKMESH_REVISION")), revision);
	CHECK(strcmp(revision, json_string_value(json_object_get(before, "revision"))) != 0);
	CHECK_STR(json_string_value(json_object_get(said, "SOCKMESH_ON_STOP")), "detach");
	CHECK_STR(json_string_value(json_object_get(said, "LOG_LEVEL")), "info");
	CHECK(json_is_null(json_object_get(said, "SOCKMESH_XDP")));
	json_decref(said);
	json_decref(o);
	json_decref(plain);
}

TEST(settings_help_names_each)
{
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};

	mesh_settings_help(&out);
	CHECK(strstr(out.data, "  logLevel=error|warn|info|debug"));
	CHECK(strstr(out.data, "  agent.nodeSelector.LABEL=TEXT"));
}

TEST(versions)
{
	static const struct {
		const char *a, *b;
		int order;
		bool known;
	} rows[] = {
		{"1.2.0", "1.10.0", -1, true},
		{"v2.0.0", "1.9.9", 1, true},
		{"1.2.3", "v1.2.3", 0, true},
		{"1.2.3-4-gabc", "1.2.3", 1, true},
		{"1.2.3-4-gabc", "1.2.3-11-gdef", -1, true},
		{"1.2.3-rc1", "1.2.3", 0, true},
		{"abc123", "abc123", 0, true},
		{"abc123", "def456", 0, false},
		{"1.2.3", "", 0, false},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		bool known;

		CHECK_INT(mesh_version_compare(rows[i].a, rows[i].b, &known), rows[i].order);
		CHECK_INT(known, rows[i].known);
	}
}

TEST(steps_by_kind)
{
	CHECK_STR(mesh_install_step_of("Namespace")->title, "namespaces");
	CHECK_STR(mesh_install_step_of("CustomResourceDefinition")->title, "resource definitions");
	CHECK_STR(mesh_install_step_of("RoleBinding")->title, "accounts and permissions");
	CHECK_STR(mesh_install_step_of("Service")->title, "configuration");
	CHECK_STR(mesh_install_step_of("Role")->title, "accounts and permissions");
	CHECK_STR(mesh_install_step_of("Deploy")->title, "configuration");
}

TEST(foreign_objects)
{
	json_t *ours = load("{\"metadata\":{\"labels\":{\"app.kubernetes.io/name\":\"sockmesh\"}}}");
	json_t *theirs = load("{\"metadata\":{\"labels\":{\"chart\":\"istio\"}}}"), *bare = load("{\"metadata\":{}}");

	CHECK(!mesh_is_foreign(ours));
	CHECK(mesh_is_foreign(theirs));
	CHECK(mesh_is_foreign(bare));
	json_decref(ours);
	json_decref(theirs);
	json_decref(bare);
}

TEST(changes_explained)
{
	json_t *live = load("{\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"1\"}},\"spec\":{\"n\":1,\"gone\":true,"
			    "\"list\":[{\"name\":\"c\",\"image\":\"i:1\"},{\"name\":\"d\"}],\"words\":[\"a\"]}}");
	json_t *patch =
		load("{\"metadata\":{\"labels\":{\"y\":\"2\"},\"annotations\":{\"kubectl.kubernetes.io/"
		     "last-applied-configuration\":\"{}\"}},\"spec\":{\"n\":2,\"gone\":null,"
		     "\"list\":[{\"name\":\"c\",\"image\":\"i:2\"},{\"name\":\"d\"}],\"words\":[\"a\",\"b\"]}}");
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};

	mesh_apply_explain(&out, live, patch, 2);
	CHECK_STR(out.data,
		  "  metadata.labels.y: (none) -> \"2\"\n"
		  "  metadata.annotations: (none) -> {\"kubectl.kubernetes.io/last-applied-configuration\":\"{}\"}\n"
		  "  spec.n: 1 -> 2\n"
		  "  spec.gone: true -> (none)\n"
		  "  spec.list[c].image: \"i:1\" -> \"i:2\"\n"
		  "  spec.words: +b\n");
	json_decref(live);
	json_decref(patch);
}

/* What control writes into the webhook's configuration stays there. */
TEST(apply_keeps_what_others_wrote)
{
	json_t *ours =
		load("{\"apiVersion\":\"admissionregistration.k8s.io/v1\",\"metadata\":{\"name\":\"m\"},\"webhooks\":"
		     "[{\"name\":\"v\",\"timeoutSeconds\":5,\"clientConfig\":{\"service\":{\"name\":\"s\"}}}]}");
	json_t *live =
		load("{\"apiVersion\":\"admissionregistration.k8s.io/v1\",\"metadata\":{\"name\":\"m\"},\"webhooks\":"
		     "[{\"name\":\"v\",\"timeoutSeconds\":5,\"clientConfig\":{\"caBundle\":\"Q0E=\",\"service\":"
		     "{\"name\":\"s\",\"port\":443}}}]}");
	const struct mesh_schema *schema =
		mesh_apply_schema("admissionregistration.k8s.io", "ValidatingWebhookConfiguration");
	json_t *patch = mesh_apply_patch(schema, ours, live);

	CHECK(schema);
	CHECK(!json_object_get(patch, "webhooks"));
	json_decref(patch);
	CHECK(mesh_apply_schema("apps", "DaemonSet"));
	CHECK(mesh_apply_schema("apps", "Deployment"));
	CHECK(!mesh_apply_schema("example.com", "Thing"));
	json_decref(ours);
	json_decref(live);
}

TEST(pinned_to_the_state_seen)
{
	json_t *live = load("{\"metadata\":{\"resourceVersion\":\"7\"}}"), *patch = load("{\"spec\":{}}");
	json_t *own = load("{\"metadata\":{\"resourceVersion\":\"5\"}}");
	json_t *a = mesh_apply_pinned(patch, live), *b = mesh_apply_pinned(own, live);

	CHECK_STR(json_string_value(at(a, "metadata/resourceVersion")), "7");
	CHECK(!json_object_get(patch, "metadata"));
	CHECK_STR(json_string_value(at(b, "metadata/resourceVersion")), "5");
	json_decref(a);
	json_decref(b);
	json_decref(own);
	json_decref(live);
	json_decref(patch);
}

TEST(trouble_of_pods)
{
	static const struct {
		const char *pod, *trouble;
	} rows[] = {
		{"{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}", NULL},
		{"{\"metadata\":{\"deletionTimestamp\":\"x\"},\"status\":{}}", "it is being deleted"},
		{"{\"status\":{\"phase\":\"Pending\"}}", "its containers have not started"},
		{"{\"status\":{\"phase\":\"Running\",\"containerStatuses\":[{\"state\":{\"running\":{}}}]}}",
		 "it runs, but is not ready"},
		{"{\"status\":{\"containerStatuses\":[{\"state\":{\"waiting\":{\"reason\":\"ErrImageNeverPull\","
		 "\"message\":\"no image\"}}}]}}",
		 "ErrImageNeverPull: no image"},
		{"{\"status\":{\"containerStatuses\":[{\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\","
		 "\"message\":\"back-off\"}},\"lastState\":{\"terminated\":{\"exitCode\":3}}}]}}",
		 "CrashLoopBackOff: it ended with status 3"},
		{"{\"status\":{\"containerStatuses\":[{\"state\":{\"terminated\":{\"reason\":\"OOMKilled\","
		 "\"exitCode\":137}}}]}}",
		 "OOMKilled: it ended with status 137"},
		{"{\"status\":{\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\",\"reason\":"
		 "\"Unschedulable\","
		 "\"message\":\"0/2 nodes\"}]}}",
		 "Unschedulable: 0/2 nodes"},
		{"{\"status\":{\"phase\":\"Failed\",\"reason\":\"Evicted\",\"message\":\"low on memory\"}}",
		 "Evicted: low on memory"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		json_t *pod = load(rows[i].pod);
		mesh_auto_free char *trouble = mesh_pod_trouble(pod);

		json_decref(pod);
		if (!rows[i].trouble)
			CHECK(!trouble);
		else
			CHECK_STR(trouble, rows[i].trouble);
	}
	CHECK(mesh_trouble_remedy("ErrImageNeverPull: no"));
	CHECK(mesh_trouble_remedy("FailedCreate: pods \"x\" is forbidden: violates PodSecurity \"baseline\""));
	CHECK(!mesh_trouble_remedy("something else"));
	CHECK(!mesh_trouble_remedy(NULL));
}

TEST(nodes_and_their_agents)
{
	json_t *ready = load("{\"spec\":{},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
	json_t *cordoned = load("{\"spec\":{\"unschedulable\":true},\"status\":{\"conditions\":[{\"type\":\"Ready\","
				"\"status\":\"True\"}]}}");
	json_t *lost = load("{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"Unknown\"}]}}");
	json_t *pods =
		load("[{\"metadata\":{\"name\":\"old\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\"},\"spec\":{"
		     "\"nodeName\":\"n1\"}},{\"metadata\":{\"name\":\"new\",\"creationTimestamp\":\"2026-01-02T00:"
		     "00:00Z\"},\"spec\":{\"nodeName\":\"n1\"}},{\"metadata\":{\"name\":\"x\"},\"spec\":{}}]");
	const char *why;

	CHECK(mesh_node_schedulable(ready, &why));
	CHECK(!mesh_node_schedulable(cordoned, &why));
	CHECK_STR(why, "the node is cordoned");
	CHECK(mesh_node_ready(cordoned, &why));
	CHECK(!mesh_node_schedulable(lost, &why));
	CHECK_STR(why, "the node is not Ready");
	CHECK_STR(mesh_meta(mesh_pod_on(pods, "n1"), "name"), "new");
	CHECK(!mesh_pod_on(pods, "n2"));
	json_decref(ready);
	json_decref(cordoned);
	json_decref(lost);
	json_decref(pods);
}

TEST(lease_of_this_agent_or_the_one_before)
{
	json_t *lease = load("{\"spec\":{\"renewTime\":\"2026-01-01T00:00:10.500000Z\"}}");
	json_t *older = load("{\"status\":{\"startTime\":\"2026-01-01T00:00:05Z\"}}");
	json_t *newer = load("{\"status\":{\"startTime\":\"2026-01-01T00:00:11Z\"}}");
	time_t then = 1767225610 + 5; /* 2026-01-01T00:00:15Z */

	CHECK(mesh_lease_of_pod(lease, older, then));
	CHECK(!mesh_lease_of_pod(lease, newer, then));
	CHECK(!mesh_lease_of_pod(lease, older, then + 3600));
	CHECK(!mesh_lease_of_pod(NULL, older, then));
	json_decref(lease);
	json_decref(older);
	json_decref(newer);
}

TEST(deployment_ready)
{
	static const struct {
		const char *text;
		bool ready;
	} rows[] = {
		{"{\"metadata\":{\"generation\":2},\"spec\":{\"replicas\":2},\"status\":{\"observedGeneration\":2,"
		 "\"replicas\":2,"
		 "\"updatedReplicas\":2,\"availableReplicas\":2}}",
		 true},
		{"{\"metadata\":{\"generation\":3},\"spec\":{\"replicas\":2},\"status\":{\"observedGeneration\":2,"
		 "\"replicas\":2,"
		 "\"updatedReplicas\":2,\"availableReplicas\":2}}",
		 false},
		{"{\"metadata\":{\"generation\":2},\"spec\":{\"replicas\":2},\"status\":{\"observedGeneration\":2,"
		 "\"replicas\":3,"
		 "\"updatedReplicas\":2,\"availableReplicas\":2}}",
		 false},
		{"{\"metadata\":{\"generation\":2},\"spec\":{\"replicas\":2},\"status\":{\"observedGeneration\":2,"
		 "\"replicas\":2,"
		 "\"updatedReplicas\":1,\"availableReplicas\":2}}",
		 false},
		{"{\"metadata\":{\"generation\":1},\"spec\":{\"replicas\":2}}", false},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		json_t *d = load(rows[i].text);

		CHECK_INT(mesh_deployment_ready(d), rows[i].ready);
		json_decref(d);
	}
}

TEST_MAIN()
