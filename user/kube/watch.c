/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/transfer.h"

#include "core/map.h"
#include "core/mem.h"
#include "kube/items.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

enum {
	PAGE = 500,
	BACKOFF_MIN_MS = 50,
	BACKOFF_MAX_MS = 5000,
	MISSING_RETRY_MS = 5000, /* the kind is not installed */
	SILENCE_MS = 150000,     /* bookmarks come each minute or so: a silent stream is opened anew */
	HEALTHY_MS = 1000,       /* a stream that lived so long and ended well is resumed at once */
	LIST_SILENCE_MS = 30000, /* a list of which nothing comes is asked for anew */
};

/* What is asked for by mesh_kube_watch_opts.metadata: a stream has no lists, and a server that is offered them breaks
 * off. */
#define METADATA_EVENT "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
#define METADATA_LIST  "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"

/* An object that was reported. */
struct known {
	json_t *obj;    /* its last state (a reference); NULL: the owner keeps it */
	unsigned round; /* the list that had it last */
	char uid[];     /* and, behind its end, the resourceVersion */
};

static const char *rv_of(const struct known *k)
{
	return k->uid + strlen(k->uid) + 1;
}

struct mesh_kube_watch {
	struct mesh_kube *kube;
	char *path, *query;
	unsigned page;
	bool slim; /* keeps no objects */
	bool metadata;
	mesh_kube_watch_fn *fn;
	void *arg;
	struct mesh_transfer *transfer; /* the list's page or the stream */
	struct mesh_timer timer;        /* back-off, or silence of the stream */
	struct mesh_map known;          /* "namespace/name" -> struct known * */
	json_t *items;                  /* of the pages that came so far */
	struct mesh_items page_items;   /* slim: of the page that is coming */
	unsigned round;                 /* slim: lists begun */
	char *rv;                       /* reached; NULL: never listed */
	char *error;                    /* why it is not in step, or NULL */
	unsigned backoff_ms;
	size_t scanned; /* bytes of the stream's buffer known to have no newline */
	uint64_t opened_ns;
	bool missing;    /* 404 was reported */
	bool whole;      /* the pages expired before the last one came: list without pages */
	bool busy, dead; /* within fn: a free waits until it returns */
	LIST_ENTRY(mesh_kube_watch) link;
};

static void list_start(struct mesh_kube_watch *w, const char *more);
static void stream_start(struct mesh_kube_watch *w);

static void stop(struct mesh_kube_watch *w)
{
	mesh_transfer_free(w->transfer);
	w->transfer = NULL;
	mesh_timer_remove(w->kube->loop, &w->timer);
	json_decref(w->items);
	w->items = NULL;
	mesh_items_free(&w->page_items);
}

static void known_free(struct known *k)
{
	if (!k)
		return;
	json_decref(k->obj);
	free(k);
}

static void destroy(struct mesh_kube_watch *w)
{
	mesh_map_each (e, &w->known)
		known_free(e->value);
	mesh_map_free(&w->known);
	free(w->path);
	free(w->query);
	free(w->rv);
	free(w->error);
	free(w);
}

void mesh_kube_watch_free(struct mesh_kube_watch *w)
{
	if (!w)
		return;
	stop(w);
	LIST_REMOVE(w, link);
	w->dead = true;
	if (!w->busy)
		destroy(w);
}

void mesh_kube_watches_free(struct mesh_kube *kube)
{
	while (!LIST_EMPTY(&kube->watches))
		mesh_kube_watch_free(LIST_FIRST(&kube->watches));
}

const char *mesh_kube_watch_error(const struct mesh_kube_watch *w)
{
	return w->error;
}

static void set_text(char **to, const char *text)
{
	char *copy = mesh_xstrdup(text);

	free(*to);
	*to = copy;
}

static unsigned jittered(unsigned ms)
{
	unsigned short r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = 32768;
	return ms / 2 + (unsigned)((uint64_t)ms * r / 65536);
}

