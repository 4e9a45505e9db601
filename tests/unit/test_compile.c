/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>
#include <time.h>

#include "compile/hosts.h"
#include "compile/regex.h"
#include "compile_whole.h"
#include "mesh_yaml.h"

static const char shop[] = "apiVersion: v1\n"
			   "kind: Service\n"
			   "metadata: {name: catalog, namespace: shop}\n"
			   "spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'], selector: {app: catalog}, "
			   "ports: [{name: http, port: 8080, targetPort: 8080}]}\n"
			   "---\n"
			   "apiVersion: v1\n"
			   "kind: Service\n"
			   "metadata: {name: db, namespace: shop}\n"
			   "spec: {clusterIP: 10.0.0.2, clusterIPs: [10.0.0.2], selector: {app: db}, "
			   "ports: [{name: tcp-sql, port: 5432}, {name: dns, port: 53, protocol: UDP}]}\n"
			   "---\n"
			   "apiVersion: v1\n"
			   "kind: Service\n"
			   "metadata: {name: other, namespace: else}\n"
			   "spec: {clusterIP: 10.0.0.3, clusterIPs: [10.0.0.3], ports: [{name: http, port: 80}]}\n";

static const char subsets[] = "apiVersion: networking.istio.io/v1\n"
			      "kind: DestinationRule\n"
			      "metadata: {name: catalog, namespace: shop}\n"
			      "spec:\n"
			      "  host: catalog\n"
			      "  subsets:\n"
			      "  - {name: v1, labels: {version: v1}}\n"
			      "  - {name: v2, labels: {version: v2}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}\n"
			      "  - {name: v3, labels: {version: v3}}\n";

struct fixture {
	struct mesh_snapshot snap;
	struct mesh_slices *slices;
	struct mesh_l7_states states;
	struct mesh_l7_config *cfg;
	struct mesh_errs warnings;
};

static void fixture_free(struct fixture *f)
{
	mesh_l7_unref(f->cfg);
	mesh_l7_states_free(&f->states);
	mesh_slices_free(f->slices);
	mesh_snapshot_free(&f->snap);
	mesh_errs_free(&f->warnings);
}

#define FIXTURE mesh_auto(fixture_free) struct fixture f = fixture_shop()

static struct fixture fixture_shop(void)
{
	struct fixture f = {.slices = mesh_slices_new()};

	mesh_snapshot_set_member(&f.snap, "shop", true);
	yaml_load(&f.snap, f.slices, shop, "default");
	snap_endpoint(&f.snap, f.slices, "shop", "catalog", "http", "c1", "version", "v1", "10.1.0.1", 8080, true);
	snap_endpoint(&f.snap, f.slices, "shop", "catalog", "http", "c2", "version", "v2", "10.1.0.2", 8080, true);
	snap_endpoint(&f.snap, f.slices, "shop", "db", "tcp-sql", "d1", "app", "db", "10.1.0.3", 5432, true);
	return f;
}

static void compile(struct fixture *f)
{
	static const char *const namespaces[] = {"shop"};
	struct mesh_l7_config *old = f->cfg;

	mesh_errs_free(&f->warnings);
	compile_outbound(&f->snap, namespaces, 1, &f->states, &f->cfg, &f->warnings);
	mesh_l7_unref(old);
}

static const char *catalog(struct fixture *f)
{
	return vhost_text(outbound_vhost(f->cfg, "shop|8080", "catalog"));
}

static const char *load(struct fixture *f, const char *yaml)
{
	if (yaml_load(&f->snap, f->slices, yaml, "shop") != 0)
		return "bad yaml";
	compile(f);
	return catalog(f);
}

#define CATALOG(subset) "outbound|8080|" subset "|catalog.shop.svc.cluster.local"
#define VS(http)                                                                                                       \
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: catalog, creationTimestamp: "      \
	"'2026-01-01T00:00:00Z'}\nspec: {hosts: [catalog], http: [" http "]}\n"

