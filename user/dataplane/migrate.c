/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins of an older layout become pins of this one, with programs attached all the while:
 *
 * 1. begin:  what differs is found by the table below (and arrays that have grown).
 * 2. load:   these maps are made anew, pinned in the directory next; all others are taken over as they are.
 * 3. fill:   entry by entry from old to new. The kernel still goes by the old ones.
 * 4. commit: the new pins replace the old, map node first: from there on the layout is the new one, also for an agent
 *            that comes after one that was killed here. Before, next is thrown away and all begins anew.
 * 5. attach: each link gets its new program (load.c); no instant is without one. A new sockops program runs beside the
 *            old one for a while, for connects that were begun by old programs.
 * 6. end:    what programs wrote into old maps meanwhile is carried over, too.
 *
 * Sockets' local storage can be read by an iterator alone, which is a program (bpf/migrate.bpf.c). A sockmap cannot be
 * read at all: a change of its layout needs a map of another name, the old one staying pinned until its last flow ends.
 */
#include "dataplane/dp.h"

#include "core/version.h"
#include "migrate.skel.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { KEY_MAX = 64, VALUE_MAX = 256, OLDEST = 2 };

/* The older struct mesh_node. */
struct node_2 {
	uint32_t abi, off;
	uint64_t agent_cgroup, elsewhere;
};

/* From one layout of a map to the next. */
struct step {
	enum mesh_dp_map map;
	uint32_t from, to;             /* layouts */
	uint32_t key_size, value_size; /* of layout from */
	/* Fills new_key and new_value, which are zeroed. NULL: not entry by entry, see mesh_dp_migrate_sockets(). */
	void (*convert)(const void *key, const void *value, void *new_key, void *new_value);
};

/* The older struct mesh_svc; layout 2 had another seal alone. */
struct svc_3 {
	uint64_t set, seal;
	uint32_t total, dests;
	enum mesh_tier tier;
	enum mesh_reason reason;
	uint32_t affinity, turn;
	char name[MESH_NAME_LEN];
};

static void node_2_to_3(const void *key, const void *value, void *new_key, void *new_value)
{
	struct mesh_node now = {0};
	struct node_2 was;

	memcpy(&was, value, sizeof(was));
	now.abi = was.abi;
	now.off = was.off;
	now.agent_cgroup = was.agent_cgroup;
	now.elsewhere = was.elsewhere;
	memcpy(new_key, key, sizeof(uint32_t));
	memcpy(new_value, &now, sizeof(now));
}

/* The same, but a map of its own: the older programs' one goes on saying what they know. */
static void node_3_to_4(const void *key, const void *value, void *new_key, void *new_value)
{
	memcpy(new_key, key, sizeof(uint32_t));
	memcpy(new_value, value, sizeof(struct mesh_node));
}

/* Without endpoints in the entry: they are looked up, until the next apply writes it anew (table.c: hash_head()). */
static void svc_to_4(const void *key, size_t key_size, const void *value, void *new_key, void *new_value)
{
	struct mesh_svc now = {0};
	struct svc_3 was;
	uint32_t words[5];

	memcpy(words, key, key_size);
	memcpy(&was, value, sizeof(was));
	now.set = was.set;
	now.total = was.total;
	now.dests = was.dests;
	now.tier = was.tier;
	now.reason = was.reason;
	now.affinity = was.affinity;
	now.turn = was.turn;
	memcpy(now.name, was.name, sizeof(now.name));
	now.more_seal = mesh_seal_more(now.set, now.more);
	now.seal = mesh_seal(words, (int)(key_size / sizeof(*words)), now.set, now.total, now.dests, now.tier,
			     now.reason, now.affinity, now.near);
	memcpy(new_key, key, key_size);
	memcpy(new_value, &now, sizeof(now));
}

static void svc4_to_4(const void *key, const void *value, void *new_key, void *new_value)
{
	svc_to_4(key, sizeof(struct mesh_key4), value, new_key, new_value);
}

static void svc6_to_4(const void *key, const void *value, void *new_key, void *new_value)
{
	svc_to_4(key, sizeof(struct mesh_key6), value, new_key, new_value);
}