/* Tries again later: the stream from where it was if there is such a place, else the list. */
static void retry(struct mesh_kube_watch *w, const char *why)
{
	set_text(&w->error, why);
	stop(w);
	mesh_timer_set(w->kube->loop, &w->timer, MESH_MS(jittered(w->backoff_ms)));
	w->backoff_ms = MESH_MIN(w->backoff_ms * 2, (unsigned)BACKOFF_MAX_MS);
}

static void relist(struct mesh_kube_watch *w, const char *why)
{
	free(w->rv);
	w->rv = NULL;
	retry(w, why);
}

static void timer_due(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_kube_watch *w = mesh_container_of(timer, struct mesh_kube_watch, timer);

	if (w->busy) {
		mesh_timer_set(loop, timer, MESH_MS(BACKOFF_MIN_MS));
		return;
	}
	stop(w);
	if (w->rv)
		stream_start(w);
	else
		list_start(w, NULL);
}

/* Calls back; false when the watch was freed meanwhile. */
static bool report(struct mesh_kube_watch *w, enum mesh_kube_event event, const json_t *obj, const char *rv)
{
	w->busy = true;
	w->fn(w->arg, event, obj, rv);
	w->busy = false;
	if (!w->dead)
		return true;
	destroy(w);
	return false;
}

static json_t *meta(const json_t *obj)
{
	return json_object_get(obj, "metadata");
}

static const char *meta_text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(meta(obj), key));

	return s ? s : "";
}

static char *key_of(const json_t *obj)
{
	return mesh_xasprintf("%s/%s", meta_text(obj, "namespace"), meta_text(obj, "name"));
}

static struct known *known_new(const struct mesh_kube_watch *w, const json_t *obj)
{
	const char *uid = meta_text(obj, "uid"), *rv = meta_text(obj, "resourceVersion");
	size_t n = strlen(uid) + 1, m = strlen(rv) + 1;
	struct known *k = mesh_xcalloc(1, MESH_MAX(sizeof(*k), offsetof(struct known, uid) + n + m));

	memcpy(k->uid, uid, n);
	memcpy(k->uid + n, rv, m);
	k->round = w->round;
	if (!w->slim)
		k->obj = json_incref((json_t *)obj);
	return k;
}

static bool same(const struct known *k, const json_t *obj)
{
	return strcmp(k->uid, meta_text(obj, "uid")) == 0 && strcmp(rv_of(k), meta_text(obj, "resourceVersion")) == 0;
}

/* Takes k over; key is "namespace/name". */
static bool report_gone(struct mesh_kube_watch *w, const char *key, struct known *k, const char *rv)
{
	const char *slash = strchr(key, '/');
	json_t *obj = k->obj ? json_incref(k->obj)
			     : json_pack("{s:{s:s%, s:s, s:s}}", "metadata", "namespace", key, (size_t)(slash - key),
					 "name", slash + 1, "uid", k->uid);
	bool alive;

	known_free(k);
	alive = report(w, MESH_KUBE_DELETE, obj, rv);
	json_decref(obj);
	return alive;
}

/* Takes in one object; with rv the place the stream has reached with it. */
static bool set(struct mesh_kube_watch *w, json_t *obj, const char *rv)
{
	mesh_auto_free char *key = key_of(obj);
	struct known *old = mesh_map_get_str(&w->known, key);

	if (json_object_get(meta(obj), "managedFields"))
		json_object_del(meta(obj), "managedFields");
	if (old && strcmp(old->uid, meta_text(obj, "uid")) != 0) {
		mesh_map_remove_str(&w->known, key);
		if (!report_gone(w, key, old, rv))
			return false;
	}
	known_free(mesh_map_put_str(&w->known, key, known_new(w, obj)));
	return report(w, MESH_KUBE_SET, obj, rv);
}

