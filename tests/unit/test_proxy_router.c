/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/router.h"

#include "core/mem.h"
#include "test.h"

static uint64_t seed = 42;
static struct mesh_http1_field fields[16];
static struct mesh_http1_head head;

static const struct mesh_http1_head *parse(const char *text)
{
	mesh_http1_head_init(&head, MESH_HTTP1_REQUEST, fields, 16, NULL);
	if (mesh_http1_head_parse(&head, text, strlen(text)) != MESH_HTTP1_DONE)
		abort();
	return &head;
}

TEST(virtual_host_by_authority)
{
	struct mesh_l7_vhost exact = {.name = "exact"}, port = {.name = "port"}, suffix = {.name = "suffix"};
	struct mesh_l7_vhost deep = {.name = "deep"}, any = {.name = "any"};
	struct mesh_l7_table t = {0};
	static const struct {
		const char *authority, *name;
	} rows[] = {
		{"catalog", "exact"},
		{"CATALOG", "exact"},
		{"catalog:8080", "exact"},
		{"partner:8080", "port"},
		{"partner", NULL},
		{"partner:81", NULL},
		{"a.example.com", "suffix"},
		{"a.b.Example.com", "deep"},
		{"x.a.b.example.com:80", "deep"},
		{"example.com", NULL},
		{"b.example.com", "suffix"},
		{"[fd00::1]:80", "exact"},
		{"[fd00::1]", "exact"},
		{"", NULL},
	};

	mesh_pmap_put_str(&t.exact, "catalog", &exact);
	mesh_pmap_put_str(&t.exact, "[fd00::1]", &exact);
	mesh_pmap_put_str(&t.exact, "partner:8080", &port);
	mesh_pmap_put_str(&t.suffix, ".example.com", &suffix);
	mesh_pmap_put_str(&t.suffix, ".b.example.com", &deep);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		const struct mesh_l7_vhost *v = mesh_router_vhost(&t, mesh_slice_str(rows[i].authority));

		CHECK_STR(v ? v->name : "none", rows[i].name ? rows[i].name : "none");
	}
	t.any = &any;
	CHECK(mesh_router_vhost(&t, MESH_SLICE("else")) == &any);
	CHECK(mesh_router_vhost(&t, MESH_SLICE("")) == &any);
	CHECK(mesh_router_vhost(&t, MESH_SLICE("catalog")) == &exact);
	mesh_pmap_free(&t.exact);
	mesh_pmap_free(&t.suffix);
}

TEST(tables_by_client_and_port)
{
	struct mesh_l7_config cfg = {0};
	struct mesh_l7_table a = {0}, b = {0};

	mesh_pmap_put_str(&cfg.outbound, "coolapp|8080", &a);
	mesh_pmap_put_str(&cfg.gateway, "80", &b);
	CHECK(mesh_router_outbound(&cfg, "coolapp", 8080) == &a);
	CHECK(mesh_router_outbound(&cfg, "coolapp", 80) == NULL);
	CHECK(mesh_router_outbound(&cfg, NULL, 8080) == NULL);
	CHECK(mesh_router_gateway(&cfg, 80) == &b);
	CHECK(mesh_router_gateway(&cfg, 8) == NULL);
	mesh_pmap_free(&cfg.outbound);
	mesh_pmap_free(&cfg.gateway);
}

static struct mesh_l7_string str(enum mesh_match_type type, const char *value)
{
	return (struct mesh_l7_string){.type = type, .value = value, .len = strlen(value)};
}

static bool holds(const struct mesh_l7_match *m, const char *text)
{
	struct mesh_label items[] = {{"app", "web"}, {"version", "v1"}};
	struct mesh_labels labels = {items, 2};
	struct mesh_l7_route r = {.matches = m, .match_count = 1};
	struct mesh_l7_vhost v = {.routes = &r, .route_count = 1};
	struct mesh_router_request req = {.head = parse(text), .labels = &labels, .ns = "coolapp"};

	return mesh_router_route(&v, &req) == &r;
}

#define REQ(line, more) line " HTTP/1.1\r\nHost: Web:80\r\n" more "\r\n"

