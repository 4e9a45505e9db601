/* SPDX-License-Identifier: Apache-2.0 */
#include "config/document.h"
#include "config/names.h"
#include "test.h"

/* Everything that is said about an object: errors, then unknown fields, then warnings ("warning: ..."). */
static char *said(const char *word, const char *text, const char *old_text)
{
	const struct mesh_kind *kind = mesh_kind_by_word(word);
	json_t *obj = json_loads(text, 0, NULL), *old = old_text ? json_loads(old_text, 0, NULL) : NULL;
	struct mesh_errs errs = {0}, warnings = {0}, unknown = {0};
	struct mesh_buf out = {0};
	int r;

	if (!kind || !obj)
		return mesh_xstrdup(kind ? "(bad JSON in the test)" : "(no such kind)");
	r = mesh_object_check(kind, obj, old, &errs, &warnings, &unknown);
	if ((r < 0) != (errs.list.count > 0))
		mesh_buf_str(&out, "(result and errors differ) ");
	mesh_errs_format(&errs, &out);
	mesh_errs_format(&unknown, &out);
	mesh_vec_each (e, &warnings.list) {
		mesh_buf_str(&out, "warning: ");
		mesh_err_format(e, &out);
		mesh_buf_char(&out, '\n');
	}
	mesh_buf_str(&out, "");
	mesh_errs_free(&errs);
	mesh_errs_free(&warnings);
	mesh_errs_free(&unknown);
	json_decref(obj);
	json_decref(old);
	return mesh_buf_steal(&out);
}

#define CHECK_SAID(word, text, want)                                                                                   \
	do {                                                                                                           \
		mesh_auto_free char *_s = said(word, text, NULL);                                                      \
		CHECK_STR(_s, want);                                                                                   \
	} while (0)
#define CHECK_UPDATE(word, old, text, want)                                                                            \
	do {                                                                                                           \
		mesh_auto_free char *_s = said(word, text, old);                                                       \
		CHECK_STR(_s, want);                                                                                   \
	} while (0)

#define VS(spec) "{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\"},\"spec\":" spec "}"
#define ROUTE    "\"route\":[{\"destination\":{\"host\":\"a\"}}]"

TEST(accepts)
{
	CHECK_SAID("vs", VS("{\"hosts\":[\"a\"],\"http\":[{" ROUTE "}]}"), "");
	CHECK_SAID("vs",
		   VS("{\"hosts\":[\"a\"],\"http\":[{\"match\":[{\"uri\":{\"exact\":\"/"
		      "\"},\"headers\":{\"x\":{\"regex\":\"a+\"}}}],"
		      "\"route\":[{\"destination\":{\"host\":\"a\",\"subset\":\"v1\",\"port\":{\"number\":80}},"
		      "\"weight\":70},"
		      "{\"destination\":{\"host\":\"a\",\"subset\":\"v2\"},\"weight\":30}]}]}"),
		   "");
	CHECK_SAID("dr",
		   VS("{\"host\":\"a\",\"trafficPolicy\":{\"loadBalancer\":{\"simple\":\"RANDOM\"}},"
		      "\"subsets\":[{\"name\":\"v1\",\"labels\":{\"version\":\"v1\"}}]}"),
		   "");
	CHECK_SAID("gw",
		   VS("{\"selector\":{\"istio\":\"ingressgateway\"},\"servers\":[{\"port\":{\"number\":80,\"name\":"
		      "\"http\","
		      "\"protocol\":\"HTTP\"},\"hosts\":[\"*\"]}]}"),
		   "");
	CHECK_SAID("smmr",
		   "{\"metadata\":{\"name\":\"default\",\"namespace\":\"istio-system\"},\"spec\":{\"members\":["
		   "\"coolapp\"]}}",
		   "");
}

