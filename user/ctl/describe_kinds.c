/* SPDX-License-Identifier: Apache-2.0 */
/* Services, Deployments, ReplicaSets, Namespaces. */
#include "ctl/describe.h"

#include "core/mem.h"

#include <stdio.h>

enum { ENDPOINTS_SHOWN = 3 };

static char *join(const json_t *list)
{
	struct mesh_buf b = {0};
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one) mesh_buf_printf(&b, "%s%s", i ? "," : "", json_string_value(one));
	return mesh_buf_steal(&b);
}

static void text_line(struct mesh_tabs *t, const char *title, const char *text)
{
	if (text[0])
		mesh_describe_line(t, 0, "%s:\t%s", title, text);
}

static bool is_ready(const json_t *endpoint)
{
	const json_t *ready = mesh_at(endpoint, "conditions.ready");

	return !ready || !json_is_false(ready);
}

static void add_endpoints(struct mesh_buf *b, const json_t *slice, long port, size_t *count)
{
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(slice, "endpoints"), i, e)
	{
		const char *address = json_string_value(json_array_get(json_object_get(e, "addresses"), 0));
		bool v6 = address && strchr(address, ':');

		if (!is_ready(e) || !address)
			continue;
		if (++*count <= ENDPOINTS_SHOWN)
			mesh_buf_printf(b, "%s%s%s%s:%ld", b->len ? "," : "", v6 ? "[" : "", address, v6 ? "]" : "",
					port);
	}
}

/* "10.0.0.1:8080,10.0.0.2:8080 + 1 more..." of the port named name. */
static char *endpoints(const json_t *slices, const char *name)
{
	struct mesh_buf b = {0};
	const json_t *slice, *p;
	size_t count = 0, i, j;

	json_array_foreach(slices, i, slice)
	{
		json_array_foreach(json_object_get(slice, "ports"), j, p)
		{
			if (strcmp(mesh_at_text(p, "name"), name) == 0)
				add_endpoints(&b, slice, mesh_at_number(p, "port"), &count);
		}
	}
	if (count > ENDPOINTS_SHOWN)
		mesh_buf_printf(&b, " + %zu more...", count - ENDPOINTS_SHOWN);
	return mesh_buf_steal(&b);
}

static void service_port(struct mesh_tabs *t, const json_t *p, const json_t *slices)
{
	const char *name = mesh_at_text(p, "name"), *shown = name[0] ? name : "<unset>";
	const char *protocol = mesh_at_text(p, "protocol");
	mesh_auto_free char *list = endpoints(slices, name);
	mesh_auto(mesh_buf_free) struct mesh_buf target = {0};

	mesh_describe_value(&target, json_object_get(p, "targetPort"));
	mesh_describe_line(t, 0, "Port:\t%s\t%ld/%s", shown, mesh_at_number(p, "port"), protocol);
	mesh_describe_line(t, 0, "TargetPort:\t%s/%s", target.data, protocol);
	if (mesh_at_number(p, "nodePort"))
		mesh_describe_line(t, 0, "NodePort:\t%s\t%ld/%s", shown, mesh_at_number(p, "nodePort"), protocol);
	mesh_describe_line(t, 0, "Endpoints:\t%s", list[0] ? list : "<none>");
}

static void load_balancer(struct mesh_tabs *t, const json_t *service)
{
	mesh_auto(mesh_buf_free) struct mesh_buf b = {0};
	const json_t *one;
	size_t i;

	json_array_foreach(mesh_at(service, "status.loadBalancer.ingress"), i, one)
	{
		const char *ip = mesh_at_text(one, "ip"), *mode = mesh_at_text(one, "ipMode");

		mesh_buf_printf(&b, "%s%s", i ? ", " : "", ip[0] ? ip : mesh_at_text(one, "hostname"));
		if (mode[0])
			mesh_buf_printf(&b, " (%s)", mode);
	}
	if (b.len)
		mesh_describe_line(t, 0, "LoadBalancer Ingress:\t%s", b.data);
}

