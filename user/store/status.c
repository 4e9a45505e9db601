/* SPDX-License-Identifier: Apache-2.0 */
#include "store/status.h"

#include "core/mem.h"
#include "store/json.h"

/* A message may quote what a client sent: bytes that are no UTF-8 become question marks. */
static void set_message(json_t *status, const char *message)
{
	json_t *text = json_string(message);
	mesh_auto_free char *plain = NULL;

	if (!text) {
		plain = mesh_xstrdup(message);
		for (char *p = plain; *p; p++)
			*p = (char)((unsigned char)*p < 0x80 ? *p : '?');
		text = json_string(plain);
	}
	json_object_set_new(status, "message", text);
}

json_t *mesh_status_new(int code, const char *reason, const char *message, json_t *details)
{
	json_t *s = json_pack("{s:s,s:s,s:{},s:s}", "kind", "Status", "apiVersion", "v1", "metadata", "status",
			      code < 400 ? "Success" : "Failure");

	if (message)
		set_message(s, message);
	if (reason)
		mesh_js_set(s, "reason", reason);
	if (details)
		json_object_set_new(s, "details", details);
	if (code >= 400)
		json_object_set_new(s, "code", json_integer(code));
	return s;
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
static bool skips_rules(const struct mesh_kind *kind, const struct mesh_errs *errs)
{
	static const char *const blocking[] = {"FieldValueTypeInvalid", "FieldValueRequired", "FieldValueNotSupported",
					       "FieldValueTooLong", "FieldValueTooMany"};

	if (!mesh_slice_ends(mesh_slice_str(kind->group), MESH_SLICE(".istio.io")))
		return false;
	mesh_vec_each (e, &errs->list)
		for (size_t i = 0; i < MESH_ARRAY_SIZE(blocking); i++)
			if (strcmp(cause_of(e->text), blocking[i]) == 0)
				return true;
	return false;
}

static void add_cause(json_t *causes, struct mesh_buf *text, const char *path, const char *message)
{
	mesh_buf_printf(text, "%s%s%s%s", json_array_size(causes) ? ", " : "", path, path[0] ? ": " : "", message);
	json_array_append_new(
		causes, json_pack("{s:s,s:s,s:s}", "reason", cause_of(message), "message", message, "field", path));
}

json_t *mesh_status_invalid(const struct mesh_kind *kind, const char *name, const struct mesh_errs *errs)
{
	json_t *causes = json_array(), *details = json_object(), *status;
	bool rules = skips_rules(kind, errs);
	bool several = errs->list.count > 1 || rules;
	struct mesh_buf text = {0};

	mesh_buf_printf(&text, "%s%s%s \"%s\" is invalid: %s", kind->kind, kind->group[0] ? "." : "", kind->group,
			name ? name : "", several ? "[" : "");
	mesh_vec_each (e, &errs->list)
		add_cause(causes, &text, e->path ? e->path : "", e->text);
	if (rules)
		add_cause(causes, &text, "<nil>",
			  "Invalid value: null: some validation rules were not checked because the object was "
			  "invalid; correct the existing errors to complete validation");
	if (several)
		mesh_buf_char(&text, ']');
	if (name)
		mesh_js_set(details, "name", name);
	if (kind->group[0])
		mesh_js_set(details, "group", kind->group);
	mesh_js_set(details, "kind", kind->kind);
	json_object_set_new(details, "causes", causes);
	status = mesh_status_new(422, "Invalid", text.data, details);
	mesh_buf_free(&text);
	return status;
}