TEST(types)
{
	CHECK_SAID("vs", VS("{\"hosts\":\"a\"}"),
		   "spec.hosts: Invalid value: \"string\": spec.hosts in body must be of type array: \"string\"\n");
	CHECK_SAID(
		"vs", VS("{\"hosts\":[1],\"http\":{}}"),
		"spec.hosts[0]: Invalid value: \"integer\": spec.hosts[0] in body must be of type string: \"integer\"\n"
		"spec.http: Invalid value: \"object\": spec.http in body must be of type array: \"object\"\n");
	CHECK_SAID("vs", VS("{\"hosts\":null}"),
		   "spec.hosts: Invalid value: \"null\": spec.hosts in body must be of type array: \"null\"\n");
	CHECK_SAID("vs",
		   VS("{\"hosts\":[\"a\"],\"http\":[{\"route\":[{\"destination\":{\"host\":\"a\"},\"weight\":1.5}]}]}"),
		   "spec.http[0].route[0].weight: Invalid value: \"number\": spec.http[0].route[0].weight in body must "
		   "be of "
		   "type integer: \"number\"\n");
	CHECK_SAID("vs", VS("{\"hosts\":[\"a\"],\"http\":[{\"route\":[{\"destination\":{}}]}]}"),
		   "spec.http[0].route[0].destination.host: Required value\n");
	CHECK_SAID("dr", VS("{\"host\":\"a\",\"trafficPolicy\":{\"loadBalancer\":{\"simple\":\"RANDON\"}}}"),
		   "spec.trafficPolicy.loadBalancer.simple: Unsupported value: \"RANDON\": supported values: "
		   "\"UNSPECIFIED\", \"LEAST_CONN\", \"RANDOM\", \"PASSTHROUGH\", \"ROUND_ROBIN\", \"LEAST_REQUEST\" "
		   "(did you mean \"RANDOM\"?)\n");
	CHECK_SAID("vs",
		   VS("{\"hosts\":[\"a\"],\"http\":[{\"match\":[{\"uri\":{\"exact\":\"a\",\"prefix\":\"b\"}}]," ROUTE
		      "}]}"),
		   "spec.http[0].match[0].uri: only one of exact, prefix, regex may be set\n");
	CHECK_SAID("vs", VS("{\"hosts\":[\"a\"],\"http\":[{\"timeout\":\"5\"," ROUTE "}]}"),
		   "spec.http[0].timeout: \"5\" is not a duration\n");
}

TEST(ranges)
{
	CHECK_SAID("vs",
		   VS("{\"hosts\":[\"a\"],\"http\":[{\"route\":[{\"destination\":{\"host\":\"a\"},\"weight\":-1},"
		      "{\"destination\":{\"host\":\"b\"},\"weight\":101}]}]}"),
		   "spec.http[0].route[0].weight: -1 is out of range 0..2147483647\n");
	CHECK_SAID("vs",
		   VS("{\"hosts\":[\"a\"],\"http\":[{\"route\":[{\"destination\":{\"host\":\"a\",\"port\":{\"number\":"
		      "70000}}}]}]}"),
		   "spec.http[0].route[0].destination.port.number: 70000 is out of range 1..65535\n");
	CHECK_SAID("vs",
		   VS("{\"hosts\":[\"a\"],\"http\":[{\"route\":[{\"destination\":{\"host\":\"a\",\"port\":{\"number\":-"
		      "1}}}]}]}"),
		   "spec.http[0].route[0].destination.port.number: -1 is out of range 0..4294967295\n");
	CHECK_SAID("vs",
		   VS("{\"hosts\":[\"a\"],\"http\":[{\"route\":[{\"destination\":{\"host\":\"a\"},\"weight\":"
		      "3000000000}]}]}"),
		   "spec.http[0].route[0].weight: 3000000000 does not fit 32 bits\n");
}