TEST(what_a_namespace_asks_of_splicing)
{
	struct mesh_changes changes = {0};
	struct mesh_snapshot snap = {.changes = &changes};

	CHECK(!mesh_snapshot_set_splice(&snap, "a", NULL));
	CHECK(mesh_snapshot_set_splice(&snap, "a", "enabled"));
	CHECK(changes.splice);
	changes.splice = false;
	CHECK(!mesh_snapshot_set_splice(&snap, "a", "enabled"));
	CHECK(!changes.splice);
	CHECK(mesh_snapshot_set_splice(&snap, "a", "disabled"));
	CHECK_STR((const char *)mesh_map_get_str(&snap.splice, "a"), "disabled");
	CHECK(mesh_snapshot_set_splice(&snap, "a", NULL));
	CHECK(mesh_map_get_str(&snap.splice, "a") == NULL);
	mesh_changes_clear(&changes);
	mesh_snapshot_free(&snap);
}

TEST(no_rule_routes_to_every_ready_endpoint)
{
	FIXTURE;

	compile(&f);
	CHECK_STR(catalog(&f), CATALOG("") "=1[10.1.0.1:8080,10.1.0.2:8080]");
	snap_endpoint(&f.snap, f.slices, "shop", "catalog", "http", "c2", "version", "v2", "10.1.0.2", 8080, false);
	compile(&f);
	CHECK_STR(catalog(&f), CATALOG("") "=1[10.1.0.1:8080]");
}

/* As for services by connection (ending_endpoints_serve_where_none_is_ready), and as kube-proxy has it. */
TEST(http_goes_to_endpoints_that_end_where_none_is_ready)
{
#define SOAP_SLICE(endpoints)                                                                                          \
	"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nmetadata: {name: soap-1, labels: "   \
	"{kubernetes.io/service-name: soap}}\nports: [{name: http, port: 8080}]\nendpoints: [" endpoints "]\n"
#define ENDPOINT(address, ready, serving, terminating)                                                                 \
	"{addresses: [" address "], conditions: {ready: " ready ", serving: " serving ", terminating: " terminating "}}"
#define SOAP "outbound|8080||soap.shop.svc.cluster.local=1"
	FIXTURE;

	load(&f, "apiVersion: v1\nkind: Service\nmetadata: {name: soap}\nspec: {clusterIP: 10.0.0.9, clusterIPs: "
		 "[10.0.0.9], ports: [{name: http, port: 8080}]}\n---\n" SOAP_SLICE(ENDPOINT(
			 "10.1.9.1", "true", "true", "false") ", " ENDPOINT("10.1.9.2", "false", "true", "true")));
	CHECK_STR(vhost_text(outbound_vhost(f.cfg, "shop|8080", "soap")), SOAP "[10.1.9.1:8080]");
	load(&f, SOAP_SLICE(ENDPOINT("10.1.9.1", "false", "false", "true") ", " ENDPOINT("10.1.9.2", "false", "true",
											 "true")));
	CHECK_STR(vhost_text(outbound_vhost(f.cfg, "shop|8080", "soap")), SOAP "[10.1.9.2:8080]");
	load(&f, SOAP_SLICE(ENDPOINT("10.1.9.1", "false", "false", "false")));
	CHECK_STR(vhost_text(outbound_vhost(f.cfg, "shop|8080", "soap")), SOAP "[]");
}

TEST(a_service_answers_to_all_its_names)
{
	static const char *const names[] = {"catalog",
					    "catalog:8080",
					    "catalog.shop",
					    "catalog.shop:8080",
					    "catalog.shop.svc",
					    "catalog.shop.svc:8080",
					    "catalog.shop.svc.cluster.local",
					    "catalog.shop.svc.cluster.local:8080",
					    "catalog.shop.svc.cluster.local.",
					    "10.0.0.1",
					    "10.0.0.1:8080",
					    "[fd00::1]",
					    "[fd00::1]:8080"};
	FIXTURE;

	compile(&f);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(names); i++) {
		const struct mesh_l7_vhost *v = outbound_vhost(f.cfg, "shop|8080", names[i]);

		CHECK(v);
		CHECK_STR(v->name, "catalog.shop.svc.cluster.local");
	}
	CHECK(!outbound_vhost(f.cfg, "shop|8080", "catalog:80"));
	CHECK(!outbound_vhost(f.cfg, "shop|80", "other.else")); /* not in the mesh */
	CHECK(mesh_pmap_get_str(&f.cfg->by_vip, "10.0.0.1:8080"));
	CHECK(mesh_pmap_get_str(&f.cfg->by_vip, "[fd00::1]:8080"));
	CHECK(!mesh_pmap_get_str(&f.cfg->by_vip, "10.0.0.2:5432"));
}