/* Steps of one map follow each other, in rising order. A map without a row has not changed. */
static const struct step steps[] = {
	{MESH_DP_MAP_NODE, 2, 3, sizeof(uint32_t), sizeof(struct node_2), node_2_to_3},
	{MESH_DP_MAP_NODE, 3, 4, sizeof(uint32_t), sizeof(struct mesh_node), node_3_to_4},
	{MESH_DP_MAP_SVC4, 3, 4, sizeof(struct mesh_key4), sizeof(struct svc_3), svc4_to_4},
	{MESH_DP_MAP_SVC6, 3, 4, sizeof(struct mesh_key6), sizeof(struct svc_3), svc6_to_4},
	{MESH_DP_MAP_SOCK, 2, 3, sizeof(int), 40, NULL}, /* local storage then */
};

_Static_assert(sizeof(struct svc_3) == 88, "map value of layout 3");
_Static_assert(sizeof(struct mesh_svc) <= VALUE_MAX, "convert() has room for it");

/* What programs write: some of it after it was read here. */
static const enum mesh_dp_map by_kernel[] = {MESH_DP_MAP_ORIGDST, MESH_DP_MAP_AFFINITY, MESH_DP_MAP_UDPFLOW,
					     MESH_DP_MAP_UDPSRC, MESH_DP_MAP_REFUSED};

bool mesh_dp_can_migrate(uint32_t abi)
{
	return abi >= OLDEST && abi <= MESH_ABI_VERSION;
}

/* The first step of a map from that layout on, or NULL. */
static const struct step *step_of(enum mesh_dp_map map, uint32_t abi)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(steps); i++)
		if (steps[i].map == map && steps[i].from >= abi)
			return &steps[i];
	return NULL;
}

/* Makes an entry of that layout one of the present. Both have room for KEY_MAX and VALUE_MAX. */
static void convert(enum mesh_dp_map map, uint32_t abi, char *key, char *value)
{
	char new_key[KEY_MAX], new_value[VALUE_MAX];

	for (size_t i = 0; i < MESH_ARRAY_SIZE(steps); i++) {
		if (steps[i].map != map || steps[i].from < abi || !steps[i].convert)
			continue;
		memset(new_key, 0, sizeof(new_key));
		memset(new_value, 0, sizeof(new_value));
		steps[i].convert(key, value, new_key, new_value);
		memcpy(key, new_key, sizeof(new_key));
		memcpy(value, new_value, sizeof(new_value));
	}
}

int mesh_dp_node_read(int fd, struct mesh_node *ret)
{
	struct bpf_map_info info = {0};
	mesh_auto_free char *value = NULL;
	char key[KEY_MAX] = {0};
	uint32_t len = sizeof(info), abi;
	const struct step *step;

	*ret = (struct mesh_node){0};
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.key_size != sizeof(uint32_t) || info.value_size < sizeof(abi))
		return -EPROTO;
	value = mesh_xcalloc(1, VALUE_MAX + (size_t)info.value_size);
	if (bpf_map_lookup_elem(fd, key, value) < 0)
		return -errno;
	memcpy(&abi, value, sizeof(abi)); /* of every layout the first */
	step = step_of(MESH_DP_MAP_NODE, abi);
	*ret = (struct mesh_node){.abi = abi};
	if (abi == 0 && info.value_size == sizeof(*ret))
		return 0;
	if (!mesh_dp_can_migrate(abi))
		return -EPROTO;
	if (info.value_size != (step ? step->value_size : sizeof(*ret)))
		return -EPROTO;
	convert(MESH_DP_MAP_NODE, abi, key, value);
	memcpy(ret, value, sizeof(*ret));
	return 0;
}

/* The pin of a map that stays or is replaced. next: of what replaces it. */
static char *pin_of(const struct mesh_dp *dp, enum mesh_dp_map map, bool next)
{
	return mesh_xasprintf("%s/%s%s", dp->pin_dir, next ? "next/" : "", mesh_dp_map_name(map));
}

char *mesh_dp_pin_of(const struct mesh_dp *dp, enum mesh_dp_map map)
{
	return pin_of(dp, map, dp->older[map] >= 0 && !dp->committed);
}

static char *next_dir(const struct mesh_dp *dp)
{
	return mesh_xasprintf("%s/next", dp->pin_dir);
}

/* The new pins take the old ones' places; those that have none yet are skipped. Returns 0 or -errno. */
static int rename_all(const struct mesh_dp *dp)
{
	mesh_auto_free char *dir = next_dir(dp);

	for (int i = -1; i < MESH_DP_MAP_COUNT; i++) {
		enum mesh_dp_map map = i < 0 ? MESH_DP_MAP_NODE : (enum mesh_dp_map)i;
		mesh_auto_free char *from = pin_of(dp, map, true), *to = pin_of(dp, map, false);

		if (rename(from, to) < 0 && errno != ENOENT)
			return -errno;
	}
	rmdir(dir);
	return 0;
}

