/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/node.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/wait.h>

enum {
	BACKOFF_FIRST_S = 10,
	BACKOFF_MAX_S = 300,
	BACKOFF_RESET_S = 600, /* who ran that long starts again without delay */
	IMAGE_RETRY_S = 10,
	CONFIG_RETRY_S = 2,
};

json_t *mesh_container_spec(const struct mesh_container *c)
{
	return mesh_lab_item(mesh_lab_at(c->pod->obj, c->init ? "spec.initContainers" : "spec.containers"), "name",
			     c->name);
}

char *mesh_container_cgroup(const struct mesh_container *c)
{
	return mesh_lab_cgroup_path(&c->pod->node->lab, "node-%u/pods/%s/%s", c->pod->node->number, c->pod->uid,
				    c->name);
}

char *mesh_container_log(const struct mesh_container *c, unsigned restart)
{
	return mesh_lab_path(&c->pod->node->lab, "node-%u/files/%s/%s.%u.log", c->pod->node->number, c->pod->uid,
			     c->name, restart);
}

static char *exit_file(const struct mesh_container *c)
{
	return mesh_lab_path(&c->pod->node->lab, "node-%u/files/%s/%s.exit", c->pod->node->number, c->pod->uid,
			     c->name);
}

unsigned mesh_container_backoff(unsigned restarts, unsigned was_s, unsigned ran_s)
{
	if (restarts == 0 || ran_s >= BACKOFF_RESET_S)
		return 0;
	if (was_s == 0)
		return BACKOFF_FIRST_S;
	return was_s * 2 > BACKOFF_MAX_S ? (unsigned)BACKOFF_MAX_S : was_s * 2;
}

/* What was is remembered as lastState before something new begins. */
static void keep_last_state(struct mesh_container *c)
{
	char started[32], finished[32];

	if (c->state != MESH_CONTAINER_TERMINATED)
		return;
	json_decref(c->last_state);
	c->last_state = json_pack("{s:{s:i, s:s, s:s, s:s, s:s}}", "terminated", "exitCode", c->exit_code, "reason",
				  c->reason, "startedAt", mesh_time_text(c->started_at, started), "finishedAt",
				  mesh_time_text(c->finished_at, finished), "containerID", c->id);
}

void mesh_container_wait(struct mesh_container *c, const char *reason, const char *message)
{
	keep_last_state(c);
	c->state = MESH_CONTAINER_WAITING;
	snprintf(c->reason, sizeof(c->reason), "%s", reason);
	snprintf(c->message, sizeof(c->message), "%s", message);
	c->ready = c->started = false;
	mesh_pod_report(c->pod);
}

static void image_missing(struct mesh_container *c, const char *message)
{
	const char *image = mesh_lab_text(mesh_container_spec(c), "image");
	char text[512];

	if (c->image_tries++ == 0) {
		mesh_node_event(c->pod, "Normal", "Pulling", "Pulling image \"%s\"", image);
		mesh_node_event(c->pod, "Warning", "Failed", "Failed to pull image \"%s\": %s", image, message);
		mesh_node_event(c->pod, "Warning", "Failed", "Error: ErrImagePull");
		mesh_container_wait(c, "ErrImagePull", message);
		mesh_timer_set(c->pod->node->loop, &c->timer, MESH_SEC(1));
		return;
	}
	snprintf(text, sizeof(text), "Back-off pulling image \"%s\"", image);
	mesh_node_event(c->pod, "Normal", "BackOff", "%s", text);
	mesh_node_event(c->pod, "Warning", "Failed", "Error: ImagePullBackOff");
	mesh_container_wait(c, "ImagePullBackOff", text);
	mesh_timer_set(c->pod->node->loop, &c->timer, MESH_SEC(IMAGE_RETRY_S));
}

static void cannot_start(struct mesh_container *c, const char *reason, const char *message)
{
	if (strcmp(reason, "ErrImagePull") == 0) {
		image_missing(c, message);
		return;
	}
	mesh_node_event(c->pod, "Warning", "Failed", "Error: %s", message);
	mesh_container_wait(c, reason, message);
	mesh_timer_set(c->pod->node->loop, &c->timer, MESH_SEC(CONFIG_RETRY_S));
}

