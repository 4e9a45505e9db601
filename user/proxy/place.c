/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which worker serves a connection. One worker that is busy costs less CPU for each request than two that are woken in
 * turn: it finds more to do each time it looks. So workers are filled one after another. Each measures its own CPU
 * time; what is new goes to the first that has room, a full one gives connections away as they become idle, and one
 * that is hardly used gives all of its to one before it.
 */
#include "core/mem.h"
#include "proxy/engine.h"

#include <time.h>

/* In permille of a CPU. A worker must not become full by what it is given because another was hardly used. */
enum { FULL = 850, ROOM = 600, HARDLY = 200, GIVE_PART = 8 };
#define MEASURE_NS MESH_MS(100)
#define STALE_NS   MESH_MS(300) /* a worker that slept for so long has nothing to do */

static unsigned load_of(const struct mesh_worker *w, uint64_t now)
{
	uint64_t at = atomic_load_explicit(&w->load_at, memory_order_relaxed);

	return now > at + STALE_NS ? 0 : atomic_load_explicit(&w->load, memory_order_relaxed);
}

static unsigned active(const struct mesh_worker *w)
{
	return atomic_load_explicit(&w->active, memory_order_relaxed);
}

struct mesh_worker *mesh_place_pick(struct mesh_proxy *proxy)
{
	struct mesh_worker *all = proxy->workers, *best = all;
	uint64_t now = proxy->worker_count > 1 ? mesh_now_ns() : 0;

	for (unsigned i = 0; i < proxy->worker_count; i++) {
		if (load_of(&all[i], now) < FULL)
			return &all[i];
		if (active(&all[i]) < active(best))
			best = &all[i];
	}
	return best;
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void decide(struct mesh_worker *w, unsigned load, uint64_t now)
{
	struct mesh_worker *all = w->proxy->workers;

	w->give = 0;
	for (unsigned i = 0; i < w->proxy->worker_count; i++) {
		unsigned theirs = load_of(&all[i], now);

		if (&all[i] == w)
			continue;
		if (load >= FULL && theirs < ROOM)
			w->give = active(w) / GIVE_PART + (active(w) > 1);
		else if (i < w->index && load < HARDLY && load + theirs < ROOM)
			w->give = active(w);
		w->give_to = &all[i];
		if (w->give)
			return;
	}
}

void mesh_place_measure(struct mesh_worker *w)
{
	uint64_t now = mesh_loop_now_ns(w->loop), at = atomic_load_explicit(&w->load_at, memory_order_relaxed), cpu;
	unsigned load;

	if (w->proxy->worker_count == 1 || now < at + MEASURE_NS)
		return;
	cpu = thread_cpu_ns();
	load = at ? (unsigned)((cpu - w->load_cpu) * 1000 / (now - at)) : 0;
	w->load_cpu = cpu;
	atomic_store_explicit(&w->load, load, memory_order_relaxed);
	atomic_store_explicit(&w->load_at, now, memory_order_relaxed);
	decide(w, load, now);
}

static void enter(void *arg)
{
	struct mesh_down *d = arg;

	mesh_down_enter(d->worker, d);
}

void mesh_place_give(struct mesh_down *d)
{
	struct mesh_worker *w = d->worker, *to = w->give_to;

	if (!w->give)
		return;
	w->give--;
	mesh_down_leave(d);
	d->worker = to;
	atomic_fetch_sub_explicit(&w->active, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&to->active, 1, memory_order_relaxed);
	mesh_loop_post(to->loop, enter, d);
}
