/* SPDX-License-Identifier: Apache-2.0 */
/* How calls are answered: objects in the shape that was asked for, Status objects, warnings. */
#include "store/call.h"
#include "store/held.h"

#include "core/mem.h"

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

void mesh_call_invalid(struct mesh_call *call, const char *name, const struct mesh_errs *errs)
{
	mesh_call_json(call, 422, mesh_status_invalid(call->kind, name, errs));
}

/* Headers have limits in every client: what does not fit is said once, and left out. */
enum { WARNINGS_MAX = 4096, WARNING_MAX = 512 };

void mesh_call_warn(struct mesh_call *call, const char *text)
{
	struct mesh_buf value = {0};
	mesh_auto_free char *cut = NULL;

	if (call->req->extra.len > WARNINGS_MAX)
		return;
	if (call->req->extra.len + strlen(text) > WARNINGS_MAX)
		text = "there are more warnings than an answer has room for";
	if (strlen(text) > WARNING_MAX) {
		size_t n = WARNING_MAX;

		while (n && ((unsigned char)text[n] & 0xc0) == 0x80) /* not within a character */
			n--;
		cut = mesh_xasprintf("%.*s...", (int)n, text);
		text = cut;
	}

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
