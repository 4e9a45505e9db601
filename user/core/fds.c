/* SPDX-License-Identifier: Apache-2.0 */
#include "core/fds.h"

#include "core/mem.h"

#include <string.h>

void mesh_fds_put(struct msghdr *m, union mesh_fds_room *room, const int *fds, size_t count)
{
	if (count == 0)
		return;
	memset(room, 0, sizeof(*room));
	m->msg_control = room->bytes;
	m->msg_controllen = CMSG_SPACE(sizeof(int) * count);
	room->head.cmsg_level = SOL_SOCKET;
	room->head.cmsg_type = SCM_RIGHTS;
	room->head.cmsg_len = CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(&room->head), fds, sizeof(int) * count);
}

void mesh_fds_expect(struct msghdr *m, union mesh_fds_room *room)
{
	m->msg_control = room->bytes;
	m->msg_controllen = sizeof(room->bytes);
}

size_t mesh_fds_take(const struct msghdr *m, int fds[MESH_FDS_MAX])
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(m);
	size_t count;

	/* There is never a second: the kernel puts all into one, and we ask for nothing else. */
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	count = MESH_MIN((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), (size_t)MESH_FDS_MAX);
	memcpy(fds, CMSG_DATA(c), count * sizeof(int));
	return count;
}
