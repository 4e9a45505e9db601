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

#endif
