/* SPDX-License-Identifier: Apache-2.0 */
/* What -f names: files, directories, standard input; each object with where it came from. One thread. */
#ifndef MESH_CTL_FILES_H
#define MESH_CTL_FILES_H

#include "config/document.h"
#include "ctl/resource.h"

struct mesh_input {
	json_t *obj;  /* with metadata.namespace filled in */
	char *source; /* "vs.yaml", "STDIN" */
	size_t doc;   /* index into docs of the set it came from */
	const struct mesh_documents *docs;
	const struct mesh_resource *resource; /* NULL: offline */
};

struct mesh_inputs {
	MESH_VEC(struct mesh_input) list;
	MESH_VEC(struct mesh_documents *) docs;
};

void mesh_inputs_free(struct mesh_inputs *in);
/**
 * Reads all of ctl->flags->files; verb is for "no objects passed to VERB". Finds each object's resource unless offline.
 * Errors are printed; returns 0 if everything could be read and every kind is served, else -EINVAL with what could.
 */
int mesh_inputs_read(struct mesh_ctl *ctl, const char *verb, bool offline, struct mesh_inputs *ret);

#endif
