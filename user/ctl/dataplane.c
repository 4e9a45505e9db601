/* SPDX-License-Identifier: Apache-2.0 */
/* `meshctl dataplane`: what the data plane of each node does, and changing it while it runs. */
#include "ctl/ctl.h"

#include "core/mem.h"
#include "ctl/manifest.h"
#include "ctl/node.h"
#include "ctl/podexec.h"
#include "ctl/print.h"
#include "ctl/resource.h"
#include "ctl/rollout.h"
#include "ctl/status.h"
#include "ctl/tabs.h"

#include <glob.h>
#include <stdio.h>

enum { ASK_MS = 5000, EXEC_MS = 10000 };

static const char *text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

/* A lab's agents, or this node's own, each by its socket; only: a node's name, or NULL. */
static void ask_sockets(struct mesh_ctl *ctl, const char *only, const json_t *request, json_t *all)
{
	mesh_auto_free char *pattern = mesh_status_sockets(ctl);
	glob_t found;

	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		json_t *who = json_pack("{s:s}", "cmd", "dataplane"), *answer = NULL;
		json_t *first = mesh_node_ask(found.gl_pathv[i], who, ASK_MS, NULL);
		mesh_auto_free char *node = mesh_xstrdup(text(first, "node")), *why = NULL;

		if (node[0] && (!only || strcmp(only, node) == 0))
			answer = mesh_node_ask(found.gl_pathv[i], request, ASK_MS, &why);
		if (answer)
			json_object_set_new(all, node, answer);
		else if (why)
			json_object_set_new(all, node, json_pack("{s:b, s:s}", "ok", 0, "error", why));
		json_decref(first);
		json_decref(who);
	}
	globfree(&found);
}

static void take_answer(struct mesh_podexec *job, const char *node, json_t *all)
{
	json_t *answer = mesh_podexec_json(job);
	mesh_auto_free char *why = answer ? NULL : mesh_podexec_why(job);

	json_object_set_new(all, node, answer ? answer : json_pack("{s:b, s:s}", "ok", 0, "error", why));
}

/* A cluster's agents, each by a command in its pod. */
static void ask_pods(struct mesh_ctl *ctl, const char *only, const struct mesh_texts *words, json_t *all)
{
	json_t *pods = mesh_list(ctl,
				 "/api/v1/namespaces/" MESH_SYSTEM_NAMESPACE
				 "/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dagent",
				 NULL),
	       *pod;
	size_t n = json_array_size(pods), count = 0, i;
	mesh_auto_free struct mesh_podexec *jobs = mesh_xcalloc(n + 1, sizeof(*jobs));
	mesh_auto_free const char **nodes = mesh_xcalloc(n + 1, sizeof(*nodes));
	mesh_auto_free const char **command = mesh_xcalloc(words->list.count + 3, sizeof(*command));

	command[0] = "/usr/bin/meshctl";
	command[1] = "node-dataplane";
	for (i = 1; i < words->list.count; i++)
		command[i + 1] = words->list.items[i];
	json_array_foreach(pods, i, pod)
	{
		const char *node = text(json_object_get(pod, "spec"), "nodeName");

		if (!node[0] || (only && strcmp(only, node) != 0) || json_object_get(all, node) ||
		    mesh_pod_on(pods, node) != pod)
			continue;
		nodes[count] = node;
		jobs[count++] = (struct mesh_podexec){.namespace = MESH_SYSTEM_NAMESPACE,
						      .pod = mesh_meta(pod, "name"),
						      .container = "agent",
						      .command = command};
	}
	mesh_podexec_run(mesh_kube_config(ctl->kube), jobs, count, EXEC_MS);
	for (i = 0; i < count; i++) {
		take_answer(&jobs[i], nodes[i], all);
		mesh_podexec_free(&jobs[i]);
	}
	json_decref(pods);
}

static void print_table(const json_t *all)
{
	struct mesh_tabs t = {.min_width = 6, .padding = 3};
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};
	const json_t *row;
	const char *node;
	json_t *answer;
	size_t i;

	mesh_buf_str(&t.text, "NODE\tSWITCH\tWORD\tIN USE\tWHY NOT\tWHERE, AND WHAT\n");
	json_object_foreach((json_t *)all, node, answer) json_array_foreach(json_object_get(answer, "switches"), i, row)
		mesh_buf_printf(&t.text, "%s\t%s\t%s\t%s\t%s%s%s\n", node, text(row, "name"), text(row, "word"),
				json_is_true(json_object_get(row, "inUse")) ? "yes" : "no", text(row, "why"),
				text(row, "what")[0] ? "\t" : "", text(row, "what"));
	mesh_tabs_flush(&t, &out);
	mesh_tabs_free(&t);
	fputs(out.data, stdout);
}

/* Says which nodes could not be asked, or refused. Returns how many. */
static size_t say_errors(struct mesh_ctl *ctl, const json_t *all)
{
	const char *node;
	json_t *answer;
	size_t n = 0;

	json_object_foreach((json_t *)all, node, answer)
	{
		if (json_is_true(json_object_get(answer, "ok")))
			continue;
		mesh_ctl_error(ctl, "node %s: %s", node, text(answer, "error"));
		n++;
	}
	return n;
}

int mesh_ctl_run_dataplane(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};
	const char *what = f->args.list.count ? f->args.list.items[0] : "", *bad = NULL;
	bool set = strcmp(what, "set") == 0;
	json_t *request, *all;
	size_t errors;

	if (!set && strcmp(what, "get") != 0)
		return mesh_ctl_error(ctl, "dataplane \"%s\": it is `dataplane get` or `dataplane set SWITCH=WORD...`",
				      what);
	if (set != (f->args.list.count > 1))
		return mesh_ctl_error(ctl, set ? "dataplane set: which switch? SWITCH=WORD"
					       : "dataplane get takes no further arguments");
	request = mesh_node_dataplane_request(&f->args, 1, &bad);
	if (!request)
		return mesh_ctl_error(ctl, "dataplane set: \"%s\" is no SWITCH=WORD", bad);
	if (mesh_printer_init(ctl, &p) < 0) {
		json_decref(request);
		return 1;
	}
	all = json_object();
	ask_sockets(ctl, f->node, request, all);
	ask_pods(ctl, f->node, &f->args, all);
	json_decref(request);
	errors = say_errors(ctl, all);
	if (json_object_size(all) == 0)
		mesh_ctl_error(ctl, "no agent can be asked%s%s", f->node ? " on node " : "", f->node ? f->node : "");
	else if (p.format == MESH_FORMAT_TABLE && errors < json_object_size(all))
		print_table(all);
	else if (p.format != MESH_FORMAT_TABLE)
		mesh_print(ctl, &p, all);
	json_decref(all);
	return ctl->failed;
}
