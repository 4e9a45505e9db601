/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins of an older layout: made from what an agent of today pinned, with a program of then (older.bpf.c) in today's
 * link, and adopted while a pod connects without a pause.
 */
#include "traffic.h"
#include "core/version.h"
#include "dataplane/dp.h"
#include "older.skel.h"

#include <bpf/bpf.h>
#include "mesh/abi.h"

static const char vip[] = "10.99.0.1:80", near_vip[] = "10.99.0.3:80";

/* Services, their groups, and entries of the older layouts' services. */
enum { SERVICES4 = 3, SERVICES6 = 1, GROUPS = 3 };

struct svc_3 {
	uint64_t set, seal;
	uint32_t total, dests, tier, reason, affinity, turn;
	char name[MESH_NAME_LEN];
};

static int apply_weights(struct world *w, struct mesh_dp *dp, uint32_t a, uint32_t b)
{
	struct mesh_l4_image image = {.version = a};
	struct mesh_l4_service *s = add_service(&image, vip, IPPROTO_TCP, MESH_TIER_L4);

	add_dest(s, a, 1, (struct mesh_addr[]){with_port(w->pods[1].ip4, 8080)});
	add_dest(s, b, 1, (struct mesh_addr[]){with_port(w->pods[2].ip4, 8080)});
	add_service(&image, "10.99.0.2:80", IPPROTO_TCP, MESH_TIER_L7);
	s = add_service(&image, near_vip, IPPROTO_TCP, MESH_TIER_L4);
	add_dest(s, 1, 2, (struct mesh_addr[]){with_port(w->pods[1].ip4, 8080), with_port(w->pods[2].ip4, 8080)});
	add_service(&image, "[fd99::1]:80", IPPROTO_TCP, MESH_TIER_L7);
	return world_apply(dp, &image);
}

/* A client, captured, and two servers; all connects go to the first. No data plane runs. */
static int begin(struct world *w)
{
	int r = world_of_three(w);

	if (r == 0)
		r = world_capture(w, &w->pods[0]);
	if (r == 0)
		r = apply_weights(w, w->dp, 1, 0);
	world_dp_end(w);
	return r;
}

static int pinned(const struct world *w, const char *name)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/%s", w->pin, name);

	return bpf_obj_get(pin);
}

static int pin_instead(const struct world *w, const char *name, int fd)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/%s", w->pin, name);

	if (unlink(pin) < 0 || bpf_obj_pin(fd, pin) < 0)
		return -errno;
	return 0;
}

/* Entries of today's map as layouts 2 and 3 had them: shorter, and with another seal. */
static int copy_services(const struct world *w, const char *name, int to)
{
	mesh_auto_fd int from = pinned(w, name);
	char key[64], *prev = NULL;
	struct mesh_svc v;
	int n = 0;

	for (; bpf_map_get_next_key(from, prev, key) == 0; prev = key, n++) {
		struct svc_3 then = {0};

		if (bpf_map_lookup_elem(from, key, &v) < 0)
			return -errno;
		then.set = v.set;
		then.seal = v.seal ^ 0x5555;
		then.total = v.total;
		then.dests = v.dests;
		then.tier = v.tier;
		then.reason = v.reason;
		then.affinity = v.affinity;
		then.turn = v.turn;
		memcpy(then.name, v.name, sizeof(then.name));
		if (bpf_map_update_elem(to, key, &then, BPF_ANY) < 0)
			return -errno;
	}
	return n;
}

static int share(const struct world *w, struct bpf_map *map)
{
	mesh_auto_fd int fd = pinned(w, bpf_map__name(map));

	return fd < 0 ? -errno : bpf_map__reuse_fd(map, fd);
}

