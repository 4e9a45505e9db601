/* SPDX-License-Identifier: Apache-2.0 */
#include "core/netdev.h"

#include "core/mem.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Of linux/netdev.h, which is younger than what this is built with. */
enum { DEV_GET = 1, DEV_IFINDEX = 1, DEV_XDP_FEATURES = 3, XDP_BASIC = 1 };

int mesh_netdev_driver(const char *device, char ret[MESH_NETDEV_DRIVER])
{
	mesh_auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq ask = {.ifr_data = (char *)&info};

	ret[0] = '\0';
	snprintf(ask.ifr_name, sizeof(ask.ifr_name), "%s", device);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &ask) < 0)
		return -errno;
	memcpy(ret, info.driver, MESH_NETDEV_DRIVER);
	ret[MESH_NETDEV_DRIVER - 1] = '\0';
	return 0;
}

/* One request with one attribute, and of its answer one attribute. Returns 0, -ENODATA or -errno. */
struct question {
	uint16_t family;
	uint8_t cmd;
	uint16_t key, key_len;
	const void *value;
	uint16_t want, want_len;
	void *ret;
};

static int find_attr(const char *bytes, size_t len, const struct question *q)
{
	while (len >= NLA_HDRLEN) {
		struct nlattr a;

		memcpy(&a, bytes, sizeof(a));
		if (a.nla_len < NLA_HDRLEN || a.nla_len > len)
			break;
		if ((a.nla_type & NLA_TYPE_MASK) == q->want && a.nla_len >= NLA_HDRLEN + q->want_len) {
			memcpy(q->ret, bytes + NLA_HDRLEN, q->want_len);
			return 0;
		}
		bytes += MESH_MIN(len, (size_t)NLA_ALIGN(a.nla_len));
		len -= MESH_MIN(len, (size_t)NLA_ALIGN(a.nla_len));
	}
	return -ENODATA;
}

static int ask(int fd, const struct question *q)
{
	enum { HEAD = NLMSG_HDRLEN + GENL_HDRLEN };
	char buf[8192] __attribute__((aligned(NLMSG_ALIGNTO))) = {0};
	struct nlmsghdr *h = (struct nlmsghdr *)buf;
	struct genlmsghdr *g = NLMSG_DATA(h);
	struct nlattr *a = (struct nlattr *)(buf + HEAD);
	ssize_t n;

	a->nla_type = q->key;
	a->nla_len = (uint16_t)(NLA_HDRLEN + q->key_len);
	memcpy(buf + HEAD + NLA_HDRLEN, q->value, q->key_len);
	g->cmd = q->cmd;
	g->version = 1;
	h->nlmsg_type = q->family;
	h->nlmsg_flags = NLM_F_REQUEST;
	h->nlmsg_len = (uint32_t)(HEAD + NLA_ALIGN(a->nla_len));
	if (send(fd, buf, h->nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, buf, sizeof(buf), 0);
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(h, (size_t)n) || h->nlmsg_type != q->family || h->nlmsg_len < HEAD)
		return -ENODATA;
	return find_attr(buf + HEAD, h->nlmsg_len - HEAD, q);
}

enum mesh_netdev_xdp mesh_netdev_xdp(uint32_t ifindex)
{
	mesh_auto_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	uint16_t family = 0;
	uint64_t features = 0;
	const struct question which = {.family = GENL_ID_CTRL,
				       .cmd = CTRL_CMD_GETFAMILY,
				       .key = CTRL_ATTR_FAMILY_NAME,
				       .key_len = sizeof("netdev"),
				       .value = "netdev",
				       .want = CTRL_ATTR_FAMILY_ID,
				       .want_len = sizeof(family),
				       .ret = &family};
	struct question what = {.cmd = DEV_GET,
				.key = DEV_IFINDEX,
				.key_len = sizeof(ifindex),
				.value = &ifindex,
				.want = DEV_XDP_FEATURES,
				.want_len = sizeof(features),
				.ret = &features};

	if (fd < 0 || ask(fd, &which) < 0)
		return MESH_NETDEV_XDP_UNKNOWN;
	what.family = family;
	if (ask(fd, &what) < 0)
		return MESH_NETDEV_XDP_UNKNOWN;
	return features & XDP_BASIC ? MESH_NETDEV_XDP_NATIVE : MESH_NETDEV_XDP_NO;
}
