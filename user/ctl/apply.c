/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/apply.h"

#include "config/schema.h"
#include "core/mem.h"
#include "ctl/json_out.h"
#include "ctl/merge.h"

#include <stdio.h>

enum { APPLY_TRIES = 5, NOTE_MAX = 250 << 10, SHOWN_MAX = 100 };

/* Kinds of Kubernetes that are in no table of ours but have lists that others write into, too. */
static const struct mesh_field webhook_fields[] = {
	{.name = "clientConfig", .type = MESH_TYPE_OBJECT},
	{.name = NULL},
};
static const struct mesh_schema webhook_schema = {.name = "Webhook", .fields = webhook_fields};
static const struct mesh_field webhooks_fields[] = {
	{.name = "webhooks",
	 .type = MESH_TYPE_ARRAY,
	 .item = MESH_TYPE_OBJECT,
	 .of = &webhook_schema,
	 .merge_key = "name"},
	{.name = NULL},
};
static const struct mesh_schema webhooks_schema = {.name = "WebhookConfiguration", .fields = webhooks_fields};

static const struct {
	const char *group, *kind;
	const struct mesh_schema *schema;
} more_schemas[] = {
	{"apps", "DaemonSet", &mesh_schema_deployment},
	{"apps", "StatefulSet", &mesh_schema_deployment},
	{"admissionregistration.k8s.io", "ValidatingWebhookConfiguration", &webhooks_schema},
	{"admissionregistration.k8s.io", "MutatingWebhookConfiguration", &webhooks_schema},
};

const char *mesh_applied_name(enum mesh_applied a)
{
	static const char *const names[] = {
		[MESH_APPLIED_FAILED] = "failed",
		[MESH_APPLIED_CREATED] = "created",
		[MESH_APPLIED_CONFIGURED] = "configured",
		[MESH_APPLIED_UNCHANGED] = "unchanged",
	};

	return names[a];
}

const struct mesh_schema *mesh_apply_schema(const char *group, const char *kind)
{
	const struct mesh_kind *known = mesh_kind_by_name(group, kind);

	for (size_t i = 0; i < MESH_ARRAY_SIZE(more_schemas); i++)
		if (strcmp(more_schemas[i].group, group) == 0 && strcmp(more_schemas[i].kind, kind) == 0)
			return more_schemas[i].schema;
	return known ? known->schema : NULL;
}

json_t *mesh_apply_last(const json_t *live)
{
	const json_t *annotations = json_object_get(json_object_get(live, "metadata"), "annotations");
	const char *note = json_string_value(json_object_get(annotations, MESH_LAST_APPLIED));

	return note ? json_loads(note, 0, NULL) : NULL;
}

/* Fields of an object that only the server writes are not ours to apply. A null is an order, and stays. */
static void drop_server_fields(json_t *obj)
{
	static const char *const meta_fields[] = {"creationTimestamp", "uid", "generation", "managedFields",
						  "selfLink"};
	json_t *meta = json_object_get(obj, "metadata");

	for (size_t i = 0; i < MESH_ARRAY_SIZE(meta_fields); i++)
		if (!json_is_null(json_object_get(meta, meta_fields[i])))
			json_object_del(meta, meta_fields[i]);
	json_object_del(obj, "status");
}

/* Marks of what one installation found are not part of what is applied: another client's apply leaves them. */
static char *note_of(const json_t *obj)
{
	json_t *copy = json_deep_copy(obj);
	char *note;

	json_object_del(json_object_get(json_object_get(copy, "metadata"), "annotations"), "sockmesh.io/made-by");
	note = mesh_merge_note(copy);
	json_decref(copy);
	return note;
}

json_t *mesh_apply_patch(const struct mesh_schema *schema, const json_t *obj, const json_t *live)
{
	mesh_auto_free char *note = note_of(obj);
	json_t *last = mesh_apply_last(live), *local = json_deep_copy(obj), *wanted, *patch;

	drop_server_fields(local);
	if (last)
		drop_server_fields(last);
	if (strlen(note) <= NOTE_MAX)
		mesh_merge_set_note(local, note);
	/* The version written in may be another one that is served: the same object. */
	json_object_set(local, "apiVersion", json_object_get(live, "apiVersion"));
	if (last) {
		json_t *annotations = json_object_get(json_object_get(last, "metadata"), "annotations");

		json_object_del(annotations, MESH_LAST_APPLIED);
	}
	wanted = mesh_merge_three(schema, last, local, live);
	patch = mesh_merge_diff(live, wanted);
	json_decref(wanted);
	json_decref(local);
	json_decref(last);
	return patch;
}

