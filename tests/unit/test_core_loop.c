/* SPDX-License-Identifier: Apache-2.0 */
/* core/loop: descriptors, timers, posts, signals, and removal from within callbacks. */
#include "test.h"

#include "core/loop.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

struct pipe_io {
	struct mesh_io io;
	struct mesh_io *victim; /* removed, with its descriptor closed, when this one fires */
	int other, fired;
	uint32_t last;
};

static void on_io(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct pipe_io *p = mesh_container_of(io, struct pipe_io, io);

	p->fired++;
	p->last = events;
	if (p->victim) {
		mesh_io_remove(loop, p->victim);
		p->victim = NULL;
	}
}

static void open_pair(struct pipe_io *p)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		abort();
	*p = (struct pipe_io){.io = {.fd = fds[0], .fn = on_io}, .other = fds[1]};
}

static void close_pair(struct pipe_io *p)
{
	close(p->io.fd);
	close(p->other);
}

TEST(io_asks_changes_and_forgets)
{
	struct mesh_loop *loop = NULL;
	struct pipe_io p;

	CHECK_INT(mesh_loop_new(&loop), 0);
	open_pair(&p);
	CHECK_INT(mesh_io_set(loop, &p.io, EPOLLIN), 0);
	CHECK_INT(mesh_loop_once(loop, 0), 0);
	CHECK_INT(p.fired, 0);
	CHECK_INT(write(p.other, "x", 1), 1);
	CHECK_INT(mesh_loop_once(loop, 1000), 0);
	CHECK_INT(p.fired, 1);
	CHECK_INT(p.last, EPOLLIN);
	CHECK_INT(mesh_io_set(loop, &p.io, EPOLLOUT), 0); /* change: input is not asked for any more */
	CHECK_INT(mesh_loop_once(loop, 1000), 0);
	CHECK_INT(p.last, EPOLLOUT);
	mesh_io_remove(loop, &p.io);
	mesh_io_remove(loop, &p.io);
	CHECK_INT(mesh_loop_once(loop, 0), 0);
	CHECK_INT(p.fired, 2);
	CHECK_INT(mesh_io_set(loop, &p.io, EPOLLIN), 0); /* and it may come back */
	CHECK_INT(mesh_loop_once(loop, 0), 0);
	CHECK_INT(p.fired, 3);
	close_pair(&p);
	mesh_loop_free(loop);
}

TEST(io_set_reports_errors)
{
	struct mesh_io io = {.fd = -1, .fn = on_io};
	struct mesh_loop *loop = NULL;

	CHECK_INT(mesh_loop_new(&loop), 0);
	CHECK_INT(mesh_io_set(loop, &io, EPOLLIN), -EBADF);
	CHECK(!io.registered);
	mesh_loop_free(loop);
}

/* Two descriptors are ready in one round; whichever runs first removes the other, which must not run. */
TEST(io_removed_in_the_same_round_is_dropped)
{
	struct mesh_loop *loop = NULL;
	struct pipe_io a, b;

	CHECK_INT(mesh_loop_new(&loop), 0);
	open_pair(&a);
	open_pair(&b);
	a.victim = &b.io;
	b.victim = &a.io;
	CHECK_INT(mesh_io_set(loop, &a.io, EPOLLIN), 0);
	CHECK_INT(mesh_io_set(loop, &b.io, EPOLLIN), 0);
	CHECK_INT(write(a.other, "x", 1), 1);
	CHECK_INT(write(b.other, "x", 1), 1);
	CHECK_INT(mesh_loop_once(loop, 1000), 0);
	CHECK_INT(a.fired + b.fired, 1);
	close_pair(&a);
	close_pair(&b);
	mesh_loop_free(loop);
}

struct order {
	struct mesh_timer timer;
	int id;
};

static char fired[64];
static struct mesh_timer *remove_next;

static void on_timer(struct mesh_loop *loop, struct mesh_timer *t)
{
	struct order *o = mesh_container_of(t, struct order, timer);
	size_t n = strlen(fired);

	fired[n] = (char)('a' + o->id);
	fired[n + 1] = '\0';
	if (remove_next)
		mesh_timer_remove(loop, remove_next);
	remove_next = NULL;
}

