/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deltas against whole images: after the same random changes the maps of two data planes, one told what changed and one
 * given all of it, are the same but for set numbers and turns; nothing is left behind. TEST_SEED sets the seed.
 */
#include "proxy/router.h"
#include "world.h"

#include <bpf/bpf.h>
#include "mesh/abi.h"

enum { SERVICES = 60, STEPS = 400, GROUPS = 4, ENDPOINTS = 5 };

static struct world by_delta, by_image;
static struct mesh_l4_service model[SERVICES]; /* name NULL: not there */
static uint64_t seed;

static unsigned pick(unsigned n)
{
	return (unsigned)(mesh_random_next(&seed) >> 33) % n;
}

TEST_SETUP(worlds)
{
	const char *given = getenv("TEST_SEED");

	seed = (given ? strtoull(given, NULL, 0) : 5) * 0x9E3779B97F4A7C15ULL;
	CHECK_INT(world_new(&by_delta), 0);
	CHECK_INT(world_new(&by_image), 0);
}

static void copy_to(const struct mesh_l4_service *s, struct mesh_l4_service *ret)
{
	*ret = *s;
	memset(&ret->dests, 0, sizeof(ret->dests));
	ret->name = mesh_xstrdup(s->name);
	mesh_vec_each (d, &s->dests)
		add_dest(ret, d->weight, d->endpoint_count, d->endpoints);
}

static void forget(struct mesh_l4_service *s)
{
	struct mesh_l4_image one = {0};

	mesh_vec_push(&one.services, *s);
	mesh_l4_image_free(&one);
	memset(s, 0, sizeof(*s));
}

static void identify(int i, struct mesh_l4_service *s)
{
	bool v6 = i % 3 == 0;

	s->kind = i % 10 == 7 ? MESH_KEY_NODE : i % 10 == 8 ? MESH_KEY_ANY : MESH_KEY_VIP;
	s->vip = at(v6 ? "[fd99::1]:80" : "10.99.0.1:80");
	s->vip.ip.s6_addr[15] = (uint8_t)i;
	s->vip.port = (uint16_t)(30000 + i);
	if (s->kind != MESH_KEY_VIP)
		s->vip = at(v6 ? "[::]:80" : "0.0.0.0:80");
	if (s->kind != MESH_KEY_VIP)
		s->vip.port = (uint16_t)(30000 + i);
	s->ip_proto = i % 7 == 3 ? IPPROTO_UDP : IPPROTO_TCP;
}

static void make(int i, struct mesh_l4_service *s)
{
	bool v6 = i % 3 == 0;
	unsigned groups = 1 + pick(GROUPS);

	identify(i, s);
	s->name = mesh_xasprintf("svc%d.v%u", i, pick(2));
	s->tier = s->ip_proto == IPPROTO_UDP || pick(4) ? MESH_TIER_L4 : pick(2) ? MESH_TIER_L7 : MESH_TIER_REFUSE;
	s->refuse_reason = s->tier == MESH_TIER_REFUSE ? MESH_REASON_NO_LOCAL_ENDPOINT : 0;
	s->affinity_s = s->tier == MESH_TIER_L4 && !pick(4) ? 60 : 0;
	for (unsigned g = 0; s->tier == MESH_TIER_L4 && g < groups; g++) {
		struct mesh_addr list[ENDPOINTS];
		unsigned n = pick(ENDPOINTS + 1);

		for (unsigned k = 0; k < n; k++) {
			list[k] = at(v6 ? "[fd98::1]:8080" : "10.98.0.1:8080");
			list[k].ip.s6_addr[15] = (uint8_t)(pick(20) * ENDPOINTS + k);
		}
		add_dest(s, pick(3) * 10, n, list);
	}
}

/* Some services come, go or are others; the delta says so, and of some that did not change, too. */
static void change(struct mesh_l4_delta *delta)
{
	for (unsigned n = 1 + pick(6); n > 0; n--) {
		int i = (int)pick(SERVICES);
		bool named = false;

		mesh_vec_each (s, &delta->set)
			named |= s->vip.port == 30000 + i;
		mesh_vec_each (s, &delta->gone)
			named |= s->vip.port == 30000 + i;
		if (named)
			continue;
		if (!pick(3)) {
			identify(i, mesh_vec_add(&delta->gone));
			forget(&model[i]);
			continue;
		}
		if (!model[i].name || pick(5)) {
			forget(&model[i]);
			make(i, &model[i]);
		}
		copy_to(&model[i], mesh_vec_add(&delta->set));
	}
}

