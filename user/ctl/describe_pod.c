/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/describe.h"

#include "core/mem.h"

#include <stdio.h>

static void ports(struct mesh_tabs *t, int level, const json_t *container)
{
	const json_t *list = json_object_get(container, "ports"), *p;
	mesh_auto(mesh_buf_free) struct mesh_buf own = {0}, host = {0};
	size_t n = json_array_size(list), i;

	json_array_foreach(list, i, p)
	{
		const char *protocol = mesh_at_text(p, "protocol");

		protocol = protocol[0] ? protocol : "TCP";
		mesh_buf_printf(&own, "%s%ld/%s", i ? ", " : "", mesh_at_number(p, "containerPort"), protocol);
		mesh_buf_printf(&host, "%s%ld/%s", i ? ", " : "", mesh_at_number(p, "hostPort"), protocol);
	}
	mesh_describe_line(t, level, "Port%s:\t%s", n > 1 ? "s" : "", n ? own.data : "<none>");
	mesh_describe_line(t, level, "Host Port%s:\t%s", n > 1 ? "s" : "", n ? host.data : "<none>");
}

static void words(struct mesh_tabs *t, int level, const char *title, const json_t *list)
{
	const json_t *word;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	mesh_describe_line(t, level, "%s:", title);
	json_array_foreach(list, i, word)
	{
		struct mesh_slice rest = mesh_slice_str(json_string_value(word)), line;

		while (mesh_slice_split(&rest, '\n', &line))
			mesh_describe_line(t, level + 1, "%.*s", (int)line.len, line.ptr);
	}
}

static void started(struct mesh_tabs *t, int level, const char *title, const char *time)
{
	mesh_auto_free char *when = mesh_long_time(time);

	mesh_describe_line(t, level, "%s:\t%s", title, when);
}

static void state(struct mesh_tabs *t, int level, const char *title, const json_t *s)
{
	const json_t *running = json_object_get(s, "running"), *waiting = json_object_get(s, "waiting");
	const json_t *ended = json_object_get(s, "terminated");

	if (running) {
		mesh_describe_line(t, level, "%s:\tRunning", title);
		started(t, level + 1, "Started", mesh_at_text(running, "startedAt"));
	} else if (ended) {
		mesh_describe_line(t, level, "%s:\tTerminated", title);
		if (mesh_at_text(ended, "reason")[0])
			mesh_describe_line(t, level + 1, "Reason:\t%s", mesh_at_text(ended, "reason"));
		if (mesh_at_text(ended, "message")[0])
			mesh_describe_line(t, level + 1, "Message:\t%s", mesh_at_text(ended, "message"));
		mesh_describe_line(t, level + 1, "Exit Code:\t%ld", mesh_at_number(ended, "exitCode"));
		if (mesh_at_number(ended, "signal"))
			mesh_describe_line(t, level + 1, "Signal:\t%ld", mesh_at_number(ended, "signal"));
		started(t, level + 1, "Started", mesh_at_text(ended, "startedAt"));
		started(t, level + 1, "Finished", mesh_at_text(ended, "finishedAt"));
	} else {
		mesh_describe_line(t, level, "%s:\tWaiting", title);
		if (mesh_at_text(waiting, "reason")[0])
			mesh_describe_line(t, level + 1, "Reason:\t%s", mesh_at_text(waiting, "reason"));
		if (mesh_at_text(waiting, "message")[0])
			mesh_describe_line(t, level + 1, "Message:\t%s", mesh_at_text(waiting, "message"));
	}
}

static void status(struct mesh_tabs *t, int level, const json_t *s)
{
	if (!s)
		return;
	state(t, level, "State", json_object_get(s, "state"));
	if (json_object_size(json_object_get(s, "lastState")))
		state(t, level, "Last State", json_object_get(s, "lastState"));
	mesh_describe_line(t, level, "Ready:\t%s", json_is_true(json_object_get(s, "ready")) ? "True" : "False");
	mesh_describe_line(t, level, "Restart Count:\t%ld", mesh_at_number(s, "restartCount"));
}

static void quantities(struct mesh_tabs *t, int level, const char *title, const json_t *map)
{
	mesh_auto_free char *lines = mesh_join_map(map, ":\t", "\n");
	struct mesh_slice rest = mesh_slice_str(lines), line;

	if (json_object_size(map) == 0)
		return;
	mesh_describe_line(t, level, "%s:", title);
	while (mesh_slice_split(&rest, '\n', &line))
		mesh_describe_line(t, level + 1, "%.*s", (int)line.len, line.ptr);
}

