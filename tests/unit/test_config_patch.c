/* SPDX-License-Identifier: Apache-2.0 */
#include "config/document.h"
#include "test.h"

static json_t *load(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	if (!v)
		printf("  bad JSON in the test: %s\n", text);
	return v;
}

enum how { MERGE, PATCH, STRATEGIC };

/* The result as text, or "error: ..." and then doc must be as it was. */
static char *patched(enum how how, const char *doc_text, const char *patch_text)
{
	json_t *doc = load(doc_text), *before = json_deep_copy(doc), *patch = load(patch_text);
	struct mesh_errs errs = {0};
	struct mesh_buf out = {0};
	char *s;
	int r;

	if (how == MERGE)
		r = mesh_patch_merge(&doc, patch);
	else if (how == PATCH)
		r = mesh_patch_json(&doc, patch, &errs);
	else
		r = mesh_patch_strategic(mesh_kind_by_word("deployment"), &doc, patch, &errs);
	if (r < 0) {
		mesh_buf_printf(&out, "error: %s%s", errs.list.count ? errs.list.items[0].text : "",
				json_equal(doc, before) ? "" : " AND CHANGED");
		s = mesh_buf_steal(&out);
	} else {
		s = json_dumps(doc, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
	}
	json_decref(doc);
	json_decref(before);
	json_decref(patch);
	mesh_errs_free(&errs);
	return s;
}

#define CHECK_PATCH(how, doc, patch, want)                                                                             \
	do {                                                                                                           \
		mesh_auto_free char *_s = patched(how, doc, patch);                                                    \
		CHECK_STR(_s, want);                                                                                   \
	} while (0)

/* RFC 7386, appendix A. */
TEST(merge)
{
	CHECK_PATCH(MERGE, "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
	CHECK_PATCH(MERGE, "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}");
	CHECK_PATCH(MERGE, "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}");
	CHECK_PATCH(MERGE, "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
	CHECK_PATCH(MERGE, "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}");
	CHECK_PATCH(MERGE, "{\"a\":[1,2]}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}");
	CHECK_PATCH(MERGE, "{\"e\":null}", "{\"a\":1}", "{\"a\":1,\"e\":null}");
	CHECK_PATCH(MERGE, "{}", "[]", "error: ");
}

/* RFC 6902, appendix A. */
TEST(json_patch)
{
	CHECK_PATCH(PATCH, "{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
		    "{\"baz\":\"qux\",\"foo\":\"bar\"}");
	CHECK_PATCH(PATCH, "{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
		    "{\"foo\":[\"bar\",\"qux\",\"baz\"]}");
	CHECK_PATCH(PATCH, "{\"baz\":1,\"foo\":2}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]", "{\"foo\":2}");
	CHECK_PATCH(PATCH, "{\"foo\":[1,2,3]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]", "{\"foo\":[1,3]}");
	CHECK_PATCH(PATCH, "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":null}]", "{\"a\":null}");
	CHECK_PATCH(PATCH, "{\"a\":{\"b\":1},\"c\":{}}", "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/c/d\"}]",
		    "{\"a\":{},\"c\":{\"d\":1}}");
	CHECK_PATCH(
		PATCH, "{\"a\":[1]}",
		"[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"},{\"op\":\"add\",\"path\":\"/b/-\",\"value\":2}]",
		"{\"a\":[1],\"b\":[1,2]}");
	CHECK_PATCH(PATCH, "{\"a/b\":1,\"c~d\":2}",
		    "[{\"op\":\"remove\",\"path\":\"/a~1b\"},{\"op\":\"test\",\"path\":\"/c~0d\",\"value\":2}]",
		    "{\"c~d\":2}");
	CHECK_PATCH(PATCH, "{\"a\":1}",
		    "[{\"op\":\"add\",\"path\":\"/b\",\"value\":1},{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]",
		    "error: testing value /a failed");
	CHECK_PATCH(PATCH, "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/x\",\"value\":1}]",
		    "error: replace operation does not apply: doc is missing path: /x: missing value");
	CHECK_PATCH(PATCH, "{\"a\":[]}", "[{\"op\":\"remove\",\"path\":\"/a/0\"}]",
		    "error: remove operation does not apply: doc is missing path: \"/a/0\": missing value");
	CHECK_PATCH(PATCH, "{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/01\",\"value\":1}]",
		    "error: add operation does not apply: doc is missing key: /a/01: missing value");
	CHECK_PATCH(PATCH, "{\"a\":1}", "[{\"op\":\"fly\",\"path\":\"/a\"}]", "error: Unexpected kind: fly");
	CHECK_PATCH(PATCH, "{\"a\":1}", "{}", "error: a JSON patch is a list of operations");
	CHECK_PATCH(PATCH, "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"b\":1}}]", "{\"b\":1}");
}

#define SPEC(containers) "{\"spec\":{\"template\":{\"spec\":{\"containers\":" containers "}}}}"

TEST(strategic_lists)
{
	CHECK_PATCH(STRATEGIC, SPEC("[{\"image\":\"x\",\"name\":\"a\"},{\"image\":\"y\",\"name\":\"b\"}]"),
		    SPEC("[{\"name\":\"b\",\"image\":\"z\"}]"),
		    SPEC("[{\"image\":\"x\",\"name\":\"a\"},{\"image\":\"z\",\"name\":\"b\"}]"));
	CHECK_PATCH(STRATEGIC, SPEC("[{\"name\":\"a\"},{\"name\":\"b\"}]"),
		    SPEC("[{\"name\":\"a\",\"$patch\":\"delete\"},{\"name\":\"c\"}]"),
		    SPEC("[{\"name\":\"b\"},{\"name\":\"c\"}]"));
	CHECK_PATCH(STRATEGIC, SPEC("[{\"name\":\"a\"},{\"name\":\"b\"}]"),
		    SPEC("[{\"$patch\":\"replace\"},{\"name\":\"c\"}]"), SPEC("[{\"name\":\"c\"}]"));
	CHECK_PATCH(STRATEGIC, SPEC("[{\"args\":[\"1\",\"2\"],\"name\":\"a\"}]"),
		    SPEC("[{\"name\":\"a\",\"args\":[\"3\"]}]"), SPEC("[{\"args\":[\"3\"],\"name\":\"a\"}]"));
	CHECK_PATCH(STRATEGIC, SPEC("[{\"name\":\"a\"}]"), SPEC("[{\"image\":\"x\"}]"),
		    "error: map: map[] does not contain declared merge key: name");
	CHECK_PATCH(
		STRATEGIC,
		SPEC("[{\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\",\"value\":\"2\"}],\"name\":\"a\"}]"),
		SPEC("[{\"name\":\"a\",\"env\":[{\"name\":\"B\",\"value\":\"3\"}]}]"),
		SPEC("[{\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\",\"value\":\"3\"}],\"name\":\"a\"}]"));
}

TEST(strategic_directives)
{
	CHECK_PATCH(STRATEGIC, "{\"metadata\":{\"finalizers\":[\"a\",\"b\"],\"labels\":{\"x\":\"1\"}}}",
		    "{\"metadata\":{\"finalizers\":[\"c\"],\"labels\":{\"x\":null,\"y\":\"2\"}}}",
		    "{\"metadata\":{\"finalizers\":[\"a\",\"b\",\"c\"],\"labels\":{\"y\":\"2\"}}}");
	CHECK_PATCH(STRATEGIC, "{\"metadata\":{\"finalizers\":[\"a\",\"b\"]}}",
		    "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"a\"]}}",
		    "{\"metadata\":{\"finalizers\":[\"b\"]}}");
	CHECK_PATCH(STRATEGIC,
		    "{\"spec\":{\"strategy\":{\"rollingUpdate\":{\"maxSurge\":1},\"type\":\"RollingUpdate\"}}}",
		    "{\"spec\":{\"strategy\":{\"$retainKeys\":[\"type\"],\"type\":\"Recreate\"}}}",
		    "{\"spec\":{\"strategy\":{\"type\":\"Recreate\"}}}");
	CHECK_PATCH(STRATEGIC, SPEC("[{\"name\":\"a\"},{\"name\":\"b\"}]"),
		    "{\"spec\":{\"template\":{\"spec\":{\"$setElementOrder/"
		    "containers\":[{\"name\":\"b\"},{\"name\":\"a\"}],"
		    "\"containers\":[{\"name\":\"b\",\"image\":\"x\"}]}}}}",
		    SPEC("[{\"image\":\"x\",\"name\":\"b\"},{\"name\":\"a\"}]"));
	CHECK_PATCH(STRATEGIC, "{\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}}}}",
		    "{\"spec\":{\"selector\":{\"$patch\":\"replace\",\"matchLabels\":{\"c\":\"d\"}}}}",
		    "{\"spec\":{\"selector\":{\"matchLabels\":{\"c\":\"d\"}}}}");
	CHECK_PATCH(STRATEGIC, "{\"spec\":{}}", "{\"spec\":{\"$patch\":\"fly\"}}",
		    "error: unknown patch type found: fly");
	CHECK_PATCH(STRATEGIC, "{}", "[]", "error: a strategic merge patch is an object");
}

TEST_MAIN()