/* Makes what is pinned that of layout 2, program included. Returns what to destroy in the end, or NULL. */
static struct older_bpf *make_older(struct world *w)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/links/connect4", w->pin);
	struct older_bpf *o = older_bpf__open();
	mesh_auto_fd int node = pinned(w, "node");
	uint32_t zero = 0, words[6] = {2};
	struct bpf_link *link;
	struct mesh_node now;

	if (!o || share(w, o->maps.pods) < 0 || share(w, o->maps.ep4) < 0 || older_bpf__load(o) < 0)
		return NULL;
	if (bpf_map_lookup_elem(node, &zero, &now) < 0)
		return NULL;
	memcpy(words + 2, &now.agent_cgroup, sizeof(now.agent_cgroup));
	memcpy(words + 4, &now.elsewhere, sizeof(now.elsewhere));
	if (bpf_map_update_elem(bpf_map__fd(o->maps.node), &zero, words, BPF_ANY) < 0 ||
	    copy_services(w, "svc4", bpf_map__fd(o->maps.svc4)) != SERVICES4 ||
	    copy_services(w, "svc6", bpf_map__fd(o->maps.svc6)) != SERVICES6)
		return NULL;
	link = bpf_link__open(pin);
	if (!link || bpf_link__update_program(link, o->progs.connect4) < 0)
		return NULL;
	bpf_link__destroy(link);
	if (pin_instead(w, "node", bpf_map__fd(o->maps.node)) < 0 ||
	    pin_instead(w, "svc4", bpf_map__fd(o->maps.svc4)) < 0 ||
	    pin_instead(w, "svc6", bpf_map__fd(o->maps.svc6)) < 0 ||
	    pin_instead(w, "sock", bpf_map__fd(o->maps.sock)) < 0)
		return NULL;
	return o;
}

/* The same of layout 3, where programs had all other maps as they are now; those in the links stay today's. */
static int make_layout_3(struct world *w)
{
	mesh_auto_fd int node = pinned(w, "node"),
			 then = bpf_map_create(BPF_MAP_TYPE_ARRAY, "node", 4, sizeof(struct mesh_node), 1, NULL),
			 svc4 = bpf_map_create(BPF_MAP_TYPE_HASH, "svc4", sizeof(struct mesh_key4),
					       sizeof(struct svc_3), 256, NULL),
			 svc6 = bpf_map_create(BPF_MAP_TYPE_HASH, "svc6", sizeof(struct mesh_key6),
					       sizeof(struct svc_3), 256, NULL);
	struct mesh_node v;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(node, &zero, &v) < 0)
		return -errno;
	v.abi = 3;
	if (bpf_map_update_elem(then, &zero, &v, BPF_ANY) < 0 || copy_services(w, "svc4", svc4) != SERVICES4 ||
	    copy_services(w, "svc6", svc6) != SERVICES6)
		return -EIO;
	if (pin_instead(w, "node", then) < 0 || pin_instead(w, "svc4", svc4) < 0 || pin_instead(w, "svc6", svc6) < 0)
		return -EIO;
	return 0;
}

static bool exists(const struct world *w, const char *name)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", w->pin, name);

	return access(path, F_OK) == 0;
}

static struct mesh_svc service_of(const struct world *w, const char *text)
{
	mesh_auto_fd int fd = pinned(w, "svc4");
	struct mesh_addr a = at(text);
	struct mesh_key4 key = {.port = a.port, .proto = IPPROTO_TCP};
	struct mesh_svc v = {0};

	memcpy(key.ip, &a.ip.s6_addr[12], sizeof(key.ip));
	bpf_map_lookup_elem(fd, &key, &v);
	return v;
}

static uint64_t set_of(const struct world *w, const char *text)
{
	return service_of(w, text).set;
}

/* The first endpoint in a service's entry. */
static uint64_t near_of(const struct world *w, const char *text)
{
	return service_of(w, text).near[0].word;
}

