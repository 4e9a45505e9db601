/* SPDX-License-Identifier: Apache-2.0 */
#include "control/leader.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "model/names.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/%s/leases"

struct mesh_leader {
	struct mesh_loop *loop;
	struct mesh_kube *kube;
	struct mesh_leader_opts opts;
	char *ns, *name, *identity, *former, *list, *path;
	struct mesh_timer attempt;  /* the next try; while one is under way, its end */
	struct mesh_timer deadline; /* leading ends unless renewed before */
	struct mesh_kube_request *request;
	struct mesh_kube_watch *watch;
	json_t *seen;        /* the Lease's spec as last seen */
	uint64_t seen_ns;    /* when it last changed, by our clock */
	uint64_t sent_ns;    /* when the attempt under way began */
	uint64_t renewed_ns; /* when the last renewal that succeeded was sent */
	char *last_error;    /* said once */
	bool leads, releasing;
	void (*released)(void *arg);
	void *released_arg;
};

static void attempt_begin(struct mesh_leader *l);

static json_t *micro_time(void)
{
	char text[MESH_TIME_TEXT];

	return json_string(mesh_time_text_micro(text));
}

static const char *holder_of(const json_t *spec)
{
	const char *s = json_string_value(json_object_get(spec, "holderIdentity"));

	return s ? s : "";
}

/* From once to 2.2 times the interval, as client-go spreads its candidates. */
static uint64_t jittered(uint64_t ns)
{
	unsigned short r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = 32768;
	return ns + (uint64_t)((double)ns * 1.2 * r / 65536);
}

static void say_once(struct mesh_leader *l, const char *text)
{
	if (l->last_error && strcmp(l->last_error, text) == 0)
		return;
	free(l->last_error);
	l->last_error = mesh_xstrdup(text);
	mesh_warn("lease %s/%s: %s", l->ns, l->name, text);
}

static void set_leads(struct mesh_leader *l, bool leads)
{
	if (l->leads == leads)
		return;
	l->leads = leads;
	if (!leads)
		mesh_timer_remove(l->loop, &l->deadline);
	mesh_info(leads ? "leads: holds lease %s/%s as %s" : "does not lead any more: lease %s/%s, as %s", l->ns,
		  l->name, l->identity);
	if (l->opts.changed)
		l->opts.changed(l->opts.arg, leads);
}

/* What is in the Lease counts from the moment at which we see it change: clocks of others are not compared. */
static void observe(struct mesh_leader *l, const json_t *lease)
{
	json_t *spec = json_object_get(lease, "spec");

	if (l->seen && spec && json_equal(l->seen, spec))
		return;
	if (strcmp(holder_of(l->seen), holder_of(spec)) != 0 && strcmp(holder_of(spec), l->identity) != 0)
		mesh_info("lease %s/%s: %s leads", l->ns, l->name, holder_of(spec)[0] ? holder_of(spec) : "nobody");
	json_decref(l->seen);
	l->seen = spec ? json_incref(spec) : json_object();
	l->seen_ns = mesh_now_ns();
}

/* Whether that holder is a process that ended before this one began. */
static bool is_former(const struct mesh_leader *l, const char *holder)
{
	return l->former && strcmp(holder, l->identity) != 0 && strncmp(holder, l->former, strlen(l->former)) == 0;
}

/* When the Lease as we see it may be taken, by our clock; 0: at once. */
static uint64_t free_at(const struct mesh_leader *l)
{
	json_int_t seconds = json_integer_value(json_object_get(l->seen, "leaseDurationSeconds"));
	const char *holder = holder_of(l->seen);

	if (!holder[0] || strcmp(holder, l->identity) == 0 || is_former(l, holder))
		return 0;
	return l->seen_ns + MESH_SEC((uint64_t)(seconds > 0 ? seconds : 0));
}

/* A candidate tries by and by, and when the Lease it sees comes to its end. */
static void attempt_later(struct mesh_leader *l)
{
	uint64_t delay = l->leads ? l->opts.retry_ns : jittered(l->opts.retry_ns), now = mesh_now_ns(), at = free_at(l);

	if (l->releasing)
		return;
	if (!l->leads && at > now && at - now < delay)
		delay = at - now + MESH_MS(5);
	mesh_timer_set(l->loop, &l->attempt, delay);
}

