/* SPDX-License-Identifier: Apache-2.0 */
/* install and upgrade: the manifests of deploy/ over the API, a line with a verdict for each step. */
#include "ctl/install.h"

#include "config/condition.h"
#include "core/mem.h"
#include "core/version.h"
#include "ctl/apply.h"
#include "ctl/manifest.h"
#include "ctl/merge.h"
#include "ctl/print.h"
#include "ctl/rollout.h"
#include "mesh/abi.h"

#include <errno.h>
#include <stdio.h>

const struct mesh_install_step mesh_install_steps[] = {
	{"namespaces", "Namespace"},
	{"resource definitions", "CustomResourceDefinition"},
	{"accounts and permissions", "ServiceAccount|ClusterRole|ClusterRoleBinding|Role|RoleBinding"},
	{"configuration", NULL},
	{"control", "Deployment"},
	{"agent", "DaemonSet"},
	{"webhook", "ValidatingWebhookConfiguration|MutatingWebhookConfiguration"},
	{NULL, NULL},
};

static bool in_list(const char *list, const char *word)
{
	struct mesh_slice rest = mesh_slice_str(list), part;

	while (mesh_slice_split(&rest, '|', &part))
		if (mesh_slice_eq(part, mesh_slice_str(word)))
			return true;
	return false;
}

const struct mesh_install_step *mesh_install_step_of(const char *kind)
{
	const struct mesh_install_step *others = NULL;

	for (const struct mesh_install_step *s = mesh_install_steps; s->title; s++) {
		if (!s->kinds)
			others = s;
		else if (in_list(s->kinds, kind))
			return s;
	}
	return others;
}

bool mesh_is_foreign(const json_t *live)
{
	return strcmp(mesh_label_of(live, MESH_LABEL_NAME), "sockmesh") != 0;
}

void mesh_install_pause(struct mesh_ctl *ctl, unsigned ms)
{
	uint64_t end = mesh_now_ns() + MESH_MS(ms), now;

	while ((now = mesh_now_ns()) < end && mesh_loop_once(ctl->loop, (int)((end - now) / 1000000 + 1)) == 0)
		;
}

static const char *kind_of(const json_t *obj)
{
	const char *kind = json_string_value(json_object_get(obj, "kind"));

	return kind ? kind : "";
}

const struct mesh_resource *mesh_install_resource(struct mesh_ctl *ctl, const json_t *obj)
{
	const char *version = json_string_value(json_object_get(obj, "apiVersion"));
	const struct mesh_resources *all = mesh_resources_get(ctl);

	return all && version ? mesh_resource_by_kind(all, version, kind_of(obj)) : NULL;
}

char *mesh_install_path(struct mesh_ctl *ctl, const json_t *obj)
{
	const struct mesh_resource *res = mesh_install_resource(ctl, obj);
	const char *ns = mesh_meta(obj, "namespace");

	return res ? mesh_resource_path(res, ns[0] ? ns : NULL, mesh_meta(obj, "name")) : NULL;
}

int mesh_install_delete(struct mesh_ctl *ctl, const char *path, char **why)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	json_t *how = json_pack("{s:s, s:s, s:s}", "apiVersion", "v1", "kind", "DeleteOptions", "propagationPolicy",
				"Background");
	int r = mesh_ctl_request(ctl, "DELETE", path, how, NULL, NULL, &a);

	json_decref(how);
	if (r == 0)
		return 1;
	if (a.status == 404)
		return 0;
	*why = mesh_xstrdup(a.error);
	return -EIO;
}

bool mesh_install_gone(struct mesh_ctl *ctl, const char *path, double seconds)
{
	uint64_t end = mesh_now_ns() + (uint64_t)(seconds * 1e9);

	for (;;) {
		mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

		if (mesh_ctl_get(ctl, path, &a) < 0 && a.status == 404)
			return true;
		if (mesh_now_ns() >= end)
			return false;
		mesh_install_pause(ctl, MESH_POLL_MS);
	}
}

/* One object of the manifests: what is there is looked at first, where it may be another's. */

static void set_made(json_t *obj, bool made)
{
	json_t *meta = json_object_get(obj, "metadata"), *annotations = json_object_get(meta, "annotations");

	if (!made)
		return;
	if (!annotations) {
		annotations = json_object();
		json_object_set_new(meta, "annotations", annotations);
	}
	json_object_set_new(annotations, MESH_ANNOTATION_MADE, json_string("meshctl"));
}

