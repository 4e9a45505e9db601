/* SPDX-License-Identifier: Apache-2.0 */
/* model/: labels, freeing of whole and half-built objects, reference counts of a configuration. */
#include "test.h"

#include "core/mem.h"
#include "model/l4.h"
#include "model/l7.h"
#include "model/route.h"
#include "model/workload.h"
#include "model/xdp.h"

#include <errno.h>

static struct mesh_labels labels_of(const char *const *pairs)
{
	struct mesh_labels l = {0};

	for (size_t n = 0; pairs[n]; n += 2) {
		l.items = mesh_xrealloc(l.items, (l.count + 1) * sizeof(*l.items));
		l.items[l.count++] = (struct mesh_label){mesh_xstrdup(pairs[n]), mesh_xstrdup(pairs[n + 1])};
	}
	return l;
}

#define LABELS(...) labels_of((const char *const[]){__VA_ARGS__, NULL})

TEST(splice_wishes)
{
	enum mesh_splice_wish wish = MESH_SPLICE_ENABLED;

	CHECK_INT(mesh_splice_wish_parse(NULL, &wish), -EINVAL);
	CHECK_INT(mesh_splice_wish_parse("", &wish), -EINVAL);
	CHECK_INT(mesh_splice_wish_parse("Enabled", &wish), -EINVAL);
	CHECK_INT(wish, MESH_SPLICE_ENABLED);
	for (int i = MESH_SPLICE_AUTO; i <= MESH_SPLICE_DISABLED; i++) {
		CHECK_INT(mesh_splice_wish_parse(mesh_splice_wish_text((enum mesh_splice_wish)i), &wish), 0);
		CHECK_INT(wish, i);
	}
}

TEST(xdp_devices)
{
	static const struct {
		const char *text, *device;
		enum mesh_xdp_mode mode;
		bool veth;
	} rows[] = {
		{"eth0", "eth0", MESH_XDP_NATIVE, false},
		{"bond0.100", "bond0.100", MESH_XDP_NATIVE, false},
		{"eth0,mode=generic", "eth0", MESH_XDP_GENERIC, false},
		{"eth0,mode=generic,mode=native", "eth0", MESH_XDP_NATIVE, false},
		{"up0,veth=allow,mode=native", "up0", MESH_XDP_NATIVE, true},
		{"fifteen-letters", "fifteen-letters", MESH_XDP_NATIVE, false},
	};
	const char *why;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		struct mesh_xdp x = {.device = "left", .veth = !rows[i].veth};

		CHECK_INT(mesh_xdp_parse(rows[i].text, &x, &why), 0);
		CHECK_STR(x.device, rows[i].device);
		CHECK_INT(x.mode, rows[i].mode);
		CHECK_INT(x.veth, rows[i].veth);
		CHECK(why == NULL);
	}
	CHECK_STR(mesh_xdp_mode_text(MESH_XDP_NATIVE), "native");
	CHECK_STR(mesh_xdp_mode_text(MESH_XDP_GENERIC), "generic");
}

TEST(xdp_devices_refused)
{
	static const char name[] = "must begin with the name of a network device",
			  option[] = "may have mode=native|generic and veth=allow behind the device, nothing else";
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"", name},
		{NULL, name},
		{",mode=native", name},
		{"mode=native", name},
		{"..", name},
		{"eth 0", name},
		{"eth/0", name},
		{"eth0:1", name},
		{"sixteen-letters-", name},
		{"eth0,mode=fast", "must have mode=native or mode=generic"},
		{"eth0,mode", "must have mode=native or mode=generic"},
		{"eth0,mode=", "must have mode=native or mode=generic"},
		{"eth0,", option},
		{"eth0,eth1", option},
		{"eth0,veth", "may have veth=allow, nothing else of veth"},
		{"eth0,veth=yes", "may have veth=allow, nothing else of veth"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		struct mesh_xdp x = {.device = "left"};
		const char *why = NULL;

		CHECK_INT(mesh_xdp_parse(rows[i].text, &x, &why), -EINVAL);
		CHECK_STR(why, rows[i].why);
		CHECK_STR(x.device, "left");
	}
}

TEST(labels_get_finds_every_key)
{
	struct mesh_labels l = LABELS("a", "1", "app", "2", "app.kubernetes.io/name", "3", "version", "4", "z", "5");

	CHECK_STR(mesh_labels_get(&l, "a"), "1");
	CHECK_STR(mesh_labels_get(&l, "app"), "2");
	CHECK_STR(mesh_labels_get(&l, "app.kubernetes.io/name"), "3");
	CHECK_STR(mesh_labels_get(&l, "version"), "4");
	CHECK_STR(mesh_labels_get(&l, "z"), "5");
	CHECK(mesh_labels_get(&l, "") == NULL);
	CHECK(mesh_labels_get(&l, "ap") == NULL);
	CHECK(mesh_labels_get(&l, "appx") == NULL);
	CHECK(mesh_labels_get(&l, "zz") == NULL);
	mesh_labels_free(&l);
	CHECK_INT(l.count, 0);
	CHECK(mesh_labels_get(&l, "a") == NULL);
}

