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
};

static struct mesh_test *test_first, **test_last = &test_first;
static int test_failed;
static const char *test_skipped;

#define TEST(id)                                                                                                       \
	static void test_##id(void);                                                                                   \
	static struct mesh_test entry_##id = {#id, test_##id, NULL};                                                   \
	__attribute__((constructor)) static void register_##id(void)                                                   \
	{                                                                                                              \
		*test_last = &entry_##id;                                                                              \
		test_last = &entry_##id.next;                                                                          \
	}                                                                                                              \
	static void test_##id(void)

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

/* Runs all tests, or those named on the command line. */
static int test_main(int argc, char **argv)
{
	int any_failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct mesh_test *t = test_first; t; t = t->next) {
		int wanted = argc < 2;

		for (int i = 1; i < argc; i++)
			wanted |= strcmp(argv[i], t->name) == 0;
		if (!wanted)
			continue;
		test_failed = 0;
		test_skipped = NULL;
		t->fn();
		if (test_failed)
			printf("FAIL %s\n", t->name);
		else if (test_skipped)
			printf("skip %s: %s\n", t->name, test_skipped);
		else
			printf("ok %s\n", t->name);
		any_failed |= test_failed;
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
