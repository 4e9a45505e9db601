/* SPDX-License-Identifier: Apache-2.0 */
#include "config/columns.h"
#include "config/document.h"
#include "test.h"

#include <time.h>

/* The cells of one object as text, joined with "|"; wide: all columns. */
static char *row_of(const char *word, const char *text, bool wide)
{
	const struct mesh_kind *kind = mesh_kind_by_word(word);
	json_t *obj = json_loads(text, 0, NULL), *items = json_pack("[o]", obj), *cells, *defs, *table, *v;
	struct mesh_buf out = {0};
	size_t i;

	table = mesh_table(kind, items, "None", true);
	cells = json_object_get(json_array_get(json_object_get(table, "rows"), 0), "cells");
	defs = json_object_get(table, "columnDefinitions");
	if (json_array_size(cells) != json_array_size(defs))
		mesh_buf_str(&out, "(columns and cells differ) ");
	json_array_foreach(cells, i, v)
	{
		if (!wide && json_integer_value(json_object_get(json_array_get(defs, i), "priority")))
			continue;
		if (out.len)
			mesh_buf_char(&out, '|');
		if (json_is_string(v))
			mesh_buf_str(&out, json_string_value(v));
		else if (json_is_integer(v))
			mesh_buf_printf(&out, "#%" JSON_INTEGER_FORMAT, json_integer_value(v));
	}
	mesh_buf_str(&out, "");
	json_decref(table);
	json_decref(items);
	return mesh_buf_steal(&out);
}

#define CHECK_ROW(word, text, wide, want)                                                                              \
	do {                                                                                                           \
		mesh_auto_free char *_s = row_of(word, text, wide);                                                    \
		CHECK_STR(_s, want);                                                                                   \
	} while (0)

static void time_text(time_t t, char *out)
{
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

TEST(durations)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {{0, "0s"},           {119, "119s"},     {120, "2m"},      {125, "2m5s"},    {599, "9m59s"},
		     {600, "10m"},        {10799, "179m"},   {10800, "3h"},    {11000, "3h3m"},  {28800, "8h"},
		     {172799, "47h"},     {172800, "2d"},    {180000, "2d2h"}, {691200, "8d"},   {63072000, "2y"},
		     {64000000, "2y10d"}, {252288000, "8y"}, {-1, "0s"},       {-5, "<invalid>"}};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(cases); i++) {
		struct mesh_buf b = {0};

		mesh_duration_text(cases[i].seconds, &b);
		CHECK_STR(b.data, cases[i].text);
		mesh_buf_free(&b);
	}
}

TEST(since)
{
	struct mesh_buf b = {0};
	char text[32];

	time_text(time(NULL) - 3700, text);
	mesh_since_text(text, &b);
	CHECK_STR(b.data, "61m");
	mesh_buf_clear(&b);
	mesh_since_text(NULL, &b);
	CHECK_STR(b.data, "<unknown>");
	mesh_buf_clear(&b);
	mesh_since_text("yesterday", &b);
	CHECK_STR(b.data, "<invalid>");
	mesh_buf_free(&b);
}

#define POD(status)                                                                                                    \
	"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"a\"}]},\"status\":{" status "}}"
#define ONE(state) "\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"a\"," state "}]"

