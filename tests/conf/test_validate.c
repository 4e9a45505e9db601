/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Istio's and Maistra's own validation cases: each object is accepted or refused as there. What differs is listed,
 * with the reason, in validate-known.txt beside this file; a case that agrees must not be listed.
 */
#include "config/document.h"
#include "../unit/test.h"

#include <glob.h>

static const char *conformance(void)
{
	const char *dir = getenv("CONFORMANCE");

	return dir && *dir ? dir : NULL;
}

#define NEED_CONFORMANCE()                                                                                             \
	do {                                                                                                           \
		if (!conformance())                                                                                    \
			SKIP("CONFORMANCE is not set to the directory of the conformance data");                       \
	} while (0)

/* "@repeat(c,n)" and "@base64repeat(c,n)" stand for long texts. */
static json_t *expanded(const char *s)
{
	const char *open = strchr(s, '(');
	struct mesh_buf b = {0};
	char c;
	size_t n;
	json_t *v;

	if (!open || sscanf(open, "(%c,%zu)", &c, &n) != 2 || n > 10 << 20)
		return json_string(s);
	if (strncmp(s, "@base64", 7) == 0) { /* enough for its length: groups of four */
		c = 'Y';
		n = (n + 2) / 3 * 4;
	}
	memset(mesh_buf_room(&b, n), c, n);
	b.len += n;
	v = json_stringn(b.data, b.len);
	mesh_buf_free(&b);
	return v;
}

static void expand(json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	json_object_foreach(v, key, item)
	{
		if (json_is_string(item) && json_string_value(item)[0] == '@')
			json_object_set_new(v, key, expanded(json_string_value(item)));
		else
			expand(item);
	}
	json_array_foreach(v, i, item)
	{
		if (json_is_string(item) && json_string_value(item)[0] == '@')
			json_array_set_new(v, i, expanded(json_string_value(item)));
		else
			expand(item);
	}
}

static const struct mesh_kind *kind_of(const json_t *obj)
{
	const char *version = json_string_value(json_object_get(obj, "apiVersion"));
	const char *kind = json_string_value(json_object_get(obj, "kind")), *slash;
	mesh_auto_free char *group = NULL;

	if (!version || !kind)
		return NULL;
	slash = strchr(version, '/');
	group = slash ? mesh_xstrndup(version, (size_t)(slash - version)) : mesh_xstrdup("");
	return mesh_kind_by_name(group, kind);
}

/* Whether obj is accepted; text gets what was said. */
static bool accepted(const json_t *obj, const json_t *old, bool *warned, struct mesh_buf *text)
{
	struct mesh_errs errs = {0}, warnings = {0}, unknown = {0};
	const struct mesh_kind *kind = kind_of(obj);
	bool ok;

	*warned = false;
	if (!kind) {
		mesh_buf_str(text, "no such kind\n");
		return false;
	}
	ok = mesh_object_check(kind, obj, old, &errs, &warnings, &unknown) == 0 && unknown.list.count == 0;
	*warned = warnings.list.count > 0;
	mesh_errs_format(&errs, text);
	mesh_errs_format(&unknown, text);
	mesh_errs_free(&errs);
	mesh_errs_free(&warnings);
	mesh_errs_free(&unknown);
	return ok;
}

/* Ids in the list of known differences, one a line: "ID reason". */
static void read_known(struct mesh_map *known)
{
	char path[4096], line[1024];
	FILE *f;

	snprintf(path, sizeof(path), "%s", __FILE__);
	snprintf(strrchr(path, '/'), 32, "/validate-known.txt");
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		size_t len = strcspn(line, " \t\n");

		if (len && line[0] != '#')
			mesh_map_put(known, mesh_slice_of(line, len), known);
	}
	if (f)
		fclose(f);
}

struct tally {
	unsigned same, differ, unexpected, stale;
};

