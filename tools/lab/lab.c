/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/netns.h"
#include "lab/lab_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>

static int list(const struct mesh_lab_args *args);
static int kubeconfig(const struct mesh_lab_args *args);

enum {
	NEEDS_ROOT = 1 << 0,
	INTERNAL = 1 << 1, /* one of the lab's own processes */
};

#define AT(field) offsetof(struct mesh_lab_args, field)
#define NAME                                                                                                           \
	{                                                                                                              \
		.name = "name", .type = MESH_OPT_STRING, .at = AT(name), .arg = "NAME", .help = "the lab's name"       \
	}

static const struct mesh_opt name_rows[] = {NAME};

/* clang-format off */
static const struct mesh_opt up_rows[] = {
	NAME,
	{.name = "nodes", .type = MESH_OPT_UNSIGNED, .at = AT(nodes), .arg = "N", .min = 1, .max = MESH_LAB_NODES_MAX,
	 .help = "how many nodes (default: 2)"},
	{.name = "image", .type = MESH_OPT_LIST, .at = AT(images), .arg = "NAME=PATH",
	 .help = "what a container with this image runs"},
};

static const struct mesh_opt status_rows[] = {
	NAME,
	{.name = "output", .letter = 'o', .type = MESH_OPT_CHOICE, .at = AT(output), .arg = "FORMAT",
	 .values = "table|json", .initial = "table", .help = "how it is shown"},
};

static const struct mesh_opt exec_rows[] = {
	NAME,
	{.name = "namespace", .letter = 'n', .type = MESH_OPT_STRING, .at = AT(ns), .arg = "NS",
	 .help = "of the pod (default: default)"},
	{.name = "container", .letter = 'c', .type = MESH_OPT_STRING, .at = AT(container), .arg = "NAME",
	 .help = "of the pod (default: its first)"},
};

static const struct mesh_opt node_rows[] = {
	NAME,
	{.name = "node", .type = MESH_OPT_UNSIGNED, .at = AT(node), .arg = "N", .max = MESH_LAB_NODES_MAX,
	 .help = "the node's number"},
};
/* clang-format on */

#define ROWS(rows) rows, MESH_ARRAY_SIZE(rows)

static const struct command {
	const char *name;
	int (*main)(const struct mesh_lab_args *args);
	unsigned flags;
	const struct mesh_opt *rows;
	size_t count;
	const char *operands, *help;
} commands[] = {
	{"up", mesh_lab_up, NEEDS_ROOT, ROWS(up_rows), NULL, "start a lab, or repair one"},
	{"down", mesh_lab_down, NEEDS_ROOT, ROWS(name_rows), NULL, "remove a lab and all that belongs to it"},
	{"status", mesh_lab_status, 0, ROWS(status_rows), NULL, "show a lab's processes, nodes and pods"},
	{"kubeconfig", kubeconfig, 0, ROWS(name_rows), NULL, "print a kubeconfig for a lab's API"},
	{"exec", mesh_lab_exec, NEEDS_ROOT, ROWS(exec_rows), "POD -- CMD...",
	 "run a command in a pod, without the API"},
	{"list", list, 0, NULL, 0, NULL, "list the labs"},
	{"supervise", mesh_lab_supervise, NEEDS_ROOT | INTERNAL, ROWS(name_rows), NULL, NULL},
	{"router", mesh_lab_router, NEEDS_ROOT | INTERNAL, ROWS(name_rows), NULL, NULL},
	{"node", mesh_lab_node, NEEDS_ROOT | INTERNAL, ROWS(node_rows), NULL, NULL},
	{"controllers", mesh_lab_controllers, NEEDS_ROOT | INTERNAL, ROWS(name_rows), NULL, NULL},
};

static int usage(FILE *out)
{
	fputs("usage: meshctl lab COMMAND [OPTIONS]\n\n"
	      "A cluster on one machine: nodes and pods in network namespaces.\n\n",
	      out);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(commands); i++)
		if (commands[i].help)
			fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\nmeshctl lab COMMAND --help lists a command's options. Without --name: the only lab there is, else the "
	      "one named 'default'.\n",
	      out);
	return out == stderr ? 2 : 0;
}

