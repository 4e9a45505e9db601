/* SPDX-License-Identifier: Apache-2.0 */
/* Generations of the splice tier: what is pinned of each. */
#include "dataplane/splice.h"

#include "splice.skel.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

static const struct {
	const char *name, *pin;
} gen_maps[] = {
#define GEN_MAP(id, name, pin) [MESH_SPLICE_##id] = {#name, pin},
	MESH_SPLICE_MAPS(GEN_MAP)
#undef GEN_MAP
};

static char *pin_of(const char *dir, unsigned number, const char *name)
{
	return mesh_xasprintf("%s/splice-%u-%s", dir, number, name);
}

static int by_number(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return x < y ? -1 : x > y;
}

size_t mesh_splice_gen_list(const char *dir, unsigned **ret)
{
	MESH_VEC(unsigned) list = {0};
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned number;
	int end;

	while (d && (e = readdir(d))) {
		end = 0;
		if (sscanf(e->d_name, "splice-%u-flow%n", &number, &end) == 1 && end && !e->d_name[end])
			mesh_vec_push(&list, number);
	}
	if (d)
		closedir(d);
	if (list.count)
		qsort(list.items, list.count, sizeof(*list.items), by_number);
	*ret = list.items;
	return list.count;
}

struct mesh_splice_gen *mesh_splice_gen_open(const char *dir, unsigned number)
{
	struct mesh_splice_gen *g = mesh_xcalloc(1, sizeof(*g));
	mesh_auto_free char *leave = pin_of(dir, number, "leave");
	bool whole = true;

	g->number = number;
	for (int i = 0; i < MESH_SPLICE_MAP_COUNT; i++) {
		mesh_auto_free char *pin = pin_of(dir, number, gen_maps[i].pin);

		g->maps[i] = bpf_obj_get(pin);
		whole &= g->maps[i] >= 0;
	}
	g->leave = bpf_obj_get(leave);
	if (whole && g->leave >= 0)
		return g;
	mesh_splice_gen_free(g);
	return NULL;
}

void mesh_splice_gen_free(struct mesh_splice_gen *g)
{
	if (!g)
		return;
	ring_buffer__free(g->ring);
	for (int i = 0; i < MESH_SPLICE_MAP_COUNT; i++)
		mesh_cleanup_fd(&g->maps[i]);
	mesh_cleanup_fd(&g->leave);
	free(g);
}

void mesh_splice_gen_unpin(const char *dir, unsigned number)
{
	static const char *const programs[] = {"leave", "msg"};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(programs); i++) {
		mesh_auto_free char *pin = pin_of(dir, number, programs[i]);

		unlink(pin);
	}
	for (int i = MESH_SPLICE_MAP_COUNT; i > 0; i--) {
		mesh_auto_free char *pin = pin_of(dir, number, gen_maps[i - 1].pin);

		unlink(pin);
	}
}

int mesh_splice_gen_share(const struct mesh_splice_gen *g, const struct splice_bpf *obj)
{
	int r = 0;

	for (int i = 0; r == 0 && i < MESH_SPLICE_MAP_COUNT; i++)
		r = bpf_map__reuse_fd(bpf_object__find_map_by_name(obj->obj, gen_maps[i].name), g->maps[i]);
	return r;
}

static int tag_of(int prog_fd, __u8 tag[BPF_TAG_SIZE])
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(prog_fd, &info, &len) < 0)
		return -errno;
	memcpy(tag, info.tag, BPF_TAG_SIZE);
	return 0;
}

int mesh_splice_gen_program(const char *dir, unsigned number)
{
	mesh_auto_free char *pin = pin_of(dir, number, "msg");

	return bpf_obj_get(pin);
}

bool mesh_splice_gen_runs(const char *dir, unsigned number, const struct splice_bpf *obj)
{
	mesh_auto_fd int fd = mesh_splice_gen_program(dir, number);
	__u8 theirs[BPF_TAG_SIZE], ours[BPF_TAG_SIZE];

	return fd >= 0 && tag_of(fd, theirs) == 0 && tag_of(bpf_program__fd(obj->progs.splice_msg), ours) == 0 &&
	       memcmp(theirs, ours, BPF_TAG_SIZE) == 0;
}

static int pin_program(const char *dir, unsigned number, const char *name, const struct bpf_program *prog)
{
	mesh_auto_free char *pin = pin_of(dir, number, name);

	unlink(pin);
	return bpf_obj_pin(bpf_program__fd(prog), pin) < 0 ? -errno : 0;
}

int mesh_splice_gen_pin(const char *dir, unsigned number, const struct splice_bpf *obj)
{
	int r = pin_program(dir, number, "msg", obj->progs.splice_msg);

	if (r == 0)
		r = pin_program(dir, number, "leave", obj->progs.splice_leave);
	for (int i = 0; r == 0 && i < MESH_SPLICE_MAP_COUNT; i++) {
		mesh_auto_free char *pin = pin_of(dir, number, gen_maps[i].pin);
		struct bpf_map *map = bpf_object__find_map_by_name(obj->obj, gen_maps[i].name);

		unlink(pin);
		r = bpf_obj_pin(bpf_map__fd(map), pin) < 0 ? -errno : 0;
	}
	return r;
}
