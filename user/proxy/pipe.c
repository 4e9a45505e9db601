/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/pipe.h"

#include "core/mem.h"

enum { BULK_FACTOR = 4 };

void mesh_pipe_cache_free(struct mesh_pipe_cache *cache)
{
	while (cache->first) {
		void *next = *(void **)cache->first;

		free(cache->first);
		cache->first = next;
	}
	cache->count = 0;
}

void mesh_pipe_hold(struct mesh_pipe *p, struct mesh_pipe_cache *cache)
{
	if (p->data)
		return;
	*p = (struct mesh_pipe){.capacity = cache->size};
	if (!cache->first) {
		p->data = mesh_xmalloc(cache->size);
		return;
	}
	p->data = cache->first;
	cache->first = *(void **)cache->first;
	cache->count--;
}

void mesh_pipe_drop(struct mesh_pipe *p, struct mesh_pipe_cache *cache)
{
	if (!p->data)
		return;
	if (p->capacity == cache->size && cache->count < cache->max) {
		*(void **)(void *)p->data = cache->first;
		cache->first = p->data;
		cache->count++;
	} else {
		free(p->data);
	}
	*p = (struct mesh_pipe){0};
}

static void move_down(size_t *at, size_t by)
{
	*at -= by;
}

static void compact(struct mesh_pipe *p)
{
	size_t gap = p->scan - p->ready, by = p->start;

	if (gap) {
		memmove(p->data + p->ready, p->data + p->scan, p->end - p->scan);
		p->scan -= gap;
		p->end -= gap;
	}
	if (!by)
		return;
	memmove(p->data, p->data + by, p->end - by);
	p->start = 0;
	move_down(&p->sent, by);
	move_down(&p->ready, by);
	move_down(&p->scan, by);
	move_down(&p->end, by);
}

size_t mesh_pipe_room(struct mesh_pipe *p)
{
	if (!p->data)
		return 0;
	if (p->end > p->capacity / 2)
		compact(p);
	return p->capacity - p->end;
}

bool mesh_pipe_grow(struct mesh_pipe *p, struct mesh_pipe_cache *cache, size_t max)
{
	size_t to = MESH_MIN(p->capacity * 2, max);
	struct mesh_pipe old = *p;
	char *data;

	if (to <= p->capacity)
		return false;
	data = mesh_xmalloc(to);
	memcpy(data, p->data, p->end);
	mesh_pipe_drop(&old, cache);
	p->data = data;
	p->capacity = to;
	return true;
}

void mesh_pipe_widen(struct mesh_pipe *p, struct mesh_pipe_cache *cache)
{
	if (!p->filled || p->end || p->capacity != cache->size)
		return;
	mesh_pipe_drop(p, cache);
	p->capacity = cache->size * BULK_FACTOR;
	p->data = mesh_xmalloc(p->capacity);
}

size_t mesh_pipe_add(struct mesh_pipe *p, const char *data, size_t len)
{
	size_t n = MESH_MIN(mesh_pipe_room(p), len);

	memcpy(p->data + p->end, data, n);
	p->end += n;
	return n;
}

static void settle(struct mesh_pipe *p)
{
	if (p->start == p->ready && p->scan == p->end)
		p->start = p->sent = p->ready = p->scan = p->end = 0;
}

void mesh_pipe_skip(struct mesh_pipe *p, size_t n)
{
	p->scan += n;
	p->start = p->sent = p->ready = p->scan;
}

void mesh_pipe_sent(struct mesh_pipe *p, size_t n, bool keep)
{
	p->sent += n;
	if (!keep)
		mesh_pipe_forget(p);
}

void mesh_pipe_forget(struct mesh_pipe *p)
{
	p->start = p->sent;
	settle(p);
}

void mesh_pipe_rewind(struct mesh_pipe *p)
{
	p->sent = p->start;
}

enum mesh_http1_result mesh_pipe_decode(struct mesh_pipe *p, struct mesh_http1_body *body, bool plain)
{
	enum mesh_http1_result r;

	do {
		struct mesh_slice payload;
		size_t used;

		r = mesh_http1_body_next(body, p->data + p->scan, p->end - p->scan, &used, &payload);
		if (!plain)
			p->ready += used;
		else if (payload.len) {
			memmove(p->data + p->ready, payload.ptr, payload.len);
			p->ready += payload.len;
		}
		p->scan += used;
	} while (r == MESH_HTTP1_MORE && p->scan < p->end);
	return r;
}