TEST(short_names_are_of_the_clients_namespace)
{
	static const char *const namespaces[] = {"shop", "else"};
	FIXTURE;

	mesh_snapshot_set_member(&f.snap, "else", true);
	compile_outbound(&f.snap, namespaces, 2, &f.states, &f.cfg, NULL);
	CHECK(outbound_vhost(f.cfg, "else|80", "other"));
	CHECK(!outbound_vhost(f.cfg, "shop|80", "other"));
	CHECK(outbound_vhost(f.cfg, "shop|80", "other.else"));
	CHECK(!outbound_vhost(f.cfg, "else|8080", "catalog"));
	CHECK(outbound_vhost(f.cfg, "else|8080", "catalog.shop"));
}

TEST(weights_and_subsets)
{
	FIXTURE;

	CHECK_INT(yaml_load(&f.snap, f.slices, subsets, "shop"), 0);
	CHECK_STR(load(&f, VS("{route: [{destination: {host: catalog, subset: v1}, weight: 70}, {destination: {host: "
			      "catalog, subset: v2}, weight: 30}]}")),
		  CATALOG("v1") "=70[10.1.0.1:8080] " CATALOG("v2") "=30[10.1.0.2:8080]");
	CHECK_INT(outbound_vhost(f.cfg, "shop|8080", "catalog")->routes[0].total_weight, 100);
	CHECK(outbound_vhost(f.cfg, "shop|8080", "catalog")->routes[0].simple);
	CHECK_INT(outbound_vhost(f.cfg, "shop|8080", "catalog")->routes[0].dests[0].cluster->lb, MESH_LB_ROUND_ROBIN);
	CHECK_INT(outbound_vhost(f.cfg, "shop|8080", "catalog")->routes[0].dests[1].cluster->lb, MESH_LB_RANDOM);
}

TEST(subset_in_no_rule_has_no_cluster)
{
	FIXTURE;

	CHECK_STR(load(&f, VS("{route: [{destination: {host: catalog, subset: v2}}]}")), "!" CATALOG("v2") "=1");
	CHECK_STR(load(&f, subsets), CATALOG("v2") "=1[10.1.0.2:8080]");
}

TEST(subset_without_ready_pods_has_no_endpoint)
{
	FIXTURE;

	CHECK_INT(yaml_load(&f.snap, f.slices, subsets, "shop"), 0);
	CHECK_STR(load(&f, VS("{route: [{destination: {host: catalog, subset: v3}}]}")), CATALOG("v3") "=1[]");
}

TEST(unknown_hosts_and_ports_have_no_cluster)
{
	FIXTURE;

	CHECK_STR(load(&f, VS("{route: [{destination: {host: nobody}}]}")),
		  "!outbound|8080||nobody.shop.svc.cluster.local=1");
	CHECK_STR(load(&f, VS("{route: [{destination: {host: catalog, port: {number: 9}}}]}")),
		  "!outbound|9||catalog.shop.svc.cluster.local=1");
	CHECK_STR(load(&f, VS("{route: [{destination: {host: other.else.svc.cluster.local}}]}")),
		  "!outbound|8080||other.else.svc.cluster.local=1");
}

