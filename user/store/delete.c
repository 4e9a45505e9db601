/* SPDX-License-Identifier: Apache-2.0 */
/* delete and deletecollection: preconditions, grace, finalizers, propagation. */
#include "store/write.h"

#include "core/mem.h"
#include "store/meta.h"

#include <time.h>

static enum mesh_propagation propagation_of(const char *text, bool orphan)
{
	if (text && strcmp(text, "Orphan") == 0)
		return MESH_PROPAGATE_ORPHAN;
	if (text && strcmp(text, "Foreground") == 0)
		return MESH_PROPAGATE_FOREGROUND;
	return !text && orphan ? MESH_PROPAGATE_ORPHAN : MESH_PROPAGATE_BACKGROUND;
}

/* DeleteOptions from body and query. Returns false after having replied; *body keeps the strings alive. */
static bool read_opts(struct mesh_call *call, struct mesh_delete_opts *o, json_t **body)
{
	const char *grace = mesh_request_param(call->req, "gracePeriodSeconds");
	const char *policy = mesh_request_param(call->req, "propagationPolicy");
	const char *orphan = mesh_request_param(call->req, "orphanDependents");
	uint64_t n;

	*o = (struct mesh_delete_opts){.grace = -1};
	*body = NULL;
	if (call->req->body.len) {
		*body = mesh_call_body(call);
		if (!*body)
			return false;
	}
	o->grace = MESH_MIN(mesh_js_int(*body, "gracePeriodSeconds", -1), (int64_t)INT32_MAX);
	if (o->grace < 0 && grace && mesh_slice_to_u64(mesh_slice_str(grace), INT32_MAX, &n) == 0)
		o->grace = (int64_t)n;
	if (mesh_js_text(*body, "propagationPolicy"))
		policy = mesh_js_text(*body, "propagationPolicy");
	if (policy && strcmp(policy, "Orphan") != 0 && strcmp(policy, "Foreground") != 0 &&
	    strcmp(policy, "Background") != 0) {
		mesh_call_status(call, 422, "Invalid",
				 json_pack("{s:s,s:s}", "group", "meta.k8s.io", "kind", "DeleteOptions"),
				 "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: "
				 "\"%s\": supported "
				 "values: \"Background\", \"Foreground\", \"Orphan\", \"nil\"",
				 policy);
		json_decref(*body);
		return false;
	}
	o->propagation = propagation_of(policy, json_is_true(json_object_get(*body, "orphanDependents")) ||
							(orphan && strcmp(orphan, "true") == 0));
	o->uid = mesh_js_text(*body, "preconditions.uid");
	o->rv = mesh_js_text(*body, "preconditions.resourceVersion");
	o->dry_run = call->dry_run || json_array_size(json_object_get(*body, "dryRun")) > 0;
	return true;
}

static bool is_pod(const struct mesh_entry *e)
{
	return strcmp(e->resource->id, "pods") == 0;
}

/* Seconds that the object may still have: pods on a node end gracefully, all else at once. */
static int64_t grace_of(const struct mesh_entry *e, const struct mesh_delete_opts *o)
{
	const char *phase = mesh_js_str(e->obj, "status.phase");

	if (!is_pod(e))
		return 0;
	if (!mesh_js_str(e->obj, "spec.nodeName")[0] || strcmp(phase, "Failed") == 0 || strcmp(phase, "Succeeded") == 0)
		return 0;
	if (o->grace >= 0)
		return o->grace;
	return MESH_MIN(mesh_js_int(e->obj, "spec.terminationGracePeriodSeconds", 30), (int64_t)INT32_MAX);
}

static void want_finalizer(json_t *meta, const char *name)
{
	json_t *list = json_object_get(meta, "finalizers");

	list = list ? json_copy(list) : json_array();
	if (!mesh_js_has(list, name))
		json_array_append_new(list, json_string(name));
	json_object_set_new(meta, "finalizers", list);
}

