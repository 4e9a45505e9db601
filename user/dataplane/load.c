/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading, pinning and attaching; what is pinned is adopted: maps kept, programs replaced within their links unless
 * they are this very build's (build.c).
 */
#include "dataplane/dp.h"

#include "core/netns.h"
#include "core/version.h"
#include "connect.skel.h"
#include "sockops.skel.h"

#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

enum { LOCK_TRIES = 50 }; /* at a tenth of a second each */

static const char *const map_names[] = {
#define MAP_NAME(id, name) #name,
	MESH_DP_MAPS(MAP_NAME)
#undef MAP_NAME
};

const char *mesh_dp_map_name(enum mesh_dp_map map)
{
	return map_names[map];
}

/* libbpf's last warnings, for the error that follows them. */
static __thread char said[2048];

static int listen_to_libbpf(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	size_t len = strlen(said);

	if (level != LIBBPF_WARN)
		return 0;
	if (len > sizeof(said) / 2)
		len = 0;
	return vsnprintf(said + len, sizeof(said) - len, fmt, ap);
}

int mesh_dp_fail(struct mesh_errs *errs, int r, const char *what)
{
	struct mesh_err *e = mesh_errs_add(errs, "%s: %s", what, strerror(-r));

	for (char *c = said; *c; c++)
		if (*c == '\n')
			*c = ' ';
	if (e && r == -EPERM)
		e->hint = mesh_xstrdup("needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
	else if (e && said[0])
		e->hint = mesh_xstrdup(said);
	said[0] = '\0';
	return r;
}

int mesh_dp_node_write(struct mesh_dp *dp)
{
	struct mesh_node node = {.abi = MESH_ABI_VERSION,
				 .off = dp->off,
				 .agent_cgroup = dp->agent_cgroup,
				 .elsewhere = dp->elsewhere,
				 .agent_before = dp->agent_before};
	uint32_t zero = 0;

	return bpf_map_update_elem(dp->maps[MESH_DP_MAP_NODE], &zero, &node, BPF_ANY) < 0 ? -errno : 0;
}

int mesh_dp_set_off(struct mesh_dp *dp, bool off)
{
	dp->off = off;
	return mesh_dp_node_write(dp);
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

static int make_dirs(const char *dir)
{
	mesh_auto_free char *path = mesh_xstrdup(dir);

	for (char *c = path + 1;; c++) {
		char was = *c;

		if (was != '/' && was != '\0')
			continue;
		*c = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		*c = was;
		if (was == '\0')
			return 0;
	}
}

/* Mounts the BPF file system where it is usually found, unless it is there; one process at a time. */
static int mount_bpffs(const char *root)
{
	mesh_auto_fd int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return -errno;
	if (is_bpffs(root))
		return 0;
	return mount("bpf", root, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0 ? -errno : 0;
}

static int make_pin_dir(struct mesh_dp *dp, struct mesh_errs *errs)
{
	static const char root[] = "/sys/fs/bpf";
	mesh_auto_free char *links = mesh_xasprintf("%s/links", dp->pin_dir);
	int r = 0;

	if (strncmp(dp->pin_dir, root, strlen(root)) == 0 && !is_bpffs(root))
		r = mount_bpffs(root);
	if (r < 0)
		return mesh_dp_fail(errs, r, "mounting the BPF file system at /sys/fs/bpf");
	/* Again if the last node of another mesh took the common parent away meanwhile. */
	for (int i = 0; i < 3; i++) {
		r = make_dirs(dp->pin_dir);
		if (r != -ENOENT)
			break;
	}
	if (r < 0)
		return mesh_dp_fail(errs, r, dp->pin_dir);
	if (!is_bpffs(dp->pin_dir)) {
		mesh_errs_add(errs, "%s is not in a BPF file system", dp->pin_dir);
		return -EINVAL;
	}
	if (mkdir(links, 0700) < 0 && errno != EEXIST)
		return mesh_dp_fail(errs, -errno, links);
	return 0;
}

static uint32_t size_of(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) < 0 ? 0 : info.max_entries;
}

uint32_t mesh_dp_map_id(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) < 0 ? 0 : info.id;
}

/* The size of the pinned map of that name, 0 if none is pinned. */
static uint32_t pinned_size(const char *pin)
{
	mesh_auto_fd int fd = bpf_obj_get(pin);

	return fd < 0 ? 0 : size_of(fd);
}

/* Two agents on the same maps would number their sets alike. One that is ending is waited for. */
static int lock_pin_dir(struct mesh_dp *dp, struct mesh_errs *errs)
{
	struct timespec moment = {.tv_nsec = 100 * 1000 * 1000};
	struct mesh_err *e;

	dp->pin_lock = open(dp->pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dp->pin_lock < 0)
		return mesh_dp_fail(errs, -errno, dp->pin_dir);
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(dp->pin_lock, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return mesh_dp_fail(errs, -errno, dp->pin_dir);
		nanosleep(&moment, NULL);
	}
	e = mesh_errs_add(errs, "%s is in use by another agent", dp->pin_dir);
	if (e)
		e->hint = mesh_xstrdup("end that one, or give this one a directory of its own");
	return -EBUSY;
}

static int refuse_layout(const char *pin, uint32_t abi, const char *pin_dir, struct mesh_errs *errs)
{
	struct mesh_err *e;

	if (abi > MESH_ABI_VERSION)
		e = mesh_errs_add(errs, "%s is pinned in layout %u, which is newer than what version %s knows (%u)",
				  pin, abi, mesh_version, MESH_ABI_VERSION);
	else
		e = mesh_errs_add(errs, "%s is pinned in a layout (%u) that version %s (layout %u) does not know", pin,
				  abi, mesh_version, MESH_ABI_VERSION);
	if (e)
		e->hint = mesh_xasprintf("run the version that pinned it, or let go of the node with meshd agent "
					 "--detach --pin-dir %s",
					 pin_dir);
	return -EPROTO;
}

/* Reads what an earlier agent pinned. */
static int check_abi(struct mesh_dp *dp, bool beside, struct mesh_errs *errs)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/node", dp->pin_dir);
	mesh_auto_fd int fd = bpf_obj_get(pin);
	struct mesh_node node;
	int r;

	if (fd < 0)
		return 0;
	r = mesh_dp_node_read(fd, &node);
	if (r == -EPROTO)
		return refuse_layout(pin, node.abi, dp->pin_dir, errs);
	if (r < 0)
		return mesh_dp_fail(errs, r, pin);
	dp->found_abi = node.abi;
	dp->adopted = node.abi != 0;
	dp->off = node.off != 0;
	dp->elsewhere = node.elsewhere;
	if (beside && node.agent_cgroup != dp->agent_cgroup)
		dp->agent_before = node.agent_cgroup;
	return 0;
}

