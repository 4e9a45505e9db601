/* SPDX-License-Identifier: Apache-2.0 */
/* create, update and patch: decode, check, complete, store. */
#include "store/write.h"

#include "core/mem.h"
#include "store/auth.h"
#include "store/dynamic.h"
#include "store/meta.h"
#include "store/structural.h"

#include <errno.h>

enum { PATCH_OPERATIONS = 10000 };

/* Says what a client's object has that does not exist, as fieldValidation asks. Returns false after having replied. */
static bool report_unknown(struct mesh_call *call, const struct mesh_errs *unknown)
{
	const char *mode = mesh_request_param(call->req, "fieldValidation");
	struct mesh_buf text = {0};

	if (mode && strcmp(mode, "Ignore") == 0)
		return true;
	if (!mode || strcmp(mode, "Strict") != 0) {
		mesh_vec_each (e, &unknown->list) {
			mesh_auto_free char *warning = mesh_xasprintf("%s \"%s\"", e->text, e->path ? e->path : "");

			mesh_call_warn(call, warning);
		}
		return true;
	}
	if (unknown->list.count == 0)
		return true;
	mesh_vec_each (e, &unknown->list)
		mesh_buf_printf(&text, "%s%s \"%s\"", text.len ? ", " : "", e->text, e->path ? e->path : "");
	mesh_call_bad_request(call, "%s in version \"%s\" cannot be handled as a %s: strict decoding error: %s",
			      call->kind->kind, call->version, call->kind->kind, text.data);
	mesh_buf_free(&text);
	return false;
}

static void duplicates_first(const struct mesh_call *call, struct mesh_errs *unknown)
{
	struct mesh_errs all = {0};

	if (!call->duplicates)
		return;
	mesh_vec_each (e, &call->duplicates->list)
		mesh_errs_add(&all, "duplicate field")->path = mesh_xstrdup(e->path);
	mesh_vec_each (e, &unknown->list)
		mesh_vec_push(&all.list, *e);
	mesh_vec_free(&unknown->list);
	*unknown = all;
}

/* A patch made a value that its field cannot hold. */
static void unreadable_patch(struct mesh_call *call, const char *why)
{
	json_t *details = json_pack("{s:[{s:s,s:s+,s:s}]}", "causes", "reason", "FieldValueInvalid", "message",
				    "Invalid value: ", why, "field", "patch");

	mesh_call_status(call, 422, "Invalid", details, " \"\" is invalid: patch: Invalid value: %s", why);
}

/* Of a kind that a CustomResourceDefinition made: by its schema. What it does not know goes, what it fills in comes. */
static void check_structure(struct mesh_call *call, json_t *obj, struct mesh_errs *errs, struct mesh_errs *unknown)
{
	const json_t *schema = mesh_dynamic_schema(call->res->kind, call->version);

	mesh_structural_unknown(schema, obj, unknown);
	mesh_structural_fill(schema, obj);
	mesh_structural_check(schema, obj, errs);
}

/* Every check there is. Returns false after having replied. */
static bool check(struct mesh_call *call, json_t *obj, const json_t *old)
{
	struct mesh_errs errs = {0}, warnings = {0}, unknown = {0};
	struct mesh_buf why = {0};
	bool ok;

	if (mesh_object_decodable(call->kind, obj, &why) < 0 && call->verb == MESH_VERB_PATCH) {
		unreadable_patch(call, why.data);
		mesh_buf_free(&why);
		return false;
	}
	if (why.len) {
		mesh_call_bad_request(call, "%s in version \"%s\" cannot be handled as a %s: %s", call->kind->kind,
				      call->version, call->kind->kind, why.data);
		mesh_buf_free(&why);
		return false;
	}
	if (call->res->dynamic)
		check_structure(call, obj, &errs, &unknown);
	if (strcmp(call->res->id, "customresourcedefinitions.apiextensions.k8s.io") == 0)
		mesh_dynamic_check(obj, &errs, &warnings);
	mesh_object_check(call->kind, obj, old, &errs, &warnings, &unknown);
	mesh_vec_each (e, &unknown.list) { /* whatever its checker called it */
		free(e->text);
		e->text = mesh_xstrdup("unknown field");
	}
	duplicates_first(call, &unknown);
	ok = report_unknown(call, &unknown);
	if (ok) {
		ok = errs.list.count == 0;
		if (!ok)
			mesh_call_invalid(call, mesh_js_str(obj, "metadata.name"), &errs);
	}
	if (ok) {
		mesh_vec_each (e, &warnings.list) {
			struct mesh_buf text = {0};

			mesh_err_format(e, &text);
			mesh_call_warn(call, text.data);
			mesh_buf_free(&text);
		}
		mesh_object_prune(call->kind, obj);
	}
	mesh_errs_free(&errs);
	mesh_errs_free(&warnings);
	mesh_errs_free(&unknown);
	return ok;
}

