/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cgroup.h"

#include "core/mem.h"
#include "core/netns.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>

enum { DEPTH = 16 };

static bool is_cgroup2(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (unsigned long)fs.f_type == CGROUP2_SUPER_MAGIC;
}

const char *mesh_agent_cgroup_root(struct mesh_errs *errs)
{
	static const char *const usual[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	struct mesh_err *e;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(usual); i++)
		if (is_cgroup2(usual[i]))
			return usual[i];
	if (mesh_cgroup2_mount())
		return mesh_cgroup2_mount();
	e = mesh_errs_add(errs, "no cgroup v2 file system is mounted here");
	if (e)
		e->hint = mesh_xstrdup("the node needs one, and the agent's pod the host's /sys/fs/cgroup");
	return NULL;
}

static bool has_process(const char *dir, int pid)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/cgroup.procs", dir);
	FILE *f = fopen(path, "re");
	bool found = false;
	int p;

	while (f && !found && fscanf(f, "%d", &p) == 1)
		found = p == pid;
	if (f)
		fclose(f);
	return found;
}

static char *walk(const char *dir, int pid, int depth)
{
	struct dirent *e;
	char *found = NULL;
	DIR *d;

	if (has_process(dir, pid))
		return mesh_xstrdup(dir);
	d = opendir(dir);
	while (d && !found && depth < DEPTH && (e = readdir(d))) {
		mesh_auto_free char *sub = NULL;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		sub = mesh_xasprintf("%s/%s", dir, e->d_name);
		found = walk(sub, pid, depth + 1);
	}
	if (d)
		closedir(d);
	return found;
}

int mesh_agent_cgroup_own(const char *root, char **ret)
{
	mesh_auto_free char *told = NULL;
	char *found;

	if (mesh_cgroup_of_pid(getpid(), &told) == 0 && has_process(told, getpid())) {
		*ret = mesh_steal(told);
		return 0;
	}
	found = walk(root, getpid(), 0);
	if (!found)
		return -ENOENT;
	*ret = found;
	return 0;
}
