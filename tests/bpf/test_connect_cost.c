/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connect() costs in the programs it meets, by the kernel's own count (kernel.bpf_stats_enabled), with 10 and with
 * 10,000 services of 4 endpoints that are hit uniformly at random; and beside them, for the same connects, what one
 * access to memory of each destination's own costs, and one look-up in a hash table of that size (floor.bpf.c): nothing
 * that is told by service can do with less. Figures are printed; only ones that no busy machine explains fail, unless
 * CONNECT_COST_NS and CONNECT_COST_RATIO say what the limits are. CONNECT_COST_ENDPOINTS: of each service.
 */
#include "traffic.h"
#include "floor.skel.h"
#include "mesh/abi.h"

#include <bpf/bpf.h>

enum { FEW = 10, MANY = 10000, ENDPOINTS = 4, ENDPOINTS_MAX = 12, BURST = 8000, ROUNDS = 3 };

static struct world w;
static struct pod *client, *server;
static struct floor_bpf *bare;
static unsigned endpoints = ENDPOINTS;

TEST_SETUP(world)
{
	world_services = 16384;
	world_endpoints = 131072;
	CHECK_INT(world_new(&w), 0);
	client = world_pod(&w);
	server = world_pod(&w);
	CHECK_INT(world_capture(&w, client), 0);
	if (getenv("CONNECT_COST_ENDPOINTS"))
		endpoints = (unsigned)atoi(getenv("CONNECT_COST_ENDPOINTS"));
	CHECK(endpoints > 0 && endpoints <= ENDPOINTS_MAX);
}

/* In the pod's own cgroup, so before the data plane's programs, and only for its connects. */
static bool floor_start(void)
{
	mesh_auto_free char *cgroup = mesh_xasprintf("%s/pod%d", w.pods_cgroup, client->number);
	mesh_auto_fd int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	bare = floor_bpf__open_and_load();
	if (fd < 0 || !bare)
		return false;
	bare->links.floor_none = bpf_program__attach_cgroup(bare->progs.floor_none, fd);
	bare->links.floor_touch = bpf_program__attach_cgroup(bare->progs.floor_touch, fd);
	bare->links.floor_find = bpf_program__attach_cgroup(bare->progs.floor_find, fd);
	return bare->links.floor_none && bare->links.floor_touch && bare->links.floor_find;
}

static struct mesh_addr vip_of(unsigned i)
{
	struct mesh_addr a = at("10.96.0.0:80");

	a.ip.s6_addr[13] = (uint8_t)(96 + (i >> 16));
	a.ip.s6_addr[14] = (uint8_t)(i >> 8);
	a.ip.s6_addr[15] = (uint8_t)i;
	return a;
}

static int apply(unsigned services)
{
	struct mesh_l4_image image = {.version = services};
	struct mesh_addr list[ENDPOINTS_MAX];

	for (unsigned i = 0; i < services; i++) {
		struct mesh_l4_service *s = add_service(&image, "10.96.0.0:80", IPPROTO_TCP, MESH_TIER_L4);

		s->vip = vip_of(i);
		for (unsigned k = 0; k < endpoints; k++)
			list[k] = with_port(server->ip4, (uint16_t)(8000 + k));
		add_dest(s, 1, endpoints, list);
	}
	return world_apply(w.dp, &image);
}

/* The table of the bare look-up has the same destinations. */
static bool fill_floor(unsigned services)
{
	struct mesh_key4 key = {.port = 80, .proto = IPPROTO_TCP};
	int fd = bpf_map__fd(bare->maps.table);
	struct mesh_svc v = {.seal = 1};
	bool ok = true;

	for (unsigned i = 0; i < MANY; i++) {
		struct mesh_addr vip = vip_of(i);

		memcpy(key.ip, &vip.ip.s6_addr[12], sizeof(key.ip));
		if (i < services)
			ok &= bpf_map_update_elem(fd, &key, &v, BPF_ANY) == 0;
		else
			bpf_map_delete_elem(fd, &key);
	}
	return ok;
}

struct connects {
	unsigned services, count, refused;
};

/* Connections that nobody waits for: a SYN, and an end. */
static void do_connects(const void *in, void *out)
{
	struct connects b = *(const struct connects *)in;
	uint64_t seed = 88172645463325252ULL;

	for (unsigned i = 0; i < b.count; i++) {
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		struct mesh_addr vip;
		uint32_t ip;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		vip = vip_of((unsigned)(seed % b.services));
		memcpy(&ip, &vip.ip.s6_addr[12], sizeof(ip));
		to.sin_addr.s_addr = ip;
		b.refused += connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS;
		close(fd);
	}
	memcpy(out, &b, sizeof(b));
}