TEST(match_uri)
{
	struct mesh_l7_string s = str(MESH_MATCH_EXACT, "/");
	struct mesh_l7_match m = {.uri = &s};
	regex_t re;

	CHECK(holds(&m, REQ("GET /", "")));
	CHECK(holds(&m, REQ("GET /?q=1", "")));
	CHECK(!holds(&m, REQ("GET /other", "")));
	s = str(MESH_MATCH_PREFIX, "/api");
	CHECK(holds(&m, REQ("GET /api/v1", "")));
	CHECK(!holds(&m, REQ("GET /Api/v1", "")));
	CHECK(!holds(&m, REQ("GET /x?/api", "")));
	m.ignore_uri_case = true;
	CHECK(holds(&m, REQ("GET /Api/v1", "")));
	CHECK(regcomp(&re, "/a(b|bc)", REG_EXTENDED) == 0);
	s = (struct mesh_l7_string){.type = MESH_MATCH_REGEX, .regex = &re};
	CHECK(holds(&m, REQ("GET /abc", "")));
	CHECK(holds(&m, REQ("GET /ab?x", "")));
	CHECK(!holds(&m, REQ("GET /abcd", "")));
	CHECK(!holds(&m, REQ("GET /x/ab", "")));
	regfree(&re);
}

TEST(match_method_scheme_authority)
{
	struct mesh_l7_string method = str(MESH_MATCH_EXACT, "POST"), scheme = str(MESH_MATCH_EXACT, "https");
	struct mesh_l7_string authority = str(MESH_MATCH_EXACT, "web");
	struct mesh_l7_match m = {.method = &method};

	CHECK(holds(&m, REQ("POST /", "")));
	CHECK(!holds(&m, REQ("PUT /", "")));
	m = (struct mesh_l7_match){.scheme = &scheme};
	CHECK(!holds(&m, REQ("GET /", "")));
	scheme = str(MESH_MATCH_EXACT, "http");
	CHECK(holds(&m, REQ("GET /", "")));
	m = (struct mesh_l7_match){.authority = &authority};
	CHECK(holds(&m, REQ("GET /", "")));
	authority = str(MESH_MATCH_EXACT, "web:80");
	CHECK(holds(&m, REQ("GET /", "")));
	authority = str(MESH_MATCH_PREFIX, "we");
	CHECK(holds(&m, REQ("GET /", "")));
	authority = str(MESH_MATCH_EXACT, "web:81");
	CHECK(!holds(&m, REQ("GET /", "")));
}

TEST(match_headers)
{
	struct mesh_l7_header_match h = {.name = "end-user", .value = str(MESH_MATCH_EXACT, "jason")};
	struct mesh_l7_match m = {.headers = &h, .header_count = 1};

	CHECK(holds(&m, REQ("GET /", "End-User: jason\r\n")));
	CHECK(!holds(&m, REQ("GET /", "End-User: Jason\r\n")));
	CHECK(!holds(&m, REQ("GET /", "")));
	h.invert = true;
	CHECK(!holds(&m, REQ("GET /", "End-User: jason\r\n")));
	CHECK(holds(&m, REQ("GET /", "")));
	h = (struct mesh_l7_header_match){.name = "end-user", .value = {.type = MESH_MATCH_ANY}};
	CHECK(holds(&m, REQ("GET /", "END-USER:\r\n")));
	CHECK(!holds(&m, REQ("GET /", "end-user2: x\r\n")));
	h.value = str(MESH_MATCH_EXACT, "a,b,c");
	CHECK(holds(&m, REQ("GET /", "End-User: a\r\nX: y\r\nend-user: b\r\nend-user: c\r\n")));
	h.value = str(MESH_MATCH_PREFIX, "");
	CHECK(holds(&m, REQ("GET /", "end-user:\r\n")));
	CHECK(!holds(&m, REQ("GET /", "")));
}

TEST(match_query)
{
	struct mesh_l7_header_match q = {.name = "v", .value = str(MESH_MATCH_EXACT, "2")};
	struct mesh_l7_match m = {.query = &q, .query_count = 1};

	CHECK(holds(&m, REQ("GET /?a=1&v=2", "")));
	CHECK(!holds(&m, REQ("GET /?v=22", "")));
	CHECK(!holds(&m, REQ("GET /", "")));
	q.value.type = MESH_MATCH_ANY;
	CHECK(holds(&m, REQ("GET /?v", "")));
	CHECK(!holds(&m, REQ("GET /?vv", "")));
}

