/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Istio's own expectations of which cluster a call reaches: $CONFORMANCE/istio-routes. What differs, and why,
 * is listed here; a case that stops differing must leave the list.
 */
#include "test.h"

#include "compile_whole.h"
#include "mesh_yaml.h"

struct difference {
	const char *name, *why;
};

static const struct difference known[] = {
	{"import only a unknown service route", "Sidecar objects are not acted on"},
	{"non-service wildcard match with explicit sidecar", "Sidecar objects are not acted on"},
	{"explicit first then wildcard with sidecar cross namespace", "Sidecar objects are not acted on"},
	{"multiple target port, target port first",
	 "a gateway's ports are not translated by a ServiceEntry's workloadSelector yet"},
	{"multiple target port, service port first",
	 "a gateway's ports are not translated by a ServiceEntry's workloadSelector yet"},
	{"multiple overlapping services",
	 "a gateway's ports are not translated by a ServiceEntry's workloadSelector yet"},
	{"multiple overlapping services wildcard",
	 "a gateway's ports are not translated by a ServiceEntry's workloadSelector yet"},
	{"no match selector", "a gateway's ports are not translated by a ServiceEntry's workloadSelector yet"},
	{"wrong namespace", "a gateway's ports are not translated by a ServiceEntry's workloadSelector yet"},
	{"httpsRedirect without routes", "tls.httpsRedirect is not acted on yet"},
	{"httpsRedirect with routes", "tls.httpsRedirect is not acted on yet"},
	{"mixed httpsRedirect with routes", "tls.httpsRedirect is not acted on yet"},
	{"httpsRedirect on https", "TLS servers are not served yet"},
	{"duplicate tls virtual service", "TLS servers are not served yet"},
	{"duplicate cross namespace gateway collision - selected first", "TCP servers are not served yet"},
	{"multiple protocols on a port - tcp first", "TCP servers are not served yet"},
};

static const struct difference *known_difference(const char *name)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(known); i++)
		if (strcmp(known[i].name, name) == 0)
			return &known[i];
	return NULL;
}

struct world {
	struct mesh_snapshot snap;
	struct mesh_slices *slices;
	struct mesh_l7_states states;
	struct mesh_l7_config *cfg;
};

static void world_free(struct world *w)
{
	mesh_l7_unref(w->cfg);
	mesh_l7_states_free(&w->states);
	mesh_slices_free(w->slices);
	mesh_snapshot_free(&w->snap);
}