static void throw_away(const struct mesh_dp *dp)
{
	mesh_auto_free char *dir = next_dir(dp);

	for (int i = 0; i < MESH_DP_MAP_COUNT; i++) {
		mesh_auto_free char *pin = pin_of(dp, (enum mesh_dp_map)i, true);

		unlink(pin);
	}
	rmdir(dir);
}

/* What an agent that was killed on the way has left. */
static int resume(const struct mesh_dp *dp)
{
	mesh_auto_free char *dir = next_dir(dp), *node = pin_of(dp, MESH_DP_MAP_NODE, true);

	if (access(dir, F_OK) < 0)
		return 0;
	if (dp->found_abi == MESH_ABI_VERSION && access(node, F_OK) < 0)
		return rename_all(dp);
	throw_away(dp);
	return 0;
}

static bool is_array(uint32_t type)
{
	return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static int refuse(struct mesh_errs *errs, const char *pin, const struct bpf_map_info *info, const struct bpf_map *map)
{
	struct mesh_err *e = mesh_errs_add(errs,
					   "%s is pinned with keys of %u and values of %u bytes, version %s has %u and "
					   "%u and no way from one to the other",
					   pin, info->key_size, info->value_size, mesh_version, bpf_map__key_size(map),
					   bpf_map__value_size(map));

	if (e)
		e->hint = mesh_xstrdup(
			"run the version that pinned it, or remove what is pinned with meshd agent --detach");
	return -EPROTO;
}

/* Opens the pinned map if it is to be replaced by one made as map says. Returns 0 or -errno. */
static int look_at(struct mesh_dp *dp, enum mesh_dp_map id, const struct bpf_map *map, struct mesh_errs *errs)
{
	mesh_auto_free char *pin = pin_of(dp, id, false);
	mesh_auto_fd int fd = bpf_obj_get(pin);
	const struct step *step = step_of(id, dp->found_abi);
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info), size = dp->sizes[id] ? dp->sizes[id] : bpf_map__max_entries(map);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return 0; /* made if it is not there; else libbpf says what is wrong */
	if (step ? info.key_size != step->key_size || info.value_size != step->value_size
		 : info.key_size != bpf_map__key_size(map) || info.value_size != bpf_map__value_size(map))
		return refuse(errs, pin, &info, map);
	if (step || (is_array(info.type) && info.max_entries < size))
		dp->older[id] = mesh_steal_fd(&fd);
	return 0;
}

int mesh_dp_migrate_begin(struct mesh_dp *dp, const struct bpf_object *obj, struct mesh_errs *errs)
{
	mesh_auto_free char *dir = next_dir(dp);
	bool any = false;
	int r = 0;

	if (!dp->found_abi)
		return 0;
	r = resume(dp);
	if (r < 0) {
		mesh_errs_add(errs, "%s: %s", dir, strerror(-r));
		return r;
	}
	for (int i = 0; r == 0 && i < MESH_DP_MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(obj, mesh_dp_map_name((enum mesh_dp_map)i));

		if (map)
			r = look_at(dp, (enum mesh_dp_map)i, map, errs);
		any |= dp->older[i] >= 0;
	}
	if (r == 0 && any && mkdir(dir, 0700) < 0 && errno != EEXIST) {
		r = -errno;
		mesh_errs_add(errs, "%s: %s", dir, strerror(-r));
	}
	return r;
}

/* Bytes of a value as the kernel gives it. */
static size_t value_bytes(const struct bpf_map_info *info)
{
	int cpus = libbpf_num_possible_cpus();

	if (info->type != BPF_MAP_TYPE_PERCPU_ARRAY && info->type != BPF_MAP_TYPE_PERCPU_HASH &&
	    info->type != BPF_MAP_TYPE_LRU_PERCPU_HASH)
		return VALUE_MAX + (size_t)info->value_size;
	return (size_t)((info->value_size + 7) / 8 * 8) * (size_t)(cpus > 0 ? cpus : 1);
}

