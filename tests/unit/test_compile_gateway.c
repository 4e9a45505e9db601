/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "mesh_yaml.h"

static const char front[] =
	"apiVersion: v1\nkind: Pod\nmetadata: {name: gw-1, namespace: istio-system, uid: u, labels: "
	"{app: istio-ingressgateway, istio: ingressgateway}}\nspec: {nodeName: n}\nstatus: {phase: "
	"Running, podIP: 10.1.0.9, podIPs: [{ip: 10.1.0.9}]}\n---\n"
	"apiVersion: v1\nkind: Service\nmetadata: {name: istio-ingressgateway, namespace: "
	"istio-system}\nspec: {clusterIP: 10.0.0.9, clusterIPs: [10.0.0.9], selector: {istio: "
	"ingressgateway}, ports: [{name: http2, port: 80, targetPort: 8080}, {name: https, port: 443, "
	"targetPort: 8443}]}\n---\n"
	"apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {clusterIP: "
	"10.0.0.1, clusterIPs: [10.0.0.1], ports: [{name: http, port: 8080}]}\n---\n"
	"apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: shop}\nspec: {clusterIP: "
	"10.0.0.2, clusterIPs: [10.0.0.2], ports: [{name: http, port: 8080}]}\n";

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

static struct fixture fixture_front(void)
{
	struct fixture f = {.slices = mesh_slices_new()};

	mesh_snapshot_set_member(&f.snap, "shop", true);
	yaml_load(&f.snap, f.slices, front, "default");
	return f;
}

#define FIXTURE mesh_auto(fixture_free) struct fixture f = fixture_front()

static int load(struct fixture *f, const char *yaml)
{
	const struct mesh_workload *self = mesh_snapshot_workload(&f->snap, "istio-system", "gw-1");
	struct mesh_gateway_pod pod = {.ns = "istio-system", .name = "gw-1", .labels = &self->labels};
	struct mesh_l7_config *old = f->cfg;

	if (yaml_load(&f->snap, f->slices, yaml, "shop") != 0)
		return -1;
	mesh_errs_free(&f->warnings);
	mesh_compile_gateway(&f->snap, &pod, &f->states, &f->cfg, &f->warnings);
	mesh_l7_unref(old);
	return 0;
}

static const struct mesh_l7_table *table(struct fixture *f, const char *port)
{
	return mesh_pmap_get_str(&f->cfg->gateway, port);
}

#define GATEWAY(name, hosts)                                                                                           \
	"---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: " name                               \
	"}\nspec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, "     \
	"hosts: [" hosts "]}]}\n"
#define RULE(name, hosts, gateways, http)                                                                              \
	"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " name                        \
	"}\nspec: {hosts: [" hosts "], gateways: [" gateways "], http: [" http "]}\n"
#define TO(host) "route: [{destination: {host: " host ", port: {number: 8080}}}]"
#define WEB      "outbound|8080||web.shop.svc.cluster.local=1[]"
#define API      "outbound|8080||api.shop.svc.cluster.local=1[]"

TEST(the_tutorials_gateway)
{
	const struct mesh_l7_table *t;
	FIXTURE;

	CHECK_INT(load(&f, GATEWAY("ingress-gateway", "'*'")
				   RULE("ingress-gateway", "'*'", "ingress-gateway",
					"{match: [{uri: {exact: /}}], route: [{destination: {host: web, port: {number: "
					"8080}}}]}")),
		  0);
	CHECK_INT(f.cfg->gateway.count, 1);
	t = table(&f, "8080");
	CHECK(t);
	CHECK_INT(t->fallback, MESH_L7_NOT_FOUND);
	CHECK_STR(vhost_text(t->any), "?1 " WEB);
	CHECK_STR(t->any->routes[0].matches[0].uri->value, "/");
	CHECK_INT(f.cfg->outbound.count, 0);
}

TEST(nothing_is_listened_on_for_others)
{
	FIXTURE;

	CHECK_INT(load(&f, "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: {selector: "
			   "{istio: egressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: "
			   "['*']}]}\n"),
		  0);
	CHECK_INT(f.cfg->gateway.count, 0);
}

