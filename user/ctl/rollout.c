/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/rollout.h"

#include "config/condition.h"
#include "config/get.h"
#include "core/mem.h"
#include "ctl/agents.h"
#include "ctl/inforce.h"
#include "ctl/manifest.h"
#include "ctl/pods.h"
#include "ctl/steps.h"

#include <stdio.h>

enum { POLL_MS = 400, SHOWN_MAX = 300 };

static const char system_path[] = "/api/v1/namespaces/" MESH_SYSTEM_NAMESPACE;
static const char controls_path[] =
	"/api/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dcontrol";
static const char leases_path[] = "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases"
				  "?labelSelector=sockmesh.io%2Fcomponent";

json_t *mesh_list(struct mesh_ctl *ctl, const char *path, char **why)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	json_t *items;

	if (mesh_ctl_get(ctl, path, &a) < 0) {
		if (why)
			*why = mesh_xstrdup(a.error);
		return NULL;
	}
	items = json_object_get(a.body, "items");
	return json_is_array(items) ? json_incref(items) : json_array();
}

bool mesh_node_schedulable(const json_t *node, const char **why)
{
	if (json_is_true(mesh_json_at(node, "spec", "unschedulable", NULL))) {
		*why = "the node is cordoned";
		return false;
	}
	return mesh_node_ready(node, why);
}

bool mesh_node_ready(const json_t *node, const char **why)
{
	*why = mesh_condition_true(node, "Ready") ? NULL : "the node is not Ready";
	return !*why;
}

/* The first container status that is not well, as "REASON: message". */
static char *status_trouble(const json_t *statuses)
{
	const json_t *s;
	size_t i;

	json_array_foreach(statuses, i, s)
	{
		const json_t *waiting = mesh_json_at(s, "state", "waiting", NULL),
			     *ended = mesh_json_at(s, "state", "terminated", NULL);
		const char *message = mesh_text(waiting, "message");
		const json_t *last = mesh_json_at(s, "lastState", "terminated", NULL);

		if (waiting && last && (!message[0] || strcmp(mesh_text(waiting, "reason"), "CrashLoopBackOff") == 0))
			return mesh_xasprintf("%s: it ended with status %lld", mesh_text(waiting, "reason"),
					      (long long)json_integer_value(json_object_get(last, "exitCode")));
		if (waiting)
			return mesh_xasprintf("%s%s%.*s", mesh_text(waiting, "reason"), message[0] ? ": " : "",
					      SHOWN_MAX, message);
		if (ended && json_integer_value(json_object_get(ended, "exitCode")) != 0)
			return mesh_xasprintf("%s: it ended with status %lld", mesh_text(ended, "reason"),
					      (long long)json_integer_value(json_object_get(ended, "exitCode")));
	}
	return NULL;
}

static char *condition_trouble(const json_t *pod)
{
	const json_t *c = mesh_condition_find(pod, "PodScheduled");

	if (strcmp(mesh_text(c, "status"), "False") != 0)
		return NULL;
	return mesh_xasprintf("%s: %.*s", mesh_text(c, "reason"), SHOWN_MAX, mesh_text(c, "message"));
}

char *mesh_pod_trouble(const json_t *pod)
{
	const json_t *status = json_object_get(pod, "status");
	char *trouble;

	if (mesh_meta(pod, "deletionTimestamp")[0])
		return mesh_xstrdup("it is being deleted");
	if (mesh_ctl_pod_ready(pod))
		return NULL;
	trouble = status_trouble(json_object_get(status, "initContainerStatuses"));
	if (!trouble)
		trouble = status_trouble(json_object_get(status, "containerStatuses"));
	if (!trouble)
		trouble = condition_trouble(pod);
	if (!trouble && mesh_text(status, "reason")[0])
		trouble = mesh_xasprintf("%s: %s", mesh_text(status, "reason"), mesh_text(status, "message"));
	if (!trouble && strcmp(mesh_text(status, "phase"), "Running") == 0)
		trouble = mesh_xstrdup("it runs, but is not ready");
	return trouble ? trouble : mesh_xstrdup("its containers have not started");
}

static char *last_line(struct mesh_ctl *ctl, const json_t *pod, bool previous)
{
	const json_t *first = json_array_get(json_object_get(json_object_get(pod, "spec"), "containers"), 0);
	mesh_auto_free char *path =
		mesh_xasprintf("/api/v1/namespaces/%s/pods/%s/log?tailLines=1&container=%s%s",
			       mesh_meta(pod, "namespace"), mesh_meta(pod, "name"),
			       json_string_value(json_object_get(first, "name")), previous ? "&previous=true" : "");
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	struct mesh_slice s;

	if (mesh_ctl_get(ctl, path, &a) < 0)
		return NULL;
	s = mesh_slice_trim(mesh_buf_view(&a.raw));
	return s.len ? mesh_xstrndup(s.ptr, MESH_MIN(s.len, (size_t)SHOWN_MAX)) : NULL;
}

