/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and their cgroups: starting a child in its cgroup, its namespaces and with its log,
 * knowing it again after a restart (pid and start time), and ending whole cgroups. One thread.
 */
#ifndef MESH_LAB_LAB_PROC_H
#define MESH_LAB_LAB_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** A process that may outlive the one that started it. */
struct mesh_lab_pid {
	pid_t pid;      /* 0: none */
	uint64_t start; /* clock ticks since boot: tells it from a later process with its pid */
};

struct mesh_lab_spawn {
	char *const *argv;  /* argv[0] is the path */
	char *const *envp;  /* NULL: this process's */
	const char *cgroup; /* directory, made if missing; NULL: this process's */
	int netns_fd;       /* -1: this process's */
	const char *log;    /* stdout and stderr are appended here; NULL: inherited */
};

/** Starts a program in a session of its own. Returns 0 or -errno (the child's failure before exec included). */
int mesh_lab_spawn(const struct mesh_lab_spawn *spawn, struct mesh_lab_pid *ret);
/** Fills in the start time of pid. Returns 0 or -ESRCH. */
int mesh_lab_pid_of(pid_t pid, struct mesh_lab_pid *ret);
/** Is it still running (a zombie is not)? */
bool mesh_lab_pid_alive(const struct mesh_lab_pid *p);
/** A descriptor that polls readable when it ends, or -ESRCH. */
int mesh_lab_pid_open(const struct mesh_lab_pid *p);
int mesh_lab_pid_write(const char *path, const struct mesh_lab_pid *p);
int mesh_lab_pid_read(const char *path, struct mesh_lab_pid *ret);

/** Makes the directory and its parents below the mount. Returns 0 or -errno. */
int mesh_lab_cgroup_make(const char *path);
/** Puts this process there. Returns 0 or -errno. */
int mesh_lab_cgroup_enter(const char *path);
/** Kills everything in it and below, and waits (5 s at most) until it is empty. Returns 0, -ETIMEDOUT or -errno. */
int mesh_lab_cgroup_kill(const char *path);
/** Removes it and all below. Returns 0 (also if it was not there) or -errno. */
int mesh_lab_cgroup_remove(const char *path);
/** The same without waiting for processes on their way out: -EBUSY then. */
int mesh_lab_cgroup_try_remove(const char *path);
/** Runs a program to its end with text on its stdin, in a network namespace (-1: this). Returns its exit status or
 * -errno. */
int mesh_lab_run(char *const *argv, int netns_fd, const char *input);

#endif
