/* SPDX-License-Identifier: Apache-2.0 */
/* The splice tier: its object, and whose new flows enter. */
#include "dataplane/splice.h"

#include "core/netns.h"
#include "dataplane/probe_splice.h"
#include "model/workload.h"
#include "splice.skel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static const char *const modes[] = {
	[MESH_SPLICE_MODE_AUTO] = "auto", [MESH_SPLICE_MODE_ON] = "on", [MESH_SPLICE_MODE_OFF] = "off"};

const char *mesh_splice_mode_text(enum mesh_splice_mode mode)
{
	return modes[mode];
}

int mesh_splice_mode_parse(const char *text, enum mesh_splice_mode *ret)
{
	for (size_t i = 0; text && i < MESH_ARRAY_SIZE(modes); i++)
		if (strcmp(text, modes[i]) == 0) {
			*ret = (enum mesh_splice_mode)i;
			return 0;
		}
	return -EINVAL;
}

/* ---- the object ---- */

/* The kernel's function by which a blocked reader is known; 0 if its address is kept from us. */
static _Atomic uint64_t reader;

static uint64_t reader_by_name(void)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long long at, found = 0;
	char line[256], name[128];

	while (f && !found && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx %*c %127s", &at, name) == 2 && strcmp(name, "woken_wake_function") == 0)
			found = at;
	if (f)
		fclose(f);
	return found;
}

void mesh_splice_find_reader(void)
{
	if (!reader)
		reader = reader_by_name();
	if (!reader)
		reader = mesh_splice_learn_reader();
}

bool mesh_splice_memory_v1(void)
{
	FILE *f = fopen("/proc/cgroups", "re");
	char line[256], name[128];
	int hierarchy = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%127s %d", name, &hierarchy) == 2 && strcmp(name, "memory") == 0)
			break;
		else
			hierarchy = 0;
	if (f)
		fclose(f);
	return hierarchy != 0;
}

struct splice_bpf *mesh_splice_open(const struct mesh_dp *dp, int conf, const struct mesh_splice_gen *g)
{
	static const enum mesh_dp_map shared[] = {MESH_DP_MAP_NODE, MESH_DP_MAP_PODS, MESH_DP_MAP_SOCK,
						  MESH_DP_MAP_SOCKMORE};
	struct splice_bpf *obj = splice_bpf__open();
	int r = obj ? 0 : -errno;

	if (r == 0)
		r = mesh_dp_share_maps(dp, obj->obj, shared, dp ? MESH_ARRAY_SIZE(shared) : 0);
	if (r == 0 && !dp)
		r = bpf_program__set_autoload(obj->progs.splice_ops, false);
	if (r == 0 && conf >= 0)
		r = bpf_map__reuse_fd(obj->maps.splice_conf, conf);
	if (r == 0 && g)
		r = mesh_splice_gen_share(g, obj);
	if (r < 0) {
		splice_bpf__destroy(obj);
		errno = -r;
		return NULL;
	}
	obj->rodata->reader_fn = reader;
	obj->rodata->memory_v1 = mesh_splice_memory_v1();
	return obj;
}

/* The object with the maps of an earlier agent's newest generation, if that one is like ours. */
static bool adopt_newest(struct mesh_splice *s)
{
	struct mesh_splice_gen *newest = s->gens.count ? s->gens.items[s->gens.count - 1] : NULL;
	struct splice_bpf *obj;

	if (!newest)
		return false;
	obj = mesh_splice_open(s->dp, s->conf, newest);
	if (obj && splice_bpf__load(obj) == 0 && mesh_splice_gen_runs(s->dp->pin_dir, newest->number, obj)) {
		s->obj = obj;
		return true;
	}
	splice_bpf__destroy(obj);
	return false;
}

static void add_generation(struct mesh_splice *s, struct mesh_splice_gen *g)
{
	g->splice = s;
	pthread_mutex_lock(&s->lock);
	mesh_vec_push(&s->gens, g);
	pthread_mutex_unlock(&s->lock);
}

static int new_generation(struct mesh_splice *s)
{
	unsigned number = s->gens.count ? s->gens.items[s->gens.count - 1]->number + 1 : 1;
	struct splice_bpf *obj = mesh_splice_open(s->dp, s->conf, NULL);
	struct mesh_splice_gen *g = NULL;
	int r = obj ? splice_bpf__load(obj) : -errno;

	if (r == 0 && bpf_prog_attach(bpf_program__fd(obj->progs.splice_msg), bpf_map__fd(obj->maps.splice_socks),
				      BPF_SK_MSG_VERDICT, 0) < 0)
		r = -errno;
	if (r == 0)
		r = mesh_splice_gen_pin(s->dp->pin_dir, number, obj);
	if (r == 0) {
		g = mesh_splice_gen_open(s->dp->pin_dir, number);
		r = g ? 0 : -EIO;
	}
	if (r < 0) {
		mesh_splice_gen_unpin(s->dp->pin_dir, number);
		splice_bpf__destroy(obj);
		return r;
	}
	s->obj = obj;
	add_generation(s, g);
	return 0;
}

