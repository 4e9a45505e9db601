/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets that were replaced are deleted by a thread of their own, when an RCU grace period has passed
 * since the switch: a program that read the old service entry has ended by then.
 */
#include "dataplane/dp.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>

/* Changes come in bursts: one grace period serves all of a burst. */
enum { BURST_NS = 50 * 1000 * 1000 };

void mesh_dp_grace_period(void)
{
	struct timespec second = {.tv_sec = 1};

	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		nanosleep(&second, NULL);
}

/* One endpoint may be in several groups: the first deletes it, the others find nothing. */
static void delete_member(struct mesh_dp *dp, const struct mesh_slot *slot, bool v6)
{
	struct mesh_member m = {.set = slot->set};
	struct mesh_addr a;
	struct mesh_ep4 e4;
	struct mesh_ep6 e6;
	uint32_t ip;

	if (v6 ? bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_EP6], slot, &e6) < 0
	       : bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_EP4], slot, &e4) < 0)
		return;
	if (v6) {
		memcpy(m.ip, e6.ip, sizeof(m.ip));
		m.port = e6.port;
	} else {
		memcpy(&ip, e4.ip, sizeof(ip));
		a = mesh_addr_from_v4(ip, 0);
		memcpy(m.ip, &a.ip, sizeof(m.ip));
		m.port = e4.port;
	}
	bpf_map_delete_elem(dp->maps[MESH_DP_MAP_MEMBER], &m);
}

void mesh_dp_set_delete(struct mesh_dp *dp, const struct mesh_dp_garbage *g)
{
	int ep_fd = dp->maps[g->v6 ? MESH_DP_MAP_EP6 : MESH_DP_MAP_EP4];

	for (uint32_t i = 0; i < g->dests; i++) {
		struct mesh_slot slot = {.set = g->set, .dest = i};
		struct mesh_dest dest;

		if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_DEST], &slot, &dest) < 0)
			continue;
		for (slot.index = 0; slot.index < dest.endpoints; slot.index++) {
			if (g->members)
				delete_member(dp, &slot, g->v6);
			bpf_map_delete_elem(ep_fd, &slot);
		}
		slot.index = 0;
		bpf_map_delete_elem(dp->maps[MESH_DP_MAP_DEST], &slot);
	}
}

void mesh_dp_sweep_flush(struct mesh_dp *dp)
{
	__typeof__(dp->garbage) mine;

	/* Who comes while another sweeps waits until that is done: it is for the room. */
	pthread_mutex_lock(&dp->sweeping);
	pthread_mutex_lock(&dp->lock);
	mine = dp->garbage;
	memset(&dp->garbage, 0, sizeof(dp->garbage));
	pthread_mutex_unlock(&dp->lock);
	if (mine.count) {
		mesh_dp_grace_period();
		mesh_vec_each (g, &mine)
			mesh_dp_set_delete(dp, g);
	}
	pthread_mutex_unlock(&dp->sweeping);
	mesh_vec_free(&mine);
}

static void *sweep(void *arg)
{
	struct timespec burst = {.tv_nsec = BURST_NS};
	struct mesh_dp *dp = arg;

	pthread_mutex_lock(&dp->lock);
	while (!dp->stop) {
		if (!dp->garbage.count) {
			pthread_cond_wait(&dp->wake, &dp->lock);
			continue;
		}
		pthread_mutex_unlock(&dp->lock);
		nanosleep(&burst, NULL);
		mesh_dp_sweep_flush(dp);
		pthread_mutex_lock(&dp->lock);
	}
	pthread_mutex_unlock(&dp->lock);
	return NULL;
}

int mesh_dp_sweep_start(struct mesh_dp *dp)
{
	int r = pthread_create(&dp->sweeper, NULL, sweep, dp);

	dp->sweeper_runs = r == 0;
	return -r;
}

void mesh_dp_sweep_stop(struct mesh_dp *dp)
{
	if (!dp->sweeper_runs)
		return;
	pthread_mutex_lock(&dp->lock);
	dp->stop = true;
	pthread_cond_signal(&dp->wake);
	pthread_mutex_unlock(&dp->lock);
	pthread_join(dp->sweeper, NULL);
	dp->sweeper_runs = false;
	mesh_dp_sweep_flush(dp);
}

void mesh_dp_sweep_add(struct mesh_dp *dp, const struct mesh_dp_garbage *g)
{
	if (!g->dests)
		return;
	pthread_mutex_lock(&dp->lock);
	mesh_vec_push(&dp->garbage, *g);
	pthread_cond_signal(&dp->wake);
	pthread_mutex_unlock(&dp->lock);
}