static void new_id(struct mesh_container *c)
{
	unsigned char bytes[32] = {0};
	size_t at = (size_t)snprintf(c->id, sizeof(c->id), "lab://");

	if (getrandom(bytes, sizeof(bytes), 0) < 0)
		memcpy(bytes, &c->process, sizeof(c->process));
	for (size_t i = 0; i < sizeof(bytes) && at + 3 <= sizeof(c->id); i++)
		at += (size_t)snprintf(c->id + at, sizeof(c->id) - at, "%02x", bytes[i]);
}

static void container_ended(struct mesh_container *c)
{
	struct mesh_node *node = c->pod->node;
	mesh_auto_free char *file = exit_file(c), *cgroup = mesh_container_cgroup(c);
	mesh_auto_free char *kill_file = mesh_xasprintf("%s/cgroup.kill", cgroup);
	mesh_auto_fd int fd = open(kill_file, O_WRONLY | O_CLOEXEC);

	mesh_probes_stop(c);
	mesh_action_cancel(c->hook);
	c->hook = NULL;
	mesh_timer_remove(node->loop, &c->grace);
	if (fd >= 0 && write(fd, "1", 1) < 0) /* what it left behind */
		mesh_warn("%s: %s", kill_file, strerror(errno));
	if (mesh_lab_container_result(file, &c->exit_code, &c->signal) < 0) {
		c->exit_code = 137;
		c->signal = SIGKILL;
	}
	c->state = MESH_CONTAINER_TERMINATED;
	c->finished_at = time(NULL);
	c->ready = c->started = c->killing = false;
	snprintf(c->reason, sizeof(c->reason), "%s", c->exit_code ? "Error" : "Completed");
	c->message[0] = 0;
	c->shim.pid = c->process.pid = 0;
	mesh_pod_container_gone(c);
}

static void shim_gone(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_container *c = mesh_container_of(io, struct mesh_container, gone);

	(void)events;
	mesh_io_remove(loop, io);
	mesh_cleanup_fd(&io->fd);
	waitpid(c->shim.pid, NULL, WNOHANG);
	container_ended(c);
}

static int follow(struct mesh_container *c)
{
	c->gone.fd = mesh_lab_pid_open(&c->shim);
	if (c->gone.fd < 0)
		return c->gone.fd;
	c->gone.fn = shim_gone;
	return mesh_io_set(c->pod->node->loop, &c->gone, EPOLLIN);
}

static void fill_launch(const struct mesh_container *c, const json_t *spec, struct mesh_lab_launch *l)
{
	const json_t *pod_uid = mesh_lab_at(c->pod->obj, "spec.securityContext.runAsUser");
	const json_t *pod_gid = mesh_lab_at(c->pod->obj, "spec.securityContext.runAsGroup");

	l->pause = c->pod->sandbox.pause;
	l->uid = mesh_lab_int(spec, "securityContext.runAsUser",
			      json_is_integer(pod_uid) ? json_integer_value(pod_uid) : -1);
	l->gid = mesh_lab_int(spec, "securityContext.runAsGroup",
			      json_is_integer(pod_gid) ? json_integer_value(pod_gid) : -1);
	l->privileged = json_is_true(mesh_lab_at(spec, "securityContext.privileged"));
}

static int launch(struct mesh_container *c, const struct mesh_command *cmd, const struct mesh_lab_mounts *mounts,
		  char *message)
{
	struct mesh_node *node = c->pod->node;
	mesh_auto_free char *cgroup = mesh_container_cgroup(c), *log = mesh_container_log(c, c->restarts),
			    *file = exit_file(c),
			    *shims = mesh_lab_cgroup_path(&node->lab, "node-%u/shims", node->number);
	struct mesh_lab_launch l = {.cgroup = cgroup,
				    .argv = cmd->argv,
				    .envp = cmd->envp,
				    .cwd = cmd->cwd,
				    .log = log,
				    .exit_file = file,
				    .mounts = mounts,
				    .shim_cgroup = shims};

	fill_launch(c, mesh_container_spec(c), &l);
	mesh_lab_cgroup_make(shims);
	return mesh_lab_container_start(&l, &c->shim, &c->process, message);
}