static void send_request(struct mesh_leader *l, const char *method, const char *path, const json_t *body,
			 mesh_kube_done_fn *done)
{
	l->request = mesh_kube_send(l->kube, method, path, body, NULL, NULL, done, l);
	if (!l->request) {
		attempt_later(l);
		return;
	}
	/* An attempt that hangs is given up while there is time for another before the deadline. */
	mesh_timer_set(l->loop, &l->attempt, l->opts.renew_ns / 2);
}

static void attempt_failed(struct mesh_leader *l, const char *why)
{
	say_once(l, why);
	attempt_later(l);
}

static void on_written(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_leader *l = arg;

	l->request = NULL;
	if (r->status < 200 || r->status >= 300) {
		/* 409: another was faster, or changed it; the next attempt will see. */
		attempt_failed(l, r->error ? r->error : "the write was refused");
		return;
	}
	observe(l, r->body);
	free(l->last_error);
	l->last_error = NULL;
	l->renewed_ns = l->sent_ns;
	if (l->renewed_ns + l->opts.renew_ns <= mesh_now_ns()) { /* the answer took too long to be worth anything */
		attempt_later(l);
		return;
	}
	mesh_timer_set(l->loop, &l->deadline, l->renewed_ns + l->opts.renew_ns - mesh_now_ns());
	set_leads(l, true);
	attempt_later(l);
}

/* The Lease with us as its holder; lease NULL: a new one. */
static json_t *claimed(const struct mesh_leader *l, const json_t *lease)
{
	json_t *old = json_object_get(lease, "spec"), *now = micro_time(), *spec = old ? json_copy(old) : json_object();
	bool mine = strcmp(holder_of(old), l->identity) == 0;
	json_t *body = lease ? json_copy((json_t *)(uintptr_t)lease)
			     : json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s, s:s}}}", "apiVersion",
					 "coordination.k8s.io/v1", "kind", "Lease", "metadata", "name", l->name,
					 "namespace", l->ns, "labels", MESH_LABEL_NAME, "sockmesh",
					 MESH_LABEL_COMPONENT, "control", MESH_LABEL_MANAGED, "sockmesh-control");

	json_object_set_new(spec, "holderIdentity", json_string(l->identity));
	json_object_set_new(spec, "leaseDurationSeconds",
			    json_integer((json_int_t)(l->opts.duration_ns / MESH_SEC(1))));
	json_object_set(spec, "renewTime", now);
	if (!mine || !json_object_get(spec, "acquireTime"))
		json_object_set(spec, "acquireTime", now);
	if (!mine)
		json_object_set_new(
			spec, "leaseTransitions",
			json_integer(lease ? json_integer_value(json_object_get(old, "leaseTransitions")) + 1 : 0));
	json_decref(now);
	json_object_set_new(body, "spec", spec);
	return body;
}

static void on_read(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_leader *l = arg;
	json_t *body;

	l->request = NULL;
	if (r->status != 200 && r->status != 404) {
		attempt_failed(l, r->error ? r->error : "it cannot be read");
		return;
	}
	if (r->status == 200) {
		if (l->seen_ns < l->sent_ns) /* else the watch has told something since, which may be newer than this */
			observe(l, r->body);
		if (l->leads && strcmp(holder_of(l->seen), l->identity) != 0)
			set_leads(l, false);
		if (free_at(l) > mesh_now_ns()) {
			free(l->last_error);
			l->last_error = NULL;
			attempt_later(l);
			return;
		}
	}
	body = claimed(l, r->status == 200 ? r->body : NULL);
	if (r->status == 200)
		send_request(l, "PUT", l->path, body, on_written);
	else
		send_request(l, "POST", l->list, body, on_written);
	json_decref(body);
}

static void attempt_begin(struct mesh_leader *l)
{
	l->sent_ns = mesh_now_ns();
	send_request(l, "GET", l->path, NULL, on_read);
}

static void release_over(struct mesh_leader *l)
{
	mesh_timer_remove(l->loop, &l->attempt);
	l->released(l->released_arg);
}

static void on_attempt(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_leader *l = mesh_container_of(timer, struct mesh_leader, attempt);

	(void)loop;
	if (l->request) {
		mesh_kube_cancel(l->request);
		l->request = NULL;
		say_once(l, "the API does not answer");
	}
	if (l->releasing)
		release_over(l);
	else
		attempt_begin(l);
}

