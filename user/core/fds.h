/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that ride along with a message on a unix socket (SCM_RIGHTS). Any thread. */
#ifndef MESH_CORE_FDS_H
#define MESH_CORE_FDS_H

#include <stddef.h>
#include <sys/socket.h>

enum { MESH_FDS_MAX = 4 };

/** What a struct msghdr needs beside it for as long as it is used. */
union mesh_fds_room {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int) * MESH_FDS_MAX)];
};

/** Has m take count of fds along, MESH_FDS_MAX at most; they stay the caller's, too. 0: none. */
void mesh_fds_put(struct msghdr *m, union mesh_fds_room *room, const int *fds, size_t count);
/** Lets m receive some. */
void mesh_fds_expect(struct msghdr *m, union mesh_fds_room *room);
/** Those that came with m: the caller's from now on. Returns how many. */
size_t mesh_fds_take(const struct msghdr *m, int fds[MESH_FDS_MAX]);

#endif