/* The package that Kubernetes keeps a group's types in. */
static const char *package_of(const char *group, char *out, size_t size)
{
	snprintf(out, size, "%.*s", (int)strcspn(group, "."), group);
	return group[0] ? out : "core";
}

/* The body is of another kind or version than the URL. */
static void other_kind(struct mesh_call *call, const char *version, const char *kind, const char *want)
{
	const char *slash = strrchr(version, '/'), *v = slash ? slash + 1 : version;
	mesh_auto_free char *group = mesh_xstrndup(version, slash ? (size_t)(slash - version) : 0);
	const struct mesh_kind *known = mesh_kind_by_name(group, kind);
	char package[64];

	if (known && (known->flags & MESH_KIND_BUILTIN) && (call->kind->flags & MESH_KIND_BUILTIN))
		mesh_call_bad_request(call,
				      "%s in version \"%s\" cannot be handled as a %s: converting (%s.%s) to (%s.%s): "
				      "unknown conversion",
				      kind, v, call->kind->kind, v, kind,
				      package_of(call->group, package, sizeof(package)), call->kind->kind);
	else if (strcmp(kind, call->kind->kind) != 0 && !(call->kind->flags & MESH_KIND_BUILTIN))
		mesh_call_bad_request(call, "the kind in the data (%s) does not match the expected kind (%s)", kind,
				      call->kind->kind);
	else if (strcmp(version, want) != 0)
		mesh_call_bad_request(call,
				      "the API version in the data (%s) does not match the expected API version (%s)",
				      version, want);
	else
		mesh_call_bad_request(call,
				      "no kind \"%s\" is registered for version \"%s\" in scheme "
				      "\"pkg/api/legacyscheme/scheme.go:30\"",
				      kind, version);
}

/* Is this object of the kind, and for the place, that the URL says? Returns false after having replied. */
static bool fits_url(struct mesh_call *call, json_t *obj)
{
	const char *want =
		call->group[0] ? mesh_arena_printf(call->arena, "%s/%s", call->group, call->version) : call->version;
	const char *version = mesh_js_str(obj, "apiVersion"), *kind = mesh_js_str(obj, "kind");
	const char *ns = mesh_js_str(obj, "metadata.namespace"), *name = mesh_js_str(obj, "metadata.name");
	json_t *meta = json_object_get(obj, "metadata");

	if (meta && !json_is_object(meta) && !json_is_null(meta)) {
		mesh_call_bad_request(call,
				      "%s in version \"%s\" cannot be handled as a %s: json: cannot unmarshal into Go "
				      "struct field ObjectMeta.metadata",
				      call->kind->kind, call->version, call->kind->kind);
		return false;
	}
	if ((version[0] && strcmp(version, want) != 0) || (kind[0] && strcmp(kind, call->kind->kind) != 0)) {
		other_kind(call, version[0] ? version : want, kind[0] ? kind : call->kind->kind, want);
		return false;
	}
	if ((call->kind->flags & MESH_KIND_NAMESPACED) && ns[0] && strcmp(ns, call->ns) != 0) {
		mesh_call_bad_request(
			call, "the namespace of the provided object does not match the namespace sent on the request");
		return false;
	}
	if (call->name && name[0] && strcmp(name, call->name) != 0) {
		mesh_call_bad_request(call, "the name of the object (%s) does not match the name on the URL (%s)", name,
				      call->name);
		return false;
	}
	meta = mesh_js_make(obj, "metadata");
	mesh_js_set(obj, "apiVersion", want);
	mesh_js_set(obj, "kind", call->kind->kind);
	if (call->kind->flags & MESH_KIND_NAMESPACED)
		mesh_js_set(meta, "namespace", call->ns);
	else
		json_object_del(meta, "namespace");
	return true;
}

