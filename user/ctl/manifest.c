/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/manifest.h"

#include "config/document.h"
#include "config/get.h"
#include "core/buf.h"
#include "core/mem.h"
#include "core/version.h"
#include "mesh/abi.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

/* build/gen/manifests.yaml, which is made of deploy/ (tools/make/ctl.mk). */
__asm__(".pushsection .rodata\n"
	".global mesh_manifests_begin\n"
	".global mesh_manifests_end\n"
	"mesh_manifests_begin:\n"
	".incbin \"manifests.yaml\"\n"
	"mesh_manifests_end:\n"
	".byte 0\n"
	".popsection\n");
extern const char mesh_manifests_begin[], mesh_manifests_end[];

struct mesh_slice mesh_manifest_text(void)
{
	/* cppcheck-suppress comparePointers; both are ends of the one text above */
	return mesh_slice_of(mesh_manifests_begin, (size_t)(mesh_manifests_end - mesh_manifests_begin));
}

static const char *meta_text(const json_t *obj, const char *map, const char *key)
{
	const json_t *meta = json_object_get(obj, "metadata");
	const char *s = json_string_value(json_object_get(json_object_get(meta, map), key));

	return s ? s : "";
}

const char *mesh_label_of(const json_t *obj, const char *key)
{
	return meta_text(obj, "labels", key);
}

const char *mesh_annotation_of(const json_t *obj, const char *key)
{
	return meta_text(obj, "annotations", key);
}

static json_t *map_of(json_t *obj, const char *name)
{
	json_t *map = json_object_get(obj, name);

	if (!map) {
		map = json_object();
		json_object_set_new(obj, name, map);
	}
	return map;
}

/* A label's value: letters, digits, and - _ . within. */
static char *label_value(const char *text)
{
	char *s = mesh_xstrdup(text);

	for (char *p = s; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", *p))
			*p = '-';
	return s;
}

static void stamp(json_t *obj)
{
	mesh_auto_free char *version = label_value(mesh_version);
	json_t *labels = map_of(map_of(obj, "metadata"), "labels"), *template;

	json_object_set_new(labels, MESH_LABEL_NAME, json_string("sockmesh"));
	json_object_set_new(labels, MESH_LABEL_MANAGED, json_string("meshctl"));
	template = json_object_get(json_object_get(obj, "spec"), "template");
	if (!template)
		return;
	json_object_set_new(map_of(json_object_get(obj, "metadata"), "annotations"), MESH_ANNOTATION_ABI,
			    json_sprintf("%d", MESH_ABI_VERSION));
	json_object_set_new(map_of(json_object_get(obj, "metadata"), "annotations"), MESH_ANNOTATION_TIME,
			    json_sprintf("%lld", mesh_version_time));
	/* Only workloads say their version: what does not run stays unchanged from one version to the next. */
	json_object_set_new(labels, MESH_LABEL_VERSION, json_string(version));
	json_object_set_new(map_of(map_of(template, "metadata"), "annotations"), "sockmesh.io/version",
			    json_string(mesh_version));
}

/* On the ConfigMap: {"image": ..., "set": [...]}. */
static void note_said(json_t *objects, const char *image, const struct mesh_texts *set)
{
	json_t *config = mesh_manifest_find(objects, "ConfigMap", "sockmesh"), *list = json_array();
	json_t *said = json_pack("{s:s, s:o}", "image", image ? image : MESH_DEFAULT_IMAGE, "set", list);
	mesh_auto_free char *text = NULL;

	if (set)
		mesh_vec_each (one, &set->list)
			json_array_append_new(list, json_string(*one));
	text = json_dumps(said, JSON_COMPACT);
	if (config)
		json_object_set_new(map_of(map_of(config, "metadata"), "annotations"), MESH_ANNOTATION_SAID,
				    json_string(text));
	json_decref(said);
}

enum { REVISION_BYTES = 8 };

/* Tells what meshctl once wrote from what it wrote before, whatever was changed by hand since. */
static void note_revision(json_t *data)
{
	mesh_auto_free char *text = json_dumps(data, JSON_COMPACT | JSON_SORT_KEYS);
	mesh_auto(mesh_buf_free) struct mesh_buf hex = {0};
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)text, strlen(text), digest);
	for (size_t i = 0; i < REVISION_BYTES; i++)
		mesh_buf_printf(&hex, "%02x", digest[i]);
	json_object_set_new(data, "revision", json_string(hex.data));
}

