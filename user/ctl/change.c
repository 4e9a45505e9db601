/* SPDX-License-Identifier: Apache-2.0 */
/* patch, label, annotate, scale: small changes to objects that are there. */
#include "ctl/fetch.h"
#include "ctl/json_out.h"
#include "ctl/write.h"

#include "core/mem.h"
#include "kube/yaml_in.h"

#include <errno.h>
#include <stdio.h>

static const char merge_patch[] = "application/merge-patch+json";

/* patch */

static json_t *read_patch(struct mesh_ctl *ctl, const char *text)
{
	json_t *patch = json_loads(text, 0, NULL);
	struct mesh_errs errs = {0};

	if (patch)
		return patch;
	patch = mesh_yaml_read(NULL, mesh_slice_str(text), &errs);
	if (!patch) {
		mesh_ctl_error(ctl, "unable to parse \"%s\": %s", text, errs.list.items[0].text);
		mesh_errs_free(&errs);
	}
	return patch;
}

static const char *patch_type(const char *type)
{
	if (type && strcmp(type, "json") == 0)
		return "application/json-patch+json";
	return type && strcmp(type, "merge") == 0 ? merge_patch : "application/strategic-merge-patch+json";
}

static void patch_one(struct mesh_ctl *ctl, struct mesh_printer *p, const struct mesh_resource *res, const char *name,
		      const json_t *patch)
{
	mesh_auto_free char *path = mesh_resource_path(res, ctl->namespace, name);
	mesh_auto(mesh_answer_free) struct mesh_answer before = {0}, a = {0};
	const char *type = patch_type(ctl->flags->type);
	bool same;

	if (mesh_ctl_get(ctl, path, &before) < 0) {
		mesh_ctl_fail(ctl, &before, NULL);
		return;
	}
	mesh_write(ctl, res, "PATCH", path, patch, type, &a);
	if (a.status == 415 && !ctl->flags->type) { /* a kind of a CRD has no strategic merge */
		mesh_answer_free(&a);
		mesh_write(ctl, res, "PATCH", path, patch, merge_patch, &a);
	}
	if (a.error) {
		mesh_ctl_fail(ctl, &a, NULL);
		return;
	}
	same = strcmp(mesh_meta(before.body, "resourceVersion"), mesh_meta(a.body, "resourceVersion")) == 0;
	mesh_print_done(ctl, p, a.body, same ? "patched (no change)" : "patched");
}

int mesh_ctl_run_patch(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_targets_free) struct mesh_targets t = {0};
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};
	json_t *patch;

	if (!f->patch)
		return mesh_ctl_error(ctl, "must specify --patch or --patch-file containing the contents of the patch");
	if (mesh_printer_init(ctl, &p) < 0 ||
	    mesh_targets_parse(ctl, f->args.list.items, f->args.list.count, true, &t) < 0)
		return 1;
	patch = read_patch(ctl, f->patch);
	if (!patch)
		return 1;
	mesh_vec_each (one, &t.list)
		patch_one(ctl, &p, one->resource, one->name, patch);
	json_decref(patch);
	return ctl->failed;
}

/* label and annotate */

struct pairs {
	const char *field, *noun; /* "labels", "label" */
	const char *done;         /* "labeled" */
	MESH_VEC(const char *) words;
};

static bool is_pair(const char *word)
{
	size_t len = strlen(word);

	return (strchr(word, '=') && word[0] != '=') || (len > 1 && word[len - 1] == '-');
}

/* The words before the first pair name objects. */
static size_t split_words(const struct mesh_flags *f, struct pairs *pairs)
{
	size_t n = 0;

	while (n < f->args.list.count && !is_pair(f->args.list.items[n]))
		n++;
	for (size_t i = n; i < f->args.list.count; i++)
		mesh_vec_push(&pairs->words, f->args.list.items[i]);
	return n;
}

static int check_pairs(struct mesh_ctl *ctl, const struct pairs *pairs)
{
	if (pairs->words.count == 0 && !ctl->flags->list)
		return mesh_ctl_error(ctl, "at least one %s update is required", pairs->noun);
	mesh_vec_each (w, &pairs->words)
		if (!is_pair(*w))
			return mesh_ctl_error(ctl, "all resources must be specified before %s changes: %s", pairs->noun,
					      *w);
	return 0;
}