TEST(pods)
{
	CHECK_ROW("po", POD("\"phase\":\"Pending\""), false, "p|0/1|Pending|0|<unknown>");
	CHECK_ROW("po", POD(ONE("\"ready\":true,\"restartCount\":0,\"state\":{\"running\":{}}")), false,
		  "p|1/1|Running|0|<unknown>");
	CHECK_ROW("po",
		  POD(ONE("\"ready\":false,\"restartCount\":3,\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}"
			  "}")),
		  false, "p|0/1|CrashLoopBackOff|3|<unknown>");
	CHECK_ROW("po", POD(ONE("\"restartCount\":0,\"state\":{\"terminated\":{\"exitCode\":1,\"reason\":\"Error\"}}")),
		  false, "p|0/1|Error|0|<unknown>");
	CHECK_ROW("po", POD(ONE("\"restartCount\":0,\"state\":{\"terminated\":{\"exitCode\":3}}")), false,
		  "p|0/1|ExitCode:3|0|<unknown>");
	CHECK_ROW("po", POD(ONE("\"restartCount\":0,\"state\":{\"terminated\":{\"exitCode\":137,\"signal\":9}}")),
		  false, "p|0/1|Signal:9|0|<unknown>");
	CHECK_ROW("po", POD("\"phase\":\"Failed\",\"reason\":\"Evicted\""), false, "p|0/1|Evicted|0|<unknown>");
	CHECK_ROW("po",
		  "{\"metadata\":{\"name\":\"p\",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"},\"spec\":{"
		  "\"containers\":[{}]},"
		  "\"status\":{\"phase\":\"Running\"}}",
		  false, "p|0/1|Terminating|0|<unknown>");
	CHECK_ROW("po",
		  "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"nodeName\":\"n1\",\"containers\":[{}],\"initContainers\":"
		  "[{\"name\":\"i\"},{}]},"
		  "\"status\":{\"phase\":\"Pending\",\"podIP\":\"10.0.0.1\",\"initContainerStatuses\":[{\"name\":\"i\","
		  "\"state\":{\"running\":{}}}]}}",
		  true, "p|0/1|Init:0/2|0|<unknown>|10.0.0.1|n1|<none>|<none>");
}

TEST(pod_restarts)
{
	char status[512], when[32], text[64];

	time_text(time(NULL) - 300, when);
	snprintf(status, sizeof(status),
		 POD(ONE("\"ready\":true,\"restartCount\":1,\"state\":{\"running\":{}},\"lastState\":{\"terminated\":{"
			 "\"finishedAt\":\"%s\"}}")),
		 when);
	snprintf(text, sizeof(text), "p|1/1|Running|1 (5m ago)|<unknown>");
	CHECK_ROW("po", status, false, text);
}

TEST(workloads)
{
	CHECK_ROW("deploy",
		  "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"replicas\":2,\"selector\":{\"matchLabels\":{\"b\":\"2\","
		  "\"a\":\"1\"}},"
		  "\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"},{\"name\":\"e\","
		  "\"image\":\"j\"}]}}},"
		  "\"status\":{\"readyReplicas\":1,\"updatedReplicas\":2,\"availableReplicas\":1}}",
		  true, "d|1/2|#2|#1|<unknown>|c,e|i:1,j|a=1,b=2");
	CHECK_ROW("rs",
		  "{\"metadata\":{\"name\":\"r\"},\"spec\":{\"replicas\":3,\"selector\":{\"matchExpressions\":[{"
		  "\"key\":\"a\","
		  "\"operator\":\"In\",\"values\":[\"x\",\"y\"]},{\"key\":\"b\",\"operator\":\"DoesNotExist\"}]}},"
		  "\"status\":{\"replicas\":2}}",
		  true, "r|#3|#2|#0|<unknown>|||a in (x,y),!b");
}

