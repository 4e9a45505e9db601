/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/feed_internal.h"

#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>

#define GRACE_NS   MESH_SEC(1)  /* a start waits so long for an API that has trouble, then takes what was saved */
#define SILENCE_NS MESH_MS(500) /* of which nothing is heard that long has some */
#define PATIENCE   MESH_SEC(5)  /* and so long for one that has more to say every time */
#define HOLD_NS                                                                                                        \
	MESH_SEC(10)            /* changes are held back so long for streams that are not in step: an API server that  \
				     starts refuses with 403 until it knows its roles */
#define HURRY_NS   MESH_MS(250) /* which try again as often while others are answered */
#define LOOK_NS    MESH_MS(20)  /* how often it is looked at meanwhile */
#define NODE_QUERY "fieldSelector=spec.nodeName%%3D%s"

/* Whether this uid and generation were seen before; remembers them, also of an object that cannot be used: what follows
 * from the same generation (its status) cannot be either, and need not be said again. */
static bool seen_generation(struct feed_watch *w, struct mesh_slice key, const json_t *obj)
{
	json_t *generation = json_object_get(json_object_get(obj, "metadata"), "generation");
	char *now, *before;
	bool same;

	if (!w->kind->generation || !json_is_integer(generation))
		return false;
	now = mesh_xasprintf("%s %lld", mesh_meta(obj, "uid"), (long long)json_integer_value(generation));
	before = mesh_map_put(&w->generations, key, now);
	same = before && strcmp(before, now) == 0;
	free(before);
	return same;
}

static enum mesh_feed_change apply_set(struct feed_watch *w, struct mesh_slice key, const json_t *obj)
{
	int r;

	if (seen_generation(w, key, obj))
		return MESH_FEED_VERSION;
	r = w->kind->set(w->feed, obj);
	if (r < 0) {
		mesh_warn("%s %.*s cannot be used; what was in force for it stays", w->kind->kind, (int)key.len,
			  key.ptr);
		mesh_map_put(&w->bad, key, w);
		return MESH_FEED_VERSION;
	}
	mesh_map_remove(&w->bad, key);
	return r == 0 ? MESH_FEED_CONTENT : MESH_FEED_VERSION;
}

static enum mesh_feed_change apply_delete(struct feed_watch *w, struct mesh_slice key, const json_t *obj)
{
	free(mesh_map_remove(&w->generations, key));
	mesh_map_remove(&w->bad, key);
	w->kind->remove(w->feed, mesh_meta(obj, "namespace"), mesh_meta(obj, "name"));
	return MESH_FEED_CONTENT;
}

/* A roll takes effect by the status that control writes: until then its change is not in force here. */
static bool awaits_control(const struct feed_watch *w, enum mesh_kube_event event, const json_t *obj)
{
	json_t *observed = json_object_get(json_object_get(obj, "status"), "observedGeneration");
	json_t *generation = json_object_get(json_object_get(obj, "metadata"), "generation");

	return event == MESH_KUBE_SET && mesh_feed_is_roll(w->kind) &&
	       json_integer_value(observed) < json_integer_value(generation);
}

/* Holding back. */

static bool watches_in_step(const struct mesh_feed *feed)
{
	for (size_t i = 0; i < feed->watch_count; i++)
		if (!feed->watches[i].synced || !mesh_kube_watch_in_step(feed->watches[i].watch))
			return false;
	mesh_map_each (e, &feed->label_watches) {
		const struct feed_watch *w = e->value;

		if (!w->synced || !mesh_kube_watch_in_step(w->watch))
			return false;
	}
	return true;
}

/* One stream is back: the others need not wait out their back-off. */
static void hurry(struct mesh_feed *feed, uint64_t now)
{
	if (now - feed->hurried_ns < HURRY_NS)
		return;
	feed->hurried_ns = now;
	for (size_t i = 0; i < feed->watch_count; i++)
		if (!mesh_kube_watch_in_step(feed->watches[i].watch))
			mesh_kube_watch_hurry(feed->watches[i].watch);
	mesh_map_each (e, &feed->label_watches) {
		struct feed_watch *w = e->value;

		if (!mesh_kube_watch_in_step(w->watch))
			mesh_kube_watch_hurry(w->watch);
	}
}

static void follow_labels(struct mesh_feed *feed);

