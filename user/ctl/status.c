/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/status.h"

#include "ctl/find_api.h"
#include "ctl/inforce.h"
#include "ctl/manifest.h"
#include "ctl/node.h"
#include "ctl/podexec.h"
#include "ctl/print.h"
#include "ctl/resource.h"
#include "ctl/rollout.h"

#include "core/mem.h"
#include "kube/kubeconfig.h"

#include <glob.h>
#include <stdio.h>

enum { EXEC_MS = 10000 };

static const char *text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

static const json_t *at(const json_t *obj, const char *a, const char *b)
{
	return json_object_get(json_object_get(obj, a), b);
}

static bool is_of(const char *kubeconfig, const char *server)
{
	struct mesh_kubeconfig c = {0};
	bool same = mesh_kubeconfig_read(kubeconfig, NULL, &c, NULL) == 0 && strcmp(c.server, server) == 0;

	mesh_kubeconfig_free(&c);
	return same;
}

char *mesh_status_sockets(const struct mesh_ctl *ctl)
{
	mesh_auto(mesh_lab_list_free) struct mesh_lab_list labs = {0};

	mesh_lab_list_read(NULL, &labs);
	mesh_vec_each (path, &labs.list)
		if (is_of(*path, mesh_kube_config(ctl->kube)->server))
			return mesh_xasprintf("%.*s/node-*.sock", (int)(strrchr(*path, '/') - *path), *path);
	return mesh_xstrdup(MESH_AGENT_SOCKET);
}

static void ask_sockets(const struct mesh_ctl *ctl, const char *only, json_t *all)
{
	mesh_auto_free char *pattern = mesh_status_sockets(ctl);
	glob_t found;

	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		json_t *status = mesh_node_status(found.gl_pathv[i], NULL);
		const char *node = text(status, "node");

		if (node[0] && (!only || strcmp(only, node) == 0))
			json_object_set_new(all, node, json_pack("{s:O}", "status", status));
		json_decref(status);
	}
	globfree(&found);
}

/* A pod that cannot be asked says why; one that can gets a job. */
static void ask_pods(struct mesh_ctl *ctl, const json_t *pods, const char *only, json_t *all)
{
	static const char *const command[] = {"/usr/bin/meshctl", "node-status", NULL};
	size_t n = json_array_size(pods), count = 0, i;
	mesh_auto_free struct mesh_podexec *jobs = mesh_xcalloc(n ? n : 1, sizeof(*jobs));
	mesh_auto_free const char **nodes = mesh_xcalloc(n ? n : 1, sizeof(*nodes));
	const json_t *pod;

	json_array_foreach(pods, i, pod)
	{
		const char *node = text(json_object_get(pod, "spec"), "nodeName");

		if (!node[0] || (only && strcmp(only, node) != 0) || json_object_get(all, node) ||
		    mesh_pod_on(pods, node) != pod)
			continue;
		nodes[count] = node;
		jobs[count++] = (struct mesh_podexec){.namespace = MESH_SYSTEM_NAMESPACE,
						      .pod = mesh_meta(pod, "name"),
						      .container = "agent",
						      .command = command};
	}
	mesh_podexec_run(mesh_kube_config(ctl->kube), jobs, count, EXEC_MS);
	for (i = 0; i < count; i++) {
		json_t *status = mesh_podexec_json(&jobs[i]);
		mesh_auto_free char *why = status ? NULL : mesh_podexec_why(&jobs[i]);

		json_object_set_new(all, nodes[i],
				    status ? json_pack("{s:o}", "status", status) : json_pack("{s:s}", "error", why));
		mesh_podexec_free(&jobs[i]);
	}
}

json_t *mesh_status_agents(struct mesh_ctl *ctl, const char *node)
{
	json_t *all = json_object(), *pods;

	ask_sockets(ctl, node, all);
	pods = mesh_list(ctl,
			 "/api/v1/namespaces/" MESH_SYSTEM_NAMESPACE
			 "/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dagent",
			 NULL);
	ask_pods(ctl, pods, node, all);
	json_decref(pods);
	return all;
}

/* One row a Lease: who, alive or not, how far, and the agent's own words where it could be asked. */
static json_t *member(const json_t *lease, const json_t *agents, time_t now)
{
	const char *holder = text(json_object_get(lease, "spec"), "holderIdentity");
	const char *component = mesh_label_of(lease, "sockmesh.io/component");
	json_t *versions = mesh_lease_versions(lease);
	json_t *row = json_pack("{s:s, s:s, s:s, s:b, s:s}", "name", mesh_meta(lease, "name"), "component", component,
				"holder", holder, "live", mesh_lease_live(lease, now), "renewTime",
				text(json_object_get(lease, "spec"), "renewTime"));
	json_t *agent = json_object_get(json_object_get(agents, holder), "status");

	json_object_set_new(row, "inForce", versions ? versions : json_object());
	if (agent && strcmp(component, "agent") == 0)
		json_object_set(row, "agent", agent);
	return row;
}

static json_t *members_of(struct mesh_ctl *ctl, const json_t *agents, const char *node)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	json_t *members, *lease;
	time_t now = time(NULL);
	size_t i;

	if (mesh_ctl_get(ctl,
			 "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases"
			 "?labelSelector=sockmesh.io%2Fcomponent",
			 &a) < 0) {
		mesh_ctl_fail(ctl, &a, NULL);
		return NULL;
	}
	members = json_array();
	json_array_foreach(json_object_get(a.body, "items"), i, lease)
	{
		const char *holder = text(json_object_get(lease, "spec"), "holderIdentity");

		if (!node || strcmp(node, holder) == 0)
			json_array_append_new(members, member(lease, agents, now));
	}
	return members;
}

