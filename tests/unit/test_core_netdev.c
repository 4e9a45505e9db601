/* SPDX-License-Identifier: Apache-2.0 */
/* core/netdev: what is said of devices that every machine has, and of none. */
#include "test.h"

#include "core/netdev.h"

#include <net/if.h>

TEST(driver_of_no_device)
{
	char driver[MESH_NETDEV_DRIVER] = "left";

	CHECK(mesh_netdev_driver("no-such-device0", driver) < 0);
	CHECK_STR(driver, "");
}

/* Whose name is longer than any device's. */
TEST(driver_of_a_long_name)
{
	char driver[MESH_NETDEV_DRIVER];

	CHECK(mesh_netdev_driver("a-name-that-is-longer-than-sixteen-bytes", driver) < 0);
}

/* Loopback has no driver that runs programs. */
TEST(xdp_of_loopback)
{
	CHECK(if_nametoindex("lo") > 0);
	CHECK(mesh_netdev_xdp(if_nametoindex("lo")) != MESH_NETDEV_XDP_NATIVE);
	CHECK_INT(mesh_netdev_xdp(0x7ffffff0), MESH_NETDEV_XDP_UNKNOWN);
}

TEST_MAIN()
