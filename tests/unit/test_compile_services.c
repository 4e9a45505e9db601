/* SPDX-License-Identifier: Apache-2.0 */
/* Kubernetes' services as the kernel gets them: what is reached, from where, and among which endpoints. */
#include "test.h"

#include "mesh/reasons.h"
#include "compile_whole.h"
#include "mesh_yaml.h"

struct fixture {
	struct mesh_snapshot snap;
	struct mesh_slices *slices;
	struct mesh_errs warnings;
	struct mesh_buf text;
};

static void fixture_free(struct fixture *f)
{
	mesh_slices_free(f->slices);
	mesh_snapshot_free(&f->snap);
	mesh_errs_free(&f->warnings);
	mesh_buf_free(&f->text);
}

#define FIXTURE mesh_auto(fixture_free) struct fixture f = fixture_new()

/* Three nodes in two zones; this is n1 of zone a. */
static struct fixture fixture_new(void)
{
	static const char nodes[] =
		"apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {topology.kubernetes.io/zone: a}}\nstatus: "
		"{addresses: [{type: InternalIP, address: 10.9.0.1}, {type: Hostname, address: n1}, {type: ExternalIP, "
		"address: 'fd09::1'}]}\n---\n"
		"apiVersion: v1\nkind: Node\nmetadata: {name: n2, labels: {topology.kubernetes.io/zone: a}}\nstatus: "
		"{addresses: [{type: InternalIP, address: 10.9.0.2}]}\n---\n"
		"apiVersion: v1\nkind: Node\nmetadata: {name: n3, labels: {topology.kubernetes.io/zone: b}}\nstatus: "
		"{addresses: [{type: InternalIP, address: 10.9.0.3}]}\n";
	struct fixture f = {.slices = mesh_slices_new(), .snap.node = "n1"};

	mesh_snapshot_set_member(&f.snap, "shop", true);
	if (yaml_load(&f.snap, f.slices, nodes, "") != 0)
		printf("  bad nodes\n");
	return f;
}

/* An entry a line: "[node ]ADDRESS/PROTOCOL TIER[ SECONDSs][ WEIGHT:ENDPOINTS]...". */
static void entry_text(const struct mesh_l4_service *s, struct mesh_buf *out)
{
	static const char *const kinds[] = {"", "node ", "any "};
	static const char *const tiers[] = {"off", "l4", "l7", "refuse"};
	char addr[MESH_ADDR_TEXT];

	mesh_buf_printf(out, "%s%s/%s %s", kinds[s->kind], mesh_addr_text(&s->vip, addr),
			s->ip_proto == IPPROTO_UDP ? "udp" : "tcp", tiers[s->tier]);
	if (s->tier == MESH_TIER_REFUSE)
		mesh_buf_printf(out, " %u", s->refuse_reason);
	if (s->affinity_s)
		mesh_buf_printf(out, " %us", s->affinity_s);
	mesh_vec_each (d, &s->dests) {
		if (s->tier == MESH_TIER_L4)
			mesh_buf_printf(out, " %u:", d->weight);
		for (size_t i = 0; i < d->endpoint_count; i++)
			mesh_buf_printf(out, "%s%s", i ? "," : "", mesh_addr_text(&d->endpoints[i], addr));
	}
	mesh_buf_char(out, '\n');
}

/* Adds yaml and gives all entries as text. */
static const char *entries(struct fixture *f, const char *yaml)
{
	struct mesh_l4_image image = {0};

	if (yaml && yaml_load(&f->snap, f->slices, yaml, "shop") != 0)
		return "bad yaml";
	mesh_errs_free(&f->warnings);
	compile_l4(&f->snap, &image, &f->warnings);
	mesh_buf_clear(&f->text);
	mesh_vec_each (s, &image.services)
		entry_text(s, &f->text);
	mesh_l4_image_free(&image);
	return f->text.len ? f->text.data : "";
}

#define SERVICE(name, ip, more, ports)                                                                                 \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: " name "}\nspec: {clusterIP: " ip ", clusterIPs: [" ip   \
	"], " more "ports: [" ports "]}\n"
