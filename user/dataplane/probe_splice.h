/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the splice tier changes for programs, tried on the running kernel: the tier's own program on real sockets in a
 * network namespace of their own, which goes with the thread that ran it. Nothing is attached or pinned. Any thread.
 */
#ifndef MESH_DATAPLANE_PROBE_SPLICE_H
#define MESH_DATAPLANE_PROBE_SPLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MESH_SPLICE_PROBES_MAX = 24 };

struct mesh_splice_row {
	const char *name; /* of the probe */
	const char *what; /* what programs may rely on; static */
	bool same;        /* as over TCP */
	char seen[160];   /* what was seen */
};

struct mesh_splice_found {
	struct mesh_splice_row rows[MESH_SPLICE_PROBES_MAX];
	size_t count;
	bool all;          /* every probe ran, and all were as over TCP */
	char trouble[160]; /* why nothing could be tried, or "" */
};

/**
 * The kernel's function that wakes a reader in a blocking call, as seen on a socket that has one; 0: it was not seen.
 * For where /proc/kallsyms does not tell (without CAP_SYSLOG).
 */
uint64_t mesh_splice_learn_reader(void);

/** Runs every probe, or (until_first) until one is not as over TCP. Well under a second. Needs root. */
void mesh_splice_probe(struct mesh_splice_found *ret, bool until_first);

#endif