/* Tells the owner what is pending, if the time has come. */
static void settle(struct mesh_feed *feed)
{
	uint64_t now = mesh_now_ns();
	bool content;

	if (!feed->pending || feed->loading || !(mesh_feed_synced(feed) || feed->from_saved))
		return;
	if (feed->rules_changed)
		follow_labels(feed);
	if (watches_in_step(feed)) {
		feed->given_up = false;
	} else if (!feed->given_up) {
		if (now - feed->pending_since_ns < HOLD_NS) {
			hurry(feed, now);
			mesh_timer_set(feed->opts.loop, &feed->timer, LOOK_NS);
			return;
		}
		mesh_warn("the API: %s; changes are put in force as they come", mesh_feed_trouble(feed));
		feed->given_up = true;
	}
	if (mesh_feed_synced(feed))
		feed->from_saved = false;
	if (feed->saved && mesh_feed_synced(feed) && !feed->committed) {
		mesh_saved_commit(feed->saved);
		feed->committed = true;
		malloc_trim(0); /* what the lists took */
	}
	content = feed->pending_content;
	feed->pending = feed->pending_content = false;
	feed->opts.changed(feed->opts.arg, content ? MESH_FEED_CONTENT : MESH_FEED_VERSION);
}

static void note(struct mesh_feed *feed, enum mesh_feed_change change)
{
	if (!feed->pending)
		feed->pending_since_ns = mesh_now_ns();
	feed->pending = true;
	feed->pending_content |= change == MESH_FEED_CONTENT;
}

static void save(struct feed_watch *w, enum mesh_kube_event event, struct mesh_slice key, const json_t *obj)
{
	mesh_auto_free char *text = NULL;

	if (!w->feed->saved || event == MESH_KUBE_SYNCED)
		return;
	text = mesh_xstrndup(key.ptr, key.len);
	if (event == MESH_KUBE_SET)
		mesh_saved_set(w->feed->saved, w->kind->resource, text, obj);
	else
		mesh_saved_delete(w->feed->saved, w->kind->resource, text);
}

static void on_event(void *arg, enum mesh_kube_event event, const json_t *obj, const char *rv)
{
	struct feed_watch *w = arg;
	struct mesh_feed *feed = w->feed;
	enum mesh_feed_change change = MESH_FEED_VERSION;
	char buf[MESH_SNAPSHOT_KEY];
	struct mesh_slice key = {0};

	feed->heard_ns = mesh_now_ns();
	if (rv && *rv && strcmp(rv, "0") != 0 && !awaits_control(w, event, obj)) {
		free(w->version);
		w->version = mesh_xstrdup(rv);
	}
	if (obj)
		key = mesh_snapshot_key(buf, sizeof(buf), mesh_meta(obj, "namespace"), mesh_meta(obj, "name"), NULL);
	if (event == MESH_KUBE_SET)
		change = apply_set(w, key, obj);
	else if (event == MESH_KUBE_DELETE)
		change = apply_delete(w, key, obj);
	else if (!w->synced) {
		w->synced = true;
		feed->synced_count += !w->ns;
		change = MESH_FEED_CONTENT;
	}
	if (!mesh_map_get(&w->bad, key)) /* else what was saved is what is in force */
		save(w, event, key, obj);
	note(feed, change);
	settle(feed);
}

/* Watching. */

static void watch_open(struct mesh_feed *feed, struct feed_watch *w, const struct feed_kind *kind, const char *ns)
{
	bool local_pods = mesh_feed_is_pods(kind) && feed->opts.node;
	mesh_auto_free char *query = local_pods ? mesh_xasprintf(NODE_QUERY, feed->opts.node) : NULL;
	mesh_auto_free char *path = ns ? mesh_xasprintf("/api/v1/namespaces/%s/pods", ns) : mesh_xstrdup(kind->path);
	struct mesh_kube_watch_opts o = {
		.path = path, .query = query, .metadata = ns != NULL, .page = kind->page, .fn = on_event, .arg = w};

	*w = (struct feed_watch){.feed = feed, .kind = kind, .ns = mesh_xstrdup(ns)};
	w->watch = mesh_kube_watch_open(feed->kube, &o);
}

static void watch_close(struct feed_watch *w)
{
	mesh_kube_watch_free(w->watch);
	mesh_map_each (e, &w->generations)
		free(e->value);
	mesh_map_free(&w->generations);
	mesh_map_free(&w->bad);
	free(w->version);
	free(w->ns);
}

/* The namespace of the service that a rule's host names, as far as it is one: "NAME" of the rule's own, "NAME.NS...".
 */
static void need_labels(const struct mesh_feed *feed, const struct mesh_destination_rule *dr, struct mesh_map *needed)
{
	const char *dot = strchr(dr->host, '.');
	mesh_auto_free char *ns = NULL;

	if (dr->host[0] == '*') {
		mesh_map_each (e, &feed->snap.members)
			mesh_map_put_str(needed, e->key, needed);
		return;
	}
	ns = dot ? mesh_xstrndup(dot + 1, strcspn(dot + 1, ".")) : mesh_xstrdup(dr->ns);
	if (*ns && mesh_snapshot_in_mesh(&feed->snap, ns))
		mesh_map_put_str(needed, ns, needed);
}