TEST(unknown_fields)
{
	CHECK_SAID("vs",
		   VS("{\"hosts\":[\"a\"],\"http\":[{\"route\":[{\"destination\":{\"host\":\"a\",\"sub_set\":1},"
		      "\"foo\":1}]}],\"htttp\":[]}"),
		   "spec.http[0].route[0].destination.sub_set: unknown field (did you mean \"subset\"?)\n"
		   "spec.http[0].route[0].foo: unknown field\n"
		   "spec.htttp: unknown field (did you mean \"http\"?)\n");
	CHECK_SAID("cm", "{\"metadata\":{\"name\":\"x\",\"label\":{}},\"dada\":{}}",
		   "metadata.label: unknown field (did you mean \"labels\"?)\n"
		   "dada: unknown field (did you mean \"data\"?)\n");
	/* SMCP: what is below istio is anything. */
	CHECK_SAID("smcp",
		   "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"istio\":{\"global\":{\"mtls\":false,\"a\":{\"b\":1}}}}}",
		   "");
	CHECK_SAID("smcp",
		   "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"istio\":{\"global\":{\"mtls\":{\"enabled\":false}}}}}",
		   "");
	CHECK_SAID("smcp", "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"istio\":{\"global\":{\"mtls\":\"no\"}}}}",
		   "spec.istio.global.mtls: is neither true, false nor {enabled: ...}\n");
	CHECK_SAID("smcp", "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"istio\":{\"global\":{\"mtls\":true}}}}",
		   "warning: spec.istio.global.mtls: accepted, but not supported yet: it has no effect\n");
}

TEST(unsupported_fields)
{
	CHECK_SAID("vs",
		   VS("{\"hosts\":[\"a\"],\"http\":[{\"fault\":{\"abort\":{\"httpStatus\":500}},\"mirror\":{\"host\":"
		      "\"b\"}," ROUTE "}]}"),
		   "warning: spec.http[0].fault: accepted, but not supported yet: it has no effect\n"
		   "warning: spec.http[0].mirror: accepted, but not supported yet: it has no effect\n");
	CHECK_SAID("ap", VS("{\"rules\":[{}]}"), "warning: spec: accepted, but not supported yet: it has no effect\n");
	/* A status says nothing. */
	CHECK_SAID("vs",
		   "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"hosts\":[\"a\"],\"http\":[{" ROUTE "}]},"
		   "\"status\":{\"conditions\":[{\"type\":\"InForce\",\"status\":\"True\"}],\"x\":null}}",
		   "");
}

TEST(virtual_services)
{
	CHECK_SAID("vs", VS("{\"hosts\":[\"a\"]}"), "spec: one of http, tcp, tls must be set\n");
	CHECK_SAID("vs", VS("{\"hosts\":[\"*\"],\"http\":[{" ROUTE "}]}"),
		   "spec.hosts[0]: \"*\" is not allowed for clients in the mesh: name the hosts, or a gateway\n");
	CHECK_SAID("vs", VS("{\"hosts\":[\"a.b\",\"*.b\"],\"http\":[{" ROUTE "}]}"),
		   "spec.hosts: \"a.b\" and \"*.b\" overlap\n");
	CHECK_SAID("vs", VS("{\"hosts\":[\"a\"],\"http\":[{}]}"),
		   "spec.http[0]: one of route, redirect, directResponse, delegate must be set\n");
	CHECK_SAID("vs",
		   VS("{\"hosts\":[\"a\"],\"http\":[{\"route\":[{\"destination\":{\"host\":\"a\"}},{\"destination\":{"
		      "\"host\":\"b\"}}]}]}"),
		   "spec.http[0].route: all weights are 0: nothing can be routed\n");
	CHECK_SAID("vs", VS("{\"hosts\":[\"a\"],\"http\":[{\"route\":[{\"destination\":{\"host\":\"*\"}}]}]}"),
		   "spec.http[0].route[0].destination.host: \"*\" is not a destination: name one host\n");
	CHECK_SAID("vs", VS("{\"hosts\":[\"a\"],\"gateways\":[\"x/y/z\"],\"http\":[{" ROUTE "}]}"),
		   "spec.gateways[0]: \"x/y/z\" is not the name of a gateway (\"NAME\" or \"NAMESPACE/NAME\")\n");
	CHECK_SAID("vs", VS("{\"hosts\":[\"a\"],\"http\":[{\"match\":[{\"uri\":{\"regex\":\"(\"}}]," ROUTE "}]}"),
		   "spec.http[0].match[0].uri.regex: \"(\" is not a regular expression\n");
	CHECK_SAID("vs", VS("{\"hosts\":[\"a\"],\"exportTo\":[\"*\",\"n\"],\"http\":[{" ROUTE "}]}"),
		   "spec.exportTo: \"*\" allows no others beside it\n");
	CHECK_SAID("vs", VS("{\"hosts\":[\"a\"],\"tcp\":[{\"match\":[{\"port\":1}]}]}"),
		   "spec.tcp[0].route: Required value\n");
}

