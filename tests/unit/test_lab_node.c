/* SPDX-License-Identifier: Apache-2.0 */
#include "core/time.h"
#include "lab/node.h"
#include "lab/node_server.h"
#include "test.h"

TEST(probe_defaults)
{
	json_t *empty = json_object(),
	       *full = json_pack("{s:i, s:i, s:i, s:i, s:i}", "initialDelaySeconds", 3, "periodSeconds", 2,
				 "timeoutSeconds", 4, "successThreshold", 5, "failureThreshold", 6);
	struct mesh_probe_times t;

	mesh_probe_times_of(empty, &t);
	CHECK_INT(t.initial_delay_s, 0);
	CHECK_INT(t.period_s, 10);
	CHECK_INT(t.timeout_s, 1);
	CHECK_INT(t.success, 1);
	CHECK_INT(t.failure, 3);
	mesh_probe_times_of(full, &t);
	CHECK_INT(t.initial_delay_s, 3);
	CHECK_INT(t.period_s, 2);
	CHECK_INT(t.timeout_s, 4);
	CHECK_INT(t.success, 5);
	CHECK_INT(t.failure, 6);
	json_decref(empty);
	json_decref(full);
}

TEST(early_tries_come_soon_and_slow_down_to_the_period)
{
	CHECK_INT(mesh_probe_early_ms(0, 10), 20);
	CHECK_INT(mesh_probe_early_ms(1, 10), 40);
	CHECK_INT(mesh_probe_early_ms(5, 10), 640);
	CHECK_INT(mesh_probe_early_ms(9, 10), 10000);
	CHECK_INT(mesh_probe_early_ms(50, 1), 1000);
}

TEST(restart_backoff_is_a_kubelets)
{
	static const unsigned want[] = {0, 10, 20, 40, 80, 160, 300, 300};
	unsigned was = 0;

	for (unsigned i = 0; i < MESH_ARRAY_SIZE(want); i++) {
		was = mesh_container_backoff(i, was, 1);
		CHECK_INT(was, want[i]);
	}
	CHECK_INT(mesh_container_backoff(9, 300, 600), 0);
	CHECK_INT(mesh_container_backoff(9, 300, 599), 300);
}

static void check_expand(const char *text, const char *want)
{
	json_t *env = json_pack("[s, s, s]", "A=1", "LONG_NAME=x y", "E=");
	char *got = mesh_command_expand(text, env);

	CHECK_STR(got, want);
	free(got);
	json_decref(env);
}

TEST(expand)
{
	check_expand("plain", "plain");
	check_expand("$(A)-$(LONG_NAME)", "1-x y");
	check_expand("$(NONE) $(A", "$(NONE) $(A");
	check_expand("$$(A) $$", "$(A) $");
	check_expand("[$(E)]", "[]");
	check_expand("$A ${A}", "$A ${A}");
}

TEST(websocket_accept_of_the_rfc)
{
	char out[32];

	mesh_websocket_accept(MESH_SLICE("dGhlIHNhbXBsZSBub25jZQ=="), out);
	CHECK_STR(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(query_parameters)
{
	struct mesh_serving s = {.query = "command=sh&command=-c&command=echo+a%26b%2bc&tty=0&input=1&empty"};
	char *v = mesh_serving_query(&s, "command", 2);

	CHECK_STR(v, "echo a&b+c");
	free(v);
	v = mesh_serving_query(&s, "command", 0);
	CHECK_STR(v, "sh");
	free(v);
	CHECK(!mesh_serving_query(&s, "command", 3));
	CHECK(mesh_serving_flag(&s, "input"));
	CHECK(!mesh_serving_flag(&s, "tty"));
	CHECK(!mesh_serving_flag(&s, "none"));
	v = mesh_serving_query(&s, "empty", 0);
	CHECK_STR(v, "");
	free(v);
}

static void put(struct mesh_lab_cache *cache, const char *key, const char *text)
{
	json_t *o = json_loads(text, 0, NULL);

	mesh_map_put_str(&cache->items, key, o);
}

static void clear(struct mesh_lab_cache *cache)
{
	mesh_map_each (e, &cache->items)
		json_decref(e->value);
	mesh_map_free(&cache->items);
}

TEST(service_rules)
{
	struct mesh_lab_cache services = {0}, slices = {0};
	char *rules;

	put(&services, "d/web",
	    "{\"metadata\":{\"namespace\":\"d\",\"name\":\"web\"},\"spec\":{\"clusterIP\":\"10.128.0.5\","
	    "\"ports\":[{\"name\":\"http\",\"port\":80},{\"name\":\"none\",\"port\":81}]}}");
	put(&services, "d/headless",
	    "{\"metadata\":{\"namespace\":\"d\",\"name\":\"headless\"},\"spec\":{\"clusterIP\":\"None\",\"ports\":[{"
	    "\"port\":1}]}}");
	put(&slices, "d/web-1",
	    "{\"metadata\":{\"namespace\":\"d\",\"name\":\"web-1\",\"labels\":{\"kubernetes.io/"
	    "service-name\":\"web\"}},"
	    "\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":8080}],\"endpoints\":["
	    "{\"addresses\":[\"10.64.1.2\"],\"conditions\":{\"ready\":true}},"
	    "{\"addresses\":[\"10.64.1.3\"],\"conditions\":{\"ready\":false}},"
	    "{\"addresses\":[\"10.64.2.2\"]}]}");
	rules = mesh_node_rules(&services, &slices);
	CHECK(strstr(
		rules,
		"meta l4proto tcp dnat to numgen random mod 2 map { 0 : 10.64.1.2 . 8080, 1 : 10.64.2.2 . 8080 }"));
	CHECK(strstr(rules, "elements = { 10.128.0.5 . tcp . 80 : goto s0 }"));
	CHECK(strstr(rules, "elements = { 10.128.0.5 . tcp . 81 }"));
	CHECK(strstr(rules, "10.64.1.2 . 10.64.1.2"));
	CHECK(!strstr(rules, "10.64.1.3"));
	CHECK(!strstr(rules, "None"));
	free(rules);
	clear(&services);
	clear(&slices);
}

