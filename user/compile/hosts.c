/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/hosts.h"

#include <ctype.h>

static const char service_suffix[] = ".svc." MESH_CLUSTER_DOMAIN;

const char *mesh_host_resolve(struct mesh_arena *arena, const char *host, const char *ns)
{
	char *ret;

	if (strchr(host, '.') || strchr(host, '*'))
		ret = mesh_arena_strdup(arena, host);
	else
		ret = mesh_arena_printf(arena, "%s.%s%s", host, ns, service_suffix);
	for (char *p = ret; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return ret;
}

bool mesh_host_service(const char *host, struct mesh_slice *name, struct mesh_slice *ns)
{
	struct mesh_slice rest = mesh_slice_str(host);
	ssize_t dot;

	if (!mesh_slice_ends(rest, mesh_slice_str(service_suffix)))
		return false;
	rest.len -= sizeof(service_suffix) - 1;
	dot = mesh_slice_find(rest, '.');
	if (dot <= 0 || (size_t)dot + 1 >= rest.len || memchr(rest.ptr + dot + 1, '.', rest.len - (size_t)dot - 1))
		return false;
	*name = mesh_slice_of(rest.ptr, (size_t)dot);
	*ns = mesh_slice_of(rest.ptr + dot + 1, rest.len - (size_t)dot - 1);
	return true;
}

bool mesh_host_is_wildcard(const char *host)
{
	return host[0] == '*';
}

bool mesh_host_within(const char *host, const char *pattern)
{
	if (!mesh_host_is_wildcard(pattern))
		return strcmp(host, pattern) == 0;
	if (mesh_host_is_wildcard(host))
		host++;
	return mesh_slice_ends(mesh_slice_str(host), mesh_slice_str(pattern + 1));
}

const char *mesh_host_intersect(const char *a, const char *b)
{
	if (mesh_host_within(a, b))
		return a;
	return mesh_host_within(b, a) ? b : NULL;
}

bool mesh_exported(const char *const *export_to, size_t count, const char *object_ns, const char *client_ns)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(export_to[i], "*") == 0 || strcmp(export_to[i], client_ns) == 0)
			return true;
		if (strcmp(export_to[i], ".") == 0 && strcmp(object_ns, client_ns) == 0)
			return true;
	}
	return count == 0;
}
