/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply's arithmetic, as pure functions: what an object should become, given what was applied last,
 * what the file says now and what the server has; and the merge patch between two objects. Any thread.
 */
#ifndef MESH_CTL_MERGE_H
#define MESH_CTL_MERGE_H

#include "config/kind.h"

#define MESH_LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

/**
 * Fields in local win; fields in last but not in local go; all else stays as in live. Lists with a merge key in the
 * schema (may be NULL) are merged item by item, others are replaced. last may be NULL. New reference.
 */
json_t *mesh_merge_three(const struct mesh_schema *schema, const json_t *last, const json_t *local, const json_t *live);
/** RFC 7386: the patch that turns from into to. New reference; an empty object if they are equal. */
json_t *mesh_merge_diff(const json_t *from, const json_t *to);
/** What the annotation says of local: its JSON without that annotation, as kubectl writes it. Caller frees. */
char *mesh_merge_note(const json_t *local);
/** Sets the annotation on obj (to note, or from obj itself if NULL). */
void mesh_merge_set_note(json_t *obj, const char *note);

#endif
