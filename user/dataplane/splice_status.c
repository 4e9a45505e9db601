/* SPDX-License-Identifier: Apache-2.0 */
/* The splice tier, as `meshctl status` tells of it. */
#include "dataplane/probe_splice.h"
#include "dataplane/splice.h"
#include "model/workload.h"

static const struct {
	const char *name, *help;
} ways[] = {
#define WAY_ROW(id, name, help) [MESH_SPLICE_WAY_##id] = {name, help},
	MESH_SPLICE_WAYS(WAY_ROW)
#undef WAY_ROW
};

static json_t *ways_status(const struct mesh_splice *s)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < MESH_SPLICE_WAY_COUNT; i++) {
		uint64_t messages = 0, bytes = 0;

		mesh_vec_each (g, &s->gens) {
			messages += mesh_dp_sum((*g)->maps[MESH_SPLICE_COUNT], i);
			bytes += mesh_dp_sum((*g)->maps[MESH_SPLICE_COUNT], MESH_SPLICE_WAY_COUNT + i);
		}
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "way", ways[i].name, "help", ways[i].help,
						      "messages", (json_int_t)messages, "bytes", (json_int_t)bytes));
	}
	return list;
}

static json_t *gens_status(const struct mesh_splice *s, size_t *ends)
{
	json_t *list = json_array();

	*ends = 0;
	mesh_vec_each (g, &s->gens) {
		mesh_auto_free uint64_t *cookies = NULL;
		size_t n = mesh_splice_cookies(*g, false, &cookies);

		*ends += n;
		json_array_append_new(list,
				      json_pack("{s:i, s:I}", "number", (int)(*g)->number, "ends", (json_int_t)n));
	}
	return list;
}

static json_t *pods_wishes(const struct mesh_splice *s)
{
	mesh_auto_free uint64_t *cookies = NULL;
	json_t *list = json_array();
	struct mesh_pod pod;
	size_t count = 0;

	mesh_dp_captured(s->dp, &cookies, &count);
	for (size_t i = 0; i < count; i++) {
		if (bpf_map_lookup_elem(s->dp->maps[MESH_DP_MAP_PODS], &cookies[i], &pod) < 0 ||
		    (pod.splice & MESH_SPLICE_WISH) > MESH_SPLICE_DISABLED)
			continue;
		json_array_append_new(list, json_pack("{s:s, s:s, s:b}", "name", pod.name, "wish",
						      mesh_splice_wish_text(pod.splice & MESH_SPLICE_WISH), "spliced",
						      (pod.splice & MESH_POD_SPLICED) != 0));
	}
	return list;
}

json_t *mesh_dp_splice_status(struct mesh_dp *dp)
{
	static const char *const proven[] = {"not tried", "all passed", "not all passed"};
	struct mesh_splice *s = dp->splice;
	struct mesh_splice_conf c;
	json_t *gens, *ways_list;
	const char *why = NULL;
	json_t *ret;
	size_t ends;
	bool used;

	if (!s)
		return json_null(); /* another agent has it now */
	mesh_splice_lock(s);        /* the worker may load it */
	used = mesh_splice_in_use(dp, &why);
	c = mesh_splice_conf_of(s);
	pthread_mutex_lock(&s->lock);
	gens = gens_status(s, &ends);
	ways_list = ways_status(s);
	pthread_mutex_unlock(&s->lock);
	ret = json_pack("{s:b, s:s?, s:s, s:b, s:s?, s:s, s:I, s:I, s:I, s:o, s:o, s:o}", "inUse", used, "why",
			used ? NULL : why, "mode", mesh_splice_mode_text(s->mode), "loaded", s->loaded, "trouble",
			s->trouble, "probes", proven[c.proven % 3], "ends", (json_int_t)ends, "leaving",
			(json_int_t)s->leaving, "left", (json_int_t)s->left, "generations", gens, "ways", ways_list,
			"pods", pods_wishes(s));
	mesh_splice_unlock(s);
	return ret;
}