#define SLICE(name, service, ports, endpoints)                                                                         \
	"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " name                            \
	", labels: {kubernetes.io/service-name: " service "}}\naddressType: IPv4\nports: [" ports                      \
	"]\nendpoints: [" endpoints "]\n"
#define SQL      "{name: sql, port: 5432}"
#define EP(a, n) "{addresses: [" a "], nodeName: " n "}"
#define THREE    EP("10.1.1.1", "n1") ", " EP("10.1.2.1", "n2") ", " EP("10.1.3.1", "n3")

TEST(several_slices_ports_and_protocols)
{
	FIXTURE;

	CHECK_STR(entries(&f,
			  SERVICE("dns", "10.0.0.10", "",
				  "{name: dns, port: 53, protocol: UDP, targetPort: dns}, {name: dns-tcp, port: 53, "
				  "targetPort: dns-tcp}, {name: sctp, port: 53, protocol: SCTP}, {name: metrics, "
				  "port: 9153}") SLICE("dns-1", "dns",
						       "{name: dns, port: 5353, protocol: UDP}, {name: dns-tcp, port: "
						       "5354}, {name: sctp, "
						       "port: 5355, protocol: SCTP}",
						       EP("10.1.2.1", "n2"))
				  SLICE("dns-2", "dns",
					"{name: dns, port: 1053, protocol: UDP}, {name: dns-tcp, port: 1054}",
					EP("10.1.1.1", "n1"))),
		  "10.0.0.10:53/tcp l4 1:10.1.1.1:1054,10.1.2.1:5354\n"
		  "10.0.0.10:53/udp l4 1:10.1.1.1:1053,10.1.2.1:5353\n"
		  "10.0.0.10:9153/tcp l4 1:\n");
}

TEST(node_ports_and_addresses_from_outside)
{
	FIXTURE;

	CHECK_STR(
		entries(&f,
			SERVICE("db", "10.0.0.1",
				"type: LoadBalancer, externalTrafficPolicy: Local, externalIPs: [192.0.2.1], "
				"sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: "
				"60}}, ",
				"{name: sql, port: 5432, nodePort: 30432}") "status: {loadBalancer: {ingress: "
									    "[{ip: 192.0.2.2}, {ip: 192.0.2.3, "
									    "ipMode: Proxy}, {hostname: lb}]}}\n" SLICE(
										    "db-1", "db", SQL,
										    EP("10.1.2.1", "n2"))),
		"10.0.0.1:5432/tcp l4 60s 1:10.1.2.1:5432\n"
		"192.0.2.1:5432/tcp l4 60s 1:10.1.2.1:5432\n"
		"192.0.2.2:5432/tcp l4 60s 1:10.1.2.1:5432\n"
		"node 0.0.0.0:30432/tcp l4 60s 1:10.1.2.1:5432\n");
}

TEST(node_addresses_are_there_for_node_ports_alone)
{
	mesh_auto(mesh_l4_image_free) struct mesh_l4_image without = {0}, with = {0};
	FIXTURE;

	entries(&f, SERVICE("db", "10.0.0.1", "", SQL));
	compile_l4(&f.snap, &without, NULL);
	CHECK_INT(without.node_ips.count, 0);
	entries(&f, SERVICE("db", "10.0.0.1", "type: NodePort, ", "{name: sql, port: 5432, nodePort: 30432}"));
	compile_l4(&f.snap, &with, NULL);
	CHECK_INT(with.node_ips.count, 4);
}

/* HTTP of a member, but an address from outside: Kubernetes' own balancing. */
TEST(http_from_outside_is_balanced_by_connection)
{
	FIXTURE;

	CHECK_STR(entries(&f, SERVICE("web", "10.0.0.1", "externalIPs: [192.0.2.1], ",
				      "{name: http, port: 80, nodePort: 30080}")
				      SLICE("web-1", "web", "{name: http, port: 8080}", THREE)),
		  "10.0.0.1:80/tcp l7\n"
		  "192.0.2.1:80/tcp l4 1:10.1.1.1:8080,10.1.2.1:8080,10.1.3.1:8080\n"
		  "node 0.0.0.0:30080/tcp l4 1:10.1.1.1:8080,10.1.2.1:8080,10.1.3.1:8080\n");
}

