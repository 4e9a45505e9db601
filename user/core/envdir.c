/* SPDX-License-Identifier: Apache-2.0 */
#include "core/envdir.h"

#include "core/buf.h"
#include "core/mem.h"
#include "core/slice.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_MAX = 64 << 10 };

static bool is_name(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!(p[i] == '_' || (p[i] >= 'A' && p[i] <= 'Z') || (i && p[i] >= '0' && p[i] <= '9')))
			return false;
	return len > 0;
}

static int read_one(const char *dir, const char *name)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, name), *value = NULL;
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	struct mesh_slice s;
	int r = mesh_file_read(path, VALUE_MAX, &text);

	if (r < 0)
		return r;
	s = mesh_slice_trim(mesh_buf_view(&text));
	value = mesh_xstrndup(s.ptr ? s.ptr : "", s.len);
	return setenv(name, value, 1) < 0 ? -errno : 0;
}

int mesh_envdir_read(const char *dir)
{
	DIR *d = dir ? opendir(dir) : NULL;
	struct dirent *e;
	int n = 0, failed = 0;

	while (d && (e = readdir(d))) {
		int r = is_name(e->d_name, strlen(e->d_name)) ? read_one(dir, e->d_name) : 1;

		n += r == 0;
		failed = r < 0 ? r : failed;
	}
	if (d)
		closedir(d);
	return failed ? failed : n;
}

/* The value for the "$(NAME)" that text begins with, and its length; NULL: there is none. */
static const char *value_at(const char *text, size_t *len)
{
	const char *end = strncmp(text, "$(", 2) == 0 ? strchr(text, ')') : NULL;
	mesh_auto_free char *name = NULL;

	if (!end || !is_name(text + 2, (size_t)(end - text - 2)))
		return NULL;
	name = mesh_xstrndup(text + 2, (size_t)(end - text - 2));
	*len = (size_t)(end + 1 - text);
	return getenv(name);
}

void mesh_envdir_expand(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		struct mesh_buf out = {0};
		bool changed = false;
		size_t len;

		for (const char *p = argv[i]; *p; p += len) {
			const char *value = value_at(p, &len);

			len = value ? len : 1;
			changed |= value != NULL;
			if (value)
				mesh_buf_str(&out, value);
			else
				mesh_buf_char(&out, *p);
		}
		if (changed)
			argv[i] = mesh_xstrndup(out.data ? out.data : "", out.len);
		mesh_buf_free(&out);
	}
}
