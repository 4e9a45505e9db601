/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership helpers: scope-bound cleanup of heap blocks and file descriptors.
 * A variable marked with one of these owns what it holds; mesh_steal() and
 * mesh_steal_fd() hand the value to the caller. Usable from any thread.
 */
#ifndef MESH_CORE_MEM_H
#define MESH_CORE_MEM_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/** Frees *p when the variable goes out of scope. */
static inline void mesh_cleanup_free(void *p)
{
	free(*(void **)p);
}

/** Closes *fd (if >= 0), keeping errno. */
void mesh_cleanup_fd(int *fd);

#define mesh_auto_free __attribute__((cleanup(mesh_cleanup_free)))
#define mesh_auto_fd   __attribute__((cleanup(mesh_cleanup_fd)))
#define mesh_auto(fn)  __attribute__((cleanup(fn)))

/** Defines a cleanup function mesh_auto_<name> for a type freed by fn(ptr). */
#define MESH_DEFINE_AUTO(type, fn)                                                                                     \
	static inline void fn##_auto(type **p)                                                                         \
	{                                                                                                              \
		fn(*p);                                                                                                \
	}

#define mesh_steal(p)                                                                                                  \
	({                                                                                                             \
		__typeof__(p) _p = (p);                                                                                \
		(p) = NULL;                                                                                            \
		_p;                                                                                                    \
	})

static inline int mesh_steal_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

#define MESH_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MESH_MIN(a, b)                                                                                                 \
	({                                                                                                             \
		__typeof__(a) _a = (a);                                                                                \
		__typeof__(b) _b = (b);                                                                                \
		_a < _b ? _a : _b;                                                                                     \
	})
#define MESH_MAX(a, b)                                                                                                 \
	({                                                                                                             \
		__typeof__(a) _a = (a);                                                                                \
		__typeof__(b) _b = (b);                                                                                \
		_a > _b ? _a : _b;                                                                                     \
	})
#define mesh_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Allocation that ends the process when memory is out: a daemon cannot do
 * anything useful then, and its supervisor starts it again. Never returns NULL. */
void *mesh_xmalloc(size_t size);
void *mesh_xcalloc(size_t n, size_t size);
void *mesh_xrealloc(void *p, size_t size);
char *mesh_xstrdup(const char *s);              /* NULL gives NULL */
char *mesh_xstrndup(const char *s, size_t len); /* exactly len bytes and a NUL */
char *mesh_xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