/* What is pinned is of today, and does what it did before. */
static void check_migrated(struct world *w, int c)
{
	mesh_auto_fd int fd = pinned(w, "node");
	struct dial d = {.to = at("10.99.0.2:80")};
	struct mesh_addr orig;
	struct mesh_node node;
	struct conn c7;
	uint32_t zero = 0;
	uint64_t set;
	int seven;

	CHECK_INT(bpf_map_lookup_elem(fd, &zero, &node), 0);
	CHECK_INT(node.abi, MESH_ABI_VERSION);
	CHECK(!exists(w, "next"));
	CHECK_INT(pod_burst(&w->pods[0], vip, 50).by_name['a'], 50);
	CHECK(pod_echo(&w->pods[0], c));
	CHECK_INT(map_entries(w->dp, "svc4"), SERVICES4);
	CHECK_INT(map_entries(w->dp, "svc6"), SERVICES6);
	/* The same configuration is recognised, but that endpoints come into the entry; another takes effect. */
	CHECK_INT(map_entries(w->dp, "dest"), GROUPS);
	set = set_of(w, vip);
	CHECK_INT(apply_weights(w, w->dp, 1, 0), 0);
	CHECK_INT(set_of(w, vip), set);
	CHECK(near_of(w, near_vip) != 0);
	for (int i = 0; i < 100 && map_entries(w->dp, "dest") != GROUPS; i++)
		usleep(20000);
	CHECK_INT(map_entries(w->dp, "dest"), GROUPS);
	CHECK_INT(pod_burst(&w->pods[0], near_vip, 20).by_name['a'], 10);
	CHECK_INT(apply_weights(w, w->dp, 0, 1), 0);
	CHECK_INT(pod_burst(&w->pods[0], vip, 20).by_name['b'], 20);
	c7 = pod_dial(&w->pods[0], &d);
	CHECK_INT(c7.error, 0);
	seven = accept_origdst(w->dp, &w->pods[0], &orig);
	CHECK(seven >= 0);
	CHECK(mesh_addr_eq(&orig, &d.to));
	close(seven);
}

static void do_peer(const void *in, void *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getpeername(*(const int *)in, (struct sockaddr *)&ss, &len) == 0)
		mesh_addr_from_sock(&ss, out);
}

static struct mesh_addr peer_of(struct pod *p, int fd)
{
	struct mesh_addr a = {0};

	pod_call(p, do_peer, &fd, sizeof(fd), &a, sizeof(a));
	return a;
}

/* Without a pause in which no program decides: each connect of the pod has an answer, before, after and meanwhile. */
TEST(an_older_layout_is_carried_over_under_load)
{
	struct dial d = {.to = at("10.99.0.1:80")};
	struct older_bpf *o;
	uint64_t decided;
	struct mesh_addr peer, to;
	struct conn c, then;
	struct tally t;
	struct world w;

	CHECK_INT(begin(&w), 0);
	c = pod_dial(&w.pods[0], &d);
	CHECK_INT(c.error, 0);
	CHECK_INT(pod_name(&w.pods[0], c.fd), 'a');
	o = make_older(&w);
	CHECK(o != NULL);
	then = pod_dial(&w.pods[0], &d);
	CHECK_INT(then.error, 0);
	CHECK_INT(pod_name(&w.pods[0], then.fd), 'a');
	CHECK_INT(pod_burst(&w.pods[0], vip, 20).by_name['a'], 20);
	CHECK(o->bss->decided >= 20);
	pod_load_start(&w.pods[0], vip);
	usleep(100000);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	decided = o->bss->decided;
	usleep(100000);
	t = pod_load_stop(&w.pods[0]);
	CHECK_INT(t.failed, 0);
	CHECK(t.by_name['a'] > 100);
	CHECK_INT(o->bss->decided, decided); /* the older program is out */
	CHECK_INT(status_number(w.dp, "foundAbi"), 2);
	CHECK(status_number(w.dp, "migratedEntries") >= 4);
	/* What a connection of then asked for is known: its peer's name, and what may end it. */
	peer = peer_of(&w.pods[0], then.fd);
	CHECK(mesh_addr_eq(&peer, &d.to));
	check_migrated(&w, c.fd);
	to = with_port(w.pods[1].ip4, 8080);
	CHECK(pod_echo(&w.pods[0], then.fd));
	CHECK(mesh_dp_end_flows(w.dp, w.pods[0].netns_fd, &to, &d.to) >= 1);
	CHECK(!pod_echo(&w.pods[0], then.fd));
	CHECK(!exists(&w, "links/sock_ops_before"));
	CHECK(exists(&w, "links/sock_ops"));
	older_bpf__destroy(o);
	world_free(&w);
}