/* A copy of obj marked as being deleted, grace seconds from now. */
static json_t *marked(const struct mesh_entry *e, int64_t grace)
{
	json_t *obj = json_copy(e->obj), *meta = json_copy(json_object_get(e->obj, "metadata"));
	int64_t generation = mesh_js_int(meta, "generation", 0);
	char text[32];

	json_object_set_new(obj, "metadata", meta);
	if (!json_object_get(meta, "deletionTimestamp") && generation > 0)
		json_object_set_new(meta, "generation", json_integer(generation + 1));
	mesh_js_set(meta, "deletionTimestamp", mesh_time_text(time(NULL) + grace, text));
	json_object_set_new(meta, "deletionGracePeriodSeconds", json_integer(grace));
	return obj;
}

static bool is_namespace(const struct mesh_entry *e)
{
	return strcmp(e->resource->id, "namespaces") == 0;
}

static bool held_back(const struct mesh_entry *e)
{
	return json_array_size(mesh_js_at(e->obj, "metadata.finalizers")) > 0 || is_namespace(e);
}

bool mesh_write_settle(struct mesh_store *store, struct mesh_entry *e)
{
	if (!mesh_js_text(e->obj, "metadata.deletionTimestamp") || held_back(e) ||
	    mesh_js_int(e->obj, "metadata.deletionGracePeriodSeconds", 0) > 0)
		return false;
	mesh_state_remove(store->state, e);
	mesh_api_changed(store);
	return true;
}

static void mark(struct mesh_store *store, struct mesh_entry *e, json_t *obj)
{
	if (is_namespace(e)) {
		json_t *status = json_copy(json_object_get(obj, "status"));

		if (!status)
			status = json_object();
		mesh_js_set(status, "phase", "Terminating");
		json_object_set_new(obj, "status", status);
	}
	mesh_state_put(store->state, e->resource, obj);
	mesh_api_changed(store);
}

json_t *mesh_write_delete(struct mesh_store *store, struct mesh_entry *e, const struct mesh_delete_opts *o, bool *gone)
{
	bool already = mesh_js_text(e->obj, "metadata.deletionTimestamp");
	int64_t grace = grace_of(e, o), was = mesh_js_int(e->obj, "metadata.deletionGracePeriodSeconds", 0);
	json_t *obj, *meta, *last;

	*gone = false;
	if (already && (is_namespace(e) || (held_back(e) && !is_pod(e)) || (is_pod(e) && grace >= was && was > 0)))
		return json_incref(e->obj);
	obj = marked(e, grace);
	meta = json_object_get(obj, "metadata");
	if (!already && o->propagation == MESH_PROPAGATE_ORPHAN)
		want_finalizer(meta, "orphan");
	if (!already && o->propagation == MESH_PROPAGATE_FOREGROUND)
		want_finalizer(meta, "foregroundDeletion");
	if (json_array_size(json_object_get(meta, "finalizers")) || is_namespace(e) || grace > 0) {
		if (!o->dry_run)
			mark(store, e, json_incref(obj));
		return obj;
	}
	*gone = true;
	json_decref(obj);
	last = json_copy(e->obj);
	json_object_set_new(last, "metadata", json_copy(json_object_get(e->obj, "metadata")));
	if (!o->dry_run) {
		mesh_auto_free char *rv =
			mesh_xasprintf("%llu", (unsigned long long)mesh_state_remove(store->state, e));

		mesh_js_set(json_object_get(last, "metadata"), "resourceVersion", rv);
		mesh_api_changed(store);
	}
	return last;
}

static bool preconditions_hold(struct mesh_call *call, const struct mesh_entry *e, const struct mesh_delete_opts *o)
{
	const char *rv = mesh_js_str(e->obj, "metadata.resourceVersion");

	if (o->uid && strcmp(o->uid, e->uid) != 0) {
		mesh_call_status(call, 409, "Conflict", mesh_call_details(call, e->name),
				 "Operation cannot be fulfilled on %s \"%s\": the UID in the precondition (%s) does "
				 "not match the UID in "
				 "record (%s). The object might have been deleted and then recreated",
				 mesh_call_id(call), e->name, o->uid, e->uid);
		return false;
	}
	if (o->rv && strcmp(o->rv, rv) != 0) {
		mesh_call_status(call, 409, "Conflict", mesh_call_details(call, e->name),
				 "Operation cannot be fulfilled on %s \"%s\": the ResourceVersion in the precondition "
				 "(%s) does not match "
				 "the ResourceVersion in record (%s). The object might have been modified",
				 mesh_call_id(call), e->name, o->rv, rv);
		return false;
	}
	return true;
}

