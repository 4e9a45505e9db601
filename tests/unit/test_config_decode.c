/* SPDX-License-Identifier: Apache-2.0 */
#include "config/decode.h"
#include "core/mem.h"
#include "test.h"

#include <errno.h>

static json_t *load(const char *text)
{
	json_t *v = json_loads(text, 0, NULL);

	if (!v)
		printf("  bad JSON in the test: %s\n", text);
	return v;
}

static uint64_t duration(const char *text)
{
	uint64_t ns = 77;

	return mesh_decode_duration(text, &ns) == 0 ? ns : ns == 77 ? UINT64_MAX : 0;
}

TEST(durations)
{
	static const char *const bad[] = {"",    "5",  "s",  "1.s.",  "-1s",         "1 s",
					  "1sx", ".s", "1d", "1..5s", "99999999999h"};

	CHECK_INT(duration("1s"), 1000000000);
	CHECK_INT(duration("1.5s"), 1500000000);
	CHECK_INT(duration("100ms"), 100000000);
	CHECK_INT(duration("1h2m3s"), 3723000000000);
	CHECK_INT(duration("0"), 0);
	CHECK_INT(duration("0.000000001s"), 1);
	CHECK_INT(duration("3us"), 3000);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(bad); i++)
		CHECK(duration(bad[i]) == UINT64_MAX);
}

TEST(times)
{
	static const char *const bad[] = {"",
					  "2026",
					  "2026-01-02",
					  "2026-13-02T03:04:05Z",
					  "2026-01-02T03:04:05",
					  "2026-01-02T03:04:05.Z",
					  "2026-01-02T03:04:05+1:00",
					  "2026-01-02 03:04:05Z",
					  "2026-01-02T25:04:05Z"};
	int64_t t = 0;

	CHECK_INT(mesh_decode_time("1970-01-01T00:00:00Z", &t), 0);
	CHECK_INT(t, 0);
	CHECK_INT(mesh_decode_time("2026-11-22T22:28:25Z", &t), 0);
	CHECK_INT(t, 1795386505);
	CHECK_INT(mesh_decode_time("2026-11-23T00:28:25.123456+02:00", &t), 0);
	CHECK_INT(t, 1795386505);
	CHECK_INT(mesh_decode_time("2024-02-29T12:00:00Z", &t), 0);
	CHECK_INT(t, 1709208000);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(bad); i++)
		CHECK(mesh_decode_time(bad[i], &t) < 0);
	CHECK_INT(t, 1709208000);
}

TEST(protocols)
{
	bool http2;

	CHECK_INT(mesh_decode_protocol("http", NULL, "TCP", &http2), MESH_PROTOCOL_HTTP);
	CHECK_INT(mesh_decode_protocol("http-web", NULL, NULL, &http2), MESH_PROTOCOL_HTTP);
	CHECK(!http2);
	CHECK_INT(mesh_decode_protocol("http2", NULL, NULL, &http2), MESH_PROTOCOL_HTTP);
	CHECK(http2);
	CHECK_INT(mesh_decode_protocol("grpc-x", NULL, NULL, &http2), MESH_PROTOCOL_HTTP);
	CHECK(http2);
	CHECK_INT(mesh_decode_protocol("grpc-web-x", NULL, NULL, &http2), MESH_PROTOCOL_HTTP);
	CHECK(!http2);
	CHECK_INT(mesh_decode_protocol("https", NULL, NULL, &http2), MESH_PROTOCOL_HTTPS);
	CHECK_INT(mesh_decode_protocol("httpx", NULL, NULL, &http2), MESH_PROTOCOL_TCP);
	CHECK_INT(mesh_decode_protocol(NULL, NULL, NULL, &http2), MESH_PROTOCOL_TCP);
	CHECK_INT(mesh_decode_protocol("tcp", "http", NULL, &http2), MESH_PROTOCOL_HTTP);
	CHECK_INT(mesh_decode_protocol("http", "kubernetes.io/h2c", NULL, &http2), MESH_PROTOCOL_HTTP);
	CHECK(http2);
	CHECK_INT(mesh_decode_protocol("http", "mongo", NULL, &http2), MESH_PROTOCOL_TCP);
	CHECK_INT(mesh_decode_protocol("http", NULL, "UDP", &http2), MESH_PROTOCOL_UDP);
}

