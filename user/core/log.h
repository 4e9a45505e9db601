/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One log line per event on stderr: "2026-01-02T03:04:05.678Z info agent: text".
 * Only mains and wiring log; libraries return errors. Any thread.
 */
#ifndef MESH_CORE_LOG_H
#define MESH_CORE_LOG_H

enum mesh_log_level {
	MESH_LOG_ERROR,
	MESH_LOG_WARN,
	MESH_LOG_INFO,
	MESH_LOG_DEBUG,
};

/** Sets the lowest level that is printed and the program's name (borrowed) in each line. */
void mesh_log_init(const char *program, enum mesh_log_level level);
void mesh_log(enum mesh_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define mesh_error(...) mesh_log(MESH_LOG_ERROR, __VA_ARGS__)
#define mesh_warn(...)  mesh_log(MESH_LOG_WARN, __VA_ARGS__)
#define mesh_info(...)  mesh_log(MESH_LOG_INFO, __VA_ARGS__)
#define mesh_debug(...) mesh_log(MESH_LOG_DEBUG, __VA_ARGS__)

#endif
