/* SPDX-License-Identifier: Apache-2.0 */
/* What an XDP program on the node's way to other nodes would find there. */
#include "ctl/node_check.h"

#include "core/buf.h"
#include "core/mem.h"
#include "core/netdev.h"

#include <bpf/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROUTES_MAX = 1 << 20, RTF_UP_HEX = 1 };

/* The device of the IPv4 route to everywhere, as /proc/net/route has it: in hexadecimal, destination and mask 0. */
static int default_device(char ret[IF_NAMESIZE])
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	unsigned to, gateway, flags, mask;

	if (mesh_file_read("/proc/net/route", ROUTES_MAX, &text) < 0)
		return -1;
	for (const char *line = strchr(text.data, '\n'); line; line = strchr(line + 1, '\n'))
		if (sscanf(line + 1, "%15s %x %x %x %*s %*s %*s %x", ret, &to, &gateway, &flags, &mask) == 5 &&
		    to == 0 && mask == 0 && flags & RTF_UP_HEX)
			return 0;
	return -1;
}

static bool can_load(void)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 2 /* XDP_PASS */},
		{.code = BPF_JMP | BPF_EXIT},
	};
	mesh_auto_fd int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "mesh_try", "GPL", pass, MESH_ARRAY_SIZE(pass), NULL);

	return fd >= 0;
}

void mesh_node_check_uplink(json_t *rows)
{
	static const char why[] =
		"an XDP program there can end what comes from impossible addresses; it is put there if it is asked for";
	static const char *const modes[] = {
		[MESH_NETDEV_XDP_UNKNOWN] = "this kernel does not tell whether its driver runs XDP programs",
		[MESH_NETDEV_XDP_NO] = "its driver runs no XDP programs: mode=generic alone, which saves little",
		[MESH_NETDEV_XDP_NATIVE] = "its driver runs XDP programs: native mode",
	};
	char device[IF_NAMESIZE], driver[MESH_NETDEV_DRIVER];

	if (!can_load()) {
		mesh_verdict_add(rows, MESH_VERDICT_WARN, "uplink", why,
				 "CAP_BPF and CAP_NET_ADMIN; without it all else works",
				 "a program of type xdp cannot be loaded");
		return;
	}
	if (default_device(device) < 0) {
		mesh_verdict_add(rows, MESH_VERDICT_OK, "uplink", why, NULL,
				 "no IPv4 route leads everywhere: which device it is is not known here");
		return;
	}
	mesh_netdev_driver(device, driver);
	mesh_verdict_add(rows, MESH_VERDICT_OK, "uplink", why, NULL, "%s (driver %s): %s%s", device,
			 driver[0] ? driver : "unknown", modes[mesh_netdev_xdp(if_nametoindex(device))],
			 strcmp(driver, "veth") == 0
				 ? "; a veth loses segmentation offload by it, so it is not put there "
				   "unless veth=allow"
				 : "");
}
