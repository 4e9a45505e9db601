/* SPDX-License-Identifier: Apache-2.0 */
#include "core/daemon.h"

#include <sys/resource.h>

void mesh_daemon_init(const char *name, enum mesh_log_level level)
{
	struct rlimit files;

	mesh_log_init(name, level);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

void mesh_log_errs(const struct mesh_errs *errs)
{
	mesh_vec_each (e, &errs->list)
		mesh_error("%s%s%s%s", e->text, e->hint ? " (" : "", e->hint ? e->hint : "", e->hint ? ")" : "");
}
