/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short names for the rows of field tables; only schema_*.c include this. One row is one field:
 * FIELD("name", TYPE, ...), OBJECT("name", &schema, ...), LIST_OF("name", &schema, ...), ...
 */
#ifndef MESH_CONFIG_SCHEMA_ROWS_H
#define MESH_CONFIG_SCHEMA_ROWS_H

#include "config/kind.h"

/* clang-format off */
#define FIELD(n, t, ...)      {.name = (n), .type = MESH_TYPE_##t, ##__VA_ARGS__}
#define OBJECT(n, s, ...)     {.name = (n), .type = MESH_TYPE_OBJECT, .of = (s), ##__VA_ARGS__}
#define LIST(n, t, ...)       {.name = (n), .type = MESH_TYPE_ARRAY, .item = MESH_TYPE_##t, ##__VA_ARGS__}
#define LIST_OF(n, s, ...)    {.name = (n), .type = MESH_TYPE_ARRAY, .item = MESH_TYPE_OBJECT, .of = (s), ##__VA_ARGS__}
#define MAP(n, t, ...)        {.name = (n), .type = MESH_TYPE_MAP, .item = MESH_TYPE_##t, ##__VA_ARGS__}
#define MAP_OF(n, s, ...)     {.name = (n), .type = MESH_TYPE_MAP, .item = MESH_TYPE_OBJECT, .of = (s), ##__VA_ARGS__}
/* clang-format on */

#define REQUIRED    MESH_FIELD_REQUIRED
#define UNSUPPORTED MESH_FIELD_UNSUPPORTED
#define RANGE       MESH_FIELD_RANGE
#define RETAIN_KEYS MESH_FIELD_RETAIN_KEYS
#define NULLABLE    MESH_FIELD_NULLABLE

#endif
