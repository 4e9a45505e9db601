/* SPDX-License-Identifier: Apache-2.0 */
/* What every role of meshd does when it starts. One thread. */
#ifndef MESH_CORE_DAEMON_H
#define MESH_CORE_DAEMON_H

#include "core/err.h"
#include "core/log.h"

/** The row values of --log-level, in the order of enum mesh_log_level. */
#define MESH_LOG_LEVELS "error|warn|info|debug"

/** Begins to log under name (borrowed), and raises the limit of open files to what is allowed. */
void mesh_daemon_init(const char *name, enum mesh_log_level level);
/** Logs each error, with its hint. */
void mesh_log_errs(const struct mesh_errs *errs);

#endif
