/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/agents.h"

#include "config/get.h"
#include "core/mem.h"
#include "ctl/find_api.h"
#include "ctl/manifest.h"
#include "ctl/node.h"
#include "ctl/rollout.h"
#include "kube/kubeconfig.h"

#include <glob.h>

enum { ASK_MS = 5000, EXEC_MS = 10000 };

static const char *node_of(const json_t *pod)
{
	return mesh_text(json_object_get(pod, "spec"), "nodeName");
}

json_t *mesh_agents_pods(struct mesh_ctl *ctl)
{
	return mesh_list(ctl,
			 "/api/v1/namespaces/" MESH_SYSTEM_NAMESPACE
			 "/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dagent",
			 NULL);
}

void mesh_agents_run(struct mesh_ctl *ctl, const json_t *pods, const char *const *words, int time_ms,
		     mesh_agents_ran_fn *fn, void *arg)
{
	size_t count = json_array_size(pods), n = 0, i;
	mesh_auto_free struct mesh_podexec *jobs = mesh_xcalloc(count + 1, sizeof(*jobs));
	mesh_auto_free const char **command = NULL;
	const json_t *pod;

	while (words[n])
		n++;
	command = mesh_xcalloc(n + 2, sizeof(*command));
	command[0] = "/usr/bin/meshctl";
	memcpy(command + 1, words, n * sizeof(*words));
	json_array_foreach(pods, i, pod) jobs[i] = (struct mesh_podexec){.namespace = MESH_SYSTEM_NAMESPACE,
									 .pod = mesh_meta(pod, "name"),
									 .container = "agent",
									 .command = command};
	mesh_podexec_run(mesh_kube_config(ctl->kube), jobs, count, time_ms);
	json_array_foreach(pods, i, pod)
	{
		fn(arg, node_of(pod), &jobs[i]);
		mesh_podexec_free(&jobs[i]);
	}
}

struct asking {
	const char *only;
	mesh_agents_answer_fn *fn;
	void *arg;
	struct mesh_map asked; /* nodes, by name */
};

static bool is_asked_for(const struct asking *a, const char *node)
{
	return node[0] && (!a->only || strcmp(a->only, node) == 0) && !mesh_map_get_str(&a->asked, node);
}

static void ask_socket(struct asking *a, const char *socket, const json_t *request)
{
	json_t *status = mesh_node_status(socket, NULL), *answer;
	const char *node = mesh_text(status, "node");
	mesh_auto_free char *why = NULL;

	if (is_asked_for(a, node)) {
		answer = request ? mesh_node_ask(socket, request, ASK_MS, &why) : json_incref(status);
		a->fn(a->arg, node, answer, why);
		mesh_map_put_str(&a->asked, node, a);
		json_decref(answer);
	}
	json_decref(status);
}

static bool is_of(const char *kubeconfig, const char *server)
{
	struct mesh_kubeconfig c = {0};
	bool same = mesh_kubeconfig_read(kubeconfig, NULL, &c, NULL) == 0 && strcmp(c.server, server) == 0;

	mesh_kubeconfig_free(&c);
	return same;
}

/* Where agents' sockets are: beside the kubeconfig of the lab with our API, or in the usual place on a node. */
static char *socket_pattern(const struct mesh_ctl *ctl)
{
	mesh_auto(mesh_lab_list_free) struct mesh_lab_list labs = {0};

	mesh_lab_list_read(NULL, &labs);
	mesh_vec_each (path, &labs.list)
		if (is_of(*path, mesh_kube_config(ctl->kube)->server))
			return mesh_xasprintf("%.*s/node-*.sock", (int)(strrchr(*path, '/') - *path), *path);
	return mesh_xstrdup(MESH_AGENT_SOCKET);
}

static void take_job(void *arg, const char *node, const struct mesh_podexec *job)
{
	const struct asking *a = arg;
	json_t *answer = mesh_podexec_json(job);
	mesh_auto_free char *why = answer ? NULL : mesh_podexec_why(job);

	a->fn(a->arg, node, answer, why);
	json_decref(answer);
}

/* The newest pod of each node that was not asked by its socket. */
static void ask_pods(struct asking *a, struct mesh_ctl *ctl, const char *const *words)
{
	json_t *pods = mesh_agents_pods(ctl), *chosen = json_array(), *pod;
	size_t i;

	json_array_foreach(pods, i, pod)
	{
		if (is_asked_for(a, node_of(pod)) && mesh_pod_on(pods, node_of(pod)) == pod)
			json_array_append(chosen, pod);
	}
	mesh_agents_run(ctl, chosen, words, EXEC_MS, take_job, a);
	json_decref(chosen);
	json_decref(pods);
}

void mesh_agents_ask(struct mesh_ctl *ctl, const char *only, const json_t *request, const char *const *words,
		     mesh_agents_answer_fn *fn, void *arg)
{
	struct asking a = {.only = only, .fn = fn, .arg = arg};
	mesh_auto_free char *pattern = socket_pattern(ctl);
	glob_t found;

	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			ask_socket(&a, found.gl_pathv[i], request);
		globfree(&found);
	}
	ask_pods(&a, ctl, words);
	mesh_map_free(&a.asked);
}
