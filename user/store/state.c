/* SPDX-License-Identifier: Apache-2.0 */
#include "store/state.h"

#include "core/log.h"
#include "core/mem.h"
#include "store/json.h"

#include <errno.h>

enum { LOG_EVENTS = 20000, LOG_BYTES = 64 << 20, LOG_SLACK = 8 };

static void entry_free(struct mesh_entry *e)
{
	json_decref(e->obj);
	free(e->ns);
	free(e->name);
	free(e->uid);
	free(e);
}

static void event_free(struct mesh_event *e)
{
	json_decref(e->obj);
	json_decref(e->before);
	free(e->ns);
	free(e->name);
}

int mesh_state_open(struct mesh_state **ret, const char *path, struct mesh_errs *errs)
{
	struct mesh_state *state = mesh_xcalloc(1, sizeof(*state));
	int r = mesh_db_open(&state->db, path, errs);

	if (r < 0) {
		free(state);
		return r;
	}
	state->log_limit = LOG_EVENTS;
	*ret = state;
	return 0;
}

static void forget(struct mesh_state *state)
{
	mesh_vec_each (res, &state->resources) {
		mesh_vec_each (e, &(*res)->entries)
			entry_free(*e);
		(*res)->entries.count = 0;
	}
	mesh_vec_each (ev, &state->log)
		event_free(ev);
	state->log.count = 0;
	state->log_bytes = 0;
	mesh_map_free(&state->by_uid);
	memset(&state->by_uid, 0, sizeof(state->by_uid));
}

void mesh_state_free(struct mesh_state *state)
{
	if (!state)
		return;
	forget(state);
	mesh_vec_each (res, &state->resources) {
		mesh_vec_free(&(*res)->entries);
		free((*res)->id);
		free(*res);
	}
	mesh_vec_free(&state->resources);
	mesh_vec_free(&state->log);
	mesh_db_rollback(state->db);
	mesh_db_free(state->db);
	free(state);
}

struct mesh_resource *mesh_state_resource(struct mesh_state *state, const char *group, const char *plural)
{
	mesh_vec_each (res, &state->resources)
		if (strcmp((*res)->kind->plural, plural) == 0 && strcmp((*res)->kind->group, group) == 0 &&
		    !(*res)->gone)
			return *res;
	return NULL;
}

struct mesh_resource *mesh_state_add_resource(struct mesh_state *state, const struct mesh_kind *kind, bool dynamic)
{
	struct mesh_resource *res = mesh_xcalloc(1, sizeof(*res));

	res->kind = kind;
	res->dynamic = dynamic;
	res->id = kind->group[0] ? mesh_xasprintf("%s.%s", kind->plural, kind->group) : mesh_xstrdup(kind->plural);
	mesh_vec_push(&state->resources, res);
	return res;
}

static int compare(const struct mesh_entry *e, const char *ns, const char *name)
{
	int c = strcmp(e->ns, ns);

	return c ? c : strcmp(e->name, name);
}