/* What of the words changes obj; an error if a value is there and may not be overwritten. New reference or NULL. */
static json_t *pairs_patch(struct mesh_ctl *ctl, const struct pairs *pairs, const json_t *obj)
{
	const json_t *now = json_object_get(json_object_get(obj, "metadata"), pairs->field);
	json_t *changes = json_object();

	mesh_vec_each (w, &pairs->words) {
		const char *eq = strchr(*w, '=');
		mesh_auto_free char *key = mesh_xstrndup(*w, eq ? (size_t)(eq - *w) : strlen(*w) - 1);
		const char *value = json_string_value(json_object_get(now, key));

		if (!eq && !value) {
			printf("%s \"%s\" not found.\n", pairs->noun, key);
		} else if (!eq) {
			json_object_set_new(changes, key, json_null());
		} else if (value && strcmp(value, eq + 1) != 0 && !ctl->flags->overwrite) {
			if (strcmp(pairs->noun, "label") == 0)
				mesh_ctl_error(ctl, "'%s' already has a value (%s), and --overwrite is false", key,
					       value);
			else
				mesh_ctl_error(ctl,
					       "--overwrite is false but found the following declared %s(s): '%s' "
					       "already has a value (%s)",
					       pairs->noun, key, value);
			json_decref(changes);
			return NULL;
		} else if (!value || strcmp(value, eq + 1) != 0) {
			json_object_set_new(changes, key, json_string(eq + 1));
		}
	}
	return changes;
}

static void list_pairs(const struct pairs *pairs, const json_t *obj)
{
	json_t *now = json_object_get(json_object_get(obj, "metadata"), pairs->field), *value;
	mesh_auto_free char *text = json_dumps(now ? now : json_null(), JSON_ENCODE_ANY | JSON_SORT_KEYS);
	json_t *sorted = json_loads(text, JSON_DECODE_ANY, NULL);
	const char *key;

	json_object_foreach(sorted, key, value) printf("%s=%s\n", key, json_string_value(value));
	json_decref(sorted);
}

/* Kubectl judges by the object's length whether something was taken away. */
static const char *label_word(const struct mesh_ctl *ctl, const struct pairs *pairs, const json_t *changes,
			      const json_t *before, const json_t *after)
{
	mesh_auto(mesh_buf_free) struct mesh_buf a = {0}, b = {0};

	if (strcmp(pairs->noun, "label") != 0)
		return pairs->done;
	if (json_object_size(changes) == 0)
		return "not labeled";
	mesh_json_out(&a, json_object_get(json_object_get(before, "metadata"), pairs->field), 0);
	mesh_json_out(&b, json_object_get(json_object_get(after, "metadata"), pairs->field), 0);
	return !ctl->flags->overwrite && b.len < a.len ? "unlabeled" : pairs->done;
}

static void change_one(struct mesh_ctl *ctl, struct mesh_printer *p, const struct pairs *pairs,
		       const struct mesh_resource *res, json_t *obj)
{
	mesh_auto_free char *path = mesh_resource_path(res, mesh_namespace_of(obj), mesh_meta(obj, "name"));
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	json_t *changes, *patch;

	if (ctl->flags->list) {
		list_pairs(pairs, obj);
		return;
	}
	changes = pairs_patch(ctl, pairs, obj);
	if (!changes)
		return;
	patch = json_pack("{s:{s:O}}", "metadata", pairs->field, changes);
	if (ctl->flags->resource_version)
		json_object_set_new(json_object_get(patch, "metadata"), "resourceVersion",
				    json_string(ctl->flags->resource_version));
	if (json_object_size(changes) == 0 || mesh_ctl_dry_client(ctl))
		mesh_print_done(ctl, p, obj, label_word(ctl, pairs, changes, obj, obj));
	else if (mesh_write(ctl, res, "PATCH", path, patch, merge_patch, &a) < 0)
		mesh_ctl_fail(ctl, &a, NULL);
	else
		mesh_print_done(ctl, p, a.body, label_word(ctl, pairs, changes, obj, a.body));
	json_decref(patch);
	json_decref(changes);
}

/* The objects that words or files name, with the resource of each. */
static int gather(struct mesh_ctl *ctl, const char *const *words, size_t count, const char *verb, json_t *objects,
		  struct mesh_targets *each)
{
	mesh_auto(mesh_inputs_free) struct mesh_inputs in = {0};
	mesh_auto(mesh_targets_free) struct mesh_targets t = {0};

