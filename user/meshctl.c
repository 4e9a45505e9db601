/* SPDX-License-Identifier: Apache-2.0 */
/* meshctl: the command line of the people who run the mesh. */
#include "core/mem.h"
#include "core/version.h"
#include "ctl/ctl.h"
#include "ctl/node.h"
#include "lab/lab.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Commands that are no verb of the API. */
struct mesh_command {
	const char *name, *help;
	int (*main)(int argc, char **argv);
};

static const struct mesh_command commands[] = {
	{"lab", "a cluster of nodes and pods on this machine", mesh_lab_main},
	{NULL, NULL, NULL},
};

static int usage(FILE *out)
{
	fputs("usage: meshctl COMMAND [OPTIONS]\n\n", out);
	for (const struct mesh_verb *v = mesh_ctl_verbs; v->name; v++)
		fprintf(out, "  %-12s %s\n", v->name, v->help);
	for (const struct mesh_command *r = commands; r->name; r++)
		fprintf(out, "  %-12s %s\n", r->name, r->help);
	fputs("\nmeshctl COMMAND --help tells more.\n", out);
	return out == stderr;
}

/* Flags may stand before the command, as with kubectl: "meshctl -n coolapp get pods". The command goes first. */
static void command_first(int argc, char **argv)
{
	static const char *const valued[] = {"-n", "--namespace", "--kubeconfig", "--context", "--request-timeout"};
	int at = 1;
	char *command;

	while (at < argc && argv[at][0] == '-' && argv[at][1]) {
		bool value = false;

		for (size_t i = 0; i < MESH_ARRAY_SIZE(valued); i++)
			value |= strcmp(argv[at], valued[i]) == 0;
		at += value ? 2 : 1;
	}
	if (at >= argc)
		return;
	command = argv[at];
	memmove(&argv[2], &argv[1], (size_t)(at - 1) * sizeof(*argv));
	argv[1] = command;
}

int main(int argc, char **argv)
{
	const struct mesh_verb *verb;

	command_first(argc, argv);
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return usage(stdout);
	if (strcmp(argv[1], "--version") == 0) {
		puts(mesh_version);
		return 0;
	}
	verb = mesh_ctl_verb(argv[1]);
	for (const struct mesh_verb *v = mesh_ctl_node_verbs; !verb && v->name; v++)
		verb = strcmp(v->name, argv[1]) == 0 ? v : NULL;
	if (verb)
		return mesh_ctl_main(verb, argc - 1, argv + 1);
	for (const struct mesh_command *r = commands; r->name; r++)
		if (strcmp(argv[1], r->name) == 0)
			return r->main(argc - 1, argv + 1);
	fprintf(stderr, "Error: unknown command \"%s\" for \"meshctl\"\n", argv[1]);
	return 1;
}