json_t *mesh_apply_pinned(const json_t *patch, const json_t *live)
{
	json_t *copy = json_deep_copy(patch), *meta = json_object_get(copy, "metadata");

	if (!meta) {
		meta = json_object();
		json_object_set_new(copy, "metadata", meta);
	}
	if (!json_object_get(meta, "resourceVersion"))
		json_object_set_new(meta, "resourceVersion", json_string(mesh_meta(live, "resourceVersion")));
	return copy;
}

int mesh_apply_read(struct mesh_ctl *ctl, const struct mesh_resource *res, const json_t *obj, struct mesh_answer *a)
{
	const char *ns = mesh_meta(obj, "namespace");
	mesh_auto_free char *path = mesh_resource_path(res, ns[0] ? ns : NULL, mesh_meta(obj, "name"));

	return mesh_ctl_get(ctl, path, a);
}

static char *with_manager(const char *path, bool dry)
{
	return mesh_xasprintf("%s?fieldManager=meshctl&fieldValidation=Strict%s", path, dry ? "&dryRun=All" : "");
}

static enum mesh_applied create(struct mesh_ctl *ctl, const struct mesh_resource *res, const json_t *obj, bool dry,
				struct mesh_answer *a)
{
	const char *ns = mesh_meta(obj, "namespace");
	mesh_auto_free char *path = mesh_resource_path(res, ns[0] ? ns : NULL, NULL);
	mesh_auto_free char *whole = with_manager(path, dry);
	mesh_auto_free char *note = note_of(obj);
	json_t *copy = json_deep_copy(obj);
	int r;

	if (strlen(note) <= NOTE_MAX)
		mesh_merge_set_note(copy, note);
	r = mesh_ctl_request(ctl, "POST", whole, copy, NULL, NULL, a);
	json_decref(copy);
	return r < 0 ? MESH_APPLIED_FAILED : MESH_APPLIED_CREATED;
}

static enum mesh_applied change(struct mesh_ctl *ctl, const struct mesh_resource *res, const json_t *obj,
				const json_t *live, bool dry, struct mesh_answer *a)
{
	const char *ns = mesh_meta(obj, "namespace");
	mesh_auto_free char *path = mesh_resource_path(res, ns[0] ? ns : NULL, mesh_meta(obj, "name"));
	mesh_auto_free char *whole = with_manager(path, dry);
	json_t *patch = mesh_apply_patch(mesh_apply_schema(res->group, res->kind), obj, live), *sent;
	int r;

	if (json_object_size(patch) == 0) {
		json_decref(patch);
		*a = (struct mesh_answer){.status = 200, .body = json_incref((json_t *)live)};
		return MESH_APPLIED_UNCHANGED;
	}
	sent = mesh_apply_pinned(patch, live);
	json_decref(patch);
	r = mesh_ctl_request(ctl, "PATCH", whole, sent, "application/merge-patch+json", NULL, a);
	json_decref(sent);
	if (r < 0)
		return MESH_APPLIED_FAILED;
	return strcmp(mesh_meta(live, "resourceVersion"), mesh_meta(a->body, "resourceVersion")) == 0
		       ? MESH_APPLIED_UNCHANGED
		       : MESH_APPLIED_CONFIGURED;
}

enum mesh_applied mesh_apply_object(struct mesh_ctl *ctl, const struct mesh_resource *res, const json_t *obj, bool dry,
				    struct mesh_answer *a)
{
	enum mesh_applied done = MESH_APPLIED_FAILED;

	for (int try = 1; try <= APPLY_TRIES; try++) {
		mesh_auto(mesh_answer_free) struct mesh_answer live = {0};

		mesh_answer_free(a);
		if (mesh_apply_read(ctl, res, obj, &live) == 0)
			done = change(ctl, res, obj, live.body, dry, a);
		else if (live.status == 404)
			done = create(ctl, res, obj, dry, a);
		else {
			*a = live;
			live = (struct mesh_answer){0};
			return MESH_APPLIED_FAILED;
		}
		if (done != MESH_APPLIED_FAILED || a->status != 409)
			return done;
	}
	return done;
}