void mesh_describe_service(struct mesh_tabs *t, const json_t *service, const json_t *slices)
{
	const json_t *spec = json_object_get(service, "spec"), *p;
	mesh_auto_free char *selector = mesh_join_map(json_object_get(spec, "selector"), "=", ",");
	mesh_auto_free char *ips = join(json_object_get(spec, "clusterIPs"));
	mesh_auto_free char *families = join(json_object_get(spec, "ipFamilies"));
	mesh_auto_free char *external = join(json_object_get(spec, "externalIPs"));
	size_t i;

	mesh_describe_head(t, service);
	mesh_describe_labels(t, service);
	mesh_describe_line(t, 0, "Selector:\t%s", selector);
	mesh_describe_line(t, 0, "Type:\t%s", mesh_at_text(spec, "type"));
	text_line(t, "IP Family Policy", mesh_at_text(spec, "ipFamilyPolicy"));
	mesh_describe_line(t, 0, "IP Families:\t%s", families[0] ? families : "<none>");
	mesh_describe_line(t, 0, "IP:\t%s", mesh_at_text(spec, "clusterIP"));
	mesh_describe_line(t, 0, "IPs:\t%s", ips[0] ? ips : "<none>");
	text_line(t, "External IPs", external);
	text_line(t, "Desired LoadBalancer IP", mesh_at_text(spec, "loadBalancerIP"));
	load_balancer(t, service);
	text_line(t, "External Name", mesh_at_text(spec, "externalName"));
	json_array_foreach(json_object_get(spec, "ports"), i, p) service_port(t, p, slices);
	mesh_describe_line(t, 0, "Session Affinity:\t%s", mesh_at_text(spec, "sessionAffinity"));
	text_line(t, "External Traffic Policy", mesh_at_text(spec, "externalTrafficPolicy"));
	text_line(t, "Internal Traffic Policy", mesh_at_text(spec, "internalTrafficPolicy"));
}

static void template(struct mesh_tabs *t, const json_t *of)
{
	const json_t *tpl = mesh_at(of, "spec.template"), *spec = json_object_get(tpl, "spec");

	mesh_describe_line(t, 0, "Pod Template:");
	mesh_describe_map(t, 1, "Labels", mesh_at(tpl, "metadata.labels"), "=");
	if (json_object_size(mesh_at(tpl, "metadata.annotations")))
		mesh_describe_annotations(t, 1, tpl);
	text_line(t, "  Service Account", mesh_at_text(spec, "serviceAccountName"));
	mesh_describe_containers(t, 1, "Init Containers", json_object_get(spec, "initContainers"), NULL, true);
	mesh_describe_containers(t, 1, "Containers", json_object_get(spec, "containers"), NULL, true);
	mesh_describe_volumes(t, 1, json_object_get(spec, "volumes"));
	mesh_describe_map(t, 1, "Node-Selectors", json_object_get(spec, "nodeSelector"), "=");
	mesh_describe_line(t, 1, "Tolerations:\t<none>");
}

static void conditions(struct mesh_tabs *t, const json_t *list)
{
	const json_t *c;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	mesh_describe_line(t, 0, "Conditions:");
	mesh_describe_line(t, 1, "Type\tStatus\tReason");
	mesh_describe_line(t, 1, "----\t------\t------");
	json_array_foreach(list, i, c) mesh_describe_line(t, 1, "%s \t%s\t%s", mesh_at_text(c, "type"),
							  mesh_at_text(c, "status"), mesh_at_text(c, "reason"));
}

static const char *revision(const json_t *obj)
{
	const json_t *a = mesh_at(obj, "metadata.annotations");
	const char *s = json_string_value(json_object_get(a, "deployment.kubernetes.io/revision"));

	return s ? s : "";
}

static void replica_sets(struct mesh_tabs *t, const json_t *deployment, const json_t *sets)
{
	mesh_auto(mesh_buf_free) struct mesh_buf old = {0}, new = {0};
	const json_t *set;
	size_t i;

	if (json_array_size(sets) == 0)
		return;
	json_array_foreach(sets, i, set)
	{
		bool newest = strcmp(revision(set), revision(deployment)) == 0;
		struct mesh_buf *b = newest ? &new : &old;

		mesh_buf_printf(b, "%s%s (%ld/%ld replicas created)", b->len ? ", " : "", mesh_meta(set, "name"),
				mesh_at_number(set, "status.replicas"), mesh_at_number(set, "spec.replicas"));
	}
	mesh_describe_line(t, 0, "OldReplicaSets:\t%s", old.len ? old.data : "<none>");
	mesh_describe_line(t, 0, "NewReplicaSet:\t%s", new.len ? new.data : "<none>");
}