int mesh_lab_pick(const struct mesh_lab_args *args, struct mesh_lab *ret)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	struct mesh_lab_names names;
	char name[MESH_LAB_NAME_MAX + 1] = "default";
	int r;

	mesh_lab_list(&names);
	if (args->name)
		snprintf(name, sizeof(name), "%s", args->name);
	else if (names.list.count == 1)
		snprintf(name, sizeof(name), "%s", names.list.items[0]);
	mesh_lab_names_free(&names);
	r = mesh_lab_load(name, ret, &errs);
	if (r == -ENOENT)
		fprintf(stderr, "no lab is named '%s' (meshctl lab list)\n", name);
	mesh_vec_each (e, &errs.list)
		fprintf(stderr, "%s\n", e->text);
	return r;
}

static int list(const struct mesh_lab_args *args)
{
	struct mesh_lab_names names;
	char ip[MESH_LAB_TEXT];

	(void)args;
	mesh_lab_list(&names);
	printf("%-24s %-6s %-6s %s\n", "NAME", "INDEX", "NODES", "API");
	mesh_vec_each (name, &names.list) {
		struct mesh_lab lab;

		if (mesh_lab_load(*name, &lab, NULL) < 0)
			continue;
		printf("%-24s %-6u %-6u https://%s:%d\n", lab.name, lab.index, lab.nodes, mesh_lab_host_ip(&lab, ip),
		       MESH_LAB_API_PORT);
		mesh_lab_free(&lab);
	}
	mesh_lab_names_free(&names);
	return 0;
}

static int kubeconfig(const struct mesh_lab_args *args)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	mesh_auto_free char *path = NULL;
	struct mesh_lab lab;
	int r;

	if (mesh_lab_pick(args, &lab) < 0)
		return 1;
	path = mesh_lab_path(&lab, "kubeconfig");
	mesh_lab_free(&lab);
	r = mesh_file_read(path, 1 << 20, &text);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
		return 1;
	}
	fwrite(text.data, 1, text.len, stdout);
	return 0;
}

static int check_options(const struct command *cmd, const struct mesh_lab_args *args)
{
	if (args->name && !mesh_lab_name_valid(args->name)) {
		fprintf(stderr, "--name %s: a lab's name has at most %d of a-z, 0-9 and '-', not '-' at the ends\n",
			args->name, MESH_LAB_NAME_MAX);
		return -EINVAL;
	}
	if ((cmd->flags & NEEDS_ROOT) && geteuid() != 0) {
		fprintf(stderr, "this needs root: sudo meshctl lab %s\n", cmd->name);
		return -EPERM;
	}
	if ((cmd->flags & NEEDS_ROOT) && !mesh_cgroup2_mount()) {
		fputs("cgroup v2 is not mounted: mkdir -p /sys/fs/cgroup/unified; "
		      "mount -t cgroup2 none /sys/fs/cgroup/unified\n",
		      stderr);
		return -ENODEV;
	}
	return 0;
}

static int run_command(const struct command *cmd, int argc, char **argv)
{
	mesh_auto_free char *command = mesh_xasprintf("meshctl lab %s", cmd->name);
	struct mesh_opts opts = {.command = command,
				 .operands = cmd->operands,
				 .about = cmd->help,
				 .rows = cmd->rows,
				 .count = cmd->count};
	struct mesh_lab_args args = {0};
	int first, status = mesh_opts_main(&opts, argc, argv, &args, &first);

	if (status < 0) {
		args.rest_count = argc - first;
		args.rest = argv + first;
		status = check_options(cmd, &args) < 0 ? 2 : cmd->main(&args);
	}
	mesh_vec_free(&args.images.list);
	return status;
}

int mesh_lab_main(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return usage(stdout);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return run_command(&commands[i], argc - 1, argv + 1);
	fprintf(stderr, "meshctl lab: no command is named '%s'\n", argv[1]);
	return usage(stderr);
}