/* From the layout before this one, as it is, and with endpoints in the entries once something is applied. */
TEST(layout_3_is_carried_over_under_load)
{
	struct dial d = {.to = at("10.99.0.1:80")};
	struct mesh_svc before, after;
	struct mesh_addr peer;
	struct conn c;
	struct tally t;
	struct world w;

	CHECK_INT(begin(&w), 0);
	c = pod_dial(&w.pods[0], &d);
	CHECK_INT(pod_name(&w.pods[0], c.fd), 'a');
	before = service_of(&w, near_vip);
	CHECK(before.near[0].word != 0);
	CHECK_INT(make_layout_3(&w), 0);
	pod_load_start(&w.pods[0], vip);
	usleep(100000);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	usleep(100000);
	t = pod_load_stop(&w.pods[0]);
	CHECK_INT(t.failed, 0);
	CHECK(t.by_name['a'] > 100);
	CHECK_INT(status_number(w.dp, "foundAbi"), 3);
	CHECK_INT(status_number(w.dp, "migratedEntries"), SERVICES4 + SERVICES6);
	CHECK(!mesh_dp_kept(w.dp));
	after = service_of(&w, near_vip);
	CHECK_INT(after.set, before.set);
	CHECK_INT(after.reason, 2);
	CHECK(!after.near[0].word);
	CHECK_STR(after.name, before.name);
	t = pod_burst(&w.pods[0], near_vip, 20);
	CHECK_INT(t.by_name['a'], 10);
	CHECK_INT(t.by_name['b'], 10);
	peer = peer_of(&w.pods[0], c.fd);
	CHECK(mesh_addr_eq(&peer, &d.to));
	check_migrated(&w, c.fd);
	world_free(&w);
}

/* An agent was killed before the new pins were in place: what it had begun is thrown away. */
TEST(a_migration_that_was_not_committed_begins_anew)
{
	struct dial d = {.to = at("10.99.0.1:80")};
	mesh_auto_free char *next = NULL, *junk = NULL;
	struct older_bpf *o;
	struct conn c;
	struct world w;
	int fd;

	CHECK_INT(begin(&w), 0);
	c = pod_dial(&w.pods[0], &d);
	CHECK_INT(pod_name(&w.pods[0], c.fd), 'a');
	o = make_older(&w);
	CHECK(o != NULL);
	next = mesh_xasprintf("%s/next", w.pin);
	junk = mesh_xasprintf("%s/svc4", next);
	CHECK_INT(mkdir(next, 0700), 0);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "svc4", 8, 88, 256, NULL);
	CHECK_INT(bpf_obj_pin(fd, junk), 0);
	close(fd);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	check_migrated(&w, c.fd);
	older_bpf__destroy(o);
	world_free(&w);
}

/* An agent was killed when some of the new pins were in place, map node first: the others follow. */
TEST(a_migration_that_was_committed_goes_on)
{
	struct dial d = {.to = at("10.99.0.1:80")};
	mesh_auto_free char *next = NULL, *from = NULL, *to = NULL;
	struct conn c;
	struct world w;

	CHECK_INT(begin(&w), 0);
	c = pod_dial(&w.pods[0], &d);
	CHECK_INT(pod_name(&w.pods[0], c.fd), 'a');
	next = mesh_xasprintf("%s/next", w.pin);
	from = mesh_xasprintf("%s/svc4", w.pin);
	to = mesh_xasprintf("%s/svc4", next);
	CHECK_INT(mkdir(next, 0700), 0);
	CHECK_INT(rename(from, to), 0);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	check_migrated(&w, c.fd);
	world_free(&w);
}

/* An array that a newer version has made longer. */
TEST(an_array_grows_and_keeps_its_counts)
{
	int cpus = libbpf_num_possible_cpus();
	mesh_auto_free uint64_t *values = mesh_xcalloc((size_t)cpus, sizeof(*values));
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info), one = 1;
	struct world w;
	int fd;

	CHECK_INT(begin(&w), 0);
	fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "reasons", 4, 8, 2, NULL);
	values[0] = 40;
	values[cpus - 1] += 2;
	CHECK_INT(bpf_map_update_elem(fd, &one, values, BPF_ANY), 0);
	CHECK_INT(pin_instead(&w, "reasons", fd), 0);
	close(fd);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	fd = pinned(&w, "reasons");
	CHECK_INT(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	CHECK_INT(info.max_entries, MESH_REASON_COUNT);
	CHECK_INT(reason_count(w.dp, "no_endpoint"), 42);
	CHECK(!exists(&w, "next"));
	CHECK_INT(pod_burst(&w.pods[0], vip, 20).by_name['a'], 20);
	world_free(&w);
}

