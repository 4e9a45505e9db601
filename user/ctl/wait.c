/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/fetch.h"

#include "core/mem.h"
#include "ctl/json_out.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

enum goal { GOAL_CREATE, GOAL_DELETE, GOAL_CONDITION, GOAL_JSONPATH };

struct condition {
	enum goal goal;
	char *name, *value; /* of a condition; the value that a path must have, or NULL */
	struct mesh_jsonpath *path;
};

struct waiting {
	const struct condition *want;
	struct mesh_kube_watch *watch;
	const struct mesh_resource *resource;
	char *name;
	json_t *obj; /* its last state, or NULL */
	bool synced, seen;
};

static void condition_free(struct condition *c)
{
	free(c->name);
	free(c->value);
	mesh_jsonpath_free(c->path);
}

static int parse_path(struct mesh_ctl *ctl, const char *text, struct condition *c)
{
	const char *close = strchr(text, '}'), *eq = close ? strchr(close, '=') : strchr(text, '=');
	mesh_auto_free char *path = eq ? mesh_xstrndup(text, (size_t)(eq - text)) : mesh_xstrdup(text);
	mesh_auto_free char *template = mesh_jsonpath_relaxed(path);
	struct mesh_errs errs = {0};

	c->goal = GOAL_JSONPATH;
	c->value = eq ? mesh_xstrdup(eq + 1) : NULL;
	if (mesh_jsonpath_new(&c->path, template, &errs) == 0)
		return 0;
	mesh_ctl_errors(ctl, &errs);
	return -EINVAL;
}

static int parse_condition(struct mesh_ctl *ctl, const char *text, struct condition *c)
{
	const char *eq;

	if (strcmp(text, "delete") == 0 || strcmp(text, "create") == 0) {
		c->goal = text[0] == 'd' ? GOAL_DELETE : GOAL_CREATE;
		return 0;
	}
	if (strncmp(text, "jsonpath=", 9) == 0)
		return parse_path(ctl, text + 9, c);
	if (strncmp(text, "condition=", 10) != 0) {
		mesh_ctl_error(ctl, "unrecognized condition: \"%s\"", text);
		return -EINVAL;
	}
	text += 10;
	eq = strchr(text, '=');
	c->goal = GOAL_CONDITION;
	c->name = eq ? mesh_xstrndup(text, (size_t)(eq - text)) : mesh_xstrdup(text);
	c->value = mesh_xstrdup(eq ? eq + 1 : "true");
	return 0;
}

static bool is_current(const json_t *obj, const json_t *condition)
{
	const json_t *seen = json_object_get(condition, "observedGeneration");
	const json_t *now = json_object_get(json_object_get(obj, "metadata"), "generation");

	if (!seen)
		seen = json_object_get(json_object_get(obj, "status"), "observedGeneration");
	return !seen || !now || json_integer_value(seen) >= json_integer_value(now);
}

static bool has_condition(const struct condition *want, const json_t *obj)
{
	const json_t *c;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(obj, "status"), "conditions"), i, c)
	{
		const char *type = json_string_value(json_object_get(c, "type"));
		const char *status = json_string_value(json_object_get(c, "status"));

		if (type && status && strcasecmp(type, want->name) == 0)
			return is_current(obj, c) && strcasecmp(status, want->value) == 0;
	}
	return false;
}

static bool has_value(const struct condition *want, const json_t *obj)
{
	json_t *found = mesh_jsonpath_find(want->path, obj);
	const json_t *v = json_array_get(found, 0);
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	bool yes = v != NULL;

	if (v && want->value) {
		if (json_is_string(v))
			mesh_buf_str(&text, json_string_value(v));
		else
			mesh_json_out(&text, v, 0);
		yes = strcmp(text.data ? text.data : "", want->value) == 0;
	}
	json_decref(found);
	return yes;
}

static bool is_met(const struct waiting *w)
{
	switch (w->want->goal) {
	case GOAL_DELETE:
		return w->synced && !w->obj;
	case GOAL_CREATE:
		return w->obj != NULL;
	case GOAL_CONDITION:
		return w->obj && has_condition(w->want, w->obj);
	case GOAL_JSONPATH:
		return w->obj && has_value(w->want, w->obj);
	}
	return false;
}