static void forget_labels(struct mesh_feed *feed, const char *ns)
{
	mesh_map_each (e, &feed->snap.workloads) {
		const struct mesh_workload *w = e->value;

		if (w->partial && strcmp(w->ns, ns) == 0) {
			mesh_auto_free char *name = mesh_xstrdup(w->name);

			mesh_snapshot_set_workload(&feed->snap, ns, name, NULL);
		}
	}
}

/* Whose pods are in subsets must be known by their labels, wherever they are. */
static void follow_labels(struct mesh_feed *feed)
{
	struct mesh_map needed = {0};

	feed->rules_changed = false;
	if (!feed->opts.node)
		return;
	mesh_map_each (e, &feed->snap.destination_rules) {
		const struct mesh_destination_rule *dr = e->value;

		if (dr->subset_count && mesh_snapshot_in_mesh(&feed->snap, dr->ns))
			need_labels(feed, dr, &needed);
	}
	mesh_map_each (e, &feed->label_watches) {
		struct feed_watch *w = e->value;

		if (mesh_map_get_str(&needed, w->ns))
			continue;
		forget_labels(feed, w->ns);
		mesh_map_remove(&feed->label_watches, mesh_slice_of(e->key, e->key_len));
		watch_close(w);
		free(w);
	}
	mesh_map_each (e, &needed) {
		struct feed_watch *w = mesh_map_get_str(&feed->label_watches, e->key);

		if (w)
			continue;
		w = mesh_xcalloc(1, sizeof(*w));
		watch_open(feed, w, &mesh_feed_label_kind, e->key);
		mesh_map_put_str(&feed->label_watches, e->key, w);
	}
	mesh_map_free(&needed);
}

/* The last good state. */

static struct feed_watch *watch_of(struct mesh_feed *feed, const char *resource)
{
	for (size_t i = 0; i < feed->watch_count; i++)
		if (strcmp(feed->watches[i].kind->resource, resource) == 0)
			return &feed->watches[i];
	return NULL;
}

static void take_saved(void *arg, const char *resource, const char *key, const json_t *obj)
{
	bool labels = strcmp(resource, mesh_feed_label_kind.resource) == 0;
	struct mesh_feed *feed = arg;
	struct feed_watch *w = labels ? NULL : watch_of(feed, resource);
	struct feed_watch of_labels = {.feed = feed, .kind = &mesh_feed_label_kind};

	if (!labels && (!w || w->synced))
		return;
	if (w && !mesh_kube_watch_know(w->watch, obj))
		return;
	apply_set(w ? w : &of_labels, mesh_slice_str(key), obj);
	if (feed->saved)
		mesh_saved_set(feed->saved, resource, key, obj);
	mesh_map_free(&of_labels.bad);
}

static void load_saved(struct mesh_feed *feed)
{
	long n;

	feed->loading = true;
	n = mesh_saved_read(feed->opts.saved_dir, take_saved, feed);
	feed->loading = false;
	if (n <= 0)
		return;
	feed->from_saved = true;
	mesh_warn("the API: %s; started from the last good state, %ld objects", mesh_feed_trouble(feed), n);
	malloc_trim(0);
	feed->given_up = true; /* there is nothing to wait for: this is what there is */
	note(feed, MESH_FEED_CONTENT);
	settle(feed);
	feed->given_up = false;
}

static const char *trouble_of(const struct mesh_feed *feed, const struct feed_watch *w)
{
	struct mesh_feed *f = (struct mesh_feed *)feed; /* the text is kept for the caller */

	if (mesh_kube_watch_in_step(w->watch) || !mesh_kube_watch_error(w->watch))
		return NULL;
	snprintf(f->trouble, sizeof(f->trouble), "%s: %s", w->kind->resource, mesh_kube_watch_error(w->watch));
	return f->trouble;
}

/* NULL also while a first list, which may be long, is on its way. */
static const char *api_trouble(const struct mesh_feed *feed)
{
	const char *trouble;

	for (size_t i = 0; i < feed->watch_count; i++) {
		trouble = trouble_of(feed, &feed->watches[i]);
		if (trouble)
			return trouble;
	}
	mesh_map_each (e, &feed->label_watches) {
		trouble = trouble_of(feed, e->value);
		if (trouble)
			return trouble;
	}
	return NULL;
}

static void on_timer(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_feed *feed = mesh_container_of(timer, struct mesh_feed, timer);
	uint64_t waited = mesh_now_ns() - feed->started_ns;

	if (feed->opts.saved_dir && !mesh_feed_synced(feed) && !feed->from_saved) {
		bool trouble = api_trouble(feed) || mesh_now_ns() - feed->heard_ns >= SILENCE_NS;

		if ((trouble && waited >= GRACE_NS && waited < 2 * PATIENCE) || waited >= PATIENCE)
			load_saved(feed);
		if (!feed->from_saved && waited < 4 * PATIENCE)
			mesh_timer_set(loop, timer, GRACE_NS / 4);
	}
	settle(feed);
}

