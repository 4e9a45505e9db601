/* SPDX-License-Identifier: Apache-2.0 */
/* What install, upgrade and uninstall share. One thread. */
#ifndef MESH_CTL_INSTALL_H
#define MESH_CTL_INSTALL_H

#include "ctl/resource.h"
#include "ctl/steps.h"

/** The steps of an installation, in order; kinds that are in no other are in the one without kinds. */
struct mesh_install_step {
	const char *title, *kinds; /* "Role|RoleBinding", NULL: all others; title NULL ends the table */
};
extern const struct mesh_install_step mesh_install_steps[];
/** The step that a kind belongs to. */
const struct mesh_install_step *mesh_install_step_of(const char *kind);

/** Pure: whether a live namespace or definition was there before us and is not ours to change or delete. */
bool mesh_is_foreign(const json_t *live);

/** The server's resource for an object of the manifests; NULL if it has none. Borrowed. */
const struct mesh_resource *mesh_install_resource(struct mesh_ctl *ctl, const json_t *obj);
/** What is to be applied for obj (new reference); NULL: nothing, the object there is another's. */
json_t *mesh_install_prepared(struct mesh_ctl *ctl, const struct mesh_resource *res, const json_t *obj);
/** --dry-run: prints what would change, asked from the server without keeping anything. The exit status. */
int mesh_install_plan(struct mesh_ctl *ctl, const json_t *objects);
/**
 * Fits the manifests to the cluster, as far as set says nothing of it: control gets no more replicas than nodes can
 * have (they are on the hosts' network). Returns what to tell about that (caller frees), or NULL.
 */
char *mesh_install_fit(struct mesh_ctl *ctl, json_t *objects, const struct mesh_texts *set);

/** Where an object of the manifests is; NULL if the server has no such kind. Caller frees. */
char *mesh_install_path(struct mesh_ctl *ctl, const json_t *obj);

/** DELETE. Returns 1 if it was there, 0 if not, -EIO with *why (caller frees). */
int mesh_install_delete(struct mesh_ctl *ctl, const char *path, char **why);
/** Polls until path answers 404 or the time is over. */
bool mesh_install_gone(struct mesh_ctl *ctl, const char *path, double seconds);
/** Runs the loop for so long. */
void mesh_install_pause(struct mesh_ctl *ctl, unsigned ms);

enum { MESH_INSTALL_SECONDS = 180, MESH_POLL_MS = 250 };

#endif
