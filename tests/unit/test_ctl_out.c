/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, YAML and columns as kubectl prints them. */
#include "test.h"

#include "core/mem.h"
#include "ctl/describe.h"
#include "ctl/json_out.h"
#include "ctl/print.h"
#include "ctl/tabs.h"

static char *yaml(const char *json)
{
	struct mesh_buf out = {0};
	json_t *v = json_loads(json, JSON_DECODE_ANY, NULL);

	if (!v)
		abort();
	mesh_yaml_out(&out, v);
	json_decref(v);
	return mesh_buf_steal(&out);
}

TEST(yaml_quotes_what_would_be_read_as_something_else)
{
	static const struct {
		const char *json, *yaml;
	} rows[] = {
		{"\"plain text\"", "plain text\n"},
		{"\"\"", "\"\"\n"},
		{"\"true\"", "\"true\"\n"},
		{"\"y\"", "\"y\"\n"},
		{"\"Off\"", "\"Off\"\n"},
		{"\"null\"", "\"null\"\n"},
		{"\"~\"", "\"~\"\n"},
		{"\"12\"", "\"12\"\n"},
		{"\"1_000\"", "\"1_000\"\n"},
		{"\"0x1f\"", "\"0x1f\"\n"},
		{"\"1.5e3\"", "\"1.5e3\"\n"},
		{"\".inf\"", "\".inf\"\n"},
		{"\"1.2.3\"", "1.2.3\n"},
		{"\"190:20:30\"", "\"190:20:30\"\n"},
		{"\"10:99\"", "10:99\n"},
		{"\"2026-11-22\"", "\"2026-11-22\"\n"},
		{"\"2026-11-22T21:43:16Z\"", "\"2026-11-22T21:43:16Z\"\n"},
		{"\"2026-11-22x\"", "2026-11-22x\n"},
		{"\"a: b\"", "'a: b'\n"},
		{"\"*\"", "'*'\n"},
		{"\"@x\"", "'@x'\n"},
		{"\"#x\"", "'#x'\n"},
		{"\"- a\"", "'- a'\n"},
		{"\"a\\nb\"", "|-\n  a\n  b\n"},
		{"\"a\\n\"", "|\n  a\n"},
		{"\"a\\n\\n\"", "|+\n  a\n\n"},
		{"\"100m\"", "100m\n"},
		{"true", "true\n"},
		{"null", "null\n"},
		{"12", "12\n"},
		{"0.5", "0.5\n"},
		{"100.0", "100\n"},
		{"[]", "[]\n"},
		{"{}", "{}\n"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		mesh_auto_free char *out = yaml(rows[i].json);

		CHECK_STR(out, rows[i].yaml);
	}
}

TEST(yaml_layout_and_order)
{
	mesh_auto_free char *out =
		yaml("{\"spec\":{\"hosts\":[\"catalog\"],\"http\":[{\"route\":[{\"weight\":70}],\"match\":[]}]},"
		     "\"kind\":\"V\",\"a10\":1,\"a9\":1,\"a.b\":1,\"aB\":{}}");

	CHECK_STR(out, "a.b: 1\na9: 1\na10: 1\naB: {}\nkind: V\nspec:\n  hosts:\n  - catalog\n  http:\n  - match: []\n"
		       "    route:\n    - weight: 70\n");
}

TEST(json_is_sorted_and_escaped)
{
	json_t *v = json_loads(
		"{\"b\":[1,{\"x\":null}],\"a\":\"<\\u2028\\\"\\n\\u0001é>&\",\"c\":{},\"d\":[],\"e\":1.0,\"f\":1e30}",
		0, NULL);
	mesh_auto(mesh_buf_free) struct mesh_buf flat = {0}, deep = {0};

	mesh_json_out(&flat, v, 0);
	CHECK_STR(flat.data,
		  "{\"a\":\"\\u003c\\u2028\\\"\\n\\u0001é\\u003e\\u0026\",\"b\":[1,{\"x\":null}],\"c\":{},\"d\":[],"
		  "\"e\":1,\"f\":1e+30}");
	json_object_del(v, "a");
	mesh_json_out(&deep, v, 4);
	CHECK_STR(deep.data,
		  "{\n    \"b\": [\n        1,\n        {\n            \"x\": null\n        }\n    ],\n    \"c\": {},\n"
		  "    \"d\": [],\n    \"e\": 1,\n    \"f\": 1e+30\n}");
	json_decref(v);
}

static char *columns(size_t min_width, size_t padding, const char *text)
{
	struct mesh_tabs t = {.min_width = min_width, .padding = padding};
	struct mesh_buf out = {0};

	mesh_buf_str(&t.text, text);
	mesh_tabs_flush(&t, &out);
	mesh_tabs_free(&t);
	return mesh_buf_steal(&out);
}

TEST(columns_are_as_wide_as_their_neighbours)
{
	mesh_auto_free char *table = columns(6, 3, "NAME\tAGE\na\t1s\nlonger-name\t\n");
	mesh_auto_free char *blocks = columns(0, 2, "A:\tx\nBBBB:\ty\nnone\nC:\tz\n");
	mesh_auto_free char *nested = columns(0, 2, "a\tb\tc\nlong\tbb\n\tx\ty\n");
	mesh_auto_free char *wide = columns(0, 1, "é\tx\nab\ty\n");

	CHECK_STR(table, "NAME          AGE\na             1s\nlonger-name   \n");
	CHECK_STR(blocks, "A:     x\nBBBB:  y\nnone\nC:  z\n");
	CHECK_STR(nested, "a     b  c\nlong  bb\n      x  y\n");
	CHECK_STR(wide, "é  x\nab y\n");
}

TEST(columns_never_get_narrower_if_so_asked)
{
	struct mesh_tabs t = {.padding = 1, .remember = true};
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};

	mesh_buf_str(&t.text, "abcd\tx\n");
	mesh_tabs_flush(&t, &out);
	mesh_buf_str(&t.text, "a\ty\n");
	mesh_tabs_flush(&t, &out);
	CHECK_STR(out.data, "abcd x\na    y\n");
	mesh_tabs_free(&t);
}

