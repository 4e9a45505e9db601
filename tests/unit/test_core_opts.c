/* SPDX-License-Identifier: Apache-2.0 */
/* core/opts: every type of option, every way to write one, every refusal with its exact text. */
#include "test.h"

#include "core/daemon.h"
#include "core/opts.h"

#include <errno.h>
#include <stddef.h>

struct got {
	bool once;
	const char *name, *file;
	unsigned workers;
	uint16_t port;
	enum mesh_log_level level;
	struct mesh_opt_list images;
};

static const struct mesh_opt rows[] = {
	{.name = "name",
	 .letter = 'n',
	 .type = MESH_OPT_STRING,
	 .at = offsetof(struct got, name),
	 .arg = "NAME",
	 .env = "MESH_TEST_NAME",
	 .required = true,
	 .help = "whose it is"},
	{.name = "once", .letter = 'o', .type = MESH_OPT_FLAG, .at = offsetof(struct got, once), .help = "one round"},
	{.name = "file", .type = MESH_OPT_STRING, .at = offsetof(struct got, file), .arg = "FILE", .help = "a file"},
	{.name = "workers",
	 .type = MESH_OPT_UNSIGNED,
	 .at = offsetof(struct got, workers),
	 .arg = "N",
	 .min = 1,
	 .max = 256,
	 .initial = "4",
	 .help = "threads"},
	{.name = "ready-port",
	 .type = MESH_OPT_PORT,
	 .at = offsetof(struct got, port),
	 .arg = "PORT",
	 .initial = "15021",
	 .env = "MESH_TEST_PORT",
	 .help = "of readiness"},
	{.name = "log-level",
	 .type = MESH_OPT_CHOICE,
	 .at = offsetof(struct got, level),
	 .arg = "LEVEL",
	 .values = MESH_LOG_LEVELS,
	 .initial = "info",
	 .help = "what is logged"},
	{.name = "image",
	 .type = MESH_OPT_LIST,
	 .at = offsetof(struct got, images),
	 .arg = "NAME=PATH",
	 .help = "an image"},
};

static const struct mesh_opts opts = {.command = "meshd test", .rows = rows, .count = MESH_ARRAY_SIZE(rows)};
static const struct mesh_opts with_operands = {
	.command = "meshctl test", .operands = "POD", .rows = rows, .count = MESH_ARRAY_SIZE(rows)};

enum { MAX_ARGS = 16 };

/* Parses a line of words. Returns as mesh_opts_parse(); *said gets the errors. */
static int parse(const struct mesh_opts *o, const char *line, struct got *g, struct mesh_buf *said)
{
	static char words[512]; /* values point into it */
	char *argv[MAX_ARGS + 1] = {"test"}, *save = NULL;
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	int argc = 1, r;

	snprintf(words, sizeof(words), "%s", line);
	for (char *w = strtok_r(words, " ", &save); w && argc < MAX_ARGS; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	*g = (struct got){0};
	r = mesh_opts_parse(o, argc, argv, g, &errs);
	mesh_buf_clear(said);
	mesh_errs_format(&errs, said);
	return r;
}

TEST(defaults)
{
	mesh_auto(mesh_buf_free) struct mesh_buf said = {0};
	struct got g;

	CHECK_INT(parse(&opts, "--name a", &g, &said), 3);
	CHECK_STR(g.name, "a");
	CHECK(!g.once && !g.file);
	CHECK_INT(g.workers, 4);
	CHECK_INT(g.port, 15021);
	CHECK_INT(g.level, MESH_LOG_INFO);
	CHECK_INT(g.images.list.count, 0);
}

TEST(every_way_to_write_one)
{
	mesh_auto(mesh_buf_free) struct mesh_buf said = {0};
	static const char *const lines[] = {"--name a --once --file f", "--name=a -o --file=f", "-n a --file f -o",
					    "-na --once --file f"};
	struct got g;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(lines); i++) {
		CHECK(parse(&opts, lines[i], &g, &said) > 0);
		CHECK_STR(g.name, "a");
		CHECK_STR(g.file, "f");
		CHECK(g.once);
	}
	CHECK(parse(&opts, "--name a --file=", &g, &said) > 0);
	CHECK_STR(g.file, "");
	CHECK(parse(&opts, "--name a --name b --image x=1 --image=y=2", &g, &said) > 0);
	CHECK_STR(g.name, "b");
	CHECK_INT(g.images.list.count, 2);
	CHECK_STR(g.images.list.items[0], "x=1");
	CHECK_STR(g.images.list.items[1], "y=2");
	mesh_vec_free(&g.images.list);
	CHECK(parse(&opts, "--name a --workers 256 --ready-port 1 --log-level error", &g, &said) > 0);
	CHECK_INT(g.workers, 256);
	CHECK_INT(g.port, 1);
	CHECK_INT(g.level, MESH_LOG_ERROR);
	CHECK(parse(&opts, "--name a --log-level debug", &g, &said) > 0);
	CHECK_INT(g.level, MESH_LOG_DEBUG);
}