TEST(a_terminating_endpoint_serves_where_there_is_no_other)
{
	struct mesh_lab_cache services = {0}, slices = {0};
	char *rules;

	put(&services, "d/web",
	    "{\"metadata\":{\"namespace\":\"d\",\"name\":\"web\"},\"spec\":{\"clusterIP\":\"10.128.0.5\","
	    "\"ports\":[{\"port\":53,\"protocol\":\"UDP\"}]}}");
	put(&slices, "d/web-1",
	    "{\"metadata\":{\"namespace\":\"d\",\"name\":\"web-1\",\"labels\":{\"kubernetes.io/"
	    "service-name\":\"web\"}},"
	    "\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"\",\"port\":53}],\"endpoints\":["
	    "{\"addresses\":[\"10.64.1.2\"],\"conditions\":{\"ready\":false,\"serving\":true,\"terminating\":true}}]}");
	rules = mesh_node_rules(&services, &slices);
	CHECK(strstr(rules, "meta l4proto udp dnat to numgen random mod 1 map { 0 : 10.64.1.2 . 53 }"));
	free(rules);
	clear(&services);
	clear(&slices);
}

TEST(paths_and_labels)
{
	json_t *o = json_loads(
		"{\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":\"1\",\"b\":\"2\"},\"resourceVersion\":\"17\"}}", 0,
		NULL);
	json_t *want = json_loads("{\"a\":\"1\"}", 0, NULL), *other = json_loads("{\"a\":\"1\",\"c\":\"3\"}", 0, NULL);
	json_t *empty = json_object();
	char text[32];

	CHECK_STR(mesh_lab_text(o, "metadata.name"), "x");
	CHECK_STR(mesh_lab_text(o, "metadata.name.more"), "");
	CHECK_STR(mesh_lab_text(NULL, "metadata"), "");
	CHECK_INT(mesh_lab_rv(o), 17);
	CHECK(mesh_lab_labels_match(want, mesh_lab_at(o, "metadata.labels")));
	CHECK(!mesh_lab_labels_match(other, mesh_lab_at(o, "metadata.labels")));
	CHECK(!mesh_lab_labels_match(empty, mesh_lab_at(o, "metadata.labels")));
	CHECK_STR(mesh_time_text(1700000000, text), "2023-11-14T22:13:20Z");
	CHECK_INT(mesh_lab_time_parse(text), 1700000000);
	CHECK_INT(mesh_lab_time_parse("soon"), 0);
	json_decref(o);
	json_decref(want);
	json_decref(other);
	json_decref(empty);
}

TEST(base64)
{
	size_t len;
	char *text = mesh_lab_base64("aGVsbG8=", &len);

	CHECK_STR(text, "hello");
	CHECK_INT(len, 5);
	free(text);
	text = mesh_lab_base64("", &len);
	CHECK_STR(text, "");
	free(text);
	CHECK(!mesh_lab_base64("!!!!", &len));
}

TEST_MAIN()
