/* SPDX-License-Identifier: Apache-2.0 */
/* On which device a node ends what comes from impossible addresses (bpf/uplink.bpf.c): as people write it. Pure. */
#ifndef MESH_MODEL_XDP_H
#define MESH_MODEL_XDP_H

#include <stdbool.h>

enum { MESH_XDP_DEVICE = 16 }; /* IFNAMSIZ */

enum mesh_xdp_mode {
	MESH_XDP_NATIVE,  /* in the driver, before a packet has a buffer of the kernel's */
	MESH_XDP_GENERIC, /* after that, with any driver: to try it, it saves little */
};

struct mesh_xdp {
	char device[MESH_XDP_DEVICE];
	enum mesh_xdp_mode mode;
	bool veth; /* also if the device is a veth, which has no segmentation offload then */
};

/**
 * "DEVICE[,mode=native|generic][,veth=allow]". Returns 0; -EINVAL with *why (static storage) and *ret untouched if text
 * is anything else.
 */
int mesh_xdp_parse(const char *text, struct mesh_xdp *ret, const char **why);
/** "native" or "generic". */
const char *mesh_xdp_mode_text(enum mesh_xdp_mode mode);

#endif
