/* SPDX-License-Identifier: Apache-2.0 */
/* Agents leave their nodes: by themselves, asked in their pods; where one does not answer, by a pod in its place. */
#include "ctl/uninstall.h"

#include "core/mem.h"
#include "ctl/agents.h"
#include "ctl/manifest.h"
#include "ctl/settings.h"
#include "ctl/rollout.h"

#include <stdio.h>

enum { LEAVE_MS = 30000, DETACH_SECONDS = 60 };

static const char system_pods[] = "/api/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/pods";
static const char agent_set[] = "/apis/apps/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/daemonsets/sockmesh-agent";

/* A pod that does what the agent's --detach does, on a node whose agent cannot be asked. New reference. */
static json_t *detach_pod(const json_t *set, const char *node)
{
	const json_t *template = json_object_get(json_object_get(set, "spec"), "template");
	json_t *spec = json_deep_copy(json_object_get(template, "spec")), *c, *args;
	static const char *const of_daemon[] = {"livenessProbe", "readinessProbe", "startupProbe", "lifecycle",
						"ports"};
	json_t *pod;

	json_object_set_new(spec, "nodeName", json_string(node));
	json_object_set_new(spec, "restartPolicy", json_string("Never"));
	json_object_set_new(spec, "activeDeadlineSeconds", json_integer(DETACH_SECONDS));
	c = mesh_manifest_only_container(spec);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(of_daemon); i++)
		json_object_del(c, of_daemon[i]);
	args = json_object_get(c, "args");
	json_array_append_new(args, json_string("--detach"));
	pod = json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s}}, s:o}", "apiVersion", "v1", "kind", "Pod", "metadata",
			"generateName", "sockmesh-detach-", "namespace", MESH_SYSTEM_NAMESPACE, "labels",
			MESH_LABEL_NAME, "sockmesh", MESH_LABEL_COMPONENT, "detach", "spec", spec);
	return pod;
}

/* Returns NULL when it has ended well, else why not (caller frees). */
static char *run_detach_pod(struct mesh_removal *r, const json_t *set, const char *node)
{
	mesh_auto(mesh_answer_free) struct mesh_answer made = {0};
	json_t *pod = detach_pod(set, node);
	uint64_t end = mesh_now_ns() + MESH_SEC(DETACH_SECONDS);
	char *why = NULL;
	bool over = false;

	if (mesh_ctl_request(r->ctl, "POST", system_pods, pod, NULL, NULL, &made) < 0)
		why = mesh_xstrdup(made.error);
	json_decref(pod);
	while (!why && !over) {
		mesh_auto_free char *path = mesh_xasprintf("%s/%s", system_pods, mesh_meta(made.body, "name"));
		mesh_auto(mesh_answer_free) struct mesh_answer now = {0};
		const char *phase;

		mesh_install_pause(r->ctl, MESH_POLL_MS);
		if (mesh_ctl_get(r->ctl, path, &now) < 0) {
			why = mesh_xstrdup(now.error);
			break;
		}
		phase = json_string_value(json_object_get(json_object_get(now.body, "status"), "phase"));
		over = phase && strcmp(phase, "Succeeded") == 0;
		if (!over && ((phase && strcmp(phase, "Failed") == 0) || mesh_now_ns() >= end))
			why = mesh_pod_why(r->ctl, now.body);
		if (over || why) {
			mesh_auto_free char *ignored = NULL;

			mesh_install_delete(r->ctl, path, &ignored);
		}
	}
	return why;
}

struct leaving {
	const char *node;
	bool left, reachable;
	char *why;
};

struct leavers {
	MESH_VEC(struct leaving) list;
};

static struct leaving *leaver(struct leavers *all, const char *node)
{
	mesh_vec_each (l, &all->list)
		if (strcmp(l->node, node) == 0)
			return l;
	return NULL;
}

static void take_leaving(void *arg, const char *node, const struct mesh_podexec *job)
{
	struct leaving *l = leaver(arg, node);

	if (!l)
		return;
	if (!job->error && job->code == 0) {
		l->left = true;
		return;
	}
	free(l->why);
	l->why = mesh_podexec_why(job);
}

/* Has each running agent take itself out of its node, all at once. */
static void ask_agents(struct mesh_removal *r, const json_t *pods, struct leavers *all)
{
	static const char *const words[] = {"node-leave", NULL};

	mesh_steps_now(&r->steps, "%zu agents leave their nodes", json_array_size(pods));
	mesh_agents_run(r->ctl, pods, words, LEAVE_MS, take_leaving, all);
}

