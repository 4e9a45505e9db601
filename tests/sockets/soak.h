/* SPDX-License-Identifier: Apache-2.0 */
/* The soak: numbered messages with checksums on connections that come and go. */
#ifndef MESH_TEST_SOCKETS_SOAK_H
#define MESH_TEST_SOCKETS_SOAK_H

#include "sock.h"

struct sc_soak {
	const struct sc *base; /* where to, by what; connection i uses port + i */
	unsigned connections, seconds;
	uint64_t messages; /* ends when so many have come, if that is sooner */
	uint64_t seed;
	const char *until; /* ends when this file is there; NULL */
};

/** Returns the exit status: 0 if every message came once, whole and in order. */
int sc_soak_main(const struct sc_soak *options);

#endif
