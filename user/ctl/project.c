/* SPDX-License-Identifier: Apache-2.0 */
/* project and new-project: OpenShift's words for namespaces, and which one is worked in. */
#include "ctl/json_out.h"
#include "ctl/write.h"

#include "core/mem.h"
#include "kube/kubeconfig.h"
#include "kube/yaml_in.h"

#include <errno.h>
#include <stdio.h>

enum { FILE_MAX_BYTES = 4 << 20 };

/* Writes the namespace into the context's entry; the rest of the file stays what it is. */
static int set_namespace(struct mesh_ctl *ctl, const char *ns)
{
	const struct mesh_kubeconfig *c = mesh_kube_config(ctl->kube);
	mesh_auto(mesh_buf_free) struct mesh_buf in = {0}, out = {0};
	struct mesh_errs errs = {0};
	json_t *file, *entry;
	size_t i;
	int r;

	if (!c->file)
		return mesh_ctl_error(ctl, "a pod's own account has no kubeconfig to note the project in: use -n %s",
				      ns);
	r = mesh_file_read(c->file, FILE_MAX_BYTES, &in);
	file = r == 0 ? mesh_yaml_read(c->file, mesh_buf_view(&in), &errs) : NULL;
	if (!file)
		return r < 0 ? mesh_ctl_error(ctl, "cannot read %s: %s", c->file, strerror(-r))
			     : mesh_ctl_errors(ctl, &errs);
	json_array_foreach(json_object_get(file, "contexts"), i, entry)
	{
		const char *name = json_string_value(json_object_get(entry, "name"));

		if (name && strcmp(name, c->context) == 0)
			json_object_set_new(json_object_get(entry, "context"), "namespace", json_string(ns));
	}
	mesh_yaml_out(&out, file);
	json_decref(file);
	r = mesh_file_write(c->file, mesh_buf_view(&out), 0600);
	return r < 0 ? mesh_ctl_error(ctl, "cannot write %s: %s", c->file, strerror(-r)) : 0;
}

static const char *server(const struct mesh_ctl *ctl)
{
	return mesh_kube_config(ctl->kube)->server;
}

int mesh_ctl_run_project(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	mesh_auto_free char *path = NULL, *safe = NULL;
	const char *name;

	if (f->args.list.count == 0) {
		printf("Using project \"%s\" on server \"%s\".\n", ctl->namespace, server(ctl));
		return 0;
	}
	if (f->args.list.count > 1)
		return mesh_ctl_error(ctl, "Only one argument is supported (project name or context name).");
	name = f->args.list.items[0];
	safe = mesh_kube_escape(name);
	path = mesh_xasprintf("/api/v1/namespaces/%s", safe);
	if (mesh_ctl_get(ctl, path, &a) < 0) {
		if (a.status == 404)
			return mesh_ctl_error(ctl, "A project named \"%s\" does not exist on \"%s\".", name,
					      server(ctl));
		mesh_ctl_fail(ctl, &a, NULL);
		return 1;
	}
	if (strcmp(mesh_kube_config(ctl->kube)->namespace, name) == 0) {
		printf("Already on project \"%s\" on server \"%s\".\n", name, server(ctl));
		return 0;
	}
	if (set_namespace(ctl, name) != 0)
		return 1;
	printf("Now using project \"%s\" on server \"%s\".\n", name, server(ctl));
	return 0;
}

/* A ProjectRequest where the server has that kind, else a Namespace. */
static int request(struct mesh_ctl *ctl, const char *name)
{
	const struct mesh_resources *r = mesh_resources_get(ctl);
	const struct mesh_resource *res;
	mesh_auto_free char *path = NULL, *version = NULL;
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	json_t *body;

	if (!r)
		return 1;
	res = mesh_resource_by_kind(r, "project.openshift.io/v1", "ProjectRequest");
	if (!res)
		res = mesh_resource_by_kind(r, "v1", "Namespace");
	if (!res)
		return mesh_ctl_error(ctl, "the server has neither projects nor namespaces");
	version = mesh_xasprintf("%s%s%s", res->group, res->group[0] ? "/" : "", res->version);
	body = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", version, "kind", res->kind, "metadata", "name", name);
	path = mesh_resource_path(res, NULL, NULL);
	mesh_write(ctl, res, "POST", path, body, NULL, &a);
	json_decref(body);
	if (!a.error)
		return 0;
	mesh_ctl_fail(ctl, &a, NULL);
	return 1;
}

int mesh_ctl_run_new_project(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	const char *name;

	if (f->args.list.count != 1)
		return mesh_ctl_error(ctl, "must have exactly one argument");
	name = f->args.list.items[0];
	if (request(ctl, name) != 0 || set_namespace(ctl, name) != 0)
		return 1;
	printf("Now using project \"%s\" on server \"%s\".\n", name, server(ctl));
	return 0;
}
