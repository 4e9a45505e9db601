/* SPDX-License-Identifier: Apache-2.0 */
#include "core/arena.h"

#include "core/mem.h"

#include <stdarg.h>
#include <stdio.h>

enum { ARENA_BLOCK = 4096 - 32, ARENA_ALIGN = 16 };

struct mesh_arena_block {
	struct mesh_arena_block *next;
	size_t used, capacity;
	_Alignas(ARENA_ALIGN) char data[];
};

void mesh_arena_free(struct mesh_arena *a)
{
	struct mesh_arena_block *b = a->blocks, *next;

	for (; b; b = next) {
		next = b->next;
		free(b);
	}
	*a = (struct mesh_arena){0};
}

void mesh_arena_reset(struct mesh_arena *a)
{
	struct mesh_arena_block *keep = a->blocks;

	if (!keep)
		return;
	a->blocks = keep->next;
	mesh_arena_free(a);
	keep->next = NULL;
	keep->used = 0;
	a->blocks = keep;
}

void *mesh_arena_alloc(struct mesh_arena *a, size_t size)
{
	struct mesh_arena_block *b = a->blocks;
	size_t need = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	void *p;

	if (!b || b->capacity - b->used < need) {
		size_t cap = MESH_MAX(a->block ? a->block : (size_t)ARENA_BLOCK, need);

		b = mesh_xmalloc(sizeof(*b) + cap);
		b->next = a->blocks;
		b->used = 0;
		b->capacity = cap;
		a->blocks = b;
	}
	p = b->data + b->used;
	b->used += need;
	a->used += need;
	return p;
}

void *mesh_arena_zalloc(struct mesh_arena *a, size_t size)
{
	void *p = mesh_arena_alloc(a, size);

	memset(p, 0, size);
	return p;
}

char *mesh_arena_slice(struct mesh_arena *a, struct mesh_slice s)
{
	char *p = mesh_arena_alloc(a, s.len + 1);

	if (s.len)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return p;
}

char *mesh_arena_strdup(struct mesh_arena *a, const char *s)
{
	return s ? mesh_arena_slice(a, mesh_slice_str(s)) : NULL;
}

char *mesh_arena_printf(struct mesh_arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = mesh_arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}
