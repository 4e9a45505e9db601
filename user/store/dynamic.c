/* SPDX-License-Identifier: Apache-2.0 */
#include "store/dynamic.h"

#include "core/mem.h"
#include "store/meta.h"
#include "store/structural.h"

#include <time.h>

/* A kind made at run time. Kept for ever once made: watches and the log may point to it. */
struct dynamic {
	struct mesh_kind kind;
	struct mesh_schema schema;
	struct mesh_arena arena;
	json_t *spec; /* of the definition: a reference */
};

static const char **texts(struct mesh_arena *arena, const json_t *array)
{
	const char **out = mesh_arena_array(arena, const char *, json_array_size(array) + 1);
	size_t i, n = 0;
	json_t *item;

	json_array_foreach((json_t *)array, i, item) if (json_is_string(item)) out[n++] =
		mesh_arena_strdup(arena, json_string_value(item));
	return out;
}

/* Age first in line is what a definition without columns gets. */
static const struct mesh_column *columns_of(struct mesh_arena *arena, const json_t *version)
{
	const json_t *list = json_object_get(version, "additionalPrinterColumns");
	struct mesh_column *columns = mesh_arena_array(arena, struct mesh_column, json_array_size(list) + 2);
	size_t i;
	json_t *c;

	json_array_foreach((json_t *)list, i, c)
	{
		columns[i].name = mesh_arena_strdup(arena, mesh_js_str(c, "name"));
		columns[i].type = mesh_arena_strdup(arena, mesh_js_str(c, "type"));
		columns[i].help = mesh_arena_strdup(arena, mesh_js_str(c, "description"));
		columns[i].priority = (int)mesh_js_int(c, "priority", 0);
		columns[i].json_path = mesh_arena_strdup(arena, mesh_js_str(c, "jsonPath"));
	}
	if (json_array_size(list) == 0)
		columns[0] = (struct mesh_column){
			.name = "Age", .type = "date", .help = "", .json_path = ".metadata.creationTimestamp"};
	return columns;
}

static void fill_versions(struct dynamic *d, const json_t *spec)
{
	const json_t *list = json_object_get(spec, "versions");
	const char **names = mesh_arena_array(&d->arena, const char *, json_array_size(list) + 1);
	size_t i, n = 0;
	json_t *v;

	json_array_foreach((json_t *)list, i, v)
	{
		const char *name = mesh_arena_strdup(&d->arena, mesh_js_str(v, "name"));

		if (!json_is_false(json_object_get(v, "served")))
			names[n++] = name;
		if (json_is_true(json_object_get(v, "storage"))) {
			d->kind.storage_version = name;
			d->kind.columns = columns_of(&d->arena, v);
			if (json_object_get(json_object_get(v, "subresources"), "status"))
				d->kind.flags |= MESH_KIND_STATUS;
			if (json_object_get(json_object_get(v, "subresources"), "scale"))
				d->kind.flags |= MESH_KIND_SCALE;
		}
	}
	d->kind.versions = names;
	if (!d->kind.storage_version)
		d->kind.storage_version = n ? names[0] : "v1";
	if (!d->kind.columns)
		d->kind.columns = columns_of(&d->arena, NULL);
}

static struct dynamic *make(const json_t *definition)
{
	static const struct mesh_field none[] = {{.name = NULL}};
	const json_t *spec = json_object_get(definition, "spec"), *names = json_object_get(spec, "names");
	struct dynamic *d = mesh_xcalloc(1, sizeof(*d));
	const char *singular = mesh_js_str(names, "singular");

