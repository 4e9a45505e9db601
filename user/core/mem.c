/* SPDX-License-Identifier: Apache-2.0 */
#include "core/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void mesh_cleanup_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

static void *check(void *p)
{
	if (!p) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return p;
}

void *mesh_xmalloc(size_t size)
{
	return check(malloc(size ? size : 1));
}

void *mesh_xcalloc(size_t n, size_t size)
{
	return check(calloc(n ? n : 1, size ? size : 1));
}

void *mesh_xrealloc(void *p, size_t size)
{
	return check(realloc(p, size ? size : 1));
}

char *mesh_xstrdup(const char *s)
{
	return s ? check(strdup(s)) : NULL;
}

char *mesh_xstrndup(const char *s, size_t len)
{
	char *p = mesh_xmalloc(len + 1);

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *mesh_xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return check(s);
}
