/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "core/buf.h"
#include "core/envdir.h"
#include "core/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

static char dir[] = "/tmp/envdir-XXXXXX";

static void put(const char *name, const char *text)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, name);

	mesh_file_write(path, mesh_slice_str(text), 0644);
}

TEST(files_become_variables)
{
	mesh_auto_free char *sub = NULL, *all = NULL;

	CHECK(mkdtemp(dir) != NULL);
	setenv("ENVDIR_A", "before", 1);
	unsetenv("ENVDIR_B");
	put("ENVDIR_A", "after\n");
	put("ENVDIR_B", "  two words ");
	put("ENVDIR_EMPTY", "");
	put("lower", "x");
	put("0DIGIT", "x");
	put("..data", "x");
	CHECK_INT(mesh_envdir_read(dir), 3);
	CHECK_STR(getenv("ENVDIR_A"), "after");
	CHECK_STR(getenv("ENVDIR_B"), "two words");
	CHECK_STR(getenv("ENVDIR_EMPTY"), "");
	CHECK(getenv("lower") == NULL);
	CHECK(getenv("0DIGIT") == NULL);
	CHECK_INT(mesh_envdir_read(NULL), 0);
	CHECK_INT(mesh_envdir_read("/nowhere/at/all"), 0);
	sub = mesh_xasprintf("%s/ENVDIR_DIRECTORY", dir);
	CHECK_INT(mkdir(sub, 0755), 0);
	CHECK_INT(mesh_envdir_read(dir), -EISDIR);
	all = mesh_xasprintf("rm -r %s", dir);
	CHECK_INT(system(all), 0);
}

TEST(references_in_arguments)
{
	char *argv[] = {"--pin-dir=/x/$(ENVDIR_A)-$(ENVDIR_N)",
			"$(ENVDIR_NOT_SET)",
			"$(",
			"$(ENVDIR_A",
			"$(lower)$$()",
			"$(ENVDIR_N)",
			"plain",
			"$(ENVDIR_EMPTY)",
			""};

	setenv("ENVDIR_A", "c", 1);
	setenv("ENVDIR_N", "n1", 1);
	setenv("ENVDIR_EMPTY", "", 1);
	unsetenv("ENVDIR_NOT_SET");
	mesh_envdir_expand(MESH_ARRAY_SIZE(argv), argv);
	CHECK_STR(argv[0], "--pin-dir=/x/c-n1");
	CHECK_STR(argv[1], "$(ENVDIR_NOT_SET)");
	CHECK_STR(argv[2], "$(");
	CHECK_STR(argv[3], "$(ENVDIR_A");
	CHECK_STR(argv[4], "$(lower)$$()");
	CHECK_STR(argv[5], "n1");
	CHECK_STR(argv[6], "plain");
	CHECK_STR(argv[7], "");
	CHECK_STR(argv[8], "");
	free(argv[0]);
	free(argv[5]);
	free(argv[7]);
}

TEST_MAIN()
