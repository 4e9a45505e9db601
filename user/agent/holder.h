/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meshd hold: a process in a container of its own, which outlives the agent's. It holds duplicates of all listeners
 * that the keeper holds (keeper.h). When the agent's whole container is killed (by its memory limit on cgroup v2, by
 * the runtime), connect() goes on being completed by the kernel, and who connected is served by the next agent, some
 * seconds later. It never looks into what it holds, and needs no privilege.
 *
 * One keeper at a time: the last one that connected. Without any for a minute everything is let go, so that clients are
 * refused rather than left waiting. One process; no threads.
 */
#ifndef MESH_AGENT_HOLDER_H
#define MESH_AGENT_HOLDER_H

#include <stdint.h>

/** Serves at path until SIGTERM or SIGINT. alone_ns: how long it holds without a keeper. Returns the exit status. */
int mesh_holder_run(const char *path, uint64_t alone_ns);

/** Where a holder is found by who serves at that socket. New string, NULL for NULL. */
char *mesh_holder_path(const char *socket);

/** meshd hold. Returns the exit status. */
int mesh_holder_main(int argc, char **argv);

#endif
