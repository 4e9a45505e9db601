/* SPDX-License-Identifier: Apache-2.0 */
/* meshctl check: the parts that judge what they are given. */
#include "test.h"

#include "core/mem.h"
#include "ctl/check.h"
#include "ctl/node_check.h"

#include <linux/capability.h>
#include <sys/stat.h>

static json_t *load(const char *text)
{
	json_t *v = json_loads(text, 0, NULL);

	if (!v)
		abort();
	return v;
}

static const char *text_of(const json_t *rows, size_t i, const char *key)
{
	const char *s = json_string_value(json_object_get(json_array_get(rows, i), key));

	return s ? s : "";
}

TEST(verdicts_as_text)
{
	json_t *rows = json_array();
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};

	mesh_verdict_add(rows, MESH_VERDICT_OK, "a", "why a", "never shown", "seen %d", 1);
	mesh_verdict_add(rows, MESH_VERDICT_WARN, "b", "why b", NULL, "seen");
	mesh_verdict_add(rows, MESH_VERDICT_FAIL, "c", "why c", "do this", "missing");
	mesh_verdict_print(&out, rows);
	CHECK_STR(out.data, "ok    a: seen 1\n"
			    "warn  b: seen\n      needed for: why b\n"
			    "fail  c: missing\n      needed for: why c\n      what helps: do this\n");
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_OK), 1);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_WARN), 1);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_FAIL), 1);
	CHECK(!json_object_get(json_array_get(rows, 0), "remedy"));
	json_decref(rows);
}

TEST(a_row_without_verdict_is_a_failure)
{
	json_t *row = load("{\"name\":\"x\"}");

	CHECK_INT(mesh_verdict_of(row), MESH_VERDICT_FAIL);
	json_decref(row);
}

TEST(kernels)
{
	static const struct {
		const char *release;
		enum mesh_verdict verdict;
	} rows[] = {
		{"5.15.0-91-generic", MESH_VERDICT_OK}, {"6.1.0", MESH_VERDICT_OK},      {"5.14.21", MESH_VERDICT_FAIL},
		{"4.18.0-553.el8", MESH_VERDICT_FAIL},  {"nonsense", MESH_VERDICT_FAIL},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		json_t *list = json_array();

		mesh_node_check_kernel(list, rows[i].release, "x86_64");
		CHECK_INT(mesh_verdict_of(json_array_get(list, 0)), rows[i].verdict);
		json_decref(list);
	}
}

TEST(capabilities)
{
	json_t *rows = json_array();
	uint64_t without = ~(1ULL << CAP_NET_ADMIN);

	mesh_node_check_capabilities(rows, ~0ULL);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_OK), json_array_size(rows));
	json_array_clear(rows);
	mesh_node_check_capabilities(rows, without);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_FAIL), 1);
	CHECK_STR(text_of(rows, 1, "name"), "CAP_NET_ADMIN");
	CHECK_STR(text_of(rows, 1, "what"), "missing here");
	json_decref(rows);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, name);

	if (mesh_file_write(path, mesh_slice_str(text), 0600) < 0)
		abort();
}

TEST(cni)
{
	char dir[] = "/tmp/mesh-cni-XXXXXX";
	const char *conf[] = {"/dev/null/none", dir, NULL}, *bin[] = {"/dev/null/none", NULL};
	json_t *rows = json_array();
	mesh_auto_free char *clean = NULL;

	CHECK(mkdtemp(dir));
	mesh_node_check_cni(rows, conf, bin);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_FAIL), 2);
	json_array_clear(rows);
	write_file(dir, "10-a.conflist", "{\"plugins\":[{\"type\":\"bridge\"},{\"type\":\"sockmesh-cni\"}]}");
	write_file(dir, "20-b.conf", "{\"type\":\"other\"}");
	write_file(dir, "00-readme.txt", "none of it");
	mesh_node_check_cni(rows, conf, conf);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_OK), 2);
	CHECK(strstr(text_of(rows, 0, "what"), "10-a.conflist: bridge, sockmesh-cni"));
	CHECK(!strstr(text_of(rows, 0, "what"), "not in it"));
	json_array_clear(rows);
	write_file(dir, "05-c.conf", "{\"type\":\"ptp\"}");
	mesh_node_check_cni(rows, conf, conf);
	CHECK(strstr(text_of(rows, 0, "what"), "05-c.conf: ptp (sockmesh-cni is not in it yet)"));
	json_array_clear(rows);
	write_file(dir, "05-c.conf", "{");
	mesh_node_check_cni(rows, conf, conf);
	CHECK_INT(mesh_verdict_of(json_array_get(rows, 0)), MESH_VERDICT_FAIL);
	json_decref(rows);
	clean = mesh_xasprintf("rm -r %s", dir);
	CHECK_INT(system(clean), 0);
}