TEST(source_ranges_are_left_to_the_node)
{
	FIXTURE;

	CHECK_STR(entries(&f, SERVICE("db", "10.0.0.1", "type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8], ",
				      SQL) "status: {loadBalancer: {ingress: [{ip: 192.0.2.2}]}}\n"),
		  "10.0.0.1:5432/tcp l4 1:\n");
	CHECK_INT(f.warnings.list.count, 1);
	CHECK_STR(f.warnings.list.items[0].object, "Service shop/db");
	CHECK_STR(f.warnings.list.items[0].path, "spec.loadBalancerSourceRanges");
}

static enum mesh_l4_drain drain_with(const char *annotations, size_t *warnings)
{
	FIXTURE;
	mesh_auto_free char *yaml = mesh_xasprintf("apiVersion: v1\nkind: Service\nmetadata: {name: db%s}\nspec: "
						   "{clusterIP: 10.0.0.1, ports: [{name: sql, port: 5432}]}\n",
						   annotations);
	struct mesh_l4_image image = {0};
	enum mesh_l4_drain drain;

	if (yaml_load(&f.snap, f.slices, yaml, "shop") != 0)
		printf("  bad yaml\n");
	mesh_errs_free(&f.warnings);
	compile_l4(&f.snap, &image, &f.warnings);
	drain = image.services.count == 1 ? image.services.items[0].drain : MESH_L4_DRAIN_NONE;
	*warnings = f.warnings.list.count;
	if (f.warnings.list.count &&
	    strcmp(f.warnings.list.items[0].text,
		   "the annotation sockmesh.io/drain is neither \"keep\" nor \"end\": it has no effect") != 0)
		*warnings = 99;
	mesh_l4_image_free(&image);
	return drain;
}

TEST(what_becomes_of_connections_is_the_services_word)
{
	size_t warnings;

	CHECK_INT(drain_with("", &warnings), MESH_L4_DRAIN_DEFAULT);
	CHECK_INT(warnings, 0);
	CHECK_INT(drain_with(", annotations: {sockmesh.io/drain: keep}", &warnings), MESH_L4_DRAIN_KEEP);
	CHECK_INT(warnings, 0);
	CHECK_INT(drain_with(", annotations: {sockmesh.io/drain: end}", &warnings), MESH_L4_DRAIN_END);
	CHECK_INT(warnings, 0);
	CHECK_INT(drain_with(", annotations: {sockmesh.io/drain: soon}", &warnings), MESH_L4_DRAIN_DEFAULT);
	CHECK_INT(warnings, 1);
}

TEST(affinity_has_kubernetes_default)
{
	FIXTURE;

	CHECK_STR(entries(&f, SERVICE("db", "10.0.0.1", "sessionAffinity: ClientIP, ", SQL)),
		  "10.0.0.1:5432/tcp l4 10800s 1:\n");
}

TEST(internal_traffic_policy_local)
{
	FIXTURE;

	CHECK_STR(entries(&f, SERVICE("db", "10.0.0.1", "type: NodePort, internalTrafficPolicy: Local, ",
				      "{name: sql, port: 5432, nodePort: 30432}") SLICE("db-1", "db", SQL, THREE)),
		  "10.0.0.1:5432/tcp l4 1:10.1.1.1:5432\n"
		  "node 0.0.0.0:30432/tcp l4 1:10.1.1.1:5432,10.1.2.1:5432,10.1.3.1:5432\n");
	f.snap.node = "n4";
	CHECK_STR(entries(&f, NULL), "10.0.0.1:5432/tcp refuse 8\n"
				     "node 0.0.0.0:30432/tcp l4 1:10.1.1.1:5432,10.1.2.1:5432,10.1.3.1:5432\n");
}

#define HINT(zone)      ", hints: {forZones: [{name: " zone "}]}}"
#define EPZ(a, n, zone) "{addresses: [" a "], nodeName: " n HINT(zone)