TEST(match_client)
{
	struct mesh_label v1[] = {{"version", "v1"}}, v2[] = {{"version", "v2"}};
	struct mesh_labels labels = {v1, 1};
	struct mesh_l7_match m = {.source_labels = &labels};

	CHECK(holds(&m, REQ("GET /", "")));
	labels.items = v2;
	CHECK(!holds(&m, REQ("GET /", "")));
	m = (struct mesh_l7_match){.source_namespace = "coolapp"};
	CHECK(holds(&m, REQ("GET /", "")));
	m.source_namespace = "other";
	CHECK(!holds(&m, REQ("GET /", "")));
}

TEST(all_of_a_match_and_any_of_a_route)
{
	struct mesh_l7_string uri = str(MESH_MATCH_EXACT, "/"), method = str(MESH_MATCH_EXACT, "GET");
	struct mesh_l7_match both[] = {{.uri = &uri, .method = &method}, {.source_namespace = "ns"}};
	struct mesh_l7_route routes[] = {{.matches = both, .match_count = 2}, {.match_count = 0}};
	struct mesh_l7_vhost v = {.routes = routes, .route_count = 2};
	struct mesh_router_request req = {.head = parse(REQ("GET /", ""))};

	CHECK(mesh_router_route(&v, &req) == &routes[0]);
	req.head = parse(REQ("POST /", ""));
	CHECK(mesh_router_route(&v, &req) == &routes[1]);
	req.ns = "ns";
	CHECK(mesh_router_route(&v, &req) == &routes[0]);
	v.route_count = 1;
	req.ns = NULL;
	CHECK(mesh_router_route(&v, &req) == NULL);
}

TEST(draws_are_exact)
{
	static const uint32_t weights[][3] = {{70, 30, 0}, {0, 100, 0}, {100, 0, 0}, {1, 1, 1}, {1, 99, 0}, {5, 0, 15}};

	for (size_t w = 0; w < MESH_ARRAY_SIZE(weights); w++) {
		struct mesh_l7_state state = {0};
		struct mesh_l7_dest dests[3] = {0};
		struct mesh_l7_route r = {.dests = dests, .dest_count = 3, .state = &state};
		unsigned got[3] = {0};

		for (int i = 0; i < 3; i++)
			r.total_weight += dests[i].weight = weights[w][i];
		for (unsigned n = 1; n <= 2000; n++) {
			const struct mesh_l7_dest *d = mesh_router_draw(&r, &seed);

			CHECK(d && d->weight > 0);
			got[d - dests]++;
			for (int i = 0; i < 3; i++) { /* never far from the exact share */
				double want = (double)n * dests[i].weight / r.total_weight;

				CHECK(got[i] > want - 4 && got[i] < want + 4);
			}
		}
		CHECK_INT(atomic_load(&state.turn), 2000);
	}
}

TEST(draws_do_not_follow_a_callers_pattern)
{
	struct mesh_l7_state state = {0};
	struct mesh_l7_dest dests[2] = {{.weight = 50}, {.weight = 50}};
	struct mesh_l7_route r = {.dests = dests, .dest_count = 2, .total_weight = 100, .state = &state};
	unsigned first[2] = {0};

	for (int i = 0; i < 2000; i++)
		first[i % 2] += mesh_router_draw(&r, &seed) == &dests[0];
	CHECK(first[0] > 450 && first[0] < 550);
	CHECK(first[1] > 450 && first[1] < 550);
}

TEST(draw_of_nothing)
{
	struct mesh_l7_dest d = {.weight = 0};
	struct mesh_l7_route r = {.dests = &d, .dest_count = 1};

	CHECK(mesh_router_draw(&r, &seed) == NULL);
	r.dest_count = 0;
	CHECK(mesh_router_draw(&r, &seed) == NULL);
}

TEST(round_robin_is_strict)
{
	struct mesh_l7_endpoint e[3] = {0};
	struct mesh_l7_state state = {0};
	struct mesh_l7_cluster c = {.endpoints = e, .endpoint_count = 3, .state = &state};

	for (size_t i = 0; i < 30; i++)
		CHECK(mesh_balance_pick(&c, &seed) == &e[i % 3]);
	c.endpoint_count = 0;
	CHECK(mesh_balance_pick(&c, &seed) == NULL);
}

