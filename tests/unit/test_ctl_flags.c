/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "core/mem.h"
#include "ctl/flags.h"

#include <errno.h>

static const struct mesh_verb verb = {
	"get", "TYPE", "print", "output filename watch selector all replicas timeout dry-run stdin tty", NULL, false};
static const struct mesh_verb logs = {"logs", "POD", "print logs", "follow tail", NULL, false};

static int parse(const struct mesh_verb *v, const char *line, struct mesh_flags *f, struct mesh_errs *errs)
{
	static char text[256];
	static char *argv[32];
	int argc = 0;

	snprintf(text, sizeof(text), "get %s", line);
	for (char *w = strtok(text, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	argv[argc] = NULL;
	return mesh_flags_parse(v, argc, argv, f, errs);
}

TEST(takes_every_form)
{
	static const char *const lines[] = {
		"pods -o yaml -n x -w -l a=b",
		"-oyaml -nx pods -w -la=b",
		"pods -o=yaml -n=x --watch -l=a=b",
		"--output=yaml --namespace x pods --watch=true --selector=a=b",
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(lines); i++) {
		struct mesh_flags f = {0};

		CHECK_INT(parse(&verb, lines[i], &f, NULL), 0);
		CHECK_STR(f.output, "yaml");
		CHECK_STR(f.namespace, "x");
		CHECK_STR(f.selector, "a=b");
		CHECK(f.watch);
		CHECK_INT(f.args.list.count, 1);
		CHECK_STR(f.args.list.items[0], "pods");
		mesh_flags_free(&f);
	}
}

TEST(defaults)
{
	struct mesh_flags f = {0};

	CHECK_INT(parse(&verb, "", &f, NULL), 0);
	CHECK(f.wait && !f.watch && !f.command);
	CHECK_INT(f.replicas, -1);
	CHECK_INT(f.chunk, 500);
	CHECK(f.timeout < 0);
	mesh_flags_free(&f);
}

TEST(repeats_joins_and_ends)
{
	struct mesh_flags f = {0};

	CHECK_INT(parse(&verb, "-f a -f b -it pod -- ls -l --all", &f, NULL), 0);
	CHECK_INT(f.files.list.count, 2);
	CHECK_STR(f.files.list.items[1], "b");
	CHECK(f.stdin_open && f.tty && !f.all);
	CHECK_INT(f.args.list.count, 1);
	CHECK_STR(f.command[0], "ls");
	CHECK_STR(f.command[2], "--all");
	CHECK(!f.command[3]);
	mesh_flags_free(&f);
}

TEST(one_letter_two_meanings)
{
	struct mesh_flags f = {0};

	CHECK_INT(parse(&logs, "-f pod --tail=5", &f, NULL), 0);
	CHECK(f.follow);
	CHECK_INT(f.files.list.count, 0);
	CHECK_INT(f.tail, 5);
	mesh_flags_free(&f);
}

TEST(refusals)
{
	static const struct {
		const char *line, *error;
	} rows[] = {
		{"--foo", "unknown flag: --foo (See 'meshctl get --help' for usage.)"},
		{"--follow", "unknown flag: --follow (See 'meshctl get --help' for usage.)"},
		{"-Z", "unknown shorthand flag: 'Z' in -Z (See 'meshctl get --help' for usage.)"},
		{"--server-side", "flag --server-side is not supported by meshctl get: use kubectl"},
		{"--sort-by=.a", "flag --sort-by is not supported by meshctl get: use kubectl"},
		{"-o", "flag needs an argument: 'o' in -o"},
		{"--output", "flag needs an argument: --output"},
		{"--watch=maybe", "invalid argument \"maybe\" for \"-w, --watch\" flag: must be true or false"},
		{"--replicas=x", "invalid argument \"x\" for \"--replicas\" flag: must be a whole number"},
		{"--timeout=5q", "invalid argument \"5q\" for \"--timeout\" flag: must be a time such as 30s or 5m"},
		{"--dry-run=yes", "Invalid dry-run value (yes). Must be one of none|server|client."},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		struct mesh_flags f = {0};
		struct mesh_errs errs = {0};
		mesh_auto(mesh_buf_free) struct mesh_buf text = {0};

		CHECK_INT(parse(&verb, rows[i].line, &f, &errs), -EINVAL);
		CHECK_INT(errs.list.count, 1);
		mesh_err_format(&errs.list.items[0], &text);
		CHECK_STR(text.data, rows[i].error);
		mesh_errs_free(&errs);
	}
}

TEST(times)
{
	static const struct {
		const char *text;
		double seconds;
	} good[] = {{"5", 5}, {"30s", 30}, {"1m30s", 90}, {"500ms", 0.5}, {"1.5h", 5400}, {"0", 0}, {"-1s", -1}};
	static const char *const bad[] = {"", "s", "5x", "5m3", "1e3s", "-", "abc"};
	double v;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(good); i++) {
		v = 77;
		CHECK_INT(mesh_seconds_parse(good[i].text, &v), 0);
		CHECK(v == good[i].seconds);
	}
	for (size_t i = 0; i < MESH_ARRAY_SIZE(bad); i++) {
		v = 77;
		CHECK_INT(mesh_seconds_parse(bad[i], &v), -EINVAL);
		CHECK(v == 77);
	}
}

TEST(help_names_each_flag)
{
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};

	mesh_flags_help(&verb, &out);
	CHECK(strstr(out.data, "usage: meshctl get TYPE\n"));
	CHECK(strstr(out.data, "  -o, --output=FORMAT            wide, yaml"));
	CHECK(strstr(out.data, "one of none|server|client"));
	CHECK(strstr(out.data, "--kubeconfig=FILE"));
	CHECK(!strstr(out.data, "--follow"));
}

TEST_MAIN()