/* A namespace of others keeps its labels; only what lets our pods start there is added. */
static void strip_labels(json_t *obj)
{
	json_t *labels = json_object_get(json_object_get(obj, "metadata"), "labels"), *value;
	const char *key;
	void *next;

	json_object_foreach_safe(labels, next, key, value)
	{
		if (strncmp(key, "app.kubernetes.io/", 18) == 0)
			json_object_del(labels, key);
	}
}

json_t *mesh_install_prepared(struct mesh_ctl *ctl, const struct mesh_resource *res, const json_t *obj)
{
	bool definition = strcmp(kind_of(obj), "CustomResourceDefinition") == 0;
	mesh_auto(mesh_answer_free) struct mesh_answer live = {0};
	json_t *copy = json_deep_copy(obj);

	if (!definition && strcmp(kind_of(obj), "Namespace") != 0)
		return copy;
	if (mesh_apply_read(ctl, res, obj, &live) < 0) {
		set_made(copy, live.status == 404);
		return copy;
	}
	set_made(copy, mesh_annotation_of(live.body, MESH_ANNOTATION_MADE)[0] != '\0');
	if (!mesh_is_foreign(live.body))
		return copy;
	if (definition) {
		json_decref(copy);
		return NULL;
	}
	strip_labels(copy);
	return copy;
}

struct tally {
	size_t by[MESH_APPLIED_UNCHANGED + 1], foreign;
	struct mesh_buf why;
};

static void apply_one(struct mesh_ctl *ctl, const json_t *obj, struct tally *t)
{
	const struct mesh_resource *res = mesh_install_resource(ctl, obj);
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	enum mesh_applied done = MESH_APPLIED_FAILED;
	json_t *wanted;

	if (res) {
		wanted = mesh_install_prepared(ctl, res, obj);
		if (!wanted) {
			t->foreign++;
			return;
		}
		done = mesh_apply_object(ctl, res, wanted, false, &a);
		json_decref(wanted);
	}
	t->by[done]++;
	if (done == MESH_APPLIED_FAILED)
		mesh_buf_printf(&t->why, "%s%s %s: %s", t->why.len ? "; " : "", kind_of(obj), mesh_meta(obj, "name"),
				a.error ? a.error : "the server has no such kind");
}

/* Returns the name of a definition that is not served in time, or NULL. */
static const char *wait_established(struct mesh_ctl *ctl, const json_t *objects, double seconds)
{
	uint64_t end = mesh_now_ns() + (uint64_t)(seconds * 1e9);
	json_t *obj;
	size_t i;

	json_array_foreach(objects, i, obj)
	{
		const struct mesh_resource *res = mesh_install_resource(ctl, obj);

		while (res && strcmp(kind_of(obj), "CustomResourceDefinition") == 0) {
			mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

			if (mesh_apply_read(ctl, res, obj, &a) == 0 && mesh_condition_true(a.body, "Established"))
				break;
			if (mesh_now_ns() >= end)
				return mesh_meta(obj, "name");
			mesh_install_pause(ctl, 50);
		}
	}
	return NULL;
}

static void tell(struct mesh_steps *steps, const char *title, const struct tally *t)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	const char *verdict = t->by[MESH_APPLIED_FAILED]                                      ? "failed"
			      : t->by[MESH_APPLIED_CREATED] || t->by[MESH_APPLIED_CONFIGURED] ? "ok"
											      : "unchanged";

	if (t->by[MESH_APPLIED_FAILED])
		mesh_buf_slice(&text, mesh_buf_view(&t->why));
	for (enum mesh_applied i = MESH_APPLIED_CREATED; strcmp(verdict, "ok") == 0 && i <= MESH_APPLIED_UNCHANGED; i++)
		if (t->by[i])
			mesh_buf_printf(&text, "%s%zu %s", text.len ? ", " : "", t->by[i], mesh_applied_name(i));
	if (t->foreign)
		mesh_buf_printf(&text, "%s%zu are another's and stay as they are", text.len ? ", " : "", t->foreign);
	mesh_steps_done(steps, title, verdict, "%s", text.len ? text.data : "");
}

