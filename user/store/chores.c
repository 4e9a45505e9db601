/* SPDX-License-Identifier: Apache-2.0 */
#include "store/chores.h"

#include "core/mem.h"
#include "store/dynamic.h"
#include "store/write.h"

static bool is(const struct mesh_resource *res, const char *id)
{
	return strcmp(res->id, id) == 0;
}

static void mark(struct mesh_map *set, const char *key)
{
	static char present;

	if (key && key[0])
		mesh_map_put_str(set, key, &present);
}

void mesh_chores_changed(struct mesh_store *store, enum mesh_change type, struct mesh_resource *res, const json_t *obj)
{
	const char *uid = mesh_js_str(obj, "metadata.uid");

	if (is(res, "customresourcedefinitions.apiextensions.k8s.io"))
		mesh_dynamic_changed(store, type, obj);
	if (type == MESH_CHANGE_DELETED)
		mark(&store->gone_uids, uid);
	else if (json_array_size(mesh_js_at(obj, "metadata.ownerReferences")))
		mark(&store->new_dependents, uid);
	if (type != MESH_CHANGE_DELETED && mesh_js_text(obj, "metadata.deletionTimestamp")) {
		if (is(res, "namespaces"))
			mark(&store->ending_namespaces, mesh_js_str(obj, "metadata.name"));
		if (json_array_size(mesh_js_at(obj, "metadata.finalizers")))
			mark(&store->gone_uids, uid);
	}
	if (type == MESH_CHANGE_DELETED && mesh_js_str(obj, "metadata.namespace")[0]) {
		struct mesh_resource *namespaces = mesh_state_resource(store->state, "", "namespaces");
		struct mesh_entry *ns = mesh_state_get(namespaces, "", mesh_js_str(obj, "metadata.namespace"));

		if (ns && mesh_js_text(ns->obj, "metadata.deletionTimestamp"))
			mark(&store->ending_namespaces, ns->name);
	}
	if (type == MESH_CHANGE_ADDED && is(res, "namespaces"))
		mark(&store->new_namespaces, mesh_js_str(obj, "metadata.name"));
}

void mesh_chores_schedule(struct mesh_store *store)
{
	if ((store->gone_uids.count || store->new_dependents.count || store->ending_namespaces.count ||
	     store->new_namespaces.count) &&
	    !store->chores.heap_at)
		mesh_timer_set(store->loop, &store->chores, 0);
}

/* --- garbage collection --- */

static bool owns(const json_t *ref, const char *uid)
{
	return strcmp(mesh_js_str(ref, "uid"), uid) == 0;
}

static bool has_owner(const json_t *obj, const char *uid)
{
	size_t i;
	json_t *ref;

	json_array_foreach(mesh_js_at(obj, "metadata.ownerReferences"), i, ref) if (owns(ref, uid)) return true;
	return false;
}

static bool any_owner_left(struct mesh_store *store, const json_t *obj)
{
	size_t i;
	json_t *ref;

	json_array_foreach(mesh_js_at(obj, "metadata.ownerReferences"), i,
			   ref) if (mesh_state_by_uid(store->state, mesh_js_str(ref, "uid"))) return true;
	return false;
}

typedef void entry_fn(struct mesh_store *store, struct mesh_entry *e, void *arg);

/* Calls fn for each dependent of uid; fn may remove it. */
static size_t each_dependent(struct mesh_store *store, const char *uid, entry_fn *fn, void *arg)
{
	size_t found = 0;

	for (size_t r = 0; r < store->state->resources.count; r++) {
		struct mesh_resource *res = store->state->resources.items[r];

		for (size_t i = res->entries.count; i-- > 0;) {
			if (i >= res->entries.count || !has_owner(res->entries.items[i]->obj, uid))
				continue;
			found++;
			if (fn)
				fn(store, res->entries.items[i], arg);
		}
	}
	return found;
}

static void delete_entry(struct mesh_store *store, struct mesh_entry *e, void *arg)
{
	const struct mesh_delete_opts opts = {.grace = -1};
	bool gone;

	(void)arg;
	json_decref(mesh_write_delete(store, e, &opts, &gone));
}

static void delete_if_alone(struct mesh_store *store, struct mesh_entry *e, void *arg)
{
	if (!any_owner_left(store, e->obj))
		delete_entry(store, e, arg);
}

/* A copy of e's object with its metadata's own copy, to be changed. */
static json_t *open_copy(const struct mesh_entry *e)
{
	json_t *obj = json_copy(e->obj);

	json_object_set_new(obj, "metadata", json_copy(json_object_get(e->obj, "metadata")));
	return obj;
}

static void disown(struct mesh_store *store, struct mesh_entry *e, void *arg)
{
	json_t *obj = open_copy(e), *meta = json_object_get(obj, "metadata"), *left = json_array(), *ref;
	size_t i;

	json_array_foreach(json_object_get(meta, "ownerReferences"), i, ref) if (!owns(ref, arg))
		json_array_append(left, ref);
	if (json_array_size(left))
		json_object_set(meta, "ownerReferences", left);
	else
		json_object_del(meta, "ownerReferences");
	json_decref(left);
	mesh_write_replace(store, e, obj);
}