static bool gone(struct mesh_kube_watch *w, const json_t *obj, const char *rv)
{
	mesh_auto_free char *key = key_of(obj);

	known_free(mesh_map_remove_str(&w->known, key));
	return report(w, MESH_KUBE_DELETE, obj, rv);
}

struct lost {
	char *key;
	struct known *known;
};

/* What is known and not in the list (now; NULL: by the round) any more has vanished while we did not look. */
static bool report_vanished(struct mesh_kube_watch *w, const struct mesh_map *now, const char *rv)
{
	MESH_VEC(struct lost) lost = {0};
	bool alive = true;

	mesh_map_each (e, &w->known) {
		struct known *k = e->value;

		if (now ? mesh_map_get(now, mesh_slice_of(e->key, e->key_len)) != NULL : k->round == w->round)
			continue;
		mesh_vec_push(&lost, ((struct lost){mesh_xstrdup(e->key), k}));
		mesh_map_remove(&w->known, mesh_slice_of(e->key, e->key_len));
	}
	mesh_vec_each (l, &lost) {
		if (alive)
			alive = report_gone(w, l->key, l->known, rv);
		else
			known_free(l->known);
		free(l->key);
	}
	mesh_vec_free(&lost);
	return alive;
}

/* The list is complete. Until all of it was reported, the stream has only reached where it was before. */
static bool report_list(struct mesh_kube_watch *w, const json_t *items, const char *rv)
{
	struct mesh_map now = {0};
	json_t *obj;
	size_t i;
	bool alive;

	json_array_foreach(items, i, obj)
	{
		mesh_auto_free char *key = key_of(obj);

		mesh_map_put_str(&now, key, obj);
	}
	alive = report_vanished(w, &now, "0");
	json_array_foreach(items, i, obj)
	{
		mesh_auto_free char *key = key_of(obj);
		const struct known *old = alive ? mesh_map_get_str(&w->known, key) : NULL;

		if (!alive)
			break;
		if (!old || !same(old, obj))
			alive = set(w, obj, "0");
	}
	mesh_map_free(&now);
	return alive && report(w, MESH_KUBE_SYNCED, NULL, rv);
}

static void list_complete(struct mesh_kube_watch *w, const char *rv)
{
	mesh_auto_free char *reached = mesh_xstrdup(rv);
	json_t *items = mesh_steal(w->items);
	bool alive;

	w->missing = w->whole = false;
	set_text(&w->error, NULL);
	set_text(&w->rv, rv);
	if (w->slim)
		alive = report_vanished(w, NULL, "0") && report(w, MESH_KUBE_SYNCED, NULL, reached);
	else
		alive = report_list(w, items, reached);
	json_decref(items);
	if (!alive)
		return;
	w->backoff_ms = BACKOFF_MIN_MS;
	stream_start(w);
}

static void kind_missing(struct mesh_kube_watch *w)
{
	stop(w);
	set_text(&w->error, "the server does not have this kind");
	if (!w->missing) {
		w->missing = true;
		w->round++;
		if (!report_vanished(w, NULL, "0") || !report(w, MESH_KUBE_SYNCED, NULL, "0"))
			return;
	}
	mesh_timer_set(w->kube->loop, &w->timer, MESH_MS(MISSING_RETRY_MS));
}

/* A list's items lack apiVersion and kind, which an event's object has. */
static void name_kind(json_t *obj, const json_t *list)
{
	const char *kind = json_string_value(json_object_get(list, "kind"));
	size_t len = kind ? strlen(kind) : 0;

	if (len <= 4 || strcmp(kind + len - 4, "List") != 0 || json_object_get(obj, "kind"))
		return;
	json_object_set_new(obj, "kind", json_stringn(kind, len - 4));
	json_object_set(obj, "apiVersion", json_object_get(list, "apiVersion"));
}

