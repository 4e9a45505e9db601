/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a running agent at its socket, from another process. One thread; waits for the answer. */
#ifndef MESH_AGENT_ASK_H
#define MESH_AGENT_ASK_H

#include "core/err.h"

#include <jansson.h>

/** Sends {"cmd": cmd}. Returns 0 with *ret (a new reference), or -errno with errs: nobody answers in time_ms. */
int mesh_agent_ask(const char *socket, const char *cmd, unsigned time_ms, json_t **ret, struct mesh_errs *errs);

struct mesh_agent_opts;

/** Does what --health, --alive, --status, --leave or --pre-stop asks for, and returns the exit status. */
int mesh_agent_ask_main(const struct mesh_agent_opts *o);

#endif
