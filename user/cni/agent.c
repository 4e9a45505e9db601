/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/agent.h"

#include "core/ask.h"
#include "core/mem.h"

#include <errno.h>

enum { ANSWER_MAX = 1 << 20, MEMBERS_MAX = 16 << 20 };

int mesh_cni_ask(const char *path, const json_t *request, int fd, unsigned connect_ms, unsigned time_ms, json_t **ret)
{
	mesh_auto_free char *line = json_dumps(request, JSON_COMPACT);
	mesh_auto(mesh_buf_free) struct mesh_buf in = {0};
	struct mesh_ask ask = {.path = path,
			       .line = mesh_slice_str(line),
			       .fd = fd,
			       .connect_ms = connect_ms,
			       .time_ms = time_ms,
			       .answer_max = ANSWER_MAX};
	json_t *answer;
	int r = mesh_ask(&ask, &in);

	if (r < 0)
		return r;
	answer = json_loadb(in.data, in.len, 0, NULL);
	if (!answer)
		return -EPROTO;
	*ret = answer;
	return 0;
}

static json_t *read_members(const json_t *files)
{
	json_t *path;
	size_t i;

	json_array_foreach(files, i, path)
	{
		mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
		json_t *members = NULL;

		if (json_is_string(path) && mesh_file_read(json_string_value(path), MEMBERS_MAX, &text) == 0)
			members = json_loadb(mesh_buf_view(&text).ptr, text.len, 0, NULL);
		if (members)
			return members;
	}
	return NULL;
}

enum mesh_cni_member mesh_cni_member(const json_t *files, const char *ns)
{
	json_t *members = read_members(files), *name;
	const char *policy = json_string_value(json_object_get(members, "policy"));
	enum mesh_cni_member ret = MESH_CNI_MEMBER_NO;
	size_t i;

	json_array_foreach(json_object_get(members, "namespaces"), i,
			   name) if (json_is_string(name) && strcmp(json_string_value(name), ns) == 0) ret =
		policy && strcmp(policy, "plain") == 0 ? MESH_CNI_MEMBER_PLAIN : MESH_CNI_MEMBER_REFUSE;
	json_decref(members);
	return ret;
}