/* Nodes whose pods should have an agent, and have none that could be asked. */
static void add_missing(struct mesh_ctl *ctl, json_t *nodes)
{
	json_t *all = mesh_list(ctl, "/api/v1/nodes", NULL), *node;
	const char *why;
	size_t i;

	json_array_foreach(all, i, node)
	{
		const char *name = mesh_meta(node, "name");

		if (json_object_get(nodes, name) || (ctl->flags->node && strcmp(ctl->flags->node, name) != 0))
			continue;
		json_object_set_new(
			nodes, name,
			json_pack("{s:s}", "error", mesh_node_ready(node, &why) ? "there is no agent pod" : why));
	}
	json_decref(all);
}

static json_t *control_of(struct mesh_ctl *ctl)
{
	mesh_auto(mesh_answer_free) struct mesh_answer d = {0}, lease = {0};
	const json_t *template;

	if (mesh_ctl_get(ctl, "/apis/apps/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/deployments/sockmesh-control", &d) <
	    0)
		return NULL;
	mesh_ctl_get(ctl, "/apis/coordination.k8s.io/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/leases/sockmesh-control",
		     &lease);
	template = at(d.body, "spec", "template");
	return json_pack("{s:I, s:I, s:s, s:s}", "replicas", json_integer_value(at(d.body, "spec", "replicas")),
			 "available", json_integer_value(at(d.body, "status", "availableReplicas")), "version",
			 mesh_annotation_of(template, "sockmesh.io/version"), "leader",
			 mesh_lease_live(lease.body, time(NULL))
				 ? text(json_object_get(lease.body, "spec"), "holderIdentity")
				 : "");
}

static json_t *webhooks_of(struct mesh_ctl *ctl)
{
	json_t *configs = mesh_list(ctl,
				    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
				    "?labelSelector=app.kubernetes.io%2Fname%3Dsockmesh",
				    NULL);
	json_t *list = json_array(), *config, *hook;
	size_t i, j;

	json_array_foreach(configs, i, config) json_array_foreach(json_object_get(config, "webhooks"), j, hook)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:b}", "name", text(hook, "name"), "failurePolicy",
						text(hook, "failurePolicy"), "caBundle",
						text(json_object_get(hook, "clientConfig"), "caBundle")[0] != '\0'));
	json_decref(configs);
	return list;
}

static json_t *gateways_of(struct mesh_ctl *ctl)
{
	json_t *pods = mesh_list(ctl, "/api/v1/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dgateway", NULL), *pod;
	json_t *list = json_array();
	size_t i;

	json_array_foreach(pods, i, pod)
	{
		mesh_auto_free char *trouble = mesh_pod_trouble(pod);

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "namespace", mesh_meta(pod, "namespace"),
						      "name", mesh_meta(pod, "name"), "node",
						      text(json_object_get(pod, "spec"), "nodeName"), "state",
						      trouble ? trouble : "ready"));
	}
	json_decref(pods);
	return list;
}

static json_t *collect(struct mesh_ctl *ctl)
{
	json_t *nodes = mesh_status_agents(ctl, ctl->flags->node), *control;
	json_t *members = members_of(ctl, nodes, ctl->flags->node), *all;

	if (!members) {
		json_decref(nodes);
		return NULL;
	}
	all = json_pack("{s:s, s:o, s:O}", "server", mesh_kube_config(ctl->kube)->server, "members", members, "nodes",
			nodes);
	control = control_of(ctl);
	if (control) { /* a cluster, not a lab */
		add_missing(ctl, nodes);
		json_object_set_new(all, "control", control);
		json_object_set_new(all, "webhooks", webhooks_of(ctl));
		json_object_set_new(all, "gateways", gateways_of(ctl));
	}
	json_decref(nodes);
	return all;
}

static void print_status(const json_t *status, bool wide)
{
	const json_t *members = json_object_get(status, "members");
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};
	const char *name;
	json_t *node;

	mesh_status_control(&out, status);
	if (out.len)
		mesh_buf_char(&out, '\n');
	if (json_array_size(members) == 0)
		mesh_buf_str(&out, "No agent or gateway has a Lease in istio-system: no mesh is in force here.\n");
	else
		mesh_status_members(&out, members);
	if (json_object_size(json_object_get(status, "nodes")))
		mesh_buf_char(&out, '\n');
	mesh_status_nodes(&out, json_object_get(status, "nodes"));
	json_object_foreach(json_object_get(status, "nodes"), name, node)
	{
		if (!wide || !json_object_get(node, "status"))
			continue;
		mesh_buf_printf(&out, "\nAgent %s:\n", name);
		mesh_status_details(&out, json_object_get(node, "status"), 1);
	}
	fputs(out.data, stdout);
}

static void keep_errors(json_t *nodes)
{
	const char *name;
	json_t *node;
	void *next;

	json_object_foreach_safe(nodes, next, name, node)
	{
		if (!json_object_get(node, "error"))
			json_object_del(nodes, name);
	}
}

int mesh_ctl_run_status(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};
	json_t *status;

	if (f->args.list.count)
		return mesh_ctl_error(ctl, "status takes no arguments");
	if (mesh_printer_init(ctl, &p) < 0)
		return 1;
	status = collect(ctl);
	if (!status)
		return 1;
	if (p.format == MESH_FORMAT_TABLE) {
		print_status(status, p.wide);
	} else {
		keep_errors(json_object_get(status, "nodes")); /* what agents say is with the members */
		mesh_print(ctl, &p, status);
	}
	json_decref(status);
	return 0;
}
