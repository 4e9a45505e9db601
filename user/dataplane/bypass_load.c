/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of the bypass: loaded, or those that this very build has pinned; and the one probe of the kernel. */
#include "dataplane/bypass.h"

#include "bypass.skel.h"

#include <errno.h>

static bool was_probed(const struct mesh_dp *dp)
{
	uint32_t which = MESH_SWITCH_PROBED, word = 0;

	return bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_SWITCHES], &which, &word) == 0 && word == MESH_WORD_ON;
}

static void probe(struct mesh_dp *dp)
{
	uint32_t which = MESH_SWITCH_PROBED, word = MESH_WORD_ON;

	if (!dp->bypass->skel || was_probed(dp))
		return;
	dp->bypass->why_not = mesh_dp_probe_peer(dp->bypass->skel, dp->bypass->tcx);
	if (!dp->bypass->why_not)
		bpf_map_update_elem(dp->maps[MESH_DP_MAP_SWITCHES], &which, &word, BPF_ANY);
}

static const char *const filters[MESH_DP_FILTER_COUNT] = {
	[MESH_DP_POD_OUT] = "pod_out",
	[MESH_DP_POD_IN] = "pod_in",
	[MESH_DP_WIRE_IN] = "wire_in",
	[MESH_DP_WIRE_OUT] = "wire_out",
};

const char *mesh_dp_filter_name(enum mesh_dp_filter filter)
{
	return filters[filter];
}

static char *pin_of(const struct mesh_dp *dp, size_t filter)
{
	return mesh_xasprintf("%s/bypass-%s", dp->pin_dir, filters[filter]);
}

static void close_programs(struct mesh_dp_bypass *b)
{
	for (size_t i = 0; i < MESH_DP_FILTER_COUNT; i++)
		mesh_cleanup_fd(&b->programs[i]);
}

/* Goes on with what is pinned, if this very build has pinned it. */
static bool adopt(struct mesh_dp *dp)
{
	struct mesh_dp_bypass *b = dp->bypass;
	struct mesh_dp_build build;
	bool same =
		dp->kept && was_probed(dp) && mesh_dp_build_find(dp, MESH_DP_BUILD_BYPASS, bypass_bpf_digest, &build);

	for (size_t i = 0; same && i < MESH_DP_FILTER_COUNT; i++) {
		mesh_auto_free char *pin = pin_of(dp, i);

		b->programs[i] = bpf_obj_get(pin);
		same = b->programs[i] >= 0 &&
		       mesh_dp_program_id(b->programs[i]) == mesh_dp_build_program(&build, filters[i]);
	}
	if (!same)
		close_programs(b);
	b->loaded = same;
	return same;
}

static void pin_programs(const struct mesh_dp *dp)
{
	struct mesh_dp_build build = {0};

	for (size_t i = 0; i < MESH_DP_FILTER_COUNT; i++) {
		mesh_auto_free char *pin = pin_of(dp, i);

		unlink(pin);
		if (bpf_obj_pin(dp->bypass->programs[i], pin) < 0)
			return;
		mesh_dp_build_add(&build, filters[i], dp->bypass->programs[i]);
	}
	mesh_dp_build_note(dp, MESH_DP_BUILD_BYPASS, bypass_bpf_digest, &build);
}

static int load(struct mesh_dp *dp)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	struct bypass_bpf *skel = bypass_bpf__open();
	int r = skel ? mesh_dp_load_object(dp, skel->obj, "loading bypass.bpf.o", &errs) : -errno;

	if (r < 0) {
		dp->bypass->why_not =
			mesh_xasprintf("its programs cannot be loaded: %s%s%s",
				       errs.list.count ? errs.list.items[0].text : strerror(-r),
				       errs.list.count && errs.list.items[0].hint ? ": " : "",
				       errs.list.count && errs.list.items[0].hint ? errs.list.items[0].hint : "");
		bypass_bpf__destroy(skel);
		return r;
	}
	dp->bypass->skel = skel;
	dp->bypass->loaded = true;
	for (size_t i = 0; i < MESH_DP_FILTER_COUNT; i++)
		dp->bypass->programs[i] = bpf_program__fd(bpf_object__find_program_by_name(skel->obj, filters[i]));
	pin_programs(dp);
	return 0;
}

int mesh_dp_bypass_load(struct mesh_dp *dp)
{
	int r = 0;

	for (size_t i = 0; i < MESH_DP_FILTER_COUNT; i++)
		dp->bypass->programs[i] = -1;
	if (!adopt(dp))
		r = load(dp);
	if (r == 0)
		probe(dp);
	return r;
}

void mesh_dp_bypass_unload(struct mesh_dp_bypass *b)
{
	if (!b->skel)
		close_programs(b);
	bypass_bpf__destroy(b->skel);
}
