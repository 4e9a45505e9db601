/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel has of ours, as JSON for people and programs. */
#include "dataplane/bypass.h"
#include "dataplane/xdp.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>

static const struct {
	const char *name, *help;
} reasons[] = {
#define REASON_ROW(code, id, name, help) [code] = {name, help},
	MESH_REASONS(REASON_ROW)
#undef REASON_ROW
};

static const char *const tiers[] = {
	[MESH_TIER_OFF] = "off", [MESH_TIER_L4] = "l4", [MESH_TIER_L7] = "l7", [MESH_TIER_REFUSE] = "refuse"};

/* Of the places of map sock, those that a socket has. */
static void see_place(void *arg, const void *key, const void *value)
{
	const struct mesh_sock *s = value;

	(void)key;
	*(uint64_t *)arg += s->cookie != 0;
}

static json_t *map_status(struct mesh_dp *dp, enum mesh_dp_map map)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	uint64_t n = 0;
	json_t *o;

	if (bpf_obj_get_info_by_fd(dp->maps[map], &info, &len) < 0)
		return json_null();
	o = json_pack("{s:s, s:I, s:I}", "name", mesh_dp_map_name(map), "id", (json_int_t)info.id, "maxEntries",
		      (json_int_t)info.max_entries);
	if (map == MESH_DP_MAP_SOCK)
		mesh_dp_each_batch(dp->maps[map], info.key_size, info.value_size, see_place, &n);
	else if (info.type == BPF_MAP_TYPE_HASH || info.type == BPF_MAP_TYPE_LRU_HASH)
		n = mesh_dp_each_batch(dp->maps[map], info.key_size, info.value_size, NULL, NULL);
	else
		return o;
	json_object_set_new(o, "entries", json_integer((json_int_t)n));
	return o;
}

static json_t *link_status(const char *dir, const char *name)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/%s", dir, name);
	struct bpf_link *link = bpf_link__open(pin);
	struct bpf_link_info info = {0};
	struct bpf_prog_info prog = {0};
	uint32_t len = sizeof(info);
	json_t *o = json_pack("{s:s}", "name", name);
	mesh_auto_fd int fd = -1;

	if (!link || bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &len) < 0)
		goto out;
	json_object_set_new(o, "linkId", json_integer(info.id));
	json_object_set_new(o, "programId", json_integer(info.prog_id));
	if (info.type == BPF_LINK_TYPE_XDP) {
		json_object_set_new(o, "ifindex", json_integer(info.xdp.ifindex));
		json_object_set_new(o, "attached", json_boolean(info.xdp.ifindex != 0));
	} else {
		json_object_set_new(o, "cgroupId", json_integer((json_int_t)info.cgroup.cgroup_id));
		json_object_set_new(o, "attached", json_boolean(info.cgroup.cgroup_id != 0));
	}
	fd = bpf_prog_get_fd_by_id(info.prog_id);
	len = sizeof(prog);
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &prog, &len) == 0) {
		json_object_set_new(o, "instructions", json_integer(prog.xlated_prog_len / 8));
		json_object_set_new(o, "verified", json_integer(prog.verified_insns));
		json_object_set_new(o, "runs", json_integer((json_int_t)prog.run_cnt));
		json_object_set_new(o, "runTimeNs", json_integer((json_int_t)prog.run_time_ns));
	}
out:
	bpf_link__destroy(link);
	return o;
}

static json_t *programs_status(const struct mesh_dp *dp)
{
	mesh_auto_free char *dir = mesh_xasprintf("%s/links", dp->pin_dir);
	json_t *list = json_array();
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			json_array_append_new(list, link_status(dir, e->d_name));
	if (d)
		closedir(d);
	return list;
}

uint64_t mesh_dp_sum(int fd, uint32_t index)
{
	int cpus = libbpf_num_possible_cpus();
	mesh_auto_free uint64_t *values = NULL;
	uint64_t total = 0;

	if (cpus <= 0)
		return 0;
	values = mesh_xcalloc((size_t)cpus, sizeof(*values));
	if (bpf_map_lookup_elem(fd, &index, values) < 0)
		return 0;
	for (int i = 0; i < cpus; i++)
		total += values[i];
	return total;
}

static json_t *tiers_status(const struct mesh_dp *dp)
{
	json_t *o = json_object();

	for (uint32_t i = MESH_TIER_L4; i < MESH_TIER_COUNT; i++)
		json_object_set_new(o, tiers[i], json_integer((json_int_t)mesh_dp_sum(dp->maps[MESH_DP_MAP_TIERS], i)));
	return o;
}

static json_t *reasons_status(const struct mesh_dp *dp)
{
	json_t *list = json_array();

	for (uint32_t i = MESH_REASON_NONE + 1; i < MESH_REASON_COUNT; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:I}", "reason", reasons[i].name, "help", reasons[i].help,
						"count", (json_int_t)mesh_dp_sum(dp->maps[MESH_DP_MAP_REASONS], i)));
	return list;
}