static void size_maps(struct mesh_dp *dp, const struct mesh_dp_opts *opts)
{
	uint32_t services = opts->max_services ? opts->max_services : 16384;
	uint32_t endpoints = opts->max_endpoints ? opts->max_endpoints : 131072;

	dp->sizes[MESH_DP_MAP_PODS] = dp->sizes[MESH_DP_MAP_VETH] = opts->max_pods ? opts->max_pods : 1024;
	dp->sizes[MESH_DP_MAP_PODIP] = dp->sizes[MESH_DP_MAP_OWNIP] = dp->sizes[MESH_DP_MAP_PODS] * 2;
	dp->sizes[MESH_DP_MAP_SVC4] = dp->sizes[MESH_DP_MAP_SVC6] = services;
	/* The new version stands beside the old until it is swept. */
	dp->sizes[MESH_DP_MAP_DEST] = services * 4;
	dp->sizes[MESH_DP_MAP_EP4] = dp->sizes[MESH_DP_MAP_EP6] = dp->sizes[MESH_DP_MAP_MEMBER] = endpoints * 2;
}

/* Pins an object's maps under their names, which also makes libbpf take over those that are there. */
static int place_maps(struct mesh_dp *dp, struct bpf_object *obj)
{
	struct bpf_map *map;

	for (int i = 0; i < MESH_DP_MAP_COUNT; i++) {
		mesh_auto_free char *pin = mesh_dp_pin_of(dp, (enum mesh_dp_map)i);
		uint32_t size = pinned_size(pin);
		int r;

		map = bpf_object__find_map_by_name(obj, map_names[i]);
		if (!map)
			return -ENOENT;
		if (!size && dp->older[i] >= 0)
			size = MESH_MAX(size_of(dp->older[i]), dp->sizes[i] ? dp->sizes[i] : bpf_map__max_entries(map));
		r = bpf_map__set_pin_path(map, pin);
		if (r == 0 && (size || dp->sizes[i]))
			r = bpf_map__set_max_entries(map, size ? size : dp->sizes[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int mesh_dp_load_object(struct mesh_dp *dp, struct bpf_object *obj, const char *what, struct mesh_errs *errs)
{
	int r = place_maps(dp, obj);

	if (r == 0)
		r = bpf_object__load(obj);
	if (r < 0)
		return mesh_dp_fail(errs, r, what);
	return 0;
}

int mesh_dp_share_maps(const struct mesh_dp *dp, struct bpf_object *obj, const enum mesh_dp_map *maps, size_t count)
{
	int r = 0;

	for (int i = 0; r == 0 && i < MESH_DP_MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(obj, map_names[i]);
		bool shared = false;

		for (size_t k = 0; k < count; k++)
			shared |= (int)maps[k] == i;
		if (map)
			r = shared ? bpf_map__reuse_fd(map, dp->maps[i]) : bpf_map__set_autocreate(map, false);
	}
	return r;
}

int mesh_dp_iterate(const struct bpf_link *link)
{
	mesh_auto_fd int fd = bpf_iter_create(bpf_link__fd(link));
	char end[64];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = read(fd, end, sizeof(end));
	while (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)));
	return n < 0 ? -errno : 0;
}

/* Whether the kernel has that function for programs to call. */
static bool kernel_has(const char *function)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool has = btf && btf__find_by_name_kind(btf, function, BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return has;
}

static int open_objects(struct mesh_dp *dp, struct mesh_errs *errs)
{
	dp->connect = connect_bpf__open();
	dp->sockops = dp->connect ? sockops_bpf__open() : NULL;
	if (!dp->sockops)
		return mesh_dp_fail(errs, -errno, "opening the BPF objects");
	dp->can_set_retval = libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_set_retval, NULL) == 1;
	dp->connect->rodata->can_set_retval = dp->can_set_retval;
	dp->can_cast = kernel_has("bpf_rdonly_cast");
	dp->connect->rodata->can_cast = dp->can_cast;
	return 0;
}

/* Both objects of the cgroup's programs. */
static const char digest[] = connect_bpf_digest " " sockops_bpf_digest;

static int load_objects(struct mesh_dp *dp, struct mesh_errs *errs)
{
	int r = open_objects(dp, errs);

	if (r == 0)
		r = mesh_dp_migrate_begin(dp, dp->connect->obj, errs);
	if (r == 0)
		r = mesh_dp_load_object(dp, dp->connect->obj, "loading connect.bpf.o", errs);
	if (r == 0)
		r = mesh_dp_load_object(dp, dp->sockops->obj, "loading sockops.bpf.o", errs);
	if (r < 0)
		return r;
	for (int i = 0; i < MESH_DP_MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(dp->connect->obj, map_names[i]);

		dp->maps[i] = bpf_map__fd(map);
		dp->sizes[i] = bpf_map__max_entries(map);
		dp->map_ids[i] = mesh_dp_map_id(dp->maps[i]);
	}
	return mesh_dp_migrate_fill(dp, errs);
}

int mesh_dp_load(struct mesh_dp *dp, const struct mesh_dp_opts *opts, struct mesh_errs *errs)
{
	int r;

	libbpf_set_print(listen_to_libbpf);
	said[0] = '\0';
	r = make_pin_dir(dp, errs);
	if (r == 0)
		r = lock_pin_dir(dp, errs);
	if (r == 0)
		r = check_abi(dp, opts->beside, errs);
	if (r < 0)
		return r;
	size_maps(dp, opts);
	dp->kept = mesh_dp_build_adopt(dp, digest);
	r = dp->kept ? 0 : load_objects(dp, errs);
	if (r < 0)
		return r;
	r = mesh_dp_node_write(dp);
	if (r < 0)
		return mesh_dp_fail(errs, r, "writing map node");
	said[0] = '\0';
	return 0;
}

/* Whether a pinned link still hangs on this cgroup (a removed cgroup leaves a dead link). */
static bool link_is_on(struct bpf_link *link, uint64_t cgroup)
{
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &len) == 0 && info.type == BPF_LINK_TYPE_CGROUP &&
	       info.cgroup.cgroup_id == cgroup;
}