static void apply_step(struct mesh_ctl *ctl, struct mesh_steps *steps, const struct mesh_install_step *step,
		       const json_t *objects)
{
	struct tally t = {0};
	const char *late;
	json_t *obj;
	size_t i, mine = 0;

	json_array_foreach(objects, i, obj)
	{
		if (mesh_install_step_of(kind_of(obj)) != step)
			continue;
		mesh_steps_now(steps, "%s: %s", step->title, mesh_meta(obj, "name"));
		apply_one(ctl, obj, &t);
		mine++;
	}
	if (!mine)
		return;
	tell(steps, step->title, &t);
	mesh_buf_free(&t.why);
	if (strcmp(step->title, "resource definitions") != 0 || steps->failed)
		return;
	late = wait_established(ctl, objects, 30);
	if (late)
		mesh_steps_done(steps, step->title, "failed", "%s is not served after 30 s", late);
}

static int apply_all(struct mesh_ctl *ctl, const json_t *objects, const char *fitted)
{
	struct mesh_steps steps;

	mesh_steps_init(&steps);
	if (fitted)
		mesh_steps_done(&steps, "control", "note", "%s", fitted);
	for (const struct mesh_install_step *s = mesh_install_steps; s->title; s++) {
		apply_step(ctl, &steps, s, objects);
		if (steps.failed) /* what comes next needs it */
			break;
	}
	if (steps.failed) {
		fprintf(stderr,
			"error: not installed: remedy what failed and run it again; what is there already stays "
			"as it is\n");
		return 1;
	}
	if (!ctl->flags->wait)
		return 0;
	if (mesh_rollout_wait(ctl, &steps, ctl->flags->timeout > 0 ? ctl->flags->timeout : MESH_INSTALL_SECONDS) == 0)
		return 0;
	fprintf(stderr, "error: installed, but not in force everywhere: meshctl status and meshctl check tell more\n");
	return 1;
}

static int check_flags(struct mesh_ctl *ctl, const struct mesh_flags *f, struct mesh_printer *p)
{
	const char *verb = "install, upgrade and uninstall";

	if (f->args.list.count)
		return mesh_ctl_error(ctl, "%s take no arguments, got \"%s\"", verb, f->args.list.items[0]);
	if (mesh_printer_init(ctl, p) < 0)
		return 1;
	if (f->output && !mesh_ctl_dry_client(ctl))
		return mesh_ctl_error(ctl, "-o is for --dry-run: it prints what would be applied");
	if (f->output && p->format != MESH_FORMAT_YAML && p->format != MESH_FORMAT_JSON &&
	    p->format != MESH_FORMAT_NAME)
		return mesh_ctl_error(ctl, "-o %s is not supported here: yaml, json or name", f->output);
	if (mesh_ctl_dry_server(ctl))
		return mesh_ctl_error(ctl, "--dry-run=server is not supported here: --dry-run asks the server for each "
					   "object, and -o yaml prints them");
	if (f->dry_run && strcmp(f->dry_run, "none") == 0)
		return mesh_ctl_error(ctl, "--dry-run=none is what is done without it");
	return 0;
}

static void print_objects(struct mesh_ctl *ctl, struct mesh_printer *p, const json_t *objects)
{
	json_t *obj;
	size_t i;

	for (const struct mesh_install_step *s = mesh_install_steps; s->title; s++)
		json_array_foreach(objects, i, obj) if (mesh_install_step_of(kind_of(obj)) == s)
			mesh_print(ctl, p, obj);
}

static int install(struct mesh_ctl *ctl, struct mesh_printer *p, const char *image, const struct mesh_texts *set)
{
	struct mesh_errs errs = {0};
	mesh_auto_free char *fitted = NULL;
	json_t *objects = NULL;
	int r;

	if (mesh_manifest_load(image, set, &objects, &errs) < 0)
		return mesh_ctl_errors(ctl, &errs);
	if (p->format != MESH_FORMAT_TABLE) {
		print_objects(ctl, p, objects);
		r = 0;
	} else if (!mesh_resources_get(ctl)) {
		r = 1;
	} else {
		fitted = mesh_install_fit(ctl, objects, set);
		if (fitted && ctl->flags->dry_run)
			printf("note      control: %s\n", fitted);
		r = ctl->flags->dry_run ? mesh_install_plan(ctl, objects) : apply_all(ctl, objects, fitted);
	}
	json_decref(objects);
	return r;
}