static void page_came(struct mesh_kube_watch *w, const json_t *list)
{
	mesh_auto_free char *more = mesh_xstrdup(meta_text(list, "continue"));
	mesh_auto_free char *rv = mesh_xstrdup(meta_text(list, "resourceVersion"));
	json_t *obj;
	size_t i;

	if (!w->items)
		w->items = json_array();
	json_array_foreach(json_object_get(list, "items"), i, obj)
	{
		name_kind(obj, list);
		json_array_append(w->items, obj);
	}
	mesh_transfer_free(w->transfer);
	w->transfer = NULL;
	if (more[0])
		list_start(w, more);
	else
		list_complete(w, rv);
}

static const char *why_failed(const struct mesh_transfer *t, char *text, size_t size)
{
	const char *error = mesh_transfer_error(t);

	if (error)
		snprintf(text, size, "%s", error);
	else
		snprintf(text, size, "the server answered with status %d", mesh_transfer_status(t));
	return text;
}

static void list_ready(struct mesh_transfer *t)
{
	struct mesh_kube_watch *w = t->arg;
	int status = mesh_transfer_status(t);
	json_t *list;
	char why[320];

	if (!t->finished)
		return;
	if (status == 404) {
		kind_missing(w);
		return;
	}
	if (status != 200) {
		w->whole = status == 410 && w->items; /* a continue token that expired will do so again */
		relist(w, why_failed(t, why, sizeof(why)));
		return;
	}
	list = json_loadb(t->body.data ? t->body.data : "", t->body.len, JSON_ALLOW_NUL, NULL);
	if (json_is_array(json_object_get(list, "items")) || json_is_null(json_object_get(list, "items")))
		page_came(w, list);
	else
		relist(w, "the server's list cannot be read");
	json_decref(list);
}

/* slim: one item of the page that is coming. */
static bool item_came(void *arg, struct mesh_slice text)
{
	struct mesh_kube_watch *w = arg;
	json_t *obj = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, NULL);
	mesh_auto_free char *key = obj ? key_of(obj) : NULL;
	struct known *old = obj ? mesh_map_get_str(&w->known, key) : NULL;
	bool alive = true;

	if (old && same(old, obj))
		old->round = w->round;
	else if (obj)
		alive = set(w, obj, "0");
	json_decref(obj);
	return alive;
}

/* slim: takes what has come of the page. Returns false when w was freed or has turned to something else. */
static bool take_page(struct mesh_kube_watch *w)
{
	struct mesh_buf in = w->transfer->body;
	int r;

	w->transfer->body = (struct mesh_buf){0};
	r = mesh_items_take(&w->page_items, mesh_buf_view(&in), item_came, w);
	mesh_buf_free(&in);
	if (r < 0 && r != -ECANCELED)
		relist(w, "the server's list cannot be read");
	return r == 0;
}

static void page_ended(struct mesh_kube_watch *w)
{
	struct mesh_slice text = mesh_buf_view(&w->page_items.head);
	json_t *head = w->page_items.whole ? json_loadb(text.ptr, text.len, 0, NULL) : NULL;
	mesh_auto_free char *more = mesh_xstrdup(meta_text(head, "continue"));
	mesh_auto_free char *rv = mesh_xstrdup(meta_text(head, "resourceVersion"));

	json_decref(head);
	if (!head) {
		relist(w, "the server's list cannot be read");
		return;
	}
	mesh_items_free(&w->page_items);
	mesh_transfer_free(w->transfer);
	w->transfer = NULL;
	mesh_timer_remove(w->kube->loop, &w->timer);
	if (more[0])
		list_start(w, more);
	else
		list_complete(w, rv);
}

static void slim_list_ready(struct mesh_transfer *t)
{
	struct mesh_kube_watch *w = t->arg;
	int status = mesh_transfer_status(t);
	char why[320];

	if (w->busy) /* the callback runs the loop */
		return;
	mesh_timer_set(w->kube->loop, &w->timer, MESH_MS(LIST_SILENCE_MS));
	if (status == 200 && t->body.len && !take_page(w))
		return;
	if (!t->finished)
		return;
	if (status == 404)
		kind_missing(w);
	else if (status != 200) {
		w->whole = status == 410; /* a continue token that expired will do so again */
		relist(w, why_failed(t, why, sizeof(why)));
	} else
		page_ended(w);
}

