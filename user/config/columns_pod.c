/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The columns of a Pod: what state it is in, in one word.
 */
#include "config/columns.h"

#include "config/condition.h"
#include "config/decode.h"

#include <time.h>

struct pod_row {
	size_t total, ready;
	json_int_t restarts;
	const char *last_restart; /* when the newest terminated one ended */
	struct mesh_buf reason;
};

static const char *text_at(const json_t *obj, const char *a, const char *b)
{
	return json_string_value(mesh_json_at(obj, a, b, NULL));
}

static void newest_restart(struct pod_row *row, const json_t *status)
{
	const char *t = json_string_value(mesh_json_at(status, "lastState", "terminated", "finishedAt", NULL));

	if (t && (!row->last_restart || strcmp(t, row->last_restart) > 0))
		row->last_restart = t;
}

/* "Reason", "Signal:9" or "ExitCode:1", with a prefix. */
static void set_terminated(struct mesh_buf *reason, const char *prefix, const json_t *terminated)
{
	const char *why = mesh_json_text(terminated, "reason");
	json_int_t signal = json_integer_value(json_object_get(terminated, "signal"));

	mesh_buf_clear(reason);
	mesh_buf_str(reason, prefix);
	if (why && *why)
		mesh_buf_str(reason, why);
	else if (signal)
		mesh_buf_printf(reason, "Signal:%" JSON_INTEGER_FORMAT, signal);
	else
		mesh_buf_printf(reason, "ExitCode:%" JSON_INTEGER_FORMAT,
				json_integer_value(json_object_get(terminated, "exitCode")));
}

static bool restarts_always(const json_t *pod, const char *name)
{
	size_t i;
	json_t *c;

	json_array_foreach(mesh_json_at(pod, "spec", "initContainers", NULL), i, c)
	{
		const char *n = mesh_json_text(c, "name"), *policy = mesh_json_text(c, "restartPolicy");

		if (n && name && strcmp(n, name) == 0)
			return policy && strcmp(policy, "Always") == 0;
	}
	return false;
}

/* Whether init containers still decide what the pod is doing. */
static bool init_containers(struct pod_row *row, const json_t *pod)
{
	const json_t *list = mesh_json_at(pod, "status", "initContainerStatuses", NULL);
	size_t i, wanted = json_array_size(mesh_json_at(pod, "spec", "initContainers", NULL));
	json_t *c;

	json_array_foreach(list, i, c)
	{
		const json_t *terminated = mesh_json_at(c, "state", "terminated", NULL);
		const char *waiting = json_string_value(mesh_json_at(c, "state", "waiting", "reason", NULL));

		row->restarts += json_integer_value(json_object_get(c, "restartCount"));
		newest_restart(row, c);
		if (terminated && json_integer_value(json_object_get(terminated, "exitCode")) == 0)
			continue;
		if (restarts_always(pod, mesh_json_text(c, "name")) && json_is_true(json_object_get(c, "started"))) {
			row->ready += json_is_true(json_object_get(c, "ready"));
			continue;
		}
		if (terminated) {
			set_terminated(&row->reason, "Init:", terminated);
		} else {
			mesh_buf_clear(&row->reason);
			if (waiting && *waiting && strcmp(waiting, "PodInitializing") != 0)
				mesh_buf_printf(&row->reason, "Init:%s", waiting);
			else
				mesh_buf_printf(&row->reason, "Init:%zu/%zu", i, wanted);
		}
		return true;
	}
	return false;
}

static void containers(struct pod_row *row, const json_t *pod)
{
	const json_t *list = mesh_json_at(pod, "status", "containerStatuses", NULL);
	bool running = false;

	row->restarts = 0;
	row->last_restart = NULL;
	for (size_t i = json_array_size(list); i-- > 0;) {
		const json_t *c = json_array_get(list, i), *terminated = mesh_json_at(c, "state", "terminated", NULL);
		const char *waiting = json_string_value(mesh_json_at(c, "state", "waiting", "reason", NULL));

		row->restarts += json_integer_value(json_object_get(c, "restartCount"));
		newest_restart(row, c);
		if (waiting && *waiting) {
			mesh_buf_clear(&row->reason);
			mesh_buf_str(&row->reason, waiting);
		} else if (terminated) {
			set_terminated(&row->reason, "", terminated);
		} else if (json_is_true(json_object_get(c, "ready")) && mesh_json_at(c, "state", "running", NULL)) {
			running = true;
			row->ready++;
		}
	}
	if (running && row->reason.data && strcmp(row->reason.data, "Completed") == 0) {
		mesh_buf_clear(&row->reason);
		mesh_buf_str(&row->reason, mesh_condition_true(pod, "Ready") ? "Running" : "NotReady");
	}
}

static bool is_initialized(const json_t *pod)
{
	return mesh_condition_true(pod, "Initialized");
}

