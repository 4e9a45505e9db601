/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/members.h"

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"

#include <jansson.h>
#include <sys/stat.h>

void mesh_members_init(struct mesh_members *m, const struct mesh_agent_opts *opts)
{
	const char *slash = opts->socket ? strrchr(opts->socket, '/') : NULL;

	*m = (struct mesh_members){0};
	if (slash)
		m->files[0] = mesh_xasprintf("%.*s/members.json", (int)(slash - opts->socket), opts->socket);
	if (opts->snapshot_dir)
		m->files[1] = mesh_xasprintf("%s/members.json", opts->snapshot_dir);
}

static char *text_of(const struct mesh_map *namespaces, const char *policy)
{
	json_t *list = json_array(), *all;
	char *text;

	mesh_map_each (e, namespaces)
		json_array_append_new(list, json_string(e->key));
	all = json_pack("{s:s, s:o}", "policy", policy, "namespaces", list);
	text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	return text;
}

void mesh_members_write(struct mesh_members *m, const struct mesh_map *namespaces, const char *policy)
{
	char *text = text_of(namespaces, policy);

	if (m->written && strcmp(m->written, text) == 0) {
		free(text);
		return;
	}
	free(m->written);
	m->written = text;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(m->files); i++) {
		int r = m->files[i] ? mesh_file_write(m->files[i], mesh_slice_str(text), 0644) : 0;

		if (r < 0) {
			mesh_warn("%s cannot be written: %s", m->files[i], strerror(-r));
			free(mesh_steal(m->written)); /* again next time */
			return;
		}
	}
}

void mesh_members_remove(struct mesh_members *m)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(m->files); i++)
		if (m->files[i])
			unlink(m->files[i]);
	free(mesh_steal(m->written));
}

void mesh_members_free(struct mesh_members *m)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(m->files); i++)
		free(m->files[i]);
	free(m->written);
	*m = (struct mesh_members){0};
}
