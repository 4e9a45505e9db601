/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper runs in the server pod and makes listening sockets for the cases, which get them over a unix socket (the
 * pods of a lab share the machine's files). An accepted socket belongs to the namespace and cgroup of its listener.
 */
#ifndef MESH_TEST_SOCKETS_HELPER_H
#define MESH_TEST_SOCKETS_HELPER_H

#include "sock.h"

/** Serves at that path until standard input ends. Returns the exit status. */
int sc_helper_main(const char *path);
/** Asks for a listener. Returns a descriptor or -errno. */
int sc_helper_ask(const char *path, const struct sc_listen *what);

#endif