static void judge(const json_t *c, const struct mesh_map *known, struct tally *t)
{
	const char *id = json_string_value(json_object_get(c, "id"));
	json_t *obj = json_deep_copy(json_object_get(c, "object"));
	bool want = json_is_true(json_object_get(c, "valid")), warned, got, same, listed;
	struct mesh_buf text = {0};

	/* There the webhook and the CRDs differ. */
	if (want && json_is_false(json_object_get(c, "crd_structural_ok"))) {
		json_decref(obj);
		return;
	}
	expand(obj);
	got = accepted(obj, json_object_get(c, "old_object"), &warned, &text);
	same = got == want && !(json_is_true(json_object_get(c, "warning")) && !warned);
	listed = mesh_map_get_str(known, id) != NULL;
	t->same += same;
	t->differ += !same;
	if (same == listed) {
		printf("  %s %s: %s%s\n", id, json_string_value(json_object_get(c, "kind")),
		       same          ? "agrees, but is listed as a known difference"
		       : got != want ? (want ? "is refused here: " : "is accepted here")
				     : "has no warning here",
		       text.data && !same ? text.data : "");
		if (same)
			t->stale++;
		else
			t->unexpected++;
	}
	mesh_buf_free(&text);
	json_decref(obj);
}

static void judge_file(const char *name, struct tally *t)
{
	struct mesh_map known = {0};
	struct mesh_buf text = {0};
	struct mesh_slice rest, line;
	char path[4096];

	snprintf(path, sizeof(path), "%s/validate/%s", conformance(), name);
	CHECK_INT(mesh_file_read(path, 64 << 20, &text), 0);
	read_known(&known);
	rest = mesh_buf_view(&text);
	while (mesh_slice_split(&rest, '\n', &line)) {
		json_t *c = json_loadb(line.ptr, line.len, 0, NULL);

		if (c)
			judge(c, &known, t);
		json_decref(c);
	}
	mesh_map_free(&known);
	mesh_buf_free(&text);
	printf("  %s: %u of %u cases agree\n", name, t->same, t->same + t->differ);
}

TEST(validates_as_istio)
{
	struct tally t = {0};

	NEED_CONFORMANCE();
	judge_file("cases.jsonl", &t);
	CHECK(t.same + t.differ > 500);
	CHECK_INT(t.unexpected, 0);
	CHECK_INT(t.stale, 0);
}

TEST(validates_as_maistra)
{
	struct tally t = {0};

	NEED_CONFORMANCE();
	judge_file("maistra.jsonl", &t);
	CHECK_INT(t.same, 16);
	CHECK_INT(t.unexpected, 0);
}

/* Every file that matches is accepted as it is; kinds that are not served are passed over. */
static void accept_files(const char *pattern, unsigned *files, unsigned *objects)
{
	char path[4096];
	glob_t g;

	snprintf(path, sizeof(path), "%s/%s", conformance(), pattern);
	if (glob(path, 0, NULL, &g) != 0)
		return;
	for (size_t i = 0; i < g.gl_pathc; i++) {
		struct mesh_buf text = {0}, said = {0};
		struct mesh_documents docs = {0};
		struct mesh_errs errs = {0};
		bool warned;

		++*files;
		CHECK_INT(mesh_file_read(g.gl_pathv[i], 8 << 20, &text), 0);
		if (mesh_documents_parse(g.gl_pathv[i], mesh_buf_view(&text), &docs, &errs) < 0)
			mesh_errs_format(&errs, &said);
		mesh_vec_each (d, &docs.list)
			if (kind_of(d->value)) {
				++*objects;
				accepted(d->value, NULL, &warned, &said);
			}
		if (said.len)
			printf("  %s: %s", g.gl_pathv[i], said.data);
		CHECK_INT(said.len, 0);
		mesh_documents_free(&docs);
		mesh_errs_free(&errs);
		mesh_buf_free(&text);
		mesh_buf_free(&said);
	}
	globfree(&g);
}

TEST(accepts_bookinfo)
{
	unsigned files = 0, objects = 0;

	NEED_CONFORMANCE();
	accept_files("samples/*/*.yaml", &files, &objects);
	if (!test_failed)
		accept_files("samples/*/*/*.yaml", &files, &objects);
	if (!test_failed)
		accept_files("samples/*/*/*/*.yaml", &files, &objects);
	printf("  %u files, %u objects of kinds that are served\n", files, objects);
	CHECK(test_failed || files == 47);
}

TEST(accepts_maistra_examples)
{
	unsigned files = 0, objects = 0;

	NEED_CONFORMANCE();
	accept_files("maistra/*.yaml", &files, &objects);
	CHECK(test_failed || files == 5);
}

TEST_MAIN()