TEST(clocks)
{
	static const struct {
		double seconds;
		enum mesh_verdict verdict;
		const char *what;
	} rows[] = {
		{0.4, MESH_VERDICT_OK, "0.4 s before the API server's"},
		{-5, MESH_VERDICT_WARN, "5.0 s behind the API server's"},
		{60, MESH_VERDICT_FAIL, "60.0 s before the API server's"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		json_t *list = json_array();

		mesh_node_check_clock(list, rows[i].seconds);
		CHECK_INT(mesh_verdict_of(json_array_get(list, 0)), rows[i].verdict);
		CHECK_STR(text_of(list, 0, "what"), rows[i].what);
		json_decref(list);
	}
}

TEST(versions_of_kubernetes)
{
	json_t *rows = json_array();

	mesh_check_version(rows, "v1.34.4");
	mesh_check_version(rows, "v1.30.0+k3s1");
	mesh_check_version(rows, "v1.29.9");
	mesh_check_version(rows, "unknown");
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_OK), 2);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_WARN), 2);
	json_decref(rows);
}

TEST(node_objects)
{
	json_t *good = load("{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}],\"nodeInfo\":{"
			    "\"operatingSystem\":\"linux\",\"architecture\":\"amd64\",\"kernelVersion\":\"6.1.0\","
			    "\"containerRuntimeVersion\":\"containerd://2.0\",\"kubeletVersion\":\"v1.34.0\"}}}");
	json_t *odd =
		load("{\"status\":{\"conditions\":[],\"nodeInfo\":{\"operatingSystem\":\"linux\",\"architecture\":"
		     "\"arm64\",\"kernelVersion\":\"5.4.0\",\"containerRuntimeVersion\":\"docker://20\"}}}");
	json_t *windows = load("{\"status\":{\"nodeInfo\":{\"operatingSystem\":\"windows\"}}}");
	json_t *rows = json_array();

	mesh_check_node_object(rows, good);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_OK), json_array_size(rows));
	json_array_clear(rows);
	mesh_check_node_object(rows, odd);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_FAIL), 2); /* kernel, architecture */
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_WARN), 2); /* not Ready, runtime */
	json_array_clear(rows);
	mesh_check_node_object(rows, windows);
	CHECK_INT(json_array_size(rows), 1);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_WARN), 1);
	json_decref(good);
	json_decref(odd);
	json_decref(windows);
	json_decref(rows);
}

TEST(neighbours)
{
	json_t *spaces = load("[{\"metadata\":{\"name\":\"default\"}},{\"metadata\":{\"name\":\"linkerd\"}}]");
	json_t *sets = load("[{\"metadata\":{\"name\":\"cilium\"}}]"), *none = json_array(), *rows = json_array();
	json_t *hooks = load("[{\"metadata\":{\"name\":\"istio-sidecar-injector-canary\"}}]");

	mesh_check_neighbours(rows, spaces, sets, hooks);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_WARN), 3);
	json_array_clear(rows);
	mesh_check_neighbours(rows, none, none, none);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_OK), 1);
	CHECK_INT(json_array_size(rows), 1);
	json_decref(spaces);
	json_decref(sets);
	json_decref(hooks);
	json_decref(none);
	json_decref(rows);
}

TEST(definitions_of_others)
{
	json_t *crds = load(
		"[{\"metadata\":{\"name\":\"gateways.networking.istio.io\"},\"spec\":{\"group\":\"networking.istio."
		"io\"}},{\"metadata\":{\"name\":\"x.example.com\"},\"spec\":{\"group\":\"example.com\"}}]");
	json_t *rows = json_array(), *none = json_array();

	mesh_check_definitions(rows, crds);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_WARN), 1);
	CHECK_STR(text_of(rows, 0, "what"), "1 are there that another has made: gateways.networking.istio.io");
	json_array_clear(rows);
	mesh_check_definitions(rows, none);
	CHECK_STR(text_of(rows, 0, "what"), "none there yet");
	json_decref(crds);
	json_decref(rows);
	json_decref(none);
}

TEST(agents)
{
	json_t *good = load("{\"published\":true,\"version\":\"1\",\"config\":{\"version\":3,\"bad\":[]}}");
	json_t *bad = load("{\"published\":false,\"config\":{\"applyFailures\":2,\"bad\":[\"x\"]}}");
	json_t *rows = json_array();

	mesh_check_agent(rows, good);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_OK), json_array_size(rows));
	json_array_clear(rows);
	mesh_check_agent(rows, bad);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_FAIL), 1);
	CHECK_INT(mesh_verdict_count(rows, MESH_VERDICT_WARN), 2);
	json_decref(good);
	json_decref(bad);
	json_decref(rows);
}

