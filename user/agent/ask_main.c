/* SPDX-License-Identifier: Apache-2.0 */
/* The questions of meshd's command line to the agent that runs here. */
#include "agent/ask.h"

#include "agent/options.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { ASK_MS = 5000 };

/* NULL: nobody answered, which was said. New reference. */
static json_t *answer_to(const struct mesh_agent_opts *o, const char *cmd)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	json_t *answer = NULL;

	if (mesh_agent_ask(o->socket, cmd, ASK_MS, &answer, &errs) == 0)
		return answer;
	mesh_vec_each (e, &errs.list)
		fprintf(stderr, "%s\n", e->text);
	return NULL;
}

/* Containers have mount namespaces of their own; a command that is run in one has the container's. */
static bool is_of_our_container(const json_t *status)
{
	mesh_auto_free char *path =
		mesh_xasprintf("/proc/%lld/ns/mnt", (long long)json_integer_value(json_object_get(status, "pid")));
	struct stat its, ours;

	return stat(path, &its) == 0 && stat("/proc/self/ns/mnt", &ours) == 0 && its.st_dev == ours.st_dev &&
	       its.st_ino == ours.st_ino;
}

/* false: another agent has this one's place by now, and stays. */
static bool stop_means_leave(const struct mesh_agent_opts *o, bool *failed)
{
	json_t *status;
	bool ours;

	if (o->stop_detach != MESH_STOP_DETACH)
		return false;
	status = answer_to(o, "status");
	*failed = !status;
	ours = status && is_of_our_container(status);
	json_decref(status);
	return ours;
}

int mesh_agent_ask_main(const struct mesh_agent_opts *o)
{
	bool failed = false, ok;
	const char *why;
	json_t *answer;

	if (o->pre_stop && !stop_means_leave(o, &failed))
		return failed;
	answer = answer_to(o, o->status ? "status" : o->leave || o->pre_stop ? "leave" : "health");
	if (!answer)
		return 1;
	ok = o->alive || json_is_true(json_object_get(answer, "ok"));
	why = json_string_value(json_object_get(answer, "error"));
	if (o->status) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (!ok) {
		fprintf(stderr, "%s\n", why ? why : "not in force");
	}
	json_decref(answer);
	return ok ? 0 : 1;
}
