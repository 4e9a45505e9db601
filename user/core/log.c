/* SPDX-License-Identifier: Apache-2.0 */
#include "core/log.h"

#include "core/buf.h"
#include "core/mem.h"

#include <errno.h>
#include <time.h>

static const char *const level_names[] = {
	[MESH_LOG_ERROR] = "error",
	[MESH_LOG_WARN] = "warn",
	[MESH_LOG_INFO] = "info",
	[MESH_LOG_DEBUG] = "debug",
};

static const char *log_program = "mesh";
static enum mesh_log_level log_level = MESH_LOG_INFO;

void mesh_log_init(const char *program, enum mesh_log_level level)
{
	log_program = program;
	log_level = level;
}

void mesh_log(enum mesh_log_level level, const char *fmt, ...)
{
	mesh_auto(mesh_buf_free) struct mesh_buf line = {0};
	struct timespec now;
	struct tm tm;
	va_list ap;
	int saved = errno;

	if (level > log_level)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	mesh_buf_printf(&line, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s %s: ", tm.tm_year + 1900, tm.tm_mon + 1,
			tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, now.tv_nsec / 1000000, level_names[level],
			log_program);
	va_start(ap, fmt);
	errno = saved;
	mesh_buf_vprintf(&line, fmt, ap);
	va_end(ap);
	mesh_buf_char(&line, '\n');
	if (write(STDERR_FILENO, line.data, line.len) < 0)
		errno = saved;
	errno = saved;
}
