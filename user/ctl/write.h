/* SPDX-License-Identifier: Apache-2.0 */
/* Writes that wait until they are in force: what create, apply, replace, patch and the like share. One thread. */
#ifndef MESH_CTL_WRITE_H
#define MESH_CTL_WRITE_H

#include "ctl/files.h"
#include "ctl/print.h"

/** Adds ?fieldManager=, fieldValidation= and dryRun= to path as the flags say. Caller frees. */
char *mesh_write_path(const struct mesh_ctl *ctl, const char *path);
/** Sends a write of an object and notes its new version for the wait at the end. As mesh_ctl_request(). */
int mesh_write(struct mesh_ctl *ctl, const struct mesh_resource *res, const char *method, const char *path,
	       const json_t *body, const char *content_type, struct mesh_answer *a);
/** metadata.namespace, or NULL. */
const char *mesh_namespace_of(const json_t *obj);
/** --dry-run=client: checks every input against the mesh's own tables. Returns 0, or 1 after printing. */
int mesh_check_offline(struct mesh_ctl *ctl, const struct mesh_inputs *in);
/** At least one -f is needed and no words. Returns 0, or 1 after printing. */
int mesh_need_files(struct mesh_ctl *ctl, const struct mesh_flags *f);

#endif