TEST(timers_fire_in_order_of_time)
{
	static const int delays[] = {5, 1, 4, 0, 3, 2, 6};
	struct order o[MESH_ARRAY_SIZE(delays)] = {0};
	struct mesh_loop *loop = NULL;
	uint64_t start = mesh_now_ns();

	fired[0] = '\0';
	CHECK_INT(mesh_loop_new(&loop), 0);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(delays); i++) {
		o[i] = (struct order){.timer.fn = on_timer, .id = delays[i]};
		mesh_timer_set(loop, &o[i].timer, MESH_MS(delays[i] * 5));
	}
	while (strlen(fired) < MESH_ARRAY_SIZE(delays) && mesh_now_ns() - start < MESH_SEC(5))
		CHECK_INT(mesh_loop_once(loop, -1), 0);
	CHECK_STR(fired, "abcdefg");
	CHECK(mesh_now_ns() - start >= MESH_MS(30));
	CHECK(mesh_loop_now_ns(loop) >= start + MESH_MS(30));
	mesh_loop_free(loop);
}

TEST(timers_rearm_and_remove)
{
	struct order o[4];
	struct mesh_loop *loop = NULL;

	fired[0] = '\0';
	CHECK_INT(mesh_loop_new(&loop), 0);
	for (int i = 0; i < 4; i++) {
		o[i] = (struct order){.timer.fn = on_timer, .id = i};
		mesh_timer_set(loop, &o[i].timer, MESH_MS(i));
	}
	mesh_timer_remove(loop, &o[1].timer);
	mesh_timer_remove(loop, &o[1].timer);          /* harmless */
	mesh_timer_set(loop, &o[0].timer, MESH_MS(8)); /* later than all */
	usleep(15000);
	remove_next = &o[3].timer; /* the first to fire removes one that is due in the same round */
	CHECK_INT(mesh_loop_once(loop, 0), 0);
	CHECK_STR(fired, "ca");
	CHECK_INT(o[0].timer.heap_at, 0);
	mesh_loop_free(loop);
}

TEST(timers_many_random)
{
	enum { N = 2000 };
	static struct order o[N];
	struct mesh_loop *loop = NULL;
	unsigned seed = 1;

	fired[0] = '\0';
	CHECK_INT(mesh_loop_new(&loop), 0);
	for (int i = 0; i < N; i++) {
		o[i].timer.fn = on_timer;
		mesh_timer_set(loop, &o[i].timer, MESH_SEC(100 + rand_r(&seed) % 100));
	}
	for (int i = 0; i < N; i++) { /* the heap holds, whatever leaves it */
		int j = rand_r(&seed) % N;

		if (i % 2)
			mesh_timer_remove(loop, &o[j].timer);
		else
			mesh_timer_set(loop, &o[j].timer, MESH_SEC(100 + rand_r(&seed) % 100));
	}
	for (int i = 0; i < N; i++)
		mesh_timer_remove(loop, &o[i].timer);
	CHECK_INT(mesh_loop_once(loop, 0), 0);
	CHECK_STR(fired, "");
	mesh_loop_free(loop);
}

static struct mesh_loop *post_loop;
static int post_count, post_wrong;
static pthread_t post_thread;

static void on_post(void *arg)
{
	if ((intptr_t)arg != post_count || !pthread_equal(pthread_self(), post_thread))
		post_wrong++;
	if (++post_count == 1000)
		mesh_loop_stop(post_loop);
}

static void *poster(void *arg)
{
	(void)arg;
	for (intptr_t i = 0; i < 1000; i++)
		mesh_loop_post(post_loop, on_post, (void *)i);
	return NULL;
}

TEST(posts_run_in_order_on_the_loops_thread)
{
	pthread_t t;

	post_count = post_wrong = 0;
	post_thread = pthread_self();
	CHECK_INT(mesh_loop_new(&post_loop), 0);
	CHECK_INT(pthread_create(&t, NULL, poster, NULL), 0);
	CHECK_INT(mesh_loop_run(post_loop), 0);
	pthread_join(t, NULL);
	CHECK_INT(post_count, 1000);
	CHECK_INT(post_wrong, 0);
	mesh_loop_post(post_loop, on_post, NULL); /* left over: dropped */
	mesh_loop_free(post_loop);
	CHECK_INT(post_count, 1000);
	mesh_loop_free(NULL);
}

static void on_term(void *arg)
{
	mesh_loop_stop(arg);
}

TEST(term_signal_reaches_the_loop)
{
	struct mesh_loop *loop = NULL;
	sigset_t old;

	pthread_sigmask(SIG_SETMASK, NULL, &old);
	CHECK_INT(mesh_loop_new(&loop), 0);
	CHECK_INT(mesh_loop_on_term(loop, on_term, loop), 0);
	raise(SIGTERM);
	CHECK_INT(mesh_loop_run(loop), 0);
	mesh_loop_free(loop);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

TEST_MAIN()