TEST(pods)
{
	json_t *obj = load(
		"{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u\",\"labels\":{\"b\":\"2\",\"a\":\"1\"}},"
		"\"spec\":{\"nodeName\":\"node-1\",\"hostNetwork\":true},\"status\":{\"phase\":\"Running\",\"podIP\":"
		"\"10.0.0.1\","
		"\"podIPs\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"bad\"},{\"ip\":\"fd00::1\"}],"
		"\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
	struct mesh_workload *w = NULL;
	char text[MESH_ADDR_TEXT];

	CHECK_INT(mesh_decode_pod(obj, &w), 0);
	CHECK_STR(w->ns, "n");
	CHECK_STR(w->uid, "u");
	CHECK_STR(w->node, "node-1");
	CHECK_STR(w->service_account, "default");
	CHECK_STR(w->labels.items[0].key, "a");
	CHECK_INT(w->ip_count, 2);
	CHECK_STR(mesh_addr_ip_text(&w->ips[1], text), "fd00::1");
	CHECK(w->host_network && w->ready && !w->terminating && !w->finished);
	mesh_workload_free(w);
	json_decref(obj);
	obj = load("{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"deletionTimestamp\":\"x\"},\"spec\":{"
		   "\"serviceAccountName\":\"sa\"},"
		   "\"status\":{\"phase\":\"Failed\",\"podIP\":\"10.0.0.2\"}}");
	CHECK_INT(mesh_decode_pod(obj, &w), 0);
	CHECK_STR(w->service_account, "sa");
	CHECK_INT(w->ip_count, 1);
	CHECK(!w->ready && w->terminating && w->finished && !w->node);
	mesh_workload_free(w);
	json_decref(obj);
}

TEST(services)
{
	json_t *obj = load("{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\",\"annotations\":{\"sockmesh.io/"
			   "balance\":\"connection\"}},"
			   "\"spec\":{\"clusterIP\":\"10.0.0.1\",\"clusterIPs\":[\"10.0.0.1\",\"fd00::1\"],"
			   "\"selector\":{\"a\":\"b\"},\"ports\":["
			   "{\"name\":\"http\",\"port\":80,\"targetPort\":\"web\"},{\"port\":53,\"protocol\":\"UDP\"},{"
			   "\"port\":0}]}}");
	struct mesh_service *s = NULL;

	CHECK_INT(mesh_decode_service(obj, &s), 0);
	CHECK_INT(s->cluster_ip_count, 2);
	CHECK_INT(s->port_count, 2);
	CHECK_STR(s->ports[0].target, "web");
	CHECK_INT(s->ports[0].protocol, MESH_PROTOCOL_HTTP);
	CHECK_STR(s->ports[1].target, "53");
	CHECK_INT(s->ports[1].protocol, MESH_PROTOCOL_UDP);
	CHECK(!s->ports[1].name && !s->headless && s->balance_connection && !s->external_name);
	mesh_service_free(s);
	json_decref(obj);
	obj = load("{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\"},\"spec\":{\"clusterIP\":\"None\"}}");
	CHECK_INT(mesh_decode_service(obj, &s), 0);
	CHECK(s->headless && s->cluster_ip_count == 0);
	mesh_service_free(s);
	json_decref(obj);
	obj = load("{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\"},\"spec\":{\"type\":\"ExternalName\","
		   "\"externalName\":\"x.y\"}}");
	CHECK_INT(mesh_decode_service(obj, &s), 0);
	CHECK_STR(s->external_name, "x.y");
	mesh_service_free(s);
	json_decref(obj);
}

TEST(endpoint_slices)
{
	json_t *obj = load(
		"{\"metadata\":{\"name\":\"e\",\"namespace\":\"n\",\"labels\":{\"kubernetes.io/service-name\":\"s\"}},"
		"\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":8080},{\"port\":null}],\"endpoints\":["
		"{\"addresses\":[\"10.0.0.2\"],\"conditions\":{\"ready\":false,\"terminating\":true},\"nodeName\":"
		"\"node-1\"},"
		"{\"addresses\":[\"10.0.0.1\"],\"targetRef\":{\"kind\":\"Pod\",\"name\":\"p\"}},{\"addresses\":["
		"\"bad\"]},{}]}");
	struct mesh_endpoint_pieces *p = NULL;
	char text[MESH_ADDR_TEXT];

	CHECK_INT(mesh_decode_endpoint_slice(obj, &p), 0);
	CHECK_STR(p->service, "s");
	CHECK_STR(p->name, "e");
	CHECK_INT(p->count, 1);
	CHECK_STR(p->items[0]->port_name, "http");
	CHECK_INT(p->items[0]->count, 2);
	CHECK_STR(mesh_addr_text(&p->items[0]->items[0].addr, text), "10.0.0.1:8080");
	CHECK_STR(p->items[0]->items[0].pod, "p");
	CHECK(p->items[0]->items[0].ready && p->items[0]->items[0].serving);
	CHECK(!p->items[0]->items[1].ready && p->items[0]->items[1].terminating);
	CHECK_STR(p->items[0]->items[1].node, "node-1");
	mesh_endpoint_pieces_free(p);
	mesh_endpoint_pieces_free(NULL);
	json_decref(obj);
}

TEST(virtual_services)
{
	json_t *obj = load(
		"{\"metadata\":{\"name\":\"v\",\"namespace\":\"n\",\"resourceVersion\":\"42\",\"creationTimestamp\":"
		"\"1970-01-01T00:00:09Z\"},"
		"\"spec\":{\"hosts\":[\"a\",\"b\"],\"gateways\":[\"g\",\"mesh\"],\"exportTo\":[\".\"],\"http\":[{"
		"\"name\":\"r\",\"timeout\":\"2s\","
		"\"match\":[{\"uri\":{\"prefix\":\"/"
		"x\"},\"ignoreUriCase\":true,\"method\":{\"exact\":\"GET\"},\"headers\":{\"h\":{\"regex\":\"a.*\"},"
		"\"present\":{}},\"withoutHeaders\":{\"w\":{\"exact\":\"1\"}},\"queryParams\":{\"q\":{\"exact\":\"2\"}}"
		",\"port\":80,"
		"\"gateways\":[\"g\"],\"sourceLabels\":{\"app\":\"c\"},\"sourceNamespace\":\"m\"}],\"route\":[{"
		"\"destination\":{\"host\":\"a\","
		"\"subset\":\"v1\",\"port\":{\"number\":8080}},\"weight\":70},{\"destination\":{\"host\":\"a\","
		"\"subset\":\"v2\"},\"weight\":30}]},"
		"{\"route\":[{\"destination\":{\"host\":\"b\"}}]}],\"tcp\":[{\"match\":[{\"port\":27017}],\"route\":[{"
		"\"destination\":{\"host\":\"m\"}}]}],"
		"\"tls\":[{\"match\":[{\"sniHosts\":[\"x.y\"],\"port\":443}],\"route\":[{\"destination\":{\"host\":"
		"\"t\"}}]}]}}");
	struct mesh_virtual_service *vs = NULL;
	const struct mesh_http_match *m;

	CHECK_INT(mesh_decode_virtual_service(obj, &vs), 0);
	json_decref(obj); /* nothing points into it */
	CHECK_STR(vs->name, "v");
	CHECK_INT(vs->created, 9);
	CHECK_INT(vs->resource_version, 42);
	CHECK_INT(vs->host_count, 2);
	CHECK_INT(vs->gateway_count, 2);
	CHECK_STR(vs->export_to[0], ".");
	CHECK_INT(vs->http_count, 2);
	m = &vs->http[0].matches[0];
	CHECK_INT(m->uri->type, MESH_MATCH_PREFIX);
	CHECK_STR(m->uri->value, "/x");
	CHECK(m->ignore_uri_case && !m->scheme && !m->authority);
	CHECK_STR(m->method->value, "GET");
	CHECK_INT(m->header_count, 2);
	CHECK_INT(m->headers[0].match.type, MESH_MATCH_REGEX);
	CHECK_INT(m->headers[1].match.type, MESH_MATCH_ANY);
	CHECK_STR(m->without_headers[0].name, "w");
	CHECK_STR(m->query[0].match.value, "2");
	CHECK_INT(m->port, 80);
	CHECK_STR(m->gateways[0], "g");
	CHECK_STR(mesh_labels_get(&m->source_labels, "app"), "c");
	CHECK_STR(m->source_namespace, "m");
	CHECK_INT(vs->http[0].timeout_ns, 2000000000);
	CHECK_INT(vs->http[0].dest_count, 2);
	CHECK_STR(vs->http[0].dests[0].subset, "v1");
	CHECK_INT(vs->http[0].dests[0].port, 8080);
	CHECK_INT(vs->http[0].dests[0].weight, 70);
	CHECK(!vs->http[1].match_count && vs->http[1].dests[0].weight == 100 && !vs->http[1].dests[0].subset);
	CHECK_INT(vs->tcp[0].matches[0].port, 27017);
	CHECK_STR(vs->tls[0].matches[0].sni_hosts[0], "x.y");
	mesh_virtual_service_free(vs);
}

TEST(rules_and_gateways)
{
	json_t *obj = load("{\"metadata\":{\"name\":\"d\",\"namespace\":\"n\"},\"spec\":{\"host\":\"a\","
			   "\"trafficPolicy\":{\"loadBalancer\":{"
			   "\"simple\":\"LEAST_CONN\"}},\"subsets\":[{\"name\":\"v1\",\"labels\":{\"version\":\"v1\"}},"
			   "{\"name\":\"v2\","
			   "\"trafficPolicy\":{\"loadBalancer\":{\"simple\":\"RANDOM\"}}}]}}");
	struct mesh_destination_rule *dr = NULL;
	struct mesh_gateway *gw = NULL;
	struct mesh_member_roll *roll = NULL;

	CHECK_INT(mesh_decode_destination_rule(obj, &dr), 0);
	json_decref(obj);
	CHECK_STR(dr->host, "a");
	CHECK(dr->has_lb && dr->lb == MESH_LB_LEAST_REQUEST);
	CHECK_INT(dr->subset_count, 2);
	CHECK(!dr->subsets[0].has_lb && dr->subsets[1].has_lb && dr->subsets[1].lb == MESH_LB_RANDOM);
	CHECK_STR(mesh_labels_get(&dr->subsets[0].labels, "version"), "v1");
	mesh_destination_rule_free(dr);
	obj = load("{\"metadata\":{\"name\":\"g\",\"namespace\":\"n\"},\"spec\":{\"selector\":{\"istio\":"
		   "\"ingressgateway\"},\"servers\":["
		   "{\"port\":{\"number\":80,\"name\":\"http\",\"protocol\":\"http\"},\"hosts\":[\"*\"],\"tls\":{"
		   "\"httpsRedirect\":true}},"
		   "{\"port\":{\"number\":443,\"name\":\"https\",\"protocol\":\"HTTPS\"},\"hosts\":[\"n/"
		   "a.b\"],\"tls\":{\"mode\":\"SIMPLE\"}}]}}");
	CHECK_INT(mesh_decode_gateway(obj, &gw), 0);
	json_decref(obj);
	CHECK_STR(mesh_labels_get(&gw->selector, "istio"), "ingressgateway");
	CHECK_INT(gw->server_count, 2);
	CHECK_INT(gw->servers[0].protocol, MESH_GATEWAY_HTTP);
	CHECK(gw->servers[0].https_redirect && gw->servers[0].tls == MESH_GATEWAY_TLS_NONE);
	CHECK_INT(gw->servers[1].tls, MESH_GATEWAY_TLS_SIMPLE);
	CHECK_STR(gw->servers[1].hosts[0], "n/a.b");
	mesh_gateway_free(gw);
	obj = load("{\"metadata\":{\"name\":\"default\",\"namespace\":\"istio-system\"},\"spec\":{\"members\":[\"a\","
		   "\"b\"]},"
		   "\"status\":{\"configuredMembers\":[\"a\"]}}");
	CHECK_INT(mesh_decode_member_roll(obj, &roll), 0);
	json_decref(obj);
	CHECK_INT(roll->member_count, 2);
	CHECK_INT(roll->configured_count, 1);
	CHECK_STR(roll->configured[0], "a");
	mesh_member_roll_free(roll);
}

/* Whatever comes, nothing crashes; without a name nothing is made and the output stays untouched. */
TEST(bad_objects)
{
	static const char *const bad[] = {"{}", "{\"metadata\":[]}",
					  "{\"metadata\":{\"name\":\"\",\"namespace\":\"\"}}",
					  "{\"metadata\":{\"name\":5,\"namespace\":\"n\"}}"};
	static const char odd[] = "{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\",\"labels\":[],\"resourceVersion\":"
				  "\"abc\",\"creationTimestamp\":\"x\"},"
				  "\"addressType\":5,\"ports\":[1,{}],\"endpoints\":[null,1],\"spec\":{\"host\":\"h\","
				  "\"hosts\":[1,null],\"http\":[null,1,{\"match\":[1,null],"
				  "\"route\":[null,{},{\"destination\":[]}]}],\"tcp\":[1],\"tls\":[{\"match\":[{}]}],"
				  "\"subsets\":[1,{}],\"servers\":[1,{}],\"ports\":[1],"
				  "\"selector\":[],\"members\":{},\"clusterIPs\":[1,\"x\"]},\"status\":{\"podIPs\":[1],"
				  "\"conditions\":[1]}}";
	struct mesh_virtual_service *vs = NULL;
	struct mesh_destination_rule *dr = NULL;
	struct mesh_gateway *gw = NULL;
	struct mesh_member_roll *roll = NULL;
	struct mesh_workload *w = NULL;
	struct mesh_service *s = NULL;
	struct mesh_endpoint_pieces *p = NULL;
	json_t *obj;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(bad); i++) {
		obj = load(bad[i]);
		CHECK(mesh_decode_virtual_service(obj, &vs) < 0 && !vs);
		CHECK(mesh_decode_destination_rule(obj, &dr) < 0 && !dr);
		CHECK(mesh_decode_gateway(obj, &gw) < 0 && !gw);
		CHECK(mesh_decode_member_roll(obj, &roll) < 0 && !roll);
		if (i != 2) {
			CHECK(mesh_decode_pod(obj, &w) < 0 && !w);
			CHECK(mesh_decode_service(obj, &s) < 0 && !s);
			CHECK(mesh_decode_endpoint_slice(obj, &p) < 0 && !p);
		}
		json_decref(obj);
	}
	obj = load(odd);
	CHECK_INT(mesh_decode_virtual_service(obj, &vs), 0);
	CHECK_INT(mesh_decode_destination_rule(obj, &dr), 0);
	CHECK_INT(mesh_decode_gateway(obj, &gw), 0);
	CHECK_INT(mesh_decode_member_roll(obj, &roll), 0);
	CHECK_INT(mesh_decode_pod(obj, &w), 0);
	CHECK_INT(mesh_decode_service(obj, &s), 0);
	CHECK_INT(mesh_decode_endpoint_slice(obj, &p), 0);
	mesh_virtual_service_free(vs);
	mesh_destination_rule_free(dr);
	mesh_gateway_free(gw);
	mesh_member_roll_free(roll);
	mesh_workload_free(w);
	mesh_service_free(s);
	mesh_endpoint_pieces_free(p);
	json_decref(obj);
}