static void probe_action(struct mesh_buf *b, const json_t *p)
{
	const json_t *word, *http = json_object_get(p, "httpGet"), *tcp = json_object_get(p, "tcpSocket");
	const char *scheme = mesh_at_text(http, "scheme");
	mesh_auto(mesh_buf_free) struct mesh_buf port = {0};
	size_t i;

	if (http) {
		mesh_describe_value(&port, json_object_get(http, "port"));
		mesh_buf_printf(b, "http-get %s://%s:%s%s",
				scheme[0] && strcmp(scheme, "HTTPS") == 0 ? "https" : "http",
				mesh_at_text(http, "host"), port.data, mesh_at_text(http, "path"));
	} else if (tcp) {
		mesh_describe_value(&port, json_object_get(tcp, "port"));
		mesh_buf_printf(b, "tcp-socket %s:%s", mesh_at_text(tcp, "host"), port.data);
	} else if (json_object_get(p, "exec")) {
		mesh_buf_str(b, "exec [");
		json_array_foreach(mesh_at(p, "exec.command"), i, word)
			mesh_buf_printf(b, "%s%s", i ? " " : "", json_string_value(word));
		mesh_buf_char(b, ']');
	} else if (json_object_get(p, "grpc")) {
		mesh_buf_printf(b, "grpc <pod>:%ld %s", mesh_at_number(p, "grpc.port"),
				mesh_at_text(p, "grpc.service"));
	} else {
		mesh_buf_str(b, "unknown");
	}
}

static void probe(struct mesh_tabs *t, int level, const char *title, const json_t *p)
{
	mesh_auto(mesh_buf_free) struct mesh_buf b = {0};

	if (!p)
		return;
	probe_action(&b, p);
	mesh_describe_line(t, level, "%s:\t%s delay=%lds timeout=%lds period=%lds #success=%ld #failure=%ld", title,
			   b.data, mesh_at_number(p, "initialDelaySeconds"), mesh_at_number(p, "timeoutSeconds"),
			   mesh_at_number(p, "periodSeconds"), mesh_at_number(p, "successThreshold"),
			   mesh_at_number(p, "failureThreshold"));
}

static const char *optional(const json_t *ref)
{
	return json_is_true(json_object_get(ref, "optional")) ? "true" : "false";
}

static void variable(struct mesh_tabs *t, int level, const json_t *v)
{
	const char *name = mesh_at_text(v, "name");
	const json_t *from = json_object_get(v, "valueFrom"), *ref;

	if ((ref = json_object_get(from, "fieldRef")))
		mesh_describe_line(t, level, "%s:\t (%s:%s)", name,
				   mesh_at_text(ref, "apiVersion")[0] ? mesh_at_text(ref, "apiVersion") : "v1",
				   mesh_at_text(ref, "fieldPath"));
	else if ((ref = json_object_get(from, "secretKeyRef")))
		mesh_describe_line(t, level, "%s:\t<set to the key '%s' in secret '%s'>\tOptional: %s", name,
				   mesh_at_text(ref, "key"), mesh_at_text(ref, "name"), optional(ref));
	else if ((ref = json_object_get(from, "configMapKeyRef")))
		mesh_describe_line(t, level, "%s:\t<set to the key '%s' of config map '%s'>\tOptional: %s", name,
				   mesh_at_text(ref, "key"), mesh_at_text(ref, "name"), optional(ref));
	else if ((ref = json_object_get(from, "resourceFieldRef")))
		mesh_describe_line(t, level, "%s:\t (%s)", name, mesh_at_text(ref, "resource"));
	else
		mesh_describe_line(t, level, "%s:\t%s", name, mesh_at_text(v, "value"));
}

static void environment(struct mesh_tabs *t, int level, const json_t *c)
{
	const json_t *env = json_object_get(c, "env"), *v;
	size_t i;

	if (json_array_size(env) == 0) {
		mesh_describe_line(t, level, "Environment:\t<none>");
		return;
	}
	mesh_describe_line(t, level, "Environment:");
	json_array_foreach(env, i, v) variable(t, level + 1, v);
}

static void mounts(struct mesh_tabs *t, int level, const json_t *c)
{
	const json_t *list = json_object_get(c, "volumeMounts"), *m;
	size_t i;

	if (json_array_size(list) == 0) {
		mesh_describe_line(t, level, "Mounts:\t<none>");
		return;
	}
	mesh_describe_line(t, level, "Mounts:");
	json_array_foreach(list, i, m)
	{
		const char *sub = mesh_at_text(m, "subPath");

		mesh_describe_line(t, level + 1, "%s from %s (%s%s%s%s)", mesh_at_text(m, "mountPath"),
				   mesh_at_text(m, "name"), json_is_true(json_object_get(m, "readOnly")) ? "ro" : "rw",
				   sub[0] ? ",path=\"" : "", sub, sub[0] ? "\"" : "");
	}
}

static const json_t *status_of(const json_t *statuses, const char *name)
{
	const json_t *s;
	size_t i;

	json_array_foreach(statuses, i, s) if (strcmp(mesh_at_text(s, "name"), name) == 0) return s;
	return NULL;
}