size_t mesh_state_seek(const struct mesh_resource *resource, const char *ns, const char *name)
{
	size_t low = 0, high = resource->entries.count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare(resource->entries.items[mid], ns, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct mesh_entry *mesh_state_get(const struct mesh_resource *resource, const char *ns, const char *name)
{
	size_t at = mesh_state_seek(resource, ns, name);

	if (at == resource->entries.count || compare(resource->entries.items[at], ns, name) != 0)
		return NULL;
	return resource->entries.items[at];
}

struct mesh_entry *mesh_state_by_uid(const struct mesh_state *state, const char *uid)
{
	return mesh_map_get_str(&state->by_uid, uid);
}

static struct mesh_entry *insert(struct mesh_state *state, struct mesh_resource *resource, const char *ns,
				 const char *name, json_t *obj, uint64_t rv)
{
	size_t at = mesh_state_seek(resource, ns, name);
	struct mesh_entry *e = mesh_xcalloc(1, sizeof(*e));

	*e = (struct mesh_entry){
		resource, mesh_xstrdup(ns), mesh_xstrdup(name), mesh_xstrdup(mesh_js_str(obj, "metadata.uid")), rv,
		obj};
	mesh_vec_push(&resource->entries, NULL);
	memmove(&resource->entries.items[at + 1], &resource->entries.items[at],
		(resource->entries.count - 1 - at) * sizeof(e));
	resource->entries.items[at] = e;
	if (e->uid[0])
		mesh_map_put_str(&state->by_uid, e->uid, e);
	return e;
}

static int load_object(void *arg, const struct mesh_db_row *row)
{
	struct mesh_state *state = arg;
	struct mesh_resource *res = mesh_state_resource(state, row->group, row->plural);
	mesh_auto_free char *error = NULL;
	json_t *obj;

	if (!res) /* of a kind that this build does not know: left alone on disk */
		return 0;
	obj = mesh_js_load(row->body, &error);
	if (!obj) {
		mesh_error("store: %s %s/%s cannot be read: %s", res->id, row->ns, row->name, error);
		return -EBADMSG;
	}
	insert(state, res, row->ns, row->name, obj, row->rv);
	if (state->changed)
		state->changed(state->changed_arg, MESH_CHANGE_ADDED, res, obj);
	return 0;
}

static int load_definition(void *arg, const struct mesh_db_row *row)
{
	struct mesh_state *state = arg;
	struct mesh_resource *res = mesh_state_resource(state, row->group, row->plural);
	mesh_auto_free char *error = NULL;
	json_t *obj = mesh_js_load(row->body, &error);

	if (obj && res && state->changed)
		state->changed(state->changed_arg, MESH_CHANGE_ADDED, res, obj);
	json_decref(obj);
	return 0;
}

static int load_event(void *arg, const struct mesh_db_row *row)
{
	struct mesh_state *state = arg;
	struct mesh_resource *res = mesh_state_resource(state, row->group, row->plural);
	mesh_auto_free char *error = NULL, *error2 = NULL;
	struct mesh_event ev;

	if (!res)
		return 0;
	ev = (struct mesh_event){.type = (enum mesh_change)row->type,
				 .rv = row->rv,
				 .resource = res,
				 .ns = mesh_xstrdup(row->ns),
				 .name = mesh_xstrdup(row->name),
				 .obj = mesh_js_load(row->body, &error),
				 .before = row->before.len ? mesh_js_load(row->before, &error2) : NULL,
				 .size = row->body.len + row->before.len};
	if (!ev.obj || error2) {
		event_free(&ev);
		return -EBADMSG;
	}
	mesh_vec_push(&state->log, ev);
	state->log_bytes += ev.size;
	return 0;
}

int mesh_state_load(struct mesh_state *state, struct mesh_errs *errs)
{
	int r;

	forget(state);
	mesh_vec_each (res, &state->resources)
		(*res)->gone |= (*res)->dynamic; /* until its definition is met */
	state->rv = state->committed = mesh_db_get(state->db, "rv", 1);
	state->oldest = mesh_db_get(state->db, "oldest", 1);
	state->failed = false;
	/* Definitions first: they make the kinds that other rows are of. */
	r = mesh_db_objects(state->db, "apiextensions.k8s.io", "customresourcedefinitions", load_definition, state);
	if (r == 0)
		r = mesh_db_objects(state->db, NULL, NULL, load_object, state);
	if (r == 0)
		r = mesh_db_log(state->db, load_event, state);
	if (r < 0)
		mesh_errs_add(errs, "the stored state cannot be read: %s", mesh_db_error(state->db));
	state->broken = r < 0;
	return r;
}

static void note(struct mesh_state *state, int r)
{
	if (r < 0)
		state->failed = true;
}

/* Keeps the log within its limits; drops an eighth at a time. */
static void trim(struct mesh_state *state)
{
	size_t drop = 0, bytes = 0;

	if (state->log.count <= state->log_limit && state->log_bytes <= LOG_BYTES)
		return;
	while (drop < state->log.count && (state->log.count - drop > state->log_limit - state->log_limit / LOG_SLACK ||
					   state->log_bytes - bytes > LOG_BYTES - LOG_BYTES / LOG_SLACK))
		bytes += state->log.items[drop++].size;
	if (drop == 0)
		return;
	state->oldest = state->log.items[drop - 1].rv;
	for (size_t i = 0; i < drop; i++)
		event_free(&state->log.items[i]);
	memmove(state->log.items, state->log.items + drop, (state->log.count - drop) * sizeof(state->log.items[0]));
	state->log.count -= drop;
	state->log_bytes -= bytes;
	note(state, mesh_db_trim(state->db, state->oldest));
	note(state, mesh_db_set(state->db, "oldest", state->oldest));
}

static void record(struct mesh_state *state, enum mesh_change type, struct mesh_entry *e, json_t *before)
{
	const struct mesh_kind *kind = e->resource->kind;
	struct mesh_buf body = {0}, old = {0};
	struct mesh_db_row row = {kind->group, kind->plural, e->ns, e->name, e->rv, (int)type, {0}, {0}};
	struct mesh_event ev = {.type = type,
				.rv = e->rv,
				.resource = e->resource,
				.ns = mesh_xstrdup(e->ns),
				.name = mesh_xstrdup(e->name),
				.obj = json_incref(e->obj),
				.before = json_incref(before)};

	mesh_js_write(&body, e->obj);
	if (before)
		mesh_js_write(&old, before);
	row.body = mesh_buf_view(&body);
	row.before = mesh_buf_view(&old);
	note(state, type == MESH_CHANGE_DELETED ? mesh_db_remove(state->db, &row) : mesh_db_put(state->db, &row));
	note(state, mesh_db_append(state->db, &row));
	note(state, mesh_db_set(state->db, "rv", e->rv));
	ev.size = body.len + old.len;
	mesh_buf_free(&body);
	mesh_buf_free(&old);
	mesh_vec_push(&state->log, ev);
	state->log_bytes += ev.size;
	trim(state);
	if (state->changed)
		state->changed(state->changed_arg, type, e->resource, e->obj);
}

static void stamp(json_t *obj, uint64_t rv)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)rv);
	mesh_js_set(mesh_js_make(obj, "metadata"), "resourceVersion", text);
}