/* Returns how many nodes that can be reached have not been left. */
static size_t take_out(struct mesh_removal *r, struct leavers *all, const json_t *set)
{
	size_t stuck = 0;

	mesh_vec_each (l, &all->list) {
		mesh_auto_free char *what = mesh_xasprintf("node %s", l->node), *why = NULL;

		if (l->left) {
			mesh_steps_done(&r->steps, what, "ok", "its agent has left");
			continue;
		}
		if (!l->reachable) {
			mesh_steps_done(
				&r->steps, what, "failed",
				"out of reach: it is not Ready. What would help: when it is back, meshctl install "
				"and uninstall again, or on it: meshd agent --detach --pin-dir DIR");
			continue;
		}
		mesh_steps_now(&r->steps, "node %s: a pod takes out what its agent left", l->node);
		why = run_detach_pod(r, set, l->node);
		stuck += why != NULL;
		if (!why)
			mesh_steps_done(&r->steps, what, "ok", "taken out by a pod (its agent: %s)",
					l->why ? l->why : "there was none");
		else
			mesh_steps_done(&r->steps, what, "failed", "%s%s%s", why,
					mesh_trouble_remedy(why) ? ". What would help: " : "",
					mesh_trouble_remedy(why) ? mesh_trouble_remedy(why) : "");
	}
	return stuck;
}

/* What a removal that was cut short has left: the DaemonSet as it would be installed. New reference; NULL: no trace. */
static json_t *set_of_before(struct mesh_removal *r)
{
	mesh_auto(mesh_answer_free) struct mesh_answer config = {0};
	json_t *said, *set;

	if (mesh_ctl_get(r->ctl, "/api/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/configmaps/sockmesh", &config) < 0)
		return NULL;
	said = json_loads(mesh_annotation_of(config.body, MESH_ANNOTATION_SAID), 0, NULL);
	set = json_deep_copy(mesh_manifest_find(r->objects, "DaemonSet", NULL));
	if (json_string_value(json_object_get(said, "image")))
		mesh_setting_image(set, json_string_value(json_object_get(said, "image")));
	json_decref(said);
	return set;
}

/* The DaemonSet that is, or was, there; NULL: none (*c says if that is an error). New reference. */
static json_t *find_set(struct mesh_removal *r, struct mesh_removal_count *c)
{
	mesh_auto(mesh_answer_free) struct mesh_answer set = {0};

	if (mesh_ctl_get(r->ctl, agent_set, &set) == 0)
		return json_incref(set.body);
	if (set.status == 404)
		return set_of_before(r);
	mesh_removal_fail(c, "agents", set.error);
	return NULL;
}

static size_t leave_nodes(struct mesh_removal *r, const json_t *set, struct mesh_removal_count *c)
{
	json_t *pods = mesh_agents_pods(r->ctl), *nodes = mesh_list(r->ctl, "/api/v1/nodes", NULL), *node;
	struct leavers all = {0};
	const char *ignored;
	size_t stuck, i;

	json_array_foreach(nodes, i, node)
	{
		const json_t *info = json_object_get(json_object_get(node, "status"), "nodeInfo");
		const char *os = json_string_value(json_object_get(info, "operatingSystem"));

		if (!os || strcmp(os, "linux") == 0)
			mesh_vec_push(&all.list, ((struct leaving){.node = mesh_meta(node, "name"),
								   .reachable = mesh_node_ready(node, &ignored)}));
	}
	ask_agents(r, pods, &all);
	mesh_removal_drop(r, agent_set, c);
	if (c->deleted && !mesh_removal_pods_gone(r, "agent", MESH_GONE_SECONDS))
		mesh_removal_fail(c, "agents", "their pods have not ended");
	stuck = take_out(r, &all, set);
	mesh_vec_each (l, &all.list)
		free(l->why);
	mesh_vec_free(&all.list);
	json_decref(pods);
	json_decref(nodes);
	return stuck;
}

bool mesh_removal_agents(struct mesh_removal *r)
{
	struct mesh_removal_count c = {0};
	json_t *set = find_set(r, &c);
	size_t stuck = 0;

	if (set && r->dry) {
		printf("leave     every node, then\n");
		mesh_removal_drop(r, agent_set, &c);
	} else if (set) {
		stuck = leave_nodes(r, set, &c);
	}
	mesh_removal_tell(r, "agents", &c);
	json_decref(set);
	return stuck == 0;
}
