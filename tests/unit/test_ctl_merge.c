/* SPDX-License-Identifier: Apache-2.0 */
/* apply's three-way merge, and what "in force" means. */
#include "test.h"

#include "core/mem.h"
#include "ctl/inforce.h"
#include "ctl/merge.h"

static json_t *load(const char *text)
{
	json_t *v = text ? json_loads(text, 0, NULL) : NULL;

	if (text && !v)
		abort();
	return v;
}

static char *three(const struct mesh_schema *schema, const char *last, const char *local, const char *live)
{
	json_t *a = load(last), *b = load(local), *c = load(live), *m = mesh_merge_three(schema, a, b, c);
	char *text = json_dumps(m, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(a);
	json_decref(b);
	json_decref(c);
	json_decref(m);
	return text;
}

static const struct mesh_field item_fields[] = {
	{.name = "name", .type = MESH_TYPE_STRING},
	{.name = "image", .type = MESH_TYPE_STRING},
	{.name = NULL},
};
static const struct mesh_schema item = {.name = "Item", .fields = item_fields};
static const struct mesh_field fields[] = {
	{.name = "items", .type = MESH_TYPE_ARRAY, .item = MESH_TYPE_OBJECT, .of = &item, .merge_key = "name"},
	{.name = "words", .type = MESH_TYPE_ARRAY, .item = MESH_TYPE_STRING},
	{.name = NULL},
};
static const struct mesh_schema schema = {.name = "Top", .fields = fields};

TEST(three_way)
{
	static const struct {
		const char *last, *local, *live, *want;
	} rows[] = {
		/* what others added stays, what was applied and is not any more goes, what differs is set */
		{"{\"a\":1,\"b\":1}", "{\"a\":2}", "{\"a\":1,\"b\":1,\"c\":3}", "{\"a\":2,\"c\":3}"},
		{NULL, "{\"a\":2}", "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":1}"},
		{"{\"o\":{\"x\":1}}", "{\"o\":{}}", "{\"o\":{\"x\":1,\"y\":2}}", "{\"o\":{\"y\":2}}"},
		{"{}", "{\"a\":null}", "{\"a\":1,\"b\":2}", "{\"b\":2}"},
		{"{\"words\":[\"a\"]}", "{\"words\":[\"b\"]}", "{\"words\":[\"a\",\"c\"]}", "{\"words\":[\"b\"]}"},
		/* by name: the server's defaults in an item stay, another's item stays, ours that went goes */
		{"{\"items\":[{\"name\":\"x\",\"image\":\"1\"},{\"name\":\"old\"}]}",
		 "{\"items\":[{\"name\":\"new\"},{\"name\":\"x\",\"image\":\"2\"}]}",
		 "{\"items\":[{\"name\":\"x\",\"image\":\"1\",\"policy\":\"p\"},{\"name\":\"old\"},{\"name\":\"other\"}"
		 "]}",
		 "{\"items\":[{\"image\":\"2\",\"name\":\"x\",\"policy\":\"p\"},{\"name\":\"other\"},{\"name\":\"new\"}"
		 "]}"},
		/* an item without its key: the list is replaced */
		{NULL, "{\"items\":[{\"image\":\"2\"}]}", "{\"items\":[{\"name\":\"x\"}]}",
		 "{\"items\":[{\"image\":\"2\"}]}"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		mesh_auto_free char *got = three(&schema, rows[i].last, rows[i].local, rows[i].live);

		CHECK_STR(got, rows[i].want);
	}
}

TEST(difference)
{
	static const struct {
		const char *from, *to, *patch;
	} rows[] = {
		{"{\"a\":1}", "{\"a\":1}", "{}"},
		{"{\"a\":1,\"b\":{\"c\":1,\"d\":2}}", "{\"b\":{\"c\":1,\"d\":3}}", "{\"a\":null,\"b\":{\"d\":3}}"},
		{"{\"a\":[1]}", "{\"a\":[1,2]}", "{\"a\":[1,2]}"},
		{"{\"a\":1}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		json_t *a = load(rows[i].from), *b = load(rows[i].to), *p = mesh_merge_diff(a, b);
		mesh_auto_free char *text = json_dumps(p, JSON_COMPACT | JSON_SORT_KEYS);

		CHECK_STR(text, rows[i].patch);
		json_decref(a);
		json_decref(b);
		json_decref(p);
	}
}

TEST(note_is_kubectls)
{
	json_t *obj =
		load("{\"kind\":\"K\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n\"},\"spec\":{\"p\":\"<&>\"}}");
	static const char want[] = "{\"apiVersion\":\"v1\",\"kind\":\"K\",\"metadata\":{\"annotations\":{},\"name\":"
				   "\"n\"},\"spec\":{\"p\":"
				   "\"\\u003c\\u0026\\u003e\"}}\n";
	mesh_auto_free char *note = mesh_merge_note(obj), *again = NULL;
	const json_t *annotations;

	CHECK_STR(note, want);
	CHECK(!json_object_get(json_object_get(obj, "metadata"), "annotations"));
	mesh_merge_set_note(obj, NULL);
	annotations = json_object_get(json_object_get(obj, "metadata"), "annotations");
	CHECK_STR(json_string_value(json_object_get(annotations, MESH_LAST_APPLIED)), want);
	again = mesh_merge_note(obj);
	CHECK_STR(again, want);
	json_decref(obj);
}

static json_t *lease(const char *renewed, const char *versions)
{
	return json_pack("{s:{s:{s:s}}, s:{s:s}}", "metadata", "annotations", "sockmesh.io/in-force", versions, "spec",
			 "renewTime", renewed);
}

TEST(leases)
{
	static const char key[] = "virtualservices.networking.istio.io";
	time_t now = 1795383601; /* 2026-11-22T21:40:01Z */
	json_t *fresh = lease("2026-11-22T21:39:55.123456Z", "{\"virtualservices.networking.istio.io\":\"41\"}");
	json_t *stale = lease("2026-11-22T21:39:00Z", "{\"virtualservices.networking.istio.io\":\"41\"}");
	json_t *broken = lease("2026-11-22T21:39:55Z", "no json"), *empty = json_object();

	CHECK(mesh_lease_live(fresh, now));
	CHECK(!mesh_lease_live(stale, now));
	CHECK(!mesh_lease_live(empty, now));
	CHECK(mesh_lease_lags(fresh, key, 42, now));
	CHECK(mesh_lease_lags(fresh, key, 100, now)); /* numbers, not texts */
	CHECK(!mesh_lease_lags(fresh, key, 41, now));
	CHECK(!mesh_lease_lags(fresh, key, 9, now));
	CHECK(!mesh_lease_lags(fresh, "services", 42, now)); /* a kind it does not follow */
	CHECK(!mesh_lease_lags(stale, key, 42, now));
	CHECK(!mesh_lease_lags(broken, key, 42, now));
	json_decref(fresh);
	json_decref(stale);
	json_decref(broken);
	json_decref(empty);
}

TEST_MAIN()
