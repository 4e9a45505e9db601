/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which build's programs are pinned. A start after a crash finds its own: loading them again would only have the
 * verifier prove what it has proven, while connections wait. So what was loaded is noted in a map of one entry beside
 * it: the build, the digests of its objects, what was chosen for the kernel at load, and the kernel's numbers of every
 * map and program. Programs are gone on with only if all of that is as it was: another build's are replaced within
 * their links, and so is whatever a load that was interrupted, or somebody else, has put in between. The note is
 * written last; a number is not given again.
 */
#include "dataplane/dp.h"

#include "core/netns.h"
#include "core/version.h"

#include <errno.h>
#include <stdio.h>

uint32_t mesh_dp_program_id(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) < 0 ? 0 : info.id;
}

uint32_t mesh_dp_link_program(const struct mesh_dp *dp, const char *name, uint64_t cgroup)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/links/%s", dp->pin_dir, name);
	mesh_auto_fd int fd = bpf_obj_get(pin);
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || info.type != BPF_LINK_TYPE_CGROUP ||
	    info.cgroup.cgroup_id != cgroup)
		return 0;
	return info.prog_id;
}

static char *pin_of(const struct mesh_dp *dp, const char *name)
{
	return mesh_xasprintf("%s/build-%s", dp->pin_dir, name);
}

static void text_of(char *ret, const char *digest)
{
	snprintf(ret, MESH_DP_BUILD_TEXT, "%s %s", mesh_version, digest);
}

/* Number and size of what is pinned as a map. Returns the descriptor, or -1. */
static int open_map(const struct mesh_dp *dp, enum mesh_dp_map map, uint32_t *id, uint32_t *size)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/%s", dp->pin_dir, mesh_dp_map_name(map));
	mesh_auto_fd int fd = bpf_obj_get(pin);
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -1;
	*id = info.id;
	*size = info.max_entries;
	return mesh_steal_fd(&fd);
}

/* All of them, and the very ones of the note. */
static bool open_maps(const struct mesh_dp *dp, const struct mesh_dp_build *b, int fds[MESH_DP_MAP_COUNT],
		      uint32_t sizes[MESH_DP_MAP_COUNT])
{
	bool same = true;

	for (int i = 0; i < MESH_DP_MAP_COUNT; i++) {
		uint32_t id = 0;

		fds[i] = open_map(dp, (enum mesh_dp_map)i, &id, &sizes[i]);
		same &= fds[i] >= 0 && id == b->maps[i];
	}
	for (int i = 0; !same && i < MESH_DP_MAP_COUNT; i++)
		mesh_cleanup_fd(&fds[i]);
	return same;
}

static bool read_note(const struct mesh_dp *dp, const char *name, const char *digest, struct mesh_dp_build *ret)
{
	mesh_auto_free char *pin = pin_of(dp, name);
	mesh_auto_fd int fd = bpf_obj_get(pin);
	struct bpf_map_info info = {0};
	char want[MESH_DP_BUILD_TEXT];
	uint32_t len = sizeof(info), zero = 0;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || info.value_size != sizeof(*ret) ||
	    bpf_map_lookup_elem(fd, &zero, ret) < 0)
		return false;
	text_of(want, digest);
	return strncmp(ret->text, want, sizeof(want)) == 0 && ret->count <= MESH_DP_BUILD_PROGRAMS;
}

bool mesh_dp_build_find(const struct mesh_dp *dp, const char *name, const char *digest, struct mesh_dp_build *ret)
{
	return read_note(dp, name, digest, ret) && memcmp(ret->maps, dp->map_ids, sizeof(dp->map_ids)) == 0;
}

uint32_t mesh_dp_build_program(const struct mesh_dp_build *b, const char *name)
{
	for (uint32_t i = 0; i < b->count; i++)
		if (strncmp(b->programs[i].name, name, sizeof(b->programs[i].name)) == 0)
			return b->programs[i].id;
	return 0;
}

void mesh_dp_build_add(struct mesh_dp_build *b, const char *name, int program_fd)
{
	if (b->count < MESH_DP_BUILD_PROGRAMS) {
		snprintf(b->programs[b->count].name, sizeof(b->programs->name), "%s", name);
		b->programs[b->count].id = mesh_dp_program_id(program_fd);
	}
	b->count++; /* too many: nobody will believe it */
}

void mesh_dp_build_note(const struct mesh_dp *dp, const char *name, const char *digest, struct mesh_dp_build *b)
{
	mesh_auto_free char *pin = pin_of(dp, name);
	uint32_t zero = 0;
	mesh_auto_fd int fd =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "build", sizeof(zero), sizeof(struct mesh_dp_build), 1, NULL);

	text_of(b->text, digest);
	memcpy(b->maps, dp->map_ids, sizeof(b->maps));
	unlink(pin);
	if (fd >= 0 && bpf_map_update_elem(fd, &zero, b, BPF_ANY) == 0)
		bpf_obj_pin(fd, pin); /* without it the next start loads anew: slower, not wrong */
}

bool mesh_dp_build_adopt(struct mesh_dp *dp, const char *digest)
{
	mesh_auto_free char *next = mesh_xasprintf("%s/next", dp->pin_dir);
	uint32_t sizes[MESH_DP_MAP_COUNT];
	int fds[MESH_DP_MAP_COUNT];
	struct mesh_dp_build b;
	uint64_t cgroup;

	if (dp->found_abi != MESH_ABI_VERSION || access(next, F_OK) == 0 ||
	    mesh_cgroup_id(dp->cgroup_root, &cgroup) < 0 || !read_note(dp, MESH_DP_BUILD_MAIN, digest, &b))
		return false;
	for (uint32_t i = 0; i < b.count; i++)
		if (!b.programs[i].id || mesh_dp_link_program(dp, b.programs[i].name, cgroup) != b.programs[i].id)
			return false;
	if (!open_maps(dp, &b, fds, sizes))
		return false;
	memcpy(dp->maps, fds, sizeof(fds));
	memcpy(dp->sizes, sizes, sizeof(sizes));
	memcpy(dp->map_ids, b.maps, sizeof(b.maps));
	dp->can_set_retval = b.word & MESH_DP_BUILD_SET_RETVAL;
	dp->can_cast = b.word & MESH_DP_BUILD_CAST;
	return true;
}
