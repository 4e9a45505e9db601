/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/dp.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>

int mesh_dp_netlink_dump(int fd, const void *ask, size_t len, void (*see)(void *arg, const struct nlmsghdr *message),
			 void *arg)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));

	if (send(fd, ask, len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		size_t left = n > 0 ? (size_t)n : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		for (struct nlmsghdr *h = (struct nlmsghdr *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			see(arg, h);
		}
	}
}