TEST(the_environment)
{
	mesh_auto(mesh_buf_free) struct mesh_buf said = {0};
	struct got g;

	setenv("MESH_TEST_NAME", "env", 1);
	setenv("MESH_TEST_PORT", "99", 1);
	CHECK_INT(parse(&opts, "", &g, &said), 1);
	CHECK_STR(g.name, "env");
	CHECK_INT(g.port, 99);
	CHECK(parse(&opts, "--name a --ready-port 7", &g, &said) > 0);
	CHECK_STR(g.name, "a");
	CHECK_INT(g.port, 7);
	setenv("MESH_TEST_NAME", "", 1); /* empty is unset */
	setenv("MESH_TEST_PORT", "many", 1);
	CHECK_INT(parse(&opts, "", &g, &said), -EINVAL);
	CHECK_STR(said.data, "--name NAME is required, or in the environment as MESH_TEST_NAME\n"
			     "MESH_TEST_PORT many: not a number from 0 to 65535\n");
	unsetenv("MESH_TEST_NAME");
	unsetenv("MESH_TEST_PORT");
}

TEST(refusals)
{
	static const struct {
		const char *line, *said;
	} cases[] = {
		{"--nam a --name a", "unknown option --nam (did you mean --name?)\n"},
		{"--name a --workrs=3", "unknown option --workrs (did you mean --workers?)\n"},
		{"--name a --zzzz", "unknown option --zzzz\n"},
		{"--name a -x", "unknown option -x\n"},
		{"--name a -ox", "unknown option -ox\n"},
		{"--name a --halp", "unknown option --halp (did you mean --help?)\n"},
		{"--name a --once=yes", "--once yes: it takes no value\n"},
		{"--name a --file", "--file needs a value: FILE\n"},
		{"--name a --workers 0", "--workers 0: not a number from 1 to 256\n"},
		{"--name a --workers 257", "--workers 257: not a number from 1 to 256\n"},
		{"--name a --workers -3", "--workers -3: not a number from 1 to 256\n"},
		{"--name a --ready-port 65536", "--ready-port 65536: not a number from 0 to 65535\n"},
		{"--name a --log-level loud", "--log-level loud: not one of error|warn|info|debug\n"},
		{"--name a b", "'b' is one too many\n"},
		{"", "--name NAME is required, or in the environment as MESH_TEST_NAME\n"},
		/* All at once. */
		{"--workers x --zzzz --log-level y c",
		 "--workers x: not a number from 1 to 256\n"
		 "unknown option --zzzz\n"
		 "--log-level y: not one of error|warn|info|debug\n"
		 "--name NAME is required, or in the environment as MESH_TEST_NAME\n"
		 "'c' is one too many\n"},
	};
	mesh_auto(mesh_buf_free) struct mesh_buf said = {0};
	struct got g;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(cases); i++) {
		CHECK_INT(parse(&opts, cases[i].line, &g, &said), -EINVAL);
		CHECK_STR(said.data, cases[i].said);
	}
}

TEST(operands)
{
	mesh_auto(mesh_buf_free) struct mesh_buf said = {0};
	struct got g;

	CHECK_INT(parse(&with_operands, "--name a pod --once", &g, &said), 3);
	CHECK(!g.once);
	CHECK_INT(parse(&with_operands, "--name a -- --once", &g, &said), 4);
	CHECK(!g.once);
	CHECK_INT(parse(&with_operands, "--name a -", &g, &said), 3);
	CHECK_INT(parse(&with_operands, "--name a", &g, &said), 3);
}

TEST(help)
{
	mesh_auto(mesh_buf_free) struct mesh_buf said = {0};
	struct got g;

	CHECK_INT(parse(&opts, "--workers 9999 --help", &g, &said), -ECANCELED);
	CHECK_INT(parse(&opts, "-h", &g, &said), -ECANCELED);
	mesh_buf_clear(&said);
	mesh_opts_help(&opts, &said);
	CHECK_STR(said.data, "usage: meshd test --name NAME [OPTIONS]\n\n"
			     "  -n, --name NAME            whose it is (default: $MESH_TEST_NAME)\n"
			     "  -o, --once                 one round\n"
			     "  --file FILE                a file\n"
			     "  --workers N                threads (default: 4)\n"
			     "  --ready-port PORT          of readiness (default: $MESH_TEST_PORT, then 15021)\n"
			     "  --log-level LEVEL          what is logged (error|warn|info|debug; default: info)\n"
			     "  --image NAME=PATH          an image; may be repeated\n"
			     "  -h, --help                 this text\n");
	mesh_buf_clear(&said);
	mesh_opts_help(&(struct mesh_opts){.command = "x", .operands = "FILE", .about = "About it."}, &said);
	CHECK_STR(said.data, "usage: x FILE\n\nAbout it.\n\n  -h, --help                 this text\n");
}

TEST_MAIN()
