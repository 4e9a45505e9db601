/* SPDX-License-Identifier: Apache-2.0 */
#include "core/loop.h"

#include "core/vec.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>

enum { LOOP_EVENTS = 256 };

struct post {
	mesh_post_fn *fn;
	void *arg;
};

struct mesh_loop {
	int epoll_fd;
	bool stop;
	uint64_t now;
	struct epoll_event events[LOOP_EVENTS]; /* this round's; ptr is NULL once removed */
	int event_count, event_at;
	MESH_VEC(struct mesh_timer *) heap;
	struct mesh_io wake;
	pthread_mutex_t lock; /* guards posts */
	MESH_VEC(struct post) posts;
	struct mesh_io term;
	struct post on_term;
};

uint64_t mesh_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

uint64_t mesh_loop_now_ns(const struct mesh_loop *loop)
{
	return loop->now;
}

static void run_posts(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	MESH_VEC(struct post) batch = {0};
	uint64_t n;

	(void)events;
	if (read(io->fd, &n, sizeof(n)) < 0)
		return;
	pthread_mutex_lock(&loop->lock);
	batch.items = loop->posts.items;
	batch.count = loop->posts.count;
	memset(&loop->posts, 0, sizeof(loop->posts));
	pthread_mutex_unlock(&loop->lock);
	for (size_t i = 0; i < batch.count; i++)
		batch.items[i].fn(batch.items[i].arg);
	free(batch.items);
}

int mesh_loop_new(struct mesh_loop **ret)
{
	struct mesh_loop *loop = mesh_xcalloc(1, sizeof(*loop));
	int r;

	pthread_mutex_init(&loop->lock, NULL);
	loop->wake.fd = -1;
	loop->term.fd = -1;
	loop->now = mesh_now_ns();
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd >= 0)
		loop->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (loop->epoll_fd < 0 || loop->wake.fd < 0) {
		r = -errno;
		mesh_loop_free(loop);
		return r;
	}
	loop->wake.fn = run_posts;
	r = mesh_io_set(loop, &loop->wake, EPOLLIN);
	if (r < 0) {
		mesh_loop_free(loop);
		return r;
	}
	*ret = loop;
	return 0;
}

void mesh_loop_free(struct mesh_loop *loop)
{
	if (!loop)
		return;
	mesh_cleanup_fd(&loop->term.fd);
	mesh_cleanup_fd(&loop->wake.fd);
	mesh_cleanup_fd(&loop->epoll_fd);
	mesh_vec_free(&loop->heap);
	mesh_vec_free(&loop->posts);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

int mesh_io_set(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = io};

	if (io->registered && io->events == events)
		return 0;
	if (epoll_ctl(loop->epoll_fd, io->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, io->fd, &ev) < 0)
		return -errno;
	io->registered = true;
	io->events = events;
	return 0;
}

void mesh_io_remove(struct mesh_loop *loop, struct mesh_io *io)
{
	if (!io->registered)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
	io->registered = false;
	io->events = 0;
	for (int i = loop->event_at; i < loop->event_count; i++)
		if (loop->events[i].data.ptr == io)
			loop->events[i].data.ptr = NULL;
}

/* The timers are a binary heap, soonest first. */
static void heap_place(struct mesh_loop *loop, struct mesh_timer *t, size_t at)
{
	loop->heap.items[at] = t;
	t->heap_at = (uint32_t)at + 1;
}

static void heap_up(struct mesh_loop *loop, size_t at)
{
	struct mesh_timer *t = loop->heap.items[at];

	while (at > 0 && loop->heap.items[(at - 1) / 2]->due_ns > t->due_ns) {
		heap_place(loop, loop->heap.items[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	heap_place(loop, t, at);
}

static void heap_down(struct mesh_loop *loop, size_t at)
{
	struct mesh_timer *t = loop->heap.items[at];
	size_t n = loop->heap.count, child;

	while ((child = at * 2 + 1) < n) {
		if (child + 1 < n && loop->heap.items[child + 1]->due_ns < loop->heap.items[child]->due_ns)
			child++;
		if (t->due_ns <= loop->heap.items[child]->due_ns)
			break;
		heap_place(loop, loop->heap.items[child], at);
		at = child;
	}
	heap_place(loop, t, at);
}

void mesh_timer_remove(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_timer *last;
	size_t at;

	if (timer->heap_at == 0)
		return;
	at = timer->heap_at - 1;
	assert(loop->heap.items[at] == timer);
	timer->heap_at = 0;
	last = loop->heap.items[--loop->heap.count];
	if (last == timer)
		return;
	heap_place(loop, last, at);
	heap_up(loop, at);
	heap_down(loop, last->heap_at - 1);
}

void mesh_timer_set(struct mesh_loop *loop, struct mesh_timer *timer, uint64_t delay_ns)
{
	mesh_timer_remove(loop, timer);
	timer->due_ns = mesh_now_ns() + delay_ns;
	mesh_vec_push(&loop->heap, timer);
	timer->heap_at = (uint32_t)loop->heap.count;
	heap_up(loop, loop->heap.count - 1);
}

static void run_timers(struct mesh_loop *loop)
{
	uint64_t now = loop->now;

	while (loop->heap.count && loop->heap.items[0]->due_ns <= now) {
		struct mesh_timer *t = loop->heap.items[0];

		mesh_timer_remove(loop, t);
		t->fn(loop, t);
	}
}

static int wait_ms(const struct mesh_loop *loop, int timeout_ms)
{
	uint64_t now, due, ms;

	if (loop->heap.count == 0)
		return timeout_ms;
	now = mesh_now_ns();
	due = loop->heap.items[0]->due_ns;
	ms = due <= now ? 0 : (due - now + 999999) / 1000000;
	if (timeout_ms >= 0 && (uint64_t)timeout_ms < ms)
		return timeout_ms;
	return ms > 3600000 ? 3600000 : (int)ms;
}

int mesh_loop_once(struct mesh_loop *loop, int timeout_ms)
{
	int n = epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS, wait_ms(loop, timeout_ms));

	if (n < 0 && errno != EINTR)
		return -errno;
	loop->now = mesh_now_ns();
	loop->event_count = n < 0 ? 0 : n;
	for (loop->event_at = 0; loop->event_at < loop->event_count;) {
		struct epoll_event *ev = &loop->events[loop->event_at++];
		struct mesh_io *io = ev->data.ptr;

		if (io)
			io->fn(loop, io, ev->events);
	}
	loop->event_count = loop->event_at = 0;
	run_timers(loop);
	return 0;
}

int mesh_loop_run(struct mesh_loop *loop)
{
	while (!loop->stop) {
		int r = mesh_loop_once(loop, -1);

		if (r < 0)
			return r;
	}
	return 0;
}

void mesh_loop_stop(struct mesh_loop *loop)
{
	loop->stop = true;
}

void mesh_loop_post(struct mesh_loop *loop, mesh_post_fn *fn, void *arg)
{
	uint64_t one = 1;

	pthread_mutex_lock(&loop->lock);
	mesh_vec_push(&loop->posts, ((struct post){fn, arg}));
	pthread_mutex_unlock(&loop->lock);
	while (write(loop->wake.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void term_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	if (read(io->fd, &info, sizeof(info)) == sizeof(info))
		loop->on_term.fn(loop->on_term.arg);
}

int mesh_loop_on_term(struct mesh_loop *loop, mesh_post_fn *fn, void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	loop->term.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (loop->term.fd < 0)
		return -errno;
	loop->term.fn = term_ready;
	loop->on_term = (struct post){fn, arg};
	return mesh_io_set(loop, &loop->term, EPOLLIN);
}
