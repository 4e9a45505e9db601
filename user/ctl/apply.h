/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applying one object as `kubectl apply` does: made if it is not there, else a three-way merge of what was applied
 * last, what is wanted now and what the server has, sent as one merge patch for that very state. One thread.
 */
#ifndef MESH_CTL_APPLY_H
#define MESH_CTL_APPLY_H

#include "ctl/resource.h"

enum mesh_applied {
	MESH_APPLIED_FAILED, /* the answer says why */
	MESH_APPLIED_CREATED,
	MESH_APPLIED_CONFIGURED,
	MESH_APPLIED_UNCHANGED,
};

/** "created", "configured", "unchanged", "failed". */
const char *mesh_applied_name(enum mesh_applied a);
/** What says which lists of a kind are merged by a key; NULL: lists are replaced. */
const struct mesh_schema *mesh_apply_schema(const char *group, const char *kind);
/** The merge patch that brings live to what obj says; an empty object if there is nothing to do. New reference. */
json_t *mesh_apply_patch(const struct mesh_schema *schema, const json_t *obj, const json_t *live);
/** patch with live's resourceVersion, unless it names one: it holds for that state only. New reference. */
json_t *mesh_apply_pinned(const json_t *patch, const json_t *live);
/** metadata.annotations[last-applied] of live, parsed; NULL if it has none. New reference. */
json_t *mesh_apply_last(const json_t *live);

/** GETs where obj is. res must be its resource. As mesh_ctl_get(). */
int mesh_apply_read(struct mesh_ctl *ctl, const struct mesh_resource *res, const json_t *obj, struct mesh_answer *a);
/**
 * Applies obj (which stays as it is); dry: the server checks it all, but keeps nothing. *a gets the object as it is (or
 * would be) now, or the refusal. Nothing is printed.
 */
enum mesh_applied mesh_apply_object(struct mesh_ctl *ctl, const struct mesh_resource *res, const json_t *obj, bool dry,
				    struct mesh_answer *a);

/** "path: old -> new" for each field that patch changes in live, each line after indent blanks. */
void mesh_apply_explain(struct mesh_buf *out, const json_t *live, const json_t *patch, int indent);

#endif