/* Bytes that v takes as JSON; counting ends above max. */
static size_t size_of(const json_t *v, size_t max)
{
	const char *key;
	json_t *item;
	size_t i, n = 2;

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		json_object_foreach((json_t *)v, key, item)
		{
			n += strlen(key) + 4;
			if (n > max)
				return n;
			n += size_of(item, max - n);
		}
		return n;
	case JSON_ARRAY:
		json_array_foreach((json_t *)v, i, item)
		{
			n += 1;
			if (n > max)
				return n;
			n += size_of(item, max - n);
		}
		return n;
	case JSON_STRING:
		return n + json_string_length(v);
	default:
		return 8;
	}
}

/* An object may grow by many patches; a watch has to carry it, and its reader to hold it. */
static bool is_small(struct mesh_call *call, const json_t *obj)
{
	size_t size = size_of(obj, MESH_SERVE_BODY_MAX);

	if (size <= MESH_SERVE_BODY_MAX)
		return true;
	mesh_call_status(call, 413, "RequestEntityTooLarge", json_object(), "%s \"%s\" would be larger than %d bytes",
			 mesh_call_id(call), mesh_js_str(obj, "metadata.name"), MESH_SERVE_BODY_MAX);
	return false;
}

/* What is stored is of the stored version, whatever the client wrote. */
static void to_storage(const struct mesh_kind *kind, json_t *obj)
{
	mesh_auto_free char *version = kind->group[0] ? mesh_xasprintf("%s/%s", kind->group, kind->storage_version)
						      : mesh_xstrdup(kind->storage_version);

	mesh_js_set(obj, "apiVersion", version);
	mesh_js_set(obj, "kind", kind->kind);
}

/* --- create --- */

static bool namespace_ready(struct mesh_call *call)
{
	struct mesh_resource *namespaces = mesh_state_resource(call->store->state, "", "namespaces");
	struct mesh_entry *ns;
	json_t *details;

	if (!(call->kind->flags & MESH_KIND_NAMESPACED) || !namespaces)
		return true;
	ns = mesh_state_get(namespaces, "", call->ns);
	if (!ns) {
		mesh_call_status(call, 404, "NotFound", json_pack("{s:s,s:s}", "name", call->ns, "kind", "namespaces"),
				 "namespaces \"%s\" not found", call->ns);
		return false;
	}
	if (!mesh_js_text(ns->obj, "metadata.deletionTimestamp"))
		return true;
	details = mesh_call_details(call, mesh_request_param(call->req, "name"));
	json_object_set_new(details, "causes",
			    json_pack("[{s:s,s:s+,s:s}]", "reason", "NamespaceTerminating", "message", "namespace ",
				      call->ns, "field", "metadata.namespace"));
	mesh_call_status(
		call, 403, "Forbidden", details,
		"%s \"%s\" is forbidden: unable to create new content in namespace %s because it is being terminated",
		mesh_call_id(call), mesh_js_str(NULL, "name"), call->ns);
	return false;
}

static bool complete_new(struct mesh_call *call, json_t *obj)
{
	struct mesh_errs errs = {0};

	if (call->res->kind->flags & MESH_KIND_STATUS)
		json_object_del(obj, "status");
	mesh_builtin_create(call->store, call->res->kind, obj, &errs);
	if (call->res->kind->fill)
		call->res->kind->fill(call->res->kind, obj, NULL);
	if (errs.list.count) {
		mesh_call_invalid(call, mesh_js_str(obj, "metadata.name"), &errs);
		mesh_errs_free(&errs);
		return false;
	}
	return true;
}

static void create(struct mesh_call *call, json_t *obj)
{
	const char *name;

	if (!fits_url(call, obj) || !namespace_ready(call))
		return;
	if (mesh_js_str(obj, "metadata.resourceVersion")[0]) {
		mesh_call_status(call, 500, NULL, NULL, "resourceVersion should not be set on objects to be created");
		return;
	}
	mesh_meta_generate_name(obj);
	name = mesh_js_str(obj, "metadata.name");
	if (name[0] && mesh_state_get(call->res, call->ns, name)) {
		/* What is wrong with the object is said first. */
		if (check(call, obj, NULL))
			mesh_call_status(call, 409, "AlreadyExists", mesh_call_details(call, name),
					 "%s \"%s\" already exists", mesh_call_id(call), name);
		return;
	}
	if (!check(call, obj, NULL))
		return;
	mesh_meta_create(call->res->kind, obj);
	to_storage(call->res->kind, obj);
	if (!complete_new(call, obj) || !is_small(call, obj) || !mesh_auth_no_escalation(call, obj))
		return;
	if (!call->dry_run)
		mesh_state_put(call->store->state, call->res, json_incref(obj));
	mesh_call_object(call, 201, obj);
}

