/* SPDX-License-Identifier: Apache-2.0 */
/* The pod's status, as a kubelet writes it. */
#include "lab/node.h"

#include "core/mem.h"
#include "core/time.h"

#include <stdio.h>

static json_t *state_of(const struct mesh_container *c)
{
	char started[32], finished[32];
	json_t *o;

	switch (c->state) {
	case MESH_CONTAINER_RUNNING:
		return json_pack("{s:{s:s}}", "running", "startedAt", mesh_time_text(c->started_at, started));
	case MESH_CONTAINER_TERMINATED:
		o = json_pack("{s:i, s:s, s:s, s:s, s:s}", "exitCode", c->exit_code, "reason", c->reason, "startedAt",
			      mesh_time_text(c->started_at, started), "finishedAt",
			      mesh_time_text(c->finished_at, finished), "containerID", c->id);
		return json_pack("{s:o}", "terminated", o);
	default:
		o = json_pack("{s:s}", "reason", c->reason);
		if (c->message[0])
			json_object_set_new(o, "message", json_string(c->message));
		return json_pack("{s:o}", "waiting", o);
	}
}

static json_t *container_status(const struct mesh_container *c)
{
	const char *image = mesh_lab_text(mesh_container_spec(c), "image");
	mesh_auto_free char *key = mesh_lab_image_key(image);
	json_t *last = c->last_state ? json_incref(c->last_state) : json_object();
	json_t *o = json_pack("{s:s, s:o, s:o, s:b, s:i, s:s, s:s, s:b}", "name", c->name, "state", state_of(c),
			      "lastState", last, "ready",
			      c->init && !c->sidecar ? c->state == MESH_CONTAINER_TERMINATED && c->exit_code == 0
						     : c->state == MESH_CONTAINER_RUNNING && c->ready,
			      "restartCount", (int)c->restarts, "image", image, "imageID", "", "started",
			      c->state == MESH_CONTAINER_RUNNING && c->started);

	if (c->id[0]) {
		json_object_set_new(o, "containerID", json_string(c->id));
		json_object_set_new(o, "imageID", json_sprintf("lab://%s", key));
	}
	return o;
}

static bool init_done(const struct mesh_pod *pod)
{
	for (size_t i = 0; i < pod->count; i++) {
		const struct mesh_container *c = &pod->containers[i];

		if (c->init && (c->sidecar ? !c->started : c->state != MESH_CONTAINER_TERMINATED || c->exit_code != 0))
			return false;
	}
	return true;
}

const char *mesh_pod_phase(const struct mesh_pod *pod)
{
	const char *policy = mesh_lab_text(pod->obj, "spec.restartPolicy");
	size_t main_count = 0, ended = 0, failed = 0, begun = 0;

	for (size_t i = 0; i < pod->count; i++) {
		const struct mesh_container *c = &pod->containers[i];

		if (c->init) {
			if (!c->sidecar && c->state == MESH_CONTAINER_TERMINATED && c->exit_code != 0 &&
			    strcmp(policy, "Never") == 0)
				return "Failed";
			continue;
		}
		main_count++;
		begun += c->state != MESH_CONTAINER_WAITING || c->id[0];
		ended += c->state == MESH_CONTAINER_TERMINATED;
		failed += c->state == MESH_CONTAINER_TERMINATED && c->exit_code != 0;
	}
	if (!init_done(pod) && begun == 0)
		return "Pending";
	if (main_count && ended == main_count &&
	    (mesh_pod_stopping(pod) || strcmp(policy, "Never") == 0 || (strcmp(policy, "OnFailure") == 0 && !failed)))
		return failed ? "Failed" : "Succeeded";
	return begun == main_count && main_count ? "Running" : "Pending";
}

static json_t *condition(const struct mesh_pod *pod, const char *type, bool good, const char *reason,
			 const char *message)
{
	const json_t *was = mesh_lab_item(pod->conditions, "type", type);
	json_t *o = json_pack("{s:s, s:s, s:n}", "type", type, "status", good ? "True" : "False", "lastProbeTime");

	if (!was)
		was = mesh_lab_item(mesh_lab_at(pod->obj, "status.conditions"), "type", type);
	if (was && mesh_lab_is(was, "status", good ? "True" : "False"))
		json_object_set(o, "lastTransitionTime", json_object_get(was, "lastTransitionTime"));
	else
		json_object_set_new(o, "lastTransitionTime", mesh_lab_now());
	if (!good && reason) {
		json_object_set_new(o, "reason", json_string(reason));
		json_object_set_new(o, "message", json_string(message));
	}
	return o;
}

/* "containers with unready status: [a b]" */
static void list_containers(const struct mesh_pod *pod, bool init, struct mesh_buf *out)
{
	mesh_buf_printf(out, "containers with %s status: [", init ? "incomplete" : "unready");
	for (size_t i = 0, n = 0; i < pod->count; i++) {
		const struct mesh_container *c = &pod->containers[i];
		bool good = init ? c->state == MESH_CONTAINER_TERMINATED && c->exit_code == 0
				 : c->state == MESH_CONTAINER_RUNNING && c->ready;

		if (c->init == init && !good)
			mesh_buf_printf(out, "%s%s", n++ ? " " : "", c->name);
	}
	mesh_buf_char(out, ']');
}