struct cost {
	double ns;
	long runs;
};

static struct cost cost_of(const char *program)
{
	json_t *status = mesh_dp_status(w.dp), *p;
	struct cost c = {0};
	size_t i;

	json_array_foreach(json_object_get(status, "programs"), i, p)
	{
		if (strcmp(json_string_value(json_object_get(p, "name")), program) != 0)
			continue;
		c.runs = (long)json_integer_value(json_object_get(p, "runs"));
		c.ns = (double)json_integer_value(json_object_get(p, "runTimeNs"));
	}
	json_decref(status);
	return c;
}

static struct cost cost_of_fd(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return (struct cost){0};
	return (struct cost){.ns = (double)info.run_time_ns, .runs = (long)info.run_cnt};
}

enum { CONNECT4, SOCK_OPS, NONE, TOUCH, FIND, PROGRAMS };

static void costs(struct cost c[PROGRAMS])
{
	c[CONNECT4] = cost_of("connect4");
	c[SOCK_OPS] = cost_of("sock_ops");
	c[NONE] = cost_of_fd(bpf_program__fd(bare->progs.floor_none));
	c[TOUCH] = cost_of_fd(bpf_program__fd(bare->progs.floor_touch));
	c[FIND] = cost_of_fd(bpf_program__fd(bare->progs.floor_find));
}

/* Mean nanoseconds a connection of each program. */
static bool measure(unsigned services, double ns[PROGRAMS])
{
	struct connects b = {.services = services, .count = BURST};
	struct cost before[PROGRAMS], after[PROGRAMS];
	uint64_t found = bare->bss->found;

	costs(before);
	pod_call(client, do_connects, &b, sizeof(b), &b, sizeof(b));
	costs(after);
	for (int i = 0; i < PROGRAMS; i++) {
		ns[i] = (after[i].ns - before[i].ns) / BURST;
		if (i != SOCK_OPS && after[i].runs - before[i].runs != BURST) {
			printf("  program %d ran %ld times, not %d\n", i, after[i].runs - before[i].runs, BURST);
			return false;
		}
	}
	/* The server listens to none of these ports: its answer may come before connect() returns. */
	return bare->bss->found - found == BURST;
}

static double least(double a, double b)
{
	return a == 0 || b < a ? b : a;
}

/* What a program's own work costs. */
static double beyond(const double ns[PROGRAMS], int program)
{
	return ns[program] - ns[NONE];
}

TEST(connect_is_cheap_and_flat)
{
	const char *limit = getenv("CONNECT_COST_NS"), *ratio = getenv("CONNECT_COST_RATIO");
	static const unsigned sizes[] = {FEW, MANY};
	double best[2][PROGRAMS] = {0}, ns[PROGRAMS];
	mesh_auto_fd int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (stats < 0)
		SKIP("this kernel does not count run times");
	CHECK(floor_start());
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < 2; i++) {
			CHECK_INT(apply(sizes[i]), 0);
			CHECK(fill_floor(sizes[i]));
			CHECK(measure(sizes[i], ns)); /* warms up, too */
			CHECK(measure(sizes[i], ns));
			for (int p = 0; p < PROGRAMS; p++)
				best[i][p] = least(best[i][p], ns[p]);
		}
	for (int i = 0; i < 2; i++)
		printf("  %5u services of %u endpoints: connect4 %.0f ns, sock_ops %.0f ns a connection; an empty "
		       "program "
		       "%.0f, and with one access %.0f more, with one look-up %.0f more (least of %d means)\n",
		       sizes[i], endpoints, best[i][CONNECT4], best[i][SOCK_OPS], best[i][NONE], beyond(best[i], TOUCH),
		       beyond(best[i], FIND), ROUNDS);
	printf("  from %u to %u: connect4 %+.0f ns, one access %+.0f ns, one look-up %+.0f ns\n", FEW, MANY,
	       best[1][CONNECT4] - best[0][CONNECT4], beyond(best[1], TOUCH) - beyond(best[0], TOUCH),
	       beyond(best[1], FIND) - beyond(best[0], FIND));
	CHECK(best[1][CONNECT4] < (limit ? atof(limit) : 5000));
	CHECK(best[1][CONNECT4] < best[0][CONNECT4] * (ratio ? atof(ratio) : 4));
}

TEST_TEARDOWN(end)
{
	floor_bpf__destroy(bare);
	world_free(&w);
}

TEST_MAIN_ROOT()
