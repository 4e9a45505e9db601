/* SPDX-License-Identifier: Apache-2.0 */
/* Each node: what its Node object says, and what a pod there sees: the agent's, or a probe's before an installation. */
#include "ctl/check.h"

#include "config/condition.h"
#include "config/get.h"
#include "core/mem.h"
#include "ctl/agents.h"
#include "ctl/install.h"
#include "ctl/manifest.h"
#include "ctl/settings.h"
#include "ctl/node_check.h"
#include "ctl/pods.h"
#include "ctl/resource.h"
#include "ctl/rollout.h"
#include "kube/kubeconfig.h"

#include <stdio.h>
#include <time.h>

enum { CHECK_MS = 15000, PROBE_SECONDS = 45 };

static json_t *group_of(struct mesh_check *c, const char *node)
{
	mesh_auto_free char *name = mesh_xasprintf("node %s", node);

	return mesh_check_group(c, name);
}

void mesh_check_node_object(json_t *rows, const json_t *node)
{
	const json_t *info = json_object_get(json_object_get(node, "status"), "nodeInfo");
	const char *runtime = mesh_text(info, "containerRuntimeVersion"), *why;

	if (strcmp(mesh_text(info, "operatingSystem"), "linux") != 0) {
		mesh_verdict_add(rows, MESH_VERDICT_WARN, "system", "agents run on Linux",
				 "pods there cannot be in the mesh", "%s", mesh_text(info, "operatingSystem"));
		return;
	}
	if (!mesh_node_schedulable(node, &why))
		mesh_verdict_add(rows, MESH_VERDICT_WARN, "state", "an agent that can start", "see to the node", "%s",
				 why);
	mesh_node_check_kernel(rows, mesh_text(info, "kernelVersion"), mesh_text(info, "architecture"));
	if (strcmp(mesh_text(info, "architecture"), "amd64") != 0)
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "architecture", "the image is built for amd64",
				 "build an image for it, and keep the agent off it with --set "
				 "agent.nodeSelector.kubernetes.io/arch=amd64 until then",
				 "%s", mesh_text(info, "architecture"));
	mesh_verdict_add(rows, strncmp(runtime, "containerd://", 13) == 0 ? MESH_VERDICT_OK : MESH_VERDICT_WARN,
			 "runtime", "finding pods' namespaces and cgroups; containerd is the one that was tested",
			 "none needed if the agent finds the pods: meshctl status tells", "%s, kubelet %s", runtime,
			 mesh_text(info, "kubeletVersion"));
}

void mesh_check_agent(json_t *rows, const json_t *status)
{
	static const char why[] = "routing of the node's pods";
	const json_t *config = json_object_get(status, "config"), *bad = json_object_get(config, "bad");
	long long failures = json_integer_value(json_object_get(config, "applyFailures"));
	json_t *pod;
	size_t i;

	if (!json_is_true(json_object_get(status, "published")))
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "agent", why,
				 "meshctl logs tells what it waits for (the API, mostly)", "nothing is in force yet");
	else
		mesh_verdict_add(rows, MESH_VERDICT_OK, "agent", why, NULL,
				 "version %s, configuration %lld in force, %zu pods", mesh_text(status, "version"),
				 (long long)json_integer_value(json_object_get(config, "version")),
				 json_array_size(json_object_get(json_object_get(status, "dataplane"), "pods")));
	if (failures)
		mesh_verdict_add(rows, MESH_VERDICT_WARN, "kernel tables", why,
				 "the agent's log names the table; a fuller node needs larger ones",
				 "%lld times they could not be written", failures);
	if ((json_is_array(bad) && json_array_size(bad)) || (json_is_object(bad) && json_object_size(bad)))
		mesh_verdict_add(rows, MESH_VERDICT_WARN, "objects", "every rule in force", "meshctl status names them",
				 "some could not be read; what was in force before stays");
	json_array_foreach(json_object_get(status, "pods"), i, pod)
	{
		mesh_auto_free char *name =
			mesh_xasprintf("%s/%s", mesh_text(pod, "namespace"), mesh_text(pod, "name"));

		if (mesh_text(pod, "trouble")[0])
			mesh_verdict_add(rows, MESH_VERDICT_WARN, name, "routing of what this pod sends",
					 "remedy the cause, or make the pod anew: the CNI plugin hands it over then",
					 "not captured: %s", mesh_text(pod, "trouble"));
	}
	mesh_check_dataplane(rows, json_object_get(status, "dataplane"));
}

