/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a lab is: its name, index, size, images, and where everything of it lies. All of it can be
 * found again from the name alone, so that any process can be killed at any time. A lab's index
 * gives its addresses. One thread.
 */
#ifndef MESH_LAB_LAB_STATE_H
#define MESH_LAB_LAB_STATE_H

#include "core/err.h"
#include "core/vec.h"

#include <jansson.h>
#include <stdbool.h>

#define MESH_LAB_ROOT "/run/sockmesh/labs"
#define MESH_LAB_PINS "/sys/fs/bpf/sockmesh"

enum {
	MESH_LAB_MAX = 32,
	MESH_LAB_NODES_MAX = 16,
	MESH_LAB_NAME_MAX = 24,
	MESH_LAB_TEXT = 64, /* room for an address, a prefix or a namespace's name */
	MESH_LAB_API_PORT = 6443,
	MESH_LAB_KUBELET_PORT = 10250,
};

/** An image and what runs for it: a program and its first arguments. */
struct mesh_lab_image {
	char *name;
	char *path;          /* absolute; NULL: the containers must bring a command */
	char *arg;           /* one argument before the container's, or NULL */
	bool arg_is_default; /* the container's arguments replace it */
};

struct mesh_lab {
	char name[MESH_LAB_NAME_MAX + 1];
	unsigned index, nodes;
	MESH_VEC(struct mesh_lab_image) images; /* given on the command line; they go before the built-in ones */
	char *dir;                              /* MESH_LAB_ROOT/<name> */
	char *cgroup;                           /* <cgroup v2>/sockmesh-lab-<name> */
};

/** Letters, digits and '-', not at the ends, at most MESH_LAB_NAME_MAX. */
bool mesh_lab_name_valid(const char *name);
/** The lab of that name. Returns 0, -ENOENT if there is none, or another -errno with errs. */
int mesh_lab_load(const char *name, struct mesh_lab *ret, struct mesh_errs *errs);
/** Makes the state of a new lab with a free index. Returns 0, -EEXIST, or another -errno with errs. */
int mesh_lab_create(const char *name, unsigned nodes, struct mesh_lab *ret, struct mesh_errs *errs);
/** Fills in name and paths only, for what has no state any more (index is MESH_LAB_MAX: unknown). */
void mesh_lab_remains(const char *name, struct mesh_lab *ret);
/** Writes lab.json. */
int mesh_lab_save(const struct mesh_lab *lab);
void mesh_lab_free(struct mesh_lab *lab);
/** Adds "NAME=PATH". Returns 0 or -EINVAL with errs. */
int mesh_lab_add_image(struct mesh_lab *lab, const char *text, struct mesh_errs *errs);
/** Names of all labs with a state directory, sorted. The caller frees each and the vector. */
struct mesh_lab_names {
	MESH_VEC(char *) list;
};
void mesh_lab_list(struct mesh_lab_names *ret);
void mesh_lab_names_free(struct mesh_lab_names *names);

/** Path below the lab's directory or cgroup; the caller frees. */
char *mesh_lab_path(const struct mesh_lab *lab, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *mesh_lab_cgroup_path(const struct mesh_lab *lab, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Addresses as text, into a caller's buffer of MESH_LAB_TEXT bytes, which is returned. Node 0 is the fabric. */
const char *mesh_lab_fabric_ip(const struct mesh_lab *lab, unsigned host, char *out);  /* 10.64.0.<host> */
const char *mesh_lab_fabric_ip6(const struct mesh_lab *lab, unsigned host, char *out); /* fd5a:64::<host> */
const char *mesh_lab_pod_ip(const struct mesh_lab *lab, unsigned node, unsigned host, char *out);
const char *mesh_lab_pod_ip6(const struct mesh_lab *lab, unsigned node, unsigned host, char *out);
const char *mesh_lab_service_ip(const struct mesh_lab *lab, unsigned host, char *out); /* 10.128.0.<host> */
const char *mesh_lab_host_ip(const struct mesh_lab *lab, char *out);                   /* 127.64.0.1 */
const char *mesh_lab_netns_name(const struct mesh_lab *lab, const char *what, char *out);

enum {
	MESH_LAB_CONTROL_HOST = 254, /* the API's place on the fabric */
	MESH_LAB_DNS_HOST = 253,
	MESH_LAB_SERVICE_KUBERNETES = 1,
	MESH_LAB_SERVICE_DNS = 10,
};

/**
 * What runs for an image. Registry docker.io, tag and digest do not count. Returns 0; -ENOENT for an image that the
 * table does not have, or whose program is not there. The strings live as long as the lab.
 */
int mesh_lab_image_find(struct mesh_lab *lab, const char *image, const struct mesh_lab_image **ret);
/** An image's name as it is looked up: without docker.io/, library/, tag and digest; the caller frees. */
char *mesh_lab_image_key(const char *image);
/** A program that was built or installed with this one ("meshd", "apps/echo"); the caller frees; NULL if missing. */
char *mesh_lab_program(const char *name);
/** Makes a directory and its parents (0755). Returns 0 or -errno. */
int mesh_lab_mkdir(const char *path);
/** Removes a directory tree. Returns 0 (also when it was not there) or the first -errno. */
int mesh_lab_rmtree(const char *path);

#endif