/* What a change is, field by field. */

static void value_text(struct mesh_buf *out, const json_t *v)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};

	if (!v || json_is_null(v)) {
		mesh_buf_str(out, "(none)");
		return;
	}
	mesh_json_out(&text, v, 0);
	if (text.len > SHOWN_MAX)
		mesh_buf_printf(out, "%.*s...", SHOWN_MAX, text.data);
	else
		mesh_buf_slice(out, mesh_slice_trim(mesh_buf_view(&text)));
}

struct explain {
	struct mesh_buf *out, path;
	int indent;
};

static void explain_value(struct explain *x, const json_t *from, const json_t *to);

static void explain_step(struct explain *x, const char *step, const json_t *from, const json_t *to)
{
	size_t before = x->path.len;

	mesh_buf_printf(&x->path, "%s%s", before && step[0] != '[' ? "." : "", step);
	explain_value(x, from, to);
	x->path.len = before;
	x->path.data[before] = '\0';
}

static void explain_list(struct explain *x, const json_t *from, const json_t *to)
{
	for (size_t i = 0; i < json_array_size(to); i++) {
		const char *name = json_string_value(json_object_get(json_array_get(to, i), "name"));
		mesh_auto_free char *step = name ? mesh_xasprintf("[%s]", name) : mesh_xasprintf("[%zu]", i);

		explain_step(x, step, json_array_get(from, i), json_array_get(to, i));
	}
}

static bool is_words(const json_t *list)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v) if (!json_is_string(v)) return false;
	return json_is_array(list);
}

static bool has_word(const json_t *list, const json_t *word)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v) if (json_equal(v, word)) return true;
	return false;
}

/* Words that came and went. */
static void explain_words(struct explain *x, const json_t *from, const json_t *to)
{
	const json_t *v;
	size_t i;

	mesh_buf_printf(x->out, "%*s%s:", x->indent, "", x->path.data);
	json_array_foreach(from, i, v) if (!has_word(to, v)) mesh_buf_printf(x->out, " -%s", json_string_value(v));
	json_array_foreach(to, i, v) if (!has_word(from, v)) mesh_buf_printf(x->out, " +%s", json_string_value(v));
	mesh_buf_char(x->out, '\n');
}

/* Two whole values. */
static void explain_value(struct explain *x, const json_t *from, const json_t *to)
{
	const char *key;
	json_t *value;

	if (from && to && json_equal(from, to))
		return;
	if (json_is_object(from) && json_is_object(to)) {
		json_object_foreach((json_t *)to, key, value) explain_step(x, key, json_object_get(from, key), value);
		json_object_foreach((json_t *)from, key, value) if (!json_object_get(to, key))
			explain_step(x, key, value, NULL);
		return;
	}
	if (json_is_array(from) && json_is_array(to) && json_array_size(from) == json_array_size(to)) {
		explain_list(x, from, to);
		return;
	}
	if (is_words(from) && is_words(to)) {
		explain_words(x, from, to);
		return;
	}
	mesh_buf_printf(x->out, "%*s%s: ", x->indent, "", x->path.data);
	value_text(x->out, from);
	mesh_buf_str(x->out, " -> ");
	value_text(x->out, to);
	mesh_buf_char(x->out, '\n');
}

/* A merge patch beside what it is for: what it does not name stays. */
static void explain_patch(struct explain *x, const json_t *live, const json_t *patch)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)patch, key, value)
	{
		const json_t *now = json_object_get(live, key);
		size_t before = x->path.len;

		if (strcmp(key, MESH_LAST_APPLIED) == 0)
			continue;
		if (!json_is_object(value) || !json_is_object(now)) {
			explain_step(x, key, now, json_is_null(value) ? NULL : value);
			continue;
		}
		mesh_buf_printf(&x->path, "%s%s", before ? "." : "", key);
		explain_patch(x, now, value);
		x->path.len = before;
		x->path.data[before] = '\0';
	}
}

void mesh_apply_explain(struct mesh_buf *out, const json_t *live, const json_t *patch, int indent)
{
	struct explain x = {.out = out, .indent = indent};

	explain_patch(&x, live, patch);
	mesh_buf_free(&x.path);
}
