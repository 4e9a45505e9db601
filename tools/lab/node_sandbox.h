/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod's sandbox: network, host name and mount namespaces, held by a pause process, with an
 * address on the node's bridge; and processes in it. Containers are started behind a shim, a
 * small process that outlives the kubelet, waits for the container's process and writes down
 * how it ended. The loop's thread, or a child that was just forked.
 */
#ifndef MESH_LAB_NODE_SANDBOX_H
#define MESH_LAB_NODE_SANDBOX_H

#include "core/vec.h"
#include "lab/lab_proc.h"
#include "lab/lab_state.h"

/** Where a pod sees the directory of its volumes. */
#define MESH_LAB_VOLUMES "/run/lab-volumes"

struct mesh_lab_sandbox {
	unsigned node, host; /* the last part of its addresses; 0: no sandbox */
	char netns[MESH_LAB_TEXT], ip[MESH_LAB_TEXT], ip6[MESH_LAB_TEXT], veth[16];
	struct mesh_lab_pid pause;
};

/** What the pause process sets up; paths are below the lab's directory. */
struct mesh_lab_sandbox_spec {
	const char *uid, *hostname;
	const char *cgroup;      /* of the pod */
	const char *resolv_conf; /* files to show as /etc/resolv.conf and /etc/hosts */
	const char *hosts;
	const char *service_account; /* directories */
	const char *volumes;
};

/** Makes it; s->node and s->host are set by the caller. On failure nothing is left. Returns 0 or -errno. */
int mesh_lab_sandbox_make(const struct mesh_lab *lab, const struct mesh_lab_sandbox_spec *spec, int node_ns,
			  struct mesh_lab_sandbox *s);
/** Kills what is in the pod's cgroup and removes namespaces and link. Returns 0, -EBUSY to try again, or -errno. */
int mesh_lab_sandbox_remove(const struct mesh_lab_sandbox *s, const char *cgroup, int node_ns);

/** What a container sees at target; source as the pod sees it. */
struct mesh_lab_mount {
	char *source, *target;
	bool read_only;
};

struct mesh_lab_mounts {
	MESH_VEC(struct mesh_lab_mount) list;
};

struct mesh_lab_launch {
	struct mesh_lab_pid pause;
	struct mesh_lab_pid beside; /* a process of the container whose mounts are to be shared; pid 0: none */
	const struct mesh_lab_mounts *mounts; /* of a new container; NULL: none */
	const char *cgroup;                   /* of the container */
	char **argv, **envp;
	const char *cwd;             /* NULL: "/" */
	const char *log, *exit_file; /* containers only */
	const char *shim_cgroup;
	long uid, gid; /* -1: root */
	bool privileged;
};

/** Starts a container. message gets why not (256 bytes). Returns 0 or -errno. */
int mesh_lab_container_start(const struct mesh_lab_launch *l, struct mesh_lab_pid *shim, struct mesh_lab_pid *process,
			     char *message);
/** How a container ended, from its exit file: 0, or -ENOENT if the shim could not write it. */
int mesh_lab_container_result(const char *exit_file, int *code, int *signal);
/** In a child: becomes uid and gid (-1: stays root) and keeps only what a container's root may, unless privileged. */
int mesh_lab_drop_privileges(long uid, long gid, bool privileged);
/** In a child: enters the pod and becomes argv. Descriptors 0 to 2 are as they are. Returns -errno on failure. */
int mesh_lab_enter(const struct mesh_lab_launch *l);
/** Runs argv in the pod of a node's state file (as `lab exec` does). Returns the child's pid or -errno. */
int mesh_lab_sandbox_exec(const json_t *pod, const char *container, char **argv);

#endif
