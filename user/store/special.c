/* SPDX-License-Identifier: Apache-2.0 */
/* Subresources with a meaning of their own: a pod's binding, a service account's token, and what goes to a kubelet. */
#include "store/auth.h"
#include "store/tunnel.h"
#include "store/write.h"

#include "core/mem.h"
#include "store/meta.h"

#include <time.h>

enum { TOKEN_SECONDS = 3600, TOKEN_SECONDS_MIN = 600, TOKEN_SECONDS_MAX = 86400 * 365 };

static json_t *open_copy(const struct mesh_entry *e)
{
	return json_deep_copy(e->obj);
}

static void bind_pod(struct mesh_call *call)
{
	struct mesh_entry *e = mesh_state_get(call->res, call->ns, call->name);
	json_t *body = mesh_call_body(call), *obj;
	const char *node = mesh_js_str(body, "target.name"), *was;
	char now[32];

	if (!body)
		return;
	if (!e) {
		mesh_call_not_found(call, call->name);
	} else if ((was = mesh_js_str(e->obj, "spec.nodeName"))[0]) {
		mesh_call_status(call, 409, "Conflict", mesh_call_details(call, call->name),
				 "Operation cannot be fulfilled on pods/binding \"%s\": pod %s is already assigned to "
				 "node \"%s\"",
				 call->name, call->name, was);
	} else {
		obj = open_copy(e);
		mesh_js_set(mesh_js_make(obj, "spec"), "nodeName", node);
		json_object_set_new(mesh_js_make(obj, "status"), "conditions",
				    json_pack("[{s:s,s:s,s:s,s:n}]", "type", "PodScheduled", "status", "True",
					      "lastTransitionTime", mesh_time_text(time(NULL), now), "lastProbeTime"));
		if (call->dry_run)
			json_decref(obj);
		else
			mesh_write_replace(call->store, e, obj);
		mesh_call_json(call, 201, mesh_status_new(200, NULL, NULL, NULL));
	}
	json_decref(body);
}

/* The pod that a token is asked to be bound to: *pod, NULL where none is. Returns false after having replied. */
static bool bound_pod(struct mesh_call *call, const json_t *body, const json_t **pod)
{
	const char *kind = mesh_js_str(body, "spec.boundObjectRef.kind"),
		   *name = mesh_js_str(body, "spec.boundObjectRef.name");
	const char *uid = mesh_js_str(body, "spec.boundObjectRef.uid");
	struct mesh_entry *e;

	*pod = NULL;
	if (!mesh_js_at(body, "spec.boundObjectRef") || json_is_null(mesh_js_at(body, "spec.boundObjectRef")))
		return true;
	if (strcmp(kind, "Pod") != 0) {
		mesh_call_bad_request(call, "cannot bind token to object of kind \"%s\": this API binds to Pods only",
				      kind);
		return false;
	}
	e = mesh_state_get(mesh_state_resource(call->store->state, "", "pods"), call->ns, name);
	if (!e) {
		mesh_call_status(call, 404, "NotFound", json_pack("{s:s,s:s}", "name", name, "kind", "pods"),
				 "pods \"%s\" not found", name);
		return false;
	}
	if (uid[0] && strcmp(uid, e->uid) != 0) {
		mesh_call_status(
			call, 409, "Conflict", mesh_call_details(call, call->name),
			"Operation cannot be fulfilled on Pod \"%s\": the UID in the bound object reference (%s) "
			"does not match the UID in record. The object might have been deleted and then recreated",
			name, uid);
		return false;
	}
	if (mesh_js_str(e->obj, "spec.serviceAccountName")[0] &&
	    strcmp(mesh_js_str(e->obj, "spec.serviceAccountName"), call->name) != 0) {
		mesh_call_bad_request(call,
				      "cannot bind token for serviceaccount \"%s\" to pod running with different "
				      "serviceaccount name.",
				      call->name);
		return false;
	}
	*pod = e->obj;
	return true;
}

static json_t *audiences_of(json_t *body)
{
	json_t *list = mesh_js_at(body, "spec.audiences");

	if (json_array_size(list))
		return list;
	list = json_pack("[s]", MESH_TOKEN_AUDIENCE);
	json_object_set_new(mesh_js_make(body, "spec"), "audiences", list);
	return list;
}

static void give_token(struct mesh_call *call, const struct mesh_entry *e, json_t *body)
{
	int64_t seconds = mesh_js_int(body, "spec.expirationSeconds", TOKEN_SECONDS);
	json_t *audiences = audiences_of(body), *status;
	mesh_auto_free char *token = NULL;
	const json_t *pod;
	char expiry[32];

	seconds = seconds < TOKEN_SECONDS_MIN ? TOKEN_SECONDS_MIN : MESH_MIN(seconds, (int64_t)TOKEN_SECONDS_MAX);
	if (!bound_pod(call, body, &pod))
		return;
	token = mesh_token_new(call->store, e->obj, audiences, seconds, pod);
	json_object_set_new(json_object_get(body, "spec"), "expirationSeconds", json_integer(seconds));
	status = json_pack("{s:s,s:s}", "token", token, "expirationTimestamp",
			   mesh_time_text(time(NULL) + seconds, expiry));
	json_object_set_new(body, "status", status);
	mesh_js_set(body, "kind", "TokenRequest");
	mesh_js_set(body, "apiVersion", "authentication.k8s.io/v1");
	mesh_js_set(mesh_js_make(body, "metadata"), "name", call->name);
	mesh_js_set(mesh_js_make(body, "metadata"), "namespace", call->ns);
	mesh_call_json(call, 201, json_incref(body));
}

static void request_token(struct mesh_call *call)
{
	struct mesh_entry *e = mesh_state_get(call->res, call->ns, call->name);
	json_t *body = mesh_call_body(call);

	if (!body)
		return;
	if (e)
		give_token(call, e, body);
	else
		mesh_call_not_found(call, call->name);
	json_decref(body);
}

bool mesh_call_special(struct mesh_call *call)
{
	bool pod = strcmp(call->res->id, "pods") == 0, post = call->verb == MESH_VERB_CREATE;

	if (!call->sub || !call->name)
		return false;
	if (pod && strcmp(call->sub, "binding") == 0 && post) {
		bind_pod(call);
		return true;
	}
	if (strcmp(call->res->id, "serviceaccounts") == 0 && strcmp(call->sub, "token") == 0 && post) {
		request_token(call);
		return true;
	}
	return pod && mesh_tunnel_serve(call);
}