static void start_saving(struct mesh_feed *feed)
{
	int r = mesh_saved_new(&feed->saved, feed->opts.saved_dir);

	if (r < 0)
		mesh_warn("%s: %s: the last good state is not saved", feed->opts.saved_dir, strerror(-r));
	feed->started_ns = mesh_now_ns();
	mesh_timer_set(feed->opts.loop, &feed->timer, GRACE_NS);
}

int mesh_feed_new(struct mesh_feed **ret, struct mesh_kube *kube, const struct mesh_feed_opts *opts)
{
	struct mesh_feed *feed = mesh_xcalloc(1, sizeof(*feed));

	feed->opts = *opts;
	feed->kube = kube;
	feed->snap.node = opts->node;
	feed->snap.changes = opts->changes;
	feed->slices = mesh_slices_new();
	feed->timer.fn = on_timer;
	if (opts->saved_dir)
		start_saving(feed);
	for (size_t i = 0; i < mesh_feed_kind_count; i++) {
		if (mesh_feed_kinds[i].who == FEED_GATEWAY ? !opts->gateways
							   : mesh_feed_kinds[i].who == FEED_AGENT && !opts->node)
			continue;
		watch_open(feed, &feed->watches[feed->watch_count++], &mesh_feed_kinds[i], NULL);
	}
	*ret = feed;
	return 0;
}

void mesh_feed_free(struct mesh_feed *feed)
{
	if (!feed)
		return;
	mesh_timer_remove(feed->opts.loop, &feed->timer);
	for (size_t i = 0; i < feed->watch_count; i++)
		watch_close(&feed->watches[i]);
	mesh_map_each (e, &feed->label_watches) {
		watch_close(e->value);
		free(e->value);
	}
	mesh_map_free(&feed->label_watches);
	mesh_saved_free(feed->saved);
	mesh_slices_free(feed->slices);
	mesh_snapshot_free(&feed->snap);
	free(feed);
}

void mesh_feed_saved_stop(struct mesh_feed *feed)
{
	mesh_saved_free(mesh_steal(feed->saved));
}

void mesh_feed_saved_remove(const char *dir)
{
	if (dir)
		mesh_saved_remove(dir);
}

bool mesh_feed_from_saved(const struct mesh_feed *feed)
{
	return feed->from_saved;
}

const char *mesh_feed_trouble(const struct mesh_feed *feed)
{
	const char *trouble = api_trouble(feed);

	if (trouble || mesh_feed_synced(feed))
		return trouble;
	for (size_t i = 0; i < feed->watch_count; i++)
		if (!feed->watches[i].synced) {
			struct mesh_feed *f = (struct mesh_feed *)feed;

			snprintf(f->trouble, sizeof(f->trouble), "%s: not all of them have been listed yet",
				 feed->watches[i].kind->resource);
			break;
		}
	return feed->trouble;
}

const struct mesh_snapshot *mesh_feed_snapshot(const struct mesh_feed *feed)
{
	return &feed->snap;
}

bool mesh_feed_synced(const struct mesh_feed *feed)
{
	return feed->synced_count == feed->watch_count && feed->watch_count > 0;
}

static void add_unusable(const struct mesh_feed *feed, json_t *versions)
{
	json_t *list = json_array();

	for (size_t i = 0; i < feed->watch_count; i++)
		mesh_map_each (e, &feed->watches[i].bad)
			json_array_append_new(list, json_sprintf("%s %s", feed->watches[i].kind->resource, e->key));
	if (json_array_size(list))
		json_object_set(versions, MESH_LEASE_UNUSABLE, list);
	json_decref(list);
}

json_t *mesh_feed_versions(const struct mesh_feed *feed)
{
	json_t *ret = json_object();

	for (size_t i = 0; i < feed->watch_count; i++)
		/* A stream of some pods does not know how far all pods have come. */
		if (feed->watches[i].version && !(mesh_feed_is_pods(feed->watches[i].kind) && feed->opts.node))
			json_object_set_new(ret, feed->watches[i].kind->resource,
					    json_string(feed->watches[i].version));
	add_unusable(feed, ret);
	return ret;
}

json_t *mesh_feed_bad(const struct mesh_feed *feed)
{
	json_t *ret = json_array();

	for (size_t i = 0; i < feed->watch_count; i++)
		mesh_map_each (e, &feed->watches[i].bad)
			json_array_append_new(ret, json_sprintf("%s %s", feed->watches[i].kind->kind, e->key));
	return ret;
}