/* Kinds whose DELETE answers with the object even when it is gone. */
static bool answers_object(const char *id)
{
	return strcmp(id, "pods") == 0 || strcmp(id, "services") == 0 || strcmp(id, "serviceaccounts") == 0;
}

static void reply_deleted(struct mesh_call *call, const json_t *last, bool gone)
{
	json_t *details, *status;

	if (!gone || answers_object(call->res->id)) {
		mesh_call_object(call, 200, last);
		return;
	}
	details = mesh_call_details(call, mesh_js_str(last, "metadata.name"));
	mesh_js_set(details, "uid", mesh_js_str(last, "metadata.uid"));
	status = mesh_status_new(200, NULL, NULL, details);
	mesh_js_set(json_object_get(status, "metadata"), "resourceVersion",
		    mesh_js_str(last, "metadata.resourceVersion"));
	mesh_call_json(call, 200, status);
}

/* What may never be deleted. */
static bool is_protected(struct mesh_call *call)
{
	static const char *const names[] = {"default", "kube-system", "kube-public"};

	if (strcmp(call->res->id, "namespaces") != 0)
		return false;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(names); i++)
		if (strcmp(call->name, names[i]) == 0) {
			mesh_call_status(call, 403, "Forbidden", mesh_call_details(call, call->name),
					 "%s \"%s\" is forbidden: this namespace may not be deleted",
					 mesh_call_id(call), call->name);
			return true;
		}
	return false;
}

void mesh_call_delete(struct mesh_call *call)
{
	struct mesh_entry *e = mesh_state_get(call->res, call->ns, call->name);
	struct mesh_delete_opts o;
	json_t *body, *last;
	bool gone;

	if (!e) {
		mesh_call_not_found(call, call->name);
		return;
	}
	if (is_protected(call) || !read_opts(call, &o, &body))
		return;
	if (preconditions_hold(call, e, &o)) {
		last = mesh_write_delete(call->store, e, &o, &gone);
		reply_deleted(call, last, gone);
		json_decref(last);
	}
	json_decref(body);
}

void mesh_call_delete_collection(struct mesh_call *call)
{
	struct mesh_list_opts lo;
	struct mesh_delete_opts o;
	json_t *body, *items;

	if (!mesh_call_list_opts(call, &lo) || !read_opts(call, &o, &body))
		return;
	items = json_array();
	for (size_t i = 0; i < call->res->entries.count;) {
		struct mesh_entry *e = call->res->entries.items[i];
		bool gone = false;
		json_t *last;

		if ((call->ns[0] && strcmp(e->ns, call->ns) != 0) || !mesh_selector_labels(&lo.labels, e->obj) ||
		    !mesh_selector_fields(&lo.fields, e->obj)) {
			i++;
			continue;
		}
		last = mesh_write_delete(call->store, e, &o, &gone);
		json_array_append_new(items, mesh_call_present(call, last));
		json_decref(last);
		if (!gone || o.dry_run)
			i++;
	}
	json_decref(body);
	mesh_call_json(call, 200,
		       json_pack("{s:s,s:s,s:{s:s},s:o}", "kind",
				 mesh_arena_printf(call->arena, "%sList", call->kind->kind), "apiVersion",
				 call->group[0] ? mesh_arena_printf(call->arena, "%s/%s", call->group, call->version)
						: call->version,
				 "metadata", "resourceVersion",
				 mesh_arena_printf(call->arena, "%llu", (unsigned long long)call->store->state->rv),
				 "items", items));
}
