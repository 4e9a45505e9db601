/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "core/mem.h"
#include "ctl/jsonpath.h"

#include <errno.h>

static const char document[] =
	"{\"kind\":\"List\",\"n\":3,\"f\":0.5,\"t\":true,\"nul\":null,\"a.b\":\"dotted\",\"items\":["
	"{\"metadata\":{\"name\":\"one\",\"labels\":{\"app\":\"x\",\"a/b\":\"s\"}},\"w\":70,\"on\":true},"
	"{\"metadata\":{\"name\":\"two\"},\"w\":30,\"on\":false},"
	"{\"metadata\":{\"name\":\"three\"},\"w\":5}]}";

static char *run(const char *template)
{
	struct mesh_jsonpath *p = NULL;
	struct mesh_buf out = {0};
	json_t *doc = json_loads(document, 0, NULL);

	if (mesh_jsonpath_new(&p, template, NULL) == 0)
		mesh_jsonpath_run(p, doc, &out);
	mesh_jsonpath_free(p);
	json_decref(doc);
	return mesh_buf_steal(&out);
}

TEST(finds)
{
	static const struct {
		const char *template, *out;
	} rows[] = {
		{"{.kind}", "List"},
		{"{$.kind}", "List"},
		{"{kind}", "List"},
		{"kind is {.kind}{\"\\n\"}", "kind is List\n"},
		{"{.n} {.f} {.t} {.nul}", "3 0.5 true "},
		{"{.missing}", ""},
		{"{.items[0].metadata.name}", "one"},
		{"{.items[-1].metadata.name}", "three"},
		{"{.items[-2].metadata.name}", "two"},
		{"{.items[9].metadata.name}", ""},
		{"{.items[*].metadata.name}", "one two three"},
		{"{.items[0:2].w}", "70 30"},
		{"{.items[1:].w}", "30 5"},
		{"{.items[::2].w}", "70 5"},
		{"{.items[0,2].w}", "70 5"},
		{"{.items[*].metadata['name']}", "one two three"},
		{"{.items[0].metadata.labels.a/b}", "s"},
		{"{.items[0].metadata.labels['a/b']}", "s"},
		{"{.a\\.b}", "dotted"},
		{"{['a.b']}", "dotted"},
		{"{..name}", "one two three"},
		{"{.items[?(@.w==70)].metadata.name}", "one"},
		{"{.items[?(@.w<50)].metadata.name}", "two three"},
		{"{.items[?(@.metadata.name!=\"one\")].w}", "30 5"},
		{"{.items[?(@.metadata.labels)].w}", "70"},
		{"{.items[?(@.on==true)].w}", "70"},
		{"{.items[0].metadata.labels}", "{\"a/b\":\"s\",\"app\":\"x\"}"},
		{"{range .items[*]}{.metadata.name}={.w},{end}", "one=70,two=30,three=5,"},
		{"{range .items[*]}[{.metadata.name}]{'\\t'}{end}!", "[one]\t[two]\t[three]\t!"},
		{"{.kind,.n}", "List 3"},
		{"{.items[*]['w','on']}", "70 true 30 false 5"},
		{"", ""},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		mesh_auto_free char *out = run(rows[i].template);

		if (strcmp(out, rows[i].out) != 0)
			printf("  template %s\n", rows[i].template);
		CHECK_STR(out, rows[i].out);
	}
}

TEST(refuses)
{
	static const struct {
		const char *template, *error;
	} rows[] = {
		{"{.a", "error parsing jsonpath: unclosed action at \"\""},
		{"{.a[}", "error parsing jsonpath: invalid array index at \"}\""},
		{"{.a[0}", "error parsing jsonpath: unterminated array at \"}\""},
		{"{.a[?(@.x==1]}", "error parsing jsonpath: unterminated filter at \"]}\""},
		{"{\"abc}", "error parsing jsonpath: unterminated quoted string at \"\""},
		{"{end}", "error parsing jsonpath: not in range, nothing to end at \"\""},
		{"{range .a[*]}x", "error parsing jsonpath: a range without end at \"\""},
		{"{.a[0:1:0]}", "error parsing jsonpath: step must be > 0 at \"]}\""},
		{"{#}", "error parsing jsonpath: unrecognized character at \"#}\""},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		struct mesh_jsonpath *p = NULL;
		struct mesh_errs errs = {0};

		CHECK_INT(mesh_jsonpath_new(&p, rows[i].template, &errs), -EINVAL);
		CHECK(!p);
		CHECK_INT(errs.list.count, 1);
		CHECK_STR(errs.list.items[0].text, rows[i].error);
		mesh_errs_free(&errs);
	}
}

/* Any beginning of a template is taken or refused, never more. */
TEST(every_beginning_is_safe)
{
	static const char whole[] = "a{range .items[?(@.w>=5)]}{.metadata['name','x']}{\"\\n\"}{end}{..name[0:1:2]}";

	for (size_t n = 0; n < sizeof(whole); n++) {
		mesh_auto_free char *part = mesh_xstrndup(whole, n), *out = run(part);

		CHECK(out);
	}
}

TEST(relaxed_paths)
{
	mesh_auto_free char *a = mesh_jsonpath_relaxed(".spec.x"), *b = mesh_jsonpath_relaxed("spec.x");
	mesh_auto_free char *c = mesh_jsonpath_relaxed("{.spec.x}"), *d = mesh_jsonpath_relaxed("[0]");

	CHECK_STR(a, "{.spec.x}");
	CHECK_STR(b, "{.spec.x}");
	CHECK_STR(c, "{.spec.x}");
	CHECK_STR(d, "{[0]}");
}

TEST_MAIN()