TEST(expressions)
{
	static const char *const good[] = {"a.*",      "(?i)abc",  "(?:a|b)+?",  "\\\\d+",
					   "[^]a-z]+", "(?P<n>x)", "[\\\\w.-]+", "a{2,3}"};
	static const char *const bad[] = {"(", "[a", "a)", "*", "?", "a{2,1}", "(?:a"};
	char text[256], want[256];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text),
			 VS("{\"hosts\":[\"a\"],\"http\":[{\"match\":[{\"uri\":{\"regex\":\"%s\"}}]," ROUTE "}]}"),
			 good[i]);
		CHECK_SAID("vs", text, "");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text),
			 VS("{\"hosts\":[\"a\"],\"http\":[{\"match\":[{\"uri\":{\"regex\":\"%s\"}}]," ROUTE "}]}"),
			 bad[i]);
		snprintf(want, sizeof(want), "spec.http[0].match[0].uri.regex: \"%s\" is not a regular expression\n",
			 bad[i]);
		CHECK_SAID("vs", text, want);
	}
}

TEST(other_kinds)
{
	CHECK_SAID("dr", VS("{\"host\":\"a\",\"trafficPolicy\":{\"loadBalancer\":{\"simple\":\"PASSTHROUGH\"}}}"),
		   "warning: spec.trafficPolicy.loadBalancer.simple: PASSTHROUGH is not supported yet: ROUND_ROBIN is "
		   "used\n");
	CHECK_SAID("gw",
		   VS("{\"selector\":{\"a\":\"b\"},\"servers\":[{\"port\":{\"number\":80,\"name\":\"x\",\"protocol\":"
		      "\"TCP\"},\"hosts\":[\"*\"]}]}"),
		   "warning: spec.servers[0].port.protocol: TCP is not supported yet: this server is not opened\n");
	CHECK_SAID("dr", VS("{\"host\":\"a\",\"subsets\":[{\"name\":\"v1\"},{\"name\":\"v1\"}]}"),
		   "spec.subsets[1].name: \"v1\" is there twice\n");
	CHECK_SAID("dr", VS("{\"host\":\"1.2.3.4\"}"), "spec.host: host \"1.2.3.4\" has an all-numeric top level\n");
	CHECK_SAID("gw", VS("{\"selector\":{\"a\":\"b\"}}"),
		   "spec.servers: Required value: a gateway has at least one server\n");
	CHECK_SAID("gw",
		   VS("{\"selector\":{\"a\":\"b\"},\"servers\":[{\"port\":{\"number\":80,\"name\":\"x\",\"protocol\":"
		      "\"HTTQ\"},\"hosts\":[\"*\"]}]}"),
		   "spec.servers[0].port.protocol: \"HTTQ\" is not a protocol\n");
	CHECK_SAID("smmr", "{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\"},\"spec\":{\"members\":[\"n\",\"A\"]}}",
		   "spec: the ServiceMeshMemberRoll resource must be named \"default\"\n"
		   "spec.members[0]: mesh project/namespace cannot be listed as a member\n"
		   "spec.members[1]: .spec.members contains invalid value 'A'. Must be a valid namespace name.\n");
	CHECK_UPDATE("smm",
		     "{\"metadata\":{\"name\":\"default\"},\"spec\":{\"controlPlaneRef\":{\"name\":\"a\",\"namespace\":"
		     "\"n\"}}}",
		     "{\"metadata\":{\"name\":\"default\"},\"spec\":{\"controlPlaneRef\":{\"name\":\"b\",\"namespace\":"
		     "\"n\"}}}",
		     "spec.controlPlaneRef: mutation of .spec.controlPlaneRef isn't allowed\n");
}

#define LABEL_RULE                                                                                                     \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "    \
	"end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "             \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

