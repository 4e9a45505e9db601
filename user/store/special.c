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

static void request_token(struct mesh_call *call)
{
	struct mesh_entry *e = mesh_state_get(call->res, call->ns, call->name), *pod = NULL;
	json_t *body = mesh_call_body(call), *audiences, *status;
	int64_t seconds;
	mesh_auto_free char *token = NULL;
	char expiry[32];

	if (!body)
		return;
	if (!e) {
		mesh_call_not_found(call, call->name);
		json_decref(body);
		return;
	}
	seconds = mesh_js_int(body, "spec.expirationSeconds", TOKEN_SECONDS);
	seconds = seconds < TOKEN_SECONDS_MIN ? TOKEN_SECONDS_MIN : MESH_MIN(seconds, (int64_t)TOKEN_SECONDS_MAX);
	audiences = mesh_js_at(body, "spec.audiences");
	if (json_array_size(audiences) == 0)
		json_object_set_new(mesh_js_make(body, "spec"), "audiences",
				    audiences = json_pack("[s]", "https://kubernetes.default.svc.cluster.local"));
	if (strcmp(mesh_js_str(body, "spec.boundObjectRef.kind"), "Pod") == 0)
		pod = mesh_state_get(mesh_state_resource(call->store->state, "", "pods"), call->ns,
				     mesh_js_str(body, "spec.boundObjectRef.name"));
	token = mesh_token_new(call->store, e->obj, audiences, seconds, pod ? pod->obj : NULL);
	json_object_set_new(json_object_get(body, "spec"), "expirationSeconds", json_integer(seconds));
	status = json_pack("{s:s,s:s}", "token", token, "expirationTimestamp",
			   mesh_time_text(time(NULL) + seconds, expiry));
	json_object_set_new(body, "status", status);
	mesh_js_set(body, "kind", "TokenRequest");
	mesh_js_set(body, "apiVersion", "authentication.k8s.io/v1");
	mesh_js_set(mesh_js_make(body, "metadata"), "name", call->name);
	mesh_js_set(mesh_js_make(body, "metadata"), "namespace", call->ns);
	mesh_call_json(call, 201, body);
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