	d->kind.group = mesh_arena_strdup(&d->arena, mesh_js_str(spec, "group"));
	d->kind.kind = mesh_arena_strdup(&d->arena, mesh_js_str(names, "kind"));
	d->kind.plural = mesh_arena_strdup(&d->arena, mesh_js_str(names, "plural"));
	d->kind.singular = mesh_arena_strdup(&d->arena, singular);
	if (!singular[0]) {
		char *lower = mesh_arena_strdup(&d->arena, d->kind.kind);

		for (char *p = lower; *p; p++)
			*p = (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
		d->kind.singular = lower;
	}
	d->kind.short_names = texts(&d->arena, json_object_get(names, "shortNames"));
	d->kind.categories = texts(&d->arena, json_object_get(names, "categories"));
	d->kind.flags = MESH_KIND_GENERATION;
	if (strcmp(mesh_js_str(spec, "scope"), "Namespaced") == 0)
		d->kind.flags |= MESH_KIND_NAMESPACED;
	d->kind.help = "";
	d->schema = (struct mesh_schema){.name = d->kind.kind, .help = "", .fields = none, .open = true};
	d->kind.schema = &d->schema;
	d->spec = json_incref((json_t *)spec);
	fill_versions(d, spec);
	return d;
}

static bool says_all(const json_t *spec)
{
	return json_is_true(json_object_get(spec, "preserveUnknownFields"));
}

static void dynamic_free(struct dynamic *d)
{
	mesh_arena_free(&d->arena);
	json_decref(d->spec);
	free(d);
}

const json_t *mesh_dynamic_schema(const struct mesh_kind *kind, const char *version)
{
	const struct dynamic *d = mesh_container_of((struct mesh_kind *)kind, struct dynamic, kind);
	size_t i;
	json_t *v;

	json_array_foreach(json_object_get(d->spec, "versions"), i,
			   v) if (strcmp(mesh_js_str(v, "name"), version) == 0) return says_all(d->spec)
		? NULL
		: mesh_js_at(v, "schema.openAPIV3Schema");
	return NULL;
}

void mesh_dynamic_check(const json_t *definition, struct mesh_errs *errs, struct mesh_errs *warnings)
{
	size_t i;
	json_t *v;

	json_array_foreach(mesh_js_at(definition, "spec.versions"), i, v)
	{
		mesh_auto_free char *path = mesh_xasprintf("spec.versions[%zu].schema.openAPIV3Schema", i);

		mesh_structural_check_schema(mesh_js_at(v, "schema.openAPIV3Schema"), path, errs);
		if (warnings)
			mesh_structural_ignored(mesh_js_at(v, "schema.openAPIV3Schema"), path, warnings);
	}
}

void mesh_dynamic_changed(struct mesh_store *store, enum mesh_change type, const json_t *definition)
{
	const char *group = mesh_js_str(definition, "spec.group"),
		   *plural = mesh_js_str(definition, "spec.names.plural");
	struct mesh_resource *res = NULL;
	struct dynamic *d;

	mesh_vec_each (r, &store->state->resources)
		if (strcmp((*r)->kind->plural, plural) == 0 && strcmp((*r)->kind->group, group) == 0)
			res = *r;
	if (res && !res->dynamic)
		return;
	if (type == MESH_CHANGE_DELETED) {
		if (res)
			res->gone = true;
		return;
	}
	d = make(definition);
	if (!res) {
		mesh_state_add_resource(store->state, &d->kind, true);
		return;
	}
	/* The old description stays in memory: requests being served may hold it. */
	mesh_vec_push(&store->old_kinds, (void *)res->kind);
	res->kind = &d->kind;
	res->gone = false;
}

void mesh_dynamic_status(json_t *definition)
{
	char now[32];
	json_t *spec = json_object_get(definition, "spec"), *versions = json_array(), *v;
	size_t i;

	mesh_time_text(time(NULL), now);
	json_array_foreach(json_object_get(spec, "versions"), i, v) if (json_is_true(json_object_get(v, "storage")))
		json_array_append(versions, json_object_get(v, "name"));
	json_object_set_new(definition, "status",
			    json_pack("{s:O,s:[{s:s,s:s,s:s,s:s,s:s},{s:s,s:s,s:s,s:s,s:s}],s:o}", "acceptedNames",
				      json_object_get(spec, "names"), "conditions", "lastTransitionTime", now,
				      "message", "no conflicts found", "reason", "NoConflicts", "status", "True",
				      "type", "NamesAccepted", "lastTransitionTime", now, "message",
				      "the initial names have been accepted", "reason", "InitialNamesAccepted",
				      "status", "True", "type", "Established", "storedVersions", versions));
}

void mesh_dynamic_free(struct mesh_store *store)
{
	mesh_vec_each (r, &store->state->resources)
		if ((*r)->dynamic)
			dynamic_free(mesh_container_of((*r)->kind, struct dynamic, kind));
	mesh_vec_each (k, &store->old_kinds)
		dynamic_free(mesh_container_of((struct mesh_kind *)*k, struct dynamic, kind));
	mesh_vec_free(&store->old_kinds);
}