static json_t *conditions_of(const struct mesh_pod *pod, const char *phase)
{
	mesh_auto(mesh_buf_free) struct mesh_buf unready = {0}, incomplete = {0};
	bool ready = strcmp(phase, "Running") == 0, done = init_done(pod);
	bool over = strcmp(phase, "Succeeded") == 0;
	json_t *list = json_array(), *other;
	size_t i;

	for (size_t k = 0; k < pod->count; k++)
		if (!pod->containers[k].init)
			ready &= pod->containers[k].state == MESH_CONTAINER_RUNNING && pod->containers[k].ready;
	list_containers(pod, false, &unready);
	list_containers(pod, true, &incomplete);
	const char *why = over ? "PodCompleted" : "ContainersNotReady";

	json_array_append_new(list, condition(pod, "PodReadyToStartContainers", pod->sandbox.host != 0, NULL, NULL));
	json_array_append_new(list, condition(pod, "Initialized", done, "ContainersNotInitialized", incomplete.data));
	json_array_append_new(list, condition(pod, "Ready", ready, why, over ? "" : unready.data));
	json_array_append_new(list, condition(pod, "ContainersReady", ready, why, over ? "" : unready.data));
	json_array_append_new(list, condition(pod, "PodScheduled", true, NULL, NULL));
	json_array_foreach(mesh_lab_at(pod->obj, "status.conditions"), i, other)
	{
		if (!mesh_lab_item(list, "type", mesh_lab_text(other, "type")))
			json_array_append(list, other); /* another's (a readiness gate's) */
	}
	return list;
}

json_t *mesh_pod_status(struct mesh_pod *pod)
{
	const char *phase = mesh_pod_phase(pod);
	json_t *init = json_array(), *main = json_array(), *conditions = conditions_of(pod, phase);
	json_t *o = json_pack("{s:s, s:O, s:s, s:s, s:[{s:s}], s:o}", "phase", phase, "conditions", conditions,
			      "startTime", pod->start_time, "hostIP", pod->node->ip, "hostIPs", "ip", pod->node->ip,
			      "containerStatuses", main);

	json_decref(pod->conditions);
	pod->conditions = conditions;
	for (size_t i = 0; i < pod->count; i++)
		json_array_append_new(pod->containers[i].init ? init : main, container_status(&pod->containers[i]));
	if (json_array_size(init))
		json_object_set(o, "initContainerStatuses", init);
	json_decref(init);
	if (pod->sandbox.host) {
		json_object_set_new(o, "podIP", json_string(pod->sandbox.ip));
		json_object_set_new(o, "podIPs", json_pack("[{s:s}]", "ip", pod->sandbox.ip));
		if (pod->sandbox.ip6[0])
			json_array_append_new(json_object_get(o, "podIPs"), json_pack("{s:s}", "ip", pod->sandbox.ip6));
	}
	return o;
}

static void send_report(struct mesh_pod *pod);

static void reported(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_node *node = ((void **)arg)[0];
	struct mesh_pod *pod = mesh_map_get_str(&node->by_uid, ((char **)arg)[1]);

	free(((char **)arg)[1]);
	free(arg);
	if (!pod)
		return;
	pod->report_busy = false;
	if (r->status != 200) {
		json_decref(pod->reported);
		pod->reported = NULL;
		if (r->status == 404 || r->status == 409) { /* gone, or another pod of that name */
			pod->report_dirty = false;
		} else {
			pod->report_dirty = true;
			mesh_timer_set(node->loop, &pod->timer, MESH_MS(200));
			return;
		}
	}
	if (pod->report_dirty)
		send_report(pod);
	mesh_pod_step(pod);
}

static void send_report(struct mesh_pod *pod)
{
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/pods/%s/status", pod->ns, pod->name);
	json_t *status, *patch;
	void **arg;

	pod->report_dirty = false;
	status = mesh_pod_status(pod);
	if (pod->reported && json_equal(status, pod->reported)) {
		json_decref(status);
		return;
	}
	json_decref(pod->reported);
	pod->reported = status;
	patch = json_pack("{s:{s:s}, s:O}", "metadata", "uid", pod->uid, "status", status);
	arg = mesh_xcalloc(2, sizeof(void *));
	arg[0] = pod->node;
	arg[1] = mesh_xstrdup(pod->uid);
	pod->report_busy = true;
	mesh_kube_send(pod->node->kube, "PATCH", path, patch, "application/merge-patch+json", NULL, reported, arg);
	json_decref(patch);
}

void mesh_pod_report(struct mesh_pod *pod)
{
	if (pod->forgotten || pod->stage == MESH_POD_GONE)
		return;
	pod->report_dirty = true;
	if (!pod->report_busy)
		send_report(pod);
}
