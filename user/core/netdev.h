/* SPDX-License-Identifier: Apache-2.0 */
/* What a network device is driven by and can do. In the network namespace of the calling thread. */
#ifndef MESH_CORE_NETDEV_H
#define MESH_CORE_NETDEV_H

#include <stddef.h>
#include <stdint.h>

enum { MESH_NETDEV_DRIVER = 32 };

/** The driver's name (ethtool's), such as "virtio_net". Returns 0; -errno with *ret empty. */
int mesh_netdev_driver(const char *device, char ret[MESH_NETDEV_DRIVER]);

enum mesh_netdev_xdp {
	MESH_NETDEV_XDP_UNKNOWN, /* kernels tell since 6.3 */
	MESH_NETDEV_XDP_NO,
	MESH_NETDEV_XDP_NATIVE, /* its driver runs XDP programs itself */
};

/** What the kernel says of the device (family "netdev" of generic netlink). */
enum mesh_netdev_xdp mesh_netdev_xdp(uint32_t ifindex);

#endif
