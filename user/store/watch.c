/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch: a stream of changes from a resourceVersion on, filtered as the list would be. What a client has not read yet
 * is bounded: above MESH_SERVE_OUT_MAX its changes stay in the log, until it reads on or the log has moved past it.
 */
#include "store/call.h"

#include "core/mem.h"

#include <errno.h>

enum { BOOKMARK_S = 60, TIMEOUT_MIN_S = 1800, TIMEOUT_SPREAD_S = 1800 };

struct mesh_watcher {
	struct mesh_watcher *next, *prev;
	struct mesh_call call; /* in the request's arena, like all it points to */
	struct mesh_list_opts opts;
	struct mesh_timer bookmark, timeout;
	uint64_t rv; /* told up to here */
	bool bookmarks, columns_sent;
	size_t unread; /* when a bookmark was last due: a client that has taken nothing since then is gone */
};

static void unlink_watcher(struct mesh_watcher *w)
{
	struct mesh_store *store = w->call.store;

	mesh_timer_remove(store->loop, &w->bookmark);
	mesh_timer_remove(store->loop, &w->timeout);
	if (w->prev)
		w->prev->next = w->next;
	else
		store->watchers = w->next;
	if (w->next)
		w->next->prev = w->prev;
}

static void watch_closed(struct mesh_request *req)
{
	unlink_watcher(req->data);
}

/* Ends a watch; w is gone after. */
static void finish(struct mesh_watcher *w, bool drop)
{
	struct mesh_request *req = w->call.req;

	unlink_watcher(w);
	req->closed = NULL;
	if (drop)
		mesh_request_drop(req);
	else
		mesh_request_end(req);
}

/* Sends one event; returns false if the client is gone. obj is taken. */
static bool send_event(struct mesh_watcher *w, const char *type, json_t *obj)
{
	struct mesh_buf out = {0};
	int r;

	mesh_buf_printf(&out, "{\"type\":\"%s\",\"object\":", type);
	mesh_js_write(&out, obj);
	mesh_buf_str(&out, "}\n");
	json_decref(obj);
	r = mesh_request_chunk(w->call.req, mesh_buf_view(&out));
	mesh_buf_free(&out);
	return r == 0;
}

static json_t *shaped(struct mesh_watcher *w, const json_t *obj)
{
	json_t *seen = mesh_call_present(&w->call, obj), *items;

	if (w->call.shape == MESH_SHAPE_OBJECT)
		return seen;
	if (w->call.shape == MESH_SHAPE_PARTIAL) {
		json_t *meta = mesh_partial_metadata(seen);

		json_decref(seen);
		return meta;
	}
	items = json_array();
	json_array_append_new(items, seen);
	items = mesh_call_table(&w->call, items, mesh_js_text(obj, "metadata.resourceVersion"), !w->columns_sent);
	w->columns_sent = true;
	return items;
}

static bool selects(const struct mesh_watcher *w, const json_t *obj)
{
	return obj && mesh_selector_labels(&w->opts.labels, obj) && mesh_selector_fields(&w->opts.fields, obj);
}

/* An object that leaves the selection is deleted to this watcher, one that enters it is added. */
static bool tell(struct mesh_watcher *w, const struct mesh_event *ev)
{
	bool was, is;

	if (ev->resource != w->call.res || (w->call.ns[0] && strcmp(ev->ns, w->call.ns) != 0))
		return true;
	was = ev->type != MESH_CHANGE_ADDED && selects(w, ev->before);
	is = ev->type != MESH_CHANGE_DELETED && selects(w, ev->obj);
	if (is)
		return send_event(w, was ? "MODIFIED" : "ADDED", shaped(w, ev->obj));
	if (!was)
		return true;
	if (ev->type == MESH_CHANGE_DELETED)
		return send_event(w, "DELETED", shaped(w, ev->obj));
	/* Its last state in the selection, with the version of the change. */
	json_t *last = json_copy(ev->before), *meta = json_copy(json_object_get(ev->before, "metadata"));
	bool ok;

	json_object_set(meta, "resourceVersion", mesh_js_at(ev->obj, "metadata.resourceVersion"));
	json_object_set_new(last, "metadata", meta);
	ok = send_event(w, "DELETED", shaped(w, last));
	json_decref(last);
	return ok;
}

/* The client has enough to read for now. */
static bool full(const struct mesh_watcher *w)
{
	return mesh_request_pending(w->call.req) >= MESH_SERVE_OUT_MAX;
}

static bool send_expired(struct mesh_watcher *w, uint64_t rv)
{
	mesh_auto_free char *text =
		mesh_xasprintf("too old resource version: %llu (%llu)", (unsigned long long)rv,
			       (unsigned long long)MESH_MAX(w->call.store->state->oldest, (uint64_t)1));

	return send_event(w, "ERROR", mesh_status_new(410, "Expired", text, NULL));
}

/* Tells what has been committed, as far as the client takes it. Returns false when the watch is over: the client is
 * gone, or so far behind that it has to list again, which it was told. */
static bool catch_up(struct mesh_watcher *w)
{
	struct mesh_state *state = w->call.store->state;

	if (full(w))
		return true;
	if (w->rv < state->oldest) {
		send_expired(w, w->rv);
		return false;
	}
	for (size_t i = mesh_state_after(state, w->rv); i < state->log.count; i++) {
		const struct mesh_event *ev = &state->log.items[i];

		if (ev->rv > state->committed)
			break;
		if (full(w))
			return true;
		if (!tell(w, ev))
			return false;
		w->rv = ev->rv;
	}
	w->rv = MESH_MAX(w->rv, state->committed);
	return true;
}