/* The variables that a template's pods have from the ConfigMap: {"NAME": its value, or null}. NULL: none. */
static json_t *settings_of(const json_t *template, const json_t *data)
{
	json_t *volume, *item, *ret = NULL;
	size_t i, j;

	json_array_foreach(mesh_json_at(template, "spec", "volumes", NULL), i, volume)
	{
		const json_t *source = json_object_get(volume, "configMap");

		json_array_foreach(json_object_get(source, "items"), j, item)
		{
			json_t *value = json_object_get(data, json_string_value(json_object_get(item, "key")));

			ret = ret ? ret : json_object();
			json_object_set_new(ret, json_string_value(json_object_get(item, "path")),
					    value ? json_incref(value) : json_null());
		}
	}
	return ret;
}

/*
 * Pods read the ConfigMap when they start: a change of it starts them anew. A kubelet may hand them an older one for a
 * minute, after the API was away; agents go by what their own template says then.
 */
static void note_config(json_t *objects)
{
	json_t *data = json_object_get(mesh_manifest_find(objects, "ConfigMap", "sockmesh"), "data"), *obj;
	mesh_auto_free char *text = NULL;
	size_t i;

	if (!data)
		return;
	note_revision(data);
	text = json_dumps(data, JSON_COMPACT | JSON_SORT_KEYS);
	json_array_foreach(objects, i, obj)
	{
		json_t *template = json_object_get(json_object_get(obj, "spec"), "template"), *settings, *annotations;
		mesh_auto_free char *said = NULL;

		if (!template)
			continue;
		settings = settings_of(template, data);
		said = settings ? json_dumps(settings, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
		json_decref(settings);
		annotations = map_of(map_of(template, "metadata"), "annotations");
		json_object_set_new(annotations, "sockmesh.io/config", json_string(text));
		if (said)
			json_object_set_new(annotations, "sockmesh.io/settings", json_string(said));
	}
}

int mesh_manifest_load(const char *image, const struct mesh_texts *set, json_t **ret, struct mesh_errs *errs)
{
	struct mesh_documents docs = {0};
	json_t *objects;
	int r = mesh_documents_parse("manifests", mesh_manifest_text(), &docs, errs);

	if (r < 0)
		return r;
	objects = json_array();
	mesh_vec_each (d, &docs.list) {
		json_t *obj = json_deep_copy(d->value);

		stamp(obj);
		json_array_append_new(objects, obj);
	}
	mesh_documents_free(&docs);
	if (set)
		mesh_vec_each (text, &set->list)
			if (mesh_setting_apply(objects, *text, errs) < 0)
				r = -EINVAL;
	if (image)
		mesh_setting_image(objects, image);
	note_said(objects, image, set);
	note_config(objects);
	if (r < 0)
		json_decref(objects);
	else
		*ret = objects;
	return r;
}

/* Up to three numbers, and how many commits after them. */
static bool numbers(const char *text, long ret[4])
{
	int used = 0, more = 0;

	text += *text == 'v';
	ret[3] = 0;
	if (sscanf(text, "%ld.%ld.%ld%n", &ret[0], &ret[1], &ret[2], &used) < 3)
		return false;
	if (text[used] == '-' && sscanf(text + used, "-%ld-g%n", &ret[3], &more) == 1 && more == 0)
		ret[3] = 0;
	return true;
}

int mesh_version_compare(const char *a, const char *b, bool *known)
{
	long x[4], y[4];

	*known = strcmp(a, b) == 0;
	if (*known)
		return 0;
	*known = numbers(a, x) && numbers(b, y);
	for (int i = 0; *known && i < 4; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}
