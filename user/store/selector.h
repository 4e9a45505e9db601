/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Label and field selectors of list and watch requests (the grammar of
 * k8s.io/apimachinery labels and fields). Any thread.
 */
#ifndef MESH_STORE_SELECTOR_H
#define MESH_STORE_SELECTOR_H

#include "config/kind.h"
#include "core/arena.h"

struct mesh_requirement;

/** A conjunction; zero-initialised it matches all. Lives in the arena it was parsed into. */
struct mesh_selector {
	struct mesh_requirement *first;
};

/** "a=b,c!=d,e in (f,g),h notin (i),j,!k". Returns 0, or -EINVAL with *error in the arena. */
int mesh_selector_parse_labels(struct mesh_arena *arena, const char *text, struct mesh_selector *ret,
			       const char **error);
/** "metadata.name=x,status.phase!=y" of the fields that kind allows. */
int mesh_selector_parse_fields(struct mesh_arena *arena, const struct mesh_kind *kind, const char *text,
			       struct mesh_selector *ret, const char **error);
bool mesh_selector_labels(const struct mesh_selector *selector, const json_t *obj);
bool mesh_selector_fields(const struct mesh_selector *selector, const json_t *obj);

#endif