static void no_answer(struct mesh_check *c, const char *node, bool pre, const char *why)
{
	const char *remedy = mesh_trouble_remedy(why);

	mesh_verdict_add(group_of(c, node), pre ? MESH_VERDICT_WARN : MESH_VERDICT_FAIL, pre ? "probe" : "agent's pod",
			 pre ? "looking at kernel, cgroups, BPF and CNI from within the node"
			     : "routing of the node's pods",
			 remedy ? remedy : "see to the node's kubelet", "%s", why);
}

/* What an agent's pod printed; NULL after saying why there is nothing. New reference. */
static json_t *answer_of(struct mesh_check *c, const char *node, const struct mesh_podexec *job)
{
	json_t *answer = mesh_podexec_json(job);

	if (!answer) {
		mesh_auto_free char *why = mesh_podexec_why(job);

		no_answer(c, node, false, why);
	}
	return answer;
}

/* What a pod on a node has found out; Node.status has told of the kernel. */
static void take_rows(struct mesh_check *c, const char *node, const json_t *answer)
{
	json_t *rows = group_of(c, node), *row;
	size_t i;

	json_array_foreach(json_object_get(answer, "rows"), i, row) if (strcmp(mesh_text(row, "name"), "kernel") != 0)
		json_array_append(rows, row);
}

static void take_check(void *arg, const char *node, const struct mesh_podexec *job)
{
	struct mesh_check *c = arg;
	json_t *answer = answer_of(c, node, job);
	double mid = (job->begun + job->ended) / 2, there = json_number_value(json_object_get(answer, "time"));

	if (!answer)
		return;
	take_rows(c, node, answer);
	if (c->clock_known && there > 0)
		mesh_node_check_clock(group_of(c, node), there - mid - c->behind);
	json_decref(answer);
}

static void take_status(void *arg, const char *node, const struct mesh_podexec *job)
{
	json_t *answer = answer_of(arg, node, job);

	if (answer)
		mesh_check_agent(group_of(arg, node), answer);
	json_decref(answer);
}

static void ask_agents(struct mesh_check *c, const json_t *nodes)
{
	static const char *const check[] = {"node-check", NULL}, *const status[] = {"node-status", NULL};
	json_t *pods = mesh_agents_pods(c->ctl), *running = json_array();
	const json_t *node;
	size_t i;

	json_array_foreach(nodes, i, node)
	{
		const char *name = mesh_meta(node, "name");
		json_t *pod = mesh_pod_on(pods, name);
		mesh_auto_free char *trouble = pod ? mesh_pod_why(c->ctl, pod) : NULL;

		if (!pod || trouble)
			no_answer(c, name, false, pod ? trouble : "there is none on this node");
		if (pod && (!trouble || strcmp(mesh_text(json_object_get(pod, "status"), "phase"), "Running") == 0))
			json_array_append(running, pod);
	}
	mesh_agents_run(c->ctl, running, check, CHECK_MS, take_check, c);
	mesh_agents_run(c->ctl, running, status, CHECK_MS, take_status, c);
	json_decref(running);
	json_decref(pods);
}

/* Probes, in a namespace of their own, which goes when all is said. */

/* Only directories that are there on every node, so that none is made: CNI's are looked at through their parents. */
static void probe_volumes(json_t *spec, json_t *container)
{
	static const struct {
		const char *name, *host, *path;
		bool read_only;
	} dirs[] = {
		{"cgroup", "/sys/fs/cgroup", "/sys/fs/cgroup", true},
		{"bpf", "/sys/fs/bpf", "/sys/fs/bpf", false},
		{"etc", "/etc", "/host/etc", true},
		{"opt", "/opt", "/host/opt", true},
	};
	json_t *volumes = json_array(), *mounts = json_array();

	for (size_t i = 0; i < MESH_ARRAY_SIZE(dirs); i++) {
		json_array_append_new(volumes, json_pack("{s:s, s:{s:s, s:s}}", "name", dirs[i].name, "hostPath",
							 "path", dirs[i].host, "type", "Directory"));
		json_array_append_new(mounts,
				      json_pack("{s:s, s:s, s:b, s:s}", "name", dirs[i].name, "mountPath", dirs[i].path,
						"readOnly", dirs[i].read_only, "mountPropagation", "HostToContainer"));
	}
	json_object_set_new(spec, "volumes", volumes);
	json_object_set_new(container, "volumeMounts", mounts);
}

