/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds that a CustomResourceDefinition makes: their schemas are kept, in the words of a kube-apiserver. */
#include "store_client.h"

static struct server srv;

#define CRDS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define W    "/apis/example.com/v1/namespaces/default/widgets"

static char *definition(const char *schema)
{
	return mesh_xasprintf(
		"{\"metadata\":{\"name\":\"widgets.example.com\"},\"spec\":{\"group\":\"example.com\",\"scope\":"
		"\"Namespaced\",\"names\":{\"plural\":\"widgets\",\"singular\":\"widget\",\"kind\":\"Widget\","
		"\"listKind\":\"WidgetList\"},\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true,"
		"\"schema\":{\"openAPIV3Schema\":%s}}]}}",
		schema);
}

static const char schema[] =
	"{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"required\":[\"size\"],\"properties\":{"
	"\"size\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10},"
	"\"ratio\":{\"type\":\"number\",\"minimum\":0,\"exclusiveMinimum\":true},"
	"\"color\":{\"type\":\"string\",\"enum\":[\"red\",\"blue\"],\"default\":\"red\"},"
	"\"code\":{\"type\":\"string\",\"pattern\":\"^[a-z]\\\\d+$\",\"minLength\":2,\"maxLength\":4},"
	"\"free\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true},"
	"\"labels\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
	"\"port\":{\"x-kubernetes-int-or-string\":true,\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]},"
	"\"gone\":{\"type\":\"string\",\"nullable\":true},"
	"\"list\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":2,\"items\":{\"type\":\"object\",\"properties\":{"
	"\"a\":{\"type\":\"string\",\"default\":\"x\"}}}}}}}}";

static char *widget(const char *name, const char *spec)
{
	return mesh_xasprintf("{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"%s\"},"
			      "\"spec\":%s}",
			      name, spec);
}

TEST(server_starts)
{
	mesh_auto_free char *crd = definition(schema);

	server_start(&srv);
	CHECK_STATUS(&srv, "POST", CRDS, crd, 201);
}

#define CHECK_REFUSED(spec, text)                                                                                      \
	do {                                                                                                           \
		mesh_auto_free char *_b = widget("w", spec);                                                           \
		CHECK_TEXT(&srv, "POST", W, _b, 422, "message", "Widget.example.com \"w\" is invalid: " text);         \
	} while (0)