char *mesh_pod_why(struct mesh_ctl *ctl, const json_t *pod)
{
	mesh_auto_free char *trouble = mesh_pod_trouble(pod);
	mesh_auto_free char *line = trouble ? last_line(ctl, pod, false) : NULL;

	if (trouble && !line && strncmp(trouble, "CrashLoopBackOff", 16) == 0)
		line = last_line(ctl, pod, true);
	if (!trouble)
		return NULL;
	return mesh_xasprintf("pod %s: %s%s%s%s", mesh_meta(pod, "name"), trouble, line ? " (its log ends with: " : "",
			      line ? line : "", line ? ")" : "");
}

const char *mesh_trouble_remedy(const char *trouble)
{
	static const struct {
		const char *word, *remedy;
	} rows[] = {
		{"ErrImageNeverPull", "import the image on that node, or name another with --image"},
		{"ImagePull", "import the image on that node, or name one that it can pull with --image"},
		{"InvalidImageName", "name an image with --image"},
		{"CrashLoopBackOff", "meshctl check shows what the node lacks"},
		{"Unschedulable", "make room, or ask for less with --set agent.resources.requests.cpu=..."},
		{"violates PodSecurity",
		 "label the namespace sockmesh-system pod-security.kubernetes.io/enforce=privileged"},
		{"security context constraint", "apply deploy/openshift first"},
		{"failed calling webhook",
		 "see that another mesh's or policy engine's webhook lets sockmesh-system be"},
		{"it runs, but is not ready", "its log tells what it waits for: meshctl logs"},
		{"FailedCreatePodSandBox", "the node's CNI plugin or runtime cannot start pods: see the kubelet's log"},
	};

	for (size_t i = 0; trouble && i < MESH_ARRAY_SIZE(rows); i++)
		if (strstr(trouble, rows[i].word))
			return rows[i].remedy;
	return NULL;
}

bool mesh_deployment_ready(const json_t *d)
{
	const json_t *status = json_object_get(d, "status");
	json_int_t wanted = json_integer_value(mesh_json_at(d, "spec", "replicas", NULL));

	return json_integer_value(json_object_get(status, "observedGeneration")) >=
		       json_integer_value(mesh_json_at(d, "metadata", "generation", NULL)) &&
	       json_integer_value(json_object_get(status, "updatedReplicas")) >= wanted &&
	       json_integer_value(json_object_get(status, "replicas")) <= wanted &&
	       json_integer_value(json_object_get(status, "availableReplicas")) >= wanted;
}

json_t *mesh_pod_on(const json_t *pods, const char *node)
{
	json_t *pod, *best = NULL;
	size_t i;

	json_array_foreach(pods, i, pod)
	{
		if (strcmp(mesh_text(json_object_get(pod, "spec"), "nodeName"), node) != 0)
			continue;
		if (!best || strcmp(mesh_meta(pod, "creationTimestamp"), mesh_meta(best, "creationTimestamp")) >= 0)
			best = pod;
	}
	return best;
}

bool mesh_lease_of_pod(const json_t *lease, const json_t *pod, time_t now)
{
	const char *renewed = mesh_text(json_object_get(lease, "spec"), "renewTime");
	const char *started = mesh_text(json_object_get(pod, "status"), "startTime");

	/* RFC 3339 in UTC both: the seconds of both compare as text. */
	return lease && mesh_lease_live(lease, now) && (!started[0] || strncmp(renewed, started, 19) >= 0);
}

/* What one look at the cluster shows. */
struct view {
	json_t *set, *control, *nodes, *agents, *controls, *leases;
};

static void view_free(struct view *v)
{
	json_decref(v->set);
	json_decref(v->control);
	json_decref(v->nodes);
	json_decref(v->agents);
	json_decref(v->controls);
	json_decref(v->leases);
	*v = (struct view){0};
}

static json_t *get_object(struct mesh_ctl *ctl, const char *path)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

	return mesh_ctl_get(ctl, path, &a) == 0 ? json_incref(a.body) : NULL;
}

static bool look(struct mesh_ctl *ctl, struct view *v)
{
	view_free(v);
	v->set = get_object(ctl, "/apis/apps/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/daemonsets/sockmesh-agent");
	v->control = get_object(ctl, "/apis/apps/v1/namespaces/" MESH_SYSTEM_NAMESPACE "/deployments/sockmesh-control");
	v->nodes = mesh_list(ctl, "/api/v1/nodes", NULL);
	v->agents = mesh_agents_pods(ctl);
	v->controls = mesh_list(ctl, controls_path, NULL);
	v->leases = mesh_list(ctl, leases_path, NULL);
	return v->set && v->control && v->nodes && v->agents && v->controls && v->leases;
}