int mesh_ctl_run_install(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};

	if (check_flags(ctl, f, &p) != 0)
		return 1;
	if (p.format == MESH_FORMAT_TABLE && mesh_ctl_connect(ctl) != 0)
		return 1;
	return install(ctl, &p, f->image, &f->set);
}

/* upgrade */

/* Agents can adopt what an older one has pinned, not what a newer one has; and the API's objects only grow. */
static int check_versions(struct mesh_ctl *ctl, const json_t *set)
{
	const json_t *template = json_object_get(json_object_get(set, "spec"), "template");
	const char *from = mesh_annotation_of(template, "sockmesh.io/version");
	long abi = strtol(mesh_annotation_of(set, MESH_ANNOTATION_ABI), NULL, 10);
	long long made = strtoll(mesh_annotation_of(set, MESH_ANNOTATION_TIME), NULL, 10), own = mesh_version_time;
	bool known;
	int order = mesh_version_compare(mesh_version, from, &known);

	if (!known && made && own && made != own) { /* versions without numbers: by when they were made */
		known = true;
		order = own < made ? -1 : 1;
	}

	printf("from version %s to %s%s\n", from[0] ? from : "unknown", mesh_version,
	       known || !from[0] ? "" : " (which of them is newer is not known)");
	if (ctl->flags->allow_downgrade)
		return 0;
	if (abi > MESH_ABI_VERSION)
		return mesh_ctl_error(
			ctl,
			"the agents of %s keep tables of layout %ld on the nodes, this version knows up to "
			"%d: meshctl uninstall and install, or --allow-downgrade (flows on the nodes end)",
			from, abi, MESH_ABI_VERSION);
	if (known && order < 0)
		return mesh_ctl_error(ctl,
				      "%s is older than %s, which is installed: --allow-downgrade if that is meant",
				      mesh_version, from);
	return 0;
}

static bool said_again(const struct mesh_texts *now, const char *text)
{
	size_t len = strcspn(text, "=");

	mesh_vec_each (one, &now->list)
		if (strcspn(*one, "=") == len && strncmp(*one, text, len) == 0)
			return true;
	return false;
}

/* What was said at installation and is not said anew; the texts of *keep live as long as it. */
static void said_before(struct mesh_ctl *ctl, json_t **keep, const char **image, struct mesh_texts *set)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	json_t *one;
	size_t i;

	if (mesh_ctl_get(ctl, "/api/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/configmaps/sockmesh", &a) < 0)
		return;
	*keep = json_loads(mesh_annotation_of(a.body, MESH_ANNOTATION_SAID), 0, NULL);
	*image = json_string_value(json_object_get(*keep, "image"));
	json_array_foreach(json_object_get(*keep, "set"), i,
			   one) if (json_is_string(one) && !said_again(&ctl->flags->set, json_string_value(one)))
		mesh_vec_push(&set->list, json_string_value(one));
}

int mesh_ctl_run_upgrade(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};
	mesh_auto(mesh_answer_free) struct mesh_answer set = {0};
	struct mesh_texts settings = {0};
	const char *image = NULL;
	json_t *keep = NULL;
	int r;

	if (check_flags(ctl, f, &p) != 0 || mesh_ctl_connect(ctl) != 0)
		return 1;
	if (mesh_ctl_get(ctl, "/apis/apps/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/daemonsets/sockmesh-agent", &set) <
	    0) {
		if (set.status == 404)
			return mesh_ctl_error(ctl, "nothing is installed here that could be upgraded: meshctl install");
		mesh_ctl_fail(ctl, &set, NULL);
		return 1;
	}
	if (p.format == MESH_FORMAT_TABLE && check_versions(ctl, set.body) != 0)
		return 1;
	said_before(ctl, &keep, &image, &settings);
	mesh_vec_each (text, &f->set.list)
		mesh_vec_push(&settings.list, *text);
	r = install(ctl, &p, f->image ? f->image : image, &settings);
	mesh_vec_free(&settings.list);
	json_decref(keep);
	return r;
}