TEST(first_match_is_first_and_what_follows_a_catch_all_is_dropped)
{
	FIXTURE;

	CHECK_STR(load(&f, VS("{match: [{uri: {prefix: /a}}, {uri: {exact: /b}}], route: [{destination: {host: db, "
			      "port: {number: 5432}}}]}, {route: [{destination: {host: catalog}}]}, {route: "
			      "[{destination: {host: nobody}}]}")),
		  "?2 outbound|5432||db.shop.svc.cluster.local=1[10.1.0.3:5432]\n" CATALOG(
			  "") "=1[10.1.0.1:8080,10.1.0.2:8080]");
}

TEST(matches_are_carried_over)
{
	const struct mesh_l7_match *m;
	FIXTURE;

	load(&f,
	     VS("{name: r, timeout: 1.5s, match: [{uri: {regex: '/x\\d+'}, method: {exact: GET}, authority: "
		"{prefix: cat}, ignoreUriCase: true, headers: {End-User: {exact: jason}}, withoutHeaders: {X-No: {}}, "
		"queryParams: {q: {exact: '1'}}, sourceLabels: {app: web}}], route: [{destination: {host: "
		"catalog}}]}"));
	m = &outbound_vhost(f.cfg, "shop|8080", "catalog")->routes[0].matches[0];
	CHECK_INT(m->uri->type, MESH_MATCH_REGEX);
	CHECK_INT(regexec(m->uri->regex, "/X12", 0, NULL, 0), 0);
	CHECK(regexec(m->uri->regex, "/x12/", 0, NULL, 0) != 0);
	CHECK_STR(m->method->value, "GET");
	CHECK_INT(m->authority->type, MESH_MATCH_PREFIX);
	CHECK_INT(m->header_count, 2);
	CHECK_STR(m->headers[0].name, "end-user");
	CHECK(!m->headers[0].invert);
	CHECK_STR(m->headers[1].name, "x-no");
	CHECK(m->headers[1].invert);
	CHECK_INT(m->query_count, 1);
	CHECK_STR(m->query[0].name, "q");
	CHECK_STR(mesh_labels_get(m->source_labels, "app"), "web");
	CHECK_INT(outbound_vhost(f.cfg, "shop|8080", "catalog")->routes[0].timeout_ns, 1500000000);
	CHECK(!outbound_vhost(f.cfg, "shop|8080", "catalog")->routes[0].simple);
	CHECK_STR(outbound_vhost(f.cfg, "shop|8080", "catalog")->routes[0].name, "r");
}

TEST(what_cannot_hold_in_a_table_is_left_out)
{
	FIXTURE;

	CHECK_STR(
		load(&f, VS("{match: [{port: 9}, {gateways: [shop/front]}, {sourceNamespace: else}], route: "
			    "[{destination: {host: nobody}}]}, {match: [{port: 8080, sourceNamespace: shop, gateways: "
			    "[mesh]}], route: [{destination: {host: catalog}}]}")),
		"?1 " CATALOG("") "=1[10.1.0.1:8080,10.1.0.2:8080]");
}

TEST(a_bad_expression_matches_nothing_and_is_said)
{
	FIXTURE;

	CHECK_STR(load(&f, VS("{match: [{uri: {regex: '(?P<a>x)'}}], route: [{destination: {host: nobody}}]}, {route: "
			      "[{destination: {host: catalog}}]}")),
		  CATALOG("") "=1[10.1.0.1:8080,10.1.0.2:8080]");
	CHECK_INT(f.warnings.list.count, 1);
	CHECK_STR(f.warnings.list.items[0].text, "regular expression \"(?P<a>x)\" cannot be used and matches nothing: "
						 "it has a flag or a named group");
	CHECK_STR(f.warnings.list.items[0].object, "VirtualService shop/catalog");
}

TEST(the_oldest_rule_has_the_host)
{
	FIXTURE;

	load(&f, VS("{route: [{destination: {host: catalog}}]}"));
	CHECK_STR(load(&f, "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: aaa, "
			   "creationTimestamp: '2026-01-02T00:00:00Z'}\nspec: {hosts: [catalog], http: [{route: "
			   "[{destination: {host: nobody}}]}]}\n"),
		  CATALOG("") "=1[10.1.0.1:8080,10.1.0.2:8080]");
	CHECK_STR(load(&f, "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: zzz, "
			   "creationTimestamp: '2025-01-02T00:00:00Z'}\nspec: {hosts: [catalog], http: [{route: "
			   "[{destination: {host: nobody}}]}]}\n"),
		  "!outbound|8080||nobody.shop.svc.cluster.local=1");
}

