/* SPDX-License-Identifier: Apache-2.0 */
/* From an HTTP request to a call: path, verb, who asks, what shape, and off to its handler. */
#include "store/call.h"

#include "core/log.h"
#include "core/mem.h"
#include "store/auth.h"
#include "store/chores.h"
#include "store/held.h"

enum { PATH_PARTS = 12, NAME_LONGEST = 253 };

struct parts {
	const char *at[PATH_PARTS];
	size_t count;
};

static void split_path(struct mesh_arena *arena, const char *path, struct parts *parts)
{
	struct mesh_slice rest = mesh_slice_str(path), part;

	parts->count = 0;
	mesh_slice_split(&rest, '/', &part); /* before the first slash */
	while (mesh_slice_split(&rest, '/', &part)) {
		if (part.len == 0 && !rest.ptr && parts->count) /* one at the end is allowed */
			break;
		if (part.len == 0 || part.len > NAME_LONGEST || parts->count == PATH_PARTS) {
			parts->count = 0; /* names nothing */
			return;
		}
		parts->at[parts->count++] = mesh_arena_slice(arena, part);
	}
}

/* Fills group, version, namespace, plural, name and sub. Returns false if the path names no resource. */
static bool resource_path(struct mesh_call *call, struct parts *p)
{
	const char *path = call->req->path;
	size_t at;

	if (p->count >= 3 && strcmp(p->at[0], "api") == 0) {
		call->group = "";
		call->version = p->at[1];
		at = 2;
	} else if (p->count >= 4 && strcmp(p->at[0], "apis") == 0) {
		call->group = p->at[1];
		call->version = p->at[2];
		at = 3;
	} else {
		return false;
	}
	if (p->count > at + 2 && strcmp(p->at[at], "namespaces") == 0 && strcmp(p->at[at + 2], "status") != 0 &&
	    strcmp(p->at[at + 2], "finalize") != 0) {
		call->ns = p->at[at + 1];
		at += 2;
	}
	call->plural = p->at[at++];
	call->name = at < p->count ? p->at[at++] : NULL;
	call->sub = at < p->count ? p->at[at++] : NULL;
	if (at < p->count && call->sub && strcmp(call->sub, "proxy") != 0)
		return false;
	return path[strlen(path) - 1] != '/' || call->name;
}

/* Finds the kind and where its objects are. */
static bool find_kind(struct mesh_call *call)
{
	struct mesh_state *state = call->store->state;

	if (strcmp(call->group, "project.openshift.io") == 0) {
		call->kind = mesh_kind_by_plural(call->group, call->plural);
		call->res = call->kind ? mesh_state_resource(state, "", "namespaces") : NULL;
	} else {
		call->res = mesh_state_resource(state, call->group, call->plural);
		call->kind = call->res ? call->res->kind : NULL;
	}
	return call->res && call->kind && mesh_kind_serves(call->kind, call->version);
}

static bool is_true(const char *text)
{
	return text && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0 || text[0] == '\0');
}

/* Returns false if the method has no meaning here. */
static bool find_verb(struct mesh_call *call)
{
	const char *m = call->req->method;

	if (strcmp(m, "GET") == 0 || strcmp(m, "HEAD") == 0)
		call->verb = call->name                                        ? MESH_VERB_GET
			     : is_true(mesh_request_param(call->req, "watch")) ? MESH_VERB_WATCH
									       : MESH_VERB_LIST;
	else if (strcmp(m, "POST") == 0)
		call->verb = MESH_VERB_CREATE;
	else if (strcmp(m, "PUT") == 0)
		call->verb = MESH_VERB_UPDATE;
	else if (strcmp(m, "PATCH") == 0)
		call->verb = MESH_VERB_PATCH;
	else if (strcmp(m, "DELETE") == 0)
		call->verb = call->name ? MESH_VERB_DELETE : MESH_VERB_DELETE_COLLECTION;
	else
		return false;
	return true;
}

static bool has_param(struct mesh_slice type, const char *want)
{
	struct mesh_slice part;

	while (mesh_slice_split(&type, ';', &part))
		if (mesh_slice_eq(mesh_slice_trim(part), mesh_slice_str(want)))
			return true;
	return false;
}

/* Chooses the shape of the answer by Accept. Returns false if none that is asked for can be given. */
static bool negotiate(struct mesh_call *call)
{
	const char *accept = mesh_request_header(call->req, "Accept");
	const char *include = mesh_request_param(call->req, "includeObject");
	struct mesh_slice list = mesh_slice_str(accept ? accept : "*/*"), item;

	call->include_object = include && include[0] ? include : "Metadata";
	while (mesh_slice_split(&list, ',', &item)) {
		struct mesh_slice rest = item, type;

		item = rest = mesh_slice_trim(item);
		mesh_slice_split(&rest, ';', &type);
		type = mesh_slice_trim(type);
		if (!mesh_slice_eq(type, MESH_SLICE("application/json")) && !mesh_slice_eq(type, MESH_SLICE("*/*")) &&
		    !mesh_slice_eq(type, MESH_SLICE("application/*")))
			continue;
		if (has_param(item, "as=Table")) {
			if (!has_param(item, "g=meta.k8s.io") ||
			    !(has_param(item, "v=v1") || has_param(item, "v=v1beta1")))
				continue;
			call->shape = MESH_SHAPE_TABLE;
		} else if (has_param(item, "as=PartialObjectMetadata") ||
			   has_param(item, "as=PartialObjectMetadataList")) {
			call->shape = MESH_SHAPE_PARTIAL;
		}
		return true;
	}
	return false;
}

