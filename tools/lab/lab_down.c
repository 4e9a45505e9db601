/* SPDX-License-Identifier: Apache-2.0 */
/* Removal goes by names, not by memory: whatever was killed before, all that carries the lab's name goes. */
#include "lab/lab_internal.h"

#include "core/mem.h"
#include "lab/lab_net.h"
#include "lab/lab_proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

static int failures;

static void note(const char *what, int r)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	failures++;
}

static void remove_pins(const struct mesh_lab *lab)
{
	mesh_auto_free char *prefix = mesh_xasprintf("%s-node-", lab->name);
	DIR *d = opendir(MESH_LAB_PINS);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		mesh_auto_free char *path = mesh_xasprintf("%s/%s", MESH_LAB_PINS, e->d_name);

		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 &&
		    strspn(e->d_name + strlen(prefix), "0123456789") == strlen(e->d_name + strlen(prefix)))
			note(path, mesh_lab_rmtree(path));
	}
	if (d)
		closedir(d);
	rmdir(MESH_LAB_PINS); /* if it was the last */
}

static void remove_namespaces(const struct mesh_lab *lab)
{
	char prefix[MESH_LAB_TEXT];
	DIR *d = opendir("/run/netns");
	struct dirent *e;

	mesh_lab_netns_name(lab, "", prefix);
	while (d && (e = readdir(d)))
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0)
			note(e->d_name, mesh_lab_netns_remove(e->d_name));
	if (d)
		closedir(d);
}

/* Its state may be unfinished (an `up` that was killed): then there is only what carries the name. */
static int find(const struct mesh_lab_args *args, struct mesh_lab *ret)
{
	const char *name = args->name ? args->name : "default";

	if (mesh_lab_load(name, ret, NULL) == 0)
		return 0;
	mesh_lab_remains(name, ret);
	if (args->name && (access(ret->dir, F_OK) == 0 || access(ret->cgroup, F_OK) == 0))
		return 0;
	mesh_lab_free(ret);
	return mesh_lab_pick(args, ret);
}

int mesh_lab_down(const struct mesh_lab_args *args)
{
	mesh_auto_fd int lock = -1;
	struct mesh_lab lab;
	int r;

	failures = 0;
	if (find(args, &lab) < 0)
		return 1;
	lock = open(lab.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock >= 0 && flock(lock, LOCK_EX) < 0)
		note(lab.dir, -errno);
	r = mesh_lab_cgroup_kill(lab.cgroup);
	note(lab.cgroup, r);
	if (r == 0) {
		remove_pins(&lab);
		if (lab.index < MESH_LAB_MAX)
			remove_namespaces(&lab);
		note(lab.cgroup, mesh_lab_cgroup_remove(lab.cgroup));
	}
	/* The state goes last: as long as something is left, a second `down` finds it. */
	if (failures == 0)
		note(lab.dir, mesh_lab_rmtree(lab.dir));
	rmdir(MESH_LAB_ROOT);
	rmdir("/run/sockmesh");
	if (failures == 0)
		printf("lab '%s' is gone\n", lab.name);
	mesh_lab_free(&lab);
	return failures > 0;
}