static int attach_ops_to(struct mesh_splice *s, const char *path, const char *name)
{
	mesh_auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t cgroup;
	int r = fd < 0 ? -errno : mesh_cgroup_id(path, &cgroup);

	return r < 0 ? r : mesh_dp_attach_program(s->dp, s->obj->progs.splice_ops, name, fd, cgroup);
}

static bool is_below(const char *path, const char *root)
{
	size_t len = strlen(root);

	return strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* The agent's ends are told by a link of their own where the agent is no pod of the node. */
static int attach_ops(struct mesh_splice *s)
{
	int r = attach_ops_to(s, s->dp->cgroup_root, "splice_ops");

	if (r == 0 && !is_below(s->dp->agent_cgroup_path, s->dp->cgroup_root))
		r = attach_ops_to(s, s->dp->agent_cgroup_path, "splice_ops_own");
	return r;
}

static uint32_t ops_on(const struct mesh_splice *s, const char *path, const char *name)
{
	uint64_t cgroup;

	return mesh_cgroup_id(path, &cgroup) < 0 ? 0 : mesh_dp_link_program(s->dp, name, cgroup);
}

/* Whether this very build has pinned the newest generation and attached what new flows enter it by. */
static bool keep(const struct mesh_splice *s)
{
	const struct mesh_splice_gen *newest = s->gens.count ? s->gens.items[s->gens.count - 1] : NULL;
	mesh_auto_fd int msg = newest ? mesh_splice_gen_program(s->dp->pin_dir, newest->number) : -1;
	struct mesh_dp_build b;
	uint32_t ops;

	if (msg < 0 || !mesh_dp_build_find(s->dp, MESH_DP_BUILD_SPLICE, splice_bpf_digest, &b) ||
	    b.word != newest->number || mesh_dp_program_id(msg) != mesh_dp_build_program(&b, "splice_msg"))
		return false;
	ops = mesh_dp_build_program(&b, "splice_ops");
	return ops && ops_on(s, s->dp->cgroup_root, "splice_ops") == ops &&
	       (is_below(s->dp->agent_cgroup_path, s->dp->cgroup_root) ||
		ops_on(s, s->dp->agent_cgroup_path, "splice_ops_own") == ops);
}

static void note_build(const struct mesh_splice *s)
{
	unsigned number = s->gens.items[s->gens.count - 1]->number;
	mesh_auto_fd int msg = mesh_splice_gen_program(s->dp->pin_dir, number);
	struct mesh_dp_build b = {.word = number};

	mesh_dp_build_add(&b, "splice_ops", bpf_program__fd(s->obj->progs.splice_ops));
	mesh_dp_build_add(&b, "splice_msg", msg);
	mesh_dp_build_note(s->dp, MESH_DP_BUILD_SPLICE, splice_bpf_digest, &b);
}

/* From here on new flows may enter. */
static int load(struct mesh_splice *s, struct mesh_errs *errs)
{
	int r = 0;

	if (s->loaded)
		return 0;
	if (keep(s)) {
		s->loaded = true;
		return 0;
	}
	mesh_splice_find_reader();
	if (!adopt_newest(s))
		r = new_generation(s);
	if (r == 0)
		r = attach_ops(s);
	if (r < 0) {
		splice_bpf__destroy(s->obj);
		s->obj = NULL;
		free(s->trouble);
		s->trouble = mesh_xasprintf("the splice tier cannot be loaded: %s", strerror(-r));
		return mesh_dp_fail(errs, r, "loading splice.bpf.o");
	}
	s->loaded = true;
	note_build(s);
	free(mesh_steal(s->trouble));
	mesh_splice_worker_wake(s);
	return 0;
}

/* ---- whose flows enter ---- */

struct mesh_splice_conf mesh_splice_conf_of(const struct mesh_splice *s)
{
	struct mesh_splice_conf c = {0};
	uint32_t zero = 0;

	bpf_map_lookup_elem(s->conf, &zero, &c);
	return c;
}

static bool may_enter(struct mesh_splice *s, enum mesh_splice_wish wish)
{
	struct mesh_splice_conf c = mesh_splice_conf_of(s);

	if (c.mode == MESH_SPLICE_MODE_OFF || wish == MESH_SPLICE_DISABLED)
		return false;
	if (c.mode == MESH_SPLICE_MODE_ON || wish == MESH_SPLICE_ENABLED)
		return true;
	if (c.proven == 0) {
		pthread_mutex_lock(&s->lock);
		s->probe_wanted = true;
		pthread_mutex_unlock(&s->lock);
		mesh_splice_worker_wake(s);
	}
	return c.proven == 1;
}

static int newest_map(const struct mesh_splice *s, enum mesh_splice_map map)
{
	return s->loaded ? s->gens.items[s->gens.count - 1]->maps[map] : -1;
}

static void put_ip(const struct mesh_splice *s, const uint8_t ip[16], uint64_t netns, bool enter)
{
	int fd = newest_map(s, MESH_SPLICE_IP);
	uint64_t has;

	if (fd < 0)
		return;
	if (enter)
		bpf_map_update_elem(fd, ip, &netns, BPF_ANY);
	else if (bpf_map_lookup_elem(fd, ip, &has) == 0 && has == netns)
		bpf_map_delete_elem(fd, ip);
}

static void put_ips(const struct mesh_splice *s, const struct mesh_pod *pod, uint64_t netns, bool enter)
{
	struct mesh_addr ips[2];
	size_t n = mesh_dp_ips_of(pod->ip4, pod->ip6, ips);

	for (size_t i = 0; i < n; i++)
		put_ip(s, ips[i].ip.s6_addr, netns, enter);
}

static int put_pod(struct mesh_splice *s, uint64_t netns_cookie, enum mesh_splice_wish wish, struct mesh_errs *errs)
{
	int fd = s->dp->maps[MESH_DP_MAP_PODS];
	bool enter = may_enter(s, wish);
	struct mesh_pod pod;
	uint32_t word;
	int r = 0;

	if (enter)
		r = load(s, errs);
	if (r < 0)
		enter = false;
	if (bpf_map_lookup_elem(fd, &netns_cookie, &pod) < 0)
		return -ENOENT;
	word = (uint32_t)wish | (enter ? MESH_POD_SPLICED : 0);
	put_ips(s, &pod, netns_cookie, enter);
	if (pod.splice == word)
		return r;
	pod.splice = word;
	if (bpf_map_update_elem(fd, &netns_cookie, &pod, BPF_EXIST) < 0 && r == 0)
		r = -errno;
	return r;
}

void mesh_splice_lock(struct mesh_splice *s)
{
	if (s)
		pthread_mutex_lock(&s->pods);
}

void mesh_splice_unlock(struct mesh_splice *s)
{
	if (s)
		pthread_mutex_unlock(&s->pods);
}

int mesh_dp_splice_pod(struct mesh_dp *dp, uint64_t netns_cookie, enum mesh_splice_wish wish, struct mesh_errs *errs)
{
	int r;

	if (!dp->splice)
		return -EBUSY;
	mesh_splice_lock(dp->splice);
	r = put_pod(dp->splice, netns_cookie, wish, errs);
	mesh_splice_unlock(dp->splice);
	return r;
}

void mesh_splice_forget(struct mesh_dp *dp, uint64_t netns_cookie)
{
	struct mesh_pod pod;

	if (dp->splice && bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_PODS], &netns_cookie, &pod) == 0)
		put_ips(dp->splice, &pod, netns_cookie, false);
}

