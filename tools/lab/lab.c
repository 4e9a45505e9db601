/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/netns.h"
#include "lab/lab_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>

static int list(const struct mesh_lab_args *args);
static int kubeconfig(const struct mesh_lab_args *args);

enum {
	NEEDS_ROOT = 1 << 0,
	INTERNAL = 1 << 1, /* one of the lab's own processes */
};

static const struct command {
	const char *name;
	int (*main)(const struct mesh_lab_args *args);
	unsigned flags;
	const char *usage, *help;
} commands[] = {
	{"up", mesh_lab_up, NEEDS_ROOT, "[--name N] [--nodes 2] [--image NAME=PATH]...", "start a lab, or repair one"},
	{"down", mesh_lab_down, NEEDS_ROOT, "[--name N]", "remove a lab and all that belongs to it"},
	{"status", mesh_lab_status, 0, "[--name N] [-o json]", "show a lab's processes, nodes and pods"},
	{"kubeconfig", kubeconfig, 0, "[--name N]", "print a kubeconfig for a lab's API"},
	{"exec", mesh_lab_exec, NEEDS_ROOT, "[--name N] [-n NS] [-c CONTAINER] POD -- CMD...",
	 "run a command in a pod, without the API"},
	{"list", list, 0, "", "list the labs"},
	{"supervise", mesh_lab_supervise, NEEDS_ROOT | INTERNAL, NULL, NULL},
	{"router", mesh_lab_router, NEEDS_ROOT | INTERNAL, NULL, NULL},
	{"node", mesh_lab_node, NEEDS_ROOT | INTERNAL, NULL, NULL},
	{"controllers", mesh_lab_controllers, NEEDS_ROOT | INTERNAL, NULL, NULL},
};

static int usage(FILE *out)
{
	fputs("usage: meshctl lab COMMAND\n\nA cluster on one machine: nodes and pods in network namespaces.\n\n", out);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(commands); i++)
		if (commands[i].help)
			fprintf(out, "  %-10s %s\n             %s\n", commands[i].name, commands[i].help,
				commands[i].usage);
	fputs("\nWithout --name: the only lab there is, else the one named 'default'.\n", out);
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

static int parse_options(int argc, char **argv, struct mesh_lab_args *args)
{
	static const struct option options[] = {
		{"name", required_argument, NULL, 'N'},
		{"nodes", required_argument, NULL, 'k'},
		{"node", required_argument, NULL, 'i'},
		{"image", required_argument, NULL, 'I'},
		{"output", required_argument, NULL, 'o'},
		{"namespace", required_argument, NULL, 'n'},
		{"container", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	uint64_t n;
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "+o:n:c:h", options, NULL)) != -1) {
		if (c == 'N') {
			args->name = optarg;
		} else if (c == 'k') {
			if (mesh_slice_to_u64(mesh_slice_str(optarg), MESH_LAB_NODES_MAX, &n) < 0 || n == 0) {
				fprintf(stderr, "--nodes %s: 1 to %d\n", optarg, MESH_LAB_NODES_MAX);
				return -EINVAL;
			}
			args->nodes = (unsigned)n;
		} else if (c == 'i') {
			args->node = (unsigned)atoi(optarg);
		} else if (c == 'I') {
			mesh_vec_push(&args->images, optarg);
		} else if (c == 'n') {
			args->ns = optarg;
		} else if (c == 'c') {
			args->container = optarg;
		} else if (c == 'o' && strcmp(optarg, "json") == 0) {
			args->json = true;
		} else if (c == 'o') {
			fprintf(stderr, "-o %s: only json is known\n", optarg);
			return -EINVAL;
		} else {
			return -EINVAL;
		}
	}
	args->rest_count = argc - optind;
	args->rest = argv + optind;
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
	if (cmd->main != mesh_lab_exec && args->rest_count > 0) {
		fprintf(stderr, "meshctl lab %s: '%s' is one too many\n", cmd->name, args->rest[0]);
		return -EINVAL;
	}
	return 0;
}

int mesh_lab_main(int argc, char **argv)
{
	struct mesh_lab_args args = {0};
	int status;

	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return usage(stdout);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(commands); i++) {
		const struct command *cmd = &commands[i];

		if (strcmp(argv[1], cmd->name) != 0)
			continue;
		if (parse_options(argc - 1, argv + 1, &args) < 0) {
			if (cmd->usage)
				fprintf(stderr, "usage: meshctl lab %s %s\n", cmd->name, cmd->usage);
			return 2;
		}
		status = check_options(cmd, &args) < 0 ? 2 : cmd->main(&args);
		mesh_vec_free(&args.images);
		return status;
	}
	fprintf(stderr, "meshctl lab: no command is named '%s'\n", argv[1]);
	return usage(stderr);
}