struct said {
	const char *said;
	size_t rows;
	enum mesh_verdict want; /* of the second row */
	const char *what;       /* NULL: there is none */
};

/* What becomes of what an agent says of a part of its data plane. */
static void check_said(json_t *rows, const char *part, const struct said *s)
{
	mesh_auto_free char *text = mesh_xasprintf("{\"published\":true,\"dataplane\":{\"%s\":%s}}", part, s->said);
	json_t *status = load(text);

	json_array_clear(rows);
	mesh_check_agent(rows, status);
	CHECK_INT(json_array_size(rows), s->rows);
	if (s->what) {
		CHECK_STR(text_of(rows, 1, "name"), part);
		CHECK_INT(mesh_verdict_of(json_array_get(rows, 1)), s->want);
		CHECK_STR(text_of(rows, 1, "what"), s->what);
	}
	json_decref(status);
}

/* Of the bypass: in use, switched off (both well), impossible, and pods that have none of it. */
TEST(bypass)
{
	static const struct said said[] = {
		{"{\"inUse\":true,\"packets\":7,\"attached\":\"tcx\",\"devices\":[]}", 2, MESH_VERDICT_OK,
		 "in use (probe passed), 0 pods, by tcx, 7 packets so far; they are in no counter of the node's own "
		 "rules"},
		{"{\"inUse\":true,\"packets\":7,\"attached\":\"clsact\",\"devices\":[]}", 2, MESH_VERDICT_OK,
		 "in use (probe passed), 0 pods, by filters of clsact, which cost a packet more than tcx (kernel 6.6) "
		 "does, "
		 "7 packets so far; they are in no counter of the node's own rules"},
		{"{\"inUse\":false,\"why\":\"it is switched off\"}", 2, MESH_VERDICT_OK,
		 "not in use: it is switched off"},
		{"{\"inUse\":false,\"why\":\"no veth\"}", 2, MESH_VERDICT_WARN, "not in use: no veth"},
		{"{\"inUse\":true,\"devices\":[{\"pod\":\"a\",\"device\":\"v1\",\"bypass\":true},"
		 "{\"pod\":\"b\",\"device\":\"v2\",\"bypass\":false,\"why\":\"no\"}]}",
		 3, MESH_VERDICT_OK, NULL},
	};
	json_t *rows = json_array();

	for (size_t i = 0; i < MESH_ARRAY_SIZE(said); i++)
		check_said(rows, "bypass", &said[i]);
	CHECK_STR(text_of(rows, 2, "what"), "b (v2): no");
	json_decref(rows);
}

/* Of the program on the uplink: nothing where nobody asked for it, else what it does, or why not, and what it cannot
 * know.
 */
TEST(xdp)
{
	static const struct said said[] = {
		{"null", 1, MESH_VERDICT_OK, NULL},
		{"{\"device\":\"eth0\",\"mode\":\"native\",\"driver\":\"mlx5_core\",\"addresses\":4,\"spoofed\":2}", 2,
		 MESH_VERDICT_OK,
		 "in use on eth0, native mode, driver mlx5_core, 4 addresses of pods; ended 2 spoofed, 0 martian"},
		{"{\"why\":\"it is switched off\"}", 2, MESH_VERDICT_OK, "not in use: it is switched off"},
		{"{\"why\":\"eth0: no\"}", 2, MESH_VERDICT_WARN, "not in use: eth0: no"},
		{"{\"why\":\"eth0: no\",\"unreached\":3}", 3, MESH_VERDICT_WARN, "not in use: eth0: no"},
	};
	json_t *rows = json_array();

	for (size_t i = 0; i < MESH_ARRAY_SIZE(said); i++)
		check_said(rows, "xdp", &said[i]);
	CHECK_STR(text_of(rows, 2, "name"), "xdp addresses");
	json_decref(rows);
}

/* On the machine that the tests run on: every row has a name, a verdict and what it is for. */
TEST(this_node)
{
	json_t *rows = mesh_node_check(false);

	CHECK(json_array_size(rows) > 8);
	for (size_t i = 0; i < json_array_size(rows); i++) {
		CHECK(text_of(rows, i, "name")[0]);
		CHECK(text_of(rows, i, "why")[0]);
		CHECK(text_of(rows, i, "what")[0]);
		if (mesh_verdict_of(json_array_get(rows, i)) == MESH_VERDICT_FAIL)
			CHECK(text_of(rows, i, "remedy")[0]);
	}
	json_decref(rows);
}

TEST_MAIN()