int mesh_dp_attach_program(struct mesh_dp *dp, struct bpf_program *prog, const char *name, int cgroup_fd,
			   uint64_t cgroup)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/links/%s", dp->pin_dir, name);
	struct bpf_link *link = bpf_link__open(pin);
	int r;

	if (link && link_is_on(link, cgroup)) {
		r = bpf_link__update_program(link, prog);
		bpf_link__destroy(link);
		return r;
	}
	if (link) {
		bpf_link__detach(link);
		bpf_link__destroy(link);
		unlink(pin);
	}
	link = bpf_program__attach_cgroup(prog, cgroup_fd);
	if (!link)
		return -errno;
	r = bpf_link__pin(link, pin);
	bpf_link__disconnect(link);
	bpf_link__destroy(link);
	return r;
}

/* The pin under which the sockops program of an older layout goes on for a while. */
static char *before_pin(const struct mesh_dp *dp)
{
	return mesh_xasprintf("%s/links/sock_ops_before", dp->pin_dir);
}

/* It knows what sockets asked of older connect programs: the new one is put beside it. */
static int keep_sockops(struct mesh_dp *dp)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/links/sock_ops", dp->pin_dir), *before = before_pin(dp);

	if (!mesh_dp_migrates_sockets(dp) || access(before, F_OK) == 0)
		return 0;
	return rename(pin, before) < 0 && errno != ENOENT ? -errno : 0;
}

