/* SPDX-License-Identifier: Apache-2.0 */
#include "config/document.h"
#include "test.h"

static char *filled(const char *word, const char *text)
{
	const struct mesh_kind *kind = mesh_kind_by_word(word);
	json_t *obj = json_loads(text, 0, NULL);
	char *s;

	if (kind->fill)
		kind->fill(kind, obj, NULL);
	s = json_dumps(obj, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(obj);
	return s;
}

#define CHECK_FILLED(word, text, want)                                                                                 \
	do {                                                                                                           \
		mesh_auto_free char *_s = filled(word, text);                                                          \
		CHECK_STR(_s, want);                                                                                   \
	} while (0)

/* As Kubernetes 1.34 answers. */
TEST(deployments)
{
	CHECK_FILLED("deploy",
		     "{\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{"
		     "\"a\":\"b\"}},\"spec\":{"
		     "\"containers\":[{\"name\":\"a\",\"image\":\"b\"}]}}}}",
		     "{\"spec\":{\"progressDeadlineSeconds\":600,\"replicas\":1,\"revisionHistoryLimit\":10,"
		     "\"selector\":{\"matchLabels\":{"
		     "\"a\":\"b\"}},\"strategy\":{\"rollingUpdate\":{\"maxSurge\":\"25%\",\"maxUnavailable\":\"25%\"},"
		     "\"type\":"
		     "\"RollingUpdate\"},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{"
		     "\"containers\":[{\"image\":\"b\","
		     "\"imagePullPolicy\":\"Always\",\"name\":\"a\",\"resources\":{},\"terminationMessagePath\":\"/dev/"
		     "termination-log\","
		     "\"terminationMessagePolicy\":\"File\"}],\"dnsPolicy\":\"ClusterFirst\",\"restartPolicy\":"
		     "\"Always\",\"schedulerName\":"
		     "\"default-scheduler\",\"securityContext\":{},\"terminationGracePeriodSeconds\":30}}}}");
	CHECK_FILLED("deploy", "{\"spec\":{\"replicas\":0,\"strategy\":{\"type\":\"Recreate\"}}}",
		     "{\"spec\":{\"progressDeadlineSeconds\":600,\"replicas\":0,\"revisionHistoryLimit\":10,"
		     "\"strategy\":{\"type\":"
		     "\"Recreate\"}}}");
}

TEST(pods)
{
	CHECK_FILLED(
		"po",
		"{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"x/"
		"y:1.2\",\"ports\":[{\"containerPort\":80}],\"readinessProbe\":{"
		"\"httpGet\":{\"port\":80}},\"env\":[{\"name\":\"P\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":"
		"\"metadata.name\"}}}],"
		"\"resources\":{\"limits\":{\"cpu\":\"1\"}}}]}}",
		"{\"spec\":{\"containers\":[{\"env\":[{\"name\":\"P\",\"valueFrom\":{\"fieldRef\":{\"apiVersion\":"
		"\"v1\",\"fieldPath\":"
		"\"metadata.name\"}}}],\"image\":\"x/"
		"y:1.2\",\"imagePullPolicy\":\"IfNotPresent\",\"name\":\"a\",\"ports\":[{"
		"\"containerPort\":80,\"protocol\":\"TCP\"}],\"readinessProbe\":{\"failureThreshold\":3,\"httpGet\":{"
		"\"path\":\"/\","
		"\"port\":80,\"scheme\":\"HTTP\"},\"periodSeconds\":10,\"successThreshold\":1,\"timeoutSeconds\":1},"
		"\"resources\":{"
		"\"limits\":{\"cpu\":\"1\"},\"requests\":{\"cpu\":\"1\"}},\"terminationMessagePath\":\"/dev/"
		"termination-log\","
		"\"terminationMessagePolicy\":\"File\"}],\"dnsPolicy\":\"ClusterFirst\",\"enableServiceLinks\":true,"
		"\"preemptionPolicy\":"
		"\"PreemptLowerPriority\",\"priority\":0,\"restartPolicy\":\"Always\",\"schedulerName\":\"default-"
		"scheduler\","
		"\"securityContext\":{},\"serviceAccount\":\"default\",\"serviceAccountName\":\"default\","
		"\"terminationGracePeriodSeconds\":30},\"status\":{\"phase\":\"Pending\",\"qosClass\":\"Burstable\"}}");
}

TEST(services)
{
	CHECK_FILLED("svc",
		     "{\"spec\":{\"ports\":[{\"port\":80},{\"port\":81,\"targetPort\":\"x\",\"protocol\":\"UDP\"}]}}",
		     "{\"spec\":{\"internalTrafficPolicy\":\"Cluster\",\"ports\":[{\"port\":80,\"protocol\":\"TCP\","
		     "\"targetPort\":80},{"
		     "\"port\":81,\"protocol\":\"UDP\",\"targetPort\":\"x\"}],\"sessionAffinity\":\"None\",\"type\":"
		     "\"ClusterIP\"},"
		     "\"status\":{\"loadBalancer\":{}}}");
	CHECK_FILLED(
		"svc", "{\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"x\"}}",
		"{\"spec\":{\"externalName\":\"x\",\"sessionAffinity\":\"None\",\"type\":\"ExternalName\"},\"status\":{"
		"\"loadBalancer\":{}}}");
}

TEST(the_rest)
{
	CHECK_FILLED("ns", "{\"metadata\":{\"name\":\"x\"}}",
		     "{\"metadata\":{\"labels\":{\"kubernetes.io/"
		     "metadata.name\":\"x\"},\"name\":\"x\"},\"spec\":{\"finalizers\":["
		     "\"kubernetes\"]},\"status\":{\"phase\":\"Active\"}}");
	CHECK_FILLED("secret", "{\"stringData\":{\"a\":\"hello\",\"b\":\"\"}}",
		     "{\"data\":{\"a\":\"aGVsbG8=\",\"b\":\"\"},\"type\":\"Opaque\"}");
	CHECK_FILLED(
		"rolebinding",
		"{\"roleRef\":{\"kind\":\"Role\",\"name\":\"x\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"u\"},{"
		"\"kind\":\"ServiceAccount\",\"name\":\"s\"}]}",
		"{\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"x\"},"
		"\"subjects\":[{\"apiGroup\":"
		"\"rbac.authorization.k8s.io\",\"kind\":\"User\",\"name\":\"u\"},{\"kind\":\"ServiceAccount\",\"name\":"
		"\"s\"}]}");
	CHECK_FILLED("endpointslice", "{\"addressType\":\"IPv4\",\"ports\":[{\"port\":80}]}",
		     "{\"addressType\":\"IPv4\",\"endpoints\":[],\"ports\":[{\"name\":\"\",\"port\":80,\"protocol\":"
		     "\"TCP\"}]}");
	CHECK_FILLED(
		"routes", "{\"spec\":{\"to\":{\"name\":\"s\"}}}",
		"{\"spec\":{\"to\":{\"kind\":\"Service\",\"name\":\"s\",\"weight\":100},\"wildcardPolicy\":\"None\"}}");
}

/* Shapes that no schema allows do not trip it. */
TEST(odd_objects)
{
	static const char *const odd[] = {
		"{}", "{\"spec\":5,\"metadata\":[],\"status\":1}",
		"{\"spec\":{\"containers\":[1,null],\"template\":[],\"ports\":[1],\"strategy\":5,\"volumes\":[null],"
		"\"names\":{\"kind\":\"K\"},\"to\":1},\"subsets\":[1],\"ports\":[null],\"stringData\":{\"a\":1},"
		"\"roleRef\":1,\"subjects\":[1]}"};
	size_t count;
	const struct mesh_kind *const *kinds = mesh_kinds(&count);

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; kinds[i]->fill && j < MESH_ARRAY_SIZE(odd); j++) {
			json_t *obj = json_loads(odd[j], 0, NULL);

			kinds[i]->fill(kinds[i], obj, NULL);
			CHECK(json_is_object(obj));
			json_decref(obj);
		}
}

TEST_MAIN()