/* What nobody has a way for is refused, and goes on as it is. */
TEST(a_map_without_a_way_is_refused)
{
	mesh_auto(mesh_buf_free) struct mesh_buf said = {0};
	mesh_auto_free char *want = NULL;
	struct mesh_errs errs = {0};
	struct mesh_dp *dp = NULL;
	struct world w;
	int fd;

	CHECK_INT(begin(&w), 0);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "pods", 8, 96, 64, NULL);
	CHECK_INT(pin_instead(&w, "pods", fd), 0);
	close(fd);
	CHECK_INT(mesh_dp_new(&dp,
			      &(struct mesh_dp_opts){
				      .pin_dir = w.pin, .cgroup_root = w.pods_cgroup, .agent_cgroup = w.agent_cgroup},
			      &errs),
		  -EPROTO);
	mesh_errs_format(&errs, &said);
	mesh_errs_free(&errs);
	want = mesh_xasprintf(
		"%s/pods is pinned with keys of 8 and values of 96 bytes, version %s has 8 and %zu and no "
		"way from one to the other (run the version that pinned it, or remove what is pinned "
		"with meshd agent --detach)\n",
		w.pin, mesh_version, sizeof(struct mesh_pod));
	CHECK_STR(said.data, want);
	CHECK_INT(pod_burst(&w.pods[0], vip, 20).by_name['a'], 20);
	world_free(&w);
}

/* The agent before still makes connections of its own; its cgroup stays exempt until it is gone. */
TEST(two_agents_are_exempt_while_both_serve)
{
	struct mesh_dp_opts opts = {.listeners_held = true, .beside = true};
	struct mesh_errs errs = {0};
	struct mesh_node before, node;
	mesh_auto_fd int fd = -1;
	char other[400];
	uint32_t zero = 0;
	struct world w;

	CHECK_INT(begin(&w), 0);
	fd = pinned(&w, "node");
	CHECK_INT(bpf_map_lookup_elem(fd, &zero, &before), 0);
	CHECK_INT(before.agent_before, 0);
	snprintf(other, sizeof(other), "%s/younger", w.pods_cgroup);
	CHECK_INT(mkdir(other, 0755), 0);
	opts.pin_dir = w.pin;
	opts.cgroup_root = w.pods_cgroup;
	opts.agent_cgroup = other;
	CHECK_INT(mesh_dp_new(&w.dp, &opts, &errs), 0);
	print_errs(&errs);
	CHECK_INT(bpf_map_lookup_elem(fd, &zero, &node), 0);
	CHECK_INT(node.agent_before, before.agent_cgroup);
	CHECK(node.agent_cgroup != before.agent_cgroup);
	mesh_dp_alone(w.dp);
	CHECK_INT(bpf_map_lookup_elem(fd, &zero, &node), 0);
	CHECK_INT(node.agent_before, 0);
	world_free(&w);
}

/* One that yields lets another in at once, and what was on its way to it is still found. */
TEST(one_that_yields_lets_another_in)
{
	struct dial d = {.to = at("10.99.0.2:80")};
	struct mesh_dp *younger = NULL;
	struct mesh_addr orig;
	struct conn c;
	struct world w;
	int fd;

	CHECK_INT(begin(&w), 0);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	c = pod_dial(&w.pods[0], &d);
	CHECK_INT(c.error, 0);
	mesh_dp_yield(w.dp);
	{
		struct mesh_dp_opts opts = {.pin_dir = w.pin,
					    .cgroup_root = w.pods_cgroup,
					    .agent_cgroup = w.agent_cgroup,
					    .listeners_held = true,
					    .beside = true};
		struct mesh_errs errs = {0};

		CHECK_INT(mesh_dp_new(&younger, &opts, &errs), 0);
		print_errs(&errs);
	}
	fd = accept_origdst(w.dp, &w.pods[0], &orig);
	CHECK(fd >= 0);
	CHECK(mesh_addr_eq(&orig, &d.to));
	close(fd);
	CHECK_INT(apply_weights(&w, younger, 0, 1), 0);
	CHECK_INT(pod_burst(&w.pods[0], vip, 20).by_name['b'], 20);
	mesh_dp_free(w.dp);
	w.dp = younger;
	world_free(&w);
}

TEST_MAIN_ROOT()