TEST(metadata)
{
	CHECK_SAID("ns", "{\"metadata\":{\"name\":\"A_b\"}}",
		   "metadata.name: Invalid value: \"A_b\": " LABEL_RULE "\n");
	CHECK_SAID("cm", "{\"metadata\":{}}", "metadata.name: Required value: name or generateName is required\n");
	CHECK_SAID("cm", "{\"metadata\":{\"generateName\":\"x-\"}}", "");
	CHECK_SAID("cm", "{\"metadata\":{\"name\":\"a.b-c\",\"creationTimestamp\":null}}", "");
	CHECK_SAID("role", "{\"metadata\":{\"name\":\"a/b\"},\"rules\":[]}",
		   "metadata.name: Invalid value: \"a/b\": may not contain '/'\n");
	CHECK_SAID("cm", "{\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":\"b c\"}}}",
		   "metadata.labels: Invalid value: \"b c\": a valid label must be an empty string or consist of "
		   "alphanumeric "
		   "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
		   "'MyValue',  or "
		   "'my_value',  or '12345', regex used for validation is "
		   "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')\n");
}

#define DEPLOYMENT(extra, labels, container)                                                                           \
	"{\"metadata\":{\"name\":\"x\"},\"spec\":{" extra                                                              \
	"\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{"                                                  \
	"\"metadata\":{\"labels\":" labels "},\"spec\":{\"containers\":[" container "]}}}}"
#define CONTAINER "{\"name\":\"c\",\"image\":\"i\"}"

#define SPLICE_SAID "Unsupported value: \"always\": supported values: \"auto\", \"disabled\", \"enabled\"\n"
#define SPLICE_TEMPLATE(word)                                                                                          \
	"{\"metadata\":{\"name\":\"x\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{"         \
	"\"metadata\":{"                                                                                               \
	"\"labels\":{\"a\":\"b\"},\"annotations\":{\"sockmesh.io/splice\":\"" word                                     \
	"\"}},\"spec\":{\"containers\":[{\"name\":"                                                                    \
	"\"c\",\"image\":\"i\"}]}}}}"

TEST(splice_annotation)
{
	CHECK_SAID("ns", "{\"metadata\":{\"name\":\"x\",\"annotations\":{\"sockmesh.io/splice\":\"always\"}}}",
		   "metadata.annotations[sockmesh.io/splice]: " SPLICE_SAID);
	CHECK_SAID("ns", "{\"metadata\":{\"name\":\"x\",\"annotations\":{\"sockmesh.io/splice\":\"enabled\"}}}", "");
	CHECK_SAID("po",
		   "{\"metadata\":{\"name\":\"x\",\"annotations\":{\"sockmesh.io/splice\":\"always\"}},\"spec\":{"
		   "\"containers\":[{\"name\":\"a\",\"image\":\"i\"}]}}",
		   "metadata.annotations[sockmesh.io/splice]: " SPLICE_SAID);
	CHECK_SAID("deploy", SPLICE_TEMPLATE("always"),
		   "spec.template.metadata.annotations[sockmesh.io/splice]: " SPLICE_SAID);
	CHECK_SAID("deploy", SPLICE_TEMPLATE("disabled"), "");
}

