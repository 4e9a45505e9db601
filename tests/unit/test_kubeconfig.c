/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "core/mem.h"
#include "kube/kubeconfig.h"
#include "kube/yaml_in.h"

#include <errno.h>

static char dir[] = "/tmp/test_kubeconfig.XXXXXX";

static char *put(const char *name, const char *text)
{
	char *path = mesh_xasprintf("%s/%s", dir, name);

	if (mesh_file_write(path, mesh_slice_str(text), 0600) < 0)
		abort();
	return path;
}

static const char *first_error(const struct mesh_errs *errs)
{
	static struct mesh_buf text;

	mesh_buf_clear(&text);
	if (errs->list.count)
		mesh_err_format(&errs->list.items[0], &text);
	return text.data ? text.data : "";
}

static const char full[] =
	"apiVersion: v1\nkind: Config\ncurrent-context: b\n"
	"clusters:\n"
	"- name: c1\n  cluster: {server: 'https://10.0.0.1:6443/', insecure-skip-tls-verify: true}\n"
	"- name: c2\n  cluster:\n    server: https://api.example/k8s\n    tls-server-name: kubernetes\n"
	"    certificate-authority: pki/ca.crt\n    proxy-url: http://p:3128\n"
	"users:\n"
	"- name: u1\n  user: {token: abc}\n"
	"- name: u2\n  user:\n    client-certificate-data: SGVsbG8=\n    client-key: /k.pem\n"
	"- name: u3\n  user: {exec: {command: x}}\n"
	"- name: u4\n  user: {client-key-data: '*'}\n"
	"contexts:\n"
	"- {name: a, context: {cluster: c1, user: u1, namespace: coolapp}}\n"
	"- {name: b, context: {cluster: c2, user: u2}}\n"
	"- {name: c, context: {cluster: c2, user: u3}}\n"
	"- {name: d, context: {cluster: c2, user: u4}}\n"
	"- {name: e, context: {cluster: c9, user: u1}}\n"
	"- {name: f, context: {cluster: c1, user: u9}}\n";

TEST(reads_the_current_context)
{
	mesh_auto_free char *path = put("full", full), *ca = mesh_xasprintf("%s/pki/ca.crt", dir);
	struct mesh_kubeconfig c = {0};
	struct mesh_errs errs = {0};

	CHECK_INT(mesh_kubeconfig_read(path, NULL, &c, &errs), 0);
	CHECK_STR(c.context, "b");
	CHECK_STR(c.file, path);
	CHECK_STR(c.server, "https://api.example/k8s");
	CHECK_STR(c.server_name, "kubernetes");
	CHECK_STR(c.proxy, "http://p:3128");
	CHECK_STR(c.ca_file, ca);
	CHECK_STR(c.cert_data, "Hello");
	CHECK(!c.cert_file && !c.key_data && !c.token && !c.insecure);
	CHECK_STR(c.key_file, "/k.pem");
	CHECK_STR(c.namespace, "default");
	mesh_kubeconfig_free(&c);
}

TEST(reads_the_named_context)
{
	mesh_auto_free char *path = put("full", full);
	struct mesh_kubeconfig c = {0};

	CHECK_INT(mesh_kubeconfig_read(path, "a", &c, NULL), 0);
	CHECK_STR(c.server, "https://10.0.0.1:6443");
	CHECK_STR(c.namespace, "coolapp");
	CHECK_STR(c.token, "abc");
	CHECK(c.insecure);
	mesh_kubeconfig_free(&c);
}

TEST(refuses_what_is_missing)
{
	static const struct {
		const char *context, *error;
	} rows[] = {
		{"c", "user \"u3\": \"exec\" is not supported: give a token or a client certificate"},
		{"d", "client-key-data: not base64"},
		{"e", "no cluster is named \"c9\""},
		{"f", "no user is named \"u9\""},
		{"g", "no context is named \"g\""},
	};
	mesh_auto_free char *path = put("full", full);

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		mesh_auto_free char *want = mesh_xasprintf("%s: %s", path, rows[i].error);
		struct mesh_kubeconfig c = {0};
		struct mesh_errs errs = {0};

		CHECK_INT(mesh_kubeconfig_read(path, rows[i].context, &c, &errs), -EINVAL);
		CHECK_STR(first_error(&errs), want);
		CHECK(!c.server);
		mesh_errs_free(&errs);
	}
}