TEST(random_reaches_all)
{
	struct mesh_l7_endpoint e[4] = {0};
	struct mesh_l7_cluster c = {.endpoints = e, .endpoint_count = 4, .lb = MESH_LB_RANDOM};
	unsigned got[4] = {0};

	for (int i = 0; i < 4000; i++)
		got[mesh_balance_pick(&c, &seed) - e]++;
	for (int i = 0; i < 4; i++)
		CHECK(got[i] > 850 && got[i] < 1150);
}

TEST(least_request_avoids_the_busy)
{
	atomic_uint_fast32_t active[3] = {10, 0, 10};
	struct mesh_l7_endpoint e[3] = {{.active = &active[0]}, {.active = &active[1]}, {.active = &active[2]}};
	struct mesh_l7_cluster c = {.endpoints = e, .endpoint_count = 3, .lb = MESH_LB_LEAST_REQUEST};
	unsigned got[3] = {0};

	for (int i = 0; i < 3000; i++)
		got[mesh_balance_pick(&c, &seed) - e]++;
	CHECK(got[1] > 1850 && got[1] < 2150); /* two of three pairs have it */
	c.endpoint_count = 2;
	for (int i = 0; i < 100; i++)
		CHECK(mesh_balance_pick(&c, &seed) == &e[1]);
	c.endpoint_count = 1;
	CHECK(mesh_balance_pick(&c, &seed) == &e[0]);
}

TEST(headless_goes_where_the_client_connected)
{
	struct mesh_l7_endpoint e[3] = {{.addr.port = 1}, {.addr.port = 2}, {.addr.port = 3}};
	struct mesh_l7_state state = {0};
	struct mesh_l7_cluster c = {.endpoints = e, .endpoint_count = 3, .state = &state, .prefer_original = true};
	struct mesh_addr original = {.port = 2}, other = {.port = 9};

	for (int i = 0; i < 5; i++)
		CHECK(mesh_balance_pick_for(&c, &(struct mesh_balance_client){.original = &original}, &seed) == &e[1]);
	/* One of another service, or none: in turn. */
	for (size_t i = 0; i < 6; i++)
		CHECK(mesh_balance_pick_for(&c, &(struct mesh_balance_client){.original = i % 2 ? &other : NULL},
					    &seed) == &e[i % 3]);
	c.prefer_original = false;
	CHECK(mesh_balance_pick_for(&c, &(struct mesh_balance_client){.original = &original}, &seed) == &e[0]);
}

/* Clients stay, are spread, and only those of an endpoint that goes move. */
TEST(affinity_by_client)
{
	struct mesh_l7_endpoint e[4] = {{.addr.port = 1}, {.addr.port = 2}, {.addr.port = 3}, {.addr.port = 4}};
	struct mesh_l7_cluster c = {.endpoints = e, .endpoint_count = 4, .by_client = true};
	struct mesh_l7_state state = {0};
	unsigned got[4] = {0}, moved = 0;

	for (int i = 0; i < 400; i++) {
		char pod[16];
		struct mesh_balance_client who = {.ns = "shop", .pod = pod};
		const struct mesh_l7_endpoint *mine, *then;

		snprintf(pod, sizeof(pod), "pod-%d", i);
		c.endpoint_count = 4;
		mine = mesh_balance_pick_for(&c, &who, &seed);
		for (int again = 0; again < 3; again++)
			CHECK(mesh_balance_pick_for(&c, &who, &seed) == mine);
		got[mine - e]++;
		c.endpoint_count = 3;
		then = mesh_balance_pick_for(&c, &who, &seed);
		moved += then != mine;
		CHECK(then == mine || mine == &e[3]);
	}
	for (int i = 0; i < 4; i++)
		CHECK(got[i] > 60 && got[i] < 140);
	CHECK_INT(moved, got[3]);
	/* Who is no pod has none. */
	c.state = &state;
	for (size_t i = 0; i < 6; i++)
		CHECK(mesh_balance_pick_for(&c, &(struct mesh_balance_client){0}, &seed) == &e[i % 3]);
}

TEST_MAIN()