struct listing {
	const struct mesh_dp *dp;
	json_t *list;
};

static void see_refused(void *arg, const void *key_bytes, const void *value)
{
	struct listing *l = arg;
	struct mesh_refused key;
	struct mesh_pod pod = {0};
	struct mesh_addr a = {0}, none = {0};
	char text[MESH_ADDR_TEXT];
	uint64_t n;

	memcpy(&key, key_bytes, sizeof(key));
	memcpy(&n, value, sizeof(n));
	a.port = key.port;
	memcpy(&a.ip, key.ip, sizeof(a.ip));
	bpf_map_lookup_elem(l->dp->maps[MESH_DP_MAP_PODS], &key.netns, &pod);
	json_array_append_new(l->list,
			      json_pack("{s:I, s:s, s:s, s:s, s:s, s:I}", "netns", (json_int_t)key.netns, "pod",
					pod.name, "destination",
					mesh_addr_eq(&a, &none) ? "any" : mesh_addr_text(&a, text), "protocol",
					key.proto == IPPROTO_UDP   ? "UDP"
					: key.proto == IPPROTO_TCP ? "TCP"
								   : "any",
					"reason", key.reason < MESH_REASON_COUNT ? reasons[key.reason].name : "unknown",
					"count", (json_int_t)n));
}

static void see_pod(void *arg, const void *key, const void *value)
{
	struct listing *l = arg;
	char text[MESH_ADDR_TEXT];
	struct mesh_addr ips[2] = {0};
	struct mesh_pod pod;
	uint64_t netns;

	memcpy(&netns, key, sizeof(netns));
	memcpy(&pod, value, sizeof(pod));
	mesh_dp_ips_of(pod.ip4, pod.ip6, ips);
	json_array_append_new(l->list,
			      json_pack("{s:I, s:s, s:s, s:i, s:i}", "netns", (json_int_t)netns, "name", pod.name, "ip",
					mesh_addr_ip_text(&ips[0], text), "port4", pod.port4, "port6", pod.port6));
}

static json_t *refused_status(const struct mesh_dp *dp)
{
	struct listing l = {dp, json_array()};

	mesh_dp_each_batch(dp->maps[MESH_DP_MAP_REFUSED], sizeof(struct mesh_refused), sizeof(uint64_t), see_refused,
			   &l);
	return l.list;
}

static json_t *pods_status(struct mesh_dp *dp)
{
	struct listing l = {dp, json_array()};

	mesh_dp_each_batch(dp->maps[MESH_DP_MAP_PODS], sizeof(uint64_t), sizeof(struct mesh_pod), see_pod, &l);
	return l.list;
}

/* What this kernel has, and of what it lacks what becomes instead. */
static json_t *features_status(struct mesh_dp *dp)
{
	const struct {
		const char *name;
		bool has;
		const char *without;
	} features[] = {
		{"setRetval", dp->can_set_retval,
		 "this kernel has no bpf_set_retval (5.18): a refused connect() fails with EPERM, not ECONNREFUSED"},
		{"rdonlyCast", dp->can_cast,
		 "this kernel has no bpf_rdonly_cast (6.2): getpeername() of an MPTCP socket names the endpoint, and "
		 "what "
		 "it asked for is remembered for good"},
		{"sockDestroy", mesh_dp_flows_load(dp),
		 "this kernel has no bpf_sock_destroy (6.5): flows to endpoints that are gone are ended by sock_diag"},
	};
	json_t *o = json_object(), *missing = json_array();

	for (size_t i = 0; i < MESH_ARRAY_SIZE(features); i++) {
		json_object_set_new(o, features[i].name, json_boolean(features[i].has));
		if (!features[i].has)
			json_array_append_new(missing, json_pack("{s:s, s:s}", "feature", features[i].name, "reason",
								 features[i].without));
	}
	json_object_set_new(o, "missing", missing);
	return o;
}

json_t *mesh_dp_status(struct mesh_dp *dp)
{
	json_t *maps = json_array();

	for (int i = 0; i < MESH_DP_MAP_COUNT; i++)
		json_array_append_new(maps, map_status(dp, i));
	return json_pack(
		"{s:i, s:i, s:I, s:s, s:s, s:b, s:b, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"abi", MESH_ABI_VERSION, "foundAbi", (int)dp->found_abi, "migratedEntries", (json_int_t)dp->migrated,
		"pinDir", dp->pin_dir, "cgroupRoot", dp->cgroup_root, "adopted", dp->adopted, "programsKept", dp->kept,
		"version", (json_int_t)dp->version, "services", (json_int_t)dp->services.count, "features",
		features_status(dp), "programs", programs_status(dp), "maps", maps, "tiers", tiers_status(dp),
		"reasons", reasons_status(dp), "refused", refused_status(dp), "pods", pods_status(dp), "switches",
		mesh_dp_switches(dp), "bypass", mesh_dp_bypass_status(dp), "xdp", mesh_dp_xdp_status(dp), "splice",
		mesh_dp_splice_status(dp));
}