static void drop_sockops(struct mesh_dp *dp)
{
	mesh_auto_free char *before = before_pin(dp);
	struct bpf_link *link = bpf_link__open(before);

	if (!link)
		return;
	bpf_link__detach(link);
	bpf_link__destroy(link);
	unlink(before);
}

static int attach_object(struct mesh_dp *dp, struct bpf_object *obj, int cgroup_fd, uint64_t cgroup,
			 struct mesh_errs *errs)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
	{
		int r = mesh_dp_attach_program(dp, prog, bpf_program__name(prog), cgroup_fd, cgroup);

		if (r < 0) {
			mesh_auto_free char *what =
				mesh_xasprintf("attaching %s to %s", bpf_program__name(prog), dp->cgroup_root);
			return mesh_dp_fail(errs, r, what);
		}
	}
	return 0;
}

static void note_build(const struct mesh_dp *dp)
{
	const struct bpf_object *objects[] = {dp->connect->obj, dp->sockops->obj};
	struct mesh_dp_build b = {.word = (dp->can_set_retval ? MESH_DP_BUILD_SET_RETVAL : 0) |
					  (dp->can_cast ? MESH_DP_BUILD_CAST : 0)};
	struct bpf_program *prog;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(objects); i++)
		bpf_object__for_each_program(prog, objects[i])
			mesh_dp_build_add(&b, bpf_program__name(prog), bpf_program__fd(prog));
	mesh_dp_build_note(dp, MESH_DP_BUILD_MAIN, digest, &b);
}

int mesh_dp_attach(struct mesh_dp *dp, struct mesh_errs *errs)
{
	mesh_auto_fd int fd = -1;
	uint64_t cgroup;
	int r;

	if (dp->kept)
		return 0;
	fd = open(dp->cgroup_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return mesh_dp_fail(errs, -errno, dp->cgroup_root);
	r = mesh_cgroup_id(dp->cgroup_root, &cgroup);
	if (r < 0)
		return mesh_dp_fail(errs, r, dp->cgroup_root);
	r = mesh_dp_migrate_commit(dp, errs);
	if (r < 0)
		return r;
	r = keep_sockops(dp);
	if (r < 0)
		return mesh_dp_fail(errs, r, dp->pin_dir);
	/* The original destination must be written by the time something is sent to a listener. */
	r = attach_object(dp, dp->sockops->obj, fd, cgroup, errs);
	/* Nothing is remembered before there is what forgets it. */
	if (r == 0 && mesh_dp_migrates_sockets(dp)) {
		r = mesh_dp_attach_program(dp, dp->connect->progs.sock_release, "sock_release", fd, cgroup);
		r = r < 0 ? mesh_dp_fail(errs, r, "attaching sock_release") : mesh_dp_migrate_sockets(dp, errs);
	}
	if (r == 0)
		r = attach_object(dp, dp->connect->obj, fd, cgroup, errs);
	if (r < 0)
		return r;
	mesh_dp_migrate_end(dp);
	drop_sockops(dp);
	note_build(dp);
	return 0;
}

void mesh_dp_unload(struct mesh_dp *dp)
{
	mesh_dp_flows_unload(dp);
	connect_bpf__destroy(dp->connect);
	sockops_bpf__destroy(dp->sockops);
	for (int i = 0; i < MESH_DP_MAP_COUNT; i++) {
		mesh_cleanup_fd(&dp->older[i]);
		if (dp->kept)
			mesh_cleanup_fd(&dp->maps[i]);
	}
	mesh_cleanup_fd(&dp->pin_lock);
}