static void container(struct mesh_tabs *t, int level, const json_t *c, const json_t *s)
{
	if (s)
		mesh_describe_line(t, level, "Container ID:\t%s", mesh_at_text(s, "containerID"));
	mesh_describe_line(t, level, "Image:\t%s", mesh_at_text(c, "image"));
	if (s)
		mesh_describe_line(t, level, "Image ID:\t%s", mesh_at_text(s, "imageID"));
	ports(t, level, c);
	words(t, level, "Command", json_object_get(c, "command"));
	words(t, level, "Args", json_object_get(c, "args"));
	status(t, level, s);
	quantities(t, level, "Limits", mesh_at(c, "resources.limits"));
	quantities(t, level, "Requests", mesh_at(c, "resources.requests"));
	probe(t, level, "Liveness", json_object_get(c, "livenessProbe"));
	probe(t, level, "Readiness", json_object_get(c, "readinessProbe"));
	probe(t, level, "Startup", json_object_get(c, "startupProbe"));
	environment(t, level, c);
	mounts(t, level, c);
}

void mesh_describe_containers(struct mesh_tabs *t, int level, const char *title, const json_t *containers,
			      const json_t *statuses, bool template)
{
	const json_t *c;
	size_t i;

	if (json_array_size(containers) == 0)
		return;
	mesh_describe_line(t, level, "%s:", title);
	json_array_foreach(containers, i, c)
	{
		const char *name = mesh_at_text(c, "name");

		mesh_describe_line(t, level, "%s%s:", template ? " " : "  ", name);
		container(t, level + (template ? 1 : 2), c, status_of(statuses, name));
	}
}

/* One line a field, in the order that kubectl has. */
static void volume_source(struct mesh_tabs *t, int level, const json_t *v)
{
	const json_t *s;

	if ((s = json_object_get(v, "configMap"))) {
		mesh_describe_line(t, level, "Type:\tConfigMap (a volume populated by a ConfigMap)");
		mesh_describe_line(t, level, "Name:\t%s", mesh_at_text(s, "name"));
		mesh_describe_line(t, level, "Optional:\t%s", optional(s));
	} else if ((s = json_object_get(v, "secret"))) {
		mesh_describe_line(t, level, "Type:\tSecret (a volume populated by a Secret)");
		mesh_describe_line(t, level, "SecretName:\t%s", mesh_at_text(s, "secretName"));
		mesh_describe_line(t, level, "Optional:\t%s", optional(s));
	} else if ((s = json_object_get(v, "emptyDir"))) {
		const char *limit = mesh_at_text(s, "sizeLimit");

		mesh_describe_line(t, level, "Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)");
		mesh_describe_line(t, level, "Medium:\t%s", mesh_at_text(s, "medium"));
		mesh_describe_line(t, level, "SizeLimit:\t%s", limit[0] ? limit : "<unset>");
	} else if ((s = json_object_get(v, "hostPath"))) {
		mesh_describe_line(t, level, "Type:\tHostPath (bare host directory volume)");
		mesh_describe_line(t, level, "Path:\t%s", mesh_at_text(s, "path"));
		mesh_describe_line(t, level, "HostPathType:\t%s", mesh_at_text(s, "type"));
	} else if (json_object_get(v, "projected")) {
		mesh_describe_line(t, level,
				   "Type:\tProjected (a volume that contains injected data from multiple sources)");
	} else {
		mesh_describe_line(t, level, "<unknown>");
	}
}

void mesh_describe_volumes(struct mesh_tabs *t, int level, const json_t *volumes)
{
	const json_t *v;
	size_t i;

	if (json_array_size(volumes) == 0) {
		mesh_describe_line(t, level, "Volumes:\t<none>");
		return;
	}
	mesh_describe_line(t, level, "Volumes:");
	json_array_foreach(volumes, i, v)
	{
		mesh_describe_line(t, level + 1, "%s:", mesh_at_text(v, "name"));
		volume_source(t, level + 2, v);
	}
}

static void tolerations(struct mesh_tabs *t, int level, const json_t *list)
{
	const char *title = "Tolerations:";
	const json_t *one;
	size_t i;

	if (json_array_size(list) == 0)
		mesh_describe_line(t, level, "Tolerations:\t<none>");
	json_array_foreach(list, i, one)
	{
		mesh_auto(mesh_buf_free) struct mesh_buf b = {0};
		const char *value = mesh_at_text(one, "value"), *effect = mesh_at_text(one, "effect");

		mesh_buf_str(&b, mesh_at_text(one, "key"));
		if (value[0])
			mesh_buf_printf(&b, "=%s", value);
		if (effect[0])
			mesh_buf_printf(&b, ":%s", effect);
		if (strcmp(mesh_at_text(one, "operator"), "Exists") == 0 && !value[0])
			mesh_buf_printf(&b, "%sop=Exists", b.len ? " " : "");
		if (json_object_get(one, "tolerationSeconds"))
			mesh_buf_printf(&b, " for %lds", mesh_at_number(one, "tolerationSeconds"));
		mesh_describe_line(t, level, "%s\t%s", title, b.data ? b.data : "");
		title = "";
	}
}

