/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that does to pods' devices what can wait. The kernel lets each change by tcx wait for an RCU grace period,
 * with the lock that every change of every device needs: some 12 ms, twice for each device. So a new pod starts with
 * filters, which are there at once and cost its packets more, and goes over to tcx when no pod came or went for a
 * while; and by the time that programs would be taken off a pod's device, the device itself is mostly gone.
 *
 * Map veth has what is to be taken off until it is, so that a next agent goes on where this one is killed. What is to
 * go over to tcx has filters of ours until it has, which the next agent sees.
 */
#include "dataplane/bypass.h"

#include "core/log.h"
#include "core/loop.h"

#include <errno.h>
#include <netlink/netlink.h>

/* No pod came or went for so long; a device waits no longer than that. */
static const uint64_t QUIET_NS = 500000000ull, PATIENCE_NS = 5000000000ull;

struct task {
	uint32_t ifindex;
	bool on; /* goes over to tcx; else everything is taken off */
};

struct mesh_dp_later {
	const struct mesh_dp *dp;
	struct nl_sock *route;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, done;

	/* Under lock: */
	MESH_VEC(struct task) tasks;
	uint64_t first_ns, last_ns; /* when the oldest and the newest of tasks came */
	uint32_t busy;              /* with that device; 0: with none */
	size_t waiting;             /* in mesh_dp_later_settle() */
	bool stop;
};

static void go_over(struct mesh_dp_later *l, uint32_t ifindex)
{
	int r = mesh_dp_bypass_go_over(l->dp, ifindex);

	if (r < 0 && r != -ENODEV)
		mesh_warn("device %u keeps its filters, which cost a packet more than tcx: %s", ifindex, strerror(-r));
}

static void take_off(struct mesh_dp_later *l, uint32_t ifindex)
{
	struct mesh_veth v;

	if (bpf_map_lookup_elem(l->dp->maps[MESH_DP_MAP_VETH], &ifindex, &v) == 0)
		mesh_dp_bypass_clear(l->dp, l->route, ifindex, &v);
}

/* Under lock. */
static bool is_due(const struct mesh_dp_later *l, struct timespec *when)
{
	uint64_t ns = MESH_MIN(l->last_ns + QUIET_NS, l->first_ns + PATIENCE_NS);

	when->tv_sec = (time_t)(ns / 1000000000);
	when->tv_nsec = (long)(ns % 1000000000);
	return l->waiting || mesh_now_ns() >= ns;
}

/* Under lock, which is not held meanwhile. */
static void do_next(struct mesh_dp_later *l)
{
	struct task t = l->tasks.items[0];

	mesh_vec_remove(&l->tasks, 0);
	l->busy = t.ifindex;
	pthread_mutex_unlock(&l->lock);
	if (t.on)
		go_over(l, t.ifindex);
	else
		take_off(l, t.ifindex);
	pthread_mutex_lock(&l->lock);
	l->busy = 0;
	pthread_cond_broadcast(&l->done);
}

static void *run(void *arg)
{
	struct mesh_dp_later *l = arg;

	pthread_mutex_lock(&l->lock);
	while (!l->stop) {
		struct timespec when;

		if (!l->tasks.count)
			pthread_cond_wait(&l->wake, &l->lock);
		else if (is_due(l, &when))
			do_next(l);
		else
			pthread_cond_timedwait(&l->wake, &l->lock, &when);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

static void later_free(struct mesh_dp_later *l)
{
	nl_socket_free(l->route);
	mesh_vec_free(&l->tasks);
	pthread_cond_destroy(&l->wake);
	pthread_cond_destroy(&l->done);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

struct mesh_dp_later *mesh_dp_later_start(const struct mesh_dp *dp)
{
	struct mesh_dp_later *l = mesh_xcalloc(1, sizeof(*l));
	pthread_condattr_t attr;
	int r;

	l->dp = dp;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* as mesh_now_ns() */
	pthread_cond_init(&l->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&l->done, NULL);
	pthread_mutex_init(&l->lock, NULL);
	r = mesh_dp_route_open(dp->host_netns, &l->route);
	if (r == 0)
		r = -pthread_create(&l->thread, NULL, run, l);
	if (r == 0)
		return l;
	mesh_warn("devices of pods are changed while others wait, as there is no thread for it: %s", strerror(-r));
	later_free(l);
	return NULL;
}

void mesh_dp_later_stop(struct mesh_dp_later *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	later_free(l);
}

static void add(struct mesh_dp_later *l, uint32_t ifindex, bool on)
{
	uint64_t now = mesh_now_ns();

	pthread_mutex_lock(&l->lock);
	if (!l->tasks.count)
		l->first_ns = now;
	l->last_ns = now;
	mesh_vec_push(&l->tasks, ((struct task){ifindex, on}));
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

void mesh_dp_later_go_over(struct mesh_dp_later *l, uint32_t ifindex)
{
	add(l, ifindex, true);
}

void mesh_dp_later_take_off(struct mesh_dp_later *l, uint32_t ifindex)
{
	add(l, ifindex, false);
}

void mesh_dp_later_forget(struct mesh_dp_later *l, uint32_t ifindex)
{
	pthread_mutex_lock(&l->lock);
	for (size_t i = l->tasks.count; i-- > 0;)
		if (l->tasks.items[i].ifindex == ifindex)
			mesh_vec_remove(&l->tasks, i);
	while (l->busy == ifindex)
		pthread_cond_wait(&l->done, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

void mesh_dp_later_settle(struct mesh_dp_later *l)
{
	pthread_mutex_lock(&l->lock);
	l->waiting++;
	pthread_cond_signal(&l->wake);
	while (l->tasks.count || l->busy)
		pthread_cond_wait(&l->done, &l->lock);
	l->waiting--;
	pthread_mutex_unlock(&l->lock);
}

size_t mesh_dp_later_count(struct mesh_dp_later *l)
{
	size_t n;

	pthread_mutex_lock(&l->lock);
	n = l->tasks.count + (l->busy != 0);
	pthread_mutex_unlock(&l->lock);
	return n;
}