	if (ctl->flags->files.list.count == 0) {
		if (mesh_targets_parse(ctl, words, count, true, &t) < 0)
			return -EINVAL;
		mesh_fetch_all(ctl, &t, objects, each);
		return 0;
	}
	mesh_inputs_read(ctl, verb, false, &in);
	mesh_vec_each (i, &in.list) {
		mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
		struct mesh_target one = {i->resource, mesh_meta(i->obj, "name")};

		if (mesh_fetch(ctl, &one, mesh_namespace_of(i->obj), false, &a) < 0) {
			mesh_ctl_fail(ctl, &a, NULL);
			continue;
		}
		json_array_append(objects, a.body);
		mesh_vec_push(&each->list, ((struct mesh_target){i->resource, NULL}));
	}
	return 0;
}

static int change_pairs(struct mesh_ctl *ctl, const struct mesh_flags *f, struct pairs *pairs)
{
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};
	mesh_auto(mesh_targets_free) struct mesh_targets each = {0};
	json_t *objects = json_array(), *obj;
	size_t words = split_words(f, pairs), i;

	if (mesh_printer_init(ctl, &p) == 0 && check_pairs(ctl, pairs) == 0 &&
	    gather(ctl, f->args.list.items, words, pairs->noun, objects, &each) == 0)
		json_array_foreach(objects, i, obj) change_one(ctl, &p, pairs, each.list.items[i].resource, obj);
	json_decref(objects);
	mesh_vec_free(&pairs->words);
	return ctl->failed;
}

int mesh_ctl_run_label(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	struct pairs pairs = {.field = "labels", .noun = "label", .done = "labeled"};

	return change_pairs(ctl, f, &pairs);
}

int mesh_ctl_run_annotate(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	struct pairs pairs = {.field = "annotations", .noun = "annotation", .done = "annotated"};

	return change_pairs(ctl, f, &pairs);
}

/* scale */

static void scale_one(struct mesh_ctl *ctl, struct mesh_printer *p, const struct mesh_resource *res, json_t *obj)
{
	mesh_auto_free char *path = mesh_resource_path(res, mesh_namespace_of(obj), mesh_meta(obj, "name"));
	mesh_auto_free char *sub = mesh_xasprintf("%s/scale", path);
	mesh_auto(mesh_answer_free) struct mesh_answer now = {0}, a = {0};
	json_t *patch;
	long before;

	if (mesh_ctl_get(ctl, sub, &now) < 0) {
		mesh_ctl_fail(ctl, &now, NULL);
		return;
	}
	before = (long)json_integer_value(json_object_get(json_object_get(now.body, "spec"), "replicas"));
	if (ctl->flags->replicas_now && atol(ctl->flags->replicas_now) != before) {
		mesh_ctl_error(ctl, "Expected replicas to be %s, was %ld", ctl->flags->replicas_now, before);
		return;
	}
	patch = json_pack("{s:{s:i}}", "spec", "replicas", (int)ctl->flags->replicas);
	if (mesh_ctl_dry_client(ctl))
		mesh_print_done(ctl, p, obj, "scaled");
	else if (mesh_write(ctl, res, "PATCH", sub, patch, merge_patch, &a) < 0)
		mesh_ctl_fail(ctl, &a, NULL);
	else
		mesh_print_done(ctl, p, obj, "scaled");
	json_decref(patch);
}

int mesh_ctl_run_scale(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};
	mesh_auto(mesh_targets_free) struct mesh_targets each = {0};
	json_t *objects, *obj;
	size_t i;

	if (f->replicas < 0)
		return mesh_ctl_error(ctl,
				      "The --replicas=COUNT flag is required, and COUNT must be greater than or equal "
				      "to 0");
	if (mesh_printer_init(ctl, &p) < 0)
		return 1;
	objects = json_array();
	if (gather(ctl, f->args.list.items, f->args.list.count, "scale", objects, &each) == 0)
		for (i = 0; i < each.list.count && (obj = json_array_get(objects, i)); i++)
			scale_one(ctl, &p, each.list.items[i].resource, obj);
	json_decref(objects);
	return ctl->failed;
}
