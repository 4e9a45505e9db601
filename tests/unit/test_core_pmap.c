/* SPDX-License-Identifier: Apache-2.0 */
/* core/pmap: against a plain map, with many versions alive; values are let go of once and not before. */
#include "test.h"

#include <pthread.h>

#include "core/map.h"
#include "core/mem.h"
#include "core/pmap.h"

enum { KEYS = 400, VERSIONS = 12, STEPS = 20000 };

struct value {
	atomic_int refs;
	int number;
};

static atomic_int values_alive;

static void value_unref(void *p)
{
	struct value *v = p;

	if (atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	atomic_fetch_sub(&values_alive, 1);
	free(v);
}

static struct value *value_new(int number)
{
	struct value *v = mesh_xcalloc(1, sizeof(*v));

	v->refs = 1;
	v->number = number;
	atomic_fetch_add(&values_alive, 1);
	return v;
}

/* A version and what it has to have. */
struct version {
	struct mesh_pmap map;
	int model[KEYS]; /* 0: not there */
};

static struct mesh_slice key_of(int i, char buf[16])
{
	snprintf(buf, 16, "key-%d", i);
	return mesh_slice_str(buf);
}

static int differences(const struct version *v)
{
	size_t there = 0, seen = 0;
	int bad = 0;
	char buf[16];

	for (int i = 0; i < KEYS; i++) {
		const struct value *have = mesh_pmap_get(&v->map, key_of(i, buf));

		there += v->model[i] != 0;
		bad += (have ? have->number : 0) != v->model[i];
	}
	mesh_pmap_each(leaf, &v->map)
	{
		const struct value *have = leaf->value;
		int i = atoi(leaf->key + 4);

		bad += v->model[i] != have->number || strlen(leaf->key) != leaf->key_len;
		seen++;
	}
	return bad + (there != seen) + (there != v->map.count);
}

static void version_free(struct version *v)
{
	mesh_pmap_free(&v->map);
	memset(v->model, 0, sizeof(v->model));
}

TEST(versions_are_what_they_were)
{
	static struct version all[VERSIONS];
	char buf[16];

	srandom(7);
	for (int i = 0; i < VERSIONS; i++)
		all[i].map.unref = value_unref;
	for (int step = 1; step <= STEPS; step++) {
		struct version *v = &all[random() % VERSIONS], *other = &all[random() % VERSIONS];
		int k = (int)(random() % KEYS);

		if (random() % 200 == 0 && v != other) {
			version_free(other);
			other->map = mesh_pmap_share(&v->map);
			memcpy(other->model, v->model, sizeof(v->model));
		} else if (random() % 3) {
			mesh_pmap_put(&v->map, key_of(k, buf), value_new(step));
			v->model[k] = step;
		} else {
			CHECK_INT(mesh_pmap_remove(&v->map, key_of(k, buf)), v->model[k] != 0);
			v->model[k] = 0;
		}
		if (step % 500 == 0)
			for (int i = 0; i < VERSIONS; i++)
				CHECK_INT(differences(&all[i]), 0);
	}
	for (int i = 0; i < VERSIONS; i++)
		version_free(&all[i]);
	CHECK_INT(atomic_load(&values_alive), 0);
}

TEST(empty)
{
	struct mesh_pmap m = {0}, shared = mesh_pmap_share(&m);

	CHECK(!mesh_pmap_get_str(&m, "a"));
	CHECK(!mesh_pmap_remove(&m, MESH_SLICE("a")));
	mesh_pmap_each(leaf, &m) CHECK(!leaf);
	mesh_pmap_put_str(&m, "", &m);
	CHECK(mesh_pmap_get_str(&m, "") == &m);
	CHECK(!mesh_pmap_get_str(&shared, ""));
	CHECK(mesh_pmap_remove(&m, MESH_SLICE("")));
	CHECK_INT(m.count, 0);
	mesh_pmap_free(&m);
}

/* Readers free their versions while the writer goes on with its own. */
static void *read_and_free(void *arg)
{
	struct version *v = arg;
	int bad = 0;

	for (int i = 0; i < 20; i++)
		bad += differences(v);
	version_free(v);
	return (void *)(intptr_t)bad;
}

TEST(freed_by_other_threads)
{
	struct version mine = {.map.unref = value_unref}, *theirs;
	char buf[16];

	for (int round = 0; round < 50; round++) {
		pthread_t thread;
		void *bad;

		for (int i = 0; i < KEYS; i++) {
			mesh_pmap_put(&mine.map, key_of(i, buf), value_new(round * KEYS + i + 1));
			mine.model[i] = round * KEYS + i + 1;
		}
		theirs = mesh_xcalloc(1, sizeof(*theirs));
		*theirs = mine;
		theirs->map = mesh_pmap_share(&mine.map);
		CHECK_INT(pthread_create(&thread, NULL, read_and_free, theirs), 0);
		for (int i = 0; i < KEYS; i += 3) {
			mesh_pmap_remove(&mine.map, key_of(i, buf));
			mine.model[i] = 0;
		}
		CHECK_INT(differences(&mine), 0);
		pthread_join(thread, &bad);
		free(theirs);
		CHECK_INT((intptr_t)bad, 0);
	}
	version_free(&mine);
	CHECK_INT(atomic_load(&values_alive), 0);
}

TEST_MAIN()