static const char *text_of(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

static void all_are_members(struct world *w)
{
	mesh_map_each (e, &w->snap.services)
		mesh_snapshot_set_member(&w->snap, ((struct mesh_service *)e->value)->ns, true);
	mesh_map_each (e, &w->snap.virtual_services)
		mesh_snapshot_set_member(&w->snap, ((struct mesh_virtual_service *)e->value)->ns, true);
	mesh_map_each (e, &w->snap.service_entries)
		mesh_snapshot_set_member(&w->snap, ((struct mesh_service_entry *)e->value)->ns, true);
	mesh_map_each (e, &w->snap.gateways)
		mesh_snapshot_set_member(&w->snap, ((struct mesh_gateway *)e->value)->ns, true);
}

/* Both without the DNS suffix, which is absent in some expectations. */
static bool cluster_same(const char *got, const char *want)
{
	size_t g = strlen(got), w = strlen(want);
	static const char suffix[] = ".svc.cluster.local";
	size_t n = sizeof(suffix) - 1;

	if (g > n && strcmp(got + g - n, suffix) == 0)
		g -= n;
	if (w > n && strcmp(want + w - n, suffix) == 0)
		w -= n;
	return g == w && strncmp(got, want, g) == 0;
}

static bool vhost_has(const struct mesh_l7_vhost *v, const json_t *want)
{
	size_t n = 0;

	for (size_t i = 0; v && i < v->route_count; i++)
		for (size_t k = 0; k < v->routes[i].dest_count; k++, n++)
			if (!cluster_same(v->routes[i].dests[k].name, json_string_value(json_array_get(want, n))))
				return false;
	return v && n == json_array_size(want);
}

/* Returns how many expectations were not met. */
static int sidecar_case(const json_t *c)
{
	mesh_auto(world_free) struct world w = {.slices = mesh_slices_new()};
	const char *namespaces[] = {text_of(c, "client_namespace")};
	const struct mesh_l7_table *table;
	const char *host, *why = text_of(c, "case");
	char key[300];
	json_t *want;
	int bad = 0;

	yaml_load(&w.snap, w.slices, text_of(c, "services"), "default");
	yaml_load(&w.snap, w.slices, text_of(c, "config"), "default");
	all_are_members(&w);
	compile_outbound(&w.snap, namespaces, 1, &w.states, &w.cfg, NULL);
	snprintf(key, sizeof(key), "%s|%s", namespaces[0], text_of(c, "port"));
	table = mesh_pmap_get_str(&w.cfg->outbound, key);
	if (!json_is_object(json_object_get(c, "expect_virtual_host_clusters")))
		return table ? 1 : 0;
	json_object_foreach(json_object_get(c, "expect_virtual_host_clusters"), host, want)
	{
		const struct mesh_l7_vhost *v = NULL;

		if (table)
			v = host[0] == '*' ? mesh_pmap_get_str(&table->suffix, host + 1)
					   : mesh_pmap_get_str(&table->exact, host);
		if (json_is_null(want) ? v == NULL : vhost_has(v, want))
			continue;
		bad++;
		if (!known_difference(why))
			printf("  %s: %s: got %s\n", why, host, v ? vhost_text(v) : "no virtual host");
	}
	return bad;
}

static const struct mesh_l7_vhost *find_vhost(const struct mesh_l7_table *t, const char *host)
{
	const struct mesh_l7_vhost *v = mesh_pmap_get_str(&t->exact, host);

	for (const char *dot = strchr(host, '.'); !v && dot; dot = strchr(dot + 1, '.'))
		v = mesh_pmap_get_str(&t->suffix, dot);
	return v ? v : t->any;
}

/* The data's calls differ in their path alone. */
static const struct mesh_l7_route *find_route(const struct mesh_l7_vhost *v, const char *path)
{
	for (size_t i = 0; i < v->route_count; i++) {
		const struct mesh_l7_route *r = &v->routes[i];

		if (r->match_count == 0)
			return r;
		for (size_t k = 0; k < r->match_count; k++) {
			const struct mesh_l7_string *uri = r->matches[k].uri;

			if (!uri || (uri->type == MESH_MATCH_EXACT && strcmp(uri->value, path) == 0) ||
			    (uri->type == MESH_MATCH_PREFIX && strncmp(uri->value, path, uri->len) == 0))
				return r;
		}
	}
	return NULL;
}

static const char *gateway_call(const struct world *w, const json_t *call)
{
	const struct mesh_l7_table *t;
	const struct mesh_l7_vhost *v;
	const struct mesh_l7_route *r;
	const char *path = text_of(call, "path");
	char port[16];

	snprintf(port, sizeof(port), "%d", (int)json_integer_value(json_object_get(call, "port")));
	t = mesh_pmap_get_str(&w->cfg->gateway, port);
	if (!t)
		return "no_listener";
	v = find_vhost(t, text_of(call, "host_header"));
	if (!v)
		return "no_virtual_host";
	r = find_route(v, *path ? path : "/");
	return r && r->dest_count ? r->dests[0].name : "no_route";
}

static int gateway_case(const json_t *c)
{
	mesh_auto(world_free) struct world w = {.slices = mesh_slices_new()};
	struct mesh_label label = {.key = (char *)"istio", .value = (char *)"ingressgateway"};
	struct mesh_labels labels = {.items = &label, .count = 1};
	struct mesh_gateway_pod pod = {.ns = "istio-system", .name = "gw", .labels = &labels};
	const char *why = text_of(c, "case");
	json_t *item;
	int bad = 0;
	size_t i;

	yaml_load(&w.snap, w.slices, text_of(c, "kube_config"), "default");
	yaml_load(&w.snap, w.slices, text_of(c, "config"), "default");
	all_are_members(&w);
	mesh_compile_gateway(&w.snap, &pod, &w.states, &w.cfg, NULL);
	json_array_foreach(json_object_get(c, "calls"), i, item)
	{
		const json_t *expect = json_object_get(item, "expect");
		const char *want = json_string_value(json_object_get(expect, "cluster"));
		const char *got = gateway_call(&w, json_object_get(item, "call"));

		if (!want)
			want = text_of(expect, "error");
		if (cluster_same(got, want) || (strcmp(want, "no_virtual_host") == 0 && strcmp(got, "no_route") == 0))
			continue;
		bad++;
		if (!known_difference(why))
			printf("  %s: %s: got %s, not %s\n", why, text_of(item, "name"), got, want);
	}
	return bad;
}

/* Returns how many cases differ unexpectedly; prints known ones that do not differ any more. */
static int run_file(const char *dir, const char *name, int (*run)(const json_t *c), int *cases)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/istio-routes/%s", dir, name);
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	struct mesh_slice rest, line;
	int failed = 0;

	if (mesh_file_read(path, 16 << 20, &text) < 0) {
		printf("  %s cannot be read\n", path);
		return 1;
	}
	rest = mesh_buf_view(&text);
	while (mesh_slice_split(&rest, '\n', &line)) {
		json_t *c = json_loadb(line.ptr, line.len, 0, NULL);
		const char *why = text_of(c, "case");
		int bad = c ? run(c) : 0;

		*cases += c != NULL;
		if (c && bad && !known_difference(why))
			failed++;
		if (c && !bad && known_difference(why)) {
			printf("  \"%s\" does not differ any more: take it off the list\n", why);
			failed++;
		}
		json_decref(c);
	}
	return failed;
}

TEST(sidecar_routes)
{
	const char *dir = getenv("CONFORMANCE");
	int cases = 0;

	if (!dir)
		SKIP("CONFORMANCE does not name the conformance data");
	CHECK_INT(run_file(dir, "sidecar_routes.jsonl", sidecar_case, &cases), 0);
	CHECK_INT(cases, 20);
}

TEST(gateway_routes)
{
	const char *dir = getenv("CONFORMANCE");
	int cases = 0;

	if (!dir)
		SKIP("CONFORMANCE does not name the conformance data");
	CHECK_INT(run_file(dir, "gateway.jsonl", gateway_case, &cases), 0);
	CHECK_INT(cases, 18);
}

TEST_MAIN()
