/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a request: JSON or YAML, one object. */
#include "store/call.h"

#include "core/mem.h"
#include "store/proto.h"

enum { EXCERPT = 30 };

static json_t *from_yaml(struct mesh_call *call)
{
	struct mesh_documents docs = {0};
	struct mesh_errs errs = {0};
	struct mesh_buf text = {0};
	json_t *obj = NULL;

	if (mesh_documents_parse(NULL, call->req->body, &docs, &errs) == 0 && docs.list.count == 1)
		obj = json_incref(docs.list.items[0].value);
	else if (errs.list.count == 0)
		mesh_errs_add(&errs, "the body must be one object, not %zu", docs.list.count);
	if (!obj) {
		mesh_errs_format(&errs, &text);
		mesh_call_bad_request(call, "error converting YAML to JSON: yaml: %s", text.data);
	}
	mesh_buf_free(&text);
	mesh_errs_free(&errs);
	mesh_documents_free(&docs);
	return obj;
}

/* Says what is wrong with a JSON text, and how it begins. */
static void unreadable(struct mesh_call *call, const char *why)
{
	struct mesh_slice body = call->req->body;
	bool early = strstr(why, "ends too early"), longer = body.len > EXCERPT;

	mesh_call_bad_request(call, "%s%s%scouldn't get version/kind; json parse error: %s (%.*s%s)",
			      call->kind ? "the object provided is unrecognized (must be of type " : "",
			      call->kind ? call->kind->kind : "", call->kind ? "): " : "",
			      early ? "unexpected end of JSON input" : why, longer ? EXCERPT : (int)body.len, body.ptr,
			      longer ? " ..." : "");
}

json_t *mesh_call_body(struct mesh_call *call)
{
	const char *header = mesh_request_header(call->req, "Content-Type");
	struct mesh_slice rest = mesh_slice_str(header ? header : ""), type;
	mesh_auto_free char *error = NULL;
	struct mesh_errs errs = {0};
	json_t *obj;

	mesh_slice_split(&rest, ';', &type);
	type = mesh_slice_trim(type);
	if (mesh_slice_eq(type, MESH_SLICE("application/yaml")))
		return from_yaml(call);
	if (mesh_slice_eq(type, MESH_SLICE("application/vnd.kubernetes.protobuf"))) {
		obj = mesh_proto_decode(call->req->body, &error);
		if (!obj)
			mesh_call_bad_request(call, "%s", error);
		return obj;
	}
	if (type.len && !mesh_slice_eq(type, MESH_SLICE("application/json"))) {
		mesh_call_status(call, 415, "UnsupportedMediaType", json_object(),
				 "the body of the request was in an unknown format - accepted media types include: "
				 "application/json, application/yaml, application/vnd.kubernetes.protobuf");
		return NULL;
	}
	if (mesh_json_parse(call->req->body, &obj, &errs, call->duplicates) < 0) {
		unreadable(call, errs.list.count ? errs.list.items[0].text : "");
		obj = NULL;
	} else if (!json_is_object(obj)) {
		json_decref(obj);
		obj = NULL;
		mesh_call_bad_request(call,
				      "couldn't get version/kind; json parse error: json: cannot unmarshal %s into Go "
				      "value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; "
				      "Kind string \"json:\\\"kind,omitempty\\\"\" }",
				      "value");
	}
	mesh_errs_free(&errs);
	return obj;
}