static bool selected(const json_t *set, const json_t *node)
{
	const json_t *wanted = mesh_json_at(set, "spec", "template", "spec", "nodeSelector", NULL);
	const json_t *labels = mesh_json_at(node, "metadata", "labels", NULL);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)wanted, key,
			    value) if (!json_equal(json_object_get(labels, key), value)) return false;
	return true;
}

/* Of the DaemonSet's newest template; true where the server does not tell. */
static bool newest(const json_t *set, const json_t *pod)
{
	const char *wanted = mesh_annotation_of(set, "deprecated.daemonset.template.generation");
	const char *has = mesh_label_of(pod, "pod-template-generation");

	return !wanted[0] || !has[0] || strcmp(wanted, has) == 0;
}

static const json_t *lease_of(const json_t *leases, const char *node)
{
	mesh_auto_free char *name = mesh_xasprintf("sockmesh-agent-%s", node);
	const json_t *lease;
	size_t i;

	json_array_foreach(leases, i, lease) if (strcmp(mesh_meta(lease, "name"), name) == 0) return lease;
	return NULL;
}

static bool node_in_force(const struct view *v, const json_t *node)
{
	const json_t *pod = mesh_pod_on(v->agents, mesh_meta(node, "name"));
	const json_t *lease = lease_of(v->leases, mesh_meta(node, "name"));

	return pod && newest(v->set, pod) && mesh_ctl_pod_ready(pod) && !mesh_meta(pod, "deletionTimestamp")[0] &&
	       mesh_lease_of_pod(lease, pod, time(NULL));
}

/* The newest event that says why a workload's pods cannot be made. Caller frees; NULL: none. */
static char *failed_create(struct mesh_ctl *ctl, const char *workload)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/events?fieldSelector=reason%%3DFailedCreate", system_path);
	json_t *events = mesh_list(ctl, path, NULL), *e;
	char *why = NULL;
	size_t i;

	json_array_foreach(events, i, e)
	{
		const json_t *of = json_object_get(e, "involvedObject");

		if (strncmp(mesh_text(of, "name"), workload, strlen(workload)) != 0)
			continue;
		free(why);
		why = mesh_xasprintf("FailedCreate: %.*s", SHOWN_MAX, mesh_text(e, "message"));
	}
	json_decref(events);
	return why;
}

static char *node_why(struct mesh_ctl *ctl, const struct view *v, const json_t *node)
{
	const char *name = mesh_meta(node, "name");
	const json_t *pod = mesh_pod_on(v->agents, name);
	char *why;

	if (!pod) {
		why = failed_create(ctl, "sockmesh-agent");
		return why ? why : mesh_xstrdup("no agent pod has been made for it yet");
	}
	if (!newest(v->set, pod))
		return mesh_xasprintf("pod %s is still of the former version", mesh_meta(pod, "name"));
	why = mesh_pod_why(ctl, pod);
	if (why)
		return why;
	return mesh_xasprintf("pod %s is ready, but its Lease istio-system/sockmesh-agent-%s is %s",
			      mesh_meta(pod, "name"), name, lease_of(v->leases, name) ? "not renewed" : "not there");
}

static void fail_with(struct mesh_steps *steps, const char *what, const char *why)
{
	const char *remedy = mesh_trouble_remedy(why);

	mesh_steps_done(steps, what, "failed", "%s%s%s", why, remedy ? ". What would help: " : "",
			remedy ? remedy : "");
}

static char *control_why(struct mesh_ctl *ctl, const struct view *v)
{
	json_t *pod;
	char *why;
	size_t i;

	json_array_foreach(v->controls, i, pod)
	{
		why = mesh_pod_why(ctl, pod);
		if (why)
			return why;
	}
	why = json_array_size(v->controls) ? NULL : failed_create(ctl, "sockmesh-control");
	return why ? why : mesh_xstrdup("not all of its pods are there");
}

/* Refused by our own words only if the webhook has been asked: this passes every schema, but not the check. */
bool mesh_webhook_answers(struct mesh_ctl *ctl, char **why)
{
	static const char path[] =
		"/apis/networking.istio.io/v1beta1/namespaces/istio-system/virtualservices?dryRun=All";
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	json_t *probe = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:[s], s:[{s:[{s:{s:s}, s:i}, {s:{s:s}, s:i}]}]}}",
				  "apiVersion", "networking.istio.io/v1beta1", "kind", "VirtualService", "metadata",
				  "generateName", "sockmesh-probe-", "namespace", "istio-system", "spec", "hosts",
				  "probe.invalid", "http", "route", "destination", "host", "probe.invalid", "weight", 0,
				  "destination", "host", "probe.invalid", "weight", 0);
	bool answers;

	mesh_ctl_request(ctl, "POST", path, probe, NULL, NULL, &a);
	json_decref(probe);
	answers = a.error && strstr(a.error, "admission webhook") && strstr(a.error, "denied the request");
	if (!answers && why)
		*why = a.error ? mesh_xstrdup(a.error) : mesh_xstrdup("a faulty VirtualService was not refused");
	return answers;
}

