/* SPDX-License-Identifier: Apache-2.0 */
/* What outlives the kubelet: a file for each pod, and how a kubelet takes up again what it finds. */
#include "lab/node.h"

#include "core/log.h"
#include "core/mem.h"

#include <dirent.h>
#include <stdio.h>

char *mesh_pod_state_file(const struct mesh_pod *pod)
{
	return mesh_lab_path(&pod->node->lab, "node-%u/pods/%s.json", pod->node->number, pod->uid);
}

static json_t *pid_json(const struct mesh_lab_pid *p)
{
	return json_pack("{s:i, s:I}", "pid", (int)p->pid, "start", (json_int_t)p->start);
}

static json_t *container_json(const struct mesh_container *c)
{
	mesh_auto_free char *cgroup = mesh_container_cgroup(c);
	json_t *o = json_pack("{s:s, s:b, s:b, s:i, s:s, s:s, s:o, s:o, s:i, s:I, s:I, s:i, s:i, s:s, s:b}", "name",
			      c->name, "init", c->init, "sidecar", c->sidecar, "state", (int)c->state, "reason",
			      c->reason, "id", c->id, "shim", pid_json(&c->shim), "process", pid_json(&c->process),
			      "restarts", (int)c->restarts, "startedAt", (json_int_t)c->started_at, "finishedAt",
			      (json_int_t)c->finished_at, "exitCode", c->exit_code, "backoff", (int)c->backoff_s,
			      "cgroup", cgroup, "ready", c->ready);

	if (c->env)
		json_object_set(o, "env", c->env);
	if (c->last_state)
		json_object_set(o, "lastState", c->last_state);
	return o;
}

void mesh_pod_save(const struct mesh_pod *pod)
{
	mesh_auto_free char *file = mesh_pod_state_file(pod), *text = NULL;
	json_t *containers = json_array(), *o;

	for (size_t i = 0; i < pod->count; i++)
		json_array_append_new(containers, container_json(&pod->containers[i]));
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:o, s:s, s:o}", "namespace", pod->ns, "name",
		      pod->name, "uid", pod->uid, "ip", pod->sandbox.ip, "ip6", pod->sandbox.ip6, "netns",
		      pod->sandbox.netns, "veth", pod->sandbox.veth, "host", (int)pod->sandbox.host, "pause",
		      (int)pod->sandbox.pause.pid, "pauseProcess", pid_json(&pod->sandbox.pause), "startTime",
		      pod->start_time, "containers", containers);
	text = json_dumps(o, JSON_INDENT(1));
	json_decref(o);
	if (text && mesh_file_write(file, mesh_slice_str(text), 0600) < 0)
		mesh_error("%s: cannot be written", file);
}

static void pid_from(const json_t *o, struct mesh_lab_pid *ret)
{
	ret->pid = (pid_t)mesh_lab_int(o, "pid", 0);
	ret->start = (uint64_t)mesh_lab_int(o, "start", 0);
}

static void restore_container(struct mesh_container *c, const json_t *o)
{
	c->init = json_is_true(json_object_get(o, "init"));
	c->sidecar = json_is_true(json_object_get(o, "sidecar"));
	c->state = (enum mesh_container_state)mesh_lab_int(o, "state", 0);
	snprintf(c->reason, sizeof(c->reason), "%s", mesh_lab_text(o, "reason"));
	snprintf(c->id, sizeof(c->id), "%s", mesh_lab_text(o, "id"));
	pid_from(json_object_get(o, "shim"), &c->shim);
	pid_from(json_object_get(o, "process"), &c->process);
	c->restarts = (unsigned)mesh_lab_int(o, "restarts", 0);
	c->backoff_s = (unsigned)mesh_lab_int(o, "backoff", 0);
	c->started_at = mesh_lab_int(o, "startedAt", 0);
	c->finished_at = mesh_lab_int(o, "finishedAt", 0);
	c->exit_code = (int)mesh_lab_int(o, "exitCode", 0);
	c->ready = c->started = json_is_true(json_object_get(o, "ready"));
	c->env = json_incref(json_object_get(o, "env"));
	c->last_state = json_incref(json_object_get(o, "lastState"));
	if (c->state == MESH_CONTAINER_WAITING)
		c->id[0] = 0; /* so that it is started */
}

/* A stand-in for the object until the API gives it. */
static json_t *minimal_object(const json_t *o)
{
	return json_pack("{s:{s:s, s:s, s:s}}", "metadata", "namespace", mesh_lab_text(o, "namespace"), "name",
			 mesh_lab_text(o, "name"), "uid", mesh_lab_text(o, "uid"));
}

