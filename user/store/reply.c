/* SPDX-License-Identifier: Apache-2.0 */
/* How calls are answered: objects in the shape that was asked for, Status objects, warnings. */
#include "store/call.h"
#include "store/held.h"

#include "core/mem.h"

json_t *mesh_status_new(int code, const char *reason, const char *message, json_t *details)
{
	json_t *s = json_pack("{s:s,s:s,s:{},s:s}", "kind", "Status", "apiVersion", "v1", "metadata", "status",
			      code < 400 ? "Success" : "Failure");

	if (message)
		mesh_js_set(s, "message", message);
	if (reason)
		mesh_js_set(s, "reason", reason);
	if (details)
		json_object_set_new(s, "details", details);
	if (code >= 400)
		json_object_set_new(s, "code", json_integer(code));
	return s;
}

const char *mesh_call_id(const struct mesh_call *call)
{
	return call->group && call->group[0] ? mesh_arena_printf(call->arena, "%s.%s", call->plural, call->group)
					     : call->plural;
}

json_t *mesh_call_details(const struct mesh_call *call, const char *name)
{
	json_t *d = json_object();

	if (name)
		mesh_js_set(d, "name", name);
	if (call->group && call->group[0])
		mesh_js_set(d, "group", call->group);
	if (call->plural)
		mesh_js_set(d, "kind", call->plural);
	return d;
}

void mesh_call_text(struct mesh_call *call, int status, const char *type, struct mesh_slice body)
{
	if (mesh_state_dirty(call->store->state))
		mesh_held_add(call->store, call->req, status, type, body);
	else
		mesh_request_answer(call->req, status, type, body);
}

void mesh_call_json(struct mesh_call *call, int status, json_t *body)
{
	struct mesh_buf out = {0};

	mesh_js_write(&out, body);
	mesh_buf_char(&out, '\n');
	json_decref(body);
	mesh_call_text(call, status, "application/json", mesh_buf_view(&out));
	mesh_buf_free(&out);
}

void mesh_call_status(struct mesh_call *call, int code, const char *reason, json_t *details, const char *fmt, ...)
{
	struct mesh_buf text = {0};
	va_list ap;

	va_start(ap, fmt);
	mesh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	mesh_call_json(call, code, mesh_status_new(code, reason, text.data, details));
	mesh_buf_free(&text);
}

void mesh_call_bad_request(struct mesh_call *call, const char *fmt, ...)
{
	struct mesh_buf text = {0};
	va_list ap;

	va_start(ap, fmt);
	mesh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	mesh_call_json(call, 400, mesh_status_new(400, "BadRequest", text.data, NULL));
	mesh_buf_free(&text);
}

void mesh_call_not_found(struct mesh_call *call, const char *name)
{
	mesh_call_status(call, 404, "NotFound", mesh_call_details(call, name), "%s \"%s\" not found",
			 mesh_call_id(call), name);
}

void mesh_call_conflict(struct mesh_call *call, const char *name)
{
	mesh_call_status(call, 409, "Conflict", mesh_call_details(call, name),
			 "Operation cannot be fulfilled on %s \"%s\": the object has been modified; please apply your "
			 "changes to the latest version and try again",
			 mesh_call_id(call), name);
}

void mesh_call_method_not_allowed(struct mesh_call *call)
{
	mesh_call_status(call, 405, "MethodNotAllowed", json_object(),
			 "the server does not allow this method on the requested resource");
}