void mesh_call_create(struct mesh_call *call)
{
	struct mesh_errs duplicates = {0};
	json_t *obj;

	if (strcmp(call->plural, "projectrequests") == 0) {
		mesh_project_request(call);
		return;
	}
	call->duplicates = &duplicates;
	obj = mesh_call_body(call);
	if (obj)
		create(call, obj);
	json_decref(obj);
	mesh_errs_free(&duplicates);
}

struct mesh_entry *mesh_write_new(struct mesh_store *store, const char *group, const char *plural, json_t *obj)
{
	struct mesh_resource *res = mesh_state_resource(store->state, group, plural);
	struct mesh_entry *e =
		res ? mesh_state_get(res, mesh_js_str(obj, "metadata.namespace"), mesh_js_str(obj, "metadata.name"))
		    : NULL;

	if (e || !res) {
		json_decref(obj);
		return e;
	}
	mesh_meta_create(res->kind, obj);
	to_storage(res->kind, obj);
	mesh_builtin_create(store, res->kind, obj, NULL);
	if (res->kind->fill)
		res->kind->fill(res->kind, obj, NULL);
	e = mesh_state_put(store->state, res, obj);
	mesh_api_changed(store);
	return e;
}

/* --- update --- */

static bool versions_agree(struct mesh_call *call, const struct mesh_entry *e, const json_t *obj)
{
	const char *rv = mesh_js_str(obj, "metadata.resourceVersion"), *uid = mesh_js_str(obj, "metadata.uid");

	if (rv[0] && strcmp(rv, mesh_js_str(e->obj, "metadata.resourceVersion")) != 0) {
		mesh_call_conflict(call, e->name);
		return false;
	}
	if (uid[0] && strcmp(uid, e->uid) != 0) {
		mesh_call_status(call, 409, "Conflict", mesh_call_details(call, e->name),
				 "Operation cannot be fulfilled on %s \"%s\": StorageError: invalid object, Code: 4, "
				 "Key: /registry/%s/%s%s%s, "
				 "ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: "
				 "%s, UID in object meta: %s",
				 mesh_call_id(call), e->name, mesh_call_id(call), e->ns, e->ns[0] ? "/" : "", e->name,
				 uid, e->uid);
		return false;
	}
	return true;
}

/* Only the status of obj counts, or all but its status. */
static void split_status(struct mesh_call *call, json_t *obj, const json_t *old)
{
	json_t *status = json_object_get(obj, "status");

	if (call->sub && strcmp(call->sub, "status") == 0) {
		status = json_incref(status);
		json_object_clear(obj);
		json_object_update(obj, (json_t *)old);
		json_object_set_new(obj, "metadata", json_copy(json_object_get(old, "metadata")));
		json_object_del(obj, "status");
		if (status)
			json_object_set_new(obj, "status", status);
	} else if (call->kind->flags & MESH_KIND_STATUS) {
		json_object_del(obj, "status");
		if (json_object_get(old, "status"))
			json_object_set(obj, "status", json_object_get(old, "status"));
	}
}

/* obj (of the URL's version) becomes the new state of e. */
static void update(struct mesh_call *call, struct mesh_entry *e, json_t *obj)
{
	struct mesh_errs errs = {0};
	json_t *old = e->obj, *result;
	bool gone;

	if (!versions_agree(call, e, obj))
		return;
	if (!check(call, obj, old))
		return;
	split_status(call, obj, old);
	mesh_meta_update(obj, old);
	to_storage(call->res->kind, obj);
	mesh_builtin_update(call->store, call->res->kind, obj, old, &errs);
	if (call->res->kind->fill)
		call->res->kind->fill(call->res->kind, obj, old);
	if (errs.list.count) {
		mesh_call_invalid(call, e->name, &errs);
		mesh_errs_free(&errs);
		return;
	}
	mesh_meta_generation(call->res->kind, obj, old);
	if (!is_small(call, obj) || !mesh_auth_no_escalation(call, obj))
		return;
	if (json_equal(obj, old) || call->dry_run) {
		mesh_call_object(call, 200, call->dry_run ? obj : old);
		return;
	}
	result = json_incref(obj);
	e = mesh_state_put(call->store->state, call->res, json_incref(obj));
	gone = mesh_write_settle(call->store, e);
	(void)gone;
	mesh_call_object(call, 200, result);
	json_decref(result);
}