static void restore_pod(struct mesh_node *node, const json_t *o)
{
	json_t *obj = minimal_object(o), *list = json_object_get(o, "containers");
	struct mesh_pod *pod = mesh_pod_new(node, obj);

	json_decref(obj);
	pod->sandbox.node = node->number;
	pod->sandbox.host = (unsigned)mesh_lab_int(o, "host", 0) & 255;
	node->hosts[pod->sandbox.host] = true;
	snprintf(pod->sandbox.netns, sizeof(pod->sandbox.netns), "%s", mesh_lab_text(o, "netns"));
	snprintf(pod->sandbox.ip, sizeof(pod->sandbox.ip), "%s", mesh_lab_text(o, "ip"));
	snprintf(pod->sandbox.ip6, sizeof(pod->sandbox.ip6), "%s", mesh_lab_text(o, "ip6"));
	snprintf(pod->sandbox.veth, sizeof(pod->sandbox.veth), "%s", mesh_lab_text(o, "veth"));
	snprintf(pod->start_time, sizeof(pod->start_time), "%s", mesh_lab_text(o, "startTime"));
	pid_from(json_object_get(o, "pauseProcess"), &pod->sandbox.pause);
	pod->count = json_array_size(list);
	free(pod->containers);
	pod->containers = mesh_xcalloc(pod->count + 1, sizeof(*pod->containers));
	for (size_t i = 0; i < pod->count; i++) {
		const json_t *item = json_array_get(list, i);

		pod->containers[i].pod = pod;
		pod->containers[i].timer.fn = mesh_container_due;
		pod->containers[i].name = mesh_xstrdup(mesh_lab_text(item, "name"));
		restore_container(&pod->containers[i], item);
	}
	pod->stage = MESH_POD_STARTED;
}

void mesh_pods_restore(struct mesh_node *node)
{
	mesh_auto_free char *dir = mesh_lab_path(&node->lab, "node-%u/pods", node->number);
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, e->d_name);
		size_t len = strlen(e->d_name);
		json_t *o = len > 5 && strcmp(e->d_name + len - 5, ".json") == 0 ? json_load_file(path, 0, NULL) : NULL;

		if (o && *mesh_lab_text(o, "uid"))
			restore_pod(node, o);
		json_decref(o);
	}
	if (d)
		closedir(d);
}

void mesh_pod_new_sandbox(struct mesh_pod *pod)
{
	mesh_auto_free char *cgroup = mesh_pod_cgroup(pod);

	mesh_io_remove(pod->node->loop, &pod->pause);
	mesh_cleanup_fd(&pod->pause.fd);
	mesh_lab_sandbox_remove(&pod->sandbox, cgroup, pod->node->netns);
	pod->node->hosts[pod->sandbox.host] = false;
	memset(&pod->sandbox, 0, sizeof(pod->sandbox));
	for (size_t i = 0; i < pod->count; i++) {
		struct mesh_container *c = &pod->containers[i];

		mesh_container_forget(c);
		c->restarts += c->state == MESH_CONTAINER_RUNNING;
		mesh_container_wait(c, "ContainerCreating", "");
		c->id[0] = 0;
		c->shim.pid = c->process.pid = 0;
	}
	pod->stage = MESH_POD_NEW;
	mesh_pod_step(pod);
}

/* A pod that was running before: its containers are followed, those that ended meanwhile are dealt with. */
static void resume(struct mesh_pod *pod)
{
	if (!mesh_lab_pid_alive(&pod->sandbox.pause)) {
		mesh_warn("%s/%s: its sandbox is gone; all of it starts again", pod->ns, pod->name);
		mesh_pod_new_sandbox(pod);
		return;
	}
	mesh_pod_watch_sandbox(pod);
	for (size_t i = 0; i < pod->count; i++)
		mesh_container_adopt(&pod->containers[i]);
	mesh_pod_token(pod);
	mesh_pod_report(pod);
	mesh_pod_step(pod);
}

void mesh_pods_listed(struct mesh_node *node)
{
	MESH_VEC(struct mesh_pod *) all = {0};

	mesh_map_each (e, &node->by_uid)
		mesh_vec_push(&all, e->value);
	mesh_vec_each (item, &all) {
		struct mesh_pod *pod = *item;

		if (pod->stage == MESH_POD_NEW || pod->listed)
			continue;
		pod->listed = true;
		if (!mesh_lab_at(pod->obj, "spec"))
			pod->forgotten = true;
		if (pod->forgotten || mesh_lab_deleting(pod->obj)) {
			for (size_t i = 0; i < pod->count; i++)
				mesh_container_adopt(&pod->containers[i]);
			mesh_pod_step(pod);
		} else {
			resume(pod);
		}
	}
	mesh_vec_free(&all);
}