TEST(export_to_hides_rules)
{
	FIXTURE;

	CHECK_STR(load(&f, "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nspec: "
			   "{exportTo: [else], hosts: [catalog], http: [{route: [{destination: {host: nobody}}]}]}\n"),
		  CATALOG("") "=1[10.1.0.1:8080,10.1.0.2:8080]");
	CHECK(mesh_exported(NULL, 0, "a", "b"));
	CHECK(mesh_exported((const char *const[]){"."}, 1, "a", "a"));
	CHECK(!mesh_exported((const char *const[]){"."}, 1, "a", "b"));
	CHECK(mesh_exported((const char *const[]){"c", "*"}, 2, "a", "b"));
	CHECK(!mesh_exported((const char *const[]){"~"}, 1, "a", "a"));
}

TEST(a_clients_own_destination_rule_comes_first)
{
	static const char *const namespaces[] = {"shop", "else"};
	FIXTURE;

	mesh_snapshot_set_member(&f.snap, "else", true);
	yaml_load(&f.snap, f.slices,
		  "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: c, namespace: "
		  "else}\nspec: "
		  "{host: catalog.shop.svc.cluster.local, trafficPolicy: {loadBalancer: {simple: RANDOM}}}\n---\n"
		  "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r, namespace: "
		  "istio-system}\nspec: {host: '*.cluster.local', trafficPolicy: {loadBalancer: {simple: "
		  "LEAST_REQUEST}}}\n",
		  "x");
	compile_outbound(&f.snap, namespaces, 2, &f.states, &f.cfg, NULL);
	CHECK_INT(outbound_vhost(f.cfg, "else|8080", "catalog.shop")->routes[0].dests[0].cluster->lb, MESH_LB_RANDOM);
	CHECK_INT(outbound_vhost(f.cfg, "shop|8080", "catalog.shop")->routes[0].dests[0].cluster->lb,
		  MESH_LB_LEAST_REQUEST);
	CHECK_INT(yaml_load(&f.snap, f.slices, subsets, "shop"), 0);
	compile(&f);
	CHECK_INT(outbound_vhost(f.cfg, "shop|8080", "catalog.shop")->routes[0].dests[0].cluster->lb,
		  MESH_LB_ROUND_ROBIN);
}

TEST(hosts_that_only_rules_know_are_served)
{
	const struct mesh_l7_table *t;
	FIXTURE;

	load(&f, "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nspec: {hosts: "
		 "[shop.example.com, '*.example.org'], http: [{route: [{destination: {host: catalog, port: {number: "
		 "8080}}}]}]}\n");
	t = mesh_pmap_get_str(&f.cfg->outbound, "shop|80");
	CHECK(t);
	CHECK_STR(vhost_text(mesh_pmap_get_str(&t->exact, "shop.example.com")),
		  CATALOG("") "=1[10.1.0.1:8080,10.1.0.2:8080]");
	CHECK(mesh_pmap_get_str(&t->suffix, ".example.org"));
	CHECK_INT(t->fallback, MESH_L7_PASSTHROUGH);
}

TEST(states_outlive_configurations)
{
	const struct mesh_l7_cluster *before, *after;
	FIXTURE;

	/* Requests in flight are counted where balancing asks for them. */
	load(&f, "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: catalog}\nspec: {host: "
		 "catalog, trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}}\n");
	before = outbound_vhost(f.cfg, "shop|8080", "catalog")->routes[0].dests[0].cluster;
	atomic_store(&before->state->turn, 7);
	atomic_store(before->endpoints[1].active, 3);
	mesh_snapshot_set_workload(&f.snap, "shop", "c1", NULL);
	compile(&f);
	after = outbound_vhost(f.cfg, "shop|8080", "catalog")->routes[0].dests[0].cluster;
	CHECK_INT(after->endpoint_count, 1);
	CHECK_INT(atomic_load(&after->state->turn), 7);
	CHECK_INT(atomic_load(after->endpoints[0].active), 3);
	CHECK_INT(f.cfg->version, 2);
	compile(&f); /* its sweep drops what only the first configuration used */
	CHECK_INT(f.states.by_addr.count, 1);
}