void mesh_container_start(struct mesh_container *c)
{
	struct mesh_lab_mounts mounts = {0};
	struct mesh_command cmd = {0};
	char reason[64], message[512];
	int r;

	mesh_timer_remove(c->pod->node->loop, &c->timer);
	if (mesh_command_make(c, &cmd, reason, message) < 0) {
		cannot_start(c, reason, message);
		return;
	}
	if (mesh_volumes_make(c, &mounts, message) < 0) {
		mesh_command_free(&cmd);
		cannot_start(c, "CreateContainerConfigError", message);
		return;
	}
	keep_last_state(c);
	new_id(c);
	c->image_tries = 0;
	r = launch(c, &cmd, &mounts, message);
	mesh_command_free(&cmd);
	mesh_volumes_free(&mounts);
	if (r == 0)
		r = follow(c);
	if (r < 0) {
		cannot_start(c, "RunContainerError", message);
		return;
	}
	c->state = MESH_CONTAINER_RUNNING;
	c->started_at = time(NULL);
	c->reason[0] = c->message[0] = 0;
	c->killing = false;
	mesh_pod_save(c->pod);
	mesh_node_event(c->pod, "Normal", "Pulled", "Container image \"%s\" already present on machine",
			mesh_lab_text(mesh_container_spec(c), "image"));
	mesh_node_event(c->pod, "Normal", "Created", "Created container: %s", c->name);
	mesh_node_event(c->pod, "Normal", "Started", "Started container %s", c->name);
	mesh_probes_start(c);
	mesh_pod_report(c->pod);
}

void mesh_container_adopt(struct mesh_container *c)
{
	if (c->state != MESH_CONTAINER_RUNNING)
		return;
	if (!mesh_lab_pid_alive(&c->shim) || follow(c) < 0)
		container_ended(c);
	else
		mesh_probes_start(c);
}

static void kill_now(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_container *c = mesh_container_of(timer, struct mesh_container, grace);
	mesh_auto_free char *cgroup = mesh_container_cgroup(c), *file = mesh_xasprintf("%s/cgroup.kill", cgroup);
	mesh_auto_fd int fd = open(file, O_WRONLY | O_CLOEXEC);

	(void)loop;
	if (fd < 0 || write(fd, "1", 1) < 0)
		kill(c->process.pid, SIGKILL);
}

static void send_term(struct mesh_container *c)
{
	if (mesh_lab_pid_alive(&c->process))
		kill(c->process.pid, SIGTERM);
}

static void hook_done(void *arg, const char *error)
{
	struct mesh_container *c = arg;

	c->hook = NULL;
	if (error)
		mesh_node_event(c->pod, "Warning", "FailedPreStopHook", "PreStopHook failed: %s", error);
	send_term(c);
}

void mesh_container_stop(struct mesh_container *c, unsigned grace_s, const char *why)
{
	const json_t *hook = mesh_lab_at(mesh_container_spec(c), "lifecycle.preStop");

	mesh_timer_remove(c->pod->node->loop, &c->timer);
	if (c->state != MESH_CONTAINER_RUNNING)
		return;
	if (grace_s == 0) {
		kill_now(c->pod->node->loop, &c->grace);
		return;
	}
	if (c->killing) { /* only sooner */
		if (c->grace.heap_at == 0 || c->grace.due_ns > mesh_now_ns() + MESH_SEC(grace_s))
			mesh_timer_set(c->pod->node->loop, &c->grace, MESH_SEC(grace_s));
		return;
	}
	c->killing = true;
	mesh_node_event(c->pod, "Normal", "Killing", "%s", why);
	c->grace.fn = kill_now;
	mesh_timer_set(c->pod->node->loop, &c->grace, MESH_SEC(grace_s));
	if (hook)
		c->hook = mesh_action_start(c, hook, grace_s, hook_done, c);
	else
		send_term(c);
}

void mesh_container_forget(struct mesh_container *c)
{
	struct mesh_loop *loop = c->pod->node->loop;

	mesh_probes_stop(c);
	mesh_action_cancel(c->hook);
	c->hook = NULL;
	c->killing = false;
	mesh_timer_remove(loop, &c->timer);
	mesh_timer_remove(loop, &c->grace);
	mesh_io_remove(loop, &c->gone);
	if (c->gone.fn)
		mesh_cleanup_fd(&c->gone.fd);
}

void mesh_container_clear(struct mesh_container *c)
{
	mesh_container_forget(c);
	json_decref(c->last_state);
	json_decref(c->env);
	free(c->name);
}
