/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/packet.h"

#include "core/fds.h"
#include "core/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

_Static_assert((int)MESH_KEEPER_FDS == (int)MESH_FDS_MAX, "all of a namespace in one packet");

struct packet {
	uint64_t netns_cookie;
	uint32_t count;
	uint32_t kind;
};

void mesh_held_close(struct mesh_held *h)
{
	for (size_t i = 0; i < h->count; i++)
		close(h->fds[i]);
	h->count = 0;
}

void mesh_held_put(struct mesh_held_list *l, const struct mesh_held *h)
{
	for (size_t i = l->list.count; i > 0; i--)
		if (l->list.items[i - 1].netns_cookie == h->netns_cookie) {
			mesh_held_close(&l->list.items[i - 1]);
			mesh_vec_remove(&l->list, i - 1);
		}
	if (h->count)
		mesh_vec_push(&l->list, *h);
}

void mesh_held_drop_all(struct mesh_held_list *l)
{
	mesh_vec_each (h, &l->list)
		mesh_held_close(h);
	l->list.count = 0;
}

void mesh_held_free(struct mesh_held_list *l)
{
	mesh_held_drop_all(l);
	mesh_vec_free(&l->list);
}

int mesh_packet_send(int fd, enum mesh_packet_kind kind, uint64_t netns_cookie, const int *fds, size_t count, int flags)
{
	struct packet p = {.netns_cookie = netns_cookie, .count = (uint32_t)count, .kind = kind};
	struct iovec part = {.iov_base = &p, .iov_len = sizeof(p)};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	union mesh_fds_room room;

	mesh_fds_put(&m, &room, fds, count);
	return sendmsg(fd, &m, MSG_NOSIGNAL | flags) < 0 ? -errno : 0;
}

int mesh_packet_send_list(int fd, const struct mesh_held_list *l, int flags)
{
	int r = 0;

	mesh_vec_each (h, &l->list)
		if (r == 0)
			r = mesh_packet_send(fd, MESH_PACKET_LISTENERS, h->netns_cookie, h->fds, h->count, flags);
	return r;
}

int mesh_packet_receive(int fd, struct mesh_held *ret, int flags)
{
	struct packet p = {0};
	struct iovec part = {.iov_base = &p, .iov_len = sizeof(p)};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	union mesh_fds_room room;
	ssize_t n;

	mesh_fds_expect(&m, &room);
	n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | flags);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	*ret = (struct mesh_held){.kind = p.kind, .netns_cookie = p.netns_cookie};
	ret->count = mesh_fds_take(&m, ret->fds);
	if (n == sizeof(p) && p.count == ret->count && !(m.msg_flags & MSG_CTRUNC))
		return 1;
	mesh_held_close(ret); /* descriptors were cut off: no table had room for them */
	return -EMFILE;
}

int mesh_held_only(struct mesh_held *h)
{
	int fd = h->count == 1 ? h->fds[0] : -1;

	if (h->count == 1)
		h->count = 0;
	mesh_held_close(h);
	return fd;
}

int mesh_packet_receive_list(int fd, struct mesh_held_list *ret, int *channel)
{
	struct mesh_held h;
	int r;

	while ((r = mesh_packet_receive(fd, &h, 0)) > 0) {
		if (h.kind == MESH_PACKET_CHANNEL && channel) {
			mesh_cleanup_fd(channel);
			*channel = mesh_held_only(&h);
		} else if (h.kind != MESH_PACKET_LISTENERS) {
			mesh_held_close(&h);
		} else if (h.count) {
			mesh_held_put(ret, &h);
		} else {
			return 1;
		}
	}
	return r;
}

int mesh_packet_address(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret->sun_path, path, strlen(path));
	return 0;
}

int mesh_packet_listen(const struct sockaddr_un *at)
{
	mesh_auto_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	unlink(at->sun_path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 ||
	    chmod(at->sun_path, S_IRUSR | S_IWUSR) < 0 || listen(fd, 1) < 0)
		return -errno;
	return mesh_steal_fd(&fd);
}

int mesh_packet_connect(const struct sockaddr_un *at)
{
	mesh_auto_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0)
		return -errno;
	return mesh_steal_fd(&fd);
}

bool mesh_packet_is_ours(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == geteuid();
}
