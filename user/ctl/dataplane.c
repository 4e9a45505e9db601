/* SPDX-License-Identifier: Apache-2.0 */
/* `meshctl dataplane`: what the data plane of each node does, and changing it while it runs. */
#include "ctl/ctl.h"

#include "config/get.h"
#include "core/mem.h"
#include "ctl/agents.h"
#include "ctl/node.h"
#include "ctl/print.h"
#include "ctl/tabs.h"

#include <stdio.h>

static void take_answer(void *all, const char *node, json_t *answer, const char *why)
{
	json_object_set_new(all, node, answer ? json_incref(answer) : json_pack("{s:b, s:s}", "ok", 0, "error", why));
}

/* words: of the command line, from its second on those that say what is to be set. */
static void ask_agents(struct mesh_ctl *ctl, const char *only, const json_t *request, const struct mesh_texts *words,
		       json_t *all)
{
	mesh_auto_free const char **command = mesh_xcalloc(words->list.count + 1, sizeof(*command));

	command[0] = "node-dataplane";
	for (size_t i = 1; i < words->list.count; i++)
		command[i] = words->list.items[i];
	mesh_agents_ask(ctl, only, request, command, take_answer, all);
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
		mesh_buf_printf(&t.text, "%s\t%s\t%s\t%s\t%s%s%s\n", node, mesh_text(row, "name"),
				mesh_text(row, "word"), json_is_true(json_object_get(row, "inUse")) ? "yes" : "no",
				mesh_text(row, "why"), mesh_text(row, "what")[0] ? "\t" : "", mesh_text(row, "what"));
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
		mesh_ctl_error(ctl, "node %s: %s", node, mesh_text(answer, "error"));
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
	ask_agents(ctl, f->node, request, &f->args, all);
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