static json_t *probe_pod(const char *ns, const char *node, const char *image, const json_t *spec_of_agent)
{
	json_t *spec = json_deep_copy(spec_of_agent), *c = mesh_manifest_only_container(spec);
	static const char *const of_daemon[] = {"livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "env"};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(of_daemon); i++)
		json_object_del(c, of_daemon[i]);
	json_object_del(spec, "serviceAccountName");
	json_object_set_new(spec, "automountServiceAccountToken", json_false());
	json_object_set_new(spec, "nodeName", json_string(node));
	json_object_set_new(spec, "restartPolicy", json_string("Never"));
	json_object_set_new(spec, "activeDeadlineSeconds", json_integer(PROBE_SECONDS));
	json_object_set_new(spec, "terminationGracePeriodSeconds", json_integer(0));
	probe_volumes(spec, c);
	json_object_set_new(c, "image", json_string(image));
	json_object_set_new(c, "command", json_pack("[s]", "/usr/bin/meshctl"));
	json_object_set_new(c, "args", json_pack("[s]", "node-check"));
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:o}", "apiVersion", "v1", "kind", "Pod", "metadata",
			 "generateName", "probe-", "namespace", ns, "labels", MESH_LABEL_NAME, "sockmesh", "spec",
			 spec);
}

/* By the API server's clock: when the probes were made and when they had ended. */
struct window {
	double begun, ended;
};

static double server_time(const struct mesh_check *c)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9 + c->behind;
}

/* A probe ran within its window; what its clock said beyond that is how far it is off. */
static void probe_clock(struct mesh_check *c, json_t *rows, const struct window *w, double there)
{
	if (c->clock_known && there > 0)
		mesh_node_check_clock(rows, there < w->begun   ? there - w->begun
					    : there > w->ended ? there - w->ended
							       : 0);
}

/* What the probe has printed, once it is over. */
static void probe_result(struct mesh_check *c, const json_t *pod, const struct window *w)
{
	const char *node = mesh_text(json_object_get(pod, "spec"), "nodeName");
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/pods/%s/log", mesh_meta(pod, "namespace"),
						   mesh_meta(pod, "name"));
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	json_t *answer = NULL;

	if (mesh_ctl_get(c->ctl, path, &a) == 0)
		answer = json_loadb(a.raw.data, a.raw.len, JSON_DISABLE_EOF_CHECK, NULL);
	if (!answer)
		no_answer(c, node, true, a.error ? a.error : "it printed nothing that can be read");
	take_rows(c, node, answer);
	probe_clock(c, group_of(c, node), w, json_number_value(json_object_get(answer, "time")));
	json_decref(answer);
}

/* The image is not there, or cannot be run: waiting on does not change that. */
static bool is_hopeless(const json_t *pod)
{
	mesh_auto_free char *trouble = mesh_pod_trouble(pod);

	return trouble && (strstr(trouble, "ErrImage") || strstr(trouble, "ImagePullBackOff") ||
			   strstr(trouble, "CreateContainer") || strstr(trouble, "RunContainerError") ||
			   strstr(trouble, "InvalidImageName"));
}

static void await_probes(struct mesh_check *c, const char *ns, size_t count, struct window *w)
{
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/pods", ns);
	uint64_t end = mesh_now_ns() + MESH_SEC(PROBE_SECONDS);
	json_t *pods = NULL, *pod;
	size_t done, i;

	do {
		mesh_install_pause(c->ctl, MESH_POLL_MS);
		json_decref(pods);
		pods = mesh_list(c->ctl, path, NULL);
		done = 0;
		json_array_foreach(pods, i, pod) done += mesh_pod_over(pod) || is_hopeless(pod);
	} while (done < count && mesh_now_ns() < end);
	w->ended = server_time(c);
	json_array_foreach(pods, i, pod)
	{
		if (strcmp(mesh_text(json_object_get(pod, "status"), "phase"), "Succeeded") == 0) {
			probe_result(c, pod, w);
		} else {
			mesh_auto_free char *why = mesh_pod_why(c->ctl, pod);

			no_answer(c, mesh_text(json_object_get(pod, "spec"), "nodeName"), true,
				  why ? why : "it has not ended");
		}
	}
	json_decref(pods);
}

