/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/node.h"

#include "core/ask.h"
#include "core/mem.h"

#include <errno.h>
#include <stdio.h>

enum { STATUS_MS = 2000, LEAVE_MS = 20000, ANSWER_MAX = 8 << 20 };

static json_t *fail(char **why, const char *path, const char *what)
{
	if (why)
		*why = mesh_xasprintf("%s: %s", path, what);
	return NULL;
}

json_t *mesh_node_ask(const char *path, const json_t *request, int timeout_ms, char **why)
{
	mesh_auto(mesh_buf_free) struct mesh_buf in = {0};
	mesh_auto_free char *line = json_dumps(request, JSON_COMPACT);
	struct mesh_ask ask = {.path = path,
			       .line = mesh_slice_str(line),
			       .fd = -1,
			       .time_ms = (unsigned)timeout_ms,
			       .answer_max = ANSWER_MAX};
	json_t *answer;
	int r = mesh_ask(&ask, &in);

	if (r == -ETIMEDOUT)
		return fail(why, path, "the agent does not answer");
	if (r == -ECONNRESET || r == -EFBIG)
		return fail(why, path, "the agent hung up");
	if (r < 0)
		return fail(why, path, strerror(-r));
	answer = json_loadb(in.data, in.len, 0, NULL);
	return answer ? answer : fail(why, path, "the agent's answer is no JSON");
}

json_t *mesh_node_status(const char *socket, char **why)
{
	json_t *request = json_pack("{s:s}", "cmd", "status"), *answer;

	answer = mesh_node_ask(socket, request, STATUS_MS, why);
	json_decref(request);
	return answer;
}

static const char *socket_of(const struct mesh_flags *f)
{
	return f->socket ? f->socket : MESH_AGENT_SOCKET;
}

/* Prints the answer on one line. The exit status is 1 if there is none or it is not ok. */
static int print_answer(struct mesh_ctl *ctl, json_t *answer, const char *why)
{
	mesh_auto_free char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	const char *error = json_string_value(json_object_get(answer, "error"));
	bool ok = json_is_true(json_object_get(answer, "ok"));

	json_decref(answer);
	if (!text)
		return mesh_ctl_error(ctl, "%s", why);
	puts(text);
	return ok ? 0 : mesh_ctl_error(ctl, "%s", error ? error : "the agent refused");
}

int mesh_ctl_run_node_status(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto_free char *why = NULL;
	json_t *answer = mesh_node_status(socket_of(f), &why);

	return print_answer(ctl, answer, why);
}

json_t *mesh_node_dataplane_request(const struct mesh_texts *words, size_t from, const char **bad)
{
	json_t *set = json_object();

	for (size_t i = from; i < words->list.count; i++) {
		const char *word = words->list.items[i], *eq = strchr(word, '=');
		mesh_auto_free char *name = eq ? mesh_xstrndup(word, (size_t)(eq - word)) : NULL;

		if (!eq || eq == word || !eq[1]) {
			json_decref(set);
			*bad = word;
			return NULL;
		}
		json_object_set_new(set, name, json_string(eq + 1));
	}
	if (json_object_size(set))
		return json_pack("{s:s, s:o}", "cmd", "dataplane-set", "set", set);
	json_decref(set);
	return json_pack("{s:s}", "cmd", "dataplane");
}

int mesh_ctl_run_node_dataplane(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto_free char *why = NULL;
	const char *bad = NULL;
	json_t *request = mesh_node_dataplane_request(&f->args, 0, &bad), *answer;

	if (!request)
		return mesh_ctl_error(ctl, "\"%s\" is no SWITCH=WORD", bad);
	answer = mesh_node_ask(socket_of(f), request, STATUS_MS, &why);
	json_decref(request);
	return print_answer(ctl, answer, why);
}

int mesh_ctl_run_node_leave(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	json_t *request = json_pack("{s:s}", "cmd", "leave"), *answer;
	mesh_auto_free char *why = NULL;

	answer = mesh_node_ask(socket_of(f), request, LEAVE_MS, &why);
	json_decref(request);
	return print_answer(ctl, answer, why);
}

const struct mesh_verb mesh_ctl_node_verbs[] = {
	{"node-status", "", "print what the agent of this node says of itself, as JSON", "socket",
	 mesh_ctl_run_node_status, true},
	{"node-check", "", "print what this node can do for an agent, as JSON", "socket", mesh_ctl_run_node_check,
	 true},
	{"node-dataplane", "[SWITCH=WORD...]", "print or change what the data plane of this node does, as JSON",
	 "socket", mesh_ctl_run_node_dataplane, true},
	{"node-leave", "", "have the agent of this node take everything of it from the kernel and the node", "socket",
	 mesh_ctl_run_node_leave, true},
	{NULL, NULL, NULL, NULL, NULL, false},
};
