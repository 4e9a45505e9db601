/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod's life on its node: sandbox, address into the API, the agent's word, init containers, containers, and
 * the way back. Each step looks at what is and does the next thing; nothing waits.
 */
#include "lab/node.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

enum {
	SANDBOX_RETRY_S = 1,
	AGENT_TIMEOUT_MS = 2500,
	REMOVE_RETRY_MS = 10,
	LINGER_MS = 150, /* its last packets (FIN) leave a pod even on a machine that is short of time */
	FIRST_HOST = 2,
	LAST_HOST = 254,
};

static void pod_due(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	mesh_pod_step(mesh_container_of(timer, struct mesh_pod, timer));
}

static void step_in(struct mesh_pod *pod, uint64_t delay_ns)
{
	mesh_timer_set(pod->node->loop, &pod->timer, delay_ns);
}

bool mesh_pod_stopping(const struct mesh_pod *pod)
{
	return pod->forgotten || mesh_lab_deleting(pod->obj);
}

struct mesh_pod *mesh_pod_find(const struct mesh_node *node, const char *ns, const char *name)
{
	mesh_map_each (e, &node->by_uid) {
		struct mesh_pod *pod = e->value;

		if (strcmp(pod->ns, ns) == 0 && strcmp(pod->name, name) == 0)
			return pod;
	}
	return NULL;
}

char *mesh_pod_cgroup(const struct mesh_pod *pod)
{
	return mesh_lab_cgroup_path(&pod->node->lab, "node-%u/pods/%s", pod->node->number, pod->uid);
}

static void add_containers(struct mesh_pod *pod)
{
	const json_t *lists[2] = {mesh_lab_at(pod->obj, "spec.initContainers"),
				  mesh_lab_at(pod->obj, "spec.containers")};
	size_t at = 0, i;
	json_t *spec;

	pod->count = json_array_size(lists[0]) + json_array_size(lists[1]);
	pod->containers = mesh_xcalloc(pod->count + 1, sizeof(*pod->containers));
	for (int k = 0; k < 2; k++) {
		json_array_foreach(lists[k], i, spec)
		{
			struct mesh_container *c = &pod->containers[at++];

			c->pod = pod;
			c->name = mesh_xstrdup(mesh_lab_text(spec, "name"));
			c->init = k == 0;
			c->sidecar = c->init && mesh_lab_is(spec, "restartPolicy", "Always");
			snprintf(c->reason, sizeof(c->reason), "%s",
				 c->init || json_array_size(lists[0]) == 0 ? "ContainerCreating" : "PodInitializing");
		}
	}
}

void mesh_container_due(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	mesh_container_start(mesh_container_of(timer, struct mesh_container, timer));
}

struct mesh_pod *mesh_pod_new(struct mesh_node *node, json_t *obj)
{
	struct mesh_pod *pod = mesh_xcalloc(1, sizeof(*pod));

	pod->node = node;
	pod->obj = json_incref(obj);
	pod->uid = mesh_xstrdup(mesh_lab_text(obj, "metadata.uid"));
	pod->ns = mesh_xstrdup(mesh_lab_text(obj, "metadata.namespace"));
	pod->name = mesh_xstrdup(mesh_lab_text(obj, "metadata.name"));
	pod->timer.fn = pod_due;
	pod->agent.fd = pod->pause.fd = -1;
	mesh_time_text(time(NULL), pod->start_time);
	add_containers(pod);
	for (size_t i = 0; i < pod->count; i++)
		pod->containers[i].timer.fn = mesh_container_due;
	mesh_map_put_str(&node->by_uid, pod->uid, pod);
	return pod;
}

static void pod_free(struct mesh_pod *pod)
{
	struct mesh_node *node = pod->node;

	mesh_map_remove_str(&node->by_uid, pod->uid);
	if (pod->sandbox.host)
		node->hosts[pod->sandbox.host] = false;
	for (size_t i = 0; i < pod->count; i++)
		mesh_container_clear(&pod->containers[i]);
	mesh_timer_remove(node->loop, &pod->timer);
	mesh_timer_remove(node->loop, &pod->agent_timer);
	mesh_timer_remove(node->loop, &pod->token_timer);
	mesh_io_remove(node->loop, &pod->agent);
	mesh_cleanup_fd(&pod->agent.fd);
	mesh_io_remove(node->loop, &pod->pause);
	mesh_cleanup_fd(&pod->pause.fd);
	json_decref(pod->obj);
	json_decref(pod->conditions);
	json_decref(pod->reported);
	free(pod->containers);
	free(pod->uid);
	free(pod->ns);
	free(pod->name);
	free(pod);
}

