/* SPDX-License-Identifier: Apache-2.0 */
#include "core/buf.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

void mesh_buf_free(struct mesh_buf *b)
{
	free(b->data);
	*b = (struct mesh_buf){0};
}

void mesh_buf_clear(struct mesh_buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

char *mesh_buf_room(struct mesh_buf *b, size_t n)
{
	size_t need = b->len + n + 1;

	if (need > b->capacity) {
		size_t cap = b->capacity ? b->capacity : 64;

		while (cap < need)
			cap *= 2;
		b->data = mesh_xrealloc(b->data, cap);
		b->capacity = cap;
	}
	return b->data + b->len;
}

void mesh_buf_add(struct mesh_buf *b, const void *data, size_t len)
{
	char *to = mesh_buf_room(b, len);

	if (len)
		memcpy(to, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void mesh_buf_str(struct mesh_buf *b, const char *s)
{
	mesh_buf_add(b, s, strlen(s));
}

void mesh_buf_slice(struct mesh_buf *b, struct mesh_slice s)
{
	mesh_buf_add(b, s.ptr, s.len);
}

void mesh_buf_char(struct mesh_buf *b, char c)
{
	mesh_buf_add(b, &c, 1);
}

void mesh_buf_vprintf(struct mesh_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n <= 0)
		return;
	vsnprintf(mesh_buf_room(b, (size_t)n), (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
}

void mesh_buf_printf(struct mesh_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mesh_buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void mesh_buf_consume(struct mesh_buf *b, size_t n)
{
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

char *mesh_buf_steal(struct mesh_buf *b)
{
	char *s = b->data;

	if (!s)
		return mesh_xstrdup("");
	*b = (struct mesh_buf){0};
	return s;
}

int mesh_file_read(const char *path, size_t max, struct mesh_buf *ret)
{
	mesh_auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	mesh_auto(mesh_buf_free) struct mesh_buf b = {0};

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = read(fd, mesh_buf_room(&b, 16384), 16384);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		b.len += (size_t)n;
		b.data[b.len] = '\0';
		if (b.len > max)
			return -EFBIG;
	}
	mesh_buf_room(&b, 0)[0] = '\0';
	mesh_buf_free(ret);
	*ret = b;
	b = (struct mesh_buf){0};
	return 0;
}

static int write_all(int fd, struct mesh_slice s)
{
	while (s.len) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s.ptr += n;
		s.len -= (size_t)n;
	}
	return 0;
}

/* A name is on disk once its directory is. Where the directory may not be read, its whole file system is written. */
static int sync_parent(const char *path, int file)
{
	const char *slash = strrchr(path, '/');
	mesh_auto_free char *dir =
		slash ? mesh_xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : mesh_xstrdup(".");
	mesh_auto_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return syncfs(file) < 0 ? -errno : 0;
	return fsync(fd) < 0 && errno != EINVAL ? -errno : 0; /* EINVAL: a file system that has no such thing */
}

int mesh_file_write(const char *path, struct mesh_slice content, int mode)
{
	mesh_auto_free char *tmp = mesh_xasprintf("%s.%d.tmp", path, (int)getpid());
	mesh_auto_fd int fd = -1;
	int r;

	unlink(tmp); /* of a process that was killed; nothing that is there already is written to */
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = write_all(fd, content);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(tmp);
		return r;
	}
	return sync_parent(path, fd);
}