TEST(a_gateway_of_a_namespace_outside_the_mesh_is_nothing)
{
	FIXTURE;

	CHECK_INT(yaml_load(&f.snap, f.slices, GATEWAY("g", "'*'"), "elsewhere"), 0);
	CHECK_INT(load(&f, ""), 0);
	CHECK_INT(f.cfg->gateway.count, 0);
}

TEST(hosts_meet)
{
	const struct mesh_l7_table *t;
	FIXTURE;

	CHECK_INT(load(&f, GATEWAY("g", "'*.example.com', 'shop/only.org', 'elsewhere/no.org', './dot.org'")
				   RULE("a", "a.example.com, b.other.com, only.org, no.org, dot.org", "g",
					"{" TO("web") "}") RULE("b", "'*'", "shop/g", "{" TO("api") "}")),
		  0);
	t = table(&f, "8080");
	CHECK_STR(vhost_text(mesh_pmap_get_str(&t->exact, "a.example.com")), WEB);
	CHECK_STR(vhost_text(mesh_pmap_get_str(&t->exact, "a.example.com:80")), WEB);
	CHECK_STR(vhost_text(mesh_pmap_get_str(&t->exact, "a.example.com:8080")), WEB);
	CHECK(!mesh_pmap_get_str(&t->exact, "b.other.com"));
	CHECK(!mesh_pmap_get_str(&t->exact, "no.org"));
	CHECK_STR(vhost_text(mesh_pmap_get_str(&t->exact, "only.org")), WEB "\n" API);
	CHECK_STR(vhost_text(mesh_pmap_get_str(&t->exact, "dot.org")), WEB "\n" API);
	CHECK_STR(vhost_text(mesh_pmap_get_str(&t->suffix, ".example.com")), API);
	CHECK(!t->any);
}

TEST(rules_of_one_host_are_merged_catch_alls_last)
{
	const struct mesh_l7_table *t;
	FIXTURE;

	CHECK_INT(load(&f, GATEWAY("g", "'*'") RULE("a", "h.com", "g", "{match: [{uri: {prefix: /}}], " TO("web") "}")
				   RULE("b", "h.com", "g", "{match: [{uri: {prefix: /api}}], " TO("api") "}")),
		  0);
	t = table(&f, "8080");
	CHECK_STR(vhost_text(mesh_pmap_get_str(&t->exact, "h.com")), "?1 " API "\n?1 " WEB);
}

TEST(a_rule_bound_to_another_gateway_is_left_out)
{
	FIXTURE;

	CHECK_INT(load(&f, GATEWAY("g", "'*'") RULE("a", "h.com", "other", "{" TO("web") "}")
				   RULE("b", "i.com", "mesh", "{" TO("web") "}")),
		  0);
	CHECK_INT(table(&f, "8080")->exact.count, 0);
}

TEST(a_port_of_no_service_is_the_pods)
{
	FIXTURE;

	CHECK_INT(load(&f,
		       "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: {selector: "
		       "{istio: ingressgateway}, servers: [{port: {number: 9090, name: http, protocol: HTTP2}, hosts: "
		       "['*']}]}\n"),
		  0);
	CHECK(table(&f, "9090"));
}

TEST(tls_servers_are_said_not_to_work)
{
	FIXTURE;

	CHECK_INT(load(&f,
		       "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: {selector: "
		       "{istio: ingressgateway}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, tls: "
		       "{mode: SIMPLE, credentialName: c}, hosts: ['*']}]}\n"),
		  0);
	CHECK_INT(f.cfg->gateway.count, 0);
	CHECK_INT(f.warnings.list.count, 1);
	CHECK_STR(f.warnings.list.items[0].text,
		  "port 443: only HTTP servers are supported yet: it is not listened on");
	CHECK_STR(f.warnings.list.items[0].object, "Gateway shop/g");
}

TEST_MAIN()