static void object_came(void *arg, enum mesh_kube_event event, const json_t *obj, const char *rv)
{
	struct waiting *w = arg;

	(void)rv;
	if (event == MESH_KUBE_SYNCED) {
		w->synced = true;
		return;
	}
	json_decref(w->obj);
	w->obj = event == MESH_KUBE_SET ? json_incref((json_t *)obj) : NULL;
	w->seen = true;
}

static void start(struct mesh_ctl *ctl, struct waiting *w, const char *ns)
{
	mesh_auto_free char *path = mesh_resource_path(w->resource, ns, NULL), *safe = mesh_kube_escape(w->name);
	mesh_auto_free char *query = mesh_xasprintf("fieldSelector=metadata.name%%3D%s", safe);

	w->watch = mesh_kube_watch_new(ctl->kube, path, query, object_came, w);
}

/* One object at a time, all within the same time: kubectl's order of lines. */
static void wait_one(struct mesh_ctl *ctl, const struct condition *want, const struct mesh_resource *res,
		     const char *ns, const char *name, uint64_t end)
{
	struct waiting w = {.want = want, .resource = res, .name = mesh_xstrdup(name)};
	mesh_auto_free char *full = mesh_object_name(res->group, res->kind, name);

	start(ctl, &w, ns);
	while (!is_met(&w) && mesh_now_ns() < end) {
		if (w.synced && !w.obj && want->goal != GOAL_CREATE)
			break;
		mesh_loop_once(ctl->loop, (int)MESH_MIN((end - mesh_now_ns()) / 1000000 + 1, 500UL));
	}
	if (is_met(&w) && (want->goal != GOAL_DELETE || w.seen)) {
		printf("%s condition met\n", full);
		fflush(stdout);
	} else if (w.synced && !w.obj && want->goal != GOAL_CREATE && want->goal != GOAL_DELETE) {
		mesh_auto_free char *type = mesh_resource_full(res);

		fprintf(stderr, "Error from server (NotFound): %s \"%s\" not found\n", type, name);
		ctl->failed = true;
	} else if (!is_met(&w)) {
		mesh_ctl_error(ctl, "timed out waiting for the condition on %s/%s", res->plural, name);
	}
	mesh_kube_watch_free(w.watch);
	json_decref(w.obj);
	free(w.name);
}

static void wait_list(struct mesh_ctl *ctl, const struct condition *want, const struct mesh_target *t, uint64_t end)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	const json_t *items, *item;
	size_t i;

	if (mesh_fetch(ctl, t, ctl->flags->all_namespaces ? NULL : ctl->namespace, false, &a) < 0) {
		mesh_ctl_fail(ctl, &a, NULL);
		return;
	}
	items = json_object_get(a.body, "items");
	if (json_array_size(items) == 0 && want->goal != GOAL_DELETE)
		mesh_ctl_error(ctl, "no matching resources found");
	json_array_foreach(items, i, item)
	{
		const char *ns = mesh_meta(item, "namespace");

		wait_one(ctl, want, t->resource, ns[0] ? ns : NULL, mesh_meta(item, "name"), end);
	}
}

int mesh_ctl_run_wait(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(condition_free) struct condition want = {0};
	mesh_auto(mesh_targets_free) struct mesh_targets t = {0};
	double seconds = f->timeout < 0 ? 30 : f->timeout;
	uint64_t end = mesh_now_ns() + (uint64_t)(seconds * 1e9) + MESH_MS(100);

	if (!f->condition)
		return mesh_ctl_error(ctl,
				      "one of --for must be given: delete, create, condition=NAME or jsonpath={PATH}");
	if (parse_condition(ctl, f->condition, &want) < 0 ||
	    mesh_targets_parse(ctl, f->args.list.items, f->args.list.count, true, &t) < 0)
		return 1;
	mesh_vec_each (one, &t.list) {
		if (one->name)
			wait_one(ctl, &want, one->resource, ctl->namespace, one->name, end);
		else
			wait_list(ctl, &want, one, end);
	}
	return ctl->failed;
}