TEST(services)
{
	CHECK_ROW("svc",
		  "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"10.0.0.1\","
		  "\"selector\":{\"a\":\"b\"},"
		  "\"ports\":[{\"port\":80,\"protocol\":\"TCP\"},{\"port\":53,\"protocol\":\"UDP\",\"nodePort\":30053}]"
		  "}}",
		  true, "s|ClusterIP|10.0.0.1|<none>|80/TCP,53:30053/UDP|<unknown>|a=b");
	CHECK_ROW("svc",
		  "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"type\":\"LoadBalancer\",\"clusterIP\":\"10.0.0.1\"}}",
		  false, "s|LoadBalancer|10.0.0.1|<pending>|<none>|<unknown>");
	CHECK_ROW("svc",
		  "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"type\":\"LoadBalancer\",\"clusterIP\":\"10.0.0.1\"},"
		  "\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"1.2.3.4\"}]}}}",
		  false, "s|LoadBalancer|10.0.0.1|1.2.3.4|<none>|<unknown>");
	CHECK_ROW("svc",
		  "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"x.y\"}}",
		  false, "s|ExternalName|<none>|x.y|<none>|<unknown>");
	CHECK_ROW("ep",
		  "{\"metadata\":{\"name\":\"e\"},\"subsets\":[{\"addresses\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"fd00::"
		  "1\"}],"
		  "\"ports\":[{\"port\":80},{\"port\":81}]}]}",
		  false, "e|10.0.0.1:80,10.0.0.1:81,[fd00::1]:80 + 1 more...|<unknown>");
	CHECK_ROW("ep", "{\"metadata\":{\"name\":\"e\"}}", false, "e|<none>|<unknown>");
	CHECK_ROW("endpointslices",
		  "{\"metadata\":{\"name\":\"e\"},\"addressType\":\"IPv4\",\"ports\":[{\"port\":80}],\"endpoints\":[{"
		  "\"addresses\":[\"10.0.0.1\"]}]}",
		  false, "e|IPv4|80|10.0.0.1|<unknown>");
	CHECK_ROW("endpointslices", "{\"metadata\":{\"name\":\"e\"},\"addressType\":\"IPv4\"}", false,
		  "e|IPv4|<unset>|<unset>|<unknown>");
}

TEST(the_rest)
{
	CHECK_ROW("ns", "{\"metadata\":{\"name\":\"n\"},\"status\":{\"phase\":\"Active\"}}", false,
		  "n|Active|<unknown>");
	CHECK_ROW("no",
		  "{\"metadata\":{\"name\":\"n\",\"labels\":{\"node-role.kubernetes.io/"
		  "worker\":\"\"}},\"spec\":{\"unschedulable\":true},"
		  "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}],\"nodeInfo\":{"
		  "\"kubeletVersion\":\"v1\"},"
		  "\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"10.0.0.1\"}]}}",
		  true, "n|Ready,SchedulingDisabled|worker|<unknown>|v1|10.0.0.1|<none>|<unknown>|<unknown>|<unknown>");
	CHECK_ROW("cm", "{\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"1\"},\"binaryData\":{\"b\":\"\"}}", false,
		  "c|#2|<unknown>");
	CHECK_ROW("secret", "{\"metadata\":{\"name\":\"c\"},\"type\":\"Opaque\"}", false, "c|Opaque|#0|<unknown>");
	CHECK_ROW("sa", "{\"metadata\":{\"name\":\"c\"}}", false, "c|#0|<unknown>");
	CHECK_ROW("lease", "{\"metadata\":{\"name\":\"l\"},\"spec\":{\"holderIdentity\":\"me\"}}", false,
		  "l|me|<unknown>");
	CHECK_ROW(
		"rolebinding",
		"{\"metadata\":{\"name\":\"b\"},\"roleRef\":{\"kind\":\"ClusterRole\",\"name\":\"edit\"},\"subjects\":["
		"{\"kind\":\"User\",\"name\":\"u\"},{\"kind\":\"ServiceAccount\",\"name\":\"s\",\"namespace\":\"n\"},"
		"{\"kind\":\"User\",\"name\":\"v\"}]}",
		true, "b|ClusterRole/edit|<unknown>|u, v||n/s");
	CHECK_ROW("crd", "{\"metadata\":{\"name\":\"x\",\"creationTimestamp\":\"2026-01-02T03:04:05Z\"}}", false,
		  "x|2026-01-02T03:04:05Z");
	CHECK_ROW("ev",
		  "{\"metadata\":{\"name\":\"e\"},\"type\":\"Normal\",\"reason\":\"Started\",\"message\":\" hi "
		  "\\n\",\"involvedObject\":{"
		  "\"kind\":\"Pod\",\"name\":\"p\",\"fieldPath\":\"f\"},\"source\":{\"component\":\"kubelet\",\"host\":"
		  "\"n\"},\"count\":2}",
		  true, "<unknown>|Normal|Started|pod/p|f|kubelet, n|hi|<unknown>|#2|e");
}