/* The watch tells sooner than the next try would; when it cannot be had, tries do. */
static void on_event(void *arg, enum mesh_kube_event event, const json_t *obj, const char *rv)
{
	struct mesh_leader *l = arg;

	(void)rv;
	if (event != MESH_KUBE_SET || l->releasing)
		return;
	observe(l, obj);
	if (!l->request && !l->leads && free_at(l) <= mesh_now_ns())
		mesh_timer_set(l->loop, &l->attempt, jittered(MESH_MS(20)));
}

static void on_deadline(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_leader *l = mesh_container_of(timer, struct mesh_leader, deadline);

	(void)loop;
	mesh_warn("lease %s/%s could not be renewed in time", l->ns, l->name);
	set_leads(l, false);
}

int mesh_leader_new(struct mesh_leader **ret, struct mesh_loop *loop, struct mesh_kube *kube,
		    const struct mesh_leader_opts *opts)
{
	mesh_auto_free char *only = mesh_xasprintf("fieldSelector=metadata.name%%3D%s", opts->name);
	struct mesh_leader *l = mesh_xcalloc(1, sizeof(*l));

	l->loop = loop;
	l->kube = kube;
	l->opts = *opts;
	if (!l->opts.duration_ns)
		l->opts.duration_ns = MESH_SEC(15);
	if (!l->opts.renew_ns)
		l->opts.renew_ns = MESH_SEC(10);
	if (!l->opts.retry_ns)
		l->opts.retry_ns = MESH_SEC(2);
	l->ns = mesh_xstrdup(opts->ns);
	l->name = mesh_xstrdup(opts->name);
	l->identity = mesh_xstrdup(opts->identity);
	l->former = mesh_xstrdup(opts->former);
	l->list = mesh_xasprintf(LEASES, l->ns);
	l->path = mesh_xasprintf(LEASES "/%s", l->ns, l->name);
	l->attempt.fn = on_attempt;
	l->deadline.fn = on_deadline;
	mesh_timer_set(loop, &l->attempt, 0);
	l->watch = mesh_kube_watch_new(kube, l->list, only, on_event, l);
	*ret = l;
	return 0;
}

bool mesh_leader_leads(const struct mesh_leader *l)
{
	return l->leads && mesh_now_ns() < l->renewed_ns + l->opts.renew_ns;
}

static void on_released(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_leader *l = arg;

	l->request = NULL;
	if (r->status != 200)
		mesh_warn("lease %s/%s: not given up: %s", l->ns, l->name, r->error ? r->error : "refused");
	release_over(l);
}

/* Only ever our own record: who took it over meanwhile has changed the resourceVersion. */
static void on_read_to_release(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_leader *l = arg;
	json_t *body, *spec, *now;

	l->request = NULL;
	if (r->status != 200 || strcmp(holder_of(json_object_get(r->body, "spec")), l->identity) != 0) {
		release_over(l);
		return;
	}
	body = json_deep_copy(r->body);
	spec = json_object_get(body, "spec");
	now = micro_time();
	json_object_set_new(spec, "holderIdentity", json_string(""));
	json_object_set_new(spec, "leaseDurationSeconds", json_integer(1));
	json_object_set(spec, "renewTime", now);
	json_object_set_new(spec, "acquireTime", now);
	l->request = mesh_kube_send(l->kube, "PUT", l->path, body, NULL, NULL, on_released, l);
	json_decref(body);
}

void mesh_leader_release(struct mesh_leader *l, void (*done)(void *arg), void *arg)
{
	bool held = l->leads;

	l->releasing = true;
	l->released = done;
	l->released_arg = arg;
	mesh_kube_cancel(l->request); /* a renewal may still arrive before the release: both name a version */
	l->request = NULL;
	set_leads(l, false);
	if (!held) {
		release_over(l);
		return;
	}
	l->request = mesh_kube_send(l->kube, "GET", l->path, NULL, NULL, NULL, on_read_to_release, l);
	mesh_timer_set(l->loop, &l->attempt, MESH_SEC(1));
}

void mesh_leader_free(struct mesh_leader *l)
{
	if (!l)
		return;
	mesh_kube_watch_free(l->watch);
	mesh_kube_cancel(l->request);
	mesh_timer_remove(l->loop, &l->attempt);
	mesh_timer_remove(l->loop, &l->deadline);
	json_decref(l->seen);
	free(l->last_error);
	free(l->ns);
	free(l->name);
	free(l->identity);
	free(l->former);
	free(l->list);
	free(l->path);
	free(l);
}
