/* SPDX-License-Identifier: Apache-2.0 */
/* What a lab's state directory says of it, without its API: status, and exec into a pod. */
#include "lab/lab_internal.h"

#include "core/mem.h"
#include "lab/lab_net.h"
#include "lab/lab_proc.h"
#include "lab/node_sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>

/* Calls fn for each pod that the nodes know, until it returns non-zero, which is returned. */
typedef int pod_fn(void *arg, unsigned node, json_t *pod);

static int each_pod(const struct mesh_lab *lab, pod_fn *fn, void *arg)
{
	int r = 0;

	for (unsigned n = 1; n <= lab->nodes && r == 0; n++) {
		mesh_auto_free char *path = mesh_lab_path(lab, "node-%u/pods", n);
		DIR *d = opendir(path);
		struct dirent *e;

		while (d && r == 0 && (e = readdir(d))) {
			mesh_auto_free char *file = mesh_xasprintf("%s/%s", path, e->d_name);
			size_t len = strlen(e->d_name);
			json_t *pod;

			if (len < 6 || strcmp(e->d_name + len - 5, ".json") != 0)
				continue;
			pod = json_load_file(file, 0, NULL);
			if (pod)
				r = fn(arg, n, pod);
			json_decref(pod);
		}
		if (d)
			closedir(d);
	}
	return r;
}

static const char *text(const json_t *o, const char *key)
{
	const char *v = json_string_value(json_object_get(o, key));

	return v ? v : "";
}

static int add_pod(void *arg, unsigned node, json_t *pod)
{
	char name[32];

	snprintf(name, sizeof(name), "node-%u", node);
	json_array_append_new(arg, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:O}", "namespace",
					     text(pod, "namespace"), "name", text(pod, "name"), "uid", text(pod, "uid"),
					     "node", name, "ip", text(pod, "ip"), "ip6", text(pod, "ip6"), "netns",
					     text(pod, "netns"), "pid", json_object_get(pod, "pause")));
	return 0;
}

static json_t *processes_of(const struct mesh_lab *lab)
{
	mesh_auto_free char *dir = mesh_lab_path(lab, "pids");
	struct dirent **list;
	json_t *all = json_array();
	int n = scandir(dir, &list, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, list[i]->d_name);
		struct mesh_lab_pid pid;

		if (list[i]->d_name[0] != '.' && !strchr(list[i]->d_name, '.') && mesh_lab_pid_read(path, &pid) == 0)
			json_array_append_new(all, json_pack("{s:s, s:i, s:b}", "name", list[i]->d_name, "pid",
							     (int)pid.pid, "running", mesh_lab_pid_alive(&pid)));
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return all;
}

static json_t *nodes_of(const struct mesh_lab *lab)
{
	json_t *all = json_array();

	for (unsigned n = 1; n <= lab->nodes; n++) {
		mesh_auto_free char *cgroup = mesh_lab_cgroup_path(lab, "node-%u", n),
				    *socket = mesh_lab_path(lab, "node-%u.sock", n),
				    *pins = mesh_xasprintf("%s/%s-node-%u", MESH_LAB_PINS, lab->name, n);
		char name[16], what[16], netns[MESH_LAB_TEXT], ip[MESH_LAB_TEXT], pods[MESH_LAB_TEXT];

		snprintf(name, sizeof(name), "node-%u", n);
		snprintf(what, sizeof(what), "n%u", n);
		json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", name, "netns",
				      mesh_lab_netns_name(lab, what, netns), "address", mesh_lab_fabric_ip(lab, n, ip),
				      "cgroup", cgroup, "agentSocket", socket, "pins", pins);
		json_object_set_new(o, "podCIDR", json_sprintf("%s/24", mesh_lab_pod_ip(lab, n, 0, pods)));
		json_array_append_new(all, o);
	}
	return all;
}