TEST(labels_match_needs_every_pair)
{
	struct mesh_labels pod = LABELS("app", "catalog", "pod-template-hash", "x", "version", "v1");
	struct mesh_labels same = LABELS("app", "catalog", "version", "v1"), other = LABELS("version", "v2");
	struct mesh_labels more = LABELS("app", "catalog", "tier", "back"), none = {0};

	CHECK(mesh_labels_match(&pod, &same));
	CHECK(!mesh_labels_match(&pod, &other));
	CHECK(!mesh_labels_match(&pod, &more));
	CHECK(mesh_labels_match(&pod, &none));
	CHECK(mesh_labels_match(&none, &none));
	CHECK(!mesh_labels_match(&none, &same));
	mesh_labels_free(&pod);
	mesh_labels_free(&same);
	mesh_labels_free(&other);
	mesh_labels_free(&more);
}

TEST(free_takes_null_and_half_built)
{
	mesh_workload_free(NULL);
	mesh_service_free(NULL);
	mesh_endpoints_free(NULL);
	mesh_workload_free(mesh_xcalloc(1, sizeof(struct mesh_workload)));
	mesh_service_free(mesh_xcalloc(1, sizeof(struct mesh_service)));
	mesh_endpoints_free(mesh_xcalloc(1, sizeof(struct mesh_endpoints)));
}

/* Run with SAN=1, a block that these forget is reported as a leak. */
TEST(free_takes_all_parts)
{
	struct mesh_workload *w = mesh_xcalloc(1, sizeof(*w));
	struct mesh_service *s = mesh_xcalloc(1, sizeof(*s));
	struct mesh_endpoints *e = mesh_xcalloc(1, sizeof(*e));

	w->ns = mesh_xstrdup("ns");
	w->name = mesh_xstrdup("pod");
	w->uid = mesh_xstrdup("uid");
	w->node = mesh_xstrdup("node");
	w->service_account = mesh_xstrdup("default");
	w->labels = LABELS("app", "x");
	w->annotations = LABELS("note", "y");
	w->ips = mesh_xcalloc(2, sizeof(*w->ips));
	w->ip_count = 2;
	mesh_workload_free(w);

	s->ns = mesh_xstrdup("ns");
	s->name = mesh_xstrdup("service");
	s->labels = LABELS("app", "x");
	s->annotations = LABELS("sockmesh.io/balance", "connection");
	s->selector = LABELS("app", "x");
	s->cluster_ips = mesh_xcalloc(1, sizeof(*s->cluster_ips));
	s->cluster_ip_count = 1;
	s->ports = mesh_xcalloc(1, sizeof(*s->ports));
	s->port_count = 1;
	s->ports[0].name = mesh_xstrdup("http");
	s->ports[0].target = mesh_xstrdup("8080");
	s->external_name = mesh_xstrdup("example.com");
	mesh_service_free(s);

	e->ns = mesh_xstrdup("ns");
	e->service = mesh_xstrdup("service");
	e->port_name = mesh_xstrdup("http");
	e->items = mesh_xcalloc(2, sizeof(*e->items));
	e->count = 2;
	e->items[0].pod = mesh_xstrdup("pod-a");
	e->items[1].node = mesh_xstrdup("node-1");
	mesh_endpoints_free(e);
}

TEST(route_objects_free_their_arena)
{
	struct mesh_virtual_service *vs = mesh_xcalloc(1, sizeof(*vs));
	struct mesh_destination_rule *dr = mesh_xcalloc(1, sizeof(*dr));
	struct mesh_gateway *gw = mesh_xcalloc(1, sizeof(*gw));
	struct mesh_member_roll *roll = mesh_xcalloc(1, sizeof(*roll));

	vs->name = mesh_arena_strdup(&vs->arena, "catalog");
	dr->subsets = mesh_arena_array(&dr->arena, struct mesh_subset, 3);
	gw->servers = mesh_arena_array(&gw->arena, struct mesh_gateway_server, 300);
	roll->members = mesh_arena_array(&roll->arena, const char *, 2);
	mesh_virtual_service_free(vs);
	mesh_destination_rule_free(dr);
	mesh_gateway_free(gw);
	mesh_member_roll_free(roll);
	mesh_virtual_service_free(NULL);
	mesh_destination_rule_free(NULL);
	mesh_gateway_free(NULL);
	mesh_member_roll_free(NULL);
}

TEST(l4_image_free)
{
	struct mesh_l4_image image = {.version = 3};

	mesh_l4_image_free(&image);
	for (int i = 0; i < 3; i++) {
		struct mesh_l4_service *s = mesh_vec_add(&image.services);

		s->name = mesh_xasprintf("service-%d", i);
		for (int d = 0; d < i; d++) {
			struct mesh_l4_dest *dest = mesh_vec_add(&s->dests);

			dest->endpoints = mesh_xcalloc(2, sizeof(*dest->endpoints));
			dest->endpoint_count = 2;
		}
	}
	mesh_l4_image_free(&image);
	CHECK_INT(image.services.count, 0);
	CHECK(image.services.items == NULL);
}

static int destroyed;

static void destroy(struct mesh_l7_config *cfg)
{
	destroyed++;
	mesh_arena_free(&cfg->arena);
	free(cfg);
}

TEST(l7_config_lives_as_long_as_its_last_reference)
{
	struct mesh_l7_config *cfg = mesh_xcalloc(1, sizeof(*cfg));

	destroyed = 0;
	cfg->refs = 1;
	cfg->destroy = destroy;
	mesh_arena_alloc(&cfg->arena, 100);
	CHECK(mesh_l7_ref(cfg) == cfg);
	mesh_l7_unref(cfg);
	CHECK_INT(destroyed, 0);
	mesh_l7_unref(cfg);
	CHECK_INT(destroyed, 1);
	mesh_l7_unref(NULL);
}

TEST_MAIN()
