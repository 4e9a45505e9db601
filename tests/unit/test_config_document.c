/* SPDX-License-Identifier: Apache-2.0 */
#include "config/document.h"
#include "test.h"

static int parse(const char *text, struct mesh_documents *docs, struct mesh_buf *out)
{
	struct mesh_errs errs = {0};
	int r = mesh_documents_parse("f.yaml", mesh_slice_str(text), docs, &errs);

	mesh_errs_format(&errs, out);
	mesh_buf_str(out, "");
	mesh_errs_free(&errs);
	return r;
}

/* The only document as compact JSON, or the errors. */
static char *as_json(const char *text)
{
	struct mesh_documents docs = {0};
	struct mesh_buf out = {0};
	char *s;

	if (parse(text, &docs, &out) < 0)
		return mesh_buf_steal(&out);
	s = docs.list.count == 1 ? json_dumps(docs.list.items[0].value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	mesh_buf_free(&out);
	mesh_documents_free(&docs);
	return s ? s : mesh_xstrdup("(not one document)");
}

#define CHECK_JSON(text, want)                                                                                         \
	do {                                                                                                           \
		mesh_auto_free char *_s = as_json(text);                                                               \
		CHECK_STR(_s, want);                                                                                   \
	} while (0)

TEST(scalars)
{
	CHECK_JSON("a: 1\nb: -2\nc: 0x10\nd: 0o17\ne: 017\nf: 1_000",
		   "{\"a\":1,\"b\":-2,\"c\":16,\"d\":15,\"e\":15,\"f\":1000}");
	CHECK_JSON("a: 1.5\nb: 1e3\nc: .5\nd: 1.2.3\ne: '-'",
		   "{\"a\":1.5,\"b\":1000,\"c\":0.5,\"d\":\"1.2.3\",\"e\":\"-\"}");
	CHECK_JSON("a: yes\nb: Off\nc: true\nd: ~\ne:\nf: null",
		   "{\"a\":true,\"b\":false,\"c\":true,\"d\":null,\"e\":null,\"f\":null}");
	CHECK_JSON("a: \"yes\"\nb: '5'\nc: !!str 5\nd: 2020-01-02",
		   "{\"a\":\"yes\",\"b\":\"5\",\"c\":\"5\",\"d\":\"2020-01-02\"}");
	CHECK_JSON("a: |\n  x\n  y\nb: >\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\\n\"}");
	CHECK_JSON("80: x\ntrue: z\n", "{\"80\":\"x\",\"true\":\"z\"}");
	CHECK_JSON("a: 9223372036854775807\nb: 100.0", "{\"a\":9223372036854775807,\"b\":100}");
}

TEST(anchors)
{
	CHECK_JSON("a: &x {b: 1, c: 2}\nd: *x\n", "{\"a\":{\"b\":1,\"c\":2},\"d\":{\"b\":1,\"c\":2}}");
	CHECK_JSON("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n", "{\"a\":{\"b\":1,\"c\":2},\"d\":{\"c\":3,\"b\":1}}");
	CHECK_JSON("a: &x\n  b: *x\n", "f.yaml:1:4: nested too deeply\n");
	CHECK_JSON("a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
		   "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
		   "e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n",
		   "f.yaml:1:12: aliases expand to too much\n");
}

TEST(several_documents)
{
	struct mesh_documents docs = {0};
	struct mesh_buf out = {0};

	CHECK_INT(parse("kind: A\n---\nkind: B\n---\n", &docs, &out), 0);
	CHECK_INT(docs.list.count, 2);
	CHECK_STR(json_string_value(json_object_get(docs.list.items[1].value, "kind")), "B");
	mesh_documents_free(&docs);
	CHECK_INT(parse("---\n# nothing\n---\n", &docs, &out), 0);
	CHECK_INT(docs.list.count, 0);
	mesh_documents_free(&docs);
	CHECK_INT(parse("{\"kind\":\"A\"}\n{\"kind\":\"B\"}", &docs, &out), 0);
	CHECK_INT(docs.list.count, 2);
	mesh_documents_free(&docs);
	CHECK_INT(parse("apiVersion: v1\nkind: List\nitems:\n- kind: A\n  x: 1\n- kind: B\n", &docs, &out), 0);
	CHECK_INT(docs.list.count, 2);
	CHECK(mesh_map_get_str(&docs.list.items[0].positions, "x"));
	CHECK_INT(((struct mesh_position *)mesh_map_get_str(&docs.list.items[0].positions, "x"))->line, 5);
	mesh_documents_free(&docs);
	mesh_buf_free(&out);
}

TEST(json)
{
	CHECK_JSON("{\"a\": [1, 2.5, true, null, \"x\\n\\u00e4\\ud83d\\ude00\"]}",
		   "{\"a\":[1,2.5,true,null,\"x\\n\xc3\xa4\xf0\x9f\x98\x80\"]}");
	CHECK_JSON("{a: b}", "{\"a\":\"b\"}");
	CHECK_JSON("{\"a\": 1,}", "{\"a\":1}"); /* a flow mapping of YAML */
	CHECK_JSON("{\"a\": tru", "f.yaml:1:7: invalid JSON: an unexpected character\n");
	CHECK_JSON("{\"a\":1}\n x", "f.yaml:2:2: invalid JSON: an unexpected character\n");
}

TEST(json_body)
{
	struct mesh_errs errs = {0}, duplicates = {0};
	json_t *v = NULL;

	CHECK_INT(mesh_json_parse(MESH_SLICE("{\"spec\":{\"http\":[{\"x\":1,\"x\":2}]}}"), &v, &errs, &duplicates), 0);
	CHECK_INT(duplicates.list.count, 1);
	CHECK_STR(duplicates.list.items[0].path, "spec.http[0].x");
	json_decref(v);
	v = NULL;
	CHECK(mesh_json_parse(MESH_SLICE("{\"a\":1} 2"), &v, &errs, NULL) < 0);
	CHECK(!v);
	CHECK_INT(errs.list.count, 1);
	CHECK_STR(errs.list.items[0].text, "invalid JSON: something follows the value");
	mesh_errs_free(&errs);
	mesh_errs_free(&duplicates);
}

TEST(bad_text)
{
	CHECK_JSON("a: 1\na: 2\n", "f.yaml:2:1: a: duplicate field\n");
	CHECK_JSON("- a\n", "f.yaml:1:1: not an object: apiVersion, kind and metadata are expected\n");
	CHECK_JSON("a: [1\n",
		   "f.yaml:2:1: invalid YAML: did not find expected ',' or ']' while parsing a flow sequence\n");
	CHECK_JSON("a: b: c\n", "f.yaml:1:5: invalid YAML: mapping values are not allowed in this context\n");
	CHECK_JSON("? [a]\n: b\n", "f.yaml:1:3: a key must be a plain value\n");
	CHECK_JSON("a: \"\\0\"\n", "f.yaml:1:4: a NUL character in a text\n");
}

static const char routes[] = "apiVersion: networking.istio.io/v1\n"
			     "kind: VirtualService\n"
			     "metadata:\n"
			     "  name: reviews\n"
			     "spec:\n"
			     "  hosts: [reviews]\n"
			     "  http:\n"
			     "  - fault: {}\n"
			     "    rout: []\n"
			     "    route:\n"
			     "    - destination: {host: reviews}\n"
			     "      weight: x\n";

TEST(positions)
{
	struct mesh_errs errs = {0}, warnings = {0}, unknown = {0};
	struct mesh_documents docs = {0};
	struct mesh_buf out = {0};

	CHECK_INT(parse(routes, &docs, &out), 0);
	CHECK(mesh_object_check(mesh_kind_by_word("vs"), docs.list.items[0].value, NULL, &errs, &warnings, &unknown) <
	      0);
	mesh_errs_locate(&errs, &docs.list.items[0]);
	mesh_errs_locate(&warnings, &docs.list.items[0]);
	mesh_errs_locate(&unknown, &docs.list.items[0]);
	mesh_errs_format(&errs, &out);
	mesh_errs_format(&warnings, &out);
	mesh_errs_format(&unknown, &out);
	CHECK_STR(out.data,
		  "f.yaml:12:7: VirtualService reviews: spec.http[0].route[0].weight: Invalid value: \"string\": "
		  "spec.http[0].route[0].weight in body must be of type integer: \"string\"\n"
		  "f.yaml:8:5: VirtualService reviews: spec.http[0].fault: accepted, but not supported yet: "
		  "it has no effect\n"
		  "f.yaml:9:5: VirtualService reviews: spec.http[0].rout: unknown field (did you mean \"route\"?)\n");
	mesh_errs_free(&errs);
	mesh_errs_free(&warnings);
	mesh_errs_free(&unknown);
	mesh_buf_free(&out);
	mesh_documents_free(&docs);
}

TEST(limits)
{
	struct mesh_buf deep = {0}, out = {0};
	struct mesh_documents docs = {0};

	for (int i = 0; i < 100; i++)
		mesh_buf_str(&deep, "{\"a\":");
	CHECK(parse(deep.data, &docs, &out) < 0);
	CHECK(strstr(out.data, "nested too deeply"));
	mesh_buf_clear(&deep);
	memset(mesh_buf_room(&deep, 4 << 20), ' ', 4 << 20);
	deep.len = 4 << 20;
	deep.data[deep.len] = '\0';
	mesh_buf_clear(&out);
	CHECK(parse(deep.data, &docs, &out) < 0);
	CHECK_STR(out.data, "f.yaml: longer than 3145728 bytes\n");
	mesh_buf_free(&deep);
	mesh_buf_free(&out);
}

TEST_MAIN()
