/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiling by what changed. Keeps what was compiled of each Service, ServiceEntry host and rule (a unit), and on an
 * update compiles those again that the changes can matter to; the rest of the new version is the old one's. The
 * result is what compiling everything gives. Some changes are rare and reach far (members, ServiceEntries, wildcard
 * hosts, clients): then it is everything. Control thread only; the configurations it gives are for any.
 */
#ifndef MESH_COMPILE_COMPILER_H
#define MESH_COMPILE_COMPILER_H

#include "compile/compile.h"

struct mesh_compiler;

/** Both are borrowed; configurations made may live longer than the compiler, but not than states. */
struct mesh_compiler *mesh_compiler_new(const struct mesh_snapshot *snap, struct mesh_l7_states *states);
/** NULL is allowed. */
void mesh_compiler_free(struct mesh_compiler *c);
/** The namespaces of clients that tables are made for; copied. If they are others than before, all is made anew. */
void mesh_compiler_clients(struct mesh_compiler *c, const char *const *namespaces, size_t count);
/** The next update makes everything anew, and its delta is whole. The first one does in any case. */
void mesh_compiler_all(struct mesh_compiler *c);

struct mesh_compilation {
	struct mesh_l7_config *cfg;  /* one reference, the caller's; NULL: nothing changed for HTTP */
	struct mesh_l4_delta l4;     /* for mesh_l4_delta_free() */
	MESH_VEC(const char *) news; /* warnings that are new; borrowed until the next update */
	size_t units;                /* that were compiled */
};

void mesh_compilation_free(struct mesh_compilation *done);
/** Brings all in line with the snapshot; *changes says in what it is different since the last time, and is cleared. */
void mesh_compiler_update(struct mesh_compiler *c, struct mesh_changes *changes, struct mesh_compilation *ret);
/** Keys are the warnings of all that is compiled, "OBJECT: TEXT". Borrowed until the next update. */
const struct mesh_map *mesh_compiler_warnings(const struct mesh_compiler *c);

#endif