static void run(struct mesh_call *call)
{
	switch (call->verb) {
	case MESH_VERB_GET:
		mesh_call_get(call);
		break;
	case MESH_VERB_LIST:
		mesh_call_list(call);
		break;
	case MESH_VERB_WATCH:
		mesh_call_watch(call);
		break;
	case MESH_VERB_CREATE:
		mesh_call_create(call);
		break;
	case MESH_VERB_UPDATE:
		mesh_call_update(call);
		break;
	case MESH_VERB_PATCH:
		mesh_call_patch(call);
		break;
	case MESH_VERB_DELETE:
		mesh_call_delete(call);
		break;
	case MESH_VERB_DELETE_COLLECTION:
		mesh_call_delete_collection(call);
		break;
	}
}

/* Subresources that every kind of its flags has; the others were asked before. */
static bool sub_served(const struct mesh_call *call)
{
	if (!call->sub)
		return true;
	if (strcmp(call->sub, "status") == 0)
		return call->kind->flags & MESH_KIND_STATUS;
	if (strcmp(call->sub, "scale") == 0)
		return call->kind->flags & MESH_KIND_SCALE;
	return false;
}

static bool method_fits(const struct mesh_call *call)
{
	bool request = strcmp(call->plural, "projectrequests") == 0;

	if (request && call->verb != MESH_VERB_CREATE)
		return call->verb == MESH_VERB_LIST;
	if (call->sub)
		return call->name &&
		       (call->verb == MESH_VERB_GET || call->verb == MESH_VERB_UPDATE || call->verb == MESH_VERB_PATCH);
	if (call->verb == MESH_VERB_CREATE)
		return !call->name && (!(call->kind->flags & MESH_KIND_NAMESPACED) || call->ns[0]);
	if (call->verb == MESH_VERB_UPDATE || call->verb == MESH_VERB_PATCH)
		return call->name;
	if (call->verb == MESH_VERB_DELETE_COLLECTION)
		return strcmp(call->res->id, "namespaces") != 0 &&
		       (!(call->kind->flags & MESH_KIND_NAMESPACED) || call->ns[0]);
	return true;
}

static bool scope_fits(const struct mesh_call *call)
{
	bool namespaced = call->kind->flags & MESH_KIND_NAMESPACED;

	return namespaced ? call->ns[0] || !call->name : !call->ns[0];
}

static void path_not_found(struct mesh_call *call)
{
	if (strncmp(call->req->path, "/apis/", 6) == 0 || strncmp(call->req->path, "/api/", 5) == 0)
		mesh_call_status(call, 404, "NotFound", json_object(),
				 "the server could not find the requested resource");
	else
		mesh_call_text(call, 404, "text/plain; charset=utf-8", MESH_SLICE("404 page not found\n"));
}

static void serve_resource(struct mesh_call *call)
{
	const char *dry = mesh_request_param(call->req, "dryRun");

	if (!find_kind(call) || !scope_fits(call)) {
		mesh_call_text(call, 404, "text/plain; charset=utf-8", MESH_SLICE("404 page not found\n"));
		return;
	}
	if (!find_verb(call)) {
		mesh_call_method_not_allowed(call);
		return;
	}
	if (!mesh_auth_allowed(call))
		return;
	if (strcmp(call->res->id, "endpoints") == 0)
		mesh_call_warn(call, "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice");
	if (dry && strcmp(dry, "All") != 0) {
		mesh_call_bad_request(call, "dryRun: Unsupported value: \"%s\": supported values: \"All\"", dry);
		return;
	}
	call->dry_run = dry;
	if (mesh_call_special(call))
		return;
	if (!sub_served(call)) {
		path_not_found(call);
		return;
	}
	if (!method_fits(call)) {
		mesh_call_method_not_allowed(call);
		return;
	}
	if (!negotiate(call)) {
		mesh_call_status(call, 406, "NotAcceptable", json_object(),
				 "only the following media types are accepted: application/json, "
				 "application/json;stream=watch");
		return;
	}
	if (strcmp(call->group, "project.openshift.io") == 0 && strcmp(call->plural, "projectrequests") == 0 &&
	    call->verb == MESH_VERB_LIST) /* the question whether one may ask for projects: one may */
		mesh_call_json(call, 200, mesh_status_new(200, NULL, NULL, NULL));
	else
		run(call);
}

void mesh_api_serve(void *arg, struct mesh_request *req)
{
	struct mesh_store *store = arg;
	struct mesh_call call = {
		.store = store, .req = req, .arena = &req->arena, .group = "", .version = "", .ns = ""};
	bool read = strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;
	struct parts parts;

	if (store->state->broken && mesh_state_load(store->state, NULL) < 0) {
		mesh_request_answer(req, 503, "text/plain; charset=utf-8",
				    MESH_SLICE("the stored state cannot be read at the moment\n"));
		return;
	}
	if (read && mesh_state_dirty(store->state)) {
		mesh_held_wait(store, req); /* nobody sees what a crash could still take back */
		return;
	}
	if (!mesh_auth_identify(&call))
		return;
	split_path(call.arena, req->path, &parts);
	if (mesh_discovery_serve(&call) || mesh_review_serve(&call))
		return;
	if (!resource_path(&call, &parts)) {
		path_not_found(&call);
		return;
	}
	serve_resource(&call);
}

void mesh_api_changed(struct mesh_store *store)
{
	if (!store->commit.heap_at)
		mesh_timer_set(store->loop, &store->commit, 0);
}

void mesh_api_commit(struct mesh_store *store)
{
	bool ok = mesh_state_commit(store->state) == 0;

	mesh_watch_dispatch(store);
	mesh_held_release(store, ok);
	mesh_chores_schedule(store);
}