static void list_start(struct mesh_kube_watch *w, const char *more)
{
	mesh_auto_free char *token = mesh_kube_escape(more ? more : "");
	mesh_auto_free char *path =
		mesh_xasprintf("%s?%s%slimit=%u%s%s", w->path, w->query ? w->query : "", w->query ? "&" : "",
			       w->whole ? 0 : w->page, more ? "&continue=" : "", token);
	struct mesh_transfer_opts o = {.method = "GET",
				       .path = path,
				       .accept = w->metadata ? METADATA_LIST : NULL,
				       .stream = w->slim,
				       .fn = w->slim ? slim_list_ready : list_ready,
				       .arg = w};

	if (!more)
		w->round++;
	w->transfer = mesh_transfer_new(w->kube, &o);
	if (w->slim)
		mesh_timer_set(w->kube->loop, &w->timer, MESH_MS(LIST_SILENCE_MS));
}

/* One line of the stream; false when the watch was freed, or has turned to something else. */
static bool event_came(struct mesh_kube_watch *w, const json_t *event)
{
	const char *type = json_string_value(json_object_get(event, "type"));
	json_t *obj = json_object_get(event, "object");
	mesh_auto_free char *rv = mesh_xstrdup(meta_text(obj, "resourceVersion"));

	if (!type || !obj) {
		relist(w, "the server's event cannot be read");
		return false;
	}
	if (strcmp(type, "ERROR") == 0) { /* whatever it is: going on from the same version could meet it for ever */
		relist(w, json_integer_value(json_object_get(obj, "code")) == 410
				  ? "the version is too old"
				  : "the server ended the stream with an error");
		return false;
	}
	if (rv[0])
		set_text(&w->rv, rv);
	set_text(&w->error, NULL);
	if (strcmp(type, "BOOKMARK") == 0)
		return true;
	if (strcmp(type, "DELETED") == 0)
		return gone(w, obj, rv);
	return set(w, obj, rv);
}

/* Takes the complete lines out of buf; false when w was freed or has turned to something else. */
static bool take_lines(struct mesh_kube_watch *w, struct mesh_buf *in)
{
	size_t at = 0, from = w->scanned;
	const char *newline;

	while (in->len > from && (newline = memchr(in->data + from, '\n', in->len - from))) {
		size_t end = (size_t)(newline - in->data);
		json_t *event = json_loadb(in->data + at, end - at, JSON_ALLOW_NUL, NULL);
		bool on = event && event_came(w, event);

		if (!event)
			relist(w, "the server's event is not JSON");
		json_decref(event);
		if (!on)
			return false;
		at = from = end + 1;
	}
	mesh_buf_consume(in, at);
	w->scanned = in->len;
	if (in->len <= MESH_KUBE_LINE_MAX)
		return true;
	relist(w, "the server's event is too large");
	return false;
}

/* The buffer leaves the transfer meanwhile: a callback may end the transfer, or run the loop, which adds to it. */
static bool take_events(struct mesh_kube_watch *w)
{
	struct mesh_buf in = {0};
	bool on = true;

	do {
		struct mesh_transfer *t = w->transfer;

		mesh_buf_slice(&in, mesh_buf_view(&t->body));
		mesh_buf_clear(&t->body);
		on = take_lines(w, &in);
	} while (on && w->transfer->body.len);
	if (on) {
		mesh_buf_free(&w->transfer->body);
		w->transfer->body = in;
	} else {
		mesh_buf_free(&in);
	}
	return on;
}

