/* SPDX-License-Identifier: Apache-2.0 */
/* A worker: a thread that runs a loop, and what its connections share. */
#include "core/mem.h"
#include "proxy/engine.h"
#include "proxy/router.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

enum {
	BUFFERS_MAX = 512, /* kept for reuse by a worker */
};

const char *mesh_worker_date(struct mesh_worker *w)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now != w->date_at) {
		w->date_at = now;
		gmtime_r(&now, &tm);
		strftime(w->date, sizeof(w->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	}
	return w->date;
}

static void reap(struct mesh_worker *w)
{
	while (w->dead_downs) {
		struct mesh_down *d = w->dead_downs;

		w->dead_downs = d->next;
		free(d);
	}
	while (w->dead_ups) {
		struct mesh_up *u = w->dead_ups;

		w->dead_ups = u->next;
		free(u);
	}
}

static void *worker_main(void *arg)
{
	struct mesh_worker *w = arg;
	char name[16];

	snprintf(name, sizeof(name), "l7-%u", w->index);
	pthread_setname_np(pthread_self(), name);
	while (!w->stopping && mesh_loop_once(w->loop, -1) == 0) {
		mesh_down_run_later(w);
		reap(w);
		mesh_place_measure(w);
	}
	reap(w);
	return NULL;
}

static int start_thread(struct mesh_worker *w)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	w->started = r == 0;
	return -r;
}

/* A quarter of the descriptors, shared by all workers: unknown hosts must not take all there are. */
static unsigned idle_ups_max(const struct mesh_proxy *proxy)
{
	struct rlimit limit = {.rlim_cur = 1024};
	rlim_t max;

	getrlimit(RLIMIT_NOFILE, &limit);
	max = MESH_MIN(limit.rlim_cur, (rlim_t)1 << 20) / 4 / proxy->worker_count;
	return (unsigned)MESH_MAX(max, (rlim_t)16);
}

int mesh_worker_start(struct mesh_worker *w, struct mesh_proxy *proxy, unsigned index)
{
	const struct mesh_proxy_opts *o = &proxy->opts;
	int r;

	w->proxy = proxy;
	w->index = index;
	w->idle_ups_max = idle_ups_max(proxy);
	w->buffers = (struct mesh_pipe_cache){.size = o->buffer_bytes, .max = BUFFERS_MAX};
	w->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (getrandom(&w->seed, sizeof(w->seed), 0) != sizeof(w->seed) || !w->seed)
		w->seed = mesh_now_ns() | 1;
	r = mesh_loop_new(&w->loop);
	if (r < 0)
		return r;
	mesh_timeouts_init(&w->idle, w->loop, o->idle_timeout_ns, mesh_down_idle_timeout);
	mesh_timeouts_init(&w->head, w->loop, o->head_timeout_ns, mesh_down_head_timeout);
	mesh_timeouts_init(&w->stream, w->loop, o->stream_timeout_ns, mesh_down_stream_timeout);
	mesh_timeouts_init(&w->linger, w->loop, MESH_SEC(2), mesh_down_idle_timeout);
	mesh_timeouts_init(&w->connect, w->loop, o->connect_timeout_ns, mesh_up_connect_timeout);
	mesh_timeouts_init(&w->pooled, w->loop, o->upstream_idle_ns, mesh_up_pooled_timeout);
	mesh_timeouts_init(&w->gone, w->loop, MESH_SEC(1), mesh_up_gone_timeout);
	mesh_timeouts_init(&w->unwatched, w->loop, MESH_MS(10), mesh_down_unwatched_timeout);
	return start_thread(w);
}

static void end_all(void *arg)
{
	struct mesh_worker *w = arg;

	while (w->downs) {
		struct mesh_down *d = w->downs;

		if (d->request)
			mesh_request_abort(d->request);
		mesh_down_close(d, false);
	}
	w->stopping = true;
}

void mesh_worker_stop(struct mesh_worker *w)
{
	if (w->started) {
		mesh_loop_post(w->loop, end_all, w);
		pthread_join(w->thread, NULL);
	}
	while (w->free_requests) {
		struct mesh_request *r = w->free_requests;

		w->free_requests = r->next;
		mesh_buf_free(&r->up_head);
		mesh_buf_free(&r->down_head);
		mesh_arena_free(&r->arena);
		free(r);
	}
	mesh_pipe_cache_free(&w->buffers);
	mesh_bulk_end(w);
	mesh_map_free(&w->spaces);
	mesh_loop_free(w->loop);
	mesh_cleanup_fd(&w->spare_fd);
}

struct call {
	void (*fn)(struct mesh_worker *w, void *arg);
	void *arg;
	struct mesh_worker *worker;
	sem_t *done;
};

static void run_call(void *arg)
{
	struct call *c = arg;

	c->fn(c->worker, c->arg);
	sem_post(c->done);
}

void mesh_workers_run(struct mesh_proxy *proxy, void (*fn)(struct mesh_worker *w, void *arg), void *arg)
{
	struct call *calls = mesh_xcalloc(proxy->worker_count, sizeof(*calls));
	sem_t done;

	sem_init(&done, 0, 0);
	for (unsigned i = 0; i < proxy->worker_count; i++) {
		calls[i] = (struct call){fn, arg, &proxy->workers[i], &done};
		mesh_loop_post(proxy->workers[i].loop, run_call, &calls[i]);
	}
	for (unsigned i = 0; i < proxy->worker_count; i++)
		while (sem_wait(&done) < 0 && errno == EINTR)
			;
	sem_destroy(&done);
	free(calls);
}

void mesh_workers_grace(struct mesh_proxy *proxy)
{
	for (unsigned i = 0; i < proxy->worker_count; i++) {
		atomic_uint_fast64_t *reading = &proxy->workers[i].reading;
		uint64_t seen = atomic_load(reading);

		while (seen % 2 && atomic_load(reading) == seen)
			sched_yield();
	}
}