struct progress {
	bool control, webhook;
	struct mesh_map nodes; /* name -> itself, once in force */
	uint64_t start, end;
};

static double seconds_of(const struct progress *p)
{
	return (double)(mesh_now_ns() - p->start) / 1e9;
}

/* Says what has come true since the last look. Returns how much is still missing. */
static size_t advance(struct mesh_ctl *ctl, struct mesh_steps *steps, struct progress *p, const struct view *v)
{
	const char *why;
	size_t missing = 0, i;
	json_t *node;

	if (!p->control && mesh_deployment_ready(v->control)) {
		p->control = true;
		mesh_steps_done(
			steps, "control", "ok", "%lld available (%.1f s)",
			(long long)json_integer_value(mesh_json_at(v->control, "status", "availableReplicas", NULL)),
			seconds_of(p));
	}
	if (p->control && !p->webhook && mesh_webhook_answers(ctl, NULL)) {
		p->webhook = true;
		mesh_steps_done(steps, "webhook", "ok", "answers (%.1f s)", seconds_of(p));
	}
	json_array_foreach(v->nodes, i, node)
	{
		const char *name = mesh_meta(node, "name");
		mesh_auto_free char *what = mesh_xasprintf("node %s", name);

		if (mesh_map_get_str(&p->nodes, name) || !mesh_node_schedulable(node, &why) || !selected(v->set, node))
			continue;
		if (!node_in_force(v, node)) {
			missing++;
			continue;
		}
		mesh_map_put_str(&p->nodes, name, p);
		mesh_steps_done(steps, what, "ok", "agent in force (%.1f s)", seconds_of(p));
	}
	return missing + !p->control + !p->webhook;
}

static void tell_missing(struct mesh_ctl *ctl, struct mesh_steps *steps, struct progress *p, const struct view *v)
{
	const char *why;
	json_t *node;
	size_t i;

	if (!p->control) {
		mesh_auto_free char *text_ = control_why(ctl, v);

		fail_with(steps, "control", text_);
	} else if (!p->webhook) {
		mesh_auto_free char *text_ = NULL;

		if (!mesh_webhook_answers(ctl, &text_))
			fail_with(steps, "webhook", text_);
	}
	json_array_foreach(v->nodes, i, node)
	{
		const char *name = mesh_meta(node, "name");
		mesh_auto_free char *what = mesh_xasprintf("node %s", name), *reason = NULL;

		if (mesh_map_get_str(&p->nodes, name) || !mesh_node_schedulable(node, &why) || !selected(v->set, node))
			continue;
		reason = node_why(ctl, v, node);
		fail_with(steps, what, reason);
	}
}

static void tell_skipped(struct mesh_steps *steps, const struct view *v)
{
	const char *why;
	json_t *node;
	size_t i;

	json_array_foreach(v->nodes, i, node)
	{
		mesh_auto_free char *what = mesh_xasprintf("node %s", mesh_meta(node, "name"));

		if (!selected(v->set, node))
			mesh_steps_done(steps, what, "skipped", "agent.nodeSelector leaves it out");
		else if (!mesh_node_schedulable(node, &why))
			mesh_steps_done(steps, what, "skipped", "%s", why);
	}
}

int mesh_rollout_wait(struct mesh_ctl *ctl, struct mesh_steps *steps, double seconds)
{
	struct progress p = {.start = mesh_now_ns()};
	struct view v = {0};
	size_t missing = 1, before = steps->failed;
	bool seen = false;

	p.end = p.start + (uint64_t)(seconds * 1e9);
	do {
		uint64_t next = mesh_now_ns() + MESH_MS(POLL_MS);

		if (look(ctl, &v)) {
			seen = true;
			missing = advance(ctl, steps, &p, &v);
		}
		if (missing == 0)
			break;
		mesh_steps_now(steps, "waiting: %zu of what was installed is not in force yet (%.0f s)", missing,
			       seconds_of(&p));
		while (mesh_now_ns() < next && mesh_loop_once(ctl->loop, POLL_MS) == 0)
			;
	} while (mesh_now_ns() < p.end);
	if (!seen)
		mesh_steps_done(steps, "cluster", "failed", "its state cannot be read");
	else if (missing)
		tell_missing(ctl, steps, &p, &v);
	if (seen)
		tell_skipped(steps, &v);
	mesh_map_free(&p.nodes);
	view_free(&v);
	return steps->failed > before;
}