static const struct mesh_l4_service *l4_of(const struct mesh_l4_image *image, const char *name)
{
	mesh_vec_each (s, &image->services)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

TEST(l4_tiers)
{
	mesh_auto(mesh_l4_image_free) struct mesh_l4_image image = {0};
	const struct mesh_l4_service *s;
	FIXTURE;

	compile_l4(&f.snap, &image, NULL);
	CHECK_INT(image.services.count, 5); /* catalog twice, db twice, other */
	for (size_t i = 1; i < image.services.count; i++)
		CHECK(memcmp(&image.services.items[i - 1].vip.ip, &image.services.items[i].vip.ip, 16) <= 0);
	CHECK_INT(l4_of(&image, "catalog.shop:8080")->tier, MESH_TIER_L7);
	s = l4_of(&image, "db.shop:5432");
	CHECK_INT(s->tier, MESH_TIER_L4);
	CHECK_INT(s->ip_proto, IPPROTO_TCP);
	CHECK_INT(s->dests.count, 1);
	CHECK_INT(s->dests.items[0].endpoint_count, 1);
	s = l4_of(&image, "db.shop:53");
	CHECK_INT(s->ip_proto, IPPROTO_UDP);
	CHECK_INT(s->dests.items[0].endpoint_count, 0);
	CHECK_INT(l4_of(&image, "other.else:80")->tier, MESH_TIER_L4); /* HTTP, but of no mesh */
}

TEST(l4_weights_of_a_service_balanced_by_connection)
{
	mesh_auto(mesh_l4_image_free) struct mesh_l4_image image = {0};
	const struct mesh_l4_service *s;
	FIXTURE;

	CHECK_INT(yaml_load(&f.snap, f.slices,
			    "apiVersion: v1\nkind: Service\nmetadata: {name: catalog, namespace: shop, annotations: "
			    "{sockmesh.io/balance: connection}}\nspec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], "
			    "ports: [{name: http, port: 8080}]}\n",
			    "shop"),
		  0);
	CHECK_INT(yaml_load(&f.snap, f.slices, subsets, "shop"), 0);
	load(&f, VS("{match: [{uri: {prefix: /x}}], route: [{destination: {host: nobody}}]}, {route: [{destination: "
		    "{host: catalog, subset: v1}, weight: 70}, {destination: {host: catalog, subset: v2}, weight: 30}, "
		    "{destination: {host: catalog, subset: nope}, weight: 0}]}"));
	mesh_errs_free(&f.warnings);
	compile_l4(&f.snap, &image, &f.warnings);
	s = l4_of(&image, "catalog.shop:8080");
	CHECK_INT(s->tier, MESH_TIER_L4);
	CHECK_INT(s->dests.count, 3);
	CHECK_INT(s->dests.items[0].weight, 70);
	CHECK_INT(s->dests.items[1].weight, 30);
	CHECK_INT(s->dests.items[1].endpoint_count, 1);
	CHECK_INT(s->dests.items[2].weight, 0);
	CHECK_INT(s->dests.items[2].endpoint_count, 0);
	CHECK_INT(f.warnings.list.count, 1);
	CHECK_STR(f.warnings.list.items[0].text, "the service is balanced by connection: a request's content is not "
						 "seen, this match never holds");
}

TEST(l4_weights_of_tcp_routes)
{
	mesh_auto(mesh_l4_image_free) struct mesh_l4_image image = {0};
	const struct mesh_l4_service *s;
	FIXTURE;

	CHECK_INT(
		yaml_load(&f.snap, f.slices,
			  "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: db}\nspec: "
			  "{hosts: [db], tcp: [{match: [{port: 9}], route: [{destination: {host: nobody}}]}, {match: "
			  "[{port: 5432}], route: [{destination: {host: db}, weight: 9}, {destination: {host: catalog, "
			  "port: {number: 8080}}, weight: 1}]}]}\n",
			  "shop"),
		0);
	compile_l4(&f.snap, &image, NULL);
	s = l4_of(&image, "db.shop:5432");
	CHECK_INT(s->dests.count, 2);
	CHECK_INT(s->dests.items[0].weight, 9);
	CHECK_INT(s->dests.items[0].endpoints[0].port, 5432);
	CHECK_INT(s->dests.items[1].weight, 1);
	CHECK_INT(s->dests.items[1].endpoint_count, 2);
}

TEST(a_pod_of_two_families_counts_once_and_an_address_has_its_own)
{
	mesh_auto(mesh_l4_image_free) struct mesh_l4_image image = {0};
	int v4 = 0, v6 = 0;
	FIXTURE;

	CHECK_INT(
		yaml_load(
			&f.snap, f.slices,
			"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: catalog-6, namespace: "
			"shop, labels: {kubernetes.io/service-name: catalog}}\naddressType: IPv6\nports: [{name: http, "
			"port: 8080}]\nendpoints: [{addresses: ['fd01::1'], conditions: {ready: true}, targetRef: "
			"{kind: Pod, name: c1}}]\n",
			"shop"),
		0);
	compile(&f);
	CHECK_STR(catalog(&f), CATALOG("") "=1[10.1.0.1:8080,10.1.0.2:8080]");
	CHECK_INT(yaml_load(&f.snap, f.slices,
			    "apiVersion: v1\nkind: Service\nmetadata: {name: catalog, namespace: shop, annotations: "
			    "{sockmesh.io/balance: connection}}\nspec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, "
			    "'fd00::1'], ports: [{name: http, port: 8080}]}\n",
			    "shop"),
		  0);
	compile_l4(&f.snap, &image, NULL);
	mesh_vec_each (s, &image.services) {
		if (strcmp(s->name, "catalog.shop:8080") != 0)
			continue;
		if (mesh_addr_is_v4(&s->vip))
			v4 = (int)s->dests.items[0].endpoint_count;
		else
			v6 = (int)s->dests.items[0].endpoint_count;
	}
	CHECK_INT(v4, 2);
	CHECK_INT(v6, 1);
}

TEST(slices_are_merged_and_what_leaves_is_gone)
{
	const struct mesh_endpoints *e;
	FIXTURE;

	e = mesh_map_get_str(&f.snap.endpoints, "shop/catalog/http");
	CHECK_INT(e->count, 2);
	/* The same address once more, in another slice and not ready: the ready one counts. */
	snap_endpoint(&f.snap, f.slices, "shop", "catalog", "http", "c3", "version", "v1", "10.1.0.1", 8080, false);
	e = mesh_map_get_str(&f.snap.endpoints, "shop/catalog/http");
	CHECK_INT(e->count, 2);
	CHECK(e->items[0].ready);
	mesh_slices_remove(f.slices, &f.snap, "shop", "catalog-c1");
	mesh_slices_remove(f.slices, &f.snap, "shop", "catalog-c3");
	e = mesh_map_get_str(&f.snap.endpoints, "shop/catalog/http");
	CHECK_INT(e->count, 1);
	mesh_slices_remove(f.slices, &f.snap, "shop", "catalog-c2");
	CHECK(!mesh_map_get_str(&f.snap.endpoints, "shop/catalog/http"));
}

TEST(hosts)
{
	struct mesh_arena a = {0};
	struct mesh_slice name, ns;

	CHECK_STR(mesh_host_resolve(&a, "Catalog", "shop"), "catalog.shop.svc.cluster.local");
	CHECK_STR(mesh_host_resolve(&a, "catalog.shop", "x"), "catalog.shop");
	CHECK_STR(mesh_host_resolve(&a, "*", "x"), "*");
	CHECK(mesh_host_service("a.b.svc.cluster.local", &name, &ns));
	CHECK(mesh_slice_eq(name, MESH_SLICE("a")) && mesh_slice_eq(ns, MESH_SLICE("b")));
	CHECK(!mesh_host_service("a.b.c.svc.cluster.local", &name, &ns));
	CHECK(!mesh_host_service("b.svc.cluster.local", &name, &ns));
	CHECK(!mesh_host_service(".b.svc.cluster.local", &name, &ns));
	CHECK(mesh_host_within("a.example.com", "*.example.com"));
	CHECK(mesh_host_within("*.a.example.com", "*.example.com"));
	CHECK(!mesh_host_within("*.example.com", "*.a.example.com"));
	CHECK(!mesh_host_within("example.com", "*.example.com"));
	CHECK(!mesh_host_within("*", "a"));
	CHECK(mesh_host_within("a", "*"));
	CHECK_STR(mesh_host_intersect("*", "a.b"), "a.b");
	CHECK_STR(mesh_host_intersect("*.b", "*"), "*.b");
	CHECK(!mesh_host_intersect("a.b", "c.b"));
	mesh_arena_free(&a);
}

TEST(regular_expressions)
{
	static const struct {
		const char *pattern, *yes, *no, *why;
	} rows[] = {
		{"a.c", "abc", "abcd", NULL},
		{"a|b", "b", "ab", NULL},
		{"^/v\\d+/.*$", "/v12/x", "/vx/x", NULL},
		{"(?:a|b)+?", "abab", "", NULL},
		{"[\\w.-]+", "a_b.c-d", "a b", NULL},
		{"(?i)abc", "ABC", "abd", NULL},
		{"[^/]+", "abc", "a/b", NULL},
		{"\\.\\*", ".*", "ab", NULL},
		{"[[:alpha:]]{2}", "ab", "a1", NULL},
		{"\\bx", NULL, NULL, "it has an escape that POSIX expressions do not have"},
		{"a++", NULL, NULL, "it has a possessive repetition"},
		{"[a", NULL, NULL, "it has a [ without its ]"},
		{"a\\", NULL, NULL, "it ends with a backslash"},
		{"[\\D]", NULL, NULL, "it has a negated class or anchor inside []"},
		{"(a", NULL, NULL, "Unmatched ( or \\("},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		char why[128] = "";
		regex_t regex;
		int r = mesh_regex_compile(rows[i].pattern, false, &regex, why, sizeof(why));

		if (rows[i].why) {
			CHECK_INT(r, -EINVAL);
			CHECK_STR(why, rows[i].why);
			continue;
		}
		CHECK_INT(r, 0);
		CHECK_INT(regexec(&regex, rows[i].yes, 0, NULL, 0), 0);
		CHECK(regexec(&regex, rows[i].no, 0, NULL, 0) != 0);
		regfree(&regex);
	}
}

TEST(many_services_compile_in_little_time)
{
	struct timespec a, b;
	long us;
	FIXTURE;

	for (int i = 0; i < 300; i++) {
		char text[1024];

		snprintf(text, sizeof(text),
			 "apiVersion: v1\nkind: Service\nmetadata: {name: s%d}\nspec: {clusterIP: 10.2.%d.%d, "
			 "clusterIPs: [10.2.%d.%d], ports: [{name: http, port: 80}]}\n---\napiVersion: "
			 "networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: s%d}\nspec: {hosts: [s%d], "
			 "http: "
			 "[{route: [{destination: {host: s%d}}]}]}\n",
			 i, i / 250, i % 250 + 1, i / 250, i % 250 + 1, i, i, i);
		CHECK_INT(yaml_load(&f.snap, f.slices, text, "shop"), 0);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	compile(&f);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	us = (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
	printf("  302 services, 300 rules: %ld us\n", us);
	CHECK(us < 200000); /* some 3 ms; the bound is for a loaded machine with sanitizers */
	CHECK(outbound_vhost(f.cfg, "shop|80", "s299.shop"));
}

TEST_MAIN()
