/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/check.h"

#include "core/mem.h"
#include "ctl/find_api.h"
#include "ctl/manifest.h"
#include "ctl/node.h"
#include "ctl/node_check.h"
#include "ctl/print.h"
#include "ctl/resource.h"
#include "ctl/status.h"

#include <stdio.h>

json_t *mesh_check_group(struct mesh_check *c, const char *name)
{
	json_t *group, *rows;
	size_t i;

	json_array_foreach(c->groups, i, group)
	{
		const char *has = json_string_value(json_object_get(group, "name"));

		if (has && strcmp(has, name) == 0)
			return json_object_get(group, "rows");
	}
	rows = json_array();
	json_array_append_new(c->groups, json_pack("{s:s, s:o}", "name", name, "rows", rows));
	return rows;
}

/* One machine: a lab's, or none of a cluster. */
static void check_machine(struct mesh_check *c)
{
	json_t *rows = mesh_node_check(false), *status = mesh_node_status(MESH_AGENT_SOCKET, NULL);

	json_array_extend(mesh_check_group(c, "this machine"), rows);
	json_decref(rows);
	if (status)
		mesh_check_agent(mesh_check_group(c, "this machine"), status);
	json_decref(status);
}

/* A lab's nodes are namespaces of this machine. */
static bool is_lab(struct mesh_ctl *ctl)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	const json_t *node, *info;
	const char *runtime;

	if (mesh_ctl_get(ctl, "/api/v1/nodes?limit=1", &a) < 0)
		return false;
	node = json_array_get(json_object_get(a.body, "items"), 0);
	info = json_object_get(json_object_get(node, "status"), "nodeInfo");
	runtime = json_string_value(json_object_get(info, "containerRuntimeVersion"));
	return runtime && strncmp(runtime, "lab://", 6) == 0;
}

static void check_lab(struct mesh_check *c)
{
	json_t *agents = mesh_status_agents(c->ctl, c->ctl->flags->node), *one;
	const char *node;

	check_machine(c);
	json_object_foreach(agents, node, one)
	{
		mesh_auto_free char *name = mesh_xasprintf("node %s", node);

		if (json_object_get(one, "status"))
			mesh_check_agent(mesh_check_group(c, name), json_object_get(one, "status"));
	}
	if (json_object_size(agents) == 0)
		mesh_verdict_add(mesh_check_group(c, "agents"), MESH_VERDICT_FAIL, "agents",
				 "routing of the nodes' pods", "meshctl lab status", "none answers");
	json_decref(agents);
}

static void print_groups(const struct mesh_check *c)
{
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};
	size_t warn = 0, fail = 0, ok = 0, i;
	const json_t *group;

	json_array_foreach(c->groups, i, group)
	{
		const json_t *rows = json_object_get(group, "rows");

		mesh_buf_printf(&out, "%s%s\n", i ? "\n" : "", json_string_value(json_object_get(group, "name")));
		mesh_verdict_print(&out, rows);
		ok += mesh_verdict_count(rows, MESH_VERDICT_OK);
		warn += mesh_verdict_count(rows, MESH_VERDICT_WARN);
		fail += mesh_verdict_count(rows, MESH_VERDICT_FAIL);
	}
	mesh_buf_printf(&out, "\n%zu ok, %zu warnings, %zu failures\n", ok, warn, fail);
	fputs(out.data, stdout);
}

static size_t failures(const struct mesh_check *c)
{
	const json_t *group;
	size_t n = 0, i;

	json_array_foreach(c->groups, i, group) n +=
		mesh_verdict_count(json_object_get(group, "rows"), MESH_VERDICT_FAIL);
	return n;
}

/* No API is known at all: no kubeconfig said, in the environment, in a lab, at home, nor a service account. */
static bool nothing_said(const struct mesh_flags *f)
{
	mesh_auto_free char *file = NULL, *home = NULL;
	struct mesh_errs errs = {0};
	bool none;

	if (f->kubeconfig || f->context || getenv("KUBECONFIG") || getenv("KUBERNETES_SERVICE_HOST"))
		return false;
	none = mesh_find_api(NULL, &file, &errs) == 0 && !file;
	mesh_errs_free(&errs);
	home = mesh_xasprintf("%s/.kube/config", getenv("HOME") ? getenv("HOME") : "");
	return none && access(home, R_OK) != 0;
}

int mesh_ctl_run_check(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};
	struct mesh_check c = {.ctl = ctl};
	int r;

	if (f->args.list.count)
		return mesh_ctl_error(ctl, "check takes no arguments, got \"%s\"", f->args.list.items[0]);
	if (mesh_printer_init(ctl, &p) < 0)
		return 1;
	c.groups = json_array();
	if (nothing_said(f)) {
		check_machine(&c);
	} else if (mesh_ctl_connect(ctl) != 0 || !mesh_resources_get(ctl)) {
		json_decref(c.groups);
		return 1;
	} else if (is_lab(ctl)) {
		check_lab(&c);
	} else {
		mesh_check_cluster(&c, f->pre);
		if (!f->pre)
			mesh_check_installed(&c);
		mesh_check_nodes(&c, f->node, f->pre);
	}
	if (p.format == MESH_FORMAT_TABLE) {
		print_groups(&c);
	} else {
		json_t *all = json_pack("{s:O}", "groups", c.groups);

		mesh_print(ctl, &p, all);
		json_decref(all);
	}
	r = failures(&c) ? 1 : ctl->failed;
	json_decref(c.groups);
	return r;
}
