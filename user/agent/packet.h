/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets with descriptors, on SOCK_SEQPACKET sockets between an agent and its keeper, two keepers (keeper.h), and a
 * keeper and a holder (holder.h): between processes of one user, and of different versions, so numbers stay as they
 * are. A list of what is held owns its descriptors.
 */
#ifndef MESH_AGENT_PACKET_H
#define MESH_AGENT_PACKET_H

#include "agent/keeper.h"
#include "core/vec.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

enum mesh_packet_kind {
	MESH_PACKET_LISTENERS =
		0,                /* of a namespace; count 0: to who holds, drop; cookie 0 as well: the end of a list */
	MESH_PACKET_HELLO = 1,    /* younger keeper to older: this one understands channels */
	MESH_PACKET_YIELD = 2,    /* keeper to agent, with its end of the channel */
	MESH_PACKET_YIELDED = 3,  /* the answer */
	MESH_PACKET_CHANNEL = 4,  /* older keeper to younger, and that one to its agent: the other end */
	MESH_PACKET_MOVED = 5,    /* agent to keeper: see mesh_keeper_moved() */
	MESH_PACKET_TAKE = 6,     /* keeper to holder: what is held? Answered by a list */
	MESH_PACKET_RESET = 7,    /* keeper to holder: drop all; what is to be held follows */
	MESH_PACKET_IN_FORCE = 8, /* agent to keeper: see mesh_keeper_in_force() */
};

/** The listeners of one namespace, or what else a packet of that kind brought. */
struct mesh_held {
	enum mesh_packet_kind kind;
	uint64_t netns_cookie;
	int fds[MESH_KEEPER_FDS];
	size_t count;
};

struct mesh_held_list {
	MESH_VEC(struct mesh_held) list;
};

void mesh_held_close(struct mesh_held *h);
/** Takes the descriptor of what has one alone; else -1, and all are closed. */
int mesh_held_only(struct mesh_held *h);
/** In the place of what was held for that namespace; without descriptors: drops it. Owns h's from then on. */
void mesh_held_put(struct mesh_held_list *l, const struct mesh_held *h);
void mesh_held_drop_all(struct mesh_held_list *l);
/** Its memory, too. */
void mesh_held_free(struct mesh_held_list *l);

/** fds stay the caller's. flags: of sendmsg(). Returns 0 or -errno. */
int mesh_packet_send(int fd, enum mesh_packet_kind kind, uint64_t netns_cookie, const int *fds, size_t count,
		     int flags);
/** All that is held, without an end. Returns 0 or -errno. */
int mesh_packet_send_list(int fd, const struct mesh_held_list *l, int flags);
/** Returns 1 with *ret (which owns its descriptors), 0 when the other side has gone, or -errno (-EMFILE: descriptors
 * were cut off). */
int mesh_packet_receive(int fd, struct mesh_held *ret, int flags);
/** A list to its end, and the channel (closed and replaced) if there is one in it. Returns 1, or as
 * mesh_packet_receive(). */
int mesh_packet_receive_list(int fd, struct mesh_held_list *ret, int *channel);

/** Returns 0 or -ENAMETOOLONG. */
int mesh_packet_address(const char *path, struct sockaddr_un *ret);
/** Listens there, alone: another's socket of that name is removed. Returns the descriptor or -errno. */
int mesh_packet_listen(const struct sockaddr_un *at);
/** Returns the descriptor or -errno. */
int mesh_packet_connect(const struct sockaddr_un *at);
/** Whether the other side is this user's. */
bool mesh_packet_is_ours(int fd);

#endif