TEST(what_a_schema_refuses)
{
	CHECK_REFUSED("{}", "spec.size: Required value");
	CHECK_REFUSED("{\"size\":\"3\"}",
		      "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"");
	CHECK_REFUSED("{\"size\":1.5}",
		      "spec.size: Invalid value: \"number\": spec.size in body must be of type integer: \"number\"");
	CHECK_REFUSED("{\"size\":null}", "spec.size: Required value");
	CHECK_REFUSED("{\"size\":0}",
		      "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1");
	CHECK_REFUSED("{\"size\":11}",
		      "spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10");
	CHECK_REFUSED("{\"size\":1,\"ratio\":0}",
		      "spec.ratio: Invalid value: 0: spec.ratio in body should be greater than 0");
	CHECK_REFUSED("{\"size\":1,\"color\":\"green\"}",
		      "spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\"");
	CHECK_REFUSED("{\"size\":1,\"code\":\"ab1\"}",
		      "spec.code: Invalid value: \"ab1\": spec.code in body should match '^[a-z]\\d+$'");
	CHECK_REFUSED("{\"size\":1,\"code\":\"a1234\"}", "spec.code: Too long: may not be more than 4 bytes");
	CHECK_REFUSED("{\"size\":1,\"list\":[]}",
		      "spec.list: Invalid value: 0: spec.list in body should have at least 1 items");
	CHECK_REFUSED("{\"size\":1,\"list\":[{},{},{}]}", "spec.list: Too many: 3: must have at most 2 items");
	CHECK_REFUSED("{\"size\":1,\"list\":[{\"a\":1}]}",
		      "spec.list[0].a: Invalid value: \"integer\": spec.list[0].a in body "
		      "must be of type string: \"integer\"");
	CHECK_REFUSED(
		"{\"size\":1,\"labels\":{\"k\":1}}",
		"spec.labels.k: Invalid value: \"integer\": spec.labels.k in body must be of type string: \"integer\"");
	CHECK_REFUSED("{\"size\":1,\"port\":true}",
		      "spec.port: Invalid value: \"boolean\": spec.port in body must be of type "
		      "integer,string: \"boolean\"");
	CHECK_REFUSED(
		"{\"size\":11,\"color\":\"\"}",
		"[spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10, spec.color: "
		"Unsupported value: \"\": supported values: \"red\", \"blue\"]");
}

TEST(what_a_schema_takes_fills_in_and_prunes)
{
	mesh_auto_free char *body =
		widget("good", "{\"size\":3,\"ratio\":0.5,\"code\":\"a12\",\"free\":{\"x\":{\"y\":1}},\"labels\":{"
			       "\"k\":\"v\"},\"port\":"
			       "\"http\",\"gone\":null,\"odd\":1,\"list\":[{},{\"a\":\"b\",\"odd\":2}]}");
	struct answer a = call(&srv, "POST", W, body);

	CHECK_INT(a.status, 201);
	CHECK(strstr(a.headers.data, "unknown field \\\"spec.odd\\\""));
	CHECK(strstr(a.headers.data, "unknown field \\\"spec.list[1].odd\\\""));
	CHECK_STR(mesh_js_str(a.body, "spec.color"), "red");
	CHECK_INT(mesh_js_int(a.body, "spec.free.x.y", 0), 1);
	CHECK(!mesh_js_at(a.body, "spec.odd"));
	CHECK(json_is_null(mesh_js_at(a.body, "spec.gone")));
	CHECK_STR(mesh_js_str(json_array_get(mesh_js_at(a.body, "spec.list"), 0), "a"), "x");
	CHECK(!mesh_js_at(json_array_get(mesh_js_at(a.body, "spec.list"), 1), "odd"));
	answer_free(&a);
	CHECK_TEXT(&srv, "POST", W "?fieldValidation=Strict", body, 400, "message",
		   "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown field "
		   "\"spec.list[1].odd\", unknown field \"spec.odd\"");
	a = request_send(&srv, &(struct request){.method = "PATCH",
						 .path = W "/good",
						 .type = "application/merge-patch+json",
						 .body = "{\"spec\":{\"size\":20}}"});
	CHECK_INT(a.status, 422);
	answer_free(&a);
}

TEST(what_is_wrong_with_a_schema_is_said)
{
	mesh_auto_free char *type = definition("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"text\"}}}");
	mesh_auto_free char *pattern =
		definition("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"[\"}}}");
	mesh_auto_free char *rules =
		definition("{\"type\":\"object\",\"x-kubernetes-validations\":[{\"rule\":\"true\"}]}");
	struct answer a;

	CHECK_STATUS(&srv, "DELETE", CRDS "/widgets.example.com", NULL, 200);
	CHECK_STATUS(&srv, "POST", CRDS, type, 422);
	CHECK_STATUS(&srv, "POST", CRDS, pattern, 422);
	a = call(&srv, "POST", CRDS, rules);
	CHECK_INT(a.status, 201);
	CHECK(strstr(a.headers.data, "x-kubernetes-validations is not checked by the embedded API of Sockmesh"));
	answer_free(&a);
}

TEST(schemas_hold_after_a_restart)
{
	mesh_auto_free char *crd = definition(schema);

	CHECK_STATUS(&srv, "DELETE", CRDS "/widgets.example.com", NULL, 200);
	CHECK_STATUS(&srv, "POST", CRDS, crd, 201);
	server_kill(&srv, SIGKILL);
	server_start(&srv);
	CHECK_REFUSED("{}", "spec.size: Required value");
}

TEST(server_ends)
{
	CHECK_INT(server_kill(&srv, SIGTERM), 0);
	server_end(&srv);
}

TEST_MAIN()