TEST(hints_for_zones)
{
	FIXTURE;

	CHECK_STR(entries(&f, SERVICE("db", "10.0.0.1", "", SQL)
				      SLICE("db-1", "db", SQL,
					    EPZ("10.1.1.1", "n1", "a") ", " EPZ("10.1.2.1", "n2",
										"a") ", " EPZ("10.1.3.1", "n3", "b"))),
		  "10.0.0.1:5432/tcp l4 1:10.1.1.1:5432,10.1.2.1:5432\n");
	f.snap.node = "n3";
	CHECK_STR(entries(&f, NULL), "10.0.0.1:5432/tcp l4 1:10.1.3.1:5432\n");
	/* A node without a zone, or that nobody knows: all. */
	f.snap.node = "n4";
	CHECK_STR(entries(&f, NULL), "10.0.0.1:5432/tcp l4 1:10.1.1.1:5432,10.1.2.1:5432,10.1.3.1:5432\n");
	/* One endpoint without a hint: all. */
	f.snap.node = "n1";
	CHECK_STR(entries(&f, SLICE("db-2", "db", SQL, EP("10.1.3.2", "n3"))),
		  "10.0.0.1:5432/tcp l4 1:10.1.1.1:5432,10.1.2.1:5432,10.1.3.1:5432,10.1.3.2:5432\n");
	/* Unless that one is not ready: only ready ones are asked. */
	CHECK_STR(entries(&f, SLICE("db-2", "db", SQL,
				    "{addresses: [10.1.3.2], nodeName: n3, conditions: {ready: false}}")),
		  "10.0.0.1:5432/tcp l4 1:10.1.1.1:5432,10.1.2.1:5432\n");
}

TEST(no_hint_is_for_this_zone)
{
	FIXTURE;

	CHECK_STR(entries(&f, SERVICE("db", "10.0.0.1", "", SQL) SLICE(
				      "db-1", "db", SQL, EPZ("10.1.2.1", "n2", "b") ", " EPZ("10.1.3.1", "n3", "c"))),
		  "10.0.0.1:5432/tcp l4 1:10.1.2.1:5432,10.1.3.1:5432\n");
}

TEST(hints_for_nodes_come_first)
{
	FIXTURE;

	CHECK_STR(entries(&f,
			  SERVICE("db", "10.0.0.1", "", SQL) SLICE(
				  "db-1", "db", SQL,
				  "{addresses: [10.1.1.1], nodeName: n1, hints: {forZones: [{name: a}], forNodes: "
				  "[{name: "
				  "n1}]}}, {addresses: [10.1.2.1], nodeName: n2, hints: {forZones: [{name: a}, {name: "
				  "b}], forNodes: [{name: n2}, {name: n3}]}}")),
		  "10.0.0.1:5432/tcp l4 1:10.1.1.1:5432\n");
	f.snap.node = "n3";
	CHECK_STR(entries(&f, NULL), "10.0.0.1:5432/tcp l4 1:10.1.2.1:5432\n");
}

#define STATE(a, n, ready, serving, terminating)                                                                       \
	"{addresses: [" a "], nodeName: " n ", conditions: {ready: " ready ", serving: " serving                       \
	", terminating: " terminating "}}"

TEST(ending_endpoints_serve_where_none_is_ready)
{
	FIXTURE;

	/* One is ready: it alone. */
	CHECK_STR(entries(&f, SERVICE("db", "10.0.0.1", "", SQL)
				      SLICE("db-1", "db", SQL,
					    STATE("10.1.1.1", "n1", "false", "true", "true") ", " STATE(
						    "10.1.2.1", "n2", "false", "false",
						    "true") ", " STATE("10.1.3.1", "n3", "true", "true", "false"))),
		  "10.0.0.1:5432/tcp l4 1:10.1.3.1:5432\n");
	/* None is: those that serve, not those that do not, nor one that is not ready but does not end. */
	CHECK_STR(entries(&f, SLICE("db-1", "db", SQL,
				    STATE("10.1.1.1", "n1", "false", "true", "true") ", " STATE(
					    "10.1.2.1", "n2", "false", "false",
					    "true") ", " STATE("10.1.3.1", "n3", "false", "false", "false"))),
		  "10.0.0.1:5432/tcp l4 1:10.1.1.1:5432\n");
	/* Local: of this node's. */
	CHECK_STR(entries(&f, SERVICE("db", "10.0.0.1", "internalTrafficPolicy: Local, ", SQL)
				      SLICE("db-1", "db", SQL,
					    STATE("10.1.1.1", "n1", "false", "true",
						  "true") ", " STATE("10.1.3.1", "n3", "true", "true", "false"))),
		  "10.0.0.1:5432/tcp l4 1:10.1.1.1:5432\n");
}

