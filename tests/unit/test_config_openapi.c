/* SPDX-License-Identifier: Apache-2.0 */
#include "config/columns.h"
#include "config/document.h"
#include "test.h"

/* Follows keys that are separated by "|". */
static const json_t *at(const json_t *v, const char *path)
{
	struct mesh_slice rest = mesh_slice_str(path), key;

	while (v && mesh_slice_split(&rest, '|', &key)) {
		if (json_is_array(v))
			v = json_array_get(v, (size_t)atoi(key.ptr));
		else
			v = json_object_getn(v, key.ptr, key.len);
	}
	return v;
}

static const char *text_at(const json_t *v, const char *path)
{
	return json_string_value(at(v, path));
}

TEST(definitions)
{
	json_t *crd = mesh_kind_crd(mesh_kind_by_word("vs"));
	const char *version = "spec|versions|0|schema|openAPIV3Schema|properties|spec|properties|";
	char path[512];

	CHECK_STR(text_at(crd, "metadata|name"), "virtualservices.networking.istio.io");
	CHECK_STR(text_at(crd, "spec|names|shortNames|0"), "vs");
	CHECK_STR(text_at(crd, "spec|scope"), "Namespaced");
	CHECK_INT(json_array_size(at(crd, "spec|versions")), 3);
	CHECK(json_is_true(at(crd, "spec|versions|0|storage")) && json_is_false(at(crd, "spec|versions|1|storage")));
	CHECK_STR(text_at(crd, "spec|versions|0|additionalPrinterColumns|1|jsonPath"), ".spec.hosts");
	CHECK(json_is_object(at(crd, "spec|versions|0|subresources|status")));
	snprintf(path, sizeof(path), "%shttp|items|properties|route|items|required|0", version);
	CHECK_STR(text_at(crd, path), "destination");
	snprintf(path, sizeof(path), "%shttp|items|properties|match|items|properties|uri|oneOf|1|required|0", version);
	CHECK_STR(text_at(crd, path), "exact");
	json_decref(crd);
}

/* A structural schema has a type everywhere but where anything is allowed, and no references. */
static void structural(const json_t *s, const char *where)
{
	const char *key;
	json_t *v;

	if (!json_object_get(s, "type") && !json_object_get(s, "x-kubernetes-int-or-string") &&
	    !json_object_get(s, "x-kubernetes-preserve-unknown-fields")) {
		printf("  %s has no type\n", where);
		test_failed = 1;
	}
	if (json_object_get(s, "$ref")) {
		printf("  %s is a reference\n", where);
		test_failed = 1;
	}
	json_object_foreach(json_object_get(s, "properties"), key, v) structural(v, key);
	if (json_object_get(s, "items"))
		structural(json_object_get(s, "items"), where);
	if (json_object_get(s, "additionalProperties"))
		structural(json_object_get(s, "additionalProperties"), where);
}

TEST(definitions_are_structural)
{
	size_t count;
	const struct mesh_kind *const *kinds = mesh_kinds(&count);

	for (size_t i = 0; i < count; i++) {
		json_t *crd;

		if (!(kinds[i]->flags & MESH_KIND_CRD))
			continue;
		crd = mesh_kind_crd(kinds[i]);
		structural(at(crd, "spec|versions|0|schema|openAPIV3Schema"), kinds[i]->kind);
		json_decref(crd);
	}
}