static json_t *describe(const struct mesh_lab *lab)
{
	char host[MESH_LAB_TEXT], fabric[MESH_LAB_TEXT];
	json_t *pods = json_array(), *o;

	each_pod(lab, add_pod, pods);
	mesh_lab_host_ip(lab, host);
	o = json_pack("{s:s, s:i, s:s, s:s, s:o, s:o, s:o}", "name", lab->name, "index", (int)lab->index, "routeHost",
		      host, "fabricNetns", mesh_lab_netns_name(lab, "fabric", fabric), "processes", processes_of(lab),
		      "nodes", nodes_of(lab), "pods", pods);
	json_object_set_new(o, "api", json_sprintf("https://%s:%d", host, MESH_LAB_API_PORT));
	json_object_set_new(o, "kubeconfig", json_sprintf("%s/kubeconfig", lab->dir));
	json_object_set_new(o, "logs", json_sprintf("%s/logs", lab->dir));
	json_object_set_new(o, "cgroup", json_string(lab->cgroup));
	return o;
}

static void print_status(const json_t *o)
{
	json_t *item;
	size_t i;

	printf("lab '%s'   API %s   router http://%s\n\n%-16s %-8s %s\n", text(o, "name"), text(o, "api"),
	       text(o, "routeHost"), "PROCESS", "PID", "STATE");
	json_array_foreach(json_object_get(o, "processes"), i, item) printf(
		"%-16s %-8lld %s\n", text(item, "name"), (long long)json_integer_value(json_object_get(item, "pid")),
		json_is_true(json_object_get(item, "running")) ? "running" : "ended");
	printf("\n%-16s %-16s %-20s %s\n", "NODE", "ADDRESS", "PODS", "NETNS");
	json_array_foreach(json_object_get(o, "nodes"), i, item)
		printf("%-16s %-16s %-20s %s\n", text(item, "name"), text(item, "address"), text(item, "podCIDR"),
		       text(item, "netns"));
	printf("\n%-16s %-36s %-10s %-16s %s\n", "NAMESPACE", "POD", "NODE", "IP", "NETNS");
	json_array_foreach(json_object_get(o, "pods"), i, item)
		printf("%-16s %-36s %-10s %-16s %s\n", text(item, "namespace"), text(item, "name"), text(item, "node"),
		       text(item, "ip"), text(item, "netns"));
}

int mesh_lab_status(const struct mesh_lab_args *args)
{
	struct mesh_lab lab;
	json_t *o;

	if (mesh_lab_pick(args, &lab) < 0)
		return 1;
	o = describe(&lab);
	if (args->output == MESH_LAB_OUT_JSON) {
		json_dumpf(o, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_status(o);
	}
	json_decref(o);
	mesh_lab_free(&lab);
	return 0;
}

struct wanted {
	const char *ns, *name;
	json_t *found;
};

static int match_pod(void *arg, unsigned node, json_t *pod)
{
	struct wanted *w = arg;

	(void)node;
	if (strcmp(text(pod, "namespace"), w->ns) != 0 || strcmp(text(pod, "name"), w->name) != 0)
		return 0;
	w->found = json_incref(pod);
	return 1;
}

int mesh_lab_exec(const struct mesh_lab_args *args)
{
	struct wanted want = {.ns = args->ns ? args->ns : "default"};
	int status, at = 1, r;
	struct mesh_lab lab;

	if (args->rest_count > 1 && strcmp(args->rest[1], "--") == 0)
		at = 2;
	if (args->rest_count <= at) {
		fputs("usage: meshctl lab exec [--name N] [-n NS] [-c CONTAINER] POD -- CMD...\n", stderr);
		return 2;
	}
	want.name = args->rest[0];
	if (mesh_lab_pick(args, &lab) < 0)
		return 1;
	each_pod(&lab, match_pod, &want);
	mesh_lab_free(&lab);
	if (!want.found) {
		fprintf(stderr, "no pod '%s' runs in namespace '%s' (meshctl lab status)\n", want.name, want.ns);
		return 1;
	}
	r = mesh_lab_sandbox_exec(want.found, args->container, args->rest + at);
	json_decref(want.found);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", want.name, strerror(-r));
		return 1;
	}
	while (waitpid(r, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