TEST(table_rows_follow_the_flags)
{
	json_t *table = json_loads(
		"{\"columnDefinitions\":[{\"name\":\"Name\",\"format\":\"name\"},{\"name\":\"Hosts\"},{\"name\":"
		"\"Wide\",\"priority\":1}],"
		"\"rows\":[{\"cells\":[\"a\",null,\"w\"],\"object\":{\"metadata\":{\"namespace\":\"ns\",\"labels\":{"
		"\"x\":\"1\","
		"\"b/"
		"c\":\"2\"}}}},{\"cells\":[\"b\",\"one\\ntwo\",3],\"object\":{\"metadata\":{\"namespace\":\"ns\"}}}]}",
		0, NULL);
	struct mesh_flags f = {.show_labels = true, .all_namespaces = true};
	struct mesh_table_opts o = {.flags = &f, .with_kind = true, .group = "g.io", .kind = "Kind"};
	struct mesh_tabs t = {0};

	mesh_vec_push(&f.label_columns.list, "b/c");
	mesh_table_rows(&t, table, json_object_get(table, "columnDefinitions"), &o);
	CHECK_STR(t.text.data, "NAMESPACE\tNAME\tHOSTS\tC\tLABELS\nns\tkind.g.io/a\t\t2\tb/c=2,x=1\nns\tkind.g.io/"
			       "b\tone...\t\t<none>\n");
	mesh_buf_clear(&t.text);
	o = (struct mesh_table_opts){.flags = &(struct mesh_flags){0}, .wide = true, .no_headers = true};
	mesh_table_rows(&t, table, json_object_get(table, "columnDefinitions"), &o);
	CHECK_STR(t.text.data, "a\t\tw\nb\tone...\t3\n");
	mesh_flags_free(&f);
	mesh_tabs_free(&t);
	json_decref(table);
}

TEST(field_names_become_words)
{
	static const struct {
		const char *field, *words;
	} rows[] = {
		{"apiVersion", "API Version"},
		{"uid", "UID"},
		{"creationTimestamp", "Creation Timestamp"},
		{"http", "Http"},
		{"baseEjectionTime", "Base Ejection Time"},
		{"hostHTTPPort", "Host HTTP Port"},
		{"h2UpgradePolicy", "h2UpgradePolicy"},
		{"x-y", "X - Y"},
		{"a.b/c", "a.b/c"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		mesh_auto_free char *words = mesh_describe_label_for(rows[i].field);

		CHECK_STR(words, rows[i].words);
	}
}

TEST(generic_description)
{
	json_t *obj =
		json_loads("{\"apiVersion\":\"g/"
			   "v1\",\"kind\":\"K\",\"metadata\":{\"name\":\"n\",\"namespace\":\"ns\",\"uid\":\"u\","
			   "\"labels\":{\"b\":\"2\",\"a\":\"1\"},\"annotations\":{\"k\":\"v\",\"kubectl.kubernetes.io/"
			   "last-applied-configuration\":\"{}\"}},\"spec\":{\"list\":[\"x\",{\"deepField\":1.5}],"
			   "\"none\":null,\"on\":true}}",
			   0, NULL);
	struct mesh_tabs t = {.padding = 2};
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};

	mesh_describe_generic(&t, obj);
	mesh_describe_events(&t, NULL);
	mesh_tabs_flush(&t, &out);
	CHECK_STR(out.data,
		  "Name:         n\nNamespace:    ns\nLabels:       a=1\n              b=2\nAnnotations:  k: v\n"
		  "API Version:  g/v1\nKind:         K\nMetadata:\n  UID:  u\nSpec:\n  List:\n    x\n    Deep Field:  "
		  "1.5\n"
		  "  None:          <nil>\n  On:            true\nEvents:          <none>\n");
	mesh_tabs_free(&t);
	json_decref(obj);
}

TEST(ages)
{
	static const struct {
		long seconds;
		const char *text;
	} rows[] = {{-1, "<unknown>"}, {0, "0s"},       {119, "119s"},   {120, "2m"},
		    {125, "2m5s"},     {600, "10m"},    {10799, "179m"}, {10800, "3h"},
		    {10860, "3h1m"},   {172799, "47h"}, {172800, "2d"},  {176400, "2d1h"}};
	char out[32];

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++)
		CHECK_STR(mesh_age(rows[i].seconds, out), rows[i].text);
}

TEST_MAIN()
