/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable byte buffer, always NUL-terminated behind its length, for building
 * text and reading streams. Zero-initialise; mesh_buf_free() when done. One thread.
 */
#ifndef MESH_CORE_BUF_H
#define MESH_CORE_BUF_H

#include "core/slice.h"

#include <stdarg.h>

struct mesh_buf {
	char *data;
	size_t len, capacity;
};

void mesh_buf_free(struct mesh_buf *b);
void mesh_buf_clear(struct mesh_buf *b); /* keeps the memory */
/** Makes room for n more bytes (and the NUL) and gives where they go; commit with b->len += used. */
char *mesh_buf_room(struct mesh_buf *b, size_t n);
void mesh_buf_add(struct mesh_buf *b, const void *data, size_t len);
void mesh_buf_str(struct mesh_buf *b, const char *s);
void mesh_buf_slice(struct mesh_buf *b, struct mesh_slice s);
void mesh_buf_char(struct mesh_buf *b, char c);
void mesh_buf_printf(struct mesh_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mesh_buf_vprintf(struct mesh_buf *b, const char *fmt, va_list ap);
/** Drops n bytes from the front. */
void mesh_buf_consume(struct mesh_buf *b, size_t n);
/** Hands the text over ("" if empty); the caller frees it, the buffer is empty after. */
char *mesh_buf_steal(struct mesh_buf *b);
static inline struct mesh_slice mesh_buf_view(const struct mesh_buf *b)
{
	return mesh_slice_of(b->data ? b->data : "", b->len);
}

/** Reads a whole file (at most max bytes). Returns 0, -EFBIG or another -errno; *ret untouched on failure. */
int mesh_file_read(const char *path, size_t max, struct mesh_buf *ret);
/**
 * Writes a file so that readers see the old or the new content, never a part: temporary, fsync, rename, fsync of the
 * directory. 0 means that the new content survives a power cut.
 */
int mesh_file_write(const char *path, struct mesh_slice content, int mode);

#endif
