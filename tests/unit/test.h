/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test program is a list of functions: TEST(name) { ... }, then TEST_MAIN(). Each runs in
 * order; a failed CHECK prints file, line and values and ends that test only. Output is one
 * line per test, "ok NAME", "FAIL NAME" or "skip NAME: reason", and exit status 1 if any failed.
 */
#ifndef MESH_TEST_H
#define MESH_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mesh_test {
	const char *name;
	void (*fn)(void);
	struct mesh_test *next;
	enum { TEST_IF_NAMED, TEST_BEFORE, TEST_AFTER } when;
};

static struct mesh_test *test_first, **test_last = &test_first;
static int test_failed;
static const char *test_skipped;

#define TEST_WHEN(id, when)                                                                                            \
	static void test_##id(void);                                                                                   \
	static struct mesh_test entry_##id = {#id, test_##id, NULL, when};                                             \
	__attribute__((constructor)) static void register_##id(void)                                                   \
	{                                                                                                              \
		*test_last = &entry_##id;                                                                              \
		test_last = &entry_##id.next;                                                                          \
	}                                                                                                              \
	static void test_##id(void)

#define TEST(id)          TEST_WHEN(id, TEST_IF_NAMED)
#define TEST_SETUP(id)    TEST_WHEN(id, TEST_BEFORE) /* runs always; if it fails, no test runs */
#define TEST_TEARDOWN(id) TEST_WHEN(id, TEST_AFTER)  /* runs always */

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("  %s:%d: not true: %s\n", __FILE__, __LINE__, #cond);                                  \
			test_failed = 1;                                                                               \
			return;                                                                                        \
		}                                                                                                      \
	} while (0)

#define CHECK_INT(got, want)                                                                                           \
	do {                                                                                                           \
		long long _g = (long long)(got), _w = (long long)(want);                                               \
		if (_g != _w) {                                                                                        \
			printf("  %s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got, _g, _w);                   \
			test_failed = 1;                                                                               \
			return;                                                                                        \
		}                                                                                                      \
	} while (0)

#define CHECK_STR(got, want)                                                                                           \
	do {                                                                                                           \
		const char *_g = (got), *_w = (want);                                                                  \
		if (!_g || strcmp(_g, _w) != 0) {                                                                      \
			printf("  %s:%d: %s is\n    \"%s\", not\n    \"%s\"\n", __FILE__, __LINE__, #got,              \
			       _g ? _g : "(null)", _w);                                                                \
			test_failed = 1;                                                                               \
			return;                                                                                        \
		}                                                                                                      \
	} while (0)

#define SKIP(reason)                                                                                                   \
	do {                                                                                                           \
		test_skipped = (reason);                                                                               \
		return;                                                                                                \
	} while (0)

static int test_is_named(const struct mesh_test *t, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], t->name) == 0)
			return 1;
	return argc < 2;
}

static int test_names_exist(int argc, char **argv)
{
	int all = 1;

	for (int i = 1; i < argc; i++) {
		int found = 0;

		for (struct mesh_test *t = test_first; t; t = t->next)
			found |= strcmp(argv[i], t->name) == 0;
		if (!found)
			printf("FAIL no test is named %s\n", argv[i]);
		all &= found;
	}
	return all;
}

static int test_run(const struct mesh_test *t)
{
	test_failed = 0;
	test_skipped = NULL;
	t->fn();
	if (test_failed)
		printf("FAIL %s\n", t->name);
	else if (test_skipped)
		printf("skip %s: %s\n", t->name, test_skipped);
	else
		printf("ok %s\n", t->name);
	return test_failed;
}

/* Runs all tests, or those named on the command line, between set-up and teardown. */
static int test_main(int argc, char **argv)
{
	int any_failed = 0, ready = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!test_names_exist(argc, argv))
		return 1;
	for (struct mesh_test *t = test_first; t; t = t->next) {
		if (t->when == TEST_IF_NAMED && (!ready || !test_is_named(t, argc, argv)))
			continue;
		if (test_run(t)) {
			any_failed = 1;
			ready &= t->when != TEST_BEFORE;
		}
	}
	return any_failed;
}

#define TEST_MAIN()                                                                                                    \
	int main(int argc, char **argv)                                                                                \
	{                                                                                                              \
		return test_main(argc, argv);                                                                          \
	}

/* For tests that load BPF programs or make namespaces: without root each says so. */
#define TEST_MAIN_ROOT()                                                                                               \
	int main(int argc, char **argv)                                                                                \
	{                                                                                                              \
		if (geteuid() == 0)                                                                                    \
			return test_main(argc, argv);                                                                  \
		for (struct mesh_test *t = test_first; t; t = t->next)                                                 \
			printf("skip %s: only root can run it\n", t->name);                                            \
		return 0;                                                                                              \
	}

#endif