/* A namespace that admits such pods; its name, or NULL. Caller frees. */
static char *make_namespace(struct mesh_check *c, char **why)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	json_t *ns = json_pack("{s:s, s:s, s:{s:s, s:{s:s, s:s}}}", "apiVersion", "v1", "kind", "Namespace", "metadata",
			       "generateName", "sockmesh-check-", "labels", "pod-security.kubernetes.io/enforce",
			       "privileged", MESH_LABEL_NAME, "sockmesh");
	int r = mesh_ctl_request(c->ctl, "POST", "/api/v1/namespaces", ns, NULL, NULL, &a);

	json_decref(ns);
	if (r == 0)
		return mesh_xstrdup(mesh_meta(a.body, "name"));
	*why = mesh_xstrdup(a.error);
	return NULL;
}

static void run_probes(struct mesh_check *c, const json_t *nodes)
{
	mesh_auto_free char *why = NULL, *ns = make_namespace(c, &why), *ns_path = NULL, *pods_path = NULL;
	const char *image = c->ctl->flags->image ? c->ctl->flags->image : MESH_DEFAULT_IMAGE, *ignored;
	struct mesh_errs errs = {0};
	json_t *objects = NULL, *spec;
	const json_t *node;
	struct window w = {.begun = server_time(c)};
	size_t made = 0, i;

	if (!ns || mesh_manifest_load(NULL, NULL, &objects, &errs) < 0) {
		mesh_verdict_add(mesh_check_group(c, "cluster"), MESH_VERDICT_WARN, "probes",
				 "looking at each node from within", "do it as a cluster-admin",
				 "no namespace can be made for them: %s", why ? why : "");
		mesh_errs_free(&errs);
		return;
	}
	ns_path = mesh_xasprintf("/api/v1/namespaces/%s", ns);
	pods_path = mesh_xasprintf("%s/pods", ns_path);
	spec = json_object_get(json_object_get(mesh_manifest_find(objects, "DaemonSet", NULL), "spec"), "template");
	json_array_foreach(nodes, i, node)
	{
		json_t *pod = probe_pod(ns, mesh_meta(node, "name"), image, json_object_get(spec, "spec"));
		mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

		if (!mesh_node_schedulable(node, &ignored))
			no_answer(c, mesh_meta(node, "name"), true, ignored);
		else if (mesh_ctl_request(c->ctl, "POST", pods_path, pod, NULL, NULL, &a) < 0)
			no_answer(c, mesh_meta(node, "name"), true, a.error);
		else
			made++;
		json_decref(pod);
	}
	if (made)
		await_probes(c, ns, made, &w);
	free(why);
	why = NULL;
	if (mesh_install_delete(c->ctl, ns_path, &why) < 0)
		mesh_verdict_add(mesh_check_group(c, "cluster"), MESH_VERDICT_WARN, "probes", "leaving nothing behind",
				 "delete it", "namespace %s could not be deleted: %s", ns, why);
	json_decref(objects);
}

void mesh_check_nodes(struct mesh_check *c, const char *name, bool pre)
{
	json_t *all = mesh_list(c->ctl, "/api/v1/nodes", NULL), *nodes = json_array(), *node;
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	size_t i;

	json_array_foreach(all, i, node)
	{
		if (name && strcmp(name, mesh_meta(node, "name")) != 0)
			continue;
		json_array_append(nodes, node);
		mesh_check_node_object(group_of(c, mesh_meta(node, "name")), node);
	}
	json_decref(all);
	if (json_array_size(nodes) == 0)
		mesh_verdict_add(mesh_check_group(c, "cluster"), MESH_VERDICT_FAIL, "nodes", "pods to serve",
				 "meshctl get nodes lists them", name ? "no node is named \"%s\"" : "there are none%s",
				 name ? name : "");
	else if (pre)
		run_probes(c, nodes);
	else
		ask_agents(c, nodes);
	json_decref(nodes);
}
