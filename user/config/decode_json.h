/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside config/: pieces that the decoders share.
 */
#ifndef MESH_CONFIG_DECODE_JSON_H
#define MESH_CONFIG_DECODE_JSON_H

#include "core/arena.h"
#include "model/workload.h"

#include <jansson.h>

/** A map of strings as sorted labels, in the arena or (arena NULL) for mesh_labels_free(). Other values are left out.
 */
struct mesh_labels mesh_json_labels(struct mesh_arena *arena, const json_t *map);

/** A text that is not empty, for free(); else NULL. */
char *mesh_json_strdup(const json_t *v);
/** A text that is not empty, in the arena; else NULL. */
const char *mesh_json_copy(struct mesh_arena *a, const json_t *v);
/** The texts of a list, in the arena; NULL when *count is 0. */
const char *const *mesh_json_copies(struct mesh_arena *a, const json_t *list, size_t *count);
/** 1..65535, else 0. */
uint16_t mesh_json_port(const json_t *v);

struct mesh_json_meta {
	const char *ns, *name;
	uint64_t created, resource_version;
};

/** metadata, in the arena. Returns 0, or -EINVAL when namespace or name is missing. */
int mesh_json_meta(struct mesh_arena *a, const json_t *obj, struct mesh_json_meta *ret);

#endif