static unsigned take_host(struct mesh_node *node)
{
	for (unsigned n = FIRST_HOST; n <= LAST_HOST; n++) {
		unsigned host =
			node->next_host < FIRST_HOST || node->next_host > LAST_HOST ? FIRST_HOST : node->next_host;

		node->next_host = host + 1;
		if (!node->hosts[host]) {
			node->hosts[host] = true;
			return host;
		}
	}
	return 0;
}

static int make_sandbox(struct mesh_pod *pod)
{
	struct mesh_node *node = pod->node;
	mesh_auto_free char *cgroup = mesh_pod_cgroup(pod), *dir = mesh_pod_dir(pod);
	mesh_auto_free char *resolv = mesh_xasprintf("%s/resolv.conf", dir), *hosts = mesh_xasprintf("%s/hosts", dir),
			    *account = mesh_xasprintf("%s/serviceaccount", dir),
			    *volumes = mesh_xasprintf("%s/volumes", dir);
	const char *hostname = mesh_lab_text(pod->obj, "spec.hostname");
	struct mesh_lab_sandbox_spec spec = {.uid = pod->uid,
					     .cgroup = cgroup,
					     .resolv_conf = resolv,
					     .hosts = hosts,
					     .service_account = account,
					     .volumes = volumes};
	int r;

	spec.hostname = *hostname ? hostname : pod->name;
	pod->sandbox.node = node->number;
	pod->sandbox.host = take_host(node);
	if (!pod->sandbox.host)
		return -EADDRNOTAVAIL;
	mesh_lab_pod_ip(&node->lab, node->number, pod->sandbox.host, pod->sandbox.ip);
	r = mesh_pod_files(pod);
	if (r == 0)
		r = mesh_lab_sandbox_make(&node->lab, &spec, node->netns, &pod->sandbox);
	if (r < 0) {
		node->hosts[pod->sandbox.host] = false;
		memset(&pod->sandbox, 0, sizeof(pod->sandbox));
	}
	return r;
}

static void pause_gone(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_pod *pod = mesh_container_of(io, struct mesh_pod, pause);

	(void)events;
	mesh_io_remove(loop, io);
	mesh_cleanup_fd(&io->fd);
	waitpid(pod->sandbox.pause.pid, NULL, WNOHANG);
	if (mesh_pod_stopping(pod))
		return;
	mesh_node_event(pod, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
	mesh_pod_new_sandbox(pod);
}

void mesh_pod_watch_sandbox(struct mesh_pod *pod)
{
	pod->pause.fn = pause_gone;
	pod->pause.fd = mesh_lab_pid_open(&pod->sandbox.pause);
	if (pod->pause.fd >= 0)
		mesh_io_set(pod->node->loop, &pod->pause, EPOLLIN);
}

static void step_new(struct mesh_pod *pod)
{
	int r = make_sandbox(pod);

	if (r < 0) {
		mesh_node_event(pod, "Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: %s",
				strerror(-r));
		step_in(pod, MESH_SEC(SANDBOX_RETRY_S));
		return;
	}
	pod->stage = MESH_POD_ADDRESSED;
	mesh_pod_watch_sandbox(pod);
	mesh_pod_save(pod);
	mesh_pod_token(pod);
	mesh_pod_report(pod);
}

static void agent_answered(struct mesh_pod *pod)
{
	mesh_timer_remove(pod->node->loop, &pod->agent_timer);
	mesh_io_remove(pod->node->loop, &pod->agent);
	mesh_cleanup_fd(&pod->agent.fd);
	if (pod->stage != MESH_POD_GUARDED)
		return;
	pod->stage = MESH_POD_STARTED;
	mesh_pod_step(pod);
}

static void agent_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_pod *pod = mesh_container_of(io, struct mesh_pod, agent);
	char text[1024];
	ssize_t n = recv(io->fd, text, sizeof(text), 0);

	(void)loop;
	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	agent_answered(pod);
}

static void agent_slow(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_pod *pod = mesh_container_of(timer, struct mesh_pod, agent_timer);

	(void)loop;
	mesh_warn("%s/%s: the agent did not answer in time", pod->ns, pod->name);
	agent_answered(pod);
}