static void placement(struct mesh_tabs *t, int level, const json_t *spec)
{
	mesh_describe_map(t, level, "Node-Selectors", json_object_get(spec, "nodeSelector"), "=");
	tolerations(t, level, json_object_get(spec, "tolerations"));
}

static void conditions(struct mesh_tabs *t, const json_t *list)
{
	const json_t *c;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	mesh_describe_line(t, 0, "Conditions:");
	mesh_describe_line(t, 1, "Type\tStatus");
	json_array_foreach(list, i, c)
		mesh_describe_line(t, 1, "%s\t%s ", mesh_at_text(c, "type"), mesh_at_text(c, "status"));
}

static void addresses(struct mesh_tabs *t, const json_t *status_obj)
{
	const json_t *ips = json_object_get(status_obj, "podIPs"), *one;
	size_t i;

	mesh_describe_line(t, 0, "IP:\t%s", mesh_at_text(status_obj, "podIP"));
	if (json_array_size(ips) == 0) {
		mesh_describe_line(t, 0, "IPs:\t<none>");
		return;
	}
	mesh_describe_line(t, 0, "IPs:");
	json_array_foreach(ips, i, one) mesh_describe_line(t, 1, "IP:\t%s", mesh_at_text(one, "ip"));
}

static void controlled_by(struct mesh_tabs *t, const json_t *obj)
{
	const json_t *owner;
	size_t i;

	json_array_foreach(mesh_at(obj, "metadata.ownerReferences"), i, owner)
	{
		if (json_is_true(json_object_get(owner, "controller")))
			mesh_describe_line(t, 0, "Controlled By:\t%s/%s", mesh_at_text(owner, "kind"),
					   mesh_at_text(owner, "name"));
	}
}

static void phase(struct mesh_tabs *t, const json_t *pod)
{
	const char *ending = mesh_meta(pod, "deletionTimestamp");
	char age[32];

	if (ending[0]) {
		mesh_describe_line(t, 0, "Status:\tTerminating (lasts %s)", mesh_age(mesh_seconds_since(ending), age));
		mesh_describe_line(t, 0, "Termination Grace Period:\t%lds",
				   mesh_at_number(pod, "metadata.deletionGracePeriodSeconds"));
	} else {
		mesh_describe_line(t, 0, "Status:\t%s", mesh_at_text(pod, "status.phase"));
	}
	if (mesh_at_text(pod, "status.reason")[0])
		mesh_describe_line(t, 0, "Reason:\t%s", mesh_at_text(pod, "status.reason"));
	if (mesh_at_text(pod, "status.message")[0])
		mesh_describe_line(t, 0, "Message:\t%s", mesh_at_text(pod, "status.message"));
}

void mesh_describe_pod(struct mesh_tabs *t, const json_t *pod)
{
	const json_t *spec = json_object_get(pod, "spec"), *st = json_object_get(pod, "status");
	const char *node = mesh_at_text(spec, "nodeName"), *qos = mesh_at_text(st, "qosClass");

	mesh_describe_head(t, pod);
	mesh_describe_line(t, 0, "Priority:\t%ld", mesh_at_number(spec, "priority"));
	if (mesh_at_text(spec, "serviceAccountName")[0])
		mesh_describe_line(t, 0, "Service Account:\t%s", mesh_at_text(spec, "serviceAccountName"));
	if (node[0])
		mesh_describe_line(t, 0, "Node:\t%s/%s", node, mesh_at_text(st, "hostIP"));
	else
		mesh_describe_line(t, 0, "Node:\t<none>");
	if (mesh_at_text(st, "startTime")[0])
		started(t, 0, "Start Time", mesh_at_text(st, "startTime"));
	mesh_describe_labels(t, pod);
	phase(t, pod);
	addresses(t, st);
	controlled_by(t, pod);
	mesh_describe_containers(t, 0, "Init Containers", json_object_get(spec, "initContainers"),
				 json_object_get(st, "initContainerStatuses"), false);
	mesh_describe_containers(t, 0, "Containers", json_object_get(spec, "containers"),
				 json_object_get(st, "containerStatuses"), false);
	conditions(t, json_object_get(st, "conditions"));
	mesh_describe_volumes(t, 0, json_object_get(spec, "volumes"));
	if (qos[0])
		mesh_describe_line(t, 0, "QoS Class:\t%s", qos);
	placement(t, 0, spec);
}