struct mesh_entry *mesh_state_put(struct mesh_state *state, struct mesh_resource *resource, json_t *obj)
{
	const char *ns = mesh_js_str(obj, "metadata.namespace"), *name = mesh_js_str(obj, "metadata.name");
	struct mesh_entry *e = mesh_state_get(resource, ns, name);
	json_t *before = NULL;

	stamp(obj, ++state->rv);
	if (e) {
		before = e->obj;
		e->obj = obj;
		e->rv = state->rv;
	} else {
		e = insert(state, resource, ns, name, obj, state->rv);
	}
	record(state, before ? MESH_CHANGE_MODIFIED : MESH_CHANGE_ADDED, e, before);
	json_decref(before);
	return e;
}

uint64_t mesh_state_remove(struct mesh_state *state, struct mesh_entry *e)
{
	struct mesh_resource *res = e->resource;
	size_t at = mesh_state_seek(res, e->ns, e->name);
	json_t *before = e->obj, *last = json_copy(before);

	json_object_set_new(last, "metadata", json_copy(json_object_get(before, "metadata")));
	stamp(last, ++state->rv);
	e->obj = last;
	e->rv = state->rv;
	mesh_vec_remove(&res->entries, at);
	if (mesh_map_get_str(&state->by_uid, e->uid) == e)
		mesh_map_remove_str(&state->by_uid, e->uid);
	record(state, MESH_CHANGE_DELETED, e, before);
	json_decref(before);
	entry_free(e);
	return state->rv;
}

bool mesh_state_dirty(const struct mesh_state *state)
{
	return mesh_db_busy(state->db) || state->failed;
}

int mesh_state_commit(struct mesh_state *state)
{
	int r;

	if (!mesh_state_dirty(state))
		return 0;
	r = state->failed ? -EIO : mesh_db_commit(state->db);
	if (r == 0) {
		state->committed = state->rv;
		return 0;
	}
	mesh_error("store: a write failed, its requests are refused: %s", mesh_db_error(state->db));
	mesh_db_rollback(state->db);
	if (mesh_state_load(state, NULL) < 0)
		mesh_error("store: the state could not be read again: %s", mesh_db_error(state->db));
	return r;
}

size_t mesh_state_after(const struct mesh_state *state, uint64_t rv)
{
	size_t low = 0, high = state->log.count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (state->log.items[mid].rv <= rv)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}