TEST(kubernetes)
{
	CHECK_SAID("deploy", DEPLOYMENT("", "{\"a\":\"b\"}", CONTAINER), "");
	CHECK_SAID("deploy", DEPLOYMENT("\"replicas\":-1,", "{\"a\":\"c\"}", CONTAINER),
		   "spec.replicas: Invalid value: -1: must be greater than or equal to 0\n"
		   "spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template "
		   "`labels`\n");
	CHECK_SAID("deploy", DEPLOYMENT("", "{\"a\":\"b\"}", "{\"name\":\"A\",\"ports\":[{\"containerPort\":0}]}"),
		   "spec.template.spec.containers[0].name: Invalid value: \"A\": " LABEL_RULE "\n"
		   "spec.template.spec.containers[0].image: Required value\n"
		   "spec.template.spec.containers[0].ports[0].containerPort: Required value\n");
	CHECK_SAID("deploy",
		   DEPLOYMENT("", "{\"a\":\"b\"}",
			      "{\"name\":\"c\",\"image\":\"i\",\"resources\":{\"limits\":{\"cpu\":\"100m\"},"
			      "\"requests\":{\"cpu\":\"1\"}}}"),
		   "spec.template.spec.containers[0].resources.requests: Invalid value: \"1\": must be less than or "
		   "equal to "
		   "cpu limit of 100m\n");
	CHECK_UPDATE("deploy",
		     "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"z\"}}}}",
		     DEPLOYMENT("", "{\"a\":\"b\"}", CONTAINER),
		     "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: field is immutable\n");
	CHECK_SAID("po", "{\"metadata\":{\"name\":\"x\"},\"spec\":{}}", "spec.containers: Required value\n");
	CHECK_SAID("po",
		   "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"i\","
		   "\"readinessProbe\":{}}]}}",
		   "spec.containers[0].readinessProbe: Required value: must specify a handler type\n");
	CHECK_SAID("svc",
		   "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"ports\":[{\"port\":0},{\"name\":\"a\",\"port\":1}]}}",
		   "spec.ports[0].name: Required value\n"
		   "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive\n"
		   "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive\n");
	CHECK_SAID("svc", "{\"metadata\":{\"name\":\"x\"},\"spec\":{}}", "spec.ports: Required value\n");
	CHECK_SAID("svc", "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"clusterIP\":\"None\"}}", "");
	CHECK_SAID("rolebinding", "{\"metadata\":{\"name\":\"x\"},\"roleRef\":{\"kind\":\"X\",\"name\":\"y\"}}",
		   "roleRef.kind: Unsupported value: \"X\": supported values: \"Role\", \"ClusterRole\"\n");
	CHECK_SAID("lease", "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"leaseDurationSeconds\":0}}",
		   "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0\n");
	CHECK_SAID("endpointslice",
		   "{\"metadata\":{\"name\":\"x\"},\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"x\"]}]}",
		   "endpoints[0].addresses[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or "
		   "2001:db8::ffff)\n");
	CHECK_SAID("secret", "{\"metadata\":{\"name\":\"x\"},\"data\":{\"a\":\"b\"}}", "data.a: not base64\n");
}

static char *undecodable(const char *word, const char *text)
{
	json_t *obj = json_loads(text, 0, NULL);
	struct mesh_buf why = {0};
	int r = mesh_object_decodable(mesh_kind_by_word(word), obj, &why);

	mesh_buf_str(&why, r == 0 ? "(fine)" : "");
	json_decref(obj);
	return mesh_buf_steal(&why);
}

#define CHECK_DECODE(word, text, want)                                                                                 \
	do {                                                                                                           \
		mesh_auto_free char *_s = undecodable(word, text);                                                     \
		CHECK_STR(_s, want);                                                                                   \
	} while (0)

