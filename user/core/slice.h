/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slice is a borrowed run of bytes: pointer and length, no NUL needed.
 * It never owns; it is valid as long as what it points into. Any thread.
 */
#ifndef MESH_CORE_SLICE_H
#define MESH_CORE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

struct mesh_slice {
	const char *ptr;
	size_t len;
};

#define MESH_SLICE(lit) ((struct mesh_slice){(lit), sizeof(lit) - 1})

static inline struct mesh_slice mesh_slice_of(const char *ptr, size_t len)
{
	return (struct mesh_slice){ptr, len};
}

/** The bytes of a C string; NULL gives the empty slice. */
static inline struct mesh_slice mesh_slice_str(const char *s)
{
	return (struct mesh_slice){s, s ? strlen(s) : 0};
}

static inline bool mesh_slice_eq(struct mesh_slice a, struct mesh_slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/** ASCII case-insensitive equality (RFC 9110 field names, host names). */
bool mesh_slice_eq_nocase(struct mesh_slice a, struct mesh_slice b);
bool mesh_slice_starts(struct mesh_slice s, struct mesh_slice prefix);
bool mesh_slice_ends(struct mesh_slice s, struct mesh_slice suffix);
/** Without leading and trailing space, tab, CR and LF. */
struct mesh_slice mesh_slice_trim(struct mesh_slice s);
/** Index of the first c, or -1. */
ssize_t mesh_slice_find(struct mesh_slice s, char c);
/**
 * Takes the part of *s up to the first sep (or all of it) into *part and moves
 * *s past it. Returns false when *s was exhausted.
 */
bool mesh_slice_split(struct mesh_slice *s, char sep, struct mesh_slice *part);
/** Decimal digits only, all of s, at most max. Returns 0, -EINVAL or -ERANGE; *ret untouched on failure. */
int mesh_slice_to_u64(struct mesh_slice s, uint64_t max, uint64_t *ret);

#endif