/* A pod that its slice still calls ready; {} is no condition: ready. */
static const char *with_pod(struct fixture *f, const char *meta, const char *ready, const char *more)
{
	mesh_auto_free char *yaml = mesh_xasprintf(
		"apiVersion: v1\nkind: Pod\nmetadata: {name: d1, uid: u%s}\nspec: {nodeName: n1}\nstatus: "
		"{phase: Running, podIP: 10.1.1.1, conditions: [{type: Ready, status: '%s'}]}\n"
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {clusterIP: 10.0.0.1, "
		"clusterIPs: [10.0.0.1], %sports: [" SQL "]}\n" SLICE(
			"db-1", "db", SQL, "{addresses: [10.1.1.1], nodeName: n1, targetRef: {kind: Pod, name: d1}}"),
		meta, ready, more);

	return entries(f, yaml);
}

TEST(a_pods_own_state_is_news)
{
	static const char gone[] = ", deletionTimestamp: '2026-01-01T00:00:00Z'";
	FIXTURE;

	CHECK_STR(with_pod(&f, "", "True", ""), "10.0.0.1:5432/tcp l4 1:10.1.1.1:5432\n");
	CHECK_STR(with_pod(&f, "", "False", ""), "10.0.0.1:5432/tcp l4 1:\n");
	CHECK_STR(with_pod(&f, "", "False", "publishNotReadyAddresses: true, "),
		  "10.0.0.1:5432/tcp l4 1:10.1.1.1:5432\n");
	/* It ends and serves: the only one is better than none. */
	CHECK_STR(with_pod(&f, gone, "True", ""), "10.0.0.1:5432/tcp l4 1:10.1.1.1:5432\n");
	CHECK_STR(with_pod(&f, gone, "False", ""), "10.0.0.1:5432/tcp l4 1:\n");
	CHECK_STR(entries(&f, SLICE("db-2", "db", SQL, EP("10.1.2.1", "n2"))),
		  "10.0.0.1:5432/tcp l4 1:10.1.2.1:5432\n");
}

TEST(without_selector_and_dual_stack)
{
	FIXTURE;

	CHECK_STR(entries(&f, "apiVersion: v1\nkind: Service\nmetadata: {name: ext}\nspec: {clusterIPs: [10.0.0.1, "
			      "'fd00::1'], externalIPs: ['fd77::1'], ports: [{port: 80, nodePort: 30080}]}\n" SLICE(
				      "ext-1", "ext", "{port: 8080}",
				      "{addresses: [192.0.2.7]}") "---\napiVersion: discovery.k8s.io/v1\nkind: "
								  "EndpointSlice\nmetadata: {name: ext-6, labels: "
								  "{kubernetes.io/service-name: ext}}\naddressType: "
								  "IPv6\nports: [{port: 8081}]\nendpoints: "
								  "[{addresses: ['fd01::1']}]\n"),
		  "10.0.0.1:80/tcp l4 1:192.0.2.7:8080\n"
		  "[fd00::1]:80/tcp l4 1:[fd01::1]:8081\n"
		  "[fd77::1]:80/tcp l4 1:[fd01::1]:8081\n"
		  "node [::]:30080/tcp l4 1:[fd01::1]:8081\n"
		  "node 0.0.0.0:30080/tcp l4 1:192.0.2.7:8080\n");
}

TEST(external_names_and_headless_services_have_no_address)
{
	FIXTURE;

	CHECK_STR(entries(&f, "apiVersion: v1\nkind: Service\nmetadata: {name: out}\nspec: {type: ExternalName, "
			      "externalName: example.com, externalIPs: [192.0.2.1], ports: [{name: http, port: "
			      "80}]}\n" SERVICE("web", "None", "", "{name: http, port: 80}")
				      SLICE("web-1", "web", "{name: http, port: 8080}", THREE)),
		  "");
}

/* With a rule for its host, connections to a headless Service's endpoints are routed by request. */
TEST(headless_with_a_rule)
{
	FIXTURE;
	static const char *const shop[] = {"shop"};
	struct mesh_l7_states states = {0};
	struct mesh_l7_config *cfg;
	const struct mesh_l7_vhost *v;
	const struct mesh_l7_table *t;

	CHECK_STR(entries(&f, SERVICE("web", "None", "", "{name: http, port: 80}") SLICE(
				      "web-1", "web", "{name: http, port: 8080}",
				      EP("10.1.1.1",
					 "n1")) "---\napiVersion: networking.istio.io/v1\nkind: "
						"VirtualService\nmetadata: {name: web}\nspec: "
						"{hosts: [web], http: [{route: [{destination: {host: web}}]}]}\n"),
		  "10.1.1.1:8080/tcp l7\n");
	compile_outbound(&f.snap, shop, 1, &states, &cfg, NULL);
	v = outbound_vhost(cfg, "shop|8080", "web:8080");
	CHECK(v && v == outbound_vhost(cfg, "shop|80", "web"));
	CHECK(v->routes[0].dests[0].cluster->prefer_original);
	t = mesh_pmap_get_str(&cfg->outbound, "shop|8080");
	CHECK(mesh_pmap_get_str(&t->suffix, ".web.shop.svc.cluster.local") == v);
	mesh_l7_unref(cfg);
	mesh_l7_states_free(&states);
}

/* Affinity in the HTTP tier, unless a rule says how to balance; ExternalName passes unless a rule names it. */
TEST(http_tier)
{
	static const char *const shop[] = {"shop"};
	struct mesh_l7_states states = {0};
	struct mesh_l7_config *cfg;
	FIXTURE;

	CHECK_STR(
		entries(&f,
			SERVICE("a", "10.0.0.1", "sessionAffinity: ClientIP, ", "{name: http, port: 80}") SERVICE(
				"b", "10.0.0.2", "sessionAffinity: ClientIP, ",
				"{name: http, port: 80}") "---\napiVersion: networking.istio.io/v1\nkind: "
							  "DestinationRule\nmetadata: {name: b}\nspec: "
							  "{host: b, trafficPolicy: {loadBalancer: {simple: RANDOM}}}\n"
							  "---\napiVersion: v1\nkind: Service\nmetadata: {name: "
							  "out}\nspec: {type: ExternalName, "
							  "externalName: example.com, ports: [{name: http, port: "
							  "80}]}\n"
							  "---\napiVersion: networking.istio.io/v1\nkind: "
							  "VirtualService\nmetadata: {name: c}\nspec: "
							  "{hosts: [c], http: [{route: [{destination: {host: "
							  "out}}]}]}\n"),
		"10.0.0.1:80/tcp l7\n10.0.0.2:80/tcp l7\n");
	mesh_errs_free(&f.warnings);
	compile_outbound(&f.snap, shop, 1, &states, &cfg, &f.warnings);
	CHECK(outbound_vhost(cfg, "shop|80", "a")->routes[0].dests[0].cluster->by_client);
	CHECK(!outbound_vhost(cfg, "shop|80", "b")->routes[0].dests[0].cluster->by_client);
	CHECK(!outbound_vhost(cfg, "shop|80", "out"));
	CHECK(f.warnings.list.count >= 1);
	CHECK_STR(f.warnings.list.items[0].text,
		  "\"out\" is a Service of type ExternalName, which is DNS' business: requests to it get 503; a "
		  "ServiceEntry for \"example.com\" can be routed to");
	mesh_l7_unref(cfg);
	mesh_l7_states_free(&states);
}

#define ENTRY(name, hosts, more, ports)                                                                                \
	"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " name                          \
	"}\nspec: {hosts: [" hosts "], " more ", ports: [" ports "]}\n"
#define P_HTTP "{number: 80, name: http, protocol: HTTP}"
#define P_SQL  "{number: 5432, name: sql, protocol: TCP}"

TEST(entry_by_address)
{
	FIXTURE;

	CHECK_STR(entries(&f, ENTRY("db", "db.example.com",
				    "addresses: [192.0.2.1, 'fd77::1'], resolution: STATIC, endpoints: [{address: "
				    "203.0.113.1}, {address: 203.0.113.2, ports: {sql: 6432}}, {address: 'fd78::1'}]",
				    P_SQL)),
		  "192.0.2.1:5432/tcp l4 1:203.0.113.1:5432,203.0.113.2:6432\n"
		  "[fd77::1]:5432/tcp l4 1:[fd78::1]:5432\n");
	CHECK_INT(f.warnings.list.count, 0);
	/* By request at its address; a target port. */
	CHECK_STR(entries(&f, ENTRY("db", "db.example.com",
				    "addresses: [192.0.2.1], resolution: STATIC, endpoints: [{address: 203.0.113.1}]",
				    P_HTTP ", {number: 443, name: tls, protocol: TLS, targetPort: 8443}")),
		  "192.0.2.1:80/tcp l7\n"
		  "192.0.2.1:443/tcp l4 1:203.0.113.1:8443\n");
}

TEST(entry_at_every_address)
{
	FIXTURE;

	CHECK_STR(entries(&f, ENTRY("a", "a.example.com", "resolution: STATIC, endpoints: [{address: 203.0.113.1}]",
				    P_SQL ", " P_HTTP ", {number: 443, name: tls, protocol: TLS}")),
		  "any [::]:80/tcp l7\n"
		  "any 0.0.0.0:80/tcp l7\n"
		  "any 0.0.0.0:5432/tcp l4 1:203.0.113.1:5432\n");
	/* What has no list of endpoints passes, unless requests are told apart. */
	CHECK_STR(entries(&f, ENTRY("a", "a.example.com", "addresses: [192.0.2.0/24], resolution: NONE", P_SQL)), "");
	CHECK_STR(entries(&f, ENTRY("a", "a.example.com", "addresses: [192.0.2.0/24], resolution: NONE", P_HTTP)),
		  "any [::]:80/tcp l7\nany 0.0.0.0:80/tcp l7\n");
	CHECK_STR(entries(&f, ENTRY("a", "a.example.com", "resolution: DNS", P_SQL ", " P_HTTP)),
		  "any [::]:80/tcp l7\nany 0.0.0.0:80/tcp l7\n");
	/* Not of the mesh. */
	mesh_snapshot_set_member(&f.snap, "shop", false);
	CHECK_STR(entries(&f, NULL), "");
}

TEST(entry_warnings)
{
	FIXTURE;

	CHECK_STR(entries(&f, ENTRY("a", "a.example.com",
				    "addresses: [192.0.2.0/24], resolution: STATIC, endpoints: [{address: "
				    "203.0.113.1}, {address: 'unix:///x'}]",
				    P_SQL)),
		  "");
	CHECK_INT(f.warnings.list.count, 2);
	CHECK_STR(f.warnings.list.items[0].text, "of ports that are not HTTP, subnets are not routed yet: they pass");
	CHECK_STR(f.warnings.list.items[1].text, "only addresses are supported yet: these endpoints are left out");
	entries(&f, ENTRY("a", "a.example.com", "resolution: DNS, endpoints: [{address: b.example.com}]", P_HTTP));
	CHECK_INT(f.warnings.list.count, 1);
	CHECK_STR(f.warnings.list.items[0].path, "spec.endpoints.address");
	entries(&f, ENTRY("a", "a.example.com", "resolution: STATIC, workloadSelector: {labels: {app: a}}", P_HTTP));
	CHECK_INT(f.warnings.list.count, 1);
	CHECK_STR(f.warnings.list.items[0].text, "not supported yet: the entry has no effect");
	CHECK_STR(f.warnings.list.items[0].object, "ServiceEntry shop/a");
}

TEST(entry_by_host)
{
	static const char *const namespaces[] = {"shop", "more"};
	struct mesh_l7_states states = {0};
	struct mesh_l7_config *cfg;
	const struct mesh_l7_vhost *v;
	FIXTURE;

	mesh_snapshot_set_member(&f.snap, "more", true);
	entries(&f,
		ENTRY("a", "A.example.com, b.example.com",
		      "addresses: [192.0.2.1], exportTo: ['.'], resolution: STATIC, "
		      "endpoints: [{address: 203.0.113.1, labels: {v: one}}, {address: 203.0.113.2, labels: {v: two}}]",
		      P_HTTP)
			ENTRY("none", "none.example.com, plain.example.com, '*.wild.example.com'", "resolution: NONE",
			      P_HTTP) "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: "
				      "{name: b}\nspec: {host: "
				      "b.example.com, subsets: [{name: two, labels: {v: two}}]}\n"
				      "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: "
				      "b}\nspec: {hosts: "
				      "[b.example.com, none.example.com, '*.wild.example.com'], http: [{match: [{uri: "
				      "{prefix: /two}}], route: "
				      "[{destination: {host: b.example.com, subset: two}}]}, {route: [{destination: "
				      "{host: none.example.com}}]}]}"
				      "\n");
	compile_outbound(&f.snap, namespaces, 2, &states, &cfg, NULL);
	CHECK_STR(vhost_text(outbound_vhost(cfg, "shop|80", "a.example.com")),
		  "outbound|80||a.example.com=1[203.0.113.1:80,203.0.113.2:80]");
	CHECK(outbound_vhost(cfg, "shop|80", "a.example.com:80"));
	CHECK(outbound_vhost(cfg, "shop|80", "192.0.2.1"));
	CHECK(!outbound_vhost(cfg, "more|80", "a.example.com"));
	CHECK_STR(vhost_text(outbound_vhost(cfg, "shop|80", "b.example.com")),
		  "?1 outbound|80|two|b.example.com=1[203.0.113.2:80]\noutbound|80||none.example.com=1[]");
	v = outbound_vhost(cfg, "shop|80", "none.example.com");
	CHECK(v && v->routes[1].dests[0].cluster->passthrough);
	/* For whom the host is not: it is unknown. */
	CHECK_STR(vhost_text(outbound_vhost(cfg, "more|80", "none.example.com")),
		  "?1 !outbound|80|two|b.example.com=1\noutbound|80||none.example.com=1[]");
	/* Without a rule it passes, as it would without the entry. */
	CHECK(!outbound_vhost(cfg, "shop|80", "plain.example.com"));
	CHECK(mesh_pmap_get_str(&((struct mesh_l7_table *)mesh_pmap_get_str(&cfg->outbound, "shop|80"))->suffix,
				".wild.example.com"));
	mesh_l7_unref(cfg);
	mesh_l7_states_free(&states);
}

TEST(hint_words)
{
	CHECK(mesh_hint_has("zone:a", "zone", "a"));
	CHECK(mesh_hint_has("zone:ab zone:a", "zone", "a"));
	CHECK(mesh_hint_has("zone:a node:b zone:c", "node", "b"));
	CHECK(mesh_hint_has("zone:a node:b", "node", "*"));
	CHECK(!mesh_hint_has("zone:a", "node", "*"));
	CHECK(!mesh_hint_has("zone:a", "node", "a"));
	CHECK(!mesh_hint_has("zone:ab", "zone", "a"));
	CHECK(!mesh_hint_has("zone:a", "zone", "ab"));
	CHECK(!mesh_hint_has("zone", "zone", "a"));
	CHECK(!mesh_hint_has(NULL, "zone", "a"));
	CHECK(!mesh_hint_has("zone:a", "zone", NULL));
	CHECK(!mesh_hint_has("zone:a", "zone", ""));
}

TEST_MAIN()