TEST(version_3)
{
	json_t *doc = mesh_openapi_v3("networking.istio.io", "v1beta1"), *apps = mesh_openapi_v3("apps", "v1");
	const json_t *vs = at(doc, "components|schemas|io.istio.networking.v1beta1.VirtualService");
	const json_t *patch =
		at(doc, "paths|/apis/networking.istio.io/v1beta1/namespaces/{namespace}/virtualservices/{name}|patch");

	CHECK(!mesh_openapi_v3("networking.istio.io", "v9"));
	CHECK_STR(text_at(vs, "x-kubernetes-group-version-kind|0|kind"), "VirtualService");
	CHECK_STR(text_at(vs, "properties|metadata|allOf|0|$ref"),
		  "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
	CHECK(at(doc, "components|schemas|io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
	CHECK_STR(text_at(patch, "parameters|0|name"), "dryRun");
	CHECK_STR(text_at(patch, "parameters|2|name"), "fieldValidation");
	CHECK_STR(text_at(patch, "x-kubernetes-group-version-kind|version"), "v1beta1");
	CHECK_STR(text_at(apps, "components|schemas|io.k8s.api.core.v1.PodSpec|properties|containers|x-kubernetes-"
				"patch-merge-key"),
		  "name");
	CHECK_STR(text_at(apps, "components|schemas|io.k8s.api.apps.v1.DeploymentSpec|properties|strategy|x-kubernetes-"
				"patch-strategy"),
		  "retainKeys");
	json_decref(doc);
	json_decref(apps);
}

/* Each reference leads somewhere. */
static void follow(const json_t *v, const json_t *definitions, size_t prefix)
{
	const char *key, *ref = json_string_value(json_object_get(v, "$ref"));
	json_t *item;
	size_t i;

	if (ref && !json_object_get(definitions, ref + prefix)) {
		printf("  %s leads nowhere\n", ref);
		test_failed = 1;
	}
	json_object_foreach((json_t *)v, key, item) follow(item, definitions, prefix);
	json_array_foreach(v, i, item) follow(item, definitions, prefix);
}

TEST(references_lead_somewhere)
{
	json_t *index = mesh_openapi_v3_index(), *v2 = mesh_openapi_v2(), *v;
	const char *key;

	CHECK(json_object_size(json_object_get(index, "paths")) >= 15);
	json_object_foreach(json_object_get(index, "paths"), key, v)
	{
		mesh_auto_free char *group = mesh_xstrdup(strncmp(key, "apis/", 5) == 0 ? key + 5 : "/v1");
		char *slash = strrchr(group, '/');
		json_t *doc;

		*slash = '\0';
		CHECK(strstr(json_string_value(json_object_get(v, "serverRelativeURL")), "?hash="));
		doc = mesh_openapi_v3(group, slash + 1);
		CHECK(doc);
		follow(doc, at(doc, "components|schemas"), strlen("#/components/schemas/"));
		json_decref(doc);
	}
	follow(v2, json_object_get(v2, "definitions"), strlen("#/definitions/"));
	json_decref(index);
	json_decref(v2);
}

/* ---- a reader of protobuf, to count what was written ---- */

struct message {
	const unsigned char *at, *end;
};

static uint64_t varint(struct message *m)
{
	uint64_t v = 0;

	for (unsigned shift = 0; m->at < m->end && shift < 64; shift += 7) {
		unsigned char c = *m->at++;

		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			break;
	}
	return v;
}

/* The next field; false at the end. */
static bool next_field(struct message *m, unsigned *number, struct message *value)
{
	uint64_t tag, len;

	if (m->at >= m->end)
		return false;
	tag = varint(m);
	*number = (unsigned)(tag >> 3);
	if ((tag & 7) == 0) {
		varint(m);
		*value = (struct message){m->at, m->at};
		return true;
	}
	len = (tag & 7) == 1 ? 8 : varint(m);
	*value = (struct message){m->at, m->at + len};
	m->at += len;
	return true;
}

static bool find_field(struct message m, unsigned number, struct message *value)
{
	unsigned n;

	while (next_field(&m, &n, value))
		if (n == number)
			return true;
	return false;
}

static bool is_text(struct message m, const char *want)
{
	return (size_t)(m.end - m.at) == strlen(want) && memcmp(m.at, want, strlen(want)) == 0;
}

TEST(protobuf)
{
	json_t *v2 = mesh_openapi_v2();
	struct mesh_buf out = {0};
	struct message doc, value, named, name, schema, properties;
	unsigned number;
	size_t definitions = 0, found = 0;

	mesh_openapi_v2_protobuf(&out);
	doc = (struct message){(unsigned char *)out.data, (unsigned char *)out.data + out.len};
	CHECK(find_field(doc, 1, &value) && is_text(value, "2.0"));
	CHECK(find_field(doc, 9, &value));
	while (next_field(&value, &number, &named)) {
		CHECK_INT(number, 1);
		CHECK(find_field(named, 1, &name) && find_field(named, 2, &schema));
		definitions++;
		if (!is_text(name, "io.k8s.api.apps.v1.DeploymentSpec"))
			continue;
		CHECK(find_field(schema, 25, &properties));
		while (next_field(&properties, &number, &named))
			if (find_field(named, 1, &name) && is_text(name, "template") && find_field(named, 2, &schema) &&
			    find_field(schema, 1, &name))
				found += is_text(name, "#/definitions/io.k8s.api.core.v1.PodTemplateSpec");
	}
	CHECK_INT(definitions, json_object_size(json_object_get(v2, "definitions")));
	CHECK_INT(found, 1);
	mesh_buf_free(&out);
	json_decref(v2);
}

TEST_MAIN()
