/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/pods.h"

#include "config/condition.h"
#include "core/mem.h"

#include <stdio.h>

bool mesh_ctl_pod_ready(const json_t *pod)
{
	return mesh_condition_true(pod, "Ready");
}

char *mesh_selector_text(const json_t *labels)
{
	struct mesh_buf b = {0};
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)labels, key, value)
		mesh_buf_printf(&b, "%s%s=%s", b.len ? "," : "", key, json_string_value(value));
	return mesh_buf_steal(&b);
}

json_t *mesh_ctl_pods_select(struct mesh_ctl *ctl, const char *query)
{
	mesh_auto_free char *ns = mesh_kube_escape(ctl->namespace), *selector = mesh_kube_escape(query);
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/pods?labelSelector=%s", ns, selector);
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

	if (mesh_ctl_get(ctl, path, &a) == 0)
		return json_incref(json_object_get(a.body, "items"));
	mesh_ctl_fail(ctl, &a, NULL);
	return NULL;
}

/* One that is ready before one that is not. */
static json_t *choose(const json_t *pods)
{
	json_t *pod;
	size_t i;

	json_array_foreach(pods, i, pod) if (mesh_ctl_pod_ready(pod)) return pod;
	return json_array_get(pods, 0);
}

static json_t *pod_of_owner(struct mesh_ctl *ctl, const struct mesh_resource *res, const json_t *owner, bool tell)
{
	const json_t *selector = mesh_json_at(owner, "spec", "selector", NULL);
	const json_t *labels = json_object_get(selector, "matchLabels");
	mesh_auto_free char *query = mesh_selector_text(labels ? labels : selector);
	json_t *pods, *pod;

	if (!query[0]) {
		mesh_ctl_error(ctl, "cannot attach to *%s: it selects no pods", res->kind);
		return NULL;
	}
	pods = mesh_ctl_pods_select(ctl, query);
	if (!pods)
		return NULL;
	pod = json_incref(choose(pods));
	if (!pod)
		mesh_ctl_error(ctl, "timed out waiting for the condition");
	else if (tell && json_array_size(pods) > 1)
		fprintf(stderr, "Found %zu pods, using pod/%s\n", json_array_size(pods), mesh_meta(pod, "name"));
	json_decref(pods);
	return pod;
}

json_t *mesh_ctl_pod_find(struct mesh_ctl *ctl, const char *word, bool tell)
{
	const char *slash = strchr(word, '/');
	mesh_auto_free char *type = slash ? mesh_xstrndup(word, (size_t)(slash - word)) : mesh_xstrdup("pods");
	const struct mesh_resources *r = mesh_resources_get(ctl);
	const struct mesh_resource *res = r ? mesh_resource_by_word(r, type) : NULL;
	mesh_auto_free char *path = NULL;
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

	if (!r)
		return NULL;
	if (!res) {
		mesh_ctl_error(ctl, "the server doesn't have a resource type \"%s\"", type);
		return NULL;
	}
	path = mesh_resource_path(res, ctl->namespace, slash ? slash + 1 : word);
	if (mesh_ctl_get(ctl, path, &a) < 0) {
		mesh_ctl_fail(ctl, &a, NULL);
		return NULL;
	}
	if (strcmp(res->kind, "Pod") == 0)
		return json_incref(a.body);
	return pod_of_owner(ctl, res, a.body, tell);
}

const char *mesh_ctl_pod_container(struct mesh_ctl *ctl, const json_t *pod)
{
	const json_t *containers = mesh_json_at(pod, "spec", "containers", NULL), *c;
	const char *first = json_string_value(json_object_get(json_array_get(containers, 0), "name"));
	const char *wanted = ctl->flags->container;
	mesh_auto(mesh_buf_free) struct mesh_buf names = {0};
	size_t i;

	json_array_foreach(containers, i, c)
	{
		const char *name = json_string_value(json_object_get(c, "name"));

		if (wanted && name && strcmp(name, wanted) == 0)
			return wanted;
		mesh_buf_printf(&names, "%s%s", i ? ", " : "", name);
	}
	if (wanted) {
		mesh_ctl_error(ctl, "container %s not found in pod %s", wanted, mesh_meta(pod, "name"));
		return NULL;
	}
	if (json_array_size(containers) > 1)
		fprintf(stderr, "Defaulted container \"%s\" out of: %s\n", first, names.data);
	return first;
}