/* Asks the agent to decide about the pod before its containers run. No agent: no waiting. */
static void ask_agent(struct mesh_pod *pod)
{
	mesh_auto_free char *path = mesh_lab_path(&pod->node->lab, "node-%u.sock", pod->node->number);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char text[160];
	int len = snprintf(text, sizeof(text), "{\"cmd\":\"wait-pod\",\"ip\":\"%s\",\"timeoutMs\":2000}\n",
			   pod->sandbox.ip);

	pod->stage = MESH_POD_GUARDED;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	pod->agent.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	pod->agent.fn = agent_ready;
	pod->agent_timer.fn = agent_slow;
	if (pod->agent.fd < 0 || connect(pod->agent.fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    send(pod->agent.fd, text, (size_t)len, MSG_NOSIGNAL) != len ||
	    mesh_io_set(pod->node->loop, &pod->agent, EPOLLIN) < 0) {
		agent_answered(pod);
		return;
	}
	mesh_timer_set(pod->node->loop, &pod->agent_timer, MESH_MS(AGENT_TIMEOUT_MS));
}

/* The next init container that has not done its work; NULL when all have. */
static struct mesh_container *next_init(struct mesh_pod *pod)
{
	for (size_t i = 0; i < pod->count; i++) {
		struct mesh_container *c = &pod->containers[i];

		if (!c->init)
			return NULL;
		if (c->sidecar ? c->state != MESH_CONTAINER_RUNNING || !c->started
			       : c->state != MESH_CONTAINER_TERMINATED || c->exit_code != 0)
			return c;
	}
	return NULL;
}

static bool untouched(const struct mesh_container *c)
{
	return c->state == MESH_CONTAINER_WAITING && c->timer.heap_at == 0 && !c->id[0];
}

static void step_started(struct mesh_pod *pod)
{
	struct mesh_container *init = next_init(pod);

	if (init) {
		if (untouched(init))
			mesh_container_start(init);
		return;
	}
	for (size_t i = 0; i < pod->count; i++)
		if (!pod->containers[i].init && untouched(&pod->containers[i]))
			mesh_container_start(&pod->containers[i]);
}

/* All that runs is told to end. Returns false when nothing runs any more. */
static bool stop_containers(struct mesh_pod *pod)
{
	unsigned grace = (unsigned)mesh_lab_int(pod->obj, "metadata.deletionGracePeriodSeconds", 30);
	bool running = false;

	if (pod->forgotten)
		grace = 0;
	for (size_t i = 0; i < pod->count; i++) {
		struct mesh_container *c = &pod->containers[i];
		mesh_auto_free char *why = mesh_xasprintf("Stopping container %s", c->name);

		mesh_timer_remove(pod->node->loop, &c->timer);
		if (c->state != MESH_CONTAINER_RUNNING)
			continue;
		running = true;
		mesh_container_stop(c, grace, why);
	}
	return running;
}

static bool remove_sandbox(struct mesh_pod *pod)
{
	mesh_auto_free char *cgroup = mesh_pod_cgroup(pod), *dir = mesh_pod_dir(pod), *file = mesh_pod_state_file(pod);

	mesh_lab_sandbox_remove(&pod->sandbox, cgroup, pod->node->netns);
	waitpid(pod->sandbox.pause.pid > 0 ? pod->sandbox.pause.pid : -2, NULL, WNOHANG);
	if (mesh_lab_cgroup_try_remove(cgroup) < 0)
		return false;
	mesh_lab_rmtree(dir);
	unlink(file);
	return true;
}

static void deleted(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_node *node = ((void **)arg)[0];
	struct mesh_pod *pod = mesh_map_get_str(&node->by_uid, ((char **)arg)[1]);

	free(((char **)arg)[1]);
	free(arg);
	if (!pod)
		return;
	if (r->status == 200 || r->status == 404 || r->status == 409)
		pod_free(pod);
	else
		step_in(pod, MESH_SEC(1));
}

static void delete_in_api(struct mesh_pod *pod)
{
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/pods/%s", pod->ns, pod->name);
	json_t *body = json_pack("{s:s, s:s, s:i, s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions",
				 "gracePeriodSeconds", 0, "preconditions", "uid", pod->uid);
	void **arg = mesh_xcalloc(2, sizeof(void *));

	arg[0] = pod->node;
	arg[1] = mesh_xstrdup(pod->uid);
	mesh_kube_send(pod->node->kube, "DELETE", path, body, NULL, NULL, deleted, arg);
	json_decref(body);
}

static void step_stopping(struct mesh_pod *pod)
{
	if (pod->stage < MESH_POD_STOPPING) {
		pod->stage = MESH_POD_STOPPING;
		mesh_io_remove(pod->node->loop, &pod->agent);
		mesh_timer_remove(pod->node->loop, &pod->agent_timer);
	}
	if (pod->stage == MESH_POD_STOPPING) {
		if (stop_containers(pod))
			return;
		pod->stage = MESH_POD_REPORTED;
		pod->ended_ns = mesh_now_ns();
		step_in(pod, MESH_MS(LINGER_MS));
		if (!pod->forgotten)
			mesh_pod_report(pod);
	}
	if (pod->stage == MESH_POD_REPORTED) {
		if (!pod->forgotten && (pod->report_busy || pod->report_dirty))
			return;
		if (pod->sandbox.host && mesh_now_ns() - pod->ended_ns < MESH_MS(LINGER_MS))
			return;
		if (!remove_sandbox(pod)) {
			step_in(pod, MESH_MS(REMOVE_RETRY_MS));
			return;
		}
		pod->stage = MESH_POD_GONE;
	}
	if (pod->forgotten)
		pod_free(pod);
	else
		delete_in_api(pod);
}

void mesh_pod_step(struct mesh_pod *pod)
{
	const char *phase = mesh_lab_text(pod->obj, "status.phase");

	if (mesh_pod_stopping(pod)) {
		step_stopping(pod);
		return;
	}
	if (pod->stage == MESH_POD_NEW) {
		if (strcmp(phase, "Succeeded") != 0 && strcmp(phase, "Failed") != 0)
			step_new(pod);
		return;
	}
	if (pod->stage == MESH_POD_ADDRESSED && !pod->report_busy && !pod->report_dirty && !pod->token_asked)
		ask_agent(pod);
	if (pod->stage == MESH_POD_STARTED)
		step_started(pod);
}

void mesh_pod_container_gone(struct mesh_container *c)
{
	struct mesh_pod *pod = c->pod;
	const char *policy = mesh_lab_text(pod->obj, "spec.restartPolicy");
	bool again = strcmp(policy, "Never") != 0 && !(strcmp(policy, "OnFailure") == 0 && c->exit_code == 0);
	unsigned ran = (unsigned)(c->finished_at - c->started_at);

	if (c->init && !c->sidecar)
		again = c->exit_code != 0 && strcmp(policy, "Never") != 0;
	if (c->sidecar)
		again = true;
	mesh_pod_save(pod);
	mesh_pod_report(pod);
	if (mesh_pod_stopping(pod) || !again) {
		mesh_pod_step(pod);
		return;
	}
	c->backoff_s = mesh_container_backoff(c->restarts, c->backoff_s, ran);
	c->restarts++;
	if (c->backoff_s) {
		/* The state stays terminated in lastState; what is seen is the waiting. */
		char message[512];
		int code = c->exit_code;

		snprintf(message, sizeof(message), "back-off %us restarting failed container=%s pod=%s_%s(%s)",
			 c->backoff_s, c->name, pod->name, pod->ns, pod->uid);
		mesh_node_event(pod, "Warning", "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)",
				c->name, pod->name, pod->ns, pod->uid);
		mesh_container_wait(c, "CrashLoopBackOff", message);
		c->exit_code = code;
	}
	mesh_timer_set(pod->node->loop, &c->timer, c->backoff_s ? MESH_SEC(c->backoff_s) : MESH_MS(20));
}

void mesh_pod_seen(struct mesh_node *node, json_t *obj)
{
	struct mesh_pod *pod = mesh_map_get_str(&node->by_uid, mesh_lab_text(obj, "metadata.uid"));

	if (!pod) {
		struct mesh_pod *old = mesh_pod_find(node, mesh_lab_text(obj, "metadata.namespace"),
						     mesh_lab_text(obj, "metadata.name"));

		if (old && !old->forgotten) { /* deleted and made again while we did not look */
			old->forgotten = true;
			mesh_pod_step(old);
		}
		pod = mesh_pod_new(node, obj);
	} else {
		json_t *old = pod->obj;

		pod->obj = json_incref(obj);
		json_decref(old);
	}
	if (pod->stage == MESH_POD_NEW || mesh_lab_deleting(obj))
		mesh_pod_step(pod);
}

void mesh_pod_unseen(struct mesh_node *node, json_t *obj)
{
	struct mesh_pod *pod = mesh_map_get_str(&node->by_uid, mesh_lab_text(obj, "metadata.uid"));

	if (!pod)
		return;
	pod->forgotten = true;
	if (pod->stage != MESH_POD_GONE)
		mesh_pod_step(pod);
	else
		pod_free(pod);
}
