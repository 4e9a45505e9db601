/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growable arrays as macros over plain {items, count, capacity} structs, so that
 * an element is reached as v.items[i]. The vector owns its array, never what the
 * elements point to. Declare with MESH_VEC(type); zero-initialise. One thread.
 */
#ifndef MESH_CORE_VEC_H
#define MESH_CORE_VEC_H

#include "core/mem.h"

#include <string.h>

#define MESH_VEC(type)                                                                                                 \
	struct {                                                                                                       \
		type *items;                                                                                           \
		size_t count, capacity;                                                                                \
	}

#define mesh_vec_reserve(v, n)                                                                                         \
	do {                                                                                                           \
		size_t _need = (n);                                                                                    \
		if (_need > (v)->capacity) {                                                                           \
			size_t _cap = (v)->capacity ? (v)->capacity : 8;                                               \
			while (_cap < _need)                                                                           \
				_cap *= 2;                                                                             \
			(v)->items = mesh_xrealloc((v)->items, _cap * sizeof(*(v)->items));                            \
			(v)->capacity = _cap;                                                                          \
		}                                                                                                      \
	} while (0)

/** Appends a value. */
#define mesh_vec_push(v, value)                                                                                        \
	do {                                                                                                           \
		mesh_vec_reserve(v, (v)->count + 1);                                                                   \
		(v)->items[(v)->count++] = (value);                                                                    \
	} while (0)

/** Appends a zeroed element and gives its address (valid until the next push). */
#define mesh_vec_add(v)                                                                                                \
	({                                                                                                             \
		mesh_vec_reserve(v, (v)->count + 1);                                                                   \
		memset(&(v)->items[(v)->count], 0, sizeof(*(v)->items));                                               \
		&(v)->items[(v)->count++];                                                                             \
	})

/** Removes element i, keeping the order. */
#define mesh_vec_remove(v, i)                                                                                          \
	do {                                                                                                           \
		size_t _i = (i);                                                                                       \
		memmove(&(v)->items[_i], &(v)->items[_i + 1], ((v)->count - _i - 1) * sizeof(*(v)->items));            \
		(v)->count--;                                                                                          \
	} while (0)

/** Frees the array and makes the vector empty. */
#define mesh_vec_free(v)                                                                                               \
	do {                                                                                                           \
		free((v)->items);                                                                                      \
		memset((v), 0, sizeof(*(v)));                                                                          \
	} while (0)

#define mesh_vec_each(item, v)                                                                                         \
	for (__typeof__((v)->items + 0) item = (v)->items; item && item < (v)->items + (v)->count; item++)

#endif