int mesh_splice_reconsider(struct mesh_splice *s, struct mesh_errs *errs)
{
	mesh_auto_free uint64_t *cookies = NULL;
	size_t count = 0;
	struct mesh_pod pod;
	int r = 0, one;

	mesh_splice_lock(s);
	mesh_dp_captured(s->dp, &cookies, &count);
	for (size_t i = 0; i < count; i++) {
		if (bpf_map_lookup_elem(s->dp->maps[MESH_DP_MAP_PODS], &cookies[i], &pod) < 0)
			continue;
		one = put_pod(s, cookies[i], pod.splice & MESH_SPLICE_WISH, r == 0 ? errs : NULL);
		if (one < 0 && one != -ENOENT)
			r = one;
	}
	mesh_splice_unlock(s);
	return r;
}

/* What cannot be loaded is not switched on. */
static int put_mode(struct mesh_splice *s, enum mesh_splice_mode mode, struct mesh_errs *errs)
{
	struct mesh_splice_conf c;
	uint32_t zero = 0;
	int r = mode == MESH_SPLICE_MODE_ON ? load(s, errs) : 0;

	if (r < 0)
		return r;
	c = mesh_splice_conf_of(s);
	c.mode = mode;
	if (bpf_map_update_elem(s->conf, &zero, &c, BPF_ANY) < 0)
		return mesh_dp_fail(errs, -errno, "writing map splice_conf");
	s->mode = mode;
	return 0;
}