TEST(refuses_no_file_and_no_context)
{
	mesh_auto_free char *empty = put("empty", "clusters: []\n"), *none = mesh_xasprintf("%s/none", dir);
	mesh_auto_free char *want = mesh_xasprintf("%s: current-context is not set", empty);
	mesh_auto_free char *want2 = mesh_xasprintf("%s: cannot read the kubeconfig: No such file or directory", none);
	struct mesh_kubeconfig c = {0};
	struct mesh_errs errs = {0}, errs2 = {0};

	CHECK_INT(mesh_kubeconfig_read(empty, NULL, &c, &errs), -EINVAL);
	CHECK_STR(first_error(&errs), want);
	CHECK_INT(mesh_kubeconfig_read(none, NULL, &c, &errs2), -ENOENT);
	CHECK_STR(first_error(&errs2), want2);
	mesh_errs_free(&errs);
	mesh_errs_free(&errs2);
}

TEST(merges_several_files)
{
	mesh_auto_free char *one = put("one", "current-context: x\ncontexts: [{name: x, context: {cluster: c1, user: "
					      "u1}}]\nusers: [{name: u1, user: {token: first}}]\n");
	mesh_auto_free char *two = put("full", full), *paths = mesh_xasprintf("%s/no:%s:%s", dir, one, two);
	struct mesh_kubeconfig c = {0};

	CHECK_INT(mesh_kubeconfig_read(paths, NULL, &c, NULL), 0);
	CHECK_STR(c.context, "x");
	CHECK_STR(c.file, one);
	CHECK_STR(c.token, "first");
	CHECK_STR(c.server, "https://10.0.0.1:6443");
	mesh_kubeconfig_free(&c);
}

TEST(finds_the_service_account)
{
	mesh_auto_free char *token = put("token", "t0k\n"), *ns = put("namespace", "istio-system");
	struct mesh_kubeconfig c = {0};
	struct mesh_errs errs = {0};

	unsetenv("KUBERNETES_SERVICE_HOST");
	CHECK_INT(mesh_kubeconfig_in_cluster(dir, &c, &errs), -ENOENT);
	mesh_errs_free(&errs);
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	CHECK_INT(mesh_kubeconfig_in_cluster(dir, &c, NULL), 0);
	unsetenv("KUBERNETES_SERVICE_HOST");
	CHECK_STR(c.server, "https://[fd00::1]:443");
	CHECK_STR(c.token_file, token);
	CHECK_STR(c.namespace, "istio-system");
	mesh_kubeconfig_free(&c);
}

TEST(yaml_types_plain_scalars_only)
{
	json_t *v = mesh_yaml_read(
		"f", MESH_SLICE("a: true\nb: 'true'\nc: 12\nd: 012\ne: ~\nf: [x, {y: -1}]\ng: 1.5\n"), NULL);
	mesh_auto_free char *text = json_dumps(v, JSON_COMPACT);

	CHECK_STR(text, "{\"a\":true,\"b\":\"true\",\"c\":12,\"d\":\"012\",\"e\":null,\"f\":[\"x\",{\"y\":-1}],\"g\":"
			"\"1.5\"}");
	json_decref(v);
}

TEST(yaml_says_where)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{"a: [1\nb: 2\n", "f:2:2: did not find expected ',' or ']'"},
		{"- a\n", "f:1:1: not a mapping"},
		{"a: &x 1\nb: *x\n", "f:2:4: an alias is not supported here"},
		{"", "f:1:1: not a mapping"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		struct mesh_errs errs = {0};

		CHECK(!mesh_yaml_read("f", mesh_slice_str(rows[i].text), &errs));
		CHECK_STR(first_error(&errs), rows[i].error);
		mesh_errs_free(&errs);
	}
}

int main(int argc, char **argv)
{
	char command[64];
	int r;

	if (!mkdtemp(dir))
		return 1;
	r = test_main(argc, argv);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) || r;
}