/* What Kubernetes 1.34 said to the same objects. */
TEST(decodable)
{
	CHECK_DECODE("deploy", "{\"spec\":{\"replicas\":\"a\"}}",
		     "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32");
	CHECK_DECODE(
		"deploy", "{\"spec\":{\"replicas\":1.5}}",
		"json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32");
	CHECK_DECODE("deploy", "{\"spec\":{\"replicas\":99999999999}}",
		     "json: cannot unmarshal number 99999999999 into Go struct field DeploymentSpec.spec.replicas of "
		     "type int32");
	CHECK_DECODE("deploy", "{\"spec\":{\"selector\":[]}}",
		     "json: cannot unmarshal array into Go struct field DeploymentSpec.spec.selector of type "
		     "v1.LabelSelector");
	CHECK_DECODE("deploy", "{\"spec\":{\"template\":{\"spec\":{\"containers\":{}}}}}",
		     "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type "
		     "[]v1.Container");
	CHECK_DECODE("deploy", "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"image\":true}]}}}}",
		     "json: cannot unmarshal bool into Go struct field Container.spec.template.spec.containers.image "
		     "of type string");
	CHECK_DECODE("deploy",
		     "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"image\":true,\"resources\":{\"limits\":{"
		     "\"cpu\":\"1x\"}}}]}}}}",
		     "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
	CHECK_DECODE("cm", "{\"data\":{\"a\":1}}",
		     "json: cannot unmarshal number into Go struct field ConfigMap.data of type string");
	CHECK_DECODE("secret", "{\"data\":{\"a\":\"c\"}}", "illegal base64 data at input byte 0");
	CHECK_DECODE("cm", "{\"data\":null,\"metadata\":{\"labels\":{\"a\":\"b\"}}}", "(fine)");
	CHECK_DECODE("vs", "{\"spec\":5}", "(fine)"); /* of a custom resource only metadata is decoded */
}

TEST(prune)
{
	json_t *vs =
		json_loads("{\"apiVersion\":\"a\",\"metadata\":{\"name\":\"x\",\"foo\":1,\"creationTimestamp\":null},"
			   "\"spec\":{\"hosts\":[\"a\"],\"bar\":1,\"http\":[{\"baz\":1,\"name\":\"n\"}]},\"qux\":1}",
			   0, NULL);
	mesh_auto_free char *s = NULL;

	mesh_object_prune(mesh_kind_by_word("vs"), vs);
	s = json_dumps(vs, JSON_COMPACT);
	CHECK_STR(s, "{\"apiVersion\":\"a\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"hosts\":[\"a\"],\"http\":[{"
		     "\"name\":\"n\"}]}}");
	json_decref(vs);
}

TEST(names)
{
	CHECK(mesh_name_is_label(MESH_SLICE("a-1")));
	CHECK(!mesh_name_is_label(MESH_SLICE("-a")));
	CHECK(!mesh_name_is_label(MESH_SLICE("")));
	CHECK(mesh_name_is_subdomain(MESH_SLICE("a.b-c.1")));
	CHECK(!mesh_name_is_subdomain(MESH_SLICE("a..b")));
	CHECK(!mesh_name_is_subdomain(MESH_SLICE("a.")));
	CHECK(mesh_name_is_label_key(MESH_SLICE("a.b/C_d")));
	CHECK(!mesh_name_is_label_key(MESH_SLICE("/a")));
	CHECK(mesh_name_is_label_value(MESH_SLICE("")));
	CHECK(!mesh_name_is_label_value(MESH_SLICE("a b")));
}

TEST(finds_kinds)
{
	CHECK(mesh_kind_by_word("VirtualService") == mesh_kind_by_plural("networking.istio.io", "virtualservices"));
	CHECK(mesh_kind_by_word("vs.networking.istio.io") ==
	      mesh_kind_by_word("virtualservices.v1beta1.networking.istio.io"));
	CHECK_STR(mesh_kind_by_word("po")->kind, "Pod");
	CHECK_STR(mesh_kind_by_word("events")->group, "");
	CHECK_STR(mesh_kind_by_word("events.events.k8s.io")->group, "events.k8s.io");
	CHECK(!mesh_kind_by_word("vs.example.com"));
	CHECK(!mesh_kind_by_word("nothing"));
	CHECK(mesh_kind_by_name("maistra.io", "ServiceMeshMemberRoll"));
	CHECK(mesh_kind_serves(mesh_kind_by_word("vs"), "v1alpha3"));
	CHECK(!mesh_kind_serves(mesh_kind_by_word("vs"), "v2"));
}

/* What every row must hold to. */
TEST(rows_are_sound)
{
	size_t count;
	const struct mesh_kind *const *kinds = mesh_kinds(&count);

	CHECK(count >= 37);
	for (size_t i = 0; i < count; i++) {
		const struct mesh_kind *k = kinds[i];

		CHECK(k->kind && k->plural && k->singular && k->schema && k->columns && k->help && k->versions[0]);
		CHECK(mesh_kind_serves(k, k->storage_version));
		CHECK(mesh_kind_by_plural(k->group, k->plural) == k);
		for (const struct mesh_column *c = k->columns; c->name; c++) {
			CHECK(c->cell || c->json_path);
			CHECK(!(k->flags & MESH_KIND_CRD) || c->json_path);
		}
	}
}

TEST_MAIN()