/* Goes on after a commit, or when the client has read; w may be gone after. */
static void go_on(struct mesh_watcher *w)
{
	bool ok = catch_up(w);

	if (!ok || (w->call.res->gone && w->rv >= w->call.store->state->committed))
		finish(w, false);
}

static void watch_drained(struct mesh_request *req)
{
	struct mesh_watcher *w = req->data;

	if (w->rv < w->call.store->state->committed)
		go_on(w);
}

static bool send_bookmark(struct mesh_watcher *w, bool initial)
{
	json_t *meta = json_object(), *obj;
	char rv[24];

	snprintf(rv, sizeof(rv), "%llu", (unsigned long long)w->rv);
	mesh_js_set(meta, "resourceVersion", rv);
	if (initial)
		json_object_set_new(meta, "annotations", json_pack("{s:s}", "k8s.io/initial-events-end", "true"));
	obj = json_pack("{s:s,s:s,s:o}", "kind", w->call.kind->kind, "apiVersion",
			w->call.group[0] ? mesh_arena_printf(w->call.arena, "%s/%s", w->call.group, w->call.version)
					 : w->call.version,
			"metadata", meta);
	if (w->call.shape == MESH_SHAPE_OBJECT)
		return send_event(w, "BOOKMARK", obj);
	json_t *seen = shaped(w, obj);

	json_decref(obj);
	return send_event(w, "BOOKMARK", seen);
}

static void on_bookmark(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_watcher *w = mesh_container_of(timer, struct mesh_watcher, bookmark);
	size_t unread = mesh_request_pending(w->call.req);
	bool stuck = unread && unread == w->unread;

	if (stuck || (w->bookmarks && !full(w) && !send_bookmark(w, false))) {
		finish(w, true);
		return;
	}
	w->unread = mesh_request_pending(w->call.req);
	mesh_timer_set(loop, timer, MESH_SEC(BOOKMARK_S));
}

static void on_timeout(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_watcher *w = mesh_container_of(timer, struct mesh_watcher, timeout);
	bool ok = !w->bookmarks || send_bookmark(w, false);

	(void)loop;
	finish(w, !ok);
}

void mesh_watch_dispatch(struct mesh_store *store)
{
	struct mesh_watcher *next;

	if (store->dispatched == store->state->committed)
		return;
	store->dispatched = store->state->committed;
	for (struct mesh_watcher *w = store->watchers; w; w = next) {
		next = w->next;
		go_on(w);
	}
}

void mesh_watch_free_all(struct mesh_store *store)
{
	while (store->watchers)
		finish(store->watchers, true);
}

/* What exists now, as ADDED: all of it at once, since it is of one moment. It is bounded by the state. */
static bool send_current(struct mesh_watcher *w)
{
	mesh_vec_each (e, &w->call.res->entries) {
		if ((w->call.ns[0] && strcmp((*e)->ns, w->call.ns) != 0) || !selects(w, (*e)->obj))
			continue;
		if (!send_event(w, "ADDED", shaped(w, (*e)->obj)))
			return false;
	}
	return true;
}

static void set_timers(struct mesh_watcher *w)
{
	const char *text = mesh_request_param(w->call.req, "timeoutSeconds");
	uint64_t seconds = 0;

	w->bookmark.fn = on_bookmark;
	w->timeout.fn = on_timeout;
	if (text)
		mesh_slice_to_u64(mesh_slice_str(text), 86400, &seconds);
	if (seconds == 0)
		seconds = TIMEOUT_MIN_S + mesh_now_ns() % TIMEOUT_SPREAD_S;
	mesh_timer_set(w->call.store->loop, &w->bookmark, MESH_SEC(BOOKMARK_S));
	mesh_timer_set(w->call.store->loop, &w->timeout, MESH_SEC(seconds));
}

static bool begin(struct mesh_watcher *w, bool initial_events)
{
	struct mesh_state *state = w->call.store->state;

	if (w->opts.rv == 0 || initial_events) {
		if (!send_current(w))
			return false;
		w->rv = state->committed;
		if (initial_events && w->bookmarks && !send_bookmark(w, true))
			return false;
	} else {
		w->rv = w->opts.rv;
		if (!catch_up(w))
			return false;
	}
	return true;
}

void mesh_call_watch(struct mesh_call *call)
{
	struct mesh_watcher *w = mesh_arena_new(call->arena, struct mesh_watcher);
	const char *bookmarks = mesh_request_param(call->req, "allowWatchBookmarks");
	const char *initial = mesh_request_param(call->req, "sendInitialEvents");
	bool initial_events = initial && strcmp(initial, "true") == 0;
	struct mesh_state *state = call->store->state;

	if (!mesh_call_list_opts(call, &w->opts))
		return;
	if (initial && !(w->opts.match && strcmp(w->opts.match, "NotOlderThan") == 0)) {
		mesh_call_status(
			call, 422, "Invalid", NULL,
			"ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents "
			"requires setting resourceVersionMatch to NotOlderThan");
		return;
	}
	w->call = *call;
	w->call.arena = &call->req->arena;
	w->bookmarks = bookmarks && (strcmp(bookmarks, "true") == 0 || strcmp(bookmarks, "1") == 0);
	call->req->data = w;
	mesh_request_stream(call->req, 200, "application/json;stream=watch");
	w->next = call->store->watchers;
	if (w->next)
		w->next->prev = w;
	call->store->watchers = w;
	call->req->closed = watch_closed;
	call->req->drained = watch_drained;
	if (!initial_events && w->opts.rv && (w->opts.rv < state->oldest || w->opts.rv > state->rv)) {
		finish(w, !send_expired(w, w->opts.rv));
		return;
	}
	if (!begin(w, initial_events)) {
		finish(w, true);
		return;
	}
	set_timers(w);
}
