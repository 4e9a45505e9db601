/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop over epoll: file descriptors, timers, and wake-ups from other threads.
 * The caller embeds a struct mesh_io or struct mesh_timer in its own object and owns it;
 * the loop only links to it. Everything runs on the thread that calls mesh_loop_run(),
 * except mesh_loop_post(). An io or timer may be removed, and its object freed, from any
 * callback, its own or another's: events already fetched for it are then dropped.
 */
#ifndef MESH_CORE_LOOP_H
#define MESH_CORE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct mesh_loop;
struct mesh_io;
struct mesh_timer;

/** events: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP as epoll gave them. */
typedef void mesh_io_fn(struct mesh_loop *loop, struct mesh_io *io, uint32_t events);
typedef void mesh_timer_fn(struct mesh_loop *loop, struct mesh_timer *timer);
typedef void mesh_post_fn(void *arg);

struct mesh_io {
	int fd;
	uint32_t events; /* what is asked for; 0: not registered */
	mesh_io_fn *fn;
	bool registered;
};

struct mesh_timer {
	uint64_t due_ns; /* on mesh_now_ns()'s clock */
	mesh_timer_fn *fn;
	uint32_t heap_at; /* index + 1; 0: not armed */
};

int mesh_loop_new(struct mesh_loop **ret);
void mesh_loop_free(struct mesh_loop *loop);

/** Runs until mesh_loop_stop(). Returns 0, or -errno when epoll fails. */
int mesh_loop_run(struct mesh_loop *loop);
/** One round: waits at most timeout_ms (-1: until something happens). Returns 0 or -errno. */
int mesh_loop_once(struct mesh_loop *loop, int timeout_ms);
void mesh_loop_stop(struct mesh_loop *loop);

/** Asks for events on io->fd (set io->fd and io->fn before), or changes what is asked for. Returns 0 or -errno. */
int mesh_io_set(struct mesh_loop *loop, struct mesh_io *io, uint32_t events);
/** Forgets io. Does not close the fd: do that after. Harmless if not registered. */
void mesh_io_remove(struct mesh_loop *loop, struct mesh_io *io);

/** (Re)arms: fn runs once, delay_ns from now. */
void mesh_timer_set(struct mesh_loop *loop, struct mesh_timer *timer, uint64_t delay_ns);
void mesh_timer_remove(struct mesh_loop *loop, struct mesh_timer *timer);

/** From any thread: fn(arg) runs on the loop's thread, in the order of posting. Posts left at mesh_loop_free() are
 * dropped. */
void mesh_loop_post(struct mesh_loop *loop, mesh_post_fn *fn, void *arg);

/** The monotonic time at which this round's events were fetched: cheap, for timeouts. */
uint64_t mesh_loop_now_ns(const struct mesh_loop *loop);
/** CLOCK_MONOTONIC now. */
uint64_t mesh_now_ns(void);

#define MESH_MS(n)  ((uint64_t)(n)*1000000ULL)
#define MESH_SEC(n) ((uint64_t)(n)*1000000000ULL)

/** Calls fn on SIGINT and SIGTERM (signalfd; blocks them in this thread: call before starting others). */
int mesh_loop_on_term(struct mesh_loop *loop, mesh_post_fn *fn, void *arg);

#endif
