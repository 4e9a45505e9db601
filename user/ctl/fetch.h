/* SPDX-License-Identifier: Apache-2.0 */
/* Objects and lists from the server, once or as they change. One thread. */
#ifndef MESH_CTL_FETCH_H
#define MESH_CTL_FETCH_H

#include "ctl/print.h"
#include "ctl/resource.h"

/**
 * One object, or the whole list (all pages; by -l and --field-selector of the command line). as_table: a Table.
 * ns NULL: all namespaces. Items have apiVersion and kind. Returns 0, or -EIO with a->error.
 */
int mesh_fetch(struct mesh_ctl *ctl, const struct mesh_target *t, const char *ns, bool as_table, struct mesh_answer *a);
/** The objects that targets name: each is appended to ret (a new reference), errors are printed. */
void mesh_fetch_all(struct mesh_ctl *ctl, const struct mesh_targets *t, json_t *ret,
		    struct mesh_targets *resources_of_each);
/** get -w: prints what there is, then what changes, until the server or the person ends it. The exit status. */
int mesh_watch(struct mesh_ctl *ctl, struct mesh_printer *p, const struct mesh_target *t);

#endif