/* Returns how many entries were carried over, or -errno. */
static long carry_over(struct mesh_dp *dp, enum mesh_dp_map map, uint64_t flags)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info), left;
	char key[KEY_MAX] = {0}, from[KEY_MAX];
	mesh_auto_free char *value = NULL;
	void *prev = NULL;
	long n = 0;

	if (bpf_obj_get_info_by_fd(dp->older[map], &info, &len) < 0)
		return -errno;
	value = mesh_xcalloc(1, value_bytes(&info));
	/* Programs change it meanwhile, and a walk whose place is gone begins anew: it has a limit. */
	for (left = info.max_entries; left > 0 && bpf_map_get_next_key(dp->older[map], prev, key) == 0; left--) {
		memcpy(from, key, sizeof(from));
		prev = from;
		if (bpf_map_lookup_elem(dp->older[map], key, value) < 0)
			continue;
		convert(map, dp->found_abi, key, value);
		if (bpf_map_update_elem(dp->maps[map], key, value, flags) == 0)
			n++;
		else if (errno != EEXIST)
			return -errno;
	}
	return n;
}

int mesh_dp_migrate_fill(struct mesh_dp *dp, struct mesh_errs *errs)
{
	for (int i = 0; i < MESH_DP_MAP_COUNT; i++) {
		long n;

		if (dp->older[i] < 0 || i == MESH_DP_MAP_NODE || i == MESH_DP_MAP_SOCK)
			continue; /* or mesh_dp_node_write() and mesh_dp_migrate_sockets() do it */
		n = carry_over(dp, (enum mesh_dp_map)i, BPF_ANY);
		if (n < 0) {
			mesh_errs_add(errs, "carrying map %s over from layout %u: %s",
				      mesh_dp_map_name((enum mesh_dp_map)i), dp->found_abi, strerror((int)-n));
			return (int)n;
		}
		dp->migrated += (uint64_t)n;
	}
	return 0;
}

int mesh_dp_migrate_commit(struct mesh_dp *dp, struct mesh_errs *errs)
{
	int r = rename_all(dp);

	dp->committed = r == 0;
	if (r < 0)
		mesh_errs_add(errs, "replacing the pins in %s: %s", dp->pin_dir, strerror(-r));
	return r;
}

/* Shares the maps that it fills; it makes none. */
static int load_carrier(struct mesh_dp *dp, struct migrate_bpf *carrier)
{
	static const enum mesh_dp_map shared[] = {MESH_DP_MAP_SOCK, MESH_DP_MAP_SOCKMORE};
	int r = mesh_dp_share_maps(dp, carrier->obj, shared, MESH_ARRAY_SIZE(shared));

	return r == 0 ? migrate_bpf__load(carrier) : r;
}

static int run_carrier(struct mesh_dp *dp, struct migrate_bpf *carrier)
{
	union bpf_iter_link_info info = {.map.map_fd = (uint32_t)dp->older[MESH_DP_MAP_SOCK]};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_link *link = bpf_program__attach_iter(carrier->progs.carry_sock, &opts);
	int r = link ? mesh_dp_iterate(link) : -errno;

	bpf_link__destroy(link);
	return r;
}

int mesh_dp_migrate_sockets(struct mesh_dp *dp, struct mesh_errs *errs)
{
	struct migrate_bpf *carrier;
	int r;

	if (dp->older[MESH_DP_MAP_SOCK] < 0)
		return 0;
	carrier = migrate_bpf__open();
	r = carrier ? load_carrier(dp, carrier) : -errno;
	if (r == 0)
		r = run_carrier(dp, carrier);
	if (r == 0)
		dp->migrated += carrier->bss->carried;
	else
		mesh_errs_add(errs, "carrying over what sockets asked for: %s", strerror(-r));
	migrate_bpf__destroy(carrier);
	return r;
}

bool mesh_dp_migrates_sockets(const struct mesh_dp *dp)
{
	return dp->older[MESH_DP_MAP_SOCK] >= 0;
}

void mesh_dp_migrate_end(struct mesh_dp *dp)
{
	bool waited = false;

	if (mesh_dp_migrates_sockets(dp)) { /* connects that old programs had begun */
		mesh_dp_grace_period();
		waited = true;
		mesh_dp_migrate_sockets(dp, NULL);
	}
	for (size_t i = 0; i < MESH_ARRAY_SIZE(by_kernel); i++) {
		if (dp->older[by_kernel[i]] < 0)
			continue;
		if (!waited)
			mesh_dp_grace_period();
		waited = true;
		carry_over(dp, by_kernel[i], BPF_NOEXIST);
	}
	for (int i = 0; i < MESH_DP_MAP_COUNT; i++)
		mesh_cleanup_fd(&dp->older[i]);
}
