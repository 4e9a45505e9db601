/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mesh's plugin in the node's network configuration: its program in the runtime's plugin directory, its entry
 * last in the first configuration list (CNI 1.1, section 1; the first file by name is what runtimes take). Put in
 * again whenever somebody rewrites the file. Everything else in it stays as it is; a single-plugin .conf becomes a list
 * beside it, and the file itself stays under another name until the entry is removed. Loop thread only.
 */
#ifndef MESH_AGENT_CNI_CONF_H
#define MESH_AGENT_CNI_CONF_H

#include "core/err.h"
#include "core/loop.h"

#include <jansson.h>

#define MESH_CNI_TYPE "sockmesh-cni"

struct mesh_cni_conf;

/** Strings are copied. */
struct mesh_cni_conf_opts {
	const char *bin_dir, *conf_dir;
	const char *file;       /* the program to install */
	const char *socket;     /* what the plugin asks, as the runtime sees it */
	const char *members[2]; /* what it reads when nobody answers; NULL: none */
};

/** Installs now, and again when the files change. Trouble is only logged: there may be no configuration yet. */
struct mesh_cni_conf *mesh_cni_conf_new(struct mesh_loop *loop, const struct mesh_cni_conf_opts *opts);
/** Whether the entry is in place now; else why, or NULL. Borrowed until the loop runs. */
const char *mesh_cni_conf_trouble(const struct mesh_cni_conf *conf);
/** Leaves entry and program in place. NULL is allowed. */
void mesh_cni_conf_free(struct mesh_cni_conf *conf);

/** Installs once. Returns 0, 1 if all was there, or -errno with errs (-ENOENT: no network configuration yet). */
int mesh_cni_conf_install(const struct mesh_cni_conf_opts *opts, struct mesh_errs *errs);
/** Removes entries and program wherever they are. Returns 0 or -errno with errs. */
int mesh_cni_conf_remove(const char *bin_dir, const char *conf_dir, struct mesh_errs *errs);

#endif
