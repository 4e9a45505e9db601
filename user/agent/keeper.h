/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small process that outlives the agent: it starts the agent, starts it again when it dies, and holds the listeners
 * of captured pods meanwhile. A connect() made while no agent runs is completed by the kernel, waits in the listener's
 * queue and is served by the next agent. What is held is keyed by the pod's network namespace; the keeper never looks
 * into it.
 *
 * A keeper that starts while another runs (a DaemonSet's update with maxSurge) asks that one at its door, a unix
 * socket: the older has its agent yield, hands over all that it holds and a channel to that agent, and then only waits
 * for its own end. The older agent serves until the younger one says on the channel that it is in force, and then sends
 * it its clients' connections (handover.h). If the younger goes away before that, the older keeper starts its agent
 * anew. An agent that does not yield is ended, as is one whose younger keeper does not say hello.
 */
#ifndef MESH_AGENT_KEEPER_H
#define MESH_AGENT_KEEPER_H

#include <stddef.h>
#include <stdint.h>

struct mesh_keeper;

enum {
	MESH_KEEPER_FDS = 4,     /* of one namespace: see mesh_dp_capture() */
	MESH_KEEPER_RESUME = 75, /* exit status of an agent that yielded to one that never came */
};

/**
 * The keeper's main: runs path with argv (ended by NULL) again and again, with the environment variable that
 * mesh_keeper_join() reads. A child that ends by itself with status 0 or 2, or after SIGTERM or SIGINT to the keeper
 * (both are passed on), ends the keeper with that status; so does a failed start when nothing is held yet (one that was
 * killed by SIGKILL, or crashed after 10 s, has not failed to start). Otherwise the child is started again: at once if
 * it ran for 10 s, else after a pause that doubles from 50 ms to 5 s. Returns the exit status. door is the path at
 * which a keeper is asked to hand over (only by the same user), or NULL: never; holder that of a holder, or NULL: it
 * need not be there.
 */
int mesh_keeper_run(const char *path, char *const argv[], const char *door, const char *holder);

/** In the child: takes over what the keeper holds. Returns 0 with *ret NULL where no keeper runs; -errno if it does not
 * answer. */
int mesh_keeper_join(struct mesh_keeper **ret);
/** Closes what nobody took and forgets the keeper, which goes on holding what was put. NULL is allowed. */
void mesh_keeper_free(struct mesh_keeper *k);

/**
 * The descriptors held for a namespace; the caller owns them from now on (the keeper has its own). Returns how many: 0
 * if none, or if they were taken before. k may be NULL.
 */
size_t mesh_keeper_take(struct mesh_keeper *k, uint64_t netns_cookie, int fds[MESH_KEEPER_FDS]);
/** Namespaces whose descriptors nobody has taken are dropped and closed: their pods are gone. k may be NULL. */
void mesh_keeper_drop_rest(struct mesh_keeper *k);
/** Has the keeper hold duplicates of fds instead of what it had for that namespace; count 0 drops. Returns 0 or -errno.
 * k may be NULL. */
int mesh_keeper_put(struct mesh_keeper *k, uint64_t netns_cookie, const int *fds, size_t count);

/** The descriptor to watch for mesh_keeper_asks(), -1 if k is NULL. */
int mesh_keeper_fd(const struct mesh_keeper *k);
/**
 * Whether the keeper asks to yield: returns 1 with *channel (the caller's), 0 if nothing is there, or -errno: the
 * keeper is gone.
 */
int mesh_keeper_asks(struct mesh_keeper *k, int *channel);
/** The answer: nothing of the node is changed by this agent any more. Returns 0 or -errno. */
int mesh_keeper_yielded(struct mesh_keeper *k);
/** The channel to the agent before, to be closed by the caller; -1: there is none. k may be NULL. */
int mesh_keeper_channel(struct mesh_keeper *k);
/** The agent that was to take over is in force: the keeper does not give way any more. Returns 0 or -errno. k may be
 * NULL. */
int mesh_keeper_in_force(struct mesh_keeper *k);
/**
 * The channel is done with: in the younger agent, the older one is gone; in the older, the younger is in force, and
 * nothing is to be held any more. Returns 0 or -errno. k may be NULL.
 */
int mesh_keeper_moved(struct mesh_keeper *k);

#endif