TEST(nodes)
{
	struct mesh_machine *m = NULL;
	json_t *v =
		load("{\"metadata\": {\"name\": \"n1\", \"labels\": {\"topology.kubernetes.io/zone\": \"a\"}}, "
		     "\"status\": {\"addresses\": [{\"type\": \"InternalIP\", \"address\": \"10.0.0.1\"}, {\"type\": "
		     "\"Hostname\", \"address\": \"10.0.0.2\"}, {\"type\": \"ExternalIP\", \"address\": \"fd00::1\"}, "
		     "{\"type\": \"InternalIP\", \"address\": \"x\"}, 7]}}");

	CHECK_INT(mesh_decode_node(v, &m), 0);
	CHECK_STR(m->name, "n1");
	CHECK_STR(m->zone, "a");
	CHECK_INT(m->ip_count, 2);
	mesh_machine_free(m);
	json_decref(v);
	v = load("{\"metadata\": {}}");
	m = NULL;
	CHECK_INT(mesh_decode_node(v, &m), -EINVAL);
	CHECK(m == NULL);
	json_decref(v);
}

TEST(service_entries)
{
	struct mesh_service_entry *se = NULL;
	json_t *v =
		load("{\"metadata\": {\"namespace\": \"n\", \"name\": \"e\"}, \"spec\": {\"hosts\": [\"A.B\", 3, "
		     "\"\"], \"addresses\": [\"10.0.0.1\", \"10.1.0.0/16\", \"fd00::/64\", \"10.0.0.0/33\", \"x\"], "
		     "\"ports\": [{\"number\": 80, \"name\": \"web\", \"protocol\": \"HTTP\", \"targetPort\": 8080}, "
		     "{\"number\": 443, \"name\": \"s\", \"protocol\": \"TLS\"}, {\"number\": 0}, {\"number\": 50, "
		     "\"name\": \"g\", \"protocol\": \"GRPC\"}, {\"number\": 51, \"name\": \"m\", \"protocol\": "
		     "\"MONGO\"}], \"resolution\": \"DNS_ROUND_ROBIN\", \"endpoints\": [{\"address\": \"10.2.0.1\", "
		     "\"ports\": {\"web\": 81, \"s\": 0}, \"labels\": {\"a\": \"b\"}}, {}], \"exportTo\": [\".\"]}}");

	CHECK_INT(mesh_decode_service_entry(v, &se), 0);
	CHECK_INT(se->host_count, 1);
	CHECK_STR(se->hosts[0], "a.b");
	CHECK_INT(se->address_count, 3);
	CHECK_INT(se->addresses[0].bits, 128);
	CHECK_INT(se->addresses[1].bits, 96 + 16);
	CHECK_INT(se->addresses[2].bits, 64);
	CHECK_INT(se->port_count, 4);
	CHECK_INT(se->ports[0].protocol, MESH_PROTOCOL_HTTP);
	CHECK_INT(se->ports[0].target, 8080);
	CHECK_INT(se->ports[1].protocol, MESH_PROTOCOL_HTTPS);
	CHECK_INT(se->ports[1].target, 443);
	CHECK(se->ports[2].is_http2);
	CHECK_INT(se->ports[3].protocol, MESH_PROTOCOL_TCP);
	CHECK_INT(se->resolution, MESH_ENTRY_DNS);
	CHECK_INT(se->endpoint_count, 1);
	CHECK_STR(mesh_labels_get(&se->endpoints[0].ports, "web"), "81");
	CHECK(!mesh_labels_get(&se->endpoints[0].ports, "s"));
	CHECK_STR(mesh_labels_get(&se->endpoints[0].labels, "a"), "b");
	CHECK_INT(se->export_to_count, 1);
	mesh_service_entry_free(se);
	json_decref(v);
	v = load("{\"metadata\": {\"name\": \"e\"}, \"spec\": {}}");
	CHECK_INT(mesh_decode_service_entry(v, &se), -EINVAL);
	json_decref(v);
}

TEST_MAIN()