int mesh_dp_splice_set(struct mesh_dp *dp, enum mesh_splice_mode mode, struct mesh_errs *errs)
{
	struct mesh_splice *s = dp->splice;
	int r;

	if (!s)
		return -EBUSY;
	mesh_splice_lock(s);
	r = put_mode(s, mode, errs);
	if (r == 0)
		r = mesh_splice_reconsider(s, errs);
	mesh_splice_unlock(s);
	pthread_mutex_lock(&s->lock);
	s->all_out = s->mode == MESH_SPLICE_MODE_OFF;
	pthread_mutex_unlock(&s->lock);
	mesh_splice_worker_wake(s);
	return r;
}

bool mesh_splice_in_use(const struct mesh_dp *dp, const char **why)
{
	const struct mesh_splice *s = dp->splice;
	mesh_auto_free uint64_t *cookies = NULL;
	size_t count = 0;
	struct mesh_pod pod;

	*why = "another agent has it now";
	if (!s)
		return false;
	mesh_dp_captured(s->dp, &cookies, &count);
	for (size_t i = 0; s->loaded && i < count; i++)
		if (bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_PODS], &cookies[i], &pod) == 0 &&
		    pod.splice & MESH_POD_SPLICED)
			return true;
	*why = s->mode == MESH_SPLICE_MODE_OFF      ? "switched off"
	       : s->trouble                         ? s->trouble
	       : s->mode == MESH_SPLICE_MODE_ON     ? "no pod is captured that does not refuse it"
	       : mesh_splice_conf_of(s).proven == 1 ? "no pod is captured"
						    : "not every probe passes on this kernel, and no pod asks for it";
	return false;
}

/* ---- start and end ---- */

static int open_conf(struct mesh_splice *s)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/splice_conf", s->dp->pin_dir);

	s->conf = bpf_obj_get(pin);
	if (s->conf >= 0)
		return 0;
	s->conf = bpf_map_create(BPF_MAP_TYPE_ARRAY, "splice_conf", sizeof(uint32_t), sizeof(struct mesh_splice_conf),
				 1, NULL);
	if (s->conf < 0)
		return -errno;
	return bpf_obj_pin(s->conf, pin) < 0 ? -errno : 0;
}

/* Of addresses: whose pod is gone, or does not want to any more. */
static bool is_stale(void *arg, const void *ip, const void *netns)
{
	const struct mesh_dp *dp = arg;
	struct mesh_pod pod;

	(void)ip;
	return bpf_map_lookup_elem(dp->maps[MESH_DP_MAP_PODS], netns, &pod) < 0 || !(pod.splice & MESH_POD_SPLICED);
}

int mesh_splice_start(struct mesh_dp *dp, struct mesh_errs *errs)
{
	struct mesh_splice *s = dp->splice = mesh_xcalloc(1, sizeof(*s));
	mesh_auto_free unsigned *numbers = NULL;
	pthread_mutexattr_t recursive;
	size_t count;
	int r;

	s->dp = dp;
	s->conf = s->wake = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&s->pods, &recursive);
	pthread_mutexattr_destroy(&recursive);
	r = open_conf(s);
	if (r < 0)
		return mesh_dp_fail(errs, r, "map splice_conf");
	s->mode = mesh_splice_conf_of(s).mode;
	count = mesh_splice_gen_list(dp->pin_dir, &numbers);
	for (size_t i = 0; i < count; i++) {
		struct mesh_splice_gen *g = mesh_splice_gen_open(dp->pin_dir, numbers[i]);

		if (g)
			add_generation(s, g);
		else
			mesh_splice_gen_unpin(dp->pin_dir, numbers[i]);
	}
	r = mesh_splice_worker_start(s);
	if (r < 0) {
		mesh_errs_add(errs, "starting a thread: %s", strerror(-r));
		return r;
	}
	/* Programs of an earlier agent go on in any case; ours only adds the care for what they do. */
	mesh_splice_lock(s);
	if (s->gens.count && load(s, NULL) == 0) {
		mesh_dp_drop(newest_map(s, MESH_SPLICE_IP), sizeof(struct mesh_node_ip), sizeof(uint64_t), is_stale,
			     dp);
		mesh_splice_reconsider(s, NULL); /* a new generation knows no address yet */
	}
	mesh_splice_unlock(s);
	return 0;
}

void mesh_splice_stop(struct mesh_splice *s)
{
	if (!s)
		return;
	mesh_splice_worker_stop(s);
	splice_bpf__destroy(s->obj);
	mesh_vec_each (g, &s->gens)
		mesh_splice_gen_free(*g);
	mesh_vec_free(&s->gens);
	mesh_vec_free(&s->leavers);
	mesh_cleanup_fd(&s->conf);
	mesh_cleanup_fd(&s->wake);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->pods);
	free(s->trouble);
	free(s);
}