static void stream_ended(struct mesh_kube_watch *w)
{
	struct mesh_transfer *t = w->transfer;
	int status = mesh_transfer_status(t);
	char why[320];

	if (status == 410 || status == 404) {
		relist(w, why_failed(t, why, sizeof(why)));
	} else if (status == 200 && mesh_now_ns() - w->opened_ns > MESH_MS(HEALTHY_MS)) {
		stop(w);
		w->backoff_ms = BACKOFF_MIN_MS;
		stream_start(w);
	} else {
		retry(w, status == 200 ? "the server ended the stream" : why_failed(t, why, sizeof(why)));
	}
}

static void stream_ready(struct mesh_transfer *t)
{
	struct mesh_kube_watch *w = t->arg;

	if (w->busy) /* the callback runs the loop: take_events() looks again when it returns */
		return;
	if (!t->finished && mesh_transfer_status(t) == 200)
		set_text(&w->error, NULL); /* the stream is open */
	if (t->body.len && (mesh_transfer_status(t) == 200 || mesh_transfer_error(t))) {
		mesh_timer_set(w->kube->loop, &w->timer, MESH_MS(SILENCE_MS));
		if (!take_events(w))
			return;
	}
	if (w->transfer->finished)
		stream_ended(w);
}

static void stream_start(struct mesh_kube_watch *w)
{
	mesh_auto_free char *path =
		mesh_xasprintf("%s?%s%swatch=1&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%u", w->path,
			       w->query ? w->query : "", w->query ? "&" : "", w->rv, jittered(450));
	struct mesh_transfer_opts o = {.method = "GET",
				       .path = path,
				       .accept = w->metadata ? METADATA_EVENT : NULL,
				       .stream = true,
				       .fn = stream_ready,
				       .arg = w};

	w->scanned = 0;
	w->opened_ns = mesh_now_ns();
	w->transfer = mesh_transfer_new(w->kube, &o);
	mesh_timer_set(w->kube->loop, &w->timer, MESH_MS(SILENCE_MS));
}

static struct mesh_kube_watch *watch_new(struct mesh_kube *kube, const struct mesh_kube_watch_opts *o, bool slim)
{
	struct mesh_kube_watch *w = mesh_xcalloc(1, sizeof(*w));

	w->kube = kube;
	w->path = mesh_xstrdup(o->path);
	w->query = o->query && o->query[0] ? mesh_xstrdup(o->query) : NULL;
	w->metadata = o->metadata;
	w->page = o->page ? o->page : PAGE;
	w->slim = slim;
	w->fn = o->fn;
	w->arg = o->arg;
	w->timer.fn = timer_due;
	w->backoff_ms = BACKOFF_MIN_MS;
	LIST_INSERT_HEAD(&kube->watches, w, link);
	list_start(w, NULL);
	return w;
}

struct mesh_kube_watch *mesh_kube_watch_new(struct mesh_kube *kube, const char *path, const char *query,
					    mesh_kube_watch_fn *fn, void *arg)
{
	return watch_new(kube, &(struct mesh_kube_watch_opts){.path = path, .query = query, .fn = fn, .arg = arg},
			 false);
}

struct mesh_kube_watch *mesh_kube_watch_open(struct mesh_kube *kube, const struct mesh_kube_watch_opts *opts)
{
	return watch_new(kube, opts, true);
}

bool mesh_kube_watch_know(struct mesh_kube_watch *w, const json_t *obj)
{
	mesh_auto_free char *key = key_of(obj);
	struct known *k;

	if (mesh_map_get_str(&w->known, key))
		return false;
	k = known_new(w, obj);
	k->round = 0; /* of no list yet */
	mesh_map_put_str(&w->known, key, k);
	return true;
}

void mesh_kube_watch_hurry(struct mesh_kube_watch *w)
{
	if (!w->transfer && !w->missing && !w->busy)
		mesh_timer_set(w->kube->loop, &w->timer, 0);
}

bool mesh_kube_watch_in_step(const struct mesh_kube_watch *w)
{
	return w->missing || (w->rv && !w->error);
}