TEST(custom_resources)
{
	CHECK_ROW("vs", "{\"metadata\":{\"name\":\"v\"},\"spec\":{\"gateways\":[\"g\"],\"hosts\":[\"a\",\"*.b\"]}}",
		  false, "v|[\"g\"]|[\"a\",\"*.b\"]|");
	CHECK_ROW("dr", "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"host\":\"a\"}}", false, "d|a|");
	CHECK_ROW("gw", "{\"metadata\":{\"name\":\"g\"}}", false, "g|");
	CHECK_ROW(
		"smmr",
		"{\"metadata\":{\"name\":\"default\"},\"status\":{\"annotations\":{\"configuredMemberCount\":\"1/"
		"1\"},\"members\":[\"coolapp\"],"
		"\"conditions\":[{\"type\":\"X\",\"reason\":\"No\"},{\"type\":\"Ready\",\"reason\":\"Configured\"}]}}",
		true, "default|1/1|Configured||[\"coolapp\"]");
	CHECK_ROW("smcp",
		  "{\"metadata\":{\"name\":\"m\"},\"status\":{\"annotations\":{\"readyComponentCount\":\"2/2\"},"
		  "\"conditions\":[{\"type\":\"Reconciled\",\"reason\":\"InstallSuccessful\"}]}}",
		  false, "m|2/2|InstallSuccessful|||");
	CHECK_ROW("routes",
		  "{\"metadata\":{\"name\":\"r\"},\"spec\":{\"host\":\"h\",\"to\":{\"name\":\"s\"},\"port\":{"
		  "\"targetPort\":8080}}}",
		  false, "r|h||s|#8080||");
}

/* No cell may trip over an object of the wrong shape. */
TEST(odd_objects)
{
	static const char *const odd[] = {
		"{}", "{\"metadata\":1,\"spec\":[],\"status\":\"x\"}",
		"{\"metadata\":{\"labels\":[],\"creationTimestamp\":5},\"spec\":{\"containers\":{},\"ports\":[1],"
		"\"selector\":{"
		"\"matchExpressions\":[{}]},\"template\":{\"spec\":{\"containers\":[null]}},\"externalIPs\":[1]},"
		"\"status\":{"
		"\"containerStatuses\":[null,{\"state\":[]}],\"initContainerStatuses\":[1],\"conditions\":[null],"
		"\"podIPs\":[{}],"
		"\"loadBalancer\":{\"ingress\":[{}]},\"addresses\":[1]},\"subsets\":[{\"addresses\":[{}]},1],"
		"\"endpoints\":[{\"addresses\":[1]}],"
		"\"subjects\":[{}],\"roleRef\":[],\"message\":5,\"involvedObject\":[],\"series\":1}"};
	size_t count;
	const struct mesh_kind *const *kinds = mesh_kinds(&count);

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < MESH_ARRAY_SIZE(odd); j++) {
			json_t *items = json_pack("[o]", json_loads(odd[j], 0, NULL));
			json_t *table = mesh_table(kinds[i], items, "Object", true);

			CHECK_INT(json_array_size(json_object_get(table, "rows")), 1);
			json_decref(table);
			json_decref(items);
		}
}

TEST(table_object)
{
	json_t *items = json_loads("[{\"metadata\":{\"name\":\"x\"},\"data\":{}}]", 0, NULL), *table, *row;

	table = mesh_table(mesh_kind_by_word("cm"), items, "Metadata", false);
	row = json_array_get(json_object_get(table, "rows"), 0);
	CHECK_STR(json_string_value(json_object_get(json_object_get(row, "object"), "kind")), "PartialObjectMetadata");
	CHECK(json_is_null(json_object_get(table, "columnDefinitions")));
	json_decref(table);
	table = mesh_table(mesh_kind_by_word("cm"), items, "None", true);
	CHECK(!json_object_get(json_array_get(json_object_get(table, "rows"), 0), "object"));
	json_decref(table);
	json_decref(items);
}

TEST_MAIN()