void mesh_describe_deployment(struct mesh_tabs *t, const json_t *d, const json_t *sets)
{
	mesh_auto_free char *when = mesh_long_time(mesh_meta(d, "creationTimestamp"));
	mesh_auto_free char *selector = mesh_join_map(mesh_at(d, "spec.selector.matchLabels"), "=", ",");
	const json_t *rolling = mesh_at(d, "spec.strategy.rollingUpdate");

	mesh_describe_head(t, d);
	mesh_describe_line(t, 0, "CreationTimestamp:\t%s", when);
	mesh_describe_labels(t, d);
	mesh_describe_line(t, 0, "Selector:\t%s", selector);
	mesh_describe_line(t, 0, "Replicas:\t%ld desired | %ld updated | %ld total | %ld available | %ld unavailable",
			   mesh_at_number(d, "spec.replicas"), mesh_at_number(d, "status.updatedReplicas"),
			   mesh_at_number(d, "status.replicas"), mesh_at_number(d, "status.availableReplicas"),
			   mesh_at_number(d, "status.unavailableReplicas"));
	mesh_describe_line(t, 0, "StrategyType:\t%s", mesh_at_text(d, "spec.strategy.type"));
	mesh_describe_line(t, 0, "MinReadySeconds:\t%ld", mesh_at_number(d, "spec.minReadySeconds"));
	if (rolling) {
		mesh_auto(mesh_buf_free) struct mesh_buf down = {0}, up = {0};

		mesh_describe_value(&down, json_object_get(rolling, "maxUnavailable"));
		mesh_describe_value(&up, json_object_get(rolling, "maxSurge"));
		mesh_describe_line(t, 0, "RollingUpdateStrategy:\t%s max unavailable, %s max surge", down.data,
				   up.data);
	}
	template(t, d);
	conditions(t, mesh_at(d, "status.conditions"));
	replica_sets(t, d, sets);
}

void mesh_describe_replica_set(struct mesh_tabs *t, const json_t *set, const json_t *pods)
{
	mesh_auto_free char *selector = mesh_join_map(mesh_at(set, "spec.selector.matchLabels"), "=", ",");
	long running = 0, waiting = 0, succeeded = 0, failed = 0;
	const json_t *one;
	size_t i;

	json_array_foreach(pods, i, one)
	{
		const char *phase = mesh_at_text(one, "status.phase");

		running += strcmp(phase, "Running") == 0;
		waiting += strcmp(phase, "Pending") == 0;
		succeeded += strcmp(phase, "Succeeded") == 0;
		failed += strcmp(phase, "Failed") == 0;
	}
	mesh_describe_head(t, set);
	mesh_describe_line(t, 0, "Selector:\t%s", selector);
	mesh_describe_labels(t, set);
	json_array_foreach(mesh_at(set, "metadata.ownerReferences"), i, one)
		mesh_describe_line(t, 0, "Controlled By:\t%s/%s", mesh_at_text(one, "kind"), mesh_at_text(one, "name"));
	mesh_describe_line(t, 0, "Replicas:\t%ld current / %ld desired", mesh_at_number(set, "status.replicas"),
			   mesh_at_number(set, "spec.replicas"));
	mesh_describe_line(t, 0, "Pods Status:\t%ld Running / %ld Waiting / %ld Succeeded / %ld Failed", running,
			   waiting, succeeded, failed);
	template(t, set);
}

void mesh_describe_namespace(struct mesh_tabs *t, const json_t *ns, bool with_quotas)
{
	mesh_describe_line(t, 0, "Name:\t%s", mesh_meta(ns, "name"));
	mesh_describe_labels(t, ns);
	mesh_describe_line(t, 0, "Status:\t%s", mesh_at_text(ns, "status.phase"));
	if (with_quotas)
		mesh_describe_line(t, 0, "\nNo resource quota.\n\nNo LimitRange resource.");
}
