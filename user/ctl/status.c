/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/status.h"

#include "config/get.h"
#include "core/mem.h"
#include "ctl/agents.h"
#include "ctl/inforce.h"
#include "ctl/manifest.h"
#include "ctl/print.h"
#include "ctl/resource.h"
#include "ctl/rollout.h"
#include "model/names.h"

#include <stdio.h>

static void take_status(void *all, const char *node, json_t *answer, const char *why)
{
	json_object_set_new(all, node,
			    answer ? json_pack("{s:O}", "status", answer) : json_pack("{s:s}", "error", why));
}

json_t *mesh_status_agents(struct mesh_ctl *ctl, const char *node)
{
	static const char *const words[] = {"node-status", NULL};
	json_t *all = json_object();

	mesh_agents_ask(ctl, node, NULL, words, take_status, all);
	return all;
}

/* One row a Lease: who, alive or not, how far, and the agent's own words where it could be asked. */
static json_t *member(const json_t *lease, const json_t *agents, time_t now)
{
	const char *holder = mesh_text(json_object_get(lease, "spec"), "holderIdentity");
	const char *component = mesh_label_of(lease, MESH_LEASE_COMPONENT_LABEL);
	json_t *versions = mesh_lease_versions(lease);
	json_t *row = json_pack("{s:s, s:s, s:s, s:b, s:s}", "name", mesh_meta(lease, "name"), "component", component,
				"holder", holder, "live", mesh_lease_live(lease, now), "renewTime",
				mesh_text(json_object_get(lease, "spec"), "renewTime"));
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
		const char *holder = mesh_text(json_object_get(lease, "spec"), "holderIdentity");

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
	template = mesh_json_at(d.body, "spec", "template", NULL);
	return json_pack("{s:I, s:I, s:s, s:s}", "replicas",
			 json_integer_value(mesh_json_at(d.body, "spec", "replicas", NULL)), "available",
			 json_integer_value(mesh_json_at(d.body, "status", "availableReplicas", NULL)), "version",
			 mesh_annotation_of(template, "sockmesh.io/version"), "leader",
			 mesh_lease_live(lease.body, time(NULL))
				 ? mesh_text(json_object_get(lease.body, "spec"), "holderIdentity")
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
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:b}", "name", mesh_text(hook, "name"), "failurePolicy",
					mesh_text(hook, "failurePolicy"), "caBundle",
					mesh_text(json_object_get(hook, "clientConfig"), "caBundle")[0] != '\0'));
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
						      mesh_text(json_object_get(pod, "spec"), "nodeName"), "state",
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