static void drop_finalizer(struct mesh_store *store, struct mesh_entry *e, const char *name)
{
	json_t *obj = open_copy(e), *meta = json_object_get(obj, "metadata"), *left = json_array(), *item;
	size_t i;

	json_array_foreach(json_object_get(meta, "finalizers"), i, item) if (strcmp(json_string_value(item), name) != 0)
		json_array_append(left, item);
	if (json_array_size(left))
		json_object_set(meta, "finalizers", left);
	else
		json_object_del(meta, "finalizers");
	json_decref(left);
	mesh_write_settle(store, mesh_write_replace(store, e, obj));
}

/* An owner that waits for its dependents: orphans them, or goes once they are gone. */
static void finalize(struct mesh_store *store, struct mesh_entry *e)
{
	const json_t *finalizers = mesh_js_at(e->obj, "metadata.finalizers");
	mesh_auto_free char *uid = mesh_xstrdup(e->uid);

	if (mesh_js_has(finalizers, "orphan")) {
		each_dependent(store, uid, disown, uid);
		drop_finalizer(store, e, "orphan");
	} else if (mesh_js_has(finalizers, "foregroundDeletion")) {
		each_dependent(store, uid, delete_entry, NULL);
		if (each_dependent(store, uid, NULL, NULL) == 0)
			drop_finalizer(store, e, "foregroundDeletion");
	}
}

/* Owners in foreground deletion are looked at again whenever something is gone. */
static void recheck_foreground(struct mesh_store *store, struct mesh_map *gone)
{
	for (size_t r = 0; r < store->state->resources.count; r++)
		mesh_vec_each (e, &store->state->resources.items[r]->entries)
			if (mesh_js_text((*e)->obj, "metadata.deletionTimestamp") &&
			    mesh_js_has(mesh_js_at((*e)->obj, "metadata.finalizers"), "foregroundDeletion"))
				mark(gone, (*e)->uid);
}

static void collect(struct mesh_store *store)
{
	struct mesh_map gone = store->gone_uids, fresh = store->new_dependents;

	memset(&store->gone_uids, 0, sizeof(store->gone_uids));
	memset(&store->new_dependents, 0, sizeof(store->new_dependents));
	if (gone.count)
		recheck_foreground(store, &gone);
	mesh_map_each (g, &gone) {
		struct mesh_entry *e = mesh_state_by_uid(store->state, g->key);

		if (e)
			finalize(store, e);
		else
			each_dependent(store, g->key, delete_if_alone, NULL);
	}
	mesh_map_each (f, &fresh) {
		struct mesh_entry *e = mesh_state_by_uid(store->state, f->key);

		if (e && json_array_size(mesh_js_at(e->obj, "metadata.ownerReferences")) &&
		    !any_owner_left(store, e->obj))
			delete_entry(store, e, NULL);
	}
	mesh_map_free(&gone);
	mesh_map_free(&fresh);
}

/* --- namespaces --- */

/* Deletes what is in a namespace; removes the namespace once it is empty. */
static void empty_namespace(struct mesh_store *store, const char *name)
{
	struct mesh_resource *namespaces = mesh_state_resource(store->state, "", "namespaces");
	struct mesh_entry *ns = mesh_state_get(namespaces, "", name);
	size_t left = 0;

	if (!ns || !mesh_js_text(ns->obj, "metadata.deletionTimestamp"))
		return;
	for (size_t r = 0; r < store->state->resources.count; r++) {
		struct mesh_resource *res = store->state->resources.items[r];

		if (!(res->kind->flags & MESH_KIND_NAMESPACED))
			continue;
		for (size_t i = mesh_state_seek(res, name, ""); i < res->entries.count;) {
			struct mesh_entry *e = res->entries.items[i];
			const struct mesh_delete_opts opts = {.grace = -1};
			bool gone;

			if (strcmp(e->ns, name) != 0)
				break;
			json_decref(mesh_write_delete(store, e, &opts, &gone));
			if (!gone) {
				left++;
				i++;
			}
		}
	}
	if (left || json_array_size(mesh_js_at(ns->obj, "metadata.finalizers")))
		return;
	mesh_state_remove(store->state, ns);
	mesh_api_changed(store);
}

void mesh_chores_run(struct mesh_store *store)
{
	struct mesh_map fresh = store->new_namespaces, ending = store->ending_namespaces;

	memset(&store->new_namespaces, 0, sizeof(fresh));
	memset(&store->ending_namespaces, 0, sizeof(ending));
	mesh_map_each (n, &fresh) {
		struct mesh_entry *ns = mesh_state_get(mesh_state_resource(store->state, "", "namespaces"), "", n->key);

		if (ns && !mesh_js_text(ns->obj, "metadata.deletionTimestamp"))
			mesh_builtin_namespace(store, n->key);
	}
	collect(store);
	mesh_map_each (e, &ending)
		empty_namespace(store, e->key);
	mesh_map_free(&fresh);
	mesh_map_free(&ending);
}