static void gates(struct pod_row *row, const json_t *pod)
{
	size_t i;
	json_t *c;

	json_array_foreach(mesh_json_at(pod, "status", "conditions", NULL), i, c)
	{
		const char *type = mesh_json_text(c, "type"), *reason = mesh_json_text(c, "reason");

		if (type && reason && strcmp(type, "PodScheduled") == 0 && strcmp(reason, "SchedulingGated") == 0) {
			mesh_buf_clear(&row->reason);
			mesh_buf_str(&row->reason, reason);
		}
	}
}

static void pod_row_fill(struct pod_row *row, const json_t *pod)
{
	const char *phase = text_at(pod, "status", "phase"), *reason = text_at(pod, "status", "reason");
	size_t i;
	json_t *c;

	*row = (struct pod_row){.total = json_array_size(mesh_json_at(pod, "spec", "containers", NULL))};
	json_array_foreach(mesh_json_at(pod, "spec", "initContainers", NULL), i, c) row->total +=
		restarts_always(pod, mesh_json_text(c, "name"));
	mesh_buf_str(&row->reason, reason && *reason ? reason : phase ? phase : "");
	gates(row, pod);
	if (!init_containers(row, pod) || is_initialized(pod))
		containers(row, pod);
	if (!mesh_json_at(pod, "metadata", "deletionTimestamp", NULL))
		return;
	if (reason && strcmp(reason, "NodeLost") == 0) {
		mesh_buf_clear(&row->reason);
		mesh_buf_str(&row->reason, "Unknown");
	} else if (!phase || (strcmp(phase, "Failed") != 0 && strcmp(phase, "Succeeded") != 0)) {
		mesh_buf_clear(&row->reason);
		mesh_buf_str(&row->reason, "Terminating");
	}
}

json_t *mesh_cell_pod_ready(const json_t *obj)
{
	struct pod_row row;

	pod_row_fill(&row, obj);
	mesh_buf_free(&row.reason);
	return json_sprintf("%zu/%zu", row.ready, row.total);
}

json_t *mesh_cell_pod_status(const json_t *obj)
{
	struct pod_row row;
	json_t *v;

	pod_row_fill(&row, obj);
	v = json_string(row.reason.data ? row.reason.data : "");
	mesh_buf_free(&row.reason);
	return v ? v : json_string("");
}

json_t *mesh_cell_pod_restarts(const json_t *obj)
{
	struct mesh_buf text = {0};
	struct pod_row row;
	json_t *v;

	pod_row_fill(&row, obj);
	mesh_buf_free(&row.reason);
	mesh_buf_printf(&text, "%" JSON_INTEGER_FORMAT, row.restarts);
	if (row.restarts && row.last_restart) {
		mesh_buf_str(&text, " (");
		mesh_since_text(row.last_restart, &text);
		mesh_buf_str(&text, " ago)");
	}
	v = json_string(text.data);
	mesh_buf_free(&text);
	return v;
}

static json_t *or_none(const char *s)
{
	return json_string(s && *s ? s : "<none>");
}

static json_t *cell_ip(const json_t *obj)
{
	const json_t *ips = mesh_json_at(obj, "status", "podIPs", NULL);
	const char *first = mesh_json_text(json_array_get(ips, 0), "ip");

	return or_none(first ? first : text_at(obj, "status", "podIP"));
}

static json_t *cell_node(const json_t *obj)
{
	return or_none(text_at(obj, "spec", "nodeName"));
}

static json_t *cell_nominated(const json_t *obj)
{
	return or_none(text_at(obj, "status", "nominatedNodeName"));
}

static json_t *cell_gates(const json_t *obj)
{
	const json_t *wanted = mesh_json_at(obj, "spec", "readinessGates", NULL);
	size_t i, met = 0;
	json_t *g;

	if (json_array_size(wanted) == 0)
		return json_string("<none>");
	json_array_foreach(wanted, i, g)
	{
		const char *type = mesh_json_text(g, "conditionType");

		met += type && mesh_condition_true(obj, type);
	}
	return json_sprintf("%zu/%zu", met, json_array_size(wanted));
}

const struct mesh_column mesh_columns_pod[] = {
	{"Name", "string", "Name of the pod.", 0, NULL, mesh_cell_name},
	{"Ready", "string", "Containers that are ready, of all.", 0, NULL, mesh_cell_pod_ready},
	{"Status", "string", "What it is doing.", 0, NULL, mesh_cell_pod_status},
	{"Restarts", "string", "How often its containers were started again.", 0, NULL, mesh_cell_pod_restarts},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{"IP", "string", "Its address.", 1, NULL, cell_ip},
	{"Node", "string", "Where it runs.", 1, NULL, cell_node},
	{"Nominated Node", "string", "Where room is being made for it.", 1, NULL, cell_nominated},
	{"Readiness Gates", "string", "Conditions of its own that are met, of all.", 1, NULL, cell_gates},
	{.name = NULL},
};
