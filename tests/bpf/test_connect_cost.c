/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connect() costs in the programs it meets, by the kernel's own count (kernel.bpf_stats_enabled), with 10 and with
 * 10,000 services of 4 endpoints that are hit uniformly at random. Figures are printed; only ones that no busy machine
 * explains fail, unless CONNECT_COST_NS and CONNECT_COST_RATIO say what the limits are.
 */
#include "traffic.h"

#include <bpf/bpf.h>

enum { FEW = 10, MANY = 10000, ENDPOINTS = 4, BURST = 8000, ROUNDS = 2 };

static struct world w;
static struct pod *client, *server;

TEST_SETUP(world)
{
	world_services = 16384;
	world_endpoints = 131072;
	CHECK_INT(world_new(&w), 0);
	client = world_pod(&w);
	server = world_pod(&w);
	CHECK_INT(world_capture(&w, client), 0);
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
	struct mesh_addr list[ENDPOINTS];

	for (unsigned i = 0; i < services; i++) {
		struct mesh_l4_service *s = add_service(&image, "10.96.0.0:80", IPPROTO_TCP, MESH_TIER_L4);

		s->vip = vip_of(i);
		for (unsigned k = 0; k < ENDPOINTS; k++)
			list[k] = with_port(server->ip4, (uint16_t)(8000 + k));
		add_dest(s, 1, ENDPOINTS, list);
	}
	return world_apply(w.dp, &image);
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

static const char *const programs[] = {"connect4", "sock_ops"};
enum { PROGRAMS = 2 };

/* Mean nanoseconds a connection of each program. */
static bool measure(unsigned services, double ns[PROGRAMS])
{
	struct connects b = {.services = services, .count = BURST};
	struct cost before[PROGRAMS];

	for (int i = 0; i < PROGRAMS; i++)
		before[i] = cost_of(programs[i]);
	pod_call(client, do_connects, &b, sizeof(b), &b, sizeof(b));
	for (int i = 0; i < PROGRAMS; i++) {
		struct cost c = cost_of(programs[i]);

		ns[i] = (c.ns - before[i].ns) / BURST;
		if (i == 0 && c.runs - before[i].runs != BURST) {
			printf("  connect4 ran %ld times, not %d\n", c.runs - before[i].runs, BURST);
			return false;
		}
	}
	/* The server listens to none of these ports: its answer may come before connect() returns. */
	return true;
}

static double least(double a, double b)
{
	return a == 0 || b < a ? b : a;
}

TEST(connect_is_cheap_and_flat)
{
	const char *limit = getenv("CONNECT_COST_NS"), *ratio = getenv("CONNECT_COST_RATIO");
	static const unsigned sizes[] = {FEW, MANY};
	double best[2][PROGRAMS] = {0}, ns[PROGRAMS];
	mesh_auto_fd int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (stats < 0)
		SKIP("this kernel does not count run times");
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < 2; i++) {
			CHECK_INT(apply(sizes[i]), 0);
			CHECK(measure(sizes[i], ns)); /* warms up, too */
			CHECK(measure(sizes[i], ns));
			for (int p = 0; p < PROGRAMS; p++)
				best[i][p] = least(best[i][p], ns[p]);
		}
	for (int i = 0; i < 2; i++)
		printf("  %5u services: connect4 %.0f ns, sock_ops %.0f ns a connection (least of %d means)\n",
		       sizes[i], best[i][0], best[i][1], ROUNDS);
	CHECK(best[1][0] < (limit ? atof(limit) : 5000));
	CHECK(best[1][0] < best[0][0] * (ratio ? atof(ratio) : 4));
}

TEST_TEARDOWN(end)
{
	world_free(&w);
}

TEST_MAIN_ROOT()