static void nodes_of(unsigned n, struct mesh_addr ips[8])
{
	for (unsigned i = 0; i < n; i++) {
		ips[i] = at("172.16.0.1:0");
		ips[i].ip.s6_addr[15] = (uint8_t)i;
	}
}

/* Reading maps */

static int map_of(const struct world *w, const char *name)
{
	mesh_auto_free char *pin = mesh_xasprintf("%s/%s", w->pin, name);

	return bpf_obj_get(pin);
}

static void hex(struct mesh_buf *b, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		mesh_buf_printf(b, "%02x", ((const uint8_t *)data)[i]);
}

static int by_text(const void *pa, const void *pb)
{
	return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

struct lines {
	MESH_VEC(char *) list;
	size_t entries; /* of dest, ep4, ep6 and member that services lead to */
};

static void read_endpoint(int ep, int member, const struct mesh_slot *slot, bool v6, struct lines *l,
			  struct mesh_buf *b)
{
	struct mesh_member m = {.set = slot->set};
	uint32_t weight;
	union {
		struct mesh_ep4 v4;
		struct mesh_ep6 v6;
	} e = {0};
	struct mesh_addr a;

	if (bpf_map_lookup_elem(ep, slot, &e) < 0) {
		mesh_buf_str(b, " missing");
		return;
	}
	l->entries++;
	mesh_buf_char(b, ' ');
	hex(b, &e, v6 ? sizeof(e.v6) : sizeof(e.v4));
	if (v6) {
		memcpy(m.ip, e.v6.ip, sizeof(m.ip));
		m.port = e.v6.port;
	} else {
		uint32_t ip;

		memcpy(&ip, e.v4.ip, sizeof(ip));
		a = mesh_addr_from_v4(ip, e.v4.port);
		memcpy(m.ip, &a.ip, sizeof(m.ip));
		m.port = e.v4.port;
	}
	if (bpf_map_lookup_elem(member, &m, &weight) == 0)
		mesh_buf_printf(b, "*%u", weight);
}

static void read_service(const struct world *w, const struct mesh_svc *v, bool v6, struct lines *l, struct mesh_buf *b)
{
	mesh_auto_fd int dest = map_of(w, "dest"), ep = map_of(w, v6 ? "ep6" : "ep4"), member = map_of(w, "member");
	struct mesh_slot slot = {.set = v->set};

	mesh_buf_printf(b, " %s tier%d %u of %u affinity %u reason %u near ", v->name, v->tier, v->total, v->dests,
			v->affinity, v->reason);
	hex(b, v->near, sizeof(v->near));
	hex(b, v->more, sizeof(v->more));
	for (; slot.dest < v->dests; slot.dest++) {
		struct mesh_dest d;

		slot.index = 0;
		if (bpf_map_lookup_elem(dest, &slot, &d) < 0) {
			mesh_buf_str(b, " [missing]");
			continue;
		}
		l->entries++;
		mesh_buf_printf(b, " [%u upto %u", d.weight, d.upto);
		for (; slot.index < d.endpoints; slot.index++)
			read_endpoint(ep, member, &slot, v6, l, b);
		mesh_buf_char(b, ']');
	}
}

static void read_services(const struct world *w, bool v6, struct lines *l)
{
	mesh_auto_fd int fd = map_of(w, v6 ? "svc6" : "svc4");
	uint8_t key[sizeof(struct mesh_key6)], *prev = NULL;
	struct mesh_svc v;

	while (bpf_map_get_next_key(fd, prev, key) == 0) {
		struct mesh_buf b = {0};

		prev = key;
		if (bpf_map_lookup_elem(fd, key, &v) < 0)
			continue;
		hex(&b, key, v6 ? sizeof(struct mesh_key6) : sizeof(struct mesh_key4));
		read_service(w, &v, v6, l, &b);
		mesh_vec_push(&l->list, mesh_buf_steal(&b));
	}
}

static void read_nodes(const struct world *w, struct lines *l)
{
	mesh_auto_fd int node = map_of(w, "node"), ips = map_of(w, "nodeip");
	struct mesh_node_ip ip, *prev = NULL;
	struct mesh_node n = {0};
	uint32_t zero = 0;

	bpf_map_lookup_elem(node, &zero, &n);
	mesh_vec_push(&l->list, mesh_xasprintf("elsewhere %llx", (unsigned long long)n.elsewhere));
	while (bpf_map_get_next_key(ips, prev, &ip) == 0) {
		struct mesh_buf b = {0};

		prev = &ip;
		hex(&b, &ip, sizeof(ip));
		mesh_vec_push(&l->list, mesh_buf_steal(&b));
	}
}

/* All that programs can see, with the sets in place of their numbers. */
static char *text_of(const struct world *w, size_t *entries)
{
	struct mesh_buf b = {0};
	struct lines l = {0};

	read_services(w, false, &l);
	read_services(w, true, &l);
	read_nodes(w, &l);
	qsort(l.list.items, l.list.count, sizeof(char *), by_text);
	mesh_vec_each (line, &l.list) {
		mesh_buf_printf(&b, "%s\n", *line);
		free(*line);
	}
	mesh_vec_free(&l.list);
	*entries = l.entries;
	return mesh_buf_steal(&b);
}

static size_t count_of(const struct world *w, const char *map)
{
	mesh_auto_fd int fd = map_of(w, map);
	uint8_t key[64], *prev = NULL;
	size_t n = 0;

	while (bpf_map_get_next_key(fd, prev, key) == 0) {
		prev = key;
		n++;
	}
	return n;
}

static int apply_image(const struct mesh_addr *ips, unsigned ip_count)
{
	struct mesh_l4_image image = {.version = 1};

	for (int i = 0; i < SERVICES; i++)
		if (model[i].name)
			copy_to(&model[i], mesh_vec_add(&image.services));
	for (unsigned i = 0; i < ip_count; i++)
		mesh_vec_push(&image.node_ips, ips[i]);
	return world_apply(by_image.dp, &image);
}

static int apply_delta(struct mesh_l4_delta *delta)
{
	struct mesh_errs errs = {0};
	int r = mesh_dp_change(by_delta.dp, delta, &errs);

	print_errs(&errs);
	mesh_errs_free(&errs);
	mesh_l4_delta_free(delta);
	return r;
}

TEST(deltas_are_images)
{
	struct mesh_addr ips[8];
	unsigned ip_count = 3;
	size_t entries = 0, left = 1;

	nodes_of(8, ips);
	for (int step = 0; step < STEPS; step++) {
		mesh_auto_free char *got = NULL, *want = NULL;
		struct mesh_l4_delta delta = {.nodes = step == 0 || !pick(10)};
		size_t other;

		change(&delta);
		if (delta.nodes && step)
			ip_count = pick(8);
		for (unsigned i = 0; delta.nodes && i < ip_count; i++)
			mesh_vec_push(&delta.node_ips, ips[i]);
		CHECK_INT(apply_delta(&delta), 0);
		CHECK_INT(apply_image(ips, ip_count), 0);
		got = text_of(&by_delta, &entries);
		want = text_of(&by_image, &other);
		CHECK(!strstr(want, "missing"));
		CHECK_STR(got, want);
	}
	/* What nothing leads to any more is swept. Members of one set may be one entry for several endpoints. */
	for (int i = 0; i < 200 && (left || count_of(&by_delta, "member") != count_of(&by_image, "member")); i++) {
		usleep(20000);
		left = count_of(&by_delta, "dest") + count_of(&by_delta, "ep4") + count_of(&by_delta, "ep6") - entries;
	}
	CHECK_INT(left, 0);
	CHECK_INT(count_of(&by_delta, "member"), count_of(&by_image, "member"));
}

/* A delta that does not fit is refused as a whole. */
TEST(a_delta_too_large)
{
	mesh_auto(mesh_buf_free) struct mesh_buf said = {0};
	struct mesh_l4_delta delta = {.version = 7};
	mesh_auto_free char *before = NULL, *after = NULL;
	struct mesh_errs errs = {0};
	size_t entries;

	before = text_of(&by_delta, &entries);
	for (int i = 0; i < 257; i++) {
		struct mesh_l4_service *s = mesh_vec_add(&delta.set);

		s->name = mesh_xasprintf("many%d", i);
		s->vip = at("10.97.0.0:80");
		s->vip.ip.s6_addr[14] = (uint8_t)(i >> 8);
		s->vip.ip.s6_addr[15] = (uint8_t)i;
		s->ip_proto = IPPROTO_TCP;
		s->tier = MESH_TIER_L7;
	}
	CHECK_INT(mesh_dp_change(by_delta.dp, &delta, &errs), -E2BIG);
	mesh_l4_delta_free(&delta);
	mesh_errs_format(&errs, &said);
	mesh_errs_free(&errs);
	CHECK(strstr(said.data, "IPv4 services do not fit in the data plane's table of 256"));
	after = text_of(&by_delta, &entries);
	CHECK_STR(after, before);
}

TEST_TEARDOWN(end)
{
	for (int i = 0; i < SERVICES; i++)
		forget(&model[i]);
	world_free(&by_delta);
	world_free(&by_image);
}

TEST_MAIN_ROOT()