/* A Scale written: only its replicas count. */
static json_t *from_scale(struct mesh_call *call, const struct mesh_entry *e, const json_t *scale)
{
	json_t *obj, *replicas = mesh_js_at(scale, "spec.replicas");
	const char *rv = mesh_js_text(scale, "metadata.resourceVersion");

	if (replicas && (!json_is_integer(replicas) || json_integer_value(replicas) > INT32_MAX ||
			 json_integer_value(replicas) < INT32_MIN)) {
		mesh_call_bad_request(
			call, "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal into Go "
			      "struct field ScaleSpec.spec.replicas of type int32");
		return NULL;
	}
	if (json_integer_value(replicas) < 0) {
		const char *why =
			mesh_arena_printf(call->arena, "Invalid value: %lld: must be greater than or equal to 0",
					  (long long)json_integer_value(replicas));

		mesh_call_status(call, 422, "Invalid",
				 json_pack("{s:s,s:s,s:s,s:[{s:s,s:s,s:s}]}", "name", e->name, "group", "autoscaling",
					   "kind", "Scale", "causes", "reason", "FieldValueInvalid", "message", why,
					   "field", "spec.replicas"),
				 "Scale.autoscaling \"%s\" is invalid: spec.replicas: %s", e->name, why);
		return NULL;
	}
	obj = json_deep_copy(e->obj);
	json_object_del(json_object_get(obj, "metadata"), "resourceVersion");
	if (rv && rv[0])
		mesh_js_set(json_object_get(obj, "metadata"), "resourceVersion", rv);
	json_object_set_new(mesh_js_make(obj, "spec"), "replicas", json_integer(json_integer_value(replicas)));
	return obj;
}

static bool is_scale(const struct mesh_call *call)
{
	return call->sub && strcmp(call->sub, "scale") == 0;
}

static void update_scale(struct mesh_call *call, struct mesh_entry *e, const json_t *scale)
{
	json_t *obj = from_scale(call, e, scale), *seen;

	if (!obj)
		return;
	if (versions_agree(call, e, obj)) {
		mesh_meta_update(obj, e->obj);
		mesh_meta_generation(call->res->kind, obj, e->obj);
		if (!json_equal(obj, e->obj) && !call->dry_run)
			mesh_state_put(call->store->state, call->res, json_incref(obj));
		seen = mesh_scale_of(call, obj);
		mesh_call_json(call, 200, seen);
	}
	json_decref(obj);
}

/* A custom resource is never overwritten blindly. */
static bool has_version(struct mesh_call *call, const json_t *obj)
{
	struct mesh_errs errs = {0};

	if ((call->kind->flags & MESH_KIND_BUILTIN) || mesh_js_str(obj, "metadata.resourceVersion")[0])
		return true;
	mesh_errs_add(&errs, "Invalid value: 0: must be specified for an update")->path =
		mesh_xstrdup("metadata.resourceVersion");
	mesh_call_invalid(call, call->name, &errs);
	mesh_errs_free(&errs);
	return false;
}

void mesh_call_update(struct mesh_call *call)
{
	struct mesh_errs duplicates = {0};
	struct mesh_entry *e = mesh_state_get(call->res, call->ns, call->name);
	json_t *obj;

	call->duplicates = &duplicates;
	obj = mesh_call_body(call);
	if (obj && is_scale(call) && e)
		update_scale(call, e, obj);
	else if (obj && fits_url(call, obj)) {
		if (!e)
			mesh_call_not_found(call, call->name);
		else if (has_version(call, obj))
			update(call, e, obj);
	}
	json_decref(obj);
	mesh_errs_free(&duplicates);
}

struct mesh_entry *mesh_write_replace(struct mesh_store *store, struct mesh_entry *entry, json_t *obj)
{
	mesh_meta_generation(entry->resource->kind, obj, entry->obj);
	if (json_equal(obj, entry->obj)) {
		json_decref(obj);
		return entry;
	}
	mesh_api_changed(store);
	return mesh_state_put(store->state, entry->resource, obj);
}

/* --- patch --- */

