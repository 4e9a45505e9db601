/* SPDX-License-Identifier: Apache-2.0 */
/* Which API meshctl finds, what words mean which kinds, and objects' names. */
#include "test.h"

#include "core/mem.h"
#include "ctl/find_api.h"
#include "ctl/resource.h"

#include <errno.h>
#include <sys/stat.h>

TEST(lists_labs)
{
	char dir[] = "/tmp/test_ctl_find.XXXXXX";
	mesh_auto(mesh_lab_list_free) struct mesh_lab_list labs = {0};
	const char *const names[] = {"one", "two"};
	char command[64];

	CHECK(mkdtemp(dir));
	for (size_t i = 0; i < 2; i++) {
		mesh_auto_free char *lab = mesh_xasprintf("%s/%s", dir, names[i]);
		mesh_auto_free char *file = mesh_xasprintf("%s/kubeconfig", lab);

		CHECK_INT(mkdir(lab, 0700), 0);
		CHECK_INT(mesh_file_write(file, MESH_SLICE("x"), 0600), 0);
	}
	mesh_lab_list_read(dir, &labs);
	CHECK_INT(labs.list.count, 2);
	CHECK(strstr(labs.list.items[0], "/one/kubeconfig"));
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	CHECK_INT(system(command), 0);
}

TEST(what_was_said_comes_first)
{
	mesh_auto_free char *file = NULL, *env = NULL;

	setenv("KUBECONFIG", "/elsewhere", 1);
	CHECK_INT(mesh_find_api("/said", &file, NULL), 0);
	CHECK_STR(file, "/said");
	CHECK_INT(mesh_find_api(NULL, &env, NULL), 0);
	CHECK(!env);
}

static struct mesh_resource *add(struct mesh_resources *r, const char *group, const char *version, const char *plural,
				 const char *kind, bool preferred)
{
	struct mesh_resource *res = mesh_xcalloc(1, sizeof(*res));

	res->group = mesh_xstrdup(group);
	res->version = mesh_xstrdup(version);
	res->plural = mesh_xstrdup(plural);
	res->singular = mesh_xstrndup(plural, strlen(plural) - 1);
	res->kind = mesh_xstrdup(kind);
	res->preferred = preferred;
	res->namespaced = strcmp(plural, "namespaces") != 0;
	mesh_vec_push(&r->list, res);
	return res;
}

TEST(words)
{
	struct mesh_resources *r = mesh_xcalloc(1, sizeof(*r));
	struct mesh_resource *ns = add(r, "", "v1", "namespaces", "Namespace", true);
	struct mesh_resource *svc = add(r, "", "v1", "services", "Service", true);
	struct mesh_resource *v1 = add(r, "networking.istio.io", "v1", "virtualservices", "VirtualService", true);
	struct mesh_resource *b1 = add(r, "networking.istio.io", "v1beta1", "virtualservices", "VirtualService", false);
	struct mesh_resource *old = add(r, "x.io", "v2", "services", "Service", true);
	mesh_auto_free char *a = mesh_resource_path(v1, "n s", "a"), *b = mesh_resource_path(ns, "x", "y");
	mesh_auto_free char *c = mesh_resource_path(svc, NULL, NULL), *d = mesh_resource_full(v1),
			    *e = mesh_resource_full(svc);
	mesh_auto_free char *f = mesh_object_name("networking.istio.io", "VirtualService", "a");

	mesh_vec_push(&v1->short_names, mesh_xstrdup("vs"));
	CHECK(mesh_resource_by_word(r, "vs") == v1);
	CHECK(mesh_resource_by_word(r, "VirtualService") == v1);
	CHECK(mesh_resource_by_word(r, "virtualservices.networking.istio.io") == v1);
	CHECK(mesh_resource_by_word(r, "virtualservices.v1beta1.networking.istio.io") == b1);
	CHECK(mesh_resource_by_word(r, "services") == svc);
	CHECK(mesh_resource_by_word(r, "services.x.io") == old);
	CHECK(!mesh_resource_by_word(r, "services.y.io"));
	CHECK(!mesh_resource_by_word(r, "servic"));
	CHECK(mesh_resource_by_kind(r, "networking.istio.io/v1beta1", "VirtualService") == b1);
	CHECK(mesh_resource_by_kind(r, "v1", "Service") == svc);
	CHECK(!mesh_resource_by_kind(r, "v2", "Service"));
	CHECK_STR(a, "/apis/networking.istio.io/v1/namespaces/n%20s/virtualservices/a");
	CHECK_STR(b, "/api/v1/namespaces/y");
	CHECK_STR(c, "/api/v1/services");
	CHECK_STR(d, "virtualservices.networking.istio.io");
	CHECK_STR(e, "services");
	CHECK_STR(f, "virtualservice.networking.istio.io/a");
	mesh_resources_free(r);
}

TEST_MAIN()
