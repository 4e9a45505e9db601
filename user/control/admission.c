/* SPDX-License-Identifier: Apache-2.0 */
#include "control/admission.h"

#include "config/document.h"
#include "core/mem.h"
#include "store/status.h"

#define ADMISSION "admission.k8s.io/v1"

static const char *text_at(const json_t *obj, const char *a, const char *b)
{
	const json_t *v = json_object_get(obj, a);
	const char *s = json_string_value(b ? json_object_get(v, b) : v);

	return s ? s : "";
}

static bool is_shallow(const json_t *v, unsigned left)
{
	const char *key;
	json_t *item;
	size_t i;

	if (left == 0)
		return false;
	if (json_is_object(v)) {
		json_object_foreach((json_t *)(uintptr_t)v, key, item) if (!is_shallow(item, left - 1)) return false;
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, item) if (!is_shallow(item, left - 1)) return false;
	}
	return true;
}

static void add_warning(json_t *response, const char *text)
{
	json_t *list = json_object_get(response, "warnings");

	if (!list)
		json_object_set_new(response, "warnings", list = json_array());
	json_array_append_new(list, json_string(text));
}

static void add_warnings(json_t *response, const struct mesh_errs *warnings)
{
	mesh_vec_each (e, &warnings->list) {
		mesh_auto(mesh_buf_free) struct mesh_buf text = {0};

		mesh_err_format(e, &text);
		add_warning(response, text.data);
	}
}

static void check(const struct mesh_kind *kind, const json_t *obj, const json_t *old, json_t *response)
{
	struct mesh_errs errs = {0}, warnings = {0}, unknown = {0};

	mesh_object_check(kind, obj, old, &errs, &warnings, &unknown);
	if (errs.list.count) {
		json_object_set_new(response, "allowed", json_false());
		json_object_set_new(response, "status",
				    mesh_status_invalid(kind, text_at(obj, "metadata", "name"), &errs));
	} else {
		add_warnings(response, &warnings);
	}
	mesh_errs_free(&errs);
	mesh_errs_free(&warnings);
	mesh_errs_free(&unknown); /* what the CRD does not have, the API server drops and says so itself */
}

static void judge(const json_t *request, json_t *response)
{
	const char *operation = text_at(request, "operation", NULL), *name = text_at(request, "kind", "kind");
	const struct mesh_kind *kind = mesh_kind_by_name(text_at(request, "kind", "group"), name);
	const json_t *obj = json_object_get(request, "object"), *old = json_object_get(request, "oldObject");

	if ((strcmp(operation, "CREATE") != 0 && strcmp(operation, "UPDATE") != 0) ||
	    text_at(request, "subResource", NULL)[0])
		return;
	if (!kind) {
		mesh_auto_free char *text = mesh_xasprintf(
			"%s is not a kind that this version of the mesh knows: it was not checked", name);

		add_warning(response, text);
		return;
	}
	/* What is on its way out changes only in its finalizers: an object from before a stricter check can go. */
	if (text_at(obj, "metadata", "deletionTimestamp")[0])
		return;
	check(kind, obj, json_is_object(old) ? old : NULL, response);
}

/* What makes a body no review that can be answered, or NULL. */
static const char *unusable(const json_t *review)
{
	const json_t *request = json_object_get(review, "request");
	const char *operation = text_at(request, "operation", NULL);
	bool writes = strcmp(operation, "CREATE") == 0 || strcmp(operation, "UPDATE") == 0;

	if (strcmp(text_at(review, "kind", NULL), "AdmissionReview") != 0)
		return "kind: must be AdmissionReview";
	if (strcmp(text_at(review, "apiVersion", NULL), ADMISSION) != 0)
		return "apiVersion: must be " ADMISSION;
	if (!json_is_object(request))
		return "request: must be an object";
	if (!text_at(request, "uid", NULL)[0])
		return "request.uid: must be a string that is not empty";
	if (!operation[0])
		return "request.operation: must be CREATE, UPDATE, DELETE or CONNECT";
	if (!text_at(request, "kind", "kind")[0])
		return "request.kind.kind: must be a string that is not empty";
	if (writes && !json_is_object(json_object_get(request, "object")))
		return "request.object: must be an object";
	return NULL;
}

int mesh_admission_review(struct mesh_slice body, json_t **ret, struct mesh_buf *why)
{
	json_error_t error;
	json_t *review = json_loadb(body.ptr ? body.ptr : "", body.len, 0, &error), *response;
	const char *bad = NULL;

	if (!review)
		mesh_buf_printf(why, "the body is not JSON: line %d: %s", error.line, error.text);
	else if (!is_shallow(review, MESH_ADMISSION_DEPTH_MAX))
		mesh_buf_printf(why, "the body is nested deeper than %d levels", MESH_ADMISSION_DEPTH_MAX);
	else if ((bad = unusable(review)))
		mesh_buf_str(why, bad);
	if (why->len) {
		json_decref(review);
		return 400;
	}
	response = json_pack("{s:O, s:b}", "uid", json_object_get(json_object_get(review, "request"), "uid"), "allowed",
			     1);
	judge(json_object_get(review, "request"), response);
	*ret = json_pack("{s:s, s:s, s:o}", "apiVersion", ADMISSION, "kind", "AdmissionReview", "response", response);
	json_decref(review);
	return 200;
}