/* The machine-readable reason that goes with a message of field validation. */
static const char *cause_of(const char *text)
{
	static const struct {
		const char *start, *reason;
	} table[] = {
		{"Required value", "FieldValueRequired"}, {"Duplicate value", "FieldValueDuplicate"},
		{"Not found", "FieldValueNotFound"},      {"Unsupported value", "FieldValueNotSupported"},
		{"Forbidden", "FieldValueForbidden"},     {"Too long", "FieldValueTooLong"},
		{"Too many", "FieldValueTooMany"},        {"Internal error", "InternalError"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(table); i++)
		if (strncmp(text, table[i].start, strlen(table[i].start)) == 0)
			return table[i].reason;
	return strstr(text, "must be of type") && strstr(text, "in body") ? "FieldValueTypeInvalid"
									  : "FieldValueInvalid";
}

/* Rules across fields (of Istio's CRDs) are not looked at while a value has the wrong form: the server says so. */
static bool skips_rules(const struct mesh_call *call, const struct mesh_errs *errs)
{
	static const char *const blocking[] = {"FieldValueTypeInvalid", "FieldValueRequired", "FieldValueNotSupported",
					       "FieldValueTooLong", "FieldValueTooMany"};

	if (!mesh_slice_ends(mesh_slice_str(call->group), MESH_SLICE(".istio.io")))
		return false;
	mesh_vec_each (e, &errs->list)
		for (size_t i = 0; i < MESH_ARRAY_SIZE(blocking); i++)
			if (strcmp(cause_of(e->text), blocking[i]) == 0)
				return true;
	return false;
}

void mesh_call_invalid(struct mesh_call *call, const char *name, const struct mesh_errs *errs)
{
	json_t *causes = json_array(), *details = mesh_call_details(call, name);
	bool rules = skips_rules(call, errs);
	struct mesh_buf text = {0};

	mesh_buf_printf(&text, "%s%s%s \"%s\" is invalid: %s", call->kind->kind, call->group[0] ? "." : "", call->group,
			name, errs->list.count > 1 || rules ? "[" : "");
	mesh_vec_each (e, &errs->list) {
		struct mesh_buf message = {0};

		mesh_buf_str(&message, e->text);
		mesh_buf_printf(&text, "%s%s%s%s", e == errs->list.items ? "" : ", ", e->path ? e->path : "",
				e->path ? ": " : "", message.data);
		json_array_append_new(causes, json_pack("{s:s,s:s,s:s}", "reason", cause_of(e->text), "message",
							message.data, "field", e->path ? e->path : ""));
		mesh_buf_free(&message);
	}
	if (rules) {
		static const char said[] =
			"Invalid value: null: some validation rules were not checked because the object was "
			"invalid; correct the existing errors to complete validation";

		mesh_buf_printf(&text, ", <nil>: %s", said);
		json_array_append_new(causes, json_pack("{s:s,s:s,s:s}", "reason", "FieldValueInvalid", "message", said,
							"field", "<nil>"));
	}
	if (errs->list.count > 1 || rules)
		mesh_buf_char(&text, ']');
	mesh_js_set(details, "kind", call->kind->kind);
	json_object_set_new(details, "causes", causes);
	mesh_call_json(call, 422, mesh_status_new(422, "Invalid", text.data, details));
	mesh_buf_free(&text);
}

void mesh_call_warn(struct mesh_call *call, const char *text)
{
	struct mesh_buf value = {0};

	mesh_buf_str(&value, "299 - \"");
	for (const char *p = text; *p; p++) {
		if (*p == '"' || *p == '\\')
			mesh_buf_char(&value, '\\');
		mesh_buf_char(&value, (unsigned char)*p < 0x20 ? ' ' : *p);
	}
	mesh_buf_char(&value, '"');
	mesh_request_add(call->req, "Warning", value.data);
	mesh_buf_free(&value);
}

json_t *mesh_call_present(const struct mesh_call *call, const json_t *obj)
{
	mesh_auto_free char *version =
		call->group[0] ? mesh_xasprintf("%s/%s", call->group, call->version) : mesh_xstrdup(call->version);
	json_t *copy;

	if (strcmp(mesh_js_str(obj, "apiVersion"), version) == 0 &&
	    strcmp(mesh_js_str(obj, "kind"), call->kind->kind) == 0)
		return json_incref((json_t *)obj);
	copy = json_copy((json_t *)obj);
	mesh_js_set(copy, "apiVersion", version);
	mesh_js_set(copy, "kind", call->kind->kind);
	return copy;
}

json_t *mesh_partial_metadata(const json_t *obj)
{
	return json_pack("{s:s,s:s,s:O}", "kind", "PartialObjectMetadata", "apiVersion", "meta.k8s.io/v1", "metadata",
			 json_object_get(obj, "metadata"));
}

json_t *mesh_call_table(struct mesh_call *call, json_t *items, const char *rv, bool columns)
{
	json_t *table = mesh_table(call->kind, items, call->include_object, columns);

	json_decref(items);
	if (rv)
		mesh_js_set(mesh_js_make(table, "metadata"), "resourceVersion", rv);
	return table;
}

void mesh_call_object(struct mesh_call *call, int status, const json_t *obj)
{
	json_t *seen = mesh_call_present(call, obj);

	if (call->shape == MESH_SHAPE_TABLE) {
		json_t *items = json_array();

		json_array_append(items, seen);
		mesh_call_json(call, status,
			       mesh_call_table(call, items, mesh_js_text(obj, "metadata.resourceVersion"), true));
	} else if (call->shape == MESH_SHAPE_PARTIAL) {
		mesh_call_json(call, status, mesh_partial_metadata(seen));
	} else {
		mesh_call_json(call, status, json_incref(seen));
	}
	json_decref(seen);
}
