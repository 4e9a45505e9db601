/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/ctl.h"

#include <string.h>

/* clang-format off */
const struct mesh_verb mesh_ctl_verbs[] = {
	{"get", "TYPE[,TYPE...] [NAME...] | TYPE/NAME... | -f FILE", "print objects",
	 "output selector field-selector all-namespaces watch watch-only output-watch-events show-labels show-kind no-headers "
	 "ignore-not-found filename recursive raw label-columns chunk-size show-managed-fields", mesh_ctl_run_get, false},
	{"create", "-f FILE | namespace NAME | serviceaccount NAME", "make objects; an object that is there is an error",
	 "filename recursive output dry-run validate save-config wait timeout", mesh_ctl_run_create, true},
	{"apply", "-f FILE", "make objects, or change them to what the file says now",
	 "filename recursive output dry-run validate wait timeout", mesh_ctl_run_apply, true},
	{"replace", "-f FILE", "put whole objects in the place of those that are there",
	 "filename recursive output dry-run validate save-config wait timeout", mesh_ctl_run_replace, true},
	{"delete", "TYPE NAME... | TYPE -l QUERY | TYPE --all | -f FILE", "delete objects",
	 "filename recursive selector field-selector all all-namespaces ignore-not-found grace-period now cascade output dry-run "
	 "wait timeout", mesh_ctl_run_delete, false},
	{"patch", "TYPE NAME -p PATCH", "change fields of an object", "patch type output dry-run wait timeout validate",
	 mesh_ctl_run_patch, false},
	{"edit", "TYPE NAME", "change an object in an editor", "output wait timeout validate", mesh_ctl_run_edit, false},
	{"describe", "TYPE [NAME...] | TYPE/NAME | -f FILE", "show objects with what belongs to them",
	 "filename recursive selector all-namespaces show-events chunk-size", mesh_ctl_run_describe, false},
	{"label", "TYPE NAME KEY=VALUE... KEY-...", "set or remove labels",
	 "overwrite all all-namespaces selector field-selector list filename recursive resource-version output dry-run wait timeout",
	 mesh_ctl_run_label, false},
	{"annotate", "TYPE NAME KEY=VALUE... KEY-...", "set or remove annotations",
	 "overwrite all all-namespaces selector field-selector list filename recursive resource-version output dry-run wait timeout",
	 mesh_ctl_run_annotate, false},
	{"scale", "--replicas=N TYPE NAME", "set how many pods a Deployment has",
	 "replicas current-replicas all selector filename recursive resource-version output dry-run wait timeout",
	 mesh_ctl_run_scale, false},
	{"logs", "POD | TYPE/NAME | -l QUERY", "print the log of a container",
	 "follow previous container all-containers tail since since-time timestamps limit-bytes selector prefix", mesh_ctl_run_logs,
	 false},
	{"exec", "POD | TYPE/NAME -- COMMAND...", "run a command in a container", "stdin tty container quiet", mesh_ctl_run_exec,
	 false},
	{"wait", "TYPE NAME... --for=WHAT", "wait until objects are in a state", "for timeout all all-namespaces selector field-selector",
	 mesh_ctl_run_wait, false},
	{"new-project", "NAME", "make a namespace and work in it", "wait", mesh_ctl_run_new_project, false},
	{"project", "[NAME]", "say which namespace is worked in, or change it", "", mesh_ctl_run_project, false},
	{"install", "", "put the mesh on a cluster; ends when every node's agent is in force",
	 "image set dry-run bare-dry-run output timeout wait", mesh_ctl_run_install, true},
	{"upgrade", "", "bring the mesh on a cluster to this version, node by node, with the settings it was installed with",
	 "image set dry-run bare-dry-run output timeout wait allow-downgrade", mesh_ctl_run_upgrade, true},
	{"uninstall", "", "take the mesh off a cluster; running pods keep a working network",
	 "dry-run bare-dry-run keep-crds keep-namespaces timeout", mesh_ctl_run_uninstall, false},
	{"check", "", "say what cluster and nodes have, and lack, for the mesh; --pre: before an installation",
	 "pre image node output timeout", mesh_ctl_run_check, true},
	{"status", "", "show agents, gateways, their BPF programs and maps, and what is in force", "output node", mesh_ctl_run_status, false},
	{"dataplane", "get | set SWITCH=WORD...", "show or change what the data plane of each node does, in force at once",
	 "output node", mesh_ctl_run_dataplane, false},
	{"crds", "[KIND...]", "print the CustomResourceDefinitions of the mesh's kinds", "output", mesh_ctl_run_crds, true},
	{"version", "", "print the versions of meshctl and the server", "client output", mesh_ctl_run_version, true},
	{NULL, NULL, NULL, NULL, NULL, false},
};
/* clang-format on */

const struct mesh_verb *mesh_ctl_verb(const char *name)
{
	for (const struct mesh_verb *v = mesh_ctl_verbs; v->name; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}