/* Returns 0, or -EINVAL after having replied. */
static int apply(struct mesh_call *call, const char *type, json_t **doc, const json_t *patch)
{
	struct mesh_errs errs = {0};
	struct mesh_buf text = {0};
	int r;

	if (strcmp(type, "application/json-patch+json") != 0 && !json_is_object(patch)) {
		mesh_call_bad_request(call, "json: cannot unmarshal %s into Go value of type map[string]interface {}",
				      json_is_array(patch)    ? "array"
				      : json_is_string(patch) ? "string"
							      : "number");
		return -EINVAL;
	}
	if (strcmp(type, "application/merge-patch+json") == 0)
		r = mesh_patch_merge(doc, patch);
	else if (strcmp(type, "application/json-patch+json") == 0)
		r = mesh_patch_json(doc, patch, &errs);
	else
		r = mesh_patch_strategic(call->kind, doc, patch, &errs);
	if (r == 0)
		return 0;
	mesh_errs_format(&errs, &text);
	while (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	if (strcmp(type, "application/json-patch+json") == 0)
		mesh_call_status(call, 422, "Invalid", json_object(),
				 "the server rejected our request due to an error in our request");
	else
		mesh_call_bad_request(call, "%s", text.len ? text.data : "the patch cannot be applied");
	mesh_errs_free(&errs);
	mesh_buf_free(&text);
	return -EINVAL;
}

static const char *patch_type(struct mesh_call *call)
{
	const char *header = mesh_request_header(call->req, "Content-Type");
	struct mesh_slice rest = mesh_slice_str(header ? header : ""), type;
	bool builtin = call->kind->flags & MESH_KIND_BUILTIN;

	mesh_slice_split(&rest, ';', &type);
	type = mesh_slice_trim(type);
	if (mesh_slice_eq(type, MESH_SLICE("application/merge-patch+json")) ||
	    mesh_slice_eq(type, MESH_SLICE("application/json-patch+json")) ||
	    (builtin && mesh_slice_eq(type, MESH_SLICE("application/strategic-merge-patch+json"))))
		return mesh_arena_slice(call->arena, type);
	if (mesh_slice_eq(type, MESH_SLICE("application/apply-patch+yaml")))
		mesh_call_status(call, 415, "UnsupportedMediaType", json_object(),
				 "server-side apply (application/apply-patch+yaml) is not served by the embedded API "
				 "of Sockmesh: use "
				 "client-side apply (kubectl apply --server-side=false)");
	else
		mesh_call_status(call, 415, "UnsupportedMediaType", json_object(),
				 "the body of the request was in an unknown format - accepted media types include: "
				 "application/json-patch+json, application/merge-patch+json%s",
				 builtin ? ", application/strategic-merge-patch+json" : "");
	return NULL;
}

static void patch_entry(struct mesh_call *call, struct mesh_entry *e, const char *type, const json_t *patch)
{
	json_t *seen = is_scale(call) ? mesh_scale_of(call, e->obj) : mesh_call_present(call, e->obj);
	json_t *doc = json_deep_copy(seen);

	json_decref(seen);
	if (apply(call, type, &doc, patch) == 0) {
		if (!json_is_object(doc))
			mesh_call_bad_request(call, "the patched object is not an object");
		else if (is_scale(call))
			update_scale(call, e, doc);
		else if (fits_url(call, doc))
			update(call, e, doc);
	}
	json_decref(doc);
}

void mesh_call_patch(struct mesh_call *call)
{
	const char *type = patch_type(call);
	struct mesh_errs errs = {0};
	struct mesh_entry *e;
	json_t *patch = NULL;

	if (!type)
		return;
	if (mesh_json_parse(call->req->body, &patch, &errs, NULL) < 0) {
		mesh_call_bad_request(call, "error decoding patch: %s",
				      errs.list.count ? errs.list.items[0].text : "it is no JSON");
		mesh_errs_free(&errs);
		return;
	}
	mesh_errs_free(&errs);
	if (json_is_array(patch) && json_array_size(patch) > PATCH_OPERATIONS) {
		mesh_call_status(
			call, 413, "RequestEntityTooLarge", json_object(),
			"Request entity too large: The allowed maximum operations in a JSON patch is %d, got %zu",
			PATCH_OPERATIONS, json_array_size(patch));
		json_decref(patch);
		return;
	}
	e = mesh_state_get(call->res, call->ns, call->name);
	if (!e)
		mesh_call_not_found(call, call->name);
	else
		patch_entry(call, e, type, patch);
	json_decref(patch);
}
